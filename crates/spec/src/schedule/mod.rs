//! Schedules as people write them.
//!
//! Owns: the keys of a `schedule` block, what is impossible in one, and writing one back.
//! Refuses to know: how due instants are computed ([`crate::calendar`] does), what time it is.

mod render;
mod rule;

use nightshift_domain::{
    calendar::{CatchUp, Overlap, Rule, Schedule},
    time::Timestamp,
};

pub use render::render;

use crate::{
    calendar::ZonedCalendar,
    document::{self, Value},
    fault::{Faults, quote},
    reader::{Field, Map, Reader},
};

/// The keys of a schedule.
pub const KEYS: [&str; 12] = [
    "cron",
    "every",
    "anchor",
    "frequency",
    "day",
    "time",
    "at",
    "timezone",
    "catch_up",
    "catch_up_window",
    "overlap",
    "jitter",
];

/// `catch_up: all` without a number makes up for this many instants.
pub const CATCH_UP_ALL_DEFAULT: u32 = 100;

/// What a schedule can say of a former run that goes on. The first two are for every kind of work.
pub(crate) const OVERLAPS: [(&str, Overlap); 5] = [
    ("skip", Overlap::Skip),
    ("buffer_one", Overlap::BufferOne),
    ("buffer_all", Overlap::BufferAll),
    ("cancel_other", Overlap::CancelOther),
    ("allow", Overlap::Allow),
];

const CATCH_UP_MAX: u32 = 10_000;
const YEAR_S: u64 = 366 * 86_400;

/// Reads a document that is nothing but a schedule.
///
/// # Errors
/// Every fault of the document.
pub fn parse(text: &str, file: &str, calendar: &ZonedCalendar, now: Timestamp) -> Result<Schedule, Faults> {
    let node = document::read(text, file).map_err(|fault| Faults(vec![*fault]))?;
    let mut reader = Reader::new(file);
    let schedule = read(&mut reader, &Field::root(&node), calendar, now);
    let faults = reader.into_faults();
    schedule.filter(|_| faults.is_empty()).ok_or(Faults(faults))
}

/// Reads a `schedule` block. `now` anchors an interval that names no anchor of its own.
pub(crate) fn read(
    reader: &mut Reader,
    field: &Field<'_>,
    calendar: &ZonedCalendar,
    now: Timestamp,
) -> Option<Schedule> {
    let map = reader.map(field, &KEYS)?;
    read_from(reader, &map, calendar, now, &OVERLAPS[..2])
}

/// Reads a schedule out of a map that may hold more, with the policies of overlap that its kind of work has.
pub(crate) fn read_from(
    reader: &mut Reader,
    map: &Map<'_>,
    calendar: &ZonedCalendar,
    now: Timestamp,
    overlaps: &[(&str, Overlap)],
) -> Option<Schedule> {
    let timezone = read_timezone(reader, map, calendar);
    let catch_up = map.get("catch_up").map_or(Some(CatchUp::default()), |field| read_catch_up(reader, &field));
    let window = map.get("catch_up_window").map(|field| reader.duration(&field, 1..=YEAR_S));
    let overlap = map.get("overlap").map_or(Some(Overlap::default()), |field| reader.word(&field, overlaps));
    // An unknown zone is one fault; the rule is still checked, in UTC, for faults of its own.
    let zone = timezone.as_deref().map_or(Ok(jiff::tz::TimeZone::UTC), |name| calendar.zone(name));
    let rule = rule::read(reader, map, &zone.unwrap_or(jiff::tz::TimeZone::UTC), now);
    let jitter = map.get("jitter").map_or(Some(0), |field| read_jitter(reader, &field, rule.as_ref()));
    Some(Schedule {
        rule: rule?,
        timezone: timezone?,
        catch_up: catch_up?,
        catch_up_window_s: match window {
            Some(seconds) => Some(seconds?),
            None => None,
        },
        overlap: overlap?,
        jitter_s: jitter?,
    })
}

fn read_timezone(reader: &mut Reader, map: &Map<'_>, calendar: &ZonedCalendar) -> Option<String> {
    let Some(field) = map.get("timezone") else {
        return Some("UTC".to_owned());
    };
    let name = reader.text(&field)?;
    if let Ok(zone) = calendar.zone(&name) {
        // The database knows names in any case; the stored one is the one everybody else writes.
        return Some(zone.iana_name().map_or(name, str::to_owned));
    }
    let remedy = calendar.nearest_zone(&name).map(|near| format!("did you mean {near:?}?"));
    reader.fault(&field, quote(&name), "an IANA zone name, e.g. Europe/Berlin or UTC", remedy);
    None
}

fn read_catch_up(reader: &mut Reader, field: &Field<'_>) -> Option<CatchUp> {
    let all = CatchUp::All { max: CATCH_UP_ALL_DEFAULT };
    match field.value {
        Value::Map(_) => {
            let map = reader.map(field, &["all"])?;
            let number = reader.required(&map, "all", "a whole number")?;
            reader.integer(&number, 1..=CATCH_UP_MAX).map(|max| CatchUp::All { max })
        }
        _ => reader.word(field, &[("skip", CatchUp::Skip), ("latest", CatchUp::Latest), ("all", all)]),
    }
}

fn read_jitter(reader: &mut Reader, field: &Field<'_>, rule: Option<&Rule>) -> Option<u32> {
    let seconds = reader.duration(field, 0..=86_400)?;
    if let Some(period) = rule.and_then(rule::shortest_period_s)
        && seconds >= period
    {
        let period = crate::duration::render(period);
        let remedy = format!("instants can be {period} apart, so starts would overtake each other");
        reader.refuse(field, &format!("less than {period}"), Some(remedy));
        return None;
    }
    u32::try_from(seconds).ok()
}

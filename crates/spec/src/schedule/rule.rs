//! The part of a schedule that says when: cron, interval, calendar words, or once.
//!
//! Owns: which of the four is meant, and what is impossible in it. Refuses to know: policies.

use jiff::tz::TimeZone;
use nightshift_domain::{
    calendar::{Frequency, Rule, Weekday},
    time::Timestamp,
};

use crate::{
    calendar::{compile, from_jiff},
    cron::{self, Cron, CronError},
    document::Value,
    fault::quote,
    reader::{Field, Map, Reader},
    zone,
};

pub(super) const FREQUENCIES: [(&str, Frequency); 5] = [
    ("daily", Frequency::Daily),
    ("weekdays", Frequency::Weekdays),
    ("weekly", Frequency::Weekly),
    ("biweekly", Frequency::Biweekly),
    ("monthly", Frequency::Monthly),
];

pub(super) const WEEKDAYS: [(&str, Weekday); 7] = [
    ("monday", Weekday::Monday),
    ("tuesday", Weekday::Tuesday),
    ("wednesday", Weekday::Wednesday),
    ("thursday", Weekday::Thursday),
    ("friday", Weekday::Friday),
    ("saturday", Weekday::Saturday),
    ("sunday", Weekday::Sunday),
];

const KINDS: [&str; 4] = ["cron", "every", "frequency", "at"];
const ONE_OF: &str = "exactly one of cron, every, frequency, at";
const TIME: &str = "a time of day HH:MM from 00:00 to 23:59";
const INSTANT: &str = "an instant such as 2026-03-09T09:00:00Z, or a local time such as 2026-03-09T09:00";
/// What `time` is when a calendar rule names none.
const MINUTE_OF_DAY_DEFAULT: u16 = 9 * 60;
const EVERY_MAX_S: u64 = 10 * 366 * 86_400;

pub(super) fn read(reader: &mut Reader, map: &Map<'_>, zone: &TimeZone, now: Timestamp) -> Option<Rule> {
    let kinds: Vec<Field<'_>> = KINDS.iter().filter_map(|key| map.get(key)).collect();
    for (key, of) in [("day", "frequency"), ("time", "frequency"), ("anchor", "every")] {
        if let Some(field) = map.get(key)
            && map.get(of).is_none()
        {
            reader.refuse(&field, &format!("{key} only beside {of}"), Some(format!("drop {key}, or write {of}")));
        }
    }
    let [kind] = kinds.as_slice() else {
        let found: Vec<&str> = kinds.iter().map(Field::key).collect();
        let found = if found.is_empty() { "no rule".to_owned() } else { found.join(" and ") };
        reader.fault(kinds.get(1).unwrap_or(&map.whole()), found, ONE_OF, None);
        return None;
    };
    match kind.key() {
        "cron" => read_cron(reader, kind),
        "every" => read_interval(reader, map, kind, (zone, now)),
        "frequency" => read_words(reader, map, kind),
        _ => read_instant(reader, kind, zone).map(|at| Rule::Once { at }),
    }
}

fn read_cron(reader: &mut Reader, field: &Field<'_>) -> Option<Rule> {
    let Value::Text(expression) = field.value else {
        reader.refuse(field, cron::FORM, None);
        return None;
    };
    let mut tell =
        |CronError { found, allowed, remedy }: CronError| reader.fault(field, quote(&found), &allowed, remedy);
    match Cron::parse(expression) {
        Err(error) => {
            tell(error);
            None
        }
        Ok(cron) if !cron.doubts.is_empty() => {
            cron.doubts.into_iter().for_each(tell);
            None
        }
        Ok(_) => Some(Rule::Cron { expression: expression.split_ascii_whitespace().collect::<Vec<_>>().join(" ") }),
    }
}

fn read_interval(
    reader: &mut Reader,
    map: &Map<'_>,
    field: &Field<'_>,
    (zone, now): (&TimeZone, Timestamp),
) -> Option<Rule> {
    let every_s = reader.duration(field, 1..=EVERY_MAX_S);
    let anchor = map.get("anchor").map_or(Some(now), |field| read_instant(reader, &field, zone));
    Some(Rule::Interval { every_s: every_s?, anchor: anchor? })
}

fn read_words(reader: &mut Reader, map: &Map<'_>, field: &Field<'_>) -> Option<Rule> {
    let frequency = reader.word(field, &FREQUENCIES);
    let day = map.get("day").map(|field| (reader.word(&field, &WEEKDAYS), field));
    let time = map.get("time").map_or(Some(MINUTE_OF_DAY_DEFAULT), |field| read_time(reader, &field));
    let needs_day = !matches!(frequency, Some(Frequency::Daily | Frequency::Weekdays) | None);
    if let (Some((_, day)), Some(Frequency::Daily | Frequency::Weekdays)) = (&day, frequency) {
        let remedy = Some("drop day, or write frequency: weekly".to_owned());
        reader.refuse(day, "no day beside daily and weekdays", remedy);
        return None;
    }
    let day = match day {
        Some((day, _)) => Some(day?),
        None => needs_day.then_some(Weekday::Monday),
    };
    Some(Rule::Calendar { frequency: frequency?, day, minute_of_day: time? })
}

fn read_time(reader: &mut Reader, field: &Field<'_>) -> Option<u16> {
    let minutes = match field.value {
        Value::Text(text) => minute_of_day(text.trim()),
        _ => None,
    };
    if minutes.is_none() {
        let remedy = matches!(field.value, Value::Number(_)).then(|| "write it with a colon, e.g. 09:30".to_owned());
        reader.refuse(field, TIME, remedy);
    }
    minutes
}

fn minute_of_day(text: &str) -> Option<u16> {
    let (hour, minute) = text.split_once(':')?;
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if !(1..=2).contains(&hour.len()) || minute.len() != 2 || !digits(hour) || !digits(minute) {
        return None;
    }
    let (hour, minute): (u16, u16) = (hour.parse().ok()?, minute.parse().ok()?);
    (hour < 24 && minute < 60).then_some(hour * 60 + minute)
}

fn read_instant(reader: &mut Reader, field: &Field<'_>, zone: &TimeZone) -> Option<Timestamp> {
    let text = reader.text(field)?;
    // A text with an offset is an instant; one without is a reading of a clock in the schedule's zone.
    if let Ok(instant) = text.parse::<jiff::Timestamp>() {
        return Some(from_jiff(instant));
    }
    let Ok(local) = text.parse::<jiff::civil::DateTime>() else {
        reader.refuse(field, INSTANT, None);
        return None;
    };
    let instant = zone::first_instant(zone, local);
    if zone::is_in_gap(zone, local) {
        let remedy =
            instant.map(|first| format!("clocks jump over it; the first time after it is {}", zone.to_datetime(first)));
        reader.refuse(field, "a local time that exists in the zone", remedy);
        return None;
    }
    if instant.is_none() {
        reader.refuse(field, INSTANT, None);
    }
    instant.map(from_jiff)
}

/// The shortest time between two instants of a rule that fires more than once, as its first hundred show it.
pub(super) fn shortest_period_s(rule: &Rule) -> Option<u64> {
    const INSTANTS: usize = 100;
    if let Rule::Interval { every_s, .. } = rule {
        return Some(*every_s);
    }
    let pattern = compile(rule).ok()?;
    let mut at = zone::next(&pattern, &TimeZone::UTC, jiff::Timestamp::UNIX_EPOCH)?;
    let mut shortest = i64::MAX;
    for _ in 0..INSTANTS {
        let Some(next) = zone::next(&pattern, &TimeZone::UTC, at) else {
            break;
        };
        shortest = shortest.min(next.as_second() - at.as_second());
        at = next;
    }
    u64::try_from(shortest).ok()
}

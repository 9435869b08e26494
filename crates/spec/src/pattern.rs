//! Which local dates and times a rule names, before any time zone.
//!
//! Owns: the search for the next and the previous local minute of a pattern. Refuses to know: zones and instants.
//!
//! Every calendar word and every cron expression becomes one [`Pattern`]: masks for months, days, weekdays, hours and
//! minutes. A month is searched as one 31-bit mask, so a rare date costs one step a month.

use jiff::civil::{Date, DateTime};

/// Local minutes of a rule, as masks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pattern {
    /// Bit m: month m, 1 to 12.
    pub months: u16,
    /// Bit d: day of month d, 1 to 31.
    pub days: u32,
    /// Bit w: weekday w, 0 is Monday.
    pub weekdays: u8,
    /// A day matches by day of month *or* weekday (Vixie, when both fields are given) instead of by both.
    pub either: bool,
    /// Only every second week, counted from [`FORTNIGHT_ANCHOR_DAY`].
    pub fortnight: bool,
    /// Bit h: hour h.
    pub hours: u32,
    /// Bit m: minute m.
    pub minutes: u64,
    /// Follows elapsed time (a wildcard or step in the hour or minute): fires whenever a clock on the wall shows a
    /// matching time. Otherwise each local time fires once.
    pub elapsed: bool,
}

/// All days of a month.
pub const DAYS_ALL: u32 = 0xffff_fffe;
/// All months.
pub const MONTHS_ALL: u16 = 0x1ffe;
/// All weekdays.
pub const WEEKDAYS_ALL: u8 = 0x7f;

/// Monday of the week in which 1970 began (1969-12-29), in days since 1970-01-01: its week is a biweekly rule's first.
/// With it the seed's biweekly example (Wednesday 2026-03-04 to Monday 2026-03-09) holds.
pub const FORTNIGHT_ANCHOR_DAY: i64 = -3;

/// The Gregorian calendar repeats after 400 years; a date that none of them has never comes.
const SEARCH_MONTHS: u32 = 400 * 12;

impl Pattern {
    /// Does any date of the calendar match?
    pub fn ever_matches(&self) -> bool {
        let start = jiff::civil::date(2000, 1, 1);
        self.hours != 0 && self.minutes != 0 && self.date_from(start).is_some()
    }

    /// The first matching minute at or after `from`.
    pub fn next(&self, from: DateTime) -> Option<DateTime> {
        let from = ceil_to_minute(from)?;
        if self.date_matches(from.date())
            && let Some((hour, minute)) = self.time_from(from.hour(), from.minute())
        {
            return Some(from.date().at(hour, minute, 0, 0));
        }
        let date = self.date_from(from.date().tomorrow().ok()?)?;
        let (hour, minute) = self.time_from(0, 0)?;
        Some(date.at(hour, minute, 0, 0))
    }

    /// The last matching minute at or before `until`.
    pub fn previous(&self, until: DateTime) -> Option<DateTime> {
        if self.date_matches(until.date())
            && let Some((hour, minute)) = self.time_until(until.hour(), until.minute())
        {
            return Some(until.date().at(hour, minute, 0, 0));
        }
        let date = self.date_until(until.date().yesterday().ok()?)?;
        let (hour, minute) = self.time_until(23, 59)?;
        Some(date.at(hour, minute, 0, 0))
    }

    fn date_matches(&self, date: Date) -> bool {
        self.days_of_month(date.year(), date.month()) & (1 << date.day()) != 0
    }

    fn date_from(&self, from: Date) -> Option<Date> {
        let (mut year, mut month) = (from.year(), from.month());
        let mut mask = self.days_of_month(year, month) & (u32::MAX << from.day());
        for _ in 0..=SEARCH_MONTHS {
            if mask != 0 {
                return Date::new(year, month, i8::try_from(mask.trailing_zeros()).ok()?).ok();
            }
            (year, month) = if month == 12 { (year.checked_add(1)?, 1) } else { (year, month + 1) };
            mask = self.days_of_month(year, month);
        }
        None
    }

    fn date_until(&self, until: Date) -> Option<Date> {
        let (mut year, mut month) = (until.year(), until.month());
        let mut mask = self.days_of_month(year, month) & (u32::MAX >> (31 - until.day()));
        for _ in 0..=SEARCH_MONTHS {
            if mask != 0 {
                return Date::new(year, month, i8::try_from(31 - mask.leading_zeros()).ok()?).ok();
            }
            (year, month) = if month == 1 { (year.checked_sub(1)?, 12) } else { (year, month - 1) };
            mask = self.days_of_month(year, month);
        }
        None
    }

    /// The matching days of one month as a mask; empty for a month outside the calendar's range.
    fn days_of_month(&self, year: i16, month: i8) -> u32 {
        if self.months & (1 << month) == 0 {
            return 0;
        }
        let Ok(first) = Date::new(year, month, 1) else { return 0 };
        let length_mask = (u32::MAX >> (31 - first.days_in_month())) & DAYS_ALL;
        let by_weekday = self.days_by_weekday(first);
        let matching = if self.either { self.days | by_weekday } else { self.days & by_weekday };
        matching & length_mask
    }

    /// The days of the month that begins at `first` whose weekday (and week, for a fortnight) matches.
    fn days_by_weekday(&self, first: Date) -> u32 {
        if self.weekdays == WEEKDAYS_ALL && !self.fortnight {
            return DAYS_ALL;
        }
        let weeks = u64::from(self.weekdays);
        let cycle = if self.fortnight { weeks } else { weeks | (weeks << 7) };
        let shift = (days_since_1970(first) - FORTNIGHT_ANCHOR_DAY).rem_euclid(14);
        let from_first = ((cycle | (cycle << 14)) >> shift) & 0x3fff;
        let repeated = from_first | (from_first << 14) | (from_first << 28);
        u32::try_from((repeated << 1) & u64::from(u32::MAX)).unwrap_or(0)
    }

    fn time_from(&self, hour: i8, minute: i8) -> Option<(i8, i8)> {
        if self.hours & (1 << hour) != 0 {
            let rest = self.minutes & (u64::MAX << minute);
            if rest != 0 {
                return Some((hour, lowest(rest)));
            }
        }
        let rest = u64::from(self.hours) & (u64::MAX << (hour + 1));
        (rest != 0 && self.minutes != 0).then(|| (lowest(rest), lowest(self.minutes)))
    }

    fn time_until(&self, hour: i8, minute: i8) -> Option<(i8, i8)> {
        if self.hours & (1 << hour) != 0 {
            let rest = self.minutes & (u64::MAX >> (63 - minute));
            if rest != 0 {
                return Some((hour, highest(rest)));
            }
        }
        let rest = u64::from(self.hours) & ((1 << hour) - 1);
        (rest != 0 && self.minutes != 0).then(|| (highest(rest), highest(self.minutes)))
    }
}

/// Index of the lowest bit of a mask that is not empty.
const fn lowest(mask: u64) -> i8 {
    mask.trailing_zeros() as i8
}

/// Index of the highest bit of a mask that is not empty.
const fn highest(mask: u64) -> i8 {
    63 - mask.leading_zeros() as i8
}

fn ceil_to_minute(at: DateTime) -> Option<DateTime> {
    let floor = at.date().at(at.hour(), at.minute(), 0, 0);
    if floor == at { Some(at) } else { floor.checked_add(jiff::SignedDuration::from_mins(1)).ok() }
}

/// Days since 1970-01-01 in the proleptic Gregorian calendar, counted in years that begin in March.
fn days_since_1970(date: Date) -> i64 {
    let (month, day) = (i64::from(date.month()), i64::from(date.day()));
    let year = i64::from(date.year()) - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use jiff::civil::{Weekday, date};

    use super::*;

    const EVERY_DAY: Pattern = Pattern {
        months: MONTHS_ALL,
        days: DAYS_ALL,
        weekdays: WEEKDAYS_ALL,
        either: false,
        fortnight: false,
        hours: 1 << 9,
        minutes: 1,
        elapsed: false,
    };

    #[test]
    fn days_are_counted_from_1970() {
        for (day, expected) in [
            (date(1970, 1, 1), 0),
            (date(1969, 12, 29), FORTNIGHT_ANCHOR_DAY),
            (date(2000, 2, 29), 11_016),
            (date(2026, 3, 9), 20_521),
        ] {
            assert_eq!(days_since_1970(day), expected, "{day}");
        }
    }

    #[test]
    fn weekday_masks_agree_with_the_calendar() {
        for weekday in 0..7_u8 {
            let pattern = Pattern { weekdays: 1 << weekday, ..EVERY_DAY };
            let mut day = date(2023, 12, 1);
            while day < date(2025, 2, 1) {
                let expected = day.weekday().to_monday_zero_offset() == i8::try_from(weekday).unwrap();
                assert_eq!(pattern.date_matches(day), expected, "{day} {weekday}");
                day = day.tomorrow().unwrap();
            }
        }
    }

    #[test]
    fn fortnights_are_fourteen_days_apart_over_year_ends() {
        let pattern = Pattern { weekdays: 1 << 2, fortnight: true, ..EVERY_DAY };
        let mut at = pattern.next(date(1999, 12, 1).at(0, 0, 0, 0)).unwrap();
        for _ in 0..200 {
            assert_eq!(at.weekday(), Weekday::Wednesday);
            let next = pattern.next(at.checked_add(jiff::SignedDuration::from_mins(1)).unwrap()).unwrap();
            assert_eq!(days_since_1970(next.date()) - days_since_1970(at.date()), 14);
            at = next;
        }
    }

    #[test]
    fn previous_is_the_inverse_of_next() {
        let pattern = Pattern { days: (1 << 29) | (1 << 31), hours: 0b101 << 5, minutes: 0b1001, ..EVERY_DAY };
        let mut at = pattern.next(date(2023, 1, 1).at(0, 0, 0, 0)).unwrap();
        for _ in 0..300 {
            let next = pattern.next(at.checked_add(jiff::SignedDuration::from_mins(1)).unwrap()).unwrap();
            assert_eq!(pattern.previous(next.checked_sub(jiff::SignedDuration::from_mins(1)).unwrap()), Some(at));
            at = next;
        }
    }

    #[test]
    fn the_ends_of_the_calendar_are_ends_and_not_panics() {
        assert_eq!(EVERY_DAY.next(DateTime::MAX), None);
        assert_eq!(EVERY_DAY.previous(DateTime::MIN), None);
    }
}

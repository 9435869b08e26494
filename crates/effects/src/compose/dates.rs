//! Dates as people write them, in the zone of the order.
//!
//! Owns: the words for instants and spans.
//! Refuses to know: what time it is now.

use jiff::{Zoned, tz::TimeZone};
use nightshift_domain::time::Timestamp;

/// A zone in which dates are written.
pub(super) struct Zone {
    zone: TimeZone,
    name: String,
}

impl Zone {
    /// The zone called `name`; UTC, and false, when there is none of that name.
    pub(super) fn named(name: &str) -> (Self, bool) {
        match TimeZone::get(name) {
            Ok(zone) => (Self { zone, name: name.to_owned() }, true),
            Err(_) => (Self { zone: TimeZone::UTC, name: "UTC".to_owned() }, false),
        }
    }

    fn at(&self, at: Timestamp) -> Zoned {
        jiff::Timestamp::from_microsecond(at.micros()).unwrap_or_default().to_zoned(self.zone.clone())
    }

    /// `Monday, 23 November 2026, 09:00 (Europe/Berlin)`.
    pub(super) fn slot(&self, at: Timestamp) -> String {
        format!("{} ({})", self.at(at).strftime("%A, %-d %B %Y, %H:%M"), self.name)
    }

    /// `23 November 2026, 09:00`.
    pub(super) fn minute(&self, at: Timestamp) -> String {
        self.at(at).strftime("%-d %B %Y, %H:%M").to_string()
    }

    /// `23 November 2026`.
    pub(super) fn day(&self, at: Timestamp) -> String {
        self.at(at).strftime("%-d %B %Y").to_string()
    }

    /// `17 to 22 November 2026`, or one day.
    pub(super) fn span(&self, first: Timestamp, last: Timestamp) -> String {
        let (a, b) = (self.at(first), self.at(last));
        let start = if a.date() == b.date() {
            return self.day(last);
        } else if (a.year(), a.month()) == (b.year(), b.month()) {
            "%-d"
        } else if a.year() == b.year() {
            "%-d %B"
        } else {
            "%-d %B %Y"
        };
        format!("{} to {}", a.strftime(start), self.day(last))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_follow_the_zone() {
        let at = Timestamp::from_secs(1_795_995_000); // 2026-11-29T23:30:00Z
        let (berlin, known) = Zone::named("Europe/Berlin");
        assert!(known);
        assert_eq!(berlin.slot(at), "Monday, 30 November 2026, 00:30 (Europe/Berlin)");
        let (utc, known) = Zone::named("Europe/Nowhere");
        assert!(!known);
        assert_eq!(utc.slot(at), "Sunday, 29 November 2026, 23:30 (UTC)");
        assert_eq!(berlin.span(Timestamp::from_secs(1_795_000_000), at), "18 to 30 November 2026");
        assert_eq!(berlin.span(Timestamp::from_secs(1_793_000_000), at), "26 October to 30 November 2026");
        assert_eq!(berlin.span(at, at), "30 November 2026");
    }
}

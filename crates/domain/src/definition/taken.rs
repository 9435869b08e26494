//! Which instants of a schedule were given a run, in little room.
//!
//! Owns: a set of instants, kept as evenly spaced spans. Refuses to know: schedules, runs.
//!
//! A repeated slot must be known as one for as long as it can be asked for again, which may be years: its run would not
//! be made again, so nobody would ever tell that it ended. A daily schedule needs one span for each half of a year with
//! its own offset from UTC, an interval needs one for all its life.

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// Spans that are kept; the ones that were begun first are forgotten first.
const SPANS_MAX: usize = 4_096;

/// A set of instants. Cheap when most of them come in order and evenly spaced.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Taken {
    spans: Vec<Span>,
    /// No instant up to here is known not to be in the set.
    forgotten: Option<Timestamp>,
}

/// `from`, `from + every_us`, ... `upto`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Span {
    from: Timestamp,
    upto: Timestamp,
    /// Zero while there is only one instant.
    every_us: i64,
}

impl Span {
    const fn has(&self, at: Timestamp) -> bool {
        let beyond = at.micros_since(self.from);
        at.micros() == self.from.micros()
            || (self.every_us > 0 && beyond > 0 && at.micros() <= self.upto.micros() && beyond % self.every_us == 0)
    }

    /// Whether `at` follows in the same distance, and then holds it.
    const fn goes_on(&mut self, at: Timestamp) -> bool {
        let distance_us = at.micros_since(self.upto);
        let fits = distance_us > 0 && (self.every_us == 0 || self.every_us == distance_us);
        if fits {
            (self.upto, self.every_us) = (at, distance_us);
        }
        fits
    }
}

impl Taken {
    /// Whether an instant is in the set, as far as is remembered.
    #[must_use]
    pub fn has(&self, at: Timestamp) -> bool {
        self.spans.iter().rev().any(|span| span.has(at))
    }

    /// Whether it is still known if an instant is in the set.
    #[must_use]
    pub fn remembers(&self, at: Timestamp) -> bool {
        self.forgotten.is_none_or(|forgotten| at > forgotten) || self.has(at)
    }

    /// Puts an instant in.
    pub fn note(&mut self, at: Timestamp) {
        if self.has(at) || self.spans.last_mut().is_some_and(|span| span.goes_on(at)) {
            return;
        }
        self.spans.push(Span { from: at, upto: at, every_us: 0 });
        if self.spans.len() > SPANS_MAX {
            let oldest = self.spans.remove(0);
            self.forgotten = self.forgotten.max(Some(oldest.upto));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn even_instants_need_one_span_and_the_oldest_are_forgotten_with_a_mark() {
        let mut daily = Taken::default();
        (0..10_000).for_each(|day| daily.note(Timestamp::from_secs(day * 86_400)));
        assert_eq!(daily.spans.len(), 1);
        assert!(daily.has(Timestamp::from_secs(9_999 * 86_400)) && !daily.has(Timestamp::from_secs(10_000 * 86_400)));
        let mut odd = Taken::default();
        // Ever longer distances: two instants a span.
        (0..3 * SPANS_MAX as i64).for_each(|n| odd.note(Timestamp(n * n)));
        assert_eq!(odd.spans.len(), SPANS_MAX);
        let forgotten = odd.forgotten.unwrap();
        assert!(!odd.has(Timestamp(1)) && !odd.remembers(Timestamp(1)) && !odd.remembers(forgotten));
        assert!(odd.remembers(Timestamp(forgotten.0 + 1)));
    }

    proptest! {
        #[test]
        fn it_is_a_set(instants in prop::collection::vec((0..400_i64, 1..5_i64), 1..60)) {
            let (mut taken, mut set) = (Taken::default(), BTreeSet::new());
            for (from, every) in instants {
                for n in 0..4 {
                    let at = Timestamp(from + n * every);
                    prop_assert_eq!(taken.has(at), set.contains(&at));
                    taken.note(at);
                    set.insert(at);
                }
            }
            for at in (0..500).map(Timestamp) {
                prop_assert_eq!(taken.has(at), set.contains(&at), "{}", at.0);
                prop_assert!(taken.remembers(at));
            }
        }
    }
}

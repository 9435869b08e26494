//! The limits in force: those of the file with what people set laid over them.
//!
//! Owns: which of the two counts. Refuses to know: how either came about, who waits.

use nightshift_domain::queue::{self, Limit, LimitKey};

use super::limits::{Limits, Rate};

/// What counts: a limit that is set goes before one of the file with the same key.
#[must_use]
pub fn overlaid(file: &Limits, set: &queue::State) -> Limits {
    let mut limits = file.clone();
    for (key, set) in &set.limits {
        match (key, set.limit) {
            (LimitKey::Concurrency, Limit::Places { places }) => limits.concurrency = Some(places as usize),
            (LimitKey::Queue(queue), Limit::Places { places }) => {
                limits.queues.insert(queue.clone(), places as usize);
            }
            (LimitKey::Key(key), Limit::Places { places }) => {
                limits.keys.insert(key.clone(), places as usize);
            }
            (LimitKey::Bucket(key), Limit::Rate { capacity, refill_per_s }) => {
                limits.rates.insert(key.clone(), Rate { capacity, refill_per_s });
            }
            // The decider sets none like that.
            (LimitKey::Bucket(_), Limit::Places { .. }) | (_, Limit::Rate { .. }) => {}
        }
    }
    limits.paused.all = set.paused.is_some();
    limits.paused.queues = set.queues.keys().cloned().collect();
    limits
}

#[cfg(test)]
mod tests {
    use nightshift_domain::{queue::Paused, run::Asked, time::Timestamp};

    use super::*;

    #[test]
    fn what_is_set_goes_before_the_file_and_leaves_the_rest() {
        let rate = |capacity| Rate { capacity, refill_per_s: 1.0 };
        let rates = [("global:agent:a", 1.0), ("global:agent:b", 2.0)];
        let file = Limits {
            rates: rates.map(|(key, capacity)| (key.to_owned(), rate(capacity))).into_iter().collect(),
            queues: [("slow".to_owned(), 1)].into_iter().collect(),
            ..Limits::default()
        };
        assert_eq!(overlaid(&file, &queue::State::default()), file);
        let by = Asked { by: "ann".to_owned(), note: String::new() };
        let since = Timestamp(0);
        let mut state = queue::State::default();
        for (key, limit) in [
            ("concurrency", Limit::Places { places: 3 }),
            ("queue:slow", Limit::Places { places: 4 }),
            ("key:db", Limit::Places { places: 5 }),
            ("global:agent:b", Limit::Rate { capacity: 6.0, refill_per_s: 1.0 }),
        ] {
            let key = LimitKey::parse(key).unwrap();
            state.limits.insert(key, queue::Set { limit, by: by.clone(), since });
        }
        state.queues.insert("slow".to_owned(), Paused { by: by.clone(), since });
        let limits = overlaid(&file, &state);
        assert_eq!((limits.concurrency, limits.queues["slow"], limits.keys["db"]), (Some(3), 4, 5));
        assert_eq!(limits.rate("global:agent:a"), Some(rate(1.0)));
        assert_eq!(limits.rate("global:agent:b"), Some(rate(6.0)));
        assert!(limits.paused.holds("slow") && !limits.paused.holds("other"));
        state.paused = Some(Paused { by, since });
        assert!(overlaid(&file, &state).paused.holds("other"));
    }
}

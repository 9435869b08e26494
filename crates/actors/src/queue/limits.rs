//! Limits: token buckets and places with a name.
//!
//! Owns: how many tokens a bucket holds at an instant, and who holds a named place.
//! Refuses to know: jobs, actors, where limits are configured.
//!
//! Invariant: a bucket never gives more than `capacity + elapsed * refill` tokens.
//! Invariant: named places are derived from attempts under way, as all places are.

use std::collections::{HashMap, HashSet};

use nightshift_domain::time::Timestamp;

/// A token bucket as it is configured.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    /// The most tokens it holds.
    pub capacity: f64,
    /// Tokens that come back each second.
    pub refill_per_s: f64,
}

impl Default for Rate {
    /// A hundred at once, then ten a second.
    fn default() -> Self {
        Self { capacity: 100.0, refill_per_s: 10.0 }
    }
}

/// All limits in force.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Limits {
    /// Buckets by key, e.g. `global:agent:writer`. `user:*:agent:writer` is for every user, `user:*:agent:*` for every
    /// pair; an exact key goes before a pattern. A key without a bucket has no limit.
    pub rates: HashMap<String, Rate>,
    /// How many steps with one concurrency key may run at once, by key; others: one.
    pub keys: HashMap<String, usize>,
    /// How many steps of one queue may run at once, by queue; others: as many as there are places.
    pub queues: HashMap<String, usize>,
    /// How many steps may run at once; none: as many as are configured.
    pub concurrency: Option<usize>,
    /// What is given no place.
    pub paused: Pauses,
}

/// What is given no place.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Pauses {
    /// No step is.
    pub all: bool,
    /// No step of these queues is.
    pub queues: HashSet<String>,
}

impl Pauses {
    /// Whether steps of a queue are given no place.
    #[must_use]
    pub fn holds(&self, queue: &str) -> bool {
        self.all || self.queues.contains(queue)
    }
}

impl Limits {
    /// The bucket a key is counted in, when there is one.
    #[must_use]
    pub fn rate(&self, key: &str) -> Option<Rate> {
        if self.rates.is_empty() {
            return None;
        }
        let parts: Vec<&str> = key.split(':').collect();
        let patterns = match parts.as_slice() {
            ["user", _, "agent", agent] => {
                vec![key.to_owned(), format!("user:*:agent:{agent}"), "user:*:agent:*".to_owned()]
            }
            ["global", "agent", _] => vec![key.to_owned(), "global:agent:*".to_owned()],
            _ => vec![key.to_owned()],
        };
        patterns.iter().find_map(|pattern| self.rates.get(pattern).copied())
    }

    /// The instant before which what buckets gave does not matter any more; none: there are no buckets. A bucket that
    /// gets nothing back remembers for ever.
    #[must_use]
    pub fn looked_back(&self, now: Timestamp) -> Option<Timestamp> {
        let full_again_ms = |rate: &Rate| (rate.capacity / rate.refill_per_s * 1e3).ceil().min(1e15) as i64;
        self.rates.values().map(full_again_ms).max().map(|ms| now.plus_ms(-ms))
    }

    /// How many may hold a named place at once; none: no limit.
    #[must_use]
    pub fn places(&self, name: &Named) -> Option<usize> {
        match name {
            Named::Key(key) => Some(self.keys.get(key).copied().unwrap_or(1)),
            Named::Queue(queue) => self.queues.get(queue).copied(),
        }
    }
}

/// A place with a name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Named {
    /// Of steps with the same concurrency key.
    Key(String),
    /// Of a queue.
    Queue(String),
}

impl std::fmt::Display for Named {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Key(key) => write!(f, "key:{key}"),
            Self::Queue(queue) => write!(f, "queue:{queue}"),
        }
    }
}

/// Tokens of one key.
#[derive(Debug, Clone, Copy)]
pub struct Bucket {
    rate: Rate,
    tokens: f64,
    at: Timestamp,
}

impl Bucket {
    /// A full one.
    #[must_use]
    pub const fn full(rate: Rate, at: Timestamp) -> Self {
        Self { rate, tokens: rate.capacity, at }
    }

    /// One that is known since an instant, and was empty then; none: it is known from its beginning, and was full. It
    /// gave a token at each of these instants, which are in order.
    #[must_use]
    pub fn after(rate: Rate, since: Option<Timestamp>, gave: &[Timestamp], now: Timestamp) -> Self {
        let first = gave.first().copied().unwrap_or(now);
        let mut bucket = match since {
            None => Self::full(rate, first),
            Some(since) => Self { rate, tokens: 0.0, at: since },
        };
        for at in gave {
            bucket.refill(*at);
            bucket.tokens = (bucket.tokens - 1.0).max(0.0);
        }
        bucket.refill(now);
        bucket
    }

    /// Another rate from now on; tokens beyond its capacity are lost.
    pub fn set_rate(&mut self, rate: Rate, now: Timestamp) {
        self.refill(now);
        self.tokens = self.tokens.min(rate.capacity);
        self.rate = rate;
    }

    fn refill(&mut self, now: Timestamp) {
        let elapsed_s = now.micros_since(self.at).max(0) as f64 / 1e6;
        self.tokens = (self.tokens + elapsed_s * self.rate.refill_per_s).min(self.rate.capacity);
        self.at = self.at.max(now);
    }

    /// Tokens at an instant.
    pub fn tokens(&mut self, now: Timestamp) -> f64 {
        self.refill(now);
        self.tokens
    }

    /// Takes tokens when there are so many.
    pub fn take(&mut self, cost: f64, now: Timestamp) -> bool {
        self.refill(now);
        // A hair less than a token, by rounding, is a token.
        let enough = self.tokens + 1e-9 >= cost;
        if enough {
            self.tokens = (self.tokens - cost).max(0.0);
        }
        enough
    }

    /// When there will be so many tokens; none when there never will.
    #[must_use]
    pub fn ready_at(&mut self, cost: f64, now: Timestamp) -> Option<Timestamp> {
        self.refill(now);
        if self.tokens + 1e-9 >= cost {
            return Some(now);
        }
        if cost > self.rate.capacity || self.rate.refill_per_s <= 0.0 {
            return None;
        }
        let missing_s = (cost - self.tokens) / self.rate.refill_per_s;
        // Rounded up, so that the token is there when the timer goes off.
        Some(now.plus_ms((missing_s * 1e3).ceil().min(1e15) as i64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(s: f64) -> Timestamp {
        Timestamp((s * 1e6) as i64)
    }

    /// The seed system's vectors: instant, cost, whether it is allowed, tokens after it.
    #[test]
    fn a_bucket_gives_what_it_holds() {
        let first: &[(f64, f64, bool, f64)] = &[
            (0.0, 1.0, true, 2.0),
            (0.0, 1.0, true, 1.0),
            (0.0, 1.0, true, 0.0),
            (0.5, 1.0, false, 0.5),
            (1.0, 1.0, true, 0.0),
            (10.0, 4.0, false, 3.0),
        ];
        let second: &[(f64, f64, bool, f64)] =
            &[(0.0, 100.0, true, 0.0), (0.05, 1.0, false, 0.5), (0.1, 1.0, true, 0.0), (100.0, 1.0, true, 99.0)];
        for (rate, vectors) in [(Rate { capacity: 3.0, refill_per_s: 1.0 }, first), (Rate::default(), second)] {
            let mut bucket = Bucket::full(rate, at(0.0));
            for (s, cost, allowed, after) in vectors {
                assert_eq!(bucket.take(*cost, at(*s)), *allowed, "at {s}");
                assert!((bucket.tokens(at(*s)) - after).abs() < 1e-6, "at {s}: {}", bucket.tokens(at(*s)));
            }
        }
    }

    #[test]
    fn a_clock_that_steps_back_gives_nothing() {
        let mut bucket = Bucket::full(Rate { capacity: 1.0, refill_per_s: 1.0 }, at(10.0));
        assert!(bucket.take(1.0, at(10.0)));
        assert!(!bucket.take(1.0, at(5.0)));
        assert!(!bucket.take(1.0, at(10.5)));
        assert!(bucket.take(1.0, at(11.0)));
    }

    #[test]
    fn the_instant_of_the_next_token_is_known() {
        let mut bucket = Bucket::full(Rate { capacity: 2.0, refill_per_s: 4.0 }, at(0.0));
        assert_eq!(bucket.ready_at(1.0, at(0.0)), Some(at(0.0)));
        assert!(bucket.take(2.0, at(0.0)));
        assert_eq!(bucket.ready_at(1.0, at(0.0)), Some(at(0.25)));
        assert!(bucket.take(1.0, at(0.25)));
        assert_eq!(bucket.ready_at(3.0, at(1.0)), None, "more than it can ever hold");
        let mut closed = Bucket::full(Rate { capacity: 0.0, refill_per_s: 0.0 }, at(0.0));
        assert_eq!(closed.ready_at(1.0, at(0.0)), None);
    }

    /// However it was used, and wherever the known part of it begins: it is never known with more tokens than it has.
    #[test]
    fn a_bucket_is_never_known_with_more_than_it_has() {
        let mut draw = 7_u64;
        let mut next = |below: u64| {
            draw = draw.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (draw >> 33) % below
        };
        for _ in 0..500 {
            let rate = Rate { capacity: (1 + next(5)) as f64, refill_per_s: next(4) as f64 / 2.0 };
            let mut bucket = Bucket::full(rate, at(0.0));
            let (mut now, mut gave) = (0.0, Vec::new());
            for _ in 0..next(40) {
                now += next(30) as f64 / 10.0;
                if bucket.take(1.0, at(now)) {
                    gave.push(at(now));
                }
            }
            let whole = Bucket::after(rate, None, &gave, at(now)).tokens(at(now));
            assert!((whole - bucket.tokens(at(now))).abs() < 1e-3, "all of it is known");
            for cut in 0..=gave.len() {
                let since = gave.get(cut).copied().unwrap_or(at(now));
                let known = Bucket::after(rate, Some(since), &gave[cut..], at(now)).tokens(at(now));
                assert!(known <= bucket.tokens(at(now)) + 1e-6, "{known} of {}", bucket.tokens(at(now)));
            }
        }
    }

    #[test]
    fn an_exact_key_goes_before_a_pattern() {
        let rate = |capacity| Rate { capacity, refill_per_s: 1.0 };
        let rates = [("user:*:agent:*", 1.0), ("user:*:agent:w", 2.0), ("user:ann:agent:w", 3.0)];
        let rates = rates.map(|(key, capacity)| (key.to_owned(), rate(capacity))).into_iter().collect();
        let limits = Limits { rates, ..Limits::default() };
        for (key, capacity) in [
            ("user:ann:agent:w", Some(3.0)),
            ("user:bob:agent:w", Some(2.0)),
            ("user:bob:agent:x", Some(1.0)),
            ("global:agent:w", None),
        ] {
            assert_eq!(limits.rate(key).map(|rate| rate.capacity), capacity, "{key}");
        }
    }
}

//! The order in which jobs go: priority, then fair between users, then age.
//!
//! Owns: who is next. Refuses to know: places, limits, what a job is.
//!
//! Users of one priority take turns, each with its oldest job, so a user with many jobs delays others by one turn. A
//! priority whose oldest job waits gains one step for each [`AGEING_MS`], so nothing starves.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

use nightshift_domain::{ids::UserId, time::Timestamp};

/// A wait that is worth one step of priority, in milliseconds.
pub const AGEING_MS: i64 = 30_000;

/// Jobs that could go, in order.
pub struct Order<K> {
    classes: BTreeMap<i16, Class<K>>,
    waiting: HashMap<K, (i16, UserId)>,
}

struct Class<K> {
    /// Users with jobs here, in the order of their turns.
    turns: VecDeque<UserId>,
    jobs: HashMap<UserId, VecDeque<(Timestamp, K)>>,
    /// Every job, oldest first; those that went are left in until they come to the front.
    by_age: BTreeMap<(Timestamp, u64), K>,
    ages: HashMap<K, (Timestamp, u64)>,
    drawn: u64,
}

impl<K> Default for Class<K> {
    fn default() -> Self {
        Self { turns: VecDeque::new(), jobs: HashMap::new(), by_age: BTreeMap::new(), ages: HashMap::new(), drawn: 0 }
    }
}

impl<K> Default for Order<K> {
    fn default() -> Self {
        Self { classes: BTreeMap::new(), waiting: HashMap::new() }
    }
}

impl<K: Clone + Eq + std::hash::Hash> Order<K> {
    /// A job joins; `false` when it waits already.
    pub fn join(&mut self, key: K, user: &UserId, priority: i16, since: Timestamp) -> bool {
        if self.waiting.contains_key(&key) {
            return false;
        }
        self.waiting.insert(key.clone(), (priority, user.clone()));
        self.classes.entry(priority).or_default().join(key, user, since);
        true
    }

    /// A job leaves without having gone.
    pub fn leave(&mut self, key: &K) -> bool {
        let Some((priority, user)) = self.waiting.remove(key) else { return false };
        if let Some(class) = self.classes.get_mut(&priority) {
            class.leave(key, &user);
            if class.ages.is_empty() {
                self.classes.remove(&priority);
            }
        }
        true
    }

    /// The priority whose turn it is, aged.
    fn turn(&self, now: Timestamp) -> Option<i16> {
        let aged = |(priority, class): (&i16, &Class<K>)| {
            let waited_ms = class.by_age.keys().next().map_or(0, |(since, _)| now.micros_since(*since).max(0) / 1_000);
            (i64::from(*priority) - waited_ms / AGEING_MS, *priority)
        };
        self.classes.iter().map(aged).min().map(|(_, priority)| priority)
    }

    /// Takes the next job out.
    pub fn next(&mut self, now: Timestamp) -> Option<K> {
        let priority = self.turn(now)?;
        let class = self.classes.get_mut(&priority)?;
        let key = class.take()?;
        if class.ages.is_empty() {
            self.classes.remove(&priority);
        }
        self.waiting.remove(&key);
        Some(key)
    }

    /// Whether somebody else should go before another job of `user` at `priority`: more urgent, or another user whose
    /// turn it is.
    #[must_use]
    pub fn is_before(&self, user: &UserId, priority: i16, now: Timestamp) -> bool {
        let Some(turn) = self.turn(now) else { return false };
        turn < priority
            || (turn == priority
                && self.classes.get(&turn).is_some_and(|class| class.turns.iter().any(|other| other != user)))
    }

    /// All that wait, in the order in which they would go if nothing else came.
    #[must_use]
    pub fn listed(&self) -> Vec<K> {
        let mut all = Vec::with_capacity(self.waiting.len());
        for class in self.classes.values() {
            let longest = class.jobs.values().map(VecDeque::len).max().unwrap_or(0);
            for round in 0..longest {
                let of_turn = class.turns.iter().filter_map(|user| class.jobs.get(user)?.get(round));
                all.extend(of_turn.map(|(_, key)| key.clone()));
            }
        }
        debug_assert_eq!(all.iter().collect::<HashSet<_>>().len(), all.len());
        all
    }
}

impl<K: Clone + Eq + std::hash::Hash> Class<K> {
    fn join(&mut self, key: K, user: &UserId, since: Timestamp) {
        let age = (since, self.drawn);
        self.drawn += 1;
        self.by_age.insert(age, key.clone());
        self.ages.insert(key.clone(), age);
        let jobs = self.jobs.entry(user.clone()).or_default();
        if jobs.is_empty() {
            self.turns.push_back(user.clone());
        }
        // Mostly the newest; a job that comes back keeps its age.
        let at = jobs.iter().rposition(|(other, _)| *other <= since).map_or(0, |at| at + 1);
        jobs.insert(at, (since, key));
    }

    fn take(&mut self) -> Option<K> {
        let user = self.turns.pop_front()?;
        let jobs = self.jobs.get_mut(&user)?;
        let (_, key) = jobs.pop_front()?;
        if jobs.is_empty() {
            self.jobs.remove(&user);
        } else {
            self.turns.push_back(user);
        }
        self.forget(&key);
        Some(key)
    }

    fn forget(&mut self, key: &K) {
        if let Some(age) = self.ages.remove(key) {
            self.by_age.remove(&age);
        }
    }

    fn leave(&mut self, key: &K, user: &UserId) {
        let Some((since, _)) = self.ages.get(key).copied() else { return };
        self.forget(key);
        let Some(jobs) = self.jobs.get_mut(user) else { return };
        // Sorted by age: the few of the same instant are looked through.
        let from = jobs.partition_point(|(other, _)| *other < since);
        if let Some(at) = (from..jobs.len()).find(|at| jobs[*at].1 == *key) {
            jobs.remove(at);
        }
        if jobs.is_empty() {
            self.jobs.remove(user);
            self.turns.retain(|other| other != user);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(s: i64) -> Timestamp {
        Timestamp(s * 1_000_000)
    }

    fn user(name: &str) -> UserId {
        UserId(name.to_owned())
    }

    fn drain(order: &mut Order<&'static str>, now: Timestamp) -> Vec<&'static str> {
        std::iter::from_fn(|| order.next(now)).collect()
    }

    #[test]
    fn priority_goes_first_then_users_take_turns_then_age() {
        let mut order = Order::default();
        for (key, name, priority, since) in [
            ("a1", "ann", 100, 1),
            ("a2", "ann", 100, 2),
            ("a3", "ann", 100, 3),
            ("b1", "bob", 100, 4),
            ("b2", "bob", 100, 5),
            ("c1", "cat", 100, 6),
            ("urgent", "ann", 10, 7),
        ] {
            assert!(order.join(key, &user(name), priority, at(since)));
            assert!(!order.join(key, &user(name), priority, at(since)), "twice is once");
        }
        assert_eq!(order.listed(), ["urgent", "a1", "b1", "c1", "a2", "b2", "a3"]);
        assert_eq!(drain(&mut order, at(8)), ["urgent", "a1", "b1", "c1", "a2", "b2", "a3"]);
        assert_eq!(order.next(at(8)), None);
    }

    #[test]
    fn what_waits_long_gains_priority() {
        let mut order = Order::default();
        order.join("old", &user("ann"), 103, at(0));
        order.join("new", &user("bob"), 100, at(119));
        assert_eq!(order.next(at(119)), Some("new"), "three steps are 90 s: 103 - 3 is not before 100 of the same age");
        order.join("newer", &user("bob"), 100, at(120));
        assert_eq!(order.next(at(120)), Some("old"), "four steps are");
        assert_eq!(order.listed(), ["newer"]);
    }

    #[test]
    fn who_leaves_is_not_given_a_turn() {
        let mut order = Order::default();
        for (key, name) in [("a1", "ann"), ("b1", "bob"), ("a2", "ann")] {
            order.join(key, &user(name), 100, at(1));
        }
        assert!(order.leave(&"b1"));
        assert!(!order.leave(&"b1"));
        assert!(order.leave(&"a1"));
        assert_eq!(drain(&mut order, at(2)), ["a2"]);
    }

    #[test]
    fn a_place_is_kept_unless_somebody_else_has_a_turn() {
        let mut order = Order::default();
        assert!(!order.is_before(&user("ann"), 100, at(0)));
        order.join("a1", &user("ann"), 100, at(0));
        assert!(!order.is_before(&user("ann"), 100, at(0)), "one's own job is no other user");
        assert!(order.is_before(&user("bob"), 100, at(0)));
        assert!(!order.is_before(&user("bob"), 50, at(0)), "it is less urgent");
    }

    #[test]
    fn a_user_with_many_jobs_delays_others_by_a_turn() {
        let mut order: Order<u32> = Order::default();
        for n in 0..1_000 {
            order.join(n, &user("many"), 100, at(0));
        }
        for n in 0..99 {
            order.join(10_000 + n, &user(&format!("few{n}")), 100, at(1));
        }
        let first: Vec<u32> = (0..100).filter_map(|_| order.next(at(1))).collect();
        assert_eq!(first.iter().filter(|key| **key >= 10_000).count(), 99);
    }
}

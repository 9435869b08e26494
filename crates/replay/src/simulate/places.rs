//! The queue of one process: the real order and the real limits, without an actor.
//!
//! Owns: who waits, who holds a place, who is held back by what; the same rules as `actors::queue`.
//! Refuses to know: how a grant reaches its run.

use std::collections::{BTreeMap, VecDeque};

use nightshift_actors::queue::{
    limits::{Bucket, Limits, Named},
    order::Order,
};
use nightshift_domain::{
    ids::{RunId, UserId},
    run::{DEFAULT_QUEUE, Gates, Token},
    time::Timestamp,
};

use super::quick::Map;

/// A step that waits for a place.
#[derive(Debug, Clone)]
pub struct Job {
    pub run: RunId,
    pub step: String,
    pub attempt: u32,
    pub priority: i16,
    pub since: Timestamp,
    pub gates: Gates,
}

pub type Key = (RunId, String);

impl Job {
    pub fn key(&self) -> Key {
        (self.run, format!("job:{}:{}", self.step, self.attempt))
    }

    pub fn names(&self) -> Vec<Named> {
        names(&self.gates)
    }
}

fn names(gates: &Gates) -> Vec<Named> {
    let keys = gates.concurrency.iter().map(|key| Named::Key(key.clone()));
    keys.chain([Named::Queue(gates.queue.clone())]).collect()
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum HeldBy {
    Place(Named),
    Rate(String),
    Pause(String),
}

/// Who waits and who holds a place.
pub struct Places {
    pub concurrency: usize,
    /// Buckets are asked and always have a token.
    pub free_tokens: bool,
    limits: Limits,
    order: Order<Key>,
    jobs: Map<Key, Job>,
    held: BTreeMap<HeldBy, VecDeque<Key>>,
    taken: BTreeMap<Token, Vec<Named>>,
    named: Map<Named, usize>,
    buckets: Map<String, Bucket>,
    /// When tokens may have come back; the owner looks then.
    pub refill_at: Option<Timestamp>,
}

impl Places {
    pub fn new(concurrency: usize, limits: Limits) -> Self {
        Self {
            concurrency,
            free_tokens: false,
            limits,
            order: Order::default(),
            jobs: Map::default(),
            held: BTreeMap::new(),
            taken: BTreeMap::new(),
            named: Map::default(),
            buckets: Map::default(),
            refill_at: None,
        }
    }

    pub fn enqueue(&mut self, job: Job) {
        let key = job.key();
        if !self.jobs.contains_key(&key) {
            self.order.join(key.clone(), &job.gates.user, job.priority, job.since);
            self.jobs.insert(key, job);
        }
    }

    pub fn forget(&mut self, key: &Key) {
        let Some(job) = self.jobs.remove(key) else { return };
        if !self.order.leave(key) {
            self.held.values_mut().for_each(|held| held.retain(|other| other != key));
        }
        job.names().into_iter().for_each(|named| self.call_back(&HeldBy::Place(named), 1));
        job.gates.buckets.iter().for_each(|key| self.call_back(&HeldBy::Rate(key.clone()), 1));
    }

    pub fn hold(&mut self, token: Token, names: Vec<Named>) {
        names.iter().for_each(|named| *self.named.entry(named.clone()).or_default() += 1);
        self.taken.insert(token, names);
    }

    pub fn release(&mut self, token: Token) {
        for named in self.taken.remove(&token).unwrap_or_default() {
            if let Some(held) = self.named.get_mut(&named) {
                *held = held.saturating_sub(1);
            }
            self.call_back(&HeldBy::Place(named), 1);
        }
    }

    fn call_back(&mut self, by: &HeldBy, most: usize) {
        let Some(held) = self.held.get_mut(by) else { return };
        let back: Vec<Key> = held.drain(..most.min(held.len())).collect();
        if held.is_empty() {
            self.held.remove(by);
        }
        for key in back {
            if let Some(job) = self.jobs.get(&key) {
                self.order.join(key, &job.gates.user, job.priority, job.since);
            }
        }
    }

    /// Steps at once.
    fn places(&self) -> usize {
        self.limits.concurrency.unwrap_or(self.concurrency)
    }

    fn has_room(&self, named: &Named) -> bool {
        let taken = self.named.get(named).copied().unwrap_or(0);
        self.limits.places(named).is_none_or(|places| taken < places)
    }

    fn obstacle(&mut self, gates: &Gates, now: Timestamp) -> Option<HeldBy> {
        if self.limits.paused.queues.contains(&gates.queue) {
            return Some(HeldBy::Pause(gates.queue.clone()));
        }
        if let Some(full) = names(gates).into_iter().find(|named| !self.has_room(named)) {
            return Some(HeldBy::Place(full));
        }
        if self.free_tokens {
            return None;
        }
        for key in &gates.buckets {
            let Some(rate) = self.limits.rate(key) else { continue };
            let bucket = self.buckets.entry(key.clone()).or_insert_with(|| Bucket::full(rate, now));
            if bucket.ready_at(1.0, now) != Some(now) {
                return Some(HeldBy::Rate(key.clone()));
            }
        }
        None
    }

    /// The next job that gets a place now.
    pub fn next(&mut self, now: Timestamp) -> Option<Job> {
        while !self.limits.paused.all && self.taken.len() < self.places() {
            let key = self.order.next(now)?;
            let Some(job) = self.jobs.get(&key) else { continue };
            let gates = job.gates.clone();
            match self.obstacle(&gates, now) {
                None => return self.pass(&key, &gates, now),
                Some(by) => self.hold_back(key, &gates, by, now),
            }
        }
        None
    }

    fn pass(&mut self, key: &Key, gates: &Gates, now: Timestamp) -> Option<Job> {
        for key in &gates.buckets {
            let Some(bucket) = self.buckets.get_mut(key) else { continue };
            bucket.take(1.0, now);
            let by = HeldBy::Rate(key.clone());
            if self.held.contains_key(&by) {
                match bucket.ready_at(1.0, now) {
                    Some(due) if due <= now => self.call_back(&by, 1),
                    due => self.arm(due),
                }
            }
        }
        self.jobs.remove(key)
    }

    fn hold_back(&mut self, key: Key, gates: &Gates, by: HeldBy, now: Timestamp) {
        if let HeldBy::Rate(bucket) = &by {
            let due = self.buckets.get_mut(bucket).and_then(|bucket| bucket.ready_at(1.0, now));
            self.arm(due);
        }
        // Places and tokens that it does not take now are for others: it may have been called back for one of them.
        let free: Vec<Named> = names(gates).into_iter().filter(|named| self.has_room(named)).collect();
        free.into_iter().for_each(|named| self.call_back(&HeldBy::Place(named), 1));
        for key in &gates.buckets {
            if self.buckets.get_mut(key).is_some_and(|bucket| bucket.ready_at(1.0, now) == Some(now)) {
                self.call_back(&HeldBy::Rate(key.clone()), 1);
            }
        }
        self.held.entry(by).or_default().push_back(key);
    }

    fn arm(&mut self, due: Option<Timestamp>) {
        let Some(due) = due.filter(|due| self.refill_at.is_none_or(|armed| *due < armed)) else { return };
        self.refill_at = Some(due);
    }

    /// Tokens may have come back.
    pub fn refilled(&mut self, now: Timestamp) {
        self.refill_at = None;
        let rate = |by: &HeldBy| match by {
            HeldBy::Rate(key) => Some(key.clone()),
            HeldBy::Place(_) | HeldBy::Pause(_) => None,
        };
        let keys: Vec<String> = self.held.keys().filter_map(rate).collect();
        for key in keys {
            let Some(bucket) = self.buckets.get_mut(&key) else { continue };
            let tokens = (bucket.tokens(now) + 1e-9).floor().clamp(0.0, 1e6) as usize;
            if tokens == 0 {
                let due = bucket.ready_at(1.0, now);
                self.arm(due);
            } else {
                self.call_back(&HeldBy::Rate(key), tokens);
            }
        }
    }

    /// Other limits from now on: what they held back joins again.
    pub fn set_limits(&mut self, limits: Limits, now: Timestamp) {
        self.buckets.retain(|key, bucket| match limits.rate(key) {
            Some(rate) => {
                bucket.set_rate(rate, now);
                true
            }
            None => false,
        });
        self.limits = limits;
        let all: Vec<HeldBy> = self.held.keys().cloned().collect();
        all.iter().for_each(|by| self.call_back(by, usize::MAX));
    }

    /// Whether the place of an attempt may stay with its run.
    pub fn may_keep(&self, user: &UserId, token: Token, priority: i16, now: Timestamp) -> bool {
        // Who keeps it passes no gates, so those of its queue must be open.
        let counted = self.limits.places(&Named::Queue(DEFAULT_QUEUE.to_owned())).is_some();
        let limited = counted || self.limits.paused.holds(DEFAULT_QUEUE);
        let there = self.taken.contains_key(&token) && self.taken.len() <= self.places();
        there && !limited && !self.order.is_before(user, priority, now)
    }
}

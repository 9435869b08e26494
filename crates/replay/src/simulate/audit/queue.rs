//! What people set of the queue: from the moment somebody was told so, it holds.
//!
//! Owns: I26, and which numbers of places may be in force. Refuses to know: who waits, and what is next.
//!
//! A change is durable a moment before the process that grants has heard of it, so at an instant several values may be in
//! force: the last one of which somebody was told, and those behind it.

use std::collections::{BTreeMap, VecDeque};

use nightshift_domain::{
    ids::{CommandId, ShardId},
    queue::{Event, Limit, LimitKey},
    run::Token,
    time::Timestamp,
};

use super::Audit;
use crate::simulate::{Invariant, database::Fact};

/// Values of one knob that are remembered; a grant is older than a few changes only when nobody looked for hours.
const VALUES_MAX: usize = 16;

/// What a knob was turned to, one after the other.
#[derive(Debug)]
struct Knob<T> {
    values: VecDeque<Turned<T>>,
}

#[derive(Debug)]
struct Turned<T> {
    by: Option<CommandId>,
    /// Since when somebody knows.
    heard: Option<Timestamp>,
    value: T,
}

impl<T: Copy> Knob<T> {
    fn at(value: T) -> Self {
        Self { values: VecDeque::from([Turned { by: None, heard: Some(Timestamp(i64::MIN)), value }]) }
    }

    fn turn(&mut self, by: CommandId, value: T) {
        self.values.push_back(Turned { by: Some(by), heard: None, value });
        if self.values.len() > VALUES_MAX {
            self.values.pop_front();
        }
    }

    fn heard(&mut self, of: impl Fn(CommandId) -> bool, now: Timestamp) {
        for value in self.values.iter_mut().filter(|value| value.heard.is_none()) {
            if value.by.is_some_and(&of) {
                value.heard = Some(now);
            }
        }
    }

    /// Values that a process may have gone by at an instant of the past.
    fn possible(&self, at: Timestamp) -> impl Iterator<Item = T> + '_ {
        let known = |value: &Turned<T>| value.heard.is_some_and(|heard| heard <= at);
        let first = self.values.iter().rposition(known).unwrap_or(0);
        self.values.iter().skip(first).map(|value| value.value)
    }
}

/// What is set.
#[derive(Debug)]
pub struct QueueView {
    all: Knob<bool>,
    paused: BTreeMap<String, Knob<bool>>,
    concurrency: Knob<Option<usize>>,
    places: BTreeMap<String, Knob<Option<usize>>>,
}

impl Default for QueueView {
    fn default() -> Self {
        let (all, concurrency) = (Knob::at(false), Knob::at(None));
        Self { all, paused: BTreeMap::new(), concurrency, places: BTreeMap::new() }
    }
}

impl QueueView {
    fn turn(&mut self, by: CommandId, event: &Event) {
        match event {
            Event::Paused { queue: None, .. } => self.all.turn(by, true),
            Event::Resumed { queue: None, .. } => self.all.turn(by, false),
            Event::Paused { queue: Some(queue), .. } => self.pause(queue).turn(by, true),
            Event::Resumed { queue: Some(queue), .. } => self.pause(queue).turn(by, false),
            Event::LimitSet { key, limit: Limit::Places { places }, .. } => {
                self.limit(by, key, Some(*places as usize));
            }
            Event::LimitCleared { key, .. } => self.limit(by, key, None),
            Event::LimitSet { .. } => {}
        }
    }

    fn pause(&mut self, queue: &str) -> &mut Knob<bool> {
        self.paused.entry(queue.to_owned()).or_insert_with(|| Knob::at(false))
    }

    fn limit(&mut self, by: CommandId, key: &LimitKey, places: Option<usize>) {
        match key {
            LimitKey::Concurrency => self.concurrency.turn(by, places),
            LimitKey::Queue(queue) => {
                self.places.entry(queue.clone()).or_insert_with(|| Knob::at(None)).turn(by, places);
            }
            LimitKey::Key(_) | LimitKey::Bucket(_) => {}
        }
    }

    fn heard(&mut self, of: &dyn Fn(CommandId) -> bool, now: Timestamp) {
        self.all.heard(of, now);
        self.concurrency.heard(of, now);
        self.paused.values_mut().for_each(|knob| knob.heard(of, now));
        self.places.values_mut().for_each(|knob| knob.heard(of, now));
    }
}

impl Audit {
    pub(super) fn queue_event(&mut self, fact: &Fact, event: &Event) {
        self.queue.turn(fact.command_id, event);
        if let Event::LimitSet { key: LimitKey::Bucket(key), .. }
        | Event::LimitCleared { key: LimitKey::Bucket(key), .. } = event
        {
            // From here on it is counted anew, by the larger rate until a process must know of the new one.
            let rate = match event {
                Event::LimitSet { limit: Limit::Rate { capacity, refill_per_s }, .. } => {
                    Some(nightshift_actors::queue::limits::Rate { capacity: *capacity, refill_per_s: *refill_per_s })
                }
                _ => self.file.rate(key),
            };
            // Whoever is told late of an earlier change is told of what counts no more.
            self.coming.retain(|_, (other, _)| other != key);
            if let Some(rate) = rate {
                let former = self.limits.rate(key).unwrap_or(rate);
                let capacity = rate.capacity.max(former.capacity);
                let refill_per_s = rate.refill_per_s.max(former.refill_per_s);
                let both = nightshift_actors::queue::limits::Rate { capacity, refill_per_s };
                self.limits.rates.insert(key.clone(), both);
                self.coming.insert(fact.command_id, (key.clone(), rate));
            }
            self.grants.retain(|(_, bucket), _| bucket != key);
        }
    }

    /// Whoever grants knows of these changes from now on.
    pub(super) fn queue_heard(&mut self, of: &dyn Fn(CommandId) -> bool, now: Timestamp) {
        self.queue.heard(of, now);
        let known: Vec<CommandId> = self.coming.keys().copied().filter(|id| of(*id)).collect();
        for (key, rate) in known.iter().filter_map(|id| self.coming.remove(id)) {
            self.grants.retain(|(_, bucket), _| *bucket != key);
            self.limits.rates.insert(key, rate);
        }
    }

    /// A process gives a place.
    pub fn granted(&mut self, token: (ShardId, Token), now: Timestamp) {
        self.given.insert(token, now);
    }

    /// A place that was given begins an attempt: it was free, and nobody had forbidden it.
    pub(super) fn place_taken(&mut self, token: (ShardId, Token), queue: Option<&str>, now: Timestamp) {
        let owner = self.owners.get(&(token.0, token.1.epoch)).copied().unwrap_or_default();
        let places = self.places.entry(owner).or_default();
        places.insert(token.1, queue.map(str::to_owned));
        let taken = places.len();
        let of_queue = queue.map(|queue| places.values().filter(|other| other.as_deref() == Some(queue)).count());
        let at = self.given.remove(&token).unwrap_or(now);
        let most = self.queue.concurrency.possible(at).map(|most| most.unwrap_or(self.concurrency)).max();
        let most = most.unwrap_or(self.concurrency);
        self.holds(Invariant::I17, taken <= most, now, || format!("{taken} attempts go at once; {most} may"));
        let name = queue.unwrap_or(nightshift_domain::run::DEFAULT_QUEUE);
        let paused = self.queue.paused.get(name).is_some_and(|knob| knob.possible(at).all(|paused| paused));
        let paused = paused || self.queue.all.possible(at).all(|paused| paused);
        self.holds(Invariant::I26, !paused, now, || format!("queue {name} gave a place at {at} while it was paused"));
        let limit = self.queue.places.get(name).map(|knob| {
            let most = knob.possible(at).try_fold(0, |most, value| value.map(|value| most.max(value)));
            most.unwrap_or(usize::MAX)
        });
        if let (Some(taken), Some(most)) = (of_queue, limit) {
            let what = || format!("{taken} attempts of queue {name} go at once; {most} may");
            self.holds(Invariant::I26, taken <= most, now, what);
        }
    }
}

//! A stream of the product in a model: the real decider, and what it owes.
//!
//! Owns: that a decision is one step (events, state and obligations together), and bytes that tell two streams apart.
//! Refuses to know: who asks, and what becomes of what is owed.

use std::{collections::BTreeMap, rc::Rc};

use nightshift_domain::{
    codec,
    decider::{Ctx, Decider, Decision, Obligation, decide_once},
    expression::NoExpressions,
    ids::{CommandId, StreamId, derive},
    run::Reports,
    time::Timestamp,
};
use nightshift_spec::calendar::ZonedCalendar;
use sha2::{Digest, Sha256};

/// What a stream asks while it decides: the calendar of the product; conditions are not part of any model.
pub struct Outside {
    calendar: ZonedCalendar,
}

impl Default for Outside {
    fn default() -> Self {
        Self { calendar: ZonedCalendar::bundled() }
    }
}

impl Outside {
    /// The calendar.
    #[must_use]
    pub const fn calendar(&self) -> &ZonedCalendar {
        &self.calendar
    }
}

/// A stream as the log has it.
pub struct Stream<D: Decider> {
    id: StreamId,
    /// The fold of its events.
    pub state: D::State,
    /// What it owes, by key.
    pub owed: BTreeMap<String, Obligation>,
    digest: [u8; 32],
}

impl<D: Decider> Clone for Stream<D> {
    fn clone(&self) -> Self {
        Self { id: self.id, state: self.state.clone(), owed: self.owed.clone(), digest: self.digest }
    }
}

/// What a decision came to.
pub struct Told<D: Decider> {
    /// What happened, or why nothing did.
    pub result: Result<Vec<D::Event>, D::Rejection>,
    /// What it owes since.
    pub opened: Vec<Obligation>,
    /// What it owes no longer.
    pub closed: Vec<String>,
}

impl<D: Decider> Told<D> {
    /// What happened.
    pub fn events(&self) -> &[D::Event] {
        self.result.as_deref().unwrap_or_default()
    }
}

impl<D: Decider> Stream<D> {
    /// Before its first event.
    #[must_use]
    pub fn unborn(id: StreamId) -> Rc<Self> {
        let mut stream = Self { id, state: D::State::default(), owed: BTreeMap::new(), digest: [0; 32] };
        stream.seal();
        Rc::new(stream)
    }

    /// Its id.
    #[must_use]
    pub const fn id(&self) -> StreamId {
        self.id
    }

    /// A command is decided and what it makes is written, in one go as in the store. `discharges`: what is owed no more by
    /// the same append, because this is what was owed.
    pub fn tell(
        self: &mut Rc<Self>,
        command: &D::Command,
        now: Timestamp,
        discharges: Option<&str>,
        outside: &Outside,
    ) -> Told<D> {
        let base = Rc::clone(self);
        self.tell_upon(&base.state, command, now, discharges, outside)
    }

    /// As [`Stream::tell`], decided upon another state than the one that is written to: what a store that checks no
    /// version would let happen.
    pub fn tell_upon(
        self: &mut Rc<Self>,
        state: &D::State,
        command: &D::Command,
        now: Timestamp,
        discharges: Option<&str>,
        outside: &Outside,
    ) -> Told<D> {
        let ctx = Ctx {
            stream: self.id,
            now,
            command_id: CommandId(derive("model", &[])),
            shard_count: 1,
            calendar: &outside.calendar,
            expressions: &NoExpressions,
            reports: Reports::NONE,
        };
        let decided = decide_once::<D>(state, command, &ctx);
        let stream = Rc::make_mut(self);
        if let Some(key) = discharges {
            stream.owed.remove(key);
        }
        let told = match decided {
            Ok(Decision { events, delta, .. }) => {
                events.iter().for_each(|event| D::evolve(&mut stream.state, event, now));
                for key in &delta.closes {
                    stream.owed.remove(key);
                }
                for obligation in &delta.opens {
                    stream.owed.insert(obligation.key.clone(), obligation.clone());
                }
                Told { result: Ok(events), opened: delta.opens, closed: delta.closes }
            }
            Err(rejection) => Told { result: Err(rejection), opened: Vec::new(), closed: Vec::new() },
        };
        stream.seal();
        told
    }

    /// An obligation is gone, however that came.
    pub fn discharge(self: &mut Rc<Self>, key: &str) {
        let stream = Rc::make_mut(self);
        stream.owed.remove(key);
        stream.seal();
    }

    /// What is owed no longer is kept all the same: what a store that forgets to close would do.
    pub fn keep(self: &mut Rc<Self>, obligations: Vec<Obligation>) {
        let stream = Rc::make_mut(self);
        stream.owed.extend(obligations.into_iter().map(|owed| (owed.key.clone(), owed)));
        stream.seal();
    }

    /// What is owed under keys that begin so.
    pub fn owes<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = &'a Obligation> {
        self.owed.values().filter(move |obligation| obligation.key.starts_with(prefix))
    }

    /// The instant of the next timer after `now`.
    #[must_use]
    pub fn next_timer(&self, now: Timestamp) -> Option<Timestamp> {
        let timers = self.owed.values().filter(|owed| owed.duty.class() == nightshift_domain::decider::Class::Timer);
        timers.map(|owed| owed.due_at).filter(|due| *due > now).min()
    }

    /// SHA-256 of its state and of what it owes, as they are written down.
    #[must_use]
    pub const fn digest(&self) -> &[u8; 32] {
        &self.digest
    }

    fn seal(&mut self) {
        let mut hasher = Sha256::new();
        hasher.update(codec::to_bytes(&self.state).expect("a state can be written"));
        for obligation in self.owed.values() {
            hasher.update(codec::to_bytes(obligation).expect("an obligation can be written"));
        }
        self.digest = hasher.finalize().into();
    }
}

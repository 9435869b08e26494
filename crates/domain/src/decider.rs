//! The shape every stream kind has: three plain functions, and the obligations they open and close.
//!
//! Owns: [`Decider`], the context of a decision, and what is owed to the world ([`Obligation`]).
//! Refuses to know: who runs a decider, where its events go, who pays an obligation.

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    calendar::Calendar,
    codec::Kept,
    expression::Expressions,
    ids::{CommandId, StreamId, StreamKind},
    run,
    streams::AnyCommand,
    time::Timestamp,
};

/// One stream kind: `decide` says what happens, `evolve` remembers it, `obligations` says what follows.
pub trait Decider: Sized + Send + Sync + 'static {
    /// The kind of stream.
    const KIND: StreamKind;
    /// Revision of [`Decider::State`]; a snapshot with another one is ignored, never migrated.
    const STATE_REVISION: u32;
    /// What is remembered. `Default` is the stream before its first event.
    type State: Default + Clone + Send + Sync + Serialize + DeserializeOwned + Kept + 'static;
    /// What can be asked.
    type Command: Clone + Send + Sync + Serialize + DeserializeOwned + Kept + std::fmt::Debug + 'static;
    /// What can happen.
    type Event: Clone + PartialEq + Send + Sync + Serialize + DeserializeOwned + Kept + std::fmt::Debug + 'static;
    /// Why not, with the facts.
    type Rejection: std::error::Error + Clone + Send + Sync + Serialize + 'static;

    /// What happens when `command` meets `state`. No events: it had happened before.
    ///
    /// # Errors
    /// The command is illegal here; nothing changes.
    fn decide(state: &Self::State, command: &Self::Command, ctx: &Ctx<'_>)
    -> Result<Vec<Self::Event>, Self::Rejection>;

    /// Remembers `event`. Total: every pair of state and event is accepted.
    fn evolve(state: &mut Self::State, event: &Self::Event, at: Timestamp);

    /// What `event`, happening to `before` in `stream`, opens and closes.
    fn obligations(stream: StreamId, before: &Self::State, event: &Self::Event, at: Timestamp) -> Delta;

    /// The stream has ended: nothing more will be asked of it.
    fn ended(state: &Self::State) -> bool;
}

/// What a decision may know beside state and command.
pub struct Ctx<'a> {
    /// The stream that decides.
    pub stream: StreamId,
    /// The instant of the decision, by the clock port.
    pub now: Timestamp,
    /// The command's identity; ids of new things derive from it.
    pub command_id: CommandId,
    /// How many shards the log has, to place new roots.
    pub shard_count: u16,
    /// Answers about due instants.
    pub calendar: &'a dyn Calendar,
    /// Answers about conditions.
    pub expressions: &'a dyn Expressions,
    /// Which messages runs owe that begin now.
    pub reports: &'a run::Reports,
}

/// The part of a [`Ctx`] that is written beside each command, so that the decision can be made again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedCtx {
    /// The instant of the decision.
    pub now: Timestamp,
    /// How many shards the log had.
    pub shard_count: u16,
    /// Edition of the zone data.
    pub tz_revision: String,
    /// Version of the program that decided.
    pub code_revision: String,
    /// Which messages runs owed that began then.
    #[serde(default, skip_serializing_if = "run::Reports::is_none")]
    pub reports: run::Reports,
    /// Fingerprint of the request, when a client named it: nothing is decided by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
}

/// Kinds of open obligation. The number is part of the store's format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// Something to be told at an instant.
    Timer,
    /// A step that waits for a lease.
    Job,
    /// Work that is being done, or was when its owner died.
    Effect,
    /// Something to be told now.
    Send,
}

impl Class {
    /// Every class.
    pub const ALL: [Self; 4] = [Self::Timer, Self::Job, Self::Effect, Self::Send];

    /// The number in the store.
    #[must_use]
    pub const fn code(self) -> i16 {
        match self {
            Self::Timer => 1,
            Self::Job => 2,
            Self::Effect => 3,
            Self::Send => 4,
        }
    }

    /// Reads [`Class::code`] back.
    #[must_use]
    pub fn from_code(code: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.code() == code)
    }
}

/// Something owed: opened in the same commit as the event that caused it, closed by its outcome.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Obligation {
    /// Unique among the open obligations of the stream, readable: `timer:1767225600000000`, `attempt:compose:2`.
    pub key: String,
    /// When it is due; the instant of the event for what is due at once.
    pub due_at: Timestamp,
    /// Lower goes first.
    pub priority: i16,
    /// What is owed.
    pub duty: Duty,
}

/// What is owed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Duty {
    /// Tell a stream something when it is due.
    Wake {
        /// Whom.
        to: StreamId,
        /// What.
        command: Box<AnyCommand>,
    },
    /// Tell another stream something now.
    Tell {
        /// Whom.
        to: StreamId,
        /// What.
        command: Box<AnyCommand>,
    },
    /// Tell another stream something now, and hear what came of it: the one who owes it is told the answer, and closes
    /// this by it.
    Ask {
        /// Whom.
        to: StreamId,
        /// What.
        command: Box<AnyCommand>,
    },
    /// Give a step of this run a lease.
    Lease {
        /// The step.
        step: String,
        /// The attempt the lease is for, from 1.
        attempt: u32,
    },
    /// See an attempt of this run through.
    Attempt {
        /// The step.
        step: String,
        /// The attempt, from 1.
        attempt: u32,
        /// The lease it runs under.
        token: run::Token,
    },
    /// Look at the sources of this deliverable for a slot.
    Assess {
        /// The slot.
        slot: uuid::Uuid,
    },
    /// Choose a page of the letters of this bulk job.
    Choose {
        /// Which page, from 0.
        page: u32,
    },
    /// Tell a webhook something about this run.
    Report {
        /// What.
        report: Box<run::Report>,
    },
}

impl Duty {
    /// Which class it is filed under.
    #[must_use]
    pub const fn class(&self) -> Class {
        match self {
            Self::Wake { .. } => Class::Timer,
            Self::Lease { .. } => Class::Job,
            Self::Attempt { .. } | Self::Assess { .. } | Self::Choose { .. } => Class::Effect,
            Self::Tell { .. } | Self::Ask { .. } | Self::Report { .. } => Class::Send,
        }
    }
}

/// What an event opens and closes on its own stream.
///
/// Invariant: no decision closes and opens the same key, so a store may do the two in any order; a key means one duty.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Delta {
    /// Opened.
    pub opens: Vec<Obligation>,
    /// Keys closed.
    pub closes: Vec<String>,
}

impl Delta {
    /// Nothing opened, nothing closed.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// Opens one.
    #[must_use]
    pub fn open(mut self, obligation: Obligation) -> Self {
        self.opens.push(obligation);
        self
    }

    /// Closes one.
    #[must_use]
    pub fn close(mut self, key: impl Into<String>) -> Self {
        self.closes.push(key.into());
        self
    }

    /// Adds what a later event of the same decision opens and closes; a pair opened and closed inside cancels out.
    pub fn absorb(&mut self, later: Self) {
        for key in later.closes {
            if let Some(at) = self.opens.iter().position(|open| open.key == key) {
                self.opens.remove(at);
            } else {
                self.closes.push(key);
            }
        }
        self.opens.extend(later.opens);
    }
}

/// Decides once: the events of `command`, the state after them and the obligations of all of them together.
///
/// # Errors
/// The decider's rejection.
pub fn decide_once<D: Decider>(
    state: &D::State,
    command: &D::Command,
    ctx: &Ctx<'_>,
) -> Result<Decision<D>, D::Rejection> {
    let events = D::decide(state, command, ctx)?;
    let mut after = state.clone();
    let mut delta = Delta::none();
    for event in &events {
        delta.absorb(D::obligations(ctx.stream, &after, event, ctx.now));
        D::evolve(&mut after, event, ctx.now);
    }
    Ok(Decision { events, after, delta })
}

/// The result of [`decide_once`].
pub struct Decision<D: Decider> {
    /// What happened.
    pub events: Vec<D::Event>,
    /// The state after it.
    pub after: D::State,
    /// What is owed now and no longer.
    pub delta: Delta,
}

/// Tells a decision as it unfolds: each event is remembered before the next is considered.
pub struct Story<D: Decider> {
    /// The state after the events so far.
    pub state: D::State,
    events: Vec<D::Event>,
    at: Timestamp,
}

impl<D: Decider> Story<D> {
    /// Starts from `state`.
    #[must_use]
    pub fn from(state: &D::State, at: Timestamp) -> Self {
        Self { state: state.clone(), events: Vec::new(), at }
    }

    /// This happens next.
    pub fn tell(&mut self, event: D::Event) {
        D::evolve(&mut self.state, &event, self.at);
        self.events.push(event);
    }

    /// All that happened.
    #[must_use]
    pub fn end(self) -> Vec<D::Event> {
        self.events
    }
}

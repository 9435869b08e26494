//! What travels to a stream, and what comes back.

use std::{any::Any, sync::Arc};

use nightshift_domain::{
    ids::{CommandId, ShardId, StreamId},
    recorded::Meta,
    streams::AnyCommand,
};

use crate::observer::OpenWork;

/// A command on its way to a stream.
pub struct Envelope {
    /// What is asked.
    pub command: AnyCommand,
    /// Its identity; the same id twice is the same command.
    pub id: CommandId,
    /// Who asks and why.
    pub meta: Meta,
    /// The obligation this command discharges, whatever is decided.
    pub discharges: Option<(StreamId, String)>,
    /// The command came from outside: a repetition is looked up in the log, and the command is kept even when nothing
    /// happens.
    pub from_client: bool,
    /// Who is told.
    pub reply: Reply,
}

/// A command that was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Done {
    /// Where the log stands after it.
    pub position: Position,
    /// Version of the stream after it.
    pub version: u64,
    /// It had been taken before.
    pub repeated: bool,
}

/// A place in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// The shard.
    pub shard: ShardId,
    /// The sequence number.
    pub seq: u64,
}

/// A command that was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotDone {
    /// The decider said no.
    #[error("{why}")]
    Rejected {
        /// In words.
        why: String,
        /// The rejection as data.
        facts: String,
    },
    /// The stream is set aside since its decider panicked three times.
    #[error("stream {stream} is set aside after repeated panics: {why}; see the runbook")]
    Quarantined {
        /// The stream.
        stream: StreamId,
        /// The last panic.
        why: String,
    },
    /// It is not known here; ask again with the same id.
    #[error("the stream did not answer: {why}; ask again with the same id")]
    Unanswered {
        /// What is known.
        why: String,
    },
    /// The decider panicked: nothing was decided and nothing is kept.
    #[error("the decider panicked: {why}; nothing was decided")]
    Panicked {
        /// What it said.
        why: String,
    },
    /// Too much is waiting.
    #[error("too much is waiting; try again in {retry_after_s} s")]
    Busy {
        /// When to try again, in seconds.
        retry_after_s: u32,
    },
}

impl NotDone {
    /// Nothing was decided: whoever owes it asks again. A stream that panics again and again is set aside, so this ends.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        matches!(self, Self::Unanswered { .. } | Self::Panicked { .. })
    }
}

/// What comes back.
pub type Outcome = Result<Done, NotDone>;

type Told = Box<dyn FnOnce(Outcome) + Send>;

/// Who is told of the outcome. Dropped without an answer (its actor ended), it tells that there was none.
pub struct Reply(Option<Told>);

impl Reply {
    /// Nobody is told.
    #[must_use]
    pub const fn nobody() -> Self {
        Self(None)
    }

    /// This is called once.
    #[must_use]
    pub fn to(told: impl FnOnce(Outcome) + Send + 'static) -> Self {
        Self(Some(Box::new(told)))
    }

    /// A reply and the future of it.
    pub fn channel() -> (Self, impl Future<Output = Outcome> + Send) {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let reply = Self::to(move |outcome| {
            let _ = sender.send(outcome);
        });
        (reply, async move {
            receiver.await.unwrap_or_else(|_| Err(NotDone::Unanswered { why: "its actor ended".to_owned() }))
        })
    }

    /// Tells.
    pub fn tell(mut self, outcome: Outcome) {
        if let Some(told) = self.0.take() {
            told(outcome);
        }
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        if let Some(told) = self.0.take() {
            told(Err(NotDone::Unanswered { why: "its actor ended".to_owned() }));
        }
    }
}

/// A question to a stream's state: given the state (as [`Any`] of the kind's state type) and the version.
pub type Question = Box<dyn FnOnce(&dyn Any, u64) + Send>;

/// An obligation that is handed over again.
pub struct Handed {
    /// What is owed.
    pub owed: nightshift_ports::log::Owed,
    /// Until it is handed over, work is open.
    pub open: OpenWork,
    /// Held meanwhile, so that a start does not load all streams at once.
    pub place: Option<tokio::sync::OwnedSemaphorePermit>,
}

/// What a stream's actor can be sent.
pub enum Message {
    /// Decide this.
    Decide(Box<Envelope>),
    /// Close an obligation of this stream that another shard's stream has discharged.
    Discharge {
        /// Its key.
        key: String,
    },
    /// Answer this from the state.
    Ask(Question),
    /// Hand over again what this obligation owes.
    Resume(Arc<Handed>),
    /// End when everything sent before is handled.
    Passivate,
}

//! One stream of any kind in memory: the real deciders behind one type.
//!
//! Owns: which decider a stream has. Refuses to know: where its events go.

use std::panic::{AssertUnwindSafe, catch_unwind};

use nightshift_domain::{
    bulk::{self, BulkDecider},
    decider::{Ctx, Decider, Delta},
    definition::{self, DefinitionDecider},
    deliverable::{self, DeliverableDecider},
    ids::{StreamId, StreamKind},
    queue::{self, QueueDecider},
    run::{self, RunDecider},
    schedule::{self, ScheduleDecider},
    source::{self, SourceDecider},
    streams::{AnyCommand, AnyEvent},
    time::Timestamp,
    topic::{self, TopicDecider},
};

/// What a stream remembers.
#[derive(Debug, Clone)]
pub enum Mind {
    Deliverable(Box<deliverable::State>),
    Run(Box<run::State>),
    Schedule(Box<schedule::State>),
    Source(Box<source::State>),
    Definition(Box<definition::State>),
    Topic(Box<topic::State>),
    Queue(Box<queue::State>),
    Bulk(Box<bulk::State>),
}

/// A command that was turned down.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Refusal {
    pub why: String,
    pub facts: String,
    /// The decider panicked. It never should.
    #[serde(skip)]
    pub panicked: bool,
}

macro_rules! each {
    ($mind:expr, $decider:ident, $state:ident => $body:expr) => {
        match $mind {
            Mind::Deliverable($state) => {
                type $decider = DeliverableDecider;
                $body
            }
            Mind::Run($state) => {
                type $decider = RunDecider;
                $body
            }
            Mind::Schedule($state) => {
                type $decider = ScheduleDecider;
                $body
            }
            Mind::Source($state) => {
                type $decider = SourceDecider;
                $body
            }
            Mind::Definition($state) => {
                type $decider = DefinitionDecider;
                $body
            }
            Mind::Topic($state) => {
                type $decider = TopicDecider;
                $body
            }
            Mind::Queue($state) => {
                type $decider = QueueDecider;
                $body
            }
            Mind::Bulk($state) => {
                type $decider = BulkDecider;
                $body
            }
        }
    };
}

macro_rules! paired {
    ($mind:expr, $other:expr, $all:ident, ($state:ident, $word:ident) => $body:expr, else $none:expr) => {
        match ($mind, $other) {
            (Mind::Deliverable($state), $all::Deliverable($word)) => {
                type D = DeliverableDecider;
                $body
            }
            (Mind::Run($state), $all::Run($word)) => {
                type D = RunDecider;
                $body
            }
            (Mind::Schedule($state), $all::Schedule($word)) => {
                type D = ScheduleDecider;
                $body
            }
            (Mind::Source($state), $all::Source($word)) => {
                type D = SourceDecider;
                $body
            }
            (Mind::Definition($state), $all::Definition($word)) => {
                type D = DefinitionDecider;
                $body
            }
            (Mind::Topic($state), $all::Topic($word)) => {
                type D = TopicDecider;
                $body
            }
            (Mind::Queue($state), $all::Queue($word)) => {
                type D = QueueDecider;
                $body
            }
            (Mind::Bulk($state), $all::Bulk($word)) => {
                type D = BulkDecider;
                $body
            }
            _ => $none,
        }
    };
}

impl Mind {
    /// A stream before its first event.
    pub fn unborn(kind: StreamKind) -> Self {
        match kind {
            StreamKind::Deliverable => Self::Deliverable(Box::default()),
            StreamKind::Run => Self::Run(Box::default()),
            StreamKind::Schedule => Self::Schedule(Box::default()),
            StreamKind::Source => Self::Source(Box::default()),
            StreamKind::Definition => Self::Definition(Box::default()),
            StreamKind::Topic => Self::Topic(Box::default()),
            StreamKind::Queue => Self::Queue(Box::default()),
            StreamKind::Bulk => Self::Bulk(Box::default()),
        }
    }

    /// Remembers an event of its kind.
    pub fn evolve(&mut self, event: &AnyEvent, at: Timestamp) {
        paired!(self, event, AnyEvent, (state, event) => D::evolve(state, event, at), else ());
    }

    /// What an event, happening now, opens and closes.
    pub fn obligations(&self, stream: StreamId, event: &AnyEvent, at: Timestamp) -> Delta {
        paired!(self, event, AnyEvent, (state, event) => D::obligations(stream, state, event, at), else Delta::none())
    }

    /// Decides a command of its kind.
    pub fn decide(&self, command: &AnyCommand, ctx: &Ctx<'_>) -> Result<Vec<AnyEvent>, Refusal> {
        let other =
            || Refusal { why: "it is for another kind of stream".into(), facts: String::new(), panicked: false };
        paired!(self, command, AnyCommand, (state, command) => once::<D>(state, command, ctx), else Err(other()))
    }

    /// Remembers events that happen now, one after the other; what they open and close together.
    pub fn follow(&mut self, stream: StreamId, events: &[AnyEvent], at: Timestamp) -> Delta {
        let mut delta = Delta::none();
        for event in events {
            delta.absorb(self.obligations(stream, event, at));
            self.evolve(event, at);
        }
        delta
    }

    /// Others look at it also while its append is under way.
    pub const fn is_asked_while_busy(&self) -> bool {
        matches!(self, Self::Source(_))
    }

    /// Nothing more will be asked of it.
    pub fn ended(&self) -> bool {
        each!(self, D, state => D::ended(state))
    }

    /// The state, encoded, to be compared.
    pub fn bytes(&self) -> Vec<u8> {
        each!(self, _D, state => nightshift_domain::codec::to_bytes(&**state).unwrap_or_default())
    }
}

/// Deciders whose events have a place in [`AnyEvent`].
trait Minded: Decider {
    fn event(event: Self::Event) -> AnyEvent;
}

macro_rules! minded {
    ($($decider:ident => $variant:ident),*) => {$(
        impl Minded for $decider {
            fn event(event: Self::Event) -> AnyEvent {
                AnyEvent::$variant(event)
            }
        }
    )*};
}

minded!(
    DeliverableDecider => Deliverable, RunDecider => Run, ScheduleDecider => Schedule, SourceDecider => Source,
    DefinitionDecider => Definition, TopicDecider => Topic, QueueDecider => Queue, BulkDecider => Bulk
);

fn once<D: Minded>(state: &D::State, command: &D::Command, ctx: &Ctx<'_>) -> Result<Vec<AnyEvent>, Refusal> {
    let Ok(decided) = catch_unwind(AssertUnwindSafe(|| D::decide(state, command, ctx))) else {
        return Err(Refusal { why: "the decider panicked".into(), facts: String::new(), panicked: true });
    };
    match decided {
        Ok(events) => Ok(events.into_iter().map(D::event).collect()),
        Err(rejection) => Err(Refusal {
            why: rejection.to_string(),
            facts: serde_json::to_string(&rejection).unwrap_or_default(),
            panicked: false,
        }),
    }
}

nightshift_domain::kept!(Refusal);

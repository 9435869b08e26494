//! The closed list of streams: commands and events of any kind, for those who carry them without looking inside.

use serde::{Deserialize, Serialize};

use crate::{bulk, definition, deliverable, ids::StreamKind, queue, run, schedule, source, topic};

/// A command to any stream.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AnyCommand {
    /// To a deliverable.
    Deliverable(deliverable::Command),
    /// To a run.
    Run(run::Command),
    /// To a schedule.
    Schedule(schedule::Command),
    /// To a source.
    Source(source::Command),
    /// To a workflow definition.
    Definition(definition::Command),
    /// To a topic.
    Topic(topic::Command),
    /// To the queue.
    Queue(queue::Command),
    /// To a bulk job.
    Bulk(bulk::Command),
}

impl AnyCommand {
    /// The kind of stream it is for.
    #[must_use]
    pub const fn kind(&self) -> StreamKind {
        match self {
            Self::Deliverable(_) => StreamKind::Deliverable,
            Self::Run(_) => StreamKind::Run,
            Self::Schedule(_) => StreamKind::Schedule,
            Self::Source(_) => StreamKind::Source,
            Self::Definition(_) => StreamKind::Definition,
            Self::Topic(_) => StreamKind::Topic,
            Self::Queue(_) => StreamKind::Queue,
            Self::Bulk(_) => StreamKind::Bulk,
        }
    }
}

impl From<deliverable::Command> for AnyCommand {
    fn from(command: deliverable::Command) -> Self {
        Self::Deliverable(command)
    }
}

impl From<run::Command> for AnyCommand {
    fn from(command: run::Command) -> Self {
        Self::Run(command)
    }
}

impl From<schedule::Command> for AnyCommand {
    fn from(command: schedule::Command) -> Self {
        Self::Schedule(command)
    }
}

impl From<source::Command> for AnyCommand {
    fn from(command: source::Command) -> Self {
        Self::Source(command)
    }
}

/// An event of any stream.
#[derive(Debug, Clone, PartialEq)]
pub enum AnyEvent {
    /// Of a deliverable.
    Deliverable(deliverable::Event),
    /// Of a run.
    Run(run::Event),
    /// Of a schedule.
    Schedule(schedule::Event),
    /// Of a source.
    Source(source::Event),
    /// Of a workflow definition.
    Definition(definition::Event),
    /// Of a topic.
    Topic(topic::Event),
    /// Of the queue.
    Queue(queue::Event),
    /// Of a bulk job.
    Bulk(bulk::Event),
}

impl From<deliverable::Event> for AnyEvent {
    fn from(event: deliverable::Event) -> Self {
        Self::Deliverable(event)
    }
}

impl From<run::Event> for AnyEvent {
    fn from(event: run::Event) -> Self {
        Self::Run(event)
    }
}

impl From<schedule::Event> for AnyEvent {
    fn from(event: schedule::Event) -> Self {
        Self::Schedule(event)
    }
}

impl From<source::Event> for AnyEvent {
    fn from(event: source::Event) -> Self {
        Self::Source(event)
    }
}

impl From<definition::Command> for AnyCommand {
    fn from(command: definition::Command) -> Self {
        Self::Definition(command)
    }
}

impl From<topic::Command> for AnyCommand {
    fn from(command: topic::Command) -> Self {
        Self::Topic(command)
    }
}

impl From<definition::Event> for AnyEvent {
    fn from(event: definition::Event) -> Self {
        Self::Definition(event)
    }
}

impl From<topic::Event> for AnyEvent {
    fn from(event: topic::Event) -> Self {
        Self::Topic(event)
    }
}

impl From<queue::Command> for AnyCommand {
    fn from(command: queue::Command) -> Self {
        Self::Queue(command)
    }
}

impl From<queue::Event> for AnyEvent {
    fn from(event: queue::Event) -> Self {
        Self::Queue(event)
    }
}

impl From<bulk::Command> for AnyCommand {
    fn from(command: bulk::Command) -> Self {
        Self::Bulk(command)
    }
}

impl From<bulk::Event> for AnyEvent {
    fn from(event: bulk::Event) -> Self {
        Self::Bulk(event)
    }
}

//! What can be asked of a definition, and why not.
//!
//! Owns: the words. Refuses to know: what follows from them.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Document, ParameterFault};
use crate::{
    calendar::CalendarError,
    content::Digest,
    ids::{RunId, ScheduleId, UserId},
    json::Json,
    run::End,
    schedule::Cause,
    time::Timestamp,
};

/// What can be asked of a definition.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Command {
    /// Keep a version. The same document again is not kept again.
    Register {
        /// What it says.
        document: Arc<Document>,
        /// Whose runs its triggers start.
        user: UserId,
        /// It is in force from now on, as by `Activate`.
        activate: bool,
    },
    /// A version is in force from now on; a deprecated one is active again.
    Activate {
        /// Which.
        version: String,
    },
    /// A version is kept for those who name it; it is in force no more.
    Deprecate {
        /// Which.
        version: String,
    },
    /// No run is started of a version any more, and it cannot come back.
    Archive {
        /// Which.
        version: String,
    },
    /// A slot of its schedule is due.
    SlotDue {
        /// Which of its schedules.
        schedule: ScheduleId,
        /// The due instant.
        nominal: Timestamp,
        /// Who says that it is due.
        #[serde(default)]
        cause: Cause,
    },
    /// An event came that it subscribed to, or a verified request to one of its webhooks.
    EventArrived {
        /// What came: `{type, id, user, correlation, intent_id, payload, at}`; type and id are needed.
        event: Json,
    },
    /// Start a run.
    Start(Box<Start>),
    /// A run that one of its schedules started is over.
    RunEnded {
        /// The run.
        run: RunId,
        /// How it ended.
        end: End,
    },
}

/// A request for a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Start {
    /// The run, if it is started.
    pub run: RunId,
    /// The version; none: the one in force.
    pub version: Option<String>,
    /// As given; checked here.
    pub parameters: Json,
    /// Whose run it is.
    pub user: UserId,
    /// What caused it: `{type, ...}`.
    pub trigger: Json,
    /// The step of another run that waits for it.
    pub parent: Option<Parent>,
    /// Priority; none: the definition's.
    pub priority: Option<i16>,
}

/// The step of another run that waits for a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parent {
    /// The run.
    pub run: RunId,
    /// The run at the top of the tree.
    pub root: RunId,
    /// The step.
    pub step: String,
    /// The attempt that waits.
    pub attempt: u32,
    /// Definitions from the top of the tree down to that of the run that waits, `owner/name`: a definition may not wait
    /// for itself.
    pub path: Vec<String>,
}

/// Why a command is illegal here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum Rejection {
    /// There is no such definition.
    #[error("there is no such definition")]
    Unknown,
    /// The document is of another definition.
    #[error("this is not the definition {owner}/{name}")]
    AnotherDefinition {
        /// Owner in the document.
        owner: String,
        /// Name in the document.
        name: String,
    },
    /// There is no such version.
    #[error("there is no version {version:?}; there are: {}", versions.join(", "))]
    NoSuchVersion {
        /// As asked.
        version: String,
        /// Those there are.
        versions: Vec<String>,
    },
    /// The version says something else already.
    #[error("version {version:?} is registered with another document ({kept}); give the new one another version")]
    VersionDiffers {
        /// Which.
        version: String,
        /// Digest of what is kept.
        kept: Digest,
    },
    /// No run would accept its graph.
    #[error("version {version:?} cannot be carried out: {why}")]
    Unsound {
        /// Which.
        version: String,
        /// What is wrong with it.
        why: String,
    },
    /// No due instant can be computed for one of its schedules.
    #[error(transparent)]
    Calendar(CalendarError),
    /// No run can be started of it.
    #[error("no run can be started of version {version:?}: it is {standing}")]
    NotStartable {
        /// Which.
        version: String,
        /// How far it is.
        standing: String,
    },
    /// No version is in force.
    #[error("no version is active; activate one of: {}", versions.join(", "))]
    NoneActive {
        /// Those there are.
        versions: Vec<String>,
    },
    /// Parameters are not as the definition wants them.
    #[error("{}", faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Parameters {
        /// Every fault.
        faults: Vec<ParameterFault>,
    },
    /// It would wait for itself.
    #[error("a definition cannot wait for itself: {}", path.join(" -> "))]
    Recursion {
        /// From the top of the tree down to this one, which is in it twice.
        path: Vec<String>,
    },
    /// The event does not say what it is.
    #[error("an event needs a {missing:?} that is a text and not empty")]
    NoEvent {
        /// The field.
        missing: String,
    },
}

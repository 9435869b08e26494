//! Approvals: a question to people, bound to what is to be approved, answered once.
//!
//! Owns: the identity of a question and the words of question and answer.
//! Refuses to know: who may answer, and what follows from an answer.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    flow::{ApprovalAction, Checkpoint},
    places::Places,
};
use crate::{
    content::Digest,
    ids::{RunId, derive},
    json::Json,
    time::Timestamp,
};

/// Identity of a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ApprovalId(pub Uuid);

impl ApprovalId {
    /// The question that is asked about a step; `round` counts the questions about it, from 1.
    #[must_use]
    pub fn of(run: RunId, step: &str, round: u32) -> Self {
        Self(derive("approval", &[run.uuid().as_bytes(), step.as_bytes(), &round.to_be_bytes()]))
    }
}

impl fmt::Display for ApprovalId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A question to people.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Approval {
    /// Its identity.
    pub id: ApprovalId,
    /// Which question about this step it is, from 1.
    pub round: u32,
    /// Question, options, who, with templates filled in.
    pub checkpoint: Checkpoint,
    /// What is to be approved.
    pub payload: Json,
    /// What in it is kept outside of the events, and stands there as what says where.
    #[serde(default, skip_serializing_if = "Places::is_empty")]
    pub inside: Places,
    /// SHA-256 of its canonical text. An answer to another payload is void.
    pub digest: Digest,
    /// When nobody will be waited for any longer.
    pub deadline: Option<Timestamp>,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// To which question.
    pub approval: ApprovalId,
    /// What was decided.
    pub action: ApprovalAction,
    /// Who answered; `deadline` when nobody did.
    pub by: String,
    /// For people.
    #[serde(default)]
    pub note: Option<String>,
    /// Laid over the step's input when it is done again, or over the payload when the run goes on.
    #[serde(default)]
    pub modifications: Option<Json>,
    /// Digest of the payload that was looked at; none: whatever it is.
    #[serde(default)]
    pub digest: Option<Digest>,
}

//! What surrounds a step: when it goes, how often, what is asked of people, what is kept.
//!
//! Owns: the words. Refuses to know: how conditions and templates are evaluated.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::json::Json;

/// When and how often a step goes, and what happens around it. The default changes nothing.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Flow {
    /// Name for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// A condition in CEL; when it is false the step is skipped and what depends on it goes on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
    /// A template that gives a list; the step goes once for each of its elements, seen as `item` and `index`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub for_each: Option<Json>,
    /// How many of these may go at once; none: as many as the run allows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub for_each_parallel: Option<u16>,
    /// In which part of the run it goes.
    pub part: Part,
    /// What later steps see: names with `$`-paths into what was made, or literals. Empty: what was made.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub output_mapping: BTreeMap<String, Json>,
    /// A person is asked before the run goes on behind it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<Box<Checkpoint>>,
    /// What it made is kept for steps with the same input.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache: Option<CachePolicy>,
    /// People may not skip it.
    pub no_skip: bool,
    /// The queue it waits in; none: the default one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue: Option<String>,
    /// Steps with the same key go one after another, over all runs; a template.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub concurrency_key: Option<String>,
    /// Hints for people who undo it by hand.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rollback: Option<Rollback>,
}

impl Flow {
    /// Whether it is the default.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        *self == Self::default()
    }
}

/// In which part of the run a step goes, in the order in which these go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// With the others.
    #[default]
    Main,
    /// Only when the main part has failed, behind it.
    OnFailure,
    /// At the end, whatever happened.
    Finally,
}

/// What people should know who undo a step. Nothing undoes it by itself.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Rollback {
    /// It can be undone.
    pub reversible: bool,
    /// Only by hand.
    pub manual_only: bool,
    /// How.
    pub description: Option<String>,
    /// Name for people.
    pub label: Option<String>,
}

/// How long what a step made is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CachePolicy {
    /// Seconds; none: for ever.
    pub ttl_s: Option<u32>,
}

impl CachePolicy {
    /// Seconds when a definition says nothing.
    pub const DEFAULT_S: u32 = 600;
    /// The longest that can be asked for, in seconds.
    pub const MAX_S: u32 = 86_400;

    /// Of what a definition says: nothing is ten minutes, zero and less is for ever, and a day is the most.
    #[must_use]
    pub fn of_seconds(said: Option<f64>) -> Self {
        let ttl_s = match said {
            None => Some(Self::DEFAULT_S),
            Some(said) if said <= 0.0 => None,
            Some(said) => Some((said.min(f64::from(Self::MAX_S)).floor() as u32).max(1)),
        };
        Self { ttl_s }
    }
}

/// What a person is asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// The question.
    pub question: String,
    /// What can be answered. Never empty.
    pub options: Vec<ApprovalOption>,
    /// Nobody has to answer: the question is kept for people, the run goes on.
    #[serde(default)]
    pub advisory: bool,
    /// Who is asked; none: whoever may.
    #[serde(default)]
    pub assignee: Option<String>,
    /// A group that is asked.
    #[serde(default)]
    pub group: Option<String>,
    /// How urgent: `low`, `normal`, `high`.
    #[serde(default)]
    pub severity: Option<String>,
    /// The question has a deadline so many milliseconds after it was asked.
    #[serde(default)]
    pub timeout_ms: Option<u64>,
    /// What happens at the deadline.
    #[serde(default)]
    pub on_timeout: OnTimeout,
}

/// What happens when nobody answered in time.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnTimeout {
    /// The run is aborted.
    #[default]
    Abort,
    /// The run goes on as if it had been approved.
    Approve,
    /// Somebody else is asked, without a deadline.
    Escalate {
        /// Whom.
        to: String,
    },
}

/// One answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApprovalOption {
    /// What it does.
    pub action: ApprovalAction,
    /// Name for people.
    pub label: String,
    /// Changes to the input may come with it.
    #[serde(default)]
    pub allows_modification: bool,
    /// More for people.
    #[serde(default)]
    pub description: Option<String>,
}

/// What a decision does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ApprovalAction {
    /// The run goes on.
    Continue,
    /// The step is done again.
    Retry,
    /// The run is stopped.
    Abort,
}

impl ApprovalAction {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::Continue, Self::Retry, Self::Abort];

    /// The word in documents and requests.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Continue => "continue",
            Self::Retry => "retry",
            Self::Abort => "abort",
        }
    }

    /// The word an approval has after it, in tables.
    #[must_use]
    pub const fn outcome(self) -> &'static str {
        match self {
            Self::Continue => "approved",
            Self::Retry => "retried",
            Self::Abort => "aborted",
        }
    }
}

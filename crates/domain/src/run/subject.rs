//! What a run is for: a version of a deliverable, or a workflow that somebody defined.
//!
//! Owns: the two, and their form in events, which is that of the first releases with more fields.

use serde::{Deserialize, Serialize};

use crate::{
    content::Digest,
    ids::{DefinitionId, DeliverableId},
};

/// What a run is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Form", into = "Form")]
pub enum Subject {
    /// A version of a deliverable.
    Version {
        /// The deliverable.
        deliverable: DeliverableId,
        /// Number of its version, from 1.
        version_number: u32,
        /// Title, for people.
        title: String,
    },
    /// An execution of a definition.
    Workflow {
        /// Which one, pinned.
        workflow: WorkflowRef,
        /// Title, for people.
        title: String,
    },
}

impl Subject {
    /// Title, for people.
    #[must_use]
    pub fn title(&self) -> &str {
        match self {
            Self::Version { title, .. } | Self::Workflow { title, .. } => title,
        }
    }

    /// The deliverable and the number of its version.
    #[must_use]
    pub const fn version(&self) -> Option<(DeliverableId, u32)> {
        match self {
            Self::Version { deliverable, version_number, .. } => Some((*deliverable, *version_number)),
            Self::Workflow { .. } => None,
        }
    }

    /// The same, under another version of the definition.
    #[must_use]
    pub fn migrated(&self, to: &WorkflowRef) -> Self {
        match self {
            Self::Workflow { title, .. } => Self::Workflow { workflow: to.clone(), title: title.clone() },
            version @ Self::Version { .. } => version.clone(),
        }
    }

    /// The definition.
    #[must_use]
    pub const fn workflow(&self) -> Option<&WorkflowRef> {
        match self {
            Self::Workflow { workflow, .. } => Some(workflow),
            Self::Version { .. } => None,
        }
    }
}

/// A version of a definition, as a run pins it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkflowRef {
    /// The definition; none when the plan came with the request.
    pub definition: Option<DefinitionId>,
    /// Owner.
    pub owner: String,
    /// Name.
    pub name: String,
    /// Version.
    pub version: String,
    /// SHA-256 of the document.
    pub digest: Digest,
}

impl std::fmt::Display for WorkflowRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}@{}", self.owner, self.name, self.version)
    }
}

/// How it is written: the fields of a version stand beside each other, as they always did.
#[derive(Clone, Serialize, Deserialize)]
struct Form {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    deliverable: Option<DeliverableId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    version_number: Option<u32>,
    title: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    workflow: Option<WorkflowRef>,
}

impl From<Subject> for Form {
    fn from(subject: Subject) -> Self {
        match subject {
            Subject::Version { deliverable, version_number, title } => {
                Self { deliverable: Some(deliverable), version_number: Some(version_number), title, workflow: None }
            }
            Subject::Workflow { workflow, title } => {
                Self { deliverable: None, version_number: None, title, workflow: Some(workflow) }
            }
        }
    }
}

impl TryFrom<Form> for Subject {
    type Error = &'static str;

    fn try_from(form: Form) -> Result<Self, Self::Error> {
        match form {
            Form { workflow: Some(workflow), title, .. } => Ok(Self::Workflow { workflow, title }),
            Form { deliverable: Some(deliverable), version_number: Some(version_number), title, .. } => {
                Ok(Self::Version { deliverable, version_number, title })
            }
            _ => Err("a run is for a version of a deliverable or for a workflow"),
        }
    }
}

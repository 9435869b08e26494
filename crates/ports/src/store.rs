//! A whole store: every port that one database serves.

use crate::{
    blobs::Blobs,
    log::{EventLog, Inbox, Membership},
    read_models::{Cursors, ReadModels},
    step_cache::StepCache,
};

/// Everything one database does for a running system.
pub trait Store: EventLog + Inbox + Membership + Blobs + ReadModels + Cursors + StepCache {}

impl<T: EventLog + Inbox + Membership + Blobs + ReadModels + Cursors + StepCache> Store for T {}

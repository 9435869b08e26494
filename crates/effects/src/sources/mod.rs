//! Looking at sources.
//!
//! Owns: the dispatch on the kind of source, the time-out of a look, and what all kinds share.
//! Refuses to know: schedules, streams, what is done with an observation.

mod feed;
mod folder;
mod git;
mod git_log;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use nightshift_domain::content::{Cursor, Failure, FailureClass, Item, Observation, SourceFailure, SourceSpec, Text};
use nightshift_ports::{
    blobs::Blobs,
    log::StoreError,
    performer::{Look, SourceReader},
};

use crate::{http::Clients, text::text_of};

/// Reads folders, git repositories, feeds and fixed texts.
pub struct Sources {
    clients: Clients,
    blobs: Arc<dyn Blobs>,
}

impl Sources {
    pub(crate) fn new(clients: Clients, blobs: Arc<dyn Blobs>) -> Self {
        Self { clients, blobs }
    }

    async fn dispatch(&self, look: &Look) -> Result<Observation, SourceFailure> {
        let blobs = self.blobs.as_ref();
        match &look.spec {
            SourceSpec::Folder { path, include, exclude } => {
                folder::observe(&folder::Wanted { path, include, exclude }, look, blobs).await
            }
            SourceSpec::Git { path, branch } => git::observe(path, branch.as_deref(), look, blobs).await,
            SourceSpec::Feed { url } => feed::observe(&self.clients, url, look, blobs).await,
            SourceSpec::Description { value } => description(value, look, blobs).await,
        }
    }
}

#[async_trait]
impl SourceReader for Sources {
    async fn observe(&self, look: Look) -> Result<Observation, SourceFailure> {
        let limit = Duration::from_millis(look.timeout_ms);
        match tokio::time::timeout(limit, self.dispatch(&look)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(SourceFailure {
                class: FailureClass::Timeout,
                message: format!(
                    "{} {} was not read within {} ms; nothing of this look was kept",
                    look.spec.platform(),
                    look.spec.resource_name(),
                    look.timeout_ms
                ),
            }),
        }
    }
}

/// A fixed text is one item, always the same one.
async fn description(value: &str, look: &Look, blobs: &dyn Blobs) -> Result<Observation, SourceFailure> {
    const ID: &str = "description";
    let text = stored(value.to_owned(), blobs).await?;
    let unchanged = look.known.get(ID) == Some(&text.digest);
    let title = crate::compose::heading_of(value).unwrap_or_else(|| "Description".to_owned());
    let item = Item {
        item_id: ID.to_owned(),
        title,
        link: None,
        author: None,
        source_at: None,
        text,
        facts: [].into(),
    };
    let items = if unchanged { Vec::new() } else { vec![item] };
    let removed = look.known.keys().filter(|id| *id != ID).cloned().collect();
    Ok(Observation {
        items,
        removed,
        omitted: Vec::new(),
        cursor: Cursor::new(),
    })
}

/// Puts a text where it belongs; a store that does not take it makes the look fail for now.
async fn stored(text: String, blobs: &dyn Blobs) -> Result<Text, SourceFailure> {
    text_of(text, blobs).await.map_err(|error: StoreError| SourceFailure {
        class: FailureClass::Transient,
        message: format!("a text was read but could not be kept: {error}"),
    })
}

/// A failure that somebody has to mend.
fn permanent(message: String) -> SourceFailure {
    SourceFailure {
        class: FailureClass::Permanent,
        message,
    }
}

/// A failure of a request, seen from a source.
fn from_failure(failure: Failure) -> SourceFailure {
    SourceFailure {
        class: failure.class,
        message: failure.message,
    }
}

/// Work that blocks, off the runtime's threads.
async fn blocking<T: Send + 'static>(
    what: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, SourceFailure> {
    tokio::task::spawn_blocking(work).await.map_err(|error| {
        permanent(format!(
            "{what}: the reader failed: {error}; this is a fault of the program"
        ))
    })
}

//! Looking at sources.
//!
//! Owns: the dispatch on the kind of source, the time-out of a look, and what all kinds share.
//! Refuses to know: schedules, streams, what is done with an observation.

pub(crate) mod feed;
mod folder;
mod git;
pub(crate) mod git_log;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use nightshift_domain::content::{
    Cursor, Failure, FailureClass, Item, Observation, Omission, SourceFailure, SourceSpec, Text,
};
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
    max_item_bytes: u64,
}

impl Sources {
    pub(crate) fn new(clients: Clients, blobs: Arc<dyn Blobs>, max_item_bytes: u64) -> Self {
        Self { clients, blobs, max_item_bytes }
    }

    async fn dispatch(&self, look: &Look) -> Result<Observation, SourceFailure> {
        let keep = Keep { blobs: self.blobs.as_ref(), max_item_bytes: self.max_item_bytes };
        match &look.spec {
            SourceSpec::Folder { path, include, exclude } => {
                folder::observe(&folder::Wanted { path, include, exclude }, look, &keep).await
            }
            SourceSpec::Git { path, branch } => git::observe(path, branch.as_deref(), look, &keep).await,
            SourceSpec::Feed { url } => feed::observe(&self.clients, url, look, &keep).await,
            SourceSpec::Description { value } => description(value, look, keep.blobs).await,
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

/// Where texts are kept, and how large one of them may be.
struct Keep<'a> {
    blobs: &'a dyn Blobs,
    max_item_bytes: u64,
}

impl Keep<'_> {
    /// Why an item of this many bytes is left out, when it is. `many` is what such items are called.
    fn too_large(&self, item_id: &str, bytes: usize, many: &str) -> Option<Omission> {
        let bytes = bytes as u64;
        (bytes > self.max_item_bytes)
            .then(|| Omission { item_id: item_id.to_owned(), reason: oversize(bytes, self.max_item_bytes, many) })
    }
}

/// The words for an item with more bytes than are read.
fn oversize(bytes: u64, max: u64, many: &str) -> String {
    format!("it has {bytes} bytes; {many} over {max} bytes are not read (sources.max_item_bytes)")
}

/// A fixed text is one item, always the same one.
async fn description(value: &str, look: &Look, blobs: &dyn Blobs) -> Result<Observation, SourceFailure> {
    const ID: &str = "description";
    let text = stored(value.to_owned(), blobs).await?;
    let unchanged = look.known.get(ID) == Some(&text.digest);
    let title = crate::compose::heading_of(value).unwrap_or_else(|| "Description".to_owned());
    let item =
        Item { item_id: ID.to_owned(), title, link: None, author: None, source_at: None, text, facts: [].into() };
    let items = if unchanged { Vec::new() } else { vec![item] };
    let removed = look.known.keys().filter(|id| *id != ID).cloned().collect();
    Ok(Observation { items, removed, omitted: Vec::new(), cursor: Cursor::new() })
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
    SourceFailure { class: FailureClass::Permanent, message }
}

/// A failure of a request, seen from a source.
fn from_failure(failure: Failure) -> SourceFailure {
    SourceFailure { class: failure.class, message: failure.message }
}

/// Work that blocks, off the runtime's threads.
async fn blocking<T: Send + 'static>(
    what: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, SourceFailure> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| permanent(format!("{what}: the reader failed: {error}; this is a fault of the program")))
}

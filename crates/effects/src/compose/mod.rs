//! Making documents.
//!
//! Owns: the choice between a model and extraction, and where the texts of the material come from.
//! Refuses to know: whether a document is good enough, when it is made.

mod change;
mod changes_page;
mod dates;
pub(crate) mod extract;
mod findings;
mod frame;
mod gathered;
mod glance;
mod ink;
mod marks;
mod marks_page;
pub(crate) mod model;
mod notes_page;
mod plain;
mod prompt;
mod rank;
mod reading;
mod requested;
mod sentences;
mod subject;
mod words;

use std::sync::Arc;

use async_trait::async_trait;
use nightshift_domain::content::{Composer, Draft, Failure, FailureClass, Material};
use nightshift_ports::{
    blobs::Blobs,
    log::StoreError,
    performer::{Call, Composing},
};

pub(crate) use self::reading::{heading_of, is_markdown};
use crate::{
    config::LlmConfig,
    http::{self, Clients},
    text::{full_text, text_of},
};
pub use extract::REVISION;

/// Composes by a model when one is configured, by extraction otherwise.
pub struct Composers {
    model: Option<model::Model>,
    blobs: Arc<dyn Blobs>,
}

impl Composers {
    pub(crate) fn new(llm: Option<LlmConfig>, clients: Clients, blobs: Arc<dyn Blobs>) -> Self {
        Self { model: llm.map(|config| model::Model::new(config, clients)), blobs }
    }

    /// The full text of every item, group by group.
    async fn texts(&self, material: &Material) -> Result<Vec<Vec<Option<String>>>, StoreError> {
        let mut all = Vec::with_capacity(material.groups.len());
        for group in &material.groups {
            let mut texts = Vec::with_capacity(group.items.len());
            for item in &group.items {
                texts.push(full_text(&item.text, self.blobs.as_ref()).await?);
            }
            all.push(texts);
        }
        Ok(all)
    }

    async fn work(&self, material: &Material, call: &Call) -> Result<Draft, Failure> {
        let texts = self.texts(material).await.map_err(|error| store_failed(&error))?;
        let (markdown, composer, warnings) = match &self.model {
            Some(model) => {
                let max = model.max_input_bytes();
                let prompt = blocking(material, texts, move |material, texts| prompt::of(material, texts, max)).await?;
                let answer = model.complete(&prompt, call).await?;
                (answer.markdown, answer.composer, answer.warnings)
            }
            None => {
                let page = blocking(material, texts, extract::compose).await?;
                (page.markdown, Composer::Extractive { revision: REVISION }, page.warnings)
            }
        };
        let text = text_of(markdown, self.blobs.as_ref()).await.map_err(|error| store_failed(&error))?;
        Ok(Draft { text, composer, warnings })
    }
}

#[async_trait]
impl Composing for Composers {
    async fn compose(&self, material: &Material, call: &Call) -> Result<Draft, Failure> {
        let limit_ms = self.model.as_ref().map_or(call.timeout_ms, |model| call.timeout_ms.min(model.timeout_ms()));
        let limit = std::time::Duration::from_millis(limit_ms);
        match tokio::time::timeout(limit, self.work(material, call)).await {
            Ok(outcome) => outcome,
            Err(_) => {
                let whom = self.model.as_ref().map_or_else(|| "composing".to_owned(), model::Model::name);
                Err(http::timed_out(&whom, limit_ms))
            }
        }
    }
}

/// Reading and ranking take a while for large material, so they run off the runtime's threads.
async fn blocking<T: Send + 'static>(
    material: &Material,
    texts: Vec<Vec<Option<String>>>,
    work: impl FnOnce(&Material, &[Vec<Option<String>>]) -> T + Send + 'static,
) -> Result<T, Failure> {
    let material = material.clone();
    tokio::task::spawn_blocking(move || work(&material, &texts))
        .await
        .map_err(|error| http::permanent(format!("the composer failed: {error}; this is a fault of the program")))
}

fn store_failed(error: &StoreError) -> Failure {
    http::failure(FailureClass::Transient, format!("a text could not be moved to or from the content store: {error}"))
}

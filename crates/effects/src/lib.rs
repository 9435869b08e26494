//! Real performers: reading sources, composing documents, delivering them and telling people, and the steps of
//! workflows.
//!
//! Owns: every socket, file and process that the pipeline touches on behalf of an order, and how each failure is classed.
//! Refuses to know: retries, leases, streams, stores. It implements the traits of `ports::performer` and nothing more.
//!
//! Invariant: no clock is read here; the instant arrives in `Look` and `Call`. Only time-outs use the runtime's timer.
//! Invariant: a secret is resolved at the moment it is used and never reaches an error, a log line or a result.

pub mod compose;
mod config;
pub mod deliver;
#[cfg(feature = "fuzz")]
pub mod fuzz;
mod http;
mod process;
mod secrets;
pub mod sources;
pub mod steps;
mod text;

use std::sync::Arc;

use nightshift_ports::{blobs::Blobs, performer::Performers, step_cache::StepCache};

pub use crate::{
    compose::Composers,
    config::{EffectsConfig, EffectsError, LlmConfig, ReportsConfig, SmtpConfig, SmtpTls},
    deliver::Deliveries,
    secrets::{SecretError, check_reference, resolve},
    sources::Sources,
    steps::{AgentConfig, CachedActing, SecretConfig, Steps, StepsConfig},
    text::{digest_of, full_text, text_of},
};

/// Builds the performers of a running system. `cache` keeps what steps of workflows made.
///
/// The process must have installed a rustls crypto provider before.
///
/// # Errors
/// The configuration names something impossible, or no HTTP client could be made (no crypto provider, no CA store).
pub fn performers(
    config: EffectsConfig,
    blobs: Arc<dyn Blobs>,
    cache: Arc<dyn StepCache>,
) -> Result<Performers, EffectsError> {
    config.check()?;
    let clients = http::Clients::new(&config.user_agent, config.loopback_no_proxy)?;
    let agents = config.steps.agents.iter();
    let versions = agents.filter_map(|(slug, agent)| Some((slug.clone(), agent.version.clone()?))).collect();
    let entries_max = config.steps.cache_entries_max;
    let secrets = config.steps.secrets.clone();
    let steps = Steps::new(config.steps, config.llm.clone(), clients.clone(), Arc::clone(&cache))?;
    Ok(Performers {
        sources: Arc::new(Sources::new(clients.clone(), blobs.clone(), config.max_item_bytes)),
        composing: Arc::new(Composers::new(config.llm, clients.clone(), blobs.clone())),
        delivering: Arc::new(Deliveries::new(config.smtp, config.reports, secrets, clients)),
        acting: Arc::new(CachedActing::new(Arc::new(steps), cache, versions, entries_max)),
        blobs,
    })
}

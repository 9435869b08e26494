//! The steps of workflows that reach out.
//!
//! Owns: which module does which step, and the bound of what a failure says.
//! Refuses to know: templates, retries, what comes before and after a step.

pub(crate) mod address;
mod agent;
mod answer;
mod cached;
mod call;
mod config;
mod llm;
mod process;
mod vault;

use std::sync::Arc;

use async_trait::async_trait;
use nightshift_domain::{
    content::Failure,
    run::{Action, Outcome},
};
use nightshift_ports::{
    performer::{Acting, Call},
    step_cache::StepCache,
};
use reqwest::Url;

use self::address::Base;
pub use self::{
    cached::CachedActing,
    config::{AgentConfig, SecretConfig, StepsConfig},
};
use crate::{
    compose::model::{Model, Question},
    config::{EffectsError, LlmConfig, value},
    http::{Clients, permanent},
};

/// What a failure says at most, in bytes.
const MESSAGE_BYTES_MAX: usize = 2 * 1024;

/// Calls endpoints and agents, runs programs, asks models.
pub struct Steps {
    config: StepsConfig,
    base: Option<Base>,
    model: Option<Model>,
    clients: Clients,
    cache: Arc<dyn StepCache>,
}

impl Steps {
    pub(crate) fn new(
        config: StepsConfig,
        llm: Option<LlmConfig>,
        clients: Clients,
        cache: Arc<dyn StepCache>,
    ) -> Result<Self, EffectsError> {
        let base = config.base_url.as_deref().map(Url::parse).transpose();
        let base = base.map_err(|error| value("steps.base_url", &error.to_string(), "an http or https address"))?;
        let model = llm.map(|llm| Model::new(llm, clients.clone()));
        Ok(Self { base: base.map(Base::new), config, model, clients, cache })
    }

    async fn work(&self, action: &Action, call: &Call) -> Result<Outcome, Failure> {
        match action {
            Action::Call { url, method, headers, body } => {
                call::perform(self, &call::Wanted { url, method, headers, body: body.as_ref() }, call).await
            }
            Action::Agent { agent, mode, input } => agent::perform(self, (agent, mode), input, call).await,
            Action::Process { command, input, env, output_bytes_max, memory_bytes_max } => {
                let (output_bytes_max, memory_bytes_max) = (*output_bytes_max, *memory_bytes_max);
                let wanted = process::Wanted { command, input, env, output_bytes_max, memory_bytes_max };
                process::perform(self, &wanted, call).await
            }
            Action::Llm { system, prompt, model, max_tokens, json } => {
                let question = Question {
                    system: system.as_deref(),
                    user: prompt,
                    model: model.as_deref(),
                    max_tokens: *max_tokens,
                    json: *json,
                };
                llm::perform(self, &question, call).await
            }
            other => {
                let kind = other.as_str();
                Err(permanent(format!("a {kind} step reaches nobody; that it came here is a fault of the program")))
            }
        }
    }
}

#[async_trait]
impl Acting for Steps {
    async fn act(&self, action: &Action, call: &Call) -> Result<Outcome, Failure> {
        self.work(action, call).await.map_err(bounded)
    }
}

fn bounded(mut failure: Failure) -> Failure {
    if failure.message.len() > MESSAGE_BYTES_MAX {
        failure.message.truncate(failure.message.floor_char_boundary(MESSAGE_BYTES_MAX - '…'.len_utf8()));
        failure.message.push('…');
    }
    failure
}

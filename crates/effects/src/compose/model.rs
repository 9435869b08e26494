//! A model behind an OpenAI-compatible chat endpoint.
//!
//! Owns: the request, what of the answer is kept, and which answer is which class of failure.
//! Refuses to know: what is asked.

use nightshift_domain::{
    content::{Composer, Failure},
    ids::derive_u64,
};
use nightshift_ports::performer::Call;
use reqwest::{Response, Url};
use serde::Deserialize;
use serde_json::json;

use super::prompt::Prompt;
use crate::{
    config::LlmConfig,
    http::{self, Clients, permanent},
    secrets::resolve,
    text::{excerpt, one_line},
};

/// A document is far smaller; an answer of this size is not one.
const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;
const EXCERPT_CHARS: usize = 200;
const TEMPERATURE: f64 = 0.2;

/// An endpoint and a model on it.
pub(super) struct Model {
    config: LlmConfig,
    clients: Clients,
}

/// What a model made.
pub(super) struct Answer {
    pub markdown: String,
    pub composer: Composer,
    pub warnings: Vec<String>,
}

#[derive(Deserialize)]
struct Completion {
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    choices: Vec<Choice>,
    #[serde(default)]
    usage: Option<Usage>,
}

#[derive(Deserialize)]
struct Choice {
    #[serde(default)]
    message: Option<Message>,
    #[serde(default)]
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct Message {
    #[serde(default)]
    content: Option<String>,
}

#[derive(Deserialize, Default)]
struct Usage {
    #[serde(default)]
    prompt_tokens: u64,
    #[serde(default)]
    completion_tokens: u64,
}

impl Model {
    pub(super) fn new(config: LlmConfig, clients: Clients) -> Self {
        Self { config, clients }
    }

    pub(super) fn name(&self) -> String {
        let place =
            Url::parse(&self.config.base_url).map_or_else(|_| self.config.base_url.clone(), |url| http::shown(&url));
        format!("model {} at {place}", self.config.model)
    }

    pub(super) fn timeout_ms(&self) -> u64 {
        self.config.timeout_ms
    }

    pub(super) fn max_input_bytes(&self) -> usize {
        self.config.max_input_bytes
    }

    pub(super) async fn complete(&self, prompt: &Prompt, call: &Call) -> Result<Answer, Failure> {
        let whom = self.name();
        let response = self.send(prompt, call, &whom).await?;
        let body = read(response, &whom, call).await?;
        self.answer(&body, prompt, &whom)
    }

    async fn send(&self, prompt: &Prompt, call: &Call, whom: &str) -> Result<Response, Failure> {
        let url = http::web_address(&format!("{}/chat/completions", self.config.base_url.trim_end_matches('/')))?;
        let body = json!({
            "model": self.config.model,
            "messages": [
                {"role": "system", "content": prompt.system},
                {"role": "user", "content": prompt.user},
            ],
            "temperature": TEMPERATURE,
            // The same effect asks with the same seed at each attempt. Kept to 31 bits, which every endpoint takes.
            "seed": derive_u64("seed", &[call.idempotency_key.as_bytes()]) & 0x7fff_ffff,
            "stream": false,
        });
        let mut request = self
            .clients
            .post(&url)
            .post(url)
            .json(&body)
            .header("x-idempotency-key", &call.idempotency_key)
            .header("x-attempt", call.attempt)
            .header("x-fencing-token", &call.fencing_token);
        if let Some(reference) = &self.config.api_key {
            let key = resolve(reference).map_err(|error| permanent(format!("llm.api_key: {error}")))?;
            request = request.bearer_auth(key);
        }
        if let Some(parent) = &call.traceparent {
            request = request.header("traceparent", parent);
        }
        request.send().await.map_err(|error| http::no_answer(whom, error))
    }

    fn answer(&self, body: &[u8], prompt: &Prompt, whom: &str) -> Result<Answer, Failure> {
        let said = || excerpt(&one_line(&String::from_utf8_lossy(body)), EXCERPT_CHARS);
        let completion: Completion = serde_json::from_slice(body)
            .map_err(|error| permanent(format!("{whom} answered what is no chat completion ({error}): {}", said())))?;
        let choice = completion.choices.into_iter().next();
        let finish = choice.as_ref().and_then(|choice| choice.finish_reason.clone());
        let content = choice.and_then(|choice| choice.message).and_then(|message| message.content).unwrap_or_default();
        if content.trim().is_empty() {
            let why = finish.map_or(String::new(), |reason| format!(" (finish_reason {reason})"));
            return Err(permanent(format!("{whom} answered without any text{why}: {}", said())));
        }
        let usage = completion.usage.unwrap_or_default();
        let composer = Composer::Model {
            model: self.config.model.clone(),
            prompt_tokens: usage.prompt_tokens,
            completion_tokens: usage.completion_tokens,
            response_id: completion.id,
        };
        Ok(Answer {
            markdown: format!("{}\n", unfenced(content.trim())),
            composer,
            warnings: warnings(finish.as_deref(), prompt),
        })
    }
}

async fn read(mut response: Response, whom: &str, call: &Call) -> Result<Vec<u8>, Failure> {
    let status = response.status();
    let wait = http::retry_after_ms(&response, call.now);
    let body = http::bounded_body(&mut response, ANSWER_BYTES_MAX).await;
    if !status.is_success() {
        return Err(http::refused(whom, status, wait, &body.map(|(body, _)| body).unwrap_or_default()));
    }
    let (body, more) = body.map_err(|error| http::no_answer(whom, error))?;
    if more {
        return Err(permanent(format!("{whom} answered more than {} MiB", ANSWER_BYTES_MAX / 1024 / 1024)));
    }
    Ok(body)
}

fn warnings(finish: Option<&str>, prompt: &Prompt) -> Vec<String> {
    let mut warnings = Vec::new();
    if finish == Some("length") {
        warnings.push("the model stopped at its limit of tokens; the text may end early".to_owned());
    }
    if prompt.shortened > 0 {
        warnings.push(format!("{} items were given to the model in excerpts or not at all", prompt.shortened));
    }
    warnings
}

/// Some models wrap a whole Markdown answer in a code fence.
fn unfenced(text: &str) -> &str {
    let inner = text.strip_prefix("```markdown\n").or_else(|| text.strip_prefix("```md\n"));
    inner.and_then(|inner| inner.strip_suffix("```")).filter(|inner| !inner.contains("\n```")).map_or(text, str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fences_around_the_whole_answer_go() {
        assert_eq!(unfenced("```markdown\n# A\n\ntext\n```"), "# A\n\ntext");
        assert_eq!(unfenced("# A\n```\ncode\n```"), "# A\n```\ncode\n```");
        let inner = "```markdown\n# A\n```\ncode\n```\n```";
        assert_eq!(unfenced(inner), inner);
    }
}

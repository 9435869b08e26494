//! A model behind an OpenAI-compatible chat endpoint.
//!
//! Owns: the request, what of the answer is kept, and which answer is which class of failure.
//! Refuses to know: what is asked, of documents and of steps alike.

use nightshift_domain::{
    content::{Composer, Failure},
    ids::derive_u64,
};
use nightshift_ports::performer::Call;
use reqwest::{Response, Url};
use serde::Deserialize;
use serde_json::{Value, json};

use super::prompt::Prompt;
use crate::{
    config::LlmConfig,
    http::{self, Clients, permanent},
    secrets::{resolve, without},
    text::{excerpt, one_line},
};

/// A document is far smaller; an answer of this size is not one.
const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;
const EXCERPT_CHARS: usize = 200;
const TEMPERATURE: f64 = 0.2;

/// An endpoint and a model on it.
pub(crate) struct Model {
    config: LlmConfig,
    clients: Clients,
}

/// What is asked.
pub(crate) struct Question<'a> {
    pub system: Option<&'a str>,
    pub user: &'a str,
    /// Another model of the endpoint than the configured one.
    pub model: Option<&'a str>,
    /// Most tokens of the answer.
    pub max_tokens: Option<u32>,
    /// The answer is to be JSON.
    pub json: bool,
}

/// What a model said. The text is never empty.
pub(crate) struct Said {
    pub text: String,
    pub model: String,
    pub finish: Option<String>,
    pub id: Option<String>,
    pub prompt_tokens: u64,
    pub completion_tokens: u64,
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
    pub(crate) fn new(config: LlmConfig, clients: Clients) -> Self {
        Self { config, clients }
    }

    pub(super) fn name(&self) -> String {
        self.name_of(None)
    }

    /// How a message calls the model, or another one of the endpoint.
    pub(crate) fn name_of(&self, model: Option<&str>) -> String {
        let place =
            Url::parse(&self.config.base_url).map_or_else(|_| self.config.base_url.clone(), |url| http::shown(&url));
        format!("model {} at {place}", model.unwrap_or(&self.config.model))
    }

    pub(crate) fn timeout_ms(&self) -> u64 {
        self.config.timeout_ms
    }

    pub(crate) fn max_input_bytes(&self) -> usize {
        self.config.max_input_bytes
    }

    pub(super) async fn complete(&self, prompt: &Prompt, call: &Call) -> Result<Answer, Failure> {
        let question =
            Question { system: Some(&prompt.system), user: &prompt.user, model: None, max_tokens: None, json: false };
        let said = self.ask(&question, call).await?;
        Ok(Answer {
            markdown: format!("{}\n", unfenced(said.text.trim())),
            warnings: warnings(said.finish.as_deref(), prompt),
            composer: Composer::Model {
                model: said.model,
                prompt_tokens: said.prompt_tokens,
                completion_tokens: said.completion_tokens,
                response_id: said.id,
            },
        })
    }

    /// Asks once.
    pub(crate) async fn ask(&self, question: &Question<'_>, call: &Call) -> Result<Said, Failure> {
        let whom = self.name_of(question.model);
        let key = self.config.api_key.as_deref().map(resolve).transpose();
        let key = key.map_err(|error| permanent(format!("llm.api_key: {error}")))?;
        let response = self.send(question, call, (&whom, key.as_deref())).await?;
        let body = read(response, (&whom, key.as_deref()), call).await?;
        said(&body, question.model.unwrap_or(&self.config.model), &whom)
    }

    async fn send(
        &self,
        question: &Question<'_>,
        call: &Call,
        (whom, key): (&str, Option<&str>),
    ) -> Result<Response, Failure> {
        let url = http::web_address(&format!("{}/chat/completions", self.config.base_url.trim_end_matches('/')))?;
        let mut request = self
            .clients
            .post(&url)
            .post(url)
            .json(&self.body(question, call))
            .header("x-idempotency-key", &call.idempotency_key)
            .header("x-attempt", call.attempt)
            .header("x-fencing-token", &call.fencing_token);
        if let Some(key) = key {
            request = request.bearer_auth(key);
        }
        if let Some(parent) = &call.traceparent {
            request = request.header("traceparent", parent);
        }
        request.send().await.map_err(|error| http::no_answer(whom, error))
    }

    fn body(&self, question: &Question<'_>, call: &Call) -> Value {
        let system = question.system.map(|system| json!({"role": "system", "content": system}));
        let user = json!({"role": "user", "content": question.user});
        // The same effect asks with the same seed at each attempt; but an answer that was to be JSON and is none would
        // come back as it is. Kept to 31 bits, which every endpoint takes.
        let (key, attempt) = (call.idempotency_key.as_bytes(), call.attempt.to_be_bytes());
        let seed = if question.json { derive_u64("seed", &[key, &attempt]) } else { derive_u64("seed", &[key]) };
        let mut body = json!({
            "model": question.model.unwrap_or(&self.config.model),
            "messages": system.into_iter().chain([user]).collect::<Vec<_>>(),
            "temperature": TEMPERATURE,
            "seed": seed & 0x7fff_ffff,
            "stream": false,
        });
        if let Some(max_tokens) = question.max_tokens {
            body["max_tokens"] = max_tokens.into();
        }
        if question.json {
            body["response_format"] = json!({"type": "json_object"});
        }
        body
    }
}

fn said(body: &str, model: &str, whom: &str) -> Result<Said, Failure> {
    let shown = || excerpt(&one_line(body), EXCERPT_CHARS);
    let completion: Completion = serde_json::from_str(body)
        .map_err(|error| permanent(format!("{whom} answered what is no chat completion ({error}): {}", shown())))?;
    let choice = completion.choices.into_iter().next();
    let finish = choice.as_ref().and_then(|choice| choice.finish_reason.clone());
    let text = choice.and_then(|choice| choice.message).and_then(|message| message.content).unwrap_or_default();
    if text.trim().is_empty() {
        let why = finish.map_or(String::new(), |reason| format!(" (finish_reason {reason})"));
        return Err(permanent(format!("{whom} answered without any text{why}: {}", shown())));
    }
    let usage = completion.usage.unwrap_or_default();
    Ok(Said {
        text,
        model: model.to_owned(),
        finish,
        id: completion.id,
        prompt_tokens: usage.prompt_tokens,
        completion_tokens: usage.completion_tokens,
    })
}

/// The answer's text, without the key should it have come back.
async fn read(mut response: Response, (whom, key): (&str, Option<&str>), call: &Call) -> Result<String, Failure> {
    let status = response.status();
    let wait = http::retry_after_ms(&response, call.now);
    let body = http::bounded_body(&mut response, ANSWER_BYTES_MAX).await;
    let text = |body: &[u8]| without(String::from_utf8_lossy(body).into_owned(), key);
    if !status.is_success() {
        let said = text(&body.map(|(body, _)| body).unwrap_or_default());
        return Err(http::refused(whom, status, wait, said.as_bytes()));
    }
    let (body, more) = body.map_err(|error| http::no_answer(whom, error))?;
    if more {
        return Err(permanent(format!("{whom} answered more than {} MiB", ANSWER_BYTES_MAX / 1024 / 1024)));
    }
    Ok(text(&body))
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

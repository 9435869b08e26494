//! A question to a language model.
//!
//! Owns: what a step asks, and reading an answer as JSON.
//! Refuses to know: the endpoint's dialect; that is the chat client's.

use std::collections::BTreeMap;

use nightshift_domain::{
    content::{Failure, FailureClass},
    json::Json,
    run::Outcome,
};
use nightshift_ports::performer::Call;
use serde_json::json;

use super::{Steps, answer::no_answer};
use crate::{
    compose::model::{Question, Said},
    http::{self, permanent},
    text::{excerpt, one_line},
};

const EXCERPT_CHARS: usize = 200;

pub(super) async fn perform(steps: &Steps, question: &Question<'_>, call: &Call) -> Result<Outcome, Failure> {
    let Some(model) = &steps.model else {
        return Err(permanent("no model is configured; set llm.base_url and llm.model to ask one".to_owned()));
    };
    let bytes = question.user.len() + question.system.map_or(0, str::len);
    if bytes > model.max_input_bytes() {
        return Err(permanent(format!(
            "the question has {bytes} bytes, and at most {} are sent (llm.max_input_bytes)",
            model.max_input_bytes()
        )));
    }
    let whom = model.name_of(question.model);
    let limit_ms = call.timeout_ms.min(model.timeout_ms());
    let said = http::within(limit_ms, &whom, model.ask(question, call)).await.map_err(no_answer)?;
    let value = if question.json { parsed(&said, &whom)? } else { json!({"text": said.text}) };
    Ok(Outcome { status_code: Some(200), facts: facts(said), ..Outcome::of(value) })
}

/// The answer as JSON. One that is none may be one at the next attempt, unless it was cut off.
fn parsed(said: &Said, whom: &str) -> Result<Json, Failure> {
    let text = said.text.trim();
    let inner = text.strip_prefix("```json").or_else(|| text.strip_prefix("```"));
    let text = inner.and_then(|inner| inner.strip_suffix("```")).unwrap_or(text);
    serde_json::from_str(text).map_err(|error| {
        let shown = excerpt(&one_line(text), EXCERPT_CHARS);
        let (class, why) = match said.finish.as_deref() {
            Some("length") => {
                (FailureClass::Permanent, "it stopped at its limit of tokens, raise max_tokens".to_owned())
            }
            _ => (FailureClass::Transient, error.to_string()),
        };
        let message = format!("BAD_SCHEMA: {whom} answered no JSON ({why}): {shown}");
        Failure { status_code: Some(200), ..http::failure(class, message) }
    })
}

fn facts(said: Said) -> BTreeMap<String, String> {
    let mut facts = BTreeMap::from([
        ("model".to_owned(), said.model),
        ("prompt_tokens".to_owned(), said.prompt_tokens.to_string()),
        ("completion_tokens".to_owned(), said.completion_tokens.to_string()),
    ]);
    facts.extend(said.id.map(|id| ("response_id".to_owned(), id)));
    facts.extend(said.finish.map(|finish| ("finish_reason".to_owned(), finish)));
    facts
}

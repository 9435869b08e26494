//! How an attempt ended, in the words of a span.
//!
//! Owns: status, error and attributes of each end. Refuses to know: which span they belong to.

use nightshift_domain::{
    content::{Composer, Failure},
    run::StepOutput,
    time::Timestamp,
};

use super::{SpanStatus, Value};

/// A longer message is cut in a span; the log keeps the whole of it.
const MESSAGE_CHARS_MAX: usize = 1_000;

/// How an attempt ended.
pub struct Outcome {
    /// In one word.
    pub word: &'static str,
    /// For the span.
    pub status: SpanStatus,
    /// What else is known.
    pub attributes: Vec<(&'static str, Value)>,
}

impl Outcome {
    /// It made this.
    pub fn done(output: &StepOutput) -> Self {
        let mut attributes = Vec::new();
        match output {
            StepOutput::Material { bytes, items, .. } => {
                attributes.push(("material.items", Value::Int(i64::from(*items))));
                attributes.push(("material.bytes", int(*bytes)));
            }
            StepOutput::Draft(draft) => attributes.push(("draft.bytes", int(draft.text.bytes))),
            StepOutput::Validated { warnings } => attributes.push(("draft.warnings", int(warnings.len() as u64))),
            StepOutput::Receipt(_) => {}
            StepOutput::Value(outcome) => {
                attributes.extend(outcome.status_code.map(|code| ("status_code", Value::Int(i64::from(code)))));
                attributes.extend(outcome.cached.as_ref().map(|hit| ("cache.fingerprint", text(&hit.fingerprint))));
            }
        }
        if let Some((model, [input, out])) = used(output) {
            attributes.push(("gen_ai.request.model", text(model)));
            attributes.push(("gen_ai.usage.input_tokens", int(input)));
            attributes.push(("gen_ai.usage.output_tokens", int(out)));
        }
        Self { word: "completed", status: SpanStatus::Ok, attributes }
    }

    /// It failed.
    pub fn failed(failure: &Failure, retry_at: Option<Timestamp>) -> Self {
        let mut attributes = vec![("failure.class", text(failure.class.as_str()))];
        attributes.extend(failure.status_code.map(|code| ("failure.status_code", Value::Int(i64::from(code)))));
        attributes.extend(retry_at.map(|at| ("retry.at", text(at))));
        Self { word: "failed", status: SpanStatus::Error(shortened(&failure.message)), attributes }
    }

    /// It was lost with its lease.
    pub fn expired(reason: &str, requeued: bool) -> Self {
        let next = if requeued { "queued again" } else { "dead" };
        let attributes = vec![("failure.class", text("lost")), ("step.next", text(next))];
        Self { word: "expired", status: SpanStatus::Error(shortened(reason)), attributes }
    }

    /// Stopped on purpose: not an error, and the reason is beside it.
    pub fn stopped(reason: &str) -> Self {
        let attributes = vec![("failure.class", text("cancelled")), ("reason", text(shortened(reason)))];
        Self { word: "cancelled", status: SpanStatus::Unset, attributes }
    }
}

/// The model that made an output, and the tokens it read and wrote for it; none when it asked no model, or what an earlier
/// one had made was taken.
pub fn used(output: &StepOutput) -> Option<(&str, [u64; 2])> {
    match output {
        StepOutput::Draft(draft) => match &draft.composer {
            Composer::Model { model, prompt_tokens, completion_tokens, .. } => {
                Some((model, [*prompt_tokens, *completion_tokens]))
            }
            Composer::Extractive { .. } => None,
        },
        StepOutput::Value(outcome) if outcome.cached.is_none() => {
            let tokens = |name: &str| outcome.facts.get(name).and_then(|count| count.parse().ok());
            let counted = [tokens("prompt_tokens"), tokens("completion_tokens")];
            let model = outcome.facts.get("model").map(String::as_str);
            (counted != [None, None]).then(|| (model.unwrap_or("unknown"), counted.map(|count| count.unwrap_or(0))))
        }
        _ => None,
    }
}

pub fn text(value: impl ToString) -> Value {
    Value::Text(value.to_string())
}

pub fn int(value: u64) -> Value {
    Value::Int(clamped(value))
}

pub fn clamped(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// The beginning of a message.
pub fn shortened(message: &str) -> String {
    match message.char_indices().nth(MESSAGE_CHARS_MAX) {
        Some((at, _)) => format!("{}…", &message[..at]),
        None => message.to_owned(),
    }
}

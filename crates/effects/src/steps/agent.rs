//! A task for a registered agent, over HTTP.
//!
//! Owns: which agent is asked where, the form of a task, and what an agent's answer means.
//! Refuses to know: how a task is routed behind the agent's address.

use nightshift_domain::{
    content::{Failure, FailureClass},
    json::{Json, Object},
    run::Outcome,
};
use nightshift_ports::performer::Call;
use serde_json::json;

use super::{
    AgentConfig, Steps,
    answer::{self, Asked, bad_schema, no_answer, reason},
    vault::Vault,
};
use crate::{
    http::{self, carried, permanent},
    secrets::resolve,
    text::excerpt,
};

/// Modes as definitions write them, and as they are sent.
pub(super) const MODES: [(&str, &str); 4] =
    [("CONVERSE", "converse"), ("PLAN", "plan"), ("BUILD", "build"), ("ORCHESTRATION", "orchestrate")];
/// Fields of a task beside its payload; other fields of a step's input belong to the payload.
const TASK_FIELDS: [&str; 9] = [
    "conversationId",
    "sessionId",
    "planId",
    "orchestrationId",
    "orchestrationRunId",
    "orchestrationSlug",
    "promptParameters",
    "messages",
    "metadata",
];

pub(super) async fn perform(
    steps: &Steps,
    (slug, mode): (&str, &str),
    input: &Json,
    call: &Call,
) -> Result<Outcome, Failure> {
    let agent = find(steps, slug)?;
    let wire = supported(slug, agent, mode)?;
    let url = http::web_address(&agent.url)?;
    let whom = format!("agent {slug}");
    let key = agent.api_key.as_deref().map(resolve).transpose();
    let key = key.map_err(|error| permanent(format!("key of the agent {slug}: {error}")))?;
    let mut secrets = Vault::new(&steps.config.secrets, url.host_str());
    secrets.also(key.clone());
    let limit_ms = agent.timeout_ms.unwrap_or(u64::MAX).min(call.timeout_ms);
    let asking = async {
        let mut request = steps.clients.post(&url).post(url.clone()).headers(carried(call));
        if let Some(key) = &key {
            request = request.header("x-agent-api-key", key);
        }
        let response = request
            .json(&task(agent, wire, input, call))
            .send()
            .await
            .map_err(|error| http::broke_off(&whom, error))?;
        let asked = Asked { whom: &whom, now: call.now, bytes_max: steps.config.answer_bytes_max, secrets: &secrets };
        answer::read(response, &asked).await
    };
    let answer = http::within(limit_ms, &whom, asking).await.map_err(no_answer)?;
    let status = Some(answer.status);
    let payload = meant(answer.value, &whom, status)?;
    let mut facts =
        std::collections::BTreeMap::from([("agent".to_owned(), slug.to_owned()), ("mode".to_owned(), wire.to_owned())]);
    facts.extend(agent.version.iter().map(|version| ("agent_version".to_owned(), version.clone())));
    Ok(Outcome { status_code: status, facts, ..Outcome::of(payload) })
}

fn find<'a>(steps: &'a Steps, slug: &str) -> Result<&'a AgentConfig, Failure> {
    let agents = &steps.config.agents;
    agents.get(slug).ok_or_else(|| {
        let hint = match nearest(slug, agents.keys().map(String::as_str)) {
            Some(near) => format!("did you mean {near}?"),
            None if agents.is_empty() => "none is registered; add it to the configuration".to_owned(),
            None => format!("registered are {}", agents.keys().cloned().collect::<Vec<_>>().join(", ")),
        };
        permanent(format!("no agent {slug} is registered; {hint}"))
    })
}

fn supported(slug: &str, agent: &AgentConfig, mode: &str) -> Result<&'static str, Failure> {
    let Some((word, wire)) = MODES.into_iter().find(|(word, _)| word.eq_ignore_ascii_case(mode)) else {
        let words = MODES.map(|(word, _)| word).join(", ");
        return Err(permanent(format!("{mode} is no mode of an agent; it is one of {words}")));
    };
    if agent.modes.is_empty() || agent.modes.iter().any(|mode| mode.eq_ignore_ascii_case(word)) {
        return Ok(wire);
    }
    Err(permanent(format!("the agent {slug} does not support the mode {word}; it supports {}", agent.modes.join(", "))))
}

/// The body of a task. It is the same for each attempt, as the idempotency key is.
fn task(agent: &AgentConfig, wire: &str, input: &Json, call: &Call) -> Json {
    let mut task = Object::new();
    task.insert("mode".into(), json!(wire));
    task.insert("orchestrationRunId".into(), json!(call.run.to_string()));
    let mut metadata = Object::new();
    metadata.insert("stepId".into(), json!(call.step));
    if let Some(organization) = &agent.organization {
        metadata.insert("organizationSlug".into(), json!(organization));
    }
    let mut payload = Json::Object(Object::new());
    let mut beside = Object::new();
    match input {
        Json::Object(fields) => {
            for (name, field) in fields {
                match (name.as_str(), field) {
                    ("payload", field) => payload = field.clone(),
                    ("userMessage" | "user_message", field) => _ = task.insert("userMessage".into(), field.clone()),
                    ("metadata", Json::Object(more)) => metadata.extend(more.clone()),
                    (known, field) if TASK_FIELDS.contains(&known) => _ = task.insert(known.into(), field.clone()),
                    (other, field) => _ = beside.insert(other.into(), field.clone()),
                }
            }
        }
        Json::String(message) => _ = task.insert("userMessage".into(), json!(message)),
        Json::Null => {}
        other => payload = other.clone(),
    }
    match &mut payload {
        Json::Object(fields) => beside.into_iter().for_each(|(name, field)| _ = fields.entry(name).or_insert(field)),
        _ => metadata.extend(beside),
    }
    task.insert("payload".into(), payload);
    task.entry("metadata").or_insert(Json::Object(metadata));
    Json::Object(task)
}

/// The payload of an answer that is a success.
fn meant(value: Json, whom: &str, status: Option<u16>) -> Result<Json, Failure> {
    let Some(success) = value.get("success").and_then(Json::as_bool) else {
        return Err(bad_schema(whom, "without success: true or false", &value.to_string(), status));
    };
    let asks_a_person = value.get("mode").and_then(Json::as_str).is_some_and(|mode| mode == "human_response");
    let person = value.get("humanResponse").filter(|person| !person.is_null());
    if success && !asks_a_person {
        return Ok(value.get("payload").cloned().unwrap_or(Json::Null));
    }
    if asks_a_person || person.is_some() {
        let said = reason(person.unwrap_or(&Json::Null));
        let message = format!("{whom} asks for a person: {said}");
        return Err(Failure { status_code: status, ..permanent(message) });
    }
    let payload = value.get("payload").unwrap_or(&Json::Null);
    let metadata = payload.get("metadata").unwrap_or(&Json::Null);
    let wait = answer::asks_to_wait_ms(metadata);
    let class = match metadata.get("retryable").and_then(Json::as_bool) {
        Some(false) => FailureClass::Permanent,
        _ if wait.is_some() => FailureClass::RateLimited,
        _ => FailureClass::Transient,
    };
    let said = [&value, metadata, payload].map(reason);
    let said = said.iter().find(|said| *said != &reason(&Json::Null)).unwrap_or(&said[0]);
    let message = format!("{whom} answered success: false: {said}");
    Err(Failure { status_code: status, retry_after_ms: wait, ..http::failure(class, message) })
}

/// The name nearest in spelling, when it is near enough to be a slip.
fn nearest<'a>(wanted: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let wanted = excerpt(&wanted.to_lowercase(), 80);
    let near = names.map(|name| (distance(&wanted, &name.to_lowercase()), name)).min()?;
    (near.0 <= (wanted.chars().count() / 3).max(1)).then_some(near.1)
}

/// Letters to add, take away or change.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (at, letter) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = at + 1;
        for (column, other) in b.iter().enumerate() {
            let changed = diagonal + usize::from(letter != *other);
            diagonal = row[column + 1];
            row[column + 1] = changed.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[b.len()]
}

//! Questions to people: behind a step, or as a step of its own.
//!
//! Owns: the forms of a question and what holds when it does not say. Refuses to know: who may answer.

use nightshift_domain::run::{ApprovalAction, ApprovalOption, Checkpoint, OnTimeout};

use super::{keys, work::Work};
use crate::{
    document::Value,
    reader::{Field, Map},
};

const YEAR_S: u64 = 366 * 86_400;

/// Reads `checkpoint_after`: a text, or a map.
pub(super) fn behind<'n>(work: &mut Work<'_, 'n>, field: &Field<'n>) -> Option<Checkpoint> {
    if !matches!(field.value, Value::Map(_)) {
        return work.template_text(field).map(plain);
    }
    let map = work.reader.table(field, &keys::step::CHECKPOINT)?;
    let reason = work.optional(&map, "reason", |work, field| work.template_text(field));
    let required = work.optional(&map, "required", |work, field| work.truth(field));
    let checkpoint = shared(work, &map, reason?)?;
    Some(Checkpoint { advisory: !required?.unwrap_or(true), ..checkpoint })
}

/// Reads what `checkpoints` lists: a question and the step it stands behind.
pub(super) fn listed<'n>(work: &mut Work<'_, 'n>, field: &Field<'n>) -> Option<(Field<'n>, String, Checkpoint)> {
    let map = work.reader.table(field, &keys::CHECKPOINTS)?;
    let step = work.reader.required(&map, "after_step", "the id of a step");
    let id = step.as_ref().and_then(|field| work.reader.text(field));
    work.optional(&map, "type", |work, field| work.reader.line(field))?;
    let question = work.reader.required(&map, "question", "what is asked")?;
    let question = work.template_text(&question);
    Some((step?, id?, plain(question?)))
}

/// Reads a step that is a question: a text, or a map that is read on by the caller.
pub(super) fn as_step<'n>(work: &mut Work<'_, 'n>, field: &Field<'n>) -> Option<(Checkpoint, Option<Map<'n>>)> {
    if !matches!(field.value, Value::Map(_)) {
        return work.template_text(field).map(|question| (plain(question), None));
    }
    let map = work.reader.table(field, &keys::step::APPROVAL)?;
    shared(work, &map, None).map(|checkpoint| (checkpoint, Some(map)))
}

/// A question about which nothing else is said.
fn plain(question: String) -> Checkpoint {
    Checkpoint {
        question,
        options: options_default(),
        advisory: false,
        assignee: None,
        group: None,
        severity: None,
        timeout_ms: None,
        on_timeout: OnTimeout::default(),
    }
}

/// Nothing was said about answers, so nothing is forbidden.
fn options_default() -> Vec<ApprovalOption> {
    ApprovalAction::ALL.into_iter().map(|action| option(action, action != ApprovalAction::Abort)).collect()
}

fn option(action: ApprovalAction, allows_modification: bool) -> ApprovalOption {
    let label = match action {
        ApprovalAction::Continue => "Continue",
        ApprovalAction::Retry => "Retry",
        ApprovalAction::Abort => "Abort",
    };
    ApprovalOption { action, label: label.to_owned(), allows_modification, description: None }
}

fn shared<'n>(work: &mut Work<'_, 'n>, map: &Map<'n>, instead: Option<String>) -> Option<Checkpoint> {
    let question = match (map.get("question"), instead) {
        (Some(field), _) => work.template_text(&field),
        (None, Some(reason)) => Some(reason),
        (None, None) => work.reader.required(map, "question", "what is asked").map(|_| String::new()),
    };
    let options = map.get("options").map_or_else(|| Some(options_default()), |field| options(work, &field));
    let severities = ["low", "normal", "high"].map(|word| (word, word));
    let severity = work.optional(map, "severity", |work, field| work.word(field, &severities));
    let assignee = work.optional(map, "assignee", |work, field| work.template_text(field));
    let group = work.optional(map, "group", |work, field| work.template_text(field));
    let timeout_ms = work.optional(map, "timeout", deadline);
    let on_timeout = work.optional(map, "on_timeout", on_timeout);
    if let (Some(field), None) = (map.get("on_timeout"), map.get("timeout")) {
        let remedy = Some("say after how long: timeout: 1d".to_owned());
        work.reader.refuse(&field, "on_timeout only beside timeout", remedy);
    }
    Some(Checkpoint {
        question: question?,
        options: options?,
        advisory: false,
        assignee: assignee?,
        group: group?,
        severity: severity?.map(str::to_owned),
        timeout_ms: timeout_ms?,
        on_timeout: on_timeout?.unwrap_or_default(),
    })
}

/// A duration; a bare number is seconds, as it is where `autoTimeout` comes from.
fn deadline(work: &mut Work<'_, '_>, field: &Field<'_>) -> Option<u64> {
    match field.value {
        Value::Number(_) => work.whole(field, 1, YEAR_S).map(|seconds| seconds * 1_000),
        _ => work.duration(field, YEAR_S),
    }
}

fn on_timeout<'n>(work: &mut Work<'_, 'n>, field: &Field<'n>) -> Option<OnTimeout> {
    if matches!(field.value, Value::Map(_)) {
        let map = work.reader.map(field, &["escalate"])?;
        let to = work.reader.required(&map, "escalate", "who is asked then")?;
        return work.reader.line(&to).map(|to| OnTimeout::Escalate { to });
    }
    if matches!(field.value, Value::Text(text) if text.trim() == "escalate") {
        let remedy = Some("say to whom: on_timeout: {escalate: team-lead}".to_owned());
        work.reader.refuse(field, "abort, approve, {escalate: who}", remedy);
        return None;
    }
    match work.word(field, &[("abort", false), ("approve", true)])? {
        true => Some(OnTimeout::Approve),
        false => Some(OnTimeout::Abort),
    }
}

fn options<'n>(work: &mut Work<'_, 'n>, field: &Field<'n>) -> Option<Vec<ApprovalOption>> {
    if matches!(field.value, Value::List(items) if items.is_empty()) {
        work.reader.refuse(field, "at least one answer", Some("drop the key for continue, retry and abort".to_owned()));
        return None;
    }
    let mut found: Vec<ApprovalOption> = Vec::new();
    let mut whole = true;
    for item in work.reader.items(field) {
        let Some(one) = read_option(work, &item) else {
            whole = false;
            continue;
        };
        if found.iter().any(|other| other.action == one.action) {
            let told = format!("{} again", one.action.as_str());
            work.reader.fault(&item, told, "each action once: an answer names its action", None);
        }
        found.push(one);
    }
    whole.then_some(found)
}

fn read_option<'n>(work: &mut Work<'_, 'n>, field: &Field<'n>) -> Option<ApprovalOption> {
    let map = work.reader.table(field, &keys::step::OPTION)?;
    let words = ApprovalAction::ALL.map(|action| (action.as_str(), action));
    let action = work.reader.required(&map, "action", "continue, retry or abort");
    let action = action.and_then(|field| work.word(&field, &words));
    let label = work.optional(&map, "label", |work, field| work.reader.line(field));
    let changes = work.optional(&map, "allows_modification", |work, field| work.truth(field));
    let description = work.optional(&map, "description", |work, field| work.reader.text(field));
    let plain = option(action?, changes?.unwrap_or(false));
    Some(ApprovalOption { label: label?.unwrap_or_else(|| plain.label.clone()), description: description?, ..plain })
}

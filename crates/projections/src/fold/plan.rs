//! Plans and outputs of steps as documents for people: names, addresses, digests and counts, never whole texts.

use nightshift_domain::run::{Action, Outcome, Plan, StepOutput, StepPlan, Waits};
use serde_json::Value;

use crate::value::{id, int, json, object, text, text_or_null, time, time_or_null};

/// A plan.
pub fn plan(plan: &Plan) -> Value {
    object([
        ("definition", text(&plan.definition)),
        ("max_parallel", int(plan.max_parallel)),
        ("steps", Value::Array(plan.steps.iter().map(step).collect())),
    ])
}

fn step(step: &StepPlan) -> Value {
    let mut shown = object([
        ("id", text(&step.id)),
        ("action", Value::from(step.action.as_str())),
        ("with", with(&step.action)),
        ("depends_on", json(&step.depends_on)),
        ("retry", json(&step.retry)),
        ("timeout_ms", int(step.timeout_ms)),
        ("crash", json(&step.crash)),
        ("optional", Value::from(step.optional)),
    ]);
    if let Some(fields) = shown.as_object_mut().filter(|_| !step.flow.is_plain()) {
        fields.insert("flow".to_owned(), json(&step.flow));
    }
    shown
}

fn with(action: &Action) -> Value {
    match action {
        Action::Gather { sources, .. } => {
            let sources = sources.iter().map(|source| {
                object([
                    ("source_id", id(source.source_id.uuid())),
                    ("resource_name", text(&source.spec.resource_name())),
                    ("from_version", int(source.from_version)),
                    ("upto_version", int(source.upto_version)),
                ])
            });
            object([("sources", Value::Array(sources.collect()))])
        }
        Action::Compose {} | Action::Validate {} => object([]),
        Action::Deliver { destination, version_id, text: document, .. } => object([
            ("platform", Value::from(destination.platform())),
            ("target", text(&destination.target())),
            ("version_id", id(version_id.0)),
            ("content_digest", text(&document.digest.0)),
        ]),
        Action::Notify { to, notice } => object([("to", json(to)), ("kind", json(&notice.kind))]),
        Action::Call { .. }
        | Action::Agent { .. }
        | Action::Process { .. }
        | Action::Llm { .. }
        | Action::Sleep { .. }
        | Action::WaitForEvent { .. }
        | Action::Approval { .. }
        | Action::Orchestration { .. }
        | Action::Set { .. } => match json(action) {
            // `{call: {...}}`: the word stands beside it already.
            Value::Object(fields) => fields.into_iter().next().map_or(Value::Null, |(_, with)| with),
            other => other,
        },
    }
}

/// What a step waits for that no worker does. Instants are texts, as everywhere in rows.
pub fn waits(on: &Waits) -> Value {
    match on {
        Waits::Until { at } => object([("until", object([("at", time(*at))]))]),
        Waits::Event { event, correlation, deadline, since, .. } => object([(
            "event",
            object([
                ("event", text(event)),
                ("correlation", text_or_null(correlation.as_deref())),
                ("deadline", time_or_null(*deadline)),
                ("since", time(*since)),
            ]),
        )]),
        Waits::Child { definition, run, version, parameters } => object([(
            "child",
            object([
                ("definition", id(definition.id)),
                ("run", id(run.uuid())),
                ("version", text_or_null(version.as_deref())),
                ("parameters", json(parameters)),
            ]),
        )]),
    }
}

/// What a step made.
pub fn output(output: &StepOutput) -> Value {
    match output {
        StepOutput::Material { digest, bytes, items, snapshots } => object([(
            "material",
            object([
                ("digest", text(&digest.0)),
                ("bytes", int(*bytes)),
                ("items", int(*items)),
                ("sources", int(snapshots.len())),
                ("sources_failing", int(snapshots.iter().filter(|snapshot| snapshot.error.is_some()).count())),
            ]),
        )]),
        StepOutput::Draft(draft) => object([(
            "draft",
            object([
                ("digest", text(&draft.text.digest.0)),
                ("bytes", int(draft.text.bytes)),
                ("composer", json(&draft.composer)),
                ("warnings", json(&draft.warnings)),
            ]),
        )]),
        StepOutput::Validated { warnings } => object([("validated", object([("warnings", json(warnings))]))]),
        StepOutput::Receipt(receipt) => object([("receipt", json(receipt))]),
        StepOutput::Value(Outcome { listed: Some(count), .. }) => object([("instances", int(*count))]),
        StepOutput::Value(outcome) => json(&outcome.value),
    }
}

//! Workflow definitions.
//!
//! Owns: rows of `orchestration_definitions`.

use nightshift_domain::{
    definition::{Document, Event, Trigger},
    ids::UserId,
    recorded::Recorded,
};
use serde_json::Value;

use super::{Touches, at, plan, schedule};
use crate::{
    rows::{Image, Rows},
    table::RowKey,
    tables::{ORCHESTRATION_DEFINITIONS, orchestration_definitions as column},
    value,
};

/// The rows an event of a definition touches.
pub fn touched(event: &Event, recorded: &Recorded, touches: &mut Touches) {
    match event {
        Event::Registered { document, .. } => {
            touches.writes(&ORCHESTRATION_DEFINITIONS, || key(recorded, &document.version));
        }
        Event::Activated { version, former, .. } => {
            touches.reads(&ORCHESTRATION_DEFINITIONS, key(recorded, version));
            if let Some(former) = former {
                touches.reads(&ORCHESTRATION_DEFINITIONS, key(recorded, former));
            }
        }
        Event::Deprecated { version } | Event::Archived { version } => {
            touches.reads(&ORCHESTRATION_DEFINITIONS, key(recorded, version));
        }
        Event::RunRequested { .. } | Event::RunRefused { .. } | Event::SlotBuffered { .. } | Event::RunEnded { .. } => {
        }
    }
}

fn key(recorded: &Recorded, version: &str) -> RowKey {
    vec![value::id(recorded.stream.id), value::text(version)]
}

/// Changes rows as an event of a definition says.
pub fn apply(rows: &mut Rows, recorded: &Recorded, event: &Event) {
    match event {
        Event::Registered { document, user } => registered(rows, recorded, document, user),
        Event::Activated { version, former, .. } => {
            if let Some(former) = former {
                set(rows, recorded, former, |row| row.set(column::in_force, false));
            }
            set(rows, recorded, version, |row| row.set(column::in_force, true).set(column::status, "active"));
        }
        Event::Deprecated { version } => {
            set(rows, recorded, version, |row| row.set(column::in_force, false).set(column::status, "deprecated"));
        }
        Event::Archived { version } => {
            set(rows, recorded, version, |row| row.set(column::in_force, false).set(column::status, "archived"));
        }
        Event::RunRequested { .. } | Event::RunRefused { .. } | Event::SlotBuffered { .. } | Event::RunEnded { .. } => {
        }
    }
}

fn set(rows: &mut Rows, recorded: &Recorded, version: &str, change: impl FnOnce(&mut Image) -> &mut Image) {
    if let Some(row) = rows.edit(&ORCHESTRATION_DEFINITIONS, &key(recorded, version), recorded) {
        change(row).set(column::updated_at, at(recorded));
    }
}

fn registered(rows: &mut Rows, recorded: &Recorded, document: &Document, user: &UserId) {
    let mut row = Image::blank(&ORCHESTRATION_DEFINITIONS);
    row.set(column::id, value::id(recorded.stream.id))
        .set(column::version, value::text(&document.version))
        .set(column::owner, value::text(&document.owner))
        .set(column::name, value::text(&document.name))
        .set(column::display_name, value::text(&document.display_name))
        .set(column::description, value::text(&document.description))
        .set(column::status, "active")
        .set(column::in_force, false)
        .set(column::digest, value::text(&document.digest().0))
        .set(column::source, value::text_or_null(document.source.inline.as_deref()))
        .set(column::parameters, parameters(document))
        .set(column::triggers, Value::Array(document.triggers.iter().map(trigger).collect()))
        .set(column::plan, plan::plan(&document.plan))
        .set(column::created_by, value::text(&user.0))
        .set(column::created_at, at(recorded))
        .set(column::updated_at, at(recorded));
    rows.put(&ORCHESTRATION_DEFINITIONS, key(recorded, &document.version), row, recorded);
}

fn parameters(document: &Document) -> Value {
    let parameters = document.parameters.iter().map(|parameter| {
        value::object([
            ("name", value::text(&parameter.name)),
            ("kind", value::text(&parameter.kind.to_string())),
            ("required", Value::from(parameter.required)),
            ("default", value::json(&parameter.default)),
            ("one_of", value::json(&parameter.one_of)),
            ("description", value::text_or_null(parameter.description.as_deref())),
        ])
    });
    Value::Array(parameters.collect())
}

/// A trigger for people: the secret of a webhook is a reference, never the secret.
fn trigger(trigger: &Trigger) -> Value {
    match trigger {
        Trigger::Schedule { schedule: when, parameters } => {
            let mut shown = value::json(when);
            if let Some(fields) = shown.as_object_mut() {
                fields.insert("rule".to_owned(), schedule::rule(&when.rule));
            }
            value::object([
                ("type", Value::from("schedule")),
                ("schedule", shown),
                ("parameters", value::json(parameters)),
            ])
        }
        Trigger::Event { types, parameters } => value::object([
            ("type", Value::from("event")),
            ("types", value::json(types)),
            ("parameters", value::json(parameters)),
        ]),
        Trigger::Webhook { path, secret, parameters } => value::object([
            ("type", Value::from("webhook")),
            ("path", value::text(path)),
            ("secret", value::text(secret)),
            ("parameters", value::json(parameters)),
        ]),
    }
}

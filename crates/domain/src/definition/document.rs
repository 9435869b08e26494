//! A workflow definition as data: what a checked document says.
//!
//! Owns: the words, and what a run's parameters must be like.
//! Refuses to know: YAML, aliases, line numbers; `spec` reads documents into these.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};
use serde_json::Map;

use crate::{
    calendar::Schedule,
    content::{Digest, Text},
    ids::UserId,
    json::{Json, Room},
    run::Plan,
    template::{Fault, Scope, render_within},
    time::Timestamp,
};

/// One version of a definition.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Document {
    /// Owner: a user, a team or an agent; names are unique below it.
    pub owner: String,
    /// Name.
    pub name: String,
    /// Version, as written; compared as text.
    pub version: String,
    /// Name for people.
    pub display_name: String,
    /// What it is for.
    pub description: String,
    /// What a run is given.
    pub parameters: Vec<Parameter>,
    /// What starts a run, beside people and programs.
    pub triggers: Vec<Trigger>,
    /// The graph.
    pub plan: Arc<Plan>,
    /// Priority of its runs; lower goes first.
    pub priority: i16,
    /// The document as it was written. Its digest is the identity of the version.
    pub source: Text,
}

impl Document {
    /// Identity of what was written.
    #[must_use]
    pub const fn digest(&self) -> &Digest {
        &self.source.digest
    }

    /// Its schedule triggers, in order, with the parameters of their runs.
    pub fn schedules(&self) -> impl Iterator<Item = (&Schedule, &Json)> {
        self.triggers.iter().filter_map(|trigger| match trigger {
            Trigger::Schedule { schedule, parameters } => Some((schedule, parameters)),
            _ => None,
        })
    }
}

/// A parameter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Parameter {
    /// Its name.
    pub name: String,
    /// Its type.
    pub kind: ParameterKind,
    /// A run must be given it.
    pub required: bool,
    /// Taken when a run is not given it.
    pub default: Option<Json>,
    /// The only values it may have; empty: any of its type.
    pub one_of: Vec<Json>,
    /// For people.
    pub description: Option<String>,
}

/// Types of parameters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ParameterKind {
    /// Any value.
    Any,
    /// Text.
    String,
    /// Whole number.
    Integer,
    /// Number.
    Number,
    /// True or false.
    Boolean,
    /// `2026-01-31`.
    Date,
    /// RFC 3339.
    DateTime,
    /// Object.
    Object,
    /// List of values of a type.
    List(Box<ParameterKind>),
}

impl fmt::Display for ParameterKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("any"),
            Self::String => f.write_str("string"),
            Self::Integer => f.write_str("integer"),
            Self::Number => f.write_str("number"),
            Self::Boolean => f.write_str("boolean"),
            Self::Date => f.write_str("date"),
            Self::DateTime => f.write_str("datetime"),
            Self::Object => f.write_str("object"),
            Self::List(of) => write!(f, "{of}[]"),
        }
    }
}

impl ParameterKind {
    /// Whether a value is of this type.
    #[must_use]
    pub fn admits(&self, value: &Json) -> bool {
        match (self, value) {
            (Self::Any, _)
            | (Self::String, Json::String(_))
            | (Self::Number, Json::Number(_))
            | (Self::Boolean, Json::Bool(_))
            | (Self::Object, Json::Object(_)) => true,
            (Self::Integer, Json::Number(number)) => number.is_i64() || number.is_u64(),
            (Self::Date, Json::String(text)) => {
                text.len() == 10 && chrono::NaiveDate::parse_from_str(text, "%Y-%m-%d").is_ok()
            }
            (Self::DateTime, Json::String(text)) => chrono::DateTime::parse_from_rfc3339(text).is_ok(),
            (Self::List(of), Json::Array(items)) => items.iter().all(|item| of.admits(item)),
            _ => false,
        }
    }
}

/// Why a run cannot have a parameter as it was given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("parameters.{name}: {why}")]
pub struct ParameterFault {
    /// Its name.
    pub name: String,
    /// What is wrong and what is allowed.
    pub why: String,
}

/// The parameters of a run: what was given, with defaults for the rest.
///
/// # Errors
/// Every fault: a name that is not there, one that is missing, a wrong type, a value that is not allowed.
pub fn parameters(known: &[Parameter], given: &Json) -> Result<Json, Vec<ParameterFault>> {
    let empty = Map::new();
    let fault = |name: &str, why: String| ParameterFault { name: name.to_owned(), why };
    let given = match given {
        Json::Null => &empty,
        Json::Object(fields) => fields,
        other => return Err(vec![fault("*", format!("an object is expected, not {other}"))]),
    };
    let mut faults = Vec::new();
    for name in given.keys().filter(|name| !known.iter().any(|parameter| &parameter.name == *name)) {
        let names: Vec<&str> = known.iter().map(|parameter| parameter.name.as_str()).collect();
        let allowed = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        faults.push(fault(name, format!("there is no such parameter; there are: {allowed}")));
    }
    let mut checked = Map::new();
    for parameter in known {
        let given = given.get(&parameter.name).filter(|value| !value.is_null() || parameter.required);
        match given.or(parameter.default.as_ref()) {
            None if parameter.required => {
                faults.push(fault(&parameter.name, format!("it is required ({})", parameter.kind)));
            }
            None => {}
            Some(value) if !parameter.kind.admits(value) => {
                faults.push(fault(&parameter.name, format!("{value} is no {}", parameter.kind)));
            }
            Some(value) if !parameter.one_of.is_empty() && !parameter.one_of.contains(value) => {
                let allowed: Vec<String> = parameter.one_of.iter().map(ToString::to_string).collect();
                faults.push(fault(&parameter.name, format!("{value} is not one of {}", allowed.join(", "))));
            }
            Some(value) => drop(checked.insert(parameter.name.clone(), value.clone())),
        }
    }
    if faults.is_empty() { Ok(Json::Object(checked)) } else { Err(faults) }
}

/// The parameters of a run that goes on under another version: those it has, without the ones that the version does not
/// know, with defaults for new ones.
///
/// # Errors
/// What it has is not what the version wants, or something is missing.
pub fn migrated_parameters(known: &[Parameter], has: &Json) -> Result<Json, Vec<ParameterFault>> {
    let has = has.as_object().into_iter().flatten();
    let kept = has.filter(|(name, _)| known.iter().any(|parameter| &parameter.name == *name));
    parameters(known, &kept.map(|(name, value)| (name.clone(), value.clone())).collect())
}

/// What a run that an event starts is given: the trigger's template, which sees `event`; or, when it is null, those fields
/// of the event's payload that have the names of parameters. Not checked yet.
///
/// # Errors
/// The template makes more than a value may be.
pub fn event_parameters(known: &[Parameter], template: &Json, event: &Json) -> Result<Json, Fault> {
    if !template.is_null() {
        return Ok(render_within(template, &OfEvent(event), &mut Room::VALUE.clone())?.value);
    }
    let Some(Json::Object(payload)) = event.get("payload") else {
        return Ok(Json::Null);
    };
    let named = known.iter().filter_map(|parameter| payload.get_key_value(&parameter.name));
    Ok(Json::Object(named.map(|(name, value)| (name.clone(), value.clone())).collect()))
}

/// What the template of an event trigger sees.
struct OfEvent<'a>(&'a Json);

impl Scope for OfEvent<'_> {
    fn root(&self, name: &str) -> Option<Json> {
        (name == "event").then(|| self.0.clone())
    }

    fn step(&self, _id: &str) -> Option<Json> {
        None
    }
}

/// What starts a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trigger {
    /// Time.
    Schedule {
        /// When, in its own zone, and what happens to missed instants.
        schedule: Schedule,
        /// Parameters of these runs.
        parameters: Json,
    },
    /// Events of a type.
    Event {
        /// Types.
        types: Vec<String>,
        /// Parameters of these runs; a template that sees `event`. Null: the event's payload, as far as parameters have
        /// the names of its fields.
        parameters: Json,
    },
    /// A signed request to `/api/hooks/<path>`.
    Webhook {
        /// The last part of the address.
        path: String,
        /// Reference to the secret that signs it: `env:NAME` or `file:/path`.
        secret: String,
        /// As for events.
        parameters: Json,
    },
}

/// How far a version is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// Runs can be started of it, and it can be the one in force, which a name without a version means.
    Active,
    /// Runs can be started of it by naming it.
    Deprecated,
    /// No run can be started of it, for ever.
    Archived,
}

impl Standing {
    /// The word in tables.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Deprecated => "deprecated",
            Self::Archived => "archived",
        }
    }
}

/// A version and how far it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Registered {
    /// What it says.
    pub document: Arc<Document>,
    /// Whose runs its triggers start.
    pub user: UserId,
    /// How far it is.
    pub standing: Standing,
    /// When it was registered.
    pub at: Timestamp,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parameter(name: &str, kind: ParameterKind, required: bool, default: Option<Json>) -> Parameter {
        Parameter { name: name.to_owned(), kind, required, default, one_of: vec![], description: None }
    }

    #[test]
    fn parameters_are_checked_all_at_once_and_defaults_are_taken() {
        let list = ParameterKind::List(Box::new(ParameterKind::String));
        let mut grouping = parameter("grouping", ParameterKind::String, false, Some(json!("day")));
        grouping.one_of = vec![json!("day"), json!("week")];
        let known = [
            parameter("kpis", list, true, None),
            parameter("from", ParameterKind::Date, true, None),
            parameter("limit", ParameterKind::Integer, false, None),
            grouping,
        ];
        let good = parameters(&known, &json!({"kpis": ["a"], "from": "2026-01-31", "limit": null}));
        assert_eq!(good, Ok(json!({"kpis": ["a"], "from": "2026-01-31", "grouping": "day"})));
        let bad = parameters(&known, &json!({"kpis": [1], "limit": 1.5, "grouping": "hour", "kpi": 1})).unwrap_err();
        let told: Vec<String> = bad.iter().map(ToString::to_string).collect();
        assert_eq!(
            told,
            [
                "parameters.kpi: there is no such parameter; there are: kpis, from, limit, grouping",
                "parameters.kpis: [1] is no string[]",
                "parameters.from: it is required (date)",
                "parameters.limit: 1.5 is no integer",
                "parameters.grouping: \"hour\" is not one of \"day\", \"week\"",
            ]
        );
        assert!(parameters(&known, &json!([])).is_err());
        for (kind, yes, no) in [
            (ParameterKind::Date, json!("2026-02-28"), json!("2026-02-30")),
            (ParameterKind::DateTime, json!("2026-02-28T00:00:00Z"), json!("2026-02-28")),
            (ParameterKind::Boolean, json!(true), json!("true")),
            (ParameterKind::Object, json!({}), json!([])),
        ] {
            assert!(kind.admits(&yes) && !kind.admits(&no) && ParameterKind::Any.admits(&no), "{kind}");
        }
    }
}

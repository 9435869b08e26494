//! The JSON Schema of workflow documents, for editors.
//!
//! Owns: how a table of keys becomes a schema. Refuses to know: which keys there are; it is made of the tables that the
//! reader uses, so the two cannot differ.

use nightshift_domain::json::{Json, Object};
use serde_json::json;

use super::keys;
use crate::table::{Key, Table, Takes};

/// Identity of the schema. It names no address, so that no editor asks one.
pub const SCHEMA_ID: &str = "urn:nightshift:workflow";

/// The schema, draft 2020-12.
#[must_use]
pub fn schema() -> Json {
    let definitions: Object = keys::ALL.iter().map(|table| (table.name.to_owned(), map(table))).collect();
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": SCHEMA_ID,
        "title": "Nightshift workflow",
        "description": "A workflow definition. What a schema cannot say (circles, references, conditions) `workflow validate` finds.",
        "if": {"type": "object", "required": ["orchestration"]},
        "then": reference(&keys::WRAPPED),
        "else": {"allOf": [reference(&keys::WORKFLOW), {"required": ["steps"]}]},
        "$defs": definitions,
    })
}

fn reference(table: &Table) -> Json {
    json!({"$ref": format!("#/$defs/{}", table.name)})
}

fn map(table: &Table) -> Json {
    let mut properties = Object::new();
    for key in table.keys {
        properties.insert(key.name.to_owned(), property(key));
        for other in key.also {
            let first = format!("#/$defs/{}/properties/{}", table.name, key.name);
            properties.insert((*other).to_owned(), json!({"$ref": first}));
        }
    }
    json!({"type": "object", "description": table.about, "properties": properties, "additionalProperties": false})
}

/// A key without a value counts as absent, so each may be null.
fn property(key: &Key) -> Json {
    let mut schema = match takes(&key.takes) {
        Json::Bool(_) => Object::new(),
        Json::Object(schema) if schema.contains_key("anyOf") => {
            let mut forms = schema.get("anyOf").and_then(Json::as_array).cloned().unwrap_or_default();
            forms.push(json!({"type": "null"}));
            [("anyOf".to_owned(), Json::Array(forms))].into_iter().collect()
        }
        form => [("anyOf".to_owned(), json!([form, {"type": "null"}]))].into_iter().collect(),
    };
    schema.insert("description".to_owned(), Json::String(key.about.to_owned()));
    Json::Object(schema)
}

fn takes(takes: &Takes) -> Json {
    const DURATION: &str = r"^\s*([0-9]+ms|([0-9]+w)?([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?)\s*$";
    let numeric = || json!({"type": "string", "pattern": r"^\s*[-+.0-9eE]+\s*$"});
    match takes {
        Takes::Any => Json::Bool(true),
        Takes::Text => json!({"type": ["string", "number"]}),
        Takes::Whole(least, most) => {
            json!({"anyOf": [{"type": "integer", "minimum": least, "maximum": most}, numeric()]})
        }
        Takes::Number => json!({"anyOf": [{"type": "number"}, numeric()]}),
        Takes::Truth => json!({"type": "boolean"}),
        Takes::Duration => json!({"type": "string", "pattern": DURATION}),
        Takes::Word(words) => word(words),
        Takes::Texts => {
            json!({"anyOf": [{"type": ["string", "number"]}, {"type": "array", "items": {"type": ["string", "number"]}}]})
        }
        Takes::Map(table) => reference(table),
        Takes::List(table) => json!({"type": "array", "items": reference(table)}),
        Takes::Named(inner) => json!({"type": "object", "additionalProperties": self::takes(inner)}),
        Takes::Either(forms) => {
            let forms: Vec<Json> = forms.iter().map(self::takes).collect();
            json!({"anyOf": forms})
        }
    }
}

/// Editors offer the words as they are; any case of them is read.
fn word(words: &[&str]) -> Json {
    let upper: Vec<String> = words.iter().map(|word| word.to_uppercase()).collect();
    json!({"enum": words.iter().map(|word| (*word).to_owned()).chain(upper).collect::<Vec<String>>()})
}

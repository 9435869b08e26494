//! Tables, reader and schema say the same.

use std::collections::{BTreeMap, BTreeSet};

use nightshift_domain::json::Object;
use serde_json::json;

use super::{keys, schema::schema, *};
use crate::table::{Table, Takes};

fn parse_text(text: &str) -> Result<Document, Faults> {
    let calendar = ZonedCalendar::bundled();
    let context = Context {
        calendar: &calendar,
        now: Timestamp::from_secs(1_772_000_000),
        owner: "ann",
        max_parallel_default: None,
        max_parallel_cap: None,
    };
    parse(text, "f.yaml", &context)
}

/// A document with a map of each kind, and where that is.
fn surroundings(table: &str) -> (Json, &'static str) {
    let steps = |step: Json| json!({"steps": [step]});
    let with = |key: &str, value: Json| json!({key: value, "steps": [{"id": "a", "agent": "a"}]});
    match table {
        "wrapped" => (json!({"orchestration": {"steps": [{"agent": "a"}]}}), ""),
        "metadata" => (json!({"metadata": {}, "orchestration": {"steps": [{"agent": "a"}]}}), "/metadata"),
        "workflow" => (steps(json!({"agent": "a"})), ""),
        "webhooks" => (with("webhooks", json!({"progress": "http://a.test/"})), "/webhooks"),
        "parameter" => (with("parameters", json!([{"name": "p"}])), "/parameters/0"),
        "trigger" => (with("trigger", json!({"cron": "0 7 * * *"})), "/trigger"),
        "checkpoints" => (with("checkpoints", json!([{"after_step": "a", "question": "q"}])), "/checkpoints/0"),
        "execution" => (with("execution", json!({})), "/execution"),
        "concurrency" => (with("execution", json!({"concurrency": {}})), "/execution/concurrency"),
        "caching" => (with("execution", json!({"caching": {}})), "/execution/caching"),
        "cached_step" => {
            (with("execution", json!({"caching": {"steps": [{"id": "a"}]}})), "/execution/caching/steps/0")
        }
        "error_handling" => (with("error_handling", json!({})), "/error_handling"),
        "on_step_failure" => {
            (with("error_handling", json!({"on_step_failure": {}})), "/error_handling/on_step_failure")
        }
        "rollback" => (with("error_handling", json!({"rollback": {}})), "/error_handling/rollback"),
        "retry" => (steps(json!({"agent": "a", "retry": {}})), "/steps/0/retry"),
        "step" => (steps(json!({"agent": "a"})), "/steps/0"),
        "step_metadata" => (steps(json!({"agent": "a", "metadata": {}})), "/steps/0/metadata"),
        "cache" => (steps(json!({"agent": "a", "cache": {}})), "/steps/0/cache"),
        "checkpoint" => (steps(json!({"agent": "a", "checkpoint": {"question": "q"}})), "/steps/0/checkpoint"),
        "option" => {
            let options = json!({"question": "q", "options": [{"action": "abort"}]});
            (steps(json!({"agent": "a", "checkpoint": options})), "/steps/0/checkpoint/options/0")
        }
        "process" => (steps(json!({"process": {"command": "a"}})), "/steps/0/process"),
        "llm" => (steps(json!({"llm": {"prompt": "a"}})), "/steps/0/llm"),
        "wait_for_event" => (steps(json!({"wait_for_event": {"event": "e"}})), "/steps/0/wait_for_event"),
        "approval" => (steps(json!({"approval": {"question": "q"}})), "/steps/0/approval"),
        "orchestration" => (steps(json!({"orchestration": {"name": "n", "owner": "o"}})), "/steps/0/orchestration"),
        other => panic!("no document for {other}"),
    }
}

/// Something that a key cannot take.
fn wrong(takes: &Takes) -> Option<Json> {
    match takes {
        Takes::Any => None,
        Takes::Text | Takes::Number | Takes::Word(_) | Takes::Whole(..) | Takes::Duration => Some(json!({"wrong": 1})),
        Takes::Texts => Some(json!([{"wrong": 1}])),
        Takes::Truth | Takes::Map(_) | Takes::List(_) | Takes::Named(_) => Some(json!("wrong")),
        Takes::Either(_) => Some(json!([["wrong"]])),
    }
}

/// Makes the step one of a kind to which the key belongs.
fn be_of_a_kind_with(step: &mut Object, key: &str) {
    let belongs = keys::step::BELONGS.iter().find(|(name, _)| *name == key);
    if keys::step::KINDS.contains(&key) {
        step.remove("agent");
    } else if belongs.is_some_and(|(_, kinds)| !kinds.contains(&"agent")) {
        step.remove("agent");
        step.insert("call".to_owned(), json!("/a"));
    }
}

#[test]
fn every_key_of_the_tables_is_read() {
    // A key that the reader never asks for would swallow anything.
    let mut asked = 0;
    for table in keys::ALL {
        for key in table.keys {
            let Some(value) = wrong(&key.takes) else { continue };
            for word in std::iter::once(key.name).chain(key.also.iter().copied()) {
                let (mut document, place) = surroundings(table.name);
                let map = document.pointer_mut(place).and_then(Json::as_object_mut).unwrap();
                map.retain(|other, _| !key.is(other));
                if table.name == "step" {
                    be_of_a_kind_with(map, key.name);
                }
                map.insert(word.to_owned(), value.clone());
                let faults = parse_text(&document.to_string()).err();
                let faults = faults.unwrap_or_else(|| panic!("{}.{word} is not read: {document}", table.name));
                let about = |fault: &Fault| fault.path.contains(word);
                assert!(faults.0.iter().any(about), "{}.{word} in {document}\n{faults}", table.name);
                asked += 1;
            }
        }
    }
    assert!(asked > 150, "{asked}");
}

#[test]
fn the_schema_knows_the_keys_of_the_tables_and_no_others() {
    let schema = schema();
    let defined = schema["$defs"].as_object().unwrap();
    let of_tables: BTreeMap<&str, BTreeSet<&str>> =
        keys::ALL.iter().map(|table| (table.name, table.spellings().collect())).collect();
    let of_schema: BTreeMap<&str, BTreeSet<&str>> = defined
        .iter()
        .map(|(name, map)| (name.as_str(), map["properties"].as_object().unwrap().keys().map(String::as_str).collect()))
        .collect();
    assert_eq!(of_schema, of_tables);
    assert!(defined.values().all(|map| map["additionalProperties"] == false));
    // Every reference leads to a definition.
    let text = schema.to_string();
    for reference in text.split("\"#/$defs/").skip(1) {
        let place = format!("/{}", reference.split('"').next().unwrap());
        assert!(schema["$defs"].pointer(&place).is_some(), "{place}");
    }
    // Every table that a key leads to is among them.
    fn inner(takes: &'static Takes) -> Vec<&'static Table> {
        match takes {
            Takes::Map(table) | Takes::List(table) => vec![table],
            Takes::Named(form) => inner(form),
            Takes::Either(forms) => forms.iter().flat_map(inner).collect(),
            _ => vec![],
        }
    }
    for key in keys::ALL.iter().flat_map(|table| table.keys) {
        assert!(inner(&key.takes).iter().all(|table| of_tables.contains_key(table.name)), "{}", key.name);
    }
}

#[test]
fn no_spelling_means_two_keys() {
    for table in keys::ALL {
        let spellings: Vec<&str> = table.spellings().collect();
        let distinct: BTreeSet<&str> = spellings.iter().copied().collect();
        assert_eq!(spellings.len(), distinct.len(), "{}", table.name);
    }
    let kinds: BTreeSet<&str> = keys::step::KINDS.into_iter().collect();
    for (key, of) in keys::step::BELONGS {
        assert!(keys::step::STEP.key(key).is_some() && of.iter().all(|kind| kinds.contains(kind)), "{key}");
    }
}

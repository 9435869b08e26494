//! What steps of a definition may answer, so that later steps find what they look for.
//!
//! Owns: the guess, made of the templates, conditions and mappings of the document alone.
//! Refuses to know: what the real other side says.

use nightshift_domain::{definition::Document, run::StepPlan};
use serde_json::{Map, Value, json};

/// An answer for each step, by the definition's name and the step's.
pub fn of(document: &Document) -> Vec<((String, String), Value)> {
    let workflow = format!("{}/{}", document.owner, document.name);
    let steps = &document.plan.steps;
    steps.iter().map(|step| ((workflow.clone(), step.id.clone()), answer(steps, step))).collect()
}

fn answer(steps: &[StepPlan], step: &StepPlan) -> Value {
    let mut value = json!({"ok": true, "did": step.id});
    for path in step.flow.output_mapping.values().filter_map(Value::as_str) {
        if let Some(path) = path.strip_prefix("$.") {
            put(&mut value, path, json!("text"));
        }
    }
    for other in steps {
        let lists = other.flow.for_each.iter().map(ToString::to_string).collect::<String>();
        for (path, _) in mentions(&lists, &step.id) {
            put(&mut value, &through(step, &path), json!([{"title": "one"}, {"title": "two"}]));
        }
        let condition = other.flow.when.clone().unwrap_or_default();
        for (path, rest) in mentions(&condition, &step.id) {
            if let Some(wanted) = compared(rest) {
                put(&mut value, &through(step, &path), wanted);
            }
        }
    }
    value
}

/// Paths behind `steps.id.` in a text, and what follows each.
fn mentions<'a>(text: &'a str, id: &str) -> Vec<(String, &'a str)> {
    let prefix = format!("steps.{id}.");
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find(&prefix) {
        rest = &rest[at + prefix.len()..];
        let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '.')).unwrap_or(rest.len());
        found.push((rest[..end].trim_end_matches('.').to_owned(), &rest[end..]));
    }
    found
}

/// The path before the step's own mapping.
fn through(step: &StepPlan, path: &str) -> String {
    let (first, rest) = path.split_once('.').map_or((path, None), |(first, rest)| (first, Some(rest)));
    let mapped = step.flow.output_mapping.get(first).and_then(Value::as_str).and_then(|path| path.strip_prefix("$."));
    match (mapped, rest) {
        (Some(mapped), Some(rest)) => format!("{mapped}.{rest}"),
        (Some(mapped), None) => mapped.to_owned(),
        (None, _) => path.to_owned(),
    }
}

/// A value for which a comparison holds.
fn compared(rest: &str) -> Option<Value> {
    let rest = rest.trim_start();
    let wanted = ["==", ">=", "<=", ">", "<"].iter().find_map(|op| rest.strip_prefix(op).map(|rest| (*op, rest)));
    let (op, literal) = wanted?;
    let literal = literal.trim_start();
    if let Some(text) = literal.strip_prefix(['\'', '"']) {
        return text.split(['\'', '"']).next().map(|text| json!(text));
    }
    let end = literal.find(|c: char| !(c.is_ascii_alphanumeric() || c == '.')).unwrap_or(literal.len());
    match (&literal[..end], literal[..end].parse::<f64>()) {
        ("true", _) => Some(json!(true)),
        ("false", _) => Some(json!(false)),
        (_, Ok(number)) => {
            let fits = match op {
                ">" => number + 1.0,
                "<" => number - 1.0,
                _ => number,
            };
            Some(if fits.fract() == 0.0 { json!(fits as i64) } else { json!(fits) })
        }
        _ => None,
    }
}

fn put(value: &mut Value, path: &str, leaf: Value) {
    let Some((first, rest)) = path.split_once('.') else {
        if let Value::Object(fields) = value {
            fields.insert(path.to_owned(), leaf);
        }
        return;
    };
    if let Value::Object(fields) = value {
        let inner = fields.entry(first.to_owned()).or_insert_with(|| Value::Object(Map::new()));
        put(inner, rest, leaf);
    }
}

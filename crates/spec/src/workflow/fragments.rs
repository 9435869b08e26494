//! Reusable parts of steps: `templates`, and `use` in a step.
//!
//! Owns: laying a step over the part it uses. Refuses to know: what the keys mean.
//!
//! It works on the document before it is read, so that what a step takes over keeps the place where it was written.

use super::{keys, work::is_slug};
use crate::{
    document::{Entry, Node, Value},
    fault::{did_you_mean, quote},
    reader::{Field, Reader},
};

/// The lists of steps of a workflow.
const LISTS: [&str; 4] = ["steps", "on_failure", "onFailure", "finally"];

/// Values that steps may take over in all: a large part that is used often must not become a huge document.
const TAKEN_OVER_MAX: usize = 100_000;

/// Puts the part that each step uses under it.
pub(super) fn expand(reader: &mut Reader, document: &mut Node) {
    let workflow = match &mut document.value {
        Value::Map(entries) => match entries.iter().position(|entry| entry.key == "orchestration") {
            Some(at) => &mut entries[at].node,
            None => document,
        },
        _ => return,
    };
    let Value::Map(entries) = &mut workflow.value else { return };
    let templates = entries.iter().find(|entry| entry.key == "templates").map(|entry| entry.node.clone());
    let parts: Vec<Entry> = match templates.map(|node| node.value) {
        Some(Value::Map(parts)) => parts,
        _ => Vec::new(),
    };
    check(reader, &parts);
    let mut taken_over = 0;
    for list in entries.iter_mut().filter(|entry| LISTS.contains(&entry.key.as_str())) {
        if let Value::List(steps) = &mut list.node.value {
            for (at, step) in steps.iter_mut().enumerate() {
                lay_over_part(reader, step, (&parts, &mut taken_over), &format!("{}[{at}]", list.key));
            }
        }
    }
}

fn check(reader: &mut Reader, parts: &[Entry]) {
    for part in parts {
        let path = format!("templates.{}", part.key);
        let field = Field { path, at: part.at, value: &part.node.value };
        if !is_slug(&part.key, "._-") {
            reader.fault(&field, quote(&part.key), "a name of letters, digits, dots, _ and -", None);
        }
        let Some(map) = reader.table(&field, &keys::step::STEP) else { continue };
        for key in ["use", "id"] {
            if let Some(field) = map.get(key) {
                let remedy = Some("drop the key: it belongs to steps".to_owned());
                reader.refuse(&field, &format!("a part of a step without {key}"), remedy);
            }
        }
    }
}

fn lay_over_part(reader: &mut Reader, step: &mut Node, (parts, taken_over): (&[Entry], &mut usize), path: &str) {
    let Value::Map(entries) = &step.value else { return };
    let Some(used) = entries.iter().find(|entry| entry.key == "use") else { return };
    let field = Field { path: format!("{path}.use"), at: used.at, value: &used.node.value };
    let Some(name) = reader.text(&field) else { return };
    let Some(part) = parts.iter().find(|part| part.key == name) else {
        let names: Vec<&str> = parts.iter().map(|part| part.key.as_str()).collect();
        let remedy = did_you_mean(&name, names.iter().copied());
        let allowed =
            if names.is_empty() { "a name of templates, of which there are none".to_owned() } else { names.join(", ") };
        reader.fault(&field, format!("the unknown template {}", quote(&name)), &allowed, remedy);
        return;
    };
    let Value::Map(below) = &part.node.value else { return };
    *taken_over += size(&part.node);
    if *taken_over > TAKEN_OVER_MAX {
        let found = format!("more than {TAKEN_OVER_MAX} values that are taken over");
        let remedy = Some("make the part smaller, or use it less often".to_owned());
        reader.fault(&field, found, "parts of steps of a moderate size", remedy);
        return;
    }
    let merged = laid_over(below, entries, true);
    step.value = Value::Map(merged);
}

/// Maps are laid over each other key by key; anything else counts as it stands above. At the top, spellings of a key of a
/// step are one key.
fn laid_over(below: &[Entry], above: &[Entry], top: bool) -> Vec<Entry> {
    let same = |one: &Entry, other: &Entry| {
        one.key == other.key || (top && keys::step::STEP.key(&one.key).is_some_and(|key| key.is(&other.key)))
    };
    let mut merged: Vec<Entry> =
        below.iter().filter(|entry| !["use", "id"].contains(&entry.key.as_str())).cloned().collect();
    for entry in above {
        match merged.iter_mut().find(|other| same(other, entry)) {
            Some(other) => {
                let node = match (&other.node.value, &entry.node.value) {
                    (Value::Map(below), Value::Map(above)) => {
                        Node { at: entry.node.at, value: Value::Map(laid_over(below, above, false)) }
                    }
                    _ => entry.node.clone(),
                };
                *other = Entry { key: entry.key.clone(), at: entry.at, node };
            }
            None => merged.push(entry.clone()),
        }
    }
    merged
}

fn size(node: &Node) -> usize {
    1 + match &node.value {
        Value::List(items) => items.iter().map(size).sum(),
        Value::Map(entries) => entries.iter().map(|entry| size(&entry.node)).sum(),
        _ => 0,
    }
}

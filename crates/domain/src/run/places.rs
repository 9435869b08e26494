//! Values that are kept outside of the events, within larger ones.
//!
//! Owns: where in what a step made they are, and what stands in their place.
//! Refuses to know: who brings them.
//!
//! Invariant: what is handed on of a value takes its places with it, so that no address is taken for what it leads to.

use std::collections::{BTreeMap, BTreeSet};

use super::{Kept, Outcome, Run, StepOutput, StepStatus};
use crate::{
    content::Digest,
    json::{Json, pointer_to},
    template::{self, Part},
};

/// Values that are kept elsewhere, by where in another they belong, as a JSON pointer; `""` is all of it.
pub type Places = BTreeMap<String, Kept>;

/// A list whose value is in its instances, as people see it.
pub fn listed(count: u32) -> Json {
    serde_json::json!({"instances": count})
}

/// The places of an output.
pub fn of_output(output: &StepOutput) -> Places {
    match output {
        StepOutput::Value(Outcome { kept: Some(kept), .. }) => Places::from([(String::new(), kept.clone())]),
        StepOutput::Value(outcome) => outcome.inside.clone(),
        _ => Places::new(),
    }
}

/// The places of what a step made, and of what its instances did, which is its list.
pub fn of_step(run: &Run, id: &str) -> Places {
    let of = |status: &StepStatus| match status {
        StepStatus::Completed { output } => of_output(output),
        StepStatus::Asking { output: Some(output), .. } => of_output(output),
        StepStatus::Asking { approval, .. } => approval.inside.clone(),
        _ => Places::new(),
    };
    let Some((_, step)) = run.step(id) else { return Places::new() };
    let mut found = of(&step.status);
    let instances = run.fans.get(id).map_or(&[][..], |fan| &fan.steps).iter().enumerate();
    found.extend(instances.flat_map(|(nth, instance)| below(&pointer_to(&nth.to_string()), of(&instance.status))));
    found
}

/// Places as they are seen from above.
pub fn below(prefix: &str, places: Places) -> Places {
    places.into_iter().map(|(at, kept)| (format!("{prefix}{at}"), kept)).collect()
}

/// The places at the end of a path and below it, as they are seen from there.
///
/// # Errors
/// The path leads into a value that is kept elsewhere.
pub fn at_path(places: &Places, parts: &[Part]) -> Result<Places, Kept> {
    let part = |part: &Part| match part {
        Part::Field(name) => pointer_to(name),
        Part::Index(nth) => pointer_to(&nth.to_string()),
    };
    let path: String = parts.iter().map(part).collect();
    let leads =
        |from: &str, to: &str| to.strip_prefix(from).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    match places.iter().find(|(at, _)| at.len() < path.len() && leads(at, &path)) {
        Some((_, kept)) => Err(kept.clone()),
        None => {
            let found = places.iter().filter(|(at, _)| leads(&path, at));
            Ok(found.map(|(at, kept)| (at[path.len()..].to_owned(), kept.clone())).collect())
        }
    }
}

/// Values outside of the events that a path needs, which it leads to or into.
pub fn needed(places: &Places, parts: &[Part]) -> BTreeSet<Digest> {
    match at_path(places, parts) {
        Ok(found) => found.into_values().map(|kept| kept.digest).collect(),
        Err(kept) => BTreeSet::from([kept.digest]),
    }
}

/// Puts values where they belong, as far as they were brought.
pub fn fill(value: &mut Json, places: &Places, brought: &BTreeMap<Digest, Json>) {
    for (at, kept) in places {
        if let Some((place, brought)) = value.pointer_mut(at).zip(brought.get(&kept.digest)) {
            place.clone_from(brought);
        }
    }
}

/// What a step gives later steps of a value it made: the names of its mapping, and what of these is kept elsewhere.
///
/// # Errors
/// The mapping looks into a value that is kept elsewhere.
pub fn mapped(mapping: &Json, outcome: &Outcome) -> Result<Places, template::Fault> {
    let mut found = Places::new();
    walk(mapping, &outcome.inside, "", &mut found)?;
    Ok(found)
}

fn walk(mapping: &Json, places: &Places, at: &str, found: &mut Places) -> Result<(), template::Fault> {
    match mapping {
        Json::String(text) => {
            let Some(parts) = template::mapped_parts(text) else { return Ok(()) };
            let kept = at_path(places, &parts).map_err(|_| template::Fault::Kept { path: text.clone() })?;
            found.extend(below(at, kept));
            Ok(())
        }
        Json::Object(fields) => {
            fields.iter().try_for_each(|(name, field)| walk(field, places, &format!("{at}{}", pointer_to(name)), found))
        }
        Json::Array(items) => (items.iter().enumerate())
            .try_for_each(|(nth, item)| walk(item, places, &format!("{at}{}", pointer_to(&nth.to_string())), found)),
        _ => Ok(()),
    }
}

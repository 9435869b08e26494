//! Tests of workflows: what each step is answered, and what is expected of a run with these answers.
//!
//! Owns: the keys of such a document and every fault of one, held against the definition that it is about.
//! Refuses to know: how a run goes on. The description for people is `docs/workflow-tests.md`.
//!
//! ```yaml
//! parameters: {topics: [sales]}
//! steps:
//!   fetch:                              # one answer an attempt; the last one stands for all that follow
//!     - {error: {class: transient, message: busy, status_code: 503}}
//!     - {output: {rows: [1, 2]}}
//!   paid: {event: {payload: {amount: 5}}}
//!   check: {approval: {action: continue, by: ada}}
//! expect:
//!   status: completed
//!   steps: {fetch: {status: completed, attempts: 2}, alert: skipped}
//!   outputs: {fetch: {rows: [1, 2]}}
//!   order: [fetch, paid, check]
//! ```

mod answers;
mod expect;
mod keys;

use std::collections::BTreeMap;

use nightshift_domain::{
    content::Failure,
    definition::{self, Document, Parameter},
    json::{Json, Object},
    run::{ApprovalAction, StepPlan, instance_of},
};

use crate::{
    document,
    fault::{Faults, did_you_mean, quote},
    reader::{Field, Map, Reader},
};

/// How deep a document may be nested.
const DEPTH_MAX: usize = 48;

/// What a run is given, what its steps are answered, and what is expected of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Script {
    /// Parameters as they were given, without the defaults of the definition.
    pub parameters: Json,
    /// What caused the run, as conditions and templates see it.
    pub trigger: Json,
    /// Answers by the id of a step, or of one of its instances: `each`, `each[2]`.
    pub answers: BTreeMap<String, Answers>,
    /// What is expected, in the order of the document.
    pub expectations: Vec<Expectation>,
}

/// What a step is answered. Each list is gone through by itself; a list that is at its end stands at its last entry, but
/// for decisions: people go on behind those that are written.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Answers {
    /// What its attempts come to, before `output_mapping`.
    pub results: Vec<Result<Json, Failure>>,
    /// What people decide; none: nobody answers.
    pub decisions: Vec<Option<Decision>>,
    /// What it hears; none: nothing comes.
    pub events: Vec<Option<Heard>>,
}

/// What somebody decides.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// What it does.
    pub action: ApprovalAction,
    /// Who.
    pub by: String,
    /// For people.
    pub note: Option<String>,
    /// Laid over the input or the payload.
    pub modifications: Option<Json>,
}

/// An event that comes.
#[derive(Debug, Clone, PartialEq)]
pub struct Heard {
    /// What it says.
    pub payload: Json,
    /// What it is about; none: what the step waits for.
    pub correlation: Option<String>,
}

/// Something that is expected, and where it is written.
#[derive(Debug, Clone, PartialEq)]
pub struct Expectation {
    /// Name of the document.
    pub file: String,
    /// Line, from 1.
    pub line: u64,
    /// Column, from 1.
    pub column: u64,
    /// The field, e.g. `expect.steps.fetch`.
    pub path: String,
    /// What.
    pub what: Expected,
}

/// What is expected.
#[derive(Debug, Clone, PartialEq)]
pub enum Expected {
    /// Where the run is in the end: `completed`, `failed`, `cancelled`, or `running` when it still waits.
    Status(&'static str),
    /// Where a step is in the end.
    Step {
        /// The step, or one of its instances.
        id: String,
        /// The word in tables.
        status: Option<&'static str>,
        /// How many attempts it took.
        attempts: Option<u32>,
    },
    /// What a step made, after `output_mapping`.
    Output {
        /// The step, or one of its instances.
        id: String,
        /// Objects may have more fields than these.
        value: Json,
    },
    /// What the run gives back.
    Result(Json),
    /// Steps begin in this order; others may begin between them.
    Order(Vec<String>),
    /// What made the run fail.
    Failure {
        /// The step.
        step: Option<String>,
        /// Class of the failure.
        class: Option<&'static str>,
        /// Part of its message.
        message: Option<String>,
    },
}

impl Script {
    /// What holds without a document: every step is answered as if nothing was said.
    ///
    /// # Errors
    /// The parameters are not as the definition wants them.
    pub fn plain(document: &Document, given: &Json) -> Result<Self, Faults> {
        let mut reader = Reader::new("-p");
        let parameters = parameters(&mut reader, None, document, given);
        let faults = reader.into_faults();
        let script = Self { parameters, trigger: trigger(), answers: BTreeMap::new(), expectations: Vec::new() };
        if faults.is_empty() { Ok(script) } else { Err(Faults(faults)) }
    }
}

fn trigger() -> Json {
    serde_json::json!({"type": "manual"})
}

/// Reads a document (YAML 1.2 or JSON) about `definition`. `given`: parameters that go before those of the document.
///
/// # Errors
/// Every fault of the document.
pub fn parse(text: &str, file: &str, definition: &Document, given: &Json) -> Result<Script, Faults> {
    let node = document::read_nested(text, file, DEPTH_MAX).map_err(|fault| Faults(vec![*fault]))?;
    let mut work = Work { reader: Reader::new(file), file, steps: &definition.plan.steps };
    let root = Field::root(&node);
    let script = work.reader.table(&root, &keys::SCRIPT).map(|map| {
        let parameters = parameters(&mut work.reader, Some(&map), definition, given);
        let trigger = map.get("trigger").and_then(|field| work.reader.json(&field)).unwrap_or_else(trigger);
        let answers = answers::read(&mut work, &map);
        let expectations = expect::read(&mut work, &map);
        Script { parameters, trigger, answers, expectations }
    });
    let faults = work.reader.into_faults();
    script.filter(|_| faults.is_empty()).ok_or(Faults(faults))
}

/// Reading under way.
struct Work<'w> {
    reader: Reader,
    file: &'w str,
    steps: &'w [StepPlan],
}

impl<'w> Work<'w> {
    /// The step that a name means, which may be one of its instances.
    fn step(&mut self, field: &Field<'_>, name: &str) -> Option<&'w StepPlan> {
        let named = |id: &str| self.steps.iter().find(|step| step.id == id);
        let of_list = || named(instance_of(name)?.0).filter(|step| step.flow.for_each.is_some());
        let found = named(name).or_else(of_list);
        if found.is_none() {
            let ids: Vec<&str> = self.steps.iter().map(|step| step.id.as_str()).collect();
            let remedy = did_you_mean(name, ids.iter().copied());
            let found = format!("{}, which is no step of the workflow", quote(name));
            self.reader.fault(field, found, &format!("one of {}", ids.join(", ")), remedy);
        }
        found
    }
}

/// The parameters of the document with those laid over them that were given beside it, held against the definition.
fn parameters(reader: &mut Reader, map: Option<&Map<'_>>, definition: &Document, given: &Json) -> Json {
    let field = map.and_then(|map| map.get("parameters"));
    let written = field.as_ref().and_then(|field| reader.named(field, "a map of names to values"));
    let mut merged = Object::new();
    for (name, field) in written.iter().flat_map(Map::entries) {
        merged.extend(reader.json(&field).map(|value| (name.to_owned(), value)));
    }
    let given = given.as_object().cloned().unwrap_or_default();
    merged.extend(given.clone());
    let merged = Json::Object(merged);
    for fault in definition::parameters(&definition.parameters, &merged).err().unwrap_or_default() {
        let place = written.as_ref().and_then(|map| map.entries().find(|(name, _)| *name == fault.name));
        let place = place.map(|(_, field)| field).filter(|_| !given.contains_key(&fault.name));
        let whole =
            Field { path: format!("parameters.{}", fault.name), at: Default::default(), value: &document::Value::Null };
        let place = place.or_else(|| field.clone().filter(|_| !given.contains_key(&fault.name))).unwrap_or(whole);
        refuse(reader, &place, (&definition.parameters, merged.get(&fault.name)), &fault.name);
    }
    merged
}

fn refuse(reader: &mut Reader, place: &Field<'_>, (known, value): (&[Parameter], Option<&Json>), name: &str) {
    let found = value.map_or_else(|| format!("no {name}"), ToString::to_string);
    match known.iter().find(|parameter| parameter.name == name) {
        Some(parameter) if parameter.one_of.is_empty() => {
            reader.fault(place, found, &parameter.kind.to_string(), None);
        }
        Some(parameter) => {
            let allowed: Vec<String> = parameter.one_of.iter().map(ToString::to_string).collect();
            reader.fault(place, found, &allowed.join(", "), None);
        }
        None => {
            let names: Vec<&str> = known.iter().map(|parameter| parameter.name.as_str()).collect();
            let allowed = if names.is_empty() { "no parameters".to_owned() } else { names.join(", ") };
            let remedy = did_you_mean(name, names);
            reader.fault(place, format!("the unknown parameter {}", quote(name)), &allowed, remedy);
        }
    }
}

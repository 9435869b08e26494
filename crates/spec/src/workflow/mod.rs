//! The workflow document: a graph of steps as people write it, in YAML or JSON.
//!
//! Owns: its keys and their other spellings, every fault of one, and the plan it becomes.
//! Refuses to know: clocks (the instant of reading is an argument), which agents, definitions and queues there are, and
//! what becomes of the definition.
//!
//! Invariant: all faults are found in one reading; a definition comes back only when there is none.
//! Invariant: a step of a plan depends only on steps before it, and sees only what is over when it begins.
//!
//! Three ways of writing are read. They have the same keys and differ in what holds when nothing is said:
//!
//! | way | is recognised by | retries | steps at once |
//! |---|---|---|---|
//! | queue | `key` at the top | 5 attempts after 2, 4, 8, 16 s and up to 1 s more | 64 |
//! | orchestration | everything below `orchestration`, with `metadata` beside it or not | none, unless `error_handling` says so | the configured number, or 1 |
//! | own | the rest | as queue; programs are not tried again | 64 |
//!
//! The configured cap bounds all of them. Our own way, whole:
//!
//! ```yaml
//! name: nightly-report            # unique below owner
//! owner: research
//! version: 1.2.0
//! description: What changed since yesterday.
//! parameters:
//!   - {name: topics, type: "string[]", required: true}
//!   - {name: grouping, type: string, default: day, enum: [day, week]}
//! triggers:
//!   - {cron: "0 6 * * MON-FRI", timezone: Europe/Berlin, overlap: skip, parameters: {topics: [sales]}}
//!   - {event: order_placed, parameters: {topics: "{{ event.payload.topics }}"}}
//!   - {webhook: nightly, secret: "env:HOOK_SECRET", parameters: {topics: "{{ event.payload.topics }}"}}
//! templates:                      # parts of steps, taken over with `use`
//!   careful: {timeout: 2m, retry: {max_attempts: 3, base_ms: 1500}}
//! steps:
//!   - {id: fetch, use: careful, call: /agents/search, body: {topics: "{{ topics }}"}, output: {rows: "$.rows"}}
//!   - {id: each, agent: summarizer, depends_on: fetch, for_each: "{{ steps.fetch.rows }}", parallel: 4,
//!      input: {userMessage: "Summarise {{ item.title }}"}, cache: {ttl: 1h}}
//!   - {id: check, approval: {question: "Send {{ steps.each }}?", group: editors, timeout: 1d}, depends_on: each}
//!   - {id: send, call: /agents/mail, depends_on: check, when: "size(steps.fetch.rows) > 0", body: "{{ steps.each }}"}
//! on_failure:
//!   - {call: /agents/alert, body: {run: "{{ run.id }}"}}
//! finally:
//!   - {process: [rm, -rf, "scratch-{{ workflow_run_id }}"]}
//! execution: {max_parallel: 4}
//! output: "{{ steps.each }}"
//! ```
//!
//! A step is one of `call`, `agent`, `process`, `llm`, `sleep`, `wait_for_event`, `approval`, `orchestration` and `set`.
//! Templates see `steps`, `parameters` (also by their bare names), `run`, `trigger`, `workflow_run_id`, `user_id`, `step_id`,
//! in a step with `for_each` `item` and `index`, and behind the main part `failure`. Conditions in `when` are CEL; they see
//! `steps`, `parameters`, `run`, `trigger`, `item`, `index` and `failure`, without braces.

mod action;
mod checkpoint;
mod execution;
mod fragments;
mod graph;
mod head;
mod keys;
mod references;
mod retry;
mod schema;
mod step;
mod triggers;
mod webhooks;
mod work;

use std::sync::Arc;

use nightshift_domain::{
    content::{INLINE_BYTES_MAX, Text},
    definition::{Document, Parameter},
    json::{Json, digest},
    run::{Part, Plan, Reports},
    time::Timestamp,
};

pub use references::{CONDITION_ROOTS, ROOTS};
pub use schema::{SCHEMA_ID, schema};

use crate::{
    calendar::ZonedCalendar,
    document::{self, Node, Value},
    fault::{Fault, Faults},
    reader::{Field, Map, Reader},
};
use retry::Defaults;
use step::{Draft, Place};
use work::{Mention, Seen, Style, Work};

/// How deep a document may be nested.
const DEPTH_MAX: usize = 48;

/// Priority of runs when the document says none.
pub const PRIORITY_DEFAULT: i16 = 100;

/// What reading a document needs from outside.
pub struct Context<'a> {
    /// Zone data.
    pub calendar: &'a ZonedCalendar,
    /// The instant of reading: anchor of an interval that names none.
    pub now: Timestamp,
    /// Owner of a document that names none.
    pub owner: &'a str,
    /// Steps of a run that go at once when a document below `orchestration` does not say
    /// (`ORCHESTRATION_DEFAULT_MAX_PARALLEL`).
    pub max_parallel_default: Option<u16>,
    /// No document gets more (`ORCHESTRATION_MAX_CONCURRENCY`).
    pub max_parallel_cap: Option<u16>,
}

/// Reads a workflow document (YAML 1.2 or JSON). `file` names it in faults, and names the workflow when it has no name.
///
/// # Errors
/// Every fault of the document.
pub fn parse(text: &str, file: &str, context: &Context<'_>) -> Result<Document, Faults> {
    let mut node = document::read_nested(text, file, DEPTH_MAX).map_err(|fault| Faults(vec![*fault]))?;
    let mut reader = Reader::new(file);
    fragments::expand(&mut reader, &mut node);
    let (found, faults) = read(&node, (text, file), context, reader);
    found.filter(|_| faults.is_empty()).ok_or(Faults(faults))
}

fn read(
    node: &Node,
    (text, file): (&str, &str),
    context: &Context<'_>,
    reader: Reader,
) -> (Option<Document>, Vec<Fault>) {
    let mut work = Work::new(context, style(node), reader);
    let found = open(&mut work, node).and_then(|(map, metadata)| {
        let head = head::read(&mut work, &map, metadata.as_ref(), file);
        let body = body(&mut work, &map);
        let (head, body) = (head?, body?);
        let plan = Plan { definition: format!("{}/{}@{}", head.owner, head.name, head.version), ..body.plan };
        Some(Document {
            owner: head.owner,
            name: head.name,
            version: head.version,
            display_name: head.display_name,
            description: head.description,
            parameters: body.parameters,
            triggers: body.triggers,
            plan: Arc::new(plan),
            priority: body.priority,
            source: source(text),
        })
    });
    let mut faults = work.reader.into_faults();
    // What several steps take over from one template is at fault once.
    faults.dedup_by(|one, other| {
        (one.line, one.column, &one.found, &one.allowed) == (other.line, other.column, &other.found, &other.allowed)
    });
    (found, faults)
}

fn source(text: &str) -> Text {
    let inline = (text.len() <= INLINE_BYTES_MAX).then(|| text.to_owned());
    Text { digest: digest(text), bytes: text.len() as u64, inline }
}

fn style(node: &Node) -> Style {
    let Value::Map(entries) = &node.value else { return Style::Own };
    let has = |key: &str| entries.iter().any(|entry| entry.key == key);
    match (has("orchestration"), has("key")) {
        (true, _) => Style::Orchestration,
        (false, true) => Style::Queue,
        (false, false) => Style::Own,
    }
}

/// The workflow, and `metadata` beside it.
fn open<'n>(work: &mut Work<'_, 'n>, node: &'n Node) -> Option<(Map<'n>, Option<Map<'n>>)> {
    let root = Field::root(node);
    if work.style != Style::Orchestration {
        return work.reader.table(&root, &keys::WORKFLOW).map(|map| (map, None));
    }
    let outer = work.reader.table(&root, &keys::WRAPPED)?;
    let metadata = outer.get("metadata").and_then(|field| work.reader.table(&field, &keys::METADATA));
    let inner = work.reader.required(&outer, "orchestration", "the workflow")?;
    work.reader.table(&inner, &keys::WORKFLOW).map(|map| (map, metadata))
}

/// What a document says beside who it is.
struct Body {
    parameters: Vec<Parameter>,
    triggers: Vec<nightshift_domain::definition::Trigger>,
    plan: Plan,
    priority: i16,
}

fn body<'n>(work: &mut Work<'_, 'n>, map: &Map<'n>) -> Option<Body> {
    let priority = work.optional(map, "priority", |work, field| work.whole(field, 0, 32_767));
    let parameters = head::parameters(work, map);
    let triggers = triggers::read(work, map, parameters.as_deref());
    if let Some(field) = map.get("templates") {
        work.reader.named(&field, "a map of names to parts of steps");
    }
    let defaults = retry::error_handling(work, map);
    let execution = execution::read(work, map);
    let mut drafts = drafts(work, map, &defaults);
    execution.keep(work, &mut drafts);
    checkpoints(work, map, &mut drafts);
    let reports = webhooks::read(work, map);
    let output = work.optional(map, "output", |work, field| work.template(field));
    let mentions = work.take_mentions();
    let max_parallel = execution.parallel(work);
    let drawn = plan(work, drafts, (parameters.as_deref(), &mentions), (output, max_parallel));
    Some(Body {
        parameters: parameters?,
        triggers: triggers?,
        plan: Plan { reports: reports?, ..drawn? },
        priority: priority?.map_or(PRIORITY_DEFAULT, |priority| i16::try_from(priority).unwrap_or(i16::MAX)),
    })
}

/// The steps of all three lists, in the order of the document.
fn drafts<'n>(work: &mut Work<'_, 'n>, map: &Map<'n>, defaults: &Defaults) -> Vec<Draft<'n>> {
    let mut drafts: Vec<Draft<'n>> = Vec::new();
    work.reader.required(map, "steps", "a list of at least one step");
    for (key, part) in [("steps", Part::Main), ("on_failure", Part::OnFailure), ("finally", Part::Finally)] {
        let Some(field) = map.get(key) else { continue };
        let Value::List(items) = field.value else {
            let remedy = Some("begin each step with \"- \"".to_owned());
            work.reader.refuse(&field, "a list of steps", remedy);
            continue;
        };
        if items.is_empty() && part == Part::Main {
            work.reader.fault(&field, "no steps".to_owned(), "a list of at least one step", None);
        }
        for (at, item) in work.reader.items(&field).iter().enumerate() {
            drafts.extend(step::read(work, item, Place { part, number: at + 1 }, defaults));
        }
    }
    if let (Some(first), false) = (drafts.first(), drafts.iter().any(|draft| draft.part == Part::Main)) {
        let field = first.field.clone();
        work.reader.fault(&field, "no step of the main part".to_owned(), "at least one step without on", None);
    }
    drafts
}

/// Questions that are listed apart from the steps.
fn checkpoints<'n>(work: &mut Work<'_, 'n>, map: &Map<'n>, drafts: &mut [Draft<'n>]) {
    let Some(field) = map.get("checkpoints") else { return };
    for item in work.reader.items(&field) {
        let seen = Seen { element: false, own_output: true };
        let listed = work.with_seen(seen, |work| checkpoint::listed(work, &item));
        let Some((field, id, checkpoint)) = listed else { continue };
        let mentions = work.take_mentions();
        let Some(draft) = drafts.iter_mut().find(|draft| draft.id == id) else {
            let remedy = crate::fault::did_you_mean(&id, drafts.iter().map(|draft| draft.id.as_str()));
            work.reader.fault(&field, crate::fault::quote(&id), "the id of a step", remedy);
            continue;
        };
        draft.mentions.extend(mentions);
        let Some(plan) = &mut draft.plan else { continue };
        if plan.flow.checkpoint.is_some() {
            let remedy = Some("drop one of the two".to_owned());
            work.reader.fault(&field, format!("a second question behind {id:?}"), "one question behind a step", remedy);
        }
        plan.flow.checkpoint = Some(Box::new(checkpoint));
    }
}

fn plan<'n>(
    work: &mut Work<'_, 'n>,
    drafts: Vec<Draft<'n>>,
    (parameters, mentions): (Option<&[Parameter]>, &[Mention<'n>]),
    (output, max_parallel): (Option<Option<Json>>, u16),
) -> Option<Plan> {
    let graph = graph::read(work, &drafts);
    // With faults among the parameters nobody knows which names there are.
    if let Some(parameters) = parameters {
        references::check(work, &drafts, &graph, parameters, mentions);
    }
    let mut plans: Vec<Option<nightshift_domain::run::StepPlan>> = drafts.into_iter().map(|draft| draft.plan).collect();
    let steps = graph.order?.into_iter().map(|at| plans.get_mut(at).and_then(Option::take));
    let steps = steps.collect::<Option<Vec<_>>>()?;
    Some(Plan { definition: String::new(), steps, max_parallel, output: output?, reports: Reports::default() })
}

#[cfg(test)]
mod tests;

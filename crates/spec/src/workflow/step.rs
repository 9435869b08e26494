//! A step: what surrounds what it does.
//!
//! Owns: conditions, loops, policies of a step, and which keys belong to which kind.
//! Refuses to know: other steps; `graph` and `references` judge what is between them.

use std::collections::BTreeMap;

use nightshift_domain::{
    json::Json,
    run::{Action, CachePolicy, Checkpoint, CrashPolicy, Flow, Part, RetryPolicy, Rollback, StepPlan},
};

use super::{
    action, checkpoint, keys,
    retry::{self, Defaults},
    work::{Mention, Seen, Style, Work},
};
use crate::{
    document::Value,
    fault::quote,
    reader::{Field, Map},
};

/// A step as it was read. It takes its place in the graph even when it is at fault, so that all faults are found.
pub(super) struct Draft<'n> {
    pub id: String,
    /// Where its id stands, or the step.
    pub field: Field<'n>,
    pub part: Part,
    pub kind: Option<&'static str>,
    pub depends_on: Vec<(Field<'n>, String)>,
    pub looped: bool,
    /// The names that its output has, when it says so.
    pub outputs: Vec<String>,
    pub mentions: Vec<Mention<'n>>,
    /// None: it is at fault.
    pub plan: Option<StepPlan>,
}

/// The list a step stands in, and its place there, from 1.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub part: Part,
    pub number: usize,
}

impl Place {
    fn id(self) -> String {
        match self.part {
            Part::Main => format!("step_{}", self.number),
            Part::OnFailure => format!("on_failure_{}", self.number),
            Part::Finally => format!("finally_{}", self.number),
        }
    }
}

/// Reads a step; none when it is no map.
pub(super) fn read<'n>(
    work: &mut Work<'_, 'n>,
    field: &Field<'n>,
    place: Place,
    defaults: &Defaults,
) -> Option<Draft<'n>> {
    let map = work.reader.table(field, &keys::step::STEP)?;
    let id = work.optional(&map, "id", |work, field| work.step_id(field));
    let part = part(work, &map, place);
    let depends_on = depends_on(work, &map);
    let kind = action::kind(work, &map);
    if let Some(kind) = kind {
        refuse_foreign_keys(work, &map, kind);
    }
    let for_each = for_each(work, &map);
    let looped = map.get("for_each").or_else(|| map.get("fanout_of")).is_some();
    let seen = Seen { element: looped, own_output: false };
    let when = work.with_seen(seen, |work| work.optional(&map, "when", |work, field| work.condition(field)));
    let action = kind.and_then(|kind| work.with_seen(seen, |work| action::read(work, &map, kind)));
    let flow = work.with_seen(seen, |work| flow(work, &map, (kind, defaults)));
    let policies = policies(work, &map, (kind, defaults));
    let outputs = flow.as_ref().map(|flow| flow.output_mapping.keys().cloned().collect()).unwrap_or_default();
    let mut draft = Draft {
        // One that is at fault keeps its spelling, so that others may refer to it.
        id: id.flatten().unwrap_or_else(|| written_id(&map).unwrap_or_else(|| place.id())),
        field: map.get("id").unwrap_or_else(|| map.whole()),
        part: part.unwrap_or(place.part),
        kind,
        depends_on,
        looped,
        outputs,
        mentions: work.take_mentions(),
        plan: None,
    };
    draft.plan = plan(&draft, (action, for_each, when), (flow, policies));
    Some(draft)
}

fn written_id(map: &Map<'_>) -> Option<String> {
    match map.get("id")?.value {
        Value::Text(text) => Some(text.trim().to_owned()),
        _ => None,
    }
}

type Doing = (Option<Action>, Option<Option<Json>>, Option<Option<Option<String>>>);

fn plan(
    draft: &Draft<'_>,
    (action, for_each, when): Doing,
    around: (Option<Flow>, Option<Policies>),
) -> Option<StepPlan> {
    let (flow, policies) = (around.0?, around.1?);
    let flow = Flow { for_each: for_each?, when: when?.flatten(), part: draft.part, ..flow };
    let mut action = action?;
    match (&mut action, policies.timeout_ms) {
        (Action::WaitForEvent { timeout_ms, .. }, said @ Some(_)) => *timeout_ms = timeout_ms.or(said),
        (Action::Approval { checkpoint, .. }, said @ Some(_)) => checkpoint.timeout_ms = checkpoint.timeout_ms.or(said),
        _ => {}
    }
    Some(StepPlan {
        id: draft.id.clone(),
        action,
        depends_on: draft.depends_on.iter().map(|(_, id)| id.clone()).collect(),
        retry: policies.retry,
        timeout_ms: policies.timeout_ms.unwrap_or_else(|| timeout_default_ms(draft.kind)),
        crash: policies.crash,
        optional: policies.optional,
        flow,
    })
}

fn part(work: &mut Work<'_, '_>, map: &Map<'_>, place: Place) -> Option<Part> {
    let Some(field) = map.get("on") else { return Some(place.part) };
    let words = [("main", Part::Main), ("failure", Part::OnFailure), ("finally", Part::Finally)];
    let part = work.word(&field, &words)?;
    if place.part != Part::Main && part != place.part {
        let remedy = Some("drop the key, or move the step to steps".to_owned());
        work.reader.refuse(&field, "the part that the list is for", remedy);
        return None;
    }
    Some(part)
}

fn depends_on<'n>(work: &mut Work<'_, 'n>, map: &Map<'n>) -> Vec<(Field<'n>, String)> {
    let Some(field) = map.get("depends_on") else { return Vec::new() };
    if matches!(field.value, Value::Map(_)) {
        work.reader.refuse(&field, "a list of ids of steps", None);
        return Vec::new();
    }
    work.reader.distinct_lines(&field)
}

/// Keys that say nothing about this kind of step.
fn refuse_foreign_keys(work: &mut Work<'_, '_>, map: &Map<'_>, kind: &'static str) {
    for other in keys::step::KINDS.iter().filter(|other| **other != kind) {
        let owner = kind == "orchestration" && *other == "agent";
        if let Some(field) = map.get(other).filter(|_| !owner) {
            let remedy = Some(format!("drop it, or write type: {other}"));
            work.reader.fault(&field, format!("the key {other} in a step of type {kind}"), "one kind of step", remedy);
        }
    }
    for (key, kinds) in keys::step::BELONGS.iter().filter(|(key, _)| !keys::step::KINDS.contains(key)) {
        if let Some(field) = map.get(key).filter(|_| !kinds.contains(&kind)) {
            let remedy = match *key {
                "input" | "context" if kind == "orchestration" => {
                    "write the values as orchestration.parameters".to_owned()
                }
                "input" if kind == "process" => "write process: {command: [...], input: ...}".to_owned(),
                _ => "drop the key".to_owned(),
            };
            let found = format!("the key {} in a step of type {kind}", quote(field.key()));
            work.reader.fault(
                &field,
                found,
                &format!("{key} only in steps of type {}", kinds.join(", ")),
                Some(remedy),
            );
        }
    }
}

fn for_each<'n>(work: &mut Work<'_, 'n>, map: &Map<'n>) -> Option<Option<Json>> {
    const LIST: &str = "a list, or a template that gives one, e.g. \"{{ steps.fetch.rows }}\"";
    if let (Some(_), Some(second)) = (map.get("for_each"), map.get("fanout_of")) {
        work.reader.refuse(&second, "for_each or fanout_of", Some("drop one of the two".to_owned()));
    }
    if let (Some(field), None, None) = (map.get("parallel"), map.get("for_each"), map.get("fanout_of")) {
        let remedy = Some("for the whole run write execution: {max_parallel: ...}".to_owned());
        work.reader.refuse(&field, "parallel only beside for_each", remedy);
    }
    if let Some(field) = map.get("fanout_of") {
        return action::output_of(work, &field).map(Some);
    }
    let Some(field) = map.get("for_each") else { return Some(None) };
    let fits = match field.value {
        Value::List(items) => !items.is_empty(),
        Value::Text(text) => {
            let text = text.trim();
            (text.starts_with("{{") && text.ends_with("}}")) || (text.starts_with("${") && text.ends_with('}'))
        }
        _ => false,
    };
    if !fits {
        let remedy = match field.value {
            Value::Text(text) if !text.contains("{{") => Some(format!("write for_each: \"{{{{ {} }}}}\"", text.trim())),
            _ => None,
        };
        work.reader.refuse(&field, LIST, remedy);
        return None;
    }
    work.template(&field).map(Some)
}

/// What surrounds the step, apart from conditions and loops.
fn flow<'n>(
    work: &mut Work<'_, 'n>,
    map: &Map<'n>,
    (kind, defaults): (Option<&'static str>, &Defaults),
) -> Option<Flow> {
    let label = work.optional(map, "name", |work, field| work.reader.line(field));
    let parallel = work.optional(map, "parallel", |work, field| work.whole(field, 1, 1_000));
    let output_mapping = map.get("output_mapping").map_or_else(|| Some(BTreeMap::new()), |field| mapping(work, &field));
    // Behind a list people are asked once, about all of it.
    let seen = Seen { element: false, own_output: true };
    let checkpoint = work.with_seen(seen, |work| work.optional(map, "checkpoint_after", checkpoint::behind));
    let cache = work.optional(map, "cache", cache);
    let queue = work.optional(map, "queue", |work, field| work.slug(field));
    let concurrency_key = work.optional(map, "concurrency_key", |work, field| work.template_text(field));
    let rollback = rollback(work, map);
    let undone_by_default = || defaults.rollback.clone().filter(|_| is_worked(kind) || kind == Some("orchestration"));
    Some(Flow {
        label: label?,
        when: None,
        for_each: None,
        for_each_parallel: parallel?.and_then(|parallel| u16::try_from(parallel).ok()),
        part: Part::Main,
        output_mapping: output_mapping?,
        checkpoint: checkpoint?.map(Box::<Checkpoint>::new),
        cache: cache?.flatten(),
        no_skip: defaults.no_skip,
        queue: queue?,
        concurrency_key: concurrency_key?,
        rollback: rollback?.or_else(undone_by_default),
    })
}

fn mapping<'n>(work: &mut Work<'_, 'n>, field: &Field<'n>) -> Option<BTreeMap<String, Json>> {
    let map = work.reader.named(field, "a map of names to $-paths or literals")?;
    let mut found = BTreeMap::new();
    let mut whole = true;
    for (name, field) in map.entries() {
        if !super::work::is_slug(name, "_-") {
            work.reader.fault(&field, quote(name), "a name of letters, digits, _ and -", None);
            whole = false;
        }
        whole &= paths_hold(work, &field);
        match work.json(&field) {
            Some(value) => drop(found.insert(name.to_owned(), value)),
            None => whole = false,
        }
    }
    whole.then_some(found)
}

/// Whether the texts of a mapping are `$`-paths or plain.
fn paths_hold<'n>(work: &mut Work<'_, 'n>, field: &Field<'n>) -> bool {
    const PATH: &str = "a path into what the step made, e.g. $.content.rows[0], or a literal";
    let text = match field.value {
        Value::Text(text) => text.as_str(),
        Value::List(_) => return work.reader.items(field).iter().all(|item| paths_hold(work, item)),
        Value::Map(_) => {
            let map = work.reader.named(field, "a map");
            return map.is_some_and(|map| map.fields().all(|field| paths_hold(work, &field)));
        }
        _ => return true,
    };
    let why = if text.contains("{{") {
        Some("what it made is named with $, without braces".to_owned())
    } else if let Some(rest) = text.strip_prefix('$').filter(|rest| !rest.is_empty()) {
        match nightshift_domain::template::Path::parse(&format!("root{rest}")) {
            Ok(path) if path.root == "root" => None,
            Ok(_) => Some("behind $ comes a dot or a bracket".to_owned()),
            Err(error) => Some(error.why),
        }
    } else {
        None
    };
    let holds = why.is_none();
    if !holds {
        work.reader.refuse(field, PATH, why);
    }
    holds
}

/// `Some(None)`: nothing is kept.
fn cache<'n>(work: &mut Work<'_, 'n>, field: &Field<'n>) -> Option<Option<CachePolicy>> {
    if let Value::Bool(enabled) = field.value {
        return Some(enabled.then(|| CachePolicy::of_seconds(None)));
    }
    let map = work.reader.table(field, &keys::step::CACHE)?;
    let enabled = work.optional(&map, "enabled", |work, field| work.truth(field));
    let ttl = work.optional(&map, "ttl", |work, field| match field.value {
        Value::Text(text) if text.ends_with(char::is_alphabetic) => {
            work.duration(field, u64::from(CachePolicy::MAX_S)).map(|ms| ms as f64 / 1_000.0)
        }
        _ => work.number(field),
    });
    let policy = CachePolicy::of_seconds(ttl?);
    Some(enabled?.unwrap_or(true).then_some(policy))
}

fn rollback<'n>(work: &mut Work<'_, 'n>, map: &Map<'n>) -> Option<Option<Rollback>> {
    let Some(field) = map.get("metadata") else { return Some(None) };
    let map = work.reader.table(&field, &keys::step::METADATA)?;
    let rollback = work.optional(&map, "rollback", retry::rollback);
    let reversible = work.optional(&map, "reversible", |work, field| work.truth(field));
    Some(match (rollback?, reversible?) {
        (None, None) => None,
        (rollback, reversible) => {
            let rollback = rollback.unwrap_or_default();
            Some(Rollback { reversible: reversible.unwrap_or(rollback.reversible), ..rollback })
        }
    })
}

/// What a failure means.
struct Policies {
    retry: RetryPolicy,
    timeout_ms: Option<u64>,
    crash: CrashPolicy,
    optional: bool,
}

fn policies<'n>(
    work: &mut Work<'_, 'n>,
    map: &Map<'n>,
    (kind, defaults): (Option<&'static str>, &Defaults),
) -> Option<Policies> {
    const DAY_S: u64 = 86_400;
    let metadata = map.get("metadata").and_then(|field| work.reader.named(&field, "a map"));
    let beside = metadata.and_then(|metadata| metadata.get("retry"));
    let retry = match map.get("retry").or(beside.clone()) {
        Some(field) => retry::policy(work, &field, retry_default(work.style, kind, defaults)),
        None => Some(retry_default(work.style, kind, defaults)),
    };
    if let (Some(_), Some(second)) = (map.get("retry"), beside) {
        work.reader.refuse(&second, "retry or metadata.retry", Some("drop one of the two".to_owned()));
    }
    let long = work.optional(map, "timeout", |work, field| work.duration(field, DAY_S));
    let short = work.optional(map, "timeout_ms", |work, field| work.whole(field, 1, DAY_S * 1_000));
    if let (Some(_), Some(second)) = (map.get("timeout"), map.get("timeout_ms")) {
        work.reader.refuse(&second, "timeout or timeout_ms", Some("drop one of the two".to_owned()));
    }
    let words = [("retry", CrashPolicy::Retry), ("keyed", CrashPolicy::Keyed), ("never", CrashPolicy::Never)];
    let crash = work.optional(map, "crash", |work, field| work.word(field, &words));
    let optional = work.optional(map, "optional", |work, field| work.truth(field));
    Some(Policies {
        retry: retry?,
        timeout_ms: long?.or(short?),
        crash: crash?.unwrap_or(crash_default(kind)),
        optional: optional?.unwrap_or(false),
    })
}

fn is_worked(kind: Option<&str>) -> bool {
    matches!(kind, Some("call" | "agent" | "process" | "llm"))
}

/// A program may have done anything, so that nothing but its author's word makes it go again.
fn retry_default(style: Style, kind: Option<&str>, defaults: &Defaults) -> RetryPolicy {
    match (kind, &defaults.retry) {
        (kind, _) if !is_worked(kind) => RetryPolicy::once(),
        (_, Some(policy)) => policy.clone(),
        (Some("process"), None) => RetryPolicy::once(),
        (_, None) => retry::base(style),
    }
}

fn crash_default(kind: Option<&str>) -> CrashPolicy {
    match kind {
        Some("call" | "agent") => CrashPolicy::Keyed,
        Some("process") => CrashPolicy::Never,
        _ => CrashPolicy::Retry,
    }
}

/// Steps that no worker does have no attempt to give up; they keep the shortest of these.
fn timeout_default_ms(kind: Option<&str>) -> u64 {
    match kind {
        Some("agent") => 300_000,
        Some("llm") => 120_000,
        Some("process") => 600_000,
        _ => 15_000,
    }
}

//! How much of a run goes at once, and which outputs are kept.
//!
//! Owns: `execution` and the bounds that the configuration sets. Refuses to know: how outputs are kept.

use nightshift_domain::run::CachePolicy;

use super::{
    keys,
    step::Draft,
    work::{Style, Work},
};
use crate::{
    fault::{did_you_mean, quote},
    reader::{Field, Map},
};

/// The most steps of a run that go at once when nothing is said and the style has no bound of its own.
const UNBOUNDED: u16 = 64;

/// What `execution` says.
pub(super) struct Execution<'n> {
    max_parallel: Option<u16>,
    caching: Option<Caching<'n>>,
}

struct Caching<'n> {
    enabled: bool,
    ttl_s: Option<f64>,
    steps: Vec<CachedStep<'n>>,
}

struct CachedStep<'n> {
    field: Field<'n>,
    id: String,
    enabled: Option<bool>,
    ttl_s: Option<f64>,
}

/// Reads `execution`.
pub(super) fn read<'n>(work: &mut Work<'_, 'n>, map: &Map<'n>) -> Execution<'n> {
    let mut found = Execution { max_parallel: None, caching: None };
    let Some(field) = map.get("execution") else { return found };
    let Some(map) = work.reader.table(&field, &keys::EXECUTION) else { return found };
    found.max_parallel = max_parallel(work, &map);
    if let Some(field) = map.get("concurrency")
        && let Some(inner) = work.reader.table(&field, &keys::CONCURRENCY)
    {
        let words = [("fifo", ()), ("dependency", ())];
        work.optional(&inner, "queue_strategy", |work, field| work.word(field, &words));
        let nested = max_parallel(work, &inner);
        if let (Some(_), Some(field)) = (nested, map.get("max_parallel")) {
            let remedy = Some("drop one of the two".to_owned());
            work.reader.refuse(&field, "max_parallel or concurrency.max_parallel", remedy);
        }
        found.max_parallel = nested.or(found.max_parallel);
    }
    found.caching = map.get("caching").and_then(|field| caching(work, &field));
    found
}

fn max_parallel<'n>(work: &mut Work<'_, 'n>, map: &Map<'n>) -> Option<u16> {
    let found = work.optional(map, "max_parallel", |work, field| work.whole(field, 1, 1_000));
    found.flatten().and_then(|found| u16::try_from(found).ok())
}

fn caching<'n>(work: &mut Work<'_, 'n>, field: &Field<'n>) -> Option<Caching<'n>> {
    let map = work.reader.table(field, &keys::CACHING)?;
    let words = [("per_step", ()), ("definition", ())];
    work.optional(&map, "strategy", |work, field| work.word(field, &words));
    let enabled = work.optional(&map, "enabled", |work, field| work.truth(field));
    let ttl_s = work.optional(&map, "ttl_seconds", |work, field| work.number(field));
    let mut steps = Vec::new();
    if let Some(field) = map.get("steps") {
        for item in work.reader.items(&field) {
            steps.extend(cached_step(work, &item));
        }
    }
    Some(Caching { enabled: enabled?.unwrap_or(false), ttl_s: ttl_s?, steps })
}

fn cached_step<'n>(work: &mut Work<'_, 'n>, field: &Field<'n>) -> Option<CachedStep<'n>> {
    let map = work.reader.table(field, &keys::CACHED_STEP)?;
    let id = work.reader.required(&map, "id", "the id of a step");
    let enabled = work.optional(&map, "enabled", |work, field| work.truth(field));
    let ttl_s = work.optional(&map, "ttl_seconds", |work, field| work.number(field));
    let field = id?;
    let id = work.reader.text(&field)?;
    Some(CachedStep { field, id, enabled: enabled?, ttl_s: ttl_s? })
}

impl Execution<'_> {
    /// How many steps of a run may go at once, within the bound of the configuration.
    pub(super) fn parallel(&self, work: &Work<'_, '_>) -> u16 {
        let context = work.context;
        let unsaid = match work.style {
            Style::Orchestration => context.max_parallel_default.or(context.max_parallel_cap).unwrap_or(1),
            Style::Queue | Style::Own => UNBOUNDED,
        };
        let said = self.max_parallel.unwrap_or(unsaid).max(1);
        context.max_parallel_cap.map_or(said, |cap| said.min(cap.max(1)))
    }

    /// Sets what is kept of each step that does not say so itself.
    pub(super) fn keep(&self, work: &mut Work<'_, '_>, drafts: &mut [Draft<'_>]) {
        let Some(caching) = &self.caching else { return };
        for listed in &caching.steps {
            if !drafts.iter().any(|draft| draft.id == listed.id) {
                let remedy = did_you_mean(&listed.id, drafts.iter().map(|draft| draft.id.as_str()));
                work.reader.fault(&listed.field, quote(&listed.id), "the id of a step", remedy);
            }
        }
        for draft in drafts {
            let listed = caching.steps.iter().find(|listed| listed.id == draft.id);
            if let (Some(listed), Some(kind)) = (listed, draft.kind.filter(|kind| !KEPT.contains(kind))) {
                let found = format!("{}, a step of type {kind}", quote(&listed.id));
                work.reader.fault(&listed.field, found, &format!("a step of type {}", KEPT.join(", ")), None);
                continue;
            }
            let (enabled, ttl_s) = match listed {
                Some(listed) => (listed.enabled.unwrap_or(caching.enabled), listed.ttl_s.or(caching.ttl_s)),
                None => (caching.enabled && caching.steps.is_empty() && draft.kind == Some("agent"), caching.ttl_s),
            };
            if let Some(plan) = draft.plan.as_mut().filter(|plan| enabled && plan.flow.cache.is_none()) {
                plan.flow.cache = Some(CachePolicy::of_seconds(ttl_s));
            }
        }
    }
}

/// Kinds of steps whose output can be kept.
const KEPT: [&str; 4] = ["agent", "call", "process", "llm"];

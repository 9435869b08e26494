//! The outside: agents, sources, mail. It remembers what it was asked to do, and how often it did it.
//!
//! Owns: what comes of a call, and the count of what was really done under each key.
//! Refuses to know: retries, leases, tokens; it sees the key that comes with a call.

use std::collections::BTreeMap;

use nightshift_domain::{
    content::{
        Composer, Digest, Draft, Failure, FailureClass, Item, Observation, Receipt, SourceFailure, SourceSnapshot,
        SourceSpec, Text,
    },
    ids::derive_u64,
    run::{Action, CrashPolicy, Outcome as Made, StepOutput, instance_of},
    time::Timestamp,
};
use nightshift_projections::Rows;
use serde::{Deserialize, Serialize};

use super::{
    Invariant,
    node::{Brought, NodeRef, WorkKey},
    projector::Page,
    quick::Map,
    sim::Sim,
};

/// What a definition allows that its author may not want.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Finding {
    /// The definition.
    pub workflow: String,
    /// Its step.
    pub step: String,
    /// What can happen, and what helps.
    pub what: String,
}

/// The outside.
#[derive(Debug, Default)]
pub struct World {
    pub pages: Vec<Page>,
    /// Empty between two pages; kept for its room.
    pub folder: Rows,
    /// What came of what was done under a key.
    kept: Map<String, StepOutput>,
    /// How often something was done under a key, since somebody asked for it again.
    done: Map<(String, u32), u32>,
    pub findings: BTreeMap<Finding, u64>,
    pub effects: u64,
}

impl Sim<'_> {
    /// The outside is asked to do an attempt: what comes of it, and after how many microseconds.
    pub fn execute(&mut self, at: NodeRef, work: &WorkKey) -> (Brought, i64) {
        let Some(doing) = self.nodes[at.node].doing.get(work) else {
            return (Err(Failure::new(FailureClass::Permanent, "nobody asked")), 1);
        };
        let (step, key, action) = (doing.step.clone(), doing.key.clone(), std::rc::Rc::clone(&doing.action));
        let (attempt, token) = (doing.attempt, doing.token);
        self.world.effects += 1;
        self.audit.effect(work.0, (&step, attempt, token), &key, self.now);
        let takes_us = match self.chance.below(100) {
            0 => self.chance.between(50_000_000, 400_000_000),
            1..=30 => self.chance.between(2_000_000, 30_000_000),
            _ => self.chance.between(50_000, 2_000_000),
        };
        let policy = self.audit.policy(work.0, &step).unwrap_or(CrashPolicy::Retry);
        if let (CrashPolicy::Keyed, Some(known)) = (policy, self.world.kept.get(&key)) {
            return (Ok(known.clone()), takes_us.min(1_000_000));
        }
        if let Some(failure) = self.refuses() {
            return (Err(failure), takes_us.min(5_000_000));
        }
        let output = self.output(work, &step, &action, &key);
        self.world.kept.insert(key.clone(), output.clone());
        let round = self.audit.round(work.0, &step);
        let times = self.world.done.entry((key, round)).or_default();
        *times += 1;
        if *times > 1 {
            self.done_again(work, &step, policy);
        }
        (Ok(output), takes_us)
    }

    /// The other side turns a call away, for certain without having done anything.
    fn refuses(&mut self) -> Option<Failure> {
        let class = match self.chance.below(1_000) {
            0..20 => FailureClass::Transient,
            20..25 => FailureClass::RateLimited,
            25..28 => FailureClass::Permanent,
            _ => return None,
        };
        Some(Failure::new(class, "the other side says no"))
    }

    /// Something that leaves no key was done more than once.
    fn done_again(&mut self, work: &WorkKey, step: &str, policy: CrashPolicy) {
        if policy == CrashPolicy::Never {
            let what = format!("step {step} of run {} was done twice, and a crash means never", work.0);
            self.audit.violated(Invariant::I23, what, self.now);
            return;
        }
        let what = "it can be done twice: a process may end, or the time run out, after the step was done and before its result \
                    is recorded, and its effect has no key. Say `crash: keyed` when the other side minds \
                    X-Idempotency-Key, `crash: never` when it must not be done again";
        self.note(work, step, what);
    }

    pub fn note(&mut self, work: &WorkKey, step: &str, what: &str) {
        let Some(workflow) = self.audit.workflow(work.0) else { return };
        let step = instance_of(step).map_or(step, |(step, _)| step).to_owned();
        *self.world.findings.entry(Finding { workflow, step, what: what.to_owned() }).or_default() += 1;
    }

    fn output(&mut self, work: &WorkKey, step: &str, action: &Action, key: &str) -> StepOutput {
        match action {
            Action::Gather { sources, .. } => {
                let snapshot = |source: &nightshift_domain::run::GatherSource| SourceSnapshot {
                    source_id: source.source_id,
                    platform: source.spec.platform().to_owned(),
                    resource_id: source.spec.resource_id(),
                    resource_name: source.spec.resource_name(),
                    synced_at: self.now,
                    upto_version: source.upto_version,
                    platform_cursor: None,
                    item_count: 1,
                    source_latest_at: None,
                    digest: Digest(key.to_owned()),
                    error: source.error.clone(),
                };
                let snapshots = sources.iter().map(snapshot).collect();
                StepOutput::Material { digest: Digest(key.to_owned()), bytes: 100, items: 1, snapshots }
            }
            Action::Compose {} => {
                let body = format!("# Document\n\n{key}\n");
                let text = Text { digest: Digest(key.to_owned()), bytes: body.len() as u64, inline: Some(body) };
                StepOutput::Draft(Draft { text, composer: Composer::Extractive { revision: 0 }, warnings: Vec::new() })
            }
            Action::Validate {} => StepOutput::Validated { warnings: Vec::new() },
            Action::Deliver { .. } | Action::Notify { .. } => {
                StepOutput::Receipt(Receipt { external_id: key.to_owned(), external_url: None, detail: None })
            }
            _ => {
                let base = instance_of(step).map_or(step, |(step, _)| step);
                let workflow = self.audit.workflow(work.0).unwrap_or_default();
                StepOutput::Value(Made::of(self.traffic.answer(&workflow, base)))
            }
        }
    }

    /// A look at a source: something new every half day.
    pub fn observe(
        &mut self,
        spec: &SourceSpec,
        known: &BTreeMap<String, Digest>,
    ) -> Result<Observation, SourceFailure> {
        if self.chance.happens(20_000) {
            let message = "the source does not answer".to_owned();
            return Err(SourceFailure { class: FailureClass::Transient, message });
        }
        let phase = derive_u64("phase", &[spec.resource_id().as_bytes()]) % 12;
        let newest = self.now.micros() / 3_600_000_000 / 12 + i64::try_from(phase).unwrap_or(0);
        let items =
            (newest - 1..=newest).map(|nth| item(nth, self.now)).filter(|item| !known.contains_key(&item.item_id));
        Ok(Observation { items: items.collect(), removed: vec![], omitted: vec![], cursor: BTreeMap::new() })
    }
}

fn item(nth: i64, now: Timestamp) -> Item {
    let body = format!("news {nth}");
    Item {
        item_id: format!("item-{nth}"),
        title: format!("News {nth}"),
        link: None,
        author: None,
        source_at: Some(now),
        text: Text { digest: Digest(body.clone()), bytes: body.len() as u64, inline: Some(body) },
        facts: BTreeMap::new(),
    }
}

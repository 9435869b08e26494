//! The auditor: what must hold of a simulated history, judged from what is durable, what clients were told and what the
//! outside saw.
//!
//! Owns: the invariants of `docs/reliability.md`, written without the deciders and their states. What a stream owes is the
//! exception: at the end it is folded once more, by the domain's own words, and compared with the table.
//! Refuses to know: how a history came to be.

mod bulk;
mod deliverable;
mod end;
mod log;
mod queue;
mod run;
mod schedule;
mod told;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use nightshift_actors::queue::limits::{Limits, Rate};
use nightshift_domain::{
    ids::{CommandId, RunId, ShardId, StreamId, StreamKind},
    run::{CrashPolicy, Token, instance_of},
    streams::AnyEvent,
    time::Timestamp,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    Invariant,
    database::{Batch, Commit, Table},
    invariant::Looks,
    quick::{Map, Set},
};

/// Violations that are kept; more are counted.
const KEPT_MAX: usize = 40;

/// Something that must not be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Violation {
    /// Number of the invariant, as `docs/reliability.md` lists them.
    pub invariant: Invariant,
    /// What was seen.
    pub what: String,
    /// The simulated instant.
    pub at: String,
}

/// The auditor of one seed.
#[derive(Debug)]
pub struct Audit {
    pub violations: Vec<Violation>,
    pub count: u64,
    /// How often an invariant was looked at.
    pub checks: Looks,
    /// Of all that is durable, in the order in which it became so.
    pub hash: u64,
    pub events: u64,
    pub commands_count: u64,
    concurrency: usize,
    limits: Limits,
    /// Limits that nobody set.
    file: Limits,
    shards: BTreeMap<ShardId, log::ShardView>,
    owners: Map<(ShardId, i64), Uuid>,
    versions: Map<StreamId, u64>,
    commands: Map<CommandId, bool>,
    runs: Map<RunId, run::RunView>,
    deliverables: Map<StreamId, deliverable::DeliverableView>,
    schedules: BTreeMap<StreamId, schedule::ScheduleView>,
    tokens: Set<(ShardId, Token)>,
    /// Attempts under way by the session that gave them their places.
    places: Map<Uuid, Map<Token, Option<String>>>,
    /// When a place was given that no attempt has begun with.
    given: Map<(ShardId, Token), Timestamp>,
    queue: queue::QueueView,
    /// Rates that are durable and not known everywhere.
    coming: BTreeMap<CommandId, (String, Rate)>,
    bulks: BTreeMap<StreamId, bulk::BulkView>,
    /// Messages that webhooks took, by run: version and part.
    heard: Map<RunId, BTreeSet<(u64, u32)>>,
    definitions: BTreeMap<StreamId, told::DefinitionView>,
    orders: Map<StreamId, told::OrderView>,
    /// Instants at which buckets gave tokens, by session and bucket.
    grants: Map<(Uuid, String), VecDeque<Timestamp>>,
    checkpoints: BTreeMap<ShardId, u64>,
    /// What definitions asked for and topics told: runs that must be.
    requested: Vec<RunId>,
}

impl Audit {
    pub fn new(concurrency: usize, limits: Limits) -> Self {
        Self {
            violations: Vec::new(),
            count: 0,
            checks: Looks::default(),
            hash: 0xcbf2_9ce4_8422_2325,
            events: 0,
            commands_count: 0,
            concurrency,
            file: limits.clone(),
            limits,
            shards: BTreeMap::new(),
            owners: Map::default(),
            versions: Map::default(),
            commands: Map::default(),
            runs: Map::default(),
            deliverables: Map::default(),
            schedules: BTreeMap::new(),
            tokens: Set::default(),
            places: Map::default(),
            given: Map::default(),
            queue: queue::QueueView::default(),
            coming: BTreeMap::new(),
            bulks: BTreeMap::new(),
            heard: Map::default(),
            definitions: BTreeMap::new(),
            orders: Map::default(),
            grants: Map::default(),
            checkpoints: BTreeMap::new(),
            requested: Vec::new(),
        }
    }

    /// Notes something that must not be.
    pub fn violated(&mut self, invariant: Invariant, what: String, at: Timestamp) {
        self.count += 1;
        if self.violations.len() < KEPT_MAX {
            self.violations.push(Violation { invariant, what, at: at.to_string() });
        }
    }

    /// So many were looked at, and found to hold or told one by one.
    fn looked(&mut self, invariant: Invariant, times: u64) {
        self.checks.add(invariant, times);
    }

    /// Looks at something once.
    fn holds(&mut self, invariant: Invariant, holds: bool, at: Timestamp, what: impl FnOnce() -> String) {
        self.checks.add(invariant, 1);
        if !holds {
            self.violated(invariant, what(), at);
        }
    }

    /// A process has taken over; it has places of its own, and has read what was set.
    pub fn session(&mut self, owner: Uuid, now: Timestamp) {
        self.places.entry(owner).or_default();
        self.queue_heard(&|_| true, now);
    }

    /// A batch is durable.
    pub fn committed(
        &mut self,
        batch: &Batch,
        table: &Table,
        (calendar, now): (&dyn nightshift_domain::calendar::Calendar, Timestamp),
    ) {
        self.log(batch, table, now);
        for commit in batch.commits.iter() {
            self.commit(batch.shard, commit, calendar, now);
        }
    }

    fn commit(
        &mut self,
        shard: ShardId,
        commit: &Commit,
        calendar: &dyn nightshift_domain::calendar::Calendar,
        now: Timestamp,
    ) {
        for fact in &commit.facts {
            match &*fact.event {
                AnyEvent::Run(event) => self.run_event((shard, fact), event, commit, now),
                AnyEvent::Deliverable(event) => {
                    self.order_event(fact, event);
                    self.deliverable_event(fact, event, now);
                }
                AnyEvent::Schedule(event) => self.schedule_event(fact, event, calendar, now),
                AnyEvent::Definition(event) => self.definition_event(fact, event, now),
                AnyEvent::Queue(event) => self.queue_event(fact, event),
                AnyEvent::Bulk(event) => self.bulk_event(fact, event, now),
                AnyEvent::Source(_) | AnyEvent::Topic(_) => {}
            }
        }
        if let StreamId { kind: StreamKind::Run, id } = commit.stream {
            self.run_commit_ended(RunId::from_uuid(id), now);
        }
    }

    /// A client was answered.
    pub fn acknowledged(&mut self, to: StreamId, id: CommandId, accepted: bool, now: Timestamp) {
        let known = self.commands.get(&id).copied();
        if to.kind == StreamKind::Queue {
            self.queue_heard(&|other| other == id, now);
        }
        self.holds(Invariant::I2, known == Some(accepted), now, || {
            let said = if accepted { "taken" } else { "turned down" };
            let kept =
                known.map_or("nothing of it is durable", |taken| if taken { "it was taken" } else { "it was not" });
            format!("a client of {to} was told that command {id} was {said}; {kept}")
        });
    }

    /// A bucket gave a token.
    pub fn passed(&mut self, owner: Uuid, bucket: &str, at: Timestamp) {
        let Some(rate) = self.limits.rate(bucket) else { return };
        let given = self.grants.entry((owner, bucket.to_owned())).or_default();
        // A clock that went back gives nothing.
        let at = given.back().map_or(at, |last| at.max(*last));
        given.push_back(at);
        if given.len() > 64 {
            given.pop_front();
        }
        let over = given.iter().enumerate().find_map(|(nth, first)| {
            let many = (given.len() - nth) as f64;
            let most = rate.capacity + at.micros_since(*first) as f64 / 1e6 * rate.refill_per_s;
            (many > most + 1e-3).then(|| format!("{bucket} gave {many} tokens where {most:.3} are the most"))
        });
        self.holds(Invariant::I21, over.is_none(), at, || over.unwrap_or_default());
    }

    /// The task behind a token is gone, so its place is free.
    pub fn task_gone(&mut self, shard: ShardId, token: Token) {
        let owner = self.owners.get(&(shard, token.epoch));
        if let Some(open) = owner.and_then(|owner| self.places.get_mut(owner)) {
            open.remove(&token);
        }
    }

    /// A checkpoint is written.
    pub fn checkpoint(&mut self, shard: ShardId, upto: u64, now: Timestamp) {
        let head = self.shards.get(&shard).map_or(0, log::ShardView::head);
        let before = self.checkpoints.insert(shard, upto).unwrap_or(0);
        self.holds(Invariant::I10, before <= upto && upto <= head, now, || {
            format!("the read models of shard {shard} went from {before} to {upto}; its log ends at {head}")
        });
    }

    /// What a crash in the middle of a step means.
    pub fn policy(&self, run: RunId, step: &str) -> Option<CrashPolicy> {
        let view = self.runs.get(&run)?;
        let base = instance_of(step).map_or(step, |(step, _)| step);
        view.created.plan.steps.iter().find(|planned| planned.id == base).map(|planned| planned.crash)
    }

    /// How often somebody asked for a step again.
    pub fn round(&self, run: RunId, step: &str) -> u32 {
        self.runs.get(&run).map_or(0, |view| view.round(step))
    }

    /// The definition of a run, `owner/name`.
    pub fn workflow(&self, run: RunId) -> Option<String> {
        let workflow = self.runs.get(&run)?.created.subject.workflow()?;
        Some(format!("{}/{}", workflow.owner, workflow.name))
    }

    /// How many runs there were.
    pub fn runs(&self) -> u64 {
        self.runs.len() as u64
    }
}

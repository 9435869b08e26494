//! The auditor: what must hold of every history, judged from events and obligations alone.
//!
//! Owns: the invariants, written without the deciders and their states; the fold of a run is asked for one thing only, the
//! key under which an attempt was made.
//! Refuses to know: how a history came to be.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use nightshift_domain::{
    decider::{Class, Decider},
    deliverable::Event as Fact,
    ids::{RunId, ShardId, StreamId},
    recorded::Recorded,
    run::{Event as Done, RunDecider, State as RunState, StepOutput},
    schedule::Event as Tick,
    streams::AnyEvent,
    time::Timestamp,
};
use nightshift_ports::{
    log::{EventLog, Owed, OwedQuery},
    memory::MemoryStore,
    read_models::{Query, ReadModels},
    rows::normal,
};
use nightshift_projections::tables;

use super::{Performed, drive::Driven, recording::Recording, steps};
use crate::{
    error::Error,
    fixture::{Fixture, GoldenRow},
    golden::rows_of,
    history::ShardCheck,
    obligations::mismatches,
    order::Commit,
    replay::by_key,
    report::Report,
};

/// What the auditor looks at.
#[derive(Debug, Default)]
pub struct Evidence {
    /// All events, in order of shard and sequence number.
    pub events: Vec<Recorded>,
    /// All open obligations.
    pub owed: Vec<Owed>,
    /// Rows of the read models.
    pub rows: Vec<GoldenRow>,
    /// The instant at the end.
    pub now: Timestamp,
    /// What left the machine after the cut.
    pub performed: Vec<Performed>,
    /// Keys of what had been done before the cut.
    pub done_before: BTreeSet<String>,
    /// Numbers of versions that must be staged or failed.
    pub staged: BTreeMap<StreamId, Vec<u32>>,
}

impl Evidence {
    pub(super) async fn gather(
        store: &MemoryStore,
        recording: &Recording,
        fixture: &Fixture,
        driven: &Driven,
        prefix: &[Commit],
    ) -> Result<Self, Error> {
        let shards: Vec<ShardId> = (0..fixture.about.shard_count).map(ShardId).collect();
        let mut events = Vec::new();
        for shard in &shards {
            events.extend(store.read_shard(*shard, 0, u32::MAX).await?);
        }
        let query = OwedQuery { classes: Class::ALL.to_vec(), due_before: None, after: None, limit: u32::MAX };
        let mut rows = Vec::new();
        for table in tables::ALL {
            let all = store.query(table, &Query { limit: u32::MAX, ..Query::default() }).await?;
            let named = all.into_iter().map(|row| GoldenRow { table: table.name.to_owned(), row: normal(table, row) });
            rows.extend(named);
        }
        Ok(Self {
            events,
            owed: store.owed(&shards, &query).await?,
            rows,
            now: driven.now,
            performed: driven.performed.clone(),
            done_before: handed_over(prefix.iter().flat_map(|commit| &commit.events)).into_iter().collect(),
            staged: recording.staged.clone(),
        })
    }
}

/// The keys of what events say was done outside: deliveries, notices, steps of workflows. Streams are whole and in order.
fn handed_over<'a>(events: impl IntoIterator<Item = &'a Recorded>) -> Vec<String> {
    let (mut runs, mut keys) = (HashMap::<StreamId, RunState>::new(), Vec::new());
    for recorded in events {
        let Ok(AnyEvent::Run(event)) = recorded.decode() else { continue };
        let state = runs.entry(recorded.stream).or_default();
        if let Done::AttemptSucceeded { step, output, .. } = &event
            && matches!(**output, StepOutput::Receipt(_) | StepOutput::Value(_))
        {
            let run = RunId::from_uuid(recorded.stream.id);
            keys.extend(state.run().and_then(|known| known.idempotency_key(run, step)));
        }
        RunDecider::evolve(state, &event, recorded.at);
    }
    keys
}

/// What should not be so; empty when all is well.
#[must_use]
pub fn audit(evidence: &Evidence) -> Vec<String> {
    let mut faults = log_is_sound(&evidence.events);
    let mut told: BTreeMap<StreamId, Vec<AnyEvent>> = BTreeMap::new();
    for event in &evidence.events {
        match event.decode() {
            Ok(decoded) => told.entry(event.stream).or_default().push(decoded),
            Err(error) => faults.push(format!("{} version {}: {error}", event.stream, event.version)),
        }
    }
    for (stream, events) in &told {
        let found = match events.first() {
            Some(AnyEvent::Deliverable(_)) => versions(events),
            Some(AnyEvent::Run(_)) => steps::run(events),
            Some(AnyEvent::Schedule(_)) => schedule(events),
            Some(AnyEvent::Source(_) | AnyEvent::Definition(_)) => Vec::new(),
            Some(AnyEvent::Topic(_) | AnyEvent::Queue(_) | AnyEvent::Bulk(_)) | None => Vec::new(),
        };
        faults.extend(found.into_iter().map(|fault| format!("{stream}: {fault}")));
    }
    faults.extend(staged(evidence, &told));
    faults.extend(handed_over_once(evidence));
    faults.extend(nothing_owed(evidence));
    faults.extend(rows_are_the_fold(evidence));
    faults
}

/// Dense, in order, under rising epochs; the events of one command stand together.
fn log_is_sound(events: &[Recorded]) -> Vec<String> {
    let mut report = Report::default();
    let mut shards: HashMap<ShardId, ShardCheck> = HashMap::new();
    let mut versions: HashMap<StreamId, u64> = HashMap::new();
    let mut ended: HashSet<(ShardId, uuid::Uuid)> = HashSet::new();
    let mut last: Option<&Recorded> = None;
    let mut faults = Vec::new();
    for event in events {
        shards.entry(event.shard).or_default().event(event, true, &mut report);
        let version = versions.entry(event.stream).or_default();
        *version += 1;
        if event.version != *version {
            faults.push(format!("{}: version {} where {version} is next", event.stream, event.version));
        }
        if let Some(before) = last.filter(|before| before.command_id != event.command_id || before.shard != event.shard)
        {
            ended.insert((before.shard, before.command_id.0));
        }
        if ended.contains(&(event.shard, event.command_id.0)) {
            faults.push(format!("command {} wrote twice: again at seq {}", event.command_id, event.seq));
        }
        last = Some(event);
    }
    faults.extend(report.corrupt.first.iter().map(ToString::to_string));
    faults
}

/// A slot has one beginning and at most one version; a version one slot, one number and one end of its making.
fn versions(events: &[AnyEvent]) -> Vec<String> {
    let mut faults = Vec::new();
    let (mut begun, mut versions, mut slots) = (HashSet::new(), BTreeMap::new(), HashMap::new());
    for event in events {
        let AnyEvent::Deliverable(event) = event else { continue };
        match event {
            Fact::SlotDue { slot, nominal, .. } if !begun.insert(*slot) => {
                faults.push(format!("slot {slot} of {nominal} began twice"));
            }
            Fact::RunRequested { slot, number, .. } => {
                if let Some(other) = slots.insert(*slot, *number) {
                    faults.push(format!("slot {slot} has versions {other} and {number}"));
                }
                if versions.insert(*number, None).is_some() {
                    faults.push(format!("version {number} was asked for twice"));
                }
            }
            Fact::VersionStaged { number, .. } | Fact::VersionFailed { number, .. } => {
                let word = if matches!(event, Fact::VersionStaged { .. }) { "staged" } else { "failed" };
                match versions.insert(*number, Some(word)) {
                    Some(None) => {}
                    Some(Some(before)) => faults.push(format!("version {number} was {before} and then {word}")),
                    None => faults.push(format!("version {number} was {word} and nobody had asked for it")),
                }
            }
            _ => {}
        }
    }
    let open = versions.iter().filter(|(_, end)| end.is_none());
    faults.extend(open.map(|(number, _)| format!("version {number} was neither staged nor failed")));
    let highest = versions.keys().next_back().copied().unwrap_or(0);
    let missing = (1..=highest).filter(|number| !versions.contains_key(number));
    faults.extend(missing.map(|number| format!("there is no version {number}, but one after it")));
    faults
}

/// Every due instant is told or passed over once.
fn schedule(events: &[AnyEvent]) -> Vec<String> {
    let (mut faults, mut last) = (Vec::new(), None);
    for event in events {
        let (from, upto) = match event {
            AnyEvent::Schedule(Tick::Fired { nominal, .. }) => (*nominal, *nominal),
            AnyEvent::Schedule(Tick::Skipped { from, upto, .. }) => (*from, *upto),
            _ => continue,
        };
        if last.is_some_and(|last| from <= last) {
            faults.push(format!("the instant {from} comes twice"));
        }
        last = last.max(Some(upto));
    }
    faults
}

/// What was staged in the whole history is staged or failed here, under the same number.
fn staged(evidence: &Evidence, told: &BTreeMap<StreamId, Vec<AnyEvent>>) -> Vec<String> {
    let mut faults = Vec::new();
    for (stream, numbers) in &evidence.staged {
        let events = told.get(stream).map(Vec::as_slice).unwrap_or_default();
        let made: BTreeSet<u32> = events
            .iter()
            .filter_map(|event| match event {
                AnyEvent::Deliverable(Fact::VersionStaged { number, .. } | Fact::VersionFailed { number, .. }) => {
                    Some(*number)
                }
                _ => None,
            })
            .collect();
        let missing = numbers.iter().filter(|number| !made.contains(number));
        faults.extend(missing.map(|number| format!("{stream}: version {number} was staged then and was not made now")));
    }
    faults
}

/// Nothing leaves the machine again under a key that is known to have been done.
fn handed_over_once(evidence: &Evidence) -> Vec<String> {
    let (mut faults, mut done) = (Vec::new(), evidence.done_before.clone());
    for Performed { key, done: succeeded } in &evidence.performed {
        if done.contains(key) {
            faults.push(format!("key {key} was handed over again after it was done"));
        }
        if *succeeded {
            done.insert(key.clone());
        }
    }
    let mut receipts: HashMap<String, u32> = HashMap::new();
    for key in handed_over(&evidence.events) {
        *receipts.entry(key).or_default() += 1;
    }
    faults.extend(receipts.iter().filter(|(_, n)| **n > 1).map(|(key, n)| format!("key {key} has {n} receipts")));
    let unrecorded = done.iter().filter(|key| !receipts.contains_key(*key));
    faults.extend(unrecorded.map(|key| format!("key {key} was handed over and no receipt is in the log")));
    faults
}

/// Nothing is owed but timers of the future.
fn nothing_owed(evidence: &Evidence) -> Vec<String> {
    let future = |owed: &&Owed| owed.obligation.duty.class() == Class::Timer && owed.obligation.due_at > evidence.now;
    let open = evidence.owed.iter().filter(|owed| !future(owed));
    open.map(|owed| format!("{} still owes {}", owed.stream, owed.obligation.key)).collect()
}

/// The read models say what the events say.
fn rows_are_the_fold(evidence: &Evidence) -> Vec<String> {
    match rows_of(evidence.events.iter()) {
        Ok(computed) => {
            let found = mismatches(by_key(&evidence.rows), by_key(&computed));
            found.first.iter().map(|row| format!("read model {row}")).collect()
        }
        Err(error) => vec![error.to_string()],
    }
}

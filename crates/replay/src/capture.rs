//! Capture: a run, a deliverable or a window of a store as a fixture.
//!
//! Owns: which streams belong together (the causal closure), that they are read as of one moment, and the texts they
//! refer to.
//! Refuses to know: what is secret (`redact`), where the fixture goes.
//!
//! Invariant: a captured stream is whole from its first event, because every fold needs that.

mod closure;

use std::collections::{BTreeMap, BTreeSet};

use nightshift_domain::{
    calendar::Calendar,
    codec,
    content::{Digest, Material},
    ids::{CommandId, DeliverableId, RunId, StreamId},
    recorded::Recorded,
    time::Timestamp,
};
use nightshift_ports::{
    Boxed,
    blobs::Blobs,
    log::{EventLog, RecordedCommand, StoreError},
};
use nightshift_spec::ZonedCalendar;
use serde_json::Value;

use crate::{
    error::Error,
    fixture::{About, Captured, FORMAT, Fixture, Redaction},
    folding::{event_json, unborn},
    golden,
    live::{Commands, Events},
    obligations::{Ledger, may_still_stand, receipt},
};

/// A store that changes while it is read is read again so many times.
const TRIES_MAX: u32 = 5;

/// What to capture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// A run and everything that caused it or follows from it.
    Run(RunId),
    /// A deliverable with its schedule, sources and all its runs.
    Deliverable(DeliverableId),
    /// Every stream that something happened to at or after an instant, from its start.
    Since(Timestamp),
    /// The whole store.
    All,
}

impl std::fmt::Display for Scope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Run(id) => write!(f, "run {id}"),
            Self::Deliverable(id) => write!(f, "deliverable {id}"),
            Self::Since(at) => write!(f, "since {at}"),
            Self::All => f.write_str("all"),
        }
    }
}

/// How far something long is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// So many.
    pub done: u64,
    /// Of so many; 0 when that is not known.
    pub of: u64,
    /// What is being done.
    pub doing: &'static str,
}

/// Captures a piece of a store. Redact it before it leaves the machine: [`crate::redact()`].
///
/// # Errors
/// There is no such stream, the store did not answer, or it changed each time it was read.
pub fn capture<'a>(
    log: &'a dyn EventLog,
    blobs: &'a dyn Blobs,
    scope: Scope,
    progress: &'a mut (dyn FnMut(Progress) + Send),
) -> Boxed<'a, Result<Fixture, Error>> {
    Box::pin(captured(log, blobs, scope, progress))
}

async fn captured(
    log: &dyn EventLog,
    blobs: &dyn Blobs,
    scope: Scope,
    progress: &mut (dyn FnMut(Progress) + Send),
) -> Result<Fixture, Error> {
    for _ in 0..TRIES_MAX {
        let streams = closure::of(log, scope, progress).await?;
        let fixture = read(log, blobs, (scope, &streams), progress).await?;
        if !changed(log, &fixture, &streams).await? {
            return Ok(fixture);
        }
    }
    Err(Error::KeepsChanging { tries: TRIES_MAX })
}

async fn read(
    log: &dyn EventLog,
    blobs: &dyn Blobs,
    (scope, streams): (Scope, &BTreeSet<StreamId>),
    progress: &mut (dyn FnMut(Progress) + Send),
) -> Result<Fixture, Error> {
    let (mut events, mut commands, mut obligations) = (Vec::new(), Vec::new(), Vec::new());
    for (done, stream) in streams.iter().enumerate() {
        progress(Progress { done: done as u64, of: streams.len() as u64, doing: "reading streams" });
        let (mut own, mut decided) = (Events::of(*stream), Commands::of(*stream));
        while let Some(event) = own.next(log).await? {
            events.push(event);
        }
        while let Some(command) = decided.next_upto(log, u64::MAX).await? {
            commands.push(command);
        }
        obligations.extend(log.owed_by(*stream).await?);
    }
    let told_outside = told_outside(log, &commands, streams).await?;
    let recorded = |id: &CommandId| {
        told_outside.contains(id) || commands.iter().any(|command: &RecordedCommand| command.record.id == *id)
    };
    // Discharged elsewhere, and only not yet taken off the table.
    obligations.retain(|owed| {
        !(may_still_stand(owed) && receipt(owed.stream, &owed.obligation).is_some_and(|(_, id)| recorded(&id)))
    });
    let captured = Captured { scope: scope.to_string(), whole: scope == Scope::All, told_outside };
    let about = About {
        format: FORMAT,
        engine_version: env!("CARGO_PKG_VERSION").to_owned(),
        shard_count: log.info().shard_count,
        tz_revision: ZonedCalendar::bundled().tz_revision().to_owned(),
        captured,
        redaction: Redaction { mode: "none".to_owned(), ..Redaction::default() },
    };
    let blobs = texts(blobs, &events, &commands, progress).await?;
    let (name, readme) = (scope.to_string().replace(' ', "-"), format!("# {scope}\n"));
    let mut fixture = Fixture { name, readme, about, events, commands, blobs, obligations, rows: Vec::new() };
    fixture.sort();
    fixture.rows = golden::rows_of(fixture.events.iter())?;
    Ok(fixture)
}

/// Commands that were told to streams outside and are recorded there: their obligations are closed.
async fn told_outside(
    log: &dyn EventLog,
    commands: &[RecordedCommand],
    streams: &BTreeSet<StreamId>,
) -> Result<BTreeSet<CommandId>, Error> {
    let mut ledgers: BTreeMap<StreamId, Ledger> = BTreeMap::new();
    for command in commands {
        let taken = ledgers.entry(command.stream).or_default().take(command);
        taken.map_err(|error| Error::decode(format!("command {}", command.record.id), error))?;
    }
    let inside: BTreeSet<CommandId> = commands.iter().map(|command| command.record.id).collect();
    let mut told = BTreeSet::new();
    for owed in ledgers.into_values().flat_map(Ledger::left) {
        let Some((shard, id)) = receipt(owed.stream, &owed.obligation).filter(|(_, id)| !inside.contains(id)) else {
            continue;
        };
        let outside = log.command(shard, id).await?.filter(|command| !streams.contains(&command.stream));
        told.extend(outside.map(|command| command.record.id));
    }
    Ok(told)
}

/// Whether a stream grew, or took a command, since it was read.
async fn changed(log: &dyn EventLog, fixture: &Fixture, streams: &BTreeSet<StreamId>) -> Result<bool, StoreError> {
    let mut versions: BTreeMap<StreamId, u64> = BTreeMap::new();
    for event in &fixture.events {
        let version = versions.entry(event.stream).or_default();
        *version = event.version.max(*version);
    }
    for stream in streams {
        let version = versions.get(stream).copied().unwrap_or(0);
        if !log.read_stream(*stream, version, 1).await?.is_empty() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Everything under the digests that events and commands name, and that materials name in turn.
async fn texts(
    blobs: &dyn Blobs,
    events: &[Recorded],
    commands: &[RecordedCommand],
    progress: &mut (dyn FnMut(Progress) + Send),
) -> Result<BTreeMap<String, Vec<u8>>, Error> {
    let mut wanted: BTreeSet<String> = BTreeSet::new();
    // What does not decode names nothing; the replay will say so.
    events.iter().flat_map(|event| event_json(event).ok()).for_each(|data| digests(&data, &mut wanted));
    for command in commands {
        let data = unborn(command.stream.kind).command_json(&command.record.payload);
        data.iter().for_each(|data| digests(data, &mut wanted));
    }
    let mut found = BTreeMap::new();
    while let Some(digest) = wanted.pop_first() {
        if found.contains_key(&digest) {
            continue;
        }
        progress(Progress { done: found.len() as u64, of: 0, doing: "reading texts" });
        let Some(content) = blobs.get(&Digest(digest.clone())).await? else { continue };
        if let Ok(material) = codec::from_bytes::<Material>("material", &content)
            && let Ok(data) = crate::folding::json(&material)
        {
            digests(&data, &mut wanted);
        }
        found.insert(digest, content);
    }
    Ok(found)
}

/// Every string in `value` that reads like a SHA-256.
fn digests(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::String(text) if is_digest(text) => drop(found.insert(text.clone())),
        Value::Array(items) => items.iter().for_each(|item| digests(item, found)),
        Value::Object(fields) => fields.values().for_each(|item| digests(item, found)),
        _ => {}
    }
}

/// 64 lower-case hexadecimal digits.
pub(crate) fn is_digest(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

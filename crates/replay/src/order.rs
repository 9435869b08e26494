//! One order for the commits of all shards, in which every cause stands before what it caused.
//!
//! Owns: commits put together from events and commands, and their order.
//! Refuses to know: what is done in that order.
//!
//! The clock of each shard orders its own events; two shards that wrote within one millisecond are ordered by what told
//! what: a command that was told stands behind the commit that owed the telling, and a look that counted content stands
//! behind the content.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

use nightshift_domain::{
    codec::{self, DecodeError},
    decider::{Duty, RecordedCtx},
    deliverable,
    ids::{CommandId, ShardId, StreamId, StreamKind},
    recorded::Recorded,
};
use nightshift_ports::log::RecordedCommand;

use crate::{error::Error, fixture::Fixture, folding::delta_of, obligations::receipt};

/// Everything one command did to the log; a command without events, or events whose command is not kept any more.
#[derive(Debug, Clone, PartialEq)]
pub struct Commit {
    /// The stream that decided.
    pub stream: StreamId,
    /// The command.
    pub command: Option<RecordedCommand>,
    /// Its events.
    pub events: Vec<Recorded>,
    /// Clock by which it is ordered.
    hlc: u64,
    /// Place in its shard.
    seq: u64,
}

/// The commits of a fixture in order of `(hlc, shard, seq)`, causes first.
///
/// # Errors
/// A command does not decode.
pub fn commits(fixture: &Fixture) -> Result<Vec<Commit>, Error> {
    let mut queues = shards(fixture)?;
    let needs = Needs::of(&queues)?;
    let (mut order, mut done) = (Vec::new(), Done::default());
    loop {
        let heads =
            queues.iter().filter_map(|(shard, queue)| queue.front().map(|head| ((head.hlc, *shard, head.seq), head)));
        let mut heads: Vec<_> = heads.collect();
        heads.sort_by_key(|(place, _)| *place);
        let free = heads.iter().find(|(_, head)| needs.are_met(head, &done));
        // A circle of causes cannot be; should one be recorded, the clocks decide.
        let Some(((_, shard, _), _)) = free.or(heads.first()) else { return Ok(order) };
        let shard = *shard;
        if let Some(next) = queues.get_mut(&shard).and_then(VecDeque::pop_front) {
            done.take(&next);
            order.push(next);
        }
    }
}

/// The commits of each shard in order.
fn shards(fixture: &Fixture) -> Result<BTreeMap<ShardId, VecDeque<Commit>>, Error> {
    let mut queues: BTreeMap<ShardId, VecDeque<Commit>> = BTreeMap::new();
    let mut events: BTreeMap<ShardId, VecDeque<Recorded>> = BTreeMap::new();
    for event in &fixture.events {
        events.entry(event.shard).or_default().push_back(event.clone());
    }
    for command in &fixture.commands {
        let queue = queues.entry(command.shard).or_default();
        let own = events.entry(command.shard).or_default();
        while let Some(event) = own.pop_front_if(|event| event.seq < command.first_seq) {
            lonely(queue, event);
        }
        let mut taken = Vec::new();
        while let Some(event) = own.pop_front_if(|event| event.seq <= command.last_seq) {
            taken.push(event);
        }
        let next = own.front().map_or(u64::MAX, |event| event.hlc);
        queue.push_back(commit(command, taken, (queue.back().map_or(0, |last| last.hlc), next))?);
    }
    for (shard, rest) in events {
        let queue = queues.entry(shard).or_default();
        rest.into_iter().for_each(|event| lonely(queue, event));
    }
    Ok(queues)
}

fn commit(command: &RecordedCommand, events: Vec<Recorded>, (before, next): (u64, u64)) -> Result<Commit, Error> {
    let hlc = match events.last() {
        Some(last) => last.hlc,
        None => {
            let ctx: RecordedCtx = codec::from_bytes("context", &command.record.ctx)
                .map_err(|error| Error::decode(format!("command {}", command.record.id), error))?;
            let wall = u64::try_from(ctx.now.micros() / 1_000).unwrap_or(0) << 16;
            wall.max(before).min(next)
        }
    };
    let stream = command.stream;
    Ok(Commit { stream, command: Some(command.clone()), events, hlc, seq: command.first_seq })
}

/// An event whose command is not kept any more: it joins its neighbours of the same command.
fn lonely(queue: &mut VecDeque<Commit>, event: Recorded) {
    if let Some(last) = queue.back_mut().filter(|last| last.command.is_none())
        && last.events.last().is_some_and(|other| other.command_id == event.command_id && other.stream == event.stream)
    {
        last.hlc = event.hlc;
        last.events.push(event);
        return;
    }
    let (stream, hlc, seq) = (event.stream, event.hlc, event.seq);
    queue.push_back(Commit { stream, command: None, events: vec![event], hlc, seq });
}

/// What has to stand before what.
struct Needs {
    /// Commands that were told, with the command whose commit owed the telling.
    told_by: HashMap<CommandId, CommandId>,
    /// The version each stream of the fixture reaches.
    versions: HashMap<StreamId, u64>,
}

#[derive(Default)]
struct Done {
    commands: HashSet<CommandId>,
    versions: HashMap<StreamId, u64>,
}

impl Done {
    fn take(&mut self, commit: &Commit) {
        self.commands.extend(commit.command.as_ref().map(|command| command.record.id));
        if let Some(last) = commit.events.last() {
            self.versions.insert(commit.stream, last.version);
        }
    }
}

impl Needs {
    fn of(queues: &BTreeMap<ShardId, VecDeque<Commit>>) -> Result<Self, Error> {
        let (mut told_by, mut versions) = (HashMap::new(), HashMap::new());
        for commit in queues.values().flatten() {
            if let Some(last) = commit.events.last() {
                versions.insert(commit.stream, last.version);
            }
            let Some(command) = &commit.command else { continue };
            let delta = delta_of(&command.record.delta)
                .map_err(|error| Error::decode(format!("command {}", command.record.id), error))?;
            for opened in &delta.opens {
                if let Some((_, told)) = receipt(command.stream, opened) {
                    told_by.insert(told, command.record.id);
                }
            }
        }
        Ok(Self { told_by, versions })
    }

    fn are_met(&self, commit: &Commit, done: &Done) -> bool {
        let Some(command) = &commit.command else { return true };
        let told = self.told_by.get(&command.record.id).is_none_or(|cause| done.commands.contains(cause));
        told && counted(command).unwrap_or_default().into_iter().all(|(source, upto)| {
            let there = done.versions.get(&source).copied().unwrap_or(0);
            there >= upto.min(self.versions.get(&source).copied().unwrap_or(0))
        })
    }
}

/// The content that a look counted: streams and their versions.
fn counted(command: &RecordedCommand) -> Result<Vec<(StreamId, u64)>, DecodeError> {
    if command.stream.kind != StreamKind::Deliverable {
        return Ok(Vec::new());
    }
    match codec::from_bytes("command", &command.record.payload)? {
        deliverable::Command::Assessed { sources, .. } => {
            Ok(sources.iter().map(|seen| (seen.source_id.stream(), seen.upto_version)).collect())
        }
        _ => Ok(Vec::new()),
    }
}

/// Commands that streams of the fixture tell each other.
pub fn told_inside(commits: &[Commit]) -> Result<HashSet<CommandId>, Error> {
    let mut told = HashSet::new();
    for command in commits.iter().filter_map(|commit| commit.command.as_ref()) {
        let delta = delta_of(&command.record.delta)
            .map_err(|error| Error::decode(format!("command {}", command.record.id), error))?;
        let is_told = |duty: &Duty| matches!(duty, Duty::Tell { .. } | Duty::Ask { .. } | Duty::Wake { .. });
        let tells = delta.opens.iter().filter(|open| is_told(&open.duty));
        told.extend(tells.map(|open| CommandId::of_obligation(command.stream, &open.key, "tell")));
    }
    Ok(told)
}

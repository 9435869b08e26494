//! The database: what is durable. The same protocol as the stores (`ports::log`), one call at a time.
//!
//! Owns: epochs, heads, the fence in the append, the command table, obligations, snapshots, rows of read models.
//! Refuses to know: who asks, when an answer arrives, what an event means.

use std::{collections::BTreeMap, rc::Rc};

use nightshift_domain::{
    codec::Encoded,
    decider::{Duty, Obligation},
    ids::{CommandId, ShardId, StreamId},
    recorded::{Meta, Recorded},
    run::{Report, Token},
    streams::{AnyCommand, AnyEvent},
    time::Timestamp,
};
use nightshift_ports::log::{Ownership, Resolution, Verdict};
use nightshift_projections::{Image, table::RowKey};
use uuid::Uuid;

use super::{mind::Mind, quick::Map};

/// The key of an obligation, shared by all who know it.
pub type Key = Rc<str>;

/// An obligation; what it tells is shared by all who tell it.
#[derive(Debug)]
pub struct Debt {
    pub key: Key,
    pub due_at: Timestamp,
    pub priority: i16,
    pub duty: Due,
}

/// What is owed, as [`Duty`] says it.
#[derive(Debug)]
pub enum Due {
    Wake { to: StreamId, command: Rc<AnyCommand> },
    Tell { to: StreamId, command: Rc<AnyCommand> },
    Ask { to: StreamId, command: Rc<AnyCommand> },
    Lease { step: String, attempt: u32 },
    Attempt { step: String, attempt: u32, token: Token },
    Assess { slot: Uuid },
    Choose { page: u32 },
    Report { report: Rc<Report> },
}

impl Debt {
    pub fn of(obligation: Obligation) -> Rc<Self> {
        let Obligation { key, due_at, priority, duty } = obligation;
        let duty = match duty {
            Duty::Wake { to, command } => Due::Wake { to, command: Rc::from(command) },
            Duty::Tell { to, command } => Due::Tell { to, command: Rc::from(command) },
            Duty::Ask { to, command } => Due::Ask { to, command: Rc::from(command) },
            Duty::Lease { step, attempt } => Due::Lease { step, attempt },
            Duty::Attempt { step, attempt, token } => Due::Attempt { step, attempt, token },
            Duty::Assess { slot } => Due::Assess { slot },
            Duty::Choose { page } => Due::Choose { page },
            Duty::Report { report } => Due::Report { report: Rc::from(report) },
        };
        Rc::new(Self { key: key.into(), due_at, priority, duty })
    }

    /// It is told at an instant.
    pub const fn is_timer(&self) -> bool {
        matches!(self.duty, Due::Wake { .. })
    }
}

/// An obligation that is open.
#[derive(Debug, Clone)]
pub struct Owed {
    pub stream: StreamId,
    pub debt: Rc<Debt>,
}

/// An event, encoded and typed.
#[derive(Debug)]
pub struct Fact {
    pub seq: u64,
    pub stream: StreamId,
    pub version: u64,
    pub hlc: u64,
    pub at: Timestamp,
    pub command_id: CommandId,
    pub encoded: Rc<Encoded>,
    pub event: Rc<AnyEvent>,
}

/// A command as it is kept. Payload, context and delta are encoded when decisions are to be made again.
#[derive(Debug)]
pub struct CommandRow {
    pub id: CommandId,
    pub told: Rc<AnyCommand>,
    pub accepted: bool,
    pub payload: Vec<u8>,
    pub ctx: Vec<u8>,
    pub reply: Vec<u8>,
    pub delta: Vec<u8>,
}

/// What one command does to the log.
#[derive(Debug)]
pub struct Commit {
    pub stream: StreamId,
    pub command: Option<Rc<CommandRow>>,
    pub facts: Vec<Rc<Fact>>,
    pub opens: Rc<[Rc<Debt>]>,
    pub closes: Rc<[(StreamId, Key)]>,
}

/// What is appended to one shard at once.
#[derive(Debug, Clone)]
pub struct Batch {
    pub shard: ShardId,
    pub epoch: i64,
    pub expected_head: u64,
    pub commits: Rc<Vec<Commit>>,
}

/// An event that is durable.
#[derive(Debug, Clone)]
pub struct Written {
    pub fact: Rc<Fact>,
    pub epoch: i64,
}

impl Written {
    /// As the log gives it.
    pub fn recorded(&self, shard: ShardId) -> Recorded {
        let Encoded { event_type, type_version, data } = &*self.fact.encoded;
        let (event_type, type_version, data) = (event_type.clone(), *type_version, data.clone());
        Recorded { event_type, type_version, data, ..self.place(shard) }
    }

    /// Where and when it happened, for whoever has the event itself.
    pub fn place(&self, shard: ShardId) -> Recorded {
        let Fact { seq, stream, version, hlc, at, command_id, encoded, .. } = &*self.fact;
        Recorded {
            shard,
            seq: *seq,
            stream: *stream,
            version: *version,
            event_type: String::new(),
            type_version: encoded.type_version,
            hlc: *hlc,
            epoch: self.epoch,
            at: *at,
            command_id: *command_id,
            meta: Meta::default(),
            data: Vec::new(),
        }
    }
}

/// A command that is durable.
#[derive(Debug, Clone)]
pub struct Kept {
    pub stream: StreamId,
    pub row: Rc<CommandRow>,
    pub first: u64,
    pub last: u64,
}

/// One shard.
#[derive(Debug, Default)]
pub struct Table {
    pub epoch: i64,
    pub owner: Option<Uuid>,
    pub log: Vec<Written>,
    pub streams: Map<Uuid, Vec<usize>>,
    pub commands: Map<CommandId, Kept>,
    /// Commands in the order in which they were written.
    pub order: Vec<CommandId>,
    pub owed: BTreeMap<(StreamId, Key), Owed>,
}

impl Table {
    pub fn head(&self) -> u64 {
        self.log.last().map_or(0, |written| written.fact.seq)
    }
}

/// A state that was kept.
#[derive(Debug, Clone)]
pub struct Snapshot {
    pub version: u64,
    pub state: Rc<Mind>,
}

/// What the mutations of the simulator change here.
#[derive(Debug, Clone, Copy, Default)]
pub struct Broken {
    pub no_fence: bool,
    pub same_epoch: bool,
    pub no_unique: bool,
    pub half: bool,
    pub drop_open: bool,
    pub keep_closed: bool,
}

/// Everything durable.
#[derive(Debug, Default)]
pub struct Database {
    pub shards: Vec<Table>,
    pub snapshots: Map<StreamId, Snapshot>,
    pub checkpoints: BTreeMap<ShardId, u64>,
    pub rows: Map<(&'static str, RowKey), Image>,
    pub down: bool,
    pub slow: bool,
    pub broken: Broken,
}

impl Database {
    pub fn new(shards: u16, broken: Broken) -> Self {
        Self { shards: (0..shards).map(|_| Table::default()).collect(), broken, ..Self::default() }
    }

    pub fn table(&self, shard: ShardId) -> &Table {
        &self.shards[usize::from(shard.0)]
    }

    fn raise(&mut self, shard: ShardId, now: Timestamp) -> i64 {
        let same = self.broken.same_epoch;
        let table = &mut self.shards[usize::from(shard.0)];
        if !(same && table.epoch > 0) {
            table.epoch = (table.epoch + 1).max(now.micros() / 1_000);
        }
        table.epoch
    }

    /// Takes a shard over.
    pub fn acquire(&mut self, owner: Uuid, shard: ShardId, now: Timestamp) -> Ownership {
        let epoch = self.raise(shard, now);
        let table = &mut self.shards[usize::from(shard.0)];
        table.owner = Some(owner);
        let hlc = table.log.last().map_or(0, |written| written.fact.hlc);
        Ownership { shard, epoch, head: table.head(), hlc }
    }

    /// Raises the own epoch, then looks for the command.
    pub fn resolve(
        &mut self,
        owner: Uuid,
        shard: ShardId,
        epoch: i64,
        command: CommandId,
        now: Timestamp,
    ) -> Resolution {
        let table = self.table(shard);
        if table.owner != Some(owner) || table.epoch < epoch {
            return Resolution::Lost;
        }
        let epoch = self.raise(shard, now);
        match self.table(shard).commands.contains_key(&command) {
            true => Resolution::Written { epoch },
            false => Resolution::NotWritten { epoch },
        }
    }

    /// Appends a group, one transaction.
    ///
    /// # Errors
    /// A commit contradicts the log; nothing was written.
    pub fn append(&mut self, group: &[Batch]) -> Result<Vec<Verdict>, ()> {
        let mut verdicts = Vec::with_capacity(group.len());
        for batch in group {
            let table = self.table(batch.shard);
            let head_fits = table.head() == batch.expected_head;
            let mine = self.broken.no_fence || (table.epoch == batch.epoch && head_fits);
            if mine && !self.broken.no_fence {
                self.admit(batch)?;
            }
            verdicts.push(if mine { Verdict::Committed } else { Verdict::Fenced });
        }
        for (batch, verdict) in group.iter().zip(&verdicts) {
            if *verdict == Verdict::Committed {
                self.write(batch);
            }
        }
        Ok(verdicts)
    }

    fn admit(&self, batch: &Batch) -> Result<(), ()> {
        let table = self.table(batch.shard);
        let mut next: Map<Uuid, u64> = Map::default();
        let mut ids: Vec<CommandId> = Vec::with_capacity(batch.commits.len());
        for commit in batch.commits.iter() {
            if let Some(row) = &commit.command {
                if !self.broken.no_unique && (table.commands.contains_key(&row.id) || ids.contains(&row.id)) {
                    return Err(());
                }
                ids.push(row.id);
            }
            let known = || table.streams.get(&commit.stream.id).map_or(0, Vec::len) as u64;
            let next = next.entry(commit.stream.id).or_insert_with(|| known() + 1);
            for fact in &commit.facts {
                if fact.version != *next {
                    return Err(());
                }
                *next += 1;
            }
        }
        Ok(())
    }

    fn write(&mut self, batch: &Batch) {
        let broken = self.broken;
        let table = &mut self.shards[usize::from(batch.shard.0)];
        let (mut head, count) = (batch.expected_head, batch.commits.len());
        for (nth, commit) in batch.commits.iter().enumerate() {
            let first = head + 1;
            head += commit.facts.len() as u64;
            if broken.half && count > 1 && nth + 1 == count {
                continue;
            }
            for fact in &commit.facts {
                table.streams.entry(commit.stream.id).or_default().push(table.log.len());
                table.log.push(Written { fact: Rc::clone(fact), epoch: batch.epoch });
            }
            if let Some(row) = &commit.command {
                let kept = Kept { stream: commit.stream, row: Rc::clone(row), first, last: head };
                table.commands.insert(row.id, kept);
                table.order.push(row.id);
            }
            if !broken.keep_closed || first % 97 != 0 {
                for closed in commit.closes.iter() {
                    table.owed.remove(closed);
                }
            }
            let opens = commit.opens.iter().filter(|_| !broken.drop_open || first % 97 != 0);
            for debt in opens {
                let owed = Owed { stream: commit.stream, debt: Rc::clone(debt) };
                table.owed.insert((commit.stream, Rc::clone(&debt.key)), owed);
            }
        }
    }

    /// Events of a stream after a version.
    pub fn stream(&self, stream: StreamId, after: u64) -> impl Iterator<Item = &Written> {
        let table = self.table(stream.shard());
        let places = table.streams.get(&stream.id).map_or(&[][..], Vec::as_slice);
        places.iter().skip(usize::try_from(after).unwrap_or(usize::MAX)).map(|at| &table.log[*at])
    }

    pub fn command(&self, shard: ShardId, id: CommandId) -> Option<&Kept> {
        self.table(shard).commands.get(&id)
    }
}

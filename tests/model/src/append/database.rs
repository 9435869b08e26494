//! What the stores do, condition by condition: `crates/store/src/sqlite/append.rs` and the statements it and
//! `crates/store/src/sqlite/log.rs` send, and their mirrors in `crates/store/src/postgres/`.
//!
//! Owns: epochs, heads, what is unique. Refuses to know: who asks, and when an answer arrives.
//!
//! Payloads, obligations and read models are left out: nothing of the protocol looks at them.

use nightshift_ports::log::Verdict;

use super::{Cmd, Mutation, Order, Session};

/// How a transaction is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// `BEGIN IMMEDIATE`: what is checked cannot change before it is written.
    Sqlite,
    /// One statement: it sees the log as it was when it began, and takes the locks of the shards afterwards.
    Postgres,
}

/// An event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Row {
    /// Its place.
    pub seq: u8,
    /// The epoch under which it was written.
    pub epoch: u8,
    /// Its command.
    pub cmd: Cmd,
    /// Which of the command's events, from 0.
    pub part: u8,
}

/// A shard.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Shard {
    /// `shard.epoch`.
    pub epoch: u8,
    /// `shard.owner`.
    pub owner: Option<Session>,
    /// `event`, in the order in which they were written.
    pub events: Vec<Row>,
    /// `command`.
    pub commands: Vec<Cmd>,
}

impl Shard {
    /// `COALESCE((SELECT e.seq FROM event e ... ORDER BY e.seq DESC LIMIT 1), 0)`, `append_check.sql` and `append.sql`.
    #[must_use]
    pub fn head(&self) -> u8 {
        self.events.iter().map(|row| row.seq).max().unwrap_or(0)
    }
}

/// What a transaction writes to one shard.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Batch {
    /// The shard.
    pub shard: u8,
    /// The epoch its writer believes in.
    pub epoch: u8,
    /// The head its writer believes in.
    pub head: u8,
    /// Its commands, in order.
    pub cmds: Vec<Cmd>,
}

/// What the store did with a transaction.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Landed {
    /// It was done, with a verdict on each batch: written or not.
    Done(Vec<bool>),
    /// Something was not unique, and nothing was written.
    Contradiction,
}

/// A call to the store and its answer, to be made again on a real one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Call {
    /// All shards are taken over: epoch and head of each.
    Acquire(Session, Vec<(u8, u8)>),
    /// A transaction.
    Append(Vec<Batch>, Landed),
    /// The own epoch is raised, and the command looked for: the new epoch and whether it is there; none: lost.
    Resolve(Session, u8, u8, Cmd, Option<(u8, bool)>),
    /// A command is looked for.
    Look(u8, Cmd, bool),
}

/// Everything durable.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Database {
    /// Its shards.
    pub shards: Vec<Shard>,
}

impl Database {
    /// An empty one.
    #[must_use]
    pub fn new(shards: u8) -> Self {
        Self { shards: vec![Shard::default(); usize::from(shards)] }
    }

    /// A shard.
    #[must_use]
    pub fn shard(&self, shard: u8) -> &Shard {
        &self.shards[usize::from(shard)]
    }

    /// `acquire.sql`: `SET epoch = max(epoch + 1, $3), owner = $2`, then `last_event.sql`; all shards in one transaction.
    pub fn acquire(&mut self, owner: Session, mutation: Option<Mutation>) -> Vec<(u8, u8)> {
        let take = |shard: &mut Shard| {
            if mutation != Some(Mutation::SameEpoch) || shard.epoch == 0 {
                shard.epoch += 1;
            }
            shard.owner = Some(owner);
            (shard.epoch, shard.head())
        };
        self.shards.iter_mut().map(take).collect()
    }

    /// `resolve.sql`: `SET epoch = max(epoch + 1, $3) WHERE shard_id = $1 AND owner = $4 AND epoch >= $2 RETURNING epoch`.
    /// None: no row.
    pub fn raise(&mut self, owner: Session, shard: u8, epoch: u8, mutation: Option<Mutation>) -> Option<u8> {
        let shard = &mut self.shards[usize::from(shard)];
        let believed = if mutation == Some(Mutation::AskOnce) { shard.epoch == epoch } else { shard.epoch >= epoch };
        if shard.owner != Some(owner) || !believed {
            return None;
        }
        if mutation != Some(Mutation::AskWithoutRaising) {
            shard.epoch += 1;
        }
        Some(shard.epoch)
    }

    /// `command.sql`, by the key `(shard_id, command_id)`.
    #[must_use]
    pub fn has(&self, shard: u8, cmd: Cmd) -> bool {
        self.shard(shard).commands.contains(&cmd)
    }

    /// The whole transaction. `snapshot`: what its statement sees beside what it has locked; none: the same.
    pub fn append(
        &mut self,
        batches: &[Batch],
        snapshot: Option<&[Shard]>,
        orders: &[Order],
        mutation: Option<Mutation>,
    ) -> Landed {
        // SQLite (`append.rs`): `epoch == batch.epoch && head == batch.expected_head`, under BEGIN IMMEDIATE.
        // PostgreSQL (`append.sql`): `locked` joins `w.epoch = s.epoch` and is asked again when the lock was waited for;
        // `mine` compares the head, which is that of the statement's snapshot.
        let mine = |batch: &Batch| {
            let now = self.shard(batch.shard);
            let seen = snapshot.map_or(now, |snapshot| &snapshot[usize::from(batch.shard)]);
            let epoch = if mutation == Some(Mutation::EpochOfTheSnapshot) { seen.epoch } else { now.epoch };
            mutation == Some(Mutation::NoFence) || epoch == batch.epoch && seen.head() == batch.head
        };
        let verdicts: Vec<bool> = batches.iter().map(mine).collect();
        let unchanged = self.clone();
        for (batch, _) in batches.iter().zip(&verdicts).filter(|(_, mine)| **mine) {
            if !self.write(batch, orders, mutation) {
                *self = unchanged;
                return Landed::Contradiction;
            }
        }
        Landed::Done(verdicts)
    }

    /// Writes a batch, unless one of its rows exists: `PRIMARY KEY (shard_id, seq)`, `command_key (shard_id, command_id)`.
    fn write(&mut self, batch: &Batch, orders: &[Order], mutation: Option<Mutation>) -> bool {
        let shard = &mut self.shards[usize::from(batch.shard)];
        let mut seq = if mutation == Some(Mutation::NoFence) { shard.head() } else { batch.head };
        if mutation == Some(Mutation::Sequence) {
            // Each epoch has cost it a number.
            seq += batch.epoch - 1;
        }
        for (nth, cmd) in batch.cmds.iter().enumerate() {
            if mutation == Some(Mutation::Half) && nth > 0 {
                break;
            }
            let whole = orders[usize::from(*cmd)].events;
            let events = if mutation == Some(Mutation::Half) { whole.min(1) } else { whole };
            for part in 0..events {
                seq += 1;
                if shard.events.iter().any(|row| row.seq == seq) {
                    return false;
                }
                shard.events.push(Row { seq, epoch: batch.epoch, cmd: *cmd, part });
            }
            if mutation != Some(Mutation::NoUnique) && shard.commands.contains(cmd) {
                return false;
            }
            shard.commands.push(*cmd);
        }
        true
    }
}

impl From<bool> for Landed {
    fn from(written: bool) -> Self {
        Self::Done(vec![written])
    }
}

/// As the port says it.
#[must_use]
pub const fn verdict(written: bool) -> Verdict {
    if written { Verdict::Committed } else { Verdict::Fenced }
}

//! The log: dense, whole, of one writer at a time; each command once.
//!
//! Owns: I1 to I5 and I7. Refuses to know: what events mean.

use nightshift_domain::{ids::ShardId, time::Timestamp};
use uuid::Uuid;

use super::Audit;
use crate::simulate::{
    Invariant,
    database::{Batch, Table},
};

/// What was seen of a shard.
#[derive(Debug, Default)]
pub struct ShardView {
    seq: u64,
    hlc: u64,
    epoch: i64,
}

impl ShardView {
    pub const fn head(&self) -> u64 {
        self.seq
    }
}

impl Audit {
    /// Somebody owns a shard under an epoch from now on.
    pub fn epoch(&mut self, shard: ShardId, epoch: i64, owner: Uuid, now: Timestamp) {
        let before = *self.owners.entry((shard, epoch)).or_insert(owner);
        self.holds(Invariant::I3, before == owner, now, || {
            format!("epoch {epoch} of shard {shard} is of two processes")
        });
    }

    /// A batch is durable.
    pub(super) fn log(&mut self, batch: &Batch, table: &Table, now: Timestamp) {
        let mut seen = self.shards.remove(&batch.shard).unwrap_or_default();
        for commit in batch.commits.iter() {
            if let Some(row) = &commit.command {
                self.commands_count += 1;
                let twice = self.commands.insert(row.id, row.accepted);
                self.holds(Invariant::I2, twice.is_none(), now, || format!("command {} is written twice", row.id));
            }
            for fact in &commit.facts {
                self.events += 1;
                self.hash = hashed(self.hash, &fact.encoded.data);
                self.hash = hashed(self.hash, &fact.hlc.to_be_bytes());
                let (seq, next) = (fact.seq, seen.seq + 1);
                self.holds(Invariant::I1, seq == next, now, || {
                    format!("shard {}: {seq} where {next} is next", batch.shard)
                });
                let (hlc, last) = (fact.hlc, seen.hlc);
                self.holds(Invariant::I7, hlc > last, now, || {
                    format!("shard {} seq {seq}: clock {hlc} after {last}", batch.shard)
                });
                let version = self.versions.entry(fact.stream).or_default();
                *version += 1;
                let wanted = *version;
                self.holds(Invariant::I1, fact.version == wanted, now, || {
                    format!("{} has version {} where {wanted} is next", fact.stream, fact.version)
                });
                (seen.seq, seen.hlc) = (seq, hlc);
            }
        }
        let (epoch, last) = (batch.epoch, seen.epoch);
        self.holds(Invariant::I5, epoch >= last, now, || {
            format!("shard {}: written under epoch {epoch} after epoch {last}: by a zombie", batch.shard)
        });
        let known = self.owners.contains_key(&(batch.shard, epoch));
        self.holds(Invariant::I3, known, now, || format!("shard {}: nobody owns epoch {epoch}", batch.shard));
        seen.epoch = epoch;
        self.shards.insert(batch.shard, seen);
        self.whole(batch, table, now);
    }

    /// Events, command and obligations of each commit are there, all of them.
    fn whole(&mut self, batch: &Batch, table: &Table, now: Timestamp) {
        let mut first = batch.expected_head + 1;
        for commit in batch.commits.iter() {
            let last = first + commit.facts.len() as u64 - 1;
            let events = commit.facts.iter().all(|fact| {
                let at = usize::try_from(fact.seq.saturating_sub(1)).unwrap_or(usize::MAX);
                table.log.get(at).is_some_and(|written| written.fact.command_id == fact.command_id)
            });
            let command = commit.command.as_ref().is_none_or(|row| {
                table.commands.get(&row.id).is_some_and(|kept| (kept.first, kept.last) == (first, last))
            });
            self.holds(Invariant::I4, events && command, now, || {
                format!(
                    "the commit of {} at seq {first} is not whole: events {events}, command {command}",
                    commit.stream
                )
            });
            first = last + 1;
        }
    }
}

/// FNV-1a.
fn hashed(hash: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(hash, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

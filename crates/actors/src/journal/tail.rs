//! The newest events as they were written, for who follows the log closely.
//!
//! Owns: how much is kept. One reader takes what it has not seen; what it does not take in time it reads from the log.
//! Refuses to know: what is done with them.
//!
//! Invariant: what is taken is what the log has behind the place that was asked for, without a gap.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Mutex, PoisonError},
};

use nightshift_domain::{ids::ShardId, recorded::Recorded};
use nightshift_ports::log::{Commit, ShardBatch};

/// Events of a shard that are kept at most. A reader that is further behind reads the log.
const EVENTS_MAX: usize = 2_048;
/// Bytes of payloads of a shard that are kept at most.
const BYTES_MAX: usize = 512 * 1024;

/// Events that were written and not taken.
#[derive(Debug)]
pub struct Tail {
    shards: HashMap<ShardId, Mutex<Kept>>,
}

#[derive(Debug, Default)]
struct Kept {
    events: VecDeque<Recorded>,
    bytes: usize,
}

impl Tail {
    pub(super) fn of(shards: impl Iterator<Item = ShardId>) -> Self {
        Self { shards: shards.map(|shard| (shard, Mutex::default())).collect() }
    }

    /// Adds what was written. When there is no room, everything of the shard goes.
    pub(super) fn push(&self, batch: ShardBatch) {
        let Some(shard) = self.shards.get(&batch.shard) else { return };
        let mut kept = shard.lock().unwrap_or_else(PoisonError::into_inner);
        for recorded in recorded(batch) {
            kept.push(recorded);
        }
        if kept.events.len() > EVENTS_MAX || kept.bytes > BYTES_MAX {
            *kept = Kept::default();
        }
    }

    /// Takes up to `limit` events behind `after`; none when the first of them is not here. Older ones are let go.
    #[must_use]
    pub fn take(&self, shard: ShardId, after: u64, limit: usize) -> Option<Vec<Recorded>> {
        let mut kept = self.shards.get(&shard)?.lock().unwrap_or_else(PoisonError::into_inner);
        let old = kept.events.iter().take_while(|event| event.seq <= after).count();
        kept.take(old);
        if kept.events.front().is_none_or(|first| first.seq != after + 1) {
            return None;
        }
        let most = limit.min(kept.events.len());
        Some(kept.take(most))
    }
}

impl Kept {
    fn push(&mut self, recorded: Recorded) {
        // Its reader looks for the event behind the last it has: what a gap follows is of no use to it.
        if self.events.back().is_some_and(|last| last.seq + 1 != recorded.seq) {
            *self = Self::default();
        }
        self.bytes += recorded.data.len();
        self.events.push_back(recorded);
    }

    fn take(&mut self, most: usize) -> Vec<Recorded> {
        let taken: Vec<Recorded> = self.events.drain(..most).collect();
        self.bytes -= taken.iter().map(|event| event.data.len()).sum::<usize>();
        taken
    }
}

/// The events of a batch as the log has them.
fn recorded(batch: ShardBatch) -> impl Iterator<Item = Recorded> {
    let (shard, epoch) = (batch.shard, batch.epoch);
    batch.commits.into_iter().flat_map(move |commit| {
        let Commit { stream, events, at, command_id, meta, .. } = commit;
        events.into_iter().map(move |event| Recorded {
            shard,
            seq: event.seq,
            stream,
            version: event.version,
            event_type: event.event_type,
            type_version: event.type_version,
            hlc: event.hlc,
            epoch,
            at,
            command_id,
            meta: meta.clone(),
            data: event.data,
        })
    })
}

#[cfg(test)]
mod tests {
    use nightshift_domain::{
        ids::{CommandId, RunId, StreamId},
        recorded::Meta,
        time::Timestamp,
    };
    use nightshift_ports::log::NewEvent;
    use uuid::Uuid;

    use super::*;

    fn stream() -> StreamId {
        RunId::on_shard(Uuid::from_u128(7), ShardId(1)).stream()
    }

    fn written(seqs: std::ops::RangeInclusive<u64>, bytes: usize) -> ShardBatch {
        let event = |seq| NewEvent {
            seq,
            version: seq,
            event_type: "run.cancelled".to_owned(),
            type_version: 1,
            hlc: seq,
            data: vec![0; bytes],
        };
        let commit = Commit {
            stream: stream(),
            command: None,
            events: seqs.map(event).collect(),
            at: Timestamp(0),
            command_id: CommandId(Uuid::nil()),
            meta: Meta::default(),
            opens: vec![],
            closes: vec![],
        };
        ShardBatch { shard: ShardId(1), epoch: 3, expected_head: 0, commits: vec![commit] }
    }

    fn taken(tail: &Tail, after: u64, limit: usize) -> Option<Vec<u64>> {
        Some(tail.take(ShardId(1), after, limit)?.iter().map(|event| event.seq).collect())
    }

    #[test]
    fn what_is_taken_follows_without_a_gap_or_is_read_from_the_log() {
        let tail = Tail::of([ShardId(1)].into_iter());
        assert_eq!(taken(&tail, 0, 9), None, "nothing was written");
        tail.push(written(1..=5, 10));
        assert_eq!(taken(&tail, 1, 2), Some(vec![2, 3]), "the first is old");
        assert_eq!(taken(&tail, 1, 9), None, "the second was taken");
        assert_eq!(taken(&tail, 3, 9), Some(vec![4, 5]));
        assert_eq!(taken(&tail, 5, 9), None);
        // The group of 6 was written with an outcome that had to be looked up, and is not here.
        tail.push(written(7..=8, 10));
        assert_eq!(taken(&tail, 5, 9), None);
        assert_eq!(taken(&tail, 6, 9), Some(vec![7, 8]));
        tail.push(written(9..=10, 10));
        tail.push(written(12..=12, 10));
        assert_eq!(taken(&tail, 8, 9), None, "what is before a gap goes");
        assert_eq!(taken(&tail, 11, 9), Some(vec![12]));
        assert_eq!(tail.take(ShardId(2), 0, 9), None, "a shard of somebody else");
    }

    #[test]
    fn a_reader_that_stays_behind_costs_no_more_than_the_bounds() {
        for (events, bytes) in [(EVENTS_MAX as u64 + 1, 0), (2, BYTES_MAX)] {
            let tail = Tail::of([ShardId(1)].into_iter());
            tail.push(written(1..=1, bytes.min(1)));
            tail.push(written(2..=events, bytes));
            tail.push(written(events + 1..=events + 1, bytes));
            let kept = tail.shards[&ShardId(1)].lock().unwrap();
            assert!(kept.events.len() <= EVENTS_MAX && kept.bytes <= BYTES_MAX, "{events} of {bytes}");
            drop(kept);
            assert_eq!(taken(&tail, events, 9), Some(vec![events + 1]), "it goes on behind what was let go");
        }
    }
}

//! What every store derives from a group in the same way, so that no two of them can differ in it.
//!
//! Owns: the shape a group must have, the sequence numbers of a commit, what a batch leaves open and closed.
//! Refuses to know: where it is written.

use std::collections::HashMap;

use nightshift_domain::{
    decider::Obligation,
    ids::{CommandId, ShardId, StreamId},
};
use uuid::Uuid;

use crate::log::{AppendError, Commit, ShardBatch};

/// Checks what the journal owes to a store: sequence numbers without gaps, everything on the batch's shard, each shard
/// and each command once.
///
/// # Errors
/// [`AppendError::Contradiction`], naming the commit.
pub fn check(group: &[ShardBatch]) -> Result<(), AppendError> {
    let mut shards: Vec<ShardId> = group.iter().map(|batch| batch.shard).collect();
    shards.sort_unstable();
    if let Some(twice) = shards.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(contradiction(format!("shard {} occurs twice in the group", twice[0])));
    }
    group.iter().try_for_each(check_batch)
}

fn check_batch(batch: &ShardBatch) -> Result<(), AppendError> {
    let mut next = batch.expected_head + 1;
    for commit in &batch.commits {
        let strangers = commit.closes.iter().map(|(stream, _)| stream).chain([&commit.stream]);
        for stream in strangers {
            if stream.shard() != batch.shard {
                return Err(contradiction(format!(
                    "command {}: stream {stream} is on shard {}, the batch is of shard {}",
                    commit.command_id,
                    stream.shard(),
                    batch.shard
                )));
            }
        }
        for event in &commit.events {
            if event.seq != next {
                return Err(contradiction(format!(
                    "command {}: event {} has seq {} where {next} is next",
                    commit.command_id, event.event_type, event.seq
                )));
            }
            next += 1;
        }
    }
    Ok(())
}

fn contradiction(why: String) -> AppendError {
    AppendError::Contradiction { why }
}

/// A commit with the sequence numbers it covers.
#[derive(Debug, Clone, Copy)]
pub struct Placed<'a> {
    /// The commit.
    pub commit: &'a Commit,
    /// That of its first event; the next one when it has none.
    pub first_seq: u64,
    /// That of its last event; `first_seq - 1` when it has none.
    pub last_seq: u64,
}

/// The commits of a batch, in order, with their sequence numbers.
pub fn placed(batch: &ShardBatch) -> impl Iterator<Item = Placed<'_>> {
    batch.commits.iter().scan(batch.expected_head, |head, commit| {
        let first_seq = *head + 1;
        *head += commit.events.len() as u64;
        Some(Placed { commit, first_seq, last_seq: *head })
    })
}

/// An obligation that a batch leaves open.
#[derive(Debug, Clone, Copy)]
pub struct Opened<'a> {
    /// The stream it is filed under.
    pub stream: StreamId,
    /// Sequence number of the last event of the commit that opened it.
    pub opened_seq: u64,
    /// What is owed.
    pub obligation: &'a Obligation,
}

/// What a batch changes among the open obligations: of each key only its end counts.
#[derive(Debug, Default)]
pub struct Settled<'a> {
    /// Open at the end, in no particular order. One that was open before is replaced.
    pub opens: Vec<Opened<'a>>,
    /// Closed at the end.
    pub closes: Vec<(StreamId, &'a str)>,
}

/// Settles a batch: a pair opened and closed inside it cancels out. In a commit, closing comes before opening.
#[must_use]
pub fn settle(batch: &ShardBatch) -> Settled<'_> {
    let mut ends: HashMap<(Uuid, &str), (StreamId, Option<Opened<'_>>)> = HashMap::new();
    for Placed { commit, last_seq, .. } in placed(batch) {
        for (stream, key) in &commit.closes {
            ends.insert((stream.id, key), (*stream, None));
        }
        for obligation in &commit.opens {
            let opened = Opened { stream: commit.stream, opened_seq: last_seq, obligation };
            ends.insert((commit.stream.id, &obligation.key), (commit.stream, Some(opened)));
        }
    }
    let mut settled = Settled::default();
    for ((_, key), (stream, end)) in ends {
        match end {
            Some(opened) => settled.opens.push(opened),
            None => settled.closes.push((stream, key)),
        }
    }
    settled
}

/// The commands a batch records, by id: an inbox row of each is consumed with it.
pub fn command_ids(batch: &ShardBatch) -> impl Iterator<Item = CommandId> {
    batch.commits.iter().filter_map(|commit| commit.command.as_ref().map(|record| record.id))
}

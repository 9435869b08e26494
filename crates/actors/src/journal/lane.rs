//! One lane: collect what queued while the last group was written, write it as one, answer everybody.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use nightshift_domain::{
    codec::Encoded,
    ids::{CommandId, ShardId},
    time::Timestamp,
};
use nightshift_ports::{
    clock::Clock,
    log::{AppendError, Commit, EventLog, NewEvent, Ownership, Resolution, ShardBatch, Verdict},
};
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

use super::{Appended, Entry, NotAppended, Parts, Pending, ShardFacts, Tail};
use crate::observer::Gauges;

/// Events in one group at most. Every page that a commit changes is written whole, so a large group writes less for each
/// event; more than this only adds latency.
const GROUP_EVENTS_MAX: usize = 2_048;

/// Entries in one group at most.
const GROUP_ENTRIES_MAX: usize = 2_048;

/// First and longest wait between two tries while the store takes nothing, in milliseconds.
const BACK_OFF_MS: (i64, i64) = (50, 5_000);

/// Who is answered when a commit is written. In the order of the commits of its shard.
struct Waiting {
    shard: ShardId,
    expected_version: u64,
    reply: oneshot::Sender<Result<Appended, NotAppended>>,
}

/// A group of which it is known what became.
struct Written {
    batches: Vec<ShardBatch>,
    verdicts: Vec<Verdict>,
    /// The store answered, so what is written is what was given, under the epoch it was given with.
    as_given: bool,
}

struct Head {
    epoch: i64,
    seq: u64,
    hlc: u64,
}

pub(super) struct Lane {
    log: Arc<dyn EventLog>,
    owner: Uuid,
    clock: Arc<dyn Clock>,
    gauges: Arc<Gauges>,
    heads: HashMap<ShardId, Head>,
    facts: Arc<HashMap<ShardId, Arc<ShardFacts>>>,
    tail: Arc<Tail>,
    lost: Arc<AtomicBool>,
    committed: Arc<dyn Fn() + Send + Sync>,
}

impl Lane {
    pub(super) fn new<'a>(
        parts: &Parts,
        own: impl Iterator<Item = &'a Ownership>,
        (facts, tail): (&Arc<HashMap<ShardId, Arc<ShardFacts>>>, &Arc<Tail>),
        lost: Arc<AtomicBool>,
    ) -> Self {
        let heads = own.map(|own| (own.shard, Head { epoch: own.epoch, seq: own.head, hlc: own.hlc })).collect();
        Self {
            log: Arc::clone(&parts.log),
            owner: parts.owner,
            clock: Arc::clone(&parts.clock),
            gauges: Arc::clone(&parts.gauges),
            heads,
            facts: Arc::clone(facts),
            tail: Arc::clone(tail),
            lost,
            committed: Arc::clone(&parts.committed),
        }
    }

    pub(super) async fn run(mut self, mut queue: mpsc::Receiver<Entry>) {
        let mut group = Vec::with_capacity(GROUP_ENTRIES_MAX);
        while let Some(first) = queue.recv().await {
            let mut events = first.pending.events.len();
            group.push(first);
            while group.len() < GROUP_ENTRIES_MAX && events < GROUP_EVENTS_MAX {
                let Ok(next) = queue.try_recv() else { break };
                events += next.pending.events.len();
                group.push(next);
            }
            self.write(std::mem::take(&mut group)).await;
            if self.lost.load(Ordering::Acquire) {
                return;
            }
            (self.committed)();
        }
    }

    /// Writes a group, split where a part of it contradicts the log.
    async fn write(&mut self, group: Vec<Entry>) {
        let mut parts = vec![group];
        while let Some(part) = parts.pop() {
            let (batches, waiting) = self.batches(part);
            match self.append(batches).await {
                Ok(written) => self.settle(waiting, written),
                Err((contradiction, _)) if waiting.len() == 1 => {
                    answer(waiting, &Err(NotAppended::Contradiction(contradiction)));
                }
                Err((_, batches)) => parts.extend(halves(entries(batches, waiting))),
            }
        }
    }

    /// Gives each entry its place in the log.
    fn batches(&self, group: Vec<Entry>) -> (Vec<ShardBatch>, Vec<Waiting>) {
        let now = self.clock.now();
        let mut batches: BTreeMap<ShardId, (ShardBatch, u64, u64)> = BTreeMap::new();
        let mut waiting = Vec::with_capacity(group.len());
        for Entry { pending, reply } in group {
            let shard = pending.stream.shard();
            let head = self.heads.get(&shard);
            let (epoch, seq, hlc) = head.map_or((0, 0, 0), |head| (head.epoch, head.seq, head.hlc));
            let (batch, seq, hlc) = batches
                .entry(shard)
                .or_insert_with(|| (ShardBatch { shard, epoch, expected_head: seq, commits: Vec::new() }, seq, hlc));
            waiting.push(Waiting { shard, expected_version: pending.expected_version, reply });
            batch.commits.push(commit(pending, now, seq, hlc));
        }
        (batches.into_values().map(|(batch, ..)| batch).collect(), waiting)
    }

    /// Appends until it is known what became of it.
    ///
    /// # Errors
    /// A commit of the group contradicts the log; nothing was written.
    async fn append(&mut self, mut batches: Vec<ShardBatch>) -> Result<Written, (String, Vec<ShardBatch>)> {
        let mut wait_ms = BACK_OFF_MS.0;
        loop {
            let began = self.clock.now();
            match self.log.append(&batches).await {
                Ok(verdicts) => {
                    self.measure(&batches, began);
                    return Ok(Written { batches, verdicts, as_given: true });
                }
                Err(AppendError::Contradiction { why }) => return Err((why, batches)),
                Err(AppendError::NotWritten { why }) => {
                    tracing::warn!(%why, wait_ms, "the store takes nothing; trying again");
                    self.gauges.degraded(true);
                    self.clock.sleep_until(self.clock.now().plus_ms(wait_ms)).await;
                    wait_ms = (wait_ms * 2).min(BACK_OFF_MS.1);
                }
                Err(AppendError::Unknown { why }) => {
                    tracing::warn!(%why, "it is not known whether a group was written; resolving");
                    if let Some(verdicts) = self.resolve(&mut batches).await {
                        return Ok(Written { batches, verdicts, as_given: false });
                    }
                }
            }
        }
    }

    fn measure(&self, batches: &[ShardBatch], began: Timestamp) {
        self.gauges.degraded(false);
        let events: usize = batches.iter().flat_map(|batch| &batch.commits).map(|commit| commit.events.len()).sum();
        self.gauges.appended(events, self.clock.now().micros_since(began));
    }

    /// Finds out shard by shard. Some when all is decided; none when all of it must be written again under new epochs.
    ///
    /// A group is one transaction, but each shard counts for itself: one that arrives between two questions is fenced where
    /// the epoch was raised already and written where it was not. What it was not written to is written now.
    async fn resolve(&mut self, batches: &mut [ShardBatch]) -> Option<Vec<Verdict>> {
        let mut found = Vec::with_capacity(batches.len());
        for batch in batches.iter_mut() {
            // A batch without a command record only discharges; to do that twice is to do it once.
            let Some(command) = witness(batch) else {
                found.push(None);
                continue;
            };
            let resolution = self.ask(batch.shard, batch.epoch, command).await;
            if let Resolution::Written { epoch } | Resolution::NotWritten { epoch } = resolution {
                batch.epoch = epoch;
                self.new_epoch(batch.shard, epoch);
            }
            self.gauges.resolved(matches!(resolution, Resolution::Written { .. }));
            found.push(match resolution {
                Resolution::Written { .. } => Some(Verdict::Committed),
                Resolution::NotWritten { .. } => None,
                Resolution::Lost => Some(Verdict::Fenced),
            });
        }
        if found.iter().all(Option::is_none) {
            return None;
        }
        let missing: Vec<ShardBatch> =
            batches.iter().zip(&found).filter(|(_, found)| found.is_none()).map(|(batch, _)| batch.clone()).collect();
        let mut written = self.append_missing(missing).await.into_iter();
        let verdict = |found: Option<Verdict>| found.or_else(|| written.next()).unwrap_or(Verdict::Fenced);
        Some(found.into_iter().map(verdict).collect())
    }

    /// The rest of a group of which a part is durable. When it contradicts the log, the process starts again from there:
    /// it cannot be taken apart any more.
    async fn append_missing(&mut self, missing: Vec<ShardBatch>) -> Vec<Verdict> {
        let count = missing.len();
        if count == 0 {
            return Vec::new();
        }
        match Box::pin(self.append(missing)).await {
            Ok(written) => written.verdicts,
            Err((why, _)) => {
                tracing::error!(%why, "what is missing of a group contradicts the log");
                vec![Verdict::Fenced; count]
            }
        }
    }

    async fn ask(&self, shard: ShardId, epoch: i64, command: CommandId) -> Resolution {
        let mut wait_ms = BACK_OFF_MS.0;
        loop {
            match self.log.resolve(self.owner, shard, epoch, command, self.clock.now()).await {
                Ok(resolution) => return resolution,
                Err(error) => {
                    tracing::warn!(%error, wait_ms, "the store does not answer; asking again");
                    self.gauges.degraded(true);
                    self.clock.sleep_until(self.clock.now().plus_ms(wait_ms)).await;
                    wait_ms = (wait_ms * 2).min(BACK_OFF_MS.1);
                }
            }
        }
    }

    fn new_epoch(&mut self, shard: ShardId, epoch: i64) {
        if let Some(head) = self.heads.get_mut(&shard) {
            head.epoch = epoch;
        }
        if let Some(facts) = self.facts.get(&shard) {
            facts.epoch.store(epoch, Ordering::Release);
        }
    }

    /// Moves the heads on and answers everybody.
    fn settle(&mut self, waiting: Vec<Waiting>, written: Written) {
        let Written { batches, verdicts, as_given } = written;
        let mut fenced = Vec::new();
        let mut seqs: HashMap<ShardId, std::vec::IntoIter<Option<u64>>> = HashMap::with_capacity(batches.len());
        for (batch, verdict) in batches.into_iter().zip(verdicts) {
            let last = |commit: &Commit| commit.events.last().map(|event| event.seq);
            seqs.insert(batch.shard, batch.commits.iter().map(last).collect::<Vec<_>>().into_iter());
            match verdict {
                Verdict::Committed => self.advance(batch, as_given),
                Verdict::Fenced => fenced.push(batch.shard),
            }
        }
        if !fenced.is_empty() {
            tracing::error!(?fenced, "shards have another owner now; nothing more is written");
            self.gauges.fenced(fenced.len());
            self.lost.store(true, Ordering::Release);
        }
        for Waiting { shard, reply, .. } in waiting {
            let last = seqs.get_mut(&shard).and_then(Iterator::next).flatten();
            let seq = last.unwrap_or_else(|| self.heads.get(&shard).map_or(0, |head| head.seq));
            let outcome =
                if fenced.contains(&shard) { Err(NotAppended::Fenced(shard)) } else { Ok(Appended { shard, seq }) };
            // Whoever asked may be gone; what was written stays written.
            let _ = reply.send(outcome);
        }
    }

    fn advance(&mut self, batch: ShardBatch, as_given: bool) {
        let Some(last) = batch.commits.iter().rev().find_map(|commit| commit.events.last()) else { return };
        let (shard, seq) = (batch.shard, last.seq);
        if let Some(head) = self.heads.get_mut(&shard) {
            (head.seq, head.hlc) = (seq, last.hlc);
        }
        // Before anybody is told that there is something.
        if as_given {
            self.tail.push(batch);
        }
        if let Some(facts) = self.facts.get(&shard) {
            facts.head.store(seq, Ordering::Release);
        }
    }
}

/// A command whose record tells whether the batch was written.
fn witness(batch: &ShardBatch) -> Option<CommandId> {
    batch.commits.iter().find_map(|commit| commit.command.as_ref().map(|command| command.id))
}

fn commit(pending: Pending, now: Timestamp, seq: &mut u64, hlc: &mut u64) -> Commit {
    let Pending { stream, expected_version, command, command_id, events, at, meta, opens, closes } = pending;
    let place = |(version, encoded): (u64, Encoded)| {
        *seq += 1;
        *hlc = next_hlc(*hlc, now);
        let Encoded { event_type, type_version, data } = encoded;
        NewEvent { seq: *seq, version, event_type, type_version, hlc: *hlc, data }
    };
    let events = (expected_version + 1..).zip(events).map(place).collect();
    Commit { stream, command, events, at, command_id, meta, opens, closes }
}

/// What was to be written, as it was before it had a place.
fn entries(batches: Vec<ShardBatch>, waiting: Vec<Waiting>) -> Vec<Entry> {
    let mut commits: HashMap<ShardId, std::vec::IntoIter<Commit>> =
        batches.into_iter().map(|batch| (batch.shard, batch.commits.into_iter())).collect();
    let entry = |Waiting { shard, expected_version, reply }: Waiting| {
        let Commit { stream, command, events, at, command_id, meta, opens, closes } =
            commits.get_mut(&shard)?.next()?;
        let encoded =
            |NewEvent { event_type, type_version, data, .. }: NewEvent| Encoded { event_type, type_version, data };
        let events = events.into_iter().map(encoded).collect();
        let pending = Pending { stream, expected_version, command, command_id, events, at, meta, opens, closes };
        Some(Entry { pending, reply })
    };
    waiting.into_iter().filter_map(entry).collect()
}

/// Milliseconds above, a counter below; never less than the one before, however the wall clock jumps.
fn next_hlc(last: u64, now: Timestamp) -> u64 {
    let wall = u64::try_from(now.micros() / 1_000).unwrap_or(0) << 16;
    wall.max(last + 1)
}

fn halves(mut group: Vec<Entry>) -> [Vec<Entry>; 2] {
    let second = group.split_off(group.len() / 2);
    [second, group]
}

fn answer(group: Vec<Waiting>, outcome: &Result<Appended, NotAppended>) {
    for entry in group {
        let _ = entry.reply.send(outcome.clone());
    }
}

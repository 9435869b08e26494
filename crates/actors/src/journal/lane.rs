//! One lane: collect what queued while the last group was written, write it as one, answer everybody.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use nightshift_domain::{
    ids::{CommandId, ShardId},
    time::Timestamp,
};
use nightshift_ports::{
    clock::Clock,
    log::{AppendError, Commit, EventLog, NewEvent, Ownership, Resolution, ShardBatch, Verdict},
};
use tokio::sync::mpsc;
use uuid::Uuid;

use super::{Appended, Entry, NotAppended, Parts, Pending, ShardFacts};
use crate::observer::Gauges;

/// Events in one group at most. Every page that a commit changes is written whole, so a large group writes less for each
/// event; more than this only adds latency.
const GROUP_EVENTS_MAX: usize = 2_048;

/// Entries in one group at most.
const GROUP_ENTRIES_MAX: usize = 2_048;

/// First and longest wait between two tries while the store takes nothing, in milliseconds.
const BACK_OFF_MS: (i64, i64) = (50, 5_000);

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
    lost: Arc<AtomicBool>,
    committed: Arc<dyn Fn() + Send + Sync>,
}

impl Lane {
    pub(super) fn new<'a>(
        parts: &Parts,
        own: impl Iterator<Item = &'a Ownership>,
        facts: &Arc<HashMap<ShardId, Arc<ShardFacts>>>,
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
            let batches = self.batches(&part);
            match self.append(&batches).await {
                Ok(verdicts) => self.settle(part, &batches, &verdicts),
                Err(contradiction) if part.len() == 1 => answer(part, &Err(NotAppended::Contradiction(contradiction))),
                Err(_) => parts.extend(halves(part)),
            }
        }
    }

    /// Gives each entry its place in the log.
    fn batches(&self, group: &[Entry]) -> Vec<ShardBatch> {
        let now = self.clock.now();
        let mut batches: BTreeMap<ShardId, (ShardBatch, u64, u64)> = BTreeMap::new();
        for entry in group {
            let shard = entry.pending.stream.shard();
            let head = self.heads.get(&shard);
            let (epoch, seq, hlc) = head.map_or((0, 0, 0), |head| (head.epoch, head.seq, head.hlc));
            let (batch, seq, hlc) = batches
                .entry(shard)
                .or_insert_with(|| (ShardBatch { shard, epoch, expected_head: seq, commits: Vec::new() }, seq, hlc));
            batch.commits.push(commit(&entry.pending, now, seq, hlc));
        }
        batches.into_values().map(|(batch, ..)| batch).collect()
    }

    /// Appends until it is known what became of it.
    ///
    /// # Errors
    /// A commit of the group contradicts the log; nothing was written.
    async fn append(&mut self, batches: &[ShardBatch]) -> Result<Vec<Verdict>, String> {
        let mut wait_ms = BACK_OFF_MS.0;
        let mut batches = batches.to_vec();
        let mut decided: BTreeMap<ShardId, Verdict> = BTreeMap::new();
        let shards: Vec<ShardId> = batches.iter().map(|batch| batch.shard).collect();
        loop {
            let began = self.clock.now();
            match self.log.append(&batches).await {
                Ok(verdicts) => {
                    self.measure(&batches, began);
                    decided.extend(batches.iter().map(|batch| batch.shard).zip(verdicts));
                    return Ok(in_order(&shards, &decided));
                }
                Err(AppendError::Contradiction { why }) => return Err(why),
                Err(AppendError::NotWritten { why }) => {
                    tracing::warn!(%why, wait_ms, "the store takes nothing; trying again");
                    self.gauges.degraded(true);
                    self.clock.sleep_until(self.clock.now().plus_ms(wait_ms)).await;
                    wait_ms = (wait_ms * 2).min(BACK_OFF_MS.1);
                }
                Err(AppendError::Unknown { why }) => {
                    tracing::warn!(%why, "it is not known whether a group was written; resolving");
                    decided.extend(self.resolve(&mut batches).await);
                    batches.retain(|batch| !decided.contains_key(&batch.shard));
                    if batches.is_empty() {
                        return Ok(in_order(&shards, &decided));
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

    /// Finds out shard by shard; what is not among the answers must be written again, under the new epochs.
    ///
    /// A group is one transaction, but it may still arrive while its shards are asked one after the other: then it finds the
    /// epochs raised of those that were asked, and writes the others. So each shard has an answer of its own.
    async fn resolve(&mut self, batches: &mut [ShardBatch]) -> Vec<(ShardId, Verdict)> {
        let mut found = Vec::with_capacity(batches.len());
        for batch in batches.iter_mut() {
            // A batch without a command record only discharges: written once more, it changes nothing.
            let Some(command) = witness(batch) else { continue };
            let resolution = self.ask(batch.shard, batch.epoch, command).await;
            if let Resolution::Written { epoch } | Resolution::NotWritten { epoch } = resolution {
                batch.epoch = epoch;
                self.new_epoch(batch.shard, epoch);
            }
            self.gauges.resolved(matches!(resolution, Resolution::Written { .. }));
            match resolution {
                Resolution::Written { .. } => found.push((batch.shard, Verdict::Committed)),
                Resolution::Lost => found.push((batch.shard, Verdict::Fenced)),
                Resolution::NotWritten { .. } => {}
            }
        }
        found
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
    fn settle(&mut self, group: Vec<Entry>, batches: &[ShardBatch], verdicts: &[Verdict]) {
        let mut fenced = Vec::new();
        for (batch, verdict) in batches.iter().zip(verdicts) {
            match verdict {
                Verdict::Committed => self.advance(batch),
                Verdict::Fenced => fenced.push(batch.shard),
            }
        }
        if !fenced.is_empty() {
            tracing::error!(?fenced, "shards have another owner now; nothing more is written");
            self.gauges.fenced(fenced.len());
            self.lost.store(true, Ordering::Release);
        }
        let mut seqs: HashMap<ShardId, std::slice::Iter<'_, Commit>> =
            batches.iter().map(|batch| (batch.shard, batch.commits.iter())).collect();
        for Entry { pending, reply } in group {
            let shard = pending.stream.shard();
            let commit = seqs.get_mut(&shard).and_then(Iterator::next);
            let last = commit.and_then(|commit| commit.events.last()).map(|event| event.seq);
            let seq = last.unwrap_or_else(|| self.heads.get(&shard).map_or(0, |head| head.seq));
            let outcome =
                if fenced.contains(&shard) { Err(NotAppended::Fenced(shard)) } else { Ok(Appended { shard, seq }) };
            // Whoever asked may be gone; what was written stays written.
            let _ = reply.send(outcome);
        }
    }

    fn advance(&mut self, batch: &ShardBatch) {
        let Some(last) = batch.commits.iter().rev().find_map(|commit| commit.events.last()) else { return };
        if let Some(head) = self.heads.get_mut(&batch.shard) {
            (head.seq, head.hlc) = (last.seq, last.hlc);
        }
        if let Some(facts) = self.facts.get(&batch.shard) {
            facts.head.store(last.seq, Ordering::Release);
        }
    }
}

/// What became of each shard of a group, in the order of its batches.
fn in_order(shards: &[ShardId], decided: &BTreeMap<ShardId, Verdict>) -> Vec<Verdict> {
    shards.iter().map(|shard| decided.get(shard).copied().unwrap_or(Verdict::Fenced)).collect()
}

/// A command whose record tells whether the batch was written.
fn witness(batch: &ShardBatch) -> Option<CommandId> {
    batch.commits.iter().find_map(|commit| commit.command.as_ref().map(|command| command.id))
}

fn commit(pending: &Pending, now: Timestamp, seq: &mut u64, hlc: &mut u64) -> Commit {
    let mut events = Vec::with_capacity(pending.events.len());
    for (version, encoded) in (pending.expected_version + 1..).zip(&pending.events) {
        *seq += 1;
        *hlc = next_hlc(*hlc, now);
        events.push(NewEvent {
            seq: *seq,
            version,
            event_type: encoded.event_type.clone(),
            type_version: encoded.type_version,
            hlc: *hlc,
            data: encoded.data.clone(),
        });
    }
    Commit {
        stream: pending.stream,
        command: pending.command.clone(),
        events,
        at: pending.at,
        command_id: pending.command_id,
        meta: pending.meta.clone(),
        opens: pending.opens.clone(),
        closes: pending.closes.clone(),
    }
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

fn answer(group: Vec<Entry>, outcome: &Result<Appended, NotAppended>) {
    for entry in group {
        let _ = entry.reply.send(outcome.clone());
    }
}

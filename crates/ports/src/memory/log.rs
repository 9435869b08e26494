//! The event log in memory.

use async_trait::async_trait;
use nightshift_domain::{
    ids::{CommandId, ShardId, StreamId},
    recorded::Recorded,
    time::Timestamp,
};
use uuid::Uuid;

use super::{MemoryStore, Shard};
use crate::{
    batch::{self, Placed},
    log::{
        AppendError, EventLog, LogInfo, Owed, OwedQuery, Ownership, RecordedCommand, Resolution, ShardBatch, Snapshot,
        StoreError, Verdict,
    },
};

#[async_trait]
impl EventLog for MemoryStore {
    fn info(&self) -> &LogInfo {
        &self.info
    }

    async fn acquire(&self, owner: Uuid, shards: &[ShardId], now: Timestamp) -> Result<Vec<Ownership>, StoreError> {
        let mut held = self.held();
        for shard in shards {
            held.shard_mut(*shard)?;
        }
        let take = |shard: &ShardId| {
            let state = held.shard_mut(*shard)?;
            state.epoch = (state.epoch + 1).max(now.micros() / 1_000);
            state.owner = Some(owner);
            let hlc = state.events.last().map_or(0, |event| event.hlc);
            Ok(Ownership { shard: *shard, epoch: state.epoch, head: state.head(), hlc })
        };
        shards.iter().map(take).collect()
    }

    async fn append(&self, group: &[ShardBatch]) -> Result<Vec<Verdict>, AppendError> {
        batch::check(group)?;
        let mut held = self.held();
        let mut verdicts = Vec::with_capacity(group.len());
        for batch in group {
            let shard = held.shards.get(&batch.shard);
            let mine = shard.filter(|shard| shard.epoch == batch.epoch && shard.head() == batch.expected_head);
            if let Some(shard) = mine {
                shard.admit(batch)?;
            }
            verdicts.push(if mine.is_some() { Verdict::Committed } else { Verdict::Fenced });
        }
        for (batch, verdict) in group.iter().zip(&verdicts) {
            if let (Verdict::Committed, Some(shard)) = (verdict, held.shards.get_mut(&batch.shard)) {
                shard.write(batch);
            }
        }
        Ok(verdicts)
    }

    async fn resolve(
        &self,
        owner: Uuid,
        shard: ShardId,
        epoch: i64,
        command: CommandId,
        now: Timestamp,
    ) -> Result<Resolution, StoreError> {
        let mut held = self.held();
        let state = held.shard_mut(shard)?;
        if state.owner != Some(owner) || state.epoch < epoch {
            return Ok(Resolution::Lost);
        }
        state.epoch = (state.epoch + 1).max(now.micros() / 1_000);
        let epoch = state.epoch;
        Ok(if state.commands.contains_key(&command) {
            Resolution::Written { epoch }
        } else {
            Resolution::NotWritten { epoch }
        })
    }

    async fn read_stream(&self, stream: StreamId, after_version: u64, limit: u32) -> Result<Vec<Recorded>, StoreError> {
        let held = self.held();
        let Some(shard) = held.shard_of(stream) else { return Ok(Vec::new()) };
        let places = shard.streams.get(&stream.id).map_or(&[][..], Vec::as_slice);
        let page = places.iter().skip(as_index(after_version)).take(limit as usize);
        Ok(page.map(|place| shard.events[*place].clone()).collect())
    }

    async fn read_shard(&self, shard: ShardId, after_seq: u64, limit: u32) -> Result<Vec<Recorded>, StoreError> {
        let held = self.held();
        let Some(shard) = held.shards.get(&shard) else { return Ok(Vec::new()) };
        Ok(shard.events.iter().skip(as_index(after_seq)).take(limit as usize).cloned().collect())
    }

    async fn heads(&self) -> Result<Vec<(ShardId, u64)>, StoreError> {
        let held = self.held();
        Ok(held.shards.iter().map(|(id, shard)| (*id, shard.head())).filter(|(_, head)| *head > 0).collect())
    }

    async fn command(&self, shard: ShardId, id: CommandId) -> Result<Option<RecordedCommand>, StoreError> {
        Ok(self.held().shards.get(&shard).and_then(|shard| shard.commands.get(&id)).cloned())
    }

    async fn read_commands(
        &self,
        stream: StreamId,
        after_first_seq: Option<u64>,
        limit: u32,
    ) -> Result<Vec<RecordedCommand>, StoreError> {
        let held = self.held();
        let Some(shard) = held.shard_of(stream) else { return Ok(Vec::new()) };
        let ids = shard.decided.get(&stream.id).map_or(&[][..], Vec::as_slice);
        let wanted = ids.iter().filter_map(|id| shard.commands.get(id));
        let wanted = wanted.filter(|command| after_first_seq.is_none_or(|after| command.first_seq > after));
        let mut page: Vec<RecordedCommand> = Vec::new();
        for command in wanted {
            let boundary = page.last().is_none_or(|last| last.first_seq != command.first_seq);
            if page.len() >= limit as usize && boundary {
                break;
            }
            page.push(command.clone());
        }
        Ok(page)
    }

    async fn owed(&self, shards: &[ShardId], query: &OwedQuery) -> Result<Vec<Owed>, StoreError> {
        let held = self.held();
        let mut found: Vec<&Owed> = shards
            .iter()
            .filter_map(|shard| held.shards.get(shard))
            .flat_map(|shard| shard.owed.values())
            .filter(|owed| query.classes.contains(&owed.obligation.duty.class()))
            .filter(|owed| query.due_before.is_none_or(|before| owed.obligation.due_at < before))
            .filter(|owed| {
                query.after.as_ref().is_none_or(|(due, stream, key)| place_of(owed) > (*due, stream.id, key.as_str()))
            })
            .collect();
        found.sort_by(|a, b| place_of(a).cmp(&place_of(b)));
        Ok(found.into_iter().take(query.limit as usize).cloned().collect())
    }

    async fn owed_by(&self, stream: StreamId) -> Result<Vec<Owed>, StoreError> {
        let held = self.held();
        let Some(shard) = held.shard_of(stream) else { return Ok(Vec::new()) };
        let own = shard.owed.range((stream.id, String::new())..).take_while(|((id, _), _)| *id == stream.id);
        Ok(own.map(|(_, owed)| owed.clone()).collect())
    }

    async fn put_snapshot(&self, snapshot: &Snapshot) -> Result<(), StoreError> {
        let mut held = self.held();
        let known = held.snapshots.get(&snapshot.stream.id);
        let newer = known
            .is_some_and(|known| known.version > snapshot.version && known.state_revision == snapshot.state_revision);
        if !newer {
            held.snapshots.insert(snapshot.stream.id, snapshot.clone());
        }
        Ok(())
    }

    async fn snapshot(&self, stream: StreamId) -> Result<Option<Snapshot>, StoreError> {
        Ok(self.held().snapshots.get(&stream.id).cloned())
    }
}

/// Where an obligation stands in the order of [`EventLog::owed`].
fn place_of(owed: &Owed) -> (Timestamp, Uuid, &str) {
    (owed.obligation.due_at, owed.stream.id, &owed.obligation.key)
}

fn as_index(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

impl Shard {
    /// Nothing of the batch contradicts what is there.
    fn admit(&self, batch: &ShardBatch) -> Result<(), AppendError> {
        let mut ids: Vec<CommandId> = batch::command_ids(batch).collect();
        ids.sort_unstable();
        let twice = ids.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0]);
        if let Some(id) = twice.or_else(|| ids.iter().copied().find(|id| self.commands.contains_key(id))) {
            return Err(contradiction(format!("command {id} is recorded on shard {}", batch.shard)));
        }
        let mut next: std::collections::HashMap<Uuid, u64> = std::collections::HashMap::new();
        for commit in &batch.commits {
            let id = commit.stream.id;
            let next = next.entry(id).or_insert_with(|| 1 + self.streams.get(&id).map_or(0, Vec::len) as u64);
            for event in &commit.events {
                if event.version != *next {
                    let stream = commit.stream;
                    return Err(contradiction(format!("{stream} version {} where {next} is next", event.version)));
                }
                *next += 1;
            }
        }
        Ok(())
    }

    fn write(&mut self, batch: &ShardBatch) {
        for Placed { commit, first_seq, last_seq } in batch::placed(batch) {
            for event in &commit.events {
                self.streams.entry(commit.stream.id).or_default().push(self.events.len());
                self.events.push(Recorded {
                    shard: batch.shard,
                    seq: event.seq,
                    stream: commit.stream,
                    version: event.version,
                    event_type: event.event_type.clone(),
                    type_version: event.type_version,
                    hlc: event.hlc,
                    epoch: batch.epoch,
                    at: commit.at,
                    command_id: commit.command_id,
                    meta: commit.meta.clone(),
                    data: event.data.clone(),
                });
            }
            if let Some(record) = &commit.command {
                self.decided.entry(commit.stream.id).or_default().push(record.id);
                self.inbox.remove(&record.id);
                let shard = batch.shard;
                let kept =
                    RecordedCommand { shard, stream: commit.stream, record: record.clone(), first_seq, last_seq };
                self.commands.insert(record.id, kept);
            }
        }
        let settled = batch::settle(batch);
        for (stream, key) in settled.closes {
            self.owed.remove(&(stream.id, key.to_owned()));
        }
        for opened in settled.opens {
            let obligation = opened.obligation.clone();
            let key = (opened.stream.id, obligation.key.clone());
            self.owed.insert(key, Owed { stream: opened.stream, opened_seq: opened.opened_seq, obligation });
        }
    }
}

fn contradiction(why: String) -> AppendError {
    AppendError::Contradiction { why }
}

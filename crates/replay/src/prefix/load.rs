//! A prefix as a store that was left behind at that point.
//!
//! Owns: events, commands and obligations of a prefix in the in-memory store, as the appends of then left them.
//! Refuses to know: what happens next.

use std::collections::{BTreeMap, HashMap, HashSet};

use nightshift_domain::{
    codec,
    content::Digest,
    decider::{Delta, Duty, RecordedCtx},
    definition, deliverable,
    ids::{CommandId, RunId, ShardId, StreamId, StreamKind, derive},
    recorded::Meta,
    run,
    time::Timestamp,
};
use nightshift_ports::{
    blobs::Blobs,
    log::{Commit as Append, EventLog, NewEvent, RecordedCommand, ShardBatch, StoreError, Verdict},
    memory::MemoryStore,
};

use crate::{
    error::Error,
    fixture::Fixture,
    folding::delta_of,
    obligations::{may_still_stand, receipt},
    order::Commit,
};

/// Fills an empty store with a prefix. Sequence numbers are given anew: a fixture need not hold all streams of a shard.
pub async fn load(store: &MemoryStore, fixture: &Fixture, prefix: &[Commit]) -> Result<(), Error> {
    for (digest, content) in &fixture.blobs {
        store.put(&Digest(digest.clone()), content.clone()).await?;
    }
    let mut loading = Loading::of(store, fixture, prefix);
    for commit in prefix {
        loading.append(commit).await?;
    }
    Ok(())
}

struct Loading<'a> {
    store: &'a MemoryStore,
    outside: Vec<CommandId>,
    /// Runs whose end was told.
    ended: HashSet<RunId>,
    last: Option<CommandId>,
    shards: BTreeMap<ShardId, (u64, i64)>,
    /// Open obligations that another command discharges: its id to owner and key.
    awaited: HashMap<CommandId, (StreamId, String, bool)>,
}

impl<'a> Loading<'a> {
    fn of(store: &'a MemoryStore, fixture: &Fixture, prefix: &[Commit]) -> Self {
        let commands = || prefix.iter().filter_map(|commit| commit.command.as_ref());
        Self {
            store,
            outside: fixture.about.captured.told_outside.iter().copied().collect(),
            ended: commands().filter_map(ended_by).collect(),
            last: commands().next_back().map(|command| command.record.id),
            shards: BTreeMap::new(),
            awaited: HashMap::new(),
        }
    }

    async fn append(&mut self, commit: &Commit) -> Result<(), Error> {
        let Some(command) = &commit.command else { return Ok(()) };
        let decode = |error| Error::decode(format!("command {}", command.record.id), error);
        let delta = delta_of(&command.record.delta).map_err(decode)?;
        let ctx: RecordedCtx = codec::from_bytes("context", &command.record.ctx).map_err(decode)?;
        let at = commit.events.first().map_or(ctx.now, |event| event.at);
        let mut closes: Vec<(StreamId, String)> = delta.closes.iter().map(|key| (commit.stream, key.clone())).collect();
        let discharged = self.awaited.remove(&command.record.id);
        let far = match discharged {
            Some((owner, key, far)) if far => Some((owner, key)),
            Some((owner, key, _)) => {
                closes.push((owner, key));
                None
            }
            None => None,
        };
        let told = self.open(commit.stream, &delta);
        let append = Append {
            stream: commit.stream,
            command: Some(command.record.clone()),
            events: Vec::new(),
            at,
            command_id: command.record.id,
            meta: commit.events.first().map(|event| event.meta.clone()).unwrap_or_default(),
            opens: delta.opens,
            closes,
        };
        self.write(append, commit).await?;
        // The last receiver's discharge on another shard was not written before the cut.
        if let Some((owner, key)) = far.filter(|_| self.last != Some(command.record.id)) {
            self.discharge(owner, key, at).await?;
        }
        for key in told {
            self.discharge(commit.stream, key, at).await?;
        }
        Ok(())
    }

    /// Notes what is opened; gives the keys that were discharged outside of the fixture.
    fn open(&mut self, stream: StreamId, delta: &Delta) -> Vec<String> {
        let mut told = Vec::new();
        for opened in &delta.opens {
            let Some((_, id)) = receipt(stream, opened) else { continue };
            if self.outside.contains(&id) && self.is_over(&opened.duty) {
                told.push(opened.key.clone());
            }
            let owed = nightshift_ports::log::Owed { stream, opened_seq: 0, obligation: opened.clone() };
            self.awaited.insert(id, (stream, opened.key.clone(), may_still_stand(&owed)));
        }
        told
    }

    /// A run outside of the fixture is begun again unless its end is in the prefix.
    fn is_over(&self, duty: &Duty) -> bool {
        match duty {
            Duty::Tell { to, .. } if to.kind == StreamKind::Run => self.ended.contains(&RunId::from_uuid(to.id)),
            _ => true,
        }
    }

    async fn write(&mut self, mut append: Append, commit: &Commit) -> Result<(), Error> {
        let shard = append.stream.shard();
        let wanted = commit.events.first().map_or(0, |event| event.epoch);
        let (head, epoch) = self.owned(shard, wanted).await?;
        let events = (head + 1..).zip(&commit.events).map(|(seq, event)| NewEvent {
            seq,
            version: event.version,
            event_type: event.event_type.clone(),
            type_version: event.type_version,
            hlc: event.hlc,
            data: event.data.clone(),
        });
        append.events = events.collect();
        self.put(ShardBatch { shard, epoch, expected_head: head, commits: vec![append] }).await
    }

    async fn discharge(&mut self, owner: StreamId, key: String, at: Timestamp) -> Result<(), Error> {
        let shard = owner.shard();
        let (head, epoch) = self.owned(shard, 0).await?;
        let append = Append {
            stream: owner,
            command: None,
            events: Vec::new(),
            at,
            command_id: CommandId::of_obligation(owner, &key, "discharge"),
            meta: Meta::default(),
            opens: Vec::new(),
            closes: vec![(owner, key)],
        };
        self.put(ShardBatch { shard, epoch, expected_head: head, commits: vec![append] }).await
    }

    async fn put(&mut self, batch: ShardBatch) -> Result<(), Error> {
        let events: usize = batch.commits.iter().map(|commit| commit.events.len()).sum();
        let failed = |why: String| StoreError::Failed { doing: "take the prefix", why };
        match self.store.append(std::slice::from_ref(&batch)).await {
            Ok(verdicts) if verdicts == [Verdict::Committed] => {
                let shard = self.shards.entry(batch.shard).or_default();
                shard.0 += events as u64;
                Ok(())
            }
            Ok(_) => Err(failed(format!("shard {} is not as it was left", batch.shard)).into()),
            Err(error) => Err(failed(error.to_string()).into()),
        }
    }

    /// Head and epoch of a shard, taken over as its writer of then did.
    async fn owned(&mut self, shard: ShardId, wanted: i64) -> Result<(u64, i64), Error> {
        let (head, epoch) = self.shards.get(&shard).copied().unwrap_or_default();
        if epoch > 0 && wanted <= epoch {
            return Ok((head, epoch));
        }
        let owner = derive("writer", &[&wanted.to_be_bytes()]);
        let taken = self.store.acquire(owner, &[shard], Timestamp(wanted.saturating_mul(1_000))).await?;
        let epoch = taken.first().map_or(0, |owned| owned.epoch);
        self.shards.insert(shard, (head, epoch));
        Ok((head, epoch))
    }
}

/// The run whose end a command tells. What the command says counts, not the key that it was owed under: a run that was
/// opened again tells its end under another key each time.
fn ended_by(command: &RecordedCommand) -> Option<RunId> {
    let payload = &command.record.payload;
    match command.stream.kind {
        StreamKind::Deliverable => match codec::from_bytes("command", payload).ok()? {
            deliverable::Command::RunEnded { run, .. } => Some(run),
            _ => None,
        },
        StreamKind::Definition => match codec::from_bytes("command", payload).ok()? {
            definition::Command::RunEnded { run, .. } => Some(run),
            _ => None,
        },
        StreamKind::Run => match codec::from_bytes("command", payload).ok()? {
            run::Command::ChildEnded { run, .. } => run,
            _ => None,
        },
        StreamKind::Schedule | StreamKind::Source | StreamKind::Topic | StreamKind::Queue | StreamKind::Bulk => None,
    }
}

#[cfg(test)]
mod tests {
    use nightshift_domain::{definition::Command, run::End};
    use nightshift_ports::log::CommandRecord;

    use super::*;

    /// A command to the stream that asked for a run, told under a key of the run.
    fn told(kind: StreamKind, key: &str, payload: &impl codec::Kept) -> RecordedCommand {
        let (run, stream) = (the_run().stream(), StreamId { kind, id: derive("test", &[b"asked"]) });
        let payload = codec::to_bytes(payload).unwrap();
        let (ctx, reply, delta) = (vec![], vec![], vec![]);
        let id = CommandId::of_obligation(run, key, "tell");
        let record = CommandRecord { id, payload, ctx, accepted: true, reply, delta };
        RecordedCommand { shard: ShardId(1), stream, record, first_seq: 1, last_seq: 1 }
    }

    fn the_run() -> RunId {
        RunId::on_shard(derive("test", &[b"run"]), ShardId(1))
    }

    #[test]
    fn the_end_of_a_run_is_known_by_whatever_key_it_was_told() {
        let end = || End::Cancelled { reason: "r".to_owned() };
        for key in ["ended", "ended:1", "ended:7"] {
            let run = the_run();
            let of_definition = told(StreamKind::Definition, key, &Command::RunEnded { run, end: end() });
            let of_deliverable = deliverable::Command::RunEnded { run, end: end() };
            let of_deliverable = told(StreamKind::Deliverable, key, &of_deliverable);
            let child = |run| run::Command::ChildEnded { step: "a".to_owned(), attempt: 1, run, end: end() };
            assert_eq!(ended_by(&of_definition), Some(run), "{key}");
            assert_eq!(ended_by(&of_deliverable), Some(run), "{key}");
            assert_eq!(ended_by(&told(StreamKind::Run, key, &child(Some(run)))), Some(run), "{key}");
            assert_eq!(ended_by(&told(StreamKind::Run, key, &child(None))), None, "it never began");
        }
        let other = run::Command::Cancel { reason: "r".to_owned() };
        assert_eq!(ended_by(&told(StreamKind::Run, "ended", &other)), None);
    }
}

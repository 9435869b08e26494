//! What the outside world answered in a recording.
//!
//! Owns: answers by idempotency key and attempt, by material, by slot and source; the commands of people.
//! Refuses to know: when they are asked for.

use std::collections::{BTreeMap, HashMap};

use nightshift_domain::{
    codec::{self, DecodeError},
    content::{Cursor, Draft, Failure, FailureClass, Item, Observation, Omission, SourceFailure, SourceSpec},
    decider::Decider,
    deliverable,
    ids::{RunId, SourceId, StreamId},
    run::{self, RunDecider, StepOutput, idempotency_key},
    source,
    streams::AnyEvent,
    time::Timestamp,
};
use nightshift_ports::log::RecordedCommand;
use uuid::Uuid;

use crate::{error::Error, order::Commit};

/// What an attempt brought back.
pub type Brought = Result<StepOutput, Failure>;

/// What the outside world answered.
#[derive(Debug, Default)]
pub struct Recording {
    brought: HashMap<String, Vec<(u32, Brought)>>,
    drafts: HashMap<String, Draft>,
    /// What a look for a slot saw of a source: the version of its stream, and why it failed.
    seen: HashMap<Uuid, HashMap<SourceId, (u64, Option<String>)>>,
    sources: BTreeMap<SourceId, Source>,
    runs: HashMap<StreamId, run::State>,
    /// Deliverables, in order.
    pub deliverables: Vec<StreamId>,
    /// Numbers of the versions that were staged.
    pub staged: BTreeMap<StreamId, Vec<u32>>,
}

#[derive(Debug, Default)]
struct Source {
    spec: Option<SourceSpec>,
    looks: Vec<(u64, Timestamp, Shown)>,
}

#[derive(Debug)]
enum Shown {
    Content { items: Vec<Item>, removed: Vec<String>, omitted: Vec<Omission>, cursor: Cursor },
    Failed(SourceFailure),
}

impl Recording {
    /// Reads a recording out of a history.
    pub fn of(commits: &[Commit]) -> Result<Self, Error> {
        let mut recording = Self::default();
        for commit in commits {
            if let Some(command) = &commit.command {
                let taken = recording.command(command);
                taken.map_err(|error| Error::decode(format!("command {}", command.record.id), error))?;
            }
            for event in &commit.events {
                let place = || format!("{} version {}", event.stream, event.version);
                let decoded = event.decode().map_err(|error| Error::decode(place(), error))?;
                recording.event(event.stream, (event.version, event.at), decoded);
            }
        }
        Ok(recording)
    }

    fn command(&mut self, command: &RecordedCommand) -> Result<(), DecodeError> {
        use nightshift_domain::ids::StreamKind;
        let payload = &command.record.payload;
        match command.stream.kind {
            StreamKind::Run => {
                if let run::Command::Finish { step, attempt, result, .. } = codec::from_bytes("command", payload)? {
                    let key = self.key(command.stream, &step);
                    self.finished(command.stream, key, (attempt, result));
                }
            }
            StreamKind::Deliverable => {
                if let deliverable::Command::Assessed { slot, sources } = codec::from_bytes("command", payload)? {
                    let seen = sources.into_iter().map(|seen| (seen.source_id, (seen.upto_version, seen.error)));
                    self.seen.insert(slot, seen.collect());
                }
            }
            StreamKind::Schedule | StreamKind::Source | StreamKind::Definition => {}
            StreamKind::Topic | StreamKind::Queue | StreamKind::Bulk => {}
        }
        Ok(())
    }

    /// The key under which an attempt was made; a step that was done again has another one each time.
    fn key(&self, run: StreamId, step: &str) -> String {
        let id = RunId::from_uuid(run.id);
        let known = self.runs.get(&run).and_then(|state| state.run()?.idempotency_key(id, step));
        known.unwrap_or_else(|| idempotency_key(id, step))
    }

    fn finished(&mut self, run: StreamId, key: String, (attempt, result): (u32, Brought)) {
        if let Ok(StepOutput::Draft(draft)) = &result {
            let gathered = self.brought.get(&self.key(run, "gather"));
            let material = gathered.into_iter().flatten().rev().find_map(|(_, brought)| match brought {
                Ok(StepOutput::Material { digest, .. }) => Some(digest.0.clone()),
                _ => None,
            });
            self.drafts.extend(material.map(|material| (material, draft.clone())));
        }
        self.brought.entry(key).or_default().push((attempt, result));
    }

    fn event(&mut self, stream: StreamId, (version, at): (u64, Timestamp), event: AnyEvent) {
        let shown = match event {
            AnyEvent::Deliverable(event) => return self.deliverable(stream, &event),
            AnyEvent::Run(event) => return RunDecider::evolve(self.runs.entry(stream).or_default(), &event, at),
            AnyEvent::Source(source::Event::Registered { spec, .. }) => {
                self.sources.entry(SourceId::from_uuid(stream.id)).or_default().spec = Some(spec);
                return;
            }
            AnyEvent::Source(source::Event::ContentObserved { items, removed, omitted, cursor, .. }) => {
                Shown::Content { items, removed, omitted, cursor }
            }
            AnyEvent::Source(source::Event::Checked { omitted, cursor }) => {
                Shown::Content { items: Vec::new(), removed: Vec::new(), omitted, cursor }
            }
            AnyEvent::Source(source::Event::ObservationFailed { class, message }) => {
                Shown::Failed(SourceFailure { class, message })
            }
            AnyEvent::Source(_) | AnyEvent::Schedule(_) | AnyEvent::Definition(_) => return,
            AnyEvent::Topic(_) | AnyEvent::Queue(_) | AnyEvent::Bulk(_) => return,
        };
        self.sources.entry(SourceId::from_uuid(stream.id)).or_default().looks.push((version, at, shown));
    }

    fn deliverable(&mut self, stream: StreamId, event: &deliverable::Event) {
        match event {
            deliverable::Event::Created { .. } => self.deliverables.push(stream),
            deliverable::Event::VersionStaged { number, .. } => self.staged.entry(stream).or_default().push(*number),
            _ => {}
        }
    }

    /// What an attempt brought back then: this one, or else the last one.
    pub fn answer(&self, key: &str, attempt: u32) -> Option<&Brought> {
        let all = self.brought.get(key)?;
        let same = all.iter().rev().find(|(number, _)| *number == attempt);
        same.or(all.last()).map(|(_, brought)| brought)
    }

    /// The document that was made of this material.
    pub fn draft_of(&self, material: &str) -> Option<&Draft> {
        self.drafts.get(material)
    }

    /// The recorded source with this specification.
    pub fn source_of(&self, spec: &SourceSpec) -> Option<SourceId> {
        self.sources.iter().find(|(_, source)| source.spec.as_ref() == Some(spec)).map(|(id, _)| *id)
    }

    /// How far a slot's look had come in a source, and why it failed.
    pub fn seen(&self, slot: Uuid, source: SourceId) -> Option<(u64, Option<&str>)> {
        self.seen.get(&slot)?.get(&source).map(|(version, error)| (*version, error.as_deref()))
    }

    /// How far a source had been looked at by an instant.
    pub fn version_at(&self, source: SourceId, at: Timestamp) -> u64 {
        let looks = self.sources.get(&source).map(|source| source.looks.as_slice()).unwrap_or_default();
        looks.iter().filter(|(_, seen_at, _)| *seen_at <= at).map(|(version, ..)| *version).max().unwrap_or(0)
    }

    /// What a source showed up to a version of its stream.
    pub fn content(&self, source: SourceId, upto: u64) -> (BTreeMap<String, Item>, Observation) {
        let mut content: BTreeMap<String, Item> = BTreeMap::new();
        let mut last = Observation { items: vec![], removed: vec![], omitted: vec![], cursor: Cursor::new() };
        let looks = self.sources.get(&source).map(|source| source.looks.as_slice()).unwrap_or_default();
        for (_, _, shown) in looks.iter().filter(|(version, ..)| *version <= upto) {
            let Shown::Content { items, removed, omitted, cursor } = shown else { continue };
            content.extend(items.iter().map(|item| (item.item_id.clone(), item.clone())));
            removed.iter().for_each(|id| drop(content.remove(id)));
            (last.omitted, last.cursor) = (omitted.clone(), cursor.clone());
        }
        (content, last)
    }

    /// A failure of a source with this message; the class is as it was recorded, else transient.
    pub fn failure(&self, source: SourceId, message: &str) -> SourceFailure {
        let looks = self.sources.get(&source).map(|source| source.looks.as_slice()).unwrap_or_default();
        let recorded = looks.iter().find_map(|(_, _, shown)| match shown {
            Shown::Failed(failure) if failure.message == message => Some(failure.clone()),
            _ => None,
        });
        recorded.unwrap_or_else(|| SourceFailure { class: FailureClass::Transient, message: message.to_owned() })
    }
}

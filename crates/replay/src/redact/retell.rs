//! A history told again from replaced beginnings.
//!
//! Owns: which commands came from outside, and that the deciders take the same way with them.
//! Refuses to know: what is replaced by what (`walk`).

use std::collections::HashMap;

use nightshift_domain::{
    codec::{self, DecodeError, Encoded},
    content::Digest,
    decider::{Delta, Duty, RecordedCtx},
    deliverable,
    ids::{CommandId, SourceId, StreamId, StreamKind, UserId},
    recorded::Recorded,
    run, source,
    streams::{AnyCommand, AnyEvent},
};
use nightshift_ports::log::{CommandRecord, RecordedCommand};
use nightshift_spec::{ZonedCalendar, expressions::Cel};
use serde_json::Value;

use super::walk::Walker;
use crate::{
    decide::decide_as_then,
    error::Error,
    fixture::Fixture,
    folding::{Decided, Folding, delta_of, typed, unborn},
    order::{Commit, told_inside},
};

/// Shows the walker everything that came from outside, so that it knows all persons, texts, digests and sources. True
/// when something has to be replaced.
pub fn learn(commits: &[Commit], walker: &mut Walker) -> Result<bool, Error> {
    let mut users: HashMap<StreamId, (UserId, UserId)> = HashMap::new();
    let mut found = commits.iter().flat_map(|commit| &commit.events).any(|event| {
        let (then, now) = (&event.meta.actor, walker.actor(&event.meta.actor));
        *then != now
    });
    let told = told_inside(commits)?;
    let commands = commits.iter().filter_map(|commit| commit.command.as_ref());
    for command in commands.filter(|command| !told.contains(&command.record.id)) {
        let place = || place_of(command);
        let kind = command.stream.kind;
        let mut value =
            unborn(kind).command_json(&command.record.payload).map_err(|error| Error::decode(place(), error))?;
        let before = value.clone();
        walker.value(&mut value);
        found |= value != before;
        match kind {
            StreamKind::Deliverable => learn_order((before, value), command.stream, &mut users, walker),
            StreamKind::Source => learn_source((before, value), command.stream, walker),
            StreamKind::Run | StreamKind::Schedule | StreamKind::Definition => Ok(()),
            StreamKind::Topic | StreamKind::Queue | StreamKind::Bulk => Ok(()),
        }
        .map_err(|error| Error::decode(place(), error))?;
    }
    for event in commits.iter().filter(|commit| commit.command.is_none()).flat_map(|commit| &commit.events) {
        let place = format!("{} version {}", event.stream, event.version);
        let before = crate::folding::event_json(event).map_err(|error| Error::decode(place, error))?;
        let mut value = before.clone();
        walker.value(&mut value);
        found |= value != before;
    }
    Ok(found)
}

fn learn_order(
    (before, after): (Value, Value),
    stream: StreamId,
    users: &mut HashMap<StreamId, (UserId, UserId)>,
    walker: &mut Walker,
) -> Result<(), DecodeError> {
    use deliverable::Command::{Create, Revise};
    match (typed("command", before)?, typed("command", after)?) {
        (Create { user: old_user, order: old, .. }, Create { user: new_user, order: new, .. }) => {
            walker.note_order((&old_user, &new_user), &old, &new);
            users.insert(stream, (old_user, new_user));
        }
        (Revise { order: old }, Revise { order: new }) => {
            if let Some((old_user, new_user)) = users.get(&stream) {
                walker.note_order((old_user, new_user), &old, &new);
            }
        }
        _ => {}
    }
    Ok(())
}

fn learn_source((before, after): (Value, Value), stream: StreamId, walker: &mut Walker) -> Result<(), DecodeError> {
    use source::Command::Record;
    if let (Record { user, spec, .. }, Record { user: new_user, spec: new_spec, .. }) =
        (typed("command", before)?, typed("command", after)?)
    {
        walker.note_source((&user, &new_user), (&spec, &new_spec), SourceId::from_uuid(stream.id));
    }
    Ok(())
}

/// Tells the history again.
pub fn retell(fixture: &Fixture, commits: &[Commit], walker: &mut Walker) -> Result<Fixture, Error> {
    let mut telling = Telling {
        walker,
        calendar: ZonedCalendar::bundled(),
        expressions: Cel::default(),
        streams: HashMap::new(),
        told: HashMap::new(),
    };
    let (mut events, mut commands) = (Vec::new(), Vec::new());
    for commit in commits {
        let (command, said) = match &commit.command {
            Some(command) => telling.command(command, &commit.events)?,
            None => (None, telling.events_alone(&commit.events)?),
        };
        commands.extend(command);
        events.extend(said);
    }
    let mut redacted = Fixture { events, commands, ..fixture.clone() };
    let outside = &mut redacted.about.captured.told_outside;
    *outside = std::mem::take(outside).into_iter().map(|id| telling.told.get(&id).map_or(id, |(id, _)| *id)).collect();
    redacted.sort();
    Ok(redacted)
}

struct Telling<'a> {
    walker: &'a mut Walker,
    calendar: ZonedCalendar,
    expressions: Cel,
    streams: HashMap<StreamId, Box<dyn Folding>>,
    /// Commands that streams owe to each other: the id of then, the id and the payload of now.
    told: HashMap<CommandId, (CommandId, Vec<u8>)>,
}

type Told = (Option<RecordedCommand>, Vec<Recorded>);

impl Telling<'_> {
    fn stream(&self, then: StreamId) -> StreamId {
        let now = self.walker.source(&then.id.to_string()).and_then(|id| id.parse().ok());
        StreamId { kind: then.kind, id: now.unwrap_or(then.id) }
    }

    fn command(&mut self, then: &RecordedCommand, events: &[Recorded]) -> Result<Told, Error> {
        let decode = |error| Error::decode(place_of(then), error);
        let stream = self.stream(then.stream);
        let (id, payload) = match self.told.get(&then.record.id) {
            Some(told) => told.clone(),
            None => (then.record.id, self.replaced(then).map_err(decode)?),
        };
        let asked = RecordedCommand { stream, record: CommandRecord { id, ..then.record.clone() }, ..then.clone() };
        let ctx: RecordedCtx = codec::from_bytes("context", &then.record.ctx).map_err(decode)?;
        let fold = self.streams.entry(stream).or_insert_with(|| unborn(stream.kind));
        let decided = decide_as_then(&**fold, (&asked, &payload), &ctx, (&self.calendar, &self.expressions));
        let decided = decided.map_err(decode)?;
        same_way(then, events, &decided)?;
        self.note_told((then, stream), &decided).map_err(decode)?;
        let said = self.said(events, decided.events, (stream, id))?;
        let Decided { reply, delta, .. } = decided;
        // The fingerprint of a request could be held against guesses of what was redacted.
        let ctx = match ctx.request {
            Some(_) => codec::to_bytes(&RecordedCtx { request: None, ..ctx }).map_err(decode)?,
            None => then.record.ctx.clone(),
        };
        let record = CommandRecord { id, payload, ctx, reply, delta, ..then.record.clone() };
        Ok((Some(RecordedCommand { stream, record, ..then.clone() }), said))
    }

    fn replaced(&mut self, then: &RecordedCommand) -> Result<Vec<u8>, DecodeError> {
        let kind = unborn(then.stream.kind);
        let before = kind.command_json(&then.record.payload)?;
        let mut value = before.clone();
        self.walker.value(&mut value);
        if value == before { Ok(then.record.payload.clone()) } else { kind.command_bytes(value) }
    }

    /// Ids of commands that are told derive from keys, and keys may name a source.
    fn note_told(
        &mut self,
        (then, stream): (&RecordedCommand, StreamId),
        decided: &Decided,
    ) -> Result<(), DecodeError> {
        let (before, after) = (delta_of(&then.record.delta)?, delta_of(&decided.delta)?);
        for (before, after) in before.opens.iter().zip(&after.opens) {
            let (Duty::Tell { command, .. } | Duty::Ask { command, .. } | Duty::Wake { command, .. }) = &after.duty
            else {
                continue;
            };
            let old = CommandId::of_obligation(then.stream, &before.key, "tell");
            let new = CommandId::of_obligation(stream, &after.key, "tell");
            self.told.insert(old, (new, bare(command)?));
        }
        Ok(())
    }

    /// Events as they are said now; where nothing changed, in the bytes of then.
    fn said(
        &mut self,
        then: &[Recorded],
        now: Vec<Encoded>,
        (stream, command_id): (StreamId, CommandId),
    ) -> Result<Vec<Recorded>, Error> {
        let mut said = Vec::with_capacity(now.len());
        for (then, now) in then.iter().zip(now) {
            let decode = |error| Error::decode(format!("{} version {}", then.stream, then.version), error);
            let unchanged = codec::encode_any(&then.decode().map_err(decode)?).map_err(decode)?.data == now.data;
            let (type_version, data) =
                if unchanged { (then.type_version, then.data.clone()) } else { (now.type_version, now.data) };
            let mut meta = then.meta.clone();
            meta.actor = self.walker.actor(&meta.actor);
            let event = Recorded { stream, command_id, type_version, data, meta, ..then.clone() };
            let fold = self.streams.entry(stream).or_insert_with(|| unborn(stream.kind));
            fold.remember(&event).map_err(decode)?;
            // Answers name what was looked at by its digest.
            if let (Some(old), Some(new)) = (asked_about(then).map_err(decode)?, asked_about(&event).map_err(decode)?) {
                self.walker.note_digest(&old.0, &new.0);
            }
            said.push(event);
        }
        Ok(said)
    }

    /// Events whose command is not kept any more are replaced themselves.
    fn events_alone(&mut self, events: &[Recorded]) -> Result<Vec<Recorded>, Error> {
        let mut said = Vec::with_capacity(events.len());
        for event in events {
            let decode = |error| Error::decode(format!("{} version {}", event.stream, event.version), error);
            let data = crate::folding::event_json(event).map_err(decode)?;
            let fact = event.event_type.split_once('.').map_or("", |(_, fact)| fact);
            let mut value = serde_json::json!({ fact: data });
            self.walker.value(&mut value);
            let now = unborn(event.stream.kind).event_bytes(value).map_err(decode)?;
            let stream = self.stream(event.stream);
            said.extend(self.said(std::slice::from_ref(event), vec![now], (stream, event.command_id))?);
        }
        Ok(said)
    }
}

/// The digest of what people are asked about, when they are.
fn asked_about(recorded: &Recorded) -> Result<Option<Digest>, DecodeError> {
    if recorded.event_type != "run.approval_requested" {
        return Ok(None);
    }
    Ok(match recorded.decode()? {
        AnyEvent::Run(run::Event::ApprovalRequested { approval, .. }) => Some(approval.digest),
        _ => None,
    })
}

/// The same outcome, the same events, as many obligations: other values, but no other story.
fn same_way(then: &RecordedCommand, events: &[Recorded], now: &Decided) -> Result<(), Error> {
    let kinds_then: Vec<&str> = events.iter().map(|event| event.event_type.as_str()).collect();
    let kinds_now: Vec<&str> = now.events.iter().map(|event| event.event_type.as_str()).collect();
    let count = |bytes: &[u8]| delta_of(bytes).map(|Delta { opens, closes }| (opens.len(), closes.len()));
    let owed = count(&then.record.delta).ok() == count(&now.delta).ok();
    if then.record.accepted == now.accepted && kinds_then == kinds_now && owed {
        return Ok(());
    }
    let why = format!(
        "with the tokens the decider says {kinds_now:?} where {kinds_then:?} is recorded; replay the fixture first: a \
         history that this program decides differently can only be redacted by the program that wrote it"
    );
    Err(Error::NotRedacted { place: place_of(then), why })
}

fn bare(command: &AnyCommand) -> Result<Vec<u8>, DecodeError> {
    match command {
        AnyCommand::Deliverable(command) => codec::to_bytes(command),
        AnyCommand::Run(command) => codec::to_bytes(command),
        AnyCommand::Schedule(command) => codec::to_bytes(command),
        AnyCommand::Source(command) => codec::to_bytes(command),
        AnyCommand::Definition(command) => codec::to_bytes(command),
        AnyCommand::Topic(command) => codec::to_bytes(command),
        AnyCommand::Queue(command) => codec::to_bytes(command),
        AnyCommand::Bulk(command) => codec::to_bytes(command),
    }
}

fn place_of(command: &RecordedCommand) -> String {
    format!("command {} of {} at seq {}", command.record.id, command.stream, command.first_seq)
}

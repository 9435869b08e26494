//! What a deliverable owes the world because of each event.
//!
//! Owns: which runs, schedules, sources and timers are told what, and under which key.
//! Refuses to know: commands, and whether an event was legal.

use super::{Command, Deliverable, Event, Governance, Stage, Standing, State, Version, plans, schedule_id};
use crate::{
    calendar::Schedule,
    content::SourceSnapshot,
    decider::{Delta, Duty, Obligation},
    ids::{DeliverableId, RunId, StreamId, VersionId},
    run, schedule, source,
    streams::AnyCommand,
    time::Timestamp,
};

/// An event of a stream at an instant: what obligations are made of.
struct Said {
    stream: StreamId,
    at: Timestamp,
}

impl Said {
    fn owe(&self, key: String, due_at: Timestamp, duty: Duty) -> Delta {
        Delta::none().open(Obligation { key, due_at, priority: plans::PRIORITY, duty })
    }

    fn tell(&self, key: String, to: StreamId, command: AnyCommand) -> Delta {
        self.owe(key, self.at, Duty::Tell { to, command: Box::new(command) })
    }

    fn start(&self, run_id: RunId, start: Option<(RunId, run::Command)>) -> Delta {
        start
            .map_or_else(Delta::none, |(run, command)| self.tell(format!("run:{run_id}"), run.stream(), command.into()))
    }
}

/// What `event`, happening to `before` in `stream`, opens and closes.
pub fn by(stream: StreamId, before: &State, event: &Event, at: Timestamp) -> Delta {
    let said = Said { stream, at };
    let Some(it) = before.taken() else {
        return by_birth(&said, event);
    };
    let id = DeliverableId::from_uuid(stream.id);
    let mut delta = tell_schedule(&said, it, event);
    delta.absorb(match event {
        Event::SlotDue { slot, .. } => said.owe(format!("assess:{slot}"), at, Duty::Assess { slot: *slot }),
        Event::SourcesAssessed { slot, .. } => Delta::none().close(format!("assess:{slot}")),
        Event::RunRequested { run_id, .. } => {
            let seen = match it.current.as_ref().map(|current| &current.stage) {
                Some(Stage::Assessing { seen }) => seen.as_slice(),
                _ => &[],
            };
            said.start(*run_id, plans::produce(id, it, event, seen))
        }
        Event::DeliveryRequested { run_id, .. } => said.start(*run_id, plans::deliver(id, it, event)),
        Event::NoticeRaised { run_id: Some(run_id), .. } => said.start(*run_id, plans::notify(id, it, event)),
        Event::VersionStaged { number, version_id, snapshots, .. } => {
            let mut delta = retain(&said, it, *version_id, snapshots);
            delta.absorb(open_window(&said, it, *number));
            delta
        }
        Event::Revised { order, .. } if order.governance != Governance::SemiAuto => close_windows(it),
        Event::Archived {} => close_windows(it),
        _ => Delta::none(),
    });
    if let Some((number, version)) = touches(event).and_then(|number| it.versions.get_key_value(&number)) {
        delta.absorb(close_window(*number, version));
    }
    delta
}

fn by_birth(said: &Said, event: &Event) -> Delta {
    let Event::Created { order, schedule_id: Some(schedule_id), paused, .. } = event else {
        return Delta::none();
    };
    let Some(schedule) = order.schedule.clone() else {
        return Delta::none();
    };
    let create = schedule::Command::Create { schedule, target: said.stream, paused: *paused };
    said.tell("schedule:create".to_owned(), schedule_id.stream(), create.into())
}

/// What a schedule is told.
pub enum Told<'a> {
    Create { schedule: &'a Schedule, paused: bool },
    Retime(&'a Schedule),
    Pause(&'a str),
    Resume,
    End,
}

impl Told<'_> {
    fn command(self, target: StreamId) -> schedule::Command {
        match self {
            Self::Create { schedule, paused } => {
                schedule::Command::Create { schedule: schedule.clone(), target, paused }
            }
            Self::Retime(schedule) => schedule::Command::Retime { schedule: schedule.clone() },
            Self::Pause(note) => schedule::Command::Pause { note: note.to_owned() },
            Self::Resume => schedule::Command::Resume {},
            Self::End => schedule::Command::End {},
        }
    }
}

/// The schedule follows the order and its standing. While the order has none, the schedule stream, once made, is paused.
pub fn schedule_is_told<'a>(it: &Deliverable, event: &'a Event) -> Vec<Told<'a>> {
    let (has_one, active) = (it.order.schedule.is_some(), matches!(it.standing, Standing::Active {}));
    match event {
        Event::Revised { order, .. } => match (&it.order.schedule, &order.schedule) {
            (Some(old), Some(new)) if old == new => vec![],
            (Some(_), Some(new)) => vec![Told::Retime(new)],
            (None, Some(new)) if it.schedule_id.is_none() => vec![Told::Create { schedule: new, paused: !active }],
            (None, Some(new)) if active => vec![Told::Retime(new), Told::Resume],
            (None, Some(new)) => vec![Told::Retime(new)],
            (Some(_), None) => vec![Told::Pause("the order has no schedule any more")],
            (None, None) => vec![],
        },
        Event::Paused { note } if has_one => vec![Told::Pause(note)],
        Event::Resumed {} if has_one => vec![Told::Resume],
        Event::Archived {} if it.schedule_id.is_some() => vec![Told::End],
        _ => vec![],
    }
}

/// The key counts what the schedule was told, so that two things told at one instant keep their order and both stand.
fn tell_schedule(said: &Said, it: &Deliverable, event: &Event) -> Delta {
    let to = schedule_id(DeliverableId::from_uuid(said.stream.id)).stream();
    let mut delta = Delta::none();
    for (ordinal, told) in (it.told + 1..).zip(schedule_is_told(it, event)) {
        delta.absorb(said.tell(format!("schedule:{ordinal:06}"), to, told.command(said.stream).into()));
    }
    delta
}

/// Each source is told once that a document keeps what it took.
fn retain(said: &Said, it: &Deliverable, reference: VersionId, snapshots: &[SourceSnapshot]) -> Delta {
    let mut delta = Delta::none();
    for snapshot in snapshots.iter().filter(|snapshot| snapshot.item_count > 0) {
        let source_id = snapshot.source_id;
        let key = format!("retain:{source_id}:{reference}");
        if delta.opens.iter().any(|open| open.key == key) {
            continue;
        }
        let from_version = it.consumed.get(&source_id.to_string()).copied().unwrap_or(0);
        let keep = source::Command::Retain { from_version, upto_version: snapshot.upto_version, reference };
        delta.absorb(said.tell(key, source_id.stream(), keep.into()));
    }
    delta
}

fn window_key(number: u32) -> String {
    format!("window:{number}")
}

/// Whether a version that is staged now is delivered by itself unless somebody acts.
pub fn opens_window(it: &Deliverable) -> bool {
    it.order.governance == Governance::SemiAuto && !matches!(it.standing, Standing::Archived {})
}

fn open_window(said: &Said, it: &Deliverable, number: u32) -> Delta {
    if !opens_window(it) {
        return Delta::none();
    }
    let window_ms = i64::try_from(it.order.semi_auto_window_s.saturating_mul(1_000)).unwrap_or(i64::MAX);
    let elapsed = AnyCommand::Deliverable(Command::WindowElapsed { number });
    let duty = Duty::Wake { to: said.stream, command: Box::new(elapsed) };
    said.owe(window_key(number), said.at.plus_ms(window_ms), duty)
}

/// The version an event touches: from then on nobody takes silence for consent.
pub const fn touches(event: &Event) -> Option<u32> {
    match event {
        Event::ReviewStarted { number, .. }
        | Event::VersionEdited { number, .. }
        | Event::VersionApproved { number, .. }
        | Event::VersionRejected { number, .. } => Some(*number),
        _ => None,
    }
}

fn close_window(number: u32, version: &Version) -> Delta {
    if version.window_open { Delta::none().close(window_key(number)) } else { Delta::none() }
}

fn close_windows(it: &Deliverable) -> Delta {
    let mut delta = Delta::none();
    it.versions.iter().for_each(|(number, version)| delta.absorb(close_window(*number, version)));
    delta
}

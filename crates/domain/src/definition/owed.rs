//! What a definition owes the world because of each event.
//!
//! Owns: which runs, schedules, topics and waiting steps are told what, and under which key.
//! Refuses to know: commands, and whether an event was legal.

use super::{Event, Heard, Parent, State};
use crate::{
    calendar::Schedule,
    content::{Failure, FailureClass},
    decider::{Delta, Duty, Obligation},
    ids::{ScheduleId, StreamId},
    run::{self, End},
    schedule,
    streams::AnyCommand,
    time::Timestamp,
    topic::{self, Subscriber},
};

/// Priority of what has none of its own.
const PRIORITY: i16 = 100;

/// An event of a stream at an instant: what obligations are made of.
struct Said {
    stream: StreamId,
    at: Timestamp,
    /// Which event of the stream it is.
    ordinal: u64,
}

impl Said {
    /// The key names the event, so that no key ever means two things told; those to one stream keep their order.
    fn tell(&self, what: &str, to: StreamId, priority: i16, command: AnyCommand) -> Delta {
        let key = format!("{what}:{:09}:{}", self.ordinal, to.id);
        let duty = Duty::Tell { to, command: Box::new(command) };
        Delta::none().open(Obligation { key, due_at: self.at, priority, duty })
    }

    fn tell_schedule(&self, to: ScheduleId, command: schedule::Command) -> Delta {
        self.tell("schedule", to.stream(), PRIORITY, command.into())
    }

    fn tell_topic(&self, heard: &Heard, listens: bool) -> Delta {
        let subscriber = Subscriber::Definition { stream: self.stream, ordinal: self.ordinal };
        let event_type = heard.event_type.clone();
        let command = if listens {
            topic::Command::Subscribe { event_type, subscriber, correlation: None, since: None, heard: Vec::new() }
        } else {
            topic::Command::Unsubscribe { subscriber }
        };
        self.tell("topic", heard.topic.stream(), PRIORITY, command.into())
    }
}

/// What `event`, happening to `before` in `stream`, opens and closes.
pub fn by(stream: StreamId, before: &State, event: &Event, at: Timestamp) -> Delta {
    let said = Said { stream, at, ordinal: before.version + 1 };
    match event {
        Event::Activated { version, schedules, topics, .. } => {
            let mut delta = follow_schedules(&said, before, version, schedules);
            delta.absorb(follow_topics(&said, before, topics));
            delta
        }
        Event::Deprecated { version } | Event::Archived { version } if before.active.as_ref() == Some(version) => {
            let mut delta = Delta::none();
            before.schedules.iter().for_each(|id| delta.absorb(said.tell_schedule(*id, schedule::Command::End {})));
            delta.absorb(follow_topics(&said, before, &[]));
            delta
        }
        Event::RunRequested { created, run, .. } => {
            let create = run::Command::Create(created.clone());
            said.tell("run", run.stream(), created.priority, create.into())
        }
        Event::RunRefused { why, parent: Some(parent), .. } => turn_down(&said, parent, why),
        Event::SlotBuffered { nominal, cancels: Some(run), .. } => {
            let reason = format!("the slot of {nominal} takes its place; overlap is cancel_other");
            // The run may not have heard yet that it is to begin.
            said.tell("cancel", run.stream(), PRIORITY, run::Command::Stop { reason }.into())
        }
        _ => Delta::none(),
    }
}

/// Each schedule is made, follows another rule, or ends, as the version in force wants it.
fn follow_schedules(said: &Said, before: &State, version: &str, ids: &[ScheduleId]) -> Delta {
    let mut delta = Delta::none();
    let Some(next) = before.versions.get(version) else {
        return delta;
    };
    let old: Vec<&Schedule> = before
        .in_force()
        .map_or_else(Vec::new, |registered| registered.document.schedules().map(|(schedule, _)| schedule).collect());
    for ((nth, id), (schedule, _)) in ids.iter().enumerate().zip(next.document.schedules()) {
        let stays = before.schedules.get(nth) == Some(id);
        if stays && old.get(nth) == Some(&schedule) {
            continue;
        }
        let (schedule, target) = (schedule.clone(), said.stream);
        delta.absorb(said.tell_schedule(
            *id,
            if stays {
                schedule::Command::Retime { schedule }
            } else {
                schedule::Command::Create { schedule, target, paused: false }
            },
        ));
    }
    for gone in before.schedules.iter().filter(|id| !ids.contains(id)) {
        delta.absorb(said.tell_schedule(*gone, schedule::Command::End {}));
    }
    delta
}

fn follow_topics(said: &Said, before: &State, topics: &[Heard]) -> Delta {
    let mut delta = Delta::none();
    for new in topics.iter().filter(|heard| !before.topics.contains(heard)) {
        delta.absorb(said.tell_topic(new, true));
    }
    for gone in before.topics.iter().filter(|heard| !topics.contains(heard)) {
        delta.absorb(said.tell_topic(gone, false));
    }
    delta
}

/// The step that waits for the run is told that there will be none. It would be refused again, so the failure is permanent.
fn turn_down(said: &Said, parent: &Parent, why: &str) -> Delta {
    let (step, attempt) = (parent.step.clone(), parent.attempt);
    let failure = Failure::new(FailureClass::Permanent, why.to_owned());
    let end = End::Failed { step: step.clone(), failure };
    let ended = run::Command::ChildEnded { step, attempt, run: None, end };
    said.tell("refused", parent.run.stream(), PRIORITY, ended.into())
}

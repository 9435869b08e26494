//! What a run owes the world because of each event.
//!
//! Owns: which steps wait for a lease, which attempts are seen through, which timers wake the run, which topics, definitions
//! and runs are told what, who is told the end.
//! Refuses to know: commands, and whether an event was legal.
//!
//! | key | what |
//! |---|---|
//! | `job:step:attempt` | a place is wanted |
//! | `attempt:step:attempt` | work is under way |
//! | `retry:step:attempt` | the next attempt may go at an instant |
//! | `retry:step:reset{n}` | a step that was reset may go at an instant |
//! | the same and `:resumed{n}` | that, told anew when the run goes on after a pause for the `n`th time |
//! | `timer:step:attempt` | a sleep ends, or nobody waits for an event any longer |
//! | `timer:step:ask{round}` | nobody waits for an answer any longer |
//! | `subscribe:step:attempt`, `unsubscribe:step:attempt` | a topic is told that a step waits, or waits no more |
//! | `start:step:attempt`, `stop:step:attempt` | a definition is told to start a run, the run that nobody waits for it |
//! | `report:version:part` | a webhook is told of an event, by its version in the stream |
//! | `report:version:part:{n}` | that once more, as the event `n` of the stream says |
//! | `ended`, `ended:{n}` | who asked is told the end; the second form after the run was opened again `n` times |
//!
//! Invariant: what is told under a key is told once in the life of a run, so an errand is never taken for another one.

use serde_json::json;

use super::{Command, End, Event, How, Run, State, Step, StepStatus, Waits, memory, report, resend};
use crate::{
    decider::{Delta, Duty, Obligation},
    definition, deliverable,
    ids::{RunId, StreamId, StreamKind},
    streams::AnyCommand,
    time::Timestamp,
    topic::{self, Subscriber},
};

/// What `event`, happening to `before` in `stream`, opens and closes.
pub fn by(stream: StreamId, before: &State, event: &Event, at: Timestamp) -> Delta {
    let told = report::about(stream, before, event, at).into_iter().map(|report| Obligation {
        key: report.key(),
        due_at: at,
        priority: REPORT_PRIORITY,
        duty: Duty::Report { report: Box::new(report) },
    });
    let delta = before.run().map_or_else(Delta::none, |run| of_run(&Said { stream, run, at }, event));
    told.fold(delta, Delta::open)
}

fn of_run(said: &Said<'_>, event: &Event) -> Delta {
    let at = said.at;
    match event {
        Event::StepQueued { step, attempt } => {
            let duty = Duty::Lease { step: step.clone(), attempt: *attempt };
            said.settled(step).open(said.owe(key("job", step, attempt), at, duty))
        }
        Event::AttemptStarted { step, attempt, lease, .. } => {
            let duty = Duty::Attempt { step: step.clone(), attempt: *attempt, token: lease.token };
            let open = said.owe(key("attempt", step, attempt), lease.until, duty);
            said.settled(step).open(open)
        }
        Event::AttemptSucceeded { step, .. } | Event::LeaseExpired { step, .. } => said.settled(step),
        Event::AttemptFailed { step, attempt, retry_at, .. } => {
            let delta = said.failed(step);
            match retry_at.filter(|_| said.run.paused.is_none()) {
                Some(due) => delta.open(said.wake_again(&key("retry", step, attempt + 1), (step, attempt + 1), due)),
                None => delta,
            }
        }
        Event::StepDied { step, .. } | Event::StepSkipped { step, .. } => said.given_up(step),
        Event::FannedOut { step, .. } => said.settled(step),
        Event::StepParked { step, attempt, on } => said.parked(step, *attempt, on),
        Event::StepCompleted { step, how: How::Replaced { .. }, .. } => said.given_up(step),
        Event::StepCompleted { step, .. } => said.settled(step),
        Event::StepReset { step, not_before, .. } => said.reset(step, *not_before),
        Event::ApprovalRequested { step, approval } => said.asked(step, approval),
        Event::ApprovalEscalated { step, .. } => said.settled(step),
        Event::Paused { .. } => said.paused(),
        Event::Resumed { .. } => said.resumed(),
        Event::Completed { .. } | Event::Failed { .. } | Event::Cancelled { .. } => said.ended(event),
        Event::Reported { version, part, .. } | Event::ReportGivenUp { version, part, .. } => {
            Delta::none().close(resend::open_key(said.run, (*version, *part)))
        }
        Event::ReportResent { report, .. } => {
            let key = resend::key_anew((report.version, report.part), said.run.events + 1);
            Delta::none().open(Obligation {
                key,
                due_at: at,
                priority: REPORT_PRIORITY,
                duty: Duty::Report { report: report.clone() },
            })
        }
        Event::Created(_)
        | Event::StaleResult { .. }
        | Event::ApprovalDecided { .. }
        | Event::StepDiscarded { .. }
        | Event::Reopened { .. }
        | Event::Migrated(_) => Delta::none(),
    }
}

/// Nobody looks at it: messages are no jobs.
const REPORT_PRIORITY: i16 = 100;

fn key(what: &str, step: &str, number: impl std::fmt::Display) -> String {
    format!("{what}:{step}:{number}")
}

/// An event at an instant, happening to a run: what obligations are made of.
struct Said<'a> {
    stream: StreamId,
    run: &'a Run,
    at: Timestamp,
}

impl Said<'_> {
    fn owe(&self, key: String, due_at: Timestamp, duty: Duty) -> Obligation {
        Obligation { key, due_at, priority: self.run.created.priority, duty }
    }

    fn tell(&self, key: String, to: StreamId, command: AnyCommand) -> Obligation {
        self.owe(key, self.at, Duty::Tell { to, command: Box::new(command) })
    }

    fn wake(&self, key: String, due_at: Timestamp, command: Command) -> Obligation {
        let duty = Duty::Wake { to: self.stream, command: Box::new(AnyCommand::Run(command)) };
        self.owe(key, due_at, duty)
    }

    /// The run is told when the next attempt of a step may go.
    fn wake_again(&self, key: &str, (step, attempt): (&str, u32), due_at: Timestamp) -> Obligation {
        self.wake(key.to_owned(), due_at, Command::RetryDue { step: step.to_owned(), attempt })
    }

    fn step(&self, step: &str) -> Option<&Step> {
        self.run.step(step).map(|(_, step)| step)
    }

    /// Closes whatever keeps a step alive that is in the state it waited for.
    fn settled(&self, step: &str) -> Delta {
        let closed = Delta::none();
        let Some(found) = self.step(step) else { return closed };
        match &found.status {
            StepStatus::Queued { attempt, .. } => closed.close(key("job", step, attempt)),
            StepStatus::Running { attempt, .. } => closed.close(key("attempt", step, attempt)),
            // During a pause nobody waits for an instant.
            StepStatus::Waiting { .. } | StepStatus::Pending {} if self.run.paused.is_some() => closed,
            StepStatus::Waiting { .. } | StepStatus::Pending {} => {
                wake_key(step, found, found.woken).into_iter().fold(closed, Delta::close)
            }
            StepStatus::Asking { approval, .. } if approval.deadline.is_some() => {
                closed.close(ask_key(step, approval.round))
            }
            StepStatus::Parked { attempt, on, .. } => match &**on {
                Waits::Until { .. } => closed.close(key("timer", step, attempt)),
                Waits::Child { .. } => closed.close(key("start", step, attempt)),
                Waits::Event { deadline, .. } => {
                    let closed = closed.close(key("subscribe", step, attempt));
                    if deadline.is_some() { closed.close(key("timer", step, attempt)) } else { closed }
                }
            },
            _ => closed,
        }
    }

    /// As [`Said::settled`], of a step that waits no more though what it waited for did not come: it says so.
    fn given_up(&self, step: &str) -> Delta {
        let delta = self.settled(step);
        let Some(StepStatus::Parked { attempt, on, .. }) = self.step(step).map(|step| &step.status) else {
            return delta;
        };
        match &**on {
            Waits::Until { .. } => delta,
            Waits::Event { topic, .. } => delta.open(self.unsubscribe(step, *attempt, *topic)),
            Waits::Child { run, .. } => {
                let stop = Command::Stop { reason: format!("step {step:?} of run {} waits no more", self.stream.id) };
                delta.open(self.tell(key("stop", step, attempt), run.stream(), stop.into()))
            }
        }
    }

    /// An attempt failed: a wait for an event that was too long is given up, a run that ended needs no telling.
    fn failed(&self, step: &str) -> Delta {
        match self.step(step).map(|step| &step.status) {
            Some(StepStatus::Parked { on, .. }) if matches!(**on, Waits::Child { .. }) => self.settled(step),
            _ => self.given_up(step),
        }
    }

    fn unsubscribe(&self, step: &str, attempt: u32, topic: StreamId) -> Obligation {
        let command = topic::Command::Unsubscribe { subscriber: self.subscriber(step, attempt) };
        self.tell(key("unsubscribe", step, attempt), topic, command.into())
    }

    fn subscriber(&self, step: &str, attempt: u32) -> Subscriber {
        let user = Some(self.run.created.user.clone());
        Subscriber::Step { stream: self.stream, step: step.to_owned(), attempt, user }
    }

    /// A step waits for what no worker does.
    fn parked(&self, step: &str, attempt: u32, on: &Waits) -> Delta {
        let delta = self.settled(step);
        let due = |at: Timestamp| {
            let command = Command::StepDue { step: step.to_owned(), attempt };
            self.wake(key("timer", step, attempt), at, command)
        };
        match on {
            Waits::Until { at } => delta.open(due(*at)),
            Waits::Event { event, topic, correlation, deadline, since } => {
                let subscribe = topic::Command::Subscribe {
                    event_type: event.clone(),
                    subscriber: self.subscriber(step, attempt),
                    correlation: correlation.clone(),
                    since: Some(*since),
                    heard: self.run.heard.get(event).cloned().unwrap_or_default(),
                };
                let delta = delta.open(self.tell(key("subscribe", step, attempt), *topic, subscribe.into()));
                deadline.iter().fold(delta, |delta, at| delta.open(due(*at)))
            }
            Waits::Child { definition, run, version, parameters } => {
                let start = definition::Start {
                    run: *run,
                    version: version.clone(),
                    parameters: parameters.clone(),
                    user: self.run.created.user.clone(),
                    trigger: json!({
                        "type": "orchestration", "run": self.stream.id.to_string(), "step": step, "attempt": attempt,
                    }),
                    parent: Some(self.parent(step, attempt)),
                    priority: Some(self.run.created.priority),
                };
                let command = definition::Command::Start(Box::new(start));
                delta.open(self.tell(key("start", step, attempt), *definition, command.into()))
            }
        }
    }

    /// This run as the parent of another.
    fn parent(&self, step: &str, attempt: u32) -> definition::Parent {
        let created = &self.run.created;
        let own = created.subject.workflow().map(|own| format!("{}/{}", own.owner, own.name));
        definition::Parent {
            run: RunId::from_uuid(self.stream.id),
            root: created.root,
            step: step.to_owned(),
            attempt,
            path: created.path.iter().cloned().chain(own).collect(),
        }
    }

    fn asked(&self, step: &str, approval: &super::Approval) -> Delta {
        if approval.checkpoint.advisory {
            return Delta::none();
        }
        let delta = self.settled(step);
        let round = approval.round;
        approval.deadline.iter().fold(delta, |delta, at| {
            let command = Command::AnswerDue { step: step.to_owned(), approval: approval.id };
            delta.open(self.wake(ask_key(step, round), *at, command))
        })
    }

    fn reset(&self, step: &str, not_before: Option<Timestamp>) -> Delta {
        let delta = self.given_up(step);
        let not_before = not_before.filter(|_| self.run.paused.is_none());
        let Some((found, due)) = self.step(step).zip(not_before) else { return delta };
        // The command names the attempt that comes next; it is numbered on from the highest there was.
        let again = (step, found.attempts + 1);
        delta.open(self.wake_again(&reset_key(step, found.resets + 1), again, due))
    }

    /// Nobody waits for a place any more until the run goes on, nor for an instant: nothing would begin.
    fn paused(&self) -> Delta {
        self.run.all().fold(Delta::none(), |delta, (id, _, step)| match step.status {
            StepStatus::Queued { attempt, .. } => delta.close(key("job", &id, attempt)),
            _ => wake_key(&id, step, step.woken).into_iter().fold(delta, Delta::close),
        })
    }

    /// What waits for an instant is told of it, under a key that was not told before. What is due begins at once, and
    /// closes it.
    fn resumed(&self) -> Delta {
        self.run.all().fold(Delta::none(), |delta, (id, _, step)| {
            match wake_key(&id, step, self.run.resumed + 1).zip(step.goes_at()) {
                Some((key, due)) => delta.open(self.wake_again(&key, (&id, step.awaited()), due)),
                None => delta,
            }
        })
    }

    /// Whoever asked is told the end, in their own words.
    fn ended(&self, event: &Event) -> Delta {
        let created = &self.run.created;
        let Some((to, end)) = created.reply_to.zip(memory::end(self.run, event)) else { return Delta::none() };
        let run = RunId::from_uuid(self.stream.id);
        let command: AnyCommand = match (to.kind, &created.for_step) {
            (StreamKind::Deliverable, _) => deliverable::Command::RunEnded { run, end }.into(),
            (StreamKind::Definition, _) => definition::Command::RunEnded { run, end: without_outputs(end) }.into(),
            (StreamKind::Run, Some((step, attempt))) => {
                Command::ChildEnded { step: step.clone(), attempt: *attempt, run: Some(run), end }.into()
            }
            _ => return Delta::none(),
        };
        let key = match self.run.reopened {
            0 => "ended".to_owned(),
            times => format!("ended:{times}"),
        };
        Delta::none().open(self.tell(key, to, command))
    }
}

/// A definition wants to know that a run is over, not what it made.
fn without_outputs(end: End) -> End {
    match end {
        End::Completed { .. } => End::Completed { outputs: std::collections::BTreeMap::new() },
        other => other,
    }
}

fn ask_key(step: &str, round: u32) -> String {
    key("timer", step, format_args!("ask{round}"))
}

fn reset_key(step: &str, resets: u32) -> String {
    key("retry", step, format_args!("reset{resets}"))
}

/// Under which key a step is told that it may go, if it waits for an instant; `woken`: as in [`Step`].
fn wake_key(id: &str, step: &Step, woken: u32) -> Option<String> {
    let key = match step.status {
        StepStatus::Waiting { attempt, .. } => key("retry", id, attempt),
        StepStatus::Pending {} if step.not_before.is_some() => reset_key(id, step.resets),
        _ => return None,
    };
    Some(if woken == 0 { key } else { format!("{key}:resumed{woken}") })
}

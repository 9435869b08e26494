//! Clients: people and programs that ask, repeat what was not answered, and remember what they were told.
//!
//! Owns: requests and their answers, what people do about what they see.
//! Refuses to know: which process answers.

use std::rc::Rc;

use nightshift_domain::{
    definition,
    deliverable::{self, Event as Told},
    ids::{CommandId, DeliverableId, RunId, ScheduleId, StreamId},
    run::{self, Answer, ApprovalAction, Asked, Event},
    schedule,
    streams::{AnyCommand, AnyEvent},
    time::Timestamp,
    topic,
};
use serde_json::json;

use super::{
    database::Fact,
    fault::{Class, Fault},
    node::{Envelope, Outcome, ReplyTo},
    sim::{Act, Sim},
};

/// Runs that people remember.
const RECENT_MAX: usize = 64;

/// Something that was asked.
#[derive(Debug)]
struct Request {
    to: StreamId,
    command: Rc<AnyCommand>,
    id: CommandId,
    tries: u32,
    heard: bool,
}

/// Everybody who asks.
#[derive(Debug, Default)]
pub struct Clients {
    requests: Vec<Option<Box<Request>>>,
    open: usize,
    pub runs: Vec<(RunId, String)>,
    pub deliverables: Vec<DeliverableId>,
    pub schedules: Vec<ScheduleId>,
}

impl Sim<'_> {
    /// Somebody asks after a while, and again until there is an answer.
    pub fn ask(&mut self, after_us: i64, to: StreamId, command: impl Into<AnyCommand>) {
        let id = CommandId(self.chance.id());
        let request = Request { to, command: Rc::new(command.into()), id, tries: 0, heard: false };
        self.clients.requests.push(Some(Box::new(request)));
        let nth = self.clients.requests.len() - 1;
        self.after_us(after_us, Act::Client(nth));
    }

    pub fn clients_heard(&self) -> bool {
        self.clients.open == 0
    }

    /// A client asks, for the first time or again.
    pub fn client_asks(&mut self, nth: usize) {
        let Some(Some(request)) = self.clients.requests.get_mut(nth) else { return };
        request.tries += 1;
        if request.tries == 1 {
            self.clients.open += 1;
        }
        let wait = i64::from(request.tries.min(10)) * 15_000_000;
        let (to, command, id) = (request.to, Rc::clone(&request.command), request.id);
        self.after_us(wait, Act::Client(nth));
        let twice = self.fault(Fault::Clients, 20_000, Class::AskedTwice);
        for _ in 0..=usize::from(twice) {
            let Some(at) = self.serving() else { return };
            let command = Rc::clone(&command);
            let reply = ReplyTo::Client(nth);
            self.send(at, Envelope { to, command, id, discharges: None, from_client: true, reply });
        }
    }

    /// A client is answered, unless the answer is lost.
    pub fn client_hears(&mut self, nth: usize, outcome: &Outcome) {
        if *outcome == Outcome::Unanswered || self.fault(Fault::Clients, 20_000, Class::ReplyLost) {
            return;
        }
        let Some(Some(request)) = self.clients.requests.get_mut(nth) else { return };
        if std::mem::replace(&mut request.heard, true) {
            return;
        }
        let (to, id) = (request.to, request.id);
        self.clients.requests[nth] = None;
        self.clients.open -= 1;
        self.audit.acknowledged(to, id, *outcome == Outcome::Done, self.now);
    }

    /// People see what happened, and do something about some of it.
    pub fn people_see(&mut self, fact: &Fact) {
        match &*fact.event {
            AnyEvent::Deliverable(Told::Created { .. }) => {
                self.clients.deliverables.push(DeliverableId::from_uuid(fact.stream.id));
            }
            AnyEvent::Deliverable(Told::VersionStaged { number, .. }) => self.review(fact.stream, *number),
            AnyEvent::Schedule(schedule::Event::Created { .. }) => {
                self.clients.schedules.push(ScheduleId::from_uuid(fact.stream.id));
            }
            AnyEvent::Run(Event::Created(created)) => {
                let first = created.plan.steps.first().map(|step| step.id.clone()).unwrap_or_default();
                if self.clients.runs.len() >= RECENT_MAX {
                    self.clients.runs.remove(0);
                }
                self.clients.runs.push((RunId::from_uuid(fact.stream.id), first));
            }
            AnyEvent::Run(Event::ApprovalRequested { approval, .. }) => self.question(fact.stream, approval),
            _ => {}
        }
    }

    fn review(&mut self, deliverable: StreamId, number: u32) {
        let wait = self.chance.between(60_000_000, 6 * 3_600_000_000);
        let by = "ada".to_owned();
        match self.chance.below(20) {
            0 => {}
            1 => {
                let reason = "too long".to_owned();
                self.ask(wait, deliverable, deliverable::Command::Reject { number, by, reason });
            }
            2 => {
                self.ask(wait, deliverable, deliverable::Command::StartReview { number, by: by.clone() });
                let approve = deliverable::Command::Approve { number, by, note: None, digest: None };
                self.ask(wait + 1_000_000, deliverable, approve);
            }
            _ => {
                let approve = deliverable::Command::Approve { number, by, note: None, digest: None };
                self.ask(wait, deliverable, approve);
            }
        }
    }

    fn question(&mut self, run: StreamId, approval: &run::Approval) {
        let may_wait = approval.deadline.is_some() && self.chance.happens(100_000);
        if approval.checkpoint.advisory || may_wait {
            return;
        }
        let options: Vec<ApprovalAction> = approval.checkpoint.options.iter().map(|option| option.action).collect();
        let goes_on = options.contains(&ApprovalAction::Continue) && self.chance.happens(800_000);
        let people = if self.chance.happens(100_000) { 2 } else { 1 };
        let wait = self.chance.between(30_000_000, 2 * 3_600_000_000);
        for person in 0..people {
            let action = if goes_on && person == 0 { ApprovalAction::Continue } else { *self.chance.pick(&options) };
            // A step that is done again asks again: not for ever.
            let action = if action == ApprovalAction::Retry && approval.round > 3 { options[0] } else { action };
            let by = format!("person{person}");
            let option = approval.checkpoint.options.iter().find(|option| option.action == action);
            let changes = option.is_some_and(|option| option.allows_modification) && self.chance.happens(300_000);
            let modifications = changes.then(|| json!({"changed": self.chance.below(1_000)}));
            let answer = Answer { approval: approval.id, action, by, note: None, modifications, digest: None };
            let spread = self.chance.between(0, 3_000);
            self.ask(wait + spread, run, run::Command::Answer(Box::new(answer)));
        }
    }

    /// Somebody steers something that goes on.
    pub fn steer(&mut self, after_us: i64) {
        let by = || Asked { by: "ops".to_owned(), note: String::new() };
        let soon = after_us + self.chance.between(60_000_000, 3_600_000_000);
        if self.chance.happens(700_000) && !self.clients.runs.is_empty() {
            let (run, step) = self.chance.pick(&self.clients.runs).clone();
            let run = run.stream();
            match self.chance.below(6) {
                0 => self.ask(after_us, run, run::Command::Cancel { reason: "no longer wanted".to_owned() }),
                1 => {
                    self.ask(after_us, run, run::Command::Pause { by: by() });
                    self.ask(soon, run, run::Command::Resume { by: by() });
                }
                2 => {
                    let (modifications, delay_ms) = (None, 0);
                    self.ask(
                        after_us,
                        run,
                        run::Command::RetryStep { step, modifications, delay_ms, by: by(), past: None },
                    );
                }
                3 => self.ask(after_us, run, run::Command::SkipStep { step, output: None, by: by(), past: None }),
                _ => self.ask(after_us, run, run::Command::Rerun { from: None, by: by() }),
            }
        } else if let Some(deliverable) = self.some_deliverable() {
            match self.chance.below(3) {
                0 => {
                    let note = "holiday".to_owned();
                    self.ask(after_us, deliverable, deliverable::Command::Pause { note });
                    self.ask(soon, deliverable, deliverable::Command::Resume {});
                }
                1 => self.ask(after_us, deliverable, deliverable::Command::RunNow { force: false }),
                _ => self.trigger(after_us),
            }
        }
    }

    pub fn some_deliverable(&mut self) -> Option<StreamId> {
        let all = &self.clients.deliverables;
        (!all.is_empty()).then(|| self.chance.pick(all).stream())
    }

    fn trigger(&mut self, after_us: i64) {
        if self.clients.schedules.is_empty() {
            return;
        }
        let schedule = self.chance.pick(&self.clients.schedules).stream();
        let upto = self.now;
        let command = match self.chance.below(3) {
            0 => schedule::Command::Backfill { from: upto.plus_ms(-2 * 86_400_000), upto },
            _ => schedule::Command::TriggerNow {},
        };
        self.ask(after_us, schedule, command);
    }

    /// Something that makes no sense, to somebody who exists.
    pub fn poison(&mut self) {
        let run = self.clients.runs.last().map(|(run, step)| (run.stream(), step.clone()));
        let deliverable = self.some_deliverable();
        let (Some((run, step)), Some(deliverable)) = (run, deliverable) else { return };
        self.count(Class::PoisonCommand);
        let nowhere = RunId::from_uuid(self.chance.id());
        let odd = |text: &str| text.repeat(1 + 500);
        let by = Asked::default();
        let commands: Vec<(StreamId, AnyCommand)> = vec![
            (run, run::Command::StepDue { step: step.clone(), attempt: u32::MAX }.into()),
            (run, run::Command::RetryDue { step: odd("\u{202e}"), attempt: 0 }.into()),
            (
                run,
                run::Command::RetryStep {
                    step: step.clone(),
                    modifications: Some(json!([null])),
                    delay_ms: 60_000,
                    by: by.clone(),
                    past: None,
                }
                .into(),
            ),
            (
                run,
                run::Command::SkipStep {
                    step: format!("{step}[99999999999]"),
                    output: Some(json!({"": odd("x")})),
                    by,
                    past: None,
                }
                .into(),
            ),
            (run, run::Command::EventArrived { step, attempt: 1, event: json!("no event") }.into()),
            (
                deliverable,
                deliverable::Command::RunEnded { run: nowhere, end: run::End::Cancelled { reason: odd("?") } }.into(),
            ),
            (
                deliverable,
                deliverable::Command::SlotDue { nominal: Timestamp(i64::MIN), next_due: Some(Timestamp(i64::MAX)) }
                    .into(),
            ),
            (
                deliverable,
                deliverable::Command::Approve { number: u32::MAX, by: String::new(), note: None, digest: None }.into(),
            ),
            (deliverable, deliverable::Command::WindowElapsed { number: 0 }.into()),
        ];
        for (to, command) in commands {
            let wait = self.chance.between(0, 1_000_000);
            self.ask(wait, to, command);
        }
        self.poison_request();
    }

    fn poison_request(&mut self) {
        let Some((definition, _)) = self.traffic.some(&mut self.chance) else { return };
        self.count(Class::PoisonRequest);
        let start = definition::Start {
            run: RunId::on_shard(self.chance.id(), nightshift_domain::ids::ShardId(0)),
            version: Some("\0".to_owned()),
            parameters: json!({"amount": 1e308, "order": {"deep": [[[[[[[]]]]]]]}, "\u{0}": []}),
            user: nightshift_domain::ids::UserId(String::new()),
            trigger: json!(null),
            parent: None,
            priority: Some(i16::MIN),
        };
        self.ask(0, definition, definition::Command::Start(Box::new(start)));
        self.ask(0, definition, definition::Command::EventArrived { event: json!({"type": 5}) });
        let event = topic::Published {
            id: String::new(),
            user: nightshift_domain::ids::UserId::default(),
            correlation: None,
            intent_id: None,
            payload: json!(null),
        };
        let topic = nightshift_domain::ids::TopicId::of("paid", self.settings.shards).stream();
        self.ask(0, topic, topic::Command::Publish { event_type: "other".to_owned(), event: Box::new(event) });
    }
}

//! The driver: what a run owes is paid from the script.
//!
//! Owns: the order in which things are done, and time. Refuses to know: what is expected of the run.

use std::collections::{BTreeMap, BTreeSet};

use nightshift_domain::{
    content::{Digest, Failure, FailureClass, INLINE_BYTES_MAX},
    decider::{Ctx, Decider, Duty, Obligation, decide_once},
    ids::{CommandId, RunId, derive},
    json::{Json, canonical, digest},
    run::{
        self, Answer, Approval, ApprovalAction, Command, Created, End, Kept, Lease, Outcome, Rejection, RunDecider,
        State, StepOutput, StepStatus, Token, Waits, instance_of,
    },
    streams::AnyCommand,
    time::Timestamp,
};
use nightshift_spec::{
    Cel, ZonedCalendar,
    trial::{Answers, Decision, Heard, Script},
};
use serde_json::json;

use super::{Asked, Assumed, SHARDS, Trial};

/// Decisions after which a run is taken for one that never ends. The longest list makes fewer.
const DECISIONS_MAX: u64 = 100_000;

/// A lease of a trial holds so long, in milliseconds. Nothing ever waits for its end.
const LEASE_MS: i64 = 30_000;

struct Drive<'d> {
    script: &'d Script,
    calendar: &'d ZonedCalendar,
    expressions: Cel,
    run: RunId,
    now: Timestamp,
    state: State,
    /// In the order in which they were opened.
    owed: Vec<Obligation>,
    decisions: u64,
    /// How many answers of a kind were given to a step or an instance.
    given: BTreeMap<(&'static str, String), usize>,
    /// Waits that the script leaves as they are: a step and its attempt, or a step and its question.
    left_alone: BTreeSet<String>,
    /// Names in the script that were of use.
    used: BTreeSet<String>,
    /// Values that are too large for an event.
    kept: BTreeMap<Digest, Json>,
    trial: Trial,
}

/// Lives a run through.
pub fn drive((run, created): (RunId, Box<Created>), script: &Script, calendar: &ZonedCalendar, at: Timestamp) -> Trial {
    let trial = Trial {
        run,
        state: State::default(),
        told: Vec::new(),
        asked: Vec::new(),
        assumed: Vec::new(),
        obstacles: Vec::new(),
        unused: Vec::new(),
    };
    let mut drive = Drive {
        script,
        calendar,
        expressions: Cel::default(),
        run,
        now: at,
        state: State::default(),
        owed: Vec::new(),
        decisions: 0,
        given: BTreeMap::new(),
        left_alone: BTreeSet::new(),
        used: BTreeSet::new(),
        kept: BTreeMap::new(),
        trial,
    };
    drive.tell(Command::Create(created));
    while drive.goes_on() {}
    let unused = script.answers.keys().filter(|name| !drive.used.contains(*name)).cloned().collect();
    Trial { state: drive.state, unused, ..drive.trial }
}

impl Drive<'_> {
    /// Asks the run. What it turns down is in the way of the script.
    fn tell(&mut self, command: Command) {
        self.decisions += 1;
        let ctx = Ctx {
            stream: self.run.stream(),
            now: self.now,
            command_id: CommandId(derive("trial", &[&self.decisions.to_be_bytes()])),
            shard_count: SHARDS,
            calendar: self.calendar,
            expressions: &self.expressions,
            reports: run::Reports::NONE,
        };
        match decide_once::<RunDecider>(&self.state, &command, &ctx) {
            Ok(decision) => {
                self.owed.retain(|owed| !decision.delta.closes.contains(&owed.key));
                self.owed.extend(decision.delta.opens);
                self.state = decision.after;
                self.trial.told.extend(decision.events.into_iter().map(|event| (self.now, event)));
            }
            Err(rejection) => self.trial.obstacles.push(words(&rejection)),
        }
    }

    /// Does the next thing; false when nothing is left.
    fn goes_on(&mut self) -> bool {
        if self.decisions > DECISIONS_MAX {
            self.trial.obstacles.push(format!("it did not end within {DECISIONS_MAX} decisions"));
            return false;
        }
        if RunDecider::ended(&self.state) {
            return false;
        }
        if let Some(at) = self.owed.iter().position(|owed| !matches!(owed.duty, Duty::Wake { .. })) {
            let owed = self.owed.remove(at);
            self.pay(owed.duty);
            return true;
        }
        self.answer_a_wait() || self.wake()
    }

    fn pay(&mut self, duty: Duty) {
        match duty {
            Duty::Lease { step, attempt } => {
                let token = Token { epoch: 1, nonce: self.decisions };
                let lease = Lease { token, until: self.now.plus_ms(LEASE_MS), worker: "test".to_owned() };
                self.tell(Command::Grant { step, attempt, lease, buckets: Vec::new() });
            }
            Duty::Attempt { step, attempt, token } => self.perform(step, attempt, token),
            // Topics and definitions are not there: what they would say is in the script.
            Duty::Tell { .. } | Duty::Ask { .. } | Duty::Report { .. } => {}
            Duty::Wake { .. } | Duty::Assess { .. } | Duty::Choose { .. } => {}
        }
    }

    fn perform(&mut self, step: String, attempt: u32, token: Token) {
        let action = self.state.run().and_then(|run| run::action_of(run, self.run, &step, &self.kept));
        let Some(action) = action else { return };
        let result = match action {
            Ok(action) => {
                self.trial.asked.push(Asked { step: step.clone(), attempt, action });
                self.result(&step)
            }
            Err(why) => Err(Failure::new(FailureClass::Permanent, format!("what step {step:?} is given {why}"))),
        };
        let command = match result {
            Err(Failure { class: FailureClass::Lost, message, .. }) => {
                Command::Expire { step, attempt, token, reason: message }
            }
            result => {
                let result = result.map(|value| self.made(&step, &value));
                Command::Finish { step, attempt, token, result, offer: None, tokens_free: true, at_once: false }
            }
        };
        self.tell(command);
    }

    /// A value as a worker reports it: mapped, and kept elsewhere when it is too large for an event.
    fn made(&mut self, step: &str, value: &Json) -> StepOutput {
        let plan = self.state.run().and_then(|run| run.step(step)).map(|(plan, _)| plan);
        let value = plan.map_or_else(|| value.clone(), |plan| run::mapped(plan, value));
        let text = canonical(&value);
        if text.len() <= INLINE_BYTES_MAX {
            return StepOutput::Value(Outcome { mapped: true, ..Outcome::of(value) });
        }
        let kept = Kept { digest: digest(&text), bytes: text.len() as u64 };
        self.kept.insert(kept.digest.clone(), value);
        StepOutput::Value(Outcome::kept(kept))
    }

    /// The answers to a step: its own, or for an instance those of its step.
    fn answers(&mut self, id: &str) -> Option<&Answers> {
        let script = self.script;
        let of = |name: &str| script.answers.get_key_value(name);
        let (name, answers) = of(id).or_else(|| of(instance_of(id)?.0))?;
        self.used.insert(name.clone());
        Some(answers)
    }

    /// Which answer of a kind comes now, from 0.
    fn nth(&mut self, kind: &'static str, id: &str) -> usize {
        let given = self.given.entry((kind, id.to_owned())).or_default();
        *given += 1;
        *given - 1
    }

    fn assume(&mut self, step: &str, taken_for: &'static str) {
        let assumed = Assumed { step: step.to_owned(), taken_for };
        if !self.trial.assumed.contains(&assumed) {
            self.trial.assumed.push(assumed);
        }
    }

    fn result(&mut self, id: &str) -> Result<Json, Failure> {
        let nth = self.nth("result", id);
        let found = self.answers(id).and_then(|answers| answers.results.get(nth).or(answers.results.last()).cloned());
        found.unwrap_or_else(|| {
            self.assume(id, "an output of {}");
            Ok(json!({}))
        })
    }

    fn decision(&mut self, id: &str) -> Option<Decision> {
        let nth = self.nth("decision", id);
        let found = self.answers(id).and_then(|answers| answers.decisions.get(nth).cloned());
        found.unwrap_or_else(|| {
            self.assume(id, "the decision to continue");
            Some(Decision { action: ApprovalAction::Continue, by: "test".to_owned(), note: None, modifications: None })
        })
    }

    fn event(&mut self, id: &str) -> Option<Heard> {
        let nth = self.nth("event", id);
        let found = self.answers(id).and_then(|answers| answers.events.get(nth).or(answers.events.last()).cloned());
        found.unwrap_or_else(|| {
            self.assume(id, "an event without a payload");
            Some(Heard { payload: json!({}), correlation: None })
        })
    }

    /// Answers the first question, event or run that is waited for and has an answer.
    fn answer_a_wait(&mut self) -> bool {
        let Some(run) = self.state.run() else { return false };
        let waits: Vec<(String, Wait)> =
            run.all().filter_map(|(id, _, step)| Some((id, wait(&step.status)?))).collect();
        for (id, wait) in waits {
            let key = match &wait {
                // A question that goes to somebody else has no deadline any more.
                Wait::Person(approval) => format!("{id} {} {:?}", approval.id, approval.deadline),
                Wait::Other(attempt, _) => format!("{id} {attempt}"),
            };
            if self.left_alone.contains(&key) {
                continue;
            }
            let before = self.decisions;
            match wait {
                Wait::Person(approval) => self.decide(&id, &approval),
                Wait::Other(attempt, on) => self.arrive(&id, attempt, &on),
            }
            if self.decisions == before {
                self.left_alone.insert(key);
                continue;
            }
            // An answer that was turned down would be turned down again.
            if !self.trial.obstacles.is_empty() {
                self.left_alone.insert(key);
            }
            return true;
        }
        false
    }

    fn decide(&mut self, id: &str, approval: &Approval) {
        let Some(Decision { action, by, note, modifications }) = self.decision(id) else { return };
        let digest = Some(approval.digest.clone());
        let answer = Answer { approval: approval.id, action, by, note, modifications, digest };
        self.tell(Command::Answer(Box::new(answer)));
    }

    fn arrive(&mut self, id: &str, attempt: u32, on: &Waits) {
        let step = id.to_owned();
        match on {
            Waits::Until { .. } => {}
            Waits::Event { event, correlation, .. } => {
                let Some(heard) = self.event(id) else { return };
                if let (Some(about), Some(wanted)) = (&heard.correlation, correlation)
                    && about != wanted
                {
                    let why = format!("step {id:?} waits for an event about {wanted:?}, and one about {about:?} comes");
                    return self.trial.obstacles.push(why);
                }
                let event = json!({
                    "type": event,
                    "payload": heard.payload,
                    "correlation": heard.correlation.as_ref().or(correlation.as_ref()),
                    "id": format!("{id}-{attempt}"),
                    "at": self.now.to_string(),
                });
                self.tell(Command::EventArrived { step, attempt, event });
            }
            Waits::Child { run: child, .. } => {
                let action = self.state.run().and_then(|run| run::action_of(run, self.run, id, &self.kept));
                let action = action.and_then(Result::ok);
                self.trial.asked.extend(action.map(|action| Asked { step: id.to_owned(), attempt, action }));
                let end = end_of(id, self.result(id));
                self.tell(Command::ChildEnded { step, attempt, run: Some(*child), end });
            }
        }
    }

    /// The clock goes to the next timer, and what is due then is told.
    fn wake(&mut self) -> bool {
        let timers = self.owed.iter().enumerate();
        let Some((at, _)) = timers.min_by_key(|(at, owed)| (owed.due_at, *at)) else { return false };
        let owed = self.owed.remove(at);
        self.now = self.now.max(owed.due_at);
        if let Duty::Wake { command, .. } = owed.duty
            && let AnyCommand::Run(command) = *command
        {
            self.tell(command);
        }
        true
    }
}

/// What a step waits for that the script can answer.
enum Wait {
    Person(Box<Approval>),
    Other(u32, Box<Waits>),
}

fn wait(status: &StepStatus) -> Option<Wait> {
    match status {
        StepStatus::Asking { approval, .. } => Some(Wait::Person(approval.clone())),
        StepStatus::Parked { attempt, on, .. } if !matches!(**on, Waits::Until { .. }) => {
            Some(Wait::Other(*attempt, on.clone()))
        }
        _ => None,
    }
}

/// The end of a run that a step waits for.
fn end_of(step: &str, result: Result<Json, Failure>) -> End {
    let one = |value: Json| StepOutput::Value(Outcome::of(value)).into();
    match result {
        Ok(Json::Object(fields)) => {
            End::Completed { outputs: fields.into_iter().map(|(name, value)| (name, one(value))).collect() }
        }
        Ok(value) => End::Completed { outputs: BTreeMap::from([("output".to_owned(), one(value))]) },
        Err(failure) if failure.class == FailureClass::Cancelled => End::Cancelled { reason: failure.message },
        Err(failure) => End::Failed { step: step.to_owned(), failure },
    }
}

fn words(rejection: &Rejection) -> String {
    format!("the run turned an answer down: {rejection}")
}

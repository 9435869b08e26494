//! Histories of runs for tests: commands go through the real decider, events through the real codec.
//!
//! Owns: a run with a clock that the test moves. Refuses to know: stores, spans, metrics.
#![allow(dead_code, reason = "each test crate uses its part")]

use std::sync::Arc;

use nightshift_domain::{
    calendar::{Calendar, CalendarError, Schedule},
    codec,
    content::{Composer, Destination, Digest, Draft, Failure, FailureClass, Receipt, Text},
    decider::{Ctx, decide_once},
    expression::NoExpressions,
    ids::{CommandId, DeliverableId, RunId, ShardId, StreamKind, UserId, VersionId, derive},
    recorded::{Meta, Recorded},
    run::{
        Action, Answer, ApprovalAction, ApprovalId, ApprovalOption, Asked, Checkpoint, Command, CrashPolicy, Created,
        Flow, Lease, Migration, OnTimeout, Outcome, Plan, RetryPolicy, RunDecider, State, StepOutput, StepPlan,
        StepStatus, Subject, Token, WorkflowRef,
    },
    time::Timestamp,
};

/// 2026-01-05T07:00:00Z.
pub const START: Timestamp = Timestamp::from_secs(1_767_596_400);

struct NoCalendar;

impl Calendar for NoCalendar {
    fn next_after(&self, _: &Schedule, _: Timestamp) -> Result<Option<Timestamp>, CalendarError> {
        Ok(None)
    }
    fn latest_at(&self, _: &Schedule, _: Timestamp, _: Timestamp) -> Result<Option<Timestamp>, CalendarError> {
        Ok(None)
    }
    fn tz_revision(&self) -> &str {
        "none"
    }
}

pub struct History {
    pub run: RunId,
    pub events: Vec<Recorded>,
    pub now: Timestamp,
    pub meta: Meta,
    pub state: State,
    commands: u64,
}

pub fn run_id(name: &str) -> RunId {
    RunId::on_shard(derive("test run", &[name.as_bytes()]), ShardId(5))
}

impl History {
    pub fn of(name: &str) -> Self {
        let meta = Meta { actor: "clock".to_owned(), ..Meta::default() };
        Self { run: run_id(name), events: vec![], now: START, meta, state: State::Unborn, commands: 0 }
    }

    /// A run that was just created from a plan of these steps, done one after another.
    pub fn created(name: &str, steps: &[(&str, Action)]) -> Self {
        let mut it = Self::of(name);
        let run = it.run;
        it.create(steps, run, None);
        it
    }

    pub fn create(&mut self, steps: &[(&str, Action)], root: RunId, parent: Option<RunId>) {
        let step = |at: usize| StepPlan {
            id: steps[at].0.to_owned(),
            action: steps[at].1.clone(),
            depends_on: at.checked_sub(1).map(|before| steps[before].0.to_owned()).into_iter().collect(),
            retry: RetryPolicy::queue_preset(),
            timeout_ms: 60_000,
            crash: CrashPolicy::Retry,
            optional: false,
            flow: Flow::default(),
        };
        let deliverable = DeliverableId::on_shard(derive("test deliverable", &[]), ShardId(5));
        let steps = (0..steps.len()).map(step).collect();
        self.tell(Command::Create(Box::new(Created {
            id: None,
            plan: Arc::new(Plan {
                definition: "deliverable.produce@1".to_owned(),
                steps,
                max_parallel: 2,
                output: None,
                reports: nightshift_domain::run::Reports::default(),
            }),
            subject: Subject::Version { deliverable, version_number: 3, title: "Weekly brief".to_owned() },
            user: UserId::default(),
            priority: 100,
            reply_to: None,
            root,
            parent,
            nominal: START,
            parameters: serde_json::Value::Null,
            trigger: serde_json::Value::Null,
            for_step: None,
            reports: nightshift_domain::run::Reports::default(),
            path: vec![],
        })));
    }

    /// A run of a workflow with these steps, all of which may go at once.
    pub fn workflow(name: &str, steps: Vec<(&str, Action, Flow)>) -> Self {
        let mut it = Self::of(name);
        let plan = |(id, action, flow): (&str, Action, Flow)| StepPlan {
            id: id.to_owned(),
            action,
            depends_on: vec![],
            retry: RetryPolicy::queue_preset(),
            timeout_ms: 60_000,
            crash: CrashPolicy::Retry,
            optional: false,
            flow,
        };
        let steps = steps.into_iter().map(plan).collect();
        let (owner, name, version) = ("ann".to_owned(), "campaign".to_owned(), "1".to_owned());
        let workflow = WorkflowRef { definition: None, owner, name, version, digest: Digest("0".repeat(64)) };
        it.tell(Command::Create(Box::new(Created {
            id: Some(it.run),
            plan: Arc::new(Plan {
                definition: "ann/campaign@1".to_owned(),
                steps,
                max_parallel: 4,
                output: None,
                reports: nightshift_domain::run::Reports::default(),
            }),
            subject: Subject::Workflow { workflow, title: "Campaign".to_owned() },
            user: UserId::default(),
            priority: 100,
            reply_to: None,
            root: it.run,
            parent: None,
            nominal: START,
            parameters: serde_json::Value::Null,
            trigger: serde_json::Value::Null,
            for_step: None,
            reports: nightshift_domain::run::Reports::default(),
            path: vec![],
        })));
        it
    }

    /// The question that is open about a step.
    pub fn question(&self, step: &str) -> Option<ApprovalId> {
        match self.state.run().and_then(|run| run.step(step)).map(|(_, step)| &step.status) {
            Some(StepStatus::Asking { approval, .. }) => Some(approval.id),
            _ => None,
        }
    }

    pub fn answer(&mut self, step: &str, action: ApprovalAction) -> &mut Self {
        let approval = self.question(step).unwrap();
        let by = "bea".to_owned();
        let answer = Answer { approval, action, by, note: None, modifications: None, digest: None };
        self.tell(Command::Answer(Box::new(answer)));
        self
    }

    pub fn rerun(&mut self, step: &str) -> &mut Self {
        self.tell(Command::Rerun { from: Some(step.to_owned()), by: Asked::default() });
        self
    }

    /// The run goes on under another version, whose plan differs by this.
    pub fn migrate(&mut self, version: &str, change: impl FnOnce(&mut Plan)) -> &mut Self {
        let created = Arc::clone(&self.state.run().unwrap().created);
        let workflow = created.subject.workflow().cloned().unwrap();
        let workflow = WorkflowRef { version: version.to_owned(), ..workflow };
        let mut plan = (*created.plan).clone();
        plan.definition = workflow.to_string();
        change(&mut plan);
        let migration = Migration { workflow, plan: Arc::new(plan), parameters: vec![], by: Asked::default() };
        self.tell(Command::Migrate(Box::new(migration)));
        self
    }

    pub fn after_ms(&mut self, ms: i64) -> &mut Self {
        self.now = self.now.plus_ms(ms);
        self
    }

    /// Asks the decider; a rejection is as good as nothing.
    pub fn tell(&mut self, command: Command) {
        self.commands += 1;
        let command_id = CommandId(derive("test command", &[self.run.uuid().as_bytes(), &self.commands.to_be_bytes()]));
        let (stream, now) = (self.run.stream(), self.now);
        let (calendar, expressions) = (&NoCalendar, &NoExpressions);
        let ctx = Ctx {
            stream,
            now,
            command_id,
            shard_count: 64,
            calendar,
            expressions,
            reports: nightshift_domain::run::Reports::NONE,
        };
        let Ok(decision) = decide_once::<RunDecider>(&self.state, &command, &ctx) else {
            return;
        };
        self.state = decision.after;
        for event in decision.events {
            let encoded = codec::encode(StreamKind::Run, &event).unwrap();
            let version = self.events.len() as u64 + 1;
            self.events.push(Recorded {
                shard: self.run.shard(),
                seq: 1_000 + version,
                stream: self.run.stream(),
                version,
                event_type: encoded.event_type,
                type_version: encoded.type_version,
                hlc: 0,
                epoch: 7,
                at: self.now,
                command_id,
                meta: self.meta.clone(),
                data: encoded.data,
            });
        }
    }

    /// The attempt that waits or runs at a step.
    pub fn attempt(&self, step: &str) -> u32 {
        match self.state.run().and_then(|run| run.step(step)).map(|(_, step)| &step.status) {
            Some(
                StepStatus::Queued { attempt, .. }
                | StepStatus::Running { attempt, .. }
                | StepStatus::Waiting { attempt, .. },
            ) => *attempt,
            _ => 0,
        }
    }

    fn token(&self, step: &str) -> Token {
        match self.state.run().and_then(|run| run.step(step)).map(|(_, step)| &step.status) {
            Some(StepStatus::Running { lease, .. }) => lease.token,
            _ => Token { epoch: 0, nonce: 0 },
        }
    }

    pub fn grant(&mut self, step: &str) -> &mut Self {
        let attempt = self.attempt(step);
        let token = Token { epoch: 7, nonce: u64::from(attempt) << 8 | self.events.len() as u64 };
        let lease = Lease { token, until: self.now.plus_ms(30_000), worker: "node-1".to_owned() };
        self.tell(Command::Grant { step: step.to_owned(), attempt, lease, buckets: vec![] });
        self
    }

    pub fn finish(&mut self, step: &str, result: Result<StepOutput, Failure>) -> &mut Self {
        let (attempt, token) = (self.attempt(step), self.token(step));
        self.tell(Command::Finish {
            step: step.to_owned(),
            attempt,
            token,
            result,
            offer: None,
            tokens_free: false,
            at_once: false,
        });
        self
    }

    pub fn stale(&mut self, step: &str) -> &mut Self {
        let token = Token { epoch: 1, nonce: 1 };
        self.tell(Command::Finish {
            step: step.to_owned(),
            attempt: 1,
            token,
            result: Ok(draft()),
            offer: None,
            tokens_free: false,
            at_once: false,
        });
        self
    }

    pub fn expire(&mut self, step: &str) -> &mut Self {
        let (attempt, token, reason) = (self.attempt(step), self.token(step), "the worker is gone".to_owned());
        self.tell(Command::Expire { step: step.to_owned(), attempt, token, reason });
        self
    }

    pub fn retry(&mut self, step: &str) -> &mut Self {
        let attempt = self.attempt(step);
        self.tell(Command::RetryDue { step: step.to_owned(), attempt });
        self
    }

    pub fn cancel(&mut self) -> &mut Self {
        self.tell(Command::Cancel { reason: "asked to".to_owned() });
        self
    }
}

/// Two steps; `compose` fails once, is lost once, then is done by a model: the history most tests are about.
pub fn eventful() -> History {
    let mut it = History::created("eventful", &[("compose", Action::Compose {}), ("validate", Action::Validate {})]);
    it.after_ms(250).grant("compose");
    it.after_ms(1_000).finish("compose", Err(Failure::new(FailureClass::Transient, "503 from the model")));
    it.after_ms(4_000).retry("compose").after_ms(50).grant("compose");
    it.after_ms(30_000).expire("compose");
    it.after_ms(10).grant("compose").stale("compose");
    it.after_ms(2_500).finish("compose", Ok(draft()));
    it.after_ms(5).grant("validate");
    it.after_ms(20).finish("validate", Ok(StepOutput::Validated { warnings: vec![] }));
    it
}

/// A delivery that the run of [`eventful`] led to.
pub fn delivery() -> History {
    let mut it = History::of("delivery");
    it.after_ms(60_000);
    let root = run_id("eventful");
    it.create(&[("deliver", deliver())], root, Some(root));
    it.after_ms(3).grant("deliver");
    let receipt = Receipt { external_id: "1".to_owned(), external_url: None, detail: None };
    it.after_ms(120).finish("deliver", Ok(StepOutput::Receipt(receipt)));
    it
}

pub fn deliver() -> Action {
    let deliverable = DeliverableId::on_shard(derive("test deliverable", &[]), ShardId(5));
    Action::Deliver {
        destination: Destination::File { folder: "out".to_owned() },
        version_id: VersionId::of(deliverable, 3),
        title: "Weekly brief".to_owned(),
        text: text(),
        staged_at: START,
    }
}

pub fn text() -> Text {
    Text { digest: Digest("0".repeat(64)), bytes: 5, inline: Some("Hello".to_owned()) }
}

pub fn draft() -> StepOutput {
    let composer =
        Composer::Model { model: "m".to_owned(), prompt_tokens: 900, completion_tokens: 120, response_id: None };
    StepOutput::Draft(Draft { text: text(), composer, warnings: vec![] })
}

pub fn call() -> Action {
    let (url, method) = ("http://127.0.0.1/x".to_owned(), "POST".to_owned());
    Action::Call { url, method, headers: [].into(), body: None }
}

/// A step is done for each of three elements.
pub fn for_three() -> Flow {
    Flow { for_each: Some(serde_json::json!(["a", "b", "c"])), ..Flow::default() }
}

/// A person is asked behind a step.
pub fn asking() -> Flow {
    let option = |action: ApprovalAction| ApprovalOption {
        action,
        label: action.as_str().to_owned(),
        allows_modification: false,
        description: None,
    };
    let checkpoint = Checkpoint {
        question: "Send it?".to_owned(),
        options: ApprovalAction::ALL.map(option).to_vec(),
        advisory: false,
        assignee: None,
        group: None,
        severity: None,
        timeout_ms: None,
        on_timeout: OnTimeout::Abort,
    };
    Flow { checkpoint: Some(Box::new(checkpoint)), ..Flow::default() }
}

/// What a model said, as a step of a workflow keeps it.
pub fn said() -> StepOutput {
    let facts = [("model", "m"), ("prompt_tokens", "70"), ("completion_tokens", "7")];
    let facts = facts.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    StepOutput::Value(Outcome { facts, ..Outcome::of(serde_json::json!("hello")) })
}

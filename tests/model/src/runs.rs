//! Runs for the models: the smallest plans that have what a model is about.
//!
//! Owns: the plans. Refuses to know: what happens to them.

use std::sync::Arc;

use nightshift_domain::{
    content::{Digest, Failure, FailureClass},
    ids::{RunId, ShardId, UserId, derive},
    json::Json,
    run::{
        Action, CrashPolicy, Created, Flow, Jitter, Outcome, Plan, Reports, RetryPolicy, Shape, StepOutput, StepPlan,
        Subject, WorkflowRef,
    },
    time::Timestamp,
};

/// The delay before another attempt, in milliseconds.
pub const RETRY_MS: u64 = 1_000;

/// The run of every model.
#[must_use]
pub fn id() -> RunId {
    RunId::on_shard(derive("model run", &[]), ShardId(0))
}

/// A step that a worker does.
#[must_use]
pub fn work(id: &str, attempts_max: u32, crash: CrashPolicy) -> StepPlan {
    let action = Action::Agent { agent: "writer".to_owned(), mode: "CONVERSE".to_owned(), input: Json::Null };
    let retry = RetryPolicy {
        attempts_max,
        shape: Shape::Linear,
        initial_ms: RETRY_MS,
        multiplier_pct: 100,
        floor_ms: 0,
        cap_ms: RETRY_MS,
        jitter: Jitter::None,
    };
    step(id, action, retry, crash)
}

/// A step that the run does itself.
#[must_use]
pub fn set(id: &str, depends_on: &str) -> StepPlan {
    let action = Action::Set { value: Json::Null };
    let set = step(id, action, RetryPolicy::once(), CrashPolicy::Retry);
    StepPlan { depends_on: vec![depends_on.to_owned()], ..set }
}

/// A step with an action.
#[must_use]
pub fn step(id: &str, action: Action, retry: RetryPolicy, crash: CrashPolicy) -> StepPlan {
    let (depends_on, timeout_ms, optional, flow) = (Vec::new(), 60_000, false, Flow::default());
    StepPlan { id: id.to_owned(), action, depends_on, retry, timeout_ms, crash, optional, flow }
}

/// A run of these steps, for nobody.
#[must_use]
pub fn created(steps: Vec<StepPlan>, max_parallel: u16) -> Box<Created> {
    let workflow = WorkflowRef {
        definition: None,
        owner: "model".to_owned(),
        name: "check".to_owned(),
        version: "1".to_owned(),
        digest: Digest("0".repeat(64)),
    };
    let definition = "model/check@1".to_owned();
    let plan = Plan { definition, steps, max_parallel, output: None, reports: Reports::default() };
    Box::new(Created {
        id: None,
        plan: Arc::new(plan),
        subject: Subject::Workflow { workflow, title: "check".to_owned() },
        user: UserId::default(),
        priority: 100,
        reply_to: None,
        root: id(),
        parent: None,
        nominal: Timestamp(0),
        parameters: Json::Null,
        trigger: Json::Null,
        for_step: None,
        path: Vec::new(),
        reports: Reports::default(),
    })
}

/// What a worker made.
#[must_use]
pub fn made(value: Json) -> StepOutput {
    StepOutput::Value(Outcome::of(value))
}

/// What a worker failed with.
#[must_use]
pub fn failure(class: FailureClass) -> Failure {
    Failure { class, message: "no".to_owned(), status_code: None, retry_after_ms: None }
}

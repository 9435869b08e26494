//! Decider tables and properties of the definition.

mod slots;
mod starts;
mod table;
mod versions;

use std::{collections::BTreeMap, sync::Arc};

use serde_json::json;

use super::*;
use crate::{
    calendar::Schedule,
    decider::Duty,
    ids::{StreamId, TopicId, UserId},
    json::Json,
    run::{self, Action, CrashPolicy, End, Flow, Jitter, Plan, RetryPolicy, Shape, StepPlan},
    streams::AnyCommand,
    testing::{Given, SHARDS, at, every, given, text},
};

type Definitions = Given<DefinitionDecider>;

fn definition() -> DefinitionId {
    DefinitionId::of("team", "daily", SHARDS)
}

fn unborn() -> Definitions {
    given(definition().stream(), [])
}

fn user(name: &str) -> UserId {
    UserId(name.to_owned())
}

fn step(id: &str, depends_on: &[&str]) -> StepPlan {
    let retry = RetryPolicy {
        attempts_max: 1,
        shape: Shape::Linear,
        initial_ms: 1,
        multiplier_pct: 100,
        floor_ms: 1,
        cap_ms: 1,
        jitter: Jitter::None,
    };
    StepPlan {
        id: id.to_owned(),
        action: Action::Set { value: json!(1) },
        depends_on: depends_on.iter().map(|id| (*id).to_owned()).collect(),
        retry,
        timeout_ms: 1_000,
        crash: CrashPolicy::Retry,
        optional: false,
        flow: Flow::default(),
    }
}

fn plan(steps: Vec<StepPlan>) -> Arc<Plan> {
    Arc::new(Plan {
        definition: "team/daily".to_owned(),
        steps,
        max_parallel: 1,
        output: None,
        reports: run::Reports::default(),
    })
}

fn parameter(name: &str, kind: ParameterKind) -> Parameter {
    Parameter { name: name.to_owned(), kind, required: true, default: None, one_of: vec![], description: None }
}

fn document(version: &str, triggers: Vec<Trigger>) -> Document {
    let source = text(&format!("{version} {triggers:?}"));
    Document {
        owner: "team".to_owned(),
        name: "daily".to_owned(),
        version: version.to_owned(),
        display_name: "Daily".to_owned(),
        description: String::new(),
        parameters: vec![],
        triggers,
        plan: plan(vec![step("a", &[]), step("b", &["a"])]),
        priority: 7,
        source,
    }
}

fn timer(schedule: Schedule) -> Trigger {
    Trigger::Schedule { schedule, parameters: json!({}) }
}

fn hears(types: &[&str]) -> Trigger {
    Trigger::Event { types: types.iter().map(|name| (*name).to_owned()).collect(), parameters: Json::Null }
}

fn register(document: Document) -> Command {
    Command::Register { document: Arc::new(document), user: user("ann"), activate: true }
}

fn keep(document: Document) -> Command {
    Command::Register { document: Arc::new(document), user: user("bob"), activate: false }
}

fn activate(version: &str) -> Command {
    Command::Activate { version: version.to_owned() }
}

fn deprecate(version: &str) -> Command {
    Command::Deprecate { version: version.to_owned() }
}

fn archive(version: &str) -> Command {
    Command::Archive { version: version.to_owned() }
}

fn done() -> End {
    End::Completed { outputs: BTreeMap::new() }
}

/// What is owed to streams of other kinds, in the order in which it was opened.
fn told(given: &Definitions, prefix: &str) -> Vec<(StreamId, AnyCommand)> {
    let told = given.ledger.with(prefix).into_iter().map(|open| match &open.duty {
        Duty::Tell { to, command } => (*to, (**command).clone()),
        other => panic!("nothing but tellings: {other:?}"),
    });
    told.collect()
}

/// The shell closes what it delivered.
fn delivered(mut given: Definitions) -> Definitions {
    given.ledger.open.clear();
    given
}

//! Workflows through the real tree: every kind of step, one run for all, and what a restart in the middle means.
//!
//! Owns: that what streams owe each other arrives. What a run decides is tested in the domain.

mod support;

use nightshift_actors::{audit::compare_rows, system::System};
use nightshift_domain::{
    content::FailureClass,
    ids::{RunId, StreamKind, TopicId, UserId},
    run::{self, Answer, ApprovalAction, ApprovalId, StepStatus},
    topic::{self, Published},
};
use serde_json::{Value, json};
use support::{MONDAY_8, Stage, begin, failure, named, progress, register};

const ALL: &str = r#"
name: all
parameters: [{name: order, type: string, required: true}]
steps:
  - {id: note, set: {order: "{{ order }}", items: [1, 2, 3]}}
  - {id: nap, sleep: 10m, depends_on: note}
  - {id: paid, wait_for_event: {event: paid, correlation: "{{ steps.note.order }}"}, depends_on: nap}
  - {id: check, approval: {question: "Ship {{ steps.paid.payload.amount }}?"}, depends_on: paid}
  - {id: child, orchestration: {owner: ops, name: child, parameters: {amount: "{{ steps.paid.payload.amount }}"}}, depends_on: check}
  - {id: each, call: "/agents/each/{{ item }}", for_each: "{{ steps.note.items }}", depends_on: child}
  - {id: agent, agent: writer, input: {userMessage: "{{ steps.child.double }}"}, depends_on: each}
  - {id: prog, process: [render, "{{ order }}"], depends_on: each}
  - {id: ask, llm: {prompt: "Rate {{ steps.agent.did }}"}, depends_on: [agent, prog], when: "steps.agent.did == 'agent'"}
  - {id: never, llm: {prompt: no}, depends_on: ask, when: "size(steps.each) > 3"}
finally:
  - {id: clear, call: /agents/clear}
output: {asked: "{{ steps.ask.did }}", each: "{{ steps.each }}"}
"#;

const CHILD: &str = r#"
name: child
parameters: [{name: amount, type: integer, required: true}]
steps:
  - {id: write, call: "/agents/write/{{ amount }}"}
output: {double: "{{ amount }} {{ amount }}"}
"#;

async fn publish(system: &System, id: &str, correlation: &str) {
    let topic = TopicId::of("paid", 4);
    let event = Published {
        id: id.to_owned(),
        user: UserId::default(),
        correlation: Some(correlation.to_owned()),
        intent_id: None,
        payload: json!({"amount": 5}),
    };
    let command = topic::Command::Publish { event_type: "paid".to_owned(), event: Box::new(event) };
    system.submit(topic.stream(), command, (named(id), "test")).await.unwrap();
    system.settled().await;
}

async fn answer(system: &System, run: RunId, step: &str, action: ApprovalAction) {
    let answer = Answer {
        approval: ApprovalId::of(run, step, 1),
        action,
        by: "ada".to_owned(),
        note: None,
        modifications: None,
        digest: None,
    };
    let command = run::Command::Answer(Box::new(answer));
    system.submit(run.stream(), command, (named("answer"), "test")).await.unwrap();
    system.settled().await;
}

/// The first step that has not come to an end, and its state.
async fn waits_at(system: &System, run: RunId) -> Option<(String, &'static str)> {
    let (_, steps) = progress(system, run).await;
    steps.into_iter().find(|(_, status)| !["completed", "skipped", "dead"].contains(status))
}

#[track_caller]
fn at(step: &str, status: &'static str) -> Option<(String, &'static str)> {
    Some((step.to_owned(), status))
}

async fn result(system: &System, run: RunId) -> Value {
    let question = |state: &run::State, _| match state {
        run::State::Over(_, run::End::Completed { outputs }) => {
            outputs.iter().map(|(name, output)| (name.clone(), run::value_of(output))).collect()
        }
        _ => Value::Null,
    };
    system.ask(run.stream(), question).await.unwrap()
}

async fn check_books(stage: &Stage) {
    let mut rows = 0;
    let faults = compare_rows(&*stage.store, &*stage.store, |compared| rows = compared).await.unwrap();
    assert!(faults.is_empty() && rows > 5, "{rows} rows, {faults:?}");
}

/// Goes through every kind of step. `restart`: the system is ended and started again at each wait.
async fn through_all(restart: bool) {
    let mut stage = Stage::new();
    let mut system = stage.start().await;
    macro_rules! again {
        () => {
            if restart {
                system.stop().await;
                system = stage.start().await;
                system.settled().await;
            }
        };
    }
    register(&system, CHILD).await;
    let all = register(&system, ALL).await;
    let run = begin(&system, all, ("run", "ann"), json!({"order": "o1"})).await;
    system.settled().await;
    again!();
    assert_eq!(waits_at(&system, run).await, at("nap", "running"));
    stage.at(&system, MONDAY_8.plus_ms(599_999)).await;
    assert_eq!(waits_at(&system, run).await, at("nap", "running"));
    stage.at(&system, MONDAY_8.plus_ms(600_000)).await;
    assert_eq!(waits_at(&system, run).await, at("paid", "running"));
    again!();
    publish(&system, "e1", "o2").await;
    assert_eq!(waits_at(&system, run).await, at("paid", "running"), "an event about something else");
    publish(&system, "e2", "o1").await;
    assert_eq!(waits_at(&system, run).await, at("check", "checkpoint"));
    assert!(stage.world.begun().is_empty(), "no worker was needed so far");
    again!();
    answer(&system, run, "check", ApprovalAction::Continue).await;
    let (end, steps) = progress(&system, run).await;
    assert_eq!(end, "completed", "{steps:?}");
    assert_eq!(steps.iter().filter(|(_, status)| *status == "skipped").count(), 1, "{steps:?}");
    let mut did: Vec<String> = stage.world.acted.lock().unwrap().iter().map(|act| act.step.clone()).collect();
    assert_eq!(did.first().map(String::as_str), Some("write"), "the child goes first");
    assert_eq!(did.last().map(String::as_str), Some("clear"));
    did.sort();
    assert_eq!(did, ["agent", "ask", "clear", "each[0]", "each[1]", "each[2]", "prog", "write"]);
    let told = result(&system, run).await;
    assert_eq!((&told["asked"], told["each"].as_array().map(Vec::len)), (&json!("ask"), Some(3)), "{told}");
    check_books(&stage).await;
}

#[tokio::test]
async fn every_kind_of_step_goes_through_the_tree() {
    through_all(false).await;
}

#[tokio::test]
async fn what_waits_is_found_again_after_a_restart() {
    through_all(true).await;
}

#[tokio::test]
async fn a_failure_of_each_stream_supervisor_keeps_what_waits() {
    for kind in [StreamKind::Run, StreamKind::Definition, StreamKind::Topic] {
        let mut stage = Stage::new();
        let system = stage.start().await;
        register(&system, CHILD).await;
        let all = register(&system, ALL).await;
        let run = begin(&system, all, ("run", "ann"), json!({"order": "o1"})).await;
        system.settled().await;
        stage.at(&system, MONDAY_8.plus_ms(600_000)).await;
        system.context().router().fail(kind);
        support::idle().await;
        publish(&system, "e2", "o1").await;
        system.context().router().fail(kind);
        support::idle().await;
        answer(&system, run, "check", ApprovalAction::Continue).await;
        assert_eq!(progress(&system, run).await.0, "completed", "{kind:?}");
        check_books(&stage).await;
    }
}

/// A retry keeps its key; a child that is no more needed is stopped with its parent.
#[tokio::test]
async fn a_retry_keeps_its_key_and_a_cancelled_run_takes_its_child_along() {
    let mut stage = Stage::new();
    let system = stage.start().await;
    let child = "name: child\nsteps:\n  - {id: a, llm: {prompt: x}, retry: {max_attempts: 2, base_ms: 1000}}\n  - {id: nap, sleep: 1d, depends_on: a}\n";
    register(&system, child).await;
    let parent =
        register(&system, "name: parent\nsteps:\n  - {id: c, orchestration: {owner: ops, name: child}}\n").await;
    stage.world.act_failures.lock().unwrap().push(failure(FailureClass::Transient));
    let run = begin(&system, parent, ("run", "ann"), json!({})).await;
    system.settled().await;
    stage.at(&system, MONDAY_8.plus_ms(60_000)).await;
    let acts = stage.world.acted.lock().unwrap().clone();
    assert_eq!(acts.iter().map(|act| act.attempt).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(acts[0].key, acts[1].key);
    let child = acts[0].run;
    assert_eq!(waits_at(&system, child).await, at("nap", "running"));
    let cancel = run::Command::Cancel { reason: "no more".to_owned() };
    system.submit(run.stream(), cancel, (named("cancel"), "test")).await.unwrap();
    system.settled().await;
    for run in [run, child] {
        assert_eq!(progress(&system, run).await.0, "cancelled");
    }
    check_books(&stage).await;
}

/// A value over the limit of events is kept beside them and brought back for the step that wants it.
#[tokio::test]
async fn a_value_too_large_for_an_event_reaches_later_steps() {
    let mut stage = Stage::new();
    let system = stage.start().await;
    let large = "x".repeat(64 * 1024);
    let flow = "name: large\nparameters: [{name: text, type: string}]\nsteps:\n  - {id: a, llm: {prompt: x}, output: {text: \"$.text\"}}\n  - {id: b, process: {command: [echo], input: {text: \"{{ steps.a.text }}\"}}, depends_on: a}\n";
    let flow = register(&system, flow).await;
    *stage.world.answer.lock().unwrap() = Some(json!({"text": large}));
    let run = begin(&system, flow, ("run", "ann"), json!({})).await;
    system.settled().await;
    assert_eq!(progress(&system, run).await.0, "completed");
    let kept = |state: &run::State, _| match &state.run().unwrap().steps[0].status {
        StepStatus::Completed { output } => matches!(&**output, run::StepOutput::Value(made) if made.kept.is_some()),
        _ => false,
    };
    assert!(system.ask(run.stream(), kept).await.unwrap(), "it is not in the event");
    let acts = stage.world.acted.lock().unwrap().clone();
    let run::Action::Process { input, .. } = &acts[1].action else { panic!("{:?}", acts[1].action) };
    assert_eq!(input["text"].as_str().map(str::len), Some(64 * 1024));
    check_books(&stage).await;
}

/// The worker's own bound was that of the performer and won: the class of a slow agent was always a plain time-out.
#[tokio::test]
async fn what_a_performer_says_of_its_time_is_recorded_before_the_worker_gives_it_up() {
    for (later_ms, expected) in [(1_000, FailureClass::Permanent), (30_000, FailureClass::Timeout)] {
        let mut stage = Stage::new();
        let system = stage.start().await;
        let flow = register(
            &system,
            "name: slow\nsteps:\n  - {id: a, llm: {prompt: x}, timeout: 60s, retry: {max_attempts: 1}}\n",
        )
        .await;
        let gate = stage.world.close_gate();
        stage.world.act_failures.lock().unwrap().push(failure(FailureClass::Permanent));
        let run = begin(&system, flow, ("run", "ann"), json!({})).await;
        while stage.world.begun().is_empty() {
            tokio::task::yield_now().await;
        }
        stage.clock.set(MONDAY_8.plus_ms(60_000 + later_ms));
        support::idle().await;
        gate.add_permits(1);
        system.settled().await;
        let class = |state: &run::State, _| match state {
            run::State::Over(_, run::End::Failed { failure, .. }) => Some(failure.class),
            _ => None,
        };
        assert_eq!(system.ask(run.stream(), class).await.unwrap(), Some(expected), "{later_ms} ms later");
    }
}

/// So is one that another run gave.
#[tokio::test]
async fn a_large_value_of_another_run_reaches_later_steps() {
    let mut stage = Stage::new();
    let system = stage.start().await;
    register(&system, "name: child\nsteps:\n  - {id: a, llm: {prompt: x}}\n").await;
    let parent = "name: parent\nsteps:\n  - {id: c, orchestration: {owner: ops, name: child}}\n  - {id: b, process: {command: [echo], input: {text: \"{{ steps.c.results.a.text }}\"}}, depends_on: c}\n";
    let parent = register(&system, parent).await;
    *stage.world.answer.lock().unwrap() = Some(json!({"text": "x".repeat(64 * 1024)}));
    let run = begin(&system, parent, ("run", "ann"), json!({})).await;
    system.settled().await;
    assert_eq!(progress(&system, run).await.0, "completed");
    let acts = stage.world.acted.lock().unwrap().clone();
    let run::Action::Process { input, .. } = &acts[1].action else { panic!("{:?}", acts[1].action) };
    assert_eq!(input["text"].as_str().map(str::len), Some(64 * 1024));
    check_books(&stage).await;
}

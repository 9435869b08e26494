//! Places, limits and turns of the queue, through the real tree.
//!
//! Owns: what each limit does to steps that wait. The order itself and the buckets have tables of their own beside the
//! code.

mod support;

use std::{collections::HashMap, sync::Arc, sync::atomic::Ordering};

use nightshift_actors::{
    context::Settings,
    faults::NoFaults,
    queue::{
        HeldBy,
        limits::{Limits, Named, Rate},
    },
    system::System,
};
use nightshift_domain::ids::{DefinitionId, RunId};
use nightshift_ports::log::EventLog;
use serde_json::json;
use support::{MONDAY_8, Stage, begin, idle, progress, register};

/// One step that asks an agent.
const WRITER: &str = "name: writer\nsteps:\n  - {id: a, call: /agents/writer/do}\n";

fn rates(pairs: &[(&str, f64, f64)]) -> HashMap<String, Rate> {
    let rate = |(key, capacity, refill_per_s): &(&str, f64, f64)| {
        ((*key).to_owned(), Rate { capacity: *capacity, refill_per_s: *refill_per_s })
    };
    pairs.iter().map(rate).collect()
}

fn limited(limits: Limits) -> Settings {
    Settings { limits, ..Settings::default() }
}

async fn started(limits: Limits) -> (Stage, System) {
    let mut stage = Stage::new();
    let system = stage.start_with(Arc::new(NoFaults), limited(limits)).await;
    (stage, system)
}

async fn begin_all(system: &System, of: DefinitionId, user: &str, count: usize) -> Vec<RunId> {
    let mut runs = Vec::new();
    for nth in 0..count {
        runs.push(begin(system, of, (&format!("{user}-{nth}"), user), json!({})).await);
    }
    idle().await;
    runs
}

/// What holds back those that wait.
async fn held(system: &System) -> Vec<Option<HeldBy>> {
    system.queue().await.waiting.into_iter().map(|waiting| waiting.held_by).collect()
}

#[tokio::test]
async fn defect_4_7_6_a_bucket_holds_back_and_lets_go_at_the_instant_of_the_next_token() {
    let rates = rates(&[("global:agent:writer", 2.0, 0.5)]);
    let (stage, system) = started(Limits { rates, ..Limits::default() }).await;
    let writer = register(&system, WRITER).await;
    let _ = begin_all(&system, writer, "ann", 4).await;
    assert_eq!(stage.world.begun().len(), 2);
    let by = Some(HeldBy::Rate("global:agent:writer".to_owned()));
    assert_eq!(held(&system).await, vec![by.clone(), by]);
    for (ms, begun) in [(1_999, 2), (2_000, 3), (3_999, 3), (4_000, 4)] {
        stage.clock.set(MONDAY_8.plus_ms(ms));
        idle().await;
        assert_eq!(stage.world.begun().len(), begun, "after {ms} ms");
    }
    system.settled().await;
}

#[tokio::test]
async fn a_key_lets_one_through_at_a_time_and_wakes_the_next() {
    let (stage, system) = started(Limits::default()).await;
    let gate = stage.world.close_gate();
    let keyed = "name: keyed\nsteps:\n  - {id: a, llm: {prompt: x}, concurrency_key: \"db-{{ run.id }}\"}\n";
    let keyed = register(&system, &keyed.replace("-{{ run.id }}", "")).await;
    let runs = begin_all(&system, keyed, "ann", 3).await;
    for done in 0..3 {
        assert_eq!(stage.world.begun().len(), done + 1);
        let by = Some(HeldBy::Place(Named::Key("db".to_owned())));
        assert_eq!(held(&system).await, vec![by; 2 - done]);
        gate.add_permits(1);
        idle().await;
    }
    system.settled().await;
    for run in runs {
        assert_eq!(progress(&system, run).await.0, "completed");
    }
    assert_eq!(stage.world.acting_most.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn one_that_is_held_back_holds_back_no_other_and_new_limits_wake_it() {
    let closed = Limits { rates: rates(&[("global:agent:writer", 1.0, 0.0)]), ..Limits::default() };
    let (stage, system) = started(closed).await;
    let keyed =
        |name: &str| format!("name: {name}\nsteps:\n  - {{id: a, call: /agents/{name}/do, concurrency_key: one}}\n");
    let (writer, reader) = (register(&system, &keyed("writer")).await, register(&system, &keyed("reader")).await);
    let _ = begin_all(&system, writer, "ann", 2).await;
    assert_eq!(stage.world.begun().len(), 1);
    let _ = begin_all(&system, reader, "bob", 2).await;
    assert_eq!(stage.world.begun().len(), 3, "neither the bucket nor the key is kept from others");
    assert_eq!(held(&system).await, vec![Some(HeldBy::Rate("global:agent:writer".to_owned()))]);
    system.context().set_limits(Limits::default());
    system.settled().await;
    assert_eq!(stage.world.begun().len(), 4);
}

#[tokio::test]
async fn a_queue_has_its_places_and_others_have_theirs() {
    let queues = [("slow".to_owned(), 2)].into();
    let (stage, system) = started(Limits { queues, ..Limits::default() }).await;
    let gate = stage.world.close_gate();
    let slow = register(&system, "name: slow\nsteps:\n  - {id: a, llm: {prompt: x}, queue: slow}\n").await;
    let fast = register(&system, "name: fast\nsteps:\n  - {id: a, llm: {prompt: x}}\n").await;
    let _ = begin_all(&system, slow, "ann", 4).await;
    assert_eq!(stage.world.begun().len(), 2);
    let _ = begin_all(&system, fast, "bob", 3).await;
    assert_eq!(stage.world.begun().len(), 5);
    gate.add_permits(7);
    system.settled().await;
    assert_eq!(stage.world.begun().len(), 7);
}

#[tokio::test]
async fn a_user_with_many_jobs_delays_others_by_a_turn() {
    let mut stage = Stage::new();
    let settings = Settings { concurrency: 1, ..Settings::default() };
    let system = stage.start_with(Arc::new(NoFaults), settings).await;
    let gate = stage.world.close_gate();
    let one = register(&system, "name: one\nsteps:\n  - {id: a, llm: {prompt: x}}\n").await;
    let _ = begin_all(&system, one, "many", 50).await;
    let few = begin_all(&system, one, "few", 2).await;
    gate.add_permits(52);
    system.settled().await;
    let order = stage.world.begun();
    let turns: Vec<usize> =
        few.iter().map(|run| order.iter().position(|begun| begun == run).expect("it went")).collect();
    assert_eq!((order.len(), turns), (52, vec![2, 4]), "one was under way, then they take turns");
}

/// The order in which steps go, as `run:step`, of two runs with two steps and one of somebody who waits.
async fn order_with(waiting: &str) -> Vec<String> {
    let mut stage = Stage::new();
    let settings = Settings { concurrency: 1, ..Settings::default() };
    let system = stage.start_with(Arc::new(NoFaults), settings).await;
    let gate = stage.world.close_gate();
    let chain = "name: chain\nsteps:\n  - {id: a, llm: {prompt: x}}\n  - {id: b, llm: {prompt: y}, depends_on: a}\n";
    let chain = register(&system, chain).await;
    let first = begin(&system, chain, ("first", "ann"), json!({})).await;
    idle().await;
    let _ = begin(&system, chain, ("second", waiting), json!({})).await;
    idle().await;
    gate.add_permits(4);
    system.settled().await;
    let acted = stage.world.acted.lock().unwrap().clone();
    let word = |run| if run == first { "first" } else { "second" };
    acted.iter().map(|act| format!("{}:{}", word(act.run), act.step)).collect()
}

#[tokio::test]
async fn a_place_stays_with_its_run_unless_another_user_waits() {
    assert_eq!(order_with("ann").await, ["first:a", "first:b", "second:a", "second:b"]);
    assert_eq!(order_with("bob").await, ["first:a", "second:a", "first:b", "second:b"]);
}

/// The place of an attempt that ends serves the next one of its run, and counts once while it changes hands.
#[tokio::test]
async fn with_a_place_for_each_run_no_step_waits_when_all_end_at_once() {
    let mut stage = Stage::new();
    let settings = Settings { concurrency: 3, ..Settings::default() };
    let system = stage.start_with(Arc::new(NoFaults), settings).await;
    let gate = stage.world.close_gate();
    let chain = "name: chain\nsteps:\n  - {id: a, llm: {prompt: x}}\n  - {id: b, llm: {prompt: y}, depends_on: a}\n";
    let chain = register(&system, chain).await;
    let runs = begin_all(&system, chain, "ann", 3).await;
    assert_eq!((stage.world.begun().len(), system.queue().await.taken), (3, 3));
    gate.add_permits(3);
    idle().await;
    let view = system.queue().await;
    assert_eq!((stage.world.begun().len(), view.taken, view.waiting.len()), (6, 3, 0));
    gate.add_permits(3);
    system.settled().await;
    assert_eq!(system.queue().await.taken, 0);
    for run in runs {
        let told = stage.store.read_stream(run.stream(), 0, 100).await.expect("read");
        assert!(told.iter().all(|event| event.event_type != "run.step_queued"), "{told:?}");
    }
}

#[tokio::test]
async fn a_queue_that_failed_knows_again_who_holds_a_named_place() {
    let (stage, system) = started(Limits::default()).await;
    let gate = stage.world.close_gate();
    let keyed = "name: keyed\nsteps:\n  - {id: a, llm: {prompt: x}, concurrency_key: db}\n";
    let keyed = register(&system, keyed).await;
    let runs = begin_all(&system, keyed, "ann", 2).await;
    assert_eq!(stage.world.begun().len(), 1);
    system.context().queue.fail();
    idle().await;
    let view = system.queue().await;
    assert_eq!((stage.world.begun().len(), view.taken, view.waiting.len()), (1, 1, 1));
    gate.add_permits(1);
    idle().await;
    assert_eq!(stage.world.begun().len(), 2, "the place is given back");
    gate.add_permits(1);
    system.settled().await;
    for run in runs {
        assert_eq!(progress(&system, run).await.0, "completed");
    }
}

#[tokio::test]
async fn a_token_that_one_cannot_use_goes_to_the_next() {
    let rates = rates(&[("global:agent:writer", 1.0, 0.5)]);
    let (stage, system) = started(Limits { rates, ..Limits::default() }).await;
    let writer = register(&system, WRITER).await;
    let keyed = "name: keyed\nsteps:\n  - {id: a, call: /agents/writer/do, concurrency_key: db}\n";
    let keyed = register(&system, keyed).await;
    let holder = register(&system, "name: holder\nsteps:\n  - {id: a, llm: {prompt: x}, concurrency_key: db}\n").await;
    let _ = begin_all(&system, writer, "cat", 1).await;
    let _ = begin_all(&system, keyed, "ann", 1).await;
    let last = begin_all(&system, writer, "bob", 1).await;
    let by = Some(HeldBy::Rate("global:agent:writer".to_owned()));
    assert_eq!(held(&system).await, vec![by.clone(), by]);
    let gate = stage.world.close_gate();
    let _ = begin_all(&system, holder, "dan", 1).await;
    stage.clock.advance_ms(2_000);
    idle().await;
    assert_eq!(stage.world.begun().last(), Some(&last[0]), "ann's step waits for the key, the token is for bob's");
    assert_eq!(held(&system).await, vec![Some(HeldBy::Place(Named::Key("db".to_owned())))]);
    gate.add_permits(10);
    idle().await;
    stage.clock.advance_ms(2_000);
    system.settled().await;
}

#[tokio::test]
async fn the_default_queue_may_be_limited_as_well() {
    let queues = [("default".to_owned(), 1)].into();
    let (stage, system) = started(Limits { queues, ..Limits::default() }).await;
    let two = "name: two\nsteps:\n  - {id: a, llm: {prompt: x}}\n  - {id: b, llm: {prompt: x}, depends_on: a}\n";
    let two = register(&system, two).await;
    let gate = stage.world.close_gate();
    let _ = begin_all(&system, two, "ann", 3).await;
    for _ in 0..6 {
        gate.add_permits(1);
        idle().await;
    }
    system.settled().await;
    assert_eq!((stage.world.begun().len(), stage.world.acting_most.load(Ordering::SeqCst)), (6, 1));
}

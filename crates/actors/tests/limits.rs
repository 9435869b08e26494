//! Limits that are set and queues that are paused while the system runs, and over a restart.
//!
//! Owns: that what people set reaches the queue at once, and counts before anything is granted after a start.

mod support;

use std::{collections::HashMap, sync::Arc};

use nightshift_actors::{
    context::Settings,
    envelope::NotDone,
    faults::NoFaults,
    queue::{
        HeldBy,
        limits::{Limits, Named, Rate},
    },
    system::System,
};
use nightshift_domain::{
    ids::{DefinitionId, QueueId, RunId},
    queue::{Command, Limit},
    run::Asked,
};
use serde_json::json;
use support::{MONDAY_8, Stage, begin, idle, named, register};

const WRITER: &str = "name: writer\nsteps:\n  - {id: a, call: /agents/writer/do}\n";
const SLOW: &str = "name: slow\nsteps:\n  - {id: a, llm: {prompt: x}, queue: slow}\n";
const CHAIN: &str =
    "name: chain\nsteps:\n  - {id: a, llm: {prompt: x}}\n  - {id: b, llm: {prompt: y}, depends_on: a}\n";

fn by(note: &str) -> Asked {
    Asked { by: "ann".to_owned(), note: note.to_owned() }
}

async fn ask(system: &System, name: &str, command: Command) -> Result<(), NotDone> {
    system.submit(QueueId::the().stream(), command, (named(name), "test")).await.map(|_| idle())?.await;
    Ok(())
}

fn set(key: &str, limit: Limit) -> Command {
    Command::SetLimit { key: key.to_owned(), limit, by: by("") }
}

fn pause(queue: Option<&str>) -> Command {
    Command::Pause { queue: queue.map(str::to_owned), by: by("repair") }
}

fn resume(queue: Option<&str>) -> Command {
    Command::Resume { queue: queue.map(str::to_owned), by: by("") }
}

async fn begin_all(system: &System, of: DefinitionId, name: &str, count: usize) -> Vec<RunId> {
    let mut runs = Vec::new();
    for nth in 0..count {
        runs.push(begin(system, of, (&format!("{name}-{nth}"), "ann"), json!({})).await);
    }
    idle().await;
    runs
}

async fn held(system: &System) -> Vec<Option<HeldBy>> {
    system.queue().await.waiting.into_iter().map(|waiting| waiting.held_by).collect()
}

fn slow_at_most(places: usize) -> Settings {
    let queues = [("slow".to_owned(), places)].into();
    Settings { limits: Limits { queues, ..Limits::default() }, ..Settings::default() }
}

fn writer_at(capacity: f64, refill_per_s: f64) -> Settings {
    let rates = HashMap::from([("global:agent:writer".to_owned(), Rate { capacity, refill_per_s })]);
    Settings { limits: Limits { rates, ..Limits::default() }, ..Settings::default() }
}

#[tokio::test]
async fn a_limit_that_is_set_counts_at_once_and_after_a_restart_until_it_is_cleared() {
    let mut stage = Stage::new();
    let system = stage.start_with(Arc::new(NoFaults), slow_at_most(1)).await;
    let _gate = stage.world.close_gate();
    let slow = register(&system, SLOW).await;
    let _ = begin_all(&system, slow, "first", 5).await;
    assert_eq!(stage.world.begun().len(), 1, "the file counts");
    ask(&system, "set", set("queue:slow", Limit::Places { places: 3 })).await.unwrap();
    assert_eq!(stage.world.begun().len(), 3, "it is heard of at once");
    let by = Some(HeldBy::Place(Named::Queue("slow".to_owned())));
    assert_eq!(held(&system).await, vec![by; 2]);
    system.stop().await;
    stage.world.acted.lock().unwrap().clear();
    let system = stage.start_with(Arc::new(NoFaults), slow_at_most(1)).await;
    idle().await;
    assert_eq!(stage.world.begun().len(), 3, "it counts after a restart, not the file");
    let clear = Command::ClearLimit { key: "queue:slow".to_owned(), by: self::by("") };
    ask(&system, "clear", clear.clone()).await.unwrap();
    assert_eq!(system.context().limits().queues["slow"], 1);
    let refused = ask(&system, "clear again", clear).await;
    assert!(matches!(refused, Err(NotDone::Rejected { .. })), "{refused:?}");
}

#[tokio::test]
async fn fewer_places_take_effect_as_steps_end_also_within_a_run() {
    let mut stage = Stage::new();
    let system = stage.start().await;
    let gate = stage.world.close_gate();
    let chain = register(&system, CHAIN).await;
    let _ = begin_all(&system, chain, "run", 3).await;
    assert_eq!(stage.world.begun().len(), 3);
    ask(&system, "set", set("concurrency", Limit::Places { places: 1 })).await.unwrap();
    gate.add_permits(2);
    idle().await;
    let view = system.queue().await;
    assert_eq!((view.taken, view.places, view.waiting.len()), (1, 1, 2), "no place is kept for the next step");
    gate.add_permits(4);
    system.settled().await;
    assert_eq!(stage.world.begun().len(), 6);
}

#[tokio::test]
async fn a_limit_of_the_queue_of_all_others_holds_for_the_next_steps_of_a_run_too() {
    let mut stage = Stage::new();
    let system = stage.start().await;
    let gate = stage.world.close_gate();
    ask(&system, "set", set("queue:default", Limit::Places { places: 2 })).await.unwrap();
    let chain = register(&system, CHAIN).await;
    let _ = begin_all(&system, chain, "run", 4).await;
    for done in 1..=8 {
        gate.add_permits(1);
        idle().await;
        assert!(system.queue().await.taken <= 2, "after {done}");
    }
    system.settled().await;
    assert_eq!(stage.world.acting_most.load(std::sync::atomic::Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_paused_queue_is_given_nothing_until_it_is_resumed_and_others_go() {
    let mut stage = Stage::new();
    let system = stage.start().await;
    let (slow, chain) = (register(&system, SLOW).await, register(&system, CHAIN).await);
    ask(&system, "pause", pause(Some("slow"))).await.unwrap();
    let _ = begin_all(&system, slow, "slow", 2).await;
    let _ = begin_all(&system, chain, "chain", 1).await;
    system.settled().await;
    assert_eq!(stage.world.begun().len(), 2, "both steps of the other, and nobody waits for what is paused");
    assert_eq!(held(&system).await, vec![Some(HeldBy::Pause(Some("slow".to_owned()))); 2]);
    system.stop().await;
    let system = stage.start().await;
    system.settled().await;
    assert_eq!(stage.world.begun().len(), 2, "nothing is granted before it is known what is paused");
    ask(&system, "resume", resume(Some("slow"))).await.unwrap();
    system.settled().await;
    assert_eq!(stage.world.begun().len(), 4);
}

#[tokio::test]
async fn all_queues_are_paused_and_no_place_is_kept_for_the_next_step() {
    let mut stage = Stage::new();
    let system = stage.start().await;
    let gate = stage.world.close_gate();
    let chain = register(&system, CHAIN).await;
    let _ = begin_all(&system, chain, "run", 1).await;
    ask(&system, "pause", pause(None)).await.unwrap();
    gate.add_permits(2);
    system.settled().await;
    assert_eq!(stage.world.begun().len(), 1, "what ran goes on, what follows waits");
    assert_eq!(held(&system).await, vec![Some(HeldBy::Pause(None))]);
    ask(&system, "resume", resume(None)).await.unwrap();
    system.settled().await;
    assert_eq!(stage.world.begun().len(), 2);
}

#[tokio::test]
async fn a_bucket_gives_no_more_over_a_restart_than_it_would_have_given() {
    for failed in [false, true] {
        let mut stage = Stage::new();
        let mut system = stage.start_with(Arc::new(NoFaults), writer_at(2.0, 0.5)).await;
        let writer = register(&system, WRITER).await;
        let _ = begin_all(&system, writer, "run", 5).await;
        assert_eq!(stage.world.begun().len(), 2);
        stage.clock.set(MONDAY_8.plus_ms(1_000));
        if failed {
            system.context().queue.fail();
        } else {
            system.stop().await;
            system = stage.start_with(Arc::new(NoFaults), writer_at(2.0, 0.5)).await;
        }
        idle().await;
        for (ms, begun) in [(1_000, 2), (1_999, 2), (2_000, 3), (3_999, 3), (4_000, 4), (6_000, 5)] {
            stage.clock.set(MONDAY_8.plus_ms(ms));
            idle().await;
            assert_eq!(stage.world.begun().len(), begun, "after {ms} ms");
        }
        system.settled().await;
    }
}

#[tokio::test]
async fn a_bucket_nobody_asked_for_long_is_full_after_a_restart() {
    let mut stage = Stage::new();
    let system = stage.start_with(Arc::new(NoFaults), writer_at(2.0, 0.5)).await;
    let writer = register(&system, WRITER).await;
    let _ = begin_all(&system, writer, "first", 2).await;
    system.settled().await;
    system.stop().await;
    stage.clock.set(MONDAY_8.plus_ms(4_000));
    let system = stage.start_with(Arc::new(NoFaults), writer_at(2.0, 0.5)).await;
    let _ = begin_all(&system, writer, "second", 3).await;
    assert_eq!(stage.world.begun().len(), 4);
}

//! A crash of each kind of actor, at each point, in the middle of the pipeline: the system goes on, nothing is lost and
//! nothing is done twice.

mod support;

use std::{
    collections::HashSet,
    pin::pin,
    sync::{Arc, atomic::Ordering},
};

use nightshift_actors::{
    context::Settings,
    faults::{NoFaults, Point},
    system::System,
};
use nightshift_domain::{
    deliverable::{self, Governance, deliverable_id},
    ids::{StreamKind, UserId},
    time::Timestamp,
};
use nightshift_ports::log::EventLog;
use serde_json::json;
use support::{
    MONDAY_8, PanicOnce, Stage, begin, create, idle, named, order, progress, register, tell, versions, watched::Watched,
};

const NINE: Timestamp = Timestamp(MONDAY_8.0 + 3_600_000_000);

/// Waits until all is done; the manual clock moves on whenever everybody waits for it.
async fn settle_moving(stage: &Stage, system: &System) {
    let mut settled = pin!(system.settled());
    for _ in 0..400 {
        let mut idle = pin!(async {
            for _ in 0..200 {
                tokio::task::yield_now().await;
            }
        });
        tokio::select! {
            biased;
            () = &mut settled => return,
            () = &mut idle => stage.clock.advance_ms(250),
        }
    }
    panic!("it did not settle: {} pieces of work are open", system.context().gauges.open_count());
}

async fn check(stage: &Stage, system: &System, id: nightshift_domain::ids::DeliverableId, what: &str) {
    assert_eq!(versions(system, id).await, vec![(1, "delivered")], "{what}");
    let delivered = stage.world.delivered.lock().unwrap().clone();
    let keys: HashSet<_> = delivered.iter().collect();
    assert_eq!(keys.len(), 1, "{what}: {delivered:?}");
}

#[tokio::test]
async fn a_panic_at_every_point_is_survived() {
    for point in Point::ALL {
        for nth in 1..=6 {
            let mut stage = Stage::new();
            stage.world.write("a.md", "hello");
            let first = stage.start().await;
            let id = create(&first, order(Governance::FullAuto), "create").await;
            first.stop().await;
            let system = stage.start_with(PanicOnce::at(point, nth), Settings::default()).await;
            stage.clock.set(NINE);
            settle_moving(&stage, &system).await;
            check(&stage, &system, id, &format!("{} #{nth}", point.as_str())).await;
        }
    }
}

#[tokio::test]
async fn a_failure_of_each_long_lived_actor_is_survived() {
    let kinds = ["clock", "queue", "importer", "projector", "deliverables", "runs", "schedules", "sources"];
    for (n, kind) in kinds.into_iter().enumerate() {
        let mut stage = Stage::new();
        stage.world.write("a.md", "hello");
        let system = stage.start_with(Arc::new(NoFaults), Settings::default()).await;
        let id = create(&system, order(Governance::FullAuto), "create").await;
        let context = system.context();
        let streams = |kind| context.router().fail(kind);
        let fail = || match n {
            0 => context.clock.fail(),
            1 => context.queue.fail(),
            2 => context.importer.fail(),
            3 => context.projector.fail(),
            4 => streams(StreamKind::Deliverable),
            5 => streams(StreamKind::Run),
            6 => streams(StreamKind::Schedule),
            _ => streams(StreamKind::Source),
        };
        fail();
        stage.clock.set(NINE);
        for _ in 0..40 {
            tokio::task::yield_now().await;
        }
        fail();
        settle_moving(&stage, &system).await;
        check(&stage, &system, id, kind).await;
    }
}

/// A start hands over what is owed to runs that it has to load first.
#[tokio::test]
async fn runs_that_cannot_be_loaded_at_once_are_loaded_later() {
    let mut stage = Stage::new();
    let shut = Settings { concurrency: 0, ..Settings::default() };
    let first = stage.start_with(Arc::new(NoFaults), shut).await;
    let one = register(&first, "name: one\nsteps:\n  - {id: a, llm: {prompt: x}}\n").await;
    let mut runs = Vec::new();
    for n in 0..3 {
        runs.push(begin(&first, one, (&format!("run-{n}"), "ann"), json!({})).await);
    }
    idle().await;
    first.stop().await;
    let log = Watched::over(Arc::clone(&stage.store));
    log.failing.store(5, Ordering::SeqCst);
    let system = stage.start_over(log, Arc::new(NoFaults), Settings::default()).await;
    settle_moving(&stage, &system).await;
    for run in runs {
        assert_eq!(progress(&system, run).await.0, "completed");
    }
}

/// A group reaches the store while its shards are asked, one after the other, what became of it: it is written in some and not
/// in others. Whoever is answered finds what was asked in the log, and the process goes on.
#[tokio::test]
async fn a_group_that_is_late_is_known_shard_by_shard() {
    let mut stage = Stage::new();
    let log = Watched::over(Arc::clone(&stage.store));
    let system = stage.start_over(log.clone(), Arc::new(NoFaults), Settings::default()).await;
    log.straggles.store(true, Ordering::SeqCst);
    for round in 0..2 {
        let names: Vec<String> = (0..24).map(|nth| format!("order {round} {nth}")).collect();
        let asked = names.iter().map(|name| {
            let deliverable = deliverable_id(named(name), 4);
            let order = Box::new(order(Governance::Manual));
            let command = deliverable::Command::Create { user: UserId::default(), order, paused: false };
            let system = &system;
            async move { (deliverable, tell(system, deliverable, command, name).await) }
        });
        for (deliverable, answer) in futures::future::join_all(asked).await {
            answer.unwrap();
            assert_eq!(stage.store.read_stream(deliverable.stream(), 0, 10).await.unwrap().len(), 1, "{deliverable}");
        }
    }
    assert!(!log.straggles.load(Ordering::SeqCst), "a group of several shards was late");
}

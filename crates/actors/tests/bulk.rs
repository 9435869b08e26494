//! Bulk jobs through the real tree: each letter is told once and its answer counts once, whatever ends in the middle.
//!
//! Owns: that pages are found, told and answered. What a job decides is tested in the domain.

mod support;

use std::pin::pin;

use nightshift_actors::{context::Settings, faults::Point, system::System};
use nightshift_domain::{
    bulk::{Bulk, Command, Created, Filter, PAGE, State},
    content::FailureClass,
    ids::{BulkId, DefinitionId, RunId, UserId},
    run::{self, Asked, DeadVerb},
};
use nightshift_ports::{
    log::EventLog as _,
    read_models::{Query, ReadModels as _},
};
use serde_json::{Value, json};
use support::{PanicOnce, Stage, begin, failure, named, progress, register};

const ONE: &str = "name: one\nsteps:\n  - {id: send, call: /agents/send}\n";

/// So many runs whose only step is dead.
async fn letters(stage: &Stage, system: &System, count: usize) -> Vec<RunId> {
    let definition = register(system, ONE).await;
    let failures = vec![failure(FailureClass::Permanent); count];
    *stage.world.act_failures.lock().unwrap() = failures;
    let runs = started(system, definition, count).await;
    system.settled().await;
    runs
}

async fn started(system: &System, definition: DefinitionId, count: usize) -> Vec<RunId> {
    let mut runs = Vec::with_capacity(count);
    for n in 0..count {
        runs.push(begin(system, definition, (&format!("run {n}"), "ada"), json!({})).await);
    }
    runs
}

fn create(verb: DeadVerb) -> Command {
    let filter = Filter { status: "dead".to_owned(), ..Filter::default() };
    let by = Asked { by: "ada".to_owned(), note: "again".to_owned() };
    Command::Create(Box::new(Created { verb, filter, user: UserId("ada".to_owned()), by, expected: 0 }))
}

fn the_job() -> BulkId {
    BulkId::of(named("bulk"), 4)
}

async fn job(system: &System) -> (Bulk, &'static str) {
    let question = |state: &State, _| match state {
        State::Over(bulk, end) => (bulk.clone(), end.as_str()),
        State::Open(bulk) => (bulk.clone(), "open"),
        State::Unborn => panic!("it was not begun"),
    };
    system.ask(the_job().stream(), question).await.unwrap()
}

/// How often the step of a run was reset, by its log.
async fn resets(stage: &Stage, run: RunId) -> usize {
    let events = stage.store.read_stream(run.stream(), 0, 1_000).await.unwrap();
    events.iter().filter(|event| event.event_type == "run.step_reset").count()
}

async fn row(stage: &Stage) -> Value {
    let table = nightshift_projections::tables::named("bulk_jobs").unwrap();
    Value::Object(stage.store.query(table, &Query::default()).await.unwrap().pop().unwrap())
}

#[tokio::test]
async fn many_letters_are_done_page_by_page_and_each_once() {
    let mut stage = Stage::new();
    let system = stage.start().await;
    let count = 2 * PAGE + 7;
    let runs = letters(&stage, &system, count).await;
    system.submit(the_job().stream(), create(DeadVerb::Retry), (named("bulk"), "test")).await.unwrap();
    system.settled().await;
    let (bulk, end) = job(&system).await;
    assert_eq!((end, bulk.page, bulk.chosen, bulk.done, bulk.refused), ("completed", 3, count as u64, count as u64, 0));
    for run in runs {
        assert_eq!((progress(&system, run).await.0, resets(&stage, run).await), ("completed", 1));
    }
    let row = row(&stage).await;
    assert_eq!((&row["status"], &row["total"], &row["done"]), (&json!("completed"), &json!(count), &json!(count)));
    for event in stage.store.read_stream(the_job().stream(), 0, 1_000).await.unwrap() {
        assert!(event.data.len() < 16 * 1_024, "{} has {} bytes", event.event_type, event.data.len());
    }
}

#[tokio::test]
async fn what_a_run_does_not_do_is_told_with_its_reason() {
    let mut stage = Stage::new();
    let system = stage.start().await;
    let two = "name: two\nsteps:\n  - {id: a, call: /agents/a}\n  - {id: b, call: /agents/b}\n";
    let definition = register(&system, two).await;
    *stage.world.act_failures.lock().unwrap() = vec![failure(FailureClass::Permanent); 4];
    // Both steps of a run are begun before either fails, so that both are dead.
    let gate = stage.world.close_gate();
    let runs = started(&system, definition, 2).await;
    support::idle().await;
    assert_eq!(stage.world.begun().len(), 4);
    gate.add_permits(4);
    system.settled().await;
    *stage.world.gate.lock().unwrap() = None;
    let by = Asked { by: "bob".to_owned(), note: "no use".to_owned() };
    let discard = run::Command::DeadLetter { step: "a".to_owned(), attempt: None, verb: DeadVerb::Discard, by };
    system.submit(runs[0].stream(), discard, (named("discard"), "test")).await.unwrap();
    system.settled().await;
    system.submit(the_job().stream(), create(DeadVerb::Reset), (named("bulk"), "test")).await.unwrap();
    system.settled().await;
    let (bulk, end) = job(&system).await;
    // Of the second run the first letter has both steps done again, and the second is content with that.
    assert_eq!((end, bulk.chosen, bulk.done, bulk.refused), ("completed", 3, 2, 1));
    let why = "step \"a\" was discarded by bob: no use; only a rerun brings it back";
    let refusal = json!([{"job": format!("{}/b", runs[0]), "reason": why}]);
    assert_eq!(row(&stage).await["refusals"], refusal);
    assert_eq!(progress(&system, runs[1]).await.0, "completed");
}

#[tokio::test]
async fn a_job_that_is_stopped_leaves_the_rest_as_it_is() {
    let mut stage = Stage::new();
    let system = stage.start().await;
    letters(&stage, &system, PAGE + 5).await;
    let stop = Command::Cancel { by: Asked::default() };
    let (begun, stopped) = tokio::join!(
        system.submit(the_job().stream(), create(DeadVerb::Discard), (named("bulk"), "test")),
        system.submit(the_job().stream(), stop, (named("stop"), "test")),
    );
    begun.unwrap();
    stopped.unwrap();
    system.settled().await;
    let (bulk, end) = job(&system).await;
    assert_eq!((end, bulk.done, bulk.open.len()), ("cancelled", bulk.chosen, 0));
    assert!(bulk.chosen <= PAGE as u64, "no page behind the first");
    let table = nightshift_projections::tables::named("job_queue").unwrap();
    let dead = Query { equals: vec![("status", json!("dead"))], ..Query::default() };
    assert_eq!(stage.store.count(table, &dead).await, Ok(PAGE as u64 + 5 - bulk.chosen));
}

async fn settle_moving(stage: &Stage, system: &System) {
    let mut settled = pin!(system.settled());
    for _ in 0..400 {
        let mut idle = pin!(support::idle());
        tokio::select! {
            biased;
            () = &mut settled => return,
            () = &mut idle => stage.clock.advance_ms(250),
        }
    }
    panic!("it did not settle: {} pieces of work are open", system.context().gauges.open_count());
}

async fn begun(stage: &Stage, system: &System) {
    loop {
        let asked = system.submit(the_job().stream(), create(DeadVerb::Reset), (named("bulk"), "test")).await;
        match asked {
            Ok(_) => return,
            // An actor that panicked had not answered: the same order again.
            Err(_) => stage.clock.advance_ms(250),
        }
    }
}

#[tokio::test]
async fn a_panic_at_every_point_of_a_bulk_job_is_survived() {
    for point in Point::ALL {
        for nth in [1, 2, 3, 5, 8] {
            let mut stage = Stage::new();
            let first = stage.start().await;
            let runs = letters(&stage, &first, 4).await;
            first.stop().await;
            let system = stage.start_with(PanicOnce::at(point, nth), Settings::default()).await;
            begun(&stage, &system).await;
            settle_moving(&stage, &system).await;
            let what = format!("{} #{nth}", point.as_str());
            let (bulk, end) = job(&system).await;
            assert_eq!((end, bulk.chosen, bulk.done, bulk.refused), ("completed", 4, 4, 0), "{what}");
            for run in runs {
                assert_eq!((progress(&system, run).await.0, resets(&stage, run).await), ("completed", 1), "{what}");
            }
        }
    }
}

#[tokio::test]
async fn a_bulk_job_goes_on_after_a_restart_in_its_middle() {
    for turns in [0, 1, 3, 10, 30, 100, 300] {
        let mut stage = Stage::new();
        let first = stage.start().await;
        let runs = letters(&stage, &first, PAGE + 3).await;
        begun(&stage, &first).await;
        for _ in 0..turns {
            tokio::task::yield_now().await;
        }
        first.stop().await;
        let system = stage.start().await;
        settle_moving(&stage, &system).await;
        let (bulk, end) = job(&system).await;
        let count = PAGE as u64 + 3;
        assert_eq!((end, bulk.chosen, bulk.done, bulk.refused), ("completed", count, count, 0), "after {turns}");
        for run in runs {
            assert_eq!((progress(&system, run).await.0, resets(&stage, run).await), ("completed", 1), "after {turns}");
        }
    }
}

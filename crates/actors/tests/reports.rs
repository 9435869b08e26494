//! Messages of runs to webhooks through the real tree: in order, again after failures, and found again after an end.

mod support;

use std::sync::Arc;

use nightshift_actors::{context::Settings, faults::NoFaults, system::System};
use nightshift_domain::{
    content::FailureClass,
    ids::RunId,
    run::{self, Receiver, Reports},
};
use serde_json::json;
use support::{MONDAY_8, Stage, begin, failure, progress, register};

const FLOW: &str = "name: told\nsteps:\n  - {id: a, llm: {prompt: x}}\n";

fn telling() -> Settings {
    let reports = Reports { progress: Some(Receiver::Configured {}), checkpoint: None, events: vec![] };
    Settings { reports, ..Settings::default() }
}

async fn started(stage: &mut Stage) -> System {
    stage.start_with(Arc::new(NoFaults), telling()).await
}

async fn owing(system: &System, run: RunId) -> usize {
    system.ask(run.stream(), |state: &run::State, _| state.run().map_or(0, |run| run.owing.len())).await.unwrap()
}

/// Versions and parts of the messages in the order in which they were sent.
fn places(stage: &Stage) -> Vec<(u64, u32)> {
    let reported = stage.world.reported.lock().unwrap();
    reported.iter().map(|(report, _)| (report.version, report.part)).collect()
}

#[tokio::test]
async fn every_message_is_sent_once_in_order_and_its_end_is_kept() {
    let mut stage = Stage::new();
    let system = started(&mut stage).await;
    let flow = register(&system, FLOW).await;
    let run = begin(&system, flow, ("run", "ann"), json!({})).await;
    system.settled().await;
    assert_eq!(progress(&system, run).await.0, "completed");
    let sent = places(&stage);
    assert!(sent.len() == 8 && sent.is_sorted_by(|a, b| a < b), "{sent:?}");
    assert_eq!(owing(&system, run).await, 0);
    system.stop().await;
    let system = started(&mut stage).await;
    system.settled().await;
    assert_eq!(places(&stage).len(), 8, "what was taken is not sent again");
}

#[tokio::test]
async fn a_receiver_that_fails_is_told_again_and_holds_nothing_else_back() {
    let mut stage = Stage::new();
    let system = started(&mut stage).await;
    let flow = register(&system, FLOW).await;
    stage
        .world
        .report_failures
        .lock()
        .unwrap()
        .extend([failure(FailureClass::Transient), failure(FailureClass::Timeout)]);
    let run = begin(&system, flow, ("run", "ann"), json!({})).await;
    system.settled().await;
    assert_eq!(progress(&system, run).await.0, "completed", "the run does not wait for its messages");
    assert_eq!(places(&stage), [(1, 0)], "those behind the first wait for it");
    assert_eq!(owing(&system, run).await, 8);
    stage.at(&system, MONDAY_8.plus_ms(999)).await;
    assert_eq!(places(&stage).len(), 1);
    stage.clock.set(MONDAY_8.plus_ms(1_000));
    support::idle().await;
    assert_eq!(places(&stage).len(), 2);
    stage.clock.set(MONDAY_8.plus_ms(3_000));
    support::idle().await;
    system.settled().await;
    assert_eq!((places(&stage).len(), owing(&system, run).await), (10, 0));
    let sendings = stage.world.reported.lock().unwrap().clone();
    assert_eq!(sendings[..3].iter().map(|(_, sending)| sending.attempt).collect::<Vec<_>>(), [1, 2, 3]);
    assert!(sendings[0].1.id == sendings[2].1.id && sendings[2].1.id != sendings[3].1.id);
}

#[tokio::test]
async fn what_is_owed_is_sent_after_a_restart_and_given_up_in_the_end() {
    let mut stage = Stage::new();
    let system = started(&mut stage).await;
    let flow = register(&system, FLOW).await;
    stage.world.report_failures.lock().unwrap().push(failure(FailureClass::Transient));
    let run = begin(&system, flow, ("run", "ann"), json!({})).await;
    system.settled().await;
    assert_eq!((places(&stage).len(), owing(&system, run).await), (1, 8));
    system.stop().await;
    drop(system);
    // Whoever reads the log next needs no configuration to know what is owed.
    stage.world.report_failures.lock().unwrap().extend(vec![failure(FailureClass::Permanent); 3]);
    let system = stage.start().await;
    system.settled().await;
    for ms in [1_000, 3_000] {
        stage.clock.set(MONDAY_8.plus_ms(ms));
        support::idle().await;
        system.settled().await;
    }
    assert_eq!(owing(&system, run).await, 0);
    let given_up = stage.world.reported.lock().unwrap().iter().filter(|(report, _)| report.version == 1).count();
    assert_eq!(given_up, 4, "once before the restart, three times after it");
}

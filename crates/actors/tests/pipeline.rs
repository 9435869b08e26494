//! The deliverable pipeline through the real tree: from a clock tick to a delivered version.

mod support;

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU32, Ordering},
};

use async_trait::async_trait;
use nightshift_actors::{
    audit::compare_rows,
    projector::{PassSize, rebuild, rebuild_in},
};
use nightshift_domain::{
    content::{FailureClass, SourceFailure},
    deliverable::{Command, Governance},
    ids::ShardId,
    time::Timestamp,
};
use nightshift_ports::{
    log::{EventLog, StoreError},
    memory::MemoryStore,
    read_models::{Generation, Query, ReadModels, RowBatch},
};
use nightshift_projections::{
    Image,
    table::{Row, RowKey, TableDef},
};
use serde_json::Value;
use support::{MONDAY_8, Stage, create, failure, order, tell, versions};

const HOUR: i64 = 3_600_000;
const NINE: Timestamp = Timestamp(MONDAY_8.0 + HOUR * 1_000);

fn days(n: i64) -> Timestamp {
    NINE.plus_ms(24 * HOUR * n)
}

#[tokio::test]
async fn a_slot_becomes_a_delivered_version_on_time_once() {
    let mut stage = Stage::new();
    let system = stage.start().await;
    stage.world.write("a.md", "hello");
    let id = create(&system, order(Governance::FullAuto), "create").await;
    stage.at(&system, NINE.plus_ms(-1)).await;
    assert_eq!(versions(&system, id).await, vec![]);
    stage.at(&system, NINE).await;
    assert_eq!(versions(&system, id).await, vec![(1, "delivered")]);
    assert_eq!(stage.world.delivered.lock().unwrap().len(), 1);
    assert_eq!(*stage.world.mailed.lock().unwrap(), vec!["Morning brief: version 1 was delivered"]);
}

#[tokio::test]
async fn nothing_new_is_a_skip_and_a_change_is_version_2() {
    let mut stage = Stage::new();
    let system = stage.start().await;
    stage.world.write("a.md", "hello");
    let id = create(&system, order(Governance::Manual), "create").await;
    stage.at(&system, NINE).await;
    stage.at(&system, days(1)).await;
    assert_eq!(versions(&system, id).await, vec![(1, "staged")]);
    stage.world.write("a.md", "hello again");
    stage.at(&system, days(2)).await;
    assert_eq!(versions(&system, id).await, vec![(1, "staged"), (2, "staged")]);
}

#[tokio::test]
async fn a_semi_auto_version_is_delivered_when_nobody_objects() {
    let mut stage = Stage::new();
    let system = stage.start().await;
    stage.world.write("a.md", "hello");
    let id = create(&system, order(Governance::SemiAuto), "create").await;
    stage.at(&system, NINE).await;
    assert_eq!(versions(&system, id).await, vec![(1, "staged")]);
    stage.at(&system, NINE.plus_ms(HOUR)).await;
    assert_eq!(versions(&system, id).await, vec![(1, "delivered")]);
}

#[tokio::test]
async fn a_failing_source_is_recorded_and_does_not_fail_the_run() {
    let mut stage = Stage::new();
    let system = stage.start().await;
    let broken = SourceFailure { class: FailureClass::Permanent, message: "no such folder".to_owned() };
    *stage.world.broken_source.lock().unwrap() = Some(broken);
    let id = create(&system, order(Governance::Manual), "create").await;
    stage.at(&system, NINE).await;
    assert_eq!(versions(&system, id).await, vec![(1, "staged")]);
}

#[tokio::test]
async fn a_transient_failure_is_retried_and_a_permanent_one_fails_the_version() {
    let mut stage = Stage::new();
    let system = stage.start().await;
    stage.world.write("a.md", "hello");
    stage.world.compose_failures.lock().unwrap().push(failure(FailureClass::Transient));
    let id = create(&system, order(Governance::Manual), "create").await;
    stage.at(&system, NINE).await;
    assert_eq!(versions(&system, id).await, vec![(1, "generating")]);
    stage.at(&system, NINE.plus_ms(5_000)).await;
    assert_eq!(versions(&system, id).await, vec![(1, "staged")]);
    stage.world.compose_failures.lock().unwrap().push(failure(FailureClass::Permanent));
    stage.world.write("a.md", "changed");
    stage.at(&system, days(1)).await;
    assert_eq!(versions(&system, id).await, vec![(1, "staged"), (2, "failed")]);
    let keys = stage.world.composed.lock().unwrap().clone();
    assert_eq!(keys[0], keys[1], "the idempotency key is stable over attempts");
}

#[tokio::test]
async fn a_pause_stops_slots_and_a_resume_does_not_make_up_for_them() {
    let mut stage = Stage::new();
    let system = stage.start().await;
    stage.world.write("a.md", "hello");
    let id = create(&system, order(Governance::Manual), "create").await;
    tell(&system, id, Command::Pause { note: "holiday".to_owned() }, "pause").await.unwrap();
    system.settled().await;
    stage.at(&system, days(3)).await;
    assert_eq!(versions(&system, id).await, vec![]);
    tell(&system, id, Command::Resume {}, "resume").await.unwrap();
    system.settled().await;
    assert_eq!(versions(&system, id).await, vec![]);
    stage.at(&system, days(4)).await;
    assert_eq!(versions(&system, id).await, vec![(1, "staged")]);
}

#[tokio::test]
async fn the_same_command_twice_is_done_once() {
    let mut stage = Stage::new();
    let system = stage.start().await;
    stage.world.write("a.md", "hello");
    let id = create(&system, order(Governance::Manual), "create").await;
    let first = tell(&system, id, Command::RunNow { force: true }, "run").await.unwrap();
    system.settled().await;
    let second = tell(&system, id, Command::RunNow { force: true }, "run").await.unwrap();
    system.settled().await;
    assert!(!first.repeated && second.repeated);
    assert_eq!(versions(&system, id).await, vec![(1, "staged")]);
}

#[tokio::test]
async fn read_models_built_anew_are_the_fold_of_the_events() {
    let mut stage = Stage::new();
    let system = stage.start().await;
    stage.world.write("a.md", "hello");
    let id = create(&system, order(Governance::FullAuto), "create").await;
    stage.at(&system, NINE).await;
    assert_eq!(versions(&system, id).await, vec![(1, "delivered")]);
    let (log, models) = (stage.store.clone(), stage.store.clone());
    let mut checked = 0;
    let faults = compare_rows(&*log, &*models, |rows| checked = rows).await.unwrap();
    assert!(faults.is_empty() && checked > 20, "{checked} rows, {faults:?}");
    let folded = rebuild(log.clone(), models.clone(), |_| {}).await.unwrap();
    assert!(folded > 20, "{folded} events");
    assert_eq!(compare_rows(&*log, &*models, |_| {}).await.unwrap(), Vec::<String>::new());
}

/// A row that no event makes is a fault, in a shard that has events and in one that has none.
#[tokio::test]
async fn a_row_that_no_event_makes_is_told() {
    let mut stage = Stage::new();
    let system = stage.start().await;
    stage.world.write("a.md", "hello");
    let id = create(&system, order(Governance::FullAuto), "create").await;
    stage.at(&system, NINE).await;
    system.stop().await;
    let (store, table) = (stage.store.clone(), &nightshift_projections::tables::DELIVERABLES);
    let compared = async || compare_rows(&*store, &*store, |_| {}).await.unwrap();
    let key = vec![Value::from(id.to_string())];
    let row = store.rows(Generation::Live, table, &[key]).await.unwrap().remove(0);
    let checkpoints = store.checkpoints(Generation::Live).await.unwrap();
    let add = async |shard: ShardId, id: &str| {
        let seq = checkpoints.iter().find(|(known, _)| *known == shard).map_or(0, |(_, seq)| *seq);
        let mut row = row.clone();
        row.insert("id".to_owned(), Value::from(id));
        row.insert("shard_id".to_owned(), Value::from(shard.0));
        let upserts = vec![(table, Image::from_row(table, row))];
        let batch = RowBatch { shard, from_seq: seq, upto_seq: seq, upserts, deletes: vec![] };
        assert!(store.write(Generation::Live, &[batch]).await.unwrap());
    };
    assert_eq!(compared().await, Vec::<String>::new());
    let made_up = "00000000-0000-8000-8000-000000000001";
    add(id.stream().shard(), made_up).await;
    let faults = compared().await;
    assert!(faults.len() == 1 && faults[0].contains(made_up) && faults[0].contains("do not make it"), "{faults:?}");
    let empty = (0..).map(ShardId).find(|shard| !checkpoints.iter().any(|(known, _)| known == shard)).unwrap();
    add(empty, "00000000-0000-8000-8000-000000000002").await;
    assert_eq!(compared().await.len(), 2);
}

/// Read models that take their time to write, and count what is asked of them meanwhile.
struct Slow {
    models: Arc<MemoryStore>,
    writing: AtomicBool,
    asked_meanwhile: AtomicU32,
}

#[async_trait]
impl ReadModels for Slow {
    async fn checkpoints(&self, generation: Generation) -> Result<Vec<(ShardId, u64)>, StoreError> {
        self.models.checkpoints(generation).await
    }

    async fn rows(
        &self,
        generation: Generation,
        table: &'static TableDef,
        keys: &[RowKey],
    ) -> Result<Vec<Row>, StoreError> {
        self.asked_meanwhile.fetch_add(u32::from(self.writing.load(Ordering::Relaxed)), Ordering::Relaxed);
        self.models.rows(generation, table, keys).await
    }

    async fn write(&self, generation: Generation, batches: &[RowBatch]) -> Result<bool, StoreError> {
        self.writing.store(true, Ordering::Relaxed);
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        let written = self.models.write(generation, batches).await;
        self.writing.store(false, Ordering::Relaxed);
        written
    }

    async fn begin_rebuild(&self) -> Result<(), StoreError> {
        self.models.begin_rebuild().await
    }

    async fn swap_rebuilt(&self) -> Result<(), StoreError> {
        self.models.swap_rebuilt().await
    }

    async fn query(&self, table: &'static TableDef, query: &Query) -> Result<Vec<Row>, StoreError> {
        self.models.query(table, query).await
    }

    async fn count(&self, table: &'static TableDef, query: &Query) -> Result<u64, StoreError> {
        self.models.count(table, query).await
    }

    async fn count_by(&self, table: &'static TableDef, column: &'static str) -> Result<Vec<(Value, u64)>, StoreError> {
        self.models.count_by(table, column).await
    }
}

#[tokio::test]
async fn passes_of_a_rebuild_overlap_and_give_the_same_rows_whatever_their_size() {
    let mut stage = Stage::new();
    let system = stage.start().await;
    for name in ["one", "two", "three"] {
        stage.world.write("a.md", name);
        create(&system, order(Governance::FullAuto), name).await;
    }
    stage.at(&system, NINE).await;
    let heads = stage.store.heads().await.unwrap();
    let events: u64 = heads.iter().map(|(_, head)| head).sum();
    assert!(heads.iter().filter(|(_, head)| *head > 6).count() > 1, "several shards with several pages: {heads:?}");
    for (events_max, page) in [(1, 1), (3, 2), (6, 3), (1_000, 5)] {
        let (models, writing, asked_meanwhile) = (stage.store.clone(), AtomicBool::new(false), AtomicU32::new(0));
        let slow = Arc::new(Slow { models, writing, asked_meanwhile });
        let mut steps = Vec::new();
        let size = PassSize { events: events_max, page };
        let folded = rebuild_in((stage.store.clone(), slow.clone()), size, |done| steps.push(done)).await.unwrap();
        assert_eq!((folded, steps.last()), (events, Some(&events)), "{size:?}");
        assert_eq!(compare_rows(&*stage.store, &*stage.store, |_| {}).await.unwrap(), Vec::<String>::new(), "{size:?}");
        let overlapped = slow.asked_meanwhile.load(Ordering::Relaxed) > 0;
        assert!(overlapped || events_max == 1_000, "{size:?}: nothing was folded while rows were written");
    }
}

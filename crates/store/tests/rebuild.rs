//! A rebuild whose connection is lost: rows that are not whole never take the place of the live ones.

use nightshift_domain::ids::ShardId;
use nightshift_ports::read_models::{Generation, ReadModels, RowBatch};
use nightshift_projections::tables::ALL;
use nightshift_store::postgres::{OpenOptions, PostgresStore, create_database, drop_database};
use sqlx::{ConnectOptions, Connection};
use uuid::Uuid;

#[expect(clippy::disallowed_methods, reason = "tests are told by the environment what to do")]
fn told(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn upto(seq: u64) -> RowBatch {
    RowBatch { shard: ShardId(1), from_seq: 0, upto_seq: seq, upserts: Vec::new(), deletes: Vec::new() }
}

#[tokio::test]
async fn a_rebuild_that_lost_its_connection_does_not_go_live() {
    let Some(base) = told("NIGHTSHIFT_TEST_POSTGRES") else {
        assert!(told("CI").is_none(), "NIGHTSHIFT_TEST_POSTGRES is not set: run scripts/test");
        println!("skipped: no PostgreSQL; scripts/test starts one");
        return;
    };
    let (server, _) = base.rsplit_once('/').expect("an address with a database");
    let url = format!("{server}/nightshift_rebuild_{}", std::process::id());
    drop_database(&url).await.expect("removed");
    create_database(&url).await.expect("made");
    let store = PostgresStore::open(OpenOptions::at(&url, Uuid::nil(), ALL)).await.expect("migrated");
    let options: sqlx::postgres::PgConnectOptions = url.parse().expect("an address");
    let mut conn = options.connect().await.expect("opened");

    assert_eq!(store.write(Generation::Live, &[upto(9)]).await, Ok(true));
    store.begin_rebuild().await.expect("begun");
    assert_eq!(store.write(Generation::Rebuilt, &[upto(3)]).await, Ok(true));
    let ended: Vec<bool> = sqlx::query_scalar(
        "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
          WHERE datname = current_database() AND application_name = 'nightshift rebuild'",
    )
    .fetch_all(&mut conn)
    .await
    .expect("ended");
    assert_eq!(ended, [true], "a rebuild has one connection");
    store.swap_rebuilt().await.expect_err("the rows are gone");
    assert_eq!(store.checkpoints(Generation::Live).await, Ok(vec![(ShardId(1), 9)]));

    store.begin_rebuild().await.expect("begun again");
    assert_eq!(store.checkpoints(Generation::Rebuilt).await, Ok(vec![]));
    assert_eq!(store.write(Generation::Rebuilt, &[upto(5)]).await, Ok(true));
    let left: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM pg_class WHERE relkind = 'r' AND relpersistence <> 't' AND relname LIKE '%\\_\\_rebuild'",
    )
    .fetch_one(&mut conn)
    .await
    .expect("counted");
    assert_eq!(left, 0, "nothing of a rebuild outlives its connection");
    store.swap_rebuilt().await.expect("whole this time");
    assert_eq!(store.checkpoints(Generation::Live).await, Ok(vec![(ShardId(1), 5)]));
    conn.close().await.expect("closed");
    store.close().await;
    drop_database(&url).await.expect("removed");
}

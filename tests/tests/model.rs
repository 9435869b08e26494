//! The store of the model check answers as the real ones do: its histories gone on SQLite, and on PostgreSQL where there is
//! a server.
//!
//! Owns: the stores. Refuses to know: what is done on them.

use nightshift_domain::ids::derive;
use nightshift_model::append::held::{go_all, histories, shards_for, world};
use nightshift_store::{
    postgres::{self, PostgresStore},
    sqlite::{self, SqliteStore},
};
use nightshift_tests::postgres::Database;

#[tokio::test]
async fn sqlite_answers_as_the_model_does() {
    let (folder, world) = (tempfile::tempdir().expect("a folder"), world());
    let histories = histories(&world);
    let options = sqlite::OpenOptions {
        shard_count: Some(shards_for(histories.len())),
        ..sqlite::OpenOptions::at(folder.path().join("held.db"), derive("held", &[]), &[])
    };
    let store = SqliteStore::open(options).await.expect("opened");
    go_all(&store, &world, &histories).await.unwrap_or_else(|why| panic!("{why}"));
}

#[tokio::test]
async fn postgres_answers_as_the_model_does() {
    let Some(database) = Database::fresh() else { return };
    let world = world();
    let histories = histories(&world);
    let options = postgres::OpenOptions {
        shard_count: Some(shards_for(histories.len())),
        ..postgres::OpenOptions::at(database.url.clone(), derive("held", &[]), &[])
    };
    let store = PostgresStore::open(options).await.expect("opened");
    go_all(&store, &world, &histories).await.unwrap_or_else(|why| panic!("{why}"));
    store.close().await;
}

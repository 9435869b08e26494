//! The model's store held against the reference store in memory. `tests/tests/model.rs` holds it against the databases.
//!
//! Owns: the store. Refuses to know: what is done on it.

use std::sync::Arc;

use nightshift_domain::{ids::derive, time::Timestamp};
use nightshift_model::append::held::{go_all, histories, shards_for, world};
use nightshift_ports::{clock::ManualClock, memory::MemoryStore};

#[tokio::test]
async fn the_memory_store_answers_as_the_model_does() {
    let world = world();
    let histories = histories(&world);
    println!("{} histories", histories.len());
    assert!(histories.len() > 100, "the histories were found: {}", histories.len());
    let clock = Arc::new(ManualClock::at(Timestamp(0)));
    let store = MemoryStore::new(derive("held", &[]), shards_for(histories.len()), clock);
    go_all(&store, &world, &histories).await.unwrap_or_else(|why| panic!("{why}"));
}

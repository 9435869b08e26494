//! The short form of the torture: one storm on each database, with every kind of fault in it.
//!
//! Owns: how long it is. What is done and checked is in `nightshift_tests::torture`; the long form is `scripts/torture`.

use std::time::Duration;

use nightshift_tests::torture::{Storm, faults::Database, live_through};

/// A storm that ends when each kind of fault came, and enough kills.
fn short(database: Database, kills: u32) {
    let storm =
        Storm { database, seed: seed(), kills, limit: Duration::MAX, open_max: 8, is_long: false, only: vec![] };
    // A machine without PostgreSQL says so; in CI that is a failure.
    let Some(report) = live_through(&storm) else { return };
    println!("{report}");
    assert!(report.is_passed(), "repeat its choices with NIGHTSHIFT_TORTURE_SEED={}\n{report}", storm.seed);
}

#[expect(clippy::disallowed_methods, reason = "a failed storm is repeated by its seed")]
fn seed() -> u64 {
    std::env::var("NIGHTSHIFT_TORTURE_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(4)
}

#[test]
fn what_the_outside_saw_agrees_with_the_program_on_sqlite() {
    short(Database::Sqlite, 12);
}

#[test]
fn what_the_outside_saw_agrees_with_the_program_on_postgres() {
    short(Database::Postgres, 8);
}

//! Results for the tests of this folder.

use std::collections::BTreeMap;

use super::result::{Database, FORMAT, Figure, Machine, Results, Spread};

/// A figure of a bench called `append` on SQLite.
pub(super) fn figure(name: &str, unit: &'static str, values: Vec<f64>) -> Figure {
    Figure::new(("append", "sqlite"), name, unit, values)
}

/// A result with these figures.
pub(super) fn results(figures: Vec<Figure>) -> Results {
    let database = |version: &str, name: &str, value: &str| Database {
        version: version.to_owned(),
        settings: BTreeMap::from([(name.to_owned(), value.to_owned())]),
    };
    let machine = Machine {
        processor: "A Processor".to_owned(),
        cores: 2,
        memory_mib: 24_000,
        kernel: "6.18".to_owned(),
        filesystem: "ext4".to_owned(),
        disk: "vda".to_owned(),
        fsync_ms: Spread::of(vec![1.0, 2.0, 3.0]).expect("numbers"),
        version: "0.1.0".to_owned(),
        revision: Some("abc1234".to_owned()),
        build: "release".to_owned(),
        databases: BTreeMap::from([
            ("sqlite".to_owned(), database("3.51.3", "synchronous", "2")),
            ("postgres".to_owned(), database("15.18", "fsync", "on")),
        ]),
    };
    Results {
        format: FORMAT,
        taken_at: "2026-11-21T12:00:00Z".to_owned(),
        size: "usual".to_owned(),
        repeats: 3,
        machine,
        figures,
        took: Vec::new(),
        failed: Vec::new(),
    }
}

//! Every fixture of `replay-fixtures/`: decided the same, and recovered from every prefix.
//!
//! Owns: the walk over the folder. Adding a fixture is adding a folder; nothing here names one.
//! `UPDATE=1` writes the golden files of all fixtures anew from their histories; events and commands are never written.

use std::{
    path::PathBuf,
    sync::atomic::{AtomicUsize, Ordering},
};

use nightshift_replay::{Fixture, Prefixes, goldens, prefixes, replay_fixture};
use nightshift_tests::repo_root;

/// The fixtures with their folders, in order of their names.
fn fixtures() -> Vec<(PathBuf, Fixture)> {
    let folder = repo_root().join("replay-fixtures");
    let entries = std::fs::read_dir(&folder).expect("replay-fixtures is there");
    let mut folders: Vec<PathBuf> = entries.map(|entry| entry.expect("readable").path()).collect();
    folders.retain(|path| path.is_dir());
    folders.sort();
    let read = |path: PathBuf| {
        let fixture = Fixture::read_dir(&path).unwrap_or_else(|error| panic!("{error}"));
        (path, fixture)
    };
    folders.into_iter().map(read).collect()
}

#[expect(clippy::disallowed_methods, reason = "a person asks for new golden files in the environment")]
fn update_is_asked_for() -> bool {
    std::env::var_os("UPDATE").is_some_and(|value| value == "1")
}

/// Scenarios that stay for ever; a recording that vanished would otherwise pass unseen.
const FIXTURES_MIN: usize = 11;

#[test]
fn no_recording_is_lost() {
    let count = fixtures().len();
    assert!(count >= FIXTURES_MIN, "{count} fixtures, at least {FIXTURES_MIN} were recorded");
}

#[test]
fn every_fixture_is_decided_the_same_and_comes_to_its_goldens() {
    let mut different = Vec::new();
    for (path, mut fixture) in fixtures() {
        if update_is_asked_for() {
            let made = goldens(&fixture).unwrap_or_else(|error| panic!("{}: {error}", fixture.name));
            (fixture.obligations, fixture.rows) = (made.obligations, made.rows);
            fixture.sort();
            fixture.write_goldens(&path).unwrap_or_else(|error| panic!("{error}"));
        }
        let report = replay_fixture(&fixture);
        if !report.is_same() {
            different.push(format!("{}:\n{report}", fixture.name));
        }
    }
    assert!(different.is_empty(), "{}", different.join("\n\n"));
}

#[test]
fn every_fixture_says_what_happened_and_was_redacted() {
    for (_, fixture) in fixtures() {
        let name = &fixture.name;
        assert!(fixture.readme.lines().count() >= 3, "{name}: README.md says what happened and why it matters");
        let mode = fixture.about.redaction.mode.as_str();
        assert!(["secrets", "personal"].contains(&mode), "{name}: redaction is {mode:?}; capture it with `--redact`");
    }
}

#[test]
fn every_prefix_of_every_fixture_is_recovered_and_continued() {
    let mut faults = Vec::new();
    for (_, fixture) in fixtures() {
        let prefixes = prefixes(&fixture).unwrap_or_else(|error| panic!("{}: {error}", fixture.name));
        println!("{}: {} commits, cut at every {}", fixture.name, prefixes.commits(), prefixes.every());
        faults.extend(recover_all(&fixture.name, &prefixes));
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// Each cut is a world of its own, so they go side by side, each on a runtime of one thread.
fn recover_all(name: &str, prefixes: &Prefixes) -> Vec<String> {
    let (cuts, next) = (prefixes.cuts(), AtomicUsize::new(0));
    let work = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("a runtime starts");
        let mut faults = Vec::new();
        while let Some(cut) = cuts.get(next.fetch_add(1, Ordering::Relaxed)) {
            let recovered = runtime.block_on(prefixes.recover(*cut));
            let found = recovered.map_or_else(|error| vec![error.to_string()], |recovered| recovered.faults);
            let place = prefixes.describe(*cut);
            faults.extend(found.into_iter().map(|fault| format!("{name}, cut {cut} ({place}): {fault}")));
        }
        faults
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("a worker ends")).collect()
    })
}

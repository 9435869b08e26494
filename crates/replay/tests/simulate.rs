//! The simulation: nothing breaks under faults, the auditor sees what is broken on purpose, a seed is one history.
//!
//! Owns: how many seeds are lived through at each build. `nightshift simulate` lives through more.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use nightshift_replay::simulate::{
    Asked, Outcome, Report, Sabotage, Settings, Simulator, Summary, never_looked_at, put_between_marks, shrink,
};

fn settings(simulator: &Simulator, seed: u64, days: u32) -> Settings {
    Settings {
        documents: simulator.built_in().expect("the built-in definitions are sound"),
        ..Settings::of(seed, days)
    }
}

#[track_caller]
fn assert_sound(settings: &Settings, outcome: &Outcome) {
    let told: Vec<String> =
        outcome.violations.iter().take(5).map(|it| format!("{} at {}: {}", it.invariant, it.at, it.what)).collect();
    assert!(told.is_empty(), "{}\n  {}", settings.command(&[]), told.join("\n  "));
}

#[test]
fn without_faults_all_is_done_and_nothing_is_broken() {
    let simulator = Simulator::default();
    for seed in 1..=2 {
        let settings = Settings { faults: BTreeSet::new(), ..settings(&simulator, seed, 5) };
        let outcome = simulator.run(&settings);
        assert_sound(&settings, &outcome);
        assert!(outcome.coverage.is_empty(), "{:?}", outcome.coverage);
        assert!(outcome.runs > 100 && outcome.effects > 200 && outcome.checks.total() > 10_000, "{outcome:?}");
    }
}

/// Two hundred histories of thirty days, on all cores. Few things go on in each day, so that it takes a minute or two in a
/// build that is not optimised; `nightshift simulate` has more.
#[test]
fn two_hundred_seeds_of_thirty_days_break_nothing() {
    let base =
        Settings { deliverables: 2, runs_per_day: 2, replay_one_in: 8, ..settings(&Simulator::default(), 0, 30) };
    let (next, summary) = (AtomicU64::new(1), Mutex::new(Summary::default()));
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                let simulator = Simulator::default();
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed > SEEDS {
                        return;
                    }
                    let settings = Settings { seed, ..base.clone() };
                    let outcome = simulator.run(&settings);
                    assert_sound(&settings, &outcome);
                    summary.lock().unwrap().add(&outcome);
                }
            });
        }
    });
    let summary = summary.into_inner().unwrap();
    println!("{} seeds, {:.0} days, 2 orders and 2 requests a day", summary.seeds, summary.days());
    summary.coverage.iter().for_each(|(class, times)| println!("{times:>8} {}", class.as_str()));
    assert_eq!(summary.seeds, SEEDS);
    let missing: Vec<&str> = summary.missing(&base).iter().map(|class| class.as_str()).collect();
    assert!(missing.is_empty(), "never happened, so nothing is proven about them: {missing:?}");
    assert_eq!(never_looked_at(&summary), [], "invariants that were never looked at");
}

const SEEDS: u64 = 200;

/// A transaction arrived while the shards of its group were asked one after the other what became of it: it was written in
/// some of them, and believed to be in all.
#[test]
fn what_is_known_of_one_shard_of_a_group_is_not_believed_of_all() {
    let simulator = Simulator::default();
    let sound = settings(&simulator, 10, 6);
    assert_sound(&sound, &simulator.run(&sound));
    let broken = simulator.run(&Settings { sabotage: Some(Sabotage::AllOrNothing), ..sound });
    assert!(broken.violated > 0, "the history no longer holds such a transaction: look for another seed");
}

/// A history that a long run took for broken, and that is not: a pause was asked for again, unheard, behind its own end.
#[test]
fn what_was_taken_for_broken_is_not() {
    let simulator = Simulator::default();
    for seed in [2_713, 7_698] {
        let settings = Settings { deliverables: 2, runs_per_day: 2, ..settings(&simulator, seed, 2) };
        assert_sound(&settings, &simulator.run(&settings));
    }
}

#[test]
fn a_seed_is_one_history() {
    let simulator = Simulator::default();
    let settings = settings(&simulator, 7, 2);
    let (one, other) = (simulator.run(&settings), Simulator::default().run(&settings));
    assert_eq!((one.hash, one.steps, &one.coverage), (other.hash, other.steps, &other.coverage));
    let next = Settings { seed: 8, ..settings };
    assert_ne!(one.hash, simulator.run(&next).hash, "another seed is another history");
}

/// A checker that was never seen failing proves nothing.
#[test]
fn the_auditor_sees_what_is_wrong_on_purpose() {
    let simulator = Simulator::default();
    let mut unseen = Vec::new();
    // What is believed of all shards of a group has a history of its own.
    for sabotage in Sabotage::ALL.iter().copied().filter(|sabotage| *sabotage != Sabotage::AllOrNothing) {
        let tries = (1..=30).flat_map(|seed| [(seed, 1), (seed, 20)]);
        let found = tries.into_iter().any(|(seed, violations_max)| {
            let settings = Settings {
                sabotage: Some(sabotage),
                violations_max,
                deliverables: 16,
                ..settings(&simulator, seed, 2)
            };
            let outcome = simulator.run(&settings);
            if sabotage == Sabotage::Unseeded {
                return simulator.run(&settings).hash != outcome.hash;
            }
            outcome.violations.iter().any(|violation| sabotage.breaks().contains(&violation.invariant))
        });
        if !found {
            unseen.push(sabotage.as_str());
        }
    }
    assert!(unseen.is_empty(), "the auditor does not see {unseen:?}");
}

#[test]
fn a_failing_history_is_made_smaller_and_can_be_made_again() {
    let simulator = Simulator::default();
    let failing = Settings { sabotage: Some(Sabotage::DoubleFire), violations_max: 1, ..settings(&simulator, 1, 8) };
    let outcome = simulator.run(&failing);
    assert!(outcome.violated > 0);
    let (small, found) = shrink(&simulator, &failing, outcome);
    assert!(small.days < 8 && small.faults.len() < failing.faults.len() && found.violated > 0, "{small:?}");
    assert!(small.command(&[]).starts_with("nightshift simulate --seed 1 --days "), "{}", small.command(&[]));
    assert_eq!(simulator.run(&small).hash, found.hash);
}

/// What a definition says about crashes decides what can happen twice.
#[test]
fn a_step_without_a_key_is_seen_to_be_done_twice() {
    let simulator = Simulator::default();
    let found = |crash: &str| {
        let text = format!("name: pay\nsteps:\n  - {{id: send, call: /agents/bank, crash: {crash}}}\n");
        let document = Arc::new(simulator.read(&text, "pay.yml").expect("it is sound"));
        (1..=3).any(|seed| {
            let (documents, deliverables, runs_per_day) = (vec![Arc::clone(&document)], 0, 300);
            let settings = Settings { documents, deliverables, runs_per_day, ..Settings::of(seed, 2) };
            let outcome = simulator.run(&settings);
            assert_sound(&settings, &outcome);
            outcome.findings.iter().any(|(finding, _)| finding.step == "send" && finding.what.contains("twice"))
        })
    };
    assert!(found("retry"));
    assert!(!found("keyed"));
    assert!(!found("never"));
}

/// In whatever order seeds are added, and wherever a run was interrupted: the sum is the same.
#[test]
fn a_sum_does_not_depend_on_the_order_of_seeds() {
    let simulator = Simulator::default();
    let outcomes: Vec<Outcome> = (1..=4).map(|seed| simulator.run(&settings(&simulator, seed, 1))).collect();
    let (mut one, mut other) = (Summary::default(), Summary::default());
    outcomes.iter().for_each(|outcome| one.add(outcome));
    let base = settings(&simulator, 0, 1);
    for (nth, outcome) in outcomes.iter().rev().enumerate() {
        other.add(outcome);
        let report = Report {
            program: "nightshift".to_owned(),
            machine: [("cpu".to_owned(), "1 x some".to_owned())].into(),
            asked: Asked::of(&base, &[], 1),
            next: nth as u64,
            jobs: 1,
            wall_s: 1.0,
            summary: other.clone(),
        };
        let kept = serde_json::to_string(&report).expect("it is JSON");
        assert_eq!(serde_json::from_str::<Report>(&kept).expect("it is a report"), report);
        other = report.summary;
    }
    assert_eq!(one, other);
}

/// The figures of the document are those of the file beside it. `UPDATE=1` writes them anew.
#[test]
#[expect(clippy::disallowed_methods, reason = "a person asks for the update")]
fn the_figures_of_the_document_are_those_of_the_last_run() {
    let docs = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
    let text = std::fs::read_to_string(docs.join("figures/simulate.json")).expect("the last run is kept");
    let report: Report = serde_json::from_str(&text).expect("it is a report");
    assert!(report.is_sound(), "{:?}", report.summary.failed);
    let document = std::fs::read_to_string(docs.join("reliability.md")).expect("it is there");
    let wanted = put_between_marks(&document, "simulate", &report.markdown()).expect("it has marks");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(docs.join("reliability.md"), &wanted).expect("it can be written");
    }
    let again = "nightshift simulate --render docs/figures/simulate.json --into docs/reliability.md";
    assert!(document == wanted, "the figures are of another run: {again}");
}

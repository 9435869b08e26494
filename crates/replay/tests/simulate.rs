//! The simulation: nothing breaks under faults, the auditor sees what is broken on purpose, a seed is one history.
//!
//! Owns: how many seeds are lived through at each build. `nightshift simulate` lives through more.

use std::{collections::BTreeSet, sync::Arc};

use nightshift_replay::simulate::{Fault, Outcome, Sabotage, Settings, Simulator, Summary, shrink};

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
        assert!(outcome.runs > 100 && outcome.effects > 200 && outcome.checks > 10_000, "{outcome:?}");
    }
}

#[test]
fn under_all_faults_nothing_is_broken() {
    let simulator = Simulator::default();
    let mut summary = Summary::default();
    for seed in 1..=SEEDS {
        let settings = settings(&simulator, seed, DAYS);
        let outcome = simulator.run(&settings);
        assert_sound(&settings, &outcome);
        summary.add(&outcome);
    }
    let seen: BTreeSet<Fault> = summary.coverage.keys().map(|class| class.fault()).collect();
    assert_eq!(seen, Fault::ALL.iter().copied().collect(), "every family of faults happens: {:?}", summary.coverage);
}

const SEEDS: u64 = 16;
const DAYS: u32 = 4;

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
    for sabotage in Sabotage::ALL.iter().copied() {
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

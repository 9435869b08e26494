//! Schedules and their clocks: everything that can happen within the bounds under each policy, and what the search says when
//! something is broken on purpose.
//!
//! Owns: the bounds and the table of mutations. Refuses to know: how the model works.

use nightshift_domain::calendar::CatchUp::{self, All, Latest, Skip};
use nightshift_model::{
    explore::{assert_found, assert_holds, explore, explore_for},
    schedule::{EACH, Faults, HEARD, Mutation, NOT_BEFORE, ONCE, POLICY, Schedules, TIMER},
};

/// More than any of these worlds has.
const STATES_MAX: usize = 300_000;

const NONE: Faults = Faults::NONE;

/// Three due instants.
const UNTIL_S: i64 = 540;

fn assert_policy_holds(name: &str, catch_up: CatchUp, window_s: Option<u64>, faults: Faults, classes: &[&str]) {
    let explored = explore(&Schedules::of(catch_up, window_s, UNTIL_S, faults), STATES_MAX);
    assert_holds(name, &explored, classes);
}

/// Down at any time for any time.
const DOWN: Faults = Faults { crashes: 1, ..NONE };

const CRASHES: [&str; 5] = [
    "crash",
    "crash: timer went off, nobody heard",
    "crash: target told, schedule does not know",
    "time goes by while it is down",
    "told late",
];

#[test]
fn missed_instants_are_skipped() {
    assert_policy_holds("skip", Skip, None, DOWN, &[&CRASHES[..], &["passed over: skip"]].concat());
}

#[test]
fn the_latest_stands_for_all() {
    let classes = ["passed over: latest", "missed and made up for"];
    assert_policy_holds("latest", Latest, None, DOWN, &[&CRASHES[..], &classes].concat());
}

#[test]
fn some_are_made_up_for() {
    let classes = ["passed over: max", "missed and made up for"];
    assert_policy_holds("all, at most 1", All { max: 1 }, None, DOWN, &[&CRASHES[..], &classes].concat());
}

#[test]
fn none_beyond_the_window() {
    let classes = ["passed over: window", "missed and made up for"];
    let window_s = Some(150);
    assert_policy_holds("all, within 150 s", All { max: 9 }, window_s, DOWN, &[&CRASHES[..], &classes].concat());
}

#[test]
fn clocks_that_are_set_back_and_pauses() {
    let faults = Faults { set_back: 1, pauses: 1, ..NONE };
    let classes = ["clock set back", "paused", "resumed", "passed over: paused"];
    assert_policy_holds("latest, paused, clock set back", Latest, None, faults, &classes);
}

#[test]
fn timers_that_come_twice_and_rules_given_anew() {
    let faults = Faults { duplicates: 1, retimes: 1, ..NONE };
    let classes = ["timer told twice", "same rule anew", "told late"];
    assert_policy_holds("latest, the same rule anew", Latest, None, faults, &classes);
}

#[test]
fn each_mutation_breaks_what_it_is_against() {
    let back = Faults { set_back: 1, pauses: 1, ..NONE };
    let anew = Faults { set_back: 1, retimes: 1, ..NONE };
    let table = [
        (Mutation::FireOnReload, ONCE, Latest, DOWN),
        (Mutation::ForgetLast, ONCE, Latest, back),
        (Mutation::CountFromNow, EACH, Latest, DOWN),
        (Mutation::Early, NOT_BEFORE, Latest, NONE),
        (Mutation::OtherPolicy, POLICY, Skip, DOWN),
        (Mutation::OtherPolicy, POLICY, All { max: 9 }, DOWN),
        (Mutation::FreshIds, HEARD, Latest, DOWN),
        (Mutation::LoseTelling, HEARD, Latest, DOWN),
        (Mutation::LoseTimer, TIMER, Latest, NONE),
        (Mutation::KeepTimer, TIMER, Latest, anew),
    ];
    for (mutation, property, catch_up, faults) in table {
        let world = Schedules::of(catch_up, None, UNTIL_S, faults).broken_by(mutation);
        assert_found(&format!("{mutation:?}"), &explore_for(&world, STATES_MAX, property), property);
    }
}

//! Places, attempts and zombies: everything that can happen to a run's steps within the bounds, and what the search says
//! when something is broken on purpose.
//!
//! Owns: the bounds and the table of mutations. Refuses to know: how the model works.

use nightshift_domain::run::CrashPolicy::{Never, Retry};
use nightshift_model::{
    explore::{STUCK, assert_found, assert_holds, explore, explore_for},
    lease::{
        AT_MOST_ONCE, Faults, LIVING, Leases, Mutation, NOTHING_OWED, NUMBER, ONE_END, OPEN, PLACES, POLICY, TOKEN,
    },
};

/// More than any of these worlds has.
const STATES_MAX: usize = 300_000;

const NONE: Faults = Faults::NONE;

#[test]
fn attempts_that_fail_and_processes_that_end() {
    let faults = Faults { crashes: 2, failures: 2, duplicates: 1, ..NONE };
    let explored = explore(&Leases::of(&["a"], Retry, 2, 1, faults), STATES_MAX);
    let classes = [
        "begun again after a loss",
        "crash: message under way",
        "crash: work under way",
        "crash: job waits",
        "dead",
        "expired",
        "failed",
        "grant turned down",
        "late result",
        "message twice",
        "retry due",
        "stale result kept for the record",
        "succeeded",
        "timer twice",
        "turned away",
    ];
    assert_holds("a step that may be done again", &explored, &classes);
}

#[test]
fn leases_that_are_lost_and_renewed_while_the_run_is_cancelled() {
    let faults = Faults { crashes: 1, renewals: 1, lost: 1, duplicates: 1, cancels: 1, ..NONE };
    let explored = explore(&Leases::of(&["a"], Retry, 2, 1, faults), STATES_MAX);
    let classes = ["cancelled", "epoch raised by its owner", "expired", "late result", "task lost"];
    assert_holds("a step whose task is lost", &explored, &classes);
}

#[test]
fn what_must_never_be_done_again() {
    let faults = Faults { crashes: 1, lost: 1, failures: 1, duplicates: 1, retries: 1, ..NONE };
    let explored = explore(&Leases::of(&["a"], Never, 2, 1, faults), STATES_MAX);
    let classes = ["crash: work under way", "dead", "done again by hand", "expired", "late result"];
    assert_holds("a step that must never be done again", &explored, &classes);
}

#[test]
fn two_steps_for_one_place() {
    let faults = Faults { crashes: 1, lost: 1, cancels: 1, duplicates: 1, ..NONE };
    let explored = explore(&Leases::of(&["a", "b"], Retry, 1, 1, faults), STATES_MAX);
    let classes = ["begun again after a loss", "cancelled", "grant turned down", "late result"];
    assert_holds("two steps for one place", &explored, &classes);
}

#[test]
fn each_mutation_breaks_what_it_is_against() {
    let crash = Faults { crashes: 1, ..NONE };
    let fail = Faults { failures: 1, ..NONE };
    let twice = Faults { duplicates: 1, ..NONE };
    let by_hand = Faults { failures: 1, retries: 1, ..NONE };
    let one = |crash, faults| Leases::of(&["a"], crash, 2, 1, faults);
    let table = [
        (Mutation::AnyToken, OPEN, one(Retry, crash)),
        (Mutation::SameToken, TOKEN, one(Retry, fail)),
        (Mutation::Forgetful, NUMBER, Leases::of(&["a"], Retry, 1, 1, by_hand)),
        (Mutation::StaleState, ONE_END, one(Retry, twice)),
        (Mutation::OneMore, POLICY, one(Retry, Faults { failures: 2, ..NONE })),
        (Mutation::Again, AT_MOST_ONCE, one(Never, crash)),
        (Mutation::ExpireByEpoch, LIVING, one(Retry, Faults { renewals: 1, ..NONE })),
        (Mutation::KeepClosed, NOTHING_OWED, one(Retry, NONE)),
        (Mutation::NoPlaces, PLACES, Leases::of(&["a", "b"], Retry, 1, 1, NONE)),
        (Mutation::ForgetExpiry, STUCK, one(Retry, crash)),
        (Mutation::LeakPlace, STUCK, one(Retry, Faults { cancels: 1, ..NONE })),
        (Mutation::LoseTimer, STUCK, one(Retry, fail)),
    ];
    for (mutation, property, world) in table {
        let explored = explore_for(&world.broken_by(mutation), STATES_MAX, property);
        assert_found(&format!("{mutation:?}"), &explored, property);
    }
}

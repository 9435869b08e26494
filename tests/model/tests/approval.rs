//! Questions to people: everything that two of them, a deadline and a process that ends can do within the bounds, and what
//! the search says when something is broken on purpose.
//!
//! Owns: the bounds and the table of mutations. Refuses to know: how the model works.

use nightshift_domain::run::OnTimeout::{self, Abort, Approve};
use nightshift_model::{
    approval::{Approvals, COUNTS, DEADLINE, DIGEST, Faults, Mutation, NOTHING_OWED, ONCE, PAST, VALUE},
    explore::{STUCK, assert_found, assert_holds, explore, explore_for},
};

/// More than any of these worlds has.
const STATES_MAX: usize = 300_000;

const NONE: Faults = Faults::NONE;

fn escalate() -> OnTimeout {
    OnTimeout::Escalate { to: "boss".to_owned() }
}

#[test]
fn two_people_answer_and_nobody_does_in_time() {
    let explored = explore(&Approvals::of(Abort, Faults { duplicates: 1, ..NONE }), STATES_MAX);
    let classes = [
        "asked again",
        "aborted",
        "approved",
        "deadline told twice",
        "decided by a person",
        "decided by the deadline",
        "retried",
        "too late: decided",
        "void: another payload",
        "went on",
    ];
    assert_holds("abort at the deadline", &explored, &classes);
}

#[test]
fn the_deadline_approves_and_the_process_ends() {
    let explored = explore(&Approvals::of(Approve, Faults { crashes: 1, cancels: 1, ..NONE }), STATES_MAX);
    let classes = [
        "crash: deadline went off, nobody heard",
        "cancelled",
        "deadline heard too late",
        "too late: the run is over",
        "went on",
    ];
    assert_holds("approve at the deadline", &explored, &classes);
}

#[test]
fn the_deadline_escalates() {
    let explored = explore(&Approvals::of(escalate(), Faults { duplicates: 1, ..NONE }), STATES_MAX);
    assert_holds("escalate at the deadline", &explored, &["escalated", "decided by a person", "went on"]);
}

#[test]
fn the_same_answer_again_and_outputs_in_its_place() {
    let faults = Faults { answers: [2, 1], replacements: 1, ..NONE };
    let explored = explore(&Approvals::of(Abort, faults), STATES_MAX);
    let classes = ["replaced", "the same again", "too late: decided"];
    assert_holds("three answers, an output in its place", &explored, &classes);
}

#[test]
fn answers_that_were_meant_for_the_course_before() {
    let explored = explore(&Approvals::of(Abort, Faults { reruns: 1, ..NONE }), STATES_MAX);
    assert_holds("done again", &explored, &["done again", "asked again", "too late: decided"]);
}

#[test]
fn each_mutation_breaks_what_it_is_against() {
    let table = [
        (Mutation::NoDigest, DIGEST, Abort, NONE),
        (Mutation::StaleState, ONCE, Abort, NONE),
        (Mutation::Polite, COUNTS, Abort, NONE),
        (Mutation::PassOver, PAST, Abort, NONE),
        (Mutation::OtherValue, VALUE, Abort, NONE),
        (Mutation::Early, DEADLINE, Approve, NONE),
        (Mutation::KeepClosed, NOTHING_OWED, Abort, NONE),
        (Mutation::LoseTimer, STUCK, Abort, NONE),
    ];
    for (mutation, property, on_timeout, faults) in table {
        let world = Approvals::of(on_timeout, faults).broken_by(mutation);
        assert_found(&format!("{mutation:?}"), &explore_for(&world, STATES_MAX, property), property);
    }
}

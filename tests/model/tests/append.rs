//! Appends, unknown outcomes, takeovers and sessions: everything that can happen within the bounds, and what the search says
//! when the protocol is broken on purpose.
//!
//! Owns: the bounds and the table of mutations. Refuses to know: how the model works.

use nightshift_model::{
    append::{
        ACKNOWLEDGED, Append, DENSE, EPOCH, Engine, FENCE, Faults, LOST, Mutation, NEVER, ONCE, ORDER, Order, WHOLE,
    },
    explore::{STUCK, assert_found, assert_holds, explore, explore_for},
};

/// More than any of these worlds has.
const STATES_MAX: usize = 1_000_000;

const NONE: Faults = Faults::NONE;

/// An event, a refusal without events, and two events.
fn orders(shards: [u8; 3]) -> Vec<Order> {
    shards.into_iter().zip([1, 0, 2]).map(|(shard, events)| Order { shard, events }).collect()
}

fn world(engine: Engine, shards: [u8; 3], faults: Faults) -> Append {
    Append { engine, orders: orders(shards), faults, mutation: None }
}

fn assert_world_holds(name: &str, shards: [u8; 3], faults: Faults, classes: &[&str]) {
    for engine in [Engine::Sqlite, Engine::Postgres] {
        let explored = explore(&world(engine, shards, faults), STATES_MAX);
        assert_holds(&format!("{name}, {}", engine.name()), &explored, classes);
    }
}

#[test]
fn appends_of_which_nobody_heard() {
    let faults = Faults { unknown: 2, unheard: 1, refusals: 1, impatience: 1, ..NONE };
    let classes = [
        "answer lost before it",
        "answer lost behind it",
        "asked twice",
        "fenced behind the question",
        "question unheard",
        "resolved: written",
        "resolved: not written",
        "sent again",
        "turned away",
        "written unheard",
    ];
    assert_world_holds("unknown outcomes on one shard", [0, 0, 0], faults, &classes);
}

#[test]
fn appends_to_two_shards_of_which_nobody_heard() {
    let faults = Faults { unknown: 2, unheard: 1, ..NONE };
    let classes = ["two shards in one transaction", "one shard written, one fenced", "resolved: in part"];
    assert_world_holds("unknown outcomes on two shards", [0, 1, 0], faults, &classes);
}

#[test]
fn takeovers_while_the_old_process_writes() {
    let faults = Faults { stalls: 1, unknown: 1, unheard: 1, ..NONE };
    let classes = [
        "session ran out under a process",
        "takeover from a living process",
        "both saw nobody",
        "fenced",
        "a process learns that it was replaced",
        "resolved: lost",
        "repeated",
    ];
    assert_world_holds("takeover of two shards", [0, 1, 0], faults, &classes);
}

#[test]
fn crashes_at_every_step() {
    let faults = Faults { crashes: 1, unknown: 1, ..NONE };
    let classes = [
        "crash: idle",
        "crash: before the append",
        "crash: in flight",
        "crash: before the question",
        "crash: between raising and looking",
        "crash: before it is sent again",
        "repeated",
    ];
    assert_world_holds("crashes on two shards", [0, 1, 0], faults, &classes);
}

#[test]
fn each_mutation_breaks_what_it_is_against() {
    use Engine::{Postgres, Sqlite};
    let stall = Faults { stalls: 1, ..NONE };
    let crash = Faults { crashes: 1, ..NONE };
    let unknown = Faults { unknown: 1, unheard: 1, ..NONE };
    let (one, two) = ([0, 0, 0], [0, 1, 0]);
    let table = [
        (Mutation::NoFence, FENCE, Sqlite, one, stall),
        (Mutation::NoFence, ORDER, Sqlite, one, stall),
        (Mutation::EpochOfTheSnapshot, FENCE, Postgres, one, stall),
        (Mutation::SameEpoch, EPOCH, Sqlite, one, stall),
        (Mutation::AskWithoutRaising, NEVER, Sqlite, one, unknown),
        (Mutation::AskOnce, LOST, Sqlite, one, unknown),
        (Mutation::AcknowledgeEarly, ACKNOWLEDGED, Sqlite, one, crash),
        (Mutation::GuessWritten, ACKNOWLEDGED, Sqlite, one, unknown),
        (Mutation::AllOrNothing, ACKNOWLEDGED, Sqlite, two, unknown),
        (Mutation::AllOrNothing, ACKNOWLEDGED, Postgres, two, unknown),
        (Mutation::NoUnique, ONCE, Sqlite, one, crash),
        (Mutation::Half, WHOLE, Sqlite, one, NONE),
        (Mutation::Sequence, DENSE, Sqlite, one, stall),
        (Mutation::Wait, STUCK, Sqlite, one, unknown),
    ];
    for (mutation, property, engine, shards, faults) in table {
        let mutated = Append { mutation: Some(mutation), ..world(engine, shards, faults) };
        assert_found(&format!("{mutation:?}"), &explore_for(&mutated, STATES_MAX, property), property);
    }
}

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

const STATES_MAX: usize = 400_000;

fn one_shard() -> Vec<Order> {
    vec![Order { shard: 0, events: 1 }, Order { shard: 0, events: 0 }, Order { shard: 0, events: 2 }]
}

fn two_shards() -> Vec<Order> {
    vec![Order { shard: 0, events: 1 }, Order { shard: 1, events: 0 }, Order { shard: 0, events: 2 }]
}

fn world(engine: Engine, orders: Vec<Order>, faults: Faults) -> Append {
    Append { engine, orders, faults, mutation: None }
}

#[test]
fn probe() { use nightshift_model::append::*;
    for (name, orders, faults) in [
        ("1 crash", one_shard(), Faults { crashes: 1, ..Faults::NONE }),
        ("1 unknown", one_shard(), Faults { unknown: 1, unheard: 1, ..Faults::NONE }),
        ("1 stall", one_shard(), Faults { stalls: 1, ..Faults::NONE }),
        ("2 unknown", two_shards(), Faults { unknown: 1, unheard: 1, ..Faults::NONE }),
        ("2 stall unknown", two_shards(), Faults { stalls: 1, unknown: 1, unheard: 0, ..Faults::NONE }),
        ("2 crash stall", two_shards(), Faults { crashes: 1, stalls: 1, ..Faults::NONE }),
    ] {
        for mutation in [None, Some(Mutation::AllOrNothing)] {
        for engine in [Engine::Sqlite, Engine::Postgres] {
            let began = std::time::Instant::now();
            let e = explore(&Append { mutation, ..world(engine, orders.clone(), faults) }, STATES_MAX);
            println!("{name} {} {mutation:?} {:?}: {e}", engine.name(), began.elapsed());
        }}
    }
}

//! Schedules.
//!
//! Owns: the bounds. Refuses to know: how the model works.

use nightshift_domain::calendar::CatchUp;
use nightshift_model::{
    explore::explore,
    schedule::{Faults, Schedules},
};

#[test]
fn probe() {
    let f = Faults::NONE;
    for (name, catch_up, faults) in [
        ("none", CatchUp::Latest, f),
        ("crash latest", CatchUp::Latest, Faults { crashes: 1, ..f }),
        ("crash all", CatchUp::All { max: 2 }, Faults { crashes: 1, ..f }),
        ("pause", CatchUp::Skip, Faults { pauses: 1, ..f }),
        ("back", CatchUp::Skip, Faults { set_back: 1, retimes: 1, ..f }),
        ("crash pause back", CatchUp::Latest, Faults { crashes: 1, pauses: 1, set_back: 1, ..f }),
    ] {
        let began = std::time::Instant::now();
        let e = explore(&Schedules::of(catch_up, None, 600, faults), 60_000);
        println!("{name} {:?}: {e}", began.elapsed());
    }
}

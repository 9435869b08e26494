//! Leases and zombies.
//!
//! Owns: the bounds. Refuses to know: how the model works.

use nightshift_domain::run::CrashPolicy;
use nightshift_model::{
    explore::explore,
    lease::{Faults, Leases},
};

#[test]
fn probe() {
    let f = Faults::NONE;
    for (name, crash, faults) in [
        ("none", CrashPolicy::Retry, f),
        ("fail", CrashPolicy::Retry, Faults { failures: 1, ..f }),
        ("crash1", CrashPolicy::Retry, Faults { crashes: 1, ..f }),
        ("crash1 fail1 dup1", CrashPolicy::Retry, Faults { crashes: 1, failures: 1, duplicates: 1, ..f }),
        ("never all", CrashPolicy::Never, Faults { crashes: 1, renewals: 1, lost: 1, duplicates: 1, failures: 1, cancels: 1, retries: 1 }),
        ("all", CrashPolicy::Retry, Faults { crashes: 1, renewals: 1, lost: 1, duplicates: 1, failures: 1, cancels: 1, retries: 1 }),
    ] {
        let began = std::time::Instant::now();
        let e = explore(&Leases::of(&["a"], crash, 2, 1, faults), 60_000);
        println!("{name} {:?}: {e}", began.elapsed());
    }
}

//! Makes a failing history smaller.
//!
//! Owns: what is tried: fewer days, faults, orders, requests, processes. Refuses to know: why it fails.

use super::{Invariant, Outcome, Settings, Simulator};

/// Histories that are tried at most.
const TRIES_MAX: u32 = 60;

/// The smallest settings that were found to break one of the same invariants, and what became of them. The seed stays.
#[must_use]
pub fn shrink(simulator: &Simulator, failing: &Settings, outcome: Outcome) -> (Settings, Outcome) {
    let broken: Vec<Invariant> = outcome.violations.iter().map(|violation| violation.invariant).collect();
    let (mut best, mut found, mut tries) = (failing.clone(), outcome, 0);
    loop {
        let smaller = candidates(&best).into_iter().find_map(|candidate| {
            tries += 1;
            if tries > TRIES_MAX {
                return None;
            }
            let outcome = simulator.run(&candidate);
            let same = outcome.violations.iter().any(|violation| broken.contains(&violation.invariant));
            same.then_some((candidate, outcome))
        });
        match smaller {
            Some(smaller) => (best, found) = smaller,
            None => return (best, found),
        }
    }
}

fn candidates(from: &Settings) -> Vec<Settings> {
    let mut all = Vec::new();
    let mut offer = |differs: bool, candidate: Settings| {
        if differs {
            all.push(candidate);
        }
    };
    offer(from.days > 1, Settings { days: from.days / 2, ..from.clone() });
    offer(from.deliverables > 0, Settings { deliverables: 0, ..from.clone() });
    offer(from.runs_per_day > 0, Settings { runs_per_day: 0, ..from.clone() });
    offer(from.deliverables > 1, Settings { deliverables: from.deliverables / 2, ..from.clone() });
    offer(from.runs_per_day > 1, Settings { runs_per_day: from.runs_per_day / 2, ..from.clone() });
    for fault in &from.faults {
        let mut faults = from.faults.clone();
        faults.remove(fault);
        offer(true, Settings { faults, ..from.clone() });
    }
    offer(from.days > 1, Settings { days: from.days - 1, ..from.clone() });
    all
}

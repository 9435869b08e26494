//! How much is measured.
//!
//! Owns: the three sizes and what each means for every measurement.
//! Refuses to know: how a figure is taken.

use crate::args;

/// How much is measured.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Sizes {
    pub(super) name: &'static str,
    /// Times each figure is taken.
    pub(super) repeats: u32,
    /// Times a figure is taken that takes minutes each time.
    pub(super) heavy_repeats: u32,
    /// Events appended for one figure.
    pub(super) append_events: usize,
    /// Deliverables due at one instant.
    pub(super) crowd: u64,
    /// Deliverables that wait.
    pub(super) idle: u64,
    /// For how many milliseconds an idle daemon is watched.
    pub(super) watch_ms: u64,
    /// Deliverables due one after the other, in each round.
    pub(super) spread: u64,
    /// Runs of three steps.
    pub(super) runs: u64,
    /// Jobs that wait and are drained.
    pub(super) jobs: u64,
    /// Jobs of the one user beside others.
    pub(super) many: u64,
    /// The other users, and how many jobs each has.
    pub(super) others: (u64, u64),
    /// Jobs at a quiet pace.
    pub(super) paced: u64,
    /// Jobs as fast as can be, to find the other pace.
    pub(super) burst: u64,
    /// Seconds of it.
    pub(super) busy_s: u64,
    /// Runs under way when the process is killed.
    pub(super) in_flight: u64,
    /// Schedules of workflows that fall due.
    pub(super) schedules: u64,
    /// Runs that wait.
    pub(super) waiting: u64,
    /// Deliverables due in the process whose memory is looked at.
    pub(super) small_crowd: u64,
    /// A rate is taken over at least so many seconds.
    pub(super) rate_s: f64,
}

/// Seconds each: shows that everything works.
const QUICK: Sizes = Sizes {
    name: "quick",
    repeats: 1,
    heavy_repeats: 1,
    append_events: 400,
    crowd: 10,
    idle: 100,
    watch_ms: 200,
    spread: 8,
    runs: 40,
    jobs: 60,
    many: 60,
    others: (9, 4),
    paced: 10,
    burst: 40,
    busy_s: 1,
    in_flight: 20,
    schedules: 20,
    waiting: 40,
    small_crowd: 5,
    rate_s: 0.05,
};

/// Ends within ten minutes for two stores.
const USUAL: Sizes = Sizes {
    name: "usual",
    repeats: 3,
    heavy_repeats: 3,
    append_events: 40_000,
    crowd: 2_000,
    idle: 20_000,
    watch_ms: 5_000,
    spread: 100,
    runs: 3_000,
    jobs: 5_000,
    many: 5_000,
    others: (99, 10),
    paced: 100,
    burst: 2_000,
    busy_s: 3,
    in_flight: 1_000,
    schedules: 500,
    waiting: 2_000,
    small_crowd: 500,
    rate_s: 1.0,
};

/// The largest that is claimed.
const FULL: Sizes = Sizes {
    name: "full",
    repeats: 3,
    heavy_repeats: 1,
    append_events: 200_000,
    crowd: 100_000,
    idle: 1_000_000,
    watch_ms: 10_000,
    spread: 200,
    runs: 30_000,
    jobs: 100_000,
    many: 100_000,
    others: (99, 10),
    paced: 400,
    burst: 5_000,
    busy_s: 10,
    in_flight: 10_000,
    schedules: 5_000,
    waiting: 20_000,
    small_crowd: 2_000,
    rate_s: 1.0,
};

impl Sizes {
    /// What the command line asks for.
    pub(super) const fn of(args: &args::Bench) -> Self {
        let sizes = if args.quick {
            QUICK
        } else if args.full {
            FULL
        } else {
            USUAL
        };
        match args.repeats {
            None => sizes,
            Some(repeats) if args.full => Self { repeats, ..sizes },
            Some(repeats) => Self { repeats, heavy_repeats: repeats, ..sizes },
        }
    }
}

//! The names of what must hold, as `docs/reliability.md` lists them.
//!
//! Owns: the list, and how often each of them was looked at. Refuses to know: how it is looked at (`audit`).

use std::collections::BTreeMap;

use super::fault::words;

words! {
    /// Something that must hold.
    Invariant {
        /// The log of a shard has no gap, the events of a stream neither.
        I1 => "I1",
        /// A command is done at most once, and a client that was told so finds it in the log.
        I2 => "I2",
        /// One epoch of a shard belongs to one process.
        I3 => "I3",
        /// Events, command and obligations of a commit are there together or not at all.
        I4 => "I4",
        /// A process that was replaced writes nothing more.
        I5 => "I5",
        /// The hybrid clock of a shard grows.
        I7 => "I7",
        /// No two attempts have the same token.
        I8 => "I8",
        /// The table of obligations is what the streams' events open and close.
        I9 => "I9",
        /// Read models are the fold of the log; their checkpoints never go back.
        I10 => "I10",
        /// A result counts under the token of the attempt that is open.
        I11 => "I11",
        /// No attempt stays open.
        I12 => "I12",
        /// Each due instant is told once, in order, not before its time, and heard once.
        I13 => "I13",
        /// Things go through their states, and limits of places hold.
        I17 => "I17",
        /// A snapshot is the fold of the events before it.
        I18 => "I18",
        /// Every recorded decision comes out the same when it is made again.
        I19 => "I19",
        /// A bucket gives no more tokens than it holds.
        I21 => "I21",
        /// What reaches the outside was durable before, under one key a round.
        I23 => "I23",
        /// One seed is one history.
        I24 => "I24",
        /// Once faults stop, nothing is owed but timers of the future, and what was asked for has begun.
        I25 => "I25",
        /// A queue that is paused gives no place, and a limit that was set holds.
        I26 => "I26",
        /// A bulk job tells each letter once, and counts what its run made of it.
        I27 => "I27",
        /// What a webhook is told is durable and comes in the order of its run; what counts as told was received.
        I28 => "I28",
        /// A run begins under the version that is in force, and a schedule follows the last rule of its order.
        I29 => "I29",
    }
}

/// How often each invariant was looked at.
#[derive(Debug, Clone, Copy, Default)]
pub struct Looks([u64; Invariant::ALL.len()]);

impl Looks {
    /// So many more looks at one.
    pub fn add(&mut self, invariant: Invariant, times: u64) {
        self.0[invariant as usize] += times;
    }

    /// All together.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// Those that were looked at.
    #[must_use]
    pub fn by_invariant(&self) -> BTreeMap<Invariant, u64> {
        let all = Invariant::ALL.iter().copied().zip(self.0);
        all.filter(|(_, times)| *times > 0).collect()
    }
}

//! What the simulator can do wrong on purpose, to see that the auditor notices.
//!
//! Owns: the list, and which invariant each of them breaks. Only tests ask for one.

use std::sync::atomic::{AtomicU64, Ordering};

use super::fault::words;

/// Another number at each call, whatever the seed.
pub fn unseeded() -> u64 {
    static DRAWN: AtomicU64 = AtomicU64::new(0);
    DRAWN.fetch_add(1, Ordering::Relaxed)
}

words! {
    /// A seeded mutation of what carries the deciders, or of a decision.
    Sabotage {
        /// The database takes an append under any epoch.
        DropFence => "drop_fence",
        /// Whoever asked is answered before the append has landed.
        AckBeforeCommit => "ack_before_commit",
        /// A repeated command is decided again.
        SkipDedup => "skip_dedup",
        /// Whoever takes over keeps the epoch.
        ReuseEpoch => "reuse_epoch",
        /// Some timers are not armed, and not found again.
        LoseTimer => "lose_timer",
        /// A schedule tells an instant twice.
        DoubleFire => "double_fire",
        /// A place is not given back.
        LeakSlot => "leak_slot",
        /// A result under an old token is applied.
        ApplyStale => "apply_stale",
        /// The last commit of a batch is not written.
        HalfBatch => "half_batch",
        /// An obligation is not filed.
        DropObligation => "drop_obligation",
        /// An obligation is not closed.
        KeepObligation => "keep_obligation",
        /// Each attempt has a key of its own.
        KeyPerAttempt => "key_per_attempt",
        /// The effect begins before the attempt is durable.
        EffectBeforeCommit => "effect_before_commit",
        /// A question that is answered can be answered again.
        AnswerTwice => "answer_twice",
        /// The queue gives more places than there are.
        OverLimit => "over_limit",
        /// Token buckets never run dry.
        FreeTokens => "free_tokens",
        /// The hybrid clock follows the wall clock back.
        ClockFollows => "clock_follows",
        /// The projector's checkpoint is not compared.
        UnfencedRows => "unfenced_rows",
        /// A snapshot is filed under another version.
        WrongSnapshot => "wrong_snapshot",
        /// A decision depends on something that is not recorded.
        HiddenInput => "hidden_input",
        /// Grants have no nonce of their own.
        SameToken => "same_token",
        /// An unknown outcome is taken for written.
        GuessWritten => "guess_written",
        /// Attempts of a dead process are not expired.
        KeepDeadLease => "keep_dead_lease",
        /// Chance that no seed decides.
        Unseeded => "unseeded",
        /// A deliverable makes two versions of one slot.
        TwoVersions => "two_versions",
        /// A run is over while its steps are not.
        EarlyEnd => "early_end",
    }
}

impl Sabotage {
    /// The invariants of `docs/reliability.md` that must be seen broken: one of them is enough.
    #[must_use]
    pub const fn breaks(self) -> &'static [&'static str] {
        match self {
            Self::DropFence => &["I1", "I3", "I5"],
            Self::AckBeforeCommit | Self::SkipDedup => &["I2"],
            Self::GuessWritten => &["I2", "I23"],
            Self::ReuseEpoch => &["I3"],
            Self::LoseTimer => &["I9", "I13", "I25"],
            Self::DoubleFire => &["I13"],
            Self::LeakSlot => &["I12", "I25"],
            Self::ApplyStale => &["I11"],
            Self::HalfBatch => &["I4"],
            Self::DropObligation | Self::KeepObligation => &["I9"],
            Self::KeyPerAttempt | Self::EffectBeforeCommit => &["I23"],
            Self::AnswerTwice | Self::OverLimit | Self::TwoVersions | Self::EarlyEnd => &["I17"],
            Self::FreeTokens => &["I21"],
            Self::ClockFollows => &["I7"],
            Self::UnfencedRows => &["I10"],
            Self::WrongSnapshot => &["I18"],
            Self::HiddenInput => &["I19"],
            Self::SameToken => &["I8"],
            Self::KeepDeadLease => &["I12", "I25"],
            Self::Unseeded => &["I24"],
        }
    }
}

//! What the simulator can do wrong on purpose, to see that the auditor notices.
//!
//! Owns: the list, and which invariant each of them breaks. Only tests ask for one.

use std::sync::atomic::{AtomicU64, Ordering};

use super::{Invariant, fault::words};

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
        /// What is known of one shard of a group is believed of all.
        AllOrNothing => "all_or_nothing",
        /// A process does not hear what is set of the queue.
        DeafQueue => "deaf_queue",
        /// A process that begins does not read what is set of the queue.
        ForgetPause => "forget_pause",
        /// A webhook that did not take a message counts as told.
        UntoldReport => "untold_report",
        /// The messages of a run are sent in any order.
        ShuffleReports => "shuffle_reports",
        /// A page of a bulk job has a letter twice.
        LetterTwice => "letter_twice",
        /// What a run refused is counted as done.
        SayDone => "say_done",
        /// What people changed with their answer is lost.
        LoseChanges => "lose_changes",
        /// A run begins under a version that is not in force.
        FormerVersion => "former_version",
        /// A schedule goes on by its old rule when its order has another.
        LoseRetime => "lose_retime",
    }
}

impl Sabotage {
    /// The invariants of `docs/reliability.md` that must be seen broken: one of them is enough.
    #[must_use]
    pub const fn breaks(self) -> &'static [Invariant] {
        match self {
            Self::DropFence => &[Invariant::I1, Invariant::I3, Invariant::I5],
            Self::AckBeforeCommit | Self::SkipDedup => &[Invariant::I2],
            Self::GuessWritten => &[Invariant::I2, Invariant::I23],
            Self::ReuseEpoch => &[Invariant::I3],
            Self::LoseTimer => &[Invariant::I9, Invariant::I13, Invariant::I25],
            Self::DoubleFire => &[Invariant::I13],
            Self::LeakSlot => &[Invariant::I12, Invariant::I25],
            Self::ApplyStale => &[Invariant::I11],
            Self::HalfBatch => &[Invariant::I4],
            Self::DropObligation | Self::KeepObligation => &[Invariant::I9],
            Self::KeyPerAttempt | Self::EffectBeforeCommit => &[Invariant::I23],
            Self::AnswerTwice | Self::OverLimit | Self::TwoVersions | Self::EarlyEnd => &[Invariant::I17],
            Self::FreeTokens => &[Invariant::I21],
            Self::ClockFollows => &[Invariant::I7],
            Self::UnfencedRows => &[Invariant::I10],
            Self::WrongSnapshot => &[Invariant::I18],
            Self::HiddenInput => &[Invariant::I19],
            Self::SameToken => &[Invariant::I8],
            Self::KeepDeadLease => &[Invariant::I12, Invariant::I25],
            Self::Unseeded => &[Invariant::I24],
            Self::AllOrNothing => &[Invariant::I2, Invariant::I9, Invariant::I4],
            Self::DeafQueue | Self::ForgetPause => &[Invariant::I26, Invariant::I17],
            Self::LetterTwice | Self::SayDone => &[Invariant::I27],
            Self::UntoldReport | Self::ShuffleReports => &[Invariant::I28],
            Self::LoseChanges => &[Invariant::I17],
            Self::FormerVersion | Self::LoseRetime => &[Invariant::I29],
        }
    }
}

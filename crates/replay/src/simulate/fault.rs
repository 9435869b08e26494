//! What can go wrong, how often it did, and how a seed chooses.
//!
//! Owns: the switches of faults, the classes that are counted, the rates of a seed.
//! Refuses to know: what follows from a fault.

use std::collections::{BTreeMap, BTreeSet};

use super::chance::Chance;

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$var_doc:meta])* $variant:ident => $word:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($(#[$var_doc])* $variant),* }

        impl $name {
            /// Every one.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// Its word.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),* }
            }

            /// Reads [`Self::as_str`] back.
            #[must_use]
            pub fn parse(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|one| one.as_str() == word)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let word = <String as serde::Deserialize>::deserialize(deserializer)?;
                let unknown = || serde::de::Error::custom(format!("{word:?} is no {}", stringify!($name)));
                Self::parse(&word).ok_or_else(unknown)
            }
        }
    };
}
pub(super) use words;

words! {
    /// A switch: a family of faults.
    Fault {
        /// A process dies, at any point.
        Crash => "crash",
        /// It is not known whether an append was written.
        Unknown => "unknown",
        /// The database is slow, takes nothing, or does not answer.
        Database => "database",
        /// Results come twice, late, or not at all.
        Results => "results",
        /// The task of an attempt ends without an outcome.
        Leases => "leases",
        /// Another process takes the shards over while the old one still goes on.
        Takeover => "takeover",
        /// The wall clock of a process jumps.
        Clock => "clock",
        /// Commands that make no sense.
        Poison => "poison",
        /// Clients lose answers and ask again.
        Clients => "clients",
    }
}

words! {
    /// What happened: each is counted.
    Class {
        /// Nothing of its own was under way.
        CrashIdle => "crash: idle",
        /// Decided, nothing sent to the database.
        CrashDecided => "crash: before append",
        /// The append was sent and not answered.
        CrashInFlight => "crash: append in flight",
        /// The append was answered, nobody was told.
        CrashCommitted => "crash: after append, before reply",
        /// What was owed had been handed over, the reply had not gone out.
        CrashHandedOver => "crash: after hand-over",
        /// The queue had given a place, the run had not heard.
        CrashGranted => "crash: place given",
        /// An attempt was recorded, the effect had not begun.
        CrashBeforeEffect => "crash: before effect",
        /// The effect was done, its result not recorded.
        CrashAfterEffect => "crash: after effect, before result",
        /// A source was looked at, nothing recorded.
        CrashLooked => "crash: source looked at",
        /// In the middle of a recovery.
        CrashStarting => "crash: while recovering",
        /// It was written.
        UnknownCommitted => "unknown outcome: written",
        /// It was not.
        UnknownAborted => "unknown outcome: not written",
        /// It reached the database after the question what became of it.
        UnknownLate => "unknown outcome: landed after resolution",
        /// The answer to that question was lost as well.
        ResolveLost => "unknown outcome: answer of resolution lost",
        /// Nothing works for a while.
        DatabaseDown => "database: down",
        /// An append was turned away.
        NotWritten => "database: append turned away",
        /// Everything takes a hundred times as long.
        DatabaseSlow => "database: slow",
        /// A read was not answered.
        ReadFailed => "database: read failed",
        /// The same result twice.
        ResultTwice => "result: twice",
        /// A result of an attempt that was given up.
        ResultLate => "result: late",
        /// No result.
        ResultLost => "result: lost",
        /// The task that held it ended.
        LeaseLost => "lease: lost with its task",
        /// It stood still meanwhile.
        TakeoverFrozen => "takeover: of a frozen process",
        /// It went on meanwhile.
        TakeoverLive => "takeover: of a live process",
        /// An append of a process that was replaced.
        Fenced => "takeover: append of a zombie refused",
        /// To the future.
        ClockForward => "clock: forward",
        /// To the past.
        ClockBack => "clock: back",
        /// A command nobody would send.
        PoisonCommand => "poison: command",
        /// A request with values nobody would send.
        PoisonRequest => "poison: request",
        /// A client did not hear the answer and asked again.
        ReplyLost => "client: reply lost",
        /// A client asked twice at once.
        AskedTwice => "client: asked twice",
    }
}

impl Class {
    /// The switch it is under.
    #[must_use]
    pub const fn fault(self) -> Fault {
        match self {
            Self::CrashIdle
            | Self::CrashDecided
            | Self::CrashInFlight
            | Self::CrashCommitted
            | Self::CrashHandedOver
            | Self::CrashGranted
            | Self::CrashBeforeEffect
            | Self::CrashAfterEffect
            | Self::CrashLooked
            | Self::CrashStarting => Fault::Crash,
            Self::UnknownCommitted | Self::UnknownAborted | Self::UnknownLate | Self::ResolveLost => Fault::Unknown,
            Self::DatabaseDown | Self::NotWritten | Self::DatabaseSlow | Self::ReadFailed => Fault::Database,
            Self::ResultTwice | Self::ResultLate | Self::ResultLost => Fault::Results,
            Self::LeaseLost => Fault::Leases,
            Self::TakeoverFrozen | Self::TakeoverLive | Self::Fenced => Fault::Takeover,
            Self::ClockForward | Self::ClockBack => Fault::Clock,
            Self::PoisonCommand | Self::PoisonRequest => Fault::Poison,
            Self::ReplyLost | Self::AskedTwice => Fault::Clients,
        }
    }
}

/// How often each class happened.
pub type Coverage = BTreeMap<Class, u64>;

/// The rates of one seed: some faults are left out, others are rare or frequent, so that seeds differ.
#[derive(Debug)]
pub struct Swarm {
    rates: BTreeMap<Fault, u64>,
}

impl Swarm {
    /// What a seed makes of the switches that are on. A switch that is off changes nothing of the others.
    pub fn of(seed: u64, on: &BTreeSet<Fault>) -> Self {
        let rate = |fault: &Fault| {
            let mut chance = Chance::of(seed, fault.as_str());
            (*fault, *chance.pick(&[0, 30, 100, 100, 100, 300]))
        };
        Self { rates: on.iter().map(rate).collect() }
    }

    /// Chance of a fault, given what it is at the usual rate, each in a million.
    pub fn per_million(&self, fault: Fault, usual: u64) -> u64 {
        usual * self.rates.get(&fault).copied().unwrap_or(0) / 100
    }
}

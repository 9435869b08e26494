//! The kinds of faults, on which databases there are any of each, and how often each happened.
//!
//! Owns: the names under which they are counted, and that a kind that never happened is told.
//! Refuses to know: how one is brought about.

use std::collections::BTreeMap;

/// A database to be tortured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Database {
    /// SQLite.
    Sqlite,
    /// PostgreSQL.
    Postgres,
}

impl Database {
    /// As it is named on the command line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgres",
        }
    }
}

/// Something that is done to the program or to what it stands on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// `kill -9` at random in the middle of work.
    KillLoad,
    /// `kill -9` while it starts.
    KillStart,
    /// It aborts at a named point of its own code.
    KillPoint,
    /// `kill -9` when there is nothing to do.
    KillIdle,
    /// SIGTERM in the middle of work; it ends in order.
    Terminate,
    /// SIGSTOP, and SIGCONT a moment later.
    Freeze,
    /// A second process on the same store: refused on SQLite; on PostgreSQL it stands by, and takes over when the first is killed.
    SecondProcess,
    /// Connections to agents are cut.
    AgentCut,
    /// Connections to agents are open and carry nothing.
    AgentHalfOpen,
    /// The wall clock jumps ahead.
    ClockAhead,
    /// The wall clock is set back.
    ClockBack,
    /// The disk of the store is full.
    DiskFull,
    /// `kill -9` of the database server.
    KillServer,
    /// The server ends the sessions of the program.
    EndSessions,
    /// Connections to the database are cut.
    Cut,
    /// An answer of the database is lost.
    LoseAnswer,
    /// The way to the database is slow.
    Delay,
    /// Connections to the database are open and carry nothing.
    HalfOpen,
    /// It stands still for longer than its session lives, another takes over, and then it wakes up.
    FreezeTakeover,
}

use Fault::{
    AgentCut, AgentHalfOpen, ClockAhead, ClockBack, Cut, Delay, DiskFull, EndSessions, Freeze, FreezeTakeover,
    HalfOpen, KillIdle, KillLoad, KillPoint, KillServer, KillStart, LoseAnswer, SecondProcess, Terminate,
};

const BOTH: [Fault; 11] = [
    KillLoad,
    KillStart,
    KillPoint,
    KillIdle,
    Terminate,
    Freeze,
    SecondProcess,
    AgentCut,
    AgentHalfOpen,
    ClockAhead,
    ClockBack,
];
const SQLITE: [Fault; 1] = [DiskFull];
const POSTGRES: [Fault; 7] = [KillServer, EndSessions, Cut, LoseAnswer, Delay, HalfOpen, FreezeTakeover];

impl Fault {
    /// The faults of a database.
    #[must_use]
    pub fn of(database: Database) -> Vec<Self> {
        let more = match database {
            Database::Sqlite => &SQLITE[..],
            Database::Postgres => &POSTGRES,
        };
        BOTH.iter().chain(more).copied().collect()
    }

    /// Under which it is counted.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            KillLoad => "kill_load",
            KillStart => "kill_start",
            KillPoint => "kill_point",
            KillIdle => "kill_idle",
            Terminate => "terminate",
            Freeze => "freeze",
            SecondProcess => "second_process",
            AgentCut => "agent_cut",
            AgentHalfOpen => "agent_half_open",
            ClockAhead => "clock_ahead",
            ClockBack => "clock_back",
            DiskFull => "disk_full",
            KillServer => "kill_server",
            EndSessions => "end_sessions",
            Cut => "cut",
            LoseAnswer => "lose_answer",
            Delay => "delay",
            HalfOpen => "half_open",
            FreezeTakeover => "freeze_takeover",
        }
    }

    /// Whether a process is killed outright.
    #[must_use]
    pub const fn is_kill(self) -> bool {
        matches!(self, KillLoad | KillStart | KillPoint | KillIdle | KillServer)
    }
}

/// How often each happened.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts(pub BTreeMap<Fault, u32>);

impl Counts {
    /// One more.
    pub fn add(&mut self, fault: Fault) {
        *self.0.entry(fault).or_default() += 1;
    }

    /// Processes killed.
    #[must_use]
    pub fn kills(&self) -> u32 {
        self.0.iter().filter(|(fault, _)| fault.is_kill()).map(|(_, times)| times).sum()
    }

    /// Kinds that never happened: nothing is known about them.
    #[must_use]
    pub fn missing(&self, wanted: &[Fault]) -> Vec<&'static str> {
        wanted.iter().filter(|fault| !self.0.contains_key(fault)).map(|fault| fault.name()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_that_never_happened_is_told() {
        let mut counts = Counts::default();
        for fault in Fault::of(Database::Sqlite) {
            counts.add(fault);
        }
        assert!(counts.missing(&Fault::of(Database::Sqlite)).is_empty());
        assert_eq!(counts.missing(&Fault::of(Database::Postgres)).len(), POSTGRES.len());
        assert_eq!(counts.kills(), 4);
    }
}

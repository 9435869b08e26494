//! What a replay found, for people and for programs.
//!
//! Owns: the forms of findings and the exit code that follows from them.
//! Refuses to know: how they are found.

use std::fmt;

use nightshift_domain::{
    ids::{CommandId, ShardId, StreamId},
    time::Timestamp,
};
use serde::Serialize;
use serde_json::Value;

/// Findings of one kind that are kept whole; the rest are only counted.
pub const KEPT_MAX: usize = 20;

/// Findings of one kind: the first ones, and how many there are.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Findings<T> {
    /// How many there are.
    pub count: u64,
    /// The first of them.
    pub first: Vec<T>,
}

impl<T> Default for Findings<T> {
    fn default() -> Self {
        Self { count: 0, first: Vec::new() }
    }
}

impl<T> Findings<T> {
    /// Adds one.
    pub fn add(&mut self, finding: T) {
        self.count += 1;
        if self.first.len() < KEPT_MAX {
            self.first.push(finding);
        }
    }

    /// Adds those of another.
    pub fn absorb(&mut self, other: Self) {
        self.count += other.count;
        let room = KEPT_MAX.saturating_sub(self.first.len());
        self.first.extend(other.first.into_iter().take(room));
    }

    /// There are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }
}

/// What a replay found.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Report {
    /// Streams that were folded.
    pub streams: u64,
    /// Events that were decoded and folded.
    pub events: u64,
    /// Commands that were decided again.
    pub commands: u64,
    /// Events whose command is not kept any more: folded, not decided.
    pub events_without_command: u64,
    /// Obligations that are open at the end.
    pub open_obligations: u64,
    /// Rows that were compared.
    pub rows_compared: u64,
    /// Decisions that came out differently.
    pub diverged: Findings<Divergence>,
    /// Payloads that do not decode.
    pub undecodable: Findings<Fault>,
    /// What cannot be in a sound log.
    pub corrupt: Findings<Fault>,
    /// Obligations that are not as the decisions say.
    pub obligations: Findings<Mismatch>,
    /// Rows that are not as the events say.
    pub rows: Findings<Mismatch>,
}

/// Something at a place that should not be so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// Where.
    pub place: String,
    /// What.
    pub what: String,
}

/// A golden value or a stored row that is another than the computed one.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Mismatch {
    /// Which obligation or row.
    pub subject: String,
    /// The field that differs first; empty when the whole is missing on one side.
    pub path: String,
    /// As it is kept; null when it is missing there.
    pub kept: Value,
    /// As it was computed; null when it is missing there.
    pub computed: Value,
}

/// Why a decision came out differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// The program decides differently now.
    Code,
    /// Another edition of the zone data answers differently.
    Tzdata,
    /// The log is configured differently: another number of shards.
    Config,
    /// The same question was answered in two ways within this replay.
    Nondeterminism,
    /// What is recorded is not what any decision writes.
    Corrupt,
}

impl Class {
    const fn explain(self) -> &'static str {
        match self {
            Self::Code => "code: the program decides differently now",
            Self::Tzdata => "tzdata: another edition of the zone data answers differently",
            Self::Config => "config: the log had another number of shards",
            Self::Nondeterminism => "nondeterminism: the decider answered the same question in two ways",
            Self::Corrupt => "corrupt: no decision writes what is recorded",
        }
    }
}

/// A decision that came out differently.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Divergence {
    /// The shard.
    pub shard: ShardId,
    /// Sequence number of the command's first event.
    pub first_seq: u64,
    /// The stream, as text.
    #[serde(serialize_with = "as_text")]
    pub stream: StreamId,
    /// The command.
    pub command_id: CommandId,
    /// Its verb.
    pub command: String,
    /// The instant of the decision.
    pub at: Timestamp,
    /// What differs: `event 2 of 3 (run.step_queued)`, `obligations`, `rejection`, `outcome`.
    pub part: String,
    /// The first field that differs in it.
    pub path: String,
    /// As recorded.
    pub recorded: Value,
    /// As computed.
    pub computed: Value,
    /// Why.
    pub class: Class,
    /// Program and zone data that decided then.
    pub then: String,
    /// Program and zone data that decided now.
    pub now: String,
}

fn as_text<S: serde::Serializer>(stream: &StreamId, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(stream)
}

/// Exit codes of `replay`.
pub mod exit {
    /// Everything is the same.
    pub const SAME: u8 = 0;
    /// A decision, an obligation or a row came out differently.
    pub const DIVERGED: u8 = 3;
    /// Something does not decode.
    pub const UNDECODABLE: u8 = 4;
    /// The log is not sound.
    pub const CORRUPT: u8 = 5;
}

impl Report {
    /// Nothing was found.
    #[must_use]
    pub const fn is_same(&self) -> bool {
        self.exit_code() == exit::SAME
    }

    /// The exit code that says the worst of it.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        if !self.corrupt.is_empty() {
            exit::CORRUPT
        } else if !self.undecodable.is_empty() {
            exit::UNDECODABLE
        } else if !self.diverged.is_empty() || !self.obligations.is_empty() || !self.rows.is_empty() {
            exit::DIVERGED
        } else {
            exit::SAME
        }
    }

    /// Adds what another part of the same history gave.
    pub fn absorb(&mut self, other: Self) {
        self.streams += other.streams;
        self.events += other.events;
        self.commands += other.commands;
        self.events_without_command += other.events_without_command;
        self.open_obligations += other.open_obligations;
        self.rows_compared += other.rows_compared;
        self.diverged.absorb(other.diverged);
        self.undecodable.absorb(other.undecodable);
        self.corrupt.absorb(other.corrupt);
        self.obligations.absorb(other.obligations);
        self.rows.absorb(other.rows);
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { streams, events, commands, open_obligations, rows_compared, .. } = self;
        writeln!(f, "{streams} streams, {events} events folded, {commands} commands decided again")?;
        write!(f, "{open_obligations} obligations open")?;
        if *rows_compared > 0 {
            write!(f, ", {rows_compared} rows compared")?;
        }
        writeln!(f)?;
        if self.events_without_command > 0 {
            writeln!(
                f,
                "{} events were only folded: their commands are not kept any more",
                self.events_without_command
            )?;
        }
        list(f, "the log is not sound", &self.corrupt)?;
        list(f, "cannot be decoded", &self.undecodable)?;
        list(f, "decided differently", &self.diverged)?;
        list(f, "obligations differ", &self.obligations)?;
        list(f, "rows differ", &self.rows)?;
        writeln!(f, "{}", if self.is_same() { "The same." } else { "NOT the same." })
    }
}

fn list<T: fmt::Display>(f: &mut fmt::Formatter<'_>, title: &str, findings: &Findings<T>) -> fmt::Result {
    if findings.is_empty() {
        return Ok(());
    }
    writeln!(f, "\n{title}: {}", findings.count)?;
    findings.first.iter().try_for_each(|finding| writeln!(f, "  {finding}"))?;
    match findings.count - findings.first.len() as u64 {
        0 => Ok(()),
        more => writeln!(f, "  and {more} more"),
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.what)
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.subject)?;
        if !self.path.is_empty() {
            write!(f, " at {}", self.path)?;
        }
        write!(f, "\n    kept      {}\n    computed  {}", self.kept, self.computed)
    }
}

impl fmt::Display for Divergence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { shard, first_seq, stream, command_id, command, at, part, path, .. } = self;
        writeln!(f, "{command} to {stream} at {at} (shard {shard}, seq {first_seq}, command {command_id})")?;
        writeln!(f, "    in        {part}{}{path}", if path.is_empty() { "" } else { ", field " })?;
        writeln!(f, "    recorded  {}", self.recorded)?;
        writeln!(f, "    computed  {}", self.computed)?;
        writeln!(f, "    class     {}", self.class.explain())?;
        write!(f, "    then      {}; now {}", self.then, self.now)
    }
}

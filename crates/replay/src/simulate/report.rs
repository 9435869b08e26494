//! What a long run leaves: one JSON document, of which the figures of `docs/reliability.md` are made.
//!
//! Owns: what was asked, how far it is, and the tables. Refuses to know: files, clocks, how seeds are run side by side.
//!
//! Invariant: a report that goes on where another one ended is the report of both together.

use std::{collections::BTreeMap, fmt::Write as _};

use serde::{Deserialize, Serialize};

use super::{Fault, Invariant, Settings, Summary};

/// What a run was asked to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Asked {
    /// Days of each seed with faults and traffic.
    pub days: u32,
    /// What could go wrong.
    pub faults: Vec<Fault>,
    /// Standing orders.
    pub deliverables: u32,
    /// Requests a day.
    pub runs_per_day: u32,
    /// Of so many streams one was decided again; 0: none.
    pub replay_one_in: u64,
    /// Read models were kept and compared.
    pub tables: bool,
    /// Documents that were given; none: the built-in ones.
    pub documents: Vec<String>,
    /// The first seed.
    pub from: u64,
}

impl Asked {
    /// What these settings ask for, of seeds that begin at `from`.
    #[must_use]
    pub fn of(settings: &Settings, documents: &[String], from: u64) -> Self {
        let Settings { days, faults, deliverables, runs_per_day, replay_one_in, project, .. } = settings;
        Self {
            days: *days,
            faults: faults.iter().copied().collect(),
            deliverables: *deliverables,
            runs_per_day: *runs_per_day,
            replay_one_in: *replay_one_in,
            tables: *project,
            documents: documents.to_vec(),
            from,
        }
    }
}

/// A run of many seeds, or as much of it as was lived through.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Edition of the program.
    pub program: String,
    /// What it ran on, by name.
    pub machine: BTreeMap<String, String>,
    /// What was asked.
    pub asked: Asked,
    /// The seed with which it goes on.
    pub next: u64,
    /// Seeds that were lived through side by side.
    pub jobs: usize,
    /// How long it took, in seconds, over all beginnings.
    pub wall_s: f64,
    /// What became of the seeds before `next`.
    pub summary: Summary,
}

impl Report {
    /// The figures as Markdown: what was done, how often each invariant was looked at, how often each fault happened.
    #[must_use]
    pub fn markdown(&self) -> String {
        let Self { program, machine, asked, summary, jobs, wall_s, .. } = self;
        let mut text = String::new();
        let mut row = |name: &str, value: String| {
            // Writing to a text does not fail.
            let _ = writeln!(text, "| {name} | {value} |");
        };
        row("what", "figure".to_owned());
        row("---", "---".to_owned());
        row("program", program.clone());
        for (name, value) in machine {
            row(name, value.clone());
        }
        let last = asked.from + summary.seeds.max(1) - 1;
        row("seeds", format!("{}, from {} to {last}", grouped(summary.seeds), asked.from));
        let Asked { days, deliverables, runs_per_day, .. } = asked;
        row("each of them", format!("{days} days, {deliverables} deliverables, {runs_per_day} requests a day"));
        let rate = summary.days() / wall_s.max(1e-3) * 60.0;
        let jobs = if *jobs == 1 { "one at a time".to_owned() } else { format!("{jobs} side by side") };
        row("simulated days", format!("{}, {} a minute, {jobs}", whole(summary.days()), whole(rate)));
        row("wall time", format!("{} s", whole(*wall_s)));
        row("durable events", format!("{} of {} commands", grouped(summary.events), grouped(summary.commands)));
        row("runs", grouped(summary.runs));
        row("calls to the outside", grouped(summary.effects));
        row("decided again", decided_again(asked.replay_one_in));
        row("invariants looked at", format!("{} times", grouped(summary.looks())));
        row("seeds with a violation", grouped(summary.failures));
        table(&mut text, "invariant", summary.checks.iter().map(|(invariant, times)| (invariant.as_str(), *times)));
        table(&mut text, "fault", summary.coverage.iter().map(|(class, times)| (class.as_str(), *times)));
        text
    }

    /// Whether nothing was found broken.
    #[must_use]
    pub const fn is_sound(&self) -> bool {
        self.summary.failures == 0
    }
}

/// Puts the figures between the marks of a document; none when it has no such marks.
///
/// The marks are `<!-- figures: NAME -->` and `<!-- end of figures -->`.
#[must_use]
pub fn put_between_marks(document: &str, name: &str, figures: &str) -> Option<String> {
    let (begin, end) = (format!("<!-- figures: {name} -->"), "<!-- end of figures -->");
    let from = document.find(&begin)? + begin.len();
    let upto = from + document[from..].find(end)?;
    Some(format!("{}\n\n{}\n\n{}", &document[..from], figures.trim(), &document[upto..]))
}

fn decided_again(one_in: u64) -> String {
    match one_in {
        0 => "no stream".to_owned(),
        1 => "every stream".to_owned(),
        many => format!("one stream in {many}"),
    }
}

fn table(text: &mut String, what: &str, rows: impl Iterator<Item = (&'static str, u64)>) {
    let _ = write!(text, "\n| {what} | times |\n| --- | --- |\n");
    for (name, times) in rows {
        let _ = writeln!(text, "| {name} | {} |", grouped(times));
    }
}

fn whole(number: f64) -> String {
    grouped(number.round().max(0.0) as u64)
}

/// `1234567` as `1,234,567`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (nth, digit) in digits.chars().enumerate() {
        if nth > 0 && (digits.len() - nth).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// What each invariant says is in the document; here is only whether all were looked at.
#[must_use]
pub fn never_looked_at(summary: &Summary) -> Vec<Invariant> {
    let all = Invariant::ALL.iter().copied();
    all.filter(|invariant| *invariant != Invariant::I24 && !summary.checks.contains_key(invariant)).collect()
}

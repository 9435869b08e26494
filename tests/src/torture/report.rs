//! The report of a storm, for people and for programs.
//!
//! Owns: what is written of it. A storm is passed when no rule was broken and every kind of fault happened.

use std::{fmt, path::PathBuf};

use serde_json::{Value, json};

use super::{
    QUIET_LIMIT, Storm,
    checker::{Findings, Violation, check},
    faults::Counts,
    stage::Stage,
};
use crate::Stopwatch;

/// What came of a storm.
pub struct Report {
    /// As it was asked for.
    pub storm: Storm,
    /// What was done.
    pub counts: Counts,
    /// What was found.
    pub findings: Findings,
    /// Kinds of faults that never happened.
    pub missing: Vec<&'static str>,
    /// How often the program ended because its store was gone, and was started again.
    pub gave_up: u32,
    /// How long it took, in seconds.
    pub seconds: u64,
    /// What is left to look at, when a rule was broken.
    pub kept: Option<PathBuf>,
}

impl Report {
    /// Lets everything end, reads what the program says, and checks.
    #[must_use]
    pub fn of(storm: &Storm, stage: &mut Stage, watch: Stopwatch) -> Self {
        let settled = stage.settle(QUIET_LIMIT);
        let entries = stage.history.entries();
        let mut findings = check(&entries);
        if let Err(why) = settled {
            findings.violations.push(Violation { rule: "everything ends", what: why });
        }
        stage.stop();
        for args in [&["verify"][..], &["replay", "--store"]] {
            let done = stage.nodes[0].run(args);
            if done.code != 0 {
                let what = format!("{}: exit code {}\n{}{}", done.said, done.code, done.out, done.err);
                findings.violations.push(Violation { rule: "the program's own checks agree", what });
            }
        }
        let kept = (!findings.violations.is_empty()).then(|| stage.keep());
        Self {
            storm: storm.clone(),
            counts: stage.counts.clone(),
            missing: stage.counts.missing(&storm.faults()),
            findings,
            gave_up: stage.gave_up,
            seconds: watch.elapsed().as_secs(),
            kept,
        }
    }

    /// Whether nothing is wrong with it.
    #[must_use]
    pub fn is_passed(&self) -> bool {
        self.findings.violations.is_empty() && self.missing.is_empty()
    }

    /// For programs.
    #[must_use]
    pub fn json(&self) -> Value {
        let faults: Value =
            self.counts.0.iter().map(|(fault, times)| (fault.name().to_owned(), json!(times))).collect();
        let outside: Value =
            self.findings.tally.0.iter().map(|(what, times)| ((*what).to_owned(), json!(times))).collect();
        let violations: Vec<Value> =
            self.findings.violations.iter().map(|broken| json!({"rule": broken.rule, "what": broken.what})).collect();
        json!({
            "store": self.storm.database.as_str(),
            "seed": self.storm.seed,
            "seconds": self.seconds,
            "kills": self.counts.kills(),
            "faults": faults,
            "faults_missing": self.missing,
            "gave_up": self.gave_up,
            "outside": outside,
            "violations": violations,
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "torture: {}, seed {}, {} s", self.storm.database.as_str(), self.storm.seed, self.seconds)?;
        writeln!(f, "  {:<32} {:>8}", "kills", self.counts.kills())?;
        for (fault, times) in &self.counts.0 {
            writeln!(f, "    {:<30} {times:>8}", fault.name())?;
        }
        for (what, times) in &self.findings.tally.0 {
            writeln!(f, "  {what:<32} {times:>8}")?;
        }
        writeln!(f, "  {:<32} {:>8}", "ended by itself, started again", self.gave_up)?;
        writeln!(f, "  {:<32} {:>8}", "violations", self.findings.violations.len())?;
        for broken in &self.findings.violations {
            writeln!(f, "    {}: {}", broken.rule, broken.what)?;
        }
        for missing in &self.missing {
            writeln!(f, "    never happened: {missing}")?;
        }
        if let Some(kept) = &self.kept {
            writeln!(f, "  the history and what is left: {}", kept.display())?;
        }
        Ok(())
    }
}

//! Many seeds together.
//!
//! Owns: sums, and the classes of faults that should have happened and did not.
//! Refuses to know: how seeds are run side by side.

use std::collections::BTreeMap;

use super::{Class, Coverage, Fault, Finding, Outcome, Settings, Violation};

/// Simulated days after which every class of the faults that are on must have happened.
const DAYS_MIN: f64 = 600.0;

/// What became of many seeds.
#[derive(Debug, Clone, Default)]
pub struct Summary {
    /// How many.
    pub seeds: u64,
    /// Simulated days.
    pub days: f64,
    /// Acts of the schedulers.
    pub steps: u64,
    /// Events that became durable.
    pub events: u64,
    /// Commands that became durable.
    pub commands: u64,
    /// Runs that began.
    pub runs: u64,
    /// Calls that reached the outside.
    pub effects: u64,
    /// How often an invariant was looked at.
    pub checks: u64,
    /// How often each class of faults happened.
    pub coverage: Coverage,
    /// Seeds that failed, and the first violation of each.
    pub failed: BTreeMap<u64, Violation>,
    /// What definitions allow: how often, and under which seed first.
    pub findings: BTreeMap<Finding, (u64, u64)>,
}

impl Summary {
    /// Adds what became of a seed.
    pub fn add(&mut self, outcome: &Outcome) {
        self.seeds += 1;
        self.days += outcome.days;
        self.steps += outcome.steps;
        self.events += outcome.events;
        self.commands += outcome.commands;
        self.runs += outcome.runs;
        self.effects += outcome.effects;
        self.checks += outcome.checks;
        for (class, times) in &outcome.coverage {
            *self.coverage.entry(*class).or_default() += times;
        }
        if let Some(first) = outcome.violations.first() {
            self.failed.insert(outcome.seed, first.clone());
        }
        for (finding, times) in &outcome.findings {
            let known = self.findings.entry(finding.clone()).or_insert((0, outcome.seed));
            known.0 += times;
            known.1 = known.1.min(outcome.seed);
        }
    }

    /// Classes that should have happened in so many days and did not.
    #[must_use]
    pub fn missing(&self, settings: &Settings) -> Vec<Class> {
        if self.days < DAYS_MIN {
            return Vec::new();
        }
        let on = |class: &Class| settings.faults.contains(&class.fault());
        let happens = |class: &Class| match class {
            // Nobody looks at a source when there is no order, and nobody takes over from himself.
            Class::CrashLooked => settings.deliverables > 0,
            class => class.fault() != Fault::Takeover || settings.nodes > 1,
        };
        let all = Class::ALL.iter().copied().filter(|class| on(class) && happens(class));
        all.filter(|class| !self.coverage.contains_key(class)).collect()
    }
}

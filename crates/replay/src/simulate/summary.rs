//! Many seeds together.
//!
//! Owns: sums, and the classes of faults that should have happened and did not.
//! Refuses to know: how seeds are run side by side.
//!
//! Invariant: the sum does not depend on the order in which seeds are added.

use std::collections::BTreeMap;

use nightshift_domain::ids::derive_u64;
use serde::{Deserialize, Serialize};

use super::{Class, Coverage, Fault, Finding, Invariant, Outcome, Settings, Violation, traffic::DAY_US};

/// Simulated days after which every class of the faults that are on must have happened.
const DAYS_MIN: f64 = 600.0;

/// Failing seeds that are kept one by one; all are counted.
const FAILED_MAX: usize = 1_000;

/// What became of many seeds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// How many.
    pub seeds: u64,
    /// Simulated time, in microseconds.
    pub lived_us: i64,
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
    /// How often each invariant was looked at.
    pub checks: BTreeMap<Invariant, u64>,
    /// How often each class of faults happened.
    pub coverage: Coverage,
    /// Seeds that failed.
    pub failures: u64,
    /// The first of them, and the first violation of each.
    pub failed: BTreeMap<u64, Violation>,
    /// What definitions allow: how often, and under which seed first.
    #[serde(with = "pairs")]
    pub findings: BTreeMap<Finding, (u64, u64)>,
    /// Of all histories.
    pub hash: u64,
    /// The lowest seed, and the hash of its history.
    pub first: Option<(u64, u64)>,
}

impl Summary {
    /// Adds what became of a seed.
    pub fn add(&mut self, outcome: &Outcome) {
        self.seeds += 1;
        self.lived_us += outcome.lived_us;
        self.steps += outcome.steps;
        self.events += outcome.events;
        self.commands += outcome.commands;
        self.runs += outcome.runs;
        self.effects += outcome.effects;
        for (invariant, times) in outcome.checks.by_invariant() {
            *self.checks.entry(invariant).or_default() += times;
        }
        for (class, times) in &outcome.coverage {
            *self.coverage.entry(*class).or_default() += times;
        }
        if let Some(first) = outcome.violations.first() {
            self.failures += 1;
            self.failed.insert(outcome.seed, first.clone());
            if self.failed.len() > FAILED_MAX {
                self.failed.pop_last();
            }
        }
        for (finding, times) in &outcome.findings {
            let known = self.findings.entry(finding.clone()).or_insert((0, outcome.seed));
            known.0 += times;
            known.1 = known.1.min(outcome.seed);
        }
        let mixed = derive_u64("history", &[&outcome.seed.to_be_bytes(), &outcome.hash.to_be_bytes()]);
        self.hash = self.hash.wrapping_add(mixed);
        let this = (outcome.seed, outcome.hash);
        self.first = Some(self.first.map_or(this, |first| first.min(this)));
    }

    /// Simulated days, with those of calm.
    #[must_use]
    pub fn days(&self) -> f64 {
        self.lived_us as f64 / DAY_US as f64
    }

    /// How often an invariant was looked at.
    #[must_use]
    pub fn looks(&self) -> u64 {
        self.checks.values().sum()
    }

    /// Classes that should have happened in so many days and did not.
    #[must_use]
    pub fn missing(&self, settings: &Settings) -> Vec<Class> {
        if self.days() < DAYS_MIN {
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

/// A map whose keys are no texts, as a list.
mod pairs {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serializer};

    use super::Finding;

    type Findings = BTreeMap<Finding, (u64, u64)>;

    pub fn serialize<S: Serializer>(findings: &Findings, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(findings)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Findings, D::Error> {
        Ok(Vec::<(Finding, (u64, u64))>::deserialize(deserializer)?.into_iter().collect())
    }
}

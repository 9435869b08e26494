//! The result of a measurement: what was measured, on what, beside which baseline. The form of the JSON.
//!
//! Owns: the words of that form, medians, ratios, goals, and which direction is better.
//! Refuses to know: how a figure came about, how it is shown (`report`, `render`), how two are compared (`compare`).
//!
//! Invariant: the name of a figure says what is measured and never how much: that is in its scale. So the same figure of
//! two runs has the same name.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Of the form of the JSON. A reader refuses another one.
pub(super) const FORMAT: u32 = 1;

/// Everything that one run of `nightshift bench` found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Results {
    pub(super) format: u32,
    /// When it began, in RFC 3339.
    pub(super) taken_at: String,
    /// quick, usual or full.
    pub(super) size: String,
    /// How often each figure was taken, where a bench does not say otherwise.
    pub(super) repeats: u32,
    pub(super) machine: Machine,
    pub(super) figures: Vec<Figure>,
    /// How long each bench took, preparation and all.
    pub(super) took: Vec<Took>,
    /// Benches that ended with an error.
    pub(super) failed: Vec<Failed>,
}

/// What it was measured on, and what was measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Machine {
    pub(super) processor: String,
    pub(super) cores: u32,
    pub(super) memory_mib: u64,
    pub(super) kernel: String,
    /// Of the folder of the SQLite files.
    pub(super) filesystem: String,
    /// The disk below it, as far as the kernel tells.
    pub(super) disk: String,
    /// One write of 4 KiB and its fdatasync in that folder, in milliseconds.
    pub(super) fsync_ms: Spread,
    /// Of Nightshift.
    pub(super) version: String,
    /// Of its sources, when whoever built it said so.
    pub(super) revision: Option<String>,
    /// release or debug.
    pub(super) build: String,
    /// Versions and settings, by the name of the store.
    pub(super) databases: BTreeMap<String, Database>,
}

/// A database and what its figures depend on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Database {
    pub(super) version: String,
    pub(super) settings: BTreeMap<String, String>,
}

/// How long a bench took.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Took {
    pub(super) bench: String,
    pub(super) store: String,
    pub(super) seconds: f64,
}

/// A bench that ended with an error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Failed {
    pub(super) bench: String,
    pub(super) store: String,
    pub(super) why: String,
}

/// Values that were taken one after the other, and their middle and ends.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Spread {
    pub(super) median: f64,
    pub(super) least: f64,
    pub(super) most: f64,
    pub(super) values: Vec<f64>,
}

impl Spread {
    /// None of no values, and of those that are no numbers: JSON knows none.
    pub(super) fn of(values: Vec<f64>) -> Option<Self> {
        if values.is_empty() || !values.iter().all(|value| value.is_finite()) {
            return None;
        }
        let values: Vec<f64> = values.into_iter().map(known).collect();
        let least = values.iter().copied().fold(f64::INFINITY, f64::min);
        let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        Some(Self { median: median(&values), least, most, values })
    }
}

/// Which values are better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Direction {
    /// Rates.
    More,
    /// Durations and memory.
    Less,
    /// A circumstance of the others.
    Neither,
}

impl Direction {
    /// What a unit tells.
    fn of(unit: &str) -> Self {
        match unit {
            unit if unit.ends_with("/s") => Self::More,
            "ms" | "s" | "MiB" | "bytes" | "% of a core" => Self::Less,
            _ => Self::Neither,
        }
    }
}

/// What a figure is held against.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Goal {
    /// The median is at least so much.
    AtLeast(f64),
    /// The median is at most so much.
    AtMost(f64),
    /// The median ratio to the baseline is at least so much.
    OfRaw(f64),
    /// The median ratio to the baseline is at most so much.
    OfRawAtMost(f64),
}

/// What the database, the clock or an empty process does at best, taken in the same run: each value right beside the value
/// of the figure that has the same place.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Baseline {
    pub(super) name: String,
    pub(super) spread: Spread,
    /// The figure as a part or a multiple of it, pair by pair.
    pub(super) ratio: Spread,
}

/// One figure, taken several times.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Figure {
    pub(super) bench: String,
    pub(super) store: String,
    pub(super) name: String,
    pub(super) unit: String,
    pub(super) direction: Direction,
    /// How much was measured. Figures of other scales are other figures.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) scale: BTreeMap<String, u64>,
    /// None when a value was no number, as of a division by nothing.
    pub(super) spread: Option<Spread>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) baseline: Option<Baseline>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) goal: Option<Goal>,
}

impl Figure {
    pub(super) fn new(
        (bench, store): (&str, &str),
        name: impl Into<String>,
        unit: &'static str,
        values: Vec<f64>,
    ) -> Self {
        Self {
            bench: bench.to_owned(),
            store: store.to_owned(),
            name: name.into(),
            unit: unit.to_owned(),
            direction: Direction::of(unit),
            scale: BTreeMap::new(),
            spread: Spread::of(values),
            baseline: None,
            goal: None,
        }
    }

    /// So much of something was measured.
    pub(super) fn scale(mut self, what: &str, how_much: u64) -> Self {
        self.scale.insert(what.to_owned(), how_much);
        self
    }

    /// Beside it, each time, this baseline gave so much.
    pub(super) fn beside(mut self, name: &str, raw: &[f64]) -> Self {
        let values = self.spread.as_ref().map(|spread| spread.values.as_slice()).unwrap_or_default();
        let ratios = values.iter().zip(raw).map(|(value, raw)| value / raw).collect();
        if let (Some(spread), Some(ratio)) = (Spread::of(raw.to_vec()), Spread::of(ratios)) {
            self.baseline = Some(Baseline { name: name.to_owned(), spread, ratio });
        }
        self
    }

    pub(super) const fn goal(mut self, goal: Goal) -> Self {
        self.goal = Some(goal);
        self
    }

    /// Whether the goal is reached; none without one, or without the figure that it is about.
    pub(super) fn met(&self) -> Option<bool> {
        let median = self.spread.as_ref().map(|spread| spread.median);
        let ratio = self.baseline.as_ref().map(|baseline| baseline.ratio.median);
        Some(match self.goal? {
            Goal::AtLeast(bound) => median? >= bound,
            Goal::AtMost(bound) => median? <= bound,
            Goal::OfRaw(bound) => ratio? >= bound,
            Goal::OfRawAtMost(bound) => ratio? <= bound,
        })
    }

    /// The same figure of another run has the same.
    pub(super) fn key(&self) -> (&str, &str, &str) {
        (&self.bench, &self.store, &self.name)
    }

    /// How much was measured, for people: `10,000 jobs, 32 keys`.
    pub(super) fn scale_text(&self) -> String {
        let parts: Vec<String> =
            self.scale.iter().map(|(what, count)| format!("{} {what}", number(*count as f64))).collect();
        parts.join(", ")
    }

    /// The name with how much was measured.
    pub(super) fn title(&self) -> String {
        match self.scale_text() {
            scale if scale.is_empty() => self.name.clone(),
            scale => format!("{} ({scale})", self.name),
        }
    }

    pub(super) fn goal_text(&self) -> String {
        match self.goal {
            None => String::new(),
            Some(Goal::AtLeast(bound)) => format!(">= {}", number(bound)),
            Some(Goal::AtMost(bound)) => format!("<= {}", number(bound)),
            Some(Goal::OfRaw(bound)) => format!(">= {bound:.2} of it"),
            Some(Goal::OfRawAtMost(bound)) => format!("<= {bound:.2} of it"),
        }
    }
}

/// A value as closely as it is known: with seven digits, which every reader of JSON reads as they were written.
fn known(value: f64) -> f64 {
    format!("{value:.6e}").parse().unwrap_or(value)
}

/// The middle value; the lower one of two.
pub(super) fn median(values: &[f64]) -> f64 {
    percentile(values, 0.5)
}

/// The smallest value that so large a part of all does not exceed.
pub(super) fn percentile(values: &[f64], part: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = (sorted.len() as f64 * part).ceil() as usize;
    sorted.get(at.max(1) - 1).copied().unwrap_or(f64::NAN)
}

/// Whole numbers in groups of three where they are large or whole, two decimals where they are small.
pub(super) fn number(value: f64) -> String {
    if value.abs() < 100.0 && value.fract() != 0.0 {
        return format!("{value:.2}");
    }
    let whole = format!("{value:.0}");
    let mut grouped = String::new();
    for (at, digit) in whole.chars().enumerate() {
        if at > 0 && (whole.len() - at).is_multiple_of(3) && !grouped.ends_with('-') {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{
        super::testing::{figure, results},
        *,
    };

    #[test]
    fn percentiles_are_values_that_were_seen() {
        let hundred: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        assert_eq!(percentile(&hundred, 0.5), 50.0);
        assert_eq!(percentile(&hundred, 0.99), 99.0);
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[7.0]), 7.0);
        assert!(median(&[]).is_nan());
    }

    #[test]
    fn numbers_are_grouped() {
        let shown: Vec<String> =
            [0.254, 3.0, 0.0, 99.994, 100.0, 1234.4, -1_234_567.0].into_iter().map(number).collect();
        assert_eq!(shown, ["0.25", "3", "0", "99.99", "100", "1,234", "-1,234,567"]);
    }

    #[test]
    fn a_goal_is_held_against_the_median_or_the_ratio() {
        let figure = || Figure::new(("append", "sqlite"), "x", "events/s", vec![50.0, 80.0, 70.0]);
        assert_eq!(figure().met(), None);
        for (goal, met) in [
            (Goal::AtLeast(70.0), true),
            (Goal::AtLeast(71.0), false),
            (Goal::AtMost(70.0), true),
            (Goal::AtMost(69.0), false),
            (Goal::OfRaw(0.7), true),
            (Goal::OfRaw(0.71), false),
            (Goal::OfRawAtMost(0.7), true),
            (Goal::OfRawAtMost(0.69), false),
        ] {
            let judged = figure().beside("raw", &[100.0, 100.0, 100.0]).goal(goal);
            assert_eq!(judged.met(), Some(met), "{goal:?}");
        }
        assert_eq!(figure().goal(Goal::OfRaw(0.5)).met(), None, "there is no baseline");
    }

    #[test]
    fn the_ratio_is_the_median_of_pairs_and_not_the_ratio_of_medians() {
        let paired = Figure::new(("b", "s"), "x", "ms", vec![10.0, 2.0, 30.0]).beside("raw", &[1.0, 2.0, 10.0]);
        assert_eq!(paired.baseline.map(|baseline| baseline.ratio.median), Some(3.0));
    }

    #[test]
    fn what_is_no_number_is_no_value() {
        let broken = Figure::new(("b", "s"), "x", "ms", vec![1.0, f64::NAN]);
        assert_eq!((broken.spread.clone(), broken.met()), (None, None));
        assert_eq!(Figure::new(("b", "s"), "x", "ms", vec![1.0]).beside("raw", &[0.0]).baseline, None);
    }

    proptest! {
        #[test]
        fn results_are_read_as_they_were_written(
            values in prop::collection::vec(-1e12..1e12_f64, 0..5),
            raw in prop::collection::vec(1e-3..1e9_f64, 0..5),
            goal in prop::option::of((0..1_000_000_u32).prop_map(f64::from)),
            scale in prop::collection::btree_map("[a-z]{1,8}", any::<u64>(), 0..3),
        ) {
            let mut one = figure("x", "ms", values).beside("raw", &raw);
            one.goal = goal.map(Goal::AtMost);
            one.scale = scale;
            let all = results(vec![one]);
            let text = serde_json::to_string(&all).expect("written");
            prop_assert_eq!(serde_json::from_str::<Results>(&text).expect("read"), all);
        }
    }
}

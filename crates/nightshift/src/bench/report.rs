//! Figures as people and programs read them.
//!
//! Owns: medians, ratios, goals, and the two forms of the report.
//! Refuses to know: how a figure came about.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::output;

/// What a figure is held against.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Goal {
    /// The median is at least so much.
    AtLeast(f64),
    /// The median is at most so much.
    AtMost(f64),
    /// The median ratio to the baseline is at least so much.
    OfRaw(f64),
}

/// One figure, taken several times.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Figure {
    bench: &'static str,
    store: &'static str,
    what: String,
    unit: &'static str,
    values: Vec<f64>,
    ratios: Vec<f64>,
    goal: Option<Goal>,
}

impl Figure {
    pub(super) fn new(
        (bench, store): (&'static str, &'static str),
        what: impl Into<String>,
        unit: &'static str,
        values: Vec<f64>,
    ) -> Self {
        Self { bench, store, what: what.into(), unit, values, ratios: Vec::new(), goal: None }
    }

    /// Beside it, each time, the baseline gave so much.
    pub(super) fn beside(mut self, raw: &[f64]) -> Self {
        self.ratios = self.values.iter().zip(raw).map(|(value, raw)| value / raw).collect();
        self
    }

    pub(super) const fn goal(mut self, goal: Goal) -> Self {
        self.goal = Some(goal);
        self
    }

    /// Whether the goal is reached; none without one.
    fn met(&self) -> Option<bool> {
        Some(match self.goal? {
            Goal::AtLeast(bound) => median(&self.values) >= bound,
            Goal::AtMost(bound) => median(&self.values) <= bound,
            Goal::OfRaw(bound) => median(&self.ratios) >= bound,
        })
    }

    fn goal_text(&self) -> String {
        match self.goal {
            None => String::new(),
            Some(Goal::AtLeast(bound)) => format!(">= {}", number(bound)),
            Some(Goal::AtMost(bound)) => format!("<= {}", number(bound)),
            Some(Goal::OfRaw(bound)) => format!(">= {bound:.2} of raw"),
        }
    }

    fn line(&self) -> Vec<String> {
        let (least, most) = ends(&self.values);
        let spread =
            if self.values.len() < 2 { String::new() } else { format!(" ({}..{})", number(least), number(most)) };
        let ratio = if self.ratios.is_empty() { String::new() } else { format!("{:.2}", median(&self.ratios)) };
        let met = self.met().map_or("", |met| if met { "yes" } else { "NO" });
        vec![
            self.bench.to_owned(),
            self.store.to_owned(),
            self.what.clone(),
            format!("{}{spread}", number(median(&self.values))),
            self.unit.to_owned(),
            ratio,
            self.goal_text(),
            met.to_owned(),
        ]
    }

    fn json(&self) -> Value {
        let (least, most) = ends(&self.values);
        let ratio = (!self.ratios.is_empty()).then(|| median(&self.ratios));
        json!({
            "bench": self.bench, "store": self.store, "what": self.what, "unit": self.unit,
            "median": median(&self.values), "min": least, "max": most, "values": self.values,
            "of_raw": ratio, "goal": self.goal.map(|_| self.goal_text()), "met": self.met(),
        })
    }
}

/// The whole report. Figures are shown as they come, and all together at the end.
pub(super) struct Report {
    machine: BTreeMap<&'static str, String>,
    figures: Vec<Figure>,
    json: bool,
}

impl Report {
    pub(super) const fn new(machine: BTreeMap<&'static str, String>, json: bool) -> Self {
        Self { machine, figures: Vec::new(), json }
    }

    /// Says where it is measured.
    pub(super) fn open(&self) {
        if !self.json {
            self.machine.iter().for_each(|(name, value)| output::fact(name, value));
            println!();
        }
    }

    /// What is done now, for whoever waits.
    pub(super) fn doing(&self, what: &str) {
        if !self.json {
            output::note(&format!("... {what}"));
        }
    }

    pub(super) fn add(&mut self, figure: Figure) {
        self.doing(&figure.line().join("  "));
        self.figures.push(figure);
    }

    /// Prints all figures.
    pub(super) fn close(&self) {
        if self.json {
            let figures: Vec<Value> = self.figures.iter().map(Figure::json).collect();
            output::json(&json!({"machine": self.machine, "figures": figures}));
            return;
        }
        println!();
        let headings = ["bench", "store", "what", "median (min..max)", "unit", "of raw", "goal", "met"];
        output::table(&headings, self.figures.iter().map(Figure::line).collect(), "nothing was measured");
    }
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

fn ends(values: &[f64]) -> (f64, f64) {
    values.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(least, most), value| (least.min(*value), most.max(*value)))
}

/// Whole numbers in groups of three where they are large, two decimals where they are small.
fn number(value: f64) -> String {
    if value.abs() < 100.0 {
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
    use super::*;

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
        let shown: Vec<String> = [0.254, 99.994, 100.0, 1234.4, -1_234_567.0].into_iter().map(number).collect();
        assert_eq!(shown, ["0.25", "99.99", "100", "1,234", "-1,234,567"]);
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
        ] {
            assert_eq!(figure().beside(&[100.0, 100.0, 100.0]).goal(goal).met(), Some(met), "{goal:?}");
        }
    }
}

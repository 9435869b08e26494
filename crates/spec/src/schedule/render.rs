//! Writing a schedule back in the form that is read.
//!
//! Owns: the lines of a `schedule` block. Refuses to know: the document around it.

use nightshift_domain::{
    calendar::{CatchUp, Rule, Schedule},
    time::Timestamp,
};

use super::{
    OVERLAPS,
    rule::{FREQUENCIES, WEEKDAYS},
};
use crate::duration;

/// The keys and values of a schedule, a line each, without indentation. Reading them gives the same schedule.
#[must_use]
pub fn render(schedule: &Schedule) -> Vec<String> {
    let mut lines = rule_lines(&schedule.rule);
    lines.push(format!("timezone: {}", schedule.timezone));
    match schedule.catch_up {
        CatchUp::Skip => lines.push("catch_up: skip".to_owned()),
        CatchUp::Latest => lines.push("catch_up: latest".to_owned()),
        CatchUp::All { max } => lines.push(format!("catch_up: {{all: {max}}}")),
    }
    if let Some(window) = schedule.catch_up_window_s {
        lines.push(format!("catch_up_window: {}", duration::render(window)));
    }
    lines.extend(OVERLAPS.iter().find(|(_, o)| *o == schedule.overlap).map(|(word, _)| format!("overlap: {word}")));
    if schedule.jitter_s > 0 {
        lines.push(format!("jitter: {}", duration::render(u64::from(schedule.jitter_s))));
    }
    lines
}

fn rule_lines(rule: &Rule) -> Vec<String> {
    match rule {
        Rule::Cron { expression } => vec![format!("cron: {expression:?}")],
        Rule::Interval { every_s, anchor } => {
            vec![format!("every: {}", duration::render(*every_s)), format!("anchor: {}", instant(*anchor))]
        }
        Rule::Calendar { frequency, day, minute_of_day } => {
            let mut lines = Vec::new();
            lines
                .extend(FREQUENCIES.iter().find(|(_, f)| f == frequency).map(|(word, _)| format!("frequency: {word}")));
            if let Some(day) = day {
                lines.extend(WEEKDAYS.iter().find(|(_, d)| d == day).map(|(word, _)| format!("day: {word}")));
            }
            lines.push(format!("time: \"{:02}:{:02}\"", minute_of_day / 60, minute_of_day % 60));
            lines
        }
        Rule::Once { at } => vec![format!("at: {}", instant(*at))],
    }
}

fn instant(at: Timestamp) -> String {
    format!("\"{at}\"")
}

//! When a step is tried again, in all the words there are for it.
//!
//! Owns: the two presets and how what is said is laid over them. Refuses to know: what a failure is.

use nightshift_domain::run::{Jitter, RetryPolicy, Rollback, Shape};

use super::{
    keys,
    work::{Style, Work},
};
use crate::reader::{Field, Map};

/// What holds for steps that do not say.
pub(super) struct Defaults {
    /// When they are tried again; none: as their kind has it.
    pub retry: Option<RetryPolicy>,
    /// People may not skip them.
    pub no_skip: bool,
    /// What people should know who undo them.
    pub rollback: Option<Rollback>,
}

/// The policy that what is said is laid over.
pub(super) fn base(style: Style) -> RetryPolicy {
    match style {
        Style::Queue | Style::Own => RetryPolicy::queue_preset(),
        Style::Orchestration => RetryPolicy::once(),
    }
}

/// Reads `error_handling`.
pub(super) fn error_handling<'n>(work: &mut Work<'_, 'n>, map: &Map<'n>) -> Defaults {
    let mut found = Defaults { retry: None, no_skip: false, rollback: None };
    let Some(field) = map.get("error_handling") else { return found };
    let Some(map) = work.reader.table(&field, &keys::ERROR_HANDLING) else { return found };
    found.rollback = work.optional(&map, "rollback", rollback).flatten();
    if let Some(field) = map.get("on_step_failure") {
        for item in work.reader.items(&field) {
            let Some(item) = work.reader.table(&item, &keys::ON_STEP_FAILURE) else { continue };
            let policy = found.retry.take().unwrap_or_else(|| base(Style::Orchestration));
            found.retry = lay_over(work, &item, policy);
            work.optional(&item, "notify_human", |work, field| work.truth(field));
            if let Some(Some(allowed)) = work.optional(&item, "allow_skip", |work, field| work.truth(field)) {
                found.no_skip = !allowed;
            }
        }
    }
    found
}

/// Reads a `retry` block over the policy that holds without it.
pub(super) fn policy<'n>(work: &mut Work<'_, 'n>, field: &Field<'n>, over: RetryPolicy) -> Option<RetryPolicy> {
    let map = work.reader.table(field, &keys::RETRY)?;
    lay_over(work, &map, over)
}

fn lay_over<'n>(work: &mut Work<'_, 'n>, map: &Map<'n>, over: RetryPolicy) -> Option<RetryPolicy> {
    let attempts = attempts(work, map);
    let initial = initial(work, map);
    let multiplier = work.optional(map, "multiplier", |work, field| ranged(work, field, 1.0, 100.0));
    let cap = one_of(work, map, &["max_delay_ms", "max_delay_seconds", "max_delay"]);
    let shapes = [
        ("exponential", (Shape::Exponential, false)),
        ("exp", (Shape::Exponential, false)),
        ("linear", (Shape::Linear, false)),
        ("fixed", (Shape::Exponential, true)),
    ];
    let shape = work.optional(map, "strategy", |work, field| work.word(field, &shapes));
    let jitter = work.optional(map, "jitter_ms", |work, field| work.whole(field, 0, 3_600_000));
    let mut policy = over;
    policy.attempts_max = attempts?.unwrap_or(policy.attempts_max);
    if let Some((ms, floor_ms)) = initial? {
        // Who names a delay means this delay.
        policy = RetryPolicy { initial_ms: ms, floor_ms, jitter: Jitter::None, ..policy };
        policy.cap_ms = policy.cap_ms.max(ms);
    }
    if let Some(times) = multiplier? {
        policy.multiplier_pct = (times * 100.0).round() as u32;
    }
    if let Some((shape, fixed)) = shape? {
        policy.shape = shape;
        policy.multiplier_pct = if fixed { 100 } else { policy.multiplier_pct };
    }
    if let Some(cap) = cap? {
        policy.cap_ms = cap;
    }
    if let Some(jitter) = jitter? {
        policy.jitter = if jitter == 0 { Jitter::None } else { Jitter::UpTo(jitter) };
    }
    Some(policy)
}

/// Attempts in all, or attempts after the first.
fn attempts<'n>(work: &mut Work<'_, 'n>, map: &Map<'n>) -> Option<Option<u32>> {
    let all = work.optional(map, "max_attempts", |work, field| work.whole(field, 1, 100));
    let more = work.optional(map, "retry_count", |work, field| work.whole(field, 0, 99));
    if let (Some(field), Some(_)) = (map.get("retry_count"), map.get("max_attempts")) {
        let remedy =
            Some("drop one of the two: max_attempts counts the first attempt, retry_count does not".to_owned());
        work.reader.refuse(&field, "max_attempts or retry_count", remedy);
        return None;
    }
    let said = all?.or(more?.map(|more| more + 1));
    Some(said.and_then(|attempts| u32::try_from(attempts).ok()))
}

/// The delay before the second attempt and the shortest delay, in milliseconds.
fn initial<'n>(work: &mut Work<'_, 'n>, map: &Map<'n>) -> Option<Option<(u64, u64)>> {
    const FLOOR_MS: u64 = 250;
    let keys = ["base_ms", "initial_delay_ms", "initial_delay_seconds", "initial_delay"];
    let exact = map.get("base_ms").is_some();
    let ms = one_of(work, map, &keys)?;
    Some(ms.map(|ms| (ms, if exact { ms.clamp(1, FLOOR_MS) } else { FLOOR_MS })))
}

/// Milliseconds under one of several keys whose ends say the unit.
fn one_of<'n>(work: &mut Work<'_, 'n>, map: &Map<'n>, keys: &[&str]) -> Option<Option<u64>> {
    const DAY_MS: f64 = 86_400_000.0;
    let present: Vec<(&str, Field<'n>)> =
        keys.iter().filter_map(|key| map.get(key).map(|field| (*key, field))).collect();
    if let [_, (_, second), ..] = present.as_slice() {
        work.reader.refuse(second, &format!("one of {}", keys.join(", ")), Some("drop the others".to_owned()));
        return None;
    }
    let Some((key, field)) = present.first() else { return Some(None) };
    let ms = match *key {
        key if key.ends_with("_ms") => ranged(work, field, 0.0, DAY_MS)?,
        key if key.ends_with("_seconds") => ranged(work, field, 0.0, DAY_MS / 1_000.0)? * 1_000.0,
        _ => return work.duration(field, 86_400).map(Some),
    };
    Some(Some(ms.round() as u64))
}

fn ranged(work: &mut Work<'_, '_>, field: &Field<'_>, least: f64, most: f64) -> Option<f64> {
    let number = work.number(field)?;
    if !(least..=most).contains(&number) {
        work.reader.refuse(field, &format!("a number from {least} to {most}"), None);
        return None;
    }
    Some(number)
}

/// Reads a `rollback` block.
pub(super) fn rollback<'n>(work: &mut Work<'_, 'n>, field: &Field<'n>) -> Option<Rollback> {
    let map = work.reader.table(field, &keys::ROLLBACK)?;
    let reversible = work.optional(&map, "reversible", |work, field| work.truth(field));
    let manual_only = work.optional(&map, "manual_only", |work, field| work.truth(field));
    let description = work.optional(&map, "description", |work, field| work.reader.text(field));
    let label = work.optional(&map, "label", |work, field| work.reader.line(field));
    Some(Rollback {
        reversible: reversible?.unwrap_or(false),
        manual_only: manual_only?.unwrap_or(false),
        description: description?,
        label: label?,
    })
}

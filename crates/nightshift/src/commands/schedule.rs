//! `nightshift schedule`: triggers in time.

use std::path::Path;

use nightshift_domain::{
    calendar::{Calendar, Rule, Schedule},
    time::Timestamp,
};
use nightshift_ports::read_models::Query;

use super::Env;
use crate::{
    app::{self, Mode},
    args,
    exit::{Code, Exit},
    names,
    output::{self, cell, instant, short_id},
};

/// Runs the command.
///
/// # Errors
/// It failed; the error has the exit code.
pub async fn run(env: &Env, command: args::Schedule) -> Result<Code, Exit> {
    match command {
        args::Schedule::List => list(env).await,
        args::Schedule::Preview { what, timezone, count, from } => {
            let schedule = schedule_of(env, &what, timezone).await?;
            preview(env, &schedule, count, from)
        }
    }
}

async fn list(env: &Env) -> Result<Code, Exit> {
    let store = app::open(&env.config, Mode::Read).await?;
    let query = Query { order: vec![("next_due_at", false)], limit: 1_000, ..Query::default() };
    let rows = store.read_models().query(names::table("schedules"), &query).await?;
    if env.json {
        output::json(&rows);
        return Ok(Code::Ok);
    }
    let lines = rows.iter().map(|row| {
        vec![
            short_id(&cell(row, "deliverable_id")).to_owned(),
            cell(row, "status"),
            rule_words(row.get("rule")),
            cell(row, "timezone"),
            instant(row, "next_due_at"),
            instant(row, "last_fired_at"),
            cell(row, "fired_count"),
            cell(row, "skipped_count"),
        ]
    });
    let headings = ["deliverable", "status", "rule", "zone", "next", "last", "fired", "skipped"];
    output::table(&headings, lines.collect(), "no schedules yet");
    Ok(Code::Ok)
}

/// A rule as a person writes it.
fn rule_words(rule: Option<&serde_json::Value>) -> String {
    let parsed = rule.and_then(|rule| serde_json::from_value::<Rule>(rule.clone()).ok());
    parsed.map(|rule| words(&rule)).unwrap_or_default()
}

/// A cron expression, the schedule of an order document, or that of a deliverable.
async fn schedule_of(env: &Env, what: &str, timezone: String) -> Result<Schedule, Exit> {
    if what.split_whitespace().count() >= 5 {
        let text = format!("cron: \"{what}\"\ntimezone: {timezone}\n");
        return Ok(nightshift_spec::schedule::parse(&text, "cron", &app::calendar(), env.clock().now())?);
    }
    if Path::new(what).is_file() {
        let order = super::deliverable::read_order(env, Path::new(what))?.order;
        return order.schedule.ok_or_else(|| Exit::new(Code::Usage, format!("{what} has no schedule")));
    }
    let store = app::open(&env.config, Mode::Read).await?;
    let (_, row) = names::deliverable(&*store.read_models(), what).await?;
    let schedule = row.get("schedule").filter(|schedule| !schedule.is_null()).cloned();
    let schedule =
        schedule.ok_or_else(|| Exit::new(Code::Usage, format!("{} has no schedule", cell(&row, "title"))))?;
    Ok(serde_json::from_value(schedule)?)
}

fn preview(env: &Env, schedule: &Schedule, count: u32, from: Option<String>) -> Result<Code, Exit> {
    let calendar = app::calendar();
    let mut after = match from {
        None => env.clock().now(),
        Some(text) => parse_instant(&text)?,
    };
    let mut instants = Vec::new();
    for _ in 0..count.min(1_000) {
        let next = calendar.next_after(schedule, after).map_err(|error| Exit::new(Code::Usage, error.to_string()))?;
        let Some(next) = next else { break };
        instants.push((next, local(&calendar, schedule, next)));
        after = next;
    }
    if env.json {
        let rows = instants.iter().map(|(utc, local)| serde_json::json!({"utc": utc.to_string(), "local": local}));
        output::json(&rows.collect::<Vec<_>>());
        return Ok(Code::Ok);
    }
    println!("{} in {} (zone data {})", words(&schedule.rule), schedule.timezone, calendar.tz_revision());
    let lines = instants.iter().map(|(utc, local)| vec![utc.to_string(), local.clone()]).collect();
    output::table(&["utc", "local"], lines, "it never falls due again");
    Ok(Code::Ok)
}

fn local(calendar: &nightshift_spec::ZonedCalendar, schedule: &Schedule, at: Timestamp) -> String {
    calendar.local_text(&schedule.timezone, at).unwrap_or_else(|| at.to_string())
}

fn words(rule: &Rule) -> String {
    match rule {
        Rule::Cron { expression } => format!("cron {expression}"),
        Rule::Interval { every_s, .. } => format!("every {}", nightshift_spec::duration::render(*every_s)),
        Rule::Calendar { frequency, day, minute_of_day } => {
            let text = |value: serde_json::Result<serde_json::Value>| {
                value.ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
            };
            let frequency = text(serde_json::to_value(frequency));
            let day = day.map(|day| format!(" on {}", text(serde_json::to_value(day)))).unwrap_or_default();
            format!("{frequency}{day} at {:02}:{:02}", minute_of_day / 60, minute_of_day % 60)
        }
        Rule::Once { at } => format!("once at {at}"),
    }
}

/// Reads an instant from a command line.
///
/// # Errors
/// It is not one.
pub fn parse_instant(text: &str) -> Result<Timestamp, Exit> {
    let parsed = chrono::DateTime::parse_from_rfc3339(text);
    parsed.map(|at| at.to_utc().into()).map_err(|error| {
        Exit::new(Code::Usage, format!("{text:?} is not an instant such as 2026-03-02T09:00:00Z: {error}"))
    })
}

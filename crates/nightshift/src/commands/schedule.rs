//! `nightshift schedule`: triggers in time.

mod preview;

use std::collections::HashMap;

use nightshift_domain::{
    calendar::Rule,
    ids::{CommandId, ScheduleId},
    schedule::Command,
    time::Timestamp,
};
use nightshift_ports::{
    clock::IdSource,
    read_models::{Query, ReadModels},
};
use nightshift_projections::table::Row;
use serde_json::Value;

use super::Env;
use crate::{
    app::{self, Mode},
    args,
    control::Control,
    exit::{Code, Exit},
    names,
    output::{self, cell, instant, short_id},
    real::RandomIds,
};

/// Runs the command.
///
/// # Errors
/// It failed; the error has the exit code.
pub async fn run(env: &Env, command: args::Schedule) -> Result<Code, Exit> {
    match command {
        args::Schedule::List => list(env).await,
        args::Schedule::Pause { id, note } => tell(env, &id, Command::Pause { note }).await,
        args::Schedule::Resume { id } => tell(env, &id, Command::Resume {}).await,
        args::Schedule::Trigger { id } => tell(env, &id, Command::TriggerNow {}).await,
        args::Schedule::Backfill { id, from, upto } => {
            let from = parse_instant(&from)?;
            let upto = upto.as_deref().map_or_else(|| Ok(env.clock().now()), parse_instant)?;
            if upto < from {
                return Err(Exit::new(Code::Usage, format!("--upto {upto} is before --from {from}")));
            }
            tell(env, &id, Command::Backfill { from, upto }).await
        }
        args::Schedule::Preview { what, timezone, count, from } => {
            let from = from.as_deref().map_or_else(|| Ok(env.clock().now()), parse_instant)?;
            preview::run(env, &what, timezone, (from, count)).await
        }
    }
}

async fn list(env: &Env) -> Result<Code, Exit> {
    let store = app::open(&env.config, Mode::Read).await?;
    let models = store.read_models();
    let query = Query { order: vec![("next_due_at", false)], limit: 1_000, ..Query::default() };
    let rows = models.query(names::table("schedules"), &query).await?;
    if env.json {
        output::json(&rows);
        return Ok(Code::Ok);
    }
    let starts = started(&*models).await?;
    let lines = rows.iter().map(|row| {
        vec![
            short_id(&cell(row, "id")).to_owned(),
            starts.get(&target(row)).cloned().unwrap_or_default(),
            cell(row, "status"),
            rule_words(row.get("rule")),
            cell(row, "timezone"),
            instant(row, "next_due_at"),
            instant(row, "last_fired_at"),
            cell(row, "fired_count"),
            cell(row, "skipped_count"),
            cell(row, "pause_note"),
        ]
    });
    let headings = ["id", "starts", "status", "rule", "zone", "next", "last", "fired", "skipped", "note"];
    output::table(&headings, lines.collect(), "no schedules yet");
    Ok(Code::Ok)
}

/// The id of what a schedule tells.
fn target(row: &Row) -> String {
    let deliverable = cell(row, "deliverable_id");
    if deliverable.is_empty() { cell(row, "definition_id") } else { deliverable }
}

/// What schedules may start, by id: workflows as `owner/name`, deliverables by their title.
async fn started(models: &dyn ReadModels) -> Result<HashMap<String, String>, Exit> {
    let all = Query { limit: 10_000, ..Query::default() };
    let workflows = models.query(names::table("orchestration_definitions"), &all).await?;
    let deliverables = models.query(names::table("deliverables"), &all).await?;
    let workflow = |row: &Row| (cell(row, "id"), format!("{}/{}", cell(row, "owner"), cell(row, "name")));
    let deliverable = |row: &Row| (cell(row, "id"), cell(row, "title"));
    Ok(workflows.iter().map(workflow).chain(deliverables.iter().map(deliverable)).collect())
}

/// The one schedule that is meant.
async fn one(models: &dyn ReadModels, name: &str) -> Result<(ScheduleId, Row), Exit> {
    let mut found = names::schedules_of(models, name).await?;
    match (found.pop(), found.as_slice()) {
        (Some(only), []) => Ok(only),
        (last, others) => {
            let all = others.iter().chain(&last).map(|(id, row)| format!("{id} ({})", rule_words(row.get("rule"))));
            let message = format!("{name} has several schedules: name one of {}", all.collect::<Vec<_>>().join(", "));
            Err(Exit::new(Code::Usage, message))
        }
    }
}

async fn tell(env: &Env, name: &str, command: Command) -> Result<Code, Exit> {
    let control = Control::open(env).await?;
    let (id, row) = one(&*control.store().read_models(), name).await?;
    // A schedule of a deliverable follows the pauses of its order: the next revision would undo one of its own.
    let deliverable = cell(&row, "deliverable_id");
    if !deliverable.is_empty() && matches!(command, Command::Pause { .. } | Command::Resume {}) {
        let verb = if matches!(command, Command::Resume {}) { "resume" } else { "pause" };
        let message = format!("this schedule belongs to a deliverable: `nightshift deliverable {verb} {deliverable}`");
        return Err(Exit::new(Code::Usage, message));
    }
    let done = match &command {
        Command::Pause { .. } => "is paused",
        Command::Resume {} => "goes on",
        Command::Backfill { .. } => {
            "tells of the instants of that range; `nightshift run list` shows what they started"
        }
        _ => "was triggered; `nightshift run list` shows what it started",
    };
    control.submit(id.stream(), command, CommandId(RandomIds.fresh())).await?;
    control.settled().await;
    let (_, row) = names::schedule(&*control.store().read_models(), &id.to_string()).await?;
    control.close().await;
    if env.json {
        output::json(&row);
    } else {
        let next = instant(&row, "next_due_at");
        let next = if next.is_empty() { String::new() } else { format!("; next: {next}") };
        println!("schedule {id} ({}) {done}{next}", rule_words(row.get("rule")));
    }
    Ok(Code::Ok)
}

/// The rule of a row as a person writes it. Rows keep instants as texts, rules as numbers.
fn rule_words(rule: Option<&Value>) -> String {
    let Some(rule) = rule else { return String::new() };
    let every = rule.pointer("/interval/every_s").and_then(Value::as_u64);
    let once = rule.pointer("/once/at").and_then(Value::as_str);
    match (every, once) {
        (Some(every_s), _) => format!("every {}", nightshift_spec::duration::render(every_s)),
        (_, Some(at)) => format!("once at {}", output::short_instant(at)),
        _ => serde_json::from_value::<Rule>(rule.clone()).map(|rule| words(&rule)).unwrap_or_default(),
    }
}

fn words(rule: &Rule) -> String {
    match rule {
        Rule::Cron { expression } => format!("cron {expression}"),
        Rule::Interval { every_s, .. } => format!("every {}", nightshift_spec::duration::render(*every_s)),
        Rule::Calendar { frequency, day, minute_of_day } => {
            let text = |value: serde_json::Result<Value>| {
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

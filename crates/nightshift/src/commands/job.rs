//! `nightshift job`: steps in the queue, and those whose last attempt failed.

use std::collections::HashMap;

use nightshift_api::Queued;
use nightshift_domain::{
    ids::{CommandId, RunId},
    run::{Asked, Command},
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
    control::{self, Control},
    exit::{Code, Exit},
    names,
    output::{self, cell, instant},
    real::RandomIds,
};

/// States of a job.
const STATES: [&str; 7] = ["queued", "leased", "running", "success", "failed", "dead", "cancelled"];

/// Runs the command.
///
/// # Errors
/// It failed; the error has the exit code.
pub async fn run(env: &Env, command: args::Job) -> Result<Code, Exit> {
    match command {
        args::Job::List { status, limit } => list(env, status, limit).await,
        args::Job::Dead => list(env, Some("dead".to_owned()), 1_000).await,
        args::Job::Retry { job, all_dead, note } => retry(env, job, all_dead, note).await,
    }
}

async fn jobs(models: &dyn ReadModels, status: Option<String>, limit: u32) -> Result<Vec<Row>, Exit> {
    let equals = names::state(status, &STATES)?.into_iter().collect();
    let query = Query { equals, order: vec![("updated_at", true)], limit, ..Query::default() };
    Ok(models.query(names::table("job_queue"), &query).await?)
}

async fn list(env: &Env, status: Option<String>, limit: u32) -> Result<Code, Exit> {
    let store = app::open(&env.config, Mode::Read).await?;
    let rows = jobs(&*store.read_models(), status, limit).await?;
    let mut rows = rows;
    held(env, &mut rows).await?;
    if env.json {
        output::json(&rows);
        return Ok(Code::Ok);
    }
    let lines = rows.iter().map(|row| {
        vec![
            cell(row, "job_id"),
            cell(row, "user_id"),
            cell(row, "status"),
            cell(row, "held_by"),
            cell(row, "priority"),
            format!("{}/{}", cell(row, "attempts"), cell(row, "max_attempts")),
            instant(row, "next_run_at"),
            instant(row, "updated_at"),
        ]
    });
    let headings = ["job", "user", "status", "held by", "priority", "attempts", "next", "changed"];
    output::table(&headings, lines.collect(), "no jobs");
    Ok(Code::Ok)
}

/// Says of queued jobs which limit or pause holds them back; only a daemon knows.
async fn held(env: &Env, rows: &mut [Row]) -> Result<(), Exit> {
    if !rows.iter().any(|row| cell(row, "status") == "queued") {
        return Ok(());
    }
    // Without a daemon that can be asked, nobody knows.
    let Ok(Some(daemon)) = control::reach(&env.config).await else { return Ok(()) };
    let queued: Queued = daemon.get("/api/control/queue").await?;
    let held = queued.held.into_iter().map(|(run, step, by)| (format!("{run}/{step}"), by));
    let held: HashMap<String, String> = held.collect();
    for row in rows {
        if let Some(by) = held.get(&cell(row, "job_id")) {
            row.insert("held_by".to_owned(), Value::from(by.clone()));
        }
    }
    Ok(())
}

async fn retry(env: &Env, job: Option<String>, all_dead: bool, note: String) -> Result<Code, Exit> {
    let control = Control::open(env).await?;
    let models = control.store().read_models();
    let dead = jobs(&*models, Some("dead".to_owned()), 10_000).await?;
    let chosen: Vec<Row> = match &job {
        Some(job) => dead.into_iter().filter(|row| is_called(row, job)).collect(),
        None if all_dead => dead,
        None => return Err(Exit::new(Code::Usage, "name a job, or say --all-dead; `nightshift job dead` lists them")),
    };
    if let (Some(job), true) = (&job, chosen.is_empty()) {
        let message = format!("there is no dead job {job:?}; `nightshift job dead` lists them");
        return Err(Exit::new(Code::NotFound, message));
    }
    let (mut again, mut refused) = (Vec::new(), Vec::new());
    for row in &chosen {
        let run: RunId = cell(row, "workflow_run_id").parse().map_err(Exit::failed)?;
        let by = Asked { by: control::user_name(), note: note.clone() };
        let command =
            Command::RetryStep { step: cell(row, "step_id"), modifications: None, delay_ms: 0, by, past: None };
        match control.submit(run.stream(), command, CommandId(RandomIds.fresh())).await {
            Ok(_) => again.push(cell(row, "job_id")),
            Err(error) => refused.push((cell(row, "job_id"), error.to_string())),
        }
    }
    control.settled().await;
    control.close().await;
    if env.json {
        output::json(&serde_json::json!({"retried": again, "refused": refused}));
    } else {
        println!("{} step(s) are done again", again.len());
        refused.iter().for_each(|(job, why)| println!("{job}: {why}"));
    }
    Ok(if refused.is_empty() { Code::Ok } else { Code::Failed })
}

/// Whether a job is meant by `run/step`, where the beginning of the run's id is enough.
fn is_called(row: &Row, name: &str) -> bool {
    let job = row.get("job_id").and_then(Value::as_str).unwrap_or_default();
    match (job.split_once('/'), name.split_once('/')) {
        (Some((run, step)), Some((begin, wanted))) => begin.len() >= 4 && run.starts_with(begin) && step == wanted,
        _ => false,
    }
}

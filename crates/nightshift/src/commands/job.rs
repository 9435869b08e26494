//! `nightshift job`: steps in the queue, and dead letters: those whose last attempt failed. What is done to many letters at
//! once is in `bulk`.

use std::collections::HashMap;

use nightshift_api::Queued;
use nightshift_domain::{
    ids::{CommandId, RunId},
    run::{Command, DeadVerb},
};
use nightshift_ports::{
    clock::IdSource,
    read_models::{Query, ReadModels, Search},
};
use nightshift_projections::table::Row;
use serde_json::Value;

use super::{Env, bulk, run::asked};
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

/// Jobs looked through for the beginning of a name.
const LOOKED_THROUGH: u32 = 1_000;

/// Runs the command.
///
/// # Errors
/// It failed; the error has the exit code.
pub async fn run(env: &Env, command: args::Job) -> Result<Code, Exit> {
    match command {
        args::Job::List { status, limit } => list(env, status, limit).await,
        args::Job::Dead { limit } => list(env, Some("dead".to_owned()), limit).await,
        args::Job::Retry { job: None, all_dead: true, note } => {
            let letters = args::Letters { note, watch: true, ..args::Letters::default() };
            bulk::begin(env, DeadVerb::Retry, letters).await
        }
        args::Job::Retry { job: None, .. } => {
            Err(Exit::new(Code::Usage, "name a job, or say --all-dead; `nightshift job dead` lists them"))
        }
        args::Job::Retry { job: Some(job), note, .. } => letter(env, &job, DeadVerb::Retry, note).await,
        args::Job::Reset { job, note } => letter(env, &job, DeadVerb::Reset, note).await,
        args::Job::Discard { job, note } => letter(env, &job, DeadVerb::Discard, note).await,
        args::Job::Bulk(command) => bulk::run(env, command).await,
    }
}

async fn list(env: &Env, status: Option<String>, limit: u32) -> Result<Code, Exit> {
    let store = app::open(&env.config, Mode::Read).await?;
    let equals = names::state(status, &STATES)?.into_iter().collect();
    let query = Query { equals, order: vec![("updated_at", true)], limit, ..Query::default() };
    let mut rows = store.read_models().query(names::table("job_queue"), &query).await?;
    held(env, &mut rows).await?;
    if env.json {
        output::json(&rows);
        return Ok(Code::Ok);
    }
    let lines = rows.iter().map(|row| {
        vec![
            cell(row, "job_id"),
            cell(row, "definition"),
            cell(row, "user_id"),
            cell(row, "status"),
            cell(row, "held_by"),
            cell(row, "error_class"),
            cell(row, "priority"),
            format!("{}/{}", cell(row, "attempts"), cell(row, "max_attempts")),
            instant(row, "next_run_at"),
            instant(row, "updated_at"),
        ]
    });
    let headings =
        ["job", "definition", "user", "status", "held by", "error", "priority", "attempts", "next", "changed"];
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

async fn letter(env: &Env, name: &str, verb: DeadVerb, note: String) -> Result<Code, Exit> {
    let control = Control::open(env).await?;
    let models = control.store().read_models();
    let row = find(&*models, name).await?;
    let run: RunId = cell(&row, "workflow_run_id").parse().map_err(Exit::failed)?;
    let command = Command::DeadLetter { step: cell(&row, "step_id"), attempt: None, verb, by: asked(note) };
    control.submit(run.stream(), command, CommandId(RandomIds.fresh())).await?;
    control.settled().await;
    let row = find(&*models, &cell(&row, "job_id")).await?;
    control.close().await;
    if env.json {
        output::json(&row);
    } else {
        let done = if verb == DeadVerb::Discard { "is discarded" } else { "is done again" };
        println!("{} {done}; it is {} now", cell(&row, "job_id"), cell(&row, "status"));
    }
    Ok(Code::Ok)
}

/// A job by `run/step`, where the beginning of the run's id is enough.
async fn find(models: &dyn ReadModels, name: &str) -> Result<Row, Exit> {
    let missing = || {
        let message = format!("there is no job {name:?}; `nightshift job dead` lists those that can be had again");
        Exit::new(Code::NotFound, message)
    };
    let (begin, step) = name.split_once('/').filter(|(begin, _)| begin.len() >= 4).ok_or_else(missing)?;
    let query = Query {
        equals: vec![("step_id", Value::from(step))],
        search: Some(Search { columns: &["job_id"], word: begin.to_owned() }),
        limit: LOOKED_THROUGH,
        ..Query::default()
    };
    let rows = models.query(names::table("job_queue"), &query).await?;
    let mut called = rows.into_iter().filter(|row| cell(row, "job_id").starts_with(&begin.to_lowercase()));
    match (called.next(), called.next()) {
        (Some(row), None) => Ok(row),
        (Some(one), Some(other)) => {
            let jobs = [one, other].map(|row| cell(&row, "job_id")).join(", ");
            Err(Exit::new(Code::Usage, format!("several jobs are called {name:?}: {jobs}, ...")))
        }
        _ => Err(missing()),
    }
}

//! `nightshift approval` and `nightshift approve`: questions to people, and their answers.

use nightshift_domain::{
    content::Digest,
    ids::{CommandId, RunId},
    run::{self, Answer, ApprovalAction, ApprovalId},
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
    output::{self, cell, fact, instant, short_id},
    real::RandomIds,
};

/// Runs the command.
///
/// # Errors
/// It failed; the error has the exit code.
pub async fn run(env: &Env, command: args::Approval) -> Result<Code, Exit> {
    match command {
        args::Approval::List { status } => list(env, status).await,
        args::Approval::Show { id } => show(env, &id).await,
    }
}

async fn list(env: &Env, status: String) -> Result<Code, Exit> {
    let store = app::open(&env.config, Mode::Read).await?;
    let equals = names::state(Some(status), &["pending", "approved", "retried", "aborted", "void"])?;
    let query = Query {
        equals: equals.into_iter().collect(),
        order: vec![("requested_at", false)],
        limit: 1_000,
        ..Query::default()
    };
    let rows = store.read_models().query(names::table("human_approvals"), &query).await?;
    if env.json {
        output::json(&rows);
        return Ok(Code::Ok);
    }
    let lines = rows.iter().map(|row| {
        vec![
            short_id(&cell(row, "id")).to_owned(),
            short_id(&cell(row, "run_id")).to_owned(),
            cell(row, "step_id"),
            cell(row, "question"),
            options(row),
            instant(row, "requested_at"),
            instant(row, "deadline_at"),
            cell(row, "decided_by"),
        ]
    });
    let headings = ["id", "run", "step", "question", "answers", "asked", "deadline", "decided by"];
    output::table(&headings, lines.collect(), "nobody is asked anything");
    Ok(Code::Ok)
}

fn options(row: &Row) -> String {
    let options = row.get("options").and_then(Value::as_array).into_iter().flatten();
    let actions: Vec<&str> = options.filter_map(|option| option.get("action").and_then(Value::as_str)).collect();
    actions.join(", ")
}

/// A question by the beginning of its id.
///
/// # Errors
/// There is none, or more than one.
pub async fn find(models: &dyn ReadModels, id: &str) -> Result<Row, Exit> {
    let query = Query { order: vec![("requested_at", true)], limit: 10_000, ..Query::default() };
    let rows = models.query(names::table("human_approvals"), &query).await?;
    let wanted = id.to_lowercase();
    let mut found = rows.into_iter().filter(|row| wanted.len() >= 4 && cell(row, "id").starts_with(&wanted));
    match (found.next(), found.next()) {
        (Some(row), None) => Ok(row),
        (None, _) => {
            let message = format!("there is no approval {id:?}; `nightshift approval list` shows what waits");
            Err(Exit::new(Code::NotFound, message))
        }
        _ => Err(Exit::new(Code::Usage, format!("several approvals begin with {id:?}; write more of the id"))),
    }
}

async fn show(env: &Env, id: &str) -> Result<Code, Exit> {
    let store = app::open(&env.config, Mode::Read).await?;
    let row = find(&*store.read_models(), id).await?;
    if env.json {
        output::json(&row);
        return Ok(Code::Ok);
    }
    println!("{}", cell(&row, "question"));
    fact("id", cell(&row, "id"));
    fact("status", cell(&row, "status"));
    fact("run", cell(&row, "run_id"));
    fact("step", cell(&row, "step_id"));
    fact("answers", options(&row));
    fact("assignee", cell(&row, "assignee"));
    fact("group", cell(&row, "group_name"));
    fact("deadline", instant(&row, "deadline_at"));
    fact("digest", cell(&row, "payload_digest"));
    fact("decided", instant(&row, "decided_at"));
    fact("by", cell(&row, "decided_by"));
    fact("comment", cell(&row, "comment"));
    println!();
    output::json(row.get("payload").unwrap_or(&Value::Null));
    Ok(Code::Ok)
}

/// Answers a question.
///
/// # Errors
/// There is none, it was answered already, or it does not allow this answer.
pub async fn approve(env: &Env, asked: args::Approve) -> Result<Code, Exit> {
    let modifications = asked.modifications.as_deref().map(|text| json("--modifications", text)).transpose()?;
    let control = Control::open(env).await?;
    let row = find(&*control.store().read_models(), &asked.id).await?;
    let run: RunId = cell(&row, "run_id").parse().map_err(Exit::failed)?;
    let action = match (asked.retry, asked.abort) {
        (true, _) => ApprovalAction::Retry,
        (_, true) => ApprovalAction::Abort,
        _ => ApprovalAction::Continue,
    };
    let answer = Answer {
        approval: ApprovalId(cell(&row, "id").parse().map_err(Exit::failed)?),
        action,
        by: control::user_name(),
        note: asked.note,
        modifications,
        digest: Some(Digest(asked.digest.unwrap_or_else(|| cell(&row, "payload_digest")))),
    };
    let command = run::Command::Answer(Box::new(answer));
    control.submit(run.stream(), command, CommandId(RandomIds.fresh())).await?;
    control.settled().await;
    let models = control.store().read_models();
    let row = find(&*models, &cell(&row, "id")).await?;
    let (_, of) = names::run(&*models, &run.to_string()).await?;
    control.close().await;
    if env.json {
        output::json(&row);
    } else {
        println!("{}: {}; the run is {}", cell(&row, "question"), cell(&row, "status"), cell(&of, "status"));
    }
    Ok(Code::Ok)
}

/// A JSON value on the command line.
///
/// # Errors
/// It is none; the message names the argument.
pub fn json(argument: &str, text: &str) -> Result<Value, Exit> {
    serde_json::from_str(text)
        .map_err(|error| Exit::new(Code::Usage, format!("{argument}: {text:?} is no JSON: {error}")))
}

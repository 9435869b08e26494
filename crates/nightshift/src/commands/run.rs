//! `nightshift run`: executions.

use nightshift_domain::{ids::CommandId, run};
use nightshift_ports::{clock::IdSource, read_models::Query};

use super::{Env, approval::json, report, timeline, watch, workflow};
use crate::{
    app::{self, Mode},
    args,
    control::{Control, user_name},
    exit::{Code, Exit},
    names,
    output::{self, cell, fact, instant, short_id},
    real::RandomIds,
};

/// Runs the command.
///
/// # Errors
/// It failed; the error has the exit code.
pub async fn run(env: &Env, command: args::Run) -> Result<Code, Exit> {
    match command {
        args::Run::List { status, limit } => list(env, status, limit).await,
        args::Run::Show { id } => show(env, &id).await,
        args::Run::Cancel { id, reason } => tell(env, &id, run::Command::Cancel { reason }).await,
        args::Run::Start(start) => watch::start(env, start).await,
        args::Run::Watch { id } => watch::watch(env, &id).await,
        args::Run::Retry { which, modifications, delay } => {
            let modifications = modifications.as_deref().map(|text| json("--modifications", text)).transpose()?;
            let (delay_ms, by) = (delay.saturating_mul(1_000), asked(which.note));
            tell(env, &which.id, run::Command::RetryStep { step: which.step, modifications, delay_ms, by, past: None })
                .await
        }
        args::Run::Skip { which, output } => {
            let output = output.as_deref().map(|text| json("--output", text)).transpose()?;
            let by = asked(which.note);
            tell(env, &which.id, run::Command::SkipStep { step: which.step, output, by, past: None }).await
        }
        args::Run::Rerun { id, from, note } => tell(env, &id, run::Command::Rerun { from, by: asked(note) }).await,
        args::Run::Migrate { id, to, note } => {
            let migration = workflow::migration(env, &to, asked(note)).await?;
            tell(env, &id, run::Command::Migrate(Box::new(migration))).await
        }
        args::Run::Pause { id, note } => tell(env, &id, run::Command::Pause { by: asked(note) }).await,
        args::Run::Reports { id } => report::list(env, &id).await,
        args::Run::Resend { id, message, note } => report::resend(env, &id, message.as_deref(), asked(note)).await,
        args::Run::Resume { id } => tell(env, &id, run::Command::Resume { by: asked(String::new()) }).await,
    }
}

/// Who is at the keyboard, and why.
pub fn asked(note: String) -> run::Asked {
    run::Asked { by: user_name(), note }
}

async fn list(env: &Env, status: Option<String>, limit: u32) -> Result<Code, Exit> {
    let store = app::open(&env.config, Mode::Read).await?;
    const STATES: [&str; 6] = ["pending", "running", "checkpoint", "completed", "failed", "cancelled"];
    let equals = names::state(status, &STATES)?.into_iter().collect();
    let query = Query { equals, order: vec![("started_at", true)], limit, ..Query::default() };
    let rows = store.read_models().query(names::table("orchestration_runs"), &query).await?;
    if env.json {
        output::json(&rows);
        return Ok(Code::Ok);
    }
    let lines = rows.iter().map(|row| {
        vec![
            short_id(&cell(row, "id")).to_owned(),
            cell(row, "definition"),
            cell(row, "title"),
            cell(row, "version_number"),
            cell(row, "status"),
            format!("{}/{}", cell(row, "completed_steps"), cell(row, "total_steps")),
            instant(row, "started_at"),
            instant(row, "completed_at"),
        ]
    });
    let headings = ["id", "definition", "title", "version", "status", "steps", "started", "ended"];
    output::table(&headings, lines.collect(), "no runs yet");
    Ok(Code::Ok)
}

async fn show(env: &Env, name: &str) -> Result<Code, Exit> {
    let store = app::open(&env.config, Mode::Read).await?;
    let models = store.read_models();
    let (id, row) = names::run(&*models, name).await?;
    let lines = timeline::of(&*store.log(), &[id.stream()]).await?;
    if env.json {
        output::json(&serde_json::json!({"run": row, "timeline": lines}));
        return Ok(Code::Ok);
    }
    let version = cell(&row, "version_number");
    let version = if version.is_empty() { version } else { format!(" v{version}") };
    println!("{} for {}{version}", cell(&row, "definition"), cell(&row, "title"));
    fact("id", id);
    fact("status", cell(&row, "status"));
    fact("trace", cell(&row, "trace_id"));
    fact("started", instant(&row, "started_at"));
    fact("ended", instant(&row, "completed_at"));
    fact(
        "error",
        row.get("error_details").filter(|error| !error.is_null()).map(ToString::to_string).unwrap_or_default(),
    );
    println!();
    timeline::print(&lines);
    Ok(Code::Ok)
}

async fn tell(env: &Env, name: &str, command: run::Command) -> Result<Code, Exit> {
    let control = Control::open(env).await?;
    let (id, before) = names::run(&*control.store().read_models(), name).await?;
    let is_cancel = matches!(command, run::Command::Cancel { .. });
    control.submit(id.stream(), command, CommandId(RandomIds.fresh())).await?;
    control.settled().await;
    let (_, row) = names::run(&*control.store().read_models(), &id.to_string()).await?;
    control.close().await;
    if env.json {
        output::json(&row)
    } else {
        let paused = if cell(&row, "pause_note").is_empty() { "" } else { ", paused" };
        let already = if is_cancel && cell(&before, "status") == "cancelled" { " already" } else { "" };
        println!("run {id} {}{already}{paused}", cell(&row, "status"))
    }
    Ok(Code::Ok)
}

//! `nightshift workflow`: definitions of workflows.

use std::{path::Path, sync::Arc};

use nightshift_domain::{
    codec,
    decider::Decider,
    definition::{Command, DefinitionDecider, Document, State},
    ids::{CommandId, DefinitionId, UserId},
    run::{Asked, Migration},
};
use nightshift_ports::{
    clock::IdSource,
    read_models::{Query, ReadModels},
};
use nightshift_projections::table::Row;
use nightshift_spec::workflow;
use serde_json::Value;

use super::{Env, trial};
use crate::{
    app::{self, Mode},
    args,
    control::Control,
    exit::{Code, Exit},
    names,
    output::{self, cell, fact, instant},
    real::RandomIds,
};

/// Runs the command.
///
/// # Errors
/// It failed; the error has the exit code.
pub async fn run(env: &Env, command: args::Workflow) -> Result<Code, Exit> {
    match command {
        args::Workflow::Validate { files } => validate(env, &files),
        args::Workflow::Test(test) => trial::run(env, &test),
        args::Workflow::Register { file, inactive, owner } => register(env, &file, !inactive, owner).await,
        args::Workflow::List { status } => list(env, status).await,
        args::Workflow::Show { name, source } => show(env, &name, source).await,
        args::Workflow::Activate { name } => {
            tell(env, &name, |version| Command::Activate { version }, "is in force").await
        }
        args::Workflow::Deprecate { name } => {
            tell(env, &name, |version| Command::Deprecate { version }, "is deprecated").await
        }
        args::Workflow::Archive { name } => {
            tell(env, &name, |version| Command::Archive { version }, "is archived").await
        }
        args::Workflow::Schema => {
            output::json(&workflow::schema());
            Ok(Code::Ok)
        }
    }
}

/// Reads and checks a document.
///
/// # Errors
/// Every fault of it, with line and column.
pub fn read(env: &Env, file: &Path, owner: Option<&str>) -> Result<Document, Exit> {
    let text = output::read_text(file)?;
    let (name, calendar) = (file.display().to_string(), app::calendar());
    let context = workflow::Context {
        calendar: &calendar,
        now: env.clock().now(),
        owner: owner.unwrap_or(&env.config.defaults.user),
        max_parallel_default: env.config.workflows.max_parallel_default,
        max_parallel_cap: env.config.workflows.max_parallel_cap,
    };
    Ok(workflow::parse(&text, &name, &context)?)
}

fn validate(env: &Env, files: &[std::path::PathBuf]) -> Result<Code, Exit> {
    let mut read_well = Vec::new();
    let mut faulty = None;
    for file in files {
        match read(env, file, None) {
            Ok(document) => read_well.push((file, document)),
            Err(error) => {
                eprintln!("{error}");
                faulty = Some(error);
            }
        }
    }
    let facts = |(file, document): &(&std::path::PathBuf, Document)| {
        serde_json::json!({
            "file": file.display().to_string(),
            "workflow": document.plan.definition,
            "digest": document.digest(),
            "steps": document.plan.steps.iter().map(|step| &step.id).collect::<Vec<_>>(),
        })
    };
    if env.json {
        output::json(&read_well.iter().map(facts).collect::<Vec<_>>());
    } else {
        for (file, document) in &read_well {
            let steps = document.plan.steps.len();
            println!("{}: {} is sound, {steps} step(s)", file.display(), document.plan.definition);
        }
    }
    match faulty {
        None => Ok(Code::Ok),
        Some(_) => Ok(Code::Usage),
    }
}

async fn register(env: &Env, file: &Path, activate: bool, owner: Option<String>) -> Result<Code, Exit> {
    let document = read(env, file, owner.as_deref())?;
    let control = Control::open(env).await?;
    let shard_count = control.store().log().info().shard_count;
    let id = DefinitionId::of(&document.owner, &document.name, shard_count);
    let name = document.plan.definition.clone();
    let user = UserId(env.config.defaults.user.clone());
    let command = Command::Register { document: Arc::new(document), user, activate };
    control.submit(id.stream(), command, CommandId(RandomIds.fresh())).await?;
    control.settled().await;
    let row = find(&*control.store().read_models(), &name).await?;
    control.close().await;
    if env.json {
        output::json(&row);
    } else {
        println!("{name} is registered{}", if cell(&row, "in_force") == "true" { " and in force" } else { "" });
        fact("digest", cell(&row, "digest"));
        println!("start a run: nightshift run start {}/{}", cell(&row, "owner"), cell(&row, "name"));
    }
    Ok(Code::Ok)
}

async fn list(env: &Env, status: Option<String>) -> Result<Code, Exit> {
    let store = app::open(&env.config, Mode::Read).await?;
    let equals = names::state(status, &["active", "deprecated", "archived"])?.into_iter().collect();
    let order = vec![("owner", false), ("name", false), ("created_at", false)];
    let query = Query { equals, order, limit: 1_000, ..Query::default() };
    let rows = store.read_models().query(names::table("orchestration_definitions"), &query).await?;
    if env.json {
        output::json(&rows);
        return Ok(Code::Ok);
    }
    let lines = rows.iter().map(|row| {
        vec![
            format!("{}/{}", cell(row, "owner"), cell(row, "name")),
            cell(row, "version"),
            cell(row, "status"),
            if cell(row, "in_force") == "true" { "yes".to_owned() } else { String::new() },
            row.get("triggers").and_then(Value::as_array).map_or(0, Vec::len).to_string(),
            instant(row, "created_at"),
        ]
    });
    let headings = ["workflow", "version", "status", "in force", "triggers", "registered"];
    output::table(&headings, lines.collect(), "no workflows yet: nightshift workflow register FILE");
    Ok(Code::Ok)
}

/// The parts of `owner/name@version`; owner and version may be missing.
#[must_use]
pub fn parts(name: &str) -> (Option<&str>, &str, Option<&str>) {
    let (path, version) = name.split_once('@').map_or((name, None), |(path, version)| (path, Some(version)));
    let (owner, name) = path.rsplit_once('/').map_or((None, path), |(owner, name)| (Some(owner), name));
    (owner, name, version)
}

/// A definition by `name`, `owner/name` or `owner/name@version`: the version in force, or else the newest.
///
/// # Errors
/// There is none, or it is not clear which.
pub async fn find(models: &dyn ReadModels, asked: &str) -> Result<Row, Exit> {
    let (owner, name, version) = parts(asked);
    let table = names::table("orchestration_definitions");
    let mut equals = vec![("name", Value::from(name))];
    equals.extend(owner.map(|owner| ("owner", Value::from(owner))));
    equals.extend(version.map(|version| ("version", Value::from(version))));
    let order = vec![("created_at", true)];
    let rows = models.query(table, &Query { equals, order: order.clone(), limit: 1_000, ..Query::default() }).await?;
    let mut owners: Vec<String> = rows.iter().map(|row| cell(row, "owner")).collect();
    owners.sort();
    owners.dedup();
    if owners.len() > 1 {
        let all: Vec<String> = owners.iter().map(|owner| format!("{owner}/{name}")).collect();
        return Err(Exit::new(
            Code::Usage,
            format!("several workflows are called {name:?}: name one of {}", all.join(", ")),
        ));
    }
    let in_force = rows.iter().find(|row| cell(row, "in_force") == "true").or(rows.first()).cloned();
    match in_force {
        Some(row) => Ok(row),
        None => {
            let all = models.query(table, &Query { order, limit: 1_000, ..Query::default() }).await?;
            let known: Vec<String> = all
                .iter()
                .map(|row| format!("{}/{}@{}", cell(row, "owner"), cell(row, "name"), cell(row, "version")))
                .collect();
            let bare: Vec<&str> = known.iter().map(|known| parts(known).1).collect();
            let near = nightshift_spec::fault::nearest(asked, known.iter().map(String::as_str))
                .or_else(|| nightshift_spec::fault::nearest(name, bare.iter().copied()));
            let hint = near.map_or_else(
                || "; `nightshift workflow list` shows what there is".to_owned(),
                |near| format!("; did you mean {near:?}?"),
            );
            Err(Exit::new(Code::NotFound, format!("there is no workflow {asked:?}{hint}")))
        }
    }
}

/// The way of a run to a version, as the definition has it.
///
/// # Errors
/// There is no such version, or no run can be started of it.
pub async fn migration(env: &Env, asked: &str, by: Asked) -> Result<Migration, Exit> {
    let store = app::open(&env.config, Mode::Read).await?;
    let row = find(&*store.read_models(), asked).await?;
    let id: DefinitionId = cell(&row, "id").parse().map_err(Exit::failed)?;
    // The table shows a version for people; the log has it whole.
    let (log, mut state, mut after) = (store.log(), State::default(), 0);
    loop {
        let page = log.read_stream(id.stream(), after, 1_000).await?;
        let Some(last) = page.last() else { break };
        after = last.version;
        for recorded in &page {
            let (kind, name, version) = (DefinitionDecider::KIND, &recorded.event_type, recorded.type_version);
            let event = codec::decode(kind, name, version, &recorded.data).map_err(Exit::failed)?;
            DefinitionDecider::evolve(&mut state, &event, recorded.at);
        }
    }
    let registered = state.startable(parts(asked).2).map_err(Exit::failed)?;
    Ok(Migration::to(id, &registered.document, by))
}

async fn show(env: &Env, name: &str, source: bool) -> Result<Code, Exit> {
    let store = app::open(&env.config, Mode::Read).await?;
    let row = find(&*store.read_models(), name).await?;
    if source {
        print!("{}", cell(&row, "source"));
        return Ok(Code::Ok);
    }
    if env.json {
        output::json(&row);
        return Ok(Code::Ok);
    }
    println!(
        "{}/{}@{}  {}",
        cell(&row, "owner"),
        cell(&row, "name"),
        cell(&row, "version"),
        cell(&row, "display_name")
    );
    fact("description", cell(&row, "description"));
    fact("status", cell(&row, "status"));
    fact("in force", if cell(&row, "in_force") == "true" { "yes" } else { "no" });
    fact("digest", cell(&row, "digest"));
    fact("registered", instant(&row, "created_at"));
    let list = |column: &str| row.get(column).and_then(Value::as_array).cloned().unwrap_or_default();
    let text = |value: &Value, field: &str| value.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
    let known = list("parameters");
    let parameters = known.iter().map(|it| {
        let required = it.get("required").and_then(Value::as_bool).unwrap_or_default();
        let default = it.get("default").filter(|value| !value.is_null()).map(ToString::to_string).unwrap_or_default();
        vec![
            text(it, "name"),
            text(it, "kind"),
            if required { "required".to_owned() } else { default },
            text(it, "description"),
        ]
    });
    println!();
    output::table(&["parameter", "type", "default", "meaning"], parameters.collect(), "no parameters");
    println!();
    let steps =
        row.get("plan").and_then(|plan| plan.get("steps")).and_then(Value::as_array).cloned().unwrap_or_default();
    let lines = steps.iter().map(|step| {
        let before: Vec<&str> =
            step.get("depends_on").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
        let when = step.get("flow").and_then(|flow| flow.get("when")).and_then(Value::as_str).unwrap_or_default();
        vec![text(step, "id"), text(step, "action"), before.join(", "), when.to_owned()]
    });
    output::table(&["step", "does", "after", "when"], lines.collect(), "no steps");
    Ok(Code::Ok)
}

async fn tell(env: &Env, name: &str, command: impl FnOnce(String) -> Command, done: &str) -> Result<Code, Exit> {
    let control = Control::open(env).await?;
    let row = find(&*control.store().read_models(), name).await?;
    let version = parts(name).2.map_or_else(|| cell(&row, "version"), str::to_owned);
    let id: DefinitionId = cell(&row, "id").parse().map_err(Exit::failed)?;
    control.submit(id.stream(), command(version.clone()), CommandId(RandomIds.fresh())).await?;
    control.settled().await;
    let full = format!("{}/{}@{version}", cell(&row, "owner"), cell(&row, "name"));
    let row = find(&*control.store().read_models(), &full).await?;
    control.close().await;
    if env.json {
        output::json(&row);
    } else {
        println!("{full} {done}");
    }
    Ok(Code::Ok)
}

//! `nightshift deliverable`: standing orders.

use std::path::Path;

use nightshift_domain::{
    deliverable::{Command, DeliverableType, deliverable_id},
    ids::{CommandId, DeliverableId, UserId},
};
use nightshift_ports::{
    clock::IdSource,
    read_models::{Query, ReadModels},
};
use nightshift_projections::table::Row;
use nightshift_spec::{
    fault::nearest,
    order_file::{self, Context, OrderFile},
};
use serde_json::Value;

use super::Env;
use crate::{
    app::{self, Mode},
    args,
    control::Control,
    exit::{Code, Exit},
    names,
    output::{self, cell, fact, instant, short_id},
    real::{RandomIds, probe},
};

/// Runs the command.
///
/// # Errors
/// It failed; the error has the exit code.
pub async fn run(env: &Env, command: args::Deliverable) -> Result<Code, Exit> {
    match command {
        args::Deliverable::Template { kind } => template(&kind),
        args::Deliverable::List { status } => list(env, status).await,
        args::Deliverable::Show { id } => show(env, &id).await,
        args::Deliverable::Create { file, paused, idempotency_key } => {
            let order = read_order(env, &file)?;
            create(env, order, paused, idempotency_key).await
        }
        args::Deliverable::Update { id, file } => {
            let order = Box::new(read_order(env, &file)?.order);
            tell(env, &id, Command::Revise { order }, "updated").await
        }
        args::Deliverable::Run { id, force } => run_now(env, &id, force).await,
        args::Deliverable::Pause { id, note } => tell(env, &id, Command::Pause { note }, "paused").await,
        args::Deliverable::Resume { id } => tell(env, &id, Command::Resume {}, "resumed").await,
        args::Deliverable::Archive { id } => tell(env, &id, Command::Archive {}, "archived").await,
    }
}

fn template(kind: &str) -> Result<Code, Exit> {
    let known = DeliverableType::ALL.iter().find(|known| known.as_str() == kind);
    let Some(kind) = known else {
        let words: Vec<&str> = DeliverableType::ALL.iter().map(|kind| kind.as_str()).collect();
        let near =
            nearest(kind, words.iter().copied()).map(|near| format!("; did you mean {near:?}?")).unwrap_or_default();
        let message = format!("there is no kind of document {kind:?}{near} Allowed: {}", words.join(", "));
        return Err(Exit::new(Code::Usage, message));
    };
    print!("{}", order_file::template(*kind));
    Ok(Code::Ok)
}

/// Reads and checks an order document.
///
/// # Errors
/// Every fault of it, with line and column.
pub fn read_order(env: &Env, file: &Path) -> Result<OrderFile, Exit> {
    let text = output::read_text(file)?;
    let absolute = std::path::absolute(file)?;
    let base = match file.as_os_str() == "-" {
        true => std::env::current_dir()?,
        false => absolute.parent().map(Path::to_path_buf).unwrap_or_default(),
    };
    let (name, base) = (file.display().to_string(), base.display().to_string());
    let calendar = app::calendar();
    let context = Context { file: &name, base_dir: &base, probe: &probe, calendar: &calendar, now: env.clock().now() };
    Ok(order_file::parse(&text, &context)?)
}

/// Takes an order.
async fn create(env: &Env, read: OrderFile, paused: bool, key: Option<String>) -> Result<Code, Exit> {
    let control = Control::open(env).await?;
    let user = read.user.unwrap_or_else(|| UserId(env.config.defaults.user.clone()));
    let id = match &key {
        Some(key) => CommandId::of_client(&user.0, "deliverable.create", key),
        None => CommandId(RandomIds.fresh()),
    };
    let shard_count = control.store().log().info().shard_count;
    let deliverable = deliverable_id(id, shard_count);
    let command = Command::Create { user, order: Box::new(read.order), paused };
    let answer = control.submit(deliverable.stream(), command, id).await?;
    control.settled().await;
    let row = one(&*control.store().read_models(), deliverable).await?;
    control.close().await;
    if env.json {
        output::json(&row);
    } else {
        let verb = if answer.repeated { "was taken before" } else { "taken" };
        println!("{} {verb}: {}", cell(&row, "title"), deliverable);
        let next = instant(&row, "next_run_at");
        fact(
            "next slot",
            if next.is_empty() { "none: run it with `nightshift deliverable run`".to_owned() } else { next },
        );
    }
    Ok(Code::Ok)
}

async fn one(models: &dyn ReadModels, id: DeliverableId) -> Result<Row, Exit> {
    let (_, row) = names::deliverable(models, &id.to_string()).await?;
    Ok(row)
}

async fn tell(env: &Env, name: &str, command: Command, done: &str) -> Result<Code, Exit> {
    let control = Control::open(env).await?;
    let (id, _) = names::deliverable(&*control.store().read_models(), name).await?;
    control.submit(id.stream(), command, CommandId(RandomIds.fresh())).await?;
    control.settled().await;
    let row = one(&*control.store().read_models(), id).await?;
    control.close().await;
    if env.json {
        output::json(&row);
    } else {
        println!("{} {done}", cell(&row, "title"));
        fact("status", cell(&row, "status"));
        fact("next slot", instant(&row, "next_run_at"));
    }
    Ok(Code::Ok)
}

async fn run_now(env: &Env, name: &str, force: bool) -> Result<Code, Exit> {
    let control = Control::open(env).await?;
    let models = control.store().read_models();
    let (id, before) = names::deliverable(&*models, name).await?;
    control.submit(id.stream(), Command::RunNow { force }, CommandId(RandomIds.fresh())).await?;
    if control.is_remote() && env.json {
        output::json(&serde_json::json!({"deliverable": before, "begun": true}));
        return Ok(Code::Ok);
    }
    if control.is_remote() {
        println!(
            "{}: begun by the daemon; follow it with `nightshift explain {}`",
            cell(&before, "title"),
            short_id(&id.to_string())
        );
        return Ok(Code::Ok);
    }
    control.settled().await;
    let after = one(&*models, id).await?;
    let newest = names::version(&*models, id, None).await;
    control.close().await;
    if env.json {
        output::json(&serde_json::json!({"deliverable": after, "version": newest.ok()}));
        return Ok(Code::Ok);
    }
    let skipped = cell(&after, "last_skip_at") != cell(&before, "last_skip_at");
    match newest {
        Ok(version) if !skipped => {
            println!("{} v{} {}", cell(&after, "title"), cell(&version, "version_number"), cell(&version, "status"));
        }
        _ => println!("{}: skipped. {}", cell(&after, "title"), cell(&after, "last_skip_reason")),
    }
    Ok(Code::Ok)
}

async fn list(env: &Env, status: Option<String>) -> Result<Code, Exit> {
    let store = app::open(&env.config, Mode::Read).await?;
    let equals = names::state(status, &["active", "paused", "archived"])?.into_iter().collect();
    let query = Query { equals, order: vec![("created_at", false)], limit: 1_000, ..Query::default() };
    let rows = store.read_models().query(names::table("deliverables"), &query).await?;
    if env.json {
        output::json(&rows);
        return Ok(Code::Ok);
    }
    let lines = rows.iter().map(|row| {
        vec![
            short_id(&cell(row, "id")).to_owned(),
            cell(row, "title"),
            cell(row, "status"),
            cell(row, "governance"),
            instant(row, "last_run_at"),
            instant(row, "next_run_at"),
        ]
    });
    let headings = ["id", "title", "status", "governance", "last run", "next slot"];
    output::table(
        &headings,
        lines.collect(),
        "no deliverables yet; `nightshift deliverable template` prints one to start from",
    );
    Ok(Code::Ok)
}

async fn show(env: &Env, name: &str) -> Result<Code, Exit> {
    let store = app::open(&env.config, Mode::Read).await?;
    let models = store.read_models();
    let (id, row) = names::deliverable(&*models, name).await?;
    let versions = super::version::rows_of(&*models, Some(id), None, 10).await?;
    if env.json {
        output::json(&serde_json::json!({"deliverable": row, "versions": versions}));
        return Ok(Code::Ok);
    }
    println!("{}", cell(&row, "title"));
    fact("id", id);
    for name in ["status", "pause_note", "description", "deliverable_type", "governance"] {
        fact(name, cell(&row, name));
    }
    for (name, column) in [("last run", "last_run_at"), ("next slot", "next_run_at"), ("last skip", "last_skip_at")] {
        fact(name, instant(&row, column));
    }
    fact("skip reason", cell(&row, "last_skip_reason"));
    for source in row.get("sources").and_then(Value::as_array).into_iter().flatten() {
        fact("source", source);
    }
    fact("destination", row.get("destination").filter(|to| !to.is_null()).map(ToString::to_string).unwrap_or_default());
    println!();
    super::version::print(&versions);
    Ok(Code::Ok)
}

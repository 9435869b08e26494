//! `nightshift job bulk`: one verb for every dead letter that a filter chooses. The system does it; this begins it and looks
//! how far it is.

use std::io::{self, IsTerminal, Write};

use nightshift_actors::chooser::question;
use nightshift_domain::{
    bulk::{Command, Created, Filter},
    ids::{BulkId, CommandId, RunId, UserId},
    run::DeadVerb,
    time::Timestamp,
};
use nightshift_ports::{
    clock::{Clock, IdSource},
    read_models::{Query, ReadModels, Search},
};
use nightshift_projections::table::Row;
use serde_json::Value;

use super::{Env, run::asked};
use crate::{
    app::{self, Mode},
    args,
    control::Control,
    exit::{Code, Exit},
    names,
    output::{self, cell, fact, instant, short_id},
    real::{RandomIds, SystemClock},
};

/// A daemon's job is looked at this often. The tables of another process give no sign.
const LOOK_AGAIN_MS: i64 = 200;

/// Classes of failures.
const CLASSES: [&str; 6] = ["transient", "permanent", "timeout", "rate_limited", "cancelled", "lost"];

/// Runs the command.
///
/// # Errors
/// It failed; the error has the exit code.
pub async fn run(env: &Env, command: args::Bulk) -> Result<Code, Exit> {
    match command {
        args::Bulk::Retry(letters) => begin(env, DeadVerb::Retry, letters).await,
        args::Bulk::Reset(letters) => begin(env, DeadVerb::Reset, letters).await,
        args::Bulk::Discard(letters) => begin(env, DeadVerb::Discard, letters).await,
        args::Bulk::List { limit } => list(env, limit).await,
        args::Bulk::Show { id, watch } => show(env, &id, watch).await,
        args::Bulk::Cancel { id, note } => cancel(env, &id, note).await,
    }
}

/// Begins a job, or counts what it would be about.
///
/// # Errors
/// The filter cannot be, or the system did not take it.
pub async fn begin(env: &Env, verb: DeadVerb, letters: args::Letters) -> Result<Code, Exit> {
    let filter = filter(&letters)?;
    if letters.dry_run {
        return count(env, verb, &filter).await;
    }
    let control = Control::open(env).await?;
    let models = control.store().read_models();
    let wanted = question(&filter, env.clock().now());
    let expected = models.count(names::table("job_queue"), &wanted).await?;
    let order = CommandId(RandomIds.fresh());
    let id = BulkId::of(order, control.store().log().info().shard_count);
    let user = UserId(env.config.defaults.user.clone());
    let created = Created { verb, filter, user, by: asked(letters.note), expected };
    control.submit(id.stream(), Command::Create(Box::new(created)), order).await?;
    let wait = letters.watch || !control.is_remote();
    let code = if wait {
        control.settled().await;
        follow(env, &*models, id).await?
    } else {
        if env.json {
            output::json(&serde_json::json!({"id": id, "verb": verb.as_str(), "total": expected}));
        } else {
            println!("bulk job {id} begins to {} {expected} letter(s)", verb.as_str());
            println!("watch it: nightshift job bulk show {id} --watch");
        }
        Code::Ok
    };
    control.close().await;
    Ok(code)
}

fn filter(letters: &args::Letters) -> Result<Filter, Exit> {
    if let Some(class) = letters.error_class.as_deref().filter(|class| !CLASSES.contains(class)) {
        let near = nightshift_spec::fault::nearest(class, CLASSES);
        let hint = near.map(|near| format!("; did you mean {near:?}?")).unwrap_or_default();
        let message = format!("--error-class: found {class:?}; allowed: {}{hint}", CLASSES.join(", "));
        return Err(Exit::new(Code::Usage, message));
    }
    let run = letters.run.as_deref().map(str::parse::<RunId>).transpose();
    let run = run.map_err(|_| Exit::new(Code::Usage, "--run: write the whole id of a run"))?;
    Ok(Filter {
        status: "dead".to_owned(),
        queue: letters.queue.clone(),
        definition: letters.definition.clone(),
        error_class: letters.error_class.clone(),
        user: letters.user.clone(),
        run,
        before: letters.before.as_deref().map(|text| at("--before", text)).transpose()?,
        after: letters.after.as_deref().map(|text| at("--after", text)).transpose()?,
    })
}

fn at(flag: &str, text: &str) -> Result<Timestamp, Exit> {
    let read = chrono::DateTime::parse_from_rfc3339(text);
    let read = read.map(|at| Timestamp::from(at.to_utc()));
    read.map_err(|_| Exit::new(Code::Usage, format!("{flag}: {text:?} is no instant (2026-01-31T08:00:00Z)")))
}

async fn count(env: &Env, verb: DeadVerb, filter: &Filter) -> Result<Code, Exit> {
    let store = app::open(&env.config, Mode::Read).await?;
    let (models, table) = (store.read_models(), names::table("job_queue"));
    let wanted = question(filter, env.clock().now());
    let total = models.count(table, &wanted).await?;
    let rows = models.query(table, &Query { limit: 10, ..wanted }).await?;
    let sample: Vec<String> = rows.iter().map(|row| cell(row, "job_id")).collect();
    if env.json {
        output::json(&serde_json::json!({"dryRun": true, "verb": verb.as_str(), "total": total, "sample": sample}));
    } else {
        println!("{total} letter(s) would be told to {}; nothing was done", verb.as_str());
        sample.iter().for_each(|job| println!("{job}"));
    }
    Ok(Code::Ok)
}

fn number(row: &Row, column: &str) -> i64 {
    row.get(column).and_then(Value::as_i64).unwrap_or(0)
}

/// Looks until the job is over, with its progress on a terminal, and prints what came of it.
async fn follow(env: &Env, models: &dyn ReadModels, id: BulkId) -> Result<Code, Exit> {
    let live = !env.json && io::stderr().is_terminal();
    loop {
        let row = one(models, &id.to_string()).await?;
        let heard = number(&row, "done") + number(&row, "refused");
        if live {
            // Nobody need read it: a closed standard error is no reason to end.
            let figures = (number(&row, "total"), number(&row, "refused"));
            let _ = write!(io::stderr(), "\r{heard} of {} letter(s), {} refused ", figures.0, figures.1);
        }
        if !cell(&row, "ended_at").is_empty() {
            if live {
                output::note("");
            }
            told(env, &row);
            return Ok(if number(&row, "refused") == 0 { Code::Ok } else { Code::Failed });
        }
        SystemClock.sleep_until(SystemClock.now().plus_ms(LOOK_AGAIN_MS)).await;
    }
}

fn told(env: &Env, row: &Row) {
    if env.json {
        return output::json(row);
    }
    println!("bulk job {} to {} dead letters", cell(row, "id"), cell(row, "verb"));
    fact("status", cell(row, "status"));
    fact("filter", cell(row, "filter"));
    fact("letters", number(row, "total"));
    fact("done", number(row, "done"));
    fact("refused", number(row, "refused"));
    fact("asked by", cell(row, "requested_by"));
    fact("note", cell(row, "note"));
    fact("begun", instant(row, "created_at"));
    fact("ended", instant(row, "ended_at"));
    let refusals = row.get("refusals").and_then(Value::as_array).into_iter().flatten();
    let text = |refusal: &Value, name: &str| refusal.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    refusals.for_each(|refusal| println!("{}: {}", text(refusal, "job"), text(refusal, "reason")));
}

async fn list(env: &Env, limit: u32) -> Result<Code, Exit> {
    let store = app::open(&env.config, Mode::Read).await?;
    let query = Query { order: vec![("created_at", true)], limit, ..Query::default() };
    let rows = store.read_models().query(names::table("bulk_jobs"), &query).await?;
    if env.json {
        output::json(&rows);
        return Ok(Code::Ok);
    }
    let lines = rows.iter().map(|row| {
        vec![
            short_id(&cell(row, "id")).to_owned(),
            cell(row, "verb"),
            cell(row, "filter"),
            cell(row, "status"),
            format!("{}/{}", number(row, "done") + number(row, "refused"), number(row, "total")),
            cell(row, "refused"),
            cell(row, "requested_by"),
            instant(row, "created_at"),
        ]
    });
    let headings = ["id", "verb", "filter", "status", "letters", "refused", "by", "begun"];
    output::table(&headings, lines.collect(), "no bulk jobs yet");
    Ok(Code::Ok)
}

async fn show(env: &Env, id: &str, watch: bool) -> Result<Code, Exit> {
    let store = app::open(&env.config, Mode::Read).await?;
    let row = one(&*store.read_models(), id).await?;
    if watch {
        return follow(env, &*store.read_models(), cell(&row, "id").parse().map_err(Exit::failed)?).await;
    }
    told(env, &row);
    Ok(Code::Ok)
}

async fn cancel(env: &Env, id: &str, note: String) -> Result<Code, Exit> {
    let control = Control::open(env).await?;
    let models = control.store().read_models();
    let job: BulkId = cell(&one(&*models, id).await?, "id").parse().map_err(Exit::failed)?;
    control.submit(job.stream(), Command::Cancel { by: asked(note) }, CommandId(RandomIds.fresh())).await?;
    control.settled().await;
    let row = one(&*models, &job.to_string()).await?;
    control.close().await;
    told(env, &row);
    Ok(Code::Ok)
}

/// A bulk job by its id or the beginning of it.
async fn one(models: &dyn ReadModels, id: &str) -> Result<Row, Exit> {
    let search = Some(Search { columns: &["id"], word: id.to_owned() });
    let rows = models.query(names::table("bulk_jobs"), &Query { search, limit: 1_000, ..Query::default() }).await?;
    let mut called = rows.into_iter().filter(|row| cell(row, "id").starts_with(&id.to_lowercase()));
    match (called.next().filter(|_| id.len() >= 4), called.next()) {
        (Some(row), None) => Ok(row),
        (Some(_), Some(_)) => Err(Exit::new(Code::Usage, format!("several bulk jobs are called {id:?}"))),
        (None, _) => {
            let message = format!("there is no bulk job {id:?}; `nightshift job bulk list` shows what there is");
            Err(Exit::new(Code::NotFound, message))
        }
    }
}

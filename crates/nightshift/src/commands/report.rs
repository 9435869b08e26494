//! `nightshift run reports` and `run resend`: messages to webhooks that nobody took.

use nightshift_domain::{
    ids::{CommandId, RunId},
    run::{Asked, Command, Event, GivenUp, RunDecider, reports_of},
    streams::AnyEvent,
    time::Timestamp,
};
use nightshift_ports::{clock::IdSource, log::EventLog};
use serde_json::json;

use super::Env;
use crate::{
    app::{self, Mode},
    control::Control,
    exit::{Code, Exit},
    facts, names,
    output::{self, short_instant},
    real::RandomIds,
};

/// Events read at once.
const PAGE: u32 = 1_000;

async fn given_up(log: &dyn EventLog, run: RunId) -> Result<Vec<GivenUp>, Exit> {
    let state = facts::fold::<RunDecider>(log, run.stream()).await?;
    Ok(state.run().map(|run| run.given_up.clone()).unwrap_or_default())
}

/// What a message is called here: the event of the run that it tells of, and its part.
fn called(it: &GivenUp) -> String {
    format!("{}.{}", it.version, it.part)
}

/// Lists them.
///
/// # Errors
/// There is no such run.
pub async fn list(env: &Env, name: &str) -> Result<Code, Exit> {
    let store = app::open(&env.config, Mode::Read).await?;
    let (run, _) = names::run(&*store.read_models(), name).await?;
    let lost = given_up(&*store.log(), run).await?;
    if env.json {
        let rows = lost.iter().map(|it| {
            json!({
                "message": called(it), "event": it.event, "attempts": it.attempts, "given_up_at": it.at.to_string(),
                "error_class": it.failure.class, "error": it.failure.message,
            })
        });
        output::json(&rows.collect::<Vec<_>>());
        return Ok(Code::Ok);
    }
    let lines = lost.iter().map(|it| {
        let at = short_instant(&it.at.to_string());
        vec![called(it), it.event.clone(), it.attempts.to_string(), at, it.failure.to_string()]
    });
    output::table(&["message", "event", "sent", "given up", "error"], lines.collect(), "no message was given up");
    Ok(Code::Ok)
}

/// Sends them anew.
///
/// # Errors
/// There is no such run, or no such message of it was given up.
pub async fn resend(env: &Env, name: &str, message: Option<&str>, by: Asked) -> Result<Code, Exit> {
    let control = Control::open(env).await?;
    let (run, _) = names::run(&*control.store().read_models(), name).await?;
    let log = control.store().log();
    let lost = given_up(&*log, run).await?;
    let meant = |it: &&GivenUp| message.is_none_or(|wanted| called(it) == wanted);
    let wanted: Vec<(u64, u32)> = lost.iter().filter(meant).map(|it| (it.version, it.part)).collect();
    if let (Some(message), true) = (message, wanted.is_empty()) {
        let why = format!("no message {message:?} was given up; `nightshift run reports {run}` lists them");
        return Err(Exit::new(Code::NotFound, why));
    }
    let reports = reports_of(run.stream(), &history(&*log, run).await?, &wanted);
    let sent = reports.len();
    if sent > 0 {
        control.submit(run.stream(), Command::ResendReports { reports, by }, CommandId(RandomIds.fresh())).await?;
    }
    control.settled().await;
    control.close().await;
    if env.json {
        output::json(&json!({"run": run, "sent": sent}));
    } else {
        println!("{sent} message(s) of run {run} are sent anew");
    }
    Ok(Code::Ok)
}

async fn history(log: &dyn EventLog, run: RunId) -> Result<Vec<(Event, Timestamp)>, Exit> {
    let (mut history, mut after) = (Vec::new(), 0);
    loop {
        let page = log.read_stream(run.stream(), after, PAGE).await?;
        let Some(last) = page.last() else { return Ok(history) };
        after = last.version;
        for recorded in &page {
            if let AnyEvent::Run(event) = recorded.decode().map_err(Exit::failed)? {
                history.push((event, recorded.at));
            }
        }
    }
}

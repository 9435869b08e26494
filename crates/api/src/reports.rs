//! `/api/orchestrations/{id}/reports`: messages to webhooks that nobody took, and sending them anew.
//!
//! Owns: the forms, and how a message that was given up is found again in the history of its run.
//! Refuses to know: what a message says, how it is sent.

use std::sync::Arc;

use axum::{extract::State, routing};
use nightshift_domain::{
    ids::RunId,
    run::{Command, Event, GivenUp, State as Run, reports_of},
    streams::AnyEvent,
    time::Timestamp,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use uuid::Uuid;

use crate::{
    Shared,
    auth::{Caller, Group},
    envelope::{self, Answered, ApiError, Code},
    extract::{Body, Named, Order},
    recovery::asked,
    routes::{Gives, Route, Takes, of},
    system::done,
};

const TAG: &str = "recovery";

/// Events read at once.
const PAGE: u32 = 1_000;

/// Messages that are sent anew by one request.
const AT_ONCE: usize = 100;

/// The routes.
pub const ROUTES: &[Route] = &[
    Route::get("/api/orchestrations/{id}/reports", || routing::get(list))
        .about(TAG, "List the messages of a run that no webhook took and that are sent no more.")
        .gives(Gives::Data(of::<Vec<Lost>>)),
    Route::post("/api/orchestrations/{id}/actions/resend", || routing::post(resend))
        .group(Group::Steer)
        .about(TAG, "Send messages that were given up anew, as they were and under their ids; 100 at once.")
        .takes(Takes::Json(of::<ResendRequest>)),
];

/// A message that nobody took.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Lost {
    /// Which event of the run it tells of.
    pub version: u64,
    /// Which of the messages about that event it is.
    pub part: u32,
    /// Its name.
    pub event: String,
    /// How often it was sent.
    pub attempts: u32,
    /// Class of the last failure.
    pub error_class: String,
    /// What the last failure said.
    pub error: String,
    /// When it was given up, RFC 3339.
    pub given_up_at: String,
}

impl From<&GivenUp> for Lost {
    fn from(it: &GivenUp) -> Self {
        Self {
            version: it.version,
            part: it.part,
            event: it.event.clone(),
            attempts: it.attempts,
            error_class: it.failure.class.as_str().to_owned(),
            error: it.failure.message.clone(),
            given_up_at: it.at.to_string(),
        }
    }
}

/// Which messages are sent anew.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ResendRequest {
    /// Only those about this event of the run; none: all that were given up.
    version: Option<u64>,
    /// With `version`: only this one of them.
    part: Option<u32>,
    /// For people.
    note: Option<String>,
}

async fn given_up(shared: &Shared, run: RunId) -> Result<Vec<GivenUp>, ApiError> {
    shared.ask(run.stream(), |state: &Run| state.run().map(|run| run.given_up.clone()).unwrap_or_default()).await
}

async fn list(State(shared): State<Arc<Shared>>, (caller, Named(id)): (Caller, Named<Uuid>)) -> Answered {
    shared.run_row(&caller, id).await?;
    let lost = given_up(&shared, RunId::from_uuid(id)).await?;
    Ok(envelope::ok(lost.iter().map(Lost::from).collect::<Vec<_>>()))
}

async fn resend(
    State(shared): State<Arc<Shared>>,
    (caller, order, Named(id)): (Caller, Order, Named<Uuid>),
    Body(request): Body<ResendRequest>,
) -> Answered {
    let run = shared.own_run(&caller, id).await?;
    let (version, part) = (request.version, request.part);
    if part.is_some() && version.is_none() {
        return Err(ApiError::field("part", "it says nothing without version"));
    }
    let meant = |it: &&GivenUp| {
        version.is_none_or(|wanted| it.version == wanted) && part.is_none_or(|wanted| it.part == wanted)
    };
    let lost = given_up(&shared, run).await?;
    let wanted: Vec<(u64, u32)> = lost.iter().filter(meant).take(AT_ONCE).map(|it| (it.version, it.part)).collect();
    let reports = reports_of(run.stream(), &history(&shared, run).await?, &wanted);
    let sent = reports.len();
    let command = Command::ResendReports { reports, by: asked(&caller, request.note) };
    let taken = shared.carry_out(&caller, order, run.stream(), command).await?;
    Ok(done(&taken, envelope::ok(json!({"id": id, "version": taken.version, "sent": sent}))))
}

/// All that happened to a run.
async fn history(shared: &Shared, run: RunId) -> Result<Vec<(Event, Timestamp)>, ApiError> {
    let broken = |error: String| ApiError::new(Code::Unavailable, error);
    let log = &shared.system.context().log;
    let (mut history, mut after) = (Vec::new(), 0);
    loop {
        let page = log.read_stream(run.stream(), after, PAGE).await.map_err(|error| broken(error.to_string()))?;
        let Some(last) = page.last() else { return Ok(history) };
        after = last.version;
        for recorded in &page {
            match recorded.decode() {
                Ok(AnyEvent::Run(event)) => history.push((event, recorded.at)),
                _ => return Err(broken(format!("event {} of the run cannot be read", recorded.version))),
            }
        }
    }
}

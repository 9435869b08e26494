//! The control door: the command line of the same machine asks a running daemon.
//!
//! Owns: its forms. Who may use it is decided where all routes are guarded: admin only.

use std::sync::Arc;

use axum::{
    Json,
    extract::{FromRequest, Request, State},
    response::{IntoResponse, Response},
    routing,
};
use nightshift_domain::{
    ids::{CommandId, StreamId},
    streams::AnyCommand,
};
use nightshift_ports::blobs::digest_of;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    BODY_BYTES_MAX, Shared,
    auth::Group,
    envelope::{ApiError, Code},
    routes::{Gives, Route, Takes, of},
};

const TAG: &str = "control";

/// The routes.
pub const ROUTES: &[Route] = &[
    Route::post("/api/control/submit", || routing::post(submit))
        .group(Group::Control)
        .about(TAG, "Send a command to a stream; answered when the read models show the outcome.")
        .query(&[])
        .takes(Takes::Document(&["application/json"]))
        .gives(Gives::Plain(of::<Answer>)),
    Route::put("/api/control/blob", || routing::put(put_blob))
        .group(Group::Control)
        .about(TAG, "Put bytes into the content store; answered with their digest.")
        .takes(Takes::Document(&["application/octet-stream"]))
        .gives(Gives::Plain(of::<String>)),
    Route::get("/api/control/queue", || routing::get(queue))
        .group(Group::Control)
        .about(TAG, "Get who waits for a place, in the order in which they go.")
        .gives(Gives::Plain(of::<Queued>)),
];

/// A command for a stream.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SubmitRequest {
    /// Whom.
    pub stream: StreamId,
    /// What.
    pub command: AnyCommand,
    /// The same id twice is the same command.
    pub id: CommandId,
    /// Who asks.
    pub actor: String,
}

/// The command was taken, and the read models show it.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Answer {
    /// Version of the stream after it.
    pub version: u64,
    /// It had been taken before.
    pub repeated: bool,
}

/// Who waits for a place.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Queued {
    /// Run and step, in the order in which they go.
    pub waiting: Vec<(String, String)>,
    /// Run and step of those that a limit or a pause holds back, and its name.
    #[serde(default)]
    pub held: Vec<(String, String, String)>,
    /// Places taken.
    pub taken: usize,
    /// Places in all.
    pub places: usize,
}

/// A body as large as the content store takes, not as large as requests of others may be.
struct Large(Vec<u8>);

impl FromRequest<Arc<Shared>> for Large {
    type Rejection = ApiError;

    async fn from_request(request: Request, _shared: &Arc<Shared>) -> Result<Self, ApiError> {
        let bytes = axum::body::to_bytes(request.into_body(), BODY_BYTES_MAX).await.map_err(|error| {
            ApiError::new(
                Code::PayloadTooLarge,
                format!("the body cannot be had up to {BODY_BYTES_MAX} bytes: {error}"),
            )
        })?;
        Ok(Self(bytes.to_vec()))
    }
}

async fn submit(State(shared): State<Arc<Shared>>, Large(body): Large) -> Result<Json<Answer>, ApiError> {
    // Without paths in faults: only the command line asks here, and paths double the code that reads commands.
    let asked: SubmitRequest =
        serde_json::from_slice(&body).map_err(|error| ApiError::field("body", error.to_string()))?;
    if asked.command.kind() != asked.stream.kind {
        let message = format!("the command is for a {}, the stream is {}", asked.command.kind().as_str(), asked.stream);
        return Err(ApiError::new(Code::BadRequest, message));
    }
    let stream = shared.stream(asked.stream)?;
    let done = shared.system.submit(stream, asked.command, (asked.id, &asked.actor)).await?;
    if shared.system.caught_up().await.is_err() {
        // Some shard stands still; what matters to who asked is the one that was written.
        shared.shown(done.position).await?;
    }
    Ok(Json(Answer { version: done.version, repeated: done.repeated }))
}

async fn put_blob(State(shared): State<Arc<Shared>>, Large(body): Large) -> Result<Response, ApiError> {
    let digest = digest_of(&body);
    shared.system.context().performers.blobs.put(&digest, body).await?;
    Ok(Json(digest).into_response())
}

async fn queue(State(shared): State<Arc<Shared>>) -> Json<Queued> {
    let view = shared.system.queue().await;
    let waiting = view.waiting.iter().map(|at| (at.job.run.to_string(), at.job.step.clone())).collect();
    let held = view.waiting.iter().filter_map(|at| {
        let by = at.held_by.as_ref()?.to_string();
        Some((at.job.run.to_string(), at.job.step.clone(), by))
    });
    Json(Queued { waiting, held: held.collect(), taken: view.taken, places: view.places })
}

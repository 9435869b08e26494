//! The control door: the command line of the same machine asks a running daemon.

use std::sync::Arc;

use axum::{
    Json,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use nightshift_actors::envelope::NotDone;
use nightshift_domain::{
    ids::{CommandId, StreamId},
    streams::AnyCommand,
};
use nightshift_ports::blobs::digest_of;
use serde::{Deserialize, Serialize};

use crate::Shared;

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
#[derive(Debug, Serialize, Deserialize)]
pub struct Answer {
    /// Version of the stream after it.
    pub version: u64,
    /// It had been taken before.
    pub repeated: bool,
}

/// The command was not taken.
#[derive(Debug, Serialize, Deserialize)]
pub struct ErrorBody {
    /// Always false.
    pub success: bool,
    /// Why.
    pub error: Refusal,
}

/// Why a command was not taken.
#[derive(Debug, Serialize, Deserialize)]
pub struct Refusal {
    /// `rejected`, `busy`, `unanswered`, `quarantined`, `unauthorized`.
    pub code: String,
    /// In words.
    pub message: String,
    /// The rejection as data.
    #[serde(default)]
    pub details: Option<serde_json::Value>,
}

/// Who waits for a place.
#[derive(Debug, Serialize, Deserialize)]
pub struct Queued {
    /// Run and step, in the order in which they go.
    pub waiting: Vec<(String, String)>,
    /// Places taken.
    pub taken: usize,
    /// Places in all.
    pub places: usize,
}

fn refuse(status: StatusCode, code: &str, message: String, details: Option<serde_json::Value>) -> Response {
    let error = Refusal { code: code.to_owned(), message, details };
    (status, Json(ErrorBody { success: false, error })).into_response()
}

/// The token is compared in constant time: its length is no secret, its bytes are.
fn authorized(shared: &Shared, headers: &HeaderMap) -> Result<(), Box<Response>> {
    let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let given = given.strip_prefix("Bearer ").unwrap_or_default().as_bytes();
    let wanted = shared.token.as_bytes();
    let differs = given.iter().zip(wanted).fold(given.len() ^ wanted.len(), |acc, (a, b)| acc | usize::from(a ^ b));
    if differs == 0 {
        return Ok(());
    }
    let message = "the control door needs the token of the daemon's data folder".to_owned();
    Err(Box::new(refuse(StatusCode::UNAUTHORIZED, "unauthorized", message, None)))
}

/// Asks a stream and answers when the read models show the outcome.
pub async fn submit(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    Json(asked): Json<SubmitRequest>,
) -> Response {
    if let Err(refused) = authorized(&shared, &headers) {
        return *refused;
    }
    if asked.command.kind() != asked.stream.kind {
        let message = format!("the command is for a {}, the stream is {}", asked.command.kind().as_str(), asked.stream);
        return refuse(StatusCode::BAD_REQUEST, "rejected", message, None);
    }
    match shared.system.submit(asked.stream, asked.command, (asked.id, &asked.actor)).await {
        Ok(done) => {
            shared.system.caught_up().await;
            Json(Answer { version: done.version, repeated: done.repeated }).into_response()
        }
        Err(error) => not_done(&error),
    }
}

fn not_done(error: &NotDone) -> Response {
    let message = error.to_string();
    match error {
        NotDone::Rejected { facts, .. } => {
            refuse(StatusCode::CONFLICT, "rejected", message, serde_json::from_str(facts).ok())
        }
        NotDone::Quarantined { .. } => refuse(StatusCode::CONFLICT, "quarantined", message, None),
        NotDone::Unanswered { .. } => refuse(StatusCode::SERVICE_UNAVAILABLE, "unanswered", message, None),
        NotDone::Busy { retry_after_s } => {
            let mut response = refuse(StatusCode::TOO_MANY_REQUESTS, "busy", message, None);
            response.headers_mut().insert(header::RETRY_AFTER, (*retry_after_s).into());
            response
        }
    }
}

/// Puts bytes into the content store and answers with their digest.
pub async fn put_blob(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> Response {
    if let Err(refused) = authorized(&shared, &headers) {
        return *refused;
    }
    let digest = digest_of(&body);
    match shared.system.context().performers.blobs.put(&digest, body.to_vec()).await {
        Ok(()) => Json(digest).into_response(),
        Err(error) => refuse(StatusCode::SERVICE_UNAVAILABLE, "unanswered", error.to_string(), None),
    }
}

/// Who waits for a place and who holds one.
pub async fn queue(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Response {
    if let Err(refused) = authorized(&shared, &headers) {
        return *refused;
    }
    let view = shared.system.queue().await;
    let waiting = view.waiting.iter().map(|job| (job.run.to_string(), job.step.clone())).collect();
    Json(Queued { waiting, taken: view.taken, places: view.places }).into_response()
}

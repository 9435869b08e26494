//! Live events of a run, as server-sent events and over a WebSocket, resumable by the version of the run's stream.
//!
//! Owns: the two protocols. What an event says is in `fold`, when there is one in `follow`.
//! Refuses to know: how read models are written.

mod fold;
mod follow;
pub mod token;

use std::{convert::Infallible, sync::Arc};

use axum::{
    Extension,
    body::{Body, Bytes},
    extract::{
        State,
        ws::{Message, WebSocket, WebSocketUpgrade, rejection::WebSocketUpgradeRejection},
    },
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing,
};
use futures::stream;
use nightshift_domain::{ids::RunId, run::State as Run};
use serde_json::json;
use uuid::Uuid;

use crate::{
    Shared,
    auth::{Caller, Group},
    envelope::{self, Answered, ApiError, Code},
    extract::{Named, Question},
    routes::{Gives, Param, ParamKind, Route, of},
};

use fold::Frame;
pub use follow::Open;
use follow::{Follower, Next};

const TAG: &str = "events";

const FROM: &[Param] = &[
    Param {
        name: "lastEventId",
        kind: ParamKind::Number { min: 0, max: u32::MAX, default: 0 },
        about: "Go on behind this event, where the header `Last-Event-ID` cannot be sent.",
    },
    Param {
        name: token::PARAM,
        kind: ParamKind::Text,
        about: "A token of `/stream-token`, where headers cannot be sent. It is looked at before any header.",
    },
];

/// The routes.
pub const ROUTES: &[Route] = &[
    Route::get("/api/orchestrations/{id}/events", || routing::get(events))
        .about(TAG, "Follow a run: what happened so far, then what happens, until it is over.")
        .query(FROM)
        .gives(Gives::Events),
    Route::get("/api/orchestrations/{id}/ws", || routing::get(socket))
        .about(TAG, "Follow a run over a WebSocket.")
        .query(FROM)
        .gives(Gives::Socket)
        .status(101),
    Route::post("/api/orchestrations/{id}/stream-token", || routing::post(hand_out))
        .group(Group::Read)
        .about(TAG, "Make a token for this run's event stream and WebSocket, for `?token=`. It is good for 5 minutes.")
        .query(&[])
        .gives(Gives::Data(of::<token::StreamToken>)),
];

async fn hand_out(State(shared): State<Arc<Shared>>, caller: Caller, Named(id): Named<Uuid>) -> Answered {
    owner(&shared, &caller, id).await?;
    let now = shared.system.context().clock_port.now();
    Ok(envelope::ok(token::make(&shared, &caller, id, now)?))
}

/// Whether a run is over, and the version of its stream.
///
/// # Errors
/// There is none that the caller may see.
async fn owner(shared: &Arc<Shared>, caller: &Caller, id: Uuid) -> Result<(bool, u64), ApiError> {
    let stream = shared.stream(RunId::from_uuid(id).stream())?;
    let facts = |state: &Run, version| {
        let user = state.run().map(|run| run.created.user.clone());
        user.map(|user| (user, matches!(state, Run::Over(..)), version))
    };
    let known = shared.system.ask(stream, facts).await?.filter(|(user, ..)| caller.sees(&user.0));
    let (_, over, version) = known.ok_or_else(|| ApiError::not_found(format!("run {id}")))?;
    Ok((over, version))
}

/// Where a client wants to go on.
fn resume_at(headers: &HeaderMap, question: &Question) -> Result<u64, ApiError> {
    match headers.get("last-event-id").and_then(|value| value.to_str().ok()).map(str::trim) {
        None | Some("") => Ok(u64::from(question.number("lastEventId", 0))),
        Some(text) => text.parse().map_err(|_| ApiError::field("Last-Event-ID", format!("{text:?} is no event id"))),
    }
}

/// A follower of a run that the caller may see; none when the run is over and everything was seen.
async fn follow(
    shared: &Arc<Shared>,
    caller: &Caller,
    (id, after): (Uuid, u64),
    open: &Open,
) -> Result<Option<Follower>, ApiError> {
    let run = RunId::from_uuid(id);
    let (over, version) = owner(shared, caller, id).await?;
    if over && after >= version {
        return Ok(None);
    }
    let permit = open
        .permit()
        .ok_or_else(|| ApiError::new(Code::RateLimited, "too many event streams are open").retry_after(5))?;
    Ok(Some(Follower::new(Arc::clone(shared), run, after, (open.closing(), permit))))
}

async fn events(
    State(shared): State<Arc<Shared>>,
    Extension(open): Extension<Open>,
    (caller, question, Named(id), headers): (Caller, Question, Named<Uuid>, HeaderMap),
) -> Answered {
    let after = resume_at(&headers, &question)?;
    let Some(follower) = follow(&shared, &caller, (id, after), &open).await? else {
        // Tells an EventSource to come no more.
        return Ok(StatusCode::NO_CONTENT.into_response());
    };
    let first = stream::iter([Ok::<_, Infallible>(Bytes::from_static(b"retry: 2000\n\n"))]);
    let rest = stream::unfold(follower, |mut follower| async move {
        let bytes = match follower.next().await {
            Next::Frame(frame) => Bytes::from(sse(&frame)),
            Next::Silence => Bytes::from_static(b": keep-alive\n\n"),
            Next::End => return None,
        };
        Some((Ok(bytes), follower))
    });
    let body = Body::from_stream(futures::StreamExt::chain(first, rest));
    let headers = [(header::CONTENT_TYPE, "text/event-stream"), (header::CACHE_CONTROL, "no-cache, no-transform")];
    Ok((headers, [("x-accel-buffering", "no")], body).into_response())
}

/// One event as text. JSON has no line breaks of its own.
fn sse(frame: &Frame) -> String {
    let id = frame.id.map(|id| format!("id: {id}\n")).unwrap_or_default();
    format!("event: {}\n{id}data: {}\n\n", frame.event, frame.data)
}

async fn socket(
    State(shared): State<Arc<Shared>>,
    Extension(open): Extension<Open>,
    (caller, question, Named(id), headers): (Caller, Question, Named<Uuid>, HeaderMap),
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, ApiError> {
    let upgrade = upgrade.map_err(|why| ApiError::new(Code::BadRequest, why.to_string()))?;
    let after = resume_at(&headers, &question)?;
    let follower = follow(&shared, &caller, (id, after), &open).await?;
    Ok(upgrade.max_message_size(4 * 1024).on_upgrade(move |socket| pump(socket, follower)))
}

/// Sends until the run is over or the client goes. What a client says is not read, but that it goes.
async fn pump(mut socket: WebSocket, follower: Option<Follower>) {
    if let Some(mut follower) = follower {
        loop {
            let next = tokio::select! {
                biased;
                said = socket.recv() => match said {
                    Some(Ok(Message::Close(_)) | Err(_)) | None => return,
                    Some(Ok(_)) => continue,
                },
                next = follower.next() => next,
            };
            let message = match next {
                Next::Frame(frame) => {
                    let text = json!({"id": frame.id, "event": frame.event, "data": frame.data}).to_string();
                    Message::Text(text.into())
                }
                Next::Silence => Message::Ping(Bytes::new()),
                Next::End => break,
            };
            if socket.send(message).await.is_err() {
                return;
            }
        }
    }
    let _ = socket.send(Message::Close(None)).await;
}

//! `/api/events`: something happened, and whoever waits for it is told.
//!
//! Owns: the forms, and that an event is published once by its id.
//! Refuses to know: who waits.

use std::sync::Arc;

use axum::{extract::State, http::StatusCode, routing};
use nightshift_actors::envelope::Done;
use nightshift_domain::{
    definition::webhook_event_type,
    ids::{CommandId, TopicId, UserId},
    topic::{Command, Published},
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    Shared,
    auth::{Caller, Group},
    envelope::{self, Answered, ApiError},
    extract::{Body, Order, Question},
    naming::Fingerprint,
    paging::{self, Listing},
    routes::{Gives, LIMIT, OFFSET, Param, ParamKind, Route, Takes, of},
    rows::shown,
    system::done,
};

const TAG: &str = "events";

/// The routes.
pub const ROUTES: &[Route] = &[
    Route::get("/api/events", || routing::get(list))
        .about(TAG, "List events that were published, newest first.")
        .query(&[
            Param { name: "type", kind: ParamKind::Text, about: "Only events of this type." },
            Param { name: "after", kind: ParamKind::Instant, about: "Only events published after this instant." },
            LIMIT,
            OFFSET,
        ])
        .gives(Gives::Page("intent_events")),
    Route::post("/api/events", || routing::post(publish))
        .group(Group::Start)
        .about(TAG, "Publish an event. The same type and id again is the same event, for ever.")
        .takes(Takes::Json(of::<EventRequest>))
        .status(202),
];

/// An event.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EventRequest {
    /// Its identity in its type; none: the Idempotency-Key, or a fresh one.
    #[serde(alias = "event_id", alias = "eventId")]
    id: Option<String>,
    /// Its type.
    #[serde(rename = "type")]
    event_type: String,
    /// What it is about, for those who wait for one of many.
    correlation: Option<String>,
    /// An id of the outside, kept for people.
    #[serde(alias = "intent_id")]
    intent_id: Option<String>,
    /// The rest.
    #[serde(default)]
    payload: Value,
    /// Whose event it is: only admin and operator may name another than themselves.
    #[serde(alias = "user_id")]
    user_id: Option<String>,
}

/// Types that only this program publishes: a webhook's event is proof of its signature.
fn is_reserved(event_type: &str) -> bool {
    event_type.starts_with(&webhook_event_type(""))
}

async fn publish(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    order: Order,
    Body(asked): Body<EventRequest>,
) -> Answered {
    let mut faults = Vec::new();
    if asked.event_type.trim().is_empty() || asked.event_type.len() > 200 {
        faults.push(("type".to_owned(), "1 to 200 characters are expected".to_owned()));
    } else if is_reserved(&asked.event_type) {
        faults.push(("type".to_owned(), "events of webhooks come in through /api/hooks only".to_owned()));
    }
    if asked.id.as_ref().is_some_and(|id| id.is_empty() || id.len() > 255) {
        faults.push(("id".to_owned(), "1 to 255 characters are expected".to_owned()));
    }
    if !faults.is_empty() {
        return Err(ApiError::fields(faults));
    }
    let user = caller.on_behalf_of(asked.user_id.as_deref())?;
    let event = Published {
        id: asked.id.clone().unwrap_or_else(|| order.id.to_string()),
        user,
        correlation: asked.correlation,
        intent_id: asked.intent_id,
        payload: asked.payload,
    };
    let said = json!({"id": event.id, "type": asked.event_type});
    // An event that has an id is known by it, whatever the key.
    let request = order.request.filter(|_| asked.id.is_none());
    let taken = shared.publish_named(&asked.event_type, event, &caller.actor(), request).await?;
    if order.wait {
        shared.shown(taken.position).await?;
    }
    Ok(done(&taken, envelope::said(StatusCode::ACCEPTED, said)))
}

impl Shared {
    /// Publishes an event: once for each user, type and id. An id belongs to the user who used it first: topics keep ids
    /// for a while whoever used them, commands keep them for ever.
    ///
    /// # Errors
    /// As the topic says.
    pub(crate) async fn publish(&self, event_type: &str, event: Published, actor: &str) -> Result<Done, ApiError> {
        self.publish_named(event_type, event, actor, None).await
    }

    /// As [`Self::publish`], for a request that its client named.
    ///
    /// # Errors
    /// As the topic says; 422 when the key named another request before.
    async fn publish_named(
        &self,
        event_type: &str,
        event: Published,
        actor: &str,
        request: Option<Fingerprint>,
    ) -> Result<Done, ApiError> {
        let id = event_id(event_type, &event.user, &event.id);
        let topic = TopicId::of(event_type, self.shard_count()).stream();
        let command = Command::Publish { event_type: event_type.to_owned(), event: Box::new(event) };
        let text = request.map(|request| request.to_string());
        let taken = self.system.submit_named(topic, command, (id, actor), text).await;
        self.same_request((id, request), &[topic.shard()], &taken).await?;
        Ok(taken?)
    }
}

/// The command that publishes an event.
fn event_id(event_type: &str, user: &UserId, id: &str) -> CommandId {
    CommandId::of_client(&user.0, &format!("publish {event_type}"), id)
}

async fn list(State(shared): State<Arc<Shared>>, caller: Caller, question: Question) -> Answered {
    let listing = Listing::own(paging::table("intent_events")?, &caller, "created_at", &question)
        .with("event_type", question.text("type"))
        .after("created_at", question.instant("after"));
    Ok(envelope::ok(listing.page(shared.models()).await?.shown(shown)))
}

//! `/api/schedules`: triggers in time.
//!
//! Owns: the forms. Refuses to know: calendars.

use std::sync::Arc;

use axum::{extract::State, routing};
use nightshift_domain::{
    ids::{ScheduleId, StreamKind},
    schedule::{Command, State as Schedule},
    time::Timestamp,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use uuid::Uuid;

use crate::{
    Shared,
    auth::{Caller, Group},
    envelope::{self, Answered, ApiError},
    extract::{Body, Named, Order, Question},
    paging::{self, Listing},
    recovery::NoteRequest,
    routes::{Gives, LIMIT, OFFSET, Param, ParamKind, Route, Takes, of},
    rows::shown,
    system::done,
};

const TAG: &str = "schedules";

/// The routes.
pub const ROUTES: &[Route] = &[
    Route::get("/api/schedules", || routing::get(list))
        .about(TAG, "List schedules, the next due first.")
        .query(&[
            Param {
                name: "status",
                kind: ParamKind::OneOf(&["active", "paused", "ended"]),
                about: "Only schedules in this status.",
            },
            Param { name: "deliverableId", kind: ParamKind::Id, about: "Only those of this deliverable." },
            Param { name: "definitionId", kind: ParamKind::Id, about: "Only those of this workflow definition." },
            LIMIT,
            OFFSET,
        ])
        .gives(Gives::Page("schedules")),
    Route::get("/api/schedules/{id}", || routing::get(one))
        .about(TAG, "Get a schedule.")
        .gives(Gives::Row("schedules")),
    Route::post("/api/schedules/{id}/pause", || routing::post(pause))
        .group(Group::Operate)
        .about(TAG, "Start nothing until it is resumed.")
        .takes(Takes::Json(of::<NoteRequest>)),
    Route::post("/api/schedules/{id}/resume", || routing::post(resume))
        .group(Group::Operate)
        .about(TAG, "Go on from now; instants that passed meanwhile are not made up for."),
    Route::post("/api/schedules/{id}/trigger", || routing::post(trigger))
        .group(Group::Operate)
        .about(TAG, "Start what it starts, now, also while it is paused. The same Idempotency-Key starts it once."),
    Route::post("/api/schedules/{id}/backfill", || routing::post(backfill))
        .group(Group::Operate)
        .about(TAG, "Tell what it starts of the due instants of a range once more; slots it had are not done again.")
        .takes(Takes::Json(of::<BackfillRequest>)),
];

/// A range of due instants.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BackfillRequest {
    /// The first instant that counts, RFC 3339.
    from: String,
    /// The last instant that counts, RFC 3339.
    upto: String,
}

fn instant(path: &str, text: &str) -> Result<Timestamp, ApiError> {
    let read = chrono::DateTime::parse_from_rfc3339(text);
    let wrong = |_| ApiError::field(path, format!("{text:?} is no instant (2026-01-31T08:00:00Z)"));
    read.map(|at| Timestamp::from(at.to_utc())).map_err(wrong)
}

async fn list(State(shared): State<Arc<Shared>>, caller: Caller, question: Question) -> Answered {
    let id = |name: &str| question.id(name).map(|id| id.to_string());
    let mut listing = Listing::own(paging::table("schedules")?, &caller, "next_due_at", &question)
        .with("status", question.text("status"))
        .with("deliverable_id", id("deliverableId"))
        .with("definition_id", id("definitionId"));
    listing.query.order = vec![("next_due_at", false)];
    Ok(envelope::ok(listing.page(shared.models()).await?.shown(shown)))
}

async fn one(State(shared): State<Arc<Shared>>, caller: Caller, Named(id): Named<Uuid>) -> Answered {
    Ok(envelope::ok(shown(&shared.own_row(&caller, "schedules", id).await?)))
}

async fn pause(
    State(shared): State<Arc<Shared>>,
    (caller, order, Named(id)): (Caller, Order, Named<Uuid>),
    Body(asked): Body<NoteRequest>,
) -> Answered {
    let note = asked.note.unwrap_or_else(|| format!("paused by {}", caller.user));
    act(&shared, &caller, (order, id), Command::Pause { note }).await
}

async fn resume(
    State(shared): State<Arc<Shared>>,
    (caller, order, Named(id)): (Caller, Order, Named<Uuid>),
) -> Answered {
    act(&shared, &caller, (order, id), Command::Resume {}).await
}

async fn trigger(
    State(shared): State<Arc<Shared>>,
    (caller, order, Named(id)): (Caller, Order, Named<Uuid>),
) -> Answered {
    act(&shared, &caller, (order, id), Command::TriggerNow {}).await
}

async fn backfill(
    State(shared): State<Arc<Shared>>,
    (caller, order, Named(id)): (Caller, Order, Named<Uuid>),
    Body(asked): Body<BackfillRequest>,
) -> Answered {
    let (from, upto) = (instant("from", &asked.from)?, instant("upto", &asked.upto)?);
    if upto < from {
        return Err(ApiError::field("upto", "it is before from"));
    }
    act(&shared, &caller, (order, id), Command::Backfill { from, upto }).await
}

/// Gives an order to a schedule. Only admin and operator may, and they see all schedules.
async fn act(shared: &Shared, caller: &Caller, (order, id): (Order, Uuid), command: Command) -> Answered {
    let schedule = ScheduleId::from_uuid(id);
    let target = |state: &Schedule| match state {
        Schedule::Live { target, .. } => Some(target.kind),
        Schedule::Unborn | Schedule::Ended => None,
    };
    // A schedule of a deliverable follows the pauses of its order: pausing only the schedule would be undone by the next
    // revision, and nobody would see why nothing comes.
    if shared.ask(schedule.stream(), target).await? == Some(StreamKind::Deliverable)
        && matches!(command, Command::Pause { .. } | Command::Resume {})
    {
        let message = "this schedule belongs to a deliverable: pause or resume that at /api/deliverables/{id}";
        return Err(ApiError::new(envelope::Code::Conflict, message));
    }
    let taken = shared.carry_out(caller, order, schedule.stream(), command).await?;
    Ok(done(&taken, envelope::ok(json!({"id": id, "version": taken.version}))))
}

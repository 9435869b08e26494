//! `/api/deliverables`: standing orders and their versions.
//!
//! Owns: the forms. Refuses to know: when a version may be approved.

use std::sync::Arc;

use axum::{extract::State, routing};
use nightshift_domain::{content::Digest, deliverable::Command};
use nightshift_projections::table::Row;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
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

const TAG: &str = "deliverables";

/// The routes.
pub const ROUTES: &[Route] = &[
    Route::get("/api/deliverables", || routing::get(list))
        .about(TAG, "List standing orders, newest first.")
        .query(&[
            Param {
                name: "status",
                kind: ParamKind::OneOf(&["active", "paused", "archived"]),
                about: "Only orders in this status.",
            },
            Param { name: "search", kind: ParamKind::Text, about: "Only orders with this in id, title or kind." },
            LIMIT,
            OFFSET,
        ])
        .gives(Gives::Page("deliverables")),
    Route::get("/api/deliverables/{id}", || routing::get(one))
        .about(TAG, "Get a standing order.")
        .gives(Gives::Row("deliverables")),
    Route::get("/api/deliverables/{id}/versions", || routing::get(versions))
        .about(TAG, "List the versions of a standing order, newest first.")
        .query(&[
            Param { name: "status", kind: ParamKind::Text, about: "Only versions in this status." },
            LIMIT,
            OFFSET,
        ])
        .gives(Gives::Page("deliverable_versions")),
    Route::get("/api/deliverables/{id}/versions/{number}", || routing::get(version))
        .about(TAG, "Get a version with its text.")
        .gives(Gives::Row("deliverable_versions")),
    Route::post("/api/deliverables/{id}/run", || routing::post(run))
        .group(Group::Start)
        .about(TAG, "Make a version now.")
        .takes(Takes::Json(of::<RunRequest>)),
    Route::post("/api/deliverables/{id}/pause", || routing::post(pause))
        .group(Group::Steer)
        .about(TAG, "Make nothing until it is resumed.")
        .takes(Takes::Json(of::<NoteRequest>)),
    Route::post("/api/deliverables/{id}/resume", || routing::post(resume))
        .group(Group::Steer)
        .about(TAG, "Go on; slots that passed meanwhile are not made up for."),
    Route::post("/api/deliverables/{id}/versions/{number}/approve", || routing::post(approve))
        .group(Group::Review)
        .about(TAG, "Agree to a version. With `digest` the approval is void when the text has changed since.")
        .takes(Takes::Json(of::<ApproveRequest>)),
    Route::post("/api/deliverables/{id}/versions/{number}/reject", || routing::post(reject))
        .group(Group::Review)
        .about(TAG, "Refuse a version; the next one is made with the reason in mind.")
        .takes(Takes::Json(of::<RejectRequest>)),
];

/// A request for a version.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RunRequest {
    /// Also when nothing is new.
    #[serde(default)]
    force: bool,
}

/// An approval.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ApproveRequest {
    /// For people.
    #[serde(alias = "notes")]
    note: Option<String>,
    /// `contentDigest` of the version as it was read.
    digest: Option<String>,
}

/// A refusal.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RejectRequest {
    /// Why.
    #[serde(alias = "note", alias = "notes")]
    reason: String,
}

async fn list(State(shared): State<Arc<Shared>>, caller: Caller, question: Question) -> Answered {
    let listing = Listing::own(paging::table("deliverables")?, &caller, "created_at", &question)
        .with("status", question.text("status"))
        .searching(&["id", "title", "deliverable_type"], question.text("search"));
    Ok(envelope::ok(listing.page(shared.models()).await?.shown(shown)))
}

async fn one(State(shared): State<Arc<Shared>>, caller: Caller, Named(id): Named<Uuid>) -> Answered {
    Ok(envelope::ok(shown(&shared.own_row(&caller, "deliverables", id).await?)))
}

async fn versions(
    State(shared): State<Arc<Shared>>,
    (caller, Named(id)): (Caller, Named<Uuid>),
    question: Question,
) -> Answered {
    shared.own_row(&caller, "deliverables", id).await?;
    let listing = Listing::own(paging::table("deliverable_versions")?, &caller, "version_number", &question)
        .with("deliverable_id", Some(id.to_string()))
        .with("status", question.text("status"));
    // Texts are long: a list says how long, and the version itself has them.
    let short = |row: &Row| {
        let mut row = row.clone();
        ["draft_content", "final_content", "edit_diff"].iter().for_each(|name| drop(row.remove(*name)));
        shown(&row)
    };
    Ok(envelope::ok(listing.page(shared.models()).await?.shown(short)))
}

async fn version(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Named((id, number)): Named<(Uuid, u32)>,
) -> Answered {
    shared.own_row(&caller, "deliverables", id).await?;
    let key = [("deliverable_id", Value::from(id.to_string())), ("version_number", Value::from(number))];
    let found = paging::one(shared.models(), paging::table("deliverable_versions")?, &key).await?;
    let found = found.ok_or_else(|| ApiError::not_found(format!("version {number} of deliverable {id}")))?;
    Ok(envelope::ok(shown(&found)))
}

async fn run(
    State(shared): State<Arc<Shared>>,
    (caller, order, Named(id)): (Caller, Order, Named<Uuid>),
    Body(asked): Body<RunRequest>,
) -> Answered {
    act(&shared, &caller, (order, id), Command::RunNow { force: asked.force }).await
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

async fn approve(
    State(shared): State<Arc<Shared>>,
    (caller, order, Named((id, number))): (Caller, Order, Named<(Uuid, u32)>),
    Body(asked): Body<ApproveRequest>,
) -> Answered {
    let (by, digest) = (caller.user.clone(), asked.digest.map(Digest));
    act(&shared, &caller, (order, id), Command::Approve { number, by, note: asked.note, digest }).await
}

async fn reject(
    State(shared): State<Arc<Shared>>,
    (caller, order, Named((id, number))): (Caller, Order, Named<(Uuid, u32)>),
    Body(asked): Body<RejectRequest>,
) -> Answered {
    let by = caller.user.clone();
    act(&shared, &caller, (order, id), Command::Reject { number, by, reason: asked.reason }).await
}

async fn act(shared: &Shared, caller: &Caller, (order, id): (Order, Uuid), command: Command) -> Answered {
    let deliverable = shared.own_deliverable(caller, id).await?;
    let taken = shared.carry_out(caller, order, deliverable.stream(), command).await?;
    Ok(done(&taken, envelope::ok(json!({"id": id, "version": taken.version}))))
}

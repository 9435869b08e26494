//! `/api/jobs`: places in the queue, and dead letters: those that nobody tries again. What is done to many letters at once
//! is in `bulk`.
//!
//! Owns: the forms. Refuses to know: the queue's order, and when a letter can be had again: its run says so.

use std::sync::Arc;

use axum::{extract::State, routing};
use nightshift_domain::run::{Command, DeadVerb};
use serde_json::Value;
use uuid::Uuid;

use crate::{
    Shared,
    auth::{Caller, Group},
    envelope::{self, Answered},
    extract::{Body, Named, Order, Question},
    paging::{self, Listing},
    recovery::{self, NoteRequest, asked},
    routes::{Gives, LIMIT, OFFSET, Param, ParamKind, Route, Takes, of},
    rows::shown,
};

pub const TAG: &str = "jobs";

/// States of jobs.
const STATES: &[&str] = &["queued", "leased", "running", "success", "failed", "dead", "cancelled"];

/// Classes of failures.
pub const CLASSES: &[&str] = &["transient", "permanent", "timeout", "rate_limited", "cancelled", "lost"];

const OF_RUN: Param = Param { name: "runId", kind: ParamKind::Id, about: "Only jobs of this run." };
const QUEUE: Param = Param { name: "queue", kind: ParamKind::Text, about: "Only jobs of this queue." };
const DEFINITION: Param =
    Param { name: "definition", kind: ParamKind::Text, about: "Only jobs of this definition: name, or owner/name." };
const CLASS: Param =
    Param { name: "errorClass", kind: ParamKind::OneOf(CLASSES), about: "Only jobs with this class of failure." };
const USER: Param = Param { name: "userId", kind: ParamKind::Text, about: "Only jobs of this user." };
const AFTER: Param = Param { name: "after", kind: ParamKind::Instant, about: "Only jobs that changed after." };
const BEFORE: Param = Param { name: "before", kind: ParamKind::Instant, about: "Only jobs that changed before." };

/// The routes.
pub const ROUTES: &[Route] = &[
    Route::get("/api/jobs", || routing::get(list))
        .about(TAG, "List jobs, in the order in which they may go.")
        .query(&[
            Param { name: "status", kind: ParamKind::OneOf(STATES), about: "Only jobs in this state." },
            OF_RUN,
            QUEUE,
            DEFINITION,
            CLASS,
            USER,
            AFTER,
            BEFORE,
            LIMIT,
            OFFSET,
        ])
        .gives(Gives::Page("job_queue")),
    Route::get("/api/jobs/dead", || routing::get(dead))
        .about(TAG, "List dead letters: steps whose last attempt failed, the newest first.")
        .query(&[OF_RUN, QUEUE, DEFINITION, CLASS, USER, AFTER, BEFORE, LIMIT, OFFSET])
        .gives(Gives::Page("job_queue")),
    Route::get("/api/jobs/{run}/{step}/attempts", || routing::get(attempts))
        .about(TAG, "List the attempts at a job, the newest first.")
        .query(&[LIMIT, OFFSET])
        .gives(Gives::Page("job_attempts")),
    Route::post("/api/jobs/{run}/{step}/retry", || routing::post(retry))
        .group(Group::Steer)
        .about(TAG, "Give a dead letter one more attempt; its run goes on.")
        .takes(Takes::Json(of::<NoteRequest>)),
    Route::post("/api/jobs/{run}/{step}/reset", || routing::post(reset))
        .group(Group::Steer)
        .about(TAG, "Try a dead letter again, with all its attempts anew; its run goes on.")
        .takes(Takes::Json(of::<NoteRequest>)),
    Route::post("/api/jobs/{run}/{step}/discard", || routing::post(discard))
        .group(Group::Steer)
        .about(TAG, "Give a dead letter up: its run stays as it is, and only a rerun brings it back.")
        .takes(Takes::Json(of::<NoteRequest>)),
];

/// What a definition is called in the columns of a job.
pub fn of_definition(text: &str) -> Vec<(&'static str, Value)> {
    match text.rsplit_once('/') {
        Some((owner, name)) => vec![("definition_owner", Value::from(owner)), ("definition", Value::from(name))],
        None => vec![("definition", Value::from(text))],
    }
}

fn narrowed(listing: Listing, question: &Question) -> Listing {
    let mut listing = listing
        .with("workflow_run_id", question.id("runId").map(|id| id.to_string()))
        .with("queue", question.text("queue"))
        .with("error_class", question.text("errorClass"))
        .with("user_id", question.text("userId"))
        .after("updated_at", question.instant("after"))
        .before("updated_at", question.instant("before"));
    listing.query.equals.extend(question.text("definition").into_iter().flat_map(of_definition));
    listing
}

async fn list(State(shared): State<Arc<Shared>>, caller: Caller, question: Question) -> Answered {
    let listing = Listing::own(paging::table("job_queue")?, &caller, "created_at", &question);
    let mut listing = narrowed(listing.with("status", question.text("status")), &question);
    listing.query.order = vec![("priority", false), ("created_at", false)];
    Ok(envelope::ok(listing.page(shared.models()).await?.shown(shown)))
}

async fn dead(State(shared): State<Arc<Shared>>, caller: Caller, question: Question) -> Answered {
    let listing = Listing::own(paging::table("job_queue")?, &caller, "updated_at", &question);
    let listing = narrowed(listing.with("status", Some("dead")), &question);
    Ok(envelope::ok(listing.page(shared.models()).await?.shown(shown)))
}

async fn attempts(
    State(shared): State<Arc<Shared>>,
    (caller, Named((run, step))): (Caller, Named<(Uuid, String)>),
    question: Question,
) -> Answered {
    shared.run_row(&caller, run).await?;
    // Attempts have no user of their own: the run's was asked for above.
    let listing = Listing::all(paging::table("job_attempts")?, "attempt", &question)
        .with("run_id", Some(run.to_string()))
        .with("step_id", Some(step));
    Ok(envelope::ok(listing.page(shared.models()).await?.shown(shown)))
}

type Letter = (Caller, Order, Named<(Uuid, String)>);

async fn retry(State(shared): State<Arc<Shared>>, letter: Letter, Body(request): Body<NoteRequest>) -> Answered {
    on_letter(&shared, letter, DeadVerb::Retry, request).await
}

async fn reset(State(shared): State<Arc<Shared>>, letter: Letter, Body(request): Body<NoteRequest>) -> Answered {
    on_letter(&shared, letter, DeadVerb::Reset, request).await
}

async fn discard(State(shared): State<Arc<Shared>>, letter: Letter, Body(request): Body<NoteRequest>) -> Answered {
    on_letter(&shared, letter, DeadVerb::Discard, request).await
}

async fn on_letter(
    shared: &Shared,
    (caller, order, Named((run, step))): Letter,
    verb: DeadVerb,
    request: NoteRequest,
) -> Answered {
    let by = asked(&caller, request.note);
    recovery::act(shared, &caller, (order, run), Command::DeadLetter { step, attempt: None, verb, by }).await
}

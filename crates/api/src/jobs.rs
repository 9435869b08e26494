//! `/api/jobs`: places in the queue, and those that nobody tries again.
//!
//! Owns: the forms. Refuses to know: the queue's order.

use std::sync::Arc;

use axum::{extract::State, routing};
use nightshift_domain::run::{Command, State as Run, StepStatus};
use uuid::Uuid;

use crate::{
    Shared,
    auth::{Caller, Group},
    envelope::{self, Answered, ApiError, Code},
    extract::{Body, Named, Order, Question},
    paging::{self, Listing},
    recovery::{self, NoteRequest, asked},
    routes::{Gives, LIMIT, OFFSET, Param, ParamKind, Route, Takes, of},
    rows::shown,
};

const TAG: &str = "jobs";

/// States of jobs.
const STATES: &[&str] = &["queued", "leased", "running", "success", "failed", "dead", "cancelled"];

const OF_RUN: Param = Param { name: "runId", kind: ParamKind::Id, about: "Only jobs of this run." };

/// The routes.
pub const ROUTES: &[Route] = &[
    Route::get("/api/jobs", || routing::get(list))
        .about(TAG, "List jobs, in the order in which they may go.")
        .query(&[
            Param { name: "status", kind: ParamKind::OneOf(STATES), about: "Only jobs in this state." },
            OF_RUN,
            LIMIT,
            OFFSET,
        ])
        .gives(Gives::Page("job_queue")),
    Route::get("/api/jobs/dead", || routing::get(dead))
        .about(TAG, "List dead letters: steps whose last attempt failed, the newest first.")
        .query(&[OF_RUN, LIMIT, OFFSET])
        .gives(Gives::Page("job_queue")),
    Route::get("/api/jobs/{run}/{step}/attempts", || routing::get(attempts))
        .about(TAG, "List the attempts at a job, the newest first.")
        .query(&[LIMIT, OFFSET])
        .gives(Gives::Page("job_attempts")),
    Route::post("/api/jobs/{run}/{step}/retry", || routing::post(retry))
        .group(Group::Steer)
        .about(TAG, "Try a dead letter again, with all its attempts anew; its run goes on.")
        .takes(Takes::Json(of::<NoteRequest>)),
    Route::post("/api/jobs/{run}/{step}/discard", || routing::post(discard))
        .group(Group::Steer)
        .about(TAG, "Give a dead letter up: its step is skipped, and its run goes on without its output.")
        .takes(Takes::Json(of::<NoteRequest>)),
];

async fn list(State(shared): State<Arc<Shared>>, caller: Caller, question: Question) -> Answered {
    let mut listing = Listing::own(paging::table("job_queue")?, &caller, "created_at", &question)
        .with("status", question.text("status"))
        .with("workflow_run_id", question.id("runId").map(|id| id.to_string()));
    listing.order = vec![("priority", false), ("created_at", false)];
    Ok(envelope::ok(listing.page(shared.models()).await?.shown(shown)))
}

async fn dead(State(shared): State<Arc<Shared>>, caller: Caller, question: Question) -> Answered {
    let listing = Listing::own(paging::table("job_queue")?, &caller, "updated_at", &question)
        .with("status", Some("dead"))
        .with("workflow_run_id", question.id("runId").map(|id| id.to_string()));
    Ok(envelope::ok(listing.page(shared.models()).await?.shown(shown)))
}

async fn attempts(
    State(shared): State<Arc<Shared>>,
    (caller, Named((run, step))): (Caller, Named<(Uuid, String)>),
    question: Question,
) -> Answered {
    shared.run_row(&caller, run).await?;
    let mut listing = Listing::own(paging::table("job_attempts")?, &caller, "attempt", &question);
    // Attempts have no user of their own: the run's was asked for above.
    listing.any_of = vec![vec![("run_id", run.to_string().into()), ("step_id", step.into())]];
    Ok(envelope::ok(listing.page(shared.models()).await?.shown(shown)))
}

async fn retry(
    State(shared): State<Arc<Shared>>,
    (caller, order, Named((run, step))): (Caller, Order, Named<(Uuid, String)>),
    Body(request): Body<NoteRequest>,
) -> Answered {
    let by = asked(&caller, request.note);
    let command = Command::RetryStep { step: step.clone(), modifications: None, delay_ms: 0, by, past: None };
    on_dead(&shared, &caller, (order, run, &step), command).await
}

async fn discard(
    State(shared): State<Arc<Shared>>,
    (caller, order, Named((run, step))): (Caller, Order, Named<(Uuid, String)>),
    Body(request): Body<NoteRequest>,
) -> Answered {
    let by = asked(&caller, request.note);
    let command = Command::SkipStep { step: step.clone(), output: None, by, past: None };
    on_dead(&shared, &caller, (order, run, &step), command).await
}

/// Does something to a dead letter, and only to one. An order that was carried out before finds the step in another
/// state: it goes through, and the run knows it by its id.
async fn on_dead(
    shared: &Shared,
    caller: &Caller,
    (order, run, step): (Order, Uuid, &str),
    command: Command,
) -> Answered {
    let own = shared.own_run(caller, run).await?;
    let known = shared.system.context().log.command(own.shard(), order.id).await?.is_some();
    let wanted = step.to_owned();
    let state = move |state: &Run| {
        let (_, step) = state.run()?.step(&wanted)?;
        Some((matches!(step.status, StepStatus::Dead { .. }), step.status.as_str()))
    };
    match shared.ask(own.stream(), state).await? {
        None => Err(ApiError::not_found(format!("step {step:?} of run {run}"))),
        Some((false, status)) if !known => {
            let message = format!("the step is {status}, no dead letter");
            Err(ApiError::new(Code::Conflict, message))
        }
        Some(_) => recovery::act(shared, caller, (order, run), command).await,
    }
}

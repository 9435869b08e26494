//! `/api/orchestrations/{id}/actions`: what people do to a run.
//!
//! Owns: the forms, and past which questions to people a caller may go. Refuses to know: when an action is possible.
//!
//! Invariant: whoever may not answer a question does not get past it by another action.

use std::sync::Arc;

use axum::{extract::State, routing};
use nightshift_domain::{
    definition,
    ids::{DefinitionId, RunId},
    run::{Asked, Command, End, Migration, State as Run, StepStatus, passed_over},
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    Shared, approvals,
    auth::{Caller, Group},
    envelope::{self, Answered, ApiError, Code},
    extract::{Body, Named, Order},
    routes::{Route, Takes, of},
    system::done,
};

const TAG: &str = "recovery";

/// The routes.
pub const ROUTES: &[Route] = &[
    Route::post("/api/orchestrations/{id}/actions/retry", || routing::post(retry))
        .group(Group::Steer)
        .about(TAG, "Do a failed step again, at once or later, with changes to its input if need be.")
        .takes(Takes::Json(of::<RetryRequest>)),
    Route::post("/api/orchestrations/{id}/actions/skip", || routing::post(skip))
        .group(Group::Steer)
        .about(TAG, "Take an output in place of a step's, and go on. Past a question to people only who may answer it.")
        .takes(Takes::Json(of::<SkipRequest>)),
    Route::post("/api/orchestrations/{id}/actions/abort", || routing::post(abort))
        .group(Group::Steer)
        .about(
            TAG,
            "Stop a run, the steps under way, and the runs it waits for. A run that is over is no run to stop: 409.",
        )
        .takes(Takes::Json(of::<NoteRequest>)),
    Route::post("/api/orchestrations/{id}/actions/rerun", || routing::post(rerun))
        .group(Group::Steer)
        .about(TAG, "Do a step and all behind it once more in a run that is over; earlier outputs are kept.")
        .takes(Takes::Json(of::<RerunRequest>)),
    Route::post("/api/orchestrations/{id}/actions/migrate", || routing::post(migrate))
        .group(Group::Steer)
        .about(TAG, "Go on under another version, if what has happened so far would have happened under it as well.")
        .takes(Takes::Json(of::<MigrateRequest>)),
    Route::post("/api/orchestrations/{id}/actions/pause", || routing::post(pause))
        .group(Group::Steer)
        .about(TAG, "Start nothing more in a run until it is resumed.")
        .takes(Takes::Json(of::<NoteRequest>)),
    Route::post("/api/orchestrations/{id}/actions/resume", || routing::post(resume))
        .group(Group::Steer)
        .about(TAG, "Let a paused run go on.")
        .takes(Takes::Json(of::<NoteRequest>)),
];

/// Why something is asked for.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NoteRequest {
    /// For people.
    pub note: Option<String>,
}

/// A step to be done again.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RetryRequest {
    /// Id of the step; none: the last one that failed.
    #[serde(alias = "stepRecordId")]
    step_id: Option<String>,
    /// Not before so many seconds, 0 to 600.
    #[serde(default)]
    #[schemars(range(min = 0, max = 600))]
    delay_seconds: u64,
    /// Laid over the step's input.
    modifications: Option<Value>,
    /// For people.
    note: Option<String>,
}

/// A step to be passed over.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SkipRequest {
    /// Id of the step; none: the last one that failed.
    #[serde(alias = "stepRecordId")]
    step_id: Option<String>,
    /// What later steps see; none: `{"skipped": true}`.
    replacement_output: Option<Value>,
    /// For people.
    note: Option<String>,
}

/// Where to begin again.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RerunRequest {
    /// Id of the step; none: all steps.
    #[serde(alias = "stepId", alias = "stepRecordId")]
    from: Option<String>,
    /// For people.
    note: Option<String>,
}

/// Under which version a run is to go on.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MigrateRequest {
    /// A version of the run's own workflow; none: the one in force.
    version: Option<String>,
    /// For people.
    note: Option<String>,
}

/// Who asks, and why.
pub fn asked(caller: &Caller, note: Option<String>) -> Asked {
    Asked { by: caller.user.clone(), note: note.unwrap_or_default() }
}

async fn retry(
    State(shared): State<Arc<Shared>>,
    (caller, order, Named(id)): (Caller, Order, Named<Uuid>),
    Body(request): Body<RetryRequest>,
) -> Answered {
    if request.delay_seconds > 600 {
        return Err(ApiError::field("delaySeconds", format!("{} is not 0 to 600", request.delay_seconds)));
    }
    let step = named_or_failed(&shared, &caller, id, request.step_id).await?;
    let command = Command::RetryStep {
        step,
        modifications: request.modifications,
        delay_ms: request.delay_seconds * 1_000,
        by: asked(&caller, request.note),
        past: None,
    };
    act(&shared, &caller, (order, id), command).await
}

async fn skip(
    State(shared): State<Arc<Shared>>,
    (caller, order, Named(id)): (Caller, Order, Named<Uuid>),
    Body(request): Body<SkipRequest>,
) -> Answered {
    let step = named_or_failed(&shared, &caller, id, request.step_id).await?;
    let by = asked(&caller, request.note);
    let command = Command::SkipStep { step, output: request.replacement_output, by, past: None };
    act(&shared, &caller, (order, id), command).await
}

async fn abort(
    State(shared): State<Arc<Shared>>,
    (caller, order, Named(id)): (Caller, Order, Named<Uuid>),
    Body(request): Body<NoteRequest>,
) -> Answered {
    let reason = match request.note.filter(|note| !note.is_empty()) {
        Some(note) => format!("aborted by {}: {note}", caller.user),
        None => format!("aborted by {}", caller.user),
    };
    let run = shared.own_run(&caller, id).await?;
    let was_cancelled = |state: &Run| matches!(state, Run::Over(_, End::Cancelled { .. }));
    let before = shared.ask(run.stream(), was_cancelled).await?;
    let taken = shared.carry_out(&caller, order, run.stream(), Command::Cancel { reason }).await?;
    let mut answer = json!({"id": id, "version": taken.version});
    if before && !taken.repeated {
        answer["changed"] = Value::Bool(false);
        answer["message"] = Value::from("the run was cancelled already");
    }
    Ok(done(&taken, envelope::ok(answer)))
}

async fn rerun(
    State(shared): State<Arc<Shared>>,
    (caller, order, Named(id)): (Caller, Order, Named<Uuid>),
    Body(request): Body<RerunRequest>,
) -> Answered {
    let by = asked(&caller, request.note);
    act(&shared, &caller, (order, id), Command::Rerun { from: request.from, by }).await
}

async fn migrate(
    State(shared): State<Arc<Shared>>,
    (caller, order, Named(id)): (Caller, Order, Named<Uuid>),
    Body(request): Body<MigrateRequest>,
) -> Answered {
    let run = shared.own_run(&caller, id).await?;
    let definition = shared.ask(run.stream(), |state: &Run| state.run().and_then(definition_of)).await?;
    let definition = definition.ok_or_else(|| {
        ApiError::new(Code::Conflict, "the run is of no registered workflow, so it has no other version")
    })?;
    let by = asked(&caller, request.note);
    let found = move |state: &definition::State| {
        let registered = state.startable(request.version.as_deref())?;
        Ok::<_, definition::Rejection>(Migration::to(definition, &registered.document, by))
    };
    let migration = shared.ask(definition.stream(), found).await?;
    let migration = migration.map_err(|rejection| ApiError::rejected(&rejection))?;
    act(&shared, &caller, (order, id), Command::Migrate(Box::new(migration))).await
}

fn definition_of(run: &nightshift_domain::run::Run) -> Option<DefinitionId> {
    run.created.subject.workflow()?.definition
}

async fn pause(
    State(shared): State<Arc<Shared>>,
    (caller, order, Named(id)): (Caller, Order, Named<Uuid>),
    Body(request): Body<NoteRequest>,
) -> Answered {
    let by = asked(&caller, request.note);
    act(&shared, &caller, (order, id), Command::Pause { by }).await
}

async fn resume(
    State(shared): State<Arc<Shared>>,
    (caller, order, Named(id)): (Caller, Order, Named<Uuid>),
    Body(request): Body<NoteRequest>,
) -> Answered {
    let by = asked(&caller, request.note);
    act(&shared, &caller, (order, id), Command::Resume { by }).await
}

/// Gives an order to a run that the caller may steer.
///
/// # Errors
/// 404: there is none; 403: it passes over a question that the caller may not answer; otherwise as the run says.
pub async fn act(shared: &Shared, caller: &Caller, (order, id): (Order, Uuid), command: Command) -> Answered {
    let run = shared.own_run(caller, id).await?;
    let command = held_to_questions(shared, caller, run, command).await?;
    let taken = shared.carry_out(caller, order, run.stream(), command).await?;
    Ok(done(&taken, envelope::ok(json!({"id": id, "version": taken.version}))))
}

/// The order, held to the questions that the caller may answer. The run itself refuses it when it passes over another one,
/// so a question that is asked in between is not passed over either.
async fn held_to_questions(
    shared: &Shared,
    caller: &Caller,
    run: RunId,
    mut command: Command,
) -> Result<Command, ApiError> {
    let ordered = command.clone();
    if let Command::SkipStep { past, .. } | Command::RetryStep { past, .. } = &mut command {
        let questions = move |state: &Run| {
            state.run().map(|run| (run.created.user.0.clone(), passed_over(run, &ordered))).unwrap_or_default()
        };
        let (user, questions) = shared.ask(run.stream(), questions).await?;
        let may = questions.into_iter().filter(|question| approvals::may_decide(caller, &user, question));
        *past = Some(may.map(|question| question.step).collect());
    }
    Ok(command)
}

/// The step that was named, or the last one of the plan that failed.
async fn named_or_failed(
    shared: &Shared,
    caller: &Caller,
    id: Uuid,
    named: Option<String>,
) -> Result<String, ApiError> {
    let run = shared.own_run(caller, id).await?;
    if let Some(named) = named {
        return Ok(named);
    }
    let failed = shared.ask(run.stream(), |state: &Run| state.run().and_then(last_failed)).await?;
    failed.ok_or_else(|| ApiError::new(Code::Conflict, "no step of the run has failed; name one in stepId"))
}

fn last_failed(run: &nightshift_domain::run::Run) -> Option<String> {
    let steps = run.created.plan.steps.iter().zip(&run.steps);
    let mut failed =
        steps.filter(|(_, step)| matches!(step.status, StepStatus::Dead { .. } | StepStatus::Waiting { .. }));
    failed.next_back().map(|(plan, _)| plan.id.clone())
}

//! `/api/orchestrations`: runs are started, listed and looked at.
//!
//! Owns: the forms of the seed's REST interface. Refuses to know: how a run goes.

use std::sync::Arc;

use axum::{extract::State, http::StatusCode, routing};
use nightshift_projections::table::Row;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    Shared,
    auth::{Caller, Group},
    envelope::{self, Answered, ApiError},
    extract::{Body, Named, Order, Question},
    launch::Wish,
    paging::{self, Listing},
    routes::{Gives, LIMIT, OFFSET, Param, ParamKind, Route, Takes, of},
    rows::{self, shown, without_secrets},
    system::done,
};

const TAG: &str = "orchestrations";

/// Statuses of runs that go on.
const ACTIVE: [&str; 4] = ["pending", "planning", "running", "checkpoint"];
/// Statuses of runs that are over.
const COMPLETED: [&str; 4] = ["completed", "failed", "cancelled", "aborted"];

const LISTED_BY: &[Param] = &[
    Param {
        name: "lifecycle",
        kind: ParamKind::OneOf(&["active", "completed", "all"]),
        about: "Runs that go on (the default), that are over, or both.",
    },
    Param { name: "status", kind: ParamKind::Text, about: "Only runs in this status; it overrides `lifecycle`." },
    Param { name: "definitionId", kind: ParamKind::Id, about: "Only runs of this workflow definition." },
    Param { name: "parentRunId", kind: ParamKind::Id, about: "Only runs that a step of this run started." },
    Param {
        name: "organizationSlug",
        kind: ParamKind::Text,
        about: "Kept for clients of the seed: there is one organization, `global`; another has no runs.",
    },
    Param { name: "search", kind: ParamKind::Text, about: "Only runs with this in id, name or title." },
    Param { name: "startedAfter", kind: ParamKind::Instant, about: "Only runs asked for after this instant." },
    Param { name: "startedBefore", kind: ParamKind::Instant, about: "Only runs asked for before this instant." },
    LIMIT,
    OFFSET,
];

/// The routes.
pub const ROUTES: &[Route] = &[
    Route::get("/api/orchestrations", || routing::get(list))
        .about(TAG, "List runs, newest first.")
        .query(LISTED_BY)
        .gives(Gives::Page("orchestration_runs")),
    Route::post("/api/orchestrations", || routing::post(start))
        .group(Group::Start)
        .about(TAG, "Start a run of a workflow. The same Idempotency-Key starts the same run.")
        .takes(Takes::Json(of::<StartRequest>))
        .gives(Gives::Data(of::<Started>))
        .status(201),
    Route::get("/api/orchestrations/{id}", || routing::get(one))
        .about(TAG, "Get a run.")
        .gives(Gives::Row("orchestration_runs")),
    Route::get("/api/orchestrations/{id}/status", || routing::get(status))
        .about(TAG, "Get a run with its steps, open questions and progress.")
        .gives(Gives::Data(of::<Status>)),
    Route::get("/api/orchestrations/{id}/replay", || routing::get(replay))
        .about(TAG, "Get what a run was made of, to look at or to start it again. Secrets are not shown."),
];

/// A request for a run.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StartRequest {
    /// Owner of the workflow; needed when several have one of that name.
    owner: Option<String>,
    /// Name of the workflow.
    name: String,
    /// Its version; none: the one in force.
    version: Option<String>,
    /// As the workflow declares them.
    #[serde(default)]
    parameters: Value,
    /// Lower goes first; none: the workflow's.
    priority: Option<i16>,
    /// Whose run it is: only admin and operator may name another than themselves.
    user_id: Option<String>,
}

/// A run that was asked for.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Started {
    /// The run.
    id: Uuid,
    /// Owner of its workflow.
    owner: String,
    /// Name of its workflow.
    name: String,
    /// The run's row, when the request waited for it.
    run: Option<Value>,
}

/// How a run stands.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// Its row.
    run: Value,
    /// Rows of its steps, in the plan's order.
    steps: Vec<Value>,
    /// The first step that is under way.
    current_step: Option<Value>,
    /// Rows of questions that are open.
    pending_approvals: Vec<Value>,
    /// In figures.
    summary: Summary,
}

/// A run in figures.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// Steps of the plan.
    total_steps: i64,
    /// Steps that are complete.
    completed_steps: i64,
    /// 0 to 100.
    progress_percentage: i64,
    /// Questions that are open.
    pending_approvals: usize,
}

async fn start(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    order: Order,
    Body(asked): Body<StartRequest>,
) -> Answered {
    let user = caller.on_behalf_of(asked.user_id.as_deref())?;
    let definition = shared.definition(asked.owner.as_deref(), &asked.name, &user.0).await?;
    let wish = Wish {
        version: asked.version,
        parameters: asked.parameters,
        user,
        cause: Value::Null,
        priority: asked.priority,
    };
    let (run, taken) = shared.launch(&caller, order, &definition, wish).await?;
    let row = if order.wait { Some(shown_run(&shared.begun(run).await?)) } else { None };
    let started = Started { id: run.uuid(), owner: definition.owner, name: definition.name, run: row };
    Ok(done(&taken, envelope::said(StatusCode::CREATED, started)))
}

async fn list(State(shared): State<Arc<Shared>>, caller: Caller, question: Question) -> Answered {
    let id = |name: &str| question.id(name).map(|id| id.to_string());
    let mut listing = Listing::own(paging::table("orchestration_runs")?, &caller, "created_at", &question)
        .with("definition_id", id("definitionId"))
        .with("parent_orchestration_run_id", id("parentRunId"))
        .after("created_at", question.instant("startedAfter"))
        .before("created_at", question.instant("startedBefore"))
        .searching(&["id", "orchestration_name", "definition", "title"], question.text("search"));
    listing = match (question.text("status"), question.text("lifecycle").unwrap_or("active")) {
        (Some(status), _) => listing.with("status", Some(status)),
        (None, "active") => listing.with_any("status", &ACTIVE),
        (None, "completed") => listing.with_any("status", &COMPLETED),
        (None, _) => listing,
    };
    if question.text("organizationSlug").is_some_and(|slug| slug != "global") {
        listing = listing.nothing();
    }
    Ok(envelope::ok(listing.page(shared.models()).await?.shown(shown_run)))
}

async fn one(State(shared): State<Arc<Shared>>, caller: Caller, Named(id): Named<Uuid>) -> Answered {
    Ok(envelope::ok(shown_run(&shared.run_row(&caller, id).await?)))
}

async fn status(State(shared): State<Arc<Shared>>, caller: Caller, Named(id): Named<Uuid>) -> Answered {
    let run = shared.run_row(&caller, id).await?;
    let (steps, approvals) = (steps_of(&shared, id).await?, open_questions(&shared, id).await?);
    let under_way = |row: &&Row| ["queued", "running", "checkpoint", "failed"].contains(&rows::text(row, "status"));
    let (total, completed) = figures(&run);
    let summary = Summary {
        total_steps: total,
        completed_steps: completed,
        progress_percentage: percentage(completed, total),
        pending_approvals: approvals.len(),
    };
    Ok(envelope::ok(Status {
        run: shown_run(&run),
        current_step: steps.iter().find(under_way).map(shown_step),
        steps: steps.iter().map(shown_step).collect(),
        pending_approvals: approvals.iter().map(shown).collect(),
        summary,
    }))
}

async fn replay(State(shared): State<Arc<Shared>>, caller: Caller, Named(id): Named<Uuid>) -> Answered {
    let run = shared.run_row(&caller, id).await?;
    let origin = match rows::first(&run, &["definition_id"]) {
        Some(definition) => json!({"type": "saved_orchestration", "id": definition, "slug": run["orchestration_name"]}),
        None => json!({"type": "ad_hoc", "id": run.get("deliverable_id"), "slug": run["orchestration_name"]}),
    };
    let field = |name: &str| run.get(name).cloned().unwrap_or(Value::Null);
    Ok(envelope::ok(without_secrets(&json!({
        "runId": id,
        "organizationSlug": "global",
        "conversationId": null,
        "definition": field("definition"),
        "agent": field("workflow_owner"),
        "parameters": field("parameters"),
        "plan": field("plan"),
        "results": field("results"),
        "metadata": {
            "trigger": field("trigger"),
            "priority": field("priority"),
            "definitionDigest": field("definition_digest"),
            "parentRunId": field("parent_orchestration_run_id"),
            "traceId": field("trace_id"),
        },
        "origin": origin,
        "timestamps": {
            "createdAt": field("created_at"),
            "startedAt": field("started_at"),
            "completedAt": field("completed_at"),
        },
    }))))
}

async fn steps_of(shared: &Shared, run: Uuid) -> Result<Vec<Row>, ApiError> {
    let table = paging::table("orchestration_steps")?;
    let order = vec![("step_index", false), ("step_id", false)];
    Ok(paging::all(shared.models(), table, vec![("run_id", Value::from(run.to_string()))], order).await?)
}

async fn open_questions(shared: &Shared, run: Uuid) -> Result<Vec<Row>, ApiError> {
    let of_run = vec![("run_id", Value::from(run.to_string())), ("status", Value::from("pending"))];
    let table = paging::table("human_approvals")?;
    Ok(paging::all(shared.models(), table, of_run, vec![("requested_at", false)]).await?)
}

/// A run as answers show it: without secrets, with its progress.
pub fn shown_run(row: &Row) -> Value {
    let mut run = without_secrets(&shown(row));
    let (total, completed) = figures(row);
    run["progressPercentage"] = Value::from(percentage(completed, total));
    run
}

fn shown_step(row: &Row) -> Value {
    without_secrets(&shown(row))
}

fn figures(run: &Row) -> (i64, i64) {
    let number = |name: &str| run.get(name).and_then(Value::as_i64).unwrap_or(0);
    (number("total_steps"), number("completed_steps"))
}

/// Whole hundredths, rounded; 0 of nothing.
pub const fn percentage(completed: i64, total: i64) -> i64 {
    if total <= 0 { 0 } else { (completed * 100 + total / 2) / total }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_rounded_to_whole_hundredths() {
        for (completed, total, expected) in [(0, 0, 0), (0, 3, 0), (1, 3, 33), (2, 3, 67), (3, 3, 100), (1, 200, 1)] {
            assert_eq!(percentage(completed, total), expected, "{completed} of {total}");
        }
    }
}

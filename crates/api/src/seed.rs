//! `/functions/v1/orchestrator`: the two functions of the seed system, in its own shapes.
//!
//! Owns: those shapes, errors included: `{error}` without an envelope.
//! Refuses to know: how a run goes. Unlike in the seed, a workflow's name needs no owner where it is the only one, a
//! trigger that is sent twice starts one run, and steps behind the first ones are done.

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
    routing,
};
use nightshift_domain::{
    definition::{State as Definition, event_parameters},
    ids::CommandId,
    run::Part,
    topic::Published,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    Shared,
    auth::{Caller, Group},
    envelope::{self, ApiError},
    extract::{Body, Order},
    launch::{Named, Wish},
    routes::{Gives, Route, Takes, of},
    system::done,
};

const TAG: &str = "seed";
const PREFIX: &str = "/functions/v1/";

/// The routes.
pub const ROUTES: &[Route] = &[
    Route::post("/functions/v1/orchestrator/dispatch", || routing::post(dispatch))
        .group(Group::Start)
        .about(TAG, "Start a run of a workflow by its key. The same trigger_event_id starts it once.")
        .takes(Takes::Json(of::<DispatchRequest>))
        .gives(Gives::Plain(of::<Dispatched>)),
    Route::post("/functions/v1/orchestrator/worker", || routing::post(worker))
        .group(Group::Operate)
        .about(
            TAG,
            "Look for due work now. The daemon leases jobs itself, so none is ever leased to the caller: `leased` is 0, \
             and the message says what is under way. Cron jobs that call it can stay; they are not needed.",
        )
        .query(&[])
        .gives(Gives::Plain(of::<Worked>)),
];

/// Whether an address promises the seed's shapes.
#[must_use]
pub fn is_seed(path: &str) -> bool {
    path.starts_with(PREFIX)
}

/// A refusal in the seed's shape.
#[must_use]
pub fn refusal(error: ApiError) -> Response {
    let message = match error.code {
        envelope::Code::MethodNotAllowed => "Method not allowed".to_owned(),
        _ => error.message,
    };
    let mut response = (error.code.status(), Json(json!({"error": message}))).into_response();
    envelope::finish(&mut response, error.code, error.retry_after_s);
    response
}

/// A handler's refusal in the seed's shape.
struct Seeded(ApiError);

impl IntoResponse for Seeded {
    fn into_response(self) -> Response {
        refusal(self.0)
    }
}

impl From<ApiError> for Seeded {
    fn from(error: ApiError) -> Self {
        Self(error)
    }
}

/// A request for a run.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct DispatchRequest {
    /// Whose run it is: the caller, or anybody for admin and operator.
    user_id: String,
    /// Name of the workflow, `owner/name` where several owners have one.
    workflow_key: String,
    /// An id of the outside, kept for people.
    #[serde(default)]
    intent_id: Option<Value>,
    /// What caused it; any text. The same one again is the same run.
    #[serde(default)]
    trigger_event_id: Option<Value>,
    /// Seen by steps as `trigger.payload`; its fields that are named like parameters are parameters.
    #[serde(default)]
    payload: Value,
}

/// A run that was started.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Dispatched {
    /// The run.
    workflow_run_id: Uuid,
    /// `dispatched`.
    status: &'static str,
    /// Steps that could go at once.
    steps_enqueued: usize,
    /// As asked.
    workflow_key: String,
}

/// What a look for work found.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Worked {
    /// Always 0: jobs are leased by the daemon.
    leased: usize,
    /// What is under way.
    message: String,
}

async fn dispatch(
    State(shared): State<Arc<Shared>>,
    caller: Result<Caller, ApiError>,
    order: Result<Order, ApiError>,
    body: Result<Body<DispatchRequest>, ApiError>,
) -> Result<Response, Seeded> {
    let (caller, mut order, Body(asked)) = (caller?, order?, body?);
    let said: Vec<&str> = [("user_id", &asked.user_id), ("workflow_key", &asked.workflow_key)]
        .iter()
        .filter(|(_, value)| value.trim().is_empty())
        .map(|(name, _)| *name)
        .collect();
    if !said.is_empty() {
        return Err(ApiError::field(said.join(", "), "must not be empty").into());
    }
    let user = caller.on_behalf_of(Some(&asked.user_id))?;
    let trigger = asked.trigger_event_id.filter(|trigger| !trigger.is_null());
    if let Some(trigger) = &trigger {
        let route = format!("dispatch {}", asked.workflow_key);
        order.id = CommandId::of_client(&user.0, &route, &trigger.to_string());
        // Here the trigger names the run, whatever else is said.
        order.request = None;
    }
    let (owner, name) = match asked.workflow_key.split_once('/') {
        Some((owner, name)) => (Some(owner), name),
        None => (None, asked.workflow_key.as_str()),
    };
    let definition = shared.definition(owner, name, &user.0).await?;
    let (roots, steps, parameters) = graph(&shared, &definition, &asked.payload).await?;
    let intent = asked.intent_id.filter(|intent| !intent.is_null());
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let (trigger, intent) = (trigger.as_ref().map(text), intent.as_ref().map(text));
    // The view `workflow_runs` shows both from where an event has them.
    let event = json!({"id": trigger, "intent_id": intent});
    let cause = json!({"payload": asked.payload, "trigger_event_id": trigger, "intent_id": intent, "event": event});
    let wish = Wish { version: None, parameters, user: user.clone(), cause, priority: None };
    let (run, taken) = shared.launch(&caller, order, &definition, wish).await?;
    let event = Published {
        id: run.to_string(),
        user,
        correlation: None,
        intent_id: intent,
        payload: json!({"workflow_run_id": run, "steps_count": steps, "workflow_spec": asked.workflow_key}),
    };
    let event_type = format!("workflow_dispatched:{}", asked.workflow_key);
    shared.publish(&event_type, event, &caller.actor()).await?;
    if order.wait {
        shared.begun(run).await?;
    }
    let answer = Dispatched {
        workflow_run_id: run.uuid(),
        status: "dispatched",
        steps_enqueued: roots,
        workflow_key: asked.workflow_key,
    };
    Ok(done(&taken, Json(answer).into_response()))
}

/// Steps that go at once, steps in all, and the parameters that a payload gives.
async fn graph(shared: &Shared, definition: &Named, payload: &Value) -> Result<(usize, usize, Value), ApiError> {
    let event = json!({"payload": payload});
    let found = move |state: &Definition| {
        let document = &state.in_force()?.document;
        let first =
            |step: &&nightshift_domain::run::StepPlan| step.depends_on.is_empty() && step.flow.part == Part::Main;
        let roots = document.plan.steps.iter().filter(first).count();
        // Without a template nothing is made that could be too large.
        let parameters = event_parameters(&document.parameters, &Value::Null, &event).unwrap_or_default();
        Some((roots, document.plan.steps.len(), parameters))
    };
    let found = shared.ask(definition.id.stream(), found).await?;
    found.ok_or_else(|| ApiError::not_found(format!("workflow {:?} that is in force", definition.name)))
}

async fn worker(State(shared): State<Arc<Shared>>, caller: Result<Caller, ApiError>) -> Result<Response, Seeded> {
    caller?;
    shared.system.context().clock.look().await;
    let queue = shared.system.queue().await;
    let message = match (queue.waiting.len(), queue.taken) {
        (0, 0) => "No jobs available".to_owned(),
        (waiting, taken) => format!("{taken} under way, {waiting} waiting; the daemon leases jobs itself"),
    };
    Ok(Json(Worked { leased: 0, message }).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shapes_are_those_of_the_seed() {
        let dispatched = Dispatched {
            workflow_run_id: Uuid::nil(),
            status: "dispatched",
            steps_enqueued: 1,
            workflow_key: "k".into(),
        };
        let written = json!({
            "workflow_run_id": Uuid::nil(), "status": "dispatched", "steps_enqueued": 1, "workflow_key": "k",
        });
        assert_eq!(json!(dispatched), written);
        let idle = Worked { leased: 0, message: "No jobs available".into() };
        assert_eq!(json!(idle), json!({"leased": 0, "message": "No jobs available"}));
        assert!(is_seed("/functions/v1/orchestrator/dispatch") && !is_seed("/api/orchestrations"));
    }
}

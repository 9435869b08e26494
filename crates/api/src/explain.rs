//! Why a run stands where it stands.
//!
//! Owns: the words for each state of a step, from rows of read models and the queue.
//! Refuses to know: HTTP. No state is without an answer.

use nightshift_actors::queue::QueueView;
use nightshift_projections::table::Row;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use crate::rows::text;

/// What a run waits for.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Explanation {
    /// The run.
    run_id: String,
    /// Its status.
    status: String,
    /// What holds it, in the order in which it will be released.
    gates: Vec<Gate>,
}

/// One thing that holds a step, or the run.
#[derive(Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Gate {
    /// The step; none: the run as a whole.
    step_id: Option<String>,
    /// What holds it: `paused`, `approval`, `queue`, `limit`, `attempt`, `retry`, `wait`, `dependencies`, `dead`, `over`.
    gate: String,
    /// In words.
    what: String,
    /// Place among those that wait, from 1.
    position: Option<usize>,
    /// Since when.
    since: Option<String>,
    /// What releases it.
    released_by: String,
}

impl Gate {
    fn new(step: Option<&str>, gate: &str, what: impl Into<String>, released_by: impl Into<String>) -> Self {
        Self {
            step_id: step.map(str::to_owned),
            gate: gate.to_owned(),
            what: what.into(),
            position: None,
            since: None,
            released_by: released_by.into(),
        }
    }

    fn since(mut self, row: &Row, column: &str) -> Self {
        self.since = Some(text(row, column).to_owned()).filter(|at| !at.is_empty());
        self
    }
}

/// Explains a run by its rows and the queue.
#[must_use]
pub fn explain(run: &Row, steps: &[Row], approvals: &[Row], queue: &QueueView) -> Explanation {
    let status = text(run, "status");
    let mut gates = Vec::new();
    if !text(run, "pause_note").is_empty() {
        let what = format!("the run is paused: {}", text(run, "pause_note"));
        gates.push(Gate::new(None, "paused", what, "POST .../actions/resume"));
    }
    gates.extend(approvals.iter().map(asking));
    let over = matches!(status, "completed" | "failed" | "cancelled" | "aborted");
    gates.extend(steps.iter().filter_map(|step| gate_of(run, step, steps, queue)).filter(|gate| {
        // A run that is over waits for nothing; what keeps it from having succeeded is still told.
        !over || gate.gate == "dead"
    }));
    if over {
        let released = if status == "completed" { "nothing: it is done" } else { "POST .../actions/retry or /rerun" };
        gates.push(Gate::new(None, "over", format!("the run is {status}"), released).since(run, "completed_at"));
    }
    if gates.is_empty() {
        let what = format!("the run is {status} and nothing holds it: it moves at this moment");
        gates.push(Gate::new(None, "none", what, "the next event; look again"));
    }
    Explanation { run_id: text(run, "id").to_owned(), status: status.to_owned(), gates }
}

fn asking(approval: &Row) -> Gate {
    let whom = ["assignee", "group_name"].map(|name| text(approval, name)).into_iter().find(|name| !name.is_empty());
    let whom = whom.unwrap_or("whoever may");
    let what = format!("{whom} is asked: {}", text(approval, "question"));
    let deadline = text(approval, "deadline_at");
    let or = if deadline.is_empty() { String::new() } else { format!(", or its deadline at {deadline}") };
    let released = format!("POST /api/orchestrations/approvals/{}/decision{or}", text(approval, "id"));
    Gate::new(Some(text(approval, "step_id")), "approval", what, released).since(approval, "requested_at")
}

fn gate_of(run: &Row, step: &Row, steps: &[Row], queue: &QueueView) -> Option<Gate> {
    let id = text(step, "step_id");
    let waits = step.get("waits_for").filter(|on| !on.is_null());
    Some(match text(step, "status") {
        "completed" | "skipped" | "checkpoint" => return None,
        "queued" => queued(run, step, queue),
        "running" if let Some(on) = waits => {
            Gate::new(Some(id), "wait", format!("it waits: {on}"), released_by_wait(on)).since(step, "started_at")
        }
        "running" => {
            let what = format!("attempt {} is under way at {}", step["attempt_number"], text(step, "worker"));
            Gate::new(Some(id), "attempt", what, "its result, its time-out, or the end of its lease")
                .since(step, "started_at")
        }
        "failed" => {
            let what = format!("attempt {} failed: {}", step["attempt_number"], failure(step));
            Gate::new(Some(id), "retry", what, format!("the clock at {}", text(step, "next_retry_at")))
        }
        "dead" => Gate::new(
            Some(id),
            "dead",
            format!("its last attempt failed: {}", failure(step)),
            "POST .../actions/retry or /skip",
        )
        .since(step, "completed_at"),
        _ => {
            let open = open_dependencies(step, steps);
            let what = if open.is_empty() {
                "it may go and waits for a place in its run".to_owned()
            } else {
                format!("it waits for {}", open.join(", "))
            };
            Gate::new(Some(id), "dependencies", what, "the end of those steps")
        }
    })
}

fn queued(run: &Row, step: &Row, queue: &QueueView) -> Gate {
    let (run, id) = (text(run, "id"), text(step, "step_id"));
    let place = queue.waiting.iter().position(|at| at.job.run.to_string() == run && at.job.step == id);
    let held = place.and_then(|place| queue.waiting[place].held_by.as_ref());
    let places = format!("{} of {} places are taken", queue.taken, queue.places);
    let mut gate = match (place, held) {
        (Some(_), Some(limit)) => {
            Gate::new(Some(id), "limit", format!("the limit {limit} holds it back"), "the limit, when it has room")
        }
        (Some(place), None) => {
            let what = format!("{place} go before it; {places}");
            Gate::new(Some(id), "queue", what, "a free place")
        }
        (None, _) => Gate::new(Some(id), "queue", format!("it is being given a place; {places}"), "the queue, now"),
    };
    gate.position = place.map(|place| place + 1);
    gate.since(step, "queued_at")
}

fn released_by_wait(on: &Value) -> String {
    let kind = on.as_object().and_then(|fields| fields.keys().next()).map_or("", String::as_str);
    match kind {
        "until" => "the clock".to_owned(),
        "event" => "POST /api/events with that type, or its deadline".to_owned(),
        "child" => "the end of the other run".to_owned(),
        _ => "what it waits for".to_owned(),
    }
}

fn failure(step: &Row) -> String {
    let error = step.get("error_details").unwrap_or(&Value::Null);
    let said = |name: &str| error.get(name).and_then(Value::as_str).unwrap_or_default();
    format!("{} ({})", said("message"), said("class"))
}

fn open_dependencies(step: &Row, steps: &[Row]) -> Vec<String> {
    let wanted = step.get("depends_on").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    let state =
        |id: &str| steps.iter().find(|step| text(step, "step_id") == id).map_or("", |step| text(step, "status"));
    let open = wanted.filter(|id| !matches!(state(id), "completed" | "skipped"));
    open.map(|id| format!("{id} ({})", state(id))).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn row(value: Value) -> Row {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn every_status_of_a_step_has_an_answer() {
        let run = row(json!({"id": "r", "status": "running"}));
        for (step, gate) in [
            (json!({"step_id": "a", "status": "pending", "depends_on": ["b"]}), Some("dependencies")),
            (json!({"step_id": "a", "status": "queued", "queued_at": "t"}), Some("queue")),
            (json!({"step_id": "a", "status": "running", "attempt_number": 2, "worker": "w"}), Some("attempt")),
            (json!({"step_id": "a", "status": "running", "waits_for": {"event": {}}}), Some("wait")),
            (json!({"step_id": "a", "status": "failed", "attempt_number": 1, "next_retry_at": "t"}), Some("retry")),
            (json!({"step_id": "a", "status": "dead", "error_details": {"message": "no"}}), Some("dead")),
            (json!({"step_id": "a", "status": "something new"}), Some("dependencies")),
            (json!({"step_id": "a", "status": "completed"}), None),
        ] {
            let steps = [row(step.clone()), row(json!({"step_id": "b", "status": "running"}))];
            let found = gate_of(&run, &steps[0], &steps, &QueueView::default());
            assert_eq!(found.as_ref().map(|gate| gate.gate.as_str()), gate, "{step}");
            assert!(found.is_none_or(|gate| !gate.what.is_empty() && !gate.released_by.is_empty()));
        }
        let none = explain(&run, &[], &[], &QueueView::default());
        assert_eq!(none.gates.len(), 1, "no state is without an answer");
    }

    #[test]
    fn a_run_that_is_over_tells_what_killed_it_and_what_opens_it_again() {
        let run = row(json!({"id": "r", "status": "failed", "completed_at": "2026-01-31T08:00:00Z"}));
        let steps = [
            row(
                json!({"step_id": "a", "status": "dead", "error_details": {"message": "no route", "class": "transient"}}),
            ),
            row(json!({"step_id": "b", "status": "pending", "depends_on": ["a"]})),
        ];
        let told = explain(&run, &steps, &[], &QueueView::default());
        let gates: Vec<(&str, &str)> = told.gates.iter().map(|gate| (gate.gate.as_str(), gate.what.as_str())).collect();
        assert_eq!(gates, [("dead", "its last attempt failed: no route (transient)"), ("over", "the run is failed")]);
    }
}

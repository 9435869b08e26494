//! What agents, webhooks and clients of the systems before this one see, held against their own words in `tests/shapes`.
//!
//! Owns: that each recorded shape is met by a real daemon. What is said of agents among each other (`a2a_*`, stream chunks) is
//! not there yet.

use std::time::Duration;

use nightshift_tests::{
    daemon::Daemon,
    eventually,
    http::{Answer, Asked, Web, ask},
    repo_root,
    world::{Node, World},
};
use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_secs(60);

fn recorded(name: &str) -> Value {
    let text = std::fs::read_to_string(repo_root().join("tests/shapes").join(name)).expect("a recorded shape");
    serde_json::from_str(&text).expect("JSON")
}

/// Whatever `wanted` has, `found` has as well, of the same kind. `<uuid>` and the like stand for any text.
#[track_caller]
fn assert_shape(wanted: &Value, found: &Value, path: &str) {
    match (wanted, found) {
        (Value::Object(fields), _) => {
            for (name, wanted) in fields {
                let found = found.get(name).unwrap_or_else(|| panic!("{path}.{name} is missing in {found:#}"));
                assert_shape(wanted, found, &format!("{path}.{name}"));
            }
        }
        (Value::Array(wanted), Value::Array(found)) => {
            wanted.iter().zip(found).for_each(|(wanted, found)| assert_shape(wanted, found, path));
        }
        (Value::Null, _)
        | (Value::String(_), Value::String(_))
        | (Value::Number(_), Value::Number(_))
        | (Value::Bool(_), Value::Bool(_)) => {}
        _ => panic!("{path}: {found}, not like {wanted}"),
    }
}

fn good(_: &Asked, _: usize) -> Answer {
    Answer::new(200, r#"{"ok": true}"#).with("content-type", "application/json")
}

struct Client {
    address: String,
    bearer: String,
}

impl Client {
    fn of(node: &Node, daemon: &mut Daemon) -> Self {
        // Its address is there when it is ready, and so is its token.
        let address = daemon.address();
        let token = std::fs::read_to_string(node.data_dir.join("control.token")).expect("the daemon's token");
        Self { address, bearer: format!("Bearer {token}") }
    }

    fn send(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let headers = [("authorization", self.bearer.as_str()), ("content-type", "application/json")];
        let (status, _, answer) = ask(&self.address, (method, path), &headers, &body.to_string()).expect("answered");
        (status, serde_json::from_str(&answer).unwrap_or(Value::String(answer)))
    }
}

#[test]
fn the_functions_of_the_orchestrator_keep_their_shapes() {
    let world = World::sqlite();
    let agents = Web::start(good);
    let node = world.node.clone().with("workflows.base_url", agents.url("")).with_env("EDGE_SERVICE_JWT", "service");
    let file = repo_root().join("tests/workflows/daily_instructor_v1.yml").display().to_string();
    let _ = node.run(&["workflow", "register", &file]).ok();
    let mut daemon = node.serve();
    let client = Client::of(&node, &mut daemon);
    let shapes = recorded("orchestrator.json");
    let dispatch = "/functions/v1/orchestrator/dispatch";

    let (status, answer) = client.send("POST", dispatch, &shapes["dispatch_request"]);
    assert_eq!(status, 200, "{answer}");
    assert_shape(&shapes["dispatch_response_200"], &answer, "dispatch");
    assert_eq!((&answer["status"], &answer["steps_enqueued"]), (&json!("dispatched"), &json!(1)));
    let (status, refused) = client.send("GET", dispatch, &json!({}));
    assert_eq!((u64::from(status), &refused), (405, &shapes["dispatch_errors"][0]["body"]));
    assert_eq!(client.send("POST", dispatch, &json!({"user_id": "u"})).0, 400);
    assert_eq!(client.send("POST", dispatch, &json!({"user_id": "u", "workflow_key": "nothing"})).0, 404);

    let run = answer["workflow_run_id"].as_str().expect("an id").to_owned();
    eventually("every step is done", LIMIT, || (agents.exchanges().len() == 3).then_some(()));
    let asked: Vec<Asked> = agents.exchanges().into_iter().map(|(asked, _)| asked).collect();
    for asked in &asked {
        assert_eq!(asked.header("authorization"), "Bearer service");
        assert!(!asked.header("x-idempotency-key").is_empty());
        assert!(asked.method == "GET" || asked.header("content-type") == "application/json");
    }
    let told = node.rows(&["event", "list", "--type", "workflow_dispatched:daily_instructor_v1"]);
    assert_shape(&shapes["intent_event_on_dispatch"]["payload"], &told[0]["payload"], "event");
    assert_eq!(told[0]["payload"]["workflow_run_id"], run);
    eventually("nothing is under way", LIMIT, || {
        let idle = client.send("POST", "/functions/v1/orchestrator/worker", &json!({})).1;
        (idle == shapes["worker_response_idle"]).then_some(())
    });
    daemon.stop();
}

const FLOW: &str = "name: told\nsteps:\n  - {id: one, call: /agents/one}\n  \
    - {id: two, call: /agents/two, depends_on: one, checkpoint_after: {question: \"Use these rows?\"}}\n";

#[test]
fn webhooks_decisions_and_metrics_keep_their_shapes() {
    let world = World::sqlite();
    let (agents, hook) = (Web::start(good), Web::start(|_, _| Answer::new(200, "")));
    let node = world.node.clone().with("workflows.base_url", agents.url(""));
    let node =
        node.with("workflows.progress_webhook", hook.url("/p")).with("workflows.checkpoint_webhook", hook.url("/c"));
    let file = world.write("flow.yml", FLOW);
    let _ = node.run(&["workflow", "register", &file]).ok();
    let mut daemon = node.serve();
    let client = Client::of(&node, &mut daemon);
    let shapes = recorded("messages.json");
    let names: Vec<&str> = shapes["event_types"].as_array().expect("names").iter().filter_map(Value::as_str).collect();

    let (_, started) = client.send("POST", "/api/orchestrations", &json!({"name": "told"}));
    assert_shape(&shapes["rest_envelope"][0], &started, "envelope");
    let (status, refused) = client.send("POST", "/api/orchestrations", &json!({"name": "nothing"}));
    assert_eq!(status, 404);
    assert_shape(&shapes["rest_envelope"][1], &refused, "envelope");
    assert_eq!(refused["error"]["code"], shapes["rest_envelope"][1]["error"]["code"]);

    let waiting = eventually("it is asked", LIMIT, || {
        node.rows(&["approval", "list"]).first().map(|row| row["id"].as_str().unwrap_or_default().to_owned())
    });
    let mut decision = shapes["approval_decision_body"].clone();
    decision["decision"] = json!("continue");
    let (status, decided) =
        client.send("POST", &format!("/api/orchestrations/approvals/{waiting}/decision"), &decision);
    assert!(status == 200 || decided["error"]["code"] == "CONFLICT", "the form is known: {decided}");
    if status != 200 {
        let _ = node.run(&["approve", &waiting]).ok();
    }
    let told = eventually("the end is told", LIMIT, || {
        let told: Vec<Value> =
            hook.exchanges().iter().filter_map(|(asked, _)| serde_json::from_str(&asked.body).ok()).collect();
        told.iter().any(|message| message["event"] == "orchestration.run.completed").then_some(told)
    });
    let one = |event: &str| told.iter().find(|message| message["event"] == event).unwrap_or_else(|| panic!("{event}"));
    assert_shape(&shapes["webhook_progress"], one("orchestration.step.completed"), "progress");
    assert_shape(&shapes["webhook_checkpoint"], one("orchestration.checkpoint.requested"), "checkpoint");
    for message in &told {
        assert!(names.contains(&message["event"].as_str().unwrap_or_default()), "{message}");
    }
    let reasons: Vec<&str> = told.iter().filter_map(|message| message["data"]["payload"]["reason"].as_str()).collect();
    for reason in ["execution_started", "step_running", "step_completed"] {
        assert!(shapes["run_updated_reasons"].as_array().expect("reasons").contains(&json!(reason)));
        assert!(reasons.contains(&reason), "{reason}: {reasons:?}");
    }

    let (_, metrics) = daemon.get("/metrics");
    for expected in shapes["metrics_expected"].as_array().expect("metrics") {
        let name = expected.as_str().and_then(|text| text.split('{').next()).expect("a name");
        assert!(metrics.contains(&format!("# TYPE {name} ")), "{name}");
    }
    for (name, bounds) in shapes["histogram_buckets"].as_object().expect("buckets") {
        let bucket = format!("{name}_bucket{{");
        let line = |bound: &Value| format!("le=\"{}\"", bound.as_f64().expect("a bound"));
        for bound in bounds.as_array().expect("bounds") {
            let wanted = line(bound);
            let found = metrics.lines().any(|it| it.starts_with(&bucket) && it.contains(&wanted));
            assert!(found, "{name} {wanted}");
        }
    }
    let run = started["data"]["id"].as_str().expect("an id");
    for (action, body) in shapes["recovery_bodies"].as_object().expect("bodies") {
        let mut body = body.clone();
        if body.get("stepRecordId").is_some() {
            body["stepRecordId"] = json!("one");
        }
        let (status, refused) = client.send("POST", &format!("/api/orchestrations/{run}/actions/{action}"), &body);
        assert_eq!(status, 409, "the form is known, and the run is over: {action}: {refused}");
    }
    daemon.stop();
}

//! What starts runs over HTTP: events, webhooks, the functions of the seed, schedules.

mod support;

use std::sync::Arc;

use async_trait::async_trait;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use nightshift_api::{Options, Secrets};
use nightshift_ports::clock::Clock as _;
use ring::hmac;
use serde_json::{Value, json};
use support::{Stage, TWO_STEPS, auth};

/// The order of things is certain once nothing is under way and the read models show it.
async fn settled(stage: &Stage) {
    stage.system.settled().await;
}

#[tokio::test]
async fn an_event_is_published_once_and_starts_what_waits_for_it() {
    let stage = Stage::new().await;
    let triggered = TWO_STEPS.replace("steps:", "triggers:\n  - {event: order_placed}\nsteps:");
    // As the command line does it: for everybody.
    let bearer = format!("Bearer {}", support::CONTROL);
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/yaml")];
    assert_eq!(stage.send(("POST", "/api/workflows?wait=position"), &headers, &triggered).await.status, 201);
    settled(&stage).await;
    let event = json!({"id": "e1", "type": "order_placed", "payload": {"topic": "shoes"}});
    for (n, repeated) in [(1, false), (2, true)] {
        let answer = stage.post("ns_agent", "/api/events?wait=position", &event).await;
        assert_eq!(answer.status, 202, "{}", answer.body);
        assert_eq!(answer.headers.contains_key("idempotent-replayed"), repeated, "time {n}");
    }
    settled(&stage).await;
    let runs = stage.get("ns_agent", "/api/orchestrations?lifecycle=all").await.data();
    assert_eq!((runs["total"].as_u64(), runs["items"][0]["parameters"]["topic"].as_str()), (Some(1), Some("shoes")));
    // The private event of another user than the definition's starts nothing.
    let stage = Stage::new().await;
    stage.register(&triggered).await;
    assert_eq!(stage.post("ns_agent", "/api/events?wait=position", &event).await.status, 202);
    settled(&stage).await;
    assert_eq!(stage.get("ns_operator", "/api/orchestrations?lifecycle=all").await.data()["total"], 0);
    assert_eq!(stage.get("ns_agent", "/api/events?type=order_placed").await.data()["total"], 1);
    for (wrong, path) in [
        (json!({"type": ""}), "type"),
        (json!({"type": "webhook:paid"}), "type"),
        (json!({"type": "a", "id": ""}), "id"),
    ] {
        let answer = stage.post("ns_agent", "/api/events", &wrong).await;
        assert_eq!(answer.refusal(), (400, "BAD_REQUEST".to_owned()), "{wrong}");
        assert_eq!(answer.json()["error"]["details"]["fields"][0]["path"], path);
    }
}

struct Known;

#[async_trait]
impl Secrets for Known {
    async fn resolve(&self, reference: &str) -> Result<Vec<u8>, String> {
        if reference == "env:HOOK" {
            Ok(b"whsec_c2VjcmV0LXNlY3JldC1zZWNyZXQ=".to_vec())
        } else {
            Err("none".to_owned())
        }
    }
}

#[tokio::test]
async fn a_webhook_is_verified_then_stored_then_acted_on_once() {
    let stage = Stage::with(Options { auth: auth(), secrets: Arc::new(Known), ..Options::default() }).await;
    let hook =
        "triggers:\n  - {webhook: paid, secret: 'env:HOOK', parameters: {topic: '{{ event.payload.what }}'}}\nsteps:";
    stage.register(&TWO_STEPS.replace("steps:", hook)).await;
    let body = json!({"what": "shoes"}).to_string();
    let at = (stage.clock.now().micros() / 1_000_000).to_string();
    let key = hmac::Key::new(hmac::HMAC_SHA256, b"secret-secret-secret");
    let tag = hmac::sign(&key, format!("m1.{at}.{body}").as_bytes());
    let signature = format!("v1,{}", STANDARD.encode(tag.as_ref()));
    let send = async |id: &str, signature: &str, path: &str| {
        let headers = [("webhook-id", id), ("webhook-timestamp", at.as_str()), ("webhook-signature", signature)];
        stage.send(("POST", path), &headers, &body).await
    };
    assert_eq!(send("m1", &signature, "/api/hooks/nothing").await.status, 404);
    assert_eq!(send("m2", &signature, "/api/hooks/paid").await.status, 401, "signed for another id");
    assert_eq!(stage.post("", "/api/hooks/paid", &json!({})).await.status, 400, "not signed at all");
    settled(&stage).await;
    assert_eq!(stage.get("ns_operator", "/api/events").await.data()["total"], 0, "nothing of those is kept");
    for repeated in [false, true] {
        let answer = send("m1", &signature, "/api/hooks/paid").await;
        assert_eq!(answer.status, 202, "{}", answer.body);
        assert_eq!(answer.headers.contains_key("idempotent-replayed"), repeated);
    }
    settled(&stage).await;
    let runs = stage.get("ns_operator", "/api/orchestrations?lifecycle=all").await.data();
    assert_eq!((runs["total"].as_u64(), runs["items"][0]["parameters"]["topic"].as_str()), (Some(1), Some("shoes")));
    assert_eq!(runs["items"][0]["userId"], "operator", "whoever registered it");
    assert_eq!(stage.get("ns_operator", "/api/events?type=webhook:paid").await.data()["total"], 1);
}

/// The seed started scheduled workflows never (a text in a column of ids), and twice in an hour where it started them.
#[tokio::test]
async fn defect_4_7_5_a_dispatch_with_any_text_as_trigger_starts_one_run_for_it() {
    let stage = Stage::new().await;
    stage.register(TWO_STEPS).await;
    let dispatch = async |trigger: Value| {
        let body = json!({
            "user_id": "5f0c7d0e-0000-4000-8000-000000000001", "workflow_key": "daily", "intent_id": "intent-1",
            "trigger_event_id": trigger, "payload": {"topic": "shoes", "test": true},
        });
        let path = "/functions/v1/orchestrator/dispatch";
        let answer = stage.post("ns_operator", path, &body).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.json()
    };
    let first = dispatch(json!("cron_1772438400")).await;
    assert_eq!(
        (first["status"].as_str(), first["steps_enqueued"].as_u64(), first["workflow_key"].as_str()),
        (Some("dispatched"), Some(1), Some("daily"))
    );
    assert_eq!(dispatch(json!("cron_1772438400")).await, first);
    assert_ne!(dispatch(Value::Null).await["workflow_run_id"], first["workflow_run_id"]);
    settled(&stage).await;
    let runs = stage.get("ns_operator", "/api/orchestrations?lifecycle=completed").await.data();
    assert_eq!(runs["total"], 2, "every step of both is done: {runs}");
    let run = runs["items"].as_array().unwrap().iter().find(|run| run["id"] == first["workflow_run_id"]).unwrap();
    assert_eq!(
        (run["userId"].as_str(), run["parameters"]["topic"].as_str()),
        (Some("5f0c7d0e-0000-4000-8000-000000000001"), Some("shoes"))
    );
    // Where the view `workflow_runs` looks for both.
    assert_eq!(run["trigger"]["event"], json!({"id": "cron_1772438400", "intent_id": "intent-1"}));
    let told = stage.get("ns_operator", "/api/events?type=workflow_dispatched:daily").await.data();
    assert_eq!(told["total"], 2);
    let told = &told["items"].as_array().unwrap().iter().find(|event| event["eventId"] == first["workflow_run_id"]);
    assert_eq!(
        told.unwrap()["payload"],
        json!({
            "workflow_run_id": first["workflow_run_id"], "steps_count": 2, "workflow_spec": "daily",
        })
    );
    let worked = stage.post("ns_operator", "/functions/v1/orchestrator/worker", &json!({})).await;
    assert_eq!(worked.json(), json!({"leased": 0, "message": "No jobs available"}));
}

#[tokio::test]
async fn a_schedule_of_a_workflow_is_paused_resumed_and_triggered() {
    let stage = Stage::new().await;
    let timed = "triggers:\n  - {cron: '0 9 * * *', timezone: UTC}\nsteps:";
    stage.register(&TWO_STEPS.replace("steps:", timed)).await;
    settled(&stage).await;
    let listed = stage.get("ns_operator", "/api/schedules?status=active").await.data();
    assert_eq!(listed["total"], 1, "{listed}");
    let id = listed["items"][0]["id"].as_str().unwrap().to_owned();
    let act = async |action: &str, key: &str| {
        let headers = [("x-api-key", "ns_operator"), ("idempotency-key", key)];
        let answer = stage.send(("POST", &format!("/api/schedules/{id}/{action}?wait=position")), &headers, "{}").await;
        assert_eq!(answer.status, 200, "{action}: {}", answer.body);
    };
    act("pause", "1").await;
    assert_eq!(stage.get("ns_operator", &format!("/api/schedules/{id}")).await.data()["status"], "paused");
    act("resume", "2").await;
    assert_eq!(stage.get("ns_operator", &format!("/api/schedules/{id}")).await.data()["status"], "active");
    act("trigger", "3").await;
    act("trigger", "3").await;
    settled(&stage).await;
    assert_eq!(stage.get("ns_operator", "/api/orchestrations?lifecycle=all").await.data()["total"], 1);
    assert_eq!(stage.post("ns_agent", &format!("/api/schedules/{id}/pause"), &json!({})).await.status, 403);
    let path = format!("/api/schedules/{id}/backfill");
    let wrong = json!({"from": "2026-02-28T00:00:00Z", "upto": "yesterday"});
    assert_eq!(stage.post("ns_operator", &path, &wrong).await.status, 400);
    let range = json!({"from": "2026-02-28T00:00:00Z", "upto": "2026-03-01T23:59:00Z"});
    assert_eq!(stage.post("ns_operator", &path, &range).await.status, 200);
    settled(&stage).await;
    let runs = stage.get("ns_operator", "/api/orchestrations?lifecycle=all").await.data();
    assert_eq!(runs["total"], 3, "two mornings: {runs}");
}

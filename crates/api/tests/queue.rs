//! Limits and pauses over HTTP: who may, what counts, and what explains a step that is held back.

mod support;

use serde_json::{Value, json};
use support::Stage;

const SLOW: &str = "name: slow\nsteps:\n  - {id: one, call: /agents/one, queue: slow}\n";

async fn put(stage: &Stage, key: &str, path: &str, body: Value) -> support::Answer {
    stage.ask(key, ("PUT", path), &body.to_string()).await
}

fn line<'v>(lines: &'v Value, key: &str) -> &'v Value {
    let lines = lines.as_array().unwrap();
    lines.iter().find(|line| line["key"] == key).unwrap_or_else(|| panic!("{key}: {lines:#?}"))
}

#[tokio::test]
async fn only_who_runs_the_system_sets_limits_and_pauses_queues() {
    let stage = Stage::new().await;
    for key in ["ns_agent", "ns_reader"] {
        assert_eq!(stage.get(key, "/api/limits").await.status, 403);
        assert_eq!(put(&stage, key, "/api/limits/concurrency", json!({"places": 1})).await.status, 403);
        assert_eq!(stage.post(key, "/api/queues/pause", &json!({})).await.status, 403);
    }
    for (path, body, status) in [
        ("/api/limits/nonsense", json!({"places": 1}), 400),
        ("/api/limits/queue:slow", json!({"places": 0}), 400),
        ("/api/limits/queue:slow", json!({"capacity": 2}), 400),
        ("/api/limits/queue:slow", json!({}), 400),
        ("/api/limits/global:agent:w", json!({"capacity": 2, "refillPerS": -1}), 400),
        ("/api/limits/global:agent:w", json!({"capacity": 2, "refillPerS": 0.5, "note": "busy"}), 200),
        ("/api/limits/queue:slow", json!({"places": 3}), 200),
    ] {
        let answer = put(&stage, "ns_operator", path, body.clone()).await;
        assert_eq!(answer.status, status, "{path} {body}: {}", answer.body);
    }
    let lines = stage.get("ns_operator", "/api/limits").await.data();
    let agent = line(&lines, "global:agent:w");
    assert_eq!((agent["capacity"].as_f64(), agent["refillPerS"].as_f64()), (Some(2.0), Some(0.5)));
    assert_eq!((agent["note"].as_str(), agent["source"].as_str()), (Some("busy"), Some("set")));
    assert_eq!(line(&lines, "concurrency")["source"], "default");
    let clear = async || stage.post("ns_operator", "/api/limits/queue:slow/clear", &json!({})).await.status;
    assert_eq!((clear().await, clear().await), (200, 409));
}

#[tokio::test]
async fn a_paused_queue_is_shown_explained_and_resumed() {
    let stage = Stage::new().await;
    stage.register(SLOW).await;
    let pause = stage.post("ns_operator", "/api/queues/slow/pause", &json!({"note": "repair"})).await;
    assert_eq!(pause.status, 200, "{}", pause.body);
    let run = stage.start(&json!({"name": "slow"})).await;
    stage.system.settled().await;
    let why = stage.get("ns_agent", &format!("/api/jobs/{run}/one/explain")).await.data();
    let gate = &why["gates"][0];
    assert_eq!((gate["gate"].as_str(), gate["position"].as_u64()), (Some("paused"), Some(1)), "{why:#}");
    assert_eq!(gate["request"], "POST /api/queues/slow/resume");
    let whole = stage.get("ns_agent", &format!("/api/orchestrations/{run}/explain")).await.data();
    assert_eq!(whole["gates"][0], *gate);
    assert_eq!(stage.get("ns_reader", &format!("/api/jobs/{run}/one/explain")).await.status, 404, "it is another's");
    let queues = stage.get("ns_operator", "/api/queues").await.data();
    let slow = queues["queues"].as_array().unwrap().iter().find(|queue| queue["name"] == "slow").unwrap().clone();
    assert_eq!((slow["held"].as_u64(), slow["paused"]["note"].as_str()), (Some(1), Some("repair")), "{queues:#}");
    let why = stage.get("ns_agent", "/api/workflows/ops/slow/explain").await;
    assert!(why.status == 200 || why.status == 404, "{}", why.body);
    assert_eq!(stage.post("ns_operator", "/api/queues/slow/resume", &json!({})).await.status, 200);
    stage.system.settled().await;
    let run = stage.get("ns_agent", &format!("/api/orchestrations/{run}")).await.data();
    assert_eq!(run["status"], "completed", "{run:#}");
    assert_eq!(stage.post("ns_operator", "/api/queues/slow/resume", &json!({})).await.status, 409);
}

//! Runs over HTTP, on a real system: registered, started, steered, and each user sees what is its own.

mod support;

use nightshift_domain::ids::DefinitionId;
use serde_json::{Value, json};
use support::{ASKING, FAILING, HOLDING, Stage, TWO_STEPS};

/// The order of things is certain once nothing is under way and the read models show it.
async fn settled(stage: &Stage) {
    stage.system.settled().await;
}

#[tokio::test]
async fn a_document_is_validated_registered_and_found_again() {
    let stage = Stage::new().await;
    let yaml = [("x-api-key", "ns_reader"), ("content-type", "application/yaml")];
    let bad = TWO_STEPS.replace("depends_on: one", "depends_on: on");
    let answer = stage.send(("POST", "/api/workflows/validate"), &yaml, &bad).await;
    let faults = answer.data();
    assert_eq!((faults["valid"].as_bool(), faults["faults"][0]["line"].as_u64()), (Some(false), Some(8)), "{faults}");
    assert_eq!(stage.send(("POST", "/api/workflows/validate"), &yaml, TWO_STEPS).await.data()["valid"], true);
    assert_eq!(
        stage.send(("POST", "/api/workflows"), &yaml, TWO_STEPS).await.status,
        403,
        "a reader registers nothing"
    );
    let author = [("x-api-key", "ns_operator"), ("content-type", "application/yaml")];
    let refused = stage.send(("POST", "/api/workflows"), &author, &bad).await;
    assert_eq!(refused.refusal(), (400, "BAD_REQUEST".to_owned()));
    assert_eq!(refused.json()["error"]["details"]["faults"][0]["line"], 8);
    let first = stage.register(TWO_STEPS).await;
    assert_eq!((first["owner"].as_str(), first["version"].as_str()), (Some("team"), Some("1.0.0")));
    assert_eq!(stage.register(TWO_STEPS).await, first, "the same document again");
    let other = TWO_STEPS.replace("/agents/two", "/agents/three");
    let conflict = stage.send(("POST", "/api/workflows"), &author, &other).await;
    assert_eq!(conflict.refusal(), (409, "CONFLICT".to_owned()), "another document under the same version");
    stage.register(&other.replace("1.0.0", "1.1.0")).await;
    let in_force = stage.get("ns_reader", "/api/workflows/team/daily").await.data();
    assert_eq!((in_force["version"].as_str(), in_force["source"].as_str()), (Some("1.1.0"), None));
    let versions = stage.get("ns_reader", "/api/workflows/team/daily/versions").await.data();
    assert_eq!(versions["total"], 2);
    let old = stage.get("ns_operator", "/api/workflows/team/daily/versions/1.0.0").await.data();
    assert_eq!(old["source"], TWO_STEPS);
    let back = stage.post("ns_operator", "/api/workflows/team/daily/versions/1.0.0/activate", &json!({})).await;
    assert_eq!(back.status, 200, "{}", back.body);
    let missing = stage.post("ns_operator", "/api/workflows/team/daily/versions/9/activate", &json!({})).await;
    assert_eq!(missing.status, 404);
    assert_eq!(stage.get("ns_reader", "/api/workflows/team/daily/versions/9").await.status, 404);
    assert!(stage.get("ns_reader", "/api/workflows/schema").await.data()["$schema"].is_string());
    settled(&stage).await;
    let listed = stage.get("ns_reader", "/api/workflows?inForce=true&search=DAIL").await.data();
    assert_eq!((listed["total"].as_u64(), listed["items"][0]["version"].as_str()), (Some(1), Some("1.0.0")));
}

#[tokio::test]
async fn the_same_key_starts_the_same_run() {
    let stage = Stage::new().await;
    stage.register(TWO_STEPS).await;
    let start = async |key: &str, user: &str| {
        let headers = [("x-api-key", user), ("idempotency-key", key)];
        stage.send(("POST", "/api/orchestrations"), &headers, "{\"name\": \"daily\"}").await
    };
    let (one, again, another) =
        (start("a", "ns_agent").await, start("a", "ns_agent").await, start("b", "ns_agent").await);
    assert_eq!(one.data()["id"], again.data()["id"]);
    assert_ne!(one.data()["id"], another.data()["id"]);
    assert!(!one.headers.contains_key("idempotent-replayed"));
    assert_eq!(again.headers["idempotent-replayed"], "true");
    assert_ne!(start("a", "ns_other").await.data()["id"], one.data()["id"], "the key of another caller is another key");
    settled(&stage).await;
    let runs = stage.get("ns_agent", "/api/orchestrations?lifecycle=all").await.data();
    assert_eq!(runs["total"], 2);
    assert_eq!(stage.world.acted.lock().unwrap().len(), 6, "three runs of two steps");
}

/// A key that named one request says nothing about another: it is refused, not answered as if it had been done.
#[tokio::test]
async fn a_key_names_one_request() {
    let stage = Stage::new().await;
    let shard = |name: &str| DefinitionId::of("team", name, 4).shard();
    let other = (0..).map(|n| format!("other-{n}")).find(|name| shard(name) == shard("daily")).unwrap();
    let send = async |path: &str, key: &str, body: &str| {
        let kind = if path.ends_with("workflows") { "application/yaml" } else { "application/json" };
        let headers = [("x-api-key", "ns_operator"), ("idempotency-key", key), ("content-type", kind)];
        stage.send(("POST", path), &headers, body).await
    };
    let document = TWO_STEPS.replace("name: daily", &format!("name: {other}"));
    for (path, one, two) in [
        ("/api/workflows", TWO_STEPS, TWO_STEPS.replace("1.0.0", "2.0.0")),
        ("/api/workflows", TWO_STEPS, document.clone()),
        ("/api/orchestrations", r#"{"name": "daily"}"#, format!("{{\"name\": {other:?}}}")),
        ("/api/orchestrations", r#"{"name": "daily"}"#, r#"{"name": "daily", "priority": 3}"#.to_owned()),
        ("/api/orchestrations", r#"{"name": "daily"}"#, r#"{"name": "daily", "parameters": {"x": 1}}"#.to_owned()),
        ("/api/events", r#"{"type": "a", "payload": 1}"#, r#"{"type": "a", "payload": 2}"#.to_owned()),
    ] {
        stage.register(&document).await;
        let first = send(path, "k", one).await;
        assert!((201..=202).contains(&first.status), "{path}: {}", first.body);
        let refused = send(path, "k", &two).await;
        assert_eq!(refused.refusal(), (422, "UNPROCESSABLE".to_owned()), "{path} {two}: {}", refused.body);
        let details = &refused.json()["error"]["details"];
        assert!(details["kept"].is_string() && details["kept"] != details["given"], "{details}");
        let otherwise = if one.starts_with('{') { one.replace(": ", ":\n") } else { one.to_owned() };
        let again = send(path, "k", &otherwise).await;
        assert_eq!((again.status, again.data()), (first.status, first.data()), "the same request, written otherwise");
    }
    settled(&stage).await;
    let runs = stage.get("ns_operator", "/api/orchestrations?lifecycle=all").await.data();
    assert_eq!(runs["total"], 1, "{runs}");
}

#[tokio::test]
async fn wrong_parameters_are_refused_with_their_paths_and_nothing_starts() {
    let stage = Stage::new().await;
    stage.register(TWO_STEPS).await;
    let request = json!({"name": "daily", "parameters": {"topic": 7, "topics": []}});
    let answer = stage.post("ns_agent", "/api/orchestrations", &request).await;
    assert_eq!(answer.refusal(), (400, "BAD_REQUEST".to_owned()));
    let fields = answer.json()["error"]["details"]["fields"].clone();
    let paths: Vec<&str> = fields.as_array().unwrap().iter().filter_map(|field| field["path"].as_str()).collect();
    assert_eq!(paths, ["parameters.topics", "parameters.topic"]);
    settled(&stage).await;
    assert_eq!(stage.get("ns_agent", "/api/orchestrations?lifecycle=all").await.data()["total"], 0);
}

#[tokio::test]
async fn a_position_makes_a_later_look_wait() {
    let stage = Stage::new().await;
    stage.register(TWO_STEPS).await;
    let started = stage.post("ns_agent", "/api/orchestrations", &json!({"name": "daily"})).await;
    let position = started.headers["x-nightshift-position"].clone();
    let look = async |position: &str| {
        let headers = [("x-api-key", "ns_agent"), ("x-nightshift-position", position)];
        stage.send(("GET", "/api/orchestrations"), &headers, "").await.status
    };
    assert_eq!(look(&position).await, 200);
    let shard = position.split(':').next().unwrap();
    for wrong in [&format!("{shard}:999999"), "900:1", "1", "a:b"] {
        assert_eq!(look(wrong).await, 400, "{wrong}");
    }
}

/// Filters of the seed: the documented default is `active`, its code had none.
#[tokio::test]
async fn defect_5_12_9_runs_are_listed_by_lifecycle_and_in_pages() {
    let stage = Stage::new().await;
    stage.register(TWO_STEPS).await;
    stage.register(HOLDING).await;
    let held = stage.start(&json!({"name": "holding"})).await;
    for _ in 0..3 {
        stage.start(&json!({"owner": "team", "name": "daily"})).await;
        stage.clock.advance_ms(1_000);
    }
    let progress = async || {
        let mut watch = stage.system.context().projector.watch();
        loop {
            let done = stage.get("ns_agent", "/api/orchestrations?lifecycle=completed").await.data();
            if done["total"] == 3 {
                return done;
            }
            watch.changed().await.unwrap();
        }
    };
    let done = progress().await;
    assert_eq!(done["hasMore"], false);
    let active = stage.get("ns_agent", "/api/orchestrations").await.data();
    assert_eq!((active["total"].as_u64(), active["items"][0]["id"].as_str()), (Some(1), Some(held.as_str())));
    let page = stage.get("ns_agent", "/api/orchestrations?lifecycle=all&limit=2&offset=1").await.data();
    assert_eq!(
        (page["items"].as_array().unwrap().len(), page["total"].as_u64(), page["hasMore"].as_bool()),
        (2, Some(4), Some(true))
    );
    let ids = |page: &Value| -> Vec<String> {
        page["items"].as_array().unwrap().iter().map(|run| run["id"].as_str().unwrap().to_owned()).collect()
    };
    let whole = ids(&stage.get("ns_agent", "/api/orchestrations?lifecycle=all").await.data());
    assert_eq!(ids(&page), whole[1..3], "newest first, in one order");
    let since = "/api/orchestrations?lifecycle=all&startedAfter=2026-03-02T08:00:00Z";
    assert_eq!(stage.get("ns_agent", since).await.data()["total"], 2, "not those of that instant");
    let before = "/api/orchestrations?lifecycle=all&startedBefore=2026-03-02T08:00:01Z";
    assert_eq!(stage.get("ns_agent", before).await.data()["total"], 2);
    let found = stage.get("ns_agent", "/api/orchestrations?lifecycle=all&search=HOLD").await.data();
    assert_eq!(ids(&found), std::slice::from_ref(&held));
    let definition = active["items"][0]["definitionId"].as_str().unwrap();
    let of_one = stage.get("ns_agent", &format!("/api/orchestrations?definitionId={definition}")).await.data();
    assert_eq!(ids(&of_one), [held]);
    stage.world.go.notify_one();
}

#[tokio::test]
async fn runs_in_several_statuses_come_in_one_order() {
    let stage = Stage::new().await;
    stage.register(TWO_STEPS).await;
    stage.register(FAILING).await;
    let mut started = Vec::new();
    for name in ["daily", "failing", "daily", "failing"] {
        started.insert(0, stage.start(&json!({"name": name})).await);
        settled(&stage).await;
        stage.clock.advance_ms(1_000);
    }
    let done = stage.get("ns_agent", "/api/orchestrations?lifecycle=completed").await.data();
    let ids: Vec<&str> = done["items"].as_array().unwrap().iter().filter_map(|run| run["id"].as_str()).collect();
    assert_eq!(ids, started, "newest first, whatever became of them");
    let page = stage.get("ns_agent", "/api/orchestrations?lifecycle=completed&limit=1&offset=2").await.data();
    assert_eq!((page["items"][0]["id"].as_str(), page["hasMore"].as_bool()), (Some(ids[2]), Some(true)));
}

#[tokio::test]
async fn each_user_sees_what_is_its_own_and_operators_see_everything() {
    let stage = Stage::new().await;
    stage.register(TWO_STEPS).await;
    let run = stage.start(&json!({"name": "daily"})).await;
    settled(&stage).await;
    for path in ["", "/status", "/replay", "/explain", "/events"] {
        let path = format!("/api/orchestrations/{run}{path}");
        assert_eq!(stage.get("ns_agent", &path).await.status, 200, "{path}");
        assert_eq!(stage.get("ns_operator", &path).await.status, 200, "{path}");
        assert_eq!(stage.get("ns_other", &path).await.status, 404, "{path}");
    }
    for action in ["retry", "skip", "abort", "rerun", "migrate", "pause", "resume"] {
        let path = format!("/api/orchestrations/{run}/actions/{action}");
        let answer = stage.post("ns_other", &path, &json!({})).await;
        assert_eq!(answer.refusal(), (404, "NOT_FOUND".to_owned()), "{action}");
    }
    for list in ["/api/orchestrations?lifecycle=all", "/api/jobs", "/api/events"] {
        assert_eq!(stage.get("ns_other", list).await.data()["total"], 0, "{list}");
    }
    assert_eq!(stage.get("ns_agent", "/api/jobs").await.data()["total"], 2);
    let forged = json!({"name": "daily", "userId": "other"});
    assert_eq!(stage.post("ns_agent", "/api/orchestrations", &forged).await.status, 403);
    assert_eq!(stage.post("ns_operator", "/api/orchestrations", &forged).await.status, 201);
}

#[tokio::test]
async fn a_failed_run_is_explained_retried_and_rerun() {
    let stage = Stage::new().await;
    stage.register(FAILING).await;
    let run = stage.start(&json!({"name": "failing"})).await;
    settled(&stage).await;
    let status = stage.get("ns_agent", &format!("/api/orchestrations/{run}/status")).await.data();
    assert_eq!(status["run"]["status"], "failed", "{status}");
    assert_eq!(
        status["summary"],
        json!({
            "totalSteps": 2, "completedSteps": 0, "progressPercentage": 0, "pendingApprovals": 0,
        })
    );
    let why = stage.get("ns_agent", &format!("/api/orchestrations/{run}/explain")).await.data();
    let gates: Vec<&str> = why["gates"].as_array().unwrap().iter().filter_map(|gate| gate["gate"].as_str()).collect();
    assert_eq!(gates, ["dead", "over"], "{why}");
    let dead = stage.get("ns_agent", "/api/jobs/dead").await.data();
    assert_eq!((dead["total"].as_u64(), dead["items"][0]["stepId"].as_str()), (Some(1), Some("one")));
    let act = async |action: &str, body: Value| {
        stage.post("ns_agent", &format!("/api/orchestrations/{run}/actions/{action}"), &body).await
    };
    assert_eq!(act("retry", json!({"delaySeconds": 601})).await.status, 400);
    assert_eq!(act("retry", json!({"stepId": "no such"})).await.status, 404);
    assert_eq!(act("pause", json!({})).await.refusal(), (409, "CONFLICT".to_owned()), "it is over");
    *stage.world.mended.lock().unwrap() = true;
    let again = stage.post("ns_agent", &format!("/api/jobs/{run}/one/retry"), &json!({"note": "mended"})).await;
    assert_eq!(again.status, 200, "{}", again.body);
    settled(&stage).await;
    let one = async || stage.get("ns_agent", &format!("/api/orchestrations/{run}")).await.data();
    assert_eq!(
        (one().await["status"].as_str(), one().await["progressPercentage"].as_i64()),
        (Some("completed"), Some(100))
    );
    assert_eq!(act("retry", json!({})).await.status, 409, "nothing has failed");
    let alive = stage.post("ns_agent", &format!("/api/jobs/{run}/one/discard"), &json!({})).await;
    assert_eq!(alive.refusal(), (409, "CONFLICT".to_owned()), "no dead letter");
    let before = stage.world.acted.lock().unwrap().len();
    assert_eq!(act("rerun", json!({"from": "two"})).await.status, 200);
    settled(&stage).await;
    assert_eq!(stage.world.acted.lock().unwrap()[before..], ["/agents/two"]);
    let attempts = stage.get("ns_agent", &format!("/api/jobs/{run}/one/attempts")).await.data();
    assert_eq!(attempts["total"], 2);
}

/// A run that waits goes on under a new version, unless what it did would not have been done under it.
#[tokio::test]
async fn a_run_that_waits_is_migrated() {
    let stage = Stage::new().await;
    stage.register(ASKING).await;
    let run = stage.start(&json!({"name": "asking"})).await;
    settled(&stage).await;
    let act =
        async |body: Value| stage.post("ns_agent", &format!("/api/orchestrations/{run}/actions/migrate"), &body).await;
    let two = ASKING.replace("1.0.0", "2.0.0");
    stage.register(&format!("{two}  - {{id: more, call: /agents/more, depends_on: [check]}}\n")).await;
    stage.register(&two.replace("2.0.0", "3.0.0").replace("Send", "Burn")).await;
    assert_eq!(act(json!({"version": "9"})).await.refusal(), (404, "NOT_FOUND".to_owned()));
    let refused = act(json!({"version": "3.0.0"})).await;
    assert_eq!(refused.refusal(), (409, "CONFLICT".to_owned()));
    let differs = refused.json()["error"]["details"]["rejection"]["cannot_migrate"]["differs"].clone();
    assert_eq!(differs[0]["step"], "check", "{differs}");
    let done = act(json!({"version": "2.0.0", "note": "one more"})).await;
    assert_eq!(done.status, 200, "{}", done.body);
    settled(&stage).await;
    let row = stage.get("ns_agent", &format!("/api/orchestrations/{run}")).await.data();
    assert_eq!((row["workflowVersion"].as_str(), row["status"].as_str()), (Some("2.0.0"), Some("checkpoint")), "{row}");
    let open = stage.get("ns_reviewer", "/api/orchestrations/approvals").await.data();
    let decide = format!("/api/orchestrations/approvals/{}/decision", open["items"][0]["id"].as_str().unwrap());
    assert_eq!(stage.post("ns_reviewer", &decide, &json!({"decision": "continue"})).await.status, 200);
    settled(&stage).await;
    assert_eq!(stage.world.acted.lock().unwrap().last().map(String::as_str), Some("/agents/more"));
    assert_eq!(act(json!({})).await.refusal(), (409, "CONFLICT".to_owned()), "it is over");
}

#[tokio::test]
async fn what_a_run_was_made_of_is_shown_without_secrets() {
    let stage = Stage::new().await;
    let secret = TWO_STEPS.replace("/agents/two,", "/agents/two, headers: {Authorization: 'Bearer abc'},");
    stage.register(&secret).await;
    let run = stage.start(&json!({"name": "daily", "parameters": {"topic": "shoes"}})).await;
    settled(&stage).await;
    let answer = stage.get("ns_agent", &format!("/api/orchestrations/{run}/replay")).await;
    let replay = answer.data();
    assert_eq!((replay["runId"].as_str(), replay["parameters"]["topic"].as_str()), (Some(run.as_str()), Some("shoes")));
    assert_eq!(replay["origin"]["type"], "saved_orchestration");
    for path in ["", "/status", "/replay"] {
        let answer = stage.get("ns_agent", &format!("/api/orchestrations/{run}{path}")).await;
        assert!(!answer.body.contains("Bearer abc"), "{path}: {}", answer.body);
    }
}

/// 5.12, 10: whoever told a run to go on could write its status and its state.
#[tokio::test]
async fn defect_5_12_10_no_request_writes_the_state_of_a_run() {
    let stage = Stage::new().await;
    stage.register(FAILING).await;
    let run = stage.start(&json!({"name": "failing"})).await;
    settled(&stage).await;
    let status =
        async || stage.get("ns_operator", &format!("/api/orchestrations/{run}")).await.data()["status"].clone();
    assert_eq!(status().await, "failed");
    for action in ["retry", "skip", "abort", "rerun", "migrate", "pause"] {
        for field in ["status", "stepState", "results", "completedSteps"] {
            let path = format!("/api/orchestrations/{run}/actions/{action}");
            let answer = stage.post("ns_operator", &path, &json!({field: "completed"})).await;
            assert_eq!(answer.refusal(), (400, "BAD_REQUEST".to_owned()), "{action} {field}");
        }
    }
    for method in ["PUT", "PATCH"] {
        let body = json!({"status": "completed"}).to_string();
        let answer = stage.ask("ns_operator", (method, &format!("/api/orchestrations/{run}")), &body).await;
        assert_eq!(answer.status, 405, "{method}");
    }
    assert_eq!(status().await, "failed");
}

//! Dead letters over HTTP: one by one, and many at once by a job of the server; and what is said when the read models of a
//! shard stand still.

mod support;

use std::sync::Arc;

use nightshift_api::Options;
use nightshift_domain::{
    ids::{CommandId, DefinitionId, RunId, derive},
    recorded::Meta,
};
use nightshift_ports::{
    clock::ManualClock,
    log::{Commit, EventLog as _, NewEvent, ShardBatch, Verdict},
    memory::MemoryStore,
};
use serde_json::{Value, json};
use support::{FAILING, MONDAY_8, Stage, TWO_STEPS, auth};

/// Failed runs of the agent, their first step dead.
async fn failed(stage: &Stage, count: usize) -> Vec<String> {
    let mut runs = Vec::new();
    for _ in 0..count {
        runs.push(stage.start(&json!({"name": "failing"})).await);
    }
    stage.system.settled().await;
    runs
}

async fn mended() -> Stage {
    let stage = Stage::new().await;
    stage.register(FAILING).await;
    stage
}

fn total(page: &Value) -> u64 {
    page["total"].as_u64().unwrap()
}

#[tokio::test]
async fn a_letter_is_reset_discarded_and_brought_back() {
    let stage = mended().await;
    let run = failed(&stage, 1).await.remove(0);
    let act = async |key: &str, verb: &str| {
        stage.post(key, &format!("/api/jobs/{run}/one/{verb}"), &json!({"note": "because"})).await
    };
    for verb in ["retry", "reset", "discard"] {
        assert_eq!(act("ns_other", verb).await.refusal(), (404, "NOT_FOUND".to_owned()), "{verb}");
        assert_eq!(act("ns_reader", verb).await.status, 403, "{verb}");
    }
    let gone = stage.post("ns_agent", &format!("/api/jobs/{run}/three/discard"), &json!({})).await;
    assert_eq!(gone.status, 404);
    assert_eq!(act("ns_agent", "reset").await.status, 200);
    stage.system.settled().await;
    assert_eq!(total(&stage.get("ns_agent", "/api/jobs/dead").await.data()), 1, "it failed once more");
    assert_eq!(act("ns_agent", "discard").await.status, 200);
    stage.system.settled().await;
    assert_eq!(total(&stage.get("ns_agent", "/api/jobs/dead").await.data()), 0);
    let job = stage.get("ns_agent", "/api/jobs?status=cancelled").await.data()["items"][0].clone();
    assert_eq!(job["note"], "discarded by agent: because");
    let again = act("ns_agent", "retry").await;
    assert_eq!(again.refusal(), (409, "CONFLICT".to_owned()));
    assert_eq!(again.json()["error"]["details"]["rejection"]["discarded"]["step"], "one", "{}", again.body);
    *stage.world.mended.lock().unwrap() = true;
    let path = format!("/api/orchestrations/{run}/actions/rerun");
    assert_eq!(stage.post("ns_agent", &path, &json!({"from": "one"})).await.status, 200);
    stage.system.settled().await;
    assert_eq!(stage.get("ns_agent", &format!("/api/orchestrations/{run}")).await.data()["status"], "completed");
}

#[tokio::test]
async fn many_letters_are_counted_done_again_and_each_user_has_only_its_own() {
    let stage = mended().await;
    failed(&stage, 5).await;
    let bulk = async |key: &str, body: Value| stage.post(key, "/api/jobs/bulk", &body).await;
    let rehearsal = json!({"verb": "retry", "filter": {"definition": "team/failing"}, "dry_run": true});
    let counted = bulk("ns_agent", rehearsal.clone()).await.data();
    assert_eq!((total(&counted), counted["sample"].as_array().map(Vec::len)), (5, Some(5)));
    assert_eq!(total(&bulk("ns_other", rehearsal).await.data()), 0);
    for (filter, expected) in [
        (json!({"definition": "failing"}), 5),
        (json!({"definition": "other/failing"}), 0),
        (json!({"errorClass": "permanent", "queue": "default"}), 5),
        (json!({"error_class": "timeout"}), 0),
        (json!({"before": "2026-03-02T08:00:00Z"}), 0),
        (json!({"after": "2026-03-02T07:00:00Z", "status": "dead"}), 5),
    ] {
        let asked = json!({"verb": "reset", "filter": filter, "dryRun": true});
        assert_eq!(total(&bulk("ns_operator", asked).await.data()), expected, "{filter}");
    }
    let theirs = json!({"verb": "discard", "filter": {"user": "agent"}});
    assert_eq!(bulk("ns_other", theirs).await.status, 403);
    assert_eq!(bulk("ns_reader", json!({"verb": "retry"})).await.status, 403);
    let wrong = json!({"verb": "retry", "filter": {"status": "queued", "errorClass": "bad", "before": "now"}});
    let fields = bulk("ns_agent", wrong).await.json()["error"]["details"]["fields"].clone();
    let paths: Vec<&str> = fields.as_array().unwrap().iter().filter_map(|field| field["path"].as_str()).collect();
    assert_eq!(paths, ["filter.status", "filter.errorClass", "filter.before"]);
    assert_eq!(bulk("ns_agent", json!({"verb": "forget"})).await.status, 400);
    assert_eq!(total(&stage.get("ns_operator", "/api/jobs/bulk").await.data()), 0, "nothing was begun");

    *stage.world.mended.lock().unwrap() = true;
    let key = [("x-api-key", "ns_agent"), ("content-type", "application/json"), ("idempotency-key", "k")];
    let order = json!({"verb": "retry", "note": "mended"}).to_string();
    let begun = stage.send(("POST", "/api/jobs/bulk"), &key, &order).await;
    assert_eq!(begun.status, 202, "{}", begun.body);
    let id = begun.data()["id"].as_str().unwrap().to_owned();
    let shown = stage.get("ns_agent", &format!("/api/jobs/bulk/{id}")).await;
    assert_eq!(shown.status, 200, "it is found at once");
    stage.system.settled().await;
    let again = stage.send(("POST", "/api/jobs/bulk"), &key, &order).await;
    assert_eq!(again.data(), begun.data(), "the same order again");
    let job = stage.get("ns_agent", &format!("/api/jobs/bulk/{id}")).await.data();
    let figures = ["status", "total", "done", "refused", "left", "requestedBy"].map(|name| job[name].clone());
    assert_eq!(figures.to_vec(), [json!("completed"), json!(5), json!(5), json!(0), json!(0), json!("agent")]);
    let runs = stage.get("ns_agent", "/api/orchestrations?status=completed").await.data();
    assert_eq!(total(&runs), 5);
    for path in ["", "/cancel"] {
        let path = format!("/api/jobs/bulk/{id}{path}");
        let answer = if path.ends_with("cancel") {
            stage.post("ns_other", &path, &json!({})).await
        } else {
            stage.get("ns_other", &path).await
        };
        assert_eq!(answer.refusal(), (404, "NOT_FOUND".to_owned()), "{path}");
    }
    let over = stage.post("ns_agent", &format!("/api/jobs/bulk/{id}/cancel"), &json!({})).await;
    assert_eq!(over.refusal(), (409, "CONFLICT".to_owned()));
}

#[tokio::test]
async fn a_run_that_is_over_is_no_run_to_stop() {
    let stage = mended().await;
    stage.register(TWO_STEPS).await;
    let dead = failed(&stage, 1).await.remove(0);
    let done = stage.start(&json!({"name": "daily"})).await;
    stage.system.settled().await;
    let abort =
        async |run: &str| stage.post("ns_agent", &format!("/api/orchestrations/{run}/actions/abort"), &json!({})).await;
    for (run, end) in [(&dead, "failed"), (&done, "completed")] {
        let refused = abort(run).await;
        assert_eq!(refused.refusal(), (409, "CONFLICT".to_owned()));
        assert_eq!(refused.json()["error"]["details"]["rejection"]["over"]["end"], end);
    }
    stage.register(support::HOLDING).await;
    let held = stage.start(&json!({"name": "holding"})).await;
    assert_eq!(abort(&held).await.data()["changed"], Value::Null);
    let again = abort(&held).await.data();
    assert_eq!((&again["changed"], &again["message"]), (&json!(false), &json!("the run was cancelled already")));
}

/// More rows than any list looks at: each filter, word, bound and page is answered with exact figures.
#[tokio::test]
async fn lists_count_what_they_do_not_show() {
    let stage = Stage::new().await;
    stage.register(TWO_STEPS).await;
    for n in 0..120 {
        stage.start(&json!({"name": "daily", "parameters": {"topic": format!("t{n}")}})).await;
    }
    stage.system.settled().await;
    let jobs = stage.get("ns_agent", "/api/jobs?status=success&limit=100&offset=200").await.data();
    assert_eq!(
        (total(&jobs), jobs["items"].as_array().map(Vec::len), &jobs["hasMore"]),
        (240, Some(40), &json!(false))
    );
    let runs = stage.get("ns_agent", "/api/orchestrations?lifecycle=all&search=DAI&limit=7").await.data();
    assert_eq!((total(&runs), &runs["hasMore"]), (120, &json!(true)));
    let behind = stage.get("ns_agent", "/api/orchestrations?lifecycle=all&offset=500").await.data();
    assert_eq!((total(&behind), behind["items"].as_array().map(Vec::len)), (120, Some(0)));
    let none = stage.get("ns_agent", "/api/jobs?definition=nobody/daily").await.data();
    assert_eq!(total(&none), 0);
    let of = stage.get("ns_agent", "/api/jobs?definition=team/daily&queue=default&limit=1").await.data();
    assert_eq!(total(&of), 240);
}

/// The shard of the workflow, with an event of a newer program in its log.
async fn broken_store(clock: &ManualClock) -> (Arc<MemoryStore>, u16) {
    let store = Arc::new(MemoryStore::new(derive("cluster", &[]), 4, Arc::new(clock.clone())));
    let shard = DefinitionId::of("team", "daily", 4).shard();
    let owned = store.acquire(derive("writer", &[]), &[shard], MONDAY_8).await.unwrap();
    let event = NewEvent {
        seq: 1,
        version: 1,
        event_type: "run.of_tomorrow".to_owned(),
        type_version: 1,
        hlc: 1,
        data: vec![0x80],
    };
    let commit = Commit {
        stream: RunId::on_shard(derive("run", &[]), shard).stream(),
        command: None,
        events: vec![event],
        at: MONDAY_8,
        command_id: CommandId(derive("command", &[])),
        meta: Meta::default(),
        opens: vec![],
        closes: vec![],
    };
    let batch = ShardBatch { shard, epoch: owned[0].epoch, expected_head: 0, commits: vec![commit] };
    assert_eq!(store.append(&[batch]).await, Ok(vec![Verdict::Committed]));
    (store, shard.0)
}

#[tokio::test]
async fn who_waits_for_a_shard_that_stands_still_is_answered() {
    let clock = ManualClock::at(MONDAY_8);
    let (store, shard) = broken_store(&clock).await;
    let stage = Stage::on(Options { auth: auth(), ..Options::default() }, (store, clock)).await;
    let headers = [("x-api-key", "ns_operator"), ("content-type", "application/yaml")];
    let waiting = stage.send(("POST", "/api/workflows?wait=position"), &headers, TWO_STEPS).await;
    assert_eq!(waiting.refusal(), (503, "UNAVAILABLE".to_owned()));
    let error = waiting.json()["error"].clone();
    assert!(error["message"].as_str().unwrap().contains(&format!("shard {shard}")), "{error}");
    assert_eq!(error["details"], json!({"shard": shard, "at": 0}));
    let by_name = stage.post("ns_agent", "/api/orchestrations", &json!({"name": "daily"})).await;
    assert_eq!(by_name.refusal(), (503, "UNAVAILABLE".to_owned()), "it may be there, and is not shown");
    assert_eq!(stage.get("ns_agent", "/healthz").await.status, 200, "the process goes on");
    let ready = stage.get("ns_agent", "/readyz").await;
    assert_eq!(ready.status, 503);
    assert!(ready.json()["reasons"][0].as_str().unwrap().contains(&format!("shard {shard}")), "{}", ready.body);
    let again = stage.send(("POST", "/api/workflows"), &headers, TWO_STEPS).await;
    assert!(again.status < 300, "who does not wait is served: {}", again.body);
}

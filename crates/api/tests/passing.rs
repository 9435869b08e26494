//! Nobody gets past a question to people by another way than an answer.

mod support;

use serde_json::json;
use support::{ASKING, Stage};

/// `send` goes behind `note`, which goes behind the question.
const GATED: &str = "\
name: gated
owner: team
version: 1.0.0
steps:
  - {id: check, approval: {question: 'Deploy it?', group: editors}}
  - {id: note, call: /agents/note, depends_on: check}
  - {id: send, call: /agents/fail, depends_on: note}
";

#[tokio::test]
async fn a_run_is_not_steered_past_a_question_by_who_may_not_answer_it() {
    let stage = Stage::new().await;
    stage.register(ASKING).await;
    stage.register(GATED).await;
    let plain = stage.start(&json!({"name": "asking"})).await;
    let run = stage.start(&json!({"name": "gated"})).await;
    stage.system.settled().await;
    let act = async |key: &str, run: &str, action: &str, body: serde_json::Value| {
        stage.post(key, &format!("/api/orchestrations/{run}/actions/{action}"), &body).await
    };
    for (run, step) in [(&plain, "check"), (&plain, "send"), (&run, "check"), (&run, "note"), (&run, "send")] {
        for output in [json!({}), serde_json::Value::Null] {
            let answer = act("ns_agent", run, "skip", json!({"stepId": step, "replacementOutput": output})).await;
            assert_eq!(answer.refusal(), (403, "FORBIDDEN".to_owned()), "{step}: {}", answer.body);
            assert!(answer.json()["error"]["message"].as_str().unwrap().contains("\"check\""), "{}", answer.body);
        }
    }
    stage.system.settled().await;
    assert!(stage.world.acted.lock().unwrap().is_empty(), "nothing went");
    assert_eq!(act("ns_operator", &plain, "skip", json!({"stepId": "check"})).await.status, 200);
    stage.system.settled().await;
    assert_eq!(*stage.world.acted.lock().unwrap(), ["/agents/send"]);
    // What was approved is not changed afterwards either.
    let open = stage.get("ns_reviewer", "/api/orchestrations/approvals").await.data();
    let decide = format!("/api/orchestrations/approvals/{}/decision", open["items"][0]["id"].as_str().unwrap());
    assert_eq!(stage.post("ns_reviewer", &decide, &json!({"decision": "continue"})).await.status, 200);
    stage.system.settled().await;
    let changed = json!({"stepId": "send", "modifications": {"to": "elsewhere"}});
    assert_eq!(act("ns_agent", &run, "retry", changed).await.status, 403);
    let made_up = json!({"stepId": "send", "replacementOutput": {"sent": true}});
    assert_eq!(act("ns_agent", &run, "skip", made_up).await.status, 403);
    assert_eq!(act("ns_agent", &run, "retry", json!({"stepId": "send"})).await.status, 200);
    stage.system.settled().await;
    let dropped = stage.post("ns_agent", &format!("/api/jobs/{run}/send/discard"), &json!({})).await;
    assert_eq!(dropped.status, 200, "{}", dropped.body);
}

//! Questions to people over HTTP: who may answer, once, by request or by signed link.

mod support;

use nightshift_api::{LinkKey, Options, links::Link};
use nightshift_domain::{
    content::Digest,
    run::{ApprovalAction, ApprovalId},
};
use nightshift_ports::clock::Clock as _;
use serde_json::json;
use support::{ASKING, Stage, auth};

/// The order of things is certain once nothing is under way and the read models show it.
async fn settled(stage: &Stage) {
    stage.system.settled().await;
}

#[tokio::test]
async fn defect_5_12_4_a_question_is_answered_once_by_who_is_asked_and_its_run_goes_on() {
    let stage = Stage::new().await;
    stage.register(ASKING).await;
    let run = stage.start(&json!({"name": "asking"})).await;
    settled(&stage).await;
    let open = stage.get("ns_reviewer", "/api/orchestrations/approvals").await.data();
    assert_eq!(open["total"], 1, "a question to the group of the reviewer: {open}");
    let id = open["items"][0]["id"].as_str().unwrap().to_owned();
    let path = format!("/api/orchestrations/approvals/{id}");
    assert_eq!(stage.get("ns_other", &path).await.status, 404);
    assert_eq!(stage.get("ns_agent", &path).await.status, 200, "the run's own user sees it");
    let decide = format!("{path}/decision");
    assert_eq!(stage.post("ns_agent", &decide, &json!({"decision": "continue"})).await.status, 403);
    assert_eq!(stage.post("ns_reviewer", &decide, &json!({"decision": "maybe"})).await.status, 400);
    let stale = stage.post("ns_reviewer", &decide, &json!({"decision": "continue", "digest": "other"})).await;
    assert_eq!(stale.refusal(), (409, "CONFLICT".to_owned()), "another payload than was looked at");
    let answer = json!({"decision": "continue", "notes": "fine", "digest": open["items"][0]["payloadDigest"]});
    let headers = [("x-api-key", "ns_reviewer"), ("idempotency-key", "k")];
    let first = stage.send(("POST", &decide), &headers, &answer.to_string()).await;
    assert_eq!((first.status, first.data()["status"].as_str()), (200, Some("approved")), "{}", first.body);
    let again = stage.send(("POST", &decide), &headers, &answer.to_string()).await;
    assert_eq!((again.status, again.headers.contains_key("idempotent-replayed")), (200, true));
    let late = stage.post("ns_operator", &decide, &json!({"decision": "abort"})).await;
    assert_eq!(late.refusal(), (409, "CONFLICT".to_owned()), "decided already");
    settled(&stage).await;
    // The seed's decision over REST woke nothing.
    let done = stage.get("ns_agent", &format!("/api/orchestrations/{run}")).await.data();
    assert_eq!(done["status"], "completed");
    let row = stage.get("ns_reviewer", &path).await.data();
    assert_eq!((row["status"].as_str(), row["decidedBy"].as_str()), (Some("approved"), Some("reviewer")));
}

/// Who runs a workflow may not approve it when somebody else is asked.
#[tokio::test]
async fn a_question_to_somebody_else_is_seen_but_not_answered() {
    let stage = Stage::new().await;
    stage.register(ASKING).await;
    stage.register(&ASKING.replace("asking", "others").replace("group: editors", "assignee: bob")).await;
    for name in ["asking", "others"] {
        let request = json!({"name": name, "userId": "reviewer"});
        assert_eq!(stage.post("ns_operator", "/api/orchestrations", &request).await.status, 201);
    }
    settled(&stage).await;
    let open = stage.get("ns_reviewer", "/api/orchestrations/approvals").await.data();
    assert_eq!(open["total"], 2, "one's own question that asks one's own group is one: {open}");
    for question in open["items"].as_array().unwrap() {
        let decide = format!("/api/orchestrations/approvals/{}/decision", question["id"].as_str().unwrap());
        let expected = if question["assignee"] == "bob" { 403 } else { 200 };
        let answer = stage.post("ns_reviewer", &decide, &json!({"decision": "continue"})).await;
        assert_eq!(answer.status, expected, "{question}: {}", answer.body);
    }
}

#[tokio::test]
async fn a_link_for_another_payload_decides_nothing() {
    let key = || LinkKey::new(&[7; 32]).unwrap();
    let stage = Stage::with(Options { auth: auth(), links: Some(key()), ..Options::default() }).await;
    stage.register(ASKING).await;
    stage.start(&json!({"name": "asking"})).await;
    settled(&stage).await;
    let open = stage.get("ns_operator", "/api/orchestrations/approvals").await.data();
    let link = Link {
        approval: ApprovalId(open["items"][0]["id"].as_str().unwrap().parse().unwrap()),
        action: ApprovalAction::Continue,
        digest: Digest("of another payload".to_owned()),
        by: "ada".to_owned(),
        expires_s: stage.clock.now().micros() / 1_000_000 + 60,
    };
    let page = stage.send(("GET", &key().address(&link)), &[], "").await;
    assert!(page.status == 200 && page.body.contains("has changed") && !page.body.contains("<form"), "{}", page.body);
    assert_eq!(stage.send(("POST", &key().address(&link)), &[], "").await.status, 409);
    assert_eq!(stage.get("ns_operator", "/api/orchestrations/approvals").await.data()["total"], 1);
}

#[tokio::test]
async fn a_signed_link_decides_when_its_form_is_sent_and_not_before() {
    let options = Options { auth: auth(), links: LinkKey::new(&[7; 32]), ..Options::default() };
    let stage = Stage::with(options).await;
    stage.register(ASKING).await;
    let run = stage.start(&json!({"name": "asking"})).await;
    settled(&stage).await;
    let open = stage.get("ns_operator", "/api/orchestrations/approvals").await.data();
    let make = format!("/api/orchestrations/approvals/{}/links", open["items"][0]["id"].as_str().unwrap());
    assert_eq!(stage.post("ns_reviewer", &make, &json!({"for": "ada"})).await.status, 403);
    let links =
        stage.post("ns_operator", &make, &json!({"for": "ada@example.org", "expiresInSeconds": 60})).await.data();
    let link = |action: &str| -> String {
        let of = links.as_array().unwrap().iter().find(|link| link["action"] == action);
        of.unwrap_or_else(|| panic!("{action} in {links}"))["path"].as_str().unwrap().to_owned()
    };
    let page = stage.send(("GET", &link("continue")), &[], "").await;
    assert_eq!((page.status, page.headers["content-type"].as_str()), (200, "text/html; charset=utf-8"));
    assert!(page.body.contains("Send it?") && page.body.contains("<form method=\"post\">"), "{}", page.body);
    let status = async || {
        settled(&stage).await;
        stage.get("ns_operator", &format!("/api/orchestrations/{run}")).await.data()["status"].clone()
    };
    assert_eq!(status().await, "checkpoint", "looking decides nothing");
    let forged = link("continue").replace("action=continue", "action=abort");
    assert_eq!(stage.send(("POST", &forged), &[], "").await.status, 403);
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let sent = stage.send(("POST", &link("continue")), &form, "note=well+done").await;
    assert!(sent.status == 200 && sent.body.contains("is recorded"), "{}", sent.body);
    assert_eq!(status().await, "completed");
    let again = stage.send(("POST", &link("continue")), &form, "note=well+done").await;
    assert!(again.status == 200 && again.body.contains("was recorded before"), "{}", again.body);
    assert_eq!(stage.send(("POST", &link("abort")), &form, "").await.status, 409, "decided otherwise already");
    stage.clock.advance_ms(60_000);
    assert_eq!(stage.send(("GET", &link("continue")), &[], "").await.status, 410);
}

//! `agent` and `llm` steps over real sockets.

mod support;

use nightshift_domain::{
    content::{Failure, FailureClass},
    json::Json,
    run::{Action, Outcome},
};
use nightshift_effects::{AgentConfig, EffectsConfig, LlmConfig, StepsConfig};
use nightshift_ports::performer::{Call, Performers};
use serde_json::json;
use support::{Act, Http, answer, build, call, run};

const KEY: &str = "agent-key-1";

fn agent(mode: &str, slug: &str, input: Json) -> Action {
    Action::Agent { agent: slug.to_owned(), mode: mode.to_owned(), input }
}

fn registered(agents: Vec<(&str, AgentConfig)>) -> Performers {
    let agents = agents.into_iter().map(|(slug, agent)| (slug.to_owned(), agent)).collect();
    build(EffectsConfig { steps: StepsConfig { agents, ..StepsConfig::default() }, ..EffectsConfig::default() })
}

fn at(url: &str) -> AgentConfig {
    AgentConfig { url: format!("{url}/agent-to-agent/acme/writer/tasks"), ..AgentConfig::default() }
}

async fn asked(act: Act, timeout_ms: u64) -> Result<Outcome, Failure> {
    let server = Http::start(vec![act]).await;
    let call = Call { timeout_ms, ..call() };
    registered(vec![("writer", at(&server.url))]).acting.act(&agent("BUILD", "writer", json!({})), &call).await
}

#[tokio::test]
async fn a_task_has_the_form_that_agents_know() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key");
    std::fs::write(&file, KEY).unwrap();
    let said = r#"{"success":true,"mode":"build","payload":{"content":{"page":"p1"},"metadata":{"tokens":3}}}"#;
    let server = Http::start(vec![answer("200 OK", &[], said)]).await;
    let config = AgentConfig {
        organization: Some("acme".into()),
        api_key: Some(format!("file:{}", file.display())),
        modes: vec!["build".into(), "CONVERSE".into()],
        version: Some("7".into()),
        ..at(&server.url)
    };
    let performers = registered(vec![("writer", config)]);
    let input = json!({
        "user_message": "Write", "context": {"brand": "b"}, "payload": {"task": "insights"}, "conversationId": "c1",
        "metadata": {"from": "test"}, "promptParameters": {"tone": "dry"}
    });
    let outcome = performers.acting.act(&agent("BUILD", "writer", input), &call()).await.unwrap();
    assert_eq!(outcome.value, json!({"content": {"page": "p1"}, "metadata": {"tokens": 3}}));
    assert_eq!(outcome.status_code, Some(200));
    let facts = [("agent", "writer"), ("agent_version", "7"), ("mode", "build")];
    assert_eq!(outcome.facts, facts.map(|(name, fact)| (name.to_owned(), fact.to_owned())).into());
    let request = server.request(0);
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("POST /agent-to-agent/acme/writer/tasks HTTP/1.1"), "{head}");
    for header in ["x-agent-api-key: agent-key-1", "x-idempotency-key: key-1", "x-attempt: 2", "x-step-id: fetch"] {
        assert!(head.contains(header), "{head}");
    }
    let body: Json = serde_json::from_str(body).unwrap();
    assert_eq!(
        body,
        json!({
            "mode": "build", "userMessage": "Write", "conversationId": "c1",
            "payload": {"task": "insights", "context": {"brand": "b"}}, "promptParameters": {"tone": "dry"},
            "orchestrationRunId": run(7).to_string(),
            "metadata": {"from": "test", "organizationSlug": "acme", "stepId": "fetch"}
        })
    );

    for (input, field, expected) in [
        (json!("just words"), "userMessage", json!("just words")),
        (json!([1, 2]), "payload", json!([1, 2])),
        (json!(null), "payload", json!({})),
    ] {
        performers.acting.act(&agent("converse", "writer", input), &call()).await.unwrap();
        let request = server.request(server.count() - 1);
        let body: Json = serde_json::from_str(request.split_once("\r\n\r\n").unwrap().1).unwrap();
        assert_eq!((&body[field], &body["mode"]), (&expected, &json!("converse")));
    }
}

#[tokio::test]
async fn agents_and_modes_that_are_not_there_are_permanent() {
    let limited = AgentConfig { modes: vec!["CONVERSE".into(), "PLAN".into()], ..at("http://127.0.0.1:1") };
    let performers = registered(vec![("finance-manager", limited.clone()), ("writer", limited)]);
    for (action, says) in [
        (agent("BUILD", "finance-manger", json!({})), "did you mean finance-manager?"),
        (agent("BUILD", "Writer", json!({})), "did you mean writer?"),
        (agent("BUILD", "researcher", json!({})), "registered are finance-manager, writer"),
        (agent("BUILD", "writer", json!({})), "does not support the mode BUILD; it supports CONVERSE, PLAN"),
        (agent("SING", "writer", json!({})), "CONVERSE, PLAN, BUILD, ORCHESTRATION"),
    ] {
        let failure = performers.acting.act(&action, &call()).await.unwrap_err();
        assert_eq!((failure.class, failure.status_code), (FailureClass::Permanent, None), "{failure}");
        assert!(failure.message.contains(says), "{failure}");
    }
    let failure = registered(vec![]).acting.act(&agent("PLAN", "writer", json!({})), &call()).await.unwrap_err();
    assert!(failure.message.contains("none is registered"), "{failure}");
}

#[tokio::test]
async fn what_agents_answer_is_classed() {
    use FailureClass::{Lost, Permanent, RateLimited, Timeout, Transient};
    for (act, class, status, says) in [
        (r#"{"success":false,"payload":{"content":"model overloaded"}}"#, Transient, 200, "model overloaded"),
        (r#"{"success":false,"payload":{"metadata":{"retryable":true,"reason":"later"}}}"#, Transient, 200, "later"),
        (r#"{"success":false,"payload":{"metadata":{"retryable":false,"error":"no"}}}"#, Permanent, 200, "no"),
        (r#"{"success":false,"payload":{"metadata":{"retryAfter":4}}}"#, RateLimited, 200, "no reason"),
        (
            r#"{"success":false,"humanResponse":{"message":"which budget?","reason":"r"}}"#,
            Permanent,
            200,
            "which budget?",
        ),
        (r#"{"success":true,"mode":"human_response","humanResponse":{"reason":"policy"}}"#, Permanent, 200, "policy"),
        (r#"{"ok":false,"error":"quota"}"#, Permanent, 200, "quota"),
        (r#"{"payload":{}}"#, Permanent, 200, "BAD_SCHEMA"),
        (r#"{"success":"yes"}"#, Permanent, 200, "BAD_SCHEMA"),
        ("<html>", Permanent, 200, "BAD_SCHEMA"),
    ]
    .map(|(body, class, status, says)| (answer("200 OK", &[], body), class, status, says))
    .into_iter()
    .chain([
        (Act::Hang, Timeout, 599, "agent writer did not answer within 300 ms"),
        (Act::Reset, Lost, 599, "agent writer"),
        (Act::Flood, Permanent, 200, "too large"),
        (answer("503 Service Unavailable", &["retry-after: 4"], ""), RateLimited, 503, "wait 4 s"),
        (answer("302 Found", &["location: http://127.0.0.1:1/"], ""), Permanent, 302, "302"),
    ]) {
        let failure = asked(act.clone(), if matches!(act, Act::Hang) { 300 } else { 20_000 }).await.unwrap_err();
        assert_eq!((failure.class, failure.status_code), (class, Some(status)), "{failure}");
        assert!(failure.message.contains(says) && failure.message.len() <= 2048, "{failure}");
        assert_eq!(failure.retry_after_ms, (class == RateLimited).then_some(4_000), "{failure}");
    }
    let fine = asked(answer("200 OK", &[], r#"{"success":true}"#), 20_000).await.unwrap();
    assert_eq!(fine.value, Json::Null);
}

#[tokio::test]
async fn an_agent_has_a_time_of_its_own_and_its_key_never_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key");
    std::fs::write(&file, KEY).unwrap();
    let server = Http::start(vec![
        Act::Hang,
        Act::Echo,
        answer("200 OK", &[], &format!(r#"{{"success":true,"payload":"key {KEY}"}}"#)),
    ])
    .await;
    let config =
        AgentConfig { timeout_ms: Some(300), api_key: Some(format!("file:{}", file.display())), ..at(&server.url) };
    let performers = registered(vec![("slow", config.clone())]);
    let act = async || performers.acting.act(&agent("PLAN", "slow", json!(null)), &call()).await;
    let failure = act().await.unwrap_err();
    assert!(failure.message.contains("within 300 ms") && failure.class == FailureClass::Timeout, "{failure}");
    let config = AgentConfig { timeout_ms: None, ..config };
    let performers = registered(vec![("slow", config)]);
    let act = async || performers.acting.act(&agent("PLAN", "slow", json!(null)), &call()).await;
    let failure = act().await.unwrap_err();
    assert!(failure.message.contains("BAD_SCHEMA") && !failure.message.contains(KEY), "{failure}");
    assert_eq!(act().await.unwrap().value, json!("key [secret]"));
}

fn llm(json: bool, model: Option<&str>, max_tokens: Option<u32>) -> Action {
    let (system, prompt) = (Some("You count.".to_owned()), "How many?".to_owned());
    Action::Llm { system, prompt, model: model.map(str::to_owned), max_tokens, json }
}

fn with_model(url: &str, max_input_bytes: usize) -> Performers {
    let llm = LlmConfig {
        base_url: format!("{url}/v1"),
        model: "small".into(),
        api_key: None,
        timeout_ms: 20_000,
        max_input_bytes,
    };
    build(EffectsConfig { llm: Some(llm), ..EffectsConfig::default() })
}

fn completion(content: &str, finish: &str) -> Act {
    let body = json!({
        "id": "r1", "choices": [{"message": {"content": content}, "finish_reason": finish}],
        "usage": {"prompt_tokens": 11, "completion_tokens": 3}
    });
    answer("200 OK", &[], &body.to_string())
}

#[tokio::test]
async fn a_model_is_asked_and_its_tokens_are_counted() {
    let server = Http::start(vec![completion("Three.", "stop"), completion("```json\n{\"n\": 3}\n```", "stop")]).await;
    let performers = with_model(&server.url, 4096);
    let outcome = performers.acting.act(&llm(false, None, None), &call()).await.unwrap();
    assert_eq!(outcome.value, json!({"text": "Three."}));
    let facts = [
        ("completion_tokens", "3"),
        ("finish_reason", "stop"),
        ("model", "small"),
        ("prompt_tokens", "11"),
        ("response_id", "r1"),
    ];
    assert_eq!(outcome.facts, facts.map(|(name, fact)| (name.to_owned(), fact.to_owned())).into());
    let outcome = performers.acting.act(&llm(true, Some("large"), Some(50)), &call()).await.unwrap();
    assert_eq!((outcome.value, outcome.facts["model"].as_str()), (json!({"n": 3}), "large"));
    let body = |at: usize| -> Json {
        let request = server.request(at);
        serde_json::from_str(request.split_once("\r\n\r\n").unwrap().1).unwrap()
    };
    let messages = json!([{"role": "system", "content": "You count."}, {"role": "user", "content": "How many?"}]);
    assert_eq!(
        (&body(0)["messages"], &body(0)["max_tokens"], &body(0)["response_format"]),
        (&messages, &Json::Null, &Json::Null)
    );
    assert_eq!((&body(1)["model"], &body(1)["max_tokens"]), (&json!("large"), &json!(50)));
    assert_eq!(body(1)["response_format"], json!({"type": "json_object"}));
}

#[tokio::test]
async fn answers_of_models_are_classed() {
    use FailureClass::{Permanent, RateLimited, Transient};
    for (act, json, class, says) in [
        (completion("no JSON at all", "stop"), true, Transient, "BAD_SCHEMA"),
        (completion("{\"n\": [1, 2,", "length"), true, Permanent, "raise max_tokens"),
        (completion(" ", "content_filter"), false, Permanent, "content_filter"),
        (answer("429 Too Many Requests", &["retry-after: 3"], ""), false, RateLimited, "wait 3 s"),
        (answer("200 OK", &[], "<html>"), false, Permanent, "no chat completion"),
        (Act::Flood, false, Permanent, "more than 4 MiB"),
        (Act::Reset, false, Transient, "model small at"),
    ] {
        let server = Http::start(vec![act]).await;
        let failure = with_model(&server.url, 4096).acting.act(&llm(json, None, None), &call()).await.unwrap_err();
        assert_eq!(failure.class, class, "{failure}");
        assert!(failure.message.contains(says), "{failure}");
    }
    let failure = with_model("http://127.0.0.1:1", 4096)
        .acting
        .act(
            &Action::Llm { system: None, prompt: "x".repeat(4097), model: None, max_tokens: None, json: false },
            &call(),
        )
        .await
        .unwrap_err();
    assert!(failure.message.contains("4097 bytes, and at most 4096"), "{failure}");
    let failure = build(EffectsConfig::default()).acting.act(&llm(false, None, None), &call()).await.unwrap_err();
    assert!(failure.message.contains("llm.base_url") && failure.class == Permanent, "{failure}");
}

/// An answer that was to be JSON and is none would come back as it is, were the next attempt to ask with the same seed.
#[tokio::test]
async fn each_attempt_for_json_has_a_seed_of_its_own() {
    let server = Http::start(vec![completion("1", "stop")]).await;
    let performers = with_model(&server.url, 4096);
    let mut seeds = Vec::new();
    for (json, attempt) in [(true, 1), (true, 2), (true, 2), (false, 1), (false, 2)] {
        performers.acting.act(&llm(json, None, None), &Call { attempt, ..call() }).await.unwrap();
        let request = server.request(server.count() - 1);
        let body: Json = serde_json::from_str(request.split_once("\r\n\r\n").unwrap().1).unwrap();
        seeds.push(body["seed"].as_u64().unwrap());
    }
    assert_ne!(seeds[0], seeds[1]);
    assert_eq!((seeds[1], seeds[3]), (seeds[2], seeds[4]));
}

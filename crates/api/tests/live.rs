//! Live events of a run: names and snapshots of the seed, resumed, kept alive, ended, over both protocols.

mod support;

use nightshift_api::{Limits, Options};
use serde_json::{Value, json};
use support::{ASKING, CHECKED, FAILING, HOLDING, Stage, TWO_STEPS, auth};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// One server-sent event.
#[derive(Debug, Clone, PartialEq)]
struct Sent {
    event: String,
    id: Option<u64>,
    data: Value,
}

fn sent(body: &str) -> Vec<Sent> {
    let field = |block: &str, name: &str| -> Option<String> {
        block.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")).map(str::to_owned))
    };
    let each = |block: &str| {
        let data = field(block, "data").map(|data| serde_json::from_str(&data).unwrap());
        Some(Sent { event: field(block, "event")?, id: field(block, "id").and_then(|id| id.parse().ok()), data: data? })
    };
    body.split("\n\n").filter_map(each).collect()
}

fn names(events: &[Sent]) -> Vec<&str> {
    events.iter().map(|event| event.event.strip_prefix("orchestration.").unwrap()).collect()
}

const WHOLE: [&str; 13] = [
    "run.created",
    "step.queued",
    "run.updated",
    "step.running",
    "run.updated",
    "step.completed",
    "run.updated",
    "step.queued",
    "step.running",
    "run.updated",
    "step.completed",
    "run.updated",
    "run.completed",
];

#[tokio::test]
async fn a_run_is_followed_from_its_first_event_to_its_end() {
    let stage = Stage::new().await;
    stage.register(TWO_STEPS).await;
    let run = stage.start(&json!({"name": "daily"})).await;
    let answer = stage.get("ns_agent", &format!("/api/orchestrations/{run}/events")).await;
    assert_eq!((answer.status, answer.headers["content-type"].as_str()), (200, "text/event-stream"));
    let events = sent(&answer.body);
    assert_eq!(names(&events), WHOLE);
    let last = &events[12];
    assert_eq!(last.data["run"]["stats"], json!({"totalSteps": 2, "completedSteps": 2, "progressPercentage": 100}));
    let half = &events[5].data;
    assert_eq!(
        (half["type"].as_str(), half["run"]["id"].as_str()),
        (Some("orchestration.step.completed"), Some(run.as_str()))
    );
    assert_eq!(half["run"]["stats"]["progressPercentage"], 50);
    assert_eq!((half["data"]["step"]["id"].as_str(), half["data"]["step"]["index"].as_u64()), (Some("one"), Some(0)));
    assert_eq!(half["data"]["nextSteps"], json!([{"id": "two"}]));
    assert_eq!(events[0].data["run"]["parameters"], json!({"topic": "sales"}));
    assert!(events[1..].iter().all(|event| event.data["run"].get("parameters").is_none()), "told once");
    let reasons: Vec<&str> = events.iter().filter_map(|event| event.data["data"]["reason"].as_str()).collect();
    assert_eq!(reasons, ["execution_started", "step_running", "step_completed", "step_running", "step_completed"]);
    // Whoever was cut off anywhere goes on there, and misses nothing.
    let path = format!("/api/orchestrations/{run}/events");
    for (place, event) in events.iter().enumerate().filter(|(_, event)| event.id.is_some()) {
        let id = event.id.unwrap().to_string();
        let rest = stage.send(("GET", &path), &[("x-api-key", "ns_agent"), ("last-event-id", &id)], "").await;
        if place == 12 {
            assert_eq!((rest.status, rest.body.as_str()), (204, ""), "nothing comes any more");
        } else {
            assert_eq!(sent(&rest.body), events[place + 1..], "behind {id}");
        }
    }
    let wrong = stage.send(("GET", &path), &[("x-api-key", "ns_agent"), ("last-event-id", "x")], "").await;
    assert_eq!(wrong.refusal(), (400, "BAD_REQUEST".to_owned()));
}

#[tokio::test]
async fn a_failure_and_a_question_have_their_events() {
    let stage = Stage::new().await;
    stage.register(FAILING).await;
    stage.register(ASKING).await;
    let failing = stage.start(&json!({"name": "failing"})).await;
    let events = sent(&stage.get("ns_agent", &format!("/api/orchestrations/{failing}/events")).await.body);
    let told = names(&events);
    assert!(told.contains(&"step.failed") && told.last() == Some(&"run.failed"), "{told:?}");
    assert_eq!(events.last().unwrap().data["data"]["error"]["message"], "made up");
    let asking = stage.start(&json!({"name": "asking"})).await;
    stage.system.settled().await;
    let open = stage.get("ns_operator", "/api/orchestrations/approvals").await.data();
    let decide = format!("/api/orchestrations/approvals/{}/decision", open["items"][0]["id"].as_str().unwrap());
    assert_eq!(stage.post("ns_operator", &decide, &json!({"decision": "abort", "notes": "no"})).await.status, 200);
    let events = sent(&stage.get("ns_agent", &format!("/api/orchestrations/{asking}/events")).await.body);
    let requested = events.iter().find(|event| event.event == "orchestration.checkpoint.requested").unwrap();
    assert_eq!(
        (requested.data["run"]["status"].as_str(), requested.data["data"]["checkpointId"].as_str()),
        (Some("checkpoint"), Some("check-checkpoint"))
    );
    let resolved = events.iter().find(|event| event.event == "orchestration.checkpoint.resolved").unwrap();
    assert_eq!(
        (resolved.data["data"]["decision"].as_str(), resolved.data["data"]["decidedBy"].as_str()),
        (Some("abort"), Some("operator"))
    );
    assert_eq!(events.last().unwrap().event, "orchestration.run.failed");
}

/// The seed told the end of a checked step twice.
#[tokio::test]
async fn a_step_that_is_checked_is_complete_once() {
    let stage = Stage::new().await;
    stage.register(CHECKED).await;
    let run = stage.start(&json!({"name": "checked"})).await;
    stage.system.settled().await;
    let open = stage.get("ns_operator", "/api/orchestrations/approvals").await.data();
    let decide = format!("/api/orchestrations/approvals/{}/decision", open["items"][0]["id"].as_str().unwrap());
    assert_eq!(stage.post("ns_operator", &decide, &json!({"decision": "continue"})).await.status, 200);
    let events = sent(&stage.get("ns_agent", &format!("/api/orchestrations/{run}/events")).await.body);
    let told = names(&events);
    let count = |name: &str| told.iter().filter(|told| **told == name).count();
    assert_eq!((count("step.completed"), count("run.completed"), count("checkpoint.resolved")), (2, 1, 1), "{told:?}");
    let complete: Vec<&Value> = events
        .iter()
        .filter(|event| event.event == "orchestration.step.completed")
        .map(|event| &event.data["data"]["step"]["id"])
        .collect();
    assert_eq!(complete, ["one", "two"]);
}

/// Reads until the text has come.
async fn until(stream: &mut TcpStream, text: &str) -> String {
    let mut whole = Vec::new();
    let mut bytes = [0; 4_096];
    loop {
        let read = stream.read(&mut bytes).await.unwrap();
        whole.extend_from_slice(&bytes[..read]);
        let said = String::from_utf8_lossy(&whole).into_owned();
        if said.contains(text) {
            return said;
        }
        assert!(read > 0, "it ended before {text:?} came: {said}");
    }
}

#[tokio::test]
async fn a_silent_stream_is_kept_alive_and_woken_by_what_happens() {
    let stage = Stage::new().await;
    stage.register(HOLDING).await;
    let run = stage.start(&json!({"name": "holding"})).await;
    let path = format!("/api/orchestrations/{run}/events");
    let mut stream = stage.open(("GET", &path), &[("x-api-key", "ns_agent")], "").await;
    let begun = until(&mut stream, "step_running").await;
    assert!(!begun.contains("keep-alive"), "{begun}");
    for _ in 0..2 {
        stage.clock.advance_ms(15_000);
        let alive = until(&mut stream, ": keep-alive").await;
        assert!(!alive.contains("event:"), "{alive}");
    }
    stage.world.go.notify_one();
    let ended = until(&mut stream, "run.completed").await;
    assert!(ended.contains("step.completed"));
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await.unwrap();
}

#[tokio::test]
async fn streams_are_bounded_and_end_with_the_service() {
    let limits = Limits { streams_max: 1, ..Limits::default() };
    let stage = Stage::with(Options { auth: auth(), limits, ..Options::default() }).await;
    stage.register(HOLDING).await;
    let run = stage.start(&json!({"name": "holding"})).await;
    let path = format!("/api/orchestrations/{run}/events");
    let mut stream = stage.open(("GET", &path), &[("x-api-key", "ns_agent")], "").await;
    until(&mut stream, "step_running").await;
    let second = stage.get("ns_agent", &path).await;
    assert_eq!(second.refusal(), (429, "RATE_LIMITED".to_owned()));
    stage.stop.send_replace(true);
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await.unwrap();
}

/// Text messages of a WebSocket, up to its close. The server's frames are not masked.
async fn messages(stream: &mut TcpStream) -> Vec<Value> {
    let mut found = Vec::new();
    loop {
        let mut head = [0; 2];
        stream.read_exact(&mut head).await.unwrap();
        let length = match head[1] {
            126 => u64::from(stream.read_u16().await.unwrap()),
            127 => stream.read_u64().await.unwrap(),
            short => u64::from(short),
        };
        let mut payload = vec![0; usize::try_from(length).unwrap()];
        stream.read_exact(&mut payload).await.unwrap();
        match head[0] & 0x0f {
            1 => found.push(serde_json::from_slice(&payload).unwrap()),
            8 => return found,
            _ => {}
        }
    }
}

#[tokio::test]
async fn a_websocket_tells_the_same_and_closes_at_the_end() {
    let stage = Stage::new().await;
    stage.register(TWO_STEPS).await;
    let run = stage.start(&json!({"name": "daily"})).await;
    let upgrade = [
        ("x-api-key", "ns_agent"),
        ("connection", "Upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    let open = async |path: &str| {
        let mut stream = stage.open(("GET", path), &upgrade, "").await;
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        let head = String::from_utf8(head).unwrap();
        assert!(head.starts_with("HTTP/1.1 101") && head.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{head}");
        stream
    };
    let path = format!("/api/orchestrations/{run}/ws");
    let all = messages(&mut open(&path).await).await;
    let said: Vec<&str> =
        all.iter().map(|message| message["event"].as_str().unwrap().strip_prefix("orchestration.").unwrap()).collect();
    assert_eq!(said, WHOLE);
    let id = all[5]["id"].as_u64().or(all[6]["id"].as_u64()).unwrap();
    let rest = messages(&mut open(&format!("{path}?lastEventId={id}")).await).await;
    assert_eq!(rest, all[7..]);
    let plain = stage.get("ns_agent", &path).await;
    assert_eq!(plain.refusal(), (400, "BAD_REQUEST".to_owned()), "no upgrade");
    let other = stage.get("ns_other", &path).await;
    assert!([400, 404].contains(&other.status));
    let mut gone = open(&path).await;
    gone.shutdown().await.unwrap();
}

/// Browsers cannot send headers with an `EventSource`.
#[tokio::test]
async fn a_token_in_the_address_opens_one_runs_streams_until_its_end() {
    let stage = Stage::new().await;
    stage.register(TWO_STEPS).await;
    let run = stage.start(&json!({"name": "daily"})).await;
    let other = stage.start(&json!({"name": "daily", "parameters": {"topic": "b"}})).await;
    let make = format!("/api/orchestrations/{run}/stream-token");
    assert_eq!(stage.post("ns_other", &make, &Value::Null).await.refusal(), (404, "NOT_FOUND".to_owned()));
    let made = stage.post("ns_agent", &make, &Value::Null).await.data();
    let token = made["token"].as_str().unwrap().to_owned();
    let bare = async |path: String| stage.send(("GET", &path), &[], "").await;
    let followed = bare(format!("/api/orchestrations/{run}/events?token={token}")).await;
    assert_eq!(names(&sent(&followed.body)), WHOLE);
    let of_operator = stage.post("ns_operator", &make, &Value::Null).await.data();
    let seen = bare(format!("/api/orchestrations/{run}/events?token={}", of_operator["token"].as_str().unwrap())).await;
    assert_eq!(seen.status, 200);
    let (said, tag) = token.split_once('.').unwrap();
    let swapped = of_operator["token"].as_str().unwrap().split_once('.').unwrap().0;
    for (path, why) in [
        (format!("/api/orchestrations/{other}/events?token={token}"), "another run"),
        (format!("/api/orchestrations/{run}/events?token={said}.{}", &tag[1..]), "changed"),
        (format!("/api/orchestrations/{run}/events?token={swapped}.{tag}"), "changed"),
        (format!("/api/orchestrations/{run}/ws?token={said}"), "changed"),
        (format!("/api/orchestrations/{run}/events?token="), "changed"),
        (format!("/api/orchestrations/{run}?token={token}"), "Authorization"),
        (format!("/api/orchestrations?token={token}"), "Authorization"),
    ] {
        let answer = bare(path.clone()).await;
        assert_eq!(answer.refusal(), (401, "UNAUTHORIZED".to_owned()), "{path}");
        assert!(answer.body.contains(why) && !answer.body.contains(said), "{path}: {}", answer.body);
    }
    // What the token may is to look: it cannot make another one.
    assert_eq!(stage.send(("POST", &format!("{make}?token={token}")), &[], "").await.status, 401);
    stage.clock.advance_ms(300_000);
    let late = bare(format!("/api/orchestrations/{run}/events?token={token}")).await;
    assert!(late.refusal().0 == 401 && late.body.contains("past its end"), "{}", late.body);
}

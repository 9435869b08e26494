//! The daemon from end to end, as processes: mail, webhooks, traces, metrics, health, the control door, models.
//!
//! Owns: what arrives on the other side of each. What a killed daemon leaves behind is in `torture.rs`.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{ErrorKind, Write},
    process::{Command, Stdio},
    time::Duration,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use nightshift_tests::{
    Stopwatch,
    daemon::{Daemon, Signal},
    eventually,
    http::{Answer, Asked, Web, ask},
    sink::Sink,
    world::World,
};
use serde_json::Value;
use sha2::{Digest, Sha256};

const LIMIT: Duration = Duration::from_secs(60);

/// An order over the folder `notes`, with more lines of YAML.
fn order(world: &World, title: &str, rest: &str) -> String {
    world.write("notes/a.md", "# Parser\n\nThe parser was rewritten and is twice as fast as before.\n");
    let yaml = format!("title: {title}\ntype: custom\nsources:\n  - folder: notes\n{rest}");
    world.order("order.yaml", &yaml)
}

fn text<'v>(row: &'v Value, column: &str) -> &'v str {
    row[column].as_str().unwrap_or_default()
}

/// The newest version, once it is as wanted.
#[track_caller]
fn version_when(world: &World, id: &str, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    let mut last = Value::Null;
    let found = nightshift_tests::within(LIMIT, || {
        last = world.node.rows(&["version", "list", id]).first().cloned().unwrap_or_default();
        wanted(&last).then(|| last.clone())
    });
    found.unwrap_or_else(|| panic!("never {what}: {last:#}"))
}

fn is_delivered(row: &Value) -> bool {
    text(row, "delivery_status") == "delivered"
}

fn run_now(world: &World, id: &str) {
    let done = world.node.run(&["deliverable", "run", id, "--force"]).ok();
    assert!(done.out.contains("begun by the daemon"), "{}", done.out);
}

/// Runs of the deliverable by definition, e.g. `deliverable.produce@1`.
fn runs(world: &World, definition: &str) -> Vec<Value> {
    let rows = world.node.rows(&["run", "list", "--limit", "1000"]);
    rows.into_iter().filter(|row| text(row, "definition") == definition).collect()
}

fn smtp_sink(world: &mut World) -> Sink {
    let sink = Sink::start(env!("CARGO_BIN_EXE_smtp-sink"));
    let from = "Nightshift <nightshift@example.org>";
    let node = world.node.clone().with("smtp.host", "127.0.0.1").with("smtp.port", &sink.addresses["port"]);
    world.node = node.with("smtp.tls", "none").with("smtp.from", from);
    sink
}

/// A header of a mail, and `None` where it has none.
fn header(mail: &Value, name: &str) -> Option<String> {
    let head = text(mail, "data").split("\n\n").next().unwrap_or_default();
    let line = head.lines().find(|line| line.to_lowercase().starts_with(&format!("{}:", name.to_lowercase())))?;
    line.split_once(':').map(|(_, value)| value.trim().to_owned())
}

#[test]
fn documents_and_notices_go_by_mail_and_a_busy_server_is_asked_again() {
    let mut world = World::sqlite();
    let sink = smtp_sink(&mut world);
    let rest = "destination:\n  email: [busy@example.org, team@example.org]\nnotify: [ops@example.org]\n";
    let id = order(&world, "Mailed", rest);
    let mut daemon = world.node.serve();
    let _ = daemon.address();
    run_now(&world, &id);
    version_when(&world, &id, "staged", |row| text(row, "status") == "staged");
    let to = |mail: &Value, whom: &str| mail["to"].as_array().is_some_and(|to| to.iter().any(|it| it == whom));
    let mails = sink.until("the notice", |mails| mails.iter().any(|mail| to(mail, "ops@example.org")));
    assert_eq!(header(&mails[0], "subject").as_deref(), Some("Mailed: version 1 is ready for review"));
    assert_eq!(text(&mails[0], "from"), "nightshift@example.org");

    let _ = world.node.json(&["version", "approve", &id, "1"]);
    let row = version_when(&world, &id, "delivered", is_delivered);
    let mails = sink.until("the document", |mails| mails.iter().any(|mail| to(mail, "team@example.org")));
    let documents: Vec<&Value> = mails.iter().filter(|mail| to(mail, "team@example.org")).collect();
    assert_eq!(documents.len(), 1, "the refused transaction sent nothing");
    assert!(to(documents[0], "busy@example.org"));
    assert_eq!(header(documents[0], "message-id").as_deref(), Some(text(&row, "delivery_external_id")));
    assert!(text(documents[0], "data").contains("twice as fast"), "{}", documents[0]);
    let delivery = &runs(&world, "deliverable.deliver@1")[0];
    let shown = world.node.json(&["run", "show", text(delivery, "id")]).to_string();
    assert!(shown.contains("transient") && shown.contains("come back later"), "{shown}");
    daemon.stop();
}

#[test]
fn a_recipient_that_is_refused_for_good_fails_the_delivery_at_once() {
    let mut world = World::sqlite();
    let sink = smtp_sink(&mut world);
    let id = order(&world, "Refused", "destination:\n  email: [refuse@example.org]\ngovernance: full_auto\n");
    let mut daemon = world.node.serve();
    let _ = daemon.address();
    run_now(&world, &id);
    let row = version_when(&world, &id, "failed", |row| text(row, "delivery_status") == "failed");
    assert!(text(&row, "delivery_error").contains("nobody of that name"), "{row:#}");
    assert_eq!(text(&row, "status"), "approved", "the document is there and can be delivered again");
    assert_eq!(sink.arrived(), Vec::<Value>::new());
    daemon.stop();
}

/// HMAC-SHA256 as in RFC 2104, written here so that the program's own is checked by another.
fn hmac(key: &[u8], message: &[u8]) -> Vec<u8> {
    let mut block = [0_u8; 64];
    let key = if key.len() > 64 { Sha256::digest(key).to_vec() } else { key.to_vec() };
    block[..key.len()].copy_from_slice(&key);
    let pad = |with: u8| block.map(|byte| byte ^ with);
    let inner = Sha256::new().chain_update(pad(0x36)).chain_update(message).finalize();
    Sha256::new().chain_update(pad(0x5c)).chain_update(inner).finalize().to_vec()
}

#[test]
fn a_webhook_is_signed_and_refusals_are_tried_again_under_the_same_key() {
    let hooks = Web::start(|_, before| match before {
        0 => Answer::new(503, "").with("retry-after", "1"),
        1 => Answer::new(429, "slow down").with("retry-after", "1"),
        _ => Answer::new(200, "{\"id\": \"taken-7\"}"),
    });
    let mut world = World::sqlite();
    let key = STANDARD.encode(b"a key of this test alone");
    world.node = world.node.clone().with_env("HOOK_SECRET", &format!("whsec_{key}"));
    let rest =
        format!("destination:\n  webhook: {}\n  secret: env:HOOK_SECRET\ngovernance: full_auto\n", hooks.url("/in"));
    let id = order(&world, "Signed", &rest);
    let mut daemon = world.node.serve();
    let _ = daemon.address();
    run_now(&world, &id);
    let row = version_when(&world, &id, "delivered", is_delivered);
    assert_eq!(text(&row, "delivery_external_id"), "taken-7");
    let exchanges = hooks.exchanges();
    assert_eq!(exchanges.iter().map(|(_, status)| *status).collect::<Vec<_>>(), [503, 429, 200]);
    let keys: BTreeSet<&str> = exchanges.iter().map(|(asked, _)| asked.header("webhook-id")).collect();
    assert_eq!(keys.len(), 1, "{keys:?}");
    for (nth, (asked, _)) in exchanges.iter().enumerate() {
        let signed = format!("{}.{}.{}", asked.header("webhook-id"), asked.header("webhook-timestamp"), asked.body);
        let wanted = format!("v1,{}", STANDARD.encode(hmac(b"a key of this test alone", signed.as_bytes())));
        assert_eq!(asked.header("webhook-signature"), wanted);
        assert_eq!(asked.header("x-attempt"), (nth + 1).to_string());
        let body: Value = serde_json::from_str(&asked.body).expect("JSON");
        assert_eq!(body["data"]["version_id"], row["id"]);
        assert_eq!(body["data"]["digest"], format!("sha256:{}", text(&row, "content_digest")));
    }
    let everything = format!("{}{}", daemon.log(), world.node.json(&["deliverable", "show", &id]));
    assert!(!everything.contains(&key), "the secret is shown nowhere");
    daemon.stop();
}

/// Spans by id; the same id twice must be the same span.
fn spans(arrived: &[Value]) -> BTreeMap<String, Value> {
    let mut spans: BTreeMap<String, Value> = BTreeMap::new();
    for span in arrived.iter().flat_map(|line| line["spans"].as_array().cloned().unwrap_or_default()) {
        let id = text(&span, "span_id").to_owned();
        let same = |before: &Value| ["trace_id", "parent_span_id", "name"].iter().all(|key| before[*key] == span[*key]);
        assert!(spans.get(&id).is_none_or(same), "two spans of one id: {span:#}");
        spans.insert(id, span);
    }
    spans
}

/// One trace, one root, no span without its parent.
fn assert_one_tree(spans: &BTreeMap<String, Value>, trace_id: &str) {
    assert!(spans.values().all(|span| text(span, "trace_id") == trace_id), "{trace_id}: {spans:#?}");
    let roots = spans.values().filter(|span| text(span, "parent_span_id").is_empty()).count();
    assert_eq!(roots, 1, "{spans:#?}");
    let orphan = spans.values().find(|span| {
        let parent = text(span, "parent_span_id");
        !parent.is_empty() && !spans.contains_key(parent)
    });
    assert!(orphan.is_none(), "{orphan:#?} of {spans:#?}");
}

/// What the other side was sent as `traceparent` names the span of the attempt that asked.
fn assert_named_as_parent(spans: &BTreeMap<String, Value>, name: &str, web: &Web) {
    let exchanges = web.exchanges();
    assert!(!exchanges.is_empty());
    for (asked, _) in &exchanges {
        let attempt: i64 = asked.header("x-attempt").parse().expect("the number of the attempt");
        let same = |span: &&Value| text(span, "name") == name && span["attributes"]["attempt"] == attempt;
        let span = spans.values().find(same).unwrap_or_else(|| panic!("no {name} {attempt} in {spans:#?}"));
        let expected = format!("00-{}-{}-01", text(span, "trace_id"), text(span, "span_id"));
        assert_eq!(asked.header("traceparent"), expected, "{name}, attempt {attempt}");
    }
}

#[test]
fn a_model_is_told_the_span_that_asks_it() {
    let receiver = Sink::start(env!("CARGO_BIN_EXE_otlp-receiver"));
    let web = Web::start(|asked, before| if before == 0 { Answer::new(500, "busy") } else { chat(asked, 3) });
    let mut world = with_model(&web);
    world.node = world.node.clone().with("telemetry.otlp_endpoint", text(&receiver.addresses, "grpc"));
    let id = order(&world, "Asked", "governance: manual\n");
    let mut daemon = world.node.serve();
    let _ = daemon.address();
    run_now(&world, &id);
    version_when(&world, &id, "staged", |row| text(row, "status") == "staged");
    let arrived = receiver.until("the spans of the run", |arrived| {
        spans(arrived).values().any(|span| text(span, "name") == "run.complete")
    });
    assert_eq!(web.exchanges().len(), 2, "asked again under the next attempt");
    assert_named_as_parent(&spans(&arrived), "step compose", &web);
    daemon.stop();
}

/// Killed while the other side has the delivery and has not answered: what is exported before and after is one tree.
fn one_tree_over_a_restart(protocol: &str) {
    let receiver = Sink::start(env!("CARGO_BIN_EXE_otlp-receiver"));
    let hooks = Web::start(|_, before| if before == 0 { Answer::never() } else { Answer::new(200, "") });
    let mut world = World::sqlite();
    let node = world.node.clone().with("telemetry.otlp_endpoint", text(&receiver.addresses, protocol));
    world.node = node.with("telemetry.otlp_protocol", protocol);
    let rest = format!("destination:\n  webhook: {}\ngovernance: full_auto\n", hooks.url("/in"));
    let id = order(&world, "Traced", &rest);
    let mut first = world.node.serve();
    let _ = first.address();
    run_now(&world, &id);
    eventually("the delivery to be under way", LIMIT, || (!hooks.exchanges().is_empty()).then_some(()));
    let names =
        |arrived: &[Value]| spans(arrived).values().map(|span| text(span, "name").to_owned()).collect::<Vec<_>>();
    let done = |arrived: &[Value], count: usize| {
        names(arrived).iter().filter(|name| name.as_str() == "run.complete").count() >= count
    };
    let before = receiver.until("the spans of the production", |arrived| done(arrived, 1)).len();
    assert!(first.kill9());
    let mut second = world.node.serve();
    version_when(&world, &id, "delivered", is_delivered);
    let arrived = receiver.until("the spans of the delivery", |arrived| done(arrived, 2));
    assert!(arrived.len() > before);
    let made = runs(&world, "deliverable.produce@1");
    let (spans, trace) = (spans(&arrived), text(&made[0], "trace_id").to_owned());
    assert_one_tree(&spans, &trace);
    let attempts: BTreeSet<i64> = spans
        .values()
        .filter(|span| text(span, "name") == "step deliver")
        .filter_map(|span| span["attributes"]["attempt"].as_i64())
        .collect();
    assert_eq!(attempts, BTreeSet::from([1, 2]), "the lost attempt and the one that did it");
    assert_named_as_parent(&spans, "step deliver", &hooks);
    for step in ["run", "step gather", "step compose", "step validate"] {
        assert!(names(&arrived).iter().any(|name| name == step), "{step} in {:?}", names(&arrived));
    }
    let _ = second.address();
    second.stop();
}

#[test]
fn one_trace_over_a_restart_by_grpc() {
    one_tree_over_a_restart("grpc");
}

#[test]
fn one_trace_over_a_restart_by_http() {
    one_tree_over_a_restart("http");
}

#[test]
fn a_collector_that_is_down_holds_nothing_up() {
    let mut world = World::sqlite();
    world.folder("out");
    world.node = world.node.clone().with("telemetry.otlp_endpoint", "http://127.0.0.1:9");
    let id = order(&world, "Untraced", "destination:\n  file: out\ngovernance: full_auto\n");
    let mut daemon = world.node.serve();
    let _ = daemon.address();
    run_now(&world, &id);
    version_when(&world, &id, "delivered", is_delivered);
    daemon.stop();
}

/// What `promtool check metrics` says; none on a laptop that has no promtool. In CI it must be there.
#[expect(clippy::disallowed_methods, reason = "promtool is a program; CI is told by the environment")]
fn promtool(metrics: &str) -> Option<(bool, String)> {
    let mut command = Command::new("promtool");
    command.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = match command.spawn() {
        Err(error) if error.kind() == ErrorKind::NotFound && std::env::var_os("CI").is_none() => {
            eprintln!("not checked with promtool: it is not in PATH; scripts/setup installs it");
            return None;
        }
        spawned => spawned.expect("promtool runs (scripts/setup installs it)"),
    };
    child.stdin.take().expect("stdin is piped").write_all(metrics.as_bytes()).expect("promtool reads");
    let output = child.wait_with_output().expect("promtool ends");
    let said = [output.stdout, output.stderr].concat();
    Some((output.status.success(), String::from_utf8_lossy(&said).into_owned()))
}

#[test]
fn health_readiness_and_metrics_are_served() {
    let world = World::sqlite();
    world.folder("out");
    let id = order(&world, "Measured", "destination:\n  file: out\ngovernance: full_auto\n");
    let mut daemon = world.node.serve();
    let (status, health) = daemon.get_json("/healthz");
    assert_eq!((status, text(&health, "status")), (200, "ok"));
    let (status, ready) = daemon.get_json("/readyz");
    assert_eq!((status, &ready["ready"]), (200, &Value::Bool(true)), "{ready}");
    run_now(&world, &id);
    version_when(&world, &id, "delivered", is_delivered);
    let (status, metrics) = daemon.get("/metrics");
    assert_eq!(status, 200);
    assert!(metrics.contains("# TYPE") && metrics.lines().count() > 30, "{metrics}");
    if let Some(said) = promtool(&metrics) {
        assert_eq!(said, (true, String::new()));
    }
    assert_eq!(daemon.get("/nothing/here").0, 404);
    daemon.stop();
}

#[test]
fn commands_reach_the_daemon_through_its_door_and_strangers_do_not() {
    let world = World::sqlite();
    world.folder("out");
    let mut daemon = world.node.serve();
    let address = daemon.address();
    let id = order(&world, "Through the door", "schedule:\n  every: 1h\ndestination:\n  file: out\n");
    let paused = world.node.json(&["deliverable", "pause", &id, "--note", "not now"]);
    assert_eq!((text(&paused, "status"), text(&paused, "pause_note")), ("paused", "not now"));
    assert_eq!(text(&world.node.json(&["deliverable", "resume", &id]), "status"), "active");
    run_now(&world, &id);
    version_when(&world, &id, "staged", |row| text(row, "status") == "staged");
    assert!(world.node.run(&["explain", "Through the door"]).ok().out.contains(&id));

    let token = world.path("data/control.token");
    let right = std::fs::read_to_string(&token).expect("the daemon wrote its token");
    let queue = |token: &str| {
        ask(&address, ("GET", "/api/control/queue"), &[("authorization", token)], "").expect("answered").0
    };
    let wrong = format!("Bearer {}", "0".repeat(right.len()));
    assert_eq!([&format!("Bearer {right}"), &wrong, "Bearer ", "", &right].map(queue), [200, 401, 401, 401, 401]);
    let put = ask(&address, ("PUT", "/api/control/blob"), &[("authorization", &wrong)], "text").expect("answered");
    assert_eq!(put.0, 401);
    std::fs::write(&token, "0".repeat(right.len())).expect("written");
    let refused = world.node.run(&["deliverable", "archive", &id]);
    assert_ne!(refused.code, 0, "{}", refused.out);
    assert!(refused.err.contains("token"), "{}", refused.err);
    assert_eq!(text(&world.node.rows(&["deliverable", "list"])[0], "status"), "active");
    std::fs::remove_file(&token).expect("removed");
    let refused = world.node.run(&["deliverable", "archive", &id]);
    assert_eq!(refused.code, 73, "{}", refused.err);
    assert!(refused.err.contains("control.token"), "{}", refused.err);
    daemon.stop();
    assert_eq!(
        text(&world.node.json(&["deliverable", "archive", &id]), "status"),
        "archived",
        "without a daemon, by itself"
    );
}

#[test]
fn a_daemon_that_is_asked_to_end_ends_soon_and_takes_up_its_work_again() {
    let hooks = Web::start(|_, before| if before == 0 { Answer::never() } else { Answer::new(200, "") });
    let world = World::sqlite();
    let rest = format!("destination:\n  webhook: {}\ngovernance: full_auto\n", hooks.url("/in"));
    let id = order(&world, "Interrupted", &rest);
    for signal in [Signal::TERM, Signal::INT] {
        let mut daemon = world.node.serve();
        let _ = daemon.address();
        if signal == Signal::TERM {
            run_now(&world, &id);
            eventually("the delivery to be under way", LIMIT, || (!hooks.exchanges().is_empty()).then_some(()));
        } else {
            version_when(&world, &id, "delivered", is_delivered);
        }
        let watch = Stopwatch::start();
        daemon.signal(signal);
        assert_eq!(daemon.end().code(), Some(0), "{}", daemon.log());
        assert!(watch.elapsed() < Duration::from_secs(15), "{:?} with an unanswered delivery", watch.elapsed());
    }
    let keys: BTreeSet<String> =
        hooks.exchanges().iter().map(|(asked, _)| asked.header("webhook-id").to_owned()).collect();
    assert_eq!((keys.len(), hooks.exchanges().len()), (1, 2));
}

#[test]
fn cron_can_drive_it_by_single_passes() {
    let world = World::sqlite();
    world.folder("out");
    let id = order(&world, "Ticked", "schedule:\n  every: 1s\ndestination:\n  file: out\ngovernance: full_auto\n");
    eventually("a pass that finds the slot due", LIMIT, || {
        let done = world.node.json(&["tick"]);
        assert!(done["events"].is_u64(), "{done}");
        (!world.node.rows(&["version", "list", &id]).is_empty()).then_some(())
    });
    let row = &world.node.rows(&["version", "list", &id])[0];
    assert!(is_delivered(row), "a pass does all that follows from it: {row:#}");
    eventually("a pass that finds nothing new", LIMIT, || {
        let _ = world.node.json(&["tick"]);
        let order = world.node.json(&["deliverable", "show", &id]);
        text(&order["deliverable"], "last_skip_reason").contains("No new content").then_some(())
    });
    assert_eq!(world.node.rows(&["version", "list", &id]).len(), 1);
    assert_eq!(world.node.json(&["verify"])["clean"], true);
}

/// A chat endpoint that fails in every class before it answers.
fn chat(asked: &Asked, before: usize) -> Answer {
    match before {
        0 => Answer::new(429, "{\"error\": {\"message\": \"too many\"}}").with("retry-after", "1"),
        1 => Answer::new(500, "{\"error\": {\"message\": \"broken\"}}"),
        2 => Answer::never(),
        _ => {
            assert!(asked.body.contains("twice as fast"), "the material is in the prompt: {}", asked.body);
            let answer = serde_json::json!({
                "id": "chat-1",
                "choices": [{"message": {"role": "assistant", "content": "# Brief\n\nThe parser is faster."}, "finish_reason": "stop"}],
                "usage": {"prompt_tokens": 321, "completion_tokens": 12},
            });
            Answer::new(200, answer.to_string()).with("content-type", "application/json")
        }
    }
}

/// A world whose documents are written by a model at `web`.
fn with_model(web: &Web) -> World {
    let mut world = World::sqlite();
    let node =
        world.node.clone().with("llm.base_url", web.url("/v1")).with("llm.model", "small").with("llm.timeout", "1s");
    world.node = node.with("llm.api_key", "env:MODEL_KEY").with_env("MODEL_KEY", "sk-of-this-test");
    world
}

#[test]
fn a_model_that_fails_in_every_way_is_asked_again_and_its_tokens_are_counted() {
    let web = Web::start(chat);
    let world = with_model(&web);
    let id = order(&world, "By a model", "governance: manual\n");
    let mut daemon = world.node.serve();
    let _ = daemon.address();
    run_now(&world, &id);
    let row = version_when(&world, &id, "staged", |row| text(row, "status") == "staged");
    let made = row["analyst_metadata"].to_string();
    for part in ["\"small\"", "321", "12", "chat-1"] {
        assert!(made.contains(part), "{part} in {made}");
    }
    assert!(world.node.run(&["version", "show", &id]).ok().out.contains("The parser is faster."));
    let run = &runs(&world, "deliverable.produce@1")[0];
    let shown = world.node.json(&["run", "show", text(run, "id")]).to_string();
    for class in ["rate", "transient", "timeout"] {
        assert!(shown.contains(class), "{class} in {shown}");
    }
    let exchanges = web.exchanges();
    assert_eq!(exchanges.iter().map(|(_, status)| *status).collect::<Vec<_>>(), [429, 500, 0, 200]);
    let keys: BTreeSet<&str> = exchanges.iter().map(|(asked, _)| asked.header("x-idempotency-key")).collect();
    assert_eq!(keys.len(), 1, "the same effect under the same key: {keys:?}");
    assert!(exchanges.iter().all(|(asked, _)| asked.header("authorization") == "Bearer sk-of-this-test"));
    assert!(exchanges.iter().all(|(asked, _)| asked.path == "/v1/chat/completions"));
    let everything = format!("{}{shown}{made}", daemon.log());
    assert!(!everything.contains("sk-of-this-test"), "the key is shown nowhere");
    daemon.stop();
}

#[test]
fn a_page_where_a_model_should_be_fails_the_version_and_says_so() {
    let web =
        Web::start(|_, _| Answer::new(200, "<html><body>Log in first</body></html>").with("content-type", "text/html"));
    let world = with_model(&web);
    let id = order(&world, "By a page", "governance: manual\n");
    let mut daemon: Daemon = world.node.serve();
    let _ = daemon.address();
    run_now(&world, &id);
    let row = version_when(&world, &id, "failed", |row| text(row, "status") == "failed");
    assert!(row["analyst_metadata"].to_string().contains("no chat completion"), "{row:#}");
    assert_eq!(web.exchanges().len(), 1, "what will not go away is not asked again");
    let _ = world.node.json(&["verify"]);
    daemon.stop();
}

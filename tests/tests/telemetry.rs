//! Traces to a collector process over loopback, by gRPC and by HTTP, and the text of a scrape under promtool.
//!
//! Owns: what arrives on the other side. The fold of events to spans and numbers is tested beside it, in `telemetry`.

#[path = "../../crates/telemetry/tests/history/mod.rs"]
mod history;

use std::{
    io::{BufRead, BufReader, ErrorKind, Write},
    net::TcpListener,
    process::{Child, Command, Stdio},
    sync::mpsc,
    time::Duration,
};

use history::{History, delivery, eventful};
use nightshift_telemetry::{
    export::{ExportConfig, ExportError, Exporter, Protocol},
    metrics::{BuildInfo, Metrics},
    spans::{SpanRecord, run_span_id, spans_of, spans_since, trace_id},
};
use serde_json::Value;

const BOTH: [Protocol; 2] = [Protocol::Grpc, Protocol::Http];

/// The collector's process. A thread of its own reads what it writes: a full pipe would stop it in mid-answer.
struct Receiver {
    child: Child,
    lines: mpsc::Receiver<String>,
    addresses: Value,
}

impl Receiver {
    #[expect(clippy::disallowed_methods, reason = "the collector is a process of its own")]
    fn start() -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_otlp-receiver"));
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the receiver starts");
        let stdout = BufReader::new(child.stdout.take().expect("stdout is piped"));
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        let mut it = Self { child, lines, addresses: Value::Null };
        it.addresses = it.line();
        it
    }

    /// The next line; the receiver writes it before it answers, so after an export it is there.
    fn line(&mut self) -> Value {
        let line = self.lines.recv_timeout(Duration::from_secs(20)).expect("the receiver wrote a line");
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("the receiver wrote {line:?}: {error}"))
    }

    fn config(&self, protocol: Protocol) -> ExportConfig {
        let key = if protocol == Protocol::Grpc { "grpc" } else { "http" };
        ExportConfig::to(self.addresses[key].as_str().expect("an address"), protocol)
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Spans as the receiver must have seen them.
fn as_received(spans: &[SpanRecord]) -> Vec<(String, String, String, i64, i64, Vec<String>)> {
    let of = |span: &SpanRecord| {
        let parent = span.parent.map(|id| hex(&id)).unwrap_or_default();
        let links = span.links.iter().map(|link| hex(&link.span_id)).collect();
        let (start, end) = (span.start.micros() * 1_000, span.end.micros() * 1_000);
        (span.name.clone(), hex(&span.span_id), parent, start, end, links)
    };
    spans.iter().map(of).collect()
}

fn received(line: &Value) -> Vec<(String, String, String, i64, i64, Vec<String>)> {
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let of = |span: &Value| {
        let links = span["links"].as_array().expect("links").iter().map(text).collect();
        let nanos = |key: &str| span[key].as_i64().expect("nanoseconds");
        let (name, id, parent) = (text(&span["name"]), text(&span["span_id"]), text(&span["parent_span_id"]));
        (name, id, parent, nanos("start_ns"), nanos("end_ns"), links)
    };
    line["spans"].as_array().expect("spans").iter().map(of).collect()
}

#[tokio::test]
async fn a_run_and_its_delivery_arrive_as_one_tree() {
    let mut receiver = Receiver::start();
    let (run, child) = (eventful(), delivery());
    let mut spans = spans_of(&run.events).unwrap();
    spans.extend(spans_of(&child.events).unwrap());
    for protocol in BOTH {
        let config = ExportConfig {
            headers: vec![("x-tenant".to_owned(), "t1".to_owned())],
            resource: vec![("service.version".to_owned(), "0.1.0".to_owned())],
            ..receiver.config(protocol)
        };
        let exporter = Exporter::new(&config).unwrap();
        exporter.export(spans.clone()).await.unwrap();
        let line = receiver.line();
        assert_eq!(line["protocol"], if protocol == Protocol::Grpc { "grpc" } else { "http" });
        assert_eq!(line["headers"]["x-tenant"], "t1");
        assert_eq!(line["resource"]["service.name"], "nightshift");
        assert_eq!(line["resource"]["service.version"], "0.1.0");
        assert_eq!(received(&line), as_received(&spans));
        let all = line["spans"].as_array().unwrap();
        assert!(all.iter().all(|span| span["trace_id"] == hex(&trace_id(run.run))));
        assert_eq!(all[6]["parent_span_id"], hex(&run_span_id(run.run)), "the delivery hangs below the run");
        assert_eq!(all[1]["status"], 2);
        assert_eq!(all[1]["message"], "503 from the model");
        assert_eq!(all[3]["status"], 1);
        assert_eq!(all[3]["attributes"]["attempt"], 3);
        assert_eq!(all[3]["attributes"]["worker"], "node-1");
    }
}

#[tokio::test]
async fn halves_sent_before_and_after_a_restart_are_the_whole() {
    let mut receiver = Receiver::start();
    let it = eventful();
    let whole = as_received(&spans_of(&it.events).unwrap());
    for protocol in BOTH {
        let mut seen = Vec::new();
        let cut = it.events.len() / 2;
        for (upto, since) in [(cut, 0), (it.events.len(), cut as u64)] {
            // A new exporter each time, as after a restart.
            let exporter = Exporter::new(&receiver.config(protocol)).unwrap();
            exporter.export(spans_since(&it.events[..upto], since).unwrap()).await.unwrap();
            seen.extend(received(&receiver.line()));
        }
        assert_eq!(seen, whole);
    }
}

#[tokio::test]
async fn many_spans_go_in_several_requests_and_unsampled_ones_stay() {
    let mut receiver = Receiver::start();
    let mut spans = Vec::new();
    for n in 0..300 {
        let mut it =
            History::created(&format!("many {n}"), &[("validate", nightshift_domain::run::Action::Validate {})]);
        it.grant("validate").cancel();
        spans.extend(spans_of(&it.events).unwrap());
    }
    assert_eq!(spans.len(), 900);
    let exporter = Exporter::new(&receiver.config(Protocol::Grpc)).unwrap();
    exporter.export(spans.clone()).await.unwrap();
    let sizes = [receiver.line(), receiver.line()].map(|line| line["spans"].as_array().unwrap().len());
    assert_eq!(sizes, [512, 388]);

    let config = ExportConfig { sample_ratio: 0.5, ..receiver.config(Protocol::Http) };
    let exporter = Exporter::new(&config).unwrap();
    exporter.export(spans).await.unwrap();
    let line = receiver.line();
    let arrived = line["spans"].as_array().unwrap();
    assert!((300..=512).contains(&arrived.len()), "{}", arrived.len());
    assert_eq!(arrived.len() % 3, 0, "a trace is sampled whole or not at all");
}

#[tokio::test]
async fn a_collector_that_refuses_or_is_down_is_an_error_that_counts_the_spans() {
    let receiver = Receiver::start();
    let spans = spans_of(&eventful().events).unwrap();
    for protocol in BOTH {
        let refusing =
            ExportConfig { headers: vec![("x-refuse".to_owned(), "1".to_owned())], ..receiver.config(protocol) };
        // A port that nobody listens on: it was free a moment ago, and its listener is closed.
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let down = ExportConfig::to(format!("http://{free}"), protocol);
        for config in [refusing, down] {
            let error = Exporter::new(&config).unwrap().export(spans.clone()).await.unwrap_err();
            assert!(matches!(&error, ExportError::Refused { spans: 6, .. }), "{error}");
            assert!(error.to_string().starts_with(&config.endpoint), "{error}");
        }
    }
}

#[tokio::test]
async fn a_collector_that_never_answers_is_given_up_in_time() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let spans = spans_of(&eventful().events).unwrap();
    for protocol in BOTH {
        let endpoint = format!("http://{}", silent.local_addr().unwrap());
        let config = ExportConfig { timeout: Duration::from_millis(200), ..ExportConfig::to(endpoint, protocol) };
        let exporter = Exporter::new(&config).unwrap();
        let bounded = tokio::time::timeout(Duration::from_secs(20), exporter.export(spans.clone()));
        let error = bounded.await.expect("the export ends by itself").unwrap_err();
        assert!(matches!(error, ExportError::TimedOut { .. } | ExportError::Refused { .. }), "{error}");
    }
}

#[test]
fn promtool_finds_no_fault_in_a_scrape() {
    let metrics = Metrics::new(&BuildInfo { version: "0.1.0".to_owned(), revision: "none".to_owned() }).unwrap();
    for history in [eventful(), delivery()] {
        history.events.iter().for_each(|event| metrics.observe_event(event, &event.decode().unwrap()));
    }
    metrics.append_commit_seconds(0.001);
    metrics.append_group_events(12);
    metrics.obligations(nightshift_domain::decider::Class::Timer, 3, 0.0);
    metrics.projection_lag("runs", &[]);
    metrics.mailbox_depth("queue", 0);
    metrics.actor_restarted("queue");
    metrics.task_queue_jobs(&[("queued", 1)]);
    metrics.unknown_outcome(nightshift_telemetry::metrics::Resolved::Committed);
    let Some(said) = promtool(&metrics.render()) else {
        return;
    };
    assert_eq!(said, (true, String::new()));
    let faulty = promtool("# TYPE runs counter\nruns 1\n").expect("it ran a moment ago");
    assert!(!faulty.0 && faulty.1.contains("_total"), "promtool sees a fault: {faulty:?}");
}

/// What `promtool check metrics` says; none on a laptop that has no promtool. In CI it must be there.
#[expect(clippy::disallowed_methods, reason = "promtool is a program; CI is told by the environment")]
fn promtool(text: &str) -> Option<(bool, String)> {
    let mut command = Command::new("promtool");
    command.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = match command.spawn() {
        Err(error) if error.kind() == ErrorKind::NotFound && std::env::var_os("CI").is_none() => {
            eprintln!("not checked with promtool: it is not in PATH; scripts/setup installs it");
            return None;
        }
        spawned => spawned.expect("promtool runs (scripts/setup installs it)"),
    };
    child.stdin.take().expect("stdin is piped").write_all(text.as_bytes()).expect("promtool reads");
    let output = child.wait_with_output().expect("promtool ends");
    let said = [output.stdout, output.stderr].concat();
    Some((output.status.success(), String::from_utf8_lossy(&said).into_owned()))
}

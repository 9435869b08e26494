//! A real system on the in-memory store, served on a port of loopback, and a client by hand.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use nightshift_actors::system::{Parts, System};
use nightshift_api::{
    Options, Shared,
    auth::{ApiKey, ApiKeys, Auth, Group, Rate, Role, api_key::hash_of},
};
use nightshift_domain::{
    content::{Destination, Draft, Failure, FailureClass, Material, Notice, Observation, Receipt, SourceFailure},
    ids::derive,
    run::{Action, Outcome, Report},
    time::Timestamp,
};
use nightshift_ports::{
    clock::{ManualClock, SeededIds},
    memory::MemoryStore,
    performer::{Acting, Call, Composing, Delivering, Look, Outgoing, Performers, Sending, SourceReader},
};
use nightshift_spec::ZonedCalendar;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::{Notify, watch},
};

/// Monday, 2026-03-02 08:00 UTC.
pub const MONDAY_8: Timestamp = Timestamp(1_772_438_400_000_000);

/// The daemon's own token.
pub const CONTROL: &str = "control-token-of-the-tests";

/// Does steps: calls to `.../fail` fail for good, calls to `.../hold` wait until they are let go.
#[derive(Default)]
pub struct World {
    pub acted: Mutex<Vec<String>>,
    pub mended: Mutex<bool>,
    pub go: Notify,
}

struct Made(Arc<World>);

#[async_trait]
impl Acting for Made {
    async fn act(&self, action: &Action, _call: &Call) -> Result<Outcome, Failure> {
        let Action::Call { url, .. } = action else { return Ok(Outcome::of(Value::Null)) };
        self.0.acted.lock().unwrap().push(url.clone());
        if url.ends_with("/fail") && !*self.0.mended.lock().unwrap() {
            return Err(Failure::new(FailureClass::Permanent, "made up"));
        }
        if url.ends_with("/hold") {
            self.0.go.notified().await;
        }
        Ok(Outcome::of(json!({"ok": true, "url": url})))
    }
}

#[async_trait]
impl SourceReader for Made {
    async fn observe(&self, _look: Look) -> Result<Observation, SourceFailure> {
        Ok(Observation { items: vec![], removed: vec![], omitted: vec![], cursor: BTreeMap::new() })
    }
}

#[async_trait]
impl Composing for Made {
    async fn compose(&self, _material: &Material, _call: &Call) -> Result<Draft, Failure> {
        Err(Failure::new(FailureClass::Permanent, "nothing is composed here"))
    }
}

#[async_trait]
impl Delivering for Made {
    async fn deliver(&self, _to: &Destination, _document: &Outgoing, call: &Call) -> Result<Receipt, Failure> {
        Ok(Receipt { external_id: call.idempotency_key.clone(), external_url: None, detail: None })
    }

    async fn notify(&self, _to: &[String], _notice: &Notice, call: &Call) -> Result<Receipt, Failure> {
        Ok(Receipt { external_id: call.idempotency_key.clone(), external_url: None, detail: None })
    }

    async fn report(&self, _report: &Report, _sending: &Sending) -> Result<(), Failure> {
        Ok(())
    }
}

/// A served system.
pub struct Stage {
    pub system: System,
    pub clock: ManualClock,
    pub world: Arc<World>,
    pub address: SocketAddr,
    pub stop: watch::Sender<bool>,
}

/// One key for each role, `ns_<role>`, of the user `<role>`; `ns_scoped` may read only; `ns_busy` twice in 10 s.
pub fn auth() -> Auth {
    let key = |name: &str, role: Role, scopes: Option<BTreeSet<Group>>, rate: Rate| ApiKey {
        name: name.to_owned(),
        user: name.to_owned(),
        roles: BTreeSet::from([role]),
        scopes,
        groups: if role == Role::Reviewer { BTreeSet::from(["editors".to_owned()]) } else { BTreeSet::new() },
        hash: hash_of(&format!("ns_{name}")),
        rate,
    };
    let free = Rate { requests: 0, window_ms: 1 };
    let mut keys: Vec<ApiKey> = Role::ALL.map(|role| key(role.as_str(), role, None, free)).into();
    keys.push(key("other", Role::Agent, None, free));
    keys.push(key("scoped", Role::Admin, Some(BTreeSet::from([Group::Read])), free));
    keys.push(key("busy", Role::Reader, None, Rate { requests: 2, window_ms: 10_000 }));
    Auth { tokens: None, keys: Some(ApiKeys::new(keys)), open_metrics: false }
}

impl Stage {
    pub async fn new() -> Self {
        Self::with(Options { auth: auth(), ..Options::default() }).await
    }

    pub async fn with(options: Options) -> Self {
        let clock = ManualClock::at(MONDAY_8);
        let store = Arc::new(MemoryStore::new(derive("cluster", &[]), 4, Arc::new(clock.clone())));
        Self::on(options, (store, clock)).await
    }

    /// On a store that may hold something already.
    pub async fn on(options: Options, (store, clock): (Arc<MemoryStore>, ManualClock)) -> Self {
        let world = Arc::new(World::default());
        let made = Arc::new(Made(Arc::clone(&world)));
        let performers = Performers {
            sources: made.clone(),
            composing: made.clone(),
            delivering: made.clone(),
            acting: made,
            blobs: store.clone(),
        };
        let parts = Parts::new(
            (store.clone(), store),
            performers,
            (Arc::new(clock.clone()), Arc::new(SeededIds::new(1))),
            Arc::new(ZonedCalendar::bundled()),
        );
        let system = System::start(parts).await.unwrap();
        let shared = Shared {
            system: system.clone(),
            token: CONTROL.to_owned(),
            metrics: Box::new(|| "figures".to_owned()),
            build: "test".to_owned(),
            options,
        };
        let listener = nightshift_api::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, mut stopped) = watch::channel(false);
        let until = async move { drop(stopped.wait_for(|stop| *stop).await) };
        tokio::spawn(nightshift_api::serve(listener, shared, until));
        Self { system, clock, world, address, stop }
    }

    /// Sends a request and reads the whole answer.
    pub async fn ask(&self, key: &str, (method, path): (&str, &str), body: &str) -> Answer {
        self.send((method, path), &[("x-api-key", key)], body).await
    }

    pub async fn get(&self, key: &str, path: &str) -> Answer {
        self.ask(key, ("GET", path), "").await
    }

    pub async fn post(&self, key: &str, path: &str, body: &Value) -> Answer {
        self.ask(key, ("POST", path), &body.to_string()).await
    }

    /// With the headers given, and `content-type: application/json` unless they name another.
    pub async fn send(&self, (method, path): (&str, &str), headers: &[(&str, &str)], body: &str) -> Answer {
        let mut stream = self.open((method, path), headers, body).await;
        let mut bytes = Vec::new();
        // The other side may close before it has read all that was sent.
        let _ = stream.read_to_end(&mut bytes).await;
        Answer::read(&bytes)
    }

    /// Sends a request; the answer is for the caller to read.
    pub async fn open(&self, (method, path): (&str, &str), headers: &[(&str, &str)], body: &str) -> TcpStream {
        let mut text = format!("{method} {path} HTTP/1.1\r\nhost: test\r\n");
        if !headers.iter().any(|(name, _)| *name == "connection") {
            text.push_str("connection: close\r\n");
        }
        if !body.is_empty() && !headers.iter().any(|(name, _)| *name == "content-type") {
            text.push_str("content-type: application/json\r\n");
        }
        for (name, value) in headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        if !headers.iter().any(|(name, _)| *name == "transfer-encoding") {
            text.push_str(&format!("content-length: {}\r\n", body.len()));
        }
        text.push_str("\r\n");
        text.push_str(body);
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let _ = stream.write_all(text.as_bytes()).await;
        stream
    }

    /// Registers a workflow as the operator.
    pub async fn register(&self, document: &str) -> Value {
        let headers = [("x-api-key", "ns_operator"), ("content-type", "application/yaml")];
        let answer = self.send(("POST", "/api/workflows?wait=position"), &headers, document).await;
        assert_eq!(answer.status, 201, "{}", answer.body);
        answer.data()
    }

    /// Starts a run as the agent and waits until it shows.
    pub async fn start(&self, request: &Value) -> String {
        let answer = self.post("ns_agent", "/api/orchestrations?wait=position", request).await;
        assert_eq!(answer.status, 201, "{}", answer.body);
        answer.data()["id"].as_str().unwrap().to_owned()
    }
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: BTreeMap<String, String>,
    pub body: String,
}

impl Answer {
    pub fn read(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes);
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let mut lines = head.lines();
        let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|code| code.parse().ok());
        let headers: BTreeMap<String, String> = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()))
            .collect();
        let chunked = headers.get("transfer-encoding").is_some_and(|value| value == "chunked");
        let body = if chunked { unchunked(body) } else { body.to_owned() };
        Self { status: status.unwrap_or(0), headers, body }
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// `data` of a good answer.
    #[track_caller]
    pub fn data(&self) -> Value {
        let body = self.json();
        assert_eq!(body["success"], true, "{body}");
        body["data"].clone()
    }

    /// Status and code of a refusal.
    #[track_caller]
    pub fn refusal(&self) -> (u16, String) {
        let body = self.json();
        assert_eq!(body["success"], false, "{body}");
        (self.status, body["error"]["code"].as_str().unwrap_or_default().to_owned())
    }
}

fn unchunked(mut body: &str) -> String {
    let mut whole = String::new();
    while let Some((size, rest)) = body.split_once("\r\n") {
        let Ok(size @ 1..) = usize::from_str_radix(size, 16) else { break };
        whole.push_str(rest.get(..size).unwrap_or(rest));
        body = rest.get(size + 2..).unwrap_or_default();
    }
    whole
}

/// Two steps one after another.
pub const TWO_STEPS: &str = "\
name: daily
owner: team
version: 1.0.0
parameters:
  - {name: topic, type: string, default: sales}
steps:
  - {id: one, call: /agents/one, body: {topic: '{{ topic }}'}}
  - {id: two, call: /agents/two, depends_on: one}
";

/// A step that fails, and one behind it.
pub const FAILING: &str = "\
name: failing
owner: team
version: 1.0.0
steps:
  - {id: one, call: /agents/fail}
  - {id: two, call: /agents/two, depends_on: one}
";

/// A step that goes on until it is let go.
pub const HOLDING: &str = "\
name: holding
owner: team
version: 1.0.0
steps:
  - {id: one, call: /agents/hold, timeout: 1h}
";

/// A person is asked.
pub const ASKING: &str = "\
name: asking
owner: team
version: 1.0.0
steps:
  - {id: check, approval: {question: 'Send it?', group: editors}}
  - {id: send, call: /agents/send, depends_on: check}
";

/// A person is asked behind a step.
pub const CHECKED: &str = "\
name: checked
owner: team
version: 1.0.0
steps:
  - {id: one, call: /agents/one, checkpoint_after: {question: 'Go on?'}}
  - {id: two, call: /agents/two, depends_on: one}
";

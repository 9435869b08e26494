//! The client: orders under ids of its own until it is told what became of them, changes its mind, answers questions.
//!
//! Owns: that each order is noted before it is sent, and each acknowledgement as it was heard; that an order is repeated
//! under its key until it is heard. Refuses to know: what the program does about it.

use std::{
    collections::BTreeMap,
    io,
    path::Path,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use serde_json::{Value, json};

use super::{
    agents::drawn,
    history::History,
    orders::{ASK, CHAIN, DOCUMENT, FAN, FLOWS, HEARS, ONCE},
};
use crate::http;

/// No answer takes longer, unless the program stands still.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);

/// Between two tries of an order.
const AGAIN: Duration = Duration::from_millis(40);

/// Orders that are placed at once.
const THREADS: usize = 2;

/// Where the program is reached at present.
#[derive(Debug, Clone)]
struct Site {
    address: String,
    token: String,
}

#[derive(Debug, Clone, Default)]
struct Placed {
    run: Option<String>,
    over: bool,
}

/// The desk at which orders are placed.
pub struct Desk {
    history: Arc<History>,
    seed: u64,
    /// Ids of the standing orders.
    deliverables: Vec<String>,
    /// No more orders are open at once.
    open_max: usize,
    site: Mutex<Option<Site>>,
    placed: Mutex<BTreeMap<String, Placed>>,
    next: AtomicUsize,
    closed: AtomicBool,
    rests: AtomicBool,
}

/// The desk and its people; they go home with [`Client::close`], or with the value.
pub struct Client {
    /// The desk.
    pub desk: Arc<Desk>,
    people: Vec<JoinHandle<()>>,
}

impl Client {
    /// Opens the desk.
    #[must_use]
    pub fn open(history: Arc<History>, seed: u64, deliverables: Vec<String>, open_max: usize) -> Self {
        let desk = Arc::new(Desk {
            history,
            seed,
            deliverables,
            open_max,
            site: Mutex::default(),
            placed: Mutex::default(),
            next: AtomicUsize::new(0),
            closed: AtomicBool::new(false),
            rests: AtomicBool::new(false),
        });
        let mut people: Vec<JoinHandle<()>> = (0..THREADS)
            .map(|_| {
                let desk = Arc::clone(&desk);
                std::thread::spawn(move || desk.order())
            })
            .collect();
        let watching = Arc::clone(&desk);
        people.push(std::thread::spawn(move || watching.watch()));
        Self { desk, people }
    }

    /// Everybody goes home, without waiting for answers.
    pub fn close(&mut self) {
        self.desk.closed.store(true, Ordering::SeqCst);
        for person in self.people.drain(..) {
            let _ = person.join();
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.desk.closed.store(true, Ordering::SeqCst);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Desk {
    /// The program is reached here from now on.
    pub fn moved(&self, address: &str, data_dir: &Path) {
        let token = std::fs::read_to_string(data_dir.join("control.token")).unwrap_or_default();
        *lock(&self.site) = Some(Site { address: address.to_owned(), token });
    }

    /// Places no new orders while it rests.
    pub fn rest(&self, rests: bool) {
        self.rests.store(rests, Ordering::SeqCst);
    }

    /// Whether every order was heard of and is over.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.open().is_empty()
    }

    /// Orders that are not over, for messages.
    #[must_use]
    pub fn open(&self) -> Vec<String> {
        lock(&self.placed).iter().filter(|(_, placed)| !placed.over).map(|(id, _)| id.clone()).collect()
    }

    fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }

    /// Waits, unless the desk closes.
    fn pause(&self, time: Duration) {
        let _ = crate::within(time, || self.is_closed().then_some(()));
    }

    /// One request to wherever the program is said to be.
    ///
    /// # Errors
    /// Nobody is there, or the answer breaks off.
    pub fn ask(&self, (method, path): (&str, &str), key: Option<&str>, body: &Value) -> io::Result<(u16, Value)> {
        let site = lock(&self.site).clone().ok_or(io::ErrorKind::NotConnected)?;
        let bearer = format!("Bearer {}", site.token);
        let mut headers = vec![("authorization", bearer.as_str()), ("content-type", "application/json")];
        headers.extend(key.map(|key| ("idempotency-key", key)));
        let text = if body.is_null() { String::new() } else { body.to_string() };
        let (status, _, body) = http::ask_within(ANSWER_LIMIT, &site.address, (method, path), &headers, &text)?;
        Ok((status, serde_json::from_str(&body).unwrap_or(Value::Null)))
    }

    /// Repeats a request until it is heard; none when the desk closes before.
    fn until_heard(&self, order: &Value, (path, key): (&str, &str), body: &Value) -> Option<(u16, Value)> {
        while !self.is_closed() {
            self.history.note(order.clone());
            match self.ask(("POST", path), Some(key), body) {
                // Come back later.
                Ok((408 | 429 | 500.., said)) => {
                    self.history.note(json!({"what": "unheard", "key": key, "why": said}));
                }
                Ok(heard) => return Some(heard),
                Err(error) => {
                    self.history.note(json!({"what": "unheard", "key": key, "why": error.to_string()}));
                }
            }
            self.pause(AGAIN);
        }
        None
    }

    fn order(&self) {
        while !self.is_closed() {
            if self.rests.load(Ordering::SeqCst) || self.open().len() >= self.open_max {
                self.pause(AGAIN);
                continue;
            }
            let id = format!("o{}", self.next.fetch_add(1, Ordering::SeqCst));
            lock(&self.placed).insert(id.clone(), Placed::default());
            self.place(&id);
            self.pause(Duration::from_millis(drawn(self.seed, &[&id, "pause"]) % 60));
        }
    }

    fn place(&self, id: &str) {
        let chance = drawn(self.seed, &[id, "flow"]);
        let flow = match chance % 12 {
            0..=2 => CHAIN.name,
            3..=4 => FAN.name,
            5..=6 => ONCE.name,
            7..=8 => ASK.name,
            9 => HEARS.name,
            _ => DOCUMENT,
        };
        let deliverable = &self.deliverables[(chance >> 8) as usize % self.deliverables.len()];
        let (path, body) = match flow {
            DOCUMENT => (format!("/api/deliverables/{deliverable}/run"), json!({"force": true})),
            _ if flow == HEARS.name => {
                ("/api/events".to_owned(), json!({"type": "paid", "id": id, "payload": {"order": id}}))
            }
            _ => ("/api/orchestrations".to_owned(), json!({"name": flow, "parameters": {"order": id}})),
        };
        let about = if flow == DOCUMENT { deliverable.as_str() } else { "" };
        let order = json!({"what": "ordered", "id": id, "flow": flow, "about": about});
        // Some say everything twice.
        let times = if drawn(self.seed, &[id, "twice"]).is_multiple_of(6) { 2 } else { 1 };
        let mut run = None;
        for _ in 0..times {
            let Some((status, said)) = self.until_heard(&order, (&path, id), &body) else { return };
            if status >= 300 {
                self.history.note(json!({"what": "refused", "id": id, "status": status, "why": said}));
                break;
            }
            let has_run = FLOWS.iter().any(|known| known.name == flow && known.event.is_none());
            run = if has_run { said["data"]["id"].as_str().map(str::to_owned) } else { None };
            self.history.note(json!({"what": "accepted", "id": id, "flow": flow, "about": about, "run": run}));
        }
        let over = run.is_none();
        lock(&self.placed).insert(id.to_owned(), Placed { run: run.clone(), over });
        if let Some(run) = run.filter(|_| drawn(self.seed, &[id, "cancel"]).is_multiple_of(9)) {
            self.pause(Duration::from_millis(drawn(self.seed, &[id, "when"]) % 300));
            self.cancel(id, &run);
        }
    }

    fn cancel(&self, id: &str, run: &str) {
        let order = json!({"what": "cancel", "id": id, "run": run});
        let path = format!("/api/orchestrations/{run}/actions/abort");
        let body = json!({"note": "no longer"});
        let Some((status, said)) = self.until_heard(&order, (&path, &format!("cancel-{id}")), &body) else { return };
        let what = if status < 300 { "cancelled" } else { "not_cancelled" };
        self.history.note(json!({"what": what, "id": id, "run": run, "status": status, "why": said}));
    }

    /// Looks at what is open, and answers questions.
    fn watch(&self) {
        let mut turn = 0;
        while !self.is_closed() {
            let open: Vec<(String, String)> = lock(&self.placed)
                .iter()
                .filter(|(_, placed)| !placed.over)
                .filter_map(|(id, placed)| Some((id.clone(), placed.run.clone()?)))
                .collect();
            for at in 0..open.len().min(4) {
                let (id, run) = &open[(turn + at) % open.len()];
                self.look(id, run);
            }
            turn += 4;
            self.decide();
            self.pause(AGAIN);
        }
    }

    fn look(&self, id: &str, run: &str) {
        let Ok((200, said)) = self.ask(("GET", &format!("/api/orchestrations/{run}")), None, &Value::Null) else {
            return;
        };
        let status = said["data"]["status"].as_str().unwrap_or_default();
        if is_over(status) {
            self.history.note(json!({"what": "seen", "id": id, "run": run, "status": status}));
            lock(&self.placed).insert(id.to_owned(), Placed { run: Some(run.to_owned()), over: true });
        }
    }

    fn decide(&self) {
        let path = "/api/orchestrations/approvals?status=pending&limit=50";
        let Ok((200, said)) = self.ask(("GET", path), None, &Value::Null) else { return };
        for question in items(&said) {
            let (Some(id), Some(run)) = (question["id"].as_str(), question["runId"].as_str()) else { continue };
            self.history.note(json!({"what": "decide", "question": id, "run": run}));
            let path = format!("/api/orchestrations/approvals/{id}/decision");
            let key = format!("decide-{id}");
            let heard = self.ask(("POST", &path), Some(&key), &json!({"decision": "continue"}));
            let status = heard.map_or(0, |(status, _)| status);
            self.history.note(json!({"what": "decided", "question": id, "run": run, "status": status}));
        }
    }

    /// Reads the program's final answers into the history: every run, every version.
    ///
    /// # Errors
    /// It does not answer, or not with what was asked for.
    pub fn read_books(&self) -> Result<(), String> {
        for run in self.pages("/api/orchestrations?lifecycle=all")? {
            let flow = run["orchestrationName"].as_str().unwrap_or_default();
            if FLOWS.iter().any(|known| known.name == flow) {
                self.history.note(json!({
                    "what": "run", "run": run["id"], "order": run["parameters"]["order"], "flow": flow,
                    "status": run["status"], "results": run["results"], "error": run["errorDetails"],
                }));
            }
        }
        for deliverable in &self.deliverables {
            for version in self.pages(&format!("/api/deliverables/{deliverable}/versions?"))? {
                self.history.note(json!({
                    "what": "version", "about": deliverable, "number": version["versionNumber"], "id": version["id"],
                    "status": version["deliveryStatus"], "mail": version["deliveryExternalId"],
                }));
            }
        }
        Ok(())
    }

    fn pages(&self, path: &str) -> Result<Vec<Value>, String> {
        let mut all = Vec::new();
        loop {
            let page = format!("{path}&limit=100&offset={}", all.len());
            let (status, said) =
                self.ask(("GET", &page), None, &Value::Null).map_err(|error| format!("{page}: {error}"))?;
            if status != 200 {
                return Err(format!("{page}: {status}: {said}"));
            }
            let found = items(&said);
            if found.is_empty() {
                return Ok(all);
            }
            all.extend(found);
        }
    }
}

/// Whether a run in this status has ended.
#[must_use]
pub fn is_over(status: &str) -> bool {
    matches!(status, "completed" | "failed" | "cancelled" | "aborted")
}

/// The rows of a page, in any of the forms there are.
fn items(said: &Value) -> Vec<Value> {
    let data = &said["data"];
    data["items"].as_array().or_else(|| data.as_array()).cloned().unwrap_or_default()
}

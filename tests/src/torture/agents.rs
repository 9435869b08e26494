//! The agents: a server that does what it is asked once for each key, remembers it, and is not always in the mood.
//!
//! Owns: the mood of each order's step, which follows from the seed; and that everything is noted before the other side can
//! know of it. Refuses to know: who asks.

use std::{
    collections::BTreeMap,
    hash::{DefaultHasher, Hash, Hasher},
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use serde_json::{Value, json};

use super::history::History;
use crate::http::{Asked, read_request};

/// How an agent takes a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mood {
    Good,
    Slow(u64),
    /// Not today; the next time it is good.
    Busy,
    /// It is done, and the connection breaks before the answer; the next time the answer of then is given.
    Reset,
    /// It is done, and nobody answers; the next time the answer of then is given.
    Hang,
    /// No, and never.
    Refuses,
}

struct Inside {
    history: Arc<History>,
    seed: u64,
    /// Answer of each key that was done.
    done: Mutex<BTreeMap<String, Value>>,
    /// Keys whose mood was shown.
    shown: Mutex<BTreeMap<String, usize>>,
    ended: AtomicBool,
}

/// The server; it ends with the value.
pub struct Agents {
    /// Where it listens.
    pub address: SocketAddr,
    inside: Arc<Inside>,
}

impl Agents {
    /// Listens on a free port of loopback.
    ///
    /// # Panics
    /// No port is free.
    #[must_use]
    pub fn start(history: Arc<History>, seed: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("a bound port");
        let (done, shown) = (Mutex::default(), Mutex::default());
        let inside = Arc::new(Inside { history, seed, done, shown, ended: AtomicBool::new(false) });
        let shared = Arc::clone(&inside);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if shared.ended.load(Ordering::SeqCst) {
                    return;
                }
                let shared = Arc::clone(&shared);
                std::thread::spawn(move || shared.serve(stream));
            }
        });
        Self { address, inside }
    }
}

impl Drop for Agents {
    fn drop(&mut self) {
        self.inside.ended.store(true, Ordering::SeqCst);
        // Wakes the listener, which then ends.
        let _ = TcpStream::connect(self.address);
    }
}

/// A number that follows from the seed and the names, evenly.
#[must_use]
pub fn drawn(seed: u64, names: &[&str]) -> u64 {
    let mut hasher = DefaultHasher::new();
    (seed, names).hash(&mut hasher);
    hasher.finish()
}

impl Inside {
    fn mood(&self, order: &str, step: &str, item: &str) -> Mood {
        let chance = drawn(self.seed, &[order, step, item]);
        match chance % 100 {
            0..=2 => Mood::Refuses,
            3..=8 => Mood::Busy,
            9..=13 => Mood::Reset,
            14..=15 => Mood::Hang,
            16..=40 => Mood::Slow((chance >> 8) % 250),
            _ => Mood::Good,
        }
    }

    fn serve(&self, mut stream: TcpStream) {
        let Ok(asked) = read_request(&stream) else { return };
        let body: Value = serde_json::from_str(&asked.body).unwrap_or_default();
        let text = |name: &str| body[name].as_str().map_or_else(|| body[name].to_string(), str::to_owned);
        let (order, step, item) = (text("order"), text("step"), text("item"));
        let key = asked.header("x-idempotency-key").to_owned();
        let n = self.history.note(noted(&asked, (&order, &step, &item), &body));
        let first = {
            let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
            let times = shown.entry(key.clone()).or_default();
            *times += 1;
            *times == 1
        };
        let mood = self.mood(&order, &step, &item);
        match mood {
            Mood::Refuses => self.answer(&mut stream, n, (422, false), &json!({"ok": false, "error": "never"})),
            Mood::Busy if first => self.answer(&mut stream, n, (503, false), &json!({"ok": false, "error": "busy"})),
            Mood::Reset | Mood::Hang if first => {
                let (_, effect) = self.act(&key, n);
                let how = if mood == Mood::Reset { "reset" } else { "hang" };
                self.history.note(json!({"what": "silent", "of": n, "how": how, "effect": effect}));
                if mood == Mood::Hang {
                    // Until the other side gives up, or ends.
                    let _ = stream.read(&mut [0; 1]);
                }
                let _ = stream.shutdown(Shutdown::Both);
            }
            _ => {
                if let Mood::Slow(ms) = mood {
                    let ended = || self.ended.load(Ordering::SeqCst).then_some(());
                    let _ = crate::within(Duration::from_millis(ms), ended);
                }
                let (answer, effect) = self.act(&key, n);
                self.answer(&mut stream, n, (200, effect), &answer);
            }
        }
    }

    /// Does what the key names, unless that was done; the answer, and whether it was done now.
    fn act(&self, key: &str, n: usize) -> (Value, bool) {
        let mut done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(answer) = done.get(key) {
            return (answer.clone(), false);
        }
        let answer = json!({"ok": true, "effect": format!("e{n}")});
        done.insert(key.to_owned(), answer.clone());
        (answer, true)
    }

    fn answer(&self, stream: &mut TcpStream, of: usize, (status, effect): (u16, bool), body: &Value) {
        self.history.note(json!({
            "what": "answered", "of": of, "status": status, "effect": effect, "value": body["effect"],
        }));
        let body = body.to_string();
        let head = format!("HTTP/1.1 {status} Said\r\nconnection: close\r\ncontent-type: application/json\r\n");
        let text = format!("{head}content-length: {}\r\n\r\n{body}", body.len());
        let _ = stream.write_all(text.as_bytes()).and_then(|()| stream.flush());
    }
}

fn noted(asked: &Asked, (order, step, item): (&str, &str, &str), body: &Value) -> Value {
    json!({
        "what": "asked",
        "path": asked.path,
        "order": order,
        "step": step,
        "item": item,
        "before": body["before"],
        "key": asked.header("x-idempotency-key"),
        "attempt": asked.header("x-attempt"),
        "token": asked.header("x-fencing-token"),
        "run": asked.header("x-workflow-run-id"),
    })
}

//! A helper process of the tests that writes one JSON object a line: the mail server, the collector of traces.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use serde_json::Value;

use crate::eventually;

const LIMIT: Duration = Duration::from_secs(30);

/// The process; it is ended with the value. A thread of its own reads what it writes: a full pipe would stop it.
pub struct Sink {
    child: Child,
    lines: Arc<Mutex<Vec<Value>>>,
    /// Its first line: where it listens.
    pub addresses: Value,
}

impl Sink {
    /// Starts a helper binary and waits for its first line.
    ///
    /// # Panics
    /// It does not start.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "a process of its own is the point of it")]
    pub fn start(binary: impl AsRef<Path>) -> Self {
        let mut command = Command::new(binary.as_ref());
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the helper starts");
        let stdout = BufReader::new(child.stdout.take().expect("stdout is piped"));
        let lines = Arc::new(Mutex::new(Vec::new()));
        let written = Arc::clone(&lines);
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                let value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{line:?}: {error}"));
                written.lock().unwrap_or_else(PoisonError::into_inner).push(value);
            }
        });
        let mut it = Self { child, lines, addresses: Value::Null };
        it.addresses = eventually("the helper's first line", LIMIT, || it.all().into_iter().next());
        it
    }

    fn all(&self) -> Vec<Value> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What arrived so far.
    #[must_use]
    pub fn arrived(&self) -> Vec<Value> {
        self.all().split_off(1)
    }

    /// Waits until what arrived is enough, and gives it.
    ///
    /// # Panics
    /// It never is.
    #[track_caller]
    #[must_use]
    pub fn until(&self, what: &str, enough: impl Fn(&[Value]) -> bool) -> Vec<Value> {
        eventually(what, LIMIT, || {
            let arrived = self.arrived();
            enough(&arrived).then_some(arrived)
        })
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

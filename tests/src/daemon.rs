//! The daemon under test: a process that is started, watched, asked, and ended in every way a process can end.

use std::{
    io::{BufRead, BufReader},
    os::unix::process::ExitStatusExt,
    process::{Child, ExitStatus, Stdio},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use rustix::process::{Pid, kill_process};
use serde_json::Value;

pub use rustix::process::Signal;

use crate::{eventually, http, within, world::Node};

/// No start and no end takes longer than this on the slowest machine; it bounds waiting, it is no promise.
const LIMIT: Duration = Duration::from_secs(60);

/// A running daemon; it is killed with the value.
pub struct Daemon {
    child: Child,
    log: Arc<Mutex<Vec<String>>>,
    reader: Option<std::thread::JoinHandle<()>>,
}

impl Daemon {
    /// Starts `nightshift serve` on a free port, with more settings.
    ///
    /// # Panics
    /// The process cannot be started.
    #[must_use]
    pub fn start(node: &Node, settings: &[(&str, &str)]) -> Self {
        let mut node = node.clone().with("http.listen", "127.0.0.1:0");
        for (key, value) in settings {
            node = node.with(key, value);
        }
        let mut command = node.command(&["serve"]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("nightshift starts");
        let stderr = BufReader::new(child.stderr.take().expect("stderr is piped"));
        let log = Arc::new(Mutex::new(Vec::new()));
        let written = Arc::clone(&log);
        let reader = std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                written.lock().unwrap_or_else(PoisonError::into_inner).push(line);
            }
        });
        Self { child, log, reader: Some(reader) }
    }

    /// What it wrote so far.
    #[must_use]
    pub fn log(&self) -> String {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).join("\n")
    }

    /// Its address, once it is ready; none when it ended before.
    #[must_use]
    pub fn ready(&mut self) -> Option<String> {
        let log = Arc::clone(&self.log);
        let address = move || {
            let log = log.lock().unwrap_or_else(PoisonError::into_inner);
            let line = log.iter().find(|line| line.contains("ready: "))?;
            let address = line.split("address=\"").nth(1)?.split('"').next()?;
            Some(address.to_owned())
        };
        eventually("the daemon to be ready or to end", LIMIT, || match address() {
            Some(address) => Some(Some(address)),
            None => self.ended().map(|_| address()),
        })
    }

    /// Its address; it must become ready.
    ///
    /// # Panics
    /// It ended instead.
    #[track_caller]
    #[must_use]
    pub fn address(&mut self) -> String {
        self.ready().unwrap_or_else(|| panic!("the daemon ended before it was ready:\n{}", self.log()))
    }

    /// How it ended, when it has.
    ///
    /// # Panics
    /// The system does not know its own child.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child can be waited for")
    }

    /// Waits until it has ended, at most for `limit`.
    pub fn ends_within(&mut self, limit: Duration) -> Option<ExitStatus> {
        let status = within(limit, || self.ended());
        if status.is_some() {
            // What it wrote last is read before anybody looks at it.
            let _ = self.reader.take().map(std::thread::JoinHandle::join);
        }
        status
    }

    /// Waits until it has ended, and how.
    ///
    /// # Panics
    /// It does not end.
    #[track_caller]
    #[must_use]
    pub fn end(&mut self) -> ExitStatus {
        self.ends_within(LIMIT).unwrap_or_else(|| panic!("the daemon does not end:\n{}", self.log()))
    }

    /// Its process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal.
    ///
    /// # Panics
    /// It has ended already.
    pub fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).expect("a process id");
        kill_process(pid, signal).expect("the daemon runs");
    }

    /// `kill -9`, and the wait for its end. True when it was this that ended it.
    #[track_caller]
    pub fn kill9(&mut self) -> bool {
        let _ = self.child.kill();
        self.end().signal() == Some(9)
    }

    /// Ends it as a service manager does: SIGTERM, exit code 0.
    ///
    /// # Panics
    /// Another code.
    #[track_caller]
    pub fn stop(&mut self) {
        self.signal(Signal::TERM);
        let status = self.end();
        assert_eq!(status.code(), Some(0), "{}", self.log());
    }

    /// GET of a path: status and body.
    ///
    /// # Panics
    /// It does not answer.
    #[track_caller]
    #[must_use]
    pub fn get(&mut self, path: &str) -> (u16, String) {
        let address = self.address();
        let (status, _, body) = http::ask(&address, ("GET", path), &[], "").expect("the daemon answers");
        (status, body)
    }

    /// The same, as JSON.
    ///
    /// # Panics
    /// It is none.
    #[track_caller]
    #[must_use]
    pub fn get_json(&mut self, path: &str) -> (u16, Value) {
        let (status, body) = self.get(path);
        (status, serde_json::from_str(&body).unwrap_or_else(|error| panic!("{path}: {error}: {body}")))
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

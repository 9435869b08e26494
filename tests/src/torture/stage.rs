//! The stage: the program as processes, what it stands on, and everybody outside.
//!
//! Owns: that there is one daemon at a time that the client knows of, and that it is started again when it ended.
//! Refuses to know: which fault comes when.

use std::{fs, path::PathBuf, process::ExitStatus, sync::Arc, time::Duration};

use serde_json::{Value, json};

use super::{
    agents::Agents,
    client::Client,
    disk::Disk,
    faults::{Counts, Database},
    history::History,
    mail::Mail,
    orders::{DELIVERABLES, FLOWS},
};
use crate::{
    Stopwatch,
    daemon::{Daemon, Signal},
    eventually,
    lcg::Lcg,
    proxy::Proxy,
    server::Server,
    world::{Node, World},
};

/// A start, an end and a recovery take no longer; it bounds waiting, it is no promise.
pub const LIMIT: Duration = Duration::from_secs(90);

/// What PostgreSQL stands on, and the way to it.
pub struct Behind {
    /// The server.
    pub server: Server,
    /// The way from the program to it.
    pub way: Proxy,
    /// Its address without the proxy.
    pub url: String,
}

/// All of it.
pub struct Stage {
    /// Kept until the end: the folder goes with it.
    pub world: World,
    /// Two nodes on one store; the first works.
    pub nodes: [Node; 2],
    /// What the outside saw.
    pub history: Arc<History>,
    /// Orders and questions.
    pub client: Client,
    /// The way to the agents.
    pub way: Proxy,
    /// PostgreSQL.
    pub behind: Option<Behind>,
    /// Where SQLite lies.
    pub disk: Option<Disk>,
    /// The daemon that the client knows.
    pub daemon: Option<Daemon>,
    /// Chance.
    pub chance: Lcg,
    /// What was done.
    pub counts: Counts,
    /// Ends that nobody asked for, by exit code: the database was gone for too long.
    pub gave_up: u32,
    clock_ms: i64,
    // Last: what depends on them is gone before.
    _outside: (Agents, Mail),
}

impl Stage {
    /// Sets it up: a store, the workflows, the standing orders. Nothing runs yet.
    ///
    /// # Panics
    /// Something of it cannot be made.
    #[must_use]
    pub fn new(database: Database, seed: u64, open_max: usize) -> Option<Self> {
        let world = World::sqlite();
        let history = Arc::new(History::at(&world.path("history.jsonl")));
        history.note(json!({"what": "begin", "seed": seed, "store": database.as_str()}));
        let (agents, mail) = (Agents::start(Arc::clone(&history), seed), Mail::start(Arc::clone(&history), seed));
        let way = Proxy::to(agents.address.to_string());
        let mut node = configured(&world, &way, &mail);
        world.folder("data");
        let (mut behind, mut disk) = (None, None);
        match database {
            Database::Sqlite => {
                let small = Disk::at(&world.path("data"));
                println!("torture: a disk that can be full: {}", small.how);
                node = small.under(node);
                disk = Some(small);
            }
            Database::Postgres => {
                let found = behind_a_proxy()?;
                node = node.with("store.url", format!("postgres://nightshift@{}/postgres", found.way.address()));
                behind = Some(found);
            }
        }
        let second = Node { data_dir: world.path("second"), ..node.clone() };
        let deliverables = furnished(&world, &node);
        let client = Client::open(Arc::clone(&history), seed, deliverables, open_max);
        let chance = Lcg::new(seed);
        Some(Self {
            world,
            nodes: [node, second],
            history,
            client,
            way,
            behind,
            disk,
            daemon: None,
            chance,
            counts: Counts::default(),
            gave_up: 0,
            clock_ms: 0,
            _outside: (agents, mail),
        })
    }

    /// Starts the first node, skipping the wait for the session of a process that is known to be dead.
    #[must_use]
    pub fn start(&self, settings: &[(&str, &str)]) -> Daemon {
        let node = &self.nodes[0];
        let node = if self.behind.is_some() { node.clone().with("store.takeover", true) } else { node.clone() };
        Daemon::start(&node, settings)
    }

    /// The daemon, running and known to the client: started, and again if it ended by itself.
    ///
    /// # Panics
    /// It never becomes ready.
    pub fn up(&mut self) {
        let watch = Stopwatch::start();
        loop {
            let mut daemon = self.daemon.take().unwrap_or_else(|| self.start(&[]));
            if let Some(address) = daemon.ready().filter(|_| daemon.ended().is_none()) {
                self.client.desk.moved(&address, &self.data_dir());
                self.daemon = Some(daemon);
                return;
            }
            let status = daemon.end();
            self.note_end(status, &daemon);
            assert!(watch.elapsed() < LIMIT, "it does not start, {status}:\n{}", daemon.log());
        }
    }

    /// An end that nobody asked for. With a store that is gone it is what a service manager cures.
    ///
    /// # Panics
    /// It is none of those ends.
    pub fn note_end(&mut self, status: ExitStatus, daemon: &Daemon) {
        let log = daemon.log();
        let tail: Vec<&str> = log.lines().rev().take(4).collect();
        self.history.note(json!({"what": "ended", "status": status.to_string(), "log": tail}));
        self.gave_up += 1;
        // The store does not answer; vital parts failed; the session expired.
        assert!(matches!(status.code(), Some(69 | 70 | 75)), "it ended by itself, {status}:\n{log}");
    }

    /// Where the first node keeps its token, as we reach it.
    fn data_dir(&self) -> PathBuf {
        self.disk.as_ref().map_or_else(|| self.nodes[0].data_dir.clone(), Disk::outside)
    }

    /// Lets the program get on by some steps, at most for a while.
    pub fn go_on(&mut self, entries: u64, limit_ms: u64) {
        let wanted = self.history.progress() + usize::try_from(self.chance.below(entries)).unwrap_or(0);
        let limit = Duration::from_millis(limit_ms);
        let _ = crate::within(limit, || (self.history.progress() >= wanted).then_some(()));
    }

    /// `kill -9` of the daemon that runs.
    pub fn kill(&mut self) {
        if let Some(mut daemon) = self.daemon.take()
            && !daemon.kill9()
        {
            let status = daemon.end();
            self.note_end(status, &daemon);
        }
    }

    /// Moves the wall clock of the program's processes.
    ///
    /// # Panics
    /// The file cannot be written.
    pub fn move_clock(&mut self, by_ms: i64) {
        self.clock_ms += by_ms;
        let (next, file) = (self.world.path("clock.next"), self.world.path("clock"));
        fs::write(&next, self.clock_ms.to_string()).and_then(|()| fs::rename(next, file)).expect("the clock is moved");
    }

    /// Waits until everything that was asked for is over and nothing is owed; what is left is the error.
    ///
    /// # Errors
    /// Something does not end.
    pub fn settle(&mut self, limit: Duration) -> Result<(), String> {
        self.client.desk.rest(true);
        // What was done to it last may end it a little later.
        let idle = crate::within(limit, || {
            self.up();
            self.client.desk.is_idle().then_some(())
        });
        if idle.is_none() {
            let (open, log) = (self.client.desk.open(), self.daemon.as_ref().map(Daemon::log).unwrap_or_default());
            return Err(format!("orders that never end: {open:?}\n{log}"));
        }
        self.client.close();
        let mut last = Value::Null;
        let quiet = crate::within(limit, || {
            self.up();
            let done = self.nodes[0].run(&["db", "info", "--json"]);
            last = if done.code == 0 { done.json()["open_obligations"].clone() } else { json!(done.err) };
            (last == 0).then_some(())
        });
        quiet.ok_or_else(|| format!("work is still owed: {last}"))?;
        self.client.desk.read_books()
    }

    /// Leaves what there is for people to look at; a store in memory is copied beside the rest.
    #[must_use]
    pub fn keep(&mut self) -> PathBuf {
        if let Some(disk) = &self.disk {
            let copies = self.world.path("kept-store");
            let files = fs::read_dir(disk.outside()).into_iter().flatten().filter_map(Result::ok);
            let _ = fs::create_dir_all(&copies);
            for file in files {
                // A folder of large payloads is no file; the log is.
                let _ = fs::copy(file.path(), copies.join(file.file_name()));
            }
        }
        self.world.keep()
    }

    /// Ends the daemon in order.
    ///
    /// # Panics
    /// It does not end in order.
    pub fn stop(&mut self) {
        if let Some(mut daemon) = self.daemon.take() {
            daemon.signal(Signal::TERM);
            let status = daemon.end();
            assert_eq!(status.code(), Some(0), "{}", daemon.log());
        }
    }
}

fn configured(world: &World, way: &Proxy, mail: &Mail) -> Node {
    let clock = world.write("clock", "0");
    let node = world.node.clone().with_env("NIGHTSHIFT_TORTURE_CLOCK", &clock);
    let node = node.with("workflows.base_url", format!("http://{}", way.address()));
    let node = node.with("smtp.host", "127.0.0.1").with("smtp.port", mail.address.port()).with("smtp.tls", "none");
    node.with("smtp.from", "nightshift@example.org").with("smtp.timeout", "5s").with("telemetry.log_filter", "info")
}

fn behind_a_proxy() -> Option<Behind> {
    let mut server = Server::fresh()?;
    server.start_on_loopback(&[]);
    let address = server.address().expect("it listens");
    let url = format!("postgres://nightshift@{address}/postgres");
    Some(Behind { server, way: Proxy::to(address), url })
}

/// Registers the workflows and takes the standing orders; their ids.
fn furnished(world: &World, node: &Node) -> Vec<String> {
    for flow in FLOWS {
        let file = world.write(&format!("{}.yml", flow.name), &flow.text());
        let _ = node.run(&["workflow", "register", &file]).ok();
    }
    let order = |number: usize| {
        world.write(&format!("notes-{number}/note.md"), "# Team\n\nThe team began its work on the parser.\n");
        let yaml = format!(
            "title: Team {number}\ntype: custom\nsources:\n  - folder: notes-{number}\ngovernance: full_auto\n\
             destination:\n  email: [team@example.org]\n"
        );
        let file = world.write(&format!("order-{number}.yaml"), &yaml);
        let row = node.json(&["deliverable", "create", &file]);
        row["id"].as_str().expect("an id").to_owned()
    };
    let ids = (0..DELIVERABLES).map(order).collect();
    // Whatever comes of it comes before the storm.
    eventually("nothing to be owed", LIMIT, || (node.json(&["db", "info"])["open_obligations"] == 0).then_some(()));
    ids
}

impl Stage {
    /// The client finds the daemon of the first node here.
    pub fn daemon_at(&self, address: &str) {
        self.client.desk.moved(address, &self.data_dir());
    }
}

//! The program as a process among others: the service manager above it, pipes beside it, a daemon that was killed, and
//! what an orderly end leaves on the disk.
//!
//! Owns: what each of these is told. What the daemon does for its users is in `daemon.rs`.

use std::{
    io::{BufRead, BufReader},
    os::{fd::OwnedFd, unix::net::UnixDatagram},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use nightshift_tests::{
    daemon::{Daemon, Signal},
    eventually,
    world::{Node, World},
};

const LIMIT: Duration = Duration::from_secs(60);

/// A service manager: the socket that a daemon writes its notices to.
struct Manager {
    socket: UnixDatagram,
    path: String,
    heard: Vec<String>,
}

impl Manager {
    fn listening(world: &World) -> Self {
        let path = world.text_path("notify");
        let socket = UnixDatagram::bind(&path).expect("a socket");
        socket.set_nonblocking(true).expect("a socket of our own");
        Self { socket, path, heard: Vec::new() }
    }

    fn above(&self, node: &Node) -> Node {
        node.clone().with_env("NOTIFY_SOCKET", &self.path)
    }

    /// All notices so far, one string each with its assignments on lines.
    fn heard(&mut self) -> &[String] {
        let mut notice = [0; 4096];
        while let Ok(length) = self.socket.recv(&mut notice) {
            self.heard.push(String::from_utf8_lossy(&notice[..length]).trim_end().to_owned());
        }
        &self.heard
    }

    fn count(&mut self, assignment: &str) -> usize {
        self.heard().iter().filter(|notice| notice.lines().any(|line| line == assignment)).count()
    }

    #[track_caller]
    fn until(&mut self, assignment: &str, count: usize) {
        let heard = nightshift_tests::within(LIMIT, || (self.count(assignment) >= count).then_some(()));
        assert!(heard.is_some(), "never {count} times {assignment}: {:#?}", self.heard);
    }

    /// What the status line said, in order, without repetitions.
    fn statuses(&mut self) -> Vec<String> {
        let lines = self.heard().iter().flat_map(|notice| notice.lines());
        let mut statuses: Vec<String> =
            lines.filter_map(|line| line.strip_prefix("STATUS=")).map(str::to_owned).collect();
        statuses.dedup();
        statuses
    }

    /// The first notice with this assignment.
    fn place(&mut self, assignment: &str) -> usize {
        let place = self.heard().iter().position(|notice| notice.lines().any(|line| line == assignment));
        place.unwrap_or_else(|| panic!("never {assignment}: {:#?}", self.heard))
    }
}

const MORE_TIME: &str = "EXTEND_TIMEOUT_USEC=30000000";

#[track_caller]
fn assert_statuses(manager: &mut Manager, expected: &[&str]) {
    let statuses = manager.statuses();
    let same = statuses.len() == expected.len()
        && statuses.iter().zip(expected).all(|(status, beginning)| status.starts_with(beginning));
    assert!(same, "{statuses:#?} is not {expected:#?}");
}

#[test]
fn the_service_manager_is_told_each_phase_and_asked_for_time() {
    let world = World::sqlite();
    let mut manager = Manager::listening(&world);
    let mut daemon = manager.above(&world.node).serve();
    let address = daemon.address();
    manager.until("READY=1", 1);
    assert_eq!(manager.count("WATCHDOG=1"), 0, "nobody asked for signs of life");
    daemon.stop();
    manager.until("STOPPING=1", 1);
    assert_statuses(
        &mut manager,
        &[
            "opening the store at sqlite://",
            "taking the shards over",
            "recovering: 0 obligation(s)",
            &format!("ready: 0 obligation(s) taken up again; HTTP address: {address}"),
            "ending",
        ],
    );
    let (ready, stopping) = (manager.place("READY=1"), manager.place("STOPPING=1"));
    assert!(ready < stopping);
    for (at, notice) in manager.heard().iter().enumerate() {
        assert_eq!(notice.contains(MORE_TIME), at < ready, "time is asked for while it starts: {notice}");
    }
}

#[test]
fn recovery_says_how_far_it_is() {
    let world = World::sqlite();
    world.write("notes/a.md", "# A\n\nThe first note.\n");
    let id = world.order("order.yaml", "title: Brief\ntype: custom\nsources:\n  - folder: notes\n");
    // It dies when the slot is told and nothing was done about it.
    let ended = world.node.clone().with_env("NIGHTSHIFT_TORTURE_ABORT", "handed_over:1").serve();
    let mut ended = started_then_asked(ended, &world, &id);
    assert_eq!(ended.end().code(), None, "it was aborted");
    let mut manager = Manager::listening(&world);
    let mut daemon = manager.above(&world.node).serve();
    let _ = daemon.address();
    manager.until("READY=1", 1);
    let recovering = manager.statuses().into_iter().find(|status| status.starts_with("recovering: "));
    assert_eq!(recovering.as_deref(), Some("recovering: 1 obligation(s) taken up again so far"));
    daemon.stop();
}

/// Asks the daemon for a version; it may die of it.
fn started_then_asked(mut daemon: Daemon, world: &World, id: &str) -> Daemon {
    let _ = daemon.ready();
    let _ = world.node.run(&["deliverable", "run", id, "--force"]);
    daemon
}

#[test]
fn signs_of_life_are_given_when_the_unit_asks_for_them() {
    let world = World::sqlite();
    let mut manager = Manager::listening(&world);
    let mut daemon = manager.above(&world.node).with_env("WATCHDOG_USEC", "300000").serve();
    manager.until("WATCHDOG=1", 5);
    assert!(manager.place("READY=1") < manager.place("WATCHDOG=1"));
    daemon.stop();
}

/// `TimeoutStartSec` of the unit would end a standby that does not ask for more time.
#[test]
fn a_standby_asks_for_time_until_it_takes_over() {
    let Some(world) = World::postgres() else { return };
    let mut first = world.node.serve();
    let address = first.address();
    let mut manager = Manager::listening(&world);
    let mut second = manager.above(&world.other_node("second")).serve();
    eventually("the standby to stand by", LIMIT, || {
        let standing_by = |status: &String| status.starts_with("standing by: node") && status.contains(&address);
        manager.statuses().iter().any(standing_by).then_some(())
    });
    let asked = manager.count(MORE_TIME);
    manager.until(MORE_TIME, asked + 3);
    assert_eq!(manager.count("READY=1"), 0, "{:#?}", manager.heard);
    // Its connections are cut: it goes on standing by.
    let ended = world.database.as_ref().expect("a database").end_sessions();
    assert!(ended > 0);
    let asked = manager.count(MORE_TIME);
    manager.until(MORE_TIME, asked + 3);
    assert!(second.ended().is_none(), "{}", second.log());
    first.stop();
    let _ = second.address();
    manager.until("READY=1", 1);
    second.stop();
    manager.until("STOPPING=1", 1);
}

#[test]
fn an_orderly_end_leaves_the_database_in_one_file() {
    let world = World::sqlite();
    world.write("notes/a.md", "# A\n\nThe first note.\n");
    let wal = world.path("data/nightshift.db-wal");
    let bytes = || std::fs::metadata(&wal).map_or(0, |facts| facts.len());
    for signal in [Signal::TERM, Signal::INT] {
        let mut daemon = world.node.serve();
        let _ = daemon.address();
        let name = format!("order-{signal:?}.yaml");
        let id = world.order(&name, &format!("title: {name}\ntype: custom\nsources:\n  - folder: notes\n"));
        let _ = world.node.run(&["deliverable", "run", &id, "--force"]).ok();
        eventually("the daemon to write", LIMIT, || (bytes() > 0).then_some(()));
        daemon.signal(signal);
        assert_eq!(daemon.end().code(), Some(0), "{}", daemon.log());
        assert_eq!(bytes(), 0, "the WAL is folded into the file:\n{}", daemon.log());
    }
    // The file alone is the whole store.
    let alone = World::sqlite();
    alone.folder("data");
    std::fs::copy(world.path("data/nightshift.db"), alone.path("data/nightshift.db")).expect("copied");
    assert_eq!(alone.node.rows(&["deliverable", "list"]).len(), 2);
    let _ = alone.node.run(&["tick"]).ok();
    assert_eq!(alone.node.json(&["verify"])["clean"], true);
}

/// The end of a pipe that nobody reads from.
fn nobody() -> Stdio {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    Stdio::from(OwnedFd::from(writer))
}

/// Ends with what standard error said.
fn ended(mut command: std::process::Command) -> (ExitStatus, String) {
    let output = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().expect("nightshift starts");
    let output = output.wait_with_output().expect("it ends");
    (output.status, String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let world = World::sqlite();
    let _ = world.node.run(&["db", "migrate"]).ok();
    for args in [
        &["config", "reference"][..],
        &["completions", "bash"],
        &["deliverable", "list"],
        &["deliverable", "list", "--json"],
        &["db", "info"],
        &["verify"],
    ] {
        let mut command = world.node.command(args);
        command.stdout(nobody());
        let (status, said) = ended(command);
        assert_eq!((status.code(), said.as_str()), (Some(0), ""), "{args:?}");
    }
    // `| head -1`: more than a pipe holds, and one line of it is read.
    let mut command = world.node.command(&["completions", "zsh"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("nightshift starts");
    let mut first = String::new();
    BufReader::new(child.stdout.take().expect("stdout is piped")).read_line(&mut first).expect("a line");
    let output = child.wait_with_output().expect("it ends");
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &[][..]), "after {first}");
}

#[test]
fn a_failure_keeps_its_code_when_nobody_reads_why() {
    let world = World::sqlite();
    for (args, code) in [(&["deliverable", "list"][..], 6), (&["run", "show", "cafe", "--json"], 6)] {
        let mut command = world.node.command(args);
        let status = command.stdin(Stdio::null()).stdout(nobody()).stderr(nobody()).status();
        assert_eq!(status.expect("nightshift starts").code(), Some(code), "{args:?}");
    }
}

#[test]
fn work_goes_on_when_nobody_reads_the_log() {
    let world = World::sqlite();
    world.write("notes/a.md", "# A\n\nThe first note.\n");
    let rest = "sources:\n  - folder: notes\nschedule:\n  every: 1s\n";
    let id = world.order("order.yaml", &format!("title: Brief\ntype: custom\n{rest}"));
    let mut command = world.node.clone().with("http.listen", "127.0.0.1:0").command(&["serve"]);
    let mut daemon = command.stdin(Stdio::null()).stdout(nobody()).stderr(nobody()).spawn().expect("nightshift starts");
    let row = nightshift_tests::within(LIMIT, || world.node.rows(&["version", "list", &id]).first().cloned());
    let ended = daemon.try_wait().expect("a child can be waited for");
    daemon.kill().expect("it is ours");
    let _ = daemon.wait();
    assert_eq!(ended, None, "it ended by itself");
    assert!(row.is_some(), "it made no version");
}

/// The session of a killed daemon lives on for some seconds, and commands find its address.
#[test]
fn a_command_says_which_daemon_does_not_answer_and_what_to_do() {
    let Some(world) = World::postgres() else { return };
    let order = world.write("order.yaml", "title: Brief\ntype: custom\nsources:\n  - description: a text\n");
    let mut daemon = world.node.serve();
    let address = daemon.address();
    assert!(daemon.kill9());
    let done = world.node.run(&["deliverable", "create", &order]);
    assert_eq!(done.code, 73, "{}{}", done.out, done.err);
    for part in ["the daemon of node ", &address, "registered in the store since 20", "Connection refused"] {
        assert!(done.err.contains(part), "{part:?} is not in: {}", done.err);
    }
    for part in ["nothing was done", "10 s after its last sign of life: repeat the command then", "start a daemon"] {
        assert!(done.err.contains(part), "{part:?} is not in: {}", done.err);
    }
    // As it was told: repeated, it is done without a daemon.
    let row = eventually("the session to end", LIMIT, || {
        let done = world.node.run(&["deliverable", "create", &order, "--json"]);
        (done.code != 73).then(|| done.ok().json())
    });
    assert_eq!(row["title"], "Brief");
    assert_eq!(world.node.rows(&["deliverable", "list"]).len(), 1);
}

//! A PostgreSQL server of one test's own, with settings that the shared one must not have.
//!
//! Owns: its folder, its processes, and that both are gone with the value. It listens on a socket in that folder, and on
//! loopback when it is asked to, so any number of them run side by side.
//! Refuses to know: what is unsafe about a setting.

use std::{
    fs,
    os::unix::fs::{MetadataExt, chown},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, getuid, kill_process};
use tempfile::TempDir;

use crate::{eventually, repo_root};

const LIMIT: Duration = Duration::from_secs(60);

/// The server; it is stopped and removed with the value.
pub struct Server {
    folder: TempDir,
    programs: PathBuf,
    /// PostgreSQL refuses to run as root: then it is somebody else's.
    user: Option<&'static str>,
    process: Option<Child>,
    /// Where it listens on loopback.
    port: Option<u16>,
}

impl Server {
    /// Makes one that does not run yet; none on a laptop without PostgreSQL.
    ///
    /// # Panics
    /// It cannot be made; in CI also when there is no PostgreSQL.
    #[must_use]
    pub fn fresh() -> Option<Self> {
        let programs = programs()?;
        let folder = tempfile::Builder::new().prefix("nightshift-pg.").tempdir().expect("a folder");
        let user = getuid().is_root().then(|| if has_user("postgres") { "postgres" } else { "nobody" });
        let it = Self { folder, programs, user, process: None, port: None };
        if let Some(user) = user {
            let id = |flag| said(program("id").args([flag, user])).trim().parse().expect("an id");
            chown(it.folder.path(), Some(id("-u")), Some(id("-g"))).expect("the folder is ours");
        }
        let mut initdb = it.program("initdb");
        initdb.arg("-D").arg(it.data()).args([
            "--username=nightshift",
            "--auth=trust",
            "--encoding=UTF8",
            "--locale=C",
        ]);
        said(&mut initdb);
        Some(it)
    }

    /// Starts it with these settings and waits until it answers.
    ///
    /// # Panics
    /// It does not.
    pub fn start(&mut self, settings: &[(&str, &str)]) {
        assert!(self.try_start(settings), "the server ended:\n{}", self.log());
    }

    /// Starts it on a port of loopback as well, the same after each start, and waits until it answers. After a crash it
    /// first brings its files in order, and has to wait for the last of the processes that are left over.
    ///
    /// # Panics
    /// It does not.
    pub fn start_on_loopback(&mut self, settings: &[(&str, &str)]) {
        eventually("the server to start on loopback", LIMIT, || {
            let port = *self.port.get_or_insert_with(free_port);
            let port = port.to_string();
            let ours = [("listen_addresses", "127.0.0.1"), ("port", port.as_str())];
            let is_up = self.try_start(&[&ours, settings].concat());
            if !is_up && self.log().contains("Address already in use") {
                self.port = None;
            }
            is_up.then_some(())
        });
    }

    /// False: it ended instead.
    fn try_start(&mut self, settings: &[(&str, &str)]) -> bool {
        let log = fs::File::create(self.folder.path().join("server.log")).expect("a log");
        let mut command = self.program("postgres");
        command.arg("-D").arg(self.data()).arg("-k").arg(self.folder.path()).args(["-c", "listen_addresses="]);
        for (name, value) in settings {
            command.arg("-c").arg(format!("{name}={value}"));
        }
        let mut process = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().expect("it starts");
        let is_up = eventually("the server to answer", LIMIT, || {
            if process.try_wait().expect("a child can be waited for").is_some() {
                return Some(false);
            }
            let mut ready = program(self.programs.join("pg_isready"));
            ready.arg("-q").arg("-h").arg(self.folder.path());
            if let Some(port) = self.port {
                ready.arg("-p").arg(port.to_string());
            }
            ready.status().expect("pg_isready runs").success().then_some(true)
        });
        self.process = is_up.then_some(process);
        is_up
    }

    /// `kill -9` of its first process; the others notice it and end.
    pub fn kill9(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }

    /// Stops it, if it runs, and waits until it has ended.
    ///
    /// # Panics
    /// It does not end.
    pub fn stop(&mut self) {
        let Some(mut process) = self.process.take() else { return };
        let pid = i32::try_from(process.id()).ok().and_then(Pid::from_raw).expect("a process id");
        // Fast: sessions are ended, the rest is written.
        let _ = kill_process(pid, Signal::INT);
        eventually("the server to end", LIMIT, || process.try_wait().expect("a child can be waited for"));
    }

    /// From the next start on it follows a primary, which nobody names, and takes no writes.
    ///
    /// # Panics
    /// The folder cannot be written.
    pub fn become_standby(&self) {
        let data = fs::metadata(self.data()).expect("the data folder");
        let file = self.data().join("standby.signal");
        fs::write(&file, "").expect("written");
        chown(file, Some(data.uid()), Some(data.gid())).expect("given to the server");
    }

    /// Address of its database `postgres`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("postgres://nightshift@localhost/postgres?host={}", self.folder.path().display())
    }

    /// Host and port on loopback.
    #[must_use]
    pub fn address(&self) -> Option<String> {
        self.port.map(|port| format!("127.0.0.1:{port}"))
    }

    /// What it wrote since its start.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("server.log")).unwrap_or_default()
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// A program of the server, run as its user and ended with the thread that started it.
    fn program(&self, name: &str) -> Command {
        let path = self.programs.join(name);
        let Some(user) = self.user else { return program(path) };
        let mut command = program("setpriv");
        command.args(["--reuid", user, "--regid", user, "--clear-groups", "--pdeathsig", "INT"]).arg(path);
        command.current_dir(self.folder.path());
        command
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            let pid = i32::try_from(process.id()).ok().and_then(Pid::from_raw);
            // At once: nobody needs what it would write. Its children end with it.
            let _ = pid.map(|pid| kill_process(pid, Signal::QUIT));
            let _ = process.wait();
        }
    }
}

/// Nobody has it now; whoever takes it before the server does is noticed at the start.
fn free_port() -> u16 {
    let probe = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    probe.local_addr().expect("a bound port").port()
}

#[expect(clippy::disallowed_methods, reason = "a database server is a program")]
fn program(path: impl AsRef<Path>) -> Command {
    let mut command = Command::new(path.as_ref());
    command.env("LC_ALL", "C");
    command
}

fn has_user(name: &str) -> bool {
    program("id").arg(name).output().is_ok_and(|done| done.status.success())
}

fn said(command: &mut Command) -> String {
    let done = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(done.status.success(), "{command:?}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8_lossy(&done.stdout).into_owned()
}

/// The folder of the server's programs, found as `scripts/with-postgres` finds it.
#[expect(clippy::disallowed_methods, reason = "CI is told by the environment")]
fn programs() -> Option<PathBuf> {
    let done = program(repo_root().join("scripts/with-postgres")).arg("--bindir").output().expect("the script runs");
    if done.status.success() {
        return Some(PathBuf::from(String::from_utf8_lossy(&done.stdout).trim()));
    }
    let why = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(std::env::var_os("CI").is_none(), "{why}");
    eprintln!("not run on a server of its own: {why}");
    None
}

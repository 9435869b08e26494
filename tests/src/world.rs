//! A world for the program under test: a folder with sources and destinations, a store, and its command line.
//!
//! Owns: that nothing of the machine leaks in (environment, home, other stores) and nothing is left behind.
//! Refuses to know: any crate of the product; it is used as people use it.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde_json::Value;
use tempfile::TempDir;

use crate::{binary, daemon::Daemon, postgres::Database};

/// What a command said and how it ended.
#[derive(Debug, Clone)]
pub struct Done {
    /// Exit code; -1 when a signal ended it.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
    /// The command, for messages.
    pub said: String,
}

impl Done {
    /// It must have gone well.
    ///
    /// # Panics
    /// It did not.
    #[track_caller]
    #[must_use]
    pub fn ok(self) -> Self {
        assert_eq!(self.code, 0, "{}\n{}{}", self.said, self.out, self.err);
        self
    }

    /// Standard output as one JSON document.
    ///
    /// # Panics
    /// It is none.
    #[track_caller]
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out)
            .unwrap_or_else(|error| panic!("{}: no JSON: {error}\n{}{}", self.said, self.out, self.err))
    }
}

/// One node: a data folder, a store, settings and an environment.
#[derive(Debug, Clone)]
pub struct Node {
    /// Its data folder.
    pub data_dir: PathBuf,
    /// Working folder and home of its commands.
    pub home: PathBuf,
    /// `--set` of every command.
    pub settings: Vec<(String, String)>,
    /// Variables of every command.
    pub env: Vec<(String, String)>,
    /// A program that is given each command with its arguments, and carries it out somewhere else; none: empty.
    pub through: Vec<String>,
}

impl Node {
    /// With another setting.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl ToString) -> Self {
        self.settings.push((key.to_owned(), value.to_string()));
        self
    }

    /// With another variable.
    #[must_use]
    pub fn with_env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// A command of the program, not yet started. Of the environment it sees only what the node has.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the program under test is a process of its own")]
    pub fn command(&self, args: &[&str]) -> Command {
        let mut words = self.through.iter();
        let mut command = Command::new(words.next().map_or_else(|| binary::nightshift().into(), PathBuf::from));
        if !self.through.is_empty() {
            command.args(words).arg(binary::nightshift());
        }
        let path = std::env::var_os("PATH").unwrap_or_default();
        command.env_clear().env("PATH", path).env("HOME", &self.home).env("USER", "tester").current_dir(&self.home);
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command.args(args).arg("--data-dir").arg(&self.data_dir);
        for (key, value) in &self.settings {
            command.args(["--set", &format!("{key}={value}")]);
        }
        command
    }

    /// Runs a command to its end.
    ///
    /// # Panics
    /// It cannot be started.
    #[must_use]
    pub fn run(&self, args: &[&str]) -> Done {
        let output = self.command(args).stdin(Stdio::null()).output().expect("nightshift starts");
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Done {
            code: output.status.code().unwrap_or(-1),
            out: text(output.stdout),
            err: text(output.stderr),
            said: format!("nightshift {}", args.join(" ")),
        }
    }

    /// Runs a command that must go well, and reads its JSON.
    #[track_caller]
    #[must_use]
    pub fn json(&self, args: &[&str]) -> Value {
        let args: Vec<&str> = args.iter().copied().chain(["--json"]).collect();
        self.run(&args).ok().json()
    }

    /// The rows a command lists.
    ///
    /// # Panics
    /// It lists none.
    #[track_caller]
    #[must_use]
    pub fn rows(&self, args: &[&str]) -> Vec<Value> {
        self.json(args).as_array().cloned().expect("a list of rows")
    }

    /// Starts the daemon; it listens on a free port.
    #[must_use]
    pub fn serve(&self) -> Daemon {
        Daemon::start(self, &[])
    }
}

/// A folder and a store, both gone with the value.
pub struct World {
    folder: TempDir,
    /// The database, when the store is PostgreSQL.
    pub database: Option<Database>,
    /// The first node.
    pub node: Node,
}

impl World {
    /// On an SQLite file of its own.
    ///
    /// # Panics
    /// No folder can be made.
    #[must_use]
    pub fn sqlite() -> Self {
        Self::on(None)
    }

    /// On a PostgreSQL database of its own; none on a machine without a server.
    #[must_use]
    pub fn postgres() -> Option<Self> {
        Database::fresh().map(|database| Self::on(Some(database)))
    }

    fn on(database: Option<Database>) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut node = node_in(folder.path(), "data");
        if let Some(database) = &database {
            node = node.with("store.url", &database.url);
        }
        Self { folder, database, node }
    }

    /// Another node on the same store, with a data folder of its own.
    #[must_use]
    pub fn other_node(&self, name: &str) -> Node {
        let (settings, env) = (self.node.settings.clone(), self.node.env.clone());
        Node { settings, env, ..node_in(self.folder.path(), name) }
    }

    /// Leaves the folder where it is when the value goes, for people to look at.
    pub fn keep(&mut self) -> PathBuf {
        self.folder.disable_cleanup(true);
        self.folder.path().to_path_buf()
    }

    /// A path in the folder.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The same, as text.
    #[must_use]
    pub fn text_path(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    /// Writes a file, and the folders above it.
    ///
    /// # Panics
    /// It cannot be written.
    pub fn write(&self, name: &str, text: &str) -> String {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().expect("a file in a folder")).expect("a folder");
        std::fs::write(&path, text).expect("written");
        path.display().to_string()
    }

    /// Makes a folder.
    ///
    /// # Panics
    /// It cannot be made.
    pub fn folder(&self, name: &str) {
        std::fs::create_dir_all(self.path(name)).expect("a folder");
    }

    /// Takes an order and gives its id.
    ///
    /// # Panics
    /// It is refused.
    #[must_use]
    pub fn order(&self, name: &str, yaml: &str) -> String {
        let file = self.write(name, yaml);
        let row = self.node.json(&["deliverable", "create", &file]);
        row["id"].as_str().expect("an id").to_owned()
    }
}

impl Drop for World {
    /// The folder of a failed test is kept: it has the store, or at least a fixture of it, and says so.
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.folder.disable_cleanup(true);
            eprintln!("the world of the failed test is kept in {}", self.folder.path().display());
        }
    }
}

fn node_in(folder: &Path, name: &str) -> Node {
    Node {
        data_dir: folder.join(name),
        home: folder.to_path_buf(),
        settings: Vec::new(),
        env: Vec::new(),
        through: Vec::new(),
    }
}

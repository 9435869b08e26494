//! A database of its own on the test server, made and removed with `psql`, and a way to end its sessions.
//!
//! Refuses to know: the product's tables. What a test asks of them it asks of the product's commands.

use std::{
    path::PathBuf,
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
};

use crate::postgres_url;

/// A database that is removed when the test is done with it.
#[derive(Debug)]
pub struct Database {
    server: String,
    name: String,
    /// Address of it, password and all.
    pub url: String,
}

impl Database {
    /// A new, empty one; none on a machine without a server.
    ///
    /// # Panics
    /// The server refuses it.
    #[must_use]
    pub fn fresh() -> Option<Self> {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let server = postgres_url()?;
        let name = format!("nightshift_system_{}_{}", std::process::id(), MADE.fetch_add(1, Ordering::Relaxed));
        psql(&server, &format!("create database {name}"));
        Some(Self { url: at(&server, &name), server, name })
    }

    /// Whether the server has another database of this name.
    ///
    /// # Panics
    /// The server does not answer.
    #[must_use]
    pub fn has_beside(&self, name: &str) -> bool {
        psql(&self.server, &format!("select count(*) from pg_database where datname = '{name}'")).trim() == "1"
    }

    /// Ends every session of the database but the one that asks, as an administrator or a failover would.
    ///
    /// # Panics
    /// The server refuses it.
    #[must_use]
    pub fn end_sessions(&self) -> u32 {
        end_sessions(&self.url)
    }
}

/// Ends every session of the database at `url` but the one that asks.
///
/// # Panics
/// The server refuses it.
#[must_use]
pub fn end_sessions(url: &str) -> u32 {
    let count = "select count(pg_terminate_backend(pid)) from pg_stat_activity \
                 where datname = current_database() and pid <> pg_backend_pid()";
    psql(url, count).trim().parse().expect("a count")
}

impl Drop for Database {
    fn drop(&mut self) {
        let _ = run(&self.server, &format!("drop database if exists {} with (force)", self.name));
    }
}

/// The address of another database on the same server.
fn at(server: &str, name: &str) -> String {
    let (address, query) = server.split_once('?').map_or((server, None), |(address, query)| (address, Some(query)));
    let authority = address.find("://").map_or(0, |at| at + 3);
    let end = address[authority..].find('/').map_or(address.len(), |at| authority + at);
    let query = query.map(|query| format!("?{query}")).unwrap_or_default();
    format!("{}/{name}{query}", &address[..end])
}

fn psql(url: &str, sql: &str) -> String {
    run(url, sql).unwrap_or_else(|error| panic!("{sql}: {error}"))
}

#[expect(clippy::disallowed_methods, reason = "psql is a program")]
fn run(url: &str, sql: &str) -> Result<String, String> {
    let mut command = Command::new(program());
    let done = command.args(["-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", "-c", sql, url]).output();
    let done = done.map_err(|error| format!("psql does not run: {error}; scripts/setup installs it"))?;
    if !done.status.success() {
        return Err(String::from_utf8_lossy(&done.stderr).into_owned());
    }
    Ok(String::from_utf8_lossy(&done.stdout).into_owned())
}

/// `psql` beside the server's programs, where Debian keeps them, else the one in PATH.
fn program() -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().filter_map(Result::ok);
    let found = versions.map(|entry| entry.path().join("bin/psql")).filter(|psql| psql.is_file()).max();
    found.unwrap_or_else(|| PathBuf::from("psql"))
}

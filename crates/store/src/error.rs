//! Why a store does not open, and what other failures of a database are called.

use std::path::PathBuf;

use nightshift_domain::ids::{SHARDS_MAX, ShardId};
use nightshift_ports::log::{LogInfo, StoreError};
use uuid::Uuid;

/// A store that does not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// There is no such file.
    #[error("there is no store at {path}; create it with `nightshift db migrate`, or correct the path")]
    Missing {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// The file is something else.
    #[error("{path} is not a SQLite database; correct the path, or move the file away and start anew")]
    NotADatabase {
        /// The file.
        path: PathBuf,
    },
    /// The folder or the file cannot be written.
    #[error("the store at {path} cannot be written: {why}; give this user the right to write the file and its folder")]
    NotWritable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        why: String,
    },
    /// Another process has it.
    #[error("the store at {path} is in use by {holder}; stop that process, or talk to it instead")]
    InUse {
        /// The file.
        path: PathBuf,
        /// Who has it, as far as known.
        holder: String,
    },
    /// The server does not answer.
    #[error("PostgreSQL at {host} cannot be reached: {why}; check that it runs, the address and the credentials")]
    Unreachable {
        /// Host and port, or the socket.
        host: String,
        /// What the client saw.
        why: String,
    },
    /// The server may lose what it confirmed.
    #[error(
        "PostgreSQL at {host} runs with {setting} = {found}, which loses or tears confirmed work in a crash; it must be \
         {needed}: set {setting} = {needed} in the server's configuration and reload it"
    )]
    Unsafe {
        /// Host and port.
        host: String,
        /// Name of the setting.
        setting: &'static str,
        /// Its value.
        found: String,
        /// The value it must have.
        needed: &'static str,
    },
    /// The server is a standby.
    #[error("PostgreSQL at {host} is a standby and takes no writes; name the primary, or open it read-only")]
    Standby {
        /// Host and port.
        host: String,
    },
    /// A different store than was expected.
    #[error("the store belongs to cluster {found}, expected was {expected}; correct the address, or the expected id")]
    WrongCluster {
        /// What is stored.
        found: Uuid,
        /// What the configuration says.
        expected: Uuid,
    },
    /// A newer program was here.
    #[error("the schema of the store is at number {found}, this program knows up to {known}; run the newer program")]
    SchemaNewer {
        /// Number of the newest migration applied.
        found: u32,
        /// Number of the newest migration known.
        known: u32,
    },
    /// Migrations are missing and may not be run now.
    #[error("the schema of the store is at number {found}, this program needs {known}; run `nightshift db migrate`")]
    SchemaOlder {
        /// Number of the newest migration applied.
        found: u32,
        /// Number of the newest migration known.
        known: u32,
    },
    /// A migration failed or an applied one is not what it was.
    #[error(
        "the schema cannot be brought to number {known}: {why}; the store is as it was before the failing migration"
    )]
    Migration {
        /// Number of the newest migration known.
        known: u32,
        /// What the database said.
        why: String,
    },
    /// The store was made with another number of shards.
    #[error(
        "the store has {stored} shards, fixed when it was made; the configuration asks for {asked}: remove that setting, or copy into a new store"
    )]
    ShardCount {
        /// As stored.
        stored: u16,
        /// As asked for.
        asked: u16,
    },
    /// A number of shards that cannot be.
    #[error("a store cannot have {asked} shards; allowed are 1 to {max}", max = SHARDS_MAX)]
    ShardCountRange {
        /// As asked for.
        asked: u16,
    },
    /// The address of the database does not parse.
    #[error("the address of the database is not one: {why}; it looks like postgres://user:password@host:5432/database")]
    Address {
        /// What is wrong.
        why: String,
    },
    /// Anything else the database said.
    #[error("the store does not open: {doing}: {why}")]
    Database {
        /// What was being done.
        doing: &'static str,
        /// What the database said.
        why: String,
    },
}

impl OpenError {
    /// For `map_err`: wraps what the database said.
    pub(crate) fn database(doing: &'static str) -> impl Fn(sqlx::Error) -> Self {
        move |error| Self::Database { doing, why: error.to_string() }
    }
}

/// For `map_err`: what was asked, and what the database said.
pub(crate) fn failed(doing: &'static str) -> impl Fn(sqlx::Error) -> StoreError {
    move |error| StoreError::Failed { doing, why: error.to_string() }
}

/// Something that cannot be.
pub(crate) fn corrupt(what: impl Into<String>) -> StoreError {
    StoreError::Corrupt { what: what.into() }
}

/// The store has no such shard.
pub(crate) fn no_shard(shard: ShardId, info: &LogInfo) -> StoreError {
    StoreError::Failed {
        doing: "find the shard",
        why: format!("there is no shard {shard}; the store has {}", info.shard_count),
    }
}

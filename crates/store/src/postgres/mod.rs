//! The store on PostgreSQL, for one process or several.
//!
//! Owns: connections that only append (lanes), connections for everything else, the refusal of servers that lose
//! confirmed work.
//! Refuses to know: who calls, which lane serves which shard.
//!
//! Invariant: an append is one statement, so that a server error means that nothing of it was written.

mod admin;
mod append;
mod cells;
mod columns;
mod facts;
mod log;
mod open;
mod question;
mod read_models;
mod rebuild;
mod records;
mod sides;
mod tables;

use std::sync::Arc;

use nightshift_ports::log::LogInfo;
use sqlx::{PgPool, postgres::PgConnectOptions};

pub use admin::{create_database, drop_database};
pub use open::OpenOptions;

use crate::{staging::StagingSlot, tables::SqlBook};

/// A store on a PostgreSQL server. Clones share its connections.
#[derive(Clone)]
pub struct PostgresStore {
    inner: Arc<Inner>,
}

struct Inner {
    info: LogInfo,
    /// Only for appends.
    lanes: PgPool,
    /// For everything else.
    pool: PgPool,
    /// For connections beside the pools.
    connect: PgConnectOptions,
    /// The rebuild under way.
    staging: StagingSlot<rebuild::Scratch>,
    sql: SqlBook,
}

impl PostgresStore {
    /// Closes all connections after what is under way has ended.
    pub async fn close(self) {
        self.inner.lanes.close().await;
        self.inner.pool.close().await;
    }
}

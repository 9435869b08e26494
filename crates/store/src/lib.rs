//! The stores on disk: the ports of `nightshift_ports` on SQLite and on PostgreSQL.
//!
//! Owns: all SQL of the product, the embedded migrations, what a database error means for an append.
//! Refuses to know: what events mean, who calls, when to retry.

pub mod bench;
mod error;
mod facts;
mod identity;
mod migrations;
pub mod postgres;
mod question;
mod record;
pub mod sqlite;
mod staging;
mod step_cache;
mod tables;

pub use error::OpenError;
pub use facts::{ShardHead, StoreFacts, TableSize};
pub use migrations::SchemaState;
pub use question::{Answered, AskError};

/// A store that is being opened. In a box, so that all it takes is compiled here and not by everyone who opens one.
pub type Opening<S> = std::pin::Pin<Box<dyn Future<Output = Result<S, OpenError>>>>;

/// Shards of a new store when nobody says otherwise.
pub const DEFAULT_SHARDS: u16 = 64;

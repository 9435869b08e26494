//! The async borders of Nightshift: event log, read models, content store, clock, performers.
//!
//! Owns: the traits and their errors, the in-memory versions, and the suite every store must pass.
//! Refuses to know: SQL, HTTP, actors.

pub mod batch;
pub mod blobs;
pub mod clock;
#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
pub mod log;
pub mod memory;
pub mod performer;
pub mod read_models;
pub mod rows;
pub mod step_cache;
pub mod store;

/// Work that is compiled where it is written. What an `async` function does is compiled by every crate that waits for it;
/// large work that others begin gives this instead.
pub type Boxed<'a, T> = std::pin::Pin<Box<dyn Future<Output = T> + Send + 'a>>;

//! The async borders of Nightshift: event log, read models, content store, clock, performers.
//!
//! Owns: the traits and their errors, the in-memory versions, and the suite every store must pass.
//! Refuses to know: SQL, HTTP, actors.

pub mod blobs;
pub mod clock;
pub mod log;
pub mod performer;
pub mod read_models;

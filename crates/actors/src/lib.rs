//! The ractor tree: clock, journal, streams, queue, importer, projector, and the shell around every decider.
//!
//! Owns: who runs what and what follows when it stops; the one path by which anything is appended.
//! Refuses to know: SQL, HTTP, which store or performer it was given, business rules.

pub mod audit;
pub mod chooser;
pub mod clock;
pub mod context;
pub mod courier;
pub mod duties;
pub mod envelope;
pub mod faults;
pub mod herald;
pub mod importer;
pub mod journal;
pub mod observer;
pub mod perform;
pub mod port;
pub mod projector;
pub mod queue;
pub mod recovery;
pub mod root;
pub mod router;
pub mod shell;
pub mod supervision;
pub mod system;
mod tasks;
pub mod workers;

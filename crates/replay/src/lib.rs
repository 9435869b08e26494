//! Histories outside a store: captured, made safe to share, decided again, cut anywhere and continued.
//!
//! Owns: the fixture format (`replay-fixtures/README.md`), capture and its causal closure, redaction, state and decision
//! replay, recovery from every prefix with an auditor of its own.
//! Refuses to know: SQL, HTTP, and anything that reaches the outside world. The only performers here answer from a
//! recording ([`prefix`]); no crate with real ones is a dependency.
//!
//! Invariant: a fixture's events and commands are never written again by a replay; only its golden files are.

mod bytes;
pub mod capture;

mod decide;
mod error;
pub mod fixture;
mod folding;
#[cfg(feature = "fuzz")]
pub mod fuzz;
mod golden;
mod history;
pub mod live;

mod obligations;
mod order;
pub mod prefix;
pub mod redact;

mod replay;
pub mod report;
pub mod simulate;
pub mod trial;

pub use capture::{Progress, Scope, capture};
pub use error::Error;
pub use fixture::Fixture;
pub use golden::{Goldens, goldens};
pub use live::replay_log;

pub use prefix::{Prefixes, prefixes};
pub use redact::{Mode, redact};
pub use replay::{Options, replay_fixture, replay_fixture_with};
pub use report::Report;

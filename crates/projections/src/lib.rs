//! Read models as pure folds of the log.
//!
//! Owns: which tables people query, and how events become rows of them.
//! Refuses to know: databases, checkpoints, time.

pub mod table;

//! What can be seen of Nightshift from outside: logs, traces, metrics.
//!
//! Owns: spans and metrics as folds of the log, their export over OTLP and as Prometheus text, the form of log lines.
//! Refuses to know: where events are read from, how far an export came (the caller keeps the cursor), the environment
//! and the configuration file (values arrive as arguments).
//!
//! Invariant: telemetry never fails the work: each failure is a value for the caller, bounded in time.
//! Invariant: ids of traces and spans derive from the log, so a repeated export repeats the same spans.
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::panic))]

pub mod export;
pub mod logging;
pub mod metrics;
pub mod spans;

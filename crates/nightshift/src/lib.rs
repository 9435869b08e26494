//! The parts of the binary that are testable without starting it.
//!
//! Owns: configuration. Refuses to know: what the other crates do with it; `main` wires them.

pub mod config;

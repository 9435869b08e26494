//! The model check: small worlds in which everything that can happen does happen, and properties that hold in each state.
//!
//! Owns: the search (`explore`), and one module for each model. Refuses to know: time, randomness, databases.
//!
//! Three of the models run the deciders of the product and model only what is around them: crashes, messages that come late
//! or twice, clocks, people. The fourth, `append`, writes the protocol of journal and store once more, condition by
//! condition, and is held against the real stores by `tests/conformance.rs`.
//!
//! Each property has a mutation that breaks it on purpose, and a test that the search tells the way to it.

pub mod append;
pub mod approval;
pub mod explore;
pub mod lease;
pub mod runs;
pub mod schedule;
pub mod stream;

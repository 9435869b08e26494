//! The pure core of Nightshift: what can happen, what follows from it, and how it is written down.
//!
//! Owns: ids, commands, events, states, deciders, obligations, the event codec and its upcasters.
//! Refuses to know: clocks, randomness, I/O, async, logging, databases. Time and ids arrive as arguments.
//!
//! Invariant: `decide`, `evolve` and `obligations` are pure; equal inputs give equal bytes on every machine.
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod bulk;
pub mod calendar;
pub mod codec;
pub mod content;
pub mod decider;
pub mod definition;
pub mod deliverable;
pub mod expression;
pub mod ids;
pub mod json;
pub mod queue;
pub mod recorded;
pub mod run;
pub mod schedule;
pub mod source;
pub mod streams;
pub mod template;
#[cfg(test)]
mod testing;
pub mod time;
pub mod topic;
pub mod trace;

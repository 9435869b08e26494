//! From text to checked values: schedules to due instants, deliverable documents to orders, workflow documents to
//! plans, tests of workflows to scripts, conditions to answers, edits to measures.
//!
//! Owns: the authoring forms, their faults, the calendar, the measures of a text.
//! Refuses to know: clocks, files, sockets, databases. What a path is, what time it is and which edition of the zone
//! data the machine has arrive as arguments.
//!
//! Invariant: equal inputs give equal outputs; no function panics, whatever the text.
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::panic))]

pub mod calendar;
pub mod cron;
mod document;
pub mod duration;
pub mod edit;
pub mod expressions;
pub mod fault;
pub mod order_file;
mod pattern;
mod reader;
pub mod schedule;
mod table;
pub mod trial;
pub mod validate;
pub mod workflow;
mod zone;

pub use calendar::ZonedCalendar;
pub use expressions::Cel;
pub use fault::{Fault, Faults};

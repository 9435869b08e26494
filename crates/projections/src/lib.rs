//! Read models as pure folds of the log.
//!
//! Owns: which tables people query, and how events become rows of them.
//! Refuses to know: databases, checkpoints, time.
//!
//! A page of events becomes rows in four steps: decode, load what [`reads`] names into [`Rows`], [`apply`] each event in
//! order, write what [`Rows::take_changed`] gives together with the checkpoint.
//!
//! Invariant: the rows after a log do not depend on how the log was cut into pages.
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::panic))]

mod fold;
mod image;
mod rows;
pub mod table;
pub mod tables;
mod value;

pub use fold::{apply, keys, reads};
pub use image::Image;
pub use rows::{Changed, Rows};

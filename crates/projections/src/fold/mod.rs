//! Folds: what each event does to rows.
//!
//! Owns: the way from an event to the rows it reads and changes, one module for each stream.
//! Refuses to know: where rows are kept, when pages end.
//!
//! Invariant: `apply` reads no row that `reads` did not name. An event about something whose first event was never seen
//! makes what can be made of it alone, and nothing else.

mod activity;
mod approval;
mod bulk;
mod definition;
mod deliverable;
mod fan;
mod given_up;
mod notice;
mod plan;
mod queue;
mod run;
mod schedule;
mod source;
mod step;
mod topic;
mod version;

use nightshift_domain::{recorded::Recorded, streams::AnyEvent};
use serde_json::Value;

use crate::{
    rows::Rows,
    table::{RowKey, TableDef},
    value,
};

/// Every row that an event may read or write, as far as the event itself names it.
#[must_use]
pub fn keys(event: &AnyEvent, recorded: &Recorded) -> Vec<(&'static TableDef, RowKey)> {
    touched(event, recorded, Touches { every: true, keys: Vec::new() })
}

/// The rows whose former image an event needs: those a page has to load. Rows that an event makes from nothing are not
/// among them, so a rebuild loads few.
#[must_use]
pub fn reads(event: &AnyEvent, recorded: &Recorded) -> Vec<(&'static TableDef, RowKey)> {
    touched(event, recorded, Touches { every: false, keys: Vec::new() })
}

fn touched(event: &AnyEvent, recorded: &Recorded, mut touches: Touches) -> Vec<(&'static TableDef, RowKey)> {
    match event {
        AnyEvent::Deliverable(event) => deliverable::touched(event, recorded, &mut touches),
        AnyEvent::Run(event) => run::touched(event, recorded, &mut touches),
        AnyEvent::Schedule(event) => schedule::touched(event, recorded, &mut touches),
        AnyEvent::Source(event) => source::touched(event, recorded, &mut touches),
        AnyEvent::Definition(event) => definition::touched(event, recorded, &mut touches),
        AnyEvent::Topic(event) => topic::touched(event, &mut touches),
        AnyEvent::Queue(event) => queue::touched(event, &mut touches),
        AnyEvent::Bulk(event) => bulk::touched(event, recorded, &mut touches),
    }
    touches.keys
}

/// Changes rows as an event says. Events of one shard come in order.
pub fn apply(rows: &mut Rows, recorded: &Recorded, event: &AnyEvent) {
    match event {
        AnyEvent::Deliverable(event) => deliverable::apply(rows, recorded, event),
        AnyEvent::Run(event) => run::apply(rows, recorded, event),
        AnyEvent::Schedule(event) => schedule::apply(rows, recorded, event),
        AnyEvent::Source(event) => source::apply(rows, recorded, event),
        AnyEvent::Definition(event) => definition::apply(rows, recorded, event),
        AnyEvent::Topic(event) => topic::apply(rows, recorded, event),
        AnyEvent::Queue(event) => queue::apply(rows, recorded, event),
        AnyEvent::Bulk(event) => bulk::apply(rows, recorded, event),
    }
}

/// Collects the rows an event touches.
struct Touches {
    every: bool,
    keys: Vec<(&'static TableDef, RowKey)>,
}

impl Touches {
    /// The former image matters.
    fn reads(&mut self, table: &'static TableDef, key: RowKey) {
        self.keys.push((table, key));
    }

    /// The row is made whole, whatever stood there.
    fn writes(&mut self, table: &'static TableDef, key: impl FnOnce() -> RowKey) {
        if self.every {
            self.keys.push((table, key()));
        }
    }
}

/// The key of the row that stands for the stream itself.
fn own(recorded: &Recorded) -> RowKey {
    vec![value::id(recorded.stream.id)]
}

/// When the event happened.
fn at(recorded: &Recorded) -> Value {
    value::time(recorded.at)
}

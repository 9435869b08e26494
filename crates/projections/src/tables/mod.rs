//! Which tables there are, column by column.
//!
//! Owns: names, order, types and meaning of every column. `schema/README.md` and both SQL files are held against it.
//! Refuses to know: how a row comes to be (`fold`), SQL.

/// Declares a table: its [`TableDef`](crate::table::TableDef), the place of each column, and what each means.
/// `| null` behind a type says that the column may be null; `fixed` names columns that keep their first value.
macro_rules! table {
    (
        $(#[doc = $doc:literal])+
        $def:ident = $name:ident key($($key:ident),+) $(fixed($($fixed:ident),+))? {
            $($(#[doc = $meaning:literal])+ $column:ident: $kind:ident $(| $null:ident)?,)+
        }
    ) => {
        $(#[doc = $doc])+
        pub static $def: crate::table::TableDef = crate::table::TableDef {
            name: stringify!($name),
            columns: &[$(crate::table::Column {
                name: stringify!($column),
                kind: crate::table::ColumnType::$kind,
                nullable: [$(stringify!($null),)? ""].len() == 2,
            }),+],
            key: &[$(stringify!($key)),+],
            fixed: &[$($(stringify!($fixed)),+)?],
        };

        /// Places of the columns.
        #[allow(non_camel_case_types, non_upper_case_globals, dead_code, reason = "columns are named as in SQL")]
        pub(crate) mod $name {
            enum Place { $($column),+ }
            $(pub const $column: usize = Place::$column as usize;)+
            pub const MEANING: super::super::Meaning =
                super::super::Meaning { table: concat!($($doc),+), columns: &[$(concat!($($meaning),+)),+] };
        }
    };
}

mod content;
mod orders;
mod people;
mod queue;
mod runs;
mod workflows;

use crate::table::TableDef;

pub use content::{CONTENT_RETENTIONS, PLATFORM_CONTENT_ITEMS, PLATFORM_ITEMS, SYNC_REGISTRY};
pub(crate) use content::{content_retentions, platform_content_items, platform_items, sync_registry};
pub use orders::{DELIVERABLE_VERSIONS, DELIVERABLES, SCHEDULES};
pub(crate) use orders::{deliverable_versions, deliverables, schedules};
pub use people::{ACTIVITY_LOG, NOTIFICATIONS};
pub(crate) use people::{activity_log, notifications};
pub use queue::{QUEUE_PAUSES, RATE_LIMITS};
pub(crate) use queue::{queue_pauses, rate_limits};
pub use runs::{BULK_JOBS, JOB_ATTEMPTS, JOB_QUEUE, ORCHESTRATION_RUNS, ORCHESTRATION_STEPS};
pub(crate) use runs::{bulk_jobs, job_attempts, job_queue, orchestration_runs, orchestration_steps};
pub use workflows::{HUMAN_APPROVALS, INTENT_EVENTS, ORCHESTRATION_DEFINITIONS};
pub(crate) use workflows::{human_approvals, intent_events, orchestration_definitions};

/// Every table, in the order of the SQL files.
pub const ALL: &[&TableDef] = &[
    &DELIVERABLES,
    &DELIVERABLE_VERSIONS,
    &SCHEDULES,
    &ORCHESTRATION_RUNS,
    &ORCHESTRATION_STEPS,
    &JOB_QUEUE,
    &JOB_ATTEMPTS,
    &SYNC_REGISTRY,
    &PLATFORM_ITEMS,
    &PLATFORM_CONTENT_ITEMS,
    &CONTENT_RETENTIONS,
    &ACTIVITY_LOG,
    &NOTIFICATIONS,
    &ORCHESTRATION_DEFINITIONS,
    &HUMAN_APPROVALS,
    &INTENT_EVENTS,
    &RATE_LIMITS,
    &QUEUE_PAUSES,
    &BULK_JOBS,
];

/// What each table of [`ALL`] and each of its columns means.
pub const MEANINGS: &[Meaning] = &[
    deliverables::MEANING,
    deliverable_versions::MEANING,
    schedules::MEANING,
    orchestration_runs::MEANING,
    orchestration_steps::MEANING,
    job_queue::MEANING,
    job_attempts::MEANING,
    sync_registry::MEANING,
    platform_items::MEANING,
    platform_content_items::MEANING,
    content_retentions::MEANING,
    activity_log::MEANING,
    notifications::MEANING,
    orchestration_definitions::MEANING,
    human_approvals::MEANING,
    intent_events::MEANING,
    rate_limits::MEANING,
    queue_pauses::MEANING,
    bulk_jobs::MEANING,
];

/// What a table and its columns mean, for people.
#[derive(Debug, Clone, Copy)]
pub struct Meaning {
    /// The table.
    pub table: &'static str,
    /// Its columns, in order.
    pub columns: &'static [&'static str],
}

/// The table of that name.
#[must_use]
pub fn named(name: &str) -> Option<&'static TableDef> {
    ALL.iter().copied().find(|table| table.name == name)
}

/// Where a table stands in [`ALL`].
pub(crate) fn place(table: &TableDef) -> Option<usize> {
    let same = |other: &&TableDef| std::ptr::eq(*other, table);
    ALL.iter().position(same).or_else(|| ALL.iter().position(|other| other.name == table.name))
}

/// Kinds of line in the activity log: the words users of the seed systems know, then ours.
pub const ACTIVITY_TYPES: &[&str] = &[
    "deliverable_run",
    "deliverable_approved",
    "deliverable_rejected",
    "platform_synced",
    "deliverable_created",
    "deliverable_revised",
    "deliverable_paused",
    "deliverable_resumed",
    "deliverable_archived",
    "deliverable_buffered",
    "deliverable_skipped",
    "deliverable_edited",
    "deliverable_delivered",
    "deliverable_delivery_failed",
    "schedule_skipped",
    "platform_sync_failed",
];

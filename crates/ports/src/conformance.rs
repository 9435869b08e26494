//! What every store promises, as checks that run on any of them.
//!
//! Owns: one check for each promise of the ports, and a random trace whose outcome must be that of the memory store.
//! Refuses to know: which store it is given.
//!
//! Each check gets a store of [`SHARDS`] shards that nobody has used, with the tables of [`PROBES`].

mod appending;
mod owing;
mod pen;
mod racing;
mod reading;
mod rows;
mod sides;
pub mod step_cache;
mod trace;

use std::{future::Future, pin::Pin};

pub use rows::PROBES;
pub use trace::trace;

use crate::store::Store;

/// Shards of the store that a check gets.
pub const SHARDS: u16 = 8;

type Check = for<'a> fn(&'a dyn Store) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// One promise and how it is checked: the check panics when it is broken.
#[derive(Clone, Copy)]
pub struct Promise {
    /// What is promised, as words with underscores.
    pub name: &'static str,
    /// Checks it.
    pub check: Check,
}

macro_rules! promises {
    ($($module:ident: $($name:ident),+;)+) => {
        &[$($(Promise { name: stringify!($name), check: |store| Box::pin($module::$name(store)) },)+)+]
    };
}

/// All of them.
pub const PROMISES: &[Promise] = promises! {
    appending:
        appended_events_come_back_as_they_were, an_empty_group_is_nothing, a_stale_epoch_writes_nothing,
        in_a_mixed_group_each_shard_counts_for_itself, a_wrong_head_is_fenced, a_command_is_recorded_once,
        a_stream_version_exists_once, gaps_and_strangers_are_refused, a_rejected_command_is_recorded,
        a_bare_discharge_writes_no_command, a_group_may_span_many_shards, large_and_strange_payloads_survive,
        five_thousand_events_go_in_at_once, an_unknown_outcome_is_resolved, acquiring_raises_the_epoch,
        a_writer_whose_shard_was_taken_is_fenced;
    owing:
        obligations_open_and_close, pairs_inside_a_group_cancel_out, a_key_can_be_closed_and_opened_again,
        another_stream_of_the_shard_can_be_discharged, a_fenced_batch_opens_and_closes_nothing,
        obligations_are_read_in_order_and_by_pages;
    reading:
        streams_and_shards_are_read_by_pages, commands_are_read_in_order, commands_of_one_place_come_together,
        a_newer_snapshot_replaces_the_older, heads_are_those_of_shards_with_events;
    sides:
        the_inbox_keeps_a_command_until_it_is_recorded, the_inbox_is_read_oldest_first, an_expired_session_is_dead,
        a_session_that_ended_is_gone, content_is_kept_under_its_digest, cursors_are_kept_by_name;
    step_cache:
        entries_come_back_as_they_were, an_expired_entry_is_not_given, a_later_entry_replaces_an_earlier_one,
        every_hit_is_counted, pruning_removes_what_expired_and_what_was_longest_unused;
    rows:
        rows_come_back_as_they_were, a_checkpoint_is_compared_and_set, a_row_can_be_replaced_and_deleted,
        batches_of_shards_are_written_together, questions_are_answered, rows_are_filtered_searched_and_counted, an_unknown_column_is_refused,
        rows_are_counted_by_a_column, a_rebuild_replaces_the_live_rows;
    racing:
        writers_that_race_never_share_a_place;
    trace:
        a_random_trace_ends_like_the_reference;
};

/// Checks every promise, each on a store of its own.
///
/// # Panics
/// When one is broken; its name is printed before.
pub async fn run_all<S: Store + 'static>(make: impl AsyncFn() -> S) {
    for promise in PROMISES {
        eprintln!("promise: {}", promise.name);
        (promise.check)(&make().await).await;
    }
}

//! What holds for any history: every event type is known, keys are named, rows do not depend on pages.

mod support;

use nightshift_domain::{
    codec,
    ids::{ShardId, StreamId, StreamKind},
    recorded::Recorded,
    streams::AnyEvent,
};
use nightshift_projections::{Rows, apply, keys, reads, tables};
use proptest::prelude::*;
use support::{
    histories::{delivered, rows_of},
    record, samples, secs,
    store::{Store, text_of},
};

#[test]
fn the_samples_are_of_every_event_type() {
    for kind in StreamKind::ALL {
        let all = samples::all();
        let events = all.iter().filter(|(stream, _)| stream.kind == kind);
        let names: Vec<String> = events.map(|(_, event)| codec::encode_any(event).unwrap().event_type).collect();
        let expected: Vec<String> = codec::facts(kind).iter().map(|fact| format!("{}.{fact}", kind.as_str())).collect();
        assert_eq!(names, expected);
    }
}

#[test]
fn an_event_without_a_past_makes_what_it_can_and_never_panics() {
    for (stream, event) in samples::all() {
        let recorded = record(stream, (1, 1), secs(1), &event);
        let made = Store::folded(&[(recorded.clone(), event)], &[1]);
        let makes_rows = matches!(
            recorded.event_type.as_str(),
            "deliverable.created"
                | "deliverable.run_requested"
                | "deliverable.version_staged"
                | "deliverable.version_failed"
                | "run.created"
                | "run.attempt_started"
                | "schedule.created"
                | "source.registered"
                | "source.content_retained"
                | "definition.registered"
                | "topic.published"
                | "queue.limit_set"
                | "queue.paused"
                | "bulk.created"
        );
        assert_eq!(!made.tables.is_empty(), makes_rows, "{}", recorded.event_type);
    }
}

/// A row that is written was named, but for those whose keys stand in the row of an item, a step or a run. What an event
/// does depends on the rows it names and on no others.
#[test]
fn keys_name_every_row_that_is_written() {
    let mut past = delivered();
    samples::varied().into_iter().for_each(|(stream, event)| past.append(stream, event));
    let mut store = Store::default();
    for (recorded, event) in &past.log {
        let named = keys(event, recorded);
        assert!(reads(event, recorded).iter().all(|read| named.contains(read)));
        let mut rows = Rows::new();
        for (table, key) in reads(event, recorded) {
            let found = store.row(table.name, &key).cloned();
            rows.load(table, key, found);
        }
        apply(&mut rows, recorded, event);
        let (upserts, deletes) = rows.take_changed();
        let mut all = store.loaded();
        apply(&mut all, recorded, event);
        assert_eq!(all.take_changed(), (upserts.clone(), deletes.clone()), "{} read more", recorded.event_type);
        for (table, image) in upserts {
            let key = image.key(table);
            let is_named = named.iter().any(|(other, named)| std::ptr::eq(*other, table) && *named == key);
            let derived = match table.name {
                "job_attempts" => recorded.event_type == "run.step_skipped",
                // A question that becomes void is kept in the row of its step or its run.
                "human_approvals" => recorded.event_type.starts_with("run."),
                _ => false,
            };
            assert!(is_named || derived, "{} wrote {} {}", recorded.event_type, table.name, text_of(&key));
            assert_eq!((image.shard(), image.seq()), (recorded.shard.0, recorded.seq));
        }
        let forgets = [
            "source.content_expired",
            "run.step_reset",
            "run.fanned_out",
            "run.migrated",
            "queue.limit_cleared",
            "queue.resumed",
        ];
        assert!(deletes.is_empty() || forgets.contains(&recorded.event_type.as_str()), "{}", recorded.event_type);
        store.project(&[(recorded.clone(), event.clone())]);
    }
}

#[test]
fn activity_types_are_the_listed_ones() {
    let mut past = delivered();
    samples::all().into_iter().for_each(|(stream, event)| past.append(stream, event));
    let rows = rows_of(&past);
    let mut kinds: Vec<&str> = rows.all("activity_log").iter().filter_map(|row| row["event_type"].as_str()).collect();
    kinds.sort_unstable();
    kinds.dedup();
    let mut listed = tables::ACTIVITY_TYPES.to_vec();
    listed.sort_unstable();
    let missing: Vec<&&str> = listed.iter().filter(|kind| !kinds.contains(kind)).collect();
    assert!(missing.is_empty() || missing == [&"platform_sync_failed"], "never written: {missing:?}");
    assert!(kinds.iter().all(|kind| listed.contains(kind)));
}

fn any_log() -> impl Strategy<Value = Vec<(Recorded, AnyEvent)>> {
    let picks = proptest::collection::vec(0..samples::varied().len(), 0..160);
    picks.prop_map(|picks| {
        let all = samples::varied();
        let chosen = picks.into_iter().map(|pick| all[pick].clone());
        let numbered = chosen.zip(1..).map(|((stream, event), n): ((StreamId, AnyEvent), u64)| {
            let recorded = record(stream, (n, n), secs(n as i64), &event);
            (Recorded { shard: ShardId(0), ..recorded }, event)
        });
        numbered.collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Any log, also one that no decider would write, gives the same rows however it is cut into pages.
    #[test]
    fn rows_do_not_depend_on_pages(log in any_log(), pages in proptest::collection::vec(1..20_usize, 1..6)) {
        let fold = |pages: &[usize]| Store { astray: true, ..Store::default() }.fold(&log, pages);
        let (whole, paged) = (fold(&[log.len().max(1)]), fold(&pages));
        prop_assert_eq!(without_empty(whole), without_empty(paged));
    }

    /// So does a log of the real deciders.
    #[test]
    fn rows_of_a_life_do_not_depend_on_pages(pages in proptest::collection::vec(1..9_usize, 1..6)) {
        let log = delivered().log;
        let whole = Store::folded(&log, &[log.len()]);
        prop_assert_eq!(whole, Store::folded(&log, &pages));
    }
}

fn without_empty(mut store: Store) -> Store {
    store.tables.retain(|_, rows| !rows.is_empty());
    store
}

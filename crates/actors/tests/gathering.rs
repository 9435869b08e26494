//! What gathering reads: the content of a range, and not every look that was taken meanwhile.

mod support;

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering},
};

use nightshift_actors::{context::Settings, faults::NoFaults, importer::gather};
use nightshift_domain::{
    content::{FailureClass, Item, MaterialGroup, Omission, SourceFailure, SourceSpec},
    deliverable::Governance,
    ids::{SourceId, UserId},
    recorded::Recorded,
    run::GatherSource,
    source::Event,
    streams::AnyEvent,
    time::Timestamp,
};
use nightshift_ports::log::EventLog;
use support::{MONDAY_8, Stage, create, order, versions, watched::Watched};

const HOUR: i64 = 3_600_000;
const ORDERS: usize = 6;

fn nine_on_day(day: i64) -> Timestamp {
    MONDAY_8.plus_ms(HOUR + 24 * HOUR * day)
}

/// What a document is made of, from all events of the range one after another.
#[derive(Debug, Default, PartialEq)]
struct Told {
    items: BTreeMap<String, Item>,
    removed: Vec<String>,
    omitted: Vec<Omission>,
}

fn told(events: &[Recorded], from: u64, upto: u64) -> Told {
    let mut told = Told::default();
    for recorded in events.iter().filter(|recorded| from < recorded.version && recorded.version <= upto) {
        match recorded.decode().unwrap() {
            AnyEvent::Source(Event::ContentObserved { items, removed, omitted, .. }) => {
                for item in items {
                    told.removed.retain(|id| *id != item.item_id);
                    told.items.insert(item.item_id.clone(), item);
                }
                removed.iter().for_each(|id| drop(told.items.remove(id)));
                told.removed.extend(removed);
                told.omitted = omitted;
            }
            AnyEvent::Source(Event::Checked { omitted, .. }) => told.omitted = omitted,
            _ => {}
        }
    }
    told
}

fn of(group: MaterialGroup) -> Told {
    let items = group.items.into_iter().map(|item| (item.item_id.clone(), item)).collect();
    Told { items, removed: group.removed, omitted: group.omitted }
}

fn the_source() -> (SourceSpec, SourceId) {
    let spec = order(Governance::Manual).sources.remove(0);
    let id = spec.source_id(&UserId::default(), 4);
    (spec, id)
}

/// Many orders on one folder look at it again and again and find nothing; then there is one new file.
#[tokio::test]
async fn many_looks_that_found_nothing_are_not_read() {
    let mut stage = Stage::new();
    let log = Watched::over(stage.store.clone());
    // Sources stay in memory, so that only gathering reads their streams.
    let settings = Settings { idle_ms: 1_000_000_000_000, ..Settings::default() };
    let system = stage.start_over(log.clone(), Arc::new(NoFaults), settings).await;
    stage.world.write("a.md", "known from the first day on");
    let mut orders = Vec::new();
    for n in 0..ORDERS {
        orders.push(create(&system, order(Governance::Manual), &format!("create {n}")).await);
    }
    for day in 0..100 {
        stage.at(&system, nine_on_day(day)).await;
    }
    let events = stage.store.read_stream(the_source().1.stream(), 0, u32::MAX).await.unwrap().len();
    assert!(events > 100, "the source was looked at every day: {events} events");

    stage.world.write("b.md", "new on the last day");
    stage.world.materials.lock().unwrap().clear();
    log.read.store(0, Ordering::SeqCst);
    stage.at(&system, nine_on_day(100)).await;
    for id in orders {
        assert_eq!(versions(&system, id).await, vec![(1, "staged"), (2, "staged")]);
    }
    let materials = stage.world.materials.lock().unwrap().clone();
    assert_eq!(materials.len(), ORDERS);
    for group in materials.iter().flat_map(|material| &material.groups) {
        let titles: Vec<&str> = group.items.iter().map(|item| item.title.as_str()).collect();
        assert_eq!((titles, &group.removed), (vec!["b.md"], &vec![]));
    }
    let read = log.read.load(Ordering::SeqCst);
    assert!(read <= ORDERS * 8, "{read} events were read, and the stream has {events}");
}

#[tokio::test]
async fn any_range_gives_what_its_events_say() {
    let mut stage = Stage::new();
    let system = stage.start().await;
    let _ = create(&system, order(Governance::Manual), "create").await;
    stage.world.leaving_out.store(true, Ordering::Relaxed);
    for day in 0..70 {
        let broken = SourceFailure { class: FailureClass::Transient, message: "not today".to_owned() };
        *stage.world.broken_source.lock().unwrap() = (30..50).contains(&day).then_some(broken);
        match day {
            0 | 3 | 4 | 25 | 60 => stage.world.write(&format!("{}.md", day % 2), &format!("as of day {day}")),
            26 => drop(stage.world.files.lock().unwrap().remove("0.md")),
            62 => stage.world.write("0.md", "back again"),
            _ => {}
        }
        stage.at(&system, nine_on_day(day)).await;
    }
    let (spec, source_id) = the_source();
    let events = stage.store.read_stream(source_id.stream(), 0, u32::MAX).await.unwrap();
    let kinds: Vec<&str> = events.iter().map(|event| event.event_type.as_str()).collect();
    for kind in ["content_observed", "checked", "observation_failed", "content_retained"] {
        assert!(kinds.contains(&format!("source.{kind}").as_str()), "{kind} in {kinds:?}");
    }
    let brief = stage.world.materials.lock().unwrap()[0].brief.clone();
    for (from, upto) in
        (0..events.len() as u64).flat_map(|from| (from..=events.len() as u64).map(move |upto| (from, upto)))
    {
        let source =
            GatherSource { source_id, spec: spec.clone(), from_version: from, upto_version: upto, error: None };
        let material = gather(system.context(), &[source], &brief, &[]).await.unwrap();
        let group = material.groups.into_iter().next().unwrap();
        assert_eq!(of(group), told(&events, from, upto), "after {from} up to {upto}");
    }
}

//! The auditor finds what it is there to find: a sound history, spoiled in one way at a time.

mod stage;

use nightshift_domain::{
    codec,
    deliverable::Event as Fact,
    ids::{ShardId, derive},
    recorded::Recorded,
    run::idempotency_key,
    streams::AnyEvent,
    time::Timestamp,
};
use nightshift_replay::{
    Fixture, Scope,
    prefix::{Evidence, Performed, audit},
};
use stage::a_week;

fn sound(fixture: &Fixture) -> Evidence {
    Evidence {
        events: fixture.events.clone(),
        owed: fixture.obligations.clone(),
        rows: fixture.rows.clone(),
        now: fixture.events.iter().map(|event| event.at).max().unwrap(),
        ..Evidence::default()
    }
}

fn find<'a>(evidence: &'a Evidence, event_type: &str) -> &'a Recorded {
    evidence.events.iter().find(|event| event.event_type == event_type).unwrap()
}

/// Says an event again, at the end of its shard and stream, by another command.
fn again(evidence: &mut Evidence, event_type: &str) {
    let copy = find(evidence, event_type).clone();
    append(evidence, copy);
}

fn append(evidence: &mut Evidence, mut event: Recorded) {
    let at = evidence.events.iter().rposition(|other| other.shard == event.shard).unwrap();
    let last = &evidence.events[at];
    (event.seq, event.hlc, event.epoch) = (last.seq + 1, last.hlc + 1, last.epoch);
    event.version = 1 + evidence.events.iter().filter(|other| other.stream == event.stream).count() as u64;
    event.command_id = nightshift_domain::ids::CommandId(derive("again", &[event.data.as_slice()]));
    evidence.events.insert(at + 1, event);
}

fn say(evidence: &mut Evidence, like: &str, event: Fact) {
    let encoded = codec::encode_any(&AnyEvent::Deliverable(event)).unwrap();
    let (event_type, type_version, data) = (encoded.event_type, encoded.type_version, encoded.data);
    let event = Recorded { event_type, type_version, data, ..find(evidence, like).clone() };
    append(evidence, event);
}

#[tokio::test]
async fn each_kind_of_fault_is_found() {
    let (stage, auto, _) = a_week().await;
    let fixture = stage.capture(Scope::All).await;
    assert_eq!(audit(&sound(&fixture)), Vec::<String>::new());
    let delivered = find(&sound(&fixture), "deliverable.delivery_requested").decode().unwrap();
    let AnyEvent::Deliverable(Fact::DeliveryRequested { run_id, .. }) = delivered else { panic!("it is one") };
    let key = idempotency_key(run_id, "deliver");
    type Spoil = Box<dyn Fn(&mut Evidence)>;
    let cases: Vec<(&str, Spoil)> = vec![
        ("event(s) are missing", Box::new(|it| drop(it.events.remove(it.events.len() / 2)))),
        ("is not after", Box::new(|it| it.events[5].hlc = 1)),
        ("its writer had been replaced", Box::new(|it| it.events[5].epoch = 1)),
        ("wrote twice", Box::new(|it| it.events[9].command_id = it.events[0].command_id)),
        ("is completed after it was completed", Box::new(|it| again(it, "run.attempt_succeeded"))),
        ("something happened after it was", Box::new(|it| again(it, "run.step_queued"))),
        ("was asked for twice", Box::new(|it| again(it, "deliverable.run_requested"))),
        ("began twice", Box::new(|it| again(it, "deliverable.slot_due"))),
        ("was staged and then staged", Box::new(|it| again(it, "deliverable.version_staged"))),
        ("comes twice", Box::new(|it| again(it, "schedule.fired"))),
        (
            "it never ended",
            Box::new(|it| {
                let end = it.events.iter().position(|event| event.event_type == "run.completed").unwrap();
                it.events.retain(|event| event.shard != ShardId(0));
                it.events.truncate(end);
            }),
        ),
        (
            "and nobody had asked for it",
            Box::new(|it| {
                let AnyEvent::Deliverable(Fact::VersionStaged { version_id, draft, snapshots, consumed, .. }) =
                    find(it, "deliverable.version_staged").decode().unwrap()
                else {
                    panic!("it is one")
                };
                say(
                    it,
                    "deliverable.version_staged",
                    Fact::VersionStaged { number: 77, version_id, draft, snapshots, consumed },
                );
            }),
        ),
        ("was not made now", Box::new(move |it| drop(it.staged.insert(auto.stream(), vec![99])))),
        ("still owes", Box::new(|it| it.owed[0].obligation.due_at = Timestamp(0))),
        ("read model", Box::new(|it| drop(it.rows[0].row.insert("title".to_owned(), "x".into())))),
        ("was handed over again", {
            let key = key.clone();
            Box::new(move |it| {
                it.done_before.insert(key.clone());
                it.performed.push(Performed { key: key.clone(), done: true });
            })
        }),
        ("no receipt is in the log", Box::new(|it| it.performed.push(Performed { key: "new".to_owned(), done: true }))),
    ];
    for (words, spoil) in cases {
        let mut evidence = sound(&fixture);
        spoil(&mut evidence);
        let found = audit(&evidence);
        assert!(found.iter().any(|fault| fault.contains(words)), "{words:?} not in {found:#?}");
    }
}

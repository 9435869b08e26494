//! Capture, files, decision replay and its findings, on histories of the real tree.

mod stage;

use std::sync::Arc;

use nightshift_domain::{
    calendar::{Calendar, CalendarError, Schedule},
    codec,
    decider::RecordedCtx,
    ids::{RunId, StreamKind},
    streams::AnyEvent,
    time::Timestamp,
};
use nightshift_replay::{
    Fixture, Options, Report, Scope, goldens, replay_fixture, replay_fixture_with, replay_log,
    report::{Class, exit},
};
use nightshift_spec::ZonedCalendar;
use stage::a_week;

fn assert_same(report: &Report) {
    assert!(report.is_same(), "{report}");
}

async fn a_fixture() -> Fixture {
    a_week().await.0.capture(Scope::All).await
}

#[tokio::test]
async fn a_captured_history_is_decided_the_same_again() {
    let (stage, auto, by_hand) = a_week().await;
    let all = stage.capture(Scope::All).await;
    let report = replay_fixture(&all);
    assert_same(&report);
    assert_eq!(report.events, all.events.len() as u64);
    assert_eq!(report.commands, all.commands.len() as u64);
    assert!(report.commands > 100 && report.rows_compared > 50, "{report}");
    for scope in [Scope::Deliverable(auto), Scope::Deliverable(by_hand), Scope::Since(stage::days(5))] {
        let part = stage.capture(scope).await;
        assert!(part.events.len() < all.events.len(), "{scope}");
        assert_same(&replay_fixture(&part));
    }
}

#[tokio::test]
async fn the_closure_of_a_run_is_its_version_with_all_it_came_from() {
    let (stage, auto, _) = a_week().await;
    let all = stage.capture(Scope::Deliverable(auto)).await;
    let delivers = all.events.iter().find_map(|event| match event.decode() {
        Ok(AnyEvent::Deliverable(nightshift_domain::deliverable::Event::DeliveryRequested { run_id, .. })) => {
            Some(run_id)
        }
        _ => None,
    });
    let part = stage.capture(Scope::Run(delivers.unwrap())).await;
    let count = |kind: StreamKind| part.streams().iter().filter(|stream| stream.kind == kind).count();
    let kinds = [StreamKind::Deliverable, StreamKind::Schedule, StreamKind::Source, StreamKind::Run];
    // The runs that make, deliver and tell of version 1.
    assert_eq!(kinds.map(count), [1, 1, 1, 3]);
    assert!(!part.about.captured.told_outside.is_empty(), "runs of other versions are outside");
    assert_same(&replay_fixture(&part));
    let nobody = RunId::from_uuid(nightshift_domain::ids::derive("nobody", &[]));
    let error = nightshift_replay::capture(&*stage.store, &*stage.store, Scope::Run(nobody), &mut |_| {}).await;
    assert!(error.unwrap_err().to_string().contains("there is no run-"));
}

#[tokio::test]
async fn a_store_is_replayed_as_it_stands() {
    let (stage, ..) = a_week().await;
    let mut told = Vec::new();
    let report = replay_log(&*stage.store, &mut |progress| told.push((progress.done, progress.of))).await.unwrap();
    assert_same(&report);
    assert!(report.open_obligations > 0);
    assert_eq!(told.last().map(|(done, of)| done == of), Some(true));
}

#[tokio::test]
async fn both_forms_of_a_fixture_say_the_same_and_equal_captures_give_equal_bytes() {
    let fixture = a_fixture().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(&fixture.name);
    fixture.write_dir(&path).unwrap();
    assert_eq!(Fixture::read(&path).unwrap(), fixture);
    assert!(fixture.write_dir(&path).unwrap_err().to_string().contains("never written again"));
    let (one, two) = (folder.path().join("one.nsfix"), folder.path().join("two.nsfix"));
    fixture.write_file(&one).unwrap();
    assert_eq!(Fixture::read(&one).unwrap(), fixture);
    a_fixture().await.write_file(&two).unwrap();
    assert_eq!(std::fs::read(one).unwrap(), std::fs::read(two).unwrap());
}

#[tokio::test]
async fn a_fault_in_a_file_is_told_with_its_place() {
    let fixture = a_fixture().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x");
    fixture.write_dir(&path).unwrap();
    let spoil = |file: &str, from: &str, to: &str| {
        let file = path.join(file);
        let text = std::fs::read_to_string(&file).unwrap();
        std::fs::write(&file, text.replacen(from, to, 1)).unwrap();
        let error = Fixture::read(&path).unwrap_err().to_string();
        std::fs::write(&file, text).unwrap();
        error
    };
    assert!(spoil("fixture.json", "\"format\": 1", "\"format\": 2").contains("this program reads 1 to 1"));
    assert!(spoil("events.jsonl", "\"seq\":2,", "\"sec\":2,").contains("events.jsonl:2"));
    assert!(spoil("events.jsonl", "\"stream\":\"source-", "\"stream\":\"sauce-").contains("is no kind of stream"));
    let blob = format!("blobs/{}", fixture.blobs.iter().find(|(_, text)| text.starts_with(b"# Morning")).unwrap().0);
    assert!(spoil(&blob, "Morning", "Evening").contains("line ends"));
    let read = Fixture::read(&path).unwrap();
    assert_eq!((read.name.as_str(), &read.events), ("x", &fixture.events));
}

/// Changes the payload of the first event of a type.
fn change(fixture: &mut Fixture, event_type: &str, from: &str, to: &str) {
    assert_eq!(from.len(), to.len());
    let event = fixture.events.iter_mut().find(|event| event.event_type == event_type).unwrap();
    let at = event.data.windows(from.len()).position(|window| window == from.as_bytes()).unwrap();
    event.data[at..at + to.len()].copy_from_slice(to.as_bytes());
}

#[tokio::test]
async fn a_divergence_names_command_field_both_values_and_class() {
    let mut fixture = a_fixture().await;
    change(&mut fixture, "run.attempt_failed", "made up", "made of");
    let report = replay_fixture(&fixture);
    assert_eq!(report.exit_code(), exit::DIVERGED);
    let found = &report.diverged.first[0];
    assert_eq!((found.command.as_str(), found.path.as_str()), ("finish", "/failure/message"));
    assert!(found.part.starts_with("event 1 of 1 (run.attempt_failed)"), "{}", found.part);
    assert_eq!((&found.recorded, &found.computed), (&"made of".into(), &"made up".into()));
    assert_eq!(found.class, Class::Code);
    assert_eq!(report.diverged.count, 1, "a difference does not cascade: {report}");
    let text = report.to_string();
    assert!(text.contains("recorded  \"made of\"") && text.contains("NOT the same."), "{text}");
    assert_eq!(serde_json::to_value(&report).unwrap()["diverged"]["first"][0]["class"], "code");
}

#[tokio::test]
async fn a_rejection_and_what_is_owed_are_compared_too() {
    let mut fixture = a_fixture().await;
    let rejected = fixture.commands.iter_mut().find(|command| !command.record.accepted).unwrap();
    rejected.record.accepted = true;
    let report = replay_fixture(&fixture);
    assert_eq!(report.diverged.first[0].part, "outcome");
    let mut fixture = a_fixture().await;
    let owing = fixture.commands.iter_mut().find(|command| !command.record.delta.is_empty()).unwrap();
    owing.record.delta = Vec::new();
    let report = replay_fixture(&fixture);
    assert_eq!(report.diverged.first[0].part, "obligations");
    let mut fixture = a_fixture().await;
    fixture.obligations.clear();
    fixture.rows[0].row.insert("title".to_owned(), "Evening brief".into());
    let report = replay_fixture(&fixture);
    assert_eq!((report.exit_code(), report.rows.count), (exit::DIVERGED, 1));
    assert!(report.obligations.count > 0 && report.rows.first[0].path == "/title", "{report}");
}

#[tokio::test]
async fn a_log_with_gaps_or_turned_back_clocks_is_corrupt_and_an_unknown_type_undecodable() {
    let whole = a_fixture().await;
    let middle = whole.events.len() / 2;
    let spoiled = |spoil: &dyn Fn(&mut Fixture)| {
        let mut fixture = whole.clone();
        spoil(&mut fixture);
        replay_fixture(&fixture)
    };
    let gap = spoiled(&|fixture| drop(fixture.events.remove(middle)));
    assert_eq!(gap.exit_code(), exit::CORRUPT);
    assert!(gap.to_string().contains("missing"), "{gap}");
    assert_eq!(spoiled(&|fixture| fixture.events[middle].hlc = 1).exit_code(), exit::CORRUPT);
    assert_eq!(spoiled(&|fixture| fixture.events[middle].epoch = 0).exit_code(), exit::CORRUPT);
    let twice = spoiled(&|fixture| fixture.commands.push(fixture.commands[0].clone()));
    assert!(twice.to_string().contains("recorded twice"), "{twice}");
    let unknown = spoiled(&|fixture| fixture.events[middle].event_type = "run.levitated".to_owned());
    assert_eq!(unknown.exit_code(), exit::UNDECODABLE, "{unknown}");
}

/// Every schedule is due a minute later.
struct Later(ZonedCalendar);

impl Calendar for Later {
    fn next_after(&self, schedule: &Schedule, after: Timestamp) -> Result<Option<Timestamp>, CalendarError> {
        Ok(self.0.next_after(schedule, after)?.map(|at| at.plus_ms(60_000)))
    }
    fn latest_at(
        &self,
        schedule: &Schedule,
        after: Timestamp,
        at: Timestamp,
    ) -> Result<Option<Timestamp>, CalendarError> {
        self.0.latest_at(schedule, after, at)
    }
    fn tz_revision(&self) -> &str {
        "2099z"
    }
}

#[tokio::test]
async fn another_edition_of_the_zone_data_differs_only_where_its_answers_do() {
    let fixture = a_fixture().await;
    let mut renamed = fixture.clone();
    for command in &mut renamed.commands {
        let mut ctx: RecordedCtx = codec::from_bytes("context", &command.record.ctx).unwrap();
        ctx.code_revision = "0.0.9".to_owned();
        command.record.ctx = codec::to_bytes(&ctx).unwrap();
    }
    assert_same(&replay_fixture(&renamed));
    let options = Options { calendar: Arc::new(Later(ZonedCalendar::bundled())), ..Options::default() };
    let report = replay_fixture_with(&fixture, &options);
    let found = &report.diverged.first[0];
    assert_eq!((found.class, found.path.as_str()), (Class::Tzdata, "/next_due"), "{report}");
}

#[tokio::test]
async fn goldens_are_made_from_the_history_alone() {
    let fixture = a_fixture().await;
    let bare = Fixture { obligations: vec![], rows: vec![], ..fixture.clone() };
    let made = goldens(&bare).unwrap();
    assert_eq!(made.rows, fixture.rows);
    let key = |owed: &nightshift_ports::log::Owed| (owed.stream, owed.obligation.key.clone());
    let sorted = |mut all: Vec<nightshift_ports::log::Owed>| {
        all.sort_by_key(key);
        all
    };
    assert_eq!(sorted(made.obligations), sorted(fixture.obligations));
}

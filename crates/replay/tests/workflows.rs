//! Histories of workflows: decided the same again, recovered from every prefix, told again without persons.

mod stage;

use nightshift_domain::{
    definition::{self, Document, Start},
    ids::{CommandId, DefinitionId, RunId, StreamKind, TopicId, UserId, derive, place},
    run::{self, Answer, ApprovalAction, Asked, Migration, StepStatus},
    topic::{self, Published},
};
use nightshift_replay::{Fixture, Mode, Scope, prefixes, redact, replay_fixture, replay_log};
use nightshift_spec::{ZonedCalendar, workflow};
use serde_json::json;
use stage::{MONDAY_8, SHARDS, Stage};

const CAMPAIGN: &str = r#"
name: campaign
owner: grace
version: 1.0.0
parameters:
  - {name: people, type: "string[]", required: true}
triggers:
  - {event: order_placed, parameters: {people: "{{ event.payload.people }}"}}
steps:
  - {id: find, call: "http://127.0.0.1/find", body: {people: "{{ people }}"}, retry: {max_attempts: 3, base_ms: 1000}}
  - {id: each, call: "http://127.0.0.1/broken", for_each: "{{ people }}", body: "{{ item }}", depends_on: find,
     retry: {max_attempts: 3, base_ms: 1000}}
  - {id: nap, sleep: 5s, depends_on: each}
  - {id: check, approval: {question: "Send it?", payload: "{{ steps.each }}"}, depends_on: nap}
  - {id: letter, orchestration: {name: letter, owner: grace, parameters: {to: "{{ people }}"}}, depends_on: check,
     when: size(parameters.people) > 1}
  - {id: done, set: {sent: "{{ steps.check }}"}, depends_on: letter}
"#;

const LETTER: &str = r#"
name: letter
owner: grace
version: 1.0.0
parameters:
  - {name: to, type: "string[]", required: true}
steps:
  - {id: write, call: "http://127.0.0.1/write", body: {to: "{{ to }}"}}
  - {id: paid, wait_for_event: {event: paid}, depends_on: write}
"#;

fn of(name: &str) -> DefinitionId {
    DefinitionId::of("grace", name, SHARDS)
}

async fn tell(
    stage: &Stage,
    to: nightshift_domain::ids::StreamId,
    command: impl Into<nightshift_domain::streams::AnyCommand>,
    name: &str,
) {
    let id = CommandId(derive("test", &[name.as_bytes()]));
    stage.system.submit(to, command, (id, "grace")).await.unwrap_or_else(|error| panic!("{name}: {error}"));
    stage.at(stage.now()).await;
}

fn document(text: &str) -> Document {
    let calendar = ZonedCalendar::bundled();
    let context = workflow::Context {
        calendar: &calendar,
        now: MONDAY_8,
        owner: "grace",
        max_parallel_default: None,
        max_parallel_cap: None,
    };
    workflow::parse(text, "w.yaml", &context).unwrap_or_else(|faults| panic!("{faults}"))
}

async fn register(stage: &Stage, text: &str) {
    let document = document(text);
    let to = DefinitionId::of(&document.owner, &document.name, SHARDS).stream();
    let user = UserId("grace".to_owned());
    let name = format!("register {}", document.plan.definition);
    let command = definition::Command::Register { document: document.into(), user, activate: true };
    tell(stage, to, command, &name).await;
}

async fn publish(stage: &Stage, event_type: &str, id: &str, payload: serde_json::Value) {
    let user = UserId("grace".to_owned());
    let event = Published { id: id.to_owned(), user, correlation: None, intent_id: None, payload };
    let command = topic::Command::Publish { event_type: event_type.to_owned(), event: Box::new(event) };
    tell(stage, TopicId::of(event_type, SHARDS).stream(), command, &format!("publish {id}")).await;
}

/// Answers the question that is open about a step of a run.
async fn answer(stage: &Stage, run: RunId, step: &str, action: ApprovalAction) {
    let state = stage.run(run).await;
    let found = state.run().and_then(|run| run.step(step)).map(|(_, step)| &step.status);
    let Some(StepStatus::Asking { approval, .. }) = found else { panic!("nobody is asked: {found:?}") };
    let (approval, digest) = (approval.id, Some(approval.digest.clone()));
    let note = Some("Ada Lovelace says yes".to_owned());
    let given = Answer { approval, action, by: "ada".to_owned(), note, modifications: None, digest };
    tell(stage, run.stream(), run::Command::Answer(Box::new(given)), &format!("answer {approval}")).await;
}

async fn seconds(stage: &Stage, from: i64, upto: i64) {
    for second in from..=upto {
        stage.at(MONDAY_8.plus_ms(second * 1_000)).await;
    }
}

/// Two runs of a workflow: one that an event started, with retries, a list, a wait, a question that is answered twice, a
/// run of another workflow that waits for an event; and one that was asked for, paused, cancelled and begun again.
async fn campaigns() -> (Stage, RunId) {
    let stage = Stage::new().await;
    register(&stage, CAMPAIGN).await;
    register(&stage, LETTER).await;
    publish(&stage, "order_placed", "o-1", json!({"people": ["Ada Lovelace", "Grace Hopper"]})).await;
    let first = definition::event_run_id(of("campaign"), "order_placed", "o-1", SHARDS);
    seconds(&stage, 1, 40).await;
    answer(&stage, first, "check", ApprovalAction::Retry).await;
    answer(&stage, first, "check", ApprovalAction::Continue).await;
    publish(&stage, "paid", "p-1", json!({"by": "Ada Lovelace"})).await;

    let seed = derive("asked for", &[]);
    let second = RunId::on_shard(seed, place(seed, SHARDS));
    let start = Start {
        run: second,
        version: None,
        parameters: json!({"people": ["Alan Turing"]}),
        user: UserId("grace".to_owned()),
        trigger: json!({"type": "api"}),
        parent: None,
        priority: None,
    };
    tell(&stage, of("campaign").stream(), definition::Command::Start(Box::new(start)), "start").await;
    let by = || Asked { by: "grace".to_owned(), note: "Ada Lovelace wants it".to_owned() };
    tell(&stage, second.stream(), run::Command::Pause { by: by() }, "pause").await;
    seconds(&stage, 41, 50).await;
    // The version that the run goes on under says something else of what has not begun.
    let two = CAMPAIGN.replace("1.0.0", "2.0.0").replace("sent: ", "gone: ");
    register(&stage, &two).await;
    let to = Migration::to(of("campaign"), &document(&two), by());
    tell(&stage, second.stream(), run::Command::Migrate(Box::new(to)), "migrate").await;
    tell(&stage, second.stream(), run::Command::Resume { by: by() }, "resume").await;
    seconds(&stage, 51, 90).await;
    tell(&stage, second.stream(), run::Command::Cancel { reason: "no".to_owned() }, "cancel").await;
    tell(&stage, second.stream(), run::Command::Rerun { from: Some("each".to_owned()), by: by() }, "rerun").await;
    seconds(&stage, 91, 130).await;
    answer(&stage, second, "check", ApprovalAction::Continue).await;
    (stage, first)
}

fn count(fixture: &Fixture, event_type: &str) -> usize {
    fixture.events.iter().filter(|event| event.event_type == event_type).count()
}

#[tokio::test]
async fn a_history_of_workflows_is_decided_the_same_again() {
    let (stage, first) = campaigns().await;
    let all = stage.capture(Scope::All).await;
    for (event_type, expected) in [
        ("run.completed", 3),
        ("run.fanned_out", 3),
        ("run.reopened", 1),
        ("run.approval_decided", 3),
        ("run.cancelled", 1),
        ("run.migrated", 1),
    ] {
        assert_eq!(count(&all, event_type), expected, "{event_type}");
    }
    let report = replay_fixture(&all);
    assert!(report.is_same(), "{report}");
    let report = replay_log(&*stage.store, &mut |_| {}).await.unwrap();
    assert!(report.is_same(), "{report}");

    let part = stage.capture(Scope::Run(first)).await;
    let report = replay_fixture(&part);
    assert!(report.is_same(), "{report}");
    let count = |kind: StreamKind| part.streams().iter().filter(|stream| stream.kind == kind).count();
    // The run, the one it waited for, and the definitions of both.
    assert_eq!((count(StreamKind::Run), count(StreamKind::Definition), count(StreamKind::Topic)), (2, 2, 0));
}

#[tokio::test]
async fn every_prefix_of_workflows_recovers() {
    let (stage, _) = campaigns().await;
    let fixture = stage.capture(Scope::All).await;
    let prefixes = prefixes(&fixture).unwrap();
    for cut in prefixes.cuts() {
        let recovered = prefixes.recover(cut).await.unwrap();
        assert_eq!(recovered.faults, Vec::<String>::new(), "cut {cut}, {}", prefixes.describe(cut));
    }
}

#[tokio::test]
async fn persons_in_values_of_workflows_go() {
    let (stage, _) = campaigns().await;
    let fixture = stage.capture(Scope::All).await;
    let written = |fixture: &Fixture| {
        let mut all = String::new();
        let events = fixture.events.iter().map(|event| &event.data);
        let commands = fixture.commands.iter().flat_map(|command| [&command.record.payload, &command.record.delta]);
        events
            .chain(commands)
            .chain(fixture.blobs.values())
            .for_each(|bytes| all.push_str(&String::from_utf8_lossy(bytes)));
        all
    };
    let redacted = redact(&fixture, Mode::Personal).unwrap();
    for name in ["Lovelace", "Hopper", "Turing"] {
        assert!(written(&fixture).contains(name) && !written(&redacted).contains(name), "{name}");
    }
    let report = replay_fixture(&redacted);
    assert!(report.is_same(), "{report}");
}

//! What the tests say of workflows: a definition, runs of it, questions to people, events.

use std::{collections::BTreeMap, sync::Arc};

use nightshift_domain::{
    bulk,
    content::Digest,
    definition::{self, Document, Heard, Parameter, ParameterKind, Trigger, schedule_id},
    ids::{BulkId, CommandId, DefinitionId, RunId, TopicId, UserId, derive},
    queue,
    run::{
        self, Action, Answer, Approval, ApprovalAction, ApprovalId, ApprovalOption, Asked, Checkpoint, CrashPolicy,
        Created, DeadVerb, Flow, How, OnTimeout, Outcome, Plan, RetryPolicy, StepOutput, StepPlan, Subject, Waits,
        WorkflowRef,
    },
    schedule::Cause,
    topic::{self, Published, Subscriber},
};
use serde_json::{Value, json};

use super::{World, digest, hourly, samples::the_run, secs, text};

pub fn the_definition() -> DefinitionId {
    DefinitionId::of("ann", "campaign", super::SHARDS)
}

pub fn the_topic() -> TopicId {
    TopicId::of("order", super::SHARDS)
}

/// A run of the workflow.
pub fn flow_run() -> RunId {
    RunId::on_shard(derive("run", &[b"flow"]), nightshift_domain::ids::ShardId(2))
}

pub fn asked() -> Asked {
    Asked { by: "ann".to_owned(), note: "because".to_owned() }
}

pub fn value(value: Value) -> StepOutput {
    StepOutput::Value(Outcome::of(value))
}

pub fn step(id: &str, action: Action, depends_on: &[&str]) -> StepPlan {
    StepPlan {
        id: id.to_owned(),
        action,
        depends_on: depends_on.iter().map(|id| (*id).to_owned()).collect(),
        retry: RetryPolicy::queue_preset(),
        timeout_ms: 60_000,
        crash: CrashPolicy::Retry,
        optional: false,
        flow: Flow::default(),
    }
}

pub fn call() -> Action {
    let (url, method) = ("http://127.0.0.1/x".to_owned(), "POST".to_owned());
    Action::Call { url, method, headers: BTreeMap::new(), body: None }
}

pub fn checkpoint(advisory: bool) -> Checkpoint {
    let option = |action: ApprovalAction| ApprovalOption {
        action,
        label: action.as_str().to_owned(),
        allows_modification: false,
        description: None,
    };
    Checkpoint {
        question: "Send it?".to_owned(),
        options: ApprovalAction::ALL.map(option).to_vec(),
        advisory,
        assignee: None,
        group: Some("editors".to_owned()),
        severity: None,
        timeout_ms: None,
        on_timeout: OnTimeout::Abort,
    }
}

/// The step with a question behind it.
pub fn asking(step: StepPlan, advisory: bool) -> StepPlan {
    StepPlan { flow: Flow { checkpoint: Some(Box::new(checkpoint(advisory))), ..Flow::default() }, ..step }
}

pub fn plan(steps: Vec<StepPlan>) -> Arc<Plan> {
    Arc::new(Plan {
        definition: "ann/campaign@1".to_owned(),
        steps,
        max_parallel: 4,
        output: None,
        reports: run::Reports::default(),
    })
}

pub fn document(version: &str) -> Arc<Document> {
    let parameter = Parameter {
        name: "to".to_owned(),
        kind: ParameterKind::List(Box::new(ParameterKind::String)),
        required: false,
        default: Some(json!([])),
        one_of: vec![],
        description: None,
    };
    let triggers = vec![
        Trigger::Schedule { schedule: hourly(), parameters: json!({}) },
        Trigger::Event { types: vec!["order".to_owned()], parameters: Value::Null },
        Trigger::Webhook { path: "shop".to_owned(), secret: "env:SHOP".to_owned(), parameters: Value::Null },
    ];
    Arc::new(Document {
        owner: "ann".to_owned(),
        name: "campaign".to_owned(),
        version: version.to_owned(),
        display_name: "Campaign".to_owned(),
        description: "Tells people".to_owned(),
        parameters: vec![parameter],
        triggers,
        plan: plan(vec![step("one", call(), &[])]),
        priority: 100,
        source: text(&format!("name: campaign # {version}")),
    })
}

/// The first fact of [`flow_run`].
pub fn created(steps: Vec<StepPlan>) -> Created {
    let workflow = WorkflowRef {
        definition: Some(the_definition()),
        owner: "ann".to_owned(),
        name: "campaign".to_owned(),
        version: "1".to_owned(),
        digest: digest("campaign"),
    };
    Created {
        id: Some(flow_run()),
        plan: plan(steps),
        subject: Subject::Workflow { workflow, title: "Campaign".to_owned() },
        user: UserId::default(),
        priority: 100,
        reply_to: None,
        root: flow_run(),
        parent: None,
        nominal: secs(100),
        parameters: json!({"to": ["a", "b"]}),
        trigger: json!({"type": "event", "event": {"type": "order", "id": "e-1", "intent_id": "i-1"}}),
        for_step: None,
        reports: run::Reports::default(),
        path: vec![],
    }
}

/// A world in which [`flow_run`] has these steps.
pub fn world(steps: Vec<StepPlan>) -> World {
    let mut world = World::default();
    world.at(100).send(flow_run().stream(), run::Command::Create(Box::new(created(steps))));
    world
}

/// The question that was asked last and is not answered.
pub fn open_question(world: &World) -> ApprovalId {
    let asked = world.log.iter().rev().find_map(|(_, event)| match event {
        nightshift_domain::streams::AnyEvent::Run(run::Event::ApprovalRequested { approval, .. }) => Some(approval.id),
        _ => None,
    });
    asked.expect("somebody was asked")
}

pub fn answer(approval: ApprovalId, action: ApprovalAction) -> run::Command {
    let (by, note) = ("bea".to_owned(), Some("fine".to_owned()));
    run::Command::Answer(Box::new(Answer { approval, action, by, note, modifications: None, digest: None }))
}

fn approval() -> Approval {
    let payload = json!({"to": ["a\0"]});
    Approval {
        id: ApprovalId::of(the_run(), "compose", 1),
        round: 1,
        checkpoint: checkpoint(false),
        digest: Digest("d".repeat(64)),
        payload,
        inside: run::Places::new(),
        deadline: Some(secs(9_000)),
    }
}

/// One event of each type that only runs of workflows have, in the order of the type.
pub fn run_events() -> Vec<run::Event> {
    use run::Event;
    let (step, attempt, by) = ("compose".to_owned(), 1, asked());
    let asked = approval();
    let (id, action) = (asked.id, ApprovalAction::Continue);
    let answer = Answer { approval: id, action, by: "bea".to_owned(), note: None, modifications: None, digest: None };
    let on = Waits::Event {
        event: "order".to_owned(),
        topic: the_topic().stream(),
        correlation: Some("7".to_owned()),
        deadline: Some(secs(9_000)),
        since: secs(100),
    };
    vec![
        Event::FannedOut { step: step.clone(), items: Arc::new(vec![json!(1), json!(2)]) },
        Event::StepParked { step: step.clone(), attempt, on: Box::new(on) },
        Event::StepCompleted { step: step.clone(), output: Arc::new(value(json!("done\0"))), how: How::Set {} },
        Event::ApprovalRequested { step: step.clone(), approval: Box::new(asked) },
        Event::ApprovalDecided { step: step.clone(), answer: Box::new(answer) },
        Event::ApprovalEscalated { step: step.clone(), approval: id, to: "carl".to_owned() },
        Event::StepReset { step, modifications: None, not_before: Some(secs(8_000)), by: by.clone(), once: false },
        Event::StepDiscarded { step: "compose".to_owned(), by: by.clone() },
        Event::Reopened { by: by.clone() },
        Event::Paused { by: by.clone() },
        Event::Resumed { by: by.clone() },
        Event::Migrated(Box::new(migrated(by))),
        Event::Reported { version: 3, part: 0, event: "orchestration.run.created".to_owned(), attempts: 1 },
        Event::ReportGivenUp {
            version: 3,
            part: 1,
            event: "orchestration.step.queued".to_owned(),
            attempts: 9,
            failure: super::samples::failure(),
        },
        Event::ReportResent {
            report: Box::new(run::Report {
                event: "orchestration.step.queued".to_owned(),
                hook: run::Hook::Progress,
                to: run::Receiver::Configured {},
                version: 3,
                part: 1,
                body: json!({}),
            }),
            by: super::workflows::asked(),
        },
    ]
}

/// To a version with other steps.
pub fn migrated(by: Asked) -> run::Migrated {
    let created = created(vec![step("compose", call(), &[]), step("added", call(), &["compose"])]);
    let workflow = created.subject.workflow().cloned().expect("it is of a workflow");
    let workflow = WorkflowRef { version: "2".to_owned(), digest: digest("campaign 2"), ..workflow };
    let plan = Plan { definition: "ann/campaign@2".to_owned(), ..(*created.plan).clone() };
    let (from, dropped) = ("1".to_owned(), vec!["two".to_owned()]);
    run::Migrated { from, workflow, plan: Arc::new(plan), parameters: json!({"to": []}), dropped, by }
}

/// What happens to a list, its instances and a question that nobody has to answer: no types of their own, but folds of
/// their own.
pub fn more_run_events() -> Vec<run::Event> {
    use run::Event;
    let (list, instance) = ("compose".to_owned(), "compose[1]".to_owned());
    let (step, attempt) = (instance.clone(), 1);
    let advisory = Approval { id: ApprovalId::of(the_run(), "compose", 2), round: 2, ..approval() };
    let advisory = Approval { checkpoint: checkpoint(true), ..advisory };
    let output = || Arc::new(value(json!([1])));
    vec![
        Event::FannedOut { step: list.clone(), items: Arc::new(vec![json!(1)]) },
        Event::StepQueued { step: step.clone(), attempt },
        Event::StepDied { step: step.clone(), failure: super::samples::failure() },
        Event::StepCompleted { step: step.clone(), output: output(), how: How::Replaced { by: asked() } },
        Event::StepCompleted { step: list.clone(), output: output(), how: How::FannedIn {} },
        Event::StepReset { step, modifications: None, not_before: None, by: asked(), once: false },
        Event::StepReset { step: list.clone(), modifications: None, not_before: None, by: asked(), once: false },
        Event::ApprovalRequested { step: list.clone(), approval: Box::new(advisory) },
        Event::StepSkipped { step: list, reason: "no".to_owned() },
    ]
}

pub fn definition_events() -> Vec<definition::Event> {
    use definition::Event;
    let (version, schedule) = ("1".to_owned(), schedule_id(the_definition(), 0));
    let heard = Heard { event_type: "order".to_owned(), topic: the_topic() };
    vec![
        Event::Registered { document: document("1"), user: UserId::default() },
        Event::Activated { version: version.clone(), former: None, schedules: vec![schedule], topics: vec![heard] },
        Event::Deprecated { version: version.clone() },
        Event::Archived { version },
        Event::RunRequested { created: Box::new(created(vec![])), run: flow_run(), schedule: None },
        Event::RunRefused {
            run: flow_run(),
            trigger: json!({"type": "api"}),
            why: "no".to_owned(),
            parent: None,
            slot: None,
        },
        Event::SlotBuffered { schedule, nominal: secs(3_600), cause: Cause::Timer, made_up: false, cancels: None },
        Event::RunEnded { run: flow_run(), schedule, how: "completed".to_owned() },
    ]
}

pub fn published(id: &str, payload: Value) -> Published {
    let (user, intent_id) = (UserId::default(), Some("i-1".to_owned()));
    Published { id: id.to_owned(), user, correlation: None, intent_id, payload }
}

pub fn topic_events() -> Vec<topic::Event> {
    use topic::Event;
    let event_type = || "order".to_owned();
    let subscriber = Subscriber::Definition { stream: the_definition().stream(), ordinal: 1 };
    let event = Box::new(published("e-1", json!({"n": 1})));
    vec![
        Event::Subscribed { event_type: event_type(), subscriber: subscriber.clone(), correlation: None },
        Event::Unsubscribed { subscriber: subscriber.clone() },
        Event::Published { event_type: event_type(), event: event.clone(), told: vec![subscriber.clone()] },
        Event::ToldLater { event_type: event_type(), event, at: secs(50), subscriber },
    ]
}

/// Publishes an event.
pub fn publish(world: &mut World, id: &str, payload: Value) {
    let event = Box::new(published(id, payload));
    world.send(the_topic().stream(), topic::Command::Publish { event_type: "order".to_owned(), event });
}

pub fn queue_events() -> Vec<queue::Event> {
    use queue::{Event, Limit, LimitKey};
    let by = || Asked { by: "ann".to_owned(), note: "busy".to_owned() };
    let key = || LimitKey::Bucket("global:agent:writer".to_owned());
    vec![
        Event::LimitSet { key: key(), limit: Limit::Rate { capacity: 5.0, refill_per_s: 0.5 }, by: by() },
        Event::LimitCleared { key: key(), by: by() },
        Event::Paused { queue: Some("slow".to_owned()), by: by() },
        Event::Resumed { queue: Some("slow".to_owned()), by: by() },
    ]
}

pub fn the_bulk() -> BulkId {
    BulkId::of(CommandId(derive("test", &[b"bulk"])), super::SHARDS)
}

pub fn bulk_events() -> Vec<bulk::Event> {
    use bulk::Event;
    let letter = bulk::Letter { run: the_run(), step: "one".to_owned(), attempt: 2 };
    let filter = bulk::Filter {
        status: "dead".to_owned(),
        definition: Some("team/daily".to_owned()),
        after: Some(secs(5)),
        ..bulk::Filter::default()
    };
    let (verb, user) = (DeadVerb::Reset, UserId("ada".to_owned()));
    let created = bulk::Created { verb, filter, user, by: asked(), expected: 1 };
    let letters = vec![letter.clone(), letter.clone()];
    vec![
        Event::Created(Box::new(created)),
        Event::Chosen { page: 0, letters, next: Some("a".to_owned()) },
        Event::Answered { nth: 1, letter, refused: Some("step \"one\" is queued".to_owned()) },
        Event::CancelAsked { by: asked() },
        Event::Completed {},
        Event::Cancelled {},
    ]
}

/// A letter whose run did it.
pub fn bulk_done() -> bulk::Event {
    let letter = bulk::Letter { run: the_run(), step: "one".to_owned(), attempt: 2 };
    bulk::Event::Answered { nth: 0, letter, refused: None }
}

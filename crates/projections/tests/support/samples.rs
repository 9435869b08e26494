//! One event of each type, all about the same few things. A test holds the list against the codec's.

use std::{collections::BTreeMap, sync::Arc};

use nightshift_domain::{
    content::{Failure, FailureClass, Item, NoticeKind, Omission},
    deliverable::{self, EditMeasure, Skipped, Trigger, produce_run_id, schedule_id},
    ids::{QueueId, RunId, StreamId, UserId, VersionId, derive},
    run::{self, Action, CrashPolicy, Created, Flow, Lease, Plan, RetryPolicy, StepPlan, Subject, Token},
    schedule::{self, Cause, SkipReason},
    source,
    streams::AnyEvent,
};

use super::{
    digest, draft, folder, hourly, material, order, receipt, secs, snapshot, text, the_deliverable, the_source,
    workflows,
};

pub fn slot() -> uuid::Uuid {
    derive("slot", &[b"1"])
}

pub fn the_run() -> RunId {
    produce_run_id(the_deliverable(), slot())
}

pub fn failure() -> Failure {
    Failure::new(FailureClass::Transient, "refused\0")
}

/// Every event type, each with its stream.
pub fn all() -> Vec<(StreamId, AnyEvent)> {
    let deliverable = the_deliverable().stream();
    let schedule = schedule_id(the_deliverable()).stream();
    let mut all = Vec::new();
    all.extend(orders().into_iter().chain(versions()).map(|event| (deliverable, AnyEvent::from(event))));
    let runs = runs().into_iter().chain(workflows::run_events());
    all.extend(runs.map(|event| (the_run().stream(), AnyEvent::from(event))));
    all.extend(schedules().into_iter().map(|event| (schedule, AnyEvent::from(event))));
    all.extend(sources().into_iter().map(|event| (the_source().stream(), AnyEvent::from(event))));
    let definitions = workflows::definition_events().into_iter();
    all.extend(definitions.map(|event| (workflows::the_definition().stream(), AnyEvent::from(event))));
    let topics = workflows::topic_events().into_iter();
    all.extend(topics.map(|event| (workflows::the_topic().stream(), AnyEvent::from(event))));
    let queue = workflows::queue_events().into_iter();
    all.extend(queue.map(|event| (QueueId::the().stream(), AnyEvent::from(event))));
    all.extend(
        workflows::bulk_events().into_iter().map(|event| (workflows::the_bulk().stream(), AnyEvent::from(event))),
    );
    all
}

/// [`all`], and more events of types whose folds have several cases.
pub fn varied() -> Vec<(StreamId, AnyEvent)> {
    let more = workflows::more_run_events().into_iter().map(|event| (the_run().stream(), AnyEvent::from(event)));
    let done = (workflows::the_bulk().stream(), AnyEvent::from(workflows::bulk_done()));
    all().into_iter().chain(more).chain([done]).collect()
}

fn orders() -> Vec<deliverable::Event> {
    use deliverable::Event;
    let (slot, nominal, next_due) = (slot(), secs(3600), Some(secs(7200)));
    let schedule_id = Some(schedule_id(the_deliverable()));
    let (number, version_id) = (1, VersionId::of(the_deliverable(), 1));
    vec![
        Event::Created { user: UserId::default(), order: Box::new(order()), schedule_id, paused: false },
        Event::Revised { order: Box::new(order()), schedule_id: None },
        Event::Paused { note: "holidays".to_owned() },
        Event::Resumed {},
        Event::Archived {},
        Event::SlotDue { slot, nominal, trigger: Trigger::Schedule, force: false, next_due },
        Event::SlotBuffered { slot, nominal, next_due },
        Event::SourcesAssessed { slot, sources: vec![], fresh_items: 0 },
        Event::Skipped { slot, nominal, reason: Skipped::Paused {}, next_due },
        Event::RunRequested { slot, nominal, run_id: the_run(), number, version_id, trigger: Trigger::Schedule },
    ]
}

fn versions() -> Vec<deliverable::Event> {
    use deliverable::Event;
    let (number, ordinal, by, run_id) = (1, 1, "ann".to_owned(), the_run());
    let version_id = VersionId::of(the_deliverable(), 1);
    let consumed = BTreeMap::from([(the_source().to_string(), 2)]);
    let measure =
        EditMeasure { distance_permille: 125, diff: text("-a\n+b"), categories: vec!["shortened".to_owned()] };
    let snapshots = vec![snapshot(the_source(), 2)];
    vec![
        Event::VersionStaged { number, version_id, draft: draft("# Hello\0"), snapshots, consumed },
        Event::VersionFailed { number, version_id, step: "compose".to_owned(), failure: failure() },
        Event::ReviewStarted { number, by: by.clone() },
        Event::VersionEdited { number, by: by.clone(), text: text("# Better"), measure },
        Event::VersionApproved { number, by: by.clone(), note: Some("fine".to_owned()), digest: digest("# Better") },
        Event::VersionRejected { number, by: by.clone(), reason: "too long".to_owned() },
        Event::DeliveryRequested { number, ordinal, run_id, by },
        Event::Delivered { number, ordinal, receipt: receipt() },
        Event::DeliveryFailed { number, ordinal, failure: failure() },
        Event::NoticeRaised {
            number,
            ordinal,
            kind: NoticeKind::Failed,
            subject: "s".to_owned(),
            body: "b".to_owned(),
            run_id: Some(run_id),
        },
        Event::NoticeSent { number, ordinal, receipt: receipt() },
        Event::NoticeFailed { number, ordinal, failure: failure() },
    ]
}

pub fn created_run() -> Created {
    let step = |id: &str, action, depends_on: &[&str]| StepPlan {
        id: id.to_owned(),
        action,
        depends_on: depends_on.iter().map(|id| (*id).to_owned()).collect(),
        retry: RetryPolicy::queue_preset(),
        timeout_ms: 60_000,
        crash: CrashPolicy::Retry,
        optional: false,
        flow: Flow::default(),
    };
    let steps = vec![step("compose", Action::Compose {}, &[]), step("validate", Action::Validate {}, &["compose"])];
    Created {
        id: None,
        plan: Arc::new(Plan {
            definition: "deliverable.produce@1".to_owned(),
            steps,
            max_parallel: 1,
            output: None,
            reports: run::Reports::default(),
        }),
        subject: Subject::Version {
            deliverable: the_deliverable(),
            version_number: 1,
            title: "Weekly status".to_owned(),
        },
        user: UserId::default(),
        priority: 100,
        reply_to: None,
        root: the_run(),
        parent: None,
        nominal: secs(3600),
        parameters: serde_json::Value::Null,
        trigger: serde_json::Value::Null,
        for_step: None,
        reports: run::Reports::default(),
        path: vec![],
    }
}

fn runs() -> Vec<run::Event> {
    use run::Event;
    let (step, attempt, token) = ("compose".to_owned(), 1, Token { epoch: 1, nonce: 7 });
    let lease = Lease { token, until: secs(4000), worker: "worker-1".to_owned() };
    let (why, retry_at) = ("gone".to_owned(), Some(secs(5000)));
    vec![
        Event::Created(Box::new(created_run())),
        Event::StepQueued { step: step.clone(), attempt },
        Event::AttemptStarted { step: step.clone(), attempt, lease, buckets: vec![] },
        Event::AttemptSucceeded { step: step.clone(), attempt, output: Arc::new(material()) },
        Event::AttemptFailed { step: step.clone(), attempt, failure: failure(), retry_at, free: false },
        Event::LeaseExpired { step: step.clone(), attempt, reason: why.clone(), requeued: true },
        Event::StaleResult { step: step.clone(), attempt, token, succeeded: true },
        Event::StepDied { step: step.clone(), failure: failure() },
        Event::StepSkipped { step: step.clone(), reason: why.clone() },
        Event::Completed { output: serde_json::Value::Null, inside: run::Places::new() },
        Event::Failed { step, failure: failure() },
        Event::Cancelled { reason: why },
    ]
}

fn schedules() -> Vec<schedule::Event> {
    use schedule::Event;
    let (target, next_due, tz_revision) = (the_deliverable().stream(), Some(secs(7200)), "test".to_owned());
    let (from, upto, reason) = (secs(3600), secs(7200), SkipReason::CatchUpMax);
    vec![
        Event::Created { schedule: hourly(), target, paused: false, next_due, tz_revision: tz_revision.clone() },
        Event::Fired { target, nominal: secs(3600), next_due, tz_revision: tz_revision.clone() },
        Event::Skipped {
            target,
            from,
            upto,
            count: 2,
            count_is_bound: false,
            reason,
            next_due,
            tz_revision: tz_revision.clone(),
        },
        Event::Paused { target, note: "holidays".to_owned() },
        Event::Resumed { target, next_due, tz_revision: tz_revision.clone() },
        Event::ReTimed { target, schedule: hourly(), next_due, tz_revision },
        Event::Ended { target },
        Event::Triggered { target, nominal: secs(3600), cause: Cause::Hand },
    ]
}

pub fn item(id: &str, words: &str) -> Item {
    Item {
        item_id: id.to_owned(),
        title: id.to_owned(),
        link: Some(format!("file:///notes/{id}")),
        author: None,
        source_at: Some(secs(50)),
        text: text(words),
        facts: BTreeMap::from([("lines".to_owned(), "1".to_owned())]),
    }
}

pub fn observed(items: Vec<Item>, removed: &[&str]) -> source::Event {
    let omitted = vec![Omission { item_id: "big.bin".to_owned(), reason: "binary".to_owned() }];
    let cursor = BTreeMap::from([("seen".to_owned(), "1".to_owned())]);
    let removed = removed.iter().map(|id| (*id).to_owned()).collect();
    source::Event::ContentObserved { items, removed, omitted, cursor, expires_at: secs(9_000) }
}

fn sources() -> Vec<source::Event> {
    use source::Event;
    let reference = VersionId::of(the_deliverable(), 1);
    let reason = "deliverable_execution".to_owned();
    vec![
        Event::Registered { user: UserId::default(), spec: folder() },
        observed(vec![item("a.md", "alpha"), item("b.md", "beta\0")], &["c.md"]),
        Event::Checked { omitted: vec![], cursor: BTreeMap::new() },
        Event::ObservationFailed { class: FailureClass::Permanent, message: "no such folder".to_owned() },
        Event::ContentRetained { from_version: 0, upto_version: 2, reason, reference },
        Event::ContentExpired { items: vec!["a.md".to_owned()] },
    ]
}

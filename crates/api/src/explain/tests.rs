//! Every state has an answer.

use std::{collections::BTreeMap, sync::Arc};

use nightshift_actors::queue::{HeldBy, Holder, Job, Waiting, limits::Named, limits::Rate};
use nightshift_domain::{
    content::{Failure, FailureClass},
    ids::{DefinitionId, ShardId, UserId, derive},
    json::Json,
    queue::Paused,
    run::{
        Action, Approval, Asked, Checkpoint, CrashPolicy, Created, End, Flow, Lease, Outcome, Plan, RetryPolicy, Run,
        State, Step, StepOutput, StepPlan, StepStatus, Subject as Of, Token, Waits,
    },
    schedule,
};

use super::*;

const NOW: Timestamp = Timestamp::from_secs(100);

fn run_id(n: u8) -> RunId {
    RunId::on_shard(derive("test", &[&[n]]), ShardId(0))
}

fn approval() -> Box<Approval> {
    let checkpoint = Checkpoint {
        question: "Send it?".to_owned(),
        options: vec![],
        advisory: false,
        assignee: Some("eve".to_owned()),
        group: None,
        severity: None,
        timeout_ms: None,
        on_timeout: Default::default(),
    };
    let digest = nightshift_domain::content::Digest("d".to_owned());
    let id = ApprovalId::of(run_id(1), "a", 1);
    Box::new(Approval {
        id,
        round: 1,
        checkpoint,
        payload: Json::Null,
        digest,
        deadline: None,
        inside: Default::default(),
    })
}

fn plan(step: &str, depends_on: &[&str]) -> StepPlan {
    StepPlan {
        id: step.to_owned(),
        action: Action::Validate {},
        depends_on: depends_on.iter().map(|id| (*id).to_owned()).collect(),
        retry: RetryPolicy::queue_preset(),
        timeout_ms: 1_000,
        crash: CrashPolicy::Retry,
        optional: false,
        flow: Flow::default(),
    }
}

/// A run whose first step is in a state, and whose second waits for it.
fn with(status: StepStatus) -> Run {
    let id = run_id(1);
    let steps = vec![plan("a", &[]), plan("b", &["a"])];
    let created = Created {
        id: Some(id),
        plan: Arc::new(Plan {
            definition: "test@1".to_owned(),
            steps,
            max_parallel: 2,
            output: None,
            reports: nightshift_domain::run::Reports::default(),
        }),
        subject: Of::Version {
            deliverable: DeliverableId::on_shard(derive("test", &[]), ShardId(0)),
            version_number: 1,
            title: "t".to_owned(),
        },
        user: UserId::default(),
        priority: 100,
        reply_to: None,
        root: id,
        parent: None,
        nominal: NOW,
        parameters: Json::Null,
        trigger: Json::Null,
        for_step: None,
        path: vec![],
        reports: nightshift_domain::run::Reports::default(),
    };
    Run {
        created: Arc::new(created),
        created_at: NOW,
        steps: vec![Step { status, ..Step::fresh() }, Step::fresh()],
        fans: BTreeMap::new(),
        paused: None,
        decided: BTreeMap::new(),
        advisory: BTreeMap::new(),
        reopened: 0,
        heard: BTreeMap::new(),
        resumed: 0,
        events: 0,
        owing: Default::default(),
        given_up: Default::default(),
        resent: Default::default(),
    }
}

/// The next state of a step in the order of the type; none behind the last. A new state does not compile here.
fn next(before: Option<&StepStatus>) -> Option<StepStatus> {
    let since = Timestamp::from_secs(40);
    let output = Arc::new(StepOutput::Value(Outcome::of(Json::Null)));
    let topic = DefinitionId::of("o", "n", 1).stream();
    Some(match before {
        None => StepStatus::Pending {},
        Some(StepStatus::Pending {}) => StepStatus::Queued { attempt: 1, since },
        Some(StepStatus::Queued { .. }) => {
            let lease = Lease { token: Token { epoch: 1, nonce: 1 }, until: NOW, worker: "w".to_owned() };
            StepStatus::Running { attempt: 1, lease, since }
        }
        Some(StepStatus::Running { .. }) => StepStatus::Waiting { attempt: 2, retry_at: NOW },
        Some(StepStatus::Waiting { .. }) => StepStatus::Completed { output },
        Some(StepStatus::Completed { .. }) => {
            StepStatus::Dead { failure: Failure::new(FailureClass::Permanent, "no route") }
        }
        Some(StepStatus::Dead { .. }) => StepStatus::Skipped { reason: "not wanted".to_owned() },
        Some(StepStatus::Skipped { .. }) => {
            StepStatus::Parked { attempt: 1, on: Box::new(Waits::Until { at: NOW }), since }
        }
        Some(StepStatus::Parked { on, attempt, since }) => {
            let on = match &**on {
                Waits::Until { .. } => Waits::Event {
                    event: "paid".to_owned(),
                    topic,
                    correlation: Some("c".to_owned()),
                    deadline: Some(NOW),
                    since: NOW,
                },
                Waits::Event { .. } => {
                    Waits::Child { definition: topic, run: run_id(2), version: None, parameters: Json::Null }
                }
                Waits::Child { .. } => {
                    return Some(StepStatus::Asking { approval: approval(), output: None, since: *since });
                }
            };
            StepStatus::Parked { attempt: *attempt, on: Box::new(on), since: *since }
        }
        Some(StepStatus::Asking { .. }) => StepStatus::Fanned {},
        Some(StepStatus::Fanned {}) => return None,
    })
}

fn at<'a>(queue: Option<&'a QueueView>, set: &'a queue::State, limits: &'a Limits) -> Moment<'a> {
    Moment { now: NOW, queue, set, limits }
}

#[test]
fn every_state_of_a_step_has_an_answer_for_its_run_and_for_itself() {
    let (set, limits, view) = (queue::State::default(), Limits::default(), QueueView::default());
    let expected = [
        Kind::Dependencies,
        Kind::Queue,
        Kind::Attempt,
        Kind::Retry,
        Kind::Over,
        Kind::Dead,
        Kind::Over,
        Kind::Wait,
        Kind::Wait,
        Kind::Wait,
        Kind::Approval,
        Kind::Parts,
    ];
    let states = std::iter::successors(next(None), |before| next(Some(before)));
    let mut found = Vec::new();
    for status in states {
        for view in [None, Some(&view)] {
            let at = at(view, &set, &limits);
            let state = State::Open(with(status.clone()));
            let (word, own) = runs::job(run_id(1), "a", &state, &at);
            let [gate] = own.as_slice() else { panic!("{own:?}") };
            assert_eq!(word, status.as_str());
            assert!(!gate.what.is_empty() && !gate.released_by.is_empty(), "{gate:?}");
            let told = runs::run(run_id(1), &state, &at).1;
            assert!(told.iter().all(|gate| gate.gate != Kind::Over), "{told:?}");
            assert_eq!(told.iter().any(|told| told == gate), gate.gate != Kind::Over);
            if view.is_none() {
                found.push(gate.gate);
            }
            let since = matches!(gate.gate, Kind::Queue | Kind::Attempt | Kind::Wait | Kind::Approval);
            assert_eq!(gate.for_ms, since.then_some(60_000), "{gate:?}");
        }
    }
    assert_eq!(found, expected);
}

#[test]
fn every_state_of_a_run_has_an_answer() {
    let (set, limits) = (queue::State::default(), Limits::default());
    let at = at(None, &set, &limits);
    let failure = || Failure::new(FailureClass::Transient, "no route");
    let dead = || with(StepStatus::Dead { failure: failure() });
    let failed = End::Failed { step: "a".to_owned(), failure: failure() };
    let paused = Run { paused: Some(Asked { by: "ann".to_owned(), note: "night".to_owned() }), ..dead() };
    for (state, word, kinds) in [
        (State::Unborn, "pending", vec![Kind::Trigger]),
        (State::Barred { reason: "no".to_owned() }, "cancelled", vec![Kind::Over]),
        (State::Open(dead()), "running", vec![Kind::Dead, Kind::Dependencies]),
        (State::Open(paused), "paused", vec![Kind::Paused, Kind::Dead, Kind::Dependencies]),
        (State::Over(dead(), failed), "failed", vec![Kind::Dead, Kind::Over]),
        (State::Over(dead(), End::Cancelled { reason: "no".to_owned() }), "cancelled", vec![Kind::Dead, Kind::Over]),
        (
            State::Over(with(StepStatus::Fanned {}), End::Completed { outputs: BTreeMap::new() }),
            "completed",
            vec![Kind::Over],
        ),
    ] {
        let (found, gates) = runs::run(run_id(1), &state, &at);
        let found_kinds: Vec<Kind> = gates.iter().map(|gate| gate.gate).collect();
        assert_eq!((found.as_str(), found_kinds), (word, kinds));
        assert!(!runs::job(run_id(1), "a", &state, &at).1.is_empty());
        assert!(!runs::job(run_id(1), "no such", &state, &at).1.is_empty());
        assert!(!runs::approval(run_id(1), approval().id, &state, &at).1.is_empty());
    }
}

#[test]
fn a_question_is_pending_advisory_decided_or_void() {
    let (set, limits) = (queue::State::default(), Limits::default());
    let at = at(None, &set, &limits);
    let asked = approval();
    let asking = StepStatus::Asking { approval: approval(), output: None, since: NOW };
    let mut advisory = with(StepStatus::Pending {});
    let kept = nightshift_domain::run::Advisory { step: "a".to_owned(), approval: approval() };
    advisory.advisory.insert(asked.id, kept);
    let mut decided = with(StepStatus::Pending {});
    let answer = nightshift_domain::run::Answer {
        approval: asked.id,
        action: nightshift_domain::run::ApprovalAction::Abort,
        by: "eve".to_owned(),
        note: None,
        modifications: None,
        digest: None,
    };
    decided.decided.insert(asked.id, answer);
    for (run, word, kind, said) in [
        (with(asking), "pending", Kind::Approval, "eve"),
        (advisory, "advisory", Kind::Approval, "nobody has to"),
        (decided, "decided", Kind::Over, "by eve: abort"),
        (with(StepStatus::Pending {}), "void", Kind::Over, "void"),
    ] {
        let (found, gates) = runs::approval(run_id(1), asked.id, &State::Open(run), &at);
        assert_eq!((found.as_str(), gates[0].gate), (word, kind));
        assert!(gates[0].what.contains(said), "{gates:?}");
    }
}

fn waiting(run: RunId, held_by: Option<HeldBy>) -> Waiting {
    let job = Job { run, step: "a".to_owned(), attempt: 1, priority: 100, since: NOW, gates: Default::default() };
    Waiting { job, held_by }
}

#[test]
fn what_holds_a_queued_step_is_named_with_its_holder_and_what_releases_it() {
    let named = Named::Key("db".to_owned());
    let by = Asked { by: "ann".to_owned(), note: "repair".to_owned() };
    let paused = Paused { by, since: NOW };
    let mut set = queue::State { paused: Some(paused.clone()), ..queue::State::default() };
    set.queues.insert("slow".to_owned(), paused);
    let bucket = || "global:agent:w".to_owned();
    let rates = [(bucket(), Rate { capacity: 2.0, refill_per_s: 0.5 })].into();
    let limits = Limits { rates, ..Limits::default() };
    let holder = Holder { named: named.clone(), user: UserId::default(), run: run_id(3), step: "x".to_owned() };
    for (held_by, kind, parts) in [
        (None, Kind::Queue, vec!["1 go before it", "2 of 4 places", "a free place"]),
        (Some(HeldBy::Place(named.clone())), Kind::Limit, vec!["key:db", "1 of 1", "/x", "limit set key:db"]),
        (Some(HeldBy::Rate(bucket())), Kind::Limit, vec!["rate:global:agent:w", "0.5 a second", "in 1.0 s"]),
        (Some(HeldBy::Pause(None)), Kind::Paused, vec!["all queues", "repair", "ann", "queue resume --all"]),
        (Some(HeldBy::Pause(Some("slow".to_owned()))), Kind::Paused, vec!["\"slow\"", "repair", "queue resume slow"]),
    ] {
        let view = QueueView {
            waiting: vec![waiting(run_id(9), None), waiting(run_id(1), held_by)],
            taken: 2,
            places: 4,
            named: vec![(named.clone(), 1)],
            holders: vec![holder.clone()],
            buckets: vec![(bucket(), 0.5)],
        };
        let state = State::Open(with(StepStatus::Queued { attempt: 1, since: NOW }));
        let told = runs::job(run_id(1), "a", &state, &at(Some(&view), &set, &limits)).1;
        assert_eq!((told[0].gate, told[0].position), (kind, Some(2)));
        let text = serde_json::to_string(&told[0]).unwrap().replace("\\\"", "\"");
        parts.iter().for_each(|part| assert!(text.contains(part), "{part} in {text}"));
    }
}

#[test]
fn every_state_of_a_schedule_has_an_answer() {
    let (set, limits) = (queue::State::default(), Limits::default());
    let at = at(None, &set, &limits);
    let id = ScheduleId::on_shard(derive("test", &[]), ShardId(0));
    let live = |target, paused, next_due| schedule::State::Live {
        schedule: nightshift_domain::calendar::Schedule {
            rule: nightshift_domain::calendar::Rule::Once { at: NOW },
            timezone: "UTC".to_owned(),
            catch_up: Default::default(),
            catch_up_window_s: None,
            overlap: Default::default(),
            jitter_s: 0,
        },
        target,
        paused,
        next_due,
        last: None,
        by_hand: None,
        triggered: 0,
    };
    let order = DeliverableId::on_shard(derive("test", &[]), ShardId(0)).stream();
    let flow = DefinitionId::of("o", "n", 1).stream();
    for (state, kind, said) in [
        (schedule::State::Unborn, Kind::Trigger, "not begun"),
        (live(order, true, None), Kind::Paused, "nightshift deliverable resume"),
        (live(flow, true, None), Kind::Paused, "/api/schedules/"),
        (live(flow, false, Some(Timestamp::from_secs(130))), Kind::Clock, "in 30 s"),
        (live(flow, false, Some(Timestamp::from_secs(90))), Kind::Clock, "overdue by 10 s"),
        (live(flow, false, None), Kind::Over, "no instant"),
        (schedule::State::Ended, Kind::Over, "ended"),
    ] {
        let gate = triggers::next_due(id, &state, &at);
        assert_eq!(gate.gate, kind);
        assert!(format!("{} {}", gate.what, gate.released_by).contains(said), "{gate:?}");
    }
}

//! Decider tables and properties of the run.

use proptest::prelude::*;

use super::{retry::FREE_ATTEMPTS_MAX, *};
use crate::{
    decider::Duty,
    testing::{Given, at, covers_every_pair, given, text, the_deliverable, word},
};

type Runs = Given<RunDecider>;

fn id() -> RunId {
    crate::deliverable::produce_run_id(the_deliverable(), crate::testing::uuid(1))
}

fn policy() -> RetryPolicy {
    RetryPolicy { attempts_max: 3, jitter: Jitter::None, ..RetryPolicy::queue_preset() }
}

fn step(id: &str, depends_on: &[&str]) -> StepPlan {
    StepPlan {
        id: id.to_owned(),
        action: Action::Validate {},
        depends_on: depends_on.iter().map(|id| (*id).to_owned()).collect(),
        retry: policy(),
        timeout_ms: 1_000,
        crash: CrashPolicy::Retry,
        optional: false,
    }
}

fn created(max_parallel: u16, steps: Vec<StepPlan>) -> Box<Created> {
    Box::new(Created {
        plan: Arc::new(Plan { definition: "test@1".to_owned(), steps, max_parallel }),
        subject: Subject { deliverable: the_deliverable(), version_number: 1, title: "t".to_owned() },
        user: UserId::default(),
        priority: 100,
        reply_to: Some(the_deliverable().stream()),
        root: id(),
        parent: None,
        nominal: at(0),
    })
}

fn run(max_parallel: u16, steps: Vec<StepPlan>) -> Runs {
    given(id().stream(), []).after(Command::Create(created(max_parallel, steps)))
}

/// Two steps, one after the other.
fn chain() -> Runs {
    run(1, vec![step("a", &[]), step("b", &["a"])])
}

fn token(nonce: u64) -> Token {
    Token { epoch: 1, nonce }
}

fn lease(nonce: u64) -> Lease {
    Lease { token: token(nonce), until: at(60), worker: "w".to_owned() }
}

fn grant(step: &str, attempt: u32, nonce: u64) -> Command {
    Command::Grant { step: step.to_owned(), attempt, lease: lease(nonce) }
}

fn output() -> StepOutput {
    StepOutput::Validated { warnings: vec![] }
}

fn finish(step: &str, attempt: u32, nonce: u64, result: Result<StepOutput, Failure>) -> Command {
    Command::Finish { step: step.to_owned(), attempt, token: token(nonce), result, offer: None }
}

fn done(step: &str, attempt: u32, nonce: u64) -> Command {
    finish(step, attempt, nonce, Ok(output()))
}

fn failure(class: FailureClass) -> Failure {
    Failure::new(class, "no")
}

fn failed(step: &str, attempt: u32, nonce: u64, class: FailureClass) -> Command {
    finish(step, attempt, nonce, Err(failure(class)))
}

fn expire(step: &str, attempt: u32, nonce: u64) -> Command {
    Command::Expire { step: step.to_owned(), attempt, token: token(nonce), reason: "gone".to_owned() }
}

fn retry(step: &str, attempt: u32) -> Command {
    Command::RetryDue { step: step.to_owned(), attempt }
}

fn cancel() -> Command {
    Command::Cancel { reason: "enough".to_owned() }
}

fn is(step: &str, status: &str, wanted: &str, attempt: u32) -> Rejection {
    Rejection::StepIs { step: step.to_owned(), status: status.to_owned(), wanted: wanted.to_owned(), attempt }
}

#[test]
fn a_chain_goes_step_by_step_and_tells_who_asked() {
    chain()
        .owes(&["job:a:1"])
        .after(grant("a", 1, 1))
        .owes(&["attempt:a:1"])
        .when(done("a", 1, 1))
        .then_facts(&["attempt_succeeded", "step_queued"])
        .owes(&["job:b:1"])
        .after(grant("b", 1, 2))
        .when(done("b", 1, 2))
        .then_facts(&["attempt_succeeded", "completed"])
        .owes(&["ended"]);
}

#[test]
fn an_offered_place_goes_to_what_became_ready_and_an_unused_one_leaves_no_trace() {
    let offer = |it: Runs, step: &str| {
        let command = Command::Finish {
            step: step.to_owned(),
            attempt: 1,
            token: token(1),
            result: Ok(output()),
            offer: Some(lease(77)),
        };
        it.when(command)
    };
    let running = chain().after(grant("a", 1, 1));
    offer(running.clone(), "a")
        .then_facts(&["attempt_succeeded", "step_queued", "attempt_started"])
        .owes(&["attempt:b:1"])
        .after(done("b", 1, 77));
    // Nothing became ready, or the result is not the open one: the place was not taken.
    let last = run(1, vec![step("a", &[])]).after(grant("a", 1, 1));
    let told = format!("{:?}", offer(last, "a").then_facts(&["attempt_succeeded", "completed"]).state);
    assert!(!told.contains("nonce: 77"));
    let stale = offer(running.after(expire("a", 1, 1)), "a").then_facts(&["stale_result"]);
    stale.owes(&["job:a:2"]);
}

#[test]
fn failures_are_tried_again_by_class() {
    use FailureClass::{Cancelled, Lost, Permanent, RateLimited, Timeout, Transient};
    let running = || chain().at(10).after(grant("a", 1, 1));
    for (class, retry_at) in [
        (Transient, Some(12)),
        (Timeout, Some(12)),
        (Lost, Some(12)),
        (RateLimited, Some(70)),
        (Permanent, None),
        (Cancelled, None),
    ] {
        let free = class == RateLimited;
        let retry_at = retry_at.map(at);
        let said = Event::AttemptFailed { step: "a".to_owned(), attempt: 1, failure: failure(class), retry_at, free };
        let when = running().when(failed("a", 1, 1, class));
        assert_eq!(when.result.as_ref().unwrap()[0], said, "{class:?}");
        let keys = when.after.ledger.keys().join(" ");
        assert_eq!(keys, if retry_at.is_some() { "retry:a:2" } else { "ended" }, "{class:?}");
    }
}

#[test]
fn what_must_not_be_done_twice_is_not_tried_again_when_nobody_knows() {
    use FailureClass::{Lost, Timeout, Transient};
    let never = || run(1, vec![StepPlan { crash: CrashPolicy::Never, ..step("a", &[]) }]).after(grant("a", 1, 1));
    for class in [Timeout, Lost] {
        never().when(failed("a", 1, 1, class)).then_facts(&["attempt_failed", "step_died", "failed"]).owes(&["ended"]);
    }
    never().after(failed("a", 1, 1, Transient)).owes(&["retry:a:2"]);
    never().when(expire("a", 1, 1)).then_facts(&["lease_expired", "step_died", "failed"]).owes(&["ended"]);
}

#[test]
fn the_last_attempt_makes_the_step_dead_and_turning_away_costs_none() {
    let mut it = chain();
    for attempt in 1..=3 {
        it = it.after(grant("a", attempt, 1)).after(failed("a", attempt, 1, FailureClass::RateLimited));
        it = it.after(retry("a", attempt + 1));
    }
    for attempt in 4..=5 {
        it = it.after(grant("a", attempt, 1)).after(failed("a", attempt, 1, FailureClass::Transient));
        it = it.after(retry("a", attempt + 1));
    }
    it.after(grant("a", 6, 1))
        .when(failed("a", 6, 1, FailureClass::Transient))
        .then_facts(&["attempt_failed", "step_died", "step_skipped", "failed"])
        .owes(&["ended"]);
}

#[test]
fn a_step_that_loses_every_lease_dies_in_the_end() {
    let mut it = chain();
    for attempt in 1..=FREE_ATTEMPTS_MAX {
        it = it.after(grant("a", attempt, 1)).after(expire("a", attempt, 1));
    }
    let last = FREE_ATTEMPTS_MAX + 1;
    it.after(grant("a", last, 1)).when(expire("a", last, 1)).then_facts(&[
        "lease_expired",
        "step_died",
        "step_skipped",
        "failed",
    ]);
}

#[test]
fn what_the_other_side_asks_is_honoured_within_bounds() {
    let step = StepPlan { retry: RetryPolicy { jitter: Jitter::UpTo(u64::MAX), ..policy() }, ..step("a", &[]) };
    let plain = StepPlan { retry: policy(), ..step.clone() };
    let asked = |ms, class| Failure { retry_after_ms: ms, ..failure(class) };
    let wait = |step: &StepPlan, failure: &Failure| retry::retry_after_ms(id(), step, 1, (1, 1), failure);
    assert_eq!(wait(&plain, &asked(Some(5_000), FailureClass::RateLimited)), Some(5_000));
    assert_eq!(
        wait(&plain, &asked(Some(0), FailureClass::RateLimited)),
        Some(250),
        "no delay is shorter than the floor"
    );
    assert_eq!(wait(&plain, &asked(Some(u64::MAX), FailureClass::RateLimited)), Some(86_400_000));
    assert_eq!(wait(&plain, &asked(Some(9_000), FailureClass::Transient)), Some(9_000));
    assert_eq!(wait(&plain, &asked(Some(1), FailureClass::Transient)), Some(2_000));
    // A spread without bound does not overflow.
    assert!(wait(&step, &asked(None, FailureClass::Transient)) >= Some(2_000));
    assert!(wait(&step, &asked(None, FailureClass::RateLimited)) >= Some(60_000));
}

#[test]
fn delays_grow_by_their_shape() {
    let exponential = RetryPolicy { cap_ms: 10_000, ..policy() };
    let linear = RetryPolicy { shape: Shape::Linear, ..exponential.clone() };
    let delays = |policy: &RetryPolicy| (1..=5).map(|n| policy.delay_ms(n)).collect::<Vec<_>>();
    assert_eq!(delays(&exponential), [2_000, 4_000, 8_000, 10_000, 10_000]);
    assert_eq!(delays(&linear), [2_000, 4_000, 6_000, 8_000, 10_000]);
    assert_eq!(delays(&RetryPolicy { initial_ms: 1, ..linear }), [250; 5]);
}

#[test]
fn a_dead_step_waits_for_what_runs_and_starts_nothing_more() {
    let fork = || run(3, vec![step("a", &[]), step("b", &[]), step("c", &["a", "b"])]);
    let both = fork().after(grant("a", 1, 1)).after(grant("b", 1, 2));
    let dying = both.when(failed("a", 1, 1, FailureClass::Permanent));
    let dying = dying.then_facts(&["attempt_failed", "step_died", "step_skipped"]).owes(&["attempt:b:1"]);
    let end = |command| dying.clone().when(command);
    end(done("b", 1, 2)).then_facts(&["attempt_succeeded", "failed"]).owes(&["ended"]);
    // No retry is promised to a run that has failed already.
    end(failed("b", 1, 2, FailureClass::Transient))
        .then_facts(&["attempt_failed", "step_died", "failed"])
        .owes(&["ended"]);
    end(expire("b", 1, 2)).then_facts(&["lease_expired", "step_died", "failed"]).owes(&["ended"]);
    end(cancel()).then_facts(&["step_skipped", "cancelled"]).owes(&["ended"]);
}

#[test]
fn an_optional_dead_step_does_not_stop_the_run() {
    let optional = StepPlan { optional: true, ..step("a", &[]) };
    run(1, vec![optional, step("b", &["a"])])
        .after(grant("a", 1, 1))
        .when(failed("a", 1, 1, FailureClass::Permanent))
        .then_facts(&["attempt_failed", "step_died", "step_queued"])
        .after(grant("b", 1, 2))
        .when(done("b", 1, 2))
        .then_facts(&["attempt_succeeded", "completed"]);
}

#[test]
fn no_more_steps_hold_a_place_than_the_run_allows() {
    let wide = run(2, vec![step("a", &[]), step("b", &[]), step("c", &[])]);
    let wide = wide.owes(&["job:a:1", "job:b:1"]).after(grant("a", 1, 1));
    wide.after(done("a", 1, 1)).owes(&["job:b:1", "job:c:1"]);
}

#[test]
fn a_result_under_another_token_is_kept_and_never_applied() {
    let again = chain().after(grant("a", 1, 1)).after(expire("a", 1, 1)).after(grant("a", 2, 2));
    for zombie in [done("a", 1, 1), done("a", 2, 1), done("a", 1, 2)] {
        let state = again.state.clone();
        let after = again.clone().when(zombie).then_facts(&["stale_result"]).owes(&["attempt:a:2"]);
        assert_eq!(after.state, state);
    }
    again.clone().when(expire("a", 1, 1)).then([]);
    let over = again.after(cancel());
    over.clone().when(done("a", 2, 2)).then_facts(&["stale_result"]).owes(&["ended"]);
    over.when(done("x", 2, 2)).then_rejected(Rejection::NoSuchStep { step: "x".to_owned() });
}

#[test]
fn commands_that_do_not_fit_name_what_is() {
    chain().when(grant("b", 1, 1)).then_rejected(is("b", "pending", "queued", 1));
    chain().when(grant("a", 2, 1)).then_rejected(is("a", "queued", "queued", 2));
    chain().when(retry("b", 1)).then_rejected(is("b", "pending", "waiting", 1));
    let waiting = chain().after(grant("a", 1, 1)).after(failed("a", 1, 1, FailureClass::Timeout));
    waiting.clone().when(retry("a", 3)).then_rejected(is("a", "failed", "waiting", 3));
    waiting.after(retry("a", 2)).owes(&["job:a:2"]).when(retry("a", 2)).then([]);
}

#[test]
fn a_plan_that_cannot_be_carried_out_is_refused() {
    for (max_parallel, steps, why) in [
        (1, vec![], "it has no steps, or no step may go"),
        (0, vec![step("a", &[])], "it has no steps, or no step may go"),
        (1, vec![step("a", &[]), step("a", &[])], "two steps are called \"a\""),
        (1, vec![step("a", &["b"]), step("b", &[])], "step \"a\" depends on \"b\", which is not a step before it"),
        (1, vec![step("a", &["a"])], "step \"a\" depends on \"a\", which is not a step before it"),
    ] {
        given::<RunDecider>(id().stream(), [])
            .when(Command::Create(created(max_parallel, steps)))
            .then_rejected(Rejection::Unsound { why: why.to_owned() });
    }
}

#[test]
fn who_asked_is_told_what_each_step_made() {
    let made = StepOutput::Draft(crate::content::Draft {
        text: text("x"),
        composer: crate::content::Composer::Extractive { revision: 1 },
        warnings: vec![],
    });
    let over = run(1, vec![step("a", &[])]).after(grant("a", 1, 1)).after(finish("a", 1, 1, Ok(made.clone())));
    let Duty::Tell { to, command } = &over.ledger.open["ended"].duty else { panic!("tell") };
    assert_eq!(*to, the_deliverable().stream());
    let outputs = BTreeMap::from([("a".to_owned(), Arc::new(made))]);
    let ended = crate::deliverable::Command::RunEnded { run: id(), end: End::Completed { outputs } };
    assert_eq!(**command, ended.into());
}

#[test]
fn a_run_nobody_asked_for_owes_nothing_when_it_is_over() {
    let alone = Created { reply_to: None, ..*created(1, vec![step("a", &[])]) };
    given::<RunDecider>(id().stream(), []).after(Command::Create(Box::new(alone))).after(cancel()).owes(&[]);
}

/// Every pair of phase and command. The phase is that of step `a`; `over` is a run that was cancelled while it ran.
#[test]
fn every_phase_answers_every_command() {
    let phase = |phase: &str| {
        let queued = chain();
        let running = || chain().after(grant("a", 1, 1));
        match phase {
            "unborn" => given(id().stream(), []),
            "queued" => queued,
            "running" => running(),
            "waiting" => running().after(failed("a", 1, 1, FailureClass::Transient)),
            "completed" => running().after(done("a", 1, 1)),
            "dead" => {
                let optional = StepPlan { optional: true, ..step("a", &[]) };
                let it = run(1, vec![optional, step("b", &[])]).after(grant("a", 1, 1));
                it.after(failed("a", 1, 1, FailureClass::Permanent))
            }
            _ => running().after(cancel()),
        }
    };
    let command = |verb: &str| match verb {
        "create" => Command::Create(created(1, vec![step("a", &[])])),
        "grant" => grant("a", 1, 1),
        "finish" => done("a", 1, 1),
        "expire" => expire("a", 1, 1),
        "retry_due" => retry("a", 2),
        _ => cancel(),
    };
    covers_every_pair::<RunDecider>(
        &["unborn", "queued", "running", "waiting", "completed", "dead", "over"],
        &[
            ("unborn create", "created step_queued"),
            ("unborn grant", "unknown"),
            ("unborn finish", "unknown"),
            ("unborn expire", "unknown"),
            ("unborn retry_due", "unknown"),
            ("unborn cancel", "unknown"),
            ("queued create", "-"),
            ("queued grant", "attempt_started"),
            ("queued finish", "stale_result"),
            ("queued expire", "-"),
            ("queued retry_due", "-"),
            ("queued cancel", "step_skipped step_skipped cancelled"),
            ("running create", "-"),
            ("running grant", "step_is"),
            ("running finish", "attempt_succeeded step_queued"),
            ("running expire", "lease_expired step_queued"),
            ("running retry_due", "-"),
            ("running cancel", "step_skipped step_skipped cancelled"),
            ("waiting create", "-"),
            ("waiting grant", "step_is"),
            ("waiting finish", "stale_result"),
            ("waiting expire", "-"),
            ("waiting retry_due", "step_queued"),
            ("waiting cancel", "step_skipped step_skipped cancelled"),
            ("completed create", "-"),
            ("completed grant", "step_is"),
            ("completed finish", "stale_result"),
            ("completed expire", "-"),
            ("completed retry_due", "-"),
            ("completed cancel", "step_skipped cancelled"),
            ("dead create", "-"),
            ("dead grant", "step_is"),
            ("dead finish", "stale_result"),
            ("dead expire", "-"),
            ("dead retry_due", "-"),
            ("dead cancel", "step_skipped cancelled"),
            ("over create", "-"),
            ("over grant", "over"),
            ("over finish", "stale_result"),
            ("over expire", "-"),
            ("over retry_due", "over"),
            ("over cancel", "-"),
        ],
        |at, verb| phase(at).when(command(verb)).result.map(|events| events.iter().map(word).collect()),
    );
}

/// A graph of up to five steps, each with dependencies on some before it.
fn any_plan() -> impl Strategy<Value = Box<Created>> {
    let one = (any::<u8>(), any::<bool>(), 1..4_u32, 0..3_u8);
    (prop::collection::vec(one, 1..6), 1..4_u16).prop_map(|(drawn, max_parallel)| {
        let mut steps: Vec<StepPlan> = Vec::new();
        for (n, (mask, optional, attempts_max, crash)) in drawn.into_iter().enumerate() {
            let depends_on = (0..n).filter(|m| mask & (1 << m) != 0).map(|m| format!("s{m}")).collect();
            let crash = [CrashPolicy::Retry, CrashPolicy::Keyed, CrashPolicy::Never][usize::from(crash)];
            let retry = RetryPolicy { attempts_max, ..RetryPolicy::queue_preset() };
            steps.push(StepPlan { id: format!("s{n}"), depends_on, optional, crash, retry, ..step("s", &[]) });
        }
        created(max_parallel, steps)
    })
}

/// The command a drawn number means here: mostly what some open obligation asks for, sometimes a stray one.
fn next_command(it: &Runs, (pick, kind, n): (usize, u8, u64)) -> Command {
    let open: Vec<&Duty> = it.ledger.open.values().map(|open| &open.duty).collect();
    let stray = format!("s{}", n % 5);
    let class = [FailureClass::Transient, FailureClass::Permanent, FailureClass::RateLimited, FailureClass::Timeout];
    let offer = (n % 2 == 0).then(|| lease(n + 1_000));
    match open.get(pick % open.len().max(1)) {
        _ if kind == 0 => done(&stray, 1, n),
        _ if kind == 1 => expire(&stray, 1, n),
        _ if kind == 2 => grant(&stray, (n % 3) as u32, n),
        _ if kind == 3 && n % 10 == 0 => cancel(),
        Some(Duty::Lease { step, attempt }) => grant(step, *attempt, n),
        Some(Duty::Attempt { step, attempt, token }) => match kind % 4 {
            0 => Command::Expire { step: step.clone(), attempt: *attempt, token: *token, reason: "gone".to_owned() },
            1 => {
                let result = Err(failure(class[(n % 4) as usize]));
                Command::Finish { step: step.clone(), attempt: *attempt, token: *token, result, offer }
            }
            _ => Command::Finish { step: step.clone(), attempt: *attempt, token: *token, result: Ok(output()), offer },
        },
        Some(Duty::Wake { command, .. }) => match &**command {
            crate::streams::AnyCommand::Run(command) => command.clone(),
            other => panic!("a run wakes itself: {other:?}"),
        },
        _ => retry(&stray, 2),
    }
}

/// What holds after every command.
fn sane(it: &Runs) {
    let Some(run) = it.state.run() else { return };
    let held = run.steps.iter().filter(|step| step.status.holds_a_place()).count();
    assert!(held <= usize::from(run.created.plan.max_parallel), "{held} steps hold a place");
    for (plan, step) in run.created.plan.steps.iter().zip(&run.steps) {
        let wakes = ["job", "attempt", "retry"].map(|what| it.ledger.with(&format!("{what}:{}:", plan.id)).len());
        let expected = match step.status {
            StepStatus::Queued { .. } => [1, 0, 0],
            StepStatus::Running { .. } => [0, 1, 0],
            StepStatus::Waiting { .. } => [0, 0, 1],
            _ => [0, 0, 0],
        };
        assert_eq!(wakes, expected, "{} is {:?}", plan.id, step.status);
        assert!(step.failed_attempts <= plan.retry.attempts_max, "more attempts than the policy allows");
        let began = !matches!(step.status, StepStatus::Pending {} | StepStatus::Skipped { .. });
        let ready = |id: &String| {
            let (plan, step) = run.step(id).expect("sound plans name their steps");
            matches!(step.status, StepStatus::Completed { .. })
                || plan.optional && matches!(step.status, StepStatus::Dead { .. })
        };
        assert!(!began || plan.depends_on.iter().all(ready), "{} began before what it depends on", plan.id);
    }
    match &it.state {
        State::Open(_) => assert!(!it.ledger.open.is_empty(), "an open run that nothing will wake"),
        State::Over(..) => {
            assert_eq!(it.ledger.keys(), ["ended"]);
            assert!(
                run.steps
                    .iter()
                    .all(|step| !matches!(step.status, StepStatus::Pending {}) && !step.status.holds_a_place())
            );
        }
        State::Unborn => {}
    }
}

proptest! {
    #[test]
    fn any_story_of_a_run_stays_sane(
        plan in any_plan(), draws in prop::collection::vec((any::<usize>(), 0..12_u8, 0..1_000_u64), 1..60),
    ) {
        let mut it = given::<RunDecider>(id().stream(), []).after(Command::Create(plan));
        sane(&it);
        for (n, draw) in draws.into_iter().enumerate() {
            let command = next_command(&it, draw);
            let before = (it.state.clone(), it.ledger.clone());
            let when = it.at(n as i64).when(command.clone());
            it = when.after;
            sane(&it);
            if when.result.is_err() {
                prop_assert_eq!(&(it.state.clone(), it.ledger.clone()), &before);
                continue;
            }
            // Said twice, it is rejected, does nothing, or is kept for audit.
            let again = it.clone().when(command);
            prop_assert_eq!(&again.after.state, &it.state);
            prop_assert_eq!(&again.after.ledger, &it.ledger);
        }
    }

    #[test]
    fn a_run_whose_obligations_are_paid_ends(plan in any_plan(), results in prop::collection::vec(0..8_u8, 200)) {
        let mut it = given::<RunDecider>(id().stream(), []).after(Command::Create(plan));
        let mut results = results.into_iter().cycle();
        for n in 0..2_000_u64 {
            if matches!(it.state, State::Over(..)) {
                return Ok(());
            }
            let kind = results.next().map_or(6, |drawn| 4 + drawn);
            let command = next_command(&it, (0, kind, n));
            it = it.after(command);
        }
        prop_assert!(false, "it never ends: {:?}", it.state);
    }
}

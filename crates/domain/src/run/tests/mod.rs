//! What runs promise. Here: attempts, retries, tokens, and whatever else runs of deliverables need; in the other files
//! what workflows add.

mod asking;
mod bounds;
mod defects;
mod kept;
mod lists;
mod migrate;
mod parts;
mod passing;
mod recover;
mod report;
mod stories;
mod table;
mod waits;

use std::{collections::BTreeMap, sync::Arc};

use serde_json::json;

use super::{retry::FREE_ATTEMPTS_MAX, *};
use crate::{
    decider::Duty,
    ids::{RunId, UserId},
    json::Json,
    testing::{Given, at, given, text, the_deliverable},
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
        flow: Flow::default(),
    }
}

fn created(max_parallel: u16, steps: Vec<StepPlan>) -> Box<Created> {
    Box::new(Created {
        id: None,
        plan: Arc::new(Plan {
            definition: "test@1".to_owned(),
            steps,
            max_parallel,
            output: None,
            reports: Reports::default(),
        }),
        subject: Subject::Version { deliverable: the_deliverable(), version_number: 1, title: "t".to_owned() },
        user: UserId::default(),
        priority: 100,
        reply_to: Some(the_deliverable().stream()),
        root: id(),
        parent: None,
        nominal: at(0),
        parameters: Json::Null,
        trigger: Json::Null,
        for_step: None,
        reports: Reports::default(),
        path: Vec::new(),
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
    Command::Grant { step: step.to_owned(), attempt, lease: lease(nonce), buckets: vec![] }
}

fn output() -> StepOutput {
    StepOutput::Validated { warnings: vec![] }
}

fn finish(step: &str, attempt: u32, nonce: u64, result: Result<StepOutput, Failure>) -> Command {
    Command::Finish {
        step: step.to_owned(),
        attempt,
        token: token(nonce),
        result,
        offer: None,
        tokens_free: false,
        at_once: false,
    }
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
            tokens_free: false,
            at_once: true,
        };
        it.when(command)
    };
    let running = chain().after(grant("a", 1, 1));
    offer(running.clone(), "a")
        .then_facts(&["attempt_succeeded", "attempt_started"])
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
    let wait = |step: &StepPlan, failure: &Failure| retry::retry_after_ms((id(), &step.id), step, 1, (1, 1), failure);
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

// What the tests of workflows share.

/// The run of a workflow, with parameters that conditions and lists can use.
fn asked_for(max_parallel: u16, steps: Vec<StepPlan>) -> Box<Created> {
    let workflow = WorkflowRef {
        definition: None,
        owner: "o".to_owned(),
        name: "n".to_owned(),
        version: "1".to_owned(),
        digest: crate::json::digest("n"),
    };
    let parameters = json!({"yes": true, "no": false, "two": [10, 20], "three": ["x", "y", "z"], "none": [], "n": 3});
    let subject = Subject::Workflow { workflow, title: "t".to_owned() };
    Box::new(Created { subject, parameters, reply_to: None, ..*created(max_parallel, steps) })
}

fn flow(max_parallel: u16, steps: Vec<StepPlan>) -> Runs {
    given(id().stream(), []).after(Command::Create(asked_for(max_parallel, steps)))
}

/// A step that does something else.
fn does(id: &str, depends_on: &[&str], action: Action) -> StepPlan {
    StepPlan { action, ..step(id, depends_on) }
}

fn set(id: &str, depends_on: &[&str], value: Json) -> StepPlan {
    does(id, depends_on, Action::Set { value })
}

fn within(step: StepPlan, flow: Flow) -> StepPlan {
    StepPlan { flow, ..step }
}

fn in_part(step: StepPlan, part: Part) -> StepPlan {
    StepPlan { flow: Flow { part, ..step.flow }, ..step }
}

fn when(step: StepPlan, condition: &str) -> StepPlan {
    StepPlan { flow: Flow { when: Some(condition.to_owned()), ..step.flow }, ..step }
}

fn for_each(step: StepPlan, list: &str) -> StepPlan {
    StepPlan { flow: Flow { for_each: Some(json!(list)), ..step.flow }, ..step }
}

fn optional(step: StepPlan) -> StepPlan {
    StepPlan { optional: true, ..step }
}

fn once(step: StepPlan) -> StepPlan {
    StepPlan { retry: RetryPolicy::once(), ..step }
}

fn wait_for(id: &str, depends_on: &[&str], timeout_ms: Option<u64>) -> StepPlan {
    does(id, depends_on, Action::WaitForEvent { event: "paid".to_owned(), correlation: None, timeout_ms })
}

fn child(id: &str, depends_on: &[&str]) -> StepPlan {
    let (owner, name, parameters) = ("o".to_owned(), "other".to_owned(), json!({"n": "{{ n }}"}));
    does(id, depends_on, Action::Orchestration { owner, name, version: None, parameters })
}

fn question() -> Checkpoint {
    let option = |action, allows_modification| ApprovalOption {
        action,
        label: String::new(),
        allows_modification,
        description: None,
    };
    Checkpoint {
        question: "go on with {{ n }}?".to_owned(),
        options: vec![
            option(ApprovalAction::Continue, true),
            option(ApprovalAction::Retry, true),
            option(ApprovalAction::Abort, false),
        ],
        advisory: false,
        assignee: None,
        group: None,
        severity: None,
        timeout_ms: None,
        on_timeout: OnTimeout::Abort,
    }
}

fn checked(step: StepPlan, checkpoint: Checkpoint) -> StepPlan {
    StepPlan { flow: Flow { checkpoint: Some(Box::new(checkpoint)), ..step.flow }, ..step }
}

/// An attempt that made this.
fn made(step: &str, attempt: u32, nonce: u64, value: Json) -> Command {
    finish(step, attempt, nonce, Ok(StepOutput::Value(Outcome::of(value))))
}

/// The attempt of a step begins and makes this.
fn goes(it: Runs, step: &str, attempt: u32, value: Json) -> Runs {
    let nonce = 1_000 * u64::from(attempt);
    it.after(grant(step, attempt, nonce)).after(made(step, attempt, nonce, value))
}

/// The attempt of a step begins and fails for good.
fn dies(it: Runs, step: &str, attempt: u32) -> Runs {
    let nonce = 1_000 * u64::from(attempt);
    it.after(grant(step, attempt, nonce)).after(failed(step, attempt, nonce, FailureClass::Permanent))
}

fn by() -> Asked {
    Asked { by: "p".to_owned(), note: "why".to_owned() }
}

fn retry_step(step: &str) -> Command {
    Command::RetryStep { step: step.to_owned(), modifications: None, delay_ms: 0, by: by(), past: None }
}

fn dead_letter(step: &str, verb: DeadVerb) -> Command {
    Command::DeadLetter { step: step.to_owned(), attempt: None, verb, by: by() }
}

fn skip_step(step: &str, output: Option<Json>) -> Command {
    Command::SkipStep { step: step.to_owned(), output, by: by(), past: None }
}

fn rerun(from: Option<&str>) -> Command {
    Command::Rerun { from: from.map(str::to_owned), by: by() }
}

fn answer(step: &str, round: u32, action: ApprovalAction) -> Answer {
    let approval = ApprovalId::of(id(), step, round);
    Answer { approval, action, by: "p".to_owned(), note: None, modifications: None, digest: None }
}

fn says(answer: Answer) -> Command {
    Command::Answer(Box::new(answer))
}

impl Runs {
    /// The state of a step, in the word of tables.
    fn status(&self, step: &str) -> &'static str {
        self.found(step).status.as_str()
    }

    fn found(&self, step: &str) -> &Step {
        let run = self.state.run().expect("it was created");
        run.step(step).unwrap_or_else(|| panic!("no step {step}")).1
    }

    /// The value that later steps see.
    fn value(&self, step: &str) -> Json {
        match &self.found(step).status {
            StepStatus::Completed { output } => value_of(output),
            other => panic!("{step} is {other:?}"),
        }
    }

    /// Why a step is dead or was skipped.
    fn why(&self, step: &str) -> &str {
        match &self.found(step).status {
            StepStatus::Dead { failure } => &failure.message,
            StepStatus::Skipped { reason } => reason,
            other => panic!("{step} is {other:?}"),
        }
    }

    /// How the run ended.
    fn end(&self) -> &End {
        match &self.state {
            State::Over(_, end) => end,
            other => panic!("it is not over: {other:?}"),
        }
    }

    fn action(&self, step: &str) -> Action {
        let run = self.state.run().expect("it was created");
        action_of(run, id(), step, &BTreeMap::new()).unwrap_or_else(|| panic!("no action of {step}")).unwrap()
    }
}

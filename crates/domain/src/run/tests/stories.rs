//! Properties: whatever is told a run of whatever plan, in whatever order.
//!
//! A story draws commands: mostly what something that is owed asks for or what somebody outside answers, sometimes what
//! people do to runs, sometimes what fits nothing.

use std::collections::BTreeSet;

use proptest::{prelude::*, strategy::ValueTree};

use super::*;
use crate::{content::FailureClass::*, decider::Decider, streams::AnyCommand};

/// A step from drawn numbers: what it does, and what surrounds it.
fn drawn(name: &str, (kind, bits): (u8, u64)) -> StepPlan {
    let pick = |shift: u32, of: u64| (bits >> shift) % of;
    let plan = match kind % 9 {
        0 => set(name, &[], json!({"n": "{{ n }}"})),
        1 => does(name, &[], Action::Sleep { ms: 3_000 }),
        2 => wait_for(name, &[], (pick(0, 2) == 0).then_some(9_000)),
        3 => does(
            name,
            &[],
            Action::Approval { checkpoint: Box::new(drawn_question(pick(0, 8))), payload: json!({"p": 1}) },
        ),
        4 => child(name, &[]),
        _ => step(name, &[]),
    };
    let list = ["{{ two }}", "{{ three }}", "{{ none }}", "{{ n }}"];
    let condition = ["parameters.yes", "parameters.no", "parameters.missing", "item.missing"];
    let part = match pick(3, 8) {
        0 => Part::OnFailure,
        1 => Part::Finally,
        _ => Part::Main,
    };
    let flow = Flow {
        part,
        when: condition.get(pick(6, 12) as usize).map(|condition| (*condition).to_owned()),
        for_each: list.get(pick(10, 12) as usize).map(|list| json!(list)),
        for_each_parallel: (pick(14, 3) == 0).then_some(2),
        checkpoint: (pick(16, 5) == 0).then(|| Box::new(drawn_question(pick(19, 8)))),
        no_skip: pick(22, 4) == 0,
        ..Flow::default()
    };
    let retry = RetryPolicy { attempts_max: 1 + pick(24, 3) as u32, ..RetryPolicy::queue_preset() };
    let crash = [CrashPolicy::Retry, CrashPolicy::Keyed, CrashPolicy::Never][pick(27, 3) as usize];
    StepPlan { optional: pick(30, 4) == 0, retry, crash, flow, ..plan }
}

fn drawn_question(n: u64) -> Checkpoint {
    let on_timeout = match n % 3 {
        0 => OnTimeout::Abort,
        1 => OnTimeout::Approve,
        _ => OnTimeout::Escalate { to: "q".to_owned() },
    };
    Checkpoint { advisory: n == 7, timeout_ms: (n > 3).then_some(7_000), on_timeout, ..question() }
}

/// A graph of up to six steps, each with dependencies on some before it. Half of them are of the plain kind that runs of
/// deliverables are.
fn any_plan() -> impl Strategy<Value = Box<Created>> {
    let one = (any::<u8>(), any::<u8>(), any::<u64>());
    (prop::collection::vec(one, 1..7), 1..4_u16, any::<bool>()).prop_map(|(drawn_steps, max_parallel, plain)| {
        let mut steps: Vec<StepPlan> = Vec::new();
        for (n, (mask, kind, bits)) in drawn_steps.into_iter().enumerate() {
            let mut next = drawn(&format!("s{n}"), (kind, bits));
            if plain {
                (next.action, next.flow) = (Action::Validate {}, Flow::default());
            }
            let fits = |other: &&StepPlan| other.flow.part == Part::Main || other.flow.part == next.flow.part;
            let before = steps.iter().enumerate().filter(|(m, other)| mask & (1 << m) != 0 && fits(other));
            next.depends_on = before.map(|(_, other)| other.id.clone()).collect();
            steps.push(next);
        }
        let created = if plain { created(max_parallel, steps) } else { asked_for(max_parallel, steps) };
        Box::new(Created { reply_to: Some(the_deliverable().stream()), ..*created })
    })
}

/// What happens next.
enum Next {
    /// A command comes.
    Comes(Command),
    /// What is owed under a key is told, and answered by this.
    Told(String, Option<Command>),
}

fn finished(result: Result<StepOutput, Failure>, (step, attempt, token): (&str, u32, Token), n: u64) -> Command {
    let offer = n.is_multiple_of(2).then(|| lease(n + 1_000));
    Command::Finish {
        step: step.to_owned(),
        attempt,
        token,
        result,
        offer,
        tokens_free: n.is_multiple_of(4),
        at_once: n.is_multiple_of(3),
    }
}

/// What the one that is owed to does.
fn answered(key: &str, duty: &Duty, n: u64) -> Next {
    let class = [Transient, Permanent, RateLimited, Timeout];
    match duty {
        Duty::Lease { step, attempt } => Next::Comes(grant(step, *attempt, n)),
        Duty::Attempt { step, attempt, token } => Next::Comes(match n % 7 {
            0 => Command::Expire { step: step.clone(), attempt: *attempt, token: *token, reason: "gone".to_owned() },
            1 | 2 => finished(Err(failure(class[(n % 4) as usize])), (step, *attempt, *token), n),
            _ => finished(Ok(StepOutput::Value(Outcome::of(json!({"made": n})))), (step, *attempt, *token), n),
        }),
        Duty::Wake { command, .. } => match &**command {
            AnyCommand::Run(command) => Next::Told(key.to_owned(), Some(command.clone())),
            other => panic!("a run wakes itself: {other:?}"),
        },
        _ => Next::Told(key.to_owned(), None),
    }
}

/// What somebody outside tells a step that waits for it.
fn from_outside(step: &str, found: &Step, n: u64) -> Option<Command> {
    let name = step.to_owned();
    match &found.status {
        StepStatus::Parked { attempt, on, .. } => match &**on {
            Waits::Until { .. } => None,
            Waits::Event { .. } => {
                Some(Command::EventArrived { step: name, attempt: *attempt, event: json!({"type": "paid"}) })
            }
            Waits::Child { run, .. } => {
                let end = match n % 4 {
                    0 => End::Failed { step: "x".to_owned(), failure: failure(Permanent) },
                    1 => End::Cancelled { reason: "r".to_owned() },
                    _ => End::Completed { outputs: BTreeMap::new() },
                };
                Some(Command::ChildEnded { step: name, attempt: *attempt, run: Some(*run), end })
            }
        },
        StepStatus::Asking { approval, .. } => {
            let action = match n % 6 {
                0 => ApprovalAction::Retry,
                1 => ApprovalAction::Abort,
                _ => ApprovalAction::Continue,
            };
            let modifications = n.is_multiple_of(4).then(|| json!({"changed": n}));
            Some(says(Answer { modifications, ..answer(step, approval.round, action) }))
        }
        _ => None,
    }
}

/// Another version: as it is, or without a step, or with one more, or with a step that is different.
fn another_version(run: &Run, step: &str, n: u64) -> Command {
    let own = run.created.subject.workflow().cloned();
    let mut plan = (*run.created.plan).clone();
    match n % 4 {
        0 => plan.steps.retain(|plan| plan.id != step),
        1 => plan.steps.push(super::step(&format!("x{n}"), &[])),
        2 => plan.steps.iter_mut().filter(|plan| plan.id == step).for_each(|plan| plan.flow.when = None),
        _ => {}
    }
    let version = format!("v{n}");
    let workflow = own.map_or_else(
        || asked_for(1, vec![]).subject.workflow().cloned().expect("it is of a workflow"),
        |own| WorkflowRef { digest: crate::json::digest(&version), version, ..own },
    );
    let names = run.created.parameters.as_object().into_iter().flatten();
    let parameters = names.map(|(name, _)| migrate::any(name, None)).collect();
    Command::Migrate(Box::new(Migration { workflow, plan: Arc::new(plan), parameters, by: by() }))
}

/// What people do to runs.
fn by_hand(it: &Runs, step: String, n: u64) -> Command {
    let modifications = n.is_multiple_of(5).then(|| json!({"changed": n}));
    match n % 9 {
        7 | 8 => another_version(it.state.run().expect("it was created"), &step, n),
        0 | 1 => Command::RetryStep { step, modifications, delay_ms: (n % 3) * 4_000, by: by(), past: None },
        2 => skip_step(&step, n.is_multiple_of(2).then(|| json!(n))),
        3 => rerun(n.is_multiple_of(2).then_some(step.as_str())),
        4 => Command::Pause { by: by() },
        5 if n.is_multiple_of(5) => Command::Stop { reason: "enough".to_owned() },
        _ if it.state.run().is_some_and(|run| run.paused.is_some()) => Command::Resume { by: by() },
        _ if n.is_multiple_of(4) => {
            Command::DeadLetter { step, attempt: None, verb: DeadVerb::ALL[(n / 4 % 3) as usize], by: by() }
        }
        _ => Command::StepDue { step, attempt: (n % 3) as u32 },
    }
}

/// What the drawn numbers mean here. `natural`: only what is owed or comes from outside.
fn next(it: &Runs, (pick, kind, n): (usize, u8, u64), natural: bool) -> Next {
    let run = it.state.run().expect("it was created");
    let ids: Vec<String> = run.all().map(|(id, ..)| id).collect();
    let any = ids[(n as usize / 3) % ids.len()].clone();
    match kind {
        _ if natural => {}
        0 => return Next::Comes(done(&any, 1, n)),
        1 => return Next::Comes(expire(&any, 1, n)),
        2 => return Next::Comes(grant(&any, (n % 3) as u32, n)),
        3 if n.is_multiple_of(10) => return Next::Comes(cancel()),
        4..=6 => return Next::Comes(by_hand(it, any, n)),
        _ => {}
    }
    let owed = it.ledger.open.iter().map(|(key, open)| answered(key, &open.duty, n));
    let outside = run.all().filter_map(|(id, _, step)| from_outside(&id, step, n)).map(Next::Comes);
    let mut all: Vec<Next> = owed.chain(outside).collect();
    if all.is_empty() { Next::Comes(retry(&any, 2)) } else { all.swap_remove(pick % all.len()) }
}

/// What a step in its state has to be kept alive by, and whether it may have been told already.
fn keeps_alive(run: &Run, id: &str, step: &Step) -> Vec<(String, bool)> {
    let key = |what: &str, number: &dyn std::fmt::Display, told: bool| (format!("{what}:{id}:{number}"), told);
    match &step.status {
        StepStatus::Queued { attempt, .. } => vec![key("job", attempt, false)],
        StepStatus::Running { attempt, .. } => vec![key("attempt", attempt, false)],
        StepStatus::Waiting { .. } | StepStatus::Pending {} if run.paused.is_some() => vec![],
        StepStatus::Waiting { attempt, .. } => vec![key("retry", &format_args!("{attempt}{}", again(step)), false)],
        StepStatus::Pending {} if step.not_before.is_some() => {
            vec![key("retry", &format_args!("reset{}{}", step.resets, again(step)), true)]
        }
        StepStatus::Asking { approval, .. } if approval.deadline.is_some() => {
            vec![key("timer", &format_args!("ask{}", approval.round), false)]
        }
        StepStatus::Parked { attempt, on, .. } => match &**on {
            Waits::Until { .. } => vec![key("timer", attempt, false)],
            Waits::Child { .. } => vec![key("start", attempt, true)],
            Waits::Event { deadline, .. } => {
                let timer = deadline.map(|_| key("timer", attempt, false));
                [key("subscribe", attempt, true)].into_iter().chain(timer).collect()
            }
        },
        _ => vec![],
    }
}

/// What the key of an instant ends with that is told anew after a pause.
fn again(step: &Step) -> String {
    if step.woken == 0 { String::new() } else { format!(":resumed{}", step.woken) }
}

fn is_goodbye(key: &str) -> bool {
    ["ended", "stop:", "unsubscribe:"].iter().any(|goodbye| key.starts_with(goodbye))
}

/// What holds after every command.
fn sane(it: &Runs) {
    let Some(run) = it.state.run() else { return };
    let held = run.all().filter(|(_, plan, step)| step.status.holds_a_place(&plan.action)).count();
    assert!(held <= usize::from(run.created.plan.max_parallel), "{held} steps hold a place");
    let mut expected = BTreeSet::new();
    for (id, plan, step) in run.all() {
        for (key, may_be_told) in keeps_alive(run, &id, step) {
            let alive = it.ledger.open.contains_key(&key) || may_be_told && it.ledger.told.contains_key(&key);
            assert!(alive, "{id} is {:?}, and {key} is not owed: {:?}", step.status, it.ledger.keys());
            expected.insert(key);
        }
        assert!(step.failed_attempts <= plan.retry.attempts_max, "more attempts than the policy allows");
        if matches!(step.status, StepStatus::Fanned {}) {
            let fan = &run.fans[&id];
            assert!(!fan.steps.iter().all(|step| step.status.is_settled()), "{id} has come together and is not done");
        }
    }
    let astray: Vec<_> =
        it.ledger.keys().into_iter().filter(|key| !is_goodbye(key) && !expected.contains(*key)).collect();
    assert!(astray.is_empty(), "owed for nothing: {astray:?}");
    let again: BTreeSet<_> = it.errands.iter().collect();
    assert_eq!(again.len(), it.errands.len(), "a key meant two errands: {:?}", it.errands);
    match &it.state {
        State::Open(run) if run.paused.is_none() => {
            let goes = run.all().any(|(_, _, step)| match &step.status {
                StepStatus::Pending {} => step.not_before.is_some(),
                StepStatus::Fanned {} => false,
                status => !status.is_settled(),
            });
            assert!(goes, "an open run that nothing will wake: {run:?}");
        }
        State::Over(run, _) => assert!(run.all().all(|(_, _, step)| step.status.is_settled()), "{run:?}"),
        _ => {}
    }
}

/// A step begins only when what it depends on has its end. Holds while nobody takes steps back.
fn in_order(it: &Runs) {
    let Some(run) = it.state.run() else { return };
    for (plan, step) in run.created.plan.steps.iter().zip(&run.steps) {
        let began = !matches!(step.status, StepStatus::Pending {} | StepStatus::Skipped { .. });
        let ready = |id: &String| {
            let (plan, step) = run.step(id).expect("sound plans name their steps");
            let dead = matches!(step.status, StepStatus::Dead { .. });
            step.status.is_settled() && (!dead || plan.optional || plan.flow.part == Part::Main)
        };
        assert!(!began || plan.depends_on.iter().all(ready), "{} began before what it depends on", plan.id);
    }
}

/// Tells the run what happens next; says what it was told, and whether it took it.
fn tell(it: &mut Runs, next: Next) -> Option<(Command, bool)> {
    let command = match next {
        Next::Comes(command) => command,
        Next::Told(key, command) => {
            let due = it.ledger.open[&key].due_at;
            it.now = it.now.max(due);
            it.ledger.tell(&key);
            command?
        }
    };
    let when = it.clone().when(command.clone());
    let taken = when.result.is_ok();
    *it = when.after;
    Some((command, taken))
}

proptest! {
    #[test]
    fn any_story_of_a_run_stays_sane(
        plan in any_plan(), draws in prop::collection::vec((any::<usize>(), 0..16_u8, 0..1_000_u64), 1..80),
    ) {
        let mut it = given::<RunDecider>(id().stream(), []).after(Command::Create(plan));
        sane(&it);
        for draw in draws {
            it.now = it.now.plus_ms(500);
            let next = next(&it, draw, false);
            let before = it.state.clone();
            let Some((command, taken)) = tell(&mut it, next) else { continue };
            sane(&it);
            if !taken {
                prop_assert_eq!(&it.state, &before);
                continue;
            }
            let takes_back = matches!(
                command,
                Command::RetryStep { .. }
                    | Command::SkipStep { .. }
                    | Command::Rerun { .. }
                    | Command::DeadLetter { .. }
            );
            if !takes_back {
                // Said twice, it is rejected, does nothing, or is kept for audit.
                let again = it.clone().when(command);
                prop_assert_eq!(&again.after.state, &it.state);
                prop_assert_eq!(&again.after.ledger, &it.ledger);
            }
        }
    }

    /// A version that says the same under another name changes nothing that follows.
    #[test]
    fn a_version_that_says_the_same_changes_nothing_that_follows(
        plan in any_plan(), at in 0..30_usize, draws in prop::collection::vec((any::<usize>(), 0..1_000_u64), 1..60),
    ) {
        let mut it = given::<RunDecider>(id().stream(), []).after(Command::Create(plan));
        let mut twin: Option<Runs> = None;
        for (n, (pick, drawn)) in draws.into_iter().enumerate() {
            let run = it.state.run().expect("it was created");
            let idle = !run.all().any(|(_, _, step)| matches!(step.status, StepStatus::Running { .. }));
            let is_workflow = run.created.subject.workflow().is_some();
            if twin.is_none() && n >= at && idle && is_workflow && matches!(it.state, State::Open(_)) {
                twin = Some(it.clone().when(another_version(run, "", 3)).then_facts(&["migrated"]));
            }
            it.now = it.now.plus_ms(500);
            if let Some(twin) = &mut twin {
                twin.now = it.now;
                let again = next(twin, (pick, 15, drawn), true);
                tell(twin, again);
                let drawn = next(&it, (pick, 15, drawn), true);
                tell(&mut it, drawn);
                let told = |it: &Runs| {
                    let others = it.history.iter().filter(|(event, _)| !matches!(event, Event::Migrated(_)));
                    others.cloned().collect::<Vec<_>>()
                };
                prop_assert_eq!(told(&it), told(twin));
                prop_assert_eq!(&it.ledger, &twin.ledger);
            } else {
                let drawn = next(&it, (pick, 15, drawn), true);
                tell(&mut it, drawn);
            }
        }
    }

    #[test]
    fn a_run_whose_obligations_are_paid_ends(plan in any_plan(), draws in prop::collection::vec((any::<usize>(), 0..1_000_u64), 200)) {
        let mut it = given::<RunDecider>(id().stream(), []).after(Command::Create(plan));
        let mut draws = draws.into_iter().cycle();
        for n in 0..6_000_u64 {
            in_order(&it);
            if matches!(it.state, State::Over(..)) {
                sane(&it);
                return Ok(());
            }
            let (pick, drawn) = draws.next().unwrap_or_default();
            let next = next(&it, (pick, 15, drawn + n), true);
            tell(&mut it, next);
        }
        prop_assert!(false, "it never ends: {:?}", it.state);
    }
}

/// Where each step is, in the words of the diagram.
fn words(state: &State) -> BTreeMap<String, &'static str> {
    let word = |status: &StepStatus| match status {
        StepStatus::Waiting { .. } => "waiting",
        StepStatus::Parked { .. } => "parked",
        StepStatus::Asking { .. } => "asking",
        StepStatus::Fanned {} => "fanned",
        other => other.as_str(),
    };
    state.run().map(|run| run.all().map(|(id, _, step)| (id, word(&step.status))).collect()).unwrap_or_default()
}

/// From which state to which steps went.
fn arrows(it: &Runs) -> BTreeSet<String> {
    let (mut state, mut found) = (State::default(), BTreeSet::new());
    for (event, at) in &it.history {
        let before = words(&state);
        RunDecider::evolve(&mut state, event, *at);
        let after = words(&state);
        let moved = before.iter().filter_map(|(id, from)| Some((from, after.get(id).filter(|to| *to != from)?)));
        found.extend(moved.map(|(from, to)| format!("{from} --> {to}")));
    }
    found
}

/// Those that `ARCHITECTURE.md` draws.
fn drawn_arrows() -> BTreeSet<String> {
    let text = include_str!("../../../../../ARCHITECTURE.md");
    let diagram = text.split("A step of a run").nth(1).and_then(|rest| rest.split("```").nth(1)).unwrap();
    let lines = diagram.lines().filter_map(|line| line.split(':').next());
    lines.map(|line| line.trim().to_owned()).filter(|line| line.contains("-->") && !line.contains("[*]")).collect()
}

#[test]
fn the_diagram_of_a_steps_states_shows_what_they_do() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let draws = prop::collection::vec((any::<usize>(), 0..16_u8, 0..1_000_u64), 60);
    let mut found = BTreeSet::new();
    for _ in 0..300 {
        let (plan, draws) = (any_plan(), draws.clone()).new_tree(&mut runner).unwrap().current();
        let mut it = given::<RunDecider>(id().stream(), []).after(Command::Create(plan));
        for draw in draws {
            it.now = it.now.plus_ms(500);
            let next = next(&it, draw, false);
            tell(&mut it, next);
        }
        found.append(&mut arrows(&it));
    }
    found.append(&mut arrows(&kept::approved_and_not_mapped()));
    let drawn = drawn_arrows();
    let (missing, astray): (Vec<_>, Vec<_>) = (found.difference(&drawn).collect(), drawn.difference(&found).collect());
    assert!(missing.is_empty() && astray.is_empty(), "not drawn: {missing:#?}; drawn, and never seen: {astray:#?}");
}

//! Another version for a run that goes on: what is legal when, and what follows.

use super::*;
use crate::definition::{Parameter, ParameterKind};

/// Version 2 of the workflow, with these steps. Its parameters are those that the run has.
pub fn version_2(max_parallel: u16, steps: Vec<StepPlan>) -> Migration {
    let created = asked_for(max_parallel, steps);
    let workflow = created.subject.workflow().unwrap().clone();
    let workflow = WorkflowRef { version: "2".to_owned(), digest: crate::json::digest("2"), ..workflow };
    let names = created.parameters.as_object().unwrap().keys();
    Migration { workflow, plan: created.plan, parameters: names.map(|name| any(name, None)).collect(), by: by() }
}

pub fn any(name: &str, default: Option<Json>) -> Parameter {
    let (kind, required, one_of) = (ParameterKind::Any, default.is_none(), vec![]);
    Parameter { name: name.to_owned(), kind, required, default, one_of, description: None }
}

fn to(migration: Migration) -> Command {
    Command::Migrate(Box::new(migration))
}

fn calls(id: &str, url: &str) -> StepPlan {
    let (url, method) = (url.to_owned(), "POST".to_owned());
    does(id, &[], Action::Call { url, method, headers: BTreeMap::new(), body: None })
}

fn behind(step: StepPlan, depends_on: &[&str]) -> StepPlan {
    StepPlan { depends_on: depends_on.iter().map(|id| (*id).to_owned()).collect(), ..step }
}

/// Why each step keeps a run from going on.
fn kept_by(when: Result<Vec<Event>, Rejection>) -> Vec<String> {
    match when {
        Ok(_) => vec![],
        Err(Rejection::CannotMigrate { differs, .. }) => differs.iter().map(ToString::to_string).collect(),
        Err(other) => vec![other.to_string()],
    }
}

/// A run of `a`, `b` behind it and `f` finally, in which `a` is as far as its name says.
fn phase(phase: &str) -> (Runs, Vec<StepPlan>) {
    let a = match phase {
        "parked" => wait_for("a", &[], None),
        "asking" => checked(calls("a", "/a"), question()),
        "skipped" => when(calls("a", "/a"), "parameters.no"),
        "fanned" => for_each(calls("a", "/a"), "{{ two }}"),
        _ => StepPlan { optional: phase == "dead", ..calls("a", "/a") },
    };
    // Something else goes on when `a` is settled, so that the run does.
    let steps = vec![a, behind(wait_for("b", &[], None), &["a"]), in_part(calls("f", "/f"), Part::Finally)];
    let it = flow(2, steps.clone());
    let it = match phase {
        "running" => it.after(grant("a", 1, 1)),
        "waiting" => it.after(grant("a", 1, 1)).after(failed("a", 1, 1, FailureClass::Transient)),
        "completed" | "asking" => goes(it, "a", 1, json!({"n": 1})),
        "dead" => dies(it, "a", 1),
        "paused" => it.after(Command::Pause { by: by() }),
        "fanned" => it.after(grant("a[0]", 1, 1)).after(made("a[0]", 1, 1, json!(1))),
        _ => it,
    };
    (it, steps)
}

/// What of `a` may be another one, by how far it is: `yes` or the words of the refusal.
#[test]
fn what_was_used_has_to_be_equal() {
    type Change = fn(StepPlan) -> StepPlan;
    let changes: [(&str, Change); 9] = [
        ("when", |step| when(step, "parameters.yes")),
        ("for_each", |step| for_each(step, "{{ three }}")),
        ("action", |step| StepPlan { action: calls("x", "/other").action, ..step }),
        ("queue", |step| StepPlan { flow: Flow { queue: Some("slow".to_owned()), ..step.flow }, ..step }),
        ("output", |step| {
            let output_mapping = BTreeMap::from([("n".to_owned(), json!("$.n"))]);
            StepPlan { flow: Flow { output_mapping, ..step.flow }, ..step }
        }),
        ("checkpoint_after", |step| checked(step, Checkpoint { question: "else?".to_owned(), ..question() })),
        ("retry", |step| StepPlan { retry: RetryPolicy { attempts_max: 9, ..policy() }, ..step }),
        ("optional", |step| StepPlan { optional: !step.optional, ..step }),
        ("label", |step| StepPlan { flow: Flow { label: Some("l".to_owned()), ..step.flow }, ..step }),
    ];
    let all: Vec<&str> = changes.iter().map(|(field, _)| *field).filter(|field| *field != "label").collect();
    for (at, bound) in [
        ("queued", vec!["when", "for_each", "action", "queue"]),
        ("paused", vec!["when", "for_each"]),
        ("skipped", vec!["when", "for_each"]),
        ("parked", vec!["when", "for_each", "action"]),
        ("asking", vec!["when", "for_each", "action", "output", "checkpoint_after"]),
        ("completed", vec!["when", "for_each", "action", "output", "checkpoint_after"]),
        ("waiting", vec!["when", "for_each", "action", "retry"]),
        ("dead", vec!["when", "for_each", "action", "retry", "optional"]),
        ("fanned", vec!["when", "for_each", "action", "queue", "output"]),
        ("running", all),
    ] {
        let (it, steps) = phase(at);
        for (field, change) in &changes {
            let mut changed = steps.clone();
            changed[0] = change(changed[0].clone());
            let kept = kept_by(it.clone().when(to(version_2(2, changed))).result);
            let expected = match (at, bound.contains(field)) {
                ("running", _) => kept.iter().any(|why| why.contains("is under way, at attempt 1")),
                (_, true) => {
                    kept == [format!("step \"a\" has begun, and its {field} is another one in the new version")]
                }
                (_, false) => kept.is_empty(),
            };
            assert!(expected, "{at}, {field}: {kept:?}");
        }
        let gone = vec![wait_for("b", &[], None), steps[2].clone()];
        let kept = kept_by(it.when(to(version_2(2, gone))).result);
        assert!(kept.contains(&"step \"a\" has begun and is not in the new version".to_owned()), "{at}: {kept:?}");
    }
}

#[test]
fn what_has_not_begun_may_be_anything_and_goes_as_the_new_version_says() {
    let it = goes(flow(2, vec![step("a", &[]), wait_for("w", &["a"], None), step("old", &["w"])]), "a", 1, json!(1));
    let steps = vec![
        step("first", &[]),
        step("a", &[]),
        wait_for("w", &["a"], None),
        set("next", &["w"], json!("{{ steps.a }} {{ fresh }}")),
        in_part(step("last", &[]), Part::Finally),
    ];
    let mut migration = version_2(3, steps);
    migration.parameters.push(any("fresh", Some(json!("f"))));
    migration.parameters.retain(|parameter| parameter.name != "none");
    let it = it.when(to(migration.clone())).then_facts(&["migrated", "step_queued"]);
    let run = it.state.run().unwrap();
    let ids: Vec<&str> = run.created.plan.steps.iter().map(|step| step.id.as_str()).collect();
    assert_eq!((ids, run.steps.len()), (vec!["first", "a", "w", "next", "last"], 5));
    assert_eq!(run.created.subject.workflow(), Some(&migration.workflow));
    assert_eq!((&run.created.parameters["fresh"], run.created.parameters.get("none")), (&json!("f"), None));
    let Some((Event::Migrated(told), _)) = it.history.iter().rev().nth(1) else { panic!("{:?}", it.history) };
    assert_eq!((told.from.as_str(), told.dropped.as_slice()), ("1", &["old".to_owned()][..]));
    assert_eq!((it.status("first"), it.status("a"), it.status("w")), ("queued", "completed", "running"));
    // Said twice it changes nothing.
    it.clone().when(to(migration)).then([]);
    let event = Command::EventArrived { step: "w".to_owned(), attempt: 1, event: json!({}) };
    let it = goes(it.after(event), "first", 1, json!(1));
    assert_eq!(it.value("next"), json!("1 f"));
    assert_eq!(goes(it, "last", 1, json!(1)).end().as_str(), "completed");
}

#[test]
fn a_step_that_has_begun_waits_for_nothing_that_was_open_then() {
    let chain =
        || vec![set("a", &[], json!(1)), set("b", &["a"], json!(1)), wait_for("c", &["b"], None), step("d", &["c"])];
    let it = flow(2, chain());
    let with = |depends_on: &[&str]| {
        let mut steps = chain();
        steps.insert(2, step("x", &[]));
        steps[3] = behind(steps[3].clone(), depends_on);
        kept_by(it.clone().when(to(version_2(2, steps))).result)
    };
    for settled in [&["b"][..], &["a"], &["a", "b"], &[]] {
        assert_eq!(with(settled), Vec::<String>::new(), "{settled:?}");
    }
    assert_eq!(
        with(&["b", "x"]),
        ["step \"c\" has begun, and in the new version depends on \"x\", which was not settled before it"]
    );
}

#[test]
fn nothing_is_new_in_a_part_that_is_over() {
    let steps = || vec![set("a", &[], json!(1)), in_part(wait_for("f", &[], None), Part::Finally)];
    let it = flow(2, steps());
    assert_eq!(it.status("f"), "running");
    let with = |step: StepPlan| kept_by(it.clone().when(to(version_2(2, [vec![step], steps()].concat()))).result);
    let late = ["step \"x\" is not settled, and belongs to a part of the run that is over"];
    assert_eq!(with(step("x", &[])), late);
    assert_eq!(with(in_part(step("x", &[]), Part::OnFailure)), late);
    assert_eq!(with(in_part(step("x", &[]), Part::Finally)), Vec::<String>::new());
}

#[test]
fn every_step_that_differs_is_named() {
    let it = goes(flow(3, vec![step("a", &[]), wait_for("b", &["a"], None), step("c", &[])]), "a", 1, json!(1));
    let it = it.after(grant("c", 1, 5));
    let changed = vec![when(step("a", &[]), "parameters.yes"), step("c", &[])];
    let told = it.when(to(version_2(3, changed))).result.unwrap_err().to_string();
    assert_eq!(
        told,
        "the run cannot go on as o/n@2: step \"a\" has begun, and its when is another one in the new version; step \"b\" has \
         begun and is not in the new version; step \"c\" is under way, at attempt 1: migrate when it has ended"
    );
}

#[test]
fn what_is_no_version_for_the_run_is_refused() {
    let it = flow(2, vec![wait_for("a", &[], None), child("c", &[])]);
    let steps = || vec![wait_for("a", &[], None), child("c", &[])];
    let other = |change: fn(&mut Migration)| {
        let mut migration = version_2(2, steps());
        change(&mut migration);
        kept_by(it.clone().when(to(migration)).result).join("; ")
    };
    type Change = fn(&mut Migration);
    let changes: [(Change, &str); 5] = [
        (|it| it.workflow.name = "other".to_owned(), "o/other@2 is no version of that"),
        (|it| it.parameters.push(any("more", None)), "parameters.more: it is required (any)"),
        (|it| it.parameters[0].kind = ParameterKind::Boolean, "is no boolean"),
        (|it| it.plan = asked_for(0, vec![step("a", &[])]).plan, "the plan is not sound"),
        (|it| it.plan = asked_for(2, vec![step("a", &["b"]), step("b", &[])]).plan, "the plan is not sound"),
    ];
    for (change, why) in changes {
        let told = other(change);
        assert!(told.contains(why), "{why}: {told}");
    }
    let narrow = flow(2, vec![child("a", &[]), child("b", &[])]);
    let told = kept_by(narrow.when(to(version_2(1, vec![child("a", &[]), child("b", &[])]))).result).join("; ");
    assert!(told.contains("2 places are held, and it has 1"), "{told}");
    let document = run(1, vec![step("a", &[])]).when(to(version_2(1, vec![step("a", &[])])));
    assert!(matches!(document.result, Err(Rejection::AnotherDefinition { .. })));
}

/// A paused run is migrated and goes on with the new version; what waits for its retry keeps its timer.
#[test]
fn a_pause_and_a_timer_hold_over_a_migration() {
    let steps = |url: &str| vec![calls("a", "/a"), behind(calls("b", url), &["a"])];
    let it = flow(1, steps("/b")).after(grant("a", 1, 1)).after(failed("a", 1, 1, FailureClass::Transient));
    let it = it.after(Command::Pause { by: by() }).when(to(version_2(1, steps("/new")))).then_facts(&["migrated"]);
    let it = it.owes(&[]).at(60).after(retry("a", 2)).when(Command::Resume { by: by() });
    let it = goes(it.then_facts(&["resumed", "step_queued"]), "a", 2, json!(1)).owes(&["job:b:1"]);
    let Action::Call { url, .. } = it.action("b") else { panic!("a call") };
    assert_eq!(url, "/new");
}

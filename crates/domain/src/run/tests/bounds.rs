//! Values that a run makes itself have a bound.

use super::*;
use crate::{codec, decider::Obligation, json::Room, streams::AnyCommand};

/// Steps, each of which makes something of what the one before made.
fn after_each_other(first: Json, next: impl Fn(&str) -> Json, count: usize) -> Vec<StepPlan> {
    let name = |n: usize| format!("s{n}");
    let made = (1..count).map(|n| set(&name(n), &[&name(n - 1)], next(&format!("{{{{ steps.{} }}}}", name(n - 1)))));
    [set("s0", &[], first)].into_iter().chain(made).collect()
}

fn failed_at(it: &Runs) -> (String, String) {
    match it.end() {
        End::Failed { step, failure } => (step.clone(), failure.message.clone()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_value_that_is_doubled_again_and_again_ends_where_no_event_would_hold_it() {
    let it = flow(1, after_each_other(json!("x".repeat(1 << 10)), |before| json!([before, before]), 40));
    let (dead, why) = failed_at(&it);
    assert_eq!((dead.as_str(), it.status("s11")), ("s12", "completed"));
    assert!(why.contains("is larger than 4194304 bytes"), "{why}");
    // As a text, and as a list that a step is to be done for.
    let it = flow(1, after_each_other(json!("x".repeat(1 << 10)), |before| json!(format!("{before}{before}")), 40));
    assert_eq!(failed_at(&it).0, "s12");
    let list = Flow { for_each: Some(json!(vec!["{{ steps.a }}"; 5])), ..Flow::default() };
    let it = flow(1, vec![set("a", &[], json!("x".repeat(1 << 20))), within(step("f", &["a"]), list)]);
    assert!(failed_at(&it).1.starts_with("the list of for_each is larger"), "{:?}", it.end());
}

#[test]
fn what_is_nested_deeper_than_readers_follow_is_not_made() {
    let it = flow(1, after_each_other(json!([]), |before| json!([before]), 400));
    let (step, why) = failed_at(&it);
    assert_eq!(step, "s257");
    assert!(why.contains("is nested more than 256 deep"), "{why}");
    // The deepest there may be is read back from all it is written into.
    let deepest = StepOutput::Value(Outcome::of(it.value("s256")));
    let end = End::Completed { outputs: BTreeMap::from([("x".to_owned(), Arc::new(deepest))]) };
    let told: AnyCommand = Command::ChildEnded { step: "a".to_owned(), attempt: 1, run: None, end }.into();
    let duty = Duty::Tell { to: id().stream(), command: Box::new(told) };
    let owed = Obligation { key: "ended".to_owned(), due_at: at(1), priority: 100, duty };
    let bytes = codec::to_bytes(&owed).unwrap();
    assert_eq!(codec::from_bytes::<Obligation>("obligation", &bytes).unwrap(), owed);
}

#[test]
fn a_list_that_no_event_would_hold_stays_with_its_instances() {
    let llm = |prompt: &str| Action::Llm {
        system: None,
        prompt: prompt.to_owned(),
        model: None,
        max_tokens: None,
        json: false,
    };
    let agent = Action::Agent { agent: "w".to_owned(), mode: "BUILD".to_owned(), input: json!("{{ steps.f }}") };
    let steps = vec![
        for_each(step("f", &[]), "{{ three }}"),
        does("one", &["f"], llm("{{ steps.f[2].t }}")),
        does("all", &["f"], agent),
        optional(set("sets", &["f"], json!("{{ steps.f }}"))),
    ];
    let value = |n: usize| json!({"t": n, "text": "x".repeat(3 << 19)});
    let mut it = flow(9, steps);
    for nth in 0..3 {
        it = goes(it, &format!("f[{nth}]"), 1, value(nth));
    }
    assert_eq!(it.value("f"), json!({"instances": 3}), "and no event has it all");
    assert!(matches!(it.action("one"), Action::Llm { prompt, .. } if prompt == "2"));
    let Action::Agent { input, .. } = it.action("all") else { panic!("agent") };
    assert_eq!(input, json!([value(0), value(1), value(2)]));
    assert!(it.why("sets").contains("is larger than"), "{}", it.why("sets"));
    // Another run cannot look at the instances.
    let outputs = it.state.run().unwrap().outputs();
    let parent = flow(1, vec![once(child("a", &[]))]);
    let ended = Command::ChildEnded { step: "a".to_owned(), attempt: 1, run: None, end: End::Completed { outputs } };
    let (step, why) = failed_at(&parent.after(ended));
    assert!(step == "a" && why.contains("its result \"f\" is a list of 3 elements that is too large"), "{why}");
}

#[test]
fn what_a_run_gives_back_and_what_it_is_given_have_a_bound() {
    let mut created = asked_for(1, vec![set("a", &[], json!("x".repeat(1 << 20)))]);
    let output = Some(json!(vec!["{{ steps.a }}"; 5]));
    created.plan = Arc::new(Plan { output, ..(*created.plan).clone() });
    let it = given::<RunDecider>(id().stream(), []).after(Command::Create(created));
    let (step, why) = failed_at(&it);
    assert!(step == "output" && why.starts_with("the output of the run is larger"), "{step}: {why}");
    let large = StepOutput::Value(Outcome::of(json!("x".repeat(3 << 20))));
    let outputs = ["x", "y"].map(|name| (name.to_owned(), Arc::new(large.clone()))).into();
    let ended = Command::ChildEnded { step: "a".to_owned(), attempt: 1, run: None, end: End::Completed { outputs } };
    let it = flow(1, vec![once(child("a", &[]))]).when(ended).then_facts(&["attempt_failed", "step_died", "failed"]);
    assert!(failed_at(&it).1.contains("is larger than"), "{:?}", it.end());
}

#[test]
fn one_decision_makes_only_so_much() {
    let mut decision = Room::DECISION.clone();
    let value = json!("x".repeat(3 << 20));
    let admitted = (0..100).take_while(|_| {
        Room::VALUE.within(&decision).take_value(&value, 0).is_ok() && decision.take_value(&value, 0).is_ok()
    });
    assert_eq!(admitted.count(), 10);
}

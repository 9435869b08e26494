//! Waits for instants, events and other runs.

use super::*;
use crate::{
    decider::Obligation,
    definition::{self, Parent},
    ids::{StreamId, TopicId},
    streams::AnyCommand,
    testing::SHARDS,
    topic,
};

fn due(step: &str, attempt: u32) -> Command {
    Command::StepDue { step: step.to_owned(), attempt }
}

fn arrives(step: &str, attempt: u32) -> Command {
    let event =
        json!({"type": "paid", "payload": {"sum": 5}, "correlation": "c", "id": "e1", "at": "now", "user": "u"});
    Command::EventArrived { step: step.to_owned(), attempt, event }
}

/// Who is told under a key, and what.
fn told<'a>(it: &'a Runs, key: &str) -> (StreamId, &'a AnyCommand) {
    match it.ledger.open.get(key) {
        Some(Obligation { duty: Duty::Tell { to, command }, .. }) => (*to, command),
        other => panic!("{key} is {other:?}"),
    }
}

fn child_run(it: &Runs, key: &str) -> RunId {
    match told(it, key).1 {
        AnyCommand::Definition(definition::Command::Start(start)) => start.run,
        other => panic!("{other:?}"),
    }
}

fn child_ended(step: &str, attempt: u32, run: Option<RunId>, end: End) -> Command {
    Command::ChildEnded { step: step.to_owned(), attempt, run, end }
}

fn child_failed() -> End {
    End::Failed { step: "x".to_owned(), failure: failure(FailureClass::Permanent) }
}

#[test]
fn a_sleep_wakes_at_its_instant_and_holds_no_place() {
    let it = flow(1, vec![does("a", &[], Action::Sleep { ms: 5_000 }), step("b", &[])]);
    let it = it.owes(&["job:b:1", "timer:a:1"]);
    assert_eq!(it.ledger.open["timer:a:1"].due_at, at(5));
    let it = it.at(5).when(due("a", 1)).then_facts(&["step_completed"]);
    assert_eq!(it.value("a"), json!(null));
    it.when(due("a", 1)).then([]);
}

#[test]
fn an_event_completes_the_step_that_waits_for_it() {
    let correlation = Some("order-{{ n }}".to_owned());
    let action = Action::WaitForEvent { event: "paid".to_owned(), correlation, timeout_ms: Some(9_000) };
    let it = flow(1, vec![does("a", &[], action)]).owes(&["subscribe:a:1", "timer:a:1"]);
    let (to, command) = told(&it, "subscribe:a:1");
    assert_eq!(to, TopicId::of("paid", SHARDS).stream());
    let AnyCommand::Topic(topic::Command::Subscribe { event_type, correlation, since, .. }) = command else { panic!() };
    assert_eq!((event_type.as_str(), correlation.as_deref(), *since), ("paid", Some("order-3"), Some(at(0))));
    it.clone().when(arrives("a", 2)).then([]);
    let over = it.when(arrives("a", 1)).then_facts(&["step_completed", "completed"]).owes(&[]);
    assert_eq!(
        over.value("a"),
        json!({"type": "paid", "payload": {"sum": 5}, "correlation": "c", "id": "e1", "at": "now"})
    );
    // A second event, and the deadline, come too late to be heard.
    over.when(arrives("a", 1)).then([]).when(due("a", 1)).then([]);
}

#[test]
fn an_event_that_does_not_come_in_time_is_a_failure_like_others() {
    let it = flow(1, vec![once(wait_for("a", &[], Some(9_000)))]).at(9).when(due("a", 1));
    let it = it.then_facts(&["attempt_failed", "step_died", "failed"]).owes(&["unsubscribe:a:1"]);
    assert_eq!(it.why("a"), "no event \"paid\" came in time");
    let again = flow(1, vec![wait_for("a", &[], Some(9_000))]).at(9).after(due("a", 1));
    let again = again.owes(&["retry:a:2", "unsubscribe:a:1"]).at(20).after(retry("a", 2));
    assert_eq!(again.owes(&["subscribe:a:2", "timer:a:2", "unsubscribe:a:1"]).ledger.open["timer:a:2"].due_at, at(29));
}

#[test]
fn an_empty_correlation_takes_no_event_at_all() {
    let correlation = Some("{{ missing }}".to_owned());
    let it =
        flow(1, vec![does("a", &[], Action::WaitForEvent { event: "paid".to_owned(), correlation, timeout_ms: None })]);
    assert_eq!(it.why("a"), "the correlation of step \"a\" is empty: it would take any event");
}

#[test]
fn a_wait_that_is_done_anew_wants_a_new_event() {
    let it = flow(1, vec![wait_for("a", &[], None)]).at(3).after(arrives("a", 1)).at(7).after(rerun(None));
    let AnyCommand::Topic(topic::Command::Subscribe { since, .. }) = told(&it, "subscribe:a:2").1 else { panic!() };
    assert_eq!(*since, Some(at(7)));
}

#[test]
fn an_event_is_for_one_wait_of_a_run() {
    let mapping = BTreeMap::from([("sum".to_owned(), json!("$.payload.sum"))]);
    let first = within(wait_for("a", &[], None), Flow { output_mapping: mapping, ..Flow::default() });
    let other = Action::WaitForEvent { event: "other".to_owned(), correlation: None, timeout_ms: None };
    let steps = vec![first, wait_for("b", &["a"], None), does("c", &["b"], other)];
    let heard = |it: &Runs, key: &str| match told(it, key).1 {
        AnyCommand::Topic(topic::Command::Subscribe { heard, .. }) => heard.clone(),
        other => panic!("{other:?}"),
    };
    let it = flow(1, steps);
    assert!(heard(&it, "subscribe:a:1").is_empty());
    let it = it.after(arrives("a", 1));
    assert_eq!((it.value("a"), heard(&it, "subscribe:b:1")), (json!({"sum": 5}), vec!["e1".to_owned()]));
    assert!(heard(&it.after(arrives("b", 1)), "subscribe:c:1").is_empty(), "that is another topic");
}

#[test]
fn a_run_of_another_definition_is_started_as_a_child_and_its_results_are_the_output() {
    let created = Created { path: vec!["o/above".to_owned()], ..*asked_for(1, vec![child("a", &[]), step("b", &[])]) };
    let it = given::<RunDecider>(id().stream(), []).after(Command::Create(Box::new(created)));
    let it = it.owes(&["start:a:1"]);
    let (to, command) = told(&it, "start:a:1");
    assert_eq!(to, crate::ids::DefinitionId::of("o", "other", SHARDS).stream());
    let AnyCommand::Definition(definition::Command::Start(start)) = command else { panic!("{command:?}") };
    let path = vec!["o/above".to_owned(), "o/n".to_owned()];
    let parent = Parent { run: id(), root: id(), step: "a".to_owned(), attempt: 1, path };
    assert_eq!((&start.parent, &start.parameters, start.priority), (&Some(parent), &json!({"n": 3}), Some(100)));
    let run = start.run;
    let outputs = BTreeMap::from([("x".to_owned(), Arc::new(StepOutput::Value(Outcome::of(json!(7)))))]);
    let stranger = crate::deliverable::produce_run_id(the_deliverable(), crate::testing::uuid(9));
    it.clone().when(child_ended("a", 1, Some(stranger), child_failed())).then([]);
    let it = it.after(child_ended("a", 1, Some(run), End::Completed { outputs })).owes(&["job:b:1"]);
    assert_eq!(
        it.value("a"),
        json!({"orchestrationRunId": run.to_string(), "status": "completed", "results": {"x": 7}})
    );
}

#[test]
fn a_child_that_fails_is_tried_again_only_by_a_policy_of_more_attempts() {
    let it = flow(1, vec![once(child("a", &[]))]);
    let run = child_run(&it, "start:a:1");
    let it =
        it.when(child_ended("a", 1, Some(run), child_failed())).then_facts(&["attempt_failed", "step_died", "failed"]);
    assert_eq!(it.why("a"), format!("run {run} failed at step \"x\": no"));
    let more = flow(1, vec![child("a", &[])]);
    let again =
        more.clone().after(child_ended("a", 1, Some(run), child_failed())).owes(&["retry:a:2"]).after(retry("a", 2));
    assert_ne!(child_run(&again, "start:a:2"), run, "another attempt is another run");
    let cancelled = End::Cancelled { reason: "r".to_owned() };
    assert_eq!(more.clone().after(child_ended("a", 1, Some(run), cancelled)).end().as_str(), "failed");
    let it = more.after(child_ended("a", 1, None, child_failed()));
    assert_eq!(it.why("a"), "the run was not started: no");
}

#[test]
fn a_child_that_nobody_waits_for_is_stopped_also_before_it_begins() {
    let it = flow(1, vec![child("a", &[])]);
    let run = child_run(&it, "start:a:1");
    let mut it = it;
    it.ledger.tell("start:a:1");
    let it = it.after(cancel()).owes(&["stop:a:1"]);
    let (to, stop) = told(&it, "stop:a:1");
    assert_eq!(to, run.stream());
    let AnyCommand::Run(stop) = stop.clone() else { panic!("{stop:?}") };
    // It comes before the child: the child never begins.
    let create = || Command::Create(asked_for(1, vec![step("a", &[])]));
    let barred = given::<RunDecider>(run.stream(), []).when(stop.clone()).then_facts(&["cancelled"]);
    let never = barred.when(stop.clone()).then([]).when(create()).then_facts(&["created", "step_skipped", "cancelled"]);
    assert_eq!(never.end().as_str(), "cancelled");
    let begun = given::<RunDecider>(run.stream(), []).after(create()).when(stop.clone());
    begun.then_facts(&["step_skipped", "cancelled"]).owes(&[]).when(stop).then([]);
}

#[test]
fn who_asked_is_told_the_end_in_their_own_words() {
    let end = |reply_to: Option<StreamId>, for_step: Option<(String, u32)>| {
        let created = Created { reply_to, for_step, ..*asked_for(1, vec![set("a", &[], json!(1))]) };
        given::<RunDecider>(id().stream(), []).after(Command::Create(Box::new(created)))
    };
    let definition = crate::ids::DefinitionId::of("o", "n", SHARDS).stream();
    let it = end(Some(definition), None);
    let AnyCommand::Definition(definition::Command::RunEnded { run, end: End::Completed { outputs } }) =
        told(&it, "ended").1
    else {
        panic!("{:?}", it.ledger)
    };
    assert!(*run == id() && outputs.is_empty(), "a definition does not want what was made");
    let parent = crate::deliverable::produce_run_id(the_deliverable(), crate::testing::uuid(2));
    let it = end(Some(parent.stream()), Some(("s".to_owned(), 4)));
    let (to, AnyCommand::Run(Command::ChildEnded { step, attempt, run, end: End::Completed { outputs } })) =
        told(&it, "ended")
    else {
        panic!("{:?}", it.ledger)
    };
    assert_eq!((to, step.as_str(), *attempt, *run, outputs.len()), (parent.stream(), "s", 4, Some(id()), 1));
    end(None, None).owes(&[]);
}

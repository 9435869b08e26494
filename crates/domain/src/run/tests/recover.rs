//! What people do to runs: retry, skip, do again, pause.

use super::*;
use crate::testing::word;

/// `a`, then `b`, then `c`, and `d` beside them; `last` goes finally.
fn steps() -> Vec<StepPlan> {
    vec![
        step("a", &[]),
        step("b", &["a"]),
        step("c", &["b"]),
        step("d", &[]),
        in_part(step("last", &[]), Part::Finally),
    ]
}

/// `b` died, `d` was done, `last` was done, the run has failed.
fn failed_run() -> Runs {
    let it = goes(goes(flow(2, steps()), "a", 1, json!("a1")), "d", 1, json!("d1"));
    goes(dies(it, "b", 1), "last", 1, json!("l1"))
}

fn key(it: &Runs, step: &str) -> String {
    it.state.run().unwrap().idempotency_key(id(), step).unwrap()
}

#[test]
fn a_retry_opens_a_failed_run_and_takes_back_what_was_skipped_because_of_it() {
    let over = failed_run().owes(&[]);
    let it = over.clone().when(retry_step("b"));
    let it = it.then_facts(&["reopened", "step_reset", "step_reset", "step_reset", "step_queued"]).owes(&["job:b:2"]);
    assert_eq!(key(&it, "b"), key(&over, "b"), "what was done already is not done again");
    assert_eq!((it.value("a"), it.value("d"), it.status("last")), (json!("a1"), json!("d1"), "pending"));
    let it = goes(goes(it, "b", 2, json!(1)), "c", 1, json!(1));
    assert_eq!(goes(it.owes(&["job:last:2"]), "last", 2, json!(1)).end().as_str(), "completed");
}

#[test]
fn a_retry_may_change_the_input_and_come_later() {
    let agent = Action::Agent { agent: "w".to_owned(), mode: "BUILD".to_owned(), input: json!({"by": "day", "n": 1}) };
    let it = dies(flow(1, vec![does("a", &[], agent)]), "a", 1);
    let before = key(&it, "a");
    let modifications = Some(json!({"by": "week"}));
    let later = Command::RetryStep { step: "a".to_owned(), modifications, delay_ms: 5_000, by: by(), past: None };
    let it = it.at(1).when(later).then_facts(&["reopened", "step_reset"]).owes(&["retry:a:reset1"]);
    assert_eq!(it.ledger.open["retry:a:reset1"].due_at, at(6));
    let it = it.at(6).after(retry("a", 2)).owes(&["job:a:2"]);
    let Action::Agent { input, .. } = it.action("a") else { panic!("agent") };
    assert_eq!(input, json!({"by": "week", "n": 1}));
    assert_ne!(key(&it, "a"), before, "something else is asked for");
    // The timer counts, though the clock says otherwise.
    let early = dies(flow(1, vec![step("a", &[])]), "a", 1).at(10);
    let later = Command::RetryStep { step: "a".to_owned(), modifications: None, delay_ms: 5_000, by: by(), past: None };
    early.after(later).at(11).after(retry("a", 2)).owes(&["job:a:2"]);
}

#[test]
fn a_retry_that_waits_can_be_had_at_once() {
    let it = chain().after(grant("a", 1, 1)).after(failed("a", 1, 1, FailureClass::Transient)).owes(&["retry:a:2"]);
    it.after(retry_step("a")).owes(&["job:a:2"]);
}

#[test]
fn all_that_keeps_a_run_from_going_on_is_done_again_with_the_one_that_is_named() {
    let it = flow(2, vec![step("a", &[]), step("b", &[]), step("c", &["a", "b"])]);
    let it = it.after(grant("a", 1, 1)).after(grant("b", 1, 2));
    let it = it.after(failed("a", 1, 1, FailureClass::Permanent)).after(failed("b", 1, 2, FailureClass::Permanent));
    it.after(retry_step("b")).owes(&["job:a:2", "job:b:2"]);
}

#[test]
fn the_last_steps_go_again_only_when_the_main_part_does() {
    let last = |step| in_part(step, Part::Finally);
    let steps = || vec![step("m", &[]), last(step("x", &[])), last(step("y", &[])), last(step("z", &["y"]))];
    let over = dies(goes(goes(flow(1, steps()), "m", 1, json!(1)), "x", 1, json!(1)), "y", 1);
    assert_eq!((over.why("z"), over.end().as_str()), ("step \"y\" is dead", "failed"));
    let it = over.clone().when(retry_step("y")).then_facts(&["reopened", "step_reset", "step_reset", "step_queued"]);
    assert_eq!(["x", "y", "z"].map(|step| it.status(step)), ["completed", "queued", "pending"]);
    let it = over.after(rerun(Some("m"))).owes(&["job:m:2"]);
    assert_eq!(["x", "y", "z"].map(|step| it.status(step)), ["pending"; 3]);
}

#[test]
fn an_instance_that_is_named_lets_its_list_go_on_and_its_delay_counts() {
    let list = optional(checked(for_each(step("f", &[]), "{{ two }}"), question()));
    let it = goes(dies(flow(3, vec![list, step("a", &[])]), "f[1]", 1), "f[0]", 1, json!(1));
    let no = is("f[1]", "dead", "in a list that goes on", 1);
    it.clone().when(retry_step("f[1]")).then_rejected(no);
    let over = dies(it, "a", 1);
    assert_eq!((over.why("f"), over.end().as_str()), ("step \"a\" is dead", "failed"));
    let later =
        Command::RetryStep { step: "f[1]".to_owned(), modifications: None, delay_ms: 5_000, by: by(), past: None };
    let it = over.after(later).owes(&["job:a:2", "retry:f[1]:reset1"]);
    assert_eq!((it.status("f"), it.status("f[0]")), ("running", "completed"));
}

#[test]
fn an_output_in_the_place_of_a_step_lets_the_run_go_on() {
    let it = failed_run().when(skip_step("b", Some(json!({"by": "hand"}))));
    let it =
        it.then_facts(&["reopened", "step_completed", "step_reset", "step_reset", "step_queued"]).owes(&["job:c:1"]);
    assert_eq!(it.value("b"), json!({"by": "hand"}));
    assert_eq!(failed_run().after(skip_step("b", None)).value("b"), json!({"skipped": true}));
    // A step that waits for anything can be skipped; what it waited for is told.
    for (it, owes) in [
        (flow(1, vec![wait_for("x", &[], Some(1)), step("y", &["x"])]), &["job:y:1", "unsubscribe:x:1"][..]),
        (flow(1, vec![step("x", &[]), step("y", &["x"])]), &["job:y:1"]),
        (goes(flow(1, vec![checked(step("x", &[]), question()), step("y", &["x"])]), "x", 1, json!(1)), &["job:y:1"]),
    ] {
        it.after(skip_step("x", None)).owes(owes);
    }
    let running = chain().after(grant("a", 1, 1));
    running.when(skip_step("a", None)).then_rejected(is("a", "running", "dead, waiting or not begun", 1));
}

#[test]
fn an_instance_can_be_retried_and_replaced() {
    let it = flow(9, vec![for_each(step("f", &[]), "{{ three }}"), set("b", &["f"], json!("{{ steps.f }}"))]);
    let over = dies(goes(it, "f[0]", 1, json!("a")), "f[1]", 1);
    assert_eq!((over.why("f[2]"), over.end().as_str()), ("step \"f[1]\" is dead", "failed"));
    let it = over.clone().after(skip_step("f[1]", Some(json!("b")))).owes(&["job:f[2]:2"]);
    assert_eq!(goes(it, "f[2]", 2, json!("c")).value("b"), json!(["a", "b", "c"]));
    let it = over.clone().after(retry_step("f[1]")).owes(&["job:f[1]:2", "job:f[2]:2"]);
    assert_eq!(goes(goes(it, "f[1]", 2, json!("B")), "f[2]", 2, json!("C")).value("b"), json!(["a", "B", "C"]));
    let it = over.after(skip_step("f", Some(json!(["all"]))));
    assert_eq!((it.value("b"), it.end().as_str()), (json!(["all"]), "completed"));
}

#[test]
fn a_run_is_done_again_from_a_step_and_keeps_what_was_made_before_it() {
    let it = goes(goes(failed_run().after(skip_step("b", None)), "c", 1, json!("c1")), "last", 2, json!("l2"));
    assert_eq!(it.end().as_str(), "completed");
    let keys = ["a", "b", "c"].map(|step| key(&it, step));
    let again = it.clone().when(rerun(Some("b")));
    let again =
        again.then_facts(&["reopened", "step_reset", "step_reset", "step_reset", "step_queued"]).owes(&["job:b:2"]);
    assert_eq!((again.value("a"), again.status("c"), again.status("last")), (json!("a1"), "pending", "pending"));
    assert_eq!(key(&again, "a"), keys[0]);
    assert!(key(&again, "b") != keys[1] && key(&again, "c") != keys[2], "another run of it is another request");
    it.after(rerun(None)).owes(&["job:a:2", "job:d:2"]);
    // What a cancelled run never did is done, also when it does not depend on the step.
    let cancelled = goes(flow(1, steps()), "a", 1, json!(1)).after(cancel());
    let it = cancelled.after(rerun(Some("c")));
    assert_eq!(["a", "b", "c", "d"].map(|step| it.status(step)), ["completed", "queued", "pending", "pending"]);
}

/// The key of a step's attempt under way.
fn begun(it: Runs, step: &str, attempt: u32) -> (Runs, String) {
    let it = it.after(grant(step, attempt, 1_000 * u64::from(attempt)));
    let key = key(&it, step);
    (it, key)
}

#[test]
fn a_request_that_may_have_been_made_is_not_made_under_its_key_with_what_another_course_gives() {
    let list = for_each(step("f", &["a"]), "{{ steps.a }}");
    let last = in_part(step("last", &[]), Part::Finally);
    let it = goes(flow(9, vec![step("a", &[]), step("b", &["a"]), list, last]), "a", 1, json!([1]));
    let (it, b) = begun(it, "b", 1);
    let (it, f) = begun(it, "f[0]", 1);
    let no = |step| failed(step, 1, 1_000, FailureClass::Permanent);
    let over = dies(it.after(no("b")).after(no("f[0]")), "last", 1);
    let last = key(&over, "last");
    // A retry, and doing only this once more, is the same request.
    for command in [retry_step("b"), rerun(Some("b"))] {
        assert_eq!(begun(over.clone().after(command), "b", 2).1, b);
    }
    let it = goes(over.after(rerun(Some("a"))), "a", 2, json!([2]));
    let (it, other_b) = begun(it, "b", 2);
    let (it, other_f) = begun(it, "f[0]", 2);
    assert!(other_b != b && other_f != f, "it is asked for something else");
    // An attempt of the same request has the same key.
    let it = it.after(expire("b", 2, 2_000));
    let (it, again) = begun(it, "b", 3);
    assert_eq!(again, other_b);
    let it = it.after(made("b", 3, 3_000, json!(1))).after(made("f[0]", 2, 2_000, json!(1)));
    assert_ne!(begun(it, "last", 2).1, last, "it sees how the others ended");
}

#[test]
fn an_output_that_is_given_makes_another_request_of_what_is_behind_it() {
    let it = dies(flow(1, vec![optional(step("a", &[])), step("b", &["a"])]), "a", 1);
    let (it, key) = begun(it, "b", 1);
    let over = it.after(failed("b", 1, 1_000, FailureClass::Permanent));
    let it = over.after(skip_step("a", Some(json!("given"))));
    assert_ne!(begun(it, "b", 2).1, key);
}

#[test]
fn the_first_key_of_a_step_is_what_it_always_was() {
    let id: RunId = "00000000-0000-8003-8000-000000000001".parse().unwrap();
    assert_eq!(idempotency_key(id, "deliver"), idempotency_key_of(id, "deliver", 0));
    let derived = crate::ids::derive("effect", &[id.uuid().as_bytes(), b"deliver"]);
    assert_eq!(idempotency_key(id, "deliver"), derived.to_string());
    assert_ne!(idempotency_key_of(id, "deliver", 1), idempotency_key_of(id, "deliver", 2));
}

#[test]
fn a_paused_run_starts_nothing_and_misses_nothing() {
    let it = flow(2, vec![step("a", &[]), step("b", &[]), step("c", &["a"]), does("s", &[], Action::Sleep { ms: 1 })]);
    let it = it.after(grant("a", 1, 1)).owes(&["attempt:a:1", "job:b:1", "timer:s:1"]);
    let paused = it.when(Command::Pause { by: by() }).then_facts(&["paused"]).owes(&["attempt:a:1", "timer:s:1"]);
    paused.clone().when(Command::Pause { by: by() }).then([]);
    paused.clone().when(grant("b", 1, 9)).then_rejected(is("b", "pending", "queued", 1));
    let paused = paused.after(Command::StepDue { step: "s".to_owned(), attempt: 1 });
    let waiting = paused.clone().after(failed("a", 1, 1, FailureClass::Transient)).owes(&[]);
    waiting.clone().when(retry("a", 2)).then([]);
    let resume = Command::Resume { by: by() };
    let resumed = waiting.at(9).when(resume.clone()).then_facts(&["resumed", "step_queued", "step_queued"]);
    resumed.owes(&["job:a:2", "job:b:1"]).when(resume.clone()).then([]);
    let done = paused.after(done("a", 1, 1)).owes(&[]);
    assert_eq!((done.status("c"), done.status("s")), ("pending", "completed"));
    done.after(resume).owes(&["job:b:1", "job:c:1"]);
    let lost = chain().after(grant("a", 1, 1)).after(Command::Pause { by: by() }).after(expire("a", 1, 1)).owes(&[]);
    lost.after(Command::Resume { by: by() }).owes(&["job:a:2"]);
}

#[test]
fn a_retry_that_comes_due_in_a_pause_comes_though_the_clock_went_back() {
    let (pause, resume) = (Command::Pause { by: by() }, Command::Resume { by: by() });
    let later = Command::RetryStep { step: "b".to_owned(), modifications: None, delay_ms: 5_000, past: None, by: by() };
    let it = flow(2, vec![step("a", &[]), optional(step("b", &[]))]).at(10).after(grant("a", 1, 1));
    let it = dies(it.after(failed("a", 1, 1, FailureClass::Transient)), "b", 1).after(later);
    let it = it.owes(&["retry:a:2", "retry:b:reset1"]);
    // One of them was told already when the run was paused, and nothing came of it.
    let mut paused = it.clone();
    paused.ledger.tell("retry:a:2");
    let paused = paused.after(pause.clone()).owes(&[]).at(20).after(retry("a", 2));
    let it = paused.at(11).when(resume.clone()).then_facts(&["resumed"]);
    let it = it.owes(&["retry:a:2:resumed1", "retry:b:reset1:resumed1"]);
    assert_eq!(
        (it.ledger.open["retry:a:2:resumed1"].due_at, it.ledger.open["retry:b:reset1:resumed1"].due_at),
        (at(12), at(15))
    );
    let it = it.after(pause).after(resume).owes(&["retry:a:2:resumed2", "retry:b:reset1:resumed2"]);
    let it = it.at(11).after(retry("a", 2)).owes(&["job:a:2", "retry:b:reset1:resumed2"]);
    it.after(retry("b", 2)).owes(&["job:a:2", "job:b:2"]);
}

#[test]
fn a_run_of_a_deliverable_that_is_over_stays_over() {
    let over = chain().after(grant("a", 1, 1)).after(failed("a", 1, 1, FailureClass::Permanent));
    let failed = || Rejection::Over { end: "failed".to_owned() };
    for command in [retry_step("a"), skip_step("a", None), rerun(None)] {
        over.clone().when(command).then_rejected(failed());
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let cancelled = flow(1, steps()).after(cancel());
    cancelled.when(retry_step("a")).then_rejected(Rejection::Over { end: "cancelled".to_owned() });
    flow(1, steps()).when(rerun(None)).then_rejected(Rejection::NotOver);
    flow(1, steps()).when(retry_step("b")).then_rejected(is("b", "pending", "dead", 0));
    failed_run().when(rerun(Some("x"))).then_rejected(Rejection::NoSuchStep { step: "x".to_owned() });
    // The last steps go already, and count on what the main part came to.
    let ending =
        goes(dies(goes(goes(flow(2, steps()), "a", 1, json!(1)), "d", 1, json!(1)), "b", 1), "last", 1, json!(1));
    assert_eq!(ending.end().as_str(), "failed");
    let ending = dies(goes(goes(flow(2, steps()), "a", 1, json!(1)), "d", 1, json!(1)), "b", 1).owes(&["job:last:1"]);
    ending.clone().when(retry_step("b")).then_rejected(Rejection::NotOver);
    ending.when(skip_step("b", None)).then_rejected(Rejection::NotOver);
}

#[test]
fn an_end_after_a_run_was_opened_again_is_told_under_another_key() {
    let parent = crate::deliverable::produce_run_id(the_deliverable(), crate::testing::uuid(2)).stream();
    let created =
        Created { reply_to: Some(parent), for_step: Some(("s".to_owned(), 1)), ..*asked_for(1, vec![step("a", &[])]) };
    let it =
        dies(given::<RunDecider>(id().stream(), []).after(Command::Create(Box::new(created))), "a", 1).owes(&["ended"]);
    goes(it.after(retry_step("a")), "a", 2, json!(1)).owes(&["ended", "ended:1"]);
}

fn with_attempts(most: u32, step: StepPlan) -> StepPlan {
    StepPlan { retry: RetryPolicy { attempts_max: most, ..step.retry.clone() }, ..step }
}

#[test]
fn a_dead_letter_has_one_more_attempt_or_all_of_them_again() {
    let fails = |it: Runs, attempt| {
        let it = it.after(grant("a", attempt, u64::from(attempt)));
        it.after(failed("a", attempt, u64::from(attempt), FailureClass::Transient))
    };
    let dead = fails(fails(flow(1, vec![with_attempts(2, step("a", &[]))]), 1).at(60).after(retry("a", 2)), 2);
    assert_eq!((dead.status("a"), dead.end().as_str()), ("dead", "failed"));
    let once =
        dead.clone().when(dead_letter("a", DeadVerb::Retry)).then_facts(&["reopened", "step_reset", "step_queued"]);
    assert_eq!(fails(once, 3).status("a"), "dead", "one more, and no other");
    let anew = fails(dead.after(dead_letter("a", DeadVerb::Reset)), 3);
    assert_eq!(anew.status("a"), "failed", "it waits for the second");
    let over = fails(anew.at(120).after(retry("a", 4)), 4);
    assert_eq!(over.status("a"), "dead");
    // A reset behind a retry counts.
    let again = fails(over.after(dead_letter("a", DeadVerb::Retry)), 5).after(dead_letter("a", DeadVerb::Reset));
    assert_eq!(fails(again, 6).status("a"), "failed");
}

#[test]
fn a_dead_letter_that_was_discarded_comes_back_by_a_rerun_only() {
    let over = failed_run();
    let it = over.when(dead_letter("b", DeadVerb::Discard)).then_facts(&["step_discarded"]).owes(&[]);
    assert_eq!((it.status("b"), it.end().as_str()), ("dead", "failed"), "the run stays as it is");
    let discarded = Rejection::Discarded { step: "b".to_owned(), by: by() };
    for verb in DeadVerb::ALL {
        it.clone().when(dead_letter("b", verb)).then_rejected(discarded.clone());
    }
    it.clone().when(retry_step("b")).then_rejected(discarded.clone());
    it.clone().when(skip_step("b", None)).then_rejected(discarded.clone());
    it.clone().when(retry_step("c")).then_rejected(discarded);
    let it = it.after(rerun(Some("b"))).owes(&["job:b:2"]);
    assert_eq!(dies(it, "b", 2).when(dead_letter("b", DeadVerb::Discard)).events().len(), 1, "it can be dead again");
}

#[test]
fn a_dead_letter_is_the_one_that_was_looked_at() {
    let seen = |verb, attempt| Command::DeadLetter { step: "a".to_owned(), attempt: Some(attempt), verb, by: by() };
    let two = flow(2, vec![step("a", &[]), step("b", &[])]).after(grant("a", 1, 1)).after(grant("b", 1, 2));
    let two = two.after(failed("a", 1, 1, FailureClass::Permanent)).after(failed("b", 1, 2, FailureClass::Permanent));
    // By the other letter of the run it is done again already: that is what was asked for.
    let going = two.after(dead_letter("b", DeadVerb::Reset)).owes(&["job:a:2", "job:b:2"]);
    going.clone().when(seen(DeadVerb::Retry, 1)).then([]);
    going.clone().when(seen(DeadVerb::Reset, 1)).then([]);
    assert_eq!(word(&going.clone().when(seen(DeadVerb::Discard, 1)).result.unwrap_err()), "step_is");
    // It died once more since: whoever looked at the first death does not know of it.
    let dead_again = dies(going.after(grant("b", 2, 3)).after(done("b", 2, 3)), "a", 2);
    assert_eq!(word(&dead_again.clone().when(seen(DeadVerb::Retry, 1)).result.unwrap_err()), "step_is");
    assert_eq!(dead_again.when(seen(DeadVerb::Discard, 2)).events().len(), 1);
}

#[test]
fn a_run_that_is_over_is_not_cancelled() {
    let end = |end: &str| Rejection::Over { end: end.to_owned() };
    failed_run().when(cancel()).then_rejected(end("failed"));
    goes(flow(1, vec![step("a", &[])]), "a", 1, json!(1)).when(cancel()).then_rejected(end("completed"));
    flow(1, vec![step("a", &[])]).after(cancel()).when(cancel()).then([]);
}

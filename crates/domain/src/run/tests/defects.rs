//! The defects of the systems that came before, each as the promise that it is not here. The numbers are those of the
//! requirements: system and defect.

use super::*;

/// 4.7-1: nothing ever enqueued dependent steps, and a run with one of three steps done was a success.
#[test]
fn defect_4_7_1_dependent_steps_run() {
    let it = flow(9, vec![step("a", &[]), step("b", &["a"]), step("c", &["b"])]).owes(&["job:a:1"]);
    let it = goes(it, "a", 1, json!(1)).owes(&["job:b:1"]);
    let it = goes(it, "b", 1, json!(1)).owes(&["job:c:1"]);
    assert_eq!(goes(it, "c", 1, json!(1)).end().as_str(), "completed");
}

/// 4.7-2: leases ended and nobody took them back; a worker that died held its job for ever.
#[test]
fn defect_4_7_2_a_lease_that_ends_gives_its_step_back() {
    let it = flow(1, vec![step("a", &[])]).after(grant("a", 1, 1));
    assert_eq!(it.status("a"), "running");
    let it = it.when(expire("a", 1, 1)).then_facts(&["lease_expired", "step_queued"]);
    let it = it.after(grant("a", 2, 2));
    it.clone().when(done("a", 1, 1)).then_facts(&["stale_result"]);
    assert_eq!(it.after(done("a", 2, 2)).end().as_str(), "completed");
}

/// 4.7-3: a batch that was done in turn took longer than its leases, and all of it was done twice.
#[test]
fn defect_4_7_3_steps_hold_leases_of_their_own() {
    let it = flow(2, vec![step("a", &[]), step("b", &[])]).after(grant("a", 1, 1)).after(grant("b", 1, 2));
    let it = it.after(expire("a", 1, 1));
    assert_eq!((it.status("a"), it.status("b")), ("queued", "running"));
    it.when(done("b", 1, 2)).then_facts(&["attempt_succeeded"]);
}

/// 4.7-8: the run failed while a retry waited, and was running again after it.
#[test]
fn defect_4_7_8_a_run_does_not_fail_while_a_retry_waits() {
    let it = flow(1, vec![step("a", &[])]).after(grant("a", 1, 1));
    let it = it.when(failed("a", 1, 1, FailureClass::Transient)).then_facts(&["attempt_failed"]).after(retry("a", 2));
    assert!(matches!(it.state, State::Open(_)));
    assert_eq!(goes(it, "a", 2, json!(1)).end().as_str(), "completed");
}

/// 5.12-1: any definition with a dependency was refused as circular.
#[test]
fn defect_5_12_1_a_diamond_is_no_circle() {
    let it = flow(9, vec![step("top", &[]), step("l", &["top"]), step("r", &["top"]), step("end", &["l", "r"])]);
    let it = goes(it, "top", 1, json!(1)).owes(&["job:l:1", "job:r:1"]);
    let it = goes(goes(it, "r", 1, json!(1)).owes(&["job:l:1"]), "l", 1, json!(1));
    assert_eq!(goes(it.owes(&["job:end:1"]), "end", 1, json!(1)).end().as_str(), "completed");
}

/// 5.12-3: concurrent steps overwrote each other's outputs.
#[test]
fn defect_5_12_3_concurrent_steps_keep_their_outputs() {
    let names: Vec<String> = (0..8).map(|n| format!("s{n}")).collect();
    let mut it = flow(8, names.iter().map(|name| step(name, &[])).collect());
    for (nonce, name) in (1..=8).zip(&names) {
        it = it.after(grant(name, 1, nonce));
    }
    for (nonce, name) in (1..9_u8).zip(&names).rev() {
        it = it.after(made(name, 1, nonce.into(), json!({"by": name})));
    }
    assert!(names.iter().all(|name| it.value(name) == json!({"by": name})));
    let End::Completed { outputs } = it.end() else { panic!("{:?}", it.end()) };
    assert_eq!(outputs.len(), 8);
}

/// 5.12-5: `completed` was written when nothing could go, also while a delayed retry waited.
#[test]
fn defect_5_12_5_a_run_is_not_complete_while_a_retry_waits() {
    let it = flow(2, vec![step("a", &[]), step("b", &[])]).after(grant("a", 1, 1));
    let it = goes(it.after(failed("a", 1, 1, FailureClass::Transient)), "b", 1, json!(1)).owes(&["retry:a:2"]);
    assert!(matches!(it.state, State::Open(_)));
    assert_eq!(goes(it.after(retry("a", 2)), "a", 2, json!(1)).end().as_str(), "completed");
}

/// 5.12-5: a checkpoint behind the last step moved a completed run back, and it completed twice.
#[test]
fn defect_5_12_5_a_checkpoint_behind_the_last_step_keeps_the_run_open() {
    let it = goes(flow(1, vec![checked(step("a", &[]), question())]), "a", 1, json!(1));
    assert!(matches!(it.state, State::Open(_)));
    let it = it.when(says(answer("a", 1, ApprovalAction::Continue)));
    let it = it.then_facts(&["approval_decided", "step_completed", "completed"]);
    let completed = it.history.iter().filter(|(event, _)| matches!(event, Event::Completed { .. })).count();
    assert_eq!(completed, 1);
}

/// 5.12-5: `required: false` checkpoints blocked.
#[test]
fn defect_5_12_5_a_question_nobody_has_to_answer_holds_nothing_up() {
    let advisory = Checkpoint { advisory: true, ..question() };
    let it = flow(1, vec![checked(step("a", &[]), advisory), step("b", &["a"])]).after(grant("a", 1, 1));
    it.when(done("a", 1, 1)).then_facts(&["attempt_succeeded", "approval_requested", "step_queued"]);
}

/// 5.12-6: lists turned into JSON text, and `{{ parameters.x }}` was blanked.
#[test]
fn defect_5_12_6_parameters_keep_their_types() {
    let input =
        json!({"context": {"kpiNames": "{{ three }}", "n": "{{ parameters.n }}"}, "text": "{{ three }} of {{ n }}"});
    let it = flow(1, vec![does("a", &[], Action::Agent { agent: "w".to_owned(), mode: "BUILD".to_owned(), input })]);
    let Action::Agent { input, .. } = it.action("a") else { panic!("agent") };
    assert_eq!(input["context"], json!({"kpiNames": ["x", "y", "z"], "n": 3}));
    assert_eq!(input["text"], json!("[\"x\",\"y\",\"z\"] of 3"));
}

/// 5.12-7: a skip ignored `allow_skip` unless retries were configured.
#[test]
fn defect_5_12_7_a_step_that_may_not_be_skipped_is_not() {
    for attempts_max in [1, 3] {
        let no_skip = within(step("a", &[]), Flow { no_skip: true, ..Flow::default() });
        let it = flow(1, vec![StepPlan { retry: RetryPolicy { attempts_max, ..policy() }, ..no_skip }]);
        let no = || Rejection::NoSkip { step: "a".to_owned() };
        it.clone().when(skip_step("a", None)).then_rejected(no());
        dies(it, "a", 1).when(skip_step("a", None)).then_rejected(no());
    }
}

/// 5.12-8: abort stopped neither steps in flight nor children.
#[test]
fn defect_5_12_8_a_cancelled_run_stops_what_is_under_way() {
    let it = flow(9, vec![step("a", &[]), child("b", &[]), wait_for("c", &[], None), step("d", &["a"])]);
    let mut it = it.after(grant("a", 1, 1)).owes(&["attempt:a:1", "start:b:1", "subscribe:c:1"]);
    it.ledger.tell("start:b:1");
    it.ledger.tell("subscribe:c:1");
    let it = it.after(cancel()).owes(&["stop:b:1", "unsubscribe:c:1"]);
    assert_eq!(["a", "b", "c", "d"].map(|step| it.status(step)), ["skipped"; 4]);
    it.when(made("a", 1, 1, json!(1))).then_facts(&["stale_result"]);
}

/// 5.12-8: a failed child run could not be retried.
#[test]
fn defect_5_12_8_a_failed_child_can_be_retried() {
    let start = |it: &Runs, key: &str| match &it.ledger.open[key].duty {
        Duty::Tell { command, .. } => match &**command {
            crate::streams::AnyCommand::Definition(crate::definition::Command::Start(start)) => start.run,
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    };
    let mut it = flow(1, vec![once(child("a", &[]))]);
    let first = start(&it, "start:a:1");
    it.ledger.tell("start:a:1");
    let end = End::Failed { step: "x".to_owned(), failure: failure(FailureClass::Permanent) };
    let it = it.after(Command::ChildEnded { step: "a".to_owned(), attempt: 1, run: Some(first), end });
    assert_eq!(it.end().as_str(), "failed");
    let it = it.after(retry_step("a")).owes(&["start:a:2"]);
    let second = start(&it, "start:a:2");
    assert_ne!(first, second);
    let end = End::Completed { outputs: BTreeMap::new() };
    let it = it.after(Command::ChildEnded { step: "a".to_owned(), attempt: 2, run: Some(second), end });
    assert_eq!(it.end().as_str(), "completed");
}

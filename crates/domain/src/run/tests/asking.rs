//! Questions to people: approvals and checkpoints.

use super::*;
use crate::json::fingerprint;

use ApprovalAction::{Abort, Continue, Retry};

/// `a` with a question behind it, then `b`; `c` depends on nothing.
fn behind(checkpoint: Checkpoint) -> Runs {
    let steps = vec![checked(step("a", &[]), checkpoint), set("b", &["a"], json!("{{ steps.a }}")), step("c", &[])];
    goes(flow(1, steps), "a", 1, json!({"n": 1, "deep": {"x": 1}}))
}

fn timed(on_timeout: OnTimeout) -> Checkpoint {
    Checkpoint { timeout_ms: Some(9_000), on_timeout, ..question() }
}

fn asked(it: &Runs, step: &str) -> Approval {
    match &it.found(step).status {
        StepStatus::Asking { approval, .. } => (**approval).clone(),
        other => panic!("{step} is {other:?}"),
    }
}

#[test]
fn a_question_is_asked_behind_a_step_and_only_what_depends_on_it_waits() {
    let it = behind(question()).owes(&["job:c:1"]);
    let asked = asked(&it, "a");
    assert_eq!((asked.checkpoint.question.as_str(), asked.round, asked.deadline), ("go on with 3?", 1, None));
    assert_eq!((asked.payload.clone(), asked.digest), (json!({"n": 1, "deep": {"x": 1}}), fingerprint(&asked.payload)));
    assert_eq!((it.status("a"), it.status("b"), it.status("c")), ("checkpoint", "pending", "queued"));
}

#[test]
fn each_answer_does_what_it_says() {
    let facts = |action| behind(question()).when(says(answer("a", 1, action)));
    let it = facts(Continue).then_facts(&["approval_decided", "step_completed", "step_completed"]);
    assert_eq!(it.value("b"), json!({"n": 1, "deep": {"x": 1}}));
    let it = facts(Retry).then_facts(&["approval_decided", "step_reset"]);
    let it = goes(goes(it, "c", 1, json!(1)), "a", 2, json!(5));
    assert_eq!((asked(&it, "a").round, asked(&it, "a").payload), (2, json!(5)));
    let it =
        facts(Abort).then_facts(&["approval_decided", "step_skipped", "step_skipped", "step_skipped", "cancelled"]);
    assert_eq!(*it.end(), End::Cancelled { reason: "aborted by p".to_owned() });
    let it = behind(question()).after(says(Answer { note: Some("no good".to_owned()), ..answer("a", 1, Abort) }));
    assert_eq!(*it.end(), End::Cancelled { reason: "aborted by p: no good".to_owned() });
}

#[test]
fn changes_are_laid_over_the_value_or_over_the_input() {
    let with = |action, changes: Json| Answer { modifications: Some(changes), ..answer("a", 1, action) };
    let it = behind(question()).after(says(with(Continue, json!({"deep": {"x": 2}}))));
    assert_eq!(it.value("b"), json!({"n": 1, "deep": {"x": 2}}));
    let body = Action::Agent {
        agent: "w".to_owned(),
        mode: "BUILD".to_owned(),
        input: json!({"p": {"by": "{{ n }}", "q": 1}}),
    };
    let it = goes(flow(1, vec![checked(does("a", &[], body), question())]), "a", 1, json!(1));
    let it = it.after(says(with(Retry, json!({"p": {"by": "week"}}))));
    let Action::Agent { input, .. } = it.action("a") else { panic!("agent") };
    assert_eq!(input, json!({"p": {"by": "week", "q": 1}}));
}

#[test]
fn a_question_is_decided_once() {
    let decided = behind(question()).after(says(answer("a", 1, Continue)));
    decided.clone().when(says(answer("a", 1, Continue))).then([]);
    let too_late = |answer| {
        let (approval, action) = (ApprovalId::of(id(), "a", 1), "approved".to_owned());
        decided.clone().when(says(answer)).then_rejected(Rejection::Decided { approval, action, by: "p".to_owned() });
    };
    too_late(answer("a", 1, Abort));
    too_late(Answer { by: "q".to_owned(), ..answer("a", 1, Continue) });
    // The same holds when the run is over.
    let over = goes(decided.clone(), "c", 1, json!(1));
    over.clone().when(says(answer("a", 1, Continue))).then([]);
    over.when(says(answer("b", 1, Continue))).then_rejected(Rejection::Over { end: "completed".to_owned() });
    decided
        .when(says(answer("b", 1, Continue)))
        .then_rejected(Rejection::NoSuchApproval { approval: ApprovalId::of(id(), "b", 1) });
}

#[test]
fn an_answer_to_another_payload_or_that_is_no_option_is_void() {
    let it = behind(question());
    let (approval, current) = (ApprovalId::of(id(), "a", 1), asked(&it, "a").digest);
    let seen = fingerprint(&json!("something else"));
    let about = |digest: &crate::content::Digest| Answer { digest: Some(digest.clone()), ..answer("a", 1, Continue) };
    let void = Rejection::AnotherPayload { approval, current: current.clone(), seen: seen.clone() };
    it.clone().when(says(about(&seen))).then_rejected(void);
    it.clone().after(says(about(&current)));
    let no = |it: Runs, answer: Answer, what: &str, allowed: &str| {
        let (what, allowed) = (what.to_owned(), allowed.to_owned());
        it.when(says(answer)).then_rejected(Rejection::NotAnOption { approval, what, allowed });
    };
    let changed = Answer { modifications: Some(json!({"n": 2})), ..answer("a", 1, Abort) };
    no(it, changed, "modifications with \"abort\"", "continue, retry, abort");
    let only = Checkpoint { options: question().options[..1].to_vec(), ..question() };
    no(behind(only), answer("a", 1, Retry), "\"retry\"", "continue");
}

#[test]
fn a_deadline_aborts_approves_or_asks_somebody_else() {
    let due = Command::AnswerDue { step: "a".to_owned(), approval: ApprovalId::of(id(), "a", 1) };
    let late = |on_timeout| behind(timed(on_timeout)).owes(&["job:c:1", "timer:a:ask1"]).at(9).when(due.clone());
    let aborted = late(OnTimeout::Abort).after;
    assert_eq!(*aborted.end(), End::Cancelled { reason: "aborted by deadline: nobody answered in time".to_owned() });
    let approved = late(OnTimeout::Approve).then_facts(&["approval_decided", "step_completed", "step_completed"]);
    approved.owes(&["job:c:1"]).when(due.clone()).then([]);
    let escalated = late(OnTimeout::Escalate { to: "boss".to_owned() }).then_facts(&["approval_escalated"]);
    let escalated = escalated.owes(&["job:c:1"]);
    let now_asked = asked(&escalated, "a");
    assert_eq!((now_asked.checkpoint.assignee.as_deref(), now_asked.deadline), (Some("boss"), None));
    escalated.clone().when(due).then([]);
    escalated.after(says(answer("a", 1, Continue)));
}

#[test]
fn an_answer_in_time_takes_the_deadline_away() {
    behind(timed(OnTimeout::Abort)).after(says(answer("a", 1, Continue))).owes(&["job:c:1"]);
    behind(timed(OnTimeout::Abort)).after(cancel()).owes(&[]);
}

#[test]
fn a_step_that_is_a_question_makes_what_was_approved() {
    let approval =
        |checkpoint| Action::Approval { checkpoint: Box::new(checkpoint), payload: json!({"sum": "{{ n }}"}) };
    let it = flow(1, vec![does("a", &[], approval(question())), set("b", &["a"], json!("{{ steps.a }}"))]);
    let changed = Answer { modifications: Some(json!({"note": "ok"})), ..answer("a", 1, Continue) };
    let it = it.owes(&[]).when(says(changed)).then_facts(&[
        "approval_decided",
        "step_completed",
        "step_completed",
        "completed",
    ]);
    assert_eq!(it.value("b"), json!({"sum": 3, "note": "ok"}));
    let it = flow(1, vec![does("a", &[], approval(question()))]);
    let again = it.when(says(Answer { modifications: Some(json!({"sum": 4})), ..answer("a", 1, Retry) }));
    let again = again.then_facts(&["approval_decided", "step_reset", "approval_requested"]);
    assert_eq!((asked(&again, "a").round, asked(&again, "a").payload), (2, json!({"sum": 4})));
    let advisory = Checkpoint { advisory: true, ..question() };
    assert_eq!(flow(1, vec![does("a", &[], approval(advisory))]).end().as_str(), "completed");
}

#[test]
fn a_question_that_nobody_has_to_answer_may_still_be_answered() {
    let it = behind(Checkpoint { advisory: true, ..timed(OnTimeout::Abort) }).owes(&["job:c:1"]);
    assert_eq!(it.status("b"), "completed");
    let State::Open(Run { advisory, .. }) = &it.state else { panic!("{:?}", it.state) };
    assert!(advisory.values().all(|noted| noted.approval.deadline.is_none()), "nobody is waited for");
    let noted = it.clone().when(says(answer("a", 1, Continue))).then_facts(&["approval_decided"]);
    noted.when(says(answer("a", 1, Continue))).then([]);
    let (approval, what, allowed) =
        (ApprovalId::of(id(), "a", 1), "\"retry\"".to_owned(), "continue, abort".to_owned());
    let no = Rejection::NotAnOption { approval, what, allowed };
    it.clone().when(says(answer("a", 1, Retry))).then_rejected(no);
    assert_eq!(it.after(says(answer("a", 1, Abort))).end().as_str(), "cancelled");
}

#[test]
fn a_question_behind_a_list_is_about_all_of_it_and_its_retry_does_all_of_it_again() {
    let it = flow(2, vec![for_each(checked(step("f", &[]), question()), "{{ two }}")]);
    let it = goes(goes(it, "f[0]", 1, json!(1)), "f[1]", 1, json!(2));
    assert_eq!(asked(&it, "f").payload, json!([1, 2]));
    let it = it.after(says(answer("f", 1, Retry))).owes(&["job:f[0]:2", "job:f[1]:2"]);
    let it = goes(goes(it, "f[0]", 2, json!(3)), "f[1]", 2, json!(4));
    let it = it.after(says(answer("f", 2, Continue)));
    assert_eq!((it.value("f"), it.end().as_str()), (json!([3, 4]), "completed"));
}

#[test]
fn a_question_is_void_when_the_run_fails_meanwhile() {
    let it = dies(behind(timed(OnTimeout::Abort)), "c", 1).owes(&[]);
    assert_eq!((it.why("a"), it.end().as_str()), ("step \"c\" is dead", "failed"));
    it.when(says(answer("a", 1, Continue))).then_rejected(Rejection::Over { end: "failed".to_owned() });
}

//! Decider tables of review, governance and delivery.

use super::*;

#[test]
fn governance_decides_who_has_to_agree() {
    let full = producing(governed(Governance::FullAuto)).when(produced(slot(1)));
    let full = full.then_facts(&["version_staged", "version_approved", "delivery_requested"]);
    let full = full.when(arrived(1, 1)).then_facts(&["delivered", "notice_raised"]);
    assert_eq!(status(&full, 1), "delivered");
    let nowhere = Order { destination: None, ..governed(Governance::FullAuto) };
    let nowhere = producing(nowhere).when(produced(slot(1)));
    nowhere.then_facts(&["version_staged", "version_approved", "delivered", "notice_raised"]);
    let semi = staged(governed(Governance::SemiAuto)).owes(&["window:1"]);
    let semi = semi.at(H + 600).when(Command::WindowElapsed { number: 1 });
    semi.then_facts(&["version_approved", "delivery_requested"]).when(Command::WindowElapsed { number: 1 }).then([]);
    staged(order()).owes(&[]).when(Command::WindowElapsed { number: 1 }).then([]);
}

#[test]
fn a_window_closes_when_somebody_touches_the_version() {
    let draft = text("the draft");
    for touch in [start_review(1), edit(1, &draft, "better"), approve(1, None), reject(1)] {
        let touched = delivered(staged(governed(Governance::SemiAuto)).after(touch.clone())).owes(&[]);
        touched.when(Command::WindowElapsed { number: 1 }).then([]);
    }
    // An order that asks for agreement now does not take silence for it.
    let revised = staged(governed(Governance::SemiAuto)).after(revise(governed(Governance::Manual))).owes(&[]);
    revised.when(Command::WindowElapsed { number: 1 }).then([]);
}

#[test]
fn edits_and_approvals_name_the_text_they_mean() {
    let (draft, better) = (text("the draft"), text("better"));
    let other = |named: &Text, actual: &Text| Rejection::OtherText {
        number: 1,
        named: named.digest.clone(),
        actual: actual.digest.clone(),
    };
    let it = staged(order());
    it.clone().when(approve(1, Some(better.digest.clone()))).then_rejected(other(&better, &draft));
    it.clone().when(edit(1, &better, "x")).then_rejected(other(&better, &draft));
    let edited = it.when(edit(1, &draft, "better")).then_facts(&["version_edited"]);
    edited.clone().when(approve(1, Some(draft.digest.clone()))).then_rejected(other(&draft, &better));
    edited.clone().when(edit(1, &draft, "y")).then_rejected(other(&draft, &better));
    let approved = edited.when(approve(1, Some(better.digest.clone())));
    let approved = approved.then_facts(&["version_approved", "delivery_requested"]);
    let sent = approved.ledger.with("run:");
    let Duty::Tell { command, .. } = &sent[0].duty else { panic!("tell") };
    let AnyCommand::Run(run::Command::Create(created)) = &**command else { panic!("create") };
    let run::Action::Deliver { text, .. } = &created.plan.steps[0].action else { panic!("deliver") };
    assert_eq!(text.digest, better.digest);
    // The content of a version that was agreed to or refused never changes.
    for verb in [edit(1, &better, "z"), reject(1), start_review(1), approve(1, None)] {
        assert!(matches!(approved.clone().when(verb).result, Err(Rejection::VersionIs { .. })));
    }
}

#[test]
fn two_versions_may_be_on_their_way_at_once() {
    let first = staged(order()).after(approve(1, None));
    let second = delivered(first).at(2 * H).after(due(2)).after(assessed(slot(2), 1)).after(produced(slot(2)));
    let both = delivered(second).after(approve(2, None));
    let run = follow_up_run_id(the_deliverable(), "deliver", 2, 1);
    both.clone().when(deliver(2)).then_rejected(Rejection::BeingDelivered { number: 2, run });
    let one = both.after(arrived(2, 1));
    assert_eq!((status(&one, 1), status(&one, 2)), ("approved", "delivered"));
    let all = one.after(arrived(1, 1));
    assert_eq!((status(&all, 1), status(&all, 2)), ("delivered", "delivered"));
    all.clone()
        .when(arrived(1, 1))
        .then_rejected(Rejection::OtherRun { run: follow_up_run_id(the_deliverable(), "deliver", 1, 1) });
    // Once more, as a delivery of its own.
    let again = delivered(all).when(deliver(1)).then_facts(&["delivery_requested"]);
    again.when(arrived(1, 2)).then_facts(&["delivered", "notice_raised"]);
}

#[test]
fn a_failed_delivery_can_be_sent_again() {
    let failure = Failure::new(FailureClass::Permanent, "refused");
    let run = follow_up_run_id(the_deliverable(), "deliver", 1, 1);
    let end = End::Failed { step: "deliver".to_owned(), failure };
    let failed = delivered(staged(order()).after(approve(1, None))).when(Command::RunEnded { run, end });
    let failed = failed.then_facts(&["delivery_failed", "notice_raised"]);
    assert_eq!((status(&failed, 1), &version(&failed, 1).delivery), ("approved", &Delivery::Failed {}));
    failed.after(deliver(1)).when(arrived(1, 2)).then_facts(&["delivered", "notice_raised"]);
    let nowhere = staged(order()).after(approve(1, None)).after(arrived(1, 1));
    let nowhere = nowhere.after(revise(Order { destination: None, ..order() }));
    nowhere.when(deliver(1)).then_rejected(Rejection::NoDestination);
}

#[test]
fn a_notice_is_mailed_once() {
    let it = staged(Order { notify: vec!["ann@example.org".to_owned()], ..order() });
    let run = follow_up_run_id(the_deliverable(), "notify", 1, 1);
    let sent = Command::RunEnded { run, end: receipt_end("notify") };
    let told = it.when(sent.clone()).then_facts(&["notice_sent"]);
    told.when(sent).then_rejected(Rejection::OtherRun { run });
}

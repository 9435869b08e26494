//! Messages to webhooks: which event is which, what they say, and that each has one end.

use super::*;

const CONFIGURED: Receiver = Receiver::Configured {};

fn telling(reports: Reports, steps: Vec<StepPlan>) -> Runs {
    let created = Created { reports, ..*asked_for(1, steps) };
    given(id().stream(), []).after(Command::Create(Box::new(created)))
}

fn both() -> Reports {
    Reports { progress: Some(CONFIGURED), checkpoint: Some(CONFIGURED), events: vec![] }
}

fn owed(it: &Runs) -> Vec<Report> {
    let reports = it.ledger.with("report:").into_iter().map(|open| match &open.duty {
        Duty::Report { report } => (**report).clone(),
        other => panic!("{other:?}"),
    });
    reports.collect()
}

fn names(it: &Runs) -> Vec<String> {
    let name = |report: &Report| report.event.strip_prefix("orchestration.").unwrap().to_owned();
    owed(it).iter().map(name).collect()
}

fn end(report: &Report, failure: Option<Failure>) -> Command {
    let Report { version, part, event, .. } = report;
    Command::EndReport { version: *version, part: *part, event: event.clone(), attempts: 2, failure }
}

fn two() -> Runs {
    let it = telling(both(), vec![step("a", &[]), step("b", &["a"])]);
    goes(goes(it, "a", 1, json!(1)), "b", 1, json!(2))
}

#[test]
fn a_run_tells_what_happens_in_the_words_of_the_seed() {
    let it = two();
    let expected = [
        "run.created",
        "step.queued",
        "run.updated",
        "step.running",
        "run.updated",
        "step.completed",
        "run.updated",
        "step.queued",
        "step.running",
        "run.updated",
        "step.completed",
        "run.updated",
        "run.completed",
    ];
    assert_eq!(names(&it), expected);
    let all = owed(&it);
    let completed = &all[5].body;
    assert_eq!(
        (completed["event"].as_str(), &completed["runId"]),
        (Some("orchestration.step.completed"), &json!(id()))
    );
    let data = &completed["data"];
    assert_eq!(data["run"]["stats"], json!({"totalSteps": 2, "completedSteps": 1, "progressPercentage": 50}));
    assert_eq!((data["run"]["status"].as_str(), &data["run"]["id"]), (Some("running"), &json!(id())));
    assert_eq!(data["payload"]["step"], json!({"id": "a", "index": 0, "type": "validate", "status": "completed"}));
    assert_eq!(data["payload"]["nextSteps"], json!([{"id": "b"}]));
    let reasons: Vec<&str> = all.iter().filter_map(|told| told.body["data"]["payload"]["reason"].as_str()).collect();
    assert_eq!(reasons, ["execution_started", "step_running", "step_completed", "step_running", "step_completed"]);
    // Versions are those of the stream, and with the parts they only go up.
    let places: Vec<(u64, u32)> = all.iter().map(|told| (told.version, told.part)).collect();
    assert!(places.is_sorted_by(|a, b| a < b) && places[0] == (1, 0), "{places:?}");
    assert_eq!(places.last().unwrap().0, it.history.len() as u64);
    for told in &all {
        assert_eq!(
            (&told.body["data"]["version"], &told.body["data"]["part"]),
            (&json!(told.version), &json!(told.part))
        );
    }
    let ids: std::collections::BTreeSet<String> = all.iter().map(|told| told.id(id())).collect();
    assert_eq!(ids.len(), all.len());
}

#[test]
fn each_message_has_one_end_also_when_the_run_is_over() {
    let it = two();
    let all = owed(&it);
    let it = it.when(end(&all[3], None)).then_facts(&["reported"]);
    let it = it.when(end(&all[3], None)).then([]);
    let it = it.when(end(&all[4], Some(failure(FailureClass::Permanent)))).then_facts(&["report_given_up"]);
    let it = it.when(end(&all[4], None)).then([]);
    assert_eq!(owed(&it).len(), all.len() - 2);
    let it = all.iter().fold(it, |it, told| it.after(end(told, None))).owes(&[]);
    assert!(it.state.run().unwrap().owing.is_empty());
}

#[test]
fn a_message_that_was_given_up_is_sent_anew_as_it_was() {
    let it = two();
    let all = owed(&it);
    let lost = all[4].clone();
    let why = || Some(failure(FailureClass::Permanent));
    let it = all.iter().fold(it, |it, told| it.after(end(told, (*told == lost).then(why).flatten()))).owes(&[]);
    let places =
        |it: &Runs| it.state.run().unwrap().given_up.iter().map(|it| (it.version, it.part)).collect::<Vec<_>>();
    assert_eq!(places(&it), [(lost.version, lost.part)]);
    assert_eq!(
        reports_of(id().stream(), &it.history, &places(&it)),
        std::slice::from_ref(&lost),
        "it is found in the history"
    );

    let resend = |report: &Report| Command::ResendReports { reports: vec![report.clone(), report.clone()], by: by() };
    let taken = &all[3];
    let no = Rejection::NoSuchReport { version: taken.version, part: taken.part };
    it.clone().when(resend(taken)).then_rejected(no);
    let it = it.when(resend(&lost)).then_facts(&["report_resent"]);
    let first = it.ledger.with("report:")[0].key.clone();
    assert_eq!((owed(&it), places(&it)), (vec![lost.clone()], vec![]));
    it.clone().when(resend(&lost)).then([]);
    // It may be given up again, under a key of its own each time: ends are told under the key.
    let it = it.after(end(&lost, why())).owes(&[]);
    let it = it.after(resend(&lost));
    assert_ne!(it.ledger.with("report:")[0].key, first);
    let it = it.after(end(&lost, None)).owes(&[]);
    assert!(it.state.run().unwrap().owing.is_empty() && places(&it).is_empty());
}

#[test]
fn questions_go_to_the_other_webhook_and_a_checked_step_is_complete_once() {
    let it = telling(both(), vec![checked(step("a", &[]), question())]);
    let it = goes(it, "a", 1, json!(1)).after(says(answer("a", 1, ApprovalAction::Continue)));
    let all = owed(&it);
    let asked: Vec<&Report> = all.iter().filter(|told| told.hook == Hook::Checkpoint).collect();
    let words: Vec<&str> = asked.iter().map(|told| told.event.as_str()).collect();
    assert_eq!(words, ["orchestration.checkpoint.requested", "orchestration.checkpoint.resolved"]);
    let data = &asked[0].body["data"];
    assert_eq!(
        (data["event"].as_str(), &data["runId"], data["checkpointId"].as_str()),
        (Some("orchestration.checkpoint.requested"), &json!(id()), Some("a-checkpoint"))
    );
    assert_eq!((data["step"]["id"].as_str(), data["options"].as_array().map(Vec::len)), (Some("a"), Some(3)));
    assert_eq!(asked[1].body["data"]["decision"], "continue");
    let count = |name: &str| names(&it).iter().filter(|told| *told == name).count();
    assert_eq!((count("step.completed"), count("run.completed")), (1, 1));
}

#[test]
fn only_what_is_wanted_is_owed_and_nothing_without_a_webhook() {
    let steps = || vec![step("a", &[])];
    let ends = Reports { events: vec!["orchestration.run.completed".to_owned()], ..both() };
    assert_eq!(names(&goes(telling(ends, steps()), "a", 1, json!(1))), ["run.completed"]);
    let questions = Reports { progress: None, ..both() };
    assert!(names(&goes(telling(questions, steps()), "a", 1, json!(1))).is_empty());
    goes(telling(Reports::default(), steps()), "a", 1, json!(1)).owes(&[]);
}

#[test]
fn a_message_is_tried_for_a_day_and_what_is_hopeless_a_few_times() {
    let day = 24 * 3_600 * 1_000;
    let wait = |class, attempt, age_ms| again_after_ms(&failure(class), attempt, age_ms);
    assert_eq!(
        (1..=4).map(|n| wait(FailureClass::Transient, n, 0)).collect::<Vec<_>>(),
        [1_000, 2_000, 4_000, 8_000].map(Some)
    );
    assert_eq!(wait(FailureClass::Timeout, 900, day - 1), Some(300_000));
    assert_eq!(wait(FailureClass::Timeout, 900, day), None);
    assert_eq!(
        (1..=3).map(|n| wait(FailureClass::Permanent, n, 0)).collect::<Vec<_>>(),
        [Some(1_000), Some(2_000), None]
    );
    let asks = Failure { retry_after_ms: Some(90_000), ..failure(FailureClass::RateLimited) };
    assert_eq!(again_after_ms(&asks, 1, 0), Some(90_000));
}

//! Questions to people that a skip or a changed input would pass over.

use super::*;

fn approval(checkpoint: Checkpoint) -> Action {
    Action::Approval { checkpoint: Box::new(checkpoint), payload: json!({"sum": 3}) }
}

fn child() -> Action {
    let (owner, name) = ("o".to_owned(), "w".to_owned());
    Action::Orchestration { owner, name, version: None, parameters: Json::Null }
}

fn skip_past(step: &str, output: Option<Json>, past: &[&str]) -> Command {
    let past = Some(past.iter().map(|step| (*step).to_owned()).collect());
    Command::SkipStep { step: step.to_owned(), output, by: by(), past }
}

fn retry_past(step: &str, modifications: Option<Json>, past: &[&str]) -> Command {
    let past = Some(past.iter().map(|step| (*step).to_owned()).collect());
    Command::RetryStep { step: step.to_owned(), modifications, delay_ms: 0, by: by(), past }
}

/// The command passes over these questions: it is refused without the last of them, and goes with all.
fn passes(it: &Runs, command: impl Fn(&[&str]) -> Command, step: &str, asks: &[&str]) {
    let found = passed_over(it.state.run().unwrap(), &command(&[]));
    assert_eq!(found.iter().map(|passed| passed.step.as_str()).collect::<Vec<_>>(), asks);
    it.clone().after(command(asks));
    if let Some((last, others)) = asks.split_last() {
        let (step, asks) = (step.to_owned(), (*last).to_owned());
        it.clone().when(command(others)).then_rejected(Rejection::PassesOver { step, asks });
    }
}

#[test]
fn a_skip_passes_over_the_question_of_the_step_and_open_ones_before_it() {
    let asks = || question();
    let plan = vec![
        does("approve", &[], approval(asks())),
        set("mid", &["approve"], json!(1)),
        step("deploy", &["mid"]),
        checked(step("checked", &[]), asks()),
        step("beside", &[]),
        does("noted", &[], approval(Checkpoint { advisory: true, ..asks() })),
        step("behind", &["noted"]),
        does("child", &[], child()),
        step("last", &["child", "checked"]),
    ];
    let it = flow(9, plan);
    let skip = |step: &'static str| move |past: &[&str]| skip_past(step, None, past);
    passes(&it, skip("approve"), "approve", &["approve"]);
    passes(&it, skip("mid"), "mid", &["approve"]);
    passes(&it, skip("deploy"), "deploy", &["approve"]);
    passes(&it, skip("checked"), "checked", &["checked"]);
    passes(&it, skip("beside"), "beside", &[]);
    passes(&it, skip("behind"), "behind", &[]);
    passes(&it, skip("child"), "child", &["child"]);
    passes(&it, skip("last"), "last", &["checked", "child"]);
    let it = goes(it, "checked", 1, json!(1));
    assert_eq!(it.status("checked"), "checkpoint");
    passes(&it, skip("checked"), "checked", &["checked"]);
    // Who was not held to questions before is not held to them now: the control door, and commands that were kept.
    it.after(skip_step("approve", None));
}

#[test]
fn behind_an_answer_what_was_approved_is_not_changed() {
    let it = flow(1, vec![does("approve", &[], approval(question())), step("deploy", &["approve"])]);
    let it = dies(it.after(says(answer("approve", 1, ApprovalAction::Continue))), "deploy", 1);
    passes(&it, |past| skip_past("deploy", None, past), "deploy", &[]);
    passes(&it, |past| skip_past("deploy", Some(Json::Null), past), "deploy", &[]);
    passes(&it, |past| skip_past("deploy", Some(json!(1)), past), "deploy", &["approve"]);
    passes(&it, |past| retry_past("deploy", None, past), "deploy", &[]);
    passes(&it, |past| retry_past("deploy", Some(json!({"x": 1})), past), "deploy", &["approve"]);
}

#[test]
fn a_question_names_whom_it_asks_and_instances_ask_each_for_itself() {
    let named = Checkpoint { assignee: Some("{{ item }}".to_owned()), group: Some("g".to_owned()), ..question() };
    let list = for_each(does("each", &[], approval(named)), "{{ steps.list }}");
    let list = StepPlan { depends_on: vec!["list".to_owned()], ..list };
    let it = flow(4, vec![step("list", &[]), list, step("end", &["each"])]);
    let whom = |it: &Runs, step: &str| -> Vec<(String, Option<String>)> {
        let passed = passed_over(it.state.run().unwrap(), &skip_step(step, None));
        passed.into_iter().map(|passed| (passed.step, passed.assignee)).collect()
    };
    let text = |text: &str| text.to_owned();
    assert_eq!(whom(&it, "each"), [(text("each"), Some(text("{{ item }}")))], "nobody is asked yet");
    let it = goes(it, "list", 1, json!(["ada", "bob"]));
    let both = [(text("each[0]"), Some(text("ada"))), (text("each[1]"), Some(text("bob")))];
    assert_eq!(whom(&it, "end"), both);
    assert_eq!(whom(&it, "each"), both);
    assert_eq!(whom(&it, "each[1]"), both[1..]);
    let it = it.after(says(answer("each[0]", 1, ApprovalAction::Continue)));
    assert_eq!(whom(&it, "end"), both[1..]);
}

//! Values that are kept outside of the events, handed on by what no worker does: other runs, questions, outputs of runs.

use super::*;
use crate::{
    content::{Digest, FailureClass},
    run::Kept,
};

fn kept() -> Kept {
    Kept { digest: Digest("d".to_owned()), bytes: 99 }
}

fn large() -> StepOutput {
    StepOutput::Value(Outcome::kept(kept()))
}

fn says(prompt: &str) -> Action {
    let prompt = prompt.to_owned();
    Action::Llm { system: None, prompt, model: None, max_tokens: None, json: false }
}

/// What a step says when the large value is brought to it.
fn said(it: &Runs, step: &str) -> String {
    let run = it.state.run().unwrap();
    assert_eq!(kept_needed(run, step), [kept().digest], "{step} needs it");
    let brought = BTreeMap::from([(kept().digest, json!({"t": "hello"}))]);
    match action_of(run, id(), step, &brought) {
        Some(Ok(Action::Llm { prompt, .. })) => prompt,
        other => panic!("{other:?}"),
    }
}

/// The run that `a` waits for has ended with these outputs.
fn child_gave(it: Runs, outputs: BTreeMap<String, Arc<StepOutput>>) -> Runs {
    it.after(Command::ChildEnded { step: "a".to_owned(), attempt: 1, run: None, end: End::Completed { outputs } })
}

fn outputs(pairs: &[(&str, StepOutput)]) -> BTreeMap<String, Arc<StepOutput>> {
    pairs.iter().map(|(name, output)| ((*name).to_owned(), Arc::new(output.clone()))).collect()
}

#[test]
fn what_another_run_gave_is_brought_from_where_it_is_kept() {
    let steps = vec![
        child("a", &[]),
        does("b", &["a"], says("{{ steps.a.results.x.t }} {{ steps.a.results.n }}")),
        set("small", &["a"], json!("{{ steps.a.results.n }}")),
        optional(set("looks", &["a"], json!("{{ steps.a.results }}"))),
        optional(when(step("asks", &["a"]), "steps.a.results.x.ok")),
        optional(when(step("goes", &["a"]), "steps.a.results.ok")),
    ];
    let small = |value| StepOutput::Value(Outcome::of(value));
    let given = outputs(&[("x", large()), ("n", small(json!(7))), ("ok", small(json!(true)))]);
    let it = child_gave(flow(9, steps), given);
    assert_eq!(it.value("a")["results"]["x"], kept().reference(), "people see where it is");
    assert_eq!(said(&it, "b"), "hello 7");
    assert_eq!((it.value("small"), it.status("goes")), (json!(7), "queued"), "what is beside it can be looked at");
    for dead in ["looks", "asks"] {
        assert!(it.why(dead).contains("too large to be kept in the run"), "{}", it.why(dead));
    }
}

#[test]
fn a_mapping_takes_a_large_value_with_it_and_does_not_look_into_it() {
    let mapped = |from: &str| {
        let mapping = BTreeMap::from([("big".to_owned(), json!([from])), ("is".to_owned(), json!("$.status"))]);
        let a = within(child("a", &[]), Flow { output_mapping: mapping, ..Flow::default() });
        child_gave(flow(9, vec![a, does("b", &["a"], says("{{ steps.a.big[0].t }}"))]), outputs(&[("x", large())]))
    };
    let it = mapped("$.results.x");
    assert_eq!((it.value("a")["is"].clone(), said(&it, "b")), (json!("completed"), "hello".to_owned()));
    let it = mapped("$.results.x.t").owes(&[]);
    assert!(it.why("a").contains("what step \"a\" makes needs $.results.x.t, which is too large"), "{}", it.why("a"));
}

#[test]
fn what_was_approved_is_brought_from_where_it_is_kept() {
    let approval =
        Action::Approval { checkpoint: Box::new(question()), payload: json!({"doc": "{{ steps.a }}", "n": 1}) };
    let steps = vec![step("a", &[]), does("ok", &["a"], approval), does("b", &["ok"], says("{{ steps.ok.doc.t }}"))];
    let it = flow(9, steps).after(grant("a", 1, 1)).after(finish("a", 1, 1, Ok(large())));
    let changed = Answer { modifications: Some(json!({"n": 2})), ..answer("ok", 1, ApprovalAction::Continue) };
    let no = it.clone().when(super::says(changed)).result.unwrap_err();
    assert!(no.to_string().contains("too large to be kept in the run"), "{no}");
    let it = it.after(super::says(answer("ok", 1, ApprovalAction::Continue)));
    assert_eq!((it.value("ok")["doc"].clone(), said(&it, "b")), (kept().reference(), "hello".to_owned()));
}

/// What was approved is large, and the mapping of the question looks into it.
pub(super) fn approved_and_not_mapped() -> Runs {
    let approval = Action::Approval { checkpoint: Box::new(question()), payload: json!({"doc": "{{ steps.a }}"}) };
    let mapping = BTreeMap::from([("t".to_owned(), json!("$.doc.t"))]);
    let asks = within(does("ok", &["a"], approval), Flow { output_mapping: mapping, ..Flow::default() });
    let it = flow(9, vec![step("a", &[]), asks]).after(grant("a", 1, 1)).after(finish("a", 1, 1, Ok(large())));
    it.after(super::says(answer("ok", 1, ApprovalAction::Continue)))
}

#[test]
fn what_was_approved_is_not_mapped_to_a_part_that_is_not_here() {
    let it = approved_and_not_mapped().owes(&[]);
    assert!(it.why("ok").contains("needs $.doc.t, which is too large"), "{}", it.why("ok"));
}

#[test]
fn what_a_run_gives_back_says_where_its_large_values_are() {
    let given = |output: Json| {
        let mut created = asked_for(2, vec![step("a", &[]), for_each(step("f", &[]), "{{ two }}")]);
        let output = (!output.is_null()).then_some(output);
        created.plan = Arc::new(Plan { output, ..(*created.plan).clone() });
        let it = given::<RunDecider>(id().stream(), []).after(Command::Create(created));
        let it = it.after(grant("a", 1, 1)).after(finish("a", 1, 1, Ok(large())));
        let it = goes(it, "f[0]", 1, json!(1)).after(grant("f[1]", 1, 1)).after(finish("f[1]", 1, 1, Ok(large())));
        it.end().clone()
    };
    let inside = |end: &End, name: &str| match end {
        End::Completed { outputs } => match &*outputs[name] {
            StepOutput::Value(Outcome { kept: Some(_), .. }) => vec!["".to_owned()],
            StepOutput::Value(outcome) => outcome.inside.keys().cloned().collect(),
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    };
    let all = given(Json::Null);
    assert_eq!((inside(&all, "a"), inside(&all, "f")), (vec![String::new()], vec!["/1".to_owned()]));
    let named =
        given(json!({"big/one": {"x": ["{{ steps.a }}"]}, "list": "{{ steps.f }}", "small": "{{ steps.f[0] }}"}));
    assert_eq!(inside(&named, "big/one"), ["/x/0"]);
    assert_eq!((inside(&named, "list"), inside(&named, "small")), (vec!["/1".to_owned()], vec![]));
    assert_eq!(inside(&given(json!("{{ steps.a }}")), "output"), [""]);
    for into in ["{{ steps.a.t }}", "it is {{ steps.a }}", "{{ steps.f[1][0] }}"] {
        let End::Failed { step, failure } = given(json!({"x": into})) else { panic!("{into}") };
        assert_eq!((step.as_str(), failure.class), ("output", FailureClass::Permanent));
        assert!(failure.message.contains("which is too large to be kept in the run"), "{}", failure.message);
    }
}

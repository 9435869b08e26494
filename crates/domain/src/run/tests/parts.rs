//! Conditions, parts of a run, what templates see, and what a run gives back.

use super::*;
use crate::{content::Digest, run::Kept};

#[test]
fn a_condition_that_does_not_hold_skips_the_step_and_what_depends_on_it_goes_on() {
    let it = flow(1, vec![when(step("a", &[]), "parameters.no"), set("b", &["a"], json!({"a": "{{ steps.a }}"}))]);
    assert_eq!(it.why("a"), "the condition \"parameters.no\" does not hold");
    assert_eq!(it.value("b"), json!({"a": null}));
    assert_eq!(it.end().as_str(), "completed");
    flow(1, vec![when(step("a", &[]), "parameters.yes")]).owes(&["job:a:1"]);
}

#[test]
fn a_condition_that_cannot_be_answered_kills_the_step_and_says_which() {
    let it = flow(1, vec![when(step("a", &[]), "steps.b.c"), step("b", &["a"])]);
    assert_eq!(
        it.why("a"),
        "the condition \"steps.b.c\" of step \"a\" cannot be answered: steps.b.c is neither true nor false"
    );
    assert_eq!((it.why("b"), it.end().as_str()), ("step \"a\" is dead", "failed"));
    // Where nobody answers conditions, they are not taken for true.
    let it = flow(1, vec![optional(when(step("a", &[]), "parameters.n")), set("b", &["a"], json!(1))]);
    assert_eq!((it.status("a"), it.end().as_str()), ("dead", "completed"));
}

/// A step goes in each part, and one depends on another within the part.
fn in_parts() -> Runs {
    flow(
        1,
        vec![
            once(step("main", &[])),
            in_part(set("told", &["main"], json!("{{ failure.step }}: {{ failure.message }}")), Part::OnFailure),
            in_part(step("undone", &["told"]), Part::OnFailure),
            in_part(step("closed", &["main"]), Part::Finally),
        ],
    )
}

#[test]
fn without_a_failure_only_the_steps_that_go_finally_follow() {
    let it = goes(in_parts(), "main", 1, json!(1)).owes(&["job:closed:1"]);
    assert_eq!((it.why("told"), it.why("undone")), ("the run did not fail", "the run did not fail"));
    assert_eq!(goes(it, "closed", 1, json!(1)).end().as_str(), "completed");
}

#[test]
fn steps_for_a_failure_see_it_and_those_that_go_finally_follow_them() {
    let it = dies(in_parts(), "main", 1).owes(&["job:undone:1"]);
    assert_eq!(it.value("told"), json!("main: no"));
    let it = goes(it, "undone", 1, json!(1)).owes(&["job:closed:1"]);
    let it = goes(it, "closed", 1, json!(1));
    assert_eq!(*it.end(), End::Failed { step: "main".to_owned(), failure: failure(FailureClass::Permanent) });
}

#[test]
fn a_failure_behind_the_main_part_keeps_the_first_one_and_blocks_only_what_depends_on_it() {
    let it = dies(dies(in_parts(), "main", 1), "undone", 1);
    let it = goes(it.owes(&["job:closed:1"]), "closed", 1, json!(1));
    assert_eq!(*it.end(), End::Failed { step: "main".to_owned(), failure: failure(FailureClass::Permanent) });
    let last = |step| in_part(step, Part::Finally);
    let it = flow(
        2,
        vec![
            set("m", &[], json!(1)),
            last(step("a", &[])),
            last(step("b", &["a"])),
            last(step("c", &["b"])),
            last(step("d", &[])),
        ],
    );
    let it = dies(it, "a", 1);
    assert_eq!((it.why("b"), it.why("c")), ("step \"a\" is dead", "step \"a\" is dead"));
    let it = goes(it.owes(&["job:d:1"]), "d", 1, json!(1));
    // A needed step that goes finally fails a run that would have completed.
    assert_eq!(*it.end(), End::Failed { step: "a".to_owned(), failure: failure(FailureClass::Permanent) });
}

#[test]
fn a_retry_is_promised_behind_a_failure_too() {
    let it = dies(in_parts(), "main", 1).after(grant("undone", 1, 1));
    it.after(failed("undone", 1, 1, FailureClass::Transient)).owes(&["retry:undone:2"]);
}

#[test]
fn a_cancelled_run_ends_at_once_without_its_last_steps() {
    let it = in_parts().after(cancel()).owes(&[]);
    assert_eq!((it.why("closed"), it.end().as_str()), ("the run was cancelled", "cancelled"));
}

#[test]
fn a_plan_whose_parts_wait_for_what_may_never_go_is_refused() {
    for (steps, why) in [
        (
            vec![in_part(step("a", &[]), Part::Finally), step("b", &["a"])],
            "step \"b\" depends on \"a\", which goes in another part",
        ),
        (
            vec![in_part(step("a", &[]), Part::OnFailure), in_part(step("b", &["a"]), Part::Finally)],
            "step \"b\" depends on \"a\", which goes in another part",
        ),
        (vec![step("a[0]", &[])], "step \"a[0]\" has a bracket in its name, which names an element of a list"),
    ] {
        let unsound = Rejection::Unsound { why: why.to_owned() };
        given::<RunDecider>(id().stream(), []).when(Command::Create(asked_for(1, steps))).then_rejected(unsound);
    }
}

#[test]
fn templates_see_parameters_steps_run_and_trigger_with_their_types() {
    let call = Action::Call {
        url: "/agents/{{ n }}/{{ steps.first.rows[0] }}".to_owned(),
        method: "POST".to_owned(),
        headers: BTreeMap::from([("X-Run".to_owned(), "${workflow_run_id}-{{ step_id }}-{{ user_id }}".to_owned())]),
        body: Some(
            json!({"list": "{{ three }}", "all": "{{ steps }}", "run": "{{ run.workflow.name }}", "t": "{{ trigger }}"}),
        ),
    };
    let it = flow(1, vec![set("first", &[], json!({"rows": [7, "{{ n }}"]})), does("call", &["first"], call)]);
    let Action::Call { url, headers, body, .. } = it.action("call") else { panic!("call") };
    assert_eq!(url, "/agents/3/7");
    assert_eq!(headers["X-Run"], format!("{}-call-local", id()));
    let body = body.unwrap();
    assert_eq!(body["list"], json!(["x", "y", "z"]));
    assert_eq!((&body["all"]["first"]["rows"], &body["run"], &body["t"]), (&json!([7, 3]), &json!("n"), &json!(null)));
}

#[test]
fn an_output_is_mapped_once_when_it_is_made() {
    let mapping = BTreeMap::from([("total".to_owned(), json!("$.rows.count")), ("kind".to_owned(), json!("sum"))]);
    let mapped = within(step("a", &[]), Flow { output_mapping: mapping, ..Flow::default() });
    let it = goes(flow(1, vec![mapped.clone(), step("b", &["a"])]), "a", 1, json!({"rows": {"count": 4}}));
    assert_eq!(it.value("a"), json!({"total": 4, "kind": "sum"}));
    // Whoever had the whole value mapped it already.
    let outcome = Outcome { mapped: true, ..Outcome::of(json!({"total": 9})) };
    let it = flow(1, vec![mapped, step("b", &["a"])]).after(grant("a", 1, 1));
    assert_eq!(it.after(finish("a", 1, 1, Ok(StepOutput::Value(outcome)))).value("a"), json!({"total": 9}));
}

#[test]
fn a_run_gives_back_what_its_plan_says() {
    let plan = |output| {
        let mut created = asked_for(1, vec![set("a", &[], json!({"n": 1})), set("b", &[], json!(2))]);
        let plan = Plan { output, ..(*created.plan).clone() };
        created.plan = Arc::new(plan);
        given::<RunDecider>(id().stream(), []).after(Command::Create(created))
    };
    let outputs = |it: &Runs| match it.end() {
        End::Completed { outputs } => {
            outputs.iter().map(|(name, output)| (name.clone(), value_of(output))).collect::<BTreeMap<_, _>>()
        }
        other => panic!("{other:?}"),
    };
    let named =
        |pairs: &[(&str, Json)]| pairs.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    assert_eq!(outputs(&plan(None)), named(&[("a", json!({"n": 1})), ("b", json!(2))]));
    let object = plan(Some(json!({"sum": "{{ steps.a.n }}", "run": "{{ run.id }}"})));
    assert_eq!(outputs(&object), named(&[("sum", json!(1)), ("run", json!(id().to_string()))]));
    assert_eq!(outputs(&plan(Some(json!("{{ steps.b }}")))), named(&[("output", json!(2))]));
    assert_eq!(outputs(&plan(Some(json!("{{ steps.a.none }}")))), named(&[("output", json!(null))]), "and no more");
}

/// What `a` made is in the content store.
fn kept(digest: &str) -> StepOutput {
    StepOutput::Value(Outcome::kept(Kept { digest: Digest(digest.to_owned()), bytes: 99 }))
}

#[test]
fn a_value_that_is_too_large_for_an_event_is_brought_to_workers_and_looked_into_nowhere_else() {
    let llm = |prompt: &str| Action::Llm {
        system: None,
        prompt: prompt.to_owned(),
        model: None,
        max_tokens: None,
        json: false,
    };
    let steps = vec![
        step("a", &[]),
        does("uses", &["a"], llm("{{ steps.a.text }}!")),
        does("other", &["a"], llm("{{ n }}")),
        optional(when(step("asks", &["a"]), "steps.a.ok")),
        optional(for_each(step("lists", &["a"]), "{{ steps.a.rows }}")),
        optional(set("sets", &["a"], json!("{{ steps }}"))),
        within(step("keyed", &["a"]), Flow { concurrency_key: Some("k-{{ steps.a }}".to_owned()), ..Flow::default() }),
    ];
    let it = flow(9, steps).after(grant("a", 1, 1)).after(finish("a", 1, 1, Ok(kept("d"))));
    for (dead, what) in [("asks", "what step \"a\" made"), ("lists", "the list of for_each"), ("sets", "a value that")]
    {
        let why = it.why(dead);
        assert!(why.contains(what) && why.contains("output_mapping"), "{why}");
    }
    let run = it.state.run().unwrap();
    let digest = Digest("d".to_owned());
    assert_eq!(kept_needed(run, "uses"), std::slice::from_ref(&digest));
    assert_eq!(kept_needed(run, "other"), []);
    assert_eq!(action_of(run, id(), "uses", &BTreeMap::new()), None, "it is not filled in with nothing");
    let brought = BTreeMap::from([(digest, json!({"text": "hello"}))]);
    assert_eq!(action_of(run, id(), "uses", &brought), Some(Ok(llm("hello!"))));
    assert_eq!(gates(run, "keyed").unwrap().concurrency, ["k-{\"kept\":{\"bytes\":99,\"digest\":\"d\"}}"]);
}

#[test]
fn gates_name_queue_buckets_and_keys() {
    let agent = Action::Agent { agent: "writer".to_owned(), mode: "BUILD".to_owned(), input: json!({}) };
    let extra =
        Flow { queue: Some("slow".to_owned()), concurrency_key: Some("tenant-{{ n }}".to_owned()), ..Flow::default() };
    let it = flow(3, vec![within(does("a", &[], agent.clone()), extra), step("b", &[]), does("c", &[], agent)]);
    let of = |step| gates(it.state.run().unwrap(), step).unwrap();
    let buckets = vec!["user:local:agent:writer".to_owned(), "global:agent:writer".to_owned()];
    let expected = Gates {
        queue: "slow".to_owned(),
        user: UserId::default(),
        agent: Some("writer".to_owned()),
        buckets: buckets.clone(),
        concurrency: vec!["tenant-3".to_owned()],
    };
    assert_eq!(of("a"), expected);
    assert!(of("b").are_open(false) && !of("c").are_open(false) && of("c").are_open(true) && !of("a").are_open(true));
    // An offered place has passed no gates, so it is for a step without any, or for one that only takes tokens while
    // these are free; it may be offered to the first step as well.
    let steps = |second: StepPlan| vec![step("a", &[]), second];
    let plan = |at: usize| it.state.run().unwrap().created.plan.steps[at].clone();
    let behind = |plan: StepPlan| StepPlan { depends_on: vec!["a".to_owned()], ..plan };
    for (second, tokens_free, starts) in [
        (step("b", &["a"]), false, true),
        (behind(plan(2)), false, false),
        (behind(plan(2)), true, true),
        (StepPlan { id: "d".to_owned(), ..behind(plan(0)) }, true, false),
    ] {
        // Whoever takes a place at once did not wait for one; what was recorded before tells both.
        for at_once in [false, true] {
            let facts = |told: &'static str| match (starts, at_once) {
                (false, _) => vec![told, "step_queued"],
                (true, false) => vec![told, "step_queued", "attempt_started"],
                (true, true) => vec![told, "attempt_started"],
            };
            let owed = if starts { "attempt" } else { "job" };
            let (step, result, offer) = ("a".to_owned(), Ok(output()), Some(lease(77)));
            let command = Command::Finish { step, attempt: 1, token: token(1), result, offer, tokens_free, at_once };
            let it = flow(1, steps(second.clone())).after(grant("a", 1, 1)).when(command);
            it.then_facts(&facts("attempt_succeeded")).owes(&[&format!("{owed}:{}:1", second.id)]);
            let first = StepPlan { depends_on: vec![], ..second.clone() };
            let begin = Command::Begin { created: asked_for(1, vec![first]), offer: lease(77), tokens_free, at_once };
            let it = given::<RunDecider>(id().stream(), []).when(begin).then_facts(&facts("created"));
            it.owes(&[&format!("{owed}:{}:1", second.id)]);
        }
    }
}

//! Steps that are done once for each element of a list.

use super::*;
use crate::{content::Digest, run::Kept};

/// `f` for each of three elements, then `b` sees what they made.
fn three(f: StepPlan) -> Runs {
    let mut it = flow(9, vec![for_each(f, "{{ three }}"), set("b", &["f"], json!("{{ steps.f }}"))]);
    it.now = at(10);
    it
}

#[test]
fn each_element_is_an_instance_with_attempts_of_its_own_and_all_come_together_in_order() {
    let action = Action::Llm {
        system: None,
        prompt: "{{ index }}: {{ item }} of {{ step_id }}".to_owned(),
        model: None,
        max_tokens: None,
        json: false,
    };
    let it = three(does("f", &[], action)).owes(&["job:f[0]:1", "job:f[1]:1", "job:f[2]:1"]);
    let Action::Llm { prompt, .. } = it.action("f[1]") else { panic!("llm") };
    assert_eq!(prompt, "1: y of f[1]");
    let it = goes(it, "f[2]", 1, json!("last"));
    let it = it.after(grant("f[0]", 1, 1)).after(failed("f[0]", 1, 1, FailureClass::Transient));
    let it = it.owes(&["job:f[1]:1", "retry:f[0]:2"]).after(retry("f[0]", 2));
    let it = goes(goes(it, "f[0]", 2, json!("first")), "f[1]", 1, json!("middle"));
    assert_eq!(it.value("b"), json!(["first", "middle", "last"]));
    assert_eq!(it.end().as_str(), "completed");
}

#[test]
fn a_list_that_is_none_kills_the_step_and_says_what_it_is() {
    for (list, why) in [
        ("{{ n }}", "for_each has to give a list, and \"{{ n }}\" is a number: 3"),
        ("{{ missing }}", "for_each has to give a list, and \"{{ missing }}\" is null: nothing of that name is there"),
        (
            "x{{ three }}",
            "for_each has to give a list, and \"x{{ three }}\" is a text: \"x[\\\"x\\\",\\\"y\\\",\\\"z\\\"]\"",
        ),
    ] {
        assert_eq!(flow(1, vec![for_each(step("f", &[]), list)]).why("f"), why);
    }
    let long = |length: usize| {
        let list = within(step("f", &[]), Flow { for_each: Some(json!(vec![0; length])), ..Flow::default() });
        flow(1, vec![list])
    };
    assert_eq!(long(FAN_MAX + 1).why("f"), "for_each gives 10001 elements; 10000 are the most");
    assert_eq!(long(FAN_MAX).status("f[9999]"), "pending");
}

#[test]
fn an_empty_list_is_done_at_once() {
    let it = flow(1, vec![for_each(step("f", &[]), "{{ none }}"), set("b", &["f"], json!("{{ steps.f }}"))]);
    assert_eq!((it.value("b"), it.end().as_str()), (json!([]), "completed"));
}

#[test]
fn instances_keep_the_limits_of_the_run_and_of_the_list() {
    let narrow = Flow { for_each: Some(json!("{{ three }}")), for_each_parallel: Some(2), ..Flow::default() };
    let it = flow(9, vec![within(step("f", &[]), narrow), step("b", &[])]);
    let it = it.owes(&["job:b:1", "job:f[0]:1", "job:f[1]:1"]);
    goes(it, "f[0]", 1, json!(1)).owes(&["job:b:1", "job:f[1]:1", "job:f[2]:1"]);
    let it = flow(2, vec![for_each(step("f", &[]), "{{ three }}"), step("b", &[])]);
    goes(it.owes(&["job:f[0]:1", "job:f[1]:1"]), "f[0]", 1, json!(1)).owes(&["job:f[1]:1", "job:f[2]:1"]);
}

#[test]
fn a_needed_instance_that_dies_gives_up_the_idle_ones_and_awaits_what_runs() {
    let it = three(step("f", &[])).after(grant("f[0]", 1, 1)).after(grant("f[1]", 1, 2));
    let dying = it.when(failed("f[0]", 1, 1, FailureClass::Permanent));
    let dying = dying.then_facts(&["attempt_failed", "step_died", "step_skipped"]).owes(&["attempt:f[1]:1"]);
    assert_eq!((dying.status("f"), dying.why("f[2]")), ("running", "step \"f[0]\" is dead"));
    // Nothing is gained by another attempt of the other.
    let end = dying.clone().when(failed("f[1]", 1, 2, FailureClass::Transient));
    let end = end.then_facts(&["attempt_failed", "step_died", "step_died", "step_skipped", "failed"]);
    assert_eq!(end.why("f"), "f[0]: no");
    assert_eq!(dying.after(made("f[1]", 1, 2, json!(1))).end().as_str(), "failed");
}

#[test]
fn an_optional_list_does_without_what_died() {
    let it = goes(dies(three(optional(step("f", &[]))), "f[1]", 1), "f[0]", 1, json!("a"));
    let it = goes(it, "f[2]", 1, json!("c"));
    assert_eq!((it.value("b"), it.end().as_str()), (json!(["a", null, "c"]), "completed"));
}

#[test]
fn a_condition_about_elements_is_asked_for_each_and_any_other_once() {
    let listed =
        within(step("f", &[]), Flow { for_each: Some(json!([{"go": true}, {"go": false}])), ..Flow::default() });
    let it = flow(9, vec![when(listed.clone(), "item.go"), set("b", &["f"], json!("{{ steps.f }}"))]);
    assert_eq!(it.why("f[1]"), "the condition \"item.go\" does not hold");
    assert_eq!(goes(it, "f[0]", 1, json!(1)).value("b"), json!([1, null]));
    // Asked once, it keeps a list from being made that is none.
    let it = flow(1, vec![when(for_each(step("f", &[]), "{{ missing }}"), "parameters.no")]);
    assert_eq!(it.why("f"), "the condition \"parameters.no\" does not hold");
}

#[test]
fn what_a_run_does_itself_can_be_done_for_each_element() {
    let it = flow(1, vec![for_each(set("f", &[], json!({"is": "{{ item }}"})), "{{ two }}")]);
    assert_eq!(it.value("f"), json!([{"is": 10}, {"is": 20}]));
    let it = flow(1, vec![for_each(child("f", &[]), "{{ two }}")]).owes(&["start:f[0]:1"]);
    let it = it.after(cancel());
    assert_eq!((it.status("f[0]"), it.status("f[1]"), it.status("f")), ("skipped", "skipped", "skipped"));
}

#[test]
fn a_large_value_of_one_instance_is_brought_in_its_place() {
    let llm = Action::Llm {
        system: None,
        prompt: "{{ steps.f[1].t }}/{{ steps.f }}".to_owned(),
        model: None,
        max_tokens: None,
        json: false,
    };
    let digest = Digest("d".to_owned());
    let large = StepOutput::Value(Outcome::kept(Kept { digest: digest.clone(), bytes: 9 }));
    let it = flow(2, vec![for_each(step("f", &[]), "{{ two }}"), does("b", &["f"], llm)]);
    let it = goes(it, "f[0]", 1, json!(1)).after(grant("f[1]", 1, 1)).after(finish("f[1]", 1, 1, Ok(large)));
    assert_eq!(it.value("f"), json!([1, {"kept": {"digest": "d", "bytes": 9}}]));
    let run = it.state.run().unwrap();
    assert_eq!(kept_needed(run, "b"), std::slice::from_ref(&digest));
    let brought = BTreeMap::from([(digest, json!({"t": "T"}))]);
    let Some(Ok(Action::Llm { prompt, .. })) = action_of(run, id(), "b", &brought) else { panic!("llm") };
    assert_eq!(prompt, "T/[1,{\"t\":\"T\"}]");
}

#[test]
fn a_list_that_failed_is_done_again_where_it_failed_and_under_new_numbers_when_it_is_done_anew() {
    let it = dies(goes(three(step("f", &[])), "f[0]", 1, json!("a")), "f[1]", 1);
    let run = |it: &Runs| it.state.run().unwrap().clone();
    let keys = |it: &Runs| [0, 1].map(|n| run(it).idempotency_key(id(), &format!("f[{n}]")).unwrap());
    let before = keys(&it);
    assert_eq!(it.end().as_str(), "failed");
    let again = it.when(retry_step("f")).then_facts(&[
        "reopened",
        "step_reset",
        "step_reset",
        "step_reset",
        "step_queued",
        "step_queued",
    ]);
    let again = again.owes(&["job:f[1]:2", "job:f[2]:2"]);
    assert_eq!(keys(&again), before, "a retry is the same request");
    let over = goes(goes(again, "f[1]", 2, json!("b")), "f[2]", 2, json!("c"));
    assert_eq!(over.value("b"), json!(["a", "b", "c"]));
    let anew = over.after(rerun(Some("f"))).owes(&["job:f[0]:3", "job:f[1]:3", "job:f[2]:3"]);
    assert!(keys(&anew).iter().all(|key| !before.contains(key)), "done anew is another request");
}

//! Definitions tried out: each kind of step, each kind of answer, and what is told when expectations do not hold.

use nightshift_domain::{definition::Document, run::State, time::Timestamp};
use nightshift_replay::trial::{self, Trial};
use nightshift_spec::{
    ZonedCalendar,
    trial::{Script, parse},
    workflow,
};
use serde_json::json;

const AT: Timestamp = Timestamp::from_secs(1_767_603_600);

fn document(text: &str) -> Document {
    let calendar = ZonedCalendar::bundled();
    let context = workflow::Context {
        calendar: &calendar,
        now: AT,
        owner: "ops",
        max_parallel_default: None,
        max_parallel_cap: None,
    };
    workflow::parse(text, "w.yml", &context).unwrap_or_else(|faults| panic!("{faults}"))
}

fn tried(flow: &str, test: &str) -> (Trial, Script) {
    let document = document(flow);
    let script = parse(test, "t.yml", &document, &json!({})).unwrap_or_else(|faults| panic!("{faults}"));
    let trial = trial::run(&document, &script, &ZonedCalendar::bundled(), ("ann", AT));
    (trial.unwrap_or_else(|faults| panic!("{faults:?}")), script)
}

/// Everything that is expected holds, every answer was asked for, and none was missing.
#[track_caller]
fn holds(flow: &str, test: &str) -> Trial {
    let (trial, script) = tried(flow, test);
    let told: Vec<String> = trial::differences(&trial, &script.expectations).iter().map(ToString::to_string).collect();
    assert!(told.is_empty() && trial.obstacles.is_empty(), "{told:#?}\n{:?}\n{:#?}", trial.obstacles, trial.told);
    assert_eq!((&trial.unused, &trial.assumed), (&vec![], &vec![]));
    trial
}

const ALL: &str = r#"
name: all
parameters: [{name: order, type: string, default: o1}]
steps:
  - {id: note, set: {order: "{{ order }}", items: [1, 2, 3]}}
  - {id: nap, sleep: 10m, depends_on: note}
  - {id: paid, wait_for_event: {event: paid, correlation: "{{ steps.note.order }}"}, depends_on: nap}
  - {id: check, approval: {question: "Ship {{ steps.paid.payload.amount }}?", payload: {n: "{{ steps.paid.payload.amount }}"}}, depends_on: paid}
  - {id: child, orchestration: {owner: ops, name: child, parameters: {amount: "{{ steps.check.n }}"}}, depends_on: check}
  - {id: each, call: "/each/{{ item }}", for_each: "{{ steps.note.items }}", depends_on: child, output: {n: "$.n"}}
  - {id: ask, llm: {prompt: "Rate {{ steps.child.double }}"}, depends_on: each, when: "steps.each[1].n == 20"}
  - {id: never, llm: {prompt: no}, depends_on: ask, when: "size(steps.each) > 3"}
finally:
  - {id: clear, call: /clear}
output: {asked: "{{ steps.ask.rated }}"}
"#;

#[test]
fn every_kind_of_step_is_answered() {
    let trial = holds(
        ALL,
        r#"
steps:
  paid: {event: {payload: {amount: 5}}}
  check: {approval: {action: continue, modifications: {n: 6}}}
  child: {output: {double: 12}}
  each: {output: {n: 10, more: 1}}
  "each[1]": {output: {n: 20}}
  ask: {output: {rated: 7}}
  clear: {output: {}}
expect:
  status: completed
  steps: {never: skipped, "each[2]": completed, nap: completed}
  outputs: {each: [{n: 10}, {n: 20}, {n: 10}], check: {n: 6}, "each[1]": {n: 20}}
  output: {asked: 7}
  order: [note, nap, paid, check, child, each, ask, clear]
"#,
    );
    let last = trial.told.last().unwrap_or_else(|| panic!("nothing happened")).0;
    assert_eq!(last, AT.plus_ms(600_000), "a sleep moves the clock, nothing else does");
    let asked = trial.asked.iter().find(|asked| asked.step == "child").map(|asked| json!(asked.action));
    assert_eq!(asked.unwrap()["orchestration"]["parameters"], json!({"amount": 6}));
}

#[test]
fn equal_answers_give_equal_events() {
    let test = "steps: {check: {approval: continue}}";
    assert_eq!(tried(ALL, test).0.told, tried(ALL, test).0.told);
}

/// A table of small tests: a workflow, and what holds of it.
#[test]
fn answers_mean_what_they_say() {
    let retried = "name: w\nsteps:\n  - {id: a, call: /a, retry: {max_attempts: 3, base_ms: 1000}}\n";
    let question = "name: w\nsteps:\n  - {id: a, call: /a, checkpoint_after: {reason: sure, timeout: 1h}}\n  - {id: b, call: /b, depends_on: a}\n";
    let event = "name: w\nsteps:\n  - {id: a, wait_for_event: {event: e, timeout: 1d}}\n";
    let for_ever = "name: w\nsteps:\n  - {id: a, wait_for_event: {event: e}}\n";
    let child = "name: w\nsteps:\n  - {id: a, orchestration: {owner: o, name: n}}\n";
    let parts = "name: w\nsteps:\n  - {id: a, call: /a, retry: {max_attempts: 1}}\non_failure:\n  - {id: tell, call: /tell, body: \"{{ failure.message }}\"}\n";
    for (flow, test) in [
        (
            retried,
            "steps: {a: [{error: timeout}, {error: lost}, {output: {n: 1}}]}\nexpect: {steps: {a: {status: completed, attempts: 3}}}",
        ),
        (retried, "steps: {a: {error: transient}}\nexpect: {status: failed, steps: {a: {status: dead, attempts: 3}}}"),
        (
            retried,
            "steps: {a: {error: {class: permanent, message: no such place}}}\nexpect: {failure: {step: a, class: permanent, message: such}, steps: {a: {attempts: 1}}}",
        ),
        (
            question,
            "steps: {a: [{output: {n: 1}, approval: retry}, {output: {n: 2}, approval: continue}], b: {output: {}}}\nexpect: {outputs: {a: {n: 2}}}",
        ),
        (
            question,
            "steps: {a: {output: {}, approval: {action: abort, note: no}}}\nexpect: {status: cancelled, steps: {b: skipped}}",
        ),
        (question, "steps: {a: {output: {}, approval: none}}\nexpect: {status: cancelled}"),
        (event, "steps: {a: {event: none}}\nexpect: {failure: {class: timeout}}"),
        (event, "steps: {a: {event: {payload: 3}}}\nexpect: {outputs: {a: {payload: 3, type: e}}}"),
        (for_ever, "steps: {a: {event: none}}\nexpect: {status: running, steps: {a: running}}"),
        (child, "steps: {a: {output: {x: 1}}}\nexpect: {outputs: {a: {status: completed, results: {x: 1}}}}"),
        (
            child,
            "steps: {a: {error: {class: cancelled, message: stopped}}}\nexpect: {failure: {class: cancelled, message: stopped}}",
        ),
        (
            parts,
            "steps: {a: {error: {class: permanent, message: gone}}, tell: {output: {}}}\nexpect: {status: failed, steps: {tell: completed}, order: [a, tell]}",
        ),
        (parts, "steps: {a: {output: {}}}\nexpect: {steps: {tell: skipped}}"),
    ] {
        let _ = holds(flow, test);
    }
}

#[test]
fn a_value_too_large_for_an_event_is_brought_to_the_step_that_wants_it() {
    let flow =
        "name: w\nsteps:\n  - {id: a, call: /a}\n  - {id: b, call: /b, body: \"{{ steps.a.text }}\", depends_on: a}\n";
    let large = "x".repeat(64 * 1024);
    let trial = holds(flow, &format!("steps: {{a: {{output: {{text: {large}}}}}, b: {{output: {{}}}}}}"));
    assert_eq!(json!(trial.asked[1].action)["call"]["body"], json!(large));
}

#[test]
fn what_has_no_answer_is_noted_and_what_is_in_the_way_is_told() {
    let (trial, _) = tried(ALL, "steps: {never: {output: 1}}");
    let assumed: Vec<&str> = trial.assumed.iter().map(|it| it.step.as_str()).collect();
    assert_eq!(assumed, ["paid", "check", "child", "each[0]", "each[1]", "each[2]", "clear"]);
    assert_eq!(trial.unused, ["never"]);
    let (trial, _) = tried(ALL, "steps: {paid: {event: {correlation: o2}}}");
    assert!(matches!(trial.state, State::Open(_)), "{:?}", trial.state);
    assert!(trial.obstacles[0].contains("\"o1\"") && trial.obstacles[0].contains("\"o2\""), "{:?}", trial.obstacles);
    let only_go = "name: w\nsteps:\n  - {id: a, approval: {question: Go?, options: [{action: continue}]}}\n";
    let (trial, _) = tried(only_go, "steps: {a: {approval: abort}}");
    assert!(trial.obstacles[0].contains("does not allow"), "{:?}", trial.obstacles);
}

#[test]
fn a_difference_names_its_place_and_both_values() {
    let flow = "name: w\nsteps:\n  - {id: a, call: /a}\n  - {id: b, call: /b, depends_on: a}\n  - {id: c, call: /c, depends_on: b, when: \"steps.b.go\"}\n";
    let (trial, script) = tried(
        flow,
        "steps: {a: {output: {rows: [1, 2], x: {y: 1}}}, b: {output: {go: false}}}\nexpect:\n  status: failed\n  steps:\n    c: completed\n    a: {attempts: 2}\n  outputs:\n    a: {rows: [1, 3], x: {y: 1, z: 2}}\n    c: {}\n  order: [b, a, c]\n  failure: {step: a}\n",
    );
    let told: Vec<String> = trial::differences(&trial, &script.expectations).iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "t.yml:3:3 expect.status: expected failed, found completed",
            "t.yml:5:5 expect.steps.c: expected completed, found skipped (the condition \"steps.b.go\" does not hold)",
            "t.yml:6:5 expect.steps.a.attempts: expected 2, found 1",
            "t.yml:8:5 expect.outputs.a.rows[1]: expected 3, found 2",
            "t.yml:8:5 expect.outputs.a.x.z: expected 2, found no such field",
            "t.yml:9:5 expect.outputs.c: expected {}, found nothing: the step is skipped",
            "t.yml:10:3 expect.order: expected c to begin, found that it never did",
            "t.yml:10:3 expect.order: expected b before a, found a, b",
            "t.yml:11:3 expect.failure: expected a run that failed, found completed",
        ]
    );
    let (trial, _) = tried(flow, "steps: {a: {error: permanent}}");
    assert!(
        trial::differences(&trial, &[])[0].to_string().starts_with("expect.status: expected completed, found failed")
    );
}

//! Tests of workflows as documents: what is read of them, and every fault of one.

use nightshift_domain::{content::FailureClass, definition::Document, run::ApprovalAction, time::Timestamp};
use nightshift_spec::{
    ZonedCalendar,
    trial::{Expected, Script, parse},
    workflow,
};
use serde_json::json;

const FLOW: &str = r#"
name: flow
parameters:
  - {name: topics, type: "string[]", required: true}
  - {name: grouping, type: string, default: day, enum: [day, week]}
steps:
  - {id: fetch, call: /fetch}
  - {id: each, call: "/each/{{ item }}", for_each: "{{ topics }}", depends_on: fetch}
  - {id: nap, sleep: 1h, depends_on: each}
  - {id: paid, wait_for_event: paid, depends_on: nap}
  - {id: check, approval: "Send it?", depends_on: paid}
  - {id: note, set: {a: 1}, depends_on: check}
"#;

fn flow() -> Document {
    let calendar = ZonedCalendar::bundled();
    let now = Timestamp::from_secs(1_767_603_600);
    let context = workflow::Context {
        calendar: &calendar,
        now,
        owner: "ops",
        max_parallel_default: None,
        max_parallel_cap: None,
    };
    workflow::parse(FLOW, "flow.yml", &context).unwrap_or_else(|faults| panic!("{faults}"))
}

fn read(text: &str) -> Script {
    parse(text, "t.yml", &flow(), &json!({})).unwrap_or_else(|faults| panic!("{faults}"))
}

#[test]
fn everything_that_can_be_said_is_read() {
    let script = read(
        r#"
parameters: {topics: [a, b]}
steps:
  fetch:
    - error: {class: rate_limited, message: busy, status_code: 429, retry_after: 10m}
    - {error: lost}
    - {output: {rows: [1, 2.5, "x", ~]}}
  "each[1]": {output: 1}
  paid: [{event: none}, {event: {payload: {amount: 5}, correlation: o1}}]
  check: [{approval: {action: retry, by: ada, modifications: {n: 1}}}, {approval: none}, {approval: continue}]
expect:
  status: running
  steps: {fetch: {status: completed, attempts: 3}, note: pending}
  outputs: {fetch: {rows: [1, 2.5]}, "each[1]": 1}
  output: {a: 1}
  order: [fetch, "each[1]"]
  failure: {step: fetch, class: lost, message: gone}
"#,
    );
    assert_eq!(script.parameters, json!({"topics": ["a", "b"]}));
    assert_eq!(script.trigger, json!({"type": "manual"}));
    let [Err(first), Err(second), Ok(third)] = script.answers["fetch"].results.as_slice() else { panic!("{script:?}") };
    assert_eq!(
        (first.class, first.status_code, first.retry_after_ms),
        (FailureClass::RateLimited, Some(429), Some(600_000))
    );
    assert_eq!((second.class, third), (FailureClass::Lost, &json!({"rows": [1, 2.5, "x", null]})));
    let decisions = &script.answers["check"].decisions;
    let words: Vec<_> = decisions.iter().map(|it| it.as_ref().map(|it| (it.action, it.by.as_str()))).collect();
    assert_eq!(words, [Some((ApprovalAction::Retry, "ada")), None, Some((ApprovalAction::Continue, "test"))]);
    let events = &script.answers["paid"].events;
    assert!(events[0].is_none() && events[1].as_ref().is_some_and(|it| it.payload == json!({"amount": 5})));
    assert_eq!(script.expectations.len(), 8);
    assert_eq!(script.expectations[0].what, Expected::Status("running"));
    assert_eq!((script.expectations[1].line, script.expectations[1].path.as_str()), (13, "expect.steps.fetch"));
}

#[test]
fn what_is_given_beside_the_document_goes_before_it() {
    let given = json!({"grouping": "week"});
    let script = parse("parameters: {topics: [a], grouping: day}", "t.yml", &flow(), &given).unwrap();
    assert_eq!(script.parameters, json!({"topics": ["a"], "grouping": "week"}));
    assert!(Script::plain(&flow(), &json!({"topics": []})).is_ok());
    let faults = Script::plain(&flow(), &json!({"topics": "a", "grupping": "day"})).unwrap_err().to_string();
    assert!(faults.contains("string[]") && faults.contains("did you mean \"grouping\"?"), "{faults}");
}

/// Each line of the document, and a part of the fault that is told of it.
#[test]
fn all_faults_are_told_at_once_each_with_its_place_and_what_helps() {
    let lines = [
        ("parameters:", None),
        ("  topics: [1]", Some("string[]")),
        ("  groupin: day", Some("did you mean \"grouping\"?")),
        ("  grouping: hour", Some("\"day\", \"week\"")),
        ("stepps: {}", Some("did you mean \"steps\"?")),
        ("steps:", None),
        ("  fetsh: {output: 1}", Some("did you mean \"fetch\"?")),
        ("  \"fetch[0]\": {output: 1}", Some("no step of the workflow")),
        ("  nap: {output: 1}", Some("a sleep passes at once")),
        ("  note: {output: 1}", Some("the run itself makes the value")),
        ("  fetch: {event: {payload: 1}}", Some("allowed: output, error")),
        ("  each: {output: 1, error: transient}", Some("one entry for each attempt")),
        ("  paid: {event: soon}", Some("allowed: none")),
        ("  check: {approval: {action: continu}}", Some("did you mean \"continue\"?")),
        ("expect:", None),
        ("  status: complete", Some("did you mean \"completed\"?")),
        ("  steps:", None),
        ("    fetch: don", Some("allowed: pending, queued")),
        ("    fetcher: completed", Some("did you mean \"fetch\"?")),
        ("    paid: {attempts: -1}", Some("from 0 to 1000")),
        ("  order: [fetch, papid]", Some("did you mean \"paid\"?")),
        ("  failure: {class: fatal}", Some("transient, permanent")),
    ];
    let text: Vec<&str> = lines.iter().map(|(line, _)| *line).collect();
    let faults = parse(&text.join("\n"), "t.yml", &flow(), &json!({})).unwrap_err().0;
    let mut expected = 0;
    for (number, (line, part)) in (1..).zip(lines) {
        let Some(part) = part else { continue };
        expected += 1;
        let here: Vec<String> = faults.iter().filter(|fault| fault.line == number).map(ToString::to_string).collect();
        assert!(here.len() == 1 && here[0].contains(part) && !here[0].contains(":0 "), "{line}: {here:?}");
    }
    assert_eq!(faults.len(), expected, "{faults:#?}");
}

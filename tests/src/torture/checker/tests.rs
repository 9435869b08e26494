//! Each rule sees what it is for: a good history passes, and one change breaks one rule.

use serde_json::{Value, json};

use super::check;
use crate::torture::history::History;

/// An order that went well, with a fault in the middle after which a step was asked again; one that was cancelled; one that
/// was refused; a question; a document.
fn good() -> Vec<Value> {
    let folder = tempfile::tempdir().expect("a folder");
    let history = History::at(&folder.path().join("history.jsonl"));
    let note = |entry| history.note(entry);
    let asked = |run: &str, order: &str, step: &str, attempt: u32, before: &str| {
        let (key, token) = (format!("k-{run}-{step}"), format!("t-{run}-{step}-{attempt}"));
        note(json!({"what": "asked", "order": order, "step": step, "item": "null", "key": key, "token": token,
            "attempt": attempt.to_string(), "run": run, "before": before}))
    };
    let answered = |of: usize, effect: bool, value: &str| {
        note(json!({"what": "answered", "of": of, "status": 200, "effect": effect, "value": value}));
    };
    let accepted = |id: &str, flow: &str, run: &str| {
        note(json!({"what": "ordered", "id": id, "flow": flow, "about": ""}));
        note(json!({"what": "accepted", "id": id, "flow": flow, "about": "", "run": run}));
    };
    accepted("o1", "chain", "r1");
    answered(asked("r1", "o1", "a", 1, ""), true, "e1");
    let b = asked("r1", "o1", "b", 1, "e1");
    answered(b, true, "e2");
    note(json!({"what": "fault", "class": "kill_load", "phase": "begin"}));
    note(json!({"what": "fault", "class": "kill_load", "phase": "end"}));
    answered(asked("r1", "o1", "b", 2, "e1"), false, "e2");
    answered(asked("r1", "o1", "c", 1, "e2"), true, "e3");
    note(json!({"what": "seen", "id": "o1", "run": "r1", "status": "completed"}));
    accepted("o2", "once", "r2");
    answered(asked("r2", "o2", "a", 1, ""), true, "e4");
    note(json!({"what": "cancel", "id": "o2", "run": "r2"}));
    note(json!({"what": "cancelled", "id": "o2", "run": "r2"}));
    accepted("o3", "once", "r3");
    answered(asked("r3", "o3", "a", 1, ""), true, "e5");
    let pay = asked("r3", "o3", "pay", 1, "");
    note(json!({"what": "answered", "of": pay, "status": 422, "effect": false, "value": null}));
    accepted("o4", "ask", "r4");
    answered(asked("r4", "o4", "a", 1, ""), true, "e6");
    note(json!({"what": "decide", "question": "q1", "run": "r4"}));
    answered(asked("r4", "o4", "send", 1, ""), true, "e7");
    note(json!({"what": "ordered", "id": "o5", "flow": "document", "about": "d1"}));
    note(json!({"what": "accepted", "id": "o5", "flow": "document", "about": "d1", "run": null}));
    note(json!({"what": "mail", "id": "<m1>", "answered": true}));
    let run = |run: &str, order: &str, flow: &str, status: &str, results: Value| {
        note(json!({"what": "run", "run": run, "order": order, "flow": flow, "status": status, "results": results}));
    };
    run("r1", "o1", "chain", "completed", json!({"a": {"effect": "e1"}, "b": {"effect": "e2"}, "c": {"effect": "e3"}}));
    run("r2", "o2", "once", "cancelled", json!({"a": {"effect": "e4"}}));
    run("r3", "o3", "once", "failed", json!({"a": {"effect": "e5"}}));
    run("r4", "o4", "ask", "completed", json!({"a": {"effect": "e6"}, "send": {"effect": "e7"}}));
    note(json!({"what": "version", "about": "d1", "number": 1, "status": "delivered", "mail": "<m1>"}));
    history.entries()
}

fn rules(history: &[Value]) -> Vec<&'static str> {
    let mut rules: Vec<&str> = check(history).violations.iter().map(|broken| broken.rule).collect();
    rules.sort_unstable();
    rules.dedup();
    rules
}

/// The place of the first entry that has all of these.
fn place(history: &[Value], wanted: &[(&str, &str)]) -> usize {
    let fits = |entry: &Value| wanted.iter().all(|(name, value)| entry[*name] == *value);
    history.iter().position(fits).unwrap_or_else(|| panic!("no {wanted:?}"))
}

#[test]
fn a_good_history_breaks_no_rule() {
    let found = check(&good());
    assert_eq!(found.violations, []);
    assert_eq!((found.tally.0["effects"], found.tally.0["runs"], found.tally.0["requests repeated"]), (7, 4, 1));
}

/// One change of a good history.
type Change = fn(&mut Vec<Value>);

fn set(history: &mut [Value], wanted: &[(&str, &str)], name: &str, value: Value) {
    let at = place(history, wanted);
    history[at][name] = value;
}

/// Once more at the end of time.
fn again(history: &mut Vec<Value>, wanted: &[(&str, &str)], changes: &[(&str, Value)]) {
    let mut entry = history[place(history, wanted)].clone();
    entry["n"] = json!(history.len());
    for (name, value) in changes {
        entry[*name] = value.clone();
    }
    history.push(entry);
}

#[test]
fn each_rule_sees_what_it_is_for() {
    const PAY: &[(&str, &str)] = &[("what", "asked"), ("step", "pay")];
    const SECOND: &[(&str, &str)] = &[("what", "asked"), ("step", "b"), ("attempt", "2")];
    let cases: [(&str, Change); 25] = [
        ("an attempt has a key and a token", |h| set(h, PAY, "token", json!(""))),
        ("an attempt goes out once", |h| set(h, SECOND, "token", json!("t-r1-b-1"))),
        ("attempts have one key", |h| set(h, SECOND, "key", json!("k-new"))),
        ("a key is one step's", |h| set(h, PAY, "key", json!("k-r3-a"))),
        ("an effect happens once", |h| {
            let of = h[place(h, SECOND)]["n"].clone();
            let at = h.iter().position(|entry| entry["of"] == of).expect("answered");
            h[at]["effect"] = json!(true);
        }),
        ("never means never twice", |h| again(h, PAY, &[("token", json!("t-9"))])),
        ("nothing is repeated without reason", |h| h.retain(|entry| entry["what"] != "fault")),
        ("steps go in order", |h| set(h, &[("what", "asked"), ("step", "b")], "step", json!("c"))),
        ("a step is given what was made", |h| set(h, &[("what", "asked"), ("step", "c")], "before", json!("e1"))),
        ("behind a question after its answer", |h| h.retain(|entry| entry["what"] != "decide")),
        ("nothing begins after a cancellation", |h| {
            again(h, &[("run", "r2"), ("what", "asked")], &[("token", json!("t-9")), ("ms", json!(99_000))]);
        }),
        ("no mail is sent twice without reason", |h| again(h, &[("what", "mail")], &[])),
        ("an order makes one run", |h| again(h, &[("what", "run"), ("run", "r1")], &[("run", json!("r9"))])),
        ("nothing is done that nobody ordered", |h| {
            h.retain(|entry| entry["what"] != "ordered" || entry["id"] != "o1")
        }),
        ("what was acknowledged is there", |h| h.retain(|entry| entry["what"] != "run" || entry["run"] != "r3")),
        ("a repeated order is answered the same", |h| again(h, &[("what", "accepted")], &[("run", json!("r2"))])),
        ("each document is one version", |h| h.retain(|entry| entry["what"] != "version")),
        ("versions are numbered without gaps", |h| set(h, &[("what", "version")], "number", json!(2))),
        ("a version arrives", |h| set(h, &[("what", "version")], "status", json!("pending"))),
        ("a version is sent under one Message-ID", |h| again(h, &[("what", "mail")], &[("id", json!("<m2>"))])),
        ("every run ends", |h| set(h, &[("what", "run"), ("run", "r3")], "status", json!("running"))),
        ("a run that is complete had each step answered", |h| {
            set(h, &[("what", "run"), ("run", "r3")], "status", json!("completed"));
        }),
        ("what an agent answered is what is kept", |h| {
            set(h, &[("what", "run"), ("run", "r1")], "results", json!({"a": "e1", "b": "e1", "c": "e3"}));
        }),
        ("an end stays an end", |h| set(h, &[("what", "seen")], "status", json!("failed"))),
        ("cancelled is cancelled", |h| set(h, &[("what", "run"), ("run", "r2")], "status", json!("failed"))),
    ];
    for (rule, change) in cases {
        let mut history = good();
        change(&mut history);
        let broken = rules(&history);
        assert!(broken.contains(&rule), "{rule}: found were {broken:?}");
    }
    for (rule, run, status) in
        [("a run fails for a reason", "r4", "failed"), ("a run is cancelled by somebody", "r1", "cancelled")]
    {
        let mut history = good();
        set(&mut history, &[("what", "run"), ("run", run)], "status", json!(status));
        assert!(rules(&history).contains(&rule), "{rule}");
    }
}

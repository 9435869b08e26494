//! Workflows from end to end, as processes: documents, agents over real sockets, approvals, events, crashes.
//!
//! Owns: what agents see, and what people see of it. Tests that are named after a number hold a defect of the systems that
//! Nightshift replaces.

use std::time::Duration;

use nightshift_tests::{
    eventually,
    http::{Answer, Asked, Web},
    repo_root,
    world::{Node, World},
};
use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_secs(60);

/// A document that ships with the tests.
fn document(name: &str) -> String {
    repo_root().join("tests/workflows").join(name).display().to_string()
}

/// Worlds on both databases; one on a machine without a server.
fn worlds() -> Vec<World> {
    [Some(World::sqlite()), World::postgres()].into_iter().flatten().collect()
}

fn good(_: &Asked, _: usize) -> Answer {
    Answer::new(200, r#"{"ok": true, "rows": [1, 2, 3]}"#).with("content-type", "application/json")
}

/// A node whose call steps go to `web`.
fn beside(world: &World, web: &Web) -> Node {
    world.node.clone().with("workflows.base_url", web.url(""))
}

#[track_caller]
fn register(node: &Node, file: &str) {
    let _ = node.run(&["workflow", "register", file]).ok();
}

fn paths(web: &Web) -> Vec<String> {
    web.exchanges().into_iter().map(|(asked, _)| asked.path).collect()
}

fn text<'v>(row: &'v Value, column: &str) -> &'v str {
    row[column].as_str().unwrap_or_default()
}

/// 4.7, 1: nothing ever put the dependent steps into the queue; 4.7, 4: the document was never read.
#[test]
fn defect_4_7_1_every_step_of_the_stored_workflows_runs_in_the_order_of_its_dependencies() {
    for world in worlds() {
        let web = Web::start(good);
        let node = beside(&world, &web);
        register(&node, &document("weekly_seed_v1.yml"));
        register(&node, &document("daily_instructor_v1.yml"));
        let run = node.json(&["run", "start", "weekly_seed_v1"]);
        assert_eq!(run["status"], "completed", "{run:#}");
        let asked = paths(&web);
        let place =
            |end: &str| asked.iter().position(|path| path.ends_with(end)).unwrap_or_else(|| panic!("{end}: {asked:?}"));
        assert_eq!(asked.len(), 4);
        assert!(place("clo/begin-week") < place("ta/generate-week"));
        assert!(place("clo/begin-week") < place("socratic/seed"));
        assert!(place("brand/update-briefing") == 3);
        let keys: std::collections::BTreeSet<String> =
            web.exchanges().iter().map(|(asked, _)| asked.header("x-idempotency-key").to_owned()).collect();
        assert_eq!(keys.len(), 4, "each step has a key of its own");
        let daily = node.json(&["run", "start", "daily_instructor_v1"]);
        assert_eq!(daily["status"], "completed", "{daily:#}");
        assert_eq!(web.exchanges()[4].0.method, "GET");
        let _ = node.run(&["verify"]).ok();
        let _ = node.run(&["replay", "--store"]).ok();
    }
}

/// 4.5: a 2xx with `ok: false` is a failure, a retry keeps its key, and its run goes on meanwhile.
#[test]
fn an_agent_that_says_no_is_asked_again_under_the_same_key() {
    let world = World::sqlite();
    let web = Web::start(|_, before| match before {
        0 => Answer::new(200, r#"{"ok": false, "error": "quota", "retryable": true}"#),
        1 => Answer::new(503, "later"),
        _ => Answer::new(200, r#"{"ok": true}"#),
    });
    let node = beside(&world, &web);
    let file = world.write(
        "flow.yml",
        "name: stubborn\nsteps:\n  - {id: a, call: /agents/a, retry: {max_attempts: 4, base_ms: 250}}\n  - {id: b, call: /agents/b, depends_on: a}\n",
    );
    register(&node, &file);
    let mut daemon = node.serve();
    let _ = daemon.address();
    let run = node.json(&["run", "start", "stubborn", "--watch"]);
    assert_eq!(run["status"], "completed", "{run:#}");
    let keys: Vec<String> =
        web.exchanges().iter().map(|(asked, _)| asked.header("x-idempotency-key").to_owned()).collect();
    assert_eq!(keys.len(), 4);
    assert!(keys[0] == keys[1] && keys[1] == keys[2] && keys[2] != keys[3], "{keys:?}");
    daemon.stop();
}

/// 5.12, 4: a decision did not wake the run; 5.12, 5: a question behind a step held the run for ever or completed it twice.
#[test]
fn defect_5_12_4_a_question_holds_the_run_until_it_is_answered_once() {
    for world in worlds() {
        let web = Web::start(good);
        let node = beside(&world, &web);
        let file = world.write(
            "flow.yml",
            "name: asking\nsteps:\n  - {id: draft, call: /agents/draft}\n  - {id: check, approval: {question: \"Send {{ steps.draft.rows }}?\"}, depends_on: draft}\n  - {id: send, call: /agents/send, depends_on: check}\n",
        );
        register(&node, &file);
        let run = node.json(&["run", "start", "asking"]);
        assert_eq!(run["status"], "running", "{run:#}");
        assert_eq!(paths(&web), ["/agents/draft"]);
        let asked = node.rows(&["approval", "list"]);
        let [asked] = asked.as_slice() else { panic!("one question: {asked:#?}") };
        assert_eq!(text(asked, "question"), "Send [1,2,3]?");
        let id = text(asked, "id");
        let why = node.run(&["explain", text(asked, "run_id")]).ok().out;
        assert!(why.contains("asks whoever may answer") && why.contains(id), "{why}");
        let other = node.run(&["approve", id, "--digest", &"0".repeat(64)]);
        assert!(other.code != 0 && other.err.contains("look again"), "{}", other.err);
        let _ = node.run(&["approve", id, "--note", "fine"]).ok();
        let row = &node.rows(&["run", "list"])[0];
        assert_eq!(text(row, "status"), "completed", "{row:#}");
        assert_eq!(paths(&web), ["/agents/draft", "/agents/send"]);
        let twice = node.run(&["approve", id, "--abort"]);
        assert!(twice.code != 0 && paths(&web).len() == 2, "{}", twice.err);
        let _ = node.run(&["verify"]).ok();
    }
}

/// 5.12, 2: nothing survived a restart.
#[test]
fn defect_5_12_2_a_killed_daemon_goes_on_where_it_was() {
    for world in worlds() {
        let web = Web::start(|asked, before| match (asked.path.as_str(), before) {
            // The first call of the second step is never answered: the daemon dies in the middle of it.
            ("/agents/two", 1) => Answer::never(),
            _ => Answer::new(200, r#"{"ok": true}"#),
        });
        let node = beside(&world, &web).with("store.takeover", "true");
        let file = world.write(
            "flow.yml",
            "name: chain\nsteps:\n  - {id: one, call: /agents/one}\n  - {id: two, call: /agents/two, depends_on: one}\n  - {id: nap, sleep: 200ms, depends_on: two}\n  - {id: three, call: /agents/three, depends_on: nap}\n",
        );
        register(&node, &file);
        let mut daemon = node.serve();
        let _ = daemon.address();
        let started = node.json(&["run", "start", "chain"]);
        eventually("the second step is asked", LIMIT, || (web.exchanges().len() >= 2).then_some(()));
        assert!(daemon.kill9());
        let mut daemon = node.serve();
        let _ = daemon.address();
        let id = text(&started, "id").to_owned();
        let run = node.json(&["run", "watch", &id]);
        assert_eq!(run["status"], "completed", "{run:#}");
        let asked = web.exchanges();
        let keys: Vec<&str> = asked
            .iter()
            .filter(|(asked, _)| asked.path == "/agents/two")
            .map(|(asked, _)| asked.header("x-idempotency-key"))
            .collect();
        assert_eq!(keys.len(), 2);
        assert_eq!(keys[0], keys[1]);
        assert_eq!(paths(&web).iter().filter(|path| *path == "/agents/one").count(), 1);
        daemon.stop();
        let _ = node.run(&["verify"]).ok();
    }
}

/// An event wakes the run that waits for its correlation, starts runs of definitions that hear of it, each once.
#[test]
fn defect_4_7_7_events_start_and_wake_runs_once() {
    for world in worlds() {
        let web = Web::start(good);
        let node = beside(&world, &web);
        let waits = world.write(
            "waits.yml",
            "name: waits\nparameters: [{name: order, type: string, required: true}]\nsteps:\n  - {id: paid, wait_for_event: {event: paid, correlation: \"{{ order }}\"}}\n  - {id: ship, call: \"/agents/ship/{{ steps.paid.payload.amount }}\", depends_on: paid}\n",
        );
        let hears = world
            .write("hears.yml", "name: hears\ntriggers: [{event: paid}]\nsteps:\n  - {id: book, call: /agents/book}\n");
        register(&node, &waits);
        register(&node, &hears);
        let run = node.json(&["run", "start", "waits", "-p", "order=o1"]);
        assert_eq!(run["status"], "running", "{run:#}");
        for (id, correlation) in [("e1", "o2"), ("e2", "o1"), ("e2", "o1")] {
            let payload = json!({"amount": 5}).to_string();
            let _ = node
                .run(&["event", "publish", "paid", "--id", id, "--correlation", correlation, "--payload", &payload])
                .ok();
        }
        let mut asked = paths(&web);
        asked.sort();
        assert_eq!(asked, ["/agents/book", "/agents/book", "/agents/ship/5"]);
        let rows = node.rows(&["run", "list"]);
        assert!(rows.len() == 3 && rows.iter().all(|row| text(row, "status") == "completed"), "{rows:#?}");
        assert_eq!(node.rows(&["event", "list"]).len(), 2);
        let _ = node.run(&["verify"]).ok();
    }
}

/// A step that died is done again by hand, with what was made before it; lists are gone through, conditions asked.
#[test]
fn what_failed_is_retried_skipped_and_rerun_by_hand() {
    let world = World::sqlite();
    let broken = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(true));
    let seen = std::sync::Arc::clone(&broken);
    let web = Web::start(move |asked, _| {
        if asked.path == "/agents/b" && seen.load(std::sync::atomic::Ordering::SeqCst) {
            return Answer::new(404, r#"{"ok": false}"#);
        }
        good(asked, 0)
    });
    let node = beside(&world, &web);
    let file = world.write(
        "flow.yml",
        "name: flow\nsteps:\n  - {id: a, call: /agents/a}\n  - {id: each, call: \"/agents/each/{{ item }}\", for_each: \"{{ steps.a.rows }}\", depends_on: a}\n  - {id: b, call: /agents/b, depends_on: a}\n  - {id: c, set: {value: \"{{ steps.each }}\"}, depends_on: [b, each], when: \"size(steps.each) == 3\"}\n  - {id: never, call: /agents/never, depends_on: c, when: \"size(steps.each) > 3\"}\n",
    );
    register(&node, &file);
    let failed = node.run(&["run", "start", "flow", "--json"]);
    assert_eq!(failed.code, 1, "{}{}", failed.out, failed.err);
    let run = failed.json();
    assert_eq!((&run["status"], &run["steps"]["b"]), (&json!("failed"), &json!("dead")), "{run:#}");
    let id = text(&run, "id");
    let dead = node.rows(&["job", "dead"]);
    assert_eq!(dead.len(), 1);
    broken.store(false, std::sync::atomic::Ordering::SeqCst);
    let row = node.json(&["run", "retry", id, "b", "--note", "mended"]);
    assert_eq!(text(&row, "status"), "completed", "{row:#}");
    let mut asked = paths(&web);
    asked.sort();
    assert_eq!(asked, ["/agents/a", "/agents/b", "/agents/b", "/agents/each/1", "/agents/each/2", "/agents/each/3"]);
    let row = node.json(&["run", "rerun", id, "--from", "b"]);
    assert_eq!(text(&row, "status"), "completed", "{row:#}");
    assert_eq!(paths(&web).len(), 7, "only b goes again; outputs of the others are kept");
    let shown = node.json(&["run", "watch", id]);
    assert_eq!(shown["results"]["c"]["value"].as_array().map(Vec::len), Some(3), "{shown:#}");
    assert_eq!(shown["steps"]["never"], "skipped");
    let _ = node.run(&["verify"]).ok();
    let _ = node.run(&["replay", "--store"]).ok();
}

/// A run that waits goes on under a mended version; a version that what happened does not fit is refused, step by step.
#[test]
fn a_run_that_waits_goes_on_under_another_version() {
    for world in worlds() {
        let web = Web::start(good);
        let node = beside(&world, &web);
        let write = |version: &str, first: &str, last: &str| {
            let text = format!(
                "name: flow\nversion: {version}\nsteps:\n  - {{id: a, call: {first}}}\n  - {{id: go, wait_for_event: go, depends_on: a}}\n  - {{id: b, call: {last}, depends_on: go}}\n"
            );
            register(&node, &world.write(&format!("{version}.yml"), &text));
        };
        write("v1", "/agents/a", "/agents/broken");
        let run = node.json(&["run", "start", "flow"]);
        let id = text(&run, "id").to_owned();
        write("v2", "/agents/other", "/agents/b");
        write("v3", "/agents/a", "/agents/mended");
        let refused = node.run(&["run", "migrate", &id, "--to", "flow@v2"]);
        assert!(refused.code == 1 && refused.err.contains("step \"a\" has begun, and its action"), "{}", refused.err);
        let row = node.json(&["run", "migrate", &id, "--to", "flow@v3", "--note", "mended"]);
        assert_eq!((text(&row, "workflow_version"), &row["total_steps"]), ("v3", &json!(3)), "{row:#}");
        let _ = node.run(&["event", "publish", "go"]).ok();
        assert_eq!(node.json(&["run", "watch", &id])["status"], "completed");
        assert_eq!(paths(&web), ["/agents/a", "/agents/mended"]);
        let _ = node.run(&["verify"]).ok();
        let _ = node.run(&["replay", "--store"]).ok();
        let over = node.run(&["run", "migrate", &id, "--to", "flow@v1"]);
        assert!(over.code == 1 && over.err.contains("the run is over"), "{}", over.err);
    }
}

/// Dead letters by hand: counted, given up, done again one by one and all at once, by the program itself.
#[test]
fn dead_letters_are_discarded_reset_and_retried_in_bulk() {
    let world = World::sqlite();
    let broken = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(true));
    let seen = std::sync::Arc::clone(&broken);
    let web = Web::start(move |asked, _| match seen.load(std::sync::atomic::Ordering::SeqCst) {
        true => Answer::new(404, r#"{"ok": false}"#),
        false => good(asked, 0),
    });
    let node = beside(&world, &web);
    let file = world.write("flow.yml", "name: flow\nsteps:\n  - {id: a, call: /agents/a}\n");
    register(&node, &file);
    for _ in 0..4 {
        assert_eq!(node.run(&["run", "start", "flow", "--json"]).code, 1);
    }
    let jobs: Vec<String> = node.rows(&["job", "dead"]).iter().map(|row| text(row, "job_id").to_owned()).collect();
    assert_eq!(jobs.len(), 4);
    let counted =
        node.json(&["job", "bulk", "retry", "--definition", "flow", "--error-class", "permanent", "--dry-run"]);
    assert_eq!((&counted["total"], counted["sample"].as_array().map(Vec::len)), (&json!(4), Some(4)), "{counted:#}");
    let gone = node.json(&["job", "discard", &jobs[0], "--note", "no use"]);
    assert_eq!(text(&gone, "status"), "cancelled", "{gone:#}");
    assert!(text(&gone, "note").ends_with(": no use"), "{gone:#}");
    let refused = node.run(&["job", "reset", &jobs[0]]);
    assert!(refused.code == 1 && refused.err.contains("only a rerun brings it back"), "{}", refused.err);
    broken.store(false, std::sync::atomic::Ordering::SeqCst);
    let one = node.json(&["job", "reset", &jobs[1]]);
    assert_eq!(text(&one, "status"), "success", "{one:#}");
    let all = node.json(&["job", "retry", "--all-dead", "--note", "mended"]);
    assert_eq!((text(&all, "status"), &all["done"], &all["refused"]), ("completed", &json!(2), &json!(0)), "{all:#}");
    assert!(node.rows(&["job", "dead"]).is_empty());
    let listed = node.rows(&["job", "bulk", "list"]);
    assert_eq!((listed.len(), text(&listed[0], "note")), (1, "mended"));
    let id = text(&all, "id");
    assert_eq!(node.json(&["job", "bulk", "show", &id[..8]])["done"], json!(2));
    let over = node.run(&["job", "bulk", "cancel", id]);
    assert!(over.code == 1 && over.err.contains("the bulk job is over: completed"), "{}", over.err);
    let run = jobs[0].split_once('/').expect("run/step").0;
    assert_eq!(text(&node.json(&["run", "rerun", run]), "status"), "completed");
    let stopped = node.run(&["run", "cancel", run]);
    assert!(stopped.code == 1 && stopped.err.contains("the run is over: completed"), "{}", stopped.err);
    let _ = node.run(&["verify"]).ok();
    let _ = node.run(&["replay", "--store"]).ok();
}

/// Faulty documents: every fault at once, with its place; nothing is kept.
#[test]
fn a_faulty_document_is_refused_whole() {
    let world = World::sqlite();
    let file = world.write(
        "bad.yml",
        "name: bad\nsteps:\n  - {id: a, cal: /x}\n  - {id: b, call: /x, depends_on: c}\n  - {id: c, call: /x, depends_on: b}\n  - {id: c, call: \"/{{ steps.nope.x }}\"}\n",
    );
    let done = world.node.run(&["workflow", "register", &file]);
    assert_eq!(done.code, 2, "{}", done.err);
    for part in ["bad.yml:3:", "did you mean \"call\"?", "b -> c -> b", "nope", "bad.yml:6:"] {
        assert!(done.err.contains(part), "{part:?} is not in: {}", done.err);
    }
    assert_eq!(world.node.run(&["workflow", "list"]).code, 6, "not even a store was made");
}

/// Parameters are checked before anything runs (5.12, 6): missing, unknown, wrong type, not allowed; lists stay lists.
#[test]
fn parameters_are_checked_and_keep_their_types() {
    let world = World::sqlite();
    let web = Web::start(|_, _| Answer::new(200, r#"{"success": true, "payload": {"content": {}}}"#));
    let agents = world.write(
        "agents.toml",
        &format!("[supabase-agent]\nurl = \"{0}\"\n[summarizer]\nurl = \"{0}\"\n", web.url("/tasks")),
    );
    let node = world.node.clone().with("workflows.agents_file", agents);
    register(&node, &document("kpi-tracking.yaml"));
    let refused = node.run(&["run", "start", "kpi-tracking", "-p", "grouping=hour", "-p", "kpi=1"]);
    for part in ["parameters.kpi:", "parameters.kpi_names: it is required (string[])", "parameters.grouping: \"hour\""]
    {
        assert!(refused.code == 1 && refused.err.contains(part), "{part:?}: {}", refused.err);
    }
    assert!(web.exchanges().is_empty() && node.rows(&["run", "list"]).is_empty());
    let given = ["kpi_names=[\"signups\"]", "start_date=\"2026-01-01\"", "end_date=\"2026-01-31\""];
    let run = node.json(&["run", "start", "kpi-tracking", "-p", given[0], "-p", given[1], "-p", given[2]]);
    assert_eq!(run["status"], "completed", "{run:#}");
    let body: Value = serde_json::from_str(&web.exchanges()[0].0.body).expect("JSON");
    let told = body.to_string();
    assert!(told.contains(r#""kpiNames":["signups"]"#), "{told}");
    assert!(told.contains("by day"), "the default of grouping: {told}");
}

//! Limits and pauses while a daemon runs, and what explains them, as processes on both databases.

use std::time::Duration;

use nightshift_tests::{
    eventually,
    http::{Answer, Web},
    world::{Node, World},
};
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(60);

fn text<'v>(row: &'v Value, column: &str) -> &'v str {
    row[column].as_str().unwrap_or_default()
}

fn line<'v>(lines: &'v [Value], key: &str) -> &'v Value {
    lines.iter().find(|line| text(line, "key") == key).unwrap_or_else(|| panic!("{key}: {lines:#?}"))
}

fn start(node: &Node, name: &str) -> String {
    text(&node.json(&["run", "start", name]), "id").to_owned()
}

/// A limit is set, explained and cleared, a queue paused and resumed, with a daemon and without one.
#[test]
fn limits_and_queues_are_steered_while_the_daemon_runs() {
    for world in [Some(World::sqlite()), World::postgres()].into_iter().flatten() {
        let web = Web::start(|asked, _| match asked.path.as_str() {
            "/agents/hangs" => Answer::never(),
            _ => Answer::new(200, r#"{"ok": true}"#),
        });
        let node = world.node.clone().with("workflows.base_url", web.url("")).with("store.takeover", "true");
        for (name, queue) in [("hangs", "slow"), ("waits", "slow"), ("other", "quick")] {
            let document = format!("name: {name}\nsteps:\n  - {{id: a, call: /agents/{name}, queue: {queue}}}\n");
            let file = world.write(&format!("{name}.yml"), &document);
            let _ = node.run(&["workflow", "register", &file]).ok();
        }
        // Without a daemon: written to the store, heard of by the next one.
        let set = node.json(&["limit", "set", "queue:slow", "1", "--note", "one at a time"]);
        assert_eq!(line(set.as_array().expect("lines"), "queue:slow")["source"], "set", "{set:#}");
        let mut daemon = node.serve();
        let _ = daemon.address();
        let holder = start(&node, "hangs");
        eventually("the place is taken", LIMIT, || (!web.exchanges().is_empty()).then_some(()));
        let held = start(&node, "waits");
        let job = format!("{held}/a");
        let why = eventually("the limit holds it", LIMIT, || {
            let why = node.json(&["explain", &job]);
            (text(&why["gates"][0], "gate") == "limit").then_some(why)
        });
        let gate = &why["gates"][0];
        assert!(text(gate, "what").contains("queue:slow") && text(gate, "holder").contains(&holder), "{why:#}");
        let told = node.run(&["explain", &job]).ok().out;
        assert!(told.contains("queue:slow") && told.contains("limit set queue:slow"), "{told}");
        // Set while it runs: it goes at once.
        let lines = node.json(&["limit", "set", "queue:slow", "5"]);
        let lines = lines.as_array().expect("lines").clone();
        assert_eq!(line(&lines, "queue:slow")["capacity"], 5.0);
        eventually("it goes", LIMIT, || {
            (node.json(&["run", "show", &held])["run"]["status"] == "completed").then_some(())
        });
        let wrong = node.run(&["limit", "set", "queu:slow", "5"]);
        assert!(wrong.code != 0 && wrong.err.contains("names no limit"), "{}", wrong.err);
        let wrong = node.run(&["limit", "set", "queue:slow", "0"]);
        assert!(wrong.code != 0 && wrong.err.contains("pause it"), "{}", wrong.err);
        // Paused: it is not given a place, others are, also by the next daemon.
        let _ = node.run(&["queue", "pause", "slow", "--note", "repair"]).ok();
        assert!(daemon.kill9());
        let mut daemon = node.serve();
        let _ = daemon.address();
        let paused = start(&node, "waits");
        let other = start(&node, "other");
        eventually("others go", LIMIT, || {
            (node.json(&["run", "show", &other])["run"]["status"] == "completed").then_some(())
        });
        let told = node.run(&["explain", &format!("{paused}/a")]).ok().out;
        assert!(told.contains("repair") && told.contains("queue resume slow"), "{told}");
        let shown = node.json(&["queue", "show"]);
        assert!(
            shown["queues"].as_array().expect("queues").iter().any(|queue| queue["held"] == 1 || queue["held"] == 2),
            "{shown:#}"
        );
        let _ = node.run(&["queue", "resume", "slow"]).ok();
        eventually("it goes on", LIMIT, || {
            (node.json(&["run", "show", &paused])["run"]["status"] == "completed").then_some(())
        });
        let _ = node.run(&["limit", "clear", "queue:slow"]).ok();
        let _ = node.run(&["run", "cancel", &holder]).ok();
        daemon.stop();
        let lines = node.json(&["limit", "list"]);
        assert!(lines.as_array().expect("lines").iter().all(|line| line["source"] != "set"), "{lines:#}");
        let _ = node.run(&["verify"]).ok();
        let _ = node.run(&["replay", "--store"]).ok();
    }
}

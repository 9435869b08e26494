//! `nightshift bench`: every topic at its smallest size, comparing and showing results, and that nothing is left behind.
//!
//! Refuses to know: how fast anything is. No figure is asserted.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Stdio},
    time::Duration,
};

use nightshift_tests::{
    daemon::Signal,
    eventually,
    postgres::Database,
    repo_root,
    world::{Node, World},
};
use rustix::process::{Pid, kill_process};
use serde_json::Value;

/// No measurement of the smallest size takes longer on the slowest machine; it bounds waiting, it is no promise.
const LIMIT: Duration = Duration::from_secs(120);

/// Measures a topic. Each bench of it gives figures that are numbers; those named have a baseline with as many values.
#[track_caller]
fn measures(topic: &str, benches: &[&str], beside: &[&str]) {
    let world = World::sqlite();
    world.folder("stores");
    let out = world.text_path("result.json");
    let found = world.node.json(&["bench", topic, "--quick", "--dir", &world.text_path("stores"), "--out", &out]);
    let kept: Value = serde_json::from_str(&std::fs::read_to_string(&out).expect("written")).expect("JSON");
    assert_eq!(kept, found, "what is printed is what is written");
    let figures = found["figures"].as_array().expect("figures");
    for bench in benches {
        let own: Vec<&Value> = figures.iter().filter(|figure| figure["bench"] == *bench).collect();
        assert!(!own.is_empty(), "{topic}: {bench} has no figure");
        for figure in &own {
            assert!(figure["spread"]["median"].is_number(), "{topic}: {figure} is no number");
        }
        let paired = own.iter().filter(|figure| !figure["baseline"].is_null());
        let pairs: Vec<_> = paired
            .map(|figure| {
                let values = |spread: &Value| spread["values"].as_array().map(Vec::len);
                (values(&figure["spread"]), values(&figure["baseline"]["spread"]))
            })
            .collect();
        assert!(pairs.iter().all(|(values, raw)| values == raw), "{topic}: {bench}: {pairs:?}");
        assert_eq!(!pairs.is_empty(), beside.contains(bench), "{topic}: {bench} has a baseline");
    }
    assert_eq!(found["failed"], serde_json::json!([]));
    let left: Vec<_> = std::fs::read_dir(world.path("stores")).expect("the folder").collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn append_is_measured() {
    measures("append", &["append"], &["append"]);
}

#[test]
fn projections_are_measured() {
    measures("projections", &["rebuild"], &["rebuild"]);
}

#[test]
fn replay_is_measured() {
    measures("replay", &["replay"], &["replay"]);
}

#[test]
fn the_queue_is_measured() {
    let benches = ["jobs", "limits", "latency", "fairness"];
    measures("queue", &benches, &benches);
}

#[test]
fn workflows_are_measured() {
    measures("workflows", &["runs"], &["runs"]);
}

#[test]
fn schedules_are_measured() {
    let benches = ["crowd", "lateness", "fires"];
    measures("schedules", &benches, &benches);
}

#[test]
fn recovery_is_measured() {
    measures("recovery", &["resume"], &["resume"]);
}

#[test]
fn memory_is_measured() {
    measures("memory", &["idle", "footprint"], &["idle", "footprint"]);
}

/// The published result, as one of any other machine would be.
fn published() -> Value {
    let text = std::fs::read_to_string(repo_root().join("docs/figures/bench.json")).expect("it is in the tree");
    serde_json::from_str(&text).expect("JSON")
}

/// Every value of every figure times so much.
fn times(mut results: Value, factor: f64) -> Value {
    for figure in results["figures"].as_array_mut().expect("figures") {
        let Some(spread) = figure["spread"].as_object_mut() else { continue };
        let scale = |value: &mut Value| *value = Value::from(value.as_f64().expect("a number") * factor);
        spread["values"].as_array_mut().expect("values").iter_mut().for_each(scale);
        ["median", "least", "most"].into_iter().for_each(|end| scale(&mut spread[end]));
    }
    results
}

#[test]
fn results_are_compared_and_what_is_worse_can_fail() {
    let world = World::sqlite();
    let then = world.write("then.json", &published().to_string());
    let now = world.write("now.json", &times(published(), 100.0).to_string());
    let other = {
        let mut other = times(published(), 100.0);
        other["machine"]["cores"] = Value::from(1_000);
        world.write("other.json", &other.to_string())
    };
    let verdicts = |now: &str| {
        let lines = world.node.json(&["bench", "--compare", &then, now])["lines"].clone();
        let mut verdicts: Vec<String> =
            lines.as_array().expect("lines").iter().map(|line| line["verdict"].to_string()).collect();
        verdicts.sort();
        verdicts.dedup();
        verdicts
    };
    assert_eq!(verdicts(&then), ["\"same\""]);
    assert_eq!(verdicts(&other), ["\"other_machine\""]);
    assert!(verdicts(&now).contains(&"\"worse\"".to_owned()), "durations are a hundred times as long");
    for (now, code) in [(&then, 0), (&now, 1), (&other, 0)] {
        let done = world.node.run(&["bench", "--fail-on-worse", "--compare", &then, now]);
        assert_eq!(done.code, code, "{}\n{}{}", done.said, done.out, done.err);
    }
    let mild = world.node.run(&["bench", "--compare", &then, &now]).ok();
    assert!(mild.out.contains("WORSE") && mild.out.contains("worse, "), "{}", mild.out);
}

#[test]
fn a_document_takes_the_tables_between_its_marks() {
    let world = World::sqlite();
    let result = world.write("result.json", &published().to_string());
    let document = "# Figures\n\n<!-- bench:begin -->\n<!-- bench:end -->\n\nThe end.\n";
    let path = world.write("doc.md", document);
    let shown = world.node.run(&["bench", "--render", &result]).ok().out;
    assert!(shown.contains("### Append") && shown.contains("- Disk: "), "{shown}");
    let _ = world.node.run(&["bench", "--render", &result, "--into", &path]).ok();
    let read = || std::fs::read_to_string(&path).expect("readable");
    assert!(read().starts_with("# Figures") && read().ends_with("The end.\n") && read().contains(shown.trim()));
    let written = read();
    for (args, why) in [
        (["bench", "--render", &result, "--into", &result], "<!-- bench:begin -->"),
        (["bench", "--render", &path, "--into", &path], "doc.md"),
    ] {
        let done = world.node.run(&args);
        assert!(done.code == 2 && done.err.contains(why), "{}: {}{}", done.said, done.code, done.err);
    }
    assert_eq!(read(), written);
    let mut debug = published();
    debug["machine"]["build"] = Value::from("debug");
    let debug = world.write("debug.json", &debug.to_string());
    let marked = world.node.run(&["bench", "--render", &debug, "--into", &path]).ok();
    assert!(marked.err.contains("no release build") && read().contains("**Not a release build"), "{}", marked.err);
}

/// Starts a measurement that takes long, and returns when it has begun.
fn long_measurement(node: &Node, args: &[&str]) -> Child {
    let mut command = node.command(&[&["bench", "idle", "--quick", "--repeats", "100"], args].concat());
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("nightshift starts");
    let said = BufReader::new(child.stderr.take().expect("stderr is piped"));
    let begun = said.lines().map_while(Result::ok).find(|line| line.contains("is watched for"));
    assert!(begun.is_some(), "it ended before it began: {:?}", child.wait());
    child
}

fn ends_when_told(mut child: Child, signal: Signal) {
    let pid = Pid::from_child(&child);
    kill_process(pid, signal).expect("it runs");
    let status = eventually("its end", LIMIT, || child.try_wait().expect("it was started"));
    assert_eq!(status.code(), Some(1), "{status}");
}

#[test]
fn an_interrupted_measurement_leaves_no_folder() {
    for signal in [Signal::INT, Signal::TERM] {
        let world = World::sqlite();
        world.folder("stores");
        let child = long_measurement(&world.node, &["--dir", &world.text_path("stores")]);
        let count = || std::fs::read_dir(world.path("stores")).expect("the folder").count();
        assert_eq!(count(), 1);
        ends_when_told(child, signal);
        assert_eq!(count(), 0);
    }
}

#[test]
fn an_interrupted_measurement_leaves_no_database() {
    let Some(database) = Database::fresh() else { return };
    let world = World::sqlite();
    world.folder("stores");
    let args = ["--dir", &world.text_path("stores"), "--postgres", &database.url];
    // SQLite comes first: the databases are there when it is through, so the server is all that is measured.
    let mut command = world.node.command(&[&["bench", "idle", "--quick"], args.as_slice()].concat());
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("nightshift starts");
    let name = format!("nightshift_bench_{}_idle", child.id());
    let said = BufReader::new(child.stderr.take().expect("stderr is piped"));
    let watched = said.lines().map_while(Result::ok).filter(|line| line.contains("is watched for")).nth(1);
    assert!(watched.is_some(), "it ended before it began: {:?}", child.wait());
    assert!(database.has_beside(&name));
    ends_when_told(child, Signal::INT);
    assert!(!database.has_beside(&name));
}

//! Schedules of workflows on the command line: what is listed, previewed, paused, triggered and filled in.

use nightshift_tests::world::World;
use serde_json::Value;

const FLOW: &str = "name: nightly
triggers: [{cron: \"0 6 * * *\", timezone: Europe/Berlin, overlap: buffer_one, jitter: 30s}]
steps: [{id: a, set: 1}]
";

fn text<'v>(row: &'v Value, column: &str) -> &'v str {
    row[column].as_str().unwrap_or_default()
}

#[test]
fn a_schedule_is_steered_by_the_name_of_what_it_starts() {
    let world = World::sqlite();
    let node = &world.node;
    let file = world.write("flow.yml", FLOW);
    let _ = node.run(&["workflow", "register", &file]).ok();
    let listed = node.run(&["schedule", "list"]).ok().out;
    let row = listed.lines().nth(1).expect("a row");
    assert!(row.contains("local/nightly") && row.contains("cron 0 6 * * *"), "{listed}");
    assert_eq!(listed.find("STARTS"), row.find("local/nightly"), "{listed}");

    let runs = |node: &nightshift_tests::world::Node| node.rows(&["run", "list"]).len();
    let paused = node.json(&["schedule", "pause", "nightly", "--note", "audit"]);
    assert_eq!((text(&paused, "status"), text(&paused, "pause_note")), ("paused", "audit"));
    let _ = node.run(&["schedule", "trigger", "local/nightly"]).ok();
    assert_eq!(runs(node), 1, "by hand also while it is paused");
    let resumed = node.json(&["schedule", "resume", &text(&paused, "id")[..8]]);
    assert_eq!(text(&resumed, "status"), "active");

    let range = ["schedule", "backfill", "nightly", "--from", "2026-03-01T00:00:00Z", "--upto", "2026-03-03T00:00:00Z"];
    let _ = node.run(&range).ok();
    assert_eq!(runs(node), 3, "two instants of the past");
    let _ = node.run(&range).ok();
    assert_eq!(runs(node), 3, "and each once");

    let turned = node.run(&[
        "schedule",
        "backfill",
        "nightly",
        "--from",
        "2026-03-03T00:00:00Z",
        "--upto",
        "2026-03-01T00:00:00Z",
    ]);
    assert_eq!(turned.code, 2, "{}", turned.err);
    let nobody = node.run(&["schedule", "pause", "nightl"]);
    assert_eq!(nobody.code, 6, "{}", nobody.err);
}

#[test]
fn a_preview_says_what_will_happen_to_each_instant() {
    let world = World::sqlite();
    let node = &world.node;
    let file = world.write("flow.yml", FLOW);
    let from = ["--from", "2026-03-28T00:00:00Z", "-n", "2"];
    let preview = |what: &str| node.rows(&[&["schedule", "preview", what], &from[..]].concat());
    let expected = ["2026-03-28T05:00:00Z", "2026-03-29T04:00:00Z"];
    let of_file = preview(&file);
    assert_eq!([text(&of_file[0], "utc"), text(&of_file[1], "utc")], expected, "over the change of the clock");
    let _ = node.run(&["workflow", "register", &file]).ok();
    let live = preview("nightly");
    assert_eq!([text(&live[0], "utc"), text(&live[1], "utc")], expected);
    let fate = text(&live[0], "what");
    assert!(fate.contains("starts local/nightly up to 30 s later") && fate.contains("waits if"), "{fate}");
    let _ = node.run(&["schedule", "pause", "nightly"]).ok();
    let fate = text(&preview("nightly")[0], "what").to_owned();
    assert!(fate.starts_with("nothing: the schedule is paused"), "{fate}");
}

#[test]
fn of_several_schedules_one_is_named() {
    let world = World::sqlite();
    let node = &world.node;
    let two = "name: two\ntriggers: [{cron: \"0 6 * * *\"}, {every: 6h}]\nsteps: [{id: a, set: 1}]\n";
    let file = world.write("two.yml", two);
    let _ = node.run(&["workflow", "register", &file]).ok();
    let turned = node.run(&["schedule", "pause", "two"]);
    assert_eq!(turned.code, 2);
    assert!(turned.err.contains("cron 0 6 * * *") && turned.err.contains("every 6h"), "{}", turned.err);
    assert_eq!(node.rows(&["schedule", "preview", "two", "-n", "3"]).len(), 6);
}

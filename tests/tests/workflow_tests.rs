//! `nightshift workflow test` through the binary: the stored workflows with the tests beside them.
//!
//! Owns: exit codes, and that neither a store nor a network is needed. What answers mean is tested in `crates/replay`.

use std::fs;

use nightshift_tests::{repo_root, world::World};
use serde_json::json;

fn ours(name: &str) -> String {
    repo_root().join("tests/workflows").join(name).display().to_string()
}

#[test]
fn the_stored_workflows_pass_the_tests_beside_them() {
    let world = World::sqlite();
    for name in ["weekly_seed_v1", "daily_instructor_v1"] {
        let (flow, test) = (ours(&format!("{name}.yml")), ours(&format!("{name}.test.yml")));
        let done = world.node.run(&["workflow", "test", &flow, "--outputs", &test, "--strict"]).ok();
        if name == "weekly_seed_v1" {
            for part in
                ["run.attempt_failed", "+ clo_begin_week (call) completed", "passed: 6 of 6 expectation(s) hold"]
            {
                assert!(done.out.contains(part), "{part:?} is not in {}", done.out);
            }
        } else {
            // The last step is skipped, so its answer is of no use.
            assert!(
                done.out.contains("passed: 5 of 5") && done.out.contains("notify were not asked for"),
                "{}",
                done.out
            );
        }
    }
    assert!(!world.node.data_dir.exists() || fs::read_dir(&world.node.data_dir).expect("a folder").next().is_none());
}

#[test]
fn without_answers_each_step_makes_nothing_and_strict_refuses_that() {
    let world = World::sqlite();
    let flow = ours("weekly_seed_v1.yml");
    let told = world.node.json(&["workflow", "test", &flow]);
    assert_eq!((&told["passed"], &told["status"]), (&json!(true), &json!("completed")), "{told:#}");
    assert_eq!(told["assumed"].as_array().map(Vec::len), Some(4));
    assert_eq!(told["asked"][0]["action"]["call"]["method"], "POST");
    assert!(told["timeline"].as_array().is_some_and(|lines| lines.len() > 8));
    let strict = world.node.run(&["workflow", "test", &flow, "--strict"]);
    assert!(strict.code == 1 && strict.out.contains("not answered   step clo_begin_week"), "{}", strict.out);
}

#[test]
fn what_differs_ends_with_1_and_faults_with_2() {
    let world = World::sqlite();
    let flow = ours("kpi-tracking.yaml");
    let test = world.write(
        "kpi.test.yml",
        "parameters: {kpi_names: [signups], start_date: 2026-01-01, end_date: 2026-01-31}\nsteps:\n  fetch-kpi-data: {output: {content: {deliverable: {content: rows, metadata: {rowCount: 3}}}}}\nexpect:\n  outputs:\n    fetch-kpi-data: {query_results: rows, row_count: 4}\n",
    );
    let done = world.node.run(&["workflow", "test", &flow, "--outputs", &test]);
    assert_eq!(done.code, 1, "{}{}", done.out, done.err);
    assert!(done.out.contains(":6:5 expect.outputs.fetch-kpi-data.row_count: expected 4, found 3"), "{}", done.out);
    let asked =
        world.node.run(&["workflow", "test", &flow, "--outputs", &test, "-p", "grouping=week", "--json"]).json();
    assert!(asked["asked"].to_string().contains("by week"), "{asked:#}");
    let faulty = world.write("faulty.yml", "steps:\n  fetch-kpi: {output: 1}\nexpect: {state: x}\n");
    let done = world.node.run(&["workflow", "test", &flow, "--outputs", &faulty]);
    assert_eq!(done.code, 2, "{}{}", done.out, done.err);
    for part in ["faulty.yml:2:3 steps.fetch-kpi: ", "faulty.yml:3:10 expect.state: ", "kpi_names", "start_date"] {
        assert!(done.err.contains(part), "{part:?} is not in: {}", done.err);
    }
}

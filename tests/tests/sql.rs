//! Questions in SQL, as people ask them of both databases: `nightshift sql`.
//!
//! Owns: the queries that the systems before this one printed, word for word, and what they answer here.

use nightshift_tests::{
    http::{Answer, Web},
    repo_root,
    world::{Node, World},
};
use serde_json::{Value, json};

/// Worlds on both databases; one on a machine without a server.
fn worlds() -> Vec<World> {
    [Some(World::sqlite()), World::postgres()].into_iter().flatten().collect()
}

const ACTIVE: &str = "-- Active jobs
SELECT * FROM job_queue WHERE status IN ('queued', 'leased', 'running');";
const FAILED: &str = "-- Failed jobs
SELECT * FROM job_queue WHERE status = 'failed';";
const ERRORS: &str = "-- Job attempts with errors
SELECT * FROM job_attempts WHERE success = false;";
const RATE: &str = "-- Workflow success rate
SELECT 
  workflow_key,
  COUNT(*) as total_runs,
  COUNT(*) FILTER (WHERE status = 'success') as successful_runs,
  ROUND(COUNT(*) FILTER (WHERE status = 'success')::decimal / COUNT(*) * 100, 2) as success_rate
FROM workflow_runs 
GROUP BY workflow_key;";
const STATES: &str = "-- Check job queue status
SELECT status, COUNT(*) FROM job_queue GROUP BY status;";
const STUCK: &str = "-- Find stuck jobs
SELECT * FROM job_queue WHERE status = 'leased' AND lease_until < NOW();";
const RECENT: &str = "-- Review recent errors
SELECT * FROM job_attempts WHERE success = false ORDER BY started_at DESC LIMIT 10;";
const WORKFLOWS: &str = "-- Check workflow status
SELECT workflow_key, status, COUNT(*) FROM workflow_runs GROUP BY workflow_key, status;";

fn ask(node: &Node, query: &str) -> Vec<Value> {
    node.rows(&["sql", query])
}

/// A store in which runs of `daily_instructor_v1` came out well twice and badly once.
fn lived(world: &World) -> Node {
    let web = Web::start(|asked, before| match (asked.path.ends_with("notify"), before) {
        (true, 2) => Answer::new(422, r#"{"ok": false, "error": "no such channel"}"#),
        _ => Answer::new(200, r#"{"ok": true}"#).with("content-type", "application/json"),
    });
    let node = world.node.clone().with("workflows.base_url", web.url(""));
    let file = repo_root().join("tests/workflows/daily_instructor_v1.yml").display().to_string();
    let _ = node.run(&["workflow", "register", &file]).ok();
    let ends = [0, 1, 2].map(|_| node.run(&["run", "start", "daily_instructor_v1", "--json"]).json()["status"].clone());
    assert_eq!(ends, ["failed", "completed", "completed"]);
    node
}

#[test]
fn the_printed_queries_run_on_both_databases_as_they_stand() {
    for world in worlds() {
        let node = lived(&world);
        assert_eq!(ask(&node, ACTIVE), Vec::<Value>::new());
        assert_eq!(ask(&node, FAILED), Vec::<Value>::new());
        assert_eq!(ask(&node, STUCK), Vec::<Value>::new());
        for query in [ERRORS, RECENT] {
            let errors = ask(&node, query);
            let [error] = errors.as_slice() else { panic!("one failed: {errors:#?}") };
            assert_eq!(error["status_code"], 422);
        }
        let rates = ask(&node, RATE);
        let expected = json!([{
            "workflow_key": "daily_instructor_v1", "total_runs": 3, "successful_runs": 2, "success_rate": 66.67,
        }]);
        assert_eq!(Value::from(rates), expected);
        let counts = |query: &str, key: &str| -> Vec<(String, i64)> {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let count = |row: &Value| row.get("count").or_else(|| row.get("COUNT(*)")).and_then(Value::as_i64);
            let mut found: Vec<_> =
                ask(&node, query).iter().map(|row| (text(&row[key]), count(row).unwrap_or_default())).collect();
            found.sort();
            found
        };
        assert_eq!(counts(STATES, "status"), [("dead".to_owned(), 1), ("success".to_owned(), 8)]);
        assert_eq!(counts(WORKFLOWS, "status"), [("failed".to_owned(), 1), ("success".to_owned(), 2)]);
    }
}

#[test]
fn a_question_is_answered_beside_a_daemon_and_in_the_same_form_on_both() {
    let asked = "SELECT r.created_at > NOW() - INTERVAL '1 day' AS young, r.created_at, COUNT(*)::int AS n, \
                 COUNT(*) AS n FROM workflow_runs r WHERE r.workflow_key ILIKE 'DAILY%' GROUP BY 1, 2 ORDER BY 2";
    for world in worlds() {
        let node = lived(&world);
        let mut daemon = node.serve();
        let _ = daemon.address();
        let rows = ask(&node, asked);
        assert_eq!(rows.len(), 3);
        for row in &rows {
            assert!(row["young"] == true || row["young"] == 1, "{row}");
            assert_eq!((&row["n"], &row["n_2"]), (&json!(1), &json!(1)), "{row}");
            let at = row["created_at"].as_str().expect("an instant");
            assert_eq!((at.len(), &at[10..11], &at[26..]), (27, "T", "Z"), "{at}");
        }
        let short = node.run(&["sql", "SELECT status FROM job_queue ORDER BY 1", "--limit", "1"]).ok();
        assert_eq!(short.out, "STATUS\ndead\n");
        assert!(short.err.contains("more than 1 row"), "{}", short.err);
        daemon.stop();
    }
}

#[test]
fn nothing_is_changed_by_a_question_and_a_faulty_one_says_why() {
    for world in worlds() {
        let node = lived(&world);
        for (asked, why) in [
            ("DELETE FROM job_queue", "questions change nothing"),
            ("SELECT 1; DELETE FROM job_queue", "statement"),
            ("COMMIT; DELETE FROM job_queue", "statement"),
            ("SELECT nothing FROM job_queue", "nothing"),
            ("SELECT 'open", "'open"),
        ] {
            let done = node.run(&["sql", asked]);
            assert_eq!(done.code, 2, "{asked}: {}", done.err);
            assert!(
                done.err.contains(why) || done.err.contains("multiple commands") || done.err.contains("no end"),
                "{asked}: {}",
                done.err
            );
        }
        assert_eq!(ask(&node, "SELECT COUNT(*) AS n FROM job_queue")[0]["n"], 9);
    }
}

//! Which index each statement uses: a plan that scans a table passes every other test and stops a large store.

use nightshift_ports::read_models::Query;
use nightshift_projections::tables::JOB_QUEUE;
use serde_json::Value;
use sqlx::{AssertSqlSafe, Row};
use uuid::Uuid;

use super::{OpenOptions, SqliteStore, tables::DIALECT};

/// Statement, table, and the columns of the key or index that its plan must use.
const PLANS: &[(&str, &str, &str)] = &[
    (
        include_str!("sql/append_write.sql"),
        "DELETE FROM inbox",
        "inbox USING PRIMARY KEY (shard_id=? AND command_id=?)",
    ),
    (
        include_str!("sql/append_write.sql"),
        "DELETE FROM obligation",
        "obligation USING PRIMARY KEY (shard_id=? AND stream_id=? AND key=?)",
    ),
    (include_str!("sql/append_check.sql"), "SELECT s.shard_id", "e USING PRIMARY KEY (shard_id=?)"),
    (include_str!("sql/read_shard.sql"), "SELECT CAST", "event USING PRIMARY KEY (shard_id=? AND seq>?)"),
    (
        include_str!("sql/read_stream.sql"),
        "SELECT CAST",
        "event USING INDEX event_stream (shard_id=? AND stream_id=? AND stream_version>?)",
    ),
    (include_str!("sql/command.sql"), "SELECT", "command USING INDEX command_key (shard_id=? AND command_id=?)"),
    (
        include_str!("sql/read_commands.sql"),
        "WITH mine",
        "command USING INDEX command_silent (shard_id=? AND stream_id=? AND first_seq>?)",
    ),
    (
        include_str!("sql/read_commands.sql"),
        "WITH mine",
        "e USING INDEX event_stream (shard_id=? AND stream_id=? AND stream_version>?)",
    ),
    (include_str!("sql/read_commands.sql"), "WITH mine", "c USING INDEX command_key (shard_id=? AND command_id=?)"),
    (
        include_str!("sql/owed.sql"),
        "SELECT",
        "obligation USING INDEX obligation_due (shard_id=? AND class=? AND due_at>? AND due_at<?)",
    ),
    (include_str!("sql/owed_by.sql"), "SELECT", "obligation USING PRIMARY KEY (shard_id=? AND stream_id=?)"),
    (include_str!("sql/heads.sql"), "SELECT", "e USING PRIMARY KEY (shard_id=?)"),
];

/// The statement of a file that begins with these words.
fn statement<'a>(file: &'a str, begins: &str) -> &'a str {
    let statements = file.split(';').map(|text| {
        let code = text.lines().position(|line| !line.trim().is_empty() && !line.starts_with("--")).unwrap_or(0);
        let from: usize = text.lines().take(code).map(|line| line.len() + 1).sum();
        &text[from..]
    });
    statements.into_iter().find(|text| text.starts_with(begins)).expect("a statement of the file")
}

/// An index of one state is used only when the statement names the state.
#[tokio::test]
async fn the_dead_are_found_by_their_own_index() {
    let folder = tempfile::tempdir().expect("a folder");
    let store =
        SqliteStore::open(OpenOptions::at(folder.path().join("plans.db"), Uuid::nil(), &[])).await.expect("opened");
    for (status, found) in [("dead", true), ("success", false), ("no 'word'", false)] {
        let equals = vec![("status", Value::from(status))];
        let query = Query { equals, order: vec![("job_id", false)], ..Query::default() };
        let question = DIALECT.question(&JOB_QUEUE, &query).expect("a question");
        let mut asked = sqlx::query(AssertSqlSafe(format!("EXPLAIN QUERY PLAN {}", question.sql)));
        for parameter in question.parameters {
            asked = asked.bind(parameter);
        }
        let rows = asked.fetch_all(&store.inner.readers).await.expect("explained");
        let plan: Vec<String> = rows.iter().map(|row| row.get("detail")).collect();
        assert_eq!(plan.iter().any(|line| line.contains("job_queue_letters")), found, "{status}: {plan:#?}");
    }
}

#[tokio::test]
async fn every_statement_uses_its_index() {
    let folder = tempfile::tempdir().expect("a folder");
    let store =
        SqliteStore::open(OpenOptions::at(folder.path().join("plans.db"), Uuid::nil(), &[])).await.expect("opened");
    for (file, begins, index) in PLANS {
        let sql = format!("EXPLAIN QUERY PLAN {}", statement(file, begins));
        let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all(&store.inner.readers).await.expect("explained");
        let plan: Vec<String> =
            rows.iter().map(|row| row.get::<String, _>("detail").replace("COVERING ", "")).collect();
        assert!(plan.iter().any(|line| line.contains(index)), "{begins}: no {index:?} in {plan:#?}");
        let tables = ["event", "command", "obligation", "inbox"];
        let scanned = plan.iter().find(|line| tables.iter().any(|table| line.starts_with(&format!("SCAN {table}"))));
        assert_eq!(scanned, None, "{begins}");
    }
}

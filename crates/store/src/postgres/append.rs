//! The append on PostgreSQL: one prepared statement, and what each failure of it means.

use std::time::Duration;

use nightshift_ports::{
    batch,
    log::{AppendError, ShardBatch, Verdict},
};

use super::{PostgresStore, columns::Columns};

/// A server that has not answered by then may be gone without a word. Longer than its own statement timeout.
const PATIENCE: Duration = Duration::from_secs(10);

impl PostgresStore {
    pub(super) async fn append_group(&self, group: &[ShardBatch]) -> Result<Vec<Verdict>, AppendError> {
        batch::check(group)?;
        if group.is_empty() {
            return Ok(Vec::new());
        }
        let columns = Columns::of(group)?;
        // Without a connection nothing was sent.
        let mut conn =
            self.inner.lanes.acquire().await.map_err(|error| AppendError::NotWritten { why: error.to_string() })?;
        let statement = columns.bind(sqlx::query(include_str!("sql/append.sql")));
        let rows = match tokio::time::timeout(PATIENCE, statement.fetch_all(&mut *conn)).await {
            Ok(rows) => rows,
            Err(_) => {
                // Its answer may still come: this connection must not be used again.
                conn.close_on_drop();
                return Err(AppendError::Unknown { why: format!("no answer within {} s", PATIENCE.as_secs()) });
            }
        };
        let rows = match rows {
            Ok(rows) => rows,
            Err(error) => {
                let error = append_error(&error);
                if matches!(error, AppendError::Unknown { .. }) {
                    conn.close_on_drop();
                }
                return Err(error);
            }
        };
        let mine: Vec<i32> = rows.iter().map(|row| sqlx::Row::get(row, 0)).collect();
        let verdict = |batch: &ShardBatch| match mine.contains(&i32::from(batch.shard.0)) {
            true => Verdict::Committed,
            false => Verdict::Fenced,
        };
        Ok(group.iter().map(verdict).collect())
    }
}

/// What a failure of the one statement means.
fn append_error(error: &sqlx::Error) -> AppendError {
    meaning(error.as_database_error().and_then(|error| error.code()).as_deref(), error.to_string())
}

/// What an SQLSTATE means for a statement that is its own transaction; none when the server sent no error.
fn meaning(sqlstate: Option<&str>, why: String) -> AppendError {
    match sqlstate {
        // The connection broke while the statement was under way.
        None => AppendError::Unknown { why },
        // The server was told to end, or a cancel arrived: perhaps after the commit was durable.
        Some("57014" | "57P01" | "57P02" | "57P03") => AppendError::Unknown { why },
        Some(code) if code.starts_with("08") => AppendError::Unknown { why },
        // Constraints; values that do not fit; limits of the program: this group will never be taken.
        Some(code) if ["22", "23", "54"].iter().any(|class| code.starts_with(class)) => {
            AppendError::Contradiction { why }
        }
        // Conflicts (40), locks (55), no resources (53), read-only (25), and whatever else made the server roll back.
        Some(_) => AppendError::NotWritten { why },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_failure_has_one_meaning() {
        let table = [
            (None, "unknown"),
            (Some("57014"), "unknown"),
            (Some("57P01"), "unknown"),
            (Some("08006"), "unknown"),
            (Some("23505"), "contradiction"),
            (Some("22021"), "contradiction"),
            (Some("40001"), "not written"),
            (Some("40P01"), "not written"),
            (Some("55P03"), "not written"),
            (Some("53100"), "not written"),
            (Some("53200"), "not written"),
            (Some("53300"), "not written"),
            (Some("25006"), "not written"),
        ];
        for (code, expected) in table {
            let found = match meaning(code, String::new()) {
                AppendError::Unknown { .. } => "unknown",
                AppendError::Contradiction { .. } => "contradiction",
                AppendError::NotWritten { .. } => "not written",
            };
            assert_eq!(found, expected, "{code:?}");
        }
    }
}

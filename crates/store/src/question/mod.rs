//! What people ask in SQL, and what they are answered.
//!
//! Owns: the shape of an answer, which names its columns have, that one statement is asked at a time.
//! Refuses to know: who asks, how an answer is shown. Nothing here can change a store: each database is asked on a connection
//! that may not write.

pub(crate) mod lexer;
pub(crate) mod translate;

use nightshift_ports::log::StoreError;
use serde_json::Value;

/// Rows for a person's question, as the database gave them.
#[derive(Debug, Clone, PartialEq)]
pub struct Answered {
    /// Names of the columns, each once: the second `count` is `count_2`.
    pub columns: Vec<String>,
    /// The rows, a value for each column.
    pub rows: Vec<Vec<Value>>,
    /// There were more rows than were asked for.
    pub more: bool,
}

/// Why a question has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    /// The database does not understand it, or it would write.
    #[error("{0}")]
    Faulty(String),
    /// The database did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What the database said to a question.
pub(crate) fn refused(error: sqlx::Error) -> AskError {
    match error {
        sqlx::Error::Database(error) => {
            let code = error.code();
            // PostgreSQL: read_only_sql_transaction. SQLite: SQLITE_READONLY and its finer codes.
            let writes = code.as_deref() == Some("25006")
                || code.as_deref().and_then(|code| code.parse::<u32>().ok()).is_some_and(|code| code & 0xff == 8);
            let why = error.message().to_owned();
            AskError::Faulty(if writes { format!("questions change nothing: {why}") } else { why })
        }
        error => AskError::Store(crate::error::failed("answer the question")(error)),
    }
}

/// Names of columns, each once.
pub(crate) fn distinct<'n>(names: impl Iterator<Item = &'n str>) -> Vec<String> {
    let mut distinct: Vec<String> = Vec::new();
    for name in names {
        let mut candidate = name.to_owned();
        let mut nth = 2;
        while distinct.contains(&candidate) {
            candidate = format!("{name}_{nth}");
            nth += 1;
        }
        distinct.push(candidate);
    }
    distinct
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_have_names_of_their_own() {
        assert_eq!(distinct(["count", "id", "count", "count"].into_iter()), ["count", "id", "count_2", "count_3"]);
    }
}

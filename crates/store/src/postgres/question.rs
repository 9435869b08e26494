//! Questions of people in SQL, on PostgreSQL.

use futures::TryStreamExt;
use nightshift_ports::log::StoreError;
use serde_json::Value;
use sqlx::{
    AssertSqlSafe, Column, Connection, Executor, Row, SqlSafeStr, Statement, TypeInfo, ValueRef,
    postgres::{PgRow, PgValueRef},
};

use super::{PostgresStore, open};
use crate::{
    error::failed,
    question::{Answered, AskError, distinct, refused},
};

/// More digits than these a double does not hold.
const DIGITS_MAX: usize = 15;

impl PostgresStore {
    /// Answers a question, with at most `limit` rows, in a session of its own that only reads.
    ///
    /// # Errors
    /// See [`AskError`].
    pub async fn ask(&self, sql: &str, limit: usize) -> Result<Answered, AskError> {
        let fault = failed("answer the question");
        let read_only = self.inner.connect.clone().options([("default_transaction_read_only", "on")]);
        let connected = open::connect(&read_only).await;
        let mut conn = connected.map_err(|error| AskError::Store(unreachable(&error)))?;
        // The server refuses to prepare more than one statement: nothing can end the transaction and go on behind it.
        let statement = conn.prepare(AssertSqlSafe(sql.to_owned()).into_sql_str()).await.map_err(refused)?;
        let columns = distinct(statement.columns().iter().map(Column::name));
        let mut answered = Answered { columns, rows: Vec::new(), more: false };
        // Without parameters the server prints every type as a text, those of extensions too.
        let mut rows = sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).fetch(&mut conn);
        while let Some(row) = rows.try_next().await.map_err(refused)? {
            if answered.rows.len() == limit {
                answered.more = true;
                break;
            }
            answered.rows.push(values(&row)?);
        }
        drop(rows);
        conn.close().await.map_err(&fault)?;
        Ok(answered)
    }
}

fn unreachable(error: &crate::OpenError) -> StoreError {
    StoreError::Failed { doing: "answer the question", why: error.to_string() }
}

fn values(row: &PgRow) -> Result<Vec<Value>, StoreError> {
    (0..row.len()).map(|at| row.try_get_raw(at).map_err(failed("read an answer")).and_then(|raw| value(&raw))).collect()
}

fn value(raw: &PgValueRef<'_>) -> Result<Value, StoreError> {
    if raw.is_null() {
        return Ok(Value::Null);
    }
    let text = raw.as_str().map_err(|error| failed("read an answer")(sqlx::Error::Decode(error)))?;
    Ok(of_text(raw.type_info().name(), text))
}

/// A printed value in the form in which the tables give it on every store.
fn of_text(kind: &str, text: &str) -> Value {
    let or_text = |value: Option<Value>| value.unwrap_or_else(|| Value::from(text));
    match kind {
        "BOOL" => Value::Bool(text == "t"),
        "INT2" | "INT4" | "INT8" => or_text(text.parse::<i64>().ok().map(Value::from)),
        "FLOAT4" | "FLOAT8" | "NUMERIC" => {
            let digits = text.bytes().filter(u8::is_ascii_digit).count();
            let number = text.parse::<f64>().ok().filter(|number| digits <= DIGITS_MAX && number.is_finite());
            or_text(number.map(Value::from))
        }
        "JSON" | "JSONB" => or_text(serde_json::from_str(text).ok()),
        "TIMESTAMPTZ" => or_text(instant(text).map(Value::from)),
        _ => Value::from(text),
    }
}

/// `2026-03-02 09:00:00.5+00` as `2026-03-02T09:00:00.500000Z`.
fn instant(text: &str) -> Option<String> {
    let (date, time) = text.strip_suffix("+00")?.split_once(' ')?;
    let (second, fraction) = time.split_once('.').unwrap_or((time, ""));
    Some(format!("{date}T{second}.{fraction:0<6}Z"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn printed_values_are_those_of_the_tables() {
        for (kind, text, expected) in [
            ("BOOL", "t", json!(true)),
            ("INT8", "-5", json!(-5)),
            ("NUMERIC", "66.67", json!(66.67)),
            ("NUMERIC", "NaN", json!("NaN")),
            ("NUMERIC", "12345678901234567890", json!("12345678901234567890")),
            ("JSONB", "{\"a\": [1]}", json!({"a": [1]})),
            ("TIMESTAMPTZ", "2026-03-02 09:00:00.5+00", json!("2026-03-02T09:00:00.500000Z")),
            ("TIMESTAMPTZ", "2026-03-02 09:00:00+00", json!("2026-03-02T09:00:00.000000Z")),
            ("TIMESTAMPTZ", "infinity", json!("infinity")),
            ("UUID", "x", json!("x")),
        ] {
            assert_eq!(of_text(kind, text), expected, "{kind} {text}");
        }
    }
}

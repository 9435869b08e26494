//! Questions of people in SQL, on SQLite.

use futures::TryStreamExt;
use nightshift_domain::time::Timestamp;
use nightshift_ports::{log::StoreError, rows};
use nightshift_projections::table::ColumnType;
use serde_json::Value;
use sqlx::{
    AssertSqlSafe, Column, Connection, Decode, Executor, Row, SqlSafeStr, Sqlite, Statement, TypeInfo, ValueRef,
    sqlite::{SqliteRow, SqliteValueRef},
};

use super::{SqliteStore, open::connect_for_reading};
use crate::{
    error::failed,
    question::{Answered, AskError, distinct, refused, translate::for_sqlite},
};

impl SqliteStore {
    /// Answers a question, with at most `limit` rows, on a connection of its own that cannot write. What PostgreSQL reads and
    /// SQLite does not is translated (`expression::type`, `NOW()`, intervals, `ILIKE`); `now` is what `NOW()` means.
    ///
    /// # Errors
    /// See [`AskError`].
    pub async fn ask(&self, sql: &str, now: Timestamp, limit: usize) -> Result<Answered, AskError> {
        // As the tables keep instants: always six decimals, so that texts compare as instants do.
        let now = rows::asked(ColumnType::Time, &Value::from(now.to_string()));
        let sql = for_sqlite(sql, now.as_str().unwrap_or_default()).map_err(AskError::Faulty)?;
        let fault = failed("answer the question");
        let mut conn = connect_for_reading(&self.inner.path).await.map_err(&fault)?;
        let statement = conn.prepare(AssertSqlSafe(sql.clone()).into_sql_str()).await.map_err(refused)?;
        let columns = distinct(statement.columns().iter().map(Column::name));
        let mut answered = Answered { columns, rows: Vec::new(), more: false };
        let mut rows = sqlx::query(AssertSqlSafe(sql)).fetch(&mut conn);
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

fn values(row: &SqliteRow) -> Result<Vec<Value>, StoreError> {
    (0..row.len()).map(|at| row.try_get_raw(at).map_err(failed("read an answer")).and_then(value)).collect()
}

fn value(raw: SqliteValueRef<'_>) -> Result<Value, StoreError> {
    let fault = |error| failed("read an answer")(sqlx::Error::Decode(error));
    if raw.is_null() {
        return Ok(Value::Null);
    }
    let kind = raw.type_info().name().to_owned();
    Ok(match kind.as_str() {
        "INTEGER" | "BOOLEAN" => Value::from(<i64 as Decode<Sqlite>>::decode(raw).map_err(fault)?),
        "REAL" => Value::from(<f64 as Decode<Sqlite>>::decode(raw).map_err(fault)?),
        "BLOB" => {
            let bytes = <&[u8] as Decode<Sqlite>>::decode(raw).map_err(fault)?;
            Value::from(bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
        }
        _ => Value::from(<&str as Decode<Sqlite>>::decode(raw).map_err(fault)?),
    })
}

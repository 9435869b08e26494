//! Rows of one table as parameters, a value each.
//!
//! Owns: how a value of a row becomes one that SQLite keeps: truth as 0 and 1, documents as text.
//! Refuses to know: statements, what a column means.

use std::sync::Arc;

use nightshift_projections::{
    Image,
    table::{ColumnType, TableDef},
};
use serde_json::Value;
use sqlx::{Arguments, sqlite::SqliteArguments};

use crate::{record::number, tables::Cleaned};

/// The values of the rows one after another, each row in the order of its table's columns with shard and place last.
/// A value that does not fit its column is refused by the table, which is strict.
///
/// # Errors
/// A value cannot be written down.
pub(super) fn arguments(table: &TableDef, rows: &[&Image]) -> Result<SqliteArguments, sqlx::Error> {
    let mut arguments = SqliteArguments::default();
    arguments.reserve(rows.len() * (table.columns.len() + 2), 0);
    for image in rows {
        for (column, value) in table.columns.iter().zip(image.values()) {
            match value {
                Value::Null => arguments.add(None::<i64>),
                value if column.kind == ColumnType::Json => arguments.add(document(value)?),
                Value::Bool(truth) => arguments.add(i64::from(*truth)),
                Value::Number(count) => match count.as_i64() {
                    Some(count) => arguments.add(count),
                    None => arguments.add(count.as_f64()),
                },
                Value::String(text) if text.contains('\0') => arguments.add(text.replace('\0', "\u{fffd}")),
                Value::String(text) => arguments.add(Arc::<str>::from(text.as_str())),
                elsewhere => arguments.add(document(elsewhere)?),
            }
            .map_err(sqlx::Error::Encode)?;
        }
        arguments.add(i64::from(image.shard())).map_err(sqlx::Error::Encode)?;
        arguments.add(number(image.seq())).map_err(sqlx::Error::Encode)?;
    }
    Ok(arguments)
}

fn document(value: &Value) -> Result<String, sqlx::Error> {
    serde_json::to_string(&Cleaned(value)).map_err(|error| sqlx::Error::Encode(error.into()))
}

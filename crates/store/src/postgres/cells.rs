//! Rows of one table as arrays, one for each column, in the server's own form of each type.
//!
//! Owns: how a value of a row becomes one that the driver sends.
//! Refuses to know: statements, what a column means.

use std::borrow::Cow;

use nightshift_projections::{
    Image,
    table::{Column, ColumnType, TableDef},
};
use serde_json::Value;
use sqlx::{
    Arguments,
    error::BoxDynError,
    postgres::PgArguments,
    types::chrono::{DateTime, Utc},
};
use uuid::Uuid;

use crate::{record::number, tables::Cleaned};

/// The rows as the parameters of a statement that takes one array for each column of the table, and behind them those of
/// shards and places.
///
/// # Errors
/// A value does not fit the type of its column.
pub(super) fn arguments(table: &TableDef, rows: &[&Image]) -> Result<PgArguments, sqlx::Error> {
    let mut arguments = PgArguments::default();
    for (at, column) in table.columns.iter().enumerate() {
        let cells = rows.iter().map(|image| &image.values()[at]);
        let added = match column.kind {
            ColumnType::Text => array(cells, |cell| Ok(text(cell))).and_then(|column| arguments.add(column)),
            ColumnType::Json => array(cells, document).and_then(|column| arguments.add(column)),
            ColumnType::Uuid => array(cells, uuid).and_then(|column| arguments.add(column)),
            ColumnType::Time => array(cells, instant).and_then(|column| arguments.add(column)),
            ColumnType::Int => array(cells, int).and_then(|column| arguments.add(column)),
            ColumnType::Bool => array(cells, truth).and_then(|column| arguments.add(column)),
            ColumnType::Real => array(cells, real).and_then(|column| arguments.add(column)),
        };
        added.map_err(misfit(table, column))?;
    }
    let shards: Vec<i64> = rows.iter().map(|image| i64::from(image.shard())).collect();
    let places: Vec<i64> = rows.iter().map(|image| number(image.seq())).collect();
    arguments.add(shards).and_then(|()| arguments.add(places)).map_err(sqlx::Error::Encode)?;
    Ok(arguments)
}

/// One column. Null stays null, whatever the type.
fn array<'a, T>(
    cells: impl Iterator<Item = &'a Value>,
    of: impl Fn(&'a Value) -> Result<T, BoxDynError>,
) -> Result<Vec<Option<T>>, BoxDynError> {
    cells.map(|cell| if cell.is_null() { Ok(None) } else { of(cell).map(Some) }).collect()
}

fn odd(cell: &Value) -> BoxDynError {
    format!("{cell} is not a value of this type").into()
}

/// A value that does not fit its column.
pub(super) fn misfit(table: &TableDef, column: &Column) -> impl Fn(BoxDynError) -> sqlx::Error {
    move |error| sqlx::Error::Encode(format!("{}.{}: {error}", table.name, column.name).into())
}

/// PostgreSQL keeps no NUL in a text.
pub(super) fn text(cell: &Value) -> Cow<'_, str> {
    match cell {
        Value::String(text) if text.contains('\0') => Cow::Owned(text.replace('\0', "\u{fffd}")),
        Value::String(text) => Cow::Borrowed(text),
        other => Cow::Owned(other.to_string()),
    }
}

fn document(cell: &Value) -> Result<String, BoxDynError> {
    Ok(serde_json::to_string(&Cleaned(cell))?)
}

pub(super) fn uuid(cell: &Value) -> Result<Uuid, BoxDynError> {
    Ok(Uuid::parse_str(cell.as_str().ok_or_else(|| odd(cell))?)?)
}

pub(super) fn instant(cell: &Value) -> Result<DateTime<Utc>, BoxDynError> {
    Ok(DateTime::parse_from_rfc3339(cell.as_str().ok_or_else(|| odd(cell))?)?.to_utc())
}

pub(super) fn int(cell: &Value) -> Result<i64, BoxDynError> {
    cell.as_i64().ok_or_else(|| odd(cell))
}

pub(super) fn truth(cell: &Value) -> Result<bool, BoxDynError> {
    cell.as_bool().ok_or_else(|| odd(cell))
}

pub(super) fn real(cell: &Value) -> Result<f64, BoxDynError> {
    cell.as_f64().ok_or_else(|| odd(cell))
}

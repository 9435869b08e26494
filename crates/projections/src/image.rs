//! A row by place of its columns: what folds work on and stores write. No names, so that a row costs its values only.
//!
//! Owns: the order of values, and the way to and from a [`Row`] with names.
//! Refuses to know: events, databases, which column means what.

use nightshift_domain::recorded::Recorded;
use serde_json::Value;

use crate::table::{Row, RowKey, TableDef};

/// A row by place: the values of [`TableDef::columns`] in their order, and where the newest event in it came from.
#[derive(Debug, Clone, PartialEq)]
pub struct Image {
    values: Vec<Value>,
    shard: u16,
    seq: u64,
}

impl Image {
    /// The row with names as one by place: what is missing is null, what the table does not have is left out.
    #[must_use]
    pub fn from_row(table: &TableDef, mut row: Row) -> Self {
        let values = table.columns.iter().map(|column| row.remove(column.name).unwrap_or(Value::Null)).collect();
        let number = |name: &str| row.get(name).and_then(Value::as_u64).unwrap_or(0);
        Self { values, shard: u16::try_from(number("shard_id")).unwrap_or(0), seq: number("src_seq") }
    }

    /// The row with the names of its table's columns, `shard_id` and `src_seq`.
    #[must_use]
    pub fn into_row(self, table: &TableDef) -> Row {
        let place = [("shard_id", Value::from(self.shard)), ("src_seq", Value::from(self.seq))];
        let own = table.columns.iter().map(|column| column.name).zip(self.values);
        own.chain(place).map(|(name, value)| (name.to_owned(), value)).collect()
    }

    /// The values in the order of the table's columns.
    #[must_use]
    pub fn values(&self) -> &[Value] {
        &self.values
    }

    /// Number of the shard of the newest event in the row.
    #[must_use]
    pub const fn shard(&self) -> u16 {
        self.shard
    }

    /// Place of that event in its shard.
    #[must_use]
    pub const fn seq(&self) -> u64 {
        self.seq
    }

    /// The key of the row in its table.
    #[must_use]
    pub fn key(&self, table: &TableDef) -> RowKey {
        table.key_places().map(|at| self.values[at].clone()).collect()
    }

    /// A row of nulls.
    pub(crate) fn blank(table: &TableDef) -> Self {
        Self { values: vec![Value::Null; table.columns.len()], shard: 0, seq: 0 }
    }

    /// The newest event in it is this one.
    pub(crate) fn stamp(&mut self, by: &Recorded) {
        (self.shard, self.seq) = (by.shard.0, by.seq);
    }

    /// The value in a column.
    pub(crate) fn get(&self, column: usize) -> &Value {
        &self.values[column]
    }

    /// The text in a column; empty when there is none.
    pub(crate) fn text(&self, column: usize) -> &str {
        self.values[column].as_str().unwrap_or_default()
    }

    /// The number in a column; 0 when there is none.
    pub(crate) fn int(&self, column: usize) -> i64 {
        self.values[column].as_i64().unwrap_or(0)
    }

    /// Adds to the number in a column.
    pub(crate) fn add(&mut self, column: usize, more: i64) -> &mut Self {
        let sum = self.int(column).saturating_add(more);
        self.set(column, sum)
    }

    /// Whether a column is null.
    pub(crate) fn is_null(&self, column: usize) -> bool {
        self.values[column].is_null()
    }

    /// Puts a value into a column.
    pub(crate) fn set(&mut self, column: usize, value: impl Into<Value>) -> &mut Self {
        self.values[column] = value.into();
        self
    }

    /// Puts null into columns.
    pub(crate) fn clear(&mut self, columns: &[usize]) -> &mut Self {
        columns.iter().for_each(|column| self.values[*column] = Value::Null);
        self
    }

    /// The value in a column, to be changed in place.
    pub(crate) fn get_mut(&mut self, column: usize) -> &mut Value {
        &mut self.values[column]
    }
}

//! Tables and rows as data: one description serves the folds, both databases and the tests that compare them.
//!
//! Owns: what a read-model table looks like and the value a row is.
//! Refuses to know: SQL.

use serde_json::{Map, Value};

/// One row: column name to value. Times are RFC 3339 texts in UTC with microseconds, ids are texts.
pub type Row = Map<String, Value>;

/// The values of a row's key columns, in the order of [`TableDef::key`].
pub type RowKey = Vec<Value>;

/// Type of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnType {
    /// Text.
    Text,
    /// A UUID: `UUID` on PostgreSQL, text on SQLite.
    Uuid,
    /// A 64-bit integer.
    Int,
    /// True or false: `BOOLEAN` on PostgreSQL, 0 or 1 on SQLite (rows carry JSON booleans on both).
    Bool,
    /// An instant: `TIMESTAMPTZ` on PostgreSQL, RFC 3339 text with six decimals and `Z` on SQLite.
    Time,
    /// A JSON document: `JSONB` on PostgreSQL, text on SQLite (rows carry the parsed document on both).
    Json,
    /// A double: used for scores shown to people only.
    Real,
}

/// One column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: &'static str,
    /// Its type.
    pub kind: ColumnType,
    /// It may be null.
    pub nullable: bool,
}

/// One table. Every table also has `shard_id` and `src_seq`: where the newest event in the row came from.
#[derive(Debug, PartialEq, Eq)]
pub struct TableDef {
    /// Its name, one that users of the seed systems know.
    pub name: &'static str,
    /// Its columns, in order, without `shard_id` and `src_seq`.
    pub columns: &'static [Column],
    /// Names of the key columns.
    pub key: &'static [&'static str],
    /// Names of other columns that keep the value the row began with: no index of them alone is touched when it changes.
    pub fixed: &'static [&'static str],
}

impl TableDef {
    /// The key of a row of this table. A column that is missing counts as null.
    #[must_use]
    pub fn key_of(&self, row: &Row) -> RowKey {
        self.key.iter().map(|column| row.get(*column).cloned().unwrap_or(Value::Null)).collect()
    }

    /// Places of the key columns among [`TableDef::columns`], in the order of [`TableDef::key`]. A name that no column
    /// has is passed over.
    pub fn key_places(&self) -> impl Iterator<Item = usize> {
        self.key.iter().filter_map(|key| self.columns.iter().position(|column| column.name == *key))
    }

    /// The column of that name.
    #[must_use]
    pub fn column(&self, name: &str) -> Option<&'static Column> {
        self.columns.iter().find(|column| column.name == name)
    }
}

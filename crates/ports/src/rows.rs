//! What every store does to the rows of read models in the same way, so that the same row comes back from each.
//!
//! Owns: the normal form of a row, the net effect of batches, which columns a question may name.
//! Refuses to know: SQL, where rows are kept.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, SecondsFormat};
use nightshift_domain::ids::ShardId;
use nightshift_projections::{
    Image,
    table::{ColumnType, Row, RowKey, TableDef},
};
use serde_json::Value;

use crate::{
    log::StoreError,
    read_models::{Query, RowBatch},
};

/// Columns that every table has beside its own.
pub const PLACE_COLUMNS: [&str; 2] = ["shard_id", "src_seq"];

/// How many rows a question gets when it does not say.
pub const DEFAULT_LIMIT: u32 = 100;

/// The type of a column of `table`, its own or one of [`PLACE_COLUMNS`].
///
/// # Errors
/// The table has no such column.
pub fn column_type(table: &TableDef, column: &str) -> Result<ColumnType, StoreError> {
    if PLACE_COLUMNS.contains(&column) {
        return Ok(ColumnType::Int);
    }
    table.column(column).map(|column| column.kind).ok_or_else(|| {
        let known: Vec<&str> = table.columns.iter().map(|column| column.name).chain(PLACE_COLUMNS).collect();
        StoreError::Failed {
            doing: "answer the question",
            why: format!("table {} has no column {column:?}; it has {}", table.name, known.join(", ")),
        }
    })
}

/// Names and types of all columns of `table`, its own first.
pub fn all_columns(table: &TableDef) -> impl Iterator<Item = (&'static str, ColumnType)> {
    let own = table.columns.iter().map(|column| (column.name, column.kind));
    own.chain(PLACE_COLUMNS.map(|name| (name, ColumnType::Int)))
}

/// The order a question asks for, completed by the key so that it is total. True for descending.
#[must_use]
pub fn total_order(table: &TableDef, query: &Query) -> Vec<(&'static str, bool)> {
    let mut order = query.order.clone();
    for key in table.key {
        if !order.iter().any(|(column, _)| column == key) {
            order.push((key, false));
        }
    }
    order
}

/// A row as every store gives it back: all columns, missing ones null, numbers of a `Real` as doubles.
#[must_use]
pub fn normal(table: &TableDef, mut row: Row) -> Row {
    let mut whole = Row::new();
    for (name, kind) in all_columns(table) {
        let value = row.remove(name).unwrap_or(Value::Null);
        whole.insert(name.to_owned(), normal_value(kind, value));
    }
    whole
}

/// A value in the normal form of its column.
#[must_use]
pub fn normal_value(kind: ColumnType, value: Value) -> Value {
    match (kind, value) {
        (ColumnType::Real, Value::Number(number)) => number.as_f64().map_or(Value::Null, Value::from),
        (_, value) => clean(value),
    }
}

/// A value of a question in the form in which rows carry it: instants with six decimals and `Z`, however they were
/// written.
#[must_use]
pub fn asked(kind: ColumnType, value: &Value) -> Value {
    match (kind, value) {
        (ColumnType::Time, Value::String(text)) => match DateTime::parse_from_rfc3339(text) {
            Ok(at) => Value::from(at.to_utc().to_rfc3339_opts(SecondsFormat::Micros, true)),
            Err(_) => value.clone(),
        },
        (kind, value) => normal_value(kind, value.clone()),
    }
}

/// Replaces the character NUL, which no text of PostgreSQL can hold: one such character in a title would stop the read
/// models for ever.
#[must_use]
pub fn clean(value: Value) -> Value {
    match value {
        Value::String(text) if text.contains('\0') => Value::String(text.replace('\0', "\u{fffd}")),
        Value::Array(items) => Value::Array(items.into_iter().map(clean).collect()),
        Value::Object(fields) => Value::Object(
            fields.into_iter().map(|(name, value)| (name.replace('\0', "\u{fffd}"), clean(value))).collect(),
        ),
        other => other,
    }
}

/// What batches do to one table: final images and keys that are gone.
#[derive(Debug)]
pub struct TableChange<'a> {
    /// The table.
    pub table: &'static TableDef,
    /// Final image of each row, at most one for each key, in order of first mention.
    pub upserts: Vec<&'a Image>,
    /// Keys that are gone.
    pub deletes: Vec<&'a RowKey>,
}

/// What became of one key.
#[derive(Clone, Copy)]
enum End<'a> {
    Image(&'a Image),
    Gone(&'a RowKey),
}

/// What became of the keys of one table. Keys are compared where they stand: none is copied.
struct Ends<'a> {
    table: &'static TableDef,
    key: Vec<usize>,
    places: HashMap<Vec<&'a Value>, usize>,
    ends: Vec<End<'a>>,
}

impl<'a> Ends<'a> {
    fn of(table: &'static TableDef) -> Self {
        Self { table, key: table.key_places().collect(), places: HashMap::new(), ends: Vec::new() }
    }

    fn note(&mut self, end: End<'a>) {
        let key: Vec<&Value> = match end {
            End::Image(image) => self.key.iter().map(|at| &image.values()[*at]).collect(),
            End::Gone(key) => key.iter().collect(),
        };
        let at = *self.places.entry(key).or_insert(self.ends.len());
        match self.ends.get_mut(at) {
            Some(former) => *former = end,
            None => self.ends.push(end),
        }
    }

    fn change(self) -> TableChange<'a> {
        let mut change = TableChange { table: self.table, upserts: Vec::new(), deletes: Vec::new() };
        for end in self.ends {
            match end {
                End::Image(image) => change.upserts.push(image),
                End::Gone(key) => change.deletes.push(key),
            }
        }
        change
    }
}

/// The net effect of batches, table by table in order of first mention. The last word on a key counts; inside a batch
/// deletions come before images.
#[must_use]
pub fn net(batches: &[RowBatch]) -> Vec<TableChange<'_>> {
    let mut tables: Vec<Ends<'_>> = Vec::new();
    for batch in batches {
        let gone = batch.deletes.iter().map(|(table, key)| (*table, End::Gone(key)));
        let there = batch.upserts.iter().map(|(table, image)| (*table, End::Image(image)));
        for (table, end) in gone.chain(there) {
            let at = tables.iter().position(|known| known.table.name == table.name).unwrap_or_else(|| {
                tables.push(Ends::of(table));
                tables.len() - 1
            });
            tables[at].note(end);
        }
    }
    tables.into_iter().map(Ends::change).collect()
}

/// Checkpoints after batches, where each batch begins at the checkpoint that its shard has by then; `None` otherwise.
#[must_use]
pub fn advanced(at: &BTreeMap<ShardId, u64>, batches: &[RowBatch]) -> Option<BTreeMap<ShardId, u64>> {
    let mut at = at.clone();
    for batch in batches {
        let former = at.insert(batch.shard, batch.upto_seq).unwrap_or(0);
        if former != batch.from_seq {
            return None;
        }
    }
    Some(at)
}

/// How far batches move each shard, from and to, where the batches of a shard follow each other; `None` otherwise.
#[must_use]
pub fn moves(batches: &[RowBatch]) -> Option<BTreeMap<ShardId, (u64, u64)>> {
    let mut moves = BTreeMap::new();
    for batch in batches {
        let (_, upto) = moves.entry(batch.shard).or_insert((batch.from_seq, batch.from_seq));
        if *upto != batch.from_seq {
            return None;
        }
        *upto = batch.upto_seq;
    }
    Some(moves)
}

/// A key as one text, to compare keys by.
#[must_use]
pub fn key_text(key: &[Value]) -> String {
    key.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

//! The read models in memory.

use std::{cmp::Ordering, collections::BTreeMap};

use async_trait::async_trait;
use nightshift_domain::ids::ShardId;
use nightshift_projections::table::{Row, RowKey, TableDef};
use serde_json::Value;

use super::{Held, MemoryStore, Tables};
use crate::{
    log::StoreError,
    read_models::{Generation, Query, ReadModels, RowBatch, Search},
    rows::{self, DEFAULT_LIMIT, TableChange, column_type, key_text, normal, normal_value, total_order},
};

impl Held {
    fn tables(&mut self, generation: Generation) -> Result<&mut Tables, StoreError> {
        match generation {
            Generation::Live => Ok(&mut self.live),
            Generation::Rebuilt => self.rebuilt.as_mut().ok_or_else(|| StoreError::Failed {
                doing: "find the rebuilt tables",
                why: "no rebuild has begun".to_owned(),
            }),
        }
    }
}

#[async_trait]
impl ReadModels for MemoryStore {
    async fn checkpoints(&self, generation: Generation) -> Result<Vec<(ShardId, u64)>, StoreError> {
        let mut held = self.held();
        let tables = match generation {
            Generation::Rebuilt if held.rebuilt.is_none() => return Ok(Vec::new()),
            generation => held.tables(generation)?,
        };
        Ok(tables.checkpoints.iter().map(|(shard, seq)| (*shard, *seq)).collect())
    }

    async fn rows(
        &self,
        generation: Generation,
        table: &'static TableDef,
        keys: &[RowKey],
    ) -> Result<Vec<Row>, StoreError> {
        let mut held = self.held();
        let Some(rows) = held.tables(generation)?.rows.get(table.name) else { return Ok(Vec::new()) };
        Ok(keys.iter().filter_map(|key| rows.get(&key_text(key))).cloned().collect())
    }

    async fn write(&self, generation: Generation, batches: &[RowBatch]) -> Result<bool, StoreError> {
        let mut held = self.held();
        let tables = held.tables(generation)?;
        let Some(checkpoints) = rows::advanced(&tables.checkpoints, batches) else { return Ok(false) };
        tables.checkpoints = checkpoints;
        for TableChange { table, upserts, deletes } in rows::net(batches) {
            let rows = tables.rows.entry(table.name).or_default();
            for image in upserts {
                rows.insert(key_text(&image.key(table)), normal(table, image.clone().into_row(table)));
            }
            for key in deletes {
                rows.remove(&key_text(key));
            }
        }
        Ok(true)
    }

    async fn begin_rebuild(&self) -> Result<(), StoreError> {
        self.held().rebuilt = Some(Tables::default());
        Ok(())
    }

    async fn swap_rebuilt(&self) -> Result<(), StoreError> {
        let mut held = self.held();
        held.tables(Generation::Rebuilt)?;
        held.live = held.rebuilt.take().unwrap_or_default();
        Ok(())
    }

    async fn query(&self, table: &'static TableDef, query: &Query) -> Result<Vec<Row>, StoreError> {
        let order = total_order(table, query);
        for (column, _) in &order {
            column_type(table, column)?;
        }
        let query = &as_rows_carry(table, query)?;
        let held = self.held();
        let Some(rows) = held.live.rows.get(table.name) else { return Ok(Vec::new()) };
        let mut found: Vec<&Row> = rows.values().filter(|row| answers(row, query)).collect();
        found.sort_by(|a, b| in_order(a, b, &order));
        let limit = if query.limit == 0 { DEFAULT_LIMIT } else { query.limit };
        Ok(found.into_iter().skip(query.offset as usize).take(limit as usize).cloned().collect())
    }

    async fn count(&self, table: &'static TableDef, query: &Query) -> Result<u64, StoreError> {
        let query = &as_rows_carry(table, query)?;
        let held = self.held();
        let rows = held.live.rows.get(table.name).into_iter().flat_map(BTreeMap::values);
        Ok(rows.filter(|row| answers(row, query)).count() as u64)
    }

    async fn count_by(&self, table: &'static TableDef, column: &'static str) -> Result<Vec<(Value, u64)>, StoreError> {
        let kind = column_type(table, column)?;
        let held = self.held();
        let mut counts: BTreeMap<String, (Value, u64)> = BTreeMap::new();
        for row in held.live.rows.get(table.name).into_iter().flat_map(BTreeMap::values) {
            let value = normal_value(kind, row.get(column).cloned().unwrap_or(Value::Null));
            counts.entry(value.to_string()).or_insert((value, 0)).1 += 1;
        }
        Ok(counts.into_values().collect())
    }
}

/// The question with its values in the form in which rows carry them.
fn as_rows_carry(table: &TableDef, query: &Query) -> Result<Query, StoreError> {
    let mut query = query.clone();
    let alternatives = query.any_of.iter_mut().flatten().flatten();
    let pairs = query.equals.iter_mut().chain(&mut query.above).chain(&mut query.below).chain(alternatives);
    for (column, value) in pairs {
        *value = rows::asked(column_type(table, column)?, value);
    }
    if let Some(search) = &mut query.search {
        search.columns.iter().try_for_each(|column| column_type(table, column).map(|_| ()))?;
        search.word = search.word.replace('\0', "\u{fffd}").to_ascii_lowercase();
    }
    Ok(query)
}

fn answers(row: &Row, query: &Query) -> bool {
    let value = |column: &str| row.get(column).unwrap_or(&Value::Null);
    let equal = |(column, wanted): &(&'static str, Value)| compare(value(column), wanted) == Ordering::Equal;
    let beyond = |(column, bound): &(&'static str, Value), side: Ordering| {
        !bound.is_null() && !value(column).is_null() && compare(value(column), bound) == side
    };
    let found = |search: &Search| {
        let mut texts = search.columns.iter().filter_map(|column| value(column).as_str());
        texts.any(|text| text.to_ascii_lowercase().contains(&search.word))
    };
    query.equals.iter().all(equal)
        && query.above.iter().all(|pair| beyond(pair, Ordering::Greater))
        && query.below.iter().all(|pair| beyond(pair, Ordering::Less))
        && query.any_of.iter().all(|alternatives| alternatives.iter().any(|all| all.iter().all(equal)))
        && query.search.as_ref().is_none_or(found)
}

fn in_order(a: &Row, b: &Row, order: &[(&'static str, bool)]) -> Ordering {
    let value = |row: &Row, column: &str| row.get(column).cloned().unwrap_or(Value::Null);
    let each = order.iter().map(|(column, descending)| {
        let ascending = compare(&value(a, column), &value(b, column));
        if *descending { ascending.reverse() } else { ascending }
    });
    each.fold(Ordering::Equal, Ordering::then)
}

/// Null before all, then by value. Values of one column are of one type.
fn compare(a: &Value, b: &Value) -> Ordering {
    match (a, b) {
        (Value::Null, Value::Null) => Ordering::Equal,
        (Value::Null, _) => Ordering::Less,
        (_, Value::Null) => Ordering::Greater,
        (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
        (Value::Number(a), Value::Number(b)) => match (a.as_i64(), b.as_i64()) {
            (Some(a), Some(b)) => a.cmp(&b),
            _ => a.as_f64().partial_cmp(&b.as_f64()).unwrap_or(Ordering::Equal),
        },
        (Value::String(a), Value::String(b)) => a.cmp(b),
        (a, b) if a == b => Ordering::Equal,
        (a, b) => a.to_string().cmp(&b.to_string()),
    }
}

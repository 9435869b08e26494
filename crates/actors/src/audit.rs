//! The read models held against the log: every row must be the fold of the events, and there must be no other.
//!
//! Owns: that comparison, shard by shard; it holds the folded rows of one shard at a time, so it needs memory for those of
//! the largest. Refuses to know: what a row says.
//!
//! Rows that no event makes are found by number: where a table has more rows of a shard than the fold has, they are listed.
//! While somebody writes, rows go that the fold still has, and as many others would pass; what is said of a store at rest
//! is exact.

use std::{collections::HashMap, sync::Arc};

use nightshift_domain::{ids::ShardId, time::Timestamp};
use nightshift_ports::{
    clock::ManualClock,
    log::{EventLog, StoreError},
    memory::MemoryStore,
    read_models::{Generation, Query, ReadModels},
    rows::normal,
};
use nightshift_projections::{
    table::{Row, RowKey, TableDef},
    tables,
};
use serde_json::Value;

use crate::projector::{PassSize, fold};

/// Differences that are told of each shard at most; one is as bad as many.
const TOLD_MAX: usize = 20;

/// Rows of a table that are looked through at once.
const PAGE: u32 = 500;

/// How many rows a table has of a shard.
type Counts = HashMap<(&'static str, u64), u64>;

/// Compares the live rows of every shard with the fold of its events up to the shard's checkpoint. Rows of shards that have
/// no checkpoint are faults. `checked` is told how many rows were compared so far.
///
/// # Errors
/// The store did not answer.
pub async fn compare_rows(
    log: &dyn EventLog,
    read_models: &dyn ReadModels,
    mut checked: impl FnMut(u64),
) -> Result<Vec<String>, StoreError> {
    let mut faults = Vec::new();
    let mut rows = 0;
    let counts = counts(read_models).await?;
    let checkpoints = read_models.checkpoints(Generation::Live).await?;
    for (shard, upto) in &checkpoints {
        rows += compare_shard(log, (read_models, &counts), (*shard, *upto), &mut faults).await?;
        checked(rows);
    }
    let begun = |shard: u64| checkpoints.iter().any(|(known, _)| u64::from(known.0) == shard);
    let mut strange: Vec<_> = counts.into_iter().filter(|((_, shard), _)| !begun(*shard)).collect();
    strange.sort_unstable();
    for ((table, shard), rows) in strange {
        faults.push(format!("shard {shard}: {table} has {rows} rows of this shard, of which nothing was folded"));
    }
    Ok(faults)
}

async fn counts(read_models: &dyn ReadModels) -> Result<Counts, StoreError> {
    let mut counts = Counts::new();
    for table in tables::ALL {
        for (shard, rows) in read_models.count_by(table, "shard_id").await? {
            counts.insert((table.name, shard.as_u64().unwrap_or(u64::MAX)), rows);
        }
    }
    Ok(counts)
}

async fn compare_shard(
    log: &dyn EventLog,
    (read_models, live): (&dyn ReadModels, &Counts),
    (shard, upto): (ShardId, u64),
    faults: &mut Vec<String>,
) -> Result<u64, StoreError> {
    let clock = Arc::new(ManualClock::at(Timestamp::default()));
    let folded = MemoryStore::new(log.info().cluster_id, log.info().shard_count, clock);
    let mut changed: std::collections::HashSet<(&'static str, RowKey)> = Default::default();
    let mut tables: Vec<(&'static TableDef, RowKey)> = Vec::new();
    let mut at = 0;
    while at < upto {
        // Not beyond the checkpoint: the live rows do not show what is there.
        let size = PassSize::default();
        let size = PassSize { page: size.page.min(u32::try_from(upto - at).unwrap_or(u32::MAX)), ..size };
        let page = fold((log, &folded), Generation::Live, &[(shard, at)], size).await?;
        if let Some((_, why)) = page.poison.first() {
            faults.push(why.clone());
        }
        let Some(batch) = page.batches.first() else { break };
        at = batch.upto_seq;
        for (table, image) in &batch.upserts {
            let key = image.key(table);
            if changed.insert((table.name, key.clone())) {
                tables.push((table, key));
            }
        }
        folded.write(Generation::Live, &page.batches).await?;
    }
    let told = faults.len() + TOLD_MAX;
    for chunk in tables.chunks(500) {
        for (table, key) in chunk {
            if faults.len() >= told {
                return Ok(tables.len() as u64);
            }
            let wanted = one(&folded, table, key).await?;
            let found = one(read_models, table, key).await?;
            if let Some(fault) = difference(table, key, wanted, found) {
                faults.push(format!("shard {shard}: {fault}"));
            }
        }
    }
    surplus((read_models, live), &folded, (shard, at), faults).await?;
    Ok(tables.len() as u64)
}

/// Tells of rows that no event up to `upto` makes, of the tables that have more rows than the fold.
async fn surplus(
    (read_models, live): (&dyn ReadModels, &Counts),
    folded: &MemoryStore,
    (shard, upto): (ShardId, u64),
    faults: &mut Vec<String>,
) -> Result<(), StoreError> {
    let made = counts(folded).await?;
    let number = |counts: &Counts, table: &TableDef| counts.get(&(table.name, shard.0.into())).copied().unwrap_or(0);
    let told = faults.len() + TOLD_MAX;
    for table in tables::ALL.iter().copied().filter(|table| number(live, table) > number(&made, table)) {
        let equals = vec![("shard_id", Value::from(shard.0))];
        let mut query = Query { equals, limit: PAGE, ..Query::default() };
        loop {
            let page = read_models.query(table, &query).await?;
            // A row is written with the checkpoint: one beyond it was made by nobody.
            let now = read_models.checkpoints(Generation::Live).await?;
            let reached = now.iter().find(|(known, _)| *known == shard).map_or(upto, |(_, seq)| *seq);
            for row in page.iter().map(|row| normal(table, row.clone())) {
                let newer = row.get("src_seq").and_then(Value::as_u64).is_some_and(|seq| seq > upto && seq <= reached);
                let key = table.key_of(&row);
                if !newer && one(folded, table, &key).await?.is_none() {
                    let fault = difference(table, &key, None, Some(row));
                    faults.extend(fault.map(|fault| format!("shard {shard}: {fault}")));
                }
            }
            if page.len() < PAGE as usize || faults.len() >= told {
                break;
            }
            query.offset += PAGE;
        }
    }
    Ok(())
}

async fn one(models: &dyn ReadModels, table: &'static TableDef, key: &RowKey) -> Result<Option<Row>, StoreError> {
    let rows = models.rows(Generation::Live, table, std::slice::from_ref(key)).await?;
    Ok(rows.into_iter().next().map(|row| normal(table, row)))
}

/// A row newer than the checkpoint that was read is no fault: the projector goes on meanwhile.
fn difference(table: &TableDef, key: &RowKey, wanted: Option<Row>, found: Option<Row>) -> Option<String> {
    let seq = |row: &Option<Row>| row.as_ref().and_then(|row| row.get("src_seq")).and_then(Value::as_u64);
    let name = || format!("{} {}", table.name, Value::from(key.clone()));
    match (&wanted, &found) {
        (Some(_), None) => Some(format!("{}: the events make this row, the table does not have it", name())),
        (None, Some(_)) => Some(format!("{}: the table has this row, the events do not make it", name())),
        (Some(wanted_row), Some(found_row)) if wanted_row != found_row && seq(&found) <= seq(&wanted) => {
            let column = wanted_row.iter().find(|(column, value)| found_row.get(*column) != Some(value));
            let (column, value) = column?;
            let found = found_row.get(column).cloned().unwrap_or_default();
            Some(format!("{}: {column} is {found}, the events say {value}", name()))
        }
        _ => None,
    }
}

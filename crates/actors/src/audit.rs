//! The read models held against the log: every row must be the fold of the events.
//!
//! Owns: that comparison, shard by shard, in bounded memory. Refuses to know: what a row says.

use std::sync::Arc;

use nightshift_domain::{ids::ShardId, time::Timestamp};
use nightshift_ports::{
    clock::ManualClock,
    log::{EventLog, StoreError},
    memory::MemoryStore,
    read_models::{Generation, ReadModels},
    rows::normal,
};
use nightshift_projections::table::{Row, RowKey, TableDef};

use crate::projector::{PassSize, fold};

/// Differences that are told of each shard at most; one is as bad as many.
const TOLD_MAX: usize = 20;

/// Compares the live rows of every shard with the fold of its events up to the shard's checkpoint.
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
    for (shard, upto) in read_models.checkpoints(Generation::Live).await? {
        rows += compare_shard(log, read_models, (shard, upto), &mut faults).await?;
        checked(rows);
    }
    Ok(faults)
}

async fn compare_shard(
    log: &dyn EventLog,
    read_models: &dyn ReadModels,
    (shard, upto): (ShardId, u64),
    faults: &mut Vec<String>,
) -> Result<u64, StoreError> {
    let clock = Arc::new(ManualClock::at(Timestamp::default()));
    let folded = MemoryStore::new(log.info().cluster_id, log.info().shard_count, clock);
    let mut changed: std::collections::HashSet<(&'static str, RowKey)> = Default::default();
    let mut tables: Vec<(&'static TableDef, RowKey)> = Vec::new();
    let mut at = 0;
    while at < upto {
        let page = fold((log, &folded), Generation::Live, &[(shard, at)], PassSize::default()).await?;
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
    Ok(tables.len() as u64)
}

async fn one(models: &dyn ReadModels, table: &'static TableDef, key: &RowKey) -> Result<Option<Row>, StoreError> {
    let rows = models.rows(Generation::Live, table, std::slice::from_ref(key)).await?;
    Ok(rows.into_iter().next().map(|row| normal(table, row)))
}

/// A row newer than the checkpoint that was read is no fault: the projector goes on meanwhile.
fn difference(table: &TableDef, key: &RowKey, wanted: Option<Row>, found: Option<Row>) -> Option<String> {
    let seq = |row: &Option<Row>| row.as_ref().and_then(|row| row.get("src_seq")).and_then(serde_json::Value::as_u64);
    let name = || format!("{} {}", table.name, serde_json::Value::from(key.clone()));
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

//! Rows of any tables as a trace draws them: written with their checkpoint, asked for, rebuilt.
//!
//! Owns: rows and questions made from the description of a table, so that every column of every type is written, compared,
//! ordered by and counted by. Refuses to know: what a table is for.
//!
//! Values are few, so that rows meet: in keys, in questions, in orders.

use std::collections::{BTreeMap, BTreeSet};

use nightshift_domain::ids::{ShardId, derive, derive_u64};
use nightshift_projections::{
    Image,
    table::{Column, ColumnType, Row, TableDef},
};
use serde_json::{Value, json};

use super::{Draw, SHARDS, Trace, answer, same};
use crate::read_models::{Equals, Generation, Query, RowBatch, Search};

/// What was written so far.
#[derive(Default)]
pub(super) struct Rows {
    /// Checkpoints, as a projector knows them.
    checkpoints: [BTreeMap<ShardId, u64>; 2],
    /// A rebuild is under way.
    rebuilding: bool,
}

const TEXTS: [&str; 10] =
    ["", "a", "A", "Ab", "ß%_\\", "it's \"x\"", "nul \u{0}", "completed", "z\u{1f600}", "\u{e4}\n"];
const TIMES: [&str; 4] = [
    "2026-11-21T10:00:00.000000Z",
    "2026-11-21T10:00:00.000001Z",
    "2027-01-01T00:00:00.500000Z",
    "1969-12-31T23:59:59.999999Z",
];

/// A value for a column.
fn value(draw: &mut Draw, column: &Column) -> Value {
    if column.nullable && draw.chance(25) {
        return Value::Null;
    }
    match column.kind {
        ColumnType::Text => json!(draw.pick(&TEXTS)),
        ColumnType::Uuid => json!(derive("row", &[&draw.below(6).to_be_bytes()]).to_string()),
        ColumnType::Int => json!(draw.pick(&[0, 1, -1, 7, 40, i64::MAX])),
        ColumnType::Bool => json!(draw.chance(50)),
        ColumnType::Time => json!(draw.pick(&TIMES)),
        ColumnType::Json => draw.pick(&[
            json!({"a": [1, null, "x"]}),
            json!([]),
            json!("b"),
            json!(2.5),
            json!({"ä": {"n": 1}}),
            json!(true),
        ]),
        ColumnType::Real => json!(draw.pick(&[0.0, 0.25, -1.5, 40.0])),
    }
}

fn row(draw: &mut Draw, table: &TableDef, shard: ShardId, seq: u64) -> Row {
    let place = [("shard_id", json!(shard.0)), ("src_seq", json!(seq))];
    let own = table.columns.iter().map(|column| (column.name, value(draw, column)));
    own.chain(place).map(|(name, value)| (name.to_owned(), value)).collect()
}

/// Columns that can be compared: all but documents.
fn comparable(draw: &mut Draw, table: &TableDef) -> Option<Column> {
    let columns: Vec<Column> = table.columns.iter().copied().filter(|column| column.kind != ColumnType::Json).collect();
    (!columns.is_empty()).then(|| draw.pick(&columns))
}

fn conditions(draw: &mut Draw, table: &TableDef, most: u64) -> Equals {
    let count = draw.below(most + 1);
    (0..count).filter_map(|_| comparable(draw, table).map(|column| (column.name, value(draw, &column)))).collect()
}

/// A question; its order is total, so that there is one answer.
fn question(draw: &mut Draw, table: &'static TableDef) -> Query {
    let mut order: Vec<(&'static str, bool)> = Vec::new();
    if draw.chance(60) {
        order.extend(comparable(draw, table).map(|column| (column.name, draw.chance(50))));
    }
    let rest: Vec<_> = table.key.iter().copied().filter(|key| order.iter().all(|(name, _)| name != key)).collect();
    order.extend(rest.into_iter().map(|key| (key, draw.chance(50))));
    let any_of = if draw.chance(20) {
        vec![(0..draw.below(3)).map(|_| conditions(draw, table, 2)).collect()]
    } else {
        Vec::new()
    };
    let texts: &'static [&'static str] = table.key;
    let searchable = table
        .key
        .iter()
        .all(|key| table.column(key).is_some_and(|column| matches!(column.kind, ColumnType::Text | ColumnType::Uuid)));
    let search = (searchable && draw.chance(15)).then(|| Search { columns: texts, word: draw.pick(&TEXTS).to_owned() });
    Query {
        equals: conditions(draw, table, 1),
        above: if draw.chance(20) { conditions(draw, table, 1) } else { Vec::new() },
        below: if draw.chance(20) { conditions(draw, table, 1) } else { Vec::new() },
        any_of,
        search,
        order,
        limit: draw.below(8) as u32,
        offset: draw.below(3) as u32,
    }
}

impl Trace<'_> {
    /// Rows of some shards, with the checkpoint that is believed to be right.
    pub(super) async fn write_rows(&mut self) {
        self.at.call = "write rows";
        let rebuilt = self.rows.rebuilding && self.draw.chance(50);
        let generation = if rebuilt { Generation::Rebuilt } else { Generation::Live };
        let mut shards = vec![self.draw.shard(), self.draw.shard()];
        shards.dedup();
        let mut seen = BTreeSet::new();
        let batches: Vec<RowBatch> = shards.into_iter().map(|shard| self.batch(rebuilt, shard, &mut seen)).collect();
        let written = answer!(self, store => store.write(generation, &batches).await);
        if written == Ok(true) {
            let checkpoints = &mut self.rows.checkpoints[usize::from(rebuilt)];
            checkpoints.extend(batches.iter().map(|batch| (batch.shard, batch.upto_seq)));
        }
    }

    fn batch(&mut self, rebuilt: bool, shard: ShardId, seen: &mut BTreeSet<String>) -> RowBatch {
        let from = self.rows.checkpoints[usize::from(rebuilt)].get(&shard).copied().unwrap_or(0);
        let draw = &mut self.draw;
        let from_seq = if draw.chance(8) { from + 1 } else { from };
        let upto_seq = from_seq + 1 + draw.below(5);
        let (mut upserts, mut deletes) = (Vec::new(), Vec::new());
        for _ in 0..draw.below(60) {
            let table = draw.pick(self.tables);
            let row = row(draw, table, shard, upto_seq);
            let key = table.key_of(&row);
            let name = format!("{} {key:?}", table.name);
            // A row is of one shard for ever, as those of the folds are.
            let home = derive_u64("row of a shard", &[name.as_bytes()]) % u64::from(SHARDS);
            if home != u64::from(shard.0) || !seen.insert(name) {
                continue;
            }
            if draw.chance(15) {
                deletes.push((table, key));
            } else {
                upserts.push((table, Image::from_row(table, row)));
            }
        }
        RowBatch { shard, from_seq, upto_seq, upserts, deletes }
    }

    /// Begins a rebuild, or puts it in place.
    pub(super) async fn rebuild(&mut self) {
        self.at.call = "rebuild";
        if self.rows.rebuilding && self.draw.chance(60) {
            same!(self, store => store.swap_rebuilt().await);
            self.rows.rebuilding = false;
            self.rows.checkpoints.swap(0, 1);
        } else {
            same!(self, store => store.begin_rebuild().await);
            self.rows.rebuilding = true;
        }
        self.rows.checkpoints[1].clear();
    }

    pub(super) async fn ask_rows(&mut self) {
        self.at.call = "ask rows";
        let table = self.draw.pick(self.tables);
        let query = question(&mut self.draw, table);
        match self.draw.below(5) {
            0 => same!(self, store => store.count(table, &query).await),
            1 => {
                let column = comparable(&mut self.draw, table).map_or(table.key[0], |column| column.name);
                same!(self, store => store.count_by(table, column).await);
            }
            2 => same!(self, store => store.checkpoints(Generation::Live).await),
            3 => {
                let shard = self.draw.shard();
                let keys: Vec<_> = (0..4).map(|_| table.key_of(&row(&mut self.draw, table, shard, 1))).collect();
                same!(self, store => sorted(store.rows(Generation::Live, table, &keys).await.expect("read")));
            }
            _ => {
                let one = self.store.query(table, &query).await;
                assert_eq!(one, self.reference.query(table, &query).await, "{}\n{} {query:?}", self.at, table.name);
            }
        }
    }

    /// Every row of every table.
    pub(super) async fn all_rows(&mut self) {
        same!(self, store => store.checkpoints(Generation::Live).await);
        for table in self.tables {
            let order = table.key.iter().map(|key| (*key, false)).collect();
            let query = Query { order, limit: u32::MAX, ..Query::default() };
            same!(self, store => store.query(table, &query).await);
        }
    }
}

/// Rows under keys come in any order.
fn sorted(mut rows: Vec<Row>) -> Vec<Row> {
    rows.sort_by_key(|row| Value::Object(row.clone()).to_string());
    rows
}

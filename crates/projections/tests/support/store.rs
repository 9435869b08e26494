//! Rows in memory, kept as a database would keep them.

use std::collections::BTreeMap;

use nightshift_domain::{recorded::Recorded, streams::AnyEvent};
use nightshift_projections::{
    Rows, apply, reads,
    table::{ColumnType, Row, RowKey, TableDef},
    tables,
};
use serde_json::Value;

#[derive(Debug, Default, Clone, PartialEq)]
pub struct Store {
    pub tables: BTreeMap<&'static str, BTreeMap<String, Row>>,
    /// The log is one that no decider would write: columns that are fixed may change.
    pub astray: bool,
}

impl Store {
    /// Folds a log in pages of these sizes, over and over, each as a projector does it.
    pub fn folded(log: &[(Recorded, AnyEvent)], pages: &[usize]) -> Self {
        Self::default().fold(log, pages)
    }

    pub fn fold(self, log: &[(Recorded, AnyEvent)], pages: &[usize]) -> Self {
        let mut store = self;
        let mut rest = log;
        for size in pages.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (page, after) = rest.split_at((*size).min(rest.len()));
            store.project(page);
            rest = after;
        }
        store
    }

    pub fn project(&mut self, page: &[(Recorded, AnyEvent)]) {
        let mut rows = Rows::new();
        for (recorded, event) in page {
            for (table, key) in reads(event, recorded) {
                if !rows.knows(table, &key) {
                    let found = self.row(table.name, &key).cloned();
                    rows.load(table, key, found);
                }
            }
        }
        page.iter().for_each(|(recorded, event)| apply(&mut rows, recorded, event));
        self.write(rows);
    }

    pub fn write(&mut self, mut rows: Rows) {
        let (upserts, deletes) = rows.take_changed();
        for (table, image) in upserts {
            let row = image.into_row(table);
            check(table, &row);
            let key = text_of(&table.key_of(&row));
            let rows = self.tables.entry(table.name).or_default();
            for column in rows.get(&key).iter().filter(|_| !self.astray).flat_map(|_| table.fixed) {
                assert_eq!(rows[&key][*column], row[*column], "{} keeps {column}", table.name);
            }
            rows.insert(key, row);
        }
        for (table, key) in deletes {
            self.tables.entry(table.name).or_default().remove(&text_of(&key));
        }
    }

    /// Every row there is.
    pub fn loaded(&self) -> Rows {
        let mut rows = Rows::new();
        for table in tables::ALL {
            for row in self.tables.get(table.name).into_iter().flat_map(BTreeMap::values) {
                rows.load(table, table.key_of(row), Some(row.clone()));
            }
        }
        rows
    }

    pub fn row(&self, table: &str, key: &[Value]) -> Option<&Row> {
        self.tables.get(table)?.get(&text_of(key))
    }

    /// The one row of a table for which a column has this text.
    pub fn one(&self, table: &str, column: &str, value: &str) -> &Row {
        let found: Vec<&Row> = self.all(table).into_iter().filter(|row| row[column] == value).collect();
        assert_eq!(found.len(), 1, "{table} where {column} = {value}: {:?}", self.all(table));
        found[0]
    }

    /// All rows of a table in the order of their last change.
    pub fn all(&self, table: &str) -> Vec<&Row> {
        let mut rows: Vec<&Row> = self.tables.get(table).into_iter().flat_map(BTreeMap::values).collect();
        rows.sort_by_key(|row| row["src_seq"].as_u64());
        rows
    }
}

pub fn text_of(key: &[Value]) -> String {
    Value::Array(key.to_vec()).to_string()
}

/// A row has every column of its table and no other, each of its type, and null only where that is allowed.
fn check(table: &'static TableDef, row: &Row) {
    assert_eq!(row.len(), table.columns.len() + 2, "{}: {row:?}", table.name);
    assert!(tables::ALL.iter().any(|known| std::ptr::eq(*known, table)));
    for column in table.columns {
        let value = row.get(column.name).unwrap_or_else(|| panic!("{}.{} is missing", table.name, column.name));
        let fits = match column.kind {
            _ if value.is_null() => column.nullable,
            ColumnType::Text => value.is_string(),
            ColumnType::Uuid => value.as_str().is_some_and(|id| id.parse::<uuid::Uuid>().is_ok()),
            ColumnType::Int => value.is_i64(),
            ColumnType::Bool => value.is_boolean(),
            ColumnType::Time => value.as_str().is_some_and(|at| at.len() == 27 && at.ends_with('Z')),
            ColumnType::Json => true,
            ColumnType::Real => value.is_f64(),
        };
        assert!(fits, "{}.{} is {value}", table.name, column.name);
        assert!(!value.to_string().contains("\\u0000"), "{}.{} has a NUL: {value}", table.name, column.name);
    }
    let key: RowKey = table.key_of(row);
    assert!(key.iter().all(|part| !part.is_null()), "{}: {key:?}", table.name);
}

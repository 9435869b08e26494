//! Read-model tables in SQLite's words.
//!
//! Owns: how column types are kept: truth as 0 and 1, documents, times and UUIDs as text.

use nightshift_ports::rows::all_columns;
use nightshift_projections::table::{ColumnType, TableDef};

use crate::tables::{Dialect, FillSql, GenerationSql, TableSql, all_quoted, assignments, quote, quoted_list};

/// SQLite's way of putting questions.
pub(super) const DIALECT: Dialect = Dialect { image, value, object: "json_object", parameter, within, by_bytes: "" };

/// Name of the attached file that a rebuild fills.
pub(super) const SCRATCH: &str = "rebuilt";

/// Rows that are written by one exchange with the connection's thread, an even number. Not many: each two are a prepared
/// statement.
pub(super) const LOT: usize = 32;

/// All texts of a table.
pub(super) fn sql_of(table: &TableDef) -> TableSql {
    let (live, columns) = (quote(table.name), all_quoted(table));
    let staged = format!("{SCRATCH}.{live}");
    TableSql {
        live: generation(table, &format!("main.{live}")),
        rebuilt: generation(table, &staged),
        stage: create(table, &staged).into(),
        fill: FillSql::default(),
        publish: format!(
            "DELETE FROM main.{live};\nINSERT INTO main.{live} ({columns}) SELECT {columns} FROM {staged};"
        )
        .into(),
    }
}

fn generation(table: &TableDef, name: &str) -> GenerationSql {
    let key = quoted_list(table.key.iter().copied());
    let on_key: Vec<String> = table
        .key
        .iter()
        .enumerate()
        .map(|(at, column)| format!("t.{} = asked.value ->> {at}", quote(column)))
        .collect();
    let of_row: Vec<String> = table.key.iter().map(|column| format!("t.{}", quote(column))).collect();
    let asked = format!("json_each($1) AS asked CROSS JOIN {name} AS t ON {}", on_key.join(" AND "));
    let into = format!("INSERT INTO {name} ({})", all_quoted(table));
    let on_conflict = format!("ON CONFLICT ({key}) DO UPDATE SET {}", assignments(table));
    let parameters = vec!["?"; all_columns(table).count()].join(", ");
    GenerationSql {
        upsert: format!("{into} SELECT {} FROM jsonb_each($1) WHERE true {on_conflict}", values(table)).into(),
        // Two rows in a statement: with more, SQLite takes twice the time; with one, twice the answers are sent back.
        upsert_lot: format!("{into} VALUES ({parameters}), ({parameters}) {on_conflict};\n").repeat(LOT / 2).into(),
        // By the key: not every table has a rowid.
        delete: format!("DELETE FROM {name} WHERE ({key}) IN (SELECT {} FROM {asked})", of_row.join(", ")).into(),
        by_key: format!("SELECT {} FROM {asked}", image(table)).into(),
    }
}

/// The values of a row in the array of rows.
fn values(table: &TableDef) -> String {
    let values = all_columns(table).enumerate().map(|(at, (_, kind))| match kind {
        ColumnType::Json => format!("NULLIF(value -> {at}, 'null')"),
        _ => format!("value ->> {at}"),
    });
    values.collect::<Vec<_>>().join(", ")
}

pub(super) fn create(table: &TableDef, name: &str) -> String {
    let columns = all_columns(table).map(|(column, kind)| {
        let kind = match kind {
            ColumnType::Int | ColumnType::Bool => "INTEGER",
            ColumnType::Real => "REAL",
            ColumnType::Text | ColumnType::Uuid | ColumnType::Time | ColumnType::Json => "TEXT",
        };
        format!("{} {kind}", quote(column))
    });
    let columns: Vec<String> = columns.collect();
    let key = quoted_list(table.key.iter().copied());
    format!("CREATE TABLE {name} ({}, PRIMARY KEY ({key})) STRICT;", columns.join(", "))
}

fn image(table: &TableDef) -> String {
    let pairs: Vec<String> =
        all_columns(table).map(|(column, kind)| format!("'{column}', {}", value(column, kind))).collect();
    format!("json_object({})", pairs.join(", "))
}

fn value(column: &str, kind: ColumnType) -> String {
    let column = quote(column);
    match kind {
        ColumnType::Bool => format!("json(CASE t.{column} WHEN 0 THEN 'false' WHEN 1 THEN 'true' END)"),
        ColumnType::Json => format!("json(t.{column})"),
        _ => format!("t.{column}"),
    }
}

/// `lower` and `instr` know A to Z only, and compare bytes.
fn within(column: &str, number: usize) -> String {
    format!("instr(lower(t.{}), lower(${number})) > 0", quote(column))
}

fn parameter(number: usize, kind: ColumnType) -> String {
    match kind {
        ColumnType::Int | ColumnType::Bool => format!("CAST(${number} AS INTEGER)"),
        ColumnType::Real => format!("CAST(${number} AS REAL)"),
        _ => format!("${number}"),
    }
}

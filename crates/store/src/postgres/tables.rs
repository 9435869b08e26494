//! Read-model tables in PostgreSQL's words.

use nightshift_ports::rows::all_columns;
use nightshift_projections::table::{ColumnType, TableDef};

use crate::tables::{Dialect, FillSql, GenerationSql, TableSql, all_quoted, assignments, quote, quoted_list};

/// PostgreSQL's way of putting questions.
pub(super) const DIALECT: Dialect =
    Dialect { image, value, object: "json_build_object", parameter, within, by_bytes: " COLLATE \"C\"" };

/// All texts of a table.
pub(super) fn sql_of(table: &TableDef) -> TableSql {
    let (live, columns) = (quote(table.name), all_quoted(table));
    let staged = quote(&format!("{}__rebuild", table.name));
    TableSql {
        live: generation(table, &live),
        rebuilt: generation(table, &staged),
        // Temporary: not logged, and gone with its connection.
        stage: format!("CREATE TEMPORARY TABLE {staged} {};\n", columns_of(table)).into(),
        fill: fill(table, &staged),
        publish: format!("DELETE FROM {live};\nINSERT INTO {live} ({columns}) SELECT {columns} FROM {staged};\n")
            .into(),
    }
}

fn fill(table: &TableDef, staged: &str) -> FillSql {
    let (columns, key) = (all_quoted(table), quoted_list(table.key.iter().copied()));
    let take = format!("INSERT INTO {staged} ({columns}) SELECT {columns} FROM unnest(CAST($1 AS {staged}[]))");
    let merge = format!("{take} ON CONFLICT ({key}) DO UPDATE SET {}", assignments(table));
    FillSql { name: staged.to_owned(), take, merge }
}

fn generation(table: &TableDef, name: &str) -> GenerationSql {
    let columns = all_quoted(table);
    let key = quoted_list(table.key.iter().copied());
    let arrays: Vec<String> = all_columns(table)
        .enumerate()
        .map(|(at, (_, kind))| format!("CAST(${} AS {}[])", at + 1, sent_as(kind)))
        .collect();
    let values: Vec<String> = all_columns(table)
        .map(|(column, kind)| match kind {
            ColumnType::Json => format!("CAST({} AS jsonb)", quote(column)),
            _ => quote(column),
        })
        .collect();
    let asked: Vec<String> = all_columns(table)
        .filter(|(column, _)| table.key.contains(column))
        .map(|(column, kind)| declared(column, kind))
        .collect();
    let asked = format!("json_to_recordset(CAST($1 AS json)) AS asked ({})", asked.join(", "));
    let on_key: Vec<String> = table.key.iter().map(|column| format!("t.{0} = asked.{0}", quote(column))).collect();
    let on_key = on_key.join(" AND ");
    GenerationSql {
        upsert: format!(
            "INSERT INTO {name} ({columns}) SELECT {} FROM unnest({}) AS given ({columns}) \
             ON CONFLICT ({key}) DO UPDATE SET {}",
            values.join(", "),
            arrays.join(", "),
            assignments(table)
        )
        .into(),
        upsert_lot: "".into(),
        delete: format!("DELETE FROM {name} AS t USING {asked} WHERE {on_key}").into(),
        by_key: format!("SELECT {} FROM {asked} JOIN {name} AS t ON {on_key}", image(table)).into(),
    }
}

fn declared(column: &str, kind: ColumnType) -> String {
    format!("{} {}", quote(column), type_name(kind))
}

/// A table from its description alone.
#[cfg(feature = "conformance")]
pub(super) fn create(table: &TableDef, name: &str) -> String {
    format!("CREATE TABLE {name} {}", columns_of(table))
}

fn columns_of(table: &TableDef) -> String {
    let columns: Vec<String> = all_columns(table).map(|(column, kind)| declared(column, kind)).collect();
    let key = quoted_list(table.key.iter().copied());
    format!("({}, PRIMARY KEY ({key}))", columns.join(", "))
}

/// Documents are sent as texts and parsed by the server.
const fn sent_as(kind: ColumnType) -> &'static str {
    match kind {
        ColumnType::Json => "text",
        kind => type_name(kind),
    }
}

const fn type_name(kind: ColumnType) -> &'static str {
    match kind {
        ColumnType::Text => "text",
        ColumnType::Uuid => "uuid",
        ColumnType::Int => "bigint",
        ColumnType::Bool => "boolean",
        ColumnType::Time => "timestamptz",
        ColumnType::Json => "jsonb",
        ColumnType::Real => "double precision",
    }
}

fn image(table: &TableDef) -> String {
    let columns: Vec<String> =
        all_columns(table).map(|(column, kind)| format!("{} AS {}", value(column, kind), quote(column))).collect();
    format!("CAST((SELECT row_to_json(image) FROM (SELECT {}) AS image) AS text)", columns.join(", "))
}

fn value(column: &str, kind: ColumnType) -> String {
    let column = quote(column);
    match kind {
        ColumnType::Time => format!("to_char(t.{column} AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')"),
        _ => format!("t.{column}"),
    }
}

/// In the collation `C`, `lower` knows A to Z only.
fn within(column: &str, number: usize) -> String {
    let text = format!("lower(CAST(t.{} AS text) COLLATE \"C\")", quote(column));
    format!("position(lower(CAST(${number} AS text) COLLATE \"C\") IN {text}) > 0")
}

fn parameter(number: usize, kind: ColumnType) -> String {
    match kind {
        ColumnType::Text => format!("${number}"),
        kind => format!("CAST(${number} AS {})", type_name(kind)),
    }
}

//! The tables of this crate against both SQL files and against `schema/README.md`.
//!
//! The README's table and event sections are written from the code: `UPDATE=1 cargo test -p nightshift-projections`.

mod support;

use std::{collections::BTreeMap, fmt::Write as _, path::PathBuf};

use nightshift_domain::{codec, ids::StreamId, streams::AnyEvent};
use nightshift_projections::{
    keys,
    table::{Column, ColumnType, TableDef},
    tables,
};
use support::{record, samples, secs};

fn repository(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

fn read(path: &str) -> String {
    let found = repository(path);
    std::fs::read_to_string(&found).unwrap_or_else(|error| panic!("{}: {error}", found.display()))
}

/// A column as SQL: name, type, nullable.
type SqlColumn = (String, String, bool);

/// The migrations of a dialect that make read models, one after the other. What is not a read model they declare in upper
/// case: the store's own.
fn migrations(dialect: &str) -> String {
    ["0002_read_models", "0003_workflows", "0004_queue", "0005_bulk_jobs"]
        .map(|name| read(&format!("schema/{dialect}/{name}.sql")))
        .concat()
}

/// The tables that are there after all migrations, with their columns in order and their primary key. Knows the plain form
/// these files keep: one column a line, a check on the same line or the one after it.
fn parse(sql: &str) -> BTreeMap<String, (Vec<SqlColumn>, Vec<String>)> {
    let mut tables = BTreeMap::new();
    let mut lines = sql.lines();
    while let Some(line) = lines.next() {
        if let Some(gone) = line.strip_prefix("drop table ") {
            let name = gone.trim_end_matches(';');
            assert!(tables.remove(name).is_some(), "{name} is dropped and was never there");
        }
        let Some(name) = line.strip_prefix("create table ").and_then(|rest| rest.strip_suffix(" (")) else {
            continue;
        };
        let (mut columns, mut key) = (Vec::new(), Vec::new());
        for line in lines.by_ref().take_while(|line| !line.starts_with(')')) {
            let line = line.trim().trim_end_matches(',');
            if let Some(rest) = line.strip_prefix("primary key (") {
                key = rest.trim_end_matches(')').split(", ").map(str::to_owned).collect();
            } else if !line.starts_with("check ") {
                columns.push(column(line));
            }
        }
        let before = tables.insert(name.to_owned(), (columns, key));
        assert!(before.is_none(), "{name} is made twice");
    }
    tables
}

fn column(line: &str) -> SqlColumn {
    let (declared, _) = line.split_once(" check ").unwrap_or((line, ""));
    let (name, rest) = declared.split_once(' ').unwrap_or_else(|| panic!("no type: {line}"));
    let kind = rest.strip_suffix(" not null");
    (name.to_owned(), kind.unwrap_or(rest).to_owned(), kind.is_none())
}

const fn on_postgres(kind: ColumnType) -> &'static str {
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

const fn on_sqlite(kind: ColumnType) -> &'static str {
    match kind {
        ColumnType::Text | ColumnType::Uuid | ColumnType::Time | ColumnType::Json => "text",
        ColumnType::Int | ColumnType::Bool => "integer",
        ColumnType::Real => "real",
    }
}

fn expected(table: &TableDef, kind_of: fn(ColumnType) -> &'static str) -> (Vec<SqlColumn>, Vec<String>) {
    let columns =
        table.columns.iter().map(|column| (column.name.to_owned(), kind_of(column.kind).to_owned(), column.nullable));
    let origin = ["shard_id", "src_seq"].map(|name| (name.to_owned(), kind_of(ColumnType::Int).to_owned(), false));
    (columns.chain(origin).collect(), table.key.iter().map(|key| (*key).to_owned()).collect())
}

#[test]
fn both_sql_files_declare_the_tables_of_the_code() {
    for (path, kind_of) in
        [("postgres", on_postgres as fn(ColumnType) -> &'static str), ("sqlite", on_sqlite as fn(ColumnType) -> _)]
    {
        let mut found = parse(&migrations(path));
        for table in tables::ALL {
            let declared = found.remove(table.name).unwrap_or_else(|| panic!("{path} has no table {}", table.name));
            assert_eq!(declared, expected(table, kind_of), "{path}: {}", table.name);
        }
        assert!(found.is_empty(), "{path} has tables the code does not know: {:?}", found.keys());
    }
}

#[test]
fn a_key_is_made_of_columns_that_are_never_null() {
    for table in tables::ALL {
        for key in table.key {
            let column: &Column = table.column(key).unwrap_or_else(|| panic!("{} has no column {key}", table.name));
            assert!(!column.nullable, "{}.{key} may be null", table.name);
        }
    }
}

/// A read model whose table is made anew begins empty, and the others with it: the log is folded again from its start.
#[test]
fn a_migration_that_drops_a_table_empties_all_others() {
    for dialect in ["postgres", "sqlite"] {
        let of = |name: &str| read(&format!("schema/{dialect}/{name}.sql"));
        let (before, change) = (of("0002_read_models"), of("0003_workflows"));
        for table in parse(&before).keys() {
            let gone = [format!("drop table {table};"), format!("delete from {table};")];
            assert!(gone.iter().any(|words| change.contains(words)), "{dialect}: {table} keeps its rows");
        }
        assert!(change.contains("delete from projection where name in ('read_models', "), "{dialect}: checkpoints");
    }
}

/// The parts of both files that are not types: checks, indexes, the views.
#[test]
fn the_sql_files_differ_in_types_only() {
    let words = |dialect: &str| -> Vec<String> {
        let sql = migrations(dialect);
        let lines = sql.lines().map(str::trim).filter(|line| !line.starts_with("--") && !line.is_empty());
        let statements = lines.filter(|line| {
            let is_bool = line.contains("in (0, 1)");
            let starts = ["create ", "select", "drop ", "delete "].iter().any(|word| line.starts_with(word));
            !is_bool && (line.contains("check (") || starts)
        });
        let plain = statements.map(|line| line.split_once("check (").map_or(line, |(_, check)| check).to_owned());
        plain.collect()
    };
    assert_eq!(words("postgres"), words("sqlite"));
    let views = |dialect: &str| -> Vec<String> {
        let sql = migrations(dialect);
        sql.split(';').filter_map(|said| said.find("create view ").map(|at| said[at..].to_owned())).collect()
    };
    assert_eq!(views("postgres"), views("sqlite"));
    assert_eq!(views("sqlite").len(), 2, "platform_content and workflow_runs");
}

const fn word(kind: ColumnType) -> &'static str {
    match kind {
        ColumnType::Text => "text",
        ColumnType::Uuid => "id",
        ColumnType::Int => "integer",
        ColumnType::Bool => "true/false",
        ColumnType::Time => "instant",
        ColumnType::Json => "document",
        ColumnType::Real => "real",
    }
}

fn tables_section() -> String {
    let mut out = String::new();
    for (table, meaning) in tables::ALL.iter().zip(tables::MEANINGS) {
        assert_eq!(table.columns.len(), meaning.columns.len());
        let _ = writeln!(out, "### `{}`\n\n{} Key: `{}`.\n", table.name, meaning.table.trim(), table.key.join("`, `"));
        let _ = writeln!(out, "| column | type | meaning |\n|---|---|---|");
        for (column, meaning) in table.columns.iter().zip(meaning.columns) {
            let null = if column.nullable { ", may be null" } else { "" };
            let meaning = meaning.trim().replace('|', "\\|");
            let _ = writeln!(out, "| `{}` | {}{null} | {meaning} |", column.name, word(column.kind));
        }
        out.push('\n');
    }
    out
}

fn touched(event: &AnyEvent, stream: StreamId) -> String {
    let recorded = record(stream, (1, 1), secs(1), event);
    let named = keys(event, &recorded);
    let tables = tables::ALL.iter().filter(|table| named.iter().any(|(other, _)| std::ptr::eq(*other, **table)));
    let names: Vec<String> = tables.map(|table| format!("`{}`", table.name)).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

fn events_section() -> String {
    let mut out = "| type | tables it reads or changes |\n|---|---|\n".to_owned();
    for (stream, event) in samples::all() {
        let name = codec::encode_any(&event).unwrap().event_type;
        let _ = writeln!(out, "| `{name}` | {} |", touched(&event, stream));
    }
    out.push('\n');
    out
}

/// What stands before, between and after the two marks of a section.
fn section<'a>(readme: &'a str, name: &str) -> [&'a str; 3] {
    let (begin, end) = (format!("<!-- {name}: written from the code -->\n"), format!("<!-- end of {name} -->"));
    let place = |mark: &str| readme.find(mark).unwrap_or_else(|| panic!("schema/README.md has no mark {mark}"));
    let (from, upto) = (place(&begin) + begin.len(), place(&end));
    [&readme[..from], &readme[from..upto], &readme[upto..]]
}

#[test]
fn the_readme_says_what_the_code_says() {
    let mut readme = read("schema/README.md");
    let fresh = [("tables", tables_section()), ("events", events_section())];
    #[expect(clippy::disallowed_methods, reason = "a switch for people who run this test, not configuration")]
    let update = std::env::var_os("UPDATE").is_some();
    if update {
        for (name, text) in fresh {
            let [before, _, after] = section(&readme, name);
            readme = format!("{before}\n{text}{after}");
        }
        std::fs::write(repository("schema/README.md"), readme).unwrap();
        return;
    }
    for (name, text) in fresh {
        let stale = section(&readme, name)[1] != format!("\n{text}");
        assert!(!stale, "section {name} of schema/README.md is stale: UPDATE=1 cargo test -p nightshift-projections");
    }
}

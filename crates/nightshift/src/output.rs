//! What a person sees: tables and lines; and JSON for programs.

use std::io::{self, Write};

use comfy_table::{ContentArrangement, Table, TableStyle};
use nightshift_projections::table::Row;
use serde_json::Value;

/// Prints one JSON document.
pub fn json(value: &impl serde::Serialize) {
    match serde_json::to_string_pretty(value) {
        Ok(text) => println!("{text}"),
        Err(error) => note(&format!("error: {error}")),
    }
}

/// A line beside the answer, on standard error. Nobody need read it: a closed standard error is no reason to end.
pub fn note(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// A cell of a row as text: nothing for null, short for instants.
#[must_use]
pub fn cell(row: &Row, column: &str) -> String {
    match row.get(column) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

/// An instant without its fraction: `2026-03-02 09:00:00Z`.
#[must_use]
pub fn instant(row: &Row, column: &str) -> String {
    short_instant(&cell(row, column))
}

/// Shortens an RFC 3339 text.
#[must_use]
pub fn short_instant(text: &str) -> String {
    match (text.get(..10), text.get(11..19)) {
        (Some(date), Some(time)) => format!("{date} {time}Z"),
        _ => text.to_owned(),
    }
}

/// The part of an id that is enough to name it: the shard is in it, so eight characters are.
#[must_use]
pub fn short_id(id: &str) -> &str {
    id.get(..8).unwrap_or(id)
}

/// Prints rows under headings; nothing at all says `empty`.
pub fn table(headings: &[&str], rows: Vec<Vec<String>>, empty: &str) {
    if rows.is_empty() {
        println!("{empty}");
        return;
    }
    let mut table = Table::new();
    table.load_style(TableStyle::new()).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(headings.iter().map(|heading| heading.to_uppercase()));
    table.add_rows(rows);
    println!("{}", flush_left(&table.to_string()));
}

/// Without the indentation that all lines share, and without blanks at their ends. A first cell may be empty.
fn flush_left(text: &str) -> String {
    let filled = text.lines().filter(|line| !line.trim().is_empty());
    let indent = filled.map(|line| line.len() - line.trim_start().len()).min().unwrap_or(0);
    text.lines().map(|line| line.get(indent..).unwrap_or_default().trim_end()).collect::<Vec<_>>().join("\n")
}

/// A line of a description list.
pub fn fact(name: &str, value: impl std::fmt::Display) {
    let value = value.to_string();
    if !value.is_empty() {
        println!("{name:<14} {value}");
    }
}

/// Reads a file, or standard input for `-`.
///
/// # Errors
/// It cannot be read; the message names it.
pub fn read_text(path: &std::path::Path) -> Result<String, crate::exit::Exit> {
    let read = if path.as_os_str() == "-" { io::read_to_string(io::stdin()) } else { std::fs::read_to_string(path) };
    read.map_err(|error| crate::exit::Exit::new(crate::exit::Code::Usage, format!("{}: {error}", path.display())))
}

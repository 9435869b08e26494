//! SQL of read-model tables, made from their descriptions: one text for each table and use, made once.
//!
//! Owns: what both dialects share. Names come from [`TableDef`]s, which are constants of the program, and are quoted;
//! values are always parameters.

use std::{
    collections::HashMap,
    fmt::Write,
    sync::{Arc, Mutex, PoisonError},
};

use nightshift_ports::{
    log::StoreError,
    read_models::{Generation, Query},
    rows::{DEFAULT_LIMIT, all_columns, asked, clean, column_type, total_order},
};
use nightshift_projections::{
    Image,
    table::{ColumnType, Row, RowKey, TableDef},
};
use serde::{
    Serialize,
    ser::{SerializeSeq, Serializer},
};
use serde_json::Value;

use crate::error::corrupt;

/// Name of the live checkpoints in `projection`.
pub(crate) const LIVE: &str = "read_models";
/// Name of the cursors of a reader.
pub(crate) fn cursor_name(reader: &str) -> String {
    format!("cursor:{reader}")
}

/// What is said to one table.
pub(crate) struct TableSql {
    pub(crate) live: GenerationSql,
    pub(crate) rebuilt: GenerationSql,
    /// Makes the empty table that a rebuild fills.
    pub(crate) stage: Arc<str>,
    /// How rows of a rebuild come in. PostgreSQL only.
    pub(crate) fill: FillSql,
    /// Puts its rows in place of the live ones; several statements.
    pub(crate) publish: Arc<str>,
}

/// What is said to one table while a rebuild fills it. Parameter 1 is an array of its rows.
#[derive(Default)]
pub(crate) struct FillSql {
    /// Its name as an identifier.
    pub(crate) name: String,
    /// Writes rows that cannot be there yet.
    pub(crate) take: String,
    /// Writes rows over those that are there.
    pub(crate) merge: String,
}

/// What is said to one table of one generation. Parameter 1 is an array of rows, or of keys, as JSON; PostgreSQL takes
/// rows as one array for each column.
pub(crate) struct GenerationSql {
    pub(crate) upsert: Arc<str>,
    /// Writes a lot of rows, with a parameter for each value. SQLite only.
    pub(crate) upsert_lot: Arc<str>,
    pub(crate) delete: Arc<str>,
    pub(crate) by_key: Arc<str>,
}

impl TableSql {
    pub(crate) const fn of(&self, generation: Generation) -> &GenerationSql {
        match generation {
            Generation::Live => &self.live,
            Generation::Rebuilt => &self.rebuilt,
        }
    }
}

/// The texts made so far.
pub(crate) struct SqlBook {
    /// Those that a rebuild makes anew.
    pub(crate) tables: &'static [&'static TableDef],
    make: fn(&TableDef) -> TableSql,
    made: Mutex<HashMap<&'static str, Arc<TableSql>>>,
}

impl SqlBook {
    pub(crate) fn new(tables: &'static [&'static TableDef], make: fn(&TableDef) -> TableSql) -> Self {
        Self { tables, make, made: Mutex::new(HashMap::new()) }
    }

    pub(crate) fn of(&self, table: &'static TableDef) -> Arc<TableSql> {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        made.entry(table.name).or_insert_with(|| Arc::new((self.make)(table))).clone()
    }
}

/// How a dialect says what the other says differently.
pub(crate) struct Dialect {
    /// A row of `t` as one JSON text.
    pub(crate) image: fn(&TableDef) -> String,
    /// A column of `t` as a JSON value.
    pub(crate) value: fn(&str, ColumnType) -> String,
    /// The function that makes a JSON object of names and values.
    pub(crate) object: &'static str,
    /// Parameter `n`, bound as text, as a value of the type.
    pub(crate) parameter: fn(usize, ColumnType) -> String,
    /// Whether parameter `n`, bound as text, is in a column of `t`, whatever the case of A to Z.
    pub(crate) within: fn(&str, usize) -> String,
    /// Behind a text column, so that it compares by bytes.
    pub(crate) by_bytes: &'static str,
}

/// A question as SQL with its parameters.
pub(crate) struct Question {
    pub(crate) sql: String,
    pub(crate) parameters: Vec<String>,
}

impl Dialect {
    /// Puts a question to a table into words.
    pub(crate) fn question(&self, table: &TableDef, query: &Query) -> Result<Question, StoreError> {
        let mut parameters = Vec::new();
        let conditions = self.conditions(table, query, &mut parameters)?;
        let mut sql = format!("SELECT {} FROM {} AS t{conditions}", (self.image)(table), quote(table.name));
        let order: Result<Vec<String>, StoreError> = total_order(table, query)
            .iter()
            .map(|(column, descending)| self.ordered(table, column, *descending))
            .collect();
        let limit = if query.limit == 0 { DEFAULT_LIMIT } else { query.limit };
        let _ = write!(sql, " ORDER BY {} LIMIT {limit} OFFSET {}", order?.join(", "), query.offset);
        Ok(Question { sql, parameters })
    }

    /// Counting the rows that answer a question.
    pub(crate) fn count(&self, table: &TableDef, query: &Query) -> Result<Question, StoreError> {
        let mut parameters = Vec::new();
        let conditions = self.conditions(table, query, &mut parameters)?;
        Ok(Question { sql: format!("SELECT count(*) FROM {} AS t{conditions}", quote(table.name)), parameters })
    }

    /// What rows have to be, with ` WHERE ` in front; nothing when they may be anything.
    fn conditions(&self, table: &TableDef, query: &Query, parameters: &mut Vec<String>) -> Result<String, StoreError> {
        let mut conditions = Vec::new();
        for (comparison, pairs) in [("=", &query.equals), (">", &query.above), ("<", &query.below)] {
            for pair in pairs {
                conditions.push(self.condition(table, comparison, pair, parameters)?);
            }
        }
        for alternatives in &query.any_of {
            let mut each = Vec::with_capacity(alternatives.len());
            for pairs in alternatives {
                let all = pairs.iter().map(|pair| self.condition(table, "=", pair, parameters));
                let all: Vec<String> = all.collect::<Result<_, _>>()?;
                each.push(if all.is_empty() { "true".to_owned() } else { all.join(" AND ") });
            }
            conditions.push(if each.is_empty() { "false".to_owned() } else { format!("({})", each.join(" OR ")) });
        }
        // A parameter that no column is compared with would be refused.
        if query.search.as_ref().is_some_and(|search| search.columns.is_empty()) {
            conditions.push("false".to_owned());
        } else if let Some(search) = &query.search {
            parameters.push(as_text(ColumnType::Text, &Value::from(search.word.clone())));
            let number = parameters.len();
            let within = |column: &&str| column_type(table, column).map(|_| (self.within)(column, number));
            let each: Vec<String> = search.columns.iter().map(within).collect::<Result<_, _>>()?;
            conditions.push(format!("({})", each.join(" OR ")));
        }
        Ok(if conditions.is_empty() { String::new() } else { format!(" WHERE {}", conditions.join(" AND ")) })
    }

    fn condition(
        &self,
        table: &TableDef,
        comparison: &str,
        (column, value): &(&'static str, Value),
        parameters: &mut Vec<String>,
    ) -> Result<String, StoreError> {
        let kind = column_type(table, column)?;
        Ok(match value {
            Value::Null if comparison == "=" => format!("t.{} IS NULL", quote(column)),
            Value::Null => "false".to_owned(),
            // An index of the rows of one state is used only by a question that names the state.
            Value::String(word) if (*column, comparison) == ("status", "=") && is_word(word) => {
                format!("t.{} = '{word}'", quote(column))
            }
            value => {
                parameters.push(as_text(kind, value));
                let parameter = (self.parameter)(parameters.len(), kind);
                format!("{} {comparison} {parameter}", self.compared(column, kind, comparison))
            }
        })
    }

    /// Counting rows by a column: each row is an object of `v` and `n`.
    pub(crate) fn count_by(&self, table: &TableDef, column: &str) -> Result<String, StoreError> {
        let value = (self.value)(column, column_type(table, column)?);
        let (object, name, column) = (self.object, quote(table.name), quote(column));
        Ok(format!("SELECT CAST({object}('v', {value}, 'n', count(*)) AS TEXT) FROM {name} AS t GROUP BY t.{column}"))
    }

    fn compared(&self, column: &str, kind: ColumnType, comparison: &str) -> String {
        let by_bytes = if kind == ColumnType::Text && comparison != "=" { self.by_bytes } else { "" };
        format!("t.{}{by_bytes}", quote(column))
    }

    /// Null counts as the smallest on both databases. Said only where a column can be null: an index serves the order
    /// only without it.
    fn ordered(&self, table: &TableDef, column: &str, descending: bool) -> Result<String, StoreError> {
        let kind = column_type(table, column)?;
        let nullable = table.column(column).is_some_and(|column| column.nullable);
        let direction = match (descending, nullable) {
            (false, false) => "",
            (false, true) => " ASC NULLS FIRST",
            (true, false) => " DESC",
            (true, true) => " DESC NULLS LAST",
        };
        Ok(format!("{}{direction}", self.compared(column, kind, "order")))
    }
}

/// A name as an identifier.
pub(crate) fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A list of names as identifiers.
pub(crate) fn quoted_list<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    names.into_iter().map(quote).collect::<Vec<_>>().join(", ")
}

/// All columns as identifiers.
pub(crate) fn all_quoted(table: &TableDef) -> String {
    quoted_list(all_columns(table).map(|(name, _)| name))
}

/// `column = excluded.column` for all but the key and what is fixed.
pub(crate) fn assignments(table: &TableDef) -> String {
    let others = all_columns(table).filter(|(name, _)| !table.key.contains(name) && !table.fixed.contains(name));
    others.map(|(name, _)| format!("{0} = excluded.{0}", quote(name))).collect::<Vec<_>>().join(", ")
}

/// A value without the character NUL, copied only when it has one.
pub(crate) struct Cleaned<'a>(pub(crate) &'a Value);

impl Serialize for Cleaned<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if has_nul(self.0) { clean(self.0.clone()).serialize(serializer) } else { self.0.serialize(serializer) }
    }
}

/// Small letters and underlines only, so it may stand in a statement.
fn is_word(text: &str) -> bool {
    !text.is_empty() && text.len() <= 20 && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
}

fn has_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(items) => items.iter().any(has_nul),
        Value::Object(fields) => fields.iter().any(|(name, value)| name.contains('\0') || has_nul(value)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// A row as an array of values in the order of [`all_columns`], written without a copy.
struct AsArray<'a>(&'a Image);

impl Serialize for AsArray<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(image) = self;
        let mut row = serializer.serialize_seq(Some(image.values().len() + 2))?;
        image.values().iter().try_for_each(|value| row.serialize_element(&Cleaned(value)))?;
        row.serialize_element(&image.shard())?;
        row.serialize_element(&image.seq())?;
        row.end()
    }
}

/// Rows as an array of arrays, in the order of the columns.
pub(crate) fn rows_json(rows: &[&Image]) -> Result<String, serde_json::Error> {
    let rows: Vec<AsArray<'_>> = rows.iter().map(|image| AsArray(image)).collect();
    serde_json::to_string(&rows)
}

/// Keys as an array of arrays, as rows have them.
pub(crate) fn keys_json<'a>(keys: impl IntoIterator<Item = &'a RowKey>) -> String {
    Value::Array(keys.into_iter().map(|key| clean(Value::Array(key.clone()))).collect()).to_string()
}

/// Keys as an array of objects, as rows have them.
pub(crate) fn key_objects_json<'a>(table: &TableDef, keys: impl IntoIterator<Item = &'a RowKey>) -> String {
    let objects = keys
        .into_iter()
        .map(|key| table.key.iter().map(|name| (*name).to_owned()).zip(key.iter().cloned().map(clean)).collect())
        .map(Value::Object);
    Value::Array(objects.collect()).to_string()
}

/// A row from the JSON text of it.
pub(crate) fn parse_row(table: &TableDef, text: &str) -> Result<Row, StoreError> {
    let row: Row = serde_json::from_str(text)
        .map_err(|error| corrupt(format!("a row of {} that is not JSON: {error}", table.name)))?;
    Ok(nightshift_ports::rows::normal(table, row))
}

/// Counts from the JSON texts of [`Dialect::count_by`], in the order of the values.
pub(crate) fn parse_counts(table: &TableDef, column: &str, texts: &[String]) -> Result<Vec<(Value, u64)>, StoreError> {
    let kind = column_type(table, column)?;
    let mut counts = Vec::with_capacity(texts.len());
    for text in texts {
        let mut row: Row = serde_json::from_str(text)
            .map_err(|error| corrupt(format!("a count of {}.{column} that is not JSON: {error}", table.name)))?;
        let value = nightshift_ports::rows::normal_value(kind, row.remove("v").unwrap_or(Value::Null));
        counts.push((value, row.get("n").and_then(Value::as_u64).unwrap_or(0)));
    }
    counts.sort_by_key(|(value, _)| value.to_string());
    Ok(counts)
}

/// A value as the text it is bound as.
fn as_text(kind: ColumnType, value: &Value) -> String {
    match (kind, asked(kind, value)) {
        (ColumnType::Json, value) => value.to_string(),
        (_, Value::String(text)) => text,
        (_, Value::Bool(value)) => u8::from(value).to_string(),
        (_, value) => value.to_string(),
    }
}

//! Reading fields out of a document while collecting every fault instead of stopping at the first.
//!
//! Owns: kinds of field (text, word, list, duration, number), unknown keys, required keys.
//! Refuses to know: which fields a document has.
//!
//! Invariant: a reading method that returns `None` has recorded a fault, unless the field was absent.

use std::ops::RangeInclusive;

use nightshift_domain::json::{Json, Object};

use crate::{
    document::{Entry, Node, Position, Value, number},
    duration,
    fault::{Fault, did_you_mean, quote},
    table::Table,
};

/// Faults that are kept of one document; a document may be wrong in very many places.
const FAULTS_MAX: usize = 200;

/// Collects the faults of one document.
pub struct Reader {
    file: String,
    faults: Vec<Fault>,
}

/// A field that is present.
#[derive(Debug, Clone)]
pub struct Field<'n> {
    pub path: String,
    /// Where its key stands, or the item itself in a list.
    pub at: Position,
    pub value: &'n Value,
}

/// A map whose keys were checked.
#[derive(Debug, Clone)]
pub struct Map<'n> {
    path: String,
    at: Position,
    entries: &'n [Entry],
    table: Option<&'static Table>,
}

impl<'n> Map<'n> {
    /// A field, under any spelling of its key; a key without a value counts as absent.
    pub fn get(&self, key: &str) -> Option<Field<'n>> {
        let known = self.table.and_then(|table| table.key(key));
        debug_assert!(self.table.is_none() || known.is_some(), "{key} is not in its table");
        let is_it = |word: &str| known.map_or(word == key, |known| known.is(word));
        let entry = self.entries.iter().find(|entry| is_it(&entry.key))?;
        let field = Field { path: self.path_of(&entry.key), at: entry.at, value: &entry.node.value };
        (!matches!(field.value, Value::Null)).then_some(field)
    }

    /// Every field, in the order written.
    pub fn fields(&self) -> impl Iterator<Item = Field<'n>> {
        let field = |entry: &'n Entry| Field { path: self.path_of(&entry.key), at: entry.at, value: &entry.node.value };
        self.entries.iter().map(field).filter(|field| !matches!(field.value, Value::Null))
    }

    /// Every field with its key, in the order written; keys of the author's own may hold dots.
    pub fn entries(&self) -> impl Iterator<Item = (&'n str, Field<'n>)> {
        self.fields()
            .zip(self.entries.iter().filter(|entry| !matches!(entry.node.value, Value::Null)))
            .map(|(field, entry)| (entry.key.as_str(), field))
    }

    /// The field that a key without a value would be.
    pub fn absent(&self, key: &str) -> Field<'n> {
        Field { path: self.path_of(key), ..self.whole() }
    }

    /// The map itself as a field, for faults about it as a whole.
    pub fn whole(&self) -> Field<'n> {
        Field { path: self.path.clone(), at: self.at, value: &Value::Null }
    }

    fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }
}

impl<'n> Field<'n> {
    /// The document itself.
    pub fn root(node: &'n Node) -> Self {
        Self { path: String::new(), at: node.at, value: &node.value }
    }

    /// An item of the list that stands in the field.
    pub fn item(&self, at: usize, node: &'n Node) -> Self {
        Field { path: format!("{}[{at}]", self.path), at: node.at, value: &node.value }
    }

    /// What stands under a key of the map that stands in the field.
    pub fn below(&self, key: &str, at: Position, node: &'n Node) -> Self {
        Field { path: format!("{}.{key}", self.path), at, value: &node.value }
    }

    /// The last part of the path.
    pub fn key(&self) -> &str {
        self.path.rsplit('.').next().unwrap_or(&self.path)
    }
}

impl Reader {
    pub fn new(file: &str) -> Self {
        Self { file: file.to_owned(), faults: Vec::new() }
    }

    /// The faults found so far, in the order of their places.
    pub fn into_faults(mut self) -> Vec<Fault> {
        self.faults.sort_by_key(|fault| (fault.line, fault.column));
        if self.is_full() {
            let mend = Some("mend these and read the document again".to_owned());
            let (found, allowed) = (format!("{FAULTS_MAX} faults"), "at most so many are told at once".to_owned());
            let (file, path) = (self.file.clone(), String::new());
            self.faults.push(Fault { file, line: 0, column: 0, path, found, allowed, remedy: mend });
        }
        self.faults
    }

    /// Whether so many faults were found that no more are kept.
    pub fn is_full(&self) -> bool {
        self.faults.len() >= FAULTS_MAX
    }

    pub fn fault(&mut self, field: &Field<'_>, found: String, allowed: &str, remedy: Option<String>) {
        if self.is_full() {
            return;
        }
        self.faults.push(Fault {
            file: self.file.clone(),
            line: field.at.line,
            column: field.at.column,
            path: field.path.clone(),
            found,
            allowed: allowed.to_owned(),
            remedy,
        });
    }

    /// Refuses what stands in the field.
    pub fn refuse(&mut self, field: &Field<'_>, allowed: &str, remedy: Option<String>) {
        self.fault(field, field.value.describe(), allowed, remedy);
    }

    /// A map with none but the given keys.
    pub fn map<'n>(&mut self, field: &Field<'n>, keys: &[&str]) -> Option<Map<'n>> {
        let Value::Map(entries) = field.value else {
            self.refuse(field, &format!("a map with the keys {}", keys.join(", ")), None);
            return None;
        };
        let map = Map { path: field.path.clone(), at: field.at, entries, table: None };
        for entry in entries.iter().filter(|entry| !keys.contains(&entry.key.as_str())) {
            let unknown = Field { path: map.path_of(&entry.key), at: entry.at, value: &entry.node.value };
            let remedy = did_you_mean(&entry.key, keys.iter().copied());
            self.fault(&unknown, format!("the unknown key {}", quote(&entry.key)), &keys.join(", "), remedy);
        }
        Some(map)
    }

    /// A map with the keys of a table, each once whatever its spelling.
    pub fn table<'n>(&mut self, field: &Field<'n>, table: &'static Table) -> Option<Map<'n>> {
        let Value::Map(entries) = field.value else {
            self.refuse(field, &format!("a map with the keys {}", table.names().join(", ")), None);
            return None;
        };
        let map = Map { path: field.path.clone(), at: field.at, entries, table: Some(table) };
        for (at, entry) in entries.iter().enumerate() {
            let here = Field { path: map.path_of(&entry.key), at: entry.at, value: &entry.node.value };
            let Some(key) = table.key(&entry.key) else {
                let remedy = did_you_mean(&entry.key, table.spellings());
                let found = format!("the unknown key {}", quote(&entry.key));
                self.fault(&here, found, &table.names().join(", "), remedy);
                continue;
            };
            if let Some(first) = entries[..at].iter().find(|other| key.is(&other.key)) {
                let found = format!("{} beside {}, which mean the same", quote(&entry.key), quote(&first.key));
                self.fault(&here, found, &format!("{} once", key.name), Some("drop one of the two".to_owned()));
            }
        }
        Some(map)
    }

    /// A map with names of the author's own.
    pub fn named<'n>(&mut self, field: &Field<'n>, allowed: &str) -> Option<Map<'n>> {
        let Value::Map(entries) = field.value else {
            self.refuse(field, allowed, None);
            return None;
        };
        Some(Map { path: field.path.clone(), at: field.at, entries, table: None })
    }

    /// A field that must be there.
    pub fn required<'n>(&mut self, map: &Map<'n>, key: &str, allowed: &str) -> Option<Field<'n>> {
        let field = map.get(key);
        if field.is_none() {
            self.fault(&map.absent(key), "nothing".to_owned(), allowed, Some(format!("add the key {key}")));
        }
        field
    }

    /// A text that is not blank. A number is taken as it was written.
    pub fn text(&mut self, field: &Field<'_>) -> Option<String> {
        match field.value {
            Value::Text(text) | Value::Number(text) if !text.trim().is_empty() => Some(text.trim().to_owned()),
            Value::Bool(_) => {
                self.refuse(field, "text", Some("put it in quotes".to_owned()));
                None
            }
            _ => {
                self.refuse(field, "text", None);
                None
            }
        }
    }

    /// A text that fits into a heading or a subject line.
    pub fn line(&mut self, field: &Field<'_>) -> Option<String> {
        const LINE_CHARS_MAX: usize = 200;
        let text = self.text(field)?;
        if text.contains(char::is_control) || text.chars().count() > LINE_CHARS_MAX {
            self.refuse(field, &format!("one line of at most {LINE_CHARS_MAX} characters"), None);
            return None;
        }
        Some(text)
    }

    /// One of a list of words.
    pub fn word<T: Copy>(&mut self, field: &Field<'_>, words: &[(&str, T)]) -> Option<T> {
        let text = match field.value {
            Value::Text(text) => text.trim(),
            _ => "",
        };
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        if found.is_none() {
            let names: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            self.refuse(field, &names.join(", "), did_you_mean(text, names.iter().copied()));
        }
        found
    }

    /// A list of lines, or a single line, of which none comes twice.
    pub fn distinct_lines<'n>(&mut self, field: &Field<'n>) -> Vec<(Field<'n>, String)> {
        let mut lines: Vec<(Field<'n>, String)> = Vec::new();
        for item in self.items(field) {
            let Some(line) = self.line(&item) else { continue };
            if lines.iter().any(|(_, other)| *other == line) {
                self.refuse(&item, "each entry once", Some("drop the repetition".to_owned()));
            } else {
                lines.push((item, line));
            }
        }
        lines
    }

    /// The items of a list; anything else is a list of one.
    pub fn items<'n>(&mut self, field: &Field<'n>) -> Vec<Field<'n>> {
        let Value::List(items) = field.value else {
            return vec![field.clone()];
        };
        let item = |(index, node): (usize, &'n Node)| Field {
            path: format!("{}[{index}]", field.path),
            at: node.at,
            value: &node.value,
        };
        items.iter().enumerate().map(item).collect()
    }

    /// A duration in seconds, within a range.
    pub fn duration(&mut self, field: &Field<'_>, range: RangeInclusive<u64>) -> Option<u64> {
        let text = match field.value {
            Value::Text(text) => text.as_str(),
            _ => "",
        };
        let seconds = duration::parse(text).filter(|seconds| range.contains(seconds));
        if seconds.is_none() {
            let (low, high) = (duration::render(*range.start()), duration::render(*range.end()));
            let remedy = match field.value {
                Value::Number(number) => Some(format!("add a unit: {number}m or {number}h")),
                _ => None,
            };
            self.refuse(field, &format!("{}, from {low} to {high}", duration::FORM), remedy);
        }
        seconds
    }

    /// Any value, as JSON has it.
    pub fn json(&mut self, field: &Field<'_>) -> Option<Json> {
        match field.value {
            Value::Null => Some(Json::Null),
            Value::Bool(value) => Some(Json::Bool(*value)),
            Value::Number(text) => {
                let number = number(text);
                if number.is_none() {
                    self.refuse(field, "a number that JSON has", Some("put it in quotes".to_owned()));
                }
                number
            }
            Value::Text(text) => Some(Json::String(text.clone())),
            Value::List(items) => {
                let items: Vec<Option<Json>> =
                    items.iter().enumerate().map(|(at, node)| self.json(&field.item(at, node))).collect();
                items.into_iter().collect::<Option<Vec<Json>>>().map(Json::Array)
            }
            Value::Map(entries) => {
                let mut fields = Object::new();
                let mut whole = true;
                for entry in entries {
                    match self.json(&field.below(&entry.key, entry.at, &entry.node)) {
                        Some(value) => drop(fields.insert(entry.key.clone(), value)),
                        None => whole = false,
                    }
                }
                whole.then_some(Json::Object(fields))
            }
        }
    }

    /// A whole number within a range.
    pub fn integer(&mut self, field: &Field<'_>, range: RangeInclusive<u32>) -> Option<u32> {
        let number = match field.value {
            Value::Number(text) => text.parse().ok().filter(|number| range.contains(number)),
            _ => None,
        };
        if number.is_none() {
            self.refuse(field, &format!("a whole number from {} to {}", range.start(), range.end()), None);
        }
        number
    }
}

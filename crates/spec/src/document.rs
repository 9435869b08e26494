//! A YAML or JSON document as a tree in which every node knows where it stands.
//!
//! Owns: reading text within a budget. Refuses to know: what the document is about.
//!
//! Scalars keep the text their author wrote (`1.10` stays `1.10`), so that a field of text can take what looks like a
//! number to YAML.

use std::fmt;

use nightshift_domain::json::Json;
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, SeqAccess, Visitor},
};
use serde_saphyr::{Location, Spanned};

use crate::fault::Fault;

/// Line and column, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Position {
    pub line: u64,
    pub column: u64,
}

/// A value and where it stands.
#[derive(Debug, Clone)]
pub struct Node {
    pub at: Position,
    pub value: Value,
}

/// What a node holds.
#[derive(Debug, Clone)]
pub enum Value {
    Null,
    Bool(bool),
    /// As written.
    Number(String),
    Text(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// A key and its value.
#[derive(Debug, Clone)]
pub struct Entry {
    pub key: String,
    pub at: Position,
    pub node: Node,
}

impl Value {
    /// What it is, for messages.
    pub fn describe(&self) -> String {
        match self {
            Self::Null => "nothing".to_owned(),
            Self::Bool(value) => format!("the truth value {value}"),
            Self::Number(text) => format!("the number {text}"),
            Self::Text(text) => crate::fault::quote(text),
            Self::List(items) => format!("a list of {}", items.len()),
            Self::Map(entries) => match entries.first() {
                Some(entry) => format!("a map with the key {}", crate::fault::quote(&entry.key)),
                None => "an empty map".to_owned(),
            },
        }
    }
}

/// Reads one document.
///
/// # Errors
/// The text is neither YAML 1.2 nor JSON, holds no or several documents, repeats a key, or exceeds the budget.
pub fn read(text: &str, file: &str) -> Result<Node, Box<Fault>> {
    read_nested(text, file, 16)
}

/// Reads one document that may be nested `depth_max` deep.
///
/// # Errors
/// As [`read`].
pub fn read_nested(text: &str, file: &str, depth_max: usize) -> Result<Node, Box<Fault>> {
    const DOCUMENT_BYTES_MAX: usize = 1 << 20;
    let fault = |location: Option<Location>, found: String, remedy: Option<String>| {
        let (line, column) = location.map_or((0, 0), |at| (at.line(), at.column()));
        let allowed = format!("one YAML 1.2 or JSON document of at most 1 MiB, nested at most {depth_max} deep");
        Box::new(Fault { file: file.to_owned(), line, column, path: String::new(), found, allowed, remedy })
    };
    if text.len() > DOCUMENT_BYTES_MAX {
        return Err(fault(None, format!("{} bytes", text.len()), None));
    }
    let raw: Spanned<Raw> = serde_saphyr::from_str_with_options(text, options(depth_max)).map_err(|error| {
        // The place is told in front of the fault already.
        let message = error.without_snippet().to_string();
        let message = message.split(" at line ").next().unwrap_or_default().to_owned();
        fault(error.location(), message, remedy_for_syntax(text, error.location()))
    })?;
    Ok(settle(raw, text))
}

fn options(depth_max: usize) -> serde_saphyr::Options {
    serde_saphyr::options! {
        strict_booleans: true,
        with_snippet: false,
        budget: serde_saphyr::budget! {
            max_nodes: 20_000,
            max_events: 60_000,
            max_depth: depth_max,
            max_documents: 1,
            max_aliases: 100,
            max_anchors: 100,
        },
    }
}

/// The slip that YAML makes likeliest here: a cron expression that begins with `*` reads as an alias.
fn remedy_for_syntax(text: &str, location: Option<Location>) -> Option<String> {
    let index = usize::try_from(location?.line()).ok()?.checked_sub(1)?;
    let line = text.lines().nth(index)?;
    let bare_star = line.split_once(": ").is_some_and(|(_, value)| value.trim_start().starts_with('*'));
    bare_star.then(|| "a value that begins with * must be quoted, e.g. cron: \"*/15 * * * *\"".to_owned())
}

enum Raw {
    Null,
    Bool(bool),
    Number(String),
    Text(String),
    List(Vec<Spanned<Raw>>),
    Map(Vec<(Spanned<String>, Spanned<Raw>)>),
}

fn settle(raw: Spanned<Raw>, source: &str) -> Node {
    let at = position(raw.referenced);
    let value = match raw.value {
        Raw::Null => Value::Null,
        Raw::Bool(value) => Value::Bool(value),
        Raw::Number(shown) => Value::Number(written(raw.defined, source).unwrap_or(shown)),
        Raw::Text(text) => Value::Text(text),
        Raw::List(items) => Value::List(items.into_iter().map(|item| settle(item, source)).collect()),
        Raw::Map(entries) => Value::Map(
            entries
                .into_iter()
                .map(|(key, node)| Entry { at: position(key.referenced), key: key.value, node: settle(node, source) })
                .collect(),
        ),
    };
    Node { at, value }
}

fn position(location: Location) -> Position {
    Position { line: location.line(), column: location.column() }
}

/// The text of a plain scalar as its author wrote it.
fn written(location: Location, source: &str) -> Option<String> {
    let start = usize::try_from(location.span().byte_offset()?).ok()?;
    let length = usize::try_from(location.span().byte_len()?).ok()?;
    source.get(start..start.checked_add(length)?).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_none<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Raw, D::Error> {
        Raw::deserialize(deserializer)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Raw, E> {
        Ok(Raw::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Raw, E> {
        Ok(Raw::Number(value.to_string()))
    }

    fn visit_i128<E>(self, value: i128) -> Result<Raw, E> {
        Ok(Raw::Number(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Raw, E> {
        Ok(Raw::Number(value.to_string()))
    }

    fn visit_u128<E>(self, value: u128) -> Result<Raw, E> {
        Ok(Raw::Number(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Raw, E> {
        Ok(Raw::Number(value.to_string()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Raw, E> {
        Ok(Raw::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Raw, E> {
        Ok(Raw::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Raw, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Raw::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Raw, A::Error> {
        let mut map = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            map.push(entry);
        }
        Ok(Raw::Map(map))
    }
}

/// A number as JSON has it, from its YAML spelling.
pub fn number(text: &str) -> Option<Json> {
    let radix = |prefix: &str, radix: u32| {
        text.strip_prefix(prefix).and_then(|digits| i64::from_str_radix(digits, radix).ok()).map(Json::from)
    };
    let whole = || text.parse::<i64>().ok().map(Json::from);
    let large = || text.parse::<u64>().ok().map(Json::from);
    let broken = || {
        let float = text.parse::<f64>().ok().filter(|float| float.is_finite())?;
        text.contains(|c: char| c.is_ascii_digit()).then(|| Json::from(float))
    };
    whole().or_else(large).or_else(|| radix("0x", 16)).or_else(|| radix("0o", 8)).or_else(broken)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(text: &str) -> Vec<Entry> {
        match read(text, "t.yaml").unwrap().value {
            Value::Map(entries) => entries,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn every_node_knows_its_place_and_numbers_keep_their_spelling() {
        let read = entries("title: 2026.10\nschedule:\n  time: 09:00\n  day: no\n  list: [1, ~, true, on]\n");
        assert!(matches!(&read[0].node.value, Value::Number(text) if text == "2026.10"), "{:?}", read[0]);
        let Value::Map(schedule) = &read[1].node.value else { panic!("{read:?}") };
        assert_eq!((schedule[0].at.line, schedule[0].at.column), (3, 3));
        assert!(matches!(&schedule[0].node.value, Value::Text(text) if text == "09:00"), "{schedule:?}");
        assert!(matches!(&schedule[1].node.value, Value::Text(text) if text == "no"), "{schedule:?}");
        let Value::List(items) = &schedule[2].node.value else { panic!("{schedule:?}") };
        assert!(
            matches!(
                (&items[0].value, &items[1].value, &items[2].value, &items[3].value),
                (Value::Number(_), Value::Null, Value::Bool(true), Value::Text(_))
            ),
            "{items:?}"
        );
        assert_eq!((items[1].at.line, items[1].at.column), (5, 13));
    }

    #[test]
    fn json_reads_as_yaml() {
        let read = entries("{\"title\": \"a\",\n \"sources\": [{\"feed\": \"https:\\/\\/x.y\\/\\u00e4\"}]}");
        assert_eq!(read[1].key, "sources");
        assert_eq!((read[1].at.line, read[1].at.column), (2, 2));
    }

    #[test]
    fn what_cannot_be_read_is_one_fault_with_its_line() {
        let bomb = "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b]\n\
                    d: &d [*c,*c,*c,*c,*c,*c,*c,*c]\ne: [*d,*d,*d,*d,*d,*d,*d,*d]\n";
        for (text, line) in [
            ("title: a\ntitle: b\n", 2),
            ("a: [1\n", 1),
            ("a: b\n c: d\n", 2),
            ("schedule:\n  cron: */5 * * * *\n", 2),
            (bomb, 0),
            (&"[".repeat(2_000), 0),
            ("a: 1\n---\nb: 2\n", 0),
        ] {
            let fault = read(text, "t.yaml").unwrap_err();
            assert!(line == 0 || fault.line == line, "{fault}");
        }
        let fault = read("schedule:\n  cron: */5 * * * *\n", "t.yaml").unwrap_err();
        assert!(fault.to_string().contains("must be quoted"), "{fault}");
    }
}

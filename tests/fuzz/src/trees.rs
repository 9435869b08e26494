//! Changes of an input as a tree: JSON and MessagePack.
//!
//! Owns: reading an input as a tree, changes that leave it one, and writing it back.
//! Refuses to know: which fields there should be. A change of bytes breaks nearly every length of MessagePack and every
//! bracket of JSON; a change of the tree comes past the reader, to what is behind it.

use rmpv::Value;

use crate::chance::Chance;

/// How an input is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Text, or bytes: no tree.
    Plain,
    /// JSON, and what is not JSON is text.
    Json,
    /// A line of text and MessagePack behind it.
    Pack,
    /// Lines, the last part of which is JSON.
    HeadedJson,
}

/// The line in front, and the tree.
type Headed = (Vec<u8>, Value);

/// Reads an input; none when it is no tree.
#[must_use]
pub fn read(form: Form, input: &[u8]) -> Option<Headed> {
    let headed = || {
        let end = input.iter().position(|byte| *byte == b'\n')?;
        Some(input.split_at(end + 1))
    };
    match form {
        Form::Plain => None,
        Form::Json => serde_json::from_slice(input).ok().map(|tree| (Vec::new(), tree)),
        Form::HeadedJson => {
            let (head, rest) = headed()?;
            serde_json::from_slice(rest).ok().map(|tree| (head.to_vec(), tree))
        }
        Form::Pack => {
            let (head, rest) = headed()?;
            unpacked(rest).map(|tree| (head.to_vec(), tree))
        }
    }
}

/// Reads MessagePack that is not nested deeper than what is changed here: the reader of the tests has a small stack.
#[must_use]
pub fn unpacked(mut bytes: &[u8]) -> Option<Value> {
    rmpv::decode::read_value_with_max_depth(&mut bytes, 200).ok()
}

/// Writes a tree; none when the form has no room for it.
#[must_use]
pub fn write(form: Form, (head, tree): &Headed) -> Option<Vec<u8>> {
    let mut out = head.clone();
    match form {
        Form::Plain => return None,
        Form::Json | Form::HeadedJson => out.extend(serde_json::to_vec(tree).ok()?),
        Form::Pack => rmpv::encode::write_value(&mut out, tree).ok()?,
    }
    Some(out)
}

/// Makes one change. `other` gives parts, `words` names and texts.
pub fn change(tree: &mut Value, other: Option<&Value>, words: &[String], chance: &mut Chance) {
    let count = nodes(tree);
    let mut at = chance.below(count);
    let Some(node) = nth(tree, &mut at) else { return };
    let part = other.and_then(|other| {
        let mut at = chance.below(nodes(other));
        nth_of(other, &mut at).cloned()
    });
    match (chance.below(12), node) {
        (0 | 1, node) => {
            if let Some(part) = part {
                *node = part;
            }
        }
        (2, Value::Map(entries)) => drop(remove(entries, chance)),
        (2 | 3, Value::Array(items)) => drop(remove(items, chance)),
        (3, Value::Map(entries)) => {
            let to = chance.below(entries.len() + 1);
            let name = chance.pick(words).map_or("x", String::as_str);
            entries.insert(to, (Value::from(name), part.unwrap_or(Value::Nil)));
        }
        (4, Value::Map(entries)) => {
            let at = chance.below(entries.len());
            if let (Some(entry), Some(word)) = (entries.get_mut(at), chance.pick(words)) {
                entry.0 = Value::from(word.as_str());
            }
        }
        (4 | 5, Value::Array(items)) => {
            let at = chance.below(items.len());
            if let Some(item) = items.get(at).cloned() {
                let more = if chance.one_in(20) { 1 + chance.below(300) } else { 1 };
                items.splice(at..at, std::iter::repeat_n(item, more));
            }
        }
        (5, Value::Map(entries)) => {
            let (one, two) = (chance.below(entries.len()), chance.below(entries.len()));
            if let Some(value) = entries.get(one).map(|entry| entry.1.clone())
                && let Some(entry) = entries.get_mut(two)
            {
                entry.1 = value;
            }
        }
        (6, Value::String(text)) => {
            let mut bytes = text.as_bytes().to_vec();
            let material = crate::bytes::Material { words, other: &[], bytes_max: 4_096 };
            crate::bytes::change(&mut bytes, &material, chance);
            *text = String::from_utf8_lossy(&bytes).into_owned().into();
        }
        (7, node) => wrap(node, chance),
        (8 | 9, node) => *node = chance.pick(words).map_or(Value::Nil, |word| Value::from(word.as_str())),
        (_, node) => *node = scalar(chance),
    }
}

fn remove<T>(items: &mut Vec<T>, chance: &mut Chance) -> Option<T> {
    let at = chance.below(items.len());
    (at < items.len()).then(|| items.remove(at))
}

/// Puts a node into a list or a map, seldom into very many.
fn wrap(node: &mut Value, chance: &mut Chance) {
    let deep = if chance.one_in(10) { 1 + chance.below(400) } else { 1 };
    let inside = std::mem::replace(node, Value::Nil);
    *node = (0..deep).fold(inside, |inside, nth| {
        if nth % 2 == 0 { Value::Array(vec![inside]) } else { Value::Map(vec![(Value::from("a"), inside)]) }
    });
}

fn scalar(chance: &mut Chance) -> Value {
    match chance.below(16) {
        0 => Value::Nil,
        1 => Value::from(chance.one_in(2)),
        2 => Value::from(0),
        3 => Value::from(-1),
        4 => Value::from(i64::MAX),
        5 => Value::from(i64::MIN),
        6 => Value::from(u64::MAX),
        7 => Value::from(u32::MAX),
        8 => Value::from(u16::MAX),
        9 => Value::from(1_u64 << chance.below(64)),
        10 => Value::from(0.1 + 0.2),
        11 => Value::from(f64::MAX),
        12 => Value::from(""),
        13 => Value::Array(Vec::new()),
        14 => Value::Map(Vec::new()),
        _ => Value::from(chance.below(100)),
    }
}

fn nodes(tree: &Value) -> usize {
    1 + match tree {
        Value::Array(items) => items.iter().map(nodes).sum(),
        Value::Map(entries) => entries.iter().map(|(_, value)| nodes(value)).sum(),
        _ => 0,
    }
}

fn nth<'t>(tree: &'t mut Value, at: &mut usize) -> Option<&'t mut Value> {
    if *at == 0 {
        return Some(tree);
    }
    *at -= 1;
    match tree {
        Value::Array(items) => items.iter_mut().find_map(|item| nth(item, at)),
        Value::Map(entries) => entries.iter_mut().find_map(|(_, value)| nth(value, at)),
        _ => None,
    }
}

fn nth_of<'t>(tree: &'t Value, at: &mut usize) -> Option<&'t Value> {
    if *at == 0 {
        return Some(tree);
    }
    *at -= 1;
    match tree {
        Value::Array(items) => items.iter().find_map(|item| nth_of(item, at)),
        Value::Map(entries) => entries.iter().find_map(|(_, value)| nth_of(value, at)),
        _ => None,
    }
}

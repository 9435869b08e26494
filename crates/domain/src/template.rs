//! Templates: JSON values with `{{ path }}` in their texts, and `$`-paths into values.
//!
//! Owns: the syntax of both, what they refer to, what they become, and that this has a bound.
//! Refuses to know: where the values come from; they arrive as a [`Scope`].
//!
//! Invariant: rendering stops when it has made as much as it may ([`Room`]), however often a template names a value.
//!
//! A text that is one `{{ path }}` and nothing else becomes the value itself, with its type. Inside a longer text a value
//! is written out, objects and lists as JSON. What is not there is null, or nothing inside a text. `${name}` in a text is
//! the older spelling of `{{ name }}`.

use std::fmt;

use serde_json::Map;

use crate::{
    json::{Json, Room, TooMuch, canonical, pointer_to},
    run::{Kept, Places},
};

/// Where the names of a template lead.
pub trait Scope {
    /// The value under the first name of a path; none when there is no such name.
    fn root(&self, name: &str) -> Option<Json>;
    /// The output of a step, for `steps.<id>`; none when it has none (yet).
    fn step(&self, id: &str) -> Option<Json>;
    /// Where in the value at a path there are others that are kept elsewhere, and stand there as what says where.
    ///
    /// # Errors
    /// The path leads into such a value, which is the one that is given.
    fn kept(&self, _path: &Path) -> Result<Places, Kept> {
        Ok(Places::new())
    }
}

/// What a template became.
#[derive(Debug, Clone, PartialEq)]
pub struct Made {
    /// The value.
    pub value: Json,
    /// What in it is kept elsewhere.
    pub kept: Places,
}

/// Why a template becomes nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// It is too large or too deep.
    #[error(transparent)]
    TooMuch(#[from] TooMuch),
    /// It looks into a value that is not here.
    #[error(
        "needs {path}, which is too large to be kept in the run and cannot be looked into here; give that step an \
         output_mapping that picks what is needed"
    )]
    Kept {
        /// The path, as written.
        path: String,
    },
}

/// A path as it is written between braces: `steps.fetch-data.rows[0].v`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path {
    /// The first name.
    pub root: String,
    /// What follows.
    pub parts: Vec<Part>,
}

/// One part of a path behind its root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// A field of an object.
    Field(String),
    /// An element of a list, from 0.
    Index(usize),
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.root)?;
        self.parts.iter().try_for_each(|part| match part {
            Part::Field(name) if is_name(name) => write!(f, ".{name}"),
            // What cannot stand behind a dot stands in brackets, in the marks that it does not hold itself.
            Part::Field(name) if name.contains('"') => write!(f, "['{name}']"),
            Part::Field(name) => write!(f, "[\"{name}\"]"),
            Part::Index(at) => write!(f, "[{at}]"),
        })
    }
}

/// A text that is no path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no path: {why}; a path is names and numbers, as in steps.fetch.rows[0].id")]
pub struct NoPath {
    /// As written.
    pub text: String,
    /// What is wrong.
    pub why: String,
}

impl Path {
    /// Reads a path. Names are letters, digits, `_` and `-`, or anything in `["..."]`.
    ///
    /// # Errors
    /// The text is no path.
    pub fn parse(text: &str) -> Result<Self, NoPath> {
        let no = |why: &str| NoPath { text: text.trim().to_owned(), why: why.to_owned() };
        let mut rest = text.trim();
        let mut parts = Vec::new();
        let root = take_name(&mut rest).ok_or_else(|| no("it does not begin with a name"))?;
        while !rest.is_empty() {
            let part = if let Some(after) = rest.strip_prefix('.') {
                rest = after;
                take_name(&mut rest).map(Part::Field).ok_or_else(|| no("a dot is not followed by a name"))?
            } else if let Some(after) = rest.strip_prefix('[') {
                let (inside, behind) = after.split_once(']').ok_or_else(|| no("a bracket is not closed"))?;
                rest = behind;
                bracketed(inside).ok_or_else(|| no("brackets hold a number from 0 or a quoted name"))?
            } else {
                return Err(no("names are letters, digits, _ and -, with dots or brackets between them"));
            };
            parts.push(part);
        }
        Ok(Self { root, parts })
    }

    /// The value the path leads to.
    #[must_use]
    pub fn find(&self, scope: &dyn Scope) -> Option<Json> {
        let (start, parts) = match (self.root.as_str(), self.parts.split_first()) {
            ("steps", Some((Part::Field(id), parts))) => (scope.step(id)?, parts),
            _ => (scope.root(&self.root)?, self.parts.as_slice()),
        };
        follow(&start, parts).cloned()
    }
}

/// Follows parts into a value.
fn follow<'a>(value: &'a Json, parts: &[Part]) -> Option<&'a Json> {
    parts.iter().try_fold(value, |value, part| match part {
        Part::Field(name) => value.get(name),
        Part::Index(at) => value.get(at),
    })
}

fn is_of_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '-'
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(is_of_name)
}

fn take_name(rest: &mut &str) -> Option<String> {
    let end = rest.find(|c: char| !is_of_name(c)).unwrap_or(rest.len());
    let (name, behind) = rest.split_at(end);
    *rest = behind;
    (!name.is_empty()).then(|| name.to_owned())
}

fn bracketed(inside: &str) -> Option<Part> {
    let inside = inside.trim();
    let quoted = |mark: char| inside.strip_prefix(mark).and_then(|rest| rest.strip_suffix(mark));
    match quoted('"').or_else(|| quoted('\'')) {
        Some(name) => Some(Part::Field(name.to_owned())),
        None => inside.parse().ok().map(Part::Index),
    }
}

/// A piece of a text.
enum Piece<'a> {
    Plain(&'a str),
    /// What stands between the braces.
    Hole(&'a str),
}

/// Cuts a text at its holes. An opening that is never closed is plain text.
fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some((at, open, close)) = next_hole(rest) {
        let Some(length) = rest[at + open.len()..].find(close) else { break };
        let (before, hole) = (&rest[..at], &rest[at + open.len()..at + open.len() + length]);
        if !before.is_empty() {
            found.push(Piece::Plain(before));
        }
        found.push(Piece::Hole(hole));
        rest = &rest[at + open.len() + length + close.len()..];
    }
    if !rest.is_empty() {
        found.push(Piece::Plain(rest));
    }
    found
}

/// Goes along the text once, so that many holes of one kind do not look to its end for the other kind each.
fn next_hole(text: &str) -> Option<(usize, &'static str, &'static str)> {
    text.match_indices('{').find_map(|(at, _)| match (text.as_bytes().get(at + 1), at.checked_sub(1)) {
        (_, Some(before)) if text.as_bytes()[before] == b'$' => Some((before, "${", "}")),
        (Some(b'{'), _) => Some((at, "{{", "}}")),
        _ => None,
    })
}

/// Every path a template refers to, and every hole that holds none.
#[must_use]
pub fn references(template: &Json) -> Vec<Result<Path, NoPath>> {
    let mut found = Vec::new();
    each_text(template, &mut |text| {
        for piece in pieces(text) {
            if let Piece::Hole(hole) = piece {
                found.push(Path::parse(hole));
            }
        }
    });
    found
}

fn each_text(value: &Json, visit: &mut dyn FnMut(&str)) {
    match value {
        Json::String(text) => visit(text),
        Json::Array(items) => items.iter().for_each(|item| each_text(item, visit)),
        Json::Object(fields) => fields.values().for_each(|field| each_text(field, visit)),
        _ => {}
    }
}

/// What a template becomes, within `room`, of which it takes what it makes. Keys of objects stay as they are.
///
/// # Errors
/// There is no room for it, or it looks into a value that is kept elsewhere.
pub fn render_within(template: &Json, scope: &dyn Scope, room: &mut Room) -> Result<Made, Fault> {
    let mut rendering = Rendering { scope, room, at: String::new(), kept: Places::new() };
    let value = rendering.value(template, 0)?;
    Ok(Made { value, kept: rendering.kept })
}

/// What a text becomes when it must stay a text. What is kept elsewhere is written as what says where.
///
/// # Errors
/// There is no room for it.
pub fn render_to_text(text: &str, scope: &dyn Scope, room: &mut Room) -> Result<String, TooMuch> {
    let mut whole = String::new();
    for piece in pieces(text) {
        match piece {
            Piece::Plain(plain) => add(&mut whole, plain, room)?,
            Piece::Hole(hole) => {
                let Ok(path) = Path::parse(hole) else { continue };
                let found = match scope.kept(&path) {
                    Ok(_) => path.find(scope),
                    Err(kept) => Some(kept.reference()),
                };
                add(&mut whole, &found.as_ref().map(written).unwrap_or_default(), room)?;
            }
        }
    }
    Ok(whole)
}

fn add(whole: &mut String, more: &str, room: &mut Room) -> Result<(), TooMuch> {
    room.take(more.len())?;
    whole.push_str(more);
    Ok(())
}

/// A template on its way to a value.
struct Rendering<'a> {
    scope: &'a dyn Scope,
    room: &'a mut Room,
    /// Where it is in the value, as a pointer.
    at: String,
    kept: Places,
}

impl Rendering<'_> {
    fn value(&mut self, template: &Json, depth: usize) -> Result<Json, Fault> {
        self.room.reaches(depth)?;
        Ok(match template {
            Json::String(text) => self.text(text, depth)?,
            Json::Array(items) => {
                let items = items.iter().enumerate();
                let made = items.map(|(nth, item)| self.below(&nth.to_string(), item, depth));
                Json::Array(made.collect::<Result<_, _>>()?)
            }
            Json::Object(fields) => {
                let made = fields.iter().map(|(name, field)| Ok((name.clone(), self.below(name, field, depth)?)));
                Json::Object(made.collect::<Result<Map<_, _>, Fault>>()?)
            }
            scalar => {
                self.room.take(8)?;
                scalar.clone()
            }
        })
    }

    fn below(&mut self, name: &str, template: &Json, depth: usize) -> Result<Json, Fault> {
        self.room.take(name.len() + 4)?;
        let length = self.at.len();
        self.at.push_str(&pointer_to(name));
        let made = self.value(template, depth + 1);
        self.at.truncate(length);
        made
    }

    fn text(&mut self, text: &str, depth: usize) -> Result<Json, Fault> {
        let found = pieces(text);
        if let [Piece::Hole(hole)] = found.as_slice() {
            let Ok(path) = Path::parse(hole) else { return Ok(Json::Null) };
            let kept = self.kept(&path)?;
            let value = path.find(self.scope).unwrap_or(Json::Null);
            self.room.take_value(&value, depth)?;
            self.kept.extend(kept.into_iter().map(|(below, kept)| (format!("{}{below}", self.at), kept)));
            return Ok(value);
        }
        for path in found.iter().filter_map(|piece| match piece {
            Piece::Hole(hole) => Path::parse(hole).ok(),
            Piece::Plain(_) => None,
        }) {
            if !self.kept(&path)?.is_empty() {
                return Err(Fault::Kept { path: path.to_string() });
            }
        }
        Ok(Json::String(render_to_text(text, self.scope, self.room)?))
    }

    fn kept(&self, path: &Path) -> Result<Places, Fault> {
        self.scope.kept(path).map_err(|_| Fault::Kept { path: path.to_string() })
    }
}

/// A value inside a text.
fn written(value: &Json) -> String {
    match value {
        Json::Null => String::new(),
        Json::String(text) => text.clone(),
        other => canonical(other),
    }
}

/// The parts of a `$`-path; none when the text is none.
#[must_use]
pub fn mapped_parts(text: &str) -> Option<Vec<Part>> {
    match text.strip_prefix('$')? {
        "" => Some(Vec::new()),
        rest if rest.starts_with(['.', '[']) => Path::parse(&format!("root{rest}")).ok().map(|path| path.parts),
        _ => None,
    }
}

/// Reads a `$`-path (`$.content.rows[0]`) out of a value, or gives the literal back. What is not there is null.
#[must_use]
pub fn map_output(mapped: &Json, value: &Json) -> Json {
    match mapped {
        Json::String(text) if text == "$" => value.clone(),
        Json::String(text) if text.starts_with("$.") || text.starts_with("$[") => {
            mapped_parts(text).and_then(|parts| follow(value, &parts).cloned()).unwrap_or(Json::Null)
        }
        Json::Object(fields) => {
            Json::Object(fields.iter().map(|(name, field)| (name.clone(), map_output(field, value))).collect())
        }
        Json::Array(items) => Json::Array(items.iter().map(|item| map_output(item, value)).collect()),
        literal => literal.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    struct Facts {
        parameters: Json,
        results: Json,
    }

    impl Scope for Facts {
        fn root(&self, name: &str) -> Option<Json> {
            match name {
                "parameters" => Some(self.parameters.clone()),
                "steps" => Some(self.results.clone()),
                other => self.parameters.get(other).cloned(),
            }
        }

        fn step(&self, id: &str) -> Option<Json> {
            self.results.get(id).cloned()
        }
    }

    fn facts() -> Facts {
        Facts {
            parameters: json!({"kpis": ["a", "b"], "n": 3}),
            results: json!({"fetch-data": {"rows": [{"v": 7}], "note": "ok"}}),
        }
    }

    #[test]
    fn a_whole_text_keeps_the_type_and_a_part_is_written_out() {
        for (template, becomes) in [
            (json!("{{ kpis }}"), json!(["a", "b"])),
            (json!("{{ parameters.n }}"), json!(3)),
            (json!("n={{ n }}"), json!("n=3")),
            (json!("{{ steps.fetch-data.rows[0].v }}"), json!(7)),
            (json!("{{ steps.fetch-data.rows[9].v }}"), json!(null)),
            (json!("x{{ steps.none }}y"), json!("xy")),
            (json!("k={{ kpis }}"), json!("k=[\"a\",\"b\"]")),
            (json!("${n}-shape"), json!("3-shape")),
            (json!("{{ n }}{{ n }}"), json!("33")),
            (json!("never {{ closed"), json!("never {{ closed")),
            (json!({"deep": ["{{ n }}", 1, null]}), json!({"deep": [3, 1, null]})),
            (json!("{{ steps[\"fetch-data\"].note }}"), json!("ok")),
            (json!("{{ steps.fetch-data[\"note\"] }}"), json!("ok")),
        ] {
            let made = render_within(&template, &facts(), &mut Room::VALUE.clone()).unwrap();
            assert_eq!((made.value, made.kept), (becomes, Places::new()), "{template}");
        }
    }

    #[test]
    fn every_reference_is_found_and_every_fault_named() {
        let template =
            json!({"a": "x {{ n }} {{ steps.fetch-data.note }}", "b": ["${ kpis }", "{{ n + 1 }}", "{{ }}"]});
        let found: Vec<String> = references(&template)
            .into_iter()
            .map(|path| path.map_or_else(|error| format!("! {}", error.text), |path| path.to_string()))
            .collect();
        assert_eq!(found, ["n", "steps.fetch-data.note", "kpis", "! n + 1", "! "]);
    }

    #[test]
    fn mappings_read_paths_and_keep_literals() {
        let made = json!({"content": {"deliverable": {"content": "t", "rows": [1, 2]}}});
        for (mapped, becomes) in [
            (json!("$.content.deliverable.content"), json!("t")),
            (json!("$.content.deliverable.rows[1]"), json!(2)),
            (json!("$.content.none.deeper"), json!(null)),
            (json!("$"), made.clone()),
            (json!("plain"), json!("plain")),
            (json!({"x": "$.content.deliverable.rows"}), json!({"x": [1, 2]})),
            (json!(5), json!(5)),
        ] {
            assert_eq!(map_output(&mapped, &made), becomes, "{mapped}");
        }
    }
}

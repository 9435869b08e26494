//! Who a workflow is and what a run of it is given.
//!
//! Owns: name, owner, version, and parameters with their types, defaults and lists of values.
//! Refuses to know: what uses a parameter.

use nightshift_domain::{
    definition::{Parameter, ParameterKind},
    json::Json,
};

use super::{
    keys,
    references::ROOTS,
    work::{Work, as_slug, is_slug},
};
use crate::{
    document::Value,
    fault::{did_you_mean, quote},
    reader::{Field, Map},
};

/// Who a workflow is.
pub(super) struct Head {
    pub owner: String,
    pub name: String,
    pub version: String,
    pub display_name: String,
    pub description: String,
}

/// Reads who it is out of the workflow and, where there is one, `metadata` beside it.
pub(super) fn read<'n>(work: &mut Work<'_, 'n>, map: &Map<'n>, metadata: Option<&Map<'n>>, file: &str) -> Option<Head> {
    let name = either(work, map, metadata, "name", |work, field| work.slug(field));
    let owner = either(work, map, metadata, "owner", |work, field| work.slug(field));
    let version = either(work, map, metadata, "version", version);
    let display_name = either(work, map, metadata, "display_name", |work, field| work.reader.line(field));
    let description = either(work, map, metadata, "description", |work, field| work.reader.text(field));
    let name = name?.unwrap_or_else(|| stem(file));
    Some(Head {
        owner: owner?.unwrap_or_else(|| work.context.owner.to_owned()),
        version: version?.unwrap_or_else(|| "1.0.0".to_owned()),
        display_name: display_name?.unwrap_or_else(|| name.clone()),
        description: description?.unwrap_or_default(),
        name,
    })
}

/// What one of two maps says; both may say it when they say the same.
fn either<'n>(
    work: &mut Work<'_, 'n>,
    map: &Map<'n>,
    metadata: Option<&Map<'n>>,
    key: &str,
    read: fn(&mut Work<'_, 'n>, &Field<'n>) -> Option<String>,
) -> Option<Option<String>> {
    let inside = work.optional(map, key, read);
    let beside = metadata.map_or(Some(None), |metadata| work.optional(metadata, key, read));
    match (inside?, beside?) {
        (Some(inside), Some(beside)) if inside != beside => {
            let field = map.get(key).unwrap_or_else(|| map.whole());
            let remedy = Some(format!("metadata says {beside:?}; drop one of the two"));
            work.reader.fault(&field, quote(&inside), "the same as in metadata", remedy);
            None
        }
        (inside, beside) => Some(inside.or(beside)),
    }
}

fn version(work: &mut Work<'_, '_>, field: &Field<'_>) -> Option<String> {
    let text = work.reader.text(field)?;
    if !is_slug(&text, ".-_+") {
        work.reader.refuse(field, "a version of letters, digits, dots, - and +, e.g. 1.0.0", None);
        return None;
    }
    Some(text)
}

/// The name of a file without folder and ending.
fn stem(file: &str) -> String {
    let name = file.rsplit(['/', '\\']).next().unwrap_or(file);
    let stem = name.split_once('.').map_or(name, |(stem, _)| stem);
    let slug = as_slug(stem);
    if slug.is_empty() { "unnamed".to_owned() } else { slug }
}

/// Reads the list of parameters.
pub(super) fn parameters<'n>(work: &mut Work<'_, 'n>, map: &Map<'n>) -> Option<Vec<Parameter>> {
    let Some(field) = map.get("parameters") else { return Some(Vec::new()) };
    if !matches!(field.value, Value::List(_)) {
        work.reader.refuse(&field, "a list of parameters, each {name: ..., type: ...}", None);
        return None;
    }
    let mut found: Vec<Parameter> = Vec::new();
    let mut whole = true;
    for item in work.reader.items(&field) {
        let Some(map) = work.reader.table(&item, &keys::PARAMETER) else {
            whole = false;
            continue;
        };
        match parameter(work, &map) {
            Some(parameter) => {
                if found.iter().any(|other| other.name == parameter.name) {
                    let field = map.get("name").unwrap_or_else(|| map.whole());
                    let again = format!("{} again", quote(&parameter.name));
                    work.reader.fault(&field, again, "each parameter once", Some("drop one of the two".to_owned()));
                }
                found.push(parameter);
            }
            None => whole = false,
        }
    }
    whole.then_some(found)
}

fn parameter<'n>(work: &mut Work<'_, 'n>, map: &Map<'n>) -> Option<Parameter> {
    let name = work.reader.required(map, "name", "the name of the parameter");
    let name = name.and_then(|field| parameter_name(work, &field));
    let kind = map.get("type").map_or(Some(ParameterKind::Any), |field| kind(work, &field));
    let kind = formatted(work, map, kind);
    let required = work.optional(map, "required", |work, field| work.truth(field));
    let one_of = map.get("enum").map_or_else(|| Some(Vec::new()), |field| one_of(work, &field, kind.as_ref()));
    let default = work.optional(map, "default", |work, field| {
        let value = work.json(field)?;
        fits(work, field, &value, kind.as_ref()).then_some(value)
    });
    let description = work.optional(map, "description", |work, field| work.reader.text(field));
    if let (Some(Some(default)), Some(allowed)) = (&default, &one_of)
        && !allowed.is_empty()
        && !allowed.contains(default)
        && let Some(field) = map.get("default")
    {
        let allowed: Vec<String> = allowed.iter().map(ToString::to_string).collect();
        work.reader.fault(&field, default.to_string(), &allowed.join(", "), None);
    }
    Some(Parameter {
        name: name?,
        kind: kind?,
        required: required?.unwrap_or(false),
        default: default?,
        one_of: one_of?,
        description: description?,
    })
}

fn parameter_name(work: &mut Work<'_, '_>, field: &Field<'_>) -> Option<String> {
    let name = work.reader.text(field)?;
    if !is_slug(&name, "_-") || name.starts_with(|c: char| c.is_numeric()) {
        work.reader.refuse(field, "a name of letters, digits, _ and - that does not begin with a digit", None);
        return None;
    }
    if ROOTS.contains(&name.as_str()) {
        let remedy = Some("templates mean something else by it; give the parameter another name".to_owned());
        work.reader.refuse(field, &format!("a name other than {}", ROOTS.join(", ")), remedy);
        return None;
    }
    Some(name)
}

const KINDS: [(&str, ParameterKind); 16] = [
    ("string", ParameterKind::String),
    ("text", ParameterKind::String),
    ("integer", ParameterKind::Integer),
    ("int", ParameterKind::Integer),
    ("number", ParameterKind::Number),
    ("float", ParameterKind::Number),
    ("boolean", ParameterKind::Boolean),
    ("bool", ParameterKind::Boolean),
    ("date", ParameterKind::Date),
    ("datetime", ParameterKind::DateTime),
    ("date-time", ParameterKind::DateTime),
    ("timestamp", ParameterKind::DateTime),
    ("object", ParameterKind::Object),
    ("map", ParameterKind::Object),
    ("json", ParameterKind::Any),
    ("any", ParameterKind::Any),
];

fn kind(work: &mut Work<'_, '_>, field: &Field<'_>) -> Option<ParameterKind> {
    const DEPTH_MAX: usize = 4;
    let text = work.reader.text(field)?;
    let mut word = text.to_lowercase();
    let mut depth = 0;
    while let Some(inner) = word.strip_suffix("[]") {
        word = inner.trim_end().to_owned();
        depth += 1;
    }
    if ["array", "list"].contains(&word.as_str()) {
        word = "any".to_owned();
        depth += 1;
    }
    let found = KINDS.iter().find(|(name, _)| *name == word).map(|(_, kind)| kind.clone());
    match found {
        Some(kind) if depth <= DEPTH_MAX => Some((0..depth).fold(kind, |kind, _| ParameterKind::List(Box::new(kind)))),
        _ => {
            let words = ["string", "integer", "number", "boolean", "date", "datetime", "object", "array", "any"];
            let hint = did_you_mean(&word, words);
            work.reader.refuse(
                field,
                "string, integer, number, boolean, date, datetime, object, any, or one with [] for a list",
                hint,
            );
            None
        }
    }
}

/// A format says more about texts.
fn formatted<'n>(work: &mut Work<'_, 'n>, map: &Map<'n>, kind: Option<ParameterKind>) -> Option<ParameterKind> {
    let words = keys::FORMATS.map(|word| (word, word));
    let Some(field) = map.get("format") else { return kind };
    let format = work.word(&field, &words)?;
    match (kind?, format) {
        (ParameterKind::String | ParameterKind::Any | ParameterKind::Date, "date") => Some(ParameterKind::Date),
        (ParameterKind::String | ParameterKind::Any | ParameterKind::DateTime, "date-time" | "datetime") => {
            Some(ParameterKind::DateTime)
        }
        (kind @ (ParameterKind::String | ParameterKind::Any), _) => Some(kind),
        (kind, format) => {
            let found = format!("the format {format} of a parameter of type {kind}");
            work.reader.fault(&field, found, "a format of texts beside type: string", Some("drop the key".to_owned()));
            None
        }
    }
}

fn one_of<'n>(work: &mut Work<'_, 'n>, field: &Field<'n>, kind: Option<&ParameterKind>) -> Option<Vec<Json>> {
    if !matches!(field.value, Value::List(items) if !items.is_empty()) {
        work.reader.refuse(field, "a list of at least one value", None);
        return None;
    }
    let mut found = Vec::new();
    let mut whole = true;
    for item in work.reader.items(field) {
        let Some(value) = work.json(&item).filter(|value| fits(work, &item, value, kind)) else {
            whole = false;
            continue;
        };
        if found.contains(&value) {
            work.reader.refuse(&item, "each value once", Some("drop the repetition".to_owned()));
        }
        found.push(value);
    }
    whole.then_some(found)
}

/// Whether a value is of the parameter's type; when that is at fault itself, anything fits.
fn fits(work: &mut Work<'_, '_>, field: &Field<'_>, value: &Json, kind: Option<&ParameterKind>) -> bool {
    let Some(kind) = kind else { return true };
    let fits = kind.admits(value);
    if !fits {
        let remedy = match (kind, value) {
            (ParameterKind::String, Json::Number(_) | Json::Bool(_)) => Some("put it in quotes".to_owned()),
            (ParameterKind::Date, _) => Some("write it as 2026-01-31".to_owned()),
            (ParameterKind::DateTime, _) => Some("write it as 2026-01-31T09:00:00Z".to_owned()),
            _ => None,
        };
        work.reader.refuse(field, &format!("a value of type {kind}"), remedy);
    }
    fits
}

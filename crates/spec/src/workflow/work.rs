//! What reading a workflow document shares: the collector of faults, and what texts refer to.
//!
//! Owns: templates and conditions as they are met, and the kinds of value that only workflow documents have.
//! Refuses to know: whether a reference leads anywhere; `references` judges that when all steps are known.

use nightshift_domain::{json::Json, template};

use super::Context;
use crate::{
    document::{Value, number},
    duration,
    expressions::{self, Names},
    fault::{did_you_mean, quote},
    reader::{Field, Map, Reader},
};

/// Which way of writing a document follows; it decides about defaults only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    /// `key`, `trigger`, `steps` with `call`.
    Queue,
    /// Everything below `orchestration`.
    Orchestration,
    /// `name` and the rest.
    Own,
}

/// A place that refers to something.
pub(super) struct Mention<'n> {
    pub field: Field<'n>,
    pub of: Referent,
    pub seen: Seen,
}

/// What can be seen from a place, beside what its step depends on.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Seen {
    /// It is looked at for each element of a list.
    pub element: bool,
    /// It is looked at when its step is done.
    pub own_output: bool,
}

/// What a place refers to.
pub(super) enum Referent {
    /// A path in a template.
    Path(template::Path),
    /// Names in a condition, and the condition.
    Names(Names, String),
}

/// Reading under way.
pub(super) struct Work<'c, 'n> {
    pub reader: Reader,
    pub context: &'c Context<'c>,
    pub style: Style,
    /// What was referred to since somebody took it.
    pub mentions: Vec<Mention<'n>>,
    /// What can be seen from what is read now.
    pub seen: Seen,
}

impl<'c, 'n> Work<'c, 'n> {
    pub fn new(context: &'c Context<'c>, style: Style, reader: Reader) -> Self {
        Self { reader, context, style, mentions: Vec::new(), seen: Seen::default() }
    }

    /// What was referred to since it was last asked.
    pub fn take_mentions(&mut self) -> Vec<Mention<'n>> {
        std::mem::take(&mut self.mentions)
    }

    /// A value whose texts are templates.
    pub fn template(&mut self, field: &Field<'n>) -> Option<Json> {
        let value = self.json(field)?;
        self.mention_texts(field);
        Some(value)
    }

    /// A value without templates.
    pub fn json(&mut self, field: &Field<'n>) -> Option<Json> {
        self.reader.json(field)
    }

    fn mention_texts(&mut self, field: &Field<'n>) {
        match field.value {
            Value::Text(text) => self.mention(field, text),
            Value::List(items) => {
                items.iter().enumerate().for_each(|(at, node)| self.mention_texts(&field.item(at, node)));
            }
            Value::Map(entries) => entries
                .iter()
                .for_each(|entry| self.mention_texts(&field.below(&entry.key, entry.node.at, &entry.node))),
            _ => {}
        }
    }

    /// Notes what a text refers to.
    pub fn mention(&mut self, field: &Field<'n>, text: &str) {
        for found in template::references(&Json::String(text.to_owned())) {
            match found {
                Ok(path) => self.note(field, Referent::Path(path)),
                Err(error) => {
                    let found = format!("the reference {}", quote(&error.text));
                    let allowed = "a path such as steps.fetch.rows[0].id or parameters.limit";
                    self.reader.fault(field, found, allowed, Some(error.why));
                }
            }
        }
    }

    fn note(&mut self, field: &Field<'n>, of: Referent) {
        self.mentions.push(Mention { field: field.clone(), of, seen: self.seen });
    }

    /// A text that is a template.
    pub fn template_text(&mut self, field: &Field<'n>) -> Option<String> {
        let text = self.reader.text(field)?;
        self.mention(field, &text);
        Some(text)
    }

    /// A list of texts, or one, that are templates.
    pub fn template_texts(&mut self, field: &Field<'n>) -> Option<Vec<String>> {
        let items = self.reader.items(field);
        let texts: Vec<Option<String>> = items.iter().map(|item| self.template_text(item)).collect();
        texts.into_iter().collect()
    }

    /// A map of texts that are templates: each with its key and its place.
    pub fn template_map(&mut self, field: &Field<'n>) -> Option<Vec<(&'n str, Field<'n>, String)>> {
        let map = self.reader.named(field, "a map of texts")?;
        let texts: Vec<Option<(&'n str, Field<'n>, String)>> =
            map.entries().map(|(key, field)| self.template_text(&field).map(|text| (key, field, text))).collect();
        texts.into_iter().collect()
    }

    /// Reads something from which other things can be seen.
    pub fn with_seen<T>(&mut self, seen: Seen, read: impl FnOnce(&mut Self) -> T) -> T {
        let before = std::mem::replace(&mut self.seen, seen);
        let found = read(self);
        self.seen = before;
        found
    }

    /// A condition, or a truth value: `Some(None)` is always true.
    pub fn condition(&mut self, field: &Field<'n>) -> Option<Option<String>> {
        let text = match field.value {
            Value::Bool(value) => value.to_string(),
            _ => self.reader.text(field)?,
        };
        match text.as_str() {
            "true" => return Some(None),
            "false" => {
                let remedy = "drop the step, or name what the condition depends on, e.g. parameters.dry_run".to_owned();
                self.reader.fault(field, "a condition that is never true".to_owned(), CONDITION, Some(remedy));
                return None;
            }
            _ => {}
        }
        if text.contains("{{") || text.contains("${") {
            let remedy = "write the name without braces, e.g. steps.fetch.ok && parameters.limit > 0".to_owned();
            self.reader.refuse(field, CONDITION, Some(remedy));
            return None;
        }
        match expressions::names(&text) {
            Ok(names) => {
                let of = Referent::Names(names, text.clone());
                self.note(field, of);
                Some(Some(text))
            }
            Err(why) => {
                self.reader.refuse(field, CONDITION, Some(why));
                None
            }
        }
    }

    /// `true` or `false`.
    pub fn truth(&mut self, field: &Field<'_>) -> Option<bool> {
        match field.value {
            Value::Bool(value) => Some(*value),
            _ => {
                self.reader.refuse(field, "true or false", None);
                None
            }
        }
    }

    /// A number, or a number in quotes.
    pub fn number(&mut self, field: &Field<'_>) -> Option<f64> {
        let found = match field.value {
            Value::Number(text) | Value::Text(text) => number(text.trim()).and_then(|number| number.as_f64()),
            _ => None,
        };
        if found.is_none() {
            self.reader.refuse(field, "a number", None);
        }
        found
    }

    /// A whole number within a range, or such a number in quotes.
    pub fn whole(&mut self, field: &Field<'_>, least: u64, most: u64) -> Option<u64> {
        let found = match field.value {
            Value::Number(text) | Value::Text(text) => text.trim().parse().ok(),
            _ => None,
        };
        let found = found.filter(|number| (least..=most).contains(number));
        if found.is_none() {
            self.reader.refuse(field, &format!("a whole number from {least} to {most}"), None);
        }
        found
    }

    /// A duration in milliseconds, at most `most_s` seconds.
    pub fn duration(&mut self, field: &Field<'_>, most_s: u64) -> Option<u64> {
        let found = match field.value {
            Value::Text(text) => milliseconds(text.trim()),
            _ => None,
        };
        let found = found.filter(|ms| (1..=most_s.saturating_mul(1_000)).contains(ms));
        if found.is_none() {
            let allowed = format!("{}, or 250ms; at most {}", duration::FORM, duration::render(most_s));
            let remedy = match field.value {
                Value::Number(number) => Some(format!("add a unit: {number}s or {number}ms")),
                _ => None,
            };
            self.reader.refuse(field, &allowed, remedy);
        }
        found
    }

    /// One of a list of words, whatever their case.
    pub fn word<T: Copy>(&mut self, field: &Field<'_>, words: &[(&str, T)]) -> Option<T> {
        let text = match field.value {
            Value::Text(text) => text.trim(),
            _ => "",
        };
        let found = words.iter().find(|(word, _)| word.eq_ignore_ascii_case(text)).map(|(_, value)| *value);
        if found.is_none() {
            let names: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            self.reader.refuse(field, &names.join(", "), did_you_mean(text, names.iter().copied()));
        }
        found
    }

    /// A name that stands in addresses and keys.
    pub fn slug(&mut self, field: &Field<'_>) -> Option<String> {
        let text = self.reader.text(field)?;
        if !is_slug(&text, "._-@") {
            let remedy = Some(format!("write {:?}", as_slug(&text)));
            self.reader.refuse(field, "a name of at most 100 letters, digits, dots, _, - and @", remedy);
            return None;
        }
        Some(text)
    }

    /// The id of a step: it stands in paths of templates.
    pub fn step_id(&mut self, field: &Field<'_>) -> Option<String> {
        let text = self.reader.text(field)?;
        if !is_slug(&text, "_-") {
            let remedy = Some(format!("write {:?}", as_slug(&text).replace(['.', '@'], "-")));
            self.reader.refuse(field, "a name of at most 100 letters, digits, _ and -", remedy);
            return None;
        }
        Some(text)
    }

    /// What a key says, when it is there. None: it is at fault. Some(None): it is absent.
    pub fn optional<T>(
        &mut self,
        map: &Map<'n>,
        key: &str,
        read: impl FnOnce(&mut Self, &Field<'n>) -> Option<T>,
    ) -> Option<Option<T>> {
        map.get(key).map_or(Some(None), |field| read(self, &field).map(Some))
    }
}

const CONDITION: &str = "a condition in CEL, e.g. steps.fetch.count > parameters.limit";

/// Names in a message.
pub(super) fn listed(names: &[&str]) -> String {
    const SHOWN_MAX: usize = 20;
    match names {
        [] => "none".to_owned(),
        names if names.len() <= SHOWN_MAX => names.join(", "),
        names => format!("{} and {} more", names[..SHOWN_MAX].join(", "), names.len() - SHOWN_MAX),
    }
}

pub(super) fn is_slug(text: &str, marks: &str) -> bool {
    const CHARS_MAX: usize = 100;
    !text.is_empty()
        && text.chars().count() <= CHARS_MAX
        && text.chars().all(|character| character.is_alphanumeric() || marks.contains(character))
}

/// A text with everything replaced that a name cannot hold.
pub(super) fn as_slug(text: &str) -> String {
    let fits = |character: char| character.is_alphanumeric() || "._-@".contains(character);
    text.chars().take(100).map(|character| if fits(character) { character } else { '-' }).collect()
}

/// Milliseconds of `250ms`, `15s`, `1h30m`.
fn milliseconds(text: &str) -> Option<u64> {
    match text.strip_suffix("ms") {
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits.parse().ok(),
        _ => duration::parse(text).and_then(|seconds| seconds.checked_mul(1_000)),
    }
}

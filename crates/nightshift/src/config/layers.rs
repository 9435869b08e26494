//! Flag over environment over file over default.
//!
//! Owns: collecting what each layer says, where each value came from, and every fault on the way.
//! Refuses to know: reading files or the environment; they arrive as text and as a map.

use std::{borrow::Cow, collections::BTreeMap, fmt};

use nightshift_spec::Fault;
use serde::Serialize;
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    keys::{Alias, Default, FILE_VARIABLE, KEYS, Key, PREFIX, SECTIONS, find},
    value::{Raw, Slip, Value, meant},
};

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "source")]
pub enum Provenance {
    /// Nobody said anything.
    Default,
    /// The configuration file.
    File {
        /// Its name, as the caller gave it.
        file: String,
        /// Line, from 1.
        line: u64,
        /// Column, from 1.
        column: u64,
    },
    /// A variable.
    Environment {
        /// Its name.
        variable: String,
    },
    /// A flag of the command line.
    Flag,
}

impl fmt::Display for Provenance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { file, line, column } => write!(f, "{file}:{line}:{column}"),
            Self::Environment { variable } => write!(f, "environment {variable}"),
            Self::Flag => f.write_str("command line"),
        }
    }
}

impl Provenance {
    /// A fault of what came from here.
    pub(super) fn fault(&self, path: &str, slip: Slip) -> Fault {
        let (file, line, column) = match self {
            Self::File { file, line, column } => (file.clone(), *line, *column),
            other => (other.to_string(), 0, 0),
        };
        Fault {
            file,
            line,
            column,
            path: path.to_owned(),
            found: slip.found,
            allowed: slip.allowed,
            remedy: slip.remedy,
        }
    }
}

/// What was said, the strongest layer on top.
#[derive(Debug)]
pub(super) struct Layers {
    /// The value in force and where it came from. A key that holds a fault has none but its default.
    pub(super) values: BTreeMap<&'static str, (Value, Provenance)>,
    /// Keys that somebody set, well or not.
    pub(super) said: Vec<&'static str>,
    pub(super) faults: Vec<Fault>,
}

impl Layers {
    /// The defaults that need no other facts.
    pub(super) fn of_defaults() -> Self {
        let fixed = KEYS.iter().filter_map(|key| match key.default {
            Default::Fixed(text) => {
                let value = key.kind.read(Raw::Word(text)).expect("a test reads every default of the table");
                Some((key.path, (value, Provenance::Default)))
            }
            Default::Derived { .. } | Default::Unset { .. } => None,
        });
        Self { values: fixed.collect(), said: Vec::new(), faults: Vec::new() }
    }

    fn set(&mut self, key: &Key, raw: Raw<'_>, from: Provenance) {
        self.said.push(key.path);
        match key.kind.read(raw) {
            Ok(value) => {
                self.values.insert(key.path, (value, from));
            }
            Err(slip) => self.faults.push(from.fault(key.path, slip)),
        }
    }

    /// Lays the file over what is there. Faults come in the order of their lines.
    pub(super) fn add_file(&mut self, file: &str, text: &str) {
        let place = |offset: usize| {
            let (line, column) = position(text, offset);
            Provenance::File { file: file.to_owned(), line, column }
        };
        let (document, errors) = DeTable::parse_recoverable(text);
        let mut faults: Vec<Fault> = errors
            .iter()
            .map(|error| {
                let found = format!("text that is not TOML ({})", error.message());
                let slip = Slip { found, allowed: "TOML: [section] lines and key = value lines".into(), remedy: None };
                place(error.span().map_or(0, |span| span.start)).fault("", slip)
            })
            .collect();
        let before = self.faults.len();
        for (section, content) in document.get_ref() {
            self.add_section(section, content, &place);
        }
        // What was made out of a broken line says nothing about what its author meant.
        let broken: Vec<u64> = faults.iter().map(|fault| fault.line).collect();
        faults.extend(self.faults.split_off(before).into_iter().filter(|fault| !broken.contains(&fault.line)));
        faults.sort_by_key(|fault| (fault.line, fault.column));
        self.faults.append(&mut faults);
    }

    fn add_section(
        &mut self,
        section: &Spanned<Cow<'_, str>>,
        content: &Spanned<DeValue<'_>>,
        place: &impl Fn(usize) -> Provenance,
    ) {
        let name = section.get_ref();
        if !SECTIONS.iter().any(|(known, _)| known == name) {
            return self.faults.push(place(section.span().start).fault(&plain(name), unknown(name)));
        }
        let DeValue::Table(table) = content.get_ref() else {
            let found = format!("{}, not a table", plain_name(content.get_ref()));
            let slip = Slip { found, allowed: format!("[{name}] and its keys below it"), remedy: None };
            return self.faults.push(place(content.span().start).fault(name, slip));
        };
        for (entry, value) in table {
            let path = format!("{name}.{}", entry.get_ref());
            match find(&path) {
                Some(key) => self.set(key, raw(value.get_ref()), place(value.span().start)),
                None => self.faults.push(place(entry.span().start).fault(&plain(&path), unknown(&path))),
            }
        }
    }

    /// Lays the environment over what is there. An empty variable counts as not set.
    pub(super) fn add_environment(&mut self, env: &BTreeMap<String, String>) {
        let set = |name: &str| env.get(name).filter(|value| !value.trim().is_empty());
        for key in KEYS {
            let variable = key.variable();
            if let Some(value) = set(&variable) {
                self.set(key, Raw::Word(value.trim()), Provenance::Environment { variable });
            } else if let Some((alias, value)) = key.aliases.iter().find_map(|alias| Some((alias, set(alias.name())?)))
            {
                let from = Provenance::Environment { variable: alias.name().to_owned() };
                match alias {
                    Alias::Value(_) => self.set(key, Raw::Word(value.trim()), from),
                    Alias::Secret(name) => self.set(key, Raw::Word(&format!("env:{name}")), from),
                }
            }
        }
        self.refuse_misspelt(env);
    }

    /// Flags of the command line over everything; of two for one key, the later.
    pub(super) fn add_flags(&mut self, flags: &[(&str, &str)]) {
        for (path, value) in flags {
            match find(path) {
                Some(key) => self.set(key, Raw::Word(value), Provenance::Flag),
                None => self.faults.push(Provenance::Flag.fault(&plain(path), unknown(path))),
            }
        }
    }

    fn refuse_misspelt(&mut self, env: &BTreeMap<String, String>) {
        for name in self.unread(env) {
            if let Some(slip) = misspelt(&name) {
                self.faults.push(Provenance::Environment { variable: name }.fault("", slip));
            }
        }
    }

    /// Variables with our prefix that set no key, name no file, and hold no secret that a key refers to.
    pub(super) fn unread(&self, env: &BTreeMap<String, String>) -> Vec<String> {
        let named: Vec<&str> = self.values.values().filter_map(|(value, _)| secret_variable(value)).collect();
        let read = |name: &str| {
            name == FILE_VARIABLE || named.contains(&name) || KEYS.iter().any(|key| key.variable() == name)
        };
        let ours = env.iter().filter(|(name, value)| name.starts_with(PREFIX) && !is_service_link(name, value));
        ours.map(|(name, _)| name).filter(|name| !read(name)).cloned().collect()
    }
}

fn secret_variable(value: &Value) -> Option<&str> {
    match value {
        Value::Text(text) => text.strip_prefix("env:"),
        _ => None,
    }
}

/// Kubernetes gives every container `X_SERVICE_HOST`, `X_PORT` and more for each service X, so a service that is called
/// nightshift, or nightshift-http, makes variables that look like ours.
fn is_service_link(name: &str, value: &str) -> bool {
    name.ends_with("_SERVICE_HOST")
        || name.contains("_SERVICE_PORT")
        || name.contains("_PORT_")
        || value.starts_with("tcp://")
}

/// What a variable with our prefix was meant to be, when that can be told.
fn misspelt(name: &str) -> Option<Slip> {
    let rest = name.strip_prefix(PREFIX)?;
    let variables: Vec<String> = KEYS.iter().map(Key::variable).collect();
    let rests = variables.iter().filter_map(|variable| variable.strip_prefix(PREFIX));
    let by_name = || {
        let mut same = KEYS.iter().filter(|key| key.name().eq_ignore_ascii_case(rest));
        same.next().filter(|_| same.next().is_none()).map(|key| format!("did you mean \"{}\"?", key.variable()))
    };
    let near = meant(rest, rests).map(|text| text.replacen('"', &format!("\"{PREFIX}"), 1)).or_else(by_name);
    let section = rest.split('_').next().unwrap_or(rest).to_ascii_lowercase();
    let in_section = SECTIONS.iter().any(|(known, _)| *known == section);
    (near.is_some() || in_section).then(|| Slip {
        found: "a variable that sets nothing".into(),
        allowed: if in_section { variables_of(&section) } else { format!("{PREFIX}<SECTION>_<KEY>") },
        remedy: near,
    })
}

fn variables_of(section: &str) -> String {
    KEYS.iter().filter(|key| key.section() == section).map(Key::variable).collect::<Vec<_>>().join(", ")
}

/// A path that is none: what there is instead.
fn unknown(path: &str) -> Slip {
    let (section, name) = path.split_once('.').map_or((path, None), |(section, name)| (section, Some(name)));
    let sections = || SECTIONS.iter().map(|(name, _)| *name);
    let elsewhere = |name: &str| {
        let mut same = KEYS.iter().filter(|key| key.name() == name);
        same.next().filter(|_| same.next().is_none()).map(|key| format!("did you mean {:?}?", key.path))
    };
    match name.filter(|_| sections().any(|known| known == section)) {
        Some(name) => {
            let names: Vec<&str> = KEYS.iter().filter(|key| key.section() == section).map(Key::name).collect();
            let remedy = meant(name, names.iter().copied()).or_else(|| elsewhere(name));
            Slip { found: "an unknown key".into(), allowed: names.join(", "), remedy }
        }
        None => Slip {
            found: "an unknown section".into(),
            allowed: sections().collect::<Vec<_>>().join(", "),
            remedy: meant(section, sections()).or_else(|| elsewhere(path)),
        },
    }
}

/// A name from a file, fit for a line of a message.
fn plain(name: &str) -> String {
    const SHOWN_CHARS_MAX: usize = 80;
    name.chars().take(SHOWN_CHARS_MAX).flat_map(char::escape_debug).collect()
}

/// Line and column, from 1, of a byte offset.
fn position(text: &str, offset: usize) -> (u64, u64) {
    let offset = text.floor_char_boundary(offset.min(text.len()));
    let before = &text[..offset];
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
    let column = before[line_start..].trim_start_matches('\u{feff}').chars().count() + 1;
    (line as u64, column as u64)
}

fn raw<'a>(value: &'a DeValue<'_>) -> Raw<'a> {
    match value {
        DeValue::String(text) => Raw::Text(text),
        DeValue::Integer(number) => Raw::Integer(i64::from_str_radix(number.as_str(), number.radix()).ok()),
        DeValue::Float(number) => number.as_str().parse().map_or(Raw::Other("a number"), Raw::Float),
        DeValue::Boolean(yes) => Raw::Bool(*yes),
        other => Raw::Other(plain_name(other)),
    }
}

const fn plain_name(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) | DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

//! The table of keys as documents: the example file, the reference, the list of variables.
//!
//! Owns: their text. Refuses to know: values in force.

use std::fmt::Write as _;

use super::keys::{Alias, Default, KEYS, Key, SECTIONS};

/// The commented example file. Every key stands there as a comment with its default, so it changes nothing by itself.
#[must_use]
pub fn config_example() -> String {
    let mut text = String::from(
        "# Nightshift's configuration. Every key is here; what stands after `#` without a space is its default, or an\n\
         # example where there is none. A flag is stronger than the environment, the environment stronger than this file.\n\
         # `nightshift config check` shows what is in force and where it came from. Made by `nightshift config example`.\n",
    );
    for (section, about) in SECTIONS {
        let _ = write!(text, "\n# {about}\n[{section}]\n");
        for key in KEYS.iter().filter(|key| key.section() == *section) {
            describe(&mut text, key);
        }
    }
    text
}

fn describe(text: &mut String, key: &Key) {
    let (note, value) = match key.default {
        Default::Fixed(value) => (None, value),
        Default::Derived { from, example } => (Some(format!("Default: {from}.")), example),
        Default::Unset { example } => (Some("Default: not set.".to_owned()), example),
    };
    let allowed = format!("Allowed: {}.", key.kind.allowed());
    let environment = format!("Environment: {}.", variables(key, "").join(", "));
    text.push('\n');
    for sentence in [Some(key.doc.to_owned()), note, Some(allowed), Some(environment)].into_iter().flatten() {
        text.push_str(&wrapped(&sentence));
    }
    let value = if key.kind.is_bare() { value.to_owned() } else { format!("{value:?}") };
    let _ = writeln!(text, "#{} = {value}", key.name());
}

/// The variables of a key in quotes; where one holds a secret and no reference, with a word on it.
fn variables(key: &Key, quote: &str) -> Vec<String> {
    let aliases = key.aliases.iter().map(|alias| match alias {
        Alias::Value(name) => format!("{quote}{name}{quote}"),
        Alias::Secret(name) => format!("{quote}{name}{quote} (the secret itself)"),
    });
    std::iter::once(format!("{quote}{}{quote}", key.variable())).chain(aliases).collect()
}

/// As comment lines of readable width.
fn wrapped(sentence: &str) -> String {
    const WIDTH: usize = 110;
    let mut lines = vec![String::from("#")];
    for word in sentence.split(' ') {
        if lines.last().is_some_and(|line| line.chars().count() + word.chars().count() >= WIDTH) {
            lines.push(String::from("#"));
        }
        if let Some(line) = lines.last_mut() {
            line.push(' ');
            line.push_str(word);
        }
    }
    lines.join("\n") + "\n"
}

/// Every key as a Markdown table.
#[must_use]
pub fn config_reference() -> String {
    let mut text = String::from("| key | default | allowed | environment | what it is for |\n|---|---|---|---|---|\n");
    for key in KEYS {
        let default = match key.default {
            Default::Fixed(value) => format!("`{value}`"),
            Default::Derived { from, .. } => from.to_owned(),
            Default::Unset { .. } => "not set".to_owned(),
        };
        let variables = variables(key, "`").join(", ");
        let cells = [format!("`{}`", key.path), default, key.kind.allowed(), variables, key.doc.to_owned()];
        // `<` would open a tag, `|` a cell.
        let cells = cells.map(|cell| cell.replace('|', "\\|").replace('<', "&lt;"));
        let _ = writeln!(text, "| {} |", cells.join(" | "));
    }
    text
}

/// Every variable that is read, with the key that it sets.
#[must_use]
pub fn environment_names() -> Vec<(String, &'static str)> {
    KEYS.iter().flat_map(|key| key.variables().into_iter().map(|name| (name, key.path))).collect()
}

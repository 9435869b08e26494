//! Personal texts: names, addresses, free text, the parts of paths that name a person; and the tokens for them.
//!
//! Owns: typed tokens, the same for the same value throughout a fixture.
//! Refuses to know: which field is what (`walk`).

use std::collections::BTreeMap;

/// Words that name nobody.
const NOBODY: &[&str] =
    &["", "local", "system", "test", "clock", "queue", "importer", "courier", "worker", "recovery", "cli"];

/// Folders below which the next part of a path names a person.
const HOMES: &[&str] = &[concat!("/ho", "me/"), concat!("/Us", "ers/"), concat!("\\Us", "ers\\")];

/// What stands for a home folder.
const HOME_TOKEN: &str = "/redacted/";

/// Tokens for persons and texts.
#[derive(Debug, Default)]
pub struct Personal {
    persons: BTreeMap<String, String>,
    texts: BTreeMap<String, String>,
}

impl Personal {
    /// How many different persons were found.
    pub fn persons(&self) -> usize {
        self.persons.len()
    }

    /// How many different texts were found.
    pub fn texts(&self) -> usize {
        self.texts.len()
    }

    /// A person's name or address.
    pub fn person(&mut self, name: &str) -> String {
        if NOBODY.contains(&name) || name.starts_with("governance:") || is_token(name) {
            return name.to_owned();
        }
        let mail = if name.contains('@') { "@redacted.invalid" } else { "" };
        let next = self.persons.len() + 1;
        self.persons.entry(name.to_owned()).or_insert_with(|| format!("person-{next}{mail}")).clone()
    }

    /// Free text: every line becomes a token of about its length; indents, marks of lists and headings stay.
    pub fn text(&mut self, text: &str) -> String {
        text.split('\n').map(|line| self.line(line)).collect::<Vec<_>>().join("\n")
    }

    fn line(&mut self, line: &str) -> String {
        let body = line.trim_start_matches(|c: char| c.is_whitespace() || "#>-*+".contains(c));
        let (lead, body) = (&line[..line.len() - body.len()], body);
        let trimmed = body.trim_end();
        if trimmed.is_empty() || is_token(trimmed) {
            return line.to_owned();
        }
        let next = self.texts.len() + 1;
        let token = self.texts.entry(trimmed.to_owned()).or_insert_with(|| padded(next, trimmed.chars().count()));
        format!("{lead}{token}{}", &body[trimmed.len()..])
    }

    /// A name inside a source: each part of a path becomes a token, its extension stays; a hash stays.
    pub fn item(&mut self, id: &str) -> String {
        if is_hash(id) {
            return id.to_owned();
        }
        let parts = id.split('/').map(|part| match part.rsplit_once('.') {
            _ if part.is_empty() || is_token(part) => part.to_owned(),
            Some((stem, extension)) if extension.len() <= 8 && !stem.is_empty() => {
                format!("{}.{extension}", self.short(stem))
            }
            _ => self.short(part),
        });
        parts.collect::<Vec<_>>().join("/")
    }

    fn short(&mut self, text: &str) -> String {
        if is_token(text) {
            return text.to_owned();
        }
        let next = self.texts.len() + 1;
        self.texts.entry(text.to_owned()).or_insert_with(|| format!("text-{next}")).clone()
    }

    /// An address of an original: its scheme stays.
    pub fn link(&mut self, link: &str) -> String {
        let (scheme, rest) = link.split_once(':').unwrap_or(("redacted", link));
        let rest = rest.strip_prefix("//redacted.invalid/").unwrap_or(rest);
        format!("{scheme}://redacted.invalid/{}", self.short(rest))
    }

    /// Technical text: addresses, home folders and whatever is known by now to be personal.
    pub fn scrub(&mut self, text: &str) -> String {
        let mut clean = self.mails(&self.homes(text));
        let known = self.persons.iter().chain(&self.texts).filter(|(value, _)| value.chars().count() >= 6);
        let mut known: Vec<(String, String)> = known.map(|(value, token)| (value.clone(), token.clone())).collect();
        known.sort_by_key(|(value, _)| std::cmp::Reverse(value.len()));
        for (value, token) in known {
            clean = clean.replace(&value, &token);
        }
        clean
    }

    /// A path without the part that names a person.
    pub fn homes(&self, text: &str) -> String {
        let mut clean = text.to_owned();
        for home in HOMES {
            while let Some(at) = clean.find(home) {
                let rest = &clean[at + home.len()..];
                let name = rest.find(|c: char| c == '/' || c == '\\' || c.is_whitespace()).unwrap_or(rest.len());
                clean.replace_range(at..at + home.len() + name, HOME_TOKEN.trim_end_matches('/'));
            }
        }
        clean
    }

    fn mails(&mut self, text: &str) -> String {
        let mut clean = String::with_capacity(text.len());
        let is_part = |c: char| c.is_alphanumeric() || "._%+-".contains(c);
        let mut rest = text;
        while let Some(at) = rest.find('@') {
            let local = rest[..at].char_indices().rev().take_while(|(_, c)| is_part(*c)).last().map_or(at, |(n, _)| n);
            let host = rest[at + 1..].find(|c: char| !is_part(c)).map_or(rest.len(), |n| at + 1 + n);
            let address = rest[local..host].trim_end_matches('.');
            let host = local + address.len();
            if local < at && address[at - local + 1..].contains('.') {
                clean.push_str(&rest[..local]);
                clean.push_str(&self.person(address));
                rest = &rest[host..];
            } else {
                clean.push_str(&rest[..=at]);
                rest = &rest[at + 1..];
            }
        }
        clean.push_str(rest);
        clean
    }
}

/// A token of about the length of what it stands for: as long as the shortest text of its class.
fn padded(number: usize, length: usize) -> String {
    let least = [4_096, 1_024, 256, 64, 16].into_iter().find(|least| length >= *least).unwrap_or(0);
    let mut token = format!("text-{number}");
    while token.len() < least {
        token.push_str(" lorem");
    }
    token
}

/// A text that stands for another: replacing it again would lose nothing and gain nothing.
fn is_token(text: &str) -> bool {
    let number = ["text-", "person-", super::secrets::TOKEN].iter().find_map(|kind| text.strip_prefix(kind));
    let end = |rest: &str| rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    number.is_some_and(|rest| {
        end(rest) > 0 && matches!(&rest[end(rest)..].trim_start_matches(" lorem"), &"" | &"@redacted.invalid")
    })
}

fn is_hash(text: &str) -> bool {
    text.len() >= 7
        && text.bytes().all(|byte| byte.is_ascii_hexdigit())
        && text.bytes().any(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_typed_consistent_and_keep_the_shape_of_a_text() {
        let mut personal = Personal::default();
        assert_eq!(personal.person("Ann"), "person-1");
        assert_eq!(personal.person("ann@example.org"), "person-2@redacted.invalid");
        assert_eq!(personal.person("Ann"), "person-1");
        assert_eq!(personal.person("governance:full_auto"), "governance:full_auto");
        assert_eq!(personal.text("# Plans\n\n- call Ann\n  - Plans"), "# text-1\n\n- text-2\n  - text-1");
        let long = "a sentence that is longer than sixteen characters";
        assert_eq!(personal.text(long), "text-3 lorem lorem");
        assert_eq!(personal.text("text-3 lorem lorem"), "text-3 lorem lorem");
        assert_eq!(personal.item("notes/ann.md"), "text-4/text-5.md");
        assert_eq!(personal.item("3f2a9bc"), "3f2a9bc");
    }

    #[test]
    fn addresses_and_homes_go_from_technical_text() {
        let mut personal = Personal::default();
        let text = concat!("cannot read /ho", "me/ann/x.md for <ann@example.org>. see a@b");
        assert_eq!(personal.scrub(text), "cannot read /redacted/x.md for <person-1@redacted.invalid>. see a@b");
    }
}

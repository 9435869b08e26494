//! Secrets in texts: what reads like one, and the token that stands for it.
//!
//! Owns: the patterns. They prefer a token too many to a secret too few.
//! Refuses to know: where a text comes from.
//!
//! A reference to a secret (`env:NAME`, `file:/path`) is none. A token that stands for a secret is none either.

use std::collections::BTreeMap;

/// What every token begins with.
pub const TOKEN: &str = "redacted-secret-";

/// Beginnings of keys that providers give out, and how many characters must follow.
const PREFIXES: &[(&str, usize)] = &[
    ("whsec_", 8),
    ("sk-", 16),
    ("sk_live_", 8),
    ("sk_test_", 8),
    ("rk_live_", 8),
    ("ghp_", 16),
    ("gho_", 16),
    ("ghu_", 16),
    ("ghs_", 16),
    ("ghr_", 16),
    ("github_pat_", 16),
    ("glpat-", 12),
    ("xoxb-", 8),
    ("xoxp-", 8),
    ("xoxa-", 8),
    ("xoxs-", 8),
    ("AKIA", 16),
    ("ASIA", 16),
    ("AIza", 30),
    ("npm_", 30),
    ("SG.", 20),
    ("dop_v1_", 20),
    ("hooks.slack.com/services/", 8),
];

/// Words in front of `=` or `:` that announce a secret.
const NAMES: &[&str] = &[
    "password",
    "passwd",
    "passphrase",
    "pwd",
    "secret",
    "token",
    "api_key",
    "apikey",
    "api-key",
    "access_key",
    "accesskey",
    "access-key",
    "private_key",
    "client_secret",
    "credential",
    "auth_key",
    "signing_key",
];

/// Those of [`NAMES`] whose value is a secret however plain it looks.
const ALWAYS: &[&str] = &["password", "passwd", "passphrase", "pwd"];

/// A shorter secret is not looked for where nothing gives it away: it would be found inside of words.
const KNOWN_MIN: usize = 6;

/// Replaces secrets by tokens; the same secret by the same token.
#[derive(Debug, Default)]
pub struct Secrets {
    tokens: BTreeMap<String, String>,
}

impl Secrets {
    /// How many different ones were found.
    pub fn count(&self) -> usize {
        self.tokens.len()
    }

    /// `text` without secrets.
    pub fn scrub(&mut self, text: &str) -> String {
        let mut clean = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((start, end)) = find(rest) {
            clean.push_str(&rest[..start]);
            clean.push_str(&self.token(&rest[start..end]));
            rest = &rest[end..];
        }
        clean.push_str(rest);
        self.known(clean)
    }

    /// A secret that was found once is one wherever it stands, also without what gave it away.
    fn known(&self, clean: String) -> String {
        let known = self.tokens.iter().filter(|(secret, _)| secret.len() >= KNOWN_MIN);
        known
            .fold(clean, |text, (secret, token)| if text.contains(secret) { text.replace(secret, token) } else { text })
    }

    /// Whether something that reads like a secret, or a secret that was found elsewhere, is in `text`.
    pub fn is_in(&self, text: &str) -> bool {
        find(text).is_some() || self.known(text.to_owned()) != text
    }

    /// The value of a field with this name, without secrets.
    pub fn field(&mut self, name: &str, text: &str) -> String {
        if names_a_secret(name) && !is_harmless(text) { self.token(text) } else { self.scrub(text) }
    }

    fn token(&mut self, secret: &str) -> String {
        let next = self.tokens.len() + 1;
        self.tokens.entry(secret.to_owned()).or_insert_with(|| format!("{TOKEN}{next}")).clone()
    }
}

/// A field of this name holds a secret by itself. The plain words are too common as names of other things.
fn names_a_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    NAMES.iter().any(|word| name.contains(word)) && name != "token"
}

fn is_harmless(value: &str) -> bool {
    let references = ["env:", "file:", "${", "$(", "<", "{{", "***", TOKEN];
    value.is_empty() || references.iter().any(|start| value.starts_with(start))
}

/// Start and end of the first secret.
fn find(text: &str) -> Option<(usize, usize)> {
    [private_key(text), prefixed(text), bearer(text), web_token(text), in_address(text), assigned(text)]
        .into_iter()
        .flatten()
        .min_by_key(|(start, end)| (*start, usize::MAX - end))
}

fn is_key_char(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_-./+=~".contains(&byte)
}

fn run_of(text: &str, from: usize, allowed: fn(u8) -> bool) -> usize {
    text.as_bytes()[from..].iter().take_while(|byte| allowed(**byte)).count()
}

fn private_key(text: &str) -> Option<(usize, usize)> {
    let start = text.match_indices("-----BEGIN ").map(|(at, _)| at).find(|at| {
        let line = text[*at..].lines().next().unwrap_or_default();
        line.contains("PRIVATE KEY")
    })?;
    let end = text[start..].find("-----END ").map_or(text.len(), |at| {
        let last = start + at;
        last + text[last..].find('\n').unwrap_or(text.len() - last)
    });
    Some((start, end))
}

fn prefixed(text: &str) -> Option<(usize, usize)> {
    let found = PREFIXES.iter().flat_map(|(prefix, least)| {
        text.match_indices(prefix).filter_map(move |(at, _)| {
            let inside_a_word = text[..at].bytes().next_back().is_some_and(|byte| byte.is_ascii_alphanumeric());
            let length = run_of(text, at + prefix.len(), is_key_char);
            (!inside_a_word && length >= *least && looks_drawn(&text[at + prefix.len()..][..length]))
                .then(|| (at, at + prefix.len() + length))
        })
    });
    found.min()
}

/// `Bearer x`, `Basic x`.
fn bearer(text: &str) -> Option<(usize, usize)> {
    let lower = text.to_ascii_lowercase();
    let found = ["bearer ", "basic "].into_iter().flat_map(|scheme| {
        let lower = &lower;
        lower.match_indices(scheme).filter_map(move |(at, _)| {
            let start = at + scheme.len();
            let length = run_of(text, start, is_key_char);
            let value = &text[start..start + length];
            (length >= 8 && !is_harmless(value) && looks_drawn(value)).then_some((start, start + length))
        })
    });
    found.min()
}

/// Three runs of base64 with dots between them, the first of which begins as JSON does.
fn web_token(text: &str) -> Option<(usize, usize)> {
    let found = text.match_indices("eyJ").filter_map(|(at, _)| {
        let length = run_of(text, at, |byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte));
        let parts: Vec<&str> = text[at..at + length].split('.').collect();
        (parts.len() >= 3 && parts[..3].iter().all(|part| part.len() >= 4)).then_some((at, at + length))
    });
    found.min()
}

/// The password in `scheme://user:password@host`.
fn in_address(text: &str) -> Option<(usize, usize)> {
    let found = text.match_indices("://").filter_map(|(at, _)| {
        let start = at + 3;
        let end =
            text[start..].find(|c: char| c == '/' || c == '?' || c.is_whitespace()).map_or(text.len(), |n| start + n);
        let (login, _) = text[start..end].rsplit_once('@')?;
        let (user, password) = login.split_once(':')?;
        let from = start + user.len() + 1;
        (!is_harmless(password)).then_some((from, from + password.len()))
    });
    found.min()
}

/// `name=value` and `name: value`, where the name announces a secret and the value looks drawn.
fn assigned(text: &str) -> Option<(usize, usize)> {
    let lower = text.to_ascii_lowercase();
    let found = NAMES.iter().flat_map(|name| {
        let lower = &lower;
        lower.match_indices(name).filter_map(move |(at, _)| value_behind(text, at + name.len(), ALWAYS.contains(name)))
    });
    found.min()
}

fn value_behind(text: &str, at: usize, always: bool) -> Option<(usize, usize)> {
    let rest = &text[at..];
    let skipped = |set: &'static [char]| move |text: &str| text.len() - text.trim_start_matches(set).len();
    let mut start = skipped(&['"', '\'', '`', ' ', ']'])(rest);
    let sign = rest[start..].chars().next().filter(|c| *c == '=' || *c == ':')?;
    start += sign.len_utf8();
    let gap = skipped(&[' ', '"', '\'', '`', '>'])(&rest[start..]);
    start += gap;
    let value_end = rest[start..]
        .find(|c: char| c.is_whitespace() || "\"'`,;&)}]<".contains(c))
        .map_or(rest.len(), |length| start + length);
    let value = &rest[start..value_end];
    let enough = if always { value.len() >= 4 && (sign == '=' || looks_drawn(value)) } else { looks_drawn(value) };
    (enough && !is_harmless(value)).then_some((at + start, at + value_end))
}

/// At least eight characters, not a word: letters and digits mixed, or many different characters.
fn looks_drawn(value: &str) -> bool {
    let bytes = value.as_bytes();
    let has = |kind: fn(&u8) -> bool| bytes.iter().any(kind);
    let mixed = has(u8::is_ascii_digit) && has(u8::is_ascii_alphabetic);
    let cases = has(u8::is_ascii_uppercase) && has(u8::is_ascii_lowercase);
    bytes.len() >= 8 && !is_harmless(value) && (mixed || (bytes.len() >= 16 && cases && bits(bytes) > 3.5))
}

/// Bits of entropy for each character.
fn bits(bytes: &[u8]) -> f64 {
    let mut counts = [0_u32; 256];
    bytes.iter().for_each(|byte| counts[usize::from(*byte)] += 1);
    let total = bytes.len() as f64;
    counts.iter().filter(|count| **count > 0).map(|count| f64::from(*count) / total).map(|p| -p * p.log2()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_reads_like_a_secret_is_replaced_and_nothing_else() {
        let secret = [
            ("Authorization: Bearer abcDEF123456", "Authorization: Bearer redacted-secret-1"),
            ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "redacted-secret-1"),
            ("id AKIAIOSFODNN7EXAMPLE here", "id redacted-secret-1 here"),
            ("postgres://ann:hunter2@db/x", "postgres://ann:redacted-secret-1@db/x"),
            ("api_key=9f8e7d6c5b4a39281706", "api_key=redacted-secret-1"),
            ("\"api-key\": \"9f8e7d6c5b4a39281706\"", "\"api-key\": \"redacted-secret-1\""),
            ("password=hunter", "password=redacted-secret-1"),
            ("export GITHUB_TOKEN=ghp_abcdefghijklmnopqrst0123456789", "export GITHUB_TOKEN=redacted-secret-1"),
            ("a\n-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----\nb", "a\nredacted-secret-1\nb"),
            ("eyJhbGciOi.eyJzdWIiOi.SflKxwRJ", "redacted-secret-1"),
            ("https://hooks.slack.com/services/T0/B0/abc123def", "https://redacted-secret-1"),
        ];
        for (text, clean) in secret {
            assert_eq!(Secrets::default().scrub(text), clean);
            assert!(!Secrets::default().is_in(clean), "{clean}");
        }
        let harmless = [
            "the token: a word",
            "password: see the vault",
            "env:API_KEY",
            "secret = env:WEBHOOK_SECRET",
            "basic knowledge of Rust",
            "https://example.org/a?b=c",
            "mailto:ann@example.org",
            "sk-",
            "tokens=4096",
            "ask-questions-about-everything",
            "api_key=env:KEY",
            "4ab55f9d-90c2-8e91-840f-bd7ce57c9a0c",
        ];
        for text in harmless {
            assert_eq!(Secrets::default().scrub(text), text);
        }
    }

    #[test]
    fn the_same_secret_gets_the_same_token() {
        let mut secrets = Secrets::default();
        let text = secrets.scrub("password=alpha1 password=beta22 password=alpha1");
        assert_eq!(text, "password=redacted-secret-1 password=redacted-secret-2 password=redacted-secret-1");
        assert_eq!(secrets.count(), 2);
    }

    #[test]
    fn a_field_with_a_telling_name_is_a_secret_unless_it_is_a_reference() {
        let mut secrets = Secrets::default();
        assert_eq!(secrets.field("client_secret", "abc"), "redacted-secret-1");
        assert_eq!(secrets.field("secret", "env:HOOK"), "env:HOOK");
    }
}

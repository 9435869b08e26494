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
        let mut at = 0;
        for (start, end) in Search::over(text) {
            clean.push_str(&text[at..start]);
            clean.push_str(&self.token(&text[start..end]));
            at = end;
        }
        clean.push_str(&text[at..]);
        self.known(clean)
    }

    /// A secret that was found once is one wherever it stands, also without what gave it away. Longer ones first: a shorter
    /// one may be a part of them.
    fn known(&self, clean: String) -> String {
        let mut known: Vec<(&String, &String)> = self
            .tokens
            .iter()
            .filter(|(secret, _)| secret.len() >= KNOWN_MIN && clean.contains(secret.as_str()))
            .collect();
        known.sort_by_key(|(secret, _)| std::cmp::Reverse(secret.len()));
        known.into_iter().fold(clean, |text, (secret, token)| replaced(&text, secret, token))
    }

    /// Whether something that reads like a secret, or a secret that was found elsewhere, is in `text`.
    pub fn is_in(&self, text: &str) -> bool {
        Search::over(text).next().is_some() || self.known(text.to_owned()) != text
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

/// `text` with `token` for `secret`, but not inside of tokens: a secret may be a word that they are made of.
fn replaced(text: &str, secret: &str, token: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(TOKEN) {
        let end = at + TOKEN.len() + run_of(rest, at + TOKEN.len(), |byte| byte.is_ascii_digit());
        out.push_str(&rest[..at].replace(secret, token));
        out.push_str(&rest[at..end]);
        rest = &rest[end..];
    }
    out + &rest.replace(secret, token)
}

/// Start and end.
type Place = (usize, usize);

/// What gives a secret away.
#[derive(Clone, Copy)]
enum Sign {
    PrivateKey,
    /// One of [`PREFIXES`].
    Prefix(&'static str, usize),
    /// `Bearer x`, `Basic x`.
    Scheme(&'static str),
    /// Three runs of base64 with dots between them, the first of which begins as JSON does.
    WebToken,
    /// The password in `scheme://user:password@host`.
    Address,
    /// `name=value` and `name: value`, where the name announces a secret and the value looks drawn.
    Name(&'static str),
}

/// The secrets of a text, one after the other. What each sign finds next is kept until it is passed: the work grows with
/// the text, not with the text times its secrets.
struct Search<'t> {
    text: &'t str,
    lower: String,
    /// Behind the last secret.
    from: usize,
    next: Vec<(Sign, Option<Place>)>,
}

impl<'t> Search<'t> {
    fn over(text: &'t str) -> Self {
        let prefixes = PREFIXES.iter().map(|(prefix, least)| Sign::Prefix(prefix, *least));
        let schemes = ["bearer ", "basic "].into_iter().map(Sign::Scheme);
        let names = NAMES.iter().copied().map(Sign::Name);
        let others = [Sign::PrivateKey, Sign::WebToken, Sign::Address];
        let signs = others.into_iter().chain(prefixes).chain(schemes).chain(names);
        let mut search = Self { text, lower: text.to_ascii_lowercase(), from: 0, next: Vec::new() };
        search.next = signs.map(|sign| (sign, search.first(sign))).collect();
        search
    }

    /// The first secret that a sign gives away from here on.
    fn first(&self, sign: Sign) -> Option<Place> {
        match sign {
            Sign::PrivateKey => private_key(self.text, self.from),
            Sign::Prefix(prefix, least) => prefixed(self.text, self.from, (prefix, least)),
            Sign::Scheme(scheme) => bearer((self.text, &self.lower), self.from, scheme),
            Sign::WebToken => web_token(self.text, self.from),
            Sign::Address => in_address(self.text, self.from),
            Sign::Name(name) => {
                let places = self.lower[self.from..].match_indices(name).map(|(at, _)| self.from + at + name.len());
                places.into_iter().find_map(|at| value_behind(self.text, at, ALWAYS.contains(&name)))
            }
        }
    }
}

impl Iterator for Search<'_> {
    type Item = Place;

    fn next(&mut self) -> Option<Place> {
        let found =
            self.next.iter().filter_map(|(_, place)| *place).min_by_key(|(start, end)| (*start, usize::MAX - end))?;
        self.from = found.1;
        for nth in 0..self.next.len() {
            let (sign, place) = self.next[nth];
            if place.is_some_and(|(start, _)| start < self.from) {
                self.next[nth].1 = self.first(sign);
            }
        }
        Some(found)
    }
}

fn is_key_char(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_-./+=~".contains(&byte)
}

fn run_of(text: &str, from: usize, allowed: fn(u8) -> bool) -> usize {
    text.as_bytes()[from..].iter().take_while(|byte| allowed(**byte)).count()
}

/// So much of a value is looked at to judge it.
const JUDGED_BYTES: usize = 512;

/// The run of characters of a key from a place on when its beginning looks drawn; only then it is gone along to its end.
fn drawn_run(text: &str, from: usize, least: usize) -> Option<usize> {
    let until = (from + JUDGED_BYTES.max(least)).min(text.len());
    let length = text.as_bytes()[from..until].iter().take_while(|byte| is_key_char(**byte)).count();
    (length >= least && looks_drawn(&text[from..from + length])).then(|| run_of(text, from, is_key_char))
}

fn private_key(text: &str, from: usize) -> Option<Place> {
    const LINE_BYTES: usize = 100;
    let is_key = |at: &usize| {
        let line = text.as_bytes()[*at..].iter().take(LINE_BYTES).take_while(|byte| **byte != b'\n');
        line.copied().collect::<Vec<u8>>().windows(11).any(|word| word == b"PRIVATE KEY")
    };
    let start = text[from..].match_indices("-----BEGIN ").map(|(at, _)| from + at).find(is_key)?;
    let end = text[start..].find("-----END ").map_or(text.len(), |at| {
        let last = start + at;
        last + text[last..].find('\n').unwrap_or(text.len() - last)
    });
    Some((start, end))
}

fn prefixed(text: &str, from: usize, (prefix, least): (&str, usize)) -> Option<Place> {
    let mut places = text[from..].match_indices(prefix).map(|(at, _)| from + at);
    places.find_map(|at| {
        let inside_a_word = text[from..at].bytes().next_back().is_some_and(|byte| byte.is_ascii_alphanumeric());
        let start = at + prefix.len();
        let length = if inside_a_word { None } else { drawn_run(text, start, least) }?;
        Some((at, start + length))
    })
}

fn bearer((text, lower): (&str, &str), from: usize, scheme: &str) -> Option<Place> {
    let mut places = lower[from..].match_indices(scheme).map(|(at, _)| from + at + scheme.len());
    places.find_map(|start| {
        let length = if is_harmless(&text[start..]) { None } else { drawn_run(text, start, 8) }?;
        Some((start, start + length))
    })
}

fn web_token(text: &str, mut from: usize) -> Option<Place> {
    let word = |from: usize| run_of(text, from, |byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
    let dot = |at: usize| text.as_bytes().get(at) == Some(&b'.');
    while let Some(at) = text[from..].find("eyJ").map(|at| from + at) {
        let first = at + word(at);
        let second = if dot(first) { word(first + 1) } else { 0 };
        let third = if dot(first + 1 + second) { word(first + second + 2) } else { 0 };
        if second < 4 || third < 4 {
            // Nor can what begins later in the same word be one.
            from = first;
        } else if first - at < 4 {
            from = at + 3;
        } else {
            return Some((at, at + run_of(text, at, |byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte))));
        }
    }
    None
}

fn in_address(text: &str, from: usize) -> Option<Place> {
    let mut places = text[from..].match_indices("://").map(|(at, _)| from + at + 3);
    places.find_map(|start| {
        let end =
            text[start..].find(|c: char| c == '/' || c == '?' || c.is_whitespace()).map_or(text.len(), |n| start + n);
        let (login, _) = text[start..end].rsplit_once('@')?;
        let (user, password) = login.split_once(':')?;
        let from = start + user.len() + 1;
        (!is_harmless(password)).then_some((from, from + password.len()))
    })
}

fn value_behind(text: &str, at: usize, always: bool) -> Option<Place> {
    let rest = &text[at..];
    let skipped = |set: &'static [char]| move |text: &str| text.len() - text.trim_start_matches(set).len();
    let mut start = skipped(&['"', '\'', '`', ' ', ']'])(rest);
    let sign = rest[start..].chars().next().filter(|c| *c == '=' || *c == ':')?;
    start += sign.len_utf8();
    let gap = skipped(&[' ', '"', '\'', '`', '>'])(&rest[start..]);
    start += gap;
    let ends = |c: char| c.is_whitespace() || "\"'`,;&)}]<".contains(c);
    let judged: usize = rest[start..].chars().take(JUDGED_BYTES).take_while(|c| !ends(*c)).map(char::len_utf8).sum();
    let value = &rest[start..start + judged];
    let enough = if always { value.len() >= 4 && (sign == '=' || looks_drawn(value)) } else { looks_drawn(value) };
    if !enough || is_harmless(value) {
        return None;
    }
    let value_end = rest[start..].find(ends).map_or(rest.len(), |length| start + length);
    Some((at + start, at + value_end))
}

/// At least eight characters, not a word: letters and digits mixed, or many different characters.
fn looks_drawn(value: &str) -> bool {
    // A token stands for a secret that was found already: what is left without it is judged.
    if let Some(at) = value.find(TOKEN) {
        let end = at + TOKEN.len() + run_of(value, at + TOKEN.len(), |byte| byte.is_ascii_digit());
        return looks_drawn(&[&value[..at], &value[end..]].concat());
    }
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

    /// Words that tokens are made of, and one secret that begins like another.
    #[test]
    fn secrets_that_are_parts_of_tokens_or_of_each_other_are_replaced_once() {
        for (text, clean) in [
            ("password=secret, the secret", "password=redacted-secret-1, the redacted-secret-1"),
            ("passwd=redacted", "passwd=redacted-secret-1"),
            ("apikey=pwd=hunter", "apikey=pwd=redacted-secret-1"),
            ("pwd=hunter pwd=hunter22 hunter22", "pwd=redacted-secret-1 pwd=redacted-secret-2 redacted-secret-2"),
        ] {
            let mut secrets = Secrets::default();
            assert_eq!(secrets.scrub(text), clean);
            assert!(!secrets.is_in(clean), "{clean}");
        }
    }

    #[test]
    fn a_field_with_a_telling_name_is_a_secret_unless_it_is_a_reference() {
        let mut secrets = Secrets::default();
        assert_eq!(secrets.field("client_secret", "abc"), "redacted-secret-1");
        assert_eq!(secrets.field("secret", "env:HOOK"), "env:HOOK");
    }
}

//! From what stands in a file or variable to a checked value.
//!
//! Owns: the kinds of value, what each allows, and the words in which a slip is explained.
//! Refuses to know: keys (but for the table it fills), files, precedence.
//!
//! Invariant: an explanation never repeats a secret, nor what stands where a secret is asked for.

use std::{collections::BTreeMap, fmt, net::SocketAddr, path::Path, time::Duration};

use nightshift_spec::{ZonedCalendar, duration, fault::nearest};
use nightshift_telemetry::logging::{self, LoggingError};
use uuid::Uuid;

use super::address::{StoreUrl, is_web, redacted};

/// What may stand at a key.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// `true` or `false`.
    Bool,
    /// A whole number.
    Count {
        /// Smallest.
        min: u64,
        /// Largest.
        max: u64,
    },
    /// A duration such as `30s`.
    Duration {
        /// Shortest, in seconds.
        min_s: u64,
        /// Longest, in seconds.
        max_s: u64,
    },
    /// A number of bytes such as `1MiB`.
    Size {
        /// Smallest.
        min: u64,
        /// Largest.
        max: u64,
    },
    /// A number from 0 to 1.
    Ratio,
    /// A line of text.
    Text,
    /// A folder.
    Path,
    /// A file on this machine.
    File,
    /// Address and port.
    Address,
    /// An http or https address.
    WebUrl,
    /// The address of a store.
    StoreUrl,
    /// A reference to a secret.
    Secret,
    /// One of these words; the second list holds other spellings, with the word each stands for.
    Choice(&'static [&'static str], &'static [(&'static str, &'static str)]),
    /// An IANA time zone.
    Zone,
    /// Levels of the log.
    Filter,
    /// A sender of mail.
    Mailbox,
    /// A host name or address.
    Host,
    /// A UUID.
    Uuid,
}

/// What stands somewhere, before it is checked.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Raw<'a> {
    /// A variable or flag: text that may mean anything.
    Word(&'a str),
    /// A string of a file.
    Text(&'a str),
    /// A whole number of a file; none when it has more than 64 bits.
    Integer(Option<i64>),
    /// A number with a fraction.
    Float(f64),
    /// A truth value.
    Bool(bool),
    /// Something else, by its name.
    Other(&'static str),
}

/// A checked value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Bool(bool),
    Count(u64),
    Duration(Duration),
    Size(u64),
    Ratio(f64),
    Text(String),
    Address(SocketAddr),
    Store(StoreUrl),
    Uuid(Uuid),
}

/// Why something is no value of a kind.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Slip {
    pub(super) found: String,
    pub(super) allowed: String,
    pub(super) remedy: Option<String>,
}

/// Longest text that is accepted anywhere.
const TEXT_BYTES_MAX: usize = 4096;

impl Kind {
    /// Checks what stands somewhere.
    pub(super) fn read(self, raw: Raw<'_>) -> Result<Value, Slip> {
        self.value(raw).ok_or_else(|| Slip {
            found: self.found(raw),
            allowed: self.allowed(),
            remedy: self.remedy(raw),
        })
    }

    fn value(self, raw: Raw<'_>) -> Option<Value> {
        match (self, raw) {
            (Self::Bool, Raw::Bool(yes)) => Some(Value::Bool(yes)),
            (Self::Bool, Raw::Word(word)) => truth(word).map(Value::Bool),
            (Self::Count { min, max }, _) => whole(raw).filter(|n| (min..=max).contains(n)).map(Value::Count),
            (Self::Size { min, max }, Raw::Text(text) | Raw::Word(text)) => {
                bytes(text).filter(|n| (min..=max).contains(n)).map(Value::Size)
            }
            (Self::Size { min, max }, Raw::Integer(_)) => {
                whole(raw).filter(|n| (min..=max).contains(n)).map(Value::Size)
            }
            (Self::Ratio, _) => ratio(raw).map(Value::Ratio),
            (_, Raw::Text(text) | Raw::Word(text)) => self.value_of_text(text),
            _ => None,
        }
    }

    fn value_of_text(self, text: &str) -> Option<Value> {
        let as_given = || Value::Text(text.to_owned());
        match self {
            Self::Duration { min_s, max_s } => {
                let length = duration::parse(text).filter(|length| (min_s..=max_s).contains(length))?;
                Some(Value::Duration(Duration::from_secs(length)))
            }
            Self::Text => is_line(text).then(as_given),
            Self::Path | Self::File => (is_line(text) && !text.starts_with('~')).then(as_given),
            Self::Address => text.parse().ok().map(Value::Address),
            Self::WebUrl => is_web(text).then(as_given),
            Self::StoreUrl => StoreUrl::parse(text).map(Value::Store),
            Self::Secret => is_reference(text).then(as_given),
            Self::Choice(words, others) => {
                let word = others.iter().find(|(other, _)| *other == text).map_or(text, |(_, word)| word);
                words.contains(&word).then(|| Value::Text(word.to_owned()))
            }
            Self::Zone => ZonedCalendar::bundled().zone(text).is_ok().then(as_given),
            Self::Filter => is_filter(text).then(as_given),
            Self::Mailbox => is_mailbox(text).then(as_given),
            Self::Host => is_host(text).then(as_given),
            Self::Uuid => Uuid::try_parse(text).ok().map(Value::Uuid),
            Self::Bool | Self::Count { .. } | Self::Size { .. } | Self::Ratio => None,
        }
    }

    /// What is allowed, in words.
    #[must_use]
    pub fn allowed(self) -> String {
        match self {
            Self::Bool => "true or false".into(),
            Self::Count { min, max } => format!("a whole number from {min} to {max}"),
            Self::Duration { min_s, max_s } => format!(
                "a duration such as 30s, 15m, 2h, 1d; from {} to {}",
                duration::render(min_s),
                duration::render(max_s)
            ),
            Self::Size { min, max } => {
                format!("a size such as 64KiB, 1MiB, or a number of bytes; from {} to {}", Size(min), Size(max))
            }
            Self::Ratio => "a number from 0 to 1".into(),
            Self::Text => format!("a line of text, up to {TEXT_BYTES_MAX} bytes"),
            Self::Path => "a folder, best as an absolute path; ~ is not expanded".into(),
            Self::File => "a file, best as an absolute path; ~ is not expanded".into(),
            Self::Address => "an IP address and a port such as 127.0.0.1:7466 or [::1]:7466".into(),
            Self::WebUrl => {
                "an http or https address without user, query and fragment, such as https://api.example.com/v1".into()
            }
            Self::StoreUrl => "sqlite:///absolute/path/nightshift.db or postgres://user@host:5432/database".into(),
            Self::Secret => "a reference, env:NAME or file:/absolute/path".into(),
            Self::Choice(words, _) => words.join(", "),
            Self::Zone => "an IANA time zone such as Europe/Berlin or UTC".into(),
            Self::Filter => "off, error, warn, info, debug, trace, or levels by target such as info,sqlx=warn".into(),
            Self::Mailbox => "a sender such as nightshift@example.com or Nightshift <nightshift@example.com>".into(),
            Self::Host => "a host name or IP address, without scheme and port".into(),
            Self::Uuid => "a UUID such as 01890a5d-ac96-774b-bcce-b302099a8057".into(),
        }
    }

    /// The name of the kind, for the reference.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bool => "truth value",
            Self::Count { .. } => "number",
            Self::Duration { .. } => "duration",
            Self::Size { .. } => "size",
            Self::Ratio => "ratio",
            Self::Text => "text",
            Self::Path => "folder",
            Self::File => "file",
            Self::Address => "address",
            Self::WebUrl | Self::StoreUrl => "URL",
            Self::Secret => "secret",
            Self::Choice(..) => "choice",
            Self::Zone => "time zone",
            Self::Filter => "log levels",
            Self::Mailbox => "mailbox",
            Self::Host => "host",
            Self::Uuid => "UUID",
        }
    }

    /// Is a value of this kind written without quotes in a file?
    pub(super) const fn is_bare(self) -> bool {
        matches!(self, Self::Bool | Self::Count { .. } | Self::Ratio)
    }

    fn found(self, raw: Raw<'_>) -> String {
        match (self, raw) {
            (Self::Secret, _) => "a value that is no reference and is not shown".into(),
            (Self::StoreUrl | Self::WebUrl, Raw::Text(text) | Raw::Word(text)) => quoted(&redacted(text)),
            (_, Raw::Text(text) | Raw::Word(text)) => quoted(text),
            (_, Raw::Integer(Some(number))) => number.to_string(),
            (_, Raw::Integer(None)) => "a number of more than 64 bits".into(),
            (_, Raw::Float(number)) => format!("{number:?}"),
            (_, Raw::Bool(yes)) => yes.to_string(),
            (_, Raw::Other(name)) => name.into(),
        }
    }

    fn remedy(self, raw: Raw<'_>) -> Option<String> {
        match (self, raw) {
            (Self::Secret, _) => {
                Some("put the secret into a variable or a file that only the service may read, and name that".into())
            }
            (Self::Choice(words, _), Raw::Text(text) | Raw::Word(text)) => meant(text, words.iter().copied()),
            (Self::Filter, Raw::Text(text) | Raw::Word(text)) => meant_filter(text),
            (Self::WebUrl, Raw::Text(text) | Raw::Word(text)) => {
                let complete = format!("http://{text}");
                is_web(&complete).then(|| format!("did you mean {complete:?}?"))
            }
            (Self::Zone, Raw::Text(text) | Raw::Word(text)) => {
                ZonedCalendar::bundled().nearest_zone(text).map(|zone| format!("did you mean {zone:?}?"))
            }
            (Self::Duration { .. }, Raw::Integer(Some(number))) if number >= 0 => {
                Some(format!("write \"{number}s\" for {number} seconds"))
            }
            (Self::Bool | Self::Count { .. } | Self::Ratio, Raw::Text(text)) => {
                self.value(Raw::Word(text)).is_some().then(|| "write it without quotes".into())
            }
            _ => None,
        }
    }
}

/// `did you mean "x"?`, when something is near enough.
pub(super) fn meant<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<String> {
    nearest(word, candidates).map(|candidate| format!("did you mean {candidate:?}?"))
}

/// A text in quotes, on one line, shortened.
fn quoted(text: &str) -> String {
    const SHOWN_CHARS_MAX: usize = 80;
    let mut shown: String = text.chars().take(SHOWN_CHARS_MAX).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    format!("{shown:?}")
}

fn truth(word: &str) -> Option<bool> {
    match word.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Some(true),
        "false" | "0" | "no" | "off" => Some(false),
        _ => None,
    }
}

fn whole(raw: Raw<'_>) -> Option<u64> {
    match raw {
        Raw::Integer(number) => number.and_then(|number| u64::try_from(number).ok()),
        Raw::Word(word) if word.bytes().all(|byte| byte.is_ascii_digit()) => word.parse().ok(),
        _ => None,
    }
}

fn ratio(raw: Raw<'_>) -> Option<f64> {
    let number = match raw {
        Raw::Float(number) => number,
        Raw::Integer(Some(0)) => 0.0,
        Raw::Integer(Some(1)) => 1.0,
        Raw::Word(word) => word.parse().ok()?,
        _ => return None,
    };
    // `-0.0` is in the range and would be printed with its sign.
    (0.0..=1.0).contains(&number).then(|| number.abs())
}

const SIZE_UNITS: [(&str, u64); 7] = [
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
    ("B", 1),
];

fn bytes(text: &str) -> Option<u64> {
    let (number, unit) = SIZE_UNITS
        .iter()
        .find_map(|(name, unit)| text.strip_suffix(name).map(|number| (number.trim_end(), *unit)))
        .unwrap_or((text, 1));
    whole(Raw::Word(number))?.checked_mul(unit)
}

/// A number of bytes in the largest binary unit that gives a whole number.
struct Size(u64);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = SIZE_UNITS[..3].iter().find(|(_, unit)| self.0 >= *unit && self.0.is_multiple_of(*unit));
        let (name, unit) = unit.unwrap_or(&("B", 1));
        write!(f, "{}{name}", self.0 / unit)
    }
}

fn is_line(text: &str) -> bool {
    !text.trim().is_empty() && text.len() <= TEXT_BYTES_MAX && !text.chars().any(char::is_control)
}

fn is_reference(text: &str) -> bool {
    let variable =
        |name: &str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let path = |path: &str| path.len() > 1 && Path::new(path).is_absolute() && is_line(path);
    text.strip_prefix("env:").is_some_and(variable) || text.strip_prefix("file:").is_some_and(path)
}

/// Asked of the part that reads the filter at the start, so that what is accepted here is taken there.
fn is_filter(text: &str) -> bool {
    is_line(text) && logging::check_filter(text).is_ok()
}

/// What was meant by the first wrong directive of a filter.
fn meant_filter(text: &str) -> Option<String> {
    let Err(LoggingError::Filter { found, .. }) = logging::check_filter(text) else { return None };
    if let Some((target, level)) = found.rsplit_once('=') {
        return nearest(level, logging::LEVELS).map(|level| format!("did you mean \"{target}={level}\"?"));
    }
    let is_name = !found.is_empty() && found.chars().all(|it| it.is_alphanumeric() || matches!(it, '_' | ':'));
    let words = logging::LEVELS.into_iter().chain([logging::OURS]);
    meant(&found, words).or_else(|| is_name.then(|| format!("for a target, say its level: \"{found}=debug\"")))
}

fn is_mailbox(text: &str) -> bool {
    let address = match text.split_once('<') {
        Some((_, rest)) => rest.strip_suffix('>').unwrap_or_default(),
        None => text,
    };
    let parts: Vec<&str> = address.split('@').collect();
    let plain = |part: &&str| !part.is_empty() && !part.contains([' ', '<', '>', ',', ';']);
    is_line(text) && parts.len() == 2 && parts.iter().all(plain)
}

fn is_host(text: &str) -> bool {
    let name =
        |text: &str| text.chars().all(|character| character.is_alphanumeric() || matches!(character, '.' | '-' | '_'));
    is_line(text) && (text.parse::<std::net::IpAddr>().is_ok() || name(text))
}

impl Value {
    /// As it may be shown and written to JSON: no secret in it.
    pub(super) fn to_json(&self) -> serde_json::Value {
        match self {
            Self::Bool(yes) => (*yes).into(),
            Self::Count(number) => (*number).into(),
            Self::Ratio(number) => (*number).into(),
            Self::Duration(length) => duration::render(length.as_secs()).into(),
            Self::Size(bytes) => Size(*bytes).to_string().into(),
            Self::Text(text) => text.as_str().into(),
            Self::Address(address) => address.to_string().into(),
            Self::Store(url) => url.to_string().into(),
            Self::Uuid(id) => id.to_string().into(),
        }
    }
}

/// Checked values by path.
#[derive(Debug, Default)]
pub(super) struct Values(pub(super) BTreeMap<&'static str, Value>);

/// Why a getter finds what it asks for. Each is called whenever a configuration is built, so every test that builds
/// one shows it.
const HOLDS: &str = "the table of keys gives this path this kind, and a default where one is needed";

macro_rules! getters {
    ($($name:ident, $if_set:ident: $variant:ident -> $type:ty;)*) => {$(
        pub(super) fn $name(&self, path: &str) -> $type {
            self.$if_set(path).expect(HOLDS)
        }

        pub(super) fn $if_set(&self, path: &str) -> Option<$type> {
            let pick = |value: &Value| if let Value::$variant(it) = value { Some(it.clone()) } else { None };
            self.0.get(path).map(|value| pick(value).expect(HOLDS))
        }
    )*};
}

#[expect(dead_code, reason = "made in pairs: not every kind has a key that must be there and one that need not")]
impl Values {
    getters! {
        bool, bool_if_set: Bool -> bool;
        duration, duration_if_set: Duration -> Duration;
        size, size_if_set: Size -> u64;
        ratio, ratio_if_set: Ratio -> f64;
        text, text_if_set: Text -> String;
        address, address_if_set: Address -> SocketAddr;
        store_url, store_url_if_set: Store -> StoreUrl;
        uuid, uuid_if_set: Uuid -> Uuid;
        number, number_if_set: Count -> u64;
    }
}

impl Values {
    /// A number, in the type whose range the bounds of the key keep.
    pub(super) fn count<T: TryFrom<u64>>(&self, path: &str) -> T {
        T::try_from(self.number(path)).ok().expect("the bounds of the key fit the type")
    }

    /// A number that need not be there.
    pub(super) fn count_if_set<T: TryFrom<u64>>(&self, path: &str) -> Option<T> {
        self.number_if_set(path).map(|number| T::try_from(number).ok().expect("the bounds of the key fit the type"))
    }

    /// One of the words of a choice.
    pub(super) fn word<T: Copy>(&self, path: &str, all: &[T], as_str: impl Fn(T) -> &'static str) -> T {
        let text = self.text(path);
        all.iter().copied().find(|choice| as_str(*choice) == text).expect("the words of the key are those of the type")
    }
}

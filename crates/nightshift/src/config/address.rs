//! Addresses of databases and endpoints, and how they are shown.
//!
//! Owns: which addresses are accepted, and that a password in one is never printed, not even when the address is
//! refused. Refuses to know: how to connect.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use reqwest::Url;

/// What stands in place of what is not shown.
const HIDDEN: &str = "***";

/// Where the store is. Printed without its password.
#[derive(Clone, PartialEq, Eq)]
pub enum StoreUrl {
    /// One file.
    Sqlite(PathBuf),
    /// A PostgreSQL server.
    Postgres(PostgresUrl),
}

/// An address of a PostgreSQL server, perhaps with a password. Printed without it.
#[derive(Clone, PartialEq, Eq)]
pub struct PostgresUrl(String);

impl PostgresUrl {
    /// The address as it was given, for the connection and nothing else.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&redacted(&self.0))
    }
}

impl fmt::Debug for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "sqlite://{}", path.display()),
            Self::Postgres(url) => fmt::Display::fmt(url, f),
        }
    }
}

impl fmt::Debug for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl StoreUrl {
    /// The SQLite file that lies in `data_dir` when no address is given.
    #[must_use]
    pub fn in_dir(data_dir: &Path) -> Self {
        Self::Sqlite(data_dir.join("nightshift.db"))
    }

    /// Reads an address; none when it is neither form.
    pub(super) fn parse(text: &str) -> Option<Self> {
        if let Some(path) = text.strip_prefix("sqlite://") {
            // Options and escapes would silently become part of the file's name.
            let plain = !path.is_empty() && !path.ends_with('/') && !path.contains(['?', '#', '%']);
            return plain.then(|| Self::Sqlite(PathBuf::from(path)));
        }
        let url = Url::parse(text).ok()?;
        let known = matches!(url.scheme(), "postgres" | "postgresql");
        let placed = url.has_host() || url.query_pairs().any(|(name, _)| name == "host");
        (known && placed && is_plain(text)).then(|| Self::Postgres(PostgresUrl(text.to_owned())))
    }
}

/// Is this an address of a web service? Users and queries carry secrets, so there may be neither.
pub(super) fn is_web(text: &str) -> bool {
    let scheme = text.starts_with("http://") || text.starts_with("https://");
    scheme && is_plain(text) && !text.contains(['@', '?', '#']) && Url::parse(text).is_ok_and(|url| url.has_host())
}

fn is_plain(text: &str) -> bool {
    !text.contains(|character: char| character.is_whitespace() || character.is_control())
}

/// The address with everything hidden that may be a password. It need not be a valid one: the form that is refused
/// is the one that gets printed, so this works on the text and would rather hide too much.
pub(super) fn redacted(text: &str) -> String {
    let (scheme, rest) = match text.split_once("://") {
        Some((scheme, rest)) if scheme.bytes().all(|byte| byte.is_ascii_alphanumeric()) => {
            (format!("{scheme}://"), rest)
        }
        None if text.starts_with("sqlite:") || !text.contains(['@', '=']) => (String::new(), text),
        _ => return HIDDEN.to_owned(),
    };
    let (user, rest) = match rest.rsplit_once('@') {
        // A password that is not escaped: nobody can tell where it ends.
        Some((user, _)) if user.contains(['/', '?', '#', '@', '=']) => return format!("{scheme}{HIDDEN}"),
        Some((user, rest)) if scheme.starts_with("postgres") => (format!("{}@", hidden_after_colon(user)), rest),
        Some((_, rest)) => (format!("{HIDDEN}@"), rest),
        None => (String::new(), rest),
    };
    let rest = rest.split('#').next().unwrap_or_default();
    let (place, query) = rest.split_once('?').map_or((rest, None), |(place, query)| (place, Some(query)));
    let (authority, path) = place.split_at(place.find('/').unwrap_or(place.len()));
    let query = query.map(|query| format!("?{}", hidden_in_query(query))).unwrap_or_default();
    format!("{scheme}{user}{}{path}{query}", hidden_unless_port(authority))
}

fn hidden_after_colon(user: &str) -> String {
    user.split_once(':').map_or_else(|| user.to_owned(), |(name, _)| format!("{name}:{HIDDEN}"))
}

/// `host:port` as it is; `user:password`, which someone wrote without a host, hidden.
fn hidden_unless_port(authority: &str) -> String {
    match authority.rsplit_once(':') {
        Some(("sqlite", _)) => authority.to_owned(),
        Some((_, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) || authority.ends_with(']') => {
            authority.to_owned()
        }
        Some(_) => hidden_after_colon(authority),
        None => authority.to_owned(),
    }
}

fn hidden_in_query(query: &str) -> String {
    let parts = query.split('&').map(|part| {
        let (name, _) = part.split_once('=').unwrap_or((part, ""));
        let lower = name.to_ascii_lowercase();
        let secret = ["pass", "pwd", "secret", "token", "key"].iter().any(|word| lower.contains(word));
        if secret { format!("{name}={HIDDEN}") } else { part.to_owned() }
    });
    parts.collect::<Vec<_>>().join("&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_form_of_an_address_shows_its_password() {
        for (text, shown) in [
            ("postgres://u:geheim@h:5432/db", "postgres://u:***@h:5432/db"),
            ("postgres://u@h/db", "postgres://u@h/db"),
            ("postgres://h/db?user=u&password=geheim", "postgres://h/db?user=u&password=***"),
            ("postgres://u:ge/heim@h/db", "postgres://***"),
            ("postgres://u:ge@heim@h/db", "postgres://***"),
            ("postgres://u:ge?heim@h/db", "postgres://***"),
            ("postgres://u:geheim/db", "postgres://u:***/db"),
            ("postgres://u:geheim", "postgres://u:***"),
            ("postgres://[::1]:5432/db", "postgres://[::1]:5432/db"),
            ("postgres://[::1]/db", "postgres://[::1]/db"),
            ("mysql://u:geheim@h/db", "mysql://***@h/db"),
            ("postgres://h/db?password=geheim@x", "postgres://***"),
            ("postgres://h?password=geheim:y@x", "postgres://***"),
            ("postgres://h/db#password=geheim", "postgres://h/db"),
            ("u:geheim@h/db", "***"),
            ("host=h password=geheim", "***"),
            ("banana", "banana"),
            ("localhost:11434/v1", "localhost:11434/v1"),
            ("u:geheim/db", "u:***/db"),
            ("sqlite:x.db", "sqlite:x.db"),
        ] {
            assert_eq!(redacted(text), shown, "{text}");
        }
    }

    #[test]
    fn addresses_of_stores() {
        for (text, accepted) in [
            ("sqlite:///var/lib/nightshift/nightshift.db", true),
            ("sqlite://./data/n.db", true),
            ("sqlite://", false),
            ("sqlite:///var/lib/", false),
            ("sqlite:///var/x.db?mode=rwc", false),
            ("sqlite:///var/my%20x.db", false),
            ("sqlite:x.db", false),
            ("postgres://u:p@h:5432/db?sslmode=require", true),
            ("postgresql://h", true),
            ("postgres:///db?host=/run/postgresql", true),
            ("postgres:///db", false),
            ("postgres://h:99999/db", false),
            ("postgres://h/d b", false),
            ("mysql://h/db", false),
            ("", false),
        ] {
            assert_eq!(StoreUrl::parse(text).is_some(), accepted, "{text}");
        }
    }
}

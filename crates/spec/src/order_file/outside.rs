//! Names of the outside world in a document: paths, web addresses, mail addresses, references to secrets.
//!
//! Owns: what makes one plausible, and the `destination` block. Refuses to know: whether anybody answers there.

use nightshift_domain::content::Destination;

use super::{Context, PathKind};
use crate::{
    document::Value,
    fault::quote,
    reader::{Field, Map, Reader},
};

const DESTINATION_KEYS: [&str; 4] = ["file", "email", "webhook", "secret"];
const URL: &str = "an http or https address with a host, e.g. https://example.org/feed.xml";
const MAIL: &str = "a mail address, e.g. team@example.org";
const SECRET: &str = "a reference env:NAME or file:/absolute/path, never the secret itself";

/// Reads a `destination` block: exactly one of `file`, `email`, `webhook`.
pub(super) fn destination(reader: &mut Reader, field: &Field<'_>, context: &Context<'_>) -> Option<Destination> {
    let map = reader.map(field, &DESTINATION_KEYS)?;
    let kinds: Vec<Field<'_>> = DESTINATION_KEYS[..3].iter().filter_map(|key| map.get(key)).collect();
    if let Some(secret) = map.get("secret")
        && map.get("webhook").is_none()
    {
        reader.fault(&secret, "a secret".to_owned(), "secret only beside webhook", Some("drop the key".to_owned()));
    }
    let [kind] = kinds.as_slice() else {
        let found: Vec<&str> = kinds.iter().map(Field::key).collect();
        let found = if found.is_empty() { "none of them".to_owned() } else { found.join(" and ") };
        reader.fault(kinds.get(1).unwrap_or(field), found, "exactly one of file, email, webhook", None);
        return None;
    };
    match kind.key() {
        "file" => delivery_folder(reader, kind, context).map(|folder| Destination::File { folder }),
        "email" => addresses(reader, kind).map(|to| Destination::Email { to }),
        _ => webhook(reader, &map, kind),
    }
}

fn webhook(reader: &mut Reader, map: &Map<'_>, field: &Field<'_>) -> Option<Destination> {
    let url = url(reader, field);
    let secret = match map.get("secret") {
        Some(field) => Some(secret_reference(reader, &field)?),
        None => None,
    };
    Some(Destination::Webhook { url: url?, secret })
}

/// The folder of a file destination. It may be missing when its parent exists: the first delivery makes it.
fn delivery_folder(reader: &mut Reader, field: &Field<'_>, context: &Context<'_>) -> Option<String> {
    let folder = path(reader, field, context)?;
    let parent = folder.rsplit_once('/').map_or("/", |(parent, _)| if parent.is_empty() { "/" } else { parent });
    match (context.probe)(&folder) {
        PathKind::Folder | PathKind::Repository => return Some(folder),
        PathKind::Missing if !matches!((context.probe)(parent), PathKind::Missing | PathKind::File) => {
            return Some(folder);
        }
        PathKind::Missing => {
            let found = format!("{}, where nothing is", quote(&folder));
            reader.fault(field, found, "a folder, or a new one in a folder that exists", None);
        }
        PathKind::File => {
            let remedy = Some("name the folder; the file name is made from title and version".to_owned());
            reader.fault(field, format!("{}, which is a file", quote(&folder)), "a folder", remedy);
        }
    }
    None
}

/// An absolute path: a relative one is taken from the base folder; `.` and `..` are resolved by name.
pub(super) fn path(reader: &mut Reader, field: &Field<'_>, context: &Context<'_>) -> Option<String> {
    let text = reader.text(field)?;
    if text.starts_with('~') {
        reader.refuse(
            field,
            "an absolute path, or one relative to the document",
            Some("~ is not expanded; write the path out".to_owned()),
        );
        return None;
    }
    if text.contains(|c: char| c.is_control()) {
        reader.refuse(field, "a path without control characters", None);
        return None;
    }
    Some(absolute(&text, context.base_dir))
}

fn absolute(path: &str, base_dir: &str) -> String {
    let joined = if path.starts_with('/') { path.to_owned() } else { format!("{base_dir}/{path}") };
    let mut parts: Vec<&str> = Vec::new();
    for part in joined.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

/// Reads an `http` or `https` address.
pub(super) fn url(reader: &mut Reader, field: &Field<'_>) -> Option<String> {
    let text = reader.text(field)?;
    if let Err(remedy) = check_url(&text) {
        if text.contains('@') {
            // What stands before the @ may be a password: it is not repeated.
            reader.fault(field, "an address with a name or password (not shown)".to_owned(), URL, remedy);
        } else {
            reader.refuse(field, URL, remedy);
        }
        return None;
    }
    Some(text)
}

pub(crate) fn check_url(text: &str) -> Result<(), Option<String>> {
    let Some((scheme, rest)) = text.split_once("://") else {
        let likely = text.contains('.') && !text.contains([' ', '@']) && check_url(&format!("https://{text}")).is_ok();
        return Err(likely.then(|| format!("did you mean {:?}?", format!("https://{text}"))));
    };
    if !["http", "https"].contains(&scheme.to_ascii_lowercase().as_str()) {
        return Err(crate::fault::did_you_mean(scheme, ["http", "https"]));
    }
    if text.contains(|c: char| c.is_whitespace() || c.is_control() || "<>\"\\^`{|}".contains(c)) {
        return Err(Some("percent-encode blanks and special characters".to_owned()));
    }
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.contains('@') {
        return Err(Some("an address is stored and shown, so it must not carry a name or password".to_owned()));
    }
    host_and_port(authority).then_some(()).ok_or(None)
}

fn host_and_port(authority: &str) -> bool {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let Some((address, after)) = rest.split_once(']') else {
                return false;
            };
            return address.parse::<std::net::Ipv6Addr>().is_ok()
                && (after.is_empty() || after.strip_prefix(':').is_some_and(is_port));
        }
        None => authority.split_once(':').map_or((authority, None), |(host, port)| (host, Some(port))),
    };
    port.is_none_or(is_port) && is_host(host)
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok_and(|port| port > 0)
}

/// Letters, digits and hyphens in labels of 1 to 63; names in other scripts are taken as they are.
fn is_host(host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host);
    let label = |label: &str| {
        (1..=63).contains(&label.chars().count())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.chars().all(|c| c.is_alphanumeric() || c == '-' || c == '_')
    };
    let dotted_numbers = host.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    host.len() <= 253 && host.split('.').all(label) && (!dotted_numbers || host.parse::<std::net::Ipv4Addr>().is_ok())
}

/// Reads one or several mail addresses, each once.
pub(super) fn addresses(reader: &mut Reader, field: &Field<'_>) -> Option<Vec<String>> {
    let found = reader.distinct_lines(field);
    let wrong: Vec<_> = found.iter().filter(|(_, text)| !is_mail_address(text)).collect();
    for (item, text) in &wrong {
        reader.fault(item, quote(text), MAIL, None);
    }
    if matches!(field.value, Value::List(items) if items.is_empty()) {
        reader.refuse(field, "at least one mail address", None);
    }
    (wrong.is_empty() && !found.is_empty()).then(|| found.into_iter().map(|(_, text)| text).collect())
}

fn is_mail_address(text: &str) -> bool {
    let Some((local, host)) = text.rsplit_once('@') else {
        return false;
    };
    let atom =
        |atom: &str| !atom.is_empty() && atom.chars().all(|c| c.is_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c));
    let domain = host.contains('.') || host.eq_ignore_ascii_case("localhost");
    local.len() <= 64 && local.split('.').all(atom) && domain && is_host(host) && !host.ends_with('.')
}

/// Reads a reference to a secret. What stands there instead is never shown: it may be the secret.
pub(crate) fn secret_reference(reader: &mut Reader, field: &Field<'_>) -> Option<String> {
    let text = reader.text(field)?;
    let env = text.strip_prefix("env:").is_some_and(|name| {
        !name.is_empty()
            && !name.starts_with(|c: char| c.is_ascii_digit())
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    });
    let file = text
        .strip_prefix("file:")
        .is_some_and(|path| path.starts_with('/') && path.len() > 1 && !path.contains(|c: char| c.is_control()));
    if !env && !file {
        let remedy = Some("put the secret into an environment variable or a file and name that".to_owned());
        reader.fault(field, "something that is no reference (not shown)".to_owned(), SECRET, remedy);
        return None;
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_the_web() {
        for (text, good) in [
            ("https://example.org", true),
            ("http://127.0.0.1:8080/a?b=c#d", true),
            ("HTTP://EXAMPLE.org/feed", true),
            ("http://[::1]:80/x", true),
            ("http://localhost", true),
            ("https://münchen.example/", true),
            ("https://", false),
            ("https:///path", false),
            ("https://exa mple.org", false),
            ("ftp://example.org", false),
            ("file:///etc/passwd", false),
            ("http://user:pw@example.org", false),
            ("http://example.org:0", false),
            ("http://example.org:99999", false),
            ("http://example.org:+1", false),
            ("http://[::1", false),
            ("http://999.1.1.1", false),
            ("http://-a.org", false),
            ("http://a..b", false),
            ("example.org/feed", false),
            ("", false),
        ] {
            assert_eq!(check_url(text).is_ok(), good, "{text:?}");
        }
        assert_eq!(check_url("example.org/feed").unwrap_err().unwrap(), "did you mean \"https://example.org/feed\"?");
    }

    #[test]
    fn addresses_of_mail() {
        for (text, good) in [
            ("a@example.org", true),
            ("first.last+tag@sub.example.org", true),
            ("root@localhost", true),
            ("a@b", false),
            ("a.example.org", false),
            ("@example.org", false),
            ("a@", false),
            ("a b@example.org", false),
            ("a@exam ple.org", false),
            ("a..b@example.org", false),
            ("a@example.org\nBcc: x@y.z", false),
            ("A <a@example.org>", false),
        ] {
            assert_eq!(is_mail_address(text), good, "{text:?}");
        }
    }

    #[test]
    fn paths_are_resolved_by_name() {
        for (path, expected) in [
            ("/a/b", "/a/b"),
            ("notes", "/base/dir/notes"),
            ("./notes/", "/base/dir/notes"),
            ("../x//y", "/base/x/y"),
            ("../../../../x", "/x"),
            ("/", "/"),
        ] {
            assert_eq!(absolute(path, "/base/dir"), expected, "{path}");
        }
    }
}

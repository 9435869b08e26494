//! Where a call goes.
//!
//! Owns: paths below the base address, and which addresses belong to it.
//! Refuses to know: what is sent.
//!
//! Invariant: what is written as a path never leaves the base address, however it is spelled.

use nightshift_domain::content::Failure;
use reqwest::Url;

use crate::http::{permanent, shown, web_address};

/// The address that paths begin at, and that the service token goes to.
#[derive(Debug, Clone)]
pub(crate) struct Base {
    url: Url,
    /// Its path without a slash at the end.
    path: String,
}

impl Base {
    pub(crate) fn new(url: Url) -> Self {
        let path = url.path().trim_end_matches('/').to_owned();
        Self { url, path }
    }

    /// Whether `url` is the base address or below it.
    pub(crate) fn holds(&self, url: &Url) -> bool {
        let below = |rest: &str| rest.is_empty() || rest.starts_with('/');
        same_place(&self.url, url) && url.path().strip_prefix(&self.path).is_some_and(below)
    }

    fn join(&self, path: &str) -> Result<Url, Failure> {
        let whole = format!("{}/{}", self.url.as_str().trim_end_matches('/'), path.trim_start_matches('/'));
        let url = web_address(&whole)?;
        if !self.holds(&url) {
            return Err(permanent(format!(
                "the path {} leads out of the base address {}",
                path.split(['?', '#']).next().unwrap_or_default(),
                shown(&self.url)
            )));
        }
        Ok(url)
    }
}

/// Reads an absolute address, or a path below `base`.
pub(crate) fn target(text: &str, base: Option<&Base>) -> Result<Url, Failure> {
    let text = text.trim();
    let scheme = text.split(['/', '?', '#']).next().is_some_and(|first| first.contains(':'));
    match base {
        _ if scheme => web_address(text).map_err(|_| {
            // What was written is not repeated: its query may hold a key.
            permanent(
                "the address of the call is none that can be reached: it begins with http:// or https:// and a \
                       host, or with / for a path below the base address"
                    .to_owned(),
            )
        }),
        Some(base) => base.join(text),
        None => Err(permanent(format!(
            "{} is a path, and no base address is configured; set steps.base_url (EDGE_BASE_URL) or write the whole \
             address",
            text.split(['?', '#']).next().unwrap_or_default()
        ))),
    }
}

/// Same scheme, host and port.
pub(super) fn same_place(a: &Url, b: &Url) -> bool {
    a.scheme() == b.scheme() && a.host() == b.host() && a.port_or_known_default() == b.port_or_known_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base(url: &str) -> Base {
        Base::new(Url::parse(url).unwrap())
    }

    #[test]
    fn paths_stay_below_the_base_address() {
        for (at, path, whole) in [
            ("http://h:1", "/functions/v1/x?a=b", Some("http://h:1/functions/v1/x?a=b")),
            ("http://h:1/", "agents/echo", Some("http://h:1/agents/echo")),
            ("http://h:1/v1/", "/x", Some("http://h:1/v1/x")),
            ("http://h:1/v1", "", Some("http://h:1/v1/")),
            ("http://h:1/v1", "/a/../b", Some("http://h:1/v1/b")),
            ("http://h:1/v1", "/../admin", None),
            ("http://h:1/v1", "/%2e%2e/admin", None),
            ("http://h:1/v1", "/a\\..\\..\\admin", None),
            ("http://h:1", "//evil.test/x", Some("http://h:1/evil.test/x")),
            ("http://h:1", "@evil.test/x", Some("http://h:1/@evil.test/x")),
            ("http://h:1", "\\\\evil.test/x", Some("http://h:1///evil.test/x")),
        ] {
            let found = target(path, Some(&base(at))).map(|url| url.to_string());
            assert_eq!(found.as_deref().ok(), whole, "{at} {path}");
        }
        assert_eq!(target("https://b.test/x", Some(&base("http://h"))).unwrap().as_str(), "https://b.test/x");
        for (text, says) in [("/x?key=k", "EDGE_BASE_URL"), ("ftp://x/?key=k", "http"), ("localhost:1/?key=k", "http")]
        {
            let failure = target(text, None).unwrap_err();
            assert!(failure.message.contains(says) && !failure.message.contains("key=k"), "{failure}");
        }
    }

    #[test]
    fn the_base_address_is_known_by_scheme_host_port_and_path() {
        let base = base("http://api.test/v1");
        for (url, held) in [
            ("http://api.test/v1", true),
            ("http://API.test:80/v1/x", true),
            ("http://api.test/v10", false),
            ("http://api.test/", false),
            ("https://api.test/v1", false),
            ("http://api.test:81/v1", false),
            ("http://api.test.evil/v1", false),
            ("http://api.test@evil.test/v1", false),
        ] {
            assert_eq!(base.holds(&Url::parse(url).unwrap()), held, "{url}");
        }
    }
}

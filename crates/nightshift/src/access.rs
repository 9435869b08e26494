//! Who may use the HTTP interface: the file that `http.access_file` names.
//!
//! Owns: its form, and what of it is read when the daemon starts.
//! Refuses to know: how a token or a key is judged; `nightshift_api::auth` does.

use std::{collections::BTreeSet, path::Path, sync::Arc, time::Duration};

use async_trait::async_trait;
use nightshift_api::{
    Documents, LinkKey, Options, Secrets,
    auth::{
        ApiKey, ApiKeys, Auth, Group, Key, KeySource, Origin, Rate, Role, Rules, Tokens, api_key::parse_hash,
        keys::jwks,
    },
};
use nightshift_effects::resolve;
use serde::Deserialize;

use crate::{
    app,
    config::Config,
    exit::{Code, Exit},
};

/// A published key set is given up after this time.
const FETCH_WITHIN: Duration = Duration::from_secs(10);

/// The most bytes of a published key set.
const KEY_SET_BYTES_MAX: usize = 1024 * 1024;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Access {
    tokens: Option<TokenEntry>,
    api_keys: Vec<KeyEntry>,
    /// `/metrics` is shown to everybody.
    open_metrics: bool,
    /// Reference to the secret that signs links by which approvals are decided.
    links_secret: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct TokenEntry {
    issuer: Option<String>,
    audience: Vec<String>,
    leeway_s: Option<u32>,
    roles_claim: Option<String>,
    groups_claim: Option<String>,
    default_roles: Option<Vec<String>>,
    /// References to shared secrets (HS256).
    secrets: Vec<String>,
    /// References to public keys in PEM (RS256, EdDSA).
    public_keys: Vec<String>,
    /// A key set: `file:/path`, or an http or https address.
    jwks: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyEntry {
    name: String,
    user: String,
    roles: Vec<String>,
    #[serde(default)]
    scopes: Option<Vec<String>>,
    #[serde(default)]
    groups: Vec<String>,
    sha256: String,
    requests: Option<u32>,
    window_ms: Option<i64>,
}

/// What the HTTP interface is told at the start.
///
/// # Errors
/// The file cannot be read, or something in it is impossible; the message names it.
pub fn options(config: &Config) -> Result<Options, Exit> {
    let documents = Documents {
        calendar: app::calendar(),
        max_parallel_default: config.workflows.max_parallel_default,
        max_parallel_cap: config.workflows.max_parallel_cap,
    };
    let secrets: Arc<dyn Secrets> = Arc::new(References);
    let Some(path) = config.http.access_file.as_deref() else {
        return Ok(Options { documents, secrets, ..Options::default() });
    };
    let fault = |why: String| Exit::new(Code::Config, format!("{}: {why}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|error| fault(error.to_string()))?;
    let access: Access = toml::from_str(&text).map_err(|error| fault(error.to_string().trim_end().to_owned()))?;
    let auth = Auth {
        tokens: access.tokens.map(|entry| tokens(entry, path)).transpose()?,
        keys: match access.api_keys.is_empty() {
            true => None,
            false => {
                let keys: Result<Vec<ApiKey>, Exit> =
                    access.api_keys.into_iter().map(|entry| key(entry, path)).collect();
                Some(ApiKeys::new(keys?))
            }
        },
        open_metrics: access.open_metrics,
    };
    let links = match access.links_secret {
        None => None,
        Some(reference) => {
            let secret = resolve(&reference).map_err(|error| fault(format!("links_secret: {error}")))?;
            let short = || fault("links_secret: a secret of at least 32 bytes is needed".to_owned());
            Some(LinkKey::new(secret.as_bytes()).ok_or_else(short)?)
        }
    };
    Ok(Options { auth, documents, secrets, links, ..Options::default() })
}

fn words<T: Ord>(
    all: &[String],
    parse: impl Fn(&str) -> Option<T>,
    what: &str,
    path: &Path,
) -> Result<BTreeSet<T>, Exit> {
    let one = |word: &String| {
        parse(word).ok_or_else(|| Exit::new(Code::Config, format!("{}: {what}: {word:?} is not known", path.display())))
    };
    all.iter().map(one).collect()
}

fn key(entry: KeyEntry, path: &Path) -> Result<ApiKey, Exit> {
    let place = format!("api_keys {:?}", entry.name);
    let fault = |why: String| Exit::new(Code::Config, format!("{}: {place}: {why}", path.display()));
    let default = Rate::default();
    Ok(ApiKey {
        roles: words(&entry.roles, Role::parse, &format!("{place}: roles"), path)?,
        scopes: entry.scopes.map(|all| words(&all, Group::parse, &format!("{place}: scopes"), path)).transpose()?,
        groups: entry.groups.into_iter().collect(),
        hash: parse_hash(&entry.sha256).map_err(|error| fault(error.to_string()))?,
        rate: Rate {
            requests: entry.requests.unwrap_or(default.requests),
            window_ms: entry.window_ms.unwrap_or(default.window_ms),
        },
        name: entry.name,
        user: entry.user,
    })
}

fn tokens(entry: TokenEntry, path: &Path) -> Result<Tokens, Exit> {
    let fault = |what: &str, why: &dyn std::fmt::Display| {
        Exit::new(Code::Config, format!("{}: tokens.{what}: {why}", path.display()))
    };
    let default = Rules::default();
    let rules = Rules {
        issuer: entry.issuer,
        audience: entry.audience,
        leeway_s: entry.leeway_s.unwrap_or(default.leeway_s),
        roles_claim: entry.roles_claim.unwrap_or(default.roles_claim),
        groups_claim: entry.groups_claim.unwrap_or(default.groups_claim),
        default_roles: match entry.default_roles {
            Some(all) => words(&all, Role::parse, "tokens.default_roles", path)?,
            None => default.default_roles,
        },
    };
    let mut keys = Vec::new();
    for reference in &entry.secrets {
        let secret = resolve(reference).map_err(|error| fault("secrets", &error))?;
        keys.push(Key::secret(None, secret.as_bytes()).map_err(|error| fault("secrets", &error))?);
    }
    for reference in &entry.public_keys {
        let pem = resolve(reference).map_err(|error| fault("public_keys", &error))?;
        keys.push(Key::pem(None, &pem).map_err(|error| fault("public_keys", &error))?);
    }
    let mut published = None;
    match entry.jwks.as_deref() {
        None => {}
        Some(address) if address.starts_with("http://") || address.starts_with("https://") => {
            let client = reqwest::Client::builder().timeout(FETCH_WITHIN).redirect(reqwest::redirect::Policy::none());
            let client = client.build().map_err(|error| fault("jwks", &error))?;
            published = Some(Published { address: address.to_owned(), client });
        }
        Some(reference) => {
            let text = resolve(reference).map_err(|error| fault("jwks", &error))?;
            keys.extend(jwks(&text, Origin::File).map_err(|error| fault("jwks", &error))?);
        }
    }
    if keys.is_empty() && published.is_none() {
        return Err(fault("secrets", &"no key at all: give secrets, public_keys or jwks"));
    }
    let tokens = Tokens::of_keys(rules, keys);
    Ok(match published {
        Some(published) => tokens.and_published(Arc::new(published)),
        None => tokens,
    })
}

/// A key set that a server publishes.
struct Published {
    address: String,
    client: reqwest::Client,
}

#[async_trait]
impl KeySource for Published {
    async fn fetch(&self) -> Result<String, String> {
        let failed = |error: reqwest::Error| format!("{}: {error}", self.address);
        let mut response = self.client.get(&self.address).send().await.map_err(failed)?;
        response = response.error_for_status().map_err(failed)?;
        let mut text = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            text.extend_from_slice(&chunk);
            if text.len() > KEY_SET_BYTES_MAX {
                return Err(format!("{}: the key set has more than {KEY_SET_BYTES_MAX} bytes", self.address));
            }
        }
        String::from_utf8(text).map_err(|error| format!("{}: {error}", self.address))
    }
}

/// Secrets by reference, as everywhere.
struct References;

#[async_trait]
impl Secrets for References {
    async fn resolve(&self, reference: &str) -> Result<Vec<u8>, String> {
        resolve(reference).map(String::into_bytes).map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// The SHA-256 of nothing in particular.
    const HASH: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

    /// What is made of an access file. `SECRET` in it is a reference to a file with a secret of `bytes` bytes.
    fn of(text: &str, bytes: usize) -> Result<Options, String> {
        let folder = tempfile::tempdir().unwrap();
        let (secret, file) = (folder.path().join("secret"), folder.path().join("access.toml"));
        std::fs::write(&secret, "s".repeat(bytes)).unwrap();
        std::fs::write(&file, text.replace("SECRET", &format!("file:{}", secret.display()))).unwrap();
        let key = ("http.access_file", file.to_str().unwrap());
        let config = Config::load(None, &BTreeMap::new(), &[key]).unwrap().config;
        options(&config).map_err(|error| error.to_string())
    }

    fn key(lines: &str) -> String {
        format!("[[api_keys]]\nname = \"ci\"\nuser = \"ann\"\n{lines}")
    }

    #[test]
    fn a_file_says_who_may_and_nothing_lets_everybody_in_by_accident() {
        let good = format!("sha256 = \"{HASH}\"\nroles = [\"agent\"]\nscopes = [\"start\"]\n");
        let text =
            format!("open_metrics = true\nlinks_secret = \"SECRET\"\n[tokens]\nsecrets = [\"SECRET\"]\n{}", key(&good));
        let found = of(&text, 32).unwrap();
        assert!(found.auth.open_metrics && found.links.is_some());
        assert!(found.auth.tokens.is_some() && found.auth.keys.is_some());
        let empty = of("", 32).unwrap();
        assert!(empty.auth.tokens.is_none() && empty.auth.keys.is_none() && empty.links.is_none());
        assert!(!empty.auth.open_metrics);
    }

    #[test]
    fn every_fault_names_the_file_and_the_place() {
        let hash = format!("sha256 = \"{HASH}\"\n");
        for (text, named) in [
            ("open_metric = true\n".to_owned(), "open_metric"),
            ("[tokens]\nsecret = [\"SECRET\"]\n".to_owned(), "secret"),
            ("[tokens]\nissuer = \"me\"\n".to_owned(), "no key at all"),
            ("[tokens]\nsecrets = [\"SECRET\"]\n".to_owned(), "32 bytes"),
            ("[tokens]\nsecrets = [\"plain\"]\n".to_owned(), "by reference"),
            ("[tokens]\npublic_keys = [\"SECRET\"]\n".to_owned(), "tokens.public_keys"),
            ("[tokens]\njwks = \"SECRET\"\n".to_owned(), "tokens.jwks"),
            ("[tokens]\njwks = \"file:/no/such/file\"\n".to_owned(), "file:/no/such/file"),
            (
                "[tokens]\nsecrets = [\"env:X\"]\ndefault_roles = [\"king\"]\n".to_owned(),
                "tokens.default_roles: \"king\"",
            ),
            ("links_secret = \"SECRET\"\n".to_owned(), "links_secret"),
            (key(&format!("{hash}roles = [\"king\"]\n")), "api_keys \"ci\": roles: \"king\""),
            (key(&format!("{hash}roles = []\nscopes = [\"all\"]\n")), "api_keys \"ci\": scopes: \"all\""),
            (key("roles = []\nsha256 = \"abc\"\n"), "api_keys \"ci\""),
            (key("roles = []\n"), "sha256"),
        ] {
            let told = of(&text, 31).err().unwrap_or_else(|| panic!("{text} was accepted"));
            assert!(told.contains("access.toml") && told.contains(named), "{named:?} is not in: {told}");
            assert!(!told.contains(&"s".repeat(31)), "no secret is shown: {told}");
        }
    }

    #[test]
    fn a_file_that_is_not_there_is_refused() {
        let key = ("http.access_file", "/no/such/access.toml");
        let config = Config::load(None, &BTreeMap::new(), &[key]).unwrap().config;
        let told = options(&config).err().unwrap();
        assert_eq!(told.code, Code::Config);
        assert!(told.to_string().contains("/no/such/access.toml"), "{told}");
    }

    #[test]
    fn the_example_is_read() {
        // As the program does at its start; a client for published keys needs it.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let example = include_str!("../../../ops/access.example.toml");
        let mut text = example.to_owned();
        for name in ["links-secret", "jwt-secret"] {
            assert!(text.contains(name));
            text = text.replace(&format!("file:/etc/nightshift/{name}"), "SECRET");
        }
        let found = of(&text, 32).unwrap();
        assert!(found.auth.is_configured() && found.links.is_some());
        let commented =
            example.lines().filter_map(|line| line.strip_prefix("# ")).find(|line| line.starts_with("jwks"));
        let with = text.replace(&format!("# {}", commented.unwrap()), commented.unwrap());
        assert!(with.len() == text.len() - 2 && of(&with, 32).is_ok());
    }
}

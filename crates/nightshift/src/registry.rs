//! The files beside the configuration: agents that steps may ask, secrets that documents may name, limits of the queue.
//!
//! Owns: their form, and the faults in them.
//! Refuses to know: what an agent or a limit does.

use std::{collections::BTreeMap, path::Path, time::Duration};

use nightshift_actors::queue::limits::{Limits, Rate};
use nightshift_effects::{AgentConfig, SecretConfig, check_reference};
use serde::{Deserialize, de::DeserializeOwned};

use crate::exit::{Code, Exit};

/// One agent: `[<slug>]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct AgentEntry {
    url: String,
    organization: Option<String>,
    /// Reference: `env:NAME` or `file:/path`.
    api_key: Option<String>,
    #[serde(default)]
    modes: Vec<String>,
    /// Seconds.
    timeout: Option<f64>,
    version: Option<String>,
}

/// One secret: `[<name>]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SecretEntry {
    /// Reference: `env:NAME` or `file:/path`.
    from: String,
    #[serde(default)]
    hosts: Vec<String>,
}

/// The limits of the queue.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct LimitEntries {
    rates: BTreeMap<String, RateEntry>,
    keys: BTreeMap<String, usize>,
    queues: BTreeMap<String, usize>,
}

/// One bucket; what is not said is a hundred at once and ten a second.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RateEntry {
    #[serde(default = "capacity")]
    capacity: f64,
    #[serde(default = "refill")]
    refill_per_s: f64,
}

fn capacity() -> f64 {
    Rate::default().capacity
}

fn refill() -> f64 {
    Rate::default().refill_per_s
}

fn fault(path: &Path, why: impl std::fmt::Display) -> Exit {
    Exit::new(Code::Config, format!("{}: {why}", path.display()))
}

fn read<T: DeserializeOwned>(path: &Path) -> Result<T, Exit> {
    let text = std::fs::read_to_string(path).map_err(|error| fault(path, error))?;
    toml::from_str(&text).map_err(|error| fault(path, error.to_string().trim_end()))
}

/// The agents of a file; none without one.
///
/// # Errors
/// It cannot be read, or is not of that form; the message has the line.
pub fn agents(path: Option<&Path>) -> Result<BTreeMap<String, AgentConfig>, Exit> {
    let Some(path) = path else { return Ok(BTreeMap::new()) };
    let entries: BTreeMap<String, AgentEntry> = read(path)?;
    let agent = |(slug, entry): (String, AgentEntry)| {
        let AgentEntry { url, organization, api_key, modes, timeout, version } = entry;
        let timeout = timeout.map(Duration::try_from_secs_f64).transpose();
        let timeout = timeout.map_err(|error| fault(path, format!("{slug}.timeout: {error}; seconds are expected")))?;
        let timeout_ms = timeout.map(|timeout| u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX));
        Ok((slug, AgentConfig { url, organization, api_key, modes, timeout_ms, version }))
    };
    entries.into_iter().map(agent).collect()
}

/// The secrets of a file; none without one.
///
/// # Errors
/// It cannot be read, or is not of that form; the message has the place and no value.
pub fn secrets(path: Option<&Path>) -> Result<BTreeMap<String, SecretConfig>, Exit> {
    let Some(path) = path else { return Ok(BTreeMap::new()) };
    // What is read badly may be a secret that was written where a reference belongs: it is not repeated.
    let text = std::fs::read_to_string(path).map_err(|error| fault(path, error))?;
    let entries: BTreeMap<String, SecretEntry> = toml::from_str(&text).map_err(|error| {
        let line = error.span().map_or(0, |span| text[..span.start].matches('\n').count() + 1);
        let said = error.message();
        let named = ["unknown field", "missing field", "duplicate"].iter().any(|start| said.starts_with(start));
        let form = "a secret is a table, [<name>], with `from` and, if wanted, `hosts`";
        fault(path, format!("line {line}: {}", if named { said } else { form }))
    })?;
    let secret = |(name, SecretEntry { from, hosts }): (String, SecretEntry)| {
        if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || "_-".contains(c)) {
            return Err(fault(path, format!("{name:?}: a name has letters, digits, _ and -")));
        }
        check_reference(&from).map_err(|error| fault(path, format!("{name}.from: {error}")))?;
        Ok((name, SecretConfig { from, hosts }))
    };
    entries.into_iter().map(secret).collect()
}

/// The limits of a file; none without one.
///
/// # Errors
/// It cannot be read, is not of that form, or a limit is impossible; the message names it.
pub fn limits(path: Option<&Path>) -> Result<Limits, Exit> {
    let Some(path) = path else { return Ok(Limits::default()) };
    let entries: LimitEntries = read(path)?;
    for (key, rate) in &entries.rates {
        if !(rate.capacity >= 1.0 && rate.capacity.is_finite() && rate.refill_per_s >= 0.0) {
            return Err(fault(path, format!("rates.{key:?}: capacity is at least 1, refill_per_s at least 0")));
        }
    }
    for (name, entries) in [("keys", &entries.keys), ("queues", &entries.queues)] {
        if let Some((key, _)) = entries.iter().find(|(_, places)| **places == 0) {
            return Err(fault(path, format!("{name}.{key:?}: at least 1, or steps behind it would never go")));
        }
    }
    let rate =
        |(key, rate): (String, RateEntry)| (key, Rate { capacity: rate.capacity, refill_per_s: rate.refill_per_s });
    Ok(Limits {
        rates: entries.rates.into_iter().map(rate).collect(),
        keys: entries.keys.into_iter().collect(),
        queues: entries.queues.into_iter().collect(),
        ..Limits::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        file
    }

    #[test]
    fn files_are_read_and_faults_named() {
        let good = file("[writer]\nurl = \"http://127.0.0.1:1/tasks\"\nmodes = [\"BUILD\"]\ntimeout = 1.5\n");
        assert_eq!(agents(Some(good.path())).unwrap()["writer"].timeout_ms, Some(1_500));
        let good = file("[rates.\"global:agent:writer\"]\ncapacity = 3\n[keys]\ndb = 2\n[queues]\nslow = 1\n");
        let found = limits(Some(good.path())).unwrap();
        assert_eq!(found.rate("global:agent:writer"), Some(Rate { capacity: 3.0, refill_per_s: 10.0 }));
        for (text, named) in
            [("[writer]\nurll = \"x\"\n", "urll"), ("[writer]\nurl = \"http://x\"\ntimeout = -1\n", "writer.timeout")]
        {
            let told = agents(Some(file(text).path())).unwrap_err().to_string();
            assert!(told.contains(named), "{told}");
        }
        for (text, named) in [
            ("[rates.a]\ncapacity = 0\n", "rates.\"a\""),
            ("[keys]\nk = 0\n", "keys.\"k\""),
            ("[key]\nk = 1\n", "unknown field"),
        ] {
            let told = limits(Some(file(text).path())).unwrap_err().to_string();
            assert!(told.contains(named), "{told}");
        }
    }

    #[test]
    fn secrets_are_references_and_a_slip_shows_none() {
        let good = file("[crm]\nfrom = \"env:CRM\"\nhosts = [\"crm.test\"]\n[db]\nfrom = \"file:/k\"\n");
        let found = secrets(Some(good.path())).unwrap();
        assert_eq!((found["crm"].hosts.len(), found["db"].from.as_str()), (1, "file:/k"));
        for (text, named) in [
            ("[crm]\nfrom = \"sk-123\"\n", "crm.from"),
            ("crm = \"sk-123\"\n", "line 1"),
            ("[crm]\nfrom = \"env:A\"\nhost = \"sk-123\"\n", "host"),
            ("[\"a b\"]\nfrom = \"env:A\"\n", "a b"),
        ] {
            let told = secrets(Some(file(text).path())).unwrap_err().to_string();
            assert!(told.contains(named) && !told.contains("sk-123"), "{told}");
        }
    }

    #[test]
    fn the_examples_are_read() {
        let ops = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../ops");
        let found = agents(Some(&ops.join("agents.example.toml"))).unwrap();
        assert_eq!(found["writer"].timeout_ms, Some(120_000));
        assert_eq!(found["summarizer"].organization.as_deref(), Some("research"));
        let found = secrets(Some(&ops.join("secrets.example.toml"))).unwrap();
        assert_eq!(found["crm"].hosts, ["crm.example.org"]);
        let found = limits(Some(&ops.join("limits.example.toml"))).unwrap();
        assert_eq!(found.rate("user:ann:agent:writer").map(|rate| rate.capacity), Some(5.0));
        assert_eq!(found.rate("user:ann:agent:other"), Some(Rate { capacity: 50.0, refill_per_s: 10.0 }));
        assert_eq!((found.keys.len(), found.queues.len()), (1, 1));
    }
}

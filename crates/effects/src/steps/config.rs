//! What the steps of workflows are told at start.
//!
//! Owns: the plain structs and the check of their values.
//! Refuses to know: files, environment variables, which step uses what.

use std::{collections::BTreeMap, path::PathBuf};

use reqwest::Url;

use crate::{
    config::{EffectsError, check_positive, check_secret, value},
    steps::agent::MODES,
};

/// Everything the steps of workflows need to know.
#[derive(Debug, Clone)]
pub struct StepsConfig {
    /// Where the paths of `call` steps begin, e.g. `http://127.0.0.1:54321`; none: only whole addresses can be called.
    pub base_url: Option<String>,
    /// Reference to the token that goes as `Authorization: Bearer` to addresses below `base_url`, and to no other.
    pub service_token: Option<String>,
    /// An answer with more bytes than this is cut and is a failure.
    pub answer_bytes_max: usize,
    /// Programs that `process` steps may start, as they are written in the steps; none: any. With a list, they are found
    /// in the `PATH` of this process, whatever a step's environment says.
    pub programs: Option<Vec<String>>,
    /// What `<secret:NAME>` may stand for in the headers of a call and the environment of a program.
    pub secrets: BTreeMap<String, SecretConfig>,
    /// The folder they start in; none: that of this process.
    pub folder: Option<PathBuf>,
    /// Between asking a program to end and ending it, in milliseconds.
    pub grace_ms: u64,
    /// What the step cache keeps; entries that were longest unused go first.
    pub cache_entries_max: u64,
    /// Agents by their slug.
    pub agents: BTreeMap<String, AgentConfig>,
}

impl Default for StepsConfig {
    fn default() -> Self {
        Self {
            base_url: None,
            service_token: None,
            answer_bytes_max: 4 * 1024 * 1024,
            programs: None,
            secrets: BTreeMap::new(),
            folder: None,
            grace_ms: 2_000,
            cache_entries_max: 2_000,
            agents: BTreeMap::new(),
        }
    }
}

/// A secret that documents may name.
#[derive(Debug, Clone, Default)]
pub struct SecretConfig {
    /// Where it is found: `env:NAME` or `file:/path`.
    pub from: String,
    /// Hosts that it may be sent to; empty: any, and programs.
    pub hosts: Vec<String>,
}

/// A registered agent.
#[derive(Debug, Clone, Default)]
pub struct AgentConfig {
    /// Where tasks are posted.
    pub url: String,
    /// The organization it belongs to; none: it serves all.
    pub organization: Option<String>,
    /// Reference to its key, sent as `X-Agent-Api-Key`.
    pub api_key: Option<String>,
    /// Modes it supports, of `CONVERSE`, `PLAN`, `BUILD`, `ORCHESTRATION`; empty: all.
    pub modes: Vec<String>,
    /// A task is given up after this time, or after that of the step when it is shorter.
    pub timeout_ms: Option<u64>,
    /// Its version. What it made is kept for steps that ask the same version.
    pub version: Option<String>,
}

impl StepsConfig {
    pub(crate) fn check(&self) -> Result<(), EffectsError> {
        if let Some(base) = self.base_url.as_deref().filter(|base| !is_plain_web(base)) {
            return Err(value(
                "steps.base_url",
                base,
                "an http or https address such as http://127.0.0.1:54321, without user, query and fragment",
            ));
        }
        if self.service_token.is_some() && self.base_url.is_none() {
            return Err(value(
                "steps.service_token",
                "a token without a base address",
                "given together with steps.base_url: it goes to no other address",
            ));
        }
        check_secret("steps.service_token", self.service_token.as_deref())?;
        check_positive("steps.answer_bytes_max", self.answer_bytes_max as u64)?;
        for secret in self.secrets.values() {
            check_secret("steps.secrets", Some(&secret.from))?;
        }
        self.agents.values().try_for_each(check_agent)
    }
}

fn is_plain_web(base: &str) -> bool {
    Url::parse(base).is_ok_and(|url| {
        matches!(url.scheme(), "http" | "https")
            && url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
            && url.password().is_none()
    })
}

fn check_agent(agent: &AgentConfig) -> Result<(), EffectsError> {
    if !Url::parse(&agent.url).is_ok_and(|url| matches!(url.scheme(), "http" | "https")) {
        return Err(value("steps.agents.url", &agent.url, "an http or https address that tasks are posted to"));
    }
    if let Some(mode) = agent.modes.iter().find(|mode| !MODES.iter().any(|(word, _)| word.eq_ignore_ascii_case(mode))) {
        return Err(value("steps.agents.modes", mode, "of CONVERSE, PLAN, BUILD and ORCHESTRATION"));
    }
    check_positive("steps.agents.timeout", agent.timeout_ms.unwrap_or(1))?;
    check_secret("steps.agents.api_key", agent.api_key.as_deref())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn impossible_values_are_named() {
        let agent = |change: fn(&mut AgentConfig)| {
            let mut agent = AgentConfig { url: "http://a/tasks".into(), ..AgentConfig::default() };
            change(&mut agent);
            StepsConfig { agents: [("a".to_owned(), agent)].into(), ..StepsConfig::default() }
        };
        let base = |url: &str| StepsConfig { base_url: Some(url.into()), ..StepsConfig::default() };
        let token = |reference: &str| StepsConfig { service_token: Some(reference.into()), ..base("http://x") };
        for (config, named) in [
            (base("ftp://x"), "steps.base_url"),
            (base("http://u:p@x"), "steps.base_url"),
            (base("http://x?key=k"), "steps.base_url"),
            (token("eyJhbGciOi"), "steps.service_token"),
            (StepsConfig { base_url: None, ..token("env:T") }, "steps.service_token"),
            (StepsConfig { answer_bytes_max: 0, ..StepsConfig::default() }, "steps.answer_bytes_max"),
            (
                StepsConfig {
                    secrets: [("crm".to_owned(), SecretConfig { from: "key-123".into(), hosts: vec![] })].into(),
                    ..StepsConfig::default()
                },
                "steps.secrets",
            ),
            (agent(|agent| agent.url = "agents/a".into()), "steps.agents.url"),
            (agent(|agent| agent.modes = vec!["SING".into()]), "steps.agents.modes"),
            (agent(|agent| agent.timeout_ms = Some(0)), "steps.agents.timeout"),
            (agent(|agent| agent.api_key = Some("key-123".into())), "steps.agents.api_key"),
        ] {
            let error = config.check().unwrap_err().to_string();
            assert!(error.starts_with(named), "{error}");
            assert!(!error.contains("eyJ") && !error.contains("key-123"), "{error}");
        }
        token("env:T").check().unwrap();
        agent(|agent| agent.modes = vec!["build".into()]).check().unwrap();
    }
}

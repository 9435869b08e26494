//! What the performers are told at start.
//!
//! Owns: the plain structs and the check of their values.
//! Refuses to know: files, environment variables, defaults of the program; the binary fills these in.

use crate::{
    secrets::{SecretError, check_reference},
    steps::StepsConfig,
};

/// What one item of a source may have when nobody says otherwise: larger texts are data, not notes.
const ITEM_BYTES_MAX: u64 = 1024 * 1024;
/// Less than this holds no order, let alone material.
const INPUT_BYTES_MIN: usize = 4 * 1024;

/// Everything the performers need to know.
#[derive(Debug, Clone)]
pub struct EffectsConfig {
    /// A chat endpoint; none means that documents are composed by extraction.
    pub llm: Option<LlmConfig>,
    /// A mail server; none means that mail fails with a message that says so.
    pub smtp: Option<SmtpConfig>,
    /// Where runs of workflows report to.
    pub reports: ReportsConfig,
    /// A file, an entry or a commit whose text has more bytes than this is noted as left out, not read.
    pub max_item_bytes: u64,
    /// Sent as `User-Agent` with every request.
    pub user_agent: String,
    /// Requests to loopback addresses go past any proxy that the environment names.
    pub loopback_no_proxy: bool,
    /// What the steps of workflows need.
    pub steps: StepsConfig,
}

impl Default for EffectsConfig {
    fn default() -> Self {
        Self {
            llm: None,
            smtp: None,
            reports: ReportsConfig::default(),
            max_item_bytes: ITEM_BYTES_MAX,
            user_agent: concat!("nightshift/", env!("CARGO_PKG_VERSION")).to_owned(),
            loopback_no_proxy: true,
            steps: StepsConfig::default(),
        }
    }
}

/// An OpenAI-compatible chat endpoint.
#[derive(Debug, Clone)]
pub struct LlmConfig {
    /// Base address; `/chat/completions` is appended, with or without a slash at its end.
    pub base_url: String,
    /// Name of the model.
    pub model: String,
    /// Reference to the key, `env:NAME` or `file:/path`; none for endpoints without keys.
    pub api_key: Option<String>,
    /// A call is given up after this time, or after that of the call when it is shorter.
    pub timeout_ms: u64,
    /// Most bytes of one question: instructions, order and material together; at least 4 KiB.
    pub max_input_bytes: usize,
}

/// A mail server.
#[derive(Debug, Clone)]
pub struct SmtpConfig {
    /// Host name or address.
    pub host: String,
    /// Port; none means 25, 587 or 465 by `tls`.
    pub port: Option<u16>,
    /// How the connection is secured.
    pub tls: SmtpTls,
    /// User name, when the server asks for one.
    pub user: Option<String>,
    /// Reference to the password, `env:NAME` or `file:/path`.
    pub password: Option<String>,
    /// Sender, `name@host` or `Name <name@host>`.
    pub from: String,
    /// A mail is given up after this time, or after that of the call when it is shorter.
    pub timeout_ms: u64,
}

/// Webhooks that are told of runs.
#[derive(Debug, Clone, Default)]
pub struct ReportsConfig {
    /// Is told how far runs are.
    pub progress_url: Option<String>,
    /// Is told of questions to people.
    pub checkpoint_url: Option<String>,
    /// Reference to the secret that signs; none: messages are not signed.
    pub secret: Option<String>,
}

/// How a connection to a mail server is secured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SmtpTls {
    /// Not at all; for a relay on this machine.
    None,
    /// Plain first, then `STARTTLS`; refused when the server does not offer it.
    #[default]
    StartTls,
    /// TLS from the first byte.
    Tls,
}

impl SmtpTls {
    /// The words that a configuration may use, with what they mean.
    pub const WORDS: [(&'static str, Self); 3] =
        [("none", Self::None), ("starttls", Self::StartTls), ("tls", Self::Tls)];

    /// Reads one of [`SmtpTls::WORDS`].
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::WORDS.into_iter().find(|(name, _)| *name == word).map(|(_, mode)| mode)
    }

    /// The port such servers listen on.
    #[must_use]
    pub const fn default_port(self) -> u16 {
        match self {
            Self::None => 25,
            Self::StartTls => 587,
            Self::Tls => 465,
        }
    }
}

/// Why no performers could be built.
#[derive(Debug, thiserror::Error)]
pub enum EffectsError {
    /// A value of the configuration is impossible.
    #[error("{field} is {found:?}: {allowed}")]
    Value {
        /// Which value.
        field: &'static str,
        /// What it is.
        found: String,
        /// What it may be.
        allowed: &'static str,
    },
    /// A reference to a secret is malformed.
    #[error("{field}: {source}")]
    Secret {
        /// Which value.
        field: &'static str,
        /// What is wrong with it.
        source: SecretError,
    },
    /// No rustls crypto provider was installed.
    #[error("no TLS crypto provider is installed in this process: install rustls' ring provider first thing in main")]
    NoCryptoProvider,
    /// The HTTP client could not be made.
    #[error("no HTTP client could be made: {why}; is a store of CA certificates installed (package ca-certificates)?")]
    Client {
        /// What the client said.
        why: String,
    },
}

impl EffectsConfig {
    /// Checks values that would otherwise fail at the first use.
    ///
    /// # Errors
    /// The first impossible value.
    pub fn check(&self) -> Result<(), EffectsError> {
        check_positive("sources.max_item_bytes", self.max_item_bytes)?;
        if let Some(llm) = &self.llm {
            check_llm(llm)?;
        }
        if let Some(smtp) = &self.smtp {
            check_smtp(smtp)?;
        }
        check_secret("reports.secret", self.reports.secret.as_deref())?;
        self.steps.check()
    }
}

fn check_llm(llm: &LlmConfig) -> Result<(), EffectsError> {
    let web = reqwest::Url::parse(&llm.base_url).is_ok_and(|url| matches!(url.scheme(), "http" | "https"));
    if !web {
        return Err(value(
            "llm.base_url",
            &llm.base_url,
            "an http or https address such as https://api.example.com/v1",
        ));
    }
    if llm.model.trim().is_empty() {
        return Err(value("llm.model", &llm.model, "the name of a model that the endpoint knows"));
    }
    check_positive("llm.timeout", llm.timeout_ms)?;
    if llm.max_input_bytes < INPUT_BYTES_MIN {
        return Err(value("llm.max_input_bytes", &llm.max_input_bytes.to_string(), "at least 4096 bytes"));
    }
    check_secret("llm.api_key", llm.api_key.as_deref())
}

fn check_smtp(smtp: &SmtpConfig) -> Result<(), EffectsError> {
    if smtp.host.trim().is_empty() {
        return Err(value("smtp.host", &smtp.host, "the name or address of a mail server"));
    }
    if smtp.from.parse::<lettre::message::Mailbox>().is_err() {
        return Err(value(
            "smtp.from",
            &smtp.from,
            "an address such as nightshift@example.com or Nightshift <nightshift@example.com>",
        ));
    }
    if smtp.user.is_some() != smtp.password.is_some() {
        let found = if smtp.user.is_some() { "a user without a password" } else { "a password without a user" };
        return Err(value("smtp.user", found, "user and password are given together or not at all"));
    }
    check_positive("smtp.timeout", smtp.timeout_ms)?;
    check_secret("smtp.password", smtp.password.as_deref())
}

pub(crate) fn check_positive(field: &'static str, found: u64) -> Result<(), EffectsError> {
    if found == 0 {
        return Err(value(field, "0", "more than nothing"));
    }
    Ok(())
}

pub(crate) fn check_secret(field: &'static str, reference: Option<&str>) -> Result<(), EffectsError> {
    reference.map_or(Ok(()), check_reference).map_err(|source| EffectsError::Secret { field, source })
}

pub(crate) fn value(field: &'static str, found: &str, allowed: &'static str) -> EffectsError {
    EffectsError::Value { field, found: found.to_owned(), allowed }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn smtp() -> SmtpConfig {
        SmtpConfig {
            host: "mail.example.com".into(),
            port: None,
            tls: SmtpTls::StartTls,
            user: None,
            password: None,
            from: "Nightshift <n@example.com>".into(),
            timeout_ms: 30_000,
        }
    }

    #[test]
    fn impossible_values_are_named() {
        let endpoint = |base: &str, model: &str, key: Option<&str>| LlmConfig {
            base_url: base.into(),
            model: model.into(),
            api_key: key.map(Into::into),
            timeout_ms: 1_000,
            max_input_bytes: INPUT_BYTES_MIN,
        };
        let asking = |llm: LlmConfig| EffectsConfig { llm: Some(llm), ..EffectsConfig::default() };
        let llm = |base: &str, model: &str, key: Option<&str>| asking(endpoint(base, model, key));
        let bounded = |timeout_ms: u64, max_input_bytes: usize| {
            asking(LlmConfig { timeout_ms, max_input_bytes, ..endpoint("http://x", "m", None) })
        };
        let mail = |change: fn(&mut SmtpConfig)| {
            let mut smtp = smtp();
            change(&mut smtp);
            EffectsConfig { smtp: Some(smtp), ..EffectsConfig::default() }
        };
        for (config, named) in [
            (llm("ftp://x", "m", None), "llm.base_url"),
            (llm("http://x", " ", None), "llm.model"),
            (llm("http://x", "m", Some("sk-123")), "llm.api_key"),
            (mail(|smtp| smtp.host.clear()), "smtp.host"),
            (mail(|smtp| smtp.from = "nobody".into()), "smtp.from"),
            (mail(|smtp| smtp.user = Some("u".into())), "smtp.user"),
            (mail(|smtp| smtp.timeout_ms = 0), "smtp.timeout"),
            (bounded(0, INPUT_BYTES_MIN), "llm.timeout"),
            (bounded(1, INPUT_BYTES_MIN - 1), "llm.max_input_bytes"),
            (EffectsConfig { max_item_bytes: 0, ..EffectsConfig::default() }, "sources.max_item_bytes"),
        ] {
            let error = config.check().unwrap_err().to_string();
            assert!(error.starts_with(named), "{error}");
            assert!(!error.contains("sk-123"), "a secret written in place of a reference must not be printed: {error}");
        }
        mail(|_| ()).check().unwrap();
        bounded(1, INPUT_BYTES_MIN).check().unwrap();
    }

    #[test]
    fn tls_words_and_ports() {
        assert_eq!(SmtpTls::parse("starttls"), Some(SmtpTls::StartTls));
        assert_eq!(SmtpTls::parse("ssl"), None);
        assert_eq!(SmtpTls::WORDS.map(|(_, mode)| mode.default_port()), [25, 587, 465]);
    }
}

//! Secrets that documents name: `<secret:NAME>` in a header of a call or in the environment of a program.
//!
//! Owns: which names there are, where each may go, and what was given out, so that it is taken out of answers.
//! Refuses to know: what a reference of the configuration leads to; that is `crate::secrets`.
//!
//! Invariant: no value leaves here but for the request or the program that it is for.

use std::collections::BTreeMap;

use nightshift_domain::{content::Failure, run::next_secret};

use super::SecretConfig;
use crate::{
    http::permanent,
    secrets::{resolve, without},
};

/// What secrets one step uses.
pub(super) struct Vault<'a> {
    known: &'a BTreeMap<String, SecretConfig>,
    /// The host they go to; none: a program.
    host: Option<&'a str>,
    /// Values that were given out.
    given: Vec<String>,
}

impl<'a> Vault<'a> {
    pub(super) const fn new(known: &'a BTreeMap<String, SecretConfig>, host: Option<&'a str>) -> Self {
        Self { known, host, given: Vec::new() }
    }

    /// The text with its references resolved; `place` is said in a failure.
    pub(super) fn fill(&mut self, text: &str, place: &str) -> Result<String, Failure> {
        let mut whole = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, name, behind)) = next_secret(rest) {
            whole.push_str(before);
            whole.push_str(&self.value(name).map_err(|why| permanent(format!("{place}: {why}")))?);
            rest = behind;
        }
        whole.push_str(rest);
        Ok(whole)
    }

    fn value(&mut self, name: &str) -> Result<String, String> {
        if name.starts_with('!') {
            return Err("a value that the run was given names a secret; only the document may".to_owned());
        }
        let Some(SecretConfig { from, hosts }) = self.known.get(name) else {
            return Err(format!("no secret {name} is configured; add it to the file of workflows.secrets_file"));
        };
        let fits = |host: &str| hosts.iter().any(|allowed| allowed.eq_ignore_ascii_case(host));
        if !hosts.is_empty() && !self.host.is_some_and(fits) {
            return Err(format!("the secret {name} goes to {} only", hosts.join(", ")));
        }
        let value = resolve(from).map_err(|error| format!("secret {name}: {error}"))?;
        self.given.push(value.clone());
        Ok(value)
    }

    /// Also that one was sent along.
    pub(super) fn also(&mut self, secret: Option<String>) {
        self.given.extend(secret);
    }

    /// A text of the other side without what was sent to it.
    pub(super) fn clean(&self, text: String) -> String {
        self.given.iter().fold(text, |text, secret| without(text, Some(secret)))
    }
}

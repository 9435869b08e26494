//! The configuration of the binary: one tree, from flags, environment, file and defaults.
//!
//! Owns: every key with its default, bounds and documentation ([`KEYS`]), and the faults of what people write.
//! Refuses to know: reading files or the environment (both are arguments), and what the components do with it.
//!
//! Invariant: a secret is here as a reference only; the password of a database is printed by nothing in this module.

mod address;
mod check;
mod keys;
mod layers;
mod options;
mod render;
mod value;

use std::collections::BTreeMap;

pub use address::{PostgresUrl, StoreUrl};
pub use check::default_data_dir;
pub use keys::{Alias, Default, FILE_VARIABLE, KEYS, Key, SECTIONS};
use layers::Layers;
pub use layers::Provenance;
pub use nightshift_spec::{Fault, Faults};
pub use options::{
    Actors, Config, Defaults, Http, Llm, LogFormat, OtlpProtocol, Programs, Queue, Smtp, SmtpTls, Sources, Store,
    Telemetry,
};
pub use render::{config_example, config_reference, environment_names};
use serde::Serialize;
pub use value::Kind;
use value::Values;

/// A configuration in force, and how it came about.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// Every key in the order of the reference, with its value as it may be shown.
    pub settings: Vec<Setting>,
    /// What is allowed and yet worth a word.
    pub warnings: Vec<String>,
}

/// One key in force. Holds no secret.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Setting {
    /// `section.name`.
    pub key: &'static str,
    /// Its value; null when it has none.
    pub value: serde_json::Value,
    /// Where the value came from.
    pub from: Provenance,
}

impl Loaded {
    /// Where the value of a key came from; none when there is no such key.
    #[must_use]
    pub fn provenance(&self, key: &str) -> Option<&Provenance> {
        self.settings.iter().find(|setting| setting.key == key).map(|setting| &setting.from)
    }
}

impl Config {
    /// Reads a configuration: flags (`(key, value)`, the later stronger) over the environment over the text of a file,
    /// given with its name, over the defaults.
    ///
    /// # Errors
    /// Every fault of every layer, those of the file first and in the order of their lines.
    pub fn load(
        file: Option<(&str, &str)>,
        env: &BTreeMap<String, String>,
        flags: &[(&str, &str)],
    ) -> Result<Loaded, Faults> {
        let mut layers = Layers::of_defaults();
        if let Some((name, text)) = file {
            layers.add_file(name, text);
        }
        layers.add_environment(env);
        layers.add_flags(flags);
        check::check_needs(&mut layers);
        if !layers.faults.is_empty() {
            return Err(Faults(layers.faults));
        }
        check::derive(&mut layers, env);
        let unread = layers.unread(env);
        let settings = settings(&layers);
        let values = Values(layers.values.into_iter().map(|(path, (value, _))| (path, value)).collect());
        let config = Self::build(&values);
        let warnings = check::warnings(&config, &unread);
        Ok(Loaded { config, settings, warnings })
    }
}

fn settings(layers: &Layers) -> Vec<Setting> {
    let setting = |key: &Key| match layers.values.get(key.path) {
        Some((value, from)) => Setting { key: key.path, value: value.to_json(), from: from.clone() },
        None => Setting { key: key.path, value: serde_json::Value::Null, from: Provenance::Default },
    };
    KEYS.iter().map(setting).collect()
}

//! What holds between keys, and what follows from other facts.
//!
//! Owns: derived defaults, faults that take two keys to see, and what is allowed and yet worth a word.
//! Refuses to know: single values.

use std::{collections::BTreeMap, path::PathBuf};

use super::{
    address::StoreUrl,
    layers::{Layers, Provenance},
    options::{Config, SmtpTls},
    value::{Slip, Value},
};

/// The folder for data when nobody names one, by the XDG rules; below systemd, the state directory of the unit.
#[must_use]
pub fn default_data_dir(env: &BTreeMap<String, String>) -> (PathBuf, Provenance) {
    let absolute = |variable: &str| {
        // systemd may give several, divided by colons; the first is the unit's own.
        let first = env.get(variable).and_then(|value| value.split(':').next()).unwrap_or_default();
        Some(PathBuf::from(first)).filter(|path| path.is_absolute() && path.parent().is_some())
    };
    let choices = [("STATE_DIRECTORY", ""), ("XDG_DATA_HOME", "nightshift"), ("HOME", ".local/share/nightshift")];
    let found = choices.into_iter().find_map(|(variable, below)| Some((variable, absolute(variable)?, below)));
    match found {
        Some((variable, base, "")) => (base, Provenance::Environment { variable: variable.to_owned() }),
        Some((variable, base, below)) => (base.join(below), Provenance::Environment { variable: variable.to_owned() }),
        None => (PathBuf::from("./nightshift-data"), Provenance::Default),
    }
}

/// Fills in the defaults that follow from other facts.
pub(super) fn derive(layers: &mut Layers, env: &BTreeMap<String, String>) {
    if !layers.values.contains_key("store.data_dir") {
        let (folder, from) = default_data_dir(env);
        // A folder that is no UTF-8 cannot come from a map of strings.
        layers.values.insert("store.data_dir", (Value::Text(folder.to_string_lossy().into_owned()), from));
    }
    if !layers.values.contains_key("store.url")
        && let Some((Value::Text(folder), _)) = layers.values.get("store.data_dir")
    {
        let url = StoreUrl::in_dir(folder.as_ref());
        layers.values.insert("store.url", (Value::Store(url), Provenance::Default));
    }
    if !layers.values.contains_key("smtp.port") {
        let tls = match layers.values.get("smtp.tls") {
            Some((Value::Text(word), _)) => word.as_str(),
            _ => "",
        };
        let port = Value::Count(SmtpTls::port_of(tls).into());
        layers.values.insert("smtp.port", (port, Provenance::Default));
    }
}

/// `(key, the key it needs)`
const NEEDS: [(&str, &str); 4] = [
    ("llm.base_url", "llm.model"),
    ("smtp.host", "smtp.from"),
    ("smtp.user", "smtp.password"),
    ("smtp.password", "smtp.user"),
];

/// Keys that mean nothing without another.
pub(super) fn check_needs(layers: &mut Layers) {
    for (key, needed) in NEEDS {
        let Some((_, from)) = layers.values.get(key) else {
            continue;
        };
        // A needed key that holds a fault was named already.
        if !layers.said.contains(&needed) {
            let slip = Slip {
                found: format!("{key} without {needed}"),
                allowed: "both, or neither".into(),
                remedy: Some(format!("set {needed}")),
            };
            let fault = from.fault(needed, slip);
            layers.faults.push(fault);
        }
    }
}

/// What is allowed and yet surprising.
pub(super) fn warnings(config: &Config, unread: &[String]) -> Vec<String> {
    let mut warnings = Vec::new();
    let mut warn = |when: bool, text: &str| {
        if when {
            warnings.push(text.to_owned());
        }
    };
    warn(config.http.enabled && !config.http.listen.ip().is_loopback(), "http.listen is reachable from other machines");
    warn(
        config.llm.base_url.is_none() && config.llm.model.is_some(),
        "llm.model is set and llm.base_url is not: documents are composed by extraction",
    );
    warn(
        config.smtp.password.is_some() && config.smtp.tls == SmtpTls::None,
        "smtp.tls is none: smtp.password is sent in the clear",
    );
    warn(
        config.smtp.host.is_none() && (config.smtp.user.is_some() || config.smtp.from.is_some()),
        "smtp.host is not set: the other keys of [smtp] have no effect",
    );
    warnings.extend(unread.iter().map(|name| format!("environment {name} sets nothing")));
    warnings
}

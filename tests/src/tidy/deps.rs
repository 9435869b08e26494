//! Who may depend on whom, from `cargo metadata`.
//!
//! Owns: reading the workspace's manifests and judging them by a table. Dependencies for development count too,
//! because a cycle through a test is a cycle. Refuses to know: versions and transitive dependencies.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// What the names of the workspace's own crates begin with.
const PREFIX: &str = "nightshift";

/// One dependency of a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dependency {
    /// Name of the crate, as the registry knows it.
    pub name: String,
    /// Only for tests.
    pub dev: bool,
    /// A crate of this workspace.
    pub own: bool,
}

/// One crate of the workspace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// Its name without the prefix; the binary keeps the full one.
    pub name: String,
    /// What it depends on.
    pub dependencies: Vec<Dependency>,
}

/// What a crate may depend on.
#[derive(Debug, Clone, Copy)]
pub struct Allowed {
    /// Its name without the prefix.
    pub name: &'static str,
    /// Crates of the workspace.
    pub own: &'static [&'static str],
    /// Crates of others, or `None` for any.
    pub third_party: Option<&'static [&'static str]>,
}

/// The rules of the workspace.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    /// One line for each crate.
    pub crates: &'static [Allowed],
    /// Crates of others that any crate may use in tests.
    pub dev: &'static [&'static str],
    /// Crates of others, by prefix, that one crate keeps for itself.
    pub exclusive: &'static [(&'static str, &'static str)],
    /// Names that say nothing about what is inside.
    pub forbidden_names: &'static [&'static str],
}

/// The manifests of the workspace.
///
/// # Panics
/// When cargo cannot be run or answers with something else than its documented format.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "asks cargo for the manifests of the workspace")]
pub fn manifests(root: &Path) -> Vec<Manifest> {
    let output = Command::new(option_env!("CARGO").unwrap_or("cargo"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(root)
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo metadata prints JSON");
    read(&metadata)
}

/// Reads the answer of `cargo metadata`.
fn read(metadata: &Value) -> Vec<Manifest> {
    let packages = metadata["packages"].as_array().expect("packages is a list");
    packages
        .iter()
        .map(|package| {
            let dependencies = package["dependencies"].as_array().expect("dependencies is a list");
            Manifest { name: short(&package["name"]), dependencies: dependencies.iter().map(dependency).collect() }
        })
        .collect()
}

fn dependency(value: &Value) -> Dependency {
    let own = value["path"].is_string();
    let name = if own { short(&value["name"]) } else { value["name"].as_str().expect("a name").to_owned() };
    Dependency { name, dev: value["kind"] == "dev", own }
}

fn short(name: &Value) -> String {
    let name = name.as_str().expect("a name");
    name.strip_prefix(PREFIX).and_then(|rest| rest.strip_prefix('-')).unwrap_or(name).to_owned()
}

/// What is wrong with the workspace.
#[must_use]
pub fn faults(manifests: &[Manifest], rules: &Rules) -> Vec<String> {
    let mut faults = Vec::new();
    for manifest in manifests {
        if rules.forbidden_names.contains(&manifest.name.as_str()) {
            faults.push(format!(
                "crate {}: the name says nothing; a type lives beside its decider or port",
                manifest.name
            ));
        }
        match rules.crates.iter().find(|allowed| allowed.name == manifest.name) {
            Some(allowed) => faults.extend(judge(manifest, allowed, rules)),
            None => faults.push(format!("crate {} has no line in the table of layers", manifest.name)),
        }
    }
    let names: BTreeSet<&str> = manifests.iter().map(|manifest| manifest.name.as_str()).collect();
    let gone = rules.crates.iter().filter(|allowed| !names.contains(allowed.name));
    faults.extend(
        gone.map(|allowed| format!("crate {} is in the table of layers and not in the workspace", allowed.name)),
    );
    faults
}

fn judge(manifest: &Manifest, allowed: &Allowed, rules: &Rules) -> Vec<String> {
    let complaint = |dependency: &Dependency| {
        let name = dependency.name.as_str();
        if dependency.own {
            return (!allowed.own.contains(&name)).then(|| format!("may depend on {:?} only", allowed.own));
        }
        if dependency.dev && rules.dev.contains(&name) {
            return None;
        }
        let keeper = rules.exclusive.iter().find(|(prefix, _)| name.starts_with(prefix)).map(|(_, keeper)| *keeper);
        if keeper.is_some_and(|keeper| keeper != manifest.name) && manifest.name != "tests" {
            return keeper.map(|keeper| format!("only {keeper} may use it"));
        }
        let list = allowed.third_party?;
        (!list.contains(&name)).then(|| format!("the pure crate may use {list:?} only"))
    };
    let complaints = manifest.dependencies.iter().filter_map(|d| complaint(d).map(|why| (d, why)));
    complaints.map(|(d, why)| format!("crate {} depends on {}: {why}", manifest.name, d.name)).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const RULES: Rules = Rules {
        crates: &[
            Allowed { name: "domain", own: &[], third_party: Some(&["serde"]) },
            Allowed { name: "store", own: &["domain"], third_party: None },
            Allowed { name: "actors", own: &["domain"], third_party: None },
        ],
        dev: &["proptest"],
        exclusive: &[("sqlx", "store")],
        forbidden_names: &["utils"],
    };

    fn manifest(name: &str, dependencies: &[(&str, bool, bool)]) -> Manifest {
        let dependency =
            |(name, dev, own): &(&str, bool, bool)| Dependency { name: (*name).into(), dev: *dev, own: *own };
        Manifest { name: name.into(), dependencies: dependencies.iter().map(dependency).collect() }
    }

    fn with(extra: Manifest) -> Vec<String> {
        let mut all = vec![manifest("domain", &[]), manifest("store", &[]), manifest("actors", &[])];
        all.retain(|manifest| manifest.name != extra.name);
        all.push(extra);
        faults(&all, &RULES)
    }

    #[test]
    fn each_kind_of_wrong_dependency_is_found() {
        let cases = [
            (manifest("store", &[("domain", false, true), ("sqlx", false, false)]), None),
            (manifest("domain", &[("proptest", true, false)]), None),
            (manifest("domain", &[("proptest", false, false)]), Some("the pure crate may use")),
            (manifest("domain", &[("store", false, true)]), Some("may depend on [] only")),
            (manifest("store", &[("actors", true, true)]), Some("may depend on [\"domain\"] only")),
            (manifest("actors", &[("sqlx-core", false, false)]), Some("only store may use it")),
            (manifest("utils", &[]), Some("the name says nothing")),
            (manifest("extra", &[]), Some("no line in the table")),
        ];
        for (case, expected) in cases {
            let found = with(case.clone());
            match expected {
                None => assert_eq!(found, Vec::<String>::new(), "{case:?}"),
                Some(words) => assert!(found.iter().any(|fault| fault.contains(words)), "{case:?}: {found:?}"),
            }
        }
    }

    #[test]
    fn a_crate_that_is_gone_leaves_the_table() {
        let found = faults(&[manifest("domain", &[]), manifest("store", &[])], &RULES);
        assert_eq!(found, ["crate actors is in the table of layers and not in the workspace"]);
    }

    #[test]
    fn the_answer_of_cargo_is_read() {
        let metadata = json!({"packages": [{"name": "nightshift-store", "dependencies": [
            {"name": "nightshift-domain", "path": "x", "kind": null},
            {"name": "serde", "kind": "dev"},
        ]}, {"name": "nightshift", "dependencies": []}]});
        let expected = manifest("store", &[("domain", false, true), ("serde", true, false)]);
        assert_eq!(read(&metadata), [expected, manifest("nightshift", &[])]);
    }
}

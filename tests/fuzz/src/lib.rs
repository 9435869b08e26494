//! Fuzz targets: every reader of what comes from outside, and what has to hold whatever it reads.
//!
//! Owns: the targets (`targets/`), each with the properties it holds inputs against; a seeded engine that changes the
//! corpus (`engine.rs`); the corpus (`corpus/<target>/`), which points to files of the tree where there are some.
//! Refuses to know: how a fault is mended.
//!
//! A reader that answers with an error has done well; one that panics, does not end, answers two times differently, points
//! to a place that is not in its input, or takes what the next one cannot use, has not.
//!
//! Left out, and why:
//!
//! - SQL, the PostgreSQL protocol, TLS, HTTP framing, SMTP and WebSockets: other people's readers, tested by them. What they
//!   hand to us is read by targets here.
//! - Command lines: clap reads them, on the machine and for the user who types them.
//! - Files of the operator that only name secrets, agents, keys and limits (`registry.rs`, `access.rs` of the binary): TOML
//!   and typed fields, read once at a start by whoever may also replace the program. The configuration proper has a target.
//! - Rows of read models and results of queries: written by the same program, compared by conformance and by rebuilds.
//! - OTLP and Prometheus: written here, never read.

pub mod bytes;
pub mod chance;
pub mod engine;
pub mod targets;
pub mod trees;
pub mod watch;

use std::path::{Path, PathBuf};

pub use targets::ALL;
use trees::Form;

/// A reader and what has to hold of it.
pub struct Target {
    /// Its name: of its corpus, and on the command line.
    pub name: &'static str,
    /// What it reads and what holds, in a line.
    pub about: &'static str,
    /// How inputs are written.
    pub form: Form,
    /// Inputs to begin with, beside the corpus in the tree.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// Words of what it reads.
    pub words: fn() -> Vec<String>,
    /// What stands in front of and behind a word that is repeated very often.
    pub frame: Option<(&'static str, &'static str)>,
    /// No input is longer.
    pub bytes_max: usize,
    /// Inputs of the short run.
    pub short: u64,
    /// Reads an input; panics when something does not hold. The answer tells inputs apart: what was read, or why not.
    pub run: fn(&[u8]) -> String,
}

/// The target of a name.
#[must_use]
pub fn named(name: &str) -> Option<&'static Target> {
    ALL.iter().copied().find(|target| target.name == name)
}

/// The root of the repository.
///
/// # Panics
/// The package is not where it belongs.
#[must_use]
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).expect("tests/fuzz is two folders below the root").to_path_buf()
}

/// What a run says of an input that broke a property, with the commands that show it again and keep it.
#[must_use]
pub fn told(target: &Target, found: &engine::Found, run: engine::Run) -> String {
    let path = found.path.strip_prefix(root()).unwrap_or(&found.path).display().to_string();
    let shown: String = String::from_utf8_lossy(&found.input).chars().take(300).collect();
    let name = target.name;
    let file = found.path.file_name().unwrap_or_default().to_string_lossy().replace("found-", "regression-");
    format!(
        "fuzz: {name} broke at {}: {}\n  input ({} bytes): {shown:?}\n  again:   scripts/fuzz {name} --input {path}\n  \
         the run: scripts/fuzz {name} --seed {} --iterations {}\n  keep it: cp {path} tests/fuzz/corpus/{name}/{file}",
        found.fault.place,
        found.fault.message,
        found.input.len(),
        run.seed,
        run.iterations.map_or("N".to_owned(), |count| count.to_string()),
    )
}

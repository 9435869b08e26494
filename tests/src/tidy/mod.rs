//! The tidy checks: rules of the house as plain functions over text, each with a test of the fault it finds.
//!
//! Owns: how a rule is judged. `tests/tidy.rs` owns what is judged: the tables of what is allowed, and the
//! exceptions. Refuses to know: Rust's grammar beyond what a small lexer tells (see [`lexer`]).

pub mod deps;
pub mod lexer;
pub mod metrics;
pub mod paths;
pub mod readme;
pub mod schema;
pub mod size;
pub mod words;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

/// A text file of the repository.
#[derive(Debug, Clone)]
pub struct TextFile {
    /// Path from the root, with `/`.
    pub path: String,
    /// Its whole content.
    pub text: String,
}

impl TextFile {
    /// A file with this path and content.
    #[must_use]
    pub fn new(path: &str, text: &str) -> Self {
        Self { path: path.to_owned(), text: text.to_owned() }
    }

    /// Whether all of it is test code: a test crate, or a test module in a file of its own.
    #[must_use]
    pub fn is_test(&self) -> bool {
        let path = &self.path;
        path.starts_with("tests/")
            || path.contains("/tests/")
            || path.ends_with("/tests.rs")
            || path.contains("/benches/")
    }

    /// Whether it is Rust source.
    #[must_use]
    pub fn is_rust(&self) -> bool {
        Path::new(&self.path).extension().is_some_and(|ext| ext == "rs")
    }
}

/// A fault found in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Path of the file, or the name of the crate.
    pub place: String,
    /// The line, counted from 1, or 0 where the whole file is meant.
    pub line: usize,
    /// What an exception has to name: a function, a word.
    pub subject: String,
    /// What is wrong and what to do.
    pub message: String,
}

impl Finding {
    fn text(&self) -> String {
        format!("{}:{}: {}", self.place, self.line, self.message)
    }
}

/// A fault that is accepted for now, with the reason. `(place, subject)` names it.
pub type Exception = ((&'static str, &'static str), &'static str);

/// What is left after the exceptions, and every exception that no finding needs any more.
#[must_use]
pub fn judge(findings: &[Finding], exceptions: &[Exception]) -> Vec<String> {
    let mut unused: BTreeMap<(&str, &str), &str> = exceptions.iter().copied().collect();
    let mut faults = Vec::new();
    for finding in findings {
        let key = (finding.place.as_str(), finding.subject.as_str());
        if exceptions.iter().any(|(excepted, _)| *excepted == key) {
            unused.remove(&key);
        } else {
            faults.push(finding.text());
        }
    }
    faults.extend(unused.into_iter().map(|((place, subject), reason)| {
        format!("{place}: the exception for `{subject}` ({reason}) is no longer needed: delete it")
    }));
    faults
}

/// Every text file that git tracks or would track, sorted by path.
///
/// # Panics
/// When git cannot be run or a file cannot be read: the check must not pass for want of input.
#[must_use]
pub fn text_files(root: &Path) -> Vec<TextFile> {
    let mut files: Vec<TextFile> = listed(root).iter().filter_map(|path| read_text(root, path)).collect();
    files.sort_by(|a, b| a.path.cmp(&b.path));
    files.dedup_by(|a, b| a.path == b.path);
    assert!(!files.is_empty(), "git lists no files in {}", root.display());
    files
}

#[expect(clippy::disallowed_methods, reason = "asks git for the files of the repository")]
fn listed(root: &Path) -> Vec<String> {
    let output = Command::new("git")
        .args(["-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root)
        .output()
        .expect("git runs");
    assert!(output.status.success(), "git ls-files: {}", String::from_utf8_lossy(&output.stderr));
    let names = String::from_utf8(output.stdout).expect("paths of the repository are UTF-8");
    names.split('\0').filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

/// `None` for a binary file, and for one that was deleted but not yet committed.
fn read_text(root: &Path, path: &str) -> Option<TextFile> {
    let full = root.join(path);
    if !full.is_file() {
        return None;
    }
    let bytes = std::fs::read(&full).unwrap_or_else(|error| panic!("{path}: {error}"));
    if bytes.contains(&0) {
        return None;
    }
    String::from_utf8(bytes).ok().map(|text| TextFile { path: path.to_owned(), text })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(place: &str, subject: &str) -> Finding {
        Finding { place: place.into(), line: 3, subject: subject.into(), message: "too odd".into() }
    }

    #[test]
    fn an_exception_silences_its_finding_only() {
        let findings = [finding("a.rs", "f"), finding("a.rs", "g")];
        assert_eq!(judge(&findings, &[(("a.rs", "f"), "for now")]), ["a.rs:3: too odd"]);
    }

    #[test]
    fn an_exception_without_a_finding_must_go() {
        let faults = judge(&[], &[(("a.rs", "f"), "for now")]);
        assert_eq!(faults, ["a.rs: the exception for `f` (for now) is no longer needed: delete it"]);
    }

    #[test]
    fn the_repository_is_listed_with_this_file_in_it() {
        let files = text_files(&crate::repo_root());
        assert!(files.iter().any(|file| file.path == "tests/src/tidy/mod.rs"));
        assert!(!files.iter().any(|file| file.path.starts_with("target/")));
    }
}

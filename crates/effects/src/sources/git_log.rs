//! The form in which git is asked for commits, and the parser of what it prints.
//!
//! Owns: the fields of a commit, its text and its facts.
//! Refuses to know: processes, repositories, which commits are asked for.

use std::collections::{BTreeMap, BTreeSet};

use nightshift_domain::{
    content::{Item, Text},
    time::Timestamp,
};

/// Six fields, each ended by NUL; commit messages cannot hold one. The changed files follow (`-z --numstat`).
pub(super) const FORMAT: &str = "tformat:%H%x00%P%x00%aN%x00%ct%x00%s%x00%b%x00";

/// Changed files that a commit's text lists; a vendored tree has thousands.
const FILES_LISTED_MAX: usize = 40;
/// A commit message longer than this is a log of something else.
const BODY_CHARS_MAX: usize = 20_000;
/// Top-level folders that say nothing by themselves: the folder below is the area.
const CONTAINERS: [&str; 10] =
    ["crates", "packages", "src", "lib", "libs", "apps", "modules", "services", "components", "internal"];

/// One changed file.
#[derive(Debug, PartialEq, Eq)]
struct Change {
    path: String,
    /// None for binary files.
    lines: Option<(u64, u64)>,
}

/// One commit.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Commit {
    pub sha: String,
    merge: bool,
    author: String,
    at: Timestamp,
    subject: String,
    body: String,
    changes: Vec<Change>,
}

/// Whether `text` is a full object name.
pub(super) fn is_sha(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The form of an object name that people use.
pub(super) fn short(sha: &str) -> &str {
    sha.get(..8).unwrap_or(sha)
}

/// Reads commits in the order printed. With `truncated` the last one is dropped, as it may be cut.
pub(crate) fn parse(printed: &[u8], truncated: bool) -> Vec<Commit> {
    let text = String::from_utf8_lossy(printed);
    let mut fields = text.split('\0').peekable();
    let mut commits = Vec::new();
    while let Some(field) = fields.next() {
        let sha = field.trim_start_matches('\n');
        if !is_sha(sha) {
            continue;
        }
        let mut take = || fields.next().unwrap_or_default();
        let (parents, author, at, subject, body) = (take(), take(), take(), take(), take());
        let mut commit = Commit {
            sha: sha.to_owned(),
            merge: parents.contains(' '),
            author: crate::text::one_line(author),
            at: Timestamp::from_secs(at.parse().unwrap_or(0)),
            subject: crate::text::one_line(subject),
            body: body.trim().chars().take(BODY_CHARS_MAX).collect(),
            changes: Vec::new(),
        };
        while let Some(next) = fields.peek() {
            let next = next.trim_start_matches('\n');
            if next.is_empty() {
                fields.next();
                continue;
            }
            let Some((lines, path)) = numstat(next) else { break };
            fields.next();
            // A renamed file has an empty path here and its old and new one in two further fields.
            let path = if path.is_empty() { fields.nth(1).unwrap_or_default() } else { path };
            commit.changes.push(Change { path: path.to_owned(), lines });
        }
        commits.push(commit);
    }
    if truncated {
        commits.pop();
    }
    commits
}

/// `added TAB deleted TAB path`, with dashes for binary files.
fn numstat(field: &str) -> Option<(Option<(u64, u64)>, &str)> {
    let mut parts = field.splitn(3, '\t');
    let (added, deleted, path) = (parts.next()?, parts.next()?, parts.next()?);
    if (added, deleted) == ("-", "-") {
        return Some((None, path));
    }
    Some((Some((added.parse().ok()?, deleted.parse().ok()?)), path))
}

impl Commit {
    /// What a reader would read of the commit: subject, body, changed files.
    pub(crate) fn text(&self) -> String {
        let mut text = self.subject.clone();
        if !self.body.is_empty() {
            text = format!("{text}\n\n{}", self.body);
        }
        if self.changes.is_empty() {
            return text;
        }
        text.push_str("\n\nChanged files:\n");
        for change in self.changes.iter().take(FILES_LISTED_MAX) {
            let lines = change.lines.map_or("binary".to_owned(), |(added, deleted)| format!("+{added} -{deleted}"));
            text.push_str(&format!("- {} ({lines})\n", change.path));
        }
        if self.changes.len() > FILES_LISTED_MAX {
            text.push_str(&format!("- and {} more\n", self.changes.len() - FILES_LISTED_MAX));
        }
        text
    }

    pub(crate) fn into_item(self, link: String, text: Text) -> Item {
        let facts = self.facts();
        Item {
            item_id: self.sha,
            title: self.subject,
            link: Some(link),
            author: Some(self.author).filter(|name| !name.is_empty()),
            source_at: Some(self.at),
            text,
            facts,
        }
    }

    fn facts(&self) -> BTreeMap<String, String> {
        let sum = |pick: fn((u64, u64)) -> u64| {
            let lines = self.changes.iter().filter_map(|change| change.lines).map(pick);
            lines.fold(0, u64::saturating_add).to_string()
        };
        let written: u64 = self
            .changes
            .iter()
            .filter(|change| !is_generated(&change.path))
            .filter_map(|c| c.lines)
            .map(|(a, d)| a.saturating_add(d))
            .fold(0, u64::saturating_add);
        let mut facts: BTreeMap<String, String> = [
            ("short", short(&self.sha).to_owned()),
            ("files_changed", self.changes.len().to_string()),
            ("insertions", sum(|(added, _)| added)),
            ("deletions", sum(|(_, deleted)| deleted)),
            ("written_lines", written.to_string()),
            ("areas", self.areas(|path| top(path).to_owned())),
            ("parts", self.areas(part)),
            ("content", self.content().to_owned()),
        ]
        .map(|(key, value)| (key.to_owned(), value))
        .into();
        if self.merge {
            facts.insert("merge".to_owned(), "true".to_owned());
        }
        facts
    }

    /// Names of areas, the one with most changed lines first.
    fn areas(&self, of: impl Fn(&str) -> String) -> String {
        let mut weights: BTreeMap<String, u64> = BTreeMap::new();
        for change in &self.changes {
            let lines = if is_generated(&change.path) {
                0
            } else {
                change.lines.map_or(1, |(added, deleted)| added.saturating_add(deleted))
            };
            let weight = weights.entry(of(&change.path)).or_default();
            *weight = weight.saturating_add(lines);
        }
        let mut names: Vec<_> = weights.into_iter().collect();
        names.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        names.into_iter().map(|(name, _)| name).collect::<Vec<_>>().join(", ")
    }

    /// What sort of files were touched, when all are of one sort.
    fn content(&self) -> &'static str {
        let sorts: BTreeSet<&'static str> = self.changes.iter().map(|change| sort_of(&change.path)).collect();
        match sorts.first() {
            Some(sort) if sorts.len() == 1 => sort,
            _ => "mixed",
        }
    }
}

/// The first folder of a path; files at the top are together in one area.
fn top(path: &str) -> &str {
    path.split_once('/').map_or("(top level)", |(first, _)| first)
}

/// As [`top`], one folder deeper where the first one says nothing.
fn part(path: &str) -> String {
    let mut folders = path.split('/');
    match (folders.next(), folders.next(), folders.next()) {
        (Some(first), Some(second), Some(_)) if CONTAINERS.contains(&first) => format!("{first}/{second}"),
        _ => top(path).to_owned(),
    }
}

/// Files that a tool wrote: their size says nothing about the work.
fn is_generated(path: &str) -> bool {
    const NAMES: [&str; 9] = [
        "Cargo.lock",
        "package-lock.json",
        "yarn.lock",
        "pnpm-lock.yaml",
        "go.sum",
        "poetry.lock",
        "uv.lock",
        "composer.lock",
        "Gemfile.lock",
    ];
    let name = path.rsplit('/').next().unwrap_or(path);
    NAMES.contains(&name)
        || name.contains(".min.")
        || [".snap", ".svg", ".map", ".pb.go"].iter().any(|end| name.ends_with(end))
        || path.split('/').any(|folder| matches!(folder, "vendor" | "node_modules" | "third_party" | "testdata"))
}

fn sort_of(path: &str) -> &'static str {
    let lower = path.to_ascii_lowercase();
    let name = lower.rsplit('/').next().unwrap_or(&lower);
    let folder = |names: &[&str]| lower.split('/').rev().skip(1).any(|part| names.contains(&part));
    if folder(&[".github", ".ci", ".circleci", ".gitlab"]) || name.starts_with(".gitlab-ci") {
        "ci"
    } else if folder(&["tests", "test", "__tests__", "spec"]) || name.contains("_test.") || name.contains(".test.") {
        "tests"
    } else if [".md", ".markdown", ".rst", ".adoc", ".txt"].iter().any(|end| name.ends_with(end))
        || folder(&["docs", "doc"])
    {
        "docs"
    } else if is_generated(path) {
        "generated"
    } else {
        "code"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sha(digit: char) -> String {
        digit.to_string().repeat(40)
    }

    fn sample() -> Vec<u8> {
        format!(
            "{}\0{} {}\0Zoë\0100\0Merge x\0\0\0{}\0{}\0A\u{fffd}na\x0090\0feat: a\tb\0Body\n\n- 1\t2\tnot a file\n\0\0\n3\t1\tcrates/a/src/lib.rs\0-\t-\tlogo.png\x000\t0\t\0old name\0docs/new\tname.md\0{}\0\0B\x0080\0first\0\0\0\n900\t0\tCargo.lock\0",
            sha('a'), sha('b'), sha('c'), sha('b'), sha('d'), sha('d')
        )
        .into_bytes()
    }

    #[test]
    fn a_log_is_read_field_by_field() {
        let commits = parse(&sample(), false);
        assert_eq!(commits.iter().map(|c| c.subject.as_str()).collect::<Vec<_>>(), ["Merge x", "feat: a b", "first"]);
        assert!(commits[0].merge && commits[0].changes.is_empty());
        let paths: Vec<_> = commits[1].changes.iter().map(|change| (change.path.as_str(), change.lines)).collect();
        assert_eq!(
            paths,
            [("crates/a/src/lib.rs", Some((3, 1))), ("logo.png", None), ("docs/new\tname.md", Some((0, 0)))]
        );
        assert_eq!(commits[1].body, "Body\n\n- 1\t2\tnot a file");
        assert_eq!(parse(&sample(), true).len(), 2, "a cut log loses its last commit");
        assert!(parse(b"", false).is_empty() && parse(b"garbage\0\xff\0", false).is_empty());
    }

    #[test]
    fn facts_of_commits() {
        let commits = parse(&sample(), false);
        let facts = commits[1].facts();
        assert_eq!(
            (facts["files_changed"].as_str(), facts["insertions"].as_str(), facts["deletions"].as_str()),
            ("3", "3", "1")
        );
        assert_eq!(facts["areas"], "crates, (top level), docs");
        assert_eq!(facts["parts"], "crates/a, (top level), docs");
        let lock = commits[2].facts();
        assert_eq!(
            (lock["written_lines"].as_str(), lock["insertions"].as_str(), lock["content"].as_str()),
            ("0", "900", "generated")
        );
        assert!(commits[2].text().contains("Changed files:\n- Cargo.lock (+900 -0)\n"));
    }
}

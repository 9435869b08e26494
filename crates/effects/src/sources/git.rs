//! Commits of a git repository on this machine.
//!
//! Owns: which commits a look takes, the words for repositories that cannot be read, web addresses of commits.
//! Refuses to know: how a log is parsed (`git_log`), what commits mean.
//!
//! Invariant: git runs with a clean environment, no prompt, no pager, no hook and no lock in the repository.

use std::{collections::BTreeSet, path::Path, time::Duration};

use nightshift_domain::content::{Cursor, Observation, Omission, SourceFailure};
use nightshift_ports::performer::Look;

use super::{
    Keep,
    git_log::{self, Commit},
    permanent, stored,
};
use crate::process::{self, Limits, Output, ProcessError};

/// Commits that the first look takes: enough for a first brief, not the whole history.
const FIRST_COMMITS_MAX: usize = 200;
/// Commits that a later look takes.
const LATER_COMMITS_MAX: usize = 2_000;
/// What a log may print.
const LOG_BYTES_MAX: usize = 64 * 1024 * 1024;
/// What any other command may print.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// What a list of all reachable commits may print, which is read only after history was rewritten.
const REACHABLE_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Where the last look stopped.
const HEAD: &str = "head";

const ENVIRONMENT: [(&str, &str); 6] = [
    ("LC_ALL", "C.UTF-8"),
    ("GIT_TERMINAL_PROMPT", "0"),
    ("GIT_PAGER", "cat"),
    ("GIT_OPTIONAL_LOCKS", "0"),
    ("GIT_NO_LAZY_FETCH", "1"),
    ("GIT_ASKPASS", "true"),
];

pub(super) async fn observe(
    path: &str,
    branch: Option<&str>,
    look: &Look,
    keep: &Keep<'_>,
) -> Result<Observation, SourceFailure> {
    let repository = Repository { path, time: Duration::from_millis(look.timeout_ms) };
    repository.check().await?;
    let head = repository.resolve(branch).await?;
    let cursor = Cursor::from([(HEAD.to_owned(), head.clone())]);
    let last = look.cursor.get(HEAD);
    if last == Some(&head) {
        return Ok(Observation { items: Vec::new(), removed: Vec::new(), omitted: Vec::new(), cursor });
    }
    let mut omitted = Vec::new();
    let mut removed = Vec::new();
    let since = match last {
        Some(last) if repository.is_ancestor(last, &head).await? => Some(last.as_str()),
        Some(last) => {
            omitted.push(rewritten(last));
            removed = repository.gone(look, &head).await?;
            None
        }
        None => None,
    };
    let commits = repository.commits(since, &head, &mut omitted).await?;
    let web = repository.web_address().await?;
    let mut items = Vec::new();
    for commit in commits.into_iter().rev() {
        let link =
            web.as_ref().map_or_else(|| format!("git:{path}#{}", commit.sha), |base| format!("{base}{}", commit.sha));
        let text = commit.text();
        if let Some(omission) = keep.too_large(&commit.sha, text.len(), "commits") {
            omitted.push(omission);
            continue;
        }
        let text = stored(text, keep.blobs).await?;
        if look.known.get(&commit.sha) != Some(&text.digest) {
            items.push(commit.into_item(link, text));
        }
    }
    Ok(Observation { items, removed, omitted, cursor })
}

fn rewritten(last: &str) -> Omission {
    Omission {
        item_id: last.to_owned(),
        reason: format!(
            "history was rewritten: the commit read last, {}, is no longer part of the branch; the latest commits were read again",
            git_log::short(last)
        ),
    }
}

/// A repository and the time a command on it may take.
struct Repository<'a> {
    path: &'a str,
    time: Duration,
}

impl Repository<'_> {
    async fn git(&self, args: &[&str], stdout_bytes: usize) -> Result<Output, SourceFailure> {
        let mut all = vec!["--no-optional-locks", "--no-pager", "-C", self.path, "-c", "core.fsmonitor=false"];
        all.extend_from_slice(args);
        let limits = Limits { time: self.time, stdout_bytes };
        process::run("git", &all, &ENVIRONMENT, limits).await.map_err(|error| self.not_run(&error))
    }

    fn not_run(&self, error: &ProcessError) -> SourceFailure {
        use nightshift_domain::content::FailureClass;
        match error {
            ProcessError::Missing { .. } => permanent(format!("{error}; install git to read repositories")),
            ProcessError::Failed { .. } => SourceFailure { class: FailureClass::Transient, message: error.to_string() },
            ProcessError::Timeout { .. } => {
                SourceFailure { class: FailureClass::Timeout, message: format!("{}: {error}", self.path) }
            }
        }
    }

    /// Tells apart the ways in which a path is no repository.
    async fn check(&self) -> Result<(), SourceFailure> {
        let path = self.path;
        if !Path::new(path).is_dir() {
            let what = if Path::new(path).exists() { "is a file" } else { "does not exist" };
            return Err(permanent(format!("the repository {path} {what}; name the folder that holds the repository")));
        }
        let output = self.git(&["rev-parse", "--git-dir"], ANSWER_BYTES_MAX).await?;
        if output.success {
            return Ok(());
        }
        if output.stderr.contains("dubious ownership") {
            return Err(permanent(format!(
                "git refuses {path} since another user owns it; run as the service's user: git config --global --add safe.directory {path}"
            )));
        }
        Err(permanent(format!(
            "{path} is not a git repository ({}); run git init or clone there, or change the source's path",
            first_line(&output.stderr)
        )))
    }

    async fn resolve(&self, branch: Option<&str>) -> Result<String, SourceFailure> {
        let name = format!("{}^{{commit}}", branch.unwrap_or("HEAD"));
        let output =
            self.git(&["rev-parse", "--verify", "--quiet", "--end-of-options", &name], ANSWER_BYTES_MAX).await?;
        let sha = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        if output.success && git_log::is_sha(&sha) {
            return Ok(sha);
        }
        let path = self.path;
        let names = self.branches().await?;
        Err(permanent(match (branch, names.is_empty()) {
            (_, true) => format!("the repository {path} has no commits yet; it is read once there is one"),
            (None, false) => {
                format!("HEAD of {path} names no commit; name a branch of the source, one of: {}", names.join(", "))
            }
            (Some(branch), false) => {
                format!("the repository {path} has no branch, tag or commit {branch:?}; it has: {}", names.join(", "))
            }
        }))
    }

    /// Names of some branches and tags, newest first, for messages.
    async fn branches(&self) -> Result<Vec<String>, SourceFailure> {
        let args = [
            "for-each-ref",
            "--count=12",
            "--sort=-creatordate",
            "--format=%(refname:short)",
            "refs/heads",
            "refs/remotes",
            "refs/tags",
        ];
        let output = self.git(&args, ANSWER_BYTES_MAX).await?;
        Ok(String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect())
    }

    async fn is_ancestor(&self, last: &str, head: &str) -> Result<bool, SourceFailure> {
        if !git_log::is_sha(last) {
            return Ok(false);
        }
        Ok(self.git(&["merge-base", "--is-ancestor", last, head], ANSWER_BYTES_MAX).await?.success)
    }

    /// Known commits that can no longer be reached. Empty when the history is too long to list.
    async fn gone(&self, look: &Look, head: &str) -> Result<Vec<String>, SourceFailure> {
        let output = self.git(&["rev-list", head], REACHABLE_BYTES_MAX).await?;
        if !output.success {
            return Ok(Vec::new());
        }
        let reachable: BTreeSet<&[u8]> = output.stdout.split(|byte| *byte == b'\n').collect();
        Ok(look.known.keys().filter(|sha| !reachable.contains(sha.as_bytes())).cloned().collect())
    }

    /// Newest first.
    async fn commits(
        &self,
        since: Option<&str>,
        head: &str,
        omitted: &mut Vec<Omission>,
    ) -> Result<Vec<Commit>, SourceFailure> {
        let max = if since.is_some() { LATER_COMMITS_MAX } else { FIRST_COMMITS_MAX };
        let range = since.map_or_else(|| head.to_owned(), |since| format!("{since}..{head}"));
        let count = format!("--max-count={max}");
        let format = format!("--format={}", git_log::FORMAT);
        let args = [
            "log",
            "-z",
            "--numstat",
            "-M",
            "--no-ext-diff",
            "--no-textconv",
            "--no-show-signature",
            "--no-color",
            "--encoding=UTF-8",
            &count,
            &format,
            "--end-of-options",
            &range,
            "--",
        ];
        let output = self.git(&args, LOG_BYTES_MAX).await?;
        if !output.success && !output.truncated {
            return Err(permanent(format!("git log in {} failed: {}", self.path, first_line(&output.stderr))));
        }
        let commits = git_log::parse(&output.stdout, output.truncated);
        self.note_rest(&range, commits.len(), since.is_some(), omitted).await?;
        Ok(commits)
    }

    /// Says how many commits of the range were left out. Older history before a first look is not an omission.
    async fn note_rest(
        &self,
        range: &str,
        taken: usize,
        later: bool,
        omitted: &mut Vec<Omission>,
    ) -> Result<(), SourceFailure> {
        let output = self.git(&["rev-list", "--count", "--end-of-options", range, "--"], ANSWER_BYTES_MAX).await?;
        let total: usize = String::from_utf8_lossy(&output.stdout).trim().parse().unwrap_or(taken);
        if total > taken && (later || taken < FIRST_COMMITS_MAX) {
            omitted.push(Omission {
                item_id: range.to_owned(),
                reason: format!("{} of {total} commits were not read: only the latest {taken} were", total - taken),
            });
        }
        Ok(())
    }

    /// Start of the web addresses of commits, when the origin is on the web. Credentials in it are dropped.
    async fn web_address(&self) -> Result<Option<String>, SourceFailure> {
        let output = self.git(&["config", "--get", "remote.origin.url"], ANSWER_BYTES_MAX).await?;
        Ok(web_commit_base(String::from_utf8_lossy(&output.stdout).trim()))
    }
}

fn web_commit_base(origin: &str) -> Option<String> {
    let mut url = reqwest::Url::parse(origin).ok().filter(|url| matches!(url.scheme(), "http" | "https"))?;
    url.set_username("").ok()?;
    url.set_password(None).ok()?;
    url.set_query(None);
    url.set_fragment(None);
    let base = url.as_str().trim_end_matches('/').trim_end_matches(".git").to_owned();
    let word = if url.host_str().is_some_and(|host| host.contains("bitbucket")) { "commits" } else { "commit" };
    Some(format!("{base}/{word}/"))
}

fn first_line(text: &str) -> &str {
    text.lines().find(|line| !line.trim().is_empty()).unwrap_or("no reason given").trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn web_addresses_of_commits() {
        for (origin, base) in [
            ("https://github.com/o/r.git", Some("https://github.com/o/r/commit/")),
            ("https://user:token@git.example.com/o/r/", Some("https://git.example.com/o/r/commit/")),
            ("https://bitbucket.org/o/r", Some("https://bitbucket.org/o/r/commits/")),
            ("git@github.com:o/r.git", None),
            ("/srv/git/r.git", None),
            ("", None),
        ] {
            assert_eq!(web_commit_base(origin).as_deref(), base, "{origin}");
        }
    }
}

//! The targets.
//!
//! Owns: the list of all, and what several of them need. Each module beside this has those of one part of the program.

mod documents;
mod fixtures;
mod history;
mod log;
mod outside;
mod requests;
mod signed;
mod small;

use std::{fs, path::PathBuf, sync::LazyLock};

use nightshift_domain::time::Timestamp;
use nightshift_spec::ZonedCalendar;

use crate::Target;

/// Every target.
pub const ALL: &[&Target] = &[
    &log::EVENT,
    &log::COMMAND,
    &log::KEPT,
    &log::PAGE,
    &history::HISTORY,
    &fixtures::FIXTURE,
    &fixtures::REDACTION,
    &documents::WORKFLOW,
    &documents::TRIAL,
    &documents::ORDER,
    &documents::SCHEDULE,
    &documents::CRON,
    &small::CONDITION,
    &small::TEMPLATE,
    &small::JSON,
    &small::WORDS,
    &small::EDIT,
    &small::CONFIG,
    &requests::BODY,
    &requests::QUESTION,
    &requests::FINGERPRINT,
    &signed::TOKEN,
    &signed::KEYS,
    &signed::HOOK,
    &signed::LINK,
    &signed::STREAM_TOKEN,
    &outside::FEED,
    &outside::GIT_LOG,
    &outside::MAIL,
    &outside::COMPOSED,
    &outside::ADDRESS,
];

/// The instant at which targets read.
const NOW: Timestamp = Timestamp::from_secs(1_772_000_000);

static CALENDAR: LazyLock<ZonedCalendar> = LazyLock::new(ZonedCalendar::bundled);

/// A file of the repository.
fn file(path: &str) -> Vec<u8> {
    crate::engine::read(&crate::root().join(path))
}

/// The files of a folder of the repository with one of these endings, sorted.
fn files(folder: &str, endings: &[&str]) -> Vec<PathBuf> {
    let found = crate::engine::files(&crate::root().join(folder));
    let fits = |path: &PathBuf| endings.iter().any(|ending| path.to_string_lossy().ends_with(ending));
    let found: Vec<PathBuf> = found.into_iter().filter(fits).collect();
    assert!(!found.is_empty(), "{folder} has files");
    found
}

/// The folders of a folder of the repository, sorted.
fn folders(folder: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(crate::root().join(folder)).expect("a folder of the repository");
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.retain(|path| path.is_dir());
    paths.sort();
    paths
}

fn texts(list: &[&str]) -> Vec<Vec<u8>> {
    list.iter().map(|text| text.as_bytes().to_vec()).collect()
}

fn owned(list: &[&str]) -> Vec<String> {
    list.iter().map(|&word| word.to_owned()).collect()
}

/// The first line, and what is behind it.
fn headed(input: &[u8]) -> (String, &[u8]) {
    let end = input.iter().position(|byte| *byte == b'\n').unwrap_or(input.len());
    (String::from_utf8_lossy(&input[..end]).into_owned(), input.get(end + 1..).unwrap_or_default())
}

/// A line in front of bytes.
fn with_head(head: &str, rest: &[u8]) -> Vec<u8> {
    [head.as_bytes(), b"\n", rest].concat()
}

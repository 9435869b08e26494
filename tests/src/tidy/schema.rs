//! The two folders of migrations, held against each other and against what was released.
//!
//! Owns: equal numbers and names in both dialects, no gap, no change to a released file. Refuses to know: SQL.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use super::TextFile;

/// The dialects, each a folder below `schema/`.
pub const DIALECTS: [&str; 2] = ["postgres", "sqlite"];

/// What is wrong with the migrations among `files`.
#[must_use]
pub fn faults(files: &[TextFile]) -> Vec<String> {
    let names = DIALECTS.map(|dialect| migrations(files, dialect));
    let mut faults: Vec<String> =
        DIALECTS.iter().zip(&names).flat_map(|(dialect, names)| numbering(dialect, names)).collect();
    for (here, there, other) in [(0, 1, DIALECTS[1]), (1, 0, DIALECTS[0])] {
        for name in names[here].iter().filter(|name| !names[there].contains(name)) {
            faults.push(format!("schema/{}/{name} has no counterpart in schema/{other}", DIALECTS[here]));
        }
    }
    faults.extend(changed_after_release(files));
    faults
}

/// Names of a dialect's migrations, sorted.
fn migrations(files: &[TextFile], dialect: &str) -> Vec<String> {
    let folder = format!("schema/{dialect}/");
    let names = files.iter().filter_map(|file| file.path.strip_prefix(&folder));
    names.filter(|name| name.ends_with(".sql") && !name.contains('/')).map(str::to_owned).collect()
}

/// Names must be `NNNN_words.sql`, counted from 0001 without a gap.
fn numbering(dialect: &str, names: &[String]) -> Vec<String> {
    if names.is_empty() {
        return vec![format!("schema/{dialect} holds no migration")];
    }
    let expected = names.iter().zip(1..);
    expected
        .filter(|(name, number)| !name.starts_with(&format!("{number:04}_")) || !well_formed(name))
        .map(|(name, number)| format!("schema/{dialect}/{name}: expected {number:04}_lower_case_words.sql here"))
        .collect()
}

fn well_formed(name: &str) -> bool {
    let words = name.strip_suffix(".sql").and_then(|stem| stem.get(5..)).unwrap_or_default();
    !words.is_empty() && words.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

/// `schema/released.sha256` lists, as sha256sum prints them, the migrations that some database already ran.
fn changed_after_release(files: &[TextFile]) -> Vec<String> {
    let texts: BTreeMap<&str, &str> = files.iter().map(|file| (file.path.as_str(), file.text.as_str())).collect();
    let Some(released) = texts.get("schema/released.sha256") else {
        return Vec::new();
    };
    released.lines().filter(|line| !line.trim().is_empty()).filter_map(|line| check_released(line, &texts)).collect()
}

fn check_released(line: &str, texts: &BTreeMap<&str, &str>) -> Option<String> {
    let Some((hash, path)) = line.split_once("  ") else {
        return Some(format!("schema/released.sha256: `{line}` is not `<sha256>  <path>`"));
    };
    let Some(text) = texts.get(path) else {
        return Some(format!("{path} was released and is gone: restore it"));
    };
    let actual: String = Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
    (actual != hash).then(|| format!("{path} was released and has changed: restore it and add a new migration"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of the text `a`.
    const HASH: &str = "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb";

    fn repository(paths: &[&str]) -> Vec<TextFile> {
        paths.iter().map(|path| TextFile::new(path, "a")).collect()
    }

    #[test]
    fn mirrored_and_numbered_migrations_pass() {
        let files = repository(&["schema/postgres/0001_log.sql", "schema/sqlite/0001_log.sql", "schema/sqlite.sql"]);
        assert_eq!(faults(&files), Vec::<String>::new());
    }

    #[test]
    fn gaps_and_missing_counterparts_are_found() {
        let files =
            repository(&["schema/postgres/0001_log.sql", "schema/postgres/0003_x.sql", "schema/sqlite/0001_log.sql"]);
        let found = faults(&files);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].contains("expected 0002_") && found[1].contains("no counterpart in schema/sqlite"));
        assert_eq!(faults(&[]).len(), 2);
        assert_eq!(numbering("sqlite", &["0001_Log.sql".into()]).len(), 1);
    }

    #[test]
    fn a_released_file_may_not_change_or_go() {
        let mut files = repository(&["schema/postgres/0001_log.sql", "schema/sqlite/0001_log.sql"]);
        files.push(TextFile::new("schema/released.sha256", &format!("{HASH}  schema/sqlite/0001_log.sql\n")));
        assert_eq!(faults(&files), Vec::<String>::new());
        files[1].text.push('b');
        assert!(faults(&files)[0].contains("has changed"));
        files[2].text = format!("{HASH}  schema/sqlite/0009_gone.sql\nnonsense");
        assert_eq!(faults(&files).len(), 2);
    }
}

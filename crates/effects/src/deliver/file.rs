//! Delivery as a file in a folder.
//!
//! Owns: the name of the file and the way it appears whole or not at all.
//! Refuses to know: what the document says.
//!
//! Invariant: doing it twice leaves one file. A file with another text is never overwritten.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use nightshift_domain::content::{Failure, FailureClass, Receipt};
use nightshift_ports::performer::Outgoing;

use crate::http::{failure, permanent};

/// Longest slug in bytes: with number and suffix the name stays far below the 255 bytes of every file system.
const SLUG_BYTES_MAX: usize = 100;

pub(super) async fn write(folder: &str, document: &Outgoing) -> Result<Receipt, Failure> {
    let (folder, document) = (PathBuf::from(folder), document.clone());
    tokio::task::spawn_blocking(move || write_now(&folder, &document))
        .await
        .map_err(|error| permanent(format!("the writer failed: {error}; this is a fault of the program")))?
}

fn write_now(folder: &Path, document: &Outgoing) -> Result<Receipt, Failure> {
    check_folder(folder)?;
    let failed = |path: &Path, error: &io::Error| failed(path, error);
    let path = free_path(folder, document).map_err(|(path, error)| failed(&path, &error))?;
    let detail = if path.exists() {
        "the file was there already, with the same text".to_owned()
    } else {
        put(folder, &path, document).map_err(|error| failed(&path, &error))?;
        format!("{} bytes written", document.markdown.len())
    };
    let external_url = reqwest::Url::from_file_path(&path).ok().map(|url| url.to_string());
    Ok(Receipt { external_id: document.digest.0.clone(), external_url, detail: Some(detail) })
}

fn check_folder(folder: &Path) -> Result<(), Failure> {
    let shown = folder.display();
    match fs::metadata(folder) {
        Ok(meta) if meta.is_dir() => Ok(()),
        Ok(_) => Err(permanent(format!("{shown} is a file, not a folder; name a folder as destination"))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(permanent(format!(
            "the folder {shown} does not exist; create it (mkdir -p '{shown}') or change the destination"
        ))),
        Err(error) => Err(failed(folder, &error)),
    }
}

/// The document's own name, or, where another text has that name, the name with the version's id.
fn free_path(folder: &Path, document: &Outgoing) -> Result<PathBuf, (PathBuf, io::Error)> {
    let stem = format!("{}-v{}", slug(&document.title), document.version_number);
    let plain = folder.join(format!("{stem}.md"));
    if holds_other(&plain, document).map_err(|error| (plain.clone(), error))? {
        let id = document.version_id.0.simple().to_string();
        let own = folder.join(format!("{stem}-{}.md", &id[..8]));
        if !holds_other(&own, document).map_err(|error| (own.clone(), error))? {
            return Ok(own);
        }
        // The same version with an edited text: its digest tells it apart.
        return Ok(folder.join(format!(
            "{stem}-{}-{}.md",
            &id[..8],
            &document.digest.0[..8.min(document.digest.0.len())]
        )));
    }
    Ok(plain)
}

fn holds_other(path: &Path, document: &Outgoing) -> io::Result<bool> {
    match fs::read(path) {
        Ok(bytes) => Ok(bytes != document.markdown.as_bytes()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Writes beside the target, syncs, renames, syncs the folder: after a crash there is the whole file or none.
fn put(folder: &Path, path: &Path, document: &Outgoing) -> io::Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = folder.join(format!(".{name}.{}.tmp", document.version_id.0.simple()));
    let outcome = write_synced(&temporary, document).and_then(|()| fs::rename(&temporary, path));
    if outcome.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    outcome?;
    File::open(folder)?.sync_all()
}

fn write_synced(path: &Path, document: &Outgoing) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(document.markdown.as_bytes())?;
    file.sync_all()
}

fn failed(path: &Path, error: &io::Error) -> Failure {
    use io::ErrorKind as Kind;
    let (class, remedy) = match error.kind() {
        Kind::PermissionDenied | Kind::ReadOnlyFilesystem => {
            (FailureClass::Permanent, "; give the service's user write access to the folder")
        }
        Kind::StorageFull | Kind::QuotaExceeded => (FailureClass::Transient, "; make room on that file system"),
        _ => (FailureClass::Transient, ""),
    };
    failure(class, format!("{} could not be written: {error}{remedy}", path.display()))
}

/// A name of letters, digits and dashes, in lower case.
fn slug(title: &str) -> String {
    let mut slug = String::new();
    for c in title.chars().flat_map(char::to_lowercase) {
        let c = if c.is_alphanumeric() { c } else { '-' };
        if c == '-' && (slug.is_empty() || slug.ends_with('-')) {
            continue;
        }
        if slug.len() + c.len_utf8() > SLUG_BYTES_MAX {
            break;
        }
        slug.push(c);
    }
    let slug = slug.trim_end_matches('-');
    if slug.is_empty() { "document".to_owned() } else { slug.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slugs() {
        for (title, expected) in [
            ("Weekly status: Nightshift!", "weekly-status-nightshift"),
            ("  ", "document"),
            ("../../etc/passwd", "etc-passwd"),
            ("Übersicht für März", "übersicht-für-märz"),
            ("週報", "週報"),
            ("a\0b/c", "a-b-c"),
        ] {
            assert_eq!(slug(title), expected);
        }
        assert!(slug(&"ä".repeat(500)).len() <= SLUG_BYTES_MAX);
    }
}

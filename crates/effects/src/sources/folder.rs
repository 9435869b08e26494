//! Text files below a folder.
//!
//! Owns: which files are taken, the limits on them, and the words for those that are left out.
//! Refuses to know: what the texts say, beyond the first heading.
//!
//! Invariant: one bad file never hides another; it becomes an omission. Only a missing or unreadable root is a failure.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    io::Read,
    path::{Path, PathBuf},
    time::UNIX_EPOCH,
};

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use nightshift_domain::{
    content::{Cursor, Item, Observation, Omission, SourceFailure},
    time::Timestamp,
};
use nightshift_ports::{blobs::Blobs, performer::Look};

use super::{Keep, blocking, oversize, permanent, stored};
use crate::text::{digest_of, excerpt};

/// Files of one folder that are read.
pub(super) const ITEMS_MAX: usize = 2_000;
/// Directory entries that are looked at before a walk is given up; a folder this large was named by mistake.
const ENTRIES_MAX: usize = 200_000;
/// Depth below the root.
const DEPTH_MAX: usize = 64;
/// Longer headings are paragraphs.
const TITLE_CHARS_MAX: usize = 200;
/// Files read in one go off the runtime, so that at most this many texts are in memory at once.
const BATCH: usize = 32;
/// What is read when an order names no globs.
const DEFAULT_INCLUDE: [&str; 3] = ["**/*.md", "**/*.markdown", "**/*.txt"];

/// What an order wants of a folder.
pub(super) struct Wanted<'a> {
    pub path: &'a str,
    pub include: &'a [String],
    pub exclude: &'a [String],
}

pub(super) async fn observe(wanted: &Wanted<'_>, look: &Look, keep: &Keep<'_>) -> Result<Observation, SourceFailure> {
    let root = PathBuf::from(wanted.path);
    let globs = Globs::new(wanted.include, wanted.exclude)?;
    let walked_root = root.clone();
    let mut walk = blocking("folder", move || Walk::of(&walked_root, &globs)).await??;
    let over = walk.files.split_off(walk.files.len().min(ITEMS_MAX));
    let mut items = Vec::new();
    for batch in walk.files.chunks(BATCH) {
        let (below, names, max) = (root.clone(), batch.to_vec(), keep.max_item_bytes);
        let read =
            blocking("folder", move || names.into_iter().map(|name| read(&below, name, max)).collect::<Vec<_>>());
        for outcome in read.await? {
            match outcome {
                Err(omission) => walk.omitted.push(omission),
                Ok(file) if look.known.get(&file.name) == Some(&digest_of(file.text.as_bytes())) => {}
                Ok(file) => items.push(file.into_item(&root, keep.blobs).await?),
            }
        }
    }
    let removed = look.known.keys().filter(|id| !walk.present(id, &over)).cloned().collect();
    if !over.is_empty() {
        walk.omitted.push(Omission {
            item_id: format!("{} and further", over[0]),
            reason: format!(
                "{} of {} files were not read: a folder source reads at most {ITEMS_MAX}, in order of their names; narrow it with include or exclude",
                over.len(),
                over.len() + ITEMS_MAX
            ),
        });
    }
    Ok(Observation { items, removed, omitted: walk.omitted, cursor: Cursor::new() })
}

/// The globs of an order, compiled.
struct Globs {
    include: GlobSet,
    exclude: GlobSet,
}

impl Globs {
    fn new(include: &[String], exclude: &[String]) -> Result<Self, SourceFailure> {
        let default = DEFAULT_INCLUDE.map(str::to_owned);
        let include = if include.is_empty() { &default[..] } else { include };
        Ok(Self { include: compile("include", include)?, exclude: compile("exclude", exclude)? })
    }

    fn takes(&self, name: &str) -> bool {
        self.include.is_match(name) && !self.exclude.is_match(name)
    }
}

fn compile(field: &str, globs: &[String]) -> Result<GlobSet, SourceFailure> {
    let mut set = GlobSetBuilder::new();
    let wrong = |glob: &str, error: &globset::Error| {
        permanent(format!(
            "{field} glob {glob:?} is malformed: {}; allowed are *, **, ?, [a-z] and {{a,b}}",
            error.kind()
        ))
    };
    for glob in globs {
        let built = GlobBuilder::new(glob).literal_separator(true).case_insensitive(true).build();
        set.add(built.map_err(|error| wrong(glob, &error))?);
    }
    set.build().map_err(|error| wrong(&globs.join(", "), &error))
}

/// What a walk found: names relative to the root, sorted.
#[derive(Default)]
struct Walk {
    files: Vec<String>,
    omitted: Vec<Omission>,
    /// Folders that could not be listed: what was known below them is not gone.
    unlisted: Vec<String>,
    entries: usize,
    /// Real paths of linked folders that were entered.
    entered: BTreeSet<PathBuf>,
}

impl Walk {
    fn of(root: &Path, globs: &Globs) -> Result<Self, SourceFailure> {
        let shown = root.display();
        let meta = fs::metadata(root).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => {
                permanent(format!("the folder {shown} does not exist; create it or change the source's path"))
            }
            _ => permanent(format!("the folder {shown} cannot be read: {error}; give the service's user access to it")),
        })?;
        if !meta.is_dir() {
            return Err(permanent(format!(
                "{shown} is a file, not a folder; name the folder it is in and include: [\"{}\"]",
                root.file_name().unwrap_or_default().to_string_lossy()
            )));
        }
        fs::read_dir(root).map_err(|error| {
            permanent(format!("the folder {shown} cannot be listed: {error}; give the service's user access to it"))
        })?;
        let mut walk = Self::default();
        let real_root = fs::canonicalize(root).unwrap_or_else(|_| root.to_owned());
        walk.enter(root, "", &real_root, globs, 0);
        walk.files.sort();
        walk.omitted.sort_by(|a, b| a.item_id.cmp(&b.item_id));
        Ok(walk)
    }

    /// Lists one folder; `prefix` is its name relative to the root, with a slash at its end.
    fn enter(&mut self, folder: &Path, prefix: &str, root: &Path, globs: &Globs, depth: usize) {
        if depth > DEPTH_MAX {
            return self.skip_folder(prefix, format!("it is more than {DEPTH_MAX} folders deep"));
        }
        let entries = match fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) => return self.skip_folder(prefix, format!("the folder cannot be listed: {error}")),
        };
        let mut names: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.file_name())).collect();
        names.sort();
        for name in names {
            self.entries += 1;
            if self.entries > ENTRIES_MAX {
                return self.skip_folder(
                    prefix,
                    format!("the walk was given up after {ENTRIES_MAX} entries; narrow the source's path"),
                );
            }
            let Some(text) = name.to_str() else {
                let item_id = format!("{prefix}{}", name.to_string_lossy());
                self.omitted.push(Omission { item_id, reason: "its name is not UTF-8".to_owned() });
                continue;
            };
            if !text.starts_with('.') {
                self.entry(&folder.join(text), format!("{prefix}{text}"), root, globs, depth);
            }
        }
    }

    fn entry(&mut self, path: &Path, name: String, root: &Path, globs: &Globs, depth: usize) {
        let Ok(meta) = fs::metadata(path) else {
            // A link to nothing is no file; only one that was asked for by name is worth a word.
            if globs.takes(&name) {
                self.omitted
                    .push(Omission { item_id: name, reason: "it is a link to nothing, or not accessible".into() });
            }
            return;
        };
        if meta.is_dir() {
            let linked = fs::symlink_metadata(path).is_ok_and(|meta| meta.is_symlink());
            if !linked || self.may_follow(path, root) {
                self.enter(path, &format!("{name}/"), root, globs, depth + 1);
            }
        } else if globs.takes(&name) {
            if meta.is_file() {
                self.files.push(name);
            } else {
                self.omitted.push(Omission { item_id: name, reason: "it is a device, socket or pipe".into() });
            }
        }
    }

    /// A linked folder is entered once, and only when it neither holds the root nor lies in it: those are loops.
    fn may_follow(&mut self, path: &Path, root: &Path) -> bool {
        let Ok(real) = fs::canonicalize(path) else { return false };
        !real.starts_with(root) && !root.starts_with(&real) && self.entered.insert(real)
    }

    fn skip_folder(&mut self, prefix: &str, reason: String) {
        self.unlisted.push(prefix.to_owned());
        let item_id = if prefix.is_empty() { "./".to_owned() } else { prefix.to_owned() };
        if self.omitted.last().is_none_or(|last| last.reason != reason) {
            self.omitted.push(Omission { item_id, reason });
        }
    }

    /// Whether a known file is still there, or may be there in a part that could not be listed.
    fn present(&self, id: &String, over: &[String]) -> bool {
        self.files.binary_search(id).is_ok()
            || over.binary_search(id).is_ok()
            || self.unlisted.iter().any(|prefix| id.starts_with(prefix))
            || self.omitted.iter().any(|omission| omission.item_id == *id)
    }
}

/// A file that was read.
struct File {
    name: String,
    text: String,
    modified: Option<Timestamp>,
}

impl File {
    async fn into_item(self, root: &Path, blobs: &dyn Blobs) -> Result<Item, SourceFailure> {
        let path = root.join(&self.name);
        let file_name = self.name.rsplit('/').next().unwrap_or(&self.name);
        let title = crate::compose::is_markdown(file_name, &self.text)
            .then(|| crate::compose::heading_of(&self.text))
            .flatten()
            .map_or_else(|| file_name.to_owned(), |title| excerpt(&title, TITLE_CHARS_MAX));
        let link = reqwest::Url::from_file_path(&path).ok().map(|url| url.to_string());
        let facts = BTreeMap::from([("path".to_owned(), self.name.clone())]);
        let text = stored(self.text, blobs).await?;
        Ok(Item { item_id: self.name, title, link, author: None, source_at: self.modified, text, facts })
    }
}

fn read(root: &Path, name: String, max_bytes: u64) -> Result<File, Omission> {
    match read_text(&root.join(&name), max_bytes) {
        Ok((text, modified)) => Ok(File { name, text, modified }),
        Err(reason) => Err(Omission { item_id: name, reason }),
    }
}

fn read_text(path: &Path, max_bytes: u64) -> Result<(String, Option<Timestamp>), String> {
    let unreadable = |error: io::Error| format!("it cannot be read: {error}");
    let file = fs::File::open(path).map_err(unreadable)?;
    let meta = file.metadata().map_err(unreadable)?;
    let mut bytes = Vec::new();
    file.take(max_bytes.saturating_add(1)).read_to_end(&mut bytes).map_err(unreadable)?;
    let taken = bytes.len() as u64;
    if taken > max_bytes {
        // A file that grows while it is read has more than its metadata says.
        return Err(oversize(meta.len().max(taken), max_bytes, "files"));
    }
    if let Some(at) = bytes.iter().position(|byte| *byte == 0) {
        return Err(format!("it is binary: a NUL byte at offset {at} of {} bytes", bytes.len()));
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        format!("it is not UTF-8 text: an invalid byte at offset {}", error.utf8_error().valid_up_to())
    })?;
    let text = text.strip_prefix('\u{feff}').map_or_else(|| text.clone(), str::to_owned);
    Ok((text, meta.modified().ok().and_then(instant)))
}

fn instant(at: std::time::SystemTime) -> Option<Timestamp> {
    let since = at.duration_since(UNIX_EPOCH).ok()?;
    i64::try_from(since.as_micros()).ok().map(Timestamp)
}

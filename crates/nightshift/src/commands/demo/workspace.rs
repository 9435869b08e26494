//! The demo's workspace: a repository, notes and package news, all found on this machine.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use nightshift_ports::clock::IdSource;

use crate::{exit::Exit, real::RandomIds};

/// Files copied as notes at most.
const NOTES_MAX: usize = 8;

/// A larger file is no note.
const NOTE_BYTES_MAX: u64 = 200_000;

/// A folder with everything the demo reads and writes.
pub struct Workspace {
    /// The folder.
    pub root: PathBuf,
    /// What was found, for people.
    pub found: Vec<String>,
    has_repository: bool,
}

impl Workspace {
    /// Makes the folder and fills it.
    ///
    /// # Errors
    /// The folder exists and is not empty, or cannot be written.
    pub fn make(folder: Option<PathBuf>) -> Result<Self, Exit> {
        let root = folder.unwrap_or_else(|| {
            let id = RandomIds.fresh().simple().to_string();
            std::env::temp_dir().join(format!("nightshift-demo-{}", &id[20..]))
        });
        let root = std::path::absolute(root)?;
        if root.read_dir().is_ok_and(|mut entries| entries.next().is_some()) {
            let message = format!("{} is not empty; name a new folder", root.display());
            return Err(Exit::new(crate::exit::Code::Usage, message));
        }
        for folder in ["notes", "out", "data"] {
            std::fs::create_dir_all(root.join(folder)).map_err(|error| {
                let message = format!("{}: {error}; name a folder that can be made", root.display());
                Exit::new(crate::exit::Code::Usage, message)
            })?;
        }
        let mut workspace = Self { root, found: Vec::new(), has_repository: false };
        workspace.copy_notes()?;
        workspace.make_repository()?;
        Ok(workspace)
    }

    /// Notes: the Markdown files of the folder this was started in, and of the documentation on this machine.
    fn copy_notes(&mut self) -> Result<(), Exit> {
        let mut sources = Vec::new();
        collect(&std::env::current_dir()?, 2, &mut sources);
        for folder in ["/usr/share/doc", "/usr/share/common-licenses"] {
            if sources.len() < NOTES_MAX {
                collect(Path::new(folder), 2, &mut sources);
            }
        }
        sources.truncate(NOTES_MAX);
        for source in &sources {
            let name = note_name(source);
            std::fs::copy(source, self.root.join("notes").join(name))?;
        }
        if sources.is_empty() {
            std::fs::write(
                self.root.join("notes/first.md"),
                "# First note\n\nNothing was found to copy on this machine.\n",
            )?;
        }
        self.found.push(format!("notes:      {} file(s) copied from this machine", sources.len().max(1)));
        Ok(())
    }

    /// The repository this was started in, or one made of the notes.
    fn make_repository(&mut self) -> Result<(), Exit> {
        let target = self.root.join("repository");
        let here = std::env::current_dir()?;
        let top = git(&here, &["rev-parse", "--show-toplevel"]);
        let Some(_) = git(&here, &["--version"]) else {
            self.found.push("repository: none, git is not installed here".to_owned());
            return Ok(());
        };
        let commits = git(&here, &["rev-list", "--count", "HEAD"]).and_then(|count| count.trim().parse::<u32>().ok());
        if let (Some(top), Some(3..)) = (&top, commits) {
            let target = target.display().to_string();
            if git(&here, &["clone", "--quiet", "--no-hardlinks", top.trim(), &target]).is_some() {
                self.has_repository = true;
                self.found.push(format!("repository: a clone of {}", top.trim()));
                return Ok(());
            }
        }
        self.commit_notes(&target)
    }

    /// One commit for each note.
    fn commit_notes(&mut self, target: &Path) -> Result<(), Exit> {
        std::fs::create_dir_all(target)?;
        git(target, &["init", "--quiet"]);
        let mut notes: Vec<PathBuf> =
            self.root.join("notes").read_dir()?.filter_map(Result::ok).map(|entry| entry.path()).collect();
        notes.sort();
        for note in &notes {
            let Some(name) = note.file_name().and_then(|name| name.to_str()) else { continue };
            std::fs::copy(note, target.join(name))?;
            git(target, &["add", name]);
            let identity = ["-c", "user.name=Demo", "-c", "user.email=demo@example.invalid"];
            let message = format!("Add {name}");
            let commit = [&identity[..], &["commit", "--quiet", "-m", &message]].concat();
            git(target, &commit);
        }
        self.has_repository = true;
        self.found.push(format!("repository: made of the notes, {} commit(s)", notes.len()));
        Ok(())
    }

    /// Writes the order that the demo takes: the document a person would write.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn write_order(&self, feed: Option<&str>) -> Result<PathBuf, Exit> {
        let mut sources = String::new();
        if self.has_repository {
            sources.push_str("  - git: repository\n");
        }
        sources.push_str("  - folder: notes\n");
        if let Some(feed) = feed {
            sources.push_str(&format!("  - feed: {feed}\n"));
        }
        let order = format!(
            "title: Workspace brief\n\
             description: What changed in the repository, the notes and the packages of this machine.\n\
             type: project_brief\n\
             sources:\n{sources}\
             schedule:\n  every: 5s # a real order says `cron: \"0 9 * * MON\"` and a `timezone`\n\
             governance: manual\n\
             destination:\n  file: out\n"
        );
        let path = self.root.join("brief.yaml");
        std::fs::write(&path, order)?;
        Ok(path)
    }

    /// Adds a decision and a task to a note, as a person would.
    ///
    /// # Errors
    /// The note cannot be written.
    pub fn change_a_note(&self) -> Result<PathBuf, Exit> {
        let mut notes: Vec<PathBuf> =
            self.root.join("notes").read_dir()?.filter_map(Result::ok).map(|entry| entry.path()).collect();
        notes.sort_by_key(|note| note.metadata().map(|data| data.len()).unwrap_or(u64::MAX));
        let note = notes.into_iter().next().unwrap_or_else(|| self.root.join("notes/first.md"));
        let mut text = std::fs::read_to_string(&note).unwrap_or_default();
        text.push_str(
            "\n## Review of the demo\n\nDecision: the brief goes out each Monday at nine, and a person approves it first.\n\n\
             - [ ] Point the order at the real notes folder\n- [ ] Add the team's feed\n",
        );
        std::fs::write(&note, text)?;
        Ok(note)
    }
}

/// Text files below a folder, in order of name, not deeper than `depth`.
fn collect(folder: &Path, depth: u32, into: &mut Vec<PathBuf>) {
    let Ok(entries) = folder.read_dir() else { return };
    let mut entries: Vec<PathBuf> = entries.filter_map(Result::ok).map(|entry| entry.path()).collect();
    entries.sort();
    for path in entries {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        if into.len() >= NOTES_MAX || name.starts_with('.') || name == "target" {
            continue;
        }
        if path.is_dir() && depth > 0 {
            collect(&path, depth - 1, into);
        } else if is_note(&path) {
            into.push(path);
        }
    }
}

fn is_note(path: &Path) -> bool {
    let known =
        path.extension().and_then(|extension| extension.to_str()).is_some_and(|it| it == "md" || it == "markdown");
    let licence = path.parent().is_some_and(|parent| parent.ends_with("common-licenses"));
    let size = path.metadata().map(|data| data.len()).unwrap_or(0);
    (known || licence) && path.is_file() && (200..NOTE_BYTES_MAX).contains(&size)
}

fn note_name(source: &Path) -> String {
    let name = source.file_name().and_then(|name| name.to_str()).unwrap_or("note");
    let parent = source.parent().and_then(Path::file_name).and_then(|name| name.to_str()).unwrap_or("");
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    format!("{parent}-{stem}.md").to_lowercase()
}

/// Runs git and gives what it printed; none when it failed.
fn git(folder: &Path, arguments: &[&str]) -> Option<String> {
    #[expect(clippy::disallowed_methods, reason = "the demo prepares its own workspace")]
    let output = Command::new("git")
        .args(arguments)
        .current_dir(folder)
        .env("GIT_TERMINAL_PROMPT", "0")
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

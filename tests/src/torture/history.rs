//! What the outside saw and did, in one order: a file of JSON lines, and the same in memory for the checker.
//!
//! Owns: the numbering. Each entry has `n` (its place), `ms` (since the beginning) and `what`; `of` names an earlier entry.
//! Refuses to know: what entries mean; `checker` reads them.

use std::{
    fs::File,
    io::Write,
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError},
};

use serde_json::Value;

use crate::Stopwatch;

/// What does not come about while the program is dead.
const PROGRESS: [&str; 6] = ["asked", "mail", "accepted", "seen", "cancelled", "decided"];

/// The history; shared by everything outside of the program.
pub struct History {
    clock: Stopwatch,
    inside: Mutex<Inside>,
}

struct Inside {
    entries: Vec<Value>,
    /// Entries that tell of progress of the program.
    progress: usize,
    file: File,
}

impl History {
    /// An empty one, also written to `path`.
    ///
    /// # Panics
    /// The file cannot be made.
    #[must_use]
    pub fn at(path: &Path) -> Self {
        let file = File::create(path).expect("a file for the history");
        Self { clock: Stopwatch::start(), inside: Mutex::new(Inside { entries: Vec::new(), progress: 0, file }) }
    }

    /// Writes an entry, an object with `what`, and gives its number.
    ///
    /// # Panics
    /// It is no object, or the disk is full.
    pub fn note(&self, mut entry: Value) -> usize {
        let mut inside = self.inside();
        let n = inside.entries.len();
        entry["n"] = n.into();
        entry["ms"] = u64::try_from(self.clock.elapsed().as_millis()).unwrap_or(u64::MAX).into();
        writeln!(inside.file, "{entry}").expect("the history is written");
        inside.progress += usize::from(PROGRESS.iter().any(|what| entry["what"] == **what));
        inside.entries.push(entry);
        n
    }

    /// How many entries there are of what only a program that lives brings about.
    #[must_use]
    pub fn progress(&self) -> usize {
        self.inside().progress
    }

    /// How many entries there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.inside().entries.len()
    }

    /// Whether nothing was noted yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All of it.
    #[must_use]
    pub fn entries(&self) -> Vec<Value> {
        self.inside().entries.clone()
    }

    /// Milliseconds since the beginning.
    #[must_use]
    pub fn ms(&self) -> u128 {
        self.clock.elapsed().as_millis()
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

//! Runs a target on the corpus, on long repetitions of its words, and on changes of what was met so far.
//!
//! Owns: which input comes next, what is kept because the target answered something new, and what is told of an input
//! that breaks a property.
//! Refuses to know: what a target asks of an input.
//!
//! Invariant: the whole run follows from its seed, so one number says it again.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use crate::{
    Target, bytes,
    chance::Chance,
    trees::{self, Form},
    watch::{self, Fault, Watch},
};

/// Inputs that are kept because the target answered something new; a new one then takes the place of another.
const POOL_MAX: usize = 4_000;
/// Attempts to make an input shorter that breaks a property.
const SHORTEN_MAX: usize = 400;
/// Findings after which a run ends.
const FOUND_MAX: usize = 8;

/// How long a run is.
#[derive(Debug, Clone, Copy)]
pub struct Run {
    /// What all its chance follows from.
    pub seed: u64,
    /// Changed inputs; none: until [`Run::until_s`].
    pub iterations: Option<u64>,
    /// Seconds of processor time after which it ends.
    pub until_s: Option<u64>,
    /// No input is longer, whatever the target says of itself.
    pub bytes_max: usize,
    /// More processor time than this for one input is a fault, in milliseconds.
    pub input_ms_max: u64,
    /// So many words are repeated until an input is as long as it may be.
    pub long_max: usize,
}

impl Default for Run {
    fn default() -> Self {
        Self {
            seed: 20_261_121,
            iterations: None,
            until_s: None,
            bytes_max: usize::MAX,
            input_ms_max: watch::INPUT_MS_MAX,
            long_max: usize::MAX,
        }
    }
}

/// An input that breaks a property.
#[derive(Debug)]
pub struct Found {
    /// As short as it could be made.
    pub input: Vec<u8>,
    /// What was said.
    pub fault: Fault,
    /// Where the input is.
    pub path: PathBuf,
}

/// What came of a run.
#[derive(Debug, Default)]
pub struct Tally {
    /// Inputs that were tried, those of the corpus among them.
    pub iterations: u64,
    /// Different answers.
    pub answers: usize,
    /// The most processor time for one input, in milliseconds.
    pub slowest_ms: u64,
    /// What was found.
    pub found: Vec<Found>,
}

/// A run under way.
struct Course<'t> {
    target: &'t Target,
    bytes_max: usize,
    chance: Chance,
    watch: Watch,
    words: Vec<String>,
    pool: Vec<Vec<u8>>,
    answers: BTreeSet<u64>,
    tally: Tally,
}

/// Runs a target. `corpus` are inputs that are tried first, each as it is.
#[must_use]
pub fn fuzz(target: &Target, corpus: Vec<Vec<u8>>, run: Run) -> Tally {
    let bytes_max = run.bytes_max.min(target.bytes_max);
    let watch = Watch::over(target.name, run.input_ms_max);
    let chance = Chance::new(run.seed);
    let (pool, answers) = (Vec::new(), BTreeSet::new());
    let words = (target.words)();
    let mut course = Course { target, bytes_max, chance, watch, words, pool, answers, tally: Tally::default() };
    for input in corpus {
        course.attempt(input);
    }
    for input in course.long_ones(run.long_max) {
        course.attempt(input);
    }
    let mut left = run.iterations.unwrap_or(u64::MAX);
    while left > 0 && course.tally.found.len() < FOUND_MAX {
        if run.until_s.is_some_and(|until| left.is_multiple_of(64) && course.watch.used_s() >= until) {
            break;
        }
        left -= 1;
        let input = course.next();
        course.attempt(input);
    }
    course.tally.answers = course.answers.len();
    course.watch.end();
    course.tally
}

impl Course<'_> {
    /// Each word of the target, and each opening of brackets, as often as there is room for: what costs more than its
    /// length shows here.
    fn long_ones(&mut self, most: usize) -> Vec<Vec<u8>> {
        const BRACKETS: [&str; 9] = ["[", "{", "(", "{\"a\":", "- ", "[[]", "\"", "\\", "\n"];
        let pieces = self.words.iter().map(String::as_str).chain(BRACKETS).filter(|piece| !piece.is_empty());
        let long = |piece: &str| piece.as_bytes().iter().copied().cycle().take(self.bytes_max).collect::<Vec<u8>>();
        let mut inputs: Vec<Vec<u8>> = pieces.map(long).collect();
        while inputs.len() > most {
            let at = self.chance.below(inputs.len());
            inputs.swap_remove(at);
        }
        if let Some(frame) = self.target.frame {
            inputs = inputs.iter().map(|input| [frame.0.as_bytes(), input, frame.1.as_bytes()].concat()).collect();
        }
        inputs
    }

    fn next(&mut self) -> Vec<u8> {
        let mut input = self.chance.pick(&self.pool).cloned().unwrap_or_default();
        let other = self.chance.pick(&self.pool).cloned().unwrap_or_default();
        let form = self.target.form;
        if form != Form::Plain
            && !self.chance.one_in(4)
            && let Some(mut headed) = trees::read(form, &input)
        {
            let other = trees::read(form, &other).map(|(_, tree)| tree);
            for _ in 0..=self.chance.below(3) {
                trees::change(&mut headed.1, other.as_ref(), &self.words, &mut self.chance);
            }
            if let Some(written) = trees::write(form, &headed).filter(|written| written.len() <= self.bytes_max) {
                return written;
            }
        }
        let material = bytes::Material { words: &self.words, other: &other, bytes_max: self.bytes_max };
        for _ in 0..=self.chance.below(4) {
            bytes::change(&mut input, &material, &mut self.chance);
        }
        input
    }

    fn attempt(&mut self, input: Vec<u8>) {
        self.tally.iterations += 1;
        match self.watch.watched(self.target, &input) {
            Ok((answer, ms)) => {
                self.tally.slowest_ms = self.tally.slowest_ms.max(ms);
                if !self.answers.insert(answer) || input.len() > self.bytes_max {
                    return;
                }
                if self.pool.len() < POOL_MAX {
                    self.pool.push(input);
                } else {
                    let at = self.chance.below(POOL_MAX);
                    self.pool[at] = input;
                }
            }
            Err(fault) => {
                let known = |found: &Found| found.fault.place == fault.place;
                if !self.tally.found.iter().any(known) {
                    let (input, fault) = self.shortened(input, fault);
                    let path = watch::keep(self.target.name, &input);
                    self.tally.found.push(Found { input, fault, path });
                }
            }
        }
    }

    /// Leaves pieces out as long as the same place fails.
    fn shortened(&mut self, mut input: Vec<u8>, mut fault: Fault) -> (Vec<u8>, Fault) {
        let mut attempts = 0;
        let mut size = (input.len() / 2).max(1);
        while size > 0 && attempts < SHORTEN_MAX && fault.is_quick() {
            let mut at = 0;
            while at < input.len() && attempts < SHORTEN_MAX {
                attempts += 1;
                let shorter = [&input[..at], &input[(at + size).min(input.len())..]].concat();
                match self.watch.watched(self.target, &shorter) {
                    Err(same) if same.place == fault.place => (input, fault) = (shorter, same),
                    _ => at += size,
                }
            }
            size /= 2;
        }
        (input, fault)
    }
}

/// The inputs of a target: its corpus in the tree, its seeds in code, in an order that is the same everywhere.
///
/// # Panics
/// A file cannot be read.
#[must_use]
pub fn corpus(target: &Target) -> Vec<Vec<u8>> {
    let folder = crate::root().join("tests/fuzz/corpus").join(target.name);
    let mut inputs: Vec<Vec<u8>> = files(&folder).iter().map(|path| read(path)).collect();
    inputs.extend((target.seeds)());
    inputs
}

/// The files of a folder, sorted; none when it is not there.
#[must_use]
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.retain(|path| path.is_file());
    paths.sort();
    paths
}

/// The bytes of a file.
///
/// # Panics
/// It cannot be read.
#[must_use]
pub fn read(path: &Path) -> Vec<u8> {
    fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

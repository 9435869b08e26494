//! The checker: holds what the outside saw against what the program acknowledged and what it says in the end.
//!
//! Owns: the rules, each with a name. It reads the history and nothing else; what it knows of workflows it has from `orders`.
//! Refuses to know: how the program keeps its promises.

mod books;
mod outside;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// A rule that was broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Name of the rule.
    pub rule: &'static str,
    /// What happened, with numbers of entries.
    pub what: String,
}

/// What was counted.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Tally(pub BTreeMap<&'static str, usize>);

/// What came of a check.
#[derive(Debug, Default)]
pub struct Findings {
    /// Rules that were broken.
    pub violations: Vec<Violation>,
    /// What was counted.
    pub tally: Tally,
}

impl Findings {
    fn check(&mut self, rule: &'static str, holds: bool, what: impl FnOnce() -> String) {
        if !holds {
            self.violations.push(Violation { rule, what: what() });
        }
    }

    fn count(&mut self, what: &'static str, times: usize) {
        *self.tally.0.entry(what).or_default() += times;
    }
}

/// An entry of the history.
#[derive(Clone, Copy)]
struct Entry<'h>(&'h Value);

impl<'h> Entry<'h> {
    fn text(self, name: &str) -> &'h str {
        self.0[name].as_str().unwrap_or_default()
    }

    fn number(self, name: &str) -> u64 {
        self.0[name].as_u64().unwrap_or_default()
    }

    fn n(self) -> u64 {
        self.number("n")
    }

    fn ms(self) -> u64 {
        self.number("ms")
    }
}

/// One request at an agent, with what became of it.
struct Request<'h> {
    entry: Entry<'h>,
    /// Status of the answer, and whether it was done with it; none: silence.
    answer: Option<(u64, Entry<'h>)>,
    /// Something was done.
    effect: bool,
}

impl<'h> Request<'h> {
    /// Order, step and item: what is to be done once.
    fn deed(&self) -> (&'h str, &'h str, &'h str) {
        (self.entry.text("order"), self.entry.text("step"), self.entry.text("item"))
    }

    /// Run, step and item.
    fn place(&self) -> (&'h str, &'h str, &'h str) {
        (self.entry.text("run"), self.entry.text("step"), self.entry.text("item"))
    }

    fn is_good(&self) -> bool {
        self.answer.is_some_and(|(status, _)| status == 200)
    }
}

/// The history, in order, by what its entries are.
struct Seen<'h> {
    by_kind: BTreeMap<&'h str, Vec<Entry<'h>>>,
    requests: Vec<Request<'h>>,
    /// Runs as they are said to have ended, by their id.
    runs: BTreeMap<&'h str, Entry<'h>>,
    /// First and last entry of each fault; they come one after another.
    faults: Vec<(u64, u64)>,
}

impl<'h> Seen<'h> {
    fn of(history: &'h [Value]) -> Self {
        let mut by_kind: BTreeMap<&str, Vec<Entry<'_>>> = BTreeMap::new();
        let mut answers: BTreeMap<u64, Entry<'_>> = BTreeMap::new();
        for entry in history.iter().map(Entry) {
            by_kind.entry(entry.text("what")).or_default().push(entry);
            if matches!(entry.text("what"), "answered" | "silent") {
                answers.insert(entry.number("of"), entry);
            }
        }
        let asked = by_kind.get("asked").cloned().unwrap_or_default();
        let requests = asked.into_iter().map(|entry| {
            let after = answers.get(&entry.n()).copied();
            let answer = after.filter(|after| after.text("what") == "answered");
            Request {
                entry,
                answer: answer.map(|after| (after.number("status"), after)),
                effect: after.is_some_and(|after| after.0["effect"] == true),
            }
        });
        let requests = requests.collect();
        let runs = by_kind.get("run").into_iter().flatten().map(|run| (run.text("run"), *run)).collect();
        let marks: Vec<Entry<'_>> = by_kind.get("fault").cloned().unwrap_or_default();
        let faults = marks.chunks(2).map(|pair| (pair[0].n(), pair.get(1).map_or(u64::MAX, |end| end.n()))).collect();
        Self { by_kind, requests, runs, faults }
    }

    fn all(&self, kind: &str) -> &[Entry<'h>] {
        self.by_kind.get(kind).map_or(&[], Vec::as_slice)
    }

    /// Whether a fault went on at some time between two entries.
    fn is_disturbed(&self, from: u64, to: u64) -> bool {
        self.faults.iter().any(|(begin, end)| *begin <= to && *end >= from)
    }

    /// Requests of each run's step and item, in order.
    fn by_place(&self) -> BTreeMap<(&'h str, &'h str, &'h str), Vec<&Request<'h>>> {
        let mut places: BTreeMap<_, Vec<&Request<'_>>> = BTreeMap::new();
        for request in &self.requests {
            places.entry(request.place()).or_default().push(request);
        }
        places
    }
}

/// Checks a whole history.
#[must_use]
pub fn check(history: &[Value]) -> Findings {
    let seen = Seen::of(history);
    let mut found = Findings::default();
    outside::keys(&seen, &mut found);
    outside::effects(&seen, &mut found);
    outside::repeats(&seen, &mut found);
    outside::order(&seen, &mut found);
    outside::cancelled(&seen, &mut found);
    outside::mails(&seen, &mut found);
    books::orders(&seen, &mut found);
    books::documents(&seen, &mut found);
    books::ends(&seen, &mut found);
    books::looks(&seen, &mut found);
    found
}

fn distinct<'h>(of: impl Iterator<Item = &'h str>) -> BTreeSet<&'h str> {
    of.collect()
}

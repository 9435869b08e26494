//! The material of a version, read.
//!
//! Owns: each source with its items as changes, notes or entries; the topic that the order names.
//! Refuses to know: how a page is laid out.

use std::{cmp::Reverse, collections::BTreeSet};

use nightshift_domain::{
    content::{Item, Material, MaterialGroup},
    time::Timestamp,
};

use super::{
    change::Change,
    dates::Zone,
    rank::Ranked,
    reading::{Mark, MarkKind, Reading, is_markdown},
    words::Language,
};

/// Everything a page is made of.
pub(super) struct Gathered<'a> {
    pub material: &'a Material,
    pub zone: Zone,
    pub sources: Vec<Source<'a>>,
    pub warnings: Vec<String>,
    /// Stems of the order's title, description and headings: sentences about these gain.
    pub topic: BTreeSet<String>,
}

/// One source and what it gave.
pub(super) struct Source<'a> {
    pub group: &'a MaterialGroup,
    pub body: Body<'a>,
}

/// Items by what they are.
pub(super) enum Body<'a> {
    Changes(Vec<Change<'a>>),
    Notes(Vec<Note<'a>>),
    Entries(Vec<Note<'a>>),
    /// A text that belongs to the order.
    Context(Vec<Note<'a>>),
}

/// A document or a feed entry, read.
pub(super) struct Note<'a> {
    pub item: &'a Item,
    pub reading: Reading,
    pub language: Language,
    /// The text was no longer in the content store.
    pub lost: bool,
}

impl<'a> Gathered<'a> {
    /// `texts` holds the full text of each item, group by group; none where the store no longer had it.
    pub(super) fn of(material: &'a Material, texts: &[Vec<Option<String>>]) -> Self {
        let (zone, known) = Zone::named(&material.brief.timezone);
        let mut warnings = Vec::new();
        if !known {
            warnings.push(format!("time zone {:?} is not known; dates are in UTC", material.brief.timezone));
        }
        let lost = texts.iter().flatten().filter(|text| text.is_none()).count();
        if lost > 0 {
            warnings.push(format!("{lost} texts are no longer in the content store and were left out"));
        }
        let brief = &material.brief;
        let words = format!("{} {} {}", brief.title, brief.description, brief.sections.join(" "));
        let topic = Language::of(&words).stems(&words).into_iter().collect();
        let sources = material.groups.iter().zip(texts).map(|(group, texts)| Source::of(group, texts)).collect();
        Self { material, zone, sources, warnings, topic }
    }

    pub(super) fn items(&self) -> usize {
        self.sources.iter().map(|source| source.group.items.len()).sum()
    }

    /// Documents, entries and fixed texts of all sources.
    pub(super) fn notes(&self) -> impl Iterator<Item = (&Source<'a>, &Note<'a>)> {
        self.sources.iter().flat_map(|source| source.notes().iter().map(move |note| (source, note)))
    }

    pub(super) fn changes(&self) -> impl Iterator<Item = (&Source<'a>, &Change<'a>)> {
        self.sources.iter().flat_map(|source| source.changes().iter().map(move |change| (source, change)))
    }

    pub(super) fn marks(&self, kind: MarkKind) -> impl Iterator<Item = (&Note<'a>, &Mark)> {
        self.notes().flat_map(move |(_, note)| {
            note.reading.marks.iter().filter(move |mark| mark.kind == kind).map(move |mark| (note, mark))
        })
    }
}

impl<'a> Source<'a> {
    fn of(group: &'a MaterialGroup, texts: &[Option<String>]) -> Self {
        let with_text = || group.items.iter().zip(texts);
        let notes = |markdown: fn(&Item, &str) -> bool| -> Vec<Note<'a>> {
            with_text().map(|(item, text)| Note::of(item, text.as_deref(), markdown)).collect()
        };
        let body = match group.snapshot.platform.as_str() {
            "git" => Body::Changes(
                with_text().map(|(item, text)| Change::of(item, text.as_deref().unwrap_or(&item.title))).collect(),
            ),
            "feed" => Body::Entries(notes(|_, _| false)),
            "description" => Body::Context(notes(|_, _| true)),
            _ => Body::Notes(notes(|item, text| is_markdown(&item.item_id, text))),
        };
        Self { group, body }
    }

    /// The name that a feed gives itself, or that of the folder or repository.
    pub(super) fn name(&self) -> &str {
        let own = self.group.items.iter().find_map(|item| item.facts.get("feed"));
        own.unwrap_or(&self.group.snapshot.resource_name)
    }

    pub(super) fn changes(&self) -> &[Change<'a>] {
        match &self.body {
            Body::Changes(changes) => changes,
            _ => &[],
        }
    }

    pub(super) fn notes(&self) -> &[Note<'a>] {
        match &self.body {
            Body::Notes(notes) | Body::Entries(notes) | Body::Context(notes) => notes,
            Body::Changes(_) => &[],
        }
    }

    /// `3 commits`, `1 document`, `2 entries`.
    pub(super) fn counted(&self) -> String {
        let (one, many) = match self.body {
            Body::Changes(_) => ("commit", "commits"),
            Body::Notes(_) => ("document", "documents"),
            Body::Entries(_) => ("entry", "entries"),
            Body::Context(_) => ("text", "texts"),
        };
        super::ink::count(self.group.items.len(), one, many)
    }
}

impl<'a> Note<'a> {
    fn of(item: &'a Item, text: Option<&str>, markdown: fn(&Item, &str) -> bool) -> Self {
        let full = text.unwrap_or_default();
        // The first line of an entry's text is its headline, which is shown anyway.
        let body = full.strip_prefix(item.title.as_str()).filter(|rest| rest.starts_with('\n')).unwrap_or(full);
        let body = if body == item.title { "" } else { body };
        let reading = if markdown(item, body) { Reading::of_markdown(body) } else { Reading::of_plain(body) };
        Self { item, language: Language::of(body), reading, lost: text.is_none() }
    }

    /// The sentences that say most, in the order of the text.
    pub(super) fn summary(&self, topic: &BTreeSet<String>, count: usize) -> Vec<&str> {
        let (texts, ranked) = self.ranked(topic);
        ranked.best_in_order(count).into_iter().map(|at| texts[at]).collect()
    }

    /// The sentences that say most, best first.
    pub(super) fn best(&self, topic: &BTreeSet<String>, count: usize) -> Vec<&str> {
        let (texts, ranked) = self.ranked(topic);
        ranked.best(count).into_iter().map(|at| texts[at]).collect()
    }

    fn ranked(&self, topic: &BTreeSet<String>) -> (Vec<&str>, Ranked) {
        let texts: Vec<&str> = self.reading.sentences.iter().map(|sentence| sentence.text.as_str()).collect();
        let ranked = Ranked::of(&texts, topic, &self.language);
        (texts, ranked)
    }

    /// Newest first. Files that changed within the same hour were changed by one act: there the one nearer to the top of
    /// the folder comes first.
    pub(super) fn order(&self) -> (Reverse<Option<i64>>, usize, Reverse<Option<Timestamp>>) {
        const HOUR: i64 = 3_600_000_000;
        let at = self.item.source_at;
        let depth = self.item.facts.get("path").map_or(0, |path| path.matches('/').count());
        (Reverse(at.map(|at| at.micros().div_euclid(HOUR))), depth, Reverse(at))
    }

    /// How many sentences a summary of this text should have.
    pub(super) fn summary_length(&self) -> usize {
        match self.reading.sentences.len() {
            // A short note is worth nearly all of its words.
            0..=6 => 4,
            7..=30 => 3,
            _ => 4,
        }
    }
}

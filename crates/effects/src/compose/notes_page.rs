//! Documents, feed entries and fixed texts on the page.
//!
//! Owns: which get a summary and which only a line, and the words when a text has no prose.
//! Refuses to know: ranking.

use std::collections::BTreeSet;

use super::{
    gathered::{Gathered, Note, Source},
    ink,
    reading::MarkKind,
};

/// Documents of one source that are summarised.
const SUMMARISED_MAX: usize = 10;
/// Entries of one feed that are summarised.
const ENTRIES_MAX: usize = 8;
/// Further documents or entries that are named.
const NAMED_MAX: usize = 15;
const SENTENCE_CHARS_MAX: usize = 320;

/// Newest first; those without a date last, in the source's own order.
fn newest_first<'s, 'a>(notes: &'s [Note<'a>]) -> Vec<&'s Note<'a>> {
    let mut order: Vec<_> = notes.iter().collect();
    order.sort_by_key(|note| note.order());
    order
}

/// The documents of a folder, without a heading.
pub(super) fn documents(source: &Source<'_>, gathered: &Gathered<'_>) -> String {
    let order = newest_first(source.notes());
    let shown = if order.len() <= SUMMARISED_MAX + 1 { order.len() } else { SUMMARISED_MAX };
    let mut page = String::new();
    for note in &order[..shown] {
        page.push_str(&document(note, gathered));
    }
    page.push_str(&named("Also changed", &order[shown..]));
    page
}

fn document(note: &Note<'_>, gathered: &Gathered<'_>) -> String {
    let item = note.item;
    let path = item.facts.get("path").unwrap_or(&item.item_id);
    let mut facts = Vec::new();
    if *path != item.title {
        facts.push(ink::code(path));
    }
    facts.extend(item.author.as_ref().map(|author| format!("by {}", ink::escape(author))));
    facts.extend(item.source_at.map(|at| format!("changed {}", gathered.zone.day(at))));
    let facts = if facts.is_empty() { String::new() } else { format!(" — {}", facts.join(", ")) };
    format!(
        "**{}**{facts}\n\n{}\n",
        ink::link(&ink::shorten(&item.title, 120), item.link.as_deref()),
        body(note, &gathered.topic)
    )
}

/// The sentences that say most as a list, or why there are none.
pub(super) fn body(note: &Note<'_>, topic: &BTreeSet<String>) -> String {
    let sentences = note.summary(topic, note.summary_length());
    if !sentences.is_empty() {
        return sentences.iter().map(|text| format!("- {}\n", sentence(text))).collect();
    }
    let reading = &note.reading;
    let tasks = reading.marks.iter().filter(|mark| mark.kind != MarkKind::Done).count();
    if tasks > 0 {
        return "- Only tasks, decisions or questions; they are listed below.\n".to_owned();
    }
    // Headings and fragments are better than silence.
    let fragments: Vec<String> = reading
        .sentences
        .iter()
        .map(|sentence| sentence.text.as_str())
        .chain(reading.headings.iter().skip(1).map(String::as_str))
        .filter(|text| text.chars().filter(|c| c.is_alphabetic()).count() >= 3)
        .take(3)
        .map(|text| ink::escape(&ink::shorten(text, 120)))
        .collect();
    if !fragments.is_empty() {
        return format!("- No full sentences; it names: {}.\n", fragments.join("; "));
    }
    let reason = match (note.lost, reading.passed_over, note.item.text.bytes) {
        (true, ..) => "Its text is no longer kept.",
        (_, _, 0) => "It is empty.",
        (_, 0, _) => "Nothing in it reads as a sentence.",
        _ => "It holds only code or tables.",
    };
    format!("- {reason}\n")
}

pub(super) fn sentence(text: &str) -> String {
    ink::full_stop(&ink::escape(&ink::shorten(text, SENTENCE_CHARS_MAX)))
}

/// The entries of a feed, without a heading.
pub(super) fn entries(source: &Source<'_>, gathered: &Gathered<'_>) -> String {
    let order = newest_first(source.notes());
    let shown = if order.len() <= ENTRIES_MAX + 1 { order.len() } else { ENTRIES_MAX };
    let mut page = String::new();
    for note in &order[..shown] {
        page.push_str(&entry(note, gathered));
    }
    if order.len() > shown {
        page.push('\n');
        page.push_str(&named("Also new", &order[shown..]));
    }
    page
}

fn entry(note: &Note<'_>, gathered: &Gathered<'_>) -> String {
    let item = note.item;
    let facts: Vec<String> = item
        .author
        .as_ref()
        .map(|author| ink::escape(author))
        .into_iter()
        .chain(item.source_at.map(|at| gathered.zone.day(at)))
        .collect();
    let facts = if facts.is_empty() { String::new() } else { format!(" ({})", facts.join(", ")) };
    let mut summary = note.summary(&gathered.topic, 2);
    if summary.is_empty() {
        // A short note says little, but a bare headline says less.
        let first = note.reading.sentences.first().map(|first| first.text.as_str());
        summary.extend(first.filter(|text| text.chars().any(char::is_alphabetic)));
    }
    let sentences: Vec<String> = summary.into_iter().map(sentence).collect();
    let said = if sentences.is_empty() { String::new() } else { format!(": {}", sentences.join(" ")) };
    format!("- **{}**{facts}{said}\n", ink::link(&ink::shorten(&item.title, 140), item.link.as_deref()))
}

fn named(words: &str, notes: &[&Note<'_>]) -> String {
    if notes.is_empty() {
        return String::new();
    }
    let names: Vec<String> = notes
        .iter()
        .take(NAMED_MAX)
        .map(|note| ink::link(&ink::shorten(&note.item.title, 80), note.item.link.as_deref()))
        .collect();
    let further = notes.len().saturating_sub(NAMED_MAX);
    let tail = if further > 0 { format!(", and {} more", ink::number(further as u64)) } else { String::new() };
    format!("{words}: {}{tail}.\n", names.join(", "))
}

/// Fixed texts of the order.
pub(super) fn context(source: &Source<'_>, gathered: &Gathered<'_>) -> String {
    source.notes().iter().map(|note| body(note, &gathered.topic)).collect()
}

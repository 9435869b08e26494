//! "At a glance": the few lines for a reader who stops there.
//!
//! Owns: what is worth one of five lines, and whose turn it is.
//! Refuses to know: the rest of the page.

use std::collections::VecDeque;

use super::{
    changes_page::{self, Told},
    gathered::{Body, Gathered, Note, Source},
    ink,
    notes_page::sentence,
    reading::MarkKind,
    subject::Kind,
};

const LINES_MAX: usize = 5;
const HIGHLIGHT_CHARS_MAX: usize = 240;

/// Up to five lines, taken from the sources in turn; one line is kept for what was decided or has to be done.
pub(super) fn lines(gathered: &Gathered<'_>) -> Vec<String> {
    let mut queues: Vec<VecDeque<String>> =
        gathered.sources.iter().map(|source| highlights(source, gathered)).collect();
    let marks = marks(gathered);
    let room = LINES_MAX - marks.len();
    // A document about one platform speaks of its main source first and longest.
    let first_turns = if gathered.material.brief.strategy == "platform_bound" { 3 } else { 1 };
    let mut lines = Vec::new();
    let mut round = 0;
    while lines.len() < room && queues.iter().any(|queue| !queue.is_empty()) {
        for (at, queue) in queues.iter_mut().enumerate() {
            let turns = if at == 0 && round == 0 { first_turns } else { 1 };
            for _ in 0..turns {
                if lines.len() < room {
                    lines.extend(queue.pop_front());
                }
            }
        }
        round += 1;
    }
    lines.extend(marks);
    lines
}

fn highlights(source: &Source<'_>, gathered: &Gathered<'_>) -> VecDeque<String> {
    match &source.body {
        Body::Changes(changes) => of_changes(source, &changes_page::tell(changes)),
        Body::Notes(notes) | Body::Entries(notes) => {
            let mut order: Vec<_> = notes.iter().collect();
            order.sort_by_key(|note| note.order());
            order.into_iter().filter_map(|note| of_note(note, gathered)).take(LINES_MAX).collect()
        }
        Body::Context(_) => VecDeque::new(),
    }
}

fn of_changes(source: &Source<'_>, told: &Told<'_, '_>) -> VecDeque<String> {
    let joined = |wanted: fn(Kind) -> bool, count: usize| {
        let top = told.top(count, wanted);
        let parts: Vec<String> = top
            .iter()
            .map(|change| format!("{} ({})", plain_headline(change), changes_page::reference(change)))
            .collect();
        (!parts.is_empty()).then(|| parts.join("; "))
    };
    let name = ink::escape(source.name());
    let mut lines = VecDeque::new();
    lines.extend(joined(|kind| kind == Kind::Breaking, 2).map(|said| format!("**Breaking in {name}:** {said}.")));
    let new = joined(|kind| matches!(kind, Kind::Feature | Kind::Performance), 3);
    lines.extend(new.map(|said| format!("**New in {name}:** {said}.")));
    lines.extend(joined(|kind| kind == Kind::Fix, 2).map(|said| format!("**Fixed in {name}:** {said}.")));
    let other = joined(|kind| kind == Kind::Other, 2);
    lines.extend(other.map(|said| format!("**Changed in {name}:** {said}.")));
    if lines.is_empty() {
        lines.extend(joined(|_| true, 3).map(|said| format!("**In {name}:** {said}.")));
    }
    lines
}

/// Bold labels inside a bold line are noise: here the label is plain.
fn plain_headline(change: &super::change::Change<'_>) -> String {
    match change.label.as_deref() {
        Some(label) => format!("{}: {}", ink::escape(label), ink::escape(&ink::shorten(&change.subject, 110))),
        None => ink::escape(&ink::shorten(&change.subject, 110)),
    }
}

fn of_note(note: &Note<'_>, gathered: &Gathered<'_>) -> Option<String> {
    // A sentence that fits whole is better than the best one cut.
    let ranked = note.best(&gathered.topic, note.summary_length());
    let best = ranked.iter().find(|text| text.chars().count() <= HIGHLIGHT_CHARS_MAX).or(ranked.first())?;
    let title = ink::link(&ink::shorten(&note.item.title, 100), note.item.link.as_deref());
    Some(format!("**{title}:** {}", sentence(&ink::shorten(best, HIGHLIGHT_CHARS_MAX))))
}

fn marks(gathered: &Gathered<'_>) -> Vec<String> {
    let said = |kind: MarkKind, words: &str| {
        let marks: Vec<_> = gathered.marks(kind).collect();
        let (note, first) = marks.first()?;
        let text = ink::full_stop(&ink::escape(&ink::shorten(&ink::capital(&first.text), 160)));
        let origin = ink::escape(&ink::shorten(&note.item.title, 60));
        let more =
            if marks.len() > 1 { format!(" And {} more.", ink::number(marks.len() as u64 - 1)) } else { String::new() };
        Some(format!("**{words}** ({origin})**:** {text}{more}"))
    };
    [said(MarkKind::Decision, "Decided"), said(MarkKind::Task, "To do")].into_iter().flatten().collect()
}

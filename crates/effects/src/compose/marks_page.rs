//! Decisions, tasks, questions and dates on the page.
//!
//! Owns: their order and the limit on each.
//! Refuses to know: how they are found.

use super::{gathered::Gathered, ink, reading::MarkKind};

/// Marks of one kind that are listed.
const LISTED_MAX: usize = 12;
const MARK_CHARS_MAX: usize = 240;

const KINDS: [(MarkKind, &str); 5] = [
    (MarkKind::Decision, "Decided"),
    (MarkKind::Task, "To do"),
    (MarkKind::Question, "Open questions"),
    (MarkKind::Date, "Dates"),
    (MarkKind::Done, "Done"),
];

/// All marks, or those of some kinds. Empty when there are none.
pub(super) fn page(gathered: &Gathered<'_>, wanted: &[MarkKind]) -> String {
    let lists: Vec<(&str, String)> = KINDS
        .iter()
        .filter(|(kind, _)| wanted.contains(kind))
        .map(|(kind, name)| (*name, list(gathered, *kind)))
        .filter(|(_, list)| !list.is_empty())
        .collect();
    match lists.as_slice() {
        [(_, only)] if wanted.len() == 1 => only.clone(),
        _ => lists.iter().map(|(name, list)| format!("**{name}**\n\n{list}\n")).collect(),
    }
}

fn list(gathered: &Gathered<'_>, kind: MarkKind) -> String {
    let marks: Vec<_> = gathered.marks(kind).collect();
    let shown = if marks.len() <= LISTED_MAX + 1 { marks.len() } else { LISTED_MAX };
    let sign = match kind {
        MarkKind::Task => "[ ] ",
        MarkKind::Done => "[x] ",
        _ => "",
    };
    let mut page = String::new();
    for (note, mark) in &marks[..shown] {
        let text = ink::escape(&ink::shorten(&ink::capital(&mark.text), MARK_CHARS_MAX));
        let origin = ink::link(&ink::shorten(&note.item.title, 50), note.item.link.as_deref());
        page.push_str(&format!("- {sign}{text} ({origin})\n"));
    }
    if marks.len() > shown {
        page.push_str(&format!("- and {}\n", ink::count(marks.len() - shown, "more", "more")));
    }
    page
}

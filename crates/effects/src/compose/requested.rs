//! Headings that an order asks for.
//!
//! Owns: which words in a heading call for which content, and the line that says when there is none.
//! Refuses to know: how the content is written.

use super::{
    changes_page, findings, frame,
    gathered::{Body, Gathered, Source},
    glance, ink, marks_page, notes_page,
    reading::MarkKind,
    subject::Kind,
    words::Language,
};

/// What a heading asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asks {
    Glance,
    New,
    Fixes,
    Changes,
    Breaking,
    Decisions,
    Tasks,
    Questions,
    Dates,
    Done,
    Risks,
    Entries,
    Documents,
    People,
    Figures,
    Sources,
}

/// Words of headings, tried in this order: the narrower meaning before the wider one.
const WORDS: [(&str, Asks); 57] = [
    ("question", Asks::Questions),
    ("unclear", Asks::Questions),
    ("decision", Asks::Decisions),
    ("decided", Asks::Decisions),
    ("deadline", Asks::Dates),
    ("date", Asks::Dates),
    ("calendar", Asks::Dates),
    ("upcoming", Asks::Dates),
    ("breaking", Asks::Breaking),
    ("migration", Asks::Breaking),
    ("risk", Asks::Risks),
    ("blocker", Asks::Risks),
    ("blocked", Asks::Risks),
    ("concern", Asks::Risks),
    ("problem", Asks::Risks),
    ("incident", Asks::Risks),
    ("action", Asks::Tasks),
    ("todo", Asks::Tasks),
    ("to do", Asks::Tasks),
    ("next", Asks::Tasks),
    ("task", Asks::Tasks),
    ("plan", Asks::Tasks),
    ("follow", Asks::Tasks),
    ("fix", Asks::Fixes),
    ("bug", Asks::Fixes),
    ("feature", Asks::New),
    ("what's new", Asks::New),
    ("whats new", Asks::New),
    ("what’s new", Asks::New),
    ("added", Asks::New),
    ("glance", Asks::Glance),
    ("summary", Asks::Glance),
    ("highlight", Asks::Glance),
    ("overview", Asks::Glance),
    ("tl;dr", Asks::Glance),
    ("tldr", Asks::Glance),
    ("key point", Asks::Glance),
    ("metric", Asks::Figures),
    ("figure", Asks::Figures),
    ("number", Asks::Figures),
    ("stat", Asks::Figures),
    ("author", Asks::People),
    ("contributor", Asks::People),
    ("people", Asks::People),
    ("thank", Asks::People),
    ("done", Asks::Done),
    ("complete", Asks::Done),
    ("accomplish", Asks::Done),
    ("change", Asks::Changes),
    ("commit", Asks::Changes),
    ("shipped", Asks::Changes),
    ("engineering", Asks::Changes),
    ("code", Asks::Changes),
    ("news", Asks::Entries),
    ("reading", Asks::Entries),
    ("feed", Asks::Entries),
    ("source", Asks::Sources),
];

/// Wider words, tried when none of [`WORDS`] is in the heading.
const WIDE: [(&str, Asks); 12] = [
    ("progress", Asks::Changes),
    ("release", Asks::Changes),
    ("development", Asks::Changes),
    ("status", Asks::Glance),
    ("article", Asks::Entries),
    ("industry", Asks::Entries),
    ("link", Asks::Entries),
    ("press", Asks::Entries),
    ("note", Asks::Documents),
    ("document", Asks::Documents),
    ("meeting", Asks::Documents),
    ("reference", Asks::Sources),
];

fn asked(heading: &str) -> Option<Asks> {
    let lower = heading.to_lowercase();
    let starts = |word: &str| {
        lower.match_indices(word).any(|(at, _)| !lower[..at].chars().next_back().is_some_and(char::is_alphanumeric))
    };
    WORDS.iter().chain(&WIDE).find(|(word, _)| starts(word)).map(|(_, asks)| *asks)
}

/// The text under a heading that was asked for.
pub(super) fn section(heading: &str, gathered: &Gathered<'_>) -> String {
    let text = asked(heading).map_or(String::new(), |asks| content(asks, gathered));
    let text = if text.trim().is_empty() { by_subject(heading, gathered) } else { text };
    if text.trim().is_empty() {
        return "Nothing found for this heading in the sources of this version.\n".to_owned();
    }
    text
}

fn content(asks: Asks, gathered: &Gathered<'_>) -> String {
    let marks = |kinds: &[MarkKind]| marks_page::page(gathered, kinds);
    match asks {
        Asks::Glance => glance::lines(gathered).iter().map(|line| format!("- {line}\n")).collect(),
        Asks::New => changes(gathered, Some(&[Kind::Feature, Kind::Performance])),
        Asks::Fixes => changes(gathered, Some(&[Kind::Fix])),
        Asks::Breaking => changes(gathered, Some(&[Kind::Breaking])),
        Asks::Changes => changes(gathered, None),
        Asks::Done => format!("{}{}", marks(&[MarkKind::Done]), changes(gathered, None)),
        Asks::Decisions => marks(&[MarkKind::Decision]),
        Asks::Tasks => marks(&[MarkKind::Task]),
        Asks::Questions => marks(&[MarkKind::Question]),
        Asks::Dates => marks(&[MarkKind::Date]),
        Asks::Risks => risks(gathered),
        Asks::Entries => bodies(gathered, |body| matches!(body, Body::Entries(_))),
        Asks::Documents => bodies(gathered, |body| matches!(body, Body::Notes(_))),
        Asks::People => people(gathered),
        Asks::Figures => figures(gathered),
        Asks::Sources => frame::sources(gathered),
    }
}

fn changes(gathered: &Gathered<'_>, kinds: Option<&[Kind]>) -> String {
    let repositories = gathered.sources.iter().filter(|source| !source.changes().is_empty());
    let pages: Vec<(String, String)> = repositories
        .map(|source| (ink::escape(source.name()), changes_page::page(source, &gathered.zone, kinds)))
        .filter(|(_, page)| !page.trim().is_empty())
        .collect();
    named(pages)
}

fn bodies(gathered: &Gathered<'_>, wanted: fn(&Body<'_>) -> bool) -> String {
    let sources = gathered.sources.iter().filter(|source| wanted(&source.body));
    let page = |source: &Source<'_>| match &source.body {
        Body::Entries(_) => notes_page::entries(source, gathered),
        _ => notes_page::documents(source, gathered),
    };
    named(
        sources
            .map(|source| (ink::escape(source.name()), page(source)))
            .filter(|(_, page)| !page.trim().is_empty())
            .collect(),
    )
}

/// One source needs no name above its part.
fn named(pages: Vec<(String, String)>) -> String {
    match pages.as_slice() {
        [(_, page)] => page.clone(),
        _ => pages.into_iter().map(|(name, page)| format!("**{name}**\n\n{page}\n")).collect(),
    }
}

fn risks(gathered: &Gathered<'_>) -> String {
    const RISKS: &str = "risk risks blocked blocker blocking delay delayed late fail failed failing failure problem problems concern concerns cannot outage incident broken overdue missing unsafe lost slipping";
    let wanted = Language::of("the").stems(RISKS).into_iter().collect();
    findings::mentions(gathered, &wanted, 6)
}

fn people(gathered: &Gathered<'_>) -> String {
    let repositories = gathered.sources.iter().filter(|source| !source.changes().is_empty());
    let lines = repositories
        .map(|source| format!("- {}: {}\n", ink::escape(source.name()), changes_page::authors(source.changes())));
    lines.collect()
}

fn figures(gathered: &Gathered<'_>) -> String {
    let mut page = String::new();
    for source in gathered.sources.iter().filter(|source| !source.group.items.is_empty()) {
        let said = match source.changes() {
            [] => format!("{}.", source.counted()),
            changes => changes_page::figures(changes, 0, &gathered.zone),
        };
        page.push_str(&format!("- **{}:** {said}\n", ink::escape(source.name())));
    }
    page
}

/// A heading that names a subject gets the sentences that mention it.
fn by_subject(heading: &str, gathered: &Gathered<'_>) -> String {
    let wanted = Language::of(heading).stems(heading).into_iter().collect();
    findings::mentions(gathered, &wanted, 5)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headings_are_understood() {
        for (heading, expected) in [
            ("Open questions", Some(Asks::Questions)),
            ("Next steps", Some(Asks::Tasks)),
            ("Risks & blockers", Some(Asks::Risks)),
            ("Bug fixes", Some(Asks::Fixes)),
            ("What's new", Some(Asks::New)),
            ("Executive Summary", Some(Asks::Glance)),
            ("Changes", Some(Asks::Changes)),
            ("Industry news", Some(Asks::Entries)),
            ("Progress", Some(Asks::Changes)),
            ("Exchange rates", None),
            ("Postgres", None),
            ("", None),
        ] {
            assert_eq!(asked(heading), expected, "{heading}");
        }
    }
}

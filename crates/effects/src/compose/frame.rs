//! Head and foot of a page.
//!
//! Owns: title, slot, what is new since the last version, what could not be read, where all of it came from.
//! Refuses to know: what the sources say.

use super::{
    gathered::{Body, Gathered, Source},
    ink,
};

const OMISSIONS_MAX: usize = 20;
const REMOVED_MAX: usize = 20;
const FEEDBACK_MAX: usize = 5;

/// Title, slot, recipient, purpose.
pub(super) fn head(gathered: &Gathered<'_>) -> String {
    let brief = &gathered.material.brief;
    let title = if brief.title.trim().is_empty() { "Untitled brief" } else { &brief.title };
    let mut facts = vec![gathered.zone.slot(brief.nominal), format!("version {}", brief.version_number)];
    facts.extend(
        brief.recipient.as_ref().filter(|who| !who.trim().is_empty()).map(|who| format!("for {}", ink::escape(who))),
    );
    let day = gathered.zone.day(brief.nominal);
    let mut head = format!("# {} — {day}\n\n{}\n", ink::escape(title), facts.join(" · "));
    if !brief.description.trim().is_empty() {
        head.push_str(&format!("\n> {}\n", ink::escape(&ink::shorten(&brief.description, 400))));
    }
    head
}

/// One sentence on what is new, and the items that are gone.
pub(super) fn since(gathered: &Gathered<'_>) -> String {
    let brief = &gathered.material.brief;
    let counted: Vec<String> =
        gathered.sources.iter().filter(|s| !matches!(s.body, Body::Context(_))).map(counted).collect();
    let counted = if counted.is_empty() { "no source gave anything".to_owned() } else { ink::list(&counted) };
    let mut text = match (brief.version_number, brief.previous_at) {
        (number @ 2.., Some(at)) => {
            format!("Version {} was staged on {}. Since then: {counted}.\n", number - 1, gathered.zone.minute(at))
        }
        (number @ 2.., None) => format!("Since version {}: {counted}.\n", number - 1),
        _ => format!(
            "This is the first version. It covers what the sources held when they were first read: {counted}.\n"
        ),
    };
    let removed = removed(gathered);
    if !removed.is_empty() {
        text.push_str(&format!("\nNo longer there: {removed}.\n"));
    }
    text
}

fn counted(source: &Source<'_>) -> String {
    let name = ink::escape(source.name());
    if source.group.snapshot.error.is_some() && source.group.items.is_empty() {
        return format!("nothing from {name}, which could not be read");
    }
    if source.group.items.is_empty() {
        format!("nothing new in {name}")
    } else {
        format!("{} in {name}", source.counted())
    }
}

fn removed(gathered: &Gathered<'_>) -> String {
    let all: Vec<(&str, &str)> = gathered
        .sources
        .iter()
        .flat_map(|source| source.group.removed.iter().map(|id| (id.as_str(), source.name())))
        .collect();
    let mut names: Vec<String> =
        all.iter().take(REMOVED_MAX).map(|(id, name)| format!("{} ({})", ink::code(id), ink::escape(name))).collect();
    if all.len() > REMOVED_MAX {
        names.push(ink::count(all.len() - REMOVED_MAX, "more", "more"));
    }
    ink::list(&names)
}

/// Feedback on earlier versions: shown, since extraction cannot act on it.
pub(super) fn feedback(gathered: &Gathered<'_>) -> String {
    let notes = gathered.material.feedback.iter().filter(|note| !note.trim().is_empty());
    notes.take(FEEDBACK_MAX).map(|note| format!("- {}\n", ink::escape(&ink::shorten(note, 300)))).collect()
}

/// What could not be read, and why.
pub(super) fn not_read(gathered: &Gathered<'_>) -> String {
    let mut lines = Vec::new();
    for source in &gathered.sources {
        let name = ink::escape(source.name());
        if let Some(error) = &source.group.snapshot.error {
            lines.push(format!("- **{name}:** {}\n", ink::full_stop(&ink::escape(&ink::shorten(error, 400)))));
        }
        for omission in &source.group.omitted {
            let id = ink::code(&ink::shorten(&omission.item_id, 120));
            lines.push(format!(
                "- {id} ({name}): {}\n",
                ink::full_stop(&ink::escape(&ink::shorten(&omission.reason, 300)))
            ));
        }
    }
    let over = lines.len().saturating_sub(OMISSIONS_MAX);
    lines.truncate(OMISSIONS_MAX);
    if over > 0 {
        lines.push(format!("- and {}\n", ink::count(over, "more", "more")));
    }
    lines.concat()
}

/// Every source with its place, what it gave and when it was read.
pub(super) fn sources(gathered: &Gathered<'_>) -> String {
    gathered.sources.iter().map(|source| one_source(source, gathered)).collect()
}

fn one_source(source: &Source<'_>, gathered: &Gathered<'_>) -> String {
    let snapshot = &source.group.snapshot;
    let place = match &source.body {
        Body::Context(_) => "text of the order".to_owned(),
        Body::Entries(_) => {
            format!("{}, {}", snapshot.platform, ink::link(&snapshot.resource_id, web(&snapshot.resource_id)))
        }
        _ => format!("{}, {}", snapshot.platform, ink::code(&snapshot.resource_id)),
    };
    let newest = snapshot.source_latest_at.map_or(String::new(), |at| format!(", newest of {}", gathered.zone.day(at)));
    let state = if snapshot.error.is_some() { "could not be read whole" } else { "read" };
    format!(
        "- **{}** ({place}): {}{newest}; {state} {}\n",
        ink::escape(source.name()),
        source.counted(),
        gathered.zone.minute(snapshot.synced_at)
    )
}

fn web(address: &str) -> Option<&str> {
    Some(address).filter(|address| address.starts_with("http://") || address.starts_with("https://"))
}

/// How the page was made, honestly.
pub(super) const CLOSING: &str = "*Composed by extraction, without a language model: sentences, subjects and figures are taken from the sources as they stand and ordered by rule.*\n";

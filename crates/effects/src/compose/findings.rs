//! What holds across sources: findings with references.
//!
//! Owns: the view of all texts as one.
//! Refuses to know: the page of a single source.

use std::collections::BTreeSet;

use super::{changes_page, gathered::Gathered, ink, notes_page::sentence, rank::Ranked, words::Language};

/// Findings of one document.
const FINDINGS_MAX: usize = 8;
/// Sentences of one text that may be compared with those of all others.
const CANDIDATES_OF_ONE: usize = 6;
/// Sentences that are compared with each other at most.
const CANDIDATES_MAX: usize = 300;

/// A sentence and where a reader finds it.
struct Candidate<'a> {
    text: &'a str,
    title: &'a str,
    link: Option<&'a str>,
}

/// The sentences of all texts that say most about `topic`. Empty when there are none.
pub(super) fn findings(gathered: &Gathered<'_>, topic: &BTreeSet<String>, count: usize) -> String {
    let candidates = candidates(gathered, topic);
    let texts: Vec<&str> = candidates.iter().map(|candidate| candidate.text).collect();
    let ranked = Ranked::of(&texts, topic, &Language::of(&texts.join(" ")));
    let line = |at: usize| {
        let candidate = &candidates[at];
        format!("- {} ({})\n", sentence(candidate.text), ink::link(&ink::shorten(candidate.title, 80), candidate.link))
    };
    // Half of what there is, so that the findings are a choice even when there is little to choose from.
    let count = count.min(FINDINGS_MAX).min((texts.len() / 2).max(3));
    ranked.best(count).into_iter().map(line).collect()
}

fn candidates<'g>(gathered: &'g Gathered<'_>, topic: &BTreeSet<String>) -> Vec<Candidate<'g>> {
    gathered
        .notes()
        .flat_map(|(_, note)| {
            let link = note.item.link.as_deref();
            note.summary(topic, CANDIDATES_OF_ONE).into_iter().map(move |text| Candidate {
                text,
                title: &note.item.title,
                link,
            })
        })
        .take(CANDIDATES_MAX)
        .collect()
}

/// Sentences and subjects that mention a word of `wanted`; for headings that name a subject of their own.
pub(super) fn mentions(gathered: &Gathered<'_>, wanted: &BTreeSet<String>, count: usize) -> String {
    let matches = |text: &str| Language::of(text).stems(text).iter().filter(|stem| is_wanted(stem, wanted)).count();
    let mut found: Vec<(usize, String)> = Vec::new();
    for (_, note) in gathered.notes() {
        let title = ink::link(&ink::shorten(&note.item.title, 80), note.item.link.as_deref());
        // Under a title that names the subject, the best sentence is about it.
        let mut titled = matches(&note.item.title).min(1);
        for candidate in note.summary(wanted, CANDIDATES_OF_ONE) {
            found.push((matches(candidate) + titled, format!("- {} ({title})\n", sentence(candidate))));
            titled = 0;
        }
    }
    for (_, change) in gathered.changes() {
        let line = format!("- {} ({})\n", change.headline(None), changes_page::reference(change));
        found.push((matches(&change.item.title), line));
    }
    found.retain(|(hits, _)| *hits > 0);
    found.sort_by_key(|(hits, _)| std::cmp::Reverse(*hits));
    found.into_iter().take(count).map(|(_, line)| line).collect()
}

/// The same stem, or one that begins alike: "starvation" is about what "starves".
fn is_wanted(stem: &str, wanted: &BTreeSet<String>) -> bool {
    const ALIKE: usize = 5;
    let start = |word: &str| word.char_indices().nth(ALIKE - 1).map(|(at, c)| word[..at + c.len_utf8()].to_owned());
    wanted.iter().any(|word| word == stem || start(word).is_some_and(|head| stem.starts_with(&head)))
}

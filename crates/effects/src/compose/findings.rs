//! What holds across sources: findings with references, and words that several sources share.
//!
//! Owns: the view of all texts as one.
//! Refuses to know: the page of a single source.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    changes_page,
    gathered::{Gathered, Source},
    ink,
    notes_page::sentence,
    rank::Ranked,
    sentences,
    words::{Language, tokens},
};

/// Findings of one document.
const FINDINGS_MAX: usize = 8;
/// Sentences of one text that may be compared with those of all others.
const CANDIDATES_OF_ONE: usize = 6;
/// Sentences that are compared with each other at most.
const CANDIDATES_MAX: usize = 300;
const THEMES_MAX: usize = 4;
/// An example is shown whole.
const EXAMPLE_CHARS_MAX: usize = 160;
/// Texts of one source in which shared words are looked for.
const EXAMPLES_MAX: usize = 1_000;

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
        format!(
            "- {} ({})\n",
            sentence(candidate.text),
            ink::link(&ink::shorten(candidate.title, 80), candidate.link)
        )
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
            note.summary(topic, CANDIDATES_OF_ONE)
                .into_iter()
                .map(move |text| Candidate {
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
    let matches = |text: &str| {
        Language::of(text)
            .stems(text)
            .iter()
            .filter(|stem| is_wanted(stem, wanted))
            .count()
    };
    let mut found: Vec<(usize, String)> = Vec::new();
    for (_, note) in gathered.notes() {
        let title = ink::link(&ink::shorten(&note.item.title, 80), note.item.link.as_deref());
        // Under a title that names the subject, the best sentence is about it.
        let mut titled = matches(&note.item.title).min(1);
        for candidate in note.summary(wanted, CANDIDATES_OF_ONE) {
            found.push((
                matches(candidate) + titled,
                format!("- {} ({title})\n", sentence(candidate)),
            ));
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
    let start = |word: &str| {
        word.char_indices()
            .nth(ALIKE - 1)
            .map(|(at, c)| word[..at + c.len_utf8()].to_owned())
    };
    wanted
        .iter()
        .any(|word| word == stem || start(word).is_some_and(|head| stem.starts_with(&head)))
}

/// What one source says of a word.
#[derive(Default)]
struct Use {
    count: usize,
    word: String,
    /// The shortest text with the word, which is the easiest to read.
    example: Option<(usize, String)>,
}

/// Words that at least two sources share, each with an example from every one of them. Empty when there are none.
pub(super) fn themes(gathered: &Gathered<'_>) -> String {
    let mut uses: BTreeMap<String, BTreeMap<usize, Use>> = BTreeMap::new();
    for (at, source) in gathered.sources.iter().enumerate() {
        for (text, shown) in examples(source) {
            let language = Language::of(&text);
            for word in tokens(&text).filter(|word| word.chars().count() >= 5) {
                let Some(stem) = language.stems(&word).pop() else {
                    continue;
                };
                let told = uses.entry(stem).or_default().entry(at).or_default();
                told.count += 1;
                let length = text.chars().count();
                if told.example.as_ref().is_none_or(|(shortest, _)| length < *shortest) {
                    told.example = Some((length, shown.clone()));
                    told.word = word;
                }
            }
        }
    }
    let mut shared: Vec<_> = uses
        .into_iter()
        .filter(|(stem, uses)| uses.len() > 1 && !is_common(stem))
        .collect();
    // What every source comes back to weighs most; then what is said often at all; then the longer word.
    let weight = |uses: &BTreeMap<usize, Use>| (uses.len(), uses.values().map(|told| told.count).min());
    shared.sort_by(|(a, x), (b, y)| weight(y).cmp(&weight(x)).then(b.len().cmp(&a.len())).then(a.cmp(b)));
    let mut told = BTreeSet::new();
    let lines = shared.iter().filter(|(_, uses)| {
        // Two words with the same examples are one theme.
        uses.values().all(|told_of| {
            told_of
                .example
                .as_ref()
                .is_some_and(|(_, shown)| told.insert(shown.clone()))
        })
    });
    lines.take(THEMES_MAX).map(|(_, uses)| theme(gathered, uses)).collect()
}

fn theme(gathered: &Gathered<'_>, uses: &BTreeMap<usize, Use>) -> String {
    let word = uses.values().next().map_or("", |first| first.word.as_str());
    let examples: Vec<String> = uses
        .iter()
        .filter_map(|(source, told)| {
            let (_, shown) = told.example.as_ref()?;
            Some(format!("{}: {shown}", ink::escape(gathered.sources[*source].name())))
        })
        .collect();
    format!("- **{}** — {}\n", ink::escape(&ink::capital(word)), examples.join("; "))
}

/// Texts of a source in which shared words are looked for, each with the way it is shown.
fn examples(source: &Source<'_>) -> Vec<(String, String)> {
    let subjects = source.changes().iter().map(|change| {
        let shown = format!(
            "{} ({})",
            ink::escape(&ink::shorten(&change.subject, 100)),
            changes_page::reference(change)
        );
        (change.subject.clone(), shown)
    });
    let notes = source.notes().iter().flat_map(|note| {
        let title = ink::link(&ink::shorten(&note.item.title, 60), note.item.link.as_deref());
        note.reading
            .sentences
            .iter()
            .filter(|sentence| {
                sentence.text.chars().count() <= EXAMPLE_CHARS_MAX && sentences::stands_alone(&sentence.text)
            })
            .map(move |sentence| {
                (
                    sentence.text.clone(),
                    format!("{} ({title})", ink::escape(sentence.text.trim_end_matches('.'))),
                )
            })
    });
    subjects.chain(notes).take(EXAMPLES_MAX).collect()
}

/// Words of the trade that say nothing when two sources share them.
fn is_common(stem: &str) -> bool {
    const COMMON: &str = "updat chang version releas fixes support first second third could would other every still these there where which while using add file files code test tests make need document number allow return default value follow start chang includ contain provid avail current";
    COMMON.split(' ').any(|common| common == stem)
}

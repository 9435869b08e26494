//! What happened in a repository, on the page.
//!
//! Owns: grouping by kind, order by weight, who and how much.
//! Refuses to know: how kinds are found.

use std::collections::BTreeMap;

use super::{change::Change, dates::Zone, gathered::Source, ink, subject::Kind};

/// Changes of a main kind that get a line of their own with detail.
const DETAILED_MAX: usize = 8;
/// Changes of any other kind that get a line.
const LISTED_MAX: usize = 4;
/// Further subjects of one kind that are named in one line.
const ALSO_MAX: usize = 6;
/// Repositories with fewer changes than this are told without headings for each kind.
const GROUPED_FROM: usize = 5;

/// The commits of one source in the form in which they are told.
pub(super) struct Told<'s, 'a> {
    /// By kind, each list with the weightiest first; the number says how often the same subject came.
    pub kinds: BTreeMap<Kind, Vec<(&'s Change<'a>, usize)>>,
    merges: usize,
    /// The part where most changes happened, when it is one of several.
    dominant: Option<&'s str>,
}

pub(super) fn tell<'s, 'a>(changes: &'s [Change<'a>]) -> Told<'s, 'a> {
    let mut once: BTreeMap<(Kind, String), (&Change<'a>, usize)> = BTreeMap::new();
    let merges = changes.iter().filter(|change| change.merge).count();
    let all_merges = merges == changes.len();
    for change in changes.iter().filter(|change| all_merges || !change.merge) {
        let entry = once.entry((change.kind, change.headline(None).to_lowercase())).or_insert((change, 0));
        entry.1 += 1;
        if change.weight > entry.0.weight {
            entry.0 = change;
        }
    }
    let mut kinds: BTreeMap<Kind, Vec<_>> = BTreeMap::new();
    for ((kind, _), told) in once {
        kinds.entry(kind).or_default().push(told);
    }
    for told in kinds.values_mut() {
        told.sort_by(|(a, _), (b, _)| b.weight.total_cmp(&a.weight).then_with(|| a.item.item_id.cmp(&b.item.item_id)));
    }
    Told { kinds, merges, dominant: dominant(changes) }
}

/// The part with more than half of the changes.
fn dominant<'s>(changes: &'s [Change<'_>]) -> Option<&'s str> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    changes.iter().for_each(|change| *counts.entry(&change.part).or_default() += 1);
    counts.into_iter().find(|(_, count)| count * 2 > changes.len()).map(|(part, _)| part)
}

impl<'s, 'a> Told<'s, 'a> {
    /// The weightiest changes of all kinds.
    pub(super) fn top(&self, count: usize, wanted: fn(Kind) -> bool) -> Vec<&'s Change<'a>> {
        let mut all: Vec<_> = self.kinds.iter().filter(|(kind, _)| wanted(**kind)).flat_map(|(_, told)| told).collect();
        all.sort_by(|(a, _), (b, _)| b.weight.total_cmp(&a.weight).then_with(|| a.item.item_id.cmp(&b.item.item_id)));
        all.into_iter().take(count).map(|(change, _)| *change).collect()
    }
}

/// The part of a page on one repository, without its heading. `kinds` narrows it to some kinds.
pub(super) fn page(source: &Source<'_>, zone: &Zone, kinds: Option<&[Kind]>) -> String {
    let told = tell(source.changes());
    if told.kinds.is_empty() {
        return String::new();
    }
    let wanted = |kind: &Kind| kinds.is_none_or(|kinds| kinds.contains(kind));
    let several = told.kinds.keys().filter(|kind| wanted(kind)).count() > 1;
    let grouped = source.changes().len() >= GROUPED_FROM && (several || kinds.is_none());
    let mut page = String::new();
    if kinds.is_none() {
        page.push_str(&format!("{}\n", figures(source.changes(), told.merges, zone)));
    }
    for (kind, changes) in told.kinds.iter().filter(|(kind, _)| wanted(kind)) {
        if grouped {
            page.push_str(&format!("\n### {}\n\n", kind.heading()));
        } else if page.ends_with(".\n") {
            page.push('\n');
        }
        page.push_str(&kind_page(*kind, changes, told.dominant));
    }
    page
}

fn kind_page(kind: Kind, changes: &[(&Change<'_>, usize)], dominant: Option<&str>) -> String {
    let detailed = if kind.is_main() { DETAILED_MAX } else { LISTED_MAX };
    // One more line costs as much as the words "and one more".
    let shown = if changes.len() <= detailed + 1 { changes.len() } else { detailed };
    let mut page = String::new();
    for (change, times) in &changes[..shown] {
        page.push_str(&line(change, *times, dominant, kind.is_main()));
    }
    let rest = &changes[shown..];
    if rest.is_empty() {
        return page;
    }
    let named: Vec<String> = rest.iter().take(ALSO_MAX).map(|(change, _)| also(change)).collect();
    let further = rest.len().saturating_sub(ALSO_MAX);
    let tail = if further > 0 {
        format!("; and {}", ink::count(further, "smaller one", "smaller ones"))
    } else {
        String::new()
    };
    page.push_str(&format!("- Also: {}{tail}.\n", named.join("; ")));
    page
}

fn line(change: &Change<'_>, times: usize, dominant: Option<&str>, detailed: bool) -> String {
    let lead = change
        .lead
        .as_ref()
        .filter(|_| detailed)
        .map_or(String::new(), |lead| format!(" {}", ink::escape(&ink::full_stop(lead))));
    let headline = change.headline(dominant);
    let headline = if lead.is_empty() { headline } else { ink::full_stop(&headline) };
    let mut facts = vec![reference(change)];
    facts.extend(change.item.author.as_ref().map(|author| ink::escape(author.trim_end_matches("[bot]"))));
    if detailed && change.files > 0 {
        facts.push(size(change.files, change.insertions, change.deletions));
    }
    if times > 1 {
        facts.push(format!("{times} times"));
    }
    format!("- {headline}{lead} ({})\n", facts.join(", "))
}

fn also(change: &Change<'_>) -> String {
    format!("{} ({})", ink::escape(&ink::shorten(&change.subject, 90)), reference(change))
}

/// The short hash, as a link when it leads to a page. A link that no program opens would only be in the way.
pub(super) fn reference(change: &Change<'_>) -> String {
    match change.item.link.as_deref().filter(|link| link.starts_with("https://") || link.starts_with("http://")) {
        Some(link) => ink::link(change.short(), Some(link)),
        None => ink::code(change.short()),
    }
}

fn size(files: u64, insertions: u64, deletions: u64) -> String {
    let files = ink::count(usize::try_from(files).unwrap_or(usize::MAX), "file", "files");
    format!("{files} +{} −{}", ink::number(insertions), ink::number(deletions))
}

/// How much, by whom, when and where, in two sentences.
pub(super) fn figures(changes: &[Change<'_>], merges: usize, zone: &Zone) -> String {
    let sum = |pick: fn(&Change<'_>) -> u64| changes.iter().map(pick).sum::<u64>();
    let when =
        (changes.iter().filter_map(|c| c.item.source_at).min(), changes.iter().filter_map(|c| c.item.source_at).max());
    let when = match when {
        (Some(first), Some(last)) => format!(", {}", zone.span(first, last)),
        _ => String::new(),
    };
    let lines = format!("+{} −{} lines", ink::number(sum(|c| c.insertions)), ink::number(sum(|c| c.deletions)));
    let commits = ink::count(changes.len(), "commit", "commits");
    let merged = if merges > 0 && merges < changes.len() {
        format!(" ({} not listed)", ink::count(merges, "merge", "merges"))
    } else {
        String::new()
    };
    let by = authors(changes);
    let by = if by.is_empty() { String::new() } else { format!(" by {by}") };
    let place = places(changes);
    format!("{commits}{merged}{by}{when}; {lines}.{place}")
}

/// `Ana (9), Ben (5) and 2 others`.
pub(super) fn authors(changes: &[Change<'_>]) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for author in changes.iter().filter_map(|change| change.item.author.as_deref()) {
        *counts.entry(author.trim_end_matches("[bot]")).or_default() += 1;
    }
    let mut ordered: Vec<_> = counts.into_iter().collect();
    ordered.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
    if let [(only, _)] = ordered.as_slice() {
        return ink::escape(only);
    }
    let mut names: Vec<String> =
        ordered.iter().take(4).map(|(name, n)| format!("{} ({n})", ink::escape(name))).collect();
    if ordered.len() > 4 {
        names.push(ink::count(ordered.len() - 4, "other", "others"));
    }
    ink::list(&names)
}

/// The parts where most happened, when there is more than one.
fn places(changes: &[Change<'_>]) -> String {
    let mut counts: BTreeMap<&str, (usize, u64)> = BTreeMap::new();
    for change in changes.iter().filter(|change| !change.part.is_empty()) {
        let place = counts.entry(&change.part).or_default();
        place.0 += 1;
        place.1 += change.insertions + change.deletions;
    }
    if counts.len() < 2 || changes.len() < GROUPED_FROM {
        return String::new();
    }
    let mut ordered: Vec<_> = counts.into_iter().collect();
    ordered.sort_by(|a, b| b.1.0.cmp(&a.1.0).then(b.1.1.cmp(&a.1.1)).then(a.0.cmp(b.0)));
    let name = |part: &str| {
        if part == "(top level)" { "the top level".to_owned() } else { ink::code(part) }
    };
    let names: Vec<String> = ordered
        .iter()
        .take(3)
        .filter(|(_, (n, _))| n * 10 >= changes.len())
        .map(|(part, (n, _))| format!("{} ({})", name(part), ink::count(*n, "commit", "commits")))
        .collect();
    format!(" Most of it is in {}.", ink::list(&names))
}

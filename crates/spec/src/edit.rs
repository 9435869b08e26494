//! How far a person's edit took a draft.
//!
//! Owns: the distance (lines, refined by words), the unified diff, the kinds of change.
//! Refuses to know: what the text is about, where the diff is kept.
//!
//! Invariant: the cost is bounded. Beyond the bounds a block is compared by which words it holds instead of by their
//! order, so a large rewritten text costs milliseconds, not minutes.

use std::collections::{BTreeMap, BTreeSet};

use similar::{Algorithm, DiffOp, DiffTag, TextDiff, capture_diff_slices};

/// Lines of both texts, common head and tail apart, that are compared in order. The worst case grows with the square.
const LINES_MAX: usize = 4_000;
/// Words of both sides of one changed block that are compared in order.
const BLOCK_WORDS_MAX: usize = 2_000;
const CONTEXT_LINES: usize = 3;

/// How far an edited text is from its draft.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EditMeasure {
    /// Thousandths: 0 unchanged, 1000 no word kept.
    pub edit_distance_score: u16,
    /// From the draft to the final text; empty when they are equal.
    pub unified_diff: String,
    /// Kinds of change, of `formatting`, `reordered`, `headings`, `links`, `numbers`, `shortened`, `lengthened`,
    /// `rewritten`, `wording`; in this order, none when the texts are equal.
    pub categories: Vec<String>,
}

/// Measures an edit.
#[must_use]
pub fn measure(draft: &str, edited: &str) -> EditMeasure {
    let score = distance_permille(draft, edited);
    EditMeasure {
        edit_distance_score: score,
        unified_diff: unified_diff(draft, edited, ("draft", "final")),
        categories: categories(draft, edited, score).into_iter().map(str::to_owned).collect(),
    }
}

/// The unified diff of two texts with three lines of context; empty when they are equal.
#[must_use]
pub fn unified_diff(old: &str, new: &str, (old_label, new_label): (&str, &str)) -> String {
    if old == new {
        return String::new();
    }
    let (head, tail) = common_ends(&lines(old), &lines(new));
    if lines(old).len() + lines(new).len() - 2 * (head + tail) > LINES_MAX {
        return one_hunk(old, new, (old_label, new_label), (head, tail));
    }
    TextDiff::configure()
        .algorithm(Algorithm::Myers)
        .diff_lines(old, new)
        .unified_diff()
        .context_radius(CONTEXT_LINES)
        .header(old_label, new_label)
        .to_string()
}

/// The diff of texts too large to compare line by line: everything between the common ends is replaced.
fn one_hunk(old: &str, new: &str, (old_label, new_label): (&str, &str), (head, tail): (usize, usize)) -> String {
    let (old, new) = (lines(old), lines(new));
    let (from, keep) = (head.saturating_sub(CONTEXT_LINES), tail.min(CONTEXT_LINES));
    let (old_end, new_end) = (old.len() - tail, new.len() - tail);
    let range = |end: usize| format!("{},{}", from + 1, end + keep - from);
    let mut diff = format!("--- {old_label}\n+++ {new_label}\n@@ -{} +{} @@\n", range(old_end), range(new_end));
    let marked = [
        (' ', &old[from..head]),
        ('-', &old[head..old_end]),
        ('+', &new[head..new_end]),
        (' ', &old[old_end..old_end + keep]),
    ];
    for (mark, lines) in marked {
        for line in lines {
            diff.push(mark);
            diff.push_str(line);
            if !line.ends_with('\n') {
                diff.push_str("\n\\ No newline at end of file\n");
            }
        }
    }
    diff
}

fn lines(text: &str) -> Vec<&str> {
    text.split_inclusive('\n').collect()
}

fn words(text: &str) -> Vec<&str> {
    text.split_whitespace().collect()
}

/// How many lines both texts share at their beginning, and how many of the rest at their end.
fn common_ends(old: &[&str], new: &[&str]) -> (usize, usize) {
    let head = old.iter().zip(new).take_while(|(left, right)| left == right).count();
    let tail = old[head..].iter().rev().zip(new[head..].iter().rev()).take_while(|(left, right)| left == right).count();
    (head, tail)
}

/// 1000 times one minus the share of words kept in place; 0 for equal texts only.
fn distance_permille(draft: &str, edited: &str) -> u16 {
    if draft == edited {
        return 0;
    }
    let total = words(draft).len() + words(edited).len();
    if total == 0 {
        return 1;
    }
    let kept = 2 * words_kept(draft, edited);
    let permille = (1_000 * (total - kept) + total / 2) / total;
    u16::try_from(permille).unwrap_or(1_000).clamp(1, 1_000)
}

fn words_kept(draft: &str, edited: &str) -> usize {
    let (old, new) = (lines(draft), lines(edited));
    let (head, tail) = common_ends(&old, &new);
    let count = |lines: &[&str]| lines.iter().map(|line| words(line).len()).sum::<usize>();
    let ends = count(&old[..head]) + count(&old[old.len() - tail..]);
    let (old, new) = (&old[head..old.len() - tail], &new[head..new.len() - tail]);
    if old.len() + new.len() > LINES_MAX {
        return ends + block_words_kept(&old.concat(), &new.concat());
    }
    let middle = capture_diff_slices(Algorithm::Myers, old, new).into_iter().map(|op| match op.tag() {
        DiffTag::Equal => count(&old[op.old_range()]),
        DiffTag::Replace => block_words_kept(&old[op.old_range()].concat(), &new[op.new_range()].concat()),
        DiffTag::Delete | DiffTag::Insert => 0,
    });
    ends + middle.sum::<usize>()
}

/// Words of a changed block that stand in both sides: in order, or in any order when the block is large.
fn block_words_kept(old: &str, new: &str) -> usize {
    let (old, new) = (words(old), words(new));
    if old.len() + new.len() > BLOCK_WORDS_MAX {
        return bag_overlap(&old, &new);
    }
    let equal = |op: DiffOp| {
        if op.tag() == DiffTag::Equal { op.old_range().len() } else { 0 }
    };
    capture_diff_slices(Algorithm::Myers, &old, &new).into_iter().map(equal).sum()
}

fn bag_overlap(old: &[&str], new: &[&str]) -> usize {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for word in old {
        *counts.entry(word).or_default() += 1;
    }
    let mut kept = 0;
    for word in new {
        if let Some(count) = counts.get_mut(word).filter(|count| **count > 0) {
            *count -= 1;
            kept += 1;
        }
    }
    kept
}

fn categories(draft: &str, edited: &str, score: u16) -> Vec<&'static str> {
    const REWRITTEN_PERMILLE: u16 = 700;
    if draft == edited {
        return Vec::new();
    }
    if bare_words(draft) == bare_words(edited) {
        return vec!["formatting"];
    }
    let (before, after) = (words(draft).len(), words(edited).len());
    let checks = [
        ("reordered", sorted(lines(draft)) == sorted(lines(edited))),
        ("headings", headings(draft) != headings(edited)),
        ("links", links(draft) != links(edited)),
        ("numbers", numbers(draft) != numbers(edited)),
        ("shortened", after * 5 < before * 4),
        ("lengthened", after * 4 > before * 5),
        ("rewritten", score >= REWRITTEN_PERMILLE),
    ];
    let found: Vec<&str> = checks.into_iter().filter(|(_, holds)| *holds).map(|(name, _)| name).collect();
    if found.is_empty() { vec!["wording"] } else { found }
}

/// The words without the marks around them: what is left when only the form changed.
fn bare_words(text: &str) -> Vec<&str> {
    let bare = |word: &'_ str| -> bool { !word.is_empty() };
    words(text)
        .into_iter()
        .map(|word| word.trim_matches(|c: char| !c.is_alphanumeric()))
        .filter(|word| bare(word))
        .collect()
}

fn sorted(mut lines: Vec<&str>) -> Vec<&str> {
    lines = lines.into_iter().map(str::trim_end).filter(|line| !line.is_empty()).collect();
    lines.sort_unstable();
    lines
}

fn headings(text: &str) -> Vec<&str> {
    text.lines().filter(|line| line.starts_with('#')).map(str::trim_end).collect()
}

fn links(text: &str) -> BTreeSet<&str> {
    let address = |word: &'_ str| ["http://", "https://", "file://"].iter().any(|scheme| word.starts_with(scheme));
    text.split(|c: char| c.is_whitespace() || "()<>[]\"".contains(c)).filter(|word| address(word)).collect()
}

fn numbers(text: &str) -> Vec<&str> {
    bare_words(text).into_iter().filter(|word| word.starts_with(|c: char| c.is_ascii_digit())).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DRAFT: &str =
        "# Week 12\n\nThe importer reads 40 files a second now.\n\n- Fixed the gate.\n- See https://x.org/1\n";

    #[test]
    fn distance_is_the_share_of_words_not_kept() {
        for (draft, edited, expected) in [
            ("a b c d\n", "a b c d\n", 0),
            ("", "", 0),
            ("", "a", 1_000),
            ("a b c d\n", "e f g h\n", 1_000),
            ("a b c d\n", "a b c e\n", 250),
            ("a b c d\n", "a b c d\ne f g h\n", 333),
            ("a b\nc d\n", "a b\nc x\n", 250),
            ("a b\n", "a  b\n", 1),
            (" ", "\n", 1),
        ] {
            assert_eq!(measure(draft, edited).edit_distance_score, expected, "{draft:?} {edited:?}");
        }
    }

    #[test]
    fn kinds_of_change_are_named() {
        let replace = |from: &str, to: &str| DRAFT.replace(from, to);
        for (edited, expected) in [
            (DRAFT.to_owned(), vec![]),
            (replace("- ", "* "), vec!["formatting"]),
            (replace("40", "50"), vec!["numbers"]),
            (replace("# Week 12", "# Week twelve"), vec!["headings", "numbers"]),
            (replace("/1", "/2"), vec!["links"]),
            (replace("reads", "handles"), vec!["wording"]),
            (replace("The importer reads 40 files a second now.\n", ""), vec!["numbers", "shortened"]),
            (
                "# Week 12\n\n- Fixed the gate.\n- See https://x.org/1\n\nThe importer reads 40 files a second now.\n"
                    .to_owned(),
                vec!["reordered"],
            ),
        ] {
            assert_eq!(measure(DRAFT, &edited).categories, expected, "{edited}");
        }
    }

    #[test]
    fn the_diff_is_unified_and_empty_for_equal_texts() {
        assert_eq!(unified_diff("a\n", "a\n", ("v1", "v2")), "");
        assert_eq!(
            unified_diff("a\nb\n", "a\nc", ("v1", "v2")),
            "--- v1\n+++ v2\n@@ -1,2 +1,2 @@\n a\n-b\n+c\n\\ No newline at end of file\n"
        );
    }

    #[test]
    fn large_rewritten_texts_are_one_hunk_and_still_measured() {
        let text = |word: &str| (0..20_000).map(|n| format!("{word}{n} shared\n")).collect::<String>();
        let (old, new) = (format!("head\n{}tail\n", text("a")), format!("head\n{}tail\n", text("b")));
        let measured = measure(&old, &new);
        assert_eq!(measured.edit_distance_score, 500);
        assert!(
            measured.unified_diff.starts_with("--- draft\n+++ final\n@@ -1,20002 +1,20002 @@\n head\n-a0 shared\n")
        );
        assert!(measured.unified_diff.ends_with("+b19999 shared\n tail\n"));
    }

    proptest! {
        #[test]
        fn measures_stay_in_range_and_say_unchanged_for_equal_texts_only(a in "[ab \n#]{0,40}", b in "[ab \n#]{0,40}") {
            let measured = measure(&a, &b);
            prop_assert!(measured.edit_distance_score <= 1_000);
            prop_assert_eq!(measured.edit_distance_score == 0, a == b);
            prop_assert_eq!(measured.unified_diff.is_empty(), a == b);
            prop_assert_eq!(measured.categories.is_empty(), a == b);
        }
    }
}

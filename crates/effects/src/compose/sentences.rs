//! Cutting text into sentences.
//!
//! Owns: where a sentence ends, and which sentences are fit to stand alone.
//! Refuses to know: Markdown blocks, ranking.

use super::words::is_ideograph;

/// Words after which a full stop ends no sentence.
const ABBREVIATIONS: &str = "e.g i.e etc vs cf approx dr mr mrs ms prof st no nos fig sec ch vol ed eds al inc ltd jr sr dept est resp incl z.b d.h u.a bzw ca usw vgl nr p.s a.m p.m u.s";
/// Phrases of legal and tool boilerplate, which say nothing new.
const BOILERPLATE: [&str; 12] = [
    "copyright",
    "all rights reserved",
    "permission is hereby",
    "licensed under",
    "without warranty",
    "warranty of",
    "redistribution and use",
    "table of contents",
    "this file is auto",
    "do not edit",
    "signed-off-by",
    "co-authored-by",
];
/// Beginnings that lean on the sentence before.
const LEANING: &str = "it this that these those they he she however but also then such so instead otherwise therefore thus here there and or this's it's";

/// Sentences of one paragraph, in order. Full stops inside code spans do not count.
pub(super) fn split(paragraph: &str) -> Vec<String> {
    let mut sentences = Vec::new();
    let mut start = 0;
    let mut in_code = false;
    let chars: Vec<(usize, char)> = paragraph.char_indices().collect();
    for (at, &(offset, c)) in chars.iter().enumerate() {
        if c == '`' {
            in_code = !in_code;
        }
        if in_code || offset < start || !matches!(c, '.' | '!' | '?' | '…' | '。' | '！' | '？') {
            continue;
        }
        let end = chars[at + 1..].iter().find(|(_, c)| !is_closing(*c)).map_or(paragraph.len(), |(offset, _)| *offset);
        if ends_here(&paragraph[start..offset], c, &paragraph[end..]) {
            push(&mut sentences, &paragraph[start..end]);
            start = end.max(start);
        }
    }
    push(&mut sentences, &paragraph[start..]);
    sentences
}

fn push(sentences: &mut Vec<String>, text: &str) {
    let text = text.trim();
    if !text.is_empty() {
        sentences.push(text.to_owned());
    }
}

const fn is_closing(c: char) -> bool {
    matches!(c, '.' | '!' | '?' | '"' | '\'' | ')' | ']' | '”' | '’' | '»' | '」' | '』' | '…')
}

fn ends_here(before: &str, mark: char, after: &str) -> bool {
    if matches!(mark, '。' | '！' | '？') {
        return true;
    }
    if !after.starts_with(char::is_whitespace) {
        return false;
    }
    let next = after.trim_start().chars().next();
    if next.is_some_and(|c| c.is_lowercase() || matches!(c, ',' | ';' | ')' | '–' | '—')) {
        return false;
    }
    mark != '.' || !is_abbreviation(before)
}

fn is_abbreviation(before: &str) -> bool {
    let word = before.rsplit(|c: char| c.is_whitespace() || matches!(c, '(' | '[' | '"')).next().unwrap_or_default();
    let initial = word.chars().count() == 1 && word.chars().all(char::is_uppercase);
    let number = !word.is_empty() && before.len() == word.len() && word.chars().all(|c| c.is_ascii_digit());
    initial || number || ABBREVIATIONS.split(' ').any(|known| known == word.to_lowercase())
}

/// Whether a sentence can be understood, and is worth reading, out of its place.
pub(super) fn stands_alone(sentence: &str) -> bool {
    let words = sentence.split_whitespace().count();
    let ideographs = sentence.chars().filter(|c| is_ideograph(*c)).count();
    let long_enough = words >= 4 || ideographs >= 6;
    let longest =
        sentence.split_whitespace().map(|word| word.chars().filter(|c| !is_ideograph(*c)).count()).max().unwrap_or(0);
    let total = sentence.chars().count();
    let visible = sentence.chars().filter(|c| !c.is_whitespace()).count();
    let letters = sentence.chars().filter(|c| c.is_alphabetic()).count();
    let lower = sentence.to_lowercase();
    long_enough
        && words <= 70
        && longest <= 80
        && total <= 700
        && letters * 100 >= visible * 70
        && !sentence.ends_with(':')
        && !BOILERPLATE.iter().any(|phrase| lower.contains(phrase))
}

/// `Present: Ana, Ben`, `Author: Zoë`: facts about a text, not of it.
pub(super) fn is_label(sentence: &str) -> bool {
    let Some((head, rest)) = sentence.split_once(':') else {
        return false;
    };
    head.split_whitespace().count() <= 2 && rest.split_whitespace().count() <= 6
}

/// Words for which a reader of a brief looks first.
pub(super) fn is_urgent(sentence: &str) -> bool {
    const WORDS: &str = "blocked blocks blocker broken breaks failed fails failing failure outage delayed late risk urgent must decided released launched shipped deadline lost security regression";
    sentence
        .split(|c: char| !c.is_alphanumeric())
        .any(|word| WORDS.split(' ').any(|known| known.eq_ignore_ascii_case(word)))
}

/// Whether the first word points back to a sentence that will not be there.
pub(super) fn leans(sentence: &str) -> bool {
    let first = sentence.split_whitespace().next().unwrap_or_default();
    let first = first.trim_matches(|c: char| !c.is_alphanumeric()).to_lowercase();
    LEANING.split(' ').any(|word| word == first)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Cutting loses nothing and invents nothing.
        #[test]
        fn sentences_join_to_the_text(text in "[a-zA-Z0-9 .!?…。()\"'`\\-äß東]{0,60}") {
            let joined = split(&text).concat();
            let visible = |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect::<String>();
            prop_assert_eq!(visible(&joined), visible(&text));
        }
    }

    #[test]
    fn sentences_end_where_a_reader_would_end_them() {
        for (text, expected) in [
            ("One. Two! Three?", vec!["One.", "Two!", "Three?"]),
            ("See e.g. Smith et al. for more. Next.", vec!["See e.g. Smith et al. for more.", "Next."]),
            ("Version 1.2.3 is out. J. Doe wrote it.", vec!["Version 1.2.3 is out.", "J. Doe wrote it."]),
            ("Call `a. B` now. Then stop.", vec!["Call `a. B` now.", "Then stop."]),
            ("He said “no.” Then he left.", vec!["He said “no.”", "Then he left."]),
            ("今日は雨。明日は晴れ。", vec!["今日は雨。", "明日は晴れ。"]),
            ("1. First of all", vec!["1. First of all"]),
            ("no end", vec!["no end"]),
            ("", vec![]),
            ("... and so on", vec!["... and so on"]),
        ] {
            assert_eq!(split(text), expected, "{text}");
        }
    }

    #[test]
    fn fragments_data_and_boilerplate_do_not_stand_alone() {
        assert!(stands_alone("The queue now ages waiting jobs."));
        for bad in [
            "Too short.",
            "| a | b | c | d |",
            "The following are allowed here:",
            &"x".repeat(300),
            "Copyright 2020 by the people who wrote it.",
        ] {
            assert!(!stands_alone(bad), "{bad}");
        }
        assert!(leans("This means that") && leans("However, it") && !leans("Leases expire"));
    }
}

//! Writing Markdown safely.
//!
//! Owns: escapes, links, and shortening that cuts neither words nor code spans.
//! Refuses to know: what is written.
//!
//! Invariant: text that came from outside reads the same after rendering, whatever characters it holds.

use super::words::is_ideograph;

/// Escapes one line of text. Balanced code spans stay as they are: people write subjects with them.
pub(super) fn escape(text: &str) -> String {
    let text = crate::text::one_line(text);
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len() + 8);
    let mut at = 0;
    while at < chars.len() {
        if chars[at] == '`' {
            at = code_span(&chars, at, &mut out);
            continue;
        }
        if needs_escape(&chars, at) {
            out.push('\\');
        }
        out.push(chars[at]);
        at += 1;
    }
    out
}

/// Copies a code span that is closed by as many backticks, or escapes the backticks that open none.
fn code_span(chars: &[char], start: usize, out: &mut String) -> usize {
    let run = |at: usize| chars[at..].iter().take_while(|c| **c == '`').count();
    let opening = run(start);
    let inner = start + opening;
    let mut at = inner;
    while at < chars.len() {
        if chars[at] != '`' {
            at += 1;
            continue;
        }
        let closing = run(at);
        let padded = chars[inner] == ' ' || chars[at - 1] == ' ';
        if closing == opening && at > inner && !padded {
            out.extend(&chars[start..at + closing]);
            return at + closing;
        }
        at += closing;
    }
    (0..opening).for_each(|_| out.push_str("\\`"));
    inner
}

fn needs_escape(chars: &[char], at: usize) -> bool {
    let before = at.checked_sub(1).map(|at| chars[at]);
    let after = chars.get(at + 1).copied();
    let word = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
    match chars[at] {
        '\\' | '[' | ']' | '<' | '~' => true,
        '*' => !(before == Some(' ') && after == Some(' ')),
        '_' => !(word(before) && word(after)),
        // A pair of these is a formula to some renderers.
        '$' => chars.iter().filter(|c| **c == '$').count() > 1,
        '&' => after.is_some_and(|c| c == '#' || c.is_ascii_alphabetic()),
        '#' | '+' | '-' | '>' | '=' | '|' | ':' => at == 0,
        '.' | ')' if after.is_none_or(|c| c == ' ') => {
            (1..=9).contains(&at) && chars[..at].iter().all(char::is_ascii_digit)
        }
        _ => false,
    }
}

/// A link, or the label alone when there is no address.
pub(super) fn link(label: &str, url: Option<&str>) -> String {
    let label = escape(label);
    match url {
        None => label,
        Some(url) => format!("[{label}]({})", address(url)),
    }
}

/// An address inside a link: brackets and spaces are encoded, so that the link ends where it should.
fn address(url: &str) -> String {
    url.chars().fold(String::with_capacity(url.len()), |mut out, c| {
        match c {
            '(' => out.push_str("%28"),
            ')' => out.push_str("%29"),
            '<' => out.push_str("%3C"),
            '>' => out.push_str("%3E"),
            '\\' => out.push_str("%5C"),
            '`' => out.push_str("%60"),
            '*' => out.push_str("%2A"),
            c if c.is_whitespace() || c.is_control() => out.push_str("%20"),
            c => out.push(c),
        }
        out
    })
}

/// Inline code, whatever backticks are in it.
pub(super) fn code(text: &str) -> String {
    let text = crate::text::one_line(text);
    if text.is_empty() {
        return String::new();
    }
    if text.contains('`') { escape(&text) } else { format!("`{text}`") }
}

/// At most `max` characters, cut between words and outside code spans; an ellipsis says that something is missing.
pub(super) fn shorten(text: &str, max: usize) -> String {
    let text = crate::text::one_line(text);
    let Some((limit, _)) = text.char_indices().nth(max) else {
        return text;
    };
    let breaks = text.char_indices().zip(text.chars().skip(1)).take_while(|((offset, _), _)| *offset < limit);
    let cut = breaks
        .filter(|((_, c), next)| *next == ' ' || is_ideograph(*c) || is_ideograph(*next))
        .map(|((offset, c), _)| offset + c.len_utf8())
        .filter(|cut| text[..*cut].matches('`').count().is_multiple_of(2))
        .last();
    match cut {
        Some(cut) => format!("{} …", text[..cut].trim_end_matches([',', ';', ':', '–', '—', '-', ' ', '('])),
        None => format!("({} characters without a break)", text.chars().count()),
    }
}

/// `1,234`.
pub(super) fn number(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `1 commit`, `2 commits`.
pub(super) fn count(n: usize, one: &str, many: &str) -> String {
    format!("{} {}", number(n as u64), if n == 1 { one } else { many })
}

/// `a`, `a and b`, `a, b and c`.
pub(super) fn list(parts: &[String]) -> String {
    match parts {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// The first letter as a capital, unless the word is code.
pub(super) fn capital(text: &str) -> String {
    let first = text.split(' ').next().unwrap_or_default();
    let is_code = first.contains(['_', ':', '.', '`', '/', '(', '-']) || first.chars().skip(1).any(char::is_uppercase);
    let mut chars = text.chars();
    match chars.next() {
        Some(c) if c.is_lowercase() && !is_code => c.to_uppercase().chain(chars).collect(),
        _ => text.to_owned(),
    }
}

/// A sentence ends with a mark; one that has none gets a full stop.
pub(super) fn full_stop(text: &str) -> String {
    let ended = text.ends_with(['.', '!', '?', '…', '。', '！', '？', ':', '”', '"']);
    if ended { text.to_owned() } else { format!("{text}.") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use pulldown_cmark::{Event, Options, Parser};

    fn rendered(markdown: &str) -> String {
        let mut out = String::new();
        let options = Options::ENABLE_GFM
            | Options::ENABLE_TABLES
            | Options::ENABLE_STRIKETHROUGH
            | Options::ENABLE_TASKLISTS
            | Options::ENABLE_FOOTNOTES
            | Options::ENABLE_MATH;
        for event in Parser::new_ext(markdown, options) {
            match event {
                Event::Text(text) | Event::Code(text) => out.push_str(&text),
                Event::Start(_) | Event::End(_) => {}
                other => out.push_str(&format!("{{{other:?}}}")),
            }
        }
        out
    }

    const PIECES: [&str; 26] = [
        "<b>",
        "</b>",
        "<a@b.c>",
        "<!--",
        "&amp;",
        "&#35;",
        "`",
        "``",
        "*",
        "**",
        "_",
        "__",
        "[a]",
        "](x)",
        "[^1]",
        "~~",
        "$",
        " ",
        "a",
        "1",
        ".",
        "\\",
        "!",
        "東",
        "|",
        "https://x.test/a_b_",
    ];

    #[test]
    fn links_and_lists() {
        assert_eq!(link("a [b]", Some("file:///x y/(z).md")), "[a \\[b\\]](file:///x%20y/%28z%29.md)");
        assert_eq!(list(&["a".into(), "b".into(), "c".into()]), "a, b and c");
        assert_eq!((number(1_234_567), number(12)), ("1,234,567".to_owned(), "12".to_owned()));
        assert_eq!(capital("add x"), "Add x");
        assert_eq!(capital("fs_open: x"), "fs_open: x");
    }

    #[test]
    fn shortening_keeps_words_and_code_whole() {
        assert_eq!(shorten("one two three", 8), "one two …");
        assert_eq!(shorten("call `a b c d` now", 10), "call …");
        assert_eq!(shorten(&"x".repeat(50), 10), "(50 characters without a break)");
        assert_eq!(shorten("今日は雨が降る", 4), "今日は雨 …");
        assert_eq!(shorten("short", 8), "short");
    }

    proptest! {
        /// Whatever a file name, subject or sentence holds, the reader sees it and nothing else happens.
        #[test]
        fn escaped_text_renders_as_itself(text in "[-a-z0-9 `*_#\\[\\]()<>&;!|~+=.:/\\\\$^'\"äß東]{1,40}") {
            let expected = crate::text::one_line(&text).replace('`', "");
            let markdown = format!("word {}", escape(&text));
            let expected = format!("word {expected}").trim_end().to_owned();
            let shown = rendered(&markdown).replace('`', "").trim_end().to_owned();
            prop_assert_eq!(shown, expected, "{}", markdown);
        }

        /// As above, from the pieces that mean something to Markdown.
        #[test]
        fn escaped_pieces_render_as_themselves(pieces in prop::collection::vec(prop::sample::select(PIECES.to_vec()), 1..8)) {
            let text = pieces.concat();
            let expected = crate::text::one_line(&text).replace('`', "");
            let shown = rendered(&format!("word {}", escape(&text))).replace('`', "");
            let expected = format!("word {expected}");
            prop_assert_eq!(shown.trim_end(), expected.trim_end(), "{}", text);
        }

        #[test]
        fn escaped_text_starts_no_block(text in "[-a-z0-9#>+=*_|~.): \t]{1,20}") {
            prop_assume!(!text.trim().is_empty());
            let markdown = escape(&text);
            prop_assert_eq!(rendered(&markdown), crate::text::one_line(&text), "{}", markdown);
        }

        #[test]
        fn shortened_text_is_short(text in "\\PC{0,200}", max in 20_usize..100) {
            prop_assert!(shorten(&text, max).chars().count() <= max.max(40) + 2);
        }
    }
}

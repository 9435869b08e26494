//! Words that may not stand in a source, or only in some files.
//!
//! Owns: module headers, left-over markers, SQL outside the store, reads of clocks and randomness. Words of code
//! are looked for in code, words of SQL in string literals, markers in comments.

use super::lexer::{Source, lex};
use super::size::without_test_modules;
use super::{Finding, TextFile};

/// Reads of a clock, of randomness, and fresh ids. In production code they need a place in the table of files.
const IMPURE: &[&str] = &[
    "SystemTime::now",
    "Instant::now",
    "Utc::now",
    "Local::now",
    "Timestamp::now",
    "Zoned::now",
    "new_v4",
    "now_v1",
    "now_v6",
    "now_v7",
    "thread_rng",
    "rand::",
    "getrandom",
    "OsRng",
];

/// What is left over when somebody meant to come back.
const UNFINISHED: &[&str] = &["todo!", "unimplemented!", "dbg!", "#[ignore"];

/// Pauses; a test that pauses is slow, and fails on a slow machine.
const PAUSES: &[&str] = &["sleep(", "sleep_until(", "sleep_ms("];

/// Markers in comments. The first needs an issue number, the others may not stand at all.
const MARKERS: &[&str] = &[concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X"), concat!("HA", "CK")];

fn finding(file: &TextFile, line: usize, subject: &str, message: String) -> Finding {
    Finding { place: file.path.clone(), line, subject: subject.to_owned(), message }
}

/// Whether `word` stands in `text` with no letter directly before it, and none behind it if it ends in one.
fn stands_in(text: &str, word: &str) -> bool {
    let is_letter = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(word).any(|(at, _)| {
        let joined_before = word.starts_with(is_letter) && text[..at].ends_with(is_letter);
        let joined_behind = word.ends_with(is_letter) && text[at + word.len()..].starts_with(is_letter);
        !joined_before && !joined_behind
    })
}

fn lines_with<'a>(text: &'a str, words: &'a [&'a str]) -> impl Iterator<Item = (usize, &'a str, &'a str)> {
    text.lines().enumerate().flat_map(move |(at, line)| {
        words.iter().filter(move |word| stands_in(line, word)).map(move |word| (at + 1, *word, line))
    })
}

/// A module must open with `//!`.
#[must_use]
pub fn missing_header(file: &TextFile) -> Option<Finding> {
    let opens = file.text.lines().find(|line| !line.trim().is_empty()).is_some_and(|line| line.starts_with("//!"));
    let message = "the module must open with `//!`: what it owns, what it refuses to know".to_owned();
    (!opens).then(|| finding(file, 1, "header", message))
}

/// Unfinished code, ignored tests, markers without an issue.
#[must_use]
pub fn unfinished(file: &TextFile) -> Vec<Finding> {
    let Source { code, comments, .. } = lex(&file.text);
    let macros = lines_with(&code, UNFINISHED).map(|(line, word, _)| (line, word));
    let markers = lines_with(&comments, MARKERS)
        .filter(|(_, word, text)| is_marker(text, word))
        .map(|(line, word, _)| (line, word));
    macros
        .chain(markers)
        .map(|(line, word)| finding(file, line, word, format!("`{word}`: finish it, or write {}(#issue)", MARKERS[0])))
        .collect()
}

/// A marker stands first in its comment or before a colon or parenthesis; a sentence may speak of markers.
fn is_marker(comment: &str, word: &str) -> bool {
    let first = comment.trim_start_matches(|c: char| c.is_whitespace() || "/*!".contains(c)).starts_with(word);
    let behind = comment.split(word).skip(1).any(|rest| rest.starts_with([':', '(', '!']));
    let has_issue = word == MARKERS[0] && comment.contains(&format!("{word}(#"));
    (first || behind) && !has_issue
}

/// A method `.sleep(` is a clock's, which a test moves by hand; a definition is no call.
fn is_pause(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| !line[..at].ends_with('.') && !line[..at].ends_with("fn "))
}

/// Pauses in test code: whole files of tests, and test modules of production files.
#[must_use]
pub fn pauses_in_tests(file: &TextFile) -> Vec<Finding> {
    let code = lex(&file.text).code;
    let production = if file.is_test() { String::new() } else { without_test_modules(&code) };
    let outside: Vec<usize> = lines_with(&production, PAUSES).map(|(line, ..)| line).collect();
    lines_with(&code, PAUSES)
        .filter(|(line, word, text)| !outside.contains(line) && is_pause(text, word))
        .map(|(line, word, _)| {
            let message = format!("`{word}` in a test: move the manual clock, or use nightshift_tests::eventually");
            finding(file, line, word, message)
        })
        .collect()
}

/// Reads of clocks and randomness in production code. One finding for each file and word.
#[must_use]
pub fn impure(file: &TextFile) -> Vec<Finding> {
    let production = without_test_modules(&lex(&file.text).code);
    let mut findings: Vec<Finding> = lines_with(&production, IMPURE)
        .map(|(line, word, _)| {
            let message = format!("`{word}` outside the files that may: time and ids arrive by port or argument");
            finding(file, line, word, message)
        })
        .collect();
    findings.sort_by(|a, b| (&a.subject, a.line).cmp(&(&b.subject, b.line)));
    findings.dedup_by(|a, b| a.subject == b.subject);
    findings
}

/// SQL statements in string literals, in whatever case.
#[must_use]
pub fn sql(file: &TextFile) -> Vec<Finding> {
    lex(&file.text)
        .literals
        .into_iter()
        .filter_map(|literal| statement(&literal.text).map(|kind| (literal.line, kind)))
        .map(|(line, kind)| finding(file, line, kind, format!("an SQL `{kind}` outside the store: add a port method")))
        .collect()
}

/// Which statement a text is. A sentence that merely holds the verb is none.
fn statement(text: &str) -> Option<&'static str> {
    let lower = text.to_lowercase().replace("\\n", " ");
    let words: Vec<&str> = lower.split_whitespace().collect();
    let first = *words.first()?;
    let has = |word: &str| words.iter().any(|w| w.trim_matches(|c: char| !c.is_alphanumeric()) == word);
    let starts = |second: &str| words.get(1) == Some(&second);
    match first {
        "select" if has("from") && text.len() > "select from".len() => Some("select"),
        "with" if has("as") && has("select") => Some("with"),
        "insert" if starts("into") || starts("or") => Some("insert"),
        "update" if words.get(2) == Some(&"set") => Some("update"),
        "delete" if starts("from") => Some("delete"),
        "create" if starts("table") || starts("index") || starts("unique") => Some("create"),
        "alter" | "drop" | "truncate" if starts("table") => Some("alter"),
        "pragma" if words.len() > 1 => Some("pragma"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> TextFile {
        TextFile::new("crates/a/src/lib.rs", text)
    }

    fn subjects(findings: Vec<Finding>) -> Vec<String> {
        findings.into_iter().map(|finding| finding.subject).collect()
    }

    #[test]
    fn a_module_without_a_header_is_found() {
        assert!(missing_header(&file("use a;\n//! late\n")).is_some());
        assert!(missing_header(&file("")).is_some());
        assert!(missing_header(&file("\n//! Owns it.\n")).is_none());
    }

    #[test]
    fn unfinished_work_is_found_in_code_and_comments_only() {
        let text = concat!(
            "//! TO",
            "DO(#7) is fine, autoTO",
            "DO too\n",
            "// FIX",
            "ME\n",
            "let a = \"todo!\";\n",
            "todo!();\n",
            "#[ignore = \"slow\"]\n"
        );
        assert_eq!(subjects(unfinished(&file(text))), ["todo!", "#[ignore", concat!("FIX", "ME")]);
        assert_eq!(unfinished(&file(concat!("// TO", "DO later\n"))).len(), 1);
        assert_eq!(unfinished(&file(concat!("// later. HA", "CK: so\n"))).len(), 1);
        assert_eq!(unfinished(&file(concat!("/// Finds `TO", "DO` and `FIX", "ME:` in notes.\n"))).len(), 1);
        assert_eq!(unfinished(&file(concat!("/// Finds `TO", "DO` and `FIX", "ME` in notes.\n"))).len(), 0);
    }

    #[test]
    fn a_pause_is_a_fault_in_tests_only() {
        let text = "fn a() { clock.sleep(d) }\n#[cfg(test)]\nmod tests {\n  fn b() { sleep(d) }\n}\n";
        let found = pauses_in_tests(&file(text));
        assert_eq!(found.iter().map(|finding| finding.line).collect::<Vec<_>>(), [4]);
        let all = TextFile::new("tests/tests/a.rs", "fn sleep(d) {}\nclock.sleep(d);\nthread::sleep(d);\n");
        assert_eq!(pauses_in_tests(&all).iter().map(|finding| finding.line).collect::<Vec<_>>(), [3]);
    }

    #[test]
    fn clocks_and_randomness_are_found_in_production_code() {
        let text = "fn a() { Utc::now(); Utc::now(); \"Instant::now\"; brand::x(); }\n#[cfg(test)]\nmod t { fn b() { Uuid::new_v4(); } }\n";
        assert_eq!(subjects(impure(&file(text))), ["Utc::now"]);
        assert_eq!(subjects(impure(&file("let a = rand::random();"))), ["rand::"]);
    }

    #[test]
    fn statements_are_told_from_sentences() {
        let cases = [
            ("select 1 from t", Some("select")),
            ("SELECT a FROM b WHERE c = $1", Some("select")),
            ("  insert into t values (1)", Some("insert")),
            ("update t set a = 1", Some("update")),
            ("delete from t", Some("delete")),
            ("create table t (a int)", Some("create")),
            ("with x as (select 1) select * from x", Some("with")),
            ("pragma journal_mode", Some("pragma")),
            ("select a version", None),
            ("update the schedule", None),
            ("delete it from the folder", None),
            ("cannot select from", None),
            ("", None),
        ];
        for (text, expected) in cases {
            assert_eq!(statement(text), expected, "{text}");
        }
        assert_eq!(sql(&file("let q = \"select a from b\";")).len(), 1);
        assert!(sql(&file("// \"select a from b\"\n")).is_empty());
    }
}

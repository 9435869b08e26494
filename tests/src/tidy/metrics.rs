//! The metric names in alerts and dashboards, held against the names in the code.
//!
//! Owns: finding the names in PromQL, well enough for our own files. Refuses to know: what an expression means;
//! `promtool` checks that.

use std::collections::BTreeSet;

use serde_json::Value;

use super::TextFile;
use super::lexer::lex;

/// Words of PromQL that are no metrics, and a scrape's own metric.
const LANGUAGE: &[&str] = &["by", "without", "and", "or", "unless", "on", "ignoring", "bool", "offset", "up"];

/// Series that a histogram or summary adds to its name.
const SUFFIXES: &[&str] = &["_bucket", "_sum", "_count"];

/// The expressions of a Grafana dashboard.
///
/// # Panics
/// When the text is not JSON.
#[must_use]
pub fn dashboard_expressions(json: &str) -> Vec<String> {
    fn walk(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(fields) => fields.iter().for_each(|(name, value)| match value {
                Value::String(text) if name == "expr" => found.push(text.clone()),
                _ => walk(value, found),
            }),
            Value::Array(values) => values.iter().for_each(|value| walk(value, found)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    walk(&serde_json::from_str(json).expect("a dashboard is JSON"), &mut found);
    found
}

/// The expressions of a file of alert rules: what follows `expr:`, with folded lines joined.
#[must_use]
pub fn rule_expressions(yaml: &str) -> Vec<String> {
    let indent = |line: &str| line.len() - line.trim_start().len();
    let lines: Vec<&str> = yaml.lines().collect();
    let mut found = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let Some(rest) = line.trim_start().strip_prefix("expr:") else {
            continue;
        };
        let folded = lines[at + 1..].iter().take_while(|next| indent(next) > indent(line));
        let joined =
            std::iter::once(rest.trim().trim_start_matches(['>', '|', '-'])).chain(folded.map(|next| next.trim()));
        found.push(joined.collect::<Vec<_>>().join(" "));
    }
    found
}

/// The metric names of an expression: words that are no function, no keyword, no label.
#[must_use]
pub fn names(expression: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut rest = without_labels(expression);
    while let Some(start) = rest.find(|c: char| c.is_alphabetic() || c == '_') {
        let word: String =
            rest[start..].chars().take_while(|c| c.is_alphanumeric() || matches!(c, '_' | ':')).collect();
        let before = rest[..start].chars().next_back();
        let behind = rest[start + word.len()..].trim_start();
        let is_number = before.is_some_and(|c| c.is_ascii_digit());
        let is_function = ["(", "by ", "without "].iter().any(|next| behind.starts_with(next));
        if !is_number && !is_function && !LANGUAGE.contains(&word.as_str()) {
            names.push(word.clone());
        }
        rest = rest[start + word.len()..].to_owned();
    }
    names
}

/// Leaves out `{...}`, `[...]` and the labels after `by` and `without`.
fn without_labels(expression: &str) -> String {
    let mut out = String::new();
    let mut closing: Option<char> = None;
    for c in expression.chars() {
        if let Some(end) = closing {
            if c == end {
                closing = None;
                // Tells the labels of a grouping from the parenthesis that follows them.
                out.push(if end == ')' { end } else { ' ' });
            }
            continue;
        }
        closing = match c {
            '{' => Some('}'),
            '[' => Some(']'),
            '(' if ends_with_grouping(&out) => Some(')'),
            _ => None,
        };
        out.push(if closing.is_some() { ' ' } else { c });
    }
    out
}

fn ends_with_grouping(text: &str) -> bool {
    let last = text.split(|c: char| !c.is_alphanumeric() && c != '_').rfind(|word| !word.is_empty());
    last.is_some_and(|word| matches!(word, "by" | "without" | "on" | "ignoring")) && !text.trim_end().ends_with(')')
}

/// Names in `expressions` that stand in no string literal of the product's crates.
#[must_use]
pub fn unknown(expressions: &[String], files: &[TextFile]) -> Vec<String> {
    let used: BTreeSet<String> = expressions.iter().flat_map(|expression| names(expression)).collect();
    let sources = files.iter().filter(|file| file.is_rust() && file.path.starts_with("crates/"));
    let known: BTreeSet<String> =
        sources.flat_map(|file| lex(&file.text).literals).map(|literal| literal.text).collect();
    let base = |name: &str| SUFFIXES.iter().find_map(|suffix| name.strip_suffix(suffix)).map(str::to_owned);
    used.into_iter()
        .filter(|name| !known.contains(name) && !base(name).is_some_and(|base| known.contains(&base)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_from_functions_labels_and_durations() {
        let cases: [(&str, &[&str]); 5] = [
            ("up{job=\"a_b\"} == 0", &[]),
            ("max by (class) (late_seconds) > 300", &["late_seconds"]),
            ("histogram_quantile(0.99, sum by (le) (rate(commit_seconds_bucket[5m]))) > 5", &["commit_seconds_bucket"]),
            ("sum(increase(a_total{status=\"x\"}[1h])) > 0.5 * b_total", &["a_total", "b_total"]),
            ("a_total and on (job) b_total offset 5m", &["a_total", "b_total"]),
        ];
        for (expression, expected) in cases {
            assert_eq!(names(expression), expected, "{expression}");
        }
    }

    #[test]
    fn expressions_are_read_from_rules_and_dashboards() {
        let yaml = "rules:\n  - alert: A\n    expr: >-\n      a_total\n      > 1\n    for: 1m\n  - alert: B\n    expr: b_total > 0\n";
        assert_eq!(rule_expressions(yaml), [" a_total > 1", "b_total > 0"]);
        assert_eq!(dashboard_expressions(r#"{"panels": [{"targets": [{"expr": "x"}]}]}"#), ["x"]);
    }

    #[test]
    fn a_name_that_no_crate_writes_is_unknown() {
        let files = [TextFile::new("crates/a/src/lib.rs", "const A: &str = \"a_seconds\"; // \"b_total\"")];
        let expressions = ["rate(a_seconds_bucket[5m])".to_owned(), "b_total > 0".to_owned()];
        assert_eq!(unknown(&expressions, &files), ["b_total"]);
    }
}

//! How long files and functions are.
//!
//! Owns: the count of lines without test modules, and of the lines of each function. A function inside another
//! counts for both.

use super::lexer::lex;
use super::{Finding, TextFile};

/// The most lines of a file and of a function.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Lines of a file, test modules at its end not counted.
    pub file_lines_max: usize,
    /// Lines of a function from `fn` to its closing brace.
    pub function_lines_max: usize,
}

/// A function found in a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Function {
    /// Its name.
    pub name: String,
    /// The line of `fn`, counted from 1.
    pub line: usize,
    /// Lines from `fn` to the closing brace, both included.
    pub lines: usize,
}

/// Files and functions over the limits. The subject is the function's name, or `file`.
#[must_use]
pub fn oversized(file: &TextFile, limits: Limits) -> Vec<Finding> {
    let code = lex(&file.text).code;
    let production = if file.is_test() { code } else { without_test_modules(&code) };
    let mut findings = Vec::new();
    let lines = file_lines(&production);
    if lines > limits.file_lines_max {
        let message = format!("{lines} lines without tests, at most {}: split by topic", limits.file_lines_max);
        findings.push(Finding { place: file.path.clone(), line: 0, subject: "file".into(), message });
    }
    for function in functions(&production) {
        if function.lines > limits.function_lines_max {
            let message = format!(
                "fn {} has {} lines, at most {}: give its parts names",
                function.name, function.lines, limits.function_lines_max
            );
            findings.push(Finding { place: file.path.clone(), line: function.line, subject: function.name, message });
        }
    }
    findings
}

/// Lines up to the last one that holds code; comments count when code follows them.
fn file_lines(code: &str) -> usize {
    code.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()).map(|(at, _)| at + 1).last().unwrap_or(0)
}

/// Blanks the bodies of `#[cfg(test)] mod name { ... }`. Takes lexed code.
#[must_use]
pub fn without_test_modules(code: &str) -> String {
    let mut out = code.to_owned();
    let mut from = 0;
    while let Some(found) = out[from..].find("#[cfg(test)]") {
        let start = from + found;
        from = start + 1;
        let Some(open) = out[start..].find(['{', ';']).map(|at| start + at) else {
            break;
        };
        let is_module = out[start..open].split_whitespace().any(|word| word == "mod");
        if is_module && out.as_bytes()[open] == b'{' {
            let end = closing_brace(&out, open).unwrap_or(out.len());
            let blanked: String = out[start..end].chars().map(|c| if c == '\n' { '\n' } else { ' ' }).collect();
            out.replace_range(start..end, &blanked);
        }
    }
    out
}

/// The functions with a body. Takes lexed code.
#[must_use]
pub fn functions(code: &str) -> Vec<Function> {
    let mut found = Vec::new();
    let mut from = 0;
    while let Some(at) = code[from..].find("fn ").map(|at| from + at) {
        from = at + 3;
        let joined = code[..at].chars().next_back().is_some_and(|c| c.is_alphanumeric() || c == '_');
        let name: String = code[from..].trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        if joined || name.is_empty() {
            continue;
        }
        let Some(open) = body(code, from) else { continue };
        let end = closing_brace(code, open).unwrap_or(code.len());
        let line = code[..at].matches('\n').count() + 1;
        found.push(Function { name, line, lines: code[at..end].matches('\n').count() + 1 });
    }
    found
}

/// The brace that opens the body, or `None` for a declaration that ends with a semicolon.
fn body(code: &str, from: usize) -> Option<usize> {
    let mut nesting = 0usize;
    for (at, c) in code[from..].char_indices() {
        match c {
            '(' | '[' => nesting += 1,
            ')' | ']' => nesting = nesting.saturating_sub(1),
            '{' if nesting == 0 => return Some(from + at),
            ';' if nesting == 0 => return None,
            _ => {}
        }
    }
    None
}

/// The place behind the brace that closes the one at `open`.
fn closing_brace(code: &str, open: usize) -> Option<usize> {
    let mut depth = 0usize;
    for (at, c) in code[open..].char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(open + at + 1);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { file_lines_max: 6, function_lines_max: 3 };

    fn subjects(path: &str, text: &str) -> Vec<String> {
        oversized(&TextFile::new(path, text), LIMITS).into_iter().map(|finding| finding.subject).collect()
    }

    #[test]
    fn functions_are_measured_from_fn_to_brace() {
        let code =
            "fn a() {}\nfn b(x: [u8; 3])\nwhere\n  X: Y,\n{\n  let f: fn (u8) = c;\n}\ntrait T { fn d(&self); }\n";
        let sizes: Vec<_> = functions(code).into_iter().map(|f| (f.name, f.line, f.lines)).collect();
        assert_eq!(sizes, [("a".to_owned(), 1, 1), ("b".to_owned(), 2, 6)]);
    }

    #[test]
    fn a_long_function_is_found_whatever_its_strings_hold() {
        let long = "fn f() {\n  let a = \"}\";\n  // }\n  g();\n}\n";
        assert_eq!(subjects("crates/a/src/lib.rs", long), ["f"]);
        assert_eq!(subjects("crates/a/src/lib.rs", "fn f() {\n  g();\n}\n"), Vec::<String>::new());
    }

    #[test]
    fn test_modules_do_not_count_in_production_files() {
        let text = "fn f() {}\n#[cfg(test)]\nmod tests {\n  fn g() {\n\n\n\n\n  }\n}\n";
        assert_eq!(subjects("crates/a/src/lib.rs", text), Vec::<String>::new());
        assert_eq!(subjects("tests/tests/a.rs", text), ["file", "g"]);
    }

    #[test]
    fn code_behind_a_test_module_counts() {
        let text = "#[cfg(test)]\nmod tests {\n}\n\n\n\n\nfn late() {}\n";
        assert_eq!(subjects("crates/a/src/lib.rs", text), ["file"]);
    }
}

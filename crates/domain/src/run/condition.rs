//! What a condition mentions, as far as a run has to know before it asks.
//!
//! Owns: finding names in the text of a condition. Refuses to know: what a condition means; `Expressions` answers that.

use crate::template::Part;

/// A piece of a condition's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Piece<'a> {
    /// A name or a number.
    Word(&'a str),
    /// What stands between quotes.
    Quoted(&'a str),
    /// Any other character.
    Mark(char),
}

fn pieces(condition: &str) -> Vec<Piece<'_>> {
    let mut found = Vec::new();
    let mut rest = condition;
    while let Some(first) = rest.chars().next() {
        let is_word = |c: char| c.is_alphanumeric() || c == '_';
        let (piece, length) = if is_word(first) {
            let end = rest.find(|c: char| !is_word(c)).unwrap_or(rest.len());
            (Piece::Word(&rest[..end]), end)
        } else if first == '"' || first == '\'' {
            let inside = quoted(&rest[1..], first);
            (Piece::Quoted(inside), (inside.len() + 2).min(rest.len()))
        } else {
            (Piece::Mark(first), first.len_utf8())
        };
        if !matches!(piece, Piece::Mark(mark) if mark.is_whitespace()) {
            found.push(piece);
        }
        rest = &rest[length..];
    }
    found
}

/// What stands before the closing quote, which no backslash precedes.
fn quoted(text: &str, quote: char) -> &str {
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        if c == quote && !escaped {
            return &text[..at];
        }
        escaped = c == '\\' && !escaped;
    }
    text
}

/// Whether a condition is about single elements of a list: it names `item` or `index`. It is asked for each of them then,
/// and otherwise once for all.
pub fn is_about_items(condition: &str) -> bool {
    let found = pieces(condition);
    (0..found.len()).any(|at| root(&found, at).is_some_and(|name| name == "item" || name == "index"))
}

/// The word at a place, unless it is a field of something.
fn root<'a>(found: &[Piece<'a>], at: usize) -> Option<&'a str> {
    let field = at > 0 && found[at - 1] == Piece::Mark('.');
    match found.get(at) {
        Some(Piece::Word(name)) if !field => Some(name),
        _ => None,
    }
}

/// The steps a condition may mention, with the path into what each made as far as it is written out. A name with a dash
/// behind `steps.` is read both ways, as a name and as a difference.
pub fn steps_in(condition: &str) -> Vec<(String, Vec<Part>)> {
    let found = pieces(condition);
    let mut steps = Vec::new();
    for at in (0..found.len()).filter(|at| root(&found, *at) == Some("steps")) {
        match (found.get(at + 1), found.get(at + 2)) {
            (Some(Piece::Mark('.')), Some(Piece::Word(name))) => {
                let mut name = (*name).to_owned();
                let mut next = at + 3;
                steps.push((name.clone(), path(&found, next)));
                while let (Some(Piece::Mark('-')), Some(Piece::Word(more))) = (found.get(next), found.get(next + 1)) {
                    name = format!("{name}-{more}");
                    next += 2;
                    steps.push((name.clone(), path(&found, next)));
                }
            }
            (Some(Piece::Mark('[')), Some(Piece::Quoted(name))) => {
                steps.push(((*name).to_owned(), path(&found, at + 4)));
            }
            _ => {}
        }
    }
    steps
}

/// The fields and numbers that follow from a place on. It ends where something is computed, and before a function.
fn path(found: &[Piece<'_>], from: usize) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut at = from;
    loop {
        let (part, length) = match (found.get(at), found.get(at + 1), found.get(at + 2)) {
            (Some(Piece::Mark('.')), Some(Piece::Word(name)), next) if next != Some(&Piece::Mark('(')) => {
                (Part::Field((*name).to_owned()), 2)
            }
            (Some(Piece::Mark('[')), Some(Piece::Quoted(name)), Some(Piece::Mark(']'))) => {
                (Part::Field((*name).to_owned()), 3)
            }
            (Some(Piece::Mark('[')), Some(Piece::Word(nth)), Some(Piece::Mark(']'))) => match nth.parse() {
                Ok(nth) => (Part::Index(nth), 3),
                Err(_) => return parts,
            },
            _ => return parts,
        };
        parts.push(part);
        at += length;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_where_they_are_names() {
        for (condition, about_items) in [
            ("item.size > 3", true),
            ("parameters.n > index", true),
            ("steps.a.item == 1", false),
            ("parameters.what == 'item'", false),
            ("parameters.what == \"a \\\" item\"", false),
            ("items.exists(i, i > 1)", false),
            ("", false),
            ("'never closed item", false),
        ] {
            assert_eq!(is_about_items(condition), about_items, "{condition}");
        }
        for (condition, steps) in [
            ("steps.fetch.rows > 1 && steps[\"a-b\"].ok", vec!["fetch", "a-b"]),
            ("steps.fetch-data.rows == 'steps.none'", vec!["fetch", "fetch-data"]),
            ("parameters.steps.fetch", vec![]),
            ("size(steps) > 0", vec![]),
        ] {
            let names: Vec<String> = steps_in(condition).into_iter().map(|(name, _)| name).collect();
            assert_eq!(names, steps, "{condition}");
        }
        for (condition, path) in [
            ("steps.a.results.rows[2].size() > 3", ".results.rows[2]"),
            ("steps[\"a\"]['the rows'].n == 1", "[\"the rows\"].n"),
            ("steps.a[index].n == 1", ""),
            ("has(steps.a.results.error)", ".results.error"),
        ] {
            let [(_, parts)] = &steps_in(condition)[..] else { panic!("{condition}") };
            let whole = crate::template::Path { root: String::new(), parts: parts.clone() };
            assert_eq!(whole.to_string(), path, "{condition}");
        }
    }
}

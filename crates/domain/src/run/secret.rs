//! References to secrets in the headers of a call and the environment of a program: `<secret:NAME>`.
//!
//! Owns: their form, and that only the document may write one. Refuses to know: what a name stands for; whoever performs
//! the step resolves it, so no value is ever in an event, a trace or a key of the cache.
//!
//! Invariant: what is given to a run (parameters, events, answers of other steps) cannot become a reference, however its
//! pieces fall together.

const OPEN: &str = "<secret:";
/// A reference that came with a value in place of a template. No name begins like this.
const FOREIGN: &str = "<secret:!";

/// Cuts the first reference out of a text: what is before it, its name, what is behind it.
///
/// A name that begins with `!` is a reference that did not stand in the document; it must not be resolved.
#[must_use]
pub fn next_secret(text: &str) -> Option<(&str, &str, &str)> {
    let fits = |name: &str| {
        let plain = name.strip_prefix('!').unwrap_or(name);
        !plain.is_empty() && plain.chars().all(|c| c.is_ascii_alphanumeric() || "_-".contains(c))
    };
    let mut from = 0;
    while let Some(at) = text[from..].find(OPEN).map(|at| from + at) {
        let inside = &text[at + OPEN.len()..];
        if let Some((name, behind)) = inside.split_once('>').filter(|(name, _)| fits(name)) {
            return Some((&text[..at], name, behind));
        }
        from = at + OPEN.len();
    }
    None
}

fn names(mut text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    while let Some((_, name, behind)) = next_secret(text) {
        found.push(name);
        text = behind;
    }
    found
}

/// A text that was filled in, with every reference made void when it has others than its template.
pub(super) fn guarded(template: &str, filled: String) -> String {
    if names(template) == names(&filled) { filled } else { filled.replace(OPEN, FOREIGN) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_template_names_secrets() {
        for (template, filled, expected) in [
            ("Bearer <secret:crm>", "Bearer <secret:crm>", "Bearer <secret:crm>"),
            ("<secret:a> {{ x }}", "<secret:a> plain", "<secret:a> plain"),
            ("{{ x }}", "<secret:crm>", "<secret:!crm>"),
            ("{{ x }}{{ y }}", "<sec", "<sec"),
            ("<secret:a> {{ x }}", "<secret:a> <secret:a>", "<secret:!a> <secret:!a>"),
            ("<secret:{{ x }}>", "<secret:crm>", "<secret:!crm>"),
            ("<secret:a b>", "<secret:a b>", "<secret:a b>"),
        ] {
            assert_eq!(guarded(template, filled.to_owned()), expected, "{template}");
        }
        assert_eq!(names("<secret:<secret:a>x<secret:!b>"), ["a", "!b"]);
        assert_eq!(next_secret("a<secret:b>c"), Some(("a", "b", "c")));
    }
}

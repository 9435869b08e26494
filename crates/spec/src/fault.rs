//! What is wrong with a document, so that its author can mend it without guessing.
//!
//! Owns: the form of a fault and the search for the nearest valid spelling.
//! Refuses to know: which document it is about.

use std::fmt;

/// One fault of a document: where, what was found, what is allowed, what helps.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Fault {
    /// Name of the document as the caller gave it.
    pub file: String,
    /// Line, from 1; 0 when the fault is about no line.
    pub line: u64,
    /// Column, from 1; 0 when the fault is about no column.
    pub column: u64,
    /// The field, e.g. `schedule.frequency`; empty for the whole document.
    pub path: String,
    /// What stands there.
    pub found: String,
    /// What may stand there.
    pub allowed: String,
    /// What to do, when there is more to say than `allowed` says.
    pub remedy: Option<String>,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file)?;
        if self.line > 0 {
            write!(f, ":{}:{}", self.line, self.column)?;
        }
        if !self.path.is_empty() {
            write!(f, " {}", self.path)?;
        }
        write!(f, ": found {}; allowed: {}", self.found, self.allowed)?;
        self.remedy.as_ref().map_or(Ok(()), |remedy| write!(f, "; {remedy}"))
    }
}

/// Every fault of one document, in the order of their lines. Never empty when it is an error.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Faults(pub Vec<Fault>);

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            fault.fmt(f)?;
        }
        Ok(())
    }
}

/// A text in quotes, shortened so that a message stays a line.
pub(crate) fn quote(text: &str) -> String {
    const SHOWN_CHARS_MAX: usize = 80;
    let shown: String = text.chars().take(SHOWN_CHARS_MAX).collect();
    let ellipsis = if text.chars().nth(SHOWN_CHARS_MAX).is_some() { "…" } else { "" };
    format!("{:?}", format!("{shown}{ellipsis}"))
}

/// The candidate nearest to `word` in spelling, when it is near enough that the author may have meant it: few letters
/// differ, or the word is its beginning.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    const WORD_CHARS_MAX: usize = 64;
    const BEGINNING_CHARS_MIN: usize = 3;
    let word: Vec<char> = word.chars().take(WORD_CHARS_MAX).flat_map(char::to_lowercase).collect();
    let near_enough = 1.max(word.len() / 3);
    let begins = |candidate: &str| {
        word.len() >= BEGINNING_CHARS_MIN
            && candidate.to_lowercase().chars().zip(&word).filter(|(a, b)| a == *b).count() == word.len()
    };
    candidates
        .into_iter()
        .map(|candidate| {
            let distance = spelling_distance(&word, candidate);
            (if begins(candidate) { distance.min(1) } else { distance }, candidate)
        })
        .min_by_key(|(distance, _)| *distance)
        .filter(|(distance, _)| *distance <= near_enough)
        .map(|(_, candidate)| candidate)
}

/// `did you mean "x"?`, for the nearest candidate.
pub(crate) fn did_you_mean<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<String> {
    nearest(word, candidates).map(|candidate| format!("did you mean {candidate:?}?"))
}

/// Insertions, deletions, substitutions and swaps of neighbours that turn `word` (in lower case) into `candidate`.
fn spelling_distance(word: &[char], candidate: &str) -> usize {
    let candidate: Vec<char> = candidate.chars().flat_map(char::to_lowercase).collect();
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=candidate.len()).collect();
    for (row, left) in word.iter().enumerate() {
        let mut current = vec![row + 1];
        for (column, right) in candidate.iter().enumerate() {
            let substituted = above[column] + usize::from(left != right);
            let mut best = substituted.min(above[column + 1] + 1).min(current[column] + 1);
            if row > 0 && column > 0 && *left == candidate[column - 1] && word[row - 1] == *right {
                best = best.min(before[column - 1] + 1);
            }
            current.push(best);
        }
        before = std::mem::replace(&mut above, current);
    }
    above[candidate.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_spelling_is_found_and_a_far_one_is_not_offered() {
        for (word, expected) in [
            ("weekley", Some("weekly")),
            ("montly", Some("monthly")),
            ("WEEKLY", Some("weekly")),
            ("dialy", Some("daily")),
            ("month", Some("monthly")),
            ("mo", None),
            ("banana", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, ["daily", "weekly", "monthly"]), expected, "{word}");
        }
    }

    #[test]
    fn a_fault_names_place_found_allowed_and_remedy() {
        let fault = Fault {
            file: "weekly.yaml".into(),
            line: 7,
            column: 3,
            path: "schedule.frequency".into(),
            found: quote("weekley"),
            allowed: "daily, weekdays, weekly, biweekly, monthly".into(),
            remedy: did_you_mean("weekley", ["daily", "weekly"]),
        };
        assert_eq!(
            fault.to_string(),
            "weekly.yaml:7:3 schedule.frequency: found \"weekley\"; allowed: daily, weekdays, weekly, biweekly, monthly; \
             did you mean \"weekly\"?"
        );
    }
}

//! The marks that people leave in notes: tasks, decisions, questions, dates.
//!
//! Owns: the words that announce them.
//! Refuses to know: Markdown.

/// What a mark announces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum MarkKind {
    Decision,
    Task,
    Question,
    Date,
    Done,
}

/// Something a reader has to know or do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mark {
    pub kind: MarkKind,
    pub text: String,
}

const WORDS: [(&str, MarkKind); 22] = [
    ("todo", MarkKind::Task),
    ("fixme", MarkKind::Task),
    ("action item", MarkKind::Task),
    ("action", MarkKind::Task),
    ("next step", MarkKind::Task),
    ("next steps", MarkKind::Task),
    ("follow-up", MarkKind::Task),
    ("follow up", MarkKind::Task),
    ("decision", MarkKind::Decision),
    ("decided", MarkKind::Decision),
    ("agreed", MarkKind::Decision),
    ("resolved", MarkKind::Decision),
    ("entscheidung", MarkKind::Decision),
    ("beschluss", MarkKind::Decision),
    ("aufgabe", MarkKind::Task),
    ("open question", MarkKind::Question),
    ("question", MarkKind::Question),
    ("frage", MarkKind::Question),
    ("deadline", MarkKind::Date),
    ("due", MarkKind::Date),
    ("due date", MarkKind::Date),
    ("termin", MarkKind::Date),
];

const HEADINGS: [(&str, MarkKind); 14] = [
    ("decisions", MarkKind::Decision),
    ("decisions made", MarkKind::Decision),
    ("entscheidungen", MarkKind::Decision),
    ("action items", MarkKind::Task),
    ("actions", MarkKind::Task),
    ("todo", MarkKind::Task),
    ("to do", MarkKind::Task),
    ("todos", MarkKind::Task),
    ("next steps", MarkKind::Task),
    ("aufgaben", MarkKind::Task),
    ("open questions", MarkKind::Question),
    ("questions", MarkKind::Question),
    ("deadlines", MarkKind::Date),
    ("important dates", MarkKind::Date),
];

/// Kind of the list items under a heading such as "Decisions".
pub(super) fn kind_of_heading(heading: &str) -> Option<MarkKind> {
    let heading = heading.trim_matches(|c: char| !c.is_alphanumeric()).to_lowercase();
    HEADINGS.iter().find(|(word, _)| *word == heading).map(|(_, kind)| *kind)
}

/// `Decision: we ship` and its like. `TODO` and `FIXME` in capitals need no colon.
pub(super) fn mark_of(piece: &str) -> Option<Mark> {
    let loud = ["TODO", "FIXME"].iter().find_map(|word| {
        let rest = piece.strip_prefix(word)?;
        // TODO(ana): names who is to do it.
        let rest = rest.strip_prefix('(').and_then(|rest| rest.split_once(')')).map_or(rest, |(_, rest)| rest);
        rest.starts_with([':', ' ', '-']).then_some((MarkKind::Task, rest))
    });
    let (kind, rest) = loud.or_else(|| quiet(piece))?;
    let text = rest.trim_start_matches([':', '-', '–', ' ']).trim();
    (!text.is_empty()).then(|| Mark { kind, text: text.to_owned() })
}

fn quiet(piece: &str) -> Option<(MarkKind, &str)> {
    let (word, rest) = piece.split_once(':')?;
    let word = word.trim().to_lowercase();
    WORDS.iter().find(|(known, _)| *known == word).map(|(_, kind)| (*kind, rest))
}

/// Cuts a paragraph in front of each line that begins with a mark.
pub(super) fn pieces(text: &str) -> Vec<String> {
    let mut pieces: Vec<String> = vec![String::new()];
    for line in text.lines() {
        if mark_of(line.trim()).is_some() {
            pieces.push(String::new());
        }
        let piece = pieces.last_mut().expect("there is always a piece");
        piece.push_str(line);
        piece.push('\n');
    }
    pieces
}

/// A word of obligation and, close behind it, a date.
pub(super) fn names_a_deadline(sentence: &str) -> bool {
    const CUES: [&str; 11] =
        ["by", "due", "until", "before", "deadline", "starting", "starts", "ends", "expires", "bis", "spätestens"];
    /// A date further behind the word belongs to something else.
    const REACH: usize = 3;
    let lower = sentence.to_lowercase();
    let words: Vec<&str> =
        lower.split(|c: char| !c.is_alphanumeric() && c != '-').filter(|word| !word.is_empty()).collect();
    words.iter().enumerate().filter(|(_, word)| CUES.contains(*word)).any(|(at, _)| {
        let behind = &words[at + 1..words.len().min(at + 1 + REACH)];
        behind.iter().any(|word| is_iso_date(word)) || behind.windows(2).any(|pair| is_named_date(pair[0], pair[1]))
    })
}

fn is_iso_date(word: &str) -> bool {
    let parts: Vec<&str> = word.split('-').collect();
    let digits = word.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
    digits
        && matches!(parts.as_slice(), [y, m, d] if y.len() == 4 && m.len() == 2 && d.len() == 2 && *m <= "12" && *d <= "31")
}

/// "3 December", "December 3", "Dec 3rd".
fn is_named_date(first: &str, second: &str) -> bool {
    let day = |word: &str| {
        let digits = word.trim_end_matches(char::is_alphabetic);
        (1..=31).contains(&digits.parse::<u32>().unwrap_or(0)) && word.len() - digits.len() <= 2
    };
    (is_month(first) && day(second)) || (day(first) && is_month(second))
}

fn is_month(word: &str) -> bool {
    const NAMES: &str = "jan january januar feb february februar mar march märz apr april may mai jun june juni jul july juli aug august sep sept september oct october okt oktober nov november dec december dez dezember";
    NAMES.split(' ').any(|name| name == word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks() {
        for (text, expected) in [
            ("TODO: write it", Some((MarkKind::Task, "write it"))),
            ("TODO(ana): write it", Some((MarkKind::Task, "write it"))),
            ("Decision: ship", Some((MarkKind::Decision, "ship"))),
            ("Open question: who?", Some((MarkKind::Question, "who?"))),
            ("Due: Friday", Some((MarkKind::Date, "Friday"))),
            ("TODO", None),
            ("TODOS are bad", None),
            ("Note: nothing", None),
            ("todo lists are nice", None),
        ] {
            assert_eq!(mark_of(text), expected.map(|(kind, text)| Mark { kind, text: text.to_owned() }), "{text}");
        }
    }

    #[test]
    fn deadlines() {
        for (text, found) in [
            ("Send it by 2026-12-01.", true),
            ("The offer ends on 3 December.", true),
            ("Due on Dec 3rd at noon", true),
            ("Built on 2026-12-01.", false),
            ("We may do 3 things by then", false),
            ("It was dropped by a migration that nobody had read before it ran on 2026-02-20.", false),
            ("by version 1.2.3", false),
        ] {
            assert_eq!(names_a_deadline(text), found, "{text}");
        }
    }
}

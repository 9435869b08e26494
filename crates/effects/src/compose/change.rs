//! A commit seen as a change: what kind it is, where it happened, how much it matters.
//!
//! Owns: the habits of commit subjects (conventional commits, `area: subject`, plain verbs).
//! Refuses to know: git, pages.

use std::collections::BTreeSet;

use nightshift_domain::content::Item;

use super::{ink, reading::Reading, sentences, words::Language};

/// Kinds in the order in which a reader wants them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Breaking,
    Feature,
    Performance,
    Fix,
    Other,
    Docs,
    Refactor,
    Test,
    Build,
    Dependencies,
    Revert,
    Release,
}

impl Kind {
    pub(super) const fn heading(self) -> &'static str {
        match self {
            Self::Breaking => "Breaking changes",
            Self::Feature => "New",
            Self::Performance => "Faster",
            Self::Fix => "Fixed",
            Self::Other => "Changed",
            Self::Docs => "Documentation",
            Self::Refactor => "Cleaned up",
            Self::Test => "Tests",
            Self::Build => "Build and CI",
            Self::Dependencies => "Dependencies",
            Self::Revert => "Taken back",
            Self::Release => "Releases",
        }
    }

    /// Changes that users of the repository notice.
    pub(super) const fn is_main(self) -> bool {
        matches!(
            self,
            Self::Breaking | Self::Feature | Self::Performance | Self::Fix | Self::Other
        )
    }

    const fn weight(self) -> f64 {
        match self {
            Self::Breaking => 8.0,
            Self::Feature => 3.0,
            Self::Performance => 2.5,
            Self::Fix => 2.0,
            Self::Other | Self::Revert | Self::Release => 1.0,
            Self::Docs | Self::Refactor => 0.5,
            Self::Test | Self::Build => 0.2,
            Self::Dependencies => 0.0,
        }
    }
}

/// One commit, read.
pub(super) struct Change<'a> {
    pub item: &'a Item,
    pub kind: Kind,
    /// The part that the subject names, or the one where most lines changed.
    pub label: Option<String>,
    /// Subject without kind and label.
    pub subject: String,
    /// First sentence of the message that says more than the subject.
    pub lead: Option<String>,
    pub merge: bool,
    pub files: u64,
    pub insertions: u64,
    pub deletions: u64,
    pub part: String,
    pub weight: f64,
}

impl<'a> Change<'a> {
    pub(super) fn of(item: &'a Item, text: &str) -> Self {
        let fact = |key: &str| item.facts.get(key).map(String::as_str).unwrap_or_default();
        let count = |key: &str| fact(key).parse::<u64>().unwrap_or(0);
        let body = body_of(text);
        let head = Head::of(&item.title);
        let breaking = head.breaking || body.contains("BREAKING CHANGE") || body.contains("BREAKING-CHANGE");
        let kind = if breaking {
            Kind::Breaking
        } else {
            head.kind.unwrap_or_else(|| kind_of(&head.subject, fact("content")))
        };
        let parts = if fact("parts").is_empty() {
            fact("areas")
        } else {
            fact("parts")
        };
        let part = parts.split(", ").next().unwrap_or_default().to_owned();
        let lines = if fact("written_lines").is_empty() {
            count("insertions") + count("deletions")
        } else {
            count("written_lines")
        };
        let lead = lead_of(&body, &head.subject);
        let draft = ["wip", "fixup!", "squash!", "tmp", "oops", "whoops", "."]
            .iter()
            .any(|word| item.title.to_lowercase().starts_with(word));
        let weight = kind.weight() + (1.0 + lines.min(5_000) as f64).ln() * 0.8 + f64::from(u8::from(lead.is_some()))
            - if draft { 6.0 } else { 0.0 };
        Self {
            item,
            kind,
            label: head.label,
            subject: head.subject,
            lead,
            merge: fact("merge") == "true",
            files: count("files_changed"),
            insertions: count("insertions"),
            deletions: count("deletions"),
            part,
            weight,
        }
    }

    pub(super) fn short(&self) -> &str {
        self.item.facts.get("short").map_or_else(
            || self.item.item_id.get(..8).unwrap_or(&self.item.item_id),
            String::as_str,
        )
    }

    /// Subject with its label, in one line of Markdown. A part where nearly everything happens is no label.
    pub(super) fn headline(&self, dominant: Option<&str>) -> String {
        let part = Some(self.part.as_str());
        let part = part.filter(|part| !part.is_empty() && *part != "(top level)" && Some(*part) != dominant);
        match self.label.as_deref().or(part) {
            Some(label) => format!(
                "**{}:** {}",
                ink::escape(label),
                ink::escape(&ink::shorten(&self.subject, 160))
            ),
            None => ink::escape(&ink::shorten(&ink::capital(&self.subject), 160)),
        }
    }
}

/// The message below the subject, without the list of files and without trailers.
fn body_of(text: &str) -> String {
    let text = text.split("\n\nChanged files:\n").next().unwrap_or_default();
    let body = text.split_once('\n').map_or("", |(_, body)| body);
    let trailer = |line: &&str| {
        let key = line.split_once(": ").map_or("", |(key, _)| key);
        !(key.contains('-') && !key.contains(' ') && key.chars().next().is_some_and(char::is_uppercase))
            || key.starts_with("BREAKING")
    };
    body.lines().filter(trailer).collect::<Vec<_>>().join("\n")
}

fn lead_of(body: &str, subject: &str) -> Option<String> {
    let reading = Reading::of_markdown(body);
    let language = Language::of(subject);
    let known: BTreeSet<String> = language.stems(subject).into_iter().collect();
    let lead = reading
        .sentences
        .into_iter()
        .map(|sentence| sentence.text)
        .find(|text| {
            let stems = language.stems(text);
            let said = stems.iter().filter(|stem| known.contains(*stem)).count();
            sentences::stands_alone(text) && !is_subject(text) && text.chars().count() >= 25 && said * 2 < stems.len()
        })?;
    let lead = lead
        .trim_start_matches("BREAKING CHANGE: ")
        .trim_start_matches("BREAKING-CHANGE: ");
    Some(ink::capital(&ink::shorten(lead, 220)))
}

/// A squashed commit's subject in a message: `chore: bump it`, `feat(net): add it`.
fn is_subject(text: &str) -> bool {
    let word = text.split([':', '(', '!']).next().unwrap_or_default();
    text.contains(": ") && conventional(&word.to_lowercase()).is_some()
}

/// What a subject says of itself.
struct Head {
    kind: Option<Kind>,
    label: Option<String>,
    subject: String,
    breaking: bool,
}

impl Head {
    fn of(title: &str) -> Self {
        if let Some((tag, subject)) = title.strip_prefix('[').and_then(|rest| rest.split_once(']'))
            && !subject.trim().is_empty()
            && !tag.is_empty()
            && !tag.contains(' ')
        {
            return Self::tagged(tag, subject);
        }
        let plain = Self {
            kind: None,
            label: None,
            subject: trimmed(title),
            breaking: false,
        };
        let Some((head, subject)) = title.split_once(": ").filter(|(_, subject)| !subject.trim().is_empty()) else {
            return plain;
        };
        let breaking = head.ends_with('!');
        let head = head.trim_end_matches('!');
        let (word, scope) = match head.split_once('(') {
            Some((word, scope)) if scope.ends_with(')') => (word, Some(scope.trim_end_matches(')'))),
            _ => (head, None),
        };
        if let Some(kind) = conventional(&word.trim().to_lowercase()) {
            let label = scope
                .map(str::trim)
                .filter(|scope| !scope.is_empty())
                .map(str::to_owned);
            return Self {
                kind: kind.known(),
                label,
                subject: trimmed(subject),
                breaking,
            };
        }
        // `net/http: close idle connections`: one word, perhaps a few separated by commas, names the part.
        let names = head.chars().count() <= 40
            && !head.contains(['"', '`'])
            && head.split(", ").all(|part| !part.contains(' '));
        if names {
            return Self {
                kind: None,
                label: Some(head.to_owned()),
                subject: trimmed(subject),
                breaking: false,
            };
        }
        plain
    }
}

/// Without a full stop, and without the number of the request it came by: the hash leads there.
fn trimmed(subject: &str) -> String {
    let mut subject = subject.trim();
    while let Some((rest, number)) = subject.rsplit_once(" (#") {
        if rest.is_empty()
            || !number
                .strip_suffix(')')
                .is_some_and(|n| n.bytes().all(|byte| byte.is_ascii_digit()))
        {
            break;
        }
        subject = rest.trim_end();
    }
    subject
        .strip_suffix('.')
        .filter(|rest| !rest.ends_with('.'))
        .unwrap_or(subject)
        .to_owned()
}

impl Head {
    /// `[queue] age waiting jobs`, `[fix] mend it`.
    fn tagged(tag: &str, subject: &str) -> Self {
        let rest = Self::of(subject.trim_start_matches([':', ' ']));
        match conventional(&tag.to_lowercase()) {
            Some(kind) => Self {
                kind: kind.known().or(rest.kind),
                ..rest
            },
            None => Self {
                label: Some(tag.to_owned()),
                ..rest
            },
        }
    }
}

/// A conventional type; `chore` and `improve` leave the kind to the verb.
enum Conventional {
    Known(Kind),
    Open,
}

impl Conventional {
    const fn known(self) -> Option<Kind> {
        match self {
            Self::Known(kind) => Some(kind),
            Self::Open => None,
        }
    }
}

fn conventional(word: &str) -> Option<Conventional> {
    Some(Conventional::Known(match word {
        "feat" | "feature" | "features" => Kind::Feature,
        "fix" | "bugfix" | "hotfix" | "security" => Kind::Fix,
        "perf" | "performance" => Kind::Performance,
        "docs" | "doc" => Kind::Docs,
        "refactor" | "style" | "cleanup" | "clean" => Kind::Refactor,
        "test" | "tests" => Kind::Test,
        "build" | "ci" => Kind::Build,
        "deps" | "dep" => Kind::Dependencies,
        "revert" => Kind::Revert,
        "release" => Kind::Release,
        "chore" | "improve" | "improvement" | "change" | "misc" => return Some(Conventional::Open),
        _ => return None,
    }))
}

/// Verbs in their stems, matched at the start of the first word.
const VERBS: [(&str, Kind); 62] = [
    ("add", Kind::Feature),
    ("introduc", Kind::Feature),
    ("implement", Kind::Feature),
    ("support", Kind::Feature),
    ("allow", Kind::Feature),
    ("enabl", Kind::Feature),
    ("creat", Kind::Feature),
    ("provid", Kind::Feature),
    ("expos", Kind::Feature),
    ("new", Kind::Feature),
    ("initial", Kind::Feature),
    ("begin", Kind::Feature),
    ("fix", Kind::Fix),
    ("correct", Kind::Fix),
    ("repair", Kind::Fix),
    ("prevent", Kind::Fix),
    ("avoid", Kind::Fix),
    ("resolv", Kind::Fix),
    ("guard", Kind::Fix),
    ("patch", Kind::Fix),
    ("hotfix", Kind::Fix),
    ("bugfix", Kind::Fix),
    ("mend", Kind::Fix),
    ("don't", Kind::Fix),
    ("workaround", Kind::Fix),
    ("document", Kind::Docs),
    ("doc", Kind::Docs),
    ("readme", Kind::Docs),
    ("typo", Kind::Docs),
    ("comment", Kind::Docs),
    ("clarif", Kind::Docs),
    ("changelog", Kind::Docs),
    ("explain", Kind::Docs),
    ("test", Kind::Test),
    ("cover", Kind::Test),
    ("bump", Kind::Dependencies),
    ("upgrad", Kind::Dependencies),
    ("pin", Kind::Dependencies),
    ("build(deps", Kind::Dependencies),
    ("refactor", Kind::Refactor),
    ("renam", Kind::Refactor),
    ("mov", Kind::Refactor),
    ("clean", Kind::Refactor),
    ("simplif", Kind::Refactor),
    ("extract", Kind::Refactor),
    ("split", Kind::Refactor),
    ("inlin", Kind::Refactor),
    ("reorgan", Kind::Refactor),
    ("tid", Kind::Refactor),
    ("format", Kind::Refactor),
    ("lint", Kind::Refactor),
    ("dedup", Kind::Refactor),
    ("rustfmt", Kind::Refactor),
    ("unif", Kind::Refactor),
    ("optimi", Kind::Performance),
    ("speed", Kind::Performance),
    ("faster", Kind::Performance),
    ("cach", Kind::Performance),
    ("revert", Kind::Revert),
    ("releas", Kind::Release),
    ("prepare release", Kind::Release),
    ("ci", Kind::Build),
];

fn kind_of(subject: &str, content: &str) -> Kind {
    let lower = subject.to_lowercase();
    let lower = lower.trim_start_matches(['"', '\'', '[', '(']);
    if is_version(lower) {
        return Kind::Release;
    }
    let first = lower.split([' ', ':']).next().unwrap_or_default();
    if let Some(kind) = routine(first, lower) {
        return kind;
    }
    match content {
        "docs" => return Kind::Docs,
        "tests" => return Kind::Test,
        "ci" => return Kind::Build,
        "generated" => return Kind::Dependencies,
        _ => {}
    }
    let verb = VERBS.iter().find(|(stem, _)| {
        // Short stems must be the whole word or its common forms: "add" is not "address".
        let rest = first.strip_prefix(stem);
        rest.is_some_and(|rest| {
            stem.len() >= 6
                || [
                    "", "s", "es", "ed", "d", "ing", "e", "ies", "y", "ied", "ned", "ping", "ped", "ning", "ting",
                    "ance",
                ]
                .contains(&rest)
        }) || (stem.contains(' ') && lower.starts_with(stem))
    });
    if let Some((_, kind)) = verb {
        return *kind;
    }
    let broken = [
        "fix",
        "fixes",
        "bug",
        "crash",
        "panic",
        "panics",
        "leak",
        "regression",
        "deadlock",
        "overflow",
    ];
    let mut words = lower.split(|c: char| !c.is_alphanumeric());
    if words.any(|word| broken.contains(&word)) {
        Kind::Fix
    } else {
        Kind::Other
    }
}

/// Releases and new versions of dependencies, whatever files they touch.
fn routine(first: &str, lower: &str) -> Option<Kind> {
    let says = |words: &[&str]| words.iter().any(|word| lower.contains(word));
    let numbered = lower
        .split(' ')
        .any(|word| is_number(word.trim_end_matches([':', ','])));
    match first {
        "bump" | "bumps" | "bumped" if says(&["release", "crate version"]) => Some(Kind::Release),
        "prepare" | "cut" if numbered || says(&["release"]) => Some(Kind::Release),
        "bump" | "bumps" | "bumped" | "upgrade" => Some(Kind::Dependencies),
        "update" | "updates" | "updated" if says(&["depend", "deps", "lock", "version"]) => Some(Kind::Dependencies),
        // `Update tokio requirement from 0.8.2 to 0.9.0`, as bots write it.
        "update" if says(&[" from "]) && says(&[" to "]) && (numbered || says(&["requirement"])) => {
            Some(Kind::Dependencies)
        }
        _ => None,
    }
}

/// `1.2.3`, `v1.2`.
fn is_number(word: &str) -> bool {
    let word = word.trim_start_matches('v');
    word.contains('.')
        && word
            .split('.')
            .all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()))
}

fn is_version(subject: &str) -> bool {
    let words = subject.split(' ').count();
    is_number(subject.split(' ').next_back().unwrap_or_default())
        && (words == 1
            || (words <= 3
                && ["version", "release", "bump", "tag"]
                    .iter()
                    .any(|word| subject.starts_with(word))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(title: &str) -> Item {
        Item {
            item_id: "a".repeat(40),
            title: title.to_owned(),
            link: None,
            author: None,
            source_at: None,
            text: nightshift_domain::content::Text {
                digest: crate::text::digest_of(b""),
                bytes: 0,
                inline: None,
            },
            facts: [].into(),
        }
    }

    #[test]
    fn subjects_are_understood() {
        for (title, kind, label, subject) in [
            (
                "feat(queue): age waiting jobs",
                Kind::Feature,
                Some("queue"),
                "age waiting jobs",
            ),
            ("fix!: refuse old epochs.", Kind::Breaking, None, "refuse old epochs"),
            (
                "net/http: close idle connections",
                Kind::Other,
                Some("net/http"),
                "close idle connections",
            ),
            (
                "chore: bump tokio to 1.54",
                Kind::Dependencies,
                None,
                "bump tokio to 1.54",
            ),
            ("chore(release): 1.2.0", Kind::Release, Some("release"), "1.2.0"),
            ("Add a page for runs", Kind::Feature, None, "Add a page for runs"),
            ("Address review comments", Kind::Other, None, "Address review comments"),
            ("Fixed the crash on start", Kind::Fix, None, "Fixed the crash on start"),
            (
                "Crash when the log is empty",
                Kind::Fix,
                None,
                "Crash when the log is empty",
            ),
            ("Update dependencies", Kind::Dependencies, None, "Update dependencies"),
            ("v1.4.0", Kind::Release, None, "v1.4.0"),
            ("Revert \"feat: x\"", Kind::Revert, None, "Revert \"feat: x\""),
            (
                "Note that this matters: yes",
                Kind::Other,
                None,
                "Note that this matters: yes",
            ),
            (
                "Prepare 0.16.4: safety fixes (#468)",
                Kind::Release,
                None,
                "Prepare 0.16.4: safety fixes",
            ),
            (
                "[factory] Bug in the life cycle (#118)",
                Kind::Fix,
                Some("factory"),
                "Bug in the life cycle",
            ),
            ("[docs] Explain leases", Kind::Docs, None, "Explain leases"),
            ("[x]", Kind::Other, None, "[x]"),
            (
                "Update rand requirement from 0.8 to 0.10",
                Kind::Dependencies,
                None,
                "Update rand requirement from 0.8 to 0.10",
            ),
            ("Optimise the fold", Kind::Performance, None, "Optimise the fold"),
            ("", Kind::Other, None, ""),
        ] {
            let item = item(title);
            let change = Change::of(&item, title);
            assert_eq!(
                (change.kind, change.label.as_deref(), change.subject.as_str()),
                (kind, label, subject),
                "{title}"
            );
        }
    }

    #[test]
    fn the_lead_is_the_first_sentence_that_says_more() {
        let item = item("Add ageing");
        let text = "Add ageing\n\nWaiting jobs now gain one step of priority\nper minute. More text here follows.\n\nSigned-off-by: A <a@b>\n\nChanged files:\n- x (+1 -1)\n";
        assert_eq!(
            Change::of(&item, text).lead.as_deref(),
            Some("Waiting jobs now gain one step of priority per minute.")
        );
        assert_eq!(
            Change::of(&item, "Add ageing\n\nfeat: the ageing of jobs that wait in the queue").lead,
            None
        );
        assert_eq!(
            Change::of(&item, "Add ageing\n\nReviewed-by: B <b@c> and all the others here").lead,
            None
        );
        assert_eq!(
            Change::of(&item, "Add ageing\n\nBREAKING CHANGE: the old field is gone").kind,
            Kind::Breaking
        );
    }
}

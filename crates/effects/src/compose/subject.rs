//! What the subject of a commit says of itself.
//!
//! Owns: the kinds of changes, and the habits of people who write subjects (conventional commits, `area: subject`,
//! `[area] subject`, plain verbs).
//! Refuses to know: git, pages, how much a change weighs beside its kind.

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
        matches!(self, Self::Breaking | Self::Feature | Self::Performance | Self::Fix | Self::Other)
    }

    /// How much a change of this kind weighs, beside its size.
    pub(super) const fn weight(self) -> f64 {
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

/// A squashed commit's subject in a message: `chore: bump it`, `feat(net): add it`.
pub(super) fn is_subject(text: &str) -> bool {
    let word = text.split([':', '(', '!']).next().unwrap_or_default();
    text.contains(": ") && conventional(&word.to_lowercase()).is_some()
}

/// What a subject says of itself.
pub(super) struct Head {
    pub kind: Option<Kind>,
    pub label: Option<String>,
    pub subject: String,
    pub breaking: bool,
}

impl Head {
    pub(super) fn of(title: &str) -> Self {
        if let Some((tag, subject)) = title.strip_prefix('[').and_then(|rest| rest.split_once(']'))
            && !subject.trim().is_empty()
            && !tag.is_empty()
            && !tag.contains(' ')
        {
            return Self::tagged(tag, subject);
        }
        let plain = Self { kind: None, label: None, subject: trimmed(title), breaking: false };
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
            let label = scope.map(str::trim).filter(|scope| !scope.is_empty()).map(str::to_owned);
            return Self { kind: kind.known(), label, subject: trimmed(subject), breaking };
        }
        // `net/http: close idle connections`: one word, perhaps a few separated by commas, names the part.
        let names = head.chars().count() <= 40
            && !head.contains(['"', '`'])
            && head.split(", ").all(|part| !part.contains(' '));
        if names {
            return Self { kind: None, label: Some(head.to_owned()), subject: trimmed(subject), breaking: false };
        }
        plain
    }
}

/// Without a full stop, and without the number of the request it came by: the hash leads there.
fn trimmed(subject: &str) -> String {
    let mut subject = subject.trim();
    while let Some((rest, number)) = subject.rsplit_once(" (#") {
        if rest.is_empty() || !number.strip_suffix(')').is_some_and(|n| n.bytes().all(|byte| byte.is_ascii_digit())) {
            break;
        }
        subject = rest.trim_end();
    }
    subject.strip_suffix('.').filter(|rest| !rest.ends_with('.')).unwrap_or(subject).to_owned()
}

impl Head {
    /// `[queue] age waiting jobs`, `[fix] mend it`.
    fn tagged(tag: &str, subject: &str) -> Self {
        let rest = Self::of(subject.trim_start_matches([':', ' ']));
        match conventional(&tag.to_lowercase()) {
            Some(kind) => Self { kind: kind.known().or(rest.kind), ..rest },
            None => Self { label: Some(tag.to_owned()), ..rest },
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

/// Verbs in their stems, matched at the start of the first word, tried in this order.
const VERBS: [(Kind, &str); 11] = [
    (Kind::Feature, "add introduc implement support allow enabl creat provid expos new initial begin"),
    (Kind::Fix, "fix correct repair prevent avoid resolv guard patch hotfix bugfix mend don't workaround"),
    (Kind::Docs, "document doc readme typo comment clarif changelog explain"),
    (Kind::Test, "test cover"),
    (Kind::Dependencies, "bump upgrad pin"),
    (Kind::Refactor, "refactor renam mov clean simplif extract split inlin reorgan tid format lint dedup rustfmt unif"),
    (Kind::Performance, "optimi speed faster cach"),
    (Kind::Revert, "revert"),
    (Kind::Release, "releas"),
    (Kind::Build, "ci"),
    (Kind::Other, "chang"),
];

/// Endings that a short stem may have: "add" is not "address".
const ENDINGS: &str = " s es ed d ing e ies y ied ned ping ped ning ting ance";

fn kind_of_verb(first: &str) -> Option<Kind> {
    let matches = |stem: &str| {
        first.strip_prefix(stem).is_some_and(|rest| stem.len() >= 6 || ENDINGS.split(' ').any(|ending| ending == rest))
    };
    VERBS.iter().find(|(_, stems)| stems.split(' ').any(matches)).map(|(kind, _)| *kind)
}

pub(super) fn kind_of(subject: &str, content: &str) -> Kind {
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
    if let Some(kind) = kind_of_verb(first) {
        return kind;
    }
    let broken = ["fix", "fixes", "bug", "crash", "panic", "panics", "leak", "regression", "deadlock", "overflow"];
    let mut words = lower.split(|c: char| !c.is_alphanumeric());
    if words.any(|word| broken.contains(&word)) { Kind::Fix } else { Kind::Other }
}

/// Releases and new versions of dependencies, whatever files they touch.
fn routine(first: &str, lower: &str) -> Option<Kind> {
    let says = |words: &[&str]| words.iter().any(|word| lower.contains(word));
    let numbered = lower.split(' ').any(|word| is_number(word.trim_end_matches([':', ','])));
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
    word.contains('.') && word.split('.').all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()))
}

fn is_version(subject: &str) -> bool {
    let words = subject.split(' ').count();
    is_number(subject.split(' ').next_back().unwrap_or_default())
        && (words == 1
            || (words <= 3 && ["version", "release", "bump", "tag"].iter().any(|word| subject.starts_with(word))))
}

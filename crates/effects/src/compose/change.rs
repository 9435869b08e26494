//! A commit seen as a change: what kind it is, where it happened, how much it matters.
//!
//! Owns: the facts and the text of a commit, and the one sentence of its message that says more than the subject.
//! Refuses to know: git, pages, the habits of subjects (`subject`).

use std::collections::BTreeSet;

use nightshift_domain::content::Item;

use super::{
    ink,
    reading::Reading,
    sentences,
    subject::{Head, Kind, is_subject, kind_of},
    words::Language,
};

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
        let parts = if fact("parts").is_empty() { fact("areas") } else { fact("parts") };
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
        self.item
            .facts
            .get("short")
            .map_or_else(|| self.item.item_id.get(..8).unwrap_or(&self.item.item_id), String::as_str)
    }

    /// Subject with its label, in one line of Markdown. A part where nearly everything happens is no label.
    pub(super) fn headline(&self, dominant: Option<&str>) -> String {
        let part = Some(self.part.as_str());
        let part = part.filter(|part| !part.is_empty() && *part != "(top level)" && Some(*part) != dominant);
        match self.label.as_deref().or(part) {
            Some(label) => format!("**{}:** {}", ink::escape(label), ink::escape(&ink::shorten(&self.subject, 160))),
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
    let lead = reading.sentences.into_iter().map(|sentence| sentence.text).find(|text| {
        let stems = language.stems(text);
        let said = stems.iter().filter(|stem| known.contains(*stem)).count();
        sentences::stands_alone(text) && !is_subject(text) && text.chars().count() >= 25 && said * 2 < stems.len()
    })?;
    let lead = lead.trim_start_matches("BREAKING CHANGE: ").trim_start_matches("BREAKING-CHANGE: ");
    Some(ink::capital(&ink::shorten(lead, 220)))
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
            text: nightshift_domain::content::Text { digest: crate::text::digest_of(b""), bytes: 0, inline: None },
            facts: [].into(),
        }
    }

    #[test]
    fn subjects_are_understood() {
        for (title, kind, label, subject) in [
            ("feat(queue): age waiting jobs", Kind::Feature, Some("queue"), "age waiting jobs"),
            ("fix!: refuse old epochs.", Kind::Breaking, None, "refuse old epochs"),
            ("net/http: close idle connections", Kind::Other, Some("net/http"), "close idle connections"),
            ("chore: bump tokio to 1.54", Kind::Dependencies, None, "bump tokio to 1.54"),
            ("chore(release): 1.2.0", Kind::Release, Some("release"), "1.2.0"),
            ("Add a page for runs", Kind::Feature, None, "Add a page for runs"),
            ("Address review comments", Kind::Other, None, "Address review comments"),
            ("Fixed the crash on start", Kind::Fix, None, "Fixed the crash on start"),
            ("Crash when the log is empty", Kind::Fix, None, "Crash when the log is empty"),
            ("Update dependencies", Kind::Dependencies, None, "Update dependencies"),
            ("v1.4.0", Kind::Release, None, "v1.4.0"),
            ("Revert \"feat: x\"", Kind::Revert, None, "Revert \"feat: x\""),
            ("Note that this matters: yes", Kind::Other, None, "Note that this matters: yes"),
            ("Prepare 0.16.4: safety fixes (#468)", Kind::Release, None, "Prepare 0.16.4: safety fixes"),
            ("[factory] Bug in the life cycle (#118)", Kind::Fix, Some("factory"), "Bug in the life cycle"),
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
        assert_eq!(Change::of(&item, "Add ageing\n\nfeat: the ageing of jobs that wait in the queue").lead, None);
        assert_eq!(Change::of(&item, "Add ageing\n\nReviewed-by: B <b@c> and all the others here").lead, None);
        assert_eq!(Change::of(&item, "Add ageing\n\nBREAKING CHANGE: the old field is gone").kind, Kind::Breaking);
    }
}

//! What a reader would miss in a draft. Warnings only: a draft is never refused.
//!
//! Owns: the checks and their wording. Refuses to know: how the draft was made, what becomes of the warnings.

use nightshift_domain::content::Material;

/// A document with items behind it and fewer words than this says too little.
const WORDS_MIN: usize = 30;

/// What a draft was asked to hold.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    /// Title of the document.
    pub title: &'a str,
    /// Headings asked for.
    pub sections: &'a [String],
    /// Items the draft was made from.
    pub item_count: usize,
    /// Where the originals of the items are found.
    pub links: &'a [String],
}

/// Checks a draft against the material it was made from.
#[must_use]
pub fn validate_against(markdown: &str, material: &Material) -> Vec<String> {
    let items = || material.groups.iter().flat_map(|group| &group.items);
    let links: Vec<String> = items().filter_map(|item| item.link.clone()).collect();
    let expected = Expected {
        title: &material.brief.title,
        sections: &material.brief.sections,
        item_count: items().count(),
        links: &links,
    };
    validate_draft(markdown, &expected)
}

/// Checks a draft; an empty list means that nothing is missing.
#[must_use]
pub fn validate_draft(markdown: &str, expected: &Expected<'_>) -> Vec<String> {
    let word_count = markdown.split_whitespace().filter(|word| word.contains(char::is_alphanumeric)).count();
    if word_count == 0 {
        return vec!["the draft is empty".to_owned()];
    }
    let headings: Vec<String> = headings(markdown).into_iter().map(plain).collect();
    let has_heading =
        |wanted: &str| headings.iter().any(|heading| format!(" {heading} ").contains(&format!(" {} ", plain(wanted))));
    let mut warnings = Vec::new();
    if !has_heading(expected.title) {
        warnings.push(format!("no heading names the title {:?}", expected.title));
    }
    for section in expected.sections.iter().filter(|section| !has_heading(section)) {
        warnings.push(format!("the section {section:?} was asked for and is missing"));
    }
    if expected.item_count > 0 && word_count < WORDS_MIN {
        let items = expected.item_count;
        warnings.push(format!("{word_count} words about {items} items; fewer than {WORDS_MIN} say too little"));
    }
    if !expected.links.is_empty()
        && !expected.links.iter().any(|link| !link.is_empty() && markdown.contains(link.as_str()))
    {
        warnings.push("no link leads back to a source".to_owned());
    }
    warnings
}

/// Headings outside code blocks, in both of Markdown's forms, without their marks.
fn headings(markdown: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut fence: Option<&str> = None;
    let mut before = "";
    for line in markdown.lines().map(str::trim) {
        let mark = ["```", "~~~"].into_iter().find(|mark| line.starts_with(mark));
        match (fence, mark) {
            (None, Some(mark)) => fence = Some(mark),
            (Some(open), Some(mark)) if open == mark => fence = None,
            (Some(_), _) => {}
            (None, None) if line.starts_with('#') => found.push(line.trim_matches(['#', ' '])),
            (None, None) if is_underline(line) && !before.is_empty() => found.push(before),
            (None, None) => {}
        }
        before = if fence.is_some() { "" } else { line };
    }
    found
}

fn is_underline(line: &str) -> bool {
    line.len() >= 2 && (line.bytes().all(|byte| byte == b'=') || line.bytes().all(|byte| byte == b'-'))
}

/// Lower-case words without marks, so that `**What's new:**` and `what's new` are the same heading.
fn plain(text: &str) -> String {
    let lower = text.to_lowercase();
    let words = lower.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_omission_is_one_warning() {
        let sections = ["What's new".to_owned(), "Next".to_owned()];
        let links = ["https://x.org/1".to_owned(), "git:abc".to_owned()];
        let expected = Expected { title: "Weekly status", sections: &sections, item_count: 2, links: &links };
        let body = "word ".repeat(40);
        let whole = format!(
            "# Weekly status: 9 March\n\n## **What's new**\n\n{body}[a](https://x.org/1)\n\nNext\n----\n\nmore\n"
        );
        for (draft, expected_warnings) in [
            (whole.clone(), vec![]),
            (" \n# \n---\n".to_owned(), vec!["the draft is empty"]),
            (whole.replace("# Weekly status", "# Weekly"), vec!["no heading names the title"]),
            (whole.replace("\n----", ""), vec!["the section \"Next\""]),
            (whole.replace("Next\n----", "```\n# Next\n```"), vec!["the section \"Next\""]),
            (whole.replace("x.org/1", "x.org/2"), vec!["no link leads back"]),
            (whole.replace(&body, ""), vec!["fewer than 30"]),
        ] {
            let warnings = validate_draft(&draft, &expected);
            assert_eq!(warnings.len(), expected_warnings.len(), "{draft}: {warnings:?}");
            for (warning, expected) in warnings.iter().zip(expected_warnings) {
                assert!(warning.contains(expected), "{warning}");
            }
        }
    }

    #[test]
    fn without_items_neither_length_nor_links_are_asked_for() {
        let expected = Expected { title: "Note", sections: &[], item_count: 0, links: &[] };
        assert_eq!(validate_draft("# Note\n\nNothing new.\n", &expected), Vec::<String>::new());
    }
}

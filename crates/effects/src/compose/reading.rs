//! Reading a text for what it says: sentences, and the marks that people leave (tasks, decisions, questions, dates).
//!
//! Owns: how Markdown and plain text come apart; code, tables, front matter and raw HTML are passed over.
//! Refuses to know: which sentences matter, where the text comes from.

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

pub(super) use super::marks::{Mark, MarkKind};
use super::{marks, plain, sentences};

/// Sentences of one text that are kept: ranking compares each with each.
const SENTENCES_MAX: usize = 240;
/// Questions of one text that count as open; a list of many is an FAQ.
const QUESTIONS_MAX: usize = 3;

/// One sentence and where it stood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sentence {
    pub text: String,
    /// Heading above it.
    pub heading: Option<String>,
}

/// What a text says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Reading {
    pub title: Option<String>,
    pub headings: Vec<String>,
    pub sentences: Vec<Sentence>,
    pub marks: Vec<Mark>,
    /// Blocks of code and tables that were passed over.
    pub passed_over: usize,
}

impl Reading {
    pub(super) fn of_markdown(text: &str) -> Self {
        let mut reader = MarkdownReader::default();
        for event in Parser::new_ext(text, options()) {
            reader.event(event);
        }
        reader.flush();
        reader.reading.finished()
    }

    pub(super) fn of_plain(text: &str) -> Self {
        let mut reading = Self::default();
        for block in plain::blocks(text) {
            match block {
                plain::Block::Heading(text) => reading.heading(&text),
                plain::Block::Bullet(text) => reading.block(&text, true),
                plain::Block::Paragraph(text) => reading.block(&text, false),
                plain::Block::Other => reading.passed_over += 1,
            }
        }
        reading.finished()
    }

    fn heading(&mut self, text: &str) {
        let text = crate::text::one_line(text);
        if !text.is_empty() {
            self.title.get_or_insert_with(|| text.clone());
            self.headings.push(text);
        }
    }

    /// Takes a paragraph or a list item; its lines may begin with marks of their own.
    fn block(&mut self, text: &str, bullet: bool) {
        let under = self.headings.last().and_then(|heading| marks::kind_of_heading(heading));
        for piece in marks::pieces(text) {
            let piece = crate::text::one_line(&piece);
            if piece.is_empty() {
                continue;
            }
            if let Some(mark) = marks::mark_of(&piece) {
                self.marks.push(mark);
            } else if let Some(kind) = under.filter(|_| bullet) {
                self.marks.push(Mark { kind, text: piece });
            } else {
                self.prose(&piece);
            }
        }
    }

    fn prose(&mut self, piece: &str) {
        for text in sentences::split(piece) {
            if self.sentences.len() >= SENTENCES_MAX {
                return;
            }
            let questions = self.marks.iter().filter(|mark| mark.kind == MarkKind::Question).count();
            if text.ends_with('?') && sentences::stands_alone(&text) && questions < QUESTIONS_MAX {
                self.marks.push(Mark { kind: MarkKind::Question, text });
            } else {
                if marks::names_a_deadline(&text) {
                    self.marks.push(Mark { kind: MarkKind::Date, text: text.clone() });
                }
                self.sentences.push(Sentence { text, heading: self.headings.last().cloned() });
            }
        }
    }

    fn finished(mut self) -> Self {
        let mut seen = std::collections::BTreeSet::new();
        self.marks.retain(|mark| seen.insert((mark.kind, mark.text.clone())));
        self
    }
}

fn options() -> Options {
    Options::ENABLE_TABLES
        | Options::ENABLE_TASKLISTS
        | Options::ENABLE_STRIKETHROUGH
        | Options::ENABLE_YAML_STYLE_METADATA_BLOCKS
        | Options::ENABLE_PLUSES_DELIMITED_METADATA_BLOCKS
}

/// The first heading of a Markdown text, or the title in its front matter.
pub(crate) fn heading_of(text: &str) -> Option<String> {
    let mut reader = MarkdownReader::default();
    for event in Parser::new_ext(text, options()) {
        reader.event(event);
        if reader.reading.title.is_some() {
            break;
        }
    }
    reader.reading.title
}

/// Whether a text is written in Markdown, by its name or, as many `.txt` files are, by its habits.
pub(crate) fn is_markdown(name: &str, text: &str) -> bool {
    let name = name.to_ascii_lowercase();
    if name.ends_with(".md") || name.ends_with(".markdown") || name.ends_with(".mdx") {
        return true;
    }
    let habits: usize = text
        .lines()
        .map(|line| {
            let line = line.trim();
            let heading = line.trim_start_matches('#');
            let is_heading = heading.len() < line.len() && line.len() - heading.len() <= 6 && heading.starts_with(' ');
            let is_table = line.starts_with('|') && line.contains("---");
            let is_rich = line.matches("**").count() >= 2 || line.contains("](");
            usize::from(is_heading)
                + usize::from(is_table) * 2
                + usize::from(is_rich)
                + usize::from(line.starts_with("```"))
        })
        .sum();
    habits >= 3
}

/// Folds the events of a Markdown parser into a reading.
#[derive(Default)]
struct MarkdownReader {
    reading: Reading,
    buffer: String,
    task: Option<bool>,
    items: usize,
    /// Depth inside things whose text is not prose: code, tables, images, struck text, raw HTML.
    silent: usize,
    front_matter: bool,
}

impl MarkdownReader {
    fn event(&mut self, event: Event<'_>) {
        match event {
            Event::Start(tag) => self.start(&tag),
            Event::End(tag) => self.end(tag),
            Event::Text(text) if self.front_matter => self.front_matter_title(&text),
            Event::Text(text) if self.silent == 0 => self.buffer.push_str(&text),
            Event::Code(code) if self.silent == 0 => self.code(&code),
            Event::SoftBreak | Event::HardBreak if self.silent == 0 => self.buffer.push('\n'),
            Event::TaskListMarker(done) => self.task = Some(done),
            Event::Rule => self.flush(),
            _ => {}
        }
    }

    fn code(&mut self, code: &str) {
        if code.contains('`') {
            self.buffer.push_str(code);
        } else {
            self.buffer.push_str(&format!("`{code}`"));
        }
    }

    fn start(&mut self, tag: &Tag<'_>) {
        match tag {
            Tag::CodeBlock(_) | Tag::Table(_) => {
                self.flush();
                self.reading.passed_over += 1;
                self.silent += 1;
            }
            Tag::Image { .. } | Tag::Strikethrough | Tag::HtmlBlock => self.silent += 1,
            Tag::MetadataBlock(_) => self.front_matter = true,
            Tag::Item => {
                self.flush();
                self.items += 1;
            }
            Tag::Paragraph | Tag::Heading { .. } | Tag::List(_) | Tag::BlockQuote(_) => self.flush(),
            _ => {}
        }
    }

    fn end(&mut self, tag: TagEnd) {
        match tag {
            TagEnd::CodeBlock | TagEnd::Table | TagEnd::Image | TagEnd::Strikethrough | TagEnd::HtmlBlock => {
                self.silent = self.silent.saturating_sub(1);
            }
            TagEnd::MetadataBlock(_) => self.front_matter = false,
            TagEnd::Heading(_) => {
                let heading = std::mem::take(&mut self.buffer);
                self.reading.heading(&heading);
            }
            TagEnd::Paragraph | TagEnd::BlockQuote(_) => self.flush(),
            TagEnd::Item => {
                self.flush();
                self.items = self.items.saturating_sub(1);
                self.task = None;
            }
            _ => {}
        }
    }

    fn flush(&mut self) {
        let text = std::mem::take(&mut self.buffer);
        if text.trim().is_empty() {
            return;
        }
        match self.task.take() {
            Some(done) => {
                let kind = if done { MarkKind::Done } else { MarkKind::Task };
                self.reading.marks.push(Mark { kind, text: crate::text::one_line(&text) });
            }
            None => self.reading.block(&text, self.items > 0),
        }
    }

    fn front_matter_title(&mut self, text: &str) {
        let title = text.lines().find_map(|line| line.strip_prefix("title:").or_else(|| line.strip_prefix("title =")));
        if let Some(title) = title.map(|title| title.trim().trim_matches(['"', '\''])).filter(|title| !title.is_empty())
        {
            self.reading.title.get_or_insert_with(|| crate::text::one_line(title));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(reading: &Reading) -> Vec<&str> {
        reading.sentences.iter().map(|sentence| sentence.text.as_str()).collect()
    }

    const NOTES: &str = "---\ntitle: Planning\n---\n# Week 47\n\nWe met on Monday. The *store* uses `a.b` now.\nTODO: write the guide\n\n```rust\nlet x = 1; // TODO: not a task\n```\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n- [ ] Ship **it**\n- [x] Test it\n- A plain point about leases.\n  - nested point here\n\n## Decisions\n\n- Keep SQLite as the default\n\n**Decision:** retry five times.\n\nShould we raise the limit now? The report is due by 2026-12-01.\n\n<div>raw</div>\n\n~~gone text~~\n";

    #[test]
    fn markdown_comes_apart() {
        let reading = Reading::of_markdown(NOTES);
        assert_eq!(reading.title.as_deref(), Some("Planning"));
        assert_eq!(reading.headings, ["Week 47", "Decisions"]);
        assert_eq!(
            texts(&reading),
            [
                "We met on Monday.",
                "The store uses `a.b` now.",
                "A plain point about leases.",
                "nested point here",
                "The report is due by 2026-12-01."
            ]
        );
        let marks: Vec<_> = reading.marks.iter().map(|mark| (mark.kind, mark.text.as_str())).collect();
        assert_eq!(
            marks,
            [
                (MarkKind::Task, "write the guide"),
                (MarkKind::Task, "Ship it"),
                (MarkKind::Done, "Test it"),
                (MarkKind::Decision, "Keep SQLite as the default"),
                (MarkKind::Decision, "retry five times."),
                (MarkKind::Question, "Should we raise the limit now?"),
                (MarkKind::Date, "The report is due by 2026-12-01."),
            ]
        );
        assert_eq!(reading.passed_over, 2);
    }

    #[test]
    fn odd_texts_are_read_without_harm() {
        for odd in
            ["", "\n\n", "---\n", "```", "- [ ]", "# ", "> > > deep", "\u{feff}# x", "|a|\n|-|", "<!-- c -->", "[x]: y"]
        {
            let _ = Reading::of_markdown(odd);
            let _ = Reading::of_plain(odd);
        }
        assert_eq!(heading_of("\n\n## Second *level*\n# First"), Some("Second level".to_owned()));
        assert_eq!(heading_of("no heading"), None);
        assert!(is_markdown("a.MD", "") && is_markdown("a.txt", "# A\n\n**b** c\n\n```\nx\n```\n"));
        assert!(!is_markdown("a.txt", "# a comment\n# another\n\nplain words * and more\n"));
    }
}

//! Plain text in blocks: headings, list items, paragraphs, and what is neither (tables, listings, drawings).
//!
//! Owns: the habits of people who write `.txt` files.
//! Refuses to know: sentences.

/// A piece of a plain text.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Block {
    Heading(String),
    Bullet(String),
    Paragraph(String),
    Other,
}

const HEADING_CHARS_MAX: usize = 70;

pub(super) fn blocks(text: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let paragraphs = paragraphs(text);
    for (at, paragraph) in paragraphs.iter().enumerate() {
        match paragraph.as_slice() {
            // A text that opens with one short line has told its title.
            [line] if at == 0 && paragraphs.len() > 1 && is_title(line.trim()) => {
                blocks.push(Block::Heading(line.trim().to_owned()));
            }
            lines => take(lines, &mut blocks),
        }
    }
    blocks
}

fn paragraphs(text: &str) -> Vec<Vec<&str>> {
    let mut all = vec![Vec::new()];
    for line in text.lines() {
        if line.trim().is_empty() {
            all.push(Vec::new());
        } else if let Some(last) = all.last_mut() {
            last.push(line);
        }
    }
    all.retain(|lines| !lines.is_empty());
    all
}

fn take(lines: &[&str], blocks: &mut Vec<Block>) {
    if lines.iter().all(|line| is_rule(line)) {
        return;
    }
    if let [title, rule, rest @ ..] = lines
        && is_rule(rule)
        && title.trim().chars().count() <= HEADING_CHARS_MAX
    {
        blocks.push(Block::Heading(title.trim().to_owned()));
        if !rest.is_empty() {
            take(rest, blocks);
        }
        return;
    }
    if let [line] = lines
        && is_heading(line.trim())
    {
        blocks.push(Block::Heading(line.trim().trim_start_matches('#').trim().to_owned()));
        return;
    }
    if is_drawn(lines) {
        blocks.push(Block::Other);
        return;
    }
    let mut current: Option<(bool, String)> = None;
    for line in lines {
        let (bullet, text) = bullet(line);
        match &mut current {
            Some((_, so_far)) if !bullet => {
                so_far.push('\n');
                so_far.push_str(text);
            }
            _ => {
                blocks.extend(current.take().map(block));
                current = Some((bullet, text.to_owned()));
            }
        }
    }
    blocks.extend(current.map(block));
}

fn block((bullet, text): (bool, String)) -> Block {
    if bullet { Block::Bullet(text) } else { Block::Paragraph(text) }
}

fn is_rule(line: &str) -> bool {
    let line = line.trim();
    line.len() >= 3 && line.chars().all(|c| matches!(c, '=' | '-' | '~' | '*' | '_' | '#' | '+'))
}

fn is_title(line: &str) -> bool {
    let letters = line.chars().filter(|c| c.is_alphabetic()).count();
    letters >= 3
        && line.chars().count() <= HEADING_CHARS_MAX
        && !line.ends_with(['.', ',', ';', ':', '!', '?'])
        && !bullet(line).0
}

/// A short line in capitals, or one that begins like a Markdown heading.
fn is_heading(line: &str) -> bool {
    let letters = line.chars().filter(|c| c.is_alphabetic()).count();
    let short = line.chars().count() <= HEADING_CHARS_MAX && letters >= 3;
    let capitals = line.chars().all(|c| !c.is_lowercase()) && line.chars().any(char::is_uppercase);
    short && !line.ends_with(['.', ',', ';']) && (capitals || line.starts_with("# ") || line.starts_with("## "))
}

/// Columns, listings and drawings: wide gaps or few letters on most lines.
fn is_drawn(lines: &[&str]) -> bool {
    let odd = lines.iter().filter(|line| {
        let line = line.trim();
        let (total, letters) = (line.chars().count(), line.chars().filter(|c| c.is_alphabetic() || *c == ' ').count());
        let gap = line.contains("   ") || line.contains('\t');
        gap || letters * 100 < total * 65
    });
    odd.count() * 2 > lines.len()
}

fn bullet(line: &str) -> (bool, &str) {
    let text = line.trim();
    for sign in ["- ", "* ", "+ ", "• ", "o "] {
        if let Some(rest) = text.strip_prefix(sign) {
            return (true, rest.trim());
        }
    }
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    if (1..=3).contains(&digits) {
        let rest = &text[digits..];
        if let Some(rest) = rest.strip_prefix(". ").or_else(|| rest.strip_prefix(") ")) {
            return (true, rest.trim());
        }
    }
    (false, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_comes_apart() {
        let text = "Title\n=====\n\nFirst line\nof a paragraph.\n\nNOTES AND HINTS\n\n * one thing\n   goes on\n 2) another\n\nname      size    date\nfile      12      today\n\n-----\n";
        assert_eq!(
            blocks(text),
            [
                Block::Heading("Title".into()),
                Block::Paragraph("First line\nof a paragraph.".into()),
                Block::Heading("NOTES AND HINTS".into()),
                Block::Bullet("one thing\ngoes on".into()),
                Block::Bullet("another".into()),
                Block::Other,
            ]
        );
        assert!(blocks("").is_empty());
        assert_eq!(blocks("An idea\n\nIt works.")[0], Block::Heading("An idea".into()));
        assert_eq!(blocks("Only one line"), [Block::Paragraph("Only one line".into())]);
    }
}

//! A lexer that knows comments, strings and characters of Rust, and nothing else.
//!
//! Owns: splitting a source into code, comments and string literals, so that a rule about code is not fooled by
//! a sentence. Invariant: masked text has the same length in characters and the same lines as the source.

/// A string literal of a source, without its quotes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Literal {
    /// The line it begins on, counted from 1.
    pub line: usize,
    /// What stands between the quotes, escapes as written.
    pub text: String,
}

/// A source taken apart.
#[derive(Debug, Clone, Default)]
pub struct Source {
    /// The source with comments, and the inside of strings and characters, replaced by blanks.
    pub code: String,
    /// The source with everything but comments replaced by blanks.
    pub comments: String,
    /// The string literals in order.
    pub literals: Vec<Literal>,
}

/// Takes a source apart.
#[must_use]
pub fn lex(text: &str) -> Source {
    let mut lexer = Lexer { chars: text.chars().collect(), at: 0, line: 1, out: Source::default() };
    while lexer.at < lexer.chars.len() {
        lexer.token();
    }
    lexer.out
}

#[derive(Clone, Copy, PartialEq)]
enum Into {
    Code,
    Comment,
    Nothing,
}

struct Lexer {
    chars: Vec<char>,
    at: usize,
    line: usize,
    out: Source,
}

impl Lexer {
    fn peek(&self, ahead: usize) -> char {
        self.chars.get(self.at + ahead).copied().unwrap_or('\0')
    }

    /// Moves one character on and writes it to where it belongs; line ends belong to both.
    fn take(&mut self, into: Into) -> char {
        let c = self.chars[self.at];
        self.at += 1;
        self.line += usize::from(c == '\n');
        let blank = if c == '\n' { '\n' } else { ' ' };
        self.out.code.push(if into == Into::Code { c } else { blank });
        self.out.comments.push(if into == Into::Comment { c } else { blank });
        c
    }

    fn token(&mut self) {
        match (self.peek(0), self.peek(1)) {
            ('/', '/') => self.line_comment(),
            ('/', '*') => self.block_comment(),
            ('"', _) => self.string(),
            ('\'', _) => self.character_or_lifetime(),
            (c, _) if c.is_alphabetic() || c == '_' => self.word(),
            _ => {
                self.take(Into::Code);
            }
        }
    }

    fn line_comment(&mut self) {
        while self.at < self.chars.len() && self.peek(0) != '\n' {
            self.take(Into::Comment);
        }
    }

    fn block_comment(&mut self) {
        let mut depth = 0usize;
        while self.at < self.chars.len() {
            match (self.peek(0), self.peek(1)) {
                ('/', '*') => depth += 1,
                ('*', '/') => depth -= 1,
                _ => {
                    self.take(Into::Comment);
                    continue;
                }
            }
            self.take(Into::Comment);
            self.take(Into::Comment);
            if depth == 0 {
                return;
            }
        }
    }

    fn string(&mut self) {
        let line = self.line;
        let mut text = String::new();
        self.take(Into::Code);
        while self.at < self.chars.len() && self.peek(0) != '"' {
            if self.peek(0) == '\\' && self.at + 1 < self.chars.len() {
                text.push(self.take(Into::Nothing));
            }
            text.push(self.take(Into::Nothing));
        }
        if self.at < self.chars.len() {
            self.take(Into::Code);
        }
        self.out.literals.push(Literal { line, text });
    }

    /// A word; `r"`, `r#"`, `b"`, `br#"`, `c"` begin a string, `r#name` is a word.
    fn word(&mut self) {
        let mut word = String::new();
        while self.peek(0).is_alphanumeric() || self.peek(0) == '_' {
            word.push(self.take(Into::Code));
        }
        let raw = matches!(word.as_str(), "r" | "br" | "cr");
        let hashes = (0..).take_while(|ahead| self.peek(*ahead) == '#').count();
        if raw && self.peek(hashes) == '"' {
            self.raw_string(hashes);
        }
    }

    fn raw_string(&mut self, hashes: usize) {
        let line = self.line;
        let mut text = String::new();
        (0..=hashes).for_each(|_| {
            self.take(Into::Code);
        });
        while self.at < self.chars.len() {
            if self.peek(0) == '"' && (1..=hashes).all(|ahead| self.peek(ahead) == '#') {
                (0..=hashes).for_each(|_| {
                    self.take(Into::Code);
                });
                break;
            }
            text.push(self.take(Into::Nothing));
        }
        self.out.literals.push(Literal { line, text });
    }

    /// `'a'` and `'\n'` are characters, `'a` is a lifetime.
    fn character_or_lifetime(&mut self) {
        let is_character = self.peek(1) == '\\' || self.peek(2) == '\'';
        self.take(Into::Code);
        if !is_character {
            return;
        }
        while self.at < self.chars.len() && self.peek(0) != '\'' {
            if self.peek(0) == '\\' && self.at + 1 < self.chars.len() {
                self.take(Into::Nothing);
            }
            self.take(Into::Nothing);
        }
        if self.at < self.chars.len() {
            self.take(Into::Code);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_keeps_its_place_and_loses_words() {
        let cases = [
            ("a // b\nc", "a     \nc"),
            ("a /* b /* c */ d */ e", "a                   e"),
            (r#"f("x{y", 'z')"#, r#"f("   ", ' ')"#),
            (r#"f("a\"b") g"#, r#"f("    ") g"#),
            ("r#\"a\"b\"# c", "r#\"   \"# c"),
            ("fn f<'a>(x: &'a str) {}", "fn f<'a>(x: &'a str) {}"),
            (r"('\'', '{', '\\') }", r"('  ', ' ', '  ') }"),
            ("let r#type = br\"{\";", "let r#type = br\" \";"),
            ("\"open", "\"    "),
        ];
        for (source, code) in cases {
            assert_eq!(lex(source).code, code, "of {source}");
        }
    }

    #[test]
    fn literals_and_comments_are_kept_apart() {
        let source = lex("let a = \"one\";\n// two\nlet b = r#\"three\"#;");
        let texts: Vec<_> = source.literals.iter().map(|literal| (literal.line, literal.text.as_str())).collect();
        assert_eq!(texts, [(1, "one"), (3, "three")]);
        assert_eq!(source.comments.trim(), "// two");
    }
}

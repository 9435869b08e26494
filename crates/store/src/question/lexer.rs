//! SQL cut into tokens.
//!
//! Owns: where texts, quoted names and comments begin and end, so that nothing inside them is taken for SQL.
//! Refuses to know: grammar.

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Blanks and comments.
    Space,
    /// A keyword, or a name without quotes.
    Word,
    /// A name in double quotes.
    Name,
    /// A text in single quotes.
    Text,
    /// A number.
    Number,
    /// `::`.
    Cast,
    /// `(`.
    Open,
    /// `)`.
    Close,
    /// `.`.
    Dot,
    /// `;`.
    End,
    /// Anything else, one character of it.
    Sign,
    /// An expression that was put together; it goes where a name can.
    Whole,
}

/// A piece of SQL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Token {
    /// What it is.
    pub(crate) kind: Kind,
    /// As it was written.
    pub(crate) text: String,
}

impl Token {
    /// It is this keyword.
    pub(crate) fn is(&self, keyword: &str) -> bool {
        self.kind == Kind::Word && self.text.eq_ignore_ascii_case(keyword)
    }
}

/// Cuts SQL into tokens; together they are the text again.
///
/// # Errors
/// A quote or a comment has no end; the message says which.
pub(crate) fn tokens(sql: &str) -> Result<Vec<Token>, String> {
    let mut rest = sql;
    let mut tokens = Vec::new();
    while let Some(first) = rest.chars().next() {
        let (kind, length) = next(rest, first).map_err(|what| {
            let line = sql[..sql.len() - rest.len()].matches('\n').count() + 1;
            format!("{what} that begins on line {line} has no end")
        })?;
        let (text, behind) = rest.split_at(length);
        tokens.push(Token { kind, text: text.to_owned() });
        rest = behind;
    }
    Ok(tokens)
}

/// The kind of the token at the beginning, and its length in bytes; else what has no end.
fn next(rest: &str, first: char) -> Result<(Kind, usize), &'static str> {
    let run = |belongs: fn(char) -> bool| rest.find(|c| !belongs(c)).unwrap_or(rest.len());
    Ok(match first {
        _ if first.is_whitespace() => (Kind::Space, run(char::is_whitespace)),
        '-' if rest.starts_with("--") => (Kind::Space, rest.find('\n').unwrap_or(rest.len())),
        '/' if rest.starts_with("/*") => (Kind::Space, comment(rest).ok_or("the comment")?),
        '\'' => (Kind::Text, quoted(rest, '\'').ok_or("the text")?),
        '"' => (Kind::Name, quoted(rest, '"').ok_or("the name")?),
        '0'..='9' => (Kind::Number, run(|c| c.is_ascii_alphanumeric() || c == '.' || c == '_')),
        _ if first.is_alphabetic() || first == '_' => {
            (Kind::Word, run(|c| c.is_alphanumeric() || c == '_' || c == '$'))
        }
        ':' if rest.starts_with("::") => (Kind::Cast, 2),
        '(' => (Kind::Open, 1),
        ')' => (Kind::Close, 1),
        '.' => (Kind::Dot, 1),
        ';' => (Kind::End, 1),
        _ => (Kind::Sign, first.len_utf8()),
    })
}

/// Length of what stands between quotes; a doubled quote is one inside.
fn quoted(rest: &str, quote: char) -> Option<usize> {
    let mut at = 1;
    loop {
        at += rest[at..].find(quote)? + 1;
        if !rest[at..].starts_with(quote) {
            return Some(at);
        }
        at += 1;
    }
}

/// Length of a comment, with comments inside it as PostgreSQL has them.
fn comment(rest: &str) -> Option<usize> {
    let (mut depth, mut at) = (0_usize, 0);
    loop {
        let here = &rest[at..];
        let step = if here.starts_with("/*") {
            depth += 1;
            2
        } else if here.starts_with("*/") {
            depth -= 1;
            2
        } else {
            here.chars().next()?.len_utf8()
        };
        at += step;
        if depth == 0 {
            return Some(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_and_comments_hide_what_is_inside() {
        let sql = "select 'it''s; ::x', \"a\"\"b\" -- c::d\n/* e /* f */ ; */ from t.u where n=1.5::int;";
        let tokens = tokens(sql).expect("whole");
        let shown: Vec<(Kind, &str)> = tokens
            .iter()
            .filter(|token| token.kind != Kind::Space)
            .map(|token| (token.kind, token.text.as_str()))
            .collect();
        let expected = [
            (Kind::Word, "select"),
            (Kind::Text, "'it''s; ::x'"),
            (Kind::Sign, ","),
            (Kind::Name, "\"a\"\"b\""),
            (Kind::Word, "from"),
            (Kind::Word, "t"),
            (Kind::Dot, "."),
            (Kind::Word, "u"),
            (Kind::Word, "where"),
            (Kind::Word, "n"),
            (Kind::Sign, "="),
            (Kind::Number, "1.5"),
            (Kind::Cast, "::"),
            (Kind::Word, "int"),
            (Kind::End, ";"),
        ];
        assert_eq!(shown, expected);
        assert_eq!(tokens.iter().map(|token| token.text.as_str()).collect::<String>(), sql);
    }

    #[test]
    fn what_has_no_end_is_named_with_its_line() {
        for (sql, what) in [
            ("a\n'b", "the text that begins on line 2"),
            ("\"b", "the name that begins on line 1"),
            ("/* /* */", "the comment that begins on line 1"),
        ] {
            let fault = tokens(sql).unwrap_err();
            assert!(fault.starts_with(what), "{sql}: {fault}");
        }
    }
}

//! Questions in the SQL of PostgreSQL, in that of SQLite.
//!
//! Owns: what the printed queries of the tables use and SQLite does not read: `expression::type`, `NOW()`, intervals, `ILIKE`.
//! Everything else is handed on as it is, and SQLite says what it does not know.
//! Refuses to know: tables. What cannot be said with the same meaning is refused by name, never guessed.
//!
//! Differences that remain: texts are compared by `LIKE` whatever the case of A to Z; instants are counted in milliseconds
//! where an interval is added to them.

use super::lexer::{Kind, Token, tokens};

/// How SQLite prints instants as the tables keep them: six decimals and `Z`.
const INSTANT: &str = "'%Y-%m-%dT%H:%M:%f000Z'";

/// Words before a parenthesis that are no function.
const NO_FUNCTION: [&str; 31] = [
    "all",
    "and",
    "any",
    "as",
    "between",
    "by",
    "case",
    "distinct",
    "else",
    "except",
    "exists",
    "from",
    "having",
    "ilike",
    "in",
    "intersect",
    "is",
    "join",
    "like",
    "limit",
    "not",
    "offset",
    "on",
    "or",
    "select",
    "then",
    "union",
    "using",
    "values",
    "when",
    "where",
];

/// The same question for SQLite. `now` is what `NOW()` means, as the tables keep instants.
///
/// # Errors
/// It has more than one statement, or something that SQLite has no equal for; the message says what.
pub(crate) fn for_sqlite(sql: &str, now: &str) -> Result<String, String> {
    let tokens = tokens(sql)?;
    let statement: Vec<Token> = match tokens.iter().position(|token| token.kind == Kind::End) {
        None => tokens,
        Some(end) if tokens[end..].iter().all(|token| matches!(token.kind, Kind::End | Kind::Space)) => {
            tokens[..end].to_vec()
        }
        Some(_) => return Err("one statement at a time: drop what stands behind the first `;`".to_owned()),
    };
    let mut translator = Translator { ahead: statement.into_iter().rev().collect(), done: Vec::new(), now };
    translator.run()?;
    Ok(translator.done.into_iter().map(|token| token.text).collect())
}

struct Translator<'n> {
    /// What is to be read, the next at the end.
    ahead: Vec<Token>,
    /// What is translated.
    done: Vec<Token>,
    now: &'n str,
}

impl Translator<'_> {
    fn run(&mut self) -> Result<(), String> {
        while let Some(token) = self.ahead.pop() {
            match token.kind {
                Kind::Cast => self.cast()?,
                Kind::Word if token.is("now") && self.takes_empty_parentheses() => self.put_now(),
                Kind::Word if token.is("current_timestamp") => self.put_now(),
                Kind::Word if token.is("ilike") => self.done.push(Token { text: "LIKE".to_owned(), ..token }),
                Kind::Word if token.is("interval") => self.interval(&token)?,
                _ => self.done.push(token),
            }
        }
        Ok(())
    }

    fn put_now(&mut self) {
        self.done.push(whole(format!("'{}'", self.now)));
    }

    /// Takes `()` if it comes next.
    fn takes_empty_parentheses(&mut self) -> bool {
        let mut coming = (0..self.ahead.len()).rev().filter(|at| self.ahead[*at].kind != Kind::Space);
        let (Some(open), Some(close)) = (coming.next(), coming.next()) else { return false };
        let empty = self.ahead[open].kind == Kind::Open && self.ahead[close].kind == Kind::Close;
        if empty {
            self.ahead.truncate(close);
        }
        empty
    }

    /// The next token that is no space, taken.
    fn taken(&mut self) -> Option<Token> {
        while self.ahead.pop_if(|token| token.kind == Kind::Space).is_some() {}
        self.ahead.pop()
    }

    /// The next token that is no space is a keyword of these: takes it.
    fn takes(&mut self, keywords: &[&str]) -> bool {
        let next = self.ahead.iter().rev().find(|token| token.kind != Kind::Space);
        let here = next.is_some_and(|token| keywords.iter().any(|keyword| token.is(keyword)));
        if here {
            self.taken();
        }
        here
    }

    /// `expression::type`, behind the colons.
    fn cast(&mut self) -> Result<(), String> {
        let name = self.type_name()?;
        let from = operand(&self.done).ok_or_else(|| format!("there is nothing to be made a {name} before `::`"))?;
        let what: String = self.done.drain(from..).map(|token| token.text).collect();
        let what = what.trim();
        let made = match name.as_str() {
            "decimal" | "numeric" | "real" | "float" | "float4" | "float8" | "double" => {
                format!("CAST({what} AS REAL)")
            }
            // PostgreSQL rounds, a cast of SQLite cuts off.
            "int" | "integer" | "int2" | "int4" | "int8" | "smallint" | "bigint" => {
                format!("CAST(ROUND({what}) AS INTEGER)")
            }
            "text" | "varchar" | "uuid" => format!("CAST({what} AS TEXT)"),
            "json" | "jsonb" => format!("json({what})"),
            "date" => format!("date({what})"),
            "timestamp" | "timestamptz" => format!("strftime({INSTANT}, {what})"),
            _ => return Err(format!("`::{name}` has no equal in SQLite; ask without it")),
        };
        self.done.push(whole(made));
        Ok(())
    }

    /// A type, with all its words; precision is left out.
    fn type_name(&mut self) -> Result<String, String> {
        let name = self.taken().filter(|token| matches!(token.kind, Kind::Word | Kind::Name));
        let name = name.ok_or_else(|| "a type is missing behind `::`".to_owned())?.text.to_lowercase();
        let name = match name.as_str() {
            "double" if self.takes(&["precision"]) => name,
            "character" | "char" => {
                self.takes(&["varying"]);
                "text".to_owned()
            }
            _ => name,
        };
        let is_next = |ahead: &[Token], text: &str| {
            ahead.iter().rev().find(|token| token.kind != Kind::Space).is_some_and(|token| token.text == text)
        };
        if is_next(&self.ahead, "(") {
            while self.taken().is_some_and(|token| token.kind != Kind::Close) {}
        }
        if matches!(name.as_str(), "timestamp" | "time") && self.takes(&["with", "without"]) {
            self.takes(&["time"]);
            self.takes(&["zone"]);
        }
        if is_next(&self.ahead, "[") {
            return Err(format!("`::{name}[]`: SQLite has no lists"));
        }
        Ok(name)
    }

    /// `instant - INTERVAL '1 hour'`, behind the keyword.
    fn interval(&mut self, keyword: &Token) -> Result<(), String> {
        let needed = || "an interval can be added to an instant, or taken off it: NOW() - INTERVAL '1 hour'".to_owned();
        let Some(text) = self.taken().filter(|token| token.kind == Kind::Text) else { return Err(needed()) };
        let before = self.done.iter().rposition(|token| token.kind != Kind::Space).ok_or_else(needed)?;
        let sign = self.done[before].text.clone();
        if !matches!(sign.as_str(), "+" | "-") {
            return Err(needed());
        }
        let from = operand(&self.done[..before]).ok_or_else(needed)?;
        let modifiers = modifiers(text.text.trim_matches('\''), &sign)
            .ok_or_else(|| format!("{} {}: write e.g. '90 minutes' or '1 day 2 hours'", keyword.text, text.text))?;
        let instant: String = self.done[from..before].iter().map(|token| token.text.as_str()).collect();
        self.done.truncate(from);
        self.done.push(whole(format!("strftime({INSTANT}, {}{modifiers})", instant.trim())));
        Ok(())
    }
}

fn whole(text: String) -> Token {
    Token { kind: Kind::Whole, text }
}

/// An interval as arguments of SQLite's `strftime`.
fn modifiers(text: &str, sign: &str) -> Option<String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let (pairs, []) = words.as_chunks::<2>() else { return None };
    let pairs = pairs.iter().map(|[number, unit]| {
        let number: f64 = number.parse().ok()?;
        let (number, unit) = match unit.to_lowercase().trim_end_matches('s') {
            "second" | "sec" => (number, "seconds"),
            "minute" | "min" => (number, "minutes"),
            "hour" => (number, "hours"),
            "day" => (number, "days"),
            "week" => (number * 7.0, "days"),
            "month" | "mon" => (number, "months"),
            "year" => (number, "years"),
            _ => return None,
        };
        let number = if sign == "-" { -number } else { number };
        Some(format!(", '{number:+} {unit}'"))
    });
    let all: Option<String> = pairs.collect();
    all.filter(|all| !all.is_empty())
}

/// Where the expression begins that ends the tokens, as far as a cast reaches: a value, a name, a call with what belongs to it,
/// parentheses, or a CASE.
fn operand(done: &[Token]) -> Option<usize> {
    let last = done.iter().rposition(|token| token.kind != Kind::Space)?;
    match done[last].kind {
        Kind::Text | Kind::Number | Kind::Whole => Some(last),
        Kind::Word if done[last].is("end") => case(done, last),
        Kind::Word | Kind::Name => Some(qualified(done, last)),
        Kind::Close => {
            let open = opening(done, last)?;
            let Some(before) = done[..open].iter().rposition(|token| token.kind != Kind::Space) else {
                return Some(open);
            };
            let token = &done[before];
            if token.is("filter") || token.is("over") {
                return operand(&done[..before]);
            }
            let calls = token.kind == Kind::Name
                || (token.kind == Kind::Word && !NO_FUNCTION.contains(&token.text.to_lowercase().as_str()));
            Some(if calls { qualified(done, before) } else { open })
        }
        _ => None,
    }
}

/// Where a name begins that has others before it: `a.b.c`.
fn qualified(done: &[Token], mut at: usize) -> usize {
    while at >= 2 && done[at - 1].kind == Kind::Dot && matches!(done[at - 2].kind, Kind::Word | Kind::Name) {
        at -= 2;
    }
    at
}

/// The parenthesis that the one at `close` closes.
fn opening(done: &[Token], close: usize) -> Option<usize> {
    let mut depth = 0_usize;
    for at in (0..=close).rev() {
        match done[at].kind {
            Kind::Close => depth += 1,
            Kind::Open => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(at);
        }
    }
    None
}

/// The CASE that the END at `end` ends.
fn case(done: &[Token], end: usize) -> Option<usize> {
    let mut depth = 0_usize;
    for at in (0..=end).rev() {
        if done[at].is("end") {
            depth += 1;
        } else if done[at].is("case") {
            depth -= 1;
        }
        if depth == 0 {
            return Some(at);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: &str = "2026-03-02T09:00:00.000000Z";

    #[test]
    fn what_sqlite_does_not_read_is_said_in_its_words() {
        for (asked, expected) in [
            ("SELECT 1;", "SELECT 1"),
            ("a < NOW()", "a < '2026-03-02T09:00:00.000000Z'"),
            ("a < now ( ) ; ", "a < '2026-03-02T09:00:00.000000Z' "),
            ("CURRENT_TIMESTAMP", "'2026-03-02T09:00:00.000000Z'"),
            ("select now from t", "select now from t"),
            ("a ILIKE 'X%'", "a LIKE 'X%'"),
            ("'NOW()::int' -- ::int", "'NOW()::int' -- ::int"),
            ("x::decimal", "CAST(x AS REAL)"),
            ("t.x::double precision", "CAST(t.x AS REAL)"),
            ("COUNT(*)::numeric(10, 2) / 3", "CAST(COUNT(*) AS REAL) / 3"),
            (
                "ROUND(COUNT(*) FILTER (WHERE s = 'a')::decimal / COUNT(*), 2)",
                "ROUND(CAST(COUNT(*) FILTER (WHERE s = 'a') AS REAL) / COUNT(*), 2)",
            ),
            ("sum(x) over (order by y)::int", "CAST(ROUND(sum(x) over (order by y)) AS INTEGER)"),
            ("WHERE (a + b)::text = 'x'", "WHERE CAST((a + b) AS TEXT) = 'x'"),
            ("-1::text", "-CAST(1 AS TEXT)"),
            ("a::text::int", "CAST(ROUND(CAST(a AS TEXT)) AS INTEGER)"),
            (
                "CASE WHEN a THEN CASE b WHEN 1 THEN 2 END END::float8",
                "CAST(CASE WHEN a THEN CASE b WHEN 1 THEN 2 END END AS REAL)",
            ),
            ("\"Odd name\"::date", "date(\"Odd name\")"),
            ("x::timestamp with time zone = 1", "strftime('%Y-%m-%dT%H:%M:%f000Z', x) = 1"),
            ("x::character varying(3)", "CAST(x AS TEXT)"),
            (
                "a > NOW() - INTERVAL '1 day 2 hours'",
                "a > strftime('%Y-%m-%dT%H:%M:%f000Z', '2026-03-02T09:00:00.000000Z', '-1 days', '-2 hours')",
            ),
            ("t.at + interval '2 weeks' < b", "strftime('%Y-%m-%dT%H:%M:%f000Z', t.at, '+14 days') < b"),
        ] {
            assert_eq!(for_sqlite(asked, NOW).as_deref(), Ok(expected), "{asked}");
        }
    }

    #[test]
    fn what_cannot_be_said_is_refused_by_name() {
        for (asked, why) in [
            ("select 1; select 2", "one statement"),
            ("x::boolean", "`::boolean`"),
            ("x::int[]", "no lists"),
            ("= ::int", "nothing to be made a int"),
            ("x::", "a type is missing"),
            ("interval '1 day'", "NOW() - INTERVAL"),
            ("a - interval 'P1D'", "P1D"),
            ("'open", "has no end"),
        ] {
            let fault = for_sqlite(asked, NOW).unwrap_err();
            assert!(fault.contains(why), "{asked}: {fault}");
        }
    }
}

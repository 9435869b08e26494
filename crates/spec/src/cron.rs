//! Five-field cron expressions.
//!
//! Owns: their grammar (Vixie's: numbers, names, `*`, lists, ranges, steps) and what is wrong with one.
//! Refuses to know: seconds, years, `L`, `W`, `#`, macros, zones. An expression that needs them is refused with the
//! form that does the same here.

use crate::pattern::{DAYS_ALL, Pattern, WEEKDAYS_ALL};

/// What a cron expression looks like, for messages.
pub const FORM: &str = "five fields: minute hour day-of-month month day-of-week, e.g. \"0 18 * * SUN\"";

/// A cron expression that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cron {
    pub(crate) pattern: Pattern,
    /// Parts that are legal but surely do not mean what they say, e.g. `*/60`.
    pub(crate) doubts: Vec<CronError>,
}

/// What is wrong with a cron expression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("found {found:?}; allowed: {allowed}{}", tail(remedy))]
pub struct CronError {
    /// The part that is at fault.
    pub found: String,
    /// What may stand there.
    pub allowed: String,
    /// What to write instead, when known.
    pub remedy: Option<String>,
}

fn tail(remedy: &Option<String>) -> String {
    remedy.as_ref().map(|remedy| format!("; {remedy}")).unwrap_or_default()
}

struct Field {
    name: &'static str,
    low: u8,
    high: u8,
    names: &'static [&'static str],
}

const FIELDS: [Field; 5] = [
    Field { name: "minute", low: 0, high: 59, names: &[] },
    Field { name: "hour", low: 0, high: 23, names: &[] },
    Field { name: "day of month", low: 1, high: 31, names: &[] },
    Field {
        name: "month",
        low: 1,
        high: 12,
        names: &["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"],
    },
    Field { name: "day of week", low: 0, high: 7, names: &["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"] },
];

const MACROS: [(&str, &str); 7] = [
    ("@hourly", "0 * * * *"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@weekly", "0 0 * * 0"),
    ("@monthly", "0 0 1 * *"),
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
];

impl Cron {
    /// Reads an expression.
    ///
    /// # Errors
    /// It is no five-field expression, or it names a date that never comes.
    pub fn parse(expression: &str) -> Result<Self, CronError> {
        let texts = split_fields(expression)?;
        let mut masks = [0_u64; 5];
        let mut doubts = Vec::new();
        for ((mask, field), text) in masks.iter_mut().zip(&FIELDS).zip(&texts) {
            *mask = field.parse(text, &mut doubts)?;
        }
        let [minutes, hours, days, months, weekdays] = masks;
        let [day_text, weekday_text] = [texts[2], texts[4]];
        let pattern = Pattern {
            months: u16::try_from(months).unwrap_or(0),
            days: u32::try_from(days).unwrap_or(0) & DAYS_ALL,
            weekdays: monday_first(weekdays),
            // Vixie looks at the first character only: `*/2` counts as a star, and then both fields must match.
            either: !day_text.starts_with('*') && !weekday_text.starts_with('*'),
            fortnight: false,
            hours: u32::try_from(hours).unwrap_or(0),
            minutes,
            elapsed: texts[..2].iter().any(|text| text.contains(['*', '/'])),
        };
        if !pattern.ever_matches() {
            return Err(CronError {
                found: expression.to_owned(),
                allowed: "a date that exists".to_owned(),
                remedy: Some("no such day of month comes in the months given, so it would never fire".to_owned()),
            });
        }
        Ok(Self { pattern, doubts })
    }
}

fn split_fields(expression: &str) -> Result<Vec<&str>, CronError> {
    let refuse = |remedy: Option<String>| {
        let shown = expression.chars().take(120).collect();
        Err(CronError { found: shown, allowed: FORM.to_owned(), remedy })
    };
    let texts: Vec<&str> = expression.split_ascii_whitespace().collect();
    let first = texts.first().copied().unwrap_or_default();
    if let Some((_, zone)) = first.split_once("TZ=") {
        return refuse(Some(format!("write the zone in its own key: timezone: {zone}")));
    }
    if first.starts_with('@') {
        let same = MACROS.iter().find(|(name, _)| name.eq_ignore_ascii_case(first)).map(|(_, fields)| *fields);
        return refuse(same.map(|fields| format!("write it out: {fields:?}")));
    }
    match texts.len() {
        5 => Ok(texts),
        6 => refuse(Some(format!(
            "six fields would count seconds, which schedules do not have; drop the first: {:?}",
            texts[1..].join(" ")
        ))),
        count => refuse(Some(format!("it has {count} fields"))),
    }
}

/// From cron's 0 and 7 for Sunday to bit 0 for Monday.
fn monday_first(mask: u64) -> u8 {
    let sunday = u64::from(mask & 0b1000_0001 != 0);
    u8::try_from(((mask >> 1) & 0x3f) | (sunday << 6)).unwrap_or(WEEKDAYS_ALL)
}

impl Field {
    fn parse(&self, text: &str, doubts: &mut Vec<CronError>) -> Result<u64, CronError> {
        text.split(',').try_fold(0, |mask, part| Ok(mask | self.parse_part(part, doubts)?))
    }

    fn parse_part(&self, part: &str, doubts: &mut Vec<CronError>) -> Result<u64, CronError> {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => (range, Some(step)),
            None => (part, None),
        };
        let (low, high) = self.parse_range(range, part)?;
        let Some(step) = step else {
            return Ok(span(low, high, 1));
        };
        if range != "*" && !range.contains('-') {
            return Err(self.refuse(part, Some(format!("write the range out: {range}-{}/{step}", self.high))));
        }
        let count = number(step).filter(|count| *count > 0).ok_or_else(|| self.refuse(part, None))?;
        if count > high - low {
            doubts.push(self.step_too_wide(part, low));
        }
        Ok(span(low, high, count))
    }

    fn parse_range(&self, range: &str, part: &str) -> Result<(u8, u8), CronError> {
        if range == "*" {
            // 7 is a second name of Sunday; a step over all weekdays must not count it.
            return Ok((self.low, if self.high == 7 { 6 } else { self.high }));
        }
        let Some((from, to)) = range.split_once('-') else {
            return self.value(range, part).map(|value| (value, value));
        };
        let low = self.value(from, part)?;
        let mut high = self.value(to, part)?;
        if self.high == 7 && high == 0 && low > 0 {
            high = 7;
        }
        if low > high {
            let remedy = format!("a range rises; write {from}-{},{}-{to}", self.high, self.low);
            return Err(self.refuse(part, Some(remedy)));
        }
        Ok((low, high))
    }

    fn value(&self, text: &str, part: &str) -> Result<u8, CronError> {
        let named = self.names.iter().position(|name| name.eq_ignore_ascii_case(text));
        let value = match named {
            Some(index) => u8::try_from(index).ok().map(|index| index + self.low),
            None => number(text),
        };
        value.filter(|value| (self.low..=self.high).contains(value)).ok_or_else(|| {
            let remedy = match text.chars().find(|c| "?LW#+".contains(*c)) {
                Some(c) => Some(format!("{c:?} is an extension that is not supported")),
                None => crate::fault::did_you_mean(text, self.names.iter().copied()),
            };
            self.refuse(part, remedy)
        })
    }

    fn refuse(&self, part: &str, remedy: Option<String>) -> CronError {
        let mut allowed = format!("in the field {}: {}-{}", self.name, self.low, self.high);
        if let (Some(first), Some(last)) = (self.names.first(), self.names.last()) {
            allowed.push_str(&format!(" or {first}-{last}"));
        }
        allowed.push_str(", *, lists (1,3), ranges (1-5), steps (*/2, 1-9/2)");
        CronError { found: part.chars().take(120).collect(), allowed, remedy }
    }

    fn step_too_wide(&self, part: &str, low: u8) -> CronError {
        let meaning = match (self.name, low) {
            ("minute", 0) => {
                "it means hourly, at minute 0, not every so many minutes; write \"0 * * * *\" for hourly or use `every`"
            }
            ("hour", 0) => "it means once a day, in hour 0; write 0 or use `every`",
            _ => "only the first value of the range is ever met; write that value",
        };
        let allowed = format!("in the field {}: a step smaller than its range", self.name);
        CronError { found: part.to_owned(), allowed, remedy: Some(meaning.to_owned()) }
    }
}

fn number(text: &str) -> Option<u8> {
    // `u8::from_str` would take `+5`.
    (text.len() <= 3 && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok()).flatten()
}

fn span(low: u8, high: u8, step: u8) -> u64 {
    (low..=high).step_by(usize::from(step)).fold(0, |mask, bit| mask | (1 << bit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_expressions_are_refused_with_a_remedy() {
        for (expression, remedy) in [
            ("0 0 7 * * *", "drop the first: \"0 7 * * *\""),
            ("TZ=Europe/Berlin 0 7 * * *", "timezone: Europe/Berlin"),
            ("CRON_TZ=UTC 0 7 * * *", "timezone: UTC"),
            ("@daily", "write it out: \"0 0 * * *\""),
            ("0 0 30 2 *", "never fire"),
            ("0 0 31 4,6,9,11 *", "never fire"),
            ("0 7 * *", "it has 4 fields"),
            ("", "it has 0 fields"),
            ("0 0 L * *", "extension"),
            ("0 0 ? * 1", "extension"),
            ("0 0 * * 5#2", "extension"),
            ("5/15 * * * *", "5-59/15"),
            ("0 7 * * MOM", "did you mean \"MON\"?"),
            ("0 22-6 * * *", "22-23,0-6"),
        ] {
            let error = Cron::parse(expression).unwrap_err().to_string();
            assert!(error.contains(remedy), "{expression:?}: {error}");
        }
        for expression in [
            "60 * * * *",
            "* 24 * * *",
            "0 0 0 * *",
            "0 0 * 13 *",
            "0 0 * * 8",
            "*/0 * * * *",
            "+5 * * * *",
            "-1 * * * *",
            "1-2-3 * * * *",
            ", * * * *",
            "1, * * * *",
            "*/ * * * *",
            "/5 * * * *",
            "0 0 * * \u{661}",
        ] {
            assert!(Cron::parse(expression).is_err(), "{expression:?}");
        }
    }

    #[test]
    fn a_step_wider_than_its_range_is_doubtful_but_readable() {
        let hourly = Cron::parse("*/60 * * * *").unwrap();
        assert_eq!(hourly.pattern.minutes, 1);
        assert!(hourly.doubts[0].to_string().contains("hourly"), "{:?}", hourly.doubts);
        assert!(Cron::parse("*/59 * * * *").unwrap().doubts.is_empty());
        assert_eq!(Cron::parse("0 */24 * * *").unwrap().doubts.len(), 1);
    }

    #[test]
    fn sunday_has_two_numbers_and_a_name() {
        let sunday = Cron::parse("0 18 * * SUN").unwrap();
        assert_eq!(sunday.pattern.weekdays, 1 << 6);
        for same in ["0 18 * * 0", "0 18 * * 7", "0 18 * * sun"] {
            assert_eq!(Cron::parse(same).unwrap(), sunday, "{same}");
        }
        assert_eq!(Cron::parse("0 18 * * SAT-SUN").unwrap(), Cron::parse("0 18 * * 6,0").unwrap());
        assert_eq!(
            Cron::parse("0 18 * * */2").unwrap().pattern.weekdays,
            Cron::parse("0 18 * * SUN,TUE,THU,SAT").unwrap().pattern.weekdays
        );
        assert_eq!(Cron::parse("0 18 * * */7").unwrap().pattern.weekdays, 1 << 6);
    }
}

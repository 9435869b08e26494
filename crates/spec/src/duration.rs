//! Durations as people write them: `90s`, `15m`, `2h`, `1d`, `1h30m`.
//!
//! Owns: reading and writing them. Refuses to know: months and years, which have no fixed length.

/// What a duration looks like, for messages.
pub const FORM: &str = "a number with a unit s, m, h, d or w, e.g. 15m, 2h, 1d, 1h30m";

const UNITS: [(char, u64); 5] = [('w', 604_800), ('d', 86_400), ('h', 3_600), ('m', 60), ('s', 1)];

/// Seconds of `text`; none when it is no duration or longer than a century.
#[must_use]
pub fn parse(text: &str) -> Option<u64> {
    const CENTURY_S: u64 = 36_525 * 86_400;
    let mut total: u64 = 0;
    let mut number: Option<u64> = None;
    let mut last_unit = u64::MAX;
    for character in text.trim().chars() {
        if let Some(digit) = character.to_digit(10) {
            number = Some(number.unwrap_or(0).checked_mul(10)?.checked_add(u64::from(digit))?);
        } else {
            let (_, unit) = UNITS.into_iter().find(|(name, _)| *name == character)?;
            // Units fall, so that `1m1h` and `1h1h` are refused as the slips they are.
            if unit >= last_unit {
                return None;
            }
            last_unit = unit;
            total = total.checked_add(number.take()?.checked_mul(unit)?)?;
        }
    }
    (number.is_none() && last_unit != u64::MAX && total <= CENTURY_S).then_some(total)
}

/// The shortest text that [`parse`] reads as `seconds`.
#[must_use]
pub fn render(seconds: u64) -> String {
    if seconds == 0 {
        return "0s".to_owned();
    }
    let mut rest = seconds;
    let mut text = String::new();
    for (name, unit) in UNITS {
        if rest >= unit {
            text.push_str(&format!("{}{name}", rest / unit));
            rest %= unit;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_written() {
        for (text, expected) in [
            ("90s", Some(90)),
            ("15m", Some(900)),
            ("2h", Some(7_200)),
            ("1d", Some(86_400)),
            ("1w", Some(604_800)),
            ("1h30m", Some(5_400)),
            ("0m", Some(0)),
            ("", None),
            ("15", None),
            ("m", None),
            ("1m1h", None),
            ("1h1h", None),
            ("-5m", None),
            ("1.5h", None),
            ("99999999999999999999h", None),
            ("9999999w", None),
        ] {
            assert_eq!(parse(text), expected, "{text:?}");
        }
    }

    #[test]
    fn rendering_and_reading_are_inverse() {
        for seconds in [0, 1, 59, 60, 61, 3_599, 3_600, 86_399, 86_400, 90_061, 604_800, 694_861] {
            assert_eq!(parse(&render(seconds)), Some(seconds), "{}", render(seconds));
        }
    }
}

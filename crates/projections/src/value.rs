//! Values of columns.
//!
//! Owns: how ids, instants, texts and documents are written in a row.
//! Refuses to know: which column a value is for.

use nightshift_domain::time::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value};
use uuid::Uuid;

/// First and last microsecond that both databases and RFC 3339 can write: years 1 to 9999.
const MICROS: std::ops::RangeInclusive<i64> = -62_135_596_800_000_000..=253_402_300_799_999_999;

/// An id as text.
pub fn id(id: Uuid) -> Value {
    Value::String(id.hyphenated().encode_lower(&mut Uuid::encode_buffer()).to_owned())
}

/// An id that may be missing.
pub fn id_or_null(found: Option<Uuid>) -> Value {
    found.map_or(Value::Null, id)
}

/// A text. PostgreSQL keeps no NUL character in texts, so the replacement character stands for it on both databases.
pub fn text(text: &str) -> Value {
    Value::String(clean(text))
}

/// A text that may be missing.
pub fn text_or_null(found: Option<&str>) -> Value {
    found.map_or(Value::Null, text)
}

fn clean(text: &str) -> String {
    if text.contains('\0') { text.replace('\0', "\u{fffd}") } else { text.to_owned() }
}

/// A count; beyond 63 bits it stays at the end.
pub fn int(count: impl TryInto<i64>) -> Value {
    Value::from(count.try_into().unwrap_or(i64::MAX))
}

/// A document.
pub fn json<T: Serialize>(document: &T) -> Value {
    let mut value = serde_json::to_value(document).unwrap_or(Value::Null);
    scrub(&mut value, 0);
    value
}

/// How deep a document may be nested. Readers of JSON give up below some depth, and a row that cannot be read back would
/// hold up all that come after it; what is deeper is kept as its text.
const DEPTH_MAX: usize = 64;

fn scrub(value: &mut Value, depth: usize) {
    match value {
        Value::String(text) if text.contains('\0') => *text = clean(text),
        Value::Array(_) | Value::Object(_) if depth == DEPTH_MAX => *value = Value::String(clean(&value.to_string())),
        Value::Array(items) => items.iter_mut().for_each(|item| scrub(item, depth + 1)),
        Value::Object(fields) => {
            if fields.keys().any(|key| key.contains('\0')) {
                *fields = std::mem::take(fields).into_iter().map(|(key, value)| (clean(&key), value)).collect();
            }
            fields.values_mut().for_each(|field| scrub(field, depth + 1));
        }
        _ => {}
    }
}

/// A document of these fields.
pub fn object<const N: usize>(fields: [(&str, Value); N]) -> Value {
    let fields: Map<String, Value> = fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    Value::Object(fields)
}

/// An instant that may be missing.
pub fn time_or_null(found: Option<Timestamp>) -> Value {
    found.map_or(Value::Null, time)
}

/// An instant: RFC 3339 in UTC with six decimals, so that texts sort as instants do.
///
/// Written by hand: it is the most frequent value of all, and a general formatter was the largest cost of a fold.
pub fn time(at: Timestamp) -> Value {
    let micros = at.micros().clamp(*MICROS.start(), *MICROS.end());
    let (days, in_day) = (micros.div_euclid(86_400_000_000), micros.rem_euclid(86_400_000_000));
    let (year, month, day) = civil(days);
    let (seconds, fraction) = (in_day / 1_000_000, in_day % 1_000_000);
    let mut out = *b"0000-00-00T00:00:00.000000Z";
    let parts = [
        (0, 4, year),
        (5, 2, month),
        (8, 2, day),
        (11, 2, seconds / 3600),
        (14, 2, seconds / 60 % 60),
        (17, 2, seconds % 60),
        (20, 6, fraction),
    ];
    for (start, width, mut rest) in parts {
        for digit in out[start..start + width].iter_mut().rev() {
            *digit = b'0' + u8::try_from(rest % 10).unwrap_or(0);
            rest /= 10;
        }
    }
    Value::String(String::from_utf8_lossy(&out).into_owned())
}

/// Year, month and day of a number of days since 1970, in the proleptic Gregorian calendar. Years are counted from
/// March, so that the leap day is the last of its year, in eras of 400 years of 146,097 days.
const fn civil(days: i64) -> (i64, i64, i64) {
    let since_march_0000 = days + 719_468;
    let era = since_march_0000.div_euclid(146_097);
    let in_era = since_march_0000.rem_euclid(146_097);
    let year_of_era = (in_era - in_era / 1_460 + in_era / 36_524 - in_era / 146_096) / 365;
    let in_year = in_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * in_year + 2) / 153;
    let day = in_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + if month <= 2 { 1 } else { 0 };
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_written_as_a_general_formatter_would() {
        let day = 86_400_000_000_i64;
        let around =
            [0, -1, 951_782_400_000_000, 1_767_225_599_999_999, 4_107_542_400_000_000, *MICROS.start(), *MICROS.end()];
        let steps = (-1_200_000..1_200_000).step_by(97).map(|days: i64| days.clamp(-719_000, 2_932_000) * day + days);
        for micros in around.into_iter().chain(steps) {
            let expected = Timestamp(micros).to_chrono().format("%Y-%m-%dT%H:%M:%S%.6fZ").to_string();
            assert_eq!(time(Timestamp(micros)), Value::String(expected), "{micros}");
        }
    }

    #[test]
    fn instants_beyond_the_calendar_clamp() {
        assert_eq!(time(Timestamp(i64::MIN)), "0001-01-01T00:00:00.000000Z");
        assert_eq!(time(Timestamp(i64::MAX)), "9999-12-31T23:59:59.999999Z");
    }

    #[test]
    fn no_nul_reaches_a_row() {
        assert_eq!(text("a\0b"), "a\u{fffd}b");
        let nested = serde_json::json!({"k\0": ["x\0", {"y": "\0"}]});
        assert!(!json(&nested).to_string().contains("\\u0000"));
    }

    #[test]
    fn what_is_nested_too_deep_becomes_its_text() {
        let nested = |depth: usize| (0..depth).fold(serde_json::json!(1), |inner, _| serde_json::json!([inner]));
        assert_eq!(json(&nested(DEPTH_MAX)), nested(DEPTH_MAX));
        let kept = json(&nested(1_000));
        let depth = std::iter::successors(Some(&kept), |value| value.get(0)).count();
        assert_eq!(depth, DEPTH_MAX + 1, "that many arrays, and a text in them");
        assert_eq!(serde_json::from_str::<Value>(&kept.to_string()).unwrap(), kept, "it can be read again");
    }

    #[test]
    fn counts_beyond_the_range_stay_at_its_end() {
        assert_eq!(int(u64::MAX), i64::MAX);
    }
}

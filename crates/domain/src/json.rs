//! JSON values: the data of workflows.
//!
//! Owns: the value type, its canonical text, its fingerprint, how changes are laid over a value, and how large a value may
//! be that nobody brought but a template or a decision made.
//! Refuses to know: where values come from and what they mean.
//!
//! Invariant: equal values have equal canonical texts, whatever order their keys were written in.

use serde_json::Map;
use sha2::{Digest as _, Sha256};

use crate::content::Digest;

/// A JSON value. Objects keep their keys sorted.
pub type Json = serde_json::Value;

/// A JSON object.
pub type Object = Map<String, Json>;

/// The canonical text: keys sorted by their bytes, no space, arrays in order, text as UTF-8.
#[must_use]
pub fn canonical(value: &Json) -> String {
    let mut text = String::new();
    write(value, &mut text);
    text
}

fn write(value: &Json, text: &mut String) {
    match value {
        Json::Array(items) => {
            text.push('[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    text.push(',');
                }
                write(item, text);
            }
            text.push(']');
        }
        Json::Object(fields) => {
            let mut sorted: Vec<_> = fields.iter().collect();
            sorted.sort_by_key(|(name, _)| name.as_bytes());
            text.push('{');
            for (at, (name, field)) in sorted.into_iter().enumerate() {
                if at > 0 {
                    text.push(',');
                }
                text.push_str(&Json::String(name.clone()).to_string());
                text.push(':');
                write(field, text);
            }
            text.push('}');
        }
        scalar => text.push_str(&scalar.to_string()),
    }
}

/// SHA-256 of the canonical text.
#[must_use]
pub fn fingerprint(value: &Json) -> Digest {
    digest(&canonical(value))
}

/// SHA-256 of a text's UTF-8 bytes.
#[must_use]
pub fn digest(text: &str) -> Digest {
    Digest(Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Lays `changes` over `value`: objects are merged field by field, everything else is replaced.
pub fn merge(value: &mut Json, changes: &Json) {
    match (value, changes) {
        (Json::Object(fields), Json::Object(changes)) => {
            for (name, change) in changes {
                merge(fields.entry(name.clone()).or_insert(Json::Null), change);
            }
        }
        (value, changes) => *value = changes.clone(),
    }
}

/// A name as one part of a JSON pointer.
#[must_use]
pub fn pointer_to(name: &str) -> String {
    format!("/{}", name.replace('~', "~0").replace('/', "~1"))
}

/// How much may still be made: bytes, near enough those of the JSON text, and how deep it may be nested.
///
/// A value that is made here stands in an event, in rows and in what is owed because of it. Without a bound a few lines of
/// a template double a value until nothing holds it; and what is nested deeper than a reader follows can be written, but
/// never read again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Room {
    bytes: usize,
    bytes_max: usize,
    depth_max: usize,
}

/// There is no room for a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TooMuch {
    /// It is too large.
    #[error("is larger than {max} bytes, alone or with what is made at the same time")]
    Bytes {
        /// As large as it may be.
        max: usize,
    },
    /// It is nested too deep.
    #[error("is nested more than {max} deep")]
    Depth {
        /// As deep as it may be.
        max: usize,
    },
}

impl Room {
    /// For one value.
    pub const VALUE: Self = Self::of(4 << 20);
    /// For all that one decision makes.
    pub const DECISION: Self = Self::of(32 << 20);
    /// For what a worker is given, which stands in no event and may hold values that no event could.
    pub const WORK: Self = Self::of(1 << 30);

    const fn of(bytes: usize) -> Self {
        // Readers of the log follow a thousand levels, and others stand around a value.
        Self { bytes, bytes_max: bytes, depth_max: 256 }
    }

    /// This, or as much as another has left when that is less.
    #[must_use]
    pub fn within(self, other: &Self) -> Self {
        Self { bytes: self.bytes.min(other.bytes), ..self }
    }

    /// Takes bytes.
    ///
    /// # Errors
    /// So many are not left.
    pub fn take(&mut self, bytes: usize) -> Result<(), TooMuch> {
        self.bytes = self.bytes.checked_sub(bytes).ok_or(TooMuch::Bytes { max: self.bytes_max })?;
        Ok(())
    }

    /// Whether something may be so deep.
    ///
    /// # Errors
    /// It may not.
    pub const fn reaches(&self, depth: usize) -> Result<(), TooMuch> {
        if depth > self.depth_max { Err(TooMuch::Depth { max: self.depth_max }) } else { Ok(()) }
    }

    /// Takes the room of a value that stands `depth` deep in another.
    ///
    /// # Errors
    /// It is too large or too deep.
    pub fn take_value(&mut self, value: &Json, depth: usize) -> Result<(), TooMuch> {
        self.reaches(depth)?;
        match value {
            Json::String(text) => self.take(text.len() + 2),
            Json::Array(items) => items.iter().try_for_each(|item| {
                self.take(1)?;
                self.take_value(item, depth + 1)
            }),
            Json::Object(fields) => fields.iter().try_for_each(|(name, field)| {
                self.take(name.len() + 4)?;
                self.take_value(field, depth + 1)
            }),
            _ => self.take(8),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn order_of_keys_does_not_matter_and_order_of_items_does() {
        // The vectors of the step cache's key.
        for (value, text, digest) in [
            (
                json!({"b": 1, "a": [3, 2, 1]}),
                r#"{"a":[3,2,1],"b":1}"#,
                "3ce2bce0ad5f581d642ebf7b59c400e6f60fa4416e9fb08e3061bb0a35f6fb2b",
            ),
            (
                json!({"a": [1, 2, 3], "b": 1}),
                r#"{"a":[1,2,3],"b":1}"#,
                "5bf78e9b6650ca72df266067a6c73fbd9f9a2dab800b942374edc55271b64751",
            ),
            (json!({}), "{}", "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"),
            (
                json!({"nested": {"z": null, "y": true, "x": "é"}}),
                r#"{"nested":{"x":"é","y":true,"z":null}}"#,
                "aab5bb52525b654eabef991b27b4627e8c1a8b7f75009bb0292636ad9ffd5289",
            ),
            (
                json!({"n": 1.5, "s": "1.5"}),
                r#"{"n":1.5,"s":"1.5"}"#,
                "b4c2500f02ecd904a7535d3e3c1b28df559921eeb48ef98fece8bb11c6469177",
            ),
        ] {
            assert_eq!(canonical(&value), text);
            assert_eq!(fingerprint(&value).0, digest);
        }
    }

    #[test]
    fn changes_are_laid_over_field_by_field() {
        let mut value = json!({"parameters": {"grouping": "day", "from": 1}, "list": [1, 2]});
        merge(&mut value, &json!({"parameters": {"grouping": "week"}, "list": [3], "new": null}));
        assert_eq!(value, json!({"parameters": {"grouping": "week", "from": 1}, "list": [3], "new": null}));
    }
}

//! Doors for the fuzz targets to what fixtures are made of.
//!
//! Owns: plain functions over texts. Refuses to know: what is asked of them; `tests/fuzz` says it.

use crate::redact::secrets::Secrets;

/// A text without its secrets, how many there were, and whether what is left still reads like one.
#[must_use]
pub fn scrubbed(text: &str) -> (String, usize, bool) {
    let mut secrets = Secrets::default();
    let clean = secrets.scrub(text);
    let (count, still) = (secrets.count(), secrets.is_in(&clean));
    (clean, count, still)
}

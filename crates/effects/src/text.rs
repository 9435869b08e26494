//! Texts and their digests at the border.
//!
//! Owns: SHA-256 of bytes, and the rule that a large text is in the content store before anything refers to it.
//! Refuses to know: what a text says.

use nightshift_domain::content::{Digest, INLINE_BYTES_MAX, Text};
use nightshift_ports::{blobs::Blobs, log::StoreError};
use sha2::{Digest as _, Sha256};

/// SHA-256 of `bytes` in lower-case hex.
#[must_use]
pub fn digest_of(bytes: &[u8]) -> Digest {
    Digest(hex(&Sha256::digest(bytes)))
}

/// Bytes in lower-case hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Makes a [`Text`]; one over the inline limit is put into the content store first.
///
/// # Errors
/// The content store did not take it.
pub async fn text_of(text: String, blobs: &dyn Blobs) -> Result<Text, StoreError> {
    let digest = digest_of(text.as_bytes());
    let bytes = text.len() as u64;
    if text.len() <= INLINE_BYTES_MAX {
        return Ok(Text { digest, bytes, inline: Some(text) });
    }
    blobs.put(&digest, text.into_bytes()).await?;
    Ok(Text { digest, bytes, inline: None })
}

/// The full text, from the event or from the content store. None when the store no longer has it or it is not UTF-8.
///
/// # Errors
/// The content store did not answer.
pub async fn full_text(text: &Text, blobs: &dyn Blobs) -> Result<Option<String>, StoreError> {
    if let Some(inline) = &text.inline {
        return Ok(Some(inline.clone()));
    }
    Ok(blobs.get(&text.digest).await?.and_then(|bytes| String::from_utf8(bytes).ok()))
}

/// `text` cut to at most `max` characters, at a character boundary, with an ellipsis when something was cut.
pub(crate) fn excerpt(text: &str, max: usize) -> String {
    let text = text.trim();
    match text.char_indices().nth(max) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", text[..end].trim_end()),
    }
}

/// One line: control characters and runs of white space become single spaces.
pub(crate) fn one_line(text: &str) -> String {
    let spaced: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    spaced.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digest_is_sha256() {
        assert_eq!(digest_of(b"abc").0, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }

    #[test]
    fn excerpts_end_at_characters() {
        assert_eq!(excerpt("äöü", 2), "äö…");
        assert_eq!(excerpt(" äöü ", 3), "äöü");
        assert_eq!(one_line("a\r\n\tb\u{0}c"), "a b c");
    }
}

//! Bytes as text.

use base64::{Engine as _, engine::general_purpose::STANDARD};

/// As base64.
pub fn to_text(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// From base64.
pub fn from_text(text: &str) -> Result<Vec<u8>, String> {
    STANDARD.decode(text).map_err(|error| format!("not base64: {error}"))
}

//! Secrets by reference.
//!
//! Owns: what `env:NAME` and `file:/path` mean, the moment a reference becomes a value, and taking a value out of a text.
//! Refuses to know: what a secret is for. An error names the reference, never a value.

/// Longest secret that is read from a file; a larger file is surely the wrong file.
const SECRET_BYTES_MAX: u64 = 64 * 1024;

/// Why a secret is not there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// Neither `env:` nor `file:`. The text is not repeated: it may be the secret itself.
    #[error(
        "a secret is given by reference, env:NAME or file:/absolute/path; what was found is neither and is not shown"
    )]
    NotAReference,
    /// No such variable.
    #[error("{reference}: the environment variable is not set; set it for the service or name a file instead")]
    Unset {
        /// The reference.
        reference: String,
    },
    /// The file could not be read.
    #[error("{reference}: {why}; the file must be readable by the user that runs the service")]
    Unreadable {
        /// The reference.
        reference: String,
        /// What the system said.
        why: String,
    },
    /// Nothing in it.
    #[error("{reference}: it is empty")]
    Empty {
        /// The reference.
        reference: String,
    },
}

enum Reference<'a> {
    Env(&'a str),
    File(&'a str),
}

fn parse(reference: &str) -> Result<Reference<'_>, SecretError> {
    if let Some(name) = reference.strip_prefix("env:").filter(|name| is_variable(name)) {
        return Ok(Reference::Env(name));
    }
    reference
        .strip_prefix("file:")
        .filter(|path| path.starts_with('/'))
        .map(Reference::File)
        .ok_or(SecretError::NotAReference)
}

fn is_variable(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// Checks the form of a reference without resolving it.
///
/// # Errors
/// It is neither `env:NAME` nor `file:/path`.
pub fn check_reference(reference: &str) -> Result<(), SecretError> {
    parse(reference).map(|_| ())
}

/// Resolves a reference. White space around the value is dropped, as files end in a newline.
///
/// # Errors
/// The reference is malformed, or what it names is not there.
pub fn resolve(reference: &str) -> Result<String, SecretError> {
    let named = || reference.to_owned();
    let value = match parse(reference)? {
        Reference::Env(name) => variable(name).ok_or_else(|| SecretError::Unset { reference: named() })?,
        Reference::File(path) => read_file(path).map_err(|why| SecretError::Unreadable { reference: named(), why })?,
    };
    let value = value.trim();
    if value.is_empty() {
        return Err(SecretError::Empty { reference: named() });
    }
    Ok(value.to_owned())
}

#[expect(
    clippy::disallowed_methods,
    reason = "a secret is read at the moment it is used, never kept in the configuration"
)]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// The text without the value of a secret that was sent along: the other side may have sent it back.
pub(crate) fn without(text: String, secret: Option<&str>) -> String {
    match secret.filter(|secret| !secret.is_empty() && text.contains(secret)) {
        Some(secret) => text.replace(secret, "[secret]"),
        None => text,
    }
}

fn read_file(path: &str) -> Result<String, String> {
    use std::io::Read;
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(|error| error.to_string())?;
    let read = file.take(SECRET_BYTES_MAX + 1).read_to_string(&mut text).map_err(|error| error.to_string())?;
    if read as u64 > SECRET_BYTES_MAX {
        return Err(format!("the file is larger than {SECRET_BYTES_MAX} bytes"));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_resolve_and_errors_never_show_values() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        std::fs::write(&path, "  s3cret\n").unwrap();
        assert_eq!(resolve(&format!("file:{}", path.display())).unwrap(), "s3cret");
        assert!(resolve("env:PATH").is_ok());

        std::fs::write(&path, "\n").unwrap();
        assert!(matches!(resolve(&format!("file:{}", path.display())), Err(SecretError::Empty { .. })));
        assert!(matches!(resolve("file:/nowhere/key"), Err(SecretError::Unreadable { .. })));
        assert!(matches!(resolve("env:NIGHTSHIFT_TEST_UNSET"), Err(SecretError::Unset { .. })));
        for wrong in ["sk-live-123", "env:", "env:A B", "file:relative", ""] {
            let error = resolve(wrong).unwrap_err();
            assert_eq!(error, SecretError::NotAReference);
            assert!(!error.to_string().contains("sk-live"));
        }
    }
}

//! What can keep a history from being read, captured or redacted.

use std::path::PathBuf;

use nightshift_domain::{codec::DecodeError, ids::StreamId};
use nightshift_ports::log::StoreError;

/// A history that could not be read, captured, redacted or written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A file could not be read or written.
    #[error("{}: {error}", path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// A file does not say what its format asks for.
    #[error("{place}: {why}")]
    Format {
        /// File and line.
        place: String,
        /// What was found and what is allowed.
        why: String,
    },
    /// A payload does not decode.
    #[error("{place}: {error}")]
    Decode {
        /// Stream and version, or command.
        place: String,
        /// Why.
        error: DecodeError,
    },
    /// There is no such stream.
    #[error("there is no {stream} in this store; list what there is with `run list` or `deliverable list`")]
    NotFound {
        /// As asked.
        stream: StreamId,
    },
    /// The store changed each time it was read.
    #[error("the streams asked for changed while they were read, {tries} times; capture again when they are calmer")]
    KeepsChanging {
        /// How often it was tried.
        tries: u32,
    },
    /// Redaction would give a history that is not the same one any more.
    #[error("nothing was written: {place}: {why}")]
    NotRedacted {
        /// Where.
        place: String,
        /// Why, with the remedy.
        why: String,
    },
}

impl Error {
    pub(crate) fn decode(place: impl std::fmt::Display, error: DecodeError) -> Self {
        Self::Decode { place: place.to_string(), error }
    }

    pub(crate) fn format(place: impl std::fmt::Display, why: impl std::fmt::Display) -> Self {
        Self::Format { place: place.to_string(), why: why.to_string() }
    }
}

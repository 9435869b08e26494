//! How events and commands are written down: MessagePack with named fields, type and version beside the payload.
//!
//! Owns: the names and versions of event types, and the upcasters that read old payloads.
//! Refuses to know: where the bytes go.
//!
//! Invariant: a payload written by any released version decodes for ever (one golden file per type and version).
//! Invariant: old forms are known here only; everything else sees the newest.

mod facts;
mod kept;
#[cfg(test)]
mod tests;
mod upcast;

use serde::{
    Deserialize, Serialize,
    de::{DeserializeOwned, IgnoredAny},
};

pub use kept::Kept;

use crate::{
    bulk, definition, deliverable,
    ids::StreamKind,
    queue, run, schedule, source,
    streams::{AnyCommand, AnyEvent},
    topic,
};

/// An event as it goes to the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded {
    /// `kind.fact`.
    pub event_type: String,
    /// Version of the payload.
    pub type_version: u16,
    /// The payload.
    pub data: Vec<u8>,
}

/// Bytes that are not what they should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// No such type.
    #[error("event type {event_type:?} is not known to this program; a newer one may have written it")]
    UnknownType {
        /// As stored.
        event_type: String,
    },
    /// A newer version of the type.
    #[error("event type {event_type:?} version {found} is newer than this program reads (up to {known})")]
    NewerVersion {
        /// As stored.
        event_type: String,
        /// As stored.
        found: u16,
        /// The newest that is known.
        known: u16,
    },
    /// The payload does not fit the type.
    #[error("{what} does not decode: {why}")]
    Malformed {
        /// Type and version, or what else was read.
        what: String,
        /// What the decoder said.
        why: String,
    },
}

/// The version in which a type is written.
#[must_use]
pub fn version_of(event_type: &str) -> u16 {
    upcast::VERSIONS.iter().find(|(name, _)| *name == event_type).map_or(1, |(_, version)| *version)
}

/// The facts of a stream kind: the part of its event types behind the dot, in the order of the type.
#[must_use]
pub fn facts(kind: StreamKind) -> &'static [&'static str] {
    match kind {
        StreamKind::Deliverable => facts::variants::<deliverable::Event>(),
        StreamKind::Run => facts::variants::<run::Event>(),
        StreamKind::Schedule => facts::variants::<schedule::Event>(),
        StreamKind::Source => facts::variants::<source::Event>(),
        StreamKind::Definition => facts::variants::<definition::Event>(),
        StreamKind::Topic => facts::variants::<topic::Event>(),
        StreamKind::Queue => facts::variants::<queue::Event>(),
        StreamKind::Bulk => facts::variants::<bulk::Event>(),
    }
}

/// The verbs of a stream kind: how its commands are written.
#[must_use]
pub fn verbs(kind: StreamKind) -> &'static [&'static str] {
    match kind {
        StreamKind::Deliverable => facts::variants::<deliverable::Command>(),
        StreamKind::Run => facts::variants::<run::Command>(),
        StreamKind::Schedule => facts::variants::<schedule::Command>(),
        StreamKind::Source => facts::variants::<source::Command>(),
        StreamKind::Definition => facts::variants::<definition::Command>(),
        StreamKind::Topic => facts::variants::<topic::Command>(),
        StreamKind::Queue => facts::variants::<queue::Command>(),
        StreamKind::Bulk => facts::variants::<bulk::Command>(),
    }
}

/// Encodes with named fields. Equal values give equal bytes.
///
/// # Errors
/// The value cannot be written as MessagePack; no value of this crate is like that.
pub fn to_bytes<T: Kept>(value: &T) -> Result<Vec<u8>, DecodeError> {
    value.written()
}

/// Decodes what [`to_bytes`] wrote, and nothing behind it.
///
/// # Errors
/// The bytes are not that.
pub fn from_bytes<T: Kept>(what: &str, bytes: &[u8]) -> Result<T, DecodeError> {
    T::read(what, bytes)
}

/// [`to_bytes`] for [`Kept`]: to be called where the type is.
#[doc(hidden)]
pub fn write<T: Serialize>(value: &T) -> Result<Vec<u8>, DecodeError> {
    rmp_serde::to_vec_named(value).map_err(|error| malformed("value", &error))
}

/// [`from_bytes`] for [`Kept`]: to be called where the type is.
#[doc(hidden)]
pub fn read<T: DeserializeOwned>(what: &str, bytes: &[u8]) -> Result<T, DecodeError> {
    let mut reader = rmp_serde::Deserializer::from_read_ref(bytes);
    let value = T::deserialize(&mut reader).map_err(|error| malformed(what, &error))?;
    match IgnoredAny::deserialize(&mut reader) {
        Err(rmp_serde::decode::Error::InvalidMarkerRead(_)) => Ok(value),
        _ => Err(malformed(what, &"more bytes follow the value")),
    }
}

fn malformed(what: &str, error: &dyn std::fmt::Display) -> DecodeError {
    DecodeError::Malformed { what: what.to_owned(), why: error.to_string() }
}

/// Encodes an event of a stream kind.
///
/// An externally tagged enum is a map of one entry, `{fact: payload}`; the fact becomes the type's name and the rest is
/// the payload, so that the name stands in a column and not in every payload.
///
/// # Errors
/// As [`to_bytes`].
pub fn encode<E: Kept>(kind: StreamKind, event: &E) -> Result<Encoded, DecodeError> {
    let bytes = to_bytes(event)?;
    let (fact, data) = split_tag(&bytes).ok_or_else(|| malformed("event", &"not an enum of struct variants"))?;
    let event_type = format!("{}.{fact}", kind.as_str());
    Ok(Encoded { type_version: version_of(&event_type), event_type, data: data.to_vec() })
}

/// Encodes an event of any kind.
///
/// # Errors
/// As [`to_bytes`].
pub fn encode_any(event: &AnyEvent) -> Result<Encoded, DecodeError> {
    match event {
        AnyEvent::Deliverable(event) => encode(StreamKind::Deliverable, event),
        AnyEvent::Run(event) => encode(StreamKind::Run, event),
        AnyEvent::Schedule(event) => encode(StreamKind::Schedule, event),
        AnyEvent::Source(event) => encode(StreamKind::Source, event),
        AnyEvent::Definition(event) => encode(StreamKind::Definition, event),
        AnyEvent::Topic(event) => encode(StreamKind::Topic, event),
        AnyEvent::Queue(event) => encode(StreamKind::Queue, event),
        AnyEvent::Bulk(event) => encode(StreamKind::Bulk, event),
    }
}

/// Splits `{fact: payload}` into the fact and the payload's bytes. Facts are shorter than 32 bytes: one length byte.
fn split_tag(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let (&[0x81, head], rest) = bytes.split_first_chunk::<2>()? else {
        return None;
    };
    let length = usize::from(head.checked_sub(0xa0).filter(|length| *length < 32)?);
    let (fact, data) = rest.split_at_checked(length)?;
    Some((std::str::from_utf8(fact).ok()?, data))
}

/// Puts the tag back in front of a payload and decodes.
fn decode_tagged<E: Kept>(fact: &str, what: &str, data: &[u8]) -> Result<E, DecodeError> {
    let mut bytes = Vec::with_capacity(data.len() + fact.len() + 2);
    bytes.push(0x81);
    bytes.push(0xa0 | (fact.len() as u8 & 0x1f));
    bytes.extend_from_slice(fact.as_bytes());
    bytes.extend_from_slice(data);
    from_bytes(what, &bytes)
}

/// Decodes an event of a stream kind known at compile time.
///
/// # Errors
/// The type is not of that kind, is newer than this program, or the payload does not fit.
pub fn decode<E: Kept>(kind: StreamKind, event_type: &str, version: u16, data: &[u8]) -> Result<E, DecodeError> {
    let unknown = || DecodeError::UnknownType { event_type: event_type.to_owned() };
    let fact = event_type.strip_prefix(kind.as_str()).and_then(|rest| rest.strip_prefix('.')).ok_or_else(unknown)?;
    if !facts(kind).contains(&fact) {
        return Err(unknown());
    }
    let known = version_of(event_type);
    if version > known {
        return Err(DecodeError::NewerVersion { event_type: event_type.to_owned(), found: version, known });
    }
    let decoded = if version == known {
        decode_tagged(fact, event_type, data)
    } else {
        let never = || malformed(event_type, &"no program ever wrote this version");
        let newest = upcast::newest(event_type, version, data).and_then(|event| event.ok_or_else(never));
        newest.and_then(|event| decode_tagged(fact, event_type, &encode_any(&event)?.data))
    };
    decoded.map_err(|error| match error {
        DecodeError::Malformed { why, .. } => malformed(&format!("event {event_type} version {version}"), &why),
        other => other,
    })
}

/// Decodes an event of any kind.
///
/// # Errors
/// As [`decode`].
pub fn decode_any(event_type: &str, version: u16, data: &[u8]) -> Result<AnyEvent, DecodeError> {
    let kind = event_type.split_once('.').and_then(|(kind, _)| StreamKind::parse(kind));
    match kind {
        Some(kind @ StreamKind::Deliverable) => {
            decode::<deliverable::Event>(kind, event_type, version, data).map(AnyEvent::from)
        }
        Some(kind @ StreamKind::Run) => decode::<run::Event>(kind, event_type, version, data).map(AnyEvent::from),
        Some(kind @ StreamKind::Schedule) => {
            decode::<schedule::Event>(kind, event_type, version, data).map(AnyEvent::from)
        }
        Some(kind @ StreamKind::Source) => decode::<source::Event>(kind, event_type, version, data).map(AnyEvent::from),
        Some(kind @ StreamKind::Definition) => {
            decode::<definition::Event>(kind, event_type, version, data).map(AnyEvent::from)
        }
        Some(kind @ StreamKind::Topic) => decode::<topic::Event>(kind, event_type, version, data).map(AnyEvent::from),
        Some(kind @ StreamKind::Queue) => decode::<queue::Event>(kind, event_type, version, data).map(AnyEvent::from),
        Some(kind @ StreamKind::Bulk) => decode::<bulk::Event>(kind, event_type, version, data).map(AnyEvent::from),
        None => Err(DecodeError::UnknownType { event_type: event_type.to_owned() }),
    }
}

/// Decodes a command as it was kept beside its events.
///
/// # Errors
/// The bytes are not a command of this program.
pub fn decode_command(bytes: &[u8]) -> Result<AnyCommand, DecodeError> {
    from_bytes("command", bytes)
}

//! Events as they stand in the log.

use serde::{Deserialize, Serialize};

use crate::{
    codec::{self, DecodeError},
    ids::{CommandId, ShardId, StreamId},
    streams::AnyEvent,
    time::Timestamp,
};

/// One event of the log, still encoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// The slice of the log.
    pub shard: ShardId,
    /// Its place there, from 1, without gaps.
    pub seq: u64,
    /// The stream.
    pub stream: StreamId,
    /// Its place in the stream, from 1, without gaps.
    pub version: u64,
    /// `kind.fact`, e.g. `run.attempt_started`.
    pub event_type: String,
    /// Version of the type's payload.
    pub type_version: u16,
    /// Hybrid logical clock: milliseconds since 1970 in the upper 48 bits, a counter below. Grows within a shard.
    pub hlc: u64,
    /// Epoch of the shard under which it was written.
    pub epoch: i64,
    /// The instant of the decision.
    pub at: Timestamp,
    /// The command that caused it.
    pub command_id: CommandId,
    /// Who and what stood behind the command.
    pub meta: Meta,
    /// The payload: MessagePack with named fields.
    pub data: Vec<u8>,
}

impl Recorded {
    /// Decodes the payload, through upcasters where it is old.
    ///
    /// # Errors
    /// The type is not known to this program, or the payload does not fit it.
    pub fn decode(&self) -> Result<AnyEvent, DecodeError> {
        codec::decode_any(&self.event_type, self.type_version, &self.data)
    }
}

/// Who and what stood behind a command. Written beside each event.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Meta {
    /// Who asked: a user, `clock`, `queue`, `importer`, `courier`.
    #[serde(default)]
    pub actor: String,
    /// The event that led to the command: shard and sequence number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<(ShardId, u64)>,
    /// W3C `traceparent` of a caller outside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    /// Fingerprint of the request, when a client named it. Kept with the command, not with its events.
    #[serde(skip)]
    pub request: Option<String>,
}

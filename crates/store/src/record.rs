//! Rows of the log tables as both databases return them, and the port's values they stand for.
//!
//! Owns: the checks on the way: a kind, an id or a number that cannot be is a corrupt store.

use nightshift_domain::{
    codec,
    decider::Obligation,
    ids::{CommandId, ShardId, StreamId, StreamKind},
    recorded::Meta,
    time::Timestamp,
};
use nightshift_ports::log::{
    AppendError, CommandRecord, InboxItem, Owed, RecordedCommand, Session, Snapshot, StoreError,
};
use uuid::Uuid;

use crate::error::corrupt;

/// shard, command, kind, stream, first seq, last seq, accepted, payload, ctx, reply, delta.
pub(crate) type CommandRow = (i64, Uuid, String, Uuid, i64, i64, bool, Vec<u8>, Vec<u8>, Vec<u8>, Vec<u8>);
/// shard, kind, stream, opened seq, due at, key, body.
pub(crate) type OwedRow = (i64, String, Uuid, i64, i64, String, Vec<u8>);
/// shard, command, kind, stream, arrived at, payload.
pub(crate) type InboxRow = (i64, Uuid, String, Uuid, i64, Vec<u8>);
/// session, node, address, build.
pub(crate) type SessionRow = (Uuid, String, Option<String>, String);
/// version, state revision, data.
pub(crate) type SnapshotRow = (i64, i64, Vec<u8>);

/// A shard from its column.
pub(crate) fn shard_of(number: i64) -> Result<ShardId, StoreError> {
    u16::try_from(number).map(ShardId).map_err(|_| corrupt(format!("shard number {number}")))
}

/// A stream from its columns.
pub(crate) fn stream_of(kind: &str, id: Uuid) -> Result<StreamId, StoreError> {
    let kind = StreamKind::parse(kind).ok_or_else(|| {
        corrupt(format!(
            "stream {id} of kind {kind:?}, which this program does not know; a newer one may have written it"
        ))
    })?;
    Ok(StreamId { kind, id })
}

/// A sequence number or version from its column.
pub(crate) fn counted(number: i64) -> Result<u64, StoreError> {
    u64::try_from(number).map_err(|_| corrupt(format!("a negative number {number} where things are counted")))
}

/// A count as the databases keep it. Nothing counts to 2^63.
pub(crate) fn number(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

pub(crate) fn command(row: CommandRow) -> Result<RecordedCommand, StoreError> {
    let (shard, id, kind, stream, first_seq, last_seq, accepted, payload, ctx, reply, delta) = row;
    Ok(RecordedCommand {
        shard: shard_of(shard)?,
        stream: stream_of(&kind, stream)?,
        record: CommandRecord { id: CommandId(id), payload, ctx, accepted, reply, delta },
        first_seq: counted(first_seq)?,
        last_seq: counted(last_seq)?,
    })
}

pub(crate) fn owed(row: OwedRow) -> Result<Owed, StoreError> {
    let (_, kind, stream, opened_seq, _, key, body) = row;
    let stream = stream_of(&kind, stream)?;
    let obligation: Obligation = codec::from_bytes("obligation", &body)
        .map_err(|error| corrupt(format!("obligation {key:?} of {stream}: {error}")))?;
    Ok(Owed { stream, opened_seq: counted(opened_seq)?, obligation })
}

pub(crate) fn inbox_item(row: InboxRow) -> Result<InboxItem, StoreError> {
    let (_, command, kind, stream, arrived_at, payload) = row;
    Ok(InboxItem {
        stream: stream_of(&kind, stream)?,
        command_id: CommandId(command),
        payload,
        arrived_at: Timestamp(arrived_at),
    })
}

pub(crate) fn session((id, node, address, build): SessionRow) -> Session {
    Session { id, node, address, build }
}

pub(crate) fn snapshot(stream: StreamId, row: SnapshotRow) -> Result<Snapshot, StoreError> {
    let (version, state_revision, data) = row;
    let state_revision =
        u32::try_from(state_revision).map_err(|_| corrupt(format!("state revision {state_revision} of {stream}")))?;
    Ok(Snapshot { stream, version: counted(version)?, state_revision, data })
}

/// `(shard, seq)` pairs from their columns.
pub(crate) fn places(rows: Vec<(i64, i64)>) -> Result<Vec<(ShardId, u64)>, StoreError> {
    rows.into_iter().map(|(shard, seq)| Ok((shard_of(shard)?, counted(seq)?))).collect()
}

/// Who stood behind an event. Most events of a page share it, so equal bytes are decoded once.
pub(crate) fn meta(bytes: &[u8], last: &mut Option<(Vec<u8>, Meta)>) -> Result<Meta, StoreError> {
    if let Some((known, meta)) = last
        && known.as_slice() == bytes
    {
        return Ok(meta.clone());
    }
    let meta: Meta = codec::from_bytes("meta of an event", bytes).map_err(|error| corrupt(error.to_string()))?;
    *last = Some((bytes.to_vec(), meta.clone()));
    Ok(meta)
}

/// A value of the domain as MessagePack.
pub(crate) fn encoded<T: codec::Kept>(value: &T) -> Result<Vec<u8>, AppendError> {
    codec::to_bytes(value).map_err(|error| AppendError::Contradiction { why: error.to_string() })
}

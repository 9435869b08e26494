//! The event log port on PostgreSQL.

use async_trait::async_trait;
use nightshift_domain::{
    ids::{CommandId, ShardId, StreamId},
    recorded::Recorded,
    time::Timestamp,
};
use nightshift_ports::log::{
    AppendError, EventLog, LogInfo, Owed, OwedQuery, Ownership, RecordedCommand, Resolution, ShardBatch, Snapshot,
    StoreError, Verdict,
};
use sqlx::{Connection, PgConnection};
use uuid::Uuid;

use super::PostgresStore;
use crate::{
    error::{corrupt, failed, no_shard},
    record::{self, CommandRow, OwedRow, SnapshotRow, counted, number, shard_of, stream_of},
};

/// seq, kind, stream, version, type, type version, hlc, epoch, at, command, meta, data.
type EventRow = (i64, String, Uuid, i64, String, i16, i64, i64, i64, Uuid, Vec<u8>, Vec<u8>);

fn column(shard: ShardId) -> i32 {
    i32::from(shard.0)
}

fn columns(shards: &[ShardId]) -> Vec<i32> {
    shards.iter().copied().map(column).collect()
}

fn events(shard: ShardId, rows: Vec<EventRow>) -> Result<Vec<Recorded>, StoreError> {
    let mut last_meta = None;
    let event = |row: EventRow| {
        let (seq, kind, stream, version, event_type, type_version, hlc, epoch, at, command, meta, data) = row;
        Ok(Recorded {
            shard,
            seq: counted(seq)?,
            stream: stream_of(&kind, stream)?,
            version: counted(version)?,
            event_type,
            type_version: u16::try_from(type_version)
                .map_err(|_| corrupt(format!("type version {type_version} of event {seq} on shard {shard}")))?,
            hlc: counted(hlc)?,
            epoch,
            at: Timestamp(at),
            command_id: CommandId(command),
            meta: record::meta(&meta, &mut last_meta)?,
            data,
        })
    };
    rows.into_iter().map(event).collect()
}

impl PostgresStore {
    /// Raises the epochs and reads the last events, in one transaction but two snapshots.
    async fn take(&self, owner: Uuid, shards: &[ShardId], now: Timestamp) -> Result<Vec<Ownership>, StoreError> {
        let fault = failed("take shards over");
        let numbers = columns(shards);
        let mut tx = self.inner.pool.begin().await.map_err(&fault)?;
        let epochs: Vec<(i32, i64)> = sqlx::query_as(include_str!("sql/acquire.sql"))
            .bind(&numbers)
            .bind(owner)
            .bind(now.micros() / 1_000)
            .bind(now.micros())
            .fetch_all(&mut *tx)
            .await
            .map_err(&fault)?;
        let last: Vec<(i32, i64, i64)> = sqlx::query_as(include_str!("sql/last_events.sql"))
            .bind(&numbers)
            .fetch_all(&mut *tx)
            .await
            .map_err(&fault)?;
        let mut taken = Vec::with_capacity(shards.len());
        for shard in shards {
            let epoch = epochs.iter().find(|(number, _)| *number == column(*shard));
            let (_, epoch) = epoch.ok_or_else(|| no_shard(*shard, &self.inner.info))?;
            let last = last.iter().find(|(number, ..)| *number == column(*shard));
            let (_, head, hlc) = last.copied().unwrap_or_default();
            taken.push(Ownership { shard: *shard, epoch: *epoch, head: counted(head)?, hlc: counted(hlc)? });
        }
        tx.commit().await.map_err(&fault)?;
        Ok(taken)
    }
}

/// Two statements on purpose: the second must see what the first waited for.
async fn resolve_on(
    conn: &mut PgConnection,
    (owner, shard): (Uuid, ShardId),
    epoch: i64,
    command: CommandId,
    now: Timestamp,
) -> Result<Resolution, sqlx::Error> {
    let raised: Option<i64> = sqlx::query_scalar(include_str!("sql/resolve.sql"))
        .bind(column(shard))
        .bind(epoch)
        .bind(now.micros() / 1_000)
        .bind(owner)
        .fetch_optional(&mut *conn)
        .await?;
    let Some(epoch) = raised else { return Ok(Resolution::Lost) };
    let row: Option<CommandRow> = sqlx::query_as(include_str!("sql/command.sql"))
        .bind(column(shard))
        .bind(command.0)
        .fetch_optional(conn)
        .await?;
    Ok(match row {
        Some(_) => Resolution::Written { epoch },
        None => Resolution::NotWritten { epoch },
    })
}

#[async_trait]
impl EventLog for PostgresStore {
    fn info(&self) -> &LogInfo {
        &self.inner.info
    }

    async fn acquire(&self, owner: Uuid, shards: &[ShardId], now: Timestamp) -> Result<Vec<Ownership>, StoreError> {
        self.take(owner, shards, now).await
    }

    async fn append(&self, group: &[ShardBatch]) -> Result<Vec<Verdict>, AppendError> {
        self.append_group(group).await
    }

    async fn resolve(
        &self,
        owner: Uuid,
        shard: ShardId,
        epoch: i64,
        command: CommandId,
        now: Timestamp,
    ) -> Result<Resolution, StoreError> {
        let fault = failed("find out whether the group was written");
        // A connection of its own: those of the pools may be as broken as the one that lost the answer.
        let mut conn = PgConnection::connect_with(&self.inner.connect).await.map_err(&fault)?;
        let resolution = resolve_on(&mut conn, (owner, shard), epoch, command, now).await.map_err(&fault)?;
        // The answer is there; a failing good-bye changes nothing.
        let _ = conn.close().await;
        Ok(resolution)
    }

    async fn read_stream(&self, stream: StreamId, after_version: u64, limit: u32) -> Result<Vec<Recorded>, StoreError> {
        let rows = sqlx::query_as(include_str!("sql/read_stream.sql"))
            .bind(column(stream.shard()))
            .bind(stream.id)
            .bind(number(after_version))
            .bind(i64::from(limit))
            .fetch_all(&self.inner.pool)
            .await
            .map_err(failed("read events"))?;
        events(stream.shard(), rows)
    }

    async fn read_shard(&self, shard: ShardId, after_seq: u64, limit: u32) -> Result<Vec<Recorded>, StoreError> {
        let rows = sqlx::query_as(include_str!("sql/read_shard.sql"))
            .bind(column(shard))
            .bind(number(after_seq))
            .bind(i64::from(limit))
            .fetch_all(&self.inner.pool)
            .await
            .map_err(failed("read events"))?;
        events(shard, rows)
    }

    async fn heads(&self) -> Result<Vec<(ShardId, u64)>, StoreError> {
        let rows: Vec<(i64, i64)> = sqlx::query_as(include_str!("sql/heads.sql"))
            .fetch_all(&self.inner.pool)
            .await
            .map_err(failed("read the heads"))?;
        rows.into_iter().map(|(shard, seq)| Ok((shard_of(shard)?, counted(seq)?))).collect()
    }

    async fn command(&self, shard: ShardId, id: CommandId) -> Result<Option<RecordedCommand>, StoreError> {
        let row: Option<CommandRow> = sqlx::query_as(include_str!("sql/command.sql"))
            .bind(column(shard))
            .bind(id.0)
            .fetch_optional(&self.inner.pool)
            .await
            .map_err(failed("read a command"))?;
        row.map(record::command).transpose()
    }

    async fn read_commands(
        &self,
        stream: StreamId,
        after_first_seq: Option<u64>,
        limit: u32,
    ) -> Result<Vec<RecordedCommand>, StoreError> {
        if limit == 0 {
            return Ok(Vec::new());
        }
        let rows: Vec<CommandRow> = sqlx::query_as(include_str!("sql/read_commands.sql"))
            .bind(column(stream.shard()))
            .bind(stream.id)
            .bind(after_first_seq.map_or(-1, number))
            .bind(i64::from(limit))
            .fetch_all(&self.inner.pool)
            .await
            .map_err(failed("read commands"))?;
        rows.into_iter().map(record::command).collect()
    }

    async fn owed(&self, shards: &[ShardId], query: &OwedQuery) -> Result<Vec<Owed>, StoreError> {
        let classes: Vec<i16> = query.classes.iter().map(|class| class.code()).collect();
        let (due, stream, key) = match &query.after {
            Some((due, stream, key)) => (due.micros(), stream.id, key.as_str()),
            None => (i64::MIN, Uuid::nil(), ""),
        };
        let rows: Vec<OwedRow> = sqlx::query_as(include_str!("sql/owed.sql"))
            .bind(columns(shards))
            .bind(classes)
            .bind(query.due_before.map_or(i64::MAX, Timestamp::micros))
            .bind(due)
            .bind(stream)
            .bind(key)
            .bind(i64::from(query.limit))
            .fetch_all(&self.inner.pool)
            .await
            .map_err(failed("read obligations"))?;
        rows.into_iter().map(record::owed).collect()
    }

    async fn owed_by(&self, stream: StreamId) -> Result<Vec<Owed>, StoreError> {
        let rows: Vec<OwedRow> = sqlx::query_as(include_str!("sql/owed_by.sql"))
            .bind(column(stream.shard()))
            .bind(stream.id)
            .fetch_all(&self.inner.pool)
            .await
            .map_err(failed("read obligations"))?;
        rows.into_iter().map(record::owed).collect()
    }

    async fn put_snapshot(&self, snapshot: &Snapshot) -> Result<(), StoreError> {
        sqlx::query(include_str!("sql/put_snapshot.sql"))
            .bind(column(snapshot.stream.shard()))
            .bind(snapshot.stream.id)
            .bind(snapshot.stream.kind.as_str())
            .bind(number(snapshot.version))
            .bind(i64::from(snapshot.state_revision))
            .bind(&snapshot.data)
            .execute(&self.inner.pool)
            .await
            .map_err(failed("keep a snapshot"))?;
        Ok(())
    }

    async fn snapshot(&self, stream: StreamId) -> Result<Option<Snapshot>, StoreError> {
        let row: Option<SnapshotRow> = sqlx::query_as(include_str!("sql/snapshot.sql"))
            .bind(column(stream.shard()))
            .bind(stream.id)
            .fetch_optional(&self.inner.pool)
            .await
            .map_err(failed("read a snapshot"))?;
        row.map(|row| record::snapshot(stream, row)).transpose()
    }
}

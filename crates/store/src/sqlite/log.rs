//! The event log port on SQLite.

use async_trait::async_trait;
use nightshift_domain::{
    decider::Class,
    ids::{CommandId, ShardId, StreamId},
    recorded::Recorded,
    time::Timestamp,
};
use nightshift_ports::log::{
    AppendError, EventLog, LogInfo, Owed, OwedQuery, Ownership, RecordedCommand, Resolution, ShardBatch, Snapshot,
    StoreError, Verdict,
};
use sqlx::Connection;
use uuid::Uuid;

use super::{SqliteStore, append::primary_code, page};
use crate::{
    error::{failed, no_shard},
    record::{self, CommandRow, OwedRow, SnapshotRow, counted, number},
};

/// Events that are read at once: large enough to drown the exchange with the connection's thread.
const PAGE_ROWS: u32 = 512;
/// SQLITE_TOOBIG: the page is larger than a value may be.
const TOO_BIG: i32 = 18;

/// Where a page begins.
enum From {
    Shard(ShardId, u64),
    Stream(StreamId, u64),
}

impl From {
    fn shard(&self) -> ShardId {
        match self {
            Self::Shard(shard, _) => *shard,
            Self::Stream(stream, _) => stream.shard(),
        }
    }

    /// Behind this event.
    fn behind(&self, last: &Recorded) -> Self {
        match self {
            Self::Shard(shard, _) => Self::Shard(*shard, last.seq),
            Self::Stream(stream, _) => Self::Stream(*stream, last.version),
        }
    }
}

impl SqliteStore {
    /// Reads pages until there are `limit` events or no more. A page that is too large is halved.
    async fn read_pages(&self, mut from: From, limit: u32) -> Result<Vec<Recorded>, StoreError> {
        let mut events: Vec<Recorded> = Vec::new();
        let mut rows = PAGE_ROWS;
        loop {
            let before = events.len();
            let wanted = rows.min(limit.saturating_sub(u32::try_from(before).unwrap_or(u32::MAX)));
            if wanted == 0 {
                return Ok(events);
            }
            match self.page(&from, wanted).await {
                Ok(Some(page)) => page::parse(from.shard(), &page, &mut events)?,
                Ok(None) => return Ok(events),
                Err(error) if primary_code(&error) == Some(TOO_BIG) && wanted > 1 => {
                    rows = wanted / 2;
                    continue;
                }
                Err(error) => return Err(failed("read events")(error)),
            }
            if events.len() - before < wanted as usize {
                return Ok(events);
            }
            if let Some(last) = events.last() {
                from = from.behind(last);
            }
        }
    }

    async fn page(&self, from: &From, rows: u32) -> Result<Option<Vec<u8>>, sqlx::Error> {
        let query = match from {
            From::Shard(shard, seq) => {
                sqlx::query_scalar(include_str!("sql/read_shard.sql")).bind(shard.0).bind(number(*seq))
            }
            From::Stream(stream, version) => sqlx::query_scalar(include_str!("sql/read_stream.sql"))
                .bind(stream.shard().0)
                .bind(stream.id)
                .bind(number(*version)),
        };
        query.bind(rows).fetch_one(&self.inner.readers).await
    }

    /// Open obligations of one shard and class.
    async fn owed_of(&self, shard: ShardId, class: Class, query: &OwedQuery) -> Result<Vec<Owed>, StoreError> {
        let (due, stream, key) = match &query.after {
            Some((due, stream, key)) => (due.micros(), stream.id, key.as_str()),
            None => (i64::MIN, Uuid::nil(), ""),
        };
        let rows: Vec<OwedRow> = sqlx::query_as(include_str!("sql/owed.sql"))
            .bind(shard.0)
            .bind(class.code())
            .bind(query.due_before.map_or(i64::MAX, Timestamp::micros))
            .bind(due)
            .bind(stream)
            .bind(key)
            .bind(query.limit)
            .fetch_all(&self.inner.readers)
            .await
            .map_err(failed("read obligations"))?;
        rows.into_iter().map(record::owed).collect()
    }
}

#[async_trait]
impl EventLog for SqliteStore {
    fn info(&self) -> &LogInfo {
        &self.inner.info
    }

    async fn acquire(&self, owner: Uuid, shards: &[ShardId], now: Timestamp) -> Result<Vec<Ownership>, StoreError> {
        let fault = failed("take shards over");
        let mut writer = self.writer().await?;
        let mut tx = writer.conn.begin_with("BEGIN IMMEDIATE").await.map_err(&fault)?;
        let mut taken = Vec::with_capacity(shards.len());
        for shard in shards {
            let epoch: Option<i64> = sqlx::query_scalar(include_str!("sql/acquire.sql"))
                .bind(shard.0)
                .bind(owner)
                .bind(now.micros() / 1_000)
                .bind(now.micros())
                .fetch_optional(&mut *tx)
                .await
                .map_err(&fault)?;
            let epoch = epoch.ok_or_else(|| no_shard(*shard, &self.inner.info))?;
            let last: Option<(i64, i64)> = sqlx::query_as(include_str!("sql/last_event.sql"))
                .bind(shard.0)
                .fetch_optional(&mut *tx)
                .await
                .map_err(&fault)?;
            let (head, hlc) = last.unwrap_or((0, 0));
            taken.push(Ownership { shard: *shard, epoch, head: counted(head)?, hlc: counted(hlc)? });
        }
        tx.commit().await.map_err(&fault)?;
        Ok(taken)
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
        let mut writer = self.writer().await?;
        let raised: Option<i64> = sqlx::query_scalar(include_str!("sql/resolve.sql"))
            .bind(shard.0)
            .bind(epoch)
            .bind(now.micros() / 1_000)
            .bind(owner)
            .fetch_optional(&mut writer.conn)
            .await
            .map_err(failed("raise the epoch"))?;
        drop(writer);
        let Some(epoch) = raised else { return Ok(Resolution::Lost) };
        Ok(match self.command(shard, command).await? {
            Some(_) => Resolution::Written { epoch },
            None => Resolution::NotWritten { epoch },
        })
    }

    async fn read_stream(&self, stream: StreamId, after_version: u64, limit: u32) -> Result<Vec<Recorded>, StoreError> {
        self.read_pages(From::Stream(stream, after_version), limit).await
    }

    async fn read_shard(&self, shard: ShardId, after_seq: u64, limit: u32) -> Result<Vec<Recorded>, StoreError> {
        self.read_pages(From::Shard(shard, after_seq), limit).await
    }

    async fn heads(&self) -> Result<Vec<(ShardId, u64)>, StoreError> {
        let rows = sqlx::query_as(include_str!("sql/heads.sql"))
            .fetch_all(&self.inner.readers)
            .await
            .map_err(failed("read the heads"))?;
        record::places(rows)
    }

    async fn command(&self, shard: ShardId, id: CommandId) -> Result<Option<RecordedCommand>, StoreError> {
        let row: Option<CommandRow> = sqlx::query_as(include_str!("sql/command.sql"))
            .bind(shard.0)
            .bind(id.0)
            .fetch_optional(&self.inner.readers)
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
            .bind(stream.shard().0)
            .bind(stream.id)
            .bind(after_first_seq.map_or(-1, number))
            .bind(limit)
            .fetch_all(&self.inner.readers)
            .await
            .map_err(failed("read commands"))?;
        rows.into_iter().map(record::command).collect()
    }

    async fn owed(&self, shards: &[ShardId], query: &OwedQuery) -> Result<Vec<Owed>, StoreError> {
        let mut narrowed = query.clone();
        let mut found: Vec<Owed> = Vec::new();
        for shard in shards {
            for class in &query.classes {
                found.extend(self.owed_of(*shard, *class, &narrowed).await?);
                found.sort_by(|a, b| place_of(a).cmp(&place_of(b)));
                found.truncate(query.limit as usize);
                // With a full page in hand nothing later than its last row is wanted.
                if let Some(last) = found.last().filter(|_| found.len() == query.limit as usize) {
                    narrowed.due_before = Some(Timestamp(last.obligation.due_at.micros().saturating_add(1)));
                }
            }
        }
        Ok(found)
    }

    async fn owed_by(&self, stream: StreamId) -> Result<Vec<Owed>, StoreError> {
        let rows: Vec<OwedRow> = sqlx::query_as(include_str!("sql/owed_by.sql"))
            .bind(stream.shard().0)
            .bind(stream.id)
            .fetch_all(&self.inner.readers)
            .await
            .map_err(failed("read obligations"))?;
        rows.into_iter().map(record::owed).collect()
    }

    async fn put_snapshot(&self, snapshot: &Snapshot) -> Result<(), StoreError> {
        let mut writer = self.writer().await?;
        sqlx::query(include_str!("sql/put_snapshot.sql"))
            .bind(snapshot.stream.shard().0)
            .bind(snapshot.stream.id)
            .bind(snapshot.stream.kind.as_str())
            .bind(number(snapshot.version))
            .bind(snapshot.state_revision)
            .bind(&snapshot.data)
            .execute(&mut writer.conn)
            .await
            .map_err(failed("keep a snapshot"))?;
        Ok(())
    }

    async fn snapshot(&self, stream: StreamId) -> Result<Option<Snapshot>, StoreError> {
        let row: Option<SnapshotRow> = sqlx::query_as(include_str!("sql/snapshot.sql"))
            .bind(stream.shard().0)
            .bind(stream.id)
            .fetch_optional(&self.inner.readers)
            .await
            .map_err(failed("read a snapshot"))?;
        row.map(|row| record::snapshot(stream, row)).transpose()
    }
}

/// Where an obligation stands in the order of [`EventLog::owed`].
fn place_of(owed: &Owed) -> (Timestamp, Uuid, &str) {
    (owed.obligation.due_at, owed.stream.id, &owed.obligation.key)
}

//! Inbox, membership, content and cursors on SQLite.

use async_trait::async_trait;
use nightshift_domain::{
    content::Digest,
    ids::{CommandId, ShardId},
};
use nightshift_ports::{
    blobs::Blobs,
    log::{EventLog, Inbox, InboxItem, Membership, Session, StoreError},
    read_models::Cursors,
};
use uuid::Uuid;

use super::SqliteStore;
use crate::{
    error::{failed, no_shard},
    record::{self, InboxRow, SessionRow, number},
    tables::cursor_name,
};

crate::step_cache::step_cache!(SqliteStore, readers, |store, statement| {
    let mut writer = store.writer().await?;
    statement.execute(&mut writer.conn).await
});

#[async_trait]
impl Inbox for SqliteStore {
    async fn leave(&self, item: &InboxItem) -> Result<(), StoreError> {
        let shard = item.stream.shard();
        if shard.0 >= self.info().shard_count {
            return Err(no_shard(shard, self.info()));
        }
        let mut writer = self.writer().await?;
        sqlx::query(include_str!("sql/inbox_leave.sql"))
            .bind(shard.0)
            .bind(item.command_id.0)
            .bind(item.stream.kind.as_str())
            .bind(item.stream.id)
            .bind(item.arrived_at.micros())
            .bind(&item.payload)
            .execute(&mut writer.conn)
            .await
            .map_err(failed("leave a command"))?;
        Ok(())
    }

    async fn waiting(&self, shards: &[ShardId], limit: u32) -> Result<Vec<InboxItem>, StoreError> {
        let shards: Vec<u16> = shards.iter().map(|shard| shard.0).collect();
        let rows: Vec<InboxRow> = sqlx::query_as(include_str!("sql/inbox_waiting.sql"))
            .bind(serde_json::json!(shards).to_string())
            .bind(limit)
            .fetch_all(&self.inner.readers)
            .await
            .map_err(failed("read the inbox"))?;
        rows.into_iter().map(record::inbox_item).collect()
    }

    async fn discard(&self, shard: ShardId, id: CommandId) -> Result<(), StoreError> {
        let mut writer = self.writer().await?;
        sqlx::query("DELETE FROM inbox WHERE shard_id = $1 AND command_id = $2")
            .bind(shard.0)
            .bind(id.0)
            .execute(&mut writer.conn)
            .await
            .map_err(failed("discard a command"))?;
        Ok(())
    }
}

#[async_trait]
impl Membership for SqliteStore {
    async fn join(&self, session: &Session, ttl_ms: i64) -> Result<(), StoreError> {
        let mut writer = self.writer().await?;
        sqlx::query(include_str!("sql/session_join.sql"))
            .bind(session.id)
            .bind(&session.node)
            .bind(&session.address)
            .bind(&session.build)
            .bind(ttl_ms)
            .execute(&mut writer.conn)
            .await
            .map_err(failed("register the session"))?;
        Ok(())
    }

    async fn renew(&self, session: Uuid, ttl_ms: i64) -> Result<bool, StoreError> {
        let mut writer = self.writer().await?;
        let done = sqlx::query(include_str!("sql/session_renew.sql"))
            .bind(session)
            .bind(ttl_ms)
            .execute(&mut writer.conn)
            .await
            .map_err(failed("renew the session"))?;
        Ok(done.rows_affected() == 1)
    }

    async fn living(&self) -> Result<Vec<Session>, StoreError> {
        let rows: Vec<SessionRow> = sqlx::query_as(include_str!("sql/session_living.sql"))
            .fetch_all(&self.inner.readers)
            .await
            .map_err(failed("read the sessions"))?;
        Ok(rows.into_iter().map(record::session).collect())
    }

    async fn leave_session(&self, session: Uuid) -> Result<(), StoreError> {
        let mut writer = self.writer().await?;
        sqlx::query("DELETE FROM node_session WHERE session_id = $1")
            .bind(session)
            .execute(&mut writer.conn)
            .await
            .map_err(failed("end the session"))?;
        Ok(())
    }
}

#[async_trait]
impl Blobs for SqliteStore {
    async fn put(&self, digest: &Digest, bytes: Vec<u8>) -> Result<(), StoreError> {
        let mut writer = self.writer().await?;
        sqlx::query("INSERT INTO blob (digest, bytes) VALUES ($1, $2) ON CONFLICT (digest) DO NOTHING")
            .bind(&digest.0)
            .bind(bytes)
            .execute(&mut writer.conn)
            .await
            .map_err(failed("keep a text"))?;
        Ok(())
    }

    async fn get(&self, digest: &Digest) -> Result<Option<Vec<u8>>, StoreError> {
        sqlx::query_scalar("SELECT bytes FROM blob WHERE digest = $1")
            .bind(&digest.0)
            .fetch_optional(&self.inner.readers)
            .await
            .map_err(failed("read a text"))
    }
}

#[async_trait]
impl Cursors for SqliteStore {
    async fn cursors(&self, name: &str) -> Result<Vec<(ShardId, u64)>, StoreError> {
        self.places(&cursor_name(name)).await
    }

    async fn set_cursors(&self, name: &str, at: &[(ShardId, u64)]) -> Result<(), StoreError> {
        let pairs: Vec<(u16, i64)> = at.iter().map(|(shard, seq)| (shard.0, number(*seq))).collect();
        let mut writer = self.writer().await?;
        sqlx::query(include_str!("sql/cursors_set.sql"))
            .bind(cursor_name(name))
            .bind(serde_json::json!(pairs).to_string())
            .execute(&mut writer.conn)
            .await
            .map_err(failed("note a cursor"))?;
        Ok(())
    }
}

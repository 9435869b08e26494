//! Inbox, membership, content and cursors on PostgreSQL.

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

use super::PostgresStore;
use crate::{
    error::{failed, no_shard},
    record::{self, InboxRow, SessionRow, number},
    tables::cursor_name,
};

crate::step_cache::step_cache!(PostgresStore, pool, |store, statement| statement.execute(&store.inner.pool).await);

#[async_trait]
impl Inbox for PostgresStore {
    async fn leave(&self, item: &InboxItem) -> Result<(), StoreError> {
        let shard = item.stream.shard();
        if shard.0 >= self.info().shard_count {
            return Err(no_shard(shard, self.info()));
        }
        sqlx::query(include_str!("sql/inbox_leave.sql"))
            .bind(i32::from(shard.0))
            .bind(item.command_id.0)
            .bind(item.stream.kind.as_str())
            .bind(item.stream.id)
            .bind(item.arrived_at.micros())
            .bind(&item.payload)
            .execute(&self.inner.pool)
            .await
            .map_err(failed("leave a command"))?;
        Ok(())
    }

    async fn waiting(&self, shards: &[ShardId], limit: u32) -> Result<Vec<InboxItem>, StoreError> {
        let shards: Vec<i32> = shards.iter().map(|shard| i32::from(shard.0)).collect();
        let rows: Vec<InboxRow> = sqlx::query_as(include_str!("sql/inbox_waiting.sql"))
            .bind(shards)
            .bind(i64::from(limit))
            .fetch_all(&self.inner.pool)
            .await
            .map_err(failed("read the inbox"))?;
        rows.into_iter().map(record::inbox_item).collect()
    }

    async fn discard(&self, shard: ShardId, id: CommandId) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM inbox WHERE shard_id = $1 AND command_id = $2")
            .bind(i32::from(shard.0))
            .bind(id.0)
            .execute(&self.inner.pool)
            .await
            .map_err(failed("discard a command"))?;
        Ok(())
    }
}

#[async_trait]
impl Membership for PostgresStore {
    async fn join(&self, session: &Session, ttl_ms: i64) -> Result<(), StoreError> {
        sqlx::query(include_str!("sql/session_join.sql"))
            .bind(session.id)
            .bind(&session.node)
            .bind(&session.address)
            .bind(&session.build)
            .bind(ttl_ms)
            .execute(&self.inner.pool)
            .await
            .map_err(failed("register the session"))?;
        Ok(())
    }

    async fn renew(&self, session: Uuid, ttl_ms: i64) -> Result<bool, StoreError> {
        let done = sqlx::query(include_str!("sql/session_renew.sql"))
            .bind(session)
            .bind(ttl_ms)
            .execute(&self.inner.pool)
            .await
            .map_err(failed("renew the session"))?;
        Ok(done.rows_affected() == 1)
    }

    async fn living(&self) -> Result<Vec<Session>, StoreError> {
        let rows: Vec<SessionRow> = sqlx::query_as(include_str!("sql/session_living.sql"))
            .fetch_all(&self.inner.pool)
            .await
            .map_err(failed("read the sessions"))?;
        Ok(rows.into_iter().map(record::session).collect())
    }

    async fn leave_session(&self, session: Uuid) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM node_session WHERE session_id = $1")
            .bind(session)
            .execute(&self.inner.pool)
            .await
            .map_err(failed("end the session"))?;
        Ok(())
    }
}

#[async_trait]
impl Blobs for PostgresStore {
    async fn put(&self, digest: &Digest, bytes: Vec<u8>) -> Result<(), StoreError> {
        sqlx::query("INSERT INTO blob (digest, bytes) VALUES ($1, $2) ON CONFLICT (digest) DO NOTHING")
            .bind(&digest.0)
            .bind(bytes)
            .execute(&self.inner.pool)
            .await
            .map_err(failed("keep a text"))?;
        Ok(())
    }

    async fn get(&self, digest: &Digest) -> Result<Option<Vec<u8>>, StoreError> {
        sqlx::query_scalar("SELECT bytes FROM blob WHERE digest = $1")
            .bind(&digest.0)
            .fetch_optional(&self.inner.pool)
            .await
            .map_err(failed("read a text"))
    }
}

#[async_trait]
impl Cursors for PostgresStore {
    async fn cursors(&self, name: &str) -> Result<Vec<(ShardId, u64)>, StoreError> {
        self.places(&cursor_name(name)).await
    }

    async fn set_cursors(&self, name: &str, at: &[(ShardId, u64)]) -> Result<(), StoreError> {
        let (shards, seqs): (Vec<i32>, Vec<i64>) =
            at.iter().map(|(shard, seq)| (i32::from(shard.0), number(*seq))).unzip();
        sqlx::query(include_str!("sql/cursors_set.sql"))
            .bind(cursor_name(name))
            .bind(shards)
            .bind(seqs)
            .execute(&self.inner.pool)
            .await
            .map_err(failed("note a cursor"))?;
        Ok(())
    }
}

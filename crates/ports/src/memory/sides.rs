//! Inbox, membership, content and cursors in memory.

use async_trait::async_trait;
use nightshift_domain::{
    content::Digest,
    ids::{CommandId, ShardId},
};
use uuid::Uuid;

use super::MemoryStore;
use crate::{
    blobs::Blobs,
    log::{Inbox, InboxItem, Membership, Session, StoreError},
    read_models::Cursors,
};

#[async_trait]
impl Inbox for MemoryStore {
    async fn leave(&self, item: &InboxItem) -> Result<(), StoreError> {
        let mut held = self.held();
        let shard = held.shard_mut(item.stream.shard())?;
        shard.inbox.entry(item.command_id).or_insert_with(|| item.clone());
        Ok(())
    }

    async fn waiting(&self, shards: &[ShardId], limit: u32) -> Result<Vec<InboxItem>, StoreError> {
        let held = self.held();
        let mut items: Vec<&InboxItem> =
            shards.iter().filter_map(|shard| held.shards.get(shard)).flat_map(|shard| shard.inbox.values()).collect();
        items.sort_by_key(|item| (item.arrived_at, item.command_id));
        Ok(items.into_iter().take(limit as usize).cloned().collect())
    }

    async fn discard(&self, shard: ShardId, id: CommandId) -> Result<(), StoreError> {
        if let Some(shard) = self.held().shards.get_mut(&shard) {
            shard.inbox.remove(&id);
        }
        Ok(())
    }
}

#[async_trait]
impl Membership for MemoryStore {
    async fn join(&self, session: &Session, ttl_ms: i64) -> Result<(), StoreError> {
        let expires = self.clock.now().plus_ms(ttl_ms);
        self.held().sessions.insert(session.id, (session.clone(), expires));
        Ok(())
    }

    async fn renew(&self, session: Uuid, ttl_ms: i64) -> Result<bool, StoreError> {
        let now = self.clock.now();
        let mut held = self.held();
        let living = held.sessions.get_mut(&session).filter(|(_, expires)| *expires > now);
        Ok(living.map(|(_, expires)| *expires = now.plus_ms(ttl_ms)).is_some())
    }

    async fn living(&self) -> Result<Vec<Session>, StoreError> {
        let now = self.clock.now();
        let held = self.held();
        let living = held.sessions.values().filter(|(_, expires)| *expires > now);
        Ok(living.map(|(session, _)| session.clone()).collect())
    }

    async fn leave_session(&self, session: Uuid) -> Result<(), StoreError> {
        self.held().sessions.remove(&session);
        Ok(())
    }
}

#[async_trait]
impl Blobs for MemoryStore {
    async fn put(&self, digest: &Digest, bytes: Vec<u8>) -> Result<(), StoreError> {
        self.held().blobs.entry(digest.0.clone()).or_insert(bytes);
        Ok(())
    }

    async fn get(&self, digest: &Digest) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.held().blobs.get(&digest.0).cloned())
    }
}

#[async_trait]
impl Cursors for MemoryStore {
    async fn cursors(&self, name: &str) -> Result<Vec<(ShardId, u64)>, StoreError> {
        let held = self.held();
        let at = held.cursors.get(name);
        Ok(at.into_iter().flatten().map(|(shard, seq)| (*shard, *seq)).collect())
    }

    async fn set_cursors(&self, name: &str, at: &[(ShardId, u64)]) -> Result<(), StoreError> {
        self.held().cursors.entry(name.to_owned()).or_default().extend(at.iter().copied());
        Ok(())
    }
}

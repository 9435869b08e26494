//! The step cache in memory.
//!
//! Owns: the entries. Refuses to know: durability.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use nightshift_domain::{ids::RunId, time::Timestamp};

use super::MemoryStore;
use crate::{
    log::StoreError,
    step_cache::{Entry, StepCache},
};

/// A step cache that ends with the process; the reference for those that do not.
#[derive(Debug, Default)]
pub struct MemoryStepCache {
    entries: Mutex<BTreeMap<String, Entry>>,
}

impl MemoryStepCache {
    fn entries(&self) -> MutexGuard<'_, BTreeMap<String, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_live(kept: &Entry, now: Timestamp) -> bool {
    kept.expires_at.is_none_or(|end| now < end)
}

#[async_trait]
impl StepCache for MemoryStepCache {
    async fn kept(&self, key: &str, now: Timestamp) -> Result<Option<Entry>, StoreError> {
        Ok(self.entries().get(key).filter(|kept| is_live(kept, now)).cloned())
    }

    async fn keep(&self, key: &str, kept: &Entry) -> Result<(), StoreError> {
        let mut entries = self.entries();
        if entries.get(key).is_none_or(|there| there.stored_at <= kept.stored_at) {
            entries.insert(key.to_owned(), kept.clone());
        }
        Ok(())
    }

    async fn count_hit(&self, key: &str, run: RunId, at: Timestamp) -> Result<(), StoreError> {
        if let Some(kept) = self.entries().get_mut(key) {
            kept.hits += 1;
            if kept.last_hit_at.is_none_or(|last| last <= at) {
                (kept.last_hit_at, kept.last_hit_run) = (Some(at), Some(run));
            }
        }
        Ok(())
    }

    async fn prune(&self, now: Timestamp, entries_max: u64) -> Result<u64, StoreError> {
        let mut entries = self.entries();
        let before = entries.len();
        entries.retain(|_, kept| is_live(kept, now));
        let over = entries.len().saturating_sub(usize::try_from(entries_max).unwrap_or(usize::MAX));
        let mut by_use: Vec<_> =
            entries.iter().map(|(key, kept)| (kept.last_hit_at.max(Some(kept.stored_at)), key.clone())).collect();
        by_use.sort();
        for (_, key) in by_use.into_iter().take(over) {
            entries.remove(&key);
        }
        Ok((before - entries.len()) as u64)
    }
}

#[async_trait]
impl StepCache for MemoryStore {
    async fn kept(&self, key: &str, now: Timestamp) -> Result<Option<Entry>, StoreError> {
        self.steps.kept(key, now).await
    }

    async fn keep(&self, key: &str, kept: &Entry) -> Result<(), StoreError> {
        self.steps.keep(key, kept).await
    }

    async fn count_hit(&self, key: &str, run: RunId, at: Timestamp) -> Result<(), StoreError> {
        self.steps.count_hit(key, run, at).await
    }

    async fn prune(&self, now: Timestamp, entries_max: u64) -> Result<u64, StoreError> {
        self.steps.prune(now, entries_max).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::step_cache::check_all;

    #[tokio::test]
    async fn the_memory_cache_keeps_its_promises() {
        check_all(async || MemoryStepCache::default()).await;
    }
}

//! A rebuild that is under way: one connection with scratch tables, and how far each shard is in them.
//!
//! Owns: that rows and checkpoints of a rebuild begin and end with its connection.
//! Refuses to know: how a database makes scratch tables.
//!
//! Invariant: what a crash or a lost connection cut short cannot be put in place: there is nothing left of it.

use std::collections::BTreeMap;

use nightshift_domain::ids::ShardId;
use nightshift_ports::log::StoreError;
use tokio::sync::Mutex;

/// A rebuild under way.
pub(crate) struct Staging<S> {
    /// The connection, and what belongs to it.
    pub(crate) scratch: S,
    pub(crate) checkpoints: BTreeMap<ShardId, u64>,
}

/// At most one in a store.
pub(crate) type StagingSlot<S> = Mutex<Option<Staging<S>>>;

impl<S> Staging<S> {
    pub(crate) const fn on(scratch: S) -> Self {
        Self { scratch, checkpoints: BTreeMap::new() }
    }
}

/// The rebuild under way, if one has begun.
pub(crate) fn begun<S>(slot: &mut Option<Staging<S>>) -> Result<&mut Staging<S>, StoreError> {
    let none = || StoreError::Failed { doing: "find the rebuilt tables", why: "no rebuild has begun".to_owned() };
    slot.as_mut().ok_or_else(none)
}

/// The checkpoints of the rebuild; none when none has begun.
pub(crate) async fn checkpoints<S>(slot: &StagingSlot<S>) -> Vec<(ShardId, u64)> {
    let slot = slot.lock().await;
    slot.iter().flat_map(|staging| &staging.checkpoints).map(|(shard, seq)| (*shard, *seq)).collect()
}

//! Building the read models anew beside the live ones.
//!
//! Owns: the order of passes: while one is written, the next is read and folded.
//! Refuses to know: where the rows are kept meanwhile, how they take the place of the live ones (`store`).
//!
//! Invariant: a shard is in one pass at a time, so a fold never looks for a row that is still being written.

use std::{collections::HashSet, sync::Arc};

use futures::future;
use nightshift_domain::ids::ShardId;
use nightshift_ports::{
    log::{EventLog, StoreError},
    read_models::{Generation, ReadModels, RowBatch},
};

use super::{Checkpoints, PassSize, fold};
use crate::tasks;

/// Builds the read models anew beside the live ones and puts them in their place. `step` is told how many events were
/// written so far.
///
/// # Errors
/// The store did not answer, or an event cannot be folded; the live read models are as they were.
pub async fn rebuild(
    log: Arc<dyn EventLog>,
    read_models: Arc<dyn ReadModels>,
    step: impl FnMut(u64),
) -> Result<u64, StoreError> {
    rebuild_in((log, read_models), PassSize::default(), step).await
}

/// The same in passes of another size.
///
/// # Errors
/// As [`rebuild`].
pub async fn rebuild_in(
    (log, read_models): (Arc<dyn EventLog>, Arc<dyn ReadModels>),
    size: PassSize,
    mut step: impl FnMut(u64),
) -> Result<u64, StoreError> {
    read_models.begin_rebuild().await?;
    let mut at = Checkpoints::new();
    let mut total = 0;
    let mut pass = Pass::default();
    let mut written = Pass::default();
    loop {
        let busy: HashSet<ShardId> = pass.batches.iter().map(|batch| batch.shard).collect();
        let heads = log.heads().await?;
        let behind: Vec<(ShardId, u64)> = heads
            .into_iter()
            .map(|(shard, head)| (shard, head, at.get(&shard).copied().unwrap_or(0)))
            .filter(|(shard, head, at)| at < head && !busy.contains(shard))
            .map(|(shard, _, at)| (shard, at))
            .collect();
        if behind.is_empty() && pass.batches.is_empty() {
            break;
        }
        let (from, models) = (Arc::clone(&log), Arc::clone(&read_models));
        let next = tasks::spawn_watched(async move {
            // Thousands of rows take their time to go: here nobody waits for it.
            drop(written);
            Pass::folded((&*from, &*models), &behind, size).await
        });
        let (done, next) = future::join(write(&*read_models, &pass.batches), next).await;
        done?;
        total += pass.events;
        step(total);
        let lost = |lost: tokio::task::JoinError| StoreError::Failed { doing: "fold", why: lost.to_string() };
        written = std::mem::replace(&mut pass, next.map_err(lost)??);
        at.extend(pass.batches.iter().map(|batch| (batch.shard, batch.upto_seq)));
    }
    read_models.swap_rebuilt().await?;
    Ok(total)
}

/// What is folded and to be written.
#[derive(Default)]
struct Pass {
    batches: Vec<RowBatch>,
    events: u64,
}

impl Pass {
    async fn folded(
        stores: (&dyn EventLog, &dyn ReadModels),
        behind: &[(ShardId, u64)],
        size: PassSize,
    ) -> Result<Self, StoreError> {
        let folded = fold(stores, Generation::Rebuilt, behind, size).await?;
        match folded.poison.into_iter().next() {
            Some((_, why)) => Err(StoreError::Corrupt { what: why }),
            None => Ok(Self { batches: folded.batches, events: folded.page.len() as u64 }),
        }
    }
}

async fn write(read_models: &dyn ReadModels, batches: &[RowBatch]) -> Result<(), StoreError> {
    if batches.is_empty() || read_models.write(Generation::Rebuilt, batches).await? {
        return Ok(());
    }
    Err(StoreError::Failed { doing: "rebuild", why: "another rebuild is under way".to_owned() })
}

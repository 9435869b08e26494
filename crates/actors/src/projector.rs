//! The projector actor: folds new events into the read models.
//!
//! Owns: how far the read models are, and that rows and checkpoint are written together.
//! Refuses to know: what a row says (`projections`), how it is written (`store`). Supervised by the root; a new one starts
//! from the checkpoints.
//!
//! Invariant: an event that cannot be folded stops its shard only, and who waits for that shard is told so.

mod rebuild;

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
};

use futures::future;
use nightshift_domain::{ids::ShardId, recorded::Recorded, streams::AnyEvent, time::Timestamp};
use nightshift_ports::{
    log::{EventLog, StoreError},
    read_models::{Generation, ReadModels, RowBatch},
};
use nightshift_projections::{
    Rows, apply, reads,
    table::{Row, RowKey, TableDef},
};
use ractor::{Actor, ActorProcessingErr, ActorRef, SupervisionEvent};
use tokio::sync::watch;

pub use rebuild::{rebuild, rebuild_in};

use crate::{context::Context, faults::Point, journal::Tail, port::Port};

/// How many events are folded before their rows are written.
#[derive(Debug, Clone, Copy)]
pub struct PassSize {
    /// Over all shards: no page is begun when there are so many.
    pub events: usize,
    /// Of one shard.
    pub page: u32,
}

impl Default for PassSize {
    fn default() -> Self {
        Self { events: 4_000, page: 2_000 }
    }
}

/// What the projector can be sent.
pub enum ProjectorMsg {
    /// There may be new events.
    Pass,
    /// Fail. Sent by tests only.
    Fail,
}

/// How far each shard is in the read models.
pub type Checkpoints = BTreeMap<ShardId, u64>;

/// The read models of a shard stop at an event that cannot be folded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the read models of shard {shard} stop after {at}: {why}; nothing later of this shard is shown, see the runbook"
)]
pub struct Stuck {
    /// The shard.
    pub shard: ShardId,
    /// The last event they show.
    pub at: u64,
    /// What is wrong with the next.
    pub why: String,
}

/// The way to the projector.
#[derive(Clone)]
pub struct ProjectorHandle {
    pub(crate) port: Port<ProjectorMsg>,
    nudged: Arc<AtomicBool>,
    progress: Arc<watch::Sender<Checkpoints>>,
    stuck: Arc<RwLock<BTreeMap<ShardId, String>>>,
}

impl Default for ProjectorHandle {
    fn default() -> Self {
        Self {
            port: Port::new("projector"),
            nudged: Arc::new(AtomicBool::new(false)),
            progress: Arc::new(watch::Sender::new(Checkpoints::new())),
            stuck: Arc::default(),
        }
    }
}

impl ProjectorHandle {
    /// Lets the actor fail, as a test wants it.
    pub fn fail(&self) {
        self.port.send(ProjectorMsg::Fail);
    }

    /// There are new events. Many nudges while a pass waits are one.
    pub fn nudge(&self) {
        if !self.nudged.swap(true, Ordering::AcqRel) {
            self.port.send(ProjectorMsg::Pass);
        }
    }

    /// Nudges also when one is thought to be under way: the actor it was sent to is gone.
    pub fn nudge_anew(&self) {
        self.nudged.store(true, Ordering::Release);
        self.port.send(ProjectorMsg::Pass);
    }

    /// How far each shard is.
    #[must_use]
    pub fn checkpoints(&self) -> Checkpoints {
        self.progress.borrow().clone()
    }

    /// Changes whenever the read models move on.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Checkpoints> {
        self.progress.subscribe()
    }

    /// Returns when every shard is at least as far as `heads` says.
    ///
    /// # Errors
    /// A shard will not get there; the others are there.
    pub async fn caught_up(&self, heads: &[(ShardId, u64)]) -> Result<(), Stuck> {
        let mut progress = self.progress.subscribe();
        let mut stuck = None;
        let over = |checkpoints: &Checkpoints| {
            let at = |shard: &ShardId| checkpoints.get(shard).copied().unwrap_or(0);
            let mut behind = heads.iter().filter(|(shard, head)| at(shard) < *head).peekable();
            if behind.peek().is_none() {
                return true;
            }
            let found: Vec<Option<Stuck>> = behind.map(|(shard, _)| self.stuck(*shard, at(shard))).collect();
            let all = found.iter().all(Option::is_some);
            if all {
                stuck = found.into_iter().flatten().next();
            }
            all
        };
        // The sender lives as long as `self`.
        let _ = progress.wait_for(over).await;
        stuck.map_or(Ok(()), Err)
    }

    fn stuck(&self, shard: ShardId, at: u64) -> Option<Stuck> {
        let stuck = self.stuck.read().unwrap_or_else(PoisonError::into_inner);
        stuck.get(&shard).map(|why| Stuck { shard, at, why: why.clone() })
    }

    /// Shards that stopped at an event that cannot be folded.
    #[must_use]
    pub fn all_stuck(&self) -> Vec<Stuck> {
        let checkpoints = self.checkpoints();
        let shards: Vec<ShardId> = self.stuck.read().unwrap_or_else(PoisonError::into_inner).keys().copied().collect();
        let at = |shard: &ShardId| checkpoints.get(shard).copied().unwrap_or(0);
        shards.into_iter().filter_map(|shard| self.stuck(shard, at(&shard))).collect()
    }

    fn stop_at(&self, shard: ShardId, why: String) {
        self.stuck.write().unwrap_or_else(PoisonError::into_inner).insert(shard, why);
    }
}

/// The actor.
pub struct ProjectorActor;

/// A pass that took longer than this is followed by a rest as long, in milliseconds: under load the rows of what is short
/// are written once, not at each of its steps, and appends have the disk for half of the time.
const REST_AFTER_MS: i64 = 5;

/// The longest rest, in milliseconds.
const REST_MS_MAX: i64 = 200;

/// What it remembers.
pub struct Progress {
    context: Arc<Context>,
    myself: ActorRef<ProjectorMsg>,
    checkpoints: Option<Checkpoints>,
    poisoned: HashSet<ShardId>,
    /// Until when it rests, and since when.
    rest: Option<(Timestamp, Timestamp)>,
}

impl Actor for ProjectorActor {
    type Msg = ProjectorMsg;
    type State = Progress;
    type Arguments = Arc<Context>;

    async fn pre_start(
        &self,
        myself: ActorRef<ProjectorMsg>,
        context: Arc<Context>,
    ) -> Result<Progress, ActorProcessingErr> {
        Ok(Progress { context, myself, checkpoints: None, poisoned: HashSet::new(), rest: None })
    }

    async fn handle(
        &self,
        _myself: ActorRef<ProjectorMsg>,
        message: ProjectorMsg,
        progress: &mut Progress,
    ) -> Result<(), ActorProcessingErr> {
        if matches!(message, ProjectorMsg::Fail) {
            return Err("it was told to fail".into());
        }
        if progress.rests() {
            return Ok(());
        }
        let context = Arc::clone(&progress.context);
        context.projector.nudged.store(false, Ordering::Release);
        let began = context.clock_port.now();
        match progress.pass().await {
            Ok(more) => {
                progress.rest_after(began);
                if more {
                    context.projector.nudge();
                }
            }
            Err(error) => {
                tracing::warn!(%error, "the read models could not be written; trying again");
                progress.checkpoints = None;
                crate::tasks::spawn(async move {
                    context.clock_port.sleep_until(context.clock_port.now().plus_ms(500)).await;
                    context.projector.nudge();
                });
            }
        }
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        _myself: ActorRef<ProjectorMsg>,
        _event: SupervisionEvent,
        _progress: &mut Progress,
    ) -> Result<(), ActorProcessingErr> {
        Ok(())
    }
}

impl Progress {
    /// True while it rests; it is nudged at the end of that. Nudges until then are as one.
    fn rests(&mut self) -> bool {
        let Some((since, until)) = self.rest.take() else { return false };
        let now = self.context.clock_port.now();
        // A clock that was set back is not waited for.
        if now < since || now >= until {
            return false;
        }
        let (clock, myself) = (Arc::clone(&self.context.clock_port), self.myself.clone());
        crate::tasks::spawn(async move {
            clock.sleep_until(until).await;
            let _ = myself.cast(ProjectorMsg::Pass);
        });
        true
    }

    fn rest_after(&mut self, began: Timestamp) {
        let now = self.context.clock_port.now();
        let took_ms = now.micros_since(began) / 1_000;
        self.rest = (took_ms > REST_AFTER_MS).then(|| (now, now.plus_ms(took_ms.min(REST_MS_MAX))));
    }

    /// Folds what is new; true when there is more.
    async fn pass(&mut self) -> Result<bool, StoreError> {
        let checkpoints = match &self.checkpoints {
            Some(checkpoints) => checkpoints.clone(),
            None => self.context.read_models.checkpoints(Generation::Live).await?.into_iter().collect(),
        };
        let heads = self.context.journal.heads();
        let behind: Vec<(ShardId, u64)> = heads
            .iter()
            .map(|(shard, head)| (*shard, *head, checkpoints.get(shard).copied().unwrap_or(0)))
            .filter(|(shard, head, at)| at < head && !self.poisoned.contains(shard))
            .map(|(shard, _, at)| (shard, at))
            .collect();
        let context = &*self.context;
        let sources: (&dyn EventLog, &dyn ReadModels, _) =
            (&*context.log, &*context.read_models, Some(context.journal.tail()));
        let folded = fold_from(sources, Generation::Live, &behind, PassSize::default()).await?;
        for (shard, why) in &folded.poison {
            tracing::error!(%shard, why, "an event cannot be folded; the read models of its shard stop here");
            self.poisoned.insert(*shard);
            self.context.projector.stop_at(*shard, why.clone());
        }
        self.context.faults.at(Point::Folded);
        let mut after = checkpoints;
        if !folded.batches.is_empty() {
            if !self.context.read_models.write(Generation::Live, &folded.batches).await? {
                return Err(StoreError::Failed {
                    doing: "advance the checkpoints",
                    why: "somebody else did".to_owned(),
                });
            }
            self.context.faults.at(Point::Projected);
            after.extend(folded.batches.iter().map(|batch| (batch.shard, batch.upto_seq)));
            self.context.gauges.observer().committed(&folded.page);
        }
        self.context.projector.progress.send_replace(after.clone());
        self.checkpoints = Some(after);
        Ok(folded.more)
    }
}

/// What a pass folded.
#[derive(Default)]
pub struct Folded {
    /// Rows and checkpoints to write.
    pub batches: Vec<RowBatch>,
    /// The events behind them.
    pub page: Vec<(Recorded, AnyEvent)>,
    /// Shards that stop at an event, and why.
    pub poison: Vec<(ShardId, String)>,
    /// There is more to fold.
    pub more: bool,
}

/// Folds one page of the shards that are behind: reads, decodes, fetches the rows concerned, applies.
///
/// # Errors
/// The store did not answer.
pub async fn fold(
    (log, read_models): (&dyn EventLog, &dyn ReadModels),
    generation: Generation,
    behind: &[(ShardId, u64)],
    size: PassSize,
) -> Result<Folded, StoreError> {
    fold_from((log, read_models, None), generation, behind, size).await
}

/// As [`fold`]; what a tail has of the log is not read again.
async fn fold_from(
    (log, read_models, tail): (&dyn EventLog, &dyn ReadModels, Option<&Tail>),
    generation: Generation,
    behind: &[(ShardId, u64)],
    size: PassSize,
) -> Result<Folded, StoreError> {
    let mut folded = Folded::default();
    let (mut pages, mut events) = (Vec::with_capacity(behind.len()), 0);
    for (shard, at) in behind {
        if events >= size.events {
            folded.more = true;
            break;
        }
        let recorded = match tail.and_then(|tail| tail.take(*shard, *at, size.page as usize)) {
            Some(recorded) => recorded,
            None => log.read_shard(*shard, *at, size.page).await?,
        };
        folded.more |= recorded.len() == size.page as usize;
        let page = Page::decoded(*shard, *at, recorded, &mut folded.poison);
        events += page.events.len();
        pages.extend(Some(page).filter(|page| !page.events.is_empty()));
    }
    let mut stored = Stored::fetch(read_models, generation, &pages).await?;
    for page in pages {
        folded.batches.extend(page.rows(&mut stored));
        folded.page.extend(page.events);
    }
    Ok(folded)
}

/// Some events of one shard.
struct Page {
    shard: ShardId,
    from_seq: u64,
    events: Vec<(Recorded, AnyEvent)>,
    /// The rows whose former images they need.
    wanted: Wanted,
}

/// Keys of rows, by the name of their table.
type Wanted = HashMap<&'static str, (&'static TableDef, HashSet<RowKey>)>;

impl Page {
    /// Up to the first event that cannot be decoded.
    fn decoded(shard: ShardId, from_seq: u64, page: Vec<Recorded>, poison: &mut Vec<(ShardId, String)>) -> Self {
        let mut events = Vec::with_capacity(page.len());
        let mut wanted = Wanted::new();
        for recorded in page {
            let event = match recorded.decode() {
                Ok(event) => event,
                Err(error) => {
                    poison.push((shard, format!("event {} of shard {shard}: {error}", recorded.seq)));
                    break;
                }
            };
            // A shard's rows come from its own events only: before its first page there are none to fetch.
            if from_seq > 0 {
                for (table, key) in reads(&event, &recorded) {
                    wanted.entry(table.name).or_insert_with(|| (table, HashSet::new())).1.insert(key);
                }
            }
            events.push((recorded, event));
        }
        Self { shard, from_seq, events, wanted }
    }

    fn rows(&self, stored: &mut Stored) -> Option<RowBatch> {
        let (last, _) = self.events.last()?;
        let mut rows = Rows::new();
        // What was not found does not exist, which is what a fold takes an unknown row for.
        for (name, (table, keys)) in &self.wanted {
            for (key, row) in keys.iter().filter_map(|key| stored.take(name, key)) {
                rows.load(table, key, Some(row));
            }
        }
        for (recorded, event) in &self.events {
            apply(&mut rows, recorded, event);
        }
        let (upserts, deletes) = rows.take_changed();
        Some(RowBatch { shard: self.shard, from_seq: self.from_seq, upto_seq: last.seq, upserts, deletes })
    }
}

/// Former images of rows, by table and key.
struct Stored(HashMap<&'static str, HashMap<RowKey, Row>>);

impl Stored {
    /// Those that the pages want: one question for each table, whatever the number of shards.
    async fn fetch(read_models: &dyn ReadModels, generation: Generation, pages: &[Page]) -> Result<Self, StoreError> {
        let mut wanted: HashMap<&'static str, (&'static TableDef, Vec<RowKey>)> = HashMap::new();
        for (name, (table, keys)) in pages.iter().flat_map(|page| &page.wanted) {
            wanted.entry(name).or_insert_with(|| (table, Vec::new())).1.extend(keys.iter().cloned());
        }
        let answers = wanted.into_values().map(|(table, keys)| async move {
            let rows = read_models.rows(generation, table, &keys).await?;
            Ok::<_, StoreError>((table.name, rows.into_iter().map(|row| (table.key_of(&row), row)).collect()))
        });
        Ok(Self(future::try_join_all(answers).await?.into_iter().collect()))
    }

    fn take(&mut self, table: &str, key: &RowKey) -> Option<(RowKey, Row)> {
        self.0.get_mut(table)?.remove_entry(key)
    }
}

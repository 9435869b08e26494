//! The running system: how it is started, asked, and ended.
//!
//! Owns: the order of start (shards, journal, tree, recovery) and of end (drain, then stop).
//! Refuses to know: configuration files, command lines, HTTP.

use std::{
    any::Any,
    sync::{Arc, Mutex, OnceLock},
};

use nightshift_domain::{
    calendar::Calendar,
    decider::Class,
    definition,
    expression::Expressions,
    ids::{CommandId, DefinitionId, QueueId, ShardId, StreamId},
    queue::QueueDecider,
    recorded::Meta,
    run::{self, Token},
    streams::AnyCommand,
};
use nightshift_ports::{
    Boxed,
    clock::{Clock, IdSource},
    log::{EventLog, StoreError},
    performer::Performers,
    read_models::ReadModels,
};
use nightshift_spec::expressions::Cel;
use ractor::{Actor, ActorRef, SpawnErr};
use tokio::sync::{Semaphore, watch};

use crate::{
    chooser::Chooser,
    clock::ClockHandle,
    context::{Context, Settings},
    courier::Courier,
    envelope::{Done, Envelope, NotDone, Reply},
    faults::{Faults, NoFaults},
    herald::Herald,
    importer::ImporterHandle,
    journal::{self, Journal},
    observer::{Gauges, NoObserver, Observer},
    projector::{ProjectorHandle, Stuck},
    queue::{Offer, QueueHandle, QueueView, Wanted},
    recovery,
    root::{Args, Collapse, RootActor},
    router::Router,
    shell::{LoadError, Shell},
    workers::{self, Workers},
};

/// What a system is built from.
pub struct Parts {
    /// The event log.
    pub log: Arc<dyn EventLog>,
    /// The read models.
    pub read_models: Arc<dyn ReadModels>,
    /// The outside world.
    pub performers: Performers,
    /// Instants.
    pub clock: Arc<dyn Clock>,
    /// Chance.
    pub ids: Arc<dyn IdSource>,
    /// Due instants.
    pub calendar: Arc<dyn Calendar>,
    /// Conditions.
    pub expressions: Arc<dyn Expressions>,
    /// Limits and policies.
    pub settings: Settings,
    /// Who sees what happened.
    pub observer: Arc<dyn Observer>,
    /// What breaks.
    pub faults: Arc<dyn Faults>,
}

impl Parts {
    /// Nobody looks, nothing breaks.
    #[must_use]
    pub fn new(
        (log, read_models): (Arc<dyn EventLog>, Arc<dyn ReadModels>),
        performers: Performers,
        (clock, ids): (Arc<dyn Clock>, Arc<dyn IdSource>),
        calendar: Arc<dyn Calendar>,
    ) -> Self {
        Self {
            log,
            read_models,
            performers,
            clock,
            ids,
            calendar,
            expressions: Arc::new(Cel::default()),
            settings: Settings::default(),
            observer: Arc::new(NoObserver),
            faults: Arc::new(NoFaults),
        }
    }
}

/// A system that did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The store did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What people set of the queue could not be read.
    #[error("the limits that were set could not be read: {0}")]
    Limits(#[from] LoadError),
    /// An actor did not start.
    #[error("the actor tree did not start: {0}")]
    Tree(#[from] SpawnErr),
}

/// A running system. Cheap to clone.
#[derive(Clone)]
pub struct System {
    context: Arc<Context>,
    root: ActorRef<()>,
    collapse: watch::Receiver<Option<Collapse>>,
    admission: Arc<Semaphore>,
    /// Obligations that were handed over again at the start.
    pub recovered: u64,
}

impl System {
    /// Takes all shards over, starts the tree, and hands over what is owed.
    ///
    /// # Errors
    /// See [`StartError`].
    pub fn start(parts: Parts) -> Boxed<'static, Result<Self, StartError>> {
        Box::pin(Self::started(parts))
    }

    async fn started(parts: Parts) -> Result<Self, StartError> {
        let gauges = Gauges::new(Arc::clone(&parts.observer));
        let shards: Vec<ShardId> = (0..parts.log.info().shard_count).map(ShardId).collect();
        let owner = parts.ids.fresh();
        let owned = parts.log.acquire(owner, &shards, parts.clock.now()).await?;
        let projector = ProjectorHandle::default();
        let nudge = projector.clone();
        let (journal, lanes) = Journal::start(journal::Parts {
            log: Arc::clone(&parts.log),
            clock: Arc::clone(&parts.clock),
            gauges: Arc::clone(&gauges),
            owner,
            shards: owned,
            lanes: parts.settings.lanes,
            committed: Arc::new(move || nudge.nudge()),
        });
        let (courier, timers) = Courier::new();
        let admission = Arc::new(Semaphore::new(parts.settings.admission_max));
        let context = Arc::new(Context {
            log: parts.log,
            read_models: parts.read_models,
            performers: parts.performers,
            clock_port: parts.clock,
            ids: parts.ids,
            calendar: parts.calendar,
            expressions: parts.expressions,
            limits: Mutex::new(parts.settings.limits.clone()),
            settings: parts.settings,
            gauges,
            faults: parts.faults,
            journal,
            clock: ClockHandle::default(),
            queue: QueueHandle::default(),
            importer: ImporterHandle::default(),
            projector,
            workers: Workers::default(),
            courier,
            chooser: Chooser::default(),
            herald: Herald::default(),
            router: OnceLock::from(Router::default()),
        });
        // Nothing is given a place before it is known what people set.
        let queue = Shell::<QueueDecider>::load(QueueId::the().stream(), Arc::clone(&context)).await?;
        context.queue_changed(queue.state());
        let (collapse, collapsed) = watch::channel(None);
        watch_lanes(lanes, &context, &collapse);
        crate::tasks::spawn(Courier::pump(Arc::downgrade(&context), timers));
        let args = Args { context: Arc::clone(&context), collapse };
        let (root, _) = Actor::spawn(None, RootActor, args).await?;
        let told = |taken_up| context.gauges.observer().recovering(taken_up);
        let recovered = match context.settings.alive {
            true => recovery::rescan(&context, &[Class::Job, Class::Effect, Class::Send], told).await?,
            false => 0,
        };
        context.clock.begin();
        context.projector.nudge();
        Ok(Self { context, root, collapse: collapsed, admission, recovered })
    }

    /// Asks a stream for a decision, as a client: turned away when too much is waiting, kept even when nothing happens.
    ///
    /// # Errors
    /// See [`NotDone`].
    pub async fn submit(
        &self,
        stream: StreamId,
        command: impl Into<AnyCommand>,
        (id, actor): (CommandId, &str),
    ) -> Result<Done, NotDone> {
        self.submit_named(stream, command, (id, actor), None).await
    }

    /// As [`Self::submit`], for a request that its client gave a name from which `id` is made. `request` is the fingerprint
    /// of what is asked; it is kept with the command, so that another request under the same name can be told.
    ///
    /// # Errors
    /// See [`NotDone`].
    pub async fn submit_named(
        &self,
        stream: StreamId,
        command: impl Into<AnyCommand>,
        (id, actor): (CommandId, &str),
        request: Option<String>,
    ) -> Result<Done, NotDone> {
        let Ok(_permit) = self.admission.try_acquire() else { return Err(NotDone::Busy { retry_after_s: 1 }) };
        let (stream, command, offered) = self.straight(stream, command.into()).await?;
        let envelope = Envelope {
            command,
            id,
            meta: Meta { actor: actor.to_owned(), request, ..Meta::default() },
            discharges: None,
            from_client: true,
            reply: Reply::nobody(),
        };
        let outcome = self.context.router().submit(stream, envelope).await;
        workers::give_back_unused(&self.context, offered);
        outcome
    }

    /// A run that a client asks for is begun in its own stream, with what its definition says now: the definition itself
    /// has nothing to remember of it, and its one writer would hold up everybody who starts runs of it. A request that the
    /// definition turns down goes to it, so that its refusal is kept.
    ///
    /// With a free place its first step is begun in the same commit; the place that came with it is named.
    async fn straight(
        &self,
        stream: StreamId,
        command: AnyCommand,
    ) -> Result<(StreamId, AnyCommand, Option<Token>), NotDone> {
        let AnyCommand::Definition(definition::Command::Start(start)) = &command else {
            return Ok((stream, command, None));
        };
        if start.parent.is_some() {
            return Ok((stream, command, None));
        }
        let (start, now) = (start.clone(), self.context.clock_port.now());
        let run = start.run;
        let first = move |state: &definition::State, _| {
            definition::first_fact(state, &start, DefinitionId::from_uuid(stream.id), now).ok()
        };
        let Some(created) = self.ask(stream, first).await? else { return Ok((stream, command, None)) };
        let wanted = Wanted { run, user: created.user.clone(), priority: created.priority, instead_of: None };
        Ok(match self.context.queue.offer(wanted).await {
            Some(Offer { lease: offer, tokens_free }) => {
                let token = offer.token;
                let begin = run::Command::Begin { created, offer, tokens_free, at_once: true };
                (run.stream(), begin.into(), Some(token))
            }
            None => (run.stream(), run::Command::Create(created).into(), None),
        })
    }

    /// Asks a question of a stream's state (of the kind's state type `S`) and its version.
    ///
    /// # Errors
    /// The stream could not be loaded.
    pub async fn ask<S: Any, T: Send + 'static>(
        &self,
        stream: StreamId,
        question: impl FnOnce(&S, u64) -> T + Send + 'static,
    ) -> Result<T, NotDone> {
        self.context.router().ask(stream, question).await
    }

    /// What the tree shares.
    #[must_use]
    pub const fn context(&self) -> &Arc<Context> {
        &self.context
    }

    /// Who waits for a place and who holds one.
    pub async fn queue(&self) -> QueueView {
        self.context.queue.show().await
    }

    /// Returns when nothing is due or under way and the read models show all of it, as far as they can. Timers of the
    /// future do not count.
    pub async fn settled(&self) {
        loop {
            self.context.clock.look().await;
            self.context.gauges.idle().await;
            // A shard that stands still for good shows no more by waiting.
            let _ = self.caught_up().await;
            if self.context.gauges.open_count() == 0 {
                return;
            }
        }
    }

    /// Returns when the read models show everything that is in the log now.
    ///
    /// # Errors
    /// They will not: a shard stopped at an event that cannot be folded. The others are there.
    pub async fn caught_up(&self) -> Result<(), Stuck> {
        let heads = self.context.journal.heads();
        self.context.projector.nudge();
        self.context.projector.caught_up(&heads).await
    }

    /// Returns when the tree ended by itself, and why.
    pub async fn collapsed(&self) -> Collapse {
        let mut collapse = self.collapse.clone();
        match collapse.wait_for(Option::is_some).await {
            Ok(why) => why.clone().unwrap_or(Collapse::JournalEnded),
            Err(_) => Collapse::JournalEnded,
        }
    }

    /// Ends the tree. What is under way is found in the log at the next start.
    pub async fn stop(&self) {
        self.context.clock.0.stop();
        self.context.herald.stop();
        let _ = self.root.stop_and_wait(None, None).await;
    }
}

/// A lane ends only when it was fenced or when something is very wrong; either way nothing more can be written.
fn watch_lanes(
    lanes: Vec<impl Future<Output = ()> + Send + 'static>,
    context: &Arc<Context>,
    collapse: &watch::Sender<Option<Collapse>>,
) {
    for lane in lanes {
        let lane = crate::tasks::spawn_watched(lane);
        let (context, collapse) = (Arc::downgrade(context), collapse.clone());
        crate::tasks::spawn(async move {
            let _ = lane.await;
            let Some(context) = context.upgrade() else { return };
            let why = if context.journal.is_fenced() { Collapse::Fenced } else { Collapse::JournalEnded };
            collapse.send_replace(Some(why));
        });
    }
}

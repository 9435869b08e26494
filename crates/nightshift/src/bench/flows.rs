//! Workflows whose steps do nothing, their runs, and the performer that counts what it is asked.
//!
//! Owns: the documents, the clients that start runs, and a performer in the place of the real one, so that what is
//! measured is the way of a step through the log and the queue and no agent.
//! Refuses to know: what is measured.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use nightshift_actors::system::System;
use nightshift_domain::{
    content::Failure,
    definition::{self, Document},
    ids::{CommandId, DefinitionId, RunId, UserId, derive, place},
    run::{Action, Outcome},
};
use nightshift_ports::{
    clock::{Clock, IdSource},
    performer::{Acting, Call},
};
use nightshift_spec::workflow;
use serde_json::json;
use tokio::sync::Notify;
use uuid::Uuid;

use super::place::Place;
use crate::{
    app::{self, AnyStore, Purpose},
    exit::Exit,
    real::{RandomIds, SystemClock, elapsed},
};

/// Three steps, one after the other.
pub(super) const THREE: &str = "{name: three, owner: bench, version: '1', steps: [{id: a, call: /agents/noop/a}, \
    {id: b, call: /agents/noop/b, depends_on: a}, {id: c, call: /agents/noop/c, depends_on: b}]}";

/// One step.
pub(super) const ONE: &str = "{name: one, owner: bench, version: '1', steps: [{id: a, call: /agents/noop/a}]}";

/// One step that has to pass two buckets and a key.
pub(super) const LIMITED: &str = "{name: limited, owner: bench, version: '1', parameters: [{name: key, type: string}], \
    steps: [{id: a, call: /agents/noop/a, concurrency_key: '{{ parameters.key }}'}]}";

/// One step that waits for some weeks.
pub(super) const SLEEPING: &str = "{name: sleeping, owner: bench, version: '1', steps: [{id: a, sleep: 30d}]}";

/// Keys that runs of [`LIMITED`] share.
pub(super) const KEYS: u64 = 32;

/// So many times the configured places: steps that do nothing only wait for commits, and few of them fill none.
pub(super) const PLACES_TIMES: u16 = 8;

/// Clients at once, each with one request in flight.
const CLIENTS: u64 = 512;

/// Does nothing, and keeps count of it.
#[derive(Default)]
pub(super) struct Noop {
    /// An attempt never ends.
    hangs: bool,
    asked: AtomicU64,
    news: Notify,
    /// When each run was asked for the first time and how often, by the key of its step.
    seen: Mutex<HashMap<String, (Duration, u32)>>,
    /// When each run got to its first step.
    begun: Mutex<HashMap<RunId, Duration>>,
}

impl Noop {
    pub(super) fn hanging() -> Self {
        Self { hangs: true, ..Self::default() }
    }

    /// Returns when so many steps were asked for.
    pub(super) async fn all_asked(&self, count: u64) {
        loop {
            let news = self.news.notified();
            if self.asked.load(Ordering::Acquire) >= count {
                return;
            }
            news.await;
        }
    }

    /// When the first step of a run was begun.
    pub(super) fn begun(&self, run: RunId) -> Option<Duration> {
        self.begun.lock().unwrap_or_else(PoisonError::into_inner).get(&run).copied()
    }

    /// When each step was begun, and how often, by its key.
    pub(super) fn seen(&self) -> Vec<(Duration, u32)> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).values().copied().collect()
    }
}

#[async_trait]
impl Acting for Noop {
    async fn act(&self, _action: &Action, call: &Call) -> Result<Outcome, Failure> {
        let now = elapsed();
        self.begun.lock().unwrap_or_else(PoisonError::into_inner).entry(call.run).or_insert(now);
        let key = call.idempotency_key.clone();
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).entry(key).or_insert((now, 0)).1 += 1;
        self.asked.fetch_add(1, Ordering::AcqRel);
        if self.hangs {
            self.news.notify_waiters();
            std::future::pending::<()>().await;
        }
        Ok(Outcome::of(json!({"ok": true})))
    }
}

/// Starts the whole real system with another performer of steps.
pub(super) async fn start(
    place: &Place,
    store: &AnyStore,
    noop: &Arc<Noop>,
    observer: Arc<dyn nightshift_actors::observer::Observer>,
) -> Result<System, Exit> {
    let acting: Arc<dyn Acting> = noop.clone();
    let mut config = place.config.clone();
    config.queue.concurrency = config.queue.concurrency.saturating_mul(PLACES_TIMES);
    app::start(&config, store, Purpose { acting: Some(acting), ..Purpose::daemon(observer) }).await
}

/// Starts runs of a registered workflow.
#[derive(Clone)]
pub(super) struct Starts {
    definition: DefinitionId,
    shard_count: u16,
    seed: Uuid,
}

impl Starts {
    /// Registers the workflow and puts it in force.
    pub(super) async fn of(system: &System, text: &str) -> Result<Self, Exit> {
        let document = parsed(text)?;
        let shard_count = system.context().shard_count();
        let definition = DefinitionId::of(&document.owner, &document.name, shard_count);
        let user = UserId("bench".to_owned());
        let command = definition::Command::Register { document: Arc::new(document), user, activate: true };
        let id = CommandId(RandomIds.fresh());
        system.submit(definition.stream(), command, (id, "bench")).await.map_err(Exit::failed)?;
        Ok(Self { definition, shard_count, seed: RandomIds.fresh() })
    }

    /// Those of another process, which says by which seed.
    pub(super) fn known(shard_count: u16, text: &str, seed: Uuid) -> Result<Self, Exit> {
        let document = parsed(text)?;
        let definition = DefinitionId::of(&document.owner, &document.name, shard_count);
        Ok(Self { definition, shard_count, seed })
    }

    /// What names its runs.
    pub(super) const fn seed(&self) -> Uuid {
        self.seed
    }

    /// The `n`-th run.
    pub(super) fn run(&self, n: u64) -> RunId {
        let seed = derive("bench flow", &[self.seed.as_bytes(), &n.to_be_bytes()]);
        RunId::on_shard(seed, place(seed, self.shard_count))
    }

    /// Asks for the `n`-th run; returns when it is on disk.
    pub(super) async fn start(&self, system: &System, n: u64, user: &str) -> Result<(), Exit> {
        let start = definition::Start {
            run: self.run(n),
            version: None,
            parameters: json!({}),
            user: UserId(user.to_owned()),
            trigger: json!({"type": "manual", "by": user}),
            parent: None,
            priority: None,
        };
        self.ask(system, n, start).await
    }

    /// Asks for the `n`-th run, which shares a key with others.
    pub(super) async fn start_keyed(&self, system: &System, n: u64, user: &str) -> Result<(), Exit> {
        let start = definition::Start {
            run: self.run(n),
            version: None,
            parameters: json!({"key": format!("key-{}", n % KEYS)}),
            user: UserId(user.to_owned()),
            trigger: json!({"type": "manual", "by": user}),
            parent: None,
            priority: None,
        };
        self.ask(system, n, start).await
    }

    async fn ask(&self, system: &System, n: u64, start: definition::Start) -> Result<(), Exit> {
        let id = CommandId(derive("bench start", &[self.seed.as_bytes(), &n.to_be_bytes()]));
        let command = definition::Command::Start(Box::new(start));
        system.submit(self.definition.stream(), command, (id, "bench")).await.map(|_| ()).map_err(Exit::failed)
    }

    /// Asks for the runs `0..count` of one user, by many clients at once.
    pub(super) async fn many(&self, system: &System, count: u64, (user, keyed): (&str, bool)) -> Result<(), Exit> {
        let next = Arc::new(AtomicU64::new(0));
        let client = |_| {
            let (starts, system, next, user) = (self.clone(), system.clone(), Arc::clone(&next), user.to_owned());
            tokio::spawn(async move {
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    if n >= count {
                        return Ok::<(), Exit>(());
                    }
                    match keyed {
                        true => starts.start_keyed(&system, n, &user).await?,
                        false => starts.start(&system, n, &user).await?,
                    }
                }
            })
        };
        let clients: Vec<_> = (0..CLIENTS.min(count)).map(client).collect();
        for client in clients {
            client.await.map_err(Exit::failed)??;
        }
        Ok(())
    }
}

/// A document as it is registered.
pub(super) fn parsed(text: &str) -> Result<Document, Exit> {
    let calendar = app::calendar();
    let context = workflow::Context {
        calendar: &calendar,
        now: SystemClock.now(),
        owner: "bench",
        max_parallel_default: None,
        max_parallel_cap: None,
    };
    workflow::parse(text, "bench.yml", &context).map_err(Exit::failed)
}

/// Returns when nothing waits for a place and no step is under way, or says that it took too long.
pub(super) async fn drained(system: &System, limit: Duration) -> Result<(), Exit> {
    let done = async {
        tokio::select! {
            () = system.context().gauges.idle() => Ok(()),
            why = system.collapsed() => Err(Exit::failed(format!("the system ended early: {why:?}"))),
        }
    };
    let late = |_| Exit::failed(format!("it was not over within {} s", limit.as_secs()));
    tokio::time::timeout(limit, done).await.map_err(late)?
}

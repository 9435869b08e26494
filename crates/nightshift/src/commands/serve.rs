//! `nightshift serve`: the daemon.
//!
//! Owns: the order of start and end, signals, and what the service manager is told.

use std::{sync::Arc, time::Duration};

use nightshift_actors::{root::Collapse, system::System};
use nightshift_api::Shared;
use nightshift_ports::{
    clock::{Clock, IdSource},
    log::Session,
    read_models::ReadModels,
    store::Store,
};
use tokio::{
    net::TcpListener,
    signal::unix::{Signal, SignalKind, signal},
    sync::watch,
};
use uuid::Uuid;

use super::Env;
use crate::{
    access,
    app::{self, AnyStore, Mode, Purpose},
    config::Config,
    control::{self, SESSION_TTL_MS},
    exit::{Code, Exit},
    manager, names,
    observe::{Tracer, Watcher},
    real::{RandomIds, SystemClock},
};

/// What was decided last is in the tables within this time, or at the next start.
const SHOWN_WITHIN: Duration = Duration::from_secs(3);

/// The end of the process takes no longer.
const END_WITHIN: Duration = Duration::from_secs(10);

/// Whether another process still lives is looked at so often, in milliseconds.
const LOOK_MS: i64 = 1_000;

/// The session is renewed so often, in milliseconds.
const RENEW_MS: i64 = 2_500;

/// Runs until a signal or until the tree gives up.
///
/// # Errors
/// It did not start, or it ended by itself.
pub async fn run(env: &Env) -> Result<Code, Exit> {
    let config = &env.config;
    let watcher = Watcher::new()?;
    // Everything that can be refused is refused before anything is taken over.
    let options = access::options(config)?;
    let listener = listen(config).await?;
    let opening = format!("opening the store at {}", config.store.url);
    let store = manager::patiently(&opening, app::open(config, Mode::Write)).await?;
    let address = listener.as_ref().and_then(|listener| listener.local_addr().ok()).map(|address| address.to_string());
    let session = Member::join(&store, address.clone(), config.store.takeover).await?;
    let token = control::make_token(&config.store.data_dir)?;
    announce(&store, address.as_deref())?;
    tracing::info!(store = %config.store.url, "taking the shards over");
    manager::phase("taking the shards over");
    let system = app::start(config, &store, Purpose::daemon(watcher.clone())).await?;
    let (stop, stopped) = watch::channel(false);
    let mut tasks = tokio::task::JoinSet::new();
    serve_http(&mut tasks, listener, &system, (token, &watcher), options, stopped.clone());
    trace(&mut tasks, config, (&system, &store), &watcher)?;
    tasks.spawn(upkeep(Arc::clone(&watcher), store.clone(), system.clone()));
    // From here on a signal ends the process in order; whoever is told that it is ready may send one at once.
    let asked = [signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?];
    let ready = format!("ready: {} obligation(s) taken up again", system.recovered);
    let address = address.as_deref().unwrap_or("none");
    tracing::info!(recovered = system.recovered, address, "{ready}");
    manager::ready(&format!("{ready}; HTTP address: {address}"));
    tasks.spawn(manager::live(system.clone()));
    let code = until_the_end(&system, &session, asked).await;
    manager::stopping("ending; what is under way is taken up at the next start");
    tracing::info!("ending; what is under way is taken up at the next start");
    stop.send_replace(true);
    let ending = async {
        // So that the tables say what the log says while nobody runs: `verify` compares the two.
        let shown = tokio::time::timeout(SHOWN_WITHIN, system.caught_up()).await;
        if !matches!(shown, Ok(Ok(()))) {
            tracing::info!("the read models are behind the log; the next start brings them up");
        }
        system.stop().await;
        session.leave().await;
        tasks.shutdown().await;
        store.end().await;
    };
    // Whatever does not end in time is cut off as a crash would: everything owed is in the log.
    if tokio::time::timeout(END_WITHIN, ending).await.is_err() {
        tracing::warn!("something did not end in time; it is taken up at the next start");
    }
    code
}

async fn listen(config: &Config) -> Result<Option<TcpListener>, Exit> {
    if !config.http.enabled {
        return Ok(None);
    }
    let listen = config.http.listen;
    nightshift_api::bind(listen).await.map(Some).map_err(|error| {
        let message = format!("http.listen = {listen}: {error}; choose another with --set http.listen=127.0.0.1:PORT");
        Exit::new(Code::Config, message)
    })
}

fn announce(store: &AnyStore, address: Option<&str>) -> Result<(), Exit> {
    if let (AnyStore::Sqlite(store), Some(address)) = (store, address) {
        store.announce(address)?;
    }
    Ok(())
}

fn serve_http(
    tasks: &mut tokio::task::JoinSet<()>,
    listener: Option<TcpListener>,
    system: &System,
    (token, watcher): (String, &Arc<Watcher>),
    options: nightshift_api::Options,
    mut stopped: watch::Receiver<bool>,
) {
    let Some(listener) = listener else { return };
    let metrics = watcher.metrics.clone();
    let shared = Shared {
        system: system.clone(),
        token,
        metrics: Box::new(move || metrics.render()),
        build: env!("CARGO_PKG_VERSION").to_owned(),
        options,
    };
    tasks.spawn(async move {
        let until = async move {
            let _ = stopped.wait_for(|stop| *stop).await;
        };
        if let Err(error) = nightshift_api::serve(listener, shared, until).await {
            tracing::error!(%error, "the HTTP interface ended");
        }
    });
}

fn trace(
    tasks: &mut tokio::task::JoinSet<()>,
    config: &Config,
    (system, store): (&System, &AnyStore),
    watcher: &Arc<Watcher>,
) -> Result<(), Exit> {
    let projector = system.context().projector.clone();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let tracer = Tracer::new(&config.telemetry, store.ports(), clock, projector, watcher.metrics.clone())?;
    if let Some(tracer) = tracer {
        tasks.spawn(tracer.run(Arc::clone(&watcher.news)));
    }
    Ok(())
}

/// Keeps histograms small and queue figures fresh.
async fn upkeep(watcher: Arc<Watcher>, store: AnyStore, system: System) {
    let clock = SystemClock;
    loop {
        clock.sleep_until(clock.now().plus_ms(5_000)).await;
        watcher.metrics.run_upkeep();
        let models: Arc<dyn ReadModels> = store.read_models();
        if let Ok(counts) = models.count_by(names::table("job_queue"), "status").await {
            const STATES: [&str; 7] = ["queued", "leased", "running", "success", "failed", "dead", "cancelled"];
            let count =
                |state: &str| counts.iter().find(|(value, _)| value.as_str() == Some(state)).map_or(0, |(_, n)| *n);
            watcher.metrics.task_queue_jobs(&STATES.map(|state| (state, count(state))));
        }
        let context = system.context();
        let (view, limits) = (system.queue().await, context.limits());
        watcher.queue_levels(&view, (&limits, context.settings.concurrency), clock.now());
        let checkpoints = context.projector.checkpoints();
        let lags: Vec<_> = context
            .journal
            .heads()
            .into_iter()
            .map(|(shard, head)| {
                let seqs = head.saturating_sub(checkpoints.get(&shard).copied().unwrap_or(0));
                nightshift_telemetry::metrics::ShardLag { shard, seqs, seconds: 0.0 }
            })
            .collect();
        watcher.metrics.projection_lag("read_models", &lags);
    }
}

/// Returns when a signal comes, the tree gives up, or the session expired.
async fn until_the_end(system: &System, session: &Member, asked: [Signal; 2]) -> Result<Code, Exit> {
    let [mut terminate, mut interrupt] = asked;
    tokio::select! {
        _ = terminate.recv() => Ok(Code::Ok),
        _ = interrupt.recv() => Ok(Code::Ok),
        () = session.keep() => {
            Err(Exit::new(Code::Fenced, "the session of this process expired in the store; it must not go on"))
        }
        why = system.collapsed() => match why {
            Collapse::Fenced => {
                Err(Exit::new(Code::Fenced, "another process took the shards over; nothing more is written here"))
            }
            Collapse::JournalEnded => Err(Exit::new(Code::GaveUp, "the journal ended; see the log above")),
            Collapse::GaveUp { role, why } => {
                Err(Exit::new(Code::GaveUp, format!("the {role} failed more often than restarts cure: {why}")))
            }
        },
    }
}

/// This process among those that may work on the store.
struct Member {
    store: AnyStore,
    id: Uuid,
}

impl Member {
    /// Joins; waits while another process lives on the same store.
    async fn join(store: &AnyStore, address: Option<String>, takeover: bool) -> Result<Self, Exit> {
        let ports = store.ports();
        // The lock of a SQLite file proves that nobody else lives, whatever a session of a killed process says.
        let alone = takeover || matches!(store, AnyStore::Sqlite(_));
        if !alone {
            stand_by(&*ports).await?;
        }
        // Sessions of processes that are dead or about to be fenced would lead commands astray.
        for other in ports.living().await? {
            ports.leave_session(other.id).await?;
        }
        let session =
            Session { id: RandomIds.fresh(), node: node_name(), address, build: env!("CARGO_PKG_VERSION").to_owned() };
        ports.join(&session, SESSION_TTL_MS).await?;
        Ok(Self { store: store.clone(), id: session.id })
    }

    /// Renews the session; returns when it has expired.
    async fn keep(&self) {
        let clock = SystemClock;
        let ports = self.store.ports();
        loop {
            clock.sleep_until(clock.now().plus_ms(RENEW_MS)).await;
            match ports.renew(self.id, SESSION_TTL_MS).await {
                Ok(true) => {}
                Ok(false) => return,
                // The fence keeps the log safe whatever the session says; a store that does not answer is no reason to end.
                Err(error) => tracing::warn!(%error, "the session could not be renewed; trying again"),
            }
        }
    }

    async fn leave(&self) {
        if let Err(error) =
            tokio::time::timeout(Duration::from_secs(2), self.store.ports().leave_session(self.id)).await
        {
            tracing::warn!(%error, "the session was not ended; it expires by itself");
        }
    }
}

/// Returns when no other process lives on the store. It may be asked to wait for days, and says so.
async fn stand_by(ports: &dyn Store) -> Result<(), Exit> {
    let clock = SystemClock;
    let mut waits = false;
    loop {
        match ports.living().await {
            Ok(living) => match living.first() {
                None => return Ok(()),
                Some(other) => {
                    let address = other.address.as_deref().unwrap_or("no HTTP address");
                    if !waits {
                        tracing::info!(node = other.node, address, "another process works on this store; standing by");
                    }
                    waits = true;
                    manager::phase(&format!("standing by: node {} at {address} works on this store", other.node));
                }
            },
            // Whoever takes over after a failure of the database must have outlived it.
            Err(error) if waits => {
                tracing::warn!(%error, "the store does not answer; standing by all the same");
                manager::phase(&format!("standing by, waiting for the store: {error}"));
            }
            Err(error) => return Err(error.into()),
        }
        clock.sleep_until(clock.now().plus_ms(LOOK_MS)).await;
    }
}

fn node_name() -> String {
    let name = std::fs::read_to_string("/etc/hostname").unwrap_or_default();
    let name = name.trim();
    if name.is_empty() { "node".to_owned() } else { name.to_owned() }
}

//! Wiring: configuration to store, performers, system. The only place that names concrete adapters.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};

use nightshift_actors::{
    context::Settings,
    faults::{Faults, NoFaults, Point},
    observer::{NoObserver, Observer},
    system::{Parts, System},
};
use nightshift_domain::{
    run::{REPORTS, Receiver, Reports},
    time::Timestamp,
};
use nightshift_effects::{EffectsConfig, LlmConfig, ReportsConfig, SmtpConfig, SmtpTls, StepsConfig, performers};
use nightshift_ports::{
    clock::{Clock, IdSource},
    log::EventLog,
    performer::Acting,
    read_models::ReadModels,
    step_cache::StepCache,
    store::Store,
};
use nightshift_projections::tables;
use nightshift_spec::ZonedCalendar;
use nightshift_store::{
    postgres::{self, PostgresStore},
    sqlite::{self, SqliteStore},
};

use crate::{
    args::Cli,
    config::{Config, FILE_VARIABLE, Loaded, StoreUrl},
    exit::{Code, Exit},
    real::{RandomIds, SystemClock, zone_revision},
    registry,
};

/// The environment of the process, read once.
#[must_use]
pub fn environment() -> BTreeMap<String, String> {
    #[expect(clippy::disallowed_methods, reason = "the one place where the environment is read")]
    let variables = std::env::vars_os();
    variables.filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?))).collect()
}

/// Reads the configuration that the command line, the environment and the file give together.
///
/// # Errors
/// Every fault of it, at once.
pub fn load_config(cli: &Cli) -> Result<Loaded, Exit> {
    let env = environment();
    let named =
        cli.config.clone().or_else(|| env.get(FILE_VARIABLE).filter(|name| !name.is_empty()).map(PathBuf::from));
    let text = match &named {
        Some(path) => Some(
            std::fs::read_to_string(path)
                .map_err(|error| Exit::new(Code::Config, format!("{}: {error}; check --config", path.display())))?,
        ),
        None => None,
    };
    let mut flags: Vec<(String, String)> = Vec::new();
    for set in &cli.set {
        let pair = set.split_once('=').ok_or_else(|| {
            Exit::new(Code::Usage, format!("--set {set:?}: found no `=`; write --set section.key=value"))
        })?;
        flags.push((pair.0.to_owned(), pair.1.to_owned()));
    }
    if let Some(dir) = &cli.data_dir {
        let dir = std::path::absolute(dir)?;
        flags.push(("store.data_dir".to_owned(), dir.display().to_string()));
    }
    let flags: Vec<(&str, &str)> = flags.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    let name = named.map(|path| path.display().to_string());
    let file = name.as_deref().zip(text.as_deref());
    Config::load(file, &env, &flags).map_err(|faults| Exit::new(Code::Config, faults.to_string()))
}

/// A store of either kind.
#[derive(Clone)]
pub enum AnyStore {
    /// One file.
    Sqlite(Arc<SqliteStore>),
    /// A server.
    Postgres(Arc<PostgresStore>),
}

impl AnyStore {
    /// All ports of it.
    #[must_use]
    pub fn ports(&self) -> Arc<dyn Store> {
        match self {
            Self::Sqlite(store) => store.clone(),
            Self::Postgres(store) => store.clone(),
        }
    }

    /// The read models.
    #[must_use]
    pub fn read_models(&self) -> Arc<dyn ReadModels> {
        match self {
            Self::Sqlite(store) => store.clone(),
            Self::Postgres(store) => store.clone(),
        }
    }

    /// What steps of workflows made, kept for others.
    #[must_use]
    pub fn step_cache(&self) -> Arc<dyn StepCache> {
        match self {
            Self::Sqlite(store) => store.clone(),
            Self::Postgres(store) => store.clone(),
        }
    }

    /// The event log.
    #[must_use]
    pub fn log(&self) -> Arc<dyn EventLog> {
        match self {
            Self::Sqlite(store) => store.clone(),
            Self::Postgres(store) => store.clone(),
        }
    }

    /// Leaves everything in order when this process is done with the store: a file is whole without its WAL.
    pub async fn end(&self) {
        let Self::Sqlite(store) = self else { return };
        if let Err(error) = store.fold_wal().await {
            // Nothing is lost by it: the WAL is read at the next start.
            tracing::warn!(%error, "the WAL was not folded into the file");
        }
    }
}

/// How a store is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// To look at it beside a running daemon; never changes anything.
    Read,
    /// To work on it, alone; makes and migrates it first.
    Write,
}

/// Opens the configured store.
///
/// # Errors
/// See [`nightshift_store::OpenError`].
pub async fn open(config: &Config, mode: Mode) -> Result<AnyStore, Exit> {
    let fresh = RandomIds.fresh();
    match &config.store.url {
        StoreUrl::Sqlite(path) => {
            let mut options = sqlite::OpenOptions::at(path, fresh, tables::ALL);
            options.create = mode == Mode::Write;
            options.read_only = mode == Mode::Read;
            options.expect_cluster = config.store.cluster_id;
            options.initial_shards = config.store.shard_count;
            Ok(AnyStore::Sqlite(Arc::new(SqliteStore::open(options).await?)))
        }
        StoreUrl::Postgres(url) => {
            let mut options = postgres::OpenOptions::at(url.expose(), fresh, tables::ALL);
            options.migrate = mode == Mode::Write;
            options.read_only = mode == Mode::Read;
            options.expect_cluster = config.store.cluster_id;
            options.initial_shards = config.store.shard_count;
            options.lanes = u32::from(config.store.lanes);
            Ok(AnyStore::Postgres(Arc::new(PostgresStore::open(options).await?)))
        }
    }
}

/// What a system is started for.
pub struct Purpose {
    /// Name of the worker in leases.
    pub worker: String,
    /// Timers go off and what is owed is handed over. Without it only what is asked is done.
    pub alive: bool,
    /// Who sees what happened.
    pub observer: Arc<dyn Observer>,
    /// Instants.
    pub clock: Arc<dyn Clock>,
    /// Does the steps of workflows in the place of the real performer: for measurements of all the rest.
    pub acting: Option<Arc<dyn Acting>>,
}

impl Purpose {
    /// One command of a person: nothing else is done on the way.
    #[must_use]
    pub fn command(clock: Arc<dyn Clock>) -> Self {
        Self { worker: "cli".to_owned(), alive: false, observer: Arc::new(NoObserver), clock, acting: None }
    }

    /// A daemon or a pass of one.
    #[must_use]
    pub fn daemon(observer: Arc<dyn Observer>) -> Self {
        let worker = format!("pid-{}", std::process::id());
        Self { worker, alive: true, observer, clock: Arc::new(SystemClock), acting: None }
    }
}

/// Time does not go back: the log would say that an effect came before its cause.
///
/// # Errors
/// The rehearsed instant is before the newest event.
pub async fn check_rehearsal(at: Option<Timestamp>, store: &AnyStore) -> Result<(), Exit> {
    let Some(at) = at else { return Ok(()) };
    let log = store.log();
    let mut newest = Timestamp::default();
    for (shard, head) in log.heads().await? {
        let last = log.read_shard(shard, head.saturating_sub(1), 1).await?;
        newest = newest.max(last.first().map(|event| event.at).unwrap_or_default());
    }
    if at < newest {
        let message = format!("--at {at}: the newest event of the store is of {newest}; name a later instant");
        return Err(Exit::new(Code::Usage, message));
    }
    Ok(())
}

/// The calendar of this machine.
#[must_use]
pub fn calendar() -> ZonedCalendar {
    ZonedCalendar::system(zone_revision())
}

/// Starts a system on a store.
///
/// # Errors
/// The performers cannot be built, the store does not answer.
pub async fn start(config: &Config, store: &AnyStore, purpose: Purpose) -> Result<System, Exit> {
    let ports = store.ports();
    let mut performers = performers(effects(config)?, ports, store.step_cache())
        .map_err(|error| Exit::new(Code::Config, format!("the performers cannot be built: {error}")))?;
    if let Some(acting) = purpose.acting {
        performers.acting = acting;
    }
    let lanes = match store {
        AnyStore::Sqlite(_) => 1,
        AnyStore::Postgres(_) => usize::from(config.store.lanes),
    };
    let settings = Settings {
        concurrency: usize::from(config.queue.concurrency),
        lease_ms: i64::try_from(config.queue.lease.as_millis()).unwrap_or(i64::MAX),
        worker: purpose.worker,
        resident_max: config.actors.resident_max,
        idle_ms: i64::try_from(config.actors.idle.as_millis()).unwrap_or(i64::MAX),
        admission_max: config.actors.admission,
        look_timeout_ms: millis(config.sources.timeout),
        limits: registry::limits(config.queue.limits_file.as_deref())?,
        reports: reports(config)?,
        lanes,
        alive: purpose.alive,
        ..Settings::default()
    };
    let parts = Parts {
        settings,
        observer: purpose.observer,
        faults: faults()?,
        ..Parts::new(
            (store.log(), store.read_models()),
            performers,
            (purpose.clock, Arc::new(RandomIds)),
            Arc::new(calendar()),
        )
    };
    System::start(parts).await.map_err(|error| Exit::new(Code::StoreUnavailable, error.to_string()))
}

/// What runs owe that begin from now on. Where it goes is looked up when it is sent.
fn reports(config: &Config) -> Result<Reports, Exit> {
    let configured = |url: &Option<String>| url.as_ref().map(|_| Receiver::Configured {});
    if let Some(name) = config.workflows.webhook_events.iter().find(|name| !REPORTS.contains(&name.as_str())) {
        let message = format!("workflows.webhook_events: {name:?} is no message; there are: {}", REPORTS.join(", "));
        return Err(Exit::new(Code::Config, message));
    }
    Ok(Reports {
        progress: configured(&config.workflows.progress_webhook),
        checkpoint: configured(&config.workflows.checkpoint_webhook),
        events: config.workflows.webhook_events.clone(),
    })
}

fn effects(config: &Config) -> Result<EffectsConfig, Exit> {
    let llm = config.llm.base_url.clone().zip(config.llm.model.clone());
    let smtp = config.smtp.host.clone().zip(config.smtp.from.clone());
    Ok(EffectsConfig {
        llm: llm.map(|(base_url, model)| LlmConfig {
            base_url,
            model,
            api_key: config.llm.api_key.clone(),
            timeout_ms: millis(config.llm.timeout),
            max_input_bytes: usize::try_from(config.llm.max_input_bytes).unwrap_or(usize::MAX),
        }),
        smtp: smtp.map(|(host, from)| SmtpConfig {
            host,
            port: Some(config.smtp.port),
            tls: SmtpTls::parse(config.smtp.tls.as_str()).unwrap_or_default(),
            user: config.smtp.user.clone(),
            password: config.smtp.password.clone(),
            from,
            timeout_ms: millis(config.smtp.timeout),
        }),
        reports: ReportsConfig {
            progress_url: config.workflows.progress_webhook.clone(),
            checkpoint_url: config.workflows.checkpoint_webhook.clone(),
            secret: config.workflows.webhook_secret.clone(),
        },
        max_item_bytes: config.sources.max_item_bytes,
        steps: StepsConfig {
            base_url: config.workflows.base_url.clone(),
            service_token: config.workflows.service_token.clone(),
            cache_entries_max: config.workflows.cache_entries_max,
            programs: config.workflows.programs.names().map(<[String]>::to_vec),
            folder: config.workflows.folder.clone(),
            secrets: registry::secrets(config.workflows.secrets_file.as_deref())?,
            agents: registry::agents(config.workflows.agents_file.as_deref())?,
            ..StepsConfig::default()
        },
        ..EffectsConfig::default()
    })
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Ends the process at the n-th passing of a named point, for torture: `NIGHTSHIFT_TORTURE_ABORT=committed:3`.
struct AbortAt {
    point: Point,
    left: std::sync::atomic::AtomicU32,
}

impl Faults for AbortAt {
    fn at(&self, point: Point) {
        if point == self.point && self.left.fetch_sub(1, std::sync::atomic::Ordering::SeqCst) == 1 {
            // As kill -9 does: nothing is unwound, nothing is flushed.
            std::process::abort();
        }
    }
}

fn faults() -> Result<Arc<dyn Faults>, Exit> {
    let Some(spec) = environment().remove("NIGHTSHIFT_TORTURE_ABORT") else { return Ok(Arc::new(NoFaults)) };
    let parsed = spec.split_once(':').and_then(|(point, nth)| {
        let point = Point::ALL.into_iter().find(|known| known.as_str() == point)?;
        Some(AbortAt { point, left: nth.parse::<u32>().ok().filter(|nth| *nth > 0)?.into() })
    });
    let names: Vec<&str> = Point::ALL.iter().map(|point| point.as_str()).collect();
    parsed.map(|abort| Arc::new(abort) as Arc<dyn Faults>).ok_or_else(|| {
        let message = format!("NIGHTSHIFT_TORTURE_ABORT={spec}: write point:n with a point of {}", names.join(", "));
        Exit::new(Code::Config, message)
    })
}

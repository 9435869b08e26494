//! What every actor of the tree shares.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use nightshift_domain::{calendar::Calendar, expression::Expressions, ids::StreamId, run::Reports};
use nightshift_ports::{
    clock::{Clock, IdSource},
    log::EventLog,
    performer::Performers,
    read_models::ReadModels,
};

use crate::{
    chooser::Chooser,
    clock::ClockHandle,
    courier::Courier,
    faults::Faults,
    herald::Herald,
    importer::ImporterHandle,
    journal::Journal,
    observer::Gauges,
    projector::ProjectorHandle,
    queue::{QueueHandle, limits::Limits, overlay::overlaid},
    router::Router,
    workers::Workers,
};

/// Limits and policies of the tree.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Version of the program, recorded beside each decision.
    pub code_revision: String,
    /// Steps that may be done at once.
    pub concurrency: usize,
    /// How long a lease holds, in milliseconds.
    pub lease_ms: i64,
    /// Name of the worker in leases.
    pub worker: String,
    /// Stream actors kept in memory, for each kind.
    pub resident_max: usize,
    /// A stream actor that was asked nothing for so many milliseconds may be passivated.
    pub idle_ms: i64,
    /// Client commands under way at once; more are turned away.
    pub admission_max: usize,
    /// Looks at sources under way at once.
    pub looks_max: usize,
    /// A look is given up after so many milliseconds.
    pub look_timeout_ms: u64,
    /// Writers side by side.
    pub lanes: usize,
    /// Limits of the queue, where people set no others.
    pub limits: Limits,
    /// Which messages runs owe to webhooks that begin from now on.
    pub reports: Reports,
    /// Timers go off, and what is owed is handed over at the start. Without it only what is asked is done.
    pub alive: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            code_revision: env!("CARGO_PKG_VERSION").to_owned(),
            concurrency: 128,
            lease_ms: 30_000,
            worker: "local".to_owned(),
            resident_max: 5_000,
            idle_ms: 120_000,
            admission_max: 1_024,
            looks_max: 16,
            look_timeout_ms: 30_000,
            lanes: 1,
            limits: Limits::default(),
            reports: Reports::default(),
            alive: true,
        }
    }
}

/// What every actor shares. The handles are set once while the tree is started, in dependency order.
pub struct Context {
    /// The event log.
    pub log: Arc<dyn EventLog>,
    /// The read models.
    pub read_models: Arc<dyn ReadModels>,
    /// The outside world.
    pub performers: Performers,
    /// Instants.
    pub clock_port: Arc<dyn Clock>,
    /// Chance.
    pub ids: Arc<dyn IdSource>,
    /// Due instants.
    pub calendar: Arc<dyn Calendar>,
    /// Conditions.
    pub expressions: Arc<dyn Expressions>,
    /// Limits and policies.
    pub settings: Settings,
    /// Limits of the queue in force.
    pub limits: Mutex<Limits>,
    /// Figures.
    pub gauges: Arc<Gauges>,
    /// Where tests and torture break things.
    pub faults: Arc<dyn Faults>,
    /// The writer.
    pub journal: Journal,
    /// Timers.
    pub clock: ClockHandle,
    /// Places for steps.
    pub queue: QueueHandle,
    /// Looks at sources.
    pub importer: ImporterHandle,
    /// Read models' progress.
    pub projector: ProjectorHandle,
    /// Steps that are being done.
    pub workers: Workers,
    /// Tells streams what they are owed.
    pub courier: Courier,
    /// Finds the letters of bulk jobs.
    pub chooser: Chooser,
    /// Tells webhooks what runs owe them.
    pub herald: Herald,
    /// The way to streams; set when the stream supervisors run.
    pub router: OnceLock<Router>,
}

impl Context {
    /// The way to streams.
    ///
    /// # Panics
    /// Before the tree is started; nothing that calls this is.
    #[must_use]
    pub fn router(&self) -> &Router {
        self.router.get().expect("streams are asked only after the tree was started")
    }

    /// Limits of the queue, as they are now.
    #[must_use]
    pub fn limits(&self) -> Limits {
        self.limits.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// People set limits or paused something: this is all that they set.
    pub fn queue_changed(&self, set: &nightshift_domain::queue::State) {
        self.set_limits(overlaid(&self.settings.limits, set));
    }

    /// Other limits from now on.
    pub fn set_limits(&self, limits: Limits) {
        *self.limits.lock().unwrap_or_else(PoisonError::into_inner) = limits.clone();
        self.queue.set_limits(limits);
    }

    /// How many shards the log has.
    #[must_use]
    pub fn shard_count(&self) -> u16 {
        self.log.info().shard_count
    }

    /// A lease token nobody had before.
    #[must_use]
    pub fn token(&self, stream: StreamId) -> nightshift_domain::run::Token {
        let drawn = self.ids.fresh().as_u128();
        let nonce = (drawn >> 64) as u64 ^ drawn as u64;
        nightshift_domain::run::Token { epoch: self.journal.epoch(stream.shard()), nonce }
    }
}

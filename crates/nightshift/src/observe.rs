//! What a running system shows: logs, metrics, traces.
//!
//! Owns: how the tree's observer feeds the registry, and the loop that exports spans of recorded events.
//! Refuses to know: what a metric or a span looks like (`telemetry`).

use std::{collections::HashMap, io::IsTerminal, sync::Arc};

use nightshift_actors::{
    observer::Observer,
    projector::ProjectorHandle,
    queue::{QueueView, limits::Limits},
};
use nightshift_domain::{
    ids::{ShardId, StreamId, StreamKind},
    queue,
    recorded::Recorded,
    streams::AnyEvent,
    time::Timestamp,
};
use nightshift_ports::{
    clock::Clock,
    log::{EventLog, StoreError},
    read_models::Cursors,
    store::Store,
};
use nightshift_telemetry::{
    export::{ExportConfig, Exporter, Protocol, is_sampled},
    logging::{self, LoggingConfig},
    metrics::{BuildInfo, Metrics, QueueLevel, Resolved},
    spans::{RunTrace, SpanRecord},
};
use tokio::sync::Notify;

use crate::{
    commands::parse_instant,
    config::{LogFormat, OtlpProtocol, Telemetry},
    exit::{Code, Exit},
    manager,
};

/// Starts the log on standard error.
///
/// # Errors
/// The filter is not one.
pub fn start_logging(format: LogFormat, filter: &str) -> Result<(), Exit> {
    let format = format.as_str().parse().map_err(|error| Exit::new(Code::Config, format!("{error}")))?;
    let config = LoggingConfig { format, filter: filter.to_owned(), colour: std::io::stderr().is_terminal() };
    logging::init(&config).map_err(|error| Exit::new(Code::Config, error.to_string()))
}

/// Feeds the registry and wakes the tracer.
pub struct Watcher {
    /// The registry.
    pub metrics: Metrics,
    /// Woken when there are new events.
    pub news: Arc<Notify>,
}

impl Watcher {
    /// A watcher with a registry of its own.
    ///
    /// # Errors
    /// The registry could not be set up.
    pub fn new() -> Result<Arc<Self>, Exit> {
        let build = BuildInfo { version: env!("CARGO_PKG_VERSION").to_owned(), revision: "unknown".to_owned() };
        let metrics = Metrics::new(&build).map_err(Exit::failed)?;
        Ok(Arc::new(Self { metrics, news: Arc::new(Notify::new()) }))
    }
}

impl Watcher {
    /// Shows the queue as it is `now`, under the limits in force and so many places in all.
    pub fn queue_levels(&self, view: &QueueView, (limits, places): (&Limits, usize), now: Timestamp) {
        let found = nightshift_api::queues(limits, places, &queue::State::default(), Some(view));
        let count = |number: usize| number as u64;
        let levels = found.queues.iter().map(|line| {
            let oldest = line.oldest.as_deref().and_then(|since| parse_instant(since).ok());
            QueueLevel {
                name: line.name.clone(),
                waiting: count(line.waiting.saturating_sub(line.held)),
                held: count(line.held),
                taken: count(line.taken),
                oldest_wait_seconds: oldest.map_or(0.0, |since| seconds(now.micros_since(since))),
                places: count(line.places.unwrap_or(found.places)),
                paused: limits.paused.holds(&line.name),
            }
        });
        self.metrics.queues(&levels.collect::<Vec<_>>());
        // Buckets of users are as many as there are users: no label for them.
        for (key, tokens) in &view.buckets {
            if let Some(agent) = key.strip_prefix("global:agent:") {
                self.metrics.agent_tokens(agent, *tokens);
            }
        }
    }
}

fn seconds(micros: i64) -> f64 {
    micros.max(0) as f64 / 1_000_000.0
}

impl Observer for Watcher {
    fn committed(&self, page: &[(Recorded, AnyEvent)]) {
        page.iter().for_each(|(recorded, event)| self.metrics.observe_event(recorded, event));
        self.news.notify_one();
    }

    fn appended(&self, events: usize, micros: i64) {
        self.metrics.append_group_events(events as u64);
        self.metrics.append_commit_seconds(seconds(micros));
    }

    fn fenced(&self, shards: usize) {
        (0..shards).for_each(|_| self.metrics.fence_lost());
    }

    fn resolved(&self, written: bool) {
        self.metrics.unknown_outcome(if written { Resolved::Committed } else { Resolved::Aborted });
    }

    fn restarted(&self, role: &'static str) {
        self.metrics.actor_restarted(role);
    }

    fn timer_late(&self, micros: i64) {
        self.metrics.timer_lateness_seconds(seconds(micros));
    }

    fn quarantined(&self, streams: usize) {
        self.metrics.quarantined_streams(streams as u64);
    }

    fn recovering(&self, taken_up: u64) {
        manager::phase(&format!("recovering: {taken_up} obligation(s) taken up again so far"));
    }
}

/// Name of the tracer's place in the log.
const CURSOR: &str = "trace";

/// Events read at once.
const PAGE: u32 = 1_000;

/// Runs whose open spans are remembered; a run that was forgotten is read again from the log.
const REMEMBERED_MAX: usize = 10_000;

/// Wait after an export that failed, in milliseconds; it doubles up to a minute.
const BACK_OFF_MS: (i64, i64) = (1_000, 60_000);

/// Exports the spans of recorded events. It keeps its place in the log and moves it only when the collector has taken
/// the spans: after a crash some are sent again, with the same ids.
pub struct Tracer {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    projector: ProjectorHandle,
    exporter: Exporter,
    sample_ratio: f64,
    metrics: Metrics,
    at: HashMap<ShardId, u64>,
    runs: HashMap<StreamId, RunTrace>,
}

impl Tracer {
    /// A tracer, when traces are asked for.
    ///
    /// # Errors
    /// The endpoint is not one.
    pub fn new(
        telemetry: &Telemetry,
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        projector: ProjectorHandle,
        metrics: Metrics,
    ) -> Result<Option<Self>, Exit> {
        let Some(endpoint) = telemetry.otlp_endpoint.clone().filter(|_| telemetry.tracing) else { return Ok(None) };
        let protocol = match telemetry.otlp_protocol {
            OtlpProtocol::Grpc => Protocol::Grpc,
            OtlpProtocol::Http => Protocol::Http,
        };
        let mut config = ExportConfig::to(endpoint, protocol);
        config.service_name.clone_from(&telemetry.service_name);
        config.resource = vec![("service.version".to_owned(), env!("CARGO_PKG_VERSION").to_owned())];
        let exporter = Exporter::new(&config).map_err(|error| Exit::new(Code::Config, error.to_string()))?;
        let sample_ratio = telemetry.sample_ratio;
        let (at, runs) = (HashMap::new(), HashMap::new());
        Ok(Some(Self { store, clock, projector, exporter, sample_ratio, metrics, at, runs }))
    }

    /// Exports until it is dropped.
    pub async fn run(mut self, news: Arc<Notify>) {
        while let Err(error) = self.find_place().await {
            tracing::warn!(%error, "the place of the traces is not known yet; asking again");
            self.clock.sleep_until(self.clock.now().plus_ms(BACK_OFF_MS.0)).await;
        }
        loop {
            match self.pass().await {
                Ok(true) => {}
                Ok(false) => news.notified().await,
                Err(error) => {
                    tracing::warn!(%error, "traces wait: the log could not be read");
                    self.clock.sleep_until(self.clock.now().plus_ms(BACK_OFF_MS.0)).await;
                }
            }
        }
    }

    async fn find_place(&mut self) -> Result<(), StoreError> {
        let store: &dyn Cursors = &*self.store;
        self.at = store.cursors(CURSOR).await?.into_iter().collect();
        Ok(())
    }

    /// Exports one page; true when there may be more. Only what the read models show is exported: it is certainly there.
    async fn pass(&mut self) -> Result<bool, StoreError> {
        let behind = self.projector.checkpoints().into_iter();
        let mut behind = behind.filter(|(shard, head)| self.at.get(shard).copied().unwrap_or(0) < *head);
        let Some((shard, _)) = behind.next() else { return Ok(false) };
        let at = self.at.get(&shard).copied().unwrap_or(0);
        let log: Arc<dyn EventLog> = self.store.clone();
        let page = log.read_shard(shard, at, PAGE).await?;
        let Some(last) = page.last().map(|last| last.seq) else { return Ok(false) };
        let mut spans = Vec::new();
        for recorded in page.iter().filter(|recorded| recorded.stream.kind == StreamKind::Run) {
            spans.extend(self.spans_of(&*log, recorded).await?);
        }
        self.export(spans).await;
        let store: &dyn Cursors = &*self.store;
        store.set_cursors(CURSOR, &[(shard, last)]).await?;
        self.at.insert(shard, last);
        Ok(true)
    }

    /// The spans an event closes. A run that is not remembered is folded again up to it.
    async fn spans_of(&mut self, log: &dyn EventLog, recorded: &Recorded) -> Result<Vec<SpanRecord>, StoreError> {
        if self.runs.len() > REMEMBERED_MAX {
            self.runs.clear();
        }
        let trace = self.runs.entry(recorded.stream).or_default();
        if trace.version() + 1 < recorded.version {
            *trace = RunTrace::default();
            let limit = u32::try_from(recorded.version - 1).unwrap_or(u32::MAX);
            for earlier in log.read_stream(recorded.stream, 0, limit).await? {
                drop(trace.observe(&earlier));
            }
        }
        match trace.observe(recorded) {
            Ok(spans) => Ok(spans),
            Err(error) => {
                tracing::warn!(%error, "an event gives no span");
                Ok(Vec::new())
            }
        }
    }

    async fn export(&self, spans: Vec<SpanRecord>) {
        let sampled = spans.into_iter().filter(|span| is_sampled(span.trace_id, self.sample_ratio));
        let spans: Vec<SpanRecord> = sampled.collect();
        if spans.is_empty() {
            return;
        }
        let mut wait_ms = BACK_OFF_MS.0;
        let count = spans.len() as u64;
        while let Err(error) = self.exporter.export(spans.clone()).await {
            self.metrics.export_failed();
            tracing::warn!(%error, wait_ms, "the collector did not take spans; trying again, the work goes on");
            self.clock.sleep_until(self.clock.now().plus_ms(wait_ms)).await;
            wait_ms = (wait_ms * 2).min(BACK_OFF_MS.1);
        }
        self.metrics.spans_exported(count);
    }
}

//! Numbers for Prometheus.
//!
//! Owns: the catalogue, the registry, the fold of events to numbers, the text of a scrape.
//! Refuses to know: HTTP (whoever serves `/metrics` asks for the text), clocks, where numbers of the process come from.
//!
//! Invariant: each label has a bounded number of values.
//! Counters without labels, or with a closed list of them, stand at zero from the start, so that the first increase shows.

mod bounded;
mod catalogue;
mod fold;
mod process;

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
};

use metrics::{Counter, Gauge, Histogram, Key, Label, Level, Metadata, Recorder, Unit};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder};
use nightshift_domain::{
    ids::{RunId, SourceId},
    recorded::Recorded,
    run,
    streams::AnyEvent,
};

pub use catalogue::{Kind, Metric, Spec};
pub use fold::{EventFold, Sample};
pub use process::{QueueLevel, Resolved, ShardLag};

/// The content type of [`Metrics::render`].
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

const METADATA: Metadata<'static> = Metadata::new(module_path!(), Level::INFO, Some(module_path!()));

/// Labels with a closed list of values, for the counters that stand at zero from the start.
const CLOSED: &[(Metric, &[&[&str]])] = &[
    (Metric::Slots, &[&["staged"], &["failed"], &["nothing_new"], &["still_running"], &["paused"], &["missed"]]),
    (Metric::LlmTokens, &[&["prompt"], &["completion"]]),
    (Metric::UnknownOutcomes, &[&["committed"], &["aborted"]]),
];

/// Metrics that cannot be set up.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MetricsError {
    /// The registry refused a metric.
    #[error("metric {name}: the registry refused its buckets: {why}")]
    Registry {
        /// The metric.
        name: &'static str,
        /// What the library said.
        why: String,
    },
    /// Somebody was first.
    #[error("metrics were set up twice in one process; call install once, at the start of main")]
    Twice,
}

/// What `nightshift_build_info` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildInfo {
    /// Version of the program.
    pub version: String,
    /// Revision it was built from.
    pub revision: String,
}

/// The registry of one process. Cheap to clone; all clones are the same registry.
#[derive(Clone)]
pub struct Metrics {
    recorder: Arc<PrometheusRecorder>,
    handle: PrometheusHandle,
    fold: Arc<Mutex<EventFold>>,
    hot: Arc<process::Hot>,
    /// Queues that have series.
    queues: Arc<Mutex<BTreeSet<String>>>,
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Metrics {
    /// A registry of its own.
    ///
    /// # Errors
    /// The library refuses buckets of the catalogue.
    pub fn new(build: &BuildInfo) -> Result<Self, MetricsError> {
        let mut builder = PrometheusBuilder::new();
        for spec in Metric::ALL.iter().map(|metric| metric.spec()) {
            if let Kind::Histogram(bounds) = spec.kind {
                let refused = |why: String| MetricsError::Registry { name: spec.name, why };
                let matcher = Matcher::Full(spec.name.to_owned());
                builder =
                    builder.set_buckets_for_metric(matcher, bounds).map_err(|error| refused(error.to_string()))?;
            }
        }
        let recorder = Arc::new(builder.build_recorder());
        Metric::ALL.iter().for_each(|metric| describe(&recorder, metric.spec()));
        let (handle, hot) = (recorder.handle(), Arc::new(process::Hot::of(&recorder)));
        let metrics = Self { recorder, handle, fold: Arc::default(), hot, queues: Arc::default() };
        metrics.stand_at_zero();
        metrics.gauge(Metric::BuildInfo, &[&build.version, &build.revision]).set(1.0);
        Ok(metrics)
    }

    /// Makes this the registry behind the macros of the `metrics` crate, for code that knows no other way.
    ///
    /// # Errors
    /// There is one already.
    pub fn install(&self) -> Result<(), MetricsError> {
        metrics::set_global_recorder(Arc::clone(&self.recorder)).map_err(|_| MetricsError::Twice)
    }

    /// The text of a scrape.
    #[must_use]
    pub fn render(&self) -> String {
        self.handle.render()
    }

    /// Empties the buffers of histograms into their buckets. Call it every few seconds: between scrapes they grow.
    pub fn run_upkeep(&self) {
        self.handle.run_upkeep();
    }

    /// Counts an event. Feed each event of the log once per process, in the order of each stream.
    pub fn observe_event(&self, recorded: &Recorded, event: &AnyEvent) {
        let samples = self.fold.lock().unwrap_or_else(PoisonError::into_inner).observe(recorded, event);
        samples.iter().for_each(|sample| self.apply(sample));
    }

    /// Takes over a run that was open when the process started; see [`EventFold::adopt_run`].
    pub fn adopt_run(&self, id: RunId, state: &run::State) {
        self.fold.lock().unwrap_or_else(PoisonError::into_inner).adopt_run(id, state);
    }

    /// Takes over a source that was known when the process started.
    pub fn adopt_source(&self, id: SourceId, platform: &'static str) {
        self.fold.lock().unwrap_or_else(PoisonError::into_inner).adopt_source(id, platform);
    }

    fn apply(&self, sample: &Sample) {
        let labels: Vec<&str> = sample.labels.iter().map(|label| &**label).collect();
        match sample.metric.spec().kind {
            Kind::Counter => self.counter(sample.metric, &labels).increment(sample.value as u64),
            Kind::Gauge => self.gauge(sample.metric, &labels).set(sample.value),
            Kind::Histogram(_) => {
                self.recorder.register_histogram(&key(sample.metric, &labels), &METADATA).record(sample.value)
            }
        }
    }

    fn counter(&self, metric: Metric, labels: &[&str]) -> Counter {
        self.recorder.register_counter(&key(metric, labels), &METADATA)
    }

    fn gauge(&self, metric: Metric, labels: &[&str]) -> Gauge {
        self.recorder.register_gauge(&key(metric, labels), &METADATA)
    }

    fn stand_at_zero(&self) {
        for metric in Metric::ALL.iter().filter(|metric| metric.spec().labels.is_empty()) {
            match metric.spec().kind {
                Kind::Counter => self.counter(*metric, &[]).increment(0),
                Kind::Gauge => self.gauge(*metric, &[]).set(0.0),
                Kind::Histogram(_) => drop(histogram(&self.recorder, *metric)),
            }
        }
        for (metric, rows) in CLOSED {
            rows.iter().for_each(|labels| self.counter(*metric, labels).increment(0));
        }
    }
}

fn histogram(recorder: &PrometheusRecorder, metric: Metric) -> Histogram {
    recorder.register_histogram(&key(metric, &[]), &METADATA)
}

fn key(metric: Metric, labels: &[&str]) -> Key {
    let spec = metric.spec();
    debug_assert_eq!(spec.labels.len(), labels.len(), "labels of {}", spec.name);
    let labels = spec.labels.iter().zip(labels).map(|(name, value)| Label::new(*name, (*value).to_owned()));
    Key::from_parts(spec.name, labels.collect::<Vec<_>>())
}

fn describe(recorder: &PrometheusRecorder, spec: Spec) {
    let (name, unit, help) = (spec.name.into(), None::<Unit>, spec.help.into());
    match spec.kind {
        Kind::Counter => recorder.describe_counter(name, unit, help),
        Kind::Gauge => recorder.describe_gauge(name, unit, help),
        Kind::Histogram(_) => recorder.describe_histogram(name, unit, help),
    }
}

//! Spans to a collector over OTLP, by gRPC or HTTP.
//!
//! Owns: the connection, its checked configuration, the sampling decision, the bound in time of each export.
//! Refuses to know: which spans were sent before (the caller keeps a cursor and sends again after an error), the
//! environment (values arrive in [`ExportConfig`]; the OTLP library itself adds headers of `OTEL_EXPORTER_OTLP_HEADERS`).

mod config;
mod convert;

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use nightshift_domain::ids::derive_u64;
use opentelemetry_otlp::{
    RetryPolicy, SpanExporter as OtlpExporter, WithExportConfig, WithHttpConfig, WithTonicConfig,
    tonic_types::{metadata::MetadataMap, transport::ClientTlsConfig},
};
use opentelemetry_sdk::{Resource, trace::SpanExporter};

pub use config::{ConfigError, ExportConfig, Protocol};
pub use convert::span_data;

use crate::spans::{SpanRecord, TraceId};
use config::Checked;

/// Spans of one request: far below the 4 MiB at which a collector refuses a gRPC message.
const BATCH_SPANS_MAX: usize = 512;

/// Why spans did not arrive. All of them may be sent again: equal ids make equal spans.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExportError {
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The connection could not be prepared.
    #[error("the OTLP exporter to {endpoint} could not be made: {why}")]
    Setup {
        /// The collector.
        endpoint: String,
        /// What the library said.
        why: String,
    },
    /// The collector could not be reached, or refused.
    #[error("{endpoint} did not take {spans} spans: {why}; the work goes on and they are sent again")]
    Refused {
        /// The collector.
        endpoint: String,
        /// How many spans.
        spans: usize,
        /// What the library said.
        why: String,
    },
    /// No answer.
    #[error("{endpoint} did not answer within {after:?}; the work goes on and {spans} spans are sent again")]
    TimedOut {
        /// The collector.
        endpoint: String,
        /// How many spans.
        spans: usize,
        /// The bound.
        after: Duration,
    },
    /// [`Exporter::shutdown`] was called.
    #[error("the OTLP exporter is shut down")]
    Closed,
}

/// A collector. Cheap to call with no spans; safe to share.
pub struct Exporter {
    inner: Mutex<Option<Arc<OtlpExporter>>>,
    endpoint: String,
    timeout: Duration,
    sample_ratio: f64,
}

impl fmt::Debug for Exporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exporter").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

impl Exporter {
    /// Prepares the connection; nothing is sent yet, and the collector need not be up. Call it inside a tokio runtime.
    ///
    /// # Errors
    /// The configuration is wrong, there is no runtime, or TLS cannot be set up.
    pub fn new(config: &ExportConfig) -> Result<Self, ExportError> {
        let checked = config.check()?;
        let setup = |why: String| ExportError::Setup { endpoint: checked.endpoint.clone(), why };
        if tokio::runtime::Handle::try_current().is_err() {
            return Err(setup("it needs a running tokio runtime; call it inside one".to_owned()));
        }
        // The first to install a provider wins; without one both clients refuse to start.
        rustls::crypto::ring::default_provider().install_default().ok();
        let built = match config.protocol {
            Protocol::Grpc => grpc(&checked, config.timeout),
            Protocol::Http => http(&checked, config.timeout),
        };
        let mut exporter = built.map_err(setup)?;
        exporter.set_resource(&resource(config));
        Ok(Self {
            inner: Mutex::new(Some(Arc::new(exporter))),
            endpoint: checked.endpoint,
            timeout: config.timeout,
            sample_ratio: config.sample_ratio,
        })
    }

    /// Sends the spans of sampled traces and waits until the collector has them.
    ///
    /// # Errors
    /// Some of them did not arrive within the time of the configuration (for each 512 spans); send all of them again.
    pub async fn export(&self, spans: Vec<SpanRecord>) -> Result<(), ExportError> {
        let exporter = self.open()?;
        let chosen: Vec<_> =
            spans.iter().filter(|span| is_sampled(span.trace_id, self.sample_ratio)).map(span_data).collect();
        for batch in chosen.chunks(BATCH_SPANS_MAX) {
            let (endpoint, spans) = (self.endpoint.clone(), batch.len());
            match tokio::time::timeout(self.timeout, exporter.export(batch.to_vec())).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    return Err(ExportError::Refused { endpoint, spans, why: error.to_string() });
                }
                Err(_) => {
                    return Err(ExportError::TimedOut { endpoint, spans, after: self.timeout });
                }
            }
        }
        Ok(())
    }

    /// Closes the connection once exports under way have ended. Never blocks; twice is once.
    pub fn shutdown(&self) {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    fn open(&self) -> Result<Arc<OtlpExporter>, ExportError> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).clone().ok_or(ExportError::Closed)
    }
}

/// Whether a trace is exported: drawn from its id, so that it is decided once for a whole tree of runs, on any node.
///
/// The id's own bits cannot serve: some of them are fixed by the UUID format.
#[must_use]
pub fn is_sampled(trace: TraceId, ratio: f64) -> bool {
    if ratio >= 1.0 {
        return true;
    }
    derive_u64("sample", &[&trace]) < (ratio.max(0.0) * u64::MAX as f64) as u64
}

fn resource(config: &ExportConfig) -> Resource {
    let more = config.resource.iter().map(|(key, value)| opentelemetry::KeyValue::new(key.clone(), value.clone()));
    Resource::builder_empty().with_attributes(more).with_service_name(config.service_name.clone()).build()
}

/// One attempt for each call: the caller knows when to try again, and keeps the work going meanwhile.
fn grpc(checked: &Checked, timeout: Duration) -> Result<OtlpExporter, String> {
    let builder = OtlpExporter::builder()
        .with_tonic()
        .with_endpoint(&checked.endpoint)
        .with_timeout(timeout)
        .with_metadata(MetadataMap::from_headers(checked.headers.clone()))
        .with_retry_policy(RetryPolicy::disabled());
    let builder = if checked.endpoint.starts_with("https:") {
        builder.with_tls_config(ClientTlsConfig::new().with_enabled_roots())
    } else {
        builder
    };
    builder.build().map_err(|error| error.to_string())
}

fn http(checked: &Checked, timeout: Duration) -> Result<OtlpExporter, String> {
    let mut client = reqwest::Client::builder().timeout(timeout);
    if checked.is_loopback {
        // A proxy for the way out must not be asked for a collector on this machine.
        client = client.no_proxy();
    }
    let client = client.build().map_err(|error| error.to_string())?;
    let headers = checked
        .headers
        .iter()
        .filter_map(|(name, value)| value.to_str().ok().map(|value| (name.as_str().to_owned(), value.to_owned())));
    let exporter = OtlpExporter::builder()
        .with_http()
        .with_http_client(client)
        .with_endpoint(&checked.endpoint)
        .with_timeout(timeout)
        .with_protocol(opentelemetry_otlp::Protocol::HttpBinary)
        .with_headers(headers.collect::<HashMap<_, _>>())
        .with_retry_policy(RetryPolicy::disabled());
    exporter.build().map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use nightshift_domain::ids::{RunId, ShardId, derive};

    use super::*;
    use crate::spans::trace_id;

    #[test]
    fn the_share_of_sampled_traces_is_the_ratio() {
        let traces: Vec<TraceId> = (0_u32..4_000)
            .map(|n| trace_id(RunId::on_shard(derive("test", &[&n.to_be_bytes()]), ShardId(3))))
            .collect();
        for (ratio, least, most) in [(0.0, 0, 0), (0.1, 300, 500), (0.5, 1_800, 2_200), (1.0, 4_000, 4_000)] {
            let sampled = traces.iter().filter(|trace| is_sampled(**trace, ratio)).count();
            assert!((least..=most).contains(&sampled), "{sampled} of 4000 at {ratio}");
        }
    }

    #[test]
    fn outside_a_runtime_it_is_an_error_and_no_panic() {
        let config = ExportConfig::to("http://127.0.0.1:4317", Protocol::Grpc);
        let error = Exporter::new(&config).unwrap_err();
        assert!(error.to_string().contains("tokio runtime"), "{error}");
    }

    #[tokio::test]
    async fn endpoints_with_tls_are_accepted_by_both_protocols() {
        for protocol in [Protocol::Grpc, Protocol::Http] {
            let exporter = Exporter::new(&ExportConfig::to("https://collector.example", protocol)).unwrap();
            assert_eq!(exporter.export(vec![]).await, Ok(()));
            exporter.shutdown();
            exporter.shutdown();
            assert_eq!(exporter.export(vec![]).await, Err(ExportError::Closed));
        }
    }
}

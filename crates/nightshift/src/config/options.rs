//! The configuration as the program sees it: plain structs, one for each section.
//!
//! Owns: their shape, and how they are filled from checked values.
//! Refuses to know: text, files, the environment.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use uuid::Uuid;

use super::{address::StoreUrl, value::Values};

/// The whole configuration. Printing it shows no secret.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// `[store]`
    pub store: Store,
    /// `[http]`
    pub http: Http,
    /// `[queue]`
    pub queue: Queue,
    /// `[workflows]`
    pub workflows: Workflows,
    /// `[actors]`
    pub actors: Actors,
    /// `[sources]`
    pub sources: Sources,
    /// `[llm]`
    pub llm: Llm,
    /// `[smtp]`
    pub smtp: Smtp,
    /// `[telemetry]`
    pub telemetry: Telemetry,
    /// `[defaults]`
    pub defaults: Defaults,
}

/// Where events and tables are kept.
#[derive(Debug, Clone, PartialEq)]
pub struct Store {
    /// The database.
    pub url: StoreUrl,
    /// The folder for the SQLite file, large payloads and locks.
    pub data_dir: PathBuf,
    /// Slices of the log; counts only when a store is made.
    pub shard_count: u16,
    /// Connections that write to PostgreSQL.
    pub lanes: u16,
    /// Do not wait for another process on the same store to end.
    pub takeover: bool,
    /// The cluster that the store must belong to, when given.
    pub cluster_id: Option<Uuid>,
}

/// The HTTP interface.
#[derive(Debug, Clone, PartialEq)]
pub struct Http {
    /// Whether to listen at all.
    pub enabled: bool,
    /// Where to listen.
    pub listen: SocketAddr,
    /// File with who may use it.
    pub access_file: Option<PathBuf>,
}

/// How much is done at once.
#[derive(Debug, Clone, PartialEq)]
pub struct Queue {
    /// Steps in progress at once on this node.
    pub concurrency: u16,
    /// A worker that is silent for this long has lost its step.
    pub lease: Duration,
    /// File with the limits of the queue.
    pub limits_file: Option<PathBuf>,
}

/// How much is kept in memory.
#[derive(Debug, Clone, PartialEq)]
pub struct Actors {
    /// Streams held in memory.
    pub resident_max: usize,
    /// A stream that nobody asked for during this time leaves memory.
    pub idle: Duration,
    /// Commands accepted and not yet answered.
    pub admission: usize,
}

/// Steps of workflows.
#[derive(Debug, Clone, PartialEq)]
pub struct Workflows {
    /// Where the paths of `call` steps begin.
    pub base_url: Option<String>,
    /// Reference to the token that goes there.
    pub service_token: Option<String>,
    /// Steps of a run at once when an orchestration does not say.
    pub max_parallel_default: Option<u16>,
    /// The most steps of a run at once.
    pub max_parallel_cap: Option<u16>,
    /// File with the agents that steps may ask.
    pub agents_file: Option<PathBuf>,
    /// Programs that `process` steps may start.
    pub programs: Programs,
    /// The folder they start in.
    pub folder: Option<PathBuf>,
    /// File with the secrets that documents may name.
    pub secrets_file: Option<PathBuf>,
    /// Is told how far runs are.
    pub progress_webhook: Option<String>,
    /// Is told of questions to people.
    pub checkpoint_webhook: Option<String>,
    /// Reference to the secret that signs what these are told.
    pub webhook_secret: Option<String>,
    /// Names of what they are told; empty: all.
    pub webhook_events: Vec<String>,
    /// Outputs of steps that are kept.
    pub cache_entries_max: u64,
}

/// Programs that `process` steps may start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Programs {
    /// Any.
    Any,
    /// These, as documents write them.
    Listed(Vec<String>),
}

/// Words that are divided by commas.
fn listed(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

impl Programs {
    /// None may be started where nothing is said: whoever may register a document may not run programs by that alone.
    fn parse(text: Option<&str>) -> Self {
        match text.map(str::trim) {
            Some("*") => Self::Any,
            text => Self::Listed(listed(text.unwrap_or_default())),
        }
    }

    /// The list; none: any.
    #[must_use]
    pub fn names(&self) -> Option<&[String]> {
        match self {
            Self::Any => None,
            Self::Listed(names) => Some(names),
        }
    }
}

/// Reading sources.
#[derive(Debug, Clone, PartialEq)]
pub struct Sources {
    /// Limit of one look at one source.
    pub timeout: Duration,
    /// Items larger than this are noted, not read.
    pub max_item_bytes: u64,
}

/// An OpenAI-compatible chat endpoint.
#[derive(Debug, Clone, PartialEq)]
pub struct Llm {
    /// Base address; none means composing by extraction.
    pub base_url: Option<String>,
    /// Name of the model; there whenever `base_url` is.
    pub model: Option<String>,
    /// Reference to the key, never the key.
    pub api_key: Option<String>,
    /// Limit of one call.
    pub timeout: Duration,
    /// Most material in one call.
    pub max_input_bytes: u64,
}

/// A mail server.
#[derive(Debug, Clone, PartialEq)]
pub struct Smtp {
    /// Name or address; none means no mail.
    pub host: Option<String>,
    /// Port.
    pub port: u16,
    /// How the connection is secured.
    pub tls: SmtpTls,
    /// User name; there whenever `password` is.
    pub user: Option<String>,
    /// Reference to the password, never the password.
    pub password: Option<String>,
    /// Sender; there whenever `host` is.
    pub from: Option<String>,
    /// Limit of one delivery.
    pub timeout: Duration,
}

/// Logs, traces, metrics.
#[derive(Debug, Clone, PartialEq)]
pub struct Telemetry {
    /// Form of the log.
    pub log_format: LogFormat,
    /// What is logged.
    pub log_filter: String,
    /// Whether traces are exported, given an endpoint.
    pub tracing: bool,
    /// Where traces go.
    pub otlp_endpoint: Option<String>,
    /// How traces are sent.
    pub otlp_protocol: OtlpProtocol,
    /// The share of runs whose trace is exported, 0 to 1.
    pub sample_ratio: f64,
    /// The name under which traces appear.
    pub service_name: String,
    /// Whether `/metrics` is served.
    pub metrics: bool,
}

/// What holds where nothing else is said.
#[derive(Debug, Clone, PartialEq)]
pub struct Defaults {
    /// Whose deliverables the commands are about.
    pub user: String,
}

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident => $word:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name { $($(#[$variant_doc])* $variant),* }

        impl $name {
            /// The words that the configuration may use.
            pub const WORDS: &'static [&'static str] = &[$($word),*];

            /// The word in the configuration.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),* }
            }

            const ALL: &'static [Self] = &[$(Self::$variant),*];
        }
    };
}

words! {
    /// The form of the log.
    LogFormat {
        /// For people.
        Text => "text",
        /// One object on each line.
        Json => "json",
    }
}

words! {
    /// How traces are sent.
    OtlpProtocol {
        /// OTLP over gRPC.
        Grpc => "grpc",
        /// OTLP over HTTP, in binary form.
        Http => "http",
    }
}

words! {
    /// How a connection to a mail server is secured.
    SmtpTls {
        /// Not at all.
        None => "none",
        /// Plain first, then `STARTTLS`.
        StartTls => "starttls",
        /// TLS from the first byte.
        Tls => "tls",
    }
}

impl SmtpTls {
    /// The port such servers listen on.
    pub(super) fn port_of(word: &str) -> u16 {
        match Self::ALL.iter().find(|mode| mode.as_str() == word) {
            Some(Self::None) => 25,
            Some(Self::Tls) => 465,
            Some(Self::StartTls) | None => 587,
        }
    }
}

impl Config {
    /// Fills the structs. Every key without `Option` has a value by then: a default, or a fault that ended it before.
    pub(super) fn build(values: &Values) -> Self {
        Self {
            store: Store {
                url: values.store_url("store.url"),
                data_dir: values.text("store.data_dir").into(),
                shard_count: values.count("store.shard_count"),
                lanes: values.count("store.lanes"),
                takeover: values.bool("store.takeover"),
                cluster_id: values.uuid_if_set("store.cluster_id"),
            },
            http: Http {
                enabled: values.bool("http.enabled"),
                listen: values.address("http.listen"),
                access_file: values.text_if_set("http.access_file").map(PathBuf::from),
            },
            queue: Queue {
                concurrency: values.count("queue.concurrency"),
                lease: values.duration("queue.lease"),
                limits_file: values.text_if_set("queue.limits_file").map(PathBuf::from),
            },
            workflows: Workflows {
                base_url: values.text_if_set("workflows.base_url"),
                service_token: values.text_if_set("workflows.service_token"),
                max_parallel_default: values.count_if_set("workflows.max_parallel_default"),
                max_parallel_cap: values.count_if_set("workflows.max_parallel_cap"),
                agents_file: values.text_if_set("workflows.agents_file").map(PathBuf::from),
                programs: Programs::parse(values.text_if_set("workflows.programs").as_deref()),
                folder: values.text_if_set("workflows.folder").map(PathBuf::from),
                secrets_file: values.text_if_set("workflows.secrets_file").map(PathBuf::from),
                progress_webhook: values.text_if_set("workflows.progress_webhook"),
                checkpoint_webhook: values.text_if_set("workflows.checkpoint_webhook"),
                webhook_secret: values.text_if_set("workflows.webhook_secret"),
                webhook_events: listed(&values.text_if_set("workflows.webhook_events").unwrap_or_default()),
                cache_entries_max: values.count("workflows.cache_entries_max"),
            },
            actors: Actors {
                resident_max: values.count("actors.resident_max"),
                idle: values.duration("actors.idle"),
                admission: values.count("actors.admission"),
            },
            sources: Sources {
                timeout: values.duration("sources.timeout"),
                max_item_bytes: values.size("sources.max_item_bytes"),
            },
            llm: Llm::build(values),
            smtp: Smtp::build(values),
            telemetry: Telemetry::build(values),
            defaults: Defaults { user: values.text("defaults.user") },
        }
    }
}

impl Llm {
    fn build(values: &Values) -> Self {
        Self {
            base_url: values.text_if_set("llm.base_url"),
            model: values.text_if_set("llm.model"),
            api_key: values.text_if_set("llm.api_key"),
            timeout: values.duration("llm.timeout"),
            max_input_bytes: values.size("llm.max_input_bytes"),
        }
    }
}

impl Smtp {
    fn build(values: &Values) -> Self {
        Self {
            host: values.text_if_set("smtp.host"),
            port: values.count("smtp.port"),
            tls: values.word("smtp.tls", SmtpTls::ALL, SmtpTls::as_str),
            user: values.text_if_set("smtp.user"),
            password: values.text_if_set("smtp.password"),
            from: values.text_if_set("smtp.from"),
            timeout: values.duration("smtp.timeout"),
        }
    }
}

impl Telemetry {
    fn build(values: &Values) -> Self {
        Self {
            log_format: values.word("telemetry.log_format", LogFormat::ALL, LogFormat::as_str),
            log_filter: values.text("telemetry.log_filter"),
            tracing: values.bool("telemetry.tracing"),
            otlp_endpoint: values.text_if_set("telemetry.otlp_endpoint"),
            otlp_protocol: values.word("telemetry.otlp_protocol", OtlpProtocol::ALL, OtlpProtocol::as_str),
            sample_ratio: values.ratio("telemetry.sample_ratio"),
            service_name: values.text("telemetry.service_name"),
            metrics: values.bool("telemetry.metrics"),
        }
    }
}

//! Every key of the configuration, described once.
//!
//! Owns: the table that parsing, environment names, the example file and the reference are made from.
//! Refuses to know: how a value is read, and where it came from.

use super::{
    options::{LogFormat, OtlpProtocol, SmtpTls},
    value::Kind,
};

/// The variable that names the configuration file. It is no key, so it is never taken for a misspelt one.
pub const FILE_VARIABLE: &str = "NIGHTSHIFT_CONFIG";

/// What the variables of all keys begin with.
pub(super) const PREFIX: &str = "NIGHTSHIFT_";

/// One key: `section.name` in the file, `NIGHTSHIFT_SECTION_NAME` in the environment.
#[derive(Debug)]
pub struct Key {
    /// `section.name`.
    pub path: &'static str,
    /// What may stand there.
    pub kind: Kind,
    /// What holds when nothing is said.
    pub default: Default,
    /// Names from elsewhere that mean the same, strongest first.
    pub aliases: &'static [Alias],
    /// What it is for, in a sentence.
    pub doc: &'static str,
}

/// What holds when nothing is said.
#[derive(Debug, Clone, Copy)]
pub enum Default {
    /// This text, read as if it stood in the environment.
    Fixed(&'static str),
    /// Something that follows from other facts.
    Derived {
        /// From which, in words.
        from: &'static str,
        /// A value for the example file.
        example: &'static str,
    },
    /// Nothing.
    Unset {
        /// A value for the example file.
        example: &'static str,
    },
}

/// A variable with another name.
#[derive(Debug, Clone, Copy)]
pub enum Alias {
    /// Its value is the key's.
    Value(&'static str),
    /// It holds a secret: that it is set means `env:NAME`. Its value is not read here.
    Secret(&'static str),
}

impl Alias {
    /// The variable.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Value(name) | Self::Secret(name) => name,
        }
    }
}

impl Key {
    /// The part before the dot.
    #[must_use]
    pub fn section(&self) -> &'static str {
        self.path.split_once('.').map_or(self.path, |(section, _)| section)
    }

    /// The part after the dot.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.path.split_once('.').map_or(self.path, |(_, name)| name)
    }

    /// The variable of this key, e.g. `NIGHTSHIFT_QUEUE_LEASE`.
    #[must_use]
    pub fn variable(&self) -> String {
        format!("{PREFIX}{}", self.path.replace('.', "_").to_ascii_uppercase())
    }

    /// Every variable that sets this key, strongest first.
    #[must_use]
    pub fn variables(&self) -> Vec<String> {
        let aliases = self.aliases.iter().map(|alias| alias.name().to_owned());
        std::iter::once(self.variable()).chain(aliases).collect()
    }
}

/// The key of this path.
#[must_use]
pub fn find(path: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.path == path)
}

/// Every section with what it is about, in the order of the example file.
pub const SECTIONS: &[(&str, &str)] = &[
    ("store", "Where events and tables are kept."),
    ("http", "The HTTP interface: API, web page, metrics, health."),
    ("queue", "How much is done at once."),
    ("workflows", "What steps of workflows may reach, and what holds where a document does not say."),
    ("actors", "How much is kept in memory."),
    ("sources", "Reading folders, repositories and feeds."),
    ("llm", "An OpenAI-compatible chat endpoint. Without one, documents are composed by extraction."),
    ("smtp", "A mail server. Without one, delivery by mail fails with a message that says so."),
    ("telemetry", "Logs, traces, metrics."),
    ("defaults", "What holds where a deliverable or a command does not say."),
];

const fn count(min: u64, max: u64) -> Kind {
    Kind::Count { min, max }
}

const fn seconds(min_s: u64, max_s: u64) -> Kind {
    Kind::Duration { min_s, max_s }
}

const fn size(min: u64, max: u64) -> Kind {
    Kind::Size { min, max }
}

const fn key(path: &'static str, kind: Kind, default: Default, doc: &'static str) -> Key {
    Key { path, kind, default, aliases: &[], doc }
}

const fn aliased(key: Key, aliases: &'static [Alias]) -> Key {
    Key { aliases, ..key }
}

const fn fixed(text: &'static str) -> Default {
    Default::Fixed(text)
}

const fn unset(example: &'static str) -> Default {
    Default::Unset { example }
}

const HOUR_S: u64 = 3_600;
const DAY_S: u64 = 24 * HOUR_S;
const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;

/// Every key, section by section.
pub const KEYS: &[Key] = &[
    aliased(
        key(
            "store.url",
            Kind::StoreUrl,
            Default::Derived {
                from: "sqlite://<store.data_dir>/nightshift.db",
                example: "postgres://nightshift@127.0.0.1:5432/nightshift",
            },
            "The database: one SQLite file, or PostgreSQL for a cluster. A password in it is never shown.",
        ),
        &[Alias::Value("DATABASE_URL")],
    ),
    key(
        "store.data_dir",
        Kind::Path,
        Default::Derived {
            from: "$STATE_DIRECTORY, else $XDG_DATA_HOME/nightshift, else ~/.local/share/nightshift, else ./nightshift-data",
            example: "/var/lib/nightshift",
        },
        "The folder for the SQLite file, large payloads and locks.",
    ),
    key(
        "store.shard_count",
        count(1, 4096),
        fixed("64"),
        "Slices of the log, each with one writer. Read when a store is made; fixed for ever after.",
    ),
    key("store.lanes", count(1, 64), fixed("2"), "Connections that write to PostgreSQL. SQLite has one writer."),
    key(
        "store.takeover",
        Kind::Bool,
        fixed("false"),
        "Take the shards over at once instead of waiting for another process on the same PostgreSQL to end. Safe at any time: the other one is fenced and ends.",
    ),
    key(
        "store.cluster_id",
        Kind::Uuid,
        unset("01890a5d-ac96-774b-bcce-b302099a8057"),
        "The cluster that the store must belong to. Start-up is refused when it belongs to another.",
    ),
    key("http.enabled", Kind::Bool, fixed("true"), "Whether to listen at all."),
    key(
        "http.listen",
        Kind::Address,
        fixed("127.0.0.1:7466"),
        "Address and port to listen on. Anything but loopback is reachable from other machines.",
    ),
    key(
        "http.access_file",
        Kind::File,
        unset("/etc/nightshift/access.toml"),
        "A TOML file with who may use the interface: [tokens] (JWT), [[api_keys]], links_secret. Without it, this machine and the control token alone.",
    ),
    key("queue.concurrency", count(1, 10_000), fixed("128"), "Steps in progress at once on this node, over all runs."),
    key("queue.lease", seconds(1, DAY_S), fixed("30s"), "A worker that is silent for this long has lost its step."),
    key(
        "queue.limits_file",
        Kind::File,
        unset("/etc/nightshift/limits.toml"),
        "A TOML file with token buckets ([rates.\"user:*:agent:*\"] capacity, refill_per_s), [keys] and [queues].",
    ),
    aliased(
        key(
            "workflows.base_url",
            Kind::WebUrl,
            unset("http://127.0.0.1:54321"),
            "Where the paths of call steps begin. Without it, only whole addresses can be called.",
        ),
        &[Alias::Value("EDGE_BASE_URL")],
    ),
    aliased(
        key(
            "workflows.service_token",
            Kind::Secret,
            unset("env:EDGE_SERVICE_JWT"),
            "Where the token is found that goes as Authorization: Bearer to workflows.base_url, and nowhere else.",
        ),
        &[Alias::Secret("EDGE_SERVICE_JWT")],
    ),
    aliased(
        key(
            "workflows.max_parallel_default",
            count(1, 10_000),
            unset("4"),
            "Steps of a run that go at once when an orchestration does not say; without it, one.",
        ),
        &[Alias::Value("ORCHESTRATION_DEFAULT_MAX_PARALLEL")],
    ),
    aliased(
        key(
            "workflows.max_parallel_cap",
            count(1, 10_000),
            unset("64"),
            "The most steps of a run that go at once, whatever its document says.",
        ),
        &[Alias::Value("ORCHESTRATION_MAX_CONCURRENCY")],
    ),
    key(
        "workflows.agents_file",
        Kind::File,
        unset("/etc/nightshift/agents.toml"),
        "A TOML file with the agents that steps may ask: [<slug>] url, api_key, organization, modes, timeout, version.",
    ),
    key(
        "workflows.programs",
        Kind::Text,
        unset("python3, /usr/local/bin/report"),
        "Programs that process steps may start, as documents write them, divided by commas; * means any. Without it, none.",
    ),
    key(
        "workflows.folder",
        Kind::Path,
        unset("/var/lib/nightshift/work"),
        "The folder in which programs of process steps start. Without it, that of the daemon.",
    ),
    key(
        "workflows.secrets_file",
        Kind::File,
        unset("/etc/nightshift/secrets.toml"),
        "A TOML file with the secrets that documents may name as <secret:NAME> in headers and env: [<name>] from, hosts.",
    ),
    aliased(
        key(
            "workflows.progress_webhook",
            Kind::WebUrl,
            unset("https://example.com/hooks/progress"),
            "Is told how far runs are, by signed POST, each message until it was taken or a day has gone.",
        ),
        &[Alias::Value("ORCHESTRATION_PROGRESS_WEBHOOK_URL")],
    ),
    aliased(
        key(
            "workflows.checkpoint_webhook",
            Kind::WebUrl,
            unset("https://example.com/hooks/checkpoint"),
            "Is told of questions to people and of their answers, likewise.",
        ),
        &[Alias::Value("ORCHESTRATION_CHECKPOINT_WEBHOOK_URL")],
    ),
    key(
        "workflows.webhook_secret",
        Kind::Secret,
        unset("env:WEBHOOK_SECRET"),
        "Where the secret is found that signs these messages, as Standard Webhooks says. Without it, they are not signed.",
    ),
    key(
        "workflows.webhook_events",
        Kind::Text,
        unset("orchestration.run.completed, orchestration.run.failed"),
        "Names of the messages that are sent, divided by commas. Without it, all.",
    ),
    aliased(
        key(
            "workflows.cache_entries_max",
            count(0, 100_000_000),
            fixed("2000"),
            "Outputs of steps that are kept for steps with the same input.",
        ),
        &[Alias::Value("ORCHESTRATION_CACHE_MAX_STEP_OUTPUTS")],
    ),
    key(
        "actors.resident_max",
        count(1, 10_000_000),
        fixed("5000"),
        "Streams held in memory; the least used leave first.",
    ),
    key(
        "actors.idle",
        seconds(1, DAY_S),
        fixed("2m"),
        "A stream that nobody asked for during this time leaves memory.",
    ),
    key(
        "actors.admission",
        count(1, 1_000_000),
        fixed("1024"),
        "Commands accepted and not yet answered; beyond it, callers are told to come back later.",
    ),
    key("sources.timeout", seconds(1, HOUR_S), fixed("30s"), "One look at one source is given up after this time."),
    key(
        "sources.max_item_bytes",
        size(KIB, 64 * MIB),
        fixed("1MiB"),
        "A file or entry larger than this is noted, not read.",
    ),
    aliased(
        key(
            "llm.base_url",
            Kind::WebUrl,
            unset("http://127.0.0.1:11434/v1"),
            "Base address of the endpoint; /chat/completions is appended.",
        ),
        &[Alias::Value("LLM_BASE_URL")],
    ),
    aliased(
        key("llm.model", Kind::Text, unset("qwen3:8b"), "Name of the model. Needed with llm.base_url."),
        &[Alias::Value("LLM_MODEL")],
    ),
    aliased(
        key(
            "llm.api_key",
            Kind::Secret,
            unset("env:LLM_API_KEY"),
            "Where the key is found. Local endpoints need none.",
        ),
        &[Alias::Secret("LLM_API_KEY")],
    ),
    key("llm.timeout", seconds(1, HOUR_S), fixed("2m"), "One call is given up after this time."),
    key(
        "llm.max_input_bytes",
        size(4 * KIB, 16 * MIB),
        fixed("256KiB"),
        "The most that a model is given. Longer material is brought down to excerpts, then to fewer items.",
    ),
    key("smtp.host", Kind::Host, unset("mail.example.com"), "Name or address of the mail server."),
    key(
        "smtp.port",
        count(1, 65_535),
        Default::Derived { from: "by smtp.tls: none 25, starttls 587, tls 465", example: "587" },
        "Port of the mail server.",
    ),
    key("smtp.tls", Kind::Choice(SmtpTls::WORDS, &[]), fixed("starttls"), "How the connection is secured."),
    key("smtp.user", Kind::Text, unset("nightshift"), "User name, when the server asks for one. Needs smtp.password."),
    key(
        "smtp.password",
        Kind::Secret,
        unset("file:/run/secrets/smtp-password"),
        "Where the password is found. Needs smtp.user.",
    ),
    key("smtp.from", Kind::Mailbox, unset("Nightshift <nightshift@example.com>"), "Sender. Needed with smtp.host."),
    key("smtp.timeout", seconds(1, HOUR_S), fixed("30s"), "One delivery by mail is given up after this time."),
    key(
        "telemetry.log_format",
        Kind::Choice(LogFormat::WORDS, &[]),
        fixed("text"),
        "The form of the log on standard error.",
    ),
    aliased(
        key("telemetry.log_filter", Kind::Filter, fixed("info"), "What is logged: a level, or levels by target."),
        &[Alias::Value("RUST_LOG")],
    ),
    aliased(
        key(
            "telemetry.tracing",
            Kind::Bool,
            fixed("true"),
            "Whether traces are exported; it takes telemetry.otlp_endpoint as well.",
        ),
        &[Alias::Value("TRACING_ENABLED")],
    ),
    aliased(
        key(
            "telemetry.otlp_endpoint",
            Kind::WebUrl,
            unset("http://127.0.0.1:4317"),
            "Where traces go: an OTLP receiver such as Jaeger. Port 4317 is usual for grpc, 4318 for http.",
        ),
        &[Alias::Value("OTEL_EXPORTER_OTLP_ENDPOINT"), Alias::Value("JAEGER_ENDPOINT")],
    ),
    aliased(
        key(
            "telemetry.otlp_protocol",
            Kind::Choice(OtlpProtocol::WORDS, &[("http/protobuf", "http")]),
            fixed("grpc"),
            "How traces are sent.",
        ),
        &[Alias::Value("OTEL_EXPORTER_OTLP_PROTOCOL")],
    ),
    key("telemetry.sample_ratio", Kind::Ratio, fixed("1.0"), "The share of runs whose trace is exported."),
    aliased(
        key("telemetry.service_name", Kind::Text, fixed("nightshift"), "The name under which traces appear."),
        &[Alias::Value("OTEL_SERVICE_NAME")],
    ),
    aliased(
        key("telemetry.metrics", Kind::Bool, fixed("true"), "Whether /metrics is served."),
        &[Alias::Value("METRICS_ENABLED")],
    ),
    key("defaults.user", Kind::Text, fixed("local"), "Whose deliverables the commands are about."),
];

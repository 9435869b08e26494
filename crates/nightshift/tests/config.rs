//! The configuration: what it refuses and in which words, which layer wins, what it never shows.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use nightshift::config::{
    Config, Default, Fault, KEYS, Loaded, OtlpProtocol, Provenance, SmtpTls, StoreUrl, config_example,
    config_reference, default_data_dir, environment_names,
};
use proptest::prelude::*;

const FILE: &str = "nightshift.toml";

fn env(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn from_file(text: &str) -> Result<Loaded, String> {
    Config::load(Some((FILE, text)), &env(&[]), &[]).map_err(|faults| faults.to_string())
}

fn from_env(pairs: &[(&str, &str)]) -> Result<Loaded, String> {
    Config::load(None, &env(pairs), &[]).map_err(|faults| faults.to_string())
}

fn faults_of(text: &str) -> Vec<String> {
    from_file(text).expect_err(text).lines().map(str::to_owned).collect()
}

#[test]
fn each_fault_of_a_file_has_its_message() {
    for (text, expected) in [
        (
            "[queue]\nlease = \"30 lightyears\"",
            "nightshift.toml:2:9 queue.lease: found \"30 lightyears\"; \
             allowed: a duration such as 30s, 15m, 2h, 1d; from 1s to 1d",
        ),
        (
            "[queue]\n  lease = 30",
            "nightshift.toml:2:11 queue.lease: found 30; allowed: a duration such as 30s, 15m, 2h, 1d; from 1s to 1d; \
             write \"30s\" for 30 seconds",
        ),
        (
            "[queue]\nlaese = \"30s\"",
            "nightshift.toml:2:1 queue.laese: found an unknown key; allowed: concurrency, lease, limits_file; \
             did you mean \"lease\"?",
        ),
        (
            "[http]\nlease = \"30s\"",
            "nightshift.toml:2:1 http.lease: found an unknown key; allowed: enabled, listen, access_file; \
             did you mean \"queue.lease\"?",
        ),
        (
            "[qeue]\nlease = \"30s\"",
            "nightshift.toml:1:2 qeue: found an unknown section; allowed: store, http, queue, workflows, actors, sources, \
             llm, smtp, telemetry, defaults; did you mean \"queue\"?",
        ),
        (
            "listen = \"127.0.0.1:1\"",
            "nightshift.toml:1:1 listen: found an unknown section; allowed: store, http, queue, workflows, actors, sources, \
             llm, smtp, telemetry, defaults; did you mean \"http.listen\"?",
        ),
        ("queue = 5", "nightshift.toml:1:9 queue: found a number, not a table; allowed: [queue] and its keys below it"),
        (
            "[queue]\nconcurrency = 0",
            "nightshift.toml:2:15 queue.concurrency: found 0; allowed: a whole number from 1 to 10000",
        ),
        (
            "[queue]\nconcurrency = \"8\"",
            "nightshift.toml:2:15 queue.concurrency: found \"8\"; allowed: a whole number from 1 to 10000; \
             write it without quotes",
        ),
        (
            "[queue]\nconcurrency = [8]",
            "nightshift.toml:2:15 queue.concurrency: found a list; allowed: a whole number from 1 to 10000",
        ),
        (
            "[workflows]\nagents_fil = \"/x\"",
            "nightshift.toml:2:1 workflows.agents_fil: found an unknown key; allowed: base_url, service_token, \
             max_parallel_default, max_parallel_cap, agents_file, programs, folder, secrets_file, progress_webhook, checkpoint_webhook, webhook_secret, \
             webhook_events, cache_entries_max; did you mean \"agents_file\"?",
        ),
        (
            "[workflows]\nmax_parallel_cap = 0",
            "nightshift.toml:2:20 workflows.max_parallel_cap: found 0; allowed: a whole number from 1 to 10000",
        ),
        (
            "[store]\nshard_count = 5000",
            "nightshift.toml:2:15 store.shard_count: found 5000; allowed: a whole number from 1 to 4096",
        ),
        (
            "[http]\nenabled = \"yes\"",
            "nightshift.toml:2:11 http.enabled: found \"yes\"; allowed: true or false; write it without quotes",
        ),
        (
            "[http]\nlisten = \"localhost:7466\"",
            "nightshift.toml:2:10 http.listen: found \"localhost:7466\"; \
             allowed: an IP address and a port such as 127.0.0.1:7466 or [::1]:7466",
        ),
        (
            "[sources]\nmax_item_bytes = \"1 furlong\"",
            "nightshift.toml:2:18 sources.max_item_bytes: found \"1 furlong\"; \
             allowed: a size such as 64KiB, 1MiB, or a number of bytes; from 1KiB to 64MiB",
        ),
        (
            "[telemetry]\nsample_ratio = 1.5",
            "nightshift.toml:2:16 telemetry.sample_ratio: found 1.5; allowed: a number from 0 to 1",
        ),
        (
            "[telemetry]\nlog_format = \"jsn\"",
            "nightshift.toml:2:14 telemetry.log_format: found \"jsn\"; allowed: text, json; did you mean \"json\"?",
        ),
        (
            "[telemetry]\nlog_filter = \"inof\"",
            "nightshift.toml:2:14 telemetry.log_filter: found \"inof\"; \
             allowed: off, error, warn, info, debug, trace, or levels by target such as info,sqlx=warn; \
             did you mean \"info\"?",
        ),
        (
            "[telemetry]\nlog_filter = \"shout\"",
            "nightshift.toml:2:14 telemetry.log_filter: found \"shout\"; \
             allowed: off, error, warn, info, debug, trace, or levels by target such as info,sqlx=warn; \
             for a target, say its level: \"shout=debug\"",
        ),
        (
            "[telemetry]\nlog_filter = \"info,sqlx=wran\"",
            "nightshift.toml:2:14 telemetry.log_filter: found \"info,sqlx=wran\"; \
             allowed: off, error, warn, info, debug, trace, or levels by target such as info,sqlx=warn; \
             did you mean \"sqlx=warn\"?",
        ),
        (
            "[telemetry]\notlp_endpoint = \"localhost:4317\"",
            "nightshift.toml:2:17 telemetry.otlp_endpoint: found \"localhost:4317\"; allowed: an http or https address \
             without user, query and fragment, such as https://api.example.com/v1; did you mean \"http://localhost:4317\"?",
        ),
        (
            "[store]\ndata_dir = \"~/nightshift\"",
            "nightshift.toml:2:12 store.data_dir: found \"~/nightshift\"; \
             allowed: a folder, best as an absolute path; ~ is not expanded",
        ),
        (
            "[store]\nurl = \"mysql://me:geheim@db/x\"",
            "nightshift.toml:2:7 store.url: found \"mysql://***@db/x\"; \
             allowed: sqlite:///absolute/path/nightshift.db or postgres://user@host:5432/database",
        ),
        (
            "[llm]\nbase_url = \"http://127.0.0.1:1/v1\"",
            "nightshift.toml:2:12 llm.model: found llm.base_url without llm.model; allowed: both, or neither; \
             set llm.model",
        ),
        (
            "[smtp]\nhost = \"mail:25\"\nfrom = \"me\"",
            "nightshift.toml:2:8 smtp.host: found \"mail:25\"; allowed: a host name or IP address, without scheme and port\n\
             nightshift.toml:3:8 smtp.from: found \"me\"; \
             allowed: a sender such as nightshift@example.com or Nightshift <nightshift@example.com>",
        ),
        (
            "[queue]\nlease = \nconcurrency = 3\n[queue]\n",
            "nightshift.toml:2:9: found text that is not TOML (string values must be quoted, expected literal string); \
             allowed: TOML: [section] lines and key = value lines\n\
             nightshift.toml:4:2: found text that is not TOML (duplicate key); \
             allowed: TOML: [section] lines and key = value lines",
        ),
    ] {
        assert_eq!(faults_of(text).join("\n"), expected, "{text}");
    }
}

#[test]
fn all_faults_of_all_layers_come_at_once() {
    let text = "[queue]\r\nlease = \"soon\"\r\nconcurrency = -1\r\n\r\n[\"ä\"]\r\nx = 1\r\n[actors]\r\nidle = 1.5\r\n";
    let env = env(&[("NIGHTSHIFT_SOURCES_TIMEOUT", "0s"), ("NIGHTSHIFT_HTTP_LISTN", "127.0.0.1:1")]);
    let flags = [("http.listen", "here"), ("http.lisen", "x")];
    let faults = Config::load(Some((FILE, text)), &env, &flags).unwrap_err();
    let places: Vec<String> = faults
        .0
        .iter()
        .map(|fault: &Fault| format!("{}:{}:{} {}", fault.file, fault.line, fault.column, fault.path))
        .collect();
    assert_eq!(
        places,
        [
            "nightshift.toml:2:9 queue.lease",
            "nightshift.toml:3:15 queue.concurrency",
            "nightshift.toml:5:2 ä",
            "nightshift.toml:8:8 actors.idle",
            "environment NIGHTSHIFT_SOURCES_TIMEOUT:0:0 sources.timeout",
            "environment NIGHTSHIFT_HTTP_LISTN:0:0 ",
            "command line:0:0 http.listen",
            "command line:0:0 http.lisen",
        ]
    );
}

#[test]
fn faults_of_the_environment_and_of_flags_name_their_origin() {
    let lease = "allowed: a duration such as 30s, 15m, 2h, 1d; from 1s to 1d";
    assert_eq!(
        from_env(&[("NIGHTSHIFT_QUEUE_LEASE", "soon")]).unwrap_err(),
        format!("environment NIGHTSHIFT_QUEUE_LEASE queue.lease: found \"soon\"; {lease}")
    );
    assert_eq!(
        from_env(&[("NIGHTSHIFT_LISTEN", "0.0.0.0:7466")]).unwrap_err(),
        "environment NIGHTSHIFT_LISTEN: found a variable that sets nothing; allowed: NIGHTSHIFT_<SECTION>_<KEY>; \
         did you mean \"NIGHTSHIFT_HTTP_LISTEN\"?"
    );
    assert_eq!(
        from_env(&[("NIGHTSHIFT_HTTP_BANANA", "1")]).unwrap_err(),
        "environment NIGHTSHIFT_HTTP_BANANA: found a variable that sets nothing; \
         allowed: NIGHTSHIFT_HTTP_ENABLED, NIGHTSHIFT_HTTP_LISTEN, NIGHTSHIFT_HTTP_ACCESS_FILE"
    );
    assert_eq!(
        from_env(&[("TRACING_ENABLED", "many")]).unwrap_err(),
        "environment TRACING_ENABLED telemetry.tracing: found \"many\"; allowed: true or false"
    );
    let flag = Config::load(None, &env(&[]), &[("queue.lease", "")]).unwrap_err().to_string();
    assert_eq!(flag, format!("command line queue.lease: found \"\"; {lease}"));
}

#[test]
fn a_flag_beats_the_environment_beats_the_file_beats_the_default() {
    let text = "[queue]\nlease = \"1m\"\n";
    let env = env(&[("NIGHTSHIFT_QUEUE_LEASE", "2m")]);
    let none = BTreeMap::new();
    let environment = Provenance::Environment { variable: "NIGHTSHIFT_QUEUE_LEASE".into() };
    let file = Provenance::File { file: FILE.into(), line: 2, column: 9 };
    for (file_text, env, flags, seconds, from) in [
        (None, &none, &[][..], 30, Provenance::Default),
        (Some((FILE, text)), &none, &[], 60, file),
        (Some((FILE, text)), &env, &[], 120, environment),
        (Some((FILE, text)), &env, &[("queue.lease", "3m"), ("queue.lease", "4m")], 240, Provenance::Flag),
    ] {
        let loaded = Config::load(file_text, env, flags).unwrap();
        assert_eq!(loaded.config.queue.lease, Duration::from_secs(seconds));
        assert_eq!(loaded.provenance("queue.lease"), Some(&from));
        assert_eq!(loaded.provenance("queue.laese"), None);
    }
}

#[test]
fn every_key_is_a_variable_and_a_flag() {
    for key in KEYS {
        let example = match key.default {
            Default::Fixed(text) => text,
            Default::Derived { example, .. } | Default::Unset { example } => example,
        };
        // The partners that some keys need.
        let partners = [("llm.model", "m"), ("smtp.from", "a@b"), ("smtp.user", "u"), ("smtp.password", "env:P")];
        let mut flags: Vec<(&str, &str)> = partners.iter().copied().filter(|(path, _)| *path != key.path).collect();
        let by_variable = Config::load(None, &env(&[(&key.variable(), example)]), &flags).unwrap();
        let from = Provenance::Environment { variable: key.variable() };
        assert_eq!(by_variable.provenance(key.path), Some(&from));
        flags.push((key.path, example));
        let by_flag = Config::load(None, &env(&[]), &flags).unwrap();
        assert_eq!(by_flag.provenance(key.path), Some(&Provenance::Flag));
        assert_eq!(by_flag.config, by_variable.config, "{}", key.path);
    }
}

#[test]
fn the_names_of_the_seeds_work() {
    let config = from_env(&[
        ("DATABASE_URL", "postgres://n@h/db"),
        ("LLM_BASE_URL", "http://127.0.0.1:1/v1"),
        ("LLM_MODEL", "m"),
        ("LLM_API_KEY", "sk-geheim"),
        ("JAEGER_ENDPOINT", "http://jaeger:4317"),
        ("TRACING_ENABLED", "False"),
        ("METRICS_ENABLED", "0"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
        ("EDGE_BASE_URL", "http://edge:54321"),
        ("EDGE_SERVICE_JWT", "eyJ-geheim"),
        ("ORCHESTRATION_DEFAULT_MAX_PARALLEL", "4"),
        ("ORCHESTRATION_MAX_CONCURRENCY", "16"),
        ("ORCHESTRATION_CACHE_MAX_STEP_OUTPUTS", "7"),
    ])
    .unwrap()
    .config;
    let workflows = &config.workflows;
    assert_eq!(workflows.base_url.as_deref(), Some("http://edge:54321"));
    assert_eq!(workflows.service_token.as_deref(), Some("env:EDGE_SERVICE_JWT"));
    assert_eq!((workflows.max_parallel_default, workflows.max_parallel_cap), (Some(4), Some(16)));
    assert_eq!(workflows.cache_entries_max, 7);
    assert!(matches!(&config.store.url, StoreUrl::Postgres(url) if url.expose() == "postgres://n@h/db"));
    assert_eq!(config.llm.base_url.as_deref(), Some("http://127.0.0.1:1/v1"));
    assert_eq!(config.llm.model.as_deref(), Some("m"));
    assert_eq!(config.llm.api_key.as_deref(), Some("env:LLM_API_KEY"));
    assert_eq!(config.telemetry.otlp_endpoint.as_deref(), Some("http://jaeger:4317"));
    assert!(!config.telemetry.tracing && !config.telemetry.metrics);
    assert_eq!(config.telemetry.otlp_protocol, OtlpProtocol::Http);
}

#[test]
fn levels_of_the_log() {
    for (text, accepted) in [
        ("info", true),
        ("WARN", true),
        ("info,sqlx=warn, hyper=off", true),
        ("nightshift_store::sqlite=trace", true),
        ("nightshift", true),
        ("warn,nightshift_actors::clock", true),
        ("shout", false),
        ("info,shout", false),
        ("info,[run{id=1,step=2}]=debug", true),
        ("[run]=debug", true),
        ("debgu", false),
        ("info,sqlx=wran", false),
        ("info,,", false),
        ("a b=info", false),
    ] {
        assert_eq!(from_env(&[("RUST_LOG", text)]).is_ok(), accepted, "{text}");
    }
}

#[test]
fn our_own_name_beats_a_foreign_one_and_empty_is_unset() {
    let loaded = from_env(&[
        ("DATABASE_URL", "mysql://belongs/to/somebody/else"),
        ("NIGHTSHIFT_STORE_URL", "sqlite:///x/n.db"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://otel:4317"),
        ("JAEGER_ENDPOINT", "http://jaeger:4317"),
        ("LLM_BASE_URL", ""),
        ("LLM_MODEL", " "),
        ("LLM_API_KEY", ""),
    ])
    .unwrap();
    assert_eq!(loaded.config.store.url, StoreUrl::Sqlite("/x/n.db".into()));
    assert_eq!(loaded.config.telemetry.otlp_endpoint.as_deref(), Some("http://otel:4317"));
    assert_eq!((loaded.config.llm.base_url, loaded.config.llm.model, loaded.config.llm.api_key), (None, None, None));
}

#[test]
fn the_data_folder_follows_the_environment() {
    for (pairs, expected) in [
        (&[][..], "./nightshift-data"),
        (&[("HOME", "/people/a")], "/people/a/.local/share/nightshift"),
        (&[("HOME", "/")], "./nightshift-data"),
        (&[("HOME", "/people/a"), ("XDG_DATA_HOME", "/d")], "/d/nightshift"),
        (&[("HOME", "/people/a"), ("XDG_DATA_HOME", "relative")], "/people/a/.local/share/nightshift"),
        (&[("HOME", "/people/a"), ("STATE_DIRECTORY", "/var/lib/nightshift:/x")], "/var/lib/nightshift"),
    ] {
        assert_eq!(default_data_dir(&env(pairs)).0, PathBuf::from(expected), "{pairs:?}");
        let config = from_env(pairs).unwrap().config;
        assert_eq!(config.store.url, StoreUrl::Sqlite(PathBuf::from(expected).join("nightshift.db")));
    }
    let moved = from_file("[store]\ndata_dir = \"/srv/n\"").unwrap().config;
    assert_eq!(moved.store.url.to_string(), "sqlite:///srv/n/nightshift.db");
}

#[test]
fn the_port_of_mail_follows_its_tls() {
    for (tls, mode, port) in
        [("none", SmtpTls::None, 25), ("starttls", SmtpTls::StartTls, 587), ("tls", SmtpTls::Tls, 465)]
    {
        let smtp = from_env(&[("NIGHTSHIFT_SMTP_TLS", tls)]).unwrap().config.smtp;
        assert_eq!((smtp.tls, smtp.port), (mode, port));
    }
    let named = from_env(&[("NIGHTSHIFT_SMTP_TLS", "tls"), ("NIGHTSHIFT_SMTP_PORT", "2525")]).unwrap();
    assert_eq!(named.config.smtp.port, 2525);
}

#[test]
fn a_secret_is_never_kept_nor_shown() {
    let literal = "allowed: a reference, env:NAME or file:/absolute/path; \
                   put the secret into a variable or a file that only the service may read, and name that";
    for text in ["api_key = \"sk-geheim\"", "api_key = \"file:geheim\"", "api_key = \"env:ge heim\"", "api_key = 4711"]
    {
        assert_eq!(
            faults_of(&format!("[llm]\n{text}")),
            [format!(
                "nightshift.toml:2:11 llm.api_key: found a value that is no reference and is not shown; {literal}"
            )]
        );
    }
    for text in
        ["[llm]\napi_key = sk-geheim", "[llm]\napi_key = \"sk-geheim", "[llm]\nbase_url = \"https://u:geheim@h/v1\""]
    {
        let faults = faults_of(text).join("\n");
        assert!(!faults.contains("geheim"), "{faults}");
    }
    for value in ["postgre://n:geheim@h/db", "geheim@h", "host=h password=geheim"] {
        let fault = from_env(&[("DATABASE_URL", value)]).unwrap_err();
        assert!(!fault.contains("geheim"), "{fault}");
    }
    let loaded = from_env(&[
        ("DATABASE_URL", "postgres://n:geheim@h/db?sslpassword=geheim"),
        ("LLM_API_KEY", "sk-geheim"),
        ("NIGHTSHIFT_SMTP_USER", "n"),
        ("NIGHTSHIFT_SMTP_PASSWORD", "env:NIGHTSHIFT_MAIL_SECRET"),
        ("NIGHTSHIFT_MAIL_SECRET", "geheim"),
    ])
    .unwrap();
    let shown = format!("{loaded:?} {}", serde_json::to_string(&loaded.settings).unwrap());
    assert!(!shown.contains("geheim"), "{shown}");
    assert!(shown.contains("postgres://n:***@h/db?sslpassword=***") && shown.contains("env:LLM_API_KEY"), "{shown}");
}

#[test]
fn settings_are_shown_with_their_origin() {
    let loaded = from_file("[sources]\nmax_item_bytes = 2097152\n").unwrap();
    let shown = |key: &str| {
        let setting = loaded.settings.iter().find(|setting| setting.key == key).unwrap();
        serde_json::to_string(setting).unwrap()
    };
    assert_eq!(
        shown("sources.max_item_bytes"),
        "{\"key\":\"sources.max_item_bytes\",\"value\":\"2MiB\",\
         \"from\":{\"source\":\"file\",\"file\":\"nightshift.toml\",\"line\":2,\"column\":18}}"
    );
    assert_eq!(shown("queue.lease"), "{\"key\":\"queue.lease\",\"value\":\"30s\",\"from\":{\"source\":\"default\"}}");
    assert_eq!(shown("smtp.host"), "{\"key\":\"smtp.host\",\"value\":null,\"from\":{\"source\":\"default\"}}");
    assert_eq!(loaded.settings.len(), KEYS.len());
}

#[test]
fn what_is_allowed_and_surprising_is_a_warning() {
    for (pairs, expected) in [
        (&[][..], &[][..]),
        (&[("NIGHTSHIFT_HTTP_LISTEN", "0.0.0.0:7466")], &["http.listen is reachable from other machines"]),
        (&[("LLM_MODEL", "m")], &["llm.model is set and llm.base_url is not: documents are composed by extraction"]),
        (
            &[
                ("NIGHTSHIFT_SMTP_HOST", "h"),
                ("NIGHTSHIFT_SMTP_FROM", "a@b"),
                ("NIGHTSHIFT_SMTP_TLS", "none"),
                ("NIGHTSHIFT_SMTP_USER", "u"),
                ("NIGHTSHIFT_SMTP_PASSWORD", "file:/run/p"),
            ],
            &["smtp.tls is none: smtp.password is sent in the clear"],
        ),
        (&[("NIGHTSHIFT_SMTP_FROM", "a@b")], &["smtp.host is not set: the other keys of [smtp] have no effect"]),
        (&[("NIGHTSHIFT_DB_PASSWORD", "x")], &["environment NIGHTSHIFT_DB_PASSWORD sets nothing"]),
        (
            &[
                ("NIGHTSHIFT_CONFIG", "/etc/n.toml"),
                ("NIGHTSHIFT_PORT", "tcp://10.0.0.1:80"),
                ("NIGHTSHIFT_SERVICE_HOST", "10.0.0.1"),
                ("NIGHTSHIFT_HTTP_SERVICE_PORT", "80"),
                ("NIGHTSHIFT_HTTP_PORT_80_TCP_ADDR", "10.0.0.1"),
            ],
            &[],
        ),
    ] {
        assert_eq!(from_env(pairs).unwrap().warnings, expected, "{pairs:?}");
    }
}

#[test]
fn the_committed_example_is_the_generated_one() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../ops/nightshift.example.toml");
    #[expect(clippy::disallowed_methods, reason = "asks whether to rewrite the golden file; no configuration")]
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(path, config_example()).unwrap();
    }
    let committed = std::fs::read_to_string(path).unwrap_or_default();
    assert_eq!(committed, config_example(), "run with UPDATE=1 to rewrite ops/nightshift.example.toml");
}

/// The example with the keys that are `wanted` in force.
fn uncommented(wanted: impl Fn(&str) -> bool) -> String {
    let mut section = String::new();
    let mut text = String::new();
    for line in config_example().lines() {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = name.to_owned();
        }
        let key = line.strip_prefix('#').filter(|rest| !rest.is_empty() && !rest.starts_with(' '));
        let kept = key.filter(|key| wanted(&format!("{section}.{}", key.split(' ').next().unwrap_or_default())));
        text.push_str(kept.unwrap_or(line));
        text.push('\n');
    }
    text
}

#[test]
fn the_example_changes_nothing_and_each_of_its_lines_is_valid() {
    let defaults = from_env(&[]).unwrap().config;
    assert_eq!(from_file(&config_example()).unwrap().config, defaults);

    let fixed = |path: &str| KEYS.iter().any(|key| key.path == path && matches!(key.default, Default::Fixed(_)));
    let spelt_out = from_file(&uncommented(fixed)).unwrap();
    assert_eq!(spelt_out.config, defaults, "a default that is spelt out is the default");
    let said = spelt_out.settings.iter().filter(|setting| setting.from != Provenance::Default).count();
    assert_eq!(said, KEYS.iter().filter(|key| matches!(key.default, Default::Fixed(_))).count());

    let all = from_file(&uncommented(|_| true)).unwrap();
    assert!(all.settings.iter().all(|setting| matches!(setting.from, Provenance::File { .. })));
}

#[test]
fn the_reference_names_every_key_and_variable_once() {
    let reference = config_reference();
    assert_eq!(reference.lines().count(), KEYS.len() + 2);
    assert!(reference.contains(
        "| `queue.lease` | `30s` | a duration such as 30s, 15m, 2h, 1d; from 1s to 1d | `NIGHTSHIFT_QUEUE_LEASE` | \
         A worker that is silent for this long has lost its step. |\n"
    ));
    let names = environment_names();
    for (name, path) in &names {
        assert_eq!(names.iter().filter(|(other, _)| other == name).count(), 1, "{name}");
        assert!(reference.lines().any(|line| line.contains(&format!("`{name}`")) && line.contains(path)), "{name}");
    }
    let columns = |line: &str| line.replace("\\|", "").matches('|').count();
    assert!(reference.lines().all(|line| columns(line) == 6));
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "\\PC*") {
        let _ = Config::load(Some((FILE, &text)), &BTreeMap::new(), &[(&text, &text)]);
    }

    #[test]
    fn no_near_configuration_makes_it_panic(text in r#"(\[{1,2}(store|queue|llm|x)\]{1,2}\n|(url|lease|api_key|concurrency|"q) ?= ?("[^\n]{0,12}"?|-?[0-9xe._]{1,24}|\{|\[|"""|true|nan)\r?\n){0,12}"#) {
        if let Err(faults) = Config::load(Some((FILE, &text)), &BTreeMap::new(), &[]) {
            for fault in &faults.0 {
                prop_assert!(fault.line >= 1 && fault.column >= 1 && fault.line <= text.split('\n').count() as u64, "{fault}");
                prop_assert_eq!(fault.to_string().lines().count(), 1, "{}", fault);
            }
        }
    }

    #[test]
    fn no_value_makes_it_panic_and_a_literal_secret_is_never_shown(value in "\\PC{0,40}", index in 0..KEYS.len()) {
        let key = &KEYS[index];
        let loaded = Config::load(None, &env(&[(&key.variable(), &value)]), &[]);
        prop_assert!(loaded.is_ok() || !loaded.unwrap_err().0.is_empty());
    }

    #[test]
    fn no_password_of_a_database_is_shown(password in "[a-z/?#:@%=&]{0,6}geheim[a-z/?#:@%=&]{0,6}", place in 0..4usize) {
        let url = match place {
            0 => format!("postgres://n:{password}@h/db"),
            1 => format!("postgres://h/db?user=n&password={}", password.replace('&', "")),
            2 => format!("mysql://n:{password}@h/db"),
            _ => format!("n:{password}@h/db"),
        };
        let shown = match from_env(&[("DATABASE_URL", &url)]) {
            Ok(loaded) => format!("{loaded:?}"),
            Err(faults) => faults,
        };
        prop_assert!(!shown.contains("geheim"), "{}", shown);
    }
}

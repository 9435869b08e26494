//! The rules of the house, applied to every file of the repository.
//!
//! Owns: the tables of what is allowed and the exceptions in force. How each rule is judged, and a test of the
//! fault it finds, is in `nightshift_tests::tidy`. An exception that is no longer needed fails the test: the
//! tables only shrink.

use std::sync::LazyLock;

use nightshift_tests::repo_root;
use nightshift_tests::tidy::deps::{self, Allowed, Rules};
use nightshift_tests::tidy::size::{Limits, oversized};
use nightshift_tests::tidy::{Exception, Finding, TextFile, judge, metrics, paths, readme, schema, text_files, words};

/// The layers of DESIGN section 3: domain <- spec, projections, telemetry <- ports <- store | effects | actors
/// <- replay, api <- nightshift.
const RULES: Rules = Rules {
    crates: &[
        Allowed {
            name: "domain",
            own: &[],
            third_party: Some(&["serde", "serde_json", "sha2", "chrono", "uuid", "rmp-serde", "thiserror"]),
        },
        Allowed {
            name: "spec",
            own: &["domain"],
            third_party: Some(&[
                "serde",
                "chrono",
                "thiserror",
                "serde_json",
                "croner",
                "jiff",
                "serde-saphyr",
                "similar",
                "cel",
            ]),
        },
        Allowed { name: "projections", own: &["domain"], third_party: Some(&["serde", "serde_json", "uuid"]) },
        Allowed { name: "telemetry", own: &["domain"], third_party: None },
        Allowed { name: "ports", own: &["domain", "projections"], third_party: None },
        Allowed { name: "store", own: &["domain", "projections", "ports"], third_party: None },
        Allowed { name: "effects", own: &["domain", "ports"], third_party: None },
        Allowed { name: "actors", own: &["domain", "spec", "projections", "ports"], third_party: None },
        Allowed { name: "replay", own: &["domain", "spec", "projections", "ports", "actors"], third_party: None },
        Allowed {
            name: "api",
            own: &["domain", "spec", "projections", "ports", "actors", "telemetry"],
            third_party: None,
        },
        Allowed { name: "nightshift", own: ALL, third_party: None },
        // Pure but for the one check that goes the model's histories on a store, so no clock, no runtime, no database.
        Allowed {
            name: "model",
            own: &["domain", "spec", "ports"],
            third_party: Some(&["serde_json", "sha2", "uuid"]),
        },
        Allowed { name: "tests", own: ALL_AND_BINARY, third_party: None },
        Allowed { name: "fuzz", own: ALL_AND_BINARY, third_party: None },
    ],
    dev: &["proptest", "tempfile", "serde_json", "rmpv", "tokio"],
    exclusive: &[("sqlx", "store"), ("ractor", "actors"), ("opentelemetry", "telemetry"), ("cel", "spec")],
    forbidden_names: &["common", "utils", "util", "types", "helpers", "shared"],
};

const ALL: &[&str] =
    &["domain", "spec", "projections", "telemetry", "ports", "store", "effects", "actors", "replay", "api"];
const ALL_AND_BINARY: &[&str] = &[
    "domain",
    "spec",
    "projections",
    "telemetry",
    "ports",
    "store",
    "effects",
    "actors",
    "replay",
    "api",
    "nightshift",
    "model",
];

/// Of production code.
const LIMITS: Limits = Limits { file_lines_max: 500, function_lines_max: 70 };
/// Of test code, where tables are long.
const TEST_LIMITS: Limits = Limits { file_lines_max: 800, function_lines_max: 100 };

/// Files and functions that are too long for now: `((path, function or "file"), reason)`.
const TOO_LONG: &[Exception] = &[(
    ("crates/nightshift/tests/config.rs", "each_fault_of_a_file_has_its_message"),
    "one table of faults and their messages",
)];

/// Production files that read a clock, randomness or make fresh ids: `((path, word), reason)`.
const IMPURE: &[Exception] = &[
    (("tests/src/wait.rs", "Instant::now"), "another process has a clock of its own"),
    (("crates/nightshift/src/real.rs", "SystemTime::now"), "the clock port's own reading"),
    (("crates/nightshift/src/real.rs", "Instant::now"), "measures the program itself"),
    (("crates/nightshift/src/real.rs", "now_v7"), "the id port's own draw"),
    (("crates/nightshift/src/control.rs", "new_v4"), "a secret of the control door, not an id of the domain"),
];

/// SQL outside the store: `((path, statement), reason)`.
const SQL_ELSEWHERE: &[Exception] = &[];

/// Markers and ignored tests: `((path, word), reason)`.
const UNFINISHED: &[Exception] =
    &[(("crates/effects/src/compose/marks.rs", "TODO"), "it looks for such marks in people's notes")];

/// Pauses in tests: `((path, word), reason)`.
const PAUSES: &[Exception] =
    &[(("tests/src/wait.rs", "sleep("), "the one pause of the tests: between two looks at another process")];

/// Paths of one machine: `((path, prefix), reason)`.
const MACHINE_PATHS: &[Exception] = &[];

static FILES: LazyLock<Vec<TextFile>> = LazyLock::new(|| text_files(&repo_root()));

fn rust_files() -> impl Iterator<Item = &'static TextFile> {
    FILES.iter().filter(|file| file.is_rust())
}

fn read(path: &str) -> &'static str {
    let found = FILES.iter().find(|file| file.path == path);
    &found.unwrap_or_else(|| panic!("{path} is missing")).text
}

#[track_caller]
fn assert_none(rule: &str, faults: &[String]) {
    assert!(faults.is_empty(), "{rule}: {} faults\n  {}\n", faults.len(), faults.join("\n  "));
}

#[track_caller]
fn assert_judged(rule: &str, findings: &[Finding], exceptions: &[Exception]) {
    assert_none(rule, &judge(findings, exceptions));
}

#[test]
fn dependencies_point_downwards() {
    assert_none("layers", &deps::faults(&deps::manifests(&repo_root()), &RULES));
}

#[test]
fn every_module_says_what_it_owns() {
    let findings: Vec<Finding> = rust_files().filter_map(words::missing_header).collect();
    assert_judged("module headers", &findings, &[]);
}

#[test]
fn files_and_functions_stay_small() {
    let limits = |file: &TextFile| if file.is_test() { TEST_LIMITS } else { LIMITS };
    let findings: Vec<Finding> = rust_files().flat_map(|file| oversized(file, limits(file))).collect();
    assert_judged("sizes", &findings, TOO_LONG);
}

#[test]
fn sql_is_in_the_store_only() {
    let outside = rust_files()
        .filter(|file| file.path.starts_with("crates/") && !file.path.starts_with("crates/store/"))
        .filter(|file| !file.is_test());
    let findings: Vec<Finding> = outside.flat_map(words::sql).collect();
    assert_judged("SQL", &findings, SQL_ELSEWHERE);
}

#[test]
fn clocks_and_randomness_are_read_where_allowed() {
    let findings: Vec<Finding> = rust_files().flat_map(words::impure).collect();
    assert_judged("clocks, ids, randomness", &findings, IMPURE);
}

#[test]
fn migrations_are_mirrored_and_released_ones_unchanged() {
    assert_none("schema", &schema::faults(&FILES));
}

#[test]
fn nothing_is_left_unfinished() {
    let findings: Vec<Finding> = rust_files().flat_map(words::unfinished).collect();
    assert_judged("unfinished", &findings, UNFINISHED);
}

#[test]
fn tests_do_not_pause() {
    let findings: Vec<Finding> = rust_files().flat_map(words::pauses_in_tests).collect();
    assert_judged("pauses", &findings, PAUSES);
}

#[test]
fn printed_commands_exist() {
    let aliases = readme::aliases(read(".cargo/config.toml"));
    let mut faults = Vec::new();
    for document in ["README.md", "CONTRIBUTING.md"] {
        let commands = readme::shell_commands(read(document));
        faults.extend(commands.iter().filter_map(|command| readme::fault(command, &FILES, &aliases)));
    }
    let commands = readme::shell_commands(read("README.md"));
    for (what, is_it) in [("test", "scripts/test"), ("demo", "scripts/demo")] {
        if !commands.iter().any(|command| command.contains(is_it)) {
            faults.push(format!("README.md prints no {what} command (`{is_it}`) in a shell block"));
        }
    }
    assert_none("printed commands", &faults);
}

#[test]
fn alerts_and_dashboards_use_metrics_that_exist() {
    let mut expressions = metrics::rule_expressions(read("ops/prometheus/alerts.yml"));
    expressions.extend(metrics::dashboard_expressions(read("ops/grafana/nightshift.json")));
    assert!(expressions.len() > 10, "the alerts and the dashboard were read");
    let unknown = metrics::unknown(&expressions, &FILES);
    assert_none("metrics that no crate names", &unknown);
}

#[test]
fn no_file_names_a_machine() {
    let findings: Vec<Finding> = FILES.iter().flat_map(paths::machine_paths).collect();
    assert_judged("machine paths", &findings, MACHINE_PATHS);
}

#[test]
fn the_files_every_reader_expects_exist() {
    let expected = [
        "Cargo.lock",
        "README.md",
        "ARCHITECTURE.md",
        "CONTRIBUTING.md",
        "CHANGELOG.md",
        "LICENSE-MIT",
        "LICENSE-APACHE",
        "clippy.toml",
        "deny.toml",
        "rust-toolchain.toml",
        "rustfmt.toml",
        ".ci/run",
        "scripts/test",
        "docs/adr/0000-template.md",
        "ops/systemd/nightshift.service",
        "ops/container/Containerfile",
        "ops/compose.yaml",
        "ops/prometheus/prometheus.yml",
        "ops/prometheus/alerts.yml",
        "ops/grafana/nightshift.json",
        "ops/runbook.md",
        "ops/nightshift.example.toml",
        "ops/agents.example.toml",
        "ops/limits.example.toml",
        "ops/access.example.toml",
        "ops/secrets.example.toml",
        "ops/openapi.json",
        "schema/workflow.schema.json",
    ];
    let missing = expected.iter().filter(|path| !FILES.iter().any(|file| file.path == **path));
    assert_none("files", &missing.map(|path| format!("{path} is missing")).collect::<Vec<_>>());
}

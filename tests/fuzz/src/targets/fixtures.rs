//! Recorded incidents that arrive as files from elsewhere.
//!
//! Owns: that a fixture is refused or read, is written as it was read, and can be replayed whatever it tells; that redaction
//! leaves no secret behind and is the same a second time. Refuses to know: what happened in an incident.

use nightshift_replay::{Fixture, Mode, fuzz::scrubbed, redact, replay_fixture};

use super::{folders, owned, texts};
use crate::{Target, trees::Form};

pub const FIXTURE: Target = Target {
    name: "fixture",
    about: "a fixture is refused or read; written and read again it is the same; it can be replayed and redacted, whatever it tells",
    form: Form::Json,
    seeds: fixtures,
    words: || {
        owned(&[
            "run",
            "deliverable",
            "schedule",
            "events",
            "commands",
            "raw",
            "seq",
            "version",
            "shard",
            "{}",
            "1970-01-01T00:00:00Z",
        ])
    },
    frame: None,
    bytes_max: 192 << 10,
    short: 40,
    run: fixture,
};

pub const REDACTION: Target = Target {
    name: "redaction",
    about: "a text without its secrets holds none; scrubbing it again changes nothing",
    form: Form::Plain,
    seeds: secrets,
    words: || {
        owned(&[
            "password=",
            "password: ",
            "secret",
            "token",
            "redacted-secret-1",
            "whsec_",
            "sk-",
            "ghp_",
            "AKIA",
            "Bearer ",
            "basic ",
            "eyJ",
            "a.b",
            "://",
            "u:p@h",
            "-----BEGIN ",
            "PRIVATE KEY",
            "-----END ",
            "api_key=",
            "env:",
            "abc123DEF456",
            "\"",
            "\n",
            "hunter",
            "x-api-key: 9f8e7d6c5b4a3928",
        ])
    },
    frame: None,
    bytes_max: 12 << 10,
    short: 700,
    run: redaction,
};

/// The smallest incidents, in the form of one file, without their golden rows.
fn fixtures() -> Vec<Vec<u8>> {
    let small = |folder: &std::path::PathBuf| {
        let mut fixture = Fixture::read_dir(folder).expect("a fixture of the tree");
        fixture.rows.clear();
        fixture.to_text().ok().map(String::into_bytes).filter(|text| text.len() < 160 << 10)
    };
    folders("replay-fixtures").iter().filter_map(small).collect()
}

fn fixture(input: &[u8]) -> String {
    let text = String::from_utf8_lossy(input);
    let read = match Fixture::read_text("f.nsfix", &text) {
        Ok(fixture) => fixture,
        Err(error) => {
            let error = error.to_string();
            assert!(error.contains("f.nsfix"), "{error:?} does not name the file");
            return error;
        }
    };
    let written = read.to_text().expect("what was read can be written");
    let again = Fixture::read_text("f.nsfix", &written).expect("what was written can be read");
    assert_eq!(again.to_text().expect("written"), written, "written and read again it is the same");
    let report = replay_fixture(&read);
    let redacted = match redact(&read, Mode::Personal) {
        Ok(redacted) => {
            let text = redacted.to_text().expect("what was redacted can be written");
            assert!(Fixture::read_text("f.nsfix", &text).is_ok(), "what was redacted can be read");
            "redacted".to_owned()
        }
        Err(error) => error.to_string().lines().next().unwrap_or_default().chars().take(80).collect(),
    };
    format!("{} {redacted}", if report.is_same() { "same" } else { "other" })
}

fn secrets() -> Vec<Vec<u8>> {
    texts(&[
        "Authorization: Bearer abcDEF123456\nid AKIAIOSFODNN7EXAMPLE here",
        "postgres://ann:hunter2@db/x password=hunter api_key=9f8e7d6c5b4a39281706",
        "\"api-key\": \"9f8e7d6c5b4a39281706\" whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "a\n-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----\nb eyJhbGciOi.eyJzdWIiOi.SflKxwRJ",
        "https://hooks.slack.com/services/T0/B0/abc123def secret = env:WEBHOOK_SECRET the token: a word",
    ])
}

fn redaction(input: &[u8]) -> String {
    let text = String::from_utf8_lossy(input);
    let (clean, count, still) = scrubbed(&text);
    assert!(!still, "something that reads like a secret is left in {clean:?}");
    let (again, more, _) = scrubbed(&clean);
    assert_eq!((again.as_str(), more), (clean.as_str(), 0), "scrubbing it again changes nothing");
    let kinds = ["Bearer", "://", "BEGIN", "=", "eyJ", "_"].map(|mark| if text.contains(mark) { mark } else { "" });
    format!("{} {}", "s".repeat(count.min(12)), kinds.concat())
}

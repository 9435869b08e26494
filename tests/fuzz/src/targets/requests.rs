//! HTTP requests: bodies, the part behind `?`, and what makes a request the same as another.
//!
//! Owns: that a refusal is a bad request with a path, and that a fingerprint is of what is said. Refuses to know: routes.

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use nightshift_api::{envelope::ApiError, fuzz, routes};
use serde_json::Value;

use super::{headed, owned, texts, with_head};
use crate::{Target, trees::Form};

pub const BODY: Target = Target {
    name: "body",
    about: "a JSON body of any form a route takes is read, or refused as a bad request with the path of the field",
    form: Form::HeadedJson,
    seeds: bodies,
    words: body_words,
    frame: None,
    bytes_max: 24 << 10,
    short: 3_000,
    run: body,
};

pub const QUESTION: Target = Target {
    name: "question",
    about: "the part behind `?` of any route is read, or refused with every fault; a note in a form is one of its values",
    form: Form::Plain,
    seeds: || {
        texts(&[
            "0\nlimit=25&offset=0",
            "7\nstatus=running&limit=1000&user=ada",
            "12\nfrom=2026-01-01T00:00:00Z&to=x&wait=position",
            "3\nq=%E4%F6&q=+",
            "20\naction=continue&digest=abc&by=Ada%20%26%20Bob&expires=1800000060&signature=AAAA",
            "note=well%20done+now&x=1",
        ])
    },
    words: || {
        let mut words: Vec<String> =
            routes::all().flat_map(|route| route.query).map(|param| format!("{}=", param.name)).collect();
        words.sort();
        words.dedup();
        words.extend(owned(&[
            "&",
            "=",
            "%",
            "%2",
            "%00",
            "%ff",
            "+",
            "#",
            "?",
            "true",
            "2026-01-01T00:00:00Z",
            "-1",
            "position",
        ]));
        words
    },
    frame: None,
    bytes_max: 4 << 10,
    short: 2_000,
    run: question,
};

pub const FINGERPRINT: Target = Target {
    name: "fingerprint",
    about: "a request has the same fingerprint however it is written, and the key that names it is printable or refused",
    form: Form::HeadedJson,
    seeds: || {
        let bodies: [(&str, &[u8]); 4] = [
            ("activate=false&wait=position", br#"{"a": 1, "b": [2, 0.1, 1e2]}"#),
            ("", b"{}"),
            ("x=%20", b"a: 1"),
            ("key-1", b"[1, {\"b\": 1, \"a\": 2}]"),
        ];
        bodies.iter().map(|(head, rest)| with_head(head, rest)).collect()
    },
    words: || owned(&["wait=", "&", "activate=true", "{", "}", "\"a\":", "0.1", "1e2", "-0", "\u{7f}", "é", "key-1"]),
    frame: None,
    bytes_max: 12 << 10,
    short: 1_500,
    run: fingerprint,
};

fn body_words() -> Vec<String> {
    let names = fuzz::BODIES.iter().map(|(name, _)| (*name).to_owned());
    let fields = [
        "note",
        "reason",
        "parameters",
        "workflow",
        "orchestration",
        "name",
        "owner",
        "version",
        "priority",
        "action",
        "modifications",
        "digest",
        "by",
        "for",
        "expiresInSeconds",
        "steps",
        "from",
        "to",
        "filter",
        "kind",
        "stream",
        "command",
        "id",
        "actor",
        "limit",
        "capacity",
        "type",
        "payload",
        "correlation",
        "user_id",
        "output",
        "retry",
        "discard",
        "continue",
        "2026-01-01T00:00:00Z",
    ];
    names.chain(owned(&fields)).collect()
}

fn bodies() -> Vec<Vec<u8>> {
    let some = [
        r#"{"note": "well done"}"#,
        r#"{"reason": "x", "for": "ada", "expiresInSeconds": 3600}"#,
        r#"{"parameters": {"a": [1]}, "priority": 5}"#,
        r#"{"action": "continue", "note": null, "modifications": {"a": 1}}"#,
        r#"{"from": "2026-01-01T00:00:00Z", "to": "2026-02-01T00:00:00Z"}"#,
        r#"{"type": "order_placed", "payload": {"a": 1}, "id": "e1"}"#,
        r#"{"verb": "retry", "filter": {"workflow": "w"}, "ids": []}"#,
        "{}",
        "",
    ];
    let names = fuzz::BODIES.iter().map(|(name, _)| *name);
    let mut inputs: Vec<Vec<u8>> =
        names.flat_map(|name| some.iter().map(move |body| with_head(name, body.as_bytes()))).collect();
    for data in super::log::golden_commands() {
        let Ok(command) = nightshift_domain::codec::decode_command(&data) else { continue };
        let request = serde_json::json!({
            "stream": {"kind": command.kind(), "id": "2b6f0cc9-0d1f-8a3b-b3c1-0123456789ab"}, "command": command,
            "id": "2b6f0cc9-0d1f-8a3b-b3c1-0123456789ab", "actor": "ada",
        });
        inputs.push(with_head("SubmitRequest", request.to_string().as_bytes()));
    }
    inputs
}

/// A refusal is one of the caller's faults, says the field, and is short.
fn refused(error: &ApiError, length: usize) -> String {
    assert_eq!(error.code.status(), StatusCode::BAD_REQUEST, "{error}");
    let details = error.details.as_ref().map(Value::to_string).unwrap_or_default();
    assert!(!details.is_empty(), "{error} has no field");
    let said = error.message.len() + details.len();
    assert!(said < 8_000 + 40 * length, "{said} bytes of refusal for {length} bytes");
    error.message.chars().take(60).collect()
}

fn body(input: &[u8]) -> String {
    let (head, rest) = headed(input);
    let fits = |form: &&(&str, fuzz::Body)| form.0 == head;
    let (name, read) = fuzz::BODIES.iter().find(fits).unwrap_or(&fuzz::BODIES[head.len() % fuzz::BODIES.len()]);
    match read(rest) {
        Ok(()) => format!("{name} read"),
        Err(error) => format!("{name} {}", refused(&error, input.len())),
    }
}

fn question(input: &[u8]) -> String {
    let (head, rest) = headed(input);
    let query = String::from_utf8_lossy(rest);
    if let Some(note) = fuzz::note(input) {
        assert!(note.len() <= 3 * input.len() && !note.trim().is_empty());
    }
    match fuzz::question(head.parse().unwrap_or(head.len()), &query) {
        Ok(()) => "read".to_owned(),
        Err(error) => refused(&error, input.len()),
    }
}

fn fingerprint(input: &[u8]) -> String {
    let (query, body) = headed(input);
    let one = fuzz::fingerprint(&query, body);
    assert_eq!(one.len(), 32);
    assert_eq!(fuzz::fingerprint(&query, body), one, "the same request has the same fingerprint");
    let mut said = String::new();
    if let Ok(value) = serde_json::from_slice::<Value>(body) {
        let pretty = serde_json::to_vec_pretty(&value).expect("JSON");
        assert_eq!(fuzz::fingerprint(&query, &pretty), one, "however it is written");
        said.push_str("JSON ");
    }
    let key = HeaderValue::from_bytes(query.as_bytes());
    let Ok(key) = key else { return said + "no header" };
    let mut headers = HeaderMap::new();
    headers.insert(HeaderName::from_static("idempotency-key"), key);
    match fuzz::command(&headers) {
        Ok(id) => {
            assert!(id.is_some(), "a key names a command");
            assert!(query.trim().len() <= 255 && query.is_ascii(), "{query:?} is a key");
            said + "key"
        }
        Err(error) => said + &refused(&error, input.len()),
    }
}

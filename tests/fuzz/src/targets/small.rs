//! Small languages: conditions, templates, JSON values, single words, edits, and the configuration.
//!
//! Owns: that what was read says itself again, that equal values have equal texts, and that nothing grows beyond its bound.
//! Refuses to know: where each is written.

use std::{collections::BTreeMap, sync::LazyLock};

use nightshift::config::Config;
use nightshift_domain::{
    expression::Expressions as _,
    ids::{RunId, StreamKind},
    json::{Json, Room, canonical, fingerprint, merge, pointer_to},
    queue::LimitKey,
    run::{instance_id, instance_of},
    template::{Path, Scope, map_output, mapped_parts, references, render_to_text, render_within},
};
use nightshift_spec::{Cel, duration, edit, expressions};
use nightshift_telemetry::spans::parse_traceparent;
use serde_json::json;

use super::{NOW, file, headed, owned, texts, with_head};
use crate::{Target, trees::Form};

pub const CONDITION: Target = Target {
    name: "condition",
    about: "a condition is refused, or answers yes, no or why not, twice the same, for any facts, in bounded time",
    form: Form::HeadedJson,
    seeds: conditions,
    words: || {
        owned(&[
            "steps.a",
            "parameters",
            "size(",
            "has(",
            ".all(x, ",
            ".exists(y, ",
            ".filter(z, ",
            ".map(",
            "matches(",
            "startsWith(",
            "in",
            "&&",
            "||",
            "!",
            "-",
            "?",
            ":",
            "==",
            "<=",
            "[",
            "]",
            "{",
            "}",
            "(",
            ")",
            "'",
            "\"",
            "r\"",
            "b'",
            "0x1F",
            "1u",
            "1e9",
            "null",
            "true",
            "(a+)+$",
            "^(.*)*$",
            ".*",
            "string(",
            "int(",
            "double(",
            "type(",
            "dyn(",
            "%",
            "9223372036854775807",
            "item",
            "\\u0041",
        ])
    },
    frame: None,
    bytes_max: 6 << 10,
    short: 700,
    run: condition,
};

pub const TEMPLATE: Target = Target {
    name: "template",
    about: "a template becomes a value that is within its bound; every path says itself again",
    form: Form::Json,
    seeds: templates,
    words: || {
        owned(&[
            "{{ n }}",
            "{{ steps.fetch.rows }}",
            "{{ big }}{{ big }}",
            "{{",
            "}}",
            "${n}",
            "${",
            "}",
            "steps",
            ".",
            "[0]",
            "[\"a b\"]",
            "['x']",
            "$.rows[1]",
            "$",
            "$[",
            "template",
            "scope",
            "n",
            "big",
            "{{ steps[\"fetch\"].rows[0] }}",
            "{{a}}",
            "-",
            "]",
        ])
    },
    frame: Some(("{\"template\": \"", "\", \"scope\": {\"n\": 1}}")),
    bytes_max: 32 << 10,
    short: 1_500,
    run: template,
};

pub const JSON: Target = Target {
    name: "json",
    about: "a value's canonical text reads as the value and is the only one; the bound of values holds; pointers lead where they say",
    form: Form::Json,
    seeds: || {
        texts(&[
            "{\"b\": 1, \"a\": [3, 2.5, -0.0, 1e300, null, true, \"\\u0000\\ud83d\\ude00\"]}",
            "{\"a/b\": {\"~1\": [[[]]]}, \"\": {}}",
            "[0.1, 0.30000000000000004, 5e-324, 1.7976931348623157e308, 9007199254740993, 18446744073709551615, -9223372036854775808]",
        ])
    },
    words: || {
        owned(&[
            "\"a\"",
            "~",
            "/",
            "0.1",
            "1E5",
            "-0",
            "{\"\":",
            "[",
            "\\ud800",
            "\\u",
            "null",
            "123456789012345678901234567890",
        ])
    },
    frame: None,
    bytes_max: 32 << 10,
    short: 2_500,
    run: json_value,
};

pub const WORDS: Target = Target {
    name: "words",
    about: "single words and headers (durations, ids, instances, keys of limits, traceparent, Retry-After): refused, or the same again",
    form: Form::Plain,
    seeds: || {
        texts(&[
            "90s",
            "1w2d3h4m5s",
            "99999999w",
            "run",
            "2b6f0cc9-0d1f-8a3b-b3c1-0123456789ab",
            "each[12]",
            "each[012]",
            "rate:user:ada:agent:x",
            "queue:slow",
            "concurrency",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "120",
            "Wed, 21 Oct 2026 07:28:00 GMT",
        ])
    },
    words: || {
        owned(&[
            "s", "m", "h", "d", "w", "[", "]", ":", "-", "00", "ff", "agent:", "user:", "global:", "key:", "GMT",
            "Mon, ", "2026", "0",
        ])
    },
    frame: None,
    bytes_max: 4 << 10,
    short: 4_000,
    run: words,
};

pub const EDIT: Target = Target {
    name: "edit",
    about: "two texts are measured against each other: nothing changed is nothing, the measure is a share, the difference is one",
    form: Form::Plain,
    seeds: || {
        texts(&[
            "# Title\n\nOne line.\nTwo lines.\n\u{1}# Title\n\nOne line more.\nTwo lines.\n",
            "a b c\u{1}a c",
            "\u{1}",
            "x\n\u{1}",
            "\u{feff}é\r\nß\u{1}é\nss\r",
        ])
    },
    words: || owned(&["\u{1}", "\n", " ", "a\n", "# ", "- ", "é", "word "]),
    frame: None,
    bytes_max: 12 << 10,
    short: 500,
    run: edits,
};

pub const CONFIG: Target = Target {
    name: "config",
    about: "a file of the configuration with an environment and flags: loaded, or every fault at a line of the file, two times the same",
    form: Form::Plain,
    seeds: configs,
    words: config_words,
    frame: None,
    bytes_max: 12 << 10,
    short: 300,
    run: config,
};

fn conditions() -> Vec<Vec<u8>> {
    let facts = br#"{"steps": {"fetch": {"rows": [1, 2, {"v": 7}], "note": "ok"}, "a": null}, "parameters": {"n": 3, "s": "x", "f": 0.5}, "item": {"t": "u"}, "index": 1, "run": {"id": "r"}}"#;
    let all = [
        "size(steps.fetch.rows) > 0 && parameters.n == 3",
        "steps.fetch.rows.exists(r, r == 2) ? true : has(steps.a.b)",
        "parameters.s.matches('^[a-z]+$') || item.t in ['u', \"v\"]",
        "steps.fetch.rows.filter(r, type(r) == int).map(r, r * 2)[0] == 2",
        "{'a': 1}.a == 1 && !(-parameters.n < 0.5)",
        "steps.fetch.rows.all(a, steps.fetch.rows.all(b, a != b || a == b))",
    ];
    all.iter().map(|condition| with_head(condition, facts)).collect()
}

fn condition(input: &[u8]) -> String {
    static CEL: LazyLock<Cel> = LazyLock::new(Cel::new);
    let (condition, rest) = headed(input);
    let facts: Json = serde_json::from_slice(rest).unwrap_or(json!({"steps": {"a": [1, 2]}}));
    let names = expressions::names(&condition);
    let answer = CEL.holds(&condition, &facts);
    assert_eq!(CEL.holds(&condition, &facts), answer, "asked twice it answers the same");
    for why in [names.as_ref().err(), answer.as_ref().err()].into_iter().flatten() {
        assert!(why.len() < 2_000, "{} bytes are no message", why.len());
    }
    match (names, answer) {
        (Err(why), Err(_)) => why,
        (Err(why), Ok(_)) => panic!("it is refused ({why}) and answered"),
        (Ok(names), answer) => format!("{} {answer:?}", names.roots.len()),
    }
}

struct Facts(Json);

impl Scope for Facts {
    fn root(&self, name: &str) -> Option<Json> {
        self.0.get(name).cloned()
    }

    fn step(&self, id: &str) -> Option<Json> {
        self.0.get("steps")?.get(id).cloned()
    }
}

fn templates() -> Vec<Vec<u8>> {
    let scope = json!({"n": 3, "big": "x".repeat(2_000), "steps": {"fetch": {"rows": [1, {"a b": 2}], "note": "ok"}}});
    let all = [
        json!("{{ n }}"),
        json!("n={{ n }} ${n} {{ steps.fetch.note }}"),
        json!({"a": ["{{ steps.fetch.rows[1][\"a b\"] }}", "{{ big }}{{ big }}"]}),
        json!("never {{ closed"),
        json!({"mapped": "$.steps.fetch.rows[0]", "all": "$", "no": "$x"}),
        json!(["{{ none.x }}", "{{ n + 1 }}", "{{}}"]),
    ];
    all.iter().map(|template| json!({"template": template, "scope": scope}).to_string().into_bytes()).collect()
}

fn template(input: &[u8]) -> String {
    let given: Json =
        serde_json::from_slice(input).unwrap_or_else(|_| json!({"template": String::from_utf8_lossy(input)}));
    let (template, scope) = (&given["template"], Facts(given["scope"].clone()));
    let mut said = String::new();
    for reference in references(template) {
        match reference {
            Ok(path) => {
                let shown = path.to_string();
                assert_eq!(Path::parse(&shown).as_ref(), Ok(&path), "{shown:?} says itself again");
                said.push('p');
            }
            Err(error) => said.push_str(error.why.get(..9).unwrap_or("?")),
        }
    }
    let room = || Room::VALUE.within(&Room::DECISION);
    match render_within(template, &scope, &mut room()) {
        Ok(made) => {
            assert!(room().take_value(&made.value, 0).is_ok(), "what was made has no room");
            let read: Result<Json, _> = serde_json::from_str(&made.value.to_string());
            assert!(read.is_ok_and(|read| read == made.value), "what was made can be read");
            said.push_str(&kind(&made.value));
        }
        Err(error) => said.push_str(&error.to_string()),
    }
    if let Some(text) = template.as_str() {
        let _ = render_to_text(text, &scope, &mut room());
        let _ = mapped_parts(text);
    }
    let mapped = map_output(template, &scope.0);
    said + &kind(&mapped)
}

fn kind(value: &Json) -> String {
    match value {
        Json::Null => "null".to_owned(),
        Json::Bool(_) => "bool".to_owned(),
        Json::Number(number) => if number.is_f64() { "float" } else { "int" }.to_owned(),
        Json::String(text) => format!("text{}", text.len().min(9)),
        Json::Array(items) => format!("[{}]", items.iter().take(3).map(kind).collect::<String>()),
        Json::Object(fields) => format!("{{{}}}", fields.values().take(3).map(kind).collect::<String>()),
    }
}

fn json_value(input: &[u8]) -> String {
    let Ok(value) = serde_json::from_slice::<Json>(input) else { return "no JSON".to_owned() };
    let text = canonical(&value);
    let read: Json = serde_json::from_str(&text).expect("a canonical text is JSON");
    assert_eq!(read, value, "a canonical text reads as the value");
    assert_eq!(canonical(&read), text, "there is one canonical text");
    assert_eq!(fingerprint(&read), fingerprint(&value));
    let mut merged = value.clone();
    merge(&mut merged, &value);
    assert_eq!(merged, value, "a value laid over itself is itself");
    if let Json::Object(fields) = &value {
        for (name, field) in fields {
            assert_eq!(value.pointer(&pointer_to(name)), Some(field), "the pointer to {name:?} leads there");
        }
    }
    let fits = Room::VALUE.clone().take_value(&value, 0);
    kind(&value) + &fits.map_or_else(|error| error.to_string(), |()| String::new())
}

fn words(input: &[u8]) -> String {
    let text = String::from_utf8_lossy(input);
    let text = text.as_ref();
    let mut said = String::new();
    if let Some(seconds) = duration::parse(text) {
        assert_eq!(duration::parse(&duration::render(seconds)), Some(seconds), "a duration is the same again");
        said.push_str("duration ");
    }
    if let Ok(id) = text.parse::<RunId>() {
        assert_eq!(id.to_string().parse::<RunId>().ok(), Some(id), "an id is the same again");
        said.push_str("id ");
    }
    if let Some(kind) = StreamKind::parse(text) {
        assert_eq!(kind.as_str(), text);
    }
    if let Some((step, nth)) = instance_of(text) {
        assert_eq!(instance_id(step, nth), text, "an instance is the same again");
        said.push_str("instance ");
    }
    if let Some(key) = LimitKey::parse(text) {
        assert_eq!(LimitKey::parse(&key.to_string()), Some(key), "the key of a limit is the same again");
        said.push_str("limit ");
    }
    if let Some(link) = parse_traceparent(text) {
        assert!(link.trace_id != [0; 16] && link.span_id != [0; 8]);
        said.push_str("traceparent ");
    }
    if let Some(ms) = nightshift_effects::fuzz::retry_after(text, NOW) {
        said.push_str(if ms == 0 { "now " } else { "later " });
    }
    if let Ok(hash) = nightshift_api::auth::api_key::parse_hash(text) {
        let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, text.to_ascii_lowercase(), "a hash is the same again");
        said.push_str("hash ");
    }
    let (markdown, line, excerpt) = nightshift_effects::fuzz::read_text("notes.txt", text);
    assert!(!line.contains(['\n', '\r', '\t']), "{line:?} is one line");
    assert!(excerpt.chars().count() <= 81, "{excerpt:?} is an excerpt");
    said.push_str(if markdown { "markdown" } else { "plain" });
    said
}

fn edits(input: &[u8]) -> String {
    let text = String::from_utf8_lossy(input);
    let (draft, edited) = text.split_once('\u{1}').unwrap_or((&text, &text));
    let measure = edit::measure(draft, edited);
    let same = edit::measure(draft, draft);
    assert_eq!(same, edit::measure(edited, edited), "nothing changed is nothing, whatever the text");
    let difference = edit::unified_diff(draft, edited, ("a", "b"));
    if draft == edited {
        assert_eq!(measure, same);
        assert_eq!(difference, "", "there is no difference");
    }
    difference.lines().take(12).map(|line| line.get(..1).unwrap_or(" ")).collect()
}

fn configs() -> Vec<Vec<u8>> {
    let example = String::from_utf8(file("ops/nightshift.example.toml")).expect("text");
    // The example says every key as a comment.
    let plain: String = example
        .lines()
        .map(|line| line.strip_prefix('#').unwrap_or(line))
        .filter(|line| line.contains('=') || line.starts_with('['))
        .map(|line| format!("{}\n", line.trim()))
        .collect();
    let layered = "[store]\nurl = \"postgres://u:p@h/db\"\n[http]\nlisten = \"127.0.0.1:0\"\n\u{1}NIGHTSHIFT_STORE_URL=sqlite:x.db\nHOME=/h\n\u{1}queue.places=4\nstore.url=x\n";
    texts(&[&example, &plain, layered, "store = 1\n", "[queue]\nplaces = -1\nplaces = 2\n"])
}

fn config_words() -> Vec<String> {
    let keys = nightshift::config::KEYS.iter().flat_map(|key| [key.path.to_owned(), key.variable()]);
    let more = [
        "\u{1}",
        "=",
        "[",
        "]",
        "\"",
        "'''",
        "\n",
        "true",
        "64 MiB",
        "1h30m",
        "sqlite:",
        "postgres://u:p@h:1/d?x=y",
        "127.0.0.1:0",
        "[::1]:9",
        "0.5",
        "1979-05-27",
    ];
    keys.chain(owned(&more)).collect()
}

fn config(input: &[u8]) -> String {
    let text = String::from_utf8_lossy(input);
    let mut parts = text.split('\u{1}');
    let file = parts.next().unwrap_or_default();
    let pairs = |part: Option<&str>| -> Vec<(String, String)> {
        let lines = part.unwrap_or_default().lines().filter_map(|line| line.split_once('='));
        lines.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    };
    let env: BTreeMap<String, String> = pairs(parts.next()).into_iter().collect();
    let flags = pairs(parts.next());
    let flags: Vec<(&str, &str)> = flags.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    let load = || Config::load(Some(("n.toml", file)), &env, &flags);
    match load() {
        Ok(loaded) => {
            let again = load().expect("loaded again");
            let shown = |loaded: &nightshift::config::Loaded| {
                loaded
                    .settings
                    .iter()
                    .map(|setting| format!("{}={}", setting.key, setting.value))
                    .collect::<Vec<_>>()
                    .join("\n")
            };
            assert_eq!(shown(&loaded), shown(&again), "loaded again it is the same");
            format!("loaded {} {}", loaded.warnings.len(), flags.len())
        }
        Err(faults) => {
            let lines = file.split('\n').count();
            for fault in &faults.0 {
                assert!(
                    !fault.file.contains("n.toml") || fault.line as usize <= lines + 1,
                    "{fault}: the file has {lines} lines"
                );
            }
            assert_eq!(faults.to_string(), load().map(|_| ()).expect_err("refused again").to_string());
            faults
                .0
                .iter()
                .take(3)
                .map(|fault| fault.path.clone() + fault.allowed.get(..20).unwrap_or_default())
                .collect()
        }
    }
}

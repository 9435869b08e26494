//! Documents that people write: workflows, tests of workflows, orders, schedules, cron lines.
//!
//! Owns: that a fault points into the document, that what was accepted is written and read as the same, that an accepted
//! plan can be run and an accepted schedule asked for its instants. Refuses to know: what a document is for.

use std::sync::LazyLock;

use nightshift_domain::{
    calendar::{Calendar as _, CatchUp, Overlap, Rule, Schedule},
    codec,
    definition::Document,
    json::Json,
    run,
    time::Timestamp,
};
use nightshift_replay::trial as tried;
use nightshift_spec::{
    Faults,
    cron::Cron,
    order_file::{self, PathKind},
    schedule,
    trial::{self, Script},
    workflow,
};
use serde_json::json;

use super::{CALENDAR, NOW, file, files, owned, texts};
use crate::{Target, trees::Form};

pub const WORKFLOW: Target = Target {
    name: "workflow",
    about: "every fault points into the document; an accepted one is the same when read again, and its plan can be run to an end",
    form: Form::Json,
    seeds: workflows,
    words: workflow_words,
    frame: Some(("{\"steps\": [{\"id\": \"a\", \"set\": \"", "\"}]}")),
    bytes_max: 24 << 10,
    short: 500,
    run: workflow,
};

pub const TRIAL: Target = Target {
    name: "trial",
    about: "as `workflow`, for tests of workflows; an accepted one can be run and compared",
    form: Form::Json,
    seeds: trials,
    words: trial_words,
    frame: None,
    bytes_max: 16 << 10,
    short: 500,
    run: trial,
};

pub const ORDER: Target = Target {
    name: "order",
    about: "every fault points into the document; an accepted order is the same when written and read again",
    form: Form::Json,
    seeds: orders,
    words: order_words,
    frame: None,
    bytes_max: 16 << 10,
    short: 500,
    run: order,
};

pub const SCHEDULE: Target = Target {
    name: "schedule",
    about: "as `order`, for schedules; its instants rise, and the latest before one is the one before",
    form: Form::Json,
    seeds: schedules,
    words: order_words,
    frame: None,
    bytes_max: 4 << 10,
    short: 300,
    run: schedule,
};

pub const CRON: Target = Target {
    name: "cron",
    about: "a line of cron and a zone: refused, or its instants rise for ever, at minutes that it names",
    form: Form::Plain,
    seeds: || {
        texts(&[
            "0 18 * * SUN\nEurope/Berlin",
            "*/15 9-17 * * MON-FRI\nAmerica/New_York",
            "0 0 29 2 *\nUTC",
            "30 2 * * *\nEurope/Berlin",
            "59 23 31 12 7\nPacific/Apia",
            "0 0 1-7 * */7\nAfrica/Cairo",
            "1,2,3-9/2 0-23/7 13 * FRI\nAustralia/Lord_Howe",
            "* * * * *\nAsia/Kathmandu",
            "@daily",
            "0 0 30 2 *\nUTC",
            "0 7 * * * *",
        ])
    },
    words: || {
        owned(&[
            "*",
            "*/",
            "/",
            "-",
            ",",
            " ",
            "SUN",
            "jan",
            "FEB",
            "29",
            "31",
            "0",
            "7",
            "59",
            "23",
            "L",
            "W",
            "#",
            "?",
            "@daily",
            "TZ=",
            "\nUTC",
            "\nAmerica/Sao_Paulo",
            "\nAntarctica/Troll",
            "\nEurope/Dublin",
            "\nPacific/Kiritimati",
        ])
    },
    frame: None,
    bytes_max: 2 << 10,
    short: 400,
    run: cron,
};

fn words_of_schema() -> Vec<String> {
    fn walk(value: &Json, words: &mut Vec<String>) {
        match value {
            Json::Object(fields) => {
                for (name, field) in fields {
                    if let (true, Some(properties)) = (name == "properties", field.as_object()) {
                        words.extend(properties.keys().cloned());
                    }
                    if let (true, Some(list)) = (name == "enum", field.as_array()) {
                        words.extend(list.iter().filter_map(Json::as_str).map(str::to_owned));
                    }
                    walk(field, words);
                }
            }
            Json::Array(items) => items.iter().for_each(|item| walk(item, words)),
            _ => {}
        }
    }
    let mut words = Vec::new();
    walk(&workflow::schema(), &mut words);
    words.sort();
    words.dedup();
    words
}

fn workflow_words() -> Vec<String> {
    let more = [
        "{{ steps.a }}",
        "{{ steps.",
        "{{ item }}",
        "{{ x }}",
        "${x}",
        "{{",
        "}}",
        "$.rows[0]",
        "*",
        "&a ",
        "*a",
        "<<: ",
        "|\n",
        ">-\n",
        "? ",
        "!!binary ",
        "- ",
        ": ",
        "\n  ",
        "---\n",
        "#",
        "90s",
        "1h30m",
        "0",
        "size(steps.a) > 0",
        "a",
        "b",
        "c",
        "string[]",
    ];
    let mut words = words_of_schema();
    words.extend(owned(&more));
    words
}

/// YAML as JSON too, so that it can be changed as a tree.
fn both(text: &[u8]) -> Vec<Vec<u8>> {
    let yaml = String::from_utf8_lossy(text).into_owned();
    let tree: Option<Json> = serde_saphyr::from_str(&yaml).ok();
    let json = tree.map(|tree| tree.to_string().into_bytes());
    [Some(text.to_vec()), json].into_iter().flatten().collect()
}

fn workflows() -> Vec<Vec<u8>> {
    let mut inputs = Vec::new();
    for folder in ["crates/spec/tests/workflows", "tests/workflows"] {
        for path in files(folder, &[".yml", ".yaml"]) {
            if !path.to_string_lossy().contains(".test.") {
                inputs.extend(both(&crate::engine::read(&path)));
            }
        }
    }
    let readme = String::from_utf8(file("README.md")).expect("text");
    let yaml = readme.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next());
    inputs.extend(yaml.flat_map(|text| both(text.as_bytes())));
    let invalid: Json =
        serde_json::from_slice(&file("crates/spec/tests/workflows/invalid_definitions.json")).expect("JSON");
    let definitions = invalid.as_array().into_iter().flatten();
    inputs.extend(definitions.map(|one| one["definition"].to_string().into_bytes()));
    inputs
}

/// Faults that help: each names the file and a place in it, and says no more than the document has to say.
fn held(faults: &Faults, name: &str, text: &str) -> String {
    assert!(!faults.0.is_empty(), "it is refused without a fault");
    // Lines as YAML has them.
    let unified = text.replace("\r\n", "\n").replace('\r', "\n");
    let lines: Vec<usize> = unified.split('\n').map(|line| line.chars().count()).collect();
    for fault in &faults.0 {
        assert_eq!(fault.file, name, "{fault}");
        let (line, column) = (fault.line as usize, fault.column as usize);
        assert!(line <= lines.len() + 1, "{fault}: the document has {} lines", lines.len());
        let wide = line.checked_sub(1).and_then(|line| lines.get(line)).copied().unwrap_or(0);
        assert!(column <= wide + 1, "{fault}: the line has {wide} characters");
    }
    let said = faults.to_string();
    let most = (64 << 10) + 100 * text.len();
    assert!(said.len() <= most, "{} bytes of faults for {} bytes of document", said.len(), text.len());
    let about = |fault: &nightshift_spec::Fault| {
        format!("{} {}", fault.path, fault.allowed.get(..30).unwrap_or(&fault.allowed))
    };
    faults.0.iter().take(3).map(about).collect::<Vec<_>>().join("|")
}

fn read_workflow(text: &str) -> Result<Document, Faults> {
    let (max_parallel_default, max_parallel_cap) = (None, Some(8));
    let context =
        workflow::Context { calendar: &CALENDAR, now: NOW, owner: "ada", max_parallel_default, max_parallel_cap };
    workflow::parse(text, "w.yaml", &context)
}

fn workflow(input: &[u8]) -> String {
    let text = String::from_utf8_lossy(input);
    let document = match read_workflow(&text) {
        Ok(document) => document,
        Err(faults) => return held(&faults, "w.yaml", &text),
    };
    assert_eq!(read_workflow(&text).as_ref(), Ok(&document), "it is the same when read again");
    for (due, _) in document.schedules() {
        instants(due, NOW);
    }
    let script = match Script::plain(&document, &guessed(&document)) {
        Ok(script) => script,
        Err(faults) => return format!("parameters {}", faults.0.len().min(3)),
    };
    run_of(&document, &script)
}

/// A value for each parameter that wants one.
fn guessed(document: &Document) -> Json {
    let mut given = serde_json::Map::new();
    for parameter in document.parameters.iter().filter(|parameter| parameter.required) {
        let guesses = [json!("x"), json!(["x"]), json!(1), json!({"x": 1}), json!(true), json!([1])];
        let fits = parameter.one_of.first().or_else(|| guesses.iter().find(|guess| parameter.kind.admits(guess)));
        given.extend(fits.map(|guess| (parameter.name.clone(), guess.clone())));
    }
    Json::Object(given)
}

/// Runs an accepted plan under answers; what it told can be written.
fn run_of(document: &Document, script: &Script) -> String {
    let Ok(trial) = tried::run(document, script, &CALENDAR, ("ada", NOW)) else { return "not started".to_owned() };
    let mut said = String::new();
    for (_, event) in &trial.told {
        let encoded =
            codec::encode(nightshift_domain::ids::StreamKind::Run, event).expect("what happened can be written");
        let read = codec::decode::<run::Event>(
            nightshift_domain::ids::StreamKind::Run,
            &encoded.event_type,
            encoded.type_version,
            &encoded.data,
        );
        assert_eq!(read.as_ref(), Ok(event), "what happened is read as it was");
        said.push_str(encoded.event_type.get(4..).unwrap_or_default());
        said.push(' ');
    }
    let _ = tried::differences(&trial, &script.expectations);
    said
}

fn tested() -> &'static Document {
    static DOCUMENT: LazyLock<Document> = LazyLock::new(|| {
        let text = String::from_utf8(file("crates/spec/tests/workflows/own.yaml")).expect("text");
        read_workflow(&text).expect("the workflow that tests are about is accepted")
    });
    &DOCUMENT
}

fn trial_words() -> Vec<String> {
    let mut words: Vec<String> = tested().plan.steps.iter().map(|step| step.id.clone()).collect();
    words.extend(tested().parameters.iter().map(|parameter| parameter.name.clone()));
    let keys = [
        "parameters",
        "trigger",
        "steps",
        "expect",
        "output",
        "error",
        "class",
        "message",
        "status_code",
        "approval",
        "action",
        "by",
        "note",
        "modifications",
        "event",
        "payload",
        "correlation",
        "status",
        "attempts",
        "outputs",
        "order",
        "failure",
        "step",
        "result",
        "transient",
        "permanent",
        "timeout",
        "completed",
        "failed",
        "running",
        "continue",
        "abort",
        "retry",
        "each[0]",
        "each[9]",
    ];
    words.extend(owned(&keys));
    words
}

fn trials() -> Vec<Vec<u8>> {
    let own = String::from_utf8(file("tests/fuzz/corpus/trial/own.test.yaml")).expect("text");
    both(own.as_bytes())
}

fn trial(input: &[u8]) -> String {
    let text = String::from_utf8_lossy(input);
    match trial::parse(&text, "t.yaml", tested(), &json!({})) {
        Ok(script) => run_of(tested(), &script),
        Err(faults) => held(&faults, "t.yaml", &text),
    }
}

fn order_words() -> Vec<String> {
    let mut words: Vec<String> = schedule::KEYS.iter().map(|key| (*key).to_owned()).collect();
    let more = [
        "title",
        "description",
        "type",
        "strategy",
        "sources",
        "folder",
        "git",
        "feed",
        "include",
        "exclude",
        "branch",
        "schedule",
        "destination",
        "file",
        "email",
        "webhook",
        "governance",
        "semi_auto",
        "manual",
        "full_auto",
        "semi_auto_window",
        "notify",
        "recipient",
        "sections",
        "freshness_hours",
        "user",
        "daily",
        "weekdays",
        "weekly",
        "biweekly",
        "monthly",
        "monday",
        "sunday",
        "09:00",
        "24:00",
        "90s",
        "1h30m",
        "366d",
        "skip",
        "latest",
        "all",
        "buffer_one",
        "UTC",
        "Europe/Berlin",
        "*/5 * * * *",
        "2026-11-01T00:00:00Z",
        "9999-12-31T23:59:59Z",
        "-9999-01-01T00:00:00Z",
        "../x",
        "~/x",
        "https://a.b/c",
        "a@b.c",
        "env:X",
        "*",
    ];
    words.extend(owned(&more));
    words
}

fn orders() -> Vec<Vec<u8>> {
    let full = br#"title: "Weekly: status"
description: What changed.
type: weekly_status
strategy: hybrid
freshness_hours: 24
recipient: Ann
sections: [Done, "Next: up"]
sources:
  - folder: notes
    include: ["**/*.md"]
    exclude: ["drafts/**"]
  - git: orders
    branch: main
  - feed: https://example.org/feed.xml
  - description: "a fixed: text"
schedule: {frequency: weekly, day: monday, time: "09:00", timezone: Europe/Berlin, catch_up: all, jitter: 5m}
destination:
  email: [ann@example.org, bob@example.org]
governance: semi_auto
semi_auto_window: 2h
notify: [ann@example.org]
"#;
    let readme = String::from_utf8(file("README.md")).expect("text");
    let first = readme.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap_or_default();
    let mut inputs = both(full);
    inputs.extend(both(first.as_bytes()));
    for destination in ["{file: out}", "{webhook: 'https://a.b/c', secret: 'env:X'}"] {
        let text = format!(
            "title: t\nsources: [{{feed: 'https://a.b/c'}}]\nschedule: {{every: 90m}}\ndestination: {destination}\n"
        );
        inputs.extend(both(text.as_bytes()));
    }
    inputs
}

fn order(input: &[u8]) -> String {
    let text = String::from_utf8_lossy(input);
    let probe = |path: &str| match path.len() % 5 {
        _ if path.ends_with("/orders") => PathKind::Repository,
        0 => PathKind::Missing,
        1 => PathKind::File,
        _ => PathKind::Folder,
    };
    let (base_dir, calendar) = ("/srv/ordersx", &*CALENDAR);
    let context = order_file::Context { file: "o.yaml", base_dir, probe: &probe, calendar, now: NOW };
    let read = match order_file::parse(&text, &context) {
        Ok(read) => read,
        Err(faults) => return held(&faults, "o.yaml", &text),
    };
    let written = order_file::order_to_yaml(&read.order);
    match order_file::parse(&written, &context) {
        Ok(again) => assert_eq!(again.order, read.order, "written and read again it is the same\n{written}"),
        Err(faults) => panic!("what was accepted and written is refused: {faults}\n{written}"),
    }
    if let Some(due) = &read.order.schedule {
        instants(due, NOW);
    }
    // What an order says is written line by line, so the keys say what was read.
    written.lines().filter_map(|line| line.split(':').next()).collect::<Vec<_>>().join(",")
}

fn schedules() -> Vec<Vec<u8>> {
    let vectors: Json = serde_json::from_slice(&file("crates/spec/tests/data/schedule_vectors.json")).expect("JSON");
    let groups = vectors.as_object().into_iter().flat_map(serde_json::Map::values);
    let all = groups.filter_map(Json::as_array).flatten().filter_map(|vector| vector.get("schedule"));
    let mut inputs: Vec<Vec<u8>> = all.map(|schedule| schedule.to_string().into_bytes()).collect();
    inputs.extend(texts(&[
        "cron: \"*/15 9-17 * * MON-FRI\"\ntimezone: America/New_York\ncatch_up: all\ncatch_up_window: 2d\noverlap: buffer_one\n",
        "every: 90m\nanchor: 2026-01-01T00:00:00Z\njitter: 30s\n",
        "at: 2026-12-24T18:00:00\ntimezone: Europe/Berlin\n",
        "frequency: monthly\nday: friday\ntime: \"02:30\"\ntimezone: Europe/Berlin\n",
        "every: 1s\n",
    ]));
    inputs
}

fn schedule(input: &[u8]) -> String {
    let text = String::from_utf8_lossy(input);
    let read = match schedule::parse(&text, "s.yaml", &CALENDAR, NOW) {
        Ok(read) => read,
        Err(faults) => return held(&faults, "s.yaml", &text),
    };
    let written = schedule::render(&read).join("\n");
    match schedule::parse(&written, "s.yaml", &CALENDAR, NOW) {
        Ok(again) => assert_eq!(again, read, "written and read again it is the same\n{written}"),
        Err(faults) => panic!("what was accepted and written is refused: {faults}\n{written}"),
    }
    for from in [Timestamp(i64::MIN), Timestamp(0), NOW, Timestamp::from_secs(253_402_300_000), Timestamp(i64::MAX)] {
        instants(&read, from);
    }
    written.split('\n').filter_map(|line| line.split(':').next()).collect::<Vec<_>>().join(",")
}

/// So many are asked for.
const INSTANTS: usize = 20;

/// Instants of an accepted schedule rise, and each is the latest before the next.
fn instants(due: &Schedule, from: Timestamp) -> usize {
    let mut at = from;
    for nth in 0..INSTANTS {
        let Some(next) = CALENDAR.next_after(due, at).expect("an accepted schedule has instants") else { return nth };
        assert!(next > at, "{next:?} is not after {at:?}");
        assert_eq!(CALENDAR.latest_at(due, at, next), Ok(Some(next)), "the latest up to an instant is that instant");
        let before = Timestamp(next.micros() - 1);
        assert_eq!(CALENDAR.latest_at(due, at, before), Ok(None), "nothing is due between two that follow each other");
        at = next;
    }
    INSTANTS
}

fn cron(input: &[u8]) -> String {
    let text = String::from_utf8_lossy(input);
    let (expression, zone) = text.split_once('\n').unwrap_or((&text, "UTC"));
    if let Err(error) = Cron::parse(expression) {
        let said = error.to_string();
        assert!(said.len() < 2_000 + 4 * expression.len(), "{} bytes are no message", said.len());
        return error.allowed;
    }
    let rule = Rule::Cron { expression: expression.to_owned() };
    let (catch_up, overlap) = (CatchUp::Latest, Overlap::Skip);
    let schedule =
        Schedule { rule, timezone: zone.trim().to_owned(), catch_up, catch_up_window_s: None, overlap, jitter_s: 0 };
    if CALENDAR.zone(zone.trim()).is_err() {
        let error = CALENDAR.next_after(&schedule, NOW).expect_err("there is no such zone").to_string();
        assert!(error.len() < 1_000 + 8 * zone.len(), "{} bytes are no message", error.len());
        return "no zone".to_owned();
    }
    for from in [Timestamp(0), NOW, Timestamp::from_secs(4_102_444_800)] {
        assert_eq!(instants(&schedule, from), INSTANTS, "a line that was accepted never ends");
    }
    let fields = expression
        .split_ascii_whitespace()
        .map(|field| field.chars().filter(|c| !c.is_ascii_digit()).collect::<String>());
    fields.collect::<Vec<_>>().join(" ")
}

//! What stands in the log and in the tables beside it: events, commands, kept values, pages of events.
//!
//! Owns: that bytes are refused or read, that what was read is written the same way for ever, and that an error names what
//! was read. Refuses to know: what an event means ([`super::history`] asks that).

use nightshift_domain::{
    bulk, codec,
    content::Material,
    decider::{Delta, Obligation, RecordedCtx},
    definition, deliverable,
    ids::ShardId,
    queue,
    recorded::Meta,
    run, schedule, source,
    streams::{AnyCommand, AnyEvent},
    topic,
};
use nightshift_replay::Fixture;

use super::{files, folders, headed, owned, with_head};
use crate::{Target, trees::Form};

pub const EVENT: Target = Target {
    name: "event",
    about: "a payload of any version decodes or is refused by name; decoded, encoded and decoded again it is the same",
    form: Form::Pack,
    seeds: events,
    words: names,
    frame: None,
    bytes_max: 32 << 10,
    short: 2_000,
    run: event,
};

pub const COMMAND: Target = Target {
    name: "command",
    about: "as `event`, for commands",
    form: Form::Pack,
    seeds: commands,
    words: names,
    frame: None,
    bytes_max: 32 << 10,
    short: 1_500,
    run: command,
};

pub const KEPT: Target = Target {
    name: "kept",
    about: "states, obligations, deltas, contexts, metadata and material: decoded, encoded and decoded again they are the same",
    form: Form::Pack,
    seeds: kept_ones,
    words: names,
    frame: None,
    bytes_max: 64 << 10,
    short: 1_000,
    run: kept,
};

pub const PAGE: Target = Target {
    name: "page",
    about: "a page of events as SQLite hands it over is taken apart or refused; no event comes of bytes that are not there",
    form: Form::Plain,
    seeds: pages,
    words: page_words,
    frame: None,
    bytes_max: 16 << 10,
    short: 1_500,
    run: page,
};

/// Names of facts and verbs, and of fields that many have.
pub fn names() -> Vec<String> {
    let kinds = nightshift_domain::ids::StreamKind::ALL;
    let all = kinds.iter().flat_map(|kind| {
        let facts = codec::facts(*kind).iter().map(|fact| format!("{}.{fact}", kind.as_str()));
        facts.chain(codec::verbs(*kind).iter().map(|verb| (*verb).to_owned())).chain([kind.as_str().to_owned()])
    });
    let fields =
        ["step", "attempt", "at", "reason", "by", "run", "output", "plan", "steps", "id", "due_at", "duty", " 1"];
    all.chain(owned(&fields)).collect()
}

/// Golden payloads as `(name without version, version, bytes)`.
pub fn goldens() -> Vec<(String, String, Vec<u8>)> {
    let golden = |path: &std::path::PathBuf| {
        let name = path.file_name().expect("a name").to_string_lossy().replace(".msgpack", "");
        let (event_type, version) = name.rsplit_once(".v").expect("a version").to_owned();
        (event_type.to_owned(), version.to_owned(), crate::engine::read(path))
    };
    files("schema/events", &[".msgpack"]).iter().map(golden).collect()
}

fn events() -> Vec<Vec<u8>> {
    goldens().into_iter().map(|(name, version, data)| with_head(&format!("{name} {version}"), &data)).collect()
}

/// Golden commands.
pub fn golden_commands() -> Vec<Vec<u8>> {
    files("schema/events/commands", &[".msgpack"]).iter().map(|path| crate::engine::read(path)).collect()
}

fn commands() -> Vec<Vec<u8>> {
    golden_commands().iter().map(|data| with_head("command", data)).collect()
}

/// An error is short and says what was read.
fn refusal(error: &codec::DecodeError, names: &str) -> String {
    let text = error.to_string();
    assert!(text.contains(names) || text.contains(&format!("{names:?}")), "{text:?} does not name {names:?}");
    assert!(text.len() < 1_000 + 8 * names.len(), "{} bytes are no message: {text}", text.len());
    text
}

fn event(input: &[u8]) -> String {
    let (head, data) = headed(input);
    let (event_type, version) = head.rsplit_once(' ').unwrap_or((&head, "1"));
    let version = version.parse().unwrap_or(1);
    let read = |event_type: &str, version: u16, data: &[u8]| codec::decode_any(event_type, version, data);
    let decoded: AnyEvent = match read(event_type, version, data) {
        Ok(event) => event,
        Err(error) => return refusal(&error, event_type),
    };
    let once = codec::encode_any(&decoded).expect("what was decoded can be encoded");
    assert_eq!(once.event_type, event_type, "an event keeps its type");
    assert_eq!(once.type_version, codec::version_of(event_type), "it is written in the newest version");
    let again = read(&once.event_type, once.type_version, &once.data).expect("what was encoded can be decoded");
    let twice = codec::encode_any(&again).expect("what was decoded can be encoded");
    assert_eq!(once, twice, "decoded, encoded and decoded again it is the same");
    format!("{event_type} {}", shape(&once.data))
}

fn command(input: &[u8]) -> String {
    stable::<AnyCommand>("command", headed(input).1)
}

/// Reads a value, and holds it against itself written and read again.
fn stable<T: codec::Kept>(what: &str, data: &[u8]) -> String {
    let decoded: T = match codec::from_bytes(what, data) {
        Ok(decoded) => decoded,
        Err(error) => return refusal(&error, what),
    };
    let once = codec::to_bytes(&decoded).expect("what was decoded can be encoded");
    let again: T = codec::from_bytes(what, &once).expect("what was encoded can be decoded");
    assert_eq!(
        once,
        codec::to_bytes(&again).expect("encoded"),
        "{what}: decoded, encoded and decoded again it is the same"
    );
    format!("{what} {}", shape(&once))
}

/// What kinds of values there are in which order, for telling inputs apart.
fn shape(data: &[u8]) -> String {
    let tree = crate::trees::unpacked(data).unwrap_or(rmpv::Value::Nil);
    let mut out = String::new();
    shape_of(&tree, 0, &mut out);
    out
}

fn shape_of(tree: &rmpv::Value, depth: usize, out: &mut String) {
    if depth > 5 || out.len() > 300 {
        return;
    }
    match tree {
        rmpv::Value::Array(items) => {
            out.push('[');
            items.iter().take(2).for_each(|item| shape_of(item, depth + 1, out));
        }
        rmpv::Value::Map(entries) => {
            out.push('{');
            for (name, value) in entries {
                out.push_str(name.as_str().unwrap_or("?").get(..2).unwrap_or("?"));
                shape_of(value, depth + 1, out);
            }
        }
        rmpv::Value::Nil => out.push('0'),
        rmpv::Value::String(_) => out.push('s'),
        _ => out.push('n'),
    }
}

type Kept = (&'static str, fn(&str, &[u8]) -> String);

const KINDS: [Kept; 13] = [
    ("state of deliverable", stable::<deliverable::State>),
    ("state of run", stable::<run::State>),
    ("state of schedule", stable::<schedule::State>),
    ("state of source", stable::<source::State>),
    ("state of definition", stable::<definition::State>),
    ("state of topic", stable::<topic::State>),
    ("state of queue", stable::<queue::State>),
    ("state of bulk", stable::<bulk::State>),
    ("delta", stable::<Delta>),
    ("material", stable::<Material>),
    ("meta", stable::<Meta>),
    ("obligation", stable::<Obligation>),
    ("context", stable::<RecordedCtx>),
];

fn kept(input: &[u8]) -> String {
    let (head, data) = headed(input);
    let fits = |kind: &&Kept| kind.0 == head;
    let (what, read) = KINDS.iter().find(fits).unwrap_or(&KINDS[head.len() % KINDS.len()]);
    read(what, data)
}

/// What the recorded incidents keep, and the last states of their streams.
fn kept_ones() -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for folder in folders("replay-fixtures") {
        let fixture = Fixture::read_dir(&folder).expect("a fixture of the tree");
        let mut some = |what: &str, data: Vec<u8>| all.push(with_head(what, &data));
        for event in fixture.events.iter().step_by(7).take(6) {
            some("meta", codec::to_bytes(&event.meta).expect("encoded"));
        }
        for command in fixture.commands.iter().step_by(5).take(12) {
            some("delta", command.record.delta.clone());
            some("context", command.record.ctx.clone());
        }
        for owed in &fixture.obligations {
            some("obligation", codec::to_bytes(&owed.obligation).expect("encoded"));
        }
        for content in fixture.blobs.values().filter(|content| content.len() < 16 << 10) {
            if codec::from_bytes::<Material>("material", content).is_ok() {
                some("material", content.clone());
            }
        }
    }
    all.extend(super::history::states());
    let mut seen = std::collections::BTreeSet::new();
    all.retain(|input| seen.insert(input.clone()));
    all
}

fn page_words() -> Vec<String> {
    owned(&[
        "\n",
        " ",
        "run",
        "run.created",
        "bulk",
        "deliverable",
        "4294967296",
        "-1",
        "18446744073709551615",
        "0 0\n",
    ])
}

fn pages() -> Vec<Vec<u8>> {
    let meta = codec::to_bytes(&Meta::default()).expect("encoded");
    let framed = |seq: u64, data: &[u8]| {
        let line = format!("{seq} 1 1 9 3 -5 run run.created {} {}\n", meta.len(), data.len());
        [line.as_bytes(), &[1; 16], &[2; 16], &meta, data].concat()
    };
    vec![framed(1, b"abcd"), [framed(1, b"\n\0 x"), framed(2, b""), framed(3, &[0; 40])].concat(), Vec::new()]
}

fn page(input: &[u8]) -> String {
    match nightshift_store::sqlite::events_of(ShardId(7), input) {
        Ok(events) => {
            let bytes: usize = events.iter().map(|event| event.data.len() + 32).sum();
            assert!(bytes <= input.len(), "{bytes} bytes of events came of {} bytes", input.len());
            format!("{} events", "e".repeat(events.len().min(9)))
        }
        Err(error) => error.to_string(),
    }
}

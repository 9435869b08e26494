//! The promise of the log's format: what was written once is read for ever.
//!
//! `UPDATE=1 cargo test -p nightshift-domain codec` writes golden files that are missing and the catalogue. It never
//! changes a golden file, and refuses a changed one.

mod draw;
mod draw_bulk;
mod draw_queue;
mod draw_runs;
mod draw_workflows;
mod streams;

use std::{collections::BTreeSet, fs, path::PathBuf};

use proptest::prelude::*;
use serde::{
    Deserializer,
    de::{MapAccess, Visitor},
};

use self::draw::Draw;
use super::*;
use crate::{
    content::{Failure, FailureClass},
    ids::derive,
    time::Timestamp,
};

fn folder() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../schema/events"))
}

#[expect(clippy::disallowed_methods, reason = "whoever runs the tests asks for new golden files")]
fn updating() -> bool {
    std::env::var_os("UPDATE").is_some()
}

/// Writes what is missing, when asked to; reads it.
fn golden(name: &str, fresh: impl FnOnce() -> Vec<u8>) -> Vec<u8> {
    let path = folder().join(name);
    if updating() && !path.exists() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, fresh()).unwrap();
    }
    fs::read(&path).unwrap_or_else(|error| panic!("{name}: {error}; UPDATE=1 writes what is missing"))
}

/// `kind.fact` of every event, with the version it is written in.
fn event_types() -> Vec<(String, u16)> {
    let names = StreamKind::ALL
        .into_iter()
        .flat_map(|kind| facts(kind).iter().map(move |fact| format!("{}.{fact}", kind.as_str())));
    names.map(|name| (name.clone(), version_of(&name))).collect()
}

/// An example of each form that is no longer written, as the program of its time wrote it.
fn old_forms() -> Vec<(&'static str, u16, Vec<u8>)> {
    #[derive(Serialize)]
    struct AttemptFailed {
        step: String,
        attempt: u32,
        failure: Failure,
        retry_at: Option<Timestamp>,
    }
    #[derive(Serialize)]
    struct Skipped {
        target: crate::ids::StreamId,
        from: Timestamp,
        upto: Timestamp,
        count: u32,
        count_is_bound: bool,
        reason: schedule::SkipReason,
        next_due: Option<Timestamp>,
    }
    let failure = Failure { retry_after_ms: Some(5_000), ..Failure::new(FailureClass::RateLimited, "busy") };
    let (from, upto) = (Timestamp::from_secs(60), Timestamp::from_secs(180));
    let target = crate::testing::the_deliverable().stream();
    let reason = schedule::SkipReason::CatchUpLatest;
    let next_due = Some(Timestamp::from_secs(240));
    let failed = AttemptFailed { step: "deliver".to_owned(), attempt: 2, failure, retry_at: Some(upto) };
    let skipped = Skipped { target, from, upto, count: 3, count_is_bound: false, reason, next_due };
    vec![("run.attempt_failed", 1, write(&failed).unwrap()), ("schedule.skipped", 1, write(&skipped).unwrap())]
}

/// Every form there is: type, version, an example.
fn forms() -> Vec<(String, u16, Vec<u8>)> {
    let old = old_forms().into_iter().map(|(name, version, data)| (name.to_owned(), version, data));
    let new = Draw::new(1, true).events().into_iter().map(|event| {
        let Encoded { event_type, type_version, data } = encode_any(&event).unwrap();
        (event_type, type_version, data)
    });
    let mut forms: Vec<_> = old.chain(new).collect();
    forms.sort();
    forms
}

#[test]
fn every_form_of_every_type_has_a_golden_file_and_decodes_for_ever() {
    let forms = forms();
    let have: BTreeSet<(String, u16)> = forms.iter().map(|(name, version, _)| (name.clone(), *version)).collect();
    let need = event_types().into_iter().flat_map(|(name, newest)| (1..=newest).map(move |v| (name.clone(), v)));
    assert_eq!(have, need.collect(), "an example of each form, and of none that is not one");
    for (name, version, example) in forms {
        let bytes = golden(&format!("{name}.v{version}.msgpack"), || example);
        let event = decode_any(&name, version, &bytes).unwrap();
        let again = encode_any(&event).unwrap();
        assert_eq!((&again.event_type, again.type_version), (&name, version_of(&name)));
        if version == version_of(&name) {
            assert_eq!(
                again.data, bytes,
                "{name} is written in another form now: raise its version and keep the old one"
            );
        }
        assert_eq!(decode_any(&name, again.type_version, &again.data).unwrap(), event);
    }
}

#[test]
fn no_golden_file_lies_about_that_is_not_read() {
    let mut known: BTreeSet<String> =
        forms().into_iter().map(|(name, version, _)| format!("{name}.v{version}.msgpack")).collect();
    known.extend(["catalogue.md".to_owned(), "commands".to_owned()]);
    let found: BTreeSet<String> =
        fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(found.difference(&known).collect::<Vec<_>>(), Vec::<&String>::new(), "a type was removed or renamed");
}

#[test]
fn every_command_has_a_golden_file_and_decodes_for_ever() {
    let commands = Draw::new(2, true).commands();
    let verb = |command: &AnyCommand| {
        let word = match command {
            AnyCommand::Deliverable(command) => crate::testing::word(command),
            AnyCommand::Run(command) => crate::testing::word(command),
            AnyCommand::Schedule(command) => crate::testing::word(command),
            AnyCommand::Source(command) => crate::testing::word(command),
            AnyCommand::Definition(command) => crate::testing::word(command),
            AnyCommand::Topic(command) => crate::testing::word(command),
            AnyCommand::Queue(command) => crate::testing::word(command),
            AnyCommand::Bulk(command) => crate::testing::word(command),
        };
        format!("{}.{word}", command.kind().as_str())
    };
    let all = StreamKind::ALL.into_iter().flat_map(|kind| verbs(kind).iter().map(move |verb| (kind, *verb)));
    let all: BTreeSet<String> = all.map(|(kind, verb)| format!("{}.{verb}", kind.as_str())).collect();
    assert_eq!(commands.iter().map(verb).collect::<BTreeSet<_>>(), all);
    for command in &commands {
        let name = format!("commands/{}.msgpack", verb(command));
        let bytes = golden(&name, || to_bytes(command).unwrap());
        let kept = decode_command(&bytes).unwrap();
        assert_eq!(verb(&kept), verb(command));
        assert_eq!(to_bytes(&kept).unwrap(), bytes, "{name}: commands that were kept are read back by replay");
    }
}

#[test]
fn old_failures_are_read_as_what_they_were() {
    for (class, expected) in [
        (FailureClass::RateLimited, true),
        (FailureClass::Transient, false),
        (FailureClass::Permanent, false),
        (FailureClass::Lost, false),
    ] {
        let failure = Failure::new(class, "no");
        let retry_at = Some(Timestamp(7));
        let newest = run::Event::AttemptFailed { step: "a".to_owned(), attempt: 3, failure, retry_at, free: expected };
        let mut old = encode(StreamKind::Run, &newest).unwrap().data;
        assert_eq!(old[0], 0x85, "a map of five");
        old[0] = 0x84;
        old.truncate(old.len() - (1 + "free".len() + 1));
        assert_eq!(decode_any("run.attempt_failed", 1, &old).unwrap(), newest.into());
    }
}

#[test]
fn old_skips_say_that_the_zone_data_was_not_recorded() {
    let (_, _, old) = old_forms().remove(1);
    let AnyEvent::Schedule(schedule::Event::Skipped { count, tz_revision, .. }) =
        decode_any("schedule.skipped", 1, &old).unwrap()
    else {
        panic!("skipped")
    };
    assert_eq!((count, tz_revision.as_str()), (3, "not recorded"));
}

#[test]
fn what_cannot_be_read_says_why() {
    let unknown = |event_type: &str| DecodeError::UnknownType { event_type: event_type.to_owned() };
    for event_type in
        ["", "run", "run.", "run.exploded", "runs.created", "run.created.x", &format!("run.{}", "x".repeat(300))]
    {
        assert_eq!(decode_any(event_type, 1, &[0x80]), Err(unknown(event_type)));
    }
    let newer = |event_type: &str, found, known| {
        Err(DecodeError::NewerVersion { event_type: event_type.to_owned(), found, known })
    };
    assert_eq!(decode_any("run.completed", 2, &[0x80]), newer("run.completed", 2, 1));
    assert_eq!(decode_any("run.attempt_failed", 9, &[0x80]), newer("run.attempt_failed", 9, 2));
    let malformed = |version, data: &[u8]| match decode_any("run.step_queued", version, data) {
        Err(DecodeError::Malformed { what, why }) => format!("{what}: {why}"),
        other => panic!("{other:?}"),
    };
    assert!(malformed(1, &[0x80]).contains("missing field `step`"));
    assert!(malformed(0, &[0x80]).contains("no program ever wrote this version"));
    // A word of a newer program inside a known event is not an unknown event.
    let bad_word = b"\x82\xa5class\xa5weird\xa7message\xa1x";
    let error = decode_any("source.observation_failed", 1, bad_word).unwrap_err();
    assert!(error.to_string().starts_with("event source.observation_failed version 1 does not decode"), "{error}");
    // Bytes behind the payload are no payload.
    let Encoded { mut data, .. } =
        encode(StreamKind::Run, &run::Event::Completed { output: crate::json::Json::Null, inside: run::Places::new() })
            .unwrap();
    data.push(0xc0);
    let error = decode_any("run.completed", 1, &data).unwrap_err();
    assert!(error.to_string().ends_with("more bytes follow the value"), "{error}");
}

#[test]
fn facts_fit_the_one_byte_of_their_length() {
    for kind in StreamKind::ALL {
        for word in facts(kind).iter().chain(verbs(kind)) {
            assert!((1..32).contains(&word.len()), "{word}");
        }
        assert!(!facts(kind).is_empty() && !verbs(kind).is_empty());
    }
    assert_eq!(facts(StreamKind::Source)[..2], ["registered", "content_observed"]);
}

/// The fields of a payload, in order.
fn fields(data: &[u8]) -> Vec<String> {
    struct Keys;
    impl<'de> Visitor<'de> for Keys {
        type Value = Vec<String>;
        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("a map")
        }
        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Vec<String>, A::Error> {
            let mut keys = Vec::new();
            while let Some((key, IgnoredAny)) = map.next_entry()? {
                keys.push(key);
            }
            Ok(keys)
        }
    }
    rmp_serde::Deserializer::from_read_ref(data).deserialize_map(Keys).unwrap()
}

/// The first sentence of the comment on each variant of `enum Event`, in the order of the source.
fn docs(source: &str) -> Vec<String> {
    let body = source.split("pub enum Event {").nth(1).unwrap().split("\n}").next().unwrap();
    let lines = body.lines().filter_map(|line| line.strip_prefix("    /// "));
    lines.map(str::to_owned).collect()
}

fn doc_of(event_type: &str) -> String {
    let kind = StreamKind::parse(event_type.split('.').next().unwrap()).unwrap();
    let docs = docs(match kind {
        StreamKind::Deliverable => include_str!("../../deliverable/event.rs"),
        StreamKind::Run => include_str!("../../run/event.rs"),
        StreamKind::Schedule => include_str!("../../schedule/mod.rs"),
        StreamKind::Source => include_str!("../../source/mod.rs"),
        StreamKind::Definition => include_str!("../../definition/event.rs"),
        StreamKind::Topic => include_str!("../../topic/mod.rs"),
        StreamKind::Queue => include_str!("../../queue/mod.rs"),
        StreamKind::Bulk => include_str!("../../bulk/mod.rs"),
    });
    assert_eq!(docs.len(), facts(kind).len(), "each event of {kind:?} has one line of comment");
    let at = facts(kind).iter().position(|fact| event_type.ends_with(&format!(".{fact}"))).unwrap();
    docs[at].clone()
}

const HEADING: &str = "\
# Event catalogue

Every event type the log may hold, with each version of its payload. One golden file each, `<type>.v<version>.msgpack`,
is decoded by the tests for ever. Payloads are MessagePack maps with these fields. Written by
`UPDATE=1 cargo test -p nightshift-domain codec`; the digest shows that a golden file is the one that was committed.

| type | version | what it says | fields | digest |
|---|---|---|---|---|
";

#[test]
fn the_catalogue_lists_every_form_and_no_golden_file_changed() {
    let path = folder().join("catalogue.md");
    let old = fs::read_to_string(&path).unwrap_or_default();
    let mut fresh = HEADING.to_owned();
    for (name, version, example) in forms() {
        let bytes = golden(&format!("{name}.v{version}.msgpack"), || example);
        let digest = derive("golden", &[&bytes]).simple().to_string();
        let (doc, fields) = (doc_of(&name), fields(&bytes).join(", "));
        let row = format!("| `{name}` | {version} | {doc} | {fields} | `{}` |", &digest[..12]);
        let before = old.lines().find(|line| line.starts_with(&format!("| `{name}` | {version} |")));
        let same = before.is_none_or(|before| before.ends_with(&row[row.len() - 18..]));
        assert!(same, "{name}.v{version}.msgpack was changed: put it back and raise the version instead");
        fresh.push_str(&row);
        fresh.push('\n');
    }
    if updating() {
        fs::write(&path, &fresh).unwrap();
    }
    assert_eq!(fs::read_to_string(&path).unwrap_or_default(), fresh, "UPDATE=1 writes the catalogue");
}

proptest! {
    #[test]
    fn any_event_and_any_command_is_read_back_as_it_was(seed: u64, full: bool) {
        let mut draw = Draw::new(seed, full);
        for event in draw.events() {
            let Encoded { event_type, type_version, data } = encode_any(&event).unwrap();
            prop_assert_eq!(decode_any(&event_type, type_version, &data).unwrap(), event.clone());
            prop_assert_eq!(encode_any(&event).unwrap().data, data);
        }
        for command in draw.commands() {
            let bytes = to_bytes(&command).unwrap();
            prop_assert_eq!(decode_command(&bytes).unwrap(), command);
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(pick: usize, version in 0..4_u16, data in prop::collection::vec(any::<u8>(), 0..200)) {
        let types = event_types();
        let (name, _) = &types[pick % types.len()];
        let _any_outcome_but_a_panic = decode_any(name, version, &data);
        let _likewise = decode_command(&data);
    }

    #[test]
    fn damaged_payloads_never_panic(seed: u64, pick: usize, place: usize, byte: u8, cut: usize) {
        let events = Draw::new(seed, true).events();
        let Encoded { event_type, type_version, mut data } = encode_any(&events[pick % events.len()]).unwrap();
        let length = data.len();
        let short = decode_any(&event_type, type_version, &data[..cut % length]);
        prop_assert!(short.is_err(), "a part of a payload is no payload");
        data[place % length] = byte;
        let _any_outcome_but_a_panic = decode_any(&event_type, type_version, &data);
    }
}

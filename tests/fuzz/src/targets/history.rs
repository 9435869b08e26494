//! Histories that nobody had: events in any order and with any payload, and commands between them.
//!
//! Owns: that remembering is total, that a decision panics on no state, and that what was decided can be written and
//! remembered. Refuses to know: whether a decision is right; the stories of the domain ask that.

use std::collections::BTreeMap;

use nightshift_domain::{
    bulk::BulkDecider,
    codec,
    decider::{Ctx, Decider, decide_once},
    definition::DefinitionDecider,
    deliverable::DeliverableDecider,
    ids::{CommandId, StreamId, StreamKind, derive},
    queue::QueueDecider,
    run::{Reports, RunDecider},
    schedule::ScheduleDecider,
    source::SourceDecider,
    streams::AnyCommand,
    topic::TopicDecider,
};
use nightshift_replay::Fixture;
use nightshift_spec::Cel;
use rmpv::Value;

use super::{CALENDAR, NOW, folders, headed, with_head};
use crate::{Target, trees::Form};

pub const HISTORY: Target = Target {
    name: "history",
    about: "any events can be remembered in any order, a decision in between panics on none of them, and its events can be kept",
    form: Form::Pack,
    seeds,
    words: super::log::names,
    frame: None,
    bytes_max: 96 << 10,
    short: 500,
    run: live,
};

/// A list of `{"type": payload}` and `{"command": command}`; the line in front names the kind of stream.
fn live(input: &[u8]) -> String {
    let (head, rest) = headed(input);
    let Some(Value::Array(steps)) = crate::trees::unpacked(rest) else { return "no list".to_owned() };
    match StreamKind::parse(&head).unwrap_or(StreamKind::Run) {
        StreamKind::Deliverable => lived::<DeliverableDecider>(&steps).0,
        StreamKind::Run => lived::<RunDecider>(&steps).0,
        StreamKind::Schedule => lived::<ScheduleDecider>(&steps).0,
        StreamKind::Source => lived::<SourceDecider>(&steps).0,
        StreamKind::Definition => lived::<DefinitionDecider>(&steps).0,
        StreamKind::Topic => lived::<TopicDecider>(&steps).0,
        StreamKind::Queue => lived::<QueueDecider>(&steps).0,
        StreamKind::Bulk => lived::<BulkDecider>(&steps).0,
    }
}

fn bytes_of(value: &Value) -> Vec<u8> {
    let mut bytes = Vec::new();
    rmpv::encode::write_value(&mut bytes, value).expect("memory can be written");
    bytes
}

fn lived<D: Decider>(steps: &[Value]) -> (String, D::State) {
    let (mut state, mut said) = (D::State::default(), String::new());
    let stream = StreamId { kind: D::KIND, id: derive("fuzz", &[]) };
    let expressions = Cel::new();
    for (nth, step) in steps.iter().take(200).enumerate() {
        let Some((Some(name), value)) =
            step.as_map().and_then(|map| map.first()).map(|(name, value)| (name.as_str(), value))
        else {
            continue;
        };
        let now = NOW.plus_ms(nth as i64 * 1_000);
        let data = bytes_of(value);
        if name == "command" {
            let Ok(command) = codec::from_bytes::<D::Command>("command", &data) else { continue };
            let ctx = Ctx {
                stream,
                now,
                command_id: CommandId(derive("fuzz", &[&nth.to_be_bytes()])),
                shard_count: 8,
                calendar: &*CALENDAR,
                expressions: &expressions,
                reports: &Reports::default(),
            };
            match decide_once::<D>(&state, &command, &ctx) {
                Ok(decision) => {
                    let kept = decision.events.iter().map(|event| keep::<D>(event));
                    said.push_str(&kept.collect::<Vec<_>>().join(","));
                    codec::to_bytes(&decision.delta).expect("what is owed can be kept");
                    state = decision.after;
                }
                Err(rejection) => said.push_str(&rejection.to_string()),
            }
        } else {
            let version = codec::version_of(name);
            let Ok(event) = codec::decode::<D::Event>(D::KIND, name, version, &data) else { continue };
            let _ = D::obligations(stream, &state, &event, now);
            D::evolve(&mut state, &event, now);
        }
        said.push(';');
    }
    let _ = D::ended(&state);
    let once = codec::to_bytes(&state).expect("a state can be kept");
    let again: D::State = codec::from_bytes("state", &once).expect("a kept state can be read");
    assert_eq!(once, codec::to_bytes(&again).expect("encoded"), "a state is the same behind a snapshot");
    (said, state)
}

/// Writes and reads an event; its type.
fn keep<D: Decider>(event: &D::Event) -> String {
    let encoded = codec::encode(D::KIND, event).expect("what was decided can be written");
    let read = codec::decode::<D::Event>(D::KIND, &encoded.event_type, encoded.type_version, &encoded.data);
    assert_eq!(read.as_ref(), Ok(event), "what was decided is read as it was");
    encoded.event_type
}

/// A step of an input: a name, and MessagePack.
fn step(name: &str, data: &[u8]) -> Option<Value> {
    let value = crate::trees::unpacked(data)?;
    Some(Value::Map(vec![(Value::from(name), value)]))
}

/// The streams of the recorded incidents, as lists of what happened to them.
fn streams() -> BTreeMap<(StreamKind, usize, String), Vec<Value>> {
    let mut streams = BTreeMap::new();
    for folder in folders("replay-fixtures") {
        let fixture = Fixture::read_dir(&folder).expect("a fixture of the tree");
        for stream in fixture.streams() {
            let mut commands = fixture.commands.iter().filter(|command| command.stream == stream).peekable();
            let mut steps: Vec<Value> = Vec::new();
            for event in fixture.events.iter().filter(|event| event.stream == stream) {
                while let Some(command) = commands.next_if(|command| command.first_seq <= event.seq) {
                    steps.extend(step("command", &command.record.payload));
                }
                if event.type_version == codec::version_of(&event.event_type) {
                    steps.extend(step(&event.event_type, &event.data));
                }
            }
            streams.insert((stream.kind, steps.len(), stream.to_string()), steps);
        }
    }
    streams
}

fn seeds() -> Vec<Vec<u8>> {
    let mut inputs = Vec::new();
    let mut of_kind: BTreeMap<StreamKind, usize> = BTreeMap::new();
    for ((kind, _, name), steps) in streams() {
        let count = of_kind.entry(kind).or_default();
        *count += 1;
        let bytes = bytes_of(&Value::Array(steps));
        if *count <= 10 && bytes.len() < 48 << 10 && !name.is_empty() {
            inputs.push(with_head(kind.as_str(), &bytes));
        }
    }
    // Every golden event and command of a kind, one after the other.
    for kind in StreamKind::ALL {
        let mut steps: Vec<Value> = Vec::new();
        for (name, version, data) in super::log::goldens() {
            let current = version.parse() == Ok(codec::version_of(&name));
            if current && name.split('.').next() == Some(kind.as_str()) {
                steps.extend(step(&name, &data));
            }
        }
        for data in super::log::golden_commands() {
            let Ok(command) = codec::decode_command(&data) else { continue };
            if command.kind() == kind {
                steps.extend(step("command", &inner(&command)));
            }
        }
        inputs.push(with_head(kind.as_str(), &bytes_of(&Value::Array(steps))));
    }
    inputs
}

fn inner(command: &AnyCommand) -> Vec<u8> {
    let written = match command {
        AnyCommand::Deliverable(command) => codec::to_bytes(command),
        AnyCommand::Run(command) => codec::to_bytes(command),
        AnyCommand::Schedule(command) => codec::to_bytes(command),
        AnyCommand::Source(command) => codec::to_bytes(command),
        AnyCommand::Definition(command) => codec::to_bytes(command),
        AnyCommand::Topic(command) => codec::to_bytes(command),
        AnyCommand::Queue(command) => codec::to_bytes(command),
        AnyCommand::Bulk(command) => codec::to_bytes(command),
    };
    written.expect("a command can be written")
}

/// The last states of the seeds' streams, as inputs of the target for kept values.
pub fn states() -> Vec<Vec<u8>> {
    let state = |input: &Vec<u8>| -> Option<Vec<u8>> {
        let (head, rest) = headed(input);
        let Some(Value::Array(steps)) = crate::trees::unpacked(rest) else { return None };
        let data = match StreamKind::parse(&head)? {
            StreamKind::Deliverable => codec::to_bytes(&lived::<DeliverableDecider>(&steps).1),
            StreamKind::Run => codec::to_bytes(&lived::<RunDecider>(&steps).1),
            StreamKind::Schedule => codec::to_bytes(&lived::<ScheduleDecider>(&steps).1),
            StreamKind::Source => codec::to_bytes(&lived::<SourceDecider>(&steps).1),
            StreamKind::Definition => codec::to_bytes(&lived::<DefinitionDecider>(&steps).1),
            StreamKind::Topic => codec::to_bytes(&lived::<TopicDecider>(&steps).1),
            StreamKind::Queue => codec::to_bytes(&lived::<QueueDecider>(&steps).1),
            StreamKind::Bulk => codec::to_bytes(&lived::<BulkDecider>(&steps).1),
        };
        data.ok().map(|data| with_head(&format!("state of {head}"), &data))
    };
    seeds().iter().filter_map(state).collect()
}

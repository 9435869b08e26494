//! One stream of any kind while its history is read again.
//!
//! Owns: the one place where a stream kind becomes its decider. Everything above works on bytes and JSON.
//! Refuses to know: where commands and events come from, what a difference means.

use std::panic::{AssertUnwindSafe, catch_unwind};

use nightshift_domain::{
    bulk::BulkDecider,
    codec::{self, DecodeError, Encoded},
    decider::{Ctx, Decider, Delta, decide_once},
    definition::DefinitionDecider,
    deliverable::DeliverableDecider,
    ids::StreamKind,
    queue::QueueDecider,
    recorded::Recorded,
    run::RunDecider,
    schedule::ScheduleDecider,
    source::SourceDecider,
    streams::AnyEvent,
    topic::TopicDecider,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What a decider said when it was asked again, in the bytes it would have been kept in.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Decided {
    /// It was taken.
    pub accepted: bool,
    /// The events.
    pub events: Vec<Encoded>,
    /// The rejection; empty when taken.
    pub reply: Vec<u8>,
    /// What it opened and closed; empty when nothing.
    pub delta: Vec<u8>,
    /// The decider panicked, and said this.
    pub panic: Option<String>,
}

/// A rejection as it is kept beside the command. The same form as the shell's.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptRejection {
    why: String,
    facts: String,
}

nightshift_domain::kept!(KeptRejection);

/// A stream whose kind is known at run time.
pub trait Folding: Send {
    /// Decodes an event and remembers it.
    fn remember(&mut self, recorded: &Recorded) -> Result<(), DecodeError>;

    /// Decides an encoded command against what is remembered; nothing is remembered of it.
    fn decide(&self, payload: &[u8], ctx: &Ctx<'_>) -> Result<Decided, DecodeError>;

    /// An encoded command, readable.
    fn command_json(&self, payload: &[u8]) -> Result<Value, DecodeError>;

    /// A readable command, encoded.
    fn command_bytes(&self, command: Value) -> Result<Vec<u8>, DecodeError>;

    /// A readable event `{fact: payload}`, encoded in its newest version.
    fn event_bytes(&self, event: Value) -> Result<Encoded, DecodeError>;
}

/// A stream of this kind before its first event.
pub fn unborn(kind: StreamKind) -> Box<dyn Folding> {
    match kind {
        StreamKind::Deliverable => Box::new(Fold::<DeliverableDecider>::default()),
        StreamKind::Run => Box::new(Fold::<RunDecider>::default()),
        StreamKind::Schedule => Box::new(Fold::<ScheduleDecider>::default()),
        StreamKind::Source => Box::new(Fold::<SourceDecider>::default()),
        StreamKind::Definition => Box::new(Fold::<DefinitionDecider>::default()),
        StreamKind::Topic => Box::new(Fold::<TopicDecider>::default()),
        StreamKind::Queue => Box::new(Fold::<QueueDecider>::default()),
        StreamKind::Bulk => Box::new(Fold::<BulkDecider>::default()),
    }
}

struct Fold<D: Decider> {
    state: D::State,
}

impl<D: Decider> Default for Fold<D> {
    fn default() -> Self {
        Self { state: D::State::default() }
    }
}

impl<D: Decider> Folding for Fold<D> {
    fn remember(&mut self, recorded: &Recorded) -> Result<(), DecodeError> {
        let event = codec::decode::<D::Event>(D::KIND, &recorded.event_type, recorded.type_version, &recorded.data)?;
        D::evolve(&mut self.state, &event, recorded.at);
        Ok(())
    }

    fn decide(&self, payload: &[u8], ctx: &Ctx<'_>) -> Result<Decided, DecodeError> {
        let command = codec::from_bytes::<D::Command>("command", payload)?;
        match catch_unwind(AssertUnwindSafe(|| decide_once::<D>(&self.state, &command, ctx))) {
            Ok(Ok(decision)) => Ok(Decided {
                accepted: true,
                events: encode_all::<D>(&decision.events)?,
                delta: delta_bytes(&decision.delta)?,
                ..Decided::default()
            }),
            Ok(Err(rejection)) => {
                let facts = serde_json::to_string(&rejection).unwrap_or_default();
                let kept = KeptRejection { why: rejection.to_string(), facts };
                Ok(Decided { reply: codec::to_bytes(&kept)?, ..Decided::default() })
            }
            Err(panic) => {
                let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
                let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
                Ok(Decided { panic: Some(text), ..Decided::default() })
            }
        }
    }

    fn command_json(&self, payload: &[u8]) -> Result<Value, DecodeError> {
        json(&codec::from_bytes::<D::Command>("command", payload)?)
    }

    fn command_bytes(&self, command: Value) -> Result<Vec<u8>, DecodeError> {
        codec::to_bytes(&typed::<D::Command>("command", command)?)
    }

    fn event_bytes(&self, event: Value) -> Result<Encoded, DecodeError> {
        codec::encode(D::KIND, &typed::<D::Event>("event", event)?)
    }
}

fn encode_all<D: Decider>(events: &[D::Event]) -> Result<Vec<Encoded>, DecodeError> {
    events.iter().map(|event| codec::encode(D::KIND, event)).collect()
}

/// A delta as it is kept: nothing at all when it opens and closes nothing.
pub fn delta_bytes(delta: &Delta) -> Result<Vec<u8>, DecodeError> {
    if *delta == Delta::none() { Ok(Vec::new()) } else { codec::to_bytes(delta) }
}

/// A kept delta.
pub fn delta_of(bytes: &[u8]) -> Result<Delta, DecodeError> {
    if bytes.is_empty() { Ok(Delta::none()) } else { codec::from_bytes("delta", bytes) }
}

/// Any value of the domain, readable.
pub fn json<T: Serialize>(value: &T) -> Result<Value, DecodeError> {
    serde_json::to_value(value)
        .map_err(|error| DecodeError::Malformed { what: "value".to_owned(), why: error.to_string() })
}

/// A readable value, typed again.
pub fn typed<T: serde::de::DeserializeOwned>(what: &str, value: Value) -> Result<T, DecodeError> {
    serde_json::from_value(value)
        .map_err(|error| DecodeError::Malformed { what: what.to_owned(), why: error.to_string() })
}

/// The payload of an event, readable: what stands behind `{fact: ...}`.
pub fn event_json(recorded: &Recorded) -> Result<Value, DecodeError> {
    payload_json(&recorded.decode()?)
}

/// The payload of an event that was just encoded, readable.
pub fn encoded_json(encoded: &Encoded) -> Result<Value, DecodeError> {
    payload_json(&codec::decode_any(&encoded.event_type, encoded.type_version, &encoded.data)?)
}

fn payload_json(event: &AnyEvent) -> Result<Value, DecodeError> {
    let value = match event {
        AnyEvent::Deliverable(event) => json(event),
        AnyEvent::Run(event) => json(event),
        AnyEvent::Schedule(event) => json(event),
        AnyEvent::Source(event) => json(event),
        AnyEvent::Definition(event) => json(event),
        AnyEvent::Topic(event) => json(event),
        AnyEvent::Queue(event) => json(event),
        AnyEvent::Bulk(event) => json(event),
    }?;
    Ok(match value {
        Value::Object(fields) if fields.len() == 1 => fields.into_iter().next().map_or(Value::Null, |(_, data)| data),
        other => other,
    })
}

/// A rejection as it was kept, readable.
pub fn reply_json(bytes: &[u8]) -> Result<Value, DecodeError> {
    if bytes.is_empty() {
        return Ok(Value::Null);
    }
    json(&codec::from_bytes::<KeptRejection>("rejection", bytes)?)
}

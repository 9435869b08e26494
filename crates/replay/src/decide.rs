//! One recorded decision, made again and compared.
//!
//! Owns: the context of a decision as it was, the first difference, and its class.
//! Refuses to know: where the stream's history comes from; what is remembered of it (`folding`).

use nightshift_domain::{
    calendar::{Calendar, CalendarError, Schedule},
    codec::{self, DecodeError, Encoded},
    decider::{Ctx, RecordedCtx},
    expression::Expressions,
    ids::StreamKind,
    recorded::Recorded,
    time::Timestamp,
};
use nightshift_ports::log::RecordedCommand;
use serde_json::Value;

use crate::{
    folding::{Decided, Folding, delta_of, encoded_json, event_json, json, reply_json, unborn},
    replay::Options,
    report::{Class, Divergence},
};

/// The calendar of this program under the edition's name of then: only answers that differ are a difference.
struct Edition<'a> {
    calendar: &'a dyn Calendar,
    revision: &'a str,
}

impl Calendar for Edition<'_> {
    fn next_after(&self, schedule: &Schedule, after: Timestamp) -> Result<Option<Timestamp>, CalendarError> {
        self.calendar.next_after(schedule, after)
    }

    fn latest_at(
        &self,
        schedule: &Schedule,
        after: Timestamp,
        at: Timestamp,
    ) -> Result<Option<Timestamp>, CalendarError> {
        self.calendar.latest_at(schedule, after, at)
    }

    fn tz_revision(&self) -> &str {
        self.revision
    }
}

/// The verb of an encoded command: the one key of an externally tagged enum.
pub fn name_of(kind: StreamKind, payload: &[u8]) -> String {
    match unborn(kind).command_json(payload) {
        Ok(Value::Object(fields)) => fields.keys().next().cloned().unwrap_or_default(),
        Ok(Value::String(name)) => name,
        _ => "undecodable".to_owned(),
    }
}

/// Decides `payload` in the recorded context.
pub fn decide_as_then(
    fold: &dyn Folding,
    (command, payload): (&RecordedCommand, &[u8]),
    ctx: &RecordedCtx,
    (calendar, expressions): (&dyn Calendar, &dyn Expressions),
) -> Result<Decided, DecodeError> {
    let edition = Edition { calendar, revision: &ctx.tz_revision };
    let ctx = Ctx {
        stream: command.stream,
        now: ctx.now,
        command_id: command.record.id,
        shard_count: ctx.shard_count,
        calendar: &edition,
        expressions,
        reports: &ctx.reports,
    };
    fold.decide(payload, &ctx)
}

/// Makes a recorded decision again and compares it with what was recorded.
///
/// # Errors
/// Command, context or events do not decode.
pub fn replay_one(
    fold: &dyn Folding,
    command: &RecordedCommand,
    events: &[Recorded],
    options: &Options,
) -> Result<Option<Divergence>, DecodeError> {
    let ctx: RecordedCtx = codec::from_bytes("context", &command.record.ctx)?;
    let answers = (&*options.calendar, &*options.expressions);
    let question = (command, &command.record.payload[..]);
    let decided = decide_as_then(fold, question, &ctx, answers)?;
    let again = decide_as_then(fold, question, &ctx, answers)?;
    let Some(difference) = difference(command, events, &decided)? else {
        let repeatable = decided == again;
        return Ok((!repeatable).then(|| divergence(command, &ctx, Difference::unrepeatable(), options, true)));
    };
    Ok(Some(divergence(command, &ctx, difference, options, decided != again)))
}

/// The first place where recorded and computed differ.
struct Difference {
    part: String,
    path: String,
    recorded: Value,
    computed: Value,
    /// The recorded side is not what any decision writes.
    impossible: bool,
}

impl Difference {
    fn of(part: impl Into<String>, recorded: Value, computed: Value) -> Self {
        let (path, recorded, computed) = first_difference(&recorded, &computed).unwrap_or((
            "(encoding)".to_owned(),
            Value::from("other bytes for the same value"),
            Value::Null,
        ));
        let impossible = path == "(encoding)";
        Self { part: part.into(), path, recorded, computed, impossible }
    }

    fn unrepeatable() -> Self {
        Self::of("decision", Value::from("as computed first"), Value::from("another at the second time"))
    }
}

fn divergence(
    command: &RecordedCommand,
    ctx: &RecordedCtx,
    difference: Difference,
    options: &Options,
    unrepeatable: bool,
) -> Divergence {
    let class = match command.stream.kind {
        _ if unrepeatable => Class::Nondeterminism,
        _ if difference.impossible => Class::Corrupt,
        _ if options.shard_count.is_some_and(|count| count != ctx.shard_count) => Class::Config,
        StreamKind::Schedule | StreamKind::Deliverable if ctx.tz_revision != options.calendar.tz_revision() => {
            Class::Tzdata
        }
        _ => Class::Code,
    };
    Divergence {
        shard: command.shard,
        first_seq: command.first_seq,
        stream: command.stream,
        command_id: command.record.id,
        command: name_of(command.stream.kind, &command.record.payload),
        at: ctx.now,
        part: difference.part,
        path: difference.path,
        recorded: difference.recorded,
        computed: difference.computed,
        class,
        then: format!("{}, zones {}", ctx.code_revision, ctx.tz_revision),
        now: format!("{}, zones {}", options.code_revision, options.calendar.tz_revision()),
    }
}

fn difference(
    command: &RecordedCommand,
    events: &[Recorded],
    decided: &Decided,
) -> Result<Option<Difference>, DecodeError> {
    let record = &command.record;
    if let Some(panic) = &decided.panic {
        let panicked = Value::from(format!("the decider panicked: {panic}"));
        return Ok(Some(Difference::of("outcome", outcome(record.accepted, &record.reply)?, panicked)));
    }
    if record.accepted != decided.accepted {
        let (then, now) = (outcome(record.accepted, &record.reply)?, outcome(decided.accepted, &decided.reply)?);
        return Ok(Some(Difference::of("outcome", then, now)));
    }
    if record.reply != decided.reply {
        return Ok(Some(Difference::of("rejection", reply_json(&record.reply)?, reply_json(&decided.reply)?)));
    }
    let of = events.len().max(decided.events.len());
    for at in 0..of {
        if let Some(found) = event_difference(events.get(at), decided.events.get(at), (at + 1, of))? {
            return Ok(Some(found));
        }
    }
    if record.delta != decided.delta {
        let (then, now) = (json(&delta_of(&record.delta)?)?, json(&delta_of(&decided.delta)?)?);
        return Ok(Some(Difference::of("obligations", then, now)));
    }
    Ok(None)
}

fn outcome(accepted: bool, reply: &[u8]) -> Result<Value, DecodeError> {
    if accepted { Ok(Value::from("taken")) } else { Ok(serde_json::json!({ "rejected": reply_json(reply)? })) }
}

fn event_difference(
    recorded: Option<&Recorded>,
    computed: Option<&Encoded>,
    (at, of): (usize, usize),
) -> Result<Option<Difference>, DecodeError> {
    let typed = |event_type: &str, data: Value| serde_json::json!({ "type": event_type, "data": data });
    let part = |event_type: &str| format!("event {at} of {of} ({event_type})");
    let (recorded, computed) = match (recorded, computed) {
        (Some(recorded), Some(computed)) => (recorded, computed),
        (Some(recorded), None) => {
            let then = typed(&recorded.event_type, event_json(recorded)?);
            return Ok(Some(Difference::of(part(&recorded.event_type), then, Value::Null)));
        }
        (None, Some(computed)) => {
            let now = typed(&computed.event_type, encoded_json(computed)?);
            return Ok(Some(Difference::of(part(&computed.event_type), Value::Null, now)));
        }
        (None, None) => return Ok(None),
    };
    if recorded.event_type == computed.event_type && same_payload(recorded, computed)? {
        return Ok(None);
    }
    let (then, now) = (event_json(recorded)?, encoded_json(computed)?);
    let found = if recorded.event_type == computed.event_type {
        Difference::of(part(&recorded.event_type), then, now)
    } else {
        Difference::of(part(&recorded.event_type), typed(&recorded.event_type, then), typed(&computed.event_type, now))
    };
    Ok(Some(found))
}

/// Equal bytes; for a payload of an old version, equal bytes once it is said in today's words.
fn same_payload(recorded: &Recorded, computed: &Encoded) -> Result<bool, DecodeError> {
    if recorded.type_version == computed.type_version {
        return Ok(recorded.data == computed.data);
    }
    Ok(codec::encode_any(&recorded.decode()?)?.data == computed.data)
}

/// Path and both values of the first difference, walking fields in order of their names.
pub fn first_difference(then: &Value, now: &Value) -> Option<(String, Value, Value)> {
    if then == now {
        return None;
    }
    match (then, now) {
        (Value::Object(a), Value::Object(b)) => {
            let names: std::collections::BTreeSet<&String> = a.keys().chain(b.keys()).collect();
            let of = |fields: &serde_json::Map<String, Value>, name: &str| fields.get(name).cloned();
            names.into_iter().find_map(|name| deeper(&format!("/{name}"), of(a, name), of(b, name)))
        }
        (Value::Array(a), Value::Array(b)) => {
            (0..a.len().max(b.len())).find_map(|at| deeper(&format!("/{at}"), a.get(at).cloned(), b.get(at).cloned()))
        }
        _ => Some((String::new(), then.clone(), now.clone())),
    }
}

/// A value that is missing on one side is told as such, not as null.
fn deeper(step: &str, then: Option<Value>, now: Option<Value>) -> Option<(String, Value, Value)> {
    let missing = |value: Option<Value>| value.unwrap_or_else(|| Value::from("(missing)"));
    match (then, now) {
        (Some(then), Some(now)) => {
            first_difference(&then, &now).map(|(path, then, now)| (format!("{step}{path}"), then, now))
        }
        (then, now) => Some((step.to_owned(), missing(then), missing(now))),
    }
}

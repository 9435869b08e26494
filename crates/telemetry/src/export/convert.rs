//! Our spans as the OpenTelemetry SDK's.
//!
//! Owns: the translation, field by field. Refuses to know: what a run is.

use std::time::{Duration, SystemTime};

use nightshift_domain::time::Timestamp;
use opentelemetry::{
    InstrumentationScope, KeyValue, SpanId, TraceFlags, TraceId,
    trace::{SpanContext, SpanKind, Status, TraceState},
};
use opentelemetry_sdk::trace::{SpanData, SpanLinks};

use crate::spans::{Link, SpanRecord, SpanStatus, Value};

/// The SDK's form of a span. Built from its public fields: its builder no longer takes ids and ends from outside.
#[must_use]
pub fn span_data(span: &SpanRecord) -> SpanData {
    let mut links = SpanLinks::default();
    links.links = span.links.iter().map(link).collect();
    SpanData {
        span_context: context(span.trace_id, span.span_id, false),
        parent_span_id: span.parent.map_or(SpanId::INVALID, SpanId::from_bytes),
        parent_span_is_remote: false,
        span_kind: SpanKind::Internal,
        name: span.name.clone().into(),
        start_time: instant(span.start),
        end_time: instant(span.end),
        attributes: span.attributes.iter().map(|(key, value)| attribute(key, value)).collect(),
        dropped_attributes_count: 0,
        events: Default::default(),
        links,
        status: match &span.status {
            SpanStatus::Unset => Status::Unset,
            SpanStatus::Ok => Status::Ok,
            SpanStatus::Error(why) => Status::error(why.clone()),
        },
        instrumentation_scope: InstrumentationScope::builder("nightshift").build(),
    }
}

fn context(trace_id: [u8; 16], span_id: [u8; 8], is_remote: bool) -> SpanContext {
    let (trace_id, span_id) = (TraceId::from_bytes(trace_id), SpanId::from_bytes(span_id));
    SpanContext::new(trace_id, span_id, TraceFlags::SAMPLED, is_remote, TraceState::default())
}

fn link(link: &Link) -> opentelemetry::trace::Link {
    opentelemetry::trace::Link::new(context(link.trace_id, link.span_id, true), vec![], 0)
}

fn attribute(key: &'static str, value: &Value) -> KeyValue {
    match value {
        Value::Text(text) => KeyValue::new(key, text.clone()),
        Value::Int(number) => KeyValue::new(key, *number),
    }
}

/// OTLP counts from 1970; an instant before that is written as 1970.
fn instant(at: Timestamp) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_micros(u64::try_from(at.micros()).unwrap_or(0))
}

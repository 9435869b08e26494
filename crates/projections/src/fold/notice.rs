//! Notices: what people are told about versions.
//!
//! Owns: rows of `notifications`: one in the application for each notice, one more when it is mailed.

use nightshift_domain::{
    content::{Failure, NoticeKind},
    deliverable::Event,
    ids::derive,
    recorded::Recorded,
};
use serde_json::Value;

use super::{Touches, at, deliverable::owner};
use crate::{
    rows::{Image, Rows},
    table::RowKey,
    tables::{NOTIFICATIONS, notifications as column},
    value,
};

const IN_APP: &str = "in_app";
const EMAIL: &str = "email";

/// The rows of a notice that an event of a deliverable touches.
pub fn touched(event: &Event, recorded: &Recorded, touches: &mut Touches) {
    match event {
        Event::NoticeRaised { number, ordinal, run_id, .. } => {
            touches.writes(&NOTIFICATIONS, || key(recorded, (*number, *ordinal), IN_APP));
            if run_id.is_some() {
                touches.writes(&NOTIFICATIONS, || key(recorded, (*number, *ordinal), EMAIL));
            }
        }
        Event::NoticeSent { number, ordinal, .. } | Event::NoticeFailed { number, ordinal, .. } => {
            touches.reads(&NOTIFICATIONS, key(recorded, (*number, *ordinal), EMAIL));
        }
        _ => {}
    }
}

fn key(recorded: &Recorded, (number, ordinal): (u32, u32), channel: &str) -> RowKey {
    let parts: [&[u8]; 4] =
        [recorded.stream.id.as_bytes(), &number.to_be_bytes(), &ordinal.to_be_bytes(), channel.as_bytes()];
    vec![value::id(derive("notification", &parts))]
}

/// People are to be told.
pub fn raised(rows: &mut Rows, recorded: &Recorded, event: &Event) {
    let Event::NoticeRaised { number, ordinal, kind, subject, body, run_id } = event else {
        return;
    };
    let Some(owner) = owner(rows, recorded) else { return };
    let context = [
        ("kind", value::json(kind)),
        ("ordinal", value::int(*ordinal)),
        ("run_id", value::id_or_null(run_id.map(|run| run.uuid()))),
    ];
    let mut row = Image::blank(&NOTIFICATIONS);
    row.set(column::user_id, owner.user)
        .set(column::deliverable_id, value::id(recorded.stream.id))
        .set(column::version_number, value::int(*number))
        .set(column::message, value::text(body))
        .set(column::subject, value::text(subject))
        .set(column::urgency, urgency(*kind))
        .set(column::source_type, "deliverable")
        .set(column::source_id, value::id(recorded.stream.id))
        .set(column::context, value::object(context))
        .set(column::created_at, at(recorded));
    if run_id.is_some() {
        put(rows, recorded, (*number, *ordinal, EMAIL), row.clone());
    }
    put(rows, recorded, (*number, *ordinal, IN_APP), row);
}

/// What stands in the table is in the application: it is sent at once. A mail waits for its run.
fn put(rows: &mut Rows, recorded: &Recorded, (number, ordinal, channel): (u32, u32, &str), mut row: Image) {
    let key = key(recorded, (number, ordinal), channel);
    let sent = channel == IN_APP;
    row.set(column::id, key[0].clone())
        .set(column::channel, channel)
        .set(column::status, if sent { "sent" } else { "pending" })
        .set(column::sent_at, if sent { at(recorded) } else { Value::Null });
    rows.put(&NOTIFICATIONS, key, row, recorded);
}

const fn urgency(kind: NoticeKind) -> &'static str {
    match kind {
        NoticeKind::Delivered => "low",
        NoticeKind::ReadyForReview => "normal",
        NoticeKind::Failed | NoticeKind::DeliveryFailed => "high",
    }
}

/// The mail went out, or could not.
pub fn settled(rows: &mut Rows, recorded: &Recorded, notice: (u32, u32), failure: Option<&Failure>) {
    let Some(row) = rows.edit(&NOTIFICATIONS, &key(recorded, notice, EMAIL), recorded) else {
        return;
    };
    match failure {
        None => row.set(column::status, "sent").set(column::sent_at, at(recorded)),
        Some(failure) => {
            row.set(column::status, "failed").set(column::error_message, value::text(&failure.to_string()))
        }
    };
}

//! Doors for the fuzz targets to what reads requests and is nobody else's business.
//!
//! Owns: plain functions over bytes and texts. Refuses to know: what is asked of them; `tests/fuzz` says it.

use axum::http::{HeaderMap, Uri};
use nightshift_domain::{ids::CommandId, time::Timestamp};
use nightshift_projections::table::Row;
use ring::hmac;
use uuid::Uuid;

use crate::{
    approvals, auth::Caller, bulk, control, deliverables, envelope::ApiError, events, extract, hooks, limits, links,
    naming::Fingerprint, orchestrations, recovery, routes, schedules, seed, stream,
};

/// Reads a body and says whether it is of the form.
pub type Body = fn(&[u8]) -> Result<(), ApiError>;

fn of<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Result<(), ApiError> {
    extract::json_of::<T>(bytes).map(drop)
}

/// Every form of a JSON body, by the name of its type.
pub const BODIES: &[(&str, Body)] = &[
    ("ApproveRequest", of::<deliverables::ApproveRequest>),
    ("BackfillRequest", of::<schedules::BackfillRequest>),
    ("BulkRequest", of::<bulk::BulkRequest>),
    ("DecisionRequest", of::<approvals::DecisionRequest>),
    ("DispatchRequest", of::<seed::DispatchRequest>),
    ("EventRequest", of::<events::EventRequest>),
    ("LimitRequest", of::<limits::LimitRequest>),
    ("LinksRequest", of::<links::LinksRequest>),
    ("MigrateRequest", of::<recovery::MigrateRequest>),
    ("NoteRequest", of::<recovery::NoteRequest>),
    ("RejectRequest", of::<deliverables::RejectRequest>),
    ("RerunRequest", of::<recovery::RerunRequest>),
    ("RetryRequest", of::<recovery::RetryRequest>),
    ("RunRequest", of::<deliverables::RunRequest>),
    ("SkipRequest", of::<recovery::SkipRequest>),
    ("StartRequest", of::<orchestrations::StartRequest>),
    ("SubmitRequest", of::<control::SubmitRequest>),
];

/// Holds the part behind `?` against what the route with this number declares.
///
/// # Errors
/// Its faults.
pub fn question(route: usize, query: &str) -> Result<(), ApiError> {
    let all: Vec<_> = routes::all().collect();
    let Some(route) = all.get(route % all.len().max(1)) else { return Ok(()) };
    let question = extract::Question::read(query, route.query)?;
    for param in route.query {
        let _ = (question.text(param.name), question.number(param.name, 1), question.id(param.name));
        let _ = (question.instant(param.name), question.flag(param.name, false));
    }
    Ok(())
}

/// The fingerprint of a request, as it is kept.
#[must_use]
pub fn fingerprint(query: &str, body: &[u8]) -> String {
    Fingerprint::of(query, body).to_string()
}

/// The command that a request with these headers is.
///
/// # Errors
/// Its key cannot be one.
pub fn command(headers: &HeaderMap) -> Result<Option<CommandId>, ApiError> {
    Ok(extract::idempotency_key(headers)?.map(|key| CommandId::of_client("user", "POST /", key)))
}

/// Whether a webhook is taken.
///
/// # Errors
/// Its headers cannot be read, or are of another time.
pub fn hook(secret: &[u8], headers: &HeaderMap, body: &[u8], now: Timestamp) -> Result<bool, ApiError> {
    hooks::signed(headers, now).map(|signed| hooks::is_signed(secret, &signed, body))
}

/// What a signed link says; none when its address is no link.
///
/// # Errors
/// It was not made with the key, or is past its end.
pub fn link(key: &links::LinkKey, address: &str, now: Timestamp) -> Result<Option<links::Link>, ApiError> {
    let Ok(uri) = address.parse::<Uri>() else { return Ok(None) };
    let id = uri.path().strip_prefix("/approve/").and_then(|id| id.parse::<Uuid>().ok());
    let given = axum::extract::Query::<links::Given>::try_from_uri(&uri).ok();
    let (Some(id), Some(given)) = (id, given) else { return Ok(None) };
    key.check(id, &given.0, now).map(Some)
}

/// The note in the form of a link's page.
#[must_use]
pub fn note(form: &[u8]) -> Option<String> {
    links::note_of(form)
}

/// The page of a link: its HTML.
#[must_use]
pub fn page(link: &links::Link, approval: &Row) -> String {
    links::question(link, approval)
}

/// Who asks with a token of a stream; the key is `secret`.
///
/// # Errors
/// The token is not good for the path.
pub fn stream_caller(secret: &[u8], (path, token): (&str, &str), now: Timestamp) -> Result<Caller, ApiError> {
    stream::token::read(&hmac::Key::new(hmac::HMAC_SHA256, secret), (path, token), now)
}

/// A token of a stream; the key is `secret`.
///
/// # Errors
/// None that a caller could mend.
pub fn stream_token(secret: &[u8], caller: &Caller, run: Uuid, now: Timestamp) -> Result<String, ApiError> {
    stream::token::signed(&hmac::Key::new(hmac::HMAC_SHA256, secret), caller, run, now).map(|(token, _)| token)
}

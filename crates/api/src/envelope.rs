//! What every answer looks like, and what a refusal means in HTTP.
//!
//! Owns: `{success, data}` and `{success, error}`, the codes, and the one mapping from refusals of the system to status
//! codes.
//! Refuses to know: routes, who asks.

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use nightshift_actors::{envelope::NotDone, projector::Stuck};
use nightshift_ports::log::StoreError;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// A request that was not done.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ErrorBody {
    /// Always false.
    pub success: bool,
    /// Why.
    pub error: Refusal,
}

/// Why a request was not done.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Refusal {
    /// One of [`Code`]'s words.
    pub code: String,
    /// In words: what was found, what is allowed, what helps.
    pub message: String,
    /// The refusal as data: field paths of a bad request, the domain's rejection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<Value>,
}

/// The kinds of refusal. Each has one status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// 400: the request cannot be read, or its fields are wrong; `details` has the paths.
    BadRequest,
    /// 401: nobody known asks.
    Unauthorized,
    /// 403: who asks may not.
    Forbidden,
    /// 404: there is no such thing, or none that may be seen.
    NotFound,
    /// 405: the address has other methods.
    MethodNotAllowed,
    /// 409: it contradicts the state of things.
    Conflict,
    /// 410: the link is past its end.
    Gone,
    /// 413: the body is too large.
    PayloadTooLarge,
    /// 415: the body is of a form that is not read here.
    UnsupportedMediaType,
    /// 422: the key named another request before.
    Unprocessable,
    /// 429: too many requests, or too much is waiting.
    RateLimited,
    /// 500: a fault of the program.
    Internal,
    /// 503: it is not known whether it was done, or the store does not answer; ask again with the same key.
    Unavailable,
    /// 503: it took too long; it may yet be done.
    Timeout,
}

impl Code {
    /// Every one.
    pub const ALL: [Self; 14] = [
        Self::BadRequest,
        Self::Unauthorized,
        Self::Forbidden,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::Conflict,
        Self::Gone,
        Self::PayloadTooLarge,
        Self::UnsupportedMediaType,
        Self::Unprocessable,
        Self::RateLimited,
        Self::Internal,
        Self::Unavailable,
        Self::Timeout,
    ];

    /// The word in answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BadRequest => "BAD_REQUEST",
            Self::Unauthorized => "UNAUTHORIZED",
            Self::Forbidden => "FORBIDDEN",
            Self::NotFound => "NOT_FOUND",
            Self::MethodNotAllowed => "METHOD_NOT_ALLOWED",
            Self::Conflict => "CONFLICT",
            Self::Gone => "GONE",
            Self::PayloadTooLarge => "PAYLOAD_TOO_LARGE",
            Self::UnsupportedMediaType => "UNSUPPORTED_MEDIA_TYPE",
            Self::Unprocessable => "UNPROCESSABLE",
            Self::RateLimited => "RATE_LIMITED",
            Self::Internal => "INTERNAL",
            Self::Unavailable => "UNAVAILABLE",
            Self::Timeout => "TIMEOUT",
        }
    }

    /// Its status.
    #[must_use]
    pub const fn status(self) -> StatusCode {
        match self {
            Self::BadRequest => StatusCode::BAD_REQUEST,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::Conflict => StatusCode::CONFLICT,
            Self::Gone => StatusCode::GONE,
            Self::PayloadTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Unprocessable => StatusCode::UNPROCESSABLE_ENTITY,
            Self::RateLimited => StatusCode::TOO_MANY_REQUESTS,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Unavailable | Self::Timeout => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

/// A request that is refused.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{}: {message}", code.as_str())]
pub struct ApiError {
    /// What kind.
    pub code: Code,
    /// In words.
    pub message: String,
    /// As data.
    pub details: Option<Value>,
    /// When to come back, in seconds.
    pub retry_after_s: Option<u64>,
}

/// What handlers give back.
pub type Answered = Result<Response, ApiError>;

impl ApiError {
    /// Nothing is configured that would let others prove who they are.
    #[must_use]
    pub fn this_machine_only() -> Self {
        let message = "tokens and keys are not configured: only requests from this machine are taken";
        Self::new(Code::Forbidden, message)
    }

    /// A refusal of a kind, in words.
    #[must_use]
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), details: None, retry_after_s: None }
    }

    /// There is no such thing.
    #[must_use]
    pub fn not_found(what: impl std::fmt::Display) -> Self {
        Self::new(Code::NotFound, format!("there is no {what}"))
    }

    /// Fields of the request are wrong: path and what is wrong, every one.
    #[must_use]
    pub fn fields(faults: Vec<(String, String)>) -> Self {
        let said: Vec<String> = faults.iter().map(|(path, why)| format!("{path}: {why}")).collect();
        let listed: Vec<Value> = faults.iter().map(|(path, why)| json!({"path": path, "message": why})).collect();
        Self::new(Code::BadRequest, said.join("; ")).with(json!({"fields": listed}))
    }

    /// One field of the request is wrong.
    #[must_use]
    pub fn field(path: impl Into<String>, why: impl Into<String>) -> Self {
        Self::fields(vec![(path.into(), why.into())])
    }

    /// With the refusal as data.
    #[must_use]
    pub fn with(mut self, details: Value) -> Self {
        self.details = Some(details);
        self
    }

    /// With the time after which to come back.
    #[must_use]
    pub const fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after_s = Some(seconds);
        self
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let error = Refusal { code: self.code.as_str().to_owned(), message: self.message, details: self.details };
        let mut response = (self.code.status(), Json(ErrorBody { success: false, error })).into_response();
        finish(&mut response, self.code, self.retry_after_s);
        response
    }
}

/// Headers that belong to a refusal in whatever form its body is.
pub(crate) fn finish(response: &mut Response, code: Code, retry_after_s: Option<u64>) {
    if let Some(seconds) = retry_after_s {
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    if code == Code::Unauthorized {
        let scheme = HeaderValue::from_static("Bearer realm=\"nightshift\"");
        response.headers_mut().insert(header::WWW_AUTHENTICATE, scheme);
    }
}

/// `{success: true, data}`.
pub fn ok(data: impl Serialize) -> Response {
    said(StatusCode::OK, data)
}

/// `{success: true, data}` with a status of one's own.
pub fn said(status: StatusCode, data: impl Serialize) -> Response {
    (status, Json(json!({"success": true, "data": json!(data)}))).into_response()
}

/// What the rejections of deciders mean in HTTP, by the name of the rejection. All others are conflicts.
const REJECTIONS: &[(&str, Code)] = &[
    ("unknown", Code::NotFound),
    ("no_such_version", Code::NotFound),
    ("no_such_report", Code::NotFound),
    ("no_such_step", Code::NotFound),
    ("no_such_approval", Code::NotFound),
    ("parameters", Code::BadRequest),
    ("unsound", Code::BadRequest),
    ("not_an_option", Code::BadRequest),
    ("no_id", Code::BadRequest),
    ("too_large", Code::PayloadTooLarge),
    ("no_event", Code::BadRequest),
    ("another_definition", Code::BadRequest),
    ("calendar", Code::BadRequest),
    ("unknown_key", Code::BadRequest),
    ("other_kind", Code::BadRequest),
    ("too_small", Code::BadRequest),
    ("bad_refill", Code::BadRequest),
    ("no_name", Code::BadRequest),
    ("passes_over", Code::Forbidden),
];

/// The name of a rejection: a word, or the one field of an object.
fn rejection_name(facts: &Value) -> &str {
    match facts {
        Value::String(name) => name,
        Value::Object(fields) => fields.keys().next().map_or("", String::as_str),
        _ => "",
    }
}

impl ApiError {
    /// What a decider, or its state, says no to.
    pub fn rejected(rejection: &(impl Serialize + std::fmt::Display)) -> Self {
        let facts = serde_json::to_string(rejection).unwrap_or_default();
        NotDone::Rejected { why: rejection.to_string(), facts }.into()
    }
}

impl From<NotDone> for ApiError {
    fn from(error: NotDone) -> Self {
        let message = error.to_string();
        match error {
            NotDone::Rejected { facts, .. } => {
                let facts: Value = serde_json::from_str(&facts).unwrap_or(Value::Null);
                let name = rejection_name(&facts);
                let known = REJECTIONS.iter().find(|(known, _)| *known == name);
                let code = known.map_or(Code::Conflict, |(_, code)| *code);
                let error = match facts.pointer("/parameters/faults").and_then(Value::as_array) {
                    Some(faults) => Self::fields(faults.iter().map(parameter_fault).collect()),
                    None => Self::new(code, message),
                };
                if facts.is_null() || error.details.is_some() {
                    return error;
                }
                error.with(json!({"rejection": facts}))
            }
            NotDone::Quarantined { .. } => Self::new(Code::Conflict, message),
            NotDone::Unanswered { .. } => Self::new(Code::Unavailable, message).retry_after(1),
            NotDone::Panicked { .. } => Self::new(Code::Internal, message),
            NotDone::Busy { retry_after_s } => {
                Self::new(Code::RateLimited, message).retry_after(u64::from(retry_after_s))
            }
        }
    }
}

fn parameter_fault(fault: &Value) -> (String, String) {
    let text = |name: &str| fault.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    (format!("parameters.{}", text("name")), text("why"))
}

impl From<Stuck> for ApiError {
    fn from(stuck: Stuck) -> Self {
        let details = json!({"shard": stuck.shard, "at": stuck.at});
        Self::new(Code::Unavailable, stuck.to_string()).with(details)
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        Self::new(Code::Unavailable, error.to_string()).retry_after(1)
    }
}

#[cfg(test)]
mod tests {
    use nightshift_domain::{
        content::Digest,
        definition::{self, ParameterFault},
        deliverable,
        ids::derive,
        queue,
        run::{self, ApprovalId},
        topic,
    };

    use super::*;

    fn rejected(rejection: &(impl Serialize + std::fmt::Display)) -> ApiError {
        ApiError::rejected(rejection)
    }

    #[test]
    fn each_rejection_of_a_decider_has_its_status() {
        let approval = ApprovalId(derive("test", &[]));
        let digest = |text: &str| Digest(text.to_owned());
        let text = |word: &str| word.to_owned();
        let cases = [
            (rejected(&run::Rejection::Unknown), 404),
            (rejected(&run::Rejection::NoSuchStep { step: text("a") }), 404),
            (rejected(&run::Rejection::NoSuchApproval { approval }), 404),
            (rejected(&run::Rejection::Decided { approval, action: text("abort"), by: text("ada") }), 409),
            (rejected(&run::Rejection::AnotherPayload { approval, current: digest("a"), seen: digest("b") }), 409),
            (rejected(&run::Rejection::NotAnOption { approval, what: text("a"), allowed: text("b") }), 400),
            (rejected(&run::Rejection::NoSkip { step: text("a") }), 409),
            (rejected(&run::Rejection::NotOver), 409),
            (rejected(&run::Rejection::PassesOver { step: text("a"), asks: text("b") }), 403),
            (rejected(&run::Rejection::CannotMigrate { to: text("o/n@2"), differs: vec![] }), 409),
            (rejected(&run::Rejection::Unsound { why: text("a cycle") }), 400),
            (rejected(&definition::Rejection::Unknown), 404),
            (rejected(&definition::Rejection::NoSuchVersion { version: text("2"), versions: vec![] }), 404),
            (rejected(&definition::Rejection::NoneActive { versions: vec![] }), 409),
            (rejected(&definition::Rejection::VersionDiffers { version: text("1"), kept: digest("a") }), 409),
            (rejected(&deliverable::Rejection::NoSuchVersion { number: 1, newest: 0 }), 404),
            (rejected(&deliverable::Rejection::Archived), 409),
            (rejected(&topic::Rejection::NoId), 400),
            (rejected(&queue::Rejection::UnknownKey { key: text("a") }), 400),
            (rejected(&queue::Rejection::NoName), 400),
            (rejected(&queue::Rejection::NotPaused { queue: None, all: false }), 409),
            (ApiError::from(NotDone::Busy { retry_after_s: 3 }), 429),
            (ApiError::from(NotDone::Unanswered { why: text("gone") }), 503),
            (ApiError::from(NotDone::Panicked { why: text("a hole") }), 500),
            (ApiError::from(StoreError::Corrupt { what: text("a row") }), 503),
        ];
        for (error, status) in cases {
            assert_eq!(error.code.status().as_u16(), status, "{error}");
        }
    }

    #[test]
    fn wrong_parameters_are_named_by_their_paths() {
        let fault = |name: &str, why: &str| ParameterFault { name: name.to_owned(), why: why.to_owned() };
        let faults = vec![fault("kpis", "it is required (string[])"), fault("kpi", "there is no such parameter")];
        let error = rejected(&definition::Rejection::Parameters { faults });
        assert_eq!(error.code, Code::BadRequest);
        let paths = error.details.unwrap();
        assert_eq!(paths["fields"][0]["path"], "parameters.kpis");
        assert_eq!(paths["fields"][1]["message"], "there is no such parameter");
    }

    #[test]
    fn refusals_carry_the_headers_that_belong_to_them() {
        for code in Code::ALL {
            let response = ApiError::new(code, "no").retry_after(7).into_response();
            assert_eq!(response.status(), code.status());
            assert_eq!(response.headers()["retry-after"], "7");
            assert_eq!(response.headers().contains_key("www-authenticate"), code == Code::Unauthorized);
        }
    }
}

//! What handlers take from a request, checked: bodies, questions, ids, the identity of an order.
//!
//! Owns: reading and checking, with the path of each fault.
//! Refuses to know: what is done with it.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    body::Bytes,
    extract::{FromRequest, FromRequestParts, Path, Request},
    http::{HeaderMap, header, request::Parts},
};
use nightshift_domain::ids::CommandId;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use crate::{
    Shared,
    auth::Caller,
    envelope::{ApiError, Code},
    naming::Fingerprint,
    routes::{Param, ParamKind, Route},
};

impl FromRequestParts<Arc<Shared>> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _shared: &Arc<Shared>) -> Result<Self, ApiError> {
        // The guard of each route puts it there; a route without a guard has no caller.
        let caller = parts.extensions.get::<Self>().cloned();
        caller.ok_or_else(|| ApiError::new(Code::Unauthorized, "this address takes no anonymous requests"))
    }
}

/// The bytes of a body, at most as many as are configured.
pub struct Raw(pub Bytes);

impl FromRequest<Arc<Shared>> for Raw {
    type Rejection = ApiError;

    async fn from_request(request: Request, shared: &Arc<Shared>) -> Result<Self, ApiError> {
        let max = shared.options.limits.body_bytes_max;
        let too_large = || {
            let message = format!("the body is larger than {max} bytes");
            ApiError::new(Code::PayloadTooLarge, message)
        };
        let length = request.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
        if length.and_then(|text| text.parse::<u64>().ok()).is_some_and(|length| length > max as u64) {
            return Err(too_large());
        }
        match axum::body::to_bytes(request.into_body(), max).await {
            Ok(bytes) => Ok(Self(bytes)),
            Err(error) if is_length_limit(&error) => Err(too_large()),
            Err(error) => Err(ApiError::new(Code::BadRequest, format!("the body broke off: {error}"))),
        }
    }
}

fn is_length_limit(error: &axum::Error) -> bool {
    let mut cause: Option<&dyn std::error::Error> = Some(error);
    while let Some(at) = cause {
        if at.to_string().contains("length limit exceeded") {
            return true;
        }
        cause = at.source();
    }
    false
}

/// A JSON body. An empty body is `{}`.
pub struct Body<T>(pub T);

impl<T: DeserializeOwned> FromRequest<Arc<Shared>> for Body<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, shared: &Arc<Shared>) -> Result<Self, ApiError> {
        let kind = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        if kind.is_some_and(|kind| !is_json(kind)) {
            let message = format!("the body is {:?}; it has to be application/json", kind.unwrap_or_default());
            return Err(ApiError::new(Code::UnsupportedMediaType, message));
        }
        let Raw(bytes) = Raw::from_request(request, shared).await?;
        let bytes: &[u8] = if bytes.is_empty() { b"{}" } else { &bytes };
        json_of(bytes).map(Self)
    }
}

fn is_json(kind: &str) -> bool {
    let essence = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json" || essence.ends_with("+json")
}

/// Reads JSON; a fault has the path of the field.
///
/// # Errors
/// It is no JSON, or not of this form.
pub fn json_of<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let path = error.path().to_string();
        let path = if matches!(path.as_str(), "." | "?") { "body".to_owned() } else { path };
        ApiError::field(path, error.into_inner().to_string())
    })?;
    reader.end().map_err(|error| ApiError::field("body", error.to_string()))?;
    Ok(value)
}

/// The parameters behind `?`, held against those that the route declares.
pub struct Question(BTreeMap<String, String>);

impl FromRequestParts<Arc<Shared>> for Question {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _shared: &Arc<Shared>) -> Result<Self, ApiError> {
        let declared = parts.extensions.get::<&'static Route>().map_or(&[][..], |route| route.query);
        Self::read(parts.uri.query().unwrap_or_default(), declared)
    }
}

impl Question {
    /// Reads and checks.
    ///
    /// # Errors
    /// Every fault: unknown names, names given twice, values that cannot be.
    pub fn read(query: &str, declared: &'static [Param]) -> Result<Self, ApiError> {
        let mut given = BTreeMap::new();
        let mut faults = Vec::new();
        for (name, value) in pairs_of(query) {
            match declared.iter().find(|param| param.name == name) {
                None => faults.push((name.clone(), unknown(&name, declared))),
                Some(param) => {
                    if let Some(why) = param.kind.fault(&value) {
                        faults.push((name.clone(), why));
                    }
                }
            }
            if given.insert(name.clone(), value).is_some() {
                faults.push((name, "it is given twice".to_owned()));
            }
        }
        if faults.is_empty() { Ok(Self(given)) } else { Err(ApiError::fields(faults)) }
    }

    /// A text; none when it is not given or empty.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|text| !text.is_empty())
    }

    /// A number that was checked against its bounds, or its default.
    #[must_use]
    pub fn number(&self, name: &str, default: u32) -> u32 {
        self.text(name).and_then(|text| text.parse().ok()).unwrap_or(default)
    }

    /// An id that was checked.
    #[must_use]
    pub fn id(&self, name: &str) -> Option<Uuid> {
        self.text(name).and_then(|text| text.parse().ok())
    }

    /// An instant as rows carry it: RFC 3339 in UTC with six decimals.
    #[must_use]
    pub fn instant(&self, name: &str) -> Option<String> {
        let at = chrono::DateTime::parse_from_rfc3339(self.text(name)?).ok()?;
        Some(at.to_utc().to_rfc3339_opts(chrono::SecondsFormat::Micros, true))
    }

    /// True or false.
    #[must_use]
    pub fn flag(&self, name: &str, default: bool) -> bool {
        self.text(name).map_or(default, |text| text == "true")
    }
}

/// Names and values behind `?`, in their order.
pub fn pairs_of(query: &str) -> Vec<(String, String)> {
    let uri: axum::http::Uri = format!("/?{query}").parse().unwrap_or_default();
    axum::extract::Query::try_from_uri(&uri).map(|query| query.0).unwrap_or_default()
}

fn unknown(name: &str, declared: &[Param]) -> String {
    let names: Vec<&str> = declared.iter().map(|param| param.name).collect();
    let near = nightshift_spec::fault::nearest(name, names.iter().copied());
    let near = near.map(|near| format!("; did you mean {near:?}?")).unwrap_or_default();
    let allowed = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    format!("there is no such parameter; there are: {allowed}{near}")
}

impl ParamKind {
    /// What is wrong with a value.
    fn fault(self, value: &str) -> Option<String> {
        match self {
            Self::Text => None,
            Self::Id => value.parse::<Uuid>().is_err().then(|| format!("{value:?} is no UUID")),
            Self::Flag => {
                let known = matches!(value, "true" | "false");
                (!known).then(|| format!("{value:?} is neither \"true\" nor \"false\""))
            }
            Self::Number { min, max, .. } => {
                let fits = value.parse::<u32>().is_ok_and(|number| (min..=max).contains(&number));
                (!fits).then(|| format!("{value:?} is no number from {min} to {max}"))
            }
            Self::OneOf(words) => {
                (!words.contains(&value)).then(|| format!("{value:?} is not one of {}", words.join(", ")))
            }
            Self::Instant => chrono::DateTime::parse_from_rfc3339(value)
                .is_err()
                .then(|| format!("{value:?} is no instant (2026-01-31T08:00:00Z)")),
        }
    }
}

/// Parts of the address. A text that is no id is the address of nothing.
pub struct Named<T>(pub T);

impl<T: DeserializeOwned + Send> FromRequestParts<Arc<Shared>> for Named<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, shared: &Arc<Shared>) -> Result<Self, ApiError> {
        match Path::<T>::from_request_parts(parts, shared).await {
            Ok(Path(named)) => Ok(Self(named)),
            Err(_) => Err(ApiError::not_found("such thing: the address holds no valid id")),
        }
    }
}

/// Headers that name an order, so that it can be sent again: the usual one and that of the seed systems.
pub const IDEMPOTENCY_HEADERS: [&str; 2] = ["idempotency-key", "x-idempotency-key"];

/// A request that changes something: its identity, and whether its sender waits until the read models show it.
#[derive(Debug, Clone, Copy)]
pub struct Order {
    /// The command it is. The same key from the same caller to the same address is the same command.
    pub id: CommandId,
    /// What is asked for, when the client gave a key: another request under the same key is refused.
    pub request: Option<Fingerprint>,
    /// The answer waits until the read models show the change.
    pub wait: bool,
}

impl FromRequestParts<Arc<Shared>> for Order {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, shared: &Arc<Shared>) -> Result<Self, ApiError> {
        let caller = Caller::from_request_parts(parts, shared).await?;
        let question = Question::from_request_parts(parts, shared).await?;
        let request = parts.extensions.get::<Fingerprint>().copied();
        let id = match idempotency_key(&parts.headers)? {
            Some(key) => {
                let route = format!("{} {}", parts.method, parts.uri.path());
                CommandId::of_client(&caller.user, &route, key)
            }
            None => CommandId(shared.system.context().ids.fresh()),
        };
        Ok(Self { id, request, wait: question.text("wait") == Some("position") })
    }
}

/// The key by which a client names a request.
///
/// # Errors
/// It is empty, longer than 255 characters, or not printable ASCII.
pub fn idempotency_key(headers: &HeaderMap) -> Result<Option<&str>, ApiError> {
    let Some(value) = IDEMPOTENCY_HEADERS.into_iter().find_map(|name| headers.get(name)) else { return Ok(None) };
    let key = value.to_str().unwrap_or_default().trim();
    if key.is_empty() || key.len() > 255 {
        return Err(ApiError::field("Idempotency-Key", "1 to 255 printable ASCII characters are expected"));
    }
    Ok(Some(key))
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    const PARAMS: &[Param] = &[
        Param { name: "limit", kind: ParamKind::Number { min: 1, max: 100, default: 25 }, about: "" },
        Param { name: "lifecycle", kind: ParamKind::OneOf(&["active", "all"]), about: "" },
        Param { name: "id", kind: ParamKind::Id, about: "" },
        Param { name: "after", kind: ParamKind::Instant, about: "" },
        Param { name: "search", kind: ParamKind::Text, about: "" },
    ];

    #[test]
    fn a_question_is_held_against_what_the_route_declares() {
        let good = "limit=7&after=2026-01-31T09:00:00%2B01:00&search=a%20b";
        let question = Question::read(good, PARAMS).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!((question.number("limit", 25), question.text("search")), (7, Some("a b")));
        assert_eq!(question.instant("after").as_deref(), Some("2026-01-31T08:00:00.000000Z"));
        assert_eq!(Question::read("", PARAMS).map(|question| question.number("limit", 25)).ok(), Some(25));
        let error = Question::read("limits=1&limit=0&limit=101&lifecycle=dead&id=7&after=now", PARAMS).err().unwrap();
        let said = error.message;
        for expected in [
            "limits: there is no such parameter; there are: limit, lifecycle, id, after, search; did you mean \"limit\"?",
            "limit: \"0\" is no number from 1 to 100",
            "limit: \"101\" is no number",
            "limit: it is given twice",
            "lifecycle: \"dead\" is not one of active, all",
            "id: \"7\" is no UUID",
            "after: \"now\" is no instant",
        ] {
            assert!(said.contains(expected), "{expected:?} in {said}");
        }
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Asked {
        #[allow(dead_code, reason = "only its form matters")]
        steps: Vec<Inner>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Inner {
        #[allow(dead_code, reason = "only its form matters")]
        id: String,
    }

    #[test]
    fn a_body_that_is_wrong_names_the_path_of_the_field() {
        for (body, path) in [
            (r#"{"steps": [{"id": "a"}, {"id": 7}]}"#, "steps[1].id"),
            (r#"{"steps": [{"id": "a", "di": 1}]}"#, "steps[0].di"),
            (r#"{"steps": {}}"#, "steps"),
            ("{}", "body"),
            ("{", "body"),
            ("", "body"),
            (r#"{"steps": []} x"#, "body"),
        ] {
            let error = json_of::<Asked>(body.as_bytes()).unwrap_err();
            assert_eq!(error.details.unwrap()["fields"][0]["path"], path, "{body}");
        }
        assert!(json_of::<Asked>(br#"{"steps": []}"#).is_ok());
        assert!(is_json("application/json; charset=utf-8") && is_json("application/cloudevents+json"));
        assert!(!is_json("text/plain") && !is_json(""));
    }

    #[test]
    fn an_idempotency_key_is_short_and_printable() {
        let headers = |name: &'static str, value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(name, axum::http::HeaderValue::from_bytes(value.as_bytes()).unwrap());
            headers
        };
        assert_eq!(idempotency_key(&headers("idempotency-key", "a-1")).unwrap(), Some("a-1"));
        assert_eq!(idempotency_key(&headers("x-idempotency-key", "a-1")).unwrap(), Some("a-1"));
        assert_eq!(idempotency_key(&HeaderMap::new()).unwrap(), None);
        for wrong in ["", " ", "é", &"x".repeat(256)] {
            assert!(idempotency_key(&headers("idempotency-key", wrong)).is_err(), "{wrong:?}");
        }
    }
}

//! Links by which a person decides an approval without an account.
//!
//! Owns: what is signed, the page that asks, and that looking decides nothing: programs that fetch links out of mails
//! only see the page.
//! Refuses to know: how a link reaches somebody.
//!
//! Invariant: a link is good for one question, one answer, one payload and one person, until its end.

use std::sync::Arc;

use axum::{
    extract::{State, rejection::QueryRejection},
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing,
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use nightshift_actors::envelope::Done;
use nightshift_domain::{
    content::Digest,
    ids::CommandId,
    run::{Answer, ApprovalAction, ApprovalId, Command},
    time::Timestamp,
};
use nightshift_projections::table::Row;
use ring::hmac;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    Shared, approvals,
    auth::{Caller, Group},
    envelope::{self, Answered, ApiError, Code},
    extract::{Body, Named, Raw},
    routes::{Gives, Param, ParamKind, Route, Takes, of},
    rows::text,
};

const TAG: &str = "approvals";

const SIGNED: &[Param] = &[
    Param { name: "action", kind: ParamKind::OneOf(&["continue", "retry", "abort"]), about: "The answer." },
    Param { name: "digest", kind: ParamKind::Text, about: "Digest of the payload it is about." },
    Param { name: "by", kind: ParamKind::Text, about: "Whom the link was made for." },
    Param { name: "expires", kind: ParamKind::Text, about: "Its end, in seconds since 1970." },
    Param { name: "signature", kind: ParamKind::Text, about: "HMAC-SHA256 of all of it." },
];

/// The routes.
pub const ROUTES: &[Route] = &[
    Route::get("/approve/{id}", || routing::get(ask))
        .group(Group::Public)
        .about(TAG, "Show the page of a signed link. It decides nothing.")
        .query(SIGNED)
        .gives(Gives::Text("text/html")),
    Route::post("/approve/{id}", || routing::post(decide))
        .group(Group::Public)
        .about(TAG, "Decide by a signed link, as the form of its page does.")
        .query(SIGNED)
        .takes(Takes::Document(&["application/x-www-form-urlencoded"]))
        .gives(Gives::Text("text/html")),
    Route::post("/api/orchestrations/approvals/{id}/links", || routing::post(make))
        .group(Group::Operate)
        .about(TAG, "Make signed links for a question, one for each of its answers.")
        .query(&[])
        .takes(Takes::Json(of::<LinksRequest>))
        .gives(Gives::Data(of::<Vec<MadeLink>>)),
];

/// Signs and checks links.
pub struct LinkKey(hmac::Key);

impl LinkKey {
    /// A key of at least 32 bytes; none when it is shorter.
    #[must_use]
    pub fn new(secret: &[u8]) -> Option<Self> {
        (secret.len() >= 32).then(|| Self(hmac::Key::new(hmac::HMAC_SHA256, secret)))
    }

    /// What other keys are derived from.
    pub(crate) const fn key(&self) -> &hmac::Key {
        &self.0
    }

    /// The address of a link, below that of the server.
    #[must_use]
    pub fn address(&self, link: &Link) -> String {
        let tag = hmac::sign(&self.0, link.signed().as_bytes());
        let pairs = [
            ("action", link.action.as_str().to_owned()),
            ("digest", link.digest.0.clone()),
            ("by", link.by.clone()),
            ("expires", link.expires_s.to_string()),
            ("signature", URL_SAFE_NO_PAD.encode(tag.as_ref())),
        ];
        let query: Vec<String> = pairs.iter().map(|(name, value)| format!("{name}={}", escaped(value))).collect();
        format!("/approve/{}?{}", link.approval, query.join("&"))
    }

    /// Checks a link at an instant.
    ///
    /// # Errors
    /// 403: it is not signed like this; 410: it is past its end.
    pub(crate) fn check(&self, id: Uuid, given: &Given, now: Timestamp) -> Result<Link, ApiError> {
        let forged = || ApiError::new(Code::Forbidden, "this link was not made here, or was changed");
        let action = ApprovalAction::ALL.into_iter().find(|action| action.as_str() == given.action);
        let link = Link {
            approval: ApprovalId(id),
            action: action.ok_or_else(forged)?,
            digest: Digest(given.digest.clone()),
            by: given.by.clone(),
            expires_s: given.expires,
        };
        let tag = URL_SAFE_NO_PAD.decode(&given.signature).map_err(|_| forged())?;
        hmac::verify(&self.0, link.signed().as_bytes(), &tag).map_err(|_| forged())?;
        if now >= Timestamp::from_secs(link.expires_s) {
            return Err(ApiError::new(Code::Gone, "this link is past its end; ask for another"));
        }
        Ok(link)
    }
}

/// What a link says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// The question.
    pub approval: ApprovalId,
    /// The answer.
    pub action: ApprovalAction,
    /// Digest of the payload it is about.
    pub digest: Digest,
    /// Whom it was made for, as the record shows who answered.
    pub by: String,
    /// Its end, in seconds since 1970.
    pub expires_s: i64,
}

impl Link {
    /// What is signed: a JSON list, so that no two links have the same text.
    fn signed(&self) -> String {
        let Self { approval, action, digest, by, expires_s } = self;
        serde_json::json!(["approval-link-1", approval, action.as_str(), digest, by, expires_s]).to_string()
    }
}

/// The parts behind `?`.
#[derive(Debug, Deserialize)]
pub(crate) struct Given {
    action: String,
    digest: String,
    by: String,
    expires: i64,
    signature: String,
}

/// A request for links.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LinksRequest {
    /// Whom they are for, as the record shows who answered.
    r#for: String,
    /// They are good for so many seconds: a day when it is not given, at most 30 days.
    #[schemars(range(min = 60, max = 2_592_000))]
    expires_in_seconds: Option<i64>,
}

/// A link.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MadeLink {
    /// The answer.
    action: String,
    /// Its address, below that of the server.
    path: String,
    /// Its end, in seconds since 1970.
    expires: i64,
}

type Signed = Result<axum::extract::Query<Given>, QueryRejection>;

async fn make(
    State(shared): State<Arc<Shared>>,
    (_caller, Named(id)): (Caller, Named<Uuid>),
    Body(asked): Body<LinksRequest>,
) -> Answered {
    let key = key(&shared)?;
    let seconds = asked.expires_in_seconds.unwrap_or(86_400);
    if !(60..=2_592_000).contains(&seconds) {
        return Err(ApiError::field("expiresInSeconds", format!("{seconds} is not 60 to 2592000")));
    }
    if asked.r#for.trim().is_empty() {
        return Err(ApiError::field("for", "whom are the links for?"));
    }
    let approval = approvals::find(&shared, id).await?;
    let expires = shared.system.context().clock_port.now().plus_ms(seconds * 1_000).micros() / 1_000_000;
    let options = approval.get("options").and_then(serde_json::Value::as_array);
    let actions = options.into_iter().flatten().filter_map(|option| option.get("action")?.as_str());
    let known = actions.filter_map(|word| ApprovalAction::ALL.into_iter().find(|action| action.as_str() == word));
    let made = known.map(|action| {
        let link = Link {
            approval: ApprovalId(id),
            action,
            digest: Digest(text(&approval, "payload_digest").to_owned()),
            by: asked.r#for.clone(),
            expires_s: expires,
        };
        MadeLink { action: action.as_str().to_owned(), path: key.address(&link), expires }
    });
    Ok(envelope::ok(made.collect::<Vec<_>>()))
}

fn key(shared: &Shared) -> Result<&LinkKey, ApiError> {
    let none = "no key for links is configured; decide by POST /api/orchestrations/approvals/{id}/decision";
    shared.options.links.as_ref().ok_or_else(|| ApiError::new(Code::NotFound, none))
}

async fn ask(State(shared): State<Arc<Shared>>, Named(id): Named<Uuid>, signed: Signed) -> Response {
    match checked(&shared, id, signed).await {
        Ok((link, approval)) => page(StatusCode::OK, &question(&link, &approval)),
        Err(error) => refused(&error),
    }
}

/// The body is the form of the page: a note, or nothing.
async fn decide(State(shared): State<Arc<Shared>>, Named(id): Named<Uuid>, signed: Signed, Raw(form): Raw) -> Response {
    let decided = async {
        let (link, approval) = checked(&shared, id, signed).await?;
        answer(&shared, &link, &approval, note_of(&form)).await.map(|done| (link, done))
    };
    match decided.await {
        Ok((link, done)) => page(StatusCode::OK, &thanks(&link, done.repeated)),
        Err(error) => refused(&error),
    }
}

async fn checked(shared: &Shared, id: Uuid, signed: Signed) -> Result<(Link, Row), ApiError> {
    let axum::extract::Query(given) =
        signed.map_err(|_| ApiError::new(Code::BadRequest, "the link is not complete; was it cut in two?"))?;
    let link = key(shared)?.check(id, &given, shared.system.context().clock_port.now())?;
    let approval = approvals::find(shared, id).await?;
    Ok((link, approval))
}

async fn answer(shared: &Shared, link: &Link, approval: &Row, note: Option<String>) -> Result<Done, ApiError> {
    let by = format!("link:{}", link.by);
    let answer = Answer {
        approval: link.approval,
        action: link.action,
        by: by.clone(),
        note,
        modifications: None,
        digest: Some(link.digest.clone()),
    };
    // The same link again is the same command.
    let id = CommandId::of_client(&by, "approval-link", &link.signed());
    let stream = shared.stream(approvals::run_of(approval)?)?;
    Ok(shared.system.submit(stream, Command::Answer(Box::new(answer)), (id, &by)).await?)
}

pub(crate) fn note_of(form: &[u8]) -> Option<String> {
    let form = String::from_utf8_lossy(form);
    let uri: axum::http::Uri = format!("/?{form}").parse().ok()?;
    let pairs = axum::extract::Query::<Vec<(String, String)>>::try_from_uri(&uri).ok()?.0;
    pairs.into_iter().find(|(name, _)| name == "note").map(|(_, note)| note).filter(|note| !note.trim().is_empty())
}

pub(crate) fn question(link: &Link, approval: &Row) -> String {
    let mut text_of = format!("<h1>{}</h1>", html(text(approval, "question")));
    let payload = approval.get("payload").filter(|payload| !payload.is_null());
    if let Some(payload) = payload {
        let pretty = serde_json::to_string_pretty(payload).unwrap_or_default();
        text_of.push_str(&format!("<pre>{}</pre>", html(&pretty)));
    }
    let status = text(approval, "status");
    if status != "pending" {
        text_of.push_str(&format!("<p>This was decided already: {}.</p>", html(status)));
        return text_of;
    }
    if text(approval, "payload_digest") != link.digest.0 {
        text_of.push_str("<p>What is to be approved has changed since this link was made. Ask for another.</p>");
        return text_of;
    }
    let (word, who) = (link.action.as_str(), html(&link.by));
    text_of.push_str(&format!(
        "<form method=\"post\"><p><label>Note<br><textarea name=\"note\" rows=\"3\" cols=\"60\"></textarea></label></p>\
         <p><button type=\"submit\">Decide as {who}: {word}</button></p></form>"
    ));
    text_of
}

fn thanks(link: &Link, repeated: bool) -> String {
    let when = if repeated { "was recorded before" } else { "is recorded" };
    format!("<h1>Thank you</h1><p>The answer <strong>{}</strong> {when}.</p>", link.action.as_str())
}

fn refused(error: &ApiError) -> Response {
    let body = format!("<h1>This cannot be decided here</h1><p>{}</p>", html(&error.message));
    let mut response = page(error.code.status(), &body);
    envelope::finish(&mut response, error.code, error.retry_after_s);
    response
}

/// A page that runs nothing, loads nothing, is kept nowhere and cannot be framed.
fn page(status: StatusCode, body: &str) -> Response {
    let text = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>Nightshift</title>\
         <meta name=\"robots\" content=\"noindex\"></head><body>{body}</body></html>"
    );
    let policy = "default-src 'none'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";
    let headers: [(HeaderName, HeaderValue); 4] = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy)),
        (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    (status, headers, text).into_response()
}

/// Text inside HTML.
fn html(text: &str) -> String {
    let each = |letter: char| match letter {
        '&' => "&amp;".to_owned(),
        '<' => "&lt;".to_owned(),
        '>' => "&gt;".to_owned(),
        '"' => "&quot;".to_owned(),
        '\'' => "&#39;".to_owned(),
        other => other.to_string(),
    };
    text.chars().map(each).collect()
}

/// Text inside a query.
fn escaped(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

#[cfg(test)]
mod tests {
    use nightshift_domain::ids::derive;

    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

    fn link() -> Link {
        Link {
            approval: ApprovalId(derive("approval", &[b"1"])),
            action: ApprovalAction::Continue,
            digest: Digest("abc".to_owned()),
            by: "Ada & Bob <ada@example.org>".to_owned(),
            expires_s: 1_800_000_060,
        }
    }

    fn given(address: &str) -> (Uuid, Given) {
        let uri: axum::http::Uri = address.parse().unwrap();
        let id = uri.path().rsplit('/').next().unwrap().parse().unwrap();
        (id, axum::extract::Query::try_from_uri(&uri).unwrap().0)
    }

    #[test]
    fn a_link_is_good_for_what_it_says_until_its_end() {
        let key = LinkKey::new(&[7; 32]).unwrap();
        let address = key.address(&link());
        let (id, parts) = given(&address);
        assert_eq!(key.check(id, &parts, NOW).unwrap(), link());
        assert_eq!(key.check(id, &parts, NOW.plus_ms(60_000)).unwrap_err().code, Code::Gone);
        let forgeries = [
            address.replace("continue", "abort"),
            address.replace("digest=abc", "digest=abd"),
            address.replace("Bob", "Eve"),
            address.replace("expires=1800000060", "expires=1900000060"),
            address.replace(&id.to_string(), &derive("approval", &[b"2"]).to_string()),
            address.replace("signature=", "signature=A"),
        ];
        for forged in forgeries {
            assert_ne!(forged, address);
            let (id, parts) = given(&forged);
            assert_eq!(key.check(id, &parts, NOW).unwrap_err().code, Code::Forbidden, "{forged}");
        }
        let other = LinkKey::new(&[8; 32]).unwrap();
        assert_eq!(other.check(id, &parts, NOW).unwrap_err().code, Code::Forbidden);
        assert!(LinkKey::new(&[7; 31]).is_none());
    }

    #[test]
    fn the_page_shows_text_as_text_and_asks_only_what_is_open() {
        let row = |status: &str, digest: &str| -> Row {
            serde_json::json!({
                "question": "<script>alert(1)</script>", "status": status, "payload_digest": digest,
                "payload": {"a": "</pre><b>"},
            })
            .as_object()
            .unwrap()
            .clone()
        };
        let open = question(&link(), &row("pending", "abc"));
        assert!(open.contains("<form method=\"post\">") && open.contains("Decide as Ada &amp; Bob"));
        assert!(!open.contains("<script>") && !open.contains("<b>"));
        assert!(!question(&link(), &row("approved", "abc")).contains("<form"));
        assert!(!question(&link(), &row("pending", "other")).contains("<form"));
        assert_eq!(note_of(b"note=well%20done+now&x=1").as_deref(), Some("well done now"));
        assert_eq!(note_of(b"note="), None);
    }
}

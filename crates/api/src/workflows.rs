//! `/api/workflows`: definitions and their versions.
//!
//! Owns: the forms, and that a document is read before it is registered.
//! Refuses to know: how a document is written (`spec`), which version may be what (`domain`).

use std::sync::Arc;

use axum::{
    extract::State,
    http::{HeaderMap, StatusCode, header},
    routing,
};
use nightshift_actors::perform;
use nightshift_domain::{
    content::INLINE_BYTES_MAX,
    definition::{Command, Document},
    ids::DefinitionId,
    time::Timestamp,
};
use nightshift_projections::table::Row;
use nightshift_spec::{Fault, Faults, ZonedCalendar, workflow};
use serde_json::{Value, json};

use crate::{
    Shared,
    auth::{Caller, Group},
    envelope::{self, Answered, ApiError, Code},
    extract::{Named, Order, Question, Raw},
    paging::{self, Listing},
    routes::{Gives, LIMIT, OFFSET, Param, ParamKind, Route, Takes, WAIT},
    rows::{self, shown, without_secrets},
    system::done,
};

const TAG: &str = "workflows";

/// Media types of documents.
const DOCUMENT: Takes = Takes::Document(&["application/yaml", "application/json"]);

/// How workflow documents are read.
pub struct Documents {
    /// Zone data.
    pub calendar: ZonedCalendar,
    /// Steps of a run that go at once when a document of the seed's way does not say.
    pub max_parallel_default: Option<u16>,
    /// No document gets more.
    pub max_parallel_cap: Option<u16>,
}

impl Default for Documents {
    fn default() -> Self {
        Self { calendar: ZonedCalendar::bundled(), max_parallel_default: None, max_parallel_cap: None }
    }
}

impl Documents {
    /// Reads a document that belongs to `owner` unless it says otherwise.
    fn read(&self, (name, text): (&str, &str), owner: &str, now: Timestamp) -> Result<Document, Faults> {
        let context = workflow::Context {
            calendar: &self.calendar,
            now,
            owner,
            max_parallel_default: self.max_parallel_default,
            max_parallel_cap: self.max_parallel_cap,
        };
        workflow::parse(text, name, &context)
    }
}

/// The routes.
pub const ROUTES: &[Route] = &[
    Route::get("/api/workflows", || routing::get(list))
        .about(TAG, "List versions of workflows, by owner and name.")
        .query(&[
            Param { name: "owner", kind: ParamKind::Text, about: "Only those of this owner." },
            Param { name: "name", kind: ParamKind::Text, about: "Only those of this name." },
            Param {
                name: "status",
                kind: ParamKind::OneOf(&["active", "deprecated", "archived"]),
                about: "Only versions in this status.",
            },
            Param { name: "inForce", kind: ParamKind::Flag, about: "Only versions that are in force, or only others." },
            Param { name: "search", kind: ParamKind::Text, about: "Only those with this in a name or description." },
            LIMIT,
            OFFSET,
        ])
        .gives(Gives::Page("orchestration_definitions")),
    Route::post("/api/workflows", || routing::post(register))
        .group(Group::Author)
        .about(TAG, "Register a document, YAML or JSON. The same document again changes nothing.")
        .query(&[
            Param {
                name: "activate",
                kind: ParamKind::Flag,
                about: "The version is in force from now on; `true` when it is not given.",
            },
            WAIT,
        ])
        .takes(DOCUMENT)
        .status(201),
    Route::get("/api/workflows/schema", || routing::get(schema))
        .about(TAG, "Get the JSON Schema of documents, for editors."),
    Route::post("/api/workflows/validate", || routing::post(validate))
        .group(Group::Read)
        .about(TAG, "Read a document and tell all its faults; nothing is kept.")
        .query(&[])
        .takes(DOCUMENT),
    Route::get("/api/workflows/{owner}/{name}", || routing::get(in_force))
        .about(TAG, "Get the version that is in force.")
        .gives(Gives::Row("orchestration_definitions")),
    Route::get("/api/workflows/{owner}/{name}/versions", || routing::get(versions))
        .about(TAG, "List the versions of a workflow, newest first.")
        .query(&[LIMIT, OFFSET])
        .gives(Gives::Page("orchestration_definitions")),
    Route::get("/api/workflows/{owner}/{name}/versions/{version}", || routing::get(version))
        .about(TAG, "Get a version with its document.")
        .gives(Gives::Row("orchestration_definitions")),
    Route::post("/api/workflows/{owner}/{name}/versions/{version}/activate", || routing::post(activate))
        .group(Group::Author)
        .about(TAG, "Put a version in force."),
    Route::post("/api/workflows/{owner}/{name}/versions/{version}/deprecate", || routing::post(deprecate))
        .group(Group::Author)
        .about(TAG, "Keep a version for those who name it."),
    Route::post("/api/workflows/{owner}/{name}/versions/{version}/archive", || routing::post(archive))
        .group(Group::Author)
        .about(TAG, "Start no run of a version any more, for ever."),
];

async fn list(State(shared): State<Arc<Shared>>, _caller: Caller, question: Question) -> Answered {
    let mut listing = definitions(&question)?
        .with("owner", question.text("owner"))
        .with("name", question.text("name"))
        .with("status", question.text("status"))
        .searching(&["name", "display_name", "description"], question.text("search"));
    if question.text("inForce").is_some() {
        listing = listing.with("in_force", Some(question.flag("inForce", true)));
    }
    listing.query.order = vec![("owner", false), ("name", false), ("created_at", true)];
    Ok(envelope::ok(listing.page(shared.models()).await?.shown(short)))
}

/// Definitions have no user: they are there for everybody who may look.
fn definitions(question: &Question) -> Result<Listing, ApiError> {
    Ok(Listing::all(paging::table("orchestration_definitions")?, "created_at", question))
}

/// A version in a list: without its document and its graph.
fn short(row: &Row) -> Value {
    let mut row = row.clone();
    ["source", "plan"].iter().for_each(|name| drop(row.remove(*name)));
    shown(&row)
}

/// A version with its graph. The document is shown as it was written to who may write it.
fn long(row: &Row, caller: &Caller) -> Value {
    let mut row = row.clone();
    if !caller.may(Group::Author) {
        row.remove("source");
        return without_secrets(&shown(&row));
    }
    shown(&row)
}

async fn schema(_caller: Caller) -> Answered {
    Ok(envelope::ok(workflow::schema()))
}

/// The document of a body, with the name that the media type suggests.
fn text_of(headers: &HeaderMap, body: Vec<u8>) -> Result<(&'static str, String), ApiError> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let name = if kind.contains("json") { "body.json" } else { "body.yaml" };
    let text = String::from_utf8(body).map_err(|_| ApiError::field("body", "the document is no UTF-8"))?;
    if text.trim().is_empty() {
        return Err(ApiError::field("body", "a document is expected, YAML or JSON"));
    }
    Ok((name, text))
}

fn listed(faults: &Faults) -> Vec<Value> {
    let each = |fault: &Fault| {
        json!({
            "line": fault.line, "column": fault.column, "path": fault.path, "found": fault.found,
            "allowed": fault.allowed, "remedy": fault.remedy, "message": fault.to_string(),
        })
    };
    faults.0.iter().map(each).collect()
}

async fn validate(State(shared): State<Arc<Shared>>, caller: Caller, headers: HeaderMap, Raw(body): Raw) -> Answered {
    let (name, text) = text_of(&headers, body.to_vec())?;
    Ok(envelope::ok(match read(&shared, (name, &text), &caller) {
        Ok(document) => json!({
            "valid": true, "faults": [],
            "owner": document.owner, "name": document.name, "version": document.version,
            "digest": document.digest(),
        }),
        Err(faults) => json!({"valid": false, "faults": listed(&faults)}),
    }))
}

fn read(shared: &Shared, document: (&str, &str), caller: &Caller) -> Result<Document, Faults> {
    let now = shared.system.context().clock_port.now();
    shared.options.documents.read(document, &caller.user, now)
}

async fn register(
    State(shared): State<Arc<Shared>>,
    (caller, order, question, headers): (Caller, Order, Question, HeaderMap),
    Raw(body): Raw,
) -> Answered {
    let (name, text) = text_of(&headers, body.to_vec())?;
    let document = read(&shared, (name, &text), &caller).map_err(|faults| {
        let paths = faults.0.iter().map(|fault| (fault.path.clone(), fault.to_string())).collect();
        ApiError { details: Some(json!({"faults": listed(&faults)})), ..ApiError::fields(paths) }
    })?;
    let document = kept(&shared, document, text).await?;
    let id = DefinitionId::of(&document.owner, &document.name, shared.shard_count());
    let said = json!({
        "id": id, "owner": document.owner, "name": document.name, "version": document.version,
        "digest": document.digest(),
    });
    let user = caller.on_behalf_of(None)?;
    let activate = question.flag("activate", true);
    let command = Command::Register { document: Arc::new(document), user, activate };
    let taken = shared.carry_out(&caller, order, id.stream(), command).await?;
    Ok(done(&taken, envelope::said(StatusCode::CREATED, said)))
}

/// A document whose text is where an event may refer to it.
async fn kept(shared: &Shared, mut document: Document, text: String) -> Result<Document, ApiError> {
    let blobs = &shared.system.context().performers.blobs;
    let large = text.len() > INLINE_BYTES_MAX;
    if large || document.source.inline.is_none() {
        document.source = perform::keep(&**blobs, text).await?;
    }
    Ok(document)
}

async fn in_force(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Named((owner, name)): Named<(String, String)>,
) -> Answered {
    let found = find(&shared, &owner, &name, ("in_force", Value::Bool(true))).await?;
    let found = found.ok_or_else(|| ApiError::not_found(format!("workflow {owner}/{name} that is in force")))?;
    Ok(envelope::ok(long(&found, &caller)))
}

async fn version(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Named((owner, name, version)): Named<(String, String, String)>,
) -> Answered {
    let found = find(&shared, &owner, &name, ("version", Value::from(version.clone()))).await?;
    let found = found.ok_or_else(|| ApiError::not_found(format!("workflow {owner}/{name}@{version}")))?;
    Ok(envelope::ok(long(&found, &caller)))
}

async fn find(shared: &Shared, owner: &str, name: &str, which: (&'static str, Value)) -> Result<Option<Row>, ApiError> {
    let key = [("owner", Value::from(owner)), ("name", Value::from(name)), which];
    Ok(paging::one(shared.models(), paging::table("orchestration_definitions")?, &key).await?)
}

async fn versions(
    State(shared): State<Arc<Shared>>,
    (_caller, Named((owner, name))): (Caller, Named<(String, String)>),
    question: Question,
) -> Answered {
    let what = format!("workflow {owner}/{name}");
    let listing = definitions(&question)?.with("owner", Some(owner)).with("name", Some(name));
    let page = listing.page(shared.models()).await?;
    if page.total == 0 {
        return Err(ApiError::new(Code::NotFound, format!("there is no {what}")));
    }
    Ok(envelope::ok(page.shown(short)))
}

type Which = Named<(String, String, String)>;

async fn activate(
    State(shared): State<Arc<Shared>>,
    (caller, order, Named(which)): (Caller, Order, Which),
) -> Answered {
    let command = Command::Activate { version: which.2.clone() };
    change(&shared, &caller, (order, which), command).await
}

async fn deprecate(
    State(shared): State<Arc<Shared>>,
    (caller, order, Named(which)): (Caller, Order, Which),
) -> Answered {
    let command = Command::Deprecate { version: which.2.clone() };
    change(&shared, &caller, (order, which), command).await
}

async fn archive(State(shared): State<Arc<Shared>>, (caller, order, Named(which)): (Caller, Order, Which)) -> Answered {
    let command = Command::Archive { version: which.2.clone() };
    change(&shared, &caller, (order, which), command).await
}

async fn change(
    shared: &Shared,
    caller: &Caller,
    (order, (owner, name, version)): (Order, (String, String, String)),
    command: Command,
) -> Answered {
    let id = DefinitionId::of(&owner, &name, shared.shard_count());
    let taken = shared.carry_out(caller, order, id.stream(), command).await?;
    let mut said = json!({"id": id, "owner": owner, "name": name, "version": version});
    if order.wait {
        let found = find(shared, &owner, &name, ("version", Value::from(version))).await?;
        said["status"] = Value::from(found.map(|row| rows::text(&row, "status").to_owned()));
    }
    Ok(done(&taken, envelope::ok(said)))
}

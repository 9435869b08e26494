//! `/api/jobs/bulk`: one verb, done to every dead letter that a filter chooses, as a job of the server with progress.
//!
//! Owns: the forms, and that nobody chooses letters of others.
//! Refuses to know: how letters are found and told; the bulk job does that, whether its client stays or not.

use std::sync::Arc;

use axum::{extract::State, http::StatusCode, routing};
use nightshift_actors::chooser::question;
use nightshift_domain::{
    bulk::{Command, Created, Filter, State as Bulk},
    ids::{BulkId, RunId, UserId},
    run::DeadVerb,
    time::Timestamp,
};
use nightshift_ports::read_models::Query;
use nightshift_projections::table::Row;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    Shared,
    auth::{Caller, Group},
    envelope::{self, Answered, ApiError, Code},
    extract::{Body, Named, Order, Question},
    jobs::{CLASSES, TAG},
    paging::{self, Listing},
    recovery::{NoteRequest, asked},
    routes::{Gives, LIMIT, OFFSET, Param, ParamKind, Route, Takes, of},
    rows::{self, shown},
    system::done,
};

/// States of bulk jobs.
const STATES: &[&str] = &["running", "cancelling", "completed", "cancelled"];

/// Letters that a rehearsal names.
const SAMPLE: u32 = 10;

/// The routes.
pub const ROUTES: &[Route] = &[
    Route::post("/api/jobs/bulk", || routing::post(create))
        .group(Group::Steer)
        .about(TAG, "Retry, reset or discard every dead letter that fits a filter; with `dryRun`, only count them.")
        .takes(Takes::Json(of::<BulkRequest>))
        .status(202),
    Route::get("/api/jobs/bulk", || routing::get(list))
        .about(TAG, "List bulk jobs, the newest first.")
        .query(&[
            Param { name: "status", kind: ParamKind::OneOf(STATES), about: "Only jobs in this state." },
            LIMIT,
            OFFSET,
        ])
        .gives(Gives::Page("bulk_jobs")),
    Route::get("/api/jobs/bulk/{id}", || routing::get(one))
        .about(TAG, "Tell how far a bulk job is, and which letters were refused.")
        .gives(Gives::Row("bulk_jobs")),
    Route::post("/api/jobs/bulk/{id}/cancel", || routing::post(cancel))
        .group(Group::Steer)
        .about(TAG, "Choose no more letters; those that were told already are awaited.")
        .takes(Takes::Json(of::<NoteRequest>)),
];

/// What is done to a dead letter.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Verb {
    /// One more attempt.
    Retry,
    /// All attempts anew.
    Reset,
    /// It is given up.
    Discard,
}

impl From<Verb> for DeadVerb {
    fn from(verb: Verb) -> Self {
        match verb {
            Verb::Retry => Self::Retry,
            Verb::Reset => Self::Reset,
            Verb::Discard => Self::Discard,
        }
    }
}

/// A bulk job to be begun.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BulkRequest {
    /// What is done.
    verb: Verb,
    /// To which letters; without it to all of them.
    #[serde(default)]
    filter: FilterRequest,
    /// Only count the letters, and do nothing.
    #[serde(default, alias = "dry_run")]
    dry_run: bool,
    /// For people.
    note: Option<String>,
}

/// Which letters: those that fit everything that is given.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FilterRequest {
    /// `dead`, the only state in which a job is a letter.
    status: Option<String>,
    /// The queue it waits in.
    queue: Option<String>,
    /// Its definition: name, or `owner/name`.
    definition: Option<String>,
    /// Class of its last failure.
    #[serde(alias = "error_class")]
    error_class: Option<String>,
    /// Whose it is. Who is no operator has its own only.
    #[serde(alias = "userId")]
    user: Option<String>,
    /// The run it belongs to.
    run_id: Option<Uuid>,
    /// It died before, RFC 3339.
    before: Option<String>,
    /// It died after, RFC 3339.
    after: Option<String>,
}

impl FilterRequest {
    /// Held against what can be, and against what the caller may see.
    fn checked(self, caller: &Caller) -> Result<Filter, ApiError> {
        let mut faults = Vec::new();
        let mut fault = |field: &str, why: String| faults.push((format!("filter.{field}"), why));
        let status = self.status.unwrap_or_else(|| "dead".to_owned());
        if status != "dead" {
            fault("status", format!("{status:?}: only \"dead\" jobs are letters"));
        }
        if let Some(class) = self.error_class.as_deref().filter(|class| !CLASSES.contains(class)) {
            fault("errorClass", format!("{class:?} is not one of {}", CLASSES.join(", ")));
        }
        let mut instant = |field: &str, text: Option<String>| {
            let text = text?;
            let read = chrono::DateTime::parse_from_rfc3339(&text);
            let read = read.map_err(|_| fault(field, format!("{text:?} is no instant (2026-01-31T08:00:00Z)")));
            read.ok().map(|at| Timestamp::from(at.to_utc()))
        };
        let (before, after) = (instant("before", self.before), instant("after", self.after));
        if !faults.is_empty() {
            return Err(ApiError::fields(faults));
        }
        let user = match self.user {
            Some(user) if !caller.sees(&user) => {
                return Err(ApiError::new(Code::Forbidden, format!("dead letters of {user:?} are not yours")));
            }
            None if !caller.sees_all() => Some(caller.user.clone()),
            user => user,
        };
        let run = self.run_id.map(RunId::from_uuid);
        let (queue, definition, error_class) = (self.queue, self.definition, self.error_class);
        Ok(Filter { status, queue, definition, error_class, user, run, before, after })
    }
}

async fn create(
    State(shared): State<Arc<Shared>>,
    (caller, order): (Caller, Order),
    Body(request): Body<BulkRequest>,
) -> Answered {
    let filter = request.filter.checked(&caller)?;
    let wanted = question(&filter, shared.system.context().clock_port.now());
    let table = paging::table("job_queue")?;
    let expected = shared.models().count(table, &wanted).await?;
    let verb = DeadVerb::from(request.verb);
    if request.dry_run {
        let sample = shared.models().query(table, &Query { limit: SAMPLE, ..wanted }).await?;
        let sample: Vec<&str> = sample.iter().map(|row| rows::text(row, "job_id")).collect();
        let counted = json!({"dryRun": true, "verb": verb.as_str(), "total": expected, "sample": sample});
        return Ok(envelope::ok(counted));
    }
    let id = BulkId::of(order.id, shared.shard_count());
    let (by, user) = (asked(&caller, request.note), UserId(caller.user.clone()));
    let command = Command::Create(Box::new(Created { verb, filter, user, by, expected }));
    let taken = shared.carry_out(&caller, order, id.stream(), command).await?;
    // A repeated order is answered as the first, whatever fits the filter by now.
    let first = shared.ask(id.stream(), |state: &Bulk| state.bulk().map(|bulk| bulk.created.clone())).await?;
    let (verb, total) = first.map_or((verb, expected), |first| (first.verb, first.expected));
    let begun = json!({"id": id.uuid(), "verb": verb.as_str(), "total": total});
    Ok(done(&taken, envelope::said(StatusCode::ACCEPTED, begun)))
}

async fn list(State(shared): State<Arc<Shared>>, caller: Caller, question: Question) -> Answered {
    let listing = Listing::own(paging::table("bulk_jobs")?, &caller, "created_at", &question)
        .with("status", question.text("status"));
    Ok(envelope::ok(listing.page(shared.models()).await?.shown(with_left)))
}

async fn one(State(shared): State<Arc<Shared>>, caller: Caller, Named(id): Named<Uuid>) -> Answered {
    own(&shared, &caller, id).await?;
    let row = match shared.own_row(&caller, "bulk_jobs", id).await {
        Err(error) if error.code == Code::NotFound => {
            // It was begun a moment ago.
            shared.system.caught_up().await?;
            shared.own_row(&caller, "bulk_jobs", id).await?
        }
        row => row?,
    };
    Ok(envelope::ok(with_left(&row)))
}

/// With how many letters have not answered yet.
fn with_left(row: &Row) -> Value {
    let number = |name: &str| row.get(name).and_then(Value::as_i64).unwrap_or(0);
    let mut job = shown(row);
    let over = row.get("ended_at").is_some_and(|at| !at.is_null());
    job["left"] = Value::from(if over { 0 } else { (number("total") - number("done") - number("refused")).max(0) });
    job
}

/// A bulk job that the caller may see, by its own word.
async fn own(shared: &Shared, caller: &Caller, id: Uuid) -> Result<BulkId, ApiError> {
    let job = BulkId::from_uuid(id);
    let user = shared.ask(job.stream(), |state: &Bulk| state.bulk().map(|bulk| bulk.created.user.clone())).await?;
    match user.filter(|user| caller.sees(&user.0)) {
        Some(_) => Ok(job),
        None => Err(ApiError::not_found(format!("bulk job {id}"))),
    }
}

async fn cancel(
    State(shared): State<Arc<Shared>>,
    (caller, order, Named(id)): (Caller, Order, Named<Uuid>),
    Body(request): Body<NoteRequest>,
) -> Answered {
    let job = own(&shared, &caller, id).await?;
    let command = Command::Cancel { by: asked(&caller, request.note) };
    let taken = shared.carry_out(&caller, order, job.stream(), command).await?;
    Ok(done(&taken, envelope::ok(json!({"id": id, "version": taken.version}))))
}

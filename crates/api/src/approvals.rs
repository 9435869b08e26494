//! `/api/orchestrations/approvals`: questions to people and their answers.
//!
//! Owns: who sees and who may answer a question. Refuses to know: what follows from an answer.

use std::sync::Arc;

use axum::{extract::State, routing};
use nightshift_domain::{
    content::Digest,
    ids::{RunId, StreamId},
    run::{Answer, ApprovalAction, ApprovalId, Command, Passed},
};
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
    paging::{self, Listing},
    routes::{Gives, LONG_LIMIT, OFFSET, Param, ParamKind, Route, Takes, of},
    rows::{self, shown},
    system::done,
};

const TAG: &str = "approvals";

/// The routes.
pub const ROUTES: &[Route] = &[
    Route::get("/api/orchestrations/approvals", || routing::get(list))
        .about(TAG, "List questions: of one's own runs, and those that name the caller or a group of the caller.")
        .query(&[
            Param {
                name: "status",
                kind: ParamKind::OneOf(&["pending", "approved", "rejected", "retried", "aborted", "void", "all"]),
                about: "Only questions in this status; `pending` when it is not given.",
            },
            Param { name: "runId", kind: ParamKind::Id, about: "Only questions of this run." },
            Param {
                name: "organizationSlug",
                kind: ParamKind::Text,
                about: "Kept for clients of the seed: there is one organization, `global`.",
            },
            Param {
                name: "sortDirection",
                kind: ParamKind::OneOf(&["asc", "desc"]),
                about: "By the instant of the question; `desc` when it is not given.",
            },
            LONG_LIMIT,
            OFFSET,
        ])
        .gives(Gives::Page("human_approvals")),
    Route::get("/api/orchestrations/approvals/{id}", || routing::get(one))
        .about(TAG, "Get a question.")
        .gives(Gives::Row("human_approvals")),
    Route::post("/api/orchestrations/approvals/{id}/decision", || routing::post(decide))
        .group(Group::Review)
        .about(TAG, "Answer a question, once. With `digest` the answer is void when the payload has changed since.")
        .takes(Takes::Json(of::<DecisionRequest>)),
];

/// An answer.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DecisionRequest {
    /// What is decided.
    #[serde(alias = "action")]
    decision: Decision,
    /// For people.
    #[serde(alias = "note", alias = "comment")]
    notes: Option<String>,
    /// Laid over the step's input (retry) or over the payload (continue).
    modifications: Option<Value>,
    /// `payloadDigest` of the question as it was read.
    #[serde(alias = "payloadDigest")]
    digest: Option<String>,
}

/// What can be decided.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Decision {
    /// The run goes on.
    #[serde(alias = "approve", alias = "approved")]
    Continue,
    /// The step is done again.
    Retry,
    /// The run is stopped.
    #[serde(alias = "reject", alias = "rejected")]
    Abort,
}

impl Decision {
    const fn action(self) -> ApprovalAction {
        match self {
            Self::Continue => ApprovalAction::Continue,
            Self::Retry => ApprovalAction::Retry,
            Self::Abort => ApprovalAction::Abort,
        }
    }
}

/// Whether a caller sees a question: it is about one's own run, or one is asked.
pub fn sees(caller: &Caller, approval: &Row) -> bool {
    caller.sees(rows::text(approval, "user_id")) || is_asked(caller, approval)
}

/// Whether a question names the caller, or a group of the caller.
fn is_asked(caller: &Caller, approval: &Row) -> bool {
    let named = rows::text(approval, "assignee");
    let group = rows::text(approval, "group_name");
    (!named.is_empty() && named == caller.user) || (!group.is_empty() && caller.groups.contains(group))
}

/// Whether a caller may answer: who runs the system always may; when the question names somebody, only who is named;
/// when it names nobody, whoever sees it.
fn may_answer(caller: &Caller, approval: &Row) -> bool {
    let names_somebody = ["assignee", "group_name"].iter().any(|name| !rows::text(approval, name).is_empty());
    caller.sees_all() || if names_somebody { is_asked(caller, approval) } else { sees(caller, approval) }
}

/// Whether a caller may decide a question of a run of `user`, as the routes of this module would let it.
pub fn may_decide(caller: &Caller, user: &str, question: &Passed) -> bool {
    let row = [
        ("user_id", Value::from(user)),
        ("assignee", Value::from(question.assignee.clone())),
        ("group_name", Value::from(question.group.clone())),
    ];
    caller.may(Group::Review)
        && may_answer(caller, &row.map(|(name, value)| (name.to_owned(), value)).into_iter().collect())
}

/// The question of that id, whoever asks.
///
/// # Errors
/// 404: there is none.
pub async fn find(shared: &Shared, id: Uuid) -> Result<Row, ApiError> {
    let key = [("id", Value::from(id.to_string()))];
    let table = paging::table("human_approvals")?;
    let mut found = paging::one(shared.models(), table, &key).await?;
    if found.is_none() {
        // It may have been asked a moment ago.
        let all_shown = shared.system.caught_up().await;
        found = paging::one(shared.models(), table, &key).await?;
        if found.is_none() {
            all_shown?;
        }
    }
    found.ok_or_else(|| ApiError::not_found(format!("approval {id}")))
}

/// The run that a question is about.
///
/// # Errors
/// The row names none: a fault of the read models.
pub fn run_of(approval: &Row) -> Result<StreamId, ApiError> {
    let run = rows::text(approval, "run_id").parse::<RunId>();
    run.map(RunId::stream).map_err(|_| ApiError::new(Code::Internal, "the question names no run"))
}

async fn list(State(shared): State<Arc<Shared>>, caller: Caller, question: Question) -> Answered {
    let table = paging::table("human_approvals")?;
    let mut listing = Listing::all(table, "requested_at", &question);
    listing.query.limit = question.number("limit", 50);
    listing.query.order = vec![("requested_at", question.text("sortDirection") != Some("asc"))];
    if !caller.sees_all() {
        let user = || Value::from(caller.user.clone());
        let groups = caller.groups.iter().map(|group| vec![("group_name", Value::from(group.clone()))]);
        let own = [vec![("user_id", user())], vec![("assignee", user())]];
        listing = listing.any(own.into_iter().chain(groups).collect());
    }
    listing = listing.with("run_id", question.id("runId").map(|id| id.to_string()));
    let status = question.text("status").unwrap_or("pending");
    if status != "all" {
        listing = listing.with("status", Some(status));
    }
    if question.text("organizationSlug").is_some_and(|slug| slug != "global") {
        listing = listing.nothing();
    }
    Ok(envelope::ok(listing.page(shared.models()).await?.shown(shown)))
}

async fn one(State(shared): State<Arc<Shared>>, caller: Caller, Named(id): Named<Uuid>) -> Answered {
    let approval = find(&shared, id).await?;
    if !sees(&caller, &approval) {
        return Err(ApiError::not_found(format!("approval {id}")));
    }
    Ok(envelope::ok(shown(&approval)))
}

async fn decide(
    State(shared): State<Arc<Shared>>,
    (caller, order, Named(id)): (Caller, Order, Named<Uuid>),
    Body(asked): Body<DecisionRequest>,
) -> Answered {
    let approval = find(&shared, id).await?;
    if !sees(&caller, &approval) {
        return Err(ApiError::not_found(format!("approval {id}")));
    }
    if !may_answer(&caller, &approval) {
        return Err(ApiError::new(Code::Forbidden, "the question asks somebody else"));
    }
    let action = asked.decision.action();
    let answer = Answer {
        approval: ApprovalId(id),
        action,
        by: caller.user.clone(),
        note: asked.notes,
        modifications: asked.modifications,
        digest: asked.digest.map(Digest),
    };
    let stream = run_of(&approval)?;
    let taken = shared.carry_out(&caller, order, stream, Command::Answer(Box::new(answer))).await?;
    let said = json!({"id": id, "runId": stream.id, "status": action.outcome(), "decision": action.as_str()});
    Ok(done(&taken, envelope::ok(said)))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::auth::Role;

    fn caller(user: &str, role: Role, groups: &[&str]) -> Caller {
        Caller {
            user: user.to_owned(),
            roles: BTreeSet::from([role]),
            scopes: None,
            groups: groups.iter().map(|group| (*group).to_owned()).collect(),
            via: String::new(),
        }
    }

    fn question(user: &str, assignee: Option<&str>, group: Option<&str>) -> Row {
        json!({"user_id": user, "assignee": assignee, "group_name": group}).as_object().unwrap().clone()
    }

    #[test]
    fn who_sees_a_question_and_who_may_answer_it() {
        let to_all = question("ada", None, None);
        let to_bob = question("ada", Some("bob"), None);
        let to_legal = question("ada", None, Some("legal"));
        let ada = caller("ada", Role::Reviewer, &[]);
        let bob = caller("bob", Role::Reviewer, &[]);
        let lea = caller("lea", Role::Reviewer, &["legal"]);
        let operator = caller("op", Role::Operator, &[]);
        for (who, row, seen, answers) in [
            (&ada, &to_all, true, true),
            (&bob, &to_all, false, false),
            (&ada, &to_bob, true, false),
            (&bob, &to_bob, true, true),
            (&lea, &to_bob, false, false),
            (&lea, &to_legal, true, true),
            (&bob, &to_legal, false, false),
            (&operator, &to_all, true, true),
            (&operator, &to_bob, true, true),
        ] {
            assert_eq!((sees(who, row), may_answer(who, row)), (seen, answers), "{} {row:?}", who.user);
        }
        let nobody = caller("", Role::Reviewer, &[""]);
        assert!(!is_asked(&nobody, &to_all), "a question without a name asks nobody by that name");
    }
}

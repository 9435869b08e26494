//! How a request becomes a run.
//!
//! Owns: which definition a name means, and that the same order is the same run.
//! Refuses to know: whether the run may be started, what its parameters must be: the definition says so.

use std::collections::BTreeSet;

use nightshift_actors::envelope::Done;
use nightshift_domain::{
    definition,
    ids::{DefinitionId, RunId, UserId, place},
};
use nightshift_projections::table::Row;
use serde_json::{Value, json};

use crate::{
    Shared,
    auth::Caller,
    envelope::{ApiError, Code},
    extract::Order,
    paging, rows,
};

/// A definition that somebody named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// Its id.
    pub id: DefinitionId,
    /// Owner.
    pub owner: String,
    /// Name.
    pub name: String,
}

/// What is asked for beside the definition.
#[derive(Debug)]
pub struct Wish {
    /// The version; none: the one in force.
    pub version: Option<String>,
    /// As given.
    pub parameters: Value,
    /// Whose run it is.
    pub user: UserId,
    /// More about the cause: laid over `{type: "manual", by}`.
    pub cause: Value,
    /// Priority; none: the definition's.
    pub priority: Option<i16>,
}

impl Shared {
    /// The definition that a name means: that of the owner; without an owner the only one of that name, or the user's
    /// own among several.
    ///
    /// # Errors
    /// 404: there is none; 409: there are several.
    pub(crate) async fn definition(&self, owner: Option<&str>, name: &str, user: &str) -> Result<Named, ApiError> {
        let named = |owner: &str| {
            let id = DefinitionId::of(owner, name, self.shard_count());
            Named { id, owner: owner.to_owned(), name: name.to_owned() }
        };
        if let Some(owner) = owner {
            return Ok(named(owner));
        }
        let mut owners = self.owners_of(name).await?;
        if owners.is_empty() {
            // It may have been registered a moment ago.
            let all_shown = self.system.caught_up().await;
            owners = self.owners_of(name).await?;
            if owners.is_empty() {
                all_shown?;
            }
        }
        if owners.contains(user) {
            return Ok(named(user));
        }
        match owners.iter().collect::<Vec<_>>()[..] {
            [] => Err(ApiError::not_found(format!("workflow {name:?}"))),
            [owner] => Ok(named(owner)),
            ref several => {
                let message = format!("several owners have a workflow {name:?}: say which of {several:?}");
                Err(ApiError::new(Code::Conflict, message).with(json!({"owners": several})))
            }
        }
    }

    async fn owners_of(&self, name: &str) -> Result<BTreeSet<String>, ApiError> {
        let table = paging::table("orchestration_definitions")?;
        let found = paging::all(self.models(), table, vec![("name", Value::from(name))], vec![]).await?;
        Ok(found.iter().map(|row| rows::text(row, "owner").to_owned()).collect())
    }

    /// Starts a run: one order, one run.
    ///
    /// # Errors
    /// 404, 409 or 400, as the definition says.
    pub(crate) async fn launch(
        &self,
        caller: &Caller,
        order: Order,
        definition: &Named,
        wish: Wish,
    ) -> Result<(RunId, Done), ApiError> {
        let seed = order.id.child("run", 0);
        let run = RunId::on_shard(seed, place(seed, self.shard_count()));
        let mut trigger = json!({"type": "manual", "by": caller.user});
        if let (Some(trigger), Value::Object(cause)) = (trigger.as_object_mut(), wish.cause) {
            trigger.extend(cause);
        }
        let start = definition::Start {
            run,
            version: wish.version,
            parameters: wish.parameters,
            user: wish.user,
            trigger,
            parent: None,
            priority: wish.priority,
        };
        let command = definition::Command::Start(Box::new(start));
        let stream = definition.id.stream();
        // Kept by the run that it begins, or by the definition that turned it down.
        let kept_on = [stream.shard(), run.shard()];
        let done = self.carry_out_once(caller, order, (stream, &kept_on), command).await.map_err(|error| {
            let Named { owner, name, .. } = definition;
            match error.code {
                Code::NotFound => ApiError { message: format!("{} ({owner}/{name})", error.message), ..error },
                _ => error,
            }
        })?;
        Ok((run, done))
    }

    /// The row of a run that was asked for, when the read models have it. Woken by them, never by time.
    ///
    /// # Errors
    /// 503: the read models end.
    pub(crate) async fn begun(&self, run: RunId) -> Result<Row, ApiError> {
        let table = paging::table("orchestration_runs")?;
        let key = [("id", Value::from(run.to_string()))];
        let projector = &self.system.context().projector;
        let mut progress = projector.watch();
        loop {
            progress.borrow_and_update();
            if let Some(row) = paging::one(self.models(), table, &key).await? {
                return Ok(row);
            }
            if let Some(stuck) = projector.all_stuck().into_iter().find(|stuck| stuck.shard == run.shard()) {
                return Err(stuck.into());
            }
            projector.nudge();
            if progress.changed().await.is_err() {
                return Err(ApiError::new(Code::Unavailable, "the system is ending").retry_after(1));
            }
        }
    }
}

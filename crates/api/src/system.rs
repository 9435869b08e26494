//! What handlers ask of the running system.
//!
//! Owns: sending a command and waiting for what it changes, finding things that may be seen.
//! Refuses to know: HTTP bodies, what the commands mean.

use std::any::Any;

use axum::{
    http::{HeaderName, HeaderValue},
    response::Response,
};
use nightshift_actors::envelope::{Done, Position};
use nightshift_domain::{
    ids::{DeliverableId, RunId, ShardId, StreamId},
    run,
    streams::AnyCommand,
};
use nightshift_ports::read_models::ReadModels;
use nightshift_projections::table::Row;
use serde_json::Value;
use uuid::Uuid;

use crate::{Shared, auth::Caller, envelope::ApiError, extract::Order, paging, rows};

/// Where the log stands after a change, `shard:seq`. Sent with a later look, it waits until the read models are there.
pub const POSITION: HeaderName = HeaderName::from_static("x-nightshift-position");

/// The order had been carried out before.
pub const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

impl Shared {
    /// The read models.
    pub(crate) fn models(&self) -> &dyn ReadModels {
        &*self.system.context().read_models
    }

    /// How many shards the log has.
    pub(crate) fn shard_count(&self) -> u16 {
        self.system.context().shard_count()
    }

    /// A stream that could exist. An id from outside may name any shard.
    ///
    /// # Errors
    /// 404: there is no such shard, so there is no such stream.
    pub(crate) fn stream(&self, stream: StreamId) -> Result<StreamId, ApiError> {
        if stream.shard().0 < self.shard_count() && stream.id.get_version_num() == 8 {
            Ok(stream)
        } else {
            Err(ApiError::not_found(stream))
        }
    }

    /// Asks a question of a stream's state.
    ///
    /// # Errors
    /// 404 when there is no such stream, 503 when it did not answer.
    pub(crate) async fn ask<S: Any, T: Send + 'static>(
        &self,
        stream: StreamId,
        question: impl FnOnce(&S) -> T + Send + 'static,
    ) -> Result<T, ApiError> {
        let stream = self.stream(stream)?;
        Ok(self.system.ask(stream, move |state: &S, _| question(state)).await?)
    }

    /// Gives an order to a stream; waits for the read models when its sender wants to.
    ///
    /// # Errors
    /// What the stream answered, as HTTP says it.
    pub(crate) async fn carry_out(
        &self,
        caller: &Caller,
        order: Order,
        stream: StreamId,
        command: impl Into<AnyCommand>,
    ) -> Result<Done, ApiError> {
        self.carry_out_once(caller, order, (stream, &[stream.shard()]), command).await
    }

    /// As [`Self::carry_out`], for a command that may be kept on any of these shards.
    ///
    /// # Errors
    /// What the stream answered, as HTTP says it; 422 when the key of the order named another request before.
    pub(crate) async fn carry_out_once(
        &self,
        caller: &Caller,
        order: Order,
        (stream, kept_on): (StreamId, &[ShardId]),
        command: impl Into<AnyCommand>,
    ) -> Result<Done, ApiError> {
        let stream = self.stream(stream)?;
        let request = order.request.map(|request| request.to_string());
        let taken = self.system.submit_named(stream, command, (order.id, &caller.actor()), request).await;
        self.same_request((order.id, order.request), kept_on, &taken).await?;
        let done = taken?;
        if order.wait {
            self.shown(done.position).await?;
        }
        Ok(done)
    }

    /// Returns when the read models are at a position.
    ///
    /// # Errors
    /// 503: they will not be; the error names the shard.
    pub(crate) async fn shown(&self, position: Position) -> Result<(), ApiError> {
        let projector = &self.system.context().projector;
        projector.nudge();
        Ok(projector.caught_up(&[(position.shard, position.seq)]).await?)
    }

    /// Returns when the read models are where a client saw the log.
    ///
    /// # Errors
    /// The text is no position, or one that the log has not reached.
    pub(crate) async fn wait_for(&self, text: &str) -> Result<(), ApiError> {
        let parts = text.split_once(':').and_then(|(shard, seq)| Some((shard.parse().ok()?, seq.parse().ok()?)));
        let wrong = |why: &str| ApiError::field(POSITION.as_str(), format!("{text:?} {why}"));
        let (shard, seq) = parts.ok_or_else(|| wrong("is no position: shard:seq, as an answer gave it"))?;
        let position = Position { shard: ShardId(shard), seq };
        let heads = self.system.context().journal.heads();
        if !heads.iter().any(|(shard, head)| *shard == position.shard && *head >= seq) {
            return Err(wrong("is a position that this log has not reached"));
        }
        self.shown(position).await
    }

    /// The row of a run that the caller may see.
    ///
    /// # Errors
    /// 404: there is none that may be seen.
    pub(crate) async fn run_row(&self, caller: &Caller, id: Uuid) -> Result<Row, ApiError> {
        self.own_row(caller, "orchestration_runs", id).await
    }

    /// A row, by its id, that the caller may see. What belongs to others is not there.
    ///
    /// # Errors
    /// 404: there is none that may be seen.
    pub(crate) async fn own_row(&self, caller: &Caller, table: &'static str, id: Uuid) -> Result<Row, ApiError> {
        let found = paging::one(self.models(), paging::table(table)?, &[("id", Value::from(id.to_string()))]).await?;
        let found = found.filter(|row| caller.sees(rows::text(row, "user_id")));
        found.ok_or_else(|| ApiError::not_found(format!("{} {id}", thing(table))))
    }

    /// A run that the caller may steer, by its own word: read models may not show it yet.
    ///
    /// # Errors
    /// 404: there is none that may be seen.
    pub(crate) async fn own_run(&self, caller: &Caller, id: Uuid) -> Result<RunId, ApiError> {
        let run = RunId::from_uuid(id);
        let user = |state: &run::State| state.run().map(|run| run.created.user.clone());
        let user = self.ask(run.stream(), user).await?;
        match user.filter(|user| caller.sees(&user.0)) {
            Some(_) => Ok(run),
            None => Err(ApiError::not_found(format!("run {id}"))),
        }
    }

    /// A deliverable that the caller may steer.
    ///
    /// # Errors
    /// 404: there is none that may be seen.
    pub(crate) async fn own_deliverable(&self, caller: &Caller, id: Uuid) -> Result<DeliverableId, ApiError> {
        let deliverable = DeliverableId::from_uuid(id);
        let user = |state: &nightshift_domain::deliverable::State| state.taken().map(|taken| taken.user.clone());
        let user = self.ask(deliverable.stream(), user).await?;
        match user.filter(|user| caller.sees(&user.0)) {
            Some(_) => Ok(deliverable),
            None => Err(ApiError::not_found(format!("deliverable {id}"))),
        }
    }
}

/// What a row of a table is called.
fn thing(table: &str) -> &'static str {
    match table {
        "orchestration_runs" => "run",
        "human_approvals" => "approval",
        "deliverables" => "deliverable",
        "schedules" => "schedule",
        "bulk_jobs" => "bulk job",
        _ => "such thing",
    }
}

/// The answer to an order: where the log stands after it, and whether it had been carried out before.
pub fn done(done: &Done, mut answer: Response) -> Response {
    let position = format!("{}:{}", done.position.shard, done.position.seq);
    if let Ok(position) = HeaderValue::from_str(&position) {
        answer.headers_mut().insert(POSITION, position);
    }
    if done.repeated {
        answer.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    }
    answer
}

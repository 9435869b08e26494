//! Liveness, readiness, metrics.

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Shared,
    auth::Group,
    routes::{Gives, Route, of},
};

const TAG: &str = "process";

/// The routes.
pub const ROUTES: &[Route] = &[
    Route::get("/healthz", || routing::get(healthz))
        .group(Group::Public)
        .about(TAG, "Tell whether the process should go on.")
        .gives(Gives::Plain(of::<Health>)),
    Route::get("/readyz", || routing::get(readyz))
        .group(Group::Public)
        .about(TAG, "Tell whether work is taken and done.")
        .gives(Gives::Plain(of::<Readiness>)),
    Route::get("/metrics", || routing::get(metrics))
        .group(Group::Metrics)
        .about(TAG, "Get figures for Prometheus. With tokens or keys configured this takes one of them.")
        .gives(Gives::Text("text/plain; version=0.0.4")),
];

/// Answer of `/healthz`.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Health {
    /// `ok`, or what is wrong.
    pub status: String,
    /// Version of the program.
    pub build: String,
}

/// Answer of `/readyz`.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Readiness {
    /// Work is taken and done.
    pub ready: bool,
    /// Why not, when so.
    pub reasons: Vec<String>,
    /// Events that the read models do not show yet.
    pub projection_lag: u64,
    /// Work under way: errands, jobs, looks.
    pub open: i64,
}

/// The process should go on: it owns its shards.
pub async fn healthz(State(shared): State<Arc<Shared>>) -> Response {
    let fenced = shared.system.context().journal.is_fenced();
    let status = if fenced { "the shards have another owner" } else { "ok" };
    let code = if fenced { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
    (code, Json(Health { status: status.to_owned(), build: shared.build.clone() })).into_response()
}

/// Work is taken and done.
pub async fn readyz(State(shared): State<Arc<Shared>>) -> Response {
    let context = shared.system.context();
    let checkpoints = context.projector.checkpoints();
    let heads = context.journal.heads();
    let behind = heads.iter().map(|(shard, head)| head.saturating_sub(checkpoints.get(shard).copied().unwrap_or(0)));
    let mut reasons = Vec::new();
    if context.journal.is_fenced() {
        reasons.push("the shards have another owner".to_owned());
    }
    if context.gauges.is_degraded() {
        reasons.push("the store takes nothing at the moment".to_owned());
    }
    reasons.extend(context.projector.all_stuck().iter().map(ToString::to_string));
    let readiness = Readiness {
        ready: reasons.is_empty(),
        reasons,
        projection_lag: behind.sum(),
        open: context.gauges.open_count(),
    };
    let code = if readiness.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (code, Json(readiness)).into_response()
}

/// Prometheus text.
pub async fn metrics(State(shared): State<Arc<Shared>>) -> Response {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], (shared.metrics)()).into_response()
}

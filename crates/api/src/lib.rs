//! The HTTP surface of a running system: health, metrics, and the door by which the command line reaches a daemon.
//!
//! Owns: routes, status codes, the bearer token of the control door.
//! Refuses to know: stores, files, business rules. It talks to the system's handles.

mod control;
mod health;

use std::{net::SocketAddr, sync::Arc};

use axum::{
    Router,
    routing::{get, post, put},
};
use nightshift_actors::system::System;
use tokio::net::TcpListener;

pub use control::{Answer, ErrorBody, Queued, Refusal, SubmitRequest};
pub use health::{Health, Readiness};

/// The most bytes a request may carry.
pub const BODY_BYTES_MAX: usize = 16 * 1024 * 1024;

/// What the routes share.
pub struct Shared {
    /// The running system.
    pub system: System,
    /// Who may use the control door: the token that stands in the daemon's own folder.
    pub token: String,
    /// The text of `/metrics`.
    pub metrics: Box<dyn Fn() -> String + Send + Sync>,
    /// Version of the program.
    pub build: String,
}

/// The routes.
pub fn router(shared: Shared) -> Router {
    Router::new()
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
        .route("/metrics", get(health::metrics))
        .route("/api/control/submit", post(control::submit))
        .route("/api/control/blob", put(control::put_blob))
        .route("/api/control/queue", get(control::queue))
        .layer(axum::extract::DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(Arc::new(shared))
}

/// Takes the address before anything is announced.
///
/// # Errors
/// The address is taken or not this machine's.
pub async fn bind(listen: SocketAddr) -> std::io::Result<TcpListener> {
    TcpListener::bind(listen).await
}

/// Serves until `until` returns; requests under way are finished.
///
/// # Errors
/// The listener failed.
pub async fn serve(
    listener: TcpListener,
    shared: Shared,
    until: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    axum::serve(listener, router(shared)).with_graceful_shutdown(until).await
}

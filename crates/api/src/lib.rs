//! The HTTP surface of a running system: the REST interface, live events, health, metrics, and the door by which the
//! command line reaches a daemon.
//!
//! Owns: routes, status codes, who may ask.
//! Refuses to know: stores, files, business rules. It talks to the system's handles and read models.
//!
//! The routes are data (`routes.rs`), and the description at `/openapi.json` is made of the same table. Each module has
//! its routes and their handlers beside each other; `edge.rs` is what every request passes.

mod approvals;
pub mod auth;
mod bulk;
mod control;
mod deliverables;
mod edge;
pub mod envelope;
mod events;
pub mod explain;
mod extract;
#[cfg(feature = "fuzz")]
pub mod fuzz;
mod health;
mod hooks;
mod jobs;
mod launch;
mod limits;
pub mod links;
mod naming;
pub mod openapi;
mod orchestrations;
mod paging;
mod queues;
mod recovery;
mod reports;
pub mod routes;
mod rows;
mod schedules;
mod seed;
mod stream;
mod system;
mod workflows;

use std::{net::SocketAddr, sync::Arc};

use axum::Router;
use nightshift_actors::system::System;
use nightshift_ports::Boxed;
use tokio::{net::TcpListener, sync::watch};

use auth::Auth;
pub use control::{Answer, Queued, SubmitRequest};
pub use edge::{Ends, REQUEST_ID};
pub use envelope::{ErrorBody, Refusal};
pub use health::{Health, Readiness};
pub use hooks::{NoSecrets, Secrets};
pub use limits::{LimitLine, lines as limit_lines};
pub use links::LinkKey;
pub use queues::{QueueLine, Queues, queues};
pub use workflows::Documents;

/// The most bytes a request of the control door may carry.
pub const BODY_BYTES_MAX: usize = 16 * 1024 * 1024;

/// What the routes share.
pub struct Shared {
    /// The running system.
    pub system: System,
    /// The token that stands in the daemon's own folder: who has it, on this machine, is admin.
    pub token: String,
    /// The text of `/metrics`.
    pub metrics: Box<dyn Fn() -> String + Send + Sync>,
    /// Version of the program.
    pub build: String,
    /// What is configured.
    pub options: Options,
}

/// What is configured. The default serves this machine only.
pub struct Options {
    /// How callers prove who they are.
    pub auth: Auth,
    /// How workflow documents are read.
    pub documents: Documents,
    /// Resolves references to the secrets of webhooks.
    pub secrets: Arc<dyn Secrets>,
    /// Signs links by which approvals are decided; none: there are no such links.
    pub links: Option<LinkKey>,
    /// Bounds.
    pub limits: Limits,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            auth: Auth::default(),
            documents: Documents::default(),
            secrets: Arc::new(NoSecrets),
            links: None,
            limits: Limits::default(),
        }
    }
}

/// Bounds of requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The most bytes of a body.
    pub body_bytes_max: usize,
    /// A request is answered 503 after so many milliseconds.
    pub timeout_ms: i64,
    /// A comment is sent on a silent event stream this often, in milliseconds.
    pub keep_alive_ms: i64,
    /// Event streams that are open at once; more are answered 429.
    pub streams_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { body_bytes_max: 1024 * 1024, timeout_ms: 30_000, keep_alive_ms: 15_000, streams_max: 1_024 }
    }
}

/// The routes, behind the edge that every request passes.
fn routed(shared: Arc<Shared>, open: stream::Open) -> Router {
    edge::around(routes::router(&shared), &shared)
        .layer(axum::Extension(open))
        .layer(axum::Extension(hooks::Known::default()))
        .with_state(shared)
}

/// Takes the address before anything is announced.
///
/// # Errors
/// The address is taken or not this machine's.
pub async fn bind(listen: SocketAddr) -> std::io::Result<TcpListener> {
    TcpListener::bind(listen).await
}

/// Serves until `until` returns; requests under way are finished, event streams are closed.
///
/// # Errors
/// The listener failed.
pub fn serve(
    listener: TcpListener,
    shared: Shared,
    until: impl Future<Output = ()> + Send + 'static,
) -> Boxed<'static, std::io::Result<()>> {
    served(listener, shared, Box::pin(until))
}

/// Compiled here and not with each caller, as all that an async function does otherwise is.
fn served(listener: TcpListener, shared: Shared, until: Boxed<'static, ()>) -> Boxed<'static, std::io::Result<()>> {
    Box::pin(serve_on(listener, shared, until))
}

async fn serve_on(listener: TcpListener, shared: Shared, until: Boxed<'static, ()>) -> std::io::Result<()> {
    let (close, closing) = watch::channel(false);
    let open = stream::Open::new(shared.options.limits.streams_max, closing);
    let router = routed(Arc::new(shared), open).into_make_service_with_connect_info::<Ends>();
    let until = async move {
        until.await;
        close.send_replace(true);
    };
    axum::serve(listener, router).with_graceful_shutdown(until).await
}

//! What every request passes: an id, a time-out, a net under panics, the guard of its route, and the fingerprint of what has
//! a key.
//!
//! Owns: those five. Refuses to know: what is asked.

use std::{panic::AssertUnwindSafe, sync::Arc};

use axum::{
    Router,
    extract::{ConnectInfo, Request, State, connect_info::Connected},
    http::{HeaderName, HeaderValue, Uri, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    serve::IncomingStream,
};
use futures::FutureExt as _;
use tokio::net::TcpListener;

use crate::{
    Shared,
    auth::{Group, Peer, authenticate},
    envelope::{ApiError, Code},
    naming,
    routes::{Route, Verb},
    seed,
    stream::token,
    system::POSITION,
};

/// Names a request in logs and answers. Taken from the client, or drawn.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Both ends of a connection.
#[derive(Debug, Clone, Copy)]
pub struct Ends(pub Peer);

impl Connected<IncomingStream<'_, TcpListener>> for Ends {
    fn connect_info(stream: IncomingStream<'_, TcpListener>) -> Self {
        let local = stream.io().local_addr().ok().map(|address| address.ip());
        Self(Peer { remote: stream.remote_addr().ip(), local })
    }
}

/// Puts the edge around routes.
pub fn around(router: Router<Arc<Shared>>, shared: &Arc<Shared>) -> Router<Arc<Shared>> {
    router
        .fallback(nothing_here)
        .method_not_allowed_fallback(other_methods)
        .layer(middleware::from_fn_with_state(Arc::clone(shared), pass))
}

async fn nothing_here(request: Request) -> Response {
    let path = request.uri().path();
    refuse(path, ApiError::not_found(format!("{path}; see /openapi.json")))
}

async fn other_methods(request: Request) -> Response {
    let message = format!("{} is not taken here; the Allow header has what is", request.method());
    refuse(request.uri().path(), ApiError::new(Code::MethodNotAllowed, message))
}

/// A refusal in the form that the address promises.
fn refuse(path: &str, error: ApiError) -> Response {
    if seed::is_seed(path) { seed::refusal(error) } else { error.into_response() }
}

/// Around every request.
async fn pass(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    let id = request_id(&shared, &request);
    let path = request.uri().path().to_owned();
    let method = request.method().clone();
    let clock = &shared.system.context().clock_port;
    let deadline = clock.now().plus_ms(shared.options.limits.timeout_ms);
    let answer = AssertUnwindSafe(next.run(request)).catch_unwind();
    let mut response = tokio::select! {
        biased;
        answered = answer => answered.unwrap_or_else(|_| {
            tracing::error!(%method, path, request_id = ?id, "a handler panicked");
            refuse(&path, ApiError::new(Code::Internal, "a fault of the program; the log has it under this request id"))
        }),
        () = clock.sleep_until(deadline) => {
            tracing::warn!(%method, path, request_id = ?id, "a request took too long");
            let message = "it took too long and may yet be done; ask again with the same Idempotency-Key";
            refuse(&path, ApiError::new(Code::Timeout, message).retry_after(1))
        }
    };
    tracing::debug!(%method, path, status = response.status().as_u16(), request_id = ?id, "answered");
    let headers = response.headers_mut();
    headers.insert(REQUEST_ID, id);
    headers.entry(header::X_CONTENT_TYPE_OPTIONS).or_insert(HeaderValue::from_static("nosniff"));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

fn request_id(shared: &Shared, request: &Request) -> HeaderValue {
    let given = request.headers().get(&REQUEST_ID).filter(|value| {
        let bytes = value.as_bytes();
        !bytes.is_empty() && bytes.len() <= 128 && bytes.iter().all(u8::is_ascii_graphic)
    });
    given.cloned().unwrap_or_else(|| {
        let drawn = shared.system.context().ids.fresh().to_string();
        HeaderValue::from_str(&drawn).unwrap_or(HeaderValue::from_static("none"))
    })
}

/// The guard of one route: who asks, and whether they may.
pub async fn guard(
    State((shared, route)): State<(Arc<Shared>, &'static Route)>,
    mut request: Request,
    next: Next,
) -> Response {
    request.extensions_mut().insert(route);
    if is_open(&shared, route.group) {
        return next.run(request).await;
    }
    let Some(ConnectInfo(Ends(peer))) = request.extensions().get::<ConnectInfo<Ends>>().copied() else {
        let message = "the connection does not say where it comes from";
        return refuse(request.uri().path(), ApiError::new(Code::Internal, message));
    };
    let clock = &shared.system.context().clock_port;
    let known = match by_address(route, request.uri()) {
        Some(_) if !shared.options.auth.is_configured() && !peer.is_this_machine() => {
            Err(ApiError::this_machine_only())
        }
        Some(given) => token::caller(&shared, (request.uri().path(), given), clock.now()),
        None => authenticate(&shared.options.auth, &shared.token, (request.headers(), peer), clock).await,
    };
    match known {
        Err(error) => refuse(request.uri().path(), error),
        Ok(caller) if !caller.may(route.group) => {
            let roles: Vec<&str> = caller.roles.iter().map(|role| role.as_str()).collect();
            let group = route.group.as_str();
            let message = format!("this takes the right {group:?}; {} has not got it as {roles:?}", caller.user);
            refuse(request.uri().path(), ApiError::new(Code::Forbidden, message))
        }
        Ok(caller) => {
            if let Some(position) = request.headers().get(&POSITION).and_then(|value| value.to_str().ok())
                && let Err(error) = shared.wait_for(position).await
            {
                return refuse(request.uri().path(), error);
            }
            request.extensions_mut().insert(caller);
            if route.verb == Verb::Get || route.group == Group::Control {
                return next.run(request).await;
            }
            let path = request.uri().path().to_owned();
            match naming::noted(request, &shared).await {
                Ok(request) => next.run(request).await,
                Err(error) => refuse(&path, error),
            }
        }
    }
}

/// The token that stands in the address of a stream.
fn by_address<'u>(route: &Route, uri: &'u Uri) -> Option<&'u str> {
    route.query.iter().any(|param| param.name == token::PARAM).then(|| token::in_address(uri)).flatten()
}

/// Nobody has to prove anything: the group is public, or it is figures and nothing is configured (then only this machine
/// is served, unless the operator listens elsewhere on purpose) or they are open.
fn is_open(shared: &Shared, group: Group) -> bool {
    let auth = &shared.options.auth;
    group == Group::Public || (group == Group::Metrics && (auth.open_metrics || !auth.is_configured()))
}

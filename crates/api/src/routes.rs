//! The routes as data: the router and the API's description are both built from this table, so neither can miss one.
//!
//! Owns: the form of a route and the list of the modules that have some.
//! Refuses to know: what a handler does.

use std::sync::Arc;

use axum::{Router, middleware, routing::MethodRouter};
use schemars::{JsonSchema, Schema, SchemaGenerator};

use crate::{
    Shared, approvals, auth::Group, bulk, control, deliverables, edge, events, explain, health, hooks, jobs, limits,
    links, openapi, orchestrations, queues, recovery, reports, schedules, seed, stream, workflows,
};

/// Makes the schema of a type.
pub type SchemaOf = fn(&mut SchemaGenerator) -> Schema;

/// The schema of `T`.
pub fn of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

/// How a route is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// Looks.
    Get,
    /// Changes.
    Post,
    /// Puts.
    Put,
}

impl Verb {
    /// As an OpenAPI document writes it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Post => "post",
            Self::Put => "put",
        }
    }
}

/// A parameter behind `?`.
#[derive(Debug, Clone, Copy)]
pub struct Param {
    /// Its name.
    pub name: &'static str,
    /// What it may be.
    pub kind: ParamKind,
    /// What it does.
    pub about: &'static str,
}

/// What a parameter may be.
#[derive(Debug, Clone, Copy)]
pub enum ParamKind {
    /// Any text.
    Text,
    /// A UUID.
    Id,
    /// RFC 3339.
    Instant,
    /// `true` or `false`.
    Flag,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// A whole number.
    Number {
        /// The least.
        min: u32,
        /// The most.
        max: u32,
        /// When it is not given.
        default: u32,
    },
}

/// At most so many items.
pub const LIMIT: Param =
    Param { name: "limit", kind: ParamKind::Number { min: 1, max: 100, default: 25 }, about: "At most so many items." };
/// As [`LIMIT`], for lists that are longer.
pub const LONG_LIMIT: Param =
    Param { name: "limit", kind: ParamKind::Number { min: 1, max: 200, default: 50 }, about: "At most so many items." };
/// Without the first so many.
pub const OFFSET: Param = Param {
    name: "offset",
    kind: ParamKind::Number { min: 0, max: 1_000_000, default: 0 },
    about: "Leave out the first so many items.",
};
/// For requests that change something.
pub const WAIT: Param = Param {
    name: "wait",
    kind: ParamKind::OneOf(&["position"]),
    about: "`position`: answer when the read models show the change.",
};

/// What a route takes as its body.
#[derive(Clone, Copy)]
pub enum Takes {
    /// None.
    Nothing,
    /// JSON of this form.
    Json(SchemaOf),
    /// A document in one of these media types.
    Document(&'static [&'static str]),
}

/// What a route gives.
#[derive(Clone, Copy)]
pub enum Gives {
    /// `{success, data}` with data of this form.
    Data(SchemaOf),
    /// `{success, data}` with a row of this table.
    Row(&'static str),
    /// `{success, data}` with a page of rows of this table.
    Page(&'static str),
    /// JSON of this form without an envelope, as the seed system answers; its errors are `{error}`.
    Plain(SchemaOf),
    /// Server-sent events.
    Events,
    /// A WebSocket.
    Socket,
    /// A text of this media type.
    Text(&'static str),
}

/// One route.
#[derive(Clone, Copy)]
pub struct Route {
    /// How it is asked.
    pub verb: Verb,
    /// Its address; `{name}` stands for a part.
    pub path: &'static str,
    /// Who may.
    pub group: Group,
    /// The heading it stands under.
    pub tag: &'static str,
    /// What it does, in a line.
    pub summary: &'static str,
    /// Parameters behind `?`.
    pub query: &'static [Param],
    /// Its body.
    pub takes: Takes,
    /// Its answer.
    pub gives: Gives,
    /// Status of a good answer.
    pub status: u16,
    serve: fn() -> MethodRouter<Arc<Shared>>,
}

impl Route {
    /// A route that looks: open to who may read, and gives whatever JSON.
    pub const fn get(path: &'static str, serve: fn() -> MethodRouter<Arc<Shared>>) -> Self {
        Self::new(Verb::Get, path, serve)
    }

    /// A route that changes.
    pub const fn post(path: &'static str, serve: fn() -> MethodRouter<Arc<Shared>>) -> Self {
        Self { query: &[WAIT], ..Self::new(Verb::Post, path, serve) }
    }

    /// A route that puts.
    pub const fn put(path: &'static str, serve: fn() -> MethodRouter<Arc<Shared>>) -> Self {
        Self::new(Verb::Put, path, serve)
    }

    const fn new(verb: Verb, path: &'static str, serve: fn() -> MethodRouter<Arc<Shared>>) -> Self {
        Self {
            verb,
            path,
            group: Group::Read,
            tag: "",
            summary: "",
            query: &[],
            takes: Takes::Nothing,
            gives: Gives::Data(of::<serde_json::Value>),
            status: 200,
            serve,
        }
    }

    /// Who may.
    pub const fn group(mut self, group: Group) -> Self {
        self.group = group;
        self
    }

    /// Heading and what it does.
    pub const fn about(mut self, tag: &'static str, summary: &'static str) -> Self {
        (self.tag, self.summary) = (tag, summary);
        self
    }

    /// Parameters behind `?`.
    pub const fn query(mut self, query: &'static [Param]) -> Self {
        self.query = query;
        self
    }

    /// Its body.
    pub const fn takes(mut self, takes: Takes) -> Self {
        self.takes = takes;
        self
    }

    /// Its answer.
    pub const fn gives(mut self, gives: Gives) -> Self {
        self.gives = gives;
        self
    }

    /// Status of a good answer.
    pub const fn status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }
}

/// Every route there is.
pub fn all() -> impl Iterator<Item = &'static Route> {
    let modules: [&'static [Route]; 20] = [
        health::ROUTES,
        openapi::ROUTES,
        control::ROUTES,
        workflows::ROUTES,
        orchestrations::ROUTES,
        recovery::ROUTES,
        reports::ROUTES,
        stream::ROUTES,
        approvals::ROUTES,
        links::ROUTES,
        deliverables::ROUTES,
        events::ROUTES,
        hooks::ROUTES,
        bulk::ROUTES,
        jobs::ROUTES,
        schedules::ROUTES,
        limits::ROUTES,
        queues::ROUTES,
        explain::ROUTES,
        seed::ROUTES,
    ];
    modules.into_iter().flatten()
}

/// The router: each route behind its guard.
pub fn router(shared: &Arc<Shared>) -> Router<Arc<Shared>> {
    all().fold(Router::new(), |router, route| {
        let guard = middleware::from_fn_with_state((Arc::clone(shared), route), edge::guard);
        router.route(route.path, (route.serve)().route_layer(guard))
    })
}

//! `/api/queues`: who waits and who runs in each queue, and pausing one or all.
//!
//! Owns: the forms. Refuses to know: the order in which jobs go.

use std::{collections::BTreeMap, sync::Arc};

use axum::{extract::State, routing};
use nightshift_actors::queue::{
    QueueView,
    limits::{Limits, Named as NamedPlace},
};
use nightshift_domain::{
    queue::{Command, Paused, State as Queue},
    run::DEFAULT_QUEUE,
    time::Timestamp,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Shared,
    auth::{Caller, Group},
    envelope::{self, Answered},
    extract::{Body, Named, Order},
    limits::act,
    recovery::{NoteRequest, asked},
    routes::{Gives, Route, Takes, of},
};

const TAG: &str = "queues";

/// The routes.
pub const ROUTES: &[Route] = &[
    Route::get("/api/queues", || routing::get(list))
        .group(Group::Operate)
        .about(TAG, "List queues: who waits, who is held back, who runs, and what is paused.")
        .gives(Gives::Data(of::<Queues>)),
    Route::post("/api/queues/pause", || routing::post(pause_all))
        .group(Group::Operate)
        .about(TAG, "Give no step of any queue a place until it is resumed; what runs goes on.")
        .takes(Takes::Json(of::<NoteRequest>)),
    Route::post("/api/queues/resume", || routing::post(resume_all))
        .group(Group::Operate)
        .about(TAG, "Go on; queues that were paused by name stay so.")
        .takes(Takes::Json(of::<NoteRequest>)),
    Route::post("/api/queues/{name}/pause", || routing::post(pause))
        .group(Group::Operate)
        .about(TAG, "Give no step of a queue a place until it is resumed; what runs goes on.")
        .takes(Takes::Json(of::<NoteRequest>)),
    Route::post("/api/queues/{name}/resume", || routing::post(resume))
        .group(Group::Operate)
        .about(TAG, "Go on with a queue.")
        .takes(Takes::Json(of::<NoteRequest>)),
];

/// All queues.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Queues {
    /// Steps that hold a place, of all queues; none where nobody runs the queue.
    pub taken: Option<usize>,
    /// Places in all.
    pub places: usize,
    /// All queues are paused.
    pub paused: Option<Pause>,
    /// Each queue that is limited, paused or used now.
    pub queues: Vec<QueueLine>,
}

/// A queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct QueueLine {
    /// Its name.
    pub name: String,
    /// Steps that wait, those that are held back among them.
    pub waiting: usize,
    /// Steps that a limit or a pause holds back.
    pub held: usize,
    /// Steps that hold a place.
    pub taken: usize,
    /// Since when the step waits that waits longest, RFC 3339.
    pub oldest: Option<String>,
    /// The most that may; none: as many as there are places.
    pub places: Option<usize>,
    /// It is paused by its name.
    pub paused: Option<Pause>,
}

/// Why nothing is given a place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Pause {
    /// Who asked.
    pub by: String,
    /// Why.
    pub note: String,
    /// Since when.
    pub since: String,
}

impl Pause {
    fn of(paused: &Paused) -> Self {
        let Paused { by, since } = paused;
        Self { by: by.by.clone(), note: by.note.clone(), since: since.to_string() }
    }
}

/// The queues under the limits in force. `view` is none where nobody runs the queue.
#[must_use]
pub fn queues(limits: &Limits, concurrency: usize, set: &Queue, view: Option<&QueueView>) -> Queues {
    let line = |name: &str| QueueLine {
        name: name.to_owned(),
        waiting: 0,
        held: 0,
        taken: 0,
        oldest: None,
        places: limits.queues.get(name).copied(),
        paused: set.queues.get(name).map(Pause::of),
    };
    let mut all = BTreeMap::new();
    let mut oldest: BTreeMap<&String, Timestamp> = BTreeMap::new();
    let known = limits.queues.keys().chain(set.queues.keys()).map(String::as_str);
    for name in known.chain([DEFAULT_QUEUE]) {
        all.entry(name.to_owned()).or_insert_with(|| line(name));
    }
    for waiting in view.iter().flat_map(|view| &view.waiting) {
        let name = &waiting.job.gates.queue;
        let queue = all.entry(name.clone()).or_insert_with(|| line(name));
        queue.waiting += 1;
        queue.held += usize::from(waiting.held_by.is_some());
        oldest.entry(name).and_modify(|first| *first = waiting.job.since.min(*first)).or_insert(waiting.job.since);
    }
    for (named, taken) in view.iter().flat_map(|view| &view.named) {
        if let NamedPlace::Queue(name) = named {
            all.entry(name.clone()).or_insert_with(|| line(name)).taken = *taken;
        }
    }
    for (name, since) in oldest {
        all.entry(name.clone()).and_modify(|queue| queue.oldest = Some(since.to_string()));
    }
    Queues {
        taken: view.map(|view| view.taken),
        places: limits.concurrency.unwrap_or(concurrency),
        paused: set.paused.as_ref().map(Pause::of),
        queues: all.into_values().collect(),
    }
}

async fn list(State(shared): State<Arc<Shared>>) -> Answered {
    let set = shared.queue_state().await?;
    let context = shared.system.context();
    let view = shared.system.queue().await;
    Ok(envelope::ok(queues(&context.limits(), context.settings.concurrency, &set, Some(&view))))
}

async fn pause_all(
    State(shared): State<Arc<Shared>>,
    (caller, order): (Caller, Order),
    Body(request): Body<NoteRequest>,
) -> Answered {
    let by = asked(&caller, request.note);
    act(&shared, &caller, order, Command::Pause { queue: None, by }).await
}

async fn resume_all(
    State(shared): State<Arc<Shared>>,
    (caller, order): (Caller, Order),
    Body(request): Body<NoteRequest>,
) -> Answered {
    let by = asked(&caller, request.note);
    act(&shared, &caller, order, Command::Resume { queue: None, by }).await
}

async fn pause(
    State(shared): State<Arc<Shared>>,
    (caller, order, Named(name)): (Caller, Order, Named<String>),
    Body(request): Body<NoteRequest>,
) -> Answered {
    let by = asked(&caller, request.note);
    act(&shared, &caller, order, Command::Pause { queue: Some(name), by }).await
}

async fn resume(
    State(shared): State<Arc<Shared>>,
    (caller, order, Named(name)): (Caller, Order, Named<String>),
    Body(request): Body<NoteRequest>,
) -> Answered {
    let by = asked(&caller, request.note);
    act(&shared, &caller, order, Command::Resume { queue: Some(name), by }).await
}

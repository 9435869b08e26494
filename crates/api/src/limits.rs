//! `/api/limits`: limits in force, where each comes from, and setting them while the system runs.
//!
//! Owns: the forms, and how limits of the file and limits that are set are listed together.
//! Refuses to know: what a limit may be; the queue's stream does.

use std::{collections::BTreeMap, sync::Arc};

use axum::{extract::State, routing};
use nightshift_actors::queue::{
    QueueView,
    limits::{Limits, Named as NamedPlace},
};
use nightshift_domain::{
    ids::QueueId,
    queue::{Command, Limit, LimitKey, State as Queue},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{
    Shared,
    auth::{Caller, Group},
    envelope::{self, Answered, ApiError},
    extract::{Body, Named, Order},
    recovery::{NoteRequest, asked},
    routes::{Gives, Route, Takes, WAIT, of},
    system::done,
};

const TAG: &str = "limits";

/// The routes.
pub const ROUTES: &[Route] = &[
    Route::get("/api/limits", || routing::get(list))
        .group(Group::Operate)
        .about(TAG, "List the limits in force: those of the file, those that are set, and what is left of each.")
        .gives(Gives::Data(of::<Vec<LimitLine>>)),
    Route::put("/api/limits/{key}", || routing::put(set))
        .group(Group::Operate)
        .about(
            TAG,
            "Set a limit; it counts at once, instead of one of the file. Keys: concurrency, queue:<name>, key:<key>, \
             user:<user>:agent:<agent>, global:agent:<agent>.",
        )
        .query(&[WAIT])
        .takes(Takes::Json(of::<LimitRequest>)),
    Route::post("/api/limits/{key}/clear", || routing::post(clear))
        .group(Group::Operate)
        .about(TAG, "Let what was set count no more; what the file says does.")
        .takes(Takes::Json(of::<NoteRequest>)),
];

/// How much: `places`, or `capacity` and `refillPerS`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LimitRequest {
    /// So many at once, for `concurrency`, a queue or a key.
    places: Option<u32>,
    /// The most tokens a bucket holds.
    capacity: Option<f64>,
    /// Tokens that come back each second; 10 where nothing is said.
    refill_per_s: Option<f64>,
    /// For people.
    note: Option<String>,
}

/// A limit in force.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LimitLine {
    /// What it is about.
    pub key: String,
    /// `places` or `rate`.
    pub kind: String,
    /// The most at once: steps, or tokens of a bucket.
    pub capacity: f64,
    /// Tokens that come back each second; none for places.
    pub refill_per_s: Option<f64>,
    /// `set`, `file` or `default`.
    pub source: String,
    /// How many hold a place now, when that is known.
    pub taken: Option<usize>,
    /// Tokens it holds now, when that is known; a key with stars stands for many buckets and has none itself.
    pub tokens: Option<f64>,
    /// Steps it holds back now.
    pub held: usize,
    /// Who set it.
    pub set_by: Option<String>,
    /// Why.
    pub note: Option<String>,
    /// Since when it counts.
    pub set_at: Option<String>,
}

/// The limits of the file as they would be set.
fn of_file(limits: &Limits, concurrency: usize) -> BTreeMap<LimitKey, (Limit, &'static str)> {
    let of = |places: usize| Limit::Places { places: u32::try_from(places).unwrap_or(u32::MAX) };
    let queues = limits.queues.iter().map(|(name, places)| (LimitKey::Queue(name.clone()), of(*places)));
    let keys = limits.keys.iter().map(|(name, places)| (LimitKey::Key(name.clone()), of(*places)));
    let rates = limits.rates.iter().map(|(key, rate)| {
        let limit = Limit::Rate { capacity: rate.capacity, refill_per_s: rate.refill_per_s };
        (LimitKey::Bucket(key.clone()), limit)
    });
    let file = queues.chain(keys).chain(rates).map(|(key, limit)| (key, (limit, "file")));
    // It has a value wherever it comes from.
    file.chain([(LimitKey::Concurrency, (of(limits.concurrency.unwrap_or(concurrency)), "default"))]).collect()
}

/// Every limit in force: those of the file with those that are set laid over them. `view` is none where nobody runs the
/// queue.
#[must_use]
pub fn lines(file: &Limits, concurrency: usize, set: &Queue, view: Option<&QueueView>) -> Vec<LimitLine> {
    let mut all = of_file(file, concurrency);
    all.extend(set.limits.iter().map(|(key, set)| (key.clone(), (set.limit, "set"))));
    let line = |(key, (limit, source)): (LimitKey, (Limit, &str))| {
        let (kind, capacity, refill_per_s) = match limit {
            Limit::Places { places } => ("places", f64::from(places), None),
            Limit::Rate { capacity, refill_per_s } => ("rate", capacity, Some(refill_per_s)),
        };
        let (taken, tokens, held) = view.map_or((None, None, 0), |view| figures(&key, view));
        let set = set.limits.get(&key);
        LimitLine {
            key: key.to_string(),
            kind: kind.to_owned(),
            capacity,
            refill_per_s,
            source: source.to_owned(),
            taken,
            tokens,
            held,
            set_by: set.map(|set| set.by.by.clone()),
            note: set.map(|set| set.by.note.clone()).filter(|note| !note.is_empty()),
            set_at: set.map(|set| set.since.to_string()),
        }
    };
    all.into_iter().map(line).collect()
}

/// Places taken, tokens left, steps held back.
fn figures(key: &LimitKey, view: &QueueView) -> (Option<usize>, Option<f64>, usize) {
    let taken = |name: &NamedPlace| view.named.iter().find(|(other, _)| other == name).map_or(0, |(_, taken)| *taken);
    let tokens = |key: &String| view.buckets.iter().find(|(other, _)| other == key).map(|(_, tokens)| *tokens);
    // A bucket is explained as `rate:<key>`, a place as its limit is written.
    let names = [key.to_string(), format!("rate:{key}")];
    let holds = |by: &nightshift_actors::queue::HeldBy| names.contains(&by.to_string());
    let held = view.waiting.iter().filter(|waiting| waiting.held_by.as_ref().is_some_and(holds)).count();
    match key {
        LimitKey::Concurrency => (Some(view.taken), None, held),
        LimitKey::Queue(queue) => (Some(taken(&NamedPlace::Queue(queue.clone()))), None, held),
        LimitKey::Key(key) => (Some(taken(&NamedPlace::Key(key.clone()))), None, held),
        LimitKey::Bucket(key) => (None, tokens(key), held),
    }
}

async fn list(State(shared): State<Arc<Shared>>) -> Answered {
    let set = shared.queue_state().await?;
    let settings = &shared.system.context().settings;
    let view = shared.system.queue().await;
    Ok(envelope::ok(lines(&settings.limits, settings.concurrency, &set, Some(&view))))
}

async fn set(
    State(shared): State<Arc<Shared>>,
    (caller, order, Named(key)): (Caller, Order, Named<String>),
    Body(request): Body<LimitRequest>,
) -> Answered {
    let limit = match (request.places, request.capacity, request.refill_per_s) {
        (Some(places), None, None) => Limit::Places { places },
        (None, Some(capacity), refill) => Limit::Rate { capacity, refill_per_s: refill.unwrap_or(10.0) },
        _ => return Err(ApiError::field("places", "either places, or capacity with refillPerS, is needed")),
    };
    let by = asked(&caller, request.note);
    act(&shared, &caller, order, Command::SetLimit { key, limit, by }).await
}

async fn clear(
    State(shared): State<Arc<Shared>>,
    (caller, order, Named(key)): (Caller, Order, Named<String>),
    Body(request): Body<NoteRequest>,
) -> Answered {
    let by = asked(&caller, request.note);
    act(&shared, &caller, order, Command::ClearLimit { key, by }).await
}

/// Gives an order to the queue.
pub(crate) async fn act(shared: &Shared, caller: &Caller, order: Order, command: Command) -> Answered {
    let taken = shared.carry_out(caller, order, QueueId::the().stream(), command).await?;
    Ok(done(&taken, envelope::ok(json!({"version": taken.version}))))
}

impl Shared {
    /// What people set of the queue.
    ///
    /// # Errors
    /// Its stream did not answer.
    pub(crate) async fn queue_state(&self) -> Result<Queue, ApiError> {
        self.ask(QueueId::the().stream(), Queue::clone).await
    }
}

//! Steps whose work was done before.
//!
//! Owns: taking what was kept, keeping what was made, and that steps which want the same at the same time do it once.
//! Refuses to know: how a step is done, and which steps may be kept; the call says so.
//!
//! Invariant: of calls for one entry at a time, one does the work, the others get what came of it, be it a failure. When
//! the one is dropped in the middle, another takes its place.
//! Invariant: a cache that does not answer costs work, never a step.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use async_trait::async_trait;
use nightshift_domain::{
    content::Failure,
    json::Json,
    run::{Action, CacheHit, Outcome},
};
use nightshift_ports::{
    performer::{Acting, Call},
    step_cache::{Entry, Slot, StepCache},
};
use tokio::sync::watch;

use crate::http;

/// What is kept is looked through for what has expired each time that so many entries were added.
const ENTRIES_PER_PRUNING: u64 = 64;

/// Given to work that others wait for beyond its own time, in milliseconds: it keeps that time itself.
const SLACK_MS: u64 = 5_000;

/// Performs steps, unless what they would make is kept.
pub struct CachedActing {
    inner: Arc<dyn Acting>,
    cache: Arc<dyn StepCache>,
    /// Versions of agents by their slug.
    versions: BTreeMap<String, String>,
    entries_max: u64,
    added: AtomicU64,
    flights: Flights,
}

/// What came of the work for an entry, and where it comes from.
type Landed = Result<Taken, Failure>;

#[derive(Debug, Clone)]
struct Taken {
    value: Json,
    status_code: Option<u16>,
    hit: CacheHit,
}

/// Work under way by the entry it is for.
type Flights = Arc<Mutex<HashMap<String, watch::Receiver<Option<Landed>>>>>;

fn of(flights: &Flights) -> MutexGuard<'_, HashMap<String, watch::Receiver<Option<Landed>>>> {
    flights.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The right to do the work for an entry. It ends with the value that landed, or by being dropped.
struct Flight {
    key: String,
    flights: Flights,
    told: watch::Sender<Option<Landed>>,
}

impl Flight {
    fn land(self, landed: Landed) {
        of(&self.flights).remove(&self.key);
        self.told.send_replace(Some(landed));
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        let mut flights = of(&self.flights);
        // A flight that landed is gone already, and another one may be under way.
        if flights.get(&self.key).is_some_and(|told| told.same_channel(&self.told.subscribe())) {
            flights.remove(&self.key);
        }
    }
}

enum Role {
    Leads(Flight),
    Follows(watch::Receiver<Option<Landed>>),
}

impl CachedActing {
    /// Keeps at most `entries_max` entries of what `inner` does. What an agent made is kept for its version, when
    /// `versions` has one.
    #[must_use]
    pub fn new(
        inner: Arc<dyn Acting>,
        cache: Arc<dyn StepCache>,
        versions: BTreeMap<String, String>,
        entries_max: u64,
    ) -> Self {
        Self { inner, cache, versions, entries_max, added: AtomicU64::new(0), flights: Flights::default() }
    }

    fn key(&self, slot: &Slot, action: &Action) -> String {
        let version = match action {
            Action::Agent { agent, .. } => self.versions.get(agent).map(|version| (agent, version)),
            _ => None,
        };
        version.map_or_else(|| slot.key.clone(), |(agent, version)| format!("{}|{agent}@{version}", slot.key))
    }

    fn join(&self, key: &str) -> Role {
        let mut flights = of(&self.flights);
        if let Some(told) = flights.get(key) {
            return Role::Follows(told.clone());
        }
        let told = watch::Sender::new(None);
        flights.insert(key.to_owned(), told.subscribe());
        Role::Leads(Flight { key: key.to_owned(), flights: Arc::clone(&self.flights), told })
    }

    async fn through(&self, slot: &Slot, action: &Action, call: &Call) -> Result<Outcome, Failure> {
        let key = self.key(slot, action);
        loop {
            match self.join(&key) {
                Role::Leads(flight) => return self.lead(flight, slot, action, call).await,
                Role::Follows(mut told) => {
                    let landed = told.wait_for(Option::is_some).await.ok().and_then(|landed| landed.clone());
                    match landed {
                        Some(Ok(taken)) => return Ok(self.taken(&key, taken, Vec::new(), call).await),
                        Some(Err(failure)) => return Err(failure),
                        // It was dropped on the way.
                        None => {}
                    }
                }
            }
        }
    }

    async fn lead(&self, flight: Flight, slot: &Slot, action: &Action, call: &Call) -> Result<Outcome, Failure> {
        let key = flight.key.clone();
        let mut logs = Vec::new();
        let kept = self.cache.kept(&key, call.now).await.unwrap_or_else(|error| {
            logs.push(format!("the step cache was not read: {error}"));
            None
        });
        if let Some(kept) = kept {
            let hit = CacheHit { fingerprint: slot.fingerprint.clone(), stored_at: kept.stored_at, run: kept.run };
            let taken = Taken { value: kept.value, status_code: kept.status_code, hit };
            flight.land(Ok(taken.clone()));
            return Ok(self.taken(&key, taken, logs, call).await);
        }
        match self.inner.act(action, call).await {
            Ok(mut outcome) => {
                logs.extend(self.keep(&key, slot, &outcome, call).await);
                outcome.logs.extend(logs);
                let hit = CacheHit { fingerprint: slot.fingerprint.clone(), stored_at: call.now, run: call.run };
                let taken = Taken { value: outcome.value.clone(), status_code: outcome.status_code, hit };
                flight.land(Ok(taken));
                Ok(outcome)
            }
            Err(failure) => {
                flight.land(Err(failure.clone()));
                Err(failure)
            }
        }
    }

    async fn taken(&self, key: &str, taken: Taken, mut logs: Vec<String>, call: &Call) -> Outcome {
        if let Err(error) = self.cache.count_hit(key, call.run, call.now).await {
            logs.push(format!("the hit was not counted: {error}"));
        }
        let Taken { value, status_code, hit } = taken;
        Outcome { status_code, cached: Some(hit), logs, ..Outcome::of(value) }
    }

    async fn keep(&self, key: &str, slot: &Slot, outcome: &Outcome, call: &Call) -> Option<String> {
        let kept = Entry {
            value: outcome.value.clone(),
            status_code: outcome.status_code,
            etag: None,
            stored_at: call.now,
            expires_at: slot.expires_at(call.now),
            run: call.run,
            step: call.step.clone(),
            hits: 0,
            last_hit_at: None,
            last_hit_run: None,
        };
        let kept = self.cache.keep(key, &kept).await;
        let added = self.added.fetch_add(1, Ordering::Relaxed);
        let pruned = match added % ENTRIES_PER_PRUNING {
            0 => self.cache.prune(call.now, self.entries_max).await.map(|_| ()),
            _ => Ok(()),
        };
        kept.and(pruned).err().map(|error| format!("the step cache was not written: {error}"))
    }
}

#[async_trait]
impl Acting for CachedActing {
    async fn act(&self, action: &Action, call: &Call) -> Result<Outcome, Failure> {
        match &call.cache {
            None => self.inner.act(action, call).await,
            Some(slot) => {
                let whom = format!("the {} step that makes the same", action.as_str());
                http::within(call.timeout_ms.saturating_add(SLACK_MS), &whom, self.through(slot, action, call)).await
            }
        }
    }
}

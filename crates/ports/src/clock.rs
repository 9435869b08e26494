//! Time and chance as ports.
//!
//! Invariant: nothing below the binary reads a clock or draws a number but through these traits.

use std::sync::Arc;

use async_trait::async_trait;
use nightshift_domain::time::Timestamp;
use tokio::sync::watch;
use uuid::Uuid;

/// Tells time and waits for it.
#[async_trait]
pub trait Clock: Send + Sync {
    /// The instant now.
    fn now(&self) -> Timestamp;

    /// Returns at `at` or soon after; at once when it has passed. May be dropped at any time.
    async fn sleep_until(&self, at: Timestamp);
}

/// Draws ids that were never drawn before.
pub trait IdSource: Send + Sync {
    /// The next one.
    fn fresh(&self) -> Uuid;
}

/// A clock that stands until it is moved. Sleepers wake when it passes them; no wall time is involved.
#[derive(Debug, Clone)]
pub struct ManualClock {
    now: Arc<watch::Sender<Timestamp>>,
}

impl ManualClock {
    /// A clock that stands at `at`.
    #[must_use]
    pub fn at(at: Timestamp) -> Self {
        Self { now: Arc::new(watch::Sender::new(at)) }
    }

    /// Moves the clock to `at`. A clock may be moved backwards, as a bad time server does.
    pub fn set(&self, at: Timestamp) {
        self.now.send_replace(at);
    }

    /// Moves the clock forward by milliseconds.
    pub fn advance_ms(&self, ms: i64) {
        self.now.send_modify(|now| *now = now.plus_ms(ms));
    }
}

#[async_trait]
impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        *self.now.borrow()
    }

    async fn sleep_until(&self, at: Timestamp) {
        let mut now = self.now.subscribe();
        // The sender lives as long as `self`, so waiting cannot fail.
        let _ = now.wait_for(|now| *now >= at).await;
    }
}

/// Ids in a fixed order, for replay and tests.
#[derive(Debug, Default)]
pub struct SeededIds {
    seed: u64,
    drawn: std::sync::atomic::AtomicU64,
}

impl SeededIds {
    /// The sequence that `seed` names.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self { seed, drawn: std::sync::atomic::AtomicU64::new(0) }
    }
}

impl IdSource for SeededIds {
    fn fresh(&self) -> Uuid {
        let n = self.drawn.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        nightshift_domain::ids::derive("seeded", &[&self.seed.to_be_bytes(), &n.to_be_bytes()])
    }
}

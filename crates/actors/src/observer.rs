//! What the tree measures and shows of itself.
//!
//! Owns: the trait through which committed events and process figures leave the tree, and the count of open work.
//! Refuses to know: metric registries, exporters.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicI64, Ordering},
};

use nightshift_domain::{recorded::Recorded, streams::AnyEvent};
use tokio::sync::Notify;

/// Sees what happened and how it went. Must return quickly and never fail.
pub trait Observer: Send + Sync {
    /// Events that are in the read models now, in order within each shard.
    fn committed(&self, _page: &[(Recorded, AnyEvent)]) {}
    /// A group was written.
    fn appended(&self, _events: usize, _micros: i64) {}
    /// A shard was lost.
    fn fenced(&self, _shards: usize) {}
    /// An unknown outcome was resolved.
    fn resolved(&self, _written: bool) {}
    /// An actor was started again.
    fn restarted(&self, _role: &'static str) {}
    /// A timer went off so many microseconds after it was due.
    fn timer_late(&self, _micros: i64) {}
    /// A stream was set aside after repeated panics.
    fn quarantined(&self, _streams: usize) {}
    /// The start goes forward: so many obligations were taken up again so far.
    fn recovering(&self, _taken_up: u64) {}
}

/// Sees nothing.
pub struct NoObserver;

impl Observer for NoObserver {}

/// Figures of the running tree.
pub struct Gauges {
    observer: Arc<dyn Observer>,
    degraded: AtomicBool,
    open: AtomicI64,
    idle: Notify,
}

impl Gauges {
    /// Figures that are also shown to `observer`.
    #[must_use]
    pub fn new(observer: Arc<dyn Observer>) -> Arc<Self> {
        Arc::new(Self { observer, degraded: AtomicBool::new(false), open: AtomicI64::new(0), idle: Notify::new() })
    }

    /// Who else looks.
    #[must_use]
    pub fn observer(&self) -> &dyn Observer {
        &*self.observer
    }

    pub(crate) fn degraded(&self, degraded: bool) {
        self.degraded.store(degraded, Ordering::Relaxed);
    }

    /// The store takes nothing at the moment.
    #[must_use]
    pub fn is_degraded(&self) -> bool {
        self.degraded.load(Ordering::Relaxed)
    }

    pub(crate) fn appended(&self, events: usize, micros: i64) {
        self.observer.appended(events, micros);
    }

    pub(crate) fn fenced(&self, shards: usize) {
        self.observer.fenced(shards);
    }

    pub(crate) fn resolved(&self, written: bool) {
        self.observer.resolved(written);
    }

    /// Work that is open until the guard is dropped.
    #[must_use]
    pub fn open(self: &Arc<Self>) -> OpenWork {
        self.open.fetch_add(1, Ordering::AcqRel);
        OpenWork(Arc::clone(self))
    }

    /// How much work is open: errands under way, jobs that wait or run, looks at sources.
    #[must_use]
    pub fn open_count(&self) -> i64 {
        self.open.load(Ordering::Acquire)
    }

    /// Returns when no work is open.
    pub async fn idle(&self) {
        loop {
            let idle = self.idle.notified();
            if self.open_count() == 0 {
                return;
            }
            idle.await;
        }
    }
}

/// Keeps [`Gauges::idle`] waiting while it lives.
pub struct OpenWork(Arc<Gauges>);

impl Drop for OpenWork {
    fn drop(&mut self) {
        if self.0.open.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.idle.notify_waiters();
        }
    }
}

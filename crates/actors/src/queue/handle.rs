//! The way to the queue, which outlives the actor.
//!
//! Owns: what can be asked of it, and that a failure of the actor does not look like the end of its work.
//! Refuses to know: places, limits, order.

use std::sync::{Arc, Mutex, PoisonError};

use nightshift_domain::{ids::RunId, run::Token};

use super::{Job, Limits, Offer, QueueMsg, QueueView, Wanted};
use crate::{context::Context, observer::OpenWork, port::Port};

/// The way to the queue.
#[derive(Clone)]
pub struct QueueHandle {
    pub(crate) port: Port<QueueMsg>,
    /// Until what a failed actor had in hand is handed over again, work is open.
    failed: Arc<Mutex<Vec<OpenWork>>>,
}

impl Default for QueueHandle {
    fn default() -> Self {
        Self { port: Port::new("queue"), failed: Arc::default() }
    }
}

/// Keeps work open when the message in hand makes the actor fail: with it go the jobs, and nobody would know that there
/// is something to do until a new actor has found them in the log.
pub(super) struct InHand {
    open: Option<OpenWork>,
    queue: QueueHandle,
}

impl InHand {
    pub fn of(context: &Arc<Context>) -> Self {
        Self { open: Some(context.gauges.open()), queue: context.queue.clone() }
    }

    pub fn done(mut self) {
        self.open = None;
    }
}

impl Drop for InHand {
    fn drop(&mut self) {
        self.queue.failed.lock().unwrap_or_else(PoisonError::into_inner).extend(self.open.take());
    }
}

impl QueueHandle {
    /// What failed actors left behind is in hand again.
    pub(crate) fn recovered(&self) {
        let failed = std::mem::take(&mut *self.failed.lock().unwrap_or_else(PoisonError::into_inner));
        drop(failed);
    }

    /// Lets the actor fail, as a test wants it.
    pub fn fail(&self) {
        self.port.send(QueueMsg::Fail);
    }

    /// A step waits.
    pub fn enqueue(&self, job: Job, open: OpenWork) {
        self.port.send(QueueMsg::Enqueue(Box::new(job), open));
    }

    /// It does not wait any more.
    pub fn forget(&self, run: RunId, key: &str) {
        self.port.send(QueueMsg::Forget(run, key.to_owned()));
    }

    /// A place is free again.
    pub fn release(&self, token: Token) {
        self.port.send(QueueMsg::Release(token));
    }

    /// Other limits from now on; jobs that were held back are looked at again.
    pub fn set_limits(&self, limits: Limits) {
        self.port.send(QueueMsg::SetLimits(Box::new(limits)));
    }

    /// Asks for a place for what a run does next, so that it need not wait for its turn.
    pub async fn offer(&self, wanted: Wanted) -> Option<Offer> {
        let (reply, answer) = tokio::sync::oneshot::channel();
        self.port.send(QueueMsg::Offer { wanted, reply });
        answer.await.ok().flatten()
    }

    /// Who waits and who holds a place.
    pub async fn show(&self) -> QueueView {
        let (reply, answer) = tokio::sync::oneshot::channel();
        self.port.send(QueueMsg::Show(reply));
        answer.await.unwrap_or_default()
    }
}

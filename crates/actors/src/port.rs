//! A way to an actor that survives the actor: after a restart the same port leads to the new one.

use std::sync::{Arc, PoisonError, RwLock};

use ractor::ActorRef;

/// Cheap to clone. Messages sent while the actor is down are dropped; whoever restarts it finds what is owed in the log.
pub struct Port<M: ractor::Message> {
    name: &'static str,
    actor: Arc<RwLock<Option<ActorRef<M>>>>,
}

impl<M: ractor::Message> Clone for Port<M> {
    fn clone(&self) -> Self {
        Self { name: self.name, actor: Arc::clone(&self.actor) }
    }
}

impl<M: ractor::Message> Port<M> {
    /// A port that leads nowhere yet.
    #[must_use]
    pub fn new(name: &'static str) -> Self {
        Self { name, actor: Arc::new(RwLock::new(None)) }
    }

    /// Leads to `actor` from now on.
    pub fn connect(&self, actor: ActorRef<M>) {
        *self.actor.write().unwrap_or_else(PoisonError::into_inner) = Some(actor);
    }

    /// Sends, if the actor is there.
    pub fn send(&self, message: M) {
        let actor = self.actor.read().unwrap_or_else(PoisonError::into_inner);
        let sent = actor.as_ref().is_some_and(|actor| actor.send_message(message).is_ok());
        if !sent {
            tracing::debug!(actor = self.name, "a message found no actor");
        }
    }

    /// Asks the actor to end when everything sent before is handled.
    pub fn stop(&self) {
        if let Some(actor) = &*self.actor.read().unwrap_or_else(PoisonError::into_inner) {
            actor.stop(None);
        }
    }
}

//! What a topic remembers of each event.
//!
//! Owns: the fold, and how much is kept. Refuses to know: commands and rules.

use std::sync::Arc;

use super::{Event, KEPT_MAX, KEPT_MS, Kept, State, Subscriber, Subscription};
use crate::time::Timestamp;

/// Remembers `event`; total.
pub fn remember(state: &mut State, event: &Event, at: Timestamp) {
    state.version += 1;
    match event {
        Event::Subscribed { event_type, subscriber, correlation } => {
            state.event_type.clone_from(event_type);
            hear(state, subscriber);
            let subscription = Subscription { subscriber: subscriber.clone(), correlation: correlation.clone() };
            state.subscribers.insert(subscriber.key(), subscription);
        }
        Event::Unsubscribed { subscriber } => {
            hear(state, subscriber);
            state.subscribers.remove(&subscriber.key());
        }
        Event::Published { event_type, event, told } => {
            state.event_type.clone_from(event_type);
            told.iter().for_each(|subscriber| served(state, subscriber));
            state.kept.push(Kept { at, event: Arc::new((**event).clone()) });
            let excess = state.kept.len().saturating_sub(KEPT_MAX);
            state.kept.drain(..excess);
            state.kept.retain(|kept| at.micros_since(kept.at) <= KEPT_MS * 1_000);
        }
        Event::ToldLater { subscriber, .. } => served(state, subscriber),
    }
}

fn hear(state: &mut State, subscriber: &Subscriber) {
    if let Subscriber::Definition { ordinal, .. } = subscriber {
        state.ordinals.insert(subscriber.key(), *ordinal);
    }
}

/// A step that was told waits no more.
fn served(state: &mut State, subscriber: &Subscriber) {
    if matches!(subscriber, Subscriber::Step { .. }) {
        state.subscribers.remove(&subscriber.key());
    }
}

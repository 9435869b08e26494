//! What the queue remembers of each event.
//!
//! Owns: the fold. Refuses to know: commands and rules.

use super::{Event, Paused, Set, State};
use crate::time::Timestamp;

/// Remembers `event`; total.
pub fn remember(state: &mut State, event: &Event, at: Timestamp) {
    match event {
        Event::LimitSet { key, limit, by } => {
            state.limits.insert(key.clone(), Set { limit: *limit, by: by.clone(), since: at });
        }
        Event::LimitCleared { key, .. } => {
            state.limits.remove(key);
        }
        Event::Paused { queue, by } => {
            let paused = Paused { by: by.clone(), since: at };
            match queue {
                Some(queue) => drop(state.queues.insert(queue.clone(), paused)),
                None => state.paused = Some(paused),
            }
        }
        Event::Resumed { queue, .. } => match queue {
            Some(queue) => drop(state.queues.remove(queue)),
            None => state.paused = None,
        },
    }
}

//! The decisions of the queue.

use super::{Command, Event, Limit, LimitKey, Rejection, State, memory};
use crate::{
    decider::{Ctx, Decider, Delta},
    ids::{StreamId, StreamKind},
    run::Asked,
    time::Timestamp,
};

/// The queue stream.
pub struct QueueDecider;

impl Decider for QueueDecider {
    const KIND: StreamKind = StreamKind::Queue;
    const STATE_REVISION: u32 = 1;
    type State = State;
    type Command = Command;
    type Event = Event;
    type Rejection = Rejection;

    fn decide(state: &State, command: &Command, _ctx: &Ctx<'_>) -> Result<Vec<Event>, Rejection> {
        match command {
            Command::SetLimit { key, limit, by } => set_limit(state, key, *limit, by),
            Command::ClearLimit { key, by } => {
                let key = LimitKey::try_from(key.clone())?;
                match state.limits.contains_key(&key) {
                    true => Ok(vec![Event::LimitCleared { key, by: by.clone() }]),
                    false => Err(Rejection::NotSet { key }),
                }
            }
            Command::Pause { queue, by } => pause(state, queue.as_deref(), by),
            Command::Resume { queue, by } => resume(state, queue.as_deref(), by),
        }
    }

    fn evolve(state: &mut State, event: &Event, at: Timestamp) {
        memory::remember(state, event, at);
    }

    fn obligations(_stream: StreamId, _before: &State, _event: &Event, _at: Timestamp) -> Delta {
        Delta::none()
    }

    fn ended(_state: &State) -> bool {
        false
    }
}

fn set_limit(state: &State, key: &str, limit: Limit, by: &Asked) -> Result<Vec<Event>, Rejection> {
    let key = LimitKey::try_from(key.to_owned())?;
    match limit {
        Limit::Places { .. } if !key.is_of_places() => {
            return Err(Rejection::OtherKind { key, wants: "capacity and refill".to_owned() });
        }
        Limit::Rate { .. } if key.is_of_places() => {
            return Err(Rejection::OtherKind { key, wants: "places".to_owned() });
        }
        Limit::Places { places: 0 } => return Err(Rejection::TooSmall { key, asked: 0.0 }),
        // Also what is no number is not at least one.
        Limit::Rate { capacity, .. } if !(capacity >= 1.0 && capacity.is_finite()) => {
            let asked = if capacity.is_finite() { capacity } else { 0.0 };
            return Err(Rejection::TooSmall { key, asked });
        }
        Limit::Rate { refill_per_s, .. } if !(refill_per_s >= 0.0 && refill_per_s.is_finite()) => {
            return Err(Rejection::BadRefill { key, asked: refill_per_s.to_string() });
        }
        Limit::Places { .. } | Limit::Rate { .. } => {}
    }
    if state.limits.get(&key).is_some_and(|set| set.limit == limit) {
        return Ok(vec![]);
    }
    Ok(vec![Event::LimitSet { key, limit, by: by.clone() }])
}

fn named(queue: Option<&str>) -> Result<Option<String>, Rejection> {
    match queue {
        Some("") => Err(Rejection::NoName),
        queue => Ok(queue.map(str::to_owned)),
    }
}

/// A pause of what is paused is told when its note is another: people read the last one.
fn pause(state: &State, queue: Option<&str>, by: &Asked) -> Result<Vec<Event>, Rejection> {
    let name = named(queue)?;
    let paused = match queue {
        Some(queue) => state.queues.get(queue),
        None => state.paused.as_ref(),
    };
    if paused.is_some_and(|paused| paused.by == *by) {
        return Ok(vec![]);
    }
    Ok(vec![Event::Paused { queue: name, by: by.clone() }])
}

fn resume(state: &State, queue: Option<&str>, by: &Asked) -> Result<Vec<Event>, Rejection> {
    let name = named(queue)?;
    let is_paused = match queue {
        Some(queue) => state.queues.contains_key(queue),
        None => state.paused.is_some(),
    };
    if !is_paused {
        return Err(Rejection::NotPaused { queue: name, all: queue.is_some() && state.paused.is_some() });
    }
    Ok(vec![Event::Resumed { queue: name, by: by.clone() }])
}

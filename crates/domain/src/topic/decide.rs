//! The decisions of a topic, and who is told.

use super::{Command, Event, Kept, Published, Rejection, State, Subscriber, TEXT_BYTES_MAX, memory};
use crate::{
    decider::{Ctx, Decider, Delta, Duty, Obligation},
    definition,
    ids::{StreamId, StreamKind},
    json::Room,
    run,
    streams::AnyCommand,
    time::Timestamp,
};

/// The topic stream.
pub struct TopicDecider;

impl Decider for TopicDecider {
    const KIND: StreamKind = StreamKind::Topic;
    const STATE_REVISION: u32 = 1;
    type State = State;
    type Command = Command;
    type Event = Event;
    type Rejection = Rejection;

    fn decide(state: &State, command: &Command, _ctx: &Ctx<'_>) -> Result<Vec<Event>, Rejection> {
        match command {
            Command::Subscribe { event_type, subscriber, correlation, since, heard } => {
                is_of(state, event_type)?;
                bounded("type", event_type)?;
                Ok(subscribe(state, event_type, (subscriber, correlation.as_deref()), (*since, heard)))
            }
            Command::Unsubscribe { subscriber } => Ok(unsubscribe(state, subscriber)),
            Command::Publish { event_type, event } => {
                is_of(state, event_type)?;
                publish(state, event_type, event)
            }
        }
    }

    fn evolve(state: &mut State, event: &Event, at: Timestamp) {
        memory::remember(state, event, at);
    }

    fn obligations(_stream: StreamId, before: &State, event: &Event, at: Timestamp) -> Delta {
        let mut delta = Delta::none();
        match event {
            Event::Published { event_type, event, told } => {
                for (nth, subscriber) in told.iter().enumerate() {
                    delta = delta.open(tell(before, subscriber, nth, event.told(event_type, at), at));
                }
            }
            Event::ToldLater { event_type, event, at: then, subscriber } => {
                delta = delta.open(tell(before, subscriber, 0, event.told(event_type, *then), at));
            }
            Event::Subscribed { .. } | Event::Unsubscribed { .. } => {}
        }
        delta
    }

    fn ended(_state: &State) -> bool {
        false
    }
}

/// The key names the topic's event and the place among those who hear of it, so none ever means two things.
fn tell(before: &State, subscriber: &Subscriber, nth: usize, event: crate::json::Json, at: Timestamp) -> Obligation {
    let command: AnyCommand = match subscriber {
        Subscriber::Definition { .. } => definition::Command::EventArrived { event }.into(),
        Subscriber::Step { step, attempt, .. } => {
            run::Command::EventArrived { step: step.clone(), attempt: *attempt, event }.into()
        }
    };
    Obligation {
        key: format!("told:{:09}:{nth:06}", before.version + 1),
        due_at: at,
        priority: 100,
        duty: Duty::Tell { to: subscriber.stream(), command: Box::new(command) },
    }
}

fn bounded(what: &str, text: &str) -> Result<(), Rejection> {
    if text.len() <= TEXT_BYTES_MAX {
        return Ok(());
    }
    Err(Rejection::TooLong { what: what.to_owned(), bytes: text.len() })
}

fn is_of(state: &State, asked: &str) -> Result<(), Rejection> {
    if state.event_type.is_empty() || state.event_type == asked {
        return Ok(());
    }
    Err(Rejection::AnotherType { known: state.event_type.clone(), asked: asked.to_owned() })
}

/// Whether a definition said something else since.
fn is_outdated(state: &State, subscriber: &Subscriber) -> bool {
    match subscriber {
        Subscriber::Definition { ordinal, .. } => {
            state.ordinals.get(&subscriber.key()).is_some_and(|last| last >= ordinal)
        }
        Subscriber::Step { .. } => false,
    }
}

fn subscribe(
    state: &State,
    event_type: &str,
    (subscriber, correlation): (&Subscriber, Option<&str>),
    (since, heard): (Option<Timestamp>, &[String]),
) -> Vec<Event> {
    let known = state.subscribers.get(&subscriber.key());
    let same =
        known.is_some_and(|known| known.subscriber == *subscriber && known.correlation.as_deref() == correlation);
    if same || is_outdated(state, subscriber) {
        return vec![];
    }
    let later = |kept: &Kept| Event::ToldLater {
        event_type: event_type.to_owned(),
        event: Box::new(Published::clone(&kept.event)),
        at: kept.at,
        subscriber: subscriber.clone(),
    };
    let missed = state.kept.iter().filter(|kept| {
        let in_time = since.is_some_and(|since| kept.at >= since);
        in_time && kept.event.is_for(subscriber, correlation) && !heard.contains(&kept.event.id)
    });
    let most = if matches!(subscriber, Subscriber::Step { .. }) { 1 } else { usize::MAX };
    let subscribed = Event::Subscribed {
        event_type: event_type.to_owned(),
        subscriber: subscriber.clone(),
        correlation: correlation.map(ToOwned::to_owned),
    };
    std::iter::once(subscribed).chain(missed.take(most).map(later)).collect()
}

fn unsubscribe(state: &State, subscriber: &Subscriber) -> Vec<Event> {
    let counts = match subscriber {
        // Also when it is not subscribed: its word to be told may still be on the way, and is older.
        Subscriber::Definition { .. } => !is_outdated(state, subscriber),
        Subscriber::Step { .. } => state.subscribers.contains_key(&subscriber.key()),
    };
    if counts { vec![Event::Unsubscribed { subscriber: subscriber.clone() }] } else { vec![] }
}

fn publish(state: &State, event_type: &str, event: &Published) -> Result<Vec<Event>, Rejection> {
    if event.id.is_empty() {
        return Err(Rejection::NoId);
    }
    let texts = [("type", Some(event_type)), ("id", Some(&*event.id)), ("user", Some(&*event.user.0))];
    let more = [("correlation", event.correlation.as_deref()), ("intent_id", event.intent_id.as_deref())];
    for (what, text) in texts.into_iter().chain(more) {
        bounded(what, text.unwrap_or_default())?;
    }
    if let Err(fault) = Room::VALUE.clone().take_value(&event.payload, 0) {
        return Err(Rejection::TooLarge { why: fault.to_string() });
    }
    if state.kept.iter().any(|kept| kept.event.id == event.id) {
        return Ok(vec![]);
    }
    let fitting =
        state.subscribers.values().filter(|known| event.is_for(&known.subscriber, known.correlation.as_deref()));
    let told = fitting.map(|known| known.subscriber.clone()).collect();
    Ok(vec![Event::Published { event_type: event_type.to_owned(), event: Box::new(event.clone()), told }])
}

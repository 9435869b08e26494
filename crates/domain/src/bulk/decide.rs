//! The decisions of a bulk job, what it remembers, and what it owes.
//!
//! | key | what |
//! |---|---|
//! | `choose:page` | a page is to be chosen |
//! | `letter:n` | a run is told, and is to answer |

use super::{Bulk, Command, Created, End, Event, Letter, Rejection, State};
use crate::{
    decider::{Ctx, Decider, Delta, Duty, Obligation, Story},
    ids::{StreamId, StreamKind},
    run::{self, Asked},
    time::Timestamp,
};

/// Before work that was never tried.
const PRIORITY: i16 = 100;

/// The bulk stream.
pub struct BulkDecider;

impl Decider for BulkDecider {
    const KIND: StreamKind = StreamKind::Bulk;
    const STATE_REVISION: u32 = 1;
    type State = State;
    type Command = Command;
    type Event = Event;
    type Rejection = Rejection;

    fn decide(state: &State, command: &Command, ctx: &Ctx<'_>) -> Result<Vec<Event>, Rejection> {
        match (state, command) {
            (State::Unborn, Command::Create(created)) => Ok(vec![Event::Created(created.clone())]),
            (State::Unborn, _) => Err(Rejection::Unknown),
            (_, Command::Create(_)) => Err(Rejection::Exists),
            (State::Over(_, End::Completed), Command::Cancel { .. }) => {
                Err(Rejection::Over { end: End::Completed.as_str().to_owned() })
            }
            (State::Over(..), _) => Ok(vec![]),
            (State::Open(bulk), command) => Ok(open(state, bulk, command, ctx.now)),
        }
    }

    fn evolve(state: &mut State, event: &Event, at: Timestamp) {
        *state = match (std::mem::take(state), event) {
            (State::Unborn, Event::Created(created)) => State::Open(born(created, at)),
            (State::Open(bulk), Event::Completed {}) => State::Over(bulk, End::Completed),
            (State::Open(bulk), Event::Cancelled {}) => State::Over(bulk, End::Cancelled),
            (State::Open(mut bulk), event) => {
                remember(&mut bulk, event);
                State::Open(bulk)
            }
            (other, _) => other,
        };
    }

    fn obligations(stream: StreamId, before: &State, event: &Event, at: Timestamp) -> Delta {
        let owe = |key, duty| Obligation { key, due_at: at, priority: PRIORITY, duty };
        let choose = |page: u32| owe(choose_key(page), Duty::Choose { page });
        let bulk = match (before, event) {
            (State::Unborn, Event::Created(_)) => return Delta::none().open(choose(0)),
            (State::Open(bulk), _) => bulk,
            _ => return Delta::none(),
        };
        match event {
            Event::Chosen { page, letters, next } => {
                let closed = Delta::none().close(choose_key(*page));
                if letters.is_empty() && next.is_some() {
                    return closed.open(choose(page + 1));
                }
                let tell = |(nth, letter)| owe(letter_key(nth), told(stream, &bulk.created, letter));
                (bulk.chosen..).zip(letters).map(tell).fold(closed, Delta::open)
            }
            Event::Answered { nth, .. } => {
                let closed = Delta::none().close(letter_key(*nth));
                let last = bulk.open.len() == 1 && bulk.more && bulk.cancelled.is_none();
                if last { closed.open(choose(bulk.page)) } else { closed }
            }
            Event::CancelAsked { .. } if bulk.is_choosing() => Delta::none().close(choose_key(bulk.page)),
            _ => Delta::none(),
        }
    }

    fn ended(state: &State) -> bool {
        matches!(state, State::Over(..))
    }
}

fn choose_key(page: u32) -> String {
    format!("choose:{page}")
}

fn letter_key(nth: u64) -> String {
    format!("letter:{nth}")
}

/// The letter that a key is about.
pub(super) fn letter_of(key: &str) -> Option<u64> {
    key.strip_prefix("letter:")?.parse().ok()
}

impl BulkDecider {
    /// What the job is told when the run behind `key` has heard; none when the key is of something else.
    #[must_use]
    pub fn answer(key: &str, refused: Option<String>) -> Option<Command> {
        Some(Command::Answered { nth: letter_of(key)?, refused })
    }
}

fn told(stream: StreamId, created: &Created, letter: &Letter) -> Duty {
    let Asked { by, .. } = &created.by;
    let command = run::Command::DeadLetter {
        step: letter.step.clone(),
        attempt: Some(letter.attempt),
        verb: created.verb,
        by: Asked { by: by.clone(), note: format!("bulk job {}{}", stream.id, created.by.said()) },
    };
    Duty::Ask { to: letter.run.stream(), command: Box::new(command.into()) }
}

fn open(state: &State, bulk: &Bulk, command: &Command, now: Timestamp) -> Vec<Event> {
    let mut story = Story::<BulkDecider>::from(state, now);
    match command {
        Command::Chosen { page, letters, next } if *page == bulk.page && bulk.is_choosing() => {
            story.tell(Event::Chosen { page: *page, letters: letters.clone(), next: next.clone() });
        }
        Command::Answered { nth, refused } => match bulk.open.get(nth) {
            Some(letter) => {
                story.tell(Event::Answered { nth: *nth, letter: letter.clone(), refused: refused.clone() });
            }
            None => return vec![],
        },
        Command::Cancel { by } if bulk.cancelled.is_none() => story.tell(Event::CancelAsked { by: by.clone() }),
        Command::Create(_) | Command::Chosen { .. } | Command::Cancel { .. } => return vec![],
    }
    if let State::Open(bulk) = &story.state
        && bulk.open.is_empty()
    {
        match (&bulk.cancelled, bulk.more) {
            (Some(_), _) => story.tell(Event::Cancelled {}),
            (None, false) => story.tell(Event::Completed {}),
            (None, true) => {}
        }
    }
    story.end()
}

fn born(created: &Created, at: Timestamp) -> Bulk {
    Bulk {
        created: created.clone(),
        created_at: at,
        page: 0,
        from: None,
        more: true,
        chosen: 0,
        open: std::collections::BTreeMap::new(),
        done: 0,
        refused: 0,
        cancelled: None,
    }
}

fn remember(bulk: &mut Bulk, event: &Event) {
    match event {
        Event::Chosen { letters, next, .. } => {
            bulk.open.extend((bulk.chosen..).zip(letters.iter().cloned()));
            bulk.chosen += letters.len() as u64;
            bulk.page += 1;
            bulk.more = next.is_some();
            bulk.from.clone_from(next);
        }
        Event::Answered { nth, refused, .. } => {
            bulk.open.remove(nth);
            match refused {
                Some(_) => bulk.refused += 1,
                None => bulk.done += 1,
            }
        }
        Event::CancelAsked { by } => bulk.cancelled = Some(by.clone()),
        Event::Created(_) | Event::Completed {} | Event::Cancelled {} => {}
    }
}

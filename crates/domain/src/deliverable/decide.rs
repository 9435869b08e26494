//! The decisions of a deliverable: which verb is legal when. What a verb means is in `slots` and `review`, what is
//! remembered in `memory`, what is owed in `owed`.

use super::{Command, Event, Order, Rejection, Standing, State, memory, owed, review, schedule_id, slots};
use crate::{
    decider::{Ctx, Decider, Delta},
    ids::{DeliverableId, ScheduleId, StreamId, StreamKind},
    time::Timestamp,
};

/// The deliverable stream.
pub struct DeliverableDecider;

impl Decider for DeliverableDecider {
    const KIND: StreamKind = StreamKind::Deliverable;
    const STATE_REVISION: u32 = 1;
    type State = State;
    type Command = Command;
    type Event = Event;
    type Rejection = Rejection;

    fn decide(state: &State, command: &Command, ctx: &Ctx<'_>) -> Result<Vec<Event>, Rejection> {
        let it = match (state, command) {
            (State::Unborn, Command::Create { user, order, paused }) => {
                let created = checked(order, ctx)?;
                let schedule_id = created.then(|| own_schedule(ctx));
                let (user, order) = (user.clone(), order.clone());
                return Ok(vec![Event::Created { user, order, schedule_id, paused: *paused }]);
            }
            (State::Unborn, _) => return Err(Rejection::Unknown),
            (State::Taken(it), Command::Create { user, order, .. }) => {
                let same = it.user == *user && *it.order == **order;
                return if same { Ok(vec![]) } else { Err(Rejection::Exists) };
            }
            (State::Taken(it), _) => it,
        };
        let archived = matches!(it.standing, Standing::Archived {});
        match command {
            Command::Revise { .. } | Command::Pause { .. } | Command::Resume {} if archived => Err(Rejection::Archived),
            Command::Revise { order } => {
                let schedule_id = checked(order, ctx)?.then(|| own_schedule(ctx));
                Ok(vec![Event::Revised { order: order.clone(), schedule_id }])
            }
            Command::Pause { note } => Ok(match it.standing {
                Standing::Paused { .. } => vec![],
                _ => vec![Event::Paused { note: note.clone() }],
            }),
            Command::Resume {} => {
                Ok(if matches!(it.standing, Standing::Paused { .. }) { vec![Event::Resumed {}] } else { vec![] })
            }
            Command::Archive {} => Ok(if archived { vec![] } else { vec![Event::Archived {}] }),
            Command::RunNow { force } => slots::run_now(it, *force, ctx),
            Command::SlotDue { nominal, next_due } => slots::slot_due(state, it, (*nominal, *next_due), ctx),
            Command::Assessed { slot, sources } => slots::assessed(state, it, *slot, sources, ctx),
            Command::RunEnded { run, end } => slots::run_ended(state, it, *run, end, ctx),
            _ => review::decide(state, it, command, ctx),
        }
    }

    fn evolve(state: &mut State, event: &Event, at: Timestamp) {
        memory::remember(state, event, at);
    }

    fn obligations(stream: StreamId, before: &State, event: &Event, at: Timestamp) -> Delta {
        owed::by(stream, before, event, at)
    }

    fn ended(_state: &State) -> bool {
        false
    }
}

/// Whether the order has a schedule; refuses an order that could never work.
fn checked(order: &Order, ctx: &Ctx<'_>) -> Result<bool, Rejection> {
    if order.sources.is_empty() {
        return Err(Rejection::NoSources);
    }
    let Some(schedule) = &order.schedule else {
        return Ok(false);
    };
    ctx.calendar.next_after(schedule, ctx.now).map_err(Rejection::Calendar)?;
    Ok(true)
}

fn own_schedule(ctx: &Ctx<'_>) -> ScheduleId {
    schedule_id(DeliverableId::from_uuid(ctx.stream.id))
}

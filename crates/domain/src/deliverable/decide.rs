//! The decisions of a deliverable: routing, memory, obligations. What each verb means is in `slots` and `review`.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    Command, Current, Deliverable, Delivery, Event, Governance, Order, Rejection, Slot, Stage, Standing, State, Trigger,
    Version, VersionStatus, plans, review, schedule_id, slots,
    state::FEEDBACK_MAX,
};
use crate::{
    content::SourceSnapshot,
    decider::{Ctx, Decider, Delta, Duty, Obligation},
    ids::{DeliverableId, ScheduleId, StreamId, StreamKind},
    run, schedule,
    streams::AnyCommand,
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
            (State::Taken(_), Command::Create { .. }) => return Err(Rejection::Exists),
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
        match state {
            State::Unborn => {
                if let Event::Created { user, order, schedule_id, paused } = event {
                    *state = State::Taken(born(user, order, *schedule_id, *paused));
                }
            }
            State::Taken(it) => remember(it, event, at),
        }
    }

    fn obligations(stream: StreamId, before: &State, event: &Event, at: Timestamp) -> Delta {
        let tell = |key: String, to: StreamId, command: AnyCommand| {
            let duty = Duty::Tell { to, command: Box::new(command) };
            Delta::none().open(Obligation { key, due_at: at, priority: 100, duty })
        };
        let Some(it) = before.taken() else { return born_obligations(stream, event, &tell) };
        let id = DeliverableId::from_uuid(stream.id);
        match event {
            Event::SlotDue { slot, .. } => Delta::none().open(Obligation {
                key: format!("assess:{slot}"),
                due_at: at,
                priority: 100,
                duty: Duty::Assess { slot: *slot },
            }),
            Event::SourcesAssessed { slot, .. } => Delta::none().close(format!("assess:{slot}")),
            Event::RunRequested { run_id, .. } => {
                let seen = match it.current.as_ref().map(|current| &current.stage) {
                    Some(Stage::Assessing { seen }) => seen.as_slice(),
                    _ => &[],
                };
                started(tell, *run_id, plans::produce(id, it, event, seen))
            }
            Event::DeliveryRequested { run_id, .. } => started(tell, *run_id, plans::deliver(id, it, event)),
            Event::NoticeRaised { run_id: Some(run_id), .. } => started(tell, *run_id, plans::notify(id, it, event)),
            Event::VersionStaged { number, version_id, snapshots, .. } => {
                let mut delta = retain(it, *version_id, snapshots, &tell);
                delta.absorb(open_window(stream, it, *number, at));
                delta
            }
            Event::VersionApproved { number, .. } | Event::VersionRejected { number, .. } => close_window(it, *number),
            Event::ReviewStarted { number, .. } | Event::VersionEdited { number, .. } => close_window(it, *number),
            Event::Revised { order, .. } => follow_order(it, id, order, at, &tell),
            Event::Paused { note } => {
                told(it, |schedule| tell(format!("schedule:pause:{}", at.micros()), schedule, pause(note)))
            }
            Event::Resumed {} => told(it, |schedule| {
                let resume = schedule::Command::Resume {};
                tell(format!("schedule:resume:{}", at.micros()), schedule, resume.into())
            }),
            Event::Archived {} => told(it, |schedule| {
                tell("schedule:end".to_owned(), schedule, schedule::Command::End {}.into())
            }),
            _ => Delta::none(),
        }
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
    let Some(schedule) = &order.schedule else { return Ok(false) };
    ctx.calendar.next_after(schedule, ctx.now).map_err(Rejection::Calendar)?;
    Ok(true)
}

fn own_schedule(ctx: &Ctx<'_>) -> ScheduleId {
    schedule_id(DeliverableId::from_uuid(ctx.stream.id))
}

fn pause(note: &str) -> AnyCommand {
    schedule::Command::Pause { note: note.to_owned() }.into()
}

fn born_obligations(stream: StreamId, event: &Event, tell: &impl Fn(String, StreamId, AnyCommand) -> Delta) -> Delta {
    let Event::Created { order, schedule_id: Some(schedule_id), paused, .. } = event else { return Delta::none() };
    let Some(schedule) = order.schedule.clone() else { return Delta::none() };
    let create = schedule::Command::Create { schedule, target: stream, paused: *paused };
    tell("schedule:create".to_owned(), schedule_id.stream(), create.into())
}

fn told(it: &Deliverable, tell: impl FnOnce(StreamId) -> Delta) -> Delta {
    it.schedule_id.map_or_else(Delta::none, |schedule| tell(schedule.stream()))
}

fn started(
    tell: impl FnOnce(String, StreamId, AnyCommand) -> Delta,
    run_id: crate::ids::RunId,
    start: Option<(crate::ids::RunId, run::Command)>,
) -> Delta {
    match start {
        Some((run, command)) => tell(format!("run:{run_id}"), run.stream(), command.into()),
        None => Delta::none(),
    }
}

/// Each source is told that a document keeps what it took.
fn retain(
    it: &Deliverable,
    reference: crate::ids::VersionId,
    snapshots: &[SourceSnapshot],
    tell: &impl Fn(String, StreamId, AnyCommand) -> Delta,
) -> Delta {
    let mut delta = Delta::none();
    for snapshot in snapshots.iter().filter(|snapshot| snapshot.item_count > 0) {
        let source = snapshot.source_id;
        let from_version = it.consumed.get(&source.to_string()).copied().unwrap_or(0);
        let upto_version = snapshot.upto_version;
        let keep = crate::source::Command::Retain { from_version, upto_version, reference };
        delta.absorb(tell(format!("retain:{source}:{reference}"), source.stream(), keep.into()));
    }
    delta
}

fn window_key(number: u32) -> String {
    format!("window:{number}")
}

fn open_window(stream: StreamId, it: &Deliverable, number: u32, at: Timestamp) -> Delta {
    if it.order.governance != Governance::SemiAuto {
        return Delta::none();
    }
    let window_ms = i64::try_from(it.order.semi_auto_window_s.saturating_mul(1_000)).unwrap_or(i64::MAX);
    let elapsed = AnyCommand::Deliverable(Command::WindowElapsed { number });
    Delta::none().open(Obligation {
        key: window_key(number),
        due_at: at.plus_ms(window_ms),
        priority: 100,
        duty: Duty::Wake { to: stream, command: Box::new(elapsed) },
    })
}

/// The window is open only while a version of a `semi_auto` order is untouched.
fn close_window(it: &Deliverable, number: u32) -> Delta {
    match it.versions.get(&number) {
        Some(Version { window_open: true, .. }) => Delta::none().close(window_key(number)),
        _ => Delta::none(),
    }
}

/// A changed order re-times, starts or ends its schedule.
fn follow_order(
    it: &Deliverable,
    id: DeliverableId,
    order: &Order,
    at: Timestamp,
    tell: &impl Fn(String, StreamId, AnyCommand) -> Delta,
) -> Delta {
    let key = format!("schedule:follow:{}", at.micros());
    match (&it.order.schedule, &order.schedule) {
        (Some(old), Some(new)) if old == new => Delta::none(),
        (Some(_), Some(new)) => {
            tell(key, schedule_id(id).stream(), schedule::Command::Retime { schedule: new.clone() }.into())
        }
        (None, Some(new)) => {
            let paused = matches!(it.standing, Standing::Paused { .. });
            let create = schedule::Command::Create { schedule: new.clone(), target: id.stream(), paused };
            tell(key, schedule_id(id).stream(), create.into())
        }
        (Some(_), None) => tell(key, schedule_id(id).stream(), pause("the order has no schedule any more")),
        (None, None) => Delta::none(),
    }
}

fn born(user: &crate::ids::UserId, order: &Order, schedule_id: Option<ScheduleId>, paused: bool) -> Deliverable {
    let note = "created paused".to_owned();
    Deliverable {
        user: user.clone(),
        order: Arc::new(order.clone()),
        schedule_id,
        standing: if paused { Standing::Paused { note } } else { Standing::Active {} },
        current: None,
        buffered: None,
        last_nominal: None,
        last_run_at: None,
        versions: BTreeMap::new(),
        consumed: BTreeMap::new(),
        failing: BTreeMap::new(),
        feedback: Vec::new(),
    }
}

fn remember(it: &mut Deliverable, event: &Event, at: Timestamp) {
    match event {
        Event::Created { .. } | Event::NoticeSent { .. } | Event::NoticeFailed { .. } => {}
        Event::Revised { order, schedule_id } => {
            it.order = Arc::new((**order).clone());
            it.schedule_id = schedule_id.or(it.schedule_id);
        }
        Event::Paused { note } => it.standing = Standing::Paused { note: note.clone() },
        Event::Resumed {} => it.standing = Standing::Active {},
        Event::Archived {} => it.standing = Standing::Archived {},
        Event::SlotDue { slot, nominal, trigger, force, .. } => {
            let slot = Slot { id: *slot, nominal: *nominal, trigger: *trigger, force: *force };
            it.buffered = it.buffered.take().filter(|buffered| buffered.id != slot.id);
            note_nominal(it, *trigger, *nominal);
            it.current = Some(Current { slot, since: at, stage: Stage::Assessing { seen: Vec::new() } });
        }
        Event::SlotBuffered { slot, nominal, .. } => {
            let trigger = Trigger::Schedule;
            it.buffered = Some(Slot { id: *slot, nominal: *nominal, trigger, force: false });
            note_nominal(it, trigger, *nominal);
        }
        Event::SourcesAssessed { sources, .. } => {
            if let Some(Current { stage, .. }) = &mut it.current {
                *stage = Stage::Assessing { seen: sources.clone() };
            }
        }
        Event::Skipped { slot, nominal, .. } => {
            if it.current.as_ref().is_some_and(|current| current.slot.id == *slot) {
                it.current = None;
            } else {
                note_nominal(it, Trigger::Schedule, *nominal);
            }
        }
        Event::RunRequested { slot, nominal, run_id, number, .. } => {
            if let Some(Current { stage, .. }) = &mut it.current {
                *stage = Stage::Producing { run: *run_id, number: *number };
            }
            it.last_run_at = Some(at);
            it.versions.insert(*number, generating(*slot, *nominal));
        }
        _ => remember_version(it, event, at),
    }
}

fn note_nominal(it: &mut Deliverable, trigger: Trigger, nominal: Timestamp) {
    if trigger == Trigger::Schedule {
        it.last_nominal = it.last_nominal.max(Some(nominal));
    }
}

fn generating(slot_id: uuid::Uuid, nominal: Timestamp) -> Version {
    Version {
        status: VersionStatus::Generating,
        slot_id,
        nominal,
        staged_at: None,
        draft: None,
        text: None,
        delivery: Delivery::None {},
        deliveries: 0,
        notices: BTreeMap::new(),
        window_open: false,
    }
}

fn remember_version(it: &mut Deliverable, event: &Event, at: Timestamp) {
    match event {
        Event::VersionStaged { consumed, snapshots, .. } => {
            it.current = None;
            it.consumed.extend(consumed.iter().map(|(source, version)| (source.clone(), *version)));
            it.failing = failing(snapshots);
        }
        Event::VersionFailed { .. } => it.current = None,
        Event::VersionRejected { number, reason, .. } => note_feedback(it, format!("Version {number} was rejected: {reason}")),
        Event::VersionEdited { number, measure, .. } => {
            let (permille, kinds) = (measure.distance_permille, measure.categories.join(", "));
            note_feedback(it, format!("Version {number} was edited ({permille} per mille changed: {kinds})"));
        }
        _ => {}
    }
    let Some((number, change)) = version_change(event) else { return };
    let semi_auto = it.order.governance == Governance::SemiAuto;
    if let Some(version) = it.versions.get_mut(&number) {
        change_version(version, change, semi_auto, at);
    }
}

fn note_feedback(it: &mut Deliverable, note: String) {
    it.feedback.insert(0, note);
    it.feedback.truncate(FEEDBACK_MAX);
}

fn failing(snapshots: &[SourceSnapshot]) -> BTreeMap<String, String> {
    let failing = snapshots.iter().filter_map(|snapshot| {
        snapshot.error.as_ref().map(|error| (snapshot.source_id.to_string(), error.clone()))
    });
    failing.collect()
}

/// The version an event is about, with the event.
const fn version_change(event: &Event) -> Option<(u32, &Event)> {
    match event {
        Event::VersionStaged { number, .. }
        | Event::VersionFailed { number, .. }
        | Event::ReviewStarted { number, .. }
        | Event::VersionEdited { number, .. }
        | Event::VersionApproved { number, .. }
        | Event::VersionRejected { number, .. }
        | Event::DeliveryRequested { number, .. }
        | Event::Delivered { number, .. }
        | Event::DeliveryFailed { number, .. }
        | Event::NoticeRaised { number, .. } => Some((*number, event)),
        _ => None,
    }
}

fn change_version(version: &mut Version, event: &Event, semi_auto: bool, at: Timestamp) {
    if !matches!(event, Event::NoticeRaised { .. } | Event::VersionStaged { .. }) {
        version.window_open = false;
    }
    match event {
        Event::VersionStaged { draft, .. } => {
            version.status = VersionStatus::Staged;
            version.staged_at = Some(at);
            version.draft = Some(draft.text.digest.clone());
            version.text = Some(plans::reference(&draft.text));
            version.window_open = semi_auto;
        }
        Event::VersionFailed { .. } => version.status = VersionStatus::Failed,
        Event::ReviewStarted { .. } => version.status = VersionStatus::Reviewing,
        Event::VersionEdited { text, .. } => {
            version.status = VersionStatus::Reviewing;
            version.text = Some(plans::reference(text));
        }
        Event::VersionApproved { .. } => version.status = VersionStatus::Approved,
        Event::VersionRejected { .. } => version.status = VersionStatus::Rejected,
        Event::DeliveryRequested { run_id, ordinal, .. } => {
            version.deliveries = *ordinal;
            version.delivery = Delivery::Delivering { run: *run_id };
        }
        Event::Delivered { .. } => {
            version.status = VersionStatus::Delivered;
            version.delivery = Delivery::Delivered {};
        }
        Event::DeliveryFailed { .. } => version.delivery = Delivery::Failed {},
        Event::NoticeRaised { ordinal, run_id, .. } => {
            version.notices.insert(*ordinal, *run_id);
        }
        _ => {}
    }
}

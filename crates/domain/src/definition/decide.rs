//! The decisions of a definition about its versions. What starts runs is in `start` and `slots`, what is remembered in
//! `memory`, what is owed in `owed`.

use std::sync::Arc;

use super::{
    Command, Document, Event, Rejection, Request, Slot, Standing, State, created_for, memory, owed, schedule_id,
    slots::{self, Telling},
    start, topics,
};
use crate::{
    decider::{Ctx, Decider, Delta},
    ids::{DefinitionId, RunId, StreamId, StreamKind, UserId},
    json::Json,
    run::{self, RunDecider},
    time::Timestamp,
};

/// The definition stream.
pub struct DefinitionDecider;

impl Decider for DefinitionDecider {
    const KIND: StreamKind = StreamKind::Definition;
    const STATE_REVISION: u32 = 1;
    type State = State;
    type Command = Command;
    type Event = Event;
    type Rejection = Rejection;

    fn decide(state: &State, command: &Command, ctx: &Ctx<'_>) -> Result<Vec<Event>, Rejection> {
        match command {
            Command::Register { document, user, activate } => register(state, document, user, *activate, ctx),
            Command::Activate { version } => {
                let mut story = Telling::from(state, ctx.now);
                put_in_force(&mut story, version, ctx)?;
                Ok(story.end())
            }
            Command::Deprecate { version } => withdraw(state, version, Standing::Deprecated, ctx),
            Command::Archive { version } => withdraw(state, version, Standing::Archived, ctx),
            Command::SlotDue { schedule, nominal, cause } => {
                slots::slot_due(state, Slot { schedule: *schedule, nominal: *nominal }, *cause, ctx)
            }
            Command::EventArrived { event } => start::event_arrived(state, event, ctx),
            Command::Start(asked) => start::start(state, asked, ctx),
            Command::RunEnded { run, end } => slots::run_ended(state, *run, end, ctx),
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

fn register(
    state: &State,
    document: &Arc<Document>,
    user: &UserId,
    activate: bool,
    ctx: &Ctx<'_>,
) -> Result<Vec<Event>, Rejection> {
    let mut story = Telling::from(state, ctx.now);
    match state.versions.get(&document.version) {
        Some(kept) if kept.document.digest() != document.digest() => {
            let kept = kept.document.digest().clone();
            return Err(Rejection::VersionDiffers { version: document.version.clone(), kept });
        }
        Some(_) => {}
        None => {
            sound(document, user, ctx)?;
            story.tell(Event::Registered { document: document.clone(), user: user.clone() });
        }
    }
    if activate {
        put_in_force(&mut story, &document.version, ctx)?;
    }
    Ok(story.end())
}

/// Whether the document is of this definition and can be carried out. A run or a schedule that refuses to be made tells
/// nobody, and whoever waits for it would wait for ever.
fn sound(document: &Document, user: &UserId, ctx: &Ctx<'_>) -> Result<(), Rejection> {
    if !DefinitionId::from_uuid(ctx.stream.id).is(&document.owner, &document.name) {
        let (owner, name) = (document.owner.clone(), document.name.clone());
        return Err(Rejection::AnotherDefinition { owner, name });
    }
    for (schedule, _) in document.schedules() {
        ctx.calendar.next_after(schedule, ctx.now).map_err(Rejection::Calendar)?;
    }
    let run = RunId::from_uuid(ctx.command_id.child("trial", 0));
    // What parameters are like does not matter for the graph.
    let anything = Document { parameters: vec![], ..document.clone() };
    let request = Request {
        definition: None,
        run,
        user: user.clone(),
        parameters: &Json::Null,
        trigger: Json::Null,
        priority: None,
        parent: None,
        reply_to: None,
        nominal: ctx.now,
    };
    let trial = created_for(&anything, request).map_err(|faults| Rejection::Parameters { faults })?;
    let trial = run::Command::Create(trial);
    let ctx = Ctx { stream: run.stream(), ..*ctx };
    match RunDecider::decide(&run::State::Unborn, &trial, &ctx) {
        Err(run::Rejection::Unsound { why }) => Err(Rejection::Unsound { version: document.version.clone(), why }),
        _ => Ok(()),
    }
}

/// A version is in force from now on. Its schedule triggers take the schedules of the version before, one after another;
/// what is left over of these ends, and what is missing is made.
fn put_in_force(story: &mut Telling, version: &str, ctx: &Ctx<'_>) -> Result<(), Rejection> {
    let registered = story.state.version(version)?;
    if registered.standing == Standing::Archived {
        return Err(archived(version));
    }
    if story.state.active.as_deref() == Some(version) {
        return Ok(());
    }
    let (needed, topics) = (registered.document.schedules().count(), topics(&registered.document, ctx.shard_count));
    let definition = DefinitionId::from_uuid(ctx.stream.id);
    let new = (story.state.schedules_made..).map(|nth| schedule_id(definition, nth));
    let schedules: Vec<_> = story.state.schedules.iter().copied().chain(new).take(needed).collect();
    let going = story.state.going(needed).to_vec();
    slots::turn_away(story, &going, ctx);
    let former = story.state.active.clone();
    story.tell(Event::Activated { version: version.to_owned(), former, schedules, topics });
    Ok(())
}

fn archived(version: &str) -> Rejection {
    let standing = Standing::Archived.as_str().to_owned();
    Rejection::NotStartable { version: version.to_owned(), standing }
}

/// A version steps back; if it was in force, none is.
fn withdraw(state: &State, version: &str, to: Standing, ctx: &Ctx<'_>) -> Result<Vec<Event>, Rejection> {
    let from = state.version(version)?.standing;
    if from == to {
        return Ok(vec![]);
    }
    if from == Standing::Archived {
        return Err(archived(version));
    }
    let mut story = Telling::from(state, ctx.now);
    if state.active.as_deref() == Some(version) {
        slots::turn_away(&mut story, &state.schedules, ctx);
    }
    let version = version.to_owned();
    story.tell(match to {
        Standing::Archived => Event::Archived { version },
        Standing::Active | Standing::Deprecated => Event::Deprecated { version },
    });
    Ok(story.end())
}

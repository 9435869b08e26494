//! The real tree on a prefix: started, told what people said afterwards, moved through time to the fixture's end.
//!
//! Owns: the order in which time passes and commands come. Refuses to know: what should come of it.

use std::{
    collections::{HashSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use nightshift_actors::{
    envelope::NotDone,
    system::{Parts, System},
};
use nightshift_domain::{
    codec,
    decider::{Class, RecordedCtx},
    ids::{CommandId, ShardId, StreamId, StreamKind},
    streams::AnyCommand,
    time::Timestamp,
};
use nightshift_ports::{
    clock::{Clock, ManualClock, SeededIds},
    log::{EventLog, Owed, OwedQuery, StoreError},
    memory::MemoryStore,
};
use nightshift_spec::ZonedCalendar;

use super::{Performed, recording::Recording, script::Scripted};
use crate::{decide::name_of, error::Error, order::Commit};

/// Wall time after which a tree that does not come to rest is given up. Nothing waits for it when all is well.
const CALM_WITHIN: Duration = Duration::from_secs(20);

/// Moves of the clock, so that a timer that always opens another one ends.
const MOVES_MAX: u32 = 5_000;

/// What people ask of streams, and streams may ask as well. All else is told by streams, the clock, the queue and
/// performers only.
const ASKED: &[(StreamKind, &[&str])] = &[
    (
        StreamKind::Deliverable,
        &[
            "create",
            "revise",
            "pause",
            "resume",
            "archive",
            "run_now",
            "start_review",
            "approve",
            "reject",
            "edit",
            "deliver",
        ],
    ),
    (
        StreamKind::Run,
        &[
            "create",
            "cancel",
            "answer",
            "retry_step",
            "skip_step",
            "dead_letter",
            "rerun",
            "pause",
            "resume",
            "migrate",
        ],
    ),
    (StreamKind::Schedule, &["trigger_now", "backfill", "pause", "resume"]),
    (StreamKind::Definition, &["register", "activate", "deprecate", "archive", "start", "event_arrived"]),
    (StreamKind::Topic, &["publish"]),
    (StreamKind::Queue, &["set_limit", "clear_limit", "pause", "resume"]),
    (StreamKind::Bulk, &["create", "cancel"]),
];

/// Where a prefix is lived on.
pub struct Stage {
    /// The prefix.
    pub store: Arc<MemoryStore>,
    /// Stands at the end of the prefix.
    pub clock: ManualClock,
    /// Names the ids that are drawn.
    pub seed: u64,
    /// The end of the fixture.
    pub end: Timestamp,
    /// What the outside world answers.
    pub recording: Arc<Recording>,
}

/// What was seen while it lived on.
pub struct Driven {
    /// What leaves the machine.
    pub performed: Vec<Performed>,
    /// What should not have happened.
    pub faults: Vec<String>,
    /// Where the clock stands.
    pub now: Timestamp,
}

/// Starts the tree, lets it come to rest, and moves on to the end, asking what people asked in the `rest` of the history.
pub async fn live_on(stage: &Stage, (told, rest): (&HashSet<CommandId>, &[Commit])) -> Result<Driven, Error> {
    let scripted = Scripted::new(Arc::clone(&stage.recording), Arc::clone(&stage.store));
    let parts = Parts::new(
        (Arc::clone(&stage.store) as _, Arc::clone(&stage.store) as _),
        scripted.performers(),
        (Arc::new(stage.clock.clone()), Arc::new(SeededIds::new(stage.seed))),
        Arc::new(ZonedCalendar::bundled()),
    );
    let mut faults = Vec::new();
    match System::start(parts).await {
        Ok(system) => {
            if let Err(fault) = stage.go_on(&system, asked(told, rest)?).await? {
                faults.push(fault);
            }
            system.stop().await;
        }
        Err(error) => faults.push(format!("the tree did not start: {error}")),
    }
    let performed = scripted.performed().clone();
    Ok(Driven { performed, faults, now: stage.clock.now() })
}

/// Something a person asked for.
struct Asked {
    at: Timestamp,
    stream: StreamId,
    id: CommandId,
    command: AnyCommand,
    actor: String,
}

/// What people asked for after the cut and got. What streams tell each other they will tell again.
fn asked(told: &HashSet<CommandId>, rest: &[Commit]) -> Result<VecDeque<Asked>, Error> {
    let mut asked = VecDeque::new();
    for commit in rest {
        let Some(command) = &commit.command else { continue };
        let (kind, payload) = (command.stream.kind, &command.record.payload);
        let verb = name_of(kind, payload);
        let by_people = ASKED.iter().any(|(of, verbs)| *of == kind && verbs.contains(&verb.as_str()));
        if !by_people || told.contains(&command.record.id) || !command.record.accepted || commit.events.is_empty() {
            continue;
        }
        let decode = |error| Error::decode(format!("command {}", command.record.id), error);
        let ctx: RecordedCtx = codec::from_bytes("context", &command.record.ctx).map_err(decode)?;
        let any = match kind {
            StreamKind::Run => AnyCommand::Run(codec::from_bytes("command", payload).map_err(decode)?),
            StreamKind::Deliverable => AnyCommand::Deliverable(codec::from_bytes("command", payload).map_err(decode)?),
            StreamKind::Schedule => AnyCommand::Schedule(codec::from_bytes("command", payload).map_err(decode)?),
            StreamKind::Source => AnyCommand::Source(codec::from_bytes("command", payload).map_err(decode)?),
            StreamKind::Definition => AnyCommand::Definition(codec::from_bytes("command", payload).map_err(decode)?),
            StreamKind::Topic => AnyCommand::Topic(codec::from_bytes("command", payload).map_err(decode)?),
            StreamKind::Queue => AnyCommand::Queue(codec::from_bytes("command", payload).map_err(decode)?),
            StreamKind::Bulk => AnyCommand::Bulk(codec::from_bytes("command", payload).map_err(decode)?),
        };
        let actor = commit.events.first().map(|event| event.meta.actor.clone()).unwrap_or_default();
        asked.push_back(Asked { at: ctx.now, stream: command.stream, id: command.record.id, command: any, actor });
    }
    Ok(asked)
}

type Fault = Result<(), String>;

impl Stage {
    async fn go_on(&self, system: &System, mut asked: VecDeque<Asked>) -> Result<Fault, StoreError> {
        for _ in 0..MOVES_MAX {
            if let Err(fault) = self.calm(system).await? {
                return Ok(Err(fault));
            }
            let timer = self.next_timer().await?;
            match asked.pop_front_if(|asked| timer.is_none_or(|due| asked.at < due)) {
                Some(asked) => {
                    self.clock.set(self.clock.now().max(asked.at));
                    if let Err(fault) = self.ask(system, asked).await {
                        return Ok(Err(fault));
                    }
                }
                None => match timer {
                    Some(due) => self.clock.set(due),
                    None => return Ok(Ok(())),
                },
            }
        }
        Ok(Err(format!("timers still open new timers after the clock was moved {MOVES_MAX} times")))
    }

    /// A rejection is an answer: what was made meanwhile may differ from then. No answer is a fault.
    async fn ask(&self, system: &System, asked: Asked) -> Fault {
        let Asked { stream, id, command, actor, .. } = asked;
        match system.submit(stream, command, (id, &actor)).await {
            Ok(_) | Err(NotDone::Rejected { .. }) => Ok(()),
            Err(error) => Err(format!("command {id} to {stream} had no answer: {error}")),
        }
    }

    /// Waits until nothing is owed but timers of the future.
    async fn calm(&self, system: &System) -> Result<Fault, StoreError> {
        let quiet = async {
            loop {
                system.settled().await;
                if self.due().await?.is_empty() {
                    return Ok::<(), StoreError>(());
                }
                tokio::task::yield_now().await;
            }
        };
        match tokio::time::timeout(CALM_WITHIN, quiet).await {
            Ok(result) => result.map(Ok),
            Err(_) => {
                let due = self.due().await?;
                let keys: Vec<String> =
                    due.iter().map(|owed| format!("{} {}", owed.stream, owed.obligation.key)).collect();
                let open = system.context().gauges.open_count();
                Ok(Err(format!("it did not come to rest: {open} pieces of work open, owed: [{}]", keys.join(", "))))
            }
        }
    }

    async fn owed(&self, classes: &[Class]) -> Result<Vec<Owed>, StoreError> {
        let shards: Vec<ShardId> = (0..self.store.info().shard_count).map(ShardId).collect();
        let query = OwedQuery { classes: classes.to_vec(), due_before: None, after: None, limit: u32::MAX };
        self.store.owed(&shards, &query).await
    }

    async fn due(&self) -> Result<Vec<Owed>, StoreError> {
        let now = self.clock.now();
        let owed = self.owed(&Class::ALL).await?;
        let is_due = |owed: &Owed| owed.obligation.duty.class() != Class::Timer || owed.obligation.due_at <= now;
        Ok(owed.into_iter().filter(is_due).collect())
    }

    /// The next timer that belongs to the fixture: due before its end, or the wait of an attempt that it began.
    async fn next_timer(&self) -> Result<Option<Timestamp>, StoreError> {
        let timers = self.owed(&[Class::Timer]).await?;
        let wanted = |owed: &Owed| owed.obligation.due_at <= self.end || owed.stream.kind == StreamKind::Run;
        Ok(timers.into_iter().filter(wanted).map(|owed| owed.obligation.due_at).min())
    }
}

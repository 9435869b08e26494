//! What is owed goes to whoever pays it: timers to the clock, jobs to the queue, work to the workers, errands to the
//! courier, messages to the herald. Handing over the same thing twice is handing it over once.

use std::sync::Arc;

use nightshift_domain::{
    bulk::{self, BulkDecider},
    decider::{Duty, Obligation},
    definition::{self, DefinitionDecider},
    deliverable::{self, DeliverableDecider, Stage},
    ids::{BulkId, DeliverableId, RunId, StreamId, StreamKind},
    queue::{self, QueueDecider},
    run::{self, Gates, RunDecider, StepStatus},
    schedule::{self, ScheduleDecider},
    source::{self, SourceDecider},
    streams::AnyCommand,
    topic::{self, TopicDecider},
};

use crate::{
    chooser::Choose,
    context::Context,
    courier::Errand,
    herald::Owing,
    importer::Assess,
    queue::Job,
    shell::Kind,
    workers::{Attempt, Undertaking},
};

/// Work that needs facts of the stream's state.
pub enum Work {
    /// See an attempt through.
    Attempt(Box<Attempt>),
    /// Look at the sources of a slot.
    Assess(Box<Assess>),
    /// Choose a page of letters.
    Choose(Box<Choose>),
}

/// How a stream kind turns a duty into work.
pub trait Duties: nightshift_domain::decider::Decider {
    /// The work behind a duty of class effect; none when the state does not owe it any more.
    fn work(_stream: StreamId, _state: &Self::State, _duty: &Duty) -> Option<Work> {
        None
    }

    /// Something happened to the stream and is durable: this is its state now.
    fn happened(_context: &Arc<Context>, _state: &Self::State) {}

    /// What a step that waits for a place has to pass; none when the state knows no such step.
    fn gates(_state: &Self::State, _step: &str) -> Option<Gates> {
        None
    }
}

/// Hands over what was opened.
pub fn hand_over<K: Kind>(context: &Arc<Context>, stream: StreamId, state: &K::State, opens: &[Obligation]) {
    for obligation in opens {
        let key = obligation.key.clone();
        match &obligation.duty {
            Duty::Wake { to, command } => {
                let command = (**command).clone();
                let errand = Errand { owner: stream, key, to: *to, command, timer: true, asks: false };
                context.clock.arm(obligation.due_at, errand);
            }
            Duty::Tell { to, command } | Duty::Ask { to, command } => {
                let asks = matches!(obligation.duty, Duty::Ask { .. });
                let command = (**command).clone();
                let errand = Errand { owner: stream, key, to: *to, command, timer: false, asks };
                context.courier.send(context, errand);
            }
            Duty::Report { report } => {
                let owing = Owing { key, report: Arc::new((**report).clone()), since: obligation.due_at };
                context.herald.send(context, stream, owing);
            }
            Duty::Lease { step, attempt } => {
                let Some(gates) = K::gates(state, step) else {
                    tracing::debug!(%stream, key, "a job has no step behind it any more");
                    continue;
                };
                let run = RunId::from_uuid(stream.id);
                let (priority, since) = (obligation.priority, obligation.due_at);
                let job = Job { run, step: step.clone(), attempt: *attempt, priority, since, gates };
                context.queue.enqueue(job, context.gauges.open());
            }
            duty @ (Duty::Attempt { .. } | Duty::Assess { .. } | Duty::Choose { .. }) => {
                match K::work(stream, state, duty) {
                    Some(Work::Attempt(attempt)) => context.workers.start(context, *attempt),
                    Some(Work::Choose(choose)) => context.chooser.choose(context, *choose),
                    Some(Work::Assess(assess)) => context.importer.assess(*assess, context.gauges.open()),
                    None => tracing::debug!(%stream, key, "an obligation has no work behind it any more"),
                }
            }
        }
    }
}

/// Tells whoever pays that these are not owed any more.
pub fn close(context: &Arc<Context>, closes: &[(StreamId, String)]) {
    for (owner, key) in closes {
        context.courier.done(*owner, key);
        match key.split_once(':').map(|(what, _)| what) {
            Some("timer" | "retry" | "window") => context.clock.disarm(*owner, key.clone()),
            Some("job") => context.queue.forget(RunId::from_uuid(owner.id), key),
            Some("attempt") => context.workers.no_longer_owed(RunId::from_uuid(owner.id), key),
            _ => {}
        }
    }
}

impl Duties for ScheduleDecider {}

impl Kind for ScheduleDecider {
    fn unwrap(command: AnyCommand) -> Option<schedule::Command> {
        match command {
            AnyCommand::Schedule(command) => Some(command),
            _ => None,
        }
    }
}

impl Duties for SourceDecider {}

impl Kind for SourceDecider {
    fn unwrap(command: AnyCommand) -> Option<source::Command> {
        match command {
            AnyCommand::Source(command) => Some(command),
            _ => None,
        }
    }
}

impl Duties for RunDecider {
    fn gates(state: &run::State, step: &str) -> Option<Gates> {
        run::gates(state.run()?, step)
    }

    fn work(stream: StreamId, state: &run::State, duty: &Duty) -> Option<Work> {
        let Duty::Attempt { step, attempt, token } = duty else { return None };
        let run = state.run()?;
        let (plan, found) = run.step(step)?;
        let StepStatus::Running { attempt: running, lease, since } = &found.status else { return None };
        if running != attempt || lease.token != *token {
            return None;
        }
        let id = RunId::from_uuid(stream.id);
        Some(Work::Attempt(Box::new(Attempt {
            run: id,
            created: Arc::clone(&run.created),
            step: step.clone(),
            work: Undertaking::of(run, id, plan, step)?,
            idempotency_key: run.idempotency_key(id, step)?,
            timeout_ms: plan.timeout_ms,
            attempt: *attempt,
            token: *token,
            started_at: *since,
            gates: run::gates(run, step)?,
            inputs: run.outputs(),
        })))
    }
}

impl Kind for RunDecider {
    fn unwrap(command: AnyCommand) -> Option<run::Command> {
        match command {
            AnyCommand::Run(command) => Some(command),
            _ => None,
        }
    }
}

impl Duties for DefinitionDecider {}

impl Kind for DefinitionDecider {
    fn unwrap(command: AnyCommand) -> Option<definition::Command> {
        match command {
            AnyCommand::Definition(command) => Some(command),
            _ => None,
        }
    }
}

impl Duties for TopicDecider {}

impl Kind for TopicDecider {
    fn unwrap(command: AnyCommand) -> Option<topic::Command> {
        match command {
            AnyCommand::Topic(command) => Some(command),
            _ => None,
        }
    }
}

impl Duties for QueueDecider {
    fn happened(context: &Arc<Context>, state: &queue::State) {
        context.queue_changed(state);
    }
}

impl Kind for QueueDecider {
    fn unwrap(command: AnyCommand) -> Option<queue::Command> {
        match command {
            AnyCommand::Queue(command) => Some(command),
            _ => None,
        }
    }
}

/// What a stream that asked is told; none when streams of its kind never ask.
pub fn answer(owner: StreamId, key: &str, refused: Option<String>) -> Option<AnyCommand> {
    match owner.kind {
        StreamKind::Bulk => BulkDecider::answer(key, refused).map(AnyCommand::from),
        _ => None,
    }
}

impl Duties for BulkDecider {
    fn work(stream: StreamId, state: &bulk::State, duty: &Duty) -> Option<Work> {
        let Duty::Choose { page } = duty else { return None };
        let bulk::State::Open(bulk) = state else { return None };
        (bulk.is_choosing() && bulk.page == *page).then(|| {
            Work::Choose(Box::new(Choose {
                bulk: BulkId::from_uuid(stream.id),
                page: *page,
                filter: bulk.created.filter.clone(),
                upto: bulk.created_at,
                from: bulk.from.clone(),
            }))
        })
    }
}

impl Kind for BulkDecider {
    fn unwrap(command: AnyCommand) -> Option<bulk::Command> {
        match command {
            AnyCommand::Bulk(command) => Some(command),
            _ => None,
        }
    }
}

impl Duties for DeliverableDecider {
    fn work(stream: StreamId, state: &deliverable::State, duty: &Duty) -> Option<Work> {
        let Duty::Assess { slot } = duty else { return None };
        let it = state.taken()?;
        let current = it.current.as_ref().filter(|current| current.slot.id == *slot)?;
        matches!(current.stage, Stage::Assessing { .. }).then(|| {
            Work::Assess(Box::new(Assess {
                deliverable: DeliverableId::from_uuid(stream.id),
                slot: *slot,
                user: it.user.clone(),
                order: Arc::clone(&it.order),
                consumed: it.consumed.clone(),
            }))
        })
    }
}

impl Kind for DeliverableDecider {
    fn unwrap(command: AnyCommand) -> Option<deliverable::Command> {
        match command {
            AnyCommand::Deliverable(command) => Some(command),
            _ => None,
        }
    }
}

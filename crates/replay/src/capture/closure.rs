//! Which streams belong together.
//!
//! Owns: the causal closure of a run, of a deliverable and of a window.
//! Refuses to know: what is done with the streams.

use std::collections::BTreeSet;

use nightshift_domain::{
    definition, deliverable,
    ids::{DeliverableId, RunId, StreamId, StreamKind},
    run::{self, Action, Waits},
    streams::AnyEvent,
    time::Timestamp,
};
use nightshift_ports::log::EventLog;

use super::{Progress, Scope};
use crate::{error::Error, live::Events};

/// Events of a shard read at once.
const PAGE: u32 = 2_000;

/// The streams of a scope.
pub async fn of(
    log: &dyn EventLog,
    scope: Scope,
    progress: &mut (dyn FnMut(Progress) + Send),
) -> Result<BTreeSet<StreamId>, Error> {
    match scope {
        Scope::Run(id) => of_run(log, id).await,
        Scope::Deliverable(id) => of_deliverable(log, id, None).await,
        Scope::Since(at) => touched(log, at, progress).await,
        Scope::All => touched(log, Timestamp(i64::MIN), progress).await,
    }
}

/// A run, its deliverable with schedule and sources, and the other runs of the same version.
async fn of_run(log: &dyn EventLog, id: RunId) -> Result<BTreeSet<StreamId>, Error> {
    let mut events = Events::of(id.stream());
    let first = events.next(log).await?.ok_or(Error::NotFound { stream: id.stream() })?;
    let AnyEvent::Run(run::Event::Created(created)) =
        first.decode().map_err(|error| Error::decode(id.stream(), error))?
    else {
        return Ok(BTreeSet::from([id.stream()]));
    };
    let mut streams = match created.subject.version() {
        Some((deliverable, number)) => of_deliverable(log, deliverable, Some(number)).await?,
        None => of_tree(log, created.root).await?,
    };
    streams.insert(id.stream());
    Ok(streams)
}

/// The tree of runs below one of a workflow, with their definitions and the schedules of these. Topics stay outside: they
/// hold events of everybody.
async fn of_tree(log: &dyn EventLog, root: RunId) -> Result<BTreeSet<StreamId>, Error> {
    let (mut streams, mut left) = (BTreeSet::new(), vec![root.stream()]);
    while let Some(stream) = left.pop() {
        if streams.contains(&stream) {
            continue;
        }
        let mut events = Events::of(stream);
        while let Some(recorded) = events.next(log).await? {
            // One that is told to begin and has not begun yet has no events.
            streams.insert(stream);
            let place = || format!("{} version {}", recorded.stream, recorded.version);
            match recorded.decode().map_err(|error| Error::decode(place(), error))? {
                AnyEvent::Run(run::Event::Created(created)) => {
                    let workflow = created.subject.workflow().and_then(|workflow| workflow.definition);
                    left.extend(workflow.map(|definition| definition.stream()));
                }
                AnyEvent::Run(run::Event::StepParked { on, .. }) => {
                    if let Waits::Child { run, .. } = *on {
                        left.push(run.stream());
                    }
                }
                AnyEvent::Definition(definition::Event::Activated { schedules, .. }) => {
                    left.extend(schedules.iter().map(|schedule| schedule.stream()));
                }
                _ => {}
            }
        }
    }
    Ok(streams)
}

/// A deliverable, its schedule, its sources, and its runs: all, or those of one version.
async fn of_deliverable(log: &dyn EventLog, id: DeliverableId, only: Option<u32>) -> Result<BTreeSet<StreamId>, Error> {
    let mut found = Found { streams: BTreeSet::from([id.stream()]), only };
    let mut events = Events::of(id.stream());
    let mut any = false;
    while let Some(recorded) = events.next(log).await? {
        any = true;
        let place = || format!("{} version {}", recorded.stream, recorded.version);
        if let AnyEvent::Deliverable(event) = recorded.decode().map_err(|error| Error::decode(place(), error))? {
            found.by(&event);
        }
    }
    if !any {
        return Err(Error::NotFound { stream: id.stream() });
    }
    let runs: Vec<StreamId> = found.streams.iter().filter(|stream| stream.kind == StreamKind::Run).copied().collect();
    for stream in runs {
        let first = Events::of(stream).next(log).await?;
        match first.map(|recorded| recorded.decode()) {
            Some(Ok(AnyEvent::Run(run::Event::Created(created)))) => found.by_plan(&created),
            // A run that is told to begin and has not begun yet.
            None => drop(found.streams.remove(&stream)),
            Some(Err(error)) => return Err(Error::decode(stream, error)),
            Some(Ok(_)) => {}
        }
    }
    Ok(found.streams)
}

struct Found {
    streams: BTreeSet<StreamId>,
    only: Option<u32>,
}

impl Found {
    fn by(&mut self, event: &deliverable::Event) {
        use deliverable::Event;
        match event {
            Event::Created { schedule_id, .. } | Event::Revised { schedule_id, .. } => {
                self.streams.extend(schedule_id.map(|id| id.stream()));
            }
            Event::SourcesAssessed { sources, .. } => {
                let looked_at = sources.iter().filter(|source| source.upto_version > 0);
                self.streams.extend(looked_at.map(|source| source.source_id.stream()));
            }
            Event::RunRequested { number, run_id, .. }
            | Event::DeliveryRequested { number, run_id, .. }
            | Event::NoticeRaised { number, run_id: Some(run_id), .. }
                if self.only.is_none_or(|only| only == *number) =>
            {
                self.streams.insert(run_id.stream());
            }
            _ => {}
        }
    }

    fn by_plan(&mut self, created: &run::Created) {
        for step in &created.plan.steps {
            if let Action::Gather { sources, .. } = &step.action {
                let read = sources.iter().filter(|source| source.upto_version > 0);
                self.streams.extend(read.map(|source| source.source_id.stream()));
            }
        }
    }
}

/// Streams that something happened to at or after an instant.
async fn touched(
    log: &dyn EventLog,
    since: Timestamp,
    progress: &mut (dyn FnMut(Progress) + Send),
) -> Result<BTreeSet<StreamId>, Error> {
    let heads = log.heads().await?;
    let (mut done, of) = (0, heads.iter().map(|(_, head)| head).sum());
    let mut streams = BTreeSet::new();
    for (shard, head) in heads {
        let mut after = 0;
        while after < head {
            let page = log.read_shard(shard, after, PAGE).await?;
            let Some(last) = page.last() else { break };
            after = last.seq;
            done += page.len() as u64;
            streams.extend(page.iter().filter(|event| event.at >= since).map(|event| event.stream));
            progress(Progress { done, of, doing: "looking for streams" });
        }
    }
    Ok(streams)
}

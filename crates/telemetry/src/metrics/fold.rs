//! Metrics as a fold of the log: which events count for what.
//!
//! Owns: the little that must be remembered between the events of a run (when, which definition), with a bound.
//! Refuses to know: the registry that keeps the numbers, clocks: durations are between instants of events.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use nightshift_domain::{
    deliverable,
    ids::{RunId, SourceId},
    recorded::Recorded,
    run::{self, Action, Created, Plan, StepOutput, StepStatus, instance_of},
    schedule, source,
    streams::AnyEvent,
    time::Timestamp,
};

use super::{Metric, bounded::Bounded};
use crate::spans::outcome::used;

/// Open runs that are remembered; a run that is forgotten still counts, without its duration.
const RUNS_MAX: usize = 100_000;
/// Runs that are over and are remembered all the same; one that is opened again later counts as unknown.
const OVER_MAX: usize = 1_000;
/// Sources whose platform is remembered.
const SOURCES_MAX: usize = 100_000;
/// Definitions that get a label of their own; any more share `other`, so that labels do not grow without end.
const DEFINITIONS_MAX: usize = 200;
/// Steps of definitions that get a label of their own, all definitions together; any more share `other`.
const STEPS_MAX: usize = 2_000;
/// The label of what was created before this process looked, and was not adopted.
const UNKNOWN: &str = "unknown";

/// One number for one metric: an increment of a counter, an observation of a histogram.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// The metric.
    pub metric: Metric,
    /// Values of its labels, in the order of its spec.
    pub labels: Vec<Arc<str>>,
    /// The number.
    pub value: f64,
}

/// The fold. Feed it each event of the log once, in the order of each stream.
#[derive(Debug)]
pub struct EventFold {
    runs: Bounded<RunId, RunTimes>,
    /// Runs that are over and may be opened again.
    over: Bounded<RunId, RunTimes>,
    platforms: Bounded<SourceId, &'static str>,
    definitions: HashSet<Arc<str>>,
    /// Steps by definition that have a label of their own.
    steps: HashSet<(Arc<str>, Arc<str>)>,
}

#[derive(Debug)]
struct RunTimes {
    definition: Arc<str>,
    created_at: Timestamp,
    /// Steps of the plan.
    steps: BTreeMap<String, StepTimes>,
    /// Instances of steps with lists, while an attempt at them waits or runs.
    instances: BTreeMap<String, StepTimes>,
}

#[derive(Debug, Default)]
struct StepTimes {
    queued_at: Option<Timestamp>,
    started_at: Option<Timestamp>,
    /// Where it delivers to, when it delivers.
    platform: Option<&'static str>,
}

impl Default for EventFold {
    fn default() -> Self {
        Self {
            runs: Bounded::new(RUNS_MAX),
            over: Bounded::new(OVER_MAX),
            platforms: Bounded::new(SOURCES_MAX),
            definitions: HashSet::new(),
            steps: HashSet::new(),
        }
    }
}

impl EventFold {
    /// Takes over a run that was created before this process looked, from its folded state.
    pub fn adopt_run(&mut self, id: RunId, state: &run::State) {
        let run::State::Open(run) = state else { return };
        let mut times = self.times(&run.created, run.created_at);
        for (step_id, _, step) in run.all() {
            let Some((_, seen)) = times.of(&step_id) else { continue };
            match &step.status {
                StepStatus::Queued { since, .. } => seen.queued_at = Some(*since),
                StepStatus::Running { since, .. } => seen.started_at = Some(*since),
                _ => {}
            }
        }
        self.runs.insert(id, times);
    }

    /// Takes over a source that was registered before this process looked.
    pub fn adopt_source(&mut self, id: SourceId, platform: &'static str) {
        self.platforms.insert(id, platform);
    }

    /// What an event counts for.
    pub fn observe(&mut self, recorded: &Recorded, event: &AnyEvent) -> Vec<Sample> {
        let id = recorded.stream.id;
        match event {
            AnyEvent::Run(event) => self.of_run(RunId::from_uuid(id), event, recorded.at),
            AnyEvent::Deliverable(event) => of_deliverable(event),
            AnyEvent::Schedule(event) => of_schedule(event, recorded.at),
            AnyEvent::Source(event) => self.of_source(SourceId::from_uuid(id), event),
            AnyEvent::Definition(_) | AnyEvent::Topic(_) | AnyEvent::Queue(_) | AnyEvent::Bulk(_) => vec![],
        }
    }

    fn of_run(&mut self, id: RunId, event: &run::Event, at: Timestamp) -> Vec<Sample> {
        match event {
            run::Event::Created(created) => {
                let times = self.times(created, at);
                let samples = counted_run(&times.definition, "started", "started");
                self.runs.insert(id, times);
                samples
            }
            run::Event::StepQueued { step, .. } => {
                if let Some((_, step)) = self.runs.get_mut(&id).and_then(|run| run.of(step)) {
                    step.queued_at = Some(at);
                }
                vec![]
            }
            run::Event::AttemptStarted { step, .. } => self.attempt_started(id, step, at),
            run::Event::AttemptSucceeded { step, output, .. } => {
                let mut samples = self.attempt_ended(id, step, "completed", at);
                samples.extend(self.delivery(id, step, "delivered"));
                samples.extend(tokens(output));
                samples
            }
            run::Event::AttemptFailed { step, .. } => self.attempt_ended(id, step, "failed", at),
            run::Event::LeaseExpired { step, .. } => {
                let mut samples = self.attempt_ended(id, step, "lost", at);
                samples.push(one(Metric::LeasesExpired, &[]));
                samples
            }
            run::Event::StaleResult { .. } => vec![one(Metric::StaleResults, &[])],
            run::Event::StepDied { step, .. } => self.delivery(id, step, "failed").into_iter().collect(),
            run::Event::StepSkipped { step, .. } => {
                if let Some(run) = self.runs.get_mut(&id) {
                    run.forget(step);
                }
                vec![]
            }
            run::Event::Reopened { .. } => self.reopened(id, at),
            run::Event::Migrated(to) => {
                self.migrated(id, &to.plan);
                vec![]
            }
            run::Event::Completed { .. } => self.run_ended(id, ("completed", "completed"), at),
            run::Event::Failed { .. } => self.run_ended(id, ("failed", "failed"), at),
            run::Event::Cancelled { .. } => self.run_ended(id, ("cancelled", "aborted"), at),
            run::Event::FannedOut { .. }
            | run::Event::StepParked { .. }
            | run::Event::StepCompleted { .. }
            | run::Event::ApprovalRequested { .. }
            | run::Event::ApprovalDecided { .. }
            | run::Event::ApprovalEscalated { .. }
            | run::Event::StepReset { .. }
            | run::Event::StepDiscarded { .. }
            | run::Event::Paused { .. }
            | run::Event::Resumed { .. }
            | run::Event::ReportResent { .. } => vec![],
            run::Event::Reported { .. } => vec![one(Metric::Reports, &["taken"])],
            run::Event::ReportGivenUp { .. } => vec![one(Metric::Reports, &["given_up"])],
        }
    }

    fn of_source(&mut self, id: SourceId, event: &source::Event) -> Vec<Sample> {
        let outcome = match event {
            source::Event::Registered { spec, .. } => {
                self.platforms.insert(id, spec.platform());
                return vec![];
            }
            source::Event::ContentObserved { .. } => "changed",
            source::Event::Checked { .. } => "unchanged",
            source::Event::ObservationFailed { .. } => "failed",
            source::Event::ContentRetained { .. } | source::Event::ContentExpired { .. } => return vec![],
        };
        let platform = self.platforms.get(&id).copied().unwrap_or(UNKNOWN);
        vec![one(Metric::SourceObservations, &[platform, outcome])]
    }

    fn times(&mut self, created: &Created, created_at: Timestamp) -> RunTimes {
        let steps = created.plan.steps.iter().map(|plan| {
            let platform = match &plan.action {
                Action::Deliver { destination, .. } => Some(destination.platform()),
                _ => None,
            };
            (plan.id.clone(), StepTimes { platform, ..StepTimes::default() })
        });
        let definition = self.definition(&created.plan.definition);
        RunTimes { steps: steps.collect(), instances: BTreeMap::new(), definition, created_at }
    }

    /// What is under way keeps its times.
    fn migrated(&mut self, id: RunId, plan: &Plan) {
        let definition = self.definition(&plan.definition);
        let Some(run) = self.runs.get_mut(&id) else { return };
        run.definition = definition;
        for step in &plan.steps {
            run.steps.entry(step.id.clone()).or_default();
        }
    }

    fn definition(&mut self, name: &str) -> Arc<str> {
        if let Some(known) = self.definitions.get(name) {
            return Arc::clone(known);
        }
        let label: Arc<str> = if self.definitions.len() < DEFINITIONS_MAX { name.into() } else { "other".into() };
        self.definitions.insert(Arc::clone(&label));
        label
    }

    /// Plans that come with a request may name their steps as they like.
    fn step_label(&mut self, definition: Arc<str>, step: Arc<str>) -> Arc<str> {
        let label = (definition, step);
        if self.steps.contains(&label) || self.steps.len() < STEPS_MAX {
            let step = Arc::clone(&label.1);
            self.steps.insert(label);
            return step;
        }
        "other".into()
    }

    fn attempt_started(&mut self, id: RunId, step: &str, at: Timestamp) -> Vec<Sample> {
        let Some(run) = self.runs.get_mut(&id) else {
            return vec![];
        };
        let definition = Arc::clone(&run.definition);
        let Some((label, times)) = run.of(step) else {
            return vec![];
        };
        times.started_at = Some(at);
        // A step that found a place at once did not wait.
        let queued_at = times.queued_at.take().unwrap_or(at);
        let labels = vec![Arc::clone(&definition), self.step_label(definition, label)];
        vec![Sample { metric: Metric::StepQueueSeconds, labels, value: seconds(queued_at, at) }]
    }

    fn attempt_ended(&mut self, id: RunId, step: &str, status: &str, at: Timestamp) -> Vec<Sample> {
        let Some(run) = self.runs.get_mut(&id) else {
            return vec![];
        };
        let definition = Arc::clone(&run.definition);
        let Some((label, times)) = run.of(step) else {
            return vec![];
        };
        let started_at = times.started_at.take();
        run.forget(step);
        let Some(started_at) = started_at else {
            return vec![];
        };
        let labels = vec![Arc::clone(&definition), self.step_label(definition, label), status.into()];
        vec![Sample { metric: Metric::StepSeconds, labels, value: seconds(started_at, at) }]
    }

    fn delivery(&mut self, id: RunId, step: &str, outcome: &str) -> Option<Sample> {
        let platform = self.runs.get(&id)?.steps.get(step)?.platform?;
        Some(one(Metric::Deliveries, &[platform, outcome]))
    }

    fn run_ended(&mut self, id: RunId, (ours, theirs): (&str, &str), at: Timestamp) -> Vec<Sample> {
        let Some(run) = self.runs.remove(&id) else {
            return counted_run(&UNKNOWN.into(), ours, theirs);
        };
        let mut samples = counted_run(&run.definition, ours, theirs);
        let labels = vec![Arc::clone(&run.definition), theirs.into()];
        samples.push(Sample { metric: Metric::RunSeconds, labels, value: seconds(run.created_at, at) });
        self.over.insert(id, run);
        samples
    }

    /// A run that was over goes on: it counts as one more, from now on.
    fn reopened(&mut self, id: RunId, at: Timestamp) -> Vec<Sample> {
        let Some(run) = self.over.remove(&id) else {
            return counted_run(&UNKNOWN.into(), "started", "started");
        };
        let samples = counted_run(&run.definition, "started", "started");
        self.runs.insert(id, RunTimes { created_at: at, ..run });
        samples
    }
}

impl RunTimes {
    /// The times of a step or of an instance, `step[3]`, and the label it has: that of its step, so that lists make no
    /// labels. None for a step that the plan does not know.
    fn of(&mut self, id: &str) -> Option<(Arc<str>, &mut StepTimes)> {
        if self.steps.contains_key(id) {
            return self.steps.get_mut(id).map(|times| (id.into(), times));
        }
        let (list, _) = instance_of(id)?;
        let platform = self.steps.get(list)?.platform;
        let fresh = || StepTimes { platform, ..StepTimes::default() };
        Some((list.into(), self.instances.entry(id.to_owned()).or_insert_with(fresh)))
    }

    /// Nothing of an instance is open any more.
    fn forget(&mut self, id: &str) {
        self.instances.remove(id);
    }
}

fn of_deliverable(event: &deliverable::Event) -> Vec<Sample> {
    use deliverable::{Event, Skipped};
    let outcome = match event {
        Event::VersionStaged { .. } => "staged",
        Event::VersionFailed { .. } => "failed",
        Event::Skipped { reason: Skipped::NothingNew { .. }, .. } => "nothing_new",
        Event::Skipped { reason: Skipped::StillRunning { .. }, .. } => "still_running",
        Event::Skipped { reason: Skipped::Paused {}, .. } => "paused",
        _ => return vec![],
    };
    vec![one(Metric::Slots, &[outcome])]
}

fn of_schedule(event: &schedule::Event, at: Timestamp) -> Vec<Sample> {
    match event {
        schedule::Event::Fired { nominal, .. } => {
            vec![Sample { metric: Metric::ScheduleLateness, labels: vec![], value: seconds(*nominal, at) }]
        }
        schedule::Event::Skipped { count, .. } => {
            vec![Sample { value: f64::from(*count), ..one(Metric::Slots, &["missed"]) }]
        }
        _ => vec![],
    }
}

fn tokens(output: &StepOutput) -> Vec<Sample> {
    let Some((_, counts)) = used(output) else {
        return vec![];
    };
    ["prompt", "completion"]
        .into_iter()
        .zip(counts)
        .map(|(kind, count)| Sample { value: count as f64, ..one(Metric::LlmTokens, &[kind]) })
        .collect()
}

/// A run by our word and by the word of the dashboards that watch `orchestration_*`.
fn counted_run(definition: &Arc<str>, ours: &str, theirs: &str) -> Vec<Sample> {
    [(Metric::Runs, ours), (Metric::OrchestrationRuns, theirs)]
        .map(|(metric, status)| Sample { metric, labels: vec![Arc::clone(definition), status.into()], value: 1.0 })
        .into()
}

fn one(metric: Metric, labels: &[&str]) -> Sample {
    Sample { metric, labels: labels.iter().map(|label| Arc::from(*label)).collect(), value: 1.0 }
}

/// Clocks of two events may disagree; a duration is never below zero.
fn seconds(from: Timestamp, to: Timestamp) -> f64 {
    to.micros_since(from).max(0) as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn definitions_beyond_the_bound_share_a_label() {
        let mut fold = EventFold::default();
        let labels: HashSet<Arc<str>> = (0..1_000).map(|n| fold.definition(&format!("d{n}@1"))).collect();
        assert_eq!(labels.len(), DEFINITIONS_MAX + 1);
        assert_eq!(&*fold.definition("d7@1"), "d7@1");
        assert_eq!(&*fold.definition("d900@1"), "other");
    }

    #[test]
    fn steps_beyond_the_bound_share_a_label() {
        let mut fold = EventFold::default();
        let mut label = |n: usize| fold.step_label("d@1".into(), format!("s{n}").into());
        let labels: HashSet<Arc<str>> = (0..3_000).map(&mut label).collect();
        assert_eq!(labels.len(), STEPS_MAX + 1);
        assert_eq!((&*label(7), &*label(2_900)), ("s7", "other"));
    }
}

//! Metrics as a fold of the log: which events count for what.
//!
//! Owns: the little that must be remembered between the events of a run (when, which definition), with a bound.
//! Refuses to know: the registry that keeps the numbers, clocks: durations are between instants of events.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use nightshift_domain::{
    content::Composer,
    deliverable,
    ids::{RunId, SourceId},
    recorded::Recorded,
    run::{self, Action, Created, StepOutput, StepStatus},
    schedule, source,
    streams::AnyEvent,
    time::Timestamp,
};

use super::{Metric, bounded::Bounded};

/// Open runs that are remembered; a run that is forgotten still counts, without its duration.
const RUNS_MAX: usize = 100_000;
/// Sources whose platform is remembered.
const SOURCES_MAX: usize = 100_000;
/// Definitions that get a label of their own; any more share `other`, so that labels do not grow without end.
const DEFINITIONS_MAX: usize = 200;
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
    platforms: Bounded<SourceId, &'static str>,
    definitions: HashSet<Arc<str>>,
}

#[derive(Debug)]
struct RunTimes {
    definition: Arc<str>,
    created_at: Timestamp,
    steps: BTreeMap<String, StepTimes>,
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
        Self { runs: Bounded::new(RUNS_MAX), platforms: Bounded::new(SOURCES_MAX), definitions: HashSet::new() }
    }
}

impl EventFold {
    /// Takes over a run that was created before this process looked, from its folded state.
    pub fn adopt_run(&mut self, id: RunId, state: &run::State) {
        let run::State::Open(run) = state else { return };
        let mut times = self.times(&run.created, run.created_at);
        for (plan, step) in run.created.plan.steps.iter().zip(&run.steps) {
            let Some(seen) = times.steps.get_mut(&plan.id) else {
                continue;
            };
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
                if let Some(step) = self.step(id, step) {
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
            run::Event::StepSkipped { .. } => vec![],
            run::Event::Completed {} => self.run_ended(id, ("completed", "completed"), at),
            run::Event::Failed { .. } => self.run_ended(id, ("failed", "failed"), at),
            run::Event::Cancelled { .. } => self.run_ended(id, ("cancelled", "aborted"), at),
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
        RunTimes { steps: steps.collect(), definition: self.definition(&created.plan.definition), created_at }
    }

    fn definition(&mut self, name: &str) -> Arc<str> {
        if let Some(known) = self.definitions.get(name) {
            return Arc::clone(known);
        }
        let label: Arc<str> = if self.definitions.len() < DEFINITIONS_MAX { name.into() } else { "other".into() };
        self.definitions.insert(Arc::clone(&label));
        label
    }

    fn step(&mut self, id: RunId, step: &str) -> Option<&mut StepTimes> {
        self.runs.get_mut(&id)?.steps.get_mut(step)
    }

    fn attempt_started(&mut self, id: RunId, step: &str, at: Timestamp) -> Vec<Sample> {
        let Some(run) = self.runs.get_mut(&id) else {
            return vec![];
        };
        let Some(times) = run.steps.get_mut(step) else {
            return vec![];
        };
        times.started_at = Some(at);
        let Some(queued_at) = times.queued_at.take() else {
            return vec![];
        };
        let labels = vec![Arc::clone(&run.definition), step.into()];
        vec![Sample { metric: Metric::StepQueueSeconds, labels, value: seconds(queued_at, at) }]
    }

    fn attempt_ended(&mut self, id: RunId, step: &str, status: &str, at: Timestamp) -> Vec<Sample> {
        let Some(run) = self.runs.get_mut(&id) else {
            return vec![];
        };
        let Some(started_at) = run.steps.get_mut(step).and_then(|step| step.started_at.take()) else {
            return vec![];
        };
        let labels = vec![Arc::clone(&run.definition), step.into(), status.into()];
        vec![Sample { metric: Metric::StepSeconds, labels, value: seconds(started_at, at) }]
    }

    fn delivery(&mut self, id: RunId, step: &str, outcome: &str) -> Option<Sample> {
        let platform = self.step(id, step)?.platform?;
        Some(one(Metric::Deliveries, &[platform, outcome]))
    }

    fn run_ended(&mut self, id: RunId, (ours, theirs): (&str, &str), at: Timestamp) -> Vec<Sample> {
        let Some(run) = self.runs.remove(&id) else {
            return counted_run(&UNKNOWN.into(), ours, theirs);
        };
        let mut samples = counted_run(&run.definition, ours, theirs);
        let labels = vec![run.definition, theirs.into()];
        samples.push(Sample { metric: Metric::RunSeconds, labels, value: seconds(run.created_at, at) });
        samples
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
    let StepOutput::Draft(draft) = output else {
        return vec![];
    };
    let Composer::Model { prompt_tokens, completion_tokens, .. } = &draft.composer else {
        return vec![];
    };
    [("prompt", prompt_tokens), ("completion", completion_tokens)]
        .map(|(kind, count)| Sample { value: *count as f64, ..one(Metric::LlmTokens, &[kind]) })
        .into()
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
}

//! Runs: attempts, results, questions, places, effects.
//!
//! Owns: I8, I11, I17 and I23 of one run, and what a run may look like when all is quiet.
//! Refuses to know: why a run did what it did.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use nightshift_domain::{
    ids::{RunId, ShardId, StreamId},
    run::{Answer, ApprovalId, Command, Created, Event, How, Token, instance_of},
    streams::AnyCommand,
    time::Timestamp,
};

use serde_json::Value;

use super::Audit;
use crate::{
    prefix::steps::Steps,
    simulate::{
        Invariant,
        database::{Commit, Fact},
    },
};

/// What was seen of a run.
#[derive(Debug)]
pub struct RunView {
    pub created: Arc<Created>,
    pub steps: Steps,
    /// The attempt of each step that is under way, and its token.
    open: BTreeMap<String, (u32, Token)>,
    decided: BTreeSet<ApprovalId>,
    /// The key under which a step was asked for, until it is done anew.
    keys: BTreeMap<String, String>,
    /// How often each step was reset.
    resets: BTreeMap<String, u32>,
}

/// No changes and changes to null are alike.
fn changes(answer: &Answer) -> Option<&Value> {
    answer.modifications.as_ref().filter(|changes| !changes.is_null())
}

impl RunView {
    /// How often a step, or the list it is an instance of, was reset.
    pub fn round(&self, step: &str) -> u32 {
        let of = |step: &str| self.resets.get(step).copied().unwrap_or(0);
        of(step) + instance_of(step).map_or(0, |(list, _)| of(list))
    }
}

impl Audit {
    pub(super) fn run_event(
        &mut self,
        (shard, fact): (ShardId, &Fact),
        event: &Event,
        commit: &Commit,
        now: Timestamp,
    ) {
        let id = RunId::from_uuid(fact.stream.id);
        if let Event::Created(created) = event {
            let created = Arc::new((**created).clone());
            let (open, decided, keys) = (BTreeMap::new(), BTreeSet::new(), BTreeMap::new());
            let view = RunView { created, steps: Steps::default(), open, decided, keys, resets: BTreeMap::new() };
            let twice = self.runs.insert(id, view).is_some();
            self.holds(Invariant::I17, !twice, now, || format!("run {id} begins twice"));
        }
        let Some(mut view) = self.runs.remove(&id) else {
            // A run that was stopped before it began has one event.
            self.holds(Invariant::I17, matches!(event, Event::Cancelled { .. }), now, || {
                format!("run {id}: {event:?} first")
            });
            return;
        };
        self.authority(id, &view, event, commit, now);
        self.report_event(id, event, now);
        view.steps.hear(event);
        for fault in view.steps.take_faults() {
            self.violated(Invariant::I17, format!("run {id}: {fault}"), now);
        }
        self.looked(Invariant::I17, 1);
        self.attempt((shard, id), &mut view, event, now);
        if let Event::ApprovalDecided { answer, .. } = event {
            let told = commit.command.as_ref().map(|row| &*row.told);
            if let Some(AnyCommand::Run(Command::Answer(said))) = told {
                let (as_said, as_decided) = (changes(said), changes(answer));
                let same = said.approval == answer.approval && as_said == as_decided;
                self.holds(Invariant::I17, same, now, || {
                    format!(
                        "run {id}: question {} is decided with {as_decided:?}, and {as_said:?} was said",
                        said.approval
                    )
                });
            }
            let once = view.decided.insert(answer.approval);
            self.holds(Invariant::I17, once, now, || {
                format!("run {id}: question {} is decided twice", answer.approval)
            });
        }
        if let Event::StepReset { step, .. } = event {
            *view.resets.entry(step.clone()).or_default() += 1;
            view.keys.retain(|other, _| other != step && instance_of(other).is_none_or(|(of, _)| of != step));
        }
        self.runs.insert(id, view);
    }

    /// A result counts under the token that is open, and no other way.
    fn authority(&mut self, id: RunId, view: &RunView, event: &Event, commit: &Commit, now: Timestamp) {
        let (step, attempt) = match event {
            Event::AttemptSucceeded { step, attempt, .. } => (step, *attempt),
            Event::AttemptFailed { step, attempt, .. } if view.open.contains_key(step) => (step, *attempt),
            _ => return,
        };
        let named = commit.command.as_ref().and_then(|row| match &*row.told {
            AnyCommand::Run(Command::Finish { step: of, attempt, token, .. }) if of == step => Some((*attempt, *token)),
            _ => None,
        });
        let open = view.open.get(step).copied();
        let holds = named.is_some() && named == open && open.is_some_and(|(open, _)| open == attempt);
        self.holds(Invariant::I11, holds, now, || {
            format!("run {id} step {step}: a result of {named:?} counts while {open:?} is under way")
        });
    }

    fn attempt(&mut self, (shard, id): (ShardId, RunId), view: &mut RunView, event: &Event, now: Timestamp) {
        match event {
            Event::AttemptStarted { step, attempt, lease, .. } => {
                let token = lease.token;
                let fresh = self.tokens.insert((shard, token));
                self.holds(Invariant::I8, fresh, now, || {
                    format!("run {id} step {step}: token {token} was given before")
                });
                let base = instance_of(step).map_or(step.as_str(), |(step, _)| step);
                let plan = view.created.plan.steps.iter().find(|plan| plan.id == base);
                let queue = plan.and_then(|plan| plan.flow.queue.as_deref());
                self.place_taken((shard, token), queue, now);
                view.open.insert(step.clone(), (*attempt, token));
            }
            Event::AttemptSucceeded { step, .. }
            | Event::AttemptFailed { step, .. }
            | Event::LeaseExpired { step, .. }
            | Event::StepDied { step, .. }
            | Event::StepSkipped { step, .. }
            | Event::StepCompleted { step, how: How::Replaced { .. }, .. }
            | Event::StepReset { step, .. } => {
                if let Some((_, token)) = view.open.remove(step) {
                    self.task_gone(shard, token);
                }
            }
            _ => {}
        }
    }

    /// All events of a commit were heard: a run that is over leaves nothing behind.
    pub(super) fn run_commit_ended(&mut self, id: RunId, now: Timestamp) {
        let Some(view) = self.runs.get(&id) else { return };
        let left = view.steps.left_behind();
        self.holds(Invariant::I17, left.is_none(), now, || {
            format!("run {id} is over and {}", left.unwrap_or_default())
        });
    }

    /// The outside is asked to do an attempt.
    pub fn effect(&mut self, run: RunId, (step, attempt, token): (&str, u32, Token), key: &str, now: Timestamp) {
        let intent = self.tokens.contains(&(run.shard(), token)) && self.runs.contains_key(&run);
        self.holds(Invariant::I23, intent, now, || {
            format!("run {run} step {step} attempt {attempt} reaches the outside, and nothing of it is durable")
        });
        let Some(view) = self.runs.get_mut(&run) else { return };
        // An attempt of a former round, by a process that does not know better.
        if view.open.get(step) != Some(&(attempt, token)) {
            return;
        }
        let known = view.keys.entry(step.to_owned()).or_insert_with(|| key.to_owned()).clone();
        self.holds(Invariant::I23, known == key, now, || format!("run {run} step {step}: key {key} after key {known}"));
    }

    /// Runs that stand still though nothing keeps them.
    pub(super) fn stuck_runs(&mut self, owes: &dyn Fn(StreamId) -> bool, now: Timestamp) {
        let mut stuck = Vec::new();
        for (id, view) in self.runs.iter().filter(|(id, _)| !owes(id.stream())) {
            stuck.extend(
                view.steps.why_stuck().map(|why| format!("run {id} ({}): {why}", view.created.plan.definition)),
            );
        }
        stuck.sort_unstable();
        self.looked(Invariant::I25, self.runs.len() as u64);
        stuck.into_iter().for_each(|what| self.violated(Invariant::I25, what, now));
        let open: Vec<String> = self
            .runs
            .iter()
            .flat_map(|(id, view)| view.open.iter().map(move |(step, (attempt, _))| format!("{id} {step}:{attempt}")))
            .collect();
        self.holds(Invariant::I12, open.is_empty(), now, || format!("attempts never ended: {}", open.join(", ")));
    }
}

//! How far the steps of a run are, as far as spans need it: planned ones and the instances of lists.
//!
//! Owns: what is open about a step, and the key under which its attempts go.
//! Refuses to know: what a span says.

use std::{collections::BTreeMap, sync::Arc};

use nightshift_domain::{
    ids::RunId,
    run::{Created, Lease, Plan, Round, idempotency_key_of, instance_of},
    time::Timestamp,
    trace::SpanId,
};

/// The steps of one run.
#[derive(Debug, Clone, Default)]
pub struct Steps {
    /// The plan.
    plan: Option<Arc<Plan>>,
    /// What each step of it does.
    actions: BTreeMap<String, &'static str>,
    /// By id; an instance is here from its first event on.
    steps: BTreeMap<String, Step>,
}

/// A step or an instance.
#[derive(Debug, Clone, Default)]
pub struct Step {
    /// What it does.
    pub action: &'static str,
    /// Since when it waits for a place.
    pub queued_since: Option<Timestamp>,
    /// The attempt under way.
    pub open: Option<Open>,
    /// The span of the attempt before.
    pub last_attempt: Option<SpanId>,
    /// How it ended, unless it is to be done again.
    pub end: Option<Ended>,
    /// The request that its attempts make: part of its idempotency key.
    pub round: Round,
}

/// How a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// It is complete.
    Completed,
    /// Its last attempt failed.
    Dead,
    /// It will not be done.
    Skipped,
}

/// An attempt under way.
#[derive(Debug, Clone)]
pub struct Open {
    /// Its number.
    pub attempt: u32,
    /// Since when.
    pub since: Timestamp,
    /// Who does it.
    pub by: By,
}

/// Who does an attempt.
#[derive(Debug, Clone)]
pub enum By {
    /// A worker.
    Worker {
        /// Its lease.
        lease: Lease,
        /// How long the step waited for it.
        queue_micros: i64,
    },
    /// Nobody: it waits for this.
    Wait(String),
}

impl Steps {
    /// The steps of a new run.
    pub fn planned(created: &Created) -> Self {
        let actions: BTreeMap<_, _> =
            created.plan.steps.iter().map(|plan| (plan.id.clone(), plan.action.as_str())).collect();
        let fresh = |(id, action): (&String, &&'static str)| (id.clone(), Step { action, ..Step::default() });
        Self { steps: actions.iter().map(fresh).collect(), plan: Some(Arc::clone(&created.plan)), actions }
    }

    /// The steps under another plan: those that are in both stay as they are.
    pub fn migrated(&mut self, plan: &Plan) {
        self.actions = plan.steps.iter().map(|plan| (plan.id.clone(), plan.action.as_str())).collect();
        self.plan = Some(Arc::new(plan.clone()));
        let actions = &self.actions;
        self.steps.retain(|id, _| actions.contains_key(instance_of(id).map_or(id.as_str(), |(list, _)| list)));
        for (id, action) in actions {
            self.steps.entry(id.clone()).or_default().action = action;
        }
    }

    /// How many the plan has.
    pub fn len(&self) -> usize {
        self.actions.len()
    }

    /// How many of the plan ended so.
    pub fn ended(&self, how: Ended) -> usize {
        self.actions.keys().filter(|id| self.steps.get(*id).is_some_and(|step| step.end == Some(how))).count()
    }

    /// Ids of all that were heard of.
    pub fn ids(&self) -> Vec<String> {
        self.steps.keys().cloned().collect()
    }

    /// The step of that id; an instance is made when its list is known.
    pub fn get(&mut self, id: &str) -> Option<&mut Step> {
        if !self.steps.contains_key(id) {
            let list = self.steps.get(instance_of(id)?.0)?;
            let instance = Step { action: list.action, round: list.round, ..Step::default() };
            self.steps.insert(id.to_owned(), instance);
        }
        self.steps.get_mut(id)
    }

    /// The key that goes with the attempts of a step.
    pub fn idempotency_key(&self, run: RunId, id: &str) -> String {
        idempotency_key_of(run, id, self.steps.get(id).map_or(0, |step| step.round.number))
    }

    /// A step is to be done again: its instances are forgotten, and what was done is asked for under another key.
    pub fn reset(&mut self, id: &str, modified: bool) {
        let some_done = self.forget_instances(id);
        if let Some(step) = self.get(id) {
            if some_done || modified || step.end == Some(Ended::Completed) {
                step.round.pass();
            }
            (step.end, step.queued_since) = (None, None);
        }
        self.touch_behind(id);
    }

    /// Somebody gave an output in the place of what a step would have made.
    pub fn replaced(&mut self, id: &str) {
        self.forget_instances(id);
        self.touch_behind(id);
    }

    /// What a step makes will be another thing: those that see it ask for something else, if they ask again.
    fn touch_behind(&mut self, id: &str) {
        let Some(plan) = self.plan.clone() else { return };
        let list = instance_of(id).filter(|_| !self.actions.contains_key(id)).map_or(id, |(list, _)| list);
        for behind in plan.behind(list).into_iter().map(|at| plan.steps[at].id.as_str()) {
            let of = format!("{behind}[");
            let instances = self.steps.range_mut(of.clone()..).take_while(|(name, _)| name.starts_with(&of));
            instances.for_each(|(_, instance)| instance.round.touch());
            if let Some(step) = self.steps.get_mut(behind) {
                step.round.touch();
            }
        }
    }

    /// The instances of a step are no more; whether any was complete. The step goes on with their highest round.
    fn forget_instances(&mut self, id: &str) -> bool {
        let of = format!("{id}[");
        let instances = self.steps.range(of.clone()..).take_while(|(name, _)| name.starts_with(&of));
        let instances: Vec<String> = instances.map(|(name, _)| name.clone()).collect();
        let gone: Vec<Step> = instances.iter().filter_map(|name| self.steps.remove(name)).collect();
        if let Some(step) = self.steps.get_mut(id) {
            gone.iter().for_each(|instance| step.round.absorb(instance.round));
        }
        gone.iter().any(|instance| instance.end == Some(Ended::Completed))
    }
}

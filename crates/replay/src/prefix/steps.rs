//! What must hold of the steps of one run, judged from its events alone.
//!
//! Owns: which state of a step each event may find it in, written without the decider and its state.
//! Refuses to know: how a history came to be, and what other streams say.

use std::collections::BTreeMap;

use nightshift_domain::{
    run::{Event, How, instance_id, instance_of},
    streams::AnyEvent,
};

/// States in which something of a step goes on.
const OPEN: &[&str] = &["queued", "running", "parked", "asking", "fanned"];

/// States from which a step can begin: it may have failed before, and waited for its retry.
const READY: &[&str] = &["new", "failed", "lost"];
/// A step that finds a place when its turn comes does not wait for one.
const STARTABLE: &[&str] = &["queued", "new", "failed", "lost"];

/// A step as its events left it.
#[derive(Debug, Clone, Copy)]
struct Step {
    is: &'static str,
    /// The highest attempt.
    attempt: u32,
}

/// The steps of one run, as its events so far left them.
#[derive(Debug, Default)]
pub(crate) struct Steps {
    steps: BTreeMap<String, Step>,
    over: Option<&'static str>,
    paused: bool,
    faults: Vec<String>,
}

/// Attempts are begun and ended one by one, a step is done once unless somebody has it done again, and a run that is over
/// leaves no step behind.
pub fn run(events: &[AnyEvent]) -> Vec<String> {
    let mut steps = Steps::default();
    for event in events {
        if let AnyEvent::Run(event) = event {
            steps.hear(event);
        }
    }
    steps.end()
}

/// The step that an event is about, the states it may be in before, and its state after.
fn moved(event: &Event) -> Option<(&str, &'static [&'static str], &'static str, u32)> {
    Some(match event {
        Event::StepQueued { step, attempt } => (step, READY, "queued", *attempt),
        Event::AttemptStarted { step, attempt, .. } => (step, STARTABLE, "running", *attempt),
        Event::AttemptSucceeded { step, attempt, .. } => (step, &["running"], "completed", *attempt),
        Event::AttemptFailed { step, attempt, .. } => (step, &["running", "parked"], "failed", *attempt),
        Event::LeaseExpired { step, attempt, .. } => (step, &["running"], "lost", *attempt),
        // What was approved may be mapped to what the run does not have.
        Event::StepDied { step, .. } => (step, &["new", "failed", "lost", "fanned", "asking"], "dead", 0),
        Event::StepSkipped { step, .. } => {
            let any = &["new", "queued", "running", "failed", "lost", "parked", "asking", "fanned"];
            (step, any, "skipped", 0)
        }
        Event::FannedOut { step, .. } => (step, &["new"], "fanned", 0),
        Event::StepParked { step, attempt, .. } => (step, READY, "parked", *attempt),
        Event::StepCompleted { step, how, .. } => (step, before_completed(how), "completed", 0),
        Event::ApprovalRequested { step, approval } if !approval.checkpoint.advisory => {
            (step, &["new", "failed", "completed"], "asking", 0)
        }
        _ => return None,
    })
}

const fn before_completed(how: &How) -> &'static [&'static str] {
    match how {
        How::Set {} => READY,
        How::Slept {} | How::EventArrived { .. } | How::ChildEnded { .. } => &["parked"],
        // A question that nobody has to answer holds no step.
        How::Approved {} => &["asking", "new", "failed"],
        How::FannedIn {} => &["fanned"],
        How::Replaced { .. } => &["new", "queued", "failed", "lost", "parked", "asking", "fanned", "dead"],
    }
}

impl Steps {
    /// The next event of the run.
    pub(crate) fn hear(&mut self, event: &Event) {
        let after_all = |event: &Event| {
            use Event::{Reopened, ReportGivenUp, Reported, StaleResult, StepDiscarded};
            let report = matches!(event, Reported { .. } | ReportGivenUp { .. });
            report || matches!(event, StaleResult { .. } | Reopened { .. } | StepDiscarded { .. })
        };
        if let Some(end) = self.over.filter(|_| !after_all(event)) {
            self.faults.push(format!("something happened after it was {end}: {event:?}"));
        }
        if let Some((step, wanted, now, attempt)) = moved(event) {
            self.step(step, wanted, (now, attempt));
        }
        match event {
            Event::Created(created) => {
                let fresh = |id: &String| (id.clone(), Step { is: "new", attempt: 0 });
                self.steps.extend(created.plan.steps.iter().map(|step| fresh(&step.id)));
            }
            Event::FannedOut { step, items } => (0..items.len()).for_each(|nth| self.renew(&instance_id(step, nth))),
            Event::StepReset { step, .. } => {
                self.renew(step);
                self.list_goes_on(step);
            }
            Event::StepCompleted { step, how: How::Replaced { .. }, .. } => self.list_goes_on(step),
            Event::Migrated(to) => {
                let fresh = Step { is: "new", attempt: 0 };
                for step in &to.plan.steps {
                    self.steps.entry(step.id.clone()).or_insert(fresh);
                }
                to.dropped.iter().for_each(|step| self.forget(step));
            }
            Event::Paused { .. } => self.pause(),
            Event::Resumed { .. } => self.paused = false,
            Event::Reopened { .. } => (self.over, self.paused) = (None, false),
            Event::Completed { .. } => self.over = Some("completed"),
            Event::Failed { .. } | Event::Cancelled { .. } => self.over = Some("over"),
            _ => {}
        }
    }

    /// A step is not in the plan any more: nothing may have happened to it.
    fn forget(&mut self, id: &str) {
        if let Some(step) = self.steps.remove(id).filter(|step| step.is != "new" || step.attempt > 0) {
            self.faults.push(format!("step {id} is no more after it was {}", step.is));
        }
    }

    fn step(&mut self, id: &str, wanted: &[&str], (now, attempt): (&'static str, u32)) {
        let before = self.steps.get(id).copied().unwrap_or(Step { is: "missing", attempt: 0 });
        if !wanted.contains(&before.is) {
            self.faults.push(format!("step {id} is {now} after it was {}", before.is));
        }
        if now == "queued" && attempt <= before.attempt && before.attempt > 0 {
            self.faults.push(format!("step {id}: attempt {attempt} after attempt {}", before.attempt));
        }
        self.steps.insert(id.to_owned(), Step { is: now, attempt: attempt.max(before.attempt) });
    }

    /// It is to be done from the start; the numbers of its attempts go on.
    fn renew(&mut self, id: &str) {
        let attempt = self.steps.get(id).map_or(0, |step| step.attempt);
        self.steps.insert(id.to_owned(), Step { is: "new", attempt });
    }

    fn list_goes_on(&mut self, instance: &str) {
        let list = instance_of(instance).and_then(|(list, _)| self.steps.get_mut(list));
        if let Some(list) = list.filter(|list| matches!(list.is, "completed" | "dead" | "skipped")) {
            list.is = "fanned";
        }
    }

    /// What waits for a place waits no more, and is queued again as the same attempt.
    fn pause(&mut self) {
        self.paused = true;
        for step in self.steps.values_mut().filter(|step| step.is == "queued") {
            *step = Step { is: "new", attempt: step.attempt.saturating_sub(1) };
        }
    }

    /// What was at fault since the last call.
    pub(crate) fn take_faults(&mut self) -> Vec<String> {
        std::mem::take(&mut self.faults)
    }

    fn open(&self) -> impl Iterator<Item = (&String, &Step)> {
        self.steps.iter().filter(|(_, step)| OPEN.contains(&step.is))
    }

    /// A step in which something goes on though the run is over.
    pub(crate) fn left_behind(&self) -> Option<String> {
        let (id, step) = self.over.and_then(|_| self.open().next())?;
        Some(format!("step {id} is {}", step.is))
    }

    /// Why a run to which nothing is owed stands still without reason; none when people, events or nothing keep it.
    pub(crate) fn why_stuck(&self) -> Option<&'static str> {
        // People and events come when they come.
        let waits = self.paused || self.open().any(|(_, step)| matches!(step.is, "parked" | "asking"));
        (self.over.is_none() && !waits).then_some("it never ended, and nothing is owed to it")
    }

    fn end(mut self) -> Vec<String> {
        if self.over.is_some() {
            let left = self.open().map(|(id, step)| format!("it is over and step {id} is {}", step.is));
            let left: Vec<String> = left.collect();
            self.faults.extend(left);
        }
        let stuck = self.why_stuck().map(str::to_owned);
        self.faults.extend(stuck);
        self.faults
    }
}

//! A decision of a run as it is told.
//!
//! Owns: that each event is remembered before the next is considered. Refuses to know: the rules.

use super::{Event, Outcome, Run, RunDecider, State, StepOutput, StepPlan};
use crate::{
    content::{Failure, FailureClass},
    decider::{Ctx, Story},
    ids::RunId,
};

/// The run as it is after the events so far, and what the decision may know beside it.
pub struct Tale<'a> {
    /// What the decision may know.
    pub ctx: &'a Ctx<'a>,
    /// A step whose wait is over though the clock may say otherwise: its timer has gone off.
    pub due: Option<&'a str>,
    story: Story<RunDecider>,
    told: usize,
}

impl<'a> Tale<'a> {
    pub fn of(state: &State, ctx: &'a Ctx<'a>) -> Self {
        Self { ctx, due: None, story: Story::from(state, ctx.now), told: 0 }
    }

    /// This happens next.
    pub fn tell(&mut self, event: Event) {
        self.told += 1;
        self.story.tell(event);
    }

    /// How many events were told.
    pub const fn told(&self) -> usize {
        self.told
    }

    /// All that happened.
    pub fn end(self) -> Vec<Event> {
        self.story.end()
    }

    /// The run, while it is open.
    pub const fn run(&self) -> Option<&Run> {
        match &self.story.state {
            State::Open(run) => Some(run),
            _ => None,
        }
    }

    pub const fn run_id(&self) -> RunId {
        RunId::from_uuid(self.ctx.stream.id)
    }

    pub fn skip(&mut self, step: String, reason: &str) {
        self.tell(Event::StepSkipped { step, reason: reason.to_owned() });
    }

    /// A step that cannot be done, however often it is tried.
    pub fn die(&mut self, step: &str, message: String) {
        let failure = Failure::new(FailureClass::Permanent, message);
        self.tell(Event::StepDied { step: step.to_owned(), failure });
    }
}

/// A value as a step's output, mapped as the step says.
pub fn made(plan: &StepPlan, outcome: Outcome) -> StepOutput {
    if outcome.mapped || outcome.kept.is_some() {
        return StepOutput::Value(outcome);
    }
    let value = super::mapped(plan, &outcome.value);
    StepOutput::Value(Outcome { value, mapped: !plan.flow.output_mapping.is_empty(), ..outcome })
}

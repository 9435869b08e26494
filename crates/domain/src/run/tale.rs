//! A decision of a run as it is told.
//!
//! Owns: that each event is remembered before the next is considered. Refuses to know: the rules.

use super::{Event, Outcome, Places, Run, RunDecider, State, StepOutput, StepPlan, places};
use crate::{
    content::{Failure, FailureClass},
    decider::{Ctx, Story},
    ids::RunId,
    json::{Json, Room, TooMuch, pointer_to},
    template::Fault,
};

/// The run as it is after the events so far, and what the decision may know beside it.
pub struct Tale<'a> {
    /// What the decision may know.
    pub ctx: &'a Ctx<'a>,
    /// A step whose wait is over though the clock may say otherwise: its timer has gone off.
    pub due: Option<&'a str>,
    story: Story<RunDecider>,
    told: usize,
    /// What the decision may still make.
    left: Room,
}

impl<'a> Tale<'a> {
    pub fn of(state: &State, ctx: &'a Ctx<'a>) -> Self {
        Self { ctx, due: None, story: Story::from(state, ctx.now), told: 0, left: Room::DECISION }
    }

    /// This happens next.
    pub fn tell(&mut self, event: Event) {
        self.told += 1;
        self.story.tell(event);
    }

    /// Room for the next value that the run makes.
    pub fn room(&self) -> Room {
        Room::VALUE.within(&self.left)
    }

    /// Whether a value that the run made may be one of it; it takes its room of what the decision may make.
    ///
    /// # Errors
    /// It is too large or too deep.
    pub fn admit(&mut self, value: &Json) -> Result<(), TooMuch> {
        self.room().take_value(value, 0)?;
        self.left.take_value(value, 0)
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
///
/// # Errors
/// The mapping looks into a part of the value that is kept elsewhere.
pub fn made(plan: &StepPlan, outcome: Outcome) -> Result<StepOutput, Fault> {
    let mapping = &plan.flow.output_mapping;
    if outcome.mapped || outcome.kept.is_some() || mapping.is_empty() {
        return Ok(StepOutput::Value(outcome));
    }
    let mut inside = Places::new();
    for (name, from) in mapping {
        inside.extend(places::below(&pointer_to(name), places::mapped(from, &outcome)?));
    }
    let value = super::mapped(plan, &outcome.value);
    Ok(StepOutput::Value(Outcome { value, inside, mapped: true, ..outcome }))
}

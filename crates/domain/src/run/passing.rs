//! Questions to people that an order about a step would pass over.
//!
//! Owns: which these are, and that an order goes past those only that its sender may pass.
//! Refuses to know: who may answer a question.
//!
//! A step whose output is given is not done, so a question that is the step, or stands behind it, is not answered; and what
//! depends on it goes, though a question before it may still be open. What a sender makes up behind a question, an output
//! or changes to an input, is not what was approved there. A run that a step waits for may ask people too.

use super::{
    Action, Checkpoint, Command, Rejection, Run, Step, StepPlan, StepStatus, ending::is_of_the_end, instance_id,
};
use crate::json::Json;

/// A question to people that an order passes over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passed {
    /// The step that asks, or the instance of one.
    pub step: String,
    /// Who is asked; a template while nobody is asked yet.
    pub assignee: Option<String>,
    /// The group that is asked; a template while nobody is asked yet.
    pub group: Option<String>,
}

/// The questions that an order would pass over now, in the order of the plan. Empty for orders that pass over none.
#[must_use]
pub fn passed_over(run: &Run, command: &Command) -> Vec<Passed> {
    let given = |value: &Option<Json>| value.as_ref().is_some_and(|value| !value.is_null());
    match command {
        Command::SkipStep { step, output, .. } => {
            let mut passed = before(run, step, given(output));
            passed.extend(of_its_own(run, step));
            passed
        }
        Command::RetryStep { step, modifications, .. } if given(modifications) => before(run, step, true),
        _ => Vec::new(),
    }
}

/// Refuses an order that passes over a question that its sender may not pass.
pub fn admitted(run: &Run, step: &str, command: &Command) -> Result<(), Rejection> {
    let (Command::SkipStep { past, .. } | Command::RetryStep { past, .. }) = command else { return Ok(()) };
    let Some(past) = past else { return Ok(()) };
    match passed_over(run, command).into_iter().find(|passed| !past.contains(&passed.step)) {
        Some(Passed { step: asks, .. }) => Err(Rejection::PassesOver { step: step.to_owned(), asks }),
        None => Ok(()),
    }
}

/// The questions of the step itself.
fn of_its_own(run: &Run, id: &str) -> Vec<Passed> {
    let Some((plan, step)) = run.step(id) else { return Vec::new() };
    let whole = plan.id == id;
    match &plan.action {
        Action::Orchestration { .. } => vec![Passed { step: id.to_owned(), assignee: None, group: None }],
        // Behind a list people are asked once, about all of it: an instance passes over nothing.
        Action::Approval { .. } => asked(run, plan, (id, step)),
        _ if whole => asked(run, plan, (id, step)),
        _ => Vec::new(),
    }
}

/// The questions that stand before a step: open ones, and with `all` those that were answered too.
fn before(run: &Run, id: &str, all: bool) -> Vec<Passed> {
    let Some((of, _)) = run.step(id) else { return Vec::new() };
    let mut needed: Vec<&String> = of.depends_on.iter().collect();
    let mut found = Vec::new();
    // A plan names a step before those that depend on it.
    for (plan, step) in run.created.plan.steps.iter().zip(&run.steps).rev() {
        if !needed.contains(&&plan.id) {
            continue;
        }
        needed.extend(&plan.depends_on);
        let may_ask = matches!(plan.action, Action::Orchestration { .. });
        match &step.status {
            // Its condition did not hold: nobody was to be asked.
            StepStatus::Skipped { reason } if !is_of_the_end(reason) => {}
            StepStatus::Completed { .. } if all => found.push(asked(run, plan, (&plan.id, step))),
            StepStatus::Completed { .. } => {}
            StepStatus::Dead { .. } if plan.optional && !all => {}
            _ if may_ask => found.push(vec![Passed { step: plan.id.clone(), assignee: None, group: None }]),
            _ => found.push(asked(run, plan, (&plan.id, step))),
        }
    }
    found.into_iter().rev().flatten().collect()
}

/// What a step asks people, or will: by itself or behind it. A question that nobody has to answer holds nothing up.
fn asked(run: &Run, plan: &StepPlan, (id, step): (&str, &Step)) -> Vec<Passed> {
    let planned = match &plan.action {
        Action::Approval { checkpoint, .. } => Some(&**checkpoint),
        _ => plan.flow.checkpoint.as_deref(),
    };
    let Some(planned) = planned.filter(|checkpoint| !checkpoint.advisory) else { return Vec::new() };
    let passed = |step: &str, checkpoint: &Checkpoint| Passed {
        step: step.to_owned(),
        assignee: checkpoint.assignee.clone(),
        group: checkpoint.group.clone(),
    };
    if let StepStatus::Asking { approval, .. } = &step.status {
        return vec![passed(id, &approval.checkpoint)];
    }
    let instances = run.fans.get(id).map_or(&[][..], |fan| &fan.steps).iter().enumerate();
    let open: Vec<Passed> = instances
        .filter_map(|(nth, step)| match &step.status {
            StepStatus::Asking { approval, .. } => Some(passed(&instance_id(id, nth), &approval.checkpoint)),
            _ => None,
        })
        .collect();
    if open.is_empty() { vec![passed(id, planned)] } else { open }
}

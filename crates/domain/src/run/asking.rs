//! Questions to people: when one is asked, which answers count, and what follows.
//!
//! Owns: that a question is decided once, by an answer to what was asked. Refuses to know: who may answer.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    Action, Answer, Approval, ApprovalAction, ApprovalId, Asked, Checkpoint, Event, How, OnTimeout, Outcome, Places,
    Rejection, Run, State, StepOutput, StepStatus,
    attempt::{plan_of, planned},
    begin::complete,
    decide::known,
    ending::{ABORTED, stop},
    facts::{Facts, KeptAs, is_kept, value_of},
    go_on::go_on,
    render::question,
    tale::Tale,
};
use crate::{
    decider::Ctx,
    json::{Json, fingerprint, merge},
};

/// Who decides when nobody did in time.
pub const DEADLINE: &str = "deadline";

/// A step is done: people are asked behind it when it says so. Behind a list they are asked once, about all of it.
pub fn checkpoint(tale: &mut Tale<'_>, id: &str) {
    let Some((created, place)) = plan_of(tale, id) else { return };
    let Some(plan) = planned(&created, place) else { return };
    let approval = matches!(plan.action, Action::Approval { .. });
    let Some(checkpoint) = plan.flow.checkpoint.as_deref().filter(|_| place.nth.is_none() && !approval) else { return };
    let (asked, payload) = {
        let Some(run) = tale.run() else { return };
        let Some(StepStatus::Completed { output }) = run.at(place).map(|(_, step)| &step.status) else { return };
        let facts = Facts { run, run_id: tale.run_id(), place: Some(place), kept: KeptAs::Reference };
        (question(checkpoint, &facts, &mut tale.room()), value_of(output))
    };
    // What is done is not undone by a question that is too long: it is asked as it is written. The payload only shows the
    // output, which stays where it is.
    ask(tale, id, asked.unwrap_or_else(|_| checkpoint.clone()), (payload, Places::new()));
}

/// Asks. The question says what is to be approved, and an answer to anything else is void.
pub fn ask(tale: &mut Tale<'_>, id: &str, checkpoint: Checkpoint, (payload, inside): (Json, Places)) {
    let Some(step) = tale.run().and_then(|run| run.step(id)).map(|(_, step)| step) else { return };
    let is_done = matches!(step.status, StepStatus::Completed { .. });
    let round = step.asked + 1;
    let advisory = checkpoint.advisory;
    let timeout = checkpoint.timeout_ms.filter(|_| !advisory);
    let approval = Box::new(Approval {
        id: ApprovalId::of(tale.run_id(), id, round),
        round,
        checkpoint,
        digest: fingerprint(&payload),
        payload: payload.clone(),
        inside: inside.clone(),
        deadline: timeout.map(|ms| tale.ctx.now.plus_ms(i64::try_from(ms).unwrap_or(i64::MAX))),
    });
    tale.tell(Event::ApprovalRequested { step: id.to_owned(), approval });
    if advisory && !is_done {
        complete(tale, id, Outcome::with(payload, inside), How::Approved {});
    }
}

/// A person answers.
pub fn answer(state: &State, answer: &Answer, ctx: &Ctx<'_>) -> Result<Vec<Event>, Rejection> {
    let run = state.run().ok_or(Rejection::Unknown)?;
    // No changes and changes to null are kept alike.
    let modifications = answer.modifications.clone().filter(|changes| !changes.is_null());
    let answer = &Answer { modifications, ..answer.clone() };
    if let Some(before) = run.decided.get(&answer.approval) {
        return decided_before(before, answer);
    }
    let run = match state {
        State::Open(run) => run,
        State::Over(_, end) => return Err(Rejection::Over { end: end.as_str().to_owned() }),
        _ => return Err(Rejection::Unknown),
    };
    let found = open_question(run, answer.approval);
    let (step, approval) = found.ok_or(Rejection::NoSuchApproval { approval: answer.approval })?;
    admissible(run, &step, approval, answer)?;
    let mut tale = Tale::of(state, ctx);
    decide(&mut tale, &step, answer);
    go_on(&mut tale, None);
    Ok(tale.end())
}

/// The same person says the same again, or somebody is too late.
fn decided_before(before: &Answer, answer: &Answer) -> Result<Vec<Event>, Rejection> {
    let same = before.action == answer.action && before.by == answer.by && before.modifications == answer.modifications;
    if same {
        return Ok(vec![]);
    }
    let (action, by) = (before.action.outcome().to_owned(), before.by.clone());
    Err(Rejection::Decided { approval: answer.approval, action, by })
}

fn open_question(run: &Run, id: ApprovalId) -> Option<(String, &Approval)> {
    if let Some(noted) = run.advisory.get(&id) {
        return Some((noted.step.clone(), &noted.approval));
    }
    run.all().find_map(|(step, _, found)| match &found.status {
        StepStatus::Asking { approval, .. } if approval.id == id => Some((step, &**approval)),
        _ => None,
    })
}

/// Whether the question allows the answer, and the answer is about what is asked.
fn admissible(run: &Run, step: &str, approval: &Approval, answer: &Answer) -> Result<(), Rejection> {
    if let Some(seen) = answer.digest.as_ref().filter(|seen| **seen != approval.digest) {
        let (approval, current) = (approval.id, approval.digest.clone());
        return Err(Rejection::AnotherPayload { approval, current, seen: seen.clone() });
    }
    let options = &approval.checkpoint.options;
    // The run has gone on behind a question that nobody has to answer.
    let allowed = |action: ApprovalAction| !(approval.checkpoint.advisory && action == ApprovalAction::Retry);
    let words = options.iter().filter(|option| allowed(option.action)).map(|option| option.action.as_str());
    let refuse = |what: String| {
        let allowed = words.clone().collect::<Vec<_>>().join(", ");
        Err(Rejection::NotAnOption { approval: approval.id, what, allowed })
    };
    let mut chosen =
        options.iter().filter(|option| option.action == answer.action && allowed(option.action)).peekable();
    if chosen.peek().is_none() {
        return refuse(format!("{:?}", answer.action.as_str()));
    }
    if answer.modifications.is_none() {
        return Ok(());
    }
    if !chosen.any(|option| option.allows_modification) || approval.checkpoint.advisory {
        return refuse(format!("modifications with {:?}", answer.action.as_str()));
    }
    if answer.action == ApprovalAction::Continue && is_kept(run, step) {
        return refuse("modifications of a value that is too large to be kept in the run".to_owned());
    }
    Ok(())
}

/// What follows from an answer that counts.
fn decide(tale: &mut Tale<'_>, step: &str, answer: &Answer) {
    let note = answer.note.clone().unwrap_or_default();
    let by = Asked { by: answer.by.clone(), note: note.clone() };
    let advisory = tale.run().is_some_and(|run| run.advisory.contains_key(&answer.approval));
    tale.tell(Event::ApprovalDecided { step: step.to_owned(), answer: Box::new(answer.clone()) });
    let modifications = answer.modifications.clone();
    match answer.action {
        ApprovalAction::Continue if advisory => {}
        ApprovalAction::Continue => approved(tale, step, answer, modifications.as_ref()),
        ApprovalAction::Retry => {
            tale.tell(Event::StepReset { step: step.to_owned(), modifications, not_before: None, by, once: false });
        }
        ApprovalAction::Abort => {
            let why = if note.is_empty() { String::new() } else { format!(": {note}") };
            stop(tale, ABORTED, format!("aborted by {}{why}", answer.by));
        }
    }
}

fn approved(tale: &mut Tale<'_>, id: &str, answer: &Answer, modifications: Option<&Json>) {
    let Some((_, step)) = tale.run().and_then(|run| run.step(id)) else { return };
    let StepStatus::Asking { approval, output, .. } = &step.status else { return };
    let laid = |mut value: Json| {
        modifications.into_iter().for_each(|changes| merge(&mut value, changes));
        value
    };
    match output {
        // A step that is nothing but a question: what was approved is what it made.
        None => {
            let facts = BTreeMap::from([("approved_by".to_owned(), answer.by.clone())]);
            let outcome = Outcome { facts, ..Outcome::with(laid(approval.payload.clone()), approval.inside.clone()) };
            complete(tale, id, outcome, How::Approved {});
        }
        Some(output) => {
            let output = match &**output {
                StepOutput::Value(outcome) if modifications.is_some() => {
                    let value = laid(outcome.value.clone());
                    Arc::new(StepOutput::Value(Outcome { value, ..outcome.clone() }))
                }
                _ => Arc::clone(output),
            };
            tale.tell(Event::StepCompleted { step: id.to_owned(), output, how: How::Approved {} });
        }
    }
}

/// Nobody answered in time.
pub fn due((state, run): (&State, &Run), step: &str, id: ApprovalId, ctx: &Ctx<'_>) -> Result<Vec<Event>, Rejection> {
    let (_, found) = known(run, step)?;
    let approval = match &found.status {
        StepStatus::Asking { approval, .. } if approval.id == id && approval.deadline.is_some() => approval,
        _ => return Ok(vec![]),
    };
    let mut tale = Tale::of(state, ctx);
    let answer = |action| Answer {
        approval: id,
        action,
        by: DEADLINE.to_owned(),
        note: Some("nobody answered in time".to_owned()),
        modifications: None,
        digest: Some(approval.digest.clone()),
    };
    match &approval.checkpoint.on_timeout {
        OnTimeout::Abort => decide(&mut tale, step, &answer(ApprovalAction::Abort)),
        OnTimeout::Approve => decide(&mut tale, step, &answer(ApprovalAction::Continue)),
        OnTimeout::Escalate { to } => {
            tale.tell(Event::ApprovalEscalated { step: step.to_owned(), approval: id, to: to.clone() });
        }
    }
    go_on(&mut tale, None);
    Ok(tale.end())
}

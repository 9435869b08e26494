//! How a step begins: its condition, its list, and what it does that no worker does.
//!
//! Owns: what follows when a step's turn has come. Refuses to know: whose turn it is, which is `go_on`'s.

use std::sync::Arc;

use super::{
    Action, Event, Failure, How, Lease, Outcome, Run, StepOutput, StepPlan, StepStatus, Waits, asking,
    attempt::{fail, plan_of, planned},
    condition,
    facts::{Facts, KeptAs, has_kept, kept_in},
    gates::gates,
    instance_id, kept_needed,
    render::filled,
    state::Place,
    tale::{Tale, made},
};
use crate::{
    content::FailureClass,
    ids::{DefinitionId, RunId, TopicId, derive, place},
    json::Json,
    template::render_within,
    topic::TEXT_BYTES_MAX,
};

/// The most elements a list may have that a step is done for.
pub const FAN_MAX: usize = 10_000;

/// A place that may be taken at once. It has passed no gates.
#[derive(Clone, Copy)]
pub struct Offered<'a> {
    /// The place.
    pub lease: &'a Lease,
    /// No bucket limits anything now, so a step that only has to take tokens needs none.
    pub tokens_free: bool,
    /// Whoever takes it did not wait for it; otherwise both are told.
    pub at_once: bool,
}

/// A step whose turn has come: its condition is asked, then its list is made or it is done.
pub fn open(tale: &mut Tale<'_>, id: &str, offer: &mut Option<Offered<'_>>) {
    let Some((created, place)) = plan_of(tale, id) else { return };
    let Some(plan) = planned(&created, place) else { return };
    let of_items = plan.flow.for_each.is_some() && plan.flow.when.as_deref().is_some_and(condition::is_about_items);
    // A condition about elements is asked for each of them, any other once.
    if of_items == place.nth.is_some() && !holds(tale, plan, id, place) {
        return;
    }
    match &plan.flow.for_each {
        Some(list) if place.nth.is_none() => fan_out(tale, plan, list, place),
        _ => act(tale, id, offer),
    }
}

/// Whether the step goes; when it does not, why is told.
fn holds(tale: &mut Tale<'_>, plan: &StepPlan, id: &str, place: Place) -> bool {
    let Some(when) = &plan.flow.when else { return true };
    let answer = {
        let Some(run) = tale.run() else { return false };
        match condition::steps_in(when).into_iter().find(|(step, parts)| has_kept(run, step, parts)) {
            Some((step, _)) => Err(too_large(&format!("what step {step:?} made"))),
            None => {
                let facts = Facts { run, run_id: tale.run_id(), place: Some(place), kept: KeptAs::Reference };
                tale.ctx.expressions.holds(when, &facts.for_condition())
            }
        }
    };
    match answer {
        Ok(true) => true,
        Ok(false) => {
            tale.skip(id.to_owned(), &format!("the condition {when:?} does not hold"));
            false
        }
        Err(why) => {
            tale.die(id, format!("the condition {when:?} of step {id:?} cannot be answered: {why}"));
            false
        }
    }
}

fn too_large(what: &str) -> String {
    format!(
        "{what} is too large to be kept in the run and cannot be looked into here; give that step an output_mapping that \
         picks what is needed"
    )
}

/// Makes the list of a step and its instances.
fn fan_out(tale: &mut Tale<'_>, plan: &StepPlan, list: &Json, place: Place) {
    let made = {
        let Some(run) = tale.run() else { return };
        let facts = Facts { run, run_id: tale.run_id(), place: Some(place), kept: KeptAs::Reference };
        if kept_in(run, list).is_empty() {
            let made = render_within(list, &facts, &mut tale.room());
            made.map(|made| made.value).map_err(|fault| format!("the list of for_each {fault}"))
        } else {
            Err(too_large("the list of for_each"))
        }
    };
    let made = made.and_then(|list| match tale.admit(&list) {
        Ok(()) => Ok(list),
        Err(fault) => Err(format!("the list of for_each {fault}")),
    });
    let fault = match made {
        Ok(Json::Array(items)) if items.len() <= FAN_MAX => {
            return tale.tell(Event::FannedOut { step: plan.id.clone(), items: Arc::new(items) });
        }
        Ok(Json::Array(items)) => format!("for_each gives {} elements; {FAN_MAX} are the most", items.len()),
        Ok(other) => format!("for_each has to give a list, and {list} is {}", described(&other)),
        Err(why) => why,
    };
    tale.die(&plan.id, fault);
}

/// A value in a message: what it is, and its beginning.
fn described(value: &Json) -> String {
    let kind = match value {
        Json::Null => return "null: nothing of that name is there".to_owned(),
        Json::Bool(_) => "true or false",
        Json::Number(_) => "a number",
        Json::String(_) => "a text",
        Json::Object(_) => "an object",
        Json::Array(_) => "a list",
    };
    let text = value.to_string();
    let start: String = text.chars().take(80).collect();
    let more = if start.len() < text.len() { "..." } else { "" };
    format!("{kind}: {start}{more}")
}

/// The first instance of a step that is dead though the list cannot do without it.
pub fn dead_instance(run: &Run, plan: &StepPlan) -> Option<(String, Failure)> {
    let instances = run.fans.get(&plan.id).filter(|_| !plan.optional)?.steps.iter().enumerate();
    instances.into_iter().find_map(|(nth, step)| match &step.status {
        StepStatus::Dead { failure } => Some((instance_id(&plan.id, nth), failure.clone())),
        _ => None,
    })
}

/// Does a step, or an instance of one, whose condition holds: queues it for a worker, or does it here.
pub fn act(tale: &mut Tale<'_>, id: &str, offer: &mut Option<Offered<'_>>) {
    let Some((created, place)) = plan_of(tale, id) else { return };
    let Some(plan) = planned(&created, place) else { return };
    let Some(attempt) = tale.run().and_then(|run| run.at(place)).map(|(_, step)| step.next_attempt()) else { return };
    if plan.action.needs_a_worker() {
        return queue(tale, id, attempt, offer);
    }
    let filled = {
        let Some(run) = tale.run() else { return };
        let approval = matches!(plan.action, Action::Approval { .. });
        // People look at a large value where it is kept; everything else needs it here.
        if !approval && !kept_needed(run, id).is_empty() {
            return tale.die(id, too_large("a value that the step needs"));
        }
        let facts = Facts { run, run_id: tale.run_id(), place: Some(place), kept: KeptAs::Reference };
        filled(&facts, place, &mut tale.room())
    };
    let (action, inside) = match filled {
        Some(Ok(filled)) => filled,
        Some(Err(fault)) => return tale.die(id, format!("what step {id:?} is given {fault}")),
        None => return,
    };
    match action {
        Action::Set { value } => complete(tale, id, Outcome::of(value), How::Set {}),
        Action::Approval { checkpoint, payload } => match tale.admit(&payload) {
            Ok(()) => asking::ask(tale, id, *checkpoint, (payload, inside)),
            Err(fault) => tale.die(id, format!("what step {id:?} asks about {fault}")),
        },
        Action::WaitForEvent { correlation: Some(correlation), .. } if correlation.is_empty() => {
            tale.die(id, format!("the correlation of step {id:?} is empty: it would take any event"));
        }
        Action::WaitForEvent { correlation: Some(correlation), .. } if correlation.len() > TEXT_BYTES_MAX => {
            tale.die(
                id,
                format!("the correlation of step {id:?} has more than {TEXT_BYTES_MAX} bytes, as no event has"),
            );
        }
        action => park(tale, id, attempt, action),
    }
}

/// The step waits for what its action says.
fn park(tale: &mut Tale<'_>, id: &str, attempt: u32, action: Action) {
    if let Action::Orchestration { parameters, .. } = &action
        && let Err(fault) = tale.admit(parameters)
    {
        return tale.die(id, format!("the parameters of step {id:?} {fault}"));
    }
    if let Some(on) = waits_for(tale, id, attempt, action) {
        tale.tell(Event::StepParked { step: id.to_owned(), attempt, on: Box::new(on) });
    }
}

/// Puts a step into the queue, or on the place it is offered.
fn queue(tale: &mut Tale<'_>, id: &str, attempt: u32, offer: &mut Option<Offered<'_>>) {
    let gates = |tale: &Tale<'_>| tale.run().and_then(|run| gates(run, id));
    let fits = |offer: &mut Offered<'_>| gates(tale).is_some_and(|gates| gates.are_open(offer.tokens_free));
    let taken = offer.take_if(fits);
    if !taken.is_some_and(|offer| offer.at_once) {
        tale.tell(Event::StepQueued { step: id.to_owned(), attempt });
    }
    if let Some(offer) = taken {
        let (step, lease) = (id.to_owned(), offer.lease.clone());
        tale.tell(Event::AttemptStarted { step, attempt, lease, buckets: vec![] });
    }
}

/// What an action waits for that neither a worker does nor the run itself.
fn waits_for(tale: &Tale<'_>, id: &str, attempt: u32, action: Action) -> Option<Waits> {
    let after = |ms: u64| tale.ctx.now.plus_ms(i64::try_from(ms).unwrap_or(i64::MAX));
    let shards = tale.ctx.shard_count;
    match action {
        Action::Sleep { ms } => Some(Waits::Until { at: after(ms) }),
        Action::WaitForEvent { event, correlation, timeout_ms } => {
            let run = tale.run()?;
            let (_, step) = run.step(id)?;
            let since = if step.round.number == 0 { run.created_at } else { tale.ctx.now };
            let topic = TopicId::of(&event, shards).stream();
            Some(Waits::Event { event, topic, correlation, deadline: timeout_ms.map(after), since })
        }
        Action::Orchestration { owner, name, version, parameters } => {
            let definition = DefinitionId::of(&owner, &name, shards).stream();
            let run = child_id(tale.run_id(), id, attempt, shards);
            Some(Waits::Child { definition, run, version, parameters })
        }
        _ => None,
    }
}

/// The run that an attempt of a step waits for. It is placed by itself, so that a wide tree is not all on one shard.
fn child_id(run: RunId, step: &str, attempt: u32, shards: u16) -> RunId {
    let seed = derive("child-run", &[run.uuid().as_bytes(), step.as_bytes(), &attempt.to_be_bytes()]);
    RunId::on_shard(seed, place(seed, shards))
}

/// A step is done without a worker; people are asked behind it when it says so. What it made may be no value of a run:
/// then it is dead.
pub fn complete(tale: &mut Tale<'_>, id: &str, outcome: Outcome, how: How) {
    let Some((created, place)) = plan_of(tale, id) else { return };
    let Some(plan) = planned(&created, place) else { return };
    let made = made(plan, outcome).and_then(|output| {
        if let StepOutput::Value(outcome) = &output {
            tale.admit(&outcome.value)?;
        }
        Ok(output)
    });
    match made {
        Ok(output) => {
            tale.tell(Event::StepCompleted { step: id.to_owned(), output: Arc::new(output), how });
            asking::checkpoint(tale, id);
        }
        Err(fault) => not_made(tale, id, &format!("what step {id:?} makes {fault}")),
    }
}

/// What a step made cannot be kept. An attempt that waited for it has failed.
fn not_made(tale: &mut Tale<'_>, id: &str, why: &str) {
    match tale.run().and_then(|run| run.step(id)).map(|(_, step)| &step.status) {
        Some(StepStatus::Parked { attempt, .. }) => {
            let attempt = *attempt;
            fail(tale, id, attempt, &Failure::new(FailureClass::Permanent, why));
        }
        _ => tale.die(id, why.to_owned()),
    }
}

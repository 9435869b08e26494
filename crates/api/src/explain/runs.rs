//! Runs, their steps and their questions.

use nightshift_domain::{
    ids::RunId,
    run::{Approval, ApprovalId, End, Run, State, Step, StepPlan, StepStatus, Waits},
};

use super::{Gate, Kind, Moment, queued};

type Told = (String, Vec<Gate>);

/// A run: what holds it as a whole, then its steps in the order of the plan.
pub fn run(id: RunId, state: &State, at: &Moment<'_>) -> Told {
    match state {
        State::Unborn | State::Barred { .. } => before(state),
        State::Open(run) => {
            let steps = run.all().map(|(step, plan, how)| gate_of(id, run, (&step, plan, how), at));
            let steps = steps.filter(|gate| gate.gate != Kind::Over);
            let status = if run.paused.is_some() { "paused" } else { "running" };
            (status.to_owned(), pause(id, run).into_iter().chain(steps).collect())
        }
        State::Over(run, end) => {
            // A run that is over waits for nothing; what keeps it from having succeeded is still told.
            let steps = run.all().map(|(step, plan, how)| gate_of(id, run, (&step, plan, how), at));
            let dead = steps.filter(|gate| gate.gate == Kind::Dead);
            (end.as_str().to_owned(), dead.chain([over(id, end)]).collect())
        }
    }
}

/// A step: what holds it, and what holds the run it is of.
pub fn job(id: RunId, step: &str, state: &State, at: &Moment<'_>) -> Told {
    let Some(run) = state.run() else { return before(state) };
    let Some((plan, found)) = run.step(step) else {
        let what = format!("the run has no step {step:?}, or its list is not known yet");
        return ("unknown".to_owned(), vec![Gate::new(Kind::Over, what, "nothing")]);
    };
    let gate = gate_of(id, run, (step, plan, found), at);
    let settled = found.status.is_settled();
    let whole = match state {
        State::Over(_, end) => Some(over(id, end)),
        State::Unborn | State::Barred { .. } | State::Open(_) => pause(id, run).filter(|_| !settled),
    };
    let own = (!matches!(state, State::Over(..)) || settled).then_some(gate);
    (found.status.as_str().to_owned(), whole.into_iter().chain(own).collect())
}

/// A question to people.
pub fn approval(id: RunId, question: ApprovalId, state: &State, at: &Moment<'_>) -> Told {
    let Some(run) = state.run() else { return before(state) };
    let open = run.all().find_map(|(step, _, found)| match &found.status {
        StepStatus::Asking { approval, since, .. } if approval.id == question => Some((step, approval, *since)),
        _ => None,
    });
    if let Some((step, approval, since)) = open {
        let gates = pause(id, run).into_iter().chain([asking(approval).of_step(&step).since(since, at.now)]);
        return ("pending".to_owned(), gates.collect());
    }
    if let Some(advisory) = run.advisory.get(&question) {
        let what = format!("nobody has to answer, and nobody has: the run went on; {}", asks(&advisory.approval));
        let gate = Gate { what, ..asking(&advisory.approval) };
        return ("advisory".to_owned(), vec![gate.of_step(&advisory.step)]);
    }
    if let Some(answer) = run.decided.get(&question) {
        let what = format!("it was answered by {}: {}", answer.by, answer.action.as_str());
        return ("decided".to_owned(), vec![Gate::new(Kind::Over, what, "nothing: an answer is given once")]);
    }
    let what = "it is void: the run went on or ended without an answer, or asks something else now";
    ("void".to_owned(), vec![Gate::new(Kind::Over, what, "nothing")])
}

/// The run did not begin.
fn before(state: &State) -> Told {
    match state {
        State::Barred { reason } => {
            let what = format!("the run was stopped before it began: {reason}");
            ("cancelled".to_owned(), vec![Gate::new(Kind::Over, what, "nothing")])
        }
        State::Unborn | State::Open(_) | State::Over(..) => {
            let gate = Gate::new(Kind::Trigger, "the run has not begun", "whoever asked for it telling it to");
            ("pending".to_owned(), vec![gate])
        }
    }
}

fn pause(id: RunId, run: &Run) -> Option<Gate> {
    let paused = run.paused.as_ref()?;
    let what = format!("the run is paused by {}: {}", paused.by, paused.note);
    let gate = Gate::new(Kind::Paused, what, format!("`nightshift run resume {id}`")).held_by(paused.by.clone());
    Some(gate.asked_by(action(id, "resume")))
}

fn action(id: RunId, verb: &str) -> String {
    format!("POST /api/orchestrations/{id}/actions/{verb}")
}

fn over(id: RunId, end: &End) -> Gate {
    let (what, released) = match end {
        End::Completed { .. } => ("the run is completed".to_owned(), "nothing: it is done".to_owned()),
        End::Failed { step, .. } => {
            (format!("the run is failed: step {step}"), format!("`nightshift run retry {id} {step}`, or rerun"))
        }
        End::Cancelled { reason } => {
            (format!("the run is cancelled: {reason}"), format!("`nightshift run rerun {id}`"))
        }
    };
    let gate = Gate::new(Kind::Over, what, released);
    match end {
        End::Completed { .. } => gate,
        End::Failed { .. } => gate.asked_by(action(id, "retry")),
        End::Cancelled { .. } => gate.asked_by(action(id, "rerun")),
    }
}

/// What holds a step. Every state has an answer.
pub(super) fn gate_of(id: RunId, run: &Run, (step, plan, found): (&str, &StepPlan, &Step), at: &Moment<'_>) -> Gate {
    let gate = match &found.status {
        StepStatus::Pending {} => pending(run, plan, found, at),
        StepStatus::Queued { since, .. } => queued::gate(id, run, step, at).since(*since, at.now),
        StepStatus::Running { attempt, lease, since } => {
            let what = format!("attempt {attempt} is being done by {}", lease.worker);
            let limit_s = plan.timeout_ms as f64 / 1e3;
            let gate = Gate::new(Kind::Attempt, what, format!("its outcome, or its time limit of {limit_s} s"));
            gate.held_by(lease.worker.clone()).since(*since, at.now)
        }
        StepStatus::Waiting { attempt, retry_at } => {
            let what = format!("it failed and waits for attempt {attempt}");
            let released = format!("the clock at {retry_at}; sooner: `nightshift run retry {id} {step}`");
            Gate::new(Kind::Retry, what, released).asked_by(action(id, "retry"))
        }
        StepStatus::Completed { .. } => Gate::new(Kind::Over, "it is done", "nothing"),
        StepStatus::Dead { failure } => {
            let what = format!("its last attempt failed: {} ({})", failure.message, failure.class.as_str());
            let released = format!("`nightshift run retry {id} {step}`, or skip");
            Gate::new(Kind::Dead, what, released).asked_by(action(id, "retry"))
        }
        StepStatus::Skipped { reason } => Gate::new(Kind::Over, format!("it is skipped: {reason}"), "nothing"),
        StepStatus::Parked { on, since, .. } => parked(on).since(*since, at.now),
        StepStatus::Asking { approval, since, .. } => asking(approval).since(*since, at.now),
        StepStatus::Fanned {} => {
            let parts = run.fans.get(&plan.id).map_or(&[][..], |fan| &fan.steps);
            let done = parts.iter().filter(|part| part.status.is_settled()).count();
            Gate::new(Kind::Parts, format!("{done} of its {} parts are done", parts.len()), "the end of the others")
        }
    };
    gate.of_step(step)
}

fn pending(run: &Run, plan: &StepPlan, found: &Step, at: &Moment<'_>) -> Gate {
    if let Some(not_before) = found.not_before.filter(|not_before| *not_before > at.now) {
        return Gate::new(Kind::Clock, format!("it may not go before {not_before}"), "the clock");
    }
    let open: Vec<String> = plan
        .depends_on
        .iter()
        .filter_map(|other| run.step(other).map(|(_, found)| (other, &found.status)))
        .filter(|(_, status)| !matches!(status, StepStatus::Completed { .. } | StepStatus::Skipped { .. }))
        .map(|(other, status)| format!("{other} ({})", status.as_str()))
        .collect();
    if open.is_empty() {
        let what = "it may go when there is a place in its run, and its part of the run begins";
        return Gate::new(
            Kind::Dependencies,
            what,
            format!("the end of a step; {} go at once", run.created.plan.max_parallel),
        );
    }
    Gate::new(Kind::Dependencies, format!("it waits for {}", open.join(", ")), "their end").held_by(open.join(", "))
}

fn parked(on: &Waits) -> Gate {
    match on {
        Waits::Until { at } => Gate::new(Kind::Wait, format!("it waits for {at}"), "the clock"),
        Waits::Event { event, correlation, deadline, .. } => {
            let about = correlation.as_ref().map(|about| format!(" --correlation {about}")).unwrap_or_default();
            let limit = deadline.map(|at| format!(", or its deadline at {at}")).unwrap_or_default();
            let which = correlation.as_ref().map(|about| format!(" about {about}")).unwrap_or_default();
            let released = format!("`nightshift event publish {event}{about}`{limit}");
            Gate::new(Kind::Wait, format!("it waits for event {event}{which}"), released).asked_by("POST /api/events")
        }
        Waits::Child { run, .. } => {
            let released = format!("the end of that run: `nightshift explain {run}`");
            Gate::new(Kind::Wait, format!("it waits for run {run}"), released).held_by(format!("run {run}"))
        }
    }
}

fn asks(approval: &Approval) -> String {
    format!("it asks {}: \"{}\"", whom(approval), approval.checkpoint.question)
}

fn whom(approval: &Approval) -> String {
    let asked = &approval.checkpoint;
    asked.assignee.clone().or_else(|| asked.group.clone()).unwrap_or_else(|| "whoever may answer".to_owned())
}

fn asking(approval: &Approval) -> Gate {
    let limit = approval.deadline.map(|at| format!(", or its deadline at {at}")).unwrap_or_default();
    let gate = Gate::new(Kind::Approval, asks(approval), format!("`nightshift approve {}`{limit}", approval.id));
    let request = format!("POST /api/orchestrations/approvals/{}/decision", approval.id);
    gate.held_by(whom(approval)).asked_by(request)
}

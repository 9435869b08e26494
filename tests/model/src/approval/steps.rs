//! What can happen around a question.
//!
//! Owns: who sends what to the run. Refuses to know: what must hold.

use nightshift_domain::{
    content::Digest,
    decider::Duty,
    json::Json,
    run::{
        Answer, ApprovalAction, ApprovalId, Asked, Command, How, Lease, Rejection, State as RunState, StepOutput,
        StepStatus, Token,
    },
    streams::AnyCommand,
    time::Timestamp,
};

use super::{Approvals, MAKE, Mutation, State, Step};
use crate::{explore::Seen, runs};

/// Who gives outputs in the place of a step's.
pub const SOMEBODY: &str = "somebody";

/// Names of the two.
pub const NAMES: [&str; 2] = ["ada", "bob"];

impl Approvals {
    pub(super) fn possible(&self, state: &State) -> Vec<Step> {
        let left = &state.left;
        let mut steps = Vec::new();
        let status = state.run.state.run().and_then(|run| run.step(MAKE)).map(|(_, step)| &step.status);
        if matches!(status, Some(StepStatus::Queued { .. })) {
            steps.extend([Step::Work(1), Step::Work(2)]);
        }
        let question = self.question(state);
        let over = matches!(state.run.state, RunState::Over(..));
        for p in 0..2 {
            let view = state.views[p].as_ref();
            let current = question.map(|approval| (approval.id, approval.digest.0.clone()));
            steps.extend((current.is_some() && view != current.as_ref()).then_some(Step::Look(p)));
            if state.answers[p] == 0 || view.is_none() {
                continue;
            }
            steps.extend(ApprovalAction::ALL.map(|action| Step::Answer(p, action)));
            if current.is_some_and(|(id, _)| view.is_some_and(|(seen, _)| *seen != id)) {
                steps.extend(ApprovalAction::ALL.map(|action| Step::AnswerUnread(p, action)));
            }
        }
        for timer in state.run.owes("timer:").filter(|timer| !state.errands.contains(&timer.key)) {
            let due = timer.due_at <= state.now || self.is(Mutation::Early);
            steps.extend(due.then(|| Step::GoOff(timer.key.clone())));
        }
        for key in &state.errands {
            steps.push(Step::Due(key.clone()));
            steps.extend((left.duplicates > 0).then(|| Step::DueTwice(key.clone())));
        }
        steps.extend(state.run.next_timer(state.now).map(|_| Step::Wait));
        steps.extend((question.is_some() && left.replacements > 0).then_some(Step::Replace));
        steps.extend((question.is_some() && self.is(Mutation::PassOver)).then_some(Step::PassOver));
        steps.extend((over && left.reruns > 0).then_some(Step::Rerun));
        steps.extend((!over && left.cancels > 0).then_some(Step::Cancel));
        steps.extend((left.crashes > 0).then_some(Step::Crash));
        steps
    }

    pub(super) fn happen(&self, state: &mut State, step: &Step, seen: &mut Seen) {
        match step {
            Step::Work(value) => self.work(state, *value, seen),
            Step::Look(p) => {
                let approval = self.question(state).expect("the step is for an open question");
                state.views[*p] = Some((approval.id, approval.digest.0.clone()));
            }
            Step::Answer(p, action) => {
                let (id, _) = state.views[*p].clone().expect("the step is for somebody who has looked");
                self.answer(state, *p, (id, *action), seen);
            }
            Step::AnswerUnread(p, action) => {
                let id = self.question(state).expect("the step is for an open question").id;
                self.answer(state, *p, (id, *action), seen);
            }
            Step::Wait => state.now = state.run.next_timer(state.now).expect("there is one"),
            Step::GoOff(key) => drop(state.errands.insert(key.clone())),
            Step::Due(key) => {
                state.errands.remove(key);
                self.due(state, key, seen);
            }
            Step::DueTwice(key) => {
                state.left.duplicates -= 1;
                seen.note("deadline told twice");
                self.due(state, key, seen);
            }
            Step::Replace => {
                state.left.replacements -= 1;
                seen.note("replaced");
                self.replace(state, SOMEBODY, seen);
            }
            Step::PassOver => self.replace(state, "nobody", seen),
            Step::Rerun => {
                state.left.reruns -= 1;
                seen.note("done again");
                drop(self.tell(state, &Command::Rerun { from: None, by: by(SOMEBODY) }, None, seen));
            }
            Step::Cancel => {
                state.left.cancels -= 1;
                seen.note("cancelled");
                drop(self.tell(state, &Command::Cancel { reason: "enough".to_owned() }, None, seen));
            }
            Step::Crash => {
                state.left.crashes -= 1;
                seen.note(if state.errands.is_empty() { "crash" } else { "crash: deadline went off, nobody heard" });
                state.errands.clear();
            }
        }
    }

    /// A place is given and the worker is done: what can happen between the two is the model of leases.
    fn work(&self, state: &mut State, value: u8, seen: &mut Seen) {
        let (_, step) = state.run.state.run().and_then(|run| run.step(MAKE)).expect("a step of the plan");
        let StepStatus::Queued { attempt, .. } = step.status else { unreachable!("the step is for one that waits") };
        state.nonces += 1;
        let token = Token { epoch: 1, nonce: state.nonces };
        let lease = Lease { token, until: state.now, worker: "w".to_owned() };
        let step = || MAKE.to_owned();
        drop(self.tell(state, &Command::Grant { step: step(), attempt, lease, buckets: vec![] }, None, seen));
        let result = Ok(runs::made(Json::from(value)));
        let finish =
            Command::Finish { step: step(), attempt, token, result, offer: None, tokens_free: false, at_once: false };
        drop(self.tell(state, &finish, None, seen));
    }

    fn answer(&self, state: &mut State, p: usize, (approval, action): (ApprovalId, ApprovalAction), seen: &mut Seen) {
        state.answers[p] -= 1;
        let (_, looked_at) = state.views[p].clone().expect("the step is for somebody who has looked");
        let digest = (!self.is(Mutation::NoDigest)).then(|| Digest(looked_at.clone()));
        let (by, note, modifications) = (NAMES[p].to_owned(), None, None);
        let answer = Answer { approval, action, by, note, modifications, digest };
        state.watch.looks_at(Some(looked_at));
        let result = self.tell(state, &Command::Answer(Box::new(answer)), None, seen);
        state.watch.looks_at(None);
        match &result {
            Ok(true) => seen.note(action.outcome()),
            Ok(false) => seen.note("the same again"),
            Err(Rejection::Decided { .. }) => seen.note("too late: decided"),
            Err(Rejection::AnotherPayload { .. }) => seen.note("void: another payload"),
            Err(Rejection::NoSuchApproval { .. }) => seen.note("void: no such question"),
            Err(Rejection::Over { .. }) => seen.note("too late: the run is over"),
            Err(_) => seen.note("turned down"),
        }
        if result.is_ok() || self.is(Mutation::Polite) {
            state.watch.told_that_it_counts(approval, action, NAMES[p]);
        }
    }

    fn due(&self, state: &mut State, key: &str, seen: &mut Seen) {
        let owed = state.run.owed.get(key).map(|owed| owed.duty.clone());
        let command = match owed {
            Some(Duty::Wake { command, .. }) => match *command {
                AnyCommand::Run(command) => command,
                other => unreachable!("the run's own timers tell the run, not {other:?}"),
            },
            // It was closed while it was on its way.
            _ => {
                seen.note("deadline heard too late");
                let round = key.rsplit_once("ask").and_then(|(_, round)| round.parse().ok()).expect("a deadline's key");
                Command::AnswerDue { step: MAKE.to_owned(), approval: ApprovalId::of(runs::id(), MAKE, round) }
            }
        };
        drop(self.tell(state, &command, Some(key), seen));
    }

    fn replace(&self, state: &mut State, who: &str, seen: &mut Seen) {
        let output = Some(Json::from(3));
        let skip = Command::SkipStep { step: MAKE.to_owned(), output, by: by(who), past: None };
        drop(self.tell(state, &skip, None, seen));
    }

    /// Decides and writes; says whether anything happened.
    pub(super) fn tell(
        &self,
        state: &mut State,
        command: &Command,
        discharges: Option<&str>,
        seen: &mut Seen,
    ) -> Result<bool, Rejection> {
        let mut upon = state.run.state.clone();
        if let Command::Answer(answer) = command {
            let open = self.question(state).is_some_and(|approval| approval.id == answer.approval);
            if !open && self.is(Mutation::StaleState) {
                upon = state.before.clone();
            }
            if self.is(Mutation::OtherValue) {
                swap(&mut upon);
            }
        }
        let owed = state.run.owed.clone();
        let before = state.run.state.clone();
        let told = state.run.tell_upon(&upon, command, state.now, discharges, &self.outside);
        state.before = before;
        if self.is(Mutation::KeepClosed) {
            state.run.keep(told.closed.iter().filter_map(|key| owed.get(key).cloned()).collect());
        }
        if self.is(Mutation::LoseTimer) {
            told.opened.iter().filter(|owed| owed.key.starts_with("timer:")).for_each(|owed| {
                state.run.discharge(&owed.key);
            });
        }
        told.events().iter().for_each(|event| state.watch.sees(event, state.now, seen));
        told.result.map(|events| !events.is_empty())
    }
}

fn by(who: &str) -> Asked {
    Asked { by: who.to_owned(), note: String::new() }
}

/// What the step made is another thing now, and nobody was asked about it.
fn swap(state: &mut RunState) {
    let RunState::Open(run) = state else { return };
    for step in &mut run.steps {
        if let StepStatus::Asking { output: Some(output), .. } = &mut step.status {
            *output = runs::made(Json::from(9)).into();
        }
    }
}

/// Whether an event says that somebody gave an output.
pub(super) fn is_replaced(how: &How) -> bool {
    matches!(how, How::Replaced { by } if by.by == SOMEBODY)
}

/// The value of an output.
pub(super) fn value(output: &StepOutput) -> Json {
    nightshift_domain::run::value_of(output)
}

/// An instant in a message.
pub(super) const fn secs(at: Timestamp) -> i64 {
    at.micros() / 1_000_000
}

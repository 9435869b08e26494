//! What can happen to leases, and what each step does to the memory of the process.
//!
//! Owns: the way of a message. Refuses to know: what must hold.

use nightshift_domain::{
    decider::{Duty, Obligation},
    run::{Asked, Command, Lease, State as RunState, StepStatus, Token},
    streams::AnyCommand,
};

use super::{Came, Leases, Memory, Message, Mutation, State, Step, Work};
use crate::{explore::Seen, runs};

impl Leases {
    pub(super) fn possible(&self, state: &State) -> Vec<Step> {
        let left = &state.left;
        let mut steps = Vec::new();
        let results = |failures: u8| {
            let bad = [Came::Failed, Came::Turned].into_iter().filter(move |_| failures > 0);
            [Came::Done].into_iter().chain(bad)
        };
        for work in &state.zombies {
            steps.extend(results(left.failures).map(|came| Step::ReportLate(*work, came)));
        }
        let Some(up) = &state.up else {
            steps.push(Step::Restart);
            return steps;
        };
        if up.taken.len() < self.places || self.is(Mutation::NoPlaces) {
            steps.extend(up.waiting.iter().map(|(step, attempt)| Step::Give(*step, *attempt)));
        }
        for work in &up.working {
            let finishing = up.mail.iter().any(|message| matches!(message, Message::Finish(other, _) if other == work));
            if finishing {
                continue;
            }
            steps.extend(results(left.failures).map(|came| Step::Report(*work, came)));
            steps.extend((left.lost > 0).then_some(Step::Lose(*work)));
        }
        for message in &up.mail {
            steps.push(Step::Deliver(*message));
            steps.extend((left.duplicates > 0).then_some(Step::DeliverTwice(*message)));
        }
        steps.extend(state.late.iter().map(|message| Step::DeliverLate(*message)));
        for timer in state.run.owes("retry:").filter(|timer| timer.due_at <= state.now) {
            steps.push(Step::Wake(timer.key.clone()));
            steps.extend((left.duplicates > 0).then(|| Step::WakeTwice(timer.key.clone())));
        }
        steps.extend(state.run.next_timer(state.now).map(|_| Step::Wait));
        steps.extend((left.renewals > 0).then_some(Step::Renew));
        steps.extend((left.crashes > 0).then_some(Step::Crash));
        let over = matches!(state.run.state, RunState::Over(..));
        steps.extend((left.cancels > 0 && !over).then_some(Step::Cancel));
        if left.retries > 0 {
            steps.extend((0..self.steps.len()).filter(|step| self.is_dead(state, *step)).map(Step::Retry));
        }
        steps
    }

    fn is_dead(&self, state: &State, step: usize) -> bool {
        let found = state.run.state.run().and_then(|run| run.step(self.steps[step]));
        found.is_some_and(|(_, step)| matches!(step.status, StepStatus::Dead { .. }))
    }

    pub(super) fn happen(&self, state: &mut State, step: &Step, seen: &mut Seen) {
        match step {
            Step::Give(step, attempt) => self.give(state, *step, *attempt),
            Step::Report(work, came) => {
                state.left.failures -= u8::from(*came != Came::Done);
                memory(state).mail.insert(Message::Finish(*work, *came));
            }
            Step::Deliver(message) => {
                memory(state).mail.remove(message);
                self.deliver(state, message, true, seen);
            }
            Step::DeliverTwice(message) => {
                state.left.duplicates -= 1;
                seen.note("message twice");
                self.deliver(state, message, false, seen);
            }
            Step::ReportLate(work, came) => {
                state.left.failures -= u8::from(*came != Came::Done);
                state.zombies.remove(work);
                state.late.insert(Message::Finish(*work, *came));
            }
            Step::DeliverLate(message) => {
                state.late.remove(message);
                seen.note("late result");
                self.deliver(state, message, true, seen);
            }
            Step::Wake(key) => self.wake(state, key, true, seen),
            Step::WakeTwice(key) => {
                state.left.duplicates -= 1;
                seen.note("timer twice");
                self.wake(state, key, false, seen);
            }
            Step::Wait => state.now = state.run.next_timer(state.now).expect("there is one"),
            Step::Lose(work) => self.lose(state, work, seen),
            Step::Renew => self.renew(state, seen),
            Step::Crash => self.crash(state, seen),
            Step::Restart => self.restart(state),
            Step::Cancel => {
                state.left.cancels -= 1;
                seen.note("cancelled");
                self.tell(state, &Command::Cancel { reason: "enough".to_owned() }, None, seen);
            }
            Step::Retry(step) => {
                state.left.retries -= 1;
                let by = Asked { by: "somebody".to_owned(), note: String::new() };
                let step = self.steps[*step].to_owned();
                let retry = Command::RetryStep { step, modifications: None, delay_ms: 0, by, past: None };
                seen.note("done again by hand");
                let upon = self.is(Mutation::Forgetful).then(|| forgetful(&state.run.state));
                self.tell_upon(state, upon, &retry, None, seen);
            }
        }
    }

    /// `Places::grant`: the place is held before the run hears of it.
    fn give(&self, state: &mut State, step: usize, attempt: u32) {
        state.nonces += 1;
        let nonce = if self.is(Mutation::SameToken) { 1 } else { state.nonces };
        let token = Token { epoch: if self.is(Mutation::SameToken) { 1 } else { state.epoch }, nonce };
        let up = memory(state);
        up.waiting.remove(&(step, attempt));
        up.taken.insert(token);
        up.mail.insert(Message::Grant(Work { step, attempt, token }));
    }

    /// The run decides. `last`: the message will not come again.
    fn deliver(&self, state: &mut State, message: &Message, last: bool, seen: &mut Seen) {
        match message {
            Message::Grant(work) => {
                let lease = Lease { token: work.token, until: state.now, worker: "w".to_owned() };
                let step = self.steps[work.step].to_owned();
                let grant = Command::Grant { step, attempt: work.attempt, lease, buckets: vec![] };
                let taken = self.tell(state, &grant, None, seen);
                let holds = memory(state).working.iter().any(|other| other.token == work.token);
                if !taken && !holds && last {
                    seen.note("grant turned down");
                    if !self.is(Mutation::LeakPlace) {
                        memory(state).taken.remove(&work.token);
                    }
                }
            }
            Message::Finish(work, came) => self.finish(state, work, *came, last, seen),
            Message::Expire(work) => {
                let step = self.steps[work.step].to_owned();
                let (attempt, token) = (work.attempt, work.token);
                let expire = Command::Expire { step, attempt, token, reason: "gone".to_owned() };
                state.watch.expires(work, state.up.as_ref());
                self.tell(state, &expire, None, seen);
            }
        }
    }

    /// `workers::see_through`: when the run has heard, the place is free.
    fn finish(&self, state: &mut State, work: &Work, came: Came, last: bool, seen: &mut Seen) {
        let result = match came.class() {
            None => Ok(runs::made(serde_json::Value::Null)),
            Some(class) => Err(runs::failure(class)),
        };
        let step = self.steps[work.step].to_owned();
        let open = self.open(state, work.step);
        let told = if self.is(Mutation::AnyToken) { open.unwrap_or(*work) } else { *work };
        let (attempt, token) = (told.attempt, told.token);
        let finish = Command::Finish { step, attempt, token, result, offer: None, tokens_free: false, at_once: false };
        state.watch.reports(work, open);
        let upon = (self.is(Mutation::StaleState) && open != Some(*work)).then(|| state.before.clone());
        self.tell_upon(state, upon, &finish, None, seen);
        state.watch.reported();
        if last {
            let up = memory(state);
            up.working.remove(work);
            up.taken.remove(&work.token);
        }
    }

    /// The attempt of a step that is open, as its run has it.
    pub(super) fn open(&self, state: &State, step: usize) -> Option<Work> {
        let (_, found) = state.run.state.run()?.step(self.steps[step])?;
        match &found.status {
            StepStatus::Running { attempt, lease, .. } => Some(Work { step, attempt: *attempt, token: lease.token }),
            _ => None,
        }
    }

    fn wake(&self, state: &mut State, key: &str, last: bool, seen: &mut Seen) {
        let Duty::Wake { command, .. } = state.run.owed[key].duty.clone() else { unreachable!("it is a timer") };
        let AnyCommand::Run(command) = *command else { unreachable!("it is the run's") };
        seen.note("retry due");
        self.tell(state, &command, last.then_some(key), seen);
    }

    /// `Lost::give_up`: the place is free and the run is told; what was begun may go on outside.
    fn lose(&self, state: &mut State, work: &Work, seen: &mut Seen) {
        state.left.lost -= 1;
        seen.note("task lost");
        state.watch.given_up(work);
        let up = memory(state);
        up.working.remove(work);
        up.taken.remove(&work.token);
        up.mail.insert(Message::Expire(*work));
        state.zombies.insert(*work);
    }

    /// `Lane::new_epoch`: attempts that run here go on.
    fn renew(&self, state: &mut State, seen: &mut Seen) {
        state.left.renewals -= 1;
        state.epoch += 1;
        seen.note("epoch raised by its owner");
        if self.is(Mutation::ExpireByEpoch) {
            let old: Vec<Work> = memory(state).working.iter().copied().collect();
            memory(state).mail.extend(old.into_iter().map(Message::Expire));
        }
    }

    fn crash(&self, state: &mut State, seen: &mut Seen) {
        state.left.crashes -= 1;
        let up = state.up.take().expect("the step is for a process that runs");
        seen.note(match () {
            () if !up.mail.is_empty() => "crash: message under way",
            () if !up.working.is_empty() => "crash: work under way",
            () if !up.waiting.is_empty() => "crash: job waits",
            () => "crash: else",
        });
        state.zombies.extend(up.working);
    }

    /// `recovery::rescan`: jobs wait again, what was begun before is told to be lost.
    fn restart(&self, state: &mut State) {
        state.epoch += 1;
        state.acquired = state.epoch;
        state.up = Some(Memory::default());
        let owed: Vec<Obligation> = state.run.owed.values().cloned().collect();
        for obligation in owed {
            match obligation.duty {
                Duty::Attempt { step, attempt, token } if token.epoch < state.acquired => {
                    let step = self.place(&step);
                    if !self.is(Mutation::ForgetExpiry) {
                        memory(state).mail.insert(Message::Expire(Work { step, attempt, token }));
                    }
                }
                duty => self.hand_over(state, &duty),
            }
        }
    }

    fn place(&self, step: &str) -> usize {
        self.steps.iter().position(|id| *id == step).expect("a step of the plan")
    }

    /// `duties::hand_over`: what the process does about an obligation.
    fn hand_over(&self, state: &mut State, duty: &Duty) {
        match duty {
            Duty::Lease { step, attempt } => {
                let job = (self.place(step), *attempt);
                memory(state).waiting.insert(job);
            }
            Duty::Attempt { step, attempt, token } => {
                let work = Work { step: self.place(step), attempt: *attempt, token: *token };
                memory(state).working.insert(work);
            }
            _ => {}
        }
    }

    pub(super) fn tell(&self, state: &mut State, command: &Command, discharges: Option<&str>, seen: &mut Seen) -> bool {
        self.tell_upon(state, None, command, discharges, seen)
    }

    /// Decides, hands over what is owed since, and lets go of what is owed no longer. Says whether it was taken. `upon`:
    /// another state to decide upon, for mutations.
    fn tell_upon(
        &self,
        state: &mut State,
        upon: Option<RunState>,
        command: &Command,
        discharges: Option<&str>,
        seen: &mut Seen,
    ) -> bool {
        let before = state.run.state.clone();
        let owed = state.run.owed.clone();
        let told = state.run.tell_upon(upon.as_ref().unwrap_or(&before), command, state.now, discharges, &self.outside);
        state.before = before;
        if self.is(Mutation::KeepClosed) {
            let kept = told.closed.iter().filter_map(|key| owed.get(key).cloned());
            state.run.keep(kept.collect());
        }
        if self.is(Mutation::LoseTimer) {
            told.opened.iter().filter(|owed| owed.key.starts_with("retry:")).for_each(|owed| {
                state.run.discharge(&owed.key);
            });
        }
        told.events().iter().for_each(|event| state.watch.sees(event, seen));
        // Nobody hears of what was written behind the back of a process that ended.
        if state.up.is_some() {
            told.opened.iter().for_each(|owed| self.hand_over(state, &owed.duty));
            told.closed.iter().for_each(|key| self.let_go(state, key));
        }
        told.result.is_ok_and(|events| !events.is_empty())
    }

    /// `duties::close`: a job waits no more, an attempt that nobody waits for is stopped if it has no result yet.
    fn let_go(&self, state: &mut State, key: &str) {
        let mut parts = key.split(':');
        let (Some(what), Some(step), Some(attempt)) = (parts.next(), parts.next(), parts.next()) else { return };
        let (Some(step), Ok(attempt)) = (self.steps.iter().position(|id| *id == step), attempt.parse::<u32>()) else {
            return;
        };
        let up = memory(state);
        match what {
            "job" => drop(up.waiting.remove(&(step, attempt))),
            "attempt" => {
                let is = |work: &&Work| work.step == step && work.attempt == attempt;
                let Some(work) = up.working.iter().find(is).copied() else { return };
                let finishing = |message: &Message| matches!(message, Message::Finish(other, _) if *other == work);
                if !up.mail.iter().any(finishing) {
                    up.working.remove(&work);
                    up.taken.remove(&work.token);
                }
            }
            _ => {}
        }
    }
}

fn memory(state: &mut State) -> &mut Memory {
    state.up.as_mut().expect("the step is for a process that runs")
}

/// The same, but for the numbers of attempts.
fn forgetful(state: &RunState) -> RunState {
    let mut state = state.clone();
    if let RunState::Open(run) | RunState::Over(run, _) = &mut state {
        run.steps.iter_mut().for_each(|step| (step.attempts, step.former_attempts) = (0, 0));
    }
    state
}

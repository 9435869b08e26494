//! Attempts of one process, as in `actors::workers`: done, reported until heard, given up.
//!
//! Owns: what runs here. Refuses to know: what the outside does (`world`), what a failure means.

use std::{collections::BTreeMap, rc::Rc};

use nightshift_domain::{
    content::{Failure, FailureClass},
    ids::{CommandId, RunId, StreamId},
    run::{self, Command, Lease, StepStatus, Token},
};

use super::{
    Sabotage,
    fault::{Class, Fault},
    node::{Brought, Doing, Envelope, Lost, NodeRef, Outcome, ReplyTo, WorkKey},
    sim::{Act, Sim},
};

impl Sim<'_> {
    /// Begins an attempt, unless it runs here already or is not owed any more.
    pub fn start_attempt(&mut self, at: NodeRef, stream: StreamId, state: &run::State, of: (&str, u32, Token)) {
        let (step, attempt, token) = of;
        let Some(run) = state.run() else { return };
        let Some((plan, found)) = run.step(step) else { return };
        let StepStatus::Running { attempt: running, lease, .. } = &found.status else { return };
        if *running != attempt || lease.token != token {
            return;
        }
        let id = RunId::from_uuid(stream.id);
        // What would be too large is not done in this world.
        let action = run::action_of(run, id, step, &BTreeMap::new()).and_then(Result::ok);
        let Some((action, key)) = action.zip(run.idempotency_key(id, step)) else { return };
        let work = (id, format!("attempt:{step}:{attempt}"));
        if self.nodes[at.node].doing.contains_key(&work) {
            return;
        }
        let per_attempt = self.settings.sabotage == Some(Sabotage::KeyPerAttempt);
        let doing = Doing {
            step: step.to_owned(),
            attempt,
            token,
            user: run.created.user.clone(),
            priority: run.created.priority,
            key: if per_attempt { format!("{key}.{attempt}") } else { key },
            action: Rc::new(action),
            timeout_ms: plan.timeout_ms,
            finishing: false,
            report: None,
        };
        self.nodes[at.node].doing.insert(work.clone(), doing);
        if !self.crash_here(at.node, Class::CrashBeforeEffect, 600) {
            let soon = self.chance.between(100, 3_000);
            self.after_us(soon, Act::Effect(at, work));
        }
    }

    /// The call reaches the outside.
    pub fn effect(&mut self, at: NodeRef, work: &WorkKey) {
        let Some(doing) = self.nodes[at.node].doing.get(work) else { return };
        if doing.finishing {
            return;
        }
        let (timeout_us, token) = (i64::try_from(doing.timeout_ms).unwrap_or(i64::MAX / 2_000) * 1_000, doing.token);
        let (step, attempt) = (doing.step.clone(), doing.attempt);
        let (brought, takes_us) = self.execute(at, work);
        let lost = self.fault(Fault::Results, 2_000, Class::ResultLost);
        if self.fault(Fault::Leases, 1_500, Class::LeaseLost) {
            self.after_us(takes_us / 2, Act::TaskLost(at, work.clone(), token));
            // The other side has done it all the same, and somebody says so.
            let finish = Command::Finish {
                step,
                attempt,
                token,
                result: brought,
                offer: None,
                tokens_free: false,
                at_once: false,
            };
            self.after_us(takes_us, Act::Late(work.0.stream(), Rc::new(finish.into())));
        } else if lost || takes_us >= timeout_us {
            let finish = Command::Finish {
                step,
                attempt,
                token,
                result: brought,
                offer: None,
                tokens_free: false,
                at_once: false,
            };
            let late = timeout_us.max(takes_us) + self.chance.between(0, 10_000_000);
            self.after_us(late, Act::Late(work.0.stream(), Rc::new(finish.into())));
            let failure = Failure::new(FailureClass::Timeout, format!("no result within {} us", timeout_us));
            self.after_us(timeout_us, Act::Brought(at, work.clone(), token, Box::new(Err(failure))));
        } else {
            self.after_us(takes_us, Act::Brought(at, work.clone(), token, Box::new(brought)));
        }
    }

    /// The performer has ended: its outcome is reported.
    pub fn brought(&mut self, at: NodeRef, work: &WorkKey, token: Token, brought: Brought) {
        let now = self.node_now(at.node);
        let node = &self.nodes[at.node];
        let Some(doing) = node.doing.get(work).filter(|doing| doing.token == token && !doing.finishing) else { return };
        let (step, attempt) = (doing.step.clone(), doing.attempt);
        let may_keep = node.places.may_keep(&doing.user, token, doing.priority, now);
        if self.crash_here(at.node, Class::CrashAfterEffect, 1_000) {
            return;
        }
        let offer: Option<Lease> = may_keep.then(|| self.lease(at, work.0));
        let offered = offer.as_ref().map(|lease| lease.token);
        if let Some(offered) = offered {
            self.nodes[at.node].places.hold(offered, Vec::new());
        }
        let finish = Rc::new(
            Command::Finish { step, attempt, token, result: brought, offer, tokens_free: false, at_once: true }.into(),
        );
        if let Some(doing) = self.nodes[at.node].doing.get_mut(work) {
            doing.finishing = true;
            doing.report = Some((finish, offered));
        }
        if self.fault(Fault::Results, 2_000, Class::ResultTwice) {
            self.report(at, work, ReplyTo::Nobody);
        }
        self.report(at, work, ReplyTo::Reported(work.clone()));
    }

    /// Tells the run; the same command id each time.
    pub fn report(&mut self, at: NodeRef, work: &WorkKey, reply: ReplyTo) {
        let Some(doing) = self.nodes[at.node].doing.get(work) else { return };
        let Some((finish, _)) = &doing.report else { return };
        let key = format!("{}:{}:{}", doing.step, doing.attempt, doing.token);
        let envelope = Envelope {
            to: work.0.stream(),
            command: Rc::clone(finish),
            id: CommandId::of_obligation(work.0.stream(), &key, "finish"),
            discharges: None,
            from_client: false,
            reply,
        };
        self.send(at, envelope);
    }

    /// The run has heard, or is asked again.
    pub fn reported(&mut self, at: NodeRef, work: &WorkKey, outcome: &Outcome) {
        if *outcome == Outcome::Unanswered {
            self.after_us(200_000, Act::Report(at, work.clone()));
            return;
        }
        let Some(doing) = self.nodes[at.node].doing.remove(work) else { return };
        if let Some(unused) = doing.report.as_ref().and_then(|(_, offered)| *offered)
            && !self.holds(at, unused)
        {
            self.release(at, unused);
        }
        // What this process did is told once more, much later, as another process or a slow network may.
        if let Some((finish, _)) = doing.report
            && self.strikes(Fault::Results, 2_000)
        {
            let late = self.chance.between(1_000_000, 3_600_000_000);
            self.after_us(late, Act::Late(work.0.stream(), finish));
        }
        self.release(at, doing.token);
        self.grant(at);
    }

    pub fn holds(&self, at: NodeRef, token: Token) -> bool {
        self.nodes[at.node].doing.values().any(|doing| doing.token == token)
    }

    /// The run does not wait for this attempt any more.
    pub fn no_longer_owed(&mut self, at: NodeRef, work: &WorkKey) {
        let node = &mut self.nodes[at.node];
        if node.doing.get(work).is_some_and(|doing| !doing.finishing)
            && let Some(doing) = node.doing.remove(work)
        {
            self.release(at, doing.token);
            self.grant(at);
        }
    }

    /// The task of an attempt ended without an outcome.
    pub fn task_lost(&mut self, at: NodeRef, work: &WorkKey, token: Token) {
        let node = &mut self.nodes[at.node];
        if node.doing.get(work).is_none_or(|doing| doing.token != token || doing.finishing) {
            return;
        }
        let Some(doing) = node.doing.remove(work) else { return };
        self.audit.task_gone(work.0.shard(), token);
        self.release(at, token);
        self.grant(at);
        let lost = Lost { run: work.0, step: doing.step, attempt: doing.attempt, token };
        self.expire(at, lost);
    }

    /// The run is told that the holder of a lease is gone.
    pub fn expire(&mut self, at: NodeRef, lost: Lost) {
        let Lost { run, step, attempt, token } = lost.clone();
        let key = format!("attempt:{step}:{attempt}:{token}");
        let reason = "its worker ended with the process or the task that held the lease".to_owned();
        let envelope = Envelope {
            to: run.stream(),
            command: Rc::new(Command::Expire { step, attempt, token, reason }.into()),
            id: CommandId::of_obligation(run.stream(), &key, "expire"),
            discharges: None,
            from_client: false,
            reply: ReplyTo::Expired(Box::new(lost)),
        };
        self.send(at, envelope);
    }
}

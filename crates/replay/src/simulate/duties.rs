//! What is owed goes to whoever pays it, as in `actors::duties`, `clock` and `courier`.
//!
//! Owns: timers, errands, places of one process. Refuses to know: what is in a command.

use std::rc::Rc;

use nightshift_domain::{
    deliverable::{Stage, State as Taken},
    ids::{CommandId, DeliverableId, RunId, StreamId},
    run::{self, Lease, Token},
    time::Timestamp,
};

use super::{
    Sabotage,
    database::{Debt, Due, Key},
    fault::Class,
    mind::Mind,
    node::{Assessing, Envelope, Errand, NodeRef, Outcome, ReplyTo},
    places::Job,
    sim::{Act, Sim},
};

/// How long a lease holds, in milliseconds.
const LEASE_MS: i64 = 30_000;

/// Wait before an errand is told again.
const TELL_AGAIN_US: i64 = 200_000;

impl Sim<'_> {
    /// Hands over what was opened.
    pub fn hand_over(&mut self, at: NodeRef, stream: StreamId, mind: &Mind, opens: &[Rc<Debt>]) {
        for debt in opens {
            match &debt.duty {
                Due::Wake { to, command } => {
                    self.arm(at, debt.due_at, Errand::of(stream, debt, *to, command));
                }
                Due::Tell { to, command } | Due::Ask { to, command } => {
                    self.tell(at, Errand::of(stream, debt, *to, command));
                }
                Due::Lease { step, attempt } => {
                    let Mind::Run(state) = mind else { continue };
                    let Some(gates) = state.run().and_then(|run| run::gates(run, step)) else { continue };
                    let (priority, since) = (debt.priority, debt.due_at);
                    let run = RunId::from_uuid(stream.id);
                    let job = Job { run, step: step.clone(), attempt: *attempt, priority, since, gates };
                    self.nodes[at.node].places.enqueue(job);
                    self.grant(at);
                }
                Due::Attempt { step, attempt, token } => {
                    if let Mind::Run(state) = mind {
                        self.start_attempt(at, stream, state, (step, *attempt, *token));
                    }
                }
                Due::Assess { slot } => {
                    if let Mind::Deliverable(state) = mind {
                        self.assess(at, stream, state, *slot);
                    }
                }
                Due::Choose { page } => {
                    if let Mind::Bulk(state) = mind {
                        self.choose(at, stream, state, *page);
                    }
                }
                Due::Report { report } => self.herald(at, stream, report, debt.due_at),
            }
            if self.nodes[at.node].life != at.life {
                return;
            }
        }
    }

    /// Tells whoever pays that these are not owed any more.
    pub fn close(&mut self, at: NodeRef, closes: &[(StreamId, Key)]) {
        for closed in closes {
            let (owner, key) = closed;
            let node = &mut self.nodes[at.node];
            node.under_way.remove(closed);
            match key.split_once(':').map(|(what, _)| what) {
                Some("timer" | "retry" | "window") => {
                    if let Some(due) = node.due_of.remove(closed) {
                        node.timers.remove(&(due, *owner, Rc::clone(key)));
                    }
                }
                Some("job") => {
                    node.places.forget(&(RunId::from_uuid(owner.id), key.to_string()));
                    self.grant(at);
                }
                Some("attempt") => self.no_longer_owed(at, &(RunId::from_uuid(owner.id), key.to_string())),
                _ => {}
            }
        }
    }

    /// A timer was opened.
    pub fn arm(&mut self, at: NodeRef, due: Timestamp, errand: Errand) {
        if self.settings.sabotage == Some(Sabotage::LoseTimer) && errand.key.len().is_multiple_of(3) {
            return;
        }
        let node = &mut self.nodes[at.node];
        let key = (errand.owner, Rc::clone(&errand.key));
        if node.due_of.insert(key.clone(), due).is_none() {
            node.timers.insert((due, key.0, key.1), errand);
        }
        self.set_alarm(at);
    }

    /// The process looks at its clock again when the next timer is due by it.
    pub fn set_alarm(&mut self, at: NodeRef) {
        let node = &mut self.nodes[at.node];
        let Some(((due, ..), _)) = node.timers.first_key_value() else { return };
        if node.alarm.is_none_or(|alarm| *due < alarm) {
            let due = *due;
            node.alarm = Some(due);
            let truly = Timestamp(due.0 - node.offset);
            self.at(truly.max(self.now), Act::Timers(at, due));
        }
    }

    /// Timers that are due by the clock of the process go off.
    pub fn timers(&mut self, at: NodeRef, due: Timestamp) {
        if self.nodes[at.node].alarm != Some(due) {
            return;
        }
        let now = self.node_now(at.node);
        self.nodes[at.node].alarm = None;
        while let Some(entry) = self.nodes[at.node].timers.first_entry() {
            if entry.key().0 > now {
                break;
            }
            let errand = entry.remove();
            self.nodes[at.node].due_of.remove(&(errand.owner, Rc::clone(&errand.key)));
            self.tell(at, errand);
        }
        self.set_alarm(at);
    }

    /// Sets out, unless this errand is under way already.
    pub fn tell(&mut self, at: NodeRef, errand: Errand) {
        if self.nodes[at.node].under_way.insert((errand.owner, Rc::clone(&errand.key))) {
            self.tell_now(at, errand);
        }
    }

    pub fn tell_now(&mut self, at: NodeRef, errand: Errand) {
        // A question is closed by its answer, not by the append of who is asked; that keeps what it made of it.
        let same_shard = errand.owner.shard() == errand.to.shard() && !errand.asks;
        let envelope = Envelope {
            to: errand.to,
            command: Rc::clone(&errand.command),
            id: CommandId::of_obligation(errand.owner, &errand.key, "tell"),
            discharges: same_shard.then(|| (errand.owner, Rc::clone(&errand.key))),
            from_client: !same_shard,
            reply: ReplyTo::Courier(errand),
        };
        self.send(at, envelope);
    }

    pub fn errand_answered(&mut self, at: NodeRef, errand: Errand, outcome: &Outcome) {
        if *outcome == Outcome::Unanswered {
            self.after_us(TELL_AGAIN_US, Act::TellAgain(at, Box::new(errand)));
        } else if errand.asks {
            self.bring_answer(at, errand, outcome);
        } else if errand.owner.shard() == errand.to.shard() {
            self.nodes[at.node].under_way.remove(&(errand.owner, errand.key));
        } else {
            self.discharge(at, errand.owner, errand.key);
        }
    }

    /// A lease token nobody had before.
    pub fn lease(&mut self, at: NodeRef, run: RunId) -> Lease {
        let epoch = self.nodes[at.node].heads[usize::from(run.shard().0)].epoch;
        let nonce = if self.settings.sabotage == Some(Sabotage::SameToken) { 7 } else { self.chance.draw() };
        let until = self.node_now(at.node).plus_ms(LEASE_MS);
        self.audit.granted((run.shard(), Token { epoch, nonce }), self.now);
        Lease { token: Token { epoch, nonce }, until, worker: "simulated".to_owned() }
    }

    /// Gives free places to whoever is next.
    pub fn grant(&mut self, at: NodeRef) {
        loop {
            let now = self.node_now(at.node);
            let Some(job) = self.nodes[at.node].places.next(now) else { break };
            let lease = self.lease(at, job.run);
            let owner = self.nodes[at.node].owner;
            job.gates.buckets.iter().for_each(|bucket| self.audit.passed(owner, bucket, now));
            let (names, buckets) = (job.names(), job.gates.buckets.clone());
            self.nodes[at.node].places.hold(lease.token, names);
            if self.crash_here(at.node, Class::CrashGranted, 600) {
                return;
            }
            let (step, attempt, token) = (job.step.clone(), job.attempt, lease.token);
            let envelope = Envelope {
                to: job.run.stream(),
                command: Rc::new(run::Command::Grant { step, attempt, lease, buckets }.into()),
                id: CommandId(self.chance.id()),
                discharges: None,
                from_client: false,
                reply: ReplyTo::Granted(Box::new(job), token),
            };
            self.send(at, envelope);
        }
        let node = &mut self.nodes[at.node];
        if let Some(due) = node.places.refill_at.filter(|due| node.refill_armed != Some(*due)) {
            node.refill_armed = Some(due);
            let truly = Timestamp(due.0 - node.offset);
            self.at(truly.max(self.now.plus_ms(1)), Act::Refilled(at, due));
        }
    }

    pub fn granted(&mut self, at: NodeRef, job: Job, token: Token, outcome: &Outcome) {
        match outcome {
            Outcome::Done => return,
            Outcome::Unanswered => {
                self.release(at, token);
                self.nodes[at.node].places.enqueue(job);
            }
            Outcome::Rejected(_) => self.release(at, token),
        }
        self.grant(at);
    }

    /// A place is free again.
    pub fn release(&mut self, at: NodeRef, token: Token) {
        if self.settings.sabotage == Some(Sabotage::LeakSlot) && token.nonce.is_multiple_of(10) {
            return;
        }
        self.nodes[at.node].places.release(token);
    }

    /// The sources of a slot are to be looked at.
    fn assess(&mut self, at: NodeRef, stream: StreamId, state: &Taken, slot: uuid::Uuid) {
        let Some(it) = state.taken() else { return };
        let Some(current) = it.current.as_ref().filter(|current| current.slot.id == slot) else { return };
        let key = (DeliverableId::from_uuid(stream.id), slot);
        let known = self.nodes[at.node].slots.contains_key(&key);
        if known || !matches!(current.stage, Stage::Assessing { .. }) {
            return;
        }
        let (user, order, consumed) = (it.user.clone(), std::sync::Arc::clone(&it.order), it.consumed.clone());
        self.nodes[at.node].slots.insert(key, Assessing { user, order, consumed, seen: Vec::new() });
        let wait = self.chance.between(20_000, 400_000);
        self.after_us(wait, Act::Look(at, key));
    }
}

//! The queue actor: places for steps.
//!
//! Owns: who waits, who holds a place, and who is next. The order is in `order`, what holds a job back in `limits`.
//! Refuses to know: what a step does. Supervised by the root; a new one finds waiting jobs in the log and places in the
//! workers.
//!
//! Invariant: places are derived from attempts that are under way, never counted apart, so none can leak.
//! Invariant: a job that is held back holds back no other; it joins again when what held it may be gone.

mod handle;
pub mod limits;
pub mod order;
pub mod overlay;
mod past;
mod taken;
mod view;

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use handle::InHand;
pub use handle::QueueHandle;
use limits::{Bucket, Limits, Named};
use nightshift_domain::{
    ids::{CommandId, RunId, UserId},
    recorded::Meta,
    run::{self, DEFAULT_QUEUE, Gates, Lease, Token},
    time::Timestamp,
};
use order::Order;
use past::Past;
use ractor::{Actor, ActorProcessingErr, ActorRef, SupervisionEvent};
use taken::Taken;
pub use view::{HeldBy, Holder, QueueView, Waiting};

use crate::{
    context::Context,
    envelope::{Envelope, Message, Reply},
    faults::Point,
    observer::OpenWork,
};

/// Wait before a place is given again to a step whose run did not answer, in milliseconds.
const GRANT_AGAIN_MS: i64 = 200;

/// A step that waits for a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// The run.
    pub run: RunId,
    /// The step.
    pub step: String,
    /// The attempt that waits.
    pub attempt: u32,
    /// Lower goes first.
    pub priority: i16,
    /// Since when it waits.
    pub since: Timestamp,
    /// What it has to pass.
    pub gates: Gates,
}

impl Job {
    fn key(&self) -> Key {
        (self.run, format!("job:{}:{}", self.step, self.attempt))
    }

    fn names(&self) -> Vec<Named> {
        names(&self.gates)
    }
}

/// The named places that gates ask for.
fn names(gates: &Gates) -> Vec<Named> {
    let keys = gates.concurrency.iter().map(|key| Named::Key(key.clone()));
    keys.chain([Named::Queue(gates.queue.clone())]).collect()
}

/// A job whose run did not answer waits again in a moment.
fn enqueue_later(context: &Arc<Context>, job: Job) {
    let (context, open) = (Arc::clone(context), context.gauges.open());
    crate::tasks::spawn(async move {
        context.clock_port.sleep_until(context.clock_port.now().plus_ms(GRANT_AGAIN_MS)).await;
        context.queue.enqueue(job, open);
    });
}

type Key = (RunId, String);

/// What the queue can be sent.
pub enum QueueMsg {
    /// A step waits.
    Enqueue(Box<Job>, OpenWork),
    /// It does not wait any more.
    Forget(RunId, String),
    /// A place is free again.
    Release(Token),
    /// A place for what a run does next, without waiting for it: answered with none when it is somebody else's turn.
    Offer {
        /// Whose place it is to be.
        wanted: Wanted,
        /// Whom to tell.
        reply: tokio::sync::oneshot::Sender<Option<Offer>>,
    },
    /// Tokens may have come back.
    Refilled,
    /// Other limits from now on.
    SetLimits(Box<Limits>),
    /// Who waits and who holds a place.
    Show(tokio::sync::oneshot::Sender<QueueView>),
    /// Fail. Sent by tests only.
    Fail,
}

/// Who could use a place at once.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// The run.
    pub run: RunId,
    /// Whose run it is.
    pub user: UserId,
    /// Priority of the run; a more urgent job that waits goes first.
    pub priority: i16,
    /// The lease of its attempt that has just ended, whose place may serve the next one; none: a place that is free.
    pub instead_of: Option<Token>,
}

/// A place for a step without gates of its own. Whoever does not use it gives it back.
#[derive(Debug, Clone)]
pub struct Offer {
    /// The place.
    pub lease: Lease,
    /// No bucket limits anything now.
    pub tokens_free: bool,
}

/// The actor.
pub struct QueueActor;

/// What it remembers.
pub struct Places {
    context: Arc<Context>,
    myself: ActorRef<QueueMsg>,
    limits: Limits,
    order: Order<Key>,
    /// Those of a paused queue keep no work open: nobody sees to them.
    jobs: HashMap<Key, (Job, Option<OpenWork>)>,
    held: HashMap<HeldBy, VecDeque<Key>>,
    taken: Taken,
    named: HashMap<Named, usize>,
    buckets: HashMap<String, Bucket>,
    refill_at: Option<Timestamp>,
    past: Past,
}

impl Actor for QueueActor {
    type Msg = QueueMsg;
    type State = Places;
    type Arguments = Arc<Context>;

    async fn pre_start(&self, myself: ActorRef<QueueMsg>, context: Arc<Context>) -> Result<Places, ActorProcessingErr> {
        let limits = context.limits();
        let mut places = Places {
            past: Past::read(&context, &limits).await,
            limits,
            myself,
            order: Order::default(),
            jobs: HashMap::new(),
            held: HashMap::new(),
            taken: Taken::default(),
            named: HashMap::new(),
            buckets: HashMap::new(),
            refill_at: None,
            context,
        };
        for (token, gates) in places.context.workers.places() {
            places.hold(token, names(&gates));
        }
        Ok(places)
    }

    async fn handle(
        &self,
        _myself: ActorRef<QueueMsg>,
        message: QueueMsg,
        places: &mut Places,
    ) -> Result<(), ActorProcessingErr> {
        let in_hand = InHand::of(&places.context);
        match message {
            QueueMsg::Enqueue(job, open) => places.enqueue(*job, open),
            QueueMsg::Forget(run, key) => places.forget(&(run, key)),
            QueueMsg::Release(token) => places.release(token),
            QueueMsg::Offer { wanted, reply } => drop(reply.send(places.offer(&wanted))),
            QueueMsg::Refilled => places.refilled(),
            QueueMsg::SetLimits(limits) => places.set_limits(*limits),
            QueueMsg::Show(reply) => drop(reply.send(places.view())),
            QueueMsg::Fail => return Err("it was told to fail".into()),
        }
        places.grant();
        in_hand.done();
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        _myself: ActorRef<QueueMsg>,
        _event: SupervisionEvent,
        _places: &mut Places,
    ) -> Result<(), ActorProcessingErr> {
        Ok(())
    }
}

impl Places {
    fn now(&self) -> Timestamp {
        self.context.clock_port.now()
    }

    fn enqueue(&mut self, job: Job, open: OpenWork) {
        let key = job.key();
        if !self.jobs.contains_key(&key) {
            self.order.join(key.clone(), &job.gates.user, job.priority, job.since);
            let open = (!self.limits.paused.holds(&job.gates.queue)).then_some(open);
            self.jobs.insert(key, (job, open));
        }
    }

    fn forget(&mut self, key: &Key) {
        let Some((job, _)) = self.jobs.remove(key) else { return };
        if !self.order.leave(key) {
            self.held.values_mut().for_each(|held| held.retain(|other| other != key));
        }
        // It may have come back for a place or a token that it does not take now.
        job.names().into_iter().for_each(|named| self.call_back(&HeldBy::Place(named), 1));
        job.gates.buckets.iter().for_each(|key| self.call_back(&HeldBy::Rate(key.clone()), 1));
    }

    fn free(&self) -> usize {
        self.places().saturating_sub(self.taken.places())
    }

    fn places(&self) -> usize {
        self.limits.concurrency.unwrap_or(self.context.settings.concurrency)
    }

    fn hold(&mut self, token: Token, names: Vec<Named>) {
        names.iter().for_each(|named| *self.named.entry(named.clone()).or_default() += 1);
        self.taken.hold(token, names);
    }

    fn release(&mut self, token: Token) {
        for named in self.taken.release(token) {
            if let Some(held) = self.named.get_mut(&named) {
                *held -= 1;
                if *held == 0 {
                    self.named.remove(&named);
                }
            }
            self.call_back(&HeldBy::Place(named), 1);
        }
    }

    /// Some of those that a limit held back join again, with the age they have.
    fn call_back(&mut self, by: &HeldBy, most: usize) {
        let Some(held) = self.held.get_mut(by) else { return };
        let back: Vec<Key> = held.drain(..most.min(held.len())).collect();
        if held.is_empty() {
            self.held.remove(by);
        }
        for key in back {
            if let Some((job, _)) = self.jobs.get(&key) {
                self.order.join(key, &job.gates.user, job.priority, job.since);
            }
        }
    }

    fn has_room(&self, named: &Named) -> bool {
        let taken = self.named.get(named).copied().unwrap_or(0);
        self.limits.places(named).is_none_or(|places| taken < places)
    }

    /// The first limit that a job does not pass now.
    fn obstacle(&mut self, gates: &Gates, now: Timestamp) -> Option<HeldBy> {
        if self.limits.paused.queues.contains(&gates.queue) {
            return Some(HeldBy::Pause(Some(gates.queue.clone())));
        }
        if let Some(full) = names(gates).into_iter().find(|named| !self.has_room(named)) {
            return Some(HeldBy::Place(full));
        }
        for key in &gates.buckets {
            let Some(rate) = self.limits.rate(key) else { continue };
            let bucket = self.buckets.entry(key.clone()).or_insert_with(|| self.past.bucket(key, rate, now));
            if bucket.ready_at(1.0, now) != Some(now) {
                return Some(HeldBy::Rate(key.clone()));
            }
        }
        None
    }

    /// Gives free places to whoever is next.
    fn grant(&mut self) {
        while !self.limits.paused.all && self.free() > 0 {
            let now = self.now();
            let Some(key) = self.order.next(now) else { return };
            let Some((job, _)) = self.jobs.get(&key) else { continue };
            let gates = job.gates.clone();
            match self.obstacle(&gates, now) {
                None => self.pass(&key, &gates, now),
                Some(by) => self.hold_back(key, &gates, by, now),
            }
        }
    }

    fn pass(&mut self, key: &Key, gates: &Gates, now: Timestamp) {
        for key in &gates.buckets {
            let Some(bucket) = self.buckets.get_mut(key) else { continue };
            bucket.take(1.0, now);
            let by = HeldBy::Rate(key.clone());
            if self.held.contains_key(&by) {
                match bucket.ready_at(1.0, now) {
                    Some(due) if due <= now => self.call_back(&by, 1),
                    due => self.arm(due),
                }
            }
        }
        if let Some((job, open)) = self.jobs.remove(key) {
            let buckets = gates.buckets.iter().filter(|key| self.buckets.contains_key(*key)).cloned().collect();
            self.give(job, open, buckets);
        }
    }

    fn hold_back(&mut self, key: Key, gates: &Gates, by: HeldBy, now: Timestamp) {
        if let HeldBy::Rate(bucket) = &by {
            let due = self.buckets.get_mut(bucket).and_then(|bucket| bucket.ready_at(1.0, now));
            self.arm(due);
        }
        // Places and tokens that it does not take now are for others: it may have been called back for one of them.
        for other in
            names(gates).into_iter().filter(|named| self.has_room(named)).map(HeldBy::Place).collect::<Vec<_>>()
        {
            self.call_back(&other, 1);
        }
        for key in &gates.buckets {
            if self.buckets.get_mut(key).is_some_and(|bucket| bucket.ready_at(1.0, now) == Some(now)) {
                self.call_back(&HeldBy::Rate(key.clone()), 1);
            }
        }
        self.held.entry(by).or_default().push_back(key);
    }

    /// The actor is told when the next token comes back.
    fn arm(&mut self, due: Option<Timestamp>) {
        let Some(due) = due.filter(|due| self.refill_at.is_none_or(|armed| *due < armed)) else { return };
        self.refill_at = Some(due);
        let (clock, myself) = (Arc::clone(&self.context.clock_port), self.myself.clone());
        crate::tasks::spawn(async move {
            clock.sleep_until(due).await;
            let _ = myself.cast(QueueMsg::Refilled);
        });
    }

    /// As many join again as there are tokens. Those that go call the next one, so a timer is needed only when there is
    /// no token at all.
    fn refilled(&mut self) {
        let now = self.now();
        self.refill_at = None;
        let rate = |by: &HeldBy| match by {
            HeldBy::Rate(key) => Some(key.clone()),
            HeldBy::Place(_) | HeldBy::Pause(_) => None,
        };
        let keys: Vec<String> = self.held.keys().filter_map(rate).collect();
        for key in keys {
            let Some(bucket) = self.buckets.get_mut(&key) else { continue };
            let tokens = (bucket.tokens(now) + 1e-9).floor().clamp(0.0, 1e6) as usize;
            if tokens == 0 {
                let due = bucket.ready_at(1.0, now);
                self.arm(due);
            } else {
                self.call_back(&HeldBy::Rate(key), tokens);
            }
        }
    }

    fn set_limits(&mut self, limits: Limits) {
        let now = self.now();
        self.buckets.retain(|key, bucket| match limits.rate(key) {
            Some(rate) => {
                bucket.set_rate(rate, now);
                true
            }
            None => false,
        });
        self.limits = limits;
        for (job, open) in self.jobs.values_mut() {
            match self.limits.paused.holds(&job.gates.queue) {
                true => *open = None,
                false if open.is_none() => *open = Some(self.context.gauges.open()),
                false => {}
            }
        }
        let all: Vec<HeldBy> = self.held.keys().cloned().collect();
        all.iter().for_each(|by| self.call_back(by, usize::MAX));
    }

    fn lease(&self, run: RunId) -> Lease {
        let settings = &self.context.settings;
        let until = self.context.clock_port.now().plus_ms(settings.lease_ms);
        Lease { token: self.context.token(run.stream()), until, worker: settings.worker.clone() }
    }

    fn give(&mut self, job: Job, open: Option<OpenWork>, buckets: Vec<String>) {
        let lease = self.lease(job.run);
        self.hold(lease.token, job.names());
        self.context.faults.at(Point::Granted);
        let (step, attempt) = (job.step.clone(), job.attempt);
        let grant = run::Command::Grant { step, attempt, lease: lease.clone(), buckets };
        let (context, token, stream) = (Arc::clone(&self.context), lease.token, job.run.stream());
        let reply = Reply::to(move |outcome| {
            match outcome {
                Ok(_) => {}
                Err(error) if error.is_open() => {
                    context.queue.release(token);
                    enqueue_later(&context, job);
                }
                Err(_) => context.queue.release(token),
            }
            drop(open);
        });
        let envelope = Envelope {
            command: grant.into(),
            id: CommandId(self.context.ids.fresh()),
            meta: Meta { actor: "queue".to_owned(), ..Meta::default() },
            discharges: None,
            from_client: false,
            reply,
        };
        self.context.router().send(stream, Message::Decide(Box::new(envelope)));
    }

    /// A free place, or the one that the run has, unless it is somebody else's turn.
    fn offer(&mut self, wanted: &Wanted) -> Option<Offer> {
        let Wanted { run, user, priority, instead_of } = wanted;
        let keeps = |token: &Token| self.taken.may_hand_on(*token) && self.taken.places() <= self.places();
        let is_there = instead_of.as_ref().map_or_else(|| self.free() > 0, keeps);
        // Who gets it passes no gates, so those of its queue must be open.
        let counted = self.limits.places(&Named::Queue(DEFAULT_QUEUE.to_owned())).is_some();
        let limited = counted || self.limits.paused.holds(DEFAULT_QUEUE);
        if limited || !is_there || self.order.is_before(user, *priority, self.now()) {
            return None;
        }
        let lease = self.lease(*run);
        match instead_of {
            Some(elder) => self.taken.hand_on(*elder, lease.token),
            None => self.hold(lease.token, Vec::new()),
        }
        Some(Offer { lease, tokens_free: self.limits.rates.is_empty() })
    }
}

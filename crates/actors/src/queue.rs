//! The queue actor: places for steps.
//!
//! Owns: who waits, who holds a place, and who is next: priority (lower first), then age.
//! Refuses to know: what a step does. Supervised by the root; a new one finds waiting jobs in the log and places in the
//! workers.
//!
//! Invariant: places are derived from attempts that are under way, never counted apart, so none can leak.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap, HashSet},
    sync::Arc,
};

use nightshift_domain::{
    ids::{CommandId, RunId},
    recorded::Meta,
    run::{self, Lease, Token},
    time::Timestamp,
};
use ractor::{Actor, ActorProcessingErr, ActorRef, SupervisionEvent};

use crate::{
    context::Context,
    envelope::{Envelope, Message, NotDone, Reply},
    faults::Point,
    observer::OpenWork,
    port::Port,
};

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
}

impl Job {
    fn key(&self) -> Key {
        (self.run, format!("job:{}:{}", self.step, self.attempt))
    }
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
    /// The place of one attempt may serve another: answered with a lease, or with none when somebody else is first.
    Offer {
        /// The run whose attempt has just ended.
        run: RunId,
        /// The lease it had.
        token: Token,
        /// Priority of the run; a more urgent job that waits goes first.
        priority: i16,
        /// Whom to tell.
        reply: tokio::sync::oneshot::Sender<Option<Lease>>,
    },
    /// Who waits and who holds a place.
    Show(tokio::sync::oneshot::Sender<QueueView>),
    /// Fail. Sent by tests only.
    Fail,
}

/// Who waits and who holds a place, for explanations.
#[derive(Debug, Clone, Default)]
pub struct QueueView {
    /// Waiting jobs in the order in which they will go.
    pub waiting: Vec<Job>,
    /// Places taken.
    pub taken: usize,
    /// Places in all.
    pub places: usize,
}

/// The way to the queue.
#[derive(Clone)]
pub struct QueueHandle(pub(crate) Port<QueueMsg>);

impl Default for QueueHandle {
    fn default() -> Self {
        Self(Port::new("queue"))
    }
}

impl QueueHandle {
    /// Lets the actor fail, as a test wants it.
    pub fn fail(&self) {
        self.0.send(QueueMsg::Fail);
    }

    /// A step waits.
    pub fn enqueue(&self, job: Job, open: OpenWork) {
        self.0.send(QueueMsg::Enqueue(Box::new(job), open));
    }

    /// It does not wait any more.
    pub fn forget(&self, run: RunId, key: &str) {
        self.0.send(QueueMsg::Forget(run, key.to_owned()));
    }

    /// A place is free again.
    pub fn release(&self, token: Token) {
        self.0.send(QueueMsg::Release(token));
    }

    /// Asks for the place of an ended attempt to be kept for what follows it in the same run.
    pub async fn offer(&self, run: RunId, token: Token, priority: i16) -> Option<Lease> {
        let (reply, answer) = tokio::sync::oneshot::channel();
        self.0.send(QueueMsg::Offer { run, token, priority, reply });
        answer.await.ok().flatten()
    }

    /// Who waits and who holds a place.
    pub async fn show(&self) -> QueueView {
        let (reply, answer) = tokio::sync::oneshot::channel();
        self.0.send(QueueMsg::Show(reply));
        answer.await.unwrap_or_default()
    }
}

/// The actor.
pub struct QueueActor;

/// What it remembers.
pub struct Places {
    context: Arc<Context>,
    waiting: BinaryHeap<Reverse<(i16, Timestamp, Key)>>,
    jobs: HashMap<Key, (Job, OpenWork)>,
    taken: HashSet<Token>,
}

impl Actor for QueueActor {
    type Msg = QueueMsg;
    type State = Places;
    type Arguments = Arc<Context>;

    async fn pre_start(
        &self,
        _myself: ActorRef<QueueMsg>,
        context: Arc<Context>,
    ) -> Result<Places, ActorProcessingErr> {
        let taken = context.workers.tokens();
        Ok(Places { context, waiting: BinaryHeap::new(), jobs: HashMap::new(), taken })
    }

    async fn handle(
        &self,
        _myself: ActorRef<QueueMsg>,
        message: QueueMsg,
        places: &mut Places,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            QueueMsg::Enqueue(job, open) => places.enqueue(*job, open),
            QueueMsg::Forget(run, key) => drop(places.jobs.remove(&(run, key))),
            QueueMsg::Release(token) => drop(places.taken.remove(&token)),
            QueueMsg::Offer { run, token, priority, reply } => drop(reply.send(places.offer(run, token, priority))),
            QueueMsg::Show(reply) => drop(reply.send(places.view())),
            QueueMsg::Fail => return Err("it was told to fail".into()),
        }
        places.grant();
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
    fn enqueue(&mut self, job: Job, open: OpenWork) {
        let key = job.key();
        if !self.jobs.contains_key(&key) {
            self.waiting.push(Reverse((job.priority, job.since, key.clone())));
            self.jobs.insert(key, (job, open));
        }
    }

    fn free(&self) -> usize {
        self.context.settings.concurrency.saturating_sub(self.taken.len())
    }

    /// Gives free places to whoever is next.
    fn grant(&mut self) {
        while self.free() > 0 {
            let Some(Reverse((.., key))) = self.waiting.pop() else { return };
            // A job that was forgotten left its entry in the heap.
            if let Some((job, open)) = self.jobs.remove(&key) {
                self.give(job, open);
            }
        }
    }

    fn lease(&self, run: RunId) -> Lease {
        let settings = &self.context.settings;
        let until = self.context.clock_port.now().plus_ms(settings.lease_ms);
        Lease { token: self.context.token(run.stream()), until, worker: settings.worker.clone() }
    }

    fn give(&mut self, job: Job, open: OpenWork) {
        let lease = self.lease(job.run);
        self.taken.insert(lease.token);
        self.context.faults.at(Point::Granted);
        let grant = run::Command::Grant { step: job.step.clone(), attempt: job.attempt, lease: lease.clone() };
        let (context, token, stream) = (Arc::clone(&self.context), lease.token, job.run.stream());
        let reply = Reply::to(move |outcome| {
            match outcome {
                Ok(_) => {}
                Err(NotDone::Unanswered { .. }) => {
                    context.queue.release(token);
                    context.queue.enqueue(job, context.gauges.open());
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

    /// The place stays with the run unless somebody more urgent waits.
    fn offer(&mut self, run: RunId, token: Token, priority: i16) -> Option<Lease> {
        let more_urgent = self.waiting.peek().is_some_and(|Reverse((first, ..))| *first < priority);
        if !self.taken.contains(&token) || more_urgent {
            return None;
        }
        let lease = self.lease(run);
        self.taken.insert(lease.token);
        Some(lease)
    }

    fn view(&self) -> QueueView {
        let mut waiting: Vec<Job> = self.jobs.values().map(|(job, _)| job.clone()).collect();
        waiting.sort_by_key(|job| (job.priority, job.since, job.key()));
        QueueView { waiting, taken: self.taken.len(), places: self.context.settings.concurrency }
    }
}

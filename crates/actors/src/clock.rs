//! The clock actor: timers of the next while in a heap, the rest as rows.
//!
//! Owns: which timers are loaded, which is next, and when the store is asked for more.
//! Refuses to know: what a timer is about. Supervised by the root; a new one loads the heap from the log.
//!
//! Invariant: every open timer due before `loaded_until` is in the heap.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use nightshift_domain::{
    decider::{Class, Duty},
    ids::StreamId,
    time::Timestamp,
};
use nightshift_ports::log::{Owed, OwedQuery, StoreError};
use ractor::{Actor, ActorProcessingErr, ActorRef, SupervisionEvent};

use crate::{context::Context, courier::Errand, port::Port};

/// How far ahead timers are loaded, in milliseconds.
const WINDOW_MS: i64 = 600_000;

/// Rows fetched at once.
const PAGE: u32 = 5_000;

/// Timers in the heap before loading stops early; the window then ends where loading stopped.
const HEAP_MAX: usize = 200_000;

/// What the clock can be sent.
pub enum ClockMsg {
    /// A timer was opened.
    Arm(Timestamp, Box<Errand>),
    /// A timer was closed.
    Disarm(StreamId, String),
    /// The next timer, or the end of the window, may have come.
    Tick,
    /// What was owed before is handed over: timers may go off.
    Begin,
    /// Look now, and say when all that is due was handed to the courier.
    Look(tokio::sync::oneshot::Sender<()>),
    /// Fail. Sent by tests only.
    Fail,
}

/// The way to the clock.
#[derive(Clone)]
pub struct ClockHandle(pub(crate) Port<ClockMsg>, Arc<AtomicBool>);

impl Default for ClockHandle {
    fn default() -> Self {
        Self(Port::new("clock"), Arc::new(AtomicBool::new(false)))
    }
}

impl ClockHandle {
    /// Lets the actor fail, as a test wants it.
    pub fn fail(&self) {
        self.0.send(ClockMsg::Fail);
    }

    /// What was owed before is handed over: timers may go off, in this clock and in those that follow it.
    pub fn begin(&self) {
        self.1.store(true, Ordering::Release);
        self.0.send(ClockMsg::Begin);
    }

    fn has_begun(&self) -> bool {
        self.1.load(Ordering::Acquire)
    }

    /// A timer was opened.
    pub fn arm(&self, due_at: Timestamp, errand: Errand) {
        self.0.send(ClockMsg::Arm(due_at, Box::new(errand)));
    }

    /// Returns when every timer that is due now was handed to the courier.
    pub async fn look(&self) {
        let (reply, looked) = tokio::sync::oneshot::channel();
        self.0.send(ClockMsg::Look(reply));
        // A clock that failed meanwhile looks again by itself when it is started.
        let _ = looked.await;
    }

    /// A timer was closed.
    pub fn disarm(&self, owner: StreamId, key: String) {
        self.0.send(ClockMsg::Disarm(owner, key));
    }
}

/// The actor.
pub struct ClockActor;

type Key = (StreamId, String);

/// What it remembers.
pub struct Timers {
    context: Arc<Context>,
    heap: BinaryHeap<Reverse<(Timestamp, Key)>>,
    errands: HashMap<Key, (Timestamp, Errand)>,
    /// Timers due before this are in the heap.
    loaded_until: Timestamp,
    /// When to load more; none when the store holds nothing later.
    load_at: Option<Timestamp>,
    alarm: Option<(Timestamp, tokio::task::JoinHandle<()>)>,
    /// What was owed before is handed over: timers may go off.
    begun: bool,
}

impl Actor for ClockActor {
    type Msg = ClockMsg;
    type State = Timers;
    type Arguments = Arc<Context>;

    async fn pre_start(&self, myself: ActorRef<ClockMsg>, context: Arc<Context>) -> Result<Timers, ActorProcessingErr> {
        let now = context.clock_port.now();
        let begun = context.clock.has_begun();
        if begun {
            drop(myself.send_message(ClockMsg::Tick));
        }
        Ok(Timers {
            begun,
            context,
            heap: BinaryHeap::new(),
            errands: HashMap::new(),
            loaded_until: now,
            load_at: Some(now),
            alarm: None,
        })
    }

    async fn handle(
        &self,
        myself: ActorRef<ClockMsg>,
        message: ClockMsg,
        timers: &mut Timers,
    ) -> Result<(), ActorProcessingErr> {
        let mut asked = None;
        match message {
            ClockMsg::Look(reply) => asked = Some(reply),
            ClockMsg::Arm(due_at, errand) => timers.arm(due_at, *errand),
            ClockMsg::Disarm(owner, key) => drop(timers.errands.remove(&(owner, key))),
            ClockMsg::Tick => timers.alarm = None,
            ClockMsg::Begin => timers.begun = true,
            ClockMsg::Fail => return Err("it was told to fail".into()),
        }
        // Timers opened before the beginning are loaded with the others then.
        if !timers.begun {
            return Ok(());
        }
        let now = timers.context.clock_port.now();
        if timers.load_at.is_some_and(|at| at <= now)
            && let Err(error) = timers.load(now).await
        {
            tracing::warn!(%error, "timers could not be loaded; trying again");
            timers.load_at = Some(now.plus_ms(1_000));
        }
        timers.fire(now);
        timers.set_alarm(&myself, now);
        if let Some(reply) = asked {
            let _ = reply.send(());
        }
        Ok(())
    }

    async fn post_stop(&self, _myself: ActorRef<ClockMsg>, timers: &mut Timers) -> Result<(), ActorProcessingErr> {
        if let Some((_, alarm)) = timers.alarm.take() {
            alarm.abort();
        }
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        _myself: ActorRef<ClockMsg>,
        _event: SupervisionEvent,
        _timers: &mut Timers,
    ) -> Result<(), ActorProcessingErr> {
        Ok(())
    }
}

impl Timers {
    fn arm(&mut self, due_at: Timestamp, errand: Errand) {
        if due_at < self.loaded_until || due_at <= self.context.clock_port.now() {
            self.push(due_at, errand);
            return;
        }
        let load_at = due_at.plus_ms(-WINDOW_MS / 10);
        self.load_at = Some(self.load_at.map_or(load_at, |at| at.min(load_at)));
    }

    fn push(&mut self, due_at: Timestamp, errand: Errand) {
        let key = (errand.owner, errand.key.clone());
        self.heap.push(Reverse((due_at, key.clone())));
        self.errands.insert(key, (due_at, errand));
    }

    /// Loads the window from now on, then asks when the timer after it is due.
    async fn load(&mut self, now: Timestamp) -> Result<(), StoreError> {
        let until = now.plus_ms(WINDOW_MS);
        let mut after = None;
        let mut until_reached = until;
        loop {
            let page = self.page(Some(until), after.clone(), PAGE).await?;
            let full = page.len() == PAGE as usize;
            after = page.last().map(place);
            page.into_iter().filter_map(timer).for_each(|(due_at, errand)| self.push(due_at, errand));
            if !full {
                break;
            }
            if self.errands.len() >= HEAP_MAX {
                until_reached = after.as_ref().map_or(until, |(due_at, ..)| *due_at);
                break;
            }
        }
        self.loaded_until = until_reached.max(self.loaded_until);
        self.load_at = if until_reached < until {
            Some(now.plus_ms(1_000))
        } else {
            let beyond = self.page(None, after.or_else(|| Some(before_all_at(until))), 1).await?;
            beyond.first().map(|owed| owed.obligation.due_at.plus_ms(-WINDOW_MS / 10).max(now.plus_ms(1_000)))
        };
        Ok(())
    }

    async fn page(
        &self,
        due_before: Option<Timestamp>,
        after: Option<(Timestamp, StreamId, String)>,
        limit: u32,
    ) -> Result<Vec<Owed>, StoreError> {
        let shards: Vec<_> = self.context.journal.heads().into_iter().map(|(shard, _)| shard).collect();
        let query = OwedQuery { classes: vec![Class::Timer], due_before, after, limit };
        self.context.log.owed(&shards, &query).await
    }

    /// Tells what is due.
    fn fire(&mut self, now: Timestamp) {
        while let Some(Reverse((due_at, _))) = self.heap.peek() {
            if *due_at > now {
                return;
            }
            let Some(Reverse((due_at, key))) = self.heap.pop() else { return };
            // A closed timer, or one that was armed twice, left its entry in the heap.
            if self.errands.get(&key).is_none_or(|(armed_for, _)| *armed_for != due_at) {
                continue;
            }
            let Some((_, errand)) = self.errands.remove(&key) else { continue };
            self.context.faults.at(crate::faults::Point::TimerDue);
            self.context.gauges.observer().timer_late(now.micros_since(due_at));
            self.context.courier.send(&self.context, errand);
        }
    }

    /// One sleeping task for the whole heap.
    fn set_alarm(&mut self, myself: &ActorRef<ClockMsg>, now: Timestamp) {
        let next = self.heap.peek().map(|Reverse((due_at, _))| *due_at);
        let Some(at) = next.into_iter().chain(self.load_at).min() else { return };
        if self.alarm.as_ref().is_some_and(|(set_for, _)| *set_for <= at && *set_for > now) {
            return;
        }
        if let Some((_, alarm)) = self.alarm.take() {
            alarm.abort();
        }
        let (clock, myself) = (Arc::clone(&self.context.clock_port), myself.clone());
        let sleeping = crate::tasks::spawn_watched(async move {
            clock.sleep_until(at).await;
            drop(myself.send_message(ClockMsg::Tick));
        });
        self.alarm = Some((at, sleeping));
    }
}

fn place(owed: &Owed) -> (Timestamp, StreamId, String) {
    (owed.obligation.due_at, owed.stream, owed.obligation.key.clone())
}

/// A place in the order of obligations in front of all that are due at `at`.
fn before_all_at(at: Timestamp) -> (Timestamp, StreamId, String) {
    let first = StreamId { kind: nightshift_domain::ids::StreamKind::ALL[0], id: uuid::Uuid::nil() };
    (at, first, String::new())
}

fn timer(owed: Owed) -> Option<(Timestamp, Errand)> {
    let Duty::Wake { to, command } = owed.obligation.duty else { return None };
    let errand =
        Errand { owner: owed.stream, key: owed.obligation.key, to, command: *command, timer: true, asks: false };
    Some((owed.obligation.due_at, errand))
}

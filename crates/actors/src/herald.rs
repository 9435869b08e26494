//! The herald: sends what runs owe to webhooks, and tells each run what came of it.
//!
//! Owns: messages on their way, their order within a run, the wait between two attempts.
//! Refuses to know: what a message says, how long it is tried (`domain` says), how it is sent.
//!
//! Invariant: a message is owed by the log until its end is in the log; whatever happens here, the next start sends it.
//! Invariant: the messages of a run go one after another. Those of one run never hold back those of another, but for the
//! connections that all share.

use std::{
    collections::{HashMap, VecDeque},
    panic::AssertUnwindSafe,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
};

use futures::FutureExt;
use nightshift_domain::{
    content::{Failure, FailureClass},
    ids::{CommandId, RunId, StreamId},
    recorded::Meta,
    run::{Command, Report, again_after_ms},
    time::Timestamp,
};
use nightshift_ports::performer::Sending;
use tokio::sync::Semaphore;

use crate::{
    context::Context,
    envelope::{Envelope, NotDone, Reply},
    observer::OpenWork,
};

/// Messages that are sent at once, over all runs.
const AT_ONCE: usize = 32;
/// One attempt is given up after so many milliseconds.
const TIMEOUT_MS: u64 = 15_000;

/// A message that is owed.
#[derive(Debug, Clone)]
pub struct Owing {
    /// Key of its obligation.
    pub key: String,
    /// What.
    pub report: Arc<Report>,
    /// When the event happened that it tells of.
    pub since: Timestamp,
}

/// The messages of a run, the first of them on its way.
struct Line {
    waiting: VecDeque<Owing>,
    /// None while the first waits for an instant: that is no work that is under way.
    open: Option<OpenWork>,
}

/// Cheap to clone.
#[derive(Clone)]
pub struct Herald {
    lines: Arc<Mutex<HashMap<StreamId, Line>>>,
    places: Arc<Semaphore>,
    stopped: Arc<AtomicBool>,
}

impl Default for Herald {
    fn default() -> Self {
        Self { lines: Arc::default(), places: Arc::new(Semaphore::new(AT_ONCE)), stopped: Arc::default() }
    }
}

impl Herald {
    fn lines(&self) -> MutexGuard<'_, HashMap<StreamId, Line>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a message over, unless it has it already.
    pub fn send(&self, context: &Arc<Context>, run: StreamId, owing: Owing) {
        let open = context.gauges.open();
        let mut lines = self.lines();
        if let Some(line) = lines.get_mut(&run) {
            if !line.waiting.iter().any(|other| other.key == owing.key) {
                // The first is on its way; a start may bring the others in any order.
                let before = line.waiting.iter().skip(1).take_while(|other| other.key < owing.key).count();
                line.waiting.insert(before + 1, owing);
            }
            return;
        }
        lines.insert(run, Line { waiting: VecDeque::from([owing]), open: Some(open) });
        drop(lines);
        crate::tasks::spawn(go_through(Arc::downgrade(context), run));
    }

    /// Nothing more is sent; what is owed is found in the log at the next start.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
    }

    fn first(&self, run: StreamId) -> Option<Owing> {
        self.lines().get(&run)?.waiting.front().cloned()
    }

    /// The first message has its end; false when it was the last.
    fn ended(&self, run: StreamId) -> bool {
        let mut lines = self.lines();
        let Some(line) = lines.get_mut(&run) else { return false };
        line.waiting.pop_front();
        let more = !line.waiting.is_empty();
        if !more {
            lines.remove(&run);
        }
        more
    }

    fn opened(&self, run: StreamId, open: Option<OpenWork>) {
        if let Some(line) = self.lines().get_mut(&run) {
            line.open = open;
        }
    }
}

/// The tree, unless it has ended.
fn living(context: &Weak<Context>) -> Option<Arc<Context>> {
    context.upgrade().filter(|context| !context.herald.stopped.load(Ordering::Acquire))
}

/// Sends the messages of a run until there are none. The tree may end meanwhile: then the next one finds them in the log.
async fn go_through(context: Weak<Context>, run: StreamId) {
    loop {
        let Some(owing) = living(&context).and_then(|context| context.herald.first(run)) else { return };
        let Some((attempts, failure)) = see_through(&context, run, &owing).await else { return };
        let Some(context) = living(&context) else { return };
        record(&context, run, &owing, attempts, failure).await;
        if !context.herald.ended(run) {
            return;
        }
    }
}

/// How often it was sent, and why it was given up, if it was.
async fn see_through(context: &Weak<Context>, run: StreamId, owing: &Owing) -> Option<(u32, Option<Failure>)> {
    for attempt in 1.. {
        let here = living(context)?;
        let Err(failure) = send_once(&here, run, owing, attempt).await else { return Some((attempt, None)) };
        let now = here.clock_port.now();
        let age_ms = now.micros_since(owing.since) / 1_000;
        let Some(wait_ms) = again_after_ms(&failure, attempt, age_ms) else {
            tracing::warn!(run = %run.id, event = owing.report.event, attempt, %failure, "a webhook is not told any more");
            return Some((attempt, Some(failure)));
        };
        tracing::info!(run = %run.id, event = owing.report.event, attempt, wait_ms, %failure, "a webhook was not reached");
        here.herald.opened(run, None);
        let clock = Arc::clone(&here.clock_port);
        drop(here);
        clock.sleep_until(now.plus_ms(i64::try_from(wait_ms).unwrap_or(i64::MAX))).await;
        let here = living(context)?;
        here.herald.opened(run, Some(here.gauges.open()));
    }
    None
}

async fn send_once(context: &Arc<Context>, run: StreamId, owing: &Owing, attempt: u32) -> Result<(), Failure> {
    let _place = context.herald.places.acquire().await;
    let run = RunId::from_uuid(run.id);
    let sending =
        Sending { run, id: owing.report.id(run), attempt, timeout_ms: TIMEOUT_MS, now: context.clock_port.now() };
    let sent = AssertUnwindSafe(context.performers.delivering.report(&owing.report, &sending)).catch_unwind().await;
    sent.unwrap_or_else(|panic| {
        let text = crate::tasks::panic_text(&*panic);
        Err(Failure::new(FailureClass::Transient, format!("the performer panicked: {text}")))
    })
}

/// Tells the run until it has heard; the same command id each time.
async fn record(context: &Arc<Context>, run: StreamId, owing: &Owing, attempts: u32, failure: Option<Failure>) {
    let Report { version, part, event, .. } = &*owing.report;
    let (version, part, event) = (*version, *part, event.clone());
    let command = Command::EndReport { version, part, event, attempts, failure };
    let id = CommandId::of_obligation(run, &owing.key, "reported");
    loop {
        let envelope = Envelope {
            command: command.clone().into(),
            id,
            meta: Meta { actor: "herald".to_owned(), ..Meta::default() },
            discharges: None,
            from_client: false,
            reply: Reply::nobody(),
        };
        match context.router().submit(run, envelope).await {
            Err(NotDone::Unanswered { why }) if !context.journal.is_fenced() => {
                tracing::warn!(run = %run.id, why, "the end of a message was not heard; telling again");
                context.clock_port.sleep_until(context.clock_port.now().plus_ms(200)).await;
            }
            Err(error) => {
                tracing::warn!(run = %run.id, %error, "the end of a message was turned down");
                return;
            }
            Ok(_) => return,
        }
    }
}

//! Workers: attempts that are being done in this process.
//!
//! Owns: which attempts run here, their time limits, and that each outcome reaches its run.
//! Refuses to know: what a failure means. That is the run's to decide.
//!
//! Invariant: an attempt holds its place until its outcome is in the log.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures::FutureExt;
use nightshift_domain::{
    content::{Digest, Failure, FailureClass},
    ids::{CommandId, RunId},
    recorded::Meta,
    run::{self, Action, Command, Created, Gates, StepOutput, StepPlan, Token},
    time::Timestamp,
    trace,
};
use nightshift_ports::performer::Call;
use tokio::sync::Notify;

use crate::{
    context::Context,
    envelope::{Envelope, Reply},
    faults::Point,
    perform,
    queue::Wanted,
};

/// An attempt to be seen through.
pub struct Attempt {
    /// The run.
    pub run: RunId,
    /// The run's first fact.
    pub created: Arc<Created>,
    /// The step.
    pub step: String,
    /// What it does.
    pub work: Undertaking,
    /// Stable over attempts.
    pub idempotency_key: String,
    /// It is given up after so many milliseconds.
    pub timeout_ms: u64,
    /// Its number, from 1.
    pub attempt: u32,
    /// Its lease.
    pub token: Token,
    /// When it began.
    pub started_at: Timestamp,
    /// What it had to pass.
    pub gates: Gates,
    /// What the steps before it made.
    pub inputs: BTreeMap<String, Arc<StepOutput>>,
}

impl Attempt {
    fn key(&self) -> (RunId, String) {
        (self.run, format!("attempt:{}:{}", self.step, self.attempt))
    }

    /// What travels with every call to the outside.
    #[must_use]
    pub fn call(&self) -> Call {
        let shard = self.run.shard();
        // The span is exported when the attempt has ended; its ids are known now.
        let span = trace::attempt_span_id(self.run, &self.step, self.attempt);
        Call {
            run: self.run,
            step: self.step.clone(),
            idempotency_key: self.idempotency_key.clone(),
            attempt: self.attempt,
            fencing_token: format!("{shard}.{}", self.token),
            timeout_ms: self.timeout_ms,
            traceparent: Some(trace::traceparent(trace::trace_id(self.created.root), span)),
            now: self.started_at,
            cache: None,
        }
    }
}

/// What an attempt does.
pub enum Undertaking {
    /// A step of a deliverable's run, or one whose templates could be filled in from the events alone.
    Ready {
        /// What it does.
        action: Box<Action>,
        /// The step as it is planned.
        plan: Box<StepPlan>,
    },
    /// A step whose input is kept outside of the events, in part.
    Needs {
        /// The run as it was when the attempt began.
        run: Box<run::Run>,
        /// The step as it is planned.
        plan: Box<StepPlan>,
        /// The values to bring.
        kept: Vec<Digest>,
    },
}

impl Undertaking {
    /// What a step of a run does; none when the run knows no such step.
    #[must_use]
    pub fn of(run: &run::Run, id: RunId, plan: &StepPlan, step: &str) -> Option<Self> {
        let kept = run::kept_needed(run, step);
        let plan = Box::new(plan.clone());
        if !kept.is_empty() {
            return Some(Self::Needs { run: Box::new(run.clone()), plan, kept });
        }
        Some(match run::action_of(run, id, step, &BTreeMap::new())? {
            Ok(action) => Self::Ready { action: Box::new(action), plan },
            // The attempt says why not.
            Err(_) => Self::Needs { run: Box::new(run.clone()), plan, kept },
        })
    }

    /// The step as it is planned.
    #[must_use]
    pub fn plan(&self) -> &StepPlan {
        match self {
            Self::Ready { plan, .. } | Self::Needs { plan, .. } => plan,
        }
    }
}

struct Doing {
    token: Token,
    gates: Gates,
    stop: Arc<Notify>,
    /// Its outcome is on the way to the log.
    finishing: bool,
}

/// The attempts that run here.
#[derive(Default)]
struct Register {
    by_key: HashMap<(RunId, String), Doing>,
    tokens: HashSet<Token>,
}

impl Register {
    fn remove(&mut self, key: &(RunId, String)) {
        if let Some(doing) = self.by_key.remove(key) {
            self.tokens.remove(&doing.token);
        }
    }
}

/// Cheap to clone.
#[derive(Clone, Default)]
pub struct Workers {
    doing: Arc<Mutex<Register>>,
}

impl Workers {
    fn doing(&self) -> MutexGuard<'_, Register> {
        self.doing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tokens of the attempts that run here, and what each had to pass.
    #[must_use]
    pub fn places(&self) -> Vec<(Token, Gates)> {
        self.doing().by_key.values().map(|doing| (doing.token, doing.gates.clone())).collect()
    }

    /// The attempts that run here: run, step, and what each had to pass.
    #[must_use]
    pub fn doing_now(&self) -> Vec<(RunId, String, Gates)> {
        let step = |key: &str| Some(key.strip_prefix("attempt:")?.rsplit_once(':')?.0.to_owned());
        let doing = self.doing();
        let each = doing.by_key.iter().filter_map(|((run, key), doing)| Some((*run, step(key)?, doing.gates.clone())));
        each.collect()
    }

    /// Whether an attempt under this token runs here.
    #[must_use]
    pub fn holds(&self, token: Token) -> bool {
        self.doing().tokens.contains(&token)
    }

    /// Begins an attempt, unless it runs here already.
    pub fn start(&self, context: &Arc<Context>, attempt: Attempt) {
        let stop = Arc::new(Notify::new());
        let gates = attempt.gates.clone();
        let doing = Doing { token: attempt.token, gates, stop: Arc::clone(&stop), finishing: false };
        let mut register = self.doing();
        if register.by_key.contains_key(&attempt.key()) {
            return;
        }
        register.tokens.insert(attempt.token);
        register.by_key.insert(attempt.key(), doing);
        drop(register);
        let lost = Lost { context: Arc::clone(context), run: attempt.run, key: attempt.key(), token: attempt.token };
        let (context, open) = (Arc::clone(context), context.gauges.open());
        let work = async move {
            see_through(&context, attempt, &stop).await;
            drop(open);
        };
        crate::tasks::spawn_guarded(work, move |why| lost.give_up(&why));
    }

    /// The run does not wait for this attempt any more.
    pub fn no_longer_owed(&self, run: RunId, key: &str) {
        if let Some(doing) = self.doing().by_key.get(&(run, key.to_owned())).filter(|doing| !doing.finishing) {
            doing.stop.notify_one();
        }
    }

    fn finishing(&self, attempt: &Attempt) {
        if let Some(doing) = self.doing().by_key.get_mut(&attempt.key()) {
            doing.finishing = true;
        }
    }

    fn ended(&self, attempt: &Attempt) {
        self.doing().remove(&attempt.key());
    }
}

/// What is done when the task of an attempt panicked outside of its performer: nobody will report its outcome.
struct Lost {
    context: Arc<Context>,
    run: RunId,
    key: (RunId, String),
    token: Token,
}

impl Lost {
    fn give_up(self, why: &str) {
        let Self { context, run, key, token } = self;
        tracing::error!(%run, why, "an attempt was lost with its task");
        context.workers.doing().remove(&key);
        context.queue.release(token);
        crate::recovery::expire_lost(&context, run, &key.1, token);
    }
}

async fn see_through(context: &Arc<Context>, attempt: Attempt, stop: &Notify) {
    let outcome = tokio::select! {
        outcome = bounded(context, &attempt) => Some(outcome),
        () = stop.notified() => None,
    };
    if let Some(result) = outcome {
        context.workers.finishing(&attempt);
        context.faults.at(Point::AfterEffect);
        let (user, priority) = (attempt.created.user.clone(), attempt.created.priority);
        let wanted = Wanted { run: attempt.run, user, priority, instead_of: Some(attempt.token) };
        let offer = context.queue.offer(wanted).await;
        let tokens_free = offer.as_ref().is_some_and(|offer| offer.tokens_free);
        let offer = offer.map(|offer| offer.lease);
        let offered = offer.as_ref().map(|lease| lease.token);
        let finish = Command::Finish {
            step: attempt.step.clone(),
            attempt: attempt.attempt,
            token: attempt.token,
            result,
            offer,
            tokens_free,
            at_once: true,
        };
        report(context, &attempt, finish).await;
        give_back_unused(context, offered);
    }
    context.workers.ended(&attempt);
    context.queue.release(attempt.token);
}

/// A place that was offered and that no attempt has taken is free again.
pub fn give_back_unused(context: &Arc<Context>, offered: Option<Token>) {
    if let Some(unused) = offered.filter(|token| !context.workers.holds(*token)) {
        context.queue.release(unused);
    }
}

/// What a performer may take beyond the time of its step, in milliseconds. It keeps that time itself and knows better what
/// came of it: which agent, what a program said when it was asked to end, for which it gets some seconds.
const SLACK_MS: u64 = 15_000;

/// Does it, and gives it up when its performer does not keep its time; a panic of a performer is a failure like another.
async fn bounded(context: &Arc<Context>, attempt: &Attempt) -> Result<StepOutput, Failure> {
    context.faults.at(Point::BeforeEffect);
    let limit_ms = attempt.timeout_ms.saturating_add(SLACK_MS);
    let deadline = context.clock_port.now().plus_ms(i64::try_from(limit_ms).unwrap_or(i64::MAX));
    let work = AssertUnwindSafe(perform::perform(context, attempt)).catch_unwind();
    tokio::select! {
        done = work => done.unwrap_or_else(|panic| {
            let text = crate::tasks::panic_text(&*panic);
            // Before or after it was done, nobody knows.
            Err(Failure::new(FailureClass::Lost, format!("the performer panicked: {text}")))
        }),
        () = context.clock_port.sleep_until(deadline) => {
            let message = format!("no result within {} ms, nor {SLACK_MS} ms later", attempt.timeout_ms);
            Err(Failure::new(FailureClass::Timeout, message))
        }
    }
}

/// Tells the run until it has heard; the same command id each time.
async fn report(context: &Arc<Context>, attempt: &Attempt, finish: Command) {
    let key = format!("{}:{}:{}", attempt.step, attempt.attempt, attempt.token);
    let id = CommandId::of_obligation(attempt.run.stream(), &key, "finish");
    loop {
        let envelope = Envelope {
            command: finish.clone().into(),
            id,
            meta: Meta { actor: "worker".to_owned(), ..Meta::default() },
            discharges: None,
            from_client: false,
            reply: Reply::nobody(),
        };
        match context.router().submit(attempt.run.stream(), envelope).await {
            Err(error) if error.is_open() && !context.journal.is_fenced() => {
                tracing::warn!(run = %attempt.run, step = %attempt.step, %error, "an outcome was not heard; telling again");
                context.clock_port.sleep_until(context.clock_port.now().plus_ms(200)).await;
            }
            Err(error) => {
                tracing::warn!(run = %attempt.run, step = %attempt.step, %error, "an outcome was turned down");
                return;
            }
            Ok(_) => return,
        }
    }
}

//! A place in the queue, the attempt that holds it, and workers that go on when they should not.
//!
//! Owns: the queue's memory, workers, messages under way, processes that end, and what must hold.
//! Refuses to know: what a result, an expiry or a cancellation means: the run's own decider says that.
//!
//! As in `crates/actors/src/queue.rs`, `workers.rs` and `recovery.rs`: places are held from the grant on, attempts are
//! done in the process that holds the shard, and what an older process had begun is expired by the next. Its workers may
//! live on and report, late and more than once; so may those of this process.

mod steps;
mod watch;

use std::{collections::BTreeSet, fmt, rc::Rc};

use nightshift_domain::{
    content::FailureClass,
    run::{CrashPolicy, RunDecider, State as RunState, Token},
    time::Timestamp,
};
pub use watch::*;

use crate::{
    explore::{Broken, Model, Seen, bytes_of},
    runs,
    stream::{Outside, Stream},
};

/// How often each thing may go wrong or be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Faults {
    /// The process ends; its workers may live on.
    pub crashes: u8,
    /// The own epoch is raised because an append was not heard of; the process goes on.
    pub renewals: u8,
    /// A worker is lost, or is believed to be, while its process goes on.
    pub lost: u8,
    /// A message comes once more.
    pub duplicates: u8,
    /// An attempt fails.
    pub failures: u8,
    /// Somebody cancels the run.
    pub cancels: u8,
    /// Somebody has a dead step done again.
    pub retries: u8,
}

impl Faults {
    /// Nothing of it.
    pub const NONE: Self =
        Self { crashes: 0, renewals: 0, lost: 0, duplicates: 0, failures: 0, cancels: 0, retries: 0 };
}

/// What is broken on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mutation {
    /// A result is taken under whichever token is open.
    AnyToken,
    /// Grants of one step have one token.
    SameToken,
    /// Results are decided upon the state before the last decision.
    StaleState,
    /// Whoever takes over does not expire what was begun before.
    ForgetExpiry,
    /// What was begun under an epoch before this one is taken for lost, though the process is the same.
    ExpireByEpoch,
    /// A grant that is turned down keeps its place.
    LeakPlace,
    /// Timers are not kept.
    LoseTimer,
    /// The plan has one attempt more than was promised.
    OneMore,
    /// A step that must never be done again is planned as one that may.
    Again,
    /// What is owed no longer is kept.
    KeepClosed,
    /// Places are given without counting.
    NoPlaces,
    /// A step that is done again counts its attempts from one.
    Forgetful,
}

/// The world.
pub struct Leases {
    outside: Outside,
    /// Steps of the run, all at once.
    pub steps: Vec<&'static str>,
    /// What a crash in the middle means.
    pub crash: CrashPolicy,
    /// Attempts by policy.
    pub attempts_max: u32,
    /// Places of the queue.
    pub places: usize,
    /// What may happen.
    pub faults: Faults,
    /// What is broken on purpose.
    pub mutation: Option<Mutation>,
}

impl Leases {
    /// A run of `steps`, each with this policy.
    #[must_use]
    pub fn of(steps: &[&'static str], crash: CrashPolicy, attempts_max: u32, places: usize, faults: Faults) -> Self {
        let (outside, mutation) = (Outside::default(), None);
        Self { outside, steps: steps.to_vec(), crash, attempts_max, places, faults, mutation }
    }

    /// The same, broken.
    #[must_use]
    pub fn broken_by(self, mutation: Mutation) -> Self {
        Self { mutation: Some(mutation), ..self }
    }

    fn is(&self, mutation: Mutation) -> bool {
        self.mutation == Some(mutation)
    }
}

/// An attempt, under its lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Work {
    /// Which step.
    pub step: usize,
    /// Which attempt.
    pub attempt: u32,
    /// Its lease.
    pub token: Token,
}

/// What came of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Came {
    /// It is done.
    Done,
    /// It failed, and may be tried again.
    Failed,
    /// It was turned away for rate, which costs no attempt.
    Turned,
}

impl Came {
    const fn class(self) -> Option<FailureClass> {
        match self {
            Self::Done => None,
            Self::Failed => Some(FailureClass::Transient),
            Self::Turned => Some(FailureClass::RateLimited),
        }
    }
}

/// On its way to the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Message {
    /// A place.
    Grant(Work),
    /// A result.
    Finish(Work, Came),
    /// A lease is over.
    Expire(Work),
}

/// A process's memory; none of it outlives it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Memory {
    /// Jobs that wait for a place.
    pub waiting: BTreeSet<(usize, u32)>,
    /// Tokens that hold a place.
    pub taken: BTreeSet<Token>,
    /// Attempts that are done here.
    pub working: BTreeSet<Work>,
    /// Messages within the process.
    pub mail: BTreeSet<Message>,
}

/// All of it.
#[derive(Clone)]
pub struct State {
    /// The run.
    pub run: Rc<Stream<RunDecider>>,
    /// As it was before the last decision, for a mutation.
    before: RunState,
    /// The instant.
    pub now: Timestamp,
    /// The shard's epoch.
    pub epoch: i64,
    /// The epoch under which the process took it over.
    pub acquired: i64,
    /// Nonces so far.
    pub nonces: u64,
    /// The process that runs; none: it ended and the next one has not begun.
    pub up: Option<Memory>,
    /// Attempts whose process or task is gone, or believed to be, and that go on all the same.
    pub zombies: BTreeSet<Work>,
    /// What they report.
    pub late: BTreeSet<Message>,
    /// What may still happen.
    pub left: Faults,
    /// What was seen so far.
    pub watch: Watch,
}

/// What can happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// The queue gives a place.
    Give(usize, u32),
    /// A worker of this process has a result.
    Report(Work, Came),
    /// A message reaches the run.
    Deliver(Message),
    /// A message reaches the run and comes again.
    DeliverTwice(Message),
    /// A worker that was given up reports.
    ReportLate(Work, Came),
    /// What such a worker reports reaches the run.
    DeliverLate(Message),
    /// A timer that is due is told.
    Wake(String),
    /// A timer that is due is told, and will be told again.
    WakeTwice(String),
    /// Time goes on to the next timer.
    Wait,
    /// The task of an attempt is lost, or believed to be.
    Lose(Work),
    /// The epoch is raised by its owner.
    Renew,
    /// The process ends.
    Crash,
    /// The next one takes over.
    Restart,
    /// Somebody cancels.
    Cancel,
    /// Somebody has a step done again.
    Retry(usize),
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = |work: &Work| format!("attempt {} of step {} under {}", work.attempt, work.step, work.token);
        let message = |message: &Message| match message {
            Message::Grant(work) => format!("a place for {}", what(work)),
            Message::Finish(work, came) => format!("the result of {}: {came:?}", what(work)),
            Message::Expire(work) => format!("that {} is lost", what(work)),
        };
        match self {
            Self::Give(step, attempt) => write!(f, "the queue gives a place to attempt {attempt} of step {step}"),
            Self::Report(work, came) => write!(f, "{} ends: {came:?}", what(work)),
            Self::Deliver(about) => write!(f, "the run hears {}", message(about)),
            Self::DeliverTwice(about) => write!(f, "the run hears {}, and will again", message(about)),
            Self::ReportLate(work, came) => write!(f, "a zombie ends {}: {came:?}", what(work)),
            Self::DeliverLate(about) => write!(f, "the run hears late {}", message(about)),
            Self::Wake(key) => write!(f, "{key} is told"),
            Self::WakeTwice(key) => write!(f, "{key} is told, and will be again"),
            Self::Wait => write!(f, "time goes on"),
            Self::Lose(work) => write!(f, "the task of {} is lost", what(work)),
            Self::Renew => write!(f, "the epoch is raised by its owner"),
            Self::Crash => write!(f, "the process ends"),
            Self::Restart => write!(f, "the next process takes over"),
            Self::Cancel => write!(f, "the run is cancelled"),
            Self::Retry(step) => write!(f, "somebody has step {step} done again"),
        }
    }
}

impl Model for Leases {
    type State = State;
    type Step = Step;

    fn start(&self) -> State {
        let attempts_max = self.attempts_max + u32::from(self.is(Mutation::OneMore));
        let crash = if self.is(Mutation::Again) { CrashPolicy::Retry } else { self.crash };
        let steps: Vec<_> = self.steps.iter().map(|id| runs::work(id, attempts_max, crash)).collect();
        let many = u16::try_from(steps.len()).unwrap_or(u16::MAX);
        let mut state = State {
            run: Stream::unborn(runs::id().stream()),
            before: RunState::default(),
            now: Timestamp(0),
            epoch: 1,
            acquired: 1,
            nonces: 0,
            up: Some(Memory::default()),
            zombies: BTreeSet::new(),
            late: BTreeSet::new(),
            left: self.faults,
            watch: Watch::default(),
        };
        let create = nightshift_domain::run::Command::Create(runs::created(steps, many));
        self.tell(&mut state, &create, None, &mut Seen::default());
        state
    }

    fn steps(&self, state: &State) -> Vec<Step> {
        self.possible(state)
    }

    fn take(&self, state: &State, step: &Step, seen: &mut Seen) -> State {
        let mut after = state.clone();
        self.happen(&mut after, step, seen);
        after
    }

    fn key(&self, state: &State) -> Vec<u8> {
        let State { run, now, epoch, acquired, nonces, up, zombies, late, left, watch, .. } = state;
        bytes_of(&(run.digest(), now, (epoch, acquired, nonces), up, (zombies, late), left, watch))
    }

    fn broken(&self, state: &State) -> Vec<Broken> {
        self.judge(state)
    }

    fn is_fault(&self, step: &Step) -> bool {
        match step {
            Step::Give(..) | Step::Deliver(_) | Step::Wake(_) | Step::Wait | Step::Restart => false,
            // A worker has a result at last; nobody can count on one that is good.
            Step::Report(_, came) => *came == Came::Turned,
            _ => true,
        }
    }

    fn at_rest(&self, state: &State) -> bool {
        let idle = state.up.as_ref().is_some_and(|up| *up == Memory::default());
        matches!(state.run.state, RunState::Over(..)) && state.run.owed.is_empty() && idle
    }
}

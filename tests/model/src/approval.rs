//! A question to people about what a step has made: two who answer, a deadline, results that change under their eyes.
//!
//! Owns: what people have seen and what they send, timers, and what must hold. Refuses to know: which answers count: the
//! run's own decider says that.
//!
//! A person looks, and answers what was seen, perhaps much later: to the question that was looked at, or to the one that is
//! asked by then, as a page does that was not loaded again.

mod steps;
mod watch;

use std::{collections::BTreeSet, fmt, rc::Rc};

use nightshift_domain::{
    run::{
        ApprovalAction, ApprovalId, ApprovalOption, Checkpoint, CrashPolicy, Flow, OnTimeout, RunDecider,
        State as RunState, StepStatus,
    },
    time::Timestamp,
};
pub use watch::*;

use crate::{
    explore::{Broken, Model, Seen, bytes_of},
    runs,
    stream::{Outside, Stream},
};

/// The step that is asked about.
pub const MAKE: &str = "make";
/// The step behind it.
pub const USE: &str = "use";

/// When nobody is waited for any longer, in milliseconds.
const TIMEOUT_MS: u64 = 60_000;

/// How often each thing may happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Faults {
    /// Answers of each person.
    pub answers: [u8; 2],
    /// The process ends.
    pub crashes: u8,
    /// A timer is told once more.
    pub duplicates: u8,
    /// Somebody gives an output in the place of the step's.
    pub replacements: u8,
    /// Somebody has the run that is over done again.
    pub reruns: u8,
    /// Somebody cancels the run.
    pub cancels: u8,
}

impl Faults {
    /// Nothing but one answer of each.
    pub const NONE: Self = Self { answers: [1, 1], crashes: 0, duplicates: 0, replacements: 0, reruns: 0, cancels: 0 };
}

/// What is broken on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mutation {
    /// Answers come without saying what was looked at.
    NoDigest,
    /// Answers are decided upon the state before the last decision.
    StaleState,
    /// Deadlines are told before they have come.
    Early,
    /// Timers are not kept.
    LoseTimer,
    /// What is owed no longer is kept.
    KeepClosed,
    /// What is passed on is not what was asked about.
    OtherValue,
    /// Something goes on past the question without a person.
    PassOver,
    /// Whoever is too late is told that the answer counts.
    Polite,
}

/// The world.
pub struct Approvals {
    outside: Outside,
    /// What happens at the deadline.
    pub on_timeout: OnTimeout,
    /// What may happen.
    pub faults: Faults,
    /// What is broken on purpose.
    pub mutation: Option<Mutation>,
}

impl Approvals {
    /// A question with a deadline.
    #[must_use]
    pub fn of(on_timeout: OnTimeout, faults: Faults) -> Self {
        Self { outside: Outside::default(), on_timeout, faults, mutation: None }
    }

    /// The same, broken.
    #[must_use]
    pub fn broken_by(self, mutation: Mutation) -> Self {
        Self { mutation: Some(mutation), ..self }
    }

    fn is(&self, mutation: Mutation) -> bool {
        self.mutation == Some(mutation)
    }

    fn checkpoint(&self) -> Checkpoint {
        let option = |action: ApprovalAction| ApprovalOption {
            action,
            label: action.as_str().to_owned(),
            allows_modification: false,
            description: None,
        };
        Checkpoint {
            question: "good?".to_owned(),
            options: ApprovalAction::ALL.into_iter().map(option).collect(),
            advisory: false,
            assignee: None,
            group: None,
            severity: None,
            timeout_ms: Some(TIMEOUT_MS),
            on_timeout: self.on_timeout.clone(),
        }
    }
}

/// What a person has seen: a question, and the digest of what it was about.
pub type View = (ApprovalId, String);

/// All of it.
#[derive(Clone)]
pub struct State {
    /// The run.
    pub run: Rc<Stream<RunDecider>>,
    before: RunState,
    /// The instant.
    pub now: Timestamp,
    /// Leases so far.
    pub nonces: u64,
    /// What each of two people has seen.
    pub views: [Option<View>; 2],
    /// Answers that each may still send.
    pub answers: [u8; 2],
    /// Timers that went off, by key.
    pub errands: BTreeSet<String>,
    /// What may still happen.
    pub left: Faults,
    /// What was seen so far.
    pub watch: Watch,
}

/// What can happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A worker makes this value.
    Work(u8),
    /// A person looks at the question.
    Look(usize),
    /// A person answers what was looked at.
    Answer(usize, ApprovalAction),
    /// A person answers the question that is asked now, having looked at another.
    AnswerUnread(usize, ApprovalAction),
    /// Time goes on to the deadline.
    Wait,
    /// The deadline goes off.
    GoOff(String),
    /// The run hears of it.
    Due(String),
    /// The run hears of it, and will again.
    DueTwice(String),
    /// Somebody gives an output in the place of the step's.
    Replace,
    /// Something does that is nobody: a mutation.
    PassOver,
    /// The run is done again.
    Rerun,
    /// The run is cancelled.
    Cancel,
    /// The process ends; the next one begins at once.
    Crash,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let who = |p: &usize| if *p == 0 { "Ada" } else { "Bob" };
        match self {
            Self::Work(value) => write!(f, "the step makes {value}"),
            Self::Look(p) => write!(f, "{} looks", who(p)),
            Self::Answer(p, action) => write!(f, "{} answers {:?}", who(p), action.as_str()),
            Self::AnswerUnread(p, action) => {
                write!(f, "{} answers {:?} to a question that came since", who(p), action.as_str())
            }
            Self::Wait => write!(f, "the deadline comes"),
            Self::GoOff(key) => write!(f, "{key} goes off"),
            Self::Due(key) => write!(f, "the run hears of {key}"),
            Self::DueTwice(key) => write!(f, "the run hears of {key}, and will again"),
            Self::Replace => write!(f, "somebody gives another output"),
            Self::PassOver => write!(f, "the run goes on by itself"),
            Self::Rerun => write!(f, "the run is done again"),
            Self::Cancel => write!(f, "the run is cancelled"),
            Self::Crash => write!(f, "the process ends, and the next one begins"),
        }
    }
}

impl Model for Approvals {
    type State = State;
    type Step = Step;

    fn start(&self) -> State {
        let flow = Flow { checkpoint: Some(Box::new(self.checkpoint())), ..Flow::default() };
        let make = runs::work(MAKE, 1, CrashPolicy::Retry);
        let steps = vec![nightshift_domain::run::StepPlan { flow, ..make }, runs::set(USE, MAKE)];
        let mut state = State {
            run: Stream::unborn(runs::id().stream()),
            before: RunState::default(),
            now: Timestamp(0),
            nonces: 0,
            views: [None, None],
            answers: self.faults.answers,
            errands: BTreeSet::new(),
            left: self.faults,
            watch: Watch::default(),
        };
        let create = nightshift_domain::run::Command::Create(runs::created(steps, 1));
        drop(self.tell(&mut state, &create, None, &mut Seen::default()));
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

    /// Ada and Bob are told apart: an answer has a name.
    fn key(&self, state: &State) -> Vec<u8> {
        let State { run, now, nonces, views, answers, errands, left, watch, .. } = state;
        bytes_of(&(run.digest(), now, nonces, views, answers, errands, left, watch))
    }

    fn broken(&self, state: &State) -> Vec<Broken> {
        self.judge(state)
    }

    fn is_fault(&self, step: &Step) -> bool {
        match step {
            Step::Work(_) | Step::Wait | Step::GoOff(_) | Step::Due(_) => false,
            // After an escalation only people can end it.
            Step::Look(_) | Step::Answer(..) => !matches!(self.on_timeout, OnTimeout::Escalate { .. }),
            _ => true,
        }
    }

    fn at_rest(&self, state: &State) -> bool {
        let over = matches!(state.run.state, RunState::Over(..));
        // People have said all they wanted to: whether the run goes on is not in question any more.
        let silent = matches!(self.on_timeout, OnTimeout::Escalate { .. })
            && state.answers == [0, 0]
            && self.question(state).is_some_and(|approval| approval.deadline.is_none());
        (over || silent) && state.errands.is_empty() && state.run.owed.is_empty()
    }
}

impl Approvals {
    /// The question that is asked now.
    fn question<'a>(&self, state: &'a State) -> Option<&'a nightshift_domain::run::Approval> {
        let (_, step) = state.run.state.run()?.step(MAKE)?;
        match &step.status {
            StepStatus::Asking { approval, .. } => Some(approval),
            _ => None,
        }
    }
}

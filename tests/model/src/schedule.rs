//! A schedule and its clock: due instants, downtime, pauses, clocks that are set back, tellings that come twice.
//!
//! Owns: the clock of the machine, timers in memory, errands to the target, and what must hold.
//! Refuses to know: what becomes of a due instant: the schedule's own decider says that, with the calendar of the product.
//!
//! The target is on another shard, so telling it and knowing that it was told are two appends (`crates/actors/src/courier.rs`).

mod rules;

use std::{collections::BTreeSet, fmt, rc::Rc};

use nightshift_domain::{
    calendar::{CatchUp, Overlap, Rule, Schedule},
    decider::Duty,
    ids::{DefinitionId, ScheduleId, ShardId, StreamId, derive},
    schedule::{Cause, Command, ScheduleDecider, State as ScheduleState},
    streams::AnyCommand,
    time::Timestamp,
};
pub use rules::*;

use crate::{
    explore::{Broken, Model, Seen, bytes_of},
    stream::{Outside, Stream},
};

/// Seconds between two due instants.
pub const PERIOD_S: i64 = 180;

/// How far the clock goes in one step, in seconds: an instant is late after one step, and missed
/// after two.
pub const STEP_S: i64 = 60;

/// How often each thing may happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Faults {
    /// The process ends, and is down until it is started.
    pub crashes: u8,
    /// The clock is set back by two steps.
    pub set_back: u8,
    /// Somebody pauses it.
    pub pauses: u8,
    /// Somebody gives it the same rule anew.
    pub retimes: u8,
    /// Somebody wants a slot now.
    pub by_hand: u8,
    /// A timer is told once more.
    pub duplicates: u8,
}

impl Faults {
    /// Nothing of it.
    pub const NONE: Self = Self { crashes: 0, set_back: 0, pauses: 0, retimes: 0, by_hand: 0, duplicates: 0 };
}

/// What is broken on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mutation {
    /// After a start the latest due instant is told, whatever was told before.
    FireOnReload,
    /// After a start the schedule counts from now, and what was missed is forgotten.
    CountFromNow,
    /// Each telling has an id of its own.
    FreshIds,
    /// Timers are told before they are due.
    Early,
    /// Timers are not kept.
    LoseTimer,
    /// What is to be told is forgotten when the process ends.
    LoseTelling,
    /// A schedule that goes on does not know what it has told.
    ForgetLast,
    /// A schedule that was to make up for everything makes up for nothing, or the other way round.
    OtherPolicy,
    /// A timer that was replaced stays open.
    KeepTimer,
}

/// The world.
pub struct Schedules {
    outside: Outside,
    /// What to do with missed instants.
    pub catch_up: CatchUp,
    /// Beyond which age none is made up for, in seconds.
    pub window_s: Option<u64>,
    /// The clock goes no further, in seconds.
    pub until_s: i64,
    /// What may happen.
    pub faults: Faults,
    /// What is broken on purpose.
    pub mutation: Option<Mutation>,
}

impl Schedules {
    /// A schedule with a policy.
    #[must_use]
    pub fn of(catch_up: CatchUp, window_s: Option<u64>, until_s: i64, faults: Faults) -> Self {
        Self { outside: Outside::default(), catch_up, window_s, until_s, faults, mutation: None }
    }

    /// The same, broken.
    #[must_use]
    pub fn broken_by(self, mutation: Mutation) -> Self {
        Self { mutation: Some(mutation), ..self }
    }

    fn is(&self, mutation: Mutation) -> bool {
        self.mutation == Some(mutation)
    }

    /// The rule as the schedule has it.
    pub(crate) fn rule(&self) -> Schedule {
        let catch_up = match self.catch_up {
            CatchUp::Skip if self.is(Mutation::OtherPolicy) => CatchUp::All { max: 9 },
            _ if self.is(Mutation::OtherPolicy) => CatchUp::Skip,
            as_asked => as_asked,
        };
        Schedule {
            rule: Rule::Interval { every_s: PERIOD_S.unsigned_abs(), anchor: Timestamp(0) },
            timezone: "UTC".to_owned(),
            catch_up,
            catch_up_window_s: self.window_s,
            overlap: Overlap::Allow,
            jitter_s: 0,
        }
    }
}

/// An instant in seconds of the model.
pub(crate) const fn at(secs: i64) -> Timestamp {
    Timestamp::from_secs(secs)
}

/// A slot as the target hears of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot {
    /// Under which id: the key of the obligation, and which telling it is where each has one of its own.
    pub id: (String, u8),
    /// The instant.
    pub nominal: i64,
    /// Its timer says so, and nobody by hand.
    pub timer: bool,
}

/// All of it.
#[derive(Clone)]
pub struct State {
    /// The schedule.
    pub schedule: Rc<Stream<ScheduleDecider>>,
    /// What the clock says, in seconds.
    pub now: i64,
    /// The most it ever said.
    pub latest: i64,
    /// The process runs.
    pub up: bool,
    /// Timers that went off and are on their way to the schedule, by key and instant.
    pub errands: BTreeSet<(String, i64)>,
    /// What the target has taken.
    pub heard: Vec<Slot>,
    /// Tellings so far, for a mutation.
    pub tellings: u8,
    /// What may still happen.
    pub left: Faults,
    /// What was seen.
    pub watch: Watch,
}

/// What can happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// The clock goes on.
    Tick,
    /// The clock is set back.
    SetBack,
    /// A timer goes off in memory.
    GoOff(String, i64),
    /// The schedule hears of it.
    Fire(String, i64),
    /// The schedule hears of it, and will again.
    FireTwice(String, i64),
    /// The target takes a slot.
    Tell(String),
    /// The schedule knows that the target has it.
    Discharge(String),
    /// Somebody pauses it.
    Pause,
    /// Somebody lets it go on.
    Resume,
    /// Somebody gives it the same rule anew.
    Retime,
    /// Somebody wants a slot now.
    ByHand,
    /// The process ends.
    Crash,
    /// It is started again.
    Start,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tick => write!(f, "{STEP_S} s go by"),
            Self::SetBack => write!(f, "the clock is set back by {} s", 2 * STEP_S),
            Self::GoOff(key, _) => write!(f, "{key} goes off"),
            Self::Fire(_, due) => write!(f, "the schedule hears that {due} s has come"),
            Self::FireTwice(_, due) => write!(f, "the schedule hears that {due} s has come, and will again"),
            Self::Tell(key) => write!(f, "the target takes {key}"),
            Self::Discharge(key) => write!(f, "the schedule knows that the target has {key}"),
            Self::Pause => write!(f, "it is paused"),
            Self::Resume => write!(f, "it goes on"),
            Self::Retime => write!(f, "it is given the same rule anew"),
            Self::ByHand => write!(f, "somebody wants a slot now"),
            Self::Crash => write!(f, "the process ends"),
            Self::Start => write!(f, "the process is started"),
        }
    }
}

fn id() -> StreamId {
    ScheduleId::on_shard(derive("model schedule", &[]), ShardId(0)).stream()
}

fn target() -> StreamId {
    DefinitionId::on_shard(derive("model target", &[]), ShardId(1)).stream()
}

impl Model for Schedules {
    type State = State;
    type Step = Step;

    fn start(&self) -> State {
        let mut state = State {
            schedule: Stream::unborn(id()),
            now: STEP_S,
            latest: STEP_S,
            up: true,
            errands: BTreeSet::new(),
            heard: Vec::new(),
            tellings: 0,
            left: self.faults,
            watch: Watch::default(),
        };
        let create = Command::Create { schedule: self.rule(), target: target(), paused: false };
        self.tell(&mut state, &create, None, &mut Seen::default());
        state
    }

    fn steps(&self, state: &State) -> Vec<Step> {
        let left = &state.left;
        let mut steps = Vec::new();
        steps.extend((state.now + STEP_S <= self.until_s).then_some(Step::Tick));
        steps.extend((left.set_back > 0 && state.now >= 3 * STEP_S).then_some(Step::SetBack));
        if !state.up {
            steps.push(Step::Start);
            return steps;
        }
        for timer in state.schedule.owes("timer:") {
            let due = timer.due_at.micros() / 1_000_000;
            let errand = (timer.key.clone(), due);
            let come = due <= state.now || self.is(Mutation::Early) && due <= state.now + STEP_S;
            if come && !state.errands.contains(&errand) {
                steps.push(Step::GoOff(errand.0, errand.1));
            }
        }
        for (key, due) in &state.errands {
            steps.push(Step::Fire(key.clone(), *due));
            steps.extend((left.duplicates > 0).then(|| Step::FireTwice(key.clone(), *due)));
        }
        for owed in state.schedule.owes("slot:") {
            let taken = state.heard.iter().any(|slot| slot.id.0 == owed.key);
            if !taken || self.is(Mutation::FreshIds) {
                steps.push(Step::Tell(owed.key.clone()));
            }
            steps.extend(taken.then(|| Step::Discharge(owed.key.clone())));
        }
        let paused = matches!(state.schedule.state, ScheduleState::Live { paused: true, .. });
        steps.extend(paused.then_some(Step::Resume));
        steps.extend((!paused && left.pauses > 0).then_some(Step::Pause));
        steps.extend((left.retimes > 0).then_some(Step::Retime));
        steps.extend((left.by_hand > 0).then_some(Step::ByHand));
        steps.extend((left.crashes > 0).then_some(Step::Crash));
        steps
    }

    fn take(&self, state: &State, step: &Step, seen: &mut Seen) -> State {
        let mut after = state.clone();
        self.happen(&mut after, step, seen);
        after
    }

    fn key(&self, state: &State) -> Vec<u8> {
        let State { schedule, now, latest, up, errands, heard, tellings, left, watch } = state;
        let mut heard = heard.clone();
        heard.sort();
        bytes_of(&(schedule.digest(), (now, latest, up), errands, heard, tellings, left, watch))
    }

    fn broken(&self, state: &State) -> Vec<Broken> {
        self.judge(state)
    }

    fn is_fault(&self, step: &Step) -> bool {
        matches!(step, Step::SetBack | Step::FireTwice(..) | Step::Pause | Step::Retime | Step::ByHand | Step::Crash)
    }

    fn at_rest(&self, state: &State) -> bool {
        let due = |owed: &&nightshift_domain::decider::Obligation| owed.due_at <= at(state.now);
        let told = state.schedule.owes("slot:").next().is_none();
        state.up && state.now + STEP_S > self.until_s && told && !state.schedule.owes("timer:").any(|owed| due(&owed))
    }
}

impl Schedules {
    fn happen(&self, state: &mut State, step: &Step, seen: &mut Seen) {
        match step {
            Step::Tick => {
                state.now += STEP_S;
                state.latest = state.latest.max(state.now);
                if !state.up {
                    seen.note("time goes by while it is down");
                }
            }
            Step::SetBack => {
                state.left.set_back -= 1;
                state.now -= 2 * STEP_S;
                seen.note("clock set back");
            }
            Step::GoOff(key, due) => {
                state.errands.insert((key.clone(), *due));
            }
            Step::Fire(key, due) => {
                state.errands.remove(&(key.clone(), *due));
                self.fire(state, key, *due, seen);
            }
            Step::FireTwice(key, due) => {
                state.left.duplicates -= 1;
                seen.note("timer told twice");
                self.fire(state, key, *due, seen);
            }
            Step::Tell(key) => self.reach(state, key, seen),
            Step::Discharge(key) => state.schedule.discharge(key),
            Step::Pause => {
                state.left.pauses -= 1;
                seen.note("paused");
                state.watch.pauses(state.now);
                self.tell(state, &Command::Pause { note: "enough".to_owned() }, None, seen);
            }
            Step::Resume => {
                seen.note("resumed");
                state.watch.resumes(state.now);
                self.tell(state, &Command::Resume {}, None, seen);
            }
            Step::Retime => {
                state.left.retimes -= 1;
                seen.note("same rule anew");
                self.tell(state, &Command::Retime { schedule: self.rule() }, None, seen);
            }
            Step::ByHand => {
                state.left.by_hand -= 1;
                seen.note("slot by hand");
                self.tell(state, &Command::TriggerNow {}, None, seen);
            }
            Step::Crash => {
                state.left.crashes -= 1;
                seen.note(if state.errands.is_empty() { "crash" } else { "crash: timer went off, nobody heard" });
                if state.schedule.owes("slot:").any(|owed| state.heard.iter().any(|slot| slot.id.0 == owed.key)) {
                    seen.note("crash: target told, schedule does not know");
                }
                (state.up, state.errands) = (false, BTreeSet::new());
                if self.is(Mutation::LoseTelling) {
                    let keys: Vec<String> = state.schedule.owes("slot:").map(|owed| owed.key.clone()).collect();
                    keys.iter().for_each(|key| state.schedule.discharge(key));
                }
            }
            Step::Start => self.restart(state, seen),
        }
    }

    fn fire(&self, state: &mut State, key: &str, due: i64, seen: &mut Seen) {
        self.tell(state, &Command::Fire { nominal: at(due) }, Some(key), seen);
    }

    fn restart(&self, state: &mut State, seen: &mut Seen) {
        state.up = true;
        let due = state.now / PERIOD_S * PERIOD_S;
        if self.is(Mutation::FireOnReload) && due > 0 {
            // A schedule that knows nothing is asked about the instant that came last.
            let mut unknowing = state.schedule.state.clone();
            if let ScheduleState::Live { last, next_due, .. } = &mut unknowing {
                (*last, *next_due) = (None, Some(at(due)));
            }
            let fire = Command::Fire { nominal: at(due) };
            let told = state.schedule.tell_upon(&unknowing, &fire, at(state.now), None, &self.outside);
            state.watch.sees(told.events(), (state.now, state.latest), seen);
        }
        if self.is(Mutation::CountFromNow) {
            let mut paused = state.schedule.state.clone();
            if let ScheduleState::Live { paused, .. } = &mut paused {
                *paused = true;
            }
            let timers: Vec<String> = state.schedule.owes("timer:").map(|owed| owed.key.clone()).collect();
            timers.iter().for_each(|key| state.schedule.discharge(key));
            state.schedule.tell_upon(&paused, &Command::Resume {}, at(state.now), None, &self.outside);
        }
    }

    /// The target takes what it is told, once for each id.
    fn reach(&self, state: &mut State, key: &str, seen: &mut Seen) {
        let Duty::Tell { command, .. } = state.schedule.owed[key].duty.clone() else { unreachable!("it is told") };
        let AnyCommand::Definition(command) = *command else { unreachable!("the target is a definition") };
        let nightshift_domain::definition::Command::SlotDue { nominal, cause, .. } = command else {
            unreachable!("it is told of slots")
        };
        let nth = if self.is(Mutation::FreshIds) { state.tellings } else { 0 };
        state.tellings += u8::from(self.is(Mutation::FreshIds));
        let (id, nominal, timer) = ((key.to_owned(), nth), nominal.micros() / 1_000_000, cause == Cause::Timer);
        seen.note("target told");
        state.heard.push(Slot { id, nominal, timer });
    }

    fn tell(&self, state: &mut State, command: &Command, discharges: Option<&str>, seen: &mut Seen) {
        let mut upon = state.schedule.state.clone();
        if let (true, ScheduleState::Live { last, .. }) = (self.is(Mutation::ForgetLast), &mut upon) {
            *last = None;
        }
        let before = state.schedule.owed.clone();
        let told = state.schedule.tell_upon(&upon, command, at(state.now), discharges, &self.outside);
        if told.result.is_err() {
            seen.note("turned down");
        }
        if self.is(Mutation::LoseTimer) {
            let opened = told.opened.iter().filter(|owed| owed.key.starts_with("timer:") && !state.heard.is_empty());
            let keys: Vec<String> = opened.map(|owed| owed.key.clone()).collect();
            keys.iter().for_each(|key| state.schedule.discharge(key));
        }
        if self.is(Mutation::KeepTimer) {
            let kept = told.closed.iter().filter(|key| Some(key.as_str()) != discharges);
            let kept = kept.filter_map(|key| before.get(key).cloned()).collect();
            state.schedule.keep(kept);
        }
        state.watch.sees(told.events(), (state.now, state.latest), seen);
    }
}

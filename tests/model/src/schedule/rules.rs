//! What must hold of schedules: told from the events that were written and from what the target heard.
//!
//! Owns: the properties, with policies computed here once more from the grid of instants. Refuses to know: the decider.

use std::collections::BTreeMap;

use nightshift_domain::{
    calendar::CatchUp,
    schedule::{Event, SkipReason, State as ScheduleState},
};

use super::{PERIOD_S, STEP_S, Schedules, State};
use crate::explore::{Broken, Seen};

/// Once.
pub const ONCE: &str = "no due instant is told or passed over twice";
/// Each.
pub const EACH: &str = "each due instant that came while it was not paused is told or passed over";
/// Not before.
pub const NOT_BEFORE: &str = "nothing is told before a clock has said that it is due";
/// Policies.
pub const POLICY: &str = "what was missed is made up for as the policy says, and what is late is told";
/// The other side.
pub const HEARD: &str = "the target hears of each slot once, and of nothing else";
/// The next one.
pub const TIMER: &str = "one timer is open while it goes, and none while it is paused";

/// An instant that is found later than this, in seconds, was missed.
const MISSED_AFTER_S: i64 = 60;

/// What was seen so far. Instants are seconds.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Watch {
    /// How often each due instant was told, and passed over.
    covered: BTreeMap<i64, (u8, u8)>,
    /// Slots that the target is to hear of.
    slots: Vec<i64>,
    /// Pauses: from, and up to when they ended.
    pauses: Vec<(i64, Option<i64>)>,
    broken: Option<(&'static str, String)>,
    /// The last decision: told instants with their ages, spans that were passed over with the age of their last.
    last: Vec<Piece>,
}

/// A piece of a decision: an instant or the last of several, how old it was, and why it was passed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Piece {
    nominal: i64,
    age: i64,
    skipped: Option<u8>,
}

const fn secs(at: nightshift_domain::time::Timestamp) -> i64 {
    at.micros() / 1_000_000
}

impl Watch {
    pub(super) fn pauses(&mut self, now: i64) {
        self.pauses.push((now, None));
    }

    pub(super) fn resumes(&mut self, now: i64) {
        if let Some((_, upto @ None)) = self.pauses.last_mut() {
            *upto = Some(now);
        }
    }

    fn is_paused(&self) -> bool {
        self.pauses.last().is_some_and(|(_, upto)| upto.is_none())
    }

    /// The events of one decision.
    pub(super) fn sees(&mut self, events: &[Event], (now, latest): (i64, i64), seen: &mut Seen) {
        self.last.clear();
        for event in events {
            match event {
                Event::Fired { nominal, .. } => {
                    let nominal = secs(*nominal);
                    self.covered.entry(nominal).or_default().0 += 1;
                    self.slots.push(nominal);
                    self.last.push(Piece { nominal, age: now - nominal, skipped: None });
                    if nominal > latest {
                        self.broken = Some((NOT_BEFORE, format!("{nominal} s at {now} s, at the latest {latest} s")));
                    }
                    seen.note(match now - nominal {
                        age if age < 0 => "told by a clock that was set back",
                        age if age > MISSED_AFTER_S => "missed and made up for",
                        0 => "told on time",
                        _ => "told late",
                    });
                }
                Event::Skipped { from, upto, reason, .. } => {
                    let (from, upto) = (secs(*from), secs(*upto));
                    let mut nominal = from;
                    while nominal <= upto {
                        self.covered.entry(nominal).or_default().1 += 1;
                        self.last.push(Piece { nominal, age: now - nominal, skipped: Some(*reason as u8) });
                        nominal += PERIOD_S;
                    }
                    seen.note(match reason {
                        SkipReason::CatchUpSkip => "passed over: skip",
                        SkipReason::CatchUpLatest => "passed over: latest",
                        SkipReason::CatchUpMax => "passed over: max",
                        SkipReason::CatchUpWindow => "passed over: window",
                        SkipReason::Paused => "passed over: paused",
                    });
                }
                Event::Triggered { nominal, .. } => self.slots.push(nominal.micros()),
                _ => {}
            }
        }
    }
}

impl Schedules {
    pub(super) fn judge(&self, state: &State) -> Vec<Broken> {
        let watch = &state.watch;
        let mut broken: Vec<Broken> = Vec::new();
        broken.extend(watch.broken.iter().map(|(property, what)| Broken::new(property, what.clone())));
        if let Some((at, times)) = watch.covered.iter().find(|(_, (told, passed))| told + passed > 1) {
            broken.push(Broken::new(ONCE, format!("{at} s: told and passed over {times:?} times")));
        }
        broken.extend(self.gap(state));
        broken.extend(self.against_policy(&watch.last).map(|what| Broken::new(POLICY, what)));
        broken.extend(self.misheard(state));
        let ScheduleState::Live { paused, .. } = &state.schedule.state else { return broken };
        let timers = state.schedule.owes("timer:").count();
        if timers != usize::from(!watch.is_paused()) || *paused != watch.is_paused() {
            broken.push(Broken::new(TIMER, format!("{timers} open, paused: {paused}")));
        }
        broken
    }

    /// An instant before the open timer, or before the pause, of which nothing was told.
    fn gap(&self, state: &State) -> Option<Broken> {
        let watch = &state.watch;
        let open = state.schedule.owes("timer:").map(|timer| secs(timer.due_at)).min();
        let upto = match (open, watch.pauses.last()) {
            (Some(open), _) => open - 1,
            (None, Some((from, None))) => *from,
            (None, _) => return None,
        };
        let excused =
            |at: i64| watch.pauses.iter().any(|(from, upto)| *from < at && upto.is_some_and(|upto| at <= upto));
        let instants = (1..).map(|nth| nth * PERIOD_S).skip_while(|at| *at <= STEP_S).take_while(|at| *at <= upto);
        let gap = instants.into_iter().find(|at| !watch.covered.contains_key(at) && !excused(*at))?;
        Some(Broken::new(EACH, format!("nothing is said of {gap} s, the open timer is {open:?}")))
    }

    /// What is wrong with one decision, if anything.
    fn against_policy(&self, pieces: &[Piece]) -> Option<String> {
        let window = self.window_s.map_or(i64::MAX, |window| i64::try_from(window).unwrap_or(i64::MAX));
        let missed = |piece: &&Piece| piece.age > MISSED_AFTER_S.min(window);
        let of = |reason: SkipReason| move |piece: &&Piece| piece.skipped == Some(reason as u8);
        let told: Vec<&Piece> = pieces.iter().filter(|piece| piece.skipped.is_none()).collect();
        let made_up: Vec<&&Piece> = told.iter().filter(|piece| missed(piece)).collect();
        if let Some(old) = told.iter().find(|piece| piece.age > window) {
            return Some(format!("{old:?} is told, older than the window"));
        }
        let late =
            pieces.iter().find(|piece| piece.skipped.is_some() && !missed(piece) && !of(SkipReason::Paused)(piece));
        if let Some(late) = late {
            return Some(format!("{late:?} is only late and passed over"));
        }
        let skips: Vec<u8> = pieces.iter().filter_map(|piece| piece.skipped).collect();
        let only = |reason: SkipReason| {
            let allowed = [reason as u8, SkipReason::CatchUpWindow as u8, SkipReason::Paused as u8];
            skips.iter().all(|skip| allowed.contains(skip))
        };
        let (allowed, reason) = match self.catch_up {
            CatchUp::Skip => (0, SkipReason::CatchUpSkip),
            CatchUp::Latest => (1, SkipReason::CatchUpLatest),
            CatchUp::All { max } => (max as usize, SkipReason::CatchUpMax),
        };
        if made_up.len() > allowed || !only(reason) {
            return Some(format!("{:?}: {pieces:?}", self.catch_up));
        }
        let passed = pieces.iter().filter(of(reason));
        match self.catch_up {
            // The newest stands for all.
            CatchUp::Latest => {
                let newest = pieces.iter().map(|piece| piece.nominal).max();
                let wrong = made_up.iter().any(|piece| Some(piece.nominal) != newest)
                    || passed.clone().any(|piece| Some(piece.nominal) == newest);
                wrong.then(|| format!("the newest does not stand for all: {pieces:?}"))
            }
            // The oldest first, and as many as are allowed.
            CatchUp::All { max } => {
                let first_passed = passed.clone().map(|piece| piece.nominal).min()?;
                let wrong = made_up.len() < max as usize || made_up.iter().any(|piece| piece.nominal > first_passed);
                wrong.then(|| format!("not the oldest {max}: {pieces:?}"))
            }
            CatchUp::Skip => None,
        }
    }

    fn misheard(&self, state: &State) -> Option<Broken> {
        let (heard, watch) = (&state.heard, &state.watch);
        for (nth, slot) in heard.iter().enumerate() {
            if heard[..nth].iter().any(|other| (other.nominal, other.timer) == (slot.nominal, slot.timer)) {
                return Some(Broken::new(HEARD, format!("{slot:?} twice")));
            }
            if slot.timer && watch.covered.get(&slot.nominal).is_none_or(|(told, _)| *told == 0) {
                return Some(Broken::new(HEARD, format!("{slot:?}, which is not due")));
            }
        }
        let still = state.schedule.owes("slot:").filter(|owed| !heard.iter().any(|slot| slot.id.0 == owed.key)).count();
        (heard.len() + still < watch.slots.len()).then(|| {
            Broken::new(HEARD, format!("{:?} were due, {heard:?} were heard and {still} will be", watch.slots))
        })
    }
}

//! Schedules: every due instant once, none before its time, none left out.
//!
//! Owns: I13. Which instants are due is asked of the calendar again. Refuses to know: policies of catching up.

use nightshift_domain::{
    calendar::{Calendar, Schedule},
    ids::{CommandId, StreamId},
    schedule::Event,
    time::Timestamp,
};

use super::Audit;
use crate::simulate::{Invariant, database::Fact};

/// What was seen of a schedule.
#[derive(Debug)]
pub struct ScheduleView {
    schedule: Schedule,
    /// The instant that comes next; none: paused, exhausted or ended.
    next: Option<Timestamp>,
    last: Option<Timestamp>,
    paused: bool,
    /// What the target must have been told: the command and the instant.
    told: Vec<(CommandId, Timestamp)>,
}

impl Audit {
    pub(super) fn schedule_event(&mut self, fact: &Fact, event: &Event, calendar: &dyn Calendar, now: Timestamp) {
        if let Event::Created { schedule, paused, next_due, .. } = event {
            let (schedule, next) = (schedule.clone(), next_due.filter(|_| !paused));
            let view = ScheduleView { schedule, next, last: None, paused: *paused, told: Vec::new() };
            let twice = self.schedules.insert(fact.stream, view).is_some();
            self.holds(Invariant::I13, !twice, now, || format!("{} begins twice", fact.stream));
            return;
        }
        let Some(mut view) = self.schedules.remove(&fact.stream) else { return };
        let fault = view.hear(fact, event, calendar);
        self.holds(Invariant::I13, fault.is_none(), now, || format!("{}: {}", fact.stream, fault.unwrap_or_default()));
        self.schedules.insert(fact.stream, view);
    }

    /// Each instant that was told has been heard, and the next one is awaited.
    pub(super) fn told_slots(&mut self, open_timers: &dyn Fn(StreamId) -> Vec<Timestamp>, now: Timestamp) {
        let schedules = std::mem::take(&mut self.schedules);
        for (stream, view) in &schedules {
            for (id, nominal) in &view.told {
                let heard = self.commands.contains_key(id);
                self.holds(Invariant::I13, heard, now, || {
                    format!("{stream} told the instant {nominal}, and nobody heard")
                });
            }
            let (open, wanted) = (open_timers(*stream), usize::from(view.next.is_some()));
            self.holds(Invariant::I13, open.len() == wanted, now, || {
                format!("{stream} waits for {:?} and has timers for {open:?}", view.next)
            });
        }
        self.schedules = schedules;
    }
}

impl ScheduleView {
    /// Its rule, and whether it stands still.
    pub const fn stands(&self) -> (&Schedule, bool) {
        (&self.schedule, self.paused)
    }

    fn hear(&mut self, fact: &Fact, event: &Event, calendar: &dyn Calendar) -> Option<String> {
        match event {
            Event::Fired { nominal, next_due, .. } => {
                let id = CommandId::of_obligation(fact.stream, &format!("slot:{}", nominal.micros()), "tell");
                self.told.push((id, *nominal));
                let early = (fact.at < *nominal).then(|| format!("{nominal} is told at {} already", fact.at));
                early.or_else(|| self.covers(*nominal, *nominal, *next_due, calendar))
            }
            Event::Skipped { from, upto, next_due, .. } => self.covers(*from, *upto, *next_due, calendar),
            Event::Paused { .. } => {
                (self.paused, self.next) = (true, None);
                None
            }
            Event::Resumed { next_due, .. } => {
                (self.paused, self.next) = (false, *next_due);
                self.again()
            }
            Event::ReTimed { schedule, next_due, .. } => {
                self.schedule = schedule.clone();
                self.next = next_due.filter(|_| !self.paused);
                self.again()
            }
            Event::Ended { .. } => {
                self.next = None;
                None
            }
            Event::Triggered { .. } | Event::Created { .. } => None,
        }
    }

    /// Instants from `from` to `upto` are told or passed over: they are the next ones, and none was before.
    fn covers(
        &mut self,
        from: Timestamp,
        upto: Timestamp,
        next_due: Option<Timestamp>,
        calendar: &dyn Calendar,
    ) -> Option<String> {
        let (before, wanted) = (self.last, self.next);
        let after = calendar.next_after(&self.schedule, upto).ok().flatten();
        self.last = before.max(Some(upto));
        self.next = next_due.filter(|_| !self.paused);
        if before.is_some_and(|last| from <= last) {
            return Some(format!("the instant {from} comes twice"));
        }
        if wanted != Some(from) {
            return Some(format!("the instant {from} comes where {wanted:?} is next"));
        }
        let paused_now = next_due.is_none();
        (after != next_due && !paused_now).then(|| format!("behind {upto} comes {after:?}, not {next_due:?}"))
    }

    fn again(&self) -> Option<String> {
        let back = self.next.zip(self.last).filter(|(next, last)| next <= last);
        back.map(|(next, last)| format!("it goes on at {next}, which is not after {last}"))
    }
}

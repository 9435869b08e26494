//! What becomes of due instants that passed while nobody looked.
//!
//! Owns: the meaning of `catch_up` and its window; that each instant is covered by exactly one event.
//! Refuses to know: timers, and what a slot is for.

use super::{Event, Rejection, SkipReason};
use crate::{
    calendar::{CatchUp, Schedule},
    decider::Ctx,
    ids::StreamId,
    time::Timestamp,
};

/// Skipped instants are counted one by one up to here; a longer gap is covered by one event that says so. As many are
/// made up for in one go at most, whatever `all(max)` allows.
const COUNTED_MAX: u32 = 1_000;

/// One instant that is told, or a run of instants that are passed over for one reason.
enum Piece {
    Fire(Timestamp),
    Skip { from: Timestamp, upto: Timestamp, count: u32, count_is_bound: bool, reason: SkipReason },
}

/// A schedule, asked within one decision.
pub struct Asked<'a> {
    pub schedule: &'a Schedule,
    pub target: StreamId,
    pub ctx: &'a Ctx<'a>,
}

impl Asked<'_> {
    /// The first due instant strictly after `after`.
    pub fn next(&self, after: Timestamp) -> Result<Option<Timestamp>, Rejection> {
        self.ctx.calendar.next_after(self.schedule, after).map_err(Rejection::Calendar)
    }

    /// The latest due instant at or before `at`, no earlier than `first`, which is one.
    fn latest(&self, first: Timestamp, at: Timestamp) -> Result<Timestamp, Rejection> {
        let latest = self.ctx.calendar.latest_at(self.schedule, first, at).map_err(Rejection::Calendar)?;
        Ok(latest.unwrap_or(first))
    }

    /// What happens to the due instants from `first`, whose timer is open, up to now, in order.
    pub fn settle(&self, first: Timestamp) -> Result<Vec<Event>, Rejection> {
        if !self.is_missed(first) {
            return Ok(vec![self.event(Piece::Fire(first), self.next(first)?)]);
        }
        self.settle_all(first)
    }

    /// As [`Asked::settle`], but nothing up to now is left to a timer of its own.
    pub fn settle_all(&self, first: Timestamp) -> Result<Vec<Event>, Rejection> {
        let latest = self.latest(first, self.ctx.now)?;
        let pieces = self.by_policy(first, latest)?;
        Ok(self.told_in_order(pieces, self.next(latest)?))
    }

    /// All due instants from `first` up to now are passed over, because the schedule is paused.
    pub fn pass_over(&self, first: Timestamp) -> Vec<Event> {
        let span = self.latest(first, self.ctx.now).and_then(|latest| self.span(first, latest, SkipReason::Paused));
        // A calendar that fails must not keep anybody from pausing what it fails for.
        let alone =
            Piece::Skip { from: first, upto: first, count: 1, count_is_bound: true, reason: SkipReason::Paused };
        vec![self.event(span.unwrap_or(alone), None)]
    }

    fn is_missed(&self, at: Timestamp) -> bool {
        self.schedule.is_missed(at, self.ctx.now)
    }

    fn by_policy(&self, first: Timestamp, latest: Timestamp) -> Result<Vec<Piece>, Rejection> {
        let mut pieces = Vec::new();
        let Some(first) = self.pass_too_old(first, latest, &mut pieces)? else {
            return Ok(pieces);
        };
        let latest_counts = !self.is_missed(latest);
        match self.schedule.catch_up {
            CatchUp::Skip if !latest_counts => pieces.push(self.span(first, latest, SkipReason::CatchUpSkip)?),
            CatchUp::Skip => self.all_but_latest(first, latest, SkipReason::CatchUpSkip, &mut pieces)?,
            CatchUp::Latest => self.all_but_latest(first, latest, SkipReason::CatchUpLatest, &mut pieces)?,
            CatchUp::All { max } => self.oldest(first, latest, max, &mut pieces)?,
        }
        Ok(pieces)
    }

    /// Passes over what is older than the window; gives the first instant that is not.
    fn pass_too_old(
        &self,
        first: Timestamp,
        latest: Timestamp,
        pieces: &mut Vec<Piece>,
    ) -> Result<Option<Timestamp>, Rejection> {
        let window_ms = self.schedule.catch_up_window_ms();
        if self.schedule.age_ms(first, self.ctx.now) <= window_ms {
            return Ok(Some(first));
        }
        let jitter_ms = i64::from(self.schedule.jitter_s) * 1_000;
        let oldest = self.ctx.now.plus_ms(-window_ms.saturating_add(jitter_ms));
        let inside = self.next(just_before(oldest))?.filter(|at| *at <= latest);
        let last_outside = match inside {
            Some(inside) => self.latest(first, just_before(inside))?,
            None => latest,
        };
        pieces.push(self.span(first, last_outside, SkipReason::CatchUpWindow)?);
        Ok(inside)
    }

    fn all_but_latest(
        &self,
        first: Timestamp,
        latest: Timestamp,
        reason: SkipReason,
        pieces: &mut Vec<Piece>,
    ) -> Result<(), Rejection> {
        if first < latest {
            pieces.push(self.span(first, self.latest(first, just_before(latest))?, reason)?);
        }
        pieces.push(Piece::Fire(latest));
        Ok(())
    }

    /// The oldest `max` missed ones, and the latest when it is late rather than missed.
    fn oldest(&self, first: Timestamp, latest: Timestamp, max: u32, pieces: &mut Vec<Piece>) -> Result<(), Rejection> {
        let mut left = Some(first);
        for _ in 0..max.min(COUNTED_MAX) {
            let Some(at) = left.filter(|at| *at <= latest) else {
                return Ok(());
            };
            pieces.push(Piece::Fire(at));
            left = self.next(at)?;
        }
        let Some(first) = left.filter(|at| *at <= latest) else {
            return Ok(());
        };
        if self.is_missed(latest) {
            pieces.push(self.span(first, latest, SkipReason::CatchUpMax)?);
            return Ok(());
        }
        self.all_but_latest(first, latest, SkipReason::CatchUpMax, pieces)
    }

    /// The instants from `from` to `upto`, both due, counted as far as counting goes.
    fn span(&self, from: Timestamp, upto: Timestamp, reason: SkipReason) -> Result<Piece, Rejection> {
        let (mut count, mut at) = (1, from);
        while count < COUNTED_MAX && at < upto {
            let Some(next) = self.next(at)?.filter(|next| *next <= upto) else {
                break;
            };
            (count, at) = (count + 1, next);
        }
        Ok(Piece::Skip { from, upto, count, count_is_bound: at < upto, reason })
    }

    /// Each event names the instant that comes after it; the last one names `following`.
    fn told_in_order(&self, pieces: Vec<Piece>, following: Option<Timestamp>) -> Vec<Event> {
        let mut following = following;
        let mut events: Vec<Event> = Vec::with_capacity(pieces.len());
        for piece in pieces.into_iter().rev() {
            let (Piece::Fire(from) | Piece::Skip { from, .. }) = &piece;
            let from = *from;
            events.push(self.event(piece, following));
            following = Some(from);
        }
        events.reverse();
        events
    }

    fn event(&self, piece: Piece, next_due: Option<Timestamp>) -> Event {
        let (target, tz_revision) = (self.target, self.ctx.calendar.tz_revision().to_owned());
        match piece {
            Piece::Fire(nominal) => Event::Fired { target, nominal, next_due, tz_revision },
            Piece::Skip { from, upto, count, count_is_bound, reason } => {
                Event::Skipped { target, from, upto, count, count_is_bound, reason, next_due, tz_revision }
            }
        }
    }
}

const fn just_before(at: Timestamp) -> Timestamp {
    Timestamp(at.micros().saturating_sub(1))
}

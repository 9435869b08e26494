//! When a failed attempt is tried again.

use super::{CrashPolicy, Jitter, RetryPolicy, Shape, StepPlan};
use crate::{
    content::{Failure, FailureClass},
    ids::{RunId, derive_u64},
};

/// Attempts that cost nothing by the policy (lost with a lease, turned away for rate) still end here, so that a step
/// that kills its worker each time does not go on for ever.
pub const FREE_ATTEMPTS_MAX: u32 = 100;

/// A longer `Retry-After` than a day is cut to a day.
const RETRY_AFTER_MS_MAX: u64 = 24 * 3600 * 1000;

/// The wait when the other side is too busy and does not say for how long.
const RATE_LIMITED_MS: u64 = 60_000;

impl RetryPolicy {
    /// Five attempts after 2, 4, 8 and 16 seconds, each up to a second later.
    #[must_use]
    pub const fn queue_preset() -> Self {
        Self {
            attempts_max: 5,
            shape: Shape::Exponential,
            initial_ms: 2_000,
            multiplier_pct: 200,
            floor_ms: 250,
            cap_ms: 3_600_000,
            jitter: Jitter::UpTo(1_000),
        }
    }

    /// One attempt.
    #[must_use]
    pub const fn once() -> Self {
        Self {
            attempts_max: 1,
            shape: Shape::Exponential,
            initial_ms: 2_000,
            multiplier_pct: 200,
            floor_ms: 250,
            cap_ms: 3_600_000,
            jitter: Jitter::None,
        }
    }

    /// Delay after the `failed`-th failure (from 1), without jitter.
    #[must_use]
    pub fn delay_ms(&self, failed: u32) -> u64 {
        let nth = failed.max(1);
        let raw = match self.shape {
            Shape::Linear => self.initial_ms.saturating_mul(u64::from(nth)),
            Shape::Exponential => (1..nth).fold(self.initial_ms, |delay, _| {
                (delay.saturating_mul(u64::from(self.multiplier_pct)) / 100).min(self.cap_ms)
            }),
        };
        raw.min(self.cap_ms).max(self.floor_ms)
    }
}

/// Milliseconds until the attempt after `attempt` of a step, or of the instance of one with this `id`; none when there is
/// none.
pub fn retry_after_ms(
    (run, id): (RunId, &str),
    step: &StepPlan,
    attempt: u32,
    (failed, free): (u32, u32),
    failure: &Failure,
) -> Option<u64> {
    let asked = failure.retry_after_ms.map(|ms| ms.min(RETRY_AFTER_MS_MAX));
    match failure.class {
        FailureClass::Permanent | FailureClass::Cancelled => None,
        // Nobody knows whether it was done, and it must not be done twice.
        FailureClass::Timeout | FailureClass::Lost if step.crash == CrashPolicy::Never => None,
        FailureClass::RateLimited if free < FREE_ATTEMPTS_MAX => {
            let delay = asked.unwrap_or(RATE_LIMITED_MS).max(step.retry.floor_ms);
            Some(delay.saturating_add(jitter_ms((run, id), step, attempt)))
        }
        FailureClass::Transient | FailureClass::Timeout | FailureClass::Lost if failed < step.retry.attempts_max => {
            let delay = step.retry.delay_ms(failed).saturating_add(jitter_ms((run, id), step, attempt));
            Some(delay.max(asked.unwrap_or(0)))
        }
        _ => None,
    }
}

fn jitter_ms((run, id): (RunId, &str), step: &StepPlan, attempt: u32) -> u64 {
    match step.retry.jitter {
        Jitter::None | Jitter::UpTo(0) => 0,
        Jitter::UpTo(most) => {
            derive_u64("retry", &[run.uuid().as_bytes(), id.as_bytes(), &attempt.to_be_bytes()]) % most
        }
    }
}

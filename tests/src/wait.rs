//! Bounded waiting for something that another process does.
//!
//! The one place of the tests that reads a clock and pauses. Inside one process a test moves the manual clock
//! and needs neither; a child process can only be watched from outside.

use std::time::{Duration, Instant};

/// The pause between two looks: short against any limit, long against the cost of a look.
const PAUSE: Duration = Duration::from_millis(5);

/// Looks until `probe` answers, and returns its answer.
///
/// # Panics
/// When `limit` has passed without an answer; the message names `what` was waited for.
pub fn eventually<T>(what: &str, limit: Duration, probe: impl FnMut() -> Option<T>) -> T {
    within(limit, probe).unwrap_or_else(|| panic!("waited {limit:?} in vain for {what}"))
}

/// Looks until `probe` answers or `limit` has passed, whichever is first.
#[expect(clippy::disallowed_methods, reason = "another process has a clock of its own")]
pub fn within<T>(limit: Duration, mut probe: impl FnMut() -> Option<T>) -> Option<T> {
    let start = Instant::now();
    loop {
        let answer = probe();
        if answer.is_some() || start.elapsed() >= limit {
            return answer;
        }
        std::thread::sleep(PAUSE.min(limit));
    }
}

/// Measures how long something outside took, for messages and for rough upper bounds.
#[derive(Debug, Clone, Copy)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// Starts one.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "another process has a clock of its own")]
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// The time since its start.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "another process has a clock of its own")]
    pub fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_returns_the_first_answer() {
        let mut looks = 0;
        let answer = eventually("a third look", Duration::from_secs(60), || {
            looks += 1;
            (looks == 3).then_some("seen")
        });
        assert_eq!((answer, looks), ("seen", 3));
    }

    #[test]
    #[should_panic(expected = "in vain for godot")]
    fn it_gives_up_at_the_limit() {
        eventually("godot", Duration::ZERO, || None::<()>);
    }
}

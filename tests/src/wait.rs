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
#[expect(clippy::disallowed_methods, reason = "another process has a clock of its own")]
pub fn eventually<T>(what: &str, limit: Duration, mut probe: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(answer) = probe() {
            return answer;
        }
        assert!(start.elapsed() < limit, "waited {limit:?} in vain for {what}");
        std::thread::sleep(PAUSE);
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

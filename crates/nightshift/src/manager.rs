//! What the service manager is told, in systemd's protocol.
//!
//! Owns: the line of status, when more time is asked for, and the signs of life.
//! Refuses to know: what a phase is about. Where no manager listens (`NOTIFY_SOCKET` is not set) nothing is sent.
//!
//! Invariant: more time is asked for while something goes forward or somebody else is waited for, so that a start that
//! hangs is still ended by `TimeoutStartSec`.

use nightshift_actors::system::System;
use nightshift_ports::clock::Clock;
use sd_notify::NotifyState;

use crate::real::SystemClock;

/// So much time is asked for at once, in microseconds.
const MORE_TIME_US: u32 = 30_000_000;

/// It is asked for again after so long, in milliseconds.
const ASK_EVERY_MS: i64 = 10_000;

/// Work that says nothing on its way is waited for with so many questions: an hour. No migration takes longer.
const ASKS_MAX: u32 = 360;

/// Signs of life come so many times in the interval that the manager grants.
const SIGNS_PER_INTERVAL: i64 = 3;

/// A manager that does not listen is no reason to fail.
fn tell(state: &[NotifyState<'_>]) {
    let _ = sd_notify::notify(state);
}

/// One line: what follows a line's end would be read as an order to the manager.
fn line(text: &str) -> String {
    text.replace(['\n', '\r', '\0'], " ")
}

/// What is done now, on the way to being ready. It goes forward, so it is given more time.
pub fn phase(text: &str) {
    tell(&[NotifyState::Status(&line(text)), NotifyState::ExtendTimeoutUsec(MORE_TIME_US)]);
}

/// Sees work through that may take long and says nothing on its way, e.g. a migration.
pub async fn patiently<T>(text: &str, work: impl Future<Output = T>) -> T {
    let mut work = std::pin::pin!(work);
    let clock = SystemClock;
    for _ in 0..ASKS_MAX {
        phase(text);
        tokio::select! {
            done = &mut work => return done,
            () = clock.sleep_until(clock.now().plus_ms(ASK_EVERY_MS)) => {}
        }
    }
    work.await
}

/// The start is over.
pub fn ready(text: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(&line(text))]);
}

/// The end has begun.
pub fn stopping(text: &str) {
    tell(&[NotifyState::Stopping, NotifyState::Status(&line(text))]);
}

/// Gives signs of life if the manager waits for them. Each is given after the tree has answered, so that a tree that
/// hangs gives none.
pub async fn live(system: System) {
    let Some(granted) = sd_notify::watchdog_enabled().filter(|granted| !granted.is_zero()) else { return };
    let pause_ms = i64::try_from(granted.as_millis()).unwrap_or(i64::MAX) / SIGNS_PER_INTERVAL;
    let clock = SystemClock;
    loop {
        system.queue().await;
        tell(&[NotifyState::Watchdog]);
        clock.sleep_until(clock.now().plus_ms(pause_ms.max(1))).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_one_line() {
        assert_eq!(line("no answer:\nREADY=1\r\0x"), "no answer: READY=1  x");
        assert_eq!(line("recovering: 3 of 7"), "recovering: 3 of 7");
    }
}

//! What follows when an actor stops: a table, so that it can be read and tested as data.
//!
//! Owns: (actor, how it ended) -> what to do. Refuses to know: how it is done.

use std::collections::VecDeque;

use nightshift_domain::time::Timestamp;

/// Actors of the tree, by the role they play.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// The single writers of the shards.
    Journal,
    /// Timers.
    Clock,
    /// Places for steps.
    Queue,
    /// Looks at sources.
    Importer,
    /// Read models.
    Projector,
    /// The supervisor of all streams of a kind.
    Streams,
    /// One stream.
    Stream,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 7] =
        [Self::Journal, Self::Clock, Self::Queue, Self::Importer, Self::Projector, Self::Streams, Self::Stream];

    /// The word in logs and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Journal => "journal",
            Self::Clock => "clock",
            Self::Queue => "queue",
            Self::Importer => "importer",
            Self::Projector => "projector",
            Self::Streams => "streams",
            Self::Stream => "stream",
        }
    }
}

/// How an actor ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// It was asked to.
    Asked,
    /// It failed or panicked.
    Failed,
}

/// What follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Consequence {
    /// Nothing: it had done its work.
    Retire,
    /// Start it again; it finds what is owed in the log.
    Restart,
    /// Hand what its stream owes over again; it is started when it is next needed.
    HandOverAgain,
    /// Nobody knows any more what is durable: end the process, the operating system starts it again.
    EndProcess,
}

/// Restarts of one role within [`WINDOW_MS`] before the process ends: something is wrong that a restart does not cure.
pub const RESTARTS_MAX: usize = 3;

/// The window in which restarts are counted, in milliseconds.
pub const WINDOW_MS: i64 = 60_000;

/// The table.
#[must_use]
pub const fn consequence(role: Role, ended: Ended) -> Consequence {
    match (role, ended) {
        (_, Ended::Asked) => Consequence::Retire,
        (Role::Journal, Ended::Failed) => Consequence::EndProcess,
        (Role::Stream, Ended::Failed) => Consequence::HandOverAgain,
        (Role::Clock | Role::Queue | Role::Importer | Role::Projector | Role::Streams, Ended::Failed) => {
            Consequence::Restart
        }
    }
}

/// Counts restarts of one role.
#[derive(Debug, Default)]
pub struct Intensity {
    at: VecDeque<Timestamp>,
}

impl Intensity {
    /// Notes a restart; true when there were too many within the window.
    pub fn exceeded(&mut self, now: Timestamp) -> bool {
        self.at.retain(|at| now.micros_since(*at) < WINDOW_MS * 1_000);
        self.at.push_back(now);
        self.at.len() > RESTARTS_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_asked_to_stop_is_never_restarted() {
        for role in Role::ALL {
            assert_eq!(consequence(role, Ended::Asked), Consequence::Retire);
        }
    }

    #[test]
    fn the_table() {
        let expected = [
            (Role::Journal, Consequence::EndProcess),
            (Role::Clock, Consequence::Restart),
            (Role::Queue, Consequence::Restart),
            (Role::Importer, Consequence::Restart),
            (Role::Projector, Consequence::Restart),
            (Role::Streams, Consequence::Restart),
            (Role::Stream, Consequence::HandOverAgain),
        ];
        for (role, follows) in expected {
            assert_eq!(consequence(role, Ended::Failed), follows, "{role:?}");
        }
    }

    #[test]
    fn three_restarts_in_a_minute_are_borne_and_a_fourth_is_not() {
        let mut intensity = Intensity::default();
        let at = |s| Timestamp::from_secs(s);
        assert!([0, 10, 20].iter().all(|s| !intensity.exceeded(at(*s))));
        assert!(intensity.exceeded(at(30)));
        let mut spread = Intensity::default();
        assert!((0..10).all(|n| !spread.exceeded(at(n * 25))));
    }
}

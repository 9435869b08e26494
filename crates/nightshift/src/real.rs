//! The real clock, real chance and the real file system, for whoever is given them.
//!
//! Owns: every reading of the machine's clock and of its random numbers.

use std::{
    path::{Path, PathBuf},
    sync::OnceLock,
    time::{Duration, Instant, SystemTime},
};

use async_trait::async_trait;
use nightshift_domain::time::Timestamp;
use nightshift_ports::clock::{Clock, IdSource};
use nightshift_spec::order_file::PathKind;
use uuid::Uuid;

use crate::app::environment;

/// The machine's clock: the wall for instants, the monotonic clock for how long to sleep.
#[derive(Debug, Default, Clone, Copy)]
pub struct SystemClock;

/// A sleep is cut into pieces of this length, so that a wall clock that was set is noticed.
const NAP: Duration = Duration::from_secs(30);

#[async_trait]
impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        #[expect(clippy::disallowed_methods, reason = "the clock port's own reading")]
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Timestamp(i64::try_from(since.as_micros()).unwrap_or(i64::MAX).saturating_add(moved_us()))
    }

    async fn sleep_until(&self, at: Timestamp) {
        loop {
            let left = at.micros_since(self.now());
            let Ok(left @ 1..) = u64::try_from(left) else { return };
            #[expect(clippy::disallowed_methods, reason = "the clock port's own sleep")]
            tokio::time::sleep(Duration::from_micros(left).min(NAP)).await;
        }
    }
}

/// By how much torture moved the wall clock of this process, in microseconds: `NIGHTSHIFT_TORTURE_CLOCK` names a file that
/// holds milliseconds, and is read anew each time. Nobody else sets it, and then this is nothing.
fn moved_us() -> i64 {
    static FILE: OnceLock<Option<PathBuf>> = OnceLock::new();
    let Some(file) = FILE.get_or_init(|| environment().remove("NIGHTSHIFT_TORTURE_CLOCK").map(PathBuf::from)) else {
        return 0;
    };
    let ms: Option<i64> = std::fs::read_to_string(file).ok().and_then(|text| text.trim().parse().ok());
    ms.unwrap_or_default().saturating_mul(1_000)
}

/// Milliseconds since the process asked for the first time; for measuring, never for deciding.
#[must_use]
pub fn elapsed() -> Duration {
    static STARTED: OnceLock<Instant> = OnceLock::new();
    #[expect(clippy::disallowed_methods, reason = "measures the program itself")]
    let started = STARTED.get_or_init(Instant::now);
    #[expect(clippy::disallowed_methods, reason = "measures the program itself")]
    let elapsed = started.elapsed();
    elapsed
}

/// Ids that were never drawn before.
#[derive(Debug, Default, Clone, Copy)]
pub struct RandomIds;

impl IdSource for RandomIds {
    fn fresh(&self) -> Uuid {
        #[expect(clippy::disallowed_methods, reason = "the id port's own draw")]
        Uuid::now_v7()
    }
}

/// What stands at a path.
#[must_use]
pub fn probe(path: &str) -> PathKind {
    let path = Path::new(path);
    if path.is_file() {
        return PathKind::File;
    }
    if !path.is_dir() {
        return PathKind::Missing;
    }
    let bare = path.join("HEAD").is_file() && path.join("objects").is_dir();
    if path.join(".git").exists() || bare { PathKind::Repository } else { PathKind::Folder }
}

/// Edition of the machine's zone data, as its own files tell.
#[must_use]
pub fn zone_revision() -> String {
    let folder = "/usr/share/zoneinfo";
    let first_line = |name: &str| {
        let text = std::fs::read_to_string(Path::new(folder).join(name)).ok()?;
        text.lines().next().map(|line| line.trim_start_matches("# version ").trim().to_owned())
    };
    first_line("+VERSION").or_else(|| first_line("tzdata.zi")).unwrap_or_else(|| "system".to_owned())
}

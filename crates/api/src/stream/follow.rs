//! Following a run: its events from the log, woken by the progress of the read models.
//!
//! Owns: when the next event is there, silence, and the end.
//! Refuses to know: protocols, what an event says.
//!
//! Invariant: an event is shown only when the read models show it too: whoever looks after an event sees its effect.
//! Invariant: nothing is asked again and again: a follower sleeps until a commit, its keep-alive, or the end. What the log has
//! beyond the read models is no reason to ask again before they moved.

use std::{collections::VecDeque, sync::Arc};

use nightshift_actors::projector::Checkpoints;
use nightshift_domain::{ids::RunId, recorded::Recorded, streams::AnyEvent, time::Timestamp};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use super::fold::{Frame, Progress};
use crate::Shared;

/// Events that are read at once.
const PAGE: u32 = 500;

/// How many follow, and whether they should go.
#[derive(Clone)]
pub struct Open {
    permits: Arc<Semaphore>,
    closing: watch::Receiver<bool>,
}

impl Open {
    /// At most so many at once, until `closing` says so.
    #[must_use]
    pub fn new(most: usize, closing: watch::Receiver<bool>) -> Self {
        Self { permits: Arc::new(Semaphore::new(most)), closing }
    }

    /// A place, when there is one.
    pub fn permit(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.permits).try_acquire_owned().ok()
    }

    /// Says when to go.
    pub fn closing(&self) -> watch::Receiver<bool> {
        self.closing.clone()
    }
}

/// What comes next.
#[derive(Debug)]
pub enum Next {
    /// This happened.
    Frame(Frame),
    /// Nothing happened for a while.
    Silence,
    /// Nothing comes any more.
    End,
}

/// Who follows a run.
pub struct Follower {
    shared: Arc<Shared>,
    run: RunId,
    /// Versions up to this one were seen before.
    after: u64,
    /// Versions up to this one are folded.
    read: u64,
    /// The checkpoint up to which there is nothing more to read.
    settled: u64,
    progress: Progress,
    waiting: VecDeque<Frame>,
    checkpoints: watch::Receiver<Checkpoints>,
    closing: watch::Receiver<bool>,
    silent_since: Timestamp,
    _permit: OwnedSemaphorePermit,
}

impl Follower {
    /// Follows a run behind a version.
    #[must_use]
    pub fn new(
        shared: Arc<Shared>,
        run: RunId,
        after: u64,
        (closing, permit): (watch::Receiver<bool>, OwnedSemaphorePermit),
    ) -> Self {
        let checkpoints = shared.system.context().projector.watch();
        let silent_since = shared.system.context().clock_port.now();
        Self {
            shared,
            run,
            after,
            read: 0,
            settled: 0,
            progress: Progress::new(run),
            waiting: VecDeque::new(),
            checkpoints,
            closing,
            silent_since,
            _permit: permit,
        }
    }

    /// Waits for what comes next. May be dropped at any time.
    pub async fn next(&mut self) -> Next {
        loop {
            if let Some(frame) = self.waiting.pop_front() {
                self.silent_since = self.shared.system.context().clock_port.now();
                return Next::Frame(frame);
            }
            // A long log is read in many pages; nobody waits for the last of them to go.
            if *self.closing.borrow() {
                return Next::End;
            }
            match self.read_on().await {
                Ok(true) => continue,
                Ok(false) if self.progress.is_over() => return Next::End,
                Ok(false) => {}
                Err(()) => return Next::End,
            }
            if let Some(next) = self.wait().await {
                return next;
            }
        }
    }

    /// Folds what the read models show and is not folded yet; true when there may be more.
    async fn read_on(&mut self) -> Result<bool, ()> {
        let shown = self.checkpoints.borrow_and_update().get(&self.run.shard()).copied().unwrap_or(0);
        if shown <= self.settled {
            return Ok(false);
        }
        let log = &self.shared.system.context().log;
        let page = log.read_stream(self.run.stream(), self.read, PAGE).await.map_err(|error| {
            // The client comes back and goes on where it was.
            tracing::warn!(run = %self.run, %error, "an event stream ends: its run cannot be read");
        })?;
        let (page, all) = shown_part(page, shown);
        for recorded in page {
            self.read = recorded.version;
            let Ok(AnyEvent::Run(event)) = recorded.decode() else {
                tracing::warn!(run = %self.run, version = recorded.version, "an event of a run cannot be read");
                continue;
            };
            let frames = self.progress.apply(&recorded, &event);
            if recorded.version > self.after {
                self.waiting.extend(frames);
            }
        }
        if all {
            self.settled = shown;
        }
        Ok(true)
    }

    /// Sleeps until there may be something; what to say, when nothing was.
    async fn wait(&mut self) -> Option<Next> {
        let clock = &self.shared.system.context().clock_port;
        let speaks_at = self.silent_since.plus_ms(self.shared.options.limits.keep_alive_ms);
        tokio::select! {
            biased;
            // Whoever says when to go is gone only when the service is.
            _ = self.closing.wait_for(|closing| *closing) => Some(Next::End),
            () = clock.sleep_until(speaks_at) => {
                self.silent_since = clock.now();
                Some(Next::Silence)
            }
            changed = self.checkpoints.changed() => changed.is_err().then_some(Next::End),
        }
    }
}

/// The part of a page that the read models show, and whether there is nothing behind it that they show.
fn shown_part(mut page: Vec<Recorded>, shown: u64) -> (Vec<Recorded>, bool) {
    let full = page.len() == PAGE as usize;
    let visible = page.iter().take_while(|recorded| recorded.seq <= shown).count();
    let cut = visible < page.len();
    page.truncate(visible);
    (page, cut || !full)
}

#[cfg(test)]
mod tests {
    use nightshift_domain::{
        ids::{CommandId, derive},
        recorded::Meta,
    };

    use super::*;

    fn page(events: u64) -> Vec<Recorded> {
        let run = RunId::on_shard(derive("run", &[]), nightshift_domain::ids::ShardId(0));
        let event = |seq| Recorded {
            shard: run.shard(),
            seq,
            stream: run.stream(),
            version: seq,
            event_type: "run.resumed".to_owned(),
            type_version: 1,
            hlc: seq,
            epoch: 1,
            at: Timestamp::default(),
            command_id: CommandId(derive("command", &[])),
            meta: Meta::default(),
            data: Vec::new(),
        };
        (1..=events).map(event).collect()
    }

    /// A follower that takes a page for the middle of what is shown asks for the next one at once.
    #[test]
    fn a_full_page_that_the_read_models_show_in_part_is_all_there_is_for_now() {
        let full = u64::from(PAGE);
        for (events, shown, visible, all) in [
            (full, full, full, false),
            (full, full + 1, full, false),
            (full, full - 1, full - 1, true),
            (full, 0, 0, true),
            (7, 7, 7, true),
            (7, 3, 3, true),
            (0, 9, 0, true),
        ] {
            let (part, found) = shown_part(page(events), shown);
            assert_eq!((part.len() as u64, found), (visible, all), "{events} events, shown up to {shown}");
        }
    }
}

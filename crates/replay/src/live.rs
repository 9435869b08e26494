//! Replaying a store as it stands, stream by stream, a page at a time.
//!
//! Owns: how a log is walked with bounded memory, and what is asked of the store besides.
//! Refuses to know: how decisions are compared.
//!
//! A store that is being written can be replayed: a stream that grew meanwhile is read again before anything is said
//! against its obligations.

use std::collections::{BTreeSet, VecDeque};

use nightshift_domain::{
    ids::{ShardId, StreamId},
    recorded::Recorded,
};
use nightshift_ports::{
    Boxed,
    log::{EventLog, Owed, RecordedCommand, StoreError},
};

use crate::{
    capture::Progress,
    error::Error,
    history::{History, ShardCheck},
    obligations::{self, may_still_stand, receipt},
    replay::Options,
    report::Report,
};

/// Events and commands read at once.
const PAGE: u32 = 1_000;

/// A stream that grows while it is read is read again so many times.
const TRIES_MAX: u32 = 5;

/// Replays a whole store. `progress` is told how many events were folded, of how many.
///
/// # Errors
/// The store did not answer. What is wrong with its content is in the report.
pub async fn replay_log(log: &dyn EventLog, progress: &mut (dyn FnMut(Progress) + Send)) -> Result<Report, Error> {
    replay_log_with(log, &Options::default(), progress).await
}

/// As [`replay_log`], told with what.
///
/// # Errors
/// As [`replay_log`].
pub fn replay_log_with<'a>(
    log: &'a dyn EventLog,
    options: &'a Options,
    progress: &'a mut (dyn FnMut(Progress) + Send),
) -> Boxed<'a, Result<Report, Error>> {
    Box::pin(replayed(log, options, progress))
}

async fn replayed(
    log: &dyn EventLog,
    options: &Options,
    progress: &mut (dyn FnMut(Progress) + Send),
) -> Result<Report, Error> {
    let options = Options { shard_count: Some(log.info().shard_count), ..options.clone() };
    let heads = log.heads().await?;
    let of = heads.iter().map(|(_, head)| head).sum();
    let mut report = Report::default();
    for (shard, head) in heads {
        let streams = walk_shard(log, (shard, head), &mut report).await?;
        for stream in streams {
            report.absorb(replay_stream(log, stream, &options).await?);
            progress(Progress { done: report.events, of, doing: "replaying" });
        }
    }
    Ok(report)
}

/// Checks the order of a shard up to the head it had, and lists its streams.
async fn walk_shard(
    log: &dyn EventLog,
    (shard, head): (ShardId, u64),
    report: &mut Report,
) -> Result<BTreeSet<StreamId>, StoreError> {
    let (mut check, mut streams, mut after) = (ShardCheck::default(), BTreeSet::new(), 0);
    while after < head {
        let page = log.read_shard(shard, after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = last.seq;
        for event in page.iter().filter(|event| event.seq <= head) {
            check.event(event, true, report);
            streams.insert(event.stream);
        }
    }
    Ok(streams)
}

/// Replays one stream; again when it grew before its obligations could be compared.
async fn replay_stream(log: &dyn EventLog, stream: StreamId, options: &Options) -> Result<Report, StoreError> {
    let mut tries = 0;
    loop {
        tries += 1;
        let mut history = History::new(stream, options);
        let version = tell(log, stream, &mut history).await?;
        let (mut report, left) = history.end();
        let kept = log.owed_by(stream).await?;
        report.open_obligations = kept.len() as u64;
        if let Some(left) = left {
            let computed = still_open(log, left, &kept).await?;
            if let Ok(found) = obligations::compare(&kept, &computed) {
                report.obligations = found;
            }
        }
        let grew = !log.read_stream(stream, version, 1).await?.is_empty();
        if report.obligations.is_empty() || tries == TRIES_MAX || !grew {
            return Ok(report);
        }
    }
}

/// What was not discharged elsewhere. An obligation that the store still holds needs no proof that it stands, unless it
/// could not: then the receiver's record says so.
async fn still_open(log: &dyn EventLog, left: Vec<Owed>, kept: &[Owed]) -> Result<Vec<Owed>, StoreError> {
    let mut open = Vec::new();
    for owed in left {
        let held = kept.iter().any(|other| other.obligation.key == owed.obligation.key);
        let discharged = match receipt(owed.stream, &owed.obligation) {
            Some(_) if held && may_still_stand(&owed) => false,
            Some((shard, id)) => log.command(shard, id).await?.is_some(),
            None => false,
        };
        if !discharged {
            open.push(owed);
        }
    }
    Ok(open)
}

/// Tells a stream's history in order; gives its version.
async fn tell(log: &dyn EventLog, stream: StreamId, history: &mut History<'_>) -> Result<u64, StoreError> {
    let (mut events, mut commands) = (Events::of(stream), Commands::of(stream));
    let mut version = 0;
    while let Some(event) = events.next(log).await? {
        while let Some(command) = commands.next_upto(log, event.seq).await? {
            history.command(command);
        }
        version = event.version;
        history.event(event);
    }
    while let Some(command) = commands.next_upto(log, u64::MAX).await? {
        // Decided after the last event that was read: it belongs to what came since.
        if command.last_seq < command.first_seq {
            history.command(command);
        }
    }
    Ok(version)
}

/// Events of a stream, a page at a time.
pub(crate) struct Events {
    stream: StreamId,
    after: u64,
    page: VecDeque<Recorded>,
}

impl Events {
    pub const fn of(stream: StreamId) -> Self {
        Self { stream, after: 0, page: VecDeque::new() }
    }

    pub async fn next(&mut self, log: &dyn EventLog) -> Result<Option<Recorded>, StoreError> {
        if self.page.is_empty() {
            self.page = log.read_stream(self.stream, self.after, PAGE).await?.into();
        }
        let next = self.page.pop_front();
        if let Some(event) = &next {
            self.after = event.version;
        }
        Ok(next)
    }
}

/// Commands of a stream, a page at a time.
pub(crate) struct Commands {
    stream: StreamId,
    after: Option<u64>,
    page: VecDeque<RecordedCommand>,
    ended: bool,
}

impl Commands {
    pub const fn of(stream: StreamId) -> Self {
        Self { stream, after: None, page: VecDeque::new(), ended: false }
    }

    /// The next command, when it was decided before or with the event at `seq`.
    pub async fn next_upto(&mut self, log: &dyn EventLog, seq: u64) -> Result<Option<RecordedCommand>, StoreError> {
        if self.page.is_empty() && !self.ended {
            self.page = log.read_commands(self.stream, self.after, PAGE).await?.into();
            self.ended = self.page.is_empty();
            self.after = self.page.back().map(|last| last.first_seq).or(self.after);
        }
        Ok(self.page.pop_front_if(|command| command.first_seq <= seq))
    }
}

//! Numbers of the process itself, which no event tells: commits, queues, lags, restarts.
//!
//! Owns: one typed function for each. Refuses to know: who measures them, and with which clock.

use std::sync::PoisonError;

use metrics::{Counter, Histogram, Recorder};
use metrics_exporter_prometheus::PrometheusRecorder;
use nightshift_domain::{decider::Class, ids::ShardId};

use super::{METADATA, Metric, Metrics, histogram, key};

/// How the unknown outcome of a commit was resolved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resolved {
    /// It had been committed.
    Committed,
    /// It had not.
    Aborted,
}

impl Resolved {
    /// The word in the label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Committed => "committed",
            Self::Aborted => "aborted",
        }
    }
}

/// How far a read model is behind on one shard.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ShardLag {
    /// The shard.
    pub shard: ShardId,
    /// Events that are not folded yet.
    pub seqs: u64,
    /// Age of the oldest of them.
    pub seconds: f64,
}

/// A queue at one instant.
#[derive(Debug, Clone, PartialEq)]
pub struct QueueLevel {
    /// Its name.
    pub name: String,
    /// Steps that wait for their turn.
    pub waiting: u64,
    /// Steps that a limit or a pause holds back.
    pub held: u64,
    /// Steps that hold a place.
    pub taken: u64,
    /// How long the first of those that wait or are held back has done so.
    pub oldest_wait_seconds: f64,
    /// The most that may hold a place.
    pub places: u64,
    /// No step of it is given a place.
    pub paused: bool,
}

/// So many queues have series of their own; names come from documents, and others must not fill the scraper.
const QUEUES_MAX: usize = 200;

/// Handles that are used for each commit, so that no name is looked up there.
pub(super) struct Hot {
    commit_seconds: Histogram,
    group_events: Histogram,
    timer_lateness: Histogram,
    spans_exported: Counter,
}

impl Hot {
    pub(super) fn of(recorder: &PrometheusRecorder) -> Self {
        Self {
            commit_seconds: histogram(recorder, Metric::CommitSeconds),
            group_events: histogram(recorder, Metric::GroupEvents),
            timer_lateness: histogram(recorder, Metric::TimerLateness),
            spans_exported: recorder.register_counter(&key(Metric::SpansExported, &[]), &METADATA),
        }
    }
}

const fn class_name(class: Class) -> &'static str {
    match class {
        Class::Timer => "timer",
        Class::Job => "job",
        Class::Effect => "effect",
        Class::Send => "send",
    }
}

impl Metrics {
    /// A group commit took so long.
    pub fn append_commit_seconds(&self, seconds: f64) {
        self.hot.commit_seconds.record(seconds);
    }

    /// A group commit had so many events.
    pub fn append_group_events(&self, events: u64) {
        self.hot.group_events.record(events as f64);
    }

    /// A timer went off so long after its instant.
    pub fn timer_lateness_seconds(&self, seconds: f64) {
        self.hot.timer_lateness.record(seconds.max(0.0));
    }

    /// The collector took so many spans.
    pub fn spans_exported(&self, spans: u64) {
        self.hot.spans_exported.increment(spans);
    }

    /// An export of spans did not arrive.
    pub fn export_failed(&self) {
        self.counter(Metric::ExportFailures, &[]).increment(1);
    }

    /// An append was refused by the fence.
    pub fn fence_lost(&self) {
        self.counter(Metric::FenceLost, &[]).increment(1);
    }

    /// The outcome of a commit was unknown and is known now.
    pub fn unknown_outcome(&self, resolved: Resolved) {
        self.counter(Metric::UnknownOutcomes, &[resolved.as_str()]).increment(1);
    }

    /// The log ends before an event that was acknowledged.
    pub fn log_regression(&self) {
        self.counter(Metric::LogRegressions, &[]).increment(1);
    }

    /// A replayed decision differed.
    pub fn replay_divergence(&self) {
        self.counter(Metric::ReplayDivergences, &[]).increment(1);
    }

    /// A supervisor restarted an actor of this kind.
    pub fn actor_restarted(&self, actor: &'static str) {
        self.counter(Metric::ActorRestarts, &[actor]).increment(1);
    }

    /// So many messages wait, at most, for an actor of this kind.
    pub fn mailbox_depth(&self, actor: &'static str, messages: u64) {
        self.gauge(Metric::MailboxDepth, &[actor]).set(messages as f64);
    }

    /// So many streams are quarantined.
    pub fn quarantined_streams(&self, streams: u64) {
        self.gauge(Metric::QuarantinedStreams, &[]).set(streams as f64);
    }

    /// So old is the oldest transaction on PostgreSQL.
    pub fn oldest_snapshot_age_seconds(&self, seconds: f64) {
        self.gauge(Metric::OldestSnapshot, &[]).set(seconds);
    }

    /// So many obligations of the class are open, and the most overdue has been due for so long (0 when none is).
    pub fn obligations(&self, class: Class, open: u64, overdue_seconds: f64) {
        self.gauge(Metric::OpenObligations, &[class_name(class)]).set(open as f64);
        self.gauge(Metric::ObligationOverdue, &[class_name(class)]).set(overdue_seconds.max(0.0));
    }

    /// How far a read model is behind, over all shards: the sum of events, the largest age.
    pub fn projection_lag(&self, projection: &str, shards: &[ShardLag]) {
        let seqs: u64 = shards.iter().map(|lag| lag.seqs).sum();
        let seconds = shards.iter().map(|lag| lag.seconds).fold(0.0, f64::max);
        self.lag(projection, "all", seqs, seconds);
    }

    /// How far a read model is behind on each shard: two series for each, so only where shards are few.
    pub fn projection_lag_per_shard(&self, projection: &str, shards: &[ShardLag]) {
        shards.iter().for_each(|lag| self.lag(projection, &lag.shard.to_string(), lag.seqs, lag.seconds));
    }

    /// Jobs by state. States that are not named keep their last number: name all of them each time.
    pub fn task_queue_jobs(&self, by_status: &[(&'static str, u64)]) {
        for (status, jobs) in by_status {
            self.gauge(Metric::Jobs, &[status]).set(*jobs as f64);
        }
    }

    /// All queues that there are now. One that was named before and is gone stands at zero; of more than 200 the others are
    /// left out.
    pub fn queues(&self, levels: &[QueueLevel]) {
        let mut known = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        for gone in known.iter().filter(|name| !levels.iter().any(|level| level.name == **name)) {
            ["waiting", "held", "taken"]
                .iter()
                .for_each(|state| self.gauge(Metric::QueueJobs, &[gone, state]).set(0.0));
            self.gauge(Metric::QueueOldestWait, &[gone]).set(0.0);
            self.gauge(Metric::QueuePaused, &[gone]).set(0.0);
        }
        for level in levels {
            let name = level.name.as_str();
            if !known.contains(name) {
                if known.len() == QUEUES_MAX {
                    continue;
                }
                known.insert(name.to_owned());
            }
            for (state, steps) in [("waiting", level.waiting), ("held", level.held), ("taken", level.taken)] {
                self.gauge(Metric::QueueJobs, &[name, state]).set(steps as f64);
            }
            self.gauge(Metric::QueueOldestWait, &[name]).set(level.oldest_wait_seconds.max(0.0));
            self.gauge(Metric::QueuePlaces, &[name]).set(level.places as f64);
            self.gauge(Metric::QueuePaused, &[name]).set(f64::from(u8::from(level.paused)));
        }
    }

    /// So many tokens are in the bucket of an agent that all users share.
    pub fn agent_tokens(&self, agent: &str, tokens: f64) {
        self.gauge(Metric::AgentTokens, &[agent]).set(tokens);
    }

    fn lag(&self, projection: &str, shard: &str, seqs: u64, seconds: f64) {
        self.gauge(Metric::ProjectionLagSeqs, &[projection, shard]).set(seqs as f64);
        self.gauge(Metric::ProjectionLagSeconds, &[projection, shard]).set(seconds);
    }
}

//! Every metric by name: type, labels, buckets, and what it means.
//!
//! Owns: the one list. Refuses to know: where values come from.

/// What kind of number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counted into buckets with these upper bounds.
    Histogram(&'static [f64]),
}

/// What is fixed of a metric.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spec {
    /// Name.
    pub name: &'static str,
    /// Kind.
    pub kind: Kind,
    /// Names of its labels.
    pub labels: &'static [&'static str],
    /// One sentence.
    pub help: &'static str,
}

const RUN_SECONDS: &[f64] = &[1.0, 5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1200.0, 1800.0];
const STEP_SECONDS: &[f64] = &[0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0];
const QUEUE_SECONDS: &[f64] = &[0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0];
const COMMIT_SECONDS: &[f64] =
    &[0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];
const GROUP_EVENTS: &[f64] = &[1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0, 2000.0, 5000.0];
const LATENESS_SECONDS: &[f64] =
    &[0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 3600.0];

macro_rules! catalogue {
    ($($id:ident: $name:literal $kind:expr, [$($label:literal),*], $help:literal;)*) => {
        /// A metric.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Metric {
            $(#[doc = $help] $id,)*
        }

        impl Metric {
            /// Every metric.
            pub const ALL: &[Self] = &[$(Self::$id),*];

            /// What is fixed of it.
            #[must_use]
            pub const fn spec(self) -> Spec {
                match self {
                    $(Self::$id => Spec { name: $name, kind: $kind, labels: &[$($label),*], help: $help },)*
                }
            }
        }
    };
}

catalogue! {
    BuildInfo: "nightshift_build_info" Kind::Gauge, ["version", "revision"], "Always 1; the labels name the running build.";

    Runs: "nightshift_runs_total" Kind::Counter, ["definition", "status"], "Runs by definition: started, completed, failed, cancelled.";
    OrchestrationRuns: "orchestration_runs_total" Kind::Counter, ["definition", "status"], "Runs by definition: started, completed, failed, aborted.";
    RunSeconds: "orchestration_run_duration_seconds" Kind::Histogram(RUN_SECONDS), ["definition", "status"], "Time from the creation of a run to its end.";
    StepSeconds: "orchestration_step_duration_seconds" Kind::Histogram(STEP_SECONDS), ["definition", "step", "status"], "Time of one attempt at a step: completed, failed, lost.";
    StepQueueSeconds: "orchestration_step_queue_seconds" Kind::Histogram(QUEUE_SECONDS), ["definition", "step"], "Time a step waited in the queue for a lease.";
    Reports: "webhook_report_total" Kind::Counter, ["outcome"], "Messages of runs to webhooks that came to an end: taken, given_up.";
    StaleResults: "stale_result_total" Kind::Counter, [], "Results refused because their lease was no longer the open one.";
    LeasesExpired: "lease_expired_total" Kind::Counter, [], "Attempts lost with their lease.";
    Jobs: "task_queue_jobs" Kind::Gauge, ["status"], "Jobs by state, as of the last look.";
    QueueJobs: "queue_jobs" Kind::Gauge, ["queue", "state"], "Steps of a queue that ask for a place, as of the last look: waiting for their turn, held by a limit or a pause, taken.";
    QueueOldestWait: "queue_oldest_wait_seconds" Kind::Gauge, ["queue"], "How long the step of a queue has waited that waits longest; 0 when none does.";
    QueuePlaces: "queue_places" Kind::Gauge, ["queue"], "The most steps of a queue that run at once.";
    QueuePaused: "queue_paused" Kind::Gauge, ["queue"], "1 while a queue is paused, by its name or with all queues.";
    AgentTokens: "agent_tokens" Kind::Gauge, ["agent"], "Tokens in the bucket of an agent that all users share.";

    Slots: "deliverable_slots_total" Kind::Counter, ["outcome"], "Slots of deliverables by outcome: staged, failed, nothing_new, still_running, paused, missed.";
    Deliveries: "deliveries_total" Kind::Counter, ["platform", "outcome"], "Deliveries by platform: delivered, failed.";
    SourceObservations: "source_observations_total" Kind::Counter, ["platform", "outcome"], "Looks at sources by platform: changed, unchanged, failed.";
    ScheduleLateness: "schedule_lateness_seconds" Kind::Histogram(LATENESS_SECONDS), [], "Time from the due instant of a schedule to the event that fired it.";
    LlmTokens: "llm_tokens_total" Kind::Counter, ["kind"], "Tokens that model endpoints counted: prompt, completion.";

    CommitSeconds: "append_commit_seconds" Kind::Histogram(COMMIT_SECONDS), [], "Time of one group commit to the log.";
    GroupEvents: "append_group_events" Kind::Histogram(GROUP_EVENTS), [], "Events in one group commit.";
    FenceLost: "fence_lost_total" Kind::Counter, [], "Appends refused because another process owns the shard.";
    UnknownOutcomes: "unknown_outcome_total" Kind::Counter, ["resolved"], "Commits whose outcome was looked up after a lost connection: committed, aborted.";
    LogRegressions: "log_regression_total" Kind::Counter, [], "Times the log was found to end before an acknowledged event.";
    OldestSnapshot: "oldest_snapshot_xmin_age_seconds" Kind::Gauge, [], "Age of the oldest transaction that holds back vacuum on PostgreSQL.";
    ProjectionLagSeqs: "projection_lag_seqs" Kind::Gauge, ["projection", "shard"], "Events a read model has not folded yet; shard=\"all\" is the sum.";
    ProjectionLagSeconds: "projection_lag_seconds" Kind::Gauge, ["projection", "shard"], "Age of the oldest event a read model has not folded yet; shard=\"all\" is the largest.";
    ObligationOverdue: "obligation_overdue_seconds" Kind::Gauge, ["class"], "How long the most overdue open obligation has been due.";
    OpenObligations: "open_obligations" Kind::Gauge, ["class"], "Open effects and timers.";
    TimerLateness: "timer_lateness_seconds" Kind::Histogram(LATENESS_SECONDS), [], "Time from the due instant of a timer to its going off.";
    MailboxDepth: "mailbox_depth" Kind::Gauge, ["actor"], "Messages that wait, the most of any actor of the kind.";
    ActorRestarts: "actor_restarts_total" Kind::Counter, ["actor"], "Actors restarted by their supervisor.";
    QuarantinedStreams: "quarantined_streams" Kind::Gauge, [], "Streams set aside after repeated failures.";
    ReplayDivergences: "replay_divergence_total" Kind::Counter, [], "Replayed decisions that differed from the recorded ones.";
    SpansExported: "telemetry_spans_exported_total" Kind::Counter, [], "Spans that the collector took.";
    ExportFailures: "telemetry_export_failures_total" Kind::Counter, [], "Exports that did not arrive and were tried again.";
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_are_unique_and_say_their_kind_and_every_one_has_help() {
        let names: HashSet<_> = Metric::ALL.iter().map(|metric| metric.spec().name).collect();
        assert_eq!(names.len(), Metric::ALL.len());
        for spec in Metric::ALL.iter().map(|metric| metric.spec()) {
            assert_eq!(spec.kind == Kind::Counter, spec.name.ends_with("_total"), "{}", spec.name);
            assert!(spec.help.len() > 10 && spec.help.ends_with('.'), "{}", spec.name);
            if let Kind::Histogram(bounds) = spec.kind {
                assert!(bounds.is_sorted_by(|a, b| a < b), "{}", spec.name);
            }
        }
    }
}

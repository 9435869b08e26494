//! What a scrape says after histories that the real decider made.

mod history;

use history::{History, call, delivery, eventful, for_three, said};
use nightshift_domain::{
    content::{Cursor, FailureClass, SourceSpec},
    decider::{Class, Decider},
    deliverable::{Event as DeliverableEvent, Skipped},
    ids::{DeliverableId, ScheduleId, ShardId, SourceId, UserId, derive},
    recorded::Recorded,
    run::{Action, Event as RunEvent, Flow, RunDecider, State},
    schedule::{Event as ScheduleEvent, SkipReason},
    source::Event as SourceEvent,
    streams::AnyEvent,
    time::Timestamp,
};
use nightshift_telemetry::metrics::{BuildInfo, Metric, Metrics, QueueLevel, Resolved, ShardLag};

fn fresh() -> Metrics {
    Metrics::new(&BuildInfo { version: "0.1.0".to_owned(), revision: "a\"b\\c".to_owned() }).unwrap()
}

fn observe(metrics: &Metrics, history: &History) {
    history.events.iter().for_each(|recorded| metrics.observe_event(recorded, &recorded.decode().unwrap()));
}

/// The number of a series, as the text says it.
fn number(text: &str, series: &str) -> Option<f64> {
    text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
}

#[track_caller]
fn assert_numbers(metrics: &Metrics, expected: &[(&str, f64)]) {
    let text = metrics.render();
    for (series, wanted) in expected {
        let found = number(&text, series);
        assert!(found.is_some_and(|found| (found - wanted).abs() < 1e-9), "{series}: {found:?}, not {wanted}\n{text}");
    }
}

#[test]
fn runs_steps_and_deliveries_are_counted_from_events() {
    let metrics = fresh();
    observe(&metrics, &eventful());
    observe(&metrics, &delivery());
    let labels = |step: &str, status: &str| {
        format!("{{definition=\"deliverable.produce@1\",step=\"{step}\",status=\"{status}\"}}")
    };
    assert_numbers(
        &metrics,
        &[
            ("nightshift_runs_total{definition=\"deliverable.produce@1\",status=\"started\"}", 2.0),
            ("nightshift_runs_total{definition=\"deliverable.produce@1\",status=\"completed\"}", 2.0),
            ("orchestration_runs_total{definition=\"deliverable.produce@1\",status=\"completed\"}", 2.0),
            ("lease_expired_total", 1.0),
            ("stale_result_total", 1.0),
            ("llm_tokens_total{kind=\"prompt\"}", 900.0),
            ("llm_tokens_total{kind=\"completion\"}", 120.0),
            ("deliveries_total{platform=\"file\",outcome=\"delivered\"}", 1.0),
            (&format!("orchestration_step_duration_seconds_sum{}", labels("compose", "failed")), 1.0),
            (&format!("orchestration_step_duration_seconds_sum{}", labels("compose", "lost")), 30.0),
            (&format!("orchestration_step_duration_seconds_sum{}", labels("compose", "completed")), 2.5),
            ("orchestration_step_queue_seconds_sum{definition=\"deliverable.produce@1\",step=\"compose\"}", 0.31),
            (
                "orchestration_run_duration_seconds_count{definition=\"deliverable.produce@1\",status=\"completed\"}",
                2.0,
            ),
            (
                "orchestration_run_duration_seconds_bucket{definition=\"deliverable.produce@1\",status=\"completed\",le=\"1\"}",
                1.0,
            ),
        ],
    );
}

#[test]
fn a_run_that_began_before_the_process_counts_and_is_timed_when_adopted() {
    let mut it = History::created("old", &[("compose", Action::Compose {})]);
    it.after_ms(100).grant("compose");
    let (seen, before) = (it.events.len(), it.state.clone());
    it.after_ms(2_000).cancel();
    let rest = |metrics: &Metrics| {
        it.events[seen..].iter().for_each(|recorded| metrics.observe_event(recorded, &recorded.decode().unwrap()));
    };
    let stranger = fresh();
    rest(&stranger);
    assert_numbers(&stranger, &[("orchestration_runs_total{definition=\"unknown\",status=\"aborted\"}", 1.0)]);

    let adopted = fresh();
    adopted.adopt_run(it.run, &before);
    adopted.adopt_run(it.run, &State::Unborn);
    rest(&adopted);
    let duration = "orchestration_run_duration_seconds_sum{definition=\"deliverable.produce@1\",status=\"aborted\"}";
    assert_numbers(&adopted, &[(duration, 2.1)]);
}

#[test]
fn instances_of_a_list_count_for_their_step() {
    let metrics = fresh();
    let mut it = History::workflow("list", vec![("list", call(), for_three())]);
    for instance in ["list[0]", "list[1]", "list[2]"] {
        it.after_ms(1_000).grant(instance);
    }
    for instance in ["list[0]", "list[1]", "list[2]"] {
        it.after_ms(1_000).finish(instance, Ok(said()));
    }
    observe(&metrics, &it);
    let of = "definition=\"ann/campaign@1\",step=\"list\"";
    assert_numbers(
        &metrics,
        &[
            (&format!("orchestration_step_queue_seconds_sum{{{of}}}"), 6.0),
            (&format!("orchestration_step_duration_seconds_sum{{{of},status=\"completed\"}}"), 9.0),
            (&format!("orchestration_step_duration_seconds_count{{{of},status=\"completed\"}}"), 3.0),
            ("llm_tokens_total{kind=\"prompt\"}", 210.0),
        ],
    );
    assert!(!metrics.render().contains("list["), "an instance has no label of its own");

    let (cut, adopted) = (it.events.len() - 3, fresh());
    let mut before = State::Unborn;
    let decoded = |at: usize| match it.events[at].decode().unwrap() {
        AnyEvent::Run(event) => event,
        other => panic!("{other:?}"),
    };
    (0..cut).for_each(|at| RunDecider::evolve(&mut before, &decoded(at), it.events[at].at));
    adopted.adopt_run(it.run, &before);
    it.events[cut..].iter().for_each(|recorded| adopted.observe_event(recorded, &recorded.decode().unwrap()));
    let last = format!("orchestration_step_duration_seconds_count{{{of},status=\"completed\"}}");
    assert!(number(&adopted.render(), &last).is_some_and(|count| count > 0.5), "known from the state of the run");
}

#[test]
fn a_run_that_is_opened_again_is_counted_again() {
    let metrics = fresh();
    let mut it = History::workflow("again", vec![("one", call(), Flow::default())]);
    it.grant("one").after_ms(1_000).finish("one", Ok(said()));
    it.after_ms(9_000).rerun("one").grant("one").after_ms(2_000).finish("one", Ok(said()));
    observe(&metrics, &it);
    let of = |status: &str| format!("nightshift_runs_total{{definition=\"ann/campaign@1\",status=\"{status}\"}}");
    let seconds = "orchestration_run_duration_seconds_sum{definition=\"ann/campaign@1\",status=\"completed\"}";
    assert_numbers(&metrics, &[(&of("started"), 2.0), (&of("completed"), 2.0), (seconds, 3.0)]);
}

/// Only stream, instant and the decoded event count.
fn recorded(event: &AnyEvent, at: Timestamp) -> Recorded {
    let seed = derive("test", &[]);
    let mut recorded = delivery().events.remove(0);
    recorded.at = at;
    recorded.stream = match event {
        AnyEvent::Schedule(_) => ScheduleId::on_shard(seed, ShardId(1)).stream(),
        AnyEvent::Source(_) => SourceId::on_shard(seed, ShardId(1)).stream(),
        _ => DeliverableId::on_shard(seed, ShardId(1)).stream(),
    };
    recorded
}

#[test]
fn slots_schedules_and_sources_are_counted() {
    let (metrics, nominal) = (fresh(), Timestamp::from_secs(1_000));
    let target = DeliverableId::on_shard(derive("test", &[]), ShardId(1)).stream();
    let spec = SourceSpec::Feed { url: "http://h/feed".to_owned() };
    let failed = SourceEvent::ObservationFailed { class: FailureClass::Transient, message: "refused".to_owned() };
    let slot = derive("slot", &[]);
    let skipped = Skipped::NothingNew { sources: 1, failing: 0 };
    let (next_due, tz_revision) = (None, "2026a".to_owned());
    let events: Vec<AnyEvent> = vec![
        failed.clone().into(),
        SourceEvent::Registered { user: UserId::default(), spec }.into(),
        SourceEvent::Checked { omitted: vec![], cursor: Cursor::default() }.into(),
        failed.into(),
        DeliverableEvent::Skipped { slot, nominal, reason: skipped, next_due }.into(),
        ScheduleEvent::Fired { target, nominal, next_due, tz_revision }.into(),
        ScheduleEvent::Skipped {
            target,
            from: nominal,
            upto: nominal,
            count: 5,
            count_is_bound: false,
            reason: SkipReason::CatchUpLatest,
            next_due,
            tz_revision: "2026a".to_owned(),
        }
        .into(),
    ];
    events.iter().for_each(|event| metrics.observe_event(&recorded(event, nominal.plus_ms(40)), event));
    assert_numbers(
        &metrics,
        &[
            ("source_observations_total{platform=\"unknown\",outcome=\"failed\"}", 1.0),
            ("source_observations_total{platform=\"feed\",outcome=\"failed\"}", 1.0),
            ("source_observations_total{platform=\"feed\",outcome=\"unchanged\"}", 1.0),
            ("deliverable_slots_total{outcome=\"nothing_new\"}", 1.0),
            ("deliverable_slots_total{outcome=\"missed\"}", 5.0),
            ("deliverable_slots_total{outcome=\"staged\"}", 0.0),
            ("schedule_lateness_seconds_sum", 0.04),
        ],
    );
}

#[test]
fn numbers_of_the_process_arrive_and_lags_are_added_up() {
    let metrics = fresh();
    exercise(&metrics);
    metrics.run_upkeep();
    assert_numbers(
        &metrics,
        &[
            ("append_commit_seconds_bucket{le=\"0.0025\"}", 1.0),
            ("append_group_events_sum", 40.0),
            ("projection_lag_seqs{projection=\"runs\",shard=\"all\"}", 12.0),
            ("projection_lag_seconds{projection=\"runs\",shard=\"all\"}", 3.5),
            ("projection_lag_seqs{projection=\"runs\",shard=\"2\"}", 5.0),
            ("unknown_outcome_total{resolved=\"committed\"}", 0.0),
            ("unknown_outcome_total{resolved=\"aborted\"}", 1.0),
            ("obligation_overdue_seconds{class=\"timer\"}", 4.0),
            ("task_queue_jobs{status=\"dead\"}", 2.0),
            ("queue_jobs{queue=\"slow\",state=\"waiting\"}", 3.0),
            ("queue_jobs{queue=\"slow\",state=\"held\"}", 2.0),
            ("queue_jobs{queue=\"slow\",state=\"taken\"}", 1.0),
            ("queue_oldest_wait_seconds{queue=\"slow\"}", 7.5),
            ("queue_places{queue=\"slow\"}", 4.0),
            ("queue_paused{queue=\"slow\"}", 1.0),
            ("agent_tokens{agent=\"writer\"}", 19.5),
        ],
    );
}

#[test]
fn every_metric_of_the_catalogue_is_rendered_with_its_help_and_type() {
    let metrics = fresh();
    exercise(&metrics);
    observe(&metrics, &eventful());
    observe(&metrics, &delivery());
    metrics.adopt_source(SourceId::on_shard(derive("test", &[]), ShardId(1)), "git");
    let looked: AnyEvent = SourceEvent::Checked { omitted: vec![], cursor: Cursor::default() }.into();
    metrics.observe_event(&recorded(&looked, Timestamp::from_secs(1)), &looked);
    let told = RunEvent::Reported { version: 1, part: 0, event: "orchestration.run.created".to_owned(), attempts: 1 };
    let told: AnyEvent = told.into();
    metrics.observe_event(&recorded(&told, Timestamp::from_secs(1)), &told);
    let text = metrics.render();
    for spec in Metric::ALL.iter().map(|metric| metric.spec()) {
        assert!(text.contains(&format!("# HELP {} {}", spec.name, spec.help.replace('\\', "\\\\"))), "{}", spec.name);
        assert!(text.contains(&format!("# TYPE {} ", spec.name)), "{}", spec.name);
    }
    assert!(text.contains("revision=\"a\\\"b\\\\c\""), "{text}");
}

fn exercise(metrics: &Metrics) {
    metrics.append_commit_seconds(0.002);
    metrics.append_group_events(40);
    metrics.timer_lateness_seconds(-0.5);
    metrics.spans_exported(3);
    metrics.export_failed();
    metrics.fence_lost();
    metrics.unknown_outcome(Resolved::Aborted);
    metrics.log_regression();
    metrics.replay_divergence();
    metrics.actor_restarted("queue");
    metrics.mailbox_depth("journal", 7);
    metrics.quarantined_streams(1);
    metrics.oldest_snapshot_age_seconds(2.0);
    Class::ALL.iter().for_each(|class| metrics.obligations(*class, 9, 4.0));
    let lags =
        [(1, 7, 3.5), (2, 5, 1.0)].map(|(shard, seqs, seconds)| ShardLag { shard: ShardId(shard), seqs, seconds });
    metrics.projection_lag("runs", &lags);
    metrics.projection_lag_per_shard("runs", &lags);
    metrics.task_queue_jobs(&[("queued", 4), ("dead", 2)]);
    metrics.queues(&[level("slow")]);
    metrics.agent_tokens("writer", 19.5);
}

fn level(name: &str) -> QueueLevel {
    QueueLevel {
        name: name.to_owned(),
        waiting: 3,
        held: 2,
        taken: 1,
        oldest_wait_seconds: 7.5,
        places: 4,
        paused: true,
    }
}

#[test]
fn a_queue_that_is_gone_stands_at_zero_and_names_are_bounded() {
    let metrics = fresh();
    metrics.queues(&[level("slow")]);
    metrics.queues(&[level("default")]);
    assert_numbers(
        &metrics,
        &[
            ("queue_jobs{queue=\"slow\",state=\"held\"}", 0.0),
            ("queue_oldest_wait_seconds{queue=\"slow\"}", 0.0),
            ("queue_paused{queue=\"slow\"}", 0.0),
            ("queue_jobs{queue=\"default\",state=\"held\"}", 2.0),
        ],
    );
    let many: Vec<QueueLevel> = (0..1_000).map(|n| level(&format!("q{n:04}"))).collect();
    metrics.queues(&many);
    let series = metrics.render().lines().filter(|line| line.starts_with("queue_places{")).count();
    assert_eq!(series, 200);
}

//! Scripted histories through the real deciders, and the rows they must give; and what holds for any history.

mod support;

use nightshift_domain::{
    content::{FailureClass, SourceFailure},
    deliverable::{self, VersionStatus, schedule_id},
    ids::{UserId, VersionId},
    run::{self, StepOutput},
    schedule, source,
};
use serde_json::{Value, json};
use support::{
    World, draft,
    histories::{assessment, delivered, due_slot, look, observation, rows_of, run_of, slot_taken, staged},
    hourly, material, order, receipt, record, samples,
    samples::item,
    secs,
    store::Store,
    text, the_deliverable, the_source,
};

fn time(at: i64) -> Value {
    let text = secs(at).to_chrono().format("%Y-%m-%dT%H:%M:%S%.6fZ").to_string();
    Value::String(text)
}

/// The columns named in `expected` have these values.
fn assert_columns(row: &nightshift_projections::table::Row, expected: &Value) {
    let wrong: Vec<String> = expected
        .as_object()
        .unwrap()
        .iter()
        .filter(|(column, value)| row.get(*column) != Some(value))
        .map(|(column, value)| format!("{column}: expected {value}, found {:?}", row.get(column)))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn an_order_and_its_schedule_become_rows() {
    let mut world = World::default();
    let create = deliverable::Command::Create { user: UserId::default(), order: Box::new(order()), paused: false };
    world.at(10).send(the_deliverable().stream(), create);
    let rows = rows_of(&world);
    assert_columns(
        rows.all("deliverables")[0],
        &json!({
            "id": the_deliverable().to_string(), "user_id": "local", "title": "Weekly status", "status": "active",
            "deliverable_type": "weekly_status", "trigger_type": "schedule", "governance": "manual",
            "recipient_context": {"recipient": "the team", "notify": ["ann@example.org"]},
            "template_structure": {"sections": ["Done"]}, "destination": {"platform": "file", "folder": "/out"},
            "schedule_id": schedule_id(the_deliverable()).to_string(), "next_run_at": time(3600), "created_at": time(10),
            "current_slot": null, "shard_id": 1, "src_seq": 2,
        }),
    );
    assert_columns(
        rows.all("schedules")[0],
        &json!({
            "deliverable_id": the_deliverable().to_string(), "user_id": "local", "status": "active",
            "rule": {"interval": {"every_s": 3600, "anchor": time(0)}}, "catch_up": "all(2)", "overlap": "skip",
            "next_due_at": time(3600), "fired_count": 0, "tz_revision": "test",
        }),
    );
    assert_columns(rows.all("activity_log")[0], &json!({"id": "1/1", "summary": "Weekly status created"}));
}

#[test]
fn a_slot_becomes_a_staged_version() {
    let rows = rows_of(&staged());
    let version = VersionId::of(the_deliverable(), 1).to_string();
    assert_columns(
        rows.one("deliverable_versions", "id", &version),
        &json!({
            "version_number": 1, "status": "staged", "user_id": "local", "draft_content": "# Hello",
            "final_content": "# Hello", "content_bytes": 7, "trigger": "schedule", "nominal_at": time(3600),
            "created_at": time(3601), "staged_at": time(3612), "delivery_status": null, "delivery_count": 0,
        }),
    );
    let metadata = &rows.one("deliverable_versions", "id", &version)["analyst_metadata"];
    assert_eq!(metadata["composer"], json!({"kind": "extractive", "revision": 1}));
    assert_eq!(metadata["warnings"], json!(["short", "no links"]));
    assert_columns(
        rows.all("deliverables")[0],
        &json!({
            "last_triggered_at": time(3600), "last_run_at": time(3601), "next_run_at": time(7200),
            "current_slot": null, "current_run_id": null, "current_since": null,
        }),
    );
    let line = rows.one("activity_log", "event_type", "deliverable_run");
    assert_columns(line, &json!({"summary": "Weekly status v1 staged", "event_ref": version, "user_id": "local"}));
    assert_eq!(line["metadata"]["final_status"], "staged");
    assert_eq!(line["metadata"]["strategy"], "cross_platform");
}

#[test]
fn a_run_its_steps_its_jobs_and_its_attempts_become_rows() {
    let rows = rows_of(&staged());
    let run = rows.one("orchestration_runs", "definition", "deliverable.produce@1");
    assert_columns(
        run,
        &json!({
            "orchestration_name": "deliverable.produce", "status": "completed", "version_number": 1, "total_steps": 3,
            "completed_steps": 3, "created_at": time(3601), "started_at": time(3602), "completed_at": time(3612),
            "error_details": null, "parent_orchestration_run_id": null, "root_run_id": run["id"],
        }),
    );
    assert_eq!(run["results"]["gather"]["material"]["items"], 2);
    assert_eq!(run["results"]["compose"]["draft"]["bytes"], 7);
    assert!(!run["results"].to_string().contains("# Hello"), "whole texts stay out");
    assert_eq!(run["trace_id"], run["id"].as_str().unwrap().replace('-', ""));
    assert_eq!(run["plan"]["steps"][1]["depends_on"], json!(["gather"]));

    let compose = rows.one("orchestration_steps", "step_id", "compose");
    let expected = json!({"status": "completed", "attempt_number": 2, "max_attempts": 5, "step_index": 1,
        "error_details": null, "next_retry_at": null, "started_at": time(3611), "completed_at": time(3611)});
    assert_columns(compose, &expected);
    let job = rows.one("job_queue", "step_id", "compose");
    assert_columns(
        job,
        &json!({"status": "success", "attempts": 2, "priority": 100, "lease_until": null, "user_id": "local"}),
    );
    let attempts: Vec<_> = rows.all("job_attempts").into_iter().filter(|row| row["step_id"] == "compose").collect();
    let first = json!({"attempt": 1, "success": false, "failure_class": "transient", "error_text": "refused\u{fffd}",
        "worker": "worker-1", "started_at": time(3603), "finished_at": time(3603), "stale": false});
    assert_columns(attempts[0], &first);
    assert_columns(attempts[1], &json!({"attempt": 2, "success": true, "failure_class": null}));
}

#[test]
fn a_job_shows_what_it_waits_for() {
    let mut world = World::default();
    let run = slot_taken(&mut world, order());
    assert_columns(
        rows_of(&world).all("job_queue")[0],
        &json!({"status": "queued", "attempts": 0, "next_run_at": time(3601)}),
    );
    let token = world.at(3602).grant(run, "gather", 1);
    let leased = json!({"status": "leased", "attempts": 1, "lease_until": time(3632), "next_run_at": null});
    assert_columns(rows_of(&world).all("job_queue")[0], &leased);
    assert_columns(rows_of(&world).all("orchestration_runs")[0], &json!({"status": "running", "completed_at": null}));
    world.at(3603).finish(run, ("gather", 1), token, Err(samples::failure()));
    let (rows, due) = (rows_of(&world), "2s");
    let job = rows.all("job_queue")[0];
    assert_columns(job, &json!({"status": "failed", "lease_until": null}));
    assert_eq!(job["next_run_at"], rows.one("orchestration_steps", "step_id", "gather")["next_retry_at"]);
    assert!(job["next_run_at"].as_str() >= time(3605).as_str(), "retried before {due}");
}

#[test]
fn review_and_delivery_become_columns_and_lines() {
    let rows = rows_of(&delivered());
    assert_columns(
        rows.all("deliverable_versions")[0],
        &json!({
            "status": "delivered", "draft_content": "# Hello", "final_content": "# Better", "edit_diff": "-a\n+b",
            "content_digest": text("# Better").digest.0, "edit_categories": ["shortened"], "edit_distance_score": 0.125,
            "approved_by": "ann", "approved_at": time(3702), "feedback_notes": "good", "delivery_status": "delivered",
            "delivery_external_id": "id-1", "delivery_external_url": "file:///out/1.md", "delivery_count": 1,
            "delivered_at": time(3703), "delivery_error": null,
        }),
    );
    let lines: Vec<&str> = rows.all("activity_log").iter().filter_map(|row| row["summary"].as_str()).collect();
    let about: Vec<&&str> = lines.iter().filter(|line| line.contains("v1")).collect();
    let expected = [
        "Weekly status v1 staged",
        "Weekly status v1 edited by ann",
        "Weekly status v1 approved by ann",
        "Weekly status v1 delivered",
    ];
    assert_eq!(about, expected.iter().collect::<Vec<_>>());
    let deliver = rows.one("orchestration_runs", "orchestration_name", "deliverable.deliver");
    assert_eq!(deliver["plan"]["steps"][0]["with"]["target"], "/out");
    assert_eq!(
        deliver["root_run_id"],
        rows.one("orchestration_runs", "orchestration_name", "deliverable.produce")["id"]
    );
    assert!(!deliver["plan"].to_string().contains("# Better"), "whole texts stay out");
}

#[test]
fn notices_stand_in_the_application_and_wait_for_their_mail() {
    let mut world = staged();
    let rows = rows_of(&world);
    let in_app = json!({"status": "sent", "urgency": "normal", "version_number": 1, "sent_at": time(3612),
        "subject": "Weekly status: version 1 is ready for review", "user_id": "local"});
    assert_columns(rows.one("notifications", "channel", "in_app"), &in_app);
    assert_columns(rows.one("notifications", "channel", "email"), &json!({"status": "pending", "sent_at": null}));
    let notify = run_of(&world, "deliverable.notify@1");
    world.at(3620).attempt(notify, "notify", 1, Ok(StepOutput::Receipt(receipt())));
    let rows = rows_of(&world);
    assert_columns(rows.one("notifications", "channel", "email"), &json!({"status": "sent", "sent_at": time(3620)}));
}

#[test]
fn a_skip_says_why_and_frees_the_slot() {
    let mut world = delivered();
    world.at(7200).send(schedule_id(the_deliverable()).stream(), schedule::Command::Fire { nominal: secs(7200) });
    let slot = due_slot(&world);
    let before = rows_of(&world);
    assert_eq!(before.all("deliverables")[0]["current_slot"], slot.to_string());
    let nothing = deliverable::Command::Assessed { slot, sources: vec![assessment(0)] };
    world.at(7201).send(the_deliverable().stream(), nothing);
    let rows = rows_of(&world);
    let reason = "No new content since last run (1 source(s) checked)";
    let expected = json!({"last_skip_at": time(7201), "last_skip_reason": reason, "current_slot": null,
        "last_run_at": time(3601), "next_run_at": time(10_800)});
    assert_columns(rows.all("deliverables")[0], &expected);
    let line = rows.one("activity_log", "event_type", "deliverable_skipped");
    assert_eq!(line["summary"], format!("Weekly status skipped: {reason}"));
    assert_eq!(rows.all("deliverable_versions").len(), 1);
}

#[test]
fn a_cancelled_run_leaves_nothing_open() {
    let mut world = World::default();
    let run = slot_taken(&mut world, order());
    let token = world.at(3602).grant(run, "gather", 1);
    world.at(3603).send(run.stream(), run::Command::Cancel { reason: "not now".to_owned() });
    for pages in [1, 1000] {
        let rows = Store::folded(&world.log, &[pages]);
        let run = rows.all("orchestration_runs")[0];
        assert_columns(
            run,
            &json!({"status": "cancelled", "error_details": {"reason": "not now"}, "completed_at": time(3603)}),
        );
        let steps: Vec<_> =
            rows.all("orchestration_steps").into_iter().filter(|row| row["run_id"] == run["id"]).collect();
        assert!(steps.len() == 3 && steps.iter().all(|row| row["status"] == "skipped"), "{steps:?}");
        assert_columns(rows.all("job_queue")[0], &json!({"status": "cancelled", "lease_until": null}));
        let attempt =
            json!({"success": false, "failure_class": "cancelled", "finished_at": time(3603), "worker": "worker-1"});
        assert_columns(rows.all("job_attempts")[0], &attempt);
        assert_columns(rows.all("deliverable_versions")[0], &json!({"status": "failed", "draft_content": null}));
    }
    world.at(3604).finish(run, ("gather", 1), token, Ok(material()));
    let late = json!({"success": false, "failure_class": "cancelled", "finished_at": time(3603), "stale": true});
    assert_columns(rows_of(&world).all("job_attempts")[0], &late);
}

#[test]
fn a_lost_lease_closes_its_attempt_and_queues_the_next() {
    let mut world = World::default();
    let run = slot_taken(&mut world, order());
    let token = world.at(3602).grant(run, "gather", 1);
    let (step, reason) = ("gather".to_owned(), "the worker is gone".to_owned());
    world.at(3632).send(run.stream(), run::Command::Expire { step, attempt: 1, token, reason });
    world.at(3633).finish(run, ("gather", 1), token, Ok(material()));
    let rows = rows_of(&world);
    let lost = json!({"success": false, "failure_class": "lost", "error_text": "the worker is gone", "stale": true});
    assert_columns(rows.all("job_attempts")[0], &lost);
    assert_columns(rows.all("job_queue")[0], &json!({"status": "queued", "next_run_at": time(3632)}));
}

#[test]
fn a_schedule_says_when_its_deliverable_is_due() {
    let mut world = World::default();
    slot_taken(&mut world, order());
    let (stream, timer) = (the_deliverable().stream(), schedule_id(the_deliverable()).stream());
    let due = |world: &World| {
        let rows = rows_of(world);
        assert_eq!(rows.all("deliverables")[0]["next_run_at"], rows.all("schedules")[0]["next_due_at"]);
        rows.all("deliverables")[0]["next_run_at"].clone()
    };
    assert_eq!(due(&world), time(7200));
    world.at(4000).send(stream, deliverable::Command::Pause { note: "holidays".to_owned() });
    assert_eq!(due(&world), Value::Null);
    let rows = rows_of(&world);
    assert_columns(rows.all("schedules")[0], &json!({"status": "paused", "pause_note": "holidays", "fired_count": 1}));
    assert_columns(rows.all("deliverables")[0], &json!({"status": "paused", "pause_note": "holidays"}));
    world.send(
        timer,
        schedule::Command::Retime { schedule: nightshift_domain::calendar::Schedule { jitter_s: 9, ..hourly() } },
    );
    assert_eq!(due(&world), Value::Null, "re-timed while paused");
    assert_eq!(rows_of(&world).all("schedules")[0]["jitter_s"], 9);
    world.at(20_000).send(stream, deliverable::Command::Resume {});
    assert_eq!(due(&world), time(21_600));
    world.at(40_000).send(timer, schedule::Command::Fire { nominal: secs(21_600) });
    let rows = rows_of(&world);
    let schedule = rows.all("schedules")[0];
    assert!(schedule["skipped_count"].as_i64() > Some(0), "{schedule:?}");
    assert_eq!(schedule["last_skip_reason"], rows.all("deliverables")[0]["last_skip_reason"].clone());
    assert!(rows.all("activity_log").iter().any(|row| row["event_type"] == "schedule_skipped"));
    world.send(stream, deliverable::Command::Archive {});
    assert_eq!(due(&world), Value::Null);
    assert_columns(rows_of(&world).all("schedules")[0], &json!({"status": "ended"}));
}

#[test]
fn a_source_is_followed_item_by_item() {
    let mut world = World::default();
    look(world.at(100), Ok(observation(vec![item("a.md", "alpha"), item("b.md", "beta")], &[])));
    look(world.at(200), Ok(observation(vec![item("a.md", "alpha 2")], &["b.md"])));
    let refused = SourceFailure { class: FailureClass::Permanent, message: "no such folder".to_owned() };
    look(world.at(300), Err(refused.clone()));
    look(world.at(400), Err(refused));
    let rows = rows_of(&world);
    let expected = json!({"platform": "folder", "resource_id": "/notes", "resource_name": "notes", "item_count": 1,
        "last_synced_at": time(200), "last_checked_at": time(400), "failing_since": time(300), "last_error": "no such folder",
        "source_latest_at": time(50), "platform_cursor": {"seen": "1"}});
    assert_columns(rows.all("sync_registry")[0], &expected);
    let texts: Vec<&Value> = rows.all("platform_content_items").iter().map(|row| &row["content"]).collect();
    assert_eq!(texts, ["alpha", "beta", "alpha 2"].map(Value::from).iter().collect::<Vec<_>>());
    assert_columns(rows.one("platform_items", "item_id", "b.md"), &json!({"gone_at": time(200)}));
    let lines: Vec<&Value> = rows.all("activity_log").iter().map(|row| &row["summary"]).collect();
    assert_eq!(lines.len(), 3, "a failing source is noted once: {lines:?}");

    look(world.at(500), Ok(observation(vec![item("b.md", "beta")], &[])));
    let rows = rows_of(&world);
    assert_columns(rows.all("sync_registry")[0], &json!({"item_count": 2, "failing_since": null, "last_error": null}));
    assert_columns(rows.one("platform_items", "item_id", "b.md"), &json!({"gone_at": null}));
    let again = json!({"first_version": 2, "stream_version": 6, "fetched_at": time(500)});
    assert_columns(rows.one("platform_content_items", "content", "beta"), &again);
}

#[test]
fn retained_texts_outlive_their_time_and_others_do_not() {
    let mut world = World::default();
    look(world.at(100), Ok(observation(vec![item("a.md", "alpha")], &[])));
    let reference = VersionId::of(the_deliverable(), 1);
    let keep = source::Command::Retain { from_version: 0, upto_version: 2, reference };
    world.at(200).send(the_source().stream(), keep);
    look(world.at(300), Ok(observation(vec![item("b.md", "beta")], &[])));
    let far = 300 + 721 * 3600;
    look(world.at(far), Ok(observation(vec![], &[])));
    for pages in [1, 1000] {
        let rows = Store::folded(&world.log, &[pages]);
        let expected = json!({"from_version": 0, "upto_version": 2, "reference": reference.to_string(),
            "retained_at": time(200), "reason": "deliverable_execution", "retained_version": 3});
        assert_columns(rows.all("content_retentions")[0], &expected);
        assert_eq!(rows.all("platform_content_items").len(), 1, "beta expired");
        assert_columns(rows.one("platform_items", "item_id", "b.md"), &json!({"expired_at": time(far)}));
        assert_columns(rows.one("platform_items", "item_id", "a.md"), &json!({"expired_at": null}));
        assert_eq!(rows.all("sync_registry")[0]["item_count"], 1);
    }
}

#[test]
fn a_failed_version_says_which_step_and_why() {
    let mut world = World::default();
    let run = slot_taken(&mut world, order());
    let failure = nightshift_domain::content::Failure::new(FailureClass::Permanent, "no key");
    world.at(3602).attempt(run, "gather", 1, Err(failure));
    let rows = rows_of(&world);
    let metadata = &rows.all("deliverable_versions")[0]["analyst_metadata"];
    assert_eq!((&metadata["failed_step"], &metadata["failure"]["message"]), (&json!("gather"), &json!("no key")));
    let summary = &rows.one("activity_log", "event_type", "deliverable_run")["summary"];
    assert_eq!(summary, "Weekly status v1 failed at step gather: no key");
    assert_columns(rows.one("job_queue", "step_id", "gather"), &json!({"status": "dead"}));
    assert_columns(rows.one("orchestration_steps", "step_id", "compose"), &json!({"status": "skipped"}));
    let run = rows.one("orchestration_runs", "definition", "deliverable.produce@1");
    assert_eq!(
        run["error_details"],
        json!({"step": "gather", "class": "permanent", "message": "no key", "status_code": null})
    );
    assert_columns(rows.one("notifications", "channel", "in_app"), &json!({"urgency": "high"}));
}

#[test]
fn a_large_text_leaves_its_digest_only() {
    let mut large = draft("# Large");
    large.text.inline = None;
    let (version_id, number) = (VersionId::of(the_deliverable(), 1), 1);
    let staged =
        deliverable::Event::VersionStaged { number, version_id, draft: large, snapshots: vec![], consumed: [].into() };
    let recorded = record(the_deliverable().stream(), (1, 1), secs(1), &staged.clone().into());
    let rows = Store::folded(&[(recorded, staged.into())], &[1]);
    let row = rows.all("deliverable_versions")[0];
    let expected = json!({"draft_content": null, "final_content": null, "content_digest": text("# Large").digest.0,
        "content_bytes": 7, "status": VersionStatus::Staged.as_str()});
    assert_columns(row, &expected);
}

//! Every pair of phase and command.

use super::*;
use crate::testing::{covers_every_pair, word};

/// The phase is that of step `a`, or of the run: `over` was cancelled while `a` ran, `failed` can be opened again, `barred`
/// was stopped before it began.
const PHASES: [&str; 14] = [
    "unborn",
    "barred",
    "queued",
    "running",
    "waiting",
    "completed",
    "dead",
    "parked",
    "asking",
    "fanned",
    "paused",
    "failed",
    "done",
    "over",
];

/// What each command comes to, in the order of the phases: facts, `-` for nothing, or the word of the rejection.
const TABLE: &[(&str, [&str; 14])] = &[
    (
        "create",
        [
            "created step_queued",
            "created step_skipped cancelled",
            "-",
            "-",
            "-",
            "-",
            "-",
            "-",
            "-",
            "-",
            "-",
            "-",
            "-",
            "-",
        ],
    ),
    (
        "begin",
        [
            "created step_queued attempt_started",
            "created step_skipped cancelled",
            "-",
            "-",
            "-",
            "-",
            "-",
            "-",
            "-",
            "-",
            "-",
            "-",
            "-",
            "-",
        ],
    ),
    (
        "grant",
        [
            "unknown",
            "unknown",
            "attempt_started",
            "step_is",
            "step_is",
            "step_is",
            "step_is",
            "step_is",
            "step_is",
            "step_is",
            "step_is",
            "over",
            "over",
            "over",
        ],
    ),
    (
        "finish",
        [
            "unknown",
            "unknown",
            "stale_result",
            "attempt_succeeded step_queued",
            "stale_result",
            "stale_result",
            "stale_result",
            "stale_result",
            "stale_result",
            "stale_result",
            "stale_result",
            "stale_result",
            "stale_result",
            "stale_result",
        ],
    ),
    (
        "expire",
        ["unknown", "unknown", "-", "lease_expired step_queued", "-", "-", "-", "-", "-", "-", "-", "-", "-", "-"],
    ),
    (
        "retry_due",
        ["unknown", "unknown", "-", "-", "step_queued", "-", "-", "-", "-", "-", "-", "over", "over", "over"],
    ),
    (
        "cancel",
        [
            "unknown",
            "unknown",
            "step_skipped step_skipped cancelled",
            "step_skipped step_skipped cancelled",
            "step_skipped step_skipped cancelled",
            "step_skipped cancelled",
            "step_skipped cancelled",
            "step_skipped step_skipped cancelled",
            "step_skipped step_skipped cancelled",
            "step_skipped step_skipped step_skipped step_skipped cancelled",
            "step_skipped step_skipped cancelled",
            "over",
            "over",
            "-",
        ],
    ),
    (
        "stop",
        [
            "cancelled",
            "-",
            "step_skipped step_skipped cancelled",
            "step_skipped step_skipped cancelled",
            "step_skipped step_skipped cancelled",
            "step_skipped cancelled",
            "step_skipped cancelled",
            "step_skipped step_skipped cancelled",
            "step_skipped step_skipped cancelled",
            "step_skipped step_skipped step_skipped step_skipped cancelled",
            "step_skipped step_skipped cancelled",
            "-",
            "-",
            "-",
        ],
    ),
    ("step_due", ["unknown", "unknown", "-", "-", "-", "-", "-", "attempt_failed", "-", "-", "-", "-", "-", "-"]),
    (
        "answer_due",
        [
            "unknown",
            "unknown",
            "-",
            "-",
            "-",
            "-",
            "-",
            "-",
            "approval_decided step_skipped step_skipped cancelled",
            "-",
            "-",
            "-",
            "-",
            "-",
        ],
    ),
    (
        "event_arrived",
        ["unknown", "unknown", "-", "-", "-", "-", "-", "step_completed step_queued", "-", "-", "-", "-", "-", "-"],
    ),
    ("child_ended", ["unknown", "unknown", "-", "-", "-", "-", "-", "-", "-", "-", "-", "-", "-", "-"]),
    (
        "answer",
        [
            "unknown",
            "unknown",
            "no_such_approval",
            "no_such_approval",
            "no_such_approval",
            "no_such_approval",
            "no_such_approval",
            "no_such_approval",
            "approval_decided step_completed step_queued",
            "no_such_approval",
            "no_such_approval",
            "over",
            "over",
            "over",
        ],
    ),
    (
        "retry_step",
        [
            "unknown",
            "unknown",
            "step_is",
            "step_is",
            "step_reset step_queued",
            "step_is",
            "step_reset",
            "step_is",
            "step_is",
            "step_is",
            "step_is",
            "reopened step_reset step_reset step_queued",
            "over",
            "over",
        ],
    ),
    (
        "dead_letter",
        [
            "unknown",
            "unknown",
            "step_is",
            "step_is",
            "step_is",
            "step_is",
            "step_reset",
            "step_is",
            "step_is",
            "step_is",
            "step_is",
            "reopened step_reset step_reset step_queued",
            "step_is",
            "step_is",
        ],
    ),
    (
        "skip_step",
        [
            "unknown",
            "unknown",
            "step_completed step_queued",
            "step_is",
            "step_completed step_queued",
            "step_is",
            "step_completed",
            "step_completed step_queued",
            "step_completed step_queued",
            "step_skipped step_skipped step_completed step_queued",
            "step_completed",
            "reopened step_completed step_reset step_queued",
            "over",
            "over",
        ],
    ),
    (
        "rerun",
        [
            "unknown",
            "unknown",
            "not_over",
            "not_over",
            "not_over",
            "not_over",
            "not_over",
            "not_over",
            "not_over",
            "not_over",
            "not_over",
            "reopened step_reset step_reset step_queued",
            "reopened step_reset step_queued",
            "over",
        ],
    ),
    (
        "pause",
        [
            "unknown", "unknown", "paused", "paused", "paused", "paused", "paused", "paused", "paused", "paused", "-",
            "over", "over", "over",
        ],
    ),
    (
        "resume",
        ["unknown", "unknown", "-", "-", "-", "-", "-", "-", "-", "-", "resumed step_queued", "over", "over", "over"],
    ),
    (
        "migrate",
        [
            "unknown",
            "unknown",
            "another_definition",
            "another_definition",
            "another_definition",
            "another_definition",
            "another_definition",
            "cannot_migrate",
            "cannot_migrate",
            "cannot_migrate",
            "migrated",
            "over",
            "over",
            "over",
        ],
    ),
    // Of a run that owes messages: `report`.
    ("resend_reports", ["unknown", "unknown", "-", "-", "-", "-", "-", "-", "-", "-", "-", "-", "-", "-"]),
    ("end_report", ["unknown", "unknown", "-", "-", "-", "-", "-", "-", "-", "-", "-", "-", "-", "-"]),
];

fn phase(phase: &str) -> Runs {
    let two = |first: StepPlan| flow(1, vec![first, step("b", &["a"])]);
    let running = || chain().after(grant("a", 1, 1));
    let unborn = given(id().stream(), []);
    match phase {
        "unborn" => unborn,
        "barred" => unborn.after(Command::Stop { reason: "no".to_owned() }),
        "queued" => chain(),
        "running" => running(),
        "waiting" => running().after(failed("a", 1, 1, FailureClass::Transient)),
        "completed" => running().after(done("a", 1, 1)),
        "dead" => dies(run(1, vec![optional(step("a", &[])), step("b", &[])]), "a", 1),
        "parked" => two(wait_for("a", &[], Some(1_000))),
        "asking" => {
            let timed = Checkpoint { timeout_ms: Some(1_000), ..question() };
            goes(two(checked(step("a", &[]), timed)), "a", 1, json!(1))
        }
        "fanned" => two(for_each(step("a", &[]), "{{ two }}")),
        "paused" => two(step("a", &[])).after(Command::Pause { by: by() }),
        "failed" => dies(two(step("a", &[])), "a", 1),
        "done" => goes(flow(1, vec![step("a", &[])]), "a", 1, json!(1)),
        _ => running().after(cancel()),
    }
}

fn command(verb: &str) -> Command {
    let step_a = || "a".to_owned();
    match verb {
        "create" => Command::Create(created(1, vec![step("a", &[])])),
        "begin" => {
            let created = created(1, vec![step("a", &[])]);
            Command::Begin { created, offer: lease(1), tokens_free: false, at_once: false }
        }
        "grant" => grant("a", 1, 1),
        "finish" => done("a", 1, 1),
        "expire" => expire("a", 1, 1),
        "retry_due" => retry("a", 2),
        "cancel" => cancel(),
        "stop" => Command::Stop { reason: "no".to_owned() },
        "step_due" => Command::StepDue { step: step_a(), attempt: 1 },
        "answer_due" => Command::AnswerDue { step: step_a(), approval: ApprovalId::of(id(), "a", 1) },
        "event_arrived" => Command::EventArrived { step: step_a(), attempt: 1, event: json!({}) },
        "child_ended" => {
            let end = End::Cancelled { reason: "r".to_owned() };
            Command::ChildEnded { step: step_a(), attempt: 1, run: None, end }
        }
        "answer" => says(answer("a", 1, ApprovalAction::Continue)),
        "retry_step" => retry_step("a"),
        "dead_letter" => dead_letter("a", DeadVerb::Retry),
        "skip_step" => skip_step("a", None),
        "rerun" => rerun(None),
        "pause" => Command::Pause { by: by() },
        "resume" => Command::Resume { by: by() },
        "migrate" => Command::Migrate(Box::new(migrate::version_2(1, vec![step("a", &[])]))),
        "end_report" => Command::EndReport { version: 1, part: 0, event: "e".to_owned(), attempts: 1, failure: None },
        "resend_reports" => Command::ResendReports { reports: vec![], by: by() },
        other => panic!("no command for {other}"),
    }
}

#[test]
fn every_phase_answers_every_command() {
    let lines = TABLE.iter().flat_map(|(verb, outcomes)| {
        PHASES.iter().zip(outcomes).map(move |(phase, outcome)| (format!("{phase} {verb}"), *outcome))
    });
    let lines: Vec<(String, &str)> = lines.collect();
    let table: Vec<(&str, &str)> = lines.iter().map(|(pair, outcome)| (pair.as_str(), *outcome)).collect();
    covers_every_pair::<RunDecider>(&PHASES, &table, |at, verb| {
        phase(at).when(command(verb)).result.map(|events| events.iter().map(word).collect())
    });
}

//! Rows of runs of workflows, definitions, questions and events, from histories of the real deciders.

mod support;

use nightshift_domain::{
    content::{Failure, FailureClass},
    definition,
    ids::{QueueId, UserId},
    queue::{self, Limit},
    run::{Action, ApprovalAction, Asked, Command, DeadVerb, Flow, Migration, RetryPolicy, StepPlan, WorkflowRef},
};
use nightshift_projections::table::Row;
use serde_json::{Value, json};
use support::{
    World,
    histories::rows_of,
    secs,
    store::Store,
    workflows::{
        answer, asked, asking, bulk_done, bulk_events, call, document, flow_run, open_question, publish, step,
        the_bulk, the_definition, value, world,
    },
};

fn time(at: i64) -> Value {
    Value::String(secs(at).to_chrono().format("%Y-%m-%dT%H:%M:%S%.6fZ").to_string())
}

/// The columns named in `expected` have these values.
#[track_caller]
fn assert_columns(row: &Row, expected: &Value) {
    for (column, value) in expected.as_object().unwrap() {
        assert_eq!(row.get(column), Some(value), "{column} of {row:?}");
    }
}

/// The rows, which are the same however the log is cut.
fn rows(world: &World) -> Store {
    let whole = rows_of(world);
    for page in [1, 2, 5] {
        assert_eq!(Store::folded(&world.log, &[page]), whole, "pages of {page}");
    }
    whole
}

#[track_caller]
fn assert_run(world: &World, expected: &Value) {
    assert_columns(rows(world).all("orchestration_runs")[0], expected);
}

#[track_caller]
fn assert_step(world: &World, step: &str, expected: &Value) {
    assert_columns(rows(world).one("orchestration_steps", "step_id", step), expected);
}

fn done(world: &mut World, at: i64, step: &str, attempt: u32) {
    world.at(at).attempt(flow_run(), step, attempt, Ok(value(json!({"made by": step}))));
}

fn tell(world: &mut World, at: i64, command: Command) {
    world.at(at).send(flow_run().stream(), command);
}

fn failing(world: &mut World, at: i64, step: &str, attempt: u32) {
    let failure = Failure::new(FailureClass::Permanent, "no");
    world.at(at).attempt(flow_run(), step, attempt, Err(failure));
}

/// A step that is done for each of two elements.
fn list() -> StepPlan {
    StepPlan { flow: Flow { for_each: Some(json!(["a", "b"])), ..Flow::default() }, ..step("list", call(), &[]) }
}

fn ids(rows: &Store) -> Vec<&Value> {
    let mut ids: Vec<&Value> = rows.all("orchestration_steps").iter().map(|row| &row["step_id"]).collect();
    ids.sort_by_key(|id| id.to_string());
    ids
}

#[test]
fn a_run_says_what_it_is_a_run_of() {
    let world = world(vec![step("one", call(), &[])]);
    assert_run(
        &world,
        &json!({
            "definition": "ann/campaign@1", "orchestration_name": "campaign", "workflow_owner": "ann",
            "workflow_version": "1", "definition_id": the_definition().to_string(), "deliverable_id": null,
            "parameters": {"to": ["a", "b"]}, "status": "pending", "pending_approvals": 0, "advisory": null,
        }),
    );
    let rows = rows(&world);
    let run = rows.all("orchestration_runs")[0];
    assert_eq!(run["trigger"]["event"]["intent_id"], "i-1");
    assert_eq!(run["trace_id"], run["id"].as_str().unwrap().replace('-', ""));
}

#[test]
fn a_list_has_a_row_for_each_element_and_counts_as_one_step() {
    let mut world = world(vec![list(), step("after", call(), &["list"])]);
    assert_step(&world, "list", &json!({"status": "running", "instances": 2, "step_index": 0, "output": null}));
    for (instance, at) in [("list[1]", 101), ("list[0]", 102)] {
        assert_step(&world, instance, &json!({"status": "queued", "instances": null, "step_index": 0}));
        done(&mut world, at, instance, 1);
        assert_step(&world, instance, &json!({"status": "completed", "attempt_number": 1}));
    }
    assert_run(&world, &json!({"completed_steps": 1, "total_steps": 2, "status": "running"}));
    let made = json!([{"made by": "list[0]"}, {"made by": "list[1]"}]);
    assert_step(&world, "list", &json!({"status": "completed", "output": made, "completed_at": time(102)}));
    assert_eq!(rows(&world).all("orchestration_runs")[0]["results"], json!({"list": made}));
    assert_eq!(rows(&world).all("job_attempts").len(), 2);
    done(&mut world, 103, "after", 1);
    assert_run(&world, &json!({"completed_steps": 2, "status": "completed"}));
}

#[test]
fn a_list_that_is_done_again_has_new_instances() {
    let mut world = world(vec![list()]);
    done(&mut world, 101, "list[0]", 1);
    done(&mut world, 102, "list[1]", 1);
    tell(&mut world, 103, Command::Rerun { from: Some("list".to_owned()), by: asked() });
    let again = rows(&world);
    assert_eq!(ids(&again), ["list", "list[0]", "list[1]"]);
    assert_run(&world, &json!({"completed_steps": 0, "status": "running", "results": {}, "completed_at": null}));
    assert_step(&world, "list", &json!({"status": "running", "instances": 2, "output": null}));
    assert_step(&world, "list[1]", &json!({"status": "queued", "output": null, "completed_at": null}));
    // What was made under the first course is still known.
    assert_eq!(again.all("job_attempts").len(), 2);
}

#[test]
fn a_list_that_waits_to_be_made_anew_has_no_instances() {
    let mut world = world(vec![list()]);
    failing(&mut world, 101, "list[0]", 1);
    assert_step(&world, "list", &json!({"status": "dead", "instances": 2}));
    let made_anew = nightshift_domain::run::Event::StepReset {
        step: "list".to_owned(),
        modifications: None,
        not_before: Some(secs(900)),
        by: asked(),
        once: false,
    };
    world.append(flow_run().stream(), made_anew.into());
    assert_eq!(ids(&rows(&world)), ["list"]);
    assert_step(&world, "list", &json!({"status": "pending", "instances": null, "next_retry_at": time(900)}));
}

#[test]
fn an_instance_that_is_done_again_opens_its_list() {
    let mut world = world(vec![list()]);
    done(&mut world, 101, "list[0]", 1);
    done(&mut world, 102, "list[1]", 1);
    tell(&mut world, 103, Command::Rerun { from: Some("list[1]".to_owned()), by: asked() });
    assert_step(&world, "list", &json!({"status": "running", "output": null, "completed_at": null, "instances": 2}));
    assert_step(&world, "list[0]", &json!({"status": "completed"}));
    assert_step(&world, "list[1]", &json!({"status": "queued"}));
    assert_run(&world, &json!({"completed_steps": 0, "status": "running"}));
    done(&mut world, 104, "list[1]", 2);
    assert_run(&world, &json!({"completed_steps": 1, "status": "completed"}));
}

#[test]
fn an_output_in_the_place_of_a_dead_instance_lets_its_list_go_on() {
    let mut world = world(vec![list()]);
    let token = world.at(101).grant(flow_run(), "list[1]", 1);
    failing(&mut world, 102, "list[0]", 1);
    let skip = Command::SkipStep { step: "list[0]".to_owned(), output: Some(json!(0)), by: asked(), past: None };
    tell(&mut world, 103, skip);
    assert_step(&world, "list[0]", &json!({"status": "completed", "output": 0, "error_details": null}));
    assert_columns(rows(&world).one("job_queue", "step_id", "list[0]"), &json!({"status": "cancelled"}));
    world.at(104).finish(flow_run(), ("list[1]", 1), token, Ok(value(json!(1))));
    assert_step(&world, "list", &json!({"status": "completed", "output": [0, 1], "error_details": null}));
    assert_run(&world, &json!({"status": "completed", "completed_steps": 1}));
}

#[test]
fn nothing_waits_in_the_queue_of_a_list_that_is_forgotten() {
    let optional = StepPlan { optional: true, ..list() };
    let jobs = |world: &World| -> Vec<Value> {
        rows(world).all("job_queue").iter().map(|row| row["step_id"].clone()).collect()
    };
    let dead = || {
        let mut world = world(vec![optional.clone()]);
        failing(&mut world, 101, "list[1]", 1);
        world
    };
    let (mut world, mut anew) = (dead(), dead());
    assert_columns(rows(&world).one("job_queue", "step_id", "list[1]"), &json!({"status": "dead"}));
    let skip = Command::SkipStep { step: "list".to_owned(), output: Some(json!([])), past: None, by: asked() };
    tell(&mut world, 102, skip);
    assert_run(&world, &json!({"status": "completed", "completed_steps": 1}));
    assert_eq!((jobs(&world), ids(&rows(&world))), (vec![], vec![&json!("list")]));

    done(&mut anew, 102, "list[0]", 1);
    let reset = nightshift_domain::run::Event::StepReset {
        step: "list".to_owned(),
        modifications: None,
        not_before: Some(secs(900)),
        by: asked(),
        once: false,
    };
    anew.append(flow_run().stream(), reset.into());
    assert_eq!(jobs(&anew), Vec::<Value>::new());
    assert_eq!(rows(&anew).all("job_attempts").len(), 2, "what was done is still known");
}

#[test]
fn a_question_behind_a_step_holds_the_run_and_is_answered() {
    let mut world = world(vec![asking(step("one", call(), &[]), false), step("two", call(), &["one"])]);
    done(&mut world, 101, "one", 1);
    assert_run(&world, &json!({"status": "checkpoint", "completed_steps": 0, "pending_approvals": 1, "results": {}}));
    assert_step(&world, "one", &json!({"status": "checkpoint", "output": {"made by": "one"}, "completed_at": null}));
    let question = open_question(&world);
    let pending = json!({
        "id": question.to_string(), "step_id": "one", "round": 1, "user_id": "local", "status": "pending",
        "question": "Send it?", "advisory": false, "group_name": "editors", "payload": {"made by": "one"},
        "requested_at": time(101), "decided_at": null, "deadline_at": null,
    });
    assert_columns(rows(&world).all("human_approvals")[0], &pending);
    assert_columns(rows(&world).one("job_queue", "step_id", "one"), &json!({"status": "success"}));

    tell(&mut world, 102, answer(question, ApprovalAction::Continue));
    let approved = json!({"status": "approved", "decision": "continue", "decided_by": "bea", "decided_at": time(102),
        "comment": "fine", "modifications": null});
    assert_columns(rows(&world).all("human_approvals")[0], &approved);
    assert_run(&world, &json!({"status": "running", "completed_steps": 1, "pending_approvals": 0}));
    assert_step(&world, "one", &json!({"status": "completed", "approval": null, "completed_at": time(102)}));
    done(&mut world, 103, "two", 1);
    assert_run(&world, &json!({"status": "completed", "completed_steps": 2}));
}

#[test]
fn an_answer_may_have_the_step_done_again() {
    let mut world = world(vec![asking(step("one", call(), &[]), false)]);
    done(&mut world, 101, "one", 1);
    let first = open_question(&world);
    tell(&mut world, 102, answer(first, ApprovalAction::Retry));
    assert_step(&world, "one", &json!({"status": "queued", "output": null, "approval": null}));
    assert_run(&world, &json!({"status": "running", "completed_steps": 0, "pending_approvals": 0}));
    done(&mut world, 103, "one", 2);
    let rows = rows(&world);
    assert_columns(rows.one("human_approvals", "id", &first.to_string()), &json!({"status": "retried", "round": 1}));
    let second = open_question(&world).to_string();
    assert_columns(rows.one("human_approvals", "id", &second), &json!({"status": "pending", "round": 2}));
}

#[test]
fn a_question_that_nobody_answered_before_the_step_ended_is_void() {
    let ends = [
        (Command::Cancel { reason: "not now".to_owned() }, "cancelled", "skipped"),
        (Command::SkipStep { step: "one".to_owned(), output: None, by: asked(), past: None }, "completed", "completed"),
    ];
    for (command, run, step_is) in ends {
        let mut world = world(vec![asking(step("one", call(), &[]), false)]);
        done(&mut world, 101, "one", 1);
        tell(&mut world, 102, command);
        let expected = json!({"status": "void", "decided_at": time(102), "decided_by": null, "round": 1,
            "payload": {"made by": "one"}, "requested_at": time(101)});
        assert_columns(rows(&world).all("human_approvals")[0], &expected);
        assert_run(&world, &json!({"status": run, "pending_approvals": 0}));
        assert_step(&world, "one", &json!({"status": step_is, "approval": null}));
    }
}

#[test]
fn a_question_that_nobody_has_to_answer_is_open_as_long_as_its_run() {
    let steps = || vec![asking(step("one", call(), &[]), true), step("two", call(), &["one"])];
    let mut world = world(steps());
    done(&mut world, 101, "one", 1);
    assert_columns(rows(&world).all("human_approvals")[0], &json!({"status": "pending", "advisory": true}));
    assert_run(&world, &json!({"status": "running", "completed_steps": 1, "pending_approvals": 0}));
    done(&mut world, 102, "two", 1);
    assert_columns(rows(&world).all("human_approvals")[0], &json!({"status": "void", "decided_at": time(102)}));
    assert_run(&world, &json!({"status": "completed", "advisory": null}));

    let mut world = support::workflows::world(steps());
    done(&mut world, 101, "one", 1);
    let question = open_question(&world);
    tell(&mut world, 102, answer(question, ApprovalAction::Continue));
    assert_run(&world, &json!({"advisory": null, "completed_steps": 1}));
    done(&mut world, 103, "two", 1);
    assert_columns(rows(&world).all("human_approvals")[0], &json!({"status": "approved", "decided_at": time(102)}));
}

#[test]
fn a_run_that_failed_goes_on() {
    let mut world = world(vec![step("one", call(), &[]), step("two", call(), &["one"])]);
    done(&mut world, 101, "one", 1);
    failing(&mut world, 102, "two", 1);
    assert_run(&world, &json!({"status": "failed", "completed_steps": 1, "completed_at": time(102)}));
    let retry = |delay_ms| Command::RetryStep {
        step: "two".to_owned(),
        modifications: None,
        delay_ms,
        by: asked(),
        past: None,
    };
    tell(&mut world, 103, retry(60_000));
    let reopened = json!({"status": "running", "completed_steps": 1, "completed_at": null, "error_details": null});
    assert_run(&world, &reopened);
    assert_step(&world, "two", &json!({"status": "pending", "error_details": null, "next_retry_at": time(163)}));
    let job = json!({"status": "failed", "next_run_at": time(163)});
    assert_columns(rows(&world).one("job_queue", "step_id", "two"), &job);
    tell(&mut world, 163, Command::RetryDue { step: "two".to_owned(), attempt: 2 });
    done(&mut world, 164, "two", 2);
    assert_run(&world, &json!({"status": "completed", "completed_steps": 2}));
    tell(&mut world, 165, Command::Rerun { from: None, by: asked() });
    assert_run(&world, &json!({"status": "running", "completed_steps": 0, "results": {}}));
}

#[test]
fn a_dead_letter_says_of_what_it_died_and_leaves_when_it_is_discarded() {
    let mut queued = step("two", call(), &["one"]);
    queued.flow.queue = Some("slow".to_owned());
    let mut world = world(vec![step("one", call(), &[]), queued]);
    done(&mut world, 101, "one", 1);
    failing(&mut world, 102, "two", 1);
    let dead = json!({
        "status": "dead", "definition": "campaign", "definition_owner": "ann", "queue": "slow", "attempts": 1,
        "error_class": "permanent", "note": null,
    });
    assert_columns(rows(&world).one("job_queue", "step_id", "two"), &dead);
    let letter = |verb| Command::DeadLetter { step: "two".to_owned(), attempt: Some(1), verb, by: asked() };
    tell(&mut world, 103, letter(DeadVerb::Discard));
    let gone = json!({"status": "cancelled", "error_class": "permanent", "note": "discarded by ann: because"});
    assert_columns(rows(&world).one("job_queue", "step_id", "two"), &gone);
    assert_run(&world, &json!({"status": "failed", "completed_steps": 1}));
    tell(&mut world, 104, Command::Rerun { from: Some("two".to_owned()), by: asked() });
    let again = json!({"status": "queued", "error_class": null, "error_text": null, "note": null});
    assert_columns(rows(&world).one("job_queue", "step_id", "two"), &again);
    failing(&mut world, 105, "two", 2);
    tell(
        &mut world,
        106,
        Command::DeadLetter { step: "two".to_owned(), attempt: Some(2), verb: DeadVerb::Retry, by: asked() },
    );
    assert_columns(rows(&world).one("job_queue", "step_id", "two"), &json!({"status": "queued", "attempts": 2}));
}

#[test]
fn a_step_that_died_without_a_place_is_a_dead_letter_until_it_is_done() {
    let wait = Action::WaitForEvent { event: "order".to_owned(), correlation: None, timeout_ms: Some(5_000) };
    let once = RetryPolicy { attempts_max: 1, ..RetryPolicy::queue_preset() };
    let mut world = world(vec![StepPlan { retry: once, ..step("wait", wait, &[]) }]);
    assert_eq!(rows(&world).all("job_queue").len(), 0, "what waits for an event asks for no place");
    tell(&mut world, 105, Command::StepDue { step: "wait".to_owned(), attempt: 1 });
    let dead = json!({"status": "dead", "error_class": "timeout", "attempts": 1, "definition": "campaign",
        "definition_owner": "ann", "user_id": "local", "queue": "default", "lease_until": null, "next_run_at": null});
    assert_columns(rows(&world).one("job_queue", "step_id", "wait"), &dead);
    let letter = Command::DeadLetter { step: "wait".to_owned(), attempt: Some(1), verb: DeadVerb::Retry, by: asked() };
    tell(&mut world, 106, letter);
    assert_columns(
        rows(&world).one("job_queue", "step_id", "wait"),
        &json!({"status": "running", "error_class": null}),
    );
    let event = json!({"id": "e-1", "type": "order"});
    tell(&mut world, 107, Command::EventArrived { step: "wait".to_owned(), attempt: 2, event });
    assert_run(&world, &json!({"status": "completed"}));
    assert_columns(rows(&world).one("job_queue", "step_id", "wait"), &json!({"status": "success", "error_text": null}));
}

#[test]
fn a_bulk_job_says_how_far_it_is() {
    let mut world = world(vec![step("one", call(), &[])]);
    let row = |world: &World| rows_of(world).all("bulk_jobs")[0].clone();
    let mut events = bulk_events().into_iter();
    let mut next = |world: &mut World, at: i64| {
        world.now = secs(at);
        world.append(the_bulk().stream(), events.next().unwrap().into());
    };
    next(&mut world, 201);
    let begun = json!({
        "verb": "reset", "user_id": "ada", "status": "running", "total": 1, "chosen": 0, "done": 0, "refused": 0,
        "filter": {"status": "dead", "definition": "team/daily", "after": time(5)}, "refusals": [], "ended_at": null,
    });
    assert_columns(&row(&world), &begun);
    next(&mut world, 202);
    assert_columns(&row(&world), &json!({"total": 2, "chosen": 2, "updated_at": time(202)}));
    next(&mut world, 203);
    world.append(the_bulk().stream(), bulk_done().into());
    let refusals = json!([{"job": format!("{}/one", support::samples::the_run()), "reason": "step \"one\" is queued"}]);
    assert_columns(&row(&world), &json!({"done": 1, "refused": 1, "refusals": refusals}));
    next(&mut world, 205);
    assert_columns(&row(&world), &json!({"status": "cancelling", "cancelled_by": "ann"}));
    next(&mut world, 206);
    assert_columns(&row(&world), &json!({"status": "completed", "total": 2, "ended_at": time(206)}));
}

#[test]
fn a_paused_run_says_why() {
    let mut world = world(vec![step("one", call(), &[])]);
    tell(&mut world, 101, Command::Pause { by: asked() });
    assert_run(&world, &json!({"pause_note": "because", "status": "pending"}));
    tell(&mut world, 102, Command::Resume { by: asked() });
    assert_run(&world, &json!({"pause_note": null}));
    assert_step(&world, "one", &json!({"status": "queued", "queued_at": time(102)}));
    tell(&mut world, 103, Command::Pause { by: asked() });
    tell(&mut world, 104, Command::Cancel { reason: "not now".to_owned() });
    assert_run(&world, &json!({"pause_note": null, "status": "cancelled"}));
}

/// Steps that have begun stay as far as they are; what has not begun is as the new version has it.
#[test]
fn a_run_that_goes_on_under_another_version_has_its_steps() {
    let nap = || step("nap", Action::Sleep { ms: 5_000 }, &["one"]);
    let mut world = world(vec![step("one", call(), &[]), nap(), step("old", call(), &["nap"])]);
    done(&mut world, 101, "one", 1);
    let created = support::workflows::created(vec![
        step("first", call(), &[]),
        step("one", call(), &[]),
        nap(),
        step("new", call(), &["nap"]),
    ]);
    let workflow = created.subject.workflow().cloned().expect("it is of a workflow");
    let workflow = WorkflowRef { version: "2".to_owned(), digest: support::digest("campaign 2"), ..workflow };
    let parameters = document("2").parameters.clone();
    let migration = Migration { workflow, plan: created.plan, parameters, by: asked() };
    tell(&mut world, 102, Command::Migrate(Box::new(migration)));
    let digest = support::digest("campaign 2").0;
    assert_run(
        &world,
        &json!({"workflow_version": "2", "definition_digest": digest, "total_steps": 4, "completed_steps": 1}),
    );
    assert_step(&world, "first", &json!({"status": "queued", "step_index": 0}));
    assert_step(&world, "one", &json!({"status": "completed", "step_index": 1, "attempt_number": 1}));
    assert_step(&world, "nap", &json!({"status": "running", "step_index": 2}));
    assert_step(&world, "new", &json!({"status": "pending", "step_index": 3, "depends_on": ["nap"]}));
    assert_eq!(rows(&world).all("orchestration_steps").len(), 4, "what had not begun and is gone has no row");
    done(&mut world, 103, "first", 1);
    tell(&mut world, 106, Command::StepDue { step: "nap".to_owned(), attempt: 1 });
    done(&mut world, 107, "new", 1);
    assert_run(&world, &json!({"status": "completed", "completed_steps": 4}));
}

#[test]
fn a_step_says_what_it_waits_for() {
    let event = Action::WaitForEvent { event: "order".to_owned(), correlation: None, timeout_ms: Some(5_000) };
    let mut world = world(vec![step("nap", Action::Sleep { ms: 5_000 }, &[]), step("order", event, &[])]);
    let nap = json!({"status": "running", "waits_for": {"until": {"at": time(105)}}, "attempt_number": 1});
    assert_step(&world, "nap", &nap);
    let waits = json!({"event": {"event": "order", "correlation": null, "deadline": time(105), "since": time(100)}});
    assert_step(&world, "order", &json!({"status": "running", "waits_for": waits}));
    assert!(rows(&world).all("job_queue").is_empty(), "no worker is needed");
    tell(&mut world, 105, Command::StepDue { step: "nap".to_owned(), attempt: 1 });
    assert_step(&world, "nap", &json!({"status": "completed", "waits_for": null}));
    tell(&mut world, 105, Command::StepDue { step: "order".to_owned(), attempt: 1 });
    assert_step(&world, "order", &json!({"status": "failed", "waits_for": null}));
}

fn versions(world: &World) -> Vec<(Value, Value, Value)> {
    let rows = rows(world);
    let mut found = rows.all("orchestration_definitions");
    found.sort_by_key(|row| row["version"].to_string());
    found.iter().map(|row| (row["version"].clone(), row["status"].clone(), row["in_force"].clone())).collect()
}

fn of_definition(world: &mut World, at: i64, command: definition::Command) {
    world.at(at).send(the_definition().stream(), command);
}

fn register(version: &str) -> definition::Command {
    definition::Command::Register { document: document(version), user: UserId::default(), activate: true }
}

#[test]
fn one_version_of_a_definition_is_in_force() {
    let mut world = World::default();
    of_definition(&mut world, 10, register("1"));
    let rows_then = rows(&world);
    let row = rows_then.all("orchestration_definitions")[0];
    let expected = json!({
        "id": the_definition().to_string(), "owner": "ann", "name": "campaign", "display_name": "Campaign",
        "created_by": "local", "source": "name: campaign # 1", "created_at": time(10),
    });
    assert_columns(row, &expected);
    assert_eq!(row["parameters"][0]["kind"], "string[]");
    assert_eq!(row["triggers"][0]["schedule"]["rule"], json!({"interval": {"every_s": 3600, "anchor": time(0)}}));
    assert_eq!(
        row["triggers"][2],
        json!({"type": "webhook", "path": "shop", "secret": "env:SHOP", "parameters": null})
    );
    assert_eq!(row["plan"]["steps"][0]["with"]["url"], "http://127.0.0.1/x");
    let schedule = json!({"definition_id": the_definition().to_string(), "deliverable_id": null, "status": "active"});
    assert_columns(rows_then.all("schedules")[0], &schedule);

    let is = |version: &str, status: &str, in_force: bool| (json!(version), json!(status), json!(in_force));
    of_definition(&mut world, 20, register("2"));
    assert_eq!(versions(&world), [is("1", "active", false), is("2", "active", true)]);
    of_definition(&mut world, 30, definition::Command::Activate { version: "1".to_owned() });
    assert_eq!(versions(&world), [is("1", "active", true), is("2", "active", false)]);
    of_definition(&mut world, 40, definition::Command::Deprecate { version: "1".to_owned() });
    assert_eq!(versions(&world), [is("1", "deprecated", false), is("2", "active", false)]);
    of_definition(&mut world, 50, definition::Command::Archive { version: "2".to_owned() });
    assert_eq!(versions(&world), [is("1", "deprecated", false), is("2", "archived", false)]);
}

#[test]
fn an_event_is_one_row_and_starts_one_run() {
    let mut world = World::default();
    of_definition(&mut world, 10, register("1"));
    publish(world.at(20), "e-1", json!({"n": 1}));
    publish(world.at(21), "e-1", json!({"n": 2}));
    publish(world.at(22), "e-2", Value::Null);
    let rows = rows(&world);
    let event = json!({"event_type": "order", "event_id": "e-1", "user_id": "local", "intent_id": "i-1",
        "payload": {"n": 1}, "told": 1, "created_at": time(20)});
    assert_columns(rows.one("intent_events", "event_id", "e-1"), &event);
    assert_columns(rows.one("intent_events", "event_id", "e-2"), &json!({"payload": null}));
    assert_eq!(rows.all("intent_events").len(), 2);
    let runs = rows.all("orchestration_runs");
    let causes: Vec<&Value> = runs.iter().map(|run| &run["trigger"]["event"]["id"]).collect();
    assert_eq!(causes.len(), 2);
    assert!(causes.contains(&&json!("e-1")) && causes.contains(&&json!("e-2")), "{causes:?}");
}

#[test]
fn limits_that_are_set_and_queues_that_are_paused_are_rows_until_they_are_not() {
    let by = || Asked { by: "ann".to_owned(), note: "busy".to_owned() };
    let (key, limit) = ("global:agent:w".to_owned(), Limit::Rate { capacity: 5.0, refill_per_s: 0.5 });
    let queue = QueueId::the().stream();
    let mut world = World::default();
    world.at(10).send(queue, queue::Command::SetLimit { key: key.clone(), limit, by: by() });
    let places =
        queue::Command::SetLimit { key: "concurrency".to_owned(), limit: Limit::Places { places: 4 }, by: by() };
    world.at(11).send(queue, places);
    world.at(12).send(queue, queue::Command::Pause { queue: Some("slow".to_owned()), by: by() });
    world.at(13).send(queue, queue::Command::Pause { queue: None, by: by() });
    let found = rows(&world);
    let bucket = json!({"kind": "rate", "capacity": 5.0, "refill_rate": 0.5, "set_by": "ann", "note": "busy",
        "set_at": time(10)});
    assert_columns(found.one("rate_limits", "rl_key", "global:agent:w"), &bucket);
    let places = json!({"kind": "places", "capacity": 4.0, "refill_rate": null});
    assert_columns(found.one("rate_limits", "rl_key", "concurrency"), &places);
    let paused = json!({"paused_by": "ann", "note": "busy", "paused_at": time(12)});
    assert_columns(found.one("queue_pauses", "queue", "slow"), &paused);
    assert_eq!(found.all("queue_pauses").len(), 2);
    world.at(20).send(queue, queue::Command::ClearLimit { key, by: by() });
    world.at(21).send(queue, queue::Command::Resume { queue: None, by: by() });
    let found = rows(&world);
    assert_eq!((found.all("rate_limits").len(), found.all("queue_pauses").len()), (1, 1));
}

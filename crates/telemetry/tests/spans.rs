//! The tree of spans that comes of histories which the real decider made.

mod history;

use std::collections::HashSet;

use history::{History, START, asking, call, delivery, eventful, for_three, run_id, said};
use nightshift_domain::{
    content::{Failure, FailureClass},
    run::{Action, ApprovalAction, Command, Flow, State, StepPlan, idempotency_key_of},
};
use nightshift_telemetry::spans::{
    RunTrace, SpanRecord, SpanStatus, TraceError, Value, attempt_span_id, complete_span_id, run_span_id, spans_of,
    spans_since, trace_id,
};
use proptest::prelude::*;

fn get<'a>(span: &'a SpanRecord, key: &str) -> Option<&'a Value> {
    span.attributes.iter().find(|(name, _)| *name == key).map(|(_, value)| value)
}

fn text(value: &str) -> Option<Value> {
    Some(Value::Text(value.to_owned()))
}

#[test]
fn an_eventful_run_is_one_tree_with_recorded_times() {
    let it = eventful();
    assert!(matches!(it.state, State::Over(..)));
    let spans = spans_of(&it.events).unwrap();
    let from_start = |span: &SpanRecord| {
        (span.name.clone(), span.start.micros_since(START) / 1_000, span.end.micros_since(START) / 1_000)
    };
    let expected = [
        ("run", 0, 0),
        ("step compose", 250, 1_250),
        ("step compose", 5_300, 35_300),
        ("step compose", 35_310, 37_810),
        ("step validate", 37_815, 37_835),
        ("run.complete", 0, 37_835),
    ];
    assert_eq!(spans.iter().map(from_start).collect::<Vec<_>>(), expected.map(|(n, s, e)| (n.to_owned(), s, e)));
    assert!(spans.iter().all(|span| span.trace_id == trace_id(it.run)));
    assert_eq!(spans[0].parent, None);
    assert!(spans[1..].iter().all(|span| span.parent == Some(run_span_id(it.run))));
    let ids: HashSet<_> = spans.iter().map(|span| span.span_id).collect();
    assert_eq!(ids.len(), spans.len());
    assert_eq!(spans[3].span_id, attempt_span_id(it.run, "compose", 3));
    assert_eq!(spans[5].span_id, complete_span_id(it.run));
}

#[test]
fn attempts_say_how_they_went_and_are_linked_to_the_one_before() {
    let spans = spans_of(&eventful().events).unwrap();
    let table = [
        ("failed", SpanStatus::Error("503 from the model".to_owned()), text("transient"), 250, 1),
        ("expired", SpanStatus::Error("the worker is gone".to_owned()), text("lost"), 50, 2),
        ("completed", SpanStatus::Ok, None, 10, 3),
    ];
    for (span, (status, wanted, class, queue_ms, attempt)) in spans[1..4].iter().zip(table) {
        assert_eq!(get(span, "status").cloned(), text(status));
        assert_eq!(span.status, wanted);
        assert_eq!(get(span, "failure.class").cloned(), class);
        assert_eq!(get(span, "queue.wait_ms"), Some(&Value::Int(queue_ms)), "{status}");
        assert_eq!(get(span, "attempt"), Some(&Value::Int(attempt)));
        assert_eq!(get(span, "action").cloned(), text("compose"));
        assert_eq!(get(span, "worker").cloned(), text("node-1"));
    }
    assert!(spans[1].links.is_empty() && spans[4].links.is_empty());
    assert_eq!(spans[2].links[0].span_id, spans[1].span_id);
    assert_eq!(spans[3].links[0].span_id, spans[2].span_id);
    let keys: HashSet<_> = spans[1..4].iter().map(|span| format!("{:?}", get(span, "idempotency.key"))).collect();
    assert_eq!(keys.len(), 1, "one key over all attempts");
}

#[test]
fn the_whole_run_ends_with_its_totals() {
    let spans = spans_of(&eventful().events).unwrap();
    let whole = spans.last().unwrap();
    assert_eq!(whole.status, SpanStatus::Ok);
    for (key, number) in [
        ("steps", 2),
        ("steps.completed", 2),
        ("attempts", 4),
        ("attempts.failed", 1),
        ("attempts.expired", 1),
        ("results.stale", 1),
        ("queue.wait_ms", 315),
        ("work_ms", 33_520),
        ("gen_ai.usage.input_tokens", 900),
        ("gen_ai.usage.output_tokens", 120),
    ] {
        assert_eq!(get(whole, key), Some(&Value::Int(number)), "{key}");
    }
}

#[test]
fn a_child_run_hangs_below_the_run_that_caused_it() {
    let (parent, child) = (eventful(), delivery());
    let spans = spans_of(&child.events).unwrap();
    assert!(spans.iter().all(|span| span.trace_id == trace_id(parent.run)));
    assert_eq!(spans[0].parent, Some(run_span_id(run_id("eventful"))));
    assert_eq!(spans[1].parent, Some(spans[0].span_id));
    let both: HashSet<_> =
        spans_of(&parent.events).unwrap().into_iter().chain(spans).map(|span| span.span_id).collect();
    assert_eq!(both.len(), 9, "no id twice in the tree");
}

#[test]
fn a_dead_step_and_a_cancelled_run_close_what_was_open() {
    let steps = [("compose", Action::Compose {}), ("validate", Action::Validate {})];
    let mut dead = History::created("dead", &steps);
    dead.grant("compose").after_ms(5).finish("compose", Err(Failure::new(FailureClass::Permanent, "no such model")));
    let spans = spans_of(&dead.events).unwrap();
    assert_eq!(spans.len(), 3, "a step that never began has no span");
    assert_eq!(spans[2].status, SpanStatus::Error("step compose: no such model".to_owned()));
    assert_eq!(get(&spans[2], "steps.dead"), Some(&Value::Int(1)));

    let mut stopped = History::created("stopped", &steps);
    stopped.grant("compose").after_ms(700).cancel();
    let spans = spans_of(&stopped.events).unwrap();
    let names: Vec<_> = spans.iter().map(|span| (span.name.as_str(), &span.status)).collect();
    assert_eq!(
        names,
        [("run", &SpanStatus::Unset), ("step compose", &SpanStatus::Unset), ("run.complete", &SpanStatus::Unset)]
    );
    assert_eq!(spans[1].end.micros_since(spans[1].start), 700_000);
    assert_eq!(get(&spans[1], "status").cloned(), text("cancelled"));
    assert_eq!(get(&spans[1], "reason").cloned(), text("the run was cancelled"));
    assert!(spans[1].closed_by_version < spans[2].closed_by_version);
}

#[test]
fn a_caller_outside_is_a_link_and_not_the_parent() {
    let mut it = History::of("called");
    it.meta.traceparent = Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned());
    let run = it.run;
    it.create(&[("compose", Action::Compose {})], run, None);
    let spans = spans_of(&it.events).unwrap();
    assert_eq!((spans[0].parent, spans[0].links.len()), (None, 1));
    assert_eq!(spans[0].links[0].span_id, [0xb7, 0xad, 0x6b, 0x71, 0x69, 0x20, 0x33, 0x31]);
}

#[test]
fn what_is_no_whole_run_is_refused() {
    let (one, other) = (eventful(), delivery());
    assert!(matches!(spans_of(&one.events[1..]), Err(TraceError::Gap { expected: 1, found: 2, .. })));
    let mut mixed = one.events[..2].to_vec();
    mixed.push(other.events[2].clone());
    assert!(matches!(spans_of(&mixed), Err(TraceError::OtherRun { .. })));
    let mut newer = one.events.clone();
    newer[3].type_version = 99;
    assert!(matches!(spans_of(&newer), Err(TraceError::Unreadable { version: 4, .. })));
}

#[test]
fn every_attempt_at_an_instance_is_a_span() {
    let mut it = History::workflow("list", vec![("list", call(), for_three())]);
    for instance in ["list[0]", "list[1]", "list[2]"] {
        it.after_ms(100).grant(instance);
    }
    it.after_ms(100)
        .finish("list[1]", Err(Failure::new(FailureClass::Transient, "503")))
        .after_ms(60_000)
        .retry("list[1]");
    it.after_ms(10).grant("list[1]").after_ms(5).finish("list[1]", Ok(said()));
    it.finish("list[0]", Ok(said())).finish("list[2]", Ok(said()));
    let spans = spans_of(&it.events).unwrap();
    let names: Vec<&str> = spans.iter().map(|span| span.name.as_str()).collect();
    assert_eq!(names, ["run", "step list[1]", "step list[1]", "step list[0]", "step list[2]", "run.complete"]);
    assert_eq!(spans[2].span_id, attempt_span_id(it.run, "list[1]", 2));
    assert_eq!(spans[2].links[0].span_id, spans[1].span_id);
    assert_eq!(get(&spans[2], "action").cloned(), text("call"));
    assert_eq!(get(&spans[2], "queue.wait_ms"), Some(&Value::Int(10)));
    assert_eq!(get(&spans[2], "gen_ai.usage.input_tokens"), Some(&Value::Int(70)));
    for (key, number) in [("steps", 1), ("steps.completed", 1), ("attempts", 4), ("gen_ai.usage.output_tokens", 21)] {
        assert_eq!(get(&spans[5], key), Some(&Value::Int(number)), "{key}");
    }
}

#[test]
fn waits_and_questions_are_spans() {
    let nap = ("nap", Action::Sleep { ms: 5_000 }, Flow::default());
    let mut it = History::workflow("waits", vec![nap, ("ask", call(), asking())]);
    it.after_ms(10).grant("ask").after_ms(10).finish("ask", Ok(said()));
    it.after_ms(4_980).tell(Command::StepDue { step: "nap".to_owned(), attempt: 1 });
    it.after_ms(1_000).answer("ask", ApprovalAction::Continue);
    assert!(matches!(it.state, State::Over(..)));
    let spans = spans_of(&it.events).unwrap();
    let from_start = |span: &SpanRecord| {
        (span.name.clone(), span.start.micros_since(START) / 1_000, span.end.micros_since(START) / 1_000)
    };
    let expected = [
        ("run", 0, 0),
        ("step ask", 10, 20),
        ("step nap", 0, 5_000),
        ("approval ask", 20, 6_000),
        ("run.complete", 0, 6_000),
    ];
    assert_eq!(spans.iter().map(from_start).collect::<Vec<_>>(), expected.map(|(n, s, e)| (n.to_owned(), s, e)));
    assert_eq!(get(&spans[2], "waits.for").cloned(), text("until 2026-01-05T07:00:05Z"));
    assert_eq!(get(&spans[3], "status").cloned(), text("approved"));
    assert_eq!(get(&spans[3], "approval.by").cloned(), text("bea"));
    assert_eq!(get(&spans[4], "work_ms"), Some(&Value::Int(10)), "waits are no work");
}

#[test]
fn a_question_without_an_answer_is_void() {
    let mut it = History::workflow("void", vec![("ask", call(), asking())]);
    it.grant("ask").finish("ask", Ok(said())).after_ms(50).cancel();
    let spans = spans_of(&it.events).unwrap();
    let asked = spans.iter().find(|span| span.name == "approval ask").unwrap();
    assert_eq!(get(asked, "status").cloned(), text("void"));
    assert_eq!(asked.end.micros_since(asked.start), 50_000);
}

#[test]
fn a_run_that_is_opened_again_has_a_span_over_each_course() {
    let mut it = History::workflow("again", vec![("one", call(), Flow::default())]);
    it.grant("one").after_ms(5).finish("one", Ok(said()));
    it.after_ms(1_000).rerun("one").grant("one").after_ms(7).finish("one", Ok(said()));
    let spans = spans_of(&it.events).unwrap();
    let whole: Vec<_> = spans.iter().filter(|span| span.name == "run.complete").collect();
    assert_eq!(whole.iter().map(|span| span.end.micros_since(span.start)).collect::<Vec<_>>(), [5_000, 7_000]);
    assert_eq!(whole[0].span_id, complete_span_id(it.run));
    assert_eq!(whole[1].links[0].span_id, whole[0].span_id);
    assert_eq!(get(whole[1], "steps.completed"), Some(&Value::Int(1)));
    let keys: Vec<_> = spans.iter().filter_map(|span| get(span, "idempotency.key").cloned()).collect();
    let expected = [0, 1].map(|round| Value::Text(idempotency_key_of(it.run, "one", round)));
    assert_eq!(keys, expected, "as the other side was told");
    let ids: HashSet<_> = spans.iter().map(|span| span.span_id).collect();
    assert_eq!(ids.len(), spans.len());
}

#[test]
fn a_run_under_another_version_has_its_steps_and_its_name() {
    let steps = vec![("one", call(), asking()), ("gone", call(), Flow::default())];
    let mut it = History::workflow("migrated", steps);
    it.grant("one").after_ms(5).finish("one", Ok(said()));
    it.grant("gone").after_ms(5).finish("gone", Ok(said()));
    it.migrate("2", |plan| {
        let more = StepPlan { id: "more".to_owned(), flow: Flow::default(), ..plan.steps[0].clone() };
        plan.steps.push(more);
    });
    it.grant("more").after_ms(7).finish("more", Ok(said())).answer("one", ApprovalAction::Continue);
    let spans = spans_of(&it.events).unwrap();
    let of = |name: &str| spans.iter().find(|span| span.name == name).unwrap_or_else(|| panic!("{name}: {spans:?}"));
    assert_eq!(get(of("step one"), "run.definition").cloned(), text("ann/campaign@1"));
    assert_eq!(get(of("step more"), "run.definition").cloned(), text("ann/campaign@2"));
    assert_eq!(get(of("step more"), "action").cloned(), text("call"));
    assert_eq!(get(of("run.complete"), "steps.completed"), Some(&Value::Int(3)));
}

/// Ids are part of what collectors keep: a new build must not give a run another trace.
#[test]
fn ids_are_pinned() {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let run = run_id("pin");
    assert_eq!(hex(&trace_id(run)), run.uuid().simple().to_string());
    let found = [run_span_id(run), attempt_span_id(run, "compose", 1), complete_span_id(run)].map(|id| hex(&id));
    assert_eq!(found, ["df6e65520faeb005", "8ffcf3ca73dbd17b", "a88ee41cc91c4587"]);
}

/// What may be asked of a run of three steps, in any order; much of it is rejected, as it should be.
fn script() -> impl Strategy<Value = Vec<(u8, u8, u16)>> {
    prop::collection::vec((0_u8..6, 0_u8..3, 0_u16..5_000), 0..40)
}

fn played(script: &[(u8, u8, u16)]) -> History {
    let names = ["gather", "compose", "validate"];
    let mut it = History::created("random", &names.map(|name| (name, Action::Compose {})));
    for (verb, step, ms) in script {
        let step = names[usize::from(*step)];
        it.after_ms(i64::from(*ms));
        match verb {
            0 | 1 => it.grant(step),
            2 => it.finish(step, Ok(history::draft())),
            3 => it.finish(step, Err(Failure::new(FailureClass::Transient, "no"))),
            4 => it.retry(step),
            _ if *ms > 4_900 => it.cancel(),
            _ => it.expire(step),
        };
    }
    it
}

proptest! {
    /// An export cut anywhere by a restart sends the same spans as one that was never cut.
    #[test]
    fn two_halves_make_the_whole(script in script(), cut in any::<prop::sample::Index>()) {
        let it = played(&script);
        let cut = cut.index(it.events.len() + 1);
        let whole = spans_of(&it.events).unwrap();
        let mut halves = spans_of(&it.events[..cut]).unwrap();
        halves.extend(spans_since(&it.events, cut as u64).unwrap());
        prop_assert_eq!(&halves, &whole);

        let mut trace = RunTrace::default();
        let one_by_one: Vec<_> = it.events.iter().flat_map(|event| trace.observe(event).unwrap()).collect();
        prop_assert_eq!(one_by_one, whole);
        prop_assert_eq!(trace.version(), it.events.len() as u64);
    }

    #[test]
    fn every_attempt_that_ended_is_one_span_below_the_run(script in script()) {
        let it = played(&script);
        let spans = spans_of(&it.events).unwrap();
        let ids: HashSet<_> = spans.iter().map(|span| span.span_id).collect();
        prop_assert_eq!(ids.len(), spans.len());
        prop_assert!(spans.iter().skip(1).all(|span| span.parent == Some(spans[0].span_id)));
        prop_assert!(spans.iter().all(|span| span.end >= span.start));
        let is = |what: &str| it.events.iter().filter(|event| event.event_type == format!("run.{what}")).count();
        let attempts = spans.iter().filter(|span| span.name.starts_with("step ")).count();
        let is_over = matches!(it.state, State::Over(..));
        if is_over {
            prop_assert_eq!(attempts, is("attempt_started"));
        } else {
            prop_assert_eq!(attempts, is("attempt_succeeded") + is("attempt_failed") + is("lease_expired"));
        }
        prop_assert_eq!(spans.len(), 1 + attempts + usize::from(is_over));
    }
}

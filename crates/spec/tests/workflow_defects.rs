//! The defects of the systems that came before, as far as they are about documents, each as the promise that it is not
//! here. The numbers are those of the requirements: system and defect.

use nightshift_domain::{
    calendar::Rule,
    definition::{self, Document, Trigger},
    run::{Action, OnTimeout},
    time::Timestamp,
};
use nightshift_spec::{Faults, ZonedCalendar, workflow};
use serde_json::json;

fn read(text: &str) -> Result<Document, Faults> {
    let calendar = ZonedCalendar::bundled();
    let (now, owner) = (Timestamp::from_secs(1_772_000_000), "ann");
    let context =
        workflow::Context { calendar: &calendar, now, owner, max_parallel_default: None, max_parallel_cap: None };
    workflow::parse(text, "flow.yaml", &context)
}

fn sound(text: &str) -> Document {
    read(text).unwrap_or_else(|faults| panic!("{faults}"))
}

#[test]
fn defect_4_7_3_fields_of_a_step_are_not_stored_and_ignored() {
    let document = sound(include_str!("workflows/full_field_coverage_v1.yml"));
    let fetch = &document.plan.steps[0];
    assert_eq!((fetch.timeout_ms, fetch.retry.attempts_max, fetch.retry.initial_ms), (8_000, 3, 1_500));
    let Action::Call { headers, body, .. } = &document.plan.steps[1].action else { panic!("{document:?}") };
    assert_eq!((headers.len(), body.as_ref()), (2, Some(&json!("{{ steps.fetch }}"))));
}

#[test]
fn defect_4_7_4_a_file_is_more_than_an_empty_object() {
    for text in [include_str!("workflows/daily_instructor_v1.yml"), include_str!("workflows/weekly_seed_v1.yml")] {
        assert!(sound(text).plan.steps.len() >= 3);
    }
}

#[test]
fn defect_4_7_5_the_cron_line_of_the_file_counts_in_its_zone() {
    let document =
        sound("key: k\ntrigger: {type: cron, cron: 0 18 * * SUN, timezone: Europe/Berlin}\nsteps: [{call: /a}]");
    let [Trigger::Schedule { schedule, .. }] = document.triggers.as_slice() else { panic!("{:?}", document.triggers) };
    assert_eq!(schedule.rule, Rule::Cron { expression: "0 18 * * SUN".into() });
    assert_eq!(schedule.timezone, "Europe/Berlin");
}

#[test]
fn defect_4_7_9_every_sixty_minutes_is_not_every_sixty_seconds() {
    let Faults(found) = read("key: k\ntrigger: {type: cron, cron: \"*/60 * * * *\"}\nsteps: [{call: /a}]").unwrap_err();
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].remedy.as_ref().is_some_and(|remedy| remedy.contains("hourly")), "{}", found[0]);
}

#[test]
fn defect_5_12_1_a_chain_is_no_circle() {
    let document = sound(
        "orchestration: {steps: [{id: c, agent: x, depends_on: [b]}, {id: b, agent: x, depends_on: [a]}, {id: a, agent: x}]}",
    );
    let ids: Vec<&str> = document.plan.steps.iter().map(|step| step.id.as_str()).collect();
    assert_eq!(ids, ["a", "b", "c"]);
}

#[test]
fn defect_5_12_5_what_a_checkpoint_says_counts() {
    let document = sound(
        "orchestration: {steps: [{agent: x, checkpoint_after: {reason: why, required: false, severity: HIGH, autoTimeout: 60}}]}",
    );
    let checkpoint = document.plan.steps[0].flow.checkpoint.as_deref().expect("a reason is a question");
    assert_eq!((checkpoint.question.as_str(), checkpoint.advisory), ("why", true));
    assert_eq!((checkpoint.severity.as_deref(), checkpoint.timeout_ms), (Some("high"), Some(60_000)));
    assert_eq!((checkpoint.options.len(), &checkpoint.on_timeout), (3, &OnTimeout::Abort));
}

#[test]
fn defect_5_12_6_parameters_are_checked_and_their_templates_kept() {
    let kpi = sound(include_str!("workflows/kpi-tracking.yaml"));
    let given = json!({"kpi_names": ["a"], "start_date": "2026-01-01", "end_date": "2026-01-31"});
    let checked = definition::parameters(&kpi.parameters, &given).unwrap();
    assert_eq!(checked["grouping"], "day", "the default is taken");
    for bad in [json!({"grouping": "hour"}), json!({"kpi_names": "a"}), json!({"start_date": "soon"}), json!({"x": 1})]
    {
        let mut given = given.clone();
        nightshift_domain::json::merge(&mut given, &bad);
        assert!(definition::parameters(&kpi.parameters, &given).is_err(), "{bad}");
    }
    let document = sound(
        "orchestration: {parameters: [{name: x}], steps: [{agent: a, input: {userMessage: \"{{ parameters.x }}\"}}]}",
    );
    let Action::Agent { input, .. } = &document.plan.steps[0].action else { panic!("{document:?}") };
    assert_eq!(input["userMessage"], "{{ parameters.x }}");
}

#[test]
fn defect_5_12_7_skipping_is_forbidden_without_retries_too() {
    let document =
        sound("orchestration: {steps: [{agent: x}], error_handling: {on_step_failure: {allow_skip: false}}}");
    let step = &document.plan.steps[0];
    assert_eq!((step.flow.no_skip, step.retry.attempts_max), (true, 1));
}

#[test]
fn a_kind_of_step_that_nobody_knows_does_not_become_an_agent() {
    let Faults(found) = read("orchestration: {steps: [{type: orchestraton, agent: x}]}").unwrap_err();
    assert!(found[0].to_string().contains("did you mean \"orchestration\"?"), "{found:?}");
}

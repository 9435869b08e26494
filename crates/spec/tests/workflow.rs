//! Workflow documents: what the examples of the seed systems and our own way of writing become.

use std::collections::BTreeMap;

use nightshift_domain::{
    calendar::{CatchUp, Overlap, Rule},
    definition::{Document, ParameterKind, Trigger},
    json::{Json, digest},
    run::{
        Action, ApprovalAction, CachePolicy, CrashPolicy, Jitter, OnTimeout, Part, Plan, Receiver, Reports,
        RetryPolicy, Rollback, Shape, StepPlan,
    },
    time::Timestamp,
};
use nightshift_spec::{Faults, ZonedCalendar, workflow};
use serde_json::json;

const NOW: Timestamp = Timestamp::from_secs(1_772_000_000);

fn read_bounded(text: &str, file: &str, default: Option<u16>, cap: Option<u16>) -> Result<Document, Faults> {
    let calendar = ZonedCalendar::bundled();
    let (max_parallel_default, max_parallel_cap) = (default, cap);
    let context =
        workflow::Context { calendar: &calendar, now: NOW, owner: "ann", max_parallel_default, max_parallel_cap };
    workflow::parse(text, file, &context)
}

fn read(text: &str) -> Document {
    read_bounded(text, "flow.yaml", None, None).unwrap_or_else(|faults| panic!("{faults}"))
}

fn step<'a>(document: &'a Document, id: &str) -> &'a StepPlan {
    document.plan.steps.iter().find(|step| step.id == id).unwrap_or_else(|| panic!("no step {id}"))
}

/// Steps that may go at once, one wave after another.
fn waves(plan: &Plan) -> Vec<Vec<String>> {
    let mut depth: BTreeMap<&str, usize> = BTreeMap::new();
    let mut waves: Vec<Vec<String>> = Vec::new();
    for step in &plan.steps {
        // Each depends on earlier ones only: this look-up is the proof.
        let at = step.depends_on.iter().map(|id| depth[id.as_str()] + 1).max().unwrap_or(0);
        depth.insert(&step.id, at);
        if waves.len() <= at {
            waves.resize(at + 1, Vec::new());
        }
        waves[at].push(step.id.clone());
    }
    waves
}

const DAILY: &str = include_str!("workflows/daily_instructor_v1.yml");
const WEEKLY: &str = include_str!("workflows/weekly_seed_v1.yml");
const COVERAGE: &str = include_str!("workflows/full_field_coverage_v1.yml");
const KPI: &str = include_str!("workflows/kpi-tracking.yaml");
const CAMPAIGN: &str = include_str!("workflows/campaign.yaml");

#[test]
fn the_workflows_of_the_queue_system_run_as_they_stand() {
    let vectors: Json = serde_json::from_str(include_str!("workflows/wisely_vectors.json")).unwrap();
    for (text, name) in [(DAILY, "daily_instructor_v1"), (WEEKLY, "weekly_seed_v1")] {
        let document = read(text);
        assert_eq!((document.name.as_str(), document.owner.as_str()), (name, "ann"));
        assert_eq!(json!(waves(&document.plan)), vectors["graph"][name]["waves"]);
        assert_eq!(document.plan.max_parallel, 64);
        assert_eq!(document.plan.definition, format!("ann/{name}@1.0.0"));
        assert_eq!((document.source.inline.as_deref(), document.digest()), (Some(text), &digest(text)));
        for step in &document.plan.steps {
            assert_eq!((&step.retry, step.crash), (&RetryPolicy::queue_preset(), CrashPolicy::Keyed));
        }
    }
    let daily = read(DAILY);
    let [Trigger::Schedule { schedule, parameters }, Trigger::Event { types, .. }] = daily.triggers.as_slice() else {
        panic!("{:?}", daily.triggers)
    };
    assert_eq!(schedule.rule, Rule::Cron { expression: "0 7 * * *".into() });
    assert_eq!((schedule.timezone.as_str(), parameters), ("UTC", &json!({})));
    assert_eq!(types, &["streak_ping", "user_start_day"]);
    let gather = step(&daily, "gather_signals");
    let call = |url: &str, method: &str| Action::Call {
        url: url.into(),
        method: method.into(),
        headers: BTreeMap::new(),
        body: None,
    };
    assert_eq!(gather.action, call("/functions/v1/agent-proxy/snapshot", "GET"));
    assert_eq!((gather.timeout_ms, step(&daily, "notify").timeout_ms), (8_000, 15_000));
    // A step that names no method posts.
    assert_eq!(step(&read(WEEKLY), "clo_begin_week").action, call("/functions/v1/agent-proxy/clo/begin-week", "POST"));
}

#[test]
fn every_field_of_the_queue_system_is_heeded() {
    let document = read(COVERAGE);
    let fetch = step(&document, "fetch");
    assert_eq!((fetch.retry.attempts_max, fetch.retry.jitter), (3, Jitter::None));
    assert_eq!(fetch.flow.for_each, None, "fanout_of: null is nothing");
    let shape = step(&document, "shape");
    let Action::Call { headers, body, method, .. } = &shape.action else { panic!("{:?}", shape.action) };
    assert_eq!(headers["X-Idempotency-Key"], "${workflow_run_id}-shape");
    assert_eq!((body, method.as_str()), (&Some(json!("{{ steps.fetch }}")), "POST"));
    let Action::Call { body, .. } = &step(&document, "tell").action else { panic!("{document:?}") };
    assert_eq!(body, &Some(json!({"channel": "inbox", "message": "ready"})));
    let Trigger::Schedule { schedule, .. } = &document.triggers[0] else { panic!("{:?}", document.triggers) };
    assert_eq!(schedule.rule, Rule::Cron { expression: "15 6 * * MON-FRI".into() });
    let fanned = read("key: k\nsteps: [{id: a, call: /a}, {id: b, call: /b, depends_on: a, fanout_of: a}]");
    assert_eq!(step(&fanned, "b").flow.for_each, Some(json!("{{ steps.a }}")));
}

#[test]
fn retry_delays_follow_the_vectors() {
    let queue: Json = serde_json::from_str(include_str!("workflows/wisely_vectors.json")).unwrap();
    for case in queue["per_step_retry_intended"]["cases"].as_array().unwrap() {
        let text = format!(
            "key: k\nsteps: [{{call: /a, retry: {{max_attempts: 3, backoff: exp, base_ms: {}}}}}]",
            case["base_ms"]
        );
        let n = u32::try_from(case["n"].as_u64().unwrap()).unwrap();
        assert_eq!(json!(read(&text).plan.steps[0].retry.delay_ms(n)), case["delay_ms"], "{case}");
    }
    for case in queue["original_backoff"]["cases"].as_array().unwrap() {
        let policy = read("key: k\nsteps: [{call: /a}]").plan.steps[0].retry.clone();
        let n = u32::try_from(case["attempts_after"].as_u64().unwrap()).unwrap();
        if case["status"] == "dead" {
            assert_eq!(policy.attempts_max, n);
        } else {
            assert_eq!(json!(policy.delay_ms(n) / 1_000), case["delay_s_min"]);
            assert_eq!(policy.jitter, Jitter::UpTo(1_000));
        }
    }
    let vectors: Json = serde_json::from_str(include_str!("workflows/orchestration_vectors.json")).unwrap();
    let policy = |said: &Json| {
        let text = json!({"orchestration": {
            "steps": [{"id": "a", "agent": "x"}, {"id": "s", "sleep": "1s"}],
            "error_handling": {"on_step_failure": said},
        }});
        let document = read(&text.to_string());
        assert_eq!(document.plan.steps[1].retry, RetryPolicy::once(), "nothing is tried again that no worker does");
        document.plan.steps[0].retry.clone()
    };
    for case in vectors["retry_delay"]["cases"].as_array().unwrap() {
        let mut said = case.clone();
        said.as_object_mut().unwrap().remove("delays_ms_for_attempt_1_2_3");
        let delays: Vec<u64> = (1..=3).map(|n| policy(&said).delay_ms(n)).collect();
        assert_eq!(json!(delays), case["delays_ms_for_attempt_1_2_3"], "{case}");
        assert_eq!(policy(&said).jitter, Jitter::None);
    }
    for case in vectors["retry_delay"]["max_attempts"].as_array().unwrap() {
        assert_eq!(json!(policy(&case[0]).attempts_max), case[1], "{case}");
    }
    // A list is taken from left to right.
    let merged =
        policy(&json!([{"maxAttempts": 2, "base_delay_seconds": 1.5}, {"retry_count": 4, "strategy": "linear"}]));
    assert_eq!((merged.attempts_max, merged.initial_ms, merged.shape), (5, 1_500, Shape::Linear));
}

#[test]
fn times_to_live_follow_the_vectors() {
    let vectors: Json = serde_json::from_str(include_str!("workflows/orchestration_vectors.json")).unwrap();
    for case in vectors["ttl"]["cases"].as_array().unwrap() {
        let of = |caching: Json| {
            let text = json!({"orchestration": {
                "steps": [{"id": "a", "agent": "x"}, {"id": "c", "call": "/c"}],
                "execution": {"caching": caching},
            }});
            let document = read(&text.to_string());
            document.plan.steps.iter().map(|step| step.flow.cache.map(|cache| cache.ttl_s)).collect::<Vec<_>>()
        };
        let expected = case[1].as_u64().map(|ttl| u32::try_from(ttl).unwrap());
        assert_eq!(of(json!({"enabled": true, "ttlSeconds": case[0]})), [Some(expected), None], "{case}");
        // A list of steps means only these, and each may differ.
        let listed = json!({"enabled": true, "ttl": 7, "steps": [{"id": "c", "ttl_seconds": case[0]}]});
        let expected = if case[0].is_null() { Some(7) } else { expected };
        assert_eq!(of(listed), [None, Some(expected)], "{case}");
        assert_eq!(of(json!({"ttl": 9, "steps": [{"id": "a"}, {"id": "c", "enabled": true}]})), [None, Some(Some(9))]);
        assert_eq!(of(json!({"ttl": case[0]})), [None, None]);
    }
    let own = read("name: n\nsteps: [{id: a, call: /a, cache: {ttl: 1h}}, {id: b, call: /b, cache: true}]");
    assert_eq!(step(&own, "a").flow.cache, Some(CachePolicy { ttl_s: Some(3_600) }));
    assert_eq!(step(&own, "b").flow.cache, Some(CachePolicy { ttl_s: Some(600) }));
}

#[test]
fn the_first_style_of_the_agent_platform_is_read() {
    let document = read(KPI);
    assert_eq!(document.plan.definition, "finance-manager/kpi-tracking@1.0.0");
    assert_eq!((document.display_name.as_str(), document.plan.max_parallel), ("KPI Tracking", 1));
    let kinds: Vec<String> = document.parameters.iter().map(|parameter| parameter.kind.to_string()).collect();
    assert_eq!(kinds, ["string[]", "date", "date", "string"]);
    assert_eq!(document.parameters[3].default, Some(json!("day")));
    assert_eq!(document.parameters[3].one_of, [json!("day"), json!("week"), json!("month")]);
    assert_eq!(waves(&document.plan), [["fetch-kpi-data"], ["summarize-results"]]);
    let fetch = step(&document, "fetch-kpi-data");
    assert_eq!(
        fetch.action,
        Action::Agent {
            agent: "supabase-agent".into(),
            mode: "BUILD".into(),
            input: json!({
                "userMessage": "KPIs {{ kpi_names }} from {{ start_date }} to {{ end_date }} by {{ grouping }}",
                "context": {"kpiNames": "{{ kpi_names }}"},
            }),
        }
    );
    assert_eq!(fetch.flow.output_mapping["row_count"], json!("$.content.deliverable.metadata.rowCount"));
    let checkpoint = fetch.flow.checkpoint.as_deref().unwrap();
    assert!(checkpoint.advisory, "required: false");
    let options: Vec<_> = checkpoint
        .options
        .iter()
        .map(|option| (option.action, option.label.as_str(), option.allows_modification))
        .collect();
    assert_eq!(
        options,
        [
            (ApprovalAction::Continue, "Yes", false),
            (ApprovalAction::Retry, "Again, changed", true),
            (ApprovalAction::Abort, "Stop", false)
        ]
    );
    // retry_count: 2 is three attempts, and nobody may skip.
    assert_eq!((fetch.retry.attempts_max, fetch.flow.no_skip), (3, true));
    assert_eq!(fetch.flow.label.as_deref(), Some("Fetch KPI data"));
}

#[test]
fn the_second_style_of_the_agent_platform_is_read() {
    let document = read(CAMPAIGN);
    assert_eq!(
        (document.name.as_str(), document.version.as_str(), document.owner.as_str()),
        ("campaign", "1.1.0", "ann")
    );
    assert_eq!(document.parameters[0].name, "campaign_name");
    assert_eq!(
        waves(&document.plan),
        [vec!["research-brief"], vec!["landing-page", "email-sequence"], vec!["quarterly"]]
    );
    assert_eq!(document.plan.max_parallel, 2);
    let brief = step(&document, "research-brief");
    let checkpoint = brief.flow.checkpoint.as_deref().unwrap();
    assert_eq!((checkpoint.question.as_str(), checkpoint.advisory), ("check the insights", false));
    assert_eq!(checkpoint.options.iter().map(|option| option.action).collect::<Vec<_>>(), ApprovalAction::ALL);
    assert_eq!(brief.flow.cache, Some(CachePolicy { ttl_s: Some(86_400) }));
    assert_eq!(step(&document, "landing-page").flow.cache, None);
    assert_eq!((brief.retry.attempts_max, brief.retry.cap_ms, brief.flow.no_skip), (3, 10_000, false));
    let rollback = Rollback {
        reversible: true,
        manual_only: true,
        description: Some("restore the CRM by hand".into()),
        label: None,
    };
    assert_eq!(brief.flow.rollback, Some(rollback));
    assert_eq!(
        step(&document, "quarterly").action,
        Action::Orchestration {
            owner: "finance-manager".into(),
            name: "kpi-tracking".into(),
            version: Some("1.0.0".into()),
            parameters: json!({"kpi_names": ["signups"], "start_date": "2026-01-01", "end_date": "2026-01-31"}),
        }
    );
    assert_eq!(step(&document, "quarterly").retry, RetryPolicy::once());
}

#[test]
fn every_alias_means_the_same() {
    let parallel = |key: &str| {
        let text = format!(
            "orchestration: {{steps: [{{agent: a}}], execution: {{parallelism: {{{key}: 7, strategy: fifo}}}}}}"
        );
        read(&text).plan.max_parallel
    };
    for key in
        ["maxParallel", "max_parallel", "maxParallelSteps", "max_parallel_steps", "maxConcurrent", "max_concurrent"]
    {
        assert_eq!(parallel(key), 7, "{key}");
    }
    let retry = |said: &str| {
        let text = format!("orchestration: {{steps: [{{agent: a, metadata: {{retry: {{{said}}}}}}}]}}");
        read(&text).plan.steps[0].retry.clone()
    };
    for said in ["maxAttempts: 4", "max_attempts: \"4\"", "retry_count: 3", "retryCount: 3"] {
        assert_eq!(retry(said).attempts_max, 4, "{said}");
    }
    for key in [
        "initialDelayMs: 3000",
        "initial_delay_ms: 3000",
        "initial_delay_seconds: 3",
        "base_delay_ms: 3000",
        "base_delay_seconds: 3.0",
        "initial_delay: 3s",
    ] {
        assert_eq!(retry(key).initial_ms, 3_000, "{key}");
    }
    for key in ["backoffMultiplier: 1.5", "backoff_multiplier: 1.5", "multiplier: 1.5"] {
        assert_eq!(retry(key).multiplier_pct, 150, "{key}");
    }
    for key in ["maxDelayMs: 9000", "max_delay_ms: 9000", "max_delay_seconds: 9", "max_delay: 9s"] {
        assert_eq!(retry(key).cap_ms, 9_000, "{key}");
    }
    let ttl = |key: &str, on: &str| {
        let text =
            format!("orchestration: {{steps: [{{agent: a}}], execution: {{caching: {{{on}: true, {key}: 60}}}}}}");
        read(&text).plan.steps[0].flow.cache
    };
    for key in ["ttlSeconds", "ttl_seconds", "ttl", "stepTtl", "step_ttl"] {
        for on in ["enabled", "enable", "isEnabled"] {
            assert_eq!(ttl(key, on), Some(CachePolicy { ttl_s: Some(60) }), "{key} {on}");
        }
    }
    let skip = |key: &str| {
        let text = format!(
            "orchestration: {{steps: [{{agent: a}}], error_handling: {{on_step_failure: {{{key}: false}}, rollback: {{manualOnly: true}}}}}}"
        );
        read(&text).plan.steps[0].flow.clone()
    };
    assert!(skip("allow_skip").no_skip && skip("allowSkip").no_skip && !skip("notifyHuman").no_skip);
    assert!(skip("notify_human").rollback.unwrap().manual_only);
    let message = read(
        "orchestration: {steps: [{agent: a, mode: plan, input: {user_message: hi, context: {x: 1}}, context: {x: 2, y: 3}}]}",
    );
    let Action::Agent { mode, input, .. } = &message.plan.steps[0].action else { panic!("{message:?}") };
    assert_eq!((mode.as_str(), input), ("PLAN", &json!({"userMessage": "hi", "context": {"x": 1, "y": 3}})));
}

#[test]
fn the_configuration_bounds_how_much_goes_at_once() {
    let parallel = |text: &str, default, cap| read_bounded(text, "f.yaml", default, cap).unwrap().plan.max_parallel;
    let orchestration = "orchestration: {steps: [{agent: a}]}";
    let said = "orchestration: {steps: [{agent: a}], execution: {concurrency: {maxParallel: 10}}}";
    for (text, default, cap, expected) in [
        (orchestration, None, None, 1),
        (orchestration, Some(4), None, 4),
        (orchestration, None, Some(3), 3),
        (orchestration, Some(4), Some(3), 3),
        (said, Some(4), None, 10),
        (said, Some(4), Some(3), 3),
        (WEEKLY, Some(4), None, 64),
        (WEEKLY, Some(4), Some(8), 8),
        (WEEKLY, None, Some(0), 1),
    ] {
        assert_eq!(parallel(text, default, cap), expected, "{default:?} {cap:?} {text}");
    }
}

#[test]
fn a_missing_id_is_the_number_of_the_step() {
    let document = read_bounded(
        r#"{"orchestration": {"steps": [{"agent": "x"}, {"id": "b", "agent": "x", "depends_on": ["step_1"]}]}}"#,
        "defs/my flow.v2.json",
        None,
        None,
    )
    .unwrap();
    assert_eq!(waves(&document.plan), [["step_1"], ["b"]]);
    assert_eq!(document.name, "my-flow");
    let parts = read("name: n\nsteps: [{call: /a}]\non_failure: [{call: /b}]\nfinally: [{call: /c}, {call: /d}]");
    let ids: Vec<&str> = parts.plan.steps.iter().map(|step| step.id.as_str()).collect();
    assert_eq!(ids, ["step_1", "on_failure_1", "finally_1", "finally_2"]);
}

#[test]
fn the_document_in_the_head_of_the_module_is_read() {
    let head = include_str!("../src/workflow/mod.rs");
    let (_, rest) = head.split_once("//! ```yaml\n").unwrap();
    let (lines, _) = rest.split_once("//! ```\n").unwrap();
    let text: String =
        lines.lines().map(|line| format!("{}\n", line.strip_prefix("//! ").unwrap_or_default())).collect();
    let document = read(&text);
    assert_eq!(
        waves(&document.plan)[..4],
        [["fetch", "on_failure_1", "finally_1"].as_slice(), &["each"], &["check"], &["send"]]
    );
    assert_eq!((document.triggers.len(), step(&document, "fetch").timeout_ms), (3, 120_000));
}

/// Every kind of step, and what surrounds one.
const OWN: &str = include_str!("workflows/own.yaml");

#[test]
fn our_own_way_has_every_kind_of_step() {
    let document = read(OWN);
    assert_eq!((document.owner.as_str(), document.version.as_str(), document.priority), ("research", "1.2.0", 50));
    let actions: Vec<&str> = document.plan.steps.iter().map(|step| step.action.as_str()).collect();
    assert_eq!(
        actions,
        [
            "call",
            "agent",
            "llm",
            "process",
            "sleep",
            "wait_for_event",
            "set",
            "approval",
            "orchestration",
            "call",
            "process"
        ]
    );
    let fetch = step(&document, "fetch");
    assert_eq!((fetch.timeout_ms, fetch.retry.attempts_max, fetch.retry.initial_ms), (120_000, 3, 1_500));
    let Action::Call { headers, .. } = &fetch.action else { panic!("{fetch:?}") };
    // The template's headers and the step's own.
    assert_eq!(headers.len(), 2);
    let each = step(&document, "each");
    assert_eq!(
        (each.flow.for_each.as_ref(), each.flow.for_each_parallel),
        (Some(&json!("{{ steps.fetch.rows }}")), Some(4))
    );
    assert_eq!(each.flow.concurrency_key.as_deref(), Some("topic-{{ item.topic }}"));
    assert_eq!((each.flow.queue.as_deref(), each.optional), (Some("slow"), true));
    let program = step(&document, "render");
    assert_eq!(
        (program.crash, &program.retry, program.timeout_ms),
        (CrashPolicy::Never, &RetryPolicy::once(), 600_000)
    );
    let Action::Process { command, output_bytes_max, memory_bytes_max, env, .. } = &program.action else { panic!() };
    assert_eq!((command.len(), *output_bytes_max, *memory_bytes_max, env.len()), (3, 1_048_576, Some(1 << 28), 1));
    assert_eq!(step(&document, "pause").action, Action::Sleep { ms: 250 });
    let Action::WaitForEvent { event, correlation, timeout_ms } = &step(&document, "answer").action else { panic!() };
    assert_eq!(
        (event.as_str(), correlation.as_deref(), *timeout_ms),
        ("answered", Some("{{ workflow_run_id }}"), Some(86_400_000))
    );
    let Action::Approval { checkpoint, payload } = &step(&document, "check").action else { panic!() };
    assert_eq!((checkpoint.group.as_deref(), checkpoint.timeout_ms), (Some("editors"), Some(86_400_000)));
    assert_eq!(checkpoint.on_timeout, OnTimeout::Escalate { to: "lead".into() });
    assert_eq!(payload, &json!("{{ steps.each }}"));
    assert_eq!(
        step(&document, "child").flow.when.as_deref(),
        Some("size(steps.fetch.rows) > 0 && parameters.grouping == \"day\"")
    );
    let parts: Vec<Part> = document.plan.steps[9..].iter().map(|step| step.flow.part).collect();
    assert_eq!(parts, [Part::OnFailure, Part::Finally]);
    assert_eq!(document.plan.output, Some(json!({"report": "{{ steps.each }}"})));
    assert_eq!(document.plan.max_parallel, 4);
}

#[test]
fn triggers_are_times_events_and_webhooks() {
    let document = read(OWN);
    let [
        Trigger::Schedule { schedule, parameters },
        Trigger::Schedule { schedule: every, .. },
        Trigger::Event { types, parameters: of_event },
        Trigger::Webhook { path, secret, .. },
    ] = document.triggers.as_slice()
    else {
        panic!("{:?}", document.triggers)
    };
    assert_eq!((schedule.timezone.as_str(), schedule.overlap), ("Europe/Berlin", Overlap::CancelOther));
    assert_eq!((parameters, schedule.catch_up), (&json!({"topics": ["sales"]}), CatchUp::All { max: 3 }));
    assert_eq!(every.rule, Rule::Interval { every_s: 21_600, anchor: NOW });
    assert_eq!(
        (types.as_slice(), of_event),
        (["order_placed".to_owned()].as_slice(), &json!({"topics": "{{ event.payload.topics }}"}))
    );
    assert_eq!((path.as_str(), secret.as_str()), ("nightly", "env:HOOK_SECRET"));
    assert_eq!(document.parameters[0].kind, ParameterKind::List(Box::new(ParameterKind::String)));
}

#[test]
fn steps_come_in_an_order_in_which_they_can_be_done() {
    let document = read(
        "name: n\nsteps:\n  - {id: d, call: /d, depends_on: [b, c]}\n  - {id: z, call: /z, on: finally}\n  \
         - {id: b, call: /b, depends_on: a}\n  - {id: c, call: /c, depends_on: a}\n  - {id: a, call: /a}\n  - {id: e, call: /e}\n",
    );
    let ids: Vec<&str> = document.plan.steps.iter().map(|step| step.id.as_str()).collect();
    assert_eq!(ids, ["a", "b", "c", "d", "e", "z"]);
}

#[test]
fn a_document_reads_the_same_as_yaml_and_as_json() {
    let yaml = read(
        "name: n\nsteps: [{id: a, set: {x: 1.50, y: [true, null, \"1\"], z: 007, big: 18446744073709551615, hex: 0x1f}}]",
    );
    let json = read(
        r#"{"name": "n", "steps": [{"id": "a", "set": {"x": 1.5, "y": [true, null, "1"], "z": 7, "big": 18446744073709551615, "hex": 31}}]}"#,
    );
    assert_eq!(yaml.plan, json.plan);
}

#[test]
fn a_document_says_who_is_told_of_its_runs() {
    let reports = |webhooks: &str| read(&format!("name: n\nsteps: [{{call: /a}}]\n{webhooks}")).plan.reports.clone();
    assert!(reports("").is_none());
    let address = |url: &str, secret: Option<&str>| {
        Some(Receiver::Address { url: url.to_owned(), secret: secret.map(str::to_owned) })
    };
    let whole = "webhooks: {progress: \"https://a.test/p\", checkpoint: \"http://b.test/c?x=1\", secret: crm, events: [orchestration.run.failed]}";
    let expected = Reports {
        progress: address("https://a.test/p", Some("crm")),
        checkpoint: address("http://b.test/c?x=1", Some("crm")),
        events: vec!["orchestration.run.failed".to_owned()],
    };
    assert_eq!(reports(whole), expected);
    let one = Reports { progress: address("https://a.test/p", None), ..Reports::default() };
    assert_eq!(reports("webhooks: {progress: \"https://a.test/p\"}"), one);
}

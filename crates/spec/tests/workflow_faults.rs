//! Workflow documents that are refused: every fault at once, each with its place, what is allowed and a remedy.

use nightshift_domain::{definition::Document, json::Json, time::Timestamp};
use nightshift_spec::{Faults, ZonedCalendar, workflow};
use proptest::prelude::*;
use serde_json::json;

fn read(text: &str) -> Result<Document, Faults> {
    let calendar = ZonedCalendar::bundled();
    let context = workflow::Context {
        calendar: &calendar,
        now: Timestamp::from_secs(1_772_000_000),
        owner: "ann",
        max_parallel_default: None,
        max_parallel_cap: None,
    };
    workflow::parse(text, "flow.yaml", &context)
}

/// The faults of a text, a line each.
fn faults(text: &str) -> Vec<String> {
    match read(text) {
        Ok(document) => panic!("no fault in {text}\n{:?}", document.plan),
        Err(faults) => faults.0.iter().map(ToString::to_string).collect(),
    }
}

#[test]
fn the_invalid_definitions_of_the_agent_platform_are_refused() {
    let cases: Vec<Json> = serde_json::from_str(include_str!("workflows/invalid_definitions.json")).unwrap();
    let words = [
        ("no steps", "found no steps; allowed: a list of at least one step"),
        ("duplicate step id", "found the id \"a\" again; allowed: each id once; the other one is on line 1"),
        ("self dependency", "found the step itself: a -> a"),
        ("unknown dependency", "found the unknown step \"zz\""),
        ("cycle", "found the circle a -> b -> a"),
        ("agent step without agent", "found a step that does nothing; allowed: exactly one of call, agent, "),
        (
            "mode not in CONVERSE|PLAN|BUILD|ORCHESTRATION",
            "found \"dance\"; allowed: CONVERSE, PLAN, BUILD, ORCHESTRATION",
        ),
        (
            "sub-orchestration without target name",
            "steps[0].orchestration: found nothing; allowed: a map with the name",
        ),
        ("sub-orchestration without agent and owner", "orchestration.owner: found nothing; allowed: the owner"),
    ];
    let mut refused = 0;
    for case in &cases {
        let text = case["definition"].to_string();
        let why = case["why"].as_str().unwrap();
        if case["valid"] == true {
            assert!(read(&text).is_ok(), "{why}");
            continue;
        }
        let (_, expected) = words.iter().find(|(known, _)| *known == why).unwrap_or_else(|| panic!("{why}"));
        let found = faults(&text);
        assert_eq!(found.len(), 1, "{why}: {found:?}");
        assert!(found[0].contains(expected), "{why}: {}", found[0]);
        refused += 1;
    }
    assert_eq!(refused, words.len());
}

/// Each document has one fault. The steps `a` and `b` (behind `a`) and the parameters `n` and `who` are there.
fn around(line: &str) -> String {
    let steps = "steps:\n  - {id: a, call: /a, output: {rows: $.rows}}\n";
    let head = "name: n\nparameters: [{name: n, type: integer}, {name: who, type: string}]\n";
    if line.starts_with("- ") { format!("{head}{steps}  {line}\n") } else { format!("{head}{line}\n{steps}") }
}

#[track_caller]
fn each_is_the_only_fault(cases: &[(&str, &str)]) {
    for (line, expected) in cases {
        let found = faults(&around(line));
        assert_eq!(found.len(), 1, "{line}: {found:#?}");
        assert!(found[0].contains(expected), "{line}:\n  {}", found[0]);
    }
}

#[test]
fn unknown_keys_are_refused_at_every_level() {
    each_is_the_only_fault(&[
        ("stepz: []", "stepz: found the unknown key \"stepz\"; allowed: name, "),
        ("triggr: {}", "did you mean \"trigger\"?"),
        ("- {call: /b, dependson: a}", "did you mean \"dependsOn\"?"),
        ("- {call: /b, retry: {max_attemps: 2}}", "did you mean \"max_attempts\"?"),
        ("- {agent: x, checkpoint_after: {question: q, requird: true}}", "did you mean \"required\"?"),
        ("- {agent: x, checkpoint: {question: q, options: [{action: abort, lable: x}]}}", "did you mean \"label\"?"),
        ("- {agent: x, metadata: {revrsible: true}}", "did you mean \"reversible\"?"),
        ("- {process: {command: x, evn: {}}}", "did you mean \"env\"?"),
        ("- {llm: {promt: x, prompt: y}}", "did you mean \"prompt\"?"),
        ("- {wait_for_event: {event: e, corelation: x}}", "did you mean \"correlation\"?"),
        ("- {approval: {question: q, asignee: x}}", "did you mean \"assignee\"?"),
        ("- {orchestration: {name: n, owner: o, parameter: {}}}", "did you mean \"parameters\"?"),
        ("- {call: /b, cache: {tttl: 1}}", "did you mean \"ttl\"?"),
        ("execution: {paralellism: {maxParallel: 1}}", "did you mean \"parallelism\"?"),
        ("execution: {concurrency: {maxParalel: 1}}", "did you mean \"maxParallel\"?"),
        ("execution: {caching: {enabld: true}}", "did you mean \"enabled\"?"),
        ("execution: {caching: {steps: [{id: a, tl: 1}]}}", "did you mean \"ttl\"?"),
        ("error_handling: {on_step_failur: {}}", "did you mean \"on_step_failure\"?"),
        ("error_handling: {on_step_failure: [{maxAttempt: 1}]}", "did you mean \"maxAttempts\"?"),
        ("error_handling: {rollback: {manual: true}}", "found the unknown key \"manual\""),
        ("trigger: {cron: 0 7 * * *, zone: UTC}", "found the unknown key \"zone\""),
        ("checkpoints: [{after: a, after_step: a, question: q}]", "found the unknown key \"after\""),
        ("templates: {t: {cal: /x}}", "templates.t.cal: found the unknown key \"cal\""),
        ("- {call: /b, timeoutMs: 1, timeout_ms: 2}", "found \"timeout_ms\" beside \"timeoutMs\", which mean the same"),
    ]);
    let wrapped = faults("metadata: {nam: x}\norchestration: {steps: [{agent: a}], step: []}\nextra: 1");
    assert_eq!(wrapped.len(), 3, "{wrapped:#?}");
}

#[test]
fn references_lead_somewhere_that_is_over() {
    each_is_the_only_fault(&[
        (
            "- {id: b, call: /b, body: \"{{ steps.a.rows }}\"}",
            "found \"a\", which it does not depend on; allowed: steps that this one depends on, directly or through others; add a to depends_on",
        ),
        ("- {id: b, call: /b, body_from: a}", "add a to depends_on"),
        ("- {id: b, call: /b, fanout_of: a}", "add a to depends_on"),
        ("- {id: b, call: /b, when: steps.a.ok}", "add a to depends_on"),
        (
            "- {id: b, call: /b, depends_on: a, body: \"{{ steps.aa.rows }}\"}",
            "found the unknown step \"aa\"; allowed: a, b; did you mean \"a\"?",
        ),
        (
            "- {id: b, call: /b, depends_on: a, body: {deep: [\"x {{ steps.a.row }}\"]}}",
            "steps[1].body.deep[0]: found the unknown output \"row\" of \"a\"; allowed: rows; did you mean \"rows\"?",
        ),
        ("- {id: b, call: /b, body: \"{{ steps.b.x }}\"}", "found the step \"b\" itself"),
        ("- {id: b, call: /b, body: \"{{ steps }}\"}", "found all steps at once"),
        (
            "- {call: \"/b/{{ parameters.wo }}\"}",
            "found the unknown parameter \"wo\"; allowed: n, who; did you mean \"who\"?",
        ),
        ("- {call: /b, headers: {X-A: \"${whoo}\"}}", "did you mean \"who\"?"),
        ("- {call: /b, body: \"{{ a.rows }}\"}", "did you mean \"steps.a\"?"),
        ("- {call: /b, body: \"{{ item }}\"}", "give the step for_each"),
        ("- {call: /b, for_each: \"{{ item.x }}\"}", "give the step for_each"),
        ("- {call: /b, body: \"{{ n + 1 }}\"}", "found the reference \"n + 1\"; allowed: a path such as"),
        ("- {call: /b, body: \"{{ steps..a }}\"}", "a dot is not followed by a name"),
        ("- {call: /b, body: \"{{ steps[a] }}\"}", "brackets hold a number from 0 or a quoted name"),
        ("- {agent: x, checkpoint_after: \"good {{ gone }}?\"}", "found the unknown name \"gone\""),
        ("- {llm: {prompt: p, system: \"{{ gone }}\"}}", "found the unknown name \"gone\""),
        ("- {process: [a, \"{{ gone }}\"]}", "found the unknown name \"gone\""),
        ("- {orchestration: {name: x, owner: o, parameters: {p: \"{{ gone }}\"}}}", "found the unknown name \"gone\""),
        ("- {call: /b, concurrency_key: \"{{ gone }}\"}", "found the unknown name \"gone\""),
        ("- {wait_for_event: {event: e, correlation: \"{{ gone }}\"}}", "found the unknown name \"gone\""),
        ("- {call: /b, body: \"{{ run.idd }}\"}", "found the unknown field \"idd\" of run"),
        ("- {call: /b, body: \"{{ failure.message }}\"}", "it only in steps of on_failure and finally"),
        ("- {id: b, for_each: [1], call: /b, checkpoint: \"ok {{ item }}?\"}", "it only in a step with for_each"),
        ("output: \"{{ step_id }}\"", "it only in steps"),
        ("output: \"{{ steps.x }}\"", "output: found the unknown step \"x\"; allowed: a"),
        (
            "on_failure: [{call: /f, body: \"{{ steps.finally_1 }}\"}]\nfinally: [{call: /g}]",
            "found \"finally_1\", which goes later",
        ),
    ]);
    // Through others, at the end of a run, and in its output everything that is over can be seen.
    for sound in [
        "- {id: b, call: /b, depends_on: a}\n  - {call: /c, depends_on: b, body: \"{{ steps.a.rows[0] }}\"}",
        "on_failure: [{call: /f, body: \"{{ steps.a.rows }}\"}]\nfinally: [{call: /g, body: \"{{ steps }}\"}]",
        "- {id: b, for_each: [1], when: item > 0 && index < 3, call: /b, checkpoint: \"ok {{ steps.b[0] }}?\"}",
        "on_failure: [{call: /f, when: \"failure.class == 'permanent'\", body: \"{{ failure.message }} {{ step_id }}\"}]",
        "checkpoints: [{after_step: a, question: \"ok {{ steps.a.rows }}?\"}]",
        "output: {all: \"{{ steps }}\", one: \"{{ steps.a.rows }}\"}",
        "- {call: /b, body: \"{{ trigger.payload.x }} {{ run.id }} {{ who }} {{ never closed\"}",
    ] {
        assert!(read(&around(sound)).is_ok(), "{sound}: {:?}", read(&around(sound)));
    }
}

#[test]
fn conditions_compile_and_know_their_names() {
    each_is_the_only_fault(&[
        ("- {call: /b, when: false}", "found a condition that is never true"),
        ("- {call: /b, when: \"parameters.n >\"}", "at character"),
        (
            "- {call: /b, when: \"n > 1\"}",
            "found the unknown name \"n\"; allowed: steps, parameters, run, trigger, item, index, failure; write parameters.n",
        ),
        ("- {call: /b, when: \"user_id == 'x'\"}", "found the unknown name \"user_id\""),
        ("- {call: /b, when: \"item > 1\"}", "it only in a step with for_each"),
        ("- {call: /b, when: \"failure.class == 'x'\"}", "it only in steps of on_failure and finally"),
        (
            "- {call: /b, when: \"run.di == 'x'\"}",
            "found the unknown field \"di\" of run; allowed: id, root, user, workflow, nominal; did you mean \"id\"?",
        ),
        ("- {call: /b, when: \"gone > 1\"}", "found the unknown name \"gone\"; allowed: steps, parameters, "),
        ("- {call: /b, when: \"parameters.gone > 1\"}", "found the unknown parameter \"gone\"; allowed: n, who"),
        ("- {call: /b, when: \"{{ n }} > 1\"}", "write the name without braces"),
        ("- {call: /b, when: \"len(who) > 1\"}", "there is no function \"len\""),
        ("- {call: /b, when: \"steps.zz.ok\"}", "found the unknown step \"zz\""),
        ("- {call: /b, when: [1]}", "found a list of 1; allowed: text"),
        (
            "- {id: b-c, call: /b}\n  - {call: /c, depends_on: b-c, when: steps.b-c.ok}",
            "- subtracts; write steps[\"b-c\"]",
        ),
    ]);
    assert!(
        read(&around(
            "- {id: b-c, call: /b}\n  - {call: /c, depends_on: b-c, when: 'steps[\"b-c\"].ok && parameters.n > 1'}"
        ))
        .is_ok()
    );
    assert!(read(&around("- {call: /b, when: true}")).unwrap().plan.steps[1].flow.when.is_none());
}

#[test]
fn graphs_without_a_way_through_are_refused() {
    each_is_the_only_fault(&[
        ("- {id: b, call: /b, depends_on: [b]}", "found the step itself: b -> b"),
        ("- {id: b, call: /b, depends_on: [a, a]}", "each entry once"),
        ("- {id: b, call: /b, depends_on: [aa]}", "found the unknown step \"aa\"; allowed: a; did you mean \"a\"?"),
        ("- {id: b, call: /b, depends_on: {a: 1}}", "a list of ids of steps"),
        (
            "- {id: b, call: /b, depends_on: c}\n  - {id: c, call: /c, depends_on: d}\n  - {id: d, call: /d, depends_on: b}",
            "found the circle b -> c -> d -> b",
        ),
        ("- {id: b, call: /b, depends_on: z}\n  - {id: z, call: /z, on: finally}", "it could never run"),
        ("- {id: b, call: /b, depends_on: z}\n  - {id: z, call: /z, on: failure}", "it could never run"),
        (
            "- {id: b, call: /b, depends_on: a, on: finally}",
            "drop it: this part begins when the steps before it are over",
        ),
        ("- {id: a, call: /b}", "found the id \"a\" again; allowed: each id once; the other one is on line 4"),
        (
            "- {id: \"b.c\", call: /b}",
            "steps[1].id: found \"b.c\"; allowed: a name of at most 100 letters, digits, _ and -; write \"b-c\"",
        ),
        ("finally: [{call: /f, on: main}]", "the part that the list is for"),
    ]);
    assert_eq!(faults("name: n\nsteps: [{call: /a, on: finally}]").len(), 1);
    assert_eq!(faults("name: n\nsteps: {a: {call: /a}}").len(), 1);
    let two = faults(
        "name: n\nsteps: [{id: a, call: /a, depends_on: b}, {id: b, call: /b, depends_on: a}, {id: c, call: /c, depends_on: d}, {id: d, call: /d, depends_on: c}]",
    );
    assert_eq!(two.len(), 2, "{two:?}");
}

#[test]
fn steps_that_contradict_themselves_are_refused() {
    each_is_the_only_fault(&[
        ("- {call: /b, agent: x}", "found call and agent in one step"),
        ("- {type: agent, call: /b, agent: x}", "found the key call in a step of type agent"),
        ("- {type: agnt, agent: x}", "did you mean \"agent\"?"),
        ("- {type: agent}", "agent: found nothing; allowed: the slug of a registered agent; add the key agent"),
        (
            "- {agent: x, method: GET}",
            "found the key \"method\" in a step of type agent; allowed: method only in steps of type call",
        ),
        ("- {sleep: 1m, retry: {max_attempts: 2}}", "retry only in steps of type call, agent, process, llm"),
        ("- {sleep: 1m, timeout: 1m}", "timeout only in steps of type"),
        ("- {set: 1, crash: never}", "crash only in steps of type"),
        ("- {orchestration: {name: x, owner: o}, input: {a: 1}}", "write the values as orchestration.parameters"),
        ("- {call: /b, method: FETCH}", "allowed: POST, GET, PUT, PATCH, DELETE, HEAD"),
        ("- {call: /b, method: get, body: {}}", "found a body beside method GET"),
        ("- {call: /b, body: {}, body_from: a, depends_on: a}", "body or body_from"),
        ("- {call: b}", "did you mean \"/b\"?"),
        ("- {call: \"ftp://x.org/a\"}", "an http or https address"),
        ("- {call: \"https://u:secret@x.org/a\"}", "found an address with a name or password (not shown)"),
        ("- {call: \"/a b\"}", "percent-encode blanks"),
        ("- {call: /b, headers: {\"X A\": y}}", "a header name: letters, digits and -"),
        ("- {call: /b, headers: {x-a: y, X-A: z}}", "each header once"),
        ("- {process: \"rm -rf x\"}", "no shell reads it; write [\"rm\",\"-rf\",\"x\"]"),
        ("- {process: []}", "a program and its arguments"),
        ("- {process: {command: x, env: {\"A-B\": y}}}", "a name of letters, digits and _"),
        ("- {for_each: who, call: /b}", "write for_each: \"{{ who }}\""),
        ("- {for_each: [], call: /b}", "a list, or a template that gives one"),
        ("- {for_each: \"x {{ who }}\", call: /b}", "a list, or a template that gives one"),
        ("- {for_each: [1], fanout_of: a, depends_on: a, call: /b}", "for_each or fanout_of"),
        ("- {parallel: 2, call: /b}", "parallel only beside for_each"),
        ("- {call: /b, output: {x: \"$..y\"}}", "a dot is not followed by a name"),
        ("- {call: /b, output: {x: \"{{ n }}\"}}", "what it made is named with $, without braces"),
        ("- {call: /b, output: {x: $y}}", "behind $ comes a dot or a bracket"),
        ("- {call: /b, output: {\"x.y\": $}}", "a name of letters, digits, _ and -"),
        ("- {call: /b, retry: {max_attempts: 2, retry_count: 1}}", "max_attempts or retry_count"),
        ("- {call: /b, retry: {base_ms: 1, initial_delay_ms: 1}}", "one of base_ms, initial_delay_ms"),
        ("- {call: /b, retry: {multiplier: 0.5}}", "a number from 1 to 100"),
        ("- {call: /b, retry: {max_attempts: 0}}", "a whole number from 1 to 100"),
        ("- {call: /b, timeout: 1s, timeout_ms: 5}", "timeout or timeout_ms"),
        ("- {call: /b, retry: {base_ms: 1}, metadata: {retry: {base_ms: 1}}}", "retry or metadata.retry"),
        (
            "- {use: gone, call: /b}",
            "found the unknown template \"gone\"; allowed: a name of templates, of which there are none",
        ),
        ("- {orchestration: {owner: o}}", "orchestration.name: found nothing"),
        ("- nothing", "found \"nothing\"; allowed: a map with the keys id, name"),
    ]);
}

#[test]
fn questions_that_nobody_could_answer_are_refused() {
    each_is_the_only_fault(&[
        ("- {agent: x, checkpoint: {required: false}}", "checkpoint.question: found nothing"),
        ("- {agent: x, checkpoint: {question: q, options: []}}", "at least one answer"),
        ("- {agent: x, checkpoint: {question: q, options: [{action: stop}]}}", "allowed: continue, retry, abort"),
        ("- {agent: x, checkpoint: {question: q, options: [{action: abort}, {action: abort}]}}", "found abort again"),
        ("- {agent: x, checkpoint: {question: q, on_timeout: approve}}", "on_timeout only beside timeout"),
        ("- {agent: x, checkpoint: {question: q, timeout: 1h, on_timeout: escalate}}", "say to whom"),
        ("- {agent: x, checkpoint: {question: q, severity: hgh}}", "did you mean \"high\"?"),
        ("- {agent: x, checkpoint: {question: q, autoTimeout: 0}}", "a whole number from 1 to"),
        (
            "checkpoints: [{after_step: aa, question: q}]",
            "found \"aa\"; allowed: the id of a step; did you mean \"a\"?",
        ),
        ("checkpoints: [{after_step: a, question: q}, {after_step: a, question: r}]", "one question behind a step"),
        ("- {approval: q, checkpoint: q}", "checkpoint_after only in steps of type"),
    ]);
}

#[test]
fn parameters_are_of_their_type() {
    let with = |parameter: &str| format!("name: n\nparameters: [{parameter}]\nsteps: [{{call: /a}}]\n");
    for (parameter, expected) in [
        ("{type: string}", "parameters[0].name: found nothing"),
        ("{name: a, type: strin}", "did you mean \"string\"?"),
        ("{name: a, type: \"strng[]\"}", "did you mean \"string\"?"),
        ("{name: a}, {key: a}", "found \"a\" again; allowed: each parameter once"),
        ("{name: steps}", "a name other than steps, parameters, run"),
        ("{name: 1a}", "does not begin with a digit"),
        ("{name: a, type: integer, default: x}", "found \"x\"; allowed: a value of type integer"),
        ("{name: a, type: string, default: 5}", "put it in quotes"),
        ("{name: a, type: date, default: 2026-02-30}", "write it as 2026-01-31"),
        ("{name: a, type: \"integer[]\", default: [1, x]}", "a value of type integer[]"),
        ("{name: a, type: string, enum: [x, y], default: z}", "found \"z\"; allowed: \"x\", \"y\""),
        (
            "{name: a, type: string, enum: [x, 1]}",
            "parameters[0].enum[1]: found the number 1; allowed: a value of type string",
        ),
        ("{name: a, type: string, enum: []}", "at least one value"),
        ("{name: a, enum: [1, 1]}", "each value once"),
        ("{name: a, type: integer, format: date}", "found the format date of a parameter of type integer"),
        ("{name: a, type: string, format: date, default: tomorrow}", "a value of type date"),
        ("{name: a, required: yes}", "found \"yes\"; allowed: true or false"),
    ] {
        let found = faults(&with(parameter));
        assert_eq!(found.len(), 1, "{parameter}: {found:#?}");
        assert!(found[0].contains(expected), "{parameter}:\n  {}", found[0]);
    }
    assert!(faults("name: n\nparameters: {a: 1}\nsteps: [{call: /a}]")[0].contains("a list of parameters"));
}

#[test]
fn triggers_that_never_start_anything_are_refused() {
    each_is_the_only_fault(&[
        ("trigger: {cron: \"*/60 * * * *\"}", "found \"*/60\""),
        ("trigger: {cron: 0 7 31 2 *}", "it would never fire"),
        ("trigger: {cron: 0 7 * *}", "it has 4 fields"),
        ("trigger: {cron: 0 7 * * SUNDAY}", "SUNDAY"),
        ("trigger: {cron: 0 25 * * *}", "25"),
        ("trigger: {cron: 0 7 * * *, timezone: Europe/Berln}", "did you mean \"Europe/Berlin\"?"),
        ("trigger: {cron: 0 7 * * *, every: 5m}", "exactly one of cron, every, frequency, at"),
        ("trigger: {at: 2026-02-30T10:00}", "an instant such as"),
        ("trigger: {frequency: weekly, time: 25:00}", "a time of day"),
        ("trigger: {}", "found a trigger of nothing"),
        ("trigger: {type: cron}", "trigger.cron: found nothing; allowed: cron beside type: cron"),
        ("trigger: {type: event}", "trigger.event_types: found nothing"),
        ("trigger: {type: cron_or_event, cron: 0 7 * * *}", "trigger.event_types: found nothing"),
        ("trigger: {type: cron, cron: 0 7 * * *, event_types: [x]}", "write type: cron_or_event"),
        ("trigger: {type: crn, cron: 0 7 * * *}", "did you mean \"cron\"?"),
        ("trigger: {event_types: []}", "at least one type of event"),
        ("trigger: {event: x, timezone: UTC}", "timezone only beside a time"),
        ("trigger: {webhook: a/b, secret: \"env:X\"}", "write \"b\": the address is /api/hooks/b"),
        ("trigger: {webhook: a}", "trigger.secret: found nothing"),
        ("trigger: {webhook: a, secret: hunter2}", "found something that is no reference (not shown)"),
        ("trigger: {event: x, secret: \"env:X\"}", "secret only beside webhook"),
        ("trigger: {cron: 0 7 * * *, parameters: {m: 1}}", "m: there is no such parameter"),
        ("trigger: {cron: 0 7 * * *, parameters: {n: x}}", "n: \"x\" is no integer"),
        (
            "trigger: {event: x, parameters: {m: 1}}",
            "found the unknown parameter \"m\"; allowed: n, who; did you mean \"n\"?",
        ),
        ("trigger: {event: x, parameters: {n: \"{{ evnt.payload }}\"}}", "did you mean \"event\"?"),
        ("trigger: {cron: 0 7 * * *, event: x, parameters: {n: 1}}", "write two triggers"),
        ("triggers: [{event: x}, {event: x}]", "found a trigger again"),
        ("triggers: {event: x}", "begin each with \"- \""),
    ]);
    let required = "name: n\nparameters: [{name: p, required: true}]\ntriggers: [{cron: 0 7 * * *}, {event: x, parameters: {}}]\nsteps: [{call: /a}]";
    let found = faults(required);
    assert_eq!(found.len(), 2, "{found:#?}");
    assert!(
        found[0].contains("p: it is required (any); a run that is started by time has nobody to ask"),
        "{found:#?}"
    );
    let hourly = faults(&around("trigger: {cron: \"*/60 * * * *\"}"));
    assert!(hourly[0].contains("hourly"), "{hourly:?}");
}

#[test]
fn bounds_and_lists_of_the_execution_are_checked() {
    each_is_the_only_fault(&[
        ("execution: {max_parallel: 0}", "a whole number from 1 to 1000"),
        ("execution: {concurrency: {maxParallel: 2}, max_parallel: 3}", "max_parallel or concurrency.max_parallel"),
        ("execution: {concurrency: {strategy: lifo}}", "allowed: fifo, dependency"),
        ("execution: {caching: {strategy: stpe}}", "allowed: per_step, definition"),
        ("execution: {caching: {ttl: soon}}", "a number"),
        ("execution: {caching: {steps: [{id: aa}]}}", "did you mean \"a\"?"),
        ("- {id: b, sleep: 1m}\nexecution: {caching: {steps: [{id: b}]}}", "found \"b\", a step of type sleep"),
        ("priority: -1", "a whole number from 0 to 32767"),
        ("templates: {t: {id: x}}", "a part of a step without id"),
        ("templates: {t: {use: x}}", "a part of a step without use"),
        ("templates: [x]", "a map of names to parts of steps"),
        ("- {id: b, sleep: 400d}", "at most 52w2d"),
        ("- {id: b, sleep: 5}", "add a unit: 5s or 5ms"),
        ("version: a b", "a version of letters, digits, dots, - and +"),
        ("owner: a/b", "write \"a-b\""),
        ("webhooks: {progress: /hooks}", "begins with http:// or https://"),
        ("webhooks: {progress: \"https://{{ host }}/x\"}", "no template"),
        ("webhooks: {secret: crm}", "progress, checkpoint or both"),
        ("webhooks: {progress: \"http://a\", secret: \"env:X\"}", "the name of a configured secret"),
        ("webhooks: {progress: \"http://a\", events: [orchestration.run.complete]}", "orchestration.run.completed"),
    ]);
    let differs = faults("metadata: {name: a}\norchestration: {name: b, steps: [{agent: x}]}");
    assert!(differs.len() == 1 && differs[0].contains("metadata says \"a\""), "{differs:?}");
}

#[test]
fn all_faults_are_found_in_one_reading_in_the_order_of_their_places() {
    let text = "name: n\nversion: \"\"\nparameters:\n  - {name: p, type: int, default: x}\ntrigger: {cron: 61 * * * *}\n\
                steps:\n  - id: a\n    call: b\n    timeout: soon\n    retry: {max_attempts: many}\n  - id: a\n    agent: x\n    \
                mode: dance\n    depends_on: [zz]\n    when: \"1 +\"\nexecution: {max_parallel: none}\n";
    let Faults(found) = read(text).unwrap_err();
    let places: Vec<(u64, &str)> = found.iter().map(|fault| (fault.line, fault.path.as_str())).collect();
    assert_eq!(
        places,
        [
            (2, "version"),
            (4, "parameters[0].default"),
            (5, "trigger.cron"),
            (8, "steps[0].call"),
            (9, "steps[0].timeout"),
            (10, "steps[0].retry.max_attempts"),
            (11, "steps[1].id"),
            (13, "steps[1].mode"),
            (14, "steps[1].depends_on[0]"),
            (15, "steps[1].when"),
            (16, "execution.max_parallel"),
        ],
        "{found:#?}"
    );
}

#[test]
fn what_steps_take_over_from_a_template_is_at_fault_where_it_stands() {
    let text = "name: n\ntemplates:\n  t:\n    call: /a\n    timeout: soon\nsteps:\n  - {id: a, use: t}\n  - {id: b, use: t}\n";
    let Faults(found) = read(text).unwrap_err();
    assert_eq!(found.len(), 1, "{found:#?}");
    assert_eq!((found[0].line, found[0].column), (5, 5));
}

/// Documents that are small and would be huge, or wrong in very many places.
#[test]
fn reading_costs_little_whatever_the_document() {
    let many = |count: usize, item: &dyn Fn(usize) -> String| (0..count).map(item).collect::<Vec<_>>().join(", ");
    let steps = many(900, &|at| format!("{{id: s{at}, call: /a}}"));
    let references = many(9_000, &|at| format!("\"{{{{ steps.z{at} }}}}\""));
    let found = faults(&format!("name: n\nsteps: [{steps}, {{set: [{references}]}}]"));
    assert_eq!(found.len(), 201, "{}", found[0]);
    assert!(found[0].len() < 500 && found[0].contains("and 881 more"), "{}", found[0]);
    assert!(found[200].contains("found 200 faults"), "{}", found[200]);
    let large = many(9_000, &|at| at.to_string());
    let uses = many(900, &|_| "{use: t, call: /a}".to_owned());
    let found = faults(&format!("name: n\ntemplates: {{t: {{body: [{large}]}}}}\nsteps: [{uses}]"));
    assert!(found[0].contains("values that are taken over"), "{}", found[0]);
    let found = faults(&format!("name: n\nsteps: [{}]", many(1_001, &|at| format!("{{id: s{at}, call: /a}}"))));
    assert!(found[0].contains("found 1001 steps; allowed: at most 1000 steps"), "{found:?}");
}

const DOCUMENTS: [&str; 6] = [
    include_str!("workflows/daily_instructor_v1.yml"),
    include_str!("workflows/weekly_seed_v1.yml"),
    include_str!("workflows/full_field_coverage_v1.yml"),
    include_str!("workflows/kpi-tracking.yaml"),
    include_str!("workflows/campaign.yaml"),
    include_str!("workflows/own.yaml"),
];

/// Whatever the text, reading ends, and faults lie inside it.
fn holds(text: &str) {
    if let Err(Faults(found)) = read(text) {
        assert!(!found.is_empty());
        let lines: Vec<&str> = text.split('\n').collect();
        for fault in found {
            let line = usize::try_from(fault.line).unwrap();
            assert!(line <= lines.len(), "{fault}\n{text}");
            if line > 0 {
                let column = usize::try_from(fault.column).unwrap();
                assert!((1..=lines[line - 1].chars().count() + 1).contains(&column), "{fault}\n{text}");
            }
            assert!(!fault.allowed.is_empty() && !fault.found.is_empty(), "{fault}");
        }
    }
}

proptest! {
    #[test]
    fn mutated_documents_never_panic(
        which in 0..DOCUMENTS.len(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), 0_u8..6, "[ -~\\n]{0,6}"), 1..6),
    ) {
        let mut characters: Vec<char> = DOCUMENTS[which].chars().collect();
        for (at, kind, text) in changes {
            let at = at.index(characters.len().max(1)).min(characters.len());
            let end = (at + usize::from(kind) * 3).min(characters.len());
            let new: Vec<char> = if kind == 5 { characters[at..end].to_vec() } else { text.chars().collect() };
            characters.splice(at..if kind == 5 { at } else { end }, new);
        }
        holds(&characters.into_iter().collect::<String>());
    }

    #[test]
    fn documents_with_exchanged_words_never_panic(
        which in 0..DOCUMENTS.len(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 1..8),
    ) {
        // Words change places: keys stand where values were, and ids of one step in another.
        let mut words: Vec<&str> = DOCUMENTS[which].split_inclusive([' ', '\n', ',', '{', '}', '[', ']', ':']).collect();
        for (one, other) in changes {
            let (one, other) = (one.index(words.len()), other.index(words.len()));
            words.swap(one, other);
        }
        holds(&words.concat());
    }

    #[test]
    fn graphs_of_any_shape_are_ordered_or_refused(edges in prop::collection::vec((0_usize..8, 0_usize..8), 0..20)) {
        let steps: Vec<Json> = (0..8).map(|at| {
            let needs: std::collections::BTreeSet<String> =
                edges.iter().filter(|(from, to)| *from == at && from != to).map(|(_, to)| format!("s{to}")).collect();
            json!({"id": format!("s{at}"), "call": "/x", "depends_on": needs})
        }).collect();
        let text = json!({"name": "n", "steps": steps}).to_string();
        match read(&text) {
            Ok(document) => {
                let order: Vec<&str> = document.plan.steps.iter().map(|step| step.id.as_str()).collect();
                for (at, step) in document.plan.steps.iter().enumerate() {
                    prop_assert!(step.depends_on.iter().all(|need| order[..at].contains(&need.as_str())));
                }
                prop_assert_eq!(order.len(), 8);
            }
            Err(faults) => prop_assert!(faults.to_string().contains("the circle s"), "{}", faults),
        }
    }
}

//! The keys of a workflow document, apart from those of its steps.
//!
//! Owns: names, other spellings and forms, as data for the reader and for the schema.
//! Refuses to know: what is impossible in a combination of keys.

pub(super) mod step;

use crate::table::{
    Key, Table,
    Takes::{Any, Duration, Either, List, Map, Named, Number, Text, Texts, Truth, Whole, Word},
};

/// The document when everything stands below `orchestration`.
pub(super) static WRAPPED: Table = Table {
    name: "wrapped",
    about: "A workflow below the key orchestration, with its name there or in metadata.",
    keys: &[
        Key::of("metadata", Map(&METADATA), "Who the workflow is."),
        Key::of("orchestration", Map(&WORKFLOW), "The workflow."),
    ],
};

/// Who a workflow is, beside `orchestration`.
pub(super) static METADATA: Table = Table {
    name: "metadata",
    about: "Who the workflow is.",
    keys: &[
        Key::of("name", Text, "Its name, unique below its owner."),
        Key::of("display_name", Text, "Name for people.").also(&["displayName"]),
        Key::of("version", Text, "Its version; compared as text. Default 1.0.0."),
        Key::of("description", Text, "What it is for."),
        Key::of("owner", Text, "Owner: a user, a team or an agent."),
    ],
};

/// The workflow.
pub(super) static WORKFLOW: Table = Table {
    name: "workflow",
    about: "A workflow.",
    keys: &[
        Key::of("name", Text, "Its name, unique below its owner. Default: the name of the file.").also(&["key"]),
        Key::of("display_name", Text, "Name for people.").also(&["displayName"]),
        Key::of("owner", Text, "Owner: a user, a team or an agent."),
        Key::of("version", Text, "Its version; compared as text. Default 1.0.0."),
        Key::of("description", Text, "What it is for."),
        Key::of("priority", Whole(0, 32_767), "Priority of its runs; lower goes first. Default 100."),
        Key::of("parameters", List(&PARAMETER), "What a run is given."),
        Key::of("triggers", List(&TRIGGER), "What starts a run, beside people and programs."),
        Key::of("trigger", Map(&TRIGGER), "The same with a single trigger."),
        Key::of("steps", List(&step::STEP), "The graph. Steps without depends_on between them may go at once."),
        Key::of("on_failure", List(&step::STEP), "Steps that go only when the steps above have failed, behind them.")
            .also(&["onFailure"]),
        Key::of("finally", List(&step::STEP), "Steps that go at the end, whatever happened."),
        Key::of("templates", Named(&Map(&step::STEP)), "Parts of steps by name, taken over with `use: name`."),
        Key::of("checkpoints", List(&CHECKPOINTS), "Questions to people behind steps, apart from the steps."),
        Key::of("execution", Map(&EXECUTION), "How much goes at once, and what is kept."),
        Key::of("error_handling", Map(&ERROR_HANDLING), "What a failure means, for steps that do not say.")
            .also(&["errorHandling"]),
        Key::of(
            "webhooks",
            Map(&WEBHOOKS),
            "Who outside is told how runs go. Default: the webhooks of the configuration.",
        ),
        Key::of("output", Any, "What a run gives back; a template. Default: the outputs of its steps by id."),
    ],
};

/// Who outside is told how runs go.
pub(super) static WEBHOOKS: Table = Table {
    name: "webhooks",
    about: "Who outside is told how runs go, by signed POST.",
    keys: &[
        Key::of("progress", Text, "Address that is told how far runs and steps are."),
        Key::of("checkpoint", Text, "Address that is told of questions to people and their answers."),
        Key::of("secret", Text, "Name of the configured secret that signs. Without it, messages are not signed."),
        Key::of(
            "events",
            Texts,
            "Names of the messages that are sent, e.g. orchestration.run.completed. Default: all.",
        ),
    ],
};

/// A parameter.
pub(super) static PARAMETER: Table = Table {
    name: "parameter",
    about: "What a run is given. Templates see it as {{ parameters.name }} and {{ name }}.",
    keys: &[
        Key::of("name", Text, "Its name.").also(&["key"]),
        Key::of(
            "type",
            Text,
            "string, integer, number, boolean, date, datetime, object, any, or one with [] for a list. Default any.",
        ),
        Key::of("required", Truth, "A run must be given it. Default false."),
        Key::of("default", Any, "Taken when a run is not given it."),
        Key::of("enum", Any, "A list of the only values it may have.").also(&["one_of"]),
        Key::of("format", Word(&FORMATS), "date and date-time are checked; the others are for people."),
        Key::of("description", Text, "For people."),
    ],
};

/// Formats of texts that are known.
pub(super) const FORMATS: [&str; 8] = ["date", "date-time", "datetime", "time", "email", "uri", "url", "uuid"];

/// A trigger.
pub(super) static TRIGGER: Table = Table {
    name: "trigger",
    about: "What starts a run: a time (cron, every, frequency or at), events, or a webhook.",
    keys: &[
        Key::of(
            "type",
            Word(&["cron", "event", "cron_or_event", "schedule", "webhook"]),
            "May be left out; what is given says it.",
        ),
        Key::of("cron", Text, "Five fields: minute hour day-of-month month day-of-week, e.g. 0 18 * * SUN."),
        Key::of("every", Duration, "Every so often, counted from anchor."),
        Key::of("anchor", Text, "The instant that `every` is counted from. Default: when the document is read."),
        Key::of(
            "frequency",
            Word(&["daily", "weekdays", "weekly", "biweekly", "monthly"]),
            "In words, with day and time.",
        ),
        Key::of(
            "day",
            Word(&["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]),
            "Beside frequency.",
        ),
        Key::of("time", Text, "Beside frequency: HH:MM. Default 09:00."),
        Key::of("at", Text, "Once, at this instant."),
        Key::of("timezone", Text, "IANA name of the zone that the rule is read in. Default UTC."),
        Key::of(
            "catch_up",
            Either(&[Word(&["skip", "latest", "all"]), Named(&Whole(1, 10_000))]),
            "Instants missed while nothing ran. Default latest.",
        ),
        Key::of("catch_up_window", Duration, "Instants found later than this are skipped."),
        Key::of("overlap", Word(&OVERLAPS), "When the former run goes on. Default skip."),
        Key::of("jitter", Duration, "Start up to this much later, to spread load."),
        Key::of("event_types", Texts, "Types of events.").also(&["event", "events", "eventTypes"]),
        Key::of("webhook", Text, "The last part of the address /api/hooks/... of signed requests."),
        Key::of("secret", Text, "Beside webhook: where the secret is that signs requests, env:NAME or file:/path."),
        Key::of(
            "parameters",
            Named(&Any),
            "Parameters of these runs. For events and webhooks a template that sees {{ event }}; without it fields of the \
             payload with the names of parameters are taken.",
        ),
    ],
};

/// What may be said of a former run that goes on.
const OVERLAPS: [&str; 5] = ["skip", "buffer_one", "buffer_all", "cancel_other", "allow"];

/// Questions apart from the steps.
pub(super) static CHECKPOINTS: Table = Table {
    name: "checkpoints",
    about: "A question to people behind a step.",
    keys: &[
        Key::of("after_step", Text, "The step.").also(&["afterStep"]),
        Key::of("type", Text, "For people."),
        Key::of("question", Text, "What is asked.").also(&["reason"]),
    ],
};

/// How a run goes.
pub(super) static EXECUTION: Table = Table {
    name: "execution",
    about: "How much goes at once, and what is kept.",
    keys: &[
        Key::of("concurrency", Map(&CONCURRENCY), "How much goes at once.").also(&["parallelism"]),
        Key::of("max_parallel", Whole(1, 1_000), "The same as concurrency.max_parallel.").also(&MAX_PARALLEL),
        Key::of("caching", Map(&CACHING), "What is kept for steps with the same input.").also(&["cache"]),
    ],
};

const MAX_PARALLEL: [&str; 5] =
    ["maxParallel", "maxParallelSteps", "max_parallel_steps", "maxConcurrent", "max_concurrent"];

/// How much goes at once.
pub(super) static CONCURRENCY: Table = Table {
    name: "concurrency",
    about: "How much goes at once.",
    keys: &[
        Key::of("max_parallel", Whole(1, 1_000), "Steps of a run that may go at once.").also(&MAX_PARALLEL),
        Key::of(
            "queue_strategy",
            Word(&["fifo", "dependency"]),
            "Both go by the order of the document among steps whose dependencies are complete.",
        )
        .also(&["queueStrategy", "strategy"]),
    ],
};

/// What is kept.
pub(super) static CACHING: Table = Table {
    name: "caching",
    about: "Outputs of agent steps are kept for steps with the same input.",
    keys: &[
        Key::of("enabled", Truth, "Default false.").also(&["enable", "isEnabled"]),
        Key::of("ttl_seconds", Number, "Default 600; 0 and less: for ever; at most 86400.").also(&[
            "ttlSeconds",
            "ttl",
            "stepTtl",
            "step_ttl",
        ]),
        Key::of("strategy", Word(&["per_step", "definition"]), "Both keep outputs step by step."),
        Key::of("steps", List(&CACHED_STEP), "When it is not empty, only these steps."),
    ],
};

/// A step whose output is kept.
pub(super) static CACHED_STEP: Table = Table {
    name: "cached_step",
    about: "A step whose output is kept.",
    keys: &[
        Key::of("id", Text, "The step."),
        Key::of("enabled", Truth, "Default: what holds for all.").also(&["enable", "isEnabled"]),
        Key::of("ttl_seconds", Number, "Default: what holds for all.").also(&[
            "ttlSeconds",
            "ttl",
            "stepTtl",
            "step_ttl",
        ]),
    ],
};

/// What a failure means.
pub(super) static ERROR_HANDLING: Table = Table {
    name: "error_handling",
    about: "What a failure means, for steps that do not say.",
    keys: &[
        Key::of(
            "on_step_failure",
            Either(&[Map(&ON_STEP_FAILURE), List(&ON_STEP_FAILURE)]),
            "When a step is tried again. A list is taken from left to right, later entries over earlier ones.",
        )
        .also(&["onStepFailure"]),
        Key::of("rollback", Map(&ROLLBACK), "What people should know who undo a step. Nothing undoes it by itself."),
    ],
};

/// When a step is tried again.
pub(super) static RETRY: Table = Table { name: "retry", about: "When a step is tried again.", keys: &RETRY_KEYS };

/// When a step is tried again, and what people may do about its failure.
pub(super) static ON_STEP_FAILURE: Table = Table {
    name: "on_step_failure",
    about: "When a step is tried again, and what people may do about its failure.",
    keys: &ON_STEP_FAILURE_KEYS,
};

const RETRY_KEYS: [Key; 12] = retry_keys();
const ON_STEP_FAILURE_KEYS: [Key; 14] = {
    let [a, b, c, d, e, f, g, h, i, j, k, l] = retry_keys();
    let skip = Key::of("allow_skip", Truth, "People may skip a step. Default true.").also(&["allowSkip"]);
    let notify = Key::of("notify_human", Truth, "People should be told; kept with the document.");
    [a, b, c, d, e, f, g, h, i, j, k, l, skip, notify.also(&["notifyHuman"])]
};

const fn retry_keys() -> [Key; 12] {
    [
        Key::of("max_attempts", Whole(1, 100), "Attempts in all.").also(&["maxAttempts"]),
        Key::of("retry_count", Whole(0, 99), "Attempts after the first.").also(&["retryCount"]),
        Key::of("base_ms", Number, "Delay before the second attempt, in milliseconds, however short."),
        Key::of("initial_delay_ms", Number, "Delay before the second attempt, in milliseconds; at least 250.").also(&[
            "initialDelayMs",
            "base_delay_ms",
            "baseDelayMs",
        ]),
        Key::of("initial_delay_seconds", Number, "The same in seconds.").also(&[
            "initialDelaySeconds",
            "base_delay_seconds",
            "baseDelaySeconds",
        ]),
        Key::of("initial_delay", Duration, "The same as a duration.").also(&["delay"]),
        Key::of("multiplier", Number, "Growth of an exponential delay, at least 1. Default 2.")
            .also(&["backoffMultiplier", "backoff_multiplier"]),
        Key::of("max_delay_ms", Number, "No delay is longer, in milliseconds.").also(&["maxDelayMs"]),
        Key::of("max_delay_seconds", Number, "The same in seconds.").also(&["maxDelaySeconds"]),
        Key::of("max_delay", Duration, "The same as a duration.").also(&["maxDelay"]),
        Key::of("strategy", Word(&["exponential", "exp", "linear", "fixed"]), "How delays grow. Default exponential.")
            .also(&["backoff"]),
        Key::of("jitter_ms", Whole(0, 3_600_000), "Spread on top of a delay, in milliseconds.").also(&["jitterMs"]),
    ]
}

/// What people should know who undo a step.
pub(super) static ROLLBACK: Table = Table {
    name: "rollback",
    about: "What people should know who undo a step. Nothing undoes it by itself.",
    keys: &[
        Key::of("reversible", Truth, "It can be undone."),
        Key::of("manual_only", Truth, "Only by hand.").also(&["manualOnly"]),
        Key::of("description", Text, "How."),
        Key::of("label", Text, "Name for people."),
    ],
};

/// Every table that a schema has to hold.
pub(super) static ALL: [&Table; 25] = [
    &WRAPPED,
    &METADATA,
    &WORKFLOW,
    &WEBHOOKS,
    &PARAMETER,
    &TRIGGER,
    &CHECKPOINTS,
    &EXECUTION,
    &CONCURRENCY,
    &CACHING,
    &CACHED_STEP,
    &ERROR_HANDLING,
    &RETRY,
    &ON_STEP_FAILURE,
    &ROLLBACK,
    &step::STEP,
    &step::METADATA,
    &step::CACHE,
    &step::CHECKPOINT,
    &step::OPTION,
    &step::PROCESS,
    &step::LLM,
    &step::WAIT_FOR_EVENT,
    &step::APPROVAL,
    &step::ORCHESTRATION,
];

//! The keys of a step.
//!
//! Owns: names, other spellings and forms, and which kinds of step a key belongs to.
//! Refuses to know: what is impossible in a combination of keys.

use super::{RETRY, ROLLBACK};
use crate::table::{
    Key, Table,
    Takes::{Any, Duration, Either, List, Map, Named, Number, Text, Texts, Truth, Whole, Word},
};

/// The words for kinds of steps.
pub(in crate::workflow) const KINDS: [&str; 9] =
    ["call", "agent", "process", "llm", "sleep", "wait_for_event", "approval", "orchestration", "set"];

/// A step.
pub(in crate::workflow) static STEP: Table = Table { name: "step", about: "A step.", keys: &STEP_KEYS };

const STEP_KEYS: [Key; 37] = [
    Key::of("id", Text, "Unique in the document: letters, digits, _ and -. Default: step_<number in its list>."),
    Key::of("name", Text, "Name for people.").also(&["label"]),
    Key::of("use", Text, "Takes over a part of `templates`; what the step says itself is laid over it."),
    Key::of("type", Word(&KINDS), "The kind of step. May be left out; what is given says it."),
    // What it does.
    Key::of("call", Text, "HTTP endpoint: an absolute address, or a path below the configured base address; a template."),
    Key::of("method", Word(&["get", "post", "put", "patch", "delete", "head"]), "Of a call. Default POST."),
    Key::of("headers", Named(&Text), "Of a call; templates."),
    Key::of("body", Any, "Of a call; a template."),
    Key::of("body_from", Text, "The output of this step is the body of the call.").also(&["bodyFrom"]),
    Key::of("agent", Text, "A registered agent. Beside orchestration: its owner."),
    Key::of("mode", Word(&["converse", "plan", "build", "orchestration"]), "Of an agent. Default BUILD."),
    Key::of("input", Any, "What the agent reads: userMessage, context, payload, ...; a template. A text is the userMessage."),
    Key::of("context", Any, "The same as input.context."),
    Key::of("process", Either(const { &[Texts, Map(&PROCESS)] }), "A program and its arguments, or a map."),
    Key::of("llm", Either(const { &[Text, Map(&LLM)] }), "What a language model is asked, or a map."),
    Key::of("sleep", Duration, "Waits so long."),
    Key::of("wait_for_event", Either(const { &[Text, Map(&WAIT_FOR_EVENT)] }), "Waits for an event of this type, or a map.")
        .also(&["waitForEvent"]),
    Key::of("approval", Either(const { &[Text, Map(&APPROVAL)] }), "Waits for a person's answer to this question, or a map."),
    Key::of("orchestration", Map(&ORCHESTRATION), "Starts a run of another definition and waits for it."),
    Key::of("set", Any, "Nothing but this value for later steps; a template."),
    // When and how often.
    Key::of("depends_on", Texts, "Steps that must be complete before.").also(&["dependsOn"]),
    Key::of("when", Either(&[Truth, Text]), "A condition in CEL; when it is false the step is skipped.").also(&["if"]),
    Key::of("for_each", Any, "A list, or a template that gives one; the step goes once for each element, seen as {{ item }} and {{ index }}.")
        .also(&["forEach"]),
    Key::of("fanout_of", Text, "The same as for_each with the output of this step.").also(&["fanoutOf"]),
    Key::of("parallel", Whole(1, 1_000), "How many elements may go at once. Default: as many as the run allows."),
    Key::of("on", Word(&["main", "failure", "finally"]), "In which part of the run it goes. Default main."),
    // What surrounds it.
    Key::of("optional", Truth, "The run goes on without it. Default false."),
    Key::of("retry", Map(&RETRY), "When it is tried again."),
    Key::of("timeout", Duration, "An attempt is given up after so long."),
    Key::of("timeout_ms", Whole(1, 86_400_000), "The same in milliseconds.").also(&["timeoutMs"]),
    Key::of("crash", Word(&["retry", "keyed", "never"]), "What a crash in the middle of an attempt means."),
    Key::of("cache", Either(const { &[Truth, Map(&CACHE)] }), "What it made is kept for steps with the same input."),
    Key::of("checkpoint_after", Either(const { &[Text, Map(&CHECKPOINT)] }), "A person is asked before the run goes on behind it.")
        .also(&["checkpointAfter", "checkpoint"]),
    Key::of("output_mapping", Named(&Any), "What later steps see: names with $-paths into what was made, or literals.")
        .also(&["outputMapping", "output"]),
    Key::of("queue", Text, "The queue it waits in."),
    Key::of("concurrency_key", Text, "Steps with the same key go one after another, over all runs; a template.")
        .also(&["concurrencyKey"]),
    Key::of("metadata", Map(&METADATA), "Further policies."),
];

/// The kinds a key belongs to; keys that are not here belong to all.
pub(in crate::workflow) const BELONGS: [(&str, &[&str]); 16] = [
    ("method", &["call"]),
    ("headers", &["call"]),
    ("body", &["call"]),
    ("body_from", &["call"]),
    ("agent", &["agent", "orchestration"]),
    ("mode", &["agent", "orchestration"]),
    ("input", &["agent"]),
    ("context", &["agent"]),
    ("retry", WORKED),
    ("timeout", TIMED),
    ("timeout_ms", TIMED),
    ("crash", WORKED),
    ("cache", WORKED),
    ("queue", WORKED),
    ("concurrency_key", WORKED),
    ("checkpoint_after", &["call", "agent", "process", "llm", "wait_for_event", "orchestration", "set"]),
];

/// Kinds that a worker does.
const WORKED: &[&str] = &["call", "agent", "process", "llm"];
/// Kinds that may have an end in time.
const TIMED: &[&str] = &["call", "agent", "process", "llm", "wait_for_event", "approval"];
/// Further policies of a step.
pub(in crate::workflow) static METADATA: Table = Table {
    name: "step_metadata",
    about: "Further policies of a step.",
    keys: &[
        Key::of("retry", Map(&RETRY), "The same as retry."),
        Key::of("rollback", Map(&ROLLBACK), "What people should know who undo it."),
        Key::of("reversible", Truth, "The same as rollback.reversible."),
    ],
};

/// What is kept of a step.
pub(in crate::workflow) static CACHE: Table = Table {
    name: "cache",
    about: "How long what a step made is kept.",
    keys: &[
        Key::of("enabled", Truth, "Default true.").also(&["enable", "isEnabled"]),
        Key::of(
            "ttl",
            Either(&[Number, Duration]),
            "Seconds or a duration. Default 600; 0 and less: for ever; at most 86400.",
        )
        .also(&["ttl_seconds", "ttlSeconds"]),
    ],
};

const QUESTION: Key = Key::of("question", Text, "What is asked; a template.");
const OPTIONS: Key = Key::of("options", List(&OPTION), "What can be answered. Default: continue, retry, abort.");
const SEVERITY: Key = Key::of("severity", Word(&["low", "normal", "high"]), "How urgent.");
const ASSIGNEE: Key = Key::of("assignee", Text, "Who is asked; a template.");
const GROUP: Key = Key::of("group", Text, "A group that is asked; a template.");
const TIMEOUT: Key =
    Key::of("timeout", Either(&[Duration, Number]), "Nobody is waited for any longer; a number is seconds.")
        .also(&["autoTimeout", "auto_timeout"]);
const ON_TIMEOUT: Key = Key::of(
    "on_timeout",
    Either(&[Word(&["abort", "approve"]), Named(&Text)]),
    "What happens then: abort, approve, or {escalate: who}. Default abort.",
)
.also(&["onTimeout"]);

/// A question behind a step.
pub(in crate::workflow) static CHECKPOINT: Table = Table {
    name: "checkpoint",
    about: "A person is asked before the run goes on.",
    keys: &[
        QUESTION,
        Key::of("reason", Text, "Taken as the question when there is none."),
        Key::of("required", Truth, "false: the question is kept for people, the run goes on. Default true."),
        OPTIONS,
        SEVERITY,
        ASSIGNEE,
        GROUP,
        TIMEOUT,
        ON_TIMEOUT,
    ],
};

/// A step that is a question.
pub(in crate::workflow) static APPROVAL: Table = Table {
    name: "approval",
    about: "A person's decision.",
    keys: &[
        QUESTION,
        Key::of("payload", Any, "What is to be approved; a template."),
        OPTIONS,
        SEVERITY,
        ASSIGNEE,
        GROUP,
        TIMEOUT,
        ON_TIMEOUT,
    ],
};

/// An answer that can be given.
pub(in crate::workflow) static OPTION: Table = Table {
    name: "option",
    about: "An answer that can be given.",
    keys: &[
        Key::of("action", Word(&["continue", "retry", "abort"]), "What it does."),
        Key::of("label", Text, "Name for people."),
        Key::of("allows_modification", Truth, "Changes to the input may come with it. Default false.")
            .also(&["allowsModification", "allow_modification"]),
        Key::of("description", Text, "More for people."),
    ],
};

/// A program.
pub(in crate::workflow) static PROCESS: Table = Table {
    name: "process",
    about: "A program in a process group of its own, with a clean environment, JSON in and out.",
    keys: &[
        Key::of("command", Texts, "Program and arguments; templates."),
        Key::of("input", Any, "What it reads from its standard input, as JSON; a template."),
        Key::of("env", Named(&Text), "Its environment beside PATH; templates."),
        Key::of("output_bytes_max", Whole(1, 1 << 30), "Bytes of output that are read. Default 1048576."),
        Key::of("memory_bytes_max", Whole(1 << 20, 1 << 40), "Bytes of memory it may have."),
    ],
};

/// A question to a language model.
pub(in crate::workflow) static LLM: Table = Table {
    name: "llm",
    about: "A question to a language model.",
    keys: &[
        Key::of("prompt", Text, "What it is asked; a template."),
        Key::of("system", Text, "What it is told to be; a template."),
        Key::of("model", Text, "Which model. Default: the configured one."),
        Key::of("max_tokens", Whole(1, 1_000_000), "Most tokens of the answer.").also(&["maxTokens"]),
        Key::of("json", Truth, "The answer must be JSON and is parsed. Default false."),
    ],
};

/// An event that is waited for.
pub(in crate::workflow) static WAIT_FOR_EVENT: Table = Table {
    name: "wait_for_event",
    about: "An event that is waited for.",
    keys: &[
        Key::of("event", Text, "Its type.").also(&["type"]),
        Key::of("correlation", Text, "Only one with this correlation; a template."),
        Key::of("timeout", Duration, "The step fails after so long. Default: it waits for ever."),
    ],
};

/// A run of another definition.
pub(in crate::workflow) static ORCHESTRATION: Table = Table {
    name: "orchestration",
    about: "A run of another definition.",
    keys: &[
        Key::of("name", Text, "Its name."),
        Key::of("owner", Text, "Its owner. Default: the agent of the step."),
        Key::of("version", Text, "Its version. Default: the active one."),
        Key::of("parameters", Named(&Any), "Its parameters; a template."),
        Key::of("inherit_conversation", Truth, "Kept with the document.").also(&["inheritConversation"]),
        Key::of("metadata", Named(&Any), "Kept with the document."),
    ],
};

//! The keys of a test of a workflow.
//!
//! Owns: names and forms, as data for the reader. Refuses to know: which step takes which answer.

use crate::table::{
    Key, Table,
    Takes::{Any, Duration, Either, Map, Named, Text, Texts, Whole, Word},
};

pub(super) static SCRIPT: Table = Table {
    name: "test",
    about: "What a run is given, what its steps are answered, and what is expected.",
    keys: &[
        Key::of("parameters", Named(&Any), "What the run is given."),
        Key::of("trigger", Any, "What caused the run. Default {type: manual}."),
        Key::of("steps", Named(&Map(&ANSWER)), "What each step is answered: a map, or a list of one for each attempt."),
        Key::of("expect", Map(&EXPECT), "What is expected."),
    ],
};

pub(super) static ANSWER: Table = Table {
    name: "answer",
    about: "What a step is answered.",
    keys: &[
        Key::of("output", Any, "What the other side gives, before output_mapping."),
        Key::of("error", Either(&[Word(&CLASSES), Map(&ERROR)]), "How the attempt fails."),
        Key::of("approval", Either(&[Word(&ACTIONS), Map(&APPROVAL)]), "What people decide; none: nobody answers."),
        Key::of("event", Either(&[Word(&["none"]), Map(&EVENT)]), "What comes; none: nothing comes."),
    ],
};

const CLASSES: [&str; 6] = ["transient", "permanent", "timeout", "rate_limited", "cancelled", "lost"];

const ACTIONS: [&str; 4] = ["continue", "retry", "abort", "none"];

pub(super) static ERROR: Table = Table {
    name: "error",
    about: "A failure.",
    keys: &[
        Key::of("class", Word(&CLASSES), "How it is treated. Default transient."),
        Key::of("message", Text, "What happened."),
        Key::of("status_code", Whole(100, 599), "Status code of the other side."),
        Key::of("retry_after", Duration, "The other side wants to be left alone for so long."),
    ],
};

pub(super) static APPROVAL: Table = Table {
    name: "decision",
    about: "What somebody decides.",
    keys: &[
        Key::of("action", Word(&ACTIONS), "What it does."),
        Key::of("by", Text, "Who. Default test."),
        Key::of("note", Text, "For people."),
        Key::of("modifications", Any, "Laid over the input or the payload."),
    ],
};

pub(super) static EVENT: Table = Table {
    name: "event",
    about: "An event that comes.",
    keys: &[
        Key::of("payload", Any, "What it says. Default {}."),
        Key::of("correlation", Text, "What it is about. Default: what the step waits for."),
    ],
};

pub(super) static EXPECT: Table = Table {
    name: "expect",
    about: "What is expected.",
    keys: &[
        Key::of("status", Word(&["completed", "failed", "cancelled", "running"]), "Where the run is in the end."),
        Key::of("steps", Named(&Either(&[Text, Map(&STEP)])), "Where steps are in the end."),
        Key::of("outputs", Named(&Any), "What steps made; objects may have more fields."),
        Key::of("output", Any, "What the run gives back; objects may have more fields."),
        Key::of("order", Texts, "Steps that begin in this order."),
        Key::of("failure", Map(&FAILURE), "What made the run fail."),
    ],
};

pub(super) static STEP: Table = Table {
    name: "expected step",
    about: "Where a step is in the end.",
    keys: &[
        Key::of("status", Text, "Its state, as `run show` tells it."),
        Key::of("attempts", Whole(0, 1_000), "How many attempts it took."),
    ],
};

pub(super) static FAILURE: Table = Table {
    name: "expected failure",
    about: "What made the run fail.",
    keys: &[
        Key::of("step", Text, "The step."),
        Key::of("class", Word(&CLASSES), "Class of the failure."),
        Key::of("message", Text, "Part of its message."),
    ],
};

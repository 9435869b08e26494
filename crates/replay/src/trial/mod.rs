//! A definition tried out: a run of it under given answers, in no time.
//!
//! Owns: a driver of the run's decider, and the comparison of what came of the run with what was expected.
//! Refuses to know: how a test is written (`nightshift_spec::trial`), stores, the tree.
//!
//! The decider, the templates and the conditions are the real ones. What the run owes is paid here, one thing after the
//! other: places are given in the order in which they are asked for, attempts end at once as the script says, and when
//! nothing is left to do the clock goes to the next timer. So the same document and the same answers give the same events.

mod compare;
mod drive;

use nightshift_domain::{
    definition::{Document, ParameterFault, Request, created_for},
    ids::{DefinitionId, RunId, UserId, derive, place},
    run::{Action, Event, State},
    time::Timestamp,
};
use nightshift_spec::{ZonedCalendar, trial::Script};

pub use compare::{Difference, differences};

/// Shards of the log that is not there.
const SHARDS: u16 = 64;

/// What came of a trial.
#[derive(Debug)]
pub struct Trial {
    /// The run; its id derives from the definition.
    pub run: RunId,
    /// Where it is in the end.
    pub state: State,
    /// All that happened, in order.
    pub told: Vec<(Timestamp, Event)>,
    /// What was asked of the outside, in order.
    pub asked: Vec<Asked>,
    /// Steps that were asked without an answer in the script, and how it was taken: `{}` for what they make, `continue` for
    /// a decision, an empty event.
    pub assumed: Vec<Assumed>,
    /// What kept the run from going on as the script wants it, in words.
    pub obstacles: Vec<String>,
    /// Names in the script of which no answer was ever wanted.
    pub unused: Vec<String>,
}

/// Something that was asked of the outside, with its templates filled in.
#[derive(Debug, Clone)]
pub struct Asked {
    /// The step, or the instance of one.
    pub step: String,
    /// The attempt, from 1.
    pub attempt: u32,
    /// What.
    pub action: Action,
}

/// An answer that was not in the script.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Assumed {
    /// The step, or the instance of one.
    pub step: String,
    /// How it was taken, in words.
    pub taken_for: &'static str,
}

/// Tries a definition out from an instant on, as a run of `user`.
///
/// # Errors
/// The parameters of the script are not as the definition wants them.
pub fn run(
    document: &Document,
    script: &Script,
    calendar: &ZonedCalendar,
    (user, at): (&str, Timestamp),
) -> Result<Trial, Vec<ParameterFault>> {
    let seed = derive("trial", &[document.digest().0.as_bytes()]);
    let run = RunId::on_shard(seed, place(seed, SHARDS));
    let request = Request {
        definition: Some(DefinitionId::of(&document.owner, &document.name, SHARDS)),
        run,
        user: UserId(user.to_owned()),
        parameters: &script.parameters,
        trigger: script.trigger.clone(),
        priority: None,
        parent: None,
        reply_to: None,
        nominal: at,
    };
    let created = created_for(document, request)?;
    Ok(drive::drive((run, created), script, calendar, at))
}

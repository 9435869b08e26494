//! What came of a trial, held against what was expected.
//!
//! Owns: what it means that an expectation holds. Refuses to know: how the run came there.

use std::fmt;

use nightshift_domain::{
    json::Json,
    run::{End, Event, Run, State, StepStatus, value_of},
};
use nightshift_spec::trial::{Expectation, Expected};

use super::Trial;

/// Characters of a value that are shown.
const SHOWN: usize = 200;

/// An expectation that does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Name of the document, line and column; line 0: nobody wrote it, it always holds.
    pub place: (String, u64, u64),
    /// What it is about: `expect.steps.fetch`, `expect.outputs.fetch.rows[1]`.
    pub path: String,
    /// What was expected.
    pub expected: String,
    /// What there is.
    pub found: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (file, line, column) = &self.place;
        if *line > 0 {
            write!(f, "{file}:{line}:{column} ")?;
        }
        write!(f, "{}: expected {}, found {}", self.path, self.expected, self.found)
    }
}

/// The expectations that do not hold, in their order. A run of which nothing else is expected has to be completed.
#[must_use]
pub fn differences(trial: &Trial, expectations: &[Expectation]) -> Vec<Difference> {
    let mut found = Vec::new();
    let said = |what: &Expected| matches!(what, Expected::Status(_) | Expected::Failure { .. });
    if !expectations.iter().any(|expectation| said(&expectation.what)) {
        let place = (String::new(), 0, 0);
        let mut against = Against { trial, place, found: &mut found };
        against.status("expect.status", "completed");
    }
    for Expectation { file, line, column, path, what } in expectations {
        let place = (file.clone(), *line, *column);
        Against { trial, place, found: &mut found }.hold(path, what);
    }
    found
}

struct Against<'a> {
    trial: &'a Trial,
    place: (String, u64, u64),
    found: &'a mut Vec<Difference>,
}

impl Against<'_> {
    fn differs(&mut self, path: impl Into<String>, expected: impl Into<String>, found: impl Into<String>) {
        let (place, path) = (self.place.clone(), path.into());
        self.found.push(Difference { place, path, expected: expected.into(), found: found.into() });
    }

    fn hold(&mut self, path: &str, what: &Expected) {
        match what {
            Expected::Status(status) => self.status(path, status),
            Expected::Step { id, status, attempts } => self.step(path, id, (*status, *attempts)),
            Expected::Output { id, value } => match output(self.trial, id) {
                Ok(output) => self.value(path, value, &output),
                Err(found) => self.differs(path, shown(value), found),
            },
            Expected::Result(value) => match result(&self.trial.state) {
                Some(output) => self.value(path, value, &output),
                None => self.differs(path, shown(value), format!("a run that is {}", status(&self.trial.state))),
            },
            Expected::Order(steps) => self.order(path, steps),
            Expected::Failure { step, class, message } => {
                self.failure(path, (step.as_deref(), *class, message.as_deref()));
            }
        }
    }

    fn status(&mut self, path: &str, expected: &str) {
        let found = status(&self.trial.state);
        if found != expected {
            self.differs(path, expected, format!("{found}{}", why(&self.trial.state)));
        }
    }

    fn step(&mut self, path: &str, id: &str, (status, attempts): (Option<&str>, Option<u32>)) {
        let Some((_, step)) = run(self.trial).and_then(|run| run.step(id)) else {
            return self.differs(path, status.unwrap_or("a step"), format!("no {id}"));
        };
        let word = step.status.as_str();
        if let Some(status) = status.filter(|status| *status != word) {
            let why = match &step.status {
                StepStatus::Skipped { reason } => format!(" ({reason})"),
                StepStatus::Dead { failure } => format!(" ({failure})"),
                _ => String::new(),
            };
            self.differs(path, status, format!("{word}{why}"));
        }
        if let Some(attempts) = attempts.filter(|attempts| *attempts != step.attempts) {
            self.differs(format!("{path}.attempts"), attempts.to_string(), step.attempts.to_string());
        }
    }

    /// Objects may have more fields than expected; all else is equal.
    fn value(&mut self, path: &str, expected: &Json, found: &Json) {
        match (expected, found) {
            (Json::Object(expected), Json::Object(found)) => {
                for (name, value) in expected {
                    let path = format!("{path}.{name}");
                    match found.get(name) {
                        Some(found) => self.value(&path, value, found),
                        None if value.is_null() => {}
                        None => self.differs(path, shown(value), "no such field"),
                    }
                }
            }
            (Json::Array(expected), Json::Array(found)) if expected.len() == found.len() => {
                for (at, (expected, found)) in expected.iter().zip(found).enumerate() {
                    self.value(&format!("{path}[{at}]"), expected, found);
                }
            }
            (Json::Number(one), Json::Number(other)) if one.as_f64() == other.as_f64() => {}
            (expected, found) if expected == found => {}
            _ => self.differs(path, shown(expected), shown(found)),
        }
    }

    fn order(&mut self, path: &str, steps: &[String]) {
        let begun: Vec<&str> = begun(self.trial);
        let place = |id: &str| begun.iter().position(|other| *other == id);
        for id in steps.iter().filter(|id| place(id).is_none()) {
            self.differs(path, format!("{id} to begin"), "that it never did");
        }
        let known: Vec<(&String, usize)> = steps.iter().filter_map(|id| Some((id, place(id)?))).collect();
        for pair in known.windows(2) {
            if let [(one, before), (other, behind)] = pair
                && before > behind
            {
                self.differs(path, format!("{one} before {other}"), begun.join(", "));
            }
        }
    }

    fn failure(&mut self, path: &str, (step, class, message): (Option<&str>, Option<&str>, Option<&str>)) {
        let State::Over(_, End::Failed { step: failed, failure }) = &self.trial.state else {
            let found = format!("{}{}", status(&self.trial.state), why(&self.trial.state));
            return self.differs(path, "a run that failed", found);
        };
        if let Some(step) = step.filter(|step| step != failed) {
            self.differs(format!("{path}.step"), step, failed.clone());
        }
        if let Some(class) = class.filter(|class| *class != failure.class.as_str()) {
            self.differs(format!("{path}.class"), class, failure.class.as_str());
        }
        if let Some(part) = message.filter(|part| !failure.message.contains(part)) {
            self.differs(format!("{path}.message"), format!("{part:?} in it"), format!("{:?}", failure.message));
        }
    }
}

fn run(trial: &Trial) -> Option<&Run> {
    trial.state.run()
}

/// The word of a run's end, or `running`.
fn status(state: &State) -> &'static str {
    match state {
        State::Over(_, end) => end.as_str(),
        _ => "running",
    }
}

fn why(state: &State) -> String {
    match state {
        State::Over(_, End::Failed { step, failure }) => format!(" (step {step:?}: {failure})"),
        State::Over(_, End::Cancelled { reason }) => format!(" ({reason})"),
        State::Open(run) => {
            let waits = run.all().filter(|(.., step)| !step.status.is_settled());
            let waits = waits.map(|(id, _, step)| format!("{id} is {}", step.status.as_str()));
            format!(" ({})", waits.collect::<Vec<_>>().join(", "))
        }
        _ => String::new(),
    }
}

fn output(trial: &Trial, id: &str) -> Result<Json, String> {
    match run(trial).and_then(|run| run.step(id)).map(|(_, step)| &step.status) {
        Some(StepStatus::Completed { output }) => Ok(value_of(output)),
        Some(other) => Err(format!("nothing: the step is {}", other.as_str())),
        None => Err(format!("no {id}")),
    }
}

/// What the run gives back.
fn result(state: &State) -> Option<Json> {
    let State::Over(run, End::Completed { outputs }) = state else { return None };
    let fields = || outputs.iter().map(|(name, output)| (name.clone(), value_of(output))).collect();
    // What is no object is told under a name of its own.
    match (&run.created.plan.output, outputs.get("output")) {
        (Some(Json::Object(_)) | None, _) | (_, None) => Some(Json::Object(fields())),
        (Some(_), Some(output)) if outputs.len() == 1 => Some(value_of(output)),
        _ => Some(Json::Object(fields())),
    }
}

/// Steps and instances in the order in which each first began.
fn begun(trial: &Trial) -> Vec<&str> {
    let mut found: Vec<&str> = Vec::new();
    for (_, event) in &trial.told {
        let step = match event {
            Event::AttemptStarted { step, .. }
            | Event::StepParked { step, .. }
            | Event::StepCompleted { step, .. }
            | Event::FannedOut { step, .. }
            | Event::ApprovalRequested { step, .. } => step.as_str(),
            _ => continue,
        };
        if !found.contains(&step) {
            found.push(step);
        }
    }
    found
}

fn shown(value: &Json) -> String {
    let text = value.to_string();
    match text.char_indices().nth(SHOWN) {
        Some((at, _)) => format!("{}...", &text[..at]),
        None => text,
    }
}

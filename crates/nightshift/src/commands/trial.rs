//! `nightshift workflow test`: a document tried out with given answers, and held against what is expected.
//!
//! Owns: what a person sees of it. Refuses to know: how the run goes on, which is `nightshift_replay::trial`'s.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use nightshift_domain::{
    codec,
    definition::Document,
    ids::StreamKind,
    run::{End, Event, State, StepOutput, value_of},
    time::Timestamp,
};
use nightshift_replay::trial::{self, Difference, Trial};
use nightshift_spec::trial::{Script, parse};
use serde_json::{Value, json};

use super::{
    Env,
    timeline::{self, Line},
    watch, workflow,
};
use crate::{
    app, args,
    exit::{Code, Exit},
    output::{self, fact},
};

/// The run begins on a Monday morning, so that the same answers give the same events on each day: 2026-01-05 09:00 UTC.
const BEGIN: Timestamp = Timestamp::from_secs(1_767_603_600);

/// What was made, by name.
fn values(outputs: &BTreeMap<String, Arc<StepOutput>>) -> Value {
    outputs.iter().map(|(name, output)| (name.clone(), value_of(output))).collect()
}

/// Tries the document out.
///
/// # Errors
/// The document or the file with the answers has faults.
pub fn run(env: &Env, asked: &args::Test) -> Result<Code, Exit> {
    let document = workflow::read(env, &asked.file, None)?;
    let script = script(&document, asked)?;
    let at = env.at.unwrap_or(BEGIN);
    let trial = trial::run(&document, &script, &app::calendar(), (&env.config.defaults.user, at));
    let trial = trial.map_err(|faults| {
        let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
        Exit::new(Code::Usage, faults.join("\n"))
    })?;
    let differences = trial::differences(&trial, &script.expectations);
    let told = Told { document: &document, trial: &trial, differences: &differences, strict: asked.strict };
    let passed = told.passed();
    if env.json {
        output::json(&told.json(at)?);
    } else {
        told.print(at, script.expectations.len())?;
    }
    Ok(if passed { Code::Ok } else { Code::Failed })
}

fn script(document: &Document, asked: &args::Test) -> Result<Script, Exit> {
    let given = Value::Object(watch::named_values(&asked.parameters)?);
    Ok(match &asked.outputs {
        Some(file) => parse(&output::read_text(file)?, &file.display().to_string(), document, &given)?,
        None => Script::plain(document, &given)?,
    })
}

struct Told<'t> {
    document: &'t Document,
    trial: &'t Trial,
    differences: &'t [Difference],
    strict: bool,
}

impl Told<'_> {
    fn passed(&self) -> bool {
        let answered = !self.strict || self.trial.assumed.is_empty();
        self.differences.is_empty() && self.trial.obstacles.is_empty() && answered
    }

    fn status(&self) -> &'static str {
        match &self.trial.state {
            State::Over(_, end) => end.as_str(),
            _ => "running",
        }
    }

    fn lines(&self, first: Timestamp) -> Result<Vec<Line>, Exit> {
        let line = |(at, event): &(Timestamp, Event)| {
            let event_type = codec::encode(StreamKind::Run, event).map_err(Exit::failed)?.event_type;
            Ok(timeline::line((*at, first), event_type, &event.clone().into()))
        };
        self.trial.told.iter().map(line).collect()
    }

    fn json(&self, at: Timestamp) -> Result<Value, Exit> {
        let steps = self.trial.state.run().map(|run| {
            run.all().map(|(id, _, step)| (id, step.status.as_str())).collect::<BTreeMap<String, &'static str>>()
        });
        let output = match &self.trial.state {
            State::Over(_, End::Completed { outputs }) => values(outputs),
            _ => Value::Null,
        };
        let asked = self
            .trial
            .asked
            .iter()
            .map(|asked| json!({"step": asked.step, "attempt": asked.attempt, "action": asked.action}));
        let assumed = self.trial.assumed.iter().map(|it| json!({"step": it.step, "taken_for": it.taken_for}));
        let differences = self
            .differences
            .iter()
            .map(|it| json!({"line": it.place.1, "path": it.path, "expected": it.expected, "found": it.found}));
        Ok(json!({
            "workflow": self.document.plan.definition,
            "passed": self.passed(),
            "status": self.status(),
            "steps": steps,
            "results": self.trial.state.run().map(|run| values(&run.outputs())),
            "output": output,
            "asked": asked.collect::<Vec<_>>(),
            "assumed": assumed.collect::<Vec<_>>(),
            "obstacles": self.trial.obstacles,
            "unused": self.trial.unused,
            "differences": differences.collect::<Vec<_>>(),
            "timeline": self.lines(at)?,
        }))
    }

    fn print(&self, at: Timestamp, expectations: usize) -> Result<(), Exit> {
        println!("{}", self.document.plan.definition);
        timeline::print(&self.lines(at)?);
        println!();
        self.trial.state.run().into_iter().for_each(watch::print_graph);
        println!();
        fact("status", self.status());
        if let State::Over(_, End::Failed { step, failure }) = &self.trial.state {
            fact("failed", format!("{step}: {failure}"));
        }
        for assumed in &self.trial.assumed {
            let word = if self.strict { "not answered" } else { "note" };
            fact(word, format!("step {} has no answer in the test; taken for it: {}", assumed.step, assumed.taken_for));
        }
        for name in &self.trial.unused {
            fact("note", format!("the answers to {name} were not asked for"));
        }
        for obstacle in &self.trial.obstacles {
            fact("in the way", obstacle);
        }
        for difference in self.differences {
            fact("differs", difference);
        }
        let word = if self.passed() { "passed" } else { "failed" };
        let missed: BTreeSet<_> = self.differences.iter().map(|it| &it.place).filter(|place| place.1 > 0).collect();
        let held = expectations.saturating_sub(missed.len());
        println!("{word}: {held} of {expectations} expectation(s) hold");
        Ok(())
    }
}

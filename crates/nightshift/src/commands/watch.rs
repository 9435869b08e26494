//! `nightshift run start` and `watch`: a run from its request to its end, as a person sees it.

use std::{collections::BTreeMap, io::IsTerminal, time::Duration};

use nightshift_domain::{
    codec,
    decider::Decider,
    definition::{Command, Start},
    ids::{CommandId, DefinitionId, RunId, UserId, derive, place},
    run::{self, RunDecider, StepStatus},
};
use nightshift_ports::{clock::IdSource, log::EventLog};
use serde_json::Value;

use super::{
    Env,
    approval::json,
    timeline::{self, span},
    workflow,
};
use crate::{
    app::{self, Mode},
    args,
    control::Control,
    exit::{Code, Exit},
    names,
    output::{self, cell, fact},
    real::RandomIds,
};

/// A daemon's run is looked at this often. The log of another process gives no sign.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// Starts a run of a workflow.
///
/// # Errors
/// There is no such workflow, or its parameters are not as it wants them.
pub async fn start(env: &Env, asked: args::Start) -> Result<Code, Exit> {
    let parameters = parameters(&asked)?;
    let control = Control::open(env).await?;
    let row = workflow::find(&*control.store().read_models(), &asked.name).await?;
    let definition: DefinitionId = cell(&row, "id").parse().map_err(Exit::failed)?;
    let user = UserId(env.config.defaults.user.clone());
    let id = match &asked.idempotency_key {
        Some(key) => CommandId::of_client(&user.0, &format!("run.start:{definition}"), key),
        None => CommandId(RandomIds.fresh()),
    };
    let seed = derive("started-run", &[id.0.as_bytes()]);
    let run = RunId::on_shard(seed, place(seed, control.store().log().info().shard_count));
    let start = Start {
        run,
        version: workflow::parts(&asked.name).2.map(str::to_owned),
        parameters,
        user,
        trigger: serde_json::json!({"type": "manual", "by": crate::control::user_name()}),
        parent: None,
        priority: asked.priority,
    };
    control.submit(definition.stream(), Command::Start(Box::new(start)), id).await?;
    if !env.json {
        println!("run {run} of {}/{} is started", cell(&row, "owner"), cell(&row, "name"));
    }
    let code = if asked.watch || !control.is_remote() {
        control.settled().await;
        follow(env, &*control.store().log(), run, asked.watch && control.is_remote()).await?
    } else {
        if env.json {
            output::json(&serde_json::json!({"id": run}));
        } else {
            println!("watch it: nightshift run watch {run}");
        }
        Code::Ok
    };
    control.close().await;
    Ok(code)
}

fn parameters(asked: &args::Start) -> Result<Value, Exit> {
    if let Some(file) = &asked.parameters_file {
        return json("--parameters-file", &output::read_text(file)?);
    }
    named_values(&asked.parameters).map(Value::Object)
}

/// Parameters as `NAME=VALUE`; the value is JSON, or a text when it is none.
///
/// # Errors
/// One of them has no name.
pub fn named_values(parameters: &[String]) -> Result<serde_json::Map<String, Value>, Exit> {
    let mut fields = serde_json::Map::new();
    for parameter in parameters {
        let Some((name, value)) = parameter.split_once('=') else {
            return Err(Exit::new(Code::Usage, format!("--parameter {parameter:?}: write NAME=VALUE")));
        };
        let value = serde_json::from_str(value).unwrap_or_else(|_| Value::from(value));
        fields.insert(name.to_owned(), value);
    }
    Ok(fields)
}

/// Watches a run until it is over.
///
/// # Errors
/// There is no such run.
pub async fn watch(env: &Env, name: &str) -> Result<Code, Exit> {
    let store = app::open(&env.config, Mode::Read).await?;
    // The log knows a run before the tables show it.
    let log = store.log();
    let known = match name.parse::<RunId>() {
        Ok(id) if !log.read_stream(id.stream(), 0, 1).await?.is_empty() => Some(id),
        _ => None,
    };
    let id = match known {
        Some(id) => id,
        None => names::run(&*store.read_models(), name).await?.0,
    };
    follow(env, &*store.log(), id, true).await
}

/// Prints what happens, line by line, and at the end the graph. Without `wait`, what has happened so far.
async fn follow(env: &Env, log: &dyn EventLog, id: RunId, wait: bool) -> Result<Code, Exit> {
    let (mut state, mut after, mut first) = (run::State::default(), 0, None);
    loop {
        let page = log.read_stream(id.stream(), after, 1_000).await?;
        let idle = page.is_empty();
        for recorded in page {
            after = recorded.version;
            let begun = *first.get_or_insert(recorded.at);
            let event = recorded.decode().map_err(Exit::failed)?;
            if !env.json {
                let since = span(recorded.at.micros_since(begun) / 1_000);
                println!("{since:>9}  {:<28} {}", recorded.event_type, timeline::words(&event));
            }
            let event = codec::decode(RunDecider::KIND, &recorded.event_type, recorded.type_version, &recorded.data);
            RunDecider::evolve(&mut state, &event.map_err(Exit::failed)?, recorded.at);
        }
        let over = matches!(state, run::State::Over(..));
        if idle && (over || !wait) {
            break;
        }
        if idle {
            #[expect(clippy::disallowed_methods, reason = "another process writes; there is nothing to be woken by")]
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }
    summary(env, id, &state)
}

fn summary(env: &Env, id: RunId, state: &run::State) -> Result<Code, Exit> {
    let Some(run) = state.run() else { return Ok(Code::Ok) };
    let (word, code) = match state {
        run::State::Over(_, end @ run::End::Completed { .. }) => (end.as_str(), Code::Ok),
        run::State::Over(_, end) => (end.as_str(), Code::Failed),
        _ => ("running", Code::Ok),
    };
    let steps: BTreeMap<&str, &str> = run
        .created
        .plan
        .steps
        .iter()
        .zip(&run.steps)
        .map(|(plan, step)| (plan.id.as_str(), step.status.as_str()))
        .collect();
    if env.json {
        let outputs: BTreeMap<String, Value> =
            run.outputs().iter().map(|(step, output)| (step.clone(), run::value_of(output))).collect();
        output::json(&serde_json::json!({"id": id, "status": word, "steps": steps, "results": outputs}));
        return Ok(code);
    }
    println!();
    print_graph(run);
    println!();
    fact("run", id);
    fact("status", word);
    if let run::State::Over(_, run::End::Failed { step, failure }) = state {
        fact("failed", format!("{step}: {failure}"));
    }
    if matches!(state, run::State::Open(_)) {
        println!("why it waits: nightshift explain {id}");
    }
    Ok(code)
}

/// The graph: each step below what it waits for, with its state.
pub fn print_graph(run: &run::Run) {
    let colour = std::io::stdout().is_terminal();
    for (plan, step) in run.created.plan.steps.iter().zip(&run.steps) {
        let depth = depth(run, &plan.id, 0);
        let (mark, code) = match &step.status {
            StepStatus::Completed { .. } => ("+", "32"),
            StepStatus::Dead { .. } => ("x", "31"),
            StepStatus::Skipped { .. } => ("-", "2"),
            StepStatus::Pending {} => (".", "2"),
            _ => (">", "33"),
        };
        let mark = if colour { format!("\u{1b}[{code}m{mark}\u{1b}[0m") } else { mark.to_owned() };
        let attempts = step.failed_attempts + step.lost_attempts;
        let again = if attempts > 0 { format!(", {attempts} attempt(s) before") } else { String::new() };
        let fan = run.fans.get(&plan.id).map(|fan| {
            let done = fan.steps.iter().filter(|step| matches!(step.status, StepStatus::Completed { .. })).count();
            format!(" {done}/{}", fan.steps.len())
        });
        let status = step.status.as_str();
        println!(
            "{:indent$}{mark} {} ({}) {status}{}{again}",
            "",
            plan.id,
            plan.action.as_str(),
            fan.unwrap_or_default(),
            indent = depth * 2
        );
    }
}

fn depth(run: &run::Run, id: &str, guard: usize) -> usize {
    let Some((plan, _)) = run.step(id) else { return 0 };
    if guard > run.created.plan.steps.len() {
        return guard;
    }
    plan.depends_on.iter().map(|before| depth(run, before, guard + 1) + 1).max().unwrap_or(0)
}

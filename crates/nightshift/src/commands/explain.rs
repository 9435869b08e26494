//! `nightshift explain`: why a thing stands where it stands, and what will move it.
//!
//! Owns: what a name means, and how the answer is printed. The answer is the one that HTTP gives: a daemon is asked, and
//! without one the log is read.

use nightshift_actors::queue::overlay::overlaid;
use nightshift_api::explain::{Explanation, Facts, Gate, Kind, Moment, Subject, explain};
use nightshift_domain::{
    decider::Decider,
    ids::{DefinitionId, QueueId, StreamId},
    queue::QueueDecider,
    run::ApprovalId,
};
use nightshift_ports::log::EventLog;

use super::{Env, approval, timeline::span, workflow};
use crate::{
    app::{self, AnyStore, Mode},
    exit::{Code, Exit},
    facts, names,
    output::{self, cell},
    registry,
};

/// Explains what a name means.
///
/// # Errors
/// There is nothing of that name.
pub async fn run(env: &Env, name: &str) -> Result<Code, Exit> {
    let store = app::open(&env.config, Mode::Read).await?;
    let subject = subject(&store, name).await?;
    let told = match facts::of_daemon::<Explanation>(env, &subject.path()).await? {
        Some(told) => told,
        None => unattended(env, &store, &subject).await?,
    };
    if env.json {
        output::json(&told);
        return Ok(Code::Ok);
    }
    println!("{}: {}", told.subject, told.status);
    for (n, gate) in told.gates.iter().enumerate() {
        println!("{}. {}", n + 1, words(gate));
        println!("   -> {}", gate.released_by);
    }
    Ok(Code::Ok)
}

fn words(gate: &Gate) -> String {
    let step = gate.step_id.as_ref().map(|step| format!("step {step}: ")).unwrap_or_default();
    let since = gate.for_ms.map(|ms| format!(", for {}", span(ms))).unwrap_or_default();
    let place = gate.position.map(|place| format!(", place {place}")).unwrap_or_default();
    // What is said of a limit does not name who has it.
    let holder = gate.holder.as_ref().filter(|_| matches!(gate.gate, Kind::Limit | Kind::Paused));
    let holder = holder.map(|holder| format!(", held by {holder}")).unwrap_or_default();
    format!("{step}{}{place}{holder}{since}", gate.what)
}

/// What is meant: an id or the beginning of one, the title of a deliverable, `run/step`, `owner/name`.
async fn subject(store: &AnyStore, name: &str) -> Result<Subject, Exit> {
    let models = store.read_models();
    if let Some((run, step)) = name.split_once('/')
        && let Ok((id, _)) = names::run(&*models, run).await
    {
        return Ok(Subject::Job(id, step.to_owned()));
    }
    let nothing = match names::deliverable(&*models, name).await {
        Ok((id, _)) => return Ok(Subject::Deliverable(id)),
        // Several are called that.
        Err(several) if several.code == Code::Usage => return Err(several),
        Err(none) => none,
    };
    if let Ok((id, _)) = names::run(&*models, name).await {
        return Ok(Subject::Run(id));
    }
    if let Ok((id, _)) = names::schedule(&*models, name).await {
        return Ok(Subject::Schedule(id));
    }
    if let Ok(row) = approval::find(&*models, name).await {
        let run = cell(&row, "run_id").parse().map_err(Exit::failed)?;
        return Ok(Subject::Approval(run, ApprovalId(cell(&row, "id").parse().map_err(Exit::failed)?)));
    }
    if let Ok(row) = workflow::find(&*models, name).await {
        let id: DefinitionId = cell(&row, "id").parse().map_err(Exit::failed)?;
        return Ok(Subject::Definition(cell(&row, "owner"), cell(&row, "name"), id));
    }
    let message = format!("{}; nor is there a run, job, approval, schedule or workflow of that name", nothing.message);
    Err(Exit::new(nothing.code, message))
}

/// States folded from the log.
struct Folded<'a>(&'a dyn EventLog);

impl Facts for Folded<'_> {
    type Error = Exit;

    async fn state<D: Decider>(&self, stream: StreamId) -> Result<D::State, Exit> {
        facts::fold::<D>(self.0, stream).await
    }
}

/// Nobody runs the queue, and timers do not go off.
async fn unattended(env: &Env, store: &AnyStore, subject: &Subject) -> Result<Explanation, Exit> {
    let log = store.log();
    let set = facts::fold::<QueueDecider>(&*log, QueueId::the().stream()).await?;
    let file = registry::limits(env.config.queue.limits_file.as_deref())?;
    let limits = overlaid(&file, &set);
    let at = Moment { now: env.clock().now(), queue: None, set: &set, limits: &limits };
    let mut told = explain(&Folded(&*log), subject, &at).await?;
    if told.gates.iter().any(|gate| gate.gate != Kind::Over) {
        told.gates.insert(0, Gate::nobody_runs());
    }
    Ok(told)
}

//! `nightshift explain`: why a thing stands where it stands, and what will move it.
//!
//! Owns: the words. The facts are states, open obligations and the queue; no state is without an answer.

use nightshift_domain::{
    codec,
    decider::{Decider, Duty},
    deliverable::{self, Deliverable, DeliverableDecider, Stage, Standing, VersionStatus},
    ids::{RunId, StreamId},
    run::{self, RunDecider, StepStatus},
    time::Timestamp,
};
use nightshift_ports::log::{EventLog, Owed};

use super::{Env, timeline::span};
use crate::{
    app::{self, AnyStore, Mode},
    exit::{Code, Exit},
    names, output,
};

/// One gate: what holds a thing, since when, and what releases it.
#[derive(Debug, serde::Serialize)]
pub struct Gate {
    /// What holds it.
    pub gate: String,
    /// Since when, in words.
    pub since: String,
    /// What releases it.
    pub released_by: String,
}

/// Explains a run or a deliverable.
///
/// # Errors
/// There is none of that name.
pub async fn run(env: &Env, name: &str) -> Result<Code, Exit> {
    let store = app::open(&env.config, Mode::Read).await?;
    let models = store.read_models();
    let now = env.clock().now();
    let (title, mut gates) = match names::deliverable(&*models, name).await {
        Ok((id, _)) => (format!("deliverable {id}"), deliverable_gates(&store, id.stream(), now).await?),
        Err(no_deliverable) => {
            let (id, _) = names::run(&*models, name).await.map_err(|_| no_deliverable)?;
            (format!("run {id}"), run_gates(&store, id, now).await?)
        }
    };
    if !daemon_lives(env).await {
        gates.insert(
            0,
            Gate {
                gate: "nothing runs on this store at the moment".to_owned(),
                since: String::new(),
                released_by: "`nightshift serve`, or `nightshift tick` for one pass".to_owned(),
            },
        );
    }
    if env.json {
        output::json(&serde_json::json!({"subject": title, "gates": gates}));
        return Ok(Code::Ok);
    }
    println!("{title}");
    for (n, gate) in gates.iter().enumerate() {
        println!(
            "{}. {}{}",
            n + 1,
            gate.gate,
            if gate.since.is_empty() { String::new() } else { format!(", {}", gate.since) }
        );
        println!("   -> {}", gate.released_by);
    }
    Ok(Code::Ok)
}

async fn daemon_lives(env: &Env) -> bool {
    match &env.config.store.url {
        crate::config::StoreUrl::Sqlite(path) => nightshift_store::sqlite::lock_holder(path).is_some(),
        crate::config::StoreUrl::Postgres(_) => match app::open(&env.config, Mode::Read).await {
            Ok(store) => store.ports().living().await.is_ok_and(|living| !living.is_empty()),
            Err(_) => false,
        },
    }
}

/// Folds a stream without a system: explanations only look.
async fn fold<D: Decider>(log: &dyn EventLog, stream: StreamId) -> Result<D::State, Exit> {
    let mut state = D::State::default();
    let mut after = 0;
    loop {
        let page = log.read_stream(stream, after, 1_000).await?;
        let Some(last) = page.last() else { return Ok(state) };
        after = last.version;
        for recorded in page {
            let event = codec::decode(D::KIND, &recorded.event_type, recorded.type_version, &recorded.data);
            D::evolve(&mut state, &event.map_err(Exit::failed)?, recorded.at);
        }
    }
}

fn since(at: Timestamp, now: Timestamp) -> String {
    format!("for {}", span(now.micros_since(at) / 1_000))
}

async fn deliverable_gates(store: &AnyStore, stream: StreamId, now: Timestamp) -> Result<Vec<Gate>, Exit> {
    let log = store.log();
    let state: deliverable::State = fold::<DeliverableDecider>(&*log, stream).await?;
    let Some(it) = state.taken() else { return Ok(vec![plain("it has no order", "nothing")]) };
    let mut gates = standing(it);
    if let Some(current) = &it.current {
        match &current.stage {
            Stage::Assessing { .. } => gates.push(Gate {
                gate: format!("slot {}: its sources are being looked at", current.slot.nominal),
                since: since(current.since, now),
                released_by: "the importer, when every source answered or timed out".to_owned(),
            }),
            Stage::Producing { run, number } => {
                gates.push(Gate {
                    gate: format!("version {number} is being made by run {run}"),
                    since: since(current.since, now),
                    released_by: "the end of the run; its own gates follow".to_owned(),
                });
                gates.extend(run_gates(store, *run, now).await?);
            }
        }
    }
    gates.extend(version_gates(it, now));
    let owed = match it.schedule_id {
        Some(schedule) => log.owed_by(schedule.stream()).await?,
        None => Vec::new(),
    };
    gates.extend(timers(&owed, now, "the next slot"));
    gates.extend(timers(&log.owed_by(stream).await?, now, "delivery by itself (semi_auto)"));
    if gates.is_empty() {
        gates.push(plain("it waits for nobody", "`nightshift deliverable run` makes a version now"));
    }
    Ok(gates)
}

fn plain(gate: impl Into<String>, released_by: impl Into<String>) -> Gate {
    Gate { gate: gate.into(), since: String::new(), released_by: released_by.into() }
}

fn standing(it: &Deliverable) -> Vec<Gate> {
    match &it.standing {
        Standing::Active {} => vec![],
        Standing::Paused { note } => vec![plain(format!("it is paused: {note}"), "`nightshift deliverable resume`")],
        Standing::Archived {} => vec![plain("it is archived", "nothing; take a new order")],
    }
}

fn version_gates(it: &Deliverable, now: Timestamp) -> Vec<Gate> {
    let waiting = it.versions.iter().filter_map(|(number, version)| {
        let at = version.staged_at.unwrap_or(version.nominal);
        let gate = match (version.status, &version.delivery) {
            (VersionStatus::Staged | VersionStatus::Reviewing, _) => {
                let verb = format!("`nightshift version approve` or `reject` ({})", it.order.governance.as_str());
                (format!("version {number} waits for review"), verb)
            }
            (_, deliverable::Delivery::Delivering { run }) => {
                (format!("version {number} is on its way (run {run})"), "the end of that run".to_owned())
            }
            (VersionStatus::Approved, deliverable::Delivery::Failed {}) => {
                (format!("version {number} could not be delivered"), "`nightshift version deliver`".to_owned())
            }
            _ => return None,
        };
        Some(Gate { gate: gate.0, since: since(at, now), released_by: gate.1 })
    });
    waiting.collect()
}

fn timers(owed: &[Owed], now: Timestamp, what: &str) -> Vec<Gate> {
    let timers = owed.iter().filter(|owed| matches!(owed.obligation.duty, Duty::Wake { .. }));
    timers
        .map(|owed| {
            let left = owed.obligation.due_at.micros_since(now) / 1_000;
            let when = if left >= 0 { format!("in {}", span(left)) } else { format!("overdue by {}", span(-left)) };
            plain(format!("{what} is due at {}, {when}", owed.obligation.due_at), "its timer")
        })
        .collect()
}

async fn run_gates(store: &AnyStore, id: RunId, now: Timestamp) -> Result<Vec<Gate>, Exit> {
    let log = store.log();
    let state: run::State = fold::<RunDecider>(&*log, id.stream()).await?;
    let run = match &state {
        run::State::Unborn => return Ok(vec![plain("the run has not begun", "whoever asked for it telling it to")]),
        run::State::Barred { reason } => {
            return Ok(vec![plain(format!("the run was stopped before it began: {reason}"), "nothing")]);
        }
        run::State::Over(_, end) => return Ok(vec![plain(format!("the run is over: {}", end.as_str()), "nothing")]),
        run::State::Open(run) => run,
    };
    let paused = run.paused.as_ref().map(|by| {
        plain(format!("the run is paused by {}: {}", by.by, by.note), format!("`nightshift run resume {id}`"))
    });
    let steps = run.created.plan.steps.iter().zip(&run.steps);
    let instances = run.created.plan.steps.iter().flat_map(|plan| {
        run.fans.get(&plan.id).into_iter().flat_map(move |fan| fan.steps.iter().map(move |step| (plan, step)))
    });
    let gates = steps.chain(instances).filter_map(|(plan, step)| {
        let (gate, at, released_by) = match &step.status {
            StepStatus::Queued { attempt, since } => (
                format!("step {}, attempt {attempt}, waits for a place in the queue", plan.id),
                Some(*since),
                "a free place (queue.concurrency), in order of priority and age".to_owned(),
            ),
            StepStatus::Running { attempt, lease, since } => (
                format!("step {}, attempt {attempt}, is being done by {}", plan.id, lease.worker),
                Some(*since),
                format!(
                    "its outcome, or its time limit of {}",
                    span(i64::try_from(plan.timeout_ms).unwrap_or(i64::MAX))
                ),
            ),
            StepStatus::Waiting { attempt, retry_at } => (
                format!("step {} failed and waits for attempt {attempt}", plan.id),
                None,
                format!("its timer at {retry_at}"),
            ),
            StepStatus::Pending {} => match plan.depends_on.as_slice() {
                [] => (
                    format!("step {} has not begun", plan.id),
                    None,
                    "a place in the run, or the end of its former part".to_owned(),
                ),
                before => {
                    (format!("step {} waits for {}", plan.id, before.join(", ")), None, "their completion".to_owned())
                }
            },
            StepStatus::Parked { on, since, .. } => {
                (format!("step {} waits for {}", plan.id, super::timeline::waits_words(on)), Some(*since), released(on))
            }
            StepStatus::Asking { approval, since, .. } => (
                format!("step {} asks {}: \"{}\"", plan.id, asked(approval), approval.checkpoint.question),
                Some(*since),
                format!("`nightshift approve {}`", approval.id),
            ),
            _ => return None,
        };
        Some(Gate { gate, since: at.map(|at| since(at, now)).unwrap_or_default(), released_by })
    });
    Ok(paused.into_iter().chain(gates).collect())
}

/// Who is asked.
fn asked(approval: &run::Approval) -> String {
    let asked = &approval.checkpoint;
    asked.assignee.clone().or_else(|| asked.group.clone()).unwrap_or_else(|| "whoever may answer".to_owned())
}

fn released(on: &run::Waits) -> String {
    match on {
        run::Waits::Until { .. } => "its timer".to_owned(),
        run::Waits::Event { event, correlation, deadline, .. } => {
            let about = correlation.as_ref().map(|about| format!(" --correlation {about}")).unwrap_or_default();
            let limit = deadline.map(|at| format!(", or its deadline at {at}")).unwrap_or_default();
            format!("`nightshift event publish {event}{about}`{limit}")
        }
        run::Waits::Child { run, .. } => format!("the end of that run: `nightshift explain {run}`"),
    }
}

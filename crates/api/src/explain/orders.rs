//! Standing orders: their slot, their versions, and what brings the next one.

use nightshift_domain::{
    deliverable::{Deliverable, Delivery, Stage, Standing, State, VersionStatus},
    ids::DeliverableId,
    run::RunDecider,
    schedule::ScheduleDecider,
};

use super::{Facts, Gate, Kind, Moment, runs, triggers};

type Told = (String, Vec<Gate>);

/// A deliverable, with the runs that work for it.
pub async fn deliverable<F: Facts>(
    facts: &F,
    id: DeliverableId,
    state: &State,
    at: &Moment<'_>,
) -> Result<Told, F::Error> {
    let it = match state {
        State::Unborn => {
            return Ok(("unborn".to_owned(), vec![Gate::new(Kind::Trigger, "it has no order", "an order")]));
        }
        State::Taken(it) => it,
    };
    let mut gates: Vec<Gate> = standing(id, it).into_iter().collect();
    gates.extend(slot(facts, it, at).await?);
    gates.extend(versions(id, it, at));
    for run in it.versions.values().filter_map(|version| match version.delivery {
        Delivery::Delivering { run } => Some(run),
        Delivery::None {} | Delivery::Delivered {} | Delivery::Failed {} => None,
    }) {
        gates.extend(runs::run(run, &facts.state::<RunDecider>(run.stream()).await?, at).1);
    }
    if let Some(schedule) = it.schedule_id {
        let state = facts.state::<ScheduleDecider>(schedule.stream()).await?;
        gates.push(triggers::next_due(schedule, &state, at));
    }
    if gates.is_empty() {
        gates.push(by_hand(id));
    }
    Ok((it.standing.as_str().to_owned(), gates))
}

fn by_hand(id: DeliverableId) -> Gate {
    let gate = Gate::new(Kind::Trigger, "it waits for nobody", format!("`nightshift deliverable run {id}`"));
    gate.asked_by(format!("POST /api/deliverables/{id}/run"))
}

fn standing(id: DeliverableId, it: &Deliverable) -> Option<Gate> {
    match &it.standing {
        Standing::Active {} => None,
        Standing::Paused { note } => {
            let gate = Gate::new(
                Kind::Paused,
                format!("it is paused: {note}"),
                format!("`nightshift deliverable resume {id}`"),
            );
            Some(gate.asked_by(format!("POST /api/deliverables/{id}/resume")))
        }
        Standing::Archived {} => Some(Gate::new(Kind::Over, "it is archived", "nothing; take a new order")),
    }
}

/// The slot that is worked on, and those behind it.
async fn slot<F: Facts>(facts: &F, it: &Deliverable, at: &Moment<'_>) -> Result<Vec<Gate>, F::Error> {
    let mut gates = Vec::new();
    if let Some(current) = &it.current {
        match &current.stage {
            Stage::Assessing { .. } => {
                let what = format!("slot {}: its sources are being looked at", current.slot.nominal);
                let gate = Gate::new(Kind::Attempt, what, "the importer, when every source answered or timed out");
                gates.push(gate.since(current.since, at.now));
            }
            Stage::Producing { run, number } => {
                let what = format!("version {number} is being made by run {run}");
                let gate = Gate::new(Kind::Attempt, what, "the end of the run; its own gates follow");
                gates.push(gate.held_by(format!("run {run}")).since(current.since, at.now));
                gates.extend(runs::run(*run, &facts.state::<RunDecider>(run.stream()).await?, at).1);
            }
        }
    }
    for (position, slot) in it.buffered.iter().chain(&it.waiting).enumerate() {
        let what = format!("slot {} waits for the one that is worked on", slot.nominal);
        let gate = Gate::new(Kind::Queue, what, "the end of that").since(slot.nominal, at.now);
        gates.push(Gate { position: Some(position + 1), ..gate });
    }
    Ok(gates)
}

fn versions(id: DeliverableId, it: &Deliverable, at: &Moment<'_>) -> Vec<Gate> {
    let waiting = it.versions.iter().filter_map(|(number, version)| {
        let since = version.staged_at.unwrap_or(version.nominal);
        let gate = match version.status {
            VersionStatus::Staged | VersionStatus::Reviewing => review(id, it, *number),
            // The run that makes it is the current slot's.
            VersionStatus::Generating | VersionStatus::Rejected | VersionStatus::Failed => return None,
            VersionStatus::Approved | VersionStatus::Delivered => match &version.delivery {
                Delivery::Delivering { run } => {
                    let what = format!("version {number} is on its way");
                    Gate::new(Kind::Attempt, what, "the end of that run; its own gates follow")
                        .held_by(format!("run {run}"))
                }
                Delivery::Failed {} => {
                    let what = format!("version {number} could not be delivered");
                    Gate::new(Kind::Dead, what, format!("`nightshift version deliver {id} {number}`"))
                }
                Delivery::None {} | Delivery::Delivered {} => return None,
            },
        };
        Some(gate.since(since, at.now))
    });
    waiting.collect()
}

fn review(id: DeliverableId, it: &Deliverable, number: u32) -> Gate {
    let version = it.versions.get(&number);
    let window_ms = i64::try_from(it.order.semi_auto_window_s).unwrap_or(i64::MAX).saturating_mul(1_000);
    let by_itself = version.filter(|version| version.window_open).and_then(|version| version.staged_at);
    let by_itself = by_itself.map(|staged| format!("; by itself at {}", staged.plus_ms(window_ms))).unwrap_or_default();
    let released =
        format!("`nightshift version approve {id} {number}` or `reject` ({}){by_itself}", it.order.governance.as_str());
    Gate::new(Kind::Approval, format!("version {number} waits for review"), released)
}

//! Explanations over HTTP.
//!
//! Owns: which address explains what, and that nobody is told of what belongs to others.
//! Refuses to know: the words.

use std::sync::Arc;

use axum::{extract::State, routing};
use nightshift_domain::{
    decider::Decider,
    ids::{DefinitionId, DeliverableId, RunId, ScheduleId, StreamId},
    run::ApprovalId,
};
use uuid::Uuid;

use super::{Explanation, Facts, Moment, Subject, explain};
use crate::{
    Shared, approvals,
    auth::Caller,
    envelope::{self, Answered, ApiError},
    extract::Named,
    routes::{Gives, Route, of},
};

const TAG: &str = "explain";

/// The routes.
pub const ROUTES: &[Route] = &[
    Route::get("/api/orchestrations/{id}/explain", || routing::get(run))
        .about(TAG, "Tell what each unfinished step of a run waits for, since when, and what releases it.")
        .gives(Gives::Data(of::<Explanation>)),
    Route::get("/api/jobs/{run}/{step}/explain", || routing::get(job))
        .about(TAG, "Tell what a step waits for: its turn, the limit that holds it back, or something else.")
        .gives(Gives::Data(of::<Explanation>)),
    Route::get("/api/orchestrations/approvals/{id}/explain", || routing::get(approval))
        .about(TAG, "Tell whom a question waits for, or what became of it.")
        .gives(Gives::Data(of::<Explanation>)),
    Route::get("/api/deliverables/{id}/explain", || routing::get(deliverable))
        .about(TAG, "Tell what a deliverable waits for.")
        .gives(Gives::Data(of::<Explanation>)),
    Route::get("/api/schedules/{id}/explain", || routing::get(schedule))
        .about(TAG, "Tell what a schedule waits for.")
        .gives(Gives::Data(of::<Explanation>)),
    Route::get("/api/workflows/{owner}/{name}/explain", || routing::get(definition))
        .about(TAG, "Tell what starts the next run of a workflow.")
        .gives(Gives::Data(of::<Explanation>)),
];

/// States as the actors of the running system have them.
struct Asked<'a>(&'a Shared);

impl Facts for Asked<'_> {
    type Error = ApiError;

    async fn state<D: Decider>(&self, stream: StreamId) -> Result<D::State, ApiError> {
        self.0.ask(stream, D::State::clone).await
    }
}

async fn tell(shared: &Shared, caller: &Caller, subject: Subject) -> Answered {
    let context = shared.system.context();
    let (mut queue, set, limits) = (shared.system.queue().await, shared.queue_state().await?, context.limits());
    queue.holders.retain(|holder| caller.sees(&holder.user.0));
    let at = Moment { now: context.clock_port.now(), queue: Some(&queue), set: &set, limits: &limits };
    Ok(envelope::ok(explain(&Asked(shared), &subject, &at).await?))
}

async fn run(State(shared): State<Arc<Shared>>, caller: Caller, Named(id): Named<Uuid>) -> Answered {
    shared.run_row(&caller, id).await?;
    tell(&shared, &caller, Subject::Run(RunId::from_uuid(id))).await
}

async fn job(State(shared): State<Arc<Shared>>, caller: Caller, Named((run, step)): Named<(Uuid, String)>) -> Answered {
    shared.run_row(&caller, run).await?;
    tell(&shared, &caller, Subject::Job(RunId::from_uuid(run), step)).await
}

async fn approval(State(shared): State<Arc<Shared>>, caller: Caller, Named(id): Named<Uuid>) -> Answered {
    let row = approvals::find(&shared, id).await?;
    if !approvals::sees(&caller, &row) {
        return Err(ApiError::not_found(format!("approval {id}")));
    }
    let run = RunId::from_uuid(approvals::run_of(&row)?.id);
    tell(&shared, &caller, Subject::Approval(run, ApprovalId(id))).await
}

async fn deliverable(State(shared): State<Arc<Shared>>, caller: Caller, Named(id): Named<Uuid>) -> Answered {
    shared.own_row(&caller, "deliverables", id).await?;
    tell(&shared, &caller, Subject::Deliverable(DeliverableId::from_uuid(id))).await
}

async fn schedule(State(shared): State<Arc<Shared>>, caller: Caller, Named(id): Named<Uuid>) -> Answered {
    shared.own_row(&caller, "schedules", id).await?;
    tell(&shared, &caller, Subject::Schedule(ScheduleId::from_uuid(id))).await
}

/// Everybody may read a definition; of runs under way only their ids are told.
async fn definition(
    State(shared): State<Arc<Shared>>,
    (caller, Named((owner, name))): (Caller, Named<(String, String)>),
) -> Answered {
    let id = DefinitionId::of(&owner, &name, shared.shard_count());
    let known = |state: &nightshift_domain::definition::State| !state.versions.is_empty();
    if !shared.ask(id.stream(), known).await? {
        return Err(ApiError::not_found(format!("workflow {owner}/{name}")));
    }
    tell(&shared, &caller, Subject::Definition(owner, name, id)).await
}

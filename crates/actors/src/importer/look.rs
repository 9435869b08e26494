//! One look at one source, and what it means for a slot.

use std::sync::Arc;

use nightshift_domain::{
    content::{SourceFailure, SourceSpec},
    deliverable::SourceAssessment,
    ids::{CommandId, SourceId, UserId},
    recorded::Meta,
    source::{Command, State},
    time::Timestamp,
};
use nightshift_ports::performer::Look;

use super::Assess;
use crate::{
    context::Context,
    envelope::{Envelope, NotDone, Reply},
    faults::Point,
};

/// What is known of a source after a look.
#[derive(Debug, Clone)]
pub struct Seen {
    /// Version of its stream.
    pub version: u64,
    /// When it was last looked at with success.
    pub synced_at: Option<Timestamp>,
    /// Why this look failed, when it did.
    pub error: Option<String>,
}

/// Looks and records; whatever goes wrong is part of what was seen.
pub async fn look(context: &Arc<Context>, source: SourceId, user: UserId, spec: SourceSpec) -> Seen {
    match try_look(context, source, user, spec).await {
        Ok(seen) => seen,
        Err(error) => {
            tracing::warn!(%source, %error, "a look was not recorded");
            Seen { version: 0, synced_at: None, error: Some(format!("the look was not recorded: {error}")) }
        }
    }
}

async fn try_look(context: &Arc<Context>, source: SourceId, user: UserId, spec: SourceSpec) -> Result<Seen, NotDone> {
    let router = context.router();
    let (cursor, known) =
        router.ask(source.stream(), |state: &State, _| (state.cursor.clone(), state.digests())).await?;
    let look = Look {
        spec: spec.clone(),
        cursor,
        known: Arc::new(known),
        now: context.clock_port.now(),
        timeout_ms: context.settings.look_timeout_ms,
    };
    let found = context.performers.sources.observe(look).await;
    context.faults.at(Point::Looked);
    let error = found.as_ref().err().map(SourceFailure::to_string);
    let envelope = Envelope {
        command: Command::Record { user, spec, found }.into(),
        id: CommandId(context.ids.fresh()),
        meta: Meta { actor: "importer".to_owned(), ..Meta::default() },
        discharges: None,
        from_client: false,
        reply: Reply::nobody(),
    };
    router.submit(source.stream(), envelope).await?;
    let (version, synced_at) = router.ask(source.stream(), |state: &State, version| (version, state.synced_at)).await?;
    Ok(Seen { version, synced_at, error })
}

/// What a look means for a slot: how much is new since its last version.
pub async fn assessment(
    context: &Arc<Context>,
    assess: &Assess,
    spec: &SourceSpec,
    source_id: SourceId,
    seen: Option<Seen>,
) -> SourceAssessment {
    let seen = seen.unwrap_or_else(|| Seen {
        version: 0,
        synced_at: None,
        error: Some("the importer failed during the look".to_owned()),
    });
    let since = assess.consumed.get(&source_id.to_string()).copied().unwrap_or(0);
    let asked = context.router().ask(source_id.stream(), move |state: &State, _| state.fresh_since(since)).await;
    let (fresh_items, error) = match asked {
        Ok(fresh) => (fresh, seen.error),
        Err(error) => (0, Some(error.to_string())),
    };
    let age_hours = seen.synced_at.map(|at| context.clock_port.now().micros_since(at) / 3_600_000_000);
    let required = i64::from(assess.order.type_classification.freshness_requirement_hours);
    SourceAssessment {
        source_id,
        resource_name: spec.resource_name(),
        upto_version: seen.version.max(since),
        fresh_items,
        measurable: !matches!(spec, SourceSpec::Description { .. }),
        synced_at: seen.synced_at,
        stale: age_hours.is_none_or(|age| age > required),
        error,
    }
}

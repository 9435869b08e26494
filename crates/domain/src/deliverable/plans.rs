//! The plans a deliverable asks for: how a version is made, how it is delivered, how people are told.

use std::sync::Arc;

use super::{Binding, Deliverable, Event, Order, SourceAssessment};
use crate::{
    content::{Brief, Destination, Notice, NoticeKind, SourceSpec, Text},
    ids::{DeliverableId, RunId, VersionId},
    json::Json,
    run::{Action, Command, CrashPolicy, Created, Flow, GatherSource, Plan, Reports, RetryPolicy, StepPlan, Subject},
    time::Timestamp,
};

/// Runs that people wait for go before runs that a clock asked for.
pub const PRIORITY: i16 = 100;

/// The command that starts the run of [`Event::RunRequested`].
pub fn produce(
    id: DeliverableId,
    it: &Deliverable,
    event: &Event,
    seen: &[SourceAssessment],
) -> Option<(RunId, Command)> {
    let Event::RunRequested { nominal, run_id, number, .. } = event else {
        return None;
    };
    let brief = brief(it, *nominal, *number);
    let sources = gather_sources(it, seen);
    let gather = Action::Gather { sources, brief, feedback: it.feedback.clone() };
    let steps = vec![
        step("gather", gather, &[], RetryPolicy::queue_preset(), CrashPolicy::Retry),
        step("compose", Action::Compose {}, &["gather"], RetryPolicy::queue_preset(), CrashPolicy::Keyed),
        step("validate", Action::Validate {}, &["compose"], RetryPolicy::queue_preset(), CrashPolicy::Retry),
    ];
    Some((*run_id, create(id, it, ("deliverable.produce@1", steps), (*number, *nominal, *run_id, None))))
}

/// The command that starts the run of [`Event::DeliveryRequested`].
pub fn deliver(id: DeliverableId, it: &Deliverable, event: &Event) -> Option<(RunId, Command)> {
    let Event::DeliveryRequested { number, run_id, .. } = event else {
        return None;
    };
    let version = it.versions.get(number)?;
    let action = Action::Deliver {
        destination: it.order.destination.clone()?,
        version_id: VersionId::of(id, *number),
        title: it.order.title.clone(),
        text: version.text.clone()?,
        staged_at: version.staged_at.unwrap_or(version.nominal),
    };
    let crash = match it.order.destination {
        Some(Destination::File { .. }) => CrashPolicy::Retry,
        _ => CrashPolicy::Keyed,
    };
    let steps = vec![step("deliver", action, &[], RetryPolicy::queue_preset(), crash)];
    let root = produced_by(id, version.slot_id);
    Some((*run_id, create(id, it, ("deliverable.deliver@1", steps), (*number, version.nominal, root, Some(root)))))
}

/// The command that starts the run of [`Event::NoticeRaised`], when people are to be mailed.
pub fn notify(id: DeliverableId, it: &Deliverable, event: &Event) -> Option<(RunId, Command)> {
    let Event::NoticeRaised { number, kind, subject, body, run_id: Some(run_id), .. } = event else {
        return None;
    };
    let version = it.versions.get(number)?;
    let notice = Notice { kind: *kind, subject: subject.clone(), body: body.clone() };
    let action = Action::Notify { to: it.order.notify.clone(), notice };
    let steps = vec![step("notify", action, &[], RetryPolicy::queue_preset(), CrashPolicy::Keyed)];
    let root = produced_by(id, version.slot_id);
    Some((*run_id, create(id, it, ("deliverable.notify@1", steps), (*number, version.nominal, root, Some(root)))))
}

fn produced_by(id: DeliverableId, slot: uuid::Uuid) -> RunId {
    super::produce_run_id(id, slot)
}

fn step(id: &str, action: Action, depends_on: &[&str], retry: RetryPolicy, crash: CrashPolicy) -> StepPlan {
    let timeout_ms = match action {
        Action::Compose {} => 180_000,
        _ => 60_000,
    };
    let depends_on = depends_on.iter().map(|id| (*id).to_owned()).collect();
    StepPlan { id: id.to_owned(), action, depends_on, retry, timeout_ms, crash, optional: false, flow: Flow::default() }
}

fn create(
    id: DeliverableId,
    it: &Deliverable,
    (definition, steps): (&str, Vec<StepPlan>),
    (version_number, nominal, root, parent): (u32, Timestamp, RunId, Option<RunId>),
) -> Command {
    Command::Create(Box::new(Created {
        id: None,
        plan: Arc::new(Plan {
            definition: definition.to_owned(),
            steps,
            max_parallel: 1,
            output: None,
            reports: Reports::default(),
        }),
        subject: Subject::Version { deliverable: id, version_number, title: it.order.title.clone() },
        user: it.user.clone(),
        priority: PRIORITY,
        reply_to: Some(id.stream()),
        root,
        parent,
        nominal,
        parameters: Json::Null,
        trigger: Json::Null,
        for_step: None,
        reports: Reports::default(),
        path: Vec::new(),
    }))
}

fn brief(it: &Deliverable, nominal: Timestamp, version_number: u32) -> Brief {
    let order = &it.order;
    let previous_at = it.versions.range(..version_number).rev().find_map(|(_, version)| version.staged_at);
    Brief {
        title: order.title.clone(),
        description: order.description.clone(),
        deliverable_type: order.deliverable_type.as_str().to_owned(),
        strategy: order.type_classification.binding.as_str().to_owned(),
        recipient: order.recipient.clone(),
        sections: order.sections.clone(),
        nominal,
        timezone: order.schedule.as_ref().map_or_else(|| "UTC".to_owned(), |schedule| schedule.timezone.clone()),
        version_number,
        previous_at,
    }
}

/// The sources of a version in the order of the strategy, each with the range that is new.
fn gather_sources(it: &Deliverable, seen: &[SourceAssessment]) -> Vec<GatherSource> {
    let from = |seen: &SourceAssessment| it.consumed.get(&seen.source_id.to_string()).copied().unwrap_or(0);
    chosen(it, seen)
        .into_iter()
        .map(|(spec, seen)| GatherSource {
            spec: spec.clone(),
            source_id: seen.source_id,
            from_version: if seen.measurable { from(seen) } else { 0 },
            upto_version: seen.upto_version,
            error: seen.error.clone(),
        })
        .collect()
}

/// What goes into a version: sources of the order as it is now that were looked at, once each, by its strategy. The
/// order may have been revised since they were looked at, so they are told apart by identity, never by place.
pub fn chosen<'a>(it: &'a Deliverable, seen: &'a [SourceAssessment]) -> Vec<Seen<'a>> {
    let mut sources: Vec<Seen<'a>> = Vec::new();
    for spec in &it.order.sources {
        let Some(found) = seen.iter().find(|seen| spec.is_source(&it.user, seen.source_id)) else {
            continue;
        };
        if sources.iter().all(|(_, other)| other.source_id != found.source_id) {
            sources.push((spec, found));
        }
    }
    strategy_order(&it.order, sources)
}

/// A source of the order and what it looked like.
pub type Seen<'a> = (&'a SourceSpec, &'a SourceAssessment);

/// `platform_bound` keeps the primary platform only (all when none matches); `cross_platform` groups by platform in
/// order of first mention; `research` puts feeds first; `hybrid` keeps the order's own order.
fn strategy_order<'a>(order: &Order, sources: Vec<Seen<'a>>) -> Vec<Seen<'a>> {
    match order.type_classification.binding {
        Binding::PlatformBound => {
            let primary = order.type_classification.primary_platform.as_deref();
            let is_primary = |(spec, _): &Seen<'a>| {
                Some(spec.platform()) == primary || matches!(spec, SourceSpec::Description { .. })
            };
            let matches = sources.iter().any(|(spec, _)| Some(spec.platform()) == primary);
            if matches { sources.into_iter().filter(is_primary).collect() } else { sources }
        }
        Binding::CrossPlatform => {
            let mut platforms: Vec<&str> = Vec::new();
            for (spec, _) in &sources {
                if !platforms.contains(&spec.platform()) {
                    platforms.push(spec.platform());
                }
            }
            let mut grouped = sources;
            grouped.sort_by_key(|(spec, _)| platforms.iter().position(|name| *name == spec.platform()));
            grouped
        }
        Binding::Research => {
            let mut ordered = sources;
            ordered.sort_by_key(|(spec, _)| spec.platform() != "feed");
            ordered
        }
        Binding::Hybrid => sources,
    }
}

/// What people are told.
pub fn notice(title: &str, number: u32, kind: NoticeKind, detail: &str) -> (String, String) {
    let (subject, lead) = match kind {
        NoticeKind::ReadyForReview => (
            format!("{title}: version {number} is ready for review"),
            format!("Version {number} of \"{title}\" is staged and waits for your review."),
        ),
        NoticeKind::Delivered => (
            format!("{title}: version {number} was delivered"),
            format!("Version {number} of \"{title}\" was delivered."),
        ),
        NoticeKind::Failed => (
            format!("{title}: version {number} could not be made"),
            format!("Version {number} of \"{title}\" could not be made."),
        ),
        NoticeKind::DeliveryFailed => (
            format!("{title}: version {number} could not be delivered"),
            format!("Version {number} of \"{title}\" was approved but could not be delivered."),
        ),
    };
    (subject, if detail.is_empty() { lead } else { format!("{lead}\n\n{detail}") })
}

/// A text without its bytes: what a state keeps. The bytes are in the content store.
pub fn reference(text: &Text) -> Text {
    Text { digest: text.digest.clone(), bytes: text.bytes, inline: None }
}

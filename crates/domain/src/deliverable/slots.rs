//! Slots: which runs, which is skipped and why, and what a run's end means.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::{
    Current, Deliverable, DeliverableDecider, Event, Governance, Rejection, Skipped, SourceAssessment, Stage, Standing,
    State, Trigger, plans, produce_run_id, review,
};
use crate::{
    calendar::{CatchUp, Overlap},
    content::{Draft, Failure, FailureClass, NoticeKind, SourceSnapshot},
    decider::{Ctx, Story},
    ids::{DeliverableId, RunId, VersionId, derive},
    run::{End, StepOutput},
    time::Timestamp,
};

pub type Telling = Story<DeliverableDecider>;

/// The identity of a scheduled slot: one due instant of one deliverable, whoever tells of it and how often.
#[must_use]
pub fn slot_id(deliverable: DeliverableId, nominal: Timestamp) -> Uuid {
    derive("slot", &[deliverable.uuid().as_bytes(), &nominal.micros().to_be_bytes()])
}

/// The schedule says that a slot is due.
pub fn slot_due(
    state: &State,
    it: &Deliverable,
    (nominal, next_due): (Timestamp, Option<Timestamp>),
    ctx: &Ctx<'_>,
) -> Result<Vec<Event>, Rejection> {
    let slot = slot_id(DeliverableId::from_uuid(ctx.stream.id), nominal);
    let skip = |reason| Ok(vec![Event::Skipped { slot, nominal, reason, next_due }]);
    match it.last_nominal {
        Some(last) if nominal == last || is_known(it, slot) => return Ok(vec![]),
        // Told late, after a crash or an actor's end; that it was not told before is known by the command's id.
        Some(last) if nominal < last && !matches!(it.standing, Standing::Archived {}) => {
            return skip(Skipped::Overtaken { by: last });
        }
        _ => {}
    }
    match (&it.standing, &it.current) {
        (Standing::Archived {}, _) => Err(Rejection::Archived),
        (Standing::Paused { .. }, _) => skip(Skipped::Paused {}),
        (Standing::Active {}, Some(_)) if may_wait(it, nominal, ctx.now) => {
            Ok(vec![Event::SlotBuffered { slot, nominal, next_due }])
        }
        (Standing::Active {}, Some(current)) => skip(Skipped::StillRunning { since: current.since }),
        (Standing::Active {}, None) => {
            let mut story = Telling::from(state, ctx.now);
            story.tell(Event::SlotDue { slot, nominal, trigger: Trigger::Schedule, force: false, next_due });
            Ok(story.end())
        }
    }
}

/// Whether something came of this slot already, or will.
fn is_known(it: &Deliverable, slot: Uuid) -> bool {
    let held = it.buffered.iter().chain(&it.waiting).chain(it.current.as_ref().map(|current| &current.slot));
    held.into_iter().any(|held| held.id == slot) || it.versions.values().any(|version| version.slot_id == slot)
}

/// Whether a slot that comes while another is worked on may wait: by the overlap policy, or because it was missed and
/// `catch_up` makes up for all. Those come together, and none of them runs over because of its own number.
fn may_wait(it: &Deliverable, nominal: Timestamp, now: Timestamp) -> bool {
    let Some(schedule) = &it.order.schedule else {
        return false;
    };
    let held = usize::from(it.buffered.is_some()) + it.waiting.len();
    let by_overlap = schedule.overlap == Overlap::BufferOne && held == 0;
    match schedule.catch_up {
        CatchUp::All { max } if schedule.is_missed(nominal, now) => by_overlap || held < max as usize,
        _ => by_overlap,
    }
}

/// Somebody wants a version now.
pub fn run_now(it: &Deliverable, force: bool, ctx: &Ctx<'_>) -> Result<Vec<Event>, Rejection> {
    match (&it.standing, &it.current) {
        (Standing::Archived {}, _) => Err(Rejection::Archived),
        (Standing::Paused { note }, _) => Err(Rejection::Paused { note: note.clone() }),
        (Standing::Active {}, Some(current)) => Err(busy(current)),
        (Standing::Active {}, None) => Ok(vec![Event::SlotDue {
            slot: ctx.command_id.child("slot", 0),
            nominal: ctx.now,
            trigger: Trigger::Manual,
            force,
            next_due: None,
        }]),
    }
}

fn busy(current: &Current) -> Rejection {
    let run = match &current.stage {
        Stage::Assessing { .. } => "not yet begun: the sources are looked at".to_owned(),
        Stage::Producing { run, .. } => run.to_string(),
    };
    Rejection::Busy { since: current.since, run }
}

/// The sources were looked at: skip the slot or have a version made.
pub fn assessed(
    state: &State,
    it: &Deliverable,
    slot: Uuid,
    sources: &[SourceAssessment],
    ctx: &Ctx<'_>,
) -> Result<Vec<Event>, Rejection> {
    let current = match &it.current {
        Some(current) if current.slot.id == slot => current,
        _ => return Err(Rejection::OtherSlot { slot }),
    };
    if !matches!(current.stage, Stage::Assessing { .. }) {
        return Ok(vec![]);
    }
    let chosen: Vec<&SourceAssessment> = plans::chosen(it, sources).into_iter().map(|(_, seen)| seen).collect();
    let fresh_items = chosen.iter().map(|source| source.fresh_items).fold(0, u64::saturating_add);
    let mut story = Telling::from(state, ctx.now);
    story.tell(Event::SourcesAssessed { slot, sources: sources.to_vec(), fresh_items });
    match not_working(it).or_else(|| nothing_new(it, current, &chosen)) {
        None => story.tell(request_run(it, current, ctx)),
        Some(reason) => {
            story.tell(Event::Skipped { slot, nominal: current.slot.nominal, reason, next_due: None });
            take_buffered(&mut story);
        }
    }
    Ok(story.end())
}

/// A deliverable that was paused or archived since makes no version of what it had taken up.
fn not_working(it: &Deliverable) -> Option<Skipped> {
    match it.standing {
        Standing::Active {} => None,
        Standing::Paused { .. } => Some(Skipped::Paused {}),
        Standing::Archived {} => Some(Skipped::Archived {}),
    }
}

fn nothing_new(it: &Deliverable, current: &Current, chosen: &[&SourceAssessment]) -> Option<Skipped> {
    if current.slot.force || has_news(it, chosen) {
        return None;
    }
    let failing = chosen.iter().filter(|source| source.error.is_some()).count();
    Some(Skipped::NothingNew { sources: count(chosen.len()), failing: count(failing) })
}

fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

/// There is something to write about: nothing was written yet, content is new, a source cannot be measured, or a source
/// fails that did not when the last version was made.
fn has_news(it: &Deliverable, chosen: &[&SourceAssessment]) -> bool {
    let newly_failing =
        |source: &&SourceAssessment| source.error.is_some() && !it.failing.contains_key(&source.source_id.to_string());
    (it.consumed.is_empty() && !chosen.is_empty())
        || chosen.iter().any(|source| source.fresh_items > 0 || !source.measurable || newly_failing(source))
}

fn request_run(it: &Deliverable, current: &Current, ctx: &Ctx<'_>) -> Event {
    let id = DeliverableId::from_uuid(ctx.stream.id);
    let number = it.newest() + 1;
    Event::RunRequested {
        slot: current.slot.id,
        nominal: current.slot.nominal,
        run_id: produce_run_id(id, current.slot.id),
        number,
        version_id: VersionId::of(id, number),
        trigger: current.slot.trigger,
    }
}

/// A slot that waited is next; when nothing is made any more, those that waited pass.
fn take_buffered(story: &mut Telling) {
    loop {
        let State::Taken(it) = &story.state else { return };
        let Some(slot) = it.buffered.clone().filter(|_| it.current.is_none()) else {
            return;
        };
        let (nominal, next_due) = (slot.nominal, None);
        story.tell(match not_working(it) {
            Some(reason) => Event::Skipped { slot: slot.id, nominal, reason, next_due },
            None => Event::SlotDue { slot: slot.id, nominal, trigger: slot.trigger, force: slot.force, next_due },
        });
    }
}

/// A run that this deliverable asked for is over.
pub fn run_ended(
    state: &State,
    it: &Deliverable,
    run: RunId,
    end: &End,
    ctx: &Ctx<'_>,
) -> Result<Vec<Event>, Rejection> {
    let mut story = Telling::from(state, ctx.now);
    if let Some(number) = producing(it, run) {
        produced(&mut story, number, end, ctx);
        take_buffered(&mut story);
    } else if let Some(number) = review::delivering(it, run) {
        review::delivery_ended(&mut story, number, end, ctx);
    } else if let Some((number, ordinal)) = noticing(it, run) {
        story.tell(notice_ended(number, ordinal, end));
    } else {
        return Err(Rejection::OtherRun { run });
    }
    Ok(story.end())
}

fn producing(it: &Deliverable, run: RunId) -> Option<u32> {
    match it.current.as_ref().map(|current| &current.stage) {
        Some(Stage::Producing { run: producing, number }) if *producing == run => Some(*number),
        _ => None,
    }
}

fn noticing(it: &Deliverable, run: RunId) -> Option<(u32, u32)> {
    it.versions.iter().rev().find_map(|(number, version)| {
        let found = version.notices.iter().find(|(_, mailing)| **mailing == Some(run));
        found.map(|(ordinal, _)| (*number, *ordinal))
    })
}

fn notice_ended(number: u32, ordinal: u32, end: &End) -> Event {
    match receipt_or_failure(end, "notify") {
        Ok(receipt) => Event::NoticeSent { number, ordinal, receipt },
        Err(failure) => Event::NoticeFailed { number, ordinal, failure },
    }
}

/// What the one step of a delivering or mailing run came to.
pub fn receipt_or_failure(end: &End, step: &str) -> Result<crate::content::Receipt, Failure> {
    match end {
        End::Completed { outputs } => match outputs.get(step).map(AsRef::as_ref) {
            Some(StepOutput::Receipt(receipt)) => Ok(receipt.clone()),
            _ => Err(Failure::new(FailureClass::Permanent, format!("step {step:?} gave no receipt"))),
        },
        End::Failed { failure, .. } => Err(failure.clone()),
        End::Cancelled { reason } => Err(Failure::new(FailureClass::Cancelled, reason.clone())),
    }
}

/// The run of a version is over: stage it, and let governance have its say.
fn produced(story: &mut Telling, number: u32, end: &End, ctx: &Ctx<'_>) {
    let id = DeliverableId::from_uuid(ctx.stream.id);
    let version_id = VersionId::of(id, number);
    match outcome(end) {
        Ok((draft, snapshots)) => {
            let consumed: BTreeMap<String, u64> =
                snapshots.iter().map(|snapshot| (snapshot.source_id.to_string(), snapshot.upto_version)).collect();
            story.tell(Event::VersionStaged { number, version_id, draft, snapshots, consumed });
            govern(story, number, ctx);
        }
        Err((step, failure)) => {
            let detail = format!("Step {step}: {failure}");
            story.tell(Event::VersionFailed { number, version_id, step, failure });
            raise(story, number, NoticeKind::Failed, &detail, id);
        }
    }
}

type Outcome = Result<(Draft, Vec<SourceSnapshot>), (String, Failure)>;

fn outcome(end: &End) -> Outcome {
    let outputs = match end {
        End::Completed { outputs } => outputs,
        End::Failed { step, failure } => return Err((step.clone(), failure.clone())),
        End::Cancelled { reason } => {
            return Err(("run".to_owned(), Failure::new(FailureClass::Cancelled, reason.clone())));
        }
    };
    let get = |step: &str| outputs.get(step).map(AsRef::as_ref);
    match (get("compose"), get("gather"), get("validate")) {
        (Some(StepOutput::Draft(draft)), Some(StepOutput::Material { snapshots, .. }), validated) => {
            let mut draft = draft.clone();
            if let Some(StepOutput::Validated { warnings }) = validated {
                draft.warnings.extend(warnings.iter().cloned());
            }
            Ok((draft, snapshots.clone()))
        }
        _ => Err((
            "compose".to_owned(),
            Failure::new(FailureClass::Permanent, "the run completed without a draft or without material"),
        )),
    }
}

fn govern(story: &mut Telling, number: u32, ctx: &Ctx<'_>) {
    let State::Taken(it) = &story.state else { return };
    let id = DeliverableId::from_uuid(ctx.stream.id);
    let archived = matches!(it.standing, Standing::Archived {});
    if archived || it.order.governance != Governance::FullAuto {
        raise(story, number, NoticeKind::ReadyForReview, "", id);
        return;
    }
    let stays_here = it.order.destination.is_none();
    review::agree(story, number, "governance:full_auto", None, ctx);
    if stays_here {
        // Nobody saw it being staged and no delivery will tell of it.
        raise(story, number, NoticeKind::Delivered, "It has no destination and stays in the store.", id);
    }
}

/// People are to be told; by mail when the order names addresses.
pub fn raise(story: &mut Telling, number: u32, kind: NoticeKind, detail: &str, id: DeliverableId) {
    let State::Taken(it) = &story.state else { return };
    let ordinal = it.versions.get(&number).map_or(0, |version| count(version.notices.len())) + 1;
    let (subject, body) = plans::notice(&it.order.title, number, kind, detail);
    let mailed = !it.order.notify.is_empty();
    let run_id = mailed.then(|| super::follow_up_run_id(id, "notify", number, ordinal));
    story.tell(Event::NoticeRaised { number, ordinal, kind, subject, body, run_id });
}

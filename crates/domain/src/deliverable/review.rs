//! Review and delivery: who agreed to what, and what became of it.

use super::{
    Command, Deliverable, Delivery, Event, Rejection, State, Version, VersionStatus, follow_up_run_id,
    slots::{Telling, raise, receipt_or_failure},
};
use crate::{
    content::{Digest, NoticeKind, Receipt},
    decider::Ctx,
    ids::{DeliverableId, RunId},
    run::End,
};

use VersionStatus::{Approved, Delivered, Reviewing, Staged};

/// The verbs of review.
pub fn decide(state: &State, it: &Deliverable, command: &Command, ctx: &Ctx<'_>) -> Result<Vec<Event>, Rejection> {
    match command {
        Command::StartReview { number, by } => {
            let version = find(it, *number, "review", &[Staged, Reviewing])?;
            let event = Event::ReviewStarted { number: *number, by: by.clone() };
            Ok(if version.status == Reviewing { vec![] } else { vec![event] })
        }
        Command::Approve { number, by, note, digest } => {
            let version = find(it, *number, "approve", &[Staged, Reviewing])?;
            if let (Some(named), Some(text)) = (digest, &version.text) {
                same_text(*number, named, &text.digest)?;
            }
            let mut story = Telling::from(state, ctx.now);
            agree(&mut story, *number, by, note.clone(), ctx);
            Ok(story.end())
        }
        Command::Reject { number, by, reason } => {
            find(it, *number, "reject", &[Staged, Reviewing])?;
            Ok(vec![Event::VersionRejected { number: *number, by: by.clone(), reason: reason.clone() }])
        }
        Command::Edit { number, by, base, text, measure } => {
            let version = find(it, *number, "edit", &[Staged, Reviewing])?;
            if let Some(current) = &version.text {
                same_text(*number, base, &current.digest)?;
            }
            let (number, by) = (*number, by.clone());
            Ok(vec![Event::VersionEdited { number, by, text: text.clone(), measure: measure.clone() }])
        }
        Command::Deliver { number, by } => deliver_again(it, *number, by, ctx),
        Command::WindowElapsed { number } => {
            if !it.versions.get(number).is_some_and(|version| version.window_open) {
                return Ok(vec![]);
            }
            let mut story = Telling::from(state, ctx.now);
            agree(&mut story, *number, "governance:semi_auto", None, ctx);
            Ok(story.end())
        }
        _ => Ok(vec![]),
    }
}

fn find<'a>(it: &'a Deliverable, number: u32, verb: &str, allowed: &[VersionStatus]) -> Result<&'a Version, Rejection> {
    let newest = it.newest();
    let version = it.versions.get(&number).ok_or(Rejection::NoSuchVersion { number, newest })?;
    if allowed.contains(&version.status) {
        return Ok(version);
    }
    let allowed: Vec<&str> = allowed.iter().map(|status| status.as_str()).collect();
    Err(Rejection::VersionIs {
        number,
        status: version.status.as_str().to_owned(),
        verb: verb.to_owned(),
        allowed: allowed.join(" or "),
    })
}

fn same_text(number: u32, named: &Digest, actual: &Digest) -> Result<(), Rejection> {
    if named == actual {
        return Ok(());
    }
    Err(Rejection::OtherText { number, named: named.clone(), actual: actual.clone() })
}

/// It is agreed to: send it out, or note that it stays here.
pub fn agree(story: &mut Telling, number: u32, by: &str, note: Option<String>, ctx: &Ctx<'_>) {
    let State::Taken(it) = &story.state else { return };
    let Some(digest) =
        it.versions.get(&number).and_then(|version| version.text.as_ref()).map(|text| text.digest.clone())
    else {
        return;
    };
    let has_destination = it.order.destination.is_some();
    story.tell(Event::VersionApproved { number, by: by.to_owned(), note, digest: digest.clone() });
    if has_destination {
        send_out(story, number, by, ctx);
        return;
    }
    let detail = Some("the order names no destination; the version stays in the store".to_owned());
    let receipt = Receipt { external_id: digest.0, external_url: None, detail };
    story.tell(Event::Delivered { number, ordinal: 0, receipt });
}

fn send_out(story: &mut Telling, number: u32, by: &str, ctx: &Ctx<'_>) {
    let State::Taken(it) = &story.state else { return };
    let ordinal = it.versions.get(&number).map_or(0, |version| version.deliveries) + 1;
    let run_id = follow_up_run_id(DeliverableId::from_uuid(ctx.stream.id), "deliver", number, ordinal);
    story.tell(Event::DeliveryRequested { number, ordinal, run_id, by: by.to_owned() });
}

fn deliver_again(it: &Deliverable, number: u32, by: &str, ctx: &Ctx<'_>) -> Result<Vec<Event>, Rejection> {
    let version = find(it, number, "deliver", &[Approved, Delivered])?;
    if it.order.destination.is_none() {
        return Err(Rejection::NoDestination);
    }
    if let Delivery::Delivering { run } = version.delivery {
        return Err(Rejection::BeingDelivered { number, run });
    }
    let mut story = Telling::from(&State::Taken(it.clone()), ctx.now);
    send_out(&mut story, number, by, ctx);
    Ok(story.end())
}

/// The version that this run delivers.
pub fn delivering(it: &Deliverable, run: RunId) -> Option<u32> {
    let is_it = |version: &Version| matches!(version.delivery, Delivery::Delivering { run: other } if other == run);
    it.versions.iter().rev().find(|(_, version)| is_it(version)).map(|(number, _)| *number)
}

/// The run that delivers a version is over.
pub fn delivery_ended(story: &mut Telling, number: u32, end: &End, ctx: &Ctx<'_>) {
    let State::Taken(it) = &story.state else { return };
    let ordinal = it.versions.get(&number).map_or(0, |version| version.deliveries);
    let id = DeliverableId::from_uuid(ctx.stream.id);
    match receipt_or_failure(end, "deliver") {
        Ok(receipt) => {
            let detail = receipt.external_url.clone().unwrap_or_else(|| receipt.external_id.clone());
            story.tell(Event::Delivered { number, ordinal, receipt });
            raise(story, number, NoticeKind::Delivered, &detail, id);
        }
        Err(failure) => {
            let detail = failure.to_string();
            story.tell(Event::DeliveryFailed { number, ordinal, failure });
            raise(story, number, NoticeKind::DeliveryFailed, &detail, id);
        }
    }
}

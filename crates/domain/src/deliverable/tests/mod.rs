//! Decider tables of the deliverable: orders, slots, pauses. `review` has those of review and delivery, `table` every
//! pair of phase and command, `stories` the properties.

mod review;
mod stories;
mod table;

use std::{collections::BTreeMap, sync::Arc};

use super::*;
use crate::{
    calendar::{CatchUp, Overlap, Schedule},
    content::{Composer, Destination, Digest, Draft, Failure, FailureClass, Receipt, SourceSnapshot, SourceSpec, Text},
    decider::Duty,
    ids::{SourceId, UserId},
    run::{self, End, StepOutput},
    schedule, source,
    streams::AnyCommand,
    testing::{Given, SHARDS, at, every, given, text, the_deliverable, word},
};

type Deliverables = Given<DeliverableDecider>;

const H: i64 = 3_600;

fn folder(path: &str) -> SourceSpec {
    SourceSpec::Folder { path: path.to_owned(), include: vec![], exclude: vec![] }
}

fn feed() -> SourceSpec {
    SourceSpec::Feed { url: "https://example.org/feed".to_owned() }
}

fn order() -> Order {
    Order {
        title: "Weekly".to_owned(),
        description: String::new(),
        deliverable_type: DeliverableType::WeeklyStatus,
        type_classification: Classification {
            binding: Binding::CrossPlatform,
            primary_platform: None,
            freshness_requirement_hours: 4,
        },
        recipient: None,
        sections: vec![],
        sources: vec![folder("/notes")],
        schedule: Some(every(3_600)),
        destination: Some(Destination::File { folder: "/out".to_owned() }),
        governance: Governance::Manual,
        semi_auto_window_s: 600,
        notify: vec![],
    }
}

fn governed(governance: Governance) -> Order {
    Order { governance, ..order() }
}

fn scheduled(schedule: Schedule) -> Order {
    Order { schedule: Some(schedule), ..order() }
}

/// Taken, its schedule told.
fn taken(order: Order) -> Deliverables {
    let user = UserId::default();
    let create = Command::Create { user, order: Box::new(order), paused: false };
    delivered(given(the_deliverable().stream(), []).after(create))
}

/// What was told is told: the shell closes sends when the other stream took them.
fn delivered(mut it: Deliverables) -> Deliverables {
    it.ledger.open.retain(|_, open| !matches!(open.duty, Duty::Tell { .. }));
    it
}

fn revise(order: Order) -> Command {
    Command::Revise { order: Box::new(order) }
}

fn pause() -> Command {
    Command::Pause { note: "holiday".to_owned() }
}

fn due(hour: i64) -> Command {
    Command::SlotDue { nominal: at(hour * H), next_due: Some(at((hour + 1) * H)) }
}

fn slot(hour: i64) -> uuid::Uuid {
    slots::slot_id(the_deliverable(), at(hour * H))
}

fn source_id(spec: &SourceSpec) -> SourceId {
    spec.source_id(&UserId::default(), SHARDS)
}

fn seen(spec: &SourceSpec, fresh_items: u64) -> SourceAssessment {
    SourceAssessment {
        source_id: source_id(spec),
        resource_name: spec.resource_name(),
        upto_version: 2,
        fresh_items,
        measurable: true,
        synced_at: Some(at(0)),
        stale: false,
        error: None,
    }
}

fn assessed(slot: uuid::Uuid, fresh: u64) -> Command {
    Command::Assessed { slot, sources: vec![seen(&folder("/notes"), fresh)] }
}

fn snapshot(spec: &SourceSpec) -> SourceSnapshot {
    SourceSnapshot {
        source_id: source_id(spec),
        platform: spec.platform().to_owned(),
        resource_id: spec.resource_id(),
        resource_name: spec.resource_name(),
        synced_at: at(0),
        upto_version: 2,
        platform_cursor: None,
        item_count: 1,
        source_latest_at: None,
        digest: Digest("0".repeat(64)),
        error: None,
    }
}

fn made(words: &str, snapshots: Vec<SourceSnapshot>) -> End {
    let draft = Draft { text: text(words), composer: Composer::Extractive { revision: 1 }, warnings: vec![] };
    let material = StepOutput::Material { digest: Digest("1".repeat(64)), bytes: 1, items: 1, snapshots };
    let outputs = [("gather", material), ("compose", StepOutput::Draft(draft))];
    End::Completed { outputs: outputs.map(|(step, output)| (step.to_owned(), Arc::new(output))).into() }
}

fn run_of(slot: uuid::Uuid) -> RunId {
    produce_run_id(the_deliverable(), slot)
}

fn produced(slot: uuid::Uuid) -> Command {
    Command::RunEnded { run: run_of(slot), end: made("the draft", vec![snapshot(&folder("/notes"))]) }
}

fn run_failed(slot: uuid::Uuid) -> Command {
    let failure = Failure::new(FailureClass::Permanent, "no");
    Command::RunEnded { run: run_of(slot), end: End::Failed { step: "compose".to_owned(), failure } }
}

fn receipt_end(step: &str) -> End {
    let receipt = Receipt { external_id: "x".to_owned(), external_url: None, detail: None };
    End::Completed { outputs: BTreeMap::from([(step.to_owned(), Arc::new(StepOutput::Receipt(receipt)))]) }
}

fn arrived(number: u32, ordinal: u32) -> Command {
    let run = follow_up_run_id(the_deliverable(), "deliver", number, ordinal);
    Command::RunEnded { run, end: receipt_end("deliver") }
}

fn approve(number: u32, digest: Option<Digest>) -> Command {
    Command::Approve { number, by: "ann".to_owned(), note: None, digest }
}

fn reject(number: u32) -> Command {
    Command::Reject { number, by: "ann".to_owned(), reason: "dull".to_owned() }
}

fn start_review(number: u32) -> Command {
    Command::StartReview { number, by: "ann".to_owned() }
}

fn edit(number: u32, base: &Text, words: &str) -> Command {
    let measure = EditMeasure { distance_permille: 10, diff: text("diff"), categories: vec!["shortened".to_owned()] };
    Command::Edit { number, by: "ann".to_owned(), base: base.digest.clone(), text: text(words), measure }
}

fn deliver(number: u32) -> Command {
    Command::Deliver { number, by: "ann".to_owned() }
}

/// The slot of hour 1 was due and its sources have news: its run is going.
fn producing(order: Order) -> Deliverables {
    delivered(taken(order).at(H).after(due(1)).after(assessed(slot(1), 1)))
}

/// Version 1 is staged.
fn staged(order: Order) -> Deliverables {
    delivered(producing(order).after(produced(slot(1))))
}

fn version(it: &Deliverables, number: u32) -> &Version {
    &it.state.taken().unwrap().versions[&number]
}

fn status(it: &Deliverables, number: u32) -> &'static str {
    version(it, number).status.as_str()
}

/// The commands a schedule was told, in the order of their keys.
fn schedule_told(it: &Deliverables) -> Vec<String> {
    let told = it.ledger.with("schedule:").into_iter().filter_map(|open| match &open.duty {
        Duty::Tell { command, .. } => match &**command {
            AnyCommand::Schedule(schedule::Command::Create { paused: true, .. }) => Some("create paused".to_owned()),
            AnyCommand::Schedule(command) => Some(word(command)),
            _ => None,
        },
        _ => None,
    });
    told.collect()
}

#[test]
fn a_slot_becomes_a_staged_version_step_by_step() {
    taken(order())
        .at(H)
        .when(due(1))
        .then_facts(&["slot_due"])
        .owes(&[&format!("assess:{}", slot(1))])
        .when(assessed(slot(1), 1))
        .then_facts(&["sources_assessed", "run_requested"])
        .owes(&[&format!("run:{}", run_of(slot(1)))])
        .when(produced(slot(1)))
        .then_facts(&["version_staged", "notice_raised"]);
}

#[test]
fn one_slot_has_one_version_however_often_it_is_told() {
    let once = taken(order()).at(H).after(due(1));
    once.clone().when(due(1)).then([]);
    let going = once.after(assessed(slot(1), 1));
    going.clone().when(assessed(slot(1), 1)).then([]);
    going.clone().when(due(1)).then([]);
    let done = going.after(produced(slot(1)));
    done.clone().when(produced(slot(1))).then_rejected(Rejection::OtherRun { run: run_of(slot(1)) });
    done.clone().when(due(1)).then([]);
    done.when(assessed(slot(1), 1)).then_rejected(Rejection::OtherSlot { slot: slot(1) });
}

#[test]
fn nothing_new_is_skipped_and_says_so() {
    let idle = staged(order()).at(2 * H).after(due(2));
    let skipped = idle.clone().when(assessed(slot(2), 0)).then_facts(&["sources_assessed", "skipped"]).owes(&[]);
    let (last, _) = skipped.history.last().unwrap();
    let Event::Skipped { reason, .. } = last else { panic!("{last:?}") };
    assert_eq!(reason.to_string(), "No new content since last run (1 source(s) checked)");
    // What cannot be measured is always fresh; a source that begins to fail is news, one that goes on failing is not.
    let mut unmeasurable = seen(&folder("/notes"), 0);
    unmeasurable.measurable = false;
    let mut failing = seen(&folder("/notes"), 0);
    failing.error = Some("gone".to_owned());
    for source in [unmeasurable, failing.clone()] {
        let command = Command::Assessed { slot: slot(2), sources: vec![source] };
        idle.clone().when(command).then_facts(&["sources_assessed", "run_requested"]);
    }
    let broken = SourceSnapshot { error: Some("gone".to_owned()), ..snapshot(&folder("/notes")) };
    let it = producing(order()).after(Command::RunEnded { run: run_of(slot(1)), end: made("x", vec![broken]) });
    let it = it.at(2 * H).after(due(2));
    it.when(Command::Assessed { slot: slot(2), sources: vec![failing] }).then_facts(&["sources_assessed", "skipped"]);
}

#[test]
fn a_forced_run_goes_without_news_and_a_failed_version_consumes_nothing() {
    let it = staged(order()).at(2 * H).when(Command::RunNow { force: true }).then_facts(&["slot_due"]);
    let slot = it.state.taken().unwrap().current.as_ref().unwrap().slot.id;
    let going = it.when(assessed(slot, 0)).then_facts(&["sources_assessed", "run_requested"]);
    let failed = going.when(run_failed(slot)).then_facts(&["version_failed", "notice_raised"]);
    assert_eq!(status(&failed, 2), "failed");
    let first = producing(order()).after(run_failed(slot_1()));
    assert!(first.state.taken().unwrap().consumed.is_empty());
    first.at(2 * H).after(due(2)).when(assessed(self::slot(2), 0)).then_facts(&["sources_assessed", "run_requested"]);
}

fn slot_1() -> uuid::Uuid {
    slot(1)
}

#[test]
fn the_brief_names_the_last_staged_version_also_after_a_failed_one() {
    let it = staged(order());
    let failed = it.at(2 * H).after(due(2)).after(assessed(slot(2), 1)).after(run_failed(slot(2)));
    let third = delivered(failed).at(3 * H).after(due(3)).after(assessed(slot(3), 1));
    let Duty::Tell { command, .. } = &third.ledger.with("run:")[0].duty else { panic!("tell") };
    let AnyCommand::Run(run::Command::Create(created)) = &**command else { panic!("create") };
    let run::Action::Gather { brief, .. } = &created.plan.steps[0].action else { panic!("gather") };
    assert_eq!((brief.version_number, brief.previous_at), (3, Some(at(H))));
}

#[test]
fn a_platform_bound_order_asks_only_its_own_platform_for_news() {
    let mut bound = Order { sources: vec![folder("/notes"), feed()], ..order() };
    bound.type_classification.binding = Binding::PlatformBound;
    bound.type_classification.primary_platform = Some("folder".to_owned());
    let idle = staged(bound).at(2 * H).after(due(2));
    let look = |notes, entries| Command::Assessed {
        slot: slot(2),
        sources: vec![seen(&folder("/notes"), notes), seen(&feed(), entries)],
    };
    idle.clone().when(look(0, 9)).then_facts(&["sources_assessed", "skipped"]);
    idle.when(look(1, 9)).then_facts(&["sources_assessed", "run_requested"]);
}

/// Which sources the run of the newest slot gathers.
fn gathered(it: &Deliverables) -> Vec<(String, SourceId)> {
    let Duty::Tell { command, .. } = &it.ledger.with("run:")[0].duty else { panic!("tell") };
    let AnyCommand::Run(run::Command::Create(created)) = &**command else { panic!("create") };
    let run::Action::Gather { sources, .. } = &created.plan.steps[0].action else { panic!("gather") };
    sources.iter().map(|source| (source.spec.resource_id(), source.source_id)).collect()
}

#[test]
fn sources_revised_while_they_are_looked_at_are_told_apart() {
    let two = |a: &str, b: &str| Order { sources: vec![folder(a), folder(b)], ..order() };
    let look = Command::Assessed { slot: slot(1), sources: vec![seen(&folder("/a"), 1), seen(&folder("/b"), 1)] };
    let it = taken(two("/a", "/b")).at(H).after(due(1)).after(revise(two("/b", "/c"))).after(look);
    assert_eq!(gathered(&it), [("/b".to_owned(), source_id(&folder("/b")))]);
    // A source named twice goes in once, and is told once to keep what was taken.
    let twice = taken(two("/a", "/a")).at(H).after(due(1));
    let look = Command::Assessed { slot: slot(1), sources: vec![seen(&folder("/a"), 1), seen(&folder("/a"), 1)] };
    let it = delivered(twice.after(look.clone()));
    let end = made("x", vec![snapshot(&folder("/a")), snapshot(&folder("/a"))]);
    let it = it.after(Command::RunEnded { run: run_of(slot(1)), end });
    assert_eq!(it.ledger.with("retain:").len(), 1);
}

#[test]
fn overlap_is_skipped_or_one_slot_waits() {
    let busy = producing(order()).at(2 * H);
    let skipped = busy.when(due(2)).then_facts(&["skipped"]);
    skipped.after(produced(slot(1))).at(3 * H).when(due(3)).then_facts(&["slot_due"]);
    let buffer = scheduled(Schedule { overlap: Overlap::BufferOne, ..every(3_600) });
    let waiting = producing(buffer).at(2 * H).when(due(2)).then_facts(&["slot_buffered"]);
    waiting.clone().when(due(2)).then([]);
    let full = waiting.at(3 * H).when(due(3)).then_facts(&["skipped"]);
    let next = full.when(produced(slot(1))).then_facts(&["version_staged", "notice_raised", "slot_due"]);
    let it = next.state.taken().unwrap();
    assert_eq!((it.current.as_ref().unwrap().slot.id, &it.buffered), (slot(2), &None));
    next.when(assessed(slot(2), 0)).then_facts(&["sources_assessed", "skipped"]);
}

#[test]
fn a_slot_told_after_a_later_one_is_skipped_and_not_forgotten() {
    let later_first = taken(order()).at(2 * H).after(due(2));
    let overtaken = later_first.when(due(1)).then_facts(&["skipped"]);
    let it = overtaken.state.taken().unwrap();
    assert_eq!(it.last_nominal, Some(at(2 * H)), "the later slot stays the last");
    assert_eq!(it.current.as_ref().unwrap().slot.id, slot(2), "and is still worked on");
    overtaken.when(due(2)).then([]);
}

#[test]
fn all_missed_slots_that_are_made_up_for_get_their_turn() {
    let all = scheduled(Schedule { catch_up: CatchUp::All { max: 3 }, ..every(3_600) });
    let mut it = taken(all).at(5 * H + 600).after(due(1));
    for hour in 2..=4 {
        it = it.when(due(hour)).then_facts(&["slot_buffered"]);
    }
    it = it.when(due(5)).then_facts(&["skipped"]);
    for hour in 1..=4 {
        assert_eq!(it.state.taken().unwrap().current.as_ref().unwrap().slot.id, slot(hour));
        it = delivered(it.after(assessed(slot(hour), 1))).after(produced(slot(hour)));
    }
    let it = it.state.taken().unwrap();
    assert_eq!((it.newest(), it.current.is_none(), it.buffered.is_none()), (4, true, true));
}

#[test]
fn pausing_lets_a_run_end_and_begins_nothing() {
    let buffer = scheduled(Schedule { overlap: Overlap::BufferOne, ..every(3_600) });
    let waiting = producing(buffer).at(2 * H).after(due(2)).after(pause());
    waiting.clone().when(produced(slot(1))).then_facts(&["version_staged", "notice_raised", "skipped"]);
    // Resumed in time, the slot that waited runs.
    let resumed = waiting.after(Command::Resume {});
    resumed.when(produced(slot(1))).then_facts(&["version_staged", "notice_raised", "slot_due"]);
    // The sources were being looked at.
    let looking = taken(order()).at(H).after(due(1)).after(pause());
    looking.clone().when(assessed(slot(1), 9)).then_facts(&["sources_assessed", "skipped"]);
    looking
        .clone()
        .when(Command::RunNow { force: true })
        .then_rejected(Rejection::Paused { note: "holiday".to_owned() });
    looking.at(2 * H).when(due(2)).then_facts(&["skipped"]);
}

#[test]
fn archiving_lets_a_run_end_and_sends_nothing_out() {
    let full = governed(Governance::FullAuto);
    let archived = producing(full).after(Command::Archive {});
    let done = delivered(archived).when(produced(slot(1))).then_facts(&["version_staged", "notice_raised"]);
    assert_eq!(status(&done, 1), "staged");
    let semi = producing(governed(Governance::SemiAuto)).after(Command::Archive {});
    let done = delivered(delivered(semi).after(produced(slot(1)))).owes(&[]);
    done.when(due(2)).then_rejected(Rejection::Archived);
    let looking = taken(order()).at(H).after(due(1)).after(Command::Archive {});
    looking.when(assessed(slot(1), 9)).then_facts(&["sources_assessed", "skipped"]);
    // Silence is no consent any more, but a person may still agree.
    let open = staged(governed(Governance::SemiAuto)).owes(&["window:1"]);
    let closed = delivered(open.after(Command::Archive {})).owes(&[]);
    closed.clone().when(Command::WindowElapsed { number: 1 }).then([]);
    closed.when(approve(1, None)).then_facts(&["version_approved", "delivery_requested"]);
}

#[test]
fn the_schedule_follows_the_order_and_its_standing() {
    let none = || Order { schedule: None, ..order() };
    let told = |it: Deliverables| schedule_told(&it);
    let user = UserId::default();
    let paused = Command::Create { user, order: Box::new(order()), paused: true };
    let fresh = given::<DeliverableDecider>(the_deliverable().stream(), []);
    assert_eq!(told(fresh.after(paused)), ["create paused"]);
    assert_eq!(told(taken(order()).after(revise(order()))), [""; 0]);
    assert_eq!(told(taken(order()).after(revise(scheduled(every(60))))), ["retime"]);
    assert_eq!(told(taken(none()).after(revise(order()))), ["create"]);
    assert_eq!(told(taken(none()).after(pause()).after(revise(order()))), ["create paused"]);
    assert_eq!(told(taken(order()).after(revise(none()))), ["pause"]);
    // Taken away and given back: the stream exists, so it is re-timed and goes on.
    let back = taken(order()).after(revise(none())).after(revise(scheduled(every(60))));
    assert_eq!(told(back), ["pause", "retime", "resume"]);
    // An order without a schedule does not bring it back by being resumed.
    let resumed = taken(order()).after(revise(none())).after(pause()).after(Command::Resume {});
    assert_eq!(told(resumed.clone()), ["pause"]);
    assert_eq!(told(resumed.after(revise(order()))), ["pause", "retime", "resume"]);
    let back = taken(order()).after(revise(none())).after(pause()).after(revise(order())).after(Command::Resume {});
    assert_eq!(told(back), ["pause", "retime", "resume"]);
    // All at one instant, and in order.
    let quick = taken(order()).after(pause()).after(Command::Resume {}).after(pause()).after(Command::Archive {});
    assert_eq!(told(quick), ["pause", "resume", "pause", "end"]);
    assert_eq!(told(taken(none()).after(Command::Archive {})), [""; 0]);
}

#[test]
fn an_order_is_taken_once_and_refused_when_it_could_never_work() {
    let create = |order: Order| Command::Create { user: UserId::default(), order: Box::new(order), paused: false };
    let fresh = || given::<DeliverableDecider>(the_deliverable().stream(), []);
    fresh().when(create(Order { sources: vec![], ..order() })).then_rejected(Rejection::NoSources);
    let cron = crate::calendar::Rule::Cron { expression: "never".to_owned() };
    let broken = scheduled(Schedule { rule: cron, ..every(60) });
    fresh().when(create(broken.clone())).then_rejected(Rejection::Calendar(crate::testing::never()));
    taken(order()).when(revise(broken)).then_rejected(Rejection::Calendar(crate::testing::never()));
    taken(order()).when(create(order())).then([]);
    taken(order()).when(create(Order { title: "Other".to_owned(), ..order() })).then_rejected(Rejection::Exists);
}

#[test]
fn a_refused_or_edited_version_teaches_the_next() {
    let it = staged(order()).after(edit(1, &text("the draft"), "better")).after(reject(1));
    assert_eq!(
        it.state.taken().unwrap().feedback,
        ["Version 1 was rejected: dull", "Version 1 was edited (10 per mille changed: shortened)",]
    );
}

#[test]
fn sources_keep_what_a_version_took() {
    let it = producing(order()).after(produced(slot(1)));
    let version = crate::ids::VersionId::of(the_deliverable(), 1);
    let source = source_id(&folder("/notes"));
    let Duty::Tell { to, command } = &it.ledger.open[&format!("retain:{source}:{version}")].duty else {
        panic!("tell")
    };
    let keep = source::Command::Retain { from_version: 0, upto_version: 2, reference: version };
    assert_eq!((*to, (**command).clone()), (source.stream(), keep.into()));
}

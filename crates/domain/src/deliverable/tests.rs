//! Decider tables and properties of the deliverable.

use std::{collections::BTreeMap, sync::Arc};

use proptest::prelude::*;

use super::*;
use crate::{
    calendar::{CatchUp, Overlap, Schedule},
    content::{
        Composer, Destination, Digest, Draft, Failure, FailureClass, Receipt, SourceSnapshot, SourceSpec, Text,
    },
    decider::Duty,
    ids::{SourceId, UserId},
    run::{self, End, StepOutput},
    schedule, source,
    streams::AnyCommand,
    testing::{Given, SHARDS, at, covers_every_pair, every, given, text, the_deliverable, uuid, word},
    time::Timestamp,
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

fn review(number: u32) -> Command {
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
    looking.clone().when(Command::RunNow { force: true }).then_rejected(Rejection::Paused { note: "holiday".to_owned() });
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
fn governance_decides_who_has_to_agree() {
    let full = producing(governed(Governance::FullAuto)).when(produced(slot(1)));
    let full = full.then_facts(&["version_staged", "version_approved", "delivery_requested"]);
    let full = full.when(arrived(1, 1)).then_facts(&["delivered", "notice_raised"]);
    assert_eq!(status(&full, 1), "delivered");
    let nowhere = Order { destination: None, ..governed(Governance::FullAuto) };
    let nowhere = producing(nowhere).when(produced(slot(1)));
    nowhere.then_facts(&["version_staged", "version_approved", "delivered", "notice_raised"]);
    let semi = staged(governed(Governance::SemiAuto)).owes(&["window:1"]);
    let semi = semi.at(H + 600).when(Command::WindowElapsed { number: 1 });
    semi.then_facts(&["version_approved", "delivery_requested"]).when(Command::WindowElapsed { number: 1 }).then([]);
    staged(order()).owes(&[]).when(Command::WindowElapsed { number: 1 }).then([]);
}

#[test]
fn a_window_closes_when_somebody_touches_the_version() {
    let draft = text("the draft");
    for touch in [review(1), edit(1, &draft, "better"), approve(1, None), reject(1)] {
        let touched = delivered(staged(governed(Governance::SemiAuto)).after(touch.clone())).owes(&[]);
        touched.when(Command::WindowElapsed { number: 1 }).then([]);
    }
    // An order that asks for agreement now does not take silence for it.
    let revised = staged(governed(Governance::SemiAuto)).after(revise(governed(Governance::Manual))).owes(&[]);
    revised.when(Command::WindowElapsed { number: 1 }).then([]);
}

#[test]
fn edits_and_approvals_name_the_text_they_mean() {
    let (draft, better) = (text("the draft"), text("better"));
    let other = |named: &Text, actual: &Text| Rejection::OtherText {
        number: 1,
        named: named.digest.clone(),
        actual: actual.digest.clone(),
    };
    let it = staged(order());
    it.clone().when(approve(1, Some(better.digest.clone()))).then_rejected(other(&better, &draft));
    it.clone().when(edit(1, &better, "x")).then_rejected(other(&better, &draft));
    let edited = it.when(edit(1, &draft, "better")).then_facts(&["version_edited"]);
    edited.clone().when(approve(1, Some(draft.digest.clone()))).then_rejected(other(&draft, &better));
    edited.clone().when(edit(1, &draft, "y")).then_rejected(other(&draft, &better));
    let approved = edited.when(approve(1, Some(better.digest.clone())));
    let approved = approved.then_facts(&["version_approved", "delivery_requested"]);
    let sent = approved.ledger.with("run:");
    let Duty::Tell { command, .. } = &sent[0].duty else { panic!("tell") };
    let AnyCommand::Run(run::Command::Create(created)) = &**command else { panic!("create") };
    let run::Action::Deliver { text, .. } = &created.plan.steps[0].action else { panic!("deliver") };
    assert_eq!(text.digest, better.digest);
    // The content of a version that was agreed to or refused never changes.
    for verb in [edit(1, &better, "z"), reject(1), review(1), approve(1, None)] {
        assert!(matches!(approved.clone().when(verb).result, Err(Rejection::VersionIs { .. })));
    }
}

#[test]
fn two_versions_may_be_on_their_way_at_once() {
    let first = staged(order()).after(approve(1, None));
    let second = delivered(first).at(2 * H).after(due(2)).after(assessed(slot(2), 1)).after(produced(slot(2)));
    let both = delivered(second).after(approve(2, None));
    let run = follow_up_run_id(the_deliverable(), "deliver", 2, 1);
    both.clone().when(deliver(2)).then_rejected(Rejection::BeingDelivered { number: 2, run });
    let one = both.after(arrived(2, 1));
    assert_eq!((status(&one, 1), status(&one, 2)), ("approved", "delivered"));
    let all = one.after(arrived(1, 1));
    assert_eq!((status(&all, 1), status(&all, 2)), ("delivered", "delivered"));
    all.clone().when(arrived(1, 1)).then_rejected(Rejection::OtherRun {
        run: follow_up_run_id(the_deliverable(), "deliver", 1, 1),
    });
    // Once more, as a delivery of its own.
    let again = delivered(all).when(deliver(1)).then_facts(&["delivery_requested"]);
    again.when(arrived(1, 2)).then_facts(&["delivered", "notice_raised"]);
}

#[test]
fn a_failed_delivery_can_be_sent_again() {
    let failure = Failure::new(FailureClass::Permanent, "refused");
    let run = follow_up_run_id(the_deliverable(), "deliver", 1, 1);
    let end = End::Failed { step: "deliver".to_owned(), failure };
    let failed = delivered(staged(order()).after(approve(1, None))).when(Command::RunEnded { run, end });
    let failed = failed.then_facts(&["delivery_failed", "notice_raised"]);
    assert_eq!((status(&failed, 1), &version(&failed, 1).delivery), ("approved", &Delivery::Failed {}));
    failed.after(deliver(1)).when(arrived(1, 2)).then_facts(&["delivered", "notice_raised"]);
    let nowhere = staged(order()).after(approve(1, None)).after(arrived(1, 1));
    let nowhere = nowhere.after(revise(Order { destination: None, ..order() }));
    nowhere.when(deliver(1)).then_rejected(Rejection::NoDestination);
}

#[test]
fn a_notice_is_mailed_once() {
    let it = staged(Order { notify: vec!["ann@example.org".to_owned()], ..order() });
    let run = follow_up_run_id(the_deliverable(), "notify", 1, 1);
    let sent = Command::RunEnded { run, end: receipt_end("notify") };
    let told = it.when(sent.clone()).then_facts(&["notice_sent"]);
    told.when(sent).then_rejected(Rejection::OtherRun { run });
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
    assert_eq!(it.state.taken().unwrap().feedback, [
        "Version 1 was rejected: dull",
        "Version 1 was edited (10 per mille changed: shortened)",
    ]);
}

#[test]
fn sources_keep_what_a_version_took() {
    let it = producing(order()).after(produced(slot(1)));
    let version = crate::ids::VersionId::of(the_deliverable(), 1);
    let source = source_id(&folder("/notes"));
    let Duty::Tell { to, command } = &it.ledger.open[&format!("retain:{source}:{version}")].duty else { panic!("tell") };
    let keep = source::Command::Retain { from_version: 0, upto_version: 2, reference: version };
    assert_eq!((*to, (**command).clone()), (source.stream(), keep.into()));
}

/// Every pair of phase and command. In `staged` and behind, the commands are about version 1.
#[test]
fn every_phase_answers_every_command() {
    let phase = |phase: &str| match phase {
        "unborn" => given(the_deliverable().stream(), []).at(H),
        "idle" => taken(order()).at(H),
        "assessing" => taken(order()).at(H).after(due(1)),
        "producing" => producing(order()),
        "staged" => staged(governed(Governance::SemiAuto)),
        "reviewing" => staged(order()).after(review(1)),
        "approved" => staged(order()).after(approve(1, None)),
        "rejected" => staged(order()).after(reject(1)),
        "delivered" => staged(order()).after(approve(1, None)).after(arrived(1, 1)),
        "paused" => staged(order()).after(pause()),
        _ => staged(order()).after(Command::Archive {}),
    };
    let command = |phase: &str, verb: &str| match verb {
        "create" => Command::Create { user: UserId("bob".to_owned()), order: Box::new(order()), paused: false },
        "revise" => revise(order()),
        "pause" => pause(),
        "resume" => Command::Resume {},
        "archive" => Command::Archive {},
        "run_now" => Command::RunNow { force: false },
        "slot_due" => due(2),
        "assessed" => assessed(slot(1), 1),
        "run_ended" if phase == "approved" => arrived(1, 1),
        "run_ended" => produced(slot(1)),
        "start_review" => review(1),
        "approve" => approve(1, None),
        "reject" => reject(1),
        "edit" => edit(1, &text("the draft"), "x"),
        "deliver" => deliver(1),
        _ => Command::WindowElapsed { number: 1 },
    };
    let verbs = [
        "create", "revise", "pause", "resume", "archive", "run_now", "slot_due", "assessed", "run_ended",
        "start_review", "approve", "reject", "edit", "deliver", "window_elapsed",
    ];
    let phases = [
        ("unborn", "created unknown unknown unknown unknown unknown unknown unknown unknown unknown unknown unknown unknown unknown unknown"),
        ("idle", "exists revised paused - archived slot_due slot_due other_slot other_run no_such_version no_such_version no_such_version no_such_version no_such_version -"),
        ("assessing", "exists revised paused - archived busy skipped sources_assessed+run_requested other_run no_such_version no_such_version no_such_version no_such_version no_such_version -"),
        ("producing", "exists revised paused - archived busy skipped - version_staged+notice_raised version_is version_is version_is version_is version_is -"),
        ("staged", "exists revised paused - archived slot_due slot_due other_slot other_run review_started version_approved+delivery_requested version_rejected version_edited version_is version_approved+delivery_requested"),
        ("reviewing", "exists revised paused - archived slot_due slot_due other_slot other_run - version_approved+delivery_requested version_rejected version_edited version_is -"),
        ("approved", "exists revised paused - archived slot_due slot_due other_slot delivered+notice_raised version_is version_is version_is version_is being_delivered -"),
        ("rejected", "exists revised paused - archived slot_due slot_due other_slot other_run version_is version_is version_is version_is version_is -"),
        ("delivered", "exists revised paused - archived slot_due slot_due other_slot other_run version_is version_is version_is version_is delivery_requested -"),
        ("paused", "exists revised - resumed archived paused skipped other_slot other_run review_started version_approved+delivery_requested version_rejected version_edited version_is -"),
        ("archived", "exists archived archived archived - archived archived other_slot other_run review_started version_approved+delivery_requested version_rejected version_edited version_is -"),
    ];
    let rows: Vec<(String, String)> = phases
        .iter()
        .flat_map(|(phase, outcomes)| {
            let outcomes: Vec<&str> = outcomes.split(' ').collect();
            assert_eq!(outcomes.len(), verbs.len(), "{phase}");
            verbs.iter().zip(outcomes).map(move |(verb, outcome)| (format!("{phase} {verb}"), outcome.replace('+', " ")))
        })
        .collect();
    let table: Vec<(&str, &str)> = rows.iter().map(|(pair, outcome)| (pair.as_str(), outcome.as_str())).collect();
    let names: Vec<&str> = phases.iter().map(|(phase, _)| *phase).collect();
    covers_every_pair::<DeliverableDecider>(&names, &table, |at, verb| {
        phase(at).when(command(at, verb)).result.map(|events| events.iter().map(word).collect())
    });
}

fn any_order() -> impl Strategy<Value = Order> {
    let governance = prop_oneof![Just(Governance::Manual), Just(Governance::SemiAuto), Just(Governance::FullAuto)];
    let overlap = prop_oneof![Just(Overlap::Skip), Just(Overlap::BufferOne)];
    let catch_up = prop_oneof![Just(CatchUp::Latest), (0..4_u32).prop_map(|max| CatchUp::All { max })];
    let schedule = prop::option::of((overlap, catch_up).prop_map(|(overlap, catch_up)| Schedule {
        overlap,
        catch_up,
        ..every(3_600)
    }));
    let sources = prop_oneof![
        Just(vec![folder("/notes")]),
        Just(vec![folder("/notes"), feed()]),
        Just(vec![feed(), SourceSpec::Description { value: "always".to_owned() }]),
    ];
    let binding = prop_oneof![Just(Binding::PlatformBound), Just(Binding::Research)];
    (governance, schedule, sources, binding, any::<bool>(), any::<bool>()).prop_map(
        |(governance, schedule, sources, binding, sent, mailed)| Order {
            governance,
            schedule,
            sources,
            type_classification: Classification {
                binding,
                primary_platform: Some("feed".to_owned()),
                freshness_requirement_hours: 1,
            },
            destination: sent.then(|| Destination::File { folder: "/out".to_owned() }),
            notify: if mailed { vec!["ann@example.org".to_owned()] } else { vec![] },
            ..order()
        },
    )
}

/// The runs that were told to start and have not ended: the world beside the deliverable.
type Going = Vec<(RunId, &'static str)>;

/// Tells what is to be told; runs among it begin.
fn carry_out(it: &mut Deliverables, going: &mut Going) {
    it.ledger.open.retain(|_, open| {
        let Duty::Tell { to, command } = &open.duty else { return true };
        if let AnyCommand::Run(run::Command::Create(created)) = &**command {
            let what = match created.plan.definition.as_str() {
                "deliverable.deliver@1" => "deliver",
                "deliverable.notify@1" => "notify",
                _ => "produce",
            };
            going.push((RunId::from_uuid(to.id), what));
        }
        false
    });
}

fn run_end(going: &Going, (pick, fails): (usize, bool)) -> Option<Command> {
    let (run, what) = *going.get(pick % going.len().max(1))?;
    let failure = Failure::new(FailureClass::Permanent, "no");
    let end = match what {
        _ if fails => End::Failed { step: what.to_owned(), failure },
        "produce" => made("the draft", vec![snapshot(&folder("/notes")), snapshot(&feed())]),
        step => receipt_end(step),
    };
    Some(Command::RunEnded { run, end })
}

/// The command a drawn number means here.
fn next_command(it: &Deliverables, going: &Going, (pick, verb, order): (usize, u8, Order)) -> Command {
    let Some(deliverable) = it.state.taken() else { return Command::Resume {} };
    let number = deliverable.newest().saturating_sub((pick % 2) as u32);
    let text = deliverable.versions.get(&number).and_then(|version| version.text.clone()).unwrap_or(text("none"));
    match verb {
        0 => revise(order),
        1 => pause(),
        2 | 3 => Command::Resume {},
        4 if pick % 5 == 0 => Command::Archive {},
        5 => Command::RunNow { force: pick % 2 == 0 },
        6 => review(number),
        7 => edit(number, &text, &format!("edit {pick}")),
        8 => approve(number, (pick % 3 == 0).then(|| text.digest.clone())),
        9 => reject(number),
        10 => deliver(number),
        11 => Command::SlotDue { nominal: Timestamp(it.now.micros() - (pick % 9) as i64 * H * 1_000_000), next_due: None },
        12 | 13 => Command::SlotDue { nominal: it.now, next_due: None },
        14 => Command::WindowElapsed { number },
        15..=17 => match &deliverable.current {
            Some(current) => {
                let sources = deliverable.order.sources.iter().map(|spec| seen(spec, (pick % 2) as u64)).collect();
                Command::Assessed { slot: current.slot.id, sources }
            }
            None => assessed(uuid(pick as u64), 1),
        },
        _ => run_end(going, (pick, verb == 18)).unwrap_or(Command::SlotDue { nominal: it.now, next_due: None }),
    }
}

/// What holds after every command: each thing that is not done has a wake-up, runs, or waits for a person.
fn sane(it: &Deliverables, going: &Going) {
    let Some(deliverable) = it.state.taken() else { return };
    let runs = |run: &RunId| going.iter().any(|(other, _)| other == run);
    let assess = it.ledger.with("assess:");
    match &deliverable.current {
        Some(Current { slot, stage: Stage::Assessing { .. }, .. }) => {
            assert_eq!(assess.len(), 1);
            assert_eq!(assess[0].key, format!("assess:{}", slot.id));
        }
        Some(Current { stage: Stage::Producing { run, number }, .. }) => {
            assert!(assess.is_empty() && runs(run));
            assert_eq!(deliverable.versions[number].status, VersionStatus::Generating);
        }
        None => assert!(assess.is_empty() && deliverable.buffered.is_none()),
    }
    assert!(deliverable.buffered.is_some() || deliverable.waiting.is_empty());
    let mut slots: Vec<_> = deliverable.versions.values().map(|version| version.slot_id).collect();
    slots.sort_unstable();
    assert!(slots.windows(2).all(|pair| pair[0] != pair[1]), "two versions of one slot");
    for (number, version) in &deliverable.versions {
        let windows = it.ledger.with(&format!("window:{number}")).into_iter();
        let windows = windows.filter(|open| open.key == format!("window:{number}")).count();
        assert_eq!(windows, usize::from(version.window_open), "window of {number}");
        assert!(!version.window_open || version.status == VersionStatus::Staged);
        if let Delivery::Delivering { run } = &version.delivery {
            assert!(runs(run), "{number} is being delivered by nobody");
        }
        if version.status == VersionStatus::Generating {
            assert!(matches!(&deliverable.current, Some(Current { stage: Stage::Producing { number: other, .. }, .. }) if other == number));
        }
        assert!(version.notices.values().flatten().all(runs), "{number} has a notice that nobody mails");
    }
}

proptest! {
    #[test]
    fn any_story_of_a_deliverable_stays_sane(
        first in any_order(),
        draws in prop::collection::vec((any::<usize>(), 0..24_u8, any_order(), 0..4_i64), 1..60),
    ) {
        let mut it = taken(first);
        let mut going: Going = Vec::new();
        let mut settled: BTreeMap<u32, Text> = BTreeMap::new();
        for (pick, verb, order, hours) in draws {
            let now = it.now.micros() / 1_000_000 + hours * H;
            it = it.at(now);
            let command = next_command(&it, &going, (pick, verb, order));
            let before = (it.state.clone(), it.ledger.clone());
            let when = it.when(command.clone());
            it = when.after;
            if when.result.is_err() {
                prop_assert_eq!(&(it.state.clone(), it.ledger.clone()), &before);
                continue;
            }
            if let Command::RunEnded { run, .. } = &command {
                going.retain(|(other, _)| other != run);
            }
            // Said twice at the same instant, it makes no second version and sends nothing out again.
            let again = it.clone().when(command);
            let (versions, deliveries) = totals(&it);
            prop_assert_eq!(totals(&again.after), (versions, deliveries));
            carry_out(&mut it, &mut going);
            sane(&it, &going);
            // What was agreed to, refused or delivered never changes its text.
            for (number, version) in &it.state.taken().unwrap().versions {
                if matches!(version.status, VersionStatus::Approved | VersionStatus::Rejected | VersionStatus::Delivered) {
                    let text = version.text.clone().unwrap();
                    prop_assert_eq!(settled.entry(*number).or_insert(text.clone()), &text);
                }
            }
        }
    }
}

fn totals(it: &Deliverables) -> (usize, u32) {
    it.state.taken().map_or((0, 0), |it| {
        (it.versions.len(), it.versions.values().map(|version| version.deliveries).sum())
    })
}

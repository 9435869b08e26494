//! Slots: the meaning of `overlap`, and that each slot has at most one run.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::{
    calendar::{CatchUp, Overlap},
    ids::{RunId, ScheduleId},
    schedule::Cause,
    testing::word,
};

fn schedule() -> ScheduleId {
    schedule_id(definition(), 0)
}

fn minutely(overlap: Overlap) -> Schedule {
    Schedule { overlap, ..every(60) }
}

fn in_force(schedule: Schedule) -> Definitions {
    delivered(unborn().after(register(document("1", vec![timer(schedule)]))))
}

/// The slot of minute `n`.
fn slot(n: i64, cause: Cause) -> Command {
    Command::SlotDue { schedule: schedule(), nominal: at(60 * n), cause }
}

fn due(n: i64) -> Command {
    slot(n, Cause::Timer)
}

fn run(n: i64) -> RunId {
    slot_run_id(schedule(), at(60 * n), SHARDS)
}

fn ended(n: i64) -> Command {
    Command::RunEnded { run: run(n), end: done() }
}

/// `run 1; refused 2; waits 3`.
fn said(events: &[Event]) -> String {
    let minute = |nominal: Timestamp| nominal.micros() / 60_000_000;
    let words = events.iter().map(|event| match event {
        Event::RunRequested { created, run: id, schedule: Some(_) } => {
            assert_eq!(*id, run(minute(created.nominal)));
            format!("run {}", minute(created.nominal))
        }
        Event::RunRefused { slot: Some(slot), .. } => format!("refused {}", minute(slot.nominal)),
        Event::SlotBuffered { nominal, cancels: None, .. } => format!("waits {}", minute(*nominal)),
        Event::SlotBuffered { nominal, cancels: Some(_), .. } => format!("instead {}", minute(*nominal)),
        Event::RunEnded { .. } => "ended".to_owned(),
        other => word(other),
    });
    words.collect::<Vec<_>>().join("; ")
}

/// What three slots come to while a run goes on, and then its end; a slot of the past among them.
#[test]
fn overlap_says_what_becomes_of_a_slot_while_a_run_goes_on() {
    let cases = [
        (Overlap::Skip, ["refused 2", "refused 3", "waits 0", "ended; run 0", ""]),
        (Overlap::BufferOne, ["waits 2", "refused 3", "waits 0", "ended; run 2", "ended; run 0"]),
        (Overlap::BufferAll, ["waits 2", "waits 3", "waits 0", "ended; run 2", "ended; run 3"]),
        (Overlap::CancelOther, ["instead 2", "refused 2; instead 3", "waits 0", "ended; run 3", "ended; run 0"]),
        (Overlap::Allow, ["run 2", "run 3", "run 0", "", ""]),
    ];
    for (overlap, [second, third, past, first_end, next_end]) in cases {
        let mut it = in_force(minutely(overlap)).at(180);
        let mut came_of = |command: Command| {
            let when = it.clone().when(command);
            it = delivered(when.after);
            said(&when.result.unwrap())
        };
        assert_eq!(came_of(due(1)), "run 1", "{overlap:?}");
        assert_eq!(came_of(due(2)), second, "{overlap:?}");
        assert_eq!(came_of(due(3)), third, "{overlap:?}");
        assert_eq!(came_of(slot(0, Cause::Backfill)), past, "{overlap:?}");
        assert_eq!(came_of(ended(1)), first_end, "{overlap:?}");
        let next = first_end.rsplit(' ').next().and_then(|n| n.parse().ok()).unwrap_or(9);
        assert_eq!(came_of(ended(next)), if overlap == Overlap::Skip { "ended" } else { next_end }, "{overlap:?}");
        // Whatever became of the first slot, it is not run again.
        assert_eq!(came_of(slot(1, Cause::Backfill)), "", "{overlap:?}");
    }
}

#[test]
fn under_cancel_other_the_newest_goes_next_and_those_made_up_for_wait_behind_it() {
    let it = in_force(minutely(Overlap::CancelOther)).at(180).after(due(1)).after(slot(0, Cause::Backfill));
    let it = it.when(due(2)).then_facts(&["slot_buffered"]);
    let it = it.when(due(3)).then_facts(&["run_refused", "slot_buffered"]);
    let cancelled = told(&it, "cancel:");
    assert!(matches!(
        &cancelled[..],
        [(first, AnyCommand::Run(run::Command::Stop { .. })), (again, AnyCommand::Run(run::Command::Stop { .. }))]
            if *first == run(1).stream() && again == first
    ));
    let it = delivered(it).when(ended(1)).then_facts(&["run_ended", "run_requested"]);
    assert_eq!(it.state.busy[&schedule()].run, Some(run(3)));
    let it = it.when(ended(3)).then_facts(&["run_ended", "run_requested"]);
    assert_eq!(it.state.busy[&schedule()].run, Some(run(0)));
}

#[test]
fn a_run_makes_room_though_it_hears_of_that_before_it_hears_that_it_begins() {
    let it = in_force(minutely(Overlap::CancelOther)).at(180).after(due(1)).after(due(2));
    let [(_, AnyCommand::Run(create))] = &told(&it, "run:")[..] else { panic!("one run") };
    let [(_, AnyCommand::Run(stop))] = &told(&it, "cancel:")[..] else { panic!("one is stopped") };
    let unborn = given::<run::RunDecider>(run(1).stream(), []);
    let over = unborn.after(stop.clone()).after(create.clone()).owes(&["ended"]);
    assert!(matches!(over.state, run::State::Over(_, End::Cancelled { .. })), "{:?}", over.state);
}

#[test]
fn a_run_is_asked_for_with_all_that_it_needs_to_know() {
    let parameters = json!({"grouping": "day"});
    let mut daily = document("1", vec![Trigger::Schedule { schedule: every(60), parameters: parameters.clone() }]);
    daily.parameters = vec![parameter("grouping", ParameterKind::String)];
    let it = delivered(unborn().after(register(daily))).at(61).after(due(1));
    let [(to, AnyCommand::Run(run::Command::Create(created)))] = &told(&it, "run:")[..] else { panic!("one run") };
    assert_eq!(*to, run(1).stream());
    let cause =
        json!({"type": "schedule", "nominal": "1970-01-01T00:01:00Z", "schedule": schedule(), "cause": "timer"});
    assert_eq!((&created.parameters, &created.trigger), (&parameters, &cause));
    assert_eq!((&created.user, created.priority, created.nominal), (&user("ann"), 7, at(60)));
    assert_eq!((created.reply_to, created.root, created.parent), (Some(definition().stream()), run(1), None));
    let pinned = created.subject.workflow().unwrap();
    assert_eq!((pinned.to_string(), pinned.definition), ("team/daily@1".to_owned(), Some(definition())));
    // Under `allow` nobody has to know when it ends.
    let it = in_force(minutely(Overlap::Allow)).at(61).after(due(1));
    let [(_, AnyCommand::Run(run::Command::Create(created)))] = &told(&it, "run:")[..] else { panic!("one run") };
    assert_eq!(created.reply_to, None);
}

#[test]
fn a_slot_whose_run_cannot_have_its_parameters_is_refused_and_keeps_nobody_waiting() {
    let wanting = |version: &str| {
        let schedule = minutely(Overlap::BufferAll);
        let parameters = vec![parameter("day", ParameterKind::Date)];
        Document { parameters, ..document(version, vec![timer(schedule)]) }
    };
    let it = delivered(unborn().after(register(wanting("1")))).at(60);
    let events = it.clone().when(due(1)).events();
    let [Event::RunRefused { why, slot: Some(_), .. }] = &events[..] else { panic!("{events:?}") };
    assert_eq!(why, "parameters.day: it is required (date)");
    // Slots that waited are refused one after another when the version in force wants more than before.
    let it = in_force(minutely(Overlap::BufferAll)).at(180).after(due(1)).after(due(2)).after(due(3));
    let it = it.after(register(wanting("2")));
    assert_eq!(said(&it.clone().when(ended(1)).events()), "ended; refused 2; refused 3");
}

#[test]
fn an_older_slot_that_waits_is_refused_when_its_schedule_goes() {
    let it = in_force(minutely(Overlap::BufferAll)).at(180).after(due(1)).after(due(2));
    for (command, fact) in
        [(archive("1"), "archived"), (deprecate("1"), "deprecated"), (register(document("2", vec![])), "registered")]
    {
        let when = it.clone().when(command);
        let after = when.after.clone();
        let events = when.events();
        assert!(said(&events).contains("refused 2"), "{}", said(&events));
        assert!(events.iter().any(|event| word(event) == fact));
        assert!(after.state.busy.is_empty());
        // The end of what went on then is of no interest, and later slots are refused.
        let after = after.when(ended(1)).then([]);
        assert_eq!(said(&after.when(due(3)).events()), "refused 3");
    }
}

#[test]
fn what_waits_goes_at_once_when_overlap_is_allow_by_then() {
    let it = in_force(minutely(Overlap::BufferAll)).at(180).after(due(1)).after(due(2)).after(due(3));
    let it = it.after(register(document("2", vec![timer(minutely(Overlap::Allow))])));
    let it = delivered(it);
    assert_eq!(said(&it.clone().when(due(4)).events()), "run 4");
    assert_eq!(said(&it.when(ended(1)).events()), "ended; run 2; run 3");
}

#[test]
fn missed_slots_that_are_all_made_up_for_wait_for_each_other() {
    let schedule = Schedule { catch_up: CatchUp::All { max: 9 }, ..every(60) };
    let it = in_force(schedule).at(600).after(due(1));
    assert_eq!(said(&it.clone().when(due(2)).events()), "waits 2");
    assert_eq!(said(&it.when(due(10)).events()), "refused 10", "it is not missed");
    let it = in_force(Schedule { catch_up: CatchUp::Latest, ..every(60) }).at(600).after(due(1));
    assert_eq!(said(&it.when(due(2)).events()), "refused 2", "not all are made up for");
}

#[test]
fn a_slot_is_refused_when_nobody_knows_any_more_whether_it_had_a_run() {
    let mut it = in_force(every(60)).at(600);
    let mut taken = Taken::default();
    // So uneven that most of it is forgotten.
    (0..9_000).for_each(|n| taken.note(Timestamp(n * n)));
    it.state.busy.insert(schedule(), Busy { taken, ..Busy::default() });
    assert_eq!(said(&it.clone().when(slot(0, Cause::Backfill)).events()), "refused 0");
    assert_eq!(said(&it.when(slot(2, Cause::Backfill)).events()), "run 2");
}

#[test]
fn no_more_than_a_thousand_slots_wait() {
    let mut it = in_force(minutely(Overlap::BufferAll)).at(0).after(due(0));
    for n in 1..=1_000 {
        it = it.after(due(n));
    }
    for cause in [Cause::Timer, Cause::Backfill] {
        assert_eq!(said(&it.clone().when(slot(1_001, cause)).events()), "refused 1001");
    }
}

fn any_overlap() -> impl Strategy<Value = Overlap> {
    use Overlap::{Allow, BufferAll, BufferOne, CancelOther, Skip};
    prop::sample::select(vec![Skip, BufferOne, BufferAll, CancelOther, Allow])
}

proptest! {
    #[test]
    fn any_story_gives_each_slot_one_fate_and_one_run_at_most_goes_on(
        overlap in any_overlap(), others in any_overlap(),
        steps in prop::collection::vec((0..12_u8, 0..12_i64), 1..60),
    ) {
        let mut it = in_force(minutely(overlap)).after(keep(document("2", vec![timer(minutely(others))])));
        let (mut asked, mut runs, mut refused) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        let mut strict = overlap;
        let mut going: BTreeSet<RunId> = BTreeSet::new();
        for (verb, n) in steps {
            let command = match verb {
                0..5 => due(n),
                5 => slot(n, Cause::Backfill),
                6..11 => match going.first() {
                    Some(run) => Command::RunEnded { run: *run, end: done() },
                    None => due(n),
                },
                _ => {
                    strict = if strict == Overlap::Allow || others == Overlap::Allow { Overlap::Allow } else { others };
                    activate("2")
                }
            };
            match &command {
                Command::SlotDue { nominal, .. } => drop(asked.insert(*nominal)),
                Command::RunEnded { run, .. } => drop(going.remove(run)),
                _ => {}
            }
            let when = it.at(600).when(command);
            it = delivered(when.after);
            for event in when.result.unwrap() {
                match event {
                    Event::RunRequested { created, run, .. } => {
                        prop_assert!(runs.insert(created.nominal), "a second run for {}", created.nominal);
                        if created.reply_to.is_some() {
                            going.insert(run);
                        }
                    }
                    Event::RunRefused { slot: Some(slot), .. } => drop(refused.insert(slot.nominal)),
                    _ => {}
                }
            }
            let busy = it.state.busy.get(&schedule()).cloned().unwrap_or_default();
            prop_assert!(busy.waiting.is_empty() || busy.run.is_some(), "nobody will wake what waits");
            prop_assert!(going.len() <= 1, "{:?}", going);
            let waiting: BTreeSet<Timestamp> = busy.waiting.iter().map(|waiting| waiting.nominal).collect();
            prop_assert_eq!(waiting.len(), busy.waiting.len());
            for slot in &asked {
                let fates = [runs.contains(slot), waiting.contains(slot), refused.contains(slot)];
                prop_assert!(fates.contains(&true), "{} vanished", slot);
                prop_assert!(!(fates[0] && fates[1]), "{} waits for a second run", slot);
            }
        }
    }
}

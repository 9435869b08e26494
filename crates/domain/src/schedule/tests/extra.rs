//! Slots by hand and slots of the past, and what a definition is told.

use std::collections::BTreeSet;

use super::*;
use crate::{
    decider::Duty,
    definition::{self, schedule_id},
    ids::{DefinitionId, ScheduleId},
    streams::AnyCommand,
    testing::SHARDS,
};

fn definition() -> DefinitionId {
    DefinitionId::of("team", "daily", SHARDS)
}

fn id() -> ScheduleId {
    schedule_id(definition(), 0)
}

/// A schedule of a definition.
fn of_definition(schedule: Schedule) -> Schedules {
    let create = Command::Create { schedule, target: definition().stream(), paused: false };
    given(id().stream(), []).after(create)
}

/// What the target is told, in the order of the keys.
fn owed(it: &Schedules) -> Vec<AnyCommand> {
    let told = it.ledger.with("slot:").into_iter().map(|open| match &open.duty {
        Duty::Tell { to, command } => {
            assert_eq!(*to, definition().stream());
            (**command).clone()
        }
        other => panic!("{other:?}"),
    });
    told.collect()
}

fn slot_due(nominal: Timestamp, cause: Cause) -> AnyCommand {
    definition::Command::SlotDue { schedule: id(), nominal, cause }.into()
}

fn backfill(from: i64, upto: i64) -> Command {
    Command::Backfill { from: at(from), upto: at(upto) }
}

/// The instants of triggered slots, in seconds.
fn triggered(events: &[Event]) -> Vec<i64> {
    let instants = events.iter().map(|event| match event {
        Event::Triggered { nominal, .. } => secs(*nominal),
        other => panic!("{other:?}"),
    });
    instants.collect()
}

#[test]
fn a_definition_is_told_which_of_its_schedules_fired() {
    let it = of_definition(every(60)).at(60).after(fire(60));
    assert_eq!(owed(&it), [slot_due(at(60), Cause::Timer)]);
}

#[test]
fn each_trigger_by_hand_is_a_slot_of_its_own_and_moves_no_timer() {
    let next = |at: Timestamp| Timestamp(at.micros() + 1);
    let it = of_definition(every(60)).at(59).after(Command::TriggerNow {}).after(Command::TriggerNow {});
    assert_eq!(owed(&it), [slot_due(at(59), Cause::Hand), slot_due(next(at(59)), Cause::Hand)]);
    assert_eq!(it.ledger.with("timer:")[0].key, "timer:60000000");
    // An instant that is due is the timer's, before it is told and afterwards, and also when the rule changed since.
    let it = it.at(60).after(Command::TriggerNow {}).after(fire(60)).after(Command::TriggerNow {});
    let instants: BTreeSet<i64> = owed(&it).into_iter().map(nominal).collect();
    assert_eq!(instants, [59_000_000, 59_000_001, 60_000_000, 60_000_001, 60_000_002].into());
    let other = Schedule { rule: Rule::Interval { every_s: 60, anchor: at(7) }, ..every(60) };
    let it = of_definition(every(60)).at(60).after(fire(60)).after(Command::Retime { schedule: other });
    assert_eq!(owed(&it.after(Command::TriggerNow {}))[1], slot_due(next(at(60)), Cause::Hand));
    // Also while paused, and for a deliverable, in its own words.
    let paused = live(every(60)).at(5).after(pause()).after(Command::TriggerNow {});
    let Duty::Tell { command, .. } = &paused.ledger.with("slot:")[0].duty else { panic!("told") };
    assert_eq!(**command, crate::deliverable::Command::SlotDue { nominal: at(5), next_due: None }.into());
}

fn nominal(command: AnyCommand) -> i64 {
    match command {
        AnyCommand::Definition(definition::Command::SlotDue { nominal, .. }) => nominal.micros(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn instants_of_the_past_are_told_oldest_first_and_those_with_a_timer_are_left_to_it() {
    let it = of_definition(every(60)).at(60).after(fire(60)).at(120).after(fire(120)).at(400);
    for (from, upto, expected) in [
        (0, 120, vec![0, 60, 120]),
        (1, 119, vec![60]),
        // 180 has a timer that was not heard yet.
        (60, 9_000, vec![60, 120]),
        (130, 300, vec![]),
        (120, 60, vec![]),
    ] {
        assert_eq!(triggered(&it.clone().when(backfill(from, upto)).events()), expected, "{from} to {upto}");
    }
    // While paused nothing has a timer; what is still to come is not told.
    let paused = it.clone().after(pause());
    assert_eq!(triggered(&paused.when(backfill(180, 9_000)).events()), [180, 240, 300, 360]);
    // What is asked for twice is told twice under two keys; the target knows the slots it had.
    let twice = it.after(backfill(60, 60)).after(backfill(60, 60));
    assert_eq!(twice.ledger.with("slot:60000000").len(), 3);
}

#[test]
fn a_range_that_holds_too_much_is_turned_down_with_where_to_cut_it() {
    let it = of_definition(every(60)).at(5_000 * 60).after(pause());
    it.clone().when(backfill(0, 1_000 * 60)).then_rejected(Rejection::TooMany { most: 1_000, last: at(999 * 60) });
    assert_eq!(it.clone().when(backfill(0, 999 * 60)).events().len(), 1_000);
    live(every(60)).at(5_000 * 60).when(backfill(0, 60)).then_rejected(Rejection::NoPast);
}

#[test]
fn a_rule_that_cannot_be_computed_can_be_triggered_but_has_no_past() {
    let cron = Schedule { rule: Rule::Cron { expression: "never".to_owned() }, ..every(60) };
    let (target, tz_revision) = (definition().stream(), "old".to_owned());
    let broken = Event::Created { schedule: cron, target, paused: false, next_due: Some(at(60)), tz_revision };
    let broken = given::<ScheduleDecider>(id().stream(), [broken]).at(10);
    broken.clone().when(Command::TriggerNow {}).then_facts(&["triggered"]);
    broken.when(backfill(0, 5)).then_rejected(Rejection::Calendar(never()));
}

/// A state as it is when nothing was asked for beside the timers.
fn without_extras(state: &State) -> State {
    let mut state = state.clone();
    if let State::Live { by_hand, triggered, .. } = &mut state {
        (*by_hand, *triggered) = (None, 0);
    }
    state
}

proptest! {
    /// Whatever is asked for beside the timers, these go on as if nothing had been asked.
    #[test]
    fn slots_that_are_asked_for_change_nothing_about_those_that_come_due(
        schedule in any_schedule(), steps in prop::collection::vec((1..400_i64, 0..4_u8), 1..30),
    ) {
        let (mut plain, mut asked) = (of_definition(schedule.clone()), of_definition(schedule));
        for (later, verb) in steps {
            let now = secs(plain.now) + later;
            let command = match plain.ledger.with("timer:").first() {
                Some(timer) if timer.due_at <= at(now) => match &timer.duty {
                    Duty::Wake { command, .. } => match &**command {
                        AnyCommand::Schedule(command) => command.clone(),
                        other => panic!("{other:?}"),
                    },
                    other => panic!("{other:?}"),
                },
                _ if verb == 0 => pause(),
                _ => Command::Resume {},
            };
            (plain, asked) = (plain.at(now), asked.at(now));
            let extra = if verb % 2 == 0 { Command::TriggerNow {} } else { backfill(now - 200, now + 200) };
            asked = asked.when(extra).after;
            let (without, with) = (plain.when(command.clone()), asked.when(command));
            prop_assert_eq!(without.result, with.result);
            (plain, asked) = (without.after, with.after);
            prop_assert_eq!(plain.ledger.with("timer:"), asked.ledger.with("timer:"));
            prop_assert_eq!(without_extras(&plain.state), without_extras(&asked.state));
        }
        let slots = owed(&asked).into_iter().filter(|command| matches!(
            command,
            AnyCommand::Definition(definition::Command::SlotDue { cause: Cause::Timer | Cause::Hand, .. })
        ));
        let instants: Vec<i64> = slots.map(nominal).collect();
        prop_assert_eq!(instants.iter().collect::<BTreeSet<_>>().len(), instants.len(), "one slot, one instant");
    }
}

//! Decider tables and properties of the schedule.

mod extra;

use proptest::prelude::*;

use super::*;
use crate::{
    calendar::{CatchUp, Rule},
    testing::{Given, at, every, given, never, the_deliverable, word},
};

const H: i64 = 3_600;

type Schedules = Given<ScheduleDecider>;

fn stream() -> StreamId {
    crate::deliverable::schedule_id(the_deliverable()).stream()
}

fn target() -> StreamId {
    the_deliverable().stream()
}

fn unborn() -> Schedules {
    given(stream(), [])
}

fn create(schedule: Schedule) -> Command {
    Command::Create { schedule, target: target(), paused: false }
}

/// Made at second 0, so that the first instant is one period later.
fn live(schedule: Schedule) -> Schedules {
    unborn().after(create(schedule))
}

fn fire(secs: i64) -> Command {
    Command::Fire { nominal: at(secs) }
}

fn pause() -> Command {
    Command::Pause { note: "holiday".to_owned() }
}

fn secs(at: Timestamp) -> i64 {
    at.micros() / 1_000_000
}

/// `skip 1-3 x3 catch_up_latest; fire 4; next 5`, instants counted in `unit` seconds.
fn told(events: &[Event], unit: i64) -> String {
    let n = |at: &Timestamp| secs(*at) / unit;
    let mut words: Vec<String> = Vec::new();
    let mut following = None;
    for event in events {
        match event {
            Event::Fired { nominal, next_due, .. } => {
                words.push(format!("fire {}", n(nominal)));
                following = *next_due;
            }
            Event::Skipped { from, upto, count, count_is_bound, reason, next_due, .. } => {
                let bound = if *count_is_bound { "+" } else { "" };
                words.push(format!("skip {}-{} x{count}{bound} {}", n(from), n(upto), word(reason)));
                following = *next_due;
            }
            Event::ReTimed { next_due, .. } => {
                words.push("retimed".to_owned());
                following = *next_due;
            }
            other => words.push(word(other)),
        }
    }
    words.extend(following.map(|next| format!("next {}", n(&next))));
    words.join("; ")
}

/// An hourly schedule whose first instant (hour 1) is found at `hours` and some `late` seconds.
fn hourly(catch_up: CatchUp, window_s: Option<u64>, hours: i64, late: i64) -> String {
    let schedule = Schedule { catch_up, catch_up_window_s: window_s, ..every(3_600) };
    told(&live(schedule).at(hours * H + late).when(fire(H)).events(), H)
}

#[test]
fn instants_that_passed_follow_the_policy() {
    use CatchUp::{All, Latest, Skip};
    let half = 1_800;
    for (catch_up, window_s, hours, late, expected) in [
        (Latest, None, 1, 0, "fire 1; next 2"),
        (Latest, None, 1, 60, "fire 1; next 2"),
        (Latest, None, 1, half, "fire 1; next 2"),
        (Latest, None, 4, half, "skip 1-3 x3 catch_up_latest; fire 4; next 5"),
        (Latest, Some(600), 4, half, "skip 1-4 x4 catch_up_window; next 5"),
        (Latest, Some(7_200), 4, half, "skip 1-2 x2 catch_up_window; skip 3-3 x1 catch_up_latest; fire 4; next 5"),
        (Latest, Some(10), 1, 30, "skip 1-1 x1 catch_up_window; next 2"),
        (Latest, None, 2_000, half, "skip 1-1999 x1000+ catch_up_latest; fire 2000; next 2001"),
        (
            Latest,
            Some(7_200),
            2_000,
            half,
            "skip 1-1998 x1000+ catch_up_window; skip 1999-1999 x1 catch_up_latest; fire 2000; next 2001",
        ),
        (Skip, None, 1, 0, "fire 1; next 2"),
        (Skip, None, 1, half, "skip 1-1 x1 catch_up_skip; next 2"),
        (Skip, None, 4, half, "skip 1-4 x4 catch_up_skip; next 5"),
        // The newest instant is late, not missed.
        (Skip, None, 4, 5, "skip 1-3 x3 catch_up_skip; fire 4; next 5"),
        (Skip, None, 5_000, half, "skip 1-5000 x1000+ catch_up_skip; next 5001"),
        (All { max: 2 }, None, 4, half, "fire 1; fire 2; skip 3-4 x2 catch_up_max; next 5"),
        (All { max: 2 }, None, 4, 5, "fire 1; fire 2; skip 3-3 x1 catch_up_max; fire 4; next 5"),
        (All { max: 9 }, None, 3, half, "fire 1; fire 2; fire 3; next 4"),
        (All { max: 0 }, None, 2, half, "skip 1-2 x2 catch_up_max; next 3"),
        (All { max: 2 }, Some(7_200), 4, half, "skip 1-2 x2 catch_up_window; fire 3; fire 4; next 5"),
        // More than are counted lie outside the window; those inside are still made up for.
        (
            All { max: 2 },
            Some(7_200),
            2_000,
            half,
            "skip 1-1998 x1000+ catch_up_window; fire 1999; fire 2000; next 2001",
        ),
        (All { max: 1 }, None, 2_000, half, "fire 1; skip 2-2000 x1000+ catch_up_max; next 2001"),
    ] {
        assert_eq!(hourly(catch_up, window_s, hours, late), expected, "{catch_up:?} {window_s:?} {hours}h+{late}s");
    }
}

#[test]
fn all_of_more_than_can_be_counted_leaves_no_instant_uncovered() {
    let told = hourly(CatchUp::All { max: u32::MAX }, None, 1_500, 1_800);
    assert!(told.starts_with("fire 1; fire 2; "), "{told}");
    assert!(told.ends_with("fire 1000; skip 1001-1500 x500 catch_up_max; next 1501"), "{told}");
}

#[test]
fn once_fires_once_and_then_owes_nothing() {
    let schedule = Schedule { rule: Rule::Once { at: at(H) }, ..every(60) };
    let done = live(schedule.clone()).at(H).after(fire(H));
    assert_eq!(done.ledger.keys(), ["slot:3600000000"]);
    done.when(fire(H)).then([]);
    // Its instant is past when it is made: nothing to wait for.
    let late = unborn().at(2 * H).after(create(schedule));
    late.owes(&[]).when(fire(H)).then_rejected(Rejection::StaleTimer { nominal: at(H), open: None });
}

#[test]
fn jitter_delays_the_timer_and_is_no_lateness() {
    let schedule = Schedule { jitter_s: 900, ..every(3_600) };
    let given = live(schedule);
    let timer = given.ledger.with("timer:3600000000").pop().cloned().unwrap();
    let spread = timer.due_at.micros_since(at(H));
    assert!((0..900_000_000).contains(&spread));
    assert_eq!(told(&given.clone().at(H + 900 + 60).when(fire(H)).events(), H), "fire 1; next 2");
    // Another spread for the same instant is another timer.
    let respread = given.at(10).after(Command::Retime { schedule: Schedule { jitter_s: 901, ..every(3_600) } });
    assert_eq!(respread.ledger.open.len(), 1);
    assert_ne!(respread.ledger.keys(), [timer.key]);
}

#[test]
fn a_repeated_or_stale_timer_changes_nothing() {
    let fired = live(every(3_600)).at(H).after(fire(H));
    fired.clone().when(fire(H)).then([]);
    fired.when(fire(3 * H)).then_rejected(Rejection::StaleTimer { nominal: at(3 * H), open: Some(at(2 * H)) });
    let paused = live(every(3_600)).at(10).after(pause());
    paused.when(fire(H)).then([]);
}

#[test]
fn pause_resume_and_end_leave_the_right_timer() {
    let paused = live(every(3_600)).at(10).after(pause()).owes(&[]);
    let resumed = paused.clone().at(5 * H + 1).after(Command::Resume {}).owes(&["timer:21600000000"]);
    resumed.clone().when(Command::Resume {}).then([]);
    paused.clone().when(pause()).then([]);
    resumed.after(Command::End {}).owes(&[]).when(Command::End {}).then([]);
    paused.after(Command::End {}).owes(&[]).when(Command::Resume {}).then_rejected(Rejection::Ended);
}

#[test]
fn retiming_while_paused_opens_no_timer_and_fires_nothing() {
    let paused = live(every(3_600)).at(10).after(pause());
    let retimed = paused.after(Command::Retime { schedule: every(60) }).owes(&[]);
    let State::Live { next_due, .. } = &retimed.state else { panic!("live") };
    assert_eq!(*next_due, None);
    retimed.at(60).when(fire(60)).then([]).after(Command::Resume {}).owes(&["timer:120000000"]);
}

#[test]
fn retiming_to_the_same_next_instant_keeps_its_timer() {
    let given = live(every(3_600)).at(10);
    let retimed = given.after(Command::Retime { schedule: Schedule { catch_up: CatchUp::Skip, ..every(3_600) } });
    retimed.owes(&["timer:3600000000"]);
}

#[test]
fn what_came_due_before_a_change_is_settled_first() {
    let overdue = live(every(3_600)).at(H + 5);
    assert_eq!(told(&overdue.clone().when(pause()).events(), H), "skip 1-1 x1 paused; paused");
    let retimed = overdue.when(Command::Retime { schedule: every(7_200) });
    assert_eq!(told(&retimed.events(), H), "fire 1; retimed; next 2");
    // Under a long jitter several instants may be due at once.
    let spread = live(Schedule { jitter_s: 900, ..every(60) }).at(200);
    let retimed = spread.when(Command::Retime { schedule: every(3_600) });
    assert_eq!(told(&retimed.events(), 60), "skip 1-2 x2 catch_up_latest; fire 3; retimed; next 60");
}

#[test]
fn no_instant_comes_again_when_the_clock_is_set_back() {
    let fired = live(every(3_600)).at(2 * H).after(fire(H));
    let back = fired.at(H / 2).after(pause()).after(Command::Resume {});
    back.owes(&["slot:7200000000", "timer:10800000000"]);
}

#[test]
fn a_schedule_that_cannot_be_computed_is_refused_but_can_be_paused() {
    let cron = Schedule { rule: Rule::Cron { expression: "never".to_owned() }, ..every(60) };
    unborn().when(create(cron.clone())).then_rejected(Rejection::Calendar(never()));
    unborn()
        .when(Command::Create { schedule: cron.clone(), target: target(), paused: true })
        .then_rejected(Rejection::Calendar(never()));
    live(every(60)).when(Command::Retime { schedule: cron.clone() }).then_rejected(Rejection::Calendar(never()));
    // It was computable when it was made, by another edition of the zone data.
    let (target, tz_revision, next_due) = (target(), "old".to_owned(), Some(at(60)));
    let broken = Event::Created { schedule: cron, target, paused: false, next_due, tz_revision };
    let broken = given::<ScheduleDecider>(stream(), [broken]).at(90);
    broken.clone().when(pause()).then_facts(&["skipped", "paused"]).owes(&[]);
    broken.when(Command::Retime { schedule: every(60) }).then_facts(&["re_timed"]).owes(&["timer:120000000"]);
}

#[test]
fn making_it_twice_is_making_it_once() {
    live(every(60)).when(create(every(60))).then([]);
    live(every(60)).when(create(every(61))).then_rejected(Rejection::Exists);
    unborn().when(fire(60)).then_rejected(Rejection::Unknown);
}

/// Every pair of phase and command, with what it comes to: facts, `-` for nothing, or the rejection.
#[test]
fn every_phase_answers_every_command() {
    let phases = |phase: &str| match phase {
        "unborn" => unborn(),
        "live" => live(every(60)),
        "paused" => live(every(60)).after(pause()),
        _ => live(every(60)).after(Command::End {}),
    };
    let command = |verb: &str| match verb {
        "create" => create(every(61)),
        "fire" => fire(60),
        "pause" => pause(),
        "resume" => Command::Resume {},
        "retime" => Command::Retime { schedule: every(120) },
        "trigger_now" => Command::TriggerNow {},
        "backfill" => Command::Backfill { from: at(0), upto: at(60) },
        _ => Command::End {},
    };
    crate::testing::covers_every_pair::<ScheduleDecider>(
        &["unborn", "live", "paused", "ended"],
        &[
            ("unborn create", "created"),
            ("unborn fire", "unknown"),
            ("unborn pause", "unknown"),
            ("unborn resume", "unknown"),
            ("unborn retime", "unknown"),
            ("unborn end", "unknown"),
            ("unborn trigger_now", "unknown"),
            ("unborn backfill", "unknown"),
            ("live create", "exists"),
            ("live fire", "fired"),
            ("live pause", "paused"),
            ("live resume", "-"),
            ("live retime", "re_timed"),
            ("live end", "ended"),
            ("live trigger_now", "triggered"),
            ("live backfill", "no_past"),
            ("paused create", "exists"),
            ("paused fire", "-"),
            ("paused pause", "-"),
            ("paused resume", "resumed"),
            ("paused retime", "re_timed"),
            ("paused end", "ended"),
            ("paused trigger_now", "triggered"),
            ("paused backfill", "no_past"),
            ("ended create", "ended"),
            ("ended fire", "ended"),
            ("ended pause", "ended"),
            ("ended resume", "ended"),
            ("ended retime", "ended"),
            ("ended end", "-"),
            ("ended trigger_now", "ended"),
            ("ended backfill", "ended"),
        ],
        |phase, verb| phases(phase).when(command(verb)).result.map(|events| events.iter().map(word).collect()),
    );
}

fn any_policy() -> impl Strategy<Value = CatchUp> {
    prop_oneof![Just(CatchUp::Skip), Just(CatchUp::Latest), (0..20_u32).prop_map(|max| CatchUp::All { max })]
}

fn any_schedule() -> impl Strategy<Value = Schedule> {
    let rule = prop_oneof![
        4 => prop_oneof![Just(1), Just(30), Just(61), Just(600), Just(3_600)].prop_map(|s| every(s).rule),
        1 => (0..20_000_i64).prop_map(|s| Rule::Once { at: at(s) }),
    ];
    let window = prop_oneof![Just(None), (0..4_000_u64).prop_map(Some)];
    (rule, any_policy(), window, prop_oneof![2 => Just(0), 1 => 1..400_u32]).prop_map(
        |(rule, catch_up, catch_up_window_s, jitter_s)| Schedule {
            rule,
            catch_up,
            catch_up_window_s,
            jitter_s,
            ..every(1)
        },
    )
}

/// One step of a story: how many seconds later (or earlier: clocks are set), and what is asked.
fn any_step() -> impl Strategy<Value = (i64, u8, Schedule)> {
    (prop_oneof![6 => 0..90_i64, 2 => 0..9_000_i64, 1 => -300..0_i64], 0..10_u8, any_schedule())
}

/// The wake-up that must be there: exactly one timer while live, not paused and not exhausted.
fn wakes(given: &Schedules) {
    let timers = given.ledger.with("timer:").len();
    match &given.state {
        State::Live { paused: false, next_due: Some(_), .. } => assert_eq!(timers, 1),
        State::Live { paused, next_due, .. } => {
            assert_eq!(timers, 0);
            assert!(!paused || next_due.is_none());
        }
        State::Unborn | State::Ended => assert_eq!(timers, 0),
    }
}

proptest! {
    #[test]
    fn any_story_keeps_one_timer_and_tells_each_instant_once(
        first in any_schedule(), steps in prop::collection::vec(any_step(), 1..40),
    ) {
        let mut it = live(first);
        let (mut fired, mut covered) = (Vec::new(), None::<Timestamp>);
        for (later, verb, schedule) in steps {
            let now = secs(it.now) + later;
            let open = it.ledger.with("timer:").first().map(|timer| (*timer).clone());
            let command = match (verb, &open) {
                (0, _) => pause(),
                (1, _) => Command::Resume {},
                (2, _) => Command::Retime { schedule },
                (3, _) => Command::Fire { nominal: at(now / 60 * 60) },
                (4, _) if later % 7 == 0 => Command::End {},
                (_, Some(timer)) => {
                    let crate::decider::Duty::Wake { command, .. } = &timer.duty else { panic!("a timer wakes") };
                    let crate::streams::AnyCommand::Schedule(command) = (**command).clone() else { panic!("itself") };
                    it = it.at(now.max(timer.due_at.micros() / 1_000_000 + 1));
                    command
                }
                (_, None) => Command::Resume {},
            };
            if verb < 5 {
                it = it.at(now);
            }
            let before = it.clone();
            let when = it.when(command.clone());
            it = when.after;
            wakes(&it);
            let Ok(events) = when.result else {
                prop_assert_eq!(&it.ledger, &before.ledger);
                prop_assert_eq!(&it.state, &before.state);
                continue;
            };
            for event in &events {
                let (from, upto) = match event {
                    Event::Fired { nominal, .. } => {
                        fired.push(*nominal);
                        (*nominal, *nominal)
                    }
                    Event::Skipped { from, upto, .. } => (*from, *upto),
                    _ => continue,
                };
                prop_assert!(from <= upto);
                prop_assert!(covered.is_none_or(|covered| from > covered), "{} after {:?}", from, covered);
                covered = Some(upto);
            }
            // The slots are told: the shell closes what it delivered.
            it.ledger.open.retain(|key, _| !key.starts_with("slot:"));
            let again = it.clone().when(command);
            let harmless = |events: &Vec<Event>| events.iter().all(|event| word(event) == "re_timed");
            prop_assert!(again.result.as_ref().map_or(true, harmless), "repeated: {:?}", again.result);
        }
        prop_assert!(fired.is_sorted_by(|a, b| a < b));
    }

    #[test]
    fn the_policy_holds_against_counting_by_hand(
        every_s in prop_oneof![Just(7_u64), Just(60), Just(3_600)], catch_up in any_policy(),
        window_s in prop_oneof![Just(None), (60..100_000_u64).prop_map(Some)], periods in 1..1_500_i64, late in 0..3_600_i64,
    ) {
        let schedule = Schedule { catch_up, catch_up_window_s: window_s, ..every(every_s) };
        let period = every_s as i64;
        let now = period * periods + late;
        let events = live(schedule).at(now).when(fire(period)).events();
        let due: Vec<i64> = (1..).map(|n| n * period).take_while(|due| *due <= now).collect();
        let expected = if now - period <= 60 { vec![period] } else { by_hand(&due, now, catch_up, window_s) };
        let fired: Vec<i64> = events.iter().filter_map(|event| match event {
            Event::Fired { nominal, .. } => Some(secs(*nominal)),
            _ => None,
        }).collect();
        prop_assert_eq!(&fired, &expected);
        if now - period > 60 {
            covers(&events, &due, period)?;
        }
    }
}

/// What should fire, by the words of the policy.
fn by_hand(due: &[i64], now: i64, catch_up: CatchUp, window_s: Option<u64>) -> Vec<i64> {
    let recent: Vec<i64> = due.iter().copied().filter(|at| window_s.is_none_or(|w| now - at <= w as i64)).collect();
    let Some((latest, before)) = recent.split_last() else {
        return vec![];
    };
    let missed = now - latest > 60;
    let mut fires: Vec<i64> = match catch_up {
        CatchUp::Skip => vec![],
        CatchUp::Latest => vec![*latest],
        CatchUp::All { max } if missed => recent.iter().copied().take(max as usize).collect(),
        CatchUp::All { max } => before.iter().copied().take(max as usize).collect(),
    };
    if !missed && fires.last() != Some(latest) {
        fires.push(*latest);
    }
    fires
}

/// The events cover the due instants without a gap, name each other in order, and count right.
fn covers(events: &[Event], due: &[i64], period: i64) -> Result<(), TestCaseError> {
    let mut expected = due[0];
    for event in events {
        let (from, upto, next_due) = match event {
            Event::Fired { nominal, next_due, .. } => (*nominal, *nominal, *next_due),
            Event::Skipped { from, upto, count, count_is_bound, next_due, .. } => {
                let all = (secs(*upto) - secs(*from)) / period + 1;
                prop_assert_eq!(i64::from(*count), if *count_is_bound { 1_000 } else { all });
                (*from, *upto, *next_due)
            }
            other => return Err(TestCaseError::fail(format!("{other:?}"))),
        };
        prop_assert_eq!(secs(from), expected);
        expected = secs(upto) + period;
        prop_assert_eq!(next_due, Some(at(expected)));
    }
    prop_assert_eq!(expected, due[due.len() - 1] + period);
    Ok(())
}

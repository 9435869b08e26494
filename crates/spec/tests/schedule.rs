//! Faults of schedules: each impossible one is refused at its line with a remedy.

use nightshift_domain::{
    calendar::{CatchUp, Frequency, Overlap, Rule, Schedule, Weekday},
    time::Timestamp,
};
use nightshift_spec::{ZonedCalendar, schedule};

const NOW: Timestamp = Timestamp::from_secs(1_772_000_000);

fn read(text: &str) -> Result<Schedule, String> {
    schedule::parse(text, "s.yaml", &ZonedCalendar::bundled(), NOW).map_err(|faults| faults.to_string())
}

#[test]
fn each_form_is_read() {
    let rule = |text: &str| read(text).unwrap().rule;
    assert_eq!(rule("cron: 0 18 * *   SUN"), Rule::Cron { expression: "0 18 * * SUN".into() });
    assert_eq!(rule("every: 15m"), Rule::Interval { every_s: 900, anchor: NOW });
    assert_eq!(
        rule("{every: 2h, anchor: 2026-01-01T00:00:00Z}"),
        Rule::Interval { every_s: 7_200, anchor: Timestamp::from_secs(1_767_225_600) }
    );
    assert_eq!(
        rule("{frequency: weekly}"),
        Rule::Calendar { frequency: Frequency::Weekly, day: Some(Weekday::Monday), minute_of_day: 540 }
    );
    assert_eq!(
        rule("{frequency: daily, time: 6:30}"),
        Rule::Calendar { frequency: Frequency::Daily, day: None, minute_of_day: 390 }
    );
    assert_eq!(rule("at: 2026-03-09T09:00:00+01:00"), Rule::Once { at: Timestamp::from_secs(1_773_043_200) });
    assert_eq!(
        rule("{at: 2026-03-09T09:00, timezone: Europe/Berlin}"),
        Rule::Once { at: Timestamp::from_secs(1_773_043_200) }
    );
    // The first of the two passes.
    assert_eq!(
        rule("{at: 2026-10-25 02:30, timezone: Europe/Berlin}"),
        Rule::Once { at: Timestamp::from_secs(1_792_888_200) }
    );
    let full = read("cron: '*/15 * * * *'\ntimezone: europe/berlin\ncatch_up: {all: 7}\ncatch_up_window: 1d\noverlap: buffer_one\njitter: 5m\n").unwrap();
    assert_eq!(
        full,
        Schedule {
            rule: Rule::Cron { expression: "*/15 * * * *".into() },
            timezone: "Europe/Berlin".into(),
            catch_up: CatchUp::All { max: 7 },
            catch_up_window_s: Some(86_400),
            overlap: Overlap::BufferOne,
            jitter_s: 300,
        }
    );
}

#[test]
fn each_impossible_schedule_is_refused_at_its_place_with_a_remedy() {
    for (text, message) in [
        (
            "frequency: weekley",
            "s.yaml:1:1 frequency: found \"weekley\"; allowed: daily, weekdays, weekly, biweekly, monthly; did you mean \"weekly\"?",
        ),
        (
            "cron: '0 7 * * *'\ntimezone: Europe/Berln",
            "s.yaml:2:1 timezone: found \"Europe/Berln\"; allowed: an IANA zone name, e.g. Europe/Berlin or UTC; did you mean \"Europe/Berlin\"?",
        ),
        ("cron: '0 7 * * *'\ntimezone: '+02:00'", "allowed: an IANA zone name"),
        ("cron: '0 0 30 2 *'", "never fire"),
        ("cron: '0 0 7 * * *'", "drop the first: \"0 7 * * *\""),
        ("cron: '*/60 * * * *'", "hourly"),
        ("cron: 'TZ=UTC 0 7 * * *'", "timezone: UTC"),
        ("cron: 5", "five fields"),
        ("every: 0s", "from 1s to"),
        ("every: 15", "add a unit: 15m or 15h"),
        ("{frequency: daily, time: '24:00'}", "00:00 to 23:59"),
        ("{frequency: daily, time: 930}", "write it with a colon"),
        ("{frequency: daily, time: '9:5'}", "00:00 to 23:59"),
        ("{frequency: daily, day: monday}", "no day beside daily"),
        ("{frequency: weekly, day: munday}", "did you mean \"monday\"?"),
        ("{frequency: weekly, day: Monday}", "did you mean \"monday\"?"),
        ("{cron: '0 7 * * *', time: '09:00'}", "time only beside frequency"),
        ("{cron: '0 7 * * *', every: 5m}", "found cron and every; allowed: exactly one of"),
        ("timezone: UTC", "found no rule; allowed: exactly one of"),
        ("{at: 2026-03-29T02:30, timezone: Europe/Berlin}", "the first time after it is 2026-03-29T03:00:00"),
        ("at: tomorrow", "an instant such as"),
        ("at: 2026-02-30T00:00", "an instant such as"),
        ("{every: 5m, jitter: 5m}", "less than 5m"),
        ("{cron: '0,10 9 * * *', jitter: 10m}", "instants can be 10m apart"),
        ("{every: 5m, catch_up: {all: 0}}", "a whole number from 1"),
        ("{every: 5m, catch_up: none}", "skip, latest, all"),
        ("{every: 5m, catch_up_window: 0s}", "from 1s"),
        ("{every: 5m, overlap: allow}", "skip, buffer_one"),
        ("{every: 5m, jiter: 1m}", "did you mean \"jitter\"?"),
        ("[]", "a map with the keys"),
        ("", "a map with the keys"),
    ] {
        let faults = read(text).unwrap_err();
        assert!(faults.contains(message), "{text:?}\n{faults}");
    }
}

#[test]
fn all_faults_are_told_at_once_in_the_order_of_their_lines() {
    let faults =
        read("frequency: weekley\nday: munday\ntime: 25:00\ntimezone: Mars\ncatch_up: no\njitter: much\nzone: UTC\n")
            .unwrap_err();
    let places: Vec<&str> = faults.lines().map(|line| line.split([':', ' ']).nth(1).unwrap()).collect();
    assert_eq!(places, ["1", "2", "3", "4", "5", "6", "7"], "{faults}");
}

#[test]
fn what_is_written_is_read_the_same() {
    for text in [
        "cron: '0 18 * * SUN'",
        "{every: 90m, catch_up: all, jitter: 10s}",
        "{frequency: biweekly, day: sunday, time: '23:59', timezone: America/New_York, catch_up: skip}",
        "{at: '2026-03-09T09:00:00.25Z', overlap: buffer_one, catch_up_window: 1h30m}",
    ] {
        let schedule = read(text).unwrap();
        assert_eq!(read(&schedule::render(&schedule).join("\n")).unwrap(), schedule, "{text}");
    }
}

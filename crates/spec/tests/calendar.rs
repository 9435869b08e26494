//! The calendar against given vectors, against a scanner that looks at every minute, and against croner in UTC.

use jiff::{civil::DateTime, tz::TimeZone};
use nightshift_domain::{
    calendar::{Calendar, CatchUp, Frequency, Overlap, Rule, Schedule, Weekday},
    time::Timestamp,
};
use nightshift_spec::{ZonedCalendar, calendar::BUNDLED_TZ_REVISION, schedule};
use proptest::prelude::*;

const MINUTE_S: i64 = 60;
const DAY_S: i64 = 86_400;

fn at(text: &str) -> Timestamp {
    Timestamp(text.parse::<jiff::Timestamp>().unwrap().as_microsecond())
}

fn plain(rule: Rule, timezone: &str) -> Schedule {
    Schedule {
        rule,
        timezone: timezone.to_owned(),
        catch_up: CatchUp::Latest,
        catch_up_window_s: None,
        overlap: Overlap::Skip,
        jitter_s: 0,
    }
}

fn cron(expression: &str, timezone: &str) -> Schedule {
    plain(Rule::Cron { expression: expression.to_owned() }, timezone)
}

fn words(frequency: Frequency, day: Option<Weekday>, minute_of_day: u16, timezone: &str) -> Schedule {
    plain(Rule::Calendar { frequency, day, minute_of_day }, timezone)
}

fn fired(calendar: &ZonedCalendar, schedule: &Schedule, from: &str, to: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut now = at(from);
    while let Some(next) = calendar.next_after(schedule, now).unwrap() {
        if next > at(to) {
            break;
        }
        found.push(next.to_string());
        now = next;
    }
    found
}

#[test]
fn given_vectors_hold() {
    let calendar = ZonedCalendar::bundled();
    let vectors: serde_json::Value = serde_json::from_str(include_str!("data/schedule_vectors.json")).unwrap();
    for vector in vectors["words"].as_array().unwrap() {
        let document = vector["schedule"].to_string();
        let from = at(vector["from"].as_str().unwrap());
        let schedule = schedule::parse(&document, "vector", &calendar, from).unwrap();
        let next = calendar.next_after(&schedule, from).unwrap().unwrap();
        assert_eq!(next.to_string(), vector["next"].as_str().unwrap(), "{vector}");
    }
    for vector in vectors["cron"].as_array().unwrap() {
        let schedule = cron(vector["cron"].as_str().unwrap(), "UTC");
        let next = calendar.next_after(&schedule, at(vector["from"].as_str().unwrap())).unwrap().unwrap();
        assert_eq!(next.to_string(), vector["next"].as_str().unwrap(), "{vector}");
    }
}

#[test]
fn gaps_and_folds_follow_the_rule() {
    let calendar = ZonedCalendar::bundled();
    let spring = ("2026-03-28T22:59:59Z", "2026-03-29T21:59:59Z");
    let autumn = ("2026-10-24T21:59:59Z", "2026-10-25T22:59:59Z");
    // expression, window, UTC hours and minutes fired
    let table: [(&str, (&str, &str), &[&str]); 11] = [
        ("30 2 * * *", spring, &["01:00"]),
        ("0 2,14 * * *", spring, &["01:00", "12:00"]),
        ("0 1,2,3 * * *", spring, &["00:00", "01:00"]),
        ("*/15 2 * * *", spring, &[]),
        ("0 0-4 * * *", spring, &["23:00", "00:00", "01:00", "02:00"]),
        ("30 2 * * *", autumn, &["00:30"]),
        ("0 2,14 * * *", autumn, &["00:00", "13:00"]),
        ("*/30 2 * * *", autumn, &["00:00", "00:30", "01:00", "01:30"]),
        ("0 3 * * *", autumn, &["02:00"]),
        ("15,45 2 * * *", autumn, &["00:15", "00:45"]),
        ("0 0 * * *", autumn, &["22:00"]),
    ];
    for (expression, (from, to), expected) in table {
        let found = fired(&calendar, &cron(expression, "Europe/Berlin"), from, to);
        let found: Vec<&str> = found.iter().map(|instant| &instant[11..16]).collect();
        assert_eq!(found, expected, "{expression} {from}");
    }
    let hourly = fired(&calendar, &cron("0 * * * *", "Europe/Berlin"), autumn.0, autumn.1);
    assert_eq!(hourly.len(), 25);
    let hourly = fired(&calendar, &cron("0 * * * *", "Europe/Berlin"), spring.0, spring.1);
    assert_eq!(hourly.len(), 23);
}

#[test]
fn unusual_zones_follow_the_rule() {
    let calendar = ZonedCalendar::bundled();
    for (schedule, from, expected) in [
        // 30-minute daylight saving: 02:00 to 02:30.
        (cron("15 2 * * *", "Australia/Lord_Howe"), "2026-10-03T10:00:00Z", "2026-10-03T15:30:00Z"),
        // The gap is at midnight.
        (cron("0 0 * * *", "America/Santiago"), "2026-09-05T12:00:00Z", "2026-09-06T04:00:00Z"),
        (words(Frequency::Daily, None, 0, "America/Havana"), "2026-03-07T12:00:00Z", "2026-03-08T05:00:00Z"),
        // 2011-12-30 was left out altogether; it fires as 31 December begins.
        (cron("0 9 30 12 *", "Pacific/Apia"), "2011-12-01T00:00:00Z", "2011-12-30T10:00:00Z"),
        (words(Frequency::Daily, None, 9 * 60, "Asia/Kolkata"), "2026-01-01T00:00:00Z", "2026-01-01T03:30:00Z"),
        (words(Frequency::Monthly, Some(Weekday::Friday), 600, "UTC"), "2026-05-01T09:00:00Z", "2026-05-01T10:00:00Z"),
        (words(Frequency::Monthly, Some(Weekday::Friday), 600, "UTC"), "2026-05-01T10:00:00Z", "2026-06-05T10:00:00Z"),
        (cron("0 0 29 2 *", "UTC"), "2096-03-01T00:00:00Z", "2104-02-29T00:00:00Z"),
        // The star in the day field makes both fields count: a leap day that is a Sunday.
        (cron("0 0 29 2 */7", "UTC"), "2026-01-01T00:00:00Z", "2032-02-29T00:00:00Z"),
    ] {
        let next = calendar.next_after(&schedule, at(from)).unwrap().unwrap();
        assert_eq!(next, at(expected), "{schedule:?} after {from}: {next}");
    }
}

#[test]
fn intervals_keep_to_their_grid_and_a_single_instant_passes_once() {
    let calendar = ZonedCalendar::bundled();
    let anchor = at("2026-01-01T00:00:07Z");
    let every = plain(Rule::Interval { every_s: 900, anchor }, "Europe/Berlin");
    let ask = |from: &str| calendar.next_after(&every, at(from)).unwrap().unwrap();
    assert_eq!(ask("2020-01-01T00:00:00Z"), anchor);
    assert_eq!(ask("2026-01-01T00:00:07Z"), at("2026-01-01T00:15:07Z"));
    assert_eq!(ask("2026-03-29T01:00:00.000001Z"), at("2026-03-29T01:00:07Z"));
    let latest = |after: &str, now: &str| calendar.latest_at(&every, at(after), at(now)).unwrap();
    assert_eq!(latest("2026-01-01T00:00:00Z", "2026-01-01T00:20:00Z"), Some(at("2026-01-01T00:15:07Z")));
    assert_eq!(latest("2026-01-01T00:15:07Z", "2026-01-01T00:20:00Z"), None);
    assert_eq!(latest("1999-01-01T00:00:00Z", "2000-01-01T00:20:00Z"), None);
    let once = plain(Rule::Once { at: anchor }, "UTC");
    assert_eq!(calendar.next_after(&once, anchor).unwrap(), None);
    assert_eq!(calendar.next_after(&once, Timestamp(anchor.micros() - 1)).unwrap(), Some(anchor));
    assert_eq!(calendar.latest_at(&once, Timestamp(0), anchor).unwrap(), Some(anchor));
    let broken = plain(Rule::Interval { every_s: 0, anchor }, "UTC");
    assert!(calendar.next_after(&broken, anchor).is_err());
}

#[test]
fn what_no_instant_can_be_computed_from_is_an_error_with_a_hint() {
    let calendar = ZonedCalendar::bundled();
    for (schedule, hint) in [
        (cron("0 7 * * *", "Europe/Berln"), "did you mean \"Europe/Berlin\"?"),
        (cron("0 7 * * *", "Berlin"), "did you mean \"Europe/Berlin\"?"),
        (cron("0 7 * * *", "New York"), "did you mean \"America/New_York\"?"),
        (cron("0 0 30 2 *", "UTC"), "never fire"),
        (words(Frequency::Daily, None, 1_440, "UTC"), "0 to 1439"),
    ] {
        let error = calendar.next_after(&schedule, Timestamp(0)).unwrap_err().to_string();
        assert!(error.contains(hint), "{error}");
    }
}

#[test]
fn the_ends_of_time_are_ends_and_not_panics() {
    let calendar = ZonedCalendar::bundled();
    for schedule in [
        cron("0 7 * * *", "Europe/Berlin"),
        cron("*/5 * * * *", "Europe/Berlin"),
        plain(Rule::Interval { every_s: u64::MAX / 2_000_000, anchor: Timestamp(0) }, "UTC"),
        words(Frequency::Biweekly, None, 0, "America/Havana"),
    ] {
        for now in [i64::MIN, i64::MIN + 1, 0, i64::MAX - 1, i64::MAX] {
            let _ = calendar.next_after(&schedule, Timestamp(now));
            let _ = calendar.latest_at(&schedule, Timestamp(i64::MIN), Timestamp(now));
        }
        assert_eq!(calendar.next_after(&schedule, Timestamp(i64::MAX)).unwrap(), None);
    }
}

#[test]
fn the_revision_is_that_of_the_data_in_use() {
    assert_eq!(ZonedCalendar::bundled().tz_revision(), BUNDLED_TZ_REVISION);
    // The 2026 change of Alberta to a permanent offset is in this edition and in none before it.
    let edmonton = cron("0 12 * * *", "America/Edmonton");
    let next = ZonedCalendar::bundled().next_after(&edmonton, at("2026-11-21T00:00:00Z")).unwrap().unwrap();
    assert_eq!(next, at("2026-11-21T18:00:00Z"));
}

/// What the calendar must say, found by looking at every minute of a stretch of time in turn.
struct Scanner {
    zone: TimeZone,
    minutes: Vec<u32>,
    hours: Vec<u32>,
    weekdays: Option<Vec<u32>>,
    days: Option<Vec<u32>>,
    elapsed: bool,
}

impl Scanner {
    fn matches(&self, local: DateTime) -> bool {
        let on_day = self.days.as_ref().map(|days| days.contains(&local.day().unsigned_abs().into()));
        let weekday = u32::from(local.weekday().to_sunday_zero_offset().unsigned_abs());
        let on_weekday = self.weekdays.as_ref().map(|weekdays| weekdays.contains(&weekday));
        let date = match (on_day, on_weekday) {
            (Some(day), Some(weekday)) => day || weekday,
            (day, weekday) => day.unwrap_or(true) && weekday.unwrap_or(true),
        };
        date && self.hours.contains(&local.hour().unsigned_abs().into())
            && self.minutes.contains(&local.minute().unsigned_abs().into())
    }

    /// Instants in (from, to], in seconds. `from` must not lie in a fold or gap.
    fn instants(&self, from: i64, to: i64) -> Vec<i64> {
        let local_at = |second: i64| self.zone.to_datetime(jiff::Timestamp::from_second(second).unwrap());
        let mut found = Vec::new();
        let mut seen_until = local_at(from);
        for second in ((from + MINUTE_S)..=to).step_by(60) {
            let local = local_at(second);
            if self.elapsed {
                if self.matches(local) {
                    found.push(second);
                }
                continue;
            }
            // Everything between the furthest local minute shown so far and this one becomes due now.
            let mut minute = seen_until;
            let mut due = false;
            while minute < local {
                minute = minute.checked_add(jiff::SignedDuration::from_mins(1)).unwrap();
                due |= self.matches(minute);
            }
            seen_until = seen_until.max(local);
            if due {
                found.push(second);
            }
        }
        found
    }
}

const ZONES: [&str; 16] = [
    "Europe/Berlin",
    "Europe/London",
    "Europe/Dublin",
    "America/New_York",
    "Australia/Lord_Howe",
    "America/Santiago",
    "Africa/Casablanca",
    "Asia/Kolkata",
    "Pacific/Chatham",
    "America/Sao_Paulo",
    "America/Havana",
    "Pacific/Apia",
    "Asia/Tehran",
    "Asia/Gaza",
    "America/St_Johns",
    "Antarctica/Troll",
];

fn subset(low: u32, high: u32, most: usize) -> impl Strategy<Value = Vec<u32>> {
    proptest::collection::btree_set(low..=high, 1..=most).prop_map(|set| set.into_iter().collect())
}

fn join(values: &[u32]) -> String {
    values.iter().map(u32::to_string).collect::<Vec<_>>().join(",")
}

#[derive(Debug, Clone)]
struct Case {
    expression: String,
    minutes: Vec<u32>,
    hours: Vec<u32>,
    days: Option<Vec<u32>>,
    weekdays: Option<Vec<u32>>,
    elapsed: bool,
}

fn cases() -> impl Strategy<Value = Case> {
    let step = prop_oneof![Just(7_u32), Just(15), Just(20), Just(30)];
    let minutes = prop_oneof![
        subset(0, 59, 4).prop_map(|values| (join(&values), values, false)),
        step.prop_map(|step| (format!("*/{step}"), (0..60).step_by(step as usize).collect(), true)),
        Just(("*".to_owned(), (0..60).collect(), true)),
    ];
    let hours = prop_oneof![
        subset(0, 23, 5).prop_map(|values| (join(&values), values, false)),
        (0_u32..5, 5_u32..24).prop_map(|(low, high)| (format!("{low}-{high}"), (low..=high).collect(), false)),
        Just(("*".to_owned(), (0..24).collect(), true)),
        Just(("1-23/2".to_owned(), (1..24).step_by(2).collect(), true)),
    ];
    let days = proptest::option::of(subset(1, 31, 12));
    let weekdays = proptest::option::of(subset(0, 6, 4));
    (minutes, hours, days, weekdays).prop_map(|(minutes, hours, days, weekdays)| {
        let field = |values: &Option<Vec<u32>>| values.as_ref().map_or("*".to_owned(), |values| join(values));
        Case {
            expression: format!("{} {} {} * {}", minutes.0, hours.0, field(&days), field(&weekdays)),
            minutes: minutes.1,
            hours: hours.1,
            days,
            weekdays,
            elapsed: minutes.2 || hours.2,
        }
    })
}

/// Offset changes of a zone from 2008 to 2031.
fn changes(zone: &TimeZone) -> Vec<i64> {
    let from: jiff::Timestamp = "2008-01-01T00:00:00Z".parse().unwrap();
    zone.following(from)
        .map(|change| change.timestamp().as_second())
        .take_while(|second| *second < 1_930_000_000)
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn the_calendar_agrees_with_a_scanner_of_minutes(
        case in cases(), zone_name in proptest::sample::select(&ZONES[..]), pick in any::<proptest::sample::Index>(), shift in 0_i64..2_880,
    ) {
        let calendar = ZonedCalendar::bundled();
        let zone = calendar.zone(zone_name).unwrap();
        let changes = changes(&zone);
        let middle = if changes.is_empty() { 1_700_000_000 } else { changes[pick.index(changes.len())] };
        // Begin two to four days before the change, at a whole minute of UTC.
        let from = (middle - 2 * DAY_S - shift * MINUTE_S).div_euclid(MINUTE_S) * MINUTE_S;
        let to = middle + 3 * DAY_S;
        let schedule = cron(&case.expression, zone_name);
        let scanner = Scanner { zone, minutes: case.minutes, hours: case.hours, days: case.days, weekdays: case.weekdays, elapsed: case.elapsed };
        let expected = scanner.instants(from, to);
        let mut found = Vec::new();
        let mut now = Timestamp::from_secs(from);
        while let Some(next) = calendar.next_after(&schedule, now).unwrap() {
            if next > Timestamp::from_secs(to) {
                break;
            }
            found.push(next.micros() / 1_000_000);
            now = next;
        }
        prop_assert_eq!(&found, &expected, "{} {}", case.expression, zone_name);

        // The latest at any instant is the last of those before it; strictly after `after`.
        for probe in (from..=to).step_by(8_640 / 60 * 60 + 30) {
            let latest = calendar.latest_at(&schedule, Timestamp::from_secs(from), Timestamp::from_secs(probe)).unwrap();
            let want = expected.iter().rev().find(|second| **second <= probe).map(|second| Timestamp::from_secs(*second));
            prop_assert_eq!(latest, want, "{} {} at {}", case.expression, zone_name, probe);
        }
    }

    #[test]
    fn in_utc_the_calendar_agrees_with_croner(case in cases(), from in 0_i64..4_000_000_000) {
        let calendar = ZonedCalendar::bundled();
        let oracle: croner::Cron = case.expression.parse().unwrap();
        let now = jiff::Timestamp::from_second(from).unwrap().to_zoned(TimeZone::UTC);
        let next = calendar.next_after(&cron(&case.expression, "UTC"), Timestamp::from_secs(from)).unwrap().unwrap();
        prop_assert_eq!(next.micros() / 1_000_000, oracle.find_next_occurrence(&now, false).unwrap().timestamp().as_second());
        let latest = calendar.latest_at(&cron(&case.expression, "UTC"), Timestamp(i64::MIN), Timestamp::from_secs(from)).unwrap().unwrap();
        prop_assert_eq!(latest.micros() / 1_000_000, oracle.find_previous_occurrence(&now, true).unwrap().timestamp().as_second());
    }

    #[test]
    fn any_text_is_read_or_refused_as_cron(text in "[-0-9*/,@#LW?A-Z ]{0,30}|\\PC{0,40}") {
        let _ = nightshift_spec::cron::Cron::parse(&text);
        let _ = ZonedCalendar::bundled().next_after(&cron(&text, "UTC"), Timestamp(0));
    }

    #[test]
    fn what_we_read_as_cron_croner_reads_too(fields in proptest::collection::vec("[0-9*/,-]{1,6}", 5)) {
        let text = fields.join(" ");
        if nightshift_spec::cron::Cron::parse(&text).is_ok() {
            prop_assert!(text.parse::<croner::Cron>().is_ok(), "{text}");
        }
    }
}

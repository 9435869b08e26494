//! Versions: kept, in force, stepping back; and that schedules and subscriptions follow them.

use proptest::prelude::*;

use super::*;
use crate::{
    calendar::Rule,
    decider::{Ctx, Decider, decide_once},
    expression::NoExpressions,
    ids::{CommandId, ScheduleId, derive, derive_u64},
    schedule::{self, ScheduleDecider},
    testing::{Grid, never},
    topic::{self, TopicDecider},
};

#[test]
fn a_version_is_kept_once_and_never_changes() {
    let it = unborn().when(keep(document("1", vec![]))).then_facts(&["registered"]);
    let it = it.when(keep(document("1", vec![]))).then([]);
    let kept = document("1", vec![]).digest().clone();
    it.clone()
        .when(register(document("1", vec![hears(&["x"])])))
        .then_rejected(Rejection::VersionDiffers { version: "1".to_owned(), kept });
    assert_eq!(it.state.in_force(), None);
    // To be in force is another wish than to be kept.
    let it = it.when(register(document("1", vec![]))).then_facts(&["activated"]);
    let it = it.when(register(document("1", vec![]))).then([]);
    let it = it.when(register(document("2", vec![]))).then_facts(&["registered", "activated"]);
    assert_eq!(it.state.active.as_deref(), Some("2"));
    it.owes(&[]);
}

#[test]
fn what_could_never_be_carried_out_is_not_kept() {
    let other = Document { name: "weekly".to_owned(), ..document("1", vec![]) };
    let another = Rejection::AnotherDefinition { owner: "team".to_owned(), name: "weekly".to_owned() };
    unborn().when(keep(other)).then_rejected(another);
    let backwards = plan(vec![step("a", &["b"]), step("b", &[])]);
    let unsound = unborn().when(keep(Document { plan: backwards, ..document("1", vec![]) })).result.unwrap_err();
    assert!(unsound.to_string().contains("step \"a\" depends on \"b\""), "{unsound}");
    // What its parameters are like is no reason.
    let wanting = Document { parameters: vec![parameter("x", ParameterKind::Date)], ..document("1", vec![]) };
    unborn().when(keep(wanting)).then_facts(&["registered"]);
    let rule = Rule::Cron { expression: "0 0 30 2 *".to_owned() };
    let timed = document("1", vec![timer(Schedule { rule, ..every(60) })]);
    unborn().when(keep(timed)).then_rejected(Rejection::Calendar(never()));
}

#[test]
fn the_one_who_registered_the_version_in_force_is_the_user_of_its_triggers() {
    let it = unborn().after(register(document("1", vec![]))).after(keep(document("2", vec![])));
    assert_eq!(it.state.user, user("ann"));
    assert_eq!(it.after(activate("2")).state.user, user("bob"));
}

#[test]
fn an_archived_version_stays_archived_and_a_deprecated_one_can_come_back() {
    let it = unborn().after(register(document("1", vec![]))).after(keep(document("2", vec![])));
    let it = it.when(deprecate("1")).then_facts(&["deprecated"]);
    assert_eq!((it.state.in_force(), it.state.versions["1"].standing), (None, Standing::Deprecated));
    assert!(it.state.startable(Some("1")).is_ok() && it.state.startable(None).is_err());
    let it = it.when(activate("1")).then_facts(&["activated"]);
    assert_eq!(it.state.versions["1"].standing, Standing::Active);
    let it = it.when(archive("1")).then_facts(&["archived"]);
    assert_eq!(it.state.in_force(), None);
    let gone = Rejection::NotStartable { version: "1".to_owned(), standing: "archived".to_owned() };
    assert_eq!(it.state.startable(Some("1")).unwrap_err(), gone);
    for command in [activate("1"), deprecate("1"), register(document("1", vec![]))] {
        it.clone().when(command).then_rejected(gone.clone());
    }
    let none = Rejection::NoSuchVersion { version: "9".to_owned(), versions: vec!["1".to_owned(), "2".to_owned()] };
    it.when(archive("9")).then_rejected(none);
}

/// `create 0 60; retime 1 120; end 2`: what schedules are told, by their number and period.
fn schedules_told(given: &Definitions) -> String {
    let number = |stream: StreamId| (0..99).find(|nth| schedule_id(definition(), *nth).stream() == stream).unwrap();
    let period = |schedule: &Schedule| match schedule.rule {
        Rule::Interval { every_s, .. } => every_s,
        _ => 0,
    };
    let words = told(given, "schedule:").into_iter().map(|(to, command)| match command {
        AnyCommand::Schedule(schedule::Command::Create { schedule, target, paused: false }) => {
            assert_eq!(target, definition().stream());
            format!("create {} {}", number(to), period(&schedule))
        }
        AnyCommand::Schedule(schedule::Command::Retime { schedule }) => {
            format!("retime {} {}", number(to), period(&schedule))
        }
        AnyCommand::Schedule(schedule::Command::End {}) => format!("end {}", number(to)),
        other => panic!("{other:?}"),
    });
    let mut words: Vec<String> = words.collect();
    words.sort();
    words.join("; ")
}

#[test]
fn schedules_follow_the_version_in_force_and_one_that_comes_back_is_another() {
    let one = document("1", vec![timer(every(60)), hears(&["x"]), timer(every(120))]);
    let two = document("2", vec![timer(every(90))]);
    let same = document("3", vec![timer(every(90))]);
    let mut it = unborn().after(register(one)).after(keep(two)).after(keep(same));
    assert_eq!(schedules_told(&it), "create 0 60; create 1 120");
    for (command, expected) in [
        (activate("2"), "end 1; retime 0 90"),
        (activate("3"), ""),
        (activate("1"), "create 2 120; retime 0 60"),
        (deprecate("2"), ""),
        (archive("1"), "end 0; end 2"),
        (activate("2"), "create 3 90"),
    ] {
        it = delivered(it).after(command);
        assert_eq!(schedules_told(&it), expected);
    }
}

#[test]
fn subscriptions_follow_the_version_in_force() {
    let listens = |it: &Definitions| {
        let words = told(it, "topic:").into_iter().map(|(to, command)| match command {
            AnyCommand::Topic(topic::Command::Subscribe { event_type, correlation: None, since: None, .. }) => {
                assert_eq!(to, TopicId::of(&event_type, SHARDS).stream());
                format!("+{event_type}")
            }
            AnyCommand::Topic(topic::Command::Unsubscribe { .. }) => "-".to_owned(),
            other => panic!("{other:?}"),
        });
        let mut words: Vec<String> = words.collect();
        words.sort();
        words.join(" ")
    };
    let one = document("1", vec![hears(&["x", "y"]), hears(&["y", "z"])]);
    let mut it = unborn().after(register(one)).after(keep(document("2", vec![hears(&["z", "u"])])));
    assert_eq!(listens(&it), "+x +y +z");
    for (command, expected) in [(activate("2"), "+u - -"), (archive("2"), "- -"), (activate("1"), "+x +y +z")] {
        it = delivered(it).after(command);
        assert_eq!(listens(&it), expected);
    }
}

/// Real schedules and topics that hear what a definition says.
#[derive(Default)]
struct Others {
    schedules: BTreeMap<StreamId, schedule::State>,
    topics: BTreeMap<StreamId, topic::State>,
}

impl Others {
    fn hear(&mut self, to: StreamId, command: &AnyCommand, now: Timestamp) {
        match command {
            AnyCommand::Schedule(command) => decide::<ScheduleDecider>(&mut self.schedules, to, command, now),
            AnyCommand::Topic(command) => decide::<TopicDecider>(&mut self.topics, to, command, now),
            other => panic!("{other:?}"),
        }
    }
}

fn decide<D: Decider>(states: &mut BTreeMap<StreamId, D::State>, to: StreamId, command: &D::Command, now: Timestamp) {
    let state = states.entry(to).or_default();
    let command_id = CommandId(derive("test", &[to.id.as_bytes()]));
    let ctx = Ctx {
        stream: to,
        now,
        command_id,
        shard_count: SHARDS,
        calendar: &Grid,
        expressions: &NoExpressions,
        reports: run::Reports::NONE,
    };
    match decide_once::<D>(state, command, &ctx) {
        Ok(decision) => *state = decision.after,
        Err(rejection) => panic!("{to} turns down {command:?}: {rejection}"),
    }
}

/// The schedules that tell this definition now, with their rules.
fn live(others: &Others) -> BTreeMap<ScheduleId, Schedule> {
    let live = others.schedules.iter().filter_map(|(stream, state)| match state {
        schedule::State::Live { schedule, .. } => Some((ScheduleId::from_uuid(stream.id), schedule.clone())),
        _ => None,
    });
    live.collect()
}

fn any_document(version: u8) -> impl Strategy<Value = Document> {
    let timers = prop::collection::vec(prop_oneof![Just(60), Just(61), Just(62)], 0..4);
    let types = prop::sample::subsequence(vec!["x", "y", "z"], 0..=3);
    (timers, types).prop_map(move |(timers, types)| {
        let mut triggers: Vec<Trigger> = timers.into_iter().map(|s| timer(every(s))).collect();
        triggers.push(hears(&types));
        document(&version.to_string(), triggers)
    })
}

proptest! {
    /// Whatever happens to versions, schedules accept all that they are told and are what the version in force wants;
    /// subscriptions are, even when what topics are told arrives in another order.
    #[test]
    fn schedules_and_topics_end_up_as_the_version_in_force_wants(
        documents in (any_document(0), any_document(1), any_document(2)),
        steps in prop::collection::vec((0..3_u8, 0..8_u8), 1..25),
        shuffle: u64,
    ) {
        let documents = [documents.0, documents.1, documents.2];
        let (mut it, mut others, mut letters) = (unborn(), Others::default(), Vec::new());
        for (version, verb) in steps {
            let name = version.to_string();
            let command = match verb {
                0..3 => register(documents[usize::from(version)].clone()),
                3..6 => activate(&name),
                6 => deprecate(&name),
                _ => archive(&name),
            };
            it = it.when(command).after;
            for (to, command) in told(&it, "schedule:") {
                others.hear(to, &command, it.now);
            }
            letters.extend(told(&it, "topic:"));
            it = delivered(it);
            let in_force = it.state.in_force().map(|registered| registered.document.clone());
            let rules = in_force.iter().flat_map(|document| document.schedules()).map(|(rule, _)| rule.clone());
            prop_assert_eq!(live(&others), it.state.schedules.iter().copied().zip(rules).collect());
        }
        letters.sort_by_key(|(to, command)| derive_u64(&format!("{to}{command:?}"), &[&shuffle.to_be_bytes()]));
        letters.iter().for_each(|(to, command)| others.hear(*to, command, it.now));
        let subscribed = others.topics.iter().filter(|(_, topic)| !topic.subscribers.is_empty());
        let wanted: BTreeMap<StreamId, String> =
            it.state.topics.iter().map(|heard| (heard.topic.stream(), heard.event_type.clone())).collect();
        prop_assert_eq!(subscribed.map(|(to, topic)| (*to, topic.event_type.clone())).collect::<BTreeMap<_, _>>(), wanted);
    }
}

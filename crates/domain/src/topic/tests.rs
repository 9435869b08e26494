//! Decider tables and properties of the topic.

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::{
    decider::Duty,
    definition,
    ids::{DefinitionId, RunId, ShardId},
    run,
    streams::AnyCommand,
    testing::{Given, SHARDS, at, covers_every_pair, given, word},
};

type Topics = Given<TopicDecider>;

fn unborn() -> Topics {
    given(TopicId::of("order", SHARDS).stream(), [])
}

fn daily(ordinal: u64) -> Subscriber {
    Subscriber::Definition { stream: DefinitionId::of("team", "daily", SHARDS).stream(), ordinal }
}

fn step(n: u64) -> Subscriber {
    let run = RunId::on_shard(derive("test", &[&n.to_be_bytes()]), ShardId(2));
    Subscriber::Step { stream: run.stream(), step: "wait".to_owned(), attempt: 1, user: None }
}

fn step_of(n: u64, name: &str) -> Subscriber {
    match step(n) {
        Subscriber::Step { stream, step, attempt, .. } => {
            Subscriber::Step { stream, step, attempt, user: Some(UserId(name.to_owned())) }
        }
        other @ Subscriber::Definition { .. } => other,
    }
}

fn subscribe(subscriber: Subscriber, correlation: Option<&str>, since: Option<i64>) -> Command {
    let (event_type, correlation) = ("order".to_owned(), correlation.map(ToOwned::to_owned));
    Command::Subscribe { event_type, subscriber, correlation, since: since.map(at), heard: Vec::new() }
}

fn event(id: &str, correlation: Option<&str>) -> Published {
    Published {
        id: id.to_owned(),
        user: UserId("eve".to_owned()),
        correlation: correlation.map(ToOwned::to_owned),
        intent_id: None,
        payload: json!({"n": 1}),
    }
}

fn publish(id: &str, correlation: Option<&str>) -> Command {
    Command::Publish { event_type: "order".to_owned(), event: Box::new(event(id, correlation)) }
}

/// `id -> definition`, `id -> step`: who is told of what.
fn told(it: &Topics) -> Vec<String> {
    let words = it.ledger.open.values().map(|open| match &open.duty {
        Duty::Tell { to, command } => match &**command {
            AnyCommand::Definition(definition::Command::EventArrived { event }) => {
                assert_eq!(*to, daily(0).stream());
                format!("{} -> definition", event["id"].as_str().unwrap())
            }
            AnyCommand::Run(run::Command::EventArrived { step, attempt, event }) => {
                assert_eq!((step.as_str(), *attempt), ("wait", 1));
                format!("{} -> step", event["id"].as_str().unwrap())
            }
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    });
    words.collect()
}

fn delivered(mut it: Topics) -> Topics {
    it.ledger.open.clear();
    it
}

#[test]
fn each_subscriber_hears_of_what_fits_and_a_step_only_once() {
    let it = unborn().after(subscribe(daily(1), None, None)).after(subscribe(step(1), Some("a"), None));
    let it = it.after(subscribe(step(2), None, None));
    let it = it.after(publish("e1", Some("b")));
    assert_eq!(told(&it), ["e1 -> definition", "e1 -> step"]);
    let it = delivered(it).after(publish("e2", Some("a")));
    assert_eq!(told(&it), ["e2 -> definition", "e2 -> step"]);
    let it = delivered(it).after(publish("e3", Some("a")));
    assert_eq!(told(&it), ["e3 -> definition"]);
    let it = delivered(it).after(Command::Unsubscribe { subscriber: daily(2) }).after(publish("e4", None));
    it.owes(&[]);
}

/// Whoever published a private event of the same type and correlation woke the step of another user.
#[test]
fn a_step_hears_of_its_users_events_and_of_those_for_everybody() {
    let published = |user: &str, id: &str| {
        let event = Published { user: UserId(user.to_owned()), ..event(id, Some("a")) };
        Command::Publish { event_type: "order".to_owned(), event: Box::new(event) }
    };
    for (owner, publisher, hears) in [
        ("ann", "ann", true),
        ("ann", "eve", false),
        ("ann", "local", true),
        ("local", "local", true),
        ("local", "eve", false),
    ] {
        let waits = subscribe(step_of(1, owner), Some("a"), Some(0));
        let first = unborn().after(waits.clone()).after(published(publisher, "e"));
        assert_eq!(!told(&first).is_empty(), hears, "{publisher}'s event, a step of {owner}");
        let late = unborn().after(published(publisher, "e")).after(waits);
        assert_eq!(!told(&late).is_empty(), hears, "{publisher}'s event that is kept, a step of {owner}");
        assert_eq!(late.state.subscribers.is_empty(), hears);
    }
    let old = unborn().after(subscribe(step(1), None, None)).after(published("eve", "e"));
    assert_eq!(told(&old), ["e -> step"], "a step that says no user hears as it always did");
}

#[test]
fn texts_that_end_in_keys_have_an_end() {
    let long = "x".repeat(TEXT_BYTES_MAX + 1);
    let whole = || Published { intent_id: Some("i".to_owned()), ..event("e", Some("a")) };
    let say = |what: &str| Rejection::TooLong { what: what.to_owned(), bytes: TEXT_BYTES_MAX + 1 };
    for (what, event) in [
        ("id", Published { id: long.clone(), ..whole() }),
        ("user", Published { user: UserId(long.clone()), ..whole() }),
        ("correlation", Published { correlation: Some(long.clone()), ..whole() }),
        ("intent_id", Published { intent_id: Some(long.clone()), ..whole() }),
    ] {
        let publish = Command::Publish { event_type: "order".to_owned(), event: Box::new(event) };
        unborn().when(publish).then_rejected(say(what));
    }
    let publish = Command::Publish { event_type: long.clone(), event: Box::new(whole()) };
    unborn().when(publish).then_rejected(say("type"));
    let subscribe =
        Command::Subscribe { event_type: long, subscriber: step(1), correlation: None, since: None, heard: Vec::new() };
    unborn().when(subscribe).then_rejected(say("type"));
    unborn().after(publish_of("x".repeat(TEXT_BYTES_MAX)));
}

fn publish_of(id: String) -> Command {
    publish(&id, None)
}

#[test]
fn an_event_is_told_with_all_that_is_known_of_it() {
    let it = unborn().after(subscribe(daily(1), None, None)).at(61);
    let whole = Published { intent_id: Some("i".to_owned()), ..event("e1", Some("a")) };
    let it = it.after(Command::Publish { event_type: "order".to_owned(), event: Box::new(whole) });
    let Duty::Tell { command, .. } = &it.ledger.with("told:")[0].duty else { panic!("told") };
    let expected = json!({
        "type": "order", "id": "e1", "user": "eve", "correlation": "a", "intent_id": "i", "payload": {"n": 1},
        "at": "1970-01-01T00:01:01Z",
    });
    assert_eq!(**command, definition::Command::EventArrived { event: expected }.into());
}

#[test]
fn the_same_event_again_changes_nothing() {
    let it = unborn().after(subscribe(daily(1), None, None)).after(publish("e1", None));
    it.clone().when(publish("e1", Some("other"))).then([]);
    it.clone().when(publish("", None)).then_rejected(Rejection::NoId);
    let large = Published { payload: json!("x".repeat(5 << 20)), ..event("e2", None) };
    let no = it.when(Command::Publish { event_type: "order".to_owned(), event: Box::new(large) }).result.unwrap_err();
    assert!(no.to_string().starts_with("the payload is larger than"), "{no}");
}

#[test]
fn who_subscribes_a_moment_too_late_hears_of_what_is_kept() {
    let it = unborn().at(10).after(publish("e1", Some("a"))).at(20).after(publish("e2", None));
    let it = it.at(30).after(publish("e3", Some("a"))).at(40);
    it.clone().when(subscribe(step(1), Some("a"), None)).then_facts(&["subscribed"]).owes(&[]);
    for (subscriber, correlation, since, expected) in [
        (step(1), Some("a"), 10, vec!["e1 -> step"]),
        (step(1), Some("a"), 11, vec!["e3 -> step"]),
        (step(1), Some("b"), 0, vec![]),
        (daily(1), Some("a"), 0, vec!["e1 -> definition", "e3 -> definition"]),
        (daily(1), None, 20, vec!["e2 -> definition", "e3 -> definition"]),
    ] {
        let is_step = matches!(subscriber, Subscriber::Step { .. });
        let it = it.clone().after(subscribe(subscriber, correlation, Some(since)));
        assert_eq!(told(&it), expected, "{correlation:?} since {since}");
        // A step that was told is gone; everybody else still listens.
        assert_eq!(it.state.subscribers.is_empty(), is_step && !expected.is_empty());
    }
    let mut again = subscribe(step(1), Some("a"), Some(10));
    let Command::Subscribe { heard, .. } = &mut again else { panic!("it subscribes") };
    heard.push("e1".to_owned());
    assert_eq!(told(&it.clone().after(again)), ["e3 -> step"], "its run had the first already");
    // The instant that is told is that of the event.
    let it = it.after(subscribe(daily(1), None, Some(30)));
    let Duty::Tell { command, .. } = &it.ledger.with("told:")[0].duty else { panic!("told") };
    let AnyCommand::Definition(definition::Command::EventArrived { event }) = &**command else { panic!("told") };
    assert_eq!(event["at"], json!("1970-01-01T00:00:30Z"));
}

#[test]
fn no_more_is_kept_than_was_promised() {
    let mut it = unborn();
    for n in 0..=KEPT_MAX {
        it = it.after(publish(&format!("e{n}"), None));
    }
    assert_eq!((it.state.kept.len(), it.state.kept[0].event.id.as_str()), (KEPT_MAX, "e1"));
    let day = KEPT_MS / 1_000;
    let it = it.at(day).after(publish("last of the day", None));
    assert_eq!(it.state.kept.len(), KEPT_MAX);
    let it = it.at(day + 1).after(publish("next", None));
    let kept: Vec<&str> = it.state.kept.iter().map(|kept| kept.event.id.as_str()).collect();
    assert_eq!(kept, ["last of the day", "next"]);
    // What is forgotten may happen again.
    it.when(publish("e5", None)).then_facts(&["published"]);
}

#[test]
fn what_a_definition_said_before_counts_no_more_though_it_arrives_later() {
    let it = unborn().after(Command::Unsubscribe { subscriber: daily(4) });
    let it = it.when(subscribe(daily(3), None, None)).then([]);
    assert!(it.state.subscribers.is_empty());
    let it = it.when(subscribe(daily(6), None, None)).then_facts(&["subscribed"]);
    let it = it.when(Command::Unsubscribe { subscriber: daily(5) }).then([]);
    assert_eq!(told(&it.after(publish("e", None))), ["e -> definition"]);
}

#[test]
fn a_topic_is_of_one_type() {
    let it = unborn().after(publish("e1", None));
    let other = |asked: &str| Rejection::AnotherType { known: "order".to_owned(), asked: asked.to_owned() };
    let visit = Command::Publish { event_type: "visit".to_owned(), event: Box::new(event("e", None)) };
    it.when(visit).then_rejected(other("visit"));
}

#[test]
fn every_command_in_every_phase() {
    let phase = |name: &str| match name {
        "unborn" => unborn(),
        "quiet" => unborn().after(publish("e1", None)),
        _ => unborn().after(subscribe(step(1), None, None)),
    };
    let command = |verb: &str| match verb {
        "subscribe" => subscribe(step(1), None, Some(0)),
        "unsubscribe" => Command::Unsubscribe { subscriber: step(1) },
        _ => publish("e1", None),
    };
    covers_every_pair::<TopicDecider>(
        &["unborn", "quiet", "heard"],
        &[
            ("unborn subscribe", "subscribed"),
            ("unborn unsubscribe", "-"),
            ("unborn publish", "published"),
            ("quiet subscribe", "subscribed told_later"),
            ("quiet unsubscribe", "-"),
            ("quiet publish", "-"),
            ("heard subscribe", "-"),
            ("heard unsubscribe", "unsubscribed"),
            ("heard publish", "published"),
        ],
        |name, verb| phase(name).when(command(verb)).result.map(|events| events.iter().map(word).collect()),
    );
}

proptest! {
    /// Subscribers, published events and repetitions in any order: each step hears of one event at most, a definition
    /// of each event once, and nobody of what does not fit.
    #[test]
    fn everybody_hears_once(steps in prop::collection::vec((0..4_u8, 0..6_u64), 1..60)) {
        let mut it = unborn();
        let (mut definition_heard, mut steps_heard) = (BTreeSet::new(), BTreeSet::new());
        let wants = |n: u64| n.is_multiple_of(2).then_some("a");
        for (now, (verb, n)) in steps.into_iter().enumerate() {
            let command = match verb {
                0 => subscribe(daily(now as u64 + 1), None, None),
                // A run asks once for each attempt.
                1 if !steps_heard.contains(&step(n).key()) => subscribe(step(n), wants(n), Some(0)),
                1 | 2 => publish(&format!("e{n}"), n.is_multiple_of(3).then_some("a")),
                _ => Command::Unsubscribe { subscriber: step(n) },
            };
            it = delivered(it.at(now as i64)).after(command);
            for open in it.ledger.open.values() {
                let Duty::Tell { to, command } = &open.duty else { panic!("told") };
                match &**command {
                    AnyCommand::Definition(definition::Command::EventArrived { event }) => {
                        prop_assert!(definition_heard.insert(event["id"].to_string()), "twice {}", event);
                    }
                    AnyCommand::Run(run::Command::EventArrived { event, .. }) => {
                        let n = (0..6).find(|n| step(*n).stream() == *to).unwrap();
                        prop_assert!(steps_heard.insert(step(n).key()), "step {} again", n);
                        prop_assert!(wants(n).is_none() || event["correlation"] == json!("a"));
                        prop_assert!(!it.state.subscribers.contains_key(&step(n).key()));
                    }
                    other => panic!("{other:?}"),
                }
            }
        }
    }
}

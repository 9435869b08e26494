//! Decider tables and properties of the queue.

use proptest::prelude::*;

use super::*;
use crate::testing::{Given, covers_every_pair, given, word};

type Queue = Given<QueueDecider>;

fn unborn() -> Queue {
    given(QueueId::the().stream(), [])
}

fn by(note: &str) -> Asked {
    Asked { by: "ann".to_owned(), note: note.to_owned() }
}

fn set(key: &str, limit: Limit) -> Command {
    Command::SetLimit { key: key.to_owned(), limit, by: by("busy") }
}

fn clear(key: &str) -> Command {
    Command::ClearLimit { key: key.to_owned(), by: by("") }
}

fn pause(queue: Option<&str>, note: &str) -> Command {
    Command::Pause { queue: queue.map(str::to_owned), by: by(note) }
}

fn resume(queue: Option<&str>) -> Command {
    Command::Resume { queue: queue.map(str::to_owned), by: by("") }
}

const fn places(places: u32) -> Limit {
    Limit::Places { places }
}

const fn rate(capacity: f64, refill_per_s: f64) -> Limit {
    Limit::Rate { capacity, refill_per_s }
}

#[test]
fn a_key_is_read_as_it_is_written() {
    use LimitKey::{Bucket, Concurrency, Key, Queue};
    let own = str::to_owned;
    for (text, expected) in [
        ("concurrency", Some(Concurrency)),
        ("queue:slow", Some(Queue(own("slow")))),
        ("key:db:1", Some(Key(own("db:1")))),
        ("key:user:ann", Some(Key(own("user:ann")))),
        ("global:agent:writer", Some(Bucket(own("global:agent:writer")))),
        ("rate:global:agent:*", Some(Bucket(own("global:agent:*")))),
        ("user:ann:agent:host:8443", Some(Bucket(own("user:ann:agent:host:8443")))),
        ("user:*:agent:*", Some(Bucket(own("user:*:agent:*")))),
        ("", None),
        ("Concurrency", None),
        ("queue:", None),
        ("key:", None),
        ("global:agent:", None),
        ("user::agent:writer", None),
        ("user:ann:agent:", None),
        ("user:ann", None),
        ("rate:queue:slow", None),
        ("ann:agent:writer", None),
    ] {
        let found = LimitKey::parse(text);
        assert_eq!(found, expected, "{text}");
        if let Some(key) = found {
            assert_eq!(LimitKey::parse(&key.to_string()), Some(key));
        }
    }
}

#[test]
fn what_is_set_counts_until_it_is_cleared() {
    let it = unborn().at(5).after(set("queue:slow", places(2)));
    let key = LimitKey::Queue("slow".to_owned());
    assert_eq!(it.state.limits[&key], Set { limit: places(2), by: by("busy"), since: crate::testing::at(5) });
    it.clone().when(set("queue:slow", places(2))).then([]);
    let it = it.at(6).after(set("queue:slow", places(3)));
    assert_eq!(it.state.limits[&key].limit, places(3));
    let it = it.after(clear("queue:slow"));
    assert!(it.state.limits.is_empty());
    it.when(clear("queue:slow")).then_rejected(Rejection::NotSet { key });
}

#[test]
fn impossible_limits_are_turned_away_with_the_facts() {
    let slow = || LimitKey::Queue("slow".to_owned());
    let writer = || LimitKey::Bucket("global:agent:writer".to_owned());
    let small = |key, asked| Rejection::TooSmall { key, asked };
    for (key, limit, expected) in [
        ("queu:slow", places(1), Rejection::UnknownKey { key: "queu:slow".to_owned() }),
        ("queue:slow", places(0), small(slow(), 0.0)),
        ("queue:slow", rate(1.0, 1.0), Rejection::OtherKind { key: slow(), wants: "places".to_owned() }),
        (
            "global:agent:writer",
            places(1),
            Rejection::OtherKind { key: writer(), wants: "capacity and refill".to_owned() },
        ),
        ("global:agent:writer", rate(0.5, 1.0), small(writer(), 0.5)),
        ("global:agent:writer", rate(f64::NAN, 1.0), small(writer(), 0.0)),
        ("global:agent:writer", rate(f64::INFINITY, 1.0), small(writer(), 0.0)),
        ("global:agent:writer", rate(1.0, -1.0), Rejection::BadRefill { key: writer(), asked: "-1".to_owned() }),
        ("global:agent:writer", rate(1.0, f64::NAN), Rejection::BadRefill { key: writer(), asked: "NaN".to_owned() }),
    ] {
        let told = expected.to_string();
        assert!(told.contains(key), "{told}");
        unborn().when(set(key, limit)).then_rejected(expected);
    }
    unborn().when(set("global:agent:writer", rate(1.0, 0.0))).then_facts(&["limit_set"]);
}

#[test]
fn the_whole_and_its_parts_are_paused_and_resumed_apart() {
    let it = unborn().after(pause(Some("slow"), "repair")).after(pause(None, "night"));
    it.clone().when(pause(None, "night")).then([]);
    let it = it.when(pause(None, "still night")).then_facts(&["paused"]);
    assert_eq!(it.state.paused.as_ref().map(|paused| paused.by.note.as_str()), Some("still night"));
    let other = Some("other".to_owned());
    it.clone().when(resume(Some("other"))).then_rejected(Rejection::NotPaused { queue: other, all: true });
    let it = it.after(resume(None));
    assert!(it.state.paused.is_none() && it.state.queues.contains_key("slow"));
    it.clone().when(resume(None)).then_rejected(Rejection::NotPaused { queue: None, all: false });
    let it = it.after(resume(Some("slow")));
    assert_eq!(it.state, State::default());
    it.clone().when(pause(Some(""), "")).then_rejected(Rejection::NoName);
    it.when(resume(Some(""))).then_rejected(Rejection::NoName);
}

#[test]
fn every_command_in_every_phase() {
    let phase = |name: &str| match name {
        "unborn" => unborn(),
        _ => unborn().after(set("key:db", places(2))).after(pause(Some("slow"), "repair")),
    };
    let command = |verb: &str| match verb {
        "set_limit" => set("key:db", places(2)),
        "clear_limit" => clear("key:db"),
        "pause" => pause(Some("slow"), "repair"),
        _ => resume(Some("slow")),
    };
    covers_every_pair::<QueueDecider>(
        &["unborn", "set"],
        &[
            ("unborn set_limit", "limit_set"),
            ("unborn clear_limit", "not_set"),
            ("unborn pause", "paused"),
            ("unborn resume", "not_paused"),
            ("set set_limit", "-"),
            ("set clear_limit", "limit_cleared"),
            ("set pause", "-"),
            ("set resume", "resumed"),
        ],
        |name, verb| phase(name).when(command(verb)).result.map(|events| events.iter().map(word).collect()),
    );
}

proptest! {
    /// Whatever is asked in whatever order: every limit that is set can be passed, and is of the kind its key is of.
    #[test]
    fn no_limit_that_nothing_passes_is_ever_set(
        asked in prop::collection::vec((0..6_usize, any::<bool>(), 0..3_u32, -1.0..2.0_f64, -1.0..2.0_f64), 1..40),
    ) {
        let keys = ["concurrency", "queue:a", "key:a", "global:agent:a", "user:*:agent:*", "nonsense"];
        let mut it = unborn();
        for (key, tokens, of_places, capacity, refill) in asked {
            let limit = if tokens { rate(capacity, refill) } else { places(of_places) };
            it = it.when(set(keys[key], limit)).after;
            for (key, set) in &it.state.limits {
                match set.limit {
                    Limit::Places { places } => prop_assert!(key.is_of_places() && places >= 1),
                    Limit::Rate { capacity, refill_per_s } => {
                        prop_assert!(!key.is_of_places() && capacity >= 1.0 && refill_per_s >= 0.0);
                    }
                }
            }
        }
    }
}

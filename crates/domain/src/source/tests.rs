//! Decider tables and properties of the source.

use proptest::prelude::*;

use super::*;
use crate::testing::{Given, at, covers_every_pair, given, text, the_deliverable, word};

type Sources = Given<SourceDecider>;

const DAY: i64 = 86_400;

fn spec() -> SourceSpec {
    SourceSpec::Feed { url: "https://example.org/feed".to_owned() }
}

fn unknown() -> Sources {
    given(spec().source_id(&UserId::default(), 8).stream(), [])
}

fn item(id: &str, words: &str) -> Item {
    Item {
        item_id: id.to_owned(),
        title: id.to_owned(),
        link: None,
        author: None,
        source_at: None,
        text: text(words),
        facts: BTreeMap::new(),
    }
}

fn found(items: &[(&str, &str)], removed: &[&str]) -> Command {
    let items = items.iter().map(|(id, words)| item(id, words)).collect();
    let removed = removed.iter().map(|id| (*id).to_owned()).collect();
    let observation = Observation { items, removed, omitted: vec![], cursor: Cursor::new() };
    Command::Record { user: UserId::default(), spec: spec(), found: Ok(observation) }
}

fn failing() -> Command {
    let failure = SourceFailure { class: FailureClass::Transient, message: "refused".to_owned() };
    Command::Record { user: UserId::default(), spec: spec(), found: Err(failure) }
}

fn retain(from_version: u64, upto_version: u64) -> Command {
    Command::Retain { from_version, upto_version, reference: VersionId::of(the_deliverable(), 1) }
}

#[test]
fn only_content_that_differs_is_news() {
    let it = unknown().when(found(&[("a", "1"), ("b", "1")], &[])).then_facts(&["registered", "content_observed"]);
    let it = it.when(found(&[("a", "1"), ("b", "1")], &[])).then_facts(&["checked"]);
    let it = it.when(found(&[("a", "2"), ("b", "1")], &["c"])).then_facts(&["content_observed"]);
    // Registered, observed, checked, observed.
    assert_eq!(it.state.version, 4);
    assert_eq!([0, 2, 3, 4].map(|version| it.state.fresh_since(version)), [2, 1, 1, 0]);
    let it = it.when(found(&[], &["b"])).then_facts(&["content_observed"]);
    assert_eq!([0, 4, 5].map(|version| it.state.fresh_since(version)), [2, 1, 0]);
    // It comes back as it was: news again.
    let it = it.when(found(&[("b", "1")], &[])).then_facts(&["content_observed"]);
    assert!(it.state.removed.is_empty());
    assert_eq!(it.state.fresh_since(5), 1);
}

#[test]
fn an_id_too_long_for_a_key_is_left_out_with_its_size() {
    let long = "é".repeat(ITEM_ID_BYTES_MAX);
    let events = unknown().when(found(&[("a", "1"), (&long, "1")], &[])).events();
    let Some(Event::ContentObserved { items, omitted, .. }) = events.last() else { panic!("observed: {events:?}") };
    assert_eq!((items.len(), omitted.len()), (1, 1));
    assert!(omitted[0].item_id.len() <= OMITTED_ID_BYTES && omitted[0].reason.contains("2048 bytes"), "{omitted:?}");
}

#[test]
fn a_failing_look_is_kept_and_the_next_good_one_clears_it() {
    let it = unknown().when(failing()).then_facts(&["registered", "observation_failed"]);
    assert_eq!((it.state.failing.as_deref(), it.state.synced_at), (Some("refused"), None));
    let it = it.at(9).when(found(&[], &[])).then_facts(&["checked"]);
    assert_eq!((it.state.failing.as_deref(), it.state.synced_at), (None, Some(at(9))));
}

#[test]
fn what_nothing_retains_expires_once_and_is_no_news_any_more() {
    let seen = unknown().after(found(&[("a", "1"), ("b", "1")], &[]));
    let days = i64::from(spec().ttl_hours()) / 24;
    seen.clone().at(days * DAY - 1).when(found(&[], &[])).then_facts(&["checked"]);
    let late = seen.clone().at(days * DAY);
    let expired = late.clone().when(found(&[], &[])).then_facts(&["content_expired", "checked"]);
    assert_eq!((expired.state.fresh_since(0), expired.state.digests().len()), (0, 2));
    let again = expired.at(days * DAY * 2).when(found(&[("a", "2")], &[])).then_facts(&["content_observed"]);
    assert_eq!(again.state.fresh_since(0), 1, "new content of an expired item is news");
    let kept = seen.after(retain(0, 2)).at(days * DAY);
    let kept = kept.when(found(&[], &[])).then_facts(&["checked"]);
    assert_eq!(kept.state.fresh_since(0), 2);
}

#[test]
fn a_version_keeps_what_it_took_and_nothing_else() {
    let it = unknown().after(found(&[("a", "1")], &[])).after(found(&[("b", "1")], &[])).after(retain(2, 3));
    let expiring: Vec<&str> =
        it.state.items.iter().filter(|(_, item)| item.expires_at.is_some()).map(|(id, _)| id.as_str()).collect();
    assert_eq!(expiring, ["a"]);
    // New content of a kept item is another content.
    let changed = it.after(found(&[("b", "2")], &[]));
    assert!(changed.state.items["b"].expires_at.is_some());
}

#[test]
fn the_oldest_items_are_forgotten_first() {
    let many: Vec<String> = (0..ITEMS_MAX).map(|n| format!("i{n:05}")).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|id| (id.as_str(), "1")).collect();
    let it = unknown().after(found(&[("z-old", "1")], &[])).after(found(&many, &[]));
    assert_eq!(it.state.items.len(), ITEMS_MAX);
    assert!(!it.state.items.contains_key("z-old"));
    let gone: Vec<&str> = many.iter().map(|(id, _)| *id).collect();
    let it = it.after(found(&[], &gone)).after(found(&[("y", "1")], &[])).after(found(&[], &["y"]));
    assert_eq!((it.state.removed.len(), it.state.removed.contains_key("y")), (ITEMS_MAX, true));
}

/// Every pair of phase and command.
#[test]
fn every_phase_answers_every_command() {
    let phase = |phase: &str| match phase {
        "unknown" => unknown(),
        "known" => unknown().after(found(&[("a", "1")], &[])),
        _ => unknown().after(failing()),
    };
    let command = |verb: &str| match verb {
        "record" => found(&[("a", "2")], &[]),
        _ => retain(0, 2),
    };
    covers_every_pair::<SourceDecider>(
        &["unknown", "known", "failing"],
        &[
            ("unknown record", "registered content_observed"),
            ("unknown retain", "unknown"),
            ("known record", "content_observed"),
            ("known retain", "content_retained"),
            ("failing record", "content_observed"),
            ("failing retain", "content_retained"),
        ],
        |at, verb| phase(at).when(command(verb)).result.map(|events| events.iter().map(word).collect()),
    );
}

proptest! {
    #[test]
    fn any_story_of_a_source_stays_sane(
        draws in prop::collection::vec((0..5_u8, 0..6_u8, 0..3_u8, 0..9_i64), 1..50),
    ) {
        let mut it = unknown();
        let mut now = 0;
        for (verb, id, content, days) in draws {
            now += days * DAY;
            it = it.at(now);
            let (id, content) = (format!("i{id}"), format!("{content}"));
            let command = match verb {
                0 => failing(),
                1 => found(&[], &[&id]),
                2 => retain(it.state.version.saturating_sub(3), it.state.version),
                _ => found(&[(&id, &content)], &[]),
            };
            let before = it.state.clone();
            let when = it.when(command.clone());
            it = when.after;
            if when.result.is_err() {
                prop_assert_eq!(&it.state, &before);
                continue;
            }
            prop_assert_eq!(it.state.version, it.history.len() as u64);
            prop_assert!(it.ledger.open.is_empty());
            prop_assert_eq!(it.state.fresh_since(it.state.version), 0);
            let stretches = it.state.places.stretches(0, it.state.version);
            let is_read = |version: u64| stretches.iter().any(|it| it.after < version && version <= it.upto);
            for (at, (event, _)) in (1..).zip(&it.history) {
                prop_assert!(!matches!(event, Event::ContentObserved { .. }) || is_read(at), "{} of {:?}", at, stretches);
                let is_look = matches!(event, Event::ContentObserved { .. } | Event::Checked { .. });
                prop_assert!(!is_look || at <= it.state.places.last_look());
            }
            for (id, known) in &it.state.items {
                prop_assert!(known.version <= it.state.version && !it.state.removed.contains_key(id));
                prop_assert!(!known.expired || known.expires_at.is_none());
                let grew = before.items.get(id).is_none_or(|old| old.version <= known.version);
                prop_assert!(grew, "the version of {} shrank", id);
            }
            // Looking again at once finds nothing new.
            let again = it.clone().when(command).after;
            prop_assert_eq!(again.state.fresh_since(it.state.version), 0);
            prop_assert_eq!(again.state.items, it.state.items.clone());
        }
    }
}

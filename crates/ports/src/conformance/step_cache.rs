//! Promises of the step cache.
//!
//! Owns: one check for each; every check gets a cache that nobody has used. Refuses to know: which cache it is given.

use nightshift_domain::{
    ids::{RunId, ShardId, derive},
    json::Json,
    time::Timestamp,
};
use serde_json::json;

use super::pen::NOON;
use crate::step_cache::{Entry, StepCache};

fn run(n: u64) -> RunId {
    RunId::on_shard(derive("cached", &[&n.to_be_bytes()]), ShardId(1))
}

fn after(ms: i64) -> Timestamp {
    NOON.plus_ms(ms)
}

fn entry(n: u64, stored_ms: i64, lives_ms: Option<i64>, value: Json) -> Entry {
    Entry {
        value,
        status_code: None,
        etag: None,
        stored_at: after(stored_ms),
        expires_at: lives_ms.map(|ms| after(stored_ms + ms)),
        run: run(n),
        step: format!("step-{n}"),
        hits: 0,
        last_hit_at: None,
        last_hit_run: None,
    }
}

async fn hits(cache: &dyn StepCache, key: &str) -> Option<(u64, Option<Timestamp>, Option<RunId>)> {
    let kept = cache.kept(key, after(0)).await.expect("read");
    kept.map(|kept| (kept.hits, kept.last_hit_at, kept.last_hit_run))
}

/// Checks every promise, each on a cache of its own.
///
/// # Panics
/// When one is broken.
pub async fn check_all<C: StepCache>(make: impl AsyncFn() -> C) {
    entries_come_back_as_they_were(&make().await).await;
    an_expired_entry_is_not_given(&make().await).await;
    a_later_entry_replaces_an_earlier_one(&make().await).await;
    every_hit_is_counted(&make().await).await;
    pruning_removes_what_expired_and_what_was_longest_unused(&make().await).await;
}

/// Values, keys and facts of every kind come back unchanged, and keys are exact.
///
/// # Panics
/// When they do not.
pub async fn entries_come_back_as_they_were(cache: &dyn StepCache) {
    let strange = json!({
        "text": "é \u{0} \u{1f600} \"quoted\" \\ '", "numbers": [0, -1, 1.5, 1e300, u64::MAX, i64::MIN],
        "nothing": null, "": {"deep": [[[[]]]]}, "yes": true
    });
    let large = json!("x".repeat(300_000));
    let keys = ["name:o:n:1|global|s|ab", "name:o:n:1|global|s|AB", "ä'; --|%_|", &"k".repeat(600)];
    for (at, key) in keys.into_iter().enumerate() {
        let value = if at == 0 { strange.clone() } else { json!(at) };
        let kept = Entry {
            status_code: Some(304),
            etag: Some(format!("W/\"{at}\"")),
            ..entry(at as u64, at as i64, Some(50), value)
        };
        cache.keep(key, &kept).await.expect("kept");
        assert_eq!(cache.kept(key, after(10)).await.expect("read"), Some(kept));
    }
    let bare = entry(9, 0, None, large);
    cache.keep("large", &bare).await.expect("kept");
    assert!(cache.kept("large", after(0)).await == Ok(Some(bare)), "a large value differs");
    let first = cache.kept(keys[0], after(10)).await.expect("read").expect("there");
    assert_eq!(first.value, strange, "other keys did not touch it");
    assert_eq!(cache.kept("name:o:n:1|global|s|a", after(10)).await, Ok(None));
}

/// An entry is given until it expires, and one without an end for ever.
///
/// # Panics
/// When it is given too long or not long enough.
pub async fn an_expired_entry_is_not_given(cache: &dyn StepCache) {
    cache.keep("short", &entry(1, 0, Some(1_000), json!(1))).await.expect("kept");
    cache.keep("endless", &entry(2, 0, None, json!(2))).await.expect("kept");
    for (ms, there) in [(0, true), (999, true), (1_000, false), (1_001, false)] {
        assert_eq!(cache.kept("short", after(ms)).await.expect("read").is_some(), there, "after {ms} ms");
    }
    let century = 100 * 366 * 24 * 3_600_000;
    assert!(cache.kept("endless", after(century)).await.expect("read").is_some());
    cache.keep("short", &entry(3, 2_000, Some(1_000), json!(3))).await.expect("kept");
    assert_eq!(cache.kept("short", after(2_500)).await.expect("read").map(|kept| kept.value), Some(json!(3)));
}

/// Of two entries the one that was stored later stays, in whatever order they come.
///
/// # Panics
/// When the earlier one stays.
pub async fn a_later_entry_replaces_an_earlier_one(cache: &dyn StepCache) {
    let (early, late) = (entry(1, -500, Some(9_000), json!("early")), entry(2, -400, None, json!("late")));
    cache.keep("k", &early).await.expect("kept");
    cache.count_hit("k", run(5), after(-450)).await.expect("counted");
    cache.keep("k", &late).await.expect("kept");
    assert_eq!(cache.kept("k", after(0)).await, Ok(Some(late.clone())), "with no hits of its own yet");
    cache.keep("k", &early).await.expect("no error");
    assert_eq!(cache.kept("k", after(0)).await, Ok(Some(late)));
}

/// Hits that come together are all counted, with the last of them.
///
/// # Panics
/// When one is lost.
pub async fn every_hit_is_counted(cache: &dyn StepCache) {
    cache.keep("k", &entry(1, -500, None, json!(1))).await.expect("kept");
    cache.keep("other", &entry(1, -500, None, json!(1))).await.expect("kept");
    assert_eq!(hits(cache, "k").await, Some((0, None, None)));
    let hit = |n: u64, ms: i64| cache.count_hit("k", run(n), after(ms));
    let (a, b, c, d) = tokio::join!(hit(2, -40), hit(3, -30), hit(4, -10), hit(5, -20));
    for counted in [a, b, c, d] {
        counted.expect("counted");
    }
    assert_eq!(hits(cache, "k").await, Some((4, Some(after(-10)), Some(run(4)))), "the latest is the last");
    assert_eq!(hits(cache, "other").await, Some((0, None, None)));
    cache.count_hit("gone", run(2), after(0)).await.expect("no error");
    assert_eq!(hits(cache, "gone").await, None);
}

/// Pruning removes what has expired, then what was longest neither stored nor taken.
///
/// # Panics
/// When it removes something else.
pub async fn pruning_removes_what_expired_and_what_was_longest_unused(cache: &dyn StepCache) {
    for n in 0..6_u64 {
        let lives = (n == 5).then_some(100);
        cache.keep(&format!("k{n}"), &entry(n, n as i64 * 10, lives, json!(n))).await.expect("kept");
    }
    cache.count_hit("k0", run(7), after(500)).await.expect("counted");
    assert_eq!(cache.prune(after(149), 6).await, Ok(0), "nothing is over");
    assert_eq!(cache.prune(after(150), 6).await, Ok(1), "one has expired");
    assert_eq!(cache.prune(after(150), 3).await, Ok(2));
    let mut left = Vec::new();
    for n in 0..6 {
        let key = format!("k{n}");
        if cache.kept(&key, after(0)).await.expect("read").is_some() {
            left.push(key);
        }
    }
    assert_eq!(left, ["k0", "k3", "k4"], "k0 was taken lately");
    assert_eq!(cache.prune(after(0), 0).await, Ok(3));
}

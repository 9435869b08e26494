//! Promises of inbox, membership, content and cursors.

use nightshift_domain::{content::Digest, ids::ShardId};

use super::{
    SHARDS,
    pen::{NOON, Pen, Plan, command_id, owner, stream},
};
use crate::{
    log::{InboxItem, Session, ShardBatch, Verdict},
    store::Store,
};

fn item(shard: u16, n: u64, after_ms: i64) -> InboxItem {
    InboxItem {
        stream: stream(shard, n % 3),
        command_id: command_id(n),
        payload: vec![0, n as u8, 255],
        arrived_at: NOON.plus_ms(after_ms),
    }
}

pub(super) fn session(n: u64) -> Session {
    Session {
        id: owner(n),
        node: format!("node {n}"),
        address: n.is_multiple_of(2).then(|| format!("http://[::1]:{n}")),
        build: "1.0".to_owned(),
    }
}

pub(super) async fn the_inbox_keeps_a_command_until_it_is_recorded(store: &dyn Store) {
    let pen = Pen::take(store).await;
    for n in 1..=3 {
        store.leave(&item(1, n, 0)).await.expect("left");
    }
    let other = InboxItem { payload: b"another".to_vec(), ..item(1, 1, 50) };
    store.leave(&other).await.expect("a repetition is a no-op");
    let waiting = store.waiting(&[ShardId(1)], 10).await.expect("read");
    let mut expected: Vec<InboxItem> = (1..=3).map(|n| item(1, n, 0)).collect();
    expected.sort_by_key(|item| item.command_id);
    assert_eq!(waiting, expected);

    let batch = pen.batch(1, &[Plan::of(stream(1, 1), 1, 1), Plan::rejected(stream(1, 2), 2)]);
    let stale = ShardBatch { epoch: batch.epoch - 1, ..batch.clone() };
    assert_eq!(store.append(&[stale]).await, Ok(vec![Verdict::Fenced]));
    assert_eq!(store.waiting(&[ShardId(1)], 10).await.expect("read").len(), 3, "a fenced batch consumes nothing");
    assert_eq!(store.append(&[batch]).await, Ok(vec![Verdict::Committed]));
    assert_eq!(store.waiting(&[ShardId(1)], 10).await, Ok(vec![item(1, 3, 0)]));
    store.discard(ShardId(2), command_id(3)).await.expect("of another shard");
    assert_eq!(store.waiting(&[ShardId(1)], 10).await.expect("read").len(), 1);
    store.discard(ShardId(1), command_id(3)).await.expect("discarded");
    store.discard(ShardId(1), command_id(3)).await.expect("twice is no error");
    assert_eq!(store.waiting(&[ShardId(1)], 10).await, Ok(vec![]));
    store.leave(&item(SHARDS, 9, 0)).await.expect_err("no such shard");
}

pub(super) async fn the_inbox_is_read_oldest_first(store: &dyn Store) {
    for n in 0..30_u64 {
        store.leave(&item((n % 4) as u16, n, i64::from(n as u32 * 7 % 30))).await.expect("left");
    }
    let shards: Vec<ShardId> = (0..3).map(ShardId).collect();
    let all = store.waiting(&shards, 100).await.expect("read");
    assert_eq!(all.len(), 23);
    assert!(all.windows(2).all(|pair| pair[0].arrived_at <= pair[1].arrived_at));
    assert_eq!(store.waiting(&shards, 5).await.expect("read"), all[..5]);
    assert_eq!(store.waiting(&[], 5).await, Ok(vec![]));
}

pub(super) async fn an_expired_session_is_dead(store: &dyn Store) {
    let (a, b) = (session(1), session(2));
    store.join(&a, 600_000).await.expect("joined");
    store.join(&b, 600_000).await.expect("joined");
    let mut both = vec![a.clone(), b.clone()];
    both.sort_by_key(|session| session.id);
    assert_eq!(store.living().await, Ok(both));
    assert_eq!(store.renew(a.id, 600_000).await, Ok(true));
    assert_eq!(store.renew(a.id, 0).await, Ok(true), "the last moment");
    assert_eq!(store.living().await, Ok(vec![b]));
    assert_eq!(store.renew(a.id, 600_000).await, Ok(false), "dead for ever");
    assert_eq!(store.renew(owner(99), 600_000).await, Ok(false), "never joined");
}

pub(super) async fn a_session_that_ended_is_gone(store: &dyn Store) {
    store.join(&session(2), 600_000).await.expect("joined");
    store.leave_session(session(2).id).await.expect("ended");
    assert_eq!(store.living().await, Ok(vec![]));
    assert_eq!(store.renew(session(2).id, 600_000).await, Ok(false));
}

pub(super) async fn content_is_kept_under_its_digest(store: &dyn Store) {
    let bytes: Vec<u8> = (0..300_000_u32).map(|n| n as u8).collect();
    let digest = Digest("ab".repeat(32));
    assert_eq!(store.get(&digest).await, Ok(None));
    store.put(&digest, bytes.clone()).await.expect("kept");
    store.put(&digest, bytes.clone()).await.expect("twice is once");
    assert!(store.get(&digest).await == Ok(Some(bytes)), "content differs");
    let empty = Digest("00".repeat(32));
    store.put(&empty, Vec::new()).await.expect("kept");
    assert_eq!(store.get(&empty).await, Ok(Some(Vec::new())));
}

pub(super) async fn cursors_are_kept_by_name(store: &dyn Store) {
    assert_eq!(store.cursors("spans").await, Ok(vec![]));
    store.set_cursors("spans", &[(ShardId(2), 7), (ShardId(1), 3)]).await.expect("noted");
    store.set_cursors("mail", &[(ShardId(1), 9)]).await.expect("noted");
    store.set_cursors("spans", &[(ShardId(2), 8)]).await.expect("noted");
    store.set_cursors("spans", &[]).await.expect("nothing to note");
    assert_eq!(store.cursors("spans").await, Ok(vec![(ShardId(1), 3), (ShardId(2), 8)]));
    assert_eq!(store.cursors("mail").await, Ok(vec![(ShardId(1), 9)]));
}

//! Promises about open obligations.

use nightshift_domain::{
    decider::Class,
    ids::{ShardId, StreamId},
};

use super::{
    SHARDS,
    pen::{NOON, Pen, Plan, job, stream, timer},
};
use crate::{
    log::{Owed, OwedQuery, ShardBatch, Verdict},
    store::Store,
};

fn everything() -> OwedQuery {
    OwedQuery { classes: Class::ALL.to_vec(), due_before: None, after: None, limit: 1_000 }
}

async fn keys_of(store: &dyn Store, stream: StreamId) -> Vec<String> {
    store.owed_by(stream).await.expect("read").into_iter().map(|owed| owed.obligation.key).collect()
}

pub(super) async fn obligations_open_and_close(store: &dyn Store) {
    let mut pen = Pen::take(store).await;
    let own = stream(1, 1);
    pen.write(1, &[Plan::of(own, 1, 2).open(job("b", NOON)).open(timer("a", NOON.plus_ms(5)))]).await;
    let expected = [
        Owed { stream: own, opened_seq: 2, obligation: timer("a", NOON.plus_ms(5)) },
        Owed { stream: own, opened_seq: 2, obligation: job("b", NOON) },
    ];
    assert_eq!(store.owed_by(own).await.expect("read"), expected);
    pen.write(1, &[Plan::of(own, 2, 1).close(own, "a").close(own, "never opened")]).await;
    assert_eq!(keys_of(store, own).await, ["b"]);
    pen.write(1, &[Plan::of(own, 3, 0).open(job("c", NOON))]).await;
    assert_eq!(store.owed_by(own).await.expect("read")[1].opened_seq, 3, "the head, for a commit without events");
}

pub(super) async fn pairs_inside_a_group_cancel_out(store: &dyn Store) {
    let mut pen = Pen::take(store).await;
    let own = stream(1, 1);
    pen.write(1, &[Plan::of(own, 1, 1).open(job("a", NOON)), Plan::of(own, 2, 1).close(own, "a").open(job("b", NOON))])
        .await;
    assert_eq!(keys_of(store, own).await, ["b"]);
}

pub(super) async fn a_key_can_be_closed_and_opened_again(store: &dyn Store) {
    let mut pen = Pen::take(store).await;
    let own = stream(1, 1);
    pen.write(1, &[Plan::of(own, 1, 1).open(timer("t", NOON))]).await;
    pen.write(1, &[Plan::of(own, 2, 1).close(own, "t").open(timer("t", NOON.plus_ms(1)))]).await;
    let owed = store.owed_by(own).await.expect("read");
    assert_eq!(owed, [Owed { stream: own, opened_seq: 2, obligation: timer("t", NOON.plus_ms(1)) }]);
    pen.write(1, &[Plan::of(own, 3, 1).close(own, "t"), Plan::of(own, 4, 1).open(job("t", NOON))]).await;
    assert_eq!(
        store.owed_by(own).await.expect("read"),
        [Owed { stream: own, opened_seq: 4, obligation: job("t", NOON) }]
    );
}

pub(super) async fn another_stream_of_the_shard_can_be_discharged(store: &dyn Store) {
    let mut pen = Pen::take(store).await;
    let (one, two) = (stream(1, 1), stream(1, 2));
    pen.write(1, &[Plan::of(one, 1, 1).open(job("same key", NOON)), Plan::of(two, 2, 1).open(job("same key", NOON))])
        .await;
    pen.write(1, &[Plan::of(two, 3, 1).close(one, "same key")]).await;
    assert_eq!(keys_of(store, one).await, [""; 0]);
    assert_eq!(keys_of(store, two).await, ["same key"]);
}

pub(super) async fn a_fenced_batch_opens_and_closes_nothing(store: &dyn Store) {
    let mut pen = Pen::take(store).await;
    let own = stream(1, 1);
    pen.write(1, &[Plan::of(own, 1, 1).open(job("a", NOON))]).await;
    let batch = pen.batch(1, &[Plan::of(own, 2, 1).close(own, "a").open(job("b", NOON))]);
    let stale = ShardBatch { epoch: batch.epoch - 1, ..batch };
    assert_eq!(store.append(&[stale]).await, Ok(vec![Verdict::Fenced]));
    assert_eq!(keys_of(store, own).await, ["a"]);
}

pub(super) async fn obligations_are_read_in_order_and_by_pages(store: &dyn Store) {
    let mut pen = Pen::take(store).await;
    let mut expected: Vec<(i64, StreamId, String)> = Vec::new();
    for n in 0..60_u64 {
        let shard = (n % u64::from(SHARDS)) as u16;
        let own = stream(shard, n % 7);
        let due = NOON.plus_ms(i64::from(n as u32 * 7_919 % 13));
        let key = format!("{}:{n}", ["Z", "a", "\u{e4}", "_"][n as usize % 4]);
        let owed = if n % 3 == 0 { job(&key, due) } else { timer(&key, due) };
        pen.write(shard, &[Plan::of(own, n, 1).open(owed)]).await;
        expected.push((due.micros(), own, key));
    }
    expected.sort_by(|a, b| (a.0, a.1.id, &a.2).cmp(&(b.0, b.1.id, &b.2)));
    let shards: Vec<ShardId> = (0..SHARDS).map(ShardId).collect();
    let mut query = OwedQuery { limit: 7, ..everything() };
    let mut read = Vec::new();
    loop {
        let page = store.owed(&shards, &query).await.expect("read");
        let Some(last) = page.last() else { break };
        query.after = Some((last.obligation.due_at, last.stream, last.obligation.key.clone()));
        read.extend(page.into_iter().map(|owed| (owed.obligation.due_at.micros(), owed.stream, owed.obligation.key)));
    }
    assert_eq!(read, expected);
    let due = OwedQuery { due_before: Some(NOON.plus_ms(3)), ..everything() };
    let early = store.owed(&shards, &due).await.expect("read");
    assert_eq!(early.len(), expected.iter().filter(|(due, ..)| *due < NOON.plus_ms(3).micros()).count());
    let jobs = OwedQuery { classes: vec![Class::Job], ..everything() };
    assert_eq!(store.owed(&shards, &jobs).await.expect("read").len(), 20);
    let one = store.owed(&shards[2..3], &everything()).await.expect("read");
    assert!(!one.is_empty() && one.iter().all(|owed| owed.stream.shard() == ShardId(2)));
    assert_eq!(store.owed(&[], &everything()).await, Ok(vec![]));
}

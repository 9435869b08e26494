//! Promises about reading streams, shards, commands and snapshots.

use nightshift_domain::ids::ShardId;

use super::pen::{Pen, Plan, command_id, stream};
use crate::{log::Snapshot, store::Store};

pub(super) async fn streams_and_shards_are_read_by_pages(store: &dyn Store) {
    let mut pen = Pen::take(store).await;
    for n in 0..20 {
        pen.write(1, &[Plan::of(stream(1, n % 2), n, 1), Plan::of(stream(1, 5), 100 + n, 2)]).await;
    }
    let pages = async |limit: u32| {
        let (mut seqs, mut after) = (Vec::new(), 0);
        loop {
            let page = store.read_shard(ShardId(1), after, limit).await.expect("read");
            assert!(page.len() <= limit as usize);
            let Some(last) = page.last() else { return seqs };
            after = last.seq;
            seqs.extend(page.iter().map(|event| event.seq));
        }
    };
    for limit in [1, 7, 60, 1_000] {
        assert_eq!(pages(limit).await, (1..=60).collect::<Vec<u64>>(), "by {limit}");
    }
    let tail = store.read_stream(stream(1, 5), 35, 3).await.expect("read");
    assert_eq!(tail.iter().map(|event| event.version).collect::<Vec<_>>(), [36, 37, 38]);
    assert_eq!(store.read_stream(stream(1, 77), 0, 10).await, Ok(vec![]));
    assert_eq!(store.read_stream(stream(2, 1), 0, 10).await, Ok(vec![]));
    assert_eq!(store.read_shard(ShardId(1), 60, 10).await, Ok(vec![]));
    assert_eq!(store.read_shard(ShardId(1), 0, 0).await, Ok(vec![]));
}

pub(super) async fn commands_are_read_in_order(store: &dyn Store) {
    let mut pen = Pen::take(store).await;
    let own = stream(1, 1);
    for n in 0..10_u64 {
        let plans =
            [Plan::rejected(own, n * 10), Plan::of(own, n * 10 + 1, n % 3), Plan::of(stream(1, 2), n * 10 + 2, 1)];
        pen.write(1, &plans).await;
    }
    let all = store.read_commands(own, None, 1_000).await.expect("read");
    let arrived: Vec<_> = (0..10).flat_map(|n| [command_id(n * 10), command_id(n * 10 + 1)]).collect();
    assert_eq!(all.iter().map(|command| command.record.id).collect::<Vec<_>>(), arrived);
    assert!(all.windows(2).all(|pair| pair[0].first_seq <= pair[1].first_seq));
    let (mut read, mut after) = (Vec::new(), None);
    loop {
        let page = store.read_commands(own, after, 3).await.expect("read");
        let Some(last) = page.last() else { break };
        after = Some(last.first_seq);
        read.extend(page);
    }
    assert_eq!(read, all, "by pages");
    assert_eq!(store.read_commands(stream(1, 77), None, 10).await, Ok(vec![]));
}

pub(super) async fn commands_of_one_place_come_together(store: &dyn Store) {
    let mut pen = Pen::take(store).await;
    let own = stream(1, 1);
    // Rejections of several groups, then the command that is taken: all share a first_seq.
    pen.write(1, &[Plan::of(own, 1, 1)]).await;
    for n in [9, 5, 7] {
        pen.write(1, &[Plan::rejected(own, n), Plan::rejected(own, n + 100)]).await;
    }
    pen.write(1, &[Plan::rejected(own, 3), Plan::of(own, 4, 1)]).await;
    pen.write(1, &[Plan::of(own, 2, 1)]).await;
    let order: Vec<_> = [1, 9, 109, 5, 105, 7, 107, 3, 4, 2].map(command_id).to_vec();
    let all = store.read_commands(own, None, 100).await.expect("read");
    assert_eq!(all.iter().map(|command| command.record.id).collect::<Vec<_>>(), order);
    let page = store.read_commands(own, Some(1), 2).await.expect("read");
    assert_eq!(page.iter().map(|command| command.record.id).collect::<Vec<_>>(), order[1..9], "more than asked for");
    assert_eq!(store.read_commands(own, Some(0), 1).await.expect("read").len(), 1);
}

pub(super) async fn a_newer_snapshot_replaces_the_older(store: &dyn Store) {
    let own = stream(1, 1);
    let of =
        |version, state_revision| Snapshot { stream: own, version, state_revision, data: vec![version as u8, 0, 255] };
    assert_eq!(store.snapshot(own).await, Ok(None));
    for (put, kept) in [(of(5, 1), of(5, 1)), (of(9, 1), of(9, 1)), (of(7, 1), of(9, 1)), (of(3, 2), of(3, 2))] {
        store.put_snapshot(&put).await.expect("kept");
        assert_eq!(store.snapshot(own).await, Ok(Some(kept)));
    }
    assert_eq!(store.snapshot(stream(1, 2)).await, Ok(None));
}

pub(super) async fn heads_are_those_of_shards_with_events(store: &dyn Store) {
    let mut pen = Pen::take(store).await;
    assert_eq!(store.heads().await, Ok(vec![]));
    pen.write(5, &[Plan::of(stream(5, 1), 1, 3)]).await;
    pen.write(2, &[Plan::of(stream(2, 1), 2, 1)]).await;
    pen.write(1, &[Plan::rejected(stream(1, 1), 3)]).await;
    assert_eq!(store.heads().await, Ok(vec![(ShardId(2), 1), (ShardId(5), 3)]));
}

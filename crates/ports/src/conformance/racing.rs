//! Writers that take a shard from each other while they append.

use nightshift_domain::ids::ShardId;

use super::pen::{Pen, Plan, command_id, stream};
use crate::{log::Verdict, store::Store};

const ROUNDS: u64 = 40;

/// Takes the shard and appends until it is fenced, again and again; returns the commands that were committed.
async fn writer(store: &dyn Store, number: u64) -> Vec<u64> {
    let shard = ShardId(1);
    let mut committed = Vec::new();
    let mut pen = Pen::take(store).await;
    for round in 0..ROUNDS {
        let command = number * 1_000 + round;
        // A stream for each command: another writer's versions are not known here.
        let batch = pen.batch(1, &[Plan::of(stream(1, command), command, 1 + round % 3)]);
        match store.append(std::slice::from_ref(&batch)).await.expect("answered")[..] {
            [Verdict::Committed] => {
                pen.note(&batch);
                committed.push(command);
            }
            _ => pen.acquire(&[shard], number).await,
        }
        // The others get their turn also where no call has to wait, but not in step.
        if (round + number).is_multiple_of(number + 1) {
            tokio::task::yield_now().await;
        }
    }
    committed
}

pub(super) async fn writers_that_race_never_share_a_place(store: &dyn Store) {
    let (one, two, three) = tokio::join!(writer(store, 1), writer(store, 2), writer(store, 3));
    let mut committed = [one, two, three].concat();
    assert!(committed.len() > 3, "the race has results: {committed:?}");
    let events = store.read_shard(ShardId(1), 0, u32::MAX).await.expect("read");
    assert_eq!(events.iter().map(|event| event.seq).collect::<Vec<_>>(), (1..=events.len() as u64).collect::<Vec<_>>());
    assert!(events.windows(2).all(|pair| pair[0].epoch <= pair[1].epoch), "no old writer behind a new one");
    let mut found = Vec::new();
    for number in 1..=3 {
        for command in (0..ROUNDS).map(|round| number * 1_000 + round) {
            let kept = store.command(ShardId(1), command_id(command)).await.expect("read");
            found.extend(kept.map(|_| command));
        }
    }
    committed.sort_unstable();
    assert_eq!(found, committed, "what was answered is what is there");
}

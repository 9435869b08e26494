//! A random trace: the same calls on the store and on the memory store must have the same outcomes and the same end.

use std::sync::Arc;

use nightshift_domain::{
    decider::Class,
    ids::{ShardId, StreamId, derive},
};

use super::{
    SHARDS,
    pen::{NOON, Pen, Plan, job, stream, timer},
};
use crate::{
    clock::ManualClock,
    log::{AppendError, InboxItem, OwedQuery, ShardBatch, Verdict},
    memory::MemoryStore,
    store::Store,
};

const STEPS: u64 = 250;

/// Numbers that look random and are the same each time.
struct Draw(u64);

impl Draw {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

/// Outcomes compared: what a contradiction says may differ.
fn outcome(result: Result<Vec<Verdict>, AppendError>) -> Result<Vec<Verdict>, &'static str> {
    result.map_err(|error| match error {
        AppendError::Contradiction { .. } => "contradiction",
        AppendError::NotWritten { .. } => "not written",
        AppendError::Unknown { .. } => "unknown",
    })
}

fn plan(draw: &mut Draw, shard: u16, next: &mut u64) -> Plan {
    // Now and then a command of the past, which contradicts the log if it is on the same shard.
    let command = if draw.chance(2) { draw.below(*next + 1) } else { *next };
    *next += 1;
    let own = stream(shard, draw.below(4));
    let events = draw.below(4);
    let mut plan = if events == 0 { Plan::rejected(own, command) } else { Plan::of(own, command, events) };
    plan.bare = draw.chance(5);
    for _ in 0..draw.below(3) {
        let key = format!("k{}", draw.below(6));
        let due = NOON.plus_ms(draw.below(50) as i64);
        let free = plan.opens.iter().all(|open| open.key != key);
        if free {
            plan.opens.push(if draw.chance(50) { job(&key, due) } else { timer(&key, due) });
        }
    }
    for _ in 0..draw.below(3) {
        let other = stream(shard, draw.below(4));
        plan.closes.push((other, format!("k{}", draw.below(6))));
    }
    plan
}

fn group(draw: &mut Draw, pen: &Pen<'_>, next: &mut u64) -> Vec<ShardBatch> {
    let first = draw.below(u64::from(SHARDS)) as u16;
    let batch = |n: u64| {
        let shard = (first + n as u16) % SHARDS;
        let plans: Vec<Plan> = (0..draw.below(5)).map(|_| plan(draw, shard, next)).collect();
        let mut batch = pen.batch(shard, &plans);
        if draw.chance(5) {
            batch.epoch -= 1;
        }
        batch
    };
    let count = 1 + first as u64 % 3;
    (0..count).map(batch).collect()
}

pub(super) async fn a_random_trace_ends_like_the_reference(store: &dyn Store) {
    let clock = Arc::new(ManualClock::at(NOON));
    let reference = &MemoryStore::new(derive("reference", &[]), SHARDS, clock) as &dyn Store;
    let mut pen = Pen::take(store).await;
    let mut next = 0;
    Pen::take(reference).await;
    let mut draw = Draw(20_261_121);
    for step in 0..STEPS {
        if draw.chance(10) {
            let item = InboxItem {
                stream: stream(draw.below(u64::from(SHARDS)) as u16, draw.below(4)),
                command_id: super::pen::command_id(next + draw.below(20)),
                payload: vec![step as u8],
                arrived_at: NOON.plus_ms(step as i64),
            };
            assert_eq!(store.leave(&item).await, reference.leave(&item).await, "step {step}");
        }
        if draw.chance(5) {
            let shard = [ShardId(draw.below(u64::from(SHARDS)) as u16)];
            let taken = reference.acquire(super::pen::owner(2), &shard, NOON).await.expect("acquired");
            pen.acquire(&shard, 2).await;
            assert_eq!(pen.epochs[&shard[0]], taken[0].epoch, "step {step}");
        }
        let group = group(&mut draw, &pen, &mut next);
        let expected = outcome(reference.append(&group).await);
        assert_eq!(outcome(store.append(&group).await), expected, "step {step}");
        for (batch, verdict) in group.iter().zip(expected.unwrap_or_default()) {
            if verdict == Verdict::Committed {
                pen.note(batch);
            }
        }
    }
    assert_equal(store, reference).await;
}

/// Everything that can be read is equal.
async fn assert_equal(store: &dyn Store, reference: &dyn Store) {
    let shards: Vec<ShardId> = (0..SHARDS).map(ShardId).collect();
    assert_eq!(store.heads().await, reference.heads().await);
    assert_eq!(store.waiting(&shards, 1_000).await, reference.waiting(&shards, 1_000).await);
    let query = OwedQuery { classes: Class::ALL.to_vec(), due_before: None, after: None, limit: 1_000 };
    let owed = store.owed(&shards, &query).await;
    assert!(owed.as_ref().is_ok_and(|owed| owed.len() > 10), "the trace leaves something open: {owed:?}");
    assert_eq!(owed, reference.owed(&shards, &query).await);
    for shard in shards {
        let events = store.read_shard(shard, 0, u32::MAX).await;
        assert!(events.as_ref().is_ok_and(|events| events.len() > 10), "shard {shard} has a log");
        assert_eq!(events, reference.read_shard(shard, 0, u32::MAX).await);
        for n in 0..4 {
            let own: StreamId = stream(shard.0, n);
            assert_eq!(store.read_stream(own, 0, 1_000).await, reference.read_stream(own, 0, 1_000).await);
            assert_eq!(store.read_commands(own, None, 1_000).await, reference.read_commands(own, None, 1_000).await);
            assert_eq!(store.owed_by(own).await, reference.owed_by(own).await);
        }
    }
}

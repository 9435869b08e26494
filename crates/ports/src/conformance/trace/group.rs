//! Groups of batches as a trace draws them: mostly as a journal writes them, now and then as one that is mistaken.
//!
//! Owns: commands, events, obligations, and the mistakes. Refuses to know: what becomes of a group.

use super::{
    super::{
        SHARDS,
        pen::{NOON, Pen, Plan, job, stream, timer},
    },
    Draw,
};
use crate::log::ShardBatch;

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

/// Some shards, each with some commands.
pub(super) fn group(draw: &mut Draw, pen: &Pen<'_>, next: &mut u64) -> Vec<ShardBatch> {
    let first = draw.below(u64::from(SHARDS)) as u16;
    let batch = |n: u64| {
        let shard = (first + n as u16) % SHARDS;
        let plans: Vec<Plan> = (0..draw.below(5)).map(|_| plan(draw, shard, next)).collect();
        let mut batch = pen.batch(shard, &plans);
        match draw.below(100) {
            0..4 => batch.epoch -= 1,
            4..6 => batch.expected_head += 1,
            6..8 => batch.expected_head = batch.expected_head.saturating_sub(1),
            8..11 => misnumber(draw, &mut batch),
            _ => {}
        }
        batch
    };
    let count = 1 + u64::from(first) % 3;
    (0..count).map(batch).collect()
}

/// An event whose version another event of the stream has: somebody else wrote in between.
fn misnumber(draw: &mut Draw, batch: &mut ShardBatch) {
    let events = batch.commits.iter_mut().flat_map(|commit| commit.events.iter_mut());
    if let Some(event) = events.last() {
        event.version = 1 + draw.below(event.version);
    }
}

//! What must hold of appends, in every state.
//!
//! Owns: the properties. Refuses to know: how a state was reached.

use super::{Append, Client, State, database::Row};
use crate::explore::Broken;

/// A client that was told so finds its command in the log, once.
pub const ACKNOWLEDGED: &str = "what was acknowledged is durable, exactly once";
/// All or nothing.
pub const WHOLE: &str = "the events of a command are there together or not at all";
/// Command ids are unique.
pub const ONCE: &str = "a command is recorded once";
/// The order of epochs.
pub const ORDER: &str = "no event of an old epoch stands behind one of a newer";
/// Epochs are unique.
pub const EPOCH: &str = "one epoch of a shard belongs to one session";
/// The fence.
pub const FENCE: &str = "nothing is written under an epoch that is not the shard's";
/// Resolution.
pub const NEVER: &str = "what was said not to be written never is";
/// Resolution, on the other side.
pub const LOST: &str = "only who has lost a shard is told so";
/// Places.
pub const DENSE: &str = "the places of a shard have no gap, and nobody shares one";

pub(super) fn check(model: &Append, state: &State) -> Vec<Broken> {
    let mut broken = state.broken.clone();
    let shards = (0..).zip(&state.db.shards);
    for (nth, shard) in shards {
        let rows = &shard.events;
        if !rows.iter().zip(1..).all(|(row, seq)| row.seq == seq) {
            broken.push(Broken::new(DENSE, format!("shard {nth}: {rows:?}")));
        }
        if rows.windows(2).any(|pair| pair[0].epoch > pair[1].epoch) {
            broken.push(Broken::new(ORDER, format!("shard {nth}: {rows:?}")));
        }
    }
    for (cmd, (order, client)) in (0..).zip(model.orders.iter().zip(&state.clients)) {
        let shard = state.db.shard(order.shard);
        let records = shard.commands.iter().filter(|other| **other == cmd).count();
        let rows: Vec<&Row> = shard.events.iter().filter(|row| row.cmd == cmd).collect();
        if records > 1 {
            broken.push(Broken::new(ONCE, format!("command {cmd}: {records} records")));
        }
        if records == 1 && !rows.iter().map(|row| row.part).eq(0..order.events) || records == 0 && !rows.is_empty() {
            broken.push(Broken::new(WHOLE, format!("command {cmd}: {records} records, {rows:?}")));
        }
        if *client == Client::Told && (records != 1 || rows.len() != usize::from(order.events)) {
            broken.push(Broken::new(ACKNOWLEDGED, format!("command {cmd}: {records} records, {rows:?}")));
        }
    }
    for (nth, (shard, epoch, session)) in state.epochs.iter().enumerate() {
        let other = state.epochs[..nth].iter().find(|(s, e, other)| (s, e) == (shard, epoch) && other != session);
        if let Some((.., other)) = other {
            let what = format!("epoch {epoch} of shard {shard}: sessions {other} and {session}");
            broken.push(Broken::new(EPOCH, what));
        }
    }
    broken
}

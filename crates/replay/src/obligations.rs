//! Which obligations are open, from what the decisions opened and closed.
//!
//! Owns: the fold of recorded deltas, and which command tells that an obligation was discharged elsewhere.
//! Refuses to know: the table of the store; it is compared with this.

use std::collections::BTreeMap;

use nightshift_domain::{
    codec::DecodeError,
    decider::{Duty, Obligation},
    ids::{CommandId, ShardId, StreamId},
};
use nightshift_ports::log::{Owed, RecordedCommand};
use serde_json::Value;

use crate::{
    decide::first_difference,
    folding::{delta_of, json},
    report::{Findings, Mismatch},
};

/// What one stream owes by its own decisions.
#[derive(Debug, Default)]
pub struct Ledger {
    open: BTreeMap<String, Owed>,
}

impl Ledger {
    /// Takes what a command opened and closed.
    pub fn take(&mut self, command: &RecordedCommand) -> Result<(), DecodeError> {
        let delta = delta_of(&command.record.delta)?;
        for key in &delta.closes {
            self.open.remove(key);
        }
        for obligation in delta.opens {
            let owed = Owed { stream: command.stream, opened_seq: command.last_seq, obligation };
            self.open.insert(owed.obligation.key.clone(), owed);
        }
        Ok(())
    }

    /// What its own decisions left open.
    pub fn left(self) -> Vec<Owed> {
        self.open.into_values().collect()
    }
}

/// The command whose record says that an obligation was discharged by another stream's decision, and the shard it is on.
pub fn receipt(owner: StreamId, obligation: &Obligation) -> Option<(ShardId, CommandId)> {
    let id = |outcome: &str| CommandId::of_obligation(owner, &obligation.key, outcome);
    match &obligation.duty {
        Duty::Wake { to, .. } | Duty::Tell { to, .. } => Some((to.shard(), id("tell"))),
        Duty::Assess { .. } => Some((owner.shard(), id("assessed"))),
        // Closed by a decision of the stream itself.
        Duty::Lease { .. } | Duty::Attempt { .. } | Duty::Ask { .. } | Duty::Report { .. } | Duty::Choose { .. } => {
            None
        }
    }
}

/// A discharge on another shard is written after the receiver's decision: until then both are true.
pub fn may_still_stand(owed: &Owed) -> bool {
    match &owed.obligation.duty {
        Duty::Wake { to, .. } | Duty::Tell { to, .. } => to.shard() != owed.stream.shard(),
        _ => false,
    }
}

/// Compares obligations kept with obligations computed.
pub fn compare(kept: &[Owed], computed: &[Owed]) -> Result<Findings<Mismatch>, DecodeError> {
    let by_place = |all: &[Owed]| -> Result<BTreeMap<String, Value>, DecodeError> {
        let pairs = all.iter().map(|owed| Ok((format!("{} {}", owed.stream, owed.obligation.key), owed_json(owed)?)));
        pairs.collect()
    };
    Ok(mismatches(by_place(kept)?, by_place(computed)?))
}

fn owed_json(owed: &Owed) -> Result<Value, DecodeError> {
    Ok(serde_json::json!({ "opened_seq": owed.opened_seq, "obligation": json(&owed.obligation)? }))
}

/// What is on one side only, or differs.
pub fn mismatches(kept: BTreeMap<String, Value>, mut computed: BTreeMap<String, Value>) -> Findings<Mismatch> {
    let mut found = Findings::default();
    for (subject, kept) in kept {
        let computed = computed.remove(&subject).unwrap_or(Value::Null);
        if let Some((path, kept, computed)) = first_difference(&kept, &computed) {
            found.add(Mismatch { subject, path, kept, computed });
        }
    }
    for (subject, computed) in computed {
        found.add(Mismatch { subject, path: String::new(), kept: Value::Null, computed });
    }
    found
}

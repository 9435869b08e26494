//! What buckets gave before this actor began, read from the end of the log.
//!
//! Owns: how far back is looked, and how many tokens are left of it.
//! Refuses to know: who waits.
//!
//! Each grant says in the log which buckets gave it a token, so nothing is written beside it. A bucket begins empty at
//! the first instant that was looked at and gets and gives tokens from there: it never begins with more than it had, and
//! after `capacity / refill` seconds without a grant with all of them.
//!
//! Invariant: over a restart, also after a kill, no bucket gives more than `capacity + elapsed * refill` tokens.

use std::{collections::HashMap, sync::Arc};

use nightshift_domain::{ids::ShardId, recorded::Recorded, run, streams::AnyEvent, time::Timestamp};
use nightshift_ports::log::{EventLog, StoreError};

use super::limits::{Bucket, Limits, Rate};
use crate::context::Context;

/// Events read at once of one shard.
const PAGE: u32 = 500;

/// The most events that are looked at. Where buckets refill so slowly that this is not enough, they begin with less.
const EVENTS_MAX: usize = 100_000;

/// What buckets gave.
#[derive(Debug, Default)]
pub struct Past {
    /// The first instant that is known; none: all of the log is.
    since: Option<Timestamp>,
    /// When each gave a token, in order.
    gave: HashMap<String, Vec<Timestamp>>,
    /// The limits that counted.
    limits: Limits,
}

impl Past {
    /// Reads what the buckets of `limits` may not have got back yet. When the log does not answer, they begin empty.
    pub async fn read(context: &Arc<Context>, limits: &Limits) -> Self {
        let now = context.clock_port.now();
        let Some(from) = limits.looked_back(now) else { return Self { limits: limits.clone(), ..Self::default() } };
        let found = Tails::of(context.journal.heads()).read(&*context.log, from).await;
        let (since, gave) = found.unwrap_or_else(|error| {
            tracing::warn!(%error, "what token buckets gave before is not known; they begin empty");
            (Some(now), HashMap::new())
        });
        Self { since, gave, limits: limits.clone() }
    }

    /// A bucket as it is now, when it was not asked since the beginning. A limit that came later begins full.
    pub fn bucket(&self, key: &str, rate: Rate, now: Timestamp) -> Bucket {
        if self.limits.rate(key) != Some(rate) {
            return Bucket::full(rate, now);
        }
        let gave = self.gave.get(key).map_or(&[][..], Vec::as_slice);
        Bucket::after(rate, self.since, gave, now)
    }
}

type Found = (Option<Timestamp>, HashMap<String, Vec<Timestamp>>);

/// The ends of shards, read backwards, a page of each in turn.
struct Tails {
    /// What is left of each: up to this sequence number.
    left: Vec<(ShardId, u64)>,
    gave: HashMap<String, Vec<Timestamp>>,
    read: usize,
    /// The latest instant before which something was not read.
    since: Option<Timestamp>,
}

impl Tails {
    fn of(heads: Vec<(ShardId, u64)>) -> Self {
        let left = heads.into_iter().filter(|(_, head)| *head > 0).collect();
        Self { left, gave: HashMap::new(), read: 0, since: None }
    }

    async fn read(mut self, log: &dyn EventLog, from: Timestamp) -> Result<Found, StoreError> {
        while !self.left.is_empty() {
            for (shard, upto) in std::mem::take(&mut self.left) {
                let after = upto.saturating_sub(u64::from(PAGE));
                let mut page = log.read_shard(shard, after, PAGE).await?;
                page.retain(|recorded| recorded.seq <= upto);
                self.page((shard, after), &page, from);
            }
        }
        self.gave.values_mut().for_each(|gave| gave.sort_unstable());
        Ok((self.since, self.gave))
    }

    fn page(&mut self, (shard, after): (ShardId, u64), page: &[Recorded], from: Timestamp) {
        self.read += page.len();
        page.iter().for_each(|recorded| self.note(recorded));
        let Some(first) = page.first().filter(|_| after > 0) else { return };
        if first.at > from && self.read < EVENTS_MAX {
            self.left.push((shard, after));
        } else {
            self.since = self.since.max(Some(first.at.max(from)));
        }
    }

    fn note(&mut self, recorded: &Recorded) {
        if recorded.event_type != "run.attempt_started" {
            return;
        }
        if let Ok(AnyEvent::Run(run::Event::AttemptStarted { buckets, .. })) = recorded.decode() {
            buckets.into_iter().for_each(|key| self.gave.entry(key).or_default().push(recorded.at));
        }
    }
}

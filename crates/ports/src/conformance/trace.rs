//! A random trace: the same calls on the store and on the memory store must have the same answers and the same end.
//!
//! Owns: which call comes next, and that every answer is compared. What is done to the log is in `trace/group.rs`, what to
//! rows in `trace/tables.rs`. Refuses to know: which store it is given.
//!
//! Invariant: the trace follows from its seed. The first answer that differs names the seed and the step, so the shortest
//! trace that shows it is the same seed with as many steps.

mod group;
mod tables;

use std::{fmt, sync::Arc};

use nightshift_domain::{
    content::Digest,
    decider::Class,
    ids::{CommandId, ShardId, StreamId, derive},
    json::Json,
    time::Timestamp,
};
use nightshift_projections::table::TableDef;
use serde_json::json;

use super::{
    PROBES, SHARDS,
    pen::{NOON, Pen, command_id, owner, stream},
    sides::session,
};
use crate::{
    clock::ManualClock,
    log::{AppendError, InboxItem, OwedQuery, Resolution, Snapshot, Verdict},
    memory::MemoryStore,
    step_cache::Entry,
    store::Store,
};

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

    fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize].clone()
    }

    fn shard(&mut self) -> ShardId {
        ShardId(self.below(u64::from(SHARDS)) as u16)
    }

    fn stream(&mut self) -> StreamId {
        stream(self.shard().0, self.below(4))
    }

    fn shards(&mut self) -> Vec<ShardId> {
        (0..SHARDS).map(ShardId).filter(|_| !self.chance(30)).collect()
    }

    fn at(&mut self) -> Timestamp {
        NOON.plus_ms(self.below(60) as i64)
    }
}

/// Where a trace is, for whoever reads that an answer differs.
#[derive(Clone, Copy)]
struct At {
    seed: u64,
    step: u64,
    call: &'static str,
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, step, call } = self;
        write!(f, "step {step} of the trace of seed {seed} ({call}); again: NIGHTSHIFT_TRACE_SEED={seed} ")?;
        write!(f, "NIGHTSHIFT_TRACE_STEPS={} cargo nextest run -p nightshift-tests random_traces", step + 1)
    }
}

/// A trace under way.
struct Trace<'a> {
    store: &'a dyn Store,
    reference: &'a dyn Store,
    tables: &'static [&'static TableDef],
    pen: Pen<'a>,
    draw: Draw,
    /// The next new command.
    next: u64,
    at: At,
    rows: tables::Rows,
}

/// The same call on both stores has the same answer, which is given back.
macro_rules! answer {
    ($trace:ident, $store:ident => $call:expr) => {{
        let one = {
            let $store = $trace.store;
            $call
        };
        let other = {
            let $store = $trace.reference;
            $call
        };
        assert_eq!(one, other, "{}", $trace.at);
        other
    }};
}
/// As [`answer`], of which nothing more is wanted.
macro_rules! same {
    ($trace:ident, $store:ident => $call:expr) => {{
        let _ = answer!($trace, $store => $call);
    }};
}
use {answer, same};

pub(super) async fn a_random_trace_ends_like_the_reference(store: &dyn Store) {
    trace(store, PROBES, 20_261_121, 400).await;
}

/// Makes `steps` random calls on a store that nobody has used, which has `tables`, and on the memory store.
///
/// # Panics
/// An answer differs; it says which, and how to see it again.
pub async fn trace(store: &dyn Store, tables: &'static [&'static TableDef], seed: u64, steps: u64) {
    let clock = Arc::new(ManualClock::at(NOON));
    let reference = &MemoryStore::new(derive("reference", &[]), SHARDS, clock) as &dyn Store;
    let pen = Pen::take(store).await;
    Pen::take(reference).await;
    let at = At { seed, step: 0, call: "" };
    let rows = tables::Rows::default();
    let mut trace = Trace { store, reference, tables, pen, draw: Draw(seed), next: 0, at, rows };
    for step in 0..steps {
        trace.at.step = step;
        trace.step().await;
        if step % 50 == 49 {
            trace.all().await;
        }
    }
    trace.all().await;
}

impl Trace<'_> {
    async fn step(&mut self) {
        match self.draw.below(100) {
            0..30 => self.append().await,
            30..36 => self.leave().await,
            36..40 => self.take_over().await,
            40..43 => self.resolve().await,
            43..63 => self.look().await,
            63..68 => self.snapshots().await,
            68..72 => self.sides().await,
            72..76 => self.cache().await,
            76..88 => self.write_rows().await,
            88..90 => self.rebuild().await,
            _ => self.ask_rows().await,
        }
    }

    /// Outcomes compared: what a contradiction says may differ.
    async fn append(&mut self) {
        self.at.call = "append";
        let group = group::group(&mut self.draw, &self.pen, &mut self.next);
        let outcome = |result: Result<Vec<Verdict>, AppendError>| {
            result.map_err(|error| match error {
                AppendError::Contradiction { .. } => "contradiction",
                AppendError::NotWritten { .. } => "not written",
                AppendError::Unknown { .. } => "unknown",
            })
        };
        let verdicts = answer!(self, store => outcome(store.append(&group).await));
        for (batch, verdict) in group.iter().zip(verdicts.unwrap_or_default()) {
            if verdict == Verdict::Committed {
                self.pen.note(batch);
            }
        }
    }

    async fn leave(&mut self) {
        self.at.call = "inbox";
        let id = command_id(self.next + self.draw.below(20));
        if self.draw.chance(25) {
            let shard = self.draw.shard();
            same!(self, store => store.discard(shard, id).await);
            return;
        }
        let (stream, payload) = (self.draw.stream(), vec![self.at.step as u8]);
        let item = InboxItem { stream, command_id: id, payload, arrived_at: self.draw.at() };
        same!(self, store => store.leave(&item).await);
    }

    /// Another owner takes some shards: what was written under the old epoch is fenced from now on.
    async fn take_over(&mut self) {
        self.at.call = "acquire";
        let shards: Vec<ShardId> = (0..=self.draw.below(2)).map(|_| self.draw.shard()).collect();
        let mut shards = shards;
        shards.sort();
        shards.dedup();
        let (who, now) = (owner(self.draw.below(3)), self.draw.at());
        let sorted = |owned: Vec<crate::log::Ownership>| {
            let mut owned: Vec<_> = owned.into_iter().map(|own| (own.shard, own.epoch, own.head, own.hlc)).collect();
            owned.sort();
            owned
        };
        let taken = answer!(self, store => store.acquire(who, &shards, now).await.map(sorted)).expect("acquired");
        for (shard, epoch, ..) in taken {
            // Now and then the old writer does not notice, and goes on under its epoch.
            if !self.draw.chance(30) {
                self.pen.epochs.insert(shard, epoch);
            }
        }
    }

    async fn resolve(&mut self) {
        self.at.call = "resolve";
        let (shard, who, now) = (self.draw.shard(), owner(self.draw.below(3)), self.draw.at());
        let epoch = self.pen.epochs[&shard] - i64::from(self.draw.chance(20));
        let command = self.command();
        let found = answer!(self, store => store.resolve(who, shard, epoch, command, now).await);
        if let Ok(Resolution::Written { epoch } | Resolution::NotWritten { epoch }) = found {
            self.pen.epochs.insert(shard, epoch);
        }
    }

    /// A command that may have been appended.
    fn command(&mut self) -> CommandId {
        command_id(self.draw.below(self.next + 2))
    }

    /// One of the questions to the log.
    async fn look(&mut self) {
        self.at.call = "read";
        let (stream, shard, shards) = (self.draw.stream(), self.draw.shard(), self.draw.shards());
        let (after, limit) = (self.draw.below(12), 1 + self.draw.below(9) as u32);
        let command = self.command();
        match self.draw.below(8) {
            0 => same!(self, store => store.read_stream(stream, after, limit).await),
            1 => same!(self, store => store.read_shard(shard, after * 3, limit).await),
            2 => same!(self, store => store.command(shard, command).await),
            3 => {
                let after = self.draw.chance(60).then_some(after * 2);
                same!(self, store => store.read_commands(stream, after, limit).await);
            }
            4 => same!(self, store => store.owed_by(stream).await),
            5 => same!(self, store => store.waiting(&shards, limit).await),
            6 => same!(self, store => store.heads().await),
            _ => {
                let classes = Class::ALL.into_iter().filter(|_| self.draw.chance(60)).collect();
                let due_before = self.draw.chance(50).then(|| self.draw.at());
                let mut query = OwedQuery { classes, due_before, after: None, limit };
                // The next page begins where this one ends.
                let page = answer!(self, store => store.owed(&shards, &query).await).expect("read");
                let last = page.last().map(|owed| (owed.obligation.due_at, owed.stream, owed.obligation.key.clone()));
                if last.is_some() {
                    query.after = last;
                    same!(self, store => store.owed(&shards, &query).await);
                }
            }
        }
    }

    async fn snapshots(&mut self) {
        self.at.call = "snapshot";
        let stream = self.draw.stream();
        if self.draw.chance(60) {
            let (version, data) = (1 + self.draw.below(30), vec![self.at.step as u8; self.draw.below(40) as usize]);
            let snapshot = Snapshot { stream, version, state_revision: self.draw.below(3) as u32, data };
            same!(self, store => store.put_snapshot(&snapshot).await);
        }
        same!(self, store => store.snapshot(stream).await);
    }

    /// Cursors, content, sessions.
    async fn sides(&mut self) {
        self.at.call = "sides";
        let name = self.draw.pick(&["spans", "mail", ""]);
        let places: Vec<(ShardId, u64)> =
            self.draw.shards().into_iter().map(|shard| (shard, self.draw.below(99))).collect();
        let n = self.draw.below(6);
        let (digest, bytes) = (Digest(format!("{n:064x}")), vec![n as u8; n as usize * 1_000]);
        match self.draw.below(6) {
            0 => same!(self, store => store.set_cursors(name, &places).await),
            1 => same!(self, store => store.cursors(name).await),
            2 => same!(self, store => store.put(&digest, bytes.clone()).await),
            3 => same!(self, store => store.get(&digest).await),
            4 => same!(self, store => store.join(&session(n), 600_000).await),
            _ => same!(self, store => store.leave_session(session(n).id).await),
        }
        same!(self, store => store.living().await);
    }

    async fn cache(&mut self) {
        self.at.call = "step cache";
        let (key, now) = (format!("key {}", self.draw.below(5)), self.draw.at());
        let run =
            nightshift_domain::ids::RunId::on_shard(derive("run", &[&[self.draw.below(9) as u8]]), self.draw.shard());
        let value: Json = self.draw.pick(&[json!({"a": [1, null]}), json!("x"), json!(1.5), json!(null)]);
        let entry = Entry {
            value,
            status_code: self.draw.chance(50).then_some(200),
            etag: self.draw.chance(50).then(|| "e\"".to_owned()),
            stored_at: now,
            expires_at: self.draw.chance(60).then(|| now.plus_ms(self.draw.below(40) as i64)),
            run,
            step: "s".to_owned(),
            hits: 0,
            last_hit_at: None,
            last_hit_run: None,
        };
        let entries_max = self.draw.below(6);
        match self.draw.below(8) {
            0..4 => same!(self, store => store.keep(&key, &entry).await),
            4 => same!(self, store => store.prune(now, entries_max).await),
            _ => same!(self, store => store.count_hit(&key, run, now).await),
        }
        same!(self, store => store.kept(&key, now).await);
    }

    /// Everything that can be read is equal.
    async fn all(&mut self) {
        self.at.call = "everything";
        let shards: Vec<ShardId> = (0..SHARDS).map(ShardId).collect();
        same!(self, store => store.heads().await);
        same!(self, store => store.waiting(&shards, 1_000).await);
        let query = OwedQuery { classes: Class::ALL.to_vec(), due_before: None, after: None, limit: 1_000 };
        let owed = answer!(self, store => store.owed(&shards, &query).await);
        assert!(
            self.at.step < 399 || owed.as_ref().is_ok_and(|owed| owed.len() > 10),
            "something is left open: {owed:?}"
        );
        for shard in shards {
            same!(self, store => store.read_shard(shard, 0, u32::MAX).await);
            for n in 0..4 {
                let own = stream(shard.0, n);
                same!(self, store => store.read_stream(own, 0, 1_000).await);
                same!(self, store => store.read_commands(own, None, 1_000).await);
                same!(self, store => store.owed_by(own).await);
                same!(self, store => store.snapshot(own).await);
            }
        }
        self.all_rows().await;
    }
}

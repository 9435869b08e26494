//! What is looked at when faults and traffic have stopped, or once for each stream.
//!
//! Owns: I9, I10, I18, I19 and I25. Refuses to know: how long it took.

use std::collections::{BTreeMap, BTreeSet};

use nightshift_domain::{
    decider::Obligation,
    ids::{ShardId, StreamId},
    schedule,
    streams::AnyCommand,
    time::Timestamp,
};
use nightshift_ports::log::RecordedCommand;
use nightshift_projections::{Image, Rows, apply, reads};
use serde_json::Value;

use super::Audit;
use crate::{
    history::History,
    obligations::{may_still_stand, receipt},
    replay::Options,
    simulate::{
        Invariant,
        database::{Database, Due, Key},
        mind::Mind,
    },
};

impl Audit {
    /// Everything that can be said at the end.
    pub fn end(&mut self, db: &Database, (quiet, now): (bool, Timestamp), sampled: &dyn Fn(StreamId) -> bool) {
        if quiet {
            let owes = |stream: StreamId| {
                let first = db.table(stream.shard()).owed.range((stream, "".into())..).next();
                first.is_some_and(|((owner, _), _)| *owner == stream)
            };
            self.stuck_runs(&owes, now);
            self.stuck_versions(now);
            self.stuck_bulks(now);
            self.schedules_follow(now);
            let timers = |stream: StreamId| timers_of(db, stream);
            self.told_slots(&timers, now);
            for run in std::mem::take(&mut self.requested) {
                let there = db.stream(run.stream(), 0).next().is_some();
                self.holds(Invariant::I25, there, now, || format!("run {run} was asked for and never began"));
            }
        } else {
            let left = unpaid(db, now);
            self.violated(
                Invariant::I25,
                format!("it does not come to rest; {} are owed: {}", left.len(), few(&left)),
                now,
            );
        }
        self.books(db, now, sampled);
    }

    /// The table of obligations is the fold of the streams; so are snapshots.
    fn books(&mut self, db: &Database, now: Timestamp, sampled: &dyn Fn(StreamId) -> bool) {
        for (nth, table) in db.shards.iter().enumerate() {
            let mut streams: BTreeSet<StreamId> = table.log.iter().map(|written| written.fact.stream).collect();
            streams.retain(|stream| sampled(*stream));
            for stream in streams {
                let open = self.fold(db, stream, now);
                let from: (StreamId, Key) = (stream, "".into());
                let kept = table.owed.range(from..).take_while(|((owner, _), _)| *owner == stream);
                let kept: BTreeSet<&str> = kept.map(|((_, key), _)| &**key).collect();
                let standing = open.iter().filter(|(_, owed)| stands(db, stream, owed, &kept));
                let wanted: BTreeSet<&str> = standing.map(|(key, _)| key.as_str()).collect();
                self.holds(Invariant::I9, kept == wanted, now, || {
                    let (more, less) = (kept.difference(&wanted), wanted.difference(&kept));
                    format!("shard {nth} {stream}: owed beyond the fold {more:?}, of the fold not owed {less:?}")
                });
            }
        }
    }

    /// What a stream owes by its own events; its snapshot is compared on the way.
    fn fold(&mut self, db: &Database, stream: StreamId, now: Timestamp) -> BTreeMap<String, Obligation> {
        let (mut mind, mut open) = (Mind::unborn(stream.kind), BTreeMap::new());
        let snapshot = db.snapshots.get(&stream);
        for written in db.stream(stream, 0) {
            let fact = &written.fact;
            let delta = mind.obligations(stream, &fact.event, fact.at);
            delta.closes.iter().for_each(|key| drop(open.remove(key)));
            open.extend(delta.opens.into_iter().map(|obligation| (obligation.key.clone(), obligation)));
            mind.evolve(&fact.event, fact.at);
            if let Some(snapshot) = snapshot.filter(|snapshot| snapshot.version == fact.version) {
                let same = snapshot.state.bytes() == mind.bytes();
                self.holds(Invariant::I18, same, now, || {
                    format!("{stream}: the snapshot of version {} is not the fold", fact.version)
                });
            }
        }
        open
    }

    /// Decisions of sampled streams are made again.
    pub fn replay(&mut self, db: &Database, now: Timestamp, sampled: &dyn Fn(StreamId) -> bool) {
        let options = Options { shard_count: u16::try_from(db.shards.len()).ok(), ..Options::default() };
        let mut streams: BTreeMap<StreamId, Vec<RecordedCommand>> = BTreeMap::new();
        for (nth, table) in db.shards.iter().enumerate() {
            let shard = ShardId(u16::try_from(nth).unwrap_or(0));
            for kept in table.order.iter().filter_map(|id| table.commands.get(id)).filter(|kept| sampled(kept.stream)) {
                streams.entry(kept.stream).or_default().push(recorded(shard, kept));
            }
        }
        for (stream, commands) in streams {
            let mut history = History::new(stream, &options);
            let mut commands = commands.into_iter().peekable();
            for written in db.stream(stream, 0) {
                while let Some(command) = commands.next_if(|command| command.first_seq <= written.fact.seq) {
                    history.command(command);
                }
                history.event(written.recorded(stream.shard()));
            }
            commands.for_each(|command| history.command(command));
            let (report, _) = history.end();
            self.looked(Invariant::I19, report.commands);
            let first = report.diverged.first.first().map(ToString::to_string);
            let first = first.or_else(|| report.corrupt.first.first().map(ToString::to_string));
            let first = first.or_else(|| report.undecodable.first.first().map(ToString::to_string));
            if let Some(what) = first {
                self.violated(Invariant::I19, format!("{stream}: {what}"), now);
            }
        }
    }

    /// Rows are the fold of the log, in one piece. Events are those that were written: that they decode to the same is
    /// seen when sampled streams are decided again.
    pub fn rows(&mut self, db: &Database, now: Timestamp, sampled: &dyn Fn(StreamId) -> bool) {
        let mut rows = Rows::new();
        for (nth, table) in db.shards.iter().enumerate() {
            let shard = ShardId(u16::try_from(nth).unwrap_or(0));
            let upto = db.checkpoints.get(&shard).copied().unwrap_or(0);
            let folded = table.log.iter().filter(|written| written.fact.seq <= upto && sampled(written.fact.stream));
            for written in folded {
                let place = written.place(shard);
                for (table, key) in reads(&written.fact.event, &place) {
                    rows.load_image(table, key, None);
                }
                apply(&mut rows, &place, &written.fact.event);
            }
        }
        let (computed, _) = rows.take_changed();
        self.looked(Invariant::I10, computed.len() as u64);
        let more = db.rows.len().saturating_sub(computed.len());
        if more > 0 {
            self.violated(Invariant::I10, format!("the read models have {more} rows that the log does not make"), now);
        }
        for (table, image) in computed {
            let kept = db.rows.get(&(table.name, image.key(table)));
            if kept != Some(&image) {
                let row = |image: Image| Value::Object(image.into_row(table));
                let (wanted, kept) = (row(image), kept.cloned().map_or(Value::Null, row));
                self.violated(
                    Invariant::I10,
                    format!("{}: {kept} is kept where {wanted} is the fold", table.name),
                    now,
                );
            }
        }
    }
}

fn recorded(shard: ShardId, kept: &crate::simulate::database::Kept) -> RecordedCommand {
    let row = &kept.row;
    let record = nightshift_ports::log::CommandRecord {
        id: row.id,
        payload: row.payload.clone(),
        ctx: row.ctx.clone(),
        accepted: row.accepted,
        reply: row.reply.clone(),
        delta: row.delta.clone(),
    };
    RecordedCommand { shard, stream: kept.stream, record, first_seq: kept.first, last_seq: kept.last }
}

/// Whether what a stream's own events leave open is still owed: another stream may have discharged it.
fn stands(db: &Database, stream: StreamId, obligation: &Obligation, kept: &BTreeSet<&str>) -> bool {
    let owed = nightshift_ports::log::Owed { stream, opened_seq: 0, obligation: obligation.clone() };
    match receipt(stream, obligation) {
        Some(_) if kept.contains(obligation.key.as_str()) && may_still_stand(&owed) => true,
        Some((shard, id)) => db.command(shard, id).is_none(),
        None => true,
    }
}

fn timers_of(db: &Database, stream: StreamId) -> Vec<Timestamp> {
    let owed = db.table(stream.shard()).owed.range((stream, "".into())..);
    let own = owed.take_while(|((owner, _), _)| *owner == stream);
    own.filter_map(|(_, owed)| match &owed.debt.duty {
        Due::Wake { command, .. } => match &**command {
            AnyCommand::Schedule(schedule::Command::Fire { nominal }) => Some(*nominal),
            _ => None,
        },
        _ => None,
    })
    .collect()
}

/// What is owed and is no timer of the future.
pub fn unpaid(db: &Database, now: Timestamp) -> Vec<String> {
    let all = db.shards.iter().flat_map(|table| table.owed.values());
    let due = all.filter(|owed| !owed.debt.is_timer() || owed.debt.due_at <= now);
    due.map(|owed| format!("{} {}", owed.stream, owed.debt.key)).collect()
}

fn few(all: &[String]) -> String {
    all.iter().take(5).map(String::as_str).collect::<Vec<_>>().join("; ")
}

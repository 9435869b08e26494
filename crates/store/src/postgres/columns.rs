//! A group of batches as the parallel arrays of `append.sql`.
//!
//! Owns: one array for each column; payloads are borrowed, not copied.

use std::collections::HashMap;

use nightshift_ports::{
    batch::{self, Opened, Placed},
    log::{AppendError, CommandRecord, ShardBatch},
};
use sqlx::{Postgres, postgres::PgArguments, query::Query};
use uuid::Uuid;

use crate::record::{encoded, number};

#[derive(Default)]
pub(super) struct Columns<'a> {
    shards: Vec<i32>,
    epochs: Vec<i64>,
    heads: Vec<i64>,
    events: Events<'a>,
    commands: Commands<'a>,
    opens: Opens<'a>,
    closes: Closes<'a>,
}

#[derive(Default)]
struct Events<'a> {
    shard: Vec<i32>,
    seq: Vec<i64>,
    kind: Vec<&'static str>,
    stream: Vec<Uuid>,
    version: Vec<i64>,
    event_type: Vec<&'a str>,
    type_version: Vec<i16>,
    hlc: Vec<i64>,
    at: Vec<i64>,
    command: Vec<Uuid>,
    meta: Vec<Vec<u8>>,
    data: Vec<&'a [u8]>,
}

#[derive(Default)]
struct Commands<'a> {
    shard: Vec<i32>,
    id: Vec<Uuid>,
    kind: Vec<&'static str>,
    stream: Vec<Uuid>,
    first: Vec<i64>,
    last: Vec<i64>,
    ord: Vec<i64>,
    accepted: Vec<bool>,
    payload: Vec<&'a [u8]>,
    ctx: Vec<&'a [u8]>,
    reply: Vec<&'a [u8]>,
    delta: Vec<&'a [u8]>,
}

#[derive(Default)]
struct Opens<'a> {
    shard: Vec<i32>,
    stream: Vec<Uuid>,
    key: Vec<&'a str>,
    kind: Vec<&'static str>,
    class: Vec<i16>,
    due: Vec<i64>,
    priority: Vec<i16>,
    opened_seq: Vec<i64>,
    body: Vec<Vec<u8>>,
}

#[derive(Default)]
struct Closes<'a> {
    shard: Vec<i32>,
    stream: Vec<Uuid>,
    key: Vec<&'a str>,
}

impl<'a> Columns<'a> {
    pub(super) fn of(group: &'a [ShardBatch]) -> Result<Self, AppendError> {
        let mut columns = Self::default();
        for batch in group {
            columns.batch(batch)?;
        }
        Ok(columns)
    }

    fn batch(&mut self, batch: &'a ShardBatch) -> Result<(), AppendError> {
        let shard = i32::from(batch.shard.0);
        self.shards.push(shard);
        self.epochs.push(batch.epoch);
        self.heads.push(number(batch.expected_head));
        // Commands of one stream at one place in the log, counted.
        let mut at_place: HashMap<(Uuid, u64), i64> = HashMap::new();
        for placed in batch::placed(batch) {
            self.events.push(shard, placed)?;
            if let Some(record) = &placed.commit.command {
                let ord = at_place.entry((placed.commit.stream.id, placed.first_seq)).or_insert(0);
                self.commands.push(shard, placed, record, *ord);
                *ord += 1;
            }
        }
        let settled = batch::settle(batch);
        for (stream, key) in settled.closes {
            self.closes.shard.push(shard);
            self.closes.stream.push(stream.id);
            self.closes.key.push(key);
        }
        settled.opens.into_iter().try_for_each(|opened| self.opens.push(shard, opened))
    }

    /// Binds everything, in the order of the parameters.
    pub(super) fn bind<'q>(self, query: Query<'q, Postgres, PgArguments>) -> Query<'q, Postgres, PgArguments>
    where
        'a: 'q,
    {
        let Self { shards, epochs, heads, events: e, commands: c, opens: o, closes: x } = self;
        let query = query.bind(shards).bind(epochs).bind(heads);
        let query = query.bind(e.shard).bind(e.seq).bind(e.kind).bind(e.stream).bind(e.version).bind(e.event_type);
        let query = query.bind(e.type_version).bind(e.hlc).bind(e.at).bind(e.command).bind(e.meta).bind(e.data);
        let query = query.bind(c.shard).bind(c.id).bind(c.kind).bind(c.stream).bind(c.first).bind(c.last).bind(c.ord);
        let query = query.bind(c.accepted).bind(c.payload).bind(c.ctx).bind(c.reply).bind(c.delta);
        let query = query.bind(o.shard).bind(o.stream).bind(o.key).bind(o.kind).bind(o.class).bind(o.due);
        let query = query.bind(o.priority).bind(o.opened_seq).bind(o.body);
        query.bind(x.shard).bind(x.stream).bind(x.key)
    }
}

impl<'a> Events<'a> {
    fn push(&mut self, shard: i32, placed: Placed<'a>) -> Result<(), AppendError> {
        let commit = placed.commit;
        if commit.events.is_empty() {
            return Ok(());
        }
        let meta = encoded(&commit.meta)?;
        for event in &commit.events {
            self.shard.push(shard);
            self.seq.push(number(event.seq));
            self.kind.push(commit.stream.kind.as_str());
            self.stream.push(commit.stream.id);
            self.version.push(number(event.version));
            self.event_type.push(&event.event_type);
            self.type_version.push(i16::try_from(event.type_version).unwrap_or(i16::MAX));
            self.hlc.push(number(event.hlc));
            self.at.push(commit.at.micros());
            self.command.push(commit.command_id.0);
            self.meta.push(meta.clone());
            self.data.push(&event.data);
        }
        Ok(())
    }
}

impl<'a> Commands<'a> {
    fn push(&mut self, shard: i32, placed: Placed<'a>, record: &'a CommandRecord, ord: i64) {
        self.shard.push(shard);
        self.id.push(record.id.0);
        self.kind.push(placed.commit.stream.kind.as_str());
        self.stream.push(placed.commit.stream.id);
        self.first.push(number(placed.first_seq));
        self.last.push(number(placed.last_seq));
        self.ord.push(ord);
        self.accepted.push(record.accepted);
        self.payload.push(&record.payload);
        self.ctx.push(&record.ctx);
        self.reply.push(&record.reply);
        self.delta.push(&record.delta);
    }
}

impl<'a> Opens<'a> {
    fn push(&mut self, shard: i32, opened: Opened<'a>) -> Result<(), AppendError> {
        let Opened { stream, opened_seq, obligation } = opened;
        self.shard.push(shard);
        self.stream.push(stream.id);
        self.key.push(&obligation.key);
        self.kind.push(stream.kind.as_str());
        self.class.push(obligation.duty.class().code());
        self.due.push(obligation.due_at.micros());
        self.priority.push(obligation.priority);
        self.opened_seq.push(number(opened_seq));
        self.body.push(encoded(obligation)?);
        Ok(())
    }
}

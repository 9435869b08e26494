//! Measures a store against its database: appends beside raw inserts of the same rows, and reading with decoding.
//!
//!     cargo run --release -p nightshift-store --example append_bench -- sqlite /path/of/a/new/file
//!     cargo run --release -p nightshift-store --example append_bench -- postgres postgres://…/a_new_database
//!
//! Rows: events of about 250 bytes, one command row for two events. Each figure is the median of three runs taken in turn.
#![expect(clippy::disallowed_methods, reason = "a measurement reads the clock")]

use std::{error::Error, time::Instant};

use nightshift_domain::{
    codec::encode,
    decider::Decider,
    ids::{CommandId, RunId, ShardId, StreamKind, derive},
    recorded::Meta,
    run,
    streams::AnyEvent,
    time::Timestamp,
};
use nightshift_ports::{
    log::{CommandRecord, Commit, NewEvent, ShardBatch, Verdict},
    store::Store,
};
use nightshift_store::{
    postgres::{self, PostgresStore},
    sqlite::{self, SqliteStore},
};
use sqlx::{
    Connection, PgConnection, QueryBuilder, SqliteConnection,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};
use uuid::Uuid;

type Outcome<T> = Result<T, Box<dyn Error>>;

const EVENTS: u64 = 40_000;
const NOW: Timestamp = Timestamp(1_790_000_000_000_000);

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let target = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["sqlite", path] => Target::Sqlite(path.to_owned()),
        ["postgres", url] => Target::Postgres(url.to_owned()),
        _ => return Err("usage: append_bench sqlite FILE | postgres URL".into()),
    };
    let store = target.open().await?;
    let shards: Vec<ShardId> = (0..64).map(ShardId).collect();
    let mut journal = Journal { owned: store.acquire(Uuid::nil(), &shards, NOW).await?, drawn: 0 };
    println!("{:>6} {:>14} {:>14} {:>7}", "batch", "append ev/s", "raw ev/s", "ratio");
    for size in [1, 64, 512] {
        let events = if size == 1 { 4_000 } else { EVENTS };
        let (mut appends, mut raws) = (Vec::new(), Vec::new());
        for _ in 0..3 {
            appends.push(measure_append(&*store, &mut journal, events, size).await?);
            raws.push(target.measure_raw(&mut journal, events, size).await?);
        }
        let (append, raw) = (median(appends), median(raws));
        println!("{size:>6} {append:>14.0} {raw:>14.0} {:>7.2}", append / raw);
    }
    measure_read(&*store).await
}

fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}

/// Draws batches as a journal does: sixteen shards at most in a group.
struct Journal {
    owned: Vec<nightshift_ports::log::Ownership>,
    drawn: u64,
}

impl Journal {
    fn group(&mut self, size: u64) -> Outcome<Vec<ShardBatch>> {
        let shards = size.div_ceil(4).clamp(1, 16);
        let mut group = Vec::new();
        for n in 0..shards {
            let own = &mut self.owned[((self.drawn / 7 + n) % 64) as usize];
            let share = size / shards;
            let mut batch =
                ShardBatch { shard: own.shard, epoch: own.epoch, expected_head: own.head, commits: Vec::new() };
            for _ in 0..share.div_ceil(2) {
                let events = share.min(2);
                batch.commits.push(commit(own.shard, self.drawn, own.head, events)?);
                own.head += events;
                self.drawn += 1;
            }
            group.push(batch);
        }
        Ok(group)
    }
}

fn commit(shard: ShardId, n: u64, head: u64, events: u64) -> Outcome<Commit> {
    // A stream for each commit, so that versions begin at 1.
    let stream = RunId::on_shard(derive("bench", &[&n.to_be_bytes()]), shard).stream();
    let event = |at: u64| -> Outcome<NewEvent> {
        let reason = format!("the worker was not heard of for thirty seconds, and again: {n}/{at} {}", "x".repeat(110));
        let event = run::Event::LeaseExpired { step: "compose".to_owned(), attempt: 1, reason, requeued: true };
        let encoded = encode(StreamKind::Run, &event)?;
        Ok(NewEvent {
            seq: head + at,
            version: at,
            event_type: encoded.event_type,
            type_version: encoded.type_version,
            hlc: head + at,
            data: encoded.data,
        })
    };
    let id = CommandId(derive("bench command", &[&n.to_be_bytes()]));
    let record = CommandRecord {
        id,
        payload: vec![7; 120],
        ctx: vec![8; 60],
        accepted: true,
        reply: Vec::new(),
        delta: Vec::new(),
    };
    Ok(Commit {
        stream,
        command: Some(record),
        events: (1..=events).map(event).collect::<Outcome<_>>()?,
        at: NOW,
        command_id: id,
        meta: Meta { actor: "queue".to_owned(), cause: Some((shard, head)), traceparent: None },
        opens: Vec::new(),
        closes: Vec::new(),
    })
}

fn groups(journal: &mut Journal, events: u64, size: u64) -> Outcome<Vec<Vec<ShardBatch>>> {
    (0..events / size).map(|_| journal.group(size)).collect()
}

fn count(groups: &[Vec<ShardBatch>]) -> f64 {
    groups.iter().flatten().flat_map(|batch| &batch.commits).map(|commit| commit.events.len()).sum::<usize>() as f64
}

async fn measure_append(store: &dyn Store, journal: &mut Journal, events: u64, size: u64) -> Outcome<f64> {
    let groups = groups(journal, events, size)?;
    let start = Instant::now();
    for group in &groups {
        let verdicts = store.append(group).await?;
        if verdicts.contains(&Verdict::Fenced) {
            return Err("somebody else writes to this store".into());
        }
    }
    Ok(count(&groups) / start.elapsed().as_secs_f64())
}

async fn measure_read(store: &dyn Store) -> Outcome<()> {
    for what in ["read", "read, decode, fold"] {
        let (mut events, mut decoded) = (0_usize, 0_usize);
        let mut state = <run::RunDecider as Decider>::State::default();
        let start = Instant::now();
        for shard in 0..64 {
            let mut after = 0;
            loop {
                let page = store.read_shard(ShardId(shard), after, 5_000).await?;
                let Some(last) = page.last() else { break };
                after = last.seq;
                events += page.len();
                for event in page.iter().filter(|_| what != "read") {
                    let AnyEvent::Run(happened) = event.decode()? else { continue };
                    run::RunDecider::evolve(&mut state, &happened, event.at);
                    decoded += 1;
                }
            }
        }
        let rate = events as f64 / start.elapsed().as_secs_f64();
        println!("{what}: {rate:.0} events/s ({events} read, {decoded} decoded)");
    }
    Ok(())
}

enum Target {
    Sqlite(String),
    Postgres(String),
}

impl Target {
    async fn open(&self) -> Outcome<Box<dyn Store>> {
        Ok(match self {
            Self::Sqlite(path) => Box::new(SqliteStore::open(sqlite::OpenOptions::at(path, Uuid::nil(), &[])).await?),
            Self::Postgres(url) => {
                Box::new(PostgresStore::open(postgres::OpenOptions::at(url, Uuid::nil(), &[])).await?)
            }
        })
    }

    async fn measure_raw(&self, journal: &mut Journal, events: u64, size: u64) -> Outcome<f64> {
        let groups = groups(journal, events, size)?;
        match self {
            Self::Sqlite(path) => raw_sqlite(path, &groups).await,
            Self::Postgres(url) => raw_postgres(url, &groups).await,
        }
    }
}

const EVENT_COLUMNS: &str = "INSERT INTO event (shard_id, seq, stream_kind, stream_id, stream_version, event_type, \
                             type_version, hlc, epoch, at, command_id, meta, data) ";
const COMMAND_COLUMNS: &str = "INSERT INTO command (shard_id, command_id, stream_kind, stream_id, first_seq, last_seq, \
                               accepted, payload, ctx, reply, delta) ";

/// Rows of one INSERT: more parameters than this make SQLite slower.
const ROWS: usize = 100;

/// Multi-row inserts in one transaction for each group, and nothing else.
async fn raw_sqlite(path: &str, groups: &[Vec<ShardBatch>]) -> Outcome<f64> {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .statement_cache_capacity(500)
        .pragma("wal_autocheckpoint", "4000")
        .pragma("cache_size", "-65536");
    let mut conn = SqliteConnection::connect_with(&options).await?;
    let meta = nightshift_domain::codec::to_bytes(&Meta::default())?;
    let start = Instant::now();
    for group in groups {
        let mut tx = conn.begin_with("BEGIN IMMEDIATE").await?;
        let rows: Vec<_> = group.iter().flat_map(|b| b.commits.iter().map(move |c| (b, c))).collect();
        let events: Vec<_> = rows.iter().flat_map(|(b, c)| c.events.iter().map(move |e| (b, c, e))).collect();
        for chunk in events.chunks(ROWS) {
            let mut insert = QueryBuilder::new(EVENT_COLUMNS);
            insert.push_values(chunk, |mut row, (b, c, e)| {
                row.push_bind(b.shard.0).push_bind(e.seq as i64).push_bind("run").push_bind(c.stream.id);
                row.push_bind(e.version as i64)
                    .push_bind(&e.event_type)
                    .push_bind(e.type_version)
                    .push_bind(e.hlc as i64);
                row.push_bind(b.epoch)
                    .push_bind(c.at.micros())
                    .push_bind(c.command_id.0)
                    .push_bind(&meta)
                    .push_bind(&e.data);
            });
            insert.build().execute(&mut *tx).await?;
        }
        for chunk in rows.chunks(ROWS) {
            let mut insert = QueryBuilder::new(COMMAND_COLUMNS);
            insert.push_values(chunk, |mut row, (b, c)| {
                let record = c.command.as_ref().expect("every commit of this program has one");
                row.push_bind(b.shard.0).push_bind(record.id.0).push_bind("run").push_bind(c.stream.id);
                row.push_bind(1_i64).push_bind(2_i64).push_bind(true).push_bind(&record.payload).push_bind(&record.ctx);
                row.push_bind(&record.reply).push_bind(&record.delta);
            });
            insert.build().execute(&mut *tx).await?;
        }
        tx.commit().await?;
    }
    Ok(count(groups) / start.elapsed().as_secs_f64())
}

const RAW_POSTGRES: &str = "WITH e AS (INSERT INTO event SELECT * FROM unnest($1::int[], $2::bigint[], $3::text[], \
    $4::uuid[], $5::bigint[], $6::text[], $7::smallint[], $8::bigint[], $9::bigint[], $10::bigint[], $11::uuid[], \
    $12::bytea[], $13::bytea[])) INSERT INTO command SELECT * FROM unnest($14::int[], $15::uuid[], $16::text[], \
    $17::uuid[], $18::bigint[], $19::bigint[], $20::bigint[], $21::boolean[], $22::bytea[], $23::bytea[], $24::bytea[], \
    $25::bytea[])";

/// One prepared statement of two inserts for each group, and nothing else.
async fn raw_postgres(url: &str, groups: &[Vec<ShardBatch>]) -> Outcome<f64> {
    let mut conn = PgConnection::connect(url).await?;
    let meta = nightshift_domain::codec::to_bytes(&Meta::default())?;
    let start = Instant::now();
    for group in groups {
        let rows: Vec<_> = group.iter().flat_map(|b| b.commits.iter().map(move |c| (b, c))).collect();
        let events: Vec<_> = rows.iter().flat_map(|(b, c)| c.events.iter().map(move |e| (*b, *c, e))).collect();
        let records: Vec<_> = rows.iter().filter_map(|(_, c)| c.command.as_ref()).collect();
        let of =
            |value: &dyn Fn(&(&ShardBatch, &Commit, &NewEvent)) -> i64| events.iter().map(value).collect::<Vec<i64>>();
        sqlx::query(RAW_POSTGRES)
            .bind(events.iter().map(|(b, ..)| i32::from(b.shard.0)).collect::<Vec<_>>())
            .bind(of(&|(_, _, e)| e.seq as i64))
            .bind(vec!["run"; events.len()])
            .bind(events.iter().map(|(_, c, _)| c.stream.id).collect::<Vec<_>>())
            .bind(of(&|(_, _, e)| e.version as i64))
            .bind(events.iter().map(|(_, _, e)| e.event_type.as_str()).collect::<Vec<_>>())
            .bind(vec![1_i16; events.len()])
            .bind(of(&|(_, _, e)| e.hlc as i64))
            .bind(of(&|(b, ..)| b.epoch))
            .bind(of(&|(_, c, _)| c.at.micros()))
            .bind(events.iter().map(|(_, c, _)| c.command_id.0).collect::<Vec<_>>())
            .bind(vec![meta.as_slice(); events.len()])
            .bind(events.iter().map(|(_, _, e)| e.data.as_slice()).collect::<Vec<_>>())
            .bind(rows.iter().map(|(b, _)| i32::from(b.shard.0)).collect::<Vec<_>>())
            .bind(records.iter().map(|r| r.id.0).collect::<Vec<_>>())
            .bind(vec!["run"; rows.len()])
            .bind(rows.iter().map(|(_, c)| c.stream.id).collect::<Vec<_>>())
            .bind(vec![1_i64; rows.len()])
            .bind(vec![2_i64; rows.len()])
            .bind(vec![0_i64; rows.len()])
            .bind(vec![true; rows.len()])
            .bind(records.iter().map(|r| r.payload.as_slice()).collect::<Vec<_>>())
            .bind(records.iter().map(|r| r.ctx.as_slice()).collect::<Vec<_>>())
            .bind(records.iter().map(|r| r.reply.as_slice()).collect::<Vec<_>>())
            .bind(records.iter().map(|r| r.delta.as_slice()).collect::<Vec<_>>())
            .execute(&mut conn)
            .await?;
    }
    Ok(count(groups) / start.elapsed().as_secs_f64())
}

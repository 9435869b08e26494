//! Appends by group commit, through the journal, beside raw batched inserts of the same rows.
//!
//! Owns: the producers, and the pairing: each time the journal has run, the baseline inserts batches of the same mean
//! size into a store of its own on the same disk or server.
//! Refuses to know: SQL.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use nightshift_actors::{
    journal::{self, Journal, Pending},
    observer::{Gauges, Observer},
};
use nightshift_domain::{
    codec::{self, Encoded},
    decider::RecordedCtx,
    ids::{CommandId, RunId, ShardId, StreamKind, derive},
    recorded::Meta,
    run,
    time::Timestamp,
};
use nightshift_ports::{
    clock::{Clock, IdSource},
    log::{CommandRecord, Commit, EventLog, Ownership, ShardBatch},
};
use uuid::Uuid;

use super::{
    Bench, orders,
    place::{self, Place},
    report::{Figure, Goal, Report, percentile},
    result::number,
};
use crate::{
    exit::Exit,
    real::{RandomIds, SystemClock, elapsed},
};

/// What stands beside everything that is appended.
pub(super) const RAW: &str = "raw inserts of as many events";

/// Producers at once, each with one command in flight.
const PRODUCERS: [usize; 3] = [1, 64, 1_024];

/// Events of one command: what the commands of a run make on the average.
const EVENTS_OF_COMMAND: u64 = 2;

/// Bytes of an event's payload.
const EVENT_BYTES: usize = 250;

/// Streams of one producer, on shards of their own.
const STREAMS: u64 = 8;

/// Measures all numbers of producers.
pub(super) async fn measure(bench: &Bench<'_>, report: &mut Report) -> Result<(), Exit> {
    let ours = bench.target.fresh(bench.env, "append").await?;
    let raws = bench.target.fresh(bench.env, "raw").await?;
    let store = ours.open().await?;
    // Makes the tables.
    place::close(raws.open().await?).await;
    let mut raw = Raw::beside(&raws).await?;
    for producers in PRODUCERS {
        let events = events(bench, producers) as usize;
        let mut rounds = Vec::new();
        for _ in 0..bench.sizes.repeats {
            let work = Work::draw(producers, events)?;
            let again = Work::draw(producers, events)?;
            let through = through_journal(&store.log(), ours.lanes(), work).await?;
            let beside = raw.insert(again, through.mean_batch).await?;
            rounds.push((through, beside));
        }
        add(bench, report, producers, rounds);
    }
    raw.close().await;
    place::close(store).await;
    raws.remove().await?;
    ours.remove().await
}

/// One producer alone waits for each of its commits.
const fn events(bench: &Bench<'_>, producers: usize) -> u64 {
    let events = if producers == 1 { bench.sizes.append_events / 10 } else { bench.sizes.append_events };
    events as u64
}

fn add(bench: &Bench<'_>, report: &mut Report, producers: usize, rounds: Vec<(Through, f64)>) {
    let of = ("append", bench.target.name());
    let figures =
        |value: &dyn Fn(&Through) -> f64| rounds.iter().map(|(through, _)| value(through)).collect::<Vec<f64>>();
    let raw: Vec<f64> = rounds.iter().map(|(_, raw)| *raw).collect();
    let all = match producers {
        1 => "1 producer".to_owned(),
        many => format!("{} producers", number(many as f64)),
    };
    let add = |report: &mut Report, figure: Figure| report.add(figure.scale("events", events(bench, producers)));
    let figure = Figure::new(of, &all, "events/s", figures(&|through| through.rate)).beside(RAW, &raw);
    add(report, if producers == 1 { figure } else { figure.goal(Goal::OfRaw(0.6)) });
    let mean = figures(&|through| through.mean_batch);
    add(report, Figure::new(of, format!("{all}: in a commit"), "events", mean));
    add(report, Figure::new(of, format!("{all}: raw inserts of the same size"), "events/s", raw));
    add(report, Figure::new(of, format!("{all}: append p50"), "ms", figures(&|through| through.p50_ms)));
    add(report, Figure::new(of, format!("{all}: append p99"), "ms", figures(&|through| through.p99_ms)));
}

/// Decisions of each producer, made beforehand.
pub(super) struct Work(Vec<Vec<Pending>>);

impl Work {
    pub(super) fn draw(producers: usize, events: usize) -> Result<Self, Exit> {
        let seed = RandomIds.fresh();
        let commands = (events as u64).div_ceil(EVENTS_OF_COMMAND).div_ceil(producers as u64);
        let one = |producer: usize| {
            (0..commands).map(|n| pending(seed, producer as u64, n)).collect::<Result<Vec<Pending>, Exit>>()
        };
        Ok(Self((0..producers).map(one).collect::<Result<_, _>>()?))
    }

    fn events(&self) -> f64 {
        self.0.iter().flatten().map(|pending| pending.events.len()).sum::<usize>() as f64
    }
}

/// The `n`-th decision of a producer: two events and the command as it is kept.
fn pending(seed: Uuid, producer: u64, n: u64) -> Result<Pending, Exit> {
    let (lane, number) = (n % STREAMS, n.to_be_bytes());
    let shard = ShardId(
        (nightshift_domain::ids::derive_u64("bench shard", &[&producer.to_be_bytes(), &lane.to_be_bytes()]) % 64)
            as u16,
    );
    let stream =
        RunId::on_shard(derive("bench run", &[seed.as_bytes(), &producer.to_be_bytes(), &lane.to_be_bytes()]), shard)
            .stream();
    let command_id = CommandId(derive("bench command", &[seed.as_bytes(), &producer.to_be_bytes(), &number]));
    let at = SystemClock.now();
    let reason = "the worker was not heard of".to_owned();
    let token = run::Token { epoch: at.micros() / 1_000, nonce: n };
    let command = run::Command::Expire { step: "compose".to_owned(), attempt: 1, token, reason };
    let ctx = RecordedCtx {
        now: at,
        shard_count: 64,
        tz_revision: "2026e".to_owned(),
        code_revision: "0.1.0".to_owned(),
        reports: Default::default(),
        request: None,
    };
    let record = CommandRecord {
        id: command_id,
        payload: codec::to_bytes(&command).map_err(Exit::failed)?,
        ctx: codec::to_bytes(&ctx).map_err(Exit::failed)?,
        accepted: true,
        reply: Vec::new(),
        delta: Vec::new(),
    };
    Ok(Pending {
        stream,
        expected_version: n / STREAMS * EVENTS_OF_COMMAND,
        command: Some(record),
        command_id,
        events: (0..EVENTS_OF_COMMAND).map(|_| event()).collect::<Result<_, _>>()?,
        at,
        meta: Meta { actor: "queue".to_owned(), ..Meta::default() },
        opens: Vec::new(),
        closes: Vec::new(),
    })
}

/// An event of the wanted size.
fn event() -> Result<Encoded, Exit> {
    let of = |reason: String| {
        let event = run::Event::LeaseExpired { step: "compose".to_owned(), attempt: 1, reason, requeued: true };
        codec::encode(StreamKind::Run, &event).map_err(Exit::failed)
    };
    let short = of("x".repeat(100))?.data.len() - 100;
    of("x".repeat(EVENT_BYTES - short))
}

/// What the journal gave.
struct Through {
    rate: f64,
    mean_batch: f64,
    p50_ms: f64,
    p99_ms: f64,
}

/// Counts groups.
#[derive(Default)]
pub(super) struct Groups {
    groups: AtomicU64,
    events: AtomicU64,
}

impl Groups {
    /// Groups and events so far.
    pub(super) fn so_far(&self) -> (f64, f64) {
        (self.groups.load(Ordering::Relaxed) as f64, self.events.load(Ordering::Relaxed) as f64)
    }
}

impl Observer for Groups {
    fn appended(&self, events: usize, _micros: i64) {
        self.groups.fetch_add(1, Ordering::Relaxed);
        self.events.fetch_add(events as u64, Ordering::Relaxed);
    }
}

async fn through_journal(log: &Arc<dyn EventLog>, lanes: usize, work: Work) -> Result<Through, Exit> {
    let shards: Vec<ShardId> = (0..log.info().shard_count).map(ShardId).collect();
    let groups = Arc::new(Groups::default());
    let owner = RandomIds.fresh();
    let parts = journal::Parts {
        log: Arc::clone(log),
        owner,
        clock: Arc::new(SystemClock),
        gauges: Gauges::new(groups.clone()),
        shards: log.acquire(owner, &shards, SystemClock.now()).await?,
        lanes,
        committed: Arc::new(|| ()),
    };
    let (journal, running) = Journal::start(parts);
    let lanes: Vec<_> = running.into_iter().map(tokio::spawn).collect();
    let events = work.events();
    let began = elapsed();
    let producers: Vec<_> = work.0.into_iter().map(|own| tokio::spawn(produce(journal.clone(), own))).collect();
    let mut waits = Vec::new();
    for producer in producers {
        waits.extend(producer.await.map_err(Exit::failed)??);
    }
    let seconds = (elapsed() - began).as_secs_f64();
    drop(journal);
    for lane in lanes {
        lane.await.map_err(Exit::failed)?;
    }
    let (commits, written) = groups.so_far();
    Ok(Through {
        rate: events / seconds,
        mean_batch: written / commits.max(1.0),
        p50_ms: percentile(&waits, 0.5),
        p99_ms: percentile(&waits, 0.99),
    })
}

/// Appends one after the other; returns how long each took, in milliseconds.
async fn produce(journal: Journal, own: Vec<Pending>) -> Result<Vec<f64>, Exit> {
    let mut waits = Vec::with_capacity(own.len());
    for pending in own {
        let began = elapsed();
        journal.append(pending).await.map_err(Exit::failed)?;
        waits.push((elapsed() - began).as_secs_f64() * 1_000.0);
    }
    Ok(waits)
}

/// The baseline: as many connections as the journal has lanes.
pub(super) struct Raw {
    writers: Vec<nightshift_store::bench::RawWriter>,
    heads: Vec<Ownership>,
}

impl Raw {
    pub(super) async fn beside(place: &Place) -> Result<Self, Exit> {
        let mut writers = Vec::new();
        for _ in 0..place.lanes() {
            writers.push(place.raw().await?);
        }
        let heads = (0..64).map(|shard| Ownership { shard: ShardId(shard), epoch: 1, head: 0, hlc: 0 }).collect();
        Ok(Self { writers, heads })
    }

    /// Inserts the same rows in batches of so many events.
    pub(super) async fn insert(&mut self, work: Work, mean_batch: f64) -> Result<f64, Exit> {
        let events = work.events();
        let lanes = self.writers.len();
        let commands = ((mean_batch / EVENTS_OF_COMMAND as f64).round() as usize).max(1);
        let mut shares: Vec<Vec<Vec<ShardBatch>>> = Vec::new();
        for lane in 0..lanes {
            let mine = interleaved(&work).filter(|pending| usize::from(pending.stream.shard().0) % lanes == lane);
            let mine: Vec<&Pending> = mine.collect();
            shares.push(mine.chunks(commands).map(|chunk| self.group(chunk)).collect());
        }
        let began = elapsed();
        let mut running = Vec::new();
        for (mut writer, share) in self.writers.drain(..).zip(shares) {
            running.push(tokio::spawn(async move {
                for group in &share {
                    writer.insert(group).await?;
                }
                Ok::<_, Exit>(writer)
            }));
        }
        let mut writers = Vec::new();
        for one in running {
            writers.push(one.await.map_err(Exit::failed)??);
        }
        self.writers = writers;
        Ok(events / (elapsed() - began).as_secs_f64())
    }

    fn group(&mut self, chunk: &[&Pending]) -> Vec<ShardBatch> {
        let mut batches: Vec<ShardBatch> = self.heads.iter().map(orders::empty).collect();
        for pending in chunk {
            let at = usize::from(pending.stream.shard().0);
            let mut commit = commit(pending);
            orders::place(&mut commit, &mut self.heads[at]);
            batches[at].commits.push(commit);
        }
        batches.retain(|batch| !batch.commits.is_empty());
        batches
    }

    pub(super) async fn close(self) {
        for writer in self.writers {
            writer.close().await;
        }
    }
}

/// In the order in which a journal meets them: one of each producer in turn.
fn interleaved(work: &Work) -> impl Iterator<Item = &Pending> {
    let longest = work.0.iter().map(Vec::len).max().unwrap_or(0);
    (0..longest).flat_map(|n| work.0.iter().filter_map(move |own| own.get(n)))
}

fn commit(pending: &Pending) -> Commit {
    let events = (pending.expected_version + 1..).zip(&pending.events);
    Commit {
        stream: pending.stream,
        command: pending.command.clone(),
        events: events.map(|(version, encoded)| orders::placeless(encoded.clone(), version)).collect(),
        at: Timestamp(pending.at.micros()),
        command_id: pending.command_id,
        meta: pending.meta.clone(),
        opens: Vec::new(),
        closes: Vec::new(),
    }
}

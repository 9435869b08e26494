//! Reading a log again: replayed on one core, and folded into read models anew.
//!
//! Owns: what is counted as one core, and the fold of whole streams.
//! Refuses to know: how the log came about.

use std::collections::HashMap;

use nightshift_actors::projector;
use nightshift_domain::{
    bulk::BulkDecider,
    decider::Decider,
    definition::DefinitionDecider,
    deliverable::DeliverableDecider,
    ids::{ShardId, StreamId},
    queue::QueueDecider,
    run::RunDecider,
    schedule::ScheduleDecider,
    source::SourceDecider,
    streams::AnyEvent,
    time::Timestamp,
    topic::TopicDecider,
};
use nightshift_ports::log::EventLog;
use uuid::Uuid;

use super::{
    Bench, machine,
    place::{self, Place},
    report::{Figure, Goal, Report},
};
use crate::{app::AnyStore, exit::Exit, real::elapsed};

/// Events read at once.
const PAGE: u32 = 5_000;

/// Events kept decoded for the fold alone.
const DECODED_MAX: usize = 500_000;

/// States of streams, as a process that reads everything would hold them.
#[derive(Default)]
struct States {
    deliverables: HashMap<Uuid, <DeliverableDecider as Decider>::State>,
    runs: HashMap<Uuid, <RunDecider as Decider>::State>,
    schedules: HashMap<Uuid, <ScheduleDecider as Decider>::State>,
    sources: HashMap<Uuid, <SourceDecider as Decider>::State>,
    definitions: HashMap<Uuid, <DefinitionDecider as Decider>::State>,
    topics: HashMap<Uuid, <TopicDecider as Decider>::State>,
    queue: <QueueDecider as Decider>::State,
    bulks: HashMap<Uuid, <BulkDecider as Decider>::State>,
}

impl States {
    fn remember(&mut self, stream: StreamId, event: &AnyEvent, at: Timestamp) {
        let id = stream.id;
        match event {
            AnyEvent::Deliverable(event) => {
                DeliverableDecider::evolve(self.deliverables.entry(id).or_default(), event, at);
            }
            AnyEvent::Run(event) => RunDecider::evolve(self.runs.entry(id).or_default(), event, at),
            AnyEvent::Schedule(event) => ScheduleDecider::evolve(self.schedules.entry(id).or_default(), event, at),
            AnyEvent::Source(event) => SourceDecider::evolve(self.sources.entry(id).or_default(), event, at),
            AnyEvent::Definition(event) => {
                DefinitionDecider::evolve(self.definitions.entry(id).or_default(), event, at);
            }
            AnyEvent::Topic(event) => TopicDecider::evolve(self.topics.entry(id).or_default(), event, at),
            AnyEvent::Queue(event) => QueueDecider::evolve(&mut self.queue, event, at),
            AnyEvent::Bulk(event) => BulkDecider::evolve(self.bulks.entry(id).or_default(), event, at),
        }
    }

    fn len(&self) -> usize {
        let streams = self.deliverables.len() + self.runs.len() + self.schedules.len() + self.sources.len();
        streams + self.definitions.len() + self.topics.len()
    }
}

/// Rates over the wall and over processor time.
struct Rate {
    wall: f64,
    core: f64,
}

/// Does a thing until it took so many seconds: processor time is counted in hundredths. It says how many events it was
/// about.
async fn rate_of(seconds_min: f64, mut once: impl AsyncFnMut() -> Result<u64, Exit>) -> Result<Rate, Exit> {
    let (began, cpu) = (elapsed(), machine::cpu_seconds());
    let mut events = 0;
    loop {
        events += once().await?;
        let seconds = (elapsed() - began).as_secs_f64();
        if seconds >= seconds_min {
            return Ok(Rate { wall: events as f64 / seconds, core: events as f64 / machine::cpu_since(cpu) });
        }
    }
}

/// Reads, decodes and folds everything; then folds alone what was decoded before.
pub(super) async fn replay(
    bench: &Bench<'_>,
    (place, store): (&Place, &AnyStore),
    report: &mut Report,
) -> Result<(), Exit> {
    let log = store.log();
    let (heads, mut reader, at_least) = (log.heads().await?, place.reader().await?, bench.sizes.rate_s);
    let of = ("replay", bench.target.name());
    let decoded = decode(&*log).await?;
    let (mut walls, mut cores, mut folds, mut raws) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..bench.sizes.repeats {
        let whole = rate_of(at_least, async || read_decode_fold(&*log).await).await?;
        walls.push(whole.wall);
        cores.push(whole.core);
        raws.push(rate_of(at_least, async || Ok(reader.events(&heads, PAGE).await?)).await?.wall);
        folds.push(rate_of(at_least, async || fold(&decoded)).await?.core);
    }
    reader.close().await;
    let mut add = |figure: Figure| report.add(figure.scale("versions", bench.sizes.crowd));
    let core = Figure::new(of, "read, decode, fold: for each second of processor time here", "events/s", cores);
    add(if of.1 == "sqlite" { core.goal(Goal::AtLeast(150_000.0)) } else { core });
    let wall = Figure::new(of, "read, decode, fold: by the wall", "events/s", walls);
    add(wall.beside("reading the same pages, not decoded", &raws));
    add(Figure::new(of, "fold alone, decoded before", "events/s", folds).goal(Goal::AtLeast(1_000_000.0)));
    Ok(())
}

async fn read_decode_fold(log: &dyn EventLog) -> Result<u64, Exit> {
    let mut events = 0;
    for (shard, _) in log.heads().await? {
        let mut states = States::default();
        let mut after = 0;
        loop {
            let page = log.read_shard(shard, after, PAGE).await?;
            let Some(last) = page.last() else { break };
            after = last.seq;
            events += page.len() as u64;
            for recorded in &page {
                let event = recorded.decode().map_err(Exit::failed)?;
                states.remember(recorded.stream, &event, recorded.at);
            }
        }
        std::hint::black_box(states.len());
    }
    Ok(events)
}

type Decoded = Vec<(StreamId, AnyEvent, Timestamp)>;

/// The beginning of each shard, decoded.
async fn decode(log: &dyn EventLog) -> Result<Vec<Decoded>, Exit> {
    let heads: Vec<ShardId> = log.heads().await?.into_iter().map(|(shard, _)| shard).collect();
    let share = u32::try_from(DECODED_MAX / heads.len().max(1)).unwrap_or(PAGE);
    let mut shards = Vec::with_capacity(heads.len());
    for shard in heads {
        let page = log.read_shard(shard, 0, share).await?;
        let events =
            page.iter().map(|recorded| Ok((recorded.stream, recorded.decode().map_err(Exit::failed)?, recorded.at)));
        shards.push(events.collect::<Result<Decoded, Exit>>()?);
    }
    Ok(shards)
}

fn fold(shards: &[Decoded]) -> Result<u64, Exit> {
    let mut events = 0;
    for shard in shards {
        let mut states = States::default();
        for (stream, event, at) in shard {
            states.remember(*stream, event, *at);
        }
        events += shard.len() as u64;
        std::hint::black_box(states.len());
    }
    Ok(events)
}

/// Builds the read models anew.
pub(super) async fn rebuild(
    bench: &Bench<'_>,
    (place, store): (&Place, &AnyStore),
    report: &mut Report,
) -> Result<(), Exit> {
    let raws = bench.target.fresh(bench.env, "rebuild_raw").await?;
    place::close(raws.open().await?).await;
    let mut rows = raws.tables_of(place).await?;
    let (mut rates, mut cores, mut beside) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..bench.sizes.repeats {
        let (began, cpu) = (elapsed(), machine::cpu_seconds());
        let events = projector::rebuild(store.log(), store.read_models(), |_| ()).await? as f64;
        rates.push(events / (elapsed() - began).as_secs_f64());
        cores.push(events / machine::cpu_since(cpu));
        rows.empty().await?;
        let began = elapsed();
        rows.insert().await?;
        beside.push(events / (elapsed() - began).as_secs_f64());
    }
    rows.close().await;
    raws.remove().await?;
    let of = ("rebuild", bench.target.name());
    let mut add = |figure: Figure| report.add(figure.scale("versions", bench.sizes.crowd));
    let rate = Figure::new(of, "read models built anew", "events/s", rates).goal(Goal::AtLeast(30_000.0));
    add(rate.beside("raw inserts of the same rows", &beside));
    add(Figure::new(of, "for each second of processor time here", "events/s", cores));
    Ok(())
}

//! Deliverables that fall due: many at one instant, and some among many that wait.
//!
//! Owns: how late they begin and end, by the instants in the log, and the proof that no slot was lost.
//! Refuses to know: how they are done; it is the whole real system with real sources.

use std::{collections::HashMap, sync::Arc, time::Duration};

use nightshift_actors::system::System;
use nightshift_domain::{
    calendar::Rule,
    deliverable::{Command, Event, Governance, deliverable_id},
    ids::{CommandId, DeliverableId, UserId},
    streams::AnyEvent,
    time::Timestamp,
};
use nightshift_ports::{
    clock::{Clock, IdSource},
    log::EventLog,
};
use uuid::Uuid;

use super::{
    Bench,
    append::{Groups, RAW, Raw, Work},
    machine, orders,
    place::{self, Place},
    report::{Figure, Goal, Report, percentile},
    wake::Timers,
};
use crate::{
    app::{self, AnyStore, Purpose},
    exit::Exit,
    observe::Watcher,
    real::{RandomIds, SystemClock, elapsed},
};

/// Events read at once.
const PAGE: u32 = 5_000;

/// Between the instants of two deliverables of a round, in milliseconds.
const STEP_MS: i64 = 25;

/// What it took until all was done.
struct Drain {
    seconds: f64,
    cpu: f64,
    commits: f64,
    events: f64,
}

/// What the log says of one deliverable.
#[derive(Debug, Default, Clone, Copy)]
struct Seen {
    nominal: Option<Timestamp>,
    begun: Option<Timestamp>,
    staged: Option<Timestamp>,
    versions: u32,
    slots: u32,
}

impl Seen {
    fn take(&mut self, event: &Event, at: Timestamp) {
        match event {
            Event::SlotDue { nominal, .. } => {
                (self.nominal, self.begun) = (Some(*nominal), Some(at));
                self.slots += 1;
            }
            Event::VersionStaged { .. } => {
                self.staged = Some(at);
                self.versions += 1;
            }
            _ => {}
        }
    }

    /// Milliseconds from the due instant to the beginning and to the staged version.
    fn lateness_ms(&self) -> Option<(f64, f64)> {
        let nominal = self.nominal?;
        let late = |at: Timestamp| at.micros_since(nominal) as f64 / 1_000.0;
        Some((late(self.begun?), late(self.staged?)))
    }
}

/// Everything due at one instant. Leaves its log in the store.
pub(super) async fn crowd(
    bench: &Bench<'_>,
    (place, store): (&Place, &AnyStore),
    report: &mut Report,
) -> Result<(), Exit> {
    let count = bench.sizes.crowd;
    // Taking the orders needs some time of its own, and must be over when they are due.
    let due = SystemClock.now().plus_ms(i64::try_from((1_000 + count * 3).min(5_000 + count / 2)).unwrap_or(i64::MAX));
    report.doing(&format!("{count} deliverables are due at {due}"));
    let drawer = orders::Orders::over(&place.files, count)?;
    let ids = orders::take(store, count, |n| drawer.order(n, Rule::Once { at: due }, Governance::Manual)).await?;
    let groups = Arc::new(Groups::default());
    let system = app::start(&place.config, store, Purpose::daemon(groups.clone())).await?;
    system.context().clock.look().await;
    let spare_ms = due.micros_since(SystemClock.now()) / 1_000;
    if spare_ms < 0 {
        report.doing(&format!(
            "the system was ready {} ms after the instant; lateness counts from the instant",
            -spare_ms
        ));
    }
    SystemClock.sleep_until(due).await;
    let (began, cpu, before) = (elapsed(), machine::cpu_seconds(), groups.so_far());
    finish(&system, Duration::from_secs(60 + count / 20)).await?;
    let seconds = (elapsed() - began).as_secs_f64();
    let after = groups.so_far();
    let drain =
        Drain { seconds, cpu: machine::cpu_seconds() - cpu, commits: after.0 - before.0, events: after.1 - before.1 };
    system.stop().await;
    let seen = look(&*store.log()).await?;
    let lost =
        ids.iter().filter(|id| seen.get(&id.uuid()).is_none_or(|seen| (seen.slots, seen.versions) != (1, 1))).count();
    if lost > 0 || seen.values().map(|seen| u64::from(seen.versions)).sum::<u64>() != count {
        return Err(Exit::failed(format!(
            "{lost} of {count} slots do not have exactly one version; the store is at fault"
        )));
    }
    let late: Vec<(f64, f64)> = seen.values().filter_map(Seen::lateness_ms).collect();
    let raw = raw_versions(bench, count, &drain).await?;
    add_crowd(bench, report, &late, &drain, raw);
    Ok(())
}

/// As many versions a second as raw inserts of their events allow.
async fn raw_versions(bench: &Bench<'_>, count: u64, drain: &Drain) -> Result<f64, Exit> {
    let place = bench.target.fresh(bench.env, "crowd_raw").await?;
    place::close(place.open().await?).await;
    let mut raw = Raw::beside(&place).await?;
    let work = Work::draw(1_024, (drain.events as usize).min(100_000))?;
    let rate = raw.insert(work, drain.events / drain.commits.max(1.0)).await?;
    raw.close().await;
    place.remove().await?;
    Ok(rate * count as f64 / drain.events)
}

fn add_crowd(bench: &Bench<'_>, report: &mut Report, late: &[(f64, f64)], drain: &Drain, raw: f64) {
    let of = ("crowd", bench.target.name());
    let count = late.len();
    let staged: Vec<f64> = late.iter().map(|(_, staged)| staged / 1_000.0).collect();
    let last = staged.iter().copied().fold(0.0, f64::max);
    let mut add = |figure: Figure| report.add(figure.scale("due at once", count as u64));
    add(Figure::new(of, "rate", "versions/s", vec![count as f64 / last]).beside(RAW, &[raw]));
    add(Figure::new(of, "lateness p50", "s", vec![percentile(&staged, 0.5)]));
    add(Figure::new(of, "lateness p99", "s", vec![percentile(&staged, 0.99)]));
    let done = "until nothing is left to do, read models included";
    add(Figure::new(of, done, "s", vec![drain.seconds]));
    add(Figure::new(of, "events of one version", "events", vec![drain.events / count as f64]));
    add(Figure::new(of, "events in a commit", "events", vec![drain.events / drain.commits.max(1.0)]));
    add(Figure::new(of, "processor meanwhile", "cores", vec![drain.cpu / drain.seconds]));
}

/// Some deliverables due one after the other, while all the others of the store wait.
pub(super) async fn lateness(bench: &Bench<'_>, place: &Place, report: &mut Report) -> Result<(), Exit> {
    let store = place.open().await?;
    let drawer = orders::Orders::over(&place.files, bench.sizes.spread)?;
    let system = app::start(&place.config, &store, Purpose::daemon(Watcher::new()?)).await?;
    system.context().clock.look().await;
    let (mut halves, mut nearly, mut staged) = (Vec::new(), Vec::new(), Vec::new());
    let (mut timer_halves, mut timer_nearly) = (Vec::new(), Vec::new());
    for _ in 0..bench.sizes.repeats {
        let (late, timers) = round(&system, &store, (&drawer, bench.sizes.spread)).await?;
        timer_halves.push(percentile(&timers, 0.5));
        timer_nearly.push(percentile(&timers, 0.99));
        let begun: Vec<f64> = late.iter().map(|(begun, _)| *begun).collect();
        halves.push(percentile(&begun, 0.5));
        nearly.push(percentile(&begun, 0.99));
        staged.push(percentile(&late.iter().map(|(_, staged)| *staged).collect::<Vec<f64>>(), 0.5));
    }
    system.stop().await;
    drop(system);
    place::close(store).await;
    let of = ("lateness", bench.target.name());
    let among = format!("one due every {STEP_MS} ms among those that wait");
    let timers = "bare timers";
    let mut add =
        |figure: Figure| report.add(figure.scale("due", bench.sizes.spread).scale("waiting", bench.sizes.idle));
    let half = Figure::new(of, format!("{among}: start p50"), "ms", halves).beside(timers, &timer_halves);
    add(half.goal(Goal::AtMost(50.0)));
    add(Figure::new(of, format!("{among}: start p99"), "ms", nearly).beside(timers, &timer_nearly));
    add(Figure::new(of, format!("{among}: staged p50"), "ms", staged));
    Ok(())
}

/// One round: orders that are taken as people give them, each due at an instant of its own, and bare timers beside them.
async fn round(
    system: &System,
    store: &AnyStore,
    (drawer, count): (&orders::Orders, u64),
) -> Result<(Vec<(f64, f64)>, Vec<f64>), Exit> {
    let begin = SystemClock.now().plus_ms(i64::try_from(1_000 + count * 10).unwrap_or(i64::MAX));
    let mut ids: Vec<DeliverableId> = Vec::new();
    let mut instants = Vec::new();
    for n in 0..count {
        let command = CommandId(RandomIds.fresh());
        let id = deliverable_id(command, store.log().info().shard_count);
        let at = begin.plus_ms(i64::try_from(n).unwrap_or_default() * STEP_MS);
        instants.push(at);
        let order = Box::new(drawer.order(n, Rule::Once { at }, Governance::FullAuto));
        let create = Command::Create { user: UserId::default(), order, paused: false };
        system.submit(id.stream(), create, (command, "bench")).await.map_err(Exit::failed)?;
        ids.push(id);
    }
    let timers = Timers::at(instants);
    let end = begin.plus_ms(i64::try_from(count).unwrap_or_default() * STEP_MS);
    SystemClock.sleep_until(end).await;
    finish(system, Duration::from_secs(60)).await?;
    let mut late = Vec::new();
    for id in ids {
        let mut seen = Seen::default();
        for recorded in store.log().read_stream(id.stream(), 0, PAGE).await? {
            if let AnyEvent::Deliverable(event) = recorded.decode().map_err(Exit::failed)? {
                seen.take(&event, recorded.at);
            }
        }
        let of_it = seen.lateness_ms().ok_or_else(|| Exit::failed(format!("the slot of {id} was lost")))?;
        late.push(of_it);
    }
    Ok((late, timers.late_ms().await?))
}

/// Returns when nothing is left to do, or says that it took too long.
pub(super) async fn finish(system: &System, limit: Duration) -> Result<(), Exit> {
    let done = async {
        tokio::select! {
            () = system.settled() => Ok(()),
            why = system.collapsed() => Err(Exit::failed(format!("the system ended early: {why:?}"))),
        }
    };
    let late = |_| Exit::failed(format!("it was not over within {} s", limit.as_secs()));
    tokio::time::timeout(limit, done).await.map_err(late)?
}

/// What the whole log says of its deliverables.
async fn look(log: &dyn EventLog) -> Result<HashMap<Uuid, Seen>, Exit> {
    let mut all: HashMap<Uuid, Seen> = HashMap::new();
    for (shard, _) in log.heads().await? {
        let mut after = 0;
        loop {
            let page = log.read_shard(shard, after, PAGE).await?;
            let Some(last) = page.last() else { break };
            after = last.seq;
            for recorded in page.iter().filter(|recorded| recorded.event_type.starts_with("deliverable.")) {
                if let AnyEvent::Deliverable(event) = recorded.decode().map_err(Exit::failed)? {
                    all.entry(recorded.stream.id).or_default().take(&event, recorded.at);
                }
            }
        }
    }
    Ok(all)
}

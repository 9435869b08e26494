//! How many runs and jobs a second, and what limits cost.
//!
//! Owns: runs of three steps that clients start, jobs that wait and are drained, the same jobs behind buckets and keys.
//! Refuses to know: what a step does; see `flows`.

use std::{sync::Arc, time::Duration};

use nightshift_domain::ids::RunId;
use nightshift_ports::read_models::Query;
use nightshift_projections::tables;

use super::{
    Bench,
    append::{Groups, RAW, Raw, Work},
    flows::{self, KEYS, LIMITED, Noop, ONE, Starts, THREE},
    machine,
    place::{self, Place},
    report::{Figure, Goal, Report},
};
use crate::{app::AnyStore, exit::Exit, real::elapsed};

/// What one round gave.
struct Round {
    /// Seconds until everything was durable.
    seconds: f64,
    /// Seconds until the read models showed it.
    shown: f64,
    cpu: f64,
    events: f64,
    commits: f64,
    /// Events a second that raw inserts of the same commits reach.
    raw: f64,
}

/// Runs of three steps, one after the other, started by many clients.
pub(super) async fn runs(bench: &Bench<'_>, report: &mut Report) -> Result<(), Exit> {
    let place = bench.target.fresh(bench.env, "runs").await?;
    let raws = bench.target.fresh(bench.env, "runs_raw").await?;
    place::close(raws.open().await?).await;
    let mut raw = Raw::beside(&raws).await?;
    let store = place.open().await?;
    let count = bench.sizes.runs;
    report.doing(&format!("{count} runs of three steps"));
    let mut rounds = Vec::new();
    for _ in 0..bench.sizes.repeats {
        let mut round = three(&place, &store, count).await?;
        let work = Work::draw(1_024, (round.events as usize).min(100_000))?;
        round.raw = raw.insert(work, round.events / round.commits.max(1.0)).await?;
        rounds.push(round);
    }
    raw.close().await;
    place::close(store).await;
    place.remove().await?;
    raws.remove().await?;
    add_runs(bench, report, &rounds);
    Ok(())
}

async fn three(place: &Place, store: &AnyStore, count: u64) -> Result<Round, Exit> {
    let (groups, noop) = (Arc::new(Groups::default()), Arc::new(Noop::default()));
    let system = flows::start(place, store, &noop, groups.clone()).await?;
    let starts = Starts::of(&system, THREE).await?;
    let (began, cpu, before) = (elapsed(), machine::cpu_seconds(), groups.so_far());
    starts.many(&system, count, ("ann", false)).await?;
    flows::drained(&system, Duration::from_secs(60 + count / 50)).await?;
    let seconds = (elapsed() - began).as_secs_f64();
    let after = groups.so_far();
    system.settled().await;
    let shown = (elapsed() - began).as_secs_f64();
    let cpu = machine::cpu_seconds() - cpu;
    check(store, &noop, (count, 3), |n| starts.run(n)).await?;
    system.stop().await;
    Ok(Round { seconds, shown, cpu, events: after.1 - before.1, commits: after.0 - before.0, raw: f64::NAN })
}

fn add_runs(bench: &Bench<'_>, report: &mut Report, rounds: &[Round]) {
    let of = ("runs", bench.target.name());
    let count = bench.sizes.runs as f64;
    let goal = if of.1 == "sqlite" { 6_000.0 } else { 4_500.0 };
    let figures = |value: &dyn Fn(&Round) -> f64| rounds.iter().map(value).collect::<Vec<f64>>();
    let mut add = |figure: Figure| report.add(figure.scale("runs", bench.sizes.runs));
    let rate = figures(&|round| count / round.seconds);
    // As many runs a second as raw inserts of their events allow.
    let raw = figures(&|round| round.raw * count / round.events);
    add(Figure::new(of, "runs of three steps", "runs/s", rate).beside(RAW, &raw).goal(Goal::AtLeast(goal)));
    let shown = figures(&|round| count / round.shown);
    add(Figure::new(of, "the same, when read models show them", "runs/s", shown).beside(RAW, &raw));
    add(Figure::new(of, "events of one run", "events", figures(&|round| round.events / count)));
    add(Figure::new(of, "events in a commit", "events", figures(&|round| round.events / round.commits)));
    add(Figure::new(of, "processor meanwhile", "cores", figures(&|round| round.cpu / round.shown)));
}

/// Every run is complete, and each of its steps was done once.
pub(super) async fn check(
    store: &AnyStore,
    noop: &Noop,
    (count, steps): (u64, u64),
    run: impl Fn(u64) -> RunId,
) -> Result<(), Exit> {
    let done = noop.seen();
    if done.len() as u64 != count * steps || done.iter().any(|(_, times)| *times != 1) {
        let twice = done.iter().filter(|(_, times)| *times != 1).count();
        return Err(Exit::failed(format!(
            "{} of {} steps were done, {twice} of them more than once; the system is at fault",
            done.len(),
            count * steps
        )));
    }
    let last = run(count - 1).to_string();
    let equals = vec![("id", last.clone().into())];
    let query = Query { equals, limit: 1, ..Query::default() };
    let rows = store.read_models().query(&tables::ORCHESTRATION_RUNS, &query).await?;
    match rows.first().and_then(|row| row.get("status")).and_then(|status| status.as_str()) {
        Some("completed") => Ok(()),
        other => Err(Exit::failed(format!("run {last} is {other:?} when nothing is left to do"))),
    }
}

/// Jobs that wait, drained; then the same behind limits that let all of them pass, in turns.
pub(super) async fn jobs(bench: &Bench<'_>, report: &mut Report) -> Result<(), Exit> {
    let count = bench.sizes.jobs;
    let place = bench.target.fresh(bench.env, "jobs").await?;
    let raws = bench.target.fresh(bench.env, "jobs_raw").await?;
    place::close(raws.open().await?).await;
    let mut raw = Raw::beside(&raws).await?;
    let store = place.open().await?;
    let (mut free, mut held, mut beside) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..bench.sizes.heavy_repeats {
        report.doing(&format!("{count} jobs wait and are drained"));
        let drained = drain(&place, &store, (count, false)).await?;
        let work = Work::draw(1_024, (drained.events as usize).min(100_000))?;
        let rate = raw.insert(work, drained.events / drained.commits.max(1.0)).await?;
        // As many jobs a second as raw inserts of their events allow.
        beside.push(rate * count as f64 / drained.events);
        free.push(drained.rate);
        if bench.wants("limits") {
            report.doing(&format!("{count} jobs are drained behind two buckets and {KEYS} keys"));
            held.push(drain(&place, &store, (count, true)).await?.rate);
        }
    }
    raw.close().await;
    raws.remove().await?;
    place::close(store).await;
    place.remove().await?;
    if bench.wants("jobs") {
        let figure = Figure::new(("jobs", bench.target.name()), "jobs that waited, drained", "jobs/s", free.clone());
        let figure = figure.scale("jobs", count).beside(RAW, &beside);
        report.add(if bench.target.name() == "postgres" { figure.goal(Goal::AtLeast(20_000.0)) } else { figure });
    }
    if bench.wants("limits") {
        let name = "jobs drained behind two buckets and a key";
        let figure = Figure::new(("limits", bench.target.name()), name, "jobs/s", held).beside("free jobs", &free);
        report.add(figure.scale("jobs", count).scale("keys", KEYS).goal(Goal::OfRaw(0.8)));
    }
    Ok(())
}

/// What draining gave.
struct Drained {
    /// Jobs a second, from the start of the system until all outcomes are durable.
    rate: f64,
    events: f64,
    commits: f64,
}

/// Lets so many jobs wait, then starts a system that may do them.
async fn drain(place: &Place, store: &AnyStore, (count, limited): (u64, bool)) -> Result<Drained, Exit> {
    let text = if limited { LIMITED } else { ONE };
    let noop = Arc::new(Noop::default());
    let starts = wait_for_places(place, store, (text, limited), count).await?;
    let mut config = place.config.clone();
    if limited {
        config.queue.limits_file = Some(limits_file(place)?);
    }
    let place = Place { config, address: place.address.clone(), files: place.files.clone() };
    let (began, groups) = (elapsed(), Arc::new(Groups::default()));
    let system = flows::start(&place, store, &noop, groups.clone()).await?;
    flows::drained(&system, Duration::from_secs(60 + count / 50)).await?;
    let rate = count as f64 / (elapsed() - began).as_secs_f64();
    let (commits, events) = groups.so_far();
    system.settled().await;
    check(store, &noop, (count, 1), |n| starts.run(n)).await?;
    system.stop().await;
    Ok(Drained { rate, events, commits })
}

/// Starts runs in a system without any place, so that each has a job that waits.
pub(super) async fn wait_for_places(
    place: &Place,
    store: &AnyStore,
    (text, keyed): (&str, bool),
    count: u64,
) -> Result<Starts, Exit> {
    let mut config = place.config.clone();
    config.queue.concurrency = 0;
    let shut = Place { config, address: place.address.clone(), files: place.files.clone() };
    let noop = Arc::new(Noop::default());
    let system = flows::start(&shut, store, &noop, Arc::new(nightshift_actors::observer::NoObserver)).await?;
    let starts = Starts::of(&system, text).await?;
    starts.many(&system, count, ("ann", keyed)).await?;
    while system.context().courier.count() > 0 {
        tokio::task::yield_now().await;
    }
    system.caught_up().await.map_err(Exit::failed)?;
    system.stop().await;
    Ok(starts)
}

/// Limits that nobody reaches for long, so that what is measured is their cost: many places behind each key, and buckets
/// that fill as fast as they are emptied.
fn limits_file(place: &Place) -> Result<std::path::PathBuf, Exit> {
    let path = place.files.join("limits.toml");
    let mut text = String::from(
        "[rates.\"global:agent:noop\"]\ncapacity = 1000000\nrefill_per_s = 1000000\n\
         [rates.\"user:*:agent:noop\"]\ncapacity = 1000000\nrefill_per_s = 1000000\n[keys]\n",
    );
    for n in 0..KEYS {
        text.push_str(&format!("key-{n} = 16\n"));
    }
    std::fs::write(&path, text)?;
    Ok(path)
}

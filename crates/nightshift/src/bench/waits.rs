//! How long a job waits: when there is little to do, when there is much, and beside a user who has very much.
//!
//! Owns: the pace of the requests, and the waits from a request to its first step.
//! Refuses to know: what a step does; see `flows`.

use std::{sync::Arc, time::Duration};

use nightshift_actors::{observer::NoObserver, system::System};
use nightshift_domain::ids::RunId;
use nightshift_ports::clock::Clock;
use tokio::sync::Semaphore;

use super::{
    Bench,
    flows::{self, Noop, ONE, Starts},
    place::{self, Place},
    report::{Figure, Goal, Report, percentile},
    runs::wait_for_places,
    wake,
};
use crate::{
    exit::Exit,
    real::{SystemClock, elapsed},
};

/// Requests a second of the quiet case.
const QUIET_PER_S: u64 = 20;

/// Requests under way at once, at most.
const AT_ONCE: usize = 512;

/// Milliseconds between two looks at whether everybody was served.
const LOOK_MS: i64 = 5;

/// From a request to the first step of its run: at a quiet pace, then at half of what can be drained.
pub(super) async fn latency(bench: &Bench<'_>, report: &mut Report) -> Result<(), Exit> {
    let place = bench.target.fresh(bench.env, "latency").await?;
    let store = place.open().await?;
    let noop = Arc::new(Noop::default());
    let system = flows::start(&place, &store, &noop, Arc::new(NoObserver)).await?;
    let starts = Starts::of(&system, ONE).await?;
    let mut asked = 0;
    let mut at_pace = async |per_s: u64, count: u64| {
        let waits = paced(&system, (&starts, &noop), (asked, count), per_s).await;
        asked += count;
        waits
    };
    // The first requests warm the caches up.
    at_pace(QUIET_PER_S * 5, bench.sizes.paced / 2).await?;
    let (mut quiet, mut busy, mut halves) = (Vec::new(), Vec::new(), Vec::new());
    let (raws, mut raw) = (bench.target.fresh(bench.env, "latency_raw").await?, Vec::new());
    place::close(raws.open().await?).await;
    let mut bell = raws.wake().await?;
    for _ in 0..bench.sizes.repeats {
        quiet.push(at_pace(QUIET_PER_S, bench.sizes.paced).await?);
        raw.push(wake::paced(&mut bell, (bench.sizes.paced, QUIET_PER_S)).await?);
        // As fast as can be, for a moment: half of that is the other pace.
        let (began, burst) = (elapsed(), bench.sizes.burst);
        at_pace(u64::MAX, burst).await?;
        let half = (burst as f64 / (elapsed() - began).as_secs_f64() / 2.0).max(1.0);
        halves.push(half);
        busy.push(at_pace(half as u64, half as u64 * bench.sizes.busy_s).await?);
    }
    bell.close().await;
    raws.remove().await?;
    system.stop().await;
    drop(system);
    place::close(store).await;
    place.remove().await?;
    let of = ("latency", bench.target.name());
    let part = |all: &[Vec<f64>], part: f64| all.iter().map(|waits| percentile(waits, part)).collect::<Vec<f64>>();
    let what = format!("from request to first step at {QUIET_PER_S} jobs/s");
    for (name, at, goal) in [("p50", 0.5, 1.0), ("p99", 0.99, 3.0)] {
        let figure =
            Figure::new(of, format!("{what}: {name}"), "ms", part(&quiet, at)).scale("jobs", bench.sizes.paced);
        report.add(figure.beside("one raw commit and one wake-up", &part(&raw, at)).goal(Goal::AtMost(goal)));
    }
    for (name, unit, values) in [
        ("half of the most that was reached for a moment", "jobs/s", halves),
        ("from request to first step at that pace: p50", "ms", part(&busy, 0.5)),
        ("from request to first step at that pace: p99", "ms", part(&busy, 0.99)),
    ] {
        report.add(Figure::new(of, name, unit, values).scale("jobs at once", bench.sizes.burst));
    }
    Ok(())
}

/// Requests at a pace, however long the answers take. The wait of each, in milliseconds.
async fn paced(
    system: &System,
    (starts, noop): (&Starts, &Noop),
    (first, count): (u64, u64),
    per_s: u64,
) -> Result<Vec<f64>, Exit> {
    let begin = SystemClock.now();
    let mut clients = Vec::new();
    // More than the system admits at once would be turned away.
    let at_once = Arc::new(Semaphore::new(AT_ONCE));
    for n in 0..count {
        let due_ms = n.saturating_mul(1_000) / per_s;
        SystemClock.sleep_until(begin.plus_ms(i64::try_from(due_ms).unwrap_or(i64::MAX))).await;
        let (starts, system) = (starts.clone(), system.clone());
        let place = Arc::clone(&at_once).acquire_owned().await.map_err(Exit::failed)?;
        clients.push(tokio::spawn(async move {
            let asked = ask(starts, system, first + n, "ann".to_owned()).await;
            drop(place);
            asked
        }));
    }
    let mut asked = Vec::new();
    for client in clients {
        asked.push(client.await.map_err(Exit::failed)??);
    }
    flows::drained(system, Duration::from_secs(120)).await?;
    waits(noop, &asked)
}

async fn ask(starts: Starts, system: System, n: u64, user: String) -> Result<(RunId, Duration), Exit> {
    let began = elapsed();
    starts.start(&system, n, &user).await?;
    Ok((starts.run(n), began))
}

fn waits(noop: &Noop, asked: &[(RunId, Duration)]) -> Result<Vec<f64>, Exit> {
    let wait = |(run, began): &(RunId, Duration)| {
        let begun = noop.begun(*run).ok_or_else(|| Exit::failed(format!("run {run} was lost")))?;
        Ok(begun.saturating_sub(*began).as_secs_f64() * 1_000.0)
    };
    asked.iter().map(wait).collect()
}

/// Ninety-nine users with few jobs: alone, and while another user's many jobs wait.
pub(super) async fn fairness(bench: &Bench<'_>, report: &mut Report) -> Result<(), Exit> {
    let (many, (users, each)) = (bench.sizes.many, bench.sizes.others);
    let (mut alone, mut beside) = (Vec::new(), Vec::new());
    for _ in 0..bench.sizes.heavy_repeats {
        for (crowd, waits) in [(0, &mut alone), (many, &mut beside)] {
            report.doing(&format!("{users} users have {each} jobs each beside {crowd} of another"));
            let place = bench.target.fresh(bench.env, "fairness").await?;
            waits.push(percentile(&few(&place, crowd, (users, each)).await?, 0.99));
            place.remove().await?;
        }
    }
    let of = ("fairness", bench.target.name());
    let scaled = |figure: Figure| figure.scale("users", users).scale("jobs of each", each);
    report.add(scaled(Figure::new(of, "p99 wait of users with few jobs, alone", "ms", alone.clone())));
    let figure = Figure::new(of, "the same beside the many jobs of one user", "ms", beside);
    let figure = scaled(figure.beside("the wait alone", &alone)).scale("jobs of the one", many);
    report.add(figure.goal(Goal::OfRawAtMost(2.0)));
    Ok(())
}

/// The waits of the few. When all of them were served it ends, however much is left of the other's.
async fn few(place: &Place, crowd: u64, (users, each): (u64, u64)) -> Result<Vec<f64>, Exit> {
    let store = place.open().await?;
    if crowd > 0 {
        wait_for_places(place, &store, (ONE, false), crowd).await?;
    }
    let noop = Arc::new(Noop::default());
    let system = flows::start(place, &store, &noop, Arc::new(NoObserver)).await?;
    let starts = Starts::of(&system, ONE).await?;
    let of_user = |user: u64| {
        let (starts, system) = (starts.clone(), system.clone());
        (0..each)
            .map(move |n| tokio::spawn(ask(starts.clone(), system.clone(), user * each + n, format!("user-{user}"))))
    };
    let clients: Vec<_> = (0..users).flat_map(of_user).collect();
    let mut asked = Vec::new();
    for client in clients {
        asked.push(client.await.map_err(Exit::failed)??);
    }
    served(&noop, &asked, 60_000 + i64::try_from(crowd).unwrap_or(i64::MAX) * 20).await?;
    let waits = waits(&noop, &asked);
    system.stop().await;
    drop(system);
    place::close(store).await;
    waits
}

/// Returns when each of the runs got to its first step.
async fn served(noop: &Noop, asked: &[(RunId, Duration)], limit_ms: i64) -> Result<(), Exit> {
    let until = SystemClock.now().plus_ms(limit_ms);
    while asked.iter().any(|(run, _)| noop.begun(*run).is_none()) {
        if SystemClock.now() > until {
            return Err(Exit::failed(format!("not everybody was served within {} s", limit_ms / 1_000)));
        }
        SystemClock.sleep_until(SystemClock.now().plus_ms(LOOK_MS)).await;
    }
    Ok(())
}

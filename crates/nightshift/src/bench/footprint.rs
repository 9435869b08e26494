//! Memory of a daemon: for each deliverable, schedule and run that waits, and at the most when a crowd is due.
//!
//! Owns: the stores that daemons are started on; each is a process of its own, beside one on an empty store.
//! Refuses to know: what the daemon keeps.

use std::time::Duration;

use nightshift_domain::{calendar::Rule, deliverable::Governance};
use nightshift_ports::clock::Clock;
use serde::{Deserialize, Serialize};

use super::{
    Bench,
    flows::{self, Noop, SLEEPING, Starts},
    idle::{self, EMPTY},
    machine, orders,
    place::{self, Place},
    report::{Figure, Report},
    traffic::finish,
};
use crate::{
    app::{self, Mode, Purpose},
    commands::Env,
    exit::{Code, Exit},
    observe::Watcher,
    output,
    real::SystemClock,
};

/// For how long a daemon is watched: only its memory is wanted.
const WATCHED_MS: u64 = 100;

/// The most things that wait for one figure: a million of them is what `idle` looks at.
const WAITING_MAX: u64 = 100_000;

/// What a busy child found, in MiB.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Peak {
    most_mib: f64,
}

/// A store with things that wait.
struct Waiting {
    what: &'static str,
    count: u64,
    place: Place,
    resident_mib: Vec<f64>,
}

/// Makes the stores, then starts daemons on them in turns.
pub(super) async fn measure(bench: &Bench<'_>, report: &mut Report) -> Result<(), Exit> {
    report.doing("stores are made with deliverables, schedules and runs that wait");
    let empty = bench.target.fresh(bench.env, "empty").await?;
    place::close(empty.open().await?).await;
    let mut all = waiting(bench).await?;
    let (mut empties, mut peaks) = (Vec::new(), Vec::new());
    for _ in 0..bench.sizes.repeats {
        empties.push(idle::child(&empty, WATCHED_MS).await?.resident_mib);
        for one in &mut all {
            one.resident_mib.push(idle::child(&one.place, WATCHED_MS).await?.resident_mib);
        }
        peaks.push(peak(bench).await?);
    }
    let of = ("footprint", bench.target.name());
    report.add(Figure::new(of, "a daemon on an empty store: resident", "MiB", empties.clone()));
    for one in all {
        let Waiting { what, count, place, resident_mib } = one;
        let bytes = |(full, empty): (&f64, &f64)| (full - empty) * 1_048_576.0 / count as f64;
        let each: Vec<f64> = resident_mib.iter().zip(&empties).map(bytes).collect();
        let figure = Figure::new(of, format!("{what} that wait: resident"), "MiB", resident_mib);
        report.add(figure.scale(what, count).beside(EMPTY, &empties));
        report.add(Figure::new(of, format!("{what} that wait: each takes"), "bytes", each).scale(what, count));
        place.remove().await?;
    }
    let count = bench.sizes.small_crowd;
    let figure = Figure::new(of, "deliverables due at once: the most that is resident", "MiB", peaks);
    report.add(figure.scale("deliverables", count).beside(EMPTY, &empties));
    empty.remove().await
}

/// A store for each kind of thing.
async fn waiting(bench: &Bench<'_>) -> Result<Vec<Waiting>, Exit> {
    let (now, many) = (SystemClock.now(), bench.sizes.idle.min(WAITING_MAX));
    let deliverables = bench.target.fresh(bench.env, "deliverables").await?;
    let store = deliverables.open().await?;
    let drawer = orders::Orders::over(&deliverables.files, many.min(idle::IDLE_NAMED))?;
    orders::take(&store, many, |n| drawer.order(n, orders::in_some_weeks(n, now), Governance::Manual)).await?;
    place::close(store).await;
    let schedules = bench.target.fresh(bench.env, "schedules").await?;
    let store = schedules.open().await?;
    orders::take_schedules(&store, many, |n| orders::in_some_weeks(n, now)).await?;
    place::close(store).await;
    let runs = bench.target.fresh(bench.env, "waiting").await?;
    start_runs(&runs, bench.sizes.waiting).await?;
    let one = |what, count, place| Waiting { what, count, place, resident_mib: Vec::new() };
    Ok(vec![
        one("deliverables", many, deliverables),
        one("schedules", many, schedules),
        one("runs", bench.sizes.waiting, runs),
    ])
}

/// Runs whose only step sleeps for some weeks.
async fn start_runs(place: &Place, count: u64) -> Result<(), Exit> {
    let store = place.open().await?;
    let noop = std::sync::Arc::new(Noop::default());
    let system = flows::start(place, &store, &noop, Watcher::new()?).await?;
    let starts = Starts::of(&system, SLEEPING).await?;
    starts.many(&system, count, ("ann", false)).await?;
    finish(&system, Duration::from_secs(60 + count / 20)).await?;
    system.stop().await;
    drop(system);
    place::close(store).await;
    Ok(())
}

/// Lets a daemon find deliverables that are due, and do them. The most that was resident of it.
async fn peak(bench: &Bench<'_>) -> Result<f64, Exit> {
    let place = bench.target.fresh(bench.env, "peak").await?;
    let store = place.open().await?;
    let (count, due) = (bench.sizes.small_crowd, SystemClock.now().plus_ms(1_000));
    let drawer = orders::Orders::over(&place.files, count)?;
    orders::take(&store, count, |n| drawer.order(n, Rule::Once { at: due }, Governance::Manual)).await?;
    place::close(store).await;
    SystemClock.sleep_until(due).await;
    let found = idle::again(&place, &["busy"])?.output().await?;
    if !found.status.success() {
        return Err(Exit::failed(format!("the daemon that was to be measured ended with {}", found.status)));
    }
    place.remove().await?;
    Ok(serde_json::from_slice::<Peak>(&found.stdout)?.most_mib)
}

/// The child: does what is due, and prints the most memory that it took.
pub(super) async fn inside(env: &Env) -> Result<Code, Exit> {
    let store = app::open(&env.config, Mode::Write).await?;
    let system = app::start(&env.config, &store, Purpose::daemon(Watcher::new()?)).await?;
    system.context().clock.look().await;
    finish(&system, Duration::from_secs(600)).await?;
    output::json(&Peak { most_mib: machine::resident_most_mib() });
    system.stop().await;
    Ok(Code::Ok)
}

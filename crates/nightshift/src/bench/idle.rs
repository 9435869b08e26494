//! Deliverables that wait: what they cost a daemon in start-up, memory and processor time.
//!
//! Owns: the child process that is measured, so that memory is that of a fresh daemon and of nothing else.
//! Refuses to know: what the daemon does.

use std::process::Stdio;

use nightshift_ports::clock::Clock;
use serde::{Deserialize, Serialize};
use tokio::process::Command;

use super::{
    Bench, machine, orders,
    place::{self, Place},
    report::{Figure, Goal, Report},
};
use crate::{
    app::{self, Mode, Purpose},
    commands::Env,
    config::KEYS,
    exit::{Code, Exit},
    observe::Watcher,
    output,
    real::{SystemClock, elapsed},
};

use nightshift_domain::deliverable::Governance;

/// What stands beside the cost of a daemon.
pub(super) const EMPTY: &str = "a daemon on an empty store";

/// Orders that wait look at nothing, so they may share more.
pub(super) const IDLE_NAMED: u64 = 2_048;

/// What the child found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Cost {
    /// From the command line to the first timer armed, in seconds.
    startup_s: f64,
    /// Resident before the store was opened.
    resident_before_mib: f64,
    /// Resident after the watch.
    pub(super) resident_mib: f64,
    /// Processor time, in percent of one core.
    cpu_percent: f64,
}

/// Fills the store with deliverables that are due in some weeks.
pub(super) async fn fill(bench: &Bench<'_>, place: &Place) -> Result<(), Exit> {
    let store = place.open().await?;
    let drawer = orders::Orders::over(&place.files, bench.sizes.idle.min(IDLE_NAMED))?;
    let now = SystemClock.now();
    orders::take(&store, bench.sizes.idle, |n| drawer.order(n, orders::in_some_weeks(n, now), Governance::Manual))
        .await?;
    place::close(store).await;
    Ok(())
}

/// Starts a daemon on the filled store, some times.
pub(super) async fn measure(bench: &Bench<'_>, place: &Place, report: &mut Report) -> Result<(), Exit> {
    report.doing(&format!(
        "a daemon with {} idle deliverables is watched for {} s",
        bench.sizes.idle,
        bench.sizes.watch_ms / 1_000
    ));
    let empty = bench.target.fresh(bench.env, "idle_empty").await?;
    place::close(empty.open().await?).await;
    let (mut costs, mut empties) = (Vec::new(), Vec::new());
    for _ in 0..bench.sizes.repeats {
        empties.push(child(&empty, bench.sizes.watch_ms).await?);
        costs.push(child(place, bench.sizes.watch_ms).await?);
    }
    empty.remove().await?;
    let of = ("idle", bench.target.name());
    let figures = |costs: &[Cost], value: fn(&Cost) -> f64| costs.iter().map(value).collect::<Vec<f64>>();
    let pair = |name: &str, unit, value: fn(&Cost) -> f64| {
        let figure = Figure::new(of, name, unit, figures(&costs, value)).scale("deliverables", bench.sizes.idle);
        figure.beside(EMPTY, &figures(&empties, value))
    };
    report.add(pair("start-up", "s", |cost| cost.startup_s).goal(Goal::AtMost(10.0)));
    report.add(pair("resident memory", "MiB", |cost| cost.resident_mib).goal(Goal::AtMost(300.0)));
    report.add(Figure::new(of, "before the store is opened", "MiB", figures(&costs, |cost| cost.resident_before_mib)));
    report.add(pair("processor", "% of a core", |cost| cost.cpu_percent).goal(Goal::AtMost(1.0)));
    Ok(())
}

/// This program once more, as the daemon that is measured. The address of the store goes by the environment: it may hold
/// a password.
pub(super) fn again(place: &Place, inside: &[&str]) -> Result<Command, Exit> {
    let key = KEYS.iter().find(|key| key.path == "store.url");
    let variable = key.map(|key| key.variable()).unwrap_or_default();
    #[expect(clippy::disallowed_methods, reason = "this very program, measured from outside; it is waited for")]
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["--json", "bench", "--inside"]).args(inside).env(variable, &place.address);
    command.stdin(Stdio::null()).stderr(Stdio::inherit()).kill_on_drop(true);
    Ok(command)
}

/// Starts a daemon on the store and watches it for so long.
pub(super) async fn child(place: &Place, watch_ms: u64) -> Result<Cost, Exit> {
    let output = again(place, &["idle", "--count", &watch_ms.to_string()])?.output().await?;
    if !output.status.success() {
        return Err(Exit::failed(format!("the daemon that was to be measured ended with {}", output.status)));
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// The child: starts as a daemon does, waits, and prints what it cost.
pub(super) async fn inside(env: &Env, watch_ms: u64) -> Result<Code, Exit> {
    let resident_before_mib = machine::resident_mib();
    let store = app::open(&env.config, Mode::Write).await?;
    let system = app::start(&env.config, &store, Purpose::daemon(Watcher::new()?)).await?;
    system.context().clock.look().await;
    let startup_s = elapsed().as_secs_f64();
    system.settled().await;
    SystemClock.sleep_until(SystemClock.now().plus_ms(1_000)).await;
    let (cpu, began) = (machine::cpu_seconds(), elapsed());
    let watch_ms = i64::try_from(watch_ms).unwrap_or(i64::MAX);
    SystemClock.sleep_until(SystemClock.now().plus_ms(watch_ms)).await;
    let seconds = (elapsed() - began).as_secs_f64();
    let cpu_percent = (machine::cpu_seconds() - cpu) / seconds * 100.0;
    output::json(&Cost { startup_s, resident_before_mib, resident_mib: machine::resident_mib(), cpu_percent });
    system.stop().await;
    Ok(Code::Ok)
}

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

/// How long the idle daemon is watched, in milliseconds.
const WATCHED_MS: i64 = 10_000;

/// Orders that wait look at nothing, so they may share more.
const IDLE_NAMED: u64 = 2_048;

/// What the child found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Cost {
    /// From the command line to the first timer armed, in seconds.
    startup_s: f64,
    /// Resident before the store was opened.
    resident_before_mib: f64,
    /// Resident after the watch.
    resident_mib: f64,
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
        WATCHED_MS / 1_000
    ));
    let mut costs = Vec::new();
    for _ in 0..bench.sizes.repeats {
        costs.push(child(place).await?);
    }
    let of = ("idle", bench.target.name());
    let all = format!("{} idle deliverables", bench.sizes.idle);
    let figures = |value: fn(&Cost) -> f64| costs.iter().map(value).collect::<Vec<f64>>();
    report
        .add(Figure::new(of, format!("{all}: start-up"), "s", figures(|cost| cost.startup_s)).goal(Goal::AtMost(10.0)));
    report.add(
        Figure::new(of, format!("{all}: resident memory"), "MiB", figures(|cost| cost.resident_mib))
            .goal(Goal::AtMost(300.0)),
    );
    report.add(Figure::new(of, "before the store is opened", "MiB", figures(|cost| cost.resident_before_mib)));
    report.add(
        Figure::new(of, format!("{all}: processor"), "% of a core", figures(|cost| cost.cpu_percent))
            .goal(Goal::AtMost(1.0)),
    );
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

async fn child(place: &Place) -> Result<Cost, Exit> {
    let output = again(place, &["idle"])?.output().await?;
    if !output.status.success() {
        return Err(Exit::failed(format!("the daemon that was to be measured ended with {}", output.status)));
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// The child: starts as a daemon does, waits, and prints what it cost.
pub(super) async fn inside(env: &Env) -> Result<Code, Exit> {
    let resident_before_mib = machine::resident_mib();
    let store = app::open(&env.config, Mode::Write).await?;
    let system = app::start(&env.config, &store, Purpose::daemon(Watcher::new()?)).await?;
    system.context().clock.look().await;
    let startup_s = elapsed().as_secs_f64();
    system.settled().await;
    SystemClock.sleep_until(SystemClock.now().plus_ms(1_000)).await;
    let (cpu, began) = (machine::cpu_seconds(), elapsed());
    SystemClock.sleep_until(SystemClock.now().plus_ms(WATCHED_MS)).await;
    let seconds = (elapsed() - began).as_secs_f64();
    let cpu_percent = (machine::cpu_seconds() - cpu) / seconds * 100.0;
    output::json(&Cost { startup_s, resident_before_mib, resident_mib: machine::resident_mib(), cpu_percent });
    system.stop().await;
    Ok(Code::Ok)
}

//! Runs in flight when the process is killed, and how long the next one takes to go on with them.
//!
//! Owns: the child that is killed, and the proof that nothing was lost and nothing done twice.
//! Refuses to know: how a system recovers.

use std::{process::Stdio, sync::Arc, time::Duration};

use nightshift_actors::observer::NoObserver;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use uuid::Uuid;

use super::{
    Bench,
    flows::{self, Noop, Starts, THREE},
    idle,
    place::{self, Place},
    report::{Figure, Report},
    runs,
};
use crate::{
    app::{self, Mode, Purpose},
    commands::Env,
    exit::{Code, Exit},
    real::elapsed,
};

/// What the next process took, in seconds from the moment it opened the store.
struct Resumed {
    first: f64,
    last: f64,
    done: f64,
    /// Seconds to fetch what was owed, and nothing else.
    raw: f64,
}

/// Kills a process with runs in flight, some times.
pub(super) async fn measure(bench: &Bench<'_>, report: &mut Report) -> Result<(), Exit> {
    let count = bench.sizes.in_flight;
    let mut rounds = Vec::new();
    for _ in 0..bench.sizes.heavy_repeats {
        report.doing(&format!("a process is killed with {count} runs in flight"));
        let place = bench.target.fresh(bench.env, "resume").await?;
        rounds.push(round(&place, count).await?);
        place.remove().await?;
    }
    let of = ("resume", bench.target.name());
    let figures = |value: fn(&Resumed) -> f64| rounds.iter().map(value).collect::<Vec<f64>>();
    let raw = figures(|round| round.raw);
    for (name, value) in [
        ("first step goes on", (|round| round.first) as fn(&Resumed) -> f64),
        ("last of those steps goes on", |round| round.last),
        ("all three steps of all runs done", |round| round.done),
    ] {
        let figure = Figure::new(of, format!("after kill -9: {name}"), "s", figures(value)).scale("in flight", count);
        report.add(figure.beside("fetching what is owed", &raw));
    }
    Ok(())
}

async fn round(place: &Place, count: u64) -> Result<Resumed, Exit> {
    let seed = killed(place, count).await?;
    let raw = fetch_owed(place, count).await?;
    let began = elapsed();
    let store = place.open().await?;
    let noop = Arc::new(Noop::default());
    let system = flows::start(place, &store, &noop, Arc::new(NoObserver)).await?;
    flows::drained(&system, Duration::from_secs(60 + count / 20)).await?;
    let done = (elapsed() - began).as_secs_f64();
    system.settled().await;
    let starts = Starts::known(system.context().shard_count(), THREE, seed)?;
    runs::check(&store, &noop, (count, 3), |n| starts.run(n)).await?;
    let begun: Vec<f64> = (0..count)
        .filter_map(|n| noop.begun(starts.run(n)))
        .map(|begun| begun.saturating_sub(began).as_secs_f64())
        .collect();
    system.stop().await;
    drop(system);
    place::close(store).await;
    let first = begun.iter().copied().fold(f64::INFINITY, f64::min);
    Ok(Resumed { first, last: begun.iter().copied().fold(0.0, f64::max), done, raw })
}

/// Seconds to open the store with one connection and fetch what is owed: there is at least something for each run.
async fn fetch_owed(place: &Place, count: u64) -> Result<f64, Exit> {
    let began = elapsed();
    let mut reader = place.reader().await?;
    let owed = reader.owed().await? as u64;
    let seconds = (elapsed() - began).as_secs_f64();
    reader.close().await;
    if owed < count {
        return Err(Exit::failed(format!(
            "{owed} obligations are open of {count} runs in flight; the system is at fault"
        )));
    }
    Ok(seconds)
}

/// Lets a child begin the runs and kills it when all of them are in their first step. What names the runs.
async fn killed(place: &Place, count: u64) -> Result<Uuid, Exit> {
    let mut command = idle::again(place, &["in-flight", "--count", &count.to_string()])?;
    let mut child = command.stdout(Stdio::piped()).spawn()?;
    let stdout = child.stdout.take().ok_or_else(|| Exit::failed("the child has no output"))?;
    let said = BufReader::new(stdout).lines().next_line().await?;
    child.kill().await?;
    let said = said.ok_or_else(|| Exit::failed("the process that was to be killed ended by itself"))?;
    Uuid::parse_str(&said).map_err(Exit::failed)
}

/// The child: begins runs whose steps never end, says so, and waits to be killed.
pub(super) async fn inside(env: &Env, count: u64) -> Result<Code, Exit> {
    let mut config = env.config.clone();
    config.queue.concurrency = u16::try_from(count).unwrap_or(u16::MAX);
    let store = app::open(&config, Mode::Write).await?;
    let noop = Arc::new(Noop::hanging());
    let purpose = Purpose { acting: Some(noop.clone()), ..Purpose::daemon(Arc::new(NoObserver)) };
    let system = app::start(&config, &store, purpose).await?;
    let starts = Starts::of(&system, THREE).await?;
    starts.many(&system, count, ("ann", false)).await?;
    noop.all_asked(count).await;
    let mut stdout = tokio::io::stdout();
    stdout.write_all(format!("{}\n", starts.seed()).as_bytes()).await?;
    stdout.flush().await?;
    let why = system.collapsed().await;
    Err(Exit::failed(format!("the system ended early: {why:?}")))
}

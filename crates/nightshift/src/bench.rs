//! `nightshift bench`: what this machine does, beside what its databases can do at best.
//!
//! Owns: which measurements there are, their sizes, and the order in which they share a store.
//! Refuses to know: how a figure is taken (one module for each), how it is printed (`report`).
//!
//! Invariant: no figure of a server that loses confirmed work is printed.

mod append;
mod flows;
mod history;
mod idle;
mod machine;
mod orders;
mod place;
mod report;
mod resume;
mod runs;
mod traffic;
mod waits;

use nightshift_spec::fault::nearest;

use crate::{
    args,
    commands::Env,
    exit::{Code, Exit},
    real,
};
use place::Target;
use report::Report;

/// The measurements, in the order in which they are taken.
pub const ALL: [&str; 12] = [
    "append", "crowd", "replay", "rebuild", "idle", "lateness", "runs", "jobs", "limits", "latency", "fairness",
    "resume",
];

/// How much is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Sizes {
    /// Times each figure is taken.
    repeats: u32,
    /// Events appended for one figure.
    append_events: usize,
    /// Deliverables due at one instant.
    crowd: u64,
    /// Deliverables that wait.
    idle: u64,
    /// Deliverables due one after the other, in each round.
    spread: u64,
    /// Runs of three steps.
    runs: u64,
    /// Jobs that wait and are drained.
    jobs: u64,
    /// Jobs at a quiet pace.
    paced: u64,
    /// Runs under way when the process is killed.
    in_flight: u64,
}

impl Sizes {
    const fn of(args: &args::Bench) -> Self {
        let repeats = if args.repeats == 0 { 1 } else { args.repeats };
        let (append_events, crowd, idle) =
            if args.full { (200_000, 100_000, 1_000_000) } else { (40_000, 2_000, 20_000) };
        let (runs, jobs, paced, in_flight) =
            if args.full { (30_000, 100_000, 400, 10_000) } else { (5_000, 10_000, 100, 1_000) };
        Self { repeats, append_events, crowd, idle, spread: 200, runs, jobs, paced, in_flight }
    }
}

/// What every measurement is given.
struct Bench<'a> {
    env: &'a Env,
    sizes: Sizes,
    wanted: Vec<&'static str>,
    target: &'a Target,
}

impl Bench<'_> {
    fn wants(&self, name: &str) -> bool {
        self.wanted.contains(&name)
    }

    async fn run(&self, report: &mut Report) -> Result<(), Exit> {
        if self.wants("append") {
            append::measure(self, report).await?;
        }
        if ["crowd", "replay", "rebuild"].into_iter().any(|name| self.wants(name)) {
            self.measure_crowd(report).await?;
        }
        if ["idle", "lateness"].into_iter().any(|name| self.wants(name)) {
            self.measure_idle(report).await?;
        }
        self.measure_workflows(report).await
    }

    async fn measure_workflows(&self, report: &mut Report) -> Result<(), Exit> {
        if self.wants("runs") {
            runs::runs(self, report).await?;
        }
        if self.wants("jobs") || self.wants("limits") {
            runs::jobs(self, report).await?;
        }
        if self.wants("latency") {
            waits::latency(self, report).await?;
        }
        if self.wants("fairness") {
            waits::fairness(self, report).await?;
        }
        if self.wants("resume") {
            resume::measure(self, report).await?;
        }
        Ok(())
    }

    /// The log that a crowd leaves is the one that is replayed and rebuilt: a real one.
    async fn measure_crowd(&self, report: &mut Report) -> Result<(), Exit> {
        let place = self.target.fresh(self.env, "crowd").await?;
        let store = place.open().await?;
        traffic::crowd(self, (&place, &store), report).await?;
        if self.wants("replay") {
            history::replay(self, &store, report).await?;
        }
        if self.wants("rebuild") {
            history::rebuild(self, &store, report).await?;
        }
        place::close(store).await;
        place.remove().await
    }

    async fn measure_idle(&self, report: &mut Report) -> Result<(), Exit> {
        let place = self.target.fresh(self.env, "idle").await?;
        idle::fill(self, &place).await?;
        if self.wants("idle") {
            idle::measure(self, &place, report).await?;
        }
        if self.wants("lateness") {
            traffic::lateness(self, &place, report).await?;
        }
        place.remove().await
    }
}

/// Measures and prints.
///
/// # Errors
/// A measurement is not known, a store could not be made, a server is not safe, or a slot was lost.
pub async fn run(env: &Env, args: args::Bench) -> Result<Code, Exit> {
    // Readings count from the first one.
    let _ = real::elapsed();
    match args.inside {
        None => {}
        Some(args::Inside::Idle) => return idle::inside(env).await,
        Some(args::Inside::InFlight) => return resume::inside(env, args.count).await,
    }
    let wanted = wanted(&args.which)?;
    let sizes = Sizes::of(&args);
    let folder = place::Folder::make(args.dir.as_deref())?;
    let mut targets = vec![Target::Sqlite(folder.path().to_path_buf())];
    let mut report = Report::new(machine::facts(folder.path(), args.postgres.as_deref()).await?, env.json);
    if let Some(url) = args.postgres {
        targets.push(Target::Postgres { url, files: folder.path().to_path_buf() });
    }
    report.open();
    let mut outcome = Ok(());
    for target in &targets {
        let bench = Bench { env, sizes, wanted: wanted.clone(), target };
        outcome = outcome.and(bench.run(&mut report).await);
    }
    report.close();
    folder.remove()?;
    outcome.map(|()| Code::Ok)
}

fn wanted(which: &[String]) -> Result<Vec<&'static str>, Exit> {
    if which.is_empty() {
        return Ok(ALL.to_vec());
    }
    let known = |word: &String| {
        ALL.into_iter().find(|name| name == word).ok_or_else(|| {
            let near = nearest(word, ALL).map(|near| format!("; did you mean {near:?}?")).unwrap_or_default();
            Exit::new(Code::Usage, format!("there is no measurement {word:?}{near} Allowed: {}", ALL.join(", ")))
        })
    };
    which.iter().map(known).collect()
}

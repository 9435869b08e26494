//! `nightshift bench`: what this machine does, beside what its databases can do at best.
//!
//! Owns: the order in which measurements share a store, that one that fails does not end the others, and that no store is
//! left behind.
//! Refuses to know: how a figure is taken (one module for each), how it is shown (`report`, `render`, `compare`).
//!
//! Invariant: no figure of a server that loses confirmed work is printed.

mod append;
mod compare;
mod fires;
mod flows;
mod footprint;
mod history;
mod idle;
mod machine;
mod orders;
mod place;
mod render;
mod report;
mod result;
mod resume;
mod runs;
mod sizes;
#[cfg(test)]
mod testing;
mod topics;
mod traffic;
mod waits;
mod wake;

use std::{future::pending, path::PathBuf, sync::Mutex};

use nightshift_ports::clock::Clock;
use tokio::signal::unix::{SignalKind, signal};

use crate::{
    args,
    commands::Env,
    exit::{Code, Exit},
    output,
    real::{SystemClock, elapsed},
};
use place::{Folder, Target};
use report::Report;
use result::{FORMAT, Results};
use sizes::Sizes;

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

    async fn run(&self, report: &mut Report) {
        self.one("append", report, async |report| append::measure(self, report).await).await;
        if ["crowd", "replay", "rebuild"].into_iter().any(|name| self.wants(name)) {
            self.measure_crowd(report).await;
        }
        if ["idle", "lateness"].into_iter().any(|name| self.wants(name)) {
            self.measure_idle(report).await;
        }
        self.one("fires", report, async |report| fires::measure(self, report).await).await;
        self.measure_workflows(report).await;
        self.one("footprint", report, async |report| footprint::measure(self, report).await).await;
    }

    async fn measure_workflows(&self, report: &mut Report) {
        self.one("runs", report, async |report| runs::runs(self, report).await).await;
        if self.wants("jobs") || self.wants("limits") {
            let name = if self.wants("jobs") { "jobs" } else { "limits" };
            self.timed(name, report, async |report| runs::jobs(self, report).await).await;
        }
        self.one("latency", report, async |report| waits::latency(self, report).await).await;
        self.one("fairness", report, async |report| waits::fairness(self, report).await).await;
        self.one("resume", report, async |report| resume::measure(self, report).await).await;
    }

    /// A measurement that may be wanted.
    async fn one(&self, name: &str, report: &mut Report, work: impl AsyncFnOnce(&mut Report) -> Result<(), Exit>) {
        if self.wants(name) {
            self.timed(name, report, work).await;
        }
    }

    /// A measurement: how long it took and how it ended is part of the report.
    async fn timed(&self, name: &str, report: &mut Report, work: impl AsyncFnOnce(&mut Report) -> Result<(), Exit>) {
        let began = elapsed();
        let outcome = work(report).await;
        report.ended((name, self.target.name()), outcome, elapsed() - began);
    }

    /// The log that a crowd leaves is the one that is replayed and rebuilt: a real one.
    async fn measure_crowd(&self, report: &mut Report) {
        let prepared = async {
            let place = self.target.fresh(self.env, "crowd").await?;
            let store = place.open().await?;
            Ok((place, store))
        };
        let (place, store) = match prepared.await {
            Ok(prepared) => prepared,
            Err(error) => return self.timed("crowd", report, async |_| Err(error)).await,
        };
        self.timed("crowd", report, async |report| traffic::crowd(self, (&place, &store), report).await).await;
        let both = (&place, &store);
        self.one("replay", report, async |report| history::replay(self, both, report).await).await;
        self.one("rebuild", report, async |report| history::rebuild(self, both, report).await).await;
        place::close(store).await;
        // What stays is swept at the end.
        let _ = place.remove().await;
    }

    async fn measure_idle(&self, report: &mut Report) {
        let prepared = async {
            let place = self.target.fresh(self.env, "idle").await?;
            idle::fill(self, &place).await?;
            Ok(place)
        };
        let place = match prepared.await {
            Ok(place) => place,
            Err(error) => return self.timed("idle", report, async |_| Err(error)).await,
        };
        self.one("idle", report, async |report| idle::measure(self, &place, report).await).await;
        self.one("lateness", report, async |report| traffic::lateness(self, &place, report).await).await;
        // What stays is swept at the end.
        let _ = place.remove().await;
    }
}

/// Measures and prints; or compares or shows what was measured before.
///
/// # Errors
/// A measurement is not known, a store could not be made, a server is not safe, a slot was lost, a file is no result.
pub async fn run(env: &Env, args: args::Bench) -> Result<Code, Exit> {
    // Readings count from the first one.
    let _ = elapsed();
    match args.inside {
        None => {}
        Some(args::Inside::Idle) => return idle::inside(env, args.count).await,
        Some(args::Inside::Busy) => return footprint::inside(env).await,
        Some(args::Inside::InFlight) => return resume::inside(env, args.count).await,
    }
    if !args.render.is_empty() {
        return show(&args.render, args.into);
    }
    let earlier = args.compare.first().map(|path| report::load(path)).transpose()?;
    if let [_, now] = args.compare.as_slice() {
        if !args.which.is_empty() {
            let message =
                "two files are compared and nothing is measured: name measurements in front of --compare, or none";
            return Err(Exit::new(Code::Usage, message));
        }
        let now = report::load(now)?;
        return Ok(earlier.map_or(Code::Ok, |then| compared(env, &then, &now, args.fail_on_worse)));
    }
    let report = measure(env, &args, earlier.is_some()).await?;
    if let Some(path) = &args.out {
        report::save(&report.results, path)?;
    }
    report.outcome()?;
    Ok(earlier.map_or(Code::Ok, |then| compared(env, &then, &report.results, args.fail_on_worse)))
}

/// Makes the stores, measures on each, and removes them whatever happens.
async fn measure(env: &Env, args: &args::Bench, to_compare: bool) -> Result<Report, Exit> {
    let wanted = topics::wanted(&args.which)?;
    let sizes = Sizes::of(args);
    let folder = Folder::make(args.dir.as_deref())?;
    let mut targets = vec![Target::Sqlite(folder.path().to_path_buf())];
    if let Some(url) = &args.postgres {
        let (url, files) = (url.clone(), folder.path().to_path_buf());
        targets.push(Target::Postgres { url, files, made: Mutex::default() });
    }
    let measured = async {
        let place = targets[0].fresh(env, "facts").await?;
        let machine = machine::facts(&place, args.postgres.as_deref()).await?;
        place.remove().await?;
        let results = Results {
            format: FORMAT,
            taken_at: SystemClock.now().to_string(),
            size: sizes.name.to_owned(),
            repeats: sizes.repeats,
            machine,
            figures: Vec::new(),
            took: Vec::new(),
            failed: Vec::new(),
        };
        // With --json there is one document, and a comparison is that one.
        let mut report = Report::new(results, env.json);
        report.open();
        for target in &targets {
            let bench = Bench { env, sizes, wanted: wanted.clone(), target };
            bench.run(&mut report).await;
        }
        if !(env.json && to_compare) {
            report.close();
        }
        Ok(report)
    };
    let measured = tokio::select! {
        measured = measured => measured,
        () = interrupted() => Err(Exit::failed("interrupted; its stores are removed")),
    };
    let mut swept = Ok(());
    for target in &targets {
        swept = swept.and(target.sweep().await);
    }
    let removed = folder.remove().await;
    let report = measured?;
    swept.and(removed)?;
    Ok(report)
}

/// Returns when a person or a service manager wants it to end.
async fn interrupted() {
    let terminated = async {
        match signal(SignalKind::terminate()) {
            Ok(mut signal) => drop(signal.recv().await),
            // Then it ends as any program does.
            Err(_) => pending().await,
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        () = terminated => {}
    }
}

/// Prints what became of the figures.
fn compared(env: &Env, then: &Results, now: &Results, fail_on_worse: bool) -> Code {
    let comparison = compare::compare(then, now);
    if env.json {
        output::json(&comparison);
    } else {
        comparison.print();
    }
    if fail_on_worse && comparison.worse() > 0 { Code::Failed } else { Code::Ok }
}

/// Prints the tables of results, or puts them into a document.
fn show(files: &[PathBuf], into: Option<PathBuf>) -> Result<Code, Exit> {
    let results: Vec<Results> = files.iter().map(|path| report::load(path)).collect::<Result<_, _>>()?;
    let texts: Vec<String> = results.iter().map(render::markdown).collect();
    let text = texts.join("\n");
    let Some(path) = into else {
        print!("{text}");
        return Ok(Code::Ok);
    };
    if results.iter().any(|results| results.machine.build != "release") {
        output::note("no release build: the tables say so; measure again with one before anybody relies on them");
    }
    let document = output::read_text(&path)?;
    let refused = |why: String| Exit::new(Code::Usage, format!("{}: {why}", path.display()));
    let put = render::put_into(&document, &text).map_err(refused)?;
    std::fs::write(&path, put)?;
    Ok(Code::Ok)
}

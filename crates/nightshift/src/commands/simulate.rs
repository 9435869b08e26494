//! `nightshift simulate`: many histories of a simulated world, with everything going wrong.
//!
//! Owns: which seeds run side by side, and how a person reads what came of them.
//! Refuses to know: what is simulated, and what must hold (`nightshift_replay::simulate`).

mod long;

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use nightshift_domain::definition::Document;
use nightshift_replay::{
    Progress,
    simulate::{Class, Fault, Outcome, Settings, Simulator, Summary, shrink},
};
use serde_json::json;

use super::Env;
use crate::{
    args,
    exit::{Code, Exit},
    output::{self, fact},
    real,
};

/// Failing seeds that are told one by one.
const TOLD_MAX: usize = 5;

/// Runs the command.
///
/// # Errors
/// A document is faulty, or the command line is.
pub fn run(env: &Env, args: args::Simulate) -> Result<Code, Exit> {
    if let Some(file) = &args.render {
        return long::render(file, args.into.as_deref());
    }
    let simulator = Simulator::default();
    let documents = documents(&simulator, &args)?;
    let own = !args.files.is_empty();
    let base = Settings {
        faults: faults(&args.faults)?,
        deliverables: args.deliverables.unwrap_or(if own { 0 } else { 10 }),
        runs_per_day: args.runs,
        documents,
        replay_one_in: args.replay_one_in,
        project: !args.no_tables,
        ..Settings::of(0, args.days)
    };
    let seeds = args.seed.map_or_else(|| args.from..args.from + args.seeds, |seed| seed..seed + 1);
    let began = real::elapsed();
    let (summary, took_s) = match &args.report {
        Some(file) => {
            let report = long::run(env, &base, &args, file)?;
            (report.summary, report.wall_s)
        }
        None => {
            let (mut summary, jobs) = (Summary::default(), jobs(args.jobs, seeds.end - seeds.start));
            side_by_side(&base, seeds.clone(), jobs, &mut summary, &mut super::capture::bar(env.json));
            (summary, real::elapsed().saturating_sub(began).as_secs_f64())
        }
    };
    // The same seed twice gives the same history: the first one is lived through again.
    let repeatable =
        summary.first.is_some_and(|(seed, hash)| simulator.run(&Settings { seed, ..base.clone() }).hash == hash);
    let missing = summary.missing(&base);
    let files: Vec<String> = args.files.iter().map(|file| file.display().to_string()).collect();
    let said = Said { base: &base, files: &files, summary: &summary, missing: &missing, repeatable };
    if env.json {
        said.json(took_s);
    } else {
        said.print(took_s);
        if !args.no_shrink && !summary.failed.is_empty() {
            said.smaller(&simulator);
        }
    }
    let sound = summary.failures == 0 && missing.is_empty() && repeatable;
    Ok(if sound { Code::Ok } else { Code::Failed })
}

fn documents(simulator: &Simulator, args: &args::Simulate) -> Result<Vec<Arc<Document>>, Exit> {
    if args.files.is_empty() {
        return Ok(simulator.built_in()?);
    }
    let read = |file: &std::path::PathBuf| -> Result<Arc<Document>, Exit> {
        let text = output::read_text(file)?;
        Ok(Arc::new(simulator.read(&text, &file.display().to_string())?))
    };
    args.files.iter().map(read).collect()
}

fn faults(said: &str) -> Result<BTreeSet<Fault>, Exit> {
    match said {
        "all" => Ok(Fault::ALL.iter().copied().collect()),
        "none" => Ok(BTreeSet::new()),
        list => list.split(',').map(|word| Fault::parse(word.trim()).ok_or_else(|| unknown(word))).collect(),
    }
}

fn unknown(word: &str) -> Exit {
    let known: Vec<&str> = Fault::ALL.iter().map(|fault| fault.as_str()).collect();
    Exit::new(Code::Usage, format!("{word:?} is no fault; there are: all, none, {}", known.join(", ")))
}

/// So many seeds go side by side: one for each core, when nobody says otherwise.
fn jobs(asked: Option<usize>, seeds: u64) -> usize {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    asked.unwrap_or(cores).clamp(1, usize::try_from(seeds).unwrap_or(usize::MAX).max(1))
}

/// Seeds on several cores, each history on one. What comes of it does not depend on how many there are.
fn side_by_side(
    base: &Settings,
    seeds: std::ops::Range<u64>,
    jobs: usize,
    summary: &mut Summary,
    progress: &mut (dyn FnMut(Progress) + Send),
) {
    let (next, of) = (AtomicU64::new(seeds.start), seeds.end - seeds.start);
    let together = Mutex::new((summary, progress, 0));
    std::thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| {
                let simulator = Simulator::default();
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        return;
                    }
                    let outcome = simulator.run(&Settings { seed, ..base.clone() });
                    let mut together = together.lock().unwrap_or_else(PoisonError::into_inner);
                    let (summary, progress, done) = &mut *together;
                    summary.add(&outcome);
                    *done += 1;
                    progress(Progress { done: *done, of, doing: "simulating" });
                }
            });
        }
    });
}

/// What is told at the end.
struct Said<'a> {
    base: &'a Settings,
    files: &'a [String],
    summary: &'a Summary,
    missing: &'a [Class],
    repeatable: bool,
}

impl Said<'_> {
    fn of(&self, seed: u64) -> Settings {
        Settings { seed, ..self.base.clone() }
    }

    fn print(&self, took_s: f64) {
        let Summary { seeds, events, commands, runs, effects, coverage, failures, failed, findings, .. } = self.summary;
        let days = self.summary.days();
        fact("seeds", seeds);
        fact("simulated days", format!("{days:.0}, {:.0} a minute", days / took_s.max(1e-3) * 60.0));
        fact("durable", format!("{events} events of {commands} commands, {runs} runs"));
        fact("outside calls", effects);
        fact("invariants", format!("looked at {} times", self.summary.looks()));
        fact(
            "same twice",
            if self.repeatable { "yes" } else { "NO: the first seed made another history when repeated" },
        );
        println!();
        let rows = coverage.iter().map(|(class, times)| vec![class.as_str().to_owned(), times.to_string()]).collect();
        output::table(&["fault", "times"], rows, "No faults.");
        for class in self.missing {
            println!("NEVER HAPPENED: {}: nothing is proven about it", class.as_str());
        }
        if !findings.is_empty() {
            println!("\nWhat these definitions allow:");
        }
        for (finding, (times, seed)) in findings {
            println!(
                "  {} step {}: {} ({times} times, first under seed {seed})",
                finding.workflow, finding.step, finding.what
            );
            println!("    {}", self.of(*seed).command(self.files));
        }
        println!("\n{}", if failed.is_empty() { "No invariant was broken." } else { "BROKEN:" });
        for (seed, violation) in failed.iter().take(TOLD_MAX) {
            println!("  seed {seed}: {} at {}: {}", violation.invariant, violation.at, violation.what);
            println!("    {}", self.of(*seed).command(self.files));
        }
        let untold = failures.saturating_sub(TOLD_MAX as u64);
        if untold > 0 {
            println!("  and {untold} more seeds");
        }
    }

    /// The first failure again, as small as it can be made.
    fn smaller(&self, simulator: &Simulator) {
        let Some((seed, _)) = self.summary.failed.first_key_value() else { return };
        let failing = self.of(*seed);
        let outcome: Outcome = simulator.run(&failing);
        let (settings, outcome) = shrink(simulator, &failing, outcome);
        println!("\nThe smallest history of seed {seed} that fails so:\n  {}", settings.command(self.files));
        for violation in outcome.violations.iter().take(TOLD_MAX) {
            println!("    {} at {}: {}", violation.invariant, violation.at, violation.what);
        }
    }

    fn json(&self, took_s: f64) {
        let Summary { seeds, steps, events, commands, runs, effects, checks, coverage, failed, findings, .. } =
            self.summary;
        let failed: Vec<_> = failed
            .iter()
            .map(|(seed, violation)| json!({"seed": seed, "violation": violation, "again": self.of(*seed).command(self.files)}))
            .collect();
        let findings: Vec<_> = findings
            .iter()
            .map(|(finding, (times, seed))| json!({"finding": finding, "times": times, "seed": seed}))
            .collect();
        let missing: Vec<&str> = self.missing.iter().map(|class| class.as_str()).collect();
        output::json(&json!({
            "seeds": seeds, "days": self.summary.days(), "seconds": took_s, "steps": steps, "events": events, "commands": commands,
            "runs": runs, "effects": effects, "checks": checks, "faults": coverage, "missing": missing,
            "failures": self.summary.failures, "hash": format!("{:016x}", self.summary.hash),
            "failed": failed, "findings": findings, "repeatable": self.repeatable,
        }));
    }
}

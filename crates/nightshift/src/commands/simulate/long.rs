//! Many seeds with a file that says how far they are: what was begun goes on, and the figures are made of it.
//!
//! Owns: when the file is written, and whether it is of the same run. Refuses to know: what is in a report
//! (`nightshift_replay::simulate`).
//!
//! Invariant: the file is whole at any instant; what was lived through and is not in it is lived through again.

use std::path::Path;

use nightshift_replay::simulate::{Asked, Report, Settings, Summary, put_between_marks};

use super::side_by_side;
use crate::{
    args,
    commands::Env,
    exit::{Code, Exit},
    output, real,
};

/// The file is written after so many seeds.
const BLOCK: u64 = 250;

/// Lives through seeds and keeps `file` up to date; goes on where a file of the same run ended.
///
/// # Errors
/// The file is of another run, or cannot be read or written.
pub fn run(env: &Env, base: &Settings, args: &args::Simulate, file: &Path) -> Result<Report, Exit> {
    let documents: Vec<String> = args.files.iter().map(|file| file.display().to_string()).collect();
    let asked = Asked::of(base, &documents, args.from);
    let jobs = super::jobs(args.jobs, BLOCK);
    let mut report = known(file, &asked)?.unwrap_or_else(|| Report {
        program: program(),
        machine: machine(),
        next: asked.from,
        asked,
        jobs,
        wall_s: 0.0,
        summary: Summary::default(),
    });
    report.jobs = report.jobs.max(jobs);
    let (end, before_s, began) = (args.from + args.seeds, report.wall_s, real::elapsed());
    while report.next < end {
        let upto = end.min(report.next + BLOCK);
        side_by_side(base, report.next..upto, jobs, &mut report.summary, &mut |_| {});
        report.next = upto;
        report.wall_s = before_s + real::elapsed().saturating_sub(began).as_secs_f64();
        write(file, &report)?;
        if !env.json {
            let Summary { seeds, failures, .. } = &report.summary;
            let left = report.wall_s / *seeds as f64 * (end - upto) as f64;
            output::note(&format!("{seeds} seeds, {failures} with a violation; about {left:.0} s to go"));
        }
    }
    Ok(report)
}

/// What a former run left in the file.
fn known(file: &Path, asked: &Asked) -> Result<Option<Report>, Exit> {
    if !file.exists() {
        return Ok(None);
    }
    let report = read(file)?;
    if report.asked != *asked || report.program != program() {
        let what = format!(
            "{} is of another run or another edition ({}): remove it, or name another file",
            file.display(),
            report.program
        );
        return Err(Exit::new(Code::Usage, what));
    }
    Ok(Some(report))
}

fn read(file: &Path) -> Result<Report, Exit> {
    let text = output::read_text(file)?;
    let faulty = |error| Exit::new(Code::Usage, format!("{}: {error}", file.display()));
    serde_json::from_str(&text).map_err(faulty)
}

fn write(file: &Path, report: &Report) -> Result<(), Exit> {
    let failed = |error: std::io::Error| Exit::new(Code::Failed, format!("{}: {error}", file.display()));
    let mut text = serde_json::to_string_pretty(report).map_err(|error| failed(error.into()))?;
    text.push('\n');
    let beside = file.with_extension("part");
    std::fs::write(&beside, text).and_then(|()| std::fs::rename(&beside, file)).map_err(failed)
}

/// Prints the figures of a report, or puts them between the marks of a document.
///
/// # Errors
/// A file cannot be read or written, or the document has no marks for this report.
pub fn render(file: &Path, into: Option<&Path>) -> Result<Code, Exit> {
    let figures = read(file)?.markdown();
    let Some(document) = into else {
        print!("{figures}");
        return Ok(Code::Ok);
    };
    let name = file.file_stem().unwrap_or_default().to_string_lossy();
    let text = output::read_text(document)?;
    let Some(text) = put_between_marks(&text, &name, &figures) else {
        let what = format!("{} has no line <!-- figures: {name} --> before its end", document.display());
        return Err(Exit::new(Code::Usage, what));
    };
    std::fs::write(document, text)
        .map_err(|error| Exit::new(Code::Failed, format!("{}: {error}", document.display())))?;
    Ok(Code::Ok)
}

fn program() -> String {
    let build = if cfg!(debug_assertions) { ", NOT a release build" } else { "" };
    format!("nightshift {}{build}", env!("CARGO_PKG_VERSION"))
}

fn machine() -> std::collections::BTreeMap<String, String> {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let cpu = read("/proc/cpuinfo");
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")).and_then(|rest| rest.split_once(':'));
    let model = model.map_or("unknown", |(_, model)| model.trim());
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let kernel = read("/proc/sys/kernel/osrelease").trim().to_owned();
    [("cpu", format!("{cores} x {model}")), ("kernel", kernel)].map(|(name, value)| (name.to_owned(), value)).into()
}

//! `nightshift capture` and `nightshift replay`: what happened, outside of the store it happened in.

use std::path::{Path, PathBuf};

use nightshift_replay::{
    Error, Fixture, Mode as Redaction, Progress, Report, Scope, capture as take, redact, replay_fixture,
};

use super::{Env, schedule::parse_instant};
use crate::{
    app::{self, Mode},
    args,
    exit::{Code, Exit},
    names, output,
};

/// A progress bar on standard error, as a callback.
pub fn bar(quiet: bool) -> impl FnMut(Progress) + Send {
    let bar = if quiet { indicatif::ProgressBar::hidden() } else { indicatif::ProgressBar::new(0) };
    if let Ok(style) = indicatif::ProgressStyle::with_template("{msg} {pos}/{len} {wide_bar} {eta}") {
        bar.set_style(style);
    }
    move |progress: Progress| {
        bar.set_message(progress.doing);
        bar.set_length(progress.of);
        bar.set_position(progress.done);
        if progress.of > 0 && progress.done >= progress.of {
            bar.finish_and_clear();
        }
    }
}

/// Writes a fixture.
///
/// # Errors
/// There is no such thing, or what was captured does not replay after redaction.
pub async fn capture(env: &Env, args: args::Capture) -> Result<Code, Exit> {
    if args.out.exists() && !is_empty_folder(&args.out) {
        let message = format!("{} exists already; name a new folder or file", args.out.display());
        return Err(Exit::new(Code::Usage, message));
    }
    let store = app::open(&env.config, Mode::Read).await?;
    let models = store.read_models();
    let scope = match (&args.run, &args.deliverable, args.since.as_deref()) {
        (Some(run), ..) => Scope::Run(names::run(&*models, run).await?.0),
        (_, Some(deliverable), _) => Scope::Deliverable(names::deliverable(&*models, deliverable).await?.0),
        (.., Some("all")) => Scope::All,
        (.., Some(since)) => Scope::Since(parse_instant(since)?),
        (None, None, None) => {
            let message = "say what to capture: --run ID, --deliverable ID, --since INSTANT or --since all";
            return Err(Exit::new(Code::Usage, message));
        }
    };
    let ports = store.ports();
    let fixture = take(&*store.log(), &*ports, scope, &mut bar(env.json)).await.map_err(refused)?;
    let mode = if args.redact { Redaction::Personal } else { Redaction::Secrets };
    let fixture = redact(&fixture, mode).map_err(refused)?;
    if args.out.extension().is_some_and(|extension| extension == "nsfix") {
        fixture.write_file(&args.out).map_err(refused)?;
    } else {
        fixture.write_dir(&args.out).map_err(refused)?;
    }
    let (events, commands) = (fixture.events.len(), fixture.commands.len());
    if env.json {
        output::json(&serde_json::json!({"out": args.out, "events": events, "commands": commands}));
    } else {
        println!("{}: {events} event(s), {commands} command(s), {} text(s)", args.out.display(), fixture.blobs.len());
    }
    Ok(Code::Ok)
}

fn is_empty_folder(path: &Path) -> bool {
    path.read_dir().is_ok_and(|mut entries| entries.next().is_none())
}

fn refused(error: Error) -> Exit {
    Exit::failed(error)
}

/// Replays fixtures, or the store itself.
///
/// # Errors
/// A fixture cannot be read.
pub async fn replay(env: &Env, args: args::Replay) -> Result<Code, Exit> {
    let mut worst = Code::Ok;
    if args.store {
        let store = app::open(&env.config, Mode::Read).await?;
        let report = nightshift_replay::replay_log(&*store.log(), &mut bar(env.json)).await.map_err(refused)?;
        show(env, &env.config.store.url.to_string(), &report);
        return Ok(code_of(&report));
    }
    if args.fixtures.is_empty() {
        return Err(Exit::new(Code::Usage, "name fixtures to replay, a folder of them, or --store"));
    }
    let mut reports = Vec::new();
    for path in args.fixtures.iter().flat_map(|path| fixtures_in(path)) {
        let fixture = Fixture::read(&path).map_err(refused)?;
        let report = replay_fixture(&fixture);
        let name = path.display().to_string();
        if env.json {
            reports.push(serde_json::json!({"fixture": name, "same": report.is_same(), "report": report}));
        } else {
            show(env, &name, &report);
        }
        if args.prefixes && !recovers(&name, &fixture, env.json).await? {
            worst = Code::Diverged;
        }
        worst = if (code_of(&report) as u8) > (worst as u8) { code_of(&report) } else { worst };
    }
    if env.json {
        output::json(&reports);
    }
    Ok(worst)
}

/// Cuts the recording at its commits, recovers from each cut and goes on to the end.
async fn recovers(name: &str, fixture: &Fixture, quiet: bool) -> Result<bool, Exit> {
    let prefixes = nightshift_replay::prefixes(fixture).map_err(refused)?;
    let mut progress = bar(quiet);
    let cuts = prefixes.cuts();
    let (of, mut sound) = (cuts.len() as u64, true);
    for (done, cut) in cuts.into_iter().enumerate() {
        progress(Progress { done: done as u64, of, doing: "recovering" });
        let recovered = prefixes.recover(cut).await.map_err(refused)?;
        for fault in &recovered.faults {
            output::note(&format!("{name}: cut {}: {fault}", prefixes.describe(cut)));
            sound = false;
        }
    }
    if !quiet {
        println!("{name}: recovered from {of} of {} prefixes", prefixes.commits() + 1);
    }
    Ok(sound)
}

/// The fixture itself, or every fixture in a folder of them.
fn fixtures_in(path: &Path) -> Vec<PathBuf> {
    if path.is_file() || path.join("fixture.json").is_file() {
        return vec![path.to_owned()];
    }
    let entries = path.read_dir().into_iter().flatten().filter_map(Result::ok).map(|entry| entry.path());
    let mut fixtures: Vec<PathBuf> = entries
        .filter(|path| path.join("fixture.json").is_file() || path.extension().is_some_and(|it| it == "nsfix"))
        .collect();
    fixtures.sort();
    if fixtures.is_empty() { vec![path.to_owned()] } else { fixtures }
}

fn show(env: &Env, name: &str, report: &Report) {
    if env.json {
        output::json(&serde_json::json!({"fixture": name, "same": report.is_same(), "report": report}));
    } else {
        println!("{name}: {}", if report.is_same() { "the same" } else { "DIFFERENT" });
        print!("{report}");
    }
}

/// The exit code of a report.
#[must_use]
pub const fn code_of(report: &Report) -> Code {
    match report.exit_code() {
        nightshift_replay::report::exit::SAME => Code::Ok,
        nightshift_replay::report::exit::DIVERGED => Code::Diverged,
        nightshift_replay::report::exit::UNDECODABLE => Code::Undecodable,
        _ => Code::Corrupt,
    }
}

//! The long storm, by command: `scripts/torture --store sqlite --kills 1000`.
//!
//! Owns: the command line. Refuses to know: what is done and checked, which is `nightshift_tests::torture`.

use std::{process::ExitCode, time::Duration};

use nightshift_tests::torture::{
    Storm,
    checker::check,
    faults::{Database, Fault},
    live_through,
};
use serde_json::Value;

const USAGE: &str = "usage: scripts/torture --store sqlite|postgres [--kills N] [--seed N] [--for 30m]
           [--faults kill_load,cut] [--out report.json]
       scripts/torture --check history.jsonl";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let [flag, file] = args.as_slice()
        && flag == "--check"
    {
        return checked(file);
    }
    let Some((storm, out)) = parse(&args) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    let Some(report) = live_through(&storm) else {
        eprintln!("torture: there is no PostgreSQL on this machine; scripts/setup installs it");
        return ExitCode::from(2);
    };
    print!("{report}");
    println!("{}", report.json());
    if let Some(out) = out
        && let Err(error) = std::fs::write(&out, format!("{:#}\n", report.json()))
    {
        eprintln!("torture: {out}: {error}");
        return ExitCode::FAILURE;
    }
    if report.is_passed() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn parse(args: &[String]) -> Option<(Storm, Option<String>)> {
    let mut storm = Storm {
        database: Database::Sqlite,
        seed: u64::from(std::process::id()),
        kills: 100,
        limit: Duration::MAX,
        open_max: 12,
        is_long: true,
        only: Vec::new(),
    };
    let (mut store, mut out, mut only) = (None, None, Vec::new());
    for pair in args.chunks(2) {
        let [name, value] = pair else { return None };
        match name.as_str() {
            "--store" => {
                store = Some([Database::Sqlite, Database::Postgres].into_iter().find(|it| it.as_str() == value)?)
            }
            "--kills" => storm.kills = value.parse().ok()?,
            "--seed" => storm.seed = value.parse().ok()?,
            "--for" => storm.limit = duration(value)?,
            "--faults" => only = value.split(',').map(str::to_owned).collect(),
            "--out" => out = Some(value.clone()),
            _ => return None,
        }
    }
    storm.database = store?;
    let all = Fault::of(storm.database);
    let named = |name: &String| all.iter().copied().find(|fault| fault.name() == name);
    storm.only = only.iter().map(named).collect::<Option<_>>()?;
    Some((storm, out))
}

/// Checks a history that is there.
fn checked(file: &str) -> ExitCode {
    let history: Result<Vec<Value>, String> =
        std::fs::read_to_string(file).map_err(|error| error.to_string()).and_then(|text| {
            text.lines().map(|line| serde_json::from_str(line).map_err(|error| error.to_string())).collect()
        });
    let history = match history {
        Ok(history) => history,
        Err(error) => {
            eprintln!("torture: {file}: {error}");
            return ExitCode::from(2);
        }
    };
    let found = check(&history);
    for (what, times) in &found.tally.0 {
        println!("{what}: {times}");
    }
    for broken in &found.violations {
        println!("violated: {}: {}", broken.rule, broken.what);
    }
    if found.violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// `90s`, `30m`, `2h`.
fn duration(text: &str) -> Option<Duration> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(seconds).map(Duration::from_secs)
}

//! The long storm, by command: `scripts/torture --store sqlite --kills 1000`.
//!
//! Owns: the command line. Refuses to know: what is done and checked, which is `nightshift_tests::torture`.

use std::{process::ExitCode, time::Duration};

use nightshift_tests::torture::{Storm, faults::Database, live_through};

const USAGE: &str = "usage: scripts/torture --store sqlite|postgres [--kills N] [--seed N] [--for 30m] [--out report.json]";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
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
    };
    let (mut store, mut out) = (None, None);
    for pair in args.chunks(2) {
        let [name, value] = pair else { return None };
        match name.as_str() {
            "--store" => store = Some([Database::Sqlite, Database::Postgres].into_iter().find(|it| it.as_str() == value)?),
            "--kills" => storm.kills = value.parse().ok()?,
            "--seed" => storm.seed = value.parse().ok()?,
            "--for" => storm.limit = duration(value)?,
            "--out" => out = Some(value.clone()),
            _ => return None,
        }
    }
    storm.database = store?;
    Some((storm, out))
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

//! `nightshift verify`: the store against its invariants: a dense log of one writer at a time, every decision made again,
//! every obligation accounted for, every read-model row equal to the fold of the events.

use nightshift_actors::audit::compare_rows;
use nightshift_replay::Report;

use super::{Env, capture::bar};
use crate::{
    app::{self, AnyStore, Mode},
    exit::{Code, Exit},
    output,
};

/// Checks everything and says what is wrong.
///
/// # Errors
/// The store cannot be read.
pub async fn run(env: &Env) -> Result<Code, Exit> {
    let store = app::open(&env.config, Mode::Read).await?;
    let mut faults = match &store {
        AnyStore::Sqlite(store) => store.check_file(false).await?,
        AnyStore::Postgres(_) => Vec::new(),
    };
    let mut progress = bar(env.json);
    let mut report = nightshift_replay::replay_log(&*store.log(), &mut progress).await.map_err(Exit::failed)?;
    drop(progress);
    faults.extend(compare_rows(&*store.log(), &*store.read_models(), |rows| report.rows_compared = rows).await?);
    Ok(show(env, &report, &faults))
}

fn show(env: &Env, report: &Report, faults: &[String]) -> Code {
    let clean = report.is_same() && faults.is_empty();
    if env.json {
        output::json(&serde_json::json!({"clean": clean, "report": report, "faults": faults}));
    } else {
        faults.iter().for_each(|fault| println!("{fault}"));
        print!("{report}");
        println!("{}", if clean { "clean" } else { "NOT clean" });
    }
    if !faults.is_empty() { Code::Corrupt } else { super::capture::code_of(report) }
}

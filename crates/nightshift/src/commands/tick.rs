//! `nightshift tick`: one pass, for deployments driven by cron.

use std::sync::Arc;

use nightshift_domain::time::Timestamp;
use nightshift_ports::clock::ManualClock;

use super::{Env, schedule::parse_instant};
use crate::{
    app::{self, AnyStore, Mode, Purpose},
    exit::{Code, Exit},
    observe::Watcher,
    output,
};

/// Does everything that is due and what follows from it, then ends.
///
/// # Errors
/// The store cannot be opened, or another process has it.
pub async fn run(env: &Env, at: Option<String>) -> Result<Code, Exit> {
    let store = app::open(&env.config, Mode::Write).await?;
    let mut purpose = Purpose::daemon(Watcher::new()?);
    if let Some(at) = at {
        purpose.clock = Arc::new(rehearsal(&store, &at).await?);
    }
    let before: u64 = store.log().heads().await?.iter().map(|(_, head)| head).sum();
    let system = app::start(&env.config, &store, purpose).await?;
    tokio::select! {
        () = system.settled() => {}
        why = system.collapsed() => return Err(Exit::new(Code::GaveUp, format!("the pass ended early: {why:?}"))),
    }
    let after: u64 = system.context().journal.heads().iter().map(|(_, head)| head).sum();
    let recovered = system.recovered;
    system.stop().await;
    if env.json {
        output::json(&serde_json::json!({"events": after - before, "recovered": recovered}));
    } else {
        println!("done: {} event(s), {recovered} obligation(s) taken up again", after - before);
    }
    Ok(Code::Ok)
}

/// A clock that stands at an instant. Time does not go back: the log would say that an effect came before its cause.
async fn rehearsal(store: &AnyStore, at: &str) -> Result<ManualClock, Exit> {
    let at = parse_instant(at)?;
    let log = store.log();
    let mut newest = Timestamp::default();
    for (shard, head) in log.heads().await? {
        let last = log.read_shard(shard, head.saturating_sub(1), 1).await?;
        newest = newest.max(last.first().map(|event| event.at).unwrap_or_default());
    }
    if at < newest {
        let message = format!("--at {at}: the newest event of the store is of {newest}; name a later instant");
        return Err(Exit::new(Code::Usage, message));
    }
    Ok(ManualClock::at(at))
}

//! `nightshift tick`: one pass, for deployments driven by cron.

use super::Env;
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
pub async fn run(env: &Env) -> Result<Code, Exit> {
    let store = app::open(&env.config, Mode::Write).await?;
    if let Some(other) = living_elsewhere(&store).await? {
        let message = format!("node {other} works on this store; a pass beside it would take its shards over");
        return Err(Exit::new(Code::InUse, message));
    }
    let mut purpose = Purpose::daemon(Watcher::new()?);
    app::check_rehearsal(env.at, &store).await?;
    purpose.clock = env.clock();
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

/// Another process with a session that lives. The lock of a SQLite file has answered that before.
async fn living_elsewhere(store: &AnyStore) -> Result<Option<String>, Exit> {
    match store {
        AnyStore::Sqlite(_) => Ok(None),
        AnyStore::Postgres(_) => Ok(store.ports().living().await?.into_iter().next().map(|session| session.node)),
    }
}

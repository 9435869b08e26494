//! `nightshift db`: the database.

use nightshift_actors::projector;
use nightshift_store::StoreFacts;

use super::Env;
use crate::{
    app::{self, AnyStore, Mode},
    args,
    exit::{Code, Exit},
    output::{self, fact},
};

/// Runs the command.
///
/// # Errors
/// It failed; the error has the exit code.
pub async fn run(env: &Env, command: args::Db) -> Result<Code, Exit> {
    match command {
        args::Db::Migrate => {
            let store = app::open(&env.config, Mode::Write).await?;
            info(env, &store).await
        }
        args::Db::Info => {
            let store = app::open(&env.config, Mode::Read).await?;
            info(env, &store).await
        }
        args::Db::Rebuild => rebuild(env).await,
    }
}

async fn info(env: &Env, store: &AnyStore) -> Result<Code, Exit> {
    let facts: StoreFacts = match store {
        AnyStore::Sqlite(store) => store.facts().await?,
        AnyStore::Postgres(store) => store.facts().await?,
    };
    let engine = facts.log.engine;
    if env.json {
        let tables: Vec<_> =
            facts.tables.iter().map(|table| serde_json::json!({"name": table.name, "bytes": table.bytes})).collect();
        output::json(&serde_json::json!({
            "store": env.config.store.url.to_string(), "engine": engine, "server": facts.server,
            "cluster_id": facts.log.cluster_id, "shards": facts.log.shard_count, "schema": facts.log.schema,
            "events": facts.events, "commands": facts.commands, "open_obligations": facts.obligations,
            "bytes": facts.bytes, "tables": tables,
        }));
        return Ok(Code::Ok);
    }
    fact("store", &env.config.store.url);
    fact("engine", format!("{engine} {}", facts.server));
    fact("cluster", facts.log.cluster_id);
    fact("schema", facts.log.schema);
    fact(
        "shards",
        format!("{}, {} with events", facts.log.shard_count, facts.heads.iter().filter(|head| head.head > 0).count()),
    );
    fact("events", facts.events);
    fact("commands", facts.commands);
    fact("open", format!("{} obligation(s)", facts.obligations));
    fact("bytes", facts.bytes);
    Ok(Code::Ok)
}

async fn rebuild(env: &Env) -> Result<Code, Exit> {
    let store = app::open(&env.config, Mode::Write).await?;
    let bar = indicatif::ProgressBar::new(store.log().heads().await?.iter().map(|(_, head)| head).sum());
    let folded = projector::rebuild(store.log(), store.read_models(), |done| bar.set_position(done)).await?;
    bar.finish_and_clear();
    if env.json {
        output::json(&serde_json::json!({"events": folded}));
    } else {
        println!("the read models were built anew from {folded} event(s) and put in place");
    }
    Ok(Code::Ok)
}

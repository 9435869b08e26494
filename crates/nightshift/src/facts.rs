//! What is known without asking a stream's actor: states folded from the log, and what a daemon shows, when one runs.
//!
//! Owns: the fold of one stream, and a look through the door of a daemon.
//! Refuses to know: what is done with it.

use nightshift_domain::{codec, decider::Decider, ids::StreamId};
use nightshift_ports::log::EventLog;
use serde::{Deserialize, de::DeserializeOwned};

use crate::{
    commands::Env,
    control,
    exit::{Code, Exit},
    output,
};

/// Events read at once.
const PAGE: u32 = 1_000;

/// Folds a stream without a system: who only looks takes nothing over.
///
/// # Errors
/// The log did not answer, or an event of it cannot be read.
pub async fn fold<D: Decider>(log: &dyn EventLog, stream: StreamId) -> Result<D::State, Exit> {
    let mut state = D::State::default();
    let mut after = 0;
    loop {
        let page = log.read_stream(stream, after, PAGE).await?;
        let Some(last) = page.last() else { return Ok(state) };
        after = last.version;
        for recorded in page {
            let event = codec::decode(D::KIND, &recorded.event_type, recorded.type_version, &recorded.data);
            D::evolve(&mut state, &event.map_err(Exit::failed)?, recorded.at);
        }
    }
}

/// What a daemon answers under an address of its HTTP interface; none when no daemon runs on the store, or none that can be
/// asked: who only looks then sees what is in the store, and is told why.
///
/// # Errors
/// It refused.
pub async fn of_daemon<T: DeserializeOwned>(env: &Env, path: &str) -> Result<Option<T>, Exit> {
    match ask(env, path).await {
        Err(Exit { code: Code::InUse, message }) => {
            output::note(&format!("the store is read as it is: {message}"));
            Ok(None)
        }
        answer => answer,
    }
}

async fn ask<T: DeserializeOwned>(env: &Env, path: &str) -> Result<Option<T>, Exit> {
    #[derive(Deserialize)]
    struct Envelope<T> {
        data: T,
    }
    let Some(daemon) = control::reach(&env.config).await? else { return Ok(None) };
    let answer: Envelope<T> = daemon.get(path).await?;
    Ok(Some(answer.data))
}

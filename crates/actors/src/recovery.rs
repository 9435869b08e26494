//! Recovery: what is owed is read from the log and handed over again.
//!
//! Owns: which obligations are read after a start and after an actor was started again.
//! Refuses to know: what they are about. Handing over twice is handing over once.
//!
//! Invariant: cost follows open work, not history.

use std::sync::Arc;

use nightshift_domain::{
    decider::{Class, Duty},
    ids::{CommandId, RunId, ShardId},
    recorded::Meta,
    run,
};
use nightshift_ports::log::{Owed, OwedQuery, StoreError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{
    context::Context,
    courier::Errand,
    envelope::{Envelope, Handed, Message, Reply},
    herald::Owing,
};

/// Obligations read at once.
const PAGE: u32 = 2_000;

/// Streams that are loaded at once because of what they owe: more would only wait for the store, some for too long.
const LOADS_AT_ONCE: usize = 256;

/// Hands over again all open obligations of these classes, and says after each page how many; timers are the clock's
/// own to load.
///
/// # Errors
/// The store did not answer.
pub async fn rescan(context: &Arc<Context>, classes: &[Class], told: impl Fn(u64) + Send) -> Result<u64, StoreError> {
    let shards: Vec<ShardId> = context.journal.heads().into_iter().map(|(shard, _)| shard).collect();
    let mut after = None;
    let mut found = 0;
    let places = Arc::new(Semaphore::new(LOADS_AT_ONCE));
    loop {
        let query = OwedQuery { classes: classes.to_vec(), due_before: None, after, limit: PAGE };
        let page = context.log.owed(&shards, &query).await?;
        let full = page.len() == PAGE as usize;
        after = page.last().map(|last| (last.obligation.due_at, last.stream, last.obligation.key.clone()));
        found += page.len() as u64;
        for owed in page {
            hand_over(context, owed, &places).await;
        }
        told(found);
        if !full {
            return Ok(found);
        }
    }
}

async fn hand_over(context: &Arc<Context>, owed: Owed, places: &Arc<Semaphore>) {
    let key = owed.obligation.key.clone();
    match &owed.obligation.duty {
        Duty::Tell { to, command } | Duty::Ask { to, command } => {
            let asks = matches!(owed.obligation.duty, Duty::Ask { .. });
            let command = (**command).clone();
            let errand = Errand { owner: owed.stream, key, to: *to, command, timer: false, asks };
            context.courier.send(context, errand);
        }
        Duty::Report { report } => {
            let owing = Owing { key, report: Arc::new((**report).clone()), since: owed.obligation.due_at };
            context.herald.send(context, owed.stream, owing);
        }
        // Begun by an owner of the shard before this one, with which it died.
        Duty::Attempt { step, attempt, token } if token.epoch < context.journal.acquired(owed.stream.shard()) => {
            let (run, place) = (RunId::from_uuid(owed.stream.id), Arc::clone(places).acquire_owned().await.ok());
            expire(context, Lost { run, step: step.clone(), attempt: *attempt, token: *token }, place);
        }
        // It is done here, or about to be begun: the run knows, and beginning it twice is beginning it once. What a step has
        // to pass before it gets a place is for the run to say as well.
        Duty::Attempt { .. } | Duty::Lease { .. } | Duty::Assess { .. } | Duty::Choose { .. } => {
            let (stream, open) = (owed.stream, context.gauges.open());
            let place = Arc::clone(places).acquire_owned().await.ok();
            context.router().send(stream, Message::Resume(Arc::new(Handed { owed, open, place })));
        }
        Duty::Wake { .. } => {}
    }
}

#[derive(Clone)]
struct Lost {
    run: RunId,
    step: String,
    attempt: u32,
    token: run::Token,
}

/// The task of an attempt ended without an outcome; `key` is that of its obligation, `attempt:step:n`.
pub fn expire_lost(context: &Arc<Context>, run: RunId, key: &str, token: run::Token) {
    let mut parts = key.rsplitn(2, ':');
    let attempt = parts.next().and_then(|attempt| attempt.parse().ok());
    let step = parts.next().and_then(|rest| rest.strip_prefix("attempt:"));
    if let (Some(attempt), Some(step)) = (attempt, step) {
        expire(context, Lost { run, step: step.to_owned(), attempt, token }, None);
    }
}

/// Attempts are done inside the process that holds the shard: one that does not run here died with its holder.
fn expire(context: &Arc<Context>, lost: Lost, place: Option<OwnedSemaphorePermit>) {
    let reason = "its worker ended with the process or the task that held the lease".to_owned();
    let Lost { run, step, attempt, token } = lost.clone();
    let key = format!("attempt:{step}:{attempt}:{token}");
    let command = run::Command::Expire { step, attempt, token, reason };
    let (again, open) = (Arc::clone(context), context.gauges.open());
    let reply = Reply::to(move |outcome| {
        drop(place);
        let unheard = outcome.is_err_and(|error| error.is_open()) && !again.journal.is_fenced();
        if unheard {
            tracing::warn!(%run, "a lost lease was not recorded; trying again");
            crate::tasks::spawn(async move {
                again.clock_port.sleep_until(again.clock_port.now().plus_ms(200)).await;
                expire(&again, lost, None);
                drop(open);
            });
        }
    });
    let envelope = Envelope {
        command: command.into(),
        id: CommandId::of_obligation(run.stream(), &key, "expire"),
        meta: Meta { actor: "recovery".to_owned(), ..Meta::default() },
        discharges: None,
        from_client: false,
        reply,
    };
    context.router().send(run.stream(), Message::Decide(Box::new(envelope)));
}

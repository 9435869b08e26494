//! The courier: tells streams what is owed to them, until it is certain that they were told.
//!
//! Owns: errands under way. An errand ends when the log no longer owes it.
//! Refuses to know: what is in a command.
//!
//! Invariant: an errand whose receiver's actor ended is told again; its command id is the same each time.
//! Invariant: who asks is told what the receiver made of it, also when that was long ago: the receiver keeps its answer.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use nightshift_domain::{
    ids::{CommandId, StreamId},
    recorded::Meta,
    streams::AnyCommand,
};
use tokio::sync::{Semaphore, mpsc};

use crate::{
    context::Context,
    duties,
    envelope::{Envelope, Message, NotDone, Outcome, Reply},
    observer::OpenWork,
};

/// Timers that may be told at once; a crowd of overdue timers is let out at this width so that other work goes on.
const TIMERS_AT_ONCE: usize = 512;

/// Wait before an errand is told again after its receiver did not answer, in milliseconds.
const TELL_AGAIN_MS: i64 = 200;

/// Something to be told, filed as an obligation.
#[derive(Debug, Clone)]
pub struct Errand {
    /// The stream that owes it.
    pub owner: StreamId,
    /// The obligation's key.
    pub key: String,
    /// Whom to tell.
    pub to: StreamId,
    /// What.
    pub command: AnyCommand,
    /// It is a timer: held back while many are under way.
    pub timer: bool,
    /// Whoever owes it is told what came of it, and closes it by that.
    pub asks: bool,
}

type Key = (StreamId, String);

/// Cheap to clone.
#[derive(Clone)]
pub struct Courier {
    under_way: Arc<Mutex<HashMap<Key, OpenWork>>>,
    timers: mpsc::UnboundedSender<(Errand, OpenWork)>,
}

impl Courier {
    /// A courier and the queue of its timers, which [`Courier::pump`] empties.
    #[must_use]
    pub fn new() -> (Self, mpsc::UnboundedReceiver<(Errand, OpenWork)>) {
        let (timers, waiting) = mpsc::unbounded_channel();
        (Self { under_way: Arc::new(Mutex::new(HashMap::new())), timers }, waiting)
    }

    fn under_way(&self) -> MutexGuard<'_, HashMap<Key, OpenWork>> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets out, unless this errand is under way already.
    pub fn send(&self, context: &Arc<Context>, errand: Errand) {
        let open = context.gauges.open();
        if errand.timer {
            // The receiver lives as long as the tree.
            let _ = self.timers.send((errand, open));
            return;
        }
        if self.set_out(&errand, open) {
            tell(context, errand, Held::Nothing);
        }
    }

    fn set_out(&self, errand: &Errand, open: OpenWork) -> bool {
        self.under_way().insert((errand.owner, errand.key.clone()), open).is_none()
    }

    /// Lets timers out, a limited number at once. Ends with the tree.
    pub async fn pump(context: Weak<Context>, mut waiting: mpsc::UnboundedReceiver<(Errand, OpenWork)>) {
        let places = Arc::new(Semaphore::new(TIMERS_AT_ONCE));
        while let Some((errand, open)) = waiting.recv().await {
            let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
            let Some(context) = context.upgrade() else { return };
            if context.courier.set_out(&errand, open) {
                tell(&context, errand, Held::Place(place));
            }
        }
    }

    /// The log no longer owes it.
    pub fn done(&self, owner: StreamId, key: &str) {
        self.under_way().remove(&(owner, key.to_owned()));
    }

    /// How many errands are under way.
    #[must_use]
    pub fn count(&self) -> usize {
        self.under_way().len()
    }
}

/// Held until the errand is answered.
enum Held {
    Nothing,
    Place(#[expect(dead_code, reason = "held for its drop")] tokio::sync::OwnedSemaphorePermit),
}

fn tell(context: &Arc<Context>, errand: Errand, held: Held) {
    let weak = Arc::downgrade(context);
    let copy = errand.clone();
    let reply = Reply::to(move |outcome| {
        drop(held);
        if let Some(context) = weak.upgrade() {
            answered(&context, copy, outcome);
        }
    });
    // A question is closed by its answer, not by the append of who is asked; that keeps what it made of it.
    let discharges = errand.owner.shard() == errand.to.shard() && !errand.asks;
    let envelope = Envelope {
        command: errand.command,
        id: CommandId::of_obligation(errand.owner, &errand.key, "tell"),
        meta: Meta { actor: if errand.timer { "clock" } else { "courier" }.to_owned(), ..Meta::default() },
        discharges: discharges.then_some((errand.owner, errand.key)),
        from_client: !discharges,
        reply,
    };
    context.router().send(errand.to, Message::Decide(Box::new(envelope)));
}

fn answered(context: &Arc<Context>, errand: Errand, outcome: Outcome) {
    match outcome {
        Ok(_) if errand.asks => report(context, errand, None),
        Err(NotDone::Rejected { why, .. }) if errand.asks => report(context, errand, Some(why)),
        Err(error @ NotDone::Quarantined { .. }) if errand.asks => report(context, errand, Some(error.to_string())),
        Ok(_) | Err(NotDone::Rejected { .. }) => {
            if let Err(NotDone::Rejected { why, .. }) = &outcome {
                tracing::info!(from = %errand.owner, to = %errand.to, %why, "an errand was turned down");
            }
            if errand.owner.shard() == errand.to.shard() {
                context.courier.done(errand.owner, &errand.key);
            } else {
                context.router().send(errand.owner, Message::Discharge { key: errand.key });
            }
        }
        Err(NotDone::Quarantined { why, .. }) => {
            tracing::error!(to = %errand.to, %why, "an errand waits for a stream that is set aside");
            context.courier.done(errand.owner, &errand.key);
        }
        Err(error) => {
            tracing::warn!(to = %errand.to, %error, "an errand was not answered; telling again");
            tell_again(context, errand);
        }
    }
}

/// Tells who asked what came of it, until it is known that it heard.
fn report(context: &Arc<Context>, errand: Errand, refused: Option<String>) {
    let Some(command) = duties::answer(errand.owner, &errand.key, refused) else {
        tracing::error!(from = %errand.owner, key = errand.key, "nobody takes the answer to an errand");
        return context.courier.done(errand.owner, &errand.key);
    };
    let (weak, owner) = (Arc::downgrade(context), errand.owner);
    let id = CommandId::of_obligation(owner, &errand.key, "answer");
    let reply = Reply::to(move |outcome| {
        let Some(context) = weak.upgrade() else { return };
        match outcome {
            Ok(_) => context.courier.done(errand.owner, &errand.key),
            Err(error @ (NotDone::Rejected { .. } | NotDone::Quarantined { .. })) => {
                tracing::error!(to = %errand.owner, %error, "the answer to an errand was turned down");
                context.courier.done(errand.owner, &errand.key);
            }
            // Who was asked answers the same once more.
            Err(_) => tell_again(&context, errand),
        }
    });
    let meta = Meta { actor: "courier".to_owned(), ..Meta::default() };
    let envelope = Envelope { command, id, meta, discharges: None, from_client: false, reply };
    context.router().send(owner, Message::Decide(Box::new(envelope)));
}

fn tell_again(context: &Arc<Context>, errand: Errand) {
    if context.journal.is_fenced() {
        return;
    }
    let context = Arc::clone(context);
    crate::tasks::spawn(async move {
        context.clock_port.sleep_until(context.clock_port.now().plus_ms(TELL_AGAIN_MS)).await;
        tell(&context, errand, Held::Nothing);
    });
}

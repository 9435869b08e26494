//! The way to streams: one supervisor for each kind, one actor for each stream that is needed now.
//!
//! Owns: activation on demand, passivation, and handing over again what a failed stream actor owed.
//! Refuses to know: what is in a message.
//!
//! Invariant: a stream has at most one actor, and only its supervisor sends to it, so no message is lost while it is
//! passivated.

mod entity;
mod streams;

use std::{any::Any, sync::Arc};

use nightshift_domain::{
    bulk::BulkDecider,
    definition::DefinitionDecider,
    deliverable::DeliverableDecider,
    ids::{StreamId, StreamKind},
    queue::QueueDecider,
    run::RunDecider,
    schedule::ScheduleDecider,
    source::SourceDecider,
    topic::TopicDecider,
};
use ractor::{Actor, ActorCell, ActorRef, SpawnErr};

use crate::{
    context::Context,
    envelope::{Envelope, Message, NotDone, Outcome, Reply},
    port::Port,
};

pub use streams::{StreamsActor, StreamsMsg};

/// The way to streams. Cheap to clone.
#[derive(Clone)]
pub struct Router {
    deliverables: Port<StreamsMsg>,
    runs: Port<StreamsMsg>,
    schedules: Port<StreamsMsg>,
    sources: Port<StreamsMsg>,
    definitions: Port<StreamsMsg>,
    topics: Port<StreamsMsg>,
    queue: Port<StreamsMsg>,
    bulks: Port<StreamsMsg>,
}

impl Default for Router {
    fn default() -> Self {
        Self {
            deliverables: Port::new("deliverables"),
            runs: Port::new("runs"),
            schedules: Port::new("schedules"),
            sources: Port::new("sources"),
            definitions: Port::new("definitions"),
            topics: Port::new("topics"),
            queue: Port::new("queue stream"),
            bulks: Port::new("bulks"),
        }
    }
}

impl Router {
    pub(crate) const fn port(&self, kind: StreamKind) -> &Port<StreamsMsg> {
        match kind {
            StreamKind::Deliverable => &self.deliverables,
            StreamKind::Run => &self.runs,
            StreamKind::Schedule => &self.schedules,
            StreamKind::Source => &self.sources,
            StreamKind::Definition => &self.definitions,
            StreamKind::Topic => &self.topics,
            StreamKind::Queue => &self.queue,
            StreamKind::Bulk => &self.bulks,
        }
    }

    /// Lets the supervisor of a kind fail, as a test wants it.
    pub fn fail(&self, kind: StreamKind) {
        self.port(kind).send(StreamsMsg::Fail);
    }

    /// Sends to a stream; its actor is started when it is not there. A message that cannot be sent answers itself.
    pub fn send(&self, stream: StreamId, message: Message) {
        self.port(stream.kind).send(StreamsMsg::To(stream, message));
    }

    /// Asks for a decision and waits for the outcome.
    ///
    /// # Errors
    /// See [`NotDone`].
    pub async fn submit(&self, stream: StreamId, mut envelope: Envelope) -> Outcome {
        let (reply, outcome) = Reply::channel();
        envelope.reply = reply;
        self.send(stream, Message::Decide(Box::new(envelope)));
        outcome.await
    }

    /// Asks a question of a stream's state.
    ///
    /// # Errors
    /// The stream could not be loaded, or its actor ended.
    pub async fn ask<S: Any, T: Send + 'static>(
        &self,
        stream: StreamId,
        question: impl FnOnce(&S, u64) -> T + Send + 'static,
    ) -> Result<T, NotDone> {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let ask = move |state: &dyn Any, version: u64| {
            if let Some(state) = state.downcast_ref::<S>() {
                let _ = sender.send(question(state, version));
            }
        };
        self.send(stream, Message::Ask(Box::new(ask)));
        receiver.await.map_err(|_| NotDone::Unanswered { why: "its actor ended".to_owned() })
    }
}

/// How long a message waits that could not be handled, in milliseconds.
const LATER_MS: i64 = 500;

/// Sends a message that could not be handled now once more in a while. It is open work meanwhile.
pub(crate) fn send_later(context: &Arc<Context>, stream: StreamId, message: Message) {
    let (context, open) = (Arc::clone(context), context.gauges.open());
    crate::tasks::spawn(async move {
        context.clock_port.sleep_until(context.clock_port.now().plus_ms(LATER_MS)).await;
        if !context.journal.is_fenced() {
            context.router().send(stream, message);
        }
        drop(open);
    });
}

/// Starts the supervisor of a kind under `parent`.
///
/// # Errors
/// The actor did not start.
pub async fn start(context: &Arc<Context>, kind: StreamKind, parent: ActorCell) -> Result<ActorCell, SpawnErr> {
    let context = Arc::clone(context);
    match kind {
        StreamKind::Deliverable => start_kind::<DeliverableDecider>(context, parent).await,
        StreamKind::Run => start_kind::<RunDecider>(context, parent).await,
        StreamKind::Schedule => start_kind::<ScheduleDecider>(context, parent).await,
        StreamKind::Source => start_kind::<SourceDecider>(context, parent).await,
        StreamKind::Definition => start_kind::<DefinitionDecider>(context, parent).await,
        StreamKind::Topic => start_kind::<TopicDecider>(context, parent).await,
        StreamKind::Queue => start_kind::<QueueDecider>(context, parent).await,
        StreamKind::Bulk => start_kind::<BulkDecider>(context, parent).await,
    }
}

async fn start_kind<K: crate::shell::Kind>(context: Arc<Context>, parent: ActorCell) -> Result<ActorCell, SpawnErr> {
    let port = context.router().port(K::KIND).clone();
    let (actor, _): (ActorRef<StreamsMsg>, _) =
        Actor::spawn_linked(None, StreamsActor::<K>::default(), context, parent).await?;
    port.connect(actor.clone());
    Ok(actor.get_cell())
}

//! The actor of one stream.

use std::{any::Any, marker::PhantomData, sync::Arc};

use nightshift_domain::ids::StreamId;
use ractor::{Actor, ActorProcessingErr, ActorRef};

use super::StreamsMsg;
use crate::{
    context::Context,
    envelope::{Message, NotDone},
    shell::{Kind, Shell},
};

/// The actor of one stream. Supervised by the supervisor of its kind; when it fails, what it owes is handed over again
/// and it is started when it is next needed.
pub struct StreamActor<K>(PhantomData<K>);

impl<K> Default for StreamActor<K> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

/// What it is started with.
pub struct Args {
    /// Its stream.
    pub stream: StreamId,
    /// What the tree shares.
    pub context: Arc<Context>,
    /// Whoever passes messages on to it.
    pub supervisor: ActorRef<StreamsMsg>,
}

/// What it remembers.
pub struct State<K: Kind> {
    args: Args,
    shell: Option<Shell<K>>,
    retired: bool,
}

impl<K: Kind> Actor for StreamActor<K> {
    type Msg = Message;
    type State = State<K>;
    type Arguments = Args;

    async fn pre_start(&self, _myself: ActorRef<Message>, args: Args) -> Result<State<K>, ActorProcessingErr> {
        // Loading belongs to the first message, so that the supervisor never waits for the store.
        Ok(State { args, shell: None, retired: false })
    }

    async fn handle(
        &self,
        myself: ActorRef<Message>,
        message: Message,
        state: &mut State<K>,
    ) -> Result<(), ActorProcessingErr> {
        if matches!(message, Message::Passivate) {
            myself.stop(None);
            return Ok(());
        }
        let Some(shell) = state.loaded().await else {
            match message {
                Message::Decide(envelope) => {
                    let why = "the stream could not be loaded; the log says why".to_owned();
                    envelope.reply.tell(Err(NotDone::Unanswered { why }));
                }
                // Nobody waits for an answer who would send it again.
                Message::Resume(_) | Message::Discharge { .. } => {
                    super::send_later(&state.args.context, state.args.stream, message);
                }
                Message::Ask(_) | Message::Passivate => {}
            }
            return Ok(());
        };
        match message {
            Message::Decide(envelope) => shell.submit(*envelope).await,
            Message::Discharge { key } => shell.discharge(key).await,
            Message::Ask(question) => question(shell.state() as &dyn Any, shell.version()),
            Message::Resume(handed) => shell.resume(&handed.owed),
            Message::Passivate => {}
        }
        let ended = shell.ended();
        if ended && !std::mem::replace(&mut state.retired, ended) {
            drop(state.args.supervisor.send_message(StreamsMsg::Retired(state.args.stream)));
        }
        Ok(())
    }
}

impl<K: Kind> State<K> {
    async fn loaded(&mut self) -> Option<&mut Shell<K>> {
        if self.shell.is_none() {
            match Shell::load(self.args.stream, Arc::clone(&self.args.context)).await {
                Ok(shell) => self.shell = Some(shell),
                Err(error) => tracing::error!(stream = %self.args.stream, %error, "a stream could not be loaded"),
            }
        }
        self.shell.as_mut()
    }
}

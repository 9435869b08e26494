//! The supervisor of all streams of a kind.

use std::{
    collections::{HashMap, VecDeque},
    marker::PhantomData,
    sync::Arc,
};

use nightshift_domain::{ids::StreamId, time::Timestamp};
use nightshift_ports::log::Owed;
use ractor::{Actor, ActorId, ActorProcessingErr, ActorRef, SupervisionEvent};

use super::entity::{Args, StreamActor};
use crate::{
    context::Context,
    envelope::{Handed, Message},
    shell::Kind,
    supervision::{Consequence, Ended, Role, consequence},
};

/// What the supervisor of a kind can be sent.
pub enum StreamsMsg {
    /// Pass on to this stream.
    To(StreamId, Message),
    /// What this stream owes, found in the log after its actor failed.
    Owes(StreamId, Vec<Owed>),
    /// Nothing more will be asked of this stream: let its actor end.
    Retired(StreamId),
    /// Fail. Sent by tests only.
    Fail,
}

/// The supervisor of all streams of kind `K`. Restarted by the root; what its streams owed is then found in the log.
pub struct StreamsActor<K>(PhantomData<K>);

impl<K> Default for StreamsActor<K> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

/// What the supervisor remembers.
pub struct Residents {
    context: Arc<Context>,
    by_stream: HashMap<StreamId, Resident>,
    by_actor: HashMap<ActorId, StreamId>,
    swept_at: Timestamp,
}

struct Resident {
    actor: ActorRef<Message>,
    used_at: Timestamp,
    /// Messages that came after it was asked to end.
    waiting: Option<VecDeque<Message>>,
}

impl<K: Kind> Actor for StreamsActor<K> {
    type Msg = StreamsMsg;
    type State = Residents;
    type Arguments = Arc<Context>;

    async fn pre_start(
        &self,
        _myself: ActorRef<StreamsMsg>,
        context: Arc<Context>,
    ) -> Result<Residents, ActorProcessingErr> {
        let swept_at = context.clock_port.now();
        Ok(Residents { context, by_stream: HashMap::new(), by_actor: HashMap::new(), swept_at })
    }

    async fn handle(
        &self,
        myself: ActorRef<StreamsMsg>,
        message: StreamsMsg,
        residents: &mut Residents,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            StreamsMsg::To(stream, message) => residents.pass_on::<K>(&myself, stream, message).await?,
            StreamsMsg::Owes(stream, owed) => {
                for owed in owed {
                    let handed = Handed { owed, open: residents.context.gauges.open(), place: None };
                    residents.pass_on::<K>(&myself, stream, Message::Resume(Arc::new(handed))).await?;
                }
            }
            StreamsMsg::Retired(stream) => residents.passivate(stream),
            StreamsMsg::Fail => return Err("it was told to fail".into()),
        }
        residents.sweep();
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<StreamsMsg>,
        event: SupervisionEvent,
        residents: &mut Residents,
    ) -> Result<(), ActorProcessingErr> {
        match event {
            SupervisionEvent::ActorTerminated(cell, ..) => residents.ended::<K>(&myself, cell.get_id()).await?,
            SupervisionEvent::ActorFailed(cell, why) => residents.failed(&myself, cell.get_id(), &why.to_string()),
            _ => {}
        }
        Ok(())
    }
}

impl Residents {
    async fn pass_on<K: Kind>(
        &mut self,
        myself: &ActorRef<StreamsMsg>,
        stream: StreamId,
        message: Message,
    ) -> Result<(), ActorProcessingErr> {
        let now = self.context.clock_port.now();
        if let Some(resident) = self.by_stream.get_mut(&stream) {
            resident.used_at = now;
            match &mut resident.waiting {
                Some(waiting) => waiting.push_back(message),
                // Of a failed actor a supervision event is on its way; a message that is not taken answers itself.
                None => drop(resident.actor.send_message(message)),
            }
            return Ok(());
        }
        let args = Args { stream, context: Arc::clone(&self.context), supervisor: myself.clone() };
        let (actor, _) = Actor::spawn_linked(None, StreamActor::<K>::default(), args, myself.get_cell()).await?;
        drop(actor.send_message(message));
        self.by_actor.insert(actor.get_id(), stream);
        self.by_stream.insert(stream, Resident { actor, used_at: now, waiting: None });
        Ok(())
    }

    fn passivate(&mut self, stream: StreamId) {
        if let Some(resident) = self.by_stream.get_mut(&stream).filter(|resident| resident.waiting.is_none()) {
            resident.waiting = Some(VecDeque::new());
            drop(resident.actor.send_message(Message::Passivate));
        }
    }

    /// Passivates what was not used for long, or the longest unused when there are too many.
    fn sweep(&mut self) {
        let settings = &self.context.settings;
        let now = self.context.clock_port.now();
        let crowded = self.by_stream.len() > settings.resident_max;
        if !crowded && now.micros_since(self.swept_at) < settings.idle_ms * 500 {
            return;
        }
        self.swept_at = now;
        let idle_before = now.plus_ms(-settings.idle_ms);
        // A tenth at a time, so that a full house is not swept for each message.
        let excess = if crowded { settings.resident_max / 10 + 1 } else { 0 };
        let active = self.by_stream.iter().filter(|(_, resident)| resident.waiting.is_none());
        let mut by_use: Vec<(Timestamp, StreamId)> = active.map(|(stream, it)| (it.used_at, *stream)).collect();
        by_use.sort_unstable();
        let leaving = by_use.iter().enumerate().take_while(|(n, (used_at, _))| *n < excess || *used_at < idle_before);
        let leaving: Vec<StreamId> = leaving.map(|(_, (_, stream))| *stream).collect();
        leaving.into_iter().for_each(|stream| self.passivate(stream));
    }

    async fn ended<K: Kind>(
        &mut self,
        myself: &ActorRef<StreamsMsg>,
        actor: ActorId,
    ) -> Result<(), ActorProcessingErr> {
        let Some(stream) = self.by_actor.remove(&actor) else { return Ok(()) };
        let waiting = self.by_stream.remove(&stream).and_then(|resident| resident.waiting);
        for message in waiting.into_iter().flatten() {
            self.pass_on::<K>(myself, stream, message).await?;
        }
        Ok(())
    }

    fn failed(&mut self, myself: &ActorRef<StreamsMsg>, actor: ActorId, why: &str) {
        let Some(stream) = self.by_actor.remove(&actor) else { return };
        self.by_stream.remove(&stream);
        tracing::error!(%stream, why, "a stream's actor failed");
        self.context.gauges.observer().restarted(Role::Stream.as_str());
        if consequence(Role::Stream, Ended::Failed) == Consequence::HandOverAgain {
            let (context, myself) = (Arc::clone(&self.context), myself.clone());
            crate::tasks::spawn(async move { hand_over_again(&context, &myself, stream).await });
        }
    }
}

/// What the stream owes is in the log, also what its actor had not handed over when it failed.
async fn hand_over_again(context: &Arc<Context>, streams: &ActorRef<StreamsMsg>, stream: StreamId) {
    let _open = context.gauges.open();
    loop {
        match context.log.owed_by(stream).await {
            Ok(owed) => return drop(streams.send_message(StreamsMsg::Owes(stream, owed))),
            Err(error) => {
                tracing::warn!(%stream, %error, "what a failed stream owes is not known yet; asking again");
                context.clock_port.sleep_until(context.clock_port.now().plus_ms(500)).await;
            }
        }
    }
}

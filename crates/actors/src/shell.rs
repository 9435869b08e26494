//! The shell around a decider: the only path by which anything is appended.
//!
//! `command -> repeated? -> decide -> append -> evolve -> hand over -> reply`
//!
//! Owns: the state of one stream, and the order of these steps.
//! Refuses to know: what any stream is about.
//!
//! Invariant: nothing can be observed of a decision before it is durable.
//! Invariant: a panic in a decider decides nothing: what is owed is asked again. Three set the stream aside and leave all
//! others going.

use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use nightshift_domain::{
    codec::{self, DecodeError},
    decider::{Ctx, Decider, Delta, RecordedCtx, decide_once},
    ids::{CommandId, StreamId},
    streams::AnyCommand,
};
use nightshift_ports::log::{CommandRecord, Snapshot, StoreError};

use crate::{
    context::Context,
    duties::{self, Duties},
    envelope::{Done, Envelope, NotDone, Outcome, Position},
    faults::Point,
    journal::{NotAppended, Pending},
};

/// Commands of a stream that are remembered to answer repetitions without asking the log.
const REMEMBERED_MAX: usize = 256;

/// Panics after which a stream is set aside.
const PANICS_MAX: u8 = 3;

/// Events between two snapshots.
const SNAPSHOT_EVERY: u64 = 200;

/// Events read at once while a stream is loaded.
const LOAD_PAGE: u32 = 1_000;

/// One stream kind as the tree runs it.
pub trait Kind: Decider + Duties {
    /// Takes the command of this kind out of its wrapping.
    fn unwrap(command: AnyCommand) -> Option<Self::Command>;
}

/// A stream that could not be loaded.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LoadError {
    /// The store did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An event could not be read.
    #[error("event {version} of {stream}: {error}")]
    Decode {
        /// The stream.
        stream: StreamId,
        /// The event.
        version: u64,
        /// Why.
        error: DecodeError,
    },
    /// An event is missing.
    #[error("{stream} goes from version {have} to {next}: the log has a gap")]
    Gap {
        /// The stream.
        stream: StreamId,
        /// The last version before it.
        have: u64,
        /// The first version after it.
        next: u64,
    },
}

/// One stream in memory.
pub struct Shell<K: Kind> {
    stream: StreamId,
    context: Arc<Context>,
    state: K::State,
    version: u64,
    remembered: VecDeque<CommandId>,
    panics: u8,
    last_panic: String,
    snapshot_version: u64,
}

impl<K: Kind> Shell<K> {
    /// Folds the stream from its newest usable snapshot.
    ///
    /// # Errors
    /// See [`LoadError`]; the stream is not usable until the cause is gone.
    pub async fn load(stream: StreamId, context: Arc<Context>) -> Result<Self, LoadError> {
        let mut shell = Self {
            stream,
            state: K::State::default(),
            version: 0,
            remembered: VecDeque::new(),
            panics: 0,
            last_panic: String::new(),
            snapshot_version: 0,
            context,
        };
        shell.take_snapshot_in().await?;
        loop {
            let page = shell.context.log.read_stream(stream, shell.version, LOAD_PAGE).await?;
            let full = page.len() == LOAD_PAGE as usize;
            for recorded in page {
                shell.replay(&recorded)?;
            }
            if !full {
                return Ok(shell);
            }
        }
    }

    async fn take_snapshot_in(&mut self) -> Result<(), LoadError> {
        let Some(snapshot) = self.context.log.snapshot(self.stream).await? else { return Ok(()) };
        if snapshot.state_revision != K::STATE_REVISION {
            return Ok(());
        }
        match codec::from_bytes::<K::State>("snapshot", &snapshot.data) {
            Ok(state) => {
                (self.state, self.version) = (state, snapshot.version);
                self.snapshot_version = snapshot.version;
            }
            Err(error) => tracing::warn!(stream = %self.stream, %error, "a snapshot is ignored"),
        }
        Ok(())
    }

    fn replay(&mut self, recorded: &nightshift_domain::recorded::Recorded) -> Result<(), LoadError> {
        let (stream, version) = (self.stream, recorded.version);
        if version != self.version + 1 {
            return Err(LoadError::Gap { stream, have: self.version, next: version });
        }
        let event = codec::decode::<K::Event>(K::KIND, &recorded.event_type, recorded.type_version, &recorded.data)
            .map_err(|error| LoadError::Decode { stream, version, error })?;
        K::evolve(&mut self.state, &event, recorded.at);
        self.version = version;
        self.remember(recorded.command_id);
        Ok(())
    }

    fn remember(&mut self, command: CommandId) {
        if self.remembered.back() == Some(&command) {
            return;
        }
        if self.remembered.len() == REMEMBERED_MAX {
            self.remembered.pop_front();
        }
        self.remembered.push_back(command);
    }

    /// The state, for questions.
    pub const fn state(&self) -> &K::State {
        &self.state
    }

    /// The version of the stream.
    pub const fn version(&self) -> u64 {
        self.version
    }

    /// Nothing more will be asked of this stream.
    pub fn ended(&self) -> bool {
        K::ended(&self.state)
    }

    /// Takes a command through the whole path and answers it.
    pub async fn submit(&mut self, envelope: Envelope) {
        let Envelope { command, id, meta, discharges, from_client, reply } = envelope;
        let asked = Asked { id, meta, discharges, from_client };
        let outcome = match K::unwrap(command) {
            Some(command) => self.take(command, asked).await,
            None => Err(NotDone::Unanswered { why: "the command is for another kind of stream".to_owned() }),
        };
        reply.tell(outcome);
    }

    async fn take(&mut self, command: K::Command, asked: Asked) -> Outcome {
        if self.panics >= PANICS_MAX {
            return Err(NotDone::Quarantined { stream: self.stream, why: self.last_panic.clone() });
        }
        if let Some(known) = self.repeated(&asked).await? {
            return known;
        }
        let now = self.context.clock_port.now();
        let decided = self.decide(&command, asked.id, now)?;
        self.context.faults.at(Point::Decided);
        let silent = matches!(&decided, Ok(decision) if decision.events.is_empty());
        if silent && !asked.from_client && asked.discharges.is_none() {
            return Ok(self.done(true));
        }
        let record = self.record(&command, &asked, now, &decided)?;
        self.append(asked, now, record, decided).await
    }

    /// A command that was taken before gets the reply it got then.
    async fn repeated(&self, asked: &Asked) -> Result<Option<Outcome>, NotDone> {
        if self.remembered.contains(&asked.id) {
            self.discharged_already(asked);
            return Ok(Some(Ok(self.done(true))));
        }
        if !asked.from_client {
            return Ok(None);
        }
        let found = self.context.log.command(self.stream.shard(), asked.id).await.map_err(unanswered)?;
        Ok(found.map(|kept| {
            self.discharged_already(asked);
            if kept.record.accepted {
                return Ok(self.done(true));
            }
            let reply = codec::from_bytes::<KeptRejection>("rejection", &kept.record.reply).unwrap_or_default();
            Err(NotDone::Rejected { why: reply.why, facts: reply.facts })
        }))
    }

    /// A repetition means that the append that discharged it is durable.
    fn discharged_already(&self, asked: &Asked) {
        if let Some((owner, key)) = &asked.discharges {
            self.context.courier.done(*owner, key);
        }
    }

    fn done(&self, repeated: bool) -> Done {
        let shard = self.stream.shard();
        let seq = self.context.journal.heads().into_iter().find(|(other, _)| *other == shard).map_or(0, |(_, seq)| seq);
        Done { position: Position { shard, seq }, version: self.version, repeated }
    }

    fn decide(
        &mut self,
        command: &K::Command,
        command_id: CommandId,
        now: nightshift_domain::time::Timestamp,
    ) -> Result<Decided<K>, NotDone> {
        let context = Arc::clone(&self.context);
        let ctx = Ctx {
            stream: self.stream,
            now,
            command_id,
            shard_count: context.shard_count(),
            calendar: &*context.calendar,
            expressions: &*context.expressions,
            reports: &context.settings.reports,
        };
        let state = &self.state;
        let decide = || {
            context.faults.at(Point::Deciding);
            decide_once::<K>(state, command, &ctx)
        };
        match catch_unwind(AssertUnwindSafe(decide)) {
            Ok(decided) => Ok(decided),
            Err(panic) => Err(self.note_panic(&*panic)),
        }
    }

    fn note_panic(&mut self, panic: &(dyn std::any::Any + Send)) -> NotDone {
        self.panics += 1;
        self.last_panic = crate::tasks::panic_text(panic);
        tracing::error!(stream = %self.stream, panics = self.panics, why = %self.last_panic, "a decider panicked");
        if self.panics >= PANICS_MAX {
            self.context.gauges.observer().quarantined(1);
        }
        NotDone::Panicked { why: self.last_panic.clone() }
    }

    fn record(
        &self,
        command: &K::Command,
        asked: &Asked,
        now: nightshift_domain::time::Timestamp,
        decided: &Decided<K>,
    ) -> Result<CommandRecord, NotDone> {
        let ctx = RecordedCtx {
            now,
            shard_count: self.context.shard_count(),
            tz_revision: self.context.calendar.tz_revision().to_owned(),
            code_revision: self.context.settings.code_revision.clone(),
            reports: self.context.settings.reports.clone(),
            request: asked.meta.request.clone(),
        };
        let (reply, delta) = match decided {
            Ok(decision) if decision.delta == Delta::none() => (Vec::new(), Vec::new()),
            Ok(decision) => (Vec::new(), codec::to_bytes(&decision.delta).map_err(unanswered)?),
            Err(rejection) => (codec::to_bytes(&KeptRejection::of(rejection)).map_err(unanswered)?, Vec::new()),
        };
        Ok(CommandRecord {
            id: asked.id,
            payload: codec::to_bytes(command).map_err(unanswered)?,
            ctx: codec::to_bytes(&ctx).map_err(unanswered)?,
            accepted: decided.is_ok(),
            reply,
            delta,
        })
    }

    async fn append(
        &mut self,
        asked: Asked,
        now: nightshift_domain::time::Timestamp,
        record: CommandRecord,
        decided: Decided<K>,
    ) -> Outcome {
        let (events, delta) = match &decided {
            Ok(decision) => (encode::<K>(&decision.events)?, decision.delta.clone()),
            Err(_) => (Vec::new(), Delta::none()),
        };
        let own = delta.closes.iter().map(|key| (self.stream, key.clone()));
        let closes: Vec<(StreamId, String)> = own.chain(asked.discharges.clone()).collect();
        let pending = Pending {
            stream: self.stream,
            expected_version: self.version,
            command: Some(record),
            command_id: asked.id,
            events,
            at: now,
            meta: asked.meta,
            opens: delta.opens.clone(),
            closes: closes.clone(),
        };
        let appended = match self.context.journal.append(pending).await {
            Ok(appended) => appended,
            Err(error) => return self.not_appended(error, asked.id, asked.discharges).await,
        };
        self.context.faults.at(Point::Committed);
        let outcome = self.after(decided, asked.id);
        if outcome.is_ok() {
            K::happened(&self.context, &self.state);
        }
        duties::hand_over::<K>(&self.context, self.stream, &self.state, &delta.opens);
        duties::close(&self.context, &closes);
        self.context.faults.at(Point::HandedOver);
        let position = Position { shard: appended.shard, seq: appended.seq };
        outcome.map(|()| Done { position, version: self.version, repeated: false })
    }

    fn after(&mut self, decided: Decided<K>, id: CommandId) -> Result<(), NotDone> {
        match decided {
            Ok(decision) => {
                self.version += decision.events.len() as u64;
                self.state = decision.after;
                self.remember(id);
                self.keep_snapshot();
                Ok(())
            }
            Err(rejection) => {
                let KeptRejection { why, facts } = KeptRejection::of(&rejection);
                Err(NotDone::Rejected { why, facts })
            }
        }
    }

    /// Nothing was written. A contradiction means that the command is in the log already, or that this state is not the
    /// stream's: load it again.
    async fn not_appended(
        &mut self,
        error: NotAppended,
        id: CommandId,
        discharges: Option<(StreamId, String)>,
    ) -> Outcome {
        if !matches!(error, NotAppended::Contradiction(_)) {
            return Err(unanswered(error));
        }
        tracing::warn!(stream = %self.stream, %error, "a decision contradicts the log; loading the stream again");
        let fresh = Self::load(self.stream, Arc::clone(&self.context)).await.map_err(unanswered)?;
        (self.state, self.version, self.remembered) = (fresh.state, fresh.version, fresh.remembered);
        K::happened(&self.context, &self.state);
        let asked = Asked { id, meta: Default::default(), discharges, from_client: true };
        match self.repeated(&asked).await? {
            Some(known) => known,
            None => Err(unanswered(error)),
        }
    }

    /// Keeps a snapshot aside, without waiting for it.
    fn keep_snapshot(&mut self) {
        if self.version < self.snapshot_version + SNAPSHOT_EVERY {
            return;
        }
        let Ok(data) = codec::to_bytes(&self.state) else { return };
        self.snapshot_version = self.version;
        let (stream, version) = (self.stream, self.version);
        let snapshot = Snapshot { stream, version, state_revision: K::STATE_REVISION, data };
        let log = Arc::clone(&self.context.log);
        crate::tasks::spawn(async move {
            if let Err(error) = log.put_snapshot(&snapshot).await {
                tracing::warn!(%stream, %error, "a snapshot was not kept; loading takes longer");
            }
        });
    }

    /// Closes an obligation that a stream of another shard has discharged.
    pub async fn discharge(&self, key: String) {
        let pending = Pending {
            stream: self.stream,
            expected_version: self.version,
            command: None,
            command_id: CommandId::of_obligation(self.stream, &key, "discharge"),
            events: Vec::new(),
            at: self.context.clock_port.now(),
            meta: Default::default(),
            opens: Vec::new(),
            closes: vec![(self.stream, key.clone())],
        };
        match self.context.journal.append(pending).await {
            Ok(_) => self.context.courier.done(self.stream, &key),
            Err(error) if self.context.journal.is_fenced() => {
                tracing::warn!(stream = %self.stream, key, %error, "a discharge was not written; the next owner writes it");
            }
            Err(error) => {
                tracing::warn!(stream = %self.stream, key, %error, "a discharge was not written; writing it again");
                crate::router::send_later(&self.context, self.stream, crate::envelope::Message::Discharge { key });
            }
        }
    }

    /// Hands over again what an obligation of this stream owes.
    pub fn resume(&self, owed: &nightshift_ports::log::Owed) {
        duties::hand_over::<K>(&self.context, self.stream, &self.state, std::slice::from_ref(&owed.obligation));
    }
}

type Decided<K> = Result<nightshift_domain::decider::Decision<K>, <K as Decider>::Rejection>;

struct Asked {
    id: CommandId,
    meta: nightshift_domain::recorded::Meta,
    discharges: Option<(StreamId, String)>,
    from_client: bool,
}

/// A rejection as it is kept beside the command.
#[derive(Default, serde::Serialize, serde::Deserialize)]
struct KeptRejection {
    why: String,
    facts: String,
}

nightshift_domain::kept!(KeptRejection);

impl KeptRejection {
    fn of<R: std::error::Error + serde::Serialize>(rejection: &R) -> Self {
        Self { why: rejection.to_string(), facts: serde_json::to_string(rejection).unwrap_or_default() }
    }
}

fn encode<K: Kind>(events: &[K::Event]) -> Result<Vec<codec::Encoded>, NotDone> {
    events.iter().map(|event| codec::encode(K::KIND, event).map_err(unanswered)).collect()
}

fn unanswered(error: impl std::fmt::Display) -> NotDone {
    NotDone::Unanswered { why: error.to_string() }
}

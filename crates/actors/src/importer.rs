//! The importer actor: looks at sources and records what was seen.
//!
//! Owns: which sources are looked at now, and that those who ask for the same source share one look.
//! Refuses to know: how a source is read, whether what was seen is worth a version. Supervised by the root; a new one is
//! handed the slots that wait again from the log.
//!
//! Invariant: a look that is shared began after everybody who shares it had asked.

mod gather;
mod look;

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use nightshift_domain::{
    content::SourceSpec,
    deliverable::{self, Order, SourceAssessment},
    ids::{CommandId, DeliverableId, SourceId, UserId},
    recorded::Meta,
};
use ractor::{Actor, ActorProcessingErr, ActorRef, SupervisionEvent};
use tokio::sync::{Semaphore, oneshot};
use uuid::Uuid;

use crate::{
    context::Context,
    envelope::{Envelope, Reply},
    observer::OpenWork,
    port::Port,
};

pub use gather::gather;
pub use look::Seen;

/// A slot whose sources are to be looked at.
#[derive(Clone)]
pub struct Assess {
    /// The deliverable.
    pub deliverable: DeliverableId,
    /// The slot.
    pub slot: Uuid,
    /// Whose it is.
    pub user: UserId,
    /// What is ordered.
    pub order: Arc<Order>,
    /// Versions of the source streams that went into the last version.
    pub consumed: BTreeMap<String, u64>,
}

/// Somebody who wants a source looked at.
pub struct Wanted {
    source: SourceId,
    user: UserId,
    spec: SourceSpec,
    reply: oneshot::Sender<Seen>,
}

/// What the importer can be sent.
pub enum ImporterMsg {
    /// Look at the sources of a slot and tell the deliverable.
    Assess(Box<Assess>, OpenWork),
    /// Look at a source.
    Look(Box<Wanted>),
    /// A look ended.
    Looked(SourceId, Seen),
    /// The slot was told.
    Assessed(DeliverableId, Uuid),
    /// Fail: a task of the importer panicked, or a test wants it.
    Fail,
}

/// The way to the importer.
#[derive(Clone)]
pub struct ImporterHandle(pub(crate) Port<ImporterMsg>);

impl Default for ImporterHandle {
    fn default() -> Self {
        Self(Port::new("importer"))
    }
}

impl ImporterHandle {
    /// Lets the actor fail, as a test wants it.
    pub fn fail(&self) {
        self.0.send(ImporterMsg::Fail);
    }

    /// A slot's sources are to be looked at.
    pub fn assess(&self, assess: Assess, open: OpenWork) {
        self.0.send(ImporterMsg::Assess(Box::new(assess), open));
    }

    /// Looks at one source now; none when the importer failed meanwhile.
    pub async fn look(&self, source: SourceId, user: UserId, spec: SourceSpec) -> Option<Seen> {
        let (reply, seen) = oneshot::channel();
        self.0.send(ImporterMsg::Look(Box::new(Wanted { source, user, spec, reply })));
        seen.await.ok()
    }
}

/// The actor.
pub struct ImporterActor;

/// What it remembers.
pub struct Looks {
    context: Arc<Context>,
    /// Slots that are being assessed, so that one handed over twice is assessed once.
    slots: HashMap<(DeliverableId, Uuid), OpenWork>,
    /// Sources that are looked at now, and who waits for the look after.
    sources: HashMap<SourceId, SourceLooks>,
    places: Arc<Semaphore>,
}

#[derive(Default)]
struct SourceLooks {
    sharing: Vec<oneshot::Sender<Seen>>,
    next: Vec<Wanted>,
}

impl Actor for ImporterActor {
    type Msg = ImporterMsg;
    type State = Looks;
    type Arguments = Arc<Context>;

    async fn pre_start(
        &self,
        _myself: ActorRef<ImporterMsg>,
        context: Arc<Context>,
    ) -> Result<Looks, ActorProcessingErr> {
        let places = Arc::new(Semaphore::new(context.settings.looks_max));
        Ok(Looks { context, slots: HashMap::new(), sources: HashMap::new(), places })
    }

    async fn handle(
        &self,
        myself: ActorRef<ImporterMsg>,
        message: ImporterMsg,
        looks: &mut Looks,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            ImporterMsg::Assess(assess, open) => looks.assess(&myself, *assess, open),
            ImporterMsg::Look(wanted) => looks.want(&myself, *wanted),
            ImporterMsg::Looked(source, seen) => looks.looked(&myself, source, &seen),
            ImporterMsg::Assessed(deliverable, slot) => drop(looks.slots.remove(&(deliverable, slot))),
            ImporterMsg::Fail => return Err("it was told to fail".into()),
        }
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        _myself: ActorRef<ImporterMsg>,
        _event: SupervisionEvent,
        _looks: &mut Looks,
    ) -> Result<(), ActorProcessingErr> {
        Ok(())
    }
}

impl Looks {
    fn assess(&mut self, myself: &ActorRef<ImporterMsg>, assess: Assess, open: OpenWork) {
        if self.slots.insert((assess.deliverable, assess.slot), open).is_some() {
            return;
        }
        let (context, myself, failed) = (Arc::clone(&self.context), myself.clone(), myself.clone());
        let (deliverable, slot) = (assess.deliverable, assess.slot);
        let work = async move {
            assess_slot(&context, &assess).await;
            drop(myself.send_message(ImporterMsg::Assessed(deliverable, slot)));
        };
        // A failed importer is started again and handed the slots that wait: nothing is forgotten.
        crate::tasks::spawn_guarded(work, move |_| drop(failed.send_message(ImporterMsg::Fail)));
    }

    fn want(&mut self, myself: &ActorRef<ImporterMsg>, wanted: Wanted) {
        if let Some(looks) = self.sources.get_mut(&wanted.source) {
            looks.next.push(wanted);
            return;
        }
        self.begin(myself, vec![wanted]);
    }

    /// One look for all who want it.
    fn begin(&mut self, myself: &ActorRef<ImporterMsg>, wanted: Vec<Wanted>) {
        let Some(Wanted { source, user, spec, .. }) = wanted.first() else { return };
        let (source, user, spec) = (*source, user.clone(), spec.clone());
        let sharing = wanted.into_iter().map(|wanted| wanted.reply).collect();
        self.sources.insert(source, SourceLooks { sharing, next: Vec::new() });
        let (context, myself, places) = (Arc::clone(&self.context), myself.clone(), Arc::clone(&self.places));
        let failed = myself.clone();
        let work = async move {
            let place = places.acquire_owned().await;
            let seen = look::look(&context, source, user, spec).await;
            drop(place);
            drop(myself.send_message(ImporterMsg::Looked(source, seen)));
        };
        crate::tasks::spawn_guarded(work, move |why| {
            let error = Some(format!("the look panicked: {why}"));
            drop(failed.send_message(ImporterMsg::Looked(source, Seen { version: 0, synced_at: None, error })));
        });
    }

    fn looked(&mut self, myself: &ActorRef<ImporterMsg>, source: SourceId, seen: &Seen) {
        let Some(looks) = self.sources.remove(&source) else { return };
        for waiting in looks.sharing {
            let _ = waiting.send(seen.clone());
        }
        if !looks.next.is_empty() {
            self.begin(myself, looks.next);
        }
    }
}

/// Looks at all sources of a slot side by side and tells the deliverable until it has heard.
async fn assess_slot(context: &Arc<Context>, assess: &Assess) {
    let count = context.shard_count();
    let looks = assess.order.sources.iter().map(|spec| async move {
        let source = spec.source_id(&assess.user, count);
        let seen = context.importer.look(source, assess.user.clone(), spec.clone()).await;
        look::assessment(context, assess, spec, source, seen).await
    });
    let sources: Vec<SourceAssessment> = futures::future::join_all(looks).await;
    let id = CommandId::of_obligation(assess.deliverable.stream(), &format!("assess:{}", assess.slot), "assessed");
    loop {
        let command = deliverable::Command::Assessed { slot: assess.slot, sources: sources.clone() };
        let envelope = Envelope {
            command: command.into(),
            id,
            meta: Meta { actor: "importer".to_owned(), ..Meta::default() },
            discharges: Some((assess.deliverable.stream(), format!("assess:{}", assess.slot))),
            from_client: false,
            reply: Reply::nobody(),
        };
        match context.router().submit(assess.deliverable.stream(), envelope).await {
            Err(error) if error.is_open() && !context.journal.is_fenced() => {
                tracing::warn!(deliverable = %assess.deliverable, %error, "an assessment was not heard; telling again");
                context.clock_port.sleep_until(context.clock_port.now().plus_ms(200)).await;
            }
            Err(error) => {
                tracing::info!(deliverable = %assess.deliverable, %error, "an assessment was turned down");
                return;
            }
            Ok(_) => return,
        }
    }
}

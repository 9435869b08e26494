//! Performers that answer from a recording.
//!
//! Owns: the only performers a replay has, and a note of everything they were asked for.
//! Refuses to know: any way to the outside; nothing here can be given one.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use nightshift_domain::{
    codec,
    content::{
        Composer, Destination, Draft, Failure, FailureClass, Material, Notice, Observation, Receipt, SourceFailure,
        Text,
    },
    deliverable::Event,
    run::{Action, Outcome, Report, StepOutput},
    streams::AnyEvent,
};
use nightshift_ports::{
    blobs::digest_of,
    log::EventLog,
    memory::MemoryStore,
    performer::{Acting, Call, Composing, Delivering, Look, Outgoing, Performers, Sending, SourceReader},
};
use uuid::Uuid;

use super::recording::{Brought, Recording};

/// Something a performer was asked for that leaves the machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Performed {
    /// The idempotency key.
    pub key: String,
    /// It was done.
    pub done: bool,
}

/// Answers from a recording.
pub struct Scripted {
    recording: Arc<Recording>,
    store: Arc<MemoryStore>,
    performed: Mutex<Vec<Performed>>,
}

impl Scripted {
    /// Performers for a system on `store`.
    pub fn new(recording: Arc<Recording>, store: Arc<MemoryStore>) -> Arc<Self> {
        Arc::new(Self { recording, store, performed: Mutex::new(Vec::new()) })
    }

    /// As the system wants them.
    pub fn performers(self: &Arc<Self>) -> Performers {
        Performers {
            sources: Arc::clone(self) as Arc<dyn SourceReader>,
            composing: Arc::clone(self) as Arc<dyn Composing>,
            delivering: Arc::clone(self) as Arc<dyn Delivering>,
            acting: Arc::clone(self) as Arc<dyn Acting>,
            blobs: Arc::clone(&self.store) as Arc<dyn nightshift_ports::blobs::Blobs>,
        }
    }

    /// What was asked for so far.
    pub fn performed(&self) -> MutexGuard<'_, Vec<Performed>> {
        self.performed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Slots whose sources are looked at now.
    async fn open_slots(&self) -> Vec<Uuid> {
        let mut open = Vec::new();
        for deliverable in &self.recording.deliverables {
            let mut slot = None;
            for recorded in self.store.read_stream(*deliverable, 0, u32::MAX).await.unwrap_or_default() {
                match recorded.decode() {
                    Ok(AnyEvent::Deliverable(Event::SlotDue { slot: due, .. })) => slot = Some(due),
                    Ok(AnyEvent::Deliverable(
                        Event::RunRequested { slot: over, .. } | Event::Skipped { slot: over, .. },
                    )) if slot == Some(over) => {
                        slot = None;
                    }
                    _ => {}
                }
            }
            open.extend(slot);
        }
        open
    }

    fn handed_over(&self, call: &Call) -> Result<Receipt, Failure> {
        let answer = match self.recording.answer(&call.idempotency_key, call.attempt) {
            Some(Ok(StepOutput::Receipt(receipt))) => Ok(receipt.clone()),
            Some(Err(failure)) => Err(failure.clone()),
            _ => Ok(Receipt { external_id: call.idempotency_key.clone(), external_url: None, detail: None }),
        };
        self.performed().push(Performed { key: call.idempotency_key.clone(), done: answer.is_ok() });
        answer
    }
}

#[async_trait]
impl SourceReader for Scripted {
    /// The source as the recording saw it for the slot that is looked at; by the clock for a slot it does not know.
    async fn observe(&self, look: Look) -> Result<Observation, SourceFailure> {
        let nothing = Observation { items: vec![], removed: vec![], omitted: vec![], cursor: look.cursor.clone() };
        let Some(source) = self.recording.source_of(&look.spec) else { return Ok(nothing) };
        let slots = self.open_slots().await;
        let seen =
            slots.iter().filter_map(|slot| self.recording.seen(*slot, source)).max_by_key(|(version, _)| *version);
        let (upto, error) = seen.unwrap_or_else(|| (self.recording.version_at(source, look.now), None));
        if let Some(message) = error {
            return Err(self.recording.failure(source, message));
        }
        let (content, last) = self.recording.content(source, upto);
        let removed = look.known.keys().filter(|id| !content.contains_key(*id)).cloned().collect();
        let differs =
            |item: &nightshift_domain::content::Item| look.known.get(&item.item_id) != Some(&item.text.digest);
        let items = content.into_values().filter(differs).collect();
        Ok(Observation { items, removed, ..last })
    }
}

#[async_trait]
impl Acting for Scripted {
    async fn act(&self, action: &Action, call: &Call) -> Result<Outcome, Failure> {
        let answer = match self.recording.answer(&call.idempotency_key, call.attempt) {
            Some(Ok(StepOutput::Value(outcome))) => Ok(outcome.clone()),
            Some(Err(failure)) => Err(failure.clone()),
            _ => {
                let message = format!("the recording holds no answer to this {}", action.as_str());
                Err(Failure::new(FailureClass::Permanent, message))
            }
        };
        self.performed().push(Performed { key: call.idempotency_key.clone(), done: answer.is_ok() });
        answer
    }
}

#[async_trait]
impl Composing for Scripted {
    async fn compose(&self, material: &Material, call: &Call) -> Result<Draft, Failure> {
        let answer: Option<&Brought> = self.recording.answer(&call.idempotency_key, call.attempt);
        match answer {
            Some(Ok(StepOutput::Draft(draft))) => return Ok(draft.clone()),
            Some(Err(failure)) => return Err(failure.clone()),
            _ => {}
        }
        let digest = codec::to_bytes(material).map(|bytes| digest_of(&bytes).0).unwrap_or_default();
        Ok(self.recording.draft_of(&digest).cloned().unwrap_or_else(|| plain(material)))
    }
}

/// A document for material that the recording does not know; the same material gives the same bytes.
fn plain(material: &Material) -> Draft {
    let titles = material.groups.iter().flat_map(|group| &group.items).map(|item| format!("- {}\n", item.title));
    let body = format!("# {}\n\n{}", material.brief.title, titles.collect::<String>());
    let text = Text { digest: digest_of(body.as_bytes()), bytes: body.len() as u64, inline: Some(body) };
    Draft { text, composer: Composer::Extractive { revision: 0 }, warnings: Vec::new() }
}

#[async_trait]
impl Delivering for Scripted {
    async fn deliver(&self, _to: &Destination, _document: &Outgoing, call: &Call) -> Result<Receipt, Failure> {
        self.handed_over(call)
    }

    async fn notify(&self, _to: &[String], _notice: &Notice, call: &Call) -> Result<Receipt, Failure> {
        self.handed_over(call)
    }

    async fn report(&self, _report: &Report, _sending: &Sending) -> Result<(), Failure> {
        Ok(())
    }
}

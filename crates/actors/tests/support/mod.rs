//! A whole system on the in-memory store, with a world that is made up.
#![allow(dead_code, reason = "each test file uses a part of it")]

pub mod watched;

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
};

use async_trait::async_trait;
use nightshift_actors::{
    context::Settings,
    envelope::{Done, NotDone},
    faults::{Faults, NoFaults, Point},
    system::{Parts, System},
};
use nightshift_domain::{
    calendar::{Rule, Schedule},
    content::{
        Composer, Destination, Draft, Failure, FailureClass, Item, Material, Notice, Observation, Omission, Receipt,
        SourceFailure, SourceSpec, Text,
    },
    definition,
    deliverable::{self, Binding, Classification, DeliverableType, Governance, Order},
    ids::{CommandId, DefinitionId, DeliverableId, RunId, UserId, derive, place},
    run::{self, Action, Outcome, Report},
    time::Timestamp,
};
use nightshift_ports::{
    blobs::digest_of,
    clock::{ManualClock, SeededIds},
    log::EventLog,
    memory::MemoryStore,
    performer::{Acting, Call, Composing, Delivering, Look, Outgoing, Performers, Sending, SourceReader},
};
use nightshift_spec::{ZonedCalendar, workflow};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

/// What the made-up world holds and what it saw.
#[derive(Default)]
pub struct World {
    pub files: Mutex<BTreeMap<String, String>>,
    pub broken_source: Mutex<Option<SourceFailure>>,
    pub looks: AtomicU32,
    pub composed: Mutex<Vec<String>>,
    pub compose_failures: Mutex<Vec<Failure>>,
    pub delivered: Mutex<Vec<(String, u32)>>,
    pub mailed: Mutex<Vec<String>>,
    /// Messages to webhooks that were sent, each time.
    pub reported: Mutex<Vec<(Report, Sending)>>,
    /// Failures that are still to come of them.
    pub report_failures: Mutex<Vec<Failure>>,
    /// Each look leaves something out, under a name of its own.
    pub leaving_out: AtomicBool,
    pub materials: Mutex<Vec<Material>>,
    /// Steps of workflows that were begun.
    pub acted: Mutex<Vec<Act>>,
    /// Failures that are still to come of them.
    pub act_failures: Mutex<Vec<Failure>>,
    /// Once there is a gate, each step of a workflow waits for one permit of it.
    pub gate: Mutex<Option<Arc<Semaphore>>>,
    /// What each step makes; none: its own name.
    pub answer: Mutex<Option<Value>>,
    pub acting: AtomicU32,
    pub acting_most: AtomicU32,
}

/// A step of a workflow, as the world saw it.
#[derive(Debug, Clone)]
pub struct Act {
    pub run: RunId,
    pub step: String,
    pub key: String,
    pub attempt: u32,
    pub action: Action,
}

impl World {
    /// From now on each step of a workflow waits for one permit.
    pub fn close_gate(&self) -> Arc<Semaphore> {
        let gate = Arc::new(Semaphore::new(0));
        *self.gate.lock().unwrap() = Some(Arc::clone(&gate));
        gate
    }

    /// The steps of workflows that were begun, in order.
    pub fn begun(&self) -> Vec<RunId> {
        self.acted.lock().unwrap().iter().map(|act| act.run).collect()
    }

    pub fn write(&self, name: &str, text: &str) {
        self.files.lock().unwrap().insert(name.to_owned(), text.to_owned());
    }
}

pub struct Made(pub Arc<World>);

fn text(body: &str) -> Text {
    Text { digest: digest_of(body.as_bytes()), bytes: body.len() as u64, inline: Some(body.to_owned()) }
}

#[async_trait]
impl SourceReader for Made {
    async fn observe(&self, look: Look) -> Result<Observation, SourceFailure> {
        let look_number = self.0.looks.fetch_add(1, Ordering::Relaxed);
        if let Some(failure) = self.0.broken_source.lock().unwrap().clone() {
            return Err(failure);
        }
        let files = self.0.files.lock().unwrap().clone();
        let items = files.iter().map(|(name, body)| Item {
            item_id: name.clone(),
            title: name.clone(),
            link: None,
            author: None,
            source_at: Some(look.now),
            text: text(body),
            facts: BTreeMap::new(),
        });
        let items = items.filter(|item| look.known.get(&item.item_id) != Some(&item.text.digest)).collect();
        let removed = look.known.keys().filter(|id| !files.contains_key(*id)).cloned().collect();
        let left_out = self.0.leaving_out.load(Ordering::Relaxed);
        let omission = Omission { item_id: format!("look {look_number}"), reason: "it cannot be read".to_owned() };
        let omitted = left_out.then_some(omission).into_iter().collect();
        Ok(Observation { items, removed, omitted, cursor: BTreeMap::new() })
    }
}

#[async_trait]
impl Composing for Made {
    async fn compose(&self, material: &Material, call: &Call) -> Result<Draft, Failure> {
        self.0.composed.lock().unwrap().push(call.idempotency_key.clone());
        self.0.materials.lock().unwrap().push(material.clone());
        if let Some(failure) = self.0.compose_failures.lock().unwrap().pop() {
            return Err(failure);
        }
        let items = material.groups.iter().flat_map(|group| &group.items).map(|item| item.title.clone());
        let body = format!("# {}\n\n{}\n", material.brief.title, items.collect::<Vec<_>>().join("\n"));
        Ok(Draft { text: text(&body), composer: Composer::Extractive { revision: 1 }, warnings: vec![] })
    }
}

#[async_trait]
impl Delivering for Made {
    async fn deliver(&self, _to: &Destination, document: &Outgoing, call: &Call) -> Result<Receipt, Failure> {
        self.0.delivered.lock().unwrap().push((call.idempotency_key.clone(), document.version_number));
        Ok(Receipt { external_id: call.idempotency_key.clone(), external_url: None, detail: None })
    }

    async fn notify(&self, _to: &[String], notice: &Notice, call: &Call) -> Result<Receipt, Failure> {
        self.0.mailed.lock().unwrap().push(notice.subject.clone());
        Ok(Receipt { external_id: call.idempotency_key.clone(), external_url: None, detail: None })
    }

    async fn report(&self, report: &Report, sending: &Sending) -> Result<(), Failure> {
        self.0.reported.lock().unwrap().push((report.clone(), sending.clone()));
        match self.0.report_failures.lock().unwrap().pop() {
            Some(failure) => Err(failure),
            None => Ok(()),
        }
    }
}

#[async_trait]
impl Acting for Made {
    async fn act(&self, action: &Action, call: &Call) -> Result<Outcome, Failure> {
        let (step, key) = (call.step.clone(), call.idempotency_key.clone());
        let act = Act { run: call.run, step, key, attempt: call.attempt, action: action.clone() };
        self.0.acted.lock().unwrap().push(act);
        let most = self.0.acting.fetch_add(1, Ordering::SeqCst) + 1;
        self.0.acting_most.fetch_max(most, Ordering::SeqCst);
        let gate = self.0.gate.lock().unwrap().clone();
        if let Some(gate) = gate {
            gate.acquire().await.expect("nobody closes it").forget();
        }
        self.0.acting.fetch_sub(1, Ordering::SeqCst);
        match self.0.act_failures.lock().unwrap().pop() {
            Some(failure) => Err(failure),
            None => {
                let answer = self.0.answer.lock().unwrap().clone();
                Ok(Outcome::of(answer.unwrap_or_else(|| json!({"did": call.step}))))
            }
        }
    }
}

pub struct Stage {
    pub store: Arc<MemoryStore>,
    pub clock: ManualClock,
    pub world: Arc<World>,
    pub ids: u64,
}

/// Monday, 2026-03-02 08:00 UTC.
pub const MONDAY_8: Timestamp = Timestamp(1_772_438_400_000_000);

impl Stage {
    pub fn new() -> Self {
        let clock = ManualClock::at(MONDAY_8);
        let store = Arc::new(MemoryStore::new(derive("cluster", &[]), 4, Arc::new(clock.clone())));
        Self { store, clock, world: Arc::new(World::default()), ids: 1 }
    }

    pub async fn start(&mut self) -> System {
        self.start_with(Arc::new(NoFaults), Settings::default()).await
    }

    pub async fn start_with(&mut self, faults: Arc<dyn Faults>, settings: Settings) -> System {
        self.start_over(self.store.clone(), faults, settings).await
    }

    /// On a log that may do more than the store's.
    pub async fn start_over(&mut self, log: Arc<dyn EventLog>, faults: Arc<dyn Faults>, settings: Settings) -> System {
        self.ids += 1;
        let made = Arc::new(Made(Arc::clone(&self.world)));
        let performers = Performers {
            sources: made.clone(),
            composing: made.clone(),
            delivering: made.clone(),
            acting: made,
            blobs: self.store.clone(),
        };
        let parts = Parts {
            settings,
            faults,
            ..Parts::new(
                (log, self.store.clone()),
                performers,
                (Arc::new(self.clock.clone()), Arc::new(SeededIds::new(self.ids))),
                Arc::new(ZonedCalendar::bundled()),
            )
        };
        System::start(parts).await.unwrap()
    }

    /// Moves the clock and waits until everything that follows is done.
    pub async fn at(&self, system: &System, at: Timestamp) {
        self.clock.set(at);
        system.settled().await;
    }
}

/// A daily order at 09:00 UTC.
pub fn order(governance: Governance) -> Order {
    Order {
        title: "Morning brief".to_owned(),
        description: String::new(),
        deliverable_type: DeliverableType::StatusReport,
        type_classification: Classification {
            binding: Binding::CrossPlatform,
            primary_platform: None,
            freshness_requirement_hours: 4,
        },
        recipient: None,
        sections: vec![],
        sources: vec![SourceSpec::Folder { path: "/notes".to_owned(), include: vec![], exclude: vec![] }],
        schedule: Some(Schedule {
            rule: Rule::Cron { expression: "0 9 * * *".to_owned() },
            timezone: "UTC".to_owned(),
            catch_up: Default::default(),
            catch_up_window_s: None,
            overlap: Default::default(),
            jitter_s: 0,
        }),
        destination: Some(Destination::File { folder: "/out".to_owned() }),
        governance,
        semi_auto_window_s: 3600,
        notify: vec!["ada@example.org".to_owned()],
    }
}

pub async fn create(system: &System, order: Order, name: &str) -> DeliverableId {
    let id = CommandId(derive("test", &[name.as_bytes()]));
    let deliverable = deliverable::deliverable_id(id, 4);
    let command = deliverable::Command::Create { user: UserId::default(), order: Box::new(order), paused: false };
    tell(system, deliverable, command, name).await.unwrap();
    system.settled().await;
    deliverable
}

pub async fn tell(
    system: &System,
    deliverable: DeliverableId,
    command: deliverable::Command,
    name: &str,
) -> Result<Done, NotDone> {
    let id = CommandId(derive("test", &[name.as_bytes()]));
    system.submit(deliverable.stream(), command, (id, "test")).await
}

pub async fn versions(system: &System, deliverable: DeliverableId) -> Vec<(u32, &'static str)> {
    let question = |state: &deliverable::State, _| {
        let taken = state.taken().unwrap();
        taken.versions.iter().map(|(number, version)| (*number, version.status.as_str())).collect()
    };
    system.ask(deliverable.stream(), question).await.unwrap()
}

pub fn failure(class: FailureClass) -> Failure {
    Failure::new(class, "made up")
}

/// Panics once at a point.
pub struct PanicOnce {
    pub point: Point,
    pub nth: u32,
    pub seen: AtomicU32,
}

impl PanicOnce {
    pub fn at(point: Point, nth: u32) -> Arc<Self> {
        Arc::new(Self { point, nth, seen: AtomicU32::new(0) })
    }
}

impl Faults for PanicOnce {
    fn at(&self, point: Point) {
        if point == self.point && self.seen.fetch_add(1, Ordering::SeqCst) + 1 == self.nth {
            panic!("a test wanted it at {}", point.as_str());
        }
    }
}

/// Shards of the stage's store.
const SHARDS: u16 = 4;

/// Registers a workflow and puts it in force.
pub async fn register(system: &System, document: &str) -> DefinitionId {
    let calendar = ZonedCalendar::bundled();
    let context = workflow::Context {
        calendar: &calendar,
        now: MONDAY_8,
        owner: "ops",
        max_parallel_default: None,
        max_parallel_cap: None,
    };
    let document = workflow::parse(document, "test.yml", &context).unwrap_or_else(|faults| panic!("{faults}"));
    let id = DefinitionId::of(&document.owner, &document.name, SHARDS);
    let name = document.plan.definition.clone();
    let command =
        definition::Command::Register { document: Arc::new(document), user: UserId::default(), activate: true };
    system.submit(id.stream(), command, (named(&name), "test")).await.unwrap();
    id
}

/// The id of a command, by its name.
pub fn named(name: &str) -> CommandId {
    CommandId(derive("test", &[name.as_bytes()]))
}

/// Starts a run of a workflow for a user.
pub async fn begin(system: &System, definition: DefinitionId, (name, user): (&str, &str), parameters: Value) -> RunId {
    let seed = derive("test-run", &[name.as_bytes()]);
    let run = RunId::on_shard(seed, place(seed, SHARDS));
    let start = definition::Start {
        run,
        version: None,
        parameters,
        user: UserId(user.to_owned()),
        trigger: json!({"type": "manual"}),
        parent: None,
        priority: None,
    };
    let command = definition::Command::Start(Box::new(start));
    system.submit(definition.stream(), command, (named(name), "test")).await.unwrap();
    run
}

/// How far a run is: the word of its end, or `open`, and the word of each step.
pub async fn progress(system: &System, run: RunId) -> (&'static str, Vec<(String, &'static str)>) {
    let question = |state: &run::State, _| {
        let word = match state {
            run::State::Over(_, end) => end.as_str(),
            _ => "open",
        };
        let Some(run) = state.run() else { return (word, Vec::new()) };
        let steps = run.created.plan.steps.iter().zip(&run.steps);
        (word, steps.map(|(plan, step)| (plan.id.clone(), step.status.as_str())).collect())
    };
    system.ask(run.stream(), question).await.unwrap()
}

/// Lets everybody go on who does not wait for the clock or for a gate.
pub async fn idle() {
    for _ in 0..1_000 {
        tokio::task::yield_now().await;
    }
}

//! Small histories, lived by the real tree on the in-memory store with a made-up world.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use nightshift_actors::{
    context::Settings,
    system::{Parts, System},
};
use nightshift_domain::{
    calendar::{Rule, Schedule},
    content::{
        Composer, Destination, Draft, Failure, FailureClass, Item, Material, Notice, Observation, Receipt,
        SourceFailure, SourceSpec, Text,
    },
    decider::Decider,
    deliverable::{self, Binding, Classification, Command, DeliverableType, EditMeasure, Governance, Order},
    ids::{CommandId, DeliverableId, RunId, UserId, derive},
    run::{Action, Outcome, Report, RunDecider, State},
    streams::AnyEvent,
    time::Timestamp,
};
use nightshift_ports::{
    blobs::digest_of,
    clock::{ManualClock, SeededIds},
    memory::MemoryStore,
    performer::{Acting, Call, Composing, Delivering, Look, Outgoing, Performers, Sending, SourceReader},
};
use nightshift_replay::{Fixture, Scope, capture};
use nightshift_spec::ZonedCalendar;
use serde_json::json;

pub const HOUR: i64 = 3_600_000;
pub const DAY: i64 = 24 * HOUR;
pub const SHARDS: u16 = 4;
/// Monday, 2026-03-02 08:00 UTC.
pub const MONDAY_8: Timestamp = Timestamp(1_772_438_400_000_000);
pub const NINE: Timestamp = Timestamp(MONDAY_8.0 + HOUR * 1_000);

/// What the made-up world holds.
#[derive(Default)]
pub struct World {
    pub files: Mutex<BTreeMap<String, String>>,
    pub broken: Mutex<Option<SourceFailure>>,
    pub compose_failures: Mutex<Vec<Failure>>,
    pub deliver_failures: Mutex<Vec<Failure>>,
}

impl World {
    pub fn write(&self, name: &str, text: &str) {
        self.files.lock().unwrap().insert(name.to_owned(), text.to_owned());
    }
}

struct Made {
    world: Arc<World>,
    store: Arc<MemoryStore>,
}

pub fn text(body: &str) -> Text {
    Text { digest: digest_of(body.as_bytes()), bytes: body.len() as u64, inline: Some(body.to_owned()) }
}

#[async_trait]
impl SourceReader for Made {
    async fn observe(&self, look: Look) -> Result<Observation, SourceFailure> {
        if let Some(failure) = self.world.broken.lock().unwrap().clone() {
            return Err(failure);
        }
        let files = self.world.files.lock().unwrap().clone();
        let items = files.iter().map(|(name, body)| Item {
            item_id: name.clone(),
            title: name.clone(),
            link: Some(format!("file:///notes/{name}")),
            author: Some("Grace Hopper".to_owned()),
            source_at: Some(look.now),
            text: text(body),
            facts: BTreeMap::new(),
        });
        let items = items.filter(|item| look.known.get(&item.item_id) != Some(&item.text.digest)).collect();
        let removed = look.known.keys().filter(|id| !files.contains_key(*id)).cloned().collect();
        Ok(Observation { items, removed, omitted: vec![], cursor: BTreeMap::new() })
    }
}

#[async_trait]
impl Composing for Made {
    async fn compose(&self, material: &Material, _call: &Call) -> Result<Draft, Failure> {
        if let Some(failure) = self.world.compose_failures.lock().unwrap().pop() {
            return Err(failure);
        }
        let items = material.groups.iter().flat_map(|group| &group.items);
        let lines = items.map(|item| item.text.inline.clone().unwrap_or_default()).collect::<Vec<_>>().join("\n");
        let body = format!("# {}\n\n{lines}\n", material.brief.title);
        Ok(Draft { text: text(&body), composer: Composer::Extractive { revision: 1 }, warnings: vec![] })
    }
}

#[async_trait]
impl Delivering for Made {
    async fn deliver(&self, _to: &Destination, document: &Outgoing, call: &Call) -> Result<Receipt, Failure> {
        let _ = (&self.store, document);
        if let Some(failure) = self.world.deliver_failures.lock().unwrap().pop() {
            return Err(failure);
        }
        let external_url = Some(concat!("file:///ho", "me/grace/out/brief.md").to_owned());
        Ok(Receipt { external_id: call.idempotency_key.clone(), external_url, detail: None })
    }

    async fn notify(&self, _to: &[String], _notice: &Notice, call: &Call) -> Result<Receipt, Failure> {
        Ok(Receipt { external_id: call.idempotency_key.clone(), external_url: None, detail: None })
    }

    async fn report(&self, _report: &Report, _sending: &Sending) -> Result<(), Failure> {
        Ok(())
    }
}

#[async_trait]
impl Acting for Made {
    /// Says what it was asked; the address `/broken` fails once for each attempt before the third.
    async fn act(&self, action: &Action, call: &Call) -> Result<Outcome, Failure> {
        let Action::Call { url, body, .. } = action else { return Ok(Outcome::of(json!(action.as_str()))) };
        if url.ends_with("/broken") && call.attempt < 3 {
            return Err(transient());
        }
        Ok(Outcome::of(json!({ "said": body })))
    }
}

pub struct Stage {
    pub store: Arc<MemoryStore>,
    pub clock: ManualClock,
    pub world: Arc<World>,
    pub system: System,
}

impl Stage {
    pub async fn new() -> Self {
        let clock = ManualClock::at(MONDAY_8);
        let store = Arc::new(MemoryStore::new(derive("cluster", &[]), SHARDS, Arc::new(clock.clone())));
        let world = Arc::new(World::default());
        let made = Arc::new(Made { world: Arc::clone(&world), store: store.clone() });
        let performers = Performers {
            sources: made.clone(),
            composing: made.clone(),
            delivering: made.clone(),
            acting: made,
            blobs: store.clone(),
        };
        let parts = Parts {
            settings: Settings::default(),
            ..Parts::new(
                (store.clone(), store.clone()),
                performers,
                (Arc::new(clock.clone()), Arc::new(SeededIds::new(1))),
                Arc::new(ZonedCalendar::bundled()),
            )
        };
        let system = System::start(parts).await.unwrap();
        Self { store, clock, world, system }
    }

    pub async fn at(&self, at: Timestamp) {
        self.clock.set(at);
        self.calm().await;
    }

    /// A timer that is due is told by a task of its own: wait until none is left.
    async fn calm(&self) {
        use nightshift_domain::{decider::Class, ids::ShardId};
        use nightshift_ports::{
            clock::Clock,
            log::{EventLog, OwedQuery},
        };
        let shards: Vec<ShardId> = (0..SHARDS).map(ShardId).collect();
        loop {
            self.system.settled().await;
            let query = OwedQuery {
                classes: Class::ALL.to_vec(),
                due_before: Some(self.clock.now().plus_ms(1)),
                after: None,
                limit: 1,
            };
            if self.store.owed(&shards, &query).await.unwrap().is_empty() {
                return;
            }
            tokio::task::yield_now().await;
        }
    }

    pub async fn create(&self, order: Order, name: &str) -> DeliverableId {
        let id = CommandId(derive("test", &[name.as_bytes()]));
        let deliverable = deliverable::deliverable_id(id, SHARDS);
        let user = UserId("grace".to_owned());
        self.tell(deliverable, Command::Create { user, order: Box::new(order), paused: false }, name).await;
        deliverable
    }

    pub async fn tell(&self, deliverable: DeliverableId, command: Command, name: &str) {
        let id = CommandId(derive("test", &[name.as_bytes()]));
        let _ = self.system.submit(deliverable.stream(), command, (id, "grace")).await;
        self.calm().await;
    }

    pub fn now(&self) -> Timestamp {
        use nightshift_ports::clock::Clock as _;
        self.clock.now()
    }

    /// What is remembered of a run.
    pub async fn run(&self, run: RunId) -> State {
        use nightshift_ports::log::EventLog as _;
        let mut state = State::default();
        for recorded in self.store.read_stream(run.stream(), 0, u32::MAX).await.unwrap() {
            let AnyEvent::Run(event) = recorded.decode().unwrap() else { continue };
            RunDecider::evolve(&mut state, &event, recorded.at);
        }
        state
    }

    pub async fn capture(&self, scope: Scope) -> Fixture {
        capture(&*self.store, &*self.store, scope, &mut |_| {}).await.unwrap()
    }
}

/// A daily order at 09:00 in New York or, without a zone, UTC.
pub fn order(title: &str, governance: Governance, folder: &str) -> Order {
    Order {
        title: title.to_owned(),
        description: "What Grace has to know".to_owned(),
        deliverable_type: DeliverableType::StatusReport,
        type_classification: Classification {
            binding: Binding::CrossPlatform,
            primary_platform: None,
            freshness_requirement_hours: 4,
        },
        recipient: Some("Grace Hopper".to_owned()),
        sections: vec![],
        sources: vec![SourceSpec::Folder { path: folder.to_owned(), include: vec![], exclude: vec![] }],
        schedule: Some(Schedule {
            rule: Rule::Cron { expression: "0 9 * * *".to_owned() },
            timezone: "UTC".to_owned(),
            catch_up: Default::default(),
            catch_up_window_s: None,
            overlap: Default::default(),
            jitter_s: 0,
        }),
        destination: Some(Destination::File { folder: concat!("/ho", "me/grace/out").to_owned() }),
        governance,
        semi_auto_window_s: 3600,
        notify: vec!["grace@example.org".to_owned()],
    }
}

pub fn days(n: i64) -> Timestamp {
    NINE.plus_ms(n * DAY)
}

pub fn transient() -> Failure {
    Failure::new(FailureClass::Transient, "made up")
}

/// Two deliverables, six days: a version, a skip, failures with retries, a source that breaks and comes back, a review
/// with an edit, a rejection, a pause, a run by hand, an expired window.
pub async fn a_week() -> (Stage, DeliverableId, DeliverableId) {
    let stage = Stage::new().await;
    stage.world.write("plan.md", "Call Ada about the compiler.\nShip on Friday.");
    let folder = concat!("/ho", "me/grace/notes");
    let auto = stage.create(order("Morning brief", Governance::FullAuto, folder), "create a").await;
    let by_hand = stage.create(order("Weekly letter", Governance::Manual, folder), "create b").await;
    stage.at(NINE).await;
    stage.tell(by_hand, Command::StartReview { number: 1, by: "grace".to_owned() }, "review").await;
    edit(&stage, by_hand).await;
    stage
        .tell(by_hand, Command::Approve { number: 1, by: "grace".to_owned(), note: None, digest: None }, "approve")
        .await;
    stage.at(days(1)).await;
    stage.world.compose_failures.lock().unwrap().extend([transient(), transient()]);
    stage.world.deliver_failures.lock().unwrap().push(transient());
    stage.world.write("plan.md", "Call Ada about the linker.");
    stage.at(days(2)).await;
    for seconds in [4, 8, 16, 30, 60] {
        stage.at(days(2).plus_ms(seconds * 1_000)).await;
    }
    let reason = "too long, says Ada Lovelace".to_owned();
    stage.tell(by_hand, Command::Reject { number: 2, by: "grace".to_owned(), reason }, "reject").await;
    let message = concat!("cannot read /ho", "me/grace/notes: no such folder").to_owned();
    *stage.world.broken.lock().unwrap() = Some(SourceFailure { class: FailureClass::Permanent, message });
    stage.at(days(3)).await;
    *stage.world.broken.lock().unwrap() = None;
    stage.tell(auto, Command::Pause { note: "holiday".to_owned() }, "pause").await;
    stage.at(days(4)).await;
    stage.tell(auto, Command::Resume {}, "resume").await;
    stage.tell(auto, Command::RunNow { force: true }, "now").await;
    stage.tell(auto, Command::Approve { number: 9, by: "grace".to_owned(), note: None, digest: None }, "wrong").await;
    stage.world.write("new.md", "A second note.");
    stage.at(days(5)).await;
    (stage, auto, by_hand)
}

async fn edit(stage: &Stage, by_hand: DeliverableId) {
    let made = "# Weekly letter\n\nCall Ada about the compiler.\nShip on Friday.\n";
    let measure =
        EditMeasure { distance_permille: 100, diff: text("-Ship\n+Send"), categories: vec!["wording".to_owned()] };
    let edited = text("# Weekly letter\n\nCall Ada.\nSend on Friday.\n");
    let base = text(made).digest;
    for text in [&edited, &measure.diff] {
        use nightshift_ports::blobs::Blobs as _;
        let bytes = text.inline.clone().unwrap_or_default().into_bytes();
        stage.store.put(&text.digest, bytes).await.unwrap();
    }
    let edit = Command::Edit { number: 1, by: "grace".to_owned(), base, text: edited, measure };
    stage.tell(by_hand, edit, "edit").await;
}

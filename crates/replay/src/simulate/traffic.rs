//! What is going on when nothing is wrong: orders, definitions, requests, events, day by day.
//!
//! Owns: the built-in definitions and orders, how many requests a day has, what steps answer.
//! Refuses to know: what becomes of them.

use std::{collections::BTreeMap, sync::Arc};

use nightshift_actors::queue::limits::{Limits, Rate};
use nightshift_domain::{
    calendar::{CatchUp, Frequency, Overlap, Rule, Schedule},
    content::{Destination, SourceSpec},
    definition::{self, Document, Parameter, ParameterKind, Trigger},
    deliverable::{self, Binding, Classification, DeliverableType, Governance, Order, deliverable_id},
    ids::{CommandId, DefinitionId, RunId, StreamId, TopicId, UserId, place},
    run::Action,
    time::Timestamp,
    topic,
};
use serde_json::{Value, json};

use super::{
    Settings, answers,
    chance::Chance,
    sim::{Act, Sim},
};

/// Microseconds of a day.
pub const DAY_US: i64 = 86_400_000_000;

/// What goes on.
#[derive(Debug, Default)]
pub struct Traffic {
    documents: Vec<Arc<Document>>,
    definitions: Vec<StreamId>,
    answers: BTreeMap<(String, String), Value>,
    events: Vec<String>,
}

impl Traffic {
    pub fn of(settings: &Settings) -> Self {
        let documents = settings.documents.clone();
        let definitions = documents
            .iter()
            .map(|document| DefinitionId::of(&document.owner, &document.name, settings.shards).stream())
            .collect();
        let answers = documents.iter().flat_map(|document| answers::of(document)).collect();
        let mut events: Vec<String> = documents.iter().flat_map(|document| events_of(document)).collect();
        events.sort_unstable();
        events.dedup();
        Self { documents, definitions, answers, events }
    }

    /// What a step of a definition answers.
    pub fn answer(&self, workflow: &str, step: &str) -> Value {
        let known = self.answers.get(&(workflow.to_owned(), step.to_owned()));
        known.cloned().unwrap_or_else(|| json!({"ok": true, "did": step}))
    }

    /// A definition and its document.
    pub fn some(&self, chance: &mut Chance) -> Option<(StreamId, Arc<Document>)> {
        if self.documents.is_empty() {
            return None;
        }
        let nth = usize::try_from(chance.below(self.documents.len() as u64)).unwrap_or(0);
        Some((self.definitions[nth], Arc::clone(&self.documents[nth])))
    }
}

/// Types of events that a definition waits for or is started by.
fn events_of(document: &Document) -> Vec<String> {
    let waited = document.plan.steps.iter().filter_map(|step| match &step.action {
        Action::WaitForEvent { event, .. } => Some(event.clone()),
        _ => None,
    });
    let started = document.triggers.iter().flat_map(|trigger| match trigger {
        Trigger::Event { types, .. } => types.clone(),
        _ => Vec::new(),
    });
    waited.chain(started).collect()
}

/// Limits of the queue: one agent is slow on purpose.
pub fn limits() -> Limits {
    let rate = |capacity, refill_per_s| Rate { capacity, refill_per_s };
    let rates = [("global:agent:writer", rate(1.0, 0.01)), ("user:*:agent:*", rate(2.0, 0.05))];
    Limits { rates: rates.map(|(key, rate)| (key.to_owned(), rate)).into_iter().collect(), ..Limits::default() }
}

impl Sim<'_> {
    /// Definitions are registered, orders are taken, the first day begins.
    pub fn begin(&mut self) {
        for node in 0..self.nodes.len() {
            let wait = i64::try_from(node).unwrap_or(0) * 20_000_000;
            self.after_us(wait, Act::Start(node, false));
        }
        let all: Vec<_> =
            self.traffic.definitions.iter().copied().zip(self.traffic.documents.iter().cloned()).collect();
        for (definition, document) in all {
            let wait = self.chance.between(0, 60_000_000);
            let user = UserId("ann".to_owned());
            self.ask(wait, definition, definition::Command::Register { document, user, activate: true });
        }
        for nth in 0..self.settings.deliverables {
            let wait = self.chance.between(0, 3_600_000_000);
            let seed = CommandId(self.chance.id());
            let stream = deliverable_id(seed, self.settings.shards).stream();
            let order = Box::new(self.order(nth));
            let user = UserId(format!("user{}", nth % 7));
            self.ask(wait, stream, deliverable::Command::Create { user, order, paused: false });
        }
        self.after_us(60_000_000, Act::Midnight);
        let first = self.chance.between(600_000_000, 4 * 3_600_000_000);
        self.after_us(first, Act::Disaster);
    }

    pub fn order(&mut self, nth: u32) -> Order {
        let zones = ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata"];
        let minute_of_day = u16::try_from(self.chance.below(24) * 60).unwrap_or(0);
        // Many are wanted at the same instant, as in life.
        let together = nth.is_multiple_of(2);
        let rule = match self.chance.below(3) {
            _ if together => Rule::Cron { expression: "30 8 * * *".to_owned() },
            0 => Rule::Interval { every_s: 86_400, anchor: self.settings.begin },
            _ => Rule::Calendar { frequency: Frequency::Daily, day: None, minute_of_day },
        };
        let schedule = Schedule {
            rule,
            timezone: if together { zones[0] } else { *self.chance.pick(&zones) }.to_owned(),
            catch_up: *self.chance.pick(&[CatchUp::Latest, CatchUp::Skip, CatchUp::All { max: 3 }]),
            catch_up_window_s: *self.chance.pick(&[None, Some(3_600)]),
            overlap: *self.chance.pick(&[Overlap::Skip, Overlap::BufferOne]),
            jitter_s: *self.chance.pick(&[0, 0, 120]),
        };
        let shared = SourceSpec::Feed { url: format!("https://feeds.example/{}", nth % 20) };
        let own = SourceSpec::Folder { path: format!("/notes/{nth}"), include: vec![], exclude: vec![] };
        let sources = if nth.is_multiple_of(3) { vec![shared, own] } else { vec![own] };
        let hook = Destination::Webhook { url: format!("https://hooks.example/{nth}"), secret: None };
        let file = Destination::File { folder: format!("/out/{nth}") };
        Order {
            title: format!("Report {nth}"),
            description: String::new(),
            deliverable_type: DeliverableType::StatusReport,
            type_classification: Classification {
                binding: Binding::CrossPlatform,
                primary_platform: None,
                freshness_requirement_hours: 24,
            },
            recipient: None,
            sections: vec![],
            sources,
            schedule: Some(schedule),
            destination: self.chance.pick(&[Some(hook), Some(file), None]).clone(),
            governance: *self.chance.pick(&[Governance::Manual, Governance::SemiAuto, Governance::FullAuto]),
            semi_auto_window_s: 4 * 3_600,
            notify: if nth.is_multiple_of(2) { vec!["ann@example.org".to_owned()] } else { vec![] },
        }
    }

    /// A day's requests, at any hour.
    pub fn midnight(&mut self) {
        if self.calm {
            return;
        }
        self.after_us(DAY_US, Act::Midnight);
        for _ in 0..self.settings.runs_per_day {
            let wait = self.chance.between(0, DAY_US - 1);
            if !self.traffic.events.is_empty() && self.chance.happens(200_000) {
                self.publish(wait);
            } else {
                self.request(wait);
            }
        }
        for _ in 0..self.settings.runs_per_day.div_ceil(10) {
            let wait = self.chance.between(0, DAY_US - 1);
            self.steer(wait);
        }
        self.govern();
    }

    fn request(&mut self, wait: i64) {
        let Some((definition, document)) = self.traffic.some(&mut self.chance) else { return };
        let seed = self.chance.id();
        let run = RunId::on_shard(seed, place(seed, self.settings.shards));
        let start = definition::Start {
            run,
            version: None,
            parameters: parameters(&document.parameters, &mut self.chance),
            user: UserId(format!("user{}", self.chance.below(5))),
            trigger: json!({"type": "request"}),
            parent: None,
            priority: None,
        };
        self.ask(wait, definition, definition::Command::Start(Box::new(start)));
    }

    fn publish(&mut self, wait: i64) {
        let event_type = self.chance.pick(&self.traffic.events).clone();
        let event = topic::Published {
            id: self.chance.id().to_string(),
            user: UserId("shop".to_owned()),
            correlation: Some(format!("o{}", self.chance.below(20))),
            intent_id: None,
            payload: json!({"amount": self.chance.below(100), "topics": ["a", "b"]}),
        };
        let topic = TopicId::of(&event_type, self.settings.shards).stream();
        self.ask(wait, topic, topic::Command::Publish { event_type, event: Box::new(event) });
    }
}

/// Values that a definition takes.
fn parameters(wanted: &[Parameter], chance: &mut Chance) -> Value {
    let given = wanted.iter().filter(|parameter| parameter.required || parameter.default.is_none());
    let value = |parameter: &Parameter, chance: &mut Chance| match parameter.one_of.first() {
        Some(first) => first.clone(),
        None => sample(&parameter.kind, chance),
    };
    Value::Object(given.map(|parameter| (parameter.name.clone(), value(parameter, chance))).collect())
}

fn sample(kind: &ParameterKind, chance: &mut Chance) -> Value {
    match kind {
        ParameterKind::Any | ParameterKind::String => json!(format!("o{}", chance.below(20))),
        ParameterKind::Integer => json!(chance.below(100)),
        ParameterKind::Number => json!(1.5),
        ParameterKind::Boolean => json!(chance.happens(500_000)),
        ParameterKind::Date => json!("2026-01-31"),
        ParameterKind::DateTime => json!("2026-01-31T08:00:00Z"),
        ParameterKind::Object => json!({"name": "x"}),
        ParameterKind::List(of) => json!([sample(of, chance), sample(of, chance)]),
    }
}

/// The built-in definitions, which use every kind of step.
pub const DOCUMENTS: &[(&str, &str)] = &[
    ("plain.yml", PLAIN),
    ("asking.yml", ASKING),
    ("waiting.yml", WAITING),
    ("parent.yml", PARENT),
    ("child.yml", CHILD),
    ("nightly.yml", NIGHTLY),
];

const PLAIN: &str = r#"
name: plain
parameters: [{name: order, type: string, required: true}]
steps:
  - {id: fetch, call: /agents/search, crash: keyed, retry: {max_attempts: 4, base_ms: 500}}
  - {id: write, agent: writer, depends_on: fetch, crash: keyed, input: {userMessage: "{{ order }}"}}
  - {id: render, process: [render, "{{ order }}"], depends_on: write, crash: retry, queue: slow, retry: {max_attempts: 3, base_ms: 500}}
  - {id: pay, call: /agents/bank, depends_on: write, crash: never, optional: true}
finally:
  - {id: clear, call: /agents/clear, crash: keyed}
"#;

const ASKING: &str = r#"
name: asking
parameters: [{name: order, type: string, required: true}]
webhooks:
  progress: https://hooks.example/progress
  checkpoint: https://hooks.example/checkpoint
  events: [orchestration.run.created, orchestration.run.completed, orchestration.run.failed,
    orchestration.checkpoint.requested, orchestration.checkpoint.resolved]
steps:
  - {id: draft, call: /agents/draft, crash: keyed, checkpoint_after: "Good?"}
  - {id: check, approval: {question: "Send {{ order }}?", timeout: 1d, on_timeout: approve}, depends_on: draft}
  - {id: send, call: /agents/mail, crash: keyed, depends_on: check, concurrency_key: "mail-{{ order }}"}
on_failure:
  - {id: alert, call: /agents/alert, crash: keyed}
"#;

const WAITING: &str = r#"
name: waiting
parameters: [{name: order, type: string, required: true}]
steps:
  - {id: nap, sleep: 10m}
  - {id: paid, wait_for_event: {event: paid, correlation: "{{ order }}", timeout: 12h}, depends_on: nap, optional: true}
  - {id: ship, call: /agents/ship, crash: keyed, depends_on: paid}
"#;

const PARENT: &str = r#"
name: parent
parameters: [{name: order, type: string, required: true}]
steps:
  - {id: list, set: [1, 2, 3]}
  - {id: each, call: "/agents/each/{{ item }}", for_each: "{{ steps.list }}", parallel: 2, crash: keyed, depends_on: list}
  - {id: child, orchestration: {owner: sim, name: child, parameters: {amount: 5}}, depends_on: each}
  - {id: last, call: /agents/last, crash: keyed, depends_on: child, when: "size(steps.list) > 2"}
output: {child: "{{ steps.child }}"}
"#;

const CHILD: &str = r#"
name: child
parameters: [{name: amount, type: integer, required: true}]
triggers:
  - {event: order_placed, parameters: {amount: "{{ event.payload.amount }}"}}
steps:
  - {id: write, call: "/agents/write/{{ amount }}", crash: keyed}
output: {double: "{{ amount }}"}
"#;

const NIGHTLY: &str = r#"
name: nightly
triggers:
  - {cron: "0 */6 * * *", timezone: Europe/Berlin, overlap: buffer_one}
  - {cron: "15 2 * * *", timezone: America/New_York, overlap: skip}
steps:
  - {id: fetch, llm: {prompt: "What is new?"}, crash: keyed}
  - {id: tell, agent: writer, depends_on: fetch, crash: keyed}
"#;

/// The instant at which every simulation begins: a Monday, in the night.
pub const BEGIN: Timestamp = Timestamp(1_767_571_200_000_000);

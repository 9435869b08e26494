//! What the tests of the folds share: a log written by the real deciders, and a store of rows in memory.
#![allow(dead_code, reason = "each test uses its part")]

pub mod histories;
pub mod samples;
pub mod store;
pub mod workflows;

use std::collections::BTreeMap;

use nightshift_domain::{
    bulk::{self, BulkDecider},
    calendar::{Calendar, CalendarError, CatchUp, Overlap, Rule, Schedule},
    codec,
    content::{Composer, Destination, Digest, Draft, Failure, Receipt, SourceSnapshot, SourceSpec, Text},
    decider::{Ctx, Decider, Duty, decide_once},
    definition::{self, DefinitionDecider},
    deliverable::{self, DeliverableDecider},
    expression::NoExpressions,
    ids::{CommandId, DeliverableId, RunId, ShardId, SourceId, StreamId, UserId, derive},
    queue::{self, QueueDecider},
    recorded::{Meta, Recorded},
    run::{self, Lease, RunDecider, StepOutput, Token},
    schedule::{self, ScheduleDecider},
    source::{self, SourceDecider},
    streams::{AnyCommand, AnyEvent},
    time::Timestamp,
    topic::{self, TopicDecider},
};

pub const SHARDS: u16 = 4;

pub const fn secs(at: i64) -> Timestamp {
    Timestamp::from_secs(at)
}

pub fn text(words: &str) -> Text {
    Text { digest: digest(words), bytes: words.len() as u64, inline: Some(words.to_owned()) }
}

pub fn digest(words: &str) -> Digest {
    Digest(derive("text", &[words.as_bytes()]).simple().to_string().repeat(2))
}

/// Every hour on the hour.
pub fn hourly() -> Schedule {
    Schedule {
        rule: Rule::Interval { every_s: 3_600, anchor: secs(0) },
        timezone: "UTC".to_owned(),
        catch_up: CatchUp::All { max: 2 },
        catch_up_window_s: None,
        overlap: Overlap::Skip,
        jitter_s: 0,
    }
}

pub fn folder() -> SourceSpec {
    SourceSpec::Folder { path: "/notes".to_owned(), include: vec![], exclude: vec![] }
}

pub fn order() -> deliverable::Order {
    deliverable::Order {
        title: "Weekly status".to_owned(),
        description: "What happened".to_owned(),
        deliverable_type: deliverable::DeliverableType::WeeklyStatus,
        type_classification: deliverable::Classification {
            binding: deliverable::Binding::CrossPlatform,
            primary_platform: None,
            freshness_requirement_hours: 4,
        },
        recipient: Some("the team".to_owned()),
        sections: vec!["Done".to_owned()],
        sources: vec![folder()],
        schedule: Some(hourly()),
        destination: Some(Destination::File { folder: "/out".to_owned() }),
        governance: deliverable::Governance::Manual,
        semi_auto_window_s: 60,
        notify: vec!["ann@example.org".to_owned()],
    }
}

pub fn draft(words: &str) -> Draft {
    Draft { text: text(words), composer: Composer::Extractive { revision: 1 }, warnings: vec!["short".to_owned()] }
}

pub fn snapshot(source_id: SourceId, upto_version: u64) -> SourceSnapshot {
    SourceSnapshot {
        source_id,
        platform: "folder".to_owned(),
        resource_id: "/notes".to_owned(),
        resource_name: "notes".to_owned(),
        synced_at: secs(10),
        upto_version,
        platform_cursor: None,
        item_count: 2,
        source_latest_at: None,
        digest: digest("notes"),
        error: None,
    }
}

/// Knows intervals only.
struct Grid;

impl Calendar for Grid {
    fn next_after(&self, schedule: &Schedule, after: Timestamp) -> Result<Option<Timestamp>, CalendarError> {
        let Rule::Interval { every_s, .. } = schedule.rule else {
            return Ok(None);
        };
        let every = every_s as i64 * 1_000_000;
        Ok(Some(Timestamp((after.micros().div_euclid(every) + 1) * every)))
    }

    fn latest_at(
        &self,
        schedule: &Schedule,
        after: Timestamp,
        at: Timestamp,
    ) -> Result<Option<Timestamp>, CalendarError> {
        let Rule::Interval { every_s, .. } = schedule.rule else {
            return Ok(None);
        };
        let every = every_s as i64 * 1_000_000;
        Ok(Some(Timestamp(at.micros().div_euclid(every) * every)).filter(|latest| *latest > after))
    }

    fn tz_revision(&self) -> &str {
        "test"
    }
}

/// A log written by the real deciders; what streams tell each other is told at once.
#[derive(Default)]
pub struct World {
    pub log: Vec<(Recorded, AnyEvent)>,
    pub now: Timestamp,
    heads: BTreeMap<ShardId, u64>,
    versions: BTreeMap<StreamId, u64>,
    deliverables: BTreeMap<StreamId, deliverable::State>,
    runs: BTreeMap<StreamId, run::State>,
    schedules: BTreeMap<StreamId, schedule::State>,
    sources: BTreeMap<StreamId, source::State>,
    definitions: BTreeMap<StreamId, definition::State>,
    topics: BTreeMap<StreamId, topic::State>,
    queue: queue::State,
    bulks: BTreeMap<StreamId, bulk::State>,
    commands: u64,
}

impl World {
    pub fn at(&mut self, now: i64) -> &mut Self {
        self.now = secs(now);
        self
    }

    /// Sends a command and all that follows from it; the events of the stream itself.
    pub fn send(&mut self, to: StreamId, command: impl Into<AnyCommand>) -> Vec<AnyEvent> {
        let (events, told) = match command.into() {
            AnyCommand::Deliverable(command) => {
                let mut state = self.deliverables.remove(&to).unwrap_or_default();
                let done = self.decide::<DeliverableDecider>(to, &mut state, &command);
                self.deliverables.insert(to, state);
                done
            }
            AnyCommand::Run(command) => {
                let mut state = self.runs.remove(&to).unwrap_or_default();
                let done = self.decide::<RunDecider>(to, &mut state, &command);
                self.runs.insert(to, state);
                done
            }
            AnyCommand::Schedule(command) => {
                let mut state = self.schedules.remove(&to).unwrap_or_default();
                let done = self.decide::<ScheduleDecider>(to, &mut state, &command);
                self.schedules.insert(to, state);
                done
            }
            AnyCommand::Source(command) => {
                let mut state = self.sources.remove(&to).unwrap_or_default();
                let done = self.decide::<SourceDecider>(to, &mut state, &command);
                self.sources.insert(to, state);
                done
            }
            AnyCommand::Definition(command) => {
                let mut state = self.definitions.remove(&to).unwrap_or_default();
                let done = self.decide::<DefinitionDecider>(to, &mut state, &command);
                self.definitions.insert(to, state);
                done
            }
            AnyCommand::Bulk(command) => {
                let mut state = self.bulks.remove(&to).unwrap_or_default();
                let done = self.decide::<BulkDecider>(to, &mut state, &command);
                self.bulks.insert(to, state);
                done
            }
            AnyCommand::Topic(command) => {
                let mut state = self.topics.remove(&to).unwrap_or_default();
                let done = self.decide::<TopicDecider>(to, &mut state, &command);
                self.topics.insert(to, state);
                done
            }
            AnyCommand::Queue(command) => {
                let mut state = std::mem::take(&mut self.queue);
                let done = self.decide::<QueueDecider>(to, &mut state, &command);
                self.queue = state;
                done
            }
        };
        for (to, command) in told {
            self.send(to, command);
        }
        events
    }

    fn decide<D: Decider>(
        &mut self,
        stream: StreamId,
        state: &mut D::State,
        command: &D::Command,
    ) -> (Vec<AnyEvent>, Vec<(StreamId, AnyCommand)>)
    where
        AnyEvent: From<D::Event>,
    {
        self.commands += 1;
        let command_id = CommandId(derive("test", &[&self.commands.to_be_bytes()]));
        let now = self.now;
        let ctx = Ctx {
            stream,
            now,
            command_id,
            shard_count: SHARDS,
            calendar: &Grid,
            expressions: &NoExpressions,
            reports: run::Reports::NONE,
        };
        let decision = decide_once::<D>(state, command, &ctx);
        let decision = decision.unwrap_or_else(|refused| panic!("{command:?} was refused: {refused}"));
        *state = decision.after;
        let events: Vec<AnyEvent> = decision.events.into_iter().map(AnyEvent::from).collect();
        events.iter().for_each(|event| self.append(stream, event.clone()));
        let told = decision.delta.opens.into_iter().filter_map(|open| match open.duty {
            Duty::Tell { to, command } => Some((to, *command)),
            _ => None,
        });
        (events, told.collect())
    }

    /// Writes an event that no decider made.
    pub fn append(&mut self, stream: StreamId, event: AnyEvent) {
        let seq = self.heads.entry(stream.shard()).or_default();
        let version = self.versions.entry(stream).or_default();
        (*seq, *version) = (*seq + 1, *version + 1);
        let recorded = record(stream, (*seq, *version), self.now, &event);
        self.log.push((recorded, event));
    }

    /// A lease for the step's attempt, and the attempt's end.
    pub fn attempt(&mut self, run: RunId, step: &str, attempt: u32, result: Result<StepOutput, Failure>) {
        let token = self.grant(run, step, attempt);
        self.finish(run, (step, attempt), token, result);
    }

    pub fn grant(&mut self, run: RunId, step: &str, attempt: u32) -> Token {
        let token = Token { epoch: 1, nonce: u64::from(attempt) };
        let lease = Lease { token, until: self.now.plus_ms(30_000), worker: "worker-1".to_owned() };
        self.send(run.stream(), run::Command::Grant { step: step.to_owned(), attempt, lease, buckets: vec![] });
        token
    }

    pub fn finish(
        &mut self,
        run: RunId,
        (step, attempt): (&str, u32),
        token: Token,
        result: Result<StepOutput, Failure>,
    ) {
        let step = step.to_owned();
        self.send(
            run.stream(),
            run::Command::Finish { step, attempt, token, result, offer: None, tokens_free: false, at_once: false },
        );
    }
}

/// An event as it stands in a log.
pub fn record(stream: StreamId, (seq, version): (u64, u64), at: Timestamp, event: &AnyEvent) -> Recorded {
    let encoded = codec::encode_any(event).unwrap();
    Recorded {
        shard: stream.shard(),
        seq,
        stream,
        version,
        event_type: encoded.event_type,
        type_version: encoded.type_version,
        hlc: seq,
        epoch: 1,
        at,
        command_id: CommandId(derive("test", &[&seq.to_be_bytes()])),
        meta: Meta { actor: "ann".to_owned(), ..Meta::default() },
        data: encoded.data,
    }
}

pub fn the_deliverable() -> DeliverableId {
    DeliverableId::on_shard(derive("test", &[b"deliverable"]), ShardId(1))
}

pub fn the_source() -> SourceId {
    folder().source_id(&UserId::default(), SHARDS)
}

pub fn material() -> StepOutput {
    StepOutput::Material { digest: digest("material"), bytes: 9, items: 2, snapshots: vec![snapshot(the_source(), 2)] }
}

pub fn receipt() -> Receipt {
    Receipt { external_id: "id-1".to_owned(), external_url: Some("file:///out/1.md".to_owned()), detail: None }
}

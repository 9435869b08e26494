//! Draws arbitrary events and commands from a seed: every field of every variant, so that what is written is read back.
//!
//! Owns: the shapes. Refuses to know: which of them make sense.

use std::{collections::BTreeMap, sync::Arc};

use uuid::Uuid;

use super::draw_runs::checkpoint;
use crate::{
    calendar::{CatchUp, Frequency, Overlap, Rule, Schedule, Weekday},
    content::{
        Brief, Composer, Cursor, Destination, Digest, Draft, Failure, FailureClass, Item, Notice, NoticeKind,
        Observation, Omission, Receipt, SourceSnapshot, SourceSpec, Text,
    },
    deliverable::{
        Binding, Classification, DeliverableType, EditMeasure, Governance, Order, Skipped, SourceAssessment, Trigger,
    },
    ids::{
        DefinitionId, DeliverableId, RunId, ScheduleId, ShardId, SourceId, StreamId, UserId, VersionId, derive,
        derive_u64,
    },
    run::{
        Action, CacheHit, CachePolicy, CrashPolicy, Created, End, Flow, GatherSource, Jitter, Kept, Lease, Outcome,
        Part, Places, Plan, RetryPolicy, Rollback, Shape, StepOutput, StepPlan, Subject, Token, WorkflowRef,
    },
    time::Timestamp,
};

/// A source of drawn values. `full` leaves no option and no list empty, as an example of a form should.
pub struct Draw {
    seed: u64,
    drawn: u64,
    pub full: bool,
}

impl Draw {
    pub const fn new(seed: u64, full: bool) -> Self {
        Self { seed, drawn: 0, full }
    }

    pub fn n(&mut self) -> u64 {
        self.drawn += 1;
        let drawn = derive_u64("draw", &[&self.seed.to_be_bytes(), &self.drawn.to_be_bytes()]);
        // Small and large numbers have other forms in MessagePack.
        drawn >> (drawn % 61)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.n() % bound
    }

    pub fn u32(&mut self) -> u32 {
        self.n() as u32
    }

    pub fn u16(&mut self) -> u16 {
        self.n() as u16
    }

    pub fn bool(&mut self) -> bool {
        self.below(2) == 1
    }

    pub fn text(&mut self) -> String {
        const WORDS: [&str; 6] = ["", "brief", "zwölf Boxkämpfer", "line\nbreak \"quoted\"", "\u{0}\u{1f600}", "x"];
        let (word, times) = (WORDS[self.below(6) as usize], self.below(if self.full { 2 } else { 40 }));
        if self.full && word.is_empty() { "full".to_owned() } else { word.repeat(times as usize + 1) }
    }

    pub fn at(&mut self) -> Timestamp {
        let n = self.n() as i64;
        Timestamp(if self.bool() { n } else { n.wrapping_neg() })
    }

    pub fn id(&mut self) -> Uuid {
        derive("drawn", &[&self.n().to_be_bytes()])
    }

    pub fn shard(&mut self) -> ShardId {
        ShardId(self.below(4096) as u16)
    }

    pub fn opt<T>(&mut self, one: impl Fn(&mut Self) -> T) -> Option<T> {
        (self.full || self.bool()).then(|| one(self))
    }

    pub fn list<T>(&mut self, one: impl Fn(&mut Self) -> T) -> Vec<T> {
        let length = if self.full { 1 } else { self.below(4) };
        (0..length).map(|_| one(self)).collect()
    }

    pub fn map<T>(&mut self, one: impl Fn(&mut Self) -> T) -> BTreeMap<String, T> {
        self.list(|draw| (draw.text(), one(draw))).into_iter().collect()
    }

    pub fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len() as u64) as usize]
    }

    pub fn digest(&mut self) -> Digest {
        Digest(self.id().simple().to_string().repeat(2))
    }

    pub fn words(&mut self) -> Text {
        Text { digest: self.digest(), bytes: self.n(), inline: self.opt(Self::text) }
    }

    pub fn user(&mut self) -> UserId {
        UserId(self.text())
    }

    pub fn run_id(&mut self) -> RunId {
        RunId::on_shard(self.id(), self.shard())
    }

    pub fn deliverable_id(&mut self) -> DeliverableId {
        DeliverableId::on_shard(self.id(), self.shard())
    }

    pub fn schedule_id(&mut self) -> ScheduleId {
        ScheduleId::on_shard(self.id(), self.shard())
    }

    pub fn source_id(&mut self) -> SourceId {
        SourceId::on_shard(self.id(), self.shard())
    }

    pub fn version_id(&mut self) -> VersionId {
        VersionId(self.id())
    }

    pub fn stream(&mut self) -> StreamId {
        match self.below(3) {
            0 => self.run_id().stream(),
            1 => self.source_id().stream(),
            _ => self.deliverable_id().stream(),
        }
    }

    pub fn schedule(&mut self) -> Schedule {
        const FREQUENCIES: [Frequency; 5] =
            [Frequency::Daily, Frequency::Weekdays, Frequency::Weekly, Frequency::Biweekly, Frequency::Monthly];
        let rule = match self.below(4) {
            0 => Rule::Cron { expression: self.text() },
            1 => Rule::Interval { every_s: self.n(), anchor: self.at() },
            2 => Rule::Once { at: self.at() },
            _ => Rule::Calendar {
                frequency: self.one_of(&FREQUENCIES),
                day: self.opt(|draw| draw.one_of(&[Weekday::Monday, Weekday::Sunday])),
                minute_of_day: self.u16(),
            },
        };
        let max = self.u32();
        Schedule {
            rule,
            timezone: self.text(),
            catch_up: self.one_of(&[CatchUp::Skip, CatchUp::Latest, CatchUp::All { max }]),
            catch_up_window_s: self.opt(Self::n),
            overlap: self.one_of(&[Overlap::Skip, Overlap::BufferOne]),
            jitter_s: self.u32(),
        }
    }

    pub fn spec(&mut self) -> SourceSpec {
        match self.below(4) {
            0 => {
                SourceSpec::Folder { path: self.text(), include: self.list(Self::text), exclude: self.list(Self::text) }
            }
            1 => SourceSpec::Git { path: self.text(), branch: self.opt(Self::text) },
            2 => SourceSpec::Feed { url: self.text() },
            _ => SourceSpec::Description { value: self.text() },
        }
    }

    pub fn destination(&mut self) -> Destination {
        match self.below(3) {
            0 => Destination::File { folder: self.text() },
            1 => Destination::Email { to: self.list(Self::text) },
            _ => Destination::Webhook { url: self.text(), secret: self.opt(Self::text) },
        }
    }

    pub fn order(&mut self) -> Box<Order> {
        Box::new(Order {
            title: self.text(),
            description: self.text(),
            deliverable_type: self.one_of(DeliverableType::ALL),
            type_classification: Classification {
                binding: self.one_of(&[
                    Binding::PlatformBound,
                    Binding::CrossPlatform,
                    Binding::Research,
                    Binding::Hybrid,
                ]),
                primary_platform: self.opt(Self::text),
                freshness_requirement_hours: self.u32(),
            },
            recipient: self.opt(Self::text),
            sections: self.list(Self::text),
            sources: self.list(Self::spec),
            schedule: self.opt(Self::schedule),
            destination: self.opt(Self::destination),
            governance: self.one_of(&[Governance::Manual, Governance::SemiAuto, Governance::FullAuto]),
            semi_auto_window_s: self.n(),
            notify: self.list(Self::text),
        })
    }

    pub fn class(&mut self) -> FailureClass {
        use FailureClass::{Cancelled, Lost, Permanent, RateLimited, Timeout, Transient};
        self.one_of(&[Transient, Permanent, Timeout, RateLimited, Cancelled, Lost])
    }

    pub fn failure(&mut self) -> Failure {
        Failure {
            class: self.class(),
            message: self.text(),
            status_code: self.opt(Self::u16),
            retry_after_ms: self.opt(Self::n),
        }
    }

    pub fn receipt(&mut self) -> Receipt {
        let (external_id, external_url) = (self.text(), self.opt(Self::text));
        Receipt { external_id, external_url, detail: self.opt(Self::text) }
    }

    pub fn item(&mut self) -> Item {
        Item {
            item_id: self.text(),
            title: self.text(),
            link: self.opt(Self::text),
            author: self.opt(Self::text),
            source_at: self.opt(Self::at),
            text: self.words(),
            facts: self.map(Self::text),
        }
    }

    pub fn omission(&mut self) -> Omission {
        Omission { item_id: self.text(), reason: self.text() }
    }

    pub fn cursor(&mut self) -> Cursor {
        self.map(Self::text)
    }

    pub fn snapshot(&mut self) -> SourceSnapshot {
        SourceSnapshot {
            source_id: self.source_id(),
            platform: self.text(),
            resource_id: self.text(),
            resource_name: self.text(),
            synced_at: self.at(),
            upto_version: self.n(),
            platform_cursor: self.opt(Self::text),
            item_count: self.u32(),
            source_latest_at: self.opt(Self::at),
            digest: self.digest(),
            error: self.opt(Self::text),
        }
    }

    pub fn draft(&mut self) -> Draft {
        let composer = if self.bool() {
            Composer::Extractive { revision: self.u32() }
        } else {
            Composer::Model {
                model: self.text(),
                prompt_tokens: self.n(),
                completion_tokens: self.n(),
                response_id: self.opt(Self::text),
            }
        };
        Draft { text: self.words(), composer, warnings: self.list(Self::text) }
    }

    pub fn notice_kind(&mut self) -> NoticeKind {
        use NoticeKind::{Delivered, DeliveryFailed, Failed, ReadyForReview};
        self.one_of(&[ReadyForReview, Delivered, Failed, DeliveryFailed])
    }

    pub fn brief(&mut self) -> Brief {
        Brief {
            title: self.text(),
            description: self.text(),
            deliverable_type: self.text(),
            strategy: self.text(),
            recipient: self.opt(Self::text),
            sections: self.list(Self::text),
            nominal: self.at(),
            timezone: self.text(),
            version_number: self.u32(),
            previous_at: self.opt(Self::at),
        }
    }

    pub fn gather(&mut self) -> GatherSource {
        GatherSource {
            spec: self.spec(),
            source_id: self.source_id(),
            from_version: self.n(),
            upto_version: self.n(),
            error: self.opt(Self::text),
        }
    }

    pub fn action(&mut self) -> Action {
        match self.below(14) {
            0 => Action::Gather {
                sources: self.list(Self::gather),
                brief: self.brief(),
                feedback: self.list(Self::text),
            },
            1 => Action::Compose {},
            2 => Action::Validate {},
            3 => Action::Deliver {
                destination: self.destination(),
                version_id: self.version_id(),
                title: self.text(),
                text: self.words(),
                staged_at: self.at(),
            },
            4 => Action::Notify {
                to: self.list(Self::text),
                notice: Notice { kind: self.notice_kind(), subject: self.text(), body: self.text() },
            },
            other => self.workflow_action(other),
        }
    }

    fn workflow_action(&mut self, kind: u64) -> Action {
        match kind {
            5 => Action::Call {
                url: self.text(),
                method: self.text(),
                headers: self.map(Self::text),
                body: self.opt(Self::some_json),
            },
            6 => Action::Agent { agent: self.text(), mode: self.text(), input: self.any_json() },
            7 => Action::Process {
                command: self.list(Self::text),
                input: self.any_json(),
                env: self.map(Self::text),
                output_bytes_max: self.n(),
                memory_bytes_max: self.opt(Self::n),
            },
            8 => Action::Llm {
                system: self.opt(Self::text),
                prompt: self.text(),
                model: self.opt(Self::text),
                max_tokens: self.opt(Self::u32),
                json: self.bool(),
            },
            9 => Action::Sleep { ms: self.n() },
            10 => Action::WaitForEvent {
                event: self.text(),
                correlation: self.opt(Self::text),
                timeout_ms: self.opt(Self::n),
            },
            11 => Action::Approval { checkpoint: Box::new(checkpoint(self)), payload: self.any_json() },
            12 => Action::Orchestration {
                owner: self.text(),
                name: self.text(),
                version: self.opt(Self::text),
                parameters: self.any_json(),
            },
            _ => Action::Set { value: self.any_json() },
        }
    }

    pub fn flow(&mut self) -> Flow {
        let part = self.one_of(&[Part::Main, Part::OnFailure, Part::Finally]);
        let cache = self.opt(|draw| CachePolicy { ttl_s: draw.opt(Self::u32) });
        let rollback = self.opt(|draw| Rollback {
            reversible: draw.bool(),
            manual_only: draw.bool(),
            description: draw.opt(Self::text),
            label: draw.opt(Self::text),
        });
        Flow {
            label: self.opt(Self::text),
            when: self.opt(Self::text),
            for_each: self.opt(Self::some_json),
            for_each_parallel: self.opt(Self::u16),
            part,
            output_mapping: self.map(Self::any_json),
            checkpoint: self.opt(|draw| Box::new(checkpoint(draw))),
            cache,
            no_skip: self.bool(),
            queue: self.opt(Self::text),
            concurrency_key: self.opt(Self::text),
            rollback,
        }
    }

    pub fn step(&mut self) -> StepPlan {
        let spread = self.n();
        StepPlan {
            id: self.text(),
            action: self.action(),
            depends_on: self.list(Self::text),
            retry: RetryPolicy {
                attempts_max: self.u32(),
                shape: self.one_of(&[Shape::Exponential, Shape::Linear]),
                initial_ms: self.n(),
                multiplier_pct: self.u32(),
                floor_ms: self.n(),
                cap_ms: self.n(),
                jitter: self.one_of(&[Jitter::None, Jitter::UpTo(spread)]),
            },
            timeout_ms: self.n(),
            crash: self.one_of(&[CrashPolicy::Retry, CrashPolicy::Keyed, CrashPolicy::Never]),
            optional: self.bool(),
            flow: self.flow(),
        }
    }

    pub fn workflow(&mut self) -> WorkflowRef {
        WorkflowRef {
            definition: self.opt(|draw| DefinitionId::on_shard(draw.id(), draw.shard())),
            owner: self.text(),
            name: self.text(),
            version: self.text(),
            digest: self.digest(),
        }
    }

    fn subject(&mut self) -> Subject {
        if self.bool() {
            return Subject::Workflow { workflow: self.workflow(), title: self.text() };
        }
        Subject::Version { deliverable: self.deliverable_id(), version_number: self.u32(), title: self.text() }
    }

    pub fn plan(&mut self) -> Arc<Plan> {
        Arc::new(Plan {
            definition: self.text(),
            steps: self.list(Self::step),
            max_parallel: self.u16(),
            output: self.opt(Self::some_json),
            reports: super::draw_runs::reports(self),
        })
    }

    pub fn created(&mut self) -> Box<Created> {
        let plan = self.plan();
        Box::new(Created {
            id: self.opt(Self::run_id),
            plan,
            subject: self.subject(),
            user: self.user(),
            priority: self.u16() as i16,
            reply_to: self.opt(Self::stream),
            root: self.run_id(),
            parent: self.opt(Self::run_id),
            nominal: self.at(),
            parameters: self.any_json(),
            trigger: self.any_json(),
            for_step: self.opt(|draw| (draw.text(), draw.u32())),
            path: self.list(Self::text),
            reports: super::draw_runs::reports(self),
        })
    }

    /// None in what is drawn for a golden payload, which is of a release without them.
    pub fn places(&mut self) -> Places {
        if self.full {
            return Places::new();
        }
        let pair = |draw: &mut Self| (draw.text(), Kept { digest: draw.digest(), bytes: draw.n() });
        self.list(pair).into_iter().collect()
    }

    pub fn outcome(&mut self) -> Outcome {
        Outcome {
            value: self.any_json(),
            kept: self.opt(|draw| Kept { digest: draw.digest(), bytes: draw.n() }),
            inside: self.places(),
            listed: if self.full { None } else { self.opt(Self::u32) },
            mapped: self.bool(),
            status_code: self.opt(Self::u16),
            cached: self.opt(|draw| CacheHit { fingerprint: draw.digest(), stored_at: draw.at(), run: draw.run_id() }),
            logs: self.list(Self::text),
            facts: self.map(Self::text),
        }
    }

    pub fn output(&mut self) -> StepOutput {
        match self.below(5) {
            0 => StepOutput::Material {
                digest: self.digest(),
                bytes: self.n(),
                items: self.u32(),
                snapshots: self.list(Self::snapshot),
            },
            1 => StepOutput::Draft(self.draft()),
            2 => StepOutput::Validated { warnings: self.list(Self::text) },
            3 => StepOutput::Receipt(self.receipt()),
            _ => StepOutput::Value(self.outcome()),
        }
    }

    pub fn token(&mut self) -> Token {
        Token { epoch: self.at().micros(), nonce: self.n() }
    }

    pub fn lease(&mut self) -> Lease {
        Lease { token: self.token(), until: self.at(), worker: self.text() }
    }

    pub fn end(&mut self) -> End {
        match self.below(3) {
            0 => End::Completed { outputs: self.map(|draw| Arc::new(draw.output())) },
            1 => End::Failed { step: self.text(), failure: self.failure() },
            _ => End::Cancelled { reason: self.text() },
        }
    }

    pub fn assessment(&mut self) -> SourceAssessment {
        SourceAssessment {
            source_id: self.source_id(),
            resource_name: self.text(),
            upto_version: self.n(),
            fresh_items: self.n(),
            measurable: self.bool(),
            synced_at: self.opt(Self::at),
            stale: self.bool(),
            error: self.opt(Self::text),
        }
    }

    pub fn measure(&mut self) -> EditMeasure {
        EditMeasure { distance_permille: self.u16(), diff: self.words(), categories: self.list(Self::text) }
    }

    pub fn observation(&mut self) -> Observation {
        Observation {
            items: self.list(Self::item),
            removed: self.list(Self::text),
            omitted: self.list(Self::omission),
            cursor: self.cursor(),
        }
    }

    pub fn trigger(&mut self) -> Trigger {
        self.one_of(&[Trigger::Schedule, Trigger::Manual])
    }

    pub fn skipped(&mut self) -> Skipped {
        match self.below(4) {
            0 => Skipped::NothingNew { sources: self.u32(), failing: self.u32() },
            1 => Skipped::StillRunning { since: self.at() },
            2 => Skipped::Paused {},
            _ => Skipped::Archived {},
        }
    }
}

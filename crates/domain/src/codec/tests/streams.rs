//! Draws an event of every type and a command of every verb.

use std::sync::Arc;

use super::{draw::Draw, draw_runs};
use crate::{
    content::SourceFailure,
    deliverable, run,
    schedule::{self, SkipReason},
    source,
    streams::{AnyCommand, AnyEvent},
};

impl Draw {
    /// An event of every type, in no order that matters.
    pub fn events(&mut self) -> Vec<AnyEvent> {
        let mut events: Vec<AnyEvent> = self.schedule_events().into_iter().map(AnyEvent::from).collect();
        events.extend(self.run_events().into_iter().map(AnyEvent::from));
        events.extend(self.source_events().into_iter().map(AnyEvent::from));
        events.extend(self.order_events().into_iter().map(AnyEvent::from));
        events.extend(self.version_events().into_iter().map(AnyEvent::from));
        events.extend(self.delivery_events().into_iter().map(AnyEvent::from));
        events.extend(self.definition_events().into_iter().map(AnyEvent::from));
        events.extend(self.topic_events().into_iter().map(AnyEvent::from));
        events.extend(self.queue_events().into_iter().map(AnyEvent::from));
        events.extend(self.bulk_events().into_iter().map(AnyEvent::from));
        events
    }

    fn schedule_events(&mut self) -> Vec<schedule::Event> {
        use SkipReason::{CatchUpLatest, CatchUpMax, CatchUpSkip, CatchUpWindow, Paused};
        use schedule::Event as E;
        let (target, tz_revision, next_due) = (self.stream(), self.text(), self.opt(Self::at));
        let tz = || tz_revision.clone();
        vec![
            E::Created { schedule: self.schedule(), target, paused: self.bool(), next_due, tz_revision: tz() },
            E::Fired { target, nominal: self.at(), next_due, tz_revision: tz() },
            E::Skipped {
                target,
                from: self.at(),
                upto: self.at(),
                count: self.u32(),
                count_is_bound: self.bool(),
                reason: self.one_of(&[CatchUpSkip, CatchUpLatest, CatchUpMax, CatchUpWindow, Paused]),
                next_due,
                tz_revision: tz(),
            },
            E::Paused { target, note: self.text() },
            E::Resumed { target, next_due, tz_revision: tz() },
            E::ReTimed { target, schedule: self.schedule(), next_due, tz_revision: tz() },
            E::Ended { target },
            E::Triggered { target, nominal: self.at(), cause: self.cause() },
        ]
    }

    fn run_events(&mut self) -> Vec<run::Event> {
        use run::Event as E;
        let (step, attempt) = (self.text(), self.u32());
        let step = || step.clone();
        let mut events = vec![
            E::Created(self.created()),
            E::StepQueued { step: step(), attempt },
            E::AttemptStarted { step: step(), attempt, lease: self.lease(), buckets: self.list(Self::text) },
            E::AttemptSucceeded { step: step(), attempt, output: Arc::new(self.output()) },
            E::AttemptFailed {
                step: step(),
                attempt,
                failure: self.failure(),
                retry_at: self.opt(Self::at),
                free: self.bool(),
            },
            E::LeaseExpired { step: step(), attempt, reason: self.text(), requeued: self.bool() },
            E::StaleResult { step: step(), attempt, token: self.token(), succeeded: self.bool() },
            E::StepDied { step: step(), failure: self.failure() },
            E::StepSkipped { step: step(), reason: self.text() },
            E::Completed { output: self.any_json(), inside: self.places() },
            E::Failed { step: step(), failure: self.failure() },
            E::Cancelled { reason: self.text() },
        ];
        events.extend(draw_runs::events(self));
        events
    }

    fn source_events(&mut self) -> Vec<source::Event> {
        use source::Event as E;
        vec![
            E::Registered { user: self.user(), spec: self.spec() },
            E::ContentObserved {
                items: self.list(Self::item),
                removed: self.list(Self::text),
                omitted: self.list(Self::omission),
                cursor: self.cursor(),
                expires_at: self.at(),
            },
            E::Checked { omitted: self.list(Self::omission), cursor: self.cursor() },
            E::ObservationFailed { class: self.class(), message: self.text() },
            E::ContentRetained {
                from_version: self.n(),
                upto_version: self.n(),
                reason: self.text(),
                reference: self.version_id(),
            },
            E::ContentExpired { items: self.list(Self::text) },
        ]
    }

    fn order_events(&mut self) -> Vec<deliverable::Event> {
        use deliverable::Event as E;
        let (slot, nominal, next_due) = (self.id(), self.at(), self.opt(Self::at));
        vec![
            E::Created {
                user: self.user(),
                order: self.order(),
                schedule_id: self.opt(Self::schedule_id),
                paused: self.bool(),
            },
            E::Revised { order: self.order(), schedule_id: self.opt(Self::schedule_id) },
            E::Paused { note: self.text() },
            E::Resumed {},
            E::Archived {},
            E::SlotDue { slot, nominal, trigger: self.trigger(), force: self.bool(), next_due },
            E::SlotBuffered { slot, nominal, next_due },
            E::SourcesAssessed { slot, sources: self.list(Self::assessment), fresh_items: self.n() },
            E::Skipped { slot, nominal, reason: self.skipped(), next_due },
            E::RunRequested {
                slot,
                nominal,
                run_id: self.run_id(),
                number: self.u32(),
                version_id: self.version_id(),
                trigger: self.trigger(),
            },
        ]
    }

    fn version_events(&mut self) -> Vec<deliverable::Event> {
        use deliverable::Event as E;
        let (number, by, version_id) = (self.u32(), self.text(), self.version_id());
        let by = || by.clone();
        vec![
            E::VersionStaged {
                number,
                version_id,
                draft: self.draft(),
                snapshots: self.list(Self::snapshot),
                consumed: self.map(Self::n),
            },
            E::VersionFailed { number, version_id, step: self.text(), failure: self.failure() },
            E::ReviewStarted { number, by: by() },
            E::VersionEdited { number, by: by(), text: self.words(), measure: self.measure() },
            E::VersionApproved { number, by: by(), note: self.opt(Self::text), digest: self.digest() },
            E::VersionRejected { number, by: by(), reason: self.text() },
        ]
    }

    fn delivery_events(&mut self) -> Vec<deliverable::Event> {
        use deliverable::Event as E;
        let (number, ordinal) = (self.u32(), self.u32());
        vec![
            E::DeliveryRequested { number, ordinal, run_id: self.run_id(), by: self.text() },
            E::Delivered { number, ordinal, receipt: self.receipt() },
            E::DeliveryFailed { number, ordinal, failure: self.failure() },
            E::NoticeRaised {
                number,
                ordinal,
                kind: self.notice_kind(),
                subject: self.text(),
                body: self.text(),
                run_id: self.opt(Self::run_id),
            },
            E::NoticeSent { number, ordinal, receipt: self.receipt() },
            E::NoticeFailed { number, ordinal, failure: self.failure() },
        ]
    }

    /// A command of every verb, in no order that matters.
    pub fn commands(&mut self) -> Vec<AnyCommand> {
        let mut commands: Vec<AnyCommand> = self.schedule_commands().into_iter().map(AnyCommand::from).collect();
        commands.extend(self.run_commands().into_iter().map(AnyCommand::from));
        commands.extend(self.source_commands().into_iter().map(AnyCommand::from));
        commands.extend(self.deliverable_commands().into_iter().map(AnyCommand::from));
        commands.extend(self.definition_commands().into_iter().map(AnyCommand::from));
        commands.extend(self.topic_commands().into_iter().map(AnyCommand::from));
        commands.extend(self.queue_commands().into_iter().map(AnyCommand::from));
        commands.extend(self.bulk_commands().into_iter().map(AnyCommand::from));
        commands
    }

    fn schedule_commands(&mut self) -> Vec<schedule::Command> {
        use schedule::Command as C;
        vec![
            C::Create { schedule: self.schedule(), target: self.stream(), paused: self.bool() },
            C::Fire { nominal: self.at() },
            C::Pause { note: self.text() },
            C::Resume {},
            C::Retime { schedule: self.schedule() },
            C::End {},
            C::TriggerNow {},
            C::Backfill { from: self.at(), upto: self.at() },
        ]
    }

    fn run_commands(&mut self) -> Vec<run::Command> {
        use run::Command as C;
        let (step, attempt, token) = (self.text(), self.u32(), self.token());
        let step = || step.clone();
        let result = if self.full || self.bool() { Ok(self.output()) } else { Err(self.failure()) };
        let mut commands = vec![
            C::Create(self.created()),
            C::Begin {
                created: self.created(),
                offer: self.lease(),
                tokens_free: self.bool(),
                at_once: !self.full && self.bool(),
            },
            C::Grant { step: step(), attempt, lease: self.lease(), buckets: self.list(Self::text) },
            C::Finish {
                step: step(),
                attempt,
                token,
                result,
                offer: self.opt(Self::lease),
                tokens_free: false,
                at_once: !self.full && self.bool(),
            },
            C::Expire { step: step(), attempt, token, reason: self.text() },
            C::RetryDue { step: step(), attempt },
            C::Cancel { reason: self.text() },
        ];
        commands.extend(draw_runs::commands(self));
        commands
    }

    fn source_commands(&mut self) -> Vec<source::Command> {
        use source::Command as C;
        let failure = SourceFailure { class: self.class(), message: self.text() };
        let found = if self.full || self.bool() { Ok(self.observation()) } else { Err(failure) };
        vec![
            C::Record { user: self.user(), spec: self.spec(), found },
            C::Retain { from_version: self.n(), upto_version: self.n(), reference: self.version_id() },
        ]
    }

    fn deliverable_commands(&mut self) -> Vec<deliverable::Command> {
        use deliverable::Command as C;
        let (number, by) = (self.u32(), self.text());
        let by = || by.clone();
        vec![
            C::Create { user: self.user(), order: self.order(), paused: self.bool() },
            C::Revise { order: self.order() },
            C::Pause { note: self.text() },
            C::Resume {},
            C::Archive {},
            C::RunNow { force: self.bool() },
            C::SlotDue { nominal: self.at(), next_due: self.opt(Self::at) },
            C::Assessed { slot: self.id(), sources: self.list(Self::assessment) },
            C::RunEnded { run: self.run_id(), end: self.end() },
            C::StartReview { number, by: by() },
            C::Approve { number, by: by(), note: self.opt(Self::text), digest: self.opt(Self::digest) },
            C::Reject { number, by: by(), reason: self.text() },
            C::Edit { number, by: by(), base: self.digest(), text: self.words(), measure: self.measure() },
            C::Deliver { number, by: by() },
            C::WindowElapsed { number },
        ]
    }
}

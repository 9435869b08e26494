//! Draws what definitions and topics are about, and an event of every type and a command of every verb of both.
//!
//! Owns: the shapes. Refuses to know: which of them make sense.

use std::sync::Arc;

use super::draw::Draw;
use crate::{
    definition::{self, Document, Heard, Parameter, ParameterKind, Parent, Slot, Start, Trigger},
    ids::TopicId,
    json::Json,
    schedule::Cause,
    topic::{self, Published, Subscriber},
};

impl Draw {
    /// A value that is not null: an option of a value that holds null is read back as none.
    pub fn some_json(&mut self) -> Json {
        match self.below(if self.full { 6 } else { 9 }) {
            0 => Json::Bool(self.bool()),
            1 => Json::String(self.text()),
            2 => Json::from(self.n()),
            3 => Json::from(self.at().micros()),
            // No sum of halves of small numbers is rounded.
            4 => Json::from(f64::from(self.u16()) / 2.0),
            5 => Json::Array(vec![Json::Null, Json::from(self.u32())]),
            6 => Json::Array(self.list(Self::some_json)),
            _ => Json::Object(self.map(Self::some_json).into_iter().collect()),
        }
    }

    pub fn any_json(&mut self) -> Json {
        if self.full || self.bool() { self.some_json() } else { Json::Null }
    }

    pub fn cause(&mut self) -> Cause {
        self.one_of(&[Cause::Timer, Cause::Hand, Cause::Backfill])
    }

    fn parameter_kind(&mut self) -> ParameterKind {
        use ParameterKind::{Any, Boolean, Date, DateTime, Integer, Number, Object, String};
        match self.below(9) {
            0 => ParameterKind::List(Box::new(self.parameter_kind())),
            n => [Any, String, Integer, Number, Boolean, Date, DateTime, Object][n as usize - 1].clone(),
        }
    }

    pub fn parameter(&mut self) -> Parameter {
        Parameter {
            name: self.text(),
            kind: self.parameter_kind(),
            required: self.bool(),
            default: self.opt(Self::some_json),
            one_of: self.list(Self::any_json),
            description: self.opt(Self::text),
        }
    }

    fn workflow_trigger(&mut self) -> Trigger {
        match self.below(3) {
            0 => Trigger::Schedule { schedule: self.schedule(), parameters: self.any_json() },
            1 => Trigger::Event { types: self.list(Self::text), parameters: self.any_json() },
            _ => Trigger::Webhook { path: self.text(), secret: self.text(), parameters: self.any_json() },
        }
    }

    fn document(&mut self) -> Arc<Document> {
        Arc::new(Document {
            owner: self.text(),
            name: self.text(),
            version: self.text(),
            display_name: self.text(),
            description: self.text(),
            parameters: self.list(Self::parameter),
            triggers: self.list(Self::workflow_trigger),
            plan: self.created().plan,
            priority: self.u16() as i16,
            source: self.words(),
        })
    }

    fn parent(&mut self) -> Parent {
        Parent {
            run: self.run_id(),
            root: self.run_id(),
            step: self.text(),
            attempt: self.u32(),
            path: self.list(Self::text),
        }
    }

    fn start(&mut self) -> Start {
        Start {
            run: self.run_id(),
            version: self.opt(Self::text),
            parameters: self.any_json(),
            user: self.user(),
            trigger: self.any_json(),
            parent: self.opt(Self::parent),
            priority: self.opt(|draw| draw.u16() as i16),
        }
    }

    fn heard(&mut self) -> Heard {
        Heard { event_type: self.text(), topic: TopicId::on_shard(self.id(), self.shard()) }
    }

    fn slot(&mut self) -> Slot {
        Slot { schedule: self.schedule_id(), nominal: self.at() }
    }

    fn subscriber(&mut self) -> Subscriber {
        let stream = self.stream();
        if self.bool() {
            Subscriber::Definition { stream, ordinal: self.n() }
        } else {
            let user = self.opt(Self::user);
            Subscriber::Step { stream, step: self.text(), attempt: self.u32(), user }
        }
    }

    fn published(&mut self) -> Box<Published> {
        Box::new(Published {
            id: self.text(),
            user: self.user(),
            correlation: self.opt(Self::text),
            intent_id: self.opt(Self::text),
            payload: self.any_json(),
        })
    }

    pub fn definition_events(&mut self) -> Vec<definition::Event> {
        use definition::Event as E;
        vec![
            E::Registered { document: self.document(), user: self.user() },
            E::Activated {
                version: self.text(),
                former: self.opt(Self::text),
                schedules: self.list(Self::schedule_id),
                topics: self.list(Self::heard),
            },
            E::Deprecated { version: self.text() },
            E::Archived { version: self.text() },
            E::RunRequested { created: self.created(), run: self.run_id(), schedule: self.opt(Self::schedule_id) },
            E::RunRefused {
                run: self.run_id(),
                trigger: self.any_json(),
                why: self.text(),
                parent: self.opt(Self::parent),
                slot: self.opt(Self::slot),
            },
            E::SlotBuffered {
                schedule: self.schedule_id(),
                nominal: self.at(),
                cause: self.cause(),
                made_up: self.bool(),
                cancels: self.opt(Self::run_id),
            },
            E::RunEnded { run: self.run_id(), schedule: self.schedule_id(), how: self.text() },
        ]
    }

    pub fn topic_events(&mut self) -> Vec<topic::Event> {
        use topic::Event as E;
        vec![
            E::Subscribed { event_type: self.text(), subscriber: self.subscriber(), correlation: self.opt(Self::text) },
            E::Unsubscribed { subscriber: self.subscriber() },
            E::Published { event_type: self.text(), event: self.published(), told: self.list(Self::subscriber) },
            E::ToldLater {
                event_type: self.text(),
                event: self.published(),
                at: self.at(),
                subscriber: self.subscriber(),
            },
        ]
    }

    pub fn definition_commands(&mut self) -> Vec<definition::Command> {
        use definition::Command as C;
        vec![
            C::Register { document: self.document(), user: self.user(), activate: self.bool() },
            C::Activate { version: self.text() },
            C::Deprecate { version: self.text() },
            C::Archive { version: self.text() },
            C::SlotDue { schedule: self.schedule_id(), nominal: self.at(), cause: self.cause() },
            C::EventArrived { event: self.any_json() },
            C::Start(Box::new(self.start())),
            C::RunEnded { run: self.run_id(), end: self.end() },
        ]
    }

    pub fn topic_commands(&mut self) -> Vec<topic::Command> {
        use topic::Command as C;
        vec![
            C::Subscribe {
                event_type: self.text(),
                subscriber: self.subscriber(),
                correlation: self.opt(Self::text),
                since: self.opt(Self::at),
                // The golden payload is of a release without it.
                heard: if self.full { Vec::new() } else { self.list(Self::text) },
            },
            C::Unsubscribe { subscriber: self.subscriber() },
            C::Publish { event_type: self.text(), event: self.published() },
        ]
    }
}

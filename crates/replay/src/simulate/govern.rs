//! What people set while all goes on: limits and pauses of the queue, orders and definitions that change, bulk jobs.
//!
//! Owns: how often, and that what was paused or set is resumed and cleared again.
//! Refuses to know: what follows from it.

use std::sync::Arc;

use nightshift_actors::queue::overlay::overlaid;
use nightshift_domain::{
    bulk, definition, deliverable,
    ids::{BulkId, CommandId, QueueId, UserId},
    queue::{self, Limit},
    run::{Asked, DeadVerb},
};

use super::{Sabotage, mind::Mind, node::NodeRef, sim::Sim, traffic::DAY_US};

/// The queue that people limit: what waits in it names it, and is counted by name.
const SLOW: &str = "slow";

/// The bucket that people limit.
const WRITER: &str = "global:agent:writer";

impl Sim<'_> {
    /// What people change in a day.
    pub fn govern(&mut self) {
        for usual in [700_000, 300_000] {
            if self.chance.happens(usual) {
                let wait = self.chance.between(0, DAY_US - 1);
                self.limit_or_pause(wait);
            }
        }
        if self.chance.happens(400_000) {
            let wait = self.chance.between(0, DAY_US - 1);
            self.bulk_job(wait);
            // Two want the same letters now and then: what one of them gets, the other is refused.
            if self.chance.happens(300_000) {
                self.bulk_job(wait);
            }
        }
        if self.chance.happens(500_000) {
            let wait = self.chance.between(0, DAY_US - 1);
            self.revise(wait);
        }
        if self.chance.happens(300_000) {
            let wait = self.chance.between(0, DAY_US - 1);
            self.publish_version(wait);
        }
    }

    /// Somebody looks whether anything is still paused or limited: a pause may have been asked for again, unheard, until after
    /// its end was.
    pub fn set_free(&mut self, wait: i64) {
        let (to, by) = (QueueId::the().stream(), Asked { by: "ops".to_owned(), note: String::new() });
        for queue in [None, Some(SLOW), Some("default")] {
            let queue = queue.map(str::to_owned);
            self.ask(wait, to, queue::Command::Resume { queue, by: by.clone() });
        }
        for key in ["concurrency".to_owned(), format!("queue:{SLOW}"), WRITER.to_owned()] {
            self.ask(wait, to, queue::Command::ClearLimit { key, by: by.clone() });
        }
    }

    fn limit_or_pause(&mut self, wait: i64) {
        let to = QueueId::the().stream();
        let longest = *self.chance.pick(&[600_000_000, 1_800_000_000, 4 * 3_600_000_000]);
        let soon = wait + self.chance.between(10_000_000, longest);
        let by = Asked { by: "ops".to_owned(), note: self.chance.below(1_000).to_string() };
        let places = |places| Limit::Places { places };
        let drawn = u32::try_from(1 + self.chance.below(4)).unwrap_or(1);
        let (key, limit) = match self.chance.below(6) {
            0 => return self.pause(wait, soon, None, by),
            1 => return self.pause(wait, soon, Some(SLOW.to_owned()), by),
            2 => return self.pause(wait, soon, Some("default".to_owned()), by),
            3 => ("concurrency".to_owned(), places(drawn)),
            4 => (format!("queue:{SLOW}"), places(drawn)),
            _ => (WRITER.to_owned(), Limit::Rate { capacity: f64::from(drawn), refill_per_s: 0.02 }),
        };
        self.ask(wait, to, queue::Command::SetLimit { key: key.clone(), limit, by: by.clone() });
        self.ask(soon, to, queue::Command::ClearLimit { key, by });
    }

    fn pause(&mut self, wait: i64, soon: i64, queue: Option<String>, by: Asked) {
        let to = QueueId::the().stream();
        self.ask(wait, to, queue::Command::Pause { queue: queue.clone(), by: by.clone() });
        self.ask(soon, to, queue::Command::Resume { queue, by });
    }

    fn bulk_job(&mut self, wait: i64) {
        let to = BulkId::of(CommandId(self.chance.id()), self.settings.shards).stream();
        let by = Asked { by: "ops".to_owned(), note: String::new() };
        let filter = bulk::Filter { status: "dead".to_owned(), ..bulk::Filter::default() };
        let verb = *self.chance.pick(&DeadVerb::ALL);
        let created = bulk::Created { verb, filter, user: UserId("ops".to_owned()), by: by.clone(), expected: 0 };
        self.ask(wait, to, bulk::Command::Create(Box::new(created)));
        if self.chance.happens(100_000) {
            let soon = wait + self.chance.between(0, 5_000_000);
            self.ask(soon, to, bulk::Command::Cancel { by });
        }
    }

    /// An order is wanted at another time, or of other sources.
    fn revise(&mut self, wait: i64) {
        let Some(deliverable) = self.some_deliverable() else { return };
        let nth = u32::try_from(self.chance.below(1_000)).unwrap_or(0);
        let order = Box::new(self.order(nth));
        self.ask(wait, deliverable, deliverable::Command::Revise { order });
    }

    /// A definition gets another version, or goes back to one that it had.
    fn publish_version(&mut self, wait: i64) {
        let Some((definition, document)) = self.traffic.some(&mut self.chance) else { return };
        let version = self.chance.below(4).to_string();
        if self.chance.happens(300_000) {
            return self.ask(wait, definition, definition::Command::Activate { version });
        }
        let document = Arc::new(definition::Document { version, ..(*document).clone() });
        let user = UserId("ann".to_owned());
        let activate = self.chance.happens(700_000);
        self.ask(wait, definition, definition::Command::Register { document, user, activate });
    }

    /// The queue was told something: other limits count in this process from now on.
    pub fn queue_changed(&mut self, at: NodeRef, set: &queue::State) {
        if self.settings.sabotage == Some(Sabotage::DeafQueue) {
            return;
        }
        let now = self.node_now(at.node);
        let limits = overlaid(&self.limits, set);
        self.nodes[at.node].places.set_limits(limits, now);
        self.grant(at);
    }

    /// A process that begins reads what is set of the queue before it gives a place.
    pub fn read_queue(&mut self, at: NodeRef) {
        let stream = QueueId::the().stream();
        let mut mind = Mind::unborn(stream.kind);
        self.db.stream(stream, 0).for_each(|written| mind.evolve(&written.fact.event, written.fact.at));
        if let (Mind::Queue(state), false) = (&mind, self.settings.sabotage == Some(Sabotage::ForgetPause)) {
            self.queue_changed(at, state);
        }
    }
}

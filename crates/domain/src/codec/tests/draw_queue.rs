//! Draws an event of every type and a command of every verb of the queue.
//!
//! Owns: the shapes. Refuses to know: which of them make sense.

use super::draw::Draw;
use crate::{
    queue::{Command, Event, Limit, LimitKey},
    run::Asked,
};

impl Draw {
    fn asked_of_the_queue(&mut self) -> Asked {
        Asked { by: self.text(), note: self.text() }
    }

    fn limit(&mut self) -> Limit {
        // No half of a small number is rounded.
        let half = |n: u16| f64::from(n) / 2.0;
        match self.below(2) {
            0 => Limit::Places { places: self.u32() },
            _ => Limit::Rate { capacity: half(self.u16()), refill_per_s: half(self.u16()) },
        }
    }

    fn limit_key(&mut self) -> LimitKey {
        let name = format!("n{}", self.u16());
        match self.below(4) {
            0 => LimitKey::Concurrency,
            1 => LimitKey::Queue(name),
            2 => LimitKey::Key(name),
            _ => LimitKey::Bucket(format!("global:agent:{name}")),
        }
    }

    pub fn queue_events(&mut self) -> Vec<Event> {
        vec![
            Event::LimitSet { key: self.limit_key(), limit: self.limit(), by: self.asked_of_the_queue() },
            Event::LimitCleared { key: self.limit_key(), by: self.asked_of_the_queue() },
            Event::Paused { queue: self.opt(Self::text), by: self.asked_of_the_queue() },
            Event::Resumed { queue: self.opt(Self::text), by: self.asked_of_the_queue() },
        ]
    }

    pub fn queue_commands(&mut self) -> Vec<Command> {
        vec![
            Command::SetLimit { key: self.text(), limit: self.limit(), by: self.asked_of_the_queue() },
            Command::ClearLimit { key: self.text(), by: self.asked_of_the_queue() },
            Command::Pause { queue: self.opt(Self::text), by: self.asked_of_the_queue() },
            Command::Resume { queue: self.opt(Self::text), by: self.asked_of_the_queue() },
        ]
    }
}

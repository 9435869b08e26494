//! Draws what bulk jobs are about, and an event of every type and a command of every verb.

use super::draw::Draw;
use crate::{
    bulk::{Command, Created, Event, Filter, Letter},
    run::{Asked, DeadVerb},
};

impl Draw {
    fn letter(&mut self) -> Letter {
        Letter { run: self.run_id(), step: self.text(), attempt: self.u32() }
    }

    fn asked(&mut self) -> Asked {
        Asked { by: self.text(), note: self.text() }
    }

    fn bulk_created(&mut self) -> Box<Created> {
        let filter = Filter {
            status: self.text(),
            queue: self.opt(Self::text),
            definition: self.opt(Self::text),
            error_class: self.opt(Self::text),
            user: self.opt(Self::text),
            run: self.opt(Self::run_id),
            before: self.opt(Self::at),
            after: self.opt(Self::at),
        };
        let verb = self.one_of(&DeadVerb::ALL);
        Box::new(Created { verb, filter, user: self.user(), by: self.asked(), expected: self.n() })
    }

    pub fn bulk_events(&mut self) -> Vec<Event> {
        vec![
            Event::Created(self.bulk_created()),
            Event::Chosen { page: self.u32(), letters: self.list(Self::letter), next: self.opt(Self::text) },
            Event::Answered { nth: self.n(), letter: self.letter(), refused: self.opt(Self::text) },
            Event::CancelAsked { by: self.asked() },
            Event::Completed {},
            Event::Cancelled {},
        ]
    }

    pub fn bulk_commands(&mut self) -> Vec<Command> {
        vec![
            Command::Create(self.bulk_created()),
            Command::Chosen { page: self.u32(), letters: self.list(Self::letter), next: self.opt(Self::text) },
            Command::Answered { nth: self.n(), refused: self.opt(Self::text) },
            Command::Cancel { by: self.asked() },
        ]
    }
}

//! The history of one stream, command by command, whatever it is read from.
//!
//! Owns: the order of events and commands of a stream, and going on with what was recorded after each decision.
//! Refuses to know: files and stores.
//!
//! Invariant: a difference does not cascade: the next decision is made against the recorded past.

use nightshift_domain::{codec::DecodeError, ids::StreamId, recorded::Recorded};
use nightshift_ports::log::{Owed, RecordedCommand};

use crate::{
    decide::replay_one,
    folding::{Folding, unborn},
    obligations::Ledger,
    replay::Options,
    report::{Fault, Report},
};

/// A stream while its history is told. Give commands and events in order of their sequence numbers, a command before
/// the event it begins with.
pub struct History<'a> {
    stream: StreamId,
    options: &'a Options,
    fold: Box<dyn Folding>,
    version: u64,
    ledger: Ledger,
    open: Option<(RecordedCommand, Vec<Recorded>)>,
    /// An event could not be read: what follows cannot be folded.
    broken: bool,
    report: Report,
}

impl<'a> History<'a> {
    /// A stream before its first event.
    pub fn new(stream: StreamId, options: &'a Options) -> Self {
        let report = Report { streams: 1, ..Report::default() };
        let (fold, ledger) = (unborn(stream.kind), Ledger::default());
        Self { stream, options, fold, version: 0, ledger, open: None, broken: false, report }
    }

    /// The next command.
    pub fn command(&mut self, command: RecordedCommand) {
        self.settle();
        self.open = Some((command, Vec::new()));
    }

    /// The next event.
    pub fn event(&mut self, event: Recorded) {
        if event.version != self.version + 1 {
            let what = format!("version {} follows version {}: an event is missing", event.version, self.version);
            self.report.corrupt.add(Fault { place: self.stream.to_string(), what });
        }
        self.version = event.version;
        if let Some((command, events)) = &mut self.open
            && (command.first_seq..=command.last_seq).contains(&event.seq)
        {
            if event.command_id != command.record.id {
                let place = format!("{} version {}", event.stream, event.version);
                let what = format!("it names command {}, its place is of {}", event.command_id, command.record.id);
                self.report.corrupt.add(Fault { place, what });
            }
            events.push(event);
            return;
        }
        self.settle();
        self.report.events_without_command += 1;
        self.remember(&event);
    }

    /// Decides the open command and goes on with what it is recorded to have done.
    fn settle(&mut self) {
        let Some((command, events)) = self.open.take() else { return };
        let expected = (command.last_seq + 1).saturating_sub(command.first_seq);
        if events.len() as u64 != expected {
            let what = format!("it has {} of its {expected} events", events.len());
            self.report.corrupt.add(Fault { place: place_of(&command), what });
        }
        if !self.broken {
            self.report.commands += 1;
            match replay_one(&*self.fold, &command, &events, self.options) {
                Ok(None) => {}
                Ok(Some(divergence)) => self.report.diverged.add(divergence),
                Err(error) => self.undecodable(place_of(&command), &error),
            }
        }
        if let Err(error) = self.ledger.take(&command) {
            self.undecodable(place_of(&command), &error);
        }
        events.iter().for_each(|event| self.remember(event));
    }

    fn undecodable(&mut self, place: String, error: &DecodeError) {
        self.report.undecodable.add(Fault { place, what: error.to_string() });
    }

    fn remember(&mut self, event: &Recorded) {
        self.report.events += 1;
        if let Err(error) = self.fold.remember(event) {
            self.broken = true;
            self.undecodable(format!("{} version {}", event.stream, event.version), &error);
        }
    }

    /// The end: what was found, and what its own decisions left open; none when some of its commands are not kept.
    pub fn end(mut self) -> (Report, Option<Vec<Owed>>) {
        self.settle();
        let known = self.report.events_without_command == 0;
        let left = self.ledger.left();
        (self.report, known.then_some(left))
    }
}

fn place_of(command: &RecordedCommand) -> String {
    format!("command {} of {} at seq {}", command.record.id, command.stream, command.first_seq)
}

/// What is checked of the log itself, event by event of one shard.
#[derive(Debug, Default)]
pub struct ShardCheck {
    last: Option<(u64, u64, i64)>,
}

impl ShardCheck {
    /// The next event of the shard; `whole` when no event of it may be missing.
    pub fn event(&mut self, event: &Recorded, whole: bool, report: &mut Report) {
        let (seq, hlc, epoch) = self.last.unwrap_or_default();
        let mut fault = |what: String| {
            let place = format!("shard {} seq {}", event.shard, event.seq);
            report.corrupt.add(Fault { place, what });
        };
        if event.seq <= seq {
            fault(format!("it does not come after seq {seq}"));
        } else if whole && event.seq != seq + 1 {
            fault(format!("it follows seq {seq}: {} event(s) are missing", event.seq - seq - 1));
        }
        if self.last.is_some() && event.hlc <= hlc {
            fault(format!("its clock {} is not after {hlc}", event.hlc));
        }
        if self.last.is_some() && event.epoch < epoch {
            fault(format!(
                "it was written under epoch {} after epoch {epoch}: its writer had been replaced",
                event.epoch
            ));
        }
        if event.stream.shard() != event.shard {
            fault(format!("stream {} belongs to shard {}", event.stream, event.stream.shard()));
        }
        self.last = Some((event.seq, event.hlc, event.epoch));
    }
}

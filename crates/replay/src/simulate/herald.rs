//! Messages to webhooks, as in `actors::herald`: those of a run one after another, each until it is taken or given up.
//!
//! Owns: messages on their way from one process. Refuses to know: what a message says, how long it is tried (the domain
//! says).

use std::{collections::VecDeque, rc::Rc};

use nightshift_domain::{
    content::{Failure, FailureClass},
    ids::{CommandId, RunId, StreamId},
    run::{Command, Report, again_after_ms},
    time::Timestamp,
};

use super::{
    Sabotage,
    node::{Envelope, NodeRef, Outcome, ReplyTo},
    sim::{Act, Sim},
};

/// A message that is owed.
#[derive(Debug, Clone)]
pub struct Owing {
    pub report: Rc<Report>,
    pub since: Timestamp,
    /// How often it was sent.
    pub attempts: u32,
    /// Its end, once there is one: why it was given up, or that it was taken.
    pub end: Option<Result<(), Failure>>,
}

impl Sim<'_> {
    /// Takes a message over, unless it is in line already.
    pub fn herald(&mut self, at: NodeRef, run: StreamId, report: &Rc<Report>, since: Timestamp) {
        let shuffled = self.settings.sabotage == Some(Sabotage::ShuffleReports);
        let place = |report: &Report| (report.version, report.part);
        let line: &mut VecDeque<Owing> = self.nodes[at.node].lines.entry(run).or_default();
        if line.iter().any(|other| place(&other.report) == place(report)) {
            return;
        }
        let owing = Owing { report: Rc::clone(report), since, attempts: 0, end: None };
        if line.is_empty() {
            line.push_back(owing);
            let soon = self.chance.between(500, 20_000);
            return self.after_us(soon, Act::Post(at, run));
        }
        if shuffled && line.front().is_some_and(|first| first.end.is_none()) {
            return line.push_front(owing);
        }
        // The first is on its way; a start may bring the others in any order.
        let before = line.iter().skip(1).take_while(|other| place(&other.report) < place(report)).count();
        line.insert(before + 1, owing);
    }

    /// The first message of a run is sent.
    pub fn post(&mut self, at: NodeRef, run: StreamId) {
        let now = self.node_now(at.node);
        let Some(first) = self.nodes[at.node].lines.get_mut(&run).and_then(VecDeque::front_mut) else { return };
        first.attempts += 1;
        let (report, attempts, since) = (Rc::clone(&first.report), first.attempts, first.since);
        let sent = self.takes(run, &report);
        let end = match sent {
            Ok(()) => Ok(()),
            Err(_) if self.settings.sabotage == Some(Sabotage::UntoldReport) => Ok(()),
            Err(failure) => match again_after_ms(&failure, attempts, now.micros_since(since) / 1_000) {
                Some(wait_ms) => {
                    let wait = i64::try_from(wait_ms).unwrap_or(i64::MAX / 1_000).saturating_mul(1_000);
                    return self.after_us(wait, Act::Post(at, run));
                }
                None => Err(failure),
            },
        };
        if let Some(first) = self.nodes[at.node].lines.get_mut(&run).and_then(VecDeque::front_mut) {
            first.end = Some(end);
        }
        let soon = self.chance.between(1_000, 50_000);
        self.after_us(soon, Act::Posted(at, run));
    }

    /// The webhook: it may be down, or take a message and not say so.
    fn takes(&mut self, run: StreamId, report: &Report) -> Result<(), Failure> {
        let failure = |class, what: &str| Err(Failure::new(class, what));
        let drawn = self.chance.below(100);
        if drawn < 4 {
            return failure(FailureClass::Transient, "the webhook does not answer");
        }
        if drawn == 4 {
            return failure(FailureClass::Permanent, "the webhook says no");
        }
        self.world.effects += 1;
        self.audit.received(RunId::from_uuid(run.id), (report.version, report.part), self.now);
        if drawn == 5 {
            return failure(FailureClass::Transient, "the answer of the webhook was lost");
        }
        Ok(())
    }

    /// The run is told what became of its message; the same command id each time.
    pub fn posted(&mut self, at: NodeRef, run: StreamId) {
        let Some(first) = self.nodes[at.node].lines.get(&run).and_then(VecDeque::front) else { return };
        let Some(end) = first.end.clone() else { return };
        let Report { version, part, event, .. } = &*first.report;
        let (version, part, event, attempts) = (*version, *part, event.clone(), first.attempts);
        let key = first.report.key();
        let command = Command::EndReport { version, part, event, attempts, failure: end.err() };
        let envelope = Envelope {
            to: run,
            command: Rc::new(command.into()),
            id: CommandId::of_obligation(run, &key, "reported"),
            discharges: None,
            from_client: false,
            reply: ReplyTo::Posted(run),
        };
        self.send(at, envelope);
    }

    /// The run has heard, or is told again; then the next message is sent.
    pub fn end_heard(&mut self, at: NodeRef, run: StreamId, outcome: &Outcome) {
        if *outcome == Outcome::Unanswered {
            return self.after_us(200_000, Act::Posted(at, run));
        }
        let Some(line) = self.nodes[at.node].lines.get_mut(&run) else { return };
        line.pop_front();
        if line.is_empty() {
            self.nodes[at.node].lines.remove(&run);
        } else {
            let soon = self.chance.between(500, 20_000);
            self.after_us(soon, Act::Post(at, run));
        }
    }
}

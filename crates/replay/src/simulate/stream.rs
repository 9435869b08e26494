//! One command through a stream: the order of `actors::shell`, one step at a time.
//!
//! Owns: repetitions, the decision and its record, what follows when it is durable.
//! Refuses to know: what any stream is about.

use std::rc::Rc;

use nightshift_domain::{
    codec,
    decider::{Ctx, Delta, RecordedCtx},
    ids::{CommandId, StreamId},
    streams::AnyEvent,
    time::Timestamp,
};

use super::{
    Invariant, Sabotage,
    database::{CommandRow, Debt, Key, Snapshot},
    decorate,
    fault::{Class, Fault},
    journal::Appended,
    mind::{Mind, Refusal},
    node::{Busy, Entity, Envelope, NodeRef, Outcome, Pending, ReplyTo, Taken},
    sim::{Act, Sim},
};
use crate::folding::delta_bytes;

/// Commands of a stream that are remembered.
const REMEMBERED_MAX: usize = 256;

/// Events between two snapshots; fewer than in the product, so that they matter more often.
const SNAPSHOT_EVERY: u64 = 10;

impl Sim<'_> {
    /// A command is on its way to a stream of this process.
    pub fn send(&mut self, at: NodeRef, envelope: Envelope) {
        let stream = envelope.to;
        self.nodes[at.node].streams.entry(stream).or_default().mailbox.push_back(envelope);
        self.wake(at, stream);
    }

    pub fn wake(&mut self, at: NodeRef, stream: StreamId) {
        let Some(entity) = self.nodes[at.node].streams.get_mut(&stream) else { return };
        if !entity.awake {
            entity.awake = true;
            let soon = self.chance.between(0, 600);
            self.after_us(soon, Act::Deliver(at, stream));
        }
    }

    /// The stream takes its next message, unless it waits for an append.
    pub fn deliver(&mut self, at: NodeRef, stream: StreamId) {
        let Some(mut entity) = self.nodes[at.node].streams.remove(&stream) else { return };
        entity.awake = false;
        if entity.busy.is_none() {
            if entity.mind.is_none() && !self.load(stream, &mut entity) {
                for envelope in std::mem::take(&mut entity.mailbox) {
                    self.reply(at, envelope.reply, &Outcome::Unanswered);
                }
                let again = !std::mem::take(&mut entity.resumes).is_empty();
                if again {
                    self.after_us(500_000, Act::Rescan(at));
                }
                return;
            }
            for debt in std::mem::take(&mut entity.resumes) {
                if let Some(mind) = &entity.mind {
                    self.hand_over(at, stream, mind, std::slice::from_ref(&debt));
                }
            }
            while let Some(envelope) = entity.mailbox.pop_front() {
                self.take(at, &mut entity, envelope);
                if self.nodes[at.node].life != at.life {
                    return;
                }
                if entity.busy.is_some() {
                    break;
                }
            }
        }
        // What came in meanwhile, sent by what was just done here.
        if let Some(meanwhile) = self.nodes[at.node].streams.remove(&stream) {
            entity.mailbox.extend(meanwhile.mailbox);
            entity.resumes.extend(meanwhile.resumes);
        }
        self.put_back(at, stream, entity);
    }

    fn put_back(&mut self, at: NodeRef, stream: StreamId, entity: Entity) {
        let idle = entity.busy.is_none() && entity.mailbox.is_empty() && entity.resumes.is_empty();
        let leaves =
            idle && (entity.left || entity.mind.as_ref().is_some_and(Mind::ended) || self.chance.happens(20_000));
        if leaves {
            return;
        }
        self.nodes[at.node].streams.insert(stream, entity);
        let waits = self.nodes[at.node].streams.get(&stream);
        if waits
            .is_some_and(|entity| entity.busy.is_none() && !(entity.mailbox.is_empty() && entity.resumes.is_empty()))
        {
            self.wake(at, stream);
        }
    }

    /// Folds the stream from its newest snapshot. False: the database did not answer.
    pub fn load(&mut self, stream: StreamId, entity: &mut Entity) -> bool {
        if self.db.down || self.fault(Fault::Database, 300, Class::ReadFailed) {
            return false;
        }
        let (mut mind, mut version) = match self.db.snapshots.get(&stream) {
            Some(Snapshot { version, state }) => ((**state).clone(), *version),
            None => (Mind::unborn(stream.kind), 0),
        };
        entity.remembered.clear();
        entity.snapshot_version = version;
        for written in self.db.stream(stream, version) {
            mind.evolve(&written.fact.event, written.fact.at);
            version = written.fact.version;
            remember(entity, written.fact.command_id);
        }
        (entity.mind, entity.version) = (Some(mind), version);
        true
    }

    fn take(&mut self, at: NodeRef, entity: &mut Entity, envelope: Envelope) {
        match self.repeated(at, entity, &envelope) {
            Ok(None) => {}
            Ok(Some(known)) => return self.reply(at, envelope.reply, &known),
            Err(()) => return self.reply(at, envelope.reply, &Outcome::Unanswered),
        }
        let Some(mind) = &entity.mind else { return };
        let now = self.node_now(at.node);
        let ctx = Ctx {
            stream: envelope.to,
            now,
            command_id: envelope.id,
            shard_count: self.settings.shards,
            calendar: self.calendar,
            expressions: self.expressions,
            reports: nightshift_domain::run::Reports::NONE,
        };
        let decided = decorate::decide(self.settings.sabotage, mind, &envelope.command, &ctx);
        if let Err(Refusal { panicked: true, .. }) = &decided {
            let what = format!("the decider of {} panicked at {:?}", envelope.to, envelope.command);
            self.audit.violated(Invariant::I17, what, self.now);
        }
        if self.crash_here(at.node, Class::CrashDecided, 120) {
            return;
        }
        let silent = matches!(&decided, Ok(events) if events.is_empty());
        if silent && !envelope.from_client && envelope.discharges.is_none() {
            return self.reply(at, envelope.reply, &Outcome::Done);
        }
        let was_ended = mind.ended();
        let (said, taken) = match decided {
            Err(refusal) => (Said::refused(&refusal), Taken::No(refusal.why)),
            Ok(events) => {
                // Nobody asks a stream that waits for an append; sources are the exception.
                let mind = if mind.is_asked_while_busy() { Some(mind.clone()) } else { entity.mind.take() };
                let Some(mut after) = mind else { return };
                let delta = after.follow(envelope.to, &events, now);
                let many = events.len() as u64;
                (Said::taken(events, delta), Taken::Yes(many, after))
            }
        };
        let pending = self.pending(&envelope, entity.version, said, now);
        let (opens, closes) = (Rc::clone(&pending.opens), Rc::clone(&pending.closes));
        if self.settings.sabotage == Some(Sabotage::EffectBeforeCommit)
            && let Taken::Yes(_, after) = &taken
        {
            self.hand_over(at, envelope.to, after, &opens);
        }
        self.write(at, pending);
        entity.busy = Some(Box::new(Busy { envelope, taken, was_ended, opens, closes }));
    }

    /// A command that was taken before gets the reply it got then.
    fn repeated(&mut self, at: NodeRef, entity: &Entity, envelope: &Envelope) -> Result<Option<Outcome>, ()> {
        if self.settings.sabotage == Some(Sabotage::SkipDedup) {
            return Ok(None);
        }
        let known = if entity.remembered.contains(&envelope.id) {
            Some(Outcome::Done)
        } else if envelope.from_client {
            if self.db.down || self.fault(Fault::Database, 300, Class::ReadFailed) {
                return Err(());
            }
            let kept = self.db.command(envelope.to.shard(), envelope.id);
            kept.map(|kept| if kept.row.accepted { Outcome::Done } else { Outcome::Rejected(String::new()) })
        } else {
            None
        };
        if let (Some(_), Some(discharged)) = (&known, &envelope.discharges) {
            self.nodes[at.node].under_way.remove(discharged);
        }
        Ok(known)
    }

    fn pending(&self, envelope: &Envelope, version: u64, said: Said, now: Timestamp) -> Pending {
        let command = Rc::new(self.record(envelope, &said, now));
        let Said { events, delta, .. } = said;
        let own = delta.closes.into_iter().map(|key| (envelope.to, Key::from(key)));
        let encoded = events.into_iter().filter_map(|event| {
            let encoded = codec::encode_any(&event).ok()?;
            Some((Rc::new(encoded), Rc::new(event)))
        });
        Pending {
            stream: envelope.to,
            expected_version: version,
            command: Some(command),
            command_id: envelope.id,
            events: encoded.collect(),
            at: now,
            closes: own.chain(envelope.discharges.clone()).collect(),
            opens: delta.opens.into_iter().map(Debt::of).collect(),
            discharge: None,
        }
    }

    /// The command as it is kept; what it takes to decide it again only for streams that will be.
    fn record(&self, envelope: &Envelope, said: &Said, now: Timestamp) -> CommandRow {
        let (id, accepted) = (envelope.id, said.reply.is_none());
        let told = Rc::clone(&envelope.command);
        if !self.is_sampled(envelope.to) {
            let none = Vec::new;
            return CommandRow { id, told, accepted, payload: none(), ctx: none(), reply: none(), delta: none() };
        }
        let ctx = RecordedCtx {
            now,
            shard_count: self.settings.shards,
            tz_revision: nightshift_domain::calendar::Calendar::tz_revision(self.calendar).to_owned(),
            code_revision: "simulated".to_owned(),
            reports: nightshift_domain::run::Reports::default(),
            request: None,
        };
        let payload = decorate::payload(&told);
        let (reply, delta) = match &said.reply {
            None => (Vec::new(), delta_bytes(&said.delta).unwrap_or_default()),
            Some(reply) => (reply.clone(), Vec::new()),
        };
        CommandRow { id, told, accepted, payload, ctx: codec::to_bytes(&ctx).unwrap_or_default(), reply, delta }
    }

    /// The lane answers for an entry.
    pub fn appended(&mut self, at: NodeRef, entry: &Pending, appended: Appended) {
        if let Some(key) = &entry.discharge {
            if appended == Appended::Yes {
                self.nodes[at.node].under_way.remove(&(entry.stream, Rc::clone(key)));
            }
            return;
        }
        let stream = entry.stream;
        let Some(mut entity) = self.nodes[at.node].streams.remove(&stream) else { return };
        let Some(busy) = entity.busy.take() else { return self.put_back(at, stream, entity) };
        match appended {
            Appended::Yes => self.durable(at, &mut entity, *busy),
            Appended::Contradiction => self.contradiction(at, &mut entity, *busy),
            Appended::Fenced => {
                // What was decided is nowhere; the stream is read again, if this process should live on.
                entity.left = busy.was_ended;
                self.reply(at, busy.envelope.reply, &Outcome::Unanswered);
            }
        }
        if self.nodes[at.node].life != at.life {
            return;
        }
        if let Some(meanwhile) = self.nodes[at.node].streams.remove(&stream) {
            entity.mailbox.extend(meanwhile.mailbox);
            entity.resumes.extend(meanwhile.resumes);
        }
        self.put_back(at, stream, entity);
    }

    fn durable(&mut self, at: NodeRef, entity: &mut Entity, busy: Busy) {
        let Busy { envelope, taken, opens, closes, .. } = busy;
        let outcome = match taken {
            Taken::Yes(many, after) => {
                entity.version += many;
                remember(entity, envelope.id);
                self.hand_over(at, envelope.to, &after, &opens);
                if let Mind::Queue(state) = &after {
                    self.queue_changed(at, state);
                }
                entity.mind = Some(after);
                self.keep_snapshot(envelope.to, entity);
                Outcome::Done
            }
            Taken::No(why) => Outcome::Rejected(why),
        };
        self.close(at, &closes);
        if self.nodes[at.node].life == at.life && !self.crash_here(at.node, Class::CrashHandedOver, 120) {
            self.reply(at, envelope.reply, &outcome);
        }
    }

    fn contradiction(&mut self, at: NodeRef, entity: &mut Entity, busy: Busy) {
        let envelope = Envelope { from_client: true, ..busy.envelope };
        if !self.load(envelope.to, entity) {
            entity.mind = None;
            return self.reply(at, envelope.reply, &Outcome::Unanswered);
        }
        match self.repeated(at, entity, &envelope) {
            Ok(Some(known)) => self.reply(at, envelope.reply, &known),
            _ => self.reply(at, envelope.reply, &Outcome::Unanswered),
        }
    }

    fn keep_snapshot(&mut self, stream: StreamId, entity: &mut Entity) {
        if entity.version < entity.snapshot_version + SNAPSHOT_EVERY {
            return;
        }
        let Some(mind) = &entity.mind else { return };
        entity.snapshot_version = entity.version;
        let newer = self.db.snapshots.get(&stream).is_some_and(|known| known.version > entity.version);
        if !newer && !self.db.down {
            let wrong = u64::from(self.settings.sabotage == Some(Sabotage::WrongSnapshot));
            let snapshot = Snapshot { version: entity.version - wrong, state: Rc::new(mind.clone()) };
            self.db.snapshots.insert(stream, snapshot);
        }
    }

    /// Closes an obligation that a stream of another shard has discharged.
    pub fn discharge(&mut self, at: NodeRef, owner: StreamId, key: Key) {
        let pending = Pending {
            stream: owner,
            expected_version: 0,
            command: None,
            command_id: CommandId::of_obligation(owner, &key, "discharge"),
            events: Vec::new(),
            at: self.node_now(at.node),
            opens: Rc::default(),
            closes: Rc::new([(owner, Rc::clone(&key))]),
            discharge: Some(key),
        };
        self.write(at, pending);
    }

    /// Whoever asked is answered.
    pub fn reply(&mut self, at: NodeRef, to: ReplyTo, outcome: &Outcome) {
        match to {
            ReplyTo::Nobody => {}
            ReplyTo::Client(request) => self.client_hears(request, outcome),
            ReplyTo::Courier(errand) => self.errand_answered(at, errand, outcome),
            ReplyTo::Granted(job, token) => self.granted(at, *job, token, outcome),
            ReplyTo::Reported(key) => self.reported(at, &key, outcome),
            ReplyTo::Expired(lost) => {
                if *outcome == Outcome::Unanswered {
                    self.after_us(200_000, Act::Expire(at, lost));
                }
            }
            ReplyTo::Posted(run) => self.end_heard(at, run, outcome),
            ReplyTo::Chosen(page) => self.chosen(at, page, outcome),
            ReplyTo::Brought(errand) => self.answer_brought(at, errand, outcome),
            ReplyTo::Looked(slot, nth, error) => self.looked(at, slot, nth, error, outcome),
            ReplyTo::Assessed(slot) => {
                if *outcome == Outcome::Unanswered {
                    self.after_us(200_000, Act::Assessed(at, slot));
                } else {
                    self.nodes[at.node].slots.remove(&slot);
                }
            }
        }
    }
}

/// What a decision comes to, before it is written.
struct Said {
    events: Vec<AnyEvent>,
    delta: Delta,
    /// The refusal as it is kept; none: it was taken.
    reply: Option<Vec<u8>>,
}

impl Said {
    fn taken(events: Vec<AnyEvent>, delta: Delta) -> Self {
        Self { events, delta, reply: None }
    }

    fn refused(refusal: &Refusal) -> Self {
        let reply = Some(codec::to_bytes(refusal).unwrap_or_default());
        Self { events: Vec::new(), delta: Delta::none(), reply }
    }
}

fn remember(entity: &mut Entity, command: CommandId) {
    if entity.remembered.back() == Some(&command) {
        return;
    }
    if entity.remembered.len() == REMEMBERED_MAX {
        entity.remembered.pop_front();
    }
    entity.remembered.push_back(command);
}

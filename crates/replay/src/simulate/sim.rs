//! The one scheduler: what happens next, and when.
//!
//! Owns: simulated time, the agenda, the order of what is due at one instant.
//! Refuses to know: what any act does.

use std::{cmp::Reverse, collections::BinaryHeap, rc::Rc};

use nightshift_actors::queue::limits::Limits;
use nightshift_domain::{
    expression::Expressions,
    ids::{ShardId, StreamId, derive_u64},
    run::Token,
    streams::AnyCommand,
    time::Timestamp,
};
use nightshift_spec::ZonedCalendar;

use super::{
    Sabotage, Settings,
    audit::Audit,
    chance::Chance,
    chooser::PageKey,
    database::{Batch, Broken, Database},
    fault::{Class, Coverage, Swarm},
    journal::Transaction,
    node::{Brought, Envelope, Errand, Lost, Node, NodeRef, ReplyTo, SlotKey, WorkKey},
    people::Clients,
    places::Places,
    traffic::Traffic,
    world::World,
};

/// Something that is going to happen.
#[derive(Debug)]
pub enum Act {
    Deliver(NodeRef, StreamId),
    Lane(NodeRef, usize),
    Land(usize),
    Answer(NodeRef, usize),
    Resolve(NodeRef, usize),
    /// The process looks at its clock because a timer is due then; of no use when it has another alarm since.
    Timers(NodeRef, Timestamp),
    TellAgain(NodeRef, Box<Errand>),
    Refilled(NodeRef, Timestamp),
    Effect(NodeRef, WorkKey),
    Brought(NodeRef, WorkKey, Token, Box<Brought>),
    TaskLost(NodeRef, WorkKey, Token),
    Report(NodeRef, WorkKey),
    Expire(NodeRef, Box<Lost>),
    Look(NodeRef, SlotKey),
    Assessed(NodeRef, SlotKey),
    Rescan(NodeRef),
    Post(NodeRef, StreamId),
    Posted(NodeRef, StreamId),
    Choose(NodeRef, PageKey),
    Project(NodeRef),
    Projected(NodeRef),
    /// A result of the past comes once more, from nobody in particular.
    Late(StreamId, Rc<AnyCommand>),
    Start(usize, bool),
    DatabaseUp,
    ClockRight(usize),
    Disaster,
    Client(usize),
    Midnight,
}

impl Act {
    /// The process it is for, when it is for one.
    const fn of(&self) -> Option<NodeRef> {
        match self {
            Self::Deliver(at, _)
            | Self::Lane(at, _)
            | Self::Answer(at, _)
            | Self::Resolve(at, _)
            | Self::Timers(at, _)
            | Self::TellAgain(at, _)
            | Self::Refilled(at, _)
            | Self::Effect(at, _)
            | Self::Brought(at, ..)
            | Self::TaskLost(at, ..)
            | Self::Report(at, _)
            | Self::Expire(at, _)
            | Self::Look(at, _)
            | Self::Assessed(at, _)
            | Self::Rescan(at)
            | Self::Post(at, _)
            | Self::Posted(at, _)
            | Self::Choose(at, _)
            | Self::Project(at)
            | Self::Projected(at) => Some(*at),
            _ => None,
        }
    }
}

struct Entry {
    at: Timestamp,
    tie: u64,
    act: Act,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.tie) == (other.at, other.tie)
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.tie).cmp(&(other.at, other.tie))
    }
}

/// Everything of one seed.
pub struct Sim<'a> {
    pub settings: &'a Settings,
    pub calendar: &'a ZonedCalendar,
    pub expressions: &'a dyn Expressions,
    pub now: Timestamp,
    agenda: BinaryHeap<Reverse<Entry>>,
    drawn: u64,
    pub chance: Chance,
    pub swarm: Swarm,
    /// Faults and traffic have stopped.
    pub calm: bool,
    pub db: Database,
    pub nodes: Vec<Node>,
    pub settings_concurrency: usize,
    pub limits: Limits,
    pub transactions: Vec<Option<Box<Transaction>>>,
    pub world: World,
    pub clients: Clients,
    pub traffic: Traffic,
    pub audit: Audit,
    pub coverage: Coverage,
    pub steps: u64,
}

impl<'a> Sim<'a> {
    /// A world in which nothing has happened.
    pub fn new(settings: &'a Settings, calendar: &'a ZonedCalendar, expressions: &'a dyn Expressions) -> Self {
        let is = |sabotage| settings.sabotage == Some(sabotage);
        let broken = Broken {
            no_fence: is(Sabotage::DropFence),
            same_epoch: is(Sabotage::ReuseEpoch),
            no_unique: is(Sabotage::SkipDedup),
            half: is(Sabotage::HalfBatch),
            drop_open: is(Sabotage::DropObligation),
            keep_closed: is(Sabotage::KeepObligation),
        };
        let mut chance = Chance::of(settings.seed, "world");
        if is(Sabotage::Unseeded) {
            chance = Chance::of(super::sabotage::unseeded(), "world");
        }
        let concurrency = *chance.pick(&[2, 4, 8, 16]);
        let limits = super::traffic::limits();
        let lanes = *chance.pick(&[1, usize::from(settings.shards)]);
        let node = |_| {
            let given = if is(Sabotage::OverLimit) { concurrency + 3 } else { concurrency };
            let mut places = Places::new(given, limits.clone());
            places.free_tokens = is(Sabotage::FreeTokens);
            Node::new(settings.shards, lanes, places)
        };
        Self {
            settings,
            calendar,
            expressions,
            now: settings.begin,
            agenda: BinaryHeap::new(),
            drawn: 0,
            swarm: Swarm::of(settings.seed, &settings.faults),
            calm: false,
            db: Database::new(settings.shards, broken),
            nodes: (0..settings.nodes).map(node).collect(),
            settings_concurrency: concurrency + if is(Sabotage::OverLimit) { 3 } else { 0 },
            transactions: Vec::new(),
            world: World::default(),
            clients: Clients::default(),
            traffic: Traffic::of(settings),
            audit: Audit::new(concurrency, limits.clone()),
            coverage: Coverage::new(),
            steps: 0,
            chance,
            limits,
        }
    }

    /// Something happens at an instant.
    pub fn at(&mut self, at: Timestamp, act: Act) {
        self.drawn += 1;
        // What is due at one instant comes in an order that the seed draws.
        let tie = derive_tie(self.chance.draw(), self.drawn);
        self.agenda.push(Reverse(Entry { at: at.max(self.now), tie, act }));
    }

    /// Something happens after so many microseconds.
    pub fn after_us(&mut self, us: i64, act: Act) {
        self.at(Timestamp(self.now.0.saturating_add(us)), act);
    }

    /// What a process takes for the time.
    pub fn node_now(&self, node: usize) -> Timestamp {
        Timestamp(self.now.0 + self.nodes[node].offset)
    }

    pub fn count(&mut self, class: Class) {
        *self.coverage.entry(class).or_default() += 1;
    }

    /// Whether the decisions of a stream are made again at the end.
    pub fn is_sampled(&self, stream: StreamId) -> bool {
        let one_in = self.settings.replay_one_in;
        one_in > 0 && derive_u64("sample", &[stream.id.as_bytes()]).is_multiple_of(one_in)
    }

    /// The auditor learns who may write to a shard from now on.
    pub fn note_epochs(&mut self, shard: ShardId) {
        let table = self.db.table(shard);
        if let Some(owner) = table.owner {
            self.audit.epoch(shard, table.epoch, owner, self.now);
        }
    }

    /// A batch is durable: everybody who looks at the log sees it.
    pub fn committed(&mut self, batch: &Batch) {
        let table = self.db.table(batch.shard);
        self.audit.committed(batch, table, (self.calendar, self.now));
        let commits = Rc::clone(&batch.commits);
        for fact in commits.iter().flat_map(|commit| &commit.facts) {
            self.people_see(fact);
        }
    }

    /// Takes the next act, when it is not after `end`. False: there is none.
    pub fn step(&mut self, end: Timestamp) -> bool {
        if self.goes_in_circles() || self.agenda.peek().is_none_or(|Reverse(entry)| entry.at > end) {
            return false;
        }
        let Some(Reverse(entry)) = self.agenda.pop() else { return false };
        self.now = self.now.max(entry.at);
        self.steps += 1;
        if let Some(at) = entry.act.of() {
            let node = &self.nodes[at.node];
            if !node.alive || node.life != at.life {
                return true;
            }
            if node.frozen_until > self.now {
                let thaw = node.frozen_until;
                self.at(thaw, entry.act);
                return true;
            }
        }
        self.act(entry.act);
        true
    }

    /// The instant of the next act.
    pub fn next_at(&self) -> Option<Timestamp> {
        self.agenda.peek().map(|Reverse(entry)| entry.at)
    }

    fn act(&mut self, act: Act) {
        match act {
            Act::Deliver(at, stream) => self.deliver(at, stream),
            Act::Lane(at, lane) => self.lane(at, lane),
            Act::Land(id) => self.land(id),
            Act::Answer(at, id) => self.answered(at, id),
            Act::Resolve(at, lane) => self.resolve(at, lane),
            Act::Timers(at, due) => self.timers(at, due),
            Act::TellAgain(at, errand) => self.tell_now(at, *errand),
            Act::Refilled(at, due) => self.refilled(at, due),
            Act::Effect(at, work) => self.effect(at, &work),
            Act::Brought(at, work, token, brought) => self.brought(at, &work, token, *brought),
            Act::TaskLost(at, work, token) => self.task_lost(at, &work, token),
            Act::Report(at, work) => self.report(at, &work, ReplyTo::Reported(work.clone())),
            Act::Expire(at, lost) => self.expire(at, *lost),
            Act::Look(at, slot) => self.look(at, slot),
            Act::Assessed(at, slot) => self.assessed(at, slot),
            Act::Rescan(at) => self.rescan(at),
            Act::Post(at, run) => self.post(at, run),
            Act::Posted(at, run) => self.posted(at, run),
            Act::Choose(at, page) => self.look_up(at, page),
            Act::Project(at) => self.project(at),
            Act::Projected(at) => self.projected(at),
            Act::Late(stream, command) => self.late(stream, command),
            Act::Start(node, over) => self.start(node, over),
            Act::DatabaseUp => (self.db.down, self.db.slow) = (false, false),
            Act::ClockRight(node) => self.step_clock(node, 0),
            Act::Disaster if !self.calm => {
                self.disaster();
                let wait = self.chance.between(600_000_000, 4 * 3_600_000_000);
                self.after_us(wait, Act::Disaster);
            }
            Act::Disaster => {}
            Act::Client(request) => self.client_asks(request),
            Act::Midnight => self.midnight(),
        }
    }

    fn refilled(&mut self, at: NodeRef, due: Timestamp) {
        let now = self.node_now(at.node);
        let node = &mut self.nodes[at.node];
        if node.refill_armed == Some(due) {
            node.refill_armed = None;
            node.places.refilled(now);
            self.grant(at);
        }
    }

    /// A result that nobody waits for any more reaches whoever serves.
    fn late(&mut self, stream: StreamId, command: Rc<AnyCommand>) {
        let Some(at) = self.serving() else { return };
        if self.settings.faults.contains(&super::fault::Fault::Results) {
            self.count(Class::ResultLate);
        }
        let id = nightshift_domain::ids::CommandId(self.chance.id());
        let reply = ReplyTo::Nobody;
        self.send(at, Envelope { to: stream, command, id, discharges: None, from_client: false, reply });
    }

    /// A process that answers; a zombie as well as any.
    pub fn serving(&mut self) -> Option<NodeRef> {
        let alive: Vec<usize> = (0..self.nodes.len()).filter(|node| self.nodes[*node].alive).collect();
        if alive.is_empty() {
            return None;
        }
        let node = *self.chance.pick(&alive);
        Some(NodeRef { node, life: self.nodes[node].life })
    }
}

const fn derive_tie(drawn: u64, nth: u64) -> u64 {
    // Unique by the lower half, shuffled by the upper.
    (drawn & 0xffff_ff00_0000_0000) | (nth & 0x0000_00ff_ffff_ffff)
}

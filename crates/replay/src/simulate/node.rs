//! One process: what it has in memory, and what of it a crash takes away.
//!
//! Owns: the shapes. Refuses to know: what is done with them.

use std::{
    collections::{BTreeMap, VecDeque},
    rc::Rc,
    sync::Arc,
};

use nightshift_actors::queue::limits::Limits;
use nightshift_domain::codec::Encoded;
use nightshift_domain::{
    content::Failure,
    deliverable::{Order, SourceAssessment},
    ids::{CommandId, DeliverableId, RunId, StreamId, UserId},
    run::{Action, StepOutput, Token},
    streams::{AnyCommand, AnyEvent},
    time::Timestamp,
};
use nightshift_ports::log::{Resolution, Verdict};
use uuid::Uuid;

use super::{
    chooser::{Choosing, PageKey},
    database::{Batch, CommandRow, Debt, Due, Key},
    herald::Owing,
    mind::Mind,
    places::{Job, Places},
    quick::{Map, Set},
};

/// A process in one of its lives: what was meant for a former life reaches nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NodeRef {
    pub node: usize,
    pub life: u64,
}

/// Something to be told, filed as an obligation.
#[derive(Debug, Clone)]
pub struct Errand {
    pub owner: StreamId,
    pub key: Key,
    pub to: StreamId,
    pub command: Rc<AnyCommand>,
    /// Whoever owes it is told what came of it, and closes it by that.
    pub asks: bool,
}

impl Errand {
    /// What a stream owes to another.
    pub fn of(owner: StreamId, debt: &Debt, to: StreamId, command: &Rc<AnyCommand>) -> Self {
        let asks = matches!(debt.duty, Due::Ask { .. });
        Self { owner, key: Rc::clone(&debt.key), to, command: Rc::clone(command), asks }
    }
}

/// Who hears the answer to a command.
#[derive(Debug, Clone)]
pub enum ReplyTo {
    Nobody,
    Client(usize),
    Courier(Errand),
    Granted(Box<Job>, Token),
    Reported(WorkKey),
    Expired(Box<Lost>),
    Looked(SlotKey, usize, Option<String>),
    Posted(StreamId),
    Chosen(PageKey),
    Brought(Errand),
    Assessed(SlotKey),
}

/// An attempt whose process or task is gone.
#[derive(Debug, Clone)]
pub struct Lost {
    pub run: RunId,
    pub step: String,
    pub attempt: u32,
    pub token: Token,
}

pub type WorkKey = (RunId, String);
pub type SlotKey = (DeliverableId, Uuid);

/// A command on its way to a stream.
#[derive(Debug, Clone)]
pub struct Envelope {
    pub to: StreamId,
    pub command: Rc<AnyCommand>,
    pub id: CommandId,
    pub discharges: Option<(StreamId, Key)>,
    pub from_client: bool,
    pub reply: ReplyTo,
}

/// The answer to a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    Done,
    Rejected(String),
    Unanswered,
}

/// A stream in memory.
#[derive(Debug, Default)]
pub struct Entity {
    pub mind: Option<Mind>,
    pub version: u64,
    pub remembered: VecDeque<CommandId>,
    pub mailbox: VecDeque<Envelope>,
    pub resumes: Vec<Rc<Debt>>,
    pub busy: Option<Box<Busy>>,
    pub snapshot_version: u64,
    pub awake: bool,
    /// It is not needed any more.
    pub left: bool,
}

/// A decision whose append is under way.
#[derive(Debug)]
pub struct Busy {
    pub envelope: Envelope,
    pub taken: Taken,
    /// Nothing more was asked of the stream before.
    pub was_ended: bool,
    pub opens: Rc<[Rc<Debt>]>,
    pub closes: Rc<[(StreamId, Key)]>,
}

/// What a decision comes to in memory, once it is durable.
#[derive(Debug)]
pub enum Taken {
    /// So many events, and the state after them.
    Yes(u64, Mind),
    /// Why not.
    No(String),
}

/// What one decision wants written.
#[derive(Debug)]
pub struct Pending {
    pub stream: StreamId,
    pub expected_version: u64,
    pub command: Option<Rc<CommandRow>>,
    pub command_id: CommandId,
    pub events: Vec<(Rc<Encoded>, Rc<AnyEvent>)>,
    pub at: Timestamp,
    pub opens: Rc<[Rc<Debt>]>,
    pub closes: Rc<[(StreamId, Key)]>,
    /// None: a bare discharge of this key.
    pub discharge: Option<Key>,
}

/// The writer of some shards.
#[derive(Debug, Default)]
pub struct Lane {
    pub queue: VecDeque<Rc<Pending>>,
    pub parts: Vec<Vec<Rc<Pending>>>,
    pub writing: Option<Writing>,
    pub wait_ms: i64,
    pub armed: bool,
}

/// A group under way.
#[derive(Debug)]
pub struct Writing {
    pub entries: Vec<Rc<Pending>>,
    pub batches: Vec<Batch>,
    pub found: Vec<Option<Resolution>>,
    /// What is certain; none: it is to be written, for the first time or again.
    pub decided: Vec<Option<Verdict>>,
    /// It is on its way; at most one group of a lane is.
    pub sent: bool,
    /// Nobody is told the truth: the simulator acknowledged it before.
    pub acknowledged: bool,
}

/// What the writer knows of a shard.
#[derive(Debug, Clone, Copy, Default)]
pub struct Head {
    pub epoch: i64,
    pub seq: u64,
    pub hlc: u64,
}

/// An attempt that is being done here.
#[derive(Debug)]
pub struct Doing {
    pub step: String,
    pub attempt: u32,
    pub token: Token,
    pub user: UserId,
    pub priority: i16,
    pub key: String,
    pub action: Rc<Action>,
    pub timeout_ms: u64,
    pub finishing: bool,
    pub report: Option<(Rc<AnyCommand>, Option<Token>)>,
}

/// A slot whose sources are looked at.
#[derive(Debug)]
pub struct Assessing {
    pub user: UserId,
    pub order: Arc<Order>,
    pub consumed: BTreeMap<String, u64>,
    pub seen: Vec<SourceAssessment>,
}

/// What came of an effect.
pub type Brought = Result<StepOutput, Failure>;

/// One process.
pub struct Node {
    pub life: u64,
    pub alive: bool,
    /// It stands still until then.
    pub frozen_until: Timestamp,
    /// It took the shards over under this name.
    pub owner: Uuid,
    /// Its clock is so many microseconds ahead.
    pub offset: i64,
    pub heads: Vec<Head>,
    pub lanes: Vec<Lane>,
    pub streams: Map<StreamId, Entity>,
    pub timers: BTreeMap<(Timestamp, StreamId, Key), Errand>,
    pub due_of: Map<(StreamId, Key), Timestamp>,
    pub alarm: Option<Timestamp>,
    pub under_way: Set<(StreamId, Key)>,
    pub places: Places,
    /// When it looks at its buckets again.
    pub refill_armed: Option<Timestamp>,
    pub doing: BTreeMap<WorkKey, Doing>,
    pub slots: BTreeMap<SlotKey, Assessing>,
    /// Messages of runs, the first of each on its way.
    pub lines: BTreeMap<StreamId, VecDeque<Owing>>,
    pub choosing: BTreeMap<PageKey, Choosing>,
    pub projecting: bool,
}

impl Node {
    pub fn new(shards: u16, lanes: usize, places: Places) -> Self {
        Self {
            life: 0,
            alive: false,
            frozen_until: Timestamp(0),
            owner: Uuid::nil(),
            offset: 0,
            heads: vec![Head::default(); usize::from(shards)],
            lanes: (0..lanes).map(|_| Lane::default()).collect(),
            streams: Map::default(),
            timers: BTreeMap::new(),
            due_of: Map::default(),
            alarm: None,
            under_way: Set::default(),
            places,
            refill_armed: None,
            doing: BTreeMap::new(),
            slots: BTreeMap::new(),
            lines: BTreeMap::new(),
            choosing: BTreeMap::new(),
            projecting: false,
        }
    }

    /// It died: all that was in memory is gone. Its clock is the machine's.
    pub fn die(&mut self, (concurrency, limits): (usize, Limits)) {
        let free_tokens = self.places.free_tokens;
        let (life, offset) = (self.life + 1, self.offset);
        let (shards, lanes) = (self.heads.len(), self.lanes.len());
        let shards = u16::try_from(shards).unwrap_or(u16::MAX);
        let mut places = Places::new(concurrency, limits);
        places.free_tokens = free_tokens;
        *self = Self::new(shards, lanes, places);
        (self.life, self.offset) = (life, offset);
    }
}

//! Appends of commands to shards by two processes that replace each other.
//!
//! Owns: the steps of the world (clients, processes, the network, sessions) and what must hold.
//! Refuses to know: the conditions under which the store writes (`database`), and what a lane does (`lane`).
//!
//! Clients hand commands to processes and hand them in again when they hear nothing. A process ends, loses its session
//! while it goes on, or does not hear what became of its transaction, which may still be written long afterwards.

pub mod database;
pub mod held;
mod lane;
mod rules;

use std::fmt;

use database::{Batch, Database, Shard};
pub use database::{Call, Engine};
pub use lane::{Life, Stage};
use rules::check;
pub use rules::*;

use crate::explore::{Broken, Model, Seen, bytes_of};

/// Number of a command.
pub type Cmd = u8;
/// Number of a session, in order of its beginning.
pub type Session = u8;

/// What a command writes.
#[derive(Debug, Clone, Copy)]
pub struct Order {
    /// Where.
    pub shard: u8,
    /// Its events; none: it is refused by its decider and recorded all the same.
    pub events: u8,
}

/// How often each thing may go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Faults {
    /// A process ends without a word.
    pub crashes: u8,
    /// The session of a process that goes on runs out.
    pub stalls: u8,
    /// What became of a transaction is not heard.
    pub unknown: u8,
    /// The answer to the question what became of it is not heard.
    pub unheard: u8,
    /// A client waits no longer, though its command is under way.
    pub impatience: u8,
    /// The store turns a transaction away.
    pub refusals: u8,
}

impl Faults {
    /// Nothing goes wrong.
    pub const NONE: Self = Self { crashes: 0, stalls: 0, unknown: 0, unheard: 0, impatience: 0, refusals: 0 };
}

/// What is broken on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mutation {
    /// The store checks neither epoch nor head and writes behind whatever is there.
    NoFence,
    /// The epoch is read in the snapshot of the statement and not under the lock.
    EpochOfTheSnapshot,
    /// Whoever takes over goes on under the epoch of the one before.
    SameEpoch,
    /// The question what became of a transaction does not raise the epoch.
    AskWithoutRaising,
    /// The question is answered only under the epoch believed in, so a second one is not.
    AskOnce,
    /// Clients are answered when the transaction is sent.
    AcknowledgeEarly,
    /// Nobody knows whether it was written: taken as written.
    GuessWritten,
    /// Nobody looks whether a command is in the log, and the store does not care.
    NoUnique,
    /// Of a transaction only a part is written.
    Half,
    /// Places of events come from a sequence, which transactions that write nothing use up too.
    Sequence,
    /// A lane that does not hear what became of a transaction waits for ever.
    Wait,
    /// What was found out of one shard of a transaction is taken for true of all its shards.
    AllOrNothing,
}

/// The world: what is to be written, and what goes wrong.
#[derive(Debug, Clone)]
pub struct Append {
    /// Which store.
    pub engine: Engine,
    /// The commands of the clients.
    pub orders: Vec<Order>,
    /// What may go wrong.
    pub faults: Faults,
    /// What is broken on purpose.
    pub mutation: Option<Mutation>,
}

/// A process, or the machine on which one is started again.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Process {
    /// It does not run.
    Down,
    /// It has seen that nobody else lives, and is about to take over.
    Starting,
    /// It works.
    Up(Life),
}

/// A process and its session.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Node {
    /// The process.
    pub process: Process,
    /// Its newest session counts as living.
    pub lives: bool,
}

/// A transaction on its way to the store.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Transaction {
    /// Who sent it.
    pub by: Session,
    /// What it writes.
    pub batches: Vec<Batch>,
    /// What its statement saw when it began, where that is before its locks are taken.
    pub snapshot: Option<Vec<Shard>>,
    /// What the store did.
    pub landed: Option<database::Landed>,
    /// Its process still listens.
    pub awaited: bool,
    /// Shards of which its process was told that it was not and never will be written there.
    pub ruled_out: Vec<u8>,
}

/// What a client knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Client {
    /// It has not handed its command in, or has to do so again.
    Idle,
    /// It waits for this process.
    Waits(u8),
    /// It was told that it is done.
    Told,
}

/// All of it.
#[derive(Debug, Clone, Hash)]
pub struct State {
    /// What is durable.
    pub db: Database,
    /// Sessions so far.
    pub sessions: Session,
    /// The two processes.
    pub nodes: [Node; 2],
    /// Transactions under way.
    pub net: Vec<Transaction>,
    /// Who waits for what.
    pub clients: Vec<Client>,
    /// What may still go wrong.
    pub left: Faults,
    /// Under which epoch of which shard which session was let write.
    pub epochs: Vec<(u8, u8, Session)>,
    /// Properties that a step has broken.
    pub broken: Vec<Broken>,
    /// What the last step asked of the store, and the answer. Not part of what tells states apart.
    pub asked: Asked,
}

/// Calls to the store, for whoever makes them again on a real one.
#[derive(Debug, Clone, Default)]
pub struct Asked(pub Vec<Call>);

impl std::hash::Hash for Asked {
    fn hash<H: std::hash::Hasher>(&self, _: &mut H) {}
}

/// What can happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// A process looks whether another one lives, and sees none.
    See(u8),
    /// It takes all shards over.
    Start(u8),
    /// The session of a process that ended runs out.
    Expire(u8),
    /// The session of a process that goes on runs out: it had no time to renew it.
    Stall(u8),
    /// A process hears that its session has run out, and ends.
    Notice(u8),
    /// A client hands its command in.
    Submit(Cmd, u8),
    /// A client waits no longer.
    GiveUp(Cmd),
    /// A lane sends what waits as one transaction.
    Send(u8),
    /// The statement of a transaction begins.
    Begin(usize),
    /// A transaction is done by the store.
    Land(usize),
    /// A lane hears what became of its transaction.
    Answer(u8),
    /// It does not, and nobody knows whether it was done or will be.
    LoseAnswer(u8),
    /// The store turns its transaction away.
    Refuse(u8),
    /// A lane raises its own epoch to find out.
    Raise(u8),
    /// It does, and does not hear of it.
    LoseRaise(u8),
    /// A lane looks whether its command is there.
    Look(u8),
    /// A process ends without a word.
    Crash(u8),
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |n: &u8| if *n == 0 { 'A' } else { 'B' };
        match self {
            Self::See(n) => write!(f, "{} sees that nobody else lives", name(n)),
            Self::Start(n) => write!(f, "{} takes all shards over", name(n)),
            Self::Expire(n) => write!(f, "the session of {} runs out", name(n)),
            Self::Stall(n) => write!(f, "{} stands still until its session has run out", name(n)),
            Self::Notice(n) => write!(f, "{} hears that its session has run out, and ends", name(n)),
            Self::Submit(c, n) => write!(f, "command {c} is handed to {}", name(n)),
            Self::GiveUp(c) => write!(f, "the client of command {c} waits no longer"),
            Self::Send(n) => write!(f, "{} sends a transaction", name(n)),
            Self::Begin(t) => write!(f, "the statement of transaction {t} begins"),
            Self::Land(t) => write!(f, "transaction {t} is done by the store"),
            Self::Answer(n) => write!(f, "{} hears what became of it", name(n)),
            Self::LoseAnswer(n) => write!(f, "{} loses the connection in the middle", name(n)),
            Self::Refuse(n) => write!(f, "the store turns the transaction of {} away", name(n)),
            Self::Raise(n) => write!(f, "{} raises its own epoch to find out", name(n)),
            Self::LoseRaise(n) => write!(f, "{} raises its own epoch and does not hear of it", name(n)),
            Self::Look(n) => write!(f, "{} looks for its command", name(n)),
            Self::Crash(n) => write!(f, "{} is killed", name(n)),
        }
    }
}

impl Model for Append {
    type State = State;
    type Step = Step;

    fn start(&self) -> State {
        let shards = self.orders.iter().map(|order| order.shard + 1).max().unwrap_or(1);
        let down = Node { process: Process::Down, lives: false };
        let mut state = State {
            db: Database::new(shards),
            sessions: 0,
            nodes: [down.clone(), down],
            net: Vec::new(),
            clients: vec![Client::Idle; self.orders.len()],
            left: self.faults,
            epochs: Vec::new(),
            broken: Vec::new(),
            asked: Asked::default(),
        };
        self.happen(&mut state, Step::Start(0), &mut Seen::default());
        state
    }

    fn steps(&self, state: &State) -> Vec<Step> {
        let mut steps = Vec::new();
        for n in 0..2 {
            self.steps_of(state, n, &mut steps);
        }
        for (t, transaction) in state.net.iter().enumerate().filter(|(_, transaction)| transaction.landed.is_none()) {
            let begins = self.engine == Engine::Postgres && transaction.snapshot.is_none();
            steps.push(if begins { Step::Begin(t) } else { Step::Land(t) });
        }
        for (c, client) in (0..).zip(&state.clients) {
            match client {
                Client::Idle => {
                    let up = |n: &u8| matches!(state.nodes[usize::from(*n)].process, Process::Up(_));
                    steps.extend((0..2).filter(up).map(|n| Step::Submit(c, n)));
                }
                Client::Waits(_) if state.left.impatience > 0 => steps.push(Step::GiveUp(c)),
                Client::Waits(_) | Client::Told => {}
            }
        }
        steps
    }

    fn take(&self, state: &State, step: &Step, seen: &mut Seen) -> State {
        let mut after = state.clone();
        after.asked.0.clear();
        self.happen(&mut after, *step, seen);
        self.forget_the_hopeless(&mut after, seen);
        after.net.sort();
        after
    }

    /// The two processes are alike: a state and the one in which they have changed places are one.
    fn key(&self, state: &State) -> Vec<u8> {
        let (one, mut other) = (bytes_of(state), state.clone());
        other.nodes.swap(0, 1);
        for client in &mut other.clients {
            if let Client::Waits(n) = client {
                *n = 1 - *n;
            }
        }
        one.min(bytes_of(&other))
    }

    fn broken(&self, state: &State) -> Vec<Broken> {
        check(self, state)
    }

    fn is_fault(&self, step: &Step) -> bool {
        matches!(
            step,
            Step::Stall(_)
                | Step::GiveUp(_)
                | Step::LoseAnswer(_)
                | Step::Refuse(_)
                | Step::LoseRaise(_)
                | Step::Crash(_)
        )
    }

    fn at_rest(&self, state: &State) -> bool {
        state.clients.iter().all(|client| *client == Client::Told)
    }
}

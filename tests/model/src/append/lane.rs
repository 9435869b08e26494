//! A process that writes: the protocol of `crates/actors/src/journal/lane.rs`, one step at a time, and of
//! `crates/actors/src/shell.rs` as far as it looks for repeated commands.
//!
//! Owns: groups, what an unknown outcome leads to, who is answered. Refuses to know: what the store checks.

use super::{
    Append, Client, Cmd, Mutation, Process, Session, State, Step, Transaction,
    database::{Batch, Call, Engine, Landed},
    rules::{FENCE, LOST, NEVER},
};
use crate::explore::{Broken, Seen};

/// A process that works.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Life {
    /// Its session.
    pub session: Session,
    /// Epoch and head of each shard, as far as it knows.
    pub heads: Vec<(u8, u8)>,
    /// Commands that wait.
    pub queue: Vec<Cmd>,
    /// What is being written.
    pub group: Option<Group>,
}

/// What is written at once.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Group {
    /// Its batches, one for each shard.
    pub batches: Vec<Batch>,
    /// How far it is.
    pub stage: Stage,
}

/// How far a group is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// It is to be sent, perhaps again.
    Ready,
    /// It is under way.
    Sent,
    /// It is being found out what became of it, shard by shard.
    Unsure {
        /// What was found out of the batches so far: written, not written, lost.
        found: Vec<Found>,
        /// The new epoch of the next one, whose command is not looked for yet.
        raised: Option<u8>,
    },
    /// Nothing is done about it any more: a mutation.
    Forgotten,
}

/// What was found out of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Found {
    /// It is durable.
    Written,
    /// It is not, and never will be.
    NotWritten,
    /// The shard belongs to somebody else.
    Lost,
}

impl Life {
    fn holds(&self, cmd: Cmd) -> bool {
        self.queue.contains(&cmd)
            || self.group.iter().flat_map(|group| &group.batches).any(|batch| batch.cmds.contains(&cmd))
    }
}

fn life(state: &mut State, n: u8) -> &mut Life {
    match &mut state.nodes[usize::from(n)].process {
        Process::Up(life) => life,
        other => unreachable!("the step is for a process that works, not for {other:?}"),
    }
}

fn group(state: &mut State, n: u8) -> &mut Group {
    life(state, n).group.as_mut().expect("the step is for a process that writes")
}

impl Append {
    /// What a process can do, and what can happen to it.
    pub(super) fn steps_of(&self, state: &State, n: u8, steps: &mut Vec<Step>) {
        let (node, other) = (&state.nodes[usize::from(n)], &state.nodes[usize::from(1 - n)]);
        let left = &state.left;
        let Process::Up(life) = &node.process else {
            steps.extend(node.lives.then_some(Step::Expire(n)));
            match node.process {
                Process::Down => steps.extend((!other.lives).then_some(Step::See(n))),
                _ => steps.push(Step::Start(n)),
            }
            return;
        };
        steps.extend((node.lives && left.stalls > 0).then_some(Step::Stall(n)));
        steps.extend((!node.lives).then_some(Step::Notice(n)));
        steps.extend((left.crashes > 0).then_some(Step::Crash(n)));
        match life.group.as_ref().map(|group| &group.stage) {
            None if life.queue.is_empty() => {}
            None | Some(Stage::Ready) => steps.push(Step::Send(n)),
            Some(Stage::Sent) => {
                let own = state.net.iter().find(|transaction| transaction.by == life.session && transaction.awaited);
                let own = own.expect("a group under way has its transaction");
                steps.extend(own.landed.is_some().then_some(Step::Answer(n)));
                steps.extend((left.unknown > 0).then_some(Step::LoseAnswer(n)));
                steps.extend((left.refusals > 0 && own.landed.is_none()).then_some(Step::Refuse(n)));
            }
            Some(Stage::Unsure { raised: Some(_), .. }) => steps.push(Step::Look(n)),
            Some(Stage::Unsure { raised: None, .. }) => {
                steps.push(Step::Raise(n));
                steps.extend((left.unheard > 0).then_some(Step::LoseRaise(n)));
            }
            Some(Stage::Forgotten) => {}
        }
    }

    pub(super) fn happen(&self, state: &mut State, step: Step, seen: &mut Seen) {
        match step {
            Step::See(n) => state.nodes[usize::from(n)].process = Process::Starting,
            Step::Start(n) => self.begin(state, n, seen),
            Step::Expire(n) => state.nodes[usize::from(n)].lives = false,
            Step::Stall(n) => {
                state.left.stalls -= 1;
                seen.note("session ran out under a process");
                state.nodes[usize::from(n)].lives = false;
            }
            Step::Notice(n) => end(state, n),
            Step::Crash(n) => {
                state.left.crashes -= 1;
                note_crash(life(state, n), seen);
                end(state, n);
            }
            Step::Submit(cmd, n) => self.submit(state, cmd, n, seen),
            Step::GiveUp(cmd) => {
                state.left.impatience -= 1;
                state.clients[usize::from(cmd)] = Client::Idle;
            }
            Step::Send(n) => self.send(state, n, seen),
            Step::Begin(t) => state.net[t].snapshot = Some(state.db.shards.clone()),
            Step::Land(t) => self.land(state, t, seen),
            Step::Answer(n) => self.answer(state, n, seen),
            Step::LoseAnswer(n) => self.lose_answer(state, n, seen),
            Step::Refuse(n) => {
                state.left.refusals -= 1;
                seen.note("turned away");
                drop(take_transaction(state, n));
                group(state, n).stage = Stage::Ready;
            }
            Step::Raise(n) => self.raise(state, n, true, seen),
            Step::LoseRaise(n) => {
                state.left.unheard -= 1;
                seen.note("question unheard");
                self.raise(state, n, false, seen);
            }
            Step::Look(n) => self.look(state, n, seen),
        }
    }

    /// `Member::join` and `Journal::start`: whoever lives is taken off the list, all shards are taken over at once.
    fn begin(&self, state: &mut State, n: u8, seen: &mut Seen) {
        state.sessions += 1;
        let session = state.sessions;
        let other = &mut state.nodes[usize::from(1 - n)];
        if matches!(other.process, Process::Up(_)) {
            seen.note(if other.lives { "both saw nobody" } else { "takeover from a living process" });
        }
        other.lives = false;
        let heads = state.db.acquire(session, self.mutation);
        state.asked.0.push(Call::Acquire(session, heads.clone()));
        state.epochs.extend((0..).zip(&heads).map(|(shard, (epoch, _))| (shard, *epoch, session)));
        let life = Life { session, heads, queue: Vec::new(), group: None };
        state.nodes[usize::from(n)] = super::Node { process: Process::Up(life), lives: true };
    }

    /// `Shell::repeated`, then the way to the lane. A command that is under way here is not begun twice.
    fn submit(&self, state: &mut State, cmd: Cmd, n: u8, seen: &mut Seen) {
        let shard = self.orders[usize::from(cmd)].shard;
        let looks = self.mutation != Some(Mutation::NoUnique);
        let known = state.db.has(shard, cmd);
        state.asked.0.push(Call::Look(shard, cmd, known));
        if looks && known {
            seen.note("repeated");
            state.clients[usize::from(cmd)] = Client::Told;
            return;
        }
        state.clients[usize::from(cmd)] = Client::Waits(n);
        let life = life(state, n);
        if !life.holds(cmd) {
            life.queue.push(cmd);
        }
    }

    /// `Lane::run` and `Lane::batches`: all that waits becomes one group, each command on its shard.
    fn send(&self, state: &mut State, n: u8, seen: &mut Seen) {
        let life = life(state, n);
        let (session, heads) = (life.session, life.heads.clone());
        let waiting = std::mem::take(&mut life.queue);
        let group = match life.group.take() {
            // Written again: what waits goes with the next one.
            Some(group) => {
                life.queue = waiting;
                seen.note("sent again");
                group
            }
            None => Group { batches: self.batches(&heads, &waiting), stage: Stage::Sent },
        };
        if group.batches.len() > 1 {
            seen.note("two shards in one transaction");
        }
        let batches = group.batches.clone();
        life.group = Some(Group { stage: Stage::Sent, ..group });
        if self.mutation == Some(Mutation::AcknowledgeEarly) {
            batches.iter().flat_map(|batch| &batch.cmds).for_each(|cmd| tell(state, n, *cmd));
        }
        let (snapshot, landed, awaited, ruled_out) = (None, None, true, Vec::new());
        state.net.push(Transaction { by: session, batches, snapshot, landed, awaited, ruled_out });
    }

    fn batches(&self, heads: &[(u8, u8)], cmds: &[Cmd]) -> Vec<Batch> {
        let of = |(shard, (epoch, head)): (u8, &(u8, u8))| {
            let own = cmds.iter().copied().filter(|cmd| self.orders[usize::from(*cmd)].shard == shard);
            Batch { shard, epoch: *epoch, head: *head, cmds: own.collect() }
        };
        (0..).zip(heads).map(of).filter(|batch| !batch.cmds.is_empty()).collect()
    }

    /// The store does a transaction, whoever still waits for it.
    fn land(&self, state: &mut State, t: usize, seen: &mut Seen) {
        let Transaction { by, batches, snapshot, awaited, ruled_out, .. } = state.net[t].clone();
        let before: Vec<u8> = state.db.shards.iter().map(|shard| shard.epoch).collect();
        let landed = state.db.append(&batches, snapshot.as_deref(), &self.orders, self.mutation);
        state.asked.0.push(Call::Append(batches.clone(), landed.clone()));
        if let Landed::Done(verdicts) = &landed {
            for (batch, written) in batches.iter().zip(verdicts) {
                let stale = before[usize::from(batch.shard)] != batch.epoch;
                if *written && stale {
                    let what = format!("session {by} writes under epoch {} of shard {}", batch.epoch, batch.shard);
                    state.broken.push(Broken::new(FENCE, what));
                }
                seen.note(match (written, awaited) {
                    (true, true) => "written",
                    (true, false) => "written unheard",
                    (false, true) => "fenced",
                    (false, false) => "fenced unheard",
                });
            }
            let never = |(batch, written): &(&Batch, &bool)| **written && ruled_out.contains(&batch.shard);
            if let Some((batch, _)) = batches.iter().zip(verdicts).find(never) {
                state.broken.push(Broken::new(NEVER, format!("session {by}: {batch:?}")));
            }
            if verdicts.contains(&true) && verdicts.contains(&false) {
                seen.note("one shard written, one fenced");
            }
        }
        state.net[t].landed = Some(landed);
        // What it saw is of no use any more.
        state.net[t].snapshot = None;
    }

    /// A transaction to which nobody listens, and of which the store would write nothing, makes no difference any more:
    /// epochs and heads only grow.
    pub(super) fn forget_the_hopeless(&self, state: &mut State, seen: &mut Seen) {
        let (db, orders, mutation) = (&state.db, &self.orders, self.mutation);
        state.net.retain(|transaction| {
            if transaction.awaited {
                return true;
            }
            if transaction.landed.is_some() {
                return false;
            }
            let landed = db.clone().append(&transaction.batches, transaction.snapshot.as_deref(), orders, mutation);
            let hopeless = matches!(landed, Landed::Done(verdicts) if !verdicts.contains(&true));
            if hopeless {
                seen.note("fenced behind the question");
            }
            !hopeless
        });
    }

    /// `Lane::settle`, and `Shell::not_appended` where a commit contradicts the log.
    fn answer(&self, state: &mut State, n: u8, seen: &mut Seen) {
        let transaction = take_transaction(state, n);
        match transaction.landed.expect("the step is for one that landed") {
            Landed::Done(verdicts) => self.settle(state, n, &verdicts, seen),
            Landed::Contradiction => {
                seen.note("contradiction");
                let group = life(state, n).group.take().expect("a group is under way");
                for cmd in group.batches.into_iter().flat_map(|batch| batch.cmds) {
                    if state.db.has(self.orders[usize::from(cmd)].shard, cmd) {
                        tell(state, n, cmd);
                    } else if state.clients[usize::from(cmd)] == Client::Waits(n) {
                        state.clients[usize::from(cmd)] = Client::Idle;
                    }
                }
            }
        }
    }

    fn settle(&self, state: &mut State, n: u8, verdicts: &[bool], seen: &mut Seen) {
        let group = life(state, n).group.take().expect("a group is under way");
        for (batch, written) in group.batches.iter().zip(verdicts) {
            if *written {
                let events: u8 = batch.cmds.iter().map(|cmd| self.orders[usize::from(*cmd)].events).sum();
                life(state, n).heads[usize::from(batch.shard)].1 = batch.head + events;
                batch.cmds.iter().for_each(|cmd| tell(state, n, *cmd));
            }
        }
        if verdicts.contains(&false) {
            seen.note("a process learns that it was replaced");
            end(state, n);
        }
    }

    fn lose_answer(&self, state: &mut State, n: u8, seen: &mut Seen) {
        state.left.unknown -= 1;
        let session = life(state, n).session;
        let own = state.net.iter_mut().find(|transaction| transaction.by == session && transaction.awaited);
        let own = own.expect("a group under way has its transaction");
        own.awaited = false;
        seen.note(if own.landed.is_some() { "answer lost behind it" } else { "answer lost before it" });
        let group = group(state, n);
        match self.mutation {
            Some(Mutation::GuessWritten) => {
                let all = vec![true; group.batches.len()];
                self.settle(state, n, &all, seen);
            }
            Some(Mutation::Wait) => group.stage = Stage::Forgotten,
            _ => group.stage = Stage::Unsure { found: Vec::new(), raised: None },
        }
    }

    /// `EventLog::resolve`, its first half. Unheard: the epoch is raised, and the lane asks again as if it were not.
    fn raise(&self, state: &mut State, n: u8, heard: bool, seen: &mut Seen) {
        let Life { session, group: Some(Group { batches, stage: Stage::Unsure { found, .. } }), .. } = life(state, n)
        else {
            unreachable!("the step is for a process that finds out")
        };
        let (session, nth) = (*session, found.len());
        let Batch { shard, epoch, cmds, .. } = batches[nth].clone();
        let raised = state.db.raise(session, shard, epoch, self.mutation);
        let answer = raised.map(|raised| (raised, state.db.has(shard, cmds[0])));
        state.asked.0.push(Call::Resolve(session, shard, epoch, cmds[0], answer));
        state.epochs.extend(raised.map(|raised| (shard, raised, session)));
        if raised.is_some_and(|raised| raised > epoch + 1) {
            seen.note("asked twice");
        }
        if raised.is_none() && state.db.shard(shard).owner == Some(session) {
            state.broken.push(Broken::new(LOST, format!("session {session} owns shard {shard}")));
        }
        if !heard {
            return;
        }
        if let Stage::Unsure { raised: known, .. } = &mut group(state, n).stage {
            *known = raised;
        }
        if raised.is_none() {
            seen.note("resolved: lost");
            self.found(state, n, Found::Lost, seen);
        }
    }

    /// Its second half: whether the command of the batch is there.
    fn look(&self, state: &mut State, n: u8, seen: &mut Seen) {
        let Life { session, group: Some(Group { batches, stage: Stage::Unsure { found, raised } }), heads, .. } =
            life(state, n)
        else {
            unreachable!("the step is for a process that finds out")
        };
        let (session, nth) = (*session, found.len());
        let epoch = raised.take().expect("the epoch was raised before");
        let (shard, cmd) = (batches[nth].shard, batches[nth].cmds[0]);
        batches[nth].epoch = epoch;
        heads[usize::from(shard)].0 = epoch;
        let there = state.db.has(shard, cmd);
        state.asked.0.push(Call::Look(shard, cmd, there));
        seen.note(if there { "resolved: written" } else { "resolved: not written" });
        if !there {
            let late = state.net.iter_mut().filter(|transaction| {
                transaction.by == session && transaction.batches.iter().any(|batch| batch.cmds.contains(&cmd))
            });
            late.for_each(|transaction| transaction.ruled_out.push(shard));
        }
        self.found(state, n, if there { Found::Written } else { Found::NotWritten }, seen);
    }

    /// `Lane::resolve`: when all is known, the group is settled, or what is left of it is written again.
    fn found(&self, state: &mut State, n: u8, what: Found, seen: &mut Seen) {
        let group = group(state, n);
        let many = group.batches.len();
        let Stage::Unsure { found, .. } = &mut group.stage else { unreachable!("it is being found out") };
        found.push(what);
        if found.len() < many {
            return;
        }
        let found = std::mem::take(found);
        if self.mutation == Some(Mutation::AllOrNothing) {
            let written = found.contains(&Found::Written);
            if written || found.iter().all(|found| *found == Found::Lost) {
                let verdicts: Vec<bool> = found.iter().map(|found| *found != Found::Lost).collect();
                self.settle(state, n, &verdicts, seen);
            } else {
                group.stage = Stage::Ready;
            }
            return;
        }
        // What is to be written again stays; the rest is settled.
        let batches = std::mem::take(&mut group.batches);
        let (again, known): (Vec<_>, Vec<_>) =
            batches.into_iter().zip(found).partition(|(_, found)| *found == Found::NotWritten);
        if !again.is_empty() && !known.is_empty() {
            seen.note("resolved: in part");
        }
        let verdicts: Vec<bool> = known.iter().map(|(_, found)| *found == Found::Written).collect();
        group.batches = known.into_iter().map(|(batch, _)| batch).collect();
        self.settle(state, n, &verdicts, seen);
        if let (false, Process::Up(life)) = (again.is_empty(), &mut state.nodes[usize::from(n)].process) {
            let batches = again.into_iter().map(|(batch, _)| batch).collect();
            life.group = Some(Group { batches, stage: Stage::Ready });
        }
    }
}

fn take_transaction(state: &mut State, n: u8) -> Transaction {
    let session = life(state, n).session;
    let own = state.net.iter().position(|transaction| transaction.by == session && transaction.awaited);
    state.net.remove(own.expect("a group under way has its transaction"))
}

fn tell(state: &mut State, n: u8, cmd: Cmd) {
    if state.clients[usize::from(cmd)] == Client::Waits(n) {
        state.clients[usize::from(cmd)] = Client::Told;
    }
}

/// A process is gone, with all it had in memory; what it sent may still arrive.
fn end(state: &mut State, n: u8) {
    if let Process::Up(life) = std::mem::replace(&mut state.nodes[usize::from(n)].process, Process::Down) {
        let own = state.net.iter_mut().filter(|transaction| transaction.by == life.session);
        own.for_each(|transaction| transaction.awaited = false);
    }
    for client in state.clients.iter_mut().filter(|client| **client == Client::Waits(n)) {
        *client = Client::Idle;
    }
}

fn note_crash(life: &Life, seen: &mut Seen) {
    seen.note(match life.group.as_ref().map(|group| &group.stage) {
        None if life.queue.is_empty() => "crash: idle",
        None => "crash: before the append",
        Some(Stage::Ready) => "crash: before it is sent again",
        Some(Stage::Sent) => "crash: in flight",
        Some(Stage::Unsure { raised: None, .. }) => "crash: before the question",
        Some(Stage::Unsure { .. }) => "crash: between raising and looking",
        Some(Stage::Forgotten) => "crash: waiting",
    });
}

/// The stores' own way to do a transaction has to be told apart where the model does.
impl Engine {
    /// The word in tests.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgres",
        }
    }
}

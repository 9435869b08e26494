//! The writer of a process: the protocol of `actors::journal::lane`, one step at a time.
//!
//! Owns: groups, sequence numbers, the hybrid clock, what an unknown outcome leads to.
//! Refuses to know: what events mean.

use std::{collections::BTreeMap, rc::Rc};

use nightshift_domain::{
    ids::{CommandId, ShardId},
    time::Timestamp,
};
use nightshift_ports::log::{Resolution, Verdict};

use super::{
    Sabotage,
    database::{Batch, Commit, Fact},
    fault::{Class, Fault},
    node::{Head, NodeRef, Pending, Writing},
    sim::{Act, Sim},
};

/// Entries in one group at most.
const GROUP_MAX: usize = 512;

/// First and longest wait while the database takes nothing, in milliseconds.
const BACK_OFF_MS: (i64, i64) = (50, 5_000);

/// How a transaction is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// As the database decided.
    Known,
    /// Nothing was written.
    NotWritten,
    /// Nobody knows.
    Unknown,
}

/// A transaction between process and database.
#[derive(Debug)]
pub struct Transaction {
    pub by: NodeRef,
    pub lane: usize,
    pub batches: Vec<Batch>,
    pub landed: Option<Result<Vec<Verdict>, ()>>,
    pub answer: Answer,
    pub answered: bool,
}

/// What a lane tells a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Appended {
    Yes,
    Contradiction,
    Fenced,
}

impl Sim<'_> {
    /// A decision waits to be written.
    pub fn write(&mut self, at: NodeRef, pending: Pending) {
        let lane = usize::from(pending.stream.shard().0) % self.nodes[at.node].lanes.len();
        self.nodes[at.node].lanes[lane].queue.push_back(Rc::new(pending));
        self.arm_lane(at, lane, 0);
    }

    fn arm_lane(&mut self, at: NodeRef, lane: usize, ms: i64) {
        let found = &mut self.nodes[at.node].lanes[lane];
        if !found.armed {
            found.armed = true;
            let wait = ms * 1_000 + self.chance.between(0, 400);
            self.after_us(wait, Act::Lane(at, lane));
        }
    }

    /// The lane takes what waits and sends it.
    pub fn lane(&mut self, at: NodeRef, lane: usize) {
        let now = self.node_now(at.node);
        let Some(node) = self.nodes.get_mut(at.node) else { return };
        let found = &mut node.lanes[lane];
        found.armed = false;
        if found.writing.as_ref().is_some_and(|writing| writing.sent) {
            return;
        }
        if found.writing.is_none() {
            let part = found.parts.pop().unwrap_or_else(|| {
                let many = found.queue.len().min(GROUP_MAX);
                found.queue.drain(..many).collect()
            });
            if part.is_empty() {
                return;
            }
            let follows = self.settings.sabotage == Some(Sabotage::ClockFollows);
            let batches = batches(&node.heads, &part, now, follows);
            let (found, decided, sent, acknowledged) = (Vec::new(), vec![None; batches.len()], false, false);
            node.lanes[lane].writing = Some(Writing { entries: part, batches, found, decided, sent, acknowledged });
            node.lanes[lane].wait_ms = BACK_OFF_MS.0;
        }
        self.send_group(at, lane);
    }

    fn send_group(&mut self, at: NodeRef, lane: usize) {
        let Some(writing) = self.nodes[at.node].lanes[lane].writing.as_mut() else { return };
        writing.sent = true;
        let open = writing.batches.iter().zip(&writing.decided).filter(|(_, decided)| decided.is_none());
        let batches: Vec<Batch> = open.map(|(batch, _)| batch.clone()).collect();
        let slow = if self.db.slow { 100 } else { 1 };
        let lands = self.chance.between(300, 3_000) * slow;
        let mut back = lands + self.chance.between(100, 500);
        let mut land_at = Some(lands);
        let answer = if self.db.down || self.fault(Fault::Database, 600, Class::NotWritten) {
            land_at = None;
            Answer::NotWritten
        } else if self.strikes(Fault::Unknown, 4_000) {
            match self.chance.below(3) {
                0 => land_at = None,
                1 => {}
                _ => {
                    back = 3_000;
                    land_at = Some(self.chance.between(2_000, 40_000));
                }
            }
            Answer::Unknown
        } else {
            Answer::Known
        };
        let id = self.transactions.len();
        let landed = None;
        self.transactions.push(Some(Box::new(Transaction { by: at, lane, batches, landed, answer, answered: false })));
        if let Some(lands) = land_at {
            self.after_us(lands, Act::Land(id));
        }
        self.after_us(back, Act::Answer(at, id));
        if self.settings.sabotage == Some(Sabotage::AckBeforeCommit) {
            self.acknowledge_early(at, lane);
            return;
        }
        self.takeover_here(at.node, 200);
        self.crash_here(at.node, Class::CrashInFlight, 120);
    }

    /// Wrong on purpose: everybody is told before anything is durable.
    fn acknowledge_early(&mut self, at: NodeRef, lane: usize) {
        let Some(writing) = self.nodes[at.node].lanes[lane].writing.as_mut() else { return };
        if !std::mem::replace(&mut writing.acknowledged, true) {
            let entries = writing.entries.clone();
            entries.into_iter().for_each(|entry| self.appended(at, &entry, Appended::Yes));
        }
    }

    /// A transaction reaches the database, whoever still waits for it.
    pub fn land(&mut self, id: usize) {
        let Some(Some(transaction)) = self.transactions.get(id) else { return };
        let (batches, by) = (transaction.batches.clone(), transaction.by);
        let landed = self.db.append(&batches);
        if let Ok(verdicts) = &landed {
            for (batch, verdict) in batches.iter().zip(verdicts) {
                match verdict {
                    Verdict::Committed => self.committed(batch),
                    Verdict::Fenced => self.landed_fenced(by, id),
                }
            }
        }
        let Some(transaction) = self.transactions[id].as_mut() else { return };
        transaction.landed = Some(landed);
        if transaction.answered || self.nodes[by.node].life != by.life {
            self.transactions[id] = None;
        }
    }

    fn landed_fenced(&mut self, by: NodeRef, id: usize) {
        let unknown = matches!(&self.transactions[id], Some(found) if found.answer == Answer::Unknown);
        let own = self.nodes[by.node].owner;
        let mine = self.db.shards.iter().all(|table| table.owner == Some(own));
        let class = if unknown && mine { Class::UnknownLate } else { Class::Fenced };
        self.count(class);
    }

    /// The process hears of its transaction.
    pub fn answered(&mut self, at: NodeRef, id: usize) {
        let Some(Some(transaction)) = self.transactions.get_mut(id) else { return };
        transaction.answered = true;
        let (lane, answer) = (transaction.lane, transaction.answer);
        let landed = transaction.landed.take();
        match (answer, landed) {
            (Answer::NotWritten, _) => {
                self.transactions[id] = None;
                let found = &mut self.nodes[at.node].lanes[lane];
                if let Some(writing) = &mut found.writing {
                    writing.sent = false;
                }
                let wait = found.wait_ms;
                found.wait_ms = (wait * 2).min(BACK_OFF_MS.1);
                self.arm_lane(at, lane, wait);
            }
            (Answer::Unknown, landed) => {
                if landed.is_some() {
                    self.transactions[id] = None;
                }
                if self.settings.sabotage == Some(Sabotage::GuessWritten) {
                    let many = self.nodes[at.node].lanes[lane].writing.as_ref().map_or(0, |all| all.batches.len());
                    self.settle(at, lane, &vec![Verdict::Committed; many]);
                    return;
                }
                self.after_us(2_000, Act::Resolve(at, lane));
            }
            (Answer::Known, Some(Ok(verdicts))) => {
                self.transactions[id] = None;
                if !self.crash_here(at.node, Class::CrashCommitted, 120) {
                    let Some(writing) = self.nodes[at.node].lanes[lane].writing.as_mut() else { return };
                    let open = writing.decided.iter_mut().filter(|decided| decided.is_none());
                    open.zip(verdicts).for_each(|(decided, verdict)| *decided = Some(verdict));
                    self.settle_decided(at, lane);
                }
            }
            (Answer::Known, Some(Err(()))) => {
                self.transactions[id] = None;
                self.contradicted(at, lane);
            }
            (Answer::Known, None) => {}
        }
    }

    /// A part contradicts the log: it is halved until the entry that does stands alone.
    fn contradicted(&mut self, at: NodeRef, lane: usize) {
        let Some(mut writing) = self.nodes[at.node].lanes[lane].writing.take() else { return };
        if let [alone] = writing.entries.as_slice() {
            let alone = Rc::clone(alone);
            self.appended(at, &alone, Appended::Contradiction);
        } else {
            let second = writing.entries.split_off(writing.entries.len() / 2);
            self.nodes[at.node].lanes[lane].parts.extend([second, writing.entries]);
        }
        self.arm_lane(at, lane, 0);
    }

    /// Finds out what became of a group, one shard at a time.
    pub fn resolve(&mut self, at: NodeRef, lane: usize) {
        let now = self.node_now(at.node);
        let owner = self.nodes[at.node].owner;
        let Some(writing) = &self.nodes[at.node].lanes[lane].writing else { return };
        let nth = writing.found.len();
        if writing.decided.get(nth).is_some_and(Option::is_some) {
            return self.known_already(at, lane);
        }
        let Some(batch) = writing.batches.get(nth).cloned() else { return self.resolved(at, lane) };
        if self.db.down {
            self.after_us(BACK_OFF_MS.1 * 1_000, Act::Resolve(at, lane));
            return;
        }
        let resolution = match witness(&batch) {
            None => None,
            Some(command) => {
                let found = self.db.resolve(owner, batch.shard, batch.epoch, command, now);
                self.note_epochs(batch.shard);
                if self.fault(Fault::Unknown, 100_000, Class::ResolveLost) {
                    self.after_us(BACK_OFF_MS.0 * 1_000, Act::Resolve(at, lane));
                    return;
                }
                Some(found)
            }
        };
        let node = &mut self.nodes[at.node];
        let Some(writing) = node.lanes[lane].writing.as_mut() else { return };
        if let Some(Resolution::Written { epoch } | Resolution::NotWritten { epoch }) = resolution {
            writing.batches[nth].epoch = epoch;
            node.heads[usize::from(batch.shard.0)].epoch = epoch;
        }
        writing.found.push(resolution);
        match resolution {
            Some(Resolution::Written { .. }) => self.count(Class::UnknownCommitted),
            Some(Resolution::NotWritten { .. }) => self.count(Class::UnknownAborted),
            _ => {}
        }
        self.resolve(at, lane);
    }

    /// What is certain of a shard is not asked again.
    fn known_already(&mut self, at: NodeRef, lane: usize) {
        if let Some(writing) = self.nodes[at.node].lanes[lane].writing.as_mut() {
            writing.found.push(None);
        }
        self.resolve(at, lane);
    }

    /// Each shard has an answer of its own: a transaction that arrives while they are asked writes those that were not yet.
    fn resolved(&mut self, at: NodeRef, lane: usize) {
        let Some(writing) = self.nodes[at.node].lanes[lane].writing.as_mut() else { return };
        let found = std::mem::take(&mut writing.found);
        let together = self.settings.sabotage == Some(Sabotage::AllOrNothing)
            && found.iter().any(|found| matches!(found, Some(Resolution::Written { .. })));
        for (decided, found) in writing.decided.iter_mut().zip(found) {
            match found {
                Some(Resolution::Written { .. }) => *decided = Some(Verdict::Committed),
                Some(Resolution::Lost) => *decided = Some(Verdict::Fenced),
                _ if together => *decided = Some(Verdict::Committed),
                Some(Resolution::NotWritten { .. }) | None => {}
            }
        }
        if writing.decided.iter().all(Option::is_some) {
            self.settle_decided(at, lane);
        } else {
            self.send_group(at, lane);
        }
    }

    fn settle_decided(&mut self, at: NodeRef, lane: usize) {
        let Some(writing) = self.nodes[at.node].lanes[lane].writing.as_ref() else { return };
        let verdicts: Vec<Verdict> = writing.decided.iter().copied().flatten().collect();
        self.settle(at, lane, &verdicts);
    }

    /// Heads move on, everybody is answered.
    fn settle(&mut self, at: NodeRef, lane: usize, verdicts: &[Verdict]) {
        let node = &mut self.nodes[at.node];
        let Some(writing) = node.lanes[lane].writing.take() else { return };
        let mut fenced = Vec::new();
        for (batch, verdict) in writing.batches.iter().zip(verdicts) {
            if *verdict == Verdict::Fenced {
                fenced.push(batch.shard);
            } else if let Some(last) = batch.commits.iter().rev().find_map(|commit| commit.facts.last()) {
                let head = &mut node.heads[usize::from(batch.shard.0)];
                (head.seq, head.hlc) = (last.seq, last.hlc);
            }
        }
        for entry in writing.entries.iter().filter(|_| !writing.acknowledged) {
            let outcome = if fenced.contains(&entry.stream.shard()) { Appended::Fenced } else { Appended::Yes };
            self.appended(at, entry, outcome);
            if self.nodes[at.node].life != at.life {
                return;
            }
        }
        if !fenced.is_empty() {
            self.replaced(at);
            return;
        }
        self.nudge_projector(at);
        let found = &self.nodes[at.node].lanes[lane];
        if !found.queue.is_empty() || !found.parts.is_empty() {
            self.arm_lane(at, lane, 0);
        }
    }
}

/// A command whose record tells whether the batch was written.
fn witness(batch: &Batch) -> Option<CommandId> {
    batch.commits.iter().find_map(|commit| commit.command.as_ref().map(|command| command.id))
}

fn batches(heads: &[Head], group: &[Rc<Pending>], now: Timestamp, follows: bool) -> Vec<Batch> {
    let mut batches: BTreeMap<ShardId, (Batch, Vec<Commit>, u64, u64)> = BTreeMap::new();
    for entry in group {
        let shard = entry.stream.shard();
        let head = heads[usize::from(shard.0)];
        let (_, commits, seq, hlc) = batches.entry(shard).or_insert_with(|| {
            let batch = Batch { shard, epoch: head.epoch, expected_head: head.seq, commits: Rc::default() };
            (batch, Vec::new(), head.seq, head.hlc)
        });
        commits.push(commit(entry, (now, follows), seq, hlc));
    }
    batches.into_values().map(|(batch, commits, ..)| Batch { commits: Rc::new(commits), ..batch }).collect()
}

fn commit(pending: &Pending, (now, follows): (Timestamp, bool), seq: &mut u64, hlc: &mut u64) -> Commit {
    let mut facts = Vec::with_capacity(pending.events.len());
    for (version, (encoded, event)) in (pending.expected_version + 1..).zip(&pending.events) {
        *seq += 1;
        let wall = u64::try_from(now.micros() / 1_000).unwrap_or(0) << 16;
        *hlc = if follows { wall } else { wall.max(*hlc + 1) };
        facts.push(Rc::new(Fact {
            seq: *seq,
            stream: pending.stream,
            version,
            hlc: *hlc,
            at: pending.at,
            command_id: pending.command_id,
            encoded: Rc::clone(encoded),
            event: Rc::clone(event),
        }));
    }
    Commit {
        stream: pending.stream,
        command: pending.command.clone(),
        facts,
        opens: Rc::clone(&pending.opens),
        closes: Rc::clone(&pending.closes),
    }
}

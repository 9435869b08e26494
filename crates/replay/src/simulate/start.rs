//! How processes begin, end, stand still and replace each other.
//!
//! Owns: crashes, takeovers, recovery from what is owed. Refuses to know: what is owed.

use nightshift_domain::{
    ids::{RunId, ShardId},
    time::Timestamp,
};

use super::{
    Sabotage,
    database::{Due, Owed},
    fault::{Class, Fault},
    node::{Errand, Lost, NodeRef},
    sim::{Act, Sim},
};

/// A session that is not renewed for so long is dead.
const TTL_US: i64 = 15_000_000;

impl Sim<'_> {
    /// Whether a fault of this family strikes now.
    pub fn strikes(&mut self, fault: Fault, usual: u64) -> bool {
        let rate = self.swarm.per_million(fault, usual);
        !self.calm && self.chance.happens(rate)
    }

    /// Whether it strikes; it is counted when it does.
    pub fn fault(&mut self, fault: Fault, usual: u64, class: Class) -> bool {
        let strikes = self.strikes(fault, usual);
        if strikes {
            self.count(class);
        }
        strikes
    }

    /// The process may die here.
    pub fn crash_here(&mut self, node: usize, class: Class, usual: u64) -> bool {
        let dies = self.fault(Fault::Crash, usual, class);
        if dies {
            self.crash(node);
        }
        dies
    }

    /// Another process may take over here, while this one has something in hand.
    pub fn takeover_here(&mut self, node: usize, usual: u64) {
        let other = (node + 1) % self.nodes.len();
        if other != node && self.strikes(Fault::Takeover, usual) {
            self.after_us(500, Act::Start(other, true));
        }
    }

    /// The process dies. It comes back, or another one takes over.
    pub fn crash(&mut self, node: usize) {
        let again = self.chance.between(100_000, 40_000_000);
        self.end(node);
        self.after_us(again, Act::Start(node, false));
        let other = (node + 1) % self.nodes.len();
        if other != node {
            self.after_us(TTL_US + 100_000, Act::Start(other, false));
        }
    }

    fn end(&mut self, node: usize) {
        let limits = (self.settings_concurrency, self.limits.clone());
        self.nodes[node].die(limits);
    }

    /// An append was refused: the process ends and is started again, to stand by.
    pub fn replaced(&mut self, at: NodeRef) {
        self.end(at.node);
        self.after_us(1_000_000, Act::Start(at.node, false));
    }

    /// A process starts, unless another one lives; `over` takes over all the same.
    pub fn start(&mut self, node: usize, over: bool) {
        let now = self.now;
        let lives = |other: &super::node::Node| other.alive && other.frozen_until <= now;
        if self.nodes[node].alive || (!over && self.nodes.iter().any(lives)) {
            return;
        }
        if self.db.down {
            self.after_us(2_000_000, Act::Start(node, over));
            return;
        }
        let frozen = self.nodes.iter().any(|other| other.alive && other.frozen_until > now);
        if frozen {
            self.count(Class::TakeoverFrozen);
        } else if over && self.nodes.iter().any(|other| other.alive) {
            self.count(Class::TakeoverLive);
        }
        let owner = self.chance.id();
        let clock = self.node_now(node);
        for shard in (0..self.settings.shards).map(ShardId) {
            let owned = self.db.acquire(owner, shard, clock);
            let head = &mut self.nodes[node].heads[usize::from(shard.0)];
            (head.epoch, head.seq, head.hlc) = (owned.epoch, owned.head, owned.hlc);
            self.note_epochs(shard);
        }
        let found = &mut self.nodes[node];
        (found.alive, found.owner) = (true, owner);
        found.frozen_until = Timestamp(0);
        let at = NodeRef { node, life: found.life };
        self.audit.session(owner, self.now);
        self.read_queue(at);
        if self.crash_here(node, Class::CrashStarting, 30_000) {
            return;
        }
        self.after_us(1_000, Act::Rescan(at));
        self.nudge_projector(at);
    }

    /// What is owed is read from the log and handed over again; timers are armed.
    pub fn rescan(&mut self, at: NodeRef) {
        if self.db.down {
            self.after_us(500_000, Act::Rescan(at));
            return;
        }
        let owed: Vec<_> = self.db.shards.iter().flat_map(|table| table.owed.values()).cloned().collect();
        for Owed { stream, debt } in owed {
            match &debt.duty {
                Due::Tell { to, command } | Due::Ask { to, command } => {
                    self.tell(at, Errand::of(stream, &debt, *to, command));
                }
                Due::Report { report } => self.herald(at, stream, report, debt.due_at),
                Due::Wake { to, command } => {
                    self.arm(at, debt.due_at, Errand::of(stream, &debt, *to, command));
                }
                Due::Attempt { step, attempt, token } if !self.holds(at, *token) => {
                    if self.settings.sabotage != Some(Sabotage::KeepDeadLease) {
                        let run = RunId::from_uuid(stream.id);
                        self.expire(at, Lost { run, step: step.clone(), attempt: *attempt, token: *token });
                    }
                }
                Due::Lease { .. } | Due::Assess { .. } | Due::Choose { .. } => {
                    let entity = self.nodes[at.node].streams.entry(stream).or_default();
                    entity.resumes.push(debt);
                    self.wake(at, stream);
                }
                Due::Attempt { .. } => {}
            }
        }
        self.crash_here(at.node, Class::CrashStarting, 30_000);
    }

    /// Faults that strike at an hour, not at a point.
    pub fn disaster(&mut self) {
        let node = self.nodes.iter().position(|node| node.alive).unwrap_or(0);
        let until = self.now.plus_ms(self.chance.between(20_000, 300_000));
        match self.chance.below(6) {
            0 if self.strikes(Fault::Crash, 1_000_000) && self.nodes[node].alive => {
                self.count(Class::CrashIdle);
                self.crash(node);
            }
            1 if self.strikes(Fault::Takeover, 1_000_000) && self.nodes.len() > 1 => {
                let other = (node + 1) % self.nodes.len();
                if self.chance.happens(500_000) && !self.nodes[other].alive && self.nodes[node].alive {
                    self.nodes[node].frozen_until = until;
                    self.after_us(TTL_US + 200_000, Act::Start(other, false));
                } else {
                    self.start(other, true);
                }
            }
            2 if self.strikes(Fault::Database, 1_000_000) => {
                self.count(Class::DatabaseDown);
                self.db.down = true;
                self.at(until, Act::DatabaseUp);
            }
            3 if self.strikes(Fault::Database, 1_000_000) => {
                self.count(Class::DatabaseSlow);
                self.db.slow = true;
                self.at(until, Act::DatabaseUp);
            }
            4 if self.strikes(Fault::Clock, 1_000_000) => {
                let forward = self.chance.happens(500_000);
                self.count(if forward { Class::ClockForward } else { Class::ClockBack });
                let step = self.chance.between(1_000_000, 2 * 3_600_000_000);
                self.step_clock(node, if forward { step } else { -step });
                self.at(until, Act::ClockRight(node));
            }
            5 if self.strikes(Fault::Poison, 1_000_000) => self.poison(),
            _ => {}
        }
    }

    /// The clock of a machine jumps to so much beside the right time.
    pub fn step_clock(&mut self, node: usize, offset: i64) {
        self.nodes[node].offset = offset;
        let at = NodeRef { node, life: self.nodes[node].life };
        (self.nodes[node].alarm, self.nodes[node].refill_armed) = (None, None);
        if self.nodes[node].alive {
            self.set_alarm(at);
            self.grant(at);
        }
    }

    /// Whether nothing is owed but timers of the future, and nothing is on its way.
    pub fn is_quiet(&self) -> bool {
        let future = |owed: &Owed| {
            let debt = &owed.debt;
            let waits = debt.is_timer() && debt.due_at > self.now;
            // A step that is tried again tomorrow keeps its run from its end, and is no work under way.
            let soon = debt.due_at < self.now.plus_ms(86_400_000);
            waits && !(soon && debt.key.starts_with("retry:"))
        };
        self.db.shards.iter().all(|table| table.owed.values().all(future)) && self.clients_heard()
    }
}

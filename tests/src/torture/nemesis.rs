//! The nemesis: brings each kind of fault about, and tells the history when it began and ended.
//!
//! Owns: what is done, and what the program may do about it. Refuses to know: how often; what must hold afterwards.

use std::{os::unix::process::ExitStatusExt, time::Duration};

use serde_json::json;

use super::{
    faults::Fault,
    stage::{LIMIT, Stage},
};
use crate::{
    daemon::{Daemon, Signal},
    eventually, postgres,
};

/// Points at which the program can be made to abort, with how many passings it may be given before.
const POINTS: [(&str, u64); 10] = [
    ("decided", 40),
    ("committed", 40),
    ("handed_over", 40),
    ("before_effect", 8),
    ("after_effect", 8),
    ("looked", 2),
    ("folded", 30),
    ("projected", 30),
    ("timer_due", 4),
    ("granted", 8),
];

/// A point that is not passed often enough in this time is left; then the kill is by signal.
const POINT_LIMIT: Duration = Duration::from_millis(2_500);

impl Stage {
    /// Brings a fault about, with the daemon up before it where it takes one.
    ///
    /// # Panics
    /// The program ends where it must not, or does not come back.
    pub fn strike(&mut self, fault: Fault) {
        match fault {
            Fault::KillStart | Fault::KillPoint => {}
            _ => {
                self.up();
                self.go_on(16, 20_000);
            }
        }
        let done = match fault {
            Fault::KillLoad => self.during(fault, Self::kill),
            Fault::KillStart => self.kill_start(),
            Fault::KillPoint => self.kill_point(),
            Fault::KillIdle => self.kill_idle(),
            Fault::Terminate => self.during(fault, Self::stop),
            Fault::Freeze => self.freeze(),
            Fault::SecondProcess => self.second_process(),
            Fault::FreezeTakeover => self.freeze_takeover(),
            Fault::ClockAhead => self.clock(fault),
            Fault::ClockBack => self.clock(fault),
            Fault::DiskFull => self.disk_full(),
            Fault::AgentCut | Fault::AgentHalfOpen => self.agents(fault),
            _ => self.database(fault),
        };
        self.counts.add(done);
    }

    fn mark(&self, fault: Fault, phase: &str) {
        self.history.note(json!({"what": "fault", "class": fault.name(), "phase": phase}));
    }

    fn during(&mut self, fault: Fault, act: impl FnOnce(&mut Self)) -> Fault {
        self.mark(fault, "begin");
        act(self);
        self.mark(fault, "end");
        fault
    }

    /// Lets the daemon run while something is broken; it may give up where the database is gone.
    fn endure(&mut self, entries: u64, ms: u64) {
        self.go_on(entries, ms);
        let Some(mut daemon) = self.daemon.take() else { return };
        match daemon.ended() {
            Some(status) => {
                let _ = daemon.end();
                self.note_end(status, &daemon);
            }
            None => self.daemon = Some(daemon),
        }
    }

    fn kill_what_runs(&mut self) {
        if self.daemon.is_some() {
            let fault = self.during(Fault::KillLoad, Self::kill);
            self.counts.add(fault);
        }
    }

    fn kill_start(&mut self) -> Fault {
        self.kill_what_runs();
        self.during(Fault::KillStart, |stage| {
            let life = Duration::from_millis(stage.chance.below(500));
            let mut daemon = stage.start(&[]);
            if let Some(status) = daemon.ends_within(life) {
                stage.note_end(status, &daemon);
            }
            let _ = daemon.kill9();
        })
    }

    /// Starts it with a point at which it aborts.
    fn kill_point(&mut self) -> Fault {
        self.kill_what_runs();
        let (point, passings) = POINTS[self.chance.below(POINTS.len() as u64) as usize];
        let spec = format!("{point}:{}", 1 + self.chance.below(passings));
        let (before, mut fault) = (self.nodes[0].clone(), Fault::KillPoint);
        self.nodes[0] = before.clone().with_env("NIGHTSHIFT_TORTURE_ABORT", &spec);
        let mut daemon = self.start(&[]);
        self.nodes[0] = before;
        self.mark(fault, "begin");
        if let Some(address) = daemon.ready() {
            self.daemon_at(&address);
        }
        match daemon.ends_within(POINT_LIMIT) {
            // SIGABRT
            Some(status) if status.signal() == Some(6) => {}
            Some(status) => self.note_end(status, &daemon),
            None => {
                fault = Fault::KillLoad;
                let _ = daemon.kill9();
            }
        }
        self.mark(fault, "end");
        fault
    }

    fn kill_idle(&mut self) -> Fault {
        self.client.desk.rest(true);
        let idle = crate::within(LIMIT, || self.client.desk.is_idle().then_some(()));
        let fault = if idle.is_some() { Fault::KillIdle } else { Fault::KillLoad };
        let done = self.during(fault, Self::kill);
        self.client.desk.rest(false);
        done
    }

    /// Stands still for less than its session lives.
    fn freeze(&mut self) -> Fault {
        self.mark(Fault::Freeze, "begin");
        self.signal(Signal::STOP);
        let ms = 200 + self.chance.below(1_200);
        self.go_on(1_000, ms);
        self.signal(Signal::CONT);
        self.mark(Fault::Freeze, "end");
        Fault::Freeze
    }

    fn signal(&self, signal: Signal) {
        if let Some(daemon) = &self.daemon {
            daemon.signal(signal);
        }
    }

    fn second_process(&mut self) -> Fault {
        self.during(Fault::SecondProcess, |stage| {
            if stage.behind.is_none() {
                let mut second = stage.start(&[]);
                assert_eq!(second.end().code(), Some(73), "{}", second.log());
                return;
            }
            let mut second = stage.standby();
            stage.kill();
            stage.succeed(&mut second);
            stage.daemon = Some(second);
        })
    }

    /// Another process on the same store that waits for its turn.
    fn standby(&self) -> Daemon {
        let mut second = self.nodes[1].serve();
        eventually("the standby to stand by", LIMIT, || {
            assert!(second.ended().is_none(), "the standby ended:\n{}", second.log());
            (second.log().contains("standing by") || second.log().contains("ready: ")).then_some(())
        });
        second
    }

    /// The second process is the first from now on.
    fn succeed(&mut self, second: &mut Daemon) {
        let address = second.address();
        self.nodes.swap(0, 1);
        self.daemon_at(&address);
    }

    fn freeze_takeover(&mut self) -> Fault {
        self.during(Fault::FreezeTakeover, |stage| {
            let mut second = stage.standby();
            stage.signal(Signal::STOP);
            stage.succeed(&mut second);
            let first = stage.daemon.replace(second);
            stage.go_on(40, 2_000);
            if let Some(mut first) = first {
                first.signal(Signal::CONT);
                let status = first.end();
                assert_eq!(status.code(), Some(75), "it was replaced, {status}:\n{}", first.log());
            }
        })
    }

    fn clock(&mut self, fault: Fault) -> Fault {
        let seconds = i64::try_from(1 + self.chance.below(90)).unwrap_or(1);
        let by_ms = match fault {
            Fault::ClockBack => -1_000 * (seconds % 8 + 1),
            // Now and then by hours: every lease is over, every timer is due.
            _ if self.chance.one_in(4) => 3_600_000 * (1 + seconds % 5),
            _ => 1_000 * seconds,
        };
        self.during(fault, |stage| {
            stage.move_clock(by_ms);
            stage.endure(30, 800);
        })
    }

    fn disk_full(&mut self) -> Fault {
        let Some(pid) = self.daemon.as_ref().map(Daemon::pid) else { return Fault::DiskFull };
        self.during(Fault::DiskFull, |stage| {
            if let Some(disk) = &stage.disk {
                disk.fill(pid);
            }
            let ms = 500 + stage.chance.below(1_500);
            stage.endure(1_000, ms);
            if let Some(disk) = &stage.disk {
                disk.free(stage.daemon.as_ref().map(Daemon::pid));
            }
        })
    }

    fn agents(&mut self, fault: Fault) -> Fault {
        self.during(fault, |stage| match fault {
            Fault::AgentCut => {
                // In the middle of something, if there is anything to be in the middle of.
                let before = stage.way.cut();
                let _ = crate::within(Duration::from_secs(2), || {
                    stage.way.cut_all();
                    (stage.way.cut() > before).then_some(())
                });
            }
            _ => {
                stage.way.stand_still();
                let ms = 300 + stage.chance.below(900);
                stage.endure(1_000, ms);
                stage.way.heal();
            }
        })
    }

    fn database(&mut self, fault: Fault) -> Fault {
        let ms = 200 + self.chance.below(900);
        self.during(fault, |stage| {
            let Some(behind) = &mut stage.behind else { return };
            match fault {
                Fault::KillServer => {
                    behind.server.kill9();
                    stage.endure(1_000, ms);
                    if let Some(behind) = &mut stage.behind {
                        behind.server.start_on_loopback(&[]);
                    }
                }
                Fault::EndSessions => {
                    let _ = postgres::end_sessions(&behind.url);
                    stage.endure(30, ms);
                }
                Fault::LoseAnswer => {
                    behind.way.lose_next_answer();
                    stage.endure(30, ms);
                }
                Fault::Delay => {
                    behind.way.delay(Duration::from_millis(5 + ms / 10));
                    stage.endure(60, 2 * ms);
                }
                Fault::HalfOpen => {
                    behind.way.stand_still();
                    stage.endure(1_000, 3 * ms);
                }
                _ => {
                    behind.way.cut_all();
                    stage.endure(30, ms);
                }
            }
            if let Some(behind) = &stage.behind {
                behind.way.heal();
            }
        })
    }
}

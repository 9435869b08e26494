//! A program and the process group it leads.
//!
//! Owns: how a group ends: by itself, asked first, or at once; and that it ends however its owner does.
//! Refuses to know: what the program is for and what it says.
//!
//! Invariant: whoever drops a [`Group`] ends every process in it, down to those that the program started.

use std::{io, process::ExitStatus, time::Duration};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::{Child, ChildStderr, ChildStdout};

/// A child and the group it leads.
pub(crate) struct Group {
    leader: Leader,
    pipes: Pipes,
}

/// The child. One whose group is known to be ended, or is watched by another, has no number.
#[derive(Default)]
pub(crate) struct Leader {
    pid: Option<Pid>,
    child: Option<Child>,
    /// Between asking the group to end and ending it; zero: it is not asked.
    grace: Duration,
}

/// What it writes to. None: nobody writes there any more. They are closed with the group and not before, since a
/// program that is asked to end may still have something to say.
#[derive(Default)]
pub(crate) struct Pipes {
    pub stdout: Option<ChildStdout>,
    pub stderr: Option<ChildStderr>,
}

impl Group {
    pub(crate) fn new(mut child: Child, grace: Duration) -> Self {
        let pid = child.id().and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?));
        let pipes = Pipes { stdout: child.stdout.take(), stderr: child.stderr.take() };
        Self { leader: Leader { pid, child: Some(child), grace }, pipes }
    }

    /// The child to wait for, and what it writes to.
    pub(crate) fn parts(&mut self) -> (&mut Leader, &mut Pipes) {
        (&mut self.leader, &mut self.pipes)
    }
}

impl Leader {
    pub(crate) fn child(&mut self) -> &mut Child {
        self.child.as_mut().expect("a leader has its child until its group is dropped")
    }

    /// Waits for the child, and leaves alone what it left behind.
    pub(crate) async fn alone(&mut self) -> io::Result<ExitStatus> {
        let status = self.child().wait().await?;
        self.pid = None;
        Ok(status)
    }

    /// Waits for the child, then ends what it left behind in its group.
    pub(crate) async fn finished(&mut self) -> io::Result<ExitStatus> {
        let status = self.child().wait().await?;
        // The child is reaped, so its number is free once the group is empty. That another group has it within these
        // few instructions would take all numbers to be drawn meanwhile.
        self.kill();
        Ok(status)
    }

    /// Ends the group: asks first, when there is time for it. Returns when the child is reaped.
    pub(crate) async fn end(&mut self) {
        if !self.grace.is_zero() {
            self.signal(Signal::TERM);
            self.wait_for_grace().await;
        }
        self.kill();
        let _ = self.child().wait().await;
    }

    async fn wait_for_grace(&mut self) {
        let grace = self.grace;
        let _ = tokio::time::timeout(grace, self.child().wait()).await;
    }

    fn kill(&mut self) {
        self.signal(Signal::KILL);
        self.pid = None;
    }

    fn signal(&self, signal: Signal) {
        if let Some(pid) = self.pid {
            let _ = kill_process_group(pid, signal);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if self.leader.pid.is_none() || self.leader.grace.is_zero() {
            return self.leader.kill();
        }
        self.leader.signal(Signal::TERM);
        // A task of its own sees to the end. When there is no runtime any more, or it ends before the task does, the
        // group is dropped once more, now without grace, and killed.
        let mut rest = Self { leader: std::mem::take(&mut self.leader), pipes: std::mem::take(&mut self.pipes) };
        let grace = std::mem::take(&mut rest.leader.grace);
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                let _ = tokio::time::timeout(grace, rest.leader.child().wait()).await;
                rest.leader.end().await;
            });
        }
    }
}

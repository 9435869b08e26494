//! What a latency is held against: one small commit and one wake-up of somebody who waits for it; and bare timers.
//!
//! Owns: the pace of the commits, and the one who waits on a file, where no server wakes anybody: a task behind a channel.
//! Refuses to know: SQL, and what is measured beside it.

use nightshift_domain::time::Timestamp;
use nightshift_ports::clock::Clock;
use nightshift_store::bench::RawWake;
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
};

use crate::{
    exit::Exit,
    real::{SystemClock, elapsed},
};

/// What a request of a run writes at least: one event and its command.
const BYTES: usize = 500;

/// So many commits at a pace, each with its wake-up. How long each took, in milliseconds.
pub(super) async fn paced(wake: &mut RawWake, (count, per_s): (u64, u64)) -> Result<Vec<f64>, Exit> {
    let (bell, mut rung) = mpsc::channel::<oneshot::Sender<()>>(1);
    let waiting = tokio::spawn(async move {
        while let Some(answer) = rung.recv().await {
            // Nobody waits for it any more only when the measurement was given up.
            let _ = answer.send(());
        }
    });
    let begin = SystemClock.now();
    let mut waits = Vec::new();
    for n in 0..count {
        let due_ms = n.saturating_mul(1_000) / per_s;
        SystemClock.sleep_until(begin.plus_ms(i64::try_from(due_ms).unwrap_or(i64::MAX))).await;
        let began = elapsed();
        if !wake.commit(BYTES).await? {
            let (answer, answered) = oneshot::channel();
            bell.send(answer).await.map_err(Exit::failed)?;
            answered.await.map_err(Exit::failed)?;
        }
        waits.push((elapsed() - began).as_secs_f64() * 1_000.0);
    }
    drop(bell);
    waiting.await.map_err(Exit::failed)?;
    Ok(waits)
}

/// A bare timer for each instant, while something else is measured in this process. How late each was, in milliseconds.
pub(super) struct Timers(Vec<JoinHandle<f64>>);

impl Timers {
    pub(super) fn at(instants: impl IntoIterator<Item = Timestamp>) -> Self {
        let timer = |at: Timestamp| {
            tokio::spawn(async move {
                SystemClock.sleep_until(at).await;
                SystemClock.now().micros_since(at) as f64 / 1_000.0
            })
        };
        Self(instants.into_iter().map(timer).collect())
    }

    pub(super) async fn late_ms(self) -> Result<Vec<f64>, Exit> {
        let mut late = Vec::with_capacity(self.0.len());
        for timer in self.0 {
            late.push(timer.await.map_err(Exit::failed)?);
        }
        Ok(late)
    }
}

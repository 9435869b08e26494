//! Torture of the real program: real databases, everything breaks, and what the outside saw is checked.
//!
//! Owns: the course of a storm and its report. A storm has an outside (`agents`, `mail`, `client`, with `orders` and the
//! `history` of all of it), a `stage` with the program's processes and what they stand on, a `nemesis` that brings `faults`
//! about, and a `checker` that holds the history against what the program says in the end.
//! Refuses to know: any crate of the product.

pub mod agents;
pub mod checker;
pub mod client;
pub mod disk;
pub mod faults;
pub mod history;
pub mod mail;
mod nemesis;
pub mod orders;
pub mod report;
pub mod stage;

use std::time::Duration;

use faults::{Database, Fault};
use report::Report;
use stage::Stage;

use crate::{Stopwatch, lcg::Lcg};

/// When nobody disturbs it any more, everything ends within this.
const QUIET_LIMIT: Duration = Duration::from_secs(240);

/// A storm as it is asked for.
#[derive(Debug, Clone)]
pub struct Storm {
    /// On which database.
    pub database: Database,
    /// Of which choices follow, though not their instants.
    pub seed: u64,
    /// Processes to be killed, at least.
    pub kills: u32,
    /// No fault begins later than this.
    pub limit: Duration,
    /// Orders open at once.
    pub open_max: usize,
    /// Progress is printed, and kills are many.
    pub is_long: bool,
    /// Only these faults; empty: all there are.
    pub only: Vec<Fault>,
}

impl Storm {
    /// The faults that it is made of.
    #[must_use]
    pub fn faults(&self) -> Vec<Fault> {
        let mut all = Fault::of(self.database);
        all.retain(|fault| self.only.is_empty() || self.only.contains(fault));
        all
    }
}

/// Lives through a storm. None on a machine without the database.
///
/// # Panics
/// The program ends where it must not, or does not come back.
#[must_use]
pub fn live_through(storm: &Storm) -> Option<Report> {
    let name = storm.database.as_str();
    println!("torture: {name}, seed {}", storm.seed);
    let watch = Stopwatch::start();
    let mut stage = Stage::new(storm.database, storm.seed, storm.open_max)?;
    let mut order = Lcg::new(storm.seed ^ 0x5eed);
    let mut round = Vec::new();
    let mut told = 0;
    loop {
        let is_late = watch.elapsed() >= storm.limit;
        let is_enough = stage.counts.kills() >= storm.kills && stage.counts.missing(&storm.faults()).is_empty();
        if is_late || is_enough {
            break;
        }
        if round.is_empty() {
            round = a_round(storm, &mut order);
        }
        let Some(fault) = round.pop() else { break };
        stage.strike(fault);
        if storm.is_long && stage.counts.kills() / 25 > told {
            told = stage.counts.kills() / 25;
            println!(
                "torture: {name}: {} kills in {:?}, {} entries",
                stage.counts.kills(),
                watch.elapsed(),
                stage.history.len()
            );
        }
    }
    println!("torture: {name}: the storm is over after {:?}; waiting until everything has ended", watch.elapsed());
    Some(Report::of(storm, &mut stage, watch))
}

/// Each kind once, in an order that follows from the seed, and kills between them so that they are many.
fn a_round(storm: &Storm, chance: &mut Lcg) -> Vec<Fault> {
    let mut round = storm.faults();
    if storm.is_long && storm.only.is_empty() {
        let kills = [Fault::KillLoad, Fault::KillPoint, Fault::KillLoad, Fault::KillStart];
        round.extend((0..80).map(|nth| kills[nth % kills.len()]));
        if storm.database == Database::Postgres {
            round.extend([Fault::KillServer; 8]);
        }
    }
    for at in (1..round.len()).rev() {
        let other = chance.below(at as u64 + 1) as usize;
        round.swap(at, other);
    }
    round
}

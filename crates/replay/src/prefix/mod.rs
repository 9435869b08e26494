//! Every prefix of a fixture, recovered and continued.
//!
//! Owns: where a history is cut, and that what follows a cut is the real tree on the in-memory store with performers
//! that answer from the recording. Refuses to know: what a decider may say; the auditor judges results only.
//!
//! A real performer cannot get in here: the performers are made in this module, and no crate with real ones is a
//! dependency.

mod audit;
mod drive;
mod load;
mod recording;
mod script;
pub(crate) mod steps;

use std::{collections::HashSet, sync::Arc};

use nightshift_domain::{
    codec,
    decider::RecordedCtx,
    ids::{CommandId, derive_u64},
    time::Timestamp,
};
use nightshift_ports::memory::MemoryStore;

pub use audit::{Evidence, audit};
pub use script::Performed;

use crate::{
    error::Error,
    fixture::Fixture,
    order::{self, Commit},
};
use recording::Recording;

/// Fixtures up to so many commits are cut at each of them; longer ones at every k-th.
const CUTS_MAX: usize = 200;

/// A fixture that can be cut anywhere.
pub struct Prefixes {
    fixture: Fixture,
    commits: Vec<Commit>,
    recording: Arc<Recording>,
    /// Commands that nobody has to ask again: streams tell them.
    told_inside: HashSet<CommandId>,
}

/// What became of a prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovered {
    /// Commits of the prefix.
    pub cut: usize,
    /// Events that were appended after it.
    pub events_after: u64,
    /// What should not be so; empty when all is well.
    pub faults: Vec<String>,
}

/// Prepares the prefixes of a fixture.
///
/// # Errors
/// A payload does not decode, or commands are not kept any more: without them nobody knows what was owed at a cut.
pub fn prefixes(fixture: &Fixture) -> Result<Prefixes, Error> {
    let commits = order::commits(fixture)?;
    if let Some(lonely) = commits.iter().find(|commit| commit.command.is_none()) {
        let why = "its events have no commands beside them; capture while commands are still kept";
        return Err(Error::format(lonely.stream, why));
    }
    let recording = Arc::new(Recording::of(&commits)?);
    let told_inside = order::told_inside(&commits)?;
    Ok(Prefixes { fixture: fixture.clone(), commits, recording, told_inside })
}

impl Prefixes {
    /// How many commits the fixture has.
    #[must_use]
    pub fn commits(&self) -> usize {
        self.commits.len()
    }

    /// Every how many commits it is cut.
    #[must_use]
    pub fn every(&self) -> usize {
        self.commits.len().div_ceil(CUTS_MAX).max(1)
    }

    /// Where it is cut: after so many commits; before the first and after the last always.
    #[must_use]
    pub fn cuts(&self) -> Vec<usize> {
        let mut cuts: Vec<usize> = (0..=self.commits.len()).step_by(self.every()).collect();
        if cuts.last() != Some(&self.commits.len()) {
            cuts.push(self.commits.len());
        }
        cuts
    }

    /// The commit after which a cut is, for people.
    #[must_use]
    pub fn describe(&self, cut: usize) -> String {
        let last = cut.checked_sub(1).and_then(|at| self.commits.get(at));
        let Some(Commit { stream, command: Some(command), events, .. }) = last else {
            return "before everything".to_owned();
        };
        let kinds: Vec<&str> = events.iter().map(|event| event.event_type.as_str()).collect();
        format!(
            "after {} to {stream} [{}]",
            crate::decide::name_of(stream.kind, &command.record.payload),
            kinds.join(", ")
        )
    }

    /// Recovers the prefix of `cut` commits and continues it to the fixture's end.
    ///
    /// # Errors
    /// The prefix could not be loaded. Whatever goes wrong after is a fault in the result.
    pub async fn recover(&self, cut: usize) -> Result<Recovered, Error> {
        let (prefix, rest) = self.commits.split_at(cut.min(self.commits.len()));
        let start = instant_of(prefix.iter().max_by_key(|commit| at_of(commit)).or(rest.first()));
        let clock = nightshift_ports::clock::ManualClock::at(start);
        let cluster = nightshift_domain::ids::derive("replay", &[]);
        let store = Arc::new(MemoryStore::new(cluster, self.fixture.about.shard_count, Arc::new(clock.clone())));
        load::load(&store, &self.fixture, prefix).await?;
        let stage = drive::Stage {
            store: Arc::clone(&store),
            clock,
            seed: derive_u64("prefix", &[&(cut as u64).to_be_bytes()]),
            end: self.commits.iter().map(at_of).max().unwrap_or(start),
            recording: Arc::clone(&self.recording),
        };
        let driven = drive::live_on(&stage, (&self.told_inside, rest)).await?;
        let evidence = Evidence::gather(&store, &self.recording, &self.fixture, &driven, prefix).await?;
        let before: u64 = prefix.iter().map(|commit| commit.events.len() as u64).sum();
        let mut faults = driven.faults;
        faults.extend(audit(&evidence));
        Ok(Recovered { cut, events_after: evidence.events.len() as u64 - before, faults })
    }
}

/// The instant at which a commit was decided.
fn at_of(commit: &Commit) -> Timestamp {
    let ctx = commit.command.as_ref().map(|command| codec::from_bytes::<RecordedCtx>("context", &command.record.ctx));
    match ctx {
        Some(Ok(ctx)) => ctx.now,
        _ => commit.events.last().map_or(Timestamp(0), |event| event.at),
    }
}

fn instant_of(commit: Option<&Commit>) -> Timestamp {
    commit.map_or(Timestamp(0), at_of)
}

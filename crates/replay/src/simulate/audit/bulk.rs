//! Bulk jobs: each letter is told once, and its answer is what its run made of it.
//!
//! Owns: I27. Refuses to know: which letters should have been chosen.

use std::collections::{BTreeMap, BTreeSet};

use nightshift_domain::{
    bulk::Event,
    ids::{CommandId, StreamId},
    time::Timestamp,
};

use super::Audit;
use crate::simulate::{Invariant, database::Fact};

/// What was seen of a bulk job.
#[derive(Debug, Default)]
pub struct BulkView {
    told: BTreeSet<String>,
    /// Letters that have not answered.
    open: BTreeMap<u64, String>,
    chosen: u64,
    over: bool,
}

impl Audit {
    pub(super) fn bulk_event(&mut self, fact: &Fact, event: &Event, now: Timestamp) {
        let view = self.bulks.entry(fact.stream).or_default();
        let fault = match event {
            _ if view.over => Some("something happens after its end".to_owned()),
            Event::Created(_) | Event::CancelAsked { .. } => None,
            Event::Chosen { letters, .. } => {
                let early = (!view.open.is_empty()).then(|| "a page is chosen before the last one answered".to_owned());
                let twice = letters.iter().find(|letter| view.told.contains(&letter.to_string())).or_else(|| {
                    let same = |nth: &usize| letters[..*nth].contains(&letters[*nth]);
                    (0..letters.len()).find(same).map(|nth| &letters[nth])
                });
                let twice = twice.map(|letter| format!("letter {letter} is chosen twice"));
                for letter in letters {
                    view.told.insert(letter.to_string());
                    view.open.insert(view.chosen, letter.to_string());
                    view.chosen += 1;
                }
                early.or(twice)
            }
            Event::Answered { nth, letter, refused } => {
                let known = view.open.remove(nth);
                let asked = CommandId::of_obligation(fact.stream, &format!("letter:{nth}"), "tell");
                let made = self.commands.get(&asked).copied();
                if known.as_deref() != Some(&*letter.to_string()) {
                    Some(format!("letter {nth} is {letter}, and {known:?} was asked"))
                } else if made != Some(refused.is_none()) {
                    Some(format!("letter {letter} answers {refused:?}, and its run made {made:?} of it"))
                } else {
                    None
                }
            }
            Event::Completed {} | Event::Cancelled {} => {
                view.over = true;
                (!view.open.is_empty())
                    .then(|| format!("it is over, and {} letters have not answered", view.open.len()))
            }
        };
        self.holds(Invariant::I27, fault.is_none(), now, || format!("{}: {}", fact.stream, fault.unwrap_or_default()));
    }

    /// Jobs that never ended.
    pub(super) fn stuck_bulks(&mut self, now: Timestamp) {
        let open: Vec<StreamId> = self.bulks.iter().filter(|(_, view)| !view.over).map(|(stream, _)| *stream).collect();
        self.looked(Invariant::I25, self.bulks.len() as u64);
        open.into_iter().for_each(|stream| self.violated(Invariant::I25, format!("{stream} never ended"), now));
    }
}

//! Where a source's stream holds what documents are made of.
//!
//! Owns: the versions of events with content, and of the last good look. Most events of a source that is looked at often
//! say that nothing is new; whoever gathers reads past them.
//! Refuses to know: what the content is, how events are read.
//!
//! Invariant: the stretches of a range hold every event with content in it; what is forgotten is read, never left out.

use serde::{Deserialize, Serialize};

/// The most events that are remembered one by one; of a stream with more, the older part is read as a whole.
pub const PLACES_MAX: usize = 5_000;

/// Two events no further apart than this are read together: a page costs less than a question.
const GAP_MAX: u64 = 16;

/// Where to look.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Places {
    /// Versions of events with content, the oldest first.
    content: Vec<u64>,
    /// Events up to this version may have content that is not remembered.
    forgotten_upto: u64,
    /// Version of the last look that went well; 0 before the first.
    looked: u64,
}

/// Events of the stream after one version up to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stretch {
    /// After this version.
    pub after: u64,
    /// Up to this version, which is included.
    pub upto: u64,
}

impl Places {
    /// An event with content was folded.
    pub(super) fn content(&mut self, version: u64) {
        self.content.push(version);
        let excess = self.content.len().saturating_sub(PLACES_MAX);
        if let Some(newest) = self.content.drain(..excess).next_back() {
            self.forgotten_upto = newest;
        }
    }

    /// A look went well.
    pub(super) fn looked(&mut self, version: u64) {
        self.looked = version;
    }

    /// Version of the last look that went well; 0 before the first.
    #[must_use]
    pub const fn last_look(&self) -> u64 {
        self.looked
    }

    /// What to read for all content after version `from` up to version `upto`, in order and without overlaps.
    #[must_use]
    pub fn stretches(&self, from: u64, upto: u64) -> Vec<Stretch> {
        let mut stretches: Vec<Stretch> = Vec::new();
        let whole = self.forgotten_upto.min(upto);
        if from < whole {
            stretches.push(Stretch { after: from, upto: whole });
        }
        let first = self.content.partition_point(|version| *version <= from);
        for version in self.content[first..].iter().copied().take_while(|version| *version <= upto) {
            match stretches.last_mut().filter(|last| version <= last.upto + GAP_MAX) {
                Some(last) => last.upto = version,
                None => stretches.push(Stretch { after: version - 1, upto: version }),
            }
        }
        stretches
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(versions: &[u64]) -> Places {
        let mut places = Places::default();
        versions.iter().for_each(|version| places.content(*version));
        places
    }

    fn ranges(places: &Places, from: u64, upto: u64) -> Vec<(u64, u64)> {
        places.stretches(from, upto).into_iter().map(|it| (it.after, it.upto)).collect()
    }

    #[test]
    fn what_is_far_apart_is_read_apart() {
        let places = of(&[2, 3, 19, 36, 900]);
        assert_eq!(ranges(&places, 0, 1_000), [(1, 19), (35, 36), (899, 900)]);
        assert_eq!(ranges(&places, 2, 900), [(2, 19), (35, 36), (899, 900)]);
        assert_eq!(ranges(&places, 3, 35), [(18, 19)]);
        assert_eq!(ranges(&places, 36, 899), []);
        assert_eq!(ranges(&places, 900, 900), []);
        assert_eq!(ranges(&Places::default(), 0, 9), []);
    }

    #[test]
    fn a_part_that_is_forgotten_is_read_as_a_whole() {
        let versions: Vec<u64> = (1..=PLACES_MAX as u64 + 2).map(|n| n * 100).collect();
        let places = of(&versions);
        assert_eq!(places.content.len(), PLACES_MAX);
        assert_eq!(ranges(&places, 0, 350), [(0, 200), (299, 300)]);
        assert_eq!(ranges(&places, 150, 299), [(150, 200)]);
        assert_eq!(ranges(&places, 50, 120), [(50, 120)]);
        assert_eq!(ranges(&places, 200, 400), [(299, 300), (399, 400)]);
    }

    proptest! {
        #[test]
        fn all_content_of_any_range_is_read_once_and_little_else(
            gaps in prop::collection::vec(1..60_u64, 0..60),
            (from, upto) in (0..2_000_u64, 0..2_000_u64),
        ) {
            let versions: Vec<u64> = gaps.iter().scan(0, |at, gap| { *at += gap; Some(*at) }).collect();
            let places = of(&versions);
            let read: Vec<u64> = places.stretches(from, upto).iter().flat_map(|it| it.after + 1..=it.upto).collect();
            prop_assert!(read.is_sorted_by(|a, b| a < b), "{:?}", read);
            prop_assert!(read.iter().all(|version| *version > from && *version <= upto), "{:?}", read);
            let wanted: Vec<u64> = versions.into_iter().filter(|version| *version > from && *version <= upto).collect();
            prop_assert!(wanted.iter().all(|version| read.contains(version)), "{:?} of {:?}", read, wanted);
            prop_assert!(read.len() as u64 <= wanted.len() as u64 * GAP_MAX, "{:?} for {:?}", read, wanted);
        }
    }
}

//! The search itself, on a world small enough to count by hand.
//!
//! Owns: a counter that goes up and down. Refuses to know: the product.

use std::fmt;

use nightshift_model::explore::{Broken, Model, STUCK, Seen, bytes_of, explore};

/// Counts from 0 to `top`; at `hole` it may fall, and then it never comes back.
struct Counter {
    top: u8,
    hole: Option<u8>,
    forbidden: Option<u8>,
}

#[derive(Clone, Copy)]
enum Step {
    Up,
    Down,
    Fall,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Up => "up",
            Self::Down => "down",
            Self::Fall => "fall",
        })
    }
}

/// Where it lies after a fall.
const BOTTOM: u8 = u8::MAX;

impl Model for Counter {
    type State = u8;
    type Step = Step;

    fn start(&self) -> u8 {
        0
    }

    fn steps(&self, at: &u8) -> Vec<Step> {
        if *at == BOTTOM {
            return vec![];
        }
        let up = (*at < self.top).then_some(Step::Up);
        let down = (*at > 0).then_some(Step::Down);
        up.into_iter().chain(down).chain((self.hole == Some(*at)).then_some(Step::Fall)).collect()
    }

    fn take(&self, at: &u8, step: &Step, seen: &mut Seen) -> u8 {
        match step {
            Step::Up => at + 1,
            Step::Down => at - 1,
            Step::Fall => {
                seen.note("fall");
                BOTTOM
            }
        }
    }

    fn key(&self, at: &u8) -> Vec<u8> {
        bytes_of(at)
    }

    fn broken(&self, at: &u8) -> Vec<Broken> {
        (self.forbidden == Some(*at)).then(|| Broken::new("not here", at.to_string())).into_iter().collect()
    }

    fn is_fault(&self, step: &Step) -> bool {
        matches!(step, Step::Fall)
    }

    fn at_rest(&self, at: &u8) -> bool {
        *at == self.top
    }
}

const SOUND: Counter = Counter { top: 5, hole: None, forbidden: None };

#[test]
fn everything_is_looked_at_once() {
    let explored = explore(&SOUND, 100);
    assert!(explored.complete && explored.found.is_none());
    assert_eq!((explored.states, explored.transitions, explored.depth, explored.at_rest), (6, 10, 5, 1));
}

#[test]
fn the_shortest_way_to_a_fault_is_told() {
    let found = explore(&Counter { forbidden: Some(3), ..SOUND }, 100).found.expect("found");
    assert_eq!((found.broken.property, found.path), ("not here", vec!["up".to_owned(); 3]));
}

#[test]
fn a_state_from_which_the_end_cannot_be_reached_is_found_though_there_are_cycles() {
    let explored = explore(&Counter { hole: Some(2), ..SOUND }, 100);
    assert_eq!(explored.seen.times("fall"), 1);
    let found = explored.found.expect("found");
    assert_eq!((found.broken.property, found.path.join(" ").as_str()), (STUCK, "up up fall"));
}

#[test]
fn the_end_is_not_reached_by_a_fault() {
    // Down at the bottom nothing is at rest, and the way there is a fault: the top is what counts.
    assert!(explore(&Counter { top: 0, hole: None, forbidden: None }, 100).found.is_none());
}

#[test]
fn a_search_that_was_cut_says_so() {
    assert!(!explore(&SOUND, 3).complete);
}

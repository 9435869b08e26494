//! Which request a step is at: what its idempotency key is made of.
//!
//! Owns: when the other side is asked for something else. Refuses to know: steps, events, and who asks.
//!
//! Invariant: between two attempts under one number nothing changed that the request is made of.

use serde::{Deserialize, Serialize};

/// The request that the attempts of a step make.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Round {
    /// Its number, from 0.
    pub number: u32,
    /// An attempt was made at it: the other side may have done it.
    tried: bool,
    /// What it is made of may have changed since.
    stale: bool,
}

impl Round {
    /// The first, at which nothing was tried.
    pub const FIRST: Self = Self { number: 0, tried: false, stale: false };

    /// An attempt begins. What was asked for before is not asked for under the same number when it has changed.
    pub const fn begin(&mut self) {
        if self.stale {
            self.pass();
        }
        self.tried = true;
    }

    /// Something that it is made of is made anew. A request that was never made is still the first of its number.
    pub const fn touch(&mut self) {
        self.stale = self.tried;
    }

    /// Something else is asked for from now on, or the same once more.
    pub const fn pass(&mut self) {
        *self = Self { number: self.number + 1, tried: false, stale: false };
    }

    /// The request of an element of a list is forgotten with the list; the next elements go on where it was.
    pub fn absorb(&mut self, element: Self) {
        self.number = self.number.max(element.number);
        self.tried |= element.tried;
        self.stale |= element.stale;
    }
}

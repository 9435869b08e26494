//! Chance that can be repeated.
//!
//! Owns: a generator whose whole run follows from its seed. Refuses to know: what is drawn for.

/// A sequence of numbers that follows from its seed (SplitMix64).
#[derive(Debug, Clone)]
pub struct Chance(u64);

impl Chance {
    /// The sequence of a seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from 0 to `bound` - 1; 0 when there is none.
    pub const fn below(&mut self, bound: usize) -> usize {
        if bound == 0 { 0 } else { (self.next() % bound as u64) as usize }
    }

    /// True once in `n` times.
    pub const fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    /// One of several; none of none.
    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> Option<&'a T> {
        from.get(self.below(from.len()))
    }

    /// A piece of `length` bytes at most, as start and end.
    pub fn range(&mut self, length: usize, at_most: usize) -> std::ops::Range<usize> {
        let start = self.below(length + 1);
        // Short pieces more often than long ones.
        let bits = self.below(usize::BITS as usize - at_most.max(1).leading_zeros() as usize + 1);
        let wanted = self.below(1 << bits.min(30));
        start..(start + wanted.min(at_most)).min(length)
    }
}

//! Chance that can be repeated: a linear congruential generator whose seed is printed with the test.

/// A sequence of numbers that follows from its seed.
#[derive(Debug, Clone)]
pub struct Lcg(u64);

impl Lcg {
    /// The sequence of a seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed ^ 0x9e37_79b9_7f4a_7c15)
    }

    /// A number from 0 to `bound` - 1; 0 when there is none.
    pub fn below(&mut self, bound: u64) -> u64 {
        // Knuth's constants; the low bits of such a generator have short periods and are left out.
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound.max(1)
    }

    /// True once in `n` times.
    pub fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_is_the_same_sequence_and_spreads() {
        let draw = |seed| {
            let mut lcg = Lcg::new(seed);
            (0..1_000).map(|_| lcg.below(10)).collect::<Vec<_>>()
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
        for digit in 0..10 {
            let count = draw(7).iter().filter(|drawn| **drawn == digit).count();
            assert!((60..140).contains(&count), "{digit} came {count} times of 1000");
        }
    }
}

//! Chance that a seed decides.
//!
//! Owns: one stream of draws. Refuses to know: what is drawn for.

use nightshift_domain::ids::derive_u64;
use uuid::{Builder, Uuid};

/// A stream of draws (splitmix64).
#[derive(Debug, Clone)]
pub struct Chance(u64);

impl Chance {
    /// The stream that a seed and a name give.
    pub fn of(seed: u64, name: &str) -> Self {
        Self(derive_u64("simulate", &[&seed.to_be_bytes(), name.as_bytes()]))
    }

    /// The next draw.
    pub const fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `n`, which is at least 1.
    pub const fn below(&mut self, n: u64) -> u64 {
        self.draw() % if n == 0 { 1 } else { n }
    }

    /// A number from `low` to `high`, both possible.
    pub fn between(&mut self, low: i64, high: i64) -> i64 {
        low + i64::try_from(self.below(high.saturating_sub(low).unsigned_abs() + 1)).unwrap_or(0)
    }

    /// True so many times in a million.
    pub const fn happens(&mut self, per_million: u64) -> bool {
        per_million > 0 && self.below(1_000_000) < per_million
    }

    /// One of several; `all` is not empty.
    pub fn pick<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        let at = self.below(all.len() as u64);
        &all[usize::try_from(at).unwrap_or(0)]
    }

    /// An id that was not drawn before.
    pub fn id(&mut self) -> Uuid {
        let drawn = (u128::from(self.draw()) << 64) | u128::from(self.draw());
        Builder::from_custom_bytes(drawn.to_be_bytes()).into_uuid()
    }
}

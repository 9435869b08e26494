//! Maps by ids, which are spread evenly already: nothing is gained by a slow hash, and their order is the same on every
//! machine.
//!
//! Owns: the hash. Refuses to know: what is kept. Never for keys that an enemy chooses.

use std::{
    collections::{HashMap, HashSet},
    hash::{BuildHasherDefault, Hasher},
};

/// A map.
pub type Map<K, V> = HashMap<K, V, BuildHasherDefault<Quick>>;

/// A set.
pub type Set<K> = HashSet<K, BuildHasherDefault<Quick>>;

/// Rotates and multiplies, eight bytes at a time.
#[derive(Debug, Clone, Copy, Default)]
pub struct Quick(u64);

impl Quick {
    const fn add(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95);
    }
}

impl Hasher for Quick {
    fn finish(&self) -> u64 {
        self.0.rotate_left(26)
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let word = chunk.iter().fold(0, |word, byte| (word << 8) | u64::from(*byte));
            self.add(word);
        }
    }

    fn write_u8(&mut self, word: u8) {
        self.add(u64::from(word));
    }

    fn write_u16(&mut self, word: u16) {
        self.add(u64::from(word));
    }

    fn write_u64(&mut self, word: u64) {
        self.add(word);
    }

    fn write_usize(&mut self, word: usize) {
        self.add(word as u64);
    }
}

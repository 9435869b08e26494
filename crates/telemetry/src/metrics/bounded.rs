//! A map with an upper bound: the oldest entry makes room.
//!
//! Owns: order of arrival and the bound. Refuses to know: what it holds.

use std::{
    collections::{BTreeMap, HashMap},
    hash::Hash,
};

#[derive(Debug)]
pub(super) struct Bounded<K, V> {
    entries: HashMap<K, (u64, V)>,
    by_arrival: BTreeMap<u64, K>,
    next: u64,
    most: usize,
}

impl<K: Hash + Eq + Copy, V> Bounded<K, V> {
    pub(super) fn new(most: usize) -> Self {
        Self { entries: HashMap::new(), by_arrival: BTreeMap::new(), next: 0, most }
    }

    pub(super) fn insert(&mut self, key: K, value: V) {
        self.remove(&key);
        while self.entries.len() >= self.most {
            let Some((_, oldest)) = self.by_arrival.pop_first() else {
                break;
            };
            self.entries.remove(&oldest);
        }
        self.by_arrival.insert(self.next, key);
        self.entries.insert(key, (self.next, value));
        self.next += 1;
    }

    pub(super) fn get(&self, key: &K) -> Option<&V> {
        self.entries.get(key).map(|(_, value)| value)
    }

    pub(super) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.entries.get_mut(key).map(|(_, value)| value)
    }

    pub(super) fn remove(&mut self, key: &K) -> Option<V> {
        let (arrival, value) = self.entries.remove(key)?;
        self.by_arrival.remove(&arrival);
        Some(value)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_makes_room_and_what_left_leaves_nothing_behind() {
        let mut map = Bounded::new(3);
        for key in 0..1_000 {
            map.insert(key, key * 10);
            if key % 2 == 0 {
                map.remove(&key);
            }
        }
        assert_eq!((map.len(), map.by_arrival.len()), (3, 3));
        assert_eq!(
            [994, 995, 997, 999].map(|key| map.get(&key).copied()),
            [None, Some(9_950), Some(9_970), Some(9_990)]
        );
        map.insert(995, 1);
        map.insert(1_000, 2);
        assert_eq!([995, 997].map(|key| map.get(&key).copied()), [Some(1), None]);
    }
}

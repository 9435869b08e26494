//! API keys: known by their hashes, held to scopes and a rate.
//!
//! Owns: the comparison, and how many requests a key made in its window.
//! Refuses to know: headers, routes. A key itself is never kept: configuration has its SHA-256.

use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
};

use nightshift_domain::time::Timestamp;
use ring::digest;

use super::roles::{Group, Role};

/// What keys that come as bearer tokens begin with.
pub const PREFIX: &str = "ns_";

/// A key that is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// Its name, for records.
    pub name: String,
    /// Whose requests they are.
    pub user: String,
    /// What it may.
    pub roles: BTreeSet<Role>,
    /// Groups of routes it is held to; none: all that its roles may.
    pub scopes: Option<BTreeSet<Group>>,
    /// Groups of people it stands for when approvals name one.
    pub groups: BTreeSet<String>,
    /// SHA-256 of the key.
    pub hash: [u8; 32],
    /// How many requests it may make.
    pub rate: Rate,
}

/// So many requests in each window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Requests; 0 for no limit.
    pub requests: u32,
    /// The window, in milliseconds.
    pub window_ms: i64,
}

impl Default for Rate {
    fn default() -> Self {
        Self { requests: 120, window_ms: 60_000 }
    }
}

/// A hash that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a key's hash is 64 hex digits, its SHA-256 (`printf %s \"$KEY\" | sha256sum`); found {found} characters")]
pub struct BadHash {
    /// How long the text is.
    pub found: usize,
}

/// Reads a SHA-256 as configuration writes it.
///
/// # Errors
/// It is not 64 hex digits.
pub fn parse_hash(text: &str) -> Result<[u8; 32], BadHash> {
    let bad = || BadHash { found: text.chars().count() };
    let digits = text.as_bytes();
    if digits.len() != 64 {
        return Err(bad());
    }
    let mut hash = [0; 32];
    for (byte, pair) in hash.iter_mut().zip(digits.chunks_exact(2)) {
        let pair = std::str::from_utf8(pair).map_err(|_| bad())?;
        if !pair.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(bad());
        }
        *byte = u8::from_str_radix(pair, 16).map_err(|_| bad())?;
    }
    Ok(hash)
}

/// The hash of a key.
#[must_use]
pub fn hash_of(key: &str) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest::digest(&digest::SHA256, key.as_bytes()).as_ref());
    hash
}

/// Whether two texts are the same, in a time that tells nothing but their lengths.
#[must_use]
pub fn same(a: &[u8], b: &[u8]) -> bool {
    let differs = a.iter().zip(b).fold(a.len() ^ b.len(), |acc, (a, b)| acc | usize::from(a ^ b));
    std::hint::black_box(differs) == 0
}

/// The keys and how much each was used.
pub struct ApiKeys {
    known: Vec<ApiKey>,
    used: Mutex<Vec<Window>>,
}

/// What a key did in its window.
#[derive(Debug, Clone, Copy)]
struct Window {
    since: Timestamp,
    requests: u32,
}

impl ApiKeys {
    /// These keys, not used so far.
    #[must_use]
    pub fn new(known: Vec<ApiKey>) -> Self {
        let used = Mutex::new(vec![Window { since: Timestamp(i64::MIN), requests: 0 }; known.len()]);
        Self { known, used }
    }

    /// No key is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// The key of that text, and its place. Every known hash is compared, whatever is found on the way.
    #[must_use]
    pub fn find(&self, key: &str) -> Option<(usize, &ApiKey)> {
        let hash = hash_of(key);
        self.known.iter().enumerate().fold(
            None,
            |found, (place, known)| {
                if same(&known.hash, &hash) { Some((place, known)) } else { found }
            },
        )
    }

    /// Counts a request of the key at `place`.
    ///
    /// # Errors
    /// The window is used up; seconds until the next one, at least 1.
    pub fn admit(&self, place: usize, now: Timestamp) -> Result<(), u64> {
        let Some(key) = self.known.get(place).filter(|key| key.rate.requests > 0) else { return Ok(()) };
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(window) = used.get_mut(place) else { return Ok(()) };
        let ends = window.since.plus_ms(key.rate.window_ms);
        // A clock that was set back begins a window too: nobody waits for an instant that is far away.
        if now >= ends || now < window.since {
            *window = Window { since: now, requests: 0 };
        }
        if window.requests < key.rate.requests {
            window.requests += 1;
            return Ok(());
        }
        let left = window.since.plus_ms(key.rate.window_ms).micros_since(now);
        Err(u64::try_from(left.div_euclid(1_000_000) + i64::from(left.rem_euclid(1_000_000) > 0)).unwrap_or(1).max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str, requests: u32) -> ApiKey {
        ApiKey {
            name: "ci".to_owned(),
            user: "ada".to_owned(),
            roles: BTreeSet::from([Role::Agent]),
            scopes: None,
            groups: BTreeSet::new(),
            hash: hash_of(text),
            rate: Rate { requests, window_ms: 60_000 },
        }
    }

    #[test]
    fn defect_5_12_12_a_key_is_known_by_its_hash_only() {
        let keys = ApiKeys::new(vec![key("ns_one", 1), key("ns_two", 1)]);
        assert_eq!(keys.find("ns_two").unwrap().0, 1);
        for wrong in ["", "ns_", "ns_tw", "ns_two ", "NS_TWO"] {
            assert!(keys.find(wrong).is_none(), "{wrong:?}");
        }
        let written = "6ca13d52ca70c883e0f0bb101e425a89e8624de51db2d2392593af6a84118090";
        assert_eq!(parse_hash(written), Ok(hash_of("abc123")));
        assert_eq!(parse_hash(&written.to_uppercase()), Ok(hash_of("abc123")));
        for wrong in ["", "abc", &written[1..], &format!("+f{}", &written[2..]), &"é".repeat(32)] {
            assert!(parse_hash(wrong).is_err(), "{wrong:?}");
        }
        assert!(same(b"", b"") && same(b"ab", b"ab") && !same(b"ab", b"a") && !same(b"ab", b"ac"));
    }

    #[test]
    fn a_window_holds_so_many_requests_and_says_when_the_next_begins() {
        let keys = ApiKeys::new(vec![key("a", 2), key("b", 0)]);
        let at = |ms: i64| Timestamp::from_secs(1_000).plus_ms(ms);
        let steps = [
            (0, Ok(())),
            (59_000, Ok(())),
            (59_001, Err(1)),
            (30_000, Err(30)),
            (59_999, Err(1)),
            (60_000, Ok(())),
            (60_000, Ok(())),
            (60_001, Err(60)),
            (-1, Ok(())),
        ];
        for (ms, expected) in steps {
            assert_eq!(keys.admit(0, at(ms)), expected, "at {ms} ms");
        }
        assert!((0..1_000).all(|_| keys.admit(1, at(0)).is_ok()), "0 is no limit");
    }
}

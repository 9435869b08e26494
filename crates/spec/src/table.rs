//! Tables of keys: what a map of a document may hold.
//!
//! Owns: the form of a table, other spellings of a key, and what each key takes in words that a schema can be made of.
//! Refuses to know: which documents there are.
//!
//! Invariant: a key that is read and is not in its table fails in a debug build, so that tables stay complete.

/// The keys of a map.
pub struct Table {
    /// Name of the map in a schema.
    pub name: &'static str,
    /// What the map is, for people.
    pub about: &'static str,
    /// Its keys, in the order in which messages list them.
    pub keys: &'static [Key],
}

/// A key of a map.
pub struct Key {
    /// The spelling of this product.
    pub name: &'static str,
    /// Other spellings that mean the same.
    pub also: &'static [&'static str],
    /// What stands behind it.
    pub takes: Takes,
    /// What it means, for people.
    pub about: &'static str,
}

/// What stands behind a key.
pub enum Takes {
    /// Any value; texts in it are templates.
    Any,
    /// A text; a number is taken as it was written.
    Text,
    /// A whole number within a range, or such a number in quotes.
    Whole(i64, i64),
    /// A number, or a number in quotes.
    Number,
    /// `true` or `false`.
    Truth,
    /// `250ms`, `15s`, `5m`, `2h`, `1d`.
    Duration,
    /// One of these words, in upper or lower case.
    Word(&'static [&'static str]),
    /// A text or a list of texts.
    Texts,
    /// A map.
    Map(&'static Table),
    /// A list of maps.
    List(&'static Table),
    /// A map with free names.
    Named(&'static Takes),
    /// One of several forms.
    Either(&'static [Takes]),
}

impl Key {
    /// A key with one spelling.
    pub const fn of(name: &'static str, takes: Takes, about: &'static str) -> Self {
        Self { name, also: &[], takes, about }
    }

    /// The key with other spellings.
    pub const fn also(mut self, also: &'static [&'static str]) -> Self {
        self.also = also;
        self
    }

    /// Whether `word` is one of its spellings.
    pub fn is(&self, word: &str) -> bool {
        self.name == word || self.also.contains(&word)
    }
}

impl Table {
    /// The key of which `word` is a spelling.
    pub fn key(&self, word: &str) -> Option<&'static Key> {
        self.keys.iter().find(|key| key.is(word))
    }

    /// The keys as messages list them.
    pub fn names(&self) -> Vec<&'static str> {
        self.keys.iter().map(|key| key.name).collect()
    }

    /// Every spelling of every key.
    pub fn spellings(&self) -> impl Iterator<Item = &'static str> {
        self.keys.iter().flat_map(|key| std::iter::once(key.name).chain(key.also.iter().copied()))
    }
}

/// Tables may hold each other, so only the name is shown.
impl std::fmt::Debug for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

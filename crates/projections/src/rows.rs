//! The rows a page of events reads and changes.
//!
//! Owns: images by table and key, and which of them changed. One page, one set of final images.
//! Refuses to know: events, databases.
//!
//! Invariant: a row is handed out at most once for each time it changed, however often events touched it.

use std::{collections::HashMap, sync::LazyLock};

use nightshift_domain::recorded::Recorded;
use serde_json::Value;

use crate::{
    table::{Row, RowKey, TableDef},
    tables,
};

/// A row by place of its columns: what folds work on. Names are added when it leaves.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Image {
    values: Vec<Value>,
    shard: u16,
    seq: u64,
}

impl Image {
    /// A row of nulls.
    pub fn blank(table: &TableDef) -> Self {
        Self { values: vec![Value::Null; table.columns.len()], shard: 0, seq: 0 }
    }

    fn from_row(table: &TableDef, mut row: Row) -> Self {
        let values = table.columns.iter().map(|column| row.remove(column.name).unwrap_or(Value::Null)).collect();
        let number = |name: &str| row.get(name).and_then(Value::as_u64).unwrap_or(0);
        Self { values, shard: u16::try_from(number("shard_id")).unwrap_or(0), seq: number("src_seq") }
    }

    fn into_row(self, place: usize) -> Row {
        let Self { mut values, shard, seq } = self;
        let names = SORTED[place].iter().map(|(name, at)| {
            let value = match *at {
                Origin::Column(at) => std::mem::take(&mut values[at]),
                Origin::Shard => Value::from(shard),
                Origin::Seq => Value::from(seq),
            };
            ((*name).to_owned(), value)
        });
        names.collect()
    }

    /// The value in a column.
    pub fn get(&self, column: usize) -> &Value {
        &self.values[column]
    }

    /// The text in a column; empty when there is none.
    pub fn text(&self, column: usize) -> &str {
        self.values[column].as_str().unwrap_or_default()
    }

    /// The number in a column; 0 when there is none.
    pub fn int(&self, column: usize) -> i64 {
        self.values[column].as_i64().unwrap_or(0)
    }

    /// Adds to the number in a column.
    pub fn add(&mut self, column: usize, more: i64) -> &mut Self {
        let sum = self.int(column).saturating_add(more);
        self.set(column, sum)
    }

    /// Whether a column is null.
    pub fn is_null(&self, column: usize) -> bool {
        self.values[column].is_null()
    }

    /// Puts a value into a column.
    pub fn set(&mut self, column: usize, value: impl Into<Value>) -> &mut Self {
        self.values[column] = value.into();
        self
    }

    /// Puts null into columns.
    pub fn clear(&mut self, columns: &[usize]) -> &mut Self {
        columns.iter().for_each(|column| self.values[*column] = Value::Null);
        self
    }

    /// The value in a column, to be changed in place.
    pub fn get_mut(&mut self, column: usize) -> &mut Value {
        &mut self.values[column]
    }
}

/// Where a value of a row comes from.
#[derive(Debug, Clone, Copy)]
enum Origin {
    Column(usize),
    Shard,
    Seq,
}

/// Names of each table in the order of a row's map, which is then built without a search.
static SORTED: LazyLock<Vec<Vec<(&'static str, Origin)>>> = LazyLock::new(|| {
    let sorted = tables::ALL.iter().map(|table| {
        let columns = table.columns.iter().enumerate().map(|(at, column)| (column.name, Origin::Column(at)));
        let mut names: Vec<_> = columns.chain([("shard_id", Origin::Shard), ("src_seq", Origin::Seq)]).collect();
        names.sort_unstable_by_key(|(name, _)| *name);
        names
    });
    sorted.collect()
});

/// What is known of one row.
#[derive(Debug)]
struct Slot {
    place: usize,
    /// Its key, once the row is gone: an image holds its own.
    gone: Option<RowKey>,
    image: Option<Image>,
    changed: bool,
}

/// Final images of the rows that changed, and keys of the rows that are gone.
pub type Changed = (Vec<(&'static TableDef, Row)>, Vec<(&'static TableDef, RowKey)>);

/// The rows a page of events reads and changes. Load what [`crate::reads`] or [`crate::keys`] name, apply the events,
/// take what changed.
#[derive(Debug)]
pub struct Rows {
    index: Vec<HashMap<RowKey, usize>>,
    slots: Vec<Slot>,
    changed: Vec<usize>,
}

impl Default for Rows {
    fn default() -> Self {
        Self { index: vec![HashMap::new(); tables::ALL.len()], slots: Vec::new(), changed: Vec::new() }
    }
}

impl Rows {
    /// No rows.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether it is known what stands under a key, or that nothing does.
    #[must_use]
    pub fn knows(&self, table: &TableDef, key: &[Value]) -> bool {
        tables::place(table).is_some_and(|place| self.index[place].contains_key(key))
    }

    /// Notes what stands under a key in the store; `None` when nothing does. What events of this page made of the row
    /// wins. A table that is not in [`tables::ALL`] is passed over.
    pub fn load(&mut self, table: &'static TableDef, key: RowKey, row: Option<Row>) {
        let Some(place) = tables::place(table) else { return };
        if !self.index[place].contains_key(&key) {
            let image = row.map(|row| Image::from_row(table, row));
            self.insert(place, key, image);
        }
    }

    /// Final images of the rows that changed since the last call, and keys of rows that are gone, in the order in which
    /// they first changed. Forgets everything but its room: the next page loads what it needs, so a write that failed
    /// leaves nothing behind that the store does not hold.
    #[must_use]
    pub fn take_changed(&mut self) -> Changed {
        let (mut upserts, mut deletes) = (Vec::with_capacity(self.changed.len()), Vec::new());
        for at in self.changed.drain(..) {
            let slot = &mut self.slots[at];
            let table = tables::ALL[slot.place];
            match slot.image.take() {
                Some(image) => upserts.push((table, image.into_row(slot.place))),
                None => deletes.extend(slot.gone.take().map(|key| (table, key))),
            }
        }
        self.slots.clear();
        self.index.iter_mut().for_each(HashMap::clear);
        (upserts, deletes)
    }

    /// The row under a key.
    pub(crate) fn peek(&self, table: &'static TableDef, key: &[Value]) -> Option<&Image> {
        let at = self.index[tables::place(table)?].get(key)?;
        self.slots[*at].image.as_ref()
    }

    /// The row under a key, to be changed by an event.
    pub(crate) fn edit(&mut self, table: &'static TableDef, key: &[Value], by: &Recorded) -> Option<&mut Image> {
        let at = *self.index[tables::place(table)?].get(key)?;
        let slot = &mut self.slots[at];
        let image = slot.image.as_mut()?;
        if !slot.changed {
            slot.changed = true;
            self.changed.push(at);
        }
        (image.shard, image.seq) = (by.shard.0, by.seq);
        Some(image)
    }

    /// Puts a whole row under its key, whatever stood there.
    pub(crate) fn put(&mut self, table: &'static TableDef, key: RowKey, image: Image, by: &Recorded) {
        let image = Image { shard: by.shard.0, seq: by.seq, ..image };
        self.replace(table, key, Some(image));
    }

    /// Takes the row under a key away, whether it was loaded or not.
    pub(crate) fn delete(&mut self, table: &'static TableDef, key: RowKey) {
        self.replace(table, key, None);
    }

    fn replace(&mut self, table: &'static TableDef, key: RowKey, image: Option<Image>) {
        let Some(place) = tables::place(table) else { return };
        let gone = image.is_none().then(|| key.clone());
        let at = match self.index[place].get(&key) {
            Some(at) => *at,
            None => self.insert(place, key, None),
        };
        (self.slots[at].image, self.slots[at].gone) = (image, gone);
        if !self.slots[at].changed {
            self.slots[at].changed = true;
            self.changed.push(at);
        }
    }

    fn insert(&mut self, place: usize, key: RowKey, image: Option<Image>) -> usize {
        let at = self.slots.len();
        self.slots.push(Slot { place, gone: None, image, changed: false });
        self.index[place].insert(key, at);
        at
    }
}

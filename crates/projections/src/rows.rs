//! The rows a page of events reads and changes.
//!
//! Owns: images by table and key, and which of them changed. One page, one set of final images.
//! Refuses to know: events, databases.
//!
//! Invariant: a row is handed out at most once for each time it changed, however often events touched it.

use std::collections::HashMap;

use nightshift_domain::recorded::Recorded;
use serde_json::Value;

pub(crate) use crate::image::Image;
use crate::{
    table::{Row, RowKey, TableDef},
    tables,
};

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
pub type Changed = (Vec<(&'static TableDef, Image)>, Vec<(&'static TableDef, RowKey)>);

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

    /// As [`Self::load`], of a row whose image is known.
    pub fn load_image(&mut self, table: &'static TableDef, key: RowKey, image: Option<Image>) {
        let Some(place) = tables::place(table) else { return };
        if !self.index[place].contains_key(&key) {
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
                Some(image) => upserts.push((table, image)),
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
        image.stamp(by);
        Some(image)
    }

    /// Puts a whole row under its key, whatever stood there.
    pub(crate) fn put(&mut self, table: &'static TableDef, key: RowKey, mut image: Image, by: &Recorded) {
        image.stamp(by);
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

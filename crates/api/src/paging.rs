//! Lists: several questions to one table, merged in one order, cut into a page.
//!
//! Owns: limit, offset, total and `hasMore`, and that nobody sees rows of others.
//! Refuses to know: what the rows are about.
//!
//! A question to a table knows equality only. What it cannot say (words inside a text, an upper bound) is asked of the
//! rows one by one, over at most [`SCAN_MAX`] of them; where a list is longer the total is a lower bound and says so.

use std::{cmp::Ordering, collections::HashSet};

use nightshift_ports::{
    log::StoreError,
    read_models::{Query, ReadModels},
};
use nightshift_projections::table::{Row, TableDef};
use serde_json::{Value, json};

use crate::{
    auth::Caller,
    envelope::{ApiError, Code},
    extract::Question,
    rows,
};

/// Rows that are looked at for one list, for each question.
pub const SCAN_MAX: usize = 5_000;

/// Rows that are fetched at once.
const STRIDE: u32 = 250;

/// The table of that name.
///
/// # Errors
/// This program has no such table.
pub fn table(name: &'static str) -> Result<&'static TableDef, ApiError> {
    nightshift_projections::tables::named(name)
        .ok_or_else(|| ApiError::new(Code::Internal, format!("this program has no table {name}")))
}

/// A list to be made.
pub struct Listing<'a> {
    /// Of which rows.
    pub table: &'static TableDef,
    /// Questions; a row that answers any of them is in the list. The order of all is `order`.
    pub any_of: Vec<Vec<(&'static str, Value)>>,
    /// Column > value, in every question.
    pub above: Vec<(&'static str, Value)>,
    /// Columns in order; true for descending.
    pub order: Vec<(&'static str, bool)>,
    /// What else a row must be.
    pub keep: Box<dyn Fn(&Row) -> bool + Send + Sync + 'a>,
    /// At most so many.
    pub limit: u32,
    /// Without the first so many.
    pub offset: u32,
}

impl<'a> Listing<'a> {
    /// All rows of a table that the caller may see, newest first by `newest`, as the question asks for a page.
    #[must_use]
    pub fn own(table: &'static TableDef, caller: &Caller, newest: &'static str, question: &Question) -> Self {
        let mine = if caller.sees_all() { vec![] } else { vec![("user_id", Value::from(caller.user.clone()))] };
        Self {
            table,
            any_of: vec![mine],
            above: Vec::new(),
            order: vec![(newest, true)],
            keep: Box::new(|_| true),
            limit: question.number("limit", 25),
            offset: question.number("offset", 0),
        }
    }

    /// Only rows with this value, when there is one.
    #[must_use]
    pub fn with(mut self, column: &'static str, value: Option<impl Into<Value>>) -> Self {
        if let Some(value) = value.map(Into::into) {
            self.any_of.iter_mut().for_each(|question| question.push((column, value.clone())));
        }
        self
    }

    /// Only rows with one of these values.
    #[must_use]
    pub fn with_any(mut self, column: &'static str, values: &[&'static str]) -> Self {
        let each = |question: &Vec<(&'static str, Value)>| {
            let question = question.clone();
            values.iter().map(move |value| [question.clone(), vec![(column, Value::from(*value))]].concat())
        };
        self.any_of = self.any_of.iter().flat_map(each).collect();
        self
    }

    /// Only rows that are like this.
    #[must_use]
    pub fn keeping(mut self, keep: impl Fn(&Row) -> bool + Send + Sync + 'a) -> Self {
        let before = std::mem::replace(&mut self.keep, Box::new(|_| true));
        self.keep = Box::new(move |row| before(row) && keep(row));
        self
    }

    /// Only rows in whose columns the word is, whatever its case.
    #[must_use]
    pub fn searching(self, columns: &'static [&'static str], word: Option<&str>) -> Self {
        let Some(word) = word.map(str::to_lowercase) else { return self };
        self.keeping(move |row| columns.iter().any(|column| rows::text(row, column).to_lowercase().contains(&word)))
    }

    /// The page.
    ///
    /// # Errors
    /// The store did not answer.
    pub async fn page(&self, models: &dyn ReadModels) -> Result<Page, StoreError> {
        let wanted = (self.offset as usize).saturating_add(self.limit as usize);
        let mut found: Vec<Row> = Vec::new();
        let (mut total, mut exact) = (0, true);
        let mut seen = HashSet::new();
        for equals in &self.any_of {
            let mut read = 0;
            loop {
                let page = models.query(self.table, &self.stride(equals, read)).await?;
                let full = page.len() == STRIDE as usize;
                read += page.len();
                for row in page.into_iter().filter(|row| (self.keep)(row)) {
                    // A row may answer several questions.
                    if self.any_of.len() > 1 && !seen.insert(json!(self.table.key_of(&row)).to_string()) {
                        continue;
                    }
                    total += 1;
                    found.push(row);
                }
                // Only the head of the list is kept: rows carry whole plans.
                if found.len() > wanted + STRIDE as usize {
                    found.sort_by(|a, b| self.compare(a, b));
                    found.truncate(wanted);
                }
                if !full {
                    break;
                }
                if read >= SCAN_MAX {
                    exact = false;
                    break;
                }
            }
        }
        found.sort_by(|a, b| self.compare(a, b));
        let items = found.into_iter().skip(self.offset as usize).take(self.limit as usize).collect();
        Ok(Page { items, total, exact, limit: self.limit, offset: self.offset })
    }

    fn stride(&self, equals: &[(&'static str, Value)], offset: usize) -> Query {
        Query {
            equals: equals.to_vec(),
            above: self.above.clone(),
            order: self.order.clone(),
            limit: STRIDE,
            offset: u32::try_from(offset).unwrap_or(u32::MAX),
        }
    }

    /// As the table orders: by the columns of the order, then by the key.
    fn compare(&self, a: &Row, b: &Row) -> Ordering {
        let keys = self.table.key.iter().map(|key| (*key, false));
        let each = self.order.iter().copied().chain(keys).map(|(column, descending)| {
            let order = compare(a.get(column), b.get(column));
            if descending { order.reverse() } else { order }
        });
        each.fold(Ordering::Equal, Ordering::then)
    }
}

/// Null before all, then by value. Values of one column are of one kind.
fn compare(a: Option<&Value>, b: Option<&Value>) -> Ordering {
    match (a.unwrap_or(&Value::Null), b.unwrap_or(&Value::Null)) {
        (Value::Null, Value::Null) => Ordering::Equal,
        (Value::Null, _) => Ordering::Less,
        (_, Value::Null) => Ordering::Greater,
        (Value::Number(a), Value::Number(b)) => a.as_f64().partial_cmp(&b.as_f64()).unwrap_or(Ordering::Equal),
        (Value::String(a), Value::String(b)) => a.cmp(b),
        (a, b) => a.to_string().cmp(&b.to_string()),
    }
}

/// A part of a list.
#[derive(Debug)]
pub struct Page {
    /// The rows.
    pub items: Vec<Row>,
    /// How many there are in all.
    pub total: usize,
    /// That is the whole number, not a lower bound.
    pub exact: bool,
    limit: u32,
    offset: u32,
}

impl Page {
    /// `{items, total, limit, offset, hasMore}`, and `totalIsExact: false` where the total is a lower bound.
    #[must_use]
    pub fn shown(&self, each: impl Fn(&Row) -> Value) -> Value {
        let items: Vec<Value> = self.items.iter().map(each).collect();
        let more = !self.exact || self.offset as usize + items.len() < self.total;
        let mut page = json!({
            "items": items, "total": self.total, "limit": self.limit, "offset": self.offset, "hasMore": more,
        });
        if !self.exact {
            page["totalIsExact"] = Value::Bool(false);
        }
        page
    }
}

/// One row by its key; none when there is none.
///
/// # Errors
/// The store did not answer.
pub async fn one(
    models: &dyn ReadModels,
    table: &'static TableDef,
    key: &[(&'static str, Value)],
) -> Result<Option<Row>, StoreError> {
    let query = Query { equals: key.to_vec(), limit: 1, ..Query::default() };
    Ok(models.query(table, &query).await?.pop())
}

/// Every row that answers a question, at most [`SCAN_MAX`].
///
/// # Errors
/// The store did not answer.
pub async fn all(
    models: &dyn ReadModels,
    table: &'static TableDef,
    equals: Vec<(&'static str, Value)>,
    order: Vec<(&'static str, bool)>,
) -> Result<Vec<Row>, StoreError> {
    let limit = SCAN_MAX as u32;
    models.query(table, &Query { equals, order, limit, ..Query::default() }).await
}

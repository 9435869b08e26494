//! Lists: a question to a table, and the page of it that is asked for.
//!
//! Owns: limit, offset, total and `hasMore`, and that nobody sees rows of others.
//! Refuses to know: what the rows are about.
//!
//! Invariant: rows are filtered, searched, counted and cut into pages by the store; none is fetched that is not shown.

use nightshift_ports::{
    log::StoreError,
    read_models::{Equals, Query, ReadModels, Search},
};
use nightshift_projections::table::{Row, TableDef};
use serde_json::{Value, json};

use crate::{
    auth::Caller,
    envelope::{ApiError, Code},
    extract::Question,
};

/// The table of that name.
///
/// # Errors
/// This program has no such table.
pub fn table(name: &'static str) -> Result<&'static TableDef, ApiError> {
    nightshift_projections::tables::named(name)
        .ok_or_else(|| ApiError::new(Code::Internal, format!("this program has no table {name}")))
}

/// A list to be made.
pub struct Listing {
    /// Of which rows.
    pub table: &'static TableDef,
    /// What they have to be, their order, and the page.
    pub query: Query,
}

impl Listing {
    /// All rows of a table, newest first by `newest`, as the question asks for a page.
    #[must_use]
    pub fn all(table: &'static TableDef, newest: &'static str, question: &Question) -> Self {
        let query = Query {
            order: vec![(newest, true)],
            limit: question.number("limit", 25),
            offset: question.number("offset", 0),
            ..Query::default()
        };
        Self { table, query }
    }

    /// As [`Listing::all`], those that the caller may see.
    #[must_use]
    pub fn own(table: &'static TableDef, caller: &Caller, newest: &'static str, question: &Question) -> Self {
        let mine = (!caller.sees_all()).then(|| caller.user.clone());
        Self::all(table, newest, question).with("user_id", mine)
    }

    /// Only rows with this value, when there is one.
    #[must_use]
    pub fn with(mut self, column: &'static str, value: Option<impl Into<Value>>) -> Self {
        self.query.equals.extend(value.map(|value| (column, value.into())));
        self
    }

    /// Only rows with one of these values.
    #[must_use]
    pub fn with_any(self, column: &'static str, values: &[&'static str]) -> Self {
        self.any(values.iter().map(|value| vec![(column, Value::from(*value))]).collect())
    }

    /// Only rows that are one of these.
    #[must_use]
    pub fn any(mut self, alternatives: Vec<Equals>) -> Self {
        self.query.any_of.push(alternatives);
        self
    }

    /// No rows at all.
    #[must_use]
    pub fn nothing(self) -> Self {
        self.any(Vec::new())
    }

    /// Only rows with a later value, when there is one.
    #[must_use]
    pub fn after(mut self, column: &'static str, value: Option<String>) -> Self {
        self.query.above.extend(value.map(|value| (column, Value::from(value))));
        self
    }

    /// Only rows with an earlier value, when there is one.
    #[must_use]
    pub fn before(mut self, column: &'static str, value: Option<String>) -> Self {
        self.query.below.extend(value.map(|value| (column, Value::from(value))));
        self
    }

    /// Only rows in whose columns the word is, whatever the case of A to Z.
    #[must_use]
    pub fn searching(mut self, columns: &'static [&'static str], word: Option<&str>) -> Self {
        self.query.search = word.map(|word| Search { columns, word: word.to_owned() });
        self
    }

    /// The page.
    ///
    /// # Errors
    /// The store did not answer.
    pub async fn page(&self, models: &dyn ReadModels) -> Result<Page, StoreError> {
        let items = models.query(self.table, &self.query).await?;
        let (limit, offset) = (self.query.limit, self.query.offset);
        let seen = u64::from(offset) + items.len() as u64;
        // A page that is not full is the last one: there is nothing to count, unless it lies behind the end.
        let is_last = items.len() < limit as usize && (offset == 0 || !items.is_empty());
        let total = if is_last { seen } else { models.count(self.table, &self.query).await? };
        Ok(Page { items, total, limit, offset })
    }
}

/// A part of a list.
#[derive(Debug)]
pub struct Page {
    /// The rows.
    pub items: Vec<Row>,
    /// How many there are in all.
    pub total: u64,
    limit: u32,
    offset: u32,
}

impl Page {
    /// `{items, total, limit, offset, hasMore}`.
    #[must_use]
    pub fn shown(&self, each: impl Fn(&Row) -> Value) -> Value {
        let items: Vec<Value> = self.items.iter().map(each).collect();
        let more = u64::from(self.offset) + (items.len() as u64) < self.total;
        json!({"items": items, "total": self.total, "limit": self.limit, "offset": self.offset, "hasMore": more})
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

/// Every row that answers a question.
///
/// # Errors
/// The store did not answer.
pub async fn all(
    models: &dyn ReadModels,
    table: &'static TableDef,
    equals: Equals,
    order: Vec<(&'static str, bool)>,
) -> Result<Vec<Row>, StoreError> {
    models.query(table, &Query { equals, order, limit: u32::MAX, ..Query::default() }).await
}

//! The raw baseline of a rebuild: the rows of the read models, inserted as they are into the same tables of another store.
//!
//! Owns: reading them once, and inserting them many at a time, indexes and all, in one durable transaction.
//! Refuses to know: how a row came about, and time.

use std::path::Path;

use nightshift_ports::{log::StoreError, rows::all_columns};
use nightshift_projections::table::{ColumnType, TableDef};
use sqlx::{
    AssertSqlSafe, Connection, Encode, PgConnection, Postgres, Row, SqliteConnection, Type, ValueRef,
    encode::IsNull,
    error::BoxDynError,
    postgres::{PgArgumentBuffer, PgTypeInfo, types::Oid},
};

use super::{connect, plain_sqlite};
use crate::{
    OpenError,
    error::failed,
    tables::{all_quoted, quote, quoted_list},
};

/// Rows handed to SQLite's thread at once, two in a statement: more in one take longer.
const LOT: usize = 32;

/// Rows in one array for PostgreSQL.
const ARRAY: i64 = 2_000;

/// The rows of one store, and a connection to another one.
pub enum RawTables {
    /// Files.
    Sqlite {
        /// To the other file.
        conn: Box<SqliteConnection>,
        /// Rows by table.
        rows: Vec<(&'static TableDef, Vec<Vec<Cell>>)>,
    },
    /// Databases.
    Postgres {
        /// To the other database.
        conn: Box<PgConnection>,
        /// Rows by table, as arrays of its row type.
        rows: Vec<(&'static TableDef, Vec<Array>)>,
    },
}

/// A value as SQLite keeps it.
#[derive(Debug, Clone)]
pub enum Cell {
    /// Whole numbers and truth.
    Int(Option<i64>),
    /// Numbers with a fraction.
    Real(Option<f64>),
    /// All the rest.
    Text(Option<String>),
}

/// An array of rows in the server's binary form.
#[derive(Debug, Clone)]
pub struct Array {
    is: Oid,
    bytes: Vec<u8>,
}

impl Type<Postgres> for Array {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_name("record[]")
    }
}

impl Encode<'_, Postgres> for Array {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        buffer.extend_from_slice(&self.bytes);
        Ok(IsNull::No)
    }

    fn produces(&self) -> Option<PgTypeInfo> {
        Some(PgTypeInfo::with_oid(self.is))
    }

    fn size_hint(&self) -> usize {
        self.bytes.len()
    }
}

impl RawTables {
    /// Reads the rows of one file, to be inserted into another one that a store made.
    ///
    /// # Errors
    /// A file does not open or is not as a store makes it.
    pub async fn sqlite(from: &Path, to: &Path, tables: &'static [&'static TableDef]) -> Result<Self, StoreError> {
        let fault = failed("read the rows of a table");
        let mut source = plain_sqlite(from).await?;
        let mut rows = Vec::new();
        for table in tables {
            let sql = format!("SELECT {} FROM {}", all_quoted(table), quote(table.name));
            let found = sqlx::query(AssertSqlSafe(sql)).fetch_all(&mut source).await.map_err(&fault)?;
            let cells = |row| cells(table, row);
            rows.push((*table, found.iter().map(cells).collect::<Result<_, _>>().map_err(&fault)?));
        }
        // Only read.
        let _ = source.close().await;
        Ok(Self::Sqlite { conn: Box::new(plain_sqlite(to).await?), rows })
    }

    /// As [`Self::sqlite`], on a server.
    ///
    /// # Errors
    /// A database is not reached or is not as a store makes it.
    pub async fn postgres(from: &str, to: &str, tables: &'static [&'static TableDef]) -> Result<Self, OpenError> {
        let fault = OpenError::database("read the rows of a table");
        let (mut source, mut conn) = (connect(from).await?, connect(to).await?);
        let mut rows = Vec::new();
        for table in tables {
            rows.push((*table, arrays(table, &mut source, &mut conn).await.map_err(&fault)?));
        }
        // Only read.
        let _ = source.close().await;
        Ok(Self::Postgres { conn: Box::new(conn), rows })
    }

    /// Empties the other store's tables, so that the rows fit again.
    ///
    /// # Errors
    /// The database did not take it.
    pub async fn empty(&mut self) -> Result<(), StoreError> {
        let fault = failed("empty the tables");
        match self {
            Self::Sqlite { conn, rows } => {
                for (table, _) in rows {
                    let sql = AssertSqlSafe(format!("DELETE FROM {}", quote(table.name)));
                    sqlx::query(sql).execute(&mut **conn).await.map_err(&fault)?;
                }
            }
            Self::Postgres { conn, rows } => {
                let names = quoted_list(rows.iter().map(|(table, _)| table.name));
                let sql = AssertSqlSafe(format!("TRUNCATE {names}"));
                sqlx::query(sql).execute(&mut **conn).await.map_err(&fault)?;
            }
        }
        Ok(())
    }

    /// Inserts all rows in one transaction.
    ///
    /// # Errors
    /// The database did not take them.
    pub async fn insert(&mut self) -> Result<(), StoreError> {
        let fault = failed("insert the rows of a table");
        match self {
            Self::Sqlite { conn, rows } => insert_sqlite(conn, rows).await,
            Self::Postgres { conn, rows } => insert_postgres(conn, rows).await,
        }
        .map_err(fault)
    }

    /// Ends the connection.
    pub async fn close(self) {
        // Every row is durable already.
        let _ = match self {
            Self::Sqlite { conn, .. } => conn.close().await,
            Self::Postgres { conn, .. } => conn.close().await,
        };
    }
}

fn cells(table: &TableDef, row: &sqlx::sqlite::SqliteRow) -> Result<Vec<Cell>, sqlx::Error> {
    let cell = |(at, (_, kind)): (usize, (&str, ColumnType))| {
        Ok(match kind {
            ColumnType::Int | ColumnType::Bool => Cell::Int(row.try_get(at)?),
            ColumnType::Real => Cell::Real(row.try_get(at)?),
            _ => Cell::Text(row.try_get(at)?),
        })
    };
    all_columns(table).enumerate().map(cell).collect()
}

async fn insert_sqlite(
    conn: &mut SqliteConnection,
    rows: &[(&'static TableDef, Vec<Vec<Cell>>)],
) -> Result<(), sqlx::Error> {
    let mut tx = conn.begin_with("BEGIN IMMEDIATE").await?;
    for (table, rows) in rows {
        let values = format!("({})", vec!["?"; all_columns(table).count()].join(", "));
        let into = format!("INSERT INTO {} ({}) VALUES ", quote(table.name), all_quoted(table));
        for lot in rows.chunks(LOT) {
            let statement = |two: &[Vec<Cell>]| format!("{into}{};\n", vec![values.as_str(); two.len()].join(", "));
            let sql: String = lot.chunks(2).map(statement).collect();
            let mut query = sqlx::query(AssertSqlSafe(sql));
            for cell in lot.iter().flatten() {
                query = match cell {
                    Cell::Int(value) => query.bind(*value),
                    Cell::Real(value) => query.bind(*value),
                    Cell::Text(value) => query.bind(value.as_deref()),
                };
            }
            query.execute(&mut *tx).await?;
        }
    }
    tx.commit().await
}

/// The rows of a table as arrays, said to be of the other database's row type.
async fn arrays(
    table: &TableDef,
    source: &mut PgConnection,
    target: &mut PgConnection,
) -> Result<Vec<Array>, sqlx::Error> {
    let name = quote(table.name);
    let (row, is): (Oid, Oid) =
        sqlx::query_as("SELECT oid, typarray FROM pg_type WHERE typrelid = CAST($1 AS regclass)")
            .bind(&name)
            .fetch_one(target)
            .await?;
    let key = quoted_list(table.key.iter().copied());
    let sql = format!(
        "SELECT array_agg(n.t) FROM (SELECT t, (row_number() OVER (ORDER BY {key}) - 1) / $1 AS lot FROM {name} AS t) AS n \
         GROUP BY n.lot ORDER BY n.lot"
    );
    let found = sqlx::query(AssertSqlSafe(sql)).bind(ARRAY).fetch_all(source).await?;
    let array = |found: &sqlx::postgres::PgRow| {
        let value = found.try_get_raw(0)?;
        if value.is_null() {
            return Ok(None);
        }
        let mut bytes = value.as_bytes().map_err(sqlx::Error::Decode)?.to_vec();
        // Dimensions, whether there are nulls, then the type of an element: it has another number over there.
        let number = bytes.get_mut(8..12).ok_or(sqlx::Error::RowNotFound)?;
        number.copy_from_slice(&row.0.to_be_bytes());
        Ok(Some(Array { is, bytes }))
    };
    found.iter().filter_map(|found| array(found).transpose()).collect()
}

async fn insert_postgres(conn: &mut PgConnection, rows: &[(&'static TableDef, Vec<Array>)]) -> Result<(), sqlx::Error> {
    let mut tx = conn.begin().await?;
    for (table, arrays) in rows {
        let (name, columns) = (quote(table.name), all_quoted(table));
        let sql = format!("INSERT INTO {name} ({columns}) SELECT {columns} FROM unnest(CAST($1 AS {name}[]))");
        for array in arrays {
            sqlx::query(AssertSqlSafe(sql.clone())).bind(array.clone()).execute(&mut *tx).await?;
        }
    }
    tx.commit().await
}

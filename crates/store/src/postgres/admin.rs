//! Making and removing databases.

use std::str::FromStr;

use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection, postgres::PgConnectOptions};

use super::open::{connect, parse};
use crate::{OpenError, tables::quote};

/// Makes the database that `url` names, empty.
///
/// # Errors
/// The server is not reached, or refused: see [`OpenError`].
pub async fn create_database(url: &str) -> Result<(), OpenError> {
    admin(url, "make the database", |name| format!("CREATE DATABASE {name}")).await
}

/// Removes the database that `url` names, with all connections to it. One that does not exist is no error.
///
/// # Errors
/// As [`create_database`].
pub async fn drop_database(url: &str) -> Result<(), OpenError> {
    admin(url, "remove the database", |name| format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await
}

async fn admin(url: &str, doing: &'static str, statement: impl Fn(&str) -> String) -> Result<(), OpenError> {
    let options = parse(url)?;
    let name = options.get_database().ok_or_else(|| OpenError::Address { why: "it names no database".to_owned() })?;
    let sql = statement(&quote(name));
    let mut conn: PgConnection = connect(&options.clone().database("postgres")).await?;
    let done = sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut conn).await;
    // The answer is there; a failing good-bye changes nothing.
    let _ = conn.close().await;
    done.map(drop).map_err(OpenError::database(doing))
}

/// Reads an address without the credentials of the environment being printed anywhere.
pub(super) fn options_of(url: &str) -> Result<PgConnectOptions, sqlx::Error> {
    PgConnectOptions::from_str(url).map(ConnectOptions::disable_statement_logging)
}
